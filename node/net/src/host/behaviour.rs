//! What runs on each connection.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, BucketInserts, Mode, StoreInserts};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, identify, ping};

use super::{AGENT, HostError, HostOptions, incoming};
use crate::gossip::{self, Gossip};

/// What identify calls the protocols as a whole, as all of IPFS does.
const PROTOCOLS: &str = "ipfs/0.1.0";
/// Peers that a question of the DHT is put to at once. Source: `spec/network.md` 3.
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub identify: identify::Behaviour,
    ping: ping::Behaviour,
    /// Of the network itself.
    pub network: kad::Behaviour<MemoryStore>,
    /// Of IPFS.
    pub ipfs: Toggle<kad::Behaviour<MemoryStore>>,
    pub gossip: Gossip,
    pub streams: libp2p_stream::Behaviour,
    pub incoming: incoming::Behaviour,
}

impl Behaviour {
    pub fn new(key: &Keypair, options: &HostOptions) -> Result<Self, HostError> {
        let limits = options.limits;
        let connections = ConnectionLimits::default()
            .with_max_established(Some(limits.connections))
            .with_max_established_incoming(Some(limits.incoming))
            .with_max_established_per_peer(Some(limits.per_peer))
            .with_max_pending_incoming(Some(limits.pending))
            .with_max_pending_outgoing(Some(limits.pending));
        let identify = identify::Config::new(PROTOCOLS.to_owned(), key.public()).with_agent_version(AGENT.to_owned());
        let ipfs = options.ipfs_dht.as_ref().map(|prefix| dht(key, format!("{prefix}/kad/1.0.0"))).transpose()?;
        Ok(Self {
            limits: connection_limits::Behaviour::new(connections),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new()),
            network: dht(key, format!("/fil/kad/{}/kad/1.0.0", options.network))?,
            ipfs: ipfs.into(),
            gossip: gossip::behaviour(key, &options.network, options.is_bootstrapper)?,
            streams: libp2p_stream::Behaviour::new(),
            incoming: incoming::Behaviour::default(),
        })
    }

    /// The DHTs.
    pub fn dhts(&mut self) -> impl Iterator<Item = &mut kad::Behaviour<MemoryStore>> {
        [Some(&mut self.network), self.ipfs.as_mut()].into_iter().flatten()
    }
}

/// A DHT that finds peers, and keeps nothing for others.
fn dht(key: &Keypair, protocol: String) -> Result<kad::Behaviour<MemoryStore>, HostError> {
    let name = StreamProtocol::try_from_owned(protocol.clone()).map_err(|_| HostError::Network(protocol))?;
    let peer = key.public().to_peer_id();
    let nothing = MemoryStoreConfig { max_records: 0, max_provided_keys: 0, ..MemoryStoreConfig::default() };
    let mut config = kad::Config::new(name);
    config
        .set_parallelism(PARALLELISM)
        .set_query_timeout(Duration::from_secs(60))
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_record_ttl(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        // Who has said that it speaks this, at addresses that are looked at first.
        .set_kbucket_inserts(BucketInserts::Manual);
    let mut dht = kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, nothing), config);
    dht.set_mode(Some(Mode::Server));
    Ok(dht)
}
