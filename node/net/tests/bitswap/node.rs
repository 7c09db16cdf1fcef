//! A node, and what tests do with it.

use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::Profile;
use filecash_ipld::unixfs::read::Reader;
use filecash_net::bitswap::{self, Bitswap, Options};
use filecash_net::gossip::Verdict;
use filecash_net::host::{Host, HostOptions};
use filecash_net::{Multiaddr, PeerId};
use libp2p::identity::Keypair;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// A host with bitswap over a store in memory.
pub struct Node {
    pub host: Host,
    pub bitswap: Bitswap,
    pub store: Arc<MemoryStore>,
}

impl Node {
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> Self {
        let host_options = HostOptions::on_loopback("testing");
        let judge = Arc::new(|_, _: &[u8]| Verdict::Accept);
        let host = Host::start(&Keypair::generate_ed25519(), &host_options, judge).unwrap().0;
        let store = Arc::new(MemoryStore::default());
        let bitswap = bitswap::run(&host, store.clone(), options).unwrap();
        Self { host, bitswap, store }
    }

    pub fn id(&self) -> PeerId {
        self.host.peer_id()
    }

    pub async fn address(&self, part: &str) -> Multiaddr {
        let mut tries = 0;
        loop {
            let addresses = self.host.addresses().await.unwrap();
            if let Some(address) = addresses.into_iter().find(|address| address.to_string().contains(part)) {
                return address.with(libp2p::multiaddr::Protocol::P2p(self.id()));
            }
            tries += 1;
            assert!(tries < 400, "{part} is not listened on");
            sleep(Duration::from_millis(25)).await;
        }
    }

    pub async fn connect(&self, to: &Self) {
        self.host.connect(vec![to.address("/tcp/").await]).await.unwrap();
    }

    pub fn import(&self, profile: Profile, bytes: &[u8]) -> Cid {
        let mut importer = Importer::new(profile, |blocks| self.store.put(blocks));
        let imported = importer.file(bytes).unwrap();
        importer.finish().unwrap();
        imported.cid
    }

    pub fn file(&self, root: &Cid) -> Vec<u8> {
        let mut bytes = Vec::new();
        std::io::copy(&mut Reader::new(&*self.store, root).unwrap(), &mut bytes).unwrap();
        bytes
    }
}

/// Bytes of which no two blocks are the same.
pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
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

pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it takes too long")
}
