//! The keys of senders and miners, from the states that are at hand.
//!
//! Nothing executes messages here, so there are states only where their blocks came with a file: that of the genesis, and that of the head
//! with which the node began, where a file had it. The key of a number never changes. A miner's worker
//!
//! ```text
//! of a state at height h, for which no other is named, signs blocks from h + 10 to h + 900:
//! ```
//! a new key takes effect [`WORKER_KEY_EPOCHS`] after it was named, and who signs is told by the state 10 epochs before.
//!
//! Source: `spec/chain.md` 4.3.

use std::sync::Arc;

use filecash_chain::address::{Address, BlsKey};
use filecash_chain::check::tipset::{Keys, WORKER_KEY_EPOCHS};
use filecash_chain::folder::ChainFolder;
use filecash_chain::read::read;
use filecash_chain::state::StateTree;
use filecash_chain::state::actors::{MinerInfo, MinerState};
use filecash_ipld::store::BlockStore;
use filecash_ipld::{Cid, Ipld};
use filecash_net::sync::genesis_keys;

/// Epochs between a block and the state that its worker's key is of.
const LOOKBACK: i64 = 10;

/// Those of a state after the genesis.
struct StateKeys<S> {
    store: S,
    state: Cid,
    height: i64,
}

impl<S: BlockStore> Keys for StateKeys<S> {
    fn key_of(&self, address: &Address) -> Option<Address> {
        StateTree::open(&self.store, &self.state).ok()?.key_of(address).ok()
    }

    fn worker_of(&self, miner: &Address, height: i64) -> Option<BlsKey> {
        let (first, last) = (self.height.checked_add(LOOKBACK)?, self.height.checked_add(WORKER_KEY_EPOCHS)?);
        if !(first..=last).contains(&height) {
            return None;
        }
        let tree = StateTree::open(&self.store, &self.state).ok()?;
        let state: MinerState = tree.state(miner, "storageminer").ok()?;
        let info: MinerInfo = read(&self.store, &state.info).ok()?;
        match tree.key_of(&info.worker).ok()? {
            Address::Bls(key) if info.pending_worker_key == Ipld::Null => Some(key),
            _ => None,
        }
    }
}

/// Two states.
struct Both<S> {
    newer: StateKeys<S>,
    genesis: Arc<dyn Keys>,
}

impl<S: BlockStore> Keys for Both<S> {
    fn key_of(&self, address: &Address) -> Option<Address> {
        self.newer.key_of(address).or_else(|| self.genesis.key_of(address))
    }

    fn worker_of(&self, miner: &Address, height: i64) -> Option<BlsKey> {
        self.newer.worker_of(miner, height).or_else(|| self.genesis.worker_of(miner, height))
    }
}

/// What the genesis of a chain knows, and the state of its head, where that is at hand.
pub fn at_hand(chain: &ChainFolder) -> Arc<dyn Keys> {
    let (genesis, head) = (genesis_keys(chain), chain.head());
    let (store, height) = (Arc::clone(chain.chain().store()), head.tipset.height());
    let state = head.tipset.first().parent_state_root;
    // It may be cut off deeper down: what is not there is not known then.
    match store.size(&state) {
        Ok(Some(_)) if height > 0 => Arc::new(Both { newer: StateKeys { store, state, height }, genesis }),
        _ => genesis,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use filecash_chain::check::Rules;
    use filecash_chain::check::signatures::verify_block;

    use super::*;
    use crate::genesis;

    #[test]
    fn keys_of_a_state_are_good_for_so_long() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
        let chain = genesis::open(sandbox.path(), Some(&file), &Rules::MAINNET, &|| false).unwrap();
        let tipset = chain.chain().tipset(&[chain.genesis()]).unwrap();
        let state = tipset.first().parent_state_root;
        let head = chain.head();
        let (block, genesis) = (head.tipset.first(), at_hand(&chain));
        let key = genesis.worker_of(&block.miner, block.height).unwrap();
        verify_block(block, &key).unwrap();
        assert_eq!(genesis.worker_of(&block.miner, 901), None);
        // As if the genesis' state were that of a later tipset.
        let newer = StateKeys { store: Arc::clone(chain.chain().store()), state, height: 2000 };
        let both = Both { newer, genesis };
        for (height, expected) in [
            (39, Some(key)),
            (901, None),
            (2009, None),
            (2010, Some(key)),
            (2900, Some(key)),
            (2901, None),
            (i64::MAX, None),
        ] {
            assert_eq!(both.worker_of(&block.miner, height), expected, "{height}");
        }
        let nowhere = StateKeys { store: Arc::clone(chain.chain().store()), state: head.tipset.key()[0], height: 2000 };
        assert_eq!(nowhere.worker_of(&block.miner, 2010), None);
    }
}
