//! What a sync does next, as a machine without input and output: events go in, and not more than one order comes out, which is carried out
//! before the next.
//!
//! ```text
//! claims of peers ──best──> Begin ──> Headers from a peer, until the chain is met ──> Messages from a peer, until the target is the head
//!        ▲                    │            │ a peer fails: another                         │
//!        └───── next best ────┴────────────┴── nobody is left, or the chain is no good ────┘
//! ```
//! What others can make it hold is bounded: a claim for each of [`MAX_PEERS`] peers, notes about [`MAX_NOTES`], and [`MAX_REFUSED`] keys of
//! chains that were no good. A sync ends: each order comes closer to the genesis or to the target, or is one of the few that a
//! peer may fail at.
//!
//! Source: `spec/network.md` 5 and 16.1; `spec/chain.md` 4.1.

use std::collections::{BTreeMap, VecDeque};

use filecash_chain::Amount;
use filecash_chain::exchange::MAX_LENGTH;
use filecash_chain::folder::FINALITY;
use filecash_chain::tipset::MAX_BLOCKS;
use filecash_ipld::Cid;
use libp2p::PeerId;

/// Peers whose claims are known at once.
pub const MAX_PEERS: usize = 256;
/// Peers that something is held against.
pub const MAX_NOTES: usize = 1024;
/// Chains that were no good.
pub const MAX_REFUSED: usize = 256;
/// How often a peer may fail in one sync.
const MAX_TRIES: u32 = 2;
/// With so much held against them, peers' claims are not tried again before they make others.
const MAX_FAULTS: u32 = 8;
/// An answer with less than one in so many of what was asked for is a thin one.
const THIN: u64 = 8;
/// Asked for beyond what a claim is ahead, for a fork.
const MORE: i64 = 4;

/// A chain that somebody says there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The key of its last tipset.
    pub key: Vec<Cid>,
    /// The height of that.
    pub height: i64,
    /// What it weighs.
    pub weight: Amount,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Event {
    /// A peer says where its chain is.
    Claimed { peer: PeerId, target: Target },
    /// It is not there any more.
    Gone { peer: PeerId },
    /// Some time has passed.
    Tick,
    /// The order was carried out.
    Done(Result<Standing, Failure>),
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Standing {
    /// Headers below a height are missing.
    Down { below: i64 },
    /// All is good up to a height, and above it messages of so many blocks are missing.
    Up { height: i64, lacking: usize },
    /// The target has been reached, or is not heavier than the head after all.
    Over { moved: bool },
}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer that was asked did not answer, or had nothing.
    Failed,
    /// It answered too late.
    Silent,
    /// It answered something else.
    Lied,
    /// The target is not what was claimed.
    Claim,
    /// The chain that leads to the target is no good.
    Chain,
    /// Something is wrong here.
    Here,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Order {
    /// Begin with a target, by what is there.
    Begin { target: Target },
    /// Ask for headers from where the sync stands.
    Headers { peer: PeerId, length: u64 },
    /// Ask for messages above where the sync stands.
    Messages { peer: PeerId },
}

#[derive(Clone, Debug)]
struct Claim {
    target: Target,
    /// Whether it has been dealt with.
    spent: bool,
    /// Whether it is tried again when some time has passed.
    waits: bool,
}

#[derive(Debug)]
struct Run {
    target: Target,
    standing: Option<Standing>,
    asked: Option<PeerId>,
    /// How often peers failed in it.
    failed: BTreeMap<PeerId, u32>,
    /// How many headers are asked for at a time, and how many were last.
    length: u64,
    asked_for: u64,
}

/// The machine. It is handed where our own chain is with each event.
#[derive(Debug, Default)]
pub struct Machine {
    claims: BTreeMap<PeerId, Claim>,
    notes: BTreeMap<PeerId, u32>,
    refused: VecDeque<Vec<Cid>>,
    run: Option<Run>,
}

impl Machine {
    /// Takes an event in. While an order is carried out none is given.
    pub fn step(&mut self, event: Event, ours: &Target) -> Option<Order> {
        match event {
            Event::Claimed { peer, target } => {
                self.claim(peer, target);
                self.begin(ours)
            }
            Event::Gone { peer } => {
                self.claims.remove(&peer);
                None
            }
            Event::Tick => {
                self.claims.values_mut().for_each(|claim| claim.waits = false);
                self.begin(ours)
            }
            Event::Done(outcome) => self.done(outcome, ours),
        }
    }

    /// The target of the sync that is under way.
    pub fn target(&self) -> Option<&Target> {
        self.run.as_ref().map(|run| &run.target)
    }

    /// How much is held against a peer.
    pub fn faults(&self, peer: &PeerId) -> u32 {
        self.notes.get(peer).copied().unwrap_or(0)
    }

    /// How much it holds: claims, notes and refused chains.
    pub fn held(&self) -> [usize; 3] {
        [self.claims.len(), self.notes.len(), self.refused.len()]
    }

    fn claim(&mut self, peer: PeerId, target: Target) {
        if !(1..=MAX_BLOCKS).contains(&target.key.len()) || target.height < 0 {
            self.note(peer, 1);
            return;
        }
        match self.claims.get(&peer) {
            Some(claim) if claim.target == target => return,
            None if self.claims.len() == MAX_PEERS => return,
            _ => {}
        }
        self.claims.insert(peer, Claim { target, spent: false, waits: false });
    }

    fn note(&mut self, peer: PeerId, faults: u32) {
        if !self.notes.contains_key(&peer) && self.notes.len() == MAX_NOTES {
            let least = self.notes.iter().min_by_key(|(_, faults)| **faults).map(|(peer, _)| *peer);
            least.and_then(|peer| self.notes.remove(&peer));
        }
        let held = self.notes.entry(peer).or_insert(0);
        *held = held.saturating_add(faults);
    }

    /// Begins with the best claim, unless a sync is under way: that of a peer with the least against it, then the heaviest, then the highest.
    fn begin(&mut self, ours: &Target) -> Option<Order> {
        if self.run.is_some() {
            return None;
        }
        let is_worth = |target: &Target| {
            (target.weight > ours.weight || target.height > ours.height)
                && target.key != ours.key
                && !self.refused.contains(&target.key)
        };
        let open = self.claims.iter().filter(|(_, claim)| !claim.spent && !claim.waits && is_worth(&claim.target));
        let (peer, claim) = open.min_by(|(one, first), (other, second)| {
            let by_faults = self.faults(one).cmp(&self.faults(other));
            by_faults
                .then_with(|| second.target.weight.cmp(&first.target.weight))
                .then_with(|| second.target.height.cmp(&first.target.height))
        })?;
        let (peer, target) = (*peer, claim.target.clone());
        let ahead = target.height.saturating_sub(ours.height).saturating_add(MORE);
        let length = u64::try_from(ahead).unwrap_or(1).clamp(1, MAX_LENGTH);
        let (asked, failed) = (Some(peer), BTreeMap::new());
        self.run = Some(Run { target: target.clone(), standing: None, asked, failed, length, asked_for: 0 });
        Some(Order::Begin { target })
    }

    fn done(&mut self, outcome: Result<Standing, Failure>, ours: &Target) -> Option<Order> {
        let run = self.run.as_mut()?;
        match outcome {
            Ok(Standing::Over { moved }) => {
                let is_lie = !moved && run.target.weight > ours.weight;
                self.end(if is_lie { End::Lie } else { End::Done }, ours)
            }
            Ok(standing) => match (is_nearer(run.standing, standing), run.standing.replace(standing)) {
                (true, None) => self.ask(ours),
                (true, Some(before)) => {
                    // More at a time, for as long as it goes well.
                    if let Standing::Down { .. } = before {
                        run.length = run.length.saturating_mul(2).min(MAX_LENGTH);
                    }
                    if is_thin(before, standing, run.asked_for) {
                        // Others may have more to give.
                        let peer = run.asked.take();
                        peer.into_iter().for_each(|peer| self.note(peer, 1));
                    } else if let Some(peer) = run.asked {
                        self.forgive(peer);
                    }
                    self.ask(ours)
                }
                // Whoever was asked sent what was there.
                (false, _) => self.peer_failed(Failure::Failed, ours),
            },
            Err(failure @ (Failure::Failed | Failure::Silent | Failure::Lied)) => self.peer_failed(failure, ours),
            Err(Failure::Claim) => self.end(End::Lie, ours),
            Err(Failure::Chain) => self.end(End::Refused, ours),
            Err(Failure::Here) => self.end(End::Wait, ours),
        }
    }

    fn forgive(&mut self, peer: PeerId) {
        if let Some(held) = self.notes.get_mut(&peer) {
            *held -= 1;
            if *held == 0 {
                self.notes.remove(&peer);
            }
        }
    }

    fn peer_failed(&mut self, failure: Failure, ours: &Target) -> Option<Order> {
        let run = self.run.as_mut()?;
        if let Some(peer) = run.asked.take() {
            let tries = run.failed.entry(peer).or_insert(0);
            *tries = if failure == Failure::Lied { MAX_TRIES } else { *tries + 1 };
            if failure == Failure::Silent {
                // It may be too much at once.
                run.length = (run.length / 2).max(1);
            }
            let claims_it = self.claims.get(&peer).is_some_and(|claim| claim.target == run.target);
            match failure {
                Failure::Lied => self.note(peer, MAX_FAULTS / 2),
                // Who never said that it has the chain is not to blame.
                Failure::Failed if !claims_it => {}
                _ => self.note(peer, 1),
            }
        }
        self.ask(ours)
    }

    /// Asks who failed least, then who is as high as the target, then who has least against it; of equals, who answered last.
    fn ask(&mut self, ours: &Target) -> Option<Order> {
        let run = self.run.as_ref()?;
        let tries = |peer: &PeerId| run.failed.get(peer).copied().unwrap_or(0);
        let left = self.claims.iter().filter(|(peer, _)| tries(peer) < MAX_TRIES);
        let next = left.min_by_key(|(peer, claim)| {
            let is_lower = claim.target.height < run.target.height;
            let is_other = claim.target.key != run.target.key;
            (tries(peer), is_lower, self.faults(peer), is_other, run.asked != Some(**peer))
        });
        let Some(peer) = next.map(|(peer, _)| *peer) else { return self.end(End::Wait, ours) };
        let run = self.run.as_mut()?;
        run.asked = Some(peer);
        match run.standing {
            Some(Standing::Up { .. }) => Some(Order::Messages { peer }),
            Some(Standing::Down { below }) => {
                // Further down there is nothing that would be taken.
                let lowest = ours.height.saturating_sub(FINALITY).max(0);
                let most = u64::try_from(below.saturating_sub(lowest)).unwrap_or(1).max(1);
                run.asked_for = run.length.min(most);
                Some(Order::Headers { peer, length: run.asked_for })
            }
            _ => Some(Order::Begin { target: run.target.clone() }),
        }
    }

    /// Ends the sync, and begins with the next.
    fn end(&mut self, end: End, ours: &Target) -> Option<Order> {
        let run = self.run.take()?;
        let mut liars = Vec::new();
        for (peer, claim) in self.claims.iter_mut().filter(|(_, claim)| claim.target.key == run.target.key) {
            let is_same = claim.target == run.target;
            match end {
                End::Wait if self.notes.get(peer).copied().unwrap_or(0) < MAX_FAULTS => claim.waits = true,
                // Another's claim about the same tipset may be true.
                End::Lie if !is_same => {}
                _ => claim.spent = true,
            }
            if end == End::Refused || (end == End::Lie && is_same) {
                liars.push(*peer);
            }
        }
        liars.into_iter().for_each(|peer| self.note(peer, 2));
        if end == End::Refused {
            if self.refused.len() == MAX_REFUSED {
                self.refused.pop_front();
            }
            self.refused.push_back(run.target.key);
        }
        self.begin(ours)
    }
}

/// How a sync ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// The claim was wrong.
    Lie,
    /// The chain is no good.
    Refused,
    /// It is tried again later.
    Wait,
}

/// Whether a sync has come further.
fn is_nearer(before: Option<Standing>, now: Standing) -> bool {
    match (before, now) {
        (Some(Standing::Down { below: before }), Standing::Down { below }) => below < before,
        (Some(Standing::Up { height: before, lacking: lacked }), Standing::Up { height, lacking }) => {
            height > before || (height == before && lacking < lacked)
        }
        (Some(Standing::Up { .. }), Standing::Down { .. }) => false,
        _ => true,
    }
}

/// Whether an answer had so little of what was asked for that another peer is asked next.
fn is_thin(before: Standing, now: Standing, asked_for: u64) -> bool {
    match (before, now) {
        (Standing::Down { below: before }, Standing::Down { below }) => before.abs_diff(below) < asked_for / THIN,
        (Standing::Up { height: before, lacking: lacked }, Standing::Up { height, lacking }) => {
            height == before && (lacked.saturating_sub(lacking) as u64) < lacked as u64 / THIN
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
