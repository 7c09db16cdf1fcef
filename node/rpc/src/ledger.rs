//! The chain and its states, as far as the store has them.
//!
//! Everything here waits for the disk and is called on threads that may. A tipset at a height is found by walking back from the head; where a
//! walk passes from one stretch of `STRETCH` epochs into the one before is remembered by the names of the tipsets there, so that it is
//! walked once, and stays right when the head is another.
//!
//! Source: `spec/chain.md` 4.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use filecash_chain::address::Prefix;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::read::read;
use filecash_chain::state::actors::{InitState, PowerState};
use filecash_chain::state::{INIT, POWER, StateTree};
use filecash_chain::{Amount, BlockHeader, Object, Tipset};
use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;
use tokio::sync::watch;

use crate::call::Fault;
use crate::json::Key;

/// Epochs between two tipsets that are remembered of a walk.
const STRETCH: i64 = 256;
/// How many are remembered.
const REMEMBERED: usize = 1 << 16;

/// What a store is shared as.
pub type SharedStore = Arc<dyn BlockStore>;

/// What is known of a network from its genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The letter of its addresses.
    pub prefix: Prefix,
    /// The heights at which its rules changed, and the version since then.
    pub upgrades: &'static [(i64, u32)],
    /// The height up to which these are all.
    pub known_to: i64,
}

/// Filecash's main network. Source: `spec/chain.md` 9.
const FILECASH: &str = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";
const FILECASH_UPGRADES: &[(i64, u32)] = &[(51_910, 1), (72_070, 2), (118_150, 3), (276_550, 4)];
/// Where the version after that is planned.
const FILECASH_KNOWN_TO: i64 = 10_000_001;
/// Filecoin's main network, as far as its versions were those of actors v0.
const FILECOIN: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
const FILECOIN_UPGRADES: &[(i64, u32)] = &[(41_280, 1), (51_000, 2), (94_000, 3)];
const FILECOIN_KNOWN_TO: i64 = 138_720;

impl Network {
    /// The network of a genesis, under a name.
    pub fn of_genesis(genesis: &Cid, name: String) -> Self {
        let (upgrades, known_to) = match genesis.to_string().as_str() {
            FILECASH => (FILECASH_UPGRADES, FILECASH_KNOWN_TO),
            FILECOIN => (FILECOIN_UPGRADES, FILECOIN_KNOWN_TO),
            _ => (&[][..], -1),
        };
        Self { name, prefix: Prefix::Main, upgrades, known_to }
    }

    /// The version at a height, where it is known: a change at a height is in force from the next one on.
    pub fn version(&self, height: i64) -> Option<u32> {
        let passed = self.upgrades.iter().rev().find(|(at, _)| height > *at);
        (height <= self.known_to).then(|| passed.map_or(0, |(_, version)| *version))
    }
}

/// Whether somebody still waits for what is computed.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

impl Deadline {
    pub(crate) fn check(self) -> Result<(), Fault> {
        if Instant::now() < self.0 { Ok(()) } else { Err(Fault::TooLong) }
    }
}

type Passed = HashMap<Vec<Cid>, (Vec<Cid>, i64)>;

/// The chain and its states.
pub struct Ledger {
    chain: ChainStore<SharedStore>,
    genesis: Tipset,
    network: Network,
    rules: Rules,
    head: watch::Receiver<Arc<Tipset>>,
    /// From the key of a stretch's last tipset to that of the stretch before, and its height.
    passed: Mutex<Passed>,
}

fn failed(error: impl std::error::Error) -> Fault {
    Fault::of(&error)
}

impl Ledger {
    /// The chain of a genesis whose head is told.
    ///
    /// # Errors
    /// [`Fault`] if the genesis is not in the store.
    pub fn new(
        store: SharedStore,
        genesis: Cid,
        network: Network,
        rules: Rules,
        head: watch::Receiver<Arc<Tipset>>,
    ) -> Result<Self, Fault> {
        let chain = ChainStore::new(store, genesis, rules.clone());
        let genesis = chain.tipset(&[genesis]).map_err(failed)?;
        Ok(Self { chain, genesis, network, rules, head, passed: Mutex::default() })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The first tipset.
    pub fn genesis(&self) -> &Tipset {
        &self.genesis
    }

    /// The chain.
    pub fn chain(&self) -> &ChainStore<SharedStore> {
        &self.chain
    }

    /// The blocks.
    pub fn store(&self) -> &dyn BlockStore {
        &**self.chain.store()
    }

    /// The heaviest tipset.
    pub fn head(&self) -> Arc<Tipset> {
        Arc::clone(&self.head.borrow())
    }

    /// Tells of new heads.
    pub fn heads(&self) -> watch::Receiver<Arc<Tipset>> {
        self.head.clone()
    }

    /// The tipset of a key.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn tipset(&self, key: &[Cid]) -> Result<Tipset, Fault> {
        self.chain.tipset(key).map_err(failed)
    }

    /// The tipset of a key, or the head.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn tipset_or_head(&self, key: &Key) -> Result<Arc<Tipset>, Fault> {
        match &key.cids()[..] {
            [] => Ok(self.head()),
            cids => self.tipset(cids).map(Arc::new),
        }
    }

    /// The header of a block.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn header(&self, cid: &Cid) -> Result<BlockHeader, Fault> {
        self.object(cid)
    }

    /// An object by the name that the chain has for it.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn object<T: Object>(&self, cid: &Cid) -> Result<T, Fault> {
        let object: T = read(self.store(), cid).map_err(failed)?;
        // A store finds the same bytes under other codecs and versions too.
        if object.cid() == *cid { Ok(object) } else { Err(Fault::Failed(format!("block {cid} is not there"))) }
    }

    /// The tipset at a height on the way from another to the genesis, or the last before it where that epoch has none.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn at_height(&self, height: i64, from: &Tipset, deadline: Deadline) -> Result<Tipset, Fault> {
        if height < 0 {
            return Err(Fault::Failed(format!("there is no height {height}")));
        }
        if height > from.height() {
            let found = from.height();
            return Err(Fault::Failed(format!(
                "looking for a tipset at height {height}, beyond {found} where the search begins"
            )));
        }
        let mut tipset = from.clone();
        // The last tipset of the stretch that is walked through, once its end has been seen.
        let mut last: Option<Vec<Cid>> = None;
        while tipset.height() > height {
            deadline.check()?;
            if let Some((key, below)) = last.as_ref().and_then(|key| self.passed(key))
                && (height..tipset.height()).contains(&below)
            {
                tipset = self.tipset(&key)?;
                last = Some(key);
                continue;
            }
            let parents = self.tipset(tipset.parents())?;
            if parents.height() >= tipset.height() {
                return Err(Fault::Failed(format!(
                    "a tipset at height {} builds on one that is no lower",
                    tipset.height()
                )));
            }
            if parents.height() / STRETCH < tipset.height() / STRETCH {
                let key = parents.key();
                if let Some(last) = last.replace(key.clone()) {
                    self.remember(last, key, parents.height());
                }
            }
            if parents.height() < height {
                return Ok(parents);
            }
            tipset = parents;
        }
        Ok(tipset)
    }

    fn passed(&self, key: &[Cid]) -> Option<(Vec<Cid>, i64)> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remember(&self, from: Vec<Cid>, to: Vec<Cid>, height: i64) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.len() >= REMEMBERED {
            passed.clear();
        }
        passed.insert(from, (to, height));
    }

    /// The state that a tipset was mined on: after its parents' messages.
    ///
    /// # Errors
    /// [`Fault`] where the store does not have it.
    pub fn state(&self, tipset: &Tipset) -> Result<StateTree<'_, SharedStore>, Fault> {
        let root = tipset.first().parent_state_root;
        StateTree::open(self.chain.store(), &root)
            .map_err(|error| Fault::Failed(format!("the state at height {}: {}", tipset.height(), failed(error))))
    }

    /// The name that a state has for its network.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn name_of(&self, state: &StateTree<'_, SharedStore>) -> Result<String, Fault> {
        Ok(state.state::<InitState>(&INIT, "init").map_err(failed)?.network_name)
    }

    /// How heavy a tipset's chain is, the tipset included.
    ///
    /// `weight = parent weight + 256·L + 256·L·ΣWinCount / (2·E)` with L one less than the bits of the total power. Source: `spec/chain.md` 4.2.
    ///
    /// # Errors
    /// [`Fault`] where the store does not have the state.
    pub fn weight(&self, tipset: &Tipset) -> Result<Amount, Fault> {
        let power: PowerState = self.state(tipset)?.state(&POWER, "storagepower").map_err(failed)?;
        let bits = power.total_quality_adjusted.0.bits();
        if bits == 0 || power.total_quality_adjusted.is_negative() {
            return Err(Fault::Failed("all power in the net is gone".to_owned()));
        }
        let wins = tipset.headers().filter_map(|header| Some(header.election_proof.as_ref()?.win_count));
        let wins = wins.fold(0, i64::saturating_add);
        let of_power = Amount::from((bits - 1) * 256).0;
        let of_wins = &of_power * wins / (2 * self.rules.leaders_per_epoch);
        Ok(Amount(&tipset.first().parent_weight.0 + of_power + of_wins))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filecash_chain::header::Ticket;
    use filecash_ipld::car::{CarOptions, CarStore};
    use filecash_ipld::store::MemoryStore;

    use super::*;
    use crate::notify::{Kind, way};

    /// A chain with every third epoch empty; `fork` makes another on the same parents.
    fn extend(store: &MemoryStore, parents: &Tipset, heights: std::ops::Range<i64>, fork: u8) -> Vec<Arc<Tipset>> {
        let mut tipsets: Vec<Arc<Tipset>> = Vec::new();
        for height in heights.filter(|height| height % 3 != 2) {
            let parents = tipsets.last().map_or(parents, |last| last);
            let header = BlockHeader {
                ticket: Some(Ticket { vrf_proof: vec![fork; 96] }),
                height,
                parents: parents.key(),
                ..parents.first().clone()
            };
            store.put(&[header.to_block()]).unwrap();
            tipsets.push(Arc::new(Tipset::new(vec![header]).unwrap()));
        }
        tipsets
    }

    fn genesis() -> Tipset {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/chain/filecash-genesis.car");
        let store = CarStore::open(file.as_ref(), &CarOptions::default()).unwrap();
        Tipset::new(vec![read(&store, &store.roots()[0]).unwrap()]).unwrap()
    }

    fn ledger(store: Arc<MemoryStore>, genesis: &Tipset, head: &Arc<Tipset>) -> Ledger {
        store.put(&[genesis.first().to_block()]).unwrap();
        let network = Network::of_genesis(&genesis.key()[0], "testing".to_owned());
        let (_, heads) = watch::channel(Arc::clone(head));
        Ledger::new(store, genesis.key()[0], network, Rules::MAINNET, heads).unwrap()
    }

    fn soon() -> Deadline {
        Deadline(Instant::now() + Duration::from_secs(60))
    }

    #[test]
    fn walks_over_what_is_remembered_end_where_others_do() {
        let store = Arc::new(MemoryStore::default());
        let genesis = genesis();
        let tipsets = extend(&store, &genesis, 1..2000, 1);
        let head = tipsets.last().unwrap();
        let ledger = ledger(store, &genesis, head);
        let expected =
            |height| tipsets.iter().rev().find(|tipset| tipset.height() <= height).map_or(&genesis, |found| found);
        // The first walk goes the whole way, others are from heads of their own.
        for from in [head, &tipsets[1200], &tipsets[700], &tipsets[1100]] {
            for height in [0, 1, 2, 5, 254, 255, 256, 257, 511, 512, 600, 1023, 1024, 1025, 1500, 1999] {
                if height <= from.height() {
                    let found = ledger.at_height(height, from, soon()).unwrap();
                    assert_eq!(found.key(), expected(height).key(), "{height} from {}", from.height());
                }
            }
        }
        assert_eq!(ledger.passed.lock().unwrap().len(), 6);
        assert_eq!(ledger.at_height(0, head, Deadline(Instant::now())), Err(Fault::TooLong));
    }

    #[test]
    fn way_to_another_branch_goes_over_what_both_have() {
        let store = Arc::new(MemoryStore::default());
        let genesis = genesis();
        let common = extend(&store, &genesis, 1..10, 1);
        let old = extend(&store, common.last().unwrap(), 10..14, 1);
        let new = extend(&store, common.last().unwrap(), 10..17, 2);
        let ledger = ledger(store, &genesis, &old[0]);
        let (from, to) = (old.last().unwrap(), new.last().unwrap());
        let told = way(&ledger, from, to, soon()).unwrap();
        let back = old.iter().rev().map(|tipset| (Kind::Revert, tipset.key()));
        let expected: Vec<_> = back.chain(new.iter().map(|tipset| (Kind::Apply, tipset.key()))).collect();
        assert_eq!(told.iter().map(|change| (change.kind, change.tipset.key())).collect::<Vec<_>>(), expected);
        assert_eq!(way(&ledger, to, to, soon()).unwrap(), []);
    }

    #[test]
    fn versions_are_in_force_after_their_heights() {
        let filecash = Network::of_genesis(&FILECASH.parse().unwrap(), String::new());
        let versions =
            [0, 51_910, 51_911, 72_071, 118_151, 276_550, 276_551, 10_000_001].map(|at| filecash.version(at));
        assert_eq!(versions, [0, 0, 1, 2, 3, 3, 4, 4].map(Some));
        assert_eq!(filecash.version(10_000_002), None);
        let other = Network::of_genesis(&genesis().first().messages, String::new());
        assert_eq!(other.version(0), None);
    }
}
