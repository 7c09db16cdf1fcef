//! The chain that a node follows, in a folder, which outlives the process and its sudden end.
//!
//! | Name | What is in it |
//! |---|---|
//! | `objects/` | blocks: headers, messages, states, as a [`DiskStore`] |
//! | `chain.redb` | the genesis, the head, the tipset of each height, and how far a sync came (`index.rs`) |
//!
//! Blocks are there before anything names them. The head moves in one transaction with the heights, and only to a tipset that is
//! heavier: of equal ones the first stays. So whatever ends the process, the folder has a chain from its head to its genesis, whole.
//!
//! A fork that leaves the chain more than [`FINALITY`] epochs below the head is refused.
//!
//! Source: `spec/chain.md` 4.1.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, DiskOptions, DiskStore, StoreError, Watched};

use crate::amount::Amount;
use crate::block_messages::BlockMessages;
use crate::chain::{ChainError, ChainStore};
use crate::check::Rules;
use crate::check::block::BlockFault;
use crate::header::BlockHeader;
use crate::hello::Hello;
use crate::object::Object;
use crate::tipset::Tipset;
use crate::weight::{self, WeightFault};

mod descent;
mod import;
mod index;

use index::Index;

pub use descent::{Descent, Held, Step};
pub use import::{ImportError, Imported, Progress, Watch, import};

/// How far below the head a fork may begin, in epochs.
pub const FINALITY: i64 = 900;
/// How many tipsets the head moves by at a time, at most.
pub const MAX_ADVANCE: usize = 1 << 14;

/// The blocks of a folder, which tell of those that come.
pub type Objects = Watched<DiskStore>;

/// A chain in blocks of a folder.
pub type FolderChain = ChainStore<Arc<Objects>>;

/// Why a folder has no chain, or did not take something into it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FolderError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("the index of the chain")]
    Index(#[source] Box<dyn StdError + Send + Sync>),
    #[error("there is no chain at {}", path.display())]
    NoChain { path: PathBuf },
    #[error("no chain at {}: {what}", path.display())]
    Format { path: PathBuf, what: &'static str },
    #[error("the chain begins with {found}, the one that is followed with {expected}")]
    OtherGenesis { expected: Box<Cid>, found: Box<Cid> },
    #[error("block {cid} has height {height}, and a genesis has none")]
    NoGenesis { height: i64, cid: Box<Cid> },
    #[error("block {cid} at height {height}: {source}")]
    Invalid { height: i64, cid: Box<Cid>, source: BlockFault },
    #[error(
        "the tipset at height {height} with block {cid} leaves the chain more than {FINALITY} epochs below its head"
    )]
    ForkTooLong { height: i64, cid: Box<Cid> },
    #[error("the head would move by more than {MAX_ADVANCE} tipsets at once")]
    TooFar,
}

impl FolderError {
    /// Something wrong with a tipset.
    pub(crate) fn invalid(tipset: &Tipset, source: impl Into<BlockFault>) -> Self {
        let (cid, header) = &tipset.blocks()[0];
        Self::Invalid { height: header.height, cid: Box::new(*cid), source: source.into() }
    }
}

/// Where a chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its last tipset.
    pub tipset: Tipset,
    /// What that weighs.
    pub weight: Amount,
}

/// Is told of every new head, in order; the next one waits until it is done.
pub type HeadWatch = Box<dyn Fn(&Arc<Head>) + Send + Sync>;

/// Who is told.
#[derive(Default)]
struct Watches(Vec<HeadWatch>);

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} watches", self.0.len())
    }
}

/// A chain in a folder.
#[derive(Debug)]
pub struct ChainFolder {
    chain: FolderChain,
    index: Index,
    genesis: Cid,
    rules: Rules,
    head: RwLock<Arc<Head>>,
    /// Had by who moves the head.
    moving: Mutex<Watches>,
}

fn objects(folder: &Path) -> Result<Arc<Objects>, StoreError> {
    Ok(Arc::new(Watched::new(DiskStore::open(&folder.join("objects"), &DiskOptions::default())?)))
}

fn index_path(folder: &Path) -> PathBuf {
    folder.join("chain.redb")
}

impl ChainFolder {
    /// Opens the chain in a folder.
    ///
    /// # Errors
    /// [`FolderError`]: [`FolderError::NoChain`] where there is none, [`StoreError::InUse`] while another process has it open.
    pub fn open(folder: &Path, rules: Rules) -> Result<Self, FolderError> {
        let path = index_path(folder);
        if !path.try_exists().map_err(|error| FolderError::Index(error.into()))? {
            return Err(FolderError::NoChain { path: folder.to_owned() });
        }
        let objects = objects(folder)?;
        Self::with(objects, &path, rules)
    }

    /// Begins the chain of a genesis in a folder, or opens it there.
    ///
    /// # Errors
    /// [`FolderError`]: [`FolderError::OtherGenesis`] where there is another chain.
    pub fn create(folder: &Path, genesis: &BlockHeader, rules: Rules) -> Result<Self, FolderError> {
        let block = genesis.to_block();
        let cid = *block.cid();
        if genesis.height != 0 {
            return Err(FolderError::NoGenesis { height: genesis.height, cid: Box::new(cid) });
        }
        let objects = objects(folder)?;
        let path = index_path(folder);
        if !path.try_exists().map_err(|error| FolderError::Index(error.into()))? {
            objects.put(&[block])?;
            Index::create(&path, &[cid])?;
        }
        let opened = Self::with(objects, &path, rules)?;
        if opened.genesis != cid {
            return Err(FolderError::OtherGenesis { expected: Box::new(opened.genesis), found: Box::new(cid) });
        }
        Ok(opened)
    }

    fn with(objects: Arc<Objects>, path: &Path, rules: Rules) -> Result<Self, FolderError> {
        let index = Index::open(path)?;
        let [genesis] = index.genesis()?[..] else {
            return Err(FolderError::Format { path: path.to_owned(), what: "a genesis that is not one block" });
        };
        let chain = ChainStore::new(objects, genesis, rules.clone());
        let tipset = chain.tipset(&index.head()?)?;
        let weight = weigh(&chain, &tipset, &rules)?;
        let head = RwLock::new(Arc::new(Head { tipset, weight }));
        Ok(Self { chain, index, genesis, rules, head, moving: Mutex::default() })
    }

    /// The chain, for who reads it.
    pub fn chain(&self) -> &FolderChain {
        &self.chain
    }

    /// The first block.
    pub fn genesis(&self) -> Cid {
        self.genesis
    }

    /// The numbers of the network.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The heaviest tipset that was found good.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has somebody told of the head, now and whenever it moves. It must not move the head itself.
    pub fn watch_head(&self, watch: HeadWatch) {
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        watch(&self.head());
        moving.0.push(watch);
    }

    /// What other nodes are told of it.
    pub fn hello(&self) -> Hello {
        let head = self.head();
        Hello {
            heaviest: head.tipset.key(),
            height: head.tipset.height(),
            weight: head.weight.clone(),
            genesis: self.genesis,
        }
    }

    /// The tipset of the chain at a height or, where nobody won an election then, the last one before; none above the head.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn tipset_by_height(&self, height: i64) -> Result<Option<Tipset>, FolderError> {
        if height > self.head().tipset.height() {
            return Ok(None);
        }
        let place = self.index.at_or_below(height)?;
        place.map(|(_, key)| Ok(self.chain.tipset(&key)?)).transpose()
    }

    /// Whether a tipset of a height is on the chain.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn is_on_chain(&self, key: &[Cid], height: i64) -> Result<bool, FolderError> {
        Ok(self.index.at_or_below(height)?.is_some_and(|place| place.0 == height && place.1 == key))
    }

    /// What a tipset weighs whose parents are there.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn weigh(&self, tipset: &Tipset) -> Result<Amount, FolderError> {
        weigh(&self.chain, tipset, &self.rules)
    }

    /// Keeps the headers of tipsets.
    ///
    /// # Errors
    /// [`FolderError::Store`].
    pub fn put_headers<'a>(&self, tipsets: impl IntoIterator<Item = &'a Tipset>) -> Result<(), FolderError> {
        let headers = tipsets.into_iter().flat_map(Tipset::headers);
        Ok(self.chain.store().put(&headers.map(Object::to_block).collect::<Vec<_>>())?)
    }

    /// Keeps the messages of blocks, and the lists by which headers name them.
    ///
    /// # Errors
    /// [`FolderError::Store`].
    pub fn put_messages<'a>(&self, blocks: impl IntoIterator<Item = &'a BlockMessages>) -> Result<(), FolderError> {
        Ok(self.chain.store().put(&blocks.into_iter().flat_map(BlockMessages::to_blocks).collect::<Vec<_>>())?)
    }

    /// Moves the head to a tipset that was found good, as were all down to the chain, and tells whether it did: not unless it is heavier.
    ///
    /// # Errors
    /// [`FolderError`]: [`FolderError::ForkTooLong`], [`FolderError::TooFar`].
    pub fn set_head(&self, tipset: &Tipset) -> Result<bool, FolderError> {
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let (head, weight) = (self.head(), self.weigh(tipset)?);
        if weight <= head.weight {
            return Ok(false);
        }
        let lowest = head.tipset.height().saturating_sub(FINALITY);
        let (mut places, mut next) = (Vec::new(), tipset.clone());
        while !self.is_on_chain(&next.key(), next.height())? {
            // What is at the lowest height may still be on the chain, what builds on something below is a fork.
            if next.height() <= lowest || next.height() <= 0 {
                let cid = Box::new(next.key()[0]);
                return Err(FolderError::ForkTooLong { height: next.height(), cid });
            }
            if places.len() == MAX_ADVANCE {
                return Err(FolderError::TooFar);
            }
            places.push((next.height(), next.key()));
            next = self.chain.tipset(next.parents())?;
        }
        if next.height() < lowest {
            return Err(FolderError::ForkTooLong { height: next.height(), cid: Box::new(next.key()[0]) });
        }
        self.index.advance(next.height(), &places)?;
        let head = Arc::new(Head { tipset: tipset.clone(), weight });
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&head);
        moving.0.iter().for_each(|watch| watch(&head));
        Ok(true)
    }
}

fn weigh(chain: &FolderChain, tipset: &Tipset, rules: &Rules) -> Result<Amount, FolderError> {
    if tipset.height() == 0 {
        return Ok(tipset.first().parent_weight.clone());
    }
    let parents = chain.tipset(tipset.parents())?;
    weight::of(tipset, &parents, rules).map_err(|fault: WeightFault| FolderError::invalid(tipset, fault))
}

#[cfg(test)]
mod tests;
