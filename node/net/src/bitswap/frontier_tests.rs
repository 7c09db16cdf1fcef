use std::collections::BTreeSet;

use filecash_ipld::Ipld;
use filecash_ipld::codec::dag_cbor;
use filecash_ipld::store::MemoryStore;
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::{KUBO, KUBO_V1, LOTUS, Profile};

use super::*;

fn file(profile: Profile, length: usize, store: &MemoryStore) -> Cid {
    let bytes: Vec<u8> =
        (0..length as u32 / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut importer = Importer::new(profile, |blocks| store.put(blocks));
    let cid = importer.file(&bytes[..]).unwrap().cid;
    importer.finish().unwrap();
    cid
}

fn node(value: Ipld, store: &MemoryStore) -> Cid {
    let block = Block::new(HashKind::Sha256, Codec::DagCbor, dag_cbor::encode(&value)).unwrap();
    store.put(std::slice::from_ref(&block)).unwrap();
    *block.cid()
}

/// Fetches from one store into another, so many blocks at a time, which come in the other order; tells what came.
fn fetch(root: &Cid, from: &MemoryStore, to: &MemoryStore, count: usize) -> Result<(Vec<Cid>, Progress), DagError> {
    let mut frontier = Frontier::new(root, DagLimits::DEFAULT);
    let mut came = Vec::new();
    let mut turns = 0;
    while !frontier.is_done() {
        turns += 1;
        assert!(turns < 100_000);
        let mut missing = frontier.turn(to, count)?;
        missing.reverse();
        let blocks: Vec<Block> = missing
            .iter()
            .map(|missing| Block::checked(missing.cid, from.get(&missing.cid).unwrap().unwrap()).unwrap())
            .collect();
        for block in &blocks {
            frontier.arrived(block)?;
            came.push(*block.cid());
        }
        to.put(&blocks).unwrap();
        frontier.kept(blocks.iter().map(|block| block.cid().hash()));
    }
    Ok((came, frontier.progress()))
}

#[test]
fn all_of_a_dag_comes_once() {
    for profile in [KUBO, KUBO_V1, LOTUS] {
        for count in [1, 7, 1000] {
            let (from, to) = (MemoryStore::default(), MemoryStore::default());
            let root = file(Profile { chunk: 1000, links: 5, ..profile }, 100_000, &from);
            let (came, progress) = fetch(&root, &from, &to, count).unwrap();
            assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), came.len());
            assert_eq!((progress.fetched, progress.found), (came.len() as u64, 0));
            assert!(progress.fetched > 100 && progress.fetched_bytes >= 100_000);
            let again = fetch(&root, &from, &to, count).unwrap();
            assert_eq!((again.0.len(), again.1.found), (0, progress.fetched));
            assert_eq!(again.1.found_bytes, progress.fetched_bytes);
        }
    }
}

#[test]
fn what_is_in_the_store_is_gone_through_and_not_asked_for() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let root = file(Profile { chunk: 1000, links: 5, ..KUBO }, 100_000, &from);
    let (all, whole) = fetch(&root, &from, &to, 10).unwrap();
    // Parts of it, the nodes above some of what is missing among them.
    let missing: Vec<Cid> =
        all.iter().copied().enumerate().filter(|(place, _)| place % 3 == 1).map(|(_, cid)| cid).collect();
    to.remove(&missing).unwrap();
    let (came, progress) = fetch(&root, &from, &to, 10).unwrap();
    assert_eq!(came.iter().collect::<BTreeSet<_>>(), missing.iter().collect());
    assert_eq!(progress.fetched + progress.found, whole.fetched);
}

#[test]
fn file_comes_from_front_to_end() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let root = file(Profile { chunk: 1000, links: 5, ..KUBO_V1 }, 100_000, &from);
    let (came, _) = fetch(&root, &from, &to, 1).unwrap();
    let leaves: Vec<u8> = came
        .iter()
        .filter(|cid| cid.codec() == Codec::Raw.code())
        .flat_map(|cid| from.get(cid).unwrap().unwrap())
        .collect();
    let mut bytes = Vec::new();
    std::io::copy(&mut filecash_ipld::unixfs::read::Reader::new(&from, &root).unwrap(), &mut bytes).unwrap();
    assert_eq!(leaves, bytes);
}

/// Each node links to the one below twice, which makes 2^60 ways.
#[test]
fn many_ways_to_a_block_are_one() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let mut root = node(Ipld::Integer(0), &from);
    for depth in 0..60 {
        root = node(Ipld::List(vec![Ipld::Integer(depth), Ipld::Link(root), Ipld::Link(root)]), &from);
    }
    assert_eq!(fetch(&root, &from, &to, 100).unwrap().0.len(), 61);
    assert_eq!(fetch(&root, &from, &to, 100).unwrap().1.found, 61);
}

/// The bytes of a node are a leaf elsewhere, where nobody looks into them.
#[test]
fn same_bytes_under_two_codecs_are_both_followed() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let below = node(Ipld::String("below".to_owned()), &from);
    let middle = node(Ipld::List(vec![Ipld::Link(below)]), &from);
    let raw = Cid::new_v1(Codec::Raw.code(), *middle.hash());
    let root = node(Ipld::List(vec![Ipld::Link(raw), Ipld::Link(middle)]), &from);
    for count in [1, 10] {
        fetch(&root, &from, &to, count).unwrap();
        assert!(to.get(&below).unwrap().is_some());
        to.remove(&[root, middle, below]).unwrap();
    }
}

#[test]
fn identities_are_gone_through_and_commitments_passed_over() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let below = node(Ipld::String("below".to_owned()), &from);
    let inner = dag_cbor::encode(&Ipld::List(vec![Ipld::Link(below)]));
    let inner = HashKind::Identity.cid(Codec::DagCbor.code(), &inner).unwrap();
    let piece: Cid = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy".parse().unwrap();
    let root = node(Ipld::List(vec![Ipld::Link(piece), Ipld::Link(inner)]), &from);
    let (came, progress) = fetch(&root, &from, &to, 10).unwrap();
    assert_eq!(came, [root, below]);
    assert_eq!(progress.found, 0);
}

#[test]
fn what_no_block_can_be_of_is_told() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let sha3 = Cid::new_v1(Codec::Raw.code(), multihash::Multihash::wrap(0x16, &[7; 32]).unwrap());
    let root = node(Ipld::Link(sha3), &from);
    let error = fetch(&root, &from, &to, 10).unwrap_err();
    assert!(matches!(error, DagError::Hash { code: 0x16, .. }), "{error}");
    let junk = Block::new(HashKind::Sha256, Codec::DagCbor, vec![0xff]).unwrap();
    from.put(std::slice::from_ref(&junk)).unwrap();
    let error = fetch(junk.cid(), &from, &to, 10).unwrap_err();
    assert!(matches!(error, DagError::Codec { .. }), "{error}");
}

#[test]
fn dags_have_limits() {
    let store = MemoryStore::default();
    let root = file(Profile { chunk: 1000, links: 2, ..KUBO }, 100_000, &store);
    let walk = |limits| {
        let mut frontier = Frontier::new(&root, limits);
        while frontier.has_more() {
            frontier.turn(&store, 10)?;
        }
        Ok::<_, DagError>(frontier.progress())
    };
    let all = walk(DagLimits::DEFAULT).unwrap();
    let exactly = DagLimits { blocks: all.found, bytes: all.found_bytes, depth: 7 };
    assert_eq!(walk(exactly).unwrap(), all);
    for (limits, what) in [
        (DagLimits { blocks: all.found - 1, ..exactly }, "blocks"),
        (DagLimits { bytes: all.found_bytes - 1, ..exactly }, "bytes"),
        (DagLimits { depth: 6, ..exactly }, "links from the root"),
    ] {
        let error = walk(limits).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    assert_eq!(walk(DagLimits::ROOT).unwrap().found, 1);
}

/// Folders that hold a hundred thousand links together: not all of them stand on the stack at once.
#[test]
fn crowd_of_links_is_followed_later() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let leaf = |number: u32| HashKind::Identity.cid(Codec::Raw.code(), &number.to_le_bytes()).unwrap();
    let folder = |number: u32| {
        let links = (0..2000).map(|place| Ipld::Link(leaf(number * 2000 + place))).collect();
        Ipld::Link(node(Ipld::List(links), &from))
    };
    let below = node(Ipld::String("below".to_owned()), &from);
    let last = Ipld::Link(node(Ipld::List(vec![Ipld::Link(below)]), &from));
    let root = node(Ipld::List((0..100).map(folder).chain([last]).collect()), &from);
    let mut frontier = Frontier::new(&root, DagLimits::DEFAULT);
    let mut most = 0;
    while !frontier.is_done() {
        let missing = frontier.turn(&to, 1000).unwrap();
        let blocks: Vec<Block> = missing
            .iter()
            .map(|missing| Block::checked(missing.cid, from.get(&missing.cid).unwrap().unwrap()).unwrap())
            .collect();
        blocks.iter().for_each(|block| frontier.arrived(block).unwrap());
        to.put(&blocks).unwrap();
        frontier.kept(blocks.iter().map(|block| block.cid().hash()));
        most = most.max(frontier.stack.len());
    }
    assert!(most < CROWDED + 4000, "{most}");
    assert!(to.get(&below).unwrap().is_some());
    assert_eq!(frontier.progress().fetched, 103);
}
