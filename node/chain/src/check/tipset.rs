//! All that is checked of a tipset without the ledger's state: its headers on those of its parents, and its messages.
//!
//! Keys that addresses and miners have are in the state. Who has it, or a part of it, answers as [`Keys`]; what nobody knows a key for is
//! not held against a block, only counted.
//!
//! Source: `spec/chain.md` 4.3.

use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;

use super::Rules;
use super::beacon::verify_chained;
use super::block::{BlockFault, check_alone, check_messages, check_on_parents, check_signatures};
use super::signatures::{SignatureFault, verify_block};
use crate::address::{Address, BlsKey};
use crate::block_messages::BlockMessages;
use crate::read::read;
use crate::state::StateTree;
use crate::state::actors::{MinerInfo, MinerState};
use crate::tipset::Tipset;
use crate::weight;

/// Until which height a worker of the genesis is one still: a new key takes effect so many epochs after it was named.
pub const WORKER_KEY_EPOCHS: i64 = 900;

/// What is known of keys.
pub trait Keys: Send + Sync {
    /// The key of an account that is named by number.
    fn key_of(&self, address: &Address) -> Option<Address>;

    /// The key that a miner's blocks of a height are signed with.
    fn worker_of(&self, miner: &Address, height: i64) -> Option<BlsKey>;
}

/// Knows none.
#[derive(Clone, Copy, Debug)]
pub struct NoKeys;

impl Keys for NoKeys {
    fn key_of(&self, _: &Address) -> Option<Address> {
        None
    }

    fn worker_of(&self, _: &Address, _: i64) -> Option<BlsKey> {
        None
    }
}

/// Knows those of the state of a genesis: the key of a number never changes, that of a miner not soon.
#[derive(Clone, Debug)]
pub struct GenesisKeys<S> {
    store: S,
    state: Cid,
}

impl<S: BlockStore> GenesisKeys<S> {
    /// Those of a state in a store, which need not be there.
    pub fn new(store: S, state: Cid) -> Self {
        Self { store, state }
    }
}

impl<S: BlockStore> Keys for GenesisKeys<S> {
    fn key_of(&self, address: &Address) -> Option<Address> {
        StateTree::open(&self.store, &self.state).ok()?.key_of(address).ok()
    }

    fn worker_of(&self, miner: &Address, height: i64) -> Option<BlsKey> {
        if height > WORKER_KEY_EPOCHS {
            return None;
        }
        let tree = StateTree::open(&self.store, &self.state).ok()?;
        let state: MinerState = tree.state(miner, "storageminer").ok()?;
        let info: MinerInfo = read(&self.store, &state.info).ok()?;
        match tree.key_of(&info.worker).ok()? {
            Address::Bls(key) => Some(key),
            _ => None,
        }
    }
}

/// What tipsets are held against.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// The network's numbers.
    pub rules: &'a Rules,
    /// The key of its beacon, where rounds are chained and it is known.
    pub beacon: Option<&'a BlsKey>,
    /// Keys of senders and miners.
    pub keys: &'a dyn Keys,
}

impl std::fmt::Debug for Checks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("rules", self.rules).finish_non_exhaustive()
    }
}

impl Checks<'_> {
    /// Whether headers are good by themselves and on their parents. `now` is the clock, for new ones.
    ///
    /// # Errors
    /// [`BlockFault`].
    pub fn headers(&self, tipset: &Tipset, parents: &Tipset, now: Option<u64>) -> Result<(), BlockFault> {
        for header in tipset.headers() {
            check_alone(header, self.rules)?;
            check_on_parents(header, parents, self.rules, now)?;
            if let Some(worker) = self.keys.worker_of(&header.miner, header.height) {
                verify_block(header, &worker).map_err(BlockFault::Signature)?;
            }
        }
        weight::of(tipset, parents, self.rules)?;
        self.beacon_rounds(tipset, parents)
    }

    fn beacon_rounds(&self, tipset: &Tipset, parents: &Tipset) -> Result<(), BlockFault> {
        let Some(key) = self.beacon else { return Ok(()) };
        // The genesis' round 0 stands for none, so what follows it is not chained to anything.
        let mut before = parents.first().beacon_entries.last().filter(|entry| entry.round != 0);
        for entry in &tipset.first().beacon_entries {
            if let Some(before) = before {
                verify_chained(key, before, entry)?;
            }
            before = Some(entry);
        }
        Ok(())
    }

    /// Whether the messages of each block are those that it names, well-formed and signed. Tells in how many blocks there are
    /// senders whose keys are not known, and so signatures that were not checked.
    ///
    /// # Errors
    /// [`BlockFault`], with the place of the block.
    pub fn messages(&self, tipset: &Tipset, messages: &[BlockMessages]) -> Result<u64, (usize, BlockFault)> {
        let mut unknown = 0;
        for (place, (header, messages)) in tipset.headers().zip(messages).enumerate() {
            check_messages(header, messages, self.rules).map_err(|fault| (place, fault))?;
            match check_signatures(header, messages, |address| self.keys.key_of(address)) {
                Ok(()) => {}
                Err(BlockFault::MessageSignature { source: SignatureFault::NoKey(_), .. }) => unknown += 1,
                Err(fault) => return Err((place, fault)),
            }
        }
        Ok(unknown)
    }
}
