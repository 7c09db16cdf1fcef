//! Which blocks of a DAG come next: a walk that goes on in many places at once.
//!
//! The links that are still to be followed stand on a stack, the first in front, so that a file comes from front to end and memory goes by
//! depth and not by size. A link to a block that is in the store is followed there; another is handed out to be fetched, many of one node
//! at once, and what comes puts its own links on the stack. Where there are very many on it already, a block is kept first and followed
//! later, from the store.
//!
//! Each block is followed once. Links to commitments (of pieces and sectors, which no block has) are passed over.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use filecash_ipld::codec::dag_pb::PbNode;
use filecash_ipld::codec::{self, Codec, CodecError};
use filecash_ipld::hash::{HashKind, inlined, parse};
use filecash_ipld::store::{BlockStore, StoreError};
use filecash_ipld::{Block, Cid};

use super::engine::Hash;

/// What a DAG may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DagLimits {
    /// Blocks that are fetched or found, each of which takes 32 bytes.
    pub blocks: u64,
    /// Their bytes, all together.
    pub bytes: u64,
    /// Links from the root to a block.
    pub depth: u32,
}

impl DagLimits {
    /// For DAGs as they come from anybody.
    pub const DEFAULT: Self = Self { blocks: 1 << 21, bytes: 1 << 40, depth: 1 << 12 };
    /// The root alone.
    pub const ROOT: Self = Self { blocks: 1, depth: 0, ..Self::DEFAULT };
}

/// Links on the stack, of 80 bytes each: beyond the first number blocks are followed later, beyond the second the walk fails.
const CROWDED: usize = 1 << 16;
const MOST: usize = 1 << 19;
/// Links that are looked at in a turn.
const TURN: usize = 4096;
/// Bytes that are read of the store in a turn.
const TURN_BYTES: usize = 16 << 20;

const COMMITMENTS: [u64; 2] = [0xf101, 0xf102];

/// Why a DAG is not walked to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum DagError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("block {cid} cannot be read")]
    Codec { cid: Box<Cid>, source: CodecError },
    #[error("{cid} has hash function {code:#x}, of which no block is checked")]
    Hash { cid: Box<Cid>, code: u64 },
    #[error("a DAG of more than {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks that came.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Blocks that were in the store.
    pub found: u64,
    /// Their bytes.
    pub found_bytes: u64,
}

/// A block to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub cid: Cid,
    /// How many bytes it has, where what links to it says so.
    pub size: Option<usize>,
}

/// The walk.
#[derive(Debug)]
pub struct Frontier {
    limits: DagLimits,
    stack: Vec<Link>,
    /// Blocks that were found or asked for, by two keyed hashes.
    followed: HashSet<u128>,
    keys: [RandomState; 2],
    /// What is being fetched, and what has come and is not kept yet.
    under_way: HashMap<Hash, UnderWay>,
    /// What is followed once it is kept.
    later: Vec<Link>,
    /// Bytes that were read in this turn.
    read: usize,
    progress: Progress,
}

#[derive(Debug)]
struct Link {
    cid: Box<[u8]>,
    depth: u32,
    /// Bytes of all below, by who wrote the link.
    size: u32,
}

#[derive(Debug)]
enum UnderWay {
    Asked { depth: u32 },
    Here,
}

impl Frontier {
    /// At the root.
    pub fn new(root: &Cid, limits: DagLimits) -> Self {
        Self {
            limits,
            stack: vec![Link { cid: root.to_bytes().into(), depth: 0, size: 0 }],
            followed: HashSet::new(),
            keys: [RandomState::new(), RandomState::new()],
            under_way: HashMap::new(),
            later: Vec::new(),
            read: 0,
            progress: Progress::default(),
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether links wait to be looked at.
    pub fn has_more(&self) -> bool {
        !self.stack.is_empty()
    }

    /// Whether all is there and kept.
    pub fn is_done(&self) -> bool {
        self.stack.is_empty() && self.under_way.is_empty() && self.later.is_empty()
    }

    /// Goes on from what is in the store, and tells up to so many blocks that are not.
    ///
    /// # Errors
    /// [`DagError`], after which it is over.
    pub fn turn(&mut self, store: &dyn BlockStore, count: usize) -> Result<Vec<Missing>, DagError> {
        let mut missing = Vec::new();
        self.read = 0;
        for _ in 0..TURN {
            if missing.len() >= count || self.read > TURN_BYTES {
                break;
            }
            let Some(link) = self.stack.pop() else { break };
            missing.extend(self.follow(store, link)?);
        }
        Ok(missing)
    }

    fn follow(&mut self, store: &dyn BlockStore, link: Link) -> Result<Option<Missing>, DagError> {
        let Some(cid) = parse(&link.cid) else { return Ok(None) };
        if COMMITMENTS.contains(&cid.codec()) || self.followed.contains(&self.key(&cid)) {
            return Ok(None);
        }
        if self.under_way.contains_key(cid.hash()) {
            // The same bytes under another codec.
            self.later.push(link);
            return self.room().map(|()| None);
        }
        self.followed.insert(self.key(&cid));
        let is_leaf = cid.codec() == Codec::Raw.code() || self.limits.depth == 0;
        if is_leaf && let Some(size) = store.size(&cid)? {
            self.found(&cid, size)?;
            return Ok(None);
        }
        if !is_leaf && let Some(bytes) = store.get(&cid)? {
            self.read += bytes.len();
            self.found(&cid, bytes.len() as u64)?;
            self.expand(&cid, &bytes, link.depth)?;
            return Ok(None);
        }
        let code = cid.hash().code();
        if HashKind::by_code(code).is_none() {
            return Err(DagError::Hash { cid: Box::new(cid), code });
        }
        self.under_way.insert(*cid.hash(), UnderWay::Asked { depth: link.depth });
        // What is below a node counts in the size of a link to it, too.
        let size = (link.size > 0 && is_leaf).then_some(link.size as usize);
        Ok(Some(Missing { cid, size }))
    }

    fn found(&mut self, cid: &Cid, bytes: u64) -> Result<(), DagError> {
        if inlined(cid).is_none() {
            self.progress.found += 1;
            self.progress.found_bytes += bytes;
        }
        self.check()
    }

    fn room(&self) -> Result<(), DagError> {
        match self.stack.len() + self.later.len() > MOST {
            true => Err(DagError::Limit { what: "links to follow at a time", limit: MOST as u64 }),
            false => Ok(()),
        }
    }

    fn check(&self) -> Result<(), DagError> {
        let Progress { fetched, fetched_bytes, found, found_bytes } = self.progress;
        let limit = |what, count: u64, limit: u64| match count > limit {
            true => Err(DagError::Limit { what, limit }),
            false => Ok(()),
        };
        limit("blocks", fetched + found, self.limits.blocks)?;
        limit("bytes", fetched_bytes + found_bytes, self.limits.bytes)
    }

    /// A block came, which is to be kept.
    ///
    /// # Errors
    /// [`DagError`], after which it is over.
    pub fn arrived(&mut self, block: &Block) -> Result<(), DagError> {
        let cid = block.cid();
        let Some(UnderWay::Asked { depth }) = self.under_way.get(cid.hash()) else { return Ok(()) };
        let depth = *depth;
        self.under_way.insert(*cid.hash(), UnderWay::Here);
        self.progress.fetched += 1;
        self.progress.fetched_bytes += block.bytes().len() as u64;
        self.check()?;
        if self.stack.len() + self.later.len() > CROWDED && cid.codec() != Codec::Raw.code() {
            self.followed.remove(&self.key(cid));
            self.later.push(Link { cid: cid.to_bytes().into(), depth, size: 0 });
            return self.room();
        }
        self.expand(cid, block.bytes(), depth)
    }

    /// Blocks are in the store.
    pub fn kept<'a>(&mut self, hashes: impl IntoIterator<Item = &'a Hash>) {
        for hash in hashes {
            self.under_way.remove(hash);
        }
        let under_way = &self.under_way;
        let is_kept = |link: &mut Link| parse(&link.cid).is_none_or(|cid| !under_way.contains_key(cid.hash()));
        self.stack.extend(self.later.extract_if(.., is_kept));
    }

    /// Puts the links of a block on the stack, the first on top.
    fn expand(&mut self, cid: &Cid, bytes: &[u8], depth: u32) -> Result<(), DagError> {
        if self.limits.depth == 0 {
            return Ok(());
        }
        let links = links(cid, bytes).map_err(|source| DagError::Codec { cid: Box::new(*cid), source })?;
        if links.is_empty() {
            return Ok(());
        }
        if depth >= self.limits.depth {
            return Err(DagError::Limit { what: "links from the root to a block", limit: self.limits.depth.into() });
        }
        let link = |(cid, size): &(Cid, u64)| Link {
            cid: cid.to_bytes().into(),
            depth: depth + 1,
            size: u32::try_from(*size).unwrap_or(u32::MAX),
        };
        self.stack.extend(links.iter().rev().map(link));
        self.room()
    }

    fn key(&self, cid: &Cid) -> u128 {
        // The same bytes have other links under another codec.
        let [one, other] = self.keys.each_ref().map(|key| u128::from(key.hash_one((cid.codec(), cid.hash()))));
        one << 64 | other
    }
}

/// The links of a block with the sizes that they tell, or 0.
fn links(cid: &Cid, bytes: &[u8]) -> Result<Vec<(Cid, u64)>, CodecError> {
    if cid.codec() == Codec::DagPb.code() {
        let links = PbNode::decode(bytes)?.links;
        return Ok(links.into_iter().map(|link| (link.cid, link.tsize.unwrap_or(0))).collect());
    }
    Ok(codec::links(cid, bytes)?.into_iter().map(|cid| (cid, 0)).collect())
}

#[cfg(test)]
#[path = "frontier_tests.rs"]
mod tests;
