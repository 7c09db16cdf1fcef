//! Blocks and files of blocks.

use std::io::{Cursor, Seek, Write};

use filecash_ipld::car::{CarOptions, CarReader, CarStore, CarWriter, IndexedCarWriter};
use filecash_ipld::codec::dag_cbor;
use filecash_ipld::codec::dag_pb::PbNode;
use filecash_ipld::store::BlockStore;
use filecash_ipld::{Block, Cid, hash};

/// A CAR, with and without padding. Blocks are those of their CIDs; sections are written as they were read; both versions that are
/// written give the same blocks; a store over the file gives no other. As many acceptances as ways to read it to its end.
pub fn car(data: &[u8]) -> usize {
    let mut accepted = 0;
    for allow_padding in [false, true] {
        let options = CarOptions { allow_padding, ..CarOptions::default() };
        let Ok(mut reader) = CarReader::new(data, &options) else { continue };
        let (roots, first) = (reader.roots().to_vec(), reader.position() as usize);
        let mut blocks = Vec::new();
        let whole = reader.by_ref().all(|block| block.map(|block| blocks.push(block)).is_ok());
        assert!(reader.next().is_none());
        for block in &blocks {
            assert_eq!(hash::verify(block.cid(), block.bytes()), Ok(()));
        }
        written(&roots, &blocks, &data[first..]);
        stored(data, &blocks, &options, whole);
        accepted += usize::from(whole);
    }
    accepted
}

fn written(roots: &[Cid], blocks: &[Block], sections: &[u8]) {
    let options = CarOptions::default();
    let mut writer = CarWriter::new(Vec::new(), roots).expect("memory takes all bytes");
    let first = writer.written() as usize;
    let mut indexed = IndexedCarWriter::new(Cursor::new(Vec::new()), roots).expect("memory takes all bytes");
    for block in blocks {
        writer.write(block).expect("memory takes all bytes");
        indexed.write(block).expect("memory takes all bytes");
    }
    let one = writer.finish().expect("memory takes all bytes");
    assert!(sections.starts_with(&one[first..]));
    let two = indexed.finish().expect("memory takes all bytes").into_inner();
    for bytes in [one, two] {
        let reader = CarReader::new(&bytes[..], &options).expect("it was just written");
        assert_eq!(reader.roots(), roots);
        assert!(reader.map(|block| block.expect("it was just written")).eq(blocks.iter().cloned()));
    }
}

fn stored(data: &[u8], blocks: &[Block], options: &CarOptions, whole: bool) {
    let mut file = tempfile::tempfile().expect("there is room");
    file.write_all(data).expect("there is room");
    file.rewind().expect("files can be read again");
    let Ok(store) = CarStore::new(file, options) else { return };
    for block in blocks {
        match store.get(block.cid()) {
            Ok(Some(bytes)) => assert_eq!(bytes, block.bytes()),
            // An index of the file's own may be wrong.
            Ok(None) => assert!(data.starts_with(&filecash_ipld::car::PRAGMA) || !whole),
            Err(_) => {}
        }
    }
}

/// A block as dag-cbor and as dag-pb: each has one form, so what is read is written as it was. Only dag-pb is read with its data in front
/// of its links, too, and written as the same node with the links in front. As many acceptances as codecs.
pub fn dag(data: &[u8]) -> usize {
    let mut accepted = 0;
    if let Ok(value) = dag_cbor::decode(data) {
        assert_eq!(dag_cbor::encode(&value), data);
        assert!(dag_cbor::decode_first(data).is_ok_and(|first| first == Some((value, data.len()))));
        accepted += 1;
    }
    if let Ok(node) = PbNode::decode(data) {
        let data_first = !node.links.is_empty() && data.starts_with(&[0x0a]);
        assert_eq!(node.encode() == data, !data_first);
        assert_eq!(PbNode::decode(&node.encode()).as_ref(), Ok(&node));
        let links: Vec<_> = node.links.iter().map(|link| link.cid).collect();
        assert_eq!(node.into_ipld().links(), links);
        accepted += 1;
    }
    accepted
}
