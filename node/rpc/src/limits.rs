//! How much others may have of us.

use std::time::Duration;

/// Bytes of a request, or of a message on a socket.
pub const REQUEST_BYTES: usize = 1 << 20;
/// Bytes of an answer: the messages of a full block, many times over.
pub const ANSWER_BYTES: usize = 16 << 20;
/// Requests of a batch.
pub const BATCH: usize = 64;
/// Bytes of an id, which is sent back as it came.
pub const ID_BYTES: usize = 256;
/// Connections at once.
pub const CONNECTIONS: usize = 128;
/// Sockets at once, beside connections.
pub const SOCKETS: usize = 64;
/// Calls that a socket may wait for at once.
pub const CALLS_OF_SOCKET: usize = 16;
/// Channels of a socket.
pub const CHANNELS: usize = 16;
/// Calls that read the store at once; others wait.
pub const READERS: usize = 8;

/// How long the head of a request may take, also the next one of a connection.
pub const HEAD: Duration = Duration::from_secs(30);
/// How long its body may take.
pub const BODY: Duration = Duration::from_secs(30);
/// How long a call may take.
pub const CALL: Duration = Duration::from_secs(60);
/// Between two pings of a socket, and how long it may say nothing.
pub const PING: Duration = Duration::from_secs(5);
/// As [`PING`].
pub const SILENCE: Duration = Duration::from_secs(30);
/// How long a message to a socket may take.
pub const WRITE: Duration = Duration::from_secs(30);
/// How long answers that have begun may take once the server is to end.
pub const GRACE: Duration = Duration::from_secs(5);
