use super::*;
use crate::check::tipset::{Checks, NoKeys};
use crate::header::tests::header;

const RULES: Rules = Rules::MAINNET;
/// What one election adds at a power of two bytes.
const STEP: u64 = 256 + 25;

fn genesis() -> BlockHeader {
    let mut genesis = header(0, 0, vec![]);
    genesis.parent_weight = Amount::zero();
    genesis
}

/// A block on others, of which each height before had so many elections won.
fn on(parents: &Tipset, miner: u64) -> BlockHeader {
    let mut block = header(miner, parents.height() + 1, parents.key());
    let wins: u64 = parents.headers().map(|header| header.election_proof.as_ref().unwrap().win_count as u64).sum();
    let before = &parents.first().parent_weight.0;
    block.parent_weight = Amount(before + 256 + 256 * wins / 10);
    block
}

/// Tipsets of one block, from below, on another.
fn chain(on_top_of: &Tipset, count: usize, miner: u64) -> Vec<Tipset> {
    let mut tipsets: Vec<Tipset> = Vec::new();
    for _ in 0..count {
        let block = on(tipsets.last().unwrap_or(on_top_of), miner);
        tipsets.push(Tipset::new(vec![block]).unwrap());
    }
    tipsets
}

fn tipset(header: BlockHeader) -> Tipset {
    Tipset::new(vec![header]).unwrap()
}

struct Kept {
    folder: tempfile::TempDir,
    chain: ChainFolder,
    genesis: Tipset,
}

fn kept() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let chain = ChainFolder::create(&folder.path().join("chain"), &genesis(), RULES).unwrap();
    Kept { folder, chain, genesis: tipset(genesis()) }
}

#[test]
fn head_is_the_heaviest_and_stays_when_another_is_as_heavy() {
    let Kept { folder, chain: kept, genesis } = kept();
    assert_eq!(kept.head().weight, Amount::zero());
    let [one, two] = [on(&genesis, 1), on(&genesis, 2)];
    let both = Tipset::new(vec![one.clone(), two.clone()]).unwrap();
    kept.put_headers([&both]).unwrap();
    assert!(kept.set_head(&tipset(one.clone())).unwrap());
    assert!(!kept.set_head(&tipset(two)).unwrap());
    assert_eq!(kept.head().tipset, tipset(one.clone()));
    assert!(kept.set_head(&both).unwrap());
    assert!(!kept.set_head(&tipset(one)).unwrap());
    assert_eq!(kept.head().weight, Amount::from(STEP + 256 + 51));
    assert_eq!(kept.hello().heaviest, both.key());
    assert_eq!(kept.tipset_by_height(1).unwrap().unwrap(), both);
    drop(kept);
    let again = ChainFolder::open(&folder.path().join("chain"), RULES).unwrap();
    assert_eq!((again.head().tipset.clone(), again.genesis()), (both, genesis.key()[0]));
    assert_eq!(again.head().weight, Amount::from(STEP + 256 + 51));
}

#[test]
fn who_watches_the_head_is_told_of_it_and_of_each_new_one() {
    let Kept { chain: kept, genesis, folder: _folder } = kept();
    let tipsets = chain(&genesis, 3, 1);
    kept.put_headers(&tipsets).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    kept.watch_head(Box::new(move |head| tells.lock().unwrap().push(head.tipset.height())));
    assert!(kept.set_head(&tipsets[1]).unwrap());
    assert!(!kept.set_head(&tipsets[0]).unwrap());
    assert!(kept.set_head(&tipsets[2]).unwrap());
    assert_eq!(*told.lock().unwrap(), [0, 2, 3]);
}

#[test]
fn heights_follow_the_head_onto_another_fork() {
    let Kept { chain: kept, genesis, folder: _folder } = kept();
    let first = chain(&genesis, 5, 1);
    let second = chain(&first[1], 4, 2);
    kept.put_headers(first.iter().chain(&second)).unwrap();
    assert!(kept.set_head(&first[4]).unwrap());
    assert!(!kept.set_head(&second[2]).unwrap());
    assert!(kept.set_head(&second[3]).unwrap());
    for (height, expected) in [(2, &first[1]), (3, &second[0]), (6, &second[3])] {
        assert_eq!(kept.tipset_by_height(height).unwrap().as_ref(), Some(expected));
    }
    assert_eq!(kept.tipset_by_height(7).unwrap(), None);
    assert_eq!(kept.tipset_by_height(-1).unwrap(), None);
    assert!(!kept.is_on_chain(&first[2].key(), 3).unwrap());
    let walked: Vec<_> = kept.chain().walk(&second[3].key()).map(|tipset| tipset.unwrap().height()).collect();
    assert_eq!(walked, [6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn forks_from_far_below_are_refused() {
    let Kept { chain: kept, genesis, folder: _folder } = kept();
    let main = chain(&genesis, 905, 1);
    kept.put_headers(&main).unwrap();
    assert!(kept.set_head(main.last().unwrap()).unwrap());
    let (far, near) = (chain(&main[3], 902, 2), chain(&main[4], 902, 2));
    kept.put_headers(far.iter().chain(&near)).unwrap();
    let refused = |outcome| matches!(outcome, Err(FolderError::ForkTooLong { height: 5, .. }));
    let checks = Checks { rules: &RULES, beacon: None, keys: &NoKeys };
    let far_head = far.last().unwrap();
    assert!(refused(kept.set_head(far_head)));
    let mut descent = Descent::from(far_head.key());
    assert!(refused(kept.descend(&mut descent, &checks, u64::MAX, 2000).map(|_| false)));
    let near_head = near.last().unwrap();
    let mut descent = Descent::from(near_head.key());
    assert_eq!(kept.descend(&mut descent, &checks, u64::MAX, 500).unwrap(), Step::More);
    assert_eq!(kept.descend(&mut descent, &checks, u64::MAX, 500).unwrap(), Step::Met(5));
    assert!(kept.set_head(near_head).unwrap());
    assert_eq!(kept.head().tipset, *near_head);
}

#[test]
fn way_down_is_noted_and_forgotten() {
    let Kept { chain: kept, genesis, folder: _folder } = kept();
    let (one, other) = (chain(&genesis, 20, 1), chain(&genesis, 20, 2));
    let checks = Checks { rules: &RULES, beacon: None, keys: &NoKeys };
    kept.put_headers(&one[7..]).unwrap();
    let mut descent = Descent::from(one[19].key());
    assert_eq!(kept.descend(&mut descent, &checks, u64::MAX, 5).unwrap(), Step::More);
    assert_eq!(kept.descend(&mut descent, &checks, u64::MAX, 50).unwrap(), Step::Missing);
    assert_eq!((descent.below(), descent.next(), descent.top()), (8, &one[6].key()[..], Some(20)));
    assert_eq!(kept.noted(0, 20, 100).unwrap(), one[7..]);
    assert_eq!(kept.noted(9, 20, 3).unwrap(), one[9..12]);
    // Another way at the same heights takes the place of the first.
    kept.put_headers(&other).unwrap();
    let mut descent = Descent::from(other[14].key());
    assert_eq!(kept.descend(&mut descent, &checks, u64::MAX, 100).unwrap(), Step::Met(0));
    assert_eq!(kept.noted(0, 15, 100).unwrap(), other[..15]);
    assert!(kept.set_head(&other[9]).unwrap());
    kept.discard_noted().unwrap();
    assert_eq!(kept.noted(0, i64::MAX, 100).unwrap(), []);
    // What is on the chain is kept, what is not is gone.
    assert!(kept.chain().tipset(&other[9].key()).is_ok());
    assert!(kept.chain().tipset(&other[10].key()).is_err());
    assert!(kept.chain().tipset(&one[19].key()).is_err());
}

#[test]
fn nothing_of_another_way_stays_noted_where_there_are_null_rounds() {
    let Kept { chain: kept, genesis, folder: _folder } = kept();
    let checks = Checks { rules: &RULES, beacon: None, keys: &NoKeys };
    let old = chain(&genesis, 12, 1);
    kept.put_headers(&old).unwrap();
    kept.descend(&mut Descent::from(old[11].key()), &checks, u64::MAX, 100).unwrap();
    // Heights 1, 5 and 6 are null rounds.
    let later = |parents: &Tipset, height: i64| {
        let mut block = on(parents, 3);
        block.beacon_entries =
            (parents.height() + 1..=height).map(|height| header(3, height, vec![]).beacon_entries[0].clone()).collect();
        (block.height, block.timestamp) = (height, 1_000_000 + 30 * height as u64);
        tipset(block)
    };
    let first = later(&genesis, 2);
    let second = chain(&first, 2, 3);
    let third = later(&second[1], 7);
    let new: Vec<_> = [first].into_iter().chain(second).chain([third]).collect();
    for step in 1..5 {
        let mut descent = Descent::from(new[3].key());
        let mut came: Vec<_> = new.iter().rev().cloned().chain([genesis.clone()]).collect();
        let mut last = Step::More;
        while last == Step::More {
            let rest = came.split_off(step.min(came.len()));
            last = kept.descend_through(&mut descent, &checks, u64::MAX, std::mem::replace(&mut came, rest)).unwrap();
        }
        assert_eq!((last, kept.noted(0, 7, 100).unwrap()), (Step::Met(0), new.clone()));
    }
    // A wrong one among them, and none is kept.
    let mut wrong = later(&new[3], 9).first().clone();
    wrong.parents.reverse();
    wrong.ticket = None;
    let top = chain(&tipset(wrong.clone()), 1, 3);
    let came = vec![top[0].clone(), tipset(wrong), new[3].clone()];
    let outcome = kept.descend_through(&mut Descent::from(top[0].key()), &checks, u64::MAX, came);
    assert!(matches!(outcome, Err(FolderError::Invalid { height: 9, .. })), "{outcome:?}");
    assert!(kept.chain().tipset(&top[0].key()).is_err());
}

#[test]
fn way_down_ends_at_what_is_wrong() {
    let Kept { chain: kept, genesis, folder: _folder } = kept();
    let checks = Checks { rules: &RULES, beacon: None, keys: &NoKeys };
    let tried = |change: fn(&mut BlockHeader), now| {
        let main = chain(&genesis, 3, 1);
        let mut block = on(&main[2], 1);
        change(&mut block);
        let head = tipset(block);
        kept.put_headers(main.iter().chain([&head])).unwrap();
        let outcome = kept.descend(&mut Descent::from(head.key()), &checks, now, 10);
        outcome.map_err(|error| error.to_string())
    };
    let time = 1_000_000 + 30 * 4;
    assert_eq!(tried(|_| {}, time), Ok(Step::Met(0)));
    let wrong = |change, now, what: &str| {
        let error = tried(change, now).unwrap_err();
        assert!(error.contains("at height 4: ") && error.contains("block bafy2bza") && error.contains(what), "{error}");
    };
    wrong(|_| {}, time - 2, "the clock is at");
    wrong(|block| block.ticket = None, time, "without a ticket");
    wrong(|block| block.timestamp -= 1, time, "of second");
    wrong(|block| block.parent_weight = Amount::from(844), time, "to which no power leads");
    wrong(|block| block.beacon_entries[0].round += 1, time, "of the beacon follows");
    let stranger = tipset(header(9, 0, vec![]));
    let foreign = chain(&stranger, 3, 1);
    kept.put_headers(foreign.iter().chain([&stranger])).unwrap();
    let outcome = kept.descend(&mut Descent::from(foreign[2].key()), &checks, u64::MAX, 10);
    assert!(matches!(outcome, Err(FolderError::OtherGenesis { .. })), "{outcome:?}");
}

#[test]
fn folders_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(ChainFolder::open(path, RULES), Err(FolderError::NoChain { .. })));
    assert!(std::fs::read_dir(path).unwrap().next().is_none());
    let early = ChainFolder::create(path, &header(1, 1, vec![]), RULES);
    assert!(matches!(early, Err(FolderError::NoGenesis { height: 1, .. })));
    let kept = ChainFolder::create(path, &genesis(), RULES).unwrap();
    assert!(matches!(ChainFolder::open(path, RULES), Err(FolderError::Store(StoreError::InUse { .. }))));
    drop(kept);
    let other = ChainFolder::create(path, &header(7, 0, vec![]), RULES);
    assert!(matches!(other, Err(FolderError::OtherGenesis { .. })));
    assert!(ChainFolder::create(path, &genesis(), RULES).is_ok());
    std::fs::write(path.join("chain.redb"), [1; 5000]).unwrap();
    assert!(matches!(ChainFolder::open(path, RULES), Err(FolderError::Index(_))));
    std::fs::remove_file(path.join("chain.redb")).unwrap();
    drop(redb::Database::create(path.join("chain.redb")).unwrap());
    assert!(matches!(ChainFolder::open(path, RULES), Err(FolderError::Format { .. })));
}
