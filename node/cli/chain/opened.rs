//! A chain that is looked at: the one that is followed, or that of a CAR file.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use filecash_chain::Amount;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::folder::{ChainFolder, FolderError};
use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_ipld::store::BlockStore;

use crate::context::Context;
use crate::report::{Failure, Kind};

/// A chain in any store.
pub type AnyChain = ChainStore<Arc<dyn BlockStore>>;

/// What is looked at.
pub struct Opened {
    /// Its blocks.
    pub store: Arc<dyn BlockStore>,
    /// The key of its head.
    pub head: Vec<Cid>,
    /// What the head weighs, if its parents are there to tell.
    pub weight: Option<Amount>,
    /// Where it is.
    pub place: String,
    genesis: Option<Cid>,
}

/// The folder of the chain that is followed.
pub fn folder(context: &Context) -> anyhow::Result<&Path> {
    let none = || Failure::new(Kind::Settings, "there is no place for the chain").hint("--chain names one");
    Ok(context.settings.chain.value.as_deref().ok_or_else(none)?)
}

/// Opens a file's chain, or the one that is followed.
pub fn open(file: Option<&Path>, context: &Context) -> anyhow::Result<Opened> {
    match file {
        Some(file) => open_file(file),
        None => open_folder(folder(context)?),
    }
}

fn open_folder(folder: &Path) -> anyhow::Result<Opened> {
    let opened = match ChainFolder::open(folder, Rules::MAINNET) {
        Err(error @ FolderError::NoChain { .. }) => {
            let hint = "filecash chain import FILE begins one; a CAR file can be named, too";
            return Err(Failure::new(Kind::Input, error.to_string()).hint(hint).into());
        }
        opened => opened.with_context(|| format!("the chain in {}", folder.display()))?,
    };
    let head = opened.head();
    Ok(Opened {
        store: Arc::<filecash_chain::folder::Objects>::clone(opened.chain().store()),
        head: head.tipset.key(),
        weight: Some(head.weight.clone()),
        place: folder.display().to_string(),
        genesis: Some(opened.genesis()),
    })
}

/// A file's blocks, and the key of the tipset that it ends with.
pub fn open_file(file: &Path) -> anyhow::Result<Opened> {
    let store = CarStore::open(file, &CarOptions::default());
    let store = store.with_context(|| format!("cannot read {}", file.display()))?;
    let head = store.roots().to_vec();
    if head.is_empty() {
        let message = format!("{} has no roots, and so no tipset to begin with", file.display());
        return Err(Failure::new(Kind::Input, message).into());
    }
    let place = file.display().to_string();
    Ok(Opened { store: Arc::new(store), head, weight: None, place, genesis: None })
}

impl Opened {
    /// The chain with a genesis that need not be its own, for who looks at single tipsets.
    pub fn any_chain(&self) -> AnyChain {
        ChainStore::new(Arc::clone(&self.store), self.genesis.unwrap_or(self.head[0]), Rules::MAINNET)
    }

    /// The chain, whose genesis is the one that its head leads to.
    pub fn chain(&self, context: &Context) -> anyhow::Result<AnyChain> {
        let follow = self.any_chain();
        if self.genesis.is_some() {
            return Ok(follow);
        }
        let mut tipset = follow.tipset(&self.head)?;
        while tipset.height() > 0 {
            if context.is_cancelled() {
                return Err(Failure::new(Kind::Cancelled, "stopped by Ctrl-C").into());
            }
            tipset = follow.tipset(tipset.parents())?;
        }
        Ok(ChainStore::new(Arc::clone(&self.store), tipset.key()[0], Rules::MAINNET))
    }
}
