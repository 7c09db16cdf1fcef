//! The host: options, and a handle by which the rest of the node asks for connections, streams and gossip.

use std::fmt;
use std::time::Duration;

use libp2p::gossipsub::PublishError;
use libp2p::identity::Keypair;
use libp2p::swarm::DialError;
use libp2p::{Multiaddr, PeerId, StreamProtocol, TransportError};
use libp2p_stream::Control;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::gossip::{GossipError, Judge, TopicKind};

mod addresses;
mod behaviour;
mod event_loop;
mod incoming;
mod quic;
mod yamux;

pub use addresses::peer_of;
pub use incoming::{Acceptor, Incoming, IncomingStream};

/// What others see us as.
pub const AGENT: &str = concat!("filecash-node/", env!("CARGO_PKG_VERSION"));
/// Commands that may wait for the event loop.
const COMMANDS: usize = 64;
/// Events that a listener may be behind.
const EVENTS: usize = 1024;

/// How a host is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Where others come in.
    pub listen: Vec<Multiaddr>,
    /// The name of the network, which is in the names of topics and of the DHT.
    pub network: String,
    /// Whom to connect to at first, each with `/p2p/` and a peer's id.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether others come to us to find each other, and not for gossip.
    pub is_bootstrapper: bool,
    /// Whether addresses of private networks and of this machine are kept in the DHT's table.
    pub accept_private_addresses: bool,
    /// Which IPFS DHT is joined too: `/ipfs`, or `/ipfs/lan` in a network of one's own.
    pub ipfs_dht: Option<String>,
    /// How much others may have of us.
    pub limits: Limits,
}

impl HostOptions {
    /// A host of a network on this machine alone.
    pub fn on_loopback(network: &str) -> Self {
        Self {
            listen: ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]
                .into_iter()
                .filter_map(|address| address.parse().ok())
                .collect(),
            network: network.to_owned(),
            bootstrap: Vec::new(),
            is_bootstrapper: false,
            accept_private_addresses: true,
            ipfs_dht: None,
            limits: Limits::default(),
        }
    }
}

/// How much others may have of us. Source of the defaults: `spec/network.md` 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: u32,
    /// Those that others opened.
    pub incoming: u32,
    /// Those of one peer.
    pub per_peer: u32,
    /// Those that are being opened, either way each.
    pub pending: u32,
    /// Streams of a connection.
    pub streams: u16,
    /// Bytes that may be on the way to us or wait to be read: with TCP of all streams of a connection together, beside 256 KiB of each; with
    /// QUIC of a stream, which are 256 KiB at the least, and half as many again of all. A peer is read as fast as so many bytes in a round
    /// trip: 4 MiB in 100 ms are 40 MB/s.
    pub window: u32,
    /// How long a connection stays that nobody uses.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 180,
            incoming: 150,
            per_peer: 4,
            pending: 64,
            streams: 256,
            window: 4 << 20,
            idle: Duration::from_secs(120),
        }
    }
}

/// Why a host did not begin, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum HostError {
    #[error("cannot set up a transport")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Gossip(#[from] GossipError),
    #[error("{0:?} makes no name of a protocol")]
    Network(String),
    #[error("cannot listen on {address}")]
    Listen { address: Multiaddr, source: Box<TransportError<std::io::Error>> },
    #[error("cannot connect to {to}")]
    Dial { to: String, source: Box<DialError> },
    #[error("{0} is a peer's address without its id")]
    NoPeer(Multiaddr),
    #[error("the message does not go out")]
    Publish(#[from] PublishError),
    #[error("the host has ended")]
    Ended,
}

/// What happens on the network.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum HostEvent {
    /// It has said what it speaks. Whether we dialled it decides who says hello.
    Identified { peer: PeerId, protocols: Vec<StreamProtocol>, agent: String, dialled: bool },
    /// The last connection to it is gone.
    Gone { peer: PeerId },
    /// A connection to it is gone, and another is not. What was said on a stream may not have been heard.
    Fewer { peer: PeerId },
    /// The judge accepted a message.
    Gossip { kind: TopicKind, source: PeerId, bytes: Vec<u8> },
}

/// Somebody whom we are connected to.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// Where it is connected to or from.
    pub addresses: Vec<Multiaddr>,
    /// What it calls itself, once it has.
    pub agent: Option<String>,
    /// What it speaks, once it has said so.
    pub protocols: Vec<String>,
    /// How long it took to answer the last ping.
    pub round_trip: Option<Duration>,
    /// How gossip goes by it.
    pub score: Option<f64>,
}

/// What is asked of the event loop.
enum Command {
    Connect { addresses: Vec<Multiaddr>, peer: Option<PeerId>, reply: oneshot::Sender<Result<PeerId, HostError>> },
    Disconnect { peer: PeerId, reply: oneshot::Sender<bool> },
    IsConnected { peer: PeerId, reply: oneshot::Sender<bool> },
    Addresses { reply: oneshot::Sender<Vec<Multiaddr>> },
    Peers { reply: oneshot::Sender<Vec<PeerInfo>> },
    FindPeer { peer: PeerId, reply: oneshot::Sender<Vec<Multiaddr>> },
    Publish { kind: TopicKind, bytes: Vec<u8>, reply: oneshot::Sender<Result<(), HostError>> },
    Stop,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command")
    }
}

/// A host that runs, until [`Host::stop`] or until all handles are gone.
#[derive(Clone)]
pub struct Host {
    peer: PeerId,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<HostEvent>,
    control: Control,
    acceptor: Acceptor,
}

impl Host {
    /// Begins; on a runtime of tokio.
    ///
    /// # Errors
    /// [`HostError`]. An address of the bootstrap list that is wrong is one; a peer there that is not reached is not.
    pub fn start(key: &Keypair, options: &HostOptions, judge: Judge) -> Result<(Self, JoinHandle<()>), HostError> {
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (events, _) = broadcast::channel(EVENTS);
        let (event_loop, control, acceptor) = event_loop::EventLoop::new(key, options, judge, orders, events.clone())?;
        let peer = key.public().to_peer_id();
        let task = tokio::spawn(event_loop.run());
        Ok((Self { peer, commands, events, control, acceptor }, task))
    }

    /// Who we are.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// For streams of protocols, either way.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// For streams of protocols that others open many of at once.
    pub fn acceptor(&self) -> Acceptor {
        self.acceptor.clone()
    }

    /// What happens from now on. Who is too slow misses events and is told so.
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.events.subscribe()
    }

    /// Connects to a peer at one of its addresses, which may end in its id. Who is connected already is not dialled again.
    ///
    /// # Errors
    /// [`HostError::Dial`], also when somebody else answers.
    pub async fn connect(&self, addresses: Vec<Multiaddr>) -> Result<PeerId, HostError> {
        let peer = addresses.iter().find_map(peer_of);
        self.ask(|reply| Command::Connect { addresses, peer, reply }).await?
    }

    /// Ends all connections to a peer, and tells whether there were any.
    ///
    /// # Errors
    /// [`HostError::Ended`].
    pub async fn disconnect(&self, peer: PeerId) -> Result<bool, HostError> {
        self.ask(|reply| Command::Disconnect { peer, reply }).await
    }

    /// Whether there is a connection to a peer.
    ///
    /// # Errors
    /// [`HostError::Ended`].
    pub async fn is_connected(&self, peer: PeerId) -> Result<bool, HostError> {
        self.ask(|reply| Command::IsConnected { peer, reply }).await
    }

    /// Where others come in.
    ///
    /// # Errors
    /// [`HostError::Ended`].
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, HostError> {
        self.ask(|reply| Command::Addresses { reply }).await
    }

    /// Whom we are connected to.
    ///
    /// # Errors
    /// [`HostError::Ended`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, HostError> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// Where a peer is, by what the DHTs know; nothing when they do not.
    ///
    /// # Errors
    /// [`HostError::Ended`].
    pub async fn find_peer(&self, peer: PeerId) -> Result<Vec<Multiaddr>, HostError> {
        self.ask(|reply| Command::FindPeer { peer, reply }).await
    }

    /// Sends a message to all who listen.
    ///
    /// # Errors
    /// [`HostError::Publish`], also when nobody listens.
    pub async fn publish(&self, kind: TopicKind, bytes: Vec<u8>) -> Result<(), HostError> {
        self.ask(|reply| Command::Publish { kind, bytes, reply }).await?
    }

    /// Has the host end. Its task is over soon after.
    pub async fn stop(&self) {
        // If nobody listens it has ended already.
        let _ = self.commands.send(Command::Stop).await;
    }

    /// Whether the host has ended.
    pub fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Returns when the host has ended.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, HostError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| HostError::Ended)?;
        answer.await.map_err(|_| HostError::Ended)
    }
}

#[cfg(test)]
mod tests;
