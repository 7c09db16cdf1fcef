//! Streams that others open, a queue of them for each set of protocols.
//!
//! `libp2p-stream` holds one stream for who accepts, and drops what comes before that one is taken. Go's bitswap sends each message on a
//! stream of its own, many at once, so that the queue here is longer. Behind it streams are dropped all the same.
//!
//! Where we end a connection, yamux lets its streams be without a word: who waits for bytes on one would wait until it is tired of it, and
//! have a place among those who are served. So a stream here knows whether its connection is there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, InboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::futures::channel::{mpsc, oneshot};
use libp2p::futures::future::Shared;
use libp2p::futures::{AsyncRead, AsyncWrite, FutureExt};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    SubstreamProtocol, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, Stream, StreamProtocol};

/// Streams that wait to be taken.
const WAITING: usize = 256;

/// A stream, and who opened it.
pub type Incoming = (PeerId, IncomingStream);

/// A stream that somebody else opened.
#[derive(Debug)]
pub struct IncomingStream {
    stream: Stream,
    /// Is there once the connection is not.
    gone: Gone,
}

/// Nothing is ever sent: who would is gone when the connection is.
type Gone = Shared<oneshot::Receiver<Infallible>>;

impl AsyncRead for IncomingStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, bytes);
        if read.is_pending() && self.gone.poll_unpin(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        read
    }
}

impl AsyncWrite for IncomingStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// Who accepts streams of which protocols.
#[derive(Clone, Default)]
pub struct Acceptor(Arc<Mutex<HashMap<StreamProtocol, mpsc::Sender<Incoming>>>>);

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

impl Acceptor {
    /// Streams of some protocols from now on, until the receiver is dropped; `None` where somebody accepts one of them already.
    pub fn accept(&self, protocols: &[StreamProtocol]) -> Option<mpsc::Receiver<Incoming>> {
        let mut queues = self.lock();
        queues.retain(|_, queue| !queue.is_closed());
        if protocols.iter().any(|protocol| queues.contains_key(protocol)) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        queues.extend(protocols.iter().map(|protocol| (protocol.clone(), sender.clone())));
        Some(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamProtocol, mpsc::Sender<Incoming>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn protocols(&self) -> Vec<StreamProtocol> {
        self.lock().iter().filter(|(_, queue)| !queue.is_closed()).map(|(protocol, _)| protocol.clone()).collect()
    }

    fn opened(&self, peer: PeerId, stream: IncomingStream, protocol: &StreamProtocol) {
        let is_taken = self.lock().get_mut(protocol).is_some_and(|queue| queue.try_send((peer, stream)).is_ok());
        if !is_taken {
            tracing::debug!(%peer, %protocol, "a stream that nobody takes");
        }
    }
}

/// The part of the swarm that hands streams to the acceptor.
#[derive(Default)]
pub(super) struct Behaviour {
    pub acceptor: Acceptor,
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new(peer, self.acceptor.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new(peer, self.acceptor.clone()))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Of one connection.
pub struct Handler {
    peer: PeerId,
    acceptor: Acceptor,
    _there: oneshot::Sender<Infallible>,
    gone: Gone,
}

impl Handler {
    fn new(peer: PeerId, acceptor: Acceptor) -> Self {
        let (there, gone) = oneshot::channel();
        Self { peer, acceptor, _there: there, gone: gone.shared() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade { protocols: self.acceptor.protocols() }, ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: (stream, protocol), ..
        }) = event
        {
            let stream = IncomingStream { stream, gone: self.gone.clone() };
            self.acceptor.opened(self.peer, stream, &protocol);
        }
    }
}

/// Takes a stream as it is.
pub struct Upgrade {
    protocols: Vec<StreamProtocol>,
}

impl UpgradeInfo for Upgrade {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.protocols.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
