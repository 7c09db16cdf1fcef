use std::collections::HashSet;

use filecash_ipld::codec::Codec;
use filecash_ipld::hash::HashKind;
use proptest::prelude::*;

use super::super::choice::LATE;
use super::*;

const LIMITS: SessionLimits = SessionLimits { window: 24 << 20, held: 48 << 20 };

fn block(number: u32, length: usize) -> Block {
    let mut bytes = vec![0; length.max(4)];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Block::new(HashKind::Sha256, Codec::Raw, bytes).unwrap()
}

/// Sorted, so that a test knows who is asked first.
fn peers<const N: usize>() -> [PeerId; N] {
    let mut peers: [PeerId; N] = std::array::from_fn(|_| PeerId::random());
    peers.sort();
    peers
}

struct Test {
    session: Session,
    now: Instant,
}

impl Test {
    fn with(peers: &[PeerId]) -> Self {
        let mut test = Self { session: Session::new(LIMITS), now: Instant::now() };
        for peer in peers {
            test.session.join(*peer);
            test.session.opened(peer, Version::V1_2_0, test.now);
        }
        test
    }

    fn want(&mut self, block: &Block) {
        self.session.want(*block.cid(), Some(block.bytes().len()), self.now);
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
        self.session.tick(self.now);
    }

    fn says(&mut self, peer: &PeerId, block: &Block, have: bool) {
        self.session.presence(peer, block.cid().hash(), have, self.now);
    }

    fn sends(&mut self, peer: &PeerId, block: &Block) -> bool {
        self.session.block(peer, block.clone(), self.now)
    }

    /// Who is asked for which block, and whom nothing is wanted of any more.
    fn asks(&mut self) -> Vec<(PeerId, Cid, Option<WantKind>)> {
        self.session.take_asks().into_iter().map(|ask| (ask.peer, ask.cid, ask.kind)).collect()
    }
}

const BLOCK: Option<WantKind> = Some(WantKind::Block);
const HAVE: Option<WantKind> = Some(WantKind::Have);

#[test]
fn only_peer_is_asked_for_the_block_at_once() {
    let [peer] = peers();
    let mut test = Test::with(&[peer]);
    let wanted = block(1, 100);
    test.want(&wanted);
    assert_eq!(test.asks(), [(peer, *wanted.cid(), BLOCK)]);
    assert!(test.sends(&peer, &wanted));
    assert_eq!(test.asks(), [(peer, *wanted.cid(), None)]);
    assert_eq!(test.session.take_ready(), [wanted]);
    assert!(test.session.is_idle());
}

#[test]
fn several_peers_are_asked_whether_they_have_it_and_one_that_does_for_it() {
    let [one, two, three] = peers();
    let mut test = Test::with(&[one, two, three]);
    let wanted = block(1, 100);
    let cid = *wanted.cid();
    test.want(&wanted);
    assert_eq!(test.asks(), [(one, cid, HAVE), (two, cid, HAVE), (three, cid, HAVE)]);
    test.says(&one, &wanted, false);
    assert_eq!(test.asks(), []);
    test.says(&two, &wanted, true);
    assert_eq!(test.asks(), [(two, cid, BLOCK)]);
    test.says(&three, &wanted, true);
    assert_eq!(test.asks(), []);
    // It has lost it meanwhile.
    test.says(&two, &wanted, false);
    assert_eq!(test.asks(), [(three, cid, BLOCK)]);
    assert!(test.sends(&three, &wanted));
    assert_eq!(test.asks(), [(one, cid, None), (two, cid, None), (three, cid, None)]);
}

#[test]
fn providers_share_further_blocks_and_are_not_asked_whether_they_have_them() {
    let [one, two, three] = peers();
    let mut test = Test::with(&[one, two, three]);
    let root = block(0, 100);
    test.want(&root);
    test.says(&one, &root, true);
    test.says(&two, &root, true);
    test.says(&three, &root, false);
    assert!(test.sends(&one, &root));
    drop(test.asks());
    let blocks: Vec<Block> = (1..=40).map(|number| block(number, 256 << 10)).collect();
    blocks.iter().for_each(|block| test.want(block));
    let asks = test.asks();
    let of = |peer| asks.iter().filter(|(asked, _, kind)| *asked == peer && *kind == BLOCK).count();
    // Windows of 2 MiB, which are full.
    assert_eq!((of(one), of(two), of(three)), (8, 8, 0));
    // Nobody is asked for what another is asked for.
    let all: HashSet<_> = asks.iter().filter(|(_, _, kind)| *kind == BLOCK).map(|(_, cid, _)| *cid).collect();
    assert_eq!(all.len(), 16);
    // Of the third it is asked now and then.
    assert!(asks.iter().filter(|(peer, _, kind)| *peer == three && *kind == HAVE).count() <= 1);
}

#[test]
fn windows_grow_while_blocks_come_quickly_and_shrink_when_they_do_not() {
    let [peer] = peers();
    let mut test = Test::with(&[peer]);
    let blocks: Vec<Block> = (0..400).map(|number| block(number, 64 << 10)).collect();
    let outstanding = |session: &Session| session.wants.values().filter(|wanted| wanted.is_asked_of(&peer)).count();
    blocks.iter().for_each(|block| test.want(block));
    assert_eq!(outstanding(&test.session), 32);
    for block in &blocks[..100] {
        test.now += Duration::from_millis(1);
        assert!(test.sends(&peer, block));
        test.session.take_ready();
        test.session.release(64 << 10, test.now);
    }
    let grown = outstanding(&test.session);
    assert!(grown > 100, "{grown}");
    for block in &blocks[100..140] {
        test.now += Duration::from_secs(3);
        test.sends(&peer, block);
    }
    let shrunk = outstanding(&test.session);
    assert!(shrunk < 100, "{shrunk}");
}

#[test]
fn silent_peer_is_left_for_another_and_asked_again_when_there_is_none() {
    let [one, two] = peers();
    let mut test = Test::with(&[one, two]);
    let wanted = block(1, 100);
    let cid = *wanted.cid();
    test.want(&wanted);
    test.says(&one, &wanted, true);
    drop(test.asks());
    test.passes(SILENCE + Duration::from_secs(1));
    let asks = test.asks();
    assert!(asks.contains(&(one, cid, None)) && asks.contains(&(two, cid, BLOCK)), "{asks:?}");
    test.session.closed(&two, true, test.now);
    let asks = test.asks();
    assert!(asks.contains(&(one, cid, BLOCK)), "{asks:?}");
    // Now it has more time.
    test.passes(SILENCE + Duration::from_secs(1));
    assert_eq!(test.asks(), []);
    test.passes(SILENCE);
    assert_eq!(test.asks(), [(one, cid, None), (one, cid, BLOCK)]);
}

#[test]
fn search_without_answers_ends() {
    let [one, two] = peers();
    let mut test = Test::with(&[one, two]);
    let wanted = block(1, 100);
    test.want(&wanted);
    drop(test.asks());
    test.passes(SEARCH + Duration::from_millis(1));
    assert!(test.asks().iter().any(|(_, _, kind)| *kind == BLOCK));
}

#[test]
fn late_block_is_asked_for_elsewhere_too_and_the_first_that_comes_is_taken() {
    let [one, two] = peers();
    let mut test = Test::with(&[one, two]);
    let [root, wanted] = [block(0, 100), block(1, 100)];
    test.want(&root);
    test.says(&one, &root, true);
    test.says(&two, &root, true);
    test.sends(&one, &root);
    drop(test.asks());
    test.want(&wanted);
    let asked = test.asks()[0].0;
    let other = if asked == one { two } else { one };
    test.passes(LATE + Duration::from_secs(1));
    assert_eq!(test.asks(), [(other, *wanted.cid(), BLOCK)]);
    test.passes(LATE + Duration::from_secs(1));
    assert_eq!(test.asks(), []);
    assert!(test.sends(&other, &wanted));
    assert!(!test.sends(&asked, &wanted));
    assert_eq!(test.session.take_ready().len(), 2);
}

#[test]
fn what_nobody_has_is_told_and_taken_when_it_comes_all_the_same() {
    let [one, two, three] = peers();
    let mut test = Test::with(&[one, two]);
    let wanted = block(1, 100);
    test.want(&wanted);
    test.says(&one, &wanted, false);
    assert_eq!(test.session.nowhere(), None);
    test.says(&two, &wanted, false);
    assert_eq!(test.session.nowhere(), Some(*wanted.cid()));
    drop(test.asks());
    // Somebody else may have it.
    test.session.join(three);
    test.session.opened(&three, Version::V1_2_0, test.now);
    assert_eq!(test.asks(), [(three, *wanted.cid(), BLOCK)]);
    assert_eq!(test.session.nowhere(), None);
    test.says(&three, &wanted, false);
    assert!(test.session.nowhere().is_some());
    assert!(test.sends(&two, &wanted));
}

#[test]
fn peer_that_is_gone_is_asked_again_when_it_is_back() {
    let [peer] = peers();
    let mut test = Test::with(&[peer]);
    let wanted = block(1, 100);
    test.want(&wanted);
    drop(test.asks());
    test.session.closed(&peer, false, test.now);
    assert_eq!(test.asks(), [(peer, *wanted.cid(), None)]);
    assert!(!test.session.is_lost());
    assert_eq!(test.session.nowhere(), None);
    test.session.opened(&peer, Version::V1_2_0, test.now);
    assert_eq!(test.asks(), [(peer, *wanted.cid(), BLOCK)]);
    test.session.closed(&peer, true, test.now);
    assert!(test.session.is_lost());
}

#[test]
fn old_version_is_asked_for_blocks_and_taken_by_their_hashes() {
    let [old, new] = peers();
    let mut test = Test::with(&[]);
    for (peer, version) in [(old, Version::V1_0_0), (new, Version::V1_2_0)] {
        test.session.join(peer);
        test.session.opened(&peer, version, test.now);
    }
    let wanted = block(1, 100);
    test.want(&wanted);
    assert_eq!(test.asks(), [(new, *wanted.cid(), HAVE)]);
    test.says(&new, &wanted, false);
    assert_eq!(test.asks(), [(old, *wanted.cid(), BLOCK)]);
    // It says nothing of the codec.
    let bare = Block::of_prefix(&[0, 0x70, 0x12, 0x20], wanted.bytes().to_vec()).unwrap();
    assert!(test.sends(&old, &bare));
    assert_eq!(test.session.take_ready(), [wanted]);
}

#[test]
fn blocks_that_were_not_asked_for_or_have_no_room_are_not_taken() {
    let [peer] = peers();
    let mut test = Test::with(&[peer]);
    assert!(!test.sends(&peer, &block(7, 100)));
    let blocks: Vec<Block> = (0..60).map(|number| block(number, 1 << 20)).collect();
    // They are said to be small.
    for block in &blocks {
        test.session.want(*block.cid(), Some(1), test.now);
    }
    let taken = blocks.iter().filter(|block| test.sends(&peer, block)).count();
    assert_eq!(taken, 48);
    assert_eq!(test.session.room(), 0);
    let ready = test.session.take_ready();
    drop(test.asks());
    test.session.release(ready.len() << 20, test.now);
    // The others are asked for again.
    assert_eq!(test.asks().iter().filter(|(_, _, kind)| *kind == BLOCK).count(), 12);
}

/// A network of peers, each of which has some blocks, answers in its time, and may come and go.
#[derive(Debug)]
struct Network {
    has: Vec<HashSet<u32>>,
    under_way: Vec<(Instant, usize, u32, Option<WantKind>)>,
    delays: Vec<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever has what: all that somebody has arrives, once, and the books are empty at the end.
    #[test]
    fn what_somebody_has_arrives(
        has in proptest::collection::vec((proptest::collection::hash_set(0..50u32, 0..50), 1..3000u64), 1..5),
        liar in any::<bool>(),
    ) {
        let blocks: Vec<Block> = (0..50).map(|number| block(number, 5000)).collect();
        let ids: Vec<PeerId> = has.iter().map(|_| PeerId::random()).collect();
        let delays = has.iter().map(|(_, delay)| *delay).collect();
        let mut network = Network { has: has.into_iter().map(|(has, _)| has).collect(), under_way: vec![], delays };
        let all: HashSet<u32> = network.has.iter().flatten().copied().collect();
        let mut test = Test::with(&ids);
        blocks.iter().for_each(|block| test.want(block));
        let mut arrived = HashSet::new();
        for _ in 0..600 {
            for (peer, cid, kind) in test.asks() {
                let place = ids.iter().position(|id| *id == peer).unwrap();
                let number = blocks.iter().position(|block| *block.cid() == cid).unwrap() as u32;
                let when = test.now + Duration::from_millis(network.delays[place]);
                network.under_way.push((when, place, number, kind));
            }
            test.passes(Duration::from_millis(100));
            let (due, later): (Vec<_>, Vec<_>) =
                network.under_way.drain(..).partition(|(when, ..)| *when <= test.now);
            network.under_way = later;
            for (_, place, number, kind) in due {
                let (peer, block) = (ids[place], &blocks[number as usize]);
                let here = network.has[place].contains(&number);
                match kind {
                    Some(WantKind::Block) if here => {
                        let taken = test.sends(&peer, block);
                        prop_assert_eq!(taken, taken && arrived.insert(number));
                    }
                    // One says that it has all.
                    Some(kind) => test.says(&peer, block, here || (liar && place == 0 && kind == WantKind::Have)),
                    None => {}
                }
            }
            let ready = test.session.take_ready();
            test.session.release(ready.iter().map(|block| block.bytes().len()).sum(), test.now);
        }
        prop_assert_eq!(&arrived, &all);
        prop_assert_eq!(test.session.wants.len(), 50 - all.len());
        prop_assert_eq!(test.session.held, 0);
        prop_assert_eq!(test.session.nowhere().is_some(), all.len() < 50);
        prop_assert!(test.session.peers.values().all(|remote| remote.load() == 0));
    }
}
