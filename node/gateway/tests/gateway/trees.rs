//! What is served: files and folders by our importer, and CARs as clients read them.

use std::sync::Arc;

use filecash_gateway::request::MOST_NAMES;
use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarReader};
use filecash_ipld::codec::{Codec, Ipld, dag_cbor};
use filecash_ipld::hash::HashKind;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::unixfs::import::{Imported, Importer};
use filecash_ipld::unixfs::profile::{KUBO_V1, Profile};
use filecash_ipld::{Block, hash};

/// Small nodes, so that small files have deep trees.
pub const SMALL: Profile = Profile { chunk: 100, links: 3, shard_from: 1000, ..KUBO_V1 };

/// Bytes `i mod 251`.
pub fn data(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8).collect()
}

/// Blocks of a file of 5000 bytes, folders and a value.
pub struct Trees {
    pub store: Arc<MemoryStore>,
    pub file: Cid,
    /// `file`, `empty`, `link`, `again` (the file), `ü` (empty), `many` (a sharded folder of 200 names `name-I` of files of I bytes), `value`.
    pub folder: Cid,
    pub many: Cid,
    /// `{"file": the file, "list": [null, the folder], "number": 7}`
    pub value: Cid,
    /// Folders in each other, as many as a path has names.
    pub deep: Cid,
}

pub fn trees() -> Trees {
    let store = Arc::new(MemoryStore::default());
    let mut importer = Importer::new(SMALL, |blocks| store.put(blocks));
    let file = importer.file(&data(5000)[..]).unwrap();
    let empty = importer.file(&b""[..]).unwrap();
    let link = importer.symlink("file").unwrap();
    let entries = (0..200).map(|i| (format!("name-{i}"), importer.file(&data(i)[..]).unwrap())).collect();
    let many = importer.folder(entries).unwrap();
    let value = |folder: Cid| {
        Ipld::Map(vec![
            ("file".to_owned(), Ipld::Link(file.cid)),
            ("list".to_owned(), Ipld::List(vec![Ipld::Null, Ipld::Link(folder)])),
            ("number".to_owned(), Ipld::Integer(7)),
        ])
    };
    let inner = importer.folder(vec![("file".to_owned(), file)]).unwrap();
    let block = Block::new(HashKind::Sha256, Codec::DagCbor, dag_cbor::encode(&value(inner.cid))).unwrap();
    store.put(std::slice::from_ref(&block)).unwrap();
    let value = Imported { cid: *block.cid(), size: 0, tsize: 0 };
    let names = [
        ("file", &file),
        ("empty", &empty),
        ("link", &link),
        ("again", &file),
        ("many", &many),
        ("value", &value),
        ("ü", &empty),
    ];
    let folder = importer.folder(names.map(|(name, entry)| (name.to_owned(), *entry)).to_vec()).unwrap();
    let mut deep = file;
    for _ in 0..MOST_NAMES {
        deep = importer.folder(vec![("d".to_owned(), deep)]).unwrap();
    }
    importer.finish().unwrap();
    Trees { store, file: file.cid, folder: folder.cid, many: many.cid, value: value.cid, deep: deep.cid }
}

/// The roots and blocks of a CAR, all checked.
pub fn car(bytes: &[u8]) -> (Vec<Cid>, Vec<Block>) {
    let car = CarReader::new(bytes, &CarOptions::default()).unwrap();
    let roots = car.roots().to_vec();
    let blocks: Vec<Block> = car.map(|block| block.unwrap()).collect();
    assert!(blocks.iter().all(|block| hash::inlined(block.cid()).is_none()));
    (roots, blocks)
}

pub fn cids(blocks: &[Block]) -> Vec<String> {
    blocks.iter().map(|block| block.cid().to_string()).collect()
}

/// A store with nothing but the blocks of a CAR, as a client has it.
pub fn store_of(bytes: &[u8]) -> MemoryStore {
    let store = MemoryStore::default();
    store.put(&car(bytes).1).unwrap();
    store
}
