//! Bytes that may be held at a time, of all peers and of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use libp2p::PeerId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be held. Who comes first gets them first.
#[derive(Debug)]
pub(super) struct Budget {
    all: Arc<Semaphore>,
    most: usize,
    per_peer: usize,
    each: Mutex<HashMap<PeerId, Weak<Semaphore>>>,
}

/// A part of it, until it is dropped.
pub(super) struct Share {
    _of_peer: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Budget {
    pub fn new(bytes: usize, per_peer: usize) -> Self {
        let most = bytes.clamp(1, Semaphore::MAX_PERMITS);
        let all = Arc::new(Semaphore::new(most));
        Self { all, most, per_peer: per_peer.clamp(1, most), each: Mutex::default() }
    }

    /// Waits for so many bytes, or for all that there are.
    pub async fn share(&self, peer: PeerId, bytes: usize) -> Option<Share> {
        let of_peer = self.of(peer);
        let count = |most: usize| u32::try_from(bytes.min(most)).unwrap_or(u32::MAX);
        let of_peer = of_peer.acquire_many_owned(count(self.per_peer)).await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_many_owned(count(self.most)).await.ok()?;
        Some(Share { _of_peer: of_peer, _of_all: of_all })
    }

    fn of(&self, peer: PeerId) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = each.get(&peer).and_then(Weak::upgrade) {
            return known;
        }
        each.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.per_peer));
        each.insert(peer, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn no_peer_holds_what_others_need() {
        let budget = Budget::new(100, 60);
        let [one, other] = [PeerId::random(), PeerId::random()];
        let held = budget.share(one, 50).await.unwrap();
        let short = Duration::from_millis(20);
        assert!(timeout(short, budget.share(one, 11)).await.is_err());
        let others = budget.share(other, 50).await.unwrap();
        assert!(timeout(short, budget.share(PeerId::random(), 1)).await.is_err());
        drop(others);
        // More than there is waits for all that a peer may have.
        drop(held);
        let all = budget.share(one, 1000).await.unwrap();
        assert!(timeout(short, budget.share(other, 1)).await.is_err());
        drop(all);
        let _more = budget.share(other, 60).await.unwrap();
        assert_eq!(budget.each.lock().unwrap().len(), 1);
    }
}
