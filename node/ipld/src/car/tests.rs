use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use super::*;
use crate::block::Block;
use crate::codec::Codec;
use crate::hash::HashKind;
use crate::store::{BlockStore, MemoryStore, StoreError, import};

/// By `@ipld/car`: two roots; sections of sha2-256, an empty block, a CIDv0, sha2-512, an identity, dag-cbor, and the first again.
const FOREIGN: &[u8] = include_bytes!("../../../../tests/vectors/js-car.car");
const GENESIS: &[u8] = include_bytes!("../../../../tests/vectors/chain/filecash-genesis.car");

fn reader(bytes: &[u8]) -> Result<CarReader<&[u8]>, CarError> {
    CarReader::new(bytes, &CarOptions::default())
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    reader(bytes).unwrap().map(Result::unwrap).collect()
}

fn raw(text: &str) -> Block {
    Block::new(HashKind::Sha256, Codec::Raw, text.as_bytes().to_vec()).unwrap()
}

fn identity(text: &str) -> Block {
    Block::new(HashKind::Identity, Codec::Raw, text.as_bytes().to_vec()).unwrap()
}

fn version_1(roots: &[Cid], blocks: &[Block]) -> Vec<u8> {
    let mut writer = CarWriter::new(Vec::new(), roots).unwrap();
    blocks.iter().for_each(|block| writer.write(block).unwrap());
    writer.finish().unwrap()
}

fn version_2(blocks: &[Block], kind: IndexKind) -> Vec<u8> {
    let mut writer = IndexedCarWriter::new(Cursor::new(Vec::new()), &[]).unwrap().with_index(kind);
    blocks.iter().for_each(|block| writer.write(block).unwrap());
    writer.finish().unwrap().into_inner()
}

fn open(bytes: &[u8], options: &CarOptions) -> Result<CarStore, CarError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    CarStore::new(file, options)
}

/// What goes wrong first, when all is read.
fn failure(bytes: &[u8], options: &CarOptions) -> Option<String> {
    match CarReader::new(bytes, options) {
        Ok(mut reader) => {
            let error = reader.find_map(Result::err);
            assert!(reader.next().is_none());
            error.map(|error| error.to_string())
        }
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn files_of_others_are_read_and_written_byte_for_byte() {
    for (bytes, roots, count) in [(FOREIGN, 2, 7), (GENESIS, 1, 256)] {
        let blocks = blocks(bytes);
        let header = reader(bytes).unwrap();
        assert_eq!((header.roots().len(), header.head(), blocks.len()), (roots, None, count));
        assert_eq!(version_1(header.roots(), &blocks), bytes);
        let store = MemoryStore::default();
        assert_eq!(import(&store, header).unwrap(), count as u64);
        for block in &blocks {
            assert_eq!(store.get(block.cid()).unwrap().unwrap(), block.bytes());
        }
    }
    let cids: Vec<_> = blocks(FOREIGN).iter().map(|block| block.cid().to_string()).collect();
    assert_eq!(cids[2], "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
    assert_eq!(cids[4], "bafkqaddjorzsa33xnyqg4ylnmu");
    assert_eq!(cids[5], "bafyreihsw5e6yrmqozkltakm6l6wzhmr5ab5d7zqndembgblbicp44geom");
}

/// The layout of go-car, written out: a digest of 32 bytes and one of 64, an identity that is left out.
#[test]
fn an_index_has_the_layout_of_the_reference() {
    let sha512 = Block::new(HashKind::Sha512, Codec::Raw, b"wide".to_vec()).unwrap();
    let blake = Block::new(HashKind::Blake2b256, Codec::Raw, b"narrow".to_vec()).unwrap();
    let blocks = [raw("b"), sha512.clone(), identity("i"), blake.clone(), raw("a")];
    let data = version_1(&[], &blocks);
    let mut at = 18_u64;
    let offsets = [37, 72, 6, 44, 37].map(|length: u64| {
        let place = hex::encode(at.to_le_bytes());
        at += length + 1;
        place
    });
    assert_eq!(at as usize, data.len());
    let digest = |block: &Block| hex::encode(block.cid().hash().digest());
    // Of "a" it begins with ca, of "b" with 3e.
    let row = |block: &Block, place: usize| digest(block) + &offsets[place];
    let (a, b) = (row(&blocks[4], 4), row(&blocks[0], 0));
    let (wide, narrow) = (row(&sha512, 1), row(&blake, 3));
    let bucket = |width: &str, bytes: &str, rows: &[&String]| {
        format!("{width}000000{bytes}00000000000000{}", rows.iter().map(|row| row.as_str()).collect::<String>())
    };
    let sorted_by_function = "8108".to_owned()
        + "03000000"
        + "1200000000000000"
        + "01000000"
        + &bucket("28", "50", &[&b, &a])
        + "1300000000000000"
        + "01000000"
        + &bucket("48", "48", &[&wide])
        + "20b2000000000000"
        + "01000000"
        + &bucket("28", "28", &[&narrow]);
    let mut three = [&a, &b, &narrow];
    three.sort();
    let sorted = "8008".to_owned() + "02000000" + &bucket("28", "78", &three) + &bucket("48", "48", &[&wide]);
    for (kind, index) in [(IndexKind::MultihashSorted, sorted_by_function), (IndexKind::Sorted, sorted)] {
        let car = version_2(&blocks, kind);
        let head = "0aa16776657273696f6e02".to_owned()
            + &"00".repeat(16)
            + "3300000000000000"
            + &hex::encode((data.len() as u64).to_le_bytes())
            + &hex::encode((data.len() as u64 + 51).to_le_bytes());
        assert_eq!(hex::encode(&car), head + &hex::encode(&data) + &index);
    }
}

#[test]
fn the_inner_file_of_a_version_2_is_read() {
    let original = blocks(GENESIS);
    let car = version_2(&original, IndexKind::MultihashSorted);
    assert_eq!(blocks(&car), original);
    let head = *reader(&car).unwrap().head().unwrap();
    assert_eq!((head.data_offset, head.fully_indexed), (51, false));
    assert_eq!(head.index_offset, 51 + head.data_size);
    // Room before the blocks and behind them, and no index.
    let data = &car[51..head.index_offset as usize];
    let moved = Head { data_offset: 151, index_offset: 0, ..head };
    let car = [&PRAGMA[..], &moved.encode(), &[7; 100], data, b"anything"].concat();
    assert_eq!(blocks(&car), original);
    let store = open(&car, &CarOptions::default()).unwrap();
    assert_eq!(store.get(original[200].cid()).unwrap().unwrap(), original[200].bytes());
    // One that was not written to its end.
    let mut unfinished = version_2(&original, IndexKind::MultihashSorted);
    unfinished[11..51].fill(0);
    assert!(failure(&unfinished, &CarOptions::default()).unwrap().contains("not written to its end"));
}

#[test]
fn blocks_are_found_by_all_kinds_of_index() {
    for bytes in [FOREIGN, GENESIS] {
        let original = blocks(bytes);
        for car in
            [bytes.to_vec(), version_2(&original, IndexKind::Sorted), version_2(&original, IndexKind::MultihashSorted)]
        {
            let store = open(&car, &CarOptions::default()).unwrap();
            for block in &original {
                assert_eq!(store.get(block.cid()).unwrap().unwrap(), block.bytes());
                assert_eq!(store.size(block.cid()).unwrap(), Some(block.bytes().len() as u64));
            }
            // Digests of all functions, before, between and behind those that are there.
            for seed in 0..300 {
                for hash in [HashKind::Sha256, HashKind::Sha512, HashKind::Blake2b256] {
                    let other = Block::new(hash, Codec::Raw, vec![seed as u8, (seed >> 8) as u8, 0xee]).unwrap();
                    assert_eq!(store.get(other.cid()).unwrap(), None);
                }
            }
            assert!(matches!(store.put(&original), Err(StoreError::ReadOnly)));
            assert!(matches!(store.remove(&[]), Err(StoreError::ReadOnly)));
        }
    }
    assert_eq!(open(FOREIGN, &CarOptions::default()).unwrap().roots(), reader(FOREIGN).unwrap().roots());
}

/// The same digest under two functions makes an index without functions name both.
#[test]
fn an_index_of_digests_alone_does_not_mix_functions() {
    let one = raw("one");
    let forged = Cid::new_v1(0x55, multihash::Multihash::wrap(0xb220, one.cid().hash().digest()).unwrap());
    let blocks = [Block::trusted(forged, b"other".to_vec()), one.clone()];
    let store = open(&version_2(&blocks, IndexKind::Sorted), &CarOptions::default()).unwrap();
    assert_eq!(store.get(one.cid()).unwrap().unwrap(), b"one");
    assert!(matches!(store.get(&forged), Err(StoreError::Damaged { .. })));
    let alone = open(&version_2(&blocks[..1], IndexKind::Sorted), &CarOptions::default()).unwrap();
    assert_eq!(alone.get(one.cid()).unwrap(), None);
}

#[test]
fn identities_are_indexed_when_all_is() {
    let original = blocks(FOREIGN);
    let mut writer = IndexedCarWriter::new(Cursor::new(Vec::new()), &[]).unwrap().fully_indexed();
    original.iter().for_each(|block| writer.write(block).unwrap());
    let car = writer.finish().unwrap().into_inner();
    let plain = version_2(&original, IndexKind::MultihashSorted);
    let head = *reader(&car).unwrap().head().unwrap();
    assert!(head.fully_indexed && !reader(&plain).unwrap().head().unwrap().fully_indexed);
    assert_eq!(car[11], 0x80);
    let (full, less) = (&car[head.index_offset as usize..], &plain[head.index_offset as usize..]);
    // The function 0 comes first: its code, one bucket, a width of 12 + 8, and its row.
    assert_eq!(full.len(), less.len() + 8 + 4 + 12 + 20);
    assert_eq!(&full[..22], b"\x81\x08\x03\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x14\0\0\0");
    assert_eq!(&full[30..42], b"its own name");
    let offset = u64::from_le_bytes(full[42..50].try_into().unwrap()) as usize;
    assert_eq!(&car[51 + offset..][..6], b"\x1c\x01\x55\x00\x0cit"[..6].as_ref());
    assert!(open(&car, &CarOptions::default()).unwrap().get(original[4].cid()).unwrap().is_some());
}

#[test]
fn padding_is_read_when_it_is_asked_for() {
    let options = CarOptions { allow_padding: true, ..CarOptions::default() };
    let padded = [GENESIS, &[0; 200_000]].concat();
    let end = GENESIS.len();
    assert_eq!(
        failure(&padded, &CarOptions::default()).unwrap(),
        format!("no CAR: at byte {end}, a section of no bytes")
    );
    assert!(open(&padded, &CarOptions::default()).unwrap_err().to_string().contains("of no bytes"));
    assert_eq!(failure(&padded, &options), None);
    assert_eq!(CarReader::new(&padded[..], &options).unwrap().count(), 256);
    let cid = *blocks(GENESIS)[255].cid();
    assert!(open(&padded, &options).unwrap().get(&cid).unwrap().is_some());
    let mut dirty = padded;
    dirty[end + 150_000] = 1;
    let message = format!("no CAR: at byte {}, something behind a section of no bytes", end + 150_000);
    assert_eq!(failure(&dirty, &options).unwrap(), message);
    assert_eq!(open(&dirty, &options).unwrap_err().to_string(), message);
}

#[test]
fn damaged_blocks_are_noticed() {
    let block = raw("hello");
    let mut car = version_1(&[], &[raw("before"), block.clone(), raw("behind")]);
    let place = car.windows(5).position(|window| window == b"hello").unwrap();
    car[place] = b'j';
    let mut damaged = reader(&car).unwrap();
    assert!(damaged.next().unwrap().is_ok());
    let error = damaged.next().unwrap().unwrap_err();
    assert!(matches!(error, CarError::Block { at, .. } if at == place as u64 - 37), "{error:?}");
    assert!(damaged.next().is_none());
    let trusting = CarOptions { verify: false, ..CarOptions::default() };
    let read: Vec<_> = CarReader::new(&car[..], &trusting).unwrap().map(Result::unwrap).collect();
    assert_eq!((read.len(), read[1].bytes()), (3, &b"jello"[..]));
    assert!(matches!(open(&car, &CarOptions::default()).unwrap().get(block.cid()), Err(StoreError::Damaged { .. })));
    assert_eq!(open(&car, &trusting).unwrap().get(block.cid()).unwrap().unwrap(), b"jello");
}

#[test]
fn other_forms_are_refused() {
    let long = hex::encode([&[0x81, 0x80, 0x80, 0x01][..], &[0; 9]].concat());
    let cid = "01551220".to_owned() + &"11".repeat(32);
    let header = "11a265726f6f7473806776657273696f6e01".to_owned();
    let options = CarOptions { max_section_bytes: 100, ..CarOptions::default() };
    for (text, what) in [
        (String::new(), "ends at byte 0"),
        ("80".to_owned(), "ends at byte 1"),
        ("8000".to_owned(), "a length that is no number"),
        ("00".to_owned(), "a header that is no map"),
        ("11a265".to_owned(), "ends at byte 3"),
        ("0180".to_owned(), "a header that is no map"),
        ("01a0".to_owned(), "without a version"),
        (long, "2097153 bytes at byte 0 where at most 1048576"),
        ("0aa16776657273696f6e01".to_owned(), "without roots"),
        ("0aa16776657273696f6e03".to_owned(), "version 3"),
        ("0aa16776657273696f6e20".to_owned(), "version -1"),
        ("11a265726f6f7473806776657273696f6e02".to_owned(), "a pragma with roots"),
        ("12a265726f6f747381006776657273696f6e01".to_owned(), "a root that is no CID"),
        ("0da2617800".to_owned() + "6776657273696f6e01", "does not have"),
        (header.clone() + "80", "ends at byte 19"),
        (header.clone() + "8000", "byte 18, a length that is no number"),
        (header.clone() + "00", "byte 18, a section of no bytes"),
        (header.clone() + "02", "ends at byte 19"),
        (header.clone() + "020155", "byte 18, a section without a CID"),
        (header.clone() + "65", "101 bytes at byte 18 where at most 100"),
        (header.clone() + "23" + &cid[..70], "byte 18, a section without a CID"),
        (header.clone() + "24" + &cid, "the block of the section at byte 18"),
        (header + "25" + &cid, "ends at byte 55"),
    ] {
        let bytes = hex::decode(&text).unwrap();
        let error = failure(&bytes, &options).unwrap();
        assert!(error.contains(what), "{text}: {error}");
        if !what.contains("the block of") {
            assert!(open(&bytes, &options).is_err(), "{text}");
        }
    }
    let long = format!("0b{}", "a16776657273696f6e1802");
    assert!(failure(&hex::decode(long).unwrap(), &options).unwrap().contains("no map"));
}

#[test]
fn wrong_heads_and_indices_are_refused() {
    let car = version_2(&[raw("a"), raw("b")], IndexKind::MultihashSorted);
    let head = *reader(&car).unwrap().head().unwrap();
    let with = |head: Head| [&PRAGMA[..], &head.encode(), &car[51..]].concat();
    assert_eq!(with(head), car);
    for (changed, what) in [
        (Head { data_offset: 50, ..head }, "blocks within the head"),
        (Head { data_offset: 1 << 40, ..head }, "an index within the blocks"),
        (Head { data_offset: 1 << 40, index_offset: 0, ..head }, "ends at byte"),
        (Head { data_size: u64::MAX, ..head }, "more blocks than there can be"),
        (Head { data_size: 1 << 62, index_offset: 0, ..head }, ""),
        (Head { data_size: head.data_size - 1, ..head }, "ends at byte"),
        (Head { data_size: 0, ..head }, "ends at byte 51"),
        (Head { index_offset: 60, ..head }, "an index within the blocks"),
        (Head::default(), "not written to its end"),
    ] {
        let error = failure(&with(changed), &CarOptions::default()).unwrap();
        assert!(error.contains(what), "{error}");
        // Whether a block is cut off is seen when it is looked for.
        let opened = open(&with(changed), &CarOptions::default());
        assert!(opened.map_or(true, |store| store.get(raw("b").cid()).is_err()), "{changed:?}");
    }
    let double = [&with(head)[..51], &car].concat();
    assert!(failure(&double, &CarOptions::default()).unwrap().contains("version 2 in another"));

    let at = head.index_offset as usize;
    let with = |place: usize, bytes: &[u8]| {
        let mut car = car.clone();
        car[at + place..at + place + bytes.len()].copy_from_slice(bytes);
        open(&car, &CarOptions::default())
    };
    for (place, bytes, what) in [
        (0, &b"\x82\x08"[..], "a kind that is not known"),
        (2, b"\xff\xff\xff\xff", "too many buckets"),
        (2, b"\x02\0\0\0", "ends too soon"),
        (14, b"\x01\x04\0\0", "too many buckets"),
        (18, b"\x07\0\0\0", "a bucket that is none"),
        (18, b"\0\0\0\0", "a bucket that is none"),
        (22, b"\x4f", "a bucket that is none"),
        (22, b"\x78", "a bucket that is none"),
    ] {
        let error = with(place, bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    for (place, bytes, what) in [
        (62, &[0xff; 8][..], "outside of the blocks"),
        (62, &head.data_size.to_le_bytes(), "outside of the blocks"),
        (62, &18_u64.to_le_bytes(), "to another block"),
        (62, &19_u64.to_le_bytes(), ""),
    ] {
        let store = with(place, bytes).unwrap();
        let error = store.get(raw("b").cid()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(what), "{source}");
    }
}

/// Cut or flipped anywhere, a file is an error or gives right blocks.
#[test]
fn damaged_files_are_no_panic() {
    let original = blocks(FOREIGN);
    for car in
        [FOREIGN.to_vec(), version_2(&original, IndexKind::Sorted), version_2(&original, IndexKind::MultihashSorted)]
    {
        for at in 0..car.len() {
            let mut flipped = car.clone();
            flipped[at] ^= 1 << (at % 8);
            for bad in [&car[..at], &flipped] {
                if let Ok(reader) = reader(bad) {
                    assert!(reader.flatten().all(|block| crate::hash::verify(block.cid(), block.bytes()).is_ok()));
                }
                if let Ok(store) = open(bad, &CarOptions::default()) {
                    for block in &original {
                        assert!(store.get(block.cid()).ok().flatten().is_none_or(|bytes| bytes == block.bytes()));
                    }
                }
            }
        }
    }
}

/// What claims to be long takes no memory, and a stream that fails says where.
#[test]
fn failing_streams_say_where() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let mut reader = CarReader::new(FOREIGN[..200].chain(Failing), &CarOptions::default()).unwrap();
    let error = reader.find_map(Result::err).unwrap();
    assert!(matches!(error, CarError::Io { at: 178, .. }), "{error:?}");
    assert!(reader.next().is_none());
    let options = CarOptions { max_section_bytes: u64::MAX, ..CarOptions::default() };
    let mut claim = version_1(&[], &[]);
    claim.extend([0xff; 8]);
    claim.push(0x7f);
    assert!(failure(&claim, &options).unwrap().contains("ends at byte 27"));
    assert!(open(&claim, &options).is_err());
    assert!(CarStore::open(Path::new("/nowhere"), &options).is_err());
}

/// A file is written as bytes in memory are, from where it stands.
#[test]
fn a_file_is_written_from_where_it_stands() {
    let original = blocks(FOREIGN);
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create_new(folder.path().join("car")).unwrap();
    file.write_all(b"before").unwrap();
    let mut writer = IndexedCarWriter::new(file, &[]).unwrap();
    original.iter().for_each(|block| writer.write(block).unwrap());
    let mut file = writer.finish().unwrap();
    file.write_all(b"behind").unwrap();
    let bytes = fs::read(folder.path().join("car")).unwrap();
    assert_eq!(bytes, [b"before", &version_2(&original, IndexKind::default())[..], b"behind"].concat());
}
