//! What becomes of announced blocks and messages: a [`Judge`] for the host, by what a chain's folder knows.
//!
//! | An announcement | |
//! |---|---|
//! | that is no block or message, or not one of the right form and signature | is rejected |
//! | of a block that does not follow from its parents, where we have these | is rejected |
//! | that was seen before, or that the clock or [`FINALITY`] says is not of now | is ignored |
//! | of a message whose sender is named by a number that is not known | is ignored |
//! | else | is accepted |
//!
//! Whether a miner may mine and a sender can pay is in the ledger, and not decided here.
//!
//! Source: `spec/network.md` 4.4 and 4.5.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use filecash_chain::address::BlsKey;
use filecash_chain::check::block::BlockFault;
use filecash_chain::check::gossip::{self, Outcome};
use filecash_chain::check::signatures::verify_block;
use filecash_chain::check::tipset::{Checks, Keys};
use filecash_chain::folder::{ChainFolder, FINALITY};
use filecash_chain::{BlockHeader, Object, Tipset};
use filecash_ipld::Cid;

use crate::gossip::{Judge, TopicKind, Verdict};

/// Announcements that are remembered, of each kind.
const SEEN: usize = 1 << 14;

/// The last ones that were accepted.
#[derive(Debug, Default)]
struct Seen {
    set: HashSet<Cid>,
    order: VecDeque<Cid>,
}

impl Seen {
    fn has(&self, cid: &Cid) -> bool {
        self.set.contains(cid)
    }

    /// Whether it is new.
    fn add(&mut self, cid: Cid) -> bool {
        let is_new = self.set.insert(cid);
        if is_new {
            self.order.push_back(cid);
        }
        while self.order.len() > SEEN {
            let oldest = self.order.pop_front();
            oldest.map(|cid| self.set.remove(&cid));
        }
        is_new
    }
}

struct Court {
    folder: Arc<ChainFolder>,
    beacon: Option<BlsKey>,
    keys: Arc<dyn Keys>,
    blocks: Mutex<Seen>,
    messages: Mutex<Seen>,
}

/// Judges announcements by a chain. Keys are those that are known.
pub fn by_chain(folder: Arc<ChainFolder>, beacon: Option<BlsKey>, keys: Arc<dyn Keys>) -> Judge {
    let court = Court { folder, beacon, keys, blocks: Mutex::default(), messages: Mutex::default() };
    Arc::new(move |kind, bytes| match kind {
        TopicKind::Blocks => court.block(bytes),
        TopicKind::Messages => court.message(bytes),
    })
}

impl Court {
    fn block(&self, bytes: &[u8]) -> Verdict {
        let header = match gossip::block(bytes, self.folder.rules()) {
            Outcome::Accept(block) => block.header,
            outcome => return told("block", outcome),
        };
        let cid = header.cid();
        if seen(&self.blocks).has(&cid) || !self.is_of_now(&header) {
            return Verdict::Ignore;
        }
        if let Err(fault) = self.check(&header) {
            tracing::debug!(%cid, height = header.height, %fault, "an announced block is rejected");
            return Verdict::Reject;
        }
        if seen(&self.blocks).add(cid) { Verdict::Accept } else { Verdict::Ignore }
    }

    fn is_of_now(&self, header: &BlockHeader) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let latest = now.saturating_add(self.folder.rules().clock_drift_seconds);
        let lowest = self.folder.head().tipset.height().saturating_sub(FINALITY);
        header.timestamp <= latest && header.height > lowest
    }

    fn check(&self, header: &BlockHeader) -> Result<(), BlockFault> {
        let Ok(parents) = self.folder.chain().tipset(&header.parents) else {
            // Its parents are looked for later, its signature may be checked all the same.
            let worker = self.keys.worker_of(&header.miner, header.height);
            return worker.map_or(Ok(()), |key| verify_block(header, &key).map_err(BlockFault::Signature));
        };
        let Ok(tipset) = Tipset::new(vec![header.clone()]) else { return Err(BlockFault::Missing("a ticket")) };
        let checks = Checks { rules: self.folder.rules(), beacon: self.beacon.as_ref(), keys: &*self.keys };
        checks.headers(&tipset, &parents, None)
    }

    fn message(&self, bytes: &[u8]) -> Verdict {
        let key_of = |address: &filecash_chain::Address| self.keys.key_of(address);
        match gossip::message(bytes, self.folder.rules(), key_of) {
            Outcome::Accept(signed) if seen(&self.messages).add(signed.cid()) => Verdict::Accept,
            Outcome::Accept(_) => Verdict::Ignore,
            outcome => told("message", outcome),
        }
    }
}

fn seen(of: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told<T>(what: &'static str, outcome: Outcome<T>) -> Verdict {
    match outcome {
        Outcome::Accept(_) => Verdict::Accept,
        Outcome::Ignore(reason) => {
            tracing::debug!(what, %reason, "an announcement is ignored");
            Verdict::Ignore
        }
        Outcome::Reject(reason) => {
            tracing::debug!(what, %reason, "an announcement is rejected");
            Verdict::Reject
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_remembered_so_long() {
        let mut seen = Seen::default();
        let cids: Vec<Cid> = (0..SEEN as u64 + 2).map(|number| number.cid()).collect();
        assert!(cids.iter().all(|cid| seen.add(*cid)));
        assert!(!seen.has(&cids[1]) && seen.has(&cids[2]) && !seen.add(cids[2]));
        assert_eq!((seen.set.len(), seen.order.len()), (SEEN, SEEN));
    }
}
