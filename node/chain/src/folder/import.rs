//! Chains and geneses in CAR files, taken into a folder.
//!
//! A file is gone through three times: its headers from the head down, for a chain of another genesis, or of none, is refused before
//! anything is written; its blocks in order, each checked against its CID; then messages from below, behind which the head follows.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use filecash_ipld::Cid;
use filecash_ipld::car::{CarError, CarOptions, CarReader, CarStore};
use filecash_ipld::store::BlockStore;

use super::{ChainFolder, Descent, FolderError, Step};
use crate::address::BlsKey;
use crate::chain::{ChainError, ChainStore};
use crate::check::Rules;
use crate::check::block::check_tipset;
use crate::check::tipset::{Checks, GenesisKeys};
use crate::header::BlockHeader;
use crate::read::ReadError;
use crate::tipset::Tipset;

/// Blocks and bytes that are kept at a time, and tipsets that the head moves by.
const BATCH_BLOCKS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
const BATCH_TIPSETS: usize = 256;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ImportError {
    #[error("cannot read {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Car(#[from] CarError),
    #[error("the file has no roots, and so no tipset to begin with")]
    NoRoots,
    #[error("block {cid} is not in the file, and the tipset at height {height} needs it")]
    Missing { height: i64, cid: Box<Cid> },
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("stopped; what is there is whole, and the rest comes when the file is imported again")]
    Stopped,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Headers are followed down, and this is the height.
    Headers(i64),
    /// So many bytes of the file were read.
    Blocks {
        /// Of this file.
        read: u64,
        /// All.
        of: u64,
    },
    /// Messages are checked, and this is the height.
    Messages {
        /// Up to which they are good.
        height: i64,
        /// The last one.
        of: i64,
    },
}

/// Is told how far it is, and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Blocks of the file, and their bytes.
    pub blocks: u64,
    /// See there.
    pub bytes: u64,
    /// Tipsets that were not on the chain, and the messages of their blocks.
    pub tipsets: u64,
    /// See there.
    pub messages: u64,
    /// Blocks of which some signatures could not be checked, their signers' keys being in a state that is not there.
    pub unknown_signers: u64,
    /// Whether the head moved.
    pub moved: bool,
}

/// Takes a chain or a genesis from a file into a folder, where the chain may be there or not. Its head moves when the file's is heavier.
///
/// # Errors
/// [`ImportError`].
pub fn import(
    folder: &Path,
    file: &Path,
    rules: &Rules,
    beacon: Option<&BlsKey>,
    watch: Watch<'_>,
) -> Result<(ChainFolder, Imported), ImportError> {
    let source = CarStore::open(file, &CarOptions::default())?;
    let head = source.roots().to_vec();
    if head.is_empty() {
        return Err(ImportError::NoRoots);
    }
    let existing = match ChainFolder::open(folder, rules.clone()) {
        Ok(existing) => Some(existing),
        Err(FolderError::NoChain { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let genesis = follow(&source, &head, existing.as_ref(), rules, watch)?;
    let opened = match (existing, genesis) {
        (Some(existing), Some(genesis)) if genesis.0 != existing.genesis() => {
            let (expected, found) = (Box::new(existing.genesis()), Box::new(genesis.0));
            return Err(FolderError::OtherGenesis { expected, found }.into());
        }
        (Some(existing), _) => existing,
        (None, Some((_, header))) => ChainFolder::create(folder, &header, rules.clone())?,
        (None, None) => return Err(ImportError::NoRoots),
    };
    let mut imported = Imported::default();
    blocks(&opened, file, &mut imported, watch)?;
    tipsets(&opened, head, beacon, &mut imported, watch)?;
    Ok((opened, imported))
}

fn go_on(flow: ControlFlow<()>) -> Result<(), ImportError> {
    if flow.is_break() { Err(ImportError::Stopped) } else { Ok(()) }
}

/// The genesis that a file's head leads to; nothing when it leads to the chain that is there.
fn follow(
    source: &CarStore,
    head: &[Cid],
    existing: Option<&ChainFolder>,
    rules: &Rules,
    watch: Watch<'_>,
) -> Result<Option<(Cid, BlockHeader)>, ImportError> {
    let chain = ChainStore::new(source, head[0], rules.clone());
    let (mut key, mut child) = (head.to_vec(), None::<Tipset>);
    loop {
        let tipset = chain.tipset(&key).map_err(|error| match &child {
            Some(child) => missing(error.into(), child.height()),
            None => FolderError::from(error).into(),
        })?;
        if let Some(child) = &child {
            check_tipset(child, &tipset, rules).map_err(|fault| FolderError::invalid(child, fault))?;
        }
        go_on(watch(Progress::Headers(tipset.height())))?;
        if let Some(existing) = existing
            && existing.is_on_chain(&key, tipset.height())?
        {
            return Ok(None);
        }
        if tipset.height() <= 0 {
            let (cid, header) = &tipset.blocks()[0];
            return match tipset.blocks() {
                [_] => Ok(Some((*cid, header.clone()))),
                _ => Err(FolderError::NoGenesis { height: header.height, cid: Box::new(*cid) }.into()),
            };
        }
        key = tipset.parents().to_vec();
        child = Some(tipset);
    }
}

/// Tells where something is missing.
fn missing(error: FolderError, height: i64) -> ImportError {
    match error {
        FolderError::Chain(ChainError::Read(ReadError::Missing(cid))) => ImportError::Missing { height, cid },
        error => error.into(),
    }
}

fn blocks(folder: &ChainFolder, file: &Path, imported: &mut Imported, watch: Watch<'_>) -> Result<(), ImportError> {
    let wrong = |source| ImportError::Open { path: file.to_owned(), source };
    let source = File::open(file).map_err(wrong)?;
    let of = source.metadata().map_err(wrong)?.len();
    let mut reader = CarReader::new(source, &CarOptions::default())?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    loop {
        let block = reader.next().transpose()?;
        let is_last = block.is_none();
        if let Some(block) = block {
            imported.blocks += 1;
            imported.bytes += block.bytes().len() as u64;
            bytes += block.bytes().len();
            batch.push(block);
        }
        if is_last || batch.len() >= BATCH_BLOCKS || bytes >= BATCH_BYTES {
            folder.chain().store().put(&batch).map_err(FolderError::from)?;
            batch.clear();
            bytes = 0;
            go_on(watch(Progress::Blocks { read: reader.position(), of }))?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn tipsets(
    folder: &ChainFolder,
    head: Vec<Cid>,
    beacon: Option<&BlsKey>,
    imported: &mut Imported,
    watch: Watch<'_>,
) -> Result<(), ImportError> {
    let genesis = folder.chain().tipset(&[folder.genesis()]).map_err(FolderError::from)?;
    let keys = GenesisKeys::new(Arc::clone(folder.chain().store()), genesis.first().parent_state_root);
    let checks = Checks { rules: folder.rules(), beacon, keys: &keys };
    let mut descent = Descent::from(head);
    let met = loop {
        // The clock is not asked about a file.
        match folder.descend(&mut descent, &checks, u64::MAX, BATCH_TIPSETS)? {
            Step::Met(height) => break height,
            Step::More => go_on(watch(Progress::Headers(descent.below())))?,
            Step::Missing => {
                let (height, cid) = (descent.below(), Box::new(descent.next()[0]));
                return Err(ImportError::Missing { height, cid });
            }
        }
    };
    let of = descent.top().unwrap_or(met);
    let mut height = met;
    while height < of {
        let batch = folder.noted(height, of, BATCH_TIPSETS)?;
        let Some(last) = batch.last() else { break };
        height = last.height();
        for tipset in &batch {
            let messages = folder.chain().messages(tipset);
            let messages = messages.map_err(|error| missing(error.into(), tipset.height()))?;
            imported.unknown_signers += folder.check_messages(tipset, &messages, &checks)?;
            imported.tipsets += 1;
            imported.messages += messages.iter().map(|messages| messages.count() as u64).sum::<u64>();
        }
        imported.moved |= folder.set_head(last)?;
        go_on(watch(Progress::Messages { height, of }))?;
    }
    Ok(folder.forget_noted()?)
}
