//! A node, and what tests do with it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, MemoryStore, StoreError};
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::Profile;
use filecash_ipld::unixfs::read::Reader;
use filecash_ipld::{Block, codec};
use filecash_net::bitswap::{self, Bitswap, Options};
use filecash_net::gossip::Verdict;
use filecash_net::host::{Host, HostOptions};
use filecash_net::{Multiaddr, PeerId};
use libp2p::identity::Keypair;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// A store that counts blocks which are put though they are there.
#[derive(Default)]
pub struct Store {
    memory: MemoryStore,
    repeated: AtomicU64,
}

impl Store {
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }
}

impl BlockStore for Store {
    fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
        for block in blocks {
            let is_there = self.memory.size(block.cid())?.is_some();
            self.repeated.fetch_add(is_there.into(), Ordering::Relaxed);
        }
        self.memory.put(blocks)
    }

    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get_kept(cid)
    }

    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.memory.size_kept(cid)
    }

    fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError> {
        self.memory.remove(cids)
    }
}

/// A host with bitswap over a store in memory.
pub struct Node {
    pub host: Host,
    pub bitswap: Bitswap,
    pub store: Arc<Store>,
}

impl Node {
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> Self {
        let host = bare_host();
        let store = Arc::new(Store::default());
        let bitswap = bitswap::run(&host, store.clone(), options).unwrap();
        Self { host, bitswap, store }
    }

    pub fn id(&self) -> PeerId {
        self.host.peer_id()
    }

    pub async fn connect(&self, to: &Self) {
        self.host.connect(vec![address(&to.host).await]).await.unwrap();
    }

    pub fn import(&self, profile: Profile, bytes: &[u8]) -> Cid {
        let mut importer = Importer::new(profile, |blocks| self.store.put(blocks));
        let imported = importer.file(bytes).unwrap();
        importer.finish().unwrap();
        imported.cid
    }

    /// All blocks of a DAG.
    pub fn blocks(&self, root: &Cid) -> Vec<Cid> {
        let (mut all, mut known) = (vec![*root], HashSet::from([*root]));
        let mut next = 0;
        while let Some(cid) = all.get(next).copied() {
            next += 1;
            for link in codec::links(&cid, &self.store.get(&cid).unwrap().unwrap()).unwrap() {
                if known.insert(link) {
                    all.push(link);
                }
            }
        }
        all
    }

    pub fn file(&self, root: &Cid) -> Vec<u8> {
        let mut bytes = Vec::new();
        std::io::copy(&mut Reader::new(&*self.store, root).unwrap(), &mut bytes).unwrap();
        bytes
    }
}

/// A host without bitswap.
pub fn bare_host() -> Host {
    let options = HostOptions::on_loopback("testing");
    Host::start(&Keypair::generate_ed25519(), &options, Arc::new(|_, _: &[u8]| Verdict::Accept)).unwrap().0
}

/// Where a host listens by TCP, with its id.
pub async fn address(host: &Host) -> Multiaddr {
    let mut tries = 0;
    loop {
        let addresses = host.addresses().await.unwrap();
        if let Some(address) = addresses.into_iter().find(|address| address.to_string().contains("/tcp/")) {
            return address.with(libp2p::multiaddr::Protocol::P2p(host.peer_id()));
        }
        tries += 1;
        assert!(tries < 400, "nothing is listened on");
        sleep(Duration::from_millis(25)).await;
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
