//! Files and folders to blocks.
//!
//! A file is read once, from front to end. What is held of it is the chunks that are hashed together, blocks that the sink has not got yet,
//! and of each level of the tree the links of the node that is not full.

use std::io::{self, Read};
use std::path::PathBuf;

use rayon::prelude::*;

use super::data::{Data, Kind};
use super::hamt::{self, Slot};
use super::profile::Profile;
use crate::block::Block;
use crate::codec::Codec;
use crate::codec::dag_pb::{PbLink, PbNode};
use crate::hash::{Cid, HashError, inlined};
use crate::store::StoreError;

/// The sink gets blocks when they have so many bytes together, or are so many.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_BLOCKS: usize = 1024;

/// Gets blocks.
type Sink<'a> = Box<dyn FnMut(&[Block]) -> Result<(), StoreError> + 'a>;

/// Why something was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ImportError {
    #[error("what is to be imported cannot be read")]
    Read(#[from] io::Error),
    #[error("{} cannot be read", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error("{} is neither a file nor a folder nor a symbolic link", .0.display())]
    Special(PathBuf),
    #[error("{} has a name or a target that is not UTF-8", .0.display())]
    Text(PathBuf),
    #[error("{} is in more than {limit} folders", path.display())]
    Depth { path: PathBuf, limit: usize },
    #[error("{0:?} is no name in a folder")]
    Name(String),
    #[error("{0:?} is in a folder twice")]
    Twice(String),
    #[error("{0:?} has the same hash as another name of its folder")]
    Collision(String),
    #[error("chunks of {chunk} bytes or nodes of {links} links make no tree")]
    Profile { chunk: usize, links: usize },
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("the blocks cannot be kept")]
    Sink(#[from] StoreError),
}

/// What something was imported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The block at the top.
    pub cid: Cid,
    /// Bytes of a file; of a folder 0.
    pub size: u64,
    /// Bytes of all blocks, repeated ones as often as they are linked to.
    pub tsize: u64,
}

/// Imports one thing after the other under a profile.
///
/// Blocks come to the sink in batches, those below before those above, the last with [`Importer::finish`]. What a CID holds is no block.
pub struct Importer<'a> {
    profile: Profile,
    sink: Sink<'a>,
    progress: Box<dyn FnMut(u64) + 'a>,
    together: usize,
    read: u64,
    waiting: Vec<Block>,
    waiting_bytes: usize,
}

impl<'a> Importer<'a> {
    /// One that hashes a chunk at a time.
    pub fn new(profile: Profile, sink: impl FnMut(&[Block]) -> Result<(), StoreError> + 'a) -> Self {
        let (sink, progress) = (Box::new(sink), Box::new(|_| ()));
        Self { profile, sink, progress, together: 1, read: 0, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Holds so many chunks in memory, and hashes them at the same time.
    #[must_use]
    pub fn together(self, chunks: usize) -> Self {
        Self { together: chunks.max(1), ..self }
    }

    /// Tells now and then how many bytes of files have been read, of all since it was made.
    #[must_use]
    pub fn progress(self, progress: impl FnMut(u64) + 'a) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// A file of all that can be read.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn file(&mut self, mut reader: impl Read) -> Result<Imported, ImportError> {
        let Profile { chunk, links, .. } = self.profile;
        if chunk == 0 || links < 2 {
            return Err(ImportError::Profile { chunk, links });
        }
        let mut tree = Tree::default();
        loop {
            let (chunks, more) = self.read_chunks(&mut reader, tree.is_empty())?;
            let profile = self.profile;
            let leaves = match chunks.len() {
                0 | 1 => chunks.into_iter().map(|chunk| leaf(&profile, chunk)).collect::<Result<Vec<_>, _>>(),
                _ => chunks.into_par_iter().map(|chunk| leaf(&profile, chunk)).collect(),
            };
            for (imported, block) in leaves? {
                self.keep(block)?;
                tree.push(0, imported, self)?;
            }
            (self.progress)(self.read);
            if !more {
                return tree.finish(self);
            }
        }
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn symlink(&mut self, target: &str) -> Result<Imported, ImportError> {
        let data = Data { data: Some(target.as_bytes().to_vec()), ..Data::new(Kind::Symlink) };
        self.node(PbNode { links: Vec::new(), data: Some(data.encode()) }, 0)
    }

    /// A folder of what has been imported before.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn folder(&mut self, mut entries: Vec<(String, Imported)>) -> Result<Imported, ImportError> {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, _) in &entries {
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return Err(ImportError::Name(name.clone()));
            }
        }
        if let Some([(name, _), _]) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(ImportError::Twice(name.clone()));
        }
        let estimate = |(name, imported): &(String, Imported)| (name.len() + imported.cid.encoded_len()) as u64;
        if entries.iter().map(estimate).sum::<u64>() >= self.profile.shard_from {
            let entries = entries.into_iter().map(|(name, imported)| (hamt::hash(&name), name, imported));
            let mut entries = entries.collect::<Vec<_>>();
            entries.sort_by_key(|(hash, ..)| *hash);
            return self.shard(&entries, 0);
        }
        let links = entries.into_iter().map(|(name, Imported { cid, tsize, .. })| PbLink {
            cid,
            name: Some(name),
            tsize: Some(tsize),
        });
        self.node(PbNode { links: links.collect(), data: Some(Data::new(Kind::Directory).encode()) }, 0)
    }

    /// Gives the sink what it has not got yet.
    ///
    /// # Errors
    /// [`ImportError::Sink`].
    pub fn finish(mut self) -> Result<(), ImportError> {
        self.flush()
    }

    /// A shard of names that are in the order of their hashes, and have the first so many places in common.
    fn shard(&mut self, entries: &[(u64, String, Imported)], depth: usize) -> Result<Imported, ImportError> {
        const BITS: u32 = hamt::FANOUT.ilog2();
        let mut slots = Vec::new();
        let place = |hash| hamt::place(hash, BITS, depth);
        for group in entries.chunk_by(|(one, ..), (other, ..)| place(*one) == place(*other)) {
            let [(hash, name, first), rest @ ..] = group else { continue };
            let place = place(*hash).ok_or_else(|| ImportError::Collision(name.clone()))?;
            let (name, imported) = match rest {
                [] => (Some(name.clone()), *first),
                _ => (None, self.shard(group, depth + 1)?),
            };
            slots.push(Slot { place, name, cid: imported.cid, tsize: Some(imported.tsize) });
        }
        self.node(hamt::node(slots), 0)
    }

    /// The next chunks, and whether there may be more. An empty file has one, which is empty.
    fn read_chunks(&mut self, reader: &mut impl Read, first: bool) -> Result<(Vec<Vec<u8>>, bool), ImportError> {
        let mut chunks = Vec::new();
        while chunks.len() < self.together {
            let mut chunk = Vec::new();
            reader.take(self.profile.chunk as u64).read_to_end(&mut chunk)?;
            self.read += chunk.len() as u64;
            let full = chunk.len() == self.profile.chunk;
            if !chunk.is_empty() || (first && chunks.is_empty()) {
                chunks.push(chunk);
            }
            if !full {
                return Ok((chunks, false));
            }
        }
        Ok((chunks, true))
    }

    /// A dag-pb node, above blocks that it links to.
    fn node(&mut self, node: PbNode, size: u64) -> Result<Imported, ImportError> {
        let below = node.links.iter().filter_map(|link| link.tsize).fold(0, u64::saturating_add);
        let bytes = node.encode();
        let tsize = below.saturating_add(bytes.len() as u64);
        let cid = self.profile.cid(Codec::DagPb, &bytes)?;
        self.keep(Block::trusted(cid, bytes))?;
        Ok(Imported { cid, size, tsize })
    }

    fn keep(&mut self, block: Block) -> Result<(), ImportError> {
        if inlined(block.cid()).is_some() {
            return Ok(());
        }
        self.waiting_bytes += block.bytes().len();
        self.waiting.push(block);
        if self.waiting_bytes >= BATCH_BYTES || self.waiting.len() >= BATCH_BLOCKS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        if !self.waiting.is_empty() {
            (self.sink)(&self.waiting)?;
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }
}

/// The leaf of a chunk.
fn leaf(profile: &Profile, chunk: Vec<u8>) -> Result<(Imported, Block), HashError> {
    let size = chunk.len() as u64;
    let (codec, bytes) = match profile.raw_leaves {
        true => (Codec::Raw, chunk),
        false => {
            let data = (!chunk.is_empty()).then_some(chunk);
            let data = Data { data, filesize: Some(size), ..Data::new(Kind::File) };
            (Codec::DagPb, PbNode { links: Vec::new(), data: Some(data.encode()) }.encode())
        }
    };
    let cid = profile.cid(codec, &bytes)?;
    Ok((Imported { cid, size, tsize: bytes.len() as u64 }, Block::trusted(cid, bytes)))
}

/// What waits in each level, the leaves first, to be linked to.
#[derive(Default)]
struct Tree {
    levels: Vec<Vec<Imported>>,
}

impl Tree {
    fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    fn push(&mut self, level: usize, imported: Imported, importer: &mut Importer) -> Result<(), ImportError> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        // A full level is left as it is until there is more: it may be that of the root.
        if self.levels[level].len() == importer.profile.links {
            self.close(level, importer)?;
        }
        self.levels[level].push(imported);
        Ok(())
    }

    /// Makes a node of what waits in a level.
    fn close(&mut self, level: usize, importer: &mut Importer) -> Result<(), ImportError> {
        let children = std::mem::take(&mut self.levels[level]);
        let size = children.iter().map(|child| child.size).fold(0, u64::saturating_add);
        let data = Data {
            filesize: Some(size),
            blocksizes: children.iter().map(|child| child.size).collect(),
            ..Data::new(Kind::File)
        };
        let links = children.into_iter().map(|Imported { cid, tsize, .. }| PbLink {
            cid,
            name: Some(String::new()),
            tsize: Some(tsize),
        });
        let node = PbNode { links: links.collect(), data: Some(data.encode()) };
        let imported = importer.node(node, size)?;
        self.push(level + 1, imported, importer)
    }

    /// Makes nodes of all that waits, up to the root. There is at least a leaf.
    fn finish(mut self, importer: &mut Importer) -> Result<Imported, ImportError> {
        let mut level = 0;
        loop {
            if let ([root], true) = (&self.levels[level][..], level + 1 == self.levels.len()) {
                return Ok(*root);
            }
            self.close(level, importer)?;
            level += 1;
        }
    }
}
