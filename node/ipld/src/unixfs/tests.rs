//! What is imported has the CIDs of other programs and comes back as it was; what others made up is refused.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use cid::Version;
use proptest::prelude::*;

use super::data::{Data, Kind};
use super::disk::Hidden;
use super::extract::{ExtractError, Extracted, Options, Symlinks, extract};
use super::folder::{find, list, resolve};
use super::hamt::{self, Slot};
use super::import::{ImportError, Imported, Importer};
use super::node::Node;
use super::profile::{self, HELIA, KUBO, KUBO_V1, LOTUS, Profile};
use super::read::{self, Reader};
use super::*;
use crate::codec::dag_pb::{PbLink, PbNode};
use crate::codec::{self, Codec};
use crate::hash::{self, HashKind, inlined};
use crate::store::MemoryStore;

const VECTORS: &str = include_str!("../../../../tests/vectors/unixfs.txt");

const SMALL_WRAPPED: Profile = Profile { name: "small-wrapped", chunk: 64, links: 3, ..KUBO };
const SMALL_RAW: Profile = Profile { name: "small-raw", chunk: 100, links: 4, ..KUBO_V1 };
const LOTUS_NOT_INLINED: Profile = Profile { name: "lotus-not-inlined", inline: None, ..LOTUS };
const SMALL_LOTUS: Profile = Profile { name: "small-lotus", chunk: 50, links: 3, ..LOTUS };

/// The content of all files of the vectors.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place % 251) as u8 ^ (place >> 16) as u8).collect()
}

fn import<T>(profile: Profile, store: &MemoryStore, what: impl FnOnce(&mut Importer) -> Result<T, ImportError>) -> T {
    let mut importer = Importer::new(profile, |blocks| store.put(blocks));
    let imported = what(&mut importer).unwrap();
    importer.finish().unwrap();
    imported
}

fn import_file(profile: Profile, store: &MemoryStore, bytes: &[u8]) -> Imported {
    import(profile, store, |importer| importer.file(bytes))
}

fn many(importer: &mut Importer, length: usize, count: usize) -> Result<Imported, ImportError> {
    let width = length - "file-".len();
    let file = |number: usize| Ok((format!("file-{number:0width$}"), importer.file(number.to_string().as_bytes())?));
    let entries = (0..count).map(file).collect::<Result<Vec<_>, ImportError>>()?;
    importer.folder(entries)
}

fn nested(importer: &mut Importer) -> Result<Imported, ImportError> {
    let deep = importer.file(&content(300_000)[..])?;
    let deep = importer.folder(vec![("e.bin".to_owned(), deep)])?;
    let link = importer.symlink("d/e.bin")?;
    let entries = vec![
        ("a.txt".to_owned(), importer.file(&b"hello\n"[..])?),
        ("Z".to_owned(), importer.file(io::empty())?),
        ("é".to_owned(), importer.file(&b"x"[..])?),
        ("b".to_owned(), importer.folder(Vec::new())?),
        ("c".to_owned(), importer.folder(vec![("link".to_owned(), link), ("d".to_owned(), deep)])?),
    ];
    importer.folder(entries)
}

fn all_bytes(store: &MemoryStore, cid: &Cid) -> Vec<u8> {
    let mut bytes = Vec::new();
    Reader::new(store, cid).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn files_and_folders_have_the_cids_of_other_programs() {
    let mut names = HashSet::new();
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [name, what, size, cid, by] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        // kubo and the importer in JavaScript differ in when they begin to shard.
        let shard_from = if by == "js-only" { HELIA.shard_from } else { KUBO.shard_from };
        let profile = match profile::by_name(name) {
            Some(profile) if name == "helia" => profile,
            Some(profile) => Profile { shard_from, ..profile },
            None => [SMALL_WRAPPED, SMALL_RAW, LOTUS_NOT_INLINED].into_iter().find(|row| row.name == name).unwrap(),
        };
        let size = size.parse().unwrap();
        let store = MemoryStore::default();
        let imported = import(profile, &store, |importer| match what.strip_prefix("many-") {
            Some(length) => many(importer, length.parse().unwrap(), size),
            None if what == "nested" => nested(importer),
            None => importer.file(&content(size)[..]),
        });
        assert_eq!(imported.cid.to_string(), cid, "{line}");
        if what == "file" {
            assert!(all_bytes(&store, &imported.cid) == content(size), "{line}");
        }
        names.insert(name);
    }
    assert_eq!(names.len(), 7);
}

/// No program of Lotus is at hand: these are facts about the structure.
#[test]
fn lotus_holds_up_to_126_bytes_in_cids() {
    for (size, inline) in [(0, true), (126, true), (127, false)] {
        let (store, bytes) = (MemoryStore::default(), content(size));
        let cid = import_file(LOTUS, &store, &bytes).cid;
        assert_eq!((inlined(&cid).is_some(), cid.codec()), (inline, Codec::Raw.code()));
        assert_eq!(store.get_kept(&cid).unwrap().is_some(), !inline, "what a CID holds is not kept");
        assert_eq!(all_bytes(&store, &cid), bytes);
    }
    // The last leaf is inlined, but not its chunk's full neighbour; a root of two leaves is so small that it is inlined as well.
    let (store, bytes) = (MemoryStore::default(), content((1 << 20) + 1));
    let cid = import_file(LOTUS, &store, &bytes).cid;
    let leaves = codec::links(&cid, inlined(&cid).unwrap()).unwrap();
    assert_eq!(leaves.iter().map(|leaf| inlined(leaf).map(<[u8]>::len)).collect::<Vec<_>>(), [None, Some(1)]);
    assert_eq!(leaves[0].hash().code(), HashKind::Blake2b256.code());
    assert_eq!(all_bytes(&store, &cid), bytes);
}

#[test]
fn profiles_are_found_by_their_names() {
    for row in profile::ALL {
        assert_eq!(profile::by_name(row.name), Some(row));
    }
    assert_eq!(profile::by_name("ipfs"), None);
    let cid = KUBO.cid(Codec::Raw, b"").unwrap();
    assert_eq!(cid.version(), Version::V1, "raw blocks have no CIDv0");
}

#[test]
fn chunks_hashed_together_give_the_same_blocks_and_children_come_first() {
    let bytes = content(10_000);
    for profile in [SMALL_WRAPPED, SMALL_RAW, SMALL_LOTUS] {
        let one = import_file(profile, &MemoryStore::default(), &bytes);
        for together in [0, 2, 7, 1000] {
            let (seen, read) = (RefCell::new(HashSet::new()), Cell::new(0));
            let sink = |blocks: &[Block]| {
                for block in blocks {
                    hash::verify(block.cid(), block.bytes()).unwrap();
                    for link in codec::links(block.cid(), block.bytes()).unwrap() {
                        assert!(inlined(&link).is_some() || seen.borrow().contains(&link));
                    }
                    seen.borrow_mut().insert(*block.cid());
                }
                Ok(())
            };
            let mut importer = Importer::new(profile, sink).together(together).progress(|bytes| read.set(bytes));
            assert_eq!(importer.file(&bytes[..]).unwrap(), one);
            importer.finish().unwrap();
            assert_eq!((read.get(), one.size), (10_000, 10_000));
            assert!(inlined(&one.cid).is_some() || seen.borrow().contains(&one.cid));
        }
    }
}

#[test]
fn a_file_is_not_held_in_memory() {
    // 64 MiB, of which the sink gets every batch as soon as it has a mebibyte.
    let (largest, sum) = (Cell::new(0), Cell::new(0));
    let sink = |blocks: &[Block]| {
        let bytes = blocks.iter().map(|block| block.bytes().len()).sum::<usize>();
        largest.set(largest.get().max(bytes));
        sum.set(sum.get() + bytes);
        Ok(())
    };
    let mut importer = Importer::new(KUBO_V1, sink);
    importer.file(io::repeat(7).take(64 << 20)).unwrap();
    importer.finish().unwrap();
    assert!(largest.get() < 2 << 20 && sum.get() > 64 << 20);
}

#[test]
fn the_size_of_all_blocks_is_told() {
    let store = MemoryStore::default();
    let imported = import(KUBO, &store, nested);
    fn sum(store: &MemoryStore, cid: &Cid) -> u64 {
        let bytes = store.get(cid).unwrap().unwrap();
        let below = codec::links(cid, &bytes).unwrap().iter().map(|link| sum(store, link)).sum::<u64>();
        below + bytes.len() as u64
    }
    assert_eq!((imported.tsize, imported.size), (sum(&store, &imported.cid), 0));
}

#[test]
fn names_that_no_file_is_given_are_not_written() {
    let mut importer = Importer::new(KUBO, |_| Ok(()));
    let file = importer.file(io::empty()).unwrap();
    for name in ["", ".", "..", "a/b", "/", "a\0"] {
        let error = importer.folder(vec![(name.to_owned(), file)]).unwrap_err();
        assert!(matches!(error, ImportError::Name(wrong) if wrong == name));
    }
    let twice = vec![("a".to_owned(), file), ("b".to_owned(), file), ("a".to_owned(), file)];
    assert!(matches!(importer.folder(twice), Err(ImportError::Twice(name)) if name == "a"));
}

#[test]
fn a_profile_of_which_no_tree_can_be_made_is_refused() {
    for (chunk, links) in [(0, 174), (1, 1), (1, 0)] {
        let mut importer = Importer::new(Profile { chunk, links, ..KUBO }, |_| Ok(()));
        assert!(matches!(importer.file(&b"ab"[..]), Err(ImportError::Profile { .. })));
    }
}

#[test]
fn a_sink_that_fails_ends_the_import() {
    let fail = |_: &[Block]| Err(StoreError::Backend("full".into()));
    let mut importer = Importer::new(KUBO_V1, fail);
    assert!(matches!(importer.file(&content(3 << 20)[..]), Err(ImportError::Sink(_))));
    let mut importer = Importer::new(KUBO_V1, fail);
    importer.file(io::empty()).unwrap();
    assert!(matches!(importer.finish(), Err(ImportError::Sink(_))));
}

fn any_profile() -> impl Strategy<Value = Profile> {
    const ROWS: [Profile; 7] = [SMALL_WRAPPED, SMALL_RAW, SMALL_LOTUS, KUBO, KUBO_V1, LOTUS, HELIA];
    (prop::sample::select(&ROWS[..]), 1_usize..200, 2_usize..6).prop_map(|(row, chunk, links)| match row.chunk {
        0..1000 => Profile { chunk, links, ..row },
        _ => row,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_imported_comes_back(profile in any_profile(), size in 0_usize..8000, seed: u8) {
        let bytes = content(size).iter().map(|byte| byte ^ seed).collect::<Vec<_>>();
        let store = MemoryStore::default();
        let imported = import_file(profile, &store, &bytes);
        prop_assert_eq!(imported.size, size as u64);
        prop_assert_eq!(all_bytes(&store, &imported.cid), bytes);
    }

    #[test]
    fn ranges_are_slices(profile in any_profile(), size in 1_usize..8000, ranges in prop::collection::vec((0_usize..9000, 0_usize..500), 1..20)) {
        let (store, bytes) = (MemoryStore::default(), content(size));
        let cid = import_file(profile, &store, &bytes).cid;
        let mut reader = Reader::new(Checked(&store), &cid).unwrap();
        for (start, length) in ranges {
            reader.seek(SeekFrom::Start(start as u64)).unwrap();
            let mut part = Vec::new();
            reader.by_ref().take(length as u64).read_to_end(&mut part).unwrap();
            prop_assert_eq!(part, &bytes[start.min(size)..(start + length).min(size)]);
        }
    }

    #[test]
    fn folders_give_their_names_back(names in prop::collection::hash_set("[a-zA-Z0-9é_]{1,3}", 0..600), shard: bool) {
        let store = MemoryStore::default();
        let profile = Profile { shard_from: if shard { 0 } else { u64::MAX }, ..KUBO };
        let file = import_file(profile, &store, b"x");
        let entries = names.iter().map(|name| (name.clone(), file)).collect();
        let folder = import(profile, &store, |importer| importer.folder(entries)).cid;
        let listed = list(&store, &folder).unwrap().map(|entry| entry.unwrap().name).collect::<Vec<_>>();
        let in_order = |pair: &[String]| match shard {
            true => hamt::hash(&pair[0]) < hamt::hash(&pair[1]),
            false => pair[0] < pair[1],
        };
        prop_assert!(listed.windows(2).all(in_order));
        prop_assert_eq!(listed.into_iter().collect::<HashSet<_>>(), names.clone());
        for name in names.iter().take(50) {
            prop_assert_eq!(resolve(&store, &folder, name).unwrap(), file.cid);
        }
        prop_assert_eq!(find(&store, &folder, "not there").unwrap(), None);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let cid = HashKind::Sha256.cid(Codec::DagPb.code(), &bytes).unwrap();
        let _ = Node::decode(&cid, bytes);
    }

    #[test]
    fn flipped_and_cut_nodes_never_panic(at in 0_usize..6000, flip: u8, cut: bool) {
        let store = MemoryStore::default();
        let profile = Profile { shard_from: 0, ..KUBO };
        let cid = import(profile, &store, |importer| many(importer, 10, 100)).cid;
        let mut bytes = store.get(&cid).unwrap().unwrap();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        let cid = HashKind::Sha256.cid(Codec::DagPb.code(), &bytes).unwrap();
        store.put(&[Block::trusted(cid, bytes)]).unwrap();
        if let Ok(entries) = list(&store, &cid) {
            for entry in entries.flatten() {
                let _ = Reader::new(&store, &entry.cid).map(|mut reader| io::copy(&mut reader, &mut io::sink()));
            }
        }
    }
}

/// Counts what is asked of a store.
struct Counting<'a> {
    store: &'a MemoryStore,
    asked: &'a Cell<usize>,
}

impl Source for Counting<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.asked.set(self.asked.get() + 1);
        self.store.get(cid)
    }
}

#[test]
fn only_blocks_that_are_needed_are_asked_for() {
    let (store, bytes, asked) = (MemoryStore::default(), content(6400), Cell::new(0));
    let cid = import_file(SMALL_RAW, &store, &bytes).cid;
    let mut reader = Reader::new(Counting { store: &store, asked: &asked }, &cid).unwrap();
    let mut at = |to, expected: &[u8]| {
        reader.seek(to).unwrap();
        let mut part = vec![0; expected.len()];
        reader.read_exact(&mut part).unwrap();
        assert_eq!(part, expected);
        asked.replace(0)
    };
    // 64 leaves, 16 nodes, 4 nodes, the root.
    assert_eq!(at(SeekFrom::End(-5), &bytes[6395..]), 4);
    assert_eq!(at(SeekFrom::Start(6300), &bytes[6300..6302]), 0, "in the same leaf");
    assert_eq!(at(SeekFrom::Current(-10), &bytes[6292..6294]), 1, "the leaf before");
    assert_eq!(at(SeekFrom::Start(0), &bytes[..100]), 3);
    assert_eq!(at(SeekFrom::Current(0), &bytes[100..250]), 2);
    assert_eq!(at(SeekFrom::End(1000), b""), 0);
    assert!(reader.seek(SeekFrom::End(-6401)).is_err());
    assert_eq!((reader.read(&mut [0; 9]).unwrap(), reader.size()), (0, 6400));
}

/// A block of one's own making.
fn put(store: &MemoryStore, data: Data, links: &[(&str, Cid)]) -> Cid {
    let links = links.iter().map(|(name, cid)| PbLink { cid: *cid, name: Some((*name).to_owned()), tsize: None });
    put_node(store, PbNode { links: links.collect(), data: Some(data.encode()) })
}

fn put_node(store: &MemoryStore, node: PbNode) -> Cid {
    let block = Block::new(HashKind::Sha256, Codec::DagPb, node.encode()).unwrap();
    store.put(std::slice::from_ref(&block)).unwrap();
    *block.cid()
}

fn raw(bytes: &[u8]) -> Cid {
    HashKind::Identity.cid(Codec::Raw.code(), bytes).unwrap()
}

fn file_of(sizes: &[u64]) -> Data {
    Data { blocksizes: sizes.to_vec(), ..Data::new(Kind::File) }
}

fn read_error(store: &MemoryStore, cid: &Cid) -> UnixFsError {
    let mut reader = match Reader::new(store, cid) {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    loop {
        match reader.read_bytes(&mut [0; 8]) {
            Ok(0) => panic!("{cid} can be read"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

#[test]
fn bytes_of_a_node_stand_before_those_below() {
    let store = MemoryStore::default();
    let inner = put(
        &store,
        Data { data: Some(b"ab".into()), ..file_of(&[3, 0, 2]) },
        &[("", raw(b"cde")), ("", raw(b"")), ("", raw(b"fg"))],
    );
    let leaf = put(&store, Data { data: Some(b"hi".into()), ..Data::new(Kind::Raw) }, &[]);
    let cid = put(&store, file_of(&[7, 2]), &[("", inner), ("", leaf)]);
    assert_eq!(all_bytes(&store, &cid), b"abcdefghi");
}

#[test]
fn parts_that_are_not_what_is_said_of_them_are_refused() {
    let store = MemoryStore::default();
    for said in [2, 4, u64::MAX - 3] {
        let cid = put(&store, file_of(&[3, said]), &[("", raw(b"abc")), ("", raw(b"def"))]);
        let error = read_error(&store, &cid);
        assert!(matches!(error, UnixFsError::Size { expected, actual: 3, .. } if expected == said), "{error}");
    }
    let folder = put(&store, Data::new(Kind::Directory), &[]);
    assert!(matches!(read_error(&store, &folder), UnixFsError::Kind { actual: "folder", .. }));
    let cid = put(&store, file_of(&[1]), &[("", folder)]);
    assert!(matches!(read_error(&store, &cid), UnixFsError::Kind { expected: "file", .. }));
    let missing = HashKind::Sha256.cid(Codec::Raw.code(), b"not kept").unwrap();
    let cid = put(&store, file_of(&[8]), &[("", missing)]);
    assert_eq!(read_error(&store, &cid).to_string(), format!("block {missing} is not there"));
}

#[test]
fn files_that_are_too_deep_are_refused() {
    let store = MemoryStore::default();
    let mut cid = raw(b"a");
    for _ in 1..read::MAX_DEPTH {
        cid = put(&store, file_of(&[1]), &[("", cid)]);
    }
    assert_eq!(all_bytes(&store, &cid), b"a");
    cid = put(&store, file_of(&[1]), &[("", cid)]);
    assert!(matches!(read_error(&store, &cid), UnixFsError::Depth { limit: read::MAX_DEPTH, .. }));
}

#[test]
fn nodes_that_have_too_many_links_together_are_refused() {
    let store = MemoryStore::default();
    let links = |first: Cid, count: usize| [&[("", first)][..], &vec![("", raw(b"")); count - 1]].concat();
    let sizes = |count: usize| [&[1][..], &vec![0; count - 1]].concat();
    let node = |first, count| put(&store, file_of(&sizes(count)), &links(first, count));
    let half = node(raw(b"a"), node::MAX_LINKS / 2);
    assert_eq!(all_bytes(&store, &node(half, node::MAX_LINKS / 2)), b"a");
    let error = read_error(&store, &node(half, node::MAX_LINKS / 2 + 1)).to_string();
    assert!(error.contains("more than 65536 links"), "{error}");

    // The same for names of folders in each other.
    let folder = tempfile::tempdir().unwrap();
    let names = (0..node::MAX_LINKS - 1).map(|number| format!("z{number}")).collect::<Vec<_>>();
    let files = names.iter().map(|name| (name.as_str(), raw(b""))).collect::<Vec<_>>();
    let mut cid = raw(b"");
    for _ in 0..5 {
        cid = put(&store, Data::new(Kind::Directory), &[&[("a", cid)], &files[..]].concat());
    }
    let error = extract_error(&store, &cid, &folder.path().join("to"), &Options::default());
    assert!(matches!(error, ExtractError::Names { limit: extract::MAX_NAMES, .. }), "{error}");
}

/// Of a source that gives what was not asked for.
struct Lying;

impl Source for Lying {
    fn block(&self, _: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Some(b"other".to_vec()))
    }
}

#[test]
fn a_checked_source_gives_no_other_bytes() {
    let cid = HashKind::Sha256.cid(Codec::Raw.code(), b"this").unwrap();
    assert!(matches!(Checked(Lying).block(&cid), Err(StoreError::Damaged { .. })));
    let other = HashKind::Sha256.cid(Codec::Raw.code(), b"other").unwrap();
    assert_eq!(Checked(Lying).block(&other).unwrap().unwrap(), b"other");
}

#[test]
fn paths_lead_through_folders_and_shards() {
    let store = MemoryStore::default();
    for shard_from in [0, u64::MAX] {
        let root = import(Profile { shard_from, ..KUBO }, &store, nested).cid;
        let file = resolve(&store, &root, "/c//d/e.bin").unwrap();
        assert_eq!(all_bytes(&store, &file), content(300_000));
        assert_eq!(resolve(&store, &root, "").unwrap(), root);
        let error = resolve(&store, &root, "c/x/e.bin").unwrap_err();
        assert!(matches!(error, UnixFsError::NoName { name, .. } if name == "x"));
        for path in ["a.txt/b", "c/link/b"] {
            let error = resolve(&store, &root, path).unwrap_err();
            assert!(matches!(error, UnixFsError::Kind { expected: "folder", .. }), "{path}");
        }
        assert!(resolve(&store, &root, "..").is_err());
    }
}

#[test]
fn shards_of_another_fanout_are_read() {
    let store = MemoryStore::default();
    let names = (0..16).map(|number| format!("{number}")).collect::<Vec<_>>();
    let mut at_place = vec![Vec::new(); 16];
    for name in &names {
        at_place[hamt::place(hamt::hash(name), 4, 0).unwrap() as usize].push(name.clone());
    }
    let shard = |links: Vec<(String, Cid)>, depth: usize| {
        let taken = links.iter().map(|(label, _)| 1_u16 << u16::from_str_radix(&label[..1], 16).unwrap()).sum::<u16>();
        let bytes = taken.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        let data = Data { data: Some(bytes), hash_type: Some(0x22), fanout: Some(16), ..Data::new(Kind::HamtShard) };
        assert!(depth < 2);
        let links = links.iter().map(|(label, cid)| (label.as_str(), *cid)).collect::<Vec<_>>();
        put(&store, data, &links)
    };
    let mut links = Vec::new();
    for (place, here) in at_place.iter().enumerate().filter(|(_, here)| !here.is_empty()) {
        match &here[..] {
            [name] => links.push((format!("{place:X}{name}"), raw(name.as_bytes()))),
            _ => {
                let below = |name: &String| hamt::place(hamt::hash(name), 4, 1).unwrap();
                let mut here = here.clone();
                here.sort_by_key(below);
                here.dedup_by_key(|name| below(name));
                let below = here.iter().map(|name| (format!("{:X}{name}", below(name)), raw(name.as_bytes())));
                links.push((format!("{place:X}"), shard(below.collect(), 1)));
            }
        }
    }
    let root = shard(links, 0);
    let listed = list(&store, &root).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    assert!(listed.len() > 10);
    for entry in listed {
        assert_eq!(find(&store, &root, &entry.name).unwrap(), Some(entry.clone()));
        assert_eq!(entry.cid, raw(entry.name.as_bytes()));
    }
}

fn put_shard(store: &MemoryStore, slots: &[(u64, Option<&str>, Cid)]) -> Cid {
    let slots = slots.iter().map(|(place, name, cid)| Slot {
        place: *place,
        name: name.map(str::to_owned),
        cid: *cid,
        tsize: None,
    });
    put_node(store, hamt::node(slots.collect()))
}

/// 256 links to the same shard, in eight levels, would be 2^64 of them.
#[test]
fn few_shards_are_no_folder_of_endlessly_many() {
    let store = MemoryStore::default();
    let place = hamt::place(hamt::hash("a"), 8, 0).unwrap();
    let wide = |below| (0..256).map(|place| (place, None, below)).collect::<Vec<_>>();
    let list_error = |cid: &Cid| list(&store, cid).unwrap().find_map(Result::err).unwrap().to_string();

    let wrong = put_shard(&store, &[(place ^ 1, Some("a"), raw(b""))]);
    assert!(list_error(&wrong).contains("wrong shard"));

    let mut cid = put_shard(&store, &[(place, Some("a"), raw(b""))]);
    for _ in 0..7 {
        cid = put_shard(&store, &wide(cid));
    }
    assert!(list_error(&cid).contains("wrong shard"));
    cid = put_shard(&store, &wide(cid));
    assert!(list_error(&cid).contains("more than 8 blocks"));
    assert_eq!(find(&store, &cid, "b").unwrap(), None);

    let empty = put_shard(&store, &[]);
    assert_eq!(list(&store, &empty).unwrap().count(), 0);
    let above = put_shard(&store, &[(3, None, empty)]);
    assert!(list_error(&above).contains("no shard that belongs"));
}

#[cfg(unix)]
#[test]
fn what_is_on_a_disk_comes_back_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for path in ["b", "c/d", ".hidden"] {
        fs::create_dir_all(from.join(path)).unwrap();
    }
    let nested_bytes = content(300_000);
    for (path, bytes) in [("a.txt", &b"hello\n"[..]), ("Z", b""), ("é", b"x"), ("c/d/e.bin", &nested_bytes)] {
        fs::write(from.join(path), bytes).unwrap();
    }
    std::os::unix::fs::symlink("d/e.bin", from.join("c/link")).unwrap();

    let store = MemoryStore::default();
    let imported = import(KUBO, &store, |importer| importer.path(&from, Hidden::Skip));
    assert_eq!(imported, import(KUBO, &store, nested));
    assert_ne!(imported, import(KUBO, &store, |importer| importer.path(&from, Hidden::Take)));

    let options = Options { symlinks: Symlinks::Write, ..Options::default() };
    let told = Cell::new(0);
    let done = extract(&store, &imported.cid, &to, &options, |bytes| told.set(bytes)).unwrap();
    assert_eq!((done, told.get()), (Extracted { entries: 9, bytes: 300_007 }, 300_007));
    assert_eq!(imported, import(KUBO, &store, |importer| importer.path(&to, Hidden::Take)));
    assert_eq!(fs::read_link(to.join("c/link")).unwrap(), Path::new("d/e.bin"));

    // What is there is left alone, unless asked.
    fs::write(to.join("Z"), "changed").unwrap();
    let again = |options: &Options| extract(&store, &imported.cid, &to, options, |_| ());
    assert!(matches!(again(&options), Err(ExtractError::Exists(_))));
    assert_eq!(fs::read(to.join("Z")).unwrap(), b"changed");
    again(&Options { overwrite: true, ..options }).unwrap();
    assert_eq!(imported, import(KUBO, &store, |importer| importer.path(&to, Hidden::Take)));
}

/// The blocks are another program's.
#[cfg(unix)]
#[test]
fn modes_and_times_come_back_to_a_disk() {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, UNIX_EPOCH};

    let vector = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/unixfs-attributes.json"));
    let vector: serde_json::Value = serde_json::from_slice(&vector.unwrap()).unwrap();
    let store = MemoryStore::default();
    for block in vector["blocks"].as_array().unwrap() {
        let [cid, bytes] = [0, 1].map(|place| block[place].as_str().unwrap());
        store.put(&[Block::checked(cid.parse().unwrap(), hex::decode(bytes).unwrap()).unwrap()]).unwrap();
    }
    let root = vector["root"].as_str().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    extract(&store, &root, &to, &Options::default(), |_| ()).unwrap();
    let of = |path: &str| {
        let found = fs::metadata(to.join(path)).unwrap();
        (found.permissions().mode() & 0o7777, found.modified().unwrap())
    };
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(of("run.sh"), (0o755, at(1_600_000_000) + Duration::from_nanos(5)));
    assert_eq!(of("old"), (0o640, UNIX_EPOCH - Duration::from_millis(4750)));
    assert_eq!(of("closed"), (0o550, at(1_500_000_000)));
    // It says nothing: that is for the system.
    assert!(of("plain").1 > at(1_700_000_000) && of("plain").0 & 0o600 == 0o600);
    assert_eq!(fs::read(to.join("run.sh")).unwrap(), b"#!/bin/sh\n");
}

fn extract_error(store: &MemoryStore, cid: &Cid, to: &Path, options: &Options) -> ExtractError {
    extract(store, cid, to, options, |_| ()).unwrap_err()
}

#[cfg(unix)]
#[test]
fn nothing_is_written_outside_of_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let (store, to) = (MemoryStore::default(), folder.path().join("to"));
    let options = Options { symlinks: Symlinks::Write, overwrite: true, ..Options::default() };
    for name in ["", ".", "..", "../a", "/a", "a/b", "a/", "./a", "a\0"] {
        let cid = put(&store, Data::new(Kind::Directory), &[(name, raw(b"x"))]);
        let error = extract_error(&store, &cid, &to, &options);
        assert!(matches!(error, ExtractError::Name { name: wrong, .. } if wrong == name), "{name}");
    }
    // A link out of the target, and a folder of the same name.
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = Data { data: Some(outside.to_str().unwrap().into()), ..Data::new(Kind::Symlink) };
    let link = put(&store, target, &[]);
    let inner = put(&store, Data::new(Kind::Directory), &[("file", raw(b"x"))]);
    let cid = put(&store, Data::new(Kind::Directory), &[("a", link), ("a", inner)]);
    assert!(matches!(extract_error(&store, &cid, &to, &options), ExtractError::Exists(_)));
    // A file in place of a link replaces the link, and not what it leads to.
    fs::write(outside.join("file"), "kept").unwrap();
    let target = Data { data: Some(outside.join("file").to_str().unwrap().into()), ..Data::new(Kind::Symlink) };
    let link = put(&store, target, &[]);
    let cid = put(&store, Data::new(Kind::Directory), &[("b", link), ("b", raw(b"x"))]);
    extract(&store, &cid, &to, &options, |_| ()).unwrap();
    assert_eq!(fs::read(to.join("b")).unwrap(), b"x");
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"kept");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn an_export_has_limits() {
    let folder = tempfile::tempdir().unwrap();
    let (store, to) = (MemoryStore::default(), folder.path().join("to"));
    let cid = import(KUBO, &store, nested).cid;
    let with = |options: Options| extract_error(&store, &cid, &to, &Options { overwrite: true, ..options });
    let skip = Options { symlinks: Symlinks::Skip, ..Options::default() };
    assert!(matches!(with(Options::default()), ExtractError::Symlink(_)));
    assert!(matches!(with(Options { max_entries: 3, ..skip }), ExtractError::Entries(3)));
    assert!(matches!(with(Options { max_bytes: 300_006, ..skip }), ExtractError::Bytes(300_006)));
    extract(&store, &cid, &to, &Options { max_bytes: 300_007, max_entries: 9, overwrite: true, ..skip }, |_| ())
        .unwrap();
    assert!(fs::symlink_metadata(to.join("c/link")).is_err());

    let mut deep = put(&store, Data::new(Kind::Directory), &[]);
    for _ in 0..extract::MAX_DEPTH {
        deep = put(&store, Data::new(Kind::Directory), &[("a", deep)]);
    }
    let error = extract_error(&store, &deep, &folder.path().join("deep"), &skip);
    assert!(matches!(error, ExtractError::Depth { .. }));
}

#[test]
fn a_file_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::default();
    let cid = put(&store, file_of(&[3, 2]), &[("", raw(b"abc")), ("", raw(b"def"))]);
    let error = extract_error(&store, &cid, &folder.path().join("file"), &Options::default());
    assert!(matches!(error, ExtractError::UnixFs(UnixFsError::Size { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
