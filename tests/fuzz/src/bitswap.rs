//! Both sides of bitswap, as state machines to which anything may happen.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use filecash_ipld::codec::Codec;
use filecash_ipld::hash::HashKind;
use filecash_ipld::wire::bitswap::{Message, Version, Want, WantKind};
use filecash_ipld::{Block, Cid};
use filecash_net::PeerId;
use filecash_net::bitswap::engine::{Engine, Outcome, WantLimits};
use filecash_net::bitswap::reply::{Reply, TARGET};
use filecash_net::bitswap::session::{Session, SessionLimits, WANTED};

const LIMITS: WantLimits = WantLimits { per_peer: 40, all: 100 };
const WINDOW: SessionLimits = SessionLimits { window: 8 << 10, held: 16 << 10 };

fn peer(number: u8) -> PeerId {
    // An identity of one byte.
    PeerId::from_bytes(&[0, 1, number % 4]).expect("a short identity is an id")
}

/// Blocks of 1 to 991 bytes.
fn block(number: u8) -> Block {
    let bytes = vec![number; usize::from(number % 100) * 10];
    Block::new(HashKind::Sha256, Codec::Raw, [&bytes[..], &[number]].concat()).expect("SHA-256 takes all bytes")
}

fn version(number: u8) -> Version {
    Version::ALL[usize::from(number) % Version::ALL.len()]
}

/// What others want of us: each two bytes are what happens and to whom, and where that is a message, its length and its bytes follow. No
/// want is answered twice, and there are no more than the limits. As many acceptances as messages and wants that were answered.
pub fn bitswap_engine(mut data: &[u8]) -> usize {
    let mut engine = Engine::new(LIMITS);
    let mut accepted = 0;
    while let [what, with, rest @ ..] = data {
        data = rest;
        let who = peer(*with);
        match what % 5 {
            0 => {
                let Some((length, rest)) = data.split_first() else { break };
                let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*length)));
                data = rest;
                if let Ok(message) = Message::decode(bytes) {
                    engine.received(who, &message.wants, message.full);
                    accepted += 1;
                }
            }
            1 => {
                let cid = *block(*with).cid();
                let kind = if what & 0x80 == 0 { WantKind::Block } else { WantKind::Have };
                let want =
                    Want { cid, priority: i32::from(*what), cancel: what & 0x40 != 0, kind, send_dont_have: true };
                engine.received(who, &[want], what & 0x20 != 0);
            }
            2 => accepted += answer(&mut engine, &who, version(*what >> 3), *with),
            3 => drop(engine.arrived([block(*with).cid().hash()])),
            _ => engine.gone(&who),
        }
        assert!(engine.wants() <= 4 * LIMITS.per_peer);
    }
    accepted
}

/// Answers while blocks up to a number are here; tells how many wants had an answer.
fn answer(engine: &mut Engine, who: &PeerId, version: Version, here: u8) -> usize {
    let asked = engine.next(who, 64);
    let names: BTreeSet<Cid> = asked.iter().map(|asked| asked.cid).collect();
    assert_eq!(names.len(), asked.len());
    let known: Vec<Block> = (0..here).map(block).collect();
    let find =
        |cid: &Cid| known.iter().find(|block| block.cid().hash() == cid.hash()).map(|block| block.bytes().to_vec());
    let reply = Reply::plan(version, asked.clone(), |cid| find(cid).map(|bytes| bytes.len() as u64));
    assert!(reply.bytes() <= TARGET);
    let (message, outcomes) = reply.read(find);
    assert_eq!(outcomes.len(), asked.len());
    if let Some(message) = message {
        let bytes = message.encode(version).expect("it is made for that version");
        assert!(Message::decode(&bytes).is_ok_and(|read| read.presences == message.presences));
    }
    for (asked, outcome) in &outcomes {
        assert!(find(&asked.cid).is_some() || *outcome != Outcome::Told);
        engine.done(who, asked, *outcome);
    }
    outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Told).count()
}

/// A fetch: each two bytes are what happens and with which block or peer. A block is taken when it is wanted and not otherwise, only what
/// is wanted is asked for, and only of who can be told. As many acceptances as blocks that are taken.
pub fn bitswap_session(data: &[u8]) -> usize {
    let mut session = Session::new(WINDOW);
    let mut now = Instant::now();
    let (mut open, mut wanted, mut held, mut accepted) = (HashSet::new(), HashSet::new(), 0, 0);
    for [what, with] in data.as_chunks().0 {
        let (who, block) = (peer(*what >> 4), block(*with));
        let hash = *block.cid().hash();
        match what % 9 {
            0 => session.join(who),
            1 => {
                session.join(who);
                session.opened(&who, version(*with), now);
                open.insert(who);
            }
            2 => {
                session.closed(&who, with & 1 == 0, now);
                open.remove(&who);
            }
            3 | 4 => {
                session.want(*block.cid(), (what & 0x80 == 0).then_some(usize::from(*with)), now);
                wanted.insert(hash);
            }
            5 => {
                let (length, had_room) = (block.bytes().len(), held + block.bytes().len() <= WINDOW.held);
                let taken = session.block(&who, block, now);
                assert_eq!(taken, wanted.contains(&hash) && had_room);
                if taken {
                    wanted.remove(&hash);
                    held += length;
                    accepted += 1;
                }
            }
            6 => session.presence(&who, &hash, with & 1 == 0, now),
            7 => {
                now += Duration::from_millis(u64::from(*with) * 50);
                session.tick(now);
            }
            _ => {
                let bytes: usize = session.take_ready().iter().map(|block| block.bytes().len()).sum();
                session.release(bytes, now);
                held -= bytes;
            }
        }
        assert_eq!(session.is_idle(), wanted.is_empty());
        assert!(session.room() <= WANTED);
        for ask in session.take_asks() {
            assert!(ask.kind.is_none() || (wanted.contains(ask.cid.hash()) && open.contains(&ask.peer)));
        }
    }
    accepted
}
