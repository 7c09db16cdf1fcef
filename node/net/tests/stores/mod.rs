//! Stores, files in them, and hosts that give them by graphsync.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::{KUBO, Profile};
use filecash_ipld::unixfs::read::Reader;
use filecash_net::graphsync::{Graphsync, GraphsyncOptions, Source};
use filecash_net::host::Host;

use crate::hosts::{address_of, host};

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
    Source { peer: host.peer_id(), addresses: vec![address_of(host, "/tcp/").await] }
}

/// Bytes that repeat nowhere.
pub fn noise(length: usize) -> Vec<u8> {
    seeded(length, 1)
}

/// Such bytes, others for each seed.
pub fn seeded(length: usize, seed: u64) -> Vec<u8> {
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

/// A file in a store, as kubo has it.
pub fn import(store: &dyn BlockStore, bytes: &[u8]) -> Cid {
    import_as(KUBO, store, bytes)
}

/// A file in a store.
pub fn import_as(profile: Profile, store: &dyn BlockStore, bytes: &[u8]) -> Cid {
    let mut importer = Importer::new(profile, |blocks| store.put(blocks));
    let file = importer.file(bytes).unwrap();
    importer.finish().unwrap();
    file.cid
}

pub fn read(store: &dyn BlockStore, root: &Cid) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut Reader::new(store, root).unwrap(), &mut bytes).unwrap();
    bytes
}
