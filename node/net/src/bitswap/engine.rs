//! What others want of us: a wantlist for each peer, in memory that has a limit. No input, no output, no time.
//!
//! ```text
//!                     ┌───────── done: Unsent ◄────────┐
//! received ──► ready ─┴► next ──► being answered ──► done ──► Told: forgotten
//!                ▲                                     └────► Absent: waits ─┐
//!                └──────────────────────── arrived ◄────────────────────────┘
//! ```
//! Who drives it looks up what [`Engine::next`] gives, once a peer has read what it was sent before: so a peer that does not read costs one
//! message, and no peer waits for another.
//!
//! Wants are known by multihash. A peer has so many, fewer when many peers have some; where there is no room for another, the one that has
//! waited longest for a block that is not here goes, or the new one is not taken.
//!
//! Source: `spec/network.md` 12.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cid::Version as CidVersion;
use filecash_ipld::Cid;
use filecash_ipld::hash::{HashKind, MAX_DIGEST};
use filecash_ipld::wire::bitswap::{Want, WantKind};
use libp2p::PeerId;
use multihash::Multihash;

/// What a block is known by.
pub type Hash = Multihash<MAX_DIGEST>;

/// How many wants are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantLimits {
    /// Of a peer.
    pub per_peer: usize,
    /// Of all peers. Each takes up to 600 bytes.
    pub all: usize,
}

/// A peer has room for so many wants, whatever others want.
const LEAST: usize = 16;

/// Everybody's wants.
#[derive(Debug)]
pub struct Engine {
    limits: WantLimits,
    ledgers: HashMap<PeerId, Ledger>,
    order: u64,
}

/// The wants of a peer.
#[derive(Debug, Default)]
struct Ledger {
    wants: HashMap<Hash, Entry>,
    /// Those to answer: high priorities first, then in order.
    ready: BTreeMap<(Reverse<i32>, u64), Hash>,
    /// Those for blocks that are not here, in order.
    waiting: BTreeMap<u64, Hash>,
}

#[derive(Debug)]
struct Entry {
    version: CidVersion,
    codec: u64,
    priority: i32,
    kind: WantKind,
    send_dont_have: bool,
    order: u64,
    stage: Stage,
    /// The block came while it was being answered.
    came: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ready,
    Answering,
    Waiting,
}

/// A want to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The block.
    pub cid: Cid,
    /// What of it.
    pub kind: WantKind,
    /// Whether to say so where it is not there.
    pub send_dont_have: bool,
    order: u64,
}

/// What became of a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer has the block, or knows that it is here.
    Told,
    /// It is not here.
    Absent,
    /// Nothing yet.
    Unsent,
}

impl Engine {
    /// One that nobody wants anything of.
    pub fn new(limits: WantLimits) -> Self {
        Self { limits, ledgers: HashMap::new(), order: 0 }
    }

    /// Takes a wantlist, or changes of one; tells how many wants had no room.
    pub fn received(&mut self, peer: PeerId, wants: &[Want], full: bool) -> usize {
        if full && let Some(ledger) = self.ledgers.get_mut(&peer) {
            let kept: HashSet<&Hash> = wants.iter().filter(|want| !want.cancel).map(|want| want.cid.hash()).collect();
            let gone: Vec<Hash> = ledger.wants.keys().filter(|hash| !kept.contains(hash)).copied().collect();
            gone.iter().for_each(|hash| ledger.forget(hash));
        }
        let asked = wants.iter().filter(|want| !want.cancel).count();
        if asked > 0 && !self.ledgers.contains_key(&peer) {
            if self.ledgers.len() >= self.limits.all / LEAST {
                return asked;
            }
            self.ledgers.insert(peer, Ledger::default());
        }
        let room = self.room();
        let Some(ledger) = self.ledgers.get_mut(&peer) else { return 0 };
        let mut refused = 0;
        for want in wants {
            if want.cancel {
                ledger.forget(want.cid.hash());
            } else if want.cid.hash().code() != HashKind::Identity.code() {
                self.order += 1;
                refused += usize::from(!ledger.want(want, self.order, room));
            }
        }
        if ledger.wants.is_empty() {
            self.ledgers.remove(&peer);
        }
        refused
    }

    /// How many wants a peer has room for.
    fn room(&self) -> usize {
        (self.limits.all / self.ledgers.len().max(1)).max(LEAST).min(self.limits.per_peer)
    }

    /// Whether there is something to answer.
    pub fn is_ready(&self, peer: &PeerId) -> bool {
        self.ledgers.get(peer).is_some_and(|ledger| !ledger.ready.is_empty())
    }

    /// The next wants of a peer to answer. Each has to be [`Engine::done`].
    pub fn next(&mut self, peer: &PeerId, count: usize) -> Vec<Asked> {
        let Some(ledger) = self.ledgers.get_mut(peer) else { return Vec::new() };
        let mut asked = Vec::new();
        while asked.len() < count
            && let Some((_, hash)) = ledger.ready.pop_first()
        {
            if let Some(entry) = ledger.wants.get_mut(&hash) {
                entry.stage = Stage::Answering;
                asked.push(entry.asked(hash));
            }
        }
        asked
    }

    /// What became of a want. One that was cancelled or changed meanwhile stays as it is.
    pub fn done(&mut self, peer: &PeerId, asked: &Asked, outcome: Outcome) {
        let Some(ledger) = self.ledgers.get_mut(peer) else { return };
        let hash = *asked.cid.hash();
        let Some(entry) = ledger.wants.get_mut(&hash).filter(|entry| entry.order == asked.order) else { return };
        let came = std::mem::take(&mut entry.came);
        match outcome {
            Outcome::Told => ledger.forget(&hash),
            Outcome::Absent if !came => {
                entry.stage = Stage::Waiting;
                ledger.waiting.insert(entry.order, hash);
            }
            Outcome::Absent | Outcome::Unsent => {
                entry.stage = Stage::Ready;
                ledger.ready.insert((Reverse(entry.priority), entry.order), hash);
            }
        }
        if ledger.wants.is_empty() {
            self.ledgers.remove(peer);
        }
    }

    /// Blocks are here now; tells who has waited for them.
    pub fn arrived<'a>(&mut self, hashes: impl IntoIterator<Item = &'a Hash>) -> BTreeSet<PeerId> {
        let hashes: HashSet<&Hash> = hashes.into_iter().collect();
        let mut peers = BTreeSet::new();
        for (peer, ledger) in &mut self.ledgers {
            // However many blocks came and peers wait, there are no more look-ups than wants.
            let wanted: Vec<Hash> = if hashes.len() < ledger.wants.len() {
                hashes.iter().copied().filter(|hash| ledger.wants.contains_key(*hash)).copied().collect()
            } else {
                ledger.wants.keys().filter(|hash| hashes.contains(hash)).copied().collect()
            };
            let woken = wanted.iter().filter(|hash| ledger.wake(hash)).count();
            if woken > 0 {
                peers.insert(*peer);
            }
        }
        peers
    }

    /// Forgets a peer.
    pub fn gone(&mut self, peer: &PeerId) {
        self.ledgers.remove(peer);
    }

    /// Who wants something.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.ledgers.keys()
    }

    /// How many wants are kept.
    pub fn wants(&self) -> usize {
        self.ledgers.values().map(|ledger| ledger.wants.len()).sum()
    }
}

impl Ledger {
    /// Whether there was room.
    fn want(&mut self, want: &Want, order: u64, room: usize) -> bool {
        let hash = *want.cid.hash();
        match self.wants.get(&hash) {
            // It gets the block, and needs not be told that there is one.
            Some(known) if known.kind == WantKind::Block && want.kind == WantKind::Have => return true,
            // It is on its way.
            Some(known) if known.kind == want.kind && known.stage == Stage::Answering => return true,
            Some(_) => self.forget(&hash),
            None => {
                while self.wants.len() >= room {
                    let Some((_, oldest)) = self.waiting.pop_first() else { return false };
                    self.wants.remove(&oldest);
                }
            }
        }
        let Want { cid, priority, kind, send_dont_have, .. } = want;
        let (version, codec) = (cid.version(), cid.codec());
        let entry = Entry {
            version,
            codec,
            priority: *priority,
            kind: *kind,
            send_dont_have: *send_dont_have,
            order,
            stage: Stage::Ready,
            came: false,
        };
        self.ready.insert((Reverse(*priority), order), hash);
        self.wants.insert(hash, entry);
        true
    }

    fn forget(&mut self, hash: &Hash) {
        let Some(entry) = self.wants.remove(hash) else { return };
        match entry.stage {
            Stage::Ready => drop(self.ready.remove(&(Reverse(entry.priority), entry.order))),
            Stage::Waiting => drop(self.waiting.remove(&entry.order)),
            Stage::Answering => {}
        }
    }

    /// Whether it was waited for.
    fn wake(&mut self, hash: &Hash) -> bool {
        let Some(entry) = self.wants.get_mut(hash) else { return false };
        entry.came |= entry.stage == Stage::Answering;
        if entry.stage != Stage::Waiting {
            return false;
        }
        entry.stage = Stage::Ready;
        self.waiting.remove(&entry.order);
        self.ready.insert((Reverse(entry.priority), entry.order), *hash);
        true
    }
}

impl Entry {
    fn asked(&self, hash: Hash) -> Asked {
        // What a CID was made of makes one again.
        let cid = Cid::new(self.version, self.codec, hash).unwrap_or_else(|_| Cid::new_v1(self.codec, hash));
        Asked { cid, kind: self.kind, send_dont_have: self.send_dont_have, order: self.order }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
