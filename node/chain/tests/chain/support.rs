//! What the tests of chains share: the recorded files, read in a few lines.

use std::path::Path;

use filecash_ipld::codec::dag_cbor;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::{Block, Cid, varint};

/// A file of `tests/vectors/chain`.
pub fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The root and the blocks of a CAR file of version 1: a header of dag-cbor, then CID ‖ bytes, each behind its length.
pub fn car(name: &str) -> (Cid, Vec<Block>) {
    let bytes = vector(name);
    let mut rest = &bytes[..];
    let section = |rest: &mut &[u8]| {
        let length = varint::read(rest).unwrap() as usize;
        let (section, behind) = rest.split_at(length);
        *rest = behind;
        section.to_vec()
    };
    let header = dag_cbor::decode(&section(&mut rest)).unwrap();
    let root = header.links()[0];
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let section = section(&mut rest);
        let mut bytes = &section[..];
        let cid = Cid::read_bytes(&mut bytes).unwrap();
        blocks.push(Block::checked(cid, bytes.to_vec()).unwrap());
    }
    (root, blocks)
}

/// The root of such a file, and a store that has its blocks.
pub fn stored(name: &str) -> (Cid, MemoryStore) {
    let (root, blocks) = car(name);
    let store = MemoryStore::default();
    store.put(&blocks).unwrap();
    (root, store)
}
