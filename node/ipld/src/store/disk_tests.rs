use std::collections::BTreeSet;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::codec::Codec;
use crate::hash::HashKind;
use crate::store::import;

fn block(seed: usize, length: usize) -> Block {
    let mut state = seed as u64 * 2 + 1;
    let bytes = (0..length).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    Block::new(HashKind::Blake2b256, Codec::Raw, bytes.collect()).unwrap()
}

fn open(folder: &Path) -> DiskStore {
    DiskStore::open(folder, &DiskOptions::default()).unwrap()
}

fn cids(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| *block.cid()).collect()
}

/// Lengths around those where something changes.
const LENGTHS: [usize; 9] = [0, 1, MAX_INLINE, MAX_INLINE + 1, 4095, 4096, 4097, 262_144, 262_158];

#[test]
fn blocks_are_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/store");
    let blocks: Vec<_> = LENGTHS.iter().enumerate().map(|(seed, length)| block(seed, *length)).collect();
    let identity = Block::new(HashKind::Identity, Codec::Raw, b"hello".to_vec()).unwrap();
    let store = open(&path);
    assert_eq!(store.totals().unwrap(), Totals::default());
    store.put(&blocks[..4]).unwrap();
    store.put(&blocks).unwrap();
    store.put(&[blocks[8].clone(), identity.clone()]).unwrap();
    drop(store);

    let store = open(&path);
    for block in &blocks {
        assert_eq!(store.get(block.cid()).unwrap().unwrap(), block.bytes());
        assert_eq!(store.size(block.cid()).unwrap(), Some(block.bytes().len() as u64));
    }
    assert_eq!(store.get(identity.cid()).unwrap().unwrap(), b"hello");
    let bytes = LENGTHS.iter().sum::<usize>() as u64;
    assert_eq!(store.totals().unwrap(), Totals { blocks: 9, bytes });
    let all: Vec<_> = store.multihashes().unwrap().map(|hash| hash.unwrap().to_bytes()).collect();
    let expected: BTreeSet<_> = blocks.iter().map(|block| block.cid().hash().to_bytes()).collect();
    assert_eq!(all, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(store.get(block(99, 10).cid()).unwrap(), None);
}

#[test]
fn space_of_removed_blocks_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let size = || fs::metadata(folder.path().join("blocks")).unwrap().len();
    let blocks: Vec<_> = (0..32).map(|seed| block(seed, 100_000)).collect();
    store.put(&blocks).unwrap();
    let full = size();
    let odd: Vec<_> = cids(&blocks).into_iter().skip(1).step_by(2).collect();
    assert_eq!(store.remove(&[&odd[..], &[odd[0], *block(99, 1).cid()]].concat()).unwrap(), 16);
    assert_eq!(store.get(&odd[3]).unwrap(), None);
    let others: Vec<_> = (100..116).map(|seed| block(seed, 100_000)).collect();
    store.put(&others).unwrap();
    assert_eq!(size(), full);
    for block in blocks.iter().step_by(2).chain(&others) {
        assert_eq!(store.get(block.cid()).unwrap().unwrap(), block.bytes());
    }
    store.remove(&cids(&blocks)).unwrap();
    store.remove(&cids(&others)).unwrap();
    assert_eq!((size(), store.totals().unwrap()), (0, Totals::default()));
}

#[test]
fn a_store_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let again = || DiskStore::open(folder.path(), &DiskOptions::default());
    assert!(matches!(again(), Err(StoreError::InUse { .. })));
    let child = child("hold", folder.path(), 0).output().unwrap();
    assert!(!child.status.success());
    assert!(
        String::from_utf8_lossy(&child.stdout).contains("InUse")
            || String::from_utf8_lossy(&child.stderr).contains("InUse")
    );
    drop(store);
    assert!(again().is_ok());
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let failure = || DiskStore::open(folder.path(), &DiskOptions::default()).unwrap_err();
    fs::write(folder.path().join("blocks"), [1]).unwrap();
    assert!(matches!(failure(), StoreError::Format { what: "blocks without their index", .. }));
    fs::write(folder.path().join("index.redb"), [1; 5000]).unwrap();
    assert!(matches!(failure(), StoreError::Backend(_)));
    fs::remove_file(folder.path().join("index.redb")).unwrap();
    drop(Database::create(folder.path().join("index.redb")).unwrap());
    assert!(matches!(failure(), StoreError::Format { what: "an index of another kind", .. }));
    let long = block(0, MAX_BYTES + 1);
    let other = tempfile::tempdir().unwrap();
    let store = open(other.path());
    assert!(matches!(store.put(&[block(1, 5), long]), Err(StoreError::TooLong { .. })));
    assert_eq!(store.totals().unwrap(), Totals::default());
}

#[test]
fn damaged_blocks_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = [block(0, 9000), block(1, 9000)];
    open(folder.path()).put(&blocks).unwrap();
    let file = File::options().write(true).open(folder.path().join("blocks")).unwrap();
    positioned::write_all(&file, &[blocks[0].bytes()[100] ^ 1], 100).unwrap();
    file.set_len(3 * PAGE + 8999).unwrap();
    let store = open(folder.path());
    for block in &blocks {
        assert!(matches!(store.get(block.cid()), Err(StoreError::Damaged { .. })));
        assert_eq!(store.size(block.cid()).unwrap(), Some(9000));
    }
    store.remove(&cids(&blocks)).unwrap();
    store.put(&blocks).unwrap();
    assert_eq!(store.get(blocks[0].cid()).unwrap().unwrap(), blocks[0].bytes());
    positioned::write_all(&file, &[blocks[0].bytes()[100] ^ 1], 100).unwrap();
    drop(store);
    let trusting = DiskStore::open(folder.path(), &DiskOptions { verify: false, ..DiskOptions::default() }).unwrap();
    assert_ne!(trusting.get(blocks[0].cid()).unwrap().unwrap(), blocks[0].bytes());
}

/// A flipped byte makes an error or no difference; a block that is given is right.
#[test]
fn a_damaged_index_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..60).map(|seed| block(seed, if seed % 2 == 0 { 300 } else { 5000 })).collect();
    open(folder.path()).put(&blocks).unwrap();
    let path = folder.path().join("index.redb");
    let good = fs::read(&path).unwrap();
    let mut refused = 0;
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    for round in 0..300 {
        let mut bad = good.clone();
        // All of the head, and places all over the rest.
        let at = if round < 100 { round * 4 } else { round * 7919 % used };
        bad[at] ^= 1 << (round % 8);
        fs::write(&path, &bad).unwrap();
        let Ok(store) = DiskStore::open(folder.path(), &DiskOptions::default()) else {
            refused += 1;
            continue;
        };
        for block in &blocks {
            if let Ok(Some(bytes)) = store.get(block.cid()) {
                assert_eq!(bytes, block.bytes());
            }
        }
        let _ = store.put(&[block(1000, 7000)]);
        let _ = store.remove(&cids(&blocks));
    }
    assert!(refused > 50, "{refused}");
}

/// While one thread removes blocks and puts others in their place, no other thread reads a block that is not the one asked for.
#[test]
fn readers_are_not_disturbed_by_writers() {
    let folder = tempfile::tempdir().unwrap();
    let store = &open(folder.path());
    let blocks: Vec<_> = (0..24).map(|seed| block(seed, 20_000)).collect();
    let end = Instant::now() + Duration::from_secs(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < end {
                    for block in &blocks {
                        assert!(store.get(block.cid()).unwrap().is_none_or(|bytes| bytes == block.bytes()));
                    }
                }
            });
        }
        for round in (0..).take_while(|_| Instant::now() < end) {
            let (one, other) = blocks.split_at(12);
            let (gone, new) = if round % 2 == 0 { (one, other) } else { (other, one) };
            store.remove(&cids(gone)).unwrap();
            store.put(new).unwrap();
        }
    });
}

#[test]
fn an_import_is_made_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blocks = (0..25).map(|seed| block(seed, 1 << 20));
    assert_eq!(import(&store, blocks.map(Ok::<_, Infallible>)).unwrap(), 25);
    assert_eq!(store.totals().unwrap(), Totals { blocks: 25, bytes: 25 << 20 });
    let failing = [Ok(block(100, 5)), Err(io::Error::other("gone"))];
    assert!(import(&store, failing).unwrap_err().to_string().contains("gone"));
    assert_eq!(store.totals().unwrap().blocks, 25);
}

const TASK: &str = "FILECASH_STORE_TEST";
const FOLDER: &str = "FILECASH_STORE_FOLDER";
const ROUND: &str = "FILECASH_STORE_ROUND";

/// A process that does what [`in_another_process`] says.
fn child(task: &str, folder: &Path, round: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::disk::tests::in_another_process", "--nocapture"]);
    command.env(TASK, task).env(FOLDER, folder).env(ROUND, round.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Nothing, unless a test here asks for it.
#[test]
fn in_another_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = open(&folder.join("."));
    if std::env::var(TASK).unwrap() == "write" {
        let mut told = File::options().append(true).create(true).open(folder.join("told")).unwrap();
        write_batches(&store, std::env::var(ROUND).unwrap().parse().unwrap(), &mut told);
    }
}

fn batch(number: usize) -> Vec<Block> {
    let lengths = [100, 2000, 3000, 5000, 70_000, 300_000];
    lengths.iter().enumerate().map(|(at, length)| block(number * 10 + at, *length + number % 50)).collect()
}

/// Puts batches, removes some of them, and writes a line about each once that is done.
fn write_batches(store: &DiskStore, first: usize, told: &mut File) {
    for number in first.. {
        store.put(&batch(number)).unwrap();
        told.write_all(format!("put {number}\n").as_bytes()).unwrap();
        if number % 3 == 2 && number > first {
            store.remove(&cids(&batch(number - 1))).unwrap();
            told.write_all(format!("removed {}\n", number - 1).as_bytes()).unwrap();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut next, mut there) = (0, BTreeSet::new());
    for _ in 0..20 {
        fs::write(folder.path().join("told"), "").unwrap();
        let mut child = child("write", folder.path(), next).spawn().unwrap();
        thread::sleep(Duration::from_millis(RandomState::new().build_hasher().finish() % 250));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in fs::read_to_string(folder.path().join("told")).unwrap().lines() {
            let (what, number) = line.split_once(' ').unwrap();
            let number: usize = number.parse().unwrap();
            let changed = if what == "put" { there.insert(number) } else { there.remove(&number) };
            assert!(changed, "{line}");
            next = next.max(number + 1);
        }
        // What was under way is done or not: a batch more, or one less.
        let store = open(folder.path());
        let whole = |number: usize| {
            let batch = batch(number);
            let found = batch.iter().filter(|block| match store.get(block.cid()).unwrap() {
                Some(bytes) => bytes == block.bytes(),
                None => false,
            });
            let found = found.count();
            assert!(found == 0 || found == batch.len(), "{found} blocks of batch {number}");
            found > 0
        };
        let found: BTreeSet<_> = (0..next + 1).filter(|number| whole(*number)).collect();
        let changes: Vec<_> = found.symmetric_difference(&there).collect();
        assert!(
            changes.is_empty() || changes == [&next] || changes == [&next.saturating_sub(2)],
            "{changes:?} at {next}"
        );
        let blocks = store.multihashes().unwrap().map(Result::unwrap).count();
        assert_eq!((blocks as u64, blocks), (store.totals().unwrap().blocks, found.len() * 6));
        next += usize::from(found.contains(&next));
        there = found;
    }
    assert!(there.len() > 20, "only {} batches were written", there.len());
}
