//! One loop that owns the swarm: what happens there, what is asked, and what judges say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::futures::StreamExt;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, TopicHash};
use libp2p::identity::Keypair;
use libp2p::kad::{self, GetClosestPeersOk, QueryId, QueryResult};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, ping, tcp, tls};
use libp2p_stream::Control;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};

use super::addresses::{is_public, peer_of, without_peer};
use super::behaviour::{Behaviour, BehaviourEvent};
use super::incoming::Acceptor;
use super::{Command, HostError, HostEvent, HostOptions, PeerInfo, quic, yamux};
use crate::gossip::{Judge, TopicKind, Verdict};

/// Messages that judges look at at once; while there are so many, others are let go.
const JUDGED: usize = 64;
/// Between two looks whether the peers to begin with are there.
const BOOTSTRAP: Duration = Duration::from_secs(30);
/// Addresses that are kept of what a peer says it has.
const MAX_ADDRESSES: usize = 16;

/// What is known of a connected peer.
#[derive(Default)]
struct Known {
    addresses: HashMap<ConnectionId, Multiaddr>,
    /// Whether one of the connections is ours.
    dialled: bool,
    agent: Option<String>,
    protocols: Vec<String>,
    round_trip: Option<Duration>,
}

struct Judged {
    id: MessageId,
    source: PeerId,
    kind: TopicKind,
    bytes: Vec<u8>,
    verdict: Verdict,
}

pub(super) struct EventLoop {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<HostEvent>,
    judge: Judge,
    judged: JoinSet<Judged>,
    topics: HashMap<TopicHash, (TopicKind, IdentTopic)>,
    peers: HashMap<PeerId, Known>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, HostError>>>,
    /// Who is looked for, by the questions that are open.
    lookups: HashMap<QueryId, PeerId>,
    wanted: HashMap<PeerId, Vec<oneshot::Sender<Vec<Multiaddr>>>>,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    accept_private_addresses: bool,
}

impl EventLoop {
    pub fn new(
        key: &Keypair,
        options: &HostOptions,
        judge: Judge,
        commands: mpsc::Receiver<Command>,
        events: broadcast::Sender<HostEvent>,
    ) -> Result<(Self, Control, Acceptor), HostError> {
        let mut swarm = swarm(key, options)?;
        for address in &options.listen {
            let listened = swarm.listen_on(address.clone());
            listened.map_err(|source| HostError::Listen { address: address.clone(), source: Box::new(source) })?;
        }
        let mut topics = HashMap::new();
        for kind in TopicKind::ALL {
            let topic = kind.topic(&options.network);
            let subscribed = swarm.behaviour_mut().gossip.subscribe(&topic);
            subscribed.map_err(|error| HostError::Transport(error.into()))?;
            topics.insert(topic.hash(), (kind, topic));
        }
        let mut bootstrap = Vec::new();
        for address in &options.bootstrap {
            let peer = peer_of(address).ok_or_else(|| HostError::NoPeer(address.clone()))?;
            for dht in swarm.behaviour_mut().dhts() {
                let _ = dht.add_address(&peer, without_peer(address.clone()));
            }
            bootstrap.push((peer, address.clone()));
        }
        let control = swarm.behaviour().streams.new_control();
        let acceptor = swarm.behaviour().incoming.acceptor.clone();
        let event_loop = Self {
            swarm,
            commands,
            events,
            judge,
            judged: JoinSet::new(),
            topics,
            peers: HashMap::new(),
            dials: HashMap::new(),
            lookups: HashMap::new(),
            wanted: HashMap::new(),
            bootstrap,
            accept_private_addresses: options.accept_private_addresses,
        };
        Ok((event_loop, control, acceptor))
    }

    pub async fn run(mut self) {
        let mut bootstrap = tokio::time::interval(BOOTSTRAP);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.happened(event),
                Some(judged) = self.judged.join_next() => self.tell(judged),
                _ = bootstrap.tick() => self.join(),
                command = self.commands.recv() => match command {
                    None | Some(Command::Stop) => break,
                    Some(command) => self.obey(command),
                },
            }
        }
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Dials the peers to begin with that are not connected, and fills the tables when one is.
    fn join(&mut self) {
        let missing: Vec<_> =
            self.bootstrap.iter().filter(|(peer, _)| !self.swarm.is_connected(peer)).cloned().collect();
        for (peer, address) in missing {
            let dial =
                DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing).addresses(vec![address]);
            if let Err(error) = self.swarm.dial(dial.build()) {
                tracing::debug!(%peer, %error, "not dialled");
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Connect { addresses, peer, reply } => self.connect(addresses, peer, reply),
            Command::Disconnect { peer, reply } => drop(reply.send(self.swarm.disconnect_peer_id(peer).is_ok())),
            Command::IsConnected { peer, reply } => drop(reply.send(self.swarm.is_connected(&peer))),
            Command::Addresses { reply } => drop(reply.send(self.swarm.listeners().cloned().collect())),
            Command::Peers { reply } => drop(reply.send(self.infos())),
            Command::FindPeer { peer, reply } => self.find(peer, reply),
            Command::Publish { kind, bytes, reply } => {
                let topic = self.topics.values().find(|(of, _)| *of == kind).map(|(_, topic)| topic.hash());
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                let outcome = topic.map_or(Ok(()), |topic| gossip.publish(topic, bytes).map(drop));
                let _ = reply.send(outcome.map_err(HostError::from));
            }
            Command::Stop => {}
        }
    }

    fn connect(
        &mut self,
        addresses: Vec<Multiaddr>,
        peer: Option<PeerId>,
        reply: oneshot::Sender<Result<PeerId, HostError>>,
    ) {
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            let _ = reply.send(Ok(peer));
            return;
        }
        let to = addresses.first().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let mut addresses = addresses.into_iter();
        let dial = match (peer, addresses.next()) {
            (Some(peer), first) => {
                DialOpts::peer_id(peer).addresses(first.into_iter().chain(addresses).collect()).build()
            }
            (None, first) => DialOpts::unknown_peer_id().address(first.unwrap_or_else(Multiaddr::empty)).build(),
        };
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => drop(self.dials.insert(connection, reply)),
            Err(source) => drop(reply.send(Err(HostError::Dial { to, source: Box::new(source) }))),
        }
    }

    fn find(&mut self, peer: PeerId, reply: oneshot::Sender<Vec<Multiaddr>>) {
        let queries: Vec<_> = self.swarm.behaviour_mut().dhts().map(|dht| dht.get_closest_peers(peer)).collect();
        self.lookups.extend(queries.into_iter().map(|query| (query, peer)));
        self.wanted.entry(peer).or_default().push(reply);
    }

    fn infos(&self) -> Vec<PeerInfo> {
        let gossip = &self.swarm.behaviour().gossip;
        let info = |(peer, known): (&PeerId, &Known)| PeerInfo {
            peer: *peer,
            addresses: known.addresses.values().cloned().collect(),
            agent: known.agent.clone(),
            protocols: known.protocols.clone(),
            round_trip: known.round_trip,
            score: gossip.peer_score(peer),
        };
        self.peers.iter().map(info).collect()
    }

    fn happened(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaved(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let dialled = endpoint.is_dialer();
                let (ConnectedPoint::Dialer { address, .. } | ConnectedPoint::Listener { send_back_addr: address, .. }) =
                    endpoint;
                let known = self.peers.entry(peer_id).or_default();
                known.addresses.insert(connection_id, address);
                known.dialled |= dialled;
                if let Some(reply) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Ok(peer_id));
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                if let Some(known) = self.peers.get_mut(&peer_id) {
                    known.addresses.remove(&connection_id);
                }
                let _ = self.events.send(if num_established == 0 {
                    self.peers.remove(&peer_id);
                    HostEvent::Gone { peer: peer_id }
                } else {
                    HostEvent::Fewer { peer: peer_id }
                });
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                let to = peer_id.map_or_else(|| "the address".to_owned(), |peer| peer.to_string());
                match self.dials.remove(&connection_id) {
                    Some(reply) => drop(reply.send(Err(HostError::Dial { to, source: Box::new(error) }))),
                    None => tracing::debug!(%to, %error, "not reached"),
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => tracing::debug!(%error, "somebody did not come in"),
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => tracing::warn!(%error, "a listener ended"),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener"),
            _ => {}
        }
    }

    fn behaved(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => self.identified(peer_id, info),
            BehaviourEvent::Ping(ping::Event { peer, result: Ok(round_trip), .. }) => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.round_trip = Some(round_trip);
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.judge(propagation_source, message_id, message);
            }
            BehaviourEvent::Network(event) | BehaviourEvent::Ipfs(event) => self.asked(event),
            _ => {}
        }
    }

    fn identified(&mut self, peer: PeerId, info: identify::Info) {
        let identify::Info { protocols, agent_version: agent, listen_addrs, .. } = info;
        if let Some(known) = self.peers.get_mut(&peer) {
            known.agent = Some(agent.clone());
            known.protocols = protocols.iter().map(ToString::to_string).collect();
        }
        let is_wanted = |address: &&Multiaddr| self.accept_private_addresses || is_public(address);
        let addresses: Vec<_> = listen_addrs.iter().filter(is_wanted).take(MAX_ADDRESSES).cloned().collect();
        for dht in self.swarm.behaviour_mut().dhts() {
            if dht.protocol_names().iter().any(|name| protocols.contains(name)) {
                for address in &addresses {
                    let _ = dht.add_address(&peer, address.clone());
                }
                let is_first = dht.kbuckets().map(|bucket| bucket.num_entries()).sum::<usize>() == 1;
                if is_first && let Err(error) = dht.bootstrap() {
                    tracing::debug!(%error, "the table is not filled");
                }
            }
        }
        let dialled = self.peers.get(&peer).is_some_and(|known| known.dialled);
        let _ = self.events.send(HostEvent::Identified { peer, protocols, agent, dialled });
    }

    fn asked(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result: QueryResult::GetClosestPeers(result), step, .. } = event
        else {
            return;
        };
        let Some(peer) = self.lookups.get(&id).copied().filter(|_| step.last) else { return };
        self.lookups.remove(&id);
        let Ok(GetClosestPeersOk { peers, .. }) = result else { return self.not_found(peer) };
        let found: HashSet<_> =
            peers.into_iter().filter(|info| info.peer_id == peer).flat_map(|info| info.addrs).collect();
        if found.is_empty() {
            return self.not_found(peer);
        }
        let found: Vec<_> = found.into_iter().collect();
        self.wanted.remove(&peer).into_iter().flatten().for_each(|reply| drop(reply.send(found.clone())));
    }

    /// One DHT does not know a peer; the last to say so ends the search.
    fn not_found(&mut self, peer: PeerId) {
        if !self.lookups.values().any(|other| *other == peer) {
            self.wanted.remove(&peer).into_iter().flatten().for_each(|reply| drop(reply.send(Vec::new())));
        }
    }

    fn judge(&mut self, source: PeerId, id: MessageId, message: gossipsub::Message) {
        let Some((kind, _)) = self.topics.get(&message.topic) else { return };
        if self.judged.len() >= JUDGED {
            self.report(&id, &source, MessageAcceptance::Ignore);
            return;
        }
        let (judge, kind, bytes) = (Arc::clone(&self.judge), *kind, message.data);
        self.judged.spawn(async move {
            let looked = spawn_blocking(move || (judge(kind, &bytes), bytes)).await;
            // A judge that fails blames nobody.
            let (verdict, bytes) = looked.unwrap_or((Verdict::Ignore, Vec::new()));
            Judged { id, source, kind, bytes, verdict }
        });
    }

    fn tell(&mut self, judged: Result<Judged, tokio::task::JoinError>) {
        let Ok(Judged { id, source, kind, bytes, verdict }) = judged else { return };
        self.report(&id, &source, verdict.into());
        if verdict == Verdict::Accept {
            let _ = self.events.send(HostEvent::Gossip { kind, source, bytes });
        }
    }

    fn report(&mut self, id: &MessageId, source: &PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, source, acceptance);
    }
}

fn swarm(key: &Keypair, options: &HostOptions) -> Result<Swarm<Behaviour>, HostError> {
    fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
        HostError::Transport(Box::new(error))
    }
    let limits = options.limits;
    let muxer = yamux::Upgrade::new(&limits);
    let behaviour = Behaviour::new(key, options)?;
    let swarm = SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), (noise::Config::new, tls::Config::new), || muxer)
        .map_err(failed)?
        .with_other_transport(|key| quic::transport(key, &limits))
        .map_err(failed)?
        .with_dns()
        .map_err(failed)?
        .with_behaviour(|_| behaviour)
        .map_err(failed)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(limits.idle))
        .build();
    Ok(swarm)
}
