//! The state of a ledger: the actors, each with a balance and a state of its own.
//!
//! Up to actors v1 the root of the state is that of the [`crate::hamt`] of actors itself, by address in ID form; later it is wrapped as
//! `[version, actors, info]`. Both are read.
//!
//! Source: `spec/chain.md` 5 and 7.

use filecash_ipld::hash::inlined;
use filecash_ipld::store::BlockStore;
use filecash_ipld::{Cid, Ipld};

use crate::address::Address;
use crate::amount::Amount;
use crate::hamt;
use crate::object::{Object, tuple};
use crate::read::{ReadError, no_node, read};

pub mod actors;

use actors::{AccountState, InitState};

/// The actor that has the numbers of addresses.
pub const INIT: Address = Address::Id(1);
/// The actor that mints.
pub const REWARD: Address = Address::Id(2);
/// The actor that others are woken by.
pub const CRON: Address = Address::Id(3);
/// The actor that knows miners' power.
pub const POWER: Address = Address::Id(4);
/// The actor that has deals.
pub const MARKET: Address = Address::Id(5);

/// An actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What it is: the text of its code, as an identity.
    pub code: Cid,
    /// Its state.
    pub head: Cid,
    /// How many messages it sent.
    pub nonce: u64,
    /// What it has.
    pub balance: Amount,
}
tuple!(Actor { code, head, nonce, balance });

impl Actor {
    /// The name of what it is, without version: `account`, `storageminer`.
    pub fn kind(&self) -> &str {
        let code = inlined(&self.code).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        code.rsplit('/').next().unwrap_or_default()
    }
}

/// Why a state was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum StateError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("there is no actor {0}")]
    NoActor(Address),
    #[error("actor {address} is {found}, expected {expected}")]
    Kind { address: Address, expected: &'static str, found: String },
    #[error("an actor's key is no address in ID form")]
    Key,
}

/// The state of a ledger, in a store.
#[derive(Clone, Copy, Debug)]
pub struct StateTree<'a, S: ?Sized> {
    store: &'a S,
    actors: Cid,
}

impl<'a, S: BlockStore + ?Sized> StateTree<'a, S> {
    /// The state of a root.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(store: &'a S, root: &Cid) -> Result<Self, ReadError> {
        let actors = match read::<Vec<Ipld>>(store, root)?[..] {
            [Ipld::Bytes(_), Ipld::List(_)] => *root,
            [Ipld::Integer(_), Ipld::Link(actors), Ipld::Link(_)] => actors,
            _ => return no_node(root, "it is no root of a state"),
        };
        Ok(Self { store, actors })
    }

    /// The store.
    pub fn store(&self) -> &'a S {
        self.store
    }

    /// An actor by its number, or by what the init actor knows it as.
    ///
    /// # Errors
    /// [`StateError::NoActor`] if there is none.
    pub fn actor(&self, address: &Address) -> Result<Actor, StateError> {
        let id = self.id_of(address)?.ok_or(StateError::NoActor(*address))?;
        hamt::get(self.store, &self.actors, &id.to_bytes())?.ok_or(StateError::NoActor(*address))
    }

    /// The state of an actor, which is of a kind.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn state<T: Object>(&self, address: &Address, kind: &'static str) -> Result<T, StateError> {
        let actor = self.actor(address)?;
        if actor.kind() != kind {
            let found = actor.kind().to_owned();
            return Err(StateError::Kind { address: *address, expected: kind, found });
        }
        Ok(read(self.store, &actor.head)?)
    }

    /// The number of an address, if it has one.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn id_of(&self, address: &Address) -> Result<Option<Address>, StateError> {
        if let Address::Id(_) = address {
            return Ok(Some(*address));
        }
        let init: InitState = self.state(&INIT, "init")?;
        let id: Option<u64> = hamt::get(self.store, &init.address_map, &address.to_bytes())?;
        Ok(id.map(Address::Id))
    }

    /// The key of an account.
    ///
    /// # Errors
    /// [`StateError`], also for an actor that is none.
    pub fn key_of(&self, address: &Address) -> Result<Address, StateError> {
        Ok(self.state::<AccountState>(address, "account")?.address)
    }

    /// All actors, by number, of which there may be so many.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn actors(&self, limit: usize) -> Result<Vec<(u64, Actor)>, StateError> {
        let numbered = |(key, actor): (Vec<u8>, Actor)| match Address::from_bytes(&key) {
            Ok(Address::Id(id)) => Ok((id, actor)),
            _ => Err(StateError::Key),
        };
        let entries = hamt::entries(self.store, &self.actors, limit)?;
        let mut actors: Vec<(u64, Actor)> = entries.into_iter().map(numbered).collect::<Result<_, _>>()?;
        actors.sort_unstable_by_key(|(id, _)| *id);
        Ok(actors)
    }
}

#[cfg(test)]
mod tests {
    use filecash_ipld::codec::Codec;
    use filecash_ipld::hash::HashKind;
    use filecash_ipld::store::MemoryStore;

    use super::*;

    fn keep(store: &MemoryStore, value: &impl Object) -> Cid {
        let block = value.to_block();
        store.put(std::slice::from_ref(&block)).unwrap();
        *block.cid()
    }

    /// SHA-256 of the bytes of address f01 begins with the place 22.
    #[test]
    fn roots_with_and_without_a_wrapper_are_read() {
        let store = MemoryStore::default();
        let code = HashKind::Identity.cid(Codec::Raw.code(), b"fil/1/account").unwrap();
        let head = keep(&store, &AccountState { address: Address::Bls([1; 48]) });
        let actor = Actor { code, head, nonce: 7, balance: Amount::from(5) };
        let key = Address::Id(1).to_bytes();
        let bits = vec![64, 0, 0];
        let entry = Ipld::List(vec![Ipld::Bytes(key), actor.to_ipld()]);
        let node = |pointer| Ipld::List(vec![Ipld::Bytes(bits.clone()), Ipld::List(vec![pointer])]);
        let bucket = Ipld::List(vec![entry]);
        let old = keep(&store, &node(Ipld::Map(vec![("1".to_owned(), bucket.clone())])));
        let actors = keep(&store, &node(bucket));
        let wrapper = vec![Ipld::Integer(1), Ipld::Link(actors), Ipld::Link(head)];
        for root in [old, keep(&store, &wrapper)] {
            let tree = StateTree::open(&store, &root).unwrap();
            assert_eq!(tree.actor(&Address::Id(1)).unwrap(), actor);
            assert_eq!(tree.actors(1).unwrap(), [(1, actor.clone())]);
            assert_eq!(tree.key_of(&Address::Id(1)).unwrap(), Address::Bls([1; 48]));
            assert!(matches!(tree.actor(&Address::Id(2)), Err(StateError::NoActor(_))));
            let other = tree.state::<InitState>(&Address::Id(1), "init").unwrap_err().to_string();
            assert_eq!(other, "actor f01 is account, expected init");
        }
        assert!(matches!(StateTree::open(&store, &head), Err(ReadError::Node { .. })));
    }
}
