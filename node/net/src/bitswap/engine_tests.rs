use filecash_ipld::Block;
use filecash_ipld::block::MAX_BYTES;
use filecash_ipld::codec::Codec;
use filecash_ipld::wire::bitswap::{Message, Version};
use proptest::prelude::*;

use super::super::reply::{Reply, SMALL, TARGET};
use super::*;

fn cid(number: u32) -> Cid {
    HashKind::Sha256.cid(Codec::Raw.code(), &number.to_le_bytes()).unwrap()
}

fn want(number: u32, priority: i32) -> Want {
    Want { cid: cid(number), priority, cancel: false, kind: WantKind::Block, send_dont_have: false }
}

fn engine() -> Engine {
    Engine::new(WantLimits { per_peer: 100, all: 1000 })
}

fn next(engine: &mut Engine, peer: &PeerId) -> Vec<Cid> {
    engine.next(peer, 1000).iter().map(|asked| asked.cid).collect()
}

/// Answers as the task of a link does, with blocks of so many bytes.
fn answer(
    engine: &mut Engine,
    peer: &PeerId,
    version: Version,
    length: impl Fn(&Cid) -> Option<u64>,
) -> Option<Message> {
    let reply = Reply::plan(version, engine.next(peer, 1000), &length);
    assert!(reply.bytes() <= TARGET.max(MAX_BYTES));
    let (message, outcomes) = reply.read(|cid| length(cid).map(|length| vec![0; length as usize]));
    for (asked, outcome) in outcomes {
        engine.done(peer, &asked, outcome);
    }
    message
}

#[test]
fn high_priorities_are_answered_first_and_cancelled_wants_are_not() {
    let (mut engine, peer) = (engine(), PeerId::random());
    let cancel = Want { cancel: true, ..want(2, 0) };
    engine.received(peer, &[want(1, 1), want(2, 9), want(3, 5), want(4, 5), cancel], false);
    assert_eq!(next(&mut engine, &peer), [cid(3), cid(4), cid(1)]);
    assert!(!engine.is_ready(&peer));
}

#[test]
fn full_wantlist_takes_the_place_of_what_was_wanted() {
    let (mut engine, peer) = (engine(), PeerId::random());
    engine.received(peer, &[want(1, 1), want(2, 1)], false);
    engine.received(peer, &[want(2, 1), want(3, 1)], true);
    assert_eq!(next(&mut engine, &peer), [cid(2), cid(3)]);
    engine.received(peer, &[], true);
    assert_eq!((engine.wants(), engine.peers().count()), (0, 0));
}

#[test]
fn what_is_being_answered_is_not_answered_twice() {
    let (mut engine, peer) = (engine(), PeerId::random());
    engine.received(peer, &[want(1, 1)], false);
    let asked = engine.next(&peer, 1);
    engine.received(peer, &[want(1, 1)], true);
    assert!(!engine.is_ready(&peer));
    engine.done(&peer, &asked[0], Outcome::Told);
    assert_eq!(engine.wants(), 0);
    // One that was cancelled and asked for anew is another want.
    engine.received(peer, &[want(1, 1)], false);
    let asked = engine.next(&peer, 1);
    engine.received(peer, &[Want { cancel: true, ..want(1, 1) }, want(1, 1)], false);
    engine.done(&peer, &asked[0], Outcome::Told);
    assert_eq!(next(&mut engine, &peer), [cid(1)]);
}

#[test]
fn block_that_comes_later_is_sent_then() {
    let (mut engine, one, other) = (engine(), PeerId::random(), PeerId::random());
    engine.received(one, &[Want { send_dont_have: true, ..want(1, 1) }], false);
    engine.received(other, &[want(1, 1)], false);
    let said = answer(&mut engine, &one, Version::V1_2_0, |_| None).unwrap();
    assert_eq!((said.presences.len(), said.presences[0].have), (1, false));
    assert_eq!(answer(&mut engine, &other, Version::V1_2_0, |_| None), None);
    assert!(!engine.is_ready(&one) && !engine.is_ready(&other));
    assert_eq!(engine.arrived([cid(1).hash(), cid(2).hash()]), BTreeSet::from([one, other]));
    for peer in [&one, &other] {
        let sent = answer(&mut engine, peer, Version::V1_2_0, |_| Some(7)).unwrap();
        assert_eq!(sent.blocks[0].cid(), &cid(1));
    }
    assert_eq!(engine.wants(), 0);
}

#[test]
fn block_that_comes_while_it_is_looked_for_is_not_missed() {
    let (mut engine, peer) = (engine(), PeerId::random());
    engine.received(peer, &[want(1, 1)], false);
    let asked = engine.next(&peer, 1);
    assert!(engine.arrived([cid(1).hash()]).is_empty());
    engine.done(&peer, &asked[0], Outcome::Absent);
    assert!(engine.is_ready(&peer));
}

#[test]
fn wants_of_a_peer_have_a_limit_and_the_oldest_of_what_is_not_here_goes() {
    let (mut engine, peer) = (engine(), PeerId::random());
    let many: Vec<Want> = (0..150).map(|number| want(number, 1)).collect();
    assert_eq!(engine.received(peer, &many, false), 50);
    assert_eq!(engine.wants(), 100);
    assert_eq!(answer(&mut engine, &peer, Version::V1_2_0, |_| None), None);
    assert_eq!(engine.received(peer, &[want(1000, 1)], false), 0);
    assert_eq!(engine.wants(), 100);
    assert!(engine.arrived([cid(0).hash()]).is_empty());
    assert!(!engine.arrived([cid(1).hash()]).is_empty());
}

#[test]
fn wants_of_all_peers_have_a_limit() {
    let mut engine = engine();
    let many: Vec<Want> = (0..150).map(|number| want(number, 1)).collect();
    let peers: Vec<PeerId> = (0..200).map(|_| PeerId::random()).collect();
    for peer in &peers {
        engine.received(*peer, &many, false);
    }
    // The first have a hundred each, later ones less, down to sixteen; and there are sixty-two.
    assert_eq!(engine.peers().count(), 62);
    assert!(engine.wants() < 3000, "{}", engine.wants());
    assert_eq!(engine.received(peers[100], &many, false), 150);
    engine.gone(&peers[0]);
    assert_eq!(engine.received(peers[100], &many[..16], false), 0);
    assert_eq!(next(&mut engine, &peers[100]).len(), 16);
}

#[test]
fn want_for_a_block_is_not_weakened_to_one_for_whether_it_is_there() {
    let (mut engine, peer) = (engine(), PeerId::random());
    engine.received(peer, &[want(1, 1), Want { kind: WantKind::Have, ..want(1, 1) }], false);
    let asked = engine.next(&peer, 10);
    assert_eq!((asked.len(), asked[0].kind), (1, WantKind::Block));
    engine.done(&peer, &asked[0], Outcome::Told);
    engine.received(peer, &[Want { kind: WantKind::Have, ..want(1, 1) }, want(1, 1)], false);
    assert_eq!(engine.next(&peer, 10)[0].kind, WantKind::Block);
}

#[test]
fn who_asks_whether_a_small_block_is_there_gets_it() {
    let (mut engine, peer) = (engine(), PeerId::random());
    let have = |number| Want { kind: WantKind::Have, send_dont_have: true, ..want(number, 1) };
    engine.received(peer, &[have(1), have(2), have(3)], false);
    let lengths = |cid_: &Cid| match cid_ {
        one if *one == cid(1) => Some(SMALL),
        two if *two == cid(2) => Some(SMALL + 1),
        _ => None,
    };
    let sent = answer(&mut engine, &peer, Version::V1_2_0, lengths).unwrap();
    assert_eq!(sent.blocks.iter().map(Block::cid).collect::<Vec<_>>(), [&cid(1)]);
    let said: Vec<_> = sent.presences.iter().map(|presence| (presence.cid, presence.have)).collect();
    assert_eq!(said, [(cid(2), true), (cid(3), false)]);
    // Only what is not here is still wanted.
    assert_eq!(engine.wants(), 1);
}

#[test]
fn messages_are_filled_to_half_a_mebibyte_in_order() {
    let (mut engine, peer) = (engine(), PeerId::random());
    let many: Vec<Want> = (0..10).map(|number| want(number, 10 - number as i32)).collect();
    engine.received(peer, &many, false);
    let mut sent = Vec::new();
    while let Some(message) = answer(&mut engine, &peer, Version::V1_2_0, |_| Some(200 << 10)) {
        assert!(message.blocks.len() <= 2);
        message.encode(Version::V1_2_0).unwrap();
        sent.extend(message.blocks.iter().map(|block| *block.cid()));
    }
    assert_eq!(sent, (0..10).map(cid).collect::<Vec<_>>());
    // One that is longer goes alone, and one that bitswap does not send is not here.
    engine.received(peer, &[want(1, 3), want(2, 2), Want { send_dont_have: true, ..want(3, 1) }], false);
    let length = |of: &Cid| Some(if *of == cid(3) { MAX_BYTES as u64 + 1 } else { MAX_BYTES as u64 });
    let first = answer(&mut engine, &peer, Version::V1_2_0, length).unwrap();
    assert_eq!((first.blocks.len(), first.presences.len()), (1, 0));
    let second = answer(&mut engine, &peer, Version::V1_2_0, length).unwrap();
    assert_eq!((second.blocks.len(), second.presences[0].have), (1, false));
}

#[test]
fn old_versions_are_sent_blocks_alone() {
    let (mut engine, peer) = (engine(), PeerId::random());
    let blake = HashKind::Blake2b256.cid(Codec::Raw.code(), b"bytes").unwrap();
    for (version, count) in [(Version::V1_0_0, 1), (Version::V1_1_0, 2)] {
        let other = Want { cid: blake, ..want(1, 1) };
        engine.received(peer, &[want(1, 1), other, Want { send_dont_have: true, ..want(2, 1) }], false);
        let length = |of: &Cid| (*of != cid(2)).then_some(5);
        let message = answer(&mut engine, &peer, version, length).unwrap();
        assert_eq!((message.blocks.len(), message.presences.len()), (count, 0));
        message.encode(version).unwrap();
        engine.gone(&peer);
    }
}

#[test]
fn block_that_is_gone_when_it_is_read_is_not_here() {
    let (mut engine, peer) = (engine(), PeerId::random());
    engine.received(peer, &[want(1, 1)], false);
    let reply = Reply::plan(Version::V1_2_0, engine.next(&peer, 10), |_| Some(100));
    let (message, outcomes) = reply.read(|_| None);
    assert_eq!((message, outcomes[0].1), (None, Outcome::Absent));
}

#[test]
fn what_a_cid_holds_is_not_wanted() {
    let (mut engine, peer) = (engine(), PeerId::random());
    let identity = HashKind::Identity.cid(Codec::Raw.code(), b"held").unwrap();
    engine.received(peer, &[Want { cid: identity, ..want(1, 1) }], false);
    assert_eq!((engine.wants(), engine.peers().count()), (0, 0));
}

#[derive(Debug, Clone)]
enum Event {
    Wants { peer: usize, wants: Vec<(u32, i32, bool, bool)>, full: bool },
    Answer { peer: usize, here: u32 },
    Arrived(u32),
    Gone(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let wants = proptest::collection::vec((0..40u32, -3..3i32, any::<bool>(), any::<bool>()), 0..30);
    prop_oneof![
        (0..3usize, wants, any::<bool>()).prop_map(|(peer, wants, full)| Event::Wants { peer, wants, full }),
        (0..3usize, 0..40u32).prop_map(|(peer, here)| Event::Answer { peer, here }),
        (0..40u32).prop_map(Event::Arrived),
        (0..3usize).prop_map(Event::Gone),
    ]
}

proptest! {
    /// Whatever happens, each want is in one place, and none beyond the limits.
    #[test]
    fn books_are_kept(events in proptest::collection::vec(event(), 0..60)) {
        let mut engine = Engine::new(WantLimits { per_peer: 20, all: 30 });
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        for event in events {
            match event {
                Event::Wants { peer, wants, full } => {
                    let wants: Vec<Want> = wants.iter().map(|(number, priority, cancel, have)| Want {
                        cancel: *cancel,
                        kind: if *have { WantKind::Have } else { WantKind::Block },
                        ..want(*number, *priority)
                    }).collect();
                    engine.received(peers[peer], &wants, full);
                }
                Event::Answer { peer, here } => {
                    let length = |of: &Cid| (0..here).any(|number| cid(number) == *of).then_some(5000);
                    answer(&mut engine, &peers[peer], Version::V1_2_0, length);
                }
                Event::Arrived(number) => drop(engine.arrived([cid(number).hash()])),
                Event::Gone(peer) => engine.gone(&peers[peer]),
            }
            for ledger in engine.ledgers.values() {
                prop_assert!(!ledger.wants.is_empty() && ledger.wants.len() <= 20);
                prop_assert_eq!(ledger.wants.len(), ledger.ready.len() + ledger.waiting.len());
                prop_assert!(ledger.ready.values().chain(ledger.waiting.values()).all(|hash| ledger.wants.contains_key(hash)));
            }
        }
    }
}
