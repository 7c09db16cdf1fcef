//! Filecoin's first heights in a folder: imported, refused, killed and gone on with.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use filecash_chain::address::BlsKey;
use filecash_chain::check::Rules;
use filecash_chain::check::tipset::{Checks, GenesisKeys};
use filecash_chain::folder::{ChainFolder, FolderError, ImportError, Imported, Progress, import};
use filecash_chain::{Object, Tipset, weight};
use filecash_ipld::car::{CarError, CarWriter};
use filecash_ipld::store::BlockStore;
use filecash_ipld::{Block, Cid};

const FILE: &str = "filecoin-heights-0-39.car";
const RULES: Rules = Rules::MAINNET;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain").join(name)
}

fn beacon() -> BlsKey {
    hex::decode(crate::real_chain::BEACON_KEY).unwrap().try_into().unwrap()
}

fn take(folder: &Path, file: &Path) -> Result<(ChainFolder, Imported), ImportError> {
    import(folder, file, &RULES, Some(&beacon()), &mut |_| ControlFlow::Continue(()))
}

/// A file of some blocks.
fn file(folder: &Path, roots: &[Cid], blocks: &[Block]) -> PathBuf {
    let path = folder.join("blocks.car");
    let mut writer = CarWriter::new(fs::File::create(&path).unwrap(), roots).unwrap();
    blocks.iter().for_each(|block| writer.write(block).unwrap());
    writer.finish().unwrap();
    path
}

fn tipsets(folder: &ChainFolder) -> Vec<Tipset> {
    folder.chain().walk(&folder.head().tipset.key()).collect::<Result<_, _>>().unwrap()
}

#[test]
fn chain_is_imported_and_there_when_the_folder_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let imported = import(folder.path(), &path(FILE), &RULES, Some(&beacon()), &mut |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    });
    let (kept, imported) = imported.unwrap();
    assert_eq!((imported.blocks, imported.tipsets, imported.messages), (1581, 32, 585));
    assert_eq!((imported.unknown_signers, imported.moved), (0, true));
    assert_eq!((told[0], told.last()), (Progress::Headers(39), Some(&Progress::Messages { height: 39, of: 39 })));
    let all = tipsets(&kept);
    drop(kept);
    let kept = ChainFolder::open(folder.path(), RULES).unwrap();
    assert_eq!(tipsets(&kept), all);
    for height in 0..40 {
        // At a null round it is the one before.
        let expected = all.iter().find(|tipset| tipset.height() <= height).unwrap();
        assert_eq!(kept.tipset_by_height(height).unwrap().as_ref(), Some(expected));
        assert_eq!(kept.is_on_chain(&expected.key(), height).unwrap(), expected.height() == height);
    }
    assert_eq!((all.len(), kept.tipset_by_height(40).unwrap()), (33, None));
    drop(kept);
    let (_, again) = take(folder.path(), &path(FILE)).unwrap();
    assert_eq!((again.blocks, again.tipsets, again.moved), (1581, 0, false));
}

/// The network's power passed no power of two in its first 39 epochs.
#[test]
fn weights_are_those_that_the_next_headers_say() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, _) = take(folder.path(), &path(FILE)).unwrap();
    let all = tipsets(&kept);
    let mut same = 0;
    for three in all.windows(3) {
        same += usize::from(weight::of(&three[1], &three[2], &RULES).unwrap() == three[0].first().parent_weight);
    }
    assert_eq!((same, all.len() - 2), (31, 31));
    assert_eq!(kept.head().weight, weight::of(&all[0], &all[1], &RULES).unwrap());
}

#[test]
fn genesis_alone_is_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, imported) = take(folder.path(), &path("filecash-genesis.car")).unwrap();
    assert_eq!((imported.blocks, imported.tipsets, kept.head().tipset.height()), (256, 0, 0));
    assert_eq!(kept.genesis().to_string(), "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc");
}

#[test]
fn chain_of_another_genesis_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, _) = take(folder.path(), &path("filecash-genesis.car")).unwrap();
    let before = kept.chain().store().inner().totals().unwrap();
    drop(kept);
    let refused = take(folder.path(), &path(FILE)).unwrap_err();
    assert!(matches!(&refused, ImportError::Folder(FolderError::OtherGenesis { .. })), "{refused}");
    let kept = ChainFolder::open(folder.path(), RULES).unwrap();
    assert_eq!(kept.chain().store().inner().totals().unwrap(), before);
}

#[test]
fn files_that_are_damaged_or_lack_something_are_told_so() {
    let (root, blocks) = crate::support::car(FILE);
    let (_, store) = crate::support::stored(FILE);
    let chain = filecash_chain::chain::ChainStore::new(store, crate::real_chain::GENESIS.parse().unwrap(), RULES);
    let walked = || chain.walk(&[root]).filter_map(Result::ok);
    let at = |height| walked().find(|tipset| tipset.height() == height).unwrap();
    let tried = |roots: &[Cid], blocks: &[Block]| {
        let folder = tempfile::tempdir().unwrap();
        take(&folder.path().join("chain"), &file(folder.path(), roots, blocks)).map(|taken| taken.1).unwrap_err()
    };
    let without = |cid: Cid| blocks.iter().filter(|block| *block.cid() != cid).cloned().collect::<Vec<_>>();
    let header = at(20).key()[0];
    let error = tried(&[root], &without(header)).to_string();
    assert!(error.contains(&header.to_string()) && error.contains("the tipset at height 21 needs it"), "{error}");
    let with_messages = walked().find(|tipset| chain.executed(tipset).unwrap().len() > 3).unwrap();
    let message = chain.executed(&with_messages).unwrap()[2].message.cid();
    let error = tried(&[root], &without(message)).to_string();
    let height = with_messages.height();
    assert!(error.contains(&message.to_string()) && error.contains(&format!("at height {height} needs")), "{error}");
    assert!(matches!(tried(&[], &blocks), ImportError::NoRoots));
    assert!(matches!(tried(&[root], &[]), ImportError::Folder(FolderError::Chain(_))));

    // A header that is another's: the one after it does not name it.
    let mut changed = at(20).first().clone();
    changed.fork_signaling = 1;
    let error = tried(&[changed.cid()], &[&blocks[..], &[changed.to_block()]].concat()).to_string();
    let named = format!("block {} at height 20: the signature of a block", changed.cid());
    assert!(error.contains(&named), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let mut bytes = crate::support::vector(FILE);
    let middle = bytes.len() - 100;
    bytes[middle] ^= 1;
    fs::write(folder.path().join("damaged.car"), bytes).unwrap();
    let error = take(&folder.path().join("chain"), &folder.path().join("damaged.car")).unwrap_err();
    let told = matches!(&error, ImportError::Car(CarError::Block { .. }) | ImportError::Folder(_));
    assert!(told, "{error}");
}

#[test]
fn import_that_was_stopped_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for after in 0..60 {
        let mut left = after;
        let outcome = import(folder.path(), &path(FILE), &RULES, None, &mut |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match outcome {
            Err(error) => assert!(matches!(error, ImportError::Stopped), "{error}"),
            Ok((kept, _)) => {
                assert_eq!((kept.head().tipset.height(), after > 33), (39, true));
                return;
            }
        }
    }
    panic!("never whole");
}

const FOLDER: &str = "FILECASH_CHAIN_FOLDER";
const TOLD: &str = "the head is at ";

/// Nothing, unless a test here asks for it: the head is moved tipset by tipset, and each move told.
#[test]
fn in_another_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (_, blocks) = crate::support::car(FILE);
    let (root, store) = crate::support::stored(FILE);
    let source = filecash_chain::chain::ChainStore::new(store, crate::real_chain::GENESIS.parse().unwrap(), RULES);
    let all: Vec<_> = source.walk(&[root]).filter_map(Result::ok).collect();
    let genesis = all.last().unwrap();
    let kept = ChainFolder::create(&folder.join("chain"), genesis.first(), RULES).unwrap();
    kept.chain().store().put(&blocks[..blocks.len() / 2]).unwrap();
    for tipset in all.iter().rev().skip(1) {
        kept.put_messages(&source.messages(tipset).unwrap()).unwrap();
        kept.put_headers([tipset]).unwrap();
        if kept.set_head(tipset).unwrap() {
            println!("{TOLD}{}", tipset.height());
        }
    }
}

/// Runs [`in_another_process`] until it has told of `height` and a little on, and kills it. At 0, which is never told,
/// the kill may come before there is a chain. Gives the last height told.
fn killed_at(folder: &Path, height: i64) -> Option<i64> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "folder::in_another_process", "--nocapture"]).env(FOLDER, folder);
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = lines.map_while(Result::ok).filter_map(|line| line.split_once(TOLD)?.1.parse().ok());
    let reached = if height > 0 { told.find(|told| *told >= height) } else { None };
    thread::sleep(Duration::from_micros(at_most(if height > 0 { 2_000 } else { 30_000 })));
    child.kill().unwrap();
    child.wait().unwrap();
    // What was told before the kill, and had not been read yet.
    told.last().or(reached)
}

/// A number from 0 to `most`, another one each time.
fn at_most(most: u64) -> u64 {
    RandomState::new().build_hasher().finish() % (most + 1)
}

#[test]
fn chain_is_whole_whenever_its_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut before, mut seen) = (-1, BTreeSet::new());
    for round in 0..30 {
        let height = before + 1 + i64::try_from(at_most(10)).unwrap();
        let told = killed_at(folder.path(), height.min(39));
        let kept = match ChainFolder::open(&folder.path().join("chain"), RULES) {
            Ok(kept) => kept,
            // It had not come to the genesis.
            Err(FolderError::NoChain { .. }) if told.is_none() && before == -1 => continue,
            Err(error) => panic!("round {round}: {error}"),
        };
        let head = kept.head().tipset.height();
        assert!(head >= told.unwrap_or(0) && head >= before, "{head} after {told:?} was told and {before} was there");
        check_all(&kept);
        assert_eq!(kept.tipset_by_height(head + 1).unwrap(), None);
        seen.insert(head);
        before = head;
        if head == 39 {
            drop(kept);
            fs::remove_dir_all(folder.path().join("chain")).unwrap();
            before = -1;
        }
    }
    assert!(seen.iter().any(|head| (1..39).contains(head)), "killed too late or too early: {seen:?}");
}

fn check_all(kept: &ChainFolder) {
    let genesis = kept.chain().tipset(&[kept.genesis()]).unwrap();
    let keys = GenesisKeys::new(kept.chain().store(), genesis.first().parent_state_root);
    let checks = Checks { rules: &RULES, beacon: None, keys: &keys };
    for tipset in tipsets(kept) {
        assert!(kept.is_on_chain(&tipset.key(), tipset.height()).unwrap());
        if tipset.height() > 0 {
            kept.check_messages(&tipset, &kept.chain().messages(&tipset).unwrap(), &checks).unwrap();
        }
    }
}
