//! One fetch: which blocks are wanted, and whom to ask for each. No input, no output; time is handed in.
//!
//! ```text
//! want ──► queued ──► searching (want-have to all) ──► asked (want-block to one) ──► block: ready
//!             ▲              │ nobody has it                │ don't have, silent, gone
//!             │              ▼                              │
//!             └── opened ─ nowhere                          │
//!             └─────────────────────────────────────────────┘
//! ```
//! A peer that has sent a block, or said that it has one, is a *provider*, and is asked for further blocks without a search; others are
//! asked now and then whether they have what a provider is being asked for. Where only one peer can have a block, it is asked for the block
//! at once.
//!
//! Each peer has a window of bytes that it is asked for: it grows while blocks come within half a second and shrinks when they take two, so
//! that peers get shares by their speed. All peers together are asked for no more than the fetch has memory for.
//!
//! Source: `spec/network.md` 12.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use filecash_ipld::wire::bitswap::{Version, WantKind};
use filecash_ipld::{Block, Cid};
use libp2p::PeerId;

use super::engine::Hash;
use super::remote::Remote;

/// Blocks that are wanted at once.
pub const WANTED: usize = 1024;
/// How long a peer may say nothing while it is asked for something; twice as long each time that it does.
pub const SILENCE: Duration = Duration::from_secs(10);
/// How long a search waits before somebody is asked for the block all the same.
const SEARCH: Duration = Duration::from_secs(2);
/// How long a block is taken to be before any has come.
const FIRST_ESTIMATE: usize = 256 << 10;

/// What a fetch may have of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Bytes that peers are asked for or that have come, as far as one can tell before.
    pub window: usize,
    /// Bytes that have come and are not kept yet; what comes beyond is dropped and asked for later.
    pub held: usize,
}

/// Something to tell a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whom.
    pub peer: PeerId,
    /// Of which block.
    pub cid: Cid,
    /// What is wanted of it; `None` for nothing any more.
    pub kind: Option<WantKind>,
    /// Higher ones first.
    pub priority: i32,
}

/// A fetch.
#[derive(Debug)]
pub struct Session {
    pub(super) limits: SessionLimits,
    pub(super) peers: BTreeMap<PeerId, Remote>,
    pub(super) wants: HashMap<Hash, Wanted>,
    /// Those that nobody is asked for, in order.
    pub(super) queue: BTreeMap<u64, Hash>,
    order: u64,
    wanted_bytes: usize,
    ready: Vec<Block>,
    pub(super) held: usize,
    estimate: usize,
    pub(super) asks: Vec<Ask>,
}

/// A block that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub cid: Cid,
    pub order: u64,
    pub size: usize,
    pub stage: Stage,
    /// Who said that it has it.
    pub haves: Vec<PeerId>,
    /// Who said that it does not.
    pub denied: Vec<PeerId>,
    /// Who was asked whether it has it.
    pub searched: Vec<PeerId>,
}

#[derive(Debug)]
pub(super) enum Stage {
    Queued,
    Searching(Instant),
    Asked(Vec<(PeerId, Instant)>),
    Nowhere,
}

impl Wanted {
    pub fn is_asked_of(&self, peer: &PeerId) -> bool {
        self.asked().iter().any(|(asked, _)| asked == peer)
    }

    pub fn asked(&self) -> &[(PeerId, Instant)] {
        match &self.stage {
            Stage::Asked(peers) => peers,
            _ => &[],
        }
    }

    pub fn priority(&self) -> i32 {
        i32::MAX - i32::try_from(self.order).unwrap_or(i32::MAX - 1)
    }
}

impl Session {
    /// One without peers.
    pub fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            peers: BTreeMap::new(),
            wants: HashMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            wanted_bytes: 0,
            ready: Vec::new(),
            held: 0,
            estimate: FIRST_ESTIMATE,
            asks: Vec::new(),
        }
    }

    /// A peer may have the blocks; it is not connected yet.
    pub fn join(&mut self, peer: PeerId) {
        let remote = self.peers.entry(peer).or_insert_with(Remote::new);
        remote.is_lost = false;
    }

    /// A peer can be told things.
    pub fn opened(&mut self, peer: &PeerId, version: Version, now: Instant) {
        let Some(remote) = self.peers.get_mut(peer) else { return };
        (remote.version, remote.is_lost) = (Some(version), false);
        self.look_again();
        self.assign(now);
    }

    /// A peer cannot be told things, for now or for good.
    pub fn closed(&mut self, peer: &PeerId, for_good: bool, now: Instant) {
        let Some(remote) = self.peers.get_mut(peer) else { return };
        (remote.version, remote.is_lost) = (None, for_good);
        self.take_back(peer);
        // Who comes back is asked anew.
        self.wants.values_mut().for_each(|wanted| wanted.searched.retain(|searched| searched != peer));
        self.assign(now);
    }

    /// Wants a block, of which the size may be known.
    pub fn want(&mut self, cid: Cid, size: Option<usize>, now: Instant) {
        if self.wants.contains_key(cid.hash()) {
            return;
        }
        self.order += 1;
        let size = size.unwrap_or(self.estimate).clamp(1, filecash_ipld::block::MAX_BYTES);
        let (haves, denied, searched) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = Wanted { cid, order: self.order, size, stage: Stage::Queued, haves, denied, searched };
        self.queue.insert(self.order, *cid.hash());
        self.wants.insert(*cid.hash(), wanted);
        self.wanted_bytes += size;
        self.assign(now);
    }

    /// How many more blocks may be wanted.
    pub fn room(&self) -> usize {
        let bytes = self.limits.window.saturating_sub(self.wanted_bytes + self.held);
        let first = usize::from(self.wants.is_empty() && self.held == 0);
        bytes.div_ceil(self.estimate).min(WANTED.saturating_sub(self.wants.len())).max(first)
    }

    /// Whether a block is wanted.
    pub fn wants(&self, hash: &Hash) -> bool {
        self.wants.contains_key(hash)
    }

    /// Whether nothing is wanted.
    pub fn is_idle(&self) -> bool {
        self.wants.is_empty()
    }

    /// Takes a block that is wanted, if there is memory for it.
    pub fn block(&mut self, peer: &PeerId, block: Block, now: Instant) -> bool {
        let hash = *block.cid().hash();
        let length = block.bytes().len();
        if !self.wants(&hash) {
            return false;
        }
        if self.held + length > self.limits.held {
            self.withdraw(&hash);
            self.requeue(&hash);
            return false;
        }
        let since = self.wants[&hash].asked().iter().find(|(asked, _)| asked == peer).map(|(_, since)| *since);
        self.withdraw(&hash);
        let Some(wanted) = self.wants.remove(&hash) else { return false };
        self.queue.remove(&wanted.order);
        self.wanted_bytes -= wanted.size;
        self.held += length;
        self.estimate = (self.estimate * 7 + length.max(1)).div_ceil(8);
        // Version 1.0.0 does not say what it is called.
        self.ready.push(Block::trusted(wanted.cid, block.into_parts().1));
        let has_more = !self.queue.is_empty();
        if let Some(remote) = self.peers.get_mut(peer) {
            remote.sent(length, since, has_more, now);
        }
        self.assign(now);
        true
    }

    /// A peer says whether it has a block.
    pub fn presence(&mut self, peer: &PeerId, hash: &Hash, have: bool, now: Instant) {
        let Some(remote) = self.peers.get_mut(peer) else { return };
        let Some(wanted) = self.wants.get_mut(hash) else {
            // It came from somebody else meanwhile.
            if have && remote.probed.is_some() {
                remote.said(have, now);
            }
            return;
        };
        remote.said(have, now);
        if have {
            if !wanted.haves.contains(peer) {
                wanted.haves.push(*peer);
            }
            if matches!(wanted.stage, Stage::Searching(_) | Stage::Nowhere) {
                self.requeue(hash);
            }
        } else {
            wanted.haves.retain(|other| other != peer);
            if !wanted.denied.contains(peer) {
                wanted.denied.push(*peer);
            }
            self.unask(peer, hash);
            if self.wants.get(hash).is_some_and(|wanted| !self.has_answers_to_come(wanted)) {
                self.requeue(hash);
            }
        }
        self.assign(now);
    }

    /// Whether somebody may still say that it has a block, or send it.
    fn has_answers_to_come(&self, wanted: &Wanted) -> bool {
        let is_open = |peer: &PeerId| self.peers.get(peer).is_some_and(|remote| remote.version.is_some());
        match &wanted.stage {
            Stage::Searching(_) => wanted.searched.iter().any(|peer| !wanted.denied.contains(peer) && is_open(peer)),
            Stage::Asked(_) | Stage::Queued => true,
            Stage::Nowhere => false,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        let silent: Vec<PeerId> =
            self.peers.iter_mut().filter_map(|(peer, remote)| remote.is_silent(now).then_some(*peer)).collect();
        for peer in &silent {
            tracing::debug!(%peer, "says nothing");
            self.take_back(peer);
        }
        if !silent.is_empty() {
            self.look_again();
        }
        let is_old = |wanted: &Wanted| matches!(wanted.stage, Stage::Searching(since) if now - since > SEARCH);
        let old: Vec<Hash> = self.wants.iter().filter(|(_, wanted)| is_old(wanted)).map(|(hash, _)| *hash).collect();
        old.iter().for_each(|hash| self.requeue(hash));
        self.assign(now);
        if self.queue.is_empty() {
            self.ask_others(now);
        }
    }

    /// What is ready, which counts until it is [released](Session::release).
    pub fn take_ready(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.ready)
    }

    /// So many bytes are kept elsewhere now.
    pub fn release(&mut self, bytes: usize, now: Instant) {
        self.held = self.held.saturating_sub(bytes);
        self.assign(now);
    }

    /// What is to be told to peers.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.asks)
    }

    /// A block that all peers say they do not have.
    pub fn nowhere(&self) -> Option<Cid> {
        self.wants.values().find(|wanted| matches!(wanted.stage, Stage::Nowhere)).map(|wanted| wanted.cid)
    }

    /// The block that is wanted first of all.
    pub fn first(&self) -> Option<Cid> {
        self.wants.values().min_by_key(|wanted| wanted.order).map(|wanted| wanted.cid)
    }

    /// Whether no peer can be reached.
    pub fn is_lost(&self) -> bool {
        self.peers.values().all(|remote| remote.is_lost)
    }

    /// Whether it asks a peer that may be reached.
    pub fn has(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|remote| !remote.is_lost)
    }

    /// Whether it would ask a peer that cannot be reached.
    pub fn lost(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|remote| remote.is_lost)
    }

    /// Nobody has it, as far as they say.
    pub(super) fn set_aside(&mut self, hash: &Hash) {
        if let Some(wanted) = self.wants.get_mut(hash) {
            wanted.stage = Stage::Nowhere;
            self.queue.remove(&wanted.order);
        }
    }

    fn requeue(&mut self, hash: &Hash) {
        if let Some(wanted) = self.wants.get_mut(hash) {
            wanted.stage = Stage::Queued;
            self.queue.insert(wanted.order, *hash);
        }
    }

    /// Queues again what nobody had.
    fn look_again(&mut self) {
        let is_nowhere = |wanted: &Wanted| matches!(wanted.stage, Stage::Nowhere);
        let all: Vec<Hash> =
            self.wants.iter().filter(|(_, wanted)| is_nowhere(wanted)).map(|(hash, _)| *hash).collect();
        all.iter().for_each(|hash| self.requeue(hash));
    }

    /// A peer is not asked for a block any more, and need not be told.
    fn unask(&mut self, peer: &PeerId, hash: &Hash) {
        let Some(wanted) = self.wants.get_mut(hash) else { return };
        if let Stage::Asked(peers) = &mut wanted.stage {
            let before = peers.len();
            peers.retain(|(asked, _)| asked != peer);
            if peers.len() < before
                && let Some(remote) = self.peers.get_mut(peer)
            {
                remote.unasked(wanted.size);
            }
            if peers.is_empty() {
                self.requeue(hash);
            }
        }
    }

    /// Cancels a block with all who were asked for it or whether they have it.
    fn withdraw(&mut self, hash: &Hash) {
        let Some(wanted) = self.wants.get_mut(hash) else { return };
        let mut told: Vec<PeerId> = wanted.asked().iter().map(|(peer, _)| *peer).collect();
        told.append(&mut wanted.searched);
        told.extend(&wanted.denied);
        told.sort();
        told.dedup();
        let (cid, priority) = (wanted.cid, 0);
        for peer in told {
            self.unask(&peer, hash);
            self.asks.push(Ask { peer, cid, kind: None, priority });
        }
    }

    /// Cancels all that a peer was asked for, for others to be asked.
    fn take_back(&mut self, peer: &PeerId) {
        let is_its = |wanted: &Wanted| wanted.is_asked_of(peer) || wanted.searched.contains(peer);
        let its: Vec<Hash> = self.wants.iter().filter(|(_, wanted)| is_its(wanted)).map(|(hash, _)| *hash).collect();
        for hash in its {
            self.unask(peer, &hash);
            let Some(wanted) = self.wants.get_mut(&hash) else { continue };
            wanted.haves.retain(|other| other != peer);
            let cid = wanted.cid;
            self.asks.push(Ask { peer: *peer, cid, kind: None, priority: 0 });
            if self.wants.get(&hash).is_some_and(|wanted| matches!(wanted.stage, Stage::Searching(_))) {
                self.requeue(&hash);
            }
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
