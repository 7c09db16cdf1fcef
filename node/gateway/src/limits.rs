//! What the server may cost.

use std::time::Duration;

/// Limits of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; those beyond are closed.
    pub connections: usize,
    /// Requests that are answered at a time, each until its answer is sent; those beyond get 503. Each takes a thread and up to three
    /// blocks, a CAR up to 60 MB more where its blocks have very many links.
    pub requests: usize,
    /// The longest block that is given.
    pub block_bytes: usize,
    /// Blocks of which CARs without repetitions remember that they were sent, all together. Each takes up to 40 bytes.
    pub remembered: usize,
    /// How long a client may take to say what it wants, and to say something again.
    pub head: Duration,
    /// How long a client may take for [`Limits::PACE_BYTES`] of what it asked for.
    pub pace: Duration,
    /// How long answers that are under way are waited for when the server is told to stop.
    pub stopping: Duration,
}

impl Limits {
    /// The longest head of a request.
    pub const HEAD_BYTES: usize = 16 << 10;
    /// The most headers of a request.
    pub const HEADERS: usize = 64;
    /// Bytes that a client takes in [`Limits::pace`], or all that there are: 4 KiB in a second, unless set.
    pub const PACE_BYTES: u64 = 128 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            requests: 64,
            block_bytes: 8 << 20,
            remembered: 4 << 20,
            head: Duration::from_secs(15),
            pace: Duration::from_secs(30),
            stopping: Duration::from_secs(5),
        }
    }
}
