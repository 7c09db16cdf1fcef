//! Yamux with two things that it lacks: a limit to what a connection may leave unread, and frames of any length.
//!
//! What others send waits in memory until it is read. A stream's window begins with 256 KiB and doubles while its bytes are read fast, by a
//! round trip that the other side may make longer as it likes; all windows of a connection may grow by 1 GiB in `libp2p-yamux`, which has no
//! way to say otherwise. So the crate beneath it is used here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::futures::{AsyncRead, AsyncWrite};
use yamux::{Config, Connection, ConnectionError, DEFAULT_CREDIT, Mode, Stream};

use super::Limits;

mod frames;

use frames::Frames;

/// Makes connections of streams out of those of bytes.
#[derive(Clone)]
pub(super) struct Upgrade(Config);

impl Upgrade {
    /// Of connections within limits.
    pub fn new(limits: &Limits) -> Self {
        let (mut config, streams) = (Config::default(), usize::from(limits.streams));
        // Either is checked against the other as it is set.
        config.set_max_connection_receive_window(None).set_max_num_streams(streams);
        config.set_max_connection_receive_window(Some(streams * DEFAULT_CREDIT as usize + limits.window as usize));
        Self(config)
    }

    fn upgrade<C: AsyncRead + AsyncWrite + Unpin>(self, bytes: C, mode: Mode) -> Ready<Result<Muxer<C>, Infallible>> {
        ready(Ok(Muxer {
            connection: Connection::new(Frames::new(bytes), self.0, mode),
            opened: VecDeque::new(),
            waiting: None,
        }))
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_inbound(self, bytes: C, _: Self::Info) -> Self::Future {
        self.upgrade(bytes, Mode::Server)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_outbound(self, bytes: C, _: Self::Info) -> Self::Future {
        self.upgrade(bytes, Mode::Client)
    }
}

/// A connection.
pub(super) struct Muxer<C> {
    connection: Connection<Frames<C>>,
    /// Streams of the other side that nobody has taken yet: no more than there may be streams.
    opened: VecDeque<Stream>,
    /// Who waits for one.
    waiting: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        if let Some(stream) = self.opened.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(cx)
    }

    /// All that happens on the connection happens here, its streams' bytes too.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        match self.connection.poll_next_inbound(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Err(ConnectionError::Closed)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
            Poll::Ready(Some(Ok(stream))) => {
                self.opened.push_back(stream);
                if let Some(waiting) = self.waiting.take() {
                    waiting.wake();
                }
                // There may be more; others of this thread come first.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
