//! Which blocks a peer has been sent already.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use crate::Cid;

/// Blocks that are remembered of a scope, 6 MB. Those beyond are sent once more where they are met once more.
const MAX_BLOCKS: usize = 1 << 18;

/// A block, by a keyed hash of 128 bits, so that nobody who does not know the keys finds two with the same.
pub(super) type BlockKey = (u64, u64);

/// The scopes of a peer: one for each key that its requests name, and one for those that name none. A scope lasts as long as a request in it.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    keys: [RandomState; 2],
    scopes: HashMap<Option<String>, Scope>,
}

#[derive(Debug, Default)]
struct Scope {
    sent: HashSet<BlockKey>,
    requests: usize,
}

impl Scope {
    /// Adds a block; whether it is new, or nobody can tell.
    fn insert(&mut self, key: BlockKey) -> bool {
        if self.sent.len() >= MAX_BLOCKS { !self.sent.contains(&key) } else { self.sent.insert(key) }
    }
}

impl Scopes {
    /// What a block is remembered by.
    pub(super) fn key(&self, cid: &Cid) -> BlockKey {
        (self.keys[0].hash_one(cid.hash()), self.keys[1].hash_one(cid.hash()))
    }

    /// A request begins, whose peer has some blocks already.
    pub(super) fn enter(&mut self, scope: &Option<String>, held: &[BlockKey]) {
        let scope = self.scopes.entry(scope.clone()).or_default();
        scope.requests += 1;
        for key in held {
            scope.insert(*key);
        }
    }

    /// A request is over.
    pub(super) fn leave(&mut self, scope: &Option<String>) {
        if let Some(of) = self.scopes.get_mut(scope) {
            of.requests -= 1;
            if of.requests == 0 {
                self.scopes.remove(scope);
            }
        }
    }

    /// Notes a block of a request as sent; whether it has yet to be.
    pub(super) fn insert(&mut self, scope: &Option<String>, cid: &Cid) -> bool {
        let key = self.key(cid);
        self.scopes.get_mut(scope).is_none_or(|scope| scope.insert(key))
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
        scopes.enter(&None, &[]);
        scopes.enter(&key, &[]);
        scopes.enter(&key, &[]);
        assert!(scopes.insert(&None, &cid(1)) && scopes.insert(&key, &cid(1)));
        assert!(!scopes.insert(&None, &cid(1)) && !scopes.insert(&key, &cid(1)));
        scopes.leave(&key);
        assert!(!scopes.insert(&key, &cid(1)));
        scopes.leave(&key);
        scopes.enter(&key, &[]);
        assert!(scopes.insert(&key, &cid(1)));
        assert!(!scopes.insert(&None, &cid(1)));
    }

    #[test]
    fn what_is_not_remembered_is_new_each_time() {
        let mut scopes = Scopes::default();
        let held: Vec<_> = (0..10).map(|number| scopes.key(&cid(number))).collect();
        scopes.enter(&None, &held);
        assert!((0..10).all(|number| !scopes.insert(&None, &cid(number))));
        assert!((10..MAX_BLOCKS as u64).all(|number| scopes.insert(&None, &cid(number))));
        let more = cid(u64::MAX);
        assert!(scopes.insert(&None, &more) && scopes.insert(&None, &more));
        assert!(!scopes.insert(&None, &cid(0)));
    }
}
