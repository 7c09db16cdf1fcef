//! Hosts with stores, and files in them.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::KUBO;
use filecash_ipld::unixfs::read::Reader;
use filecash_net::Multiaddr;
use filecash_net::gossip::Verdict;
use filecash_net::graphsync::{Graphsync, GraphsyncOptions, Source};
use filecash_net::host::{Host, HostOptions};
use libp2p::identity::Keypair;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn host() -> Host {
    let options = HostOptions::on_loopback("testing");
    Host::start(&Keypair::generate_ed25519(), &options, Arc::new(|_, _| Verdict::Accept)).unwrap().0
}

pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A host and what it has.
pub struct Node<S> {
    pub host: Host,
    pub store: Arc<S>,
    pub graphsync: Graphsync,
}

pub fn node_of<S: BlockStore + 'static>(store: S, options: GraphsyncOptions) -> Node<S> {
    let (host, store) = (host(), Arc::new(store));
    let (graphsync, _) = Graphsync::run(&host, Arc::clone(&store) as Arc<dyn BlockStore>, options).unwrap();
    Node { host, store, graphsync }
}

pub fn node() -> Node<MemoryStore> {
    node_of(MemoryStore::default(), GraphsyncOptions::default())
}

impl<S> Node<S> {
    pub async fn source(&self) -> Source {
        source_of(&self.host).await
    }
}

/// Where a host is, over TCP.
pub async fn source_of(host: &Host) -> Source {
    let addresses = until("listening", async || {
        let addresses = host.addresses().await.unwrap();
        addresses.iter().any(|address| address.to_string().contains("/tcp/")).then_some(addresses)
    });
    let full = |address: Multiaddr| address.with(libp2p::multiaddr::Protocol::P2p(host.peer_id()));
    let addresses = addresses.await.into_iter().filter(|address| address.to_string().contains("/tcp/"));
    Source { peer: host.peer_id(), addresses: addresses.map(full).collect() }
}

/// Bytes that repeat nowhere.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A file in a store, as kubo has it.
pub fn import(store: &dyn BlockStore, bytes: &[u8]) -> Cid {
    let mut importer = Importer::new(KUBO, |blocks| store.put(blocks));
    let file = importer.file(bytes).unwrap();
    importer.finish().unwrap();
    file.cid
}

pub fn read(store: &dyn BlockStore, root: &Cid) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut Reader::new(store, root).unwrap(), &mut bytes).unwrap();
    bytes
}
