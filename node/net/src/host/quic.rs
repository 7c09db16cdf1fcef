//! QUIC, on which streams that others open can be read to their end though nobody there reads what we write.
//!
//! Go's programs send a message on a stream of its own: they propose the protocol, write the message and close, before the protocol has been
//! confirmed. With TCP the confirmation goes nowhere. With QUIC who closes says that it reads no more, writing the confirmation fails, and
//! the stream would be given up with the message in it. So on streams that others open what they do not read counts as written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::core::Transport;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::futures::{AsyncRead, AsyncWrite};
use libp2p::identity::Keypair;
use libp2p::{PeerId, quic};

use super::Limits;

/// What a stream may leave unread at the least: what yamux gives it.
const LEAST_WINDOW: u32 = 256 << 10;

/// The transport.
pub(super) fn transport(
    key: &Keypair,
    limits: &Limits,
) -> impl Transport<Output = (PeerId, Connection), Error = quic::Error, Dial: Send, ListenerUpgrade: Send>
+ Send
+ Unpin
+ use<> {
    let mut config = quic::Config::new(key);
    let window = limits.window.max(LEAST_WINDOW);
    config.max_concurrent_stream_limit = limits.streams.into();
    config.max_stream_data = window;
    // So that one stream that nobody reads does not hold up all others.
    config.max_connection_data = window.saturating_add(window / 2);
    quic::tokio::Transport::new(config).map(|(peer, connection), _| (peer, Connection(connection)))
}

/// A connection.
pub(super) struct Connection(quic::Connection);

impl StreamMuxer for Connection {
    type Substream = Substream;
    type Error = quic::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, quic::Error>> {
        Pin::new(&mut self.0).poll_inbound(cx).map_ok(|stream| Substream { stream, is_theirs: true })
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, quic::Error>> {
        Pin::new(&mut self.0).poll_outbound(cx).map_ok(|stream| Substream { stream, is_theirs: false })
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), quic::Error>> {
        Pin::new(&mut self.0).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, quic::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// A stream.
pub(super) struct Substream {
    stream: quic::Stream,
    is_theirs: bool,
}

impl Substream {
    /// Whether writing failed because the other side does not read, on a stream of its own.
    fn is_unread(&self, error: &io::Error) -> bool {
        self.is_theirs && error.kind() == io::ErrorKind::ConnectionReset
    }
}

impl AsyncRead for Substream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, bytes)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Err(error)) if self.is_unread(&error) => Poll::Ready(Ok(bytes.len())),
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_close(cx) {
            Poll::Ready(Err(error)) if self.is_unread(&error) => Poll::Ready(Ok(())),
            other => other,
        }
    }
}
