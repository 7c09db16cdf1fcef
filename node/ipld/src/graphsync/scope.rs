//! Which blocks a peer has been sent already.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use crate::Cid;

/// Blocks that are remembered of a scope, 6 MB. Those beyond are sent once more where they are met once more.
const MAX_BLOCKS: usize = 1 << 18;

/// Blocks by a keyed hash of 128 bits, so that nobody who does not know the keys finds two with the same.
#[derive(Debug)]
pub(super) struct BlockSet {
    keys: [RandomState; 2],
    blocks: HashSet<(u64, u64)>,
}

impl BlockSet {
    fn new() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], blocks: HashSet::new() }
    }

    /// Adds a block; whether it is new, or nobody can tell.
    pub(super) fn insert(&mut self, cid: &Cid) -> bool {
        let key = (self.keys[0].hash_one(cid.hash()), self.keys[1].hash_one(cid.hash()));
        if self.blocks.len() >= MAX_BLOCKS { !self.blocks.contains(&key) } else { self.blocks.insert(key) }
    }
}

/// The scopes of a peer: one for each key that its requests name, and one for those that name none. A scope lasts as long as a request in it.
#[derive(Debug, Default)]
pub(super) struct Scopes(HashMap<Option<String>, Scope>);

#[derive(Debug)]
struct Scope {
    sent: BlockSet,
    requests: usize,
}

impl Scopes {
    /// A request begins.
    pub(super) fn enter(&mut self, key: &Option<String>) {
        self.0.entry(key.clone()).or_insert_with(|| Scope { sent: BlockSet::new(), requests: 0 }).requests += 1;
    }

    /// A request is over.
    pub(super) fn leave(&mut self, key: &Option<String>) {
        if let Some(scope) = self.0.get_mut(key) {
            scope.requests -= 1;
            if scope.requests == 0 {
                self.0.remove(key);
            }
        }
    }

    /// Notes a block of a request as sent; whether it has yet to be.
    pub(super) fn insert(&mut self, key: &Option<String>, cid: &Cid) -> bool {
        self.0.get_mut(key).is_none_or(|scope| scope.sent.insert(cid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashKind;

    fn cid(number: u64) -> Cid {
        HashKind::Sha256.cid(0x55, &number.to_le_bytes()).unwrap()
    }

    #[test]
    fn scopes_last_as_long_as_their_requests() {
        let mut scopes = Scopes::default();
        let key = Some("one".to_owned());
        scopes.enter(&None);
        scopes.enter(&key);
        scopes.enter(&key);
        assert!(scopes.insert(&None, &cid(1)) && scopes.insert(&key, &cid(1)));
        assert!(!scopes.insert(&None, &cid(1)) && !scopes.insert(&key, &cid(1)));
        scopes.leave(&key);
        assert!(!scopes.insert(&key, &cid(1)));
        scopes.leave(&key);
        scopes.enter(&key);
        assert!(scopes.insert(&key, &cid(1)));
        assert!(!scopes.insert(&None, &cid(1)));
    }

    #[test]
    fn what_is_not_remembered_is_new_each_time() {
        let mut set = BlockSet::new();
        assert!((0..MAX_BLOCKS as u64).all(|number| set.insert(&cid(number))));
        let more = cid(u64::MAX);
        assert!(set.insert(&more) && set.insert(&more));
        assert!(!set.insert(&cid(0)));
    }
}
