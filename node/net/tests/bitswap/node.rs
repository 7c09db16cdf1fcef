//! A node, and what tests do with it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, MemoryStore, StoreError};
use filecash_ipld::unixfs::profile::Profile;
use filecash_ipld::{Block, codec};
use filecash_net::PeerId;
use filecash_net::bitswap::{self, Bitswap, Options};
use filecash_net::host::Host;

use crate::hosts::{connect, host};
use crate::stores::{import_as, read};

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
        let host = host();
        let store = Arc::new(Store::default());
        let bitswap = bitswap::run(&host, store.clone(), options).unwrap();
        Self { host, bitswap, store }
    }

    pub fn id(&self) -> PeerId {
        self.host.peer_id()
    }

    pub async fn connect(&self, to: &Self) {
        connect(&self.host, &to.host).await;
    }

    pub fn import(&self, profile: Profile, bytes: &[u8]) -> Cid {
        import_as(profile, &*self.store, bytes)
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
        read(&*self.store, root)
    }
}
