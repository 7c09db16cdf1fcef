//! What is told of a sync that is under way, in Lotus's words (`SyncState`).
//!
//! A sync begins when something is fetched and ends when nothing is. It was in vain when the head is not as high then as it was to be.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use filecash_chain::Tipset;
use filecash_net::sync::{Progress, Stage as Fetching};
use filecash_rpc::node::{ActiveSync, Node, Stage};
use tokio::sync::watch;

/// The last sync, or the one that is under way.
#[derive(Debug, Default)]
struct Told {
    last: Option<ActiveSync>,
    /// The highest that it was to come to.
    target: i64,
}

impl Told {
    /// Goes on to where a sync is now, and tells whether anything is new.
    fn step(&mut self, progress: Progress, head: &Arc<Tipset>, now: u64) -> bool {
        let stage = match progress.stage {
            Fetching::Headers => Stage::Headers,
            Fetching::Messages => Stage::FetchingMessages,
            Fetching::Idle => return self.end(head, now),
        };
        let worker = match &mut self.last {
            Some(sync) if sync.over.is_none() => {
                (sync.stage, sync.height, sync.target) = (stage, progress.height, progress.tipset);
                self.target = self.target.max(progress.target);
                return true;
            }
            last => last.as_ref().map_or(1, |sync| sync.worker + 1),
        };
        self.target = progress.target;
        self.last = Some(ActiveSync {
            worker,
            base: Some(Arc::clone(head)),
            target: progress.tipset,
            stage,
            height: progress.height,
            begun: Some(now),
            over: None,
            message: String::new(),
        });
        true
    }

    fn end(&mut self, head: &Arc<Tipset>, now: u64) -> bool {
        let Some(sync) = self.last.as_mut().filter(|sync| sync.over.is_none()) else { return false };
        (sync.height, sync.over) = (head.height(), Some(now));
        if head.height() >= self.target {
            (sync.stage, sync.target) = (Stage::Complete, Some(Arc::clone(head)));
        } else {
            let message = format!("the chain up to height {} was not had of anybody, or is not heavier", self.target);
            (sync.stage, sync.message) = (Stage::Errored, message);
        }
        true
    }
}

/// Tells callers how far a sync is, until there is none.
pub async fn tell(mut progress: watch::Receiver<Progress>, rpc: Arc<Node>) {
    let mut told = Told::default();
    while progress.changed().await.is_ok() {
        let at = progress.borrow_and_update().clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if told.step(at, &rpc.ledger().head(), now) {
            rpc.set_syncs(told.last.iter().cloned().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use filecash_chain::check::Rules;

    use super::*;
    use crate::genesis;

    #[test]
    fn syncs_are_told_from_beginning_to_end() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
        let chain = genesis::open(sandbox.path(), Some(&file), &Rules::MAINNET, &|| false).unwrap();
        let [low, high] = [3, 39].map(|height| Arc::new(chain.tipset_by_height(height).unwrap().unwrap()));
        let at = |stage, height| Progress { stage, height, target: 39, tipset: None };
        let named = |stage, height| Progress { tipset: Some(Arc::clone(&high)), ..at(stage, height) };
        let mut told = Told::default();
        assert!(!told.step(at(Fetching::Idle, 3), &low, 1) && told.last.is_none());
        assert!(told.step(at(Fetching::Headers, 39), &low, 2));
        assert_eq!(told.last.clone().unwrap().target, None);
        assert!(told.step(named(Fetching::Headers, 20), &low, 2));
        assert!(told.step(named(Fetching::Messages, 30), &low, 3));
        let sync = told.last.clone().unwrap();
        assert_eq!(sync.target, Some(Arc::clone(&high)));
        assert_eq!((sync.worker, sync.stage, sync.height), (1, Stage::FetchingMessages, 30));
        assert_eq!((&sync.base, sync.begun, sync.over), (&Some(Arc::clone(&low)), Some(2), None));
        assert!(told.step(at(Fetching::Idle, 39), &high, 4));
        let sync = told.last.clone().unwrap();
        assert_eq!((sync.stage, sync.over, sync.height), (Stage::Complete, Some(4), 39));
        assert_eq!(sync.target, Some(Arc::clone(&high)));
        // One that comes to nothing.
        assert!(!told.step(at(Fetching::Idle, 39), &high, 5));
        let above = Progress { stage: Fetching::Headers, height: 50, target: 50, tipset: None };
        assert!(told.step(above, &high, 6));
        assert!(told.step(at(Fetching::Idle, 39), &high, 7));
        let sync = told.last.unwrap();
        assert_eq!((sync.worker, sync.stage, sync.target), (2, Stage::Errored, None));
        assert!(sync.message.contains("height 50"), "{}", sync.message);
    }
}
