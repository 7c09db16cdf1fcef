//! What we want of one peer, and what of that it has not been told yet. Several fetches may want the same.

use std::collections::{BTreeMap, HashMap};

use filecash_ipld::Cid;
use filecash_ipld::wire::bitswap::{Version, Want, WantKind};

use super::engine::Hash;

/// Wants of a message: some 60 KiB.
pub const WANTS: usize = 1024;

/// Wants for a peer.
#[derive(Debug, Default)]
pub struct Outbox {
    wants: HashMap<Hash, Wanted>,
    /// What is to be told, in order.
    changed: BTreeMap<u64, Hash>,
    order: u64,
    /// Whether the next message takes the place of all before.
    full: bool,
}

#[derive(Debug)]
struct Wanted {
    cid: Cid,
    priority: i32,
    /// Which fetch wants what of it.
    by: Vec<(u64, WantKind)>,
    told: bool,
    change: Option<u64>,
}

impl Outbox {
    /// A fetch wants a block, or wants it once more.
    pub fn want(&mut self, fetch: u64, cid: Cid, kind: WantKind, priority: i32) {
        let wanted = Wanted { cid, priority, by: Vec::new(), told: false, change: None };
        let wanted = self.wants.entry(*cid.hash()).or_insert(wanted);
        wanted.by.retain(|(other, _)| *other != fetch);
        wanted.by.push((fetch, kind));
        self.change(*cid.hash());
    }

    /// A fetch does not want a block any more.
    pub fn cancel(&mut self, fetch: u64, hash: &Hash) {
        let Some(wanted) = self.wants.get_mut(hash) else { return };
        wanted.by.retain(|(other, _)| *other != fetch);
        if !wanted.by.is_empty() {
            return;
        }
        if wanted.told {
            self.change(*hash);
        } else {
            let change = wanted.change;
            self.wants.remove(hash);
            change.map(|change| self.changed.remove(&change));
        }
    }

    /// A fetch wants nothing any more.
    pub fn forget(&mut self, fetch: u64) {
        let its = |wanted: &Wanted| wanted.by.iter().any(|(by, _)| *by == fetch);
        let hashes: Vec<Hash> = self.wants.iter().filter(|(_, wanted)| its(wanted)).map(|(hash, _)| *hash).collect();
        hashes.iter().for_each(|hash| self.cancel(fetch, hash));
    }

    /// The peer has forgotten what it was told.
    pub fn reopened(&mut self) {
        self.wants.retain(|_, wanted| !wanted.by.is_empty());
        self.changed.clear();
        let mut hashes: Vec<(i32, Hash)> = self.wants.iter().map(|(hash, wanted)| (wanted.priority, *hash)).collect();
        hashes.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        for (_, hash) in hashes {
            if let Some(wanted) = self.wants.get_mut(&hash) {
                (wanted.told, wanted.change) = (false, None);
            }
            self.change(hash);
        }
        self.full = true;
    }

    fn change(&mut self, hash: Hash) {
        if let Some(wanted) = self.wants.get_mut(&hash).filter(|wanted| wanted.change.is_none()) {
            self.order += 1;
            wanted.change = Some(self.order);
            self.changed.insert(self.order, hash);
        }
    }

    /// Whether there is something to tell.
    pub fn is_ready(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// What to tell a peer of a version next, and whether that is all.
    pub fn take(&mut self, version: Version) -> (Vec<Want>, bool) {
        let mut wants = Vec::new();
        while wants.len() < WANTS
            && let Some((_, hash)) = self.changed.pop_first()
        {
            let Some(wanted) = self.wants.get_mut(&hash) else { continue };
            (wanted.change, wanted.told) = (None, true);
            let (cid, priority) = (wanted.cid, wanted.priority);
            let tells = version >= Version::V1_2_0;
            let kinds = || wanted.by.iter().map(|(_, kind)| *kind);
            if kinds().any(|kind| kind == WantKind::Block) {
                let kind = WantKind::Block;
                wants.push(Want { cid, priority, cancel: false, kind, send_dont_have: tells });
            } else if kinds().next().is_none() {
                self.wants.remove(&hash);
                wants.push(Want { cid, priority: 0, cancel: true, kind: WantKind::Block, send_dont_have: false });
            } else if tells {
                wants.push(Want { cid, priority, cancel: false, kind: WantKind::Have, send_dont_have: true });
            }
        }
        let full = std::mem::take(&mut self.full) && !wants.is_empty();
        (wants, full)
    }
}

#[cfg(test)]
mod tests {
    use filecash_ipld::codec::Codec;
    use filecash_ipld::hash::HashKind;

    use super::*;

    fn cid(number: u8) -> Cid {
        HashKind::Sha256.cid(Codec::Raw.code(), &[number]).unwrap()
    }

    fn told(outbox: &mut Outbox) -> Vec<(Cid, bool, WantKind)> {
        outbox.take(Version::V1_2_0).0.iter().map(|want| (want.cid, want.cancel, want.kind)).collect()
    }

    #[test]
    fn what_two_fetches_want_is_cancelled_when_neither_does() {
        let mut outbox = Outbox::default();
        outbox.want(1, cid(1), WantKind::Have, 5);
        outbox.want(2, cid(1), WantKind::Block, 5);
        assert_eq!(told(&mut outbox), [(cid(1), false, WantKind::Block)]);
        outbox.cancel(1, cid(1).hash());
        assert!(!outbox.is_ready());
        outbox.forget(2);
        assert_eq!(told(&mut outbox), [(cid(1), true, WantKind::Block)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_was_not_told_needs_no_cancel() {
        let mut outbox = Outbox::default();
        outbox.want(1, cid(1), WantKind::Block, 5);
        outbox.cancel(1, cid(1).hash());
        outbox.cancel(1, cid(2).hash());
        assert!(outbox.is_empty() && !outbox.is_ready());
    }

    #[test]
    fn new_stream_is_told_all_that_is_wanted_first_things_first() {
        let mut outbox = Outbox::default();
        outbox.want(1, cid(1), WantKind::Block, 5);
        outbox.want(1, cid(2), WantKind::Block, 7);
        outbox.want(1, cid(3), WantKind::Block, 6);
        assert_eq!(told(&mut outbox).len(), 3);
        outbox.cancel(1, cid(3).hash());
        outbox.reopened();
        let (wants, full) = outbox.take(Version::V1_2_0);
        assert_eq!(wants.iter().map(|want| want.cid).collect::<Vec<_>>(), [cid(2), cid(1)]);
        assert!(full && !outbox.is_ready());
    }

    #[test]
    fn old_versions_are_asked_for_blocks_alone() {
        let mut outbox = Outbox::default();
        outbox.want(1, cid(1), WantKind::Have, 5);
        outbox.want(1, cid(2), WantKind::Block, 5);
        let (wants, _) = outbox.take(Version::V1_1_0);
        assert_eq!(wants.iter().map(|want| (want.cid, want.send_dont_have)).collect::<Vec<_>>(), [(cid(2), false)]);
    }
}
