//! Names in folders, and paths through them.

use std::vec::IntoIter;

use super::hamt::{self, Shard, Slot};
use super::node::Node;
use super::{Source, UnixFsError};
use crate::codec::dag_pb::PbLink;
use crate::hash::Cid;

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name. It may be of any characters: who makes files of it has to look at them.
    pub name: String,
    /// What has it.
    pub cid: Cid,
    /// Bytes of all blocks below, by who wrote it.
    pub tsize: Option<u64>,
}

/// What a path leads to, through folders, sharded or not. Empty names in it are passed over, and symbolic links are not followed.
///
/// # Errors
/// [`UnixFsError`].
pub fn resolve(source: impl Source, root: &Cid, path: &str) -> Result<Cid, UnixFsError> {
    let mut cid = *root;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let found = find_in(&source, &cid, name)?;
        cid = found.ok_or_else(|| UnixFsError::NoName { cid: Box::new(cid), name: name.to_owned() })?.cid;
    }
    Ok(cid)
}

/// The entry of a name in a folder.
///
/// # Errors
/// [`UnixFsError`].
pub fn find(source: impl Source, folder: &Cid, name: &str) -> Result<Option<Entry>, UnixFsError> {
    find_in(&source, folder, name)
}

fn find_in(source: &dyn Source, folder: &Cid, name: &str) -> Result<Option<Entry>, UnixFsError> {
    let mut shard = match Node::load(source, folder)? {
        Node::Folder(links) => {
            let link = links.into_iter().find(|link| link.name.as_deref() == Some(name));
            return Ok(link.map(entry));
        }
        Node::Shard(shard) => shard,
        other => return Err(not_a_folder(folder, &other)),
    };
    let hash = hamt::hash(name);
    for depth in 0.. {
        let place = hamt::place(hash, shard.bits, depth);
        let Some(slot) = place.and_then(|place| shard.slot(place)) else { break };
        let Slot { name: here, cid, tsize, .. } = slot.clone();
        match here {
            None => shard = load_shard(source, &cid, shard.bits)?,
            Some(here) if here == name => return Ok(Some(Entry { name: here, cid, tsize })),
            Some(_) => break,
        }
    }
    Ok(None)
}

/// The entries of a folder, in the order in which they are in it: of names, or of the hashes of names where it is sharded.
///
/// # Errors
/// [`UnixFsError`]; of shards further below when they are reached.
pub fn list<S: Source>(source: S, folder: &Cid) -> Result<Entries<S>, UnixFsError> {
    let node = Node::load(&source, folder)?;
    list_node(source, folder, node)
}

/// [`list`] of a folder that has been read.
pub(super) fn list_node<S: Source>(source: S, folder: &Cid, node: Node) -> Result<Entries<S>, UnixFsError> {
    let level = match node {
        Node::Folder(links) => Level::Links(links.into_iter()),
        Node::Shard(shard) => Level::Shard { bits: shard.bits, path: Vec::new(), slots: shard.slots.into_iter() },
        other => return Err(not_a_folder(folder, &other)),
    };
    Ok(Entries { source, folder: *folder, levels: vec![level] })
}

/// The entries of a folder. Ends after an error.
pub struct Entries<S> {
    source: S,
    folder: Cid,
    levels: Vec<Level>,
}

enum Level {
    Links(IntoIter<PbLink>),
    Shard { bits: u32, path: Vec<u64>, slots: IntoIter<Slot> },
}

impl<S: Source> Entries<S> {
    fn advance(&mut self) -> Result<Option<Entry>, UnixFsError> {
        while let Some(level) = self.levels.last_mut() {
            match level {
                Level::Links(links) => match links.next() {
                    Some(link) => return Ok(Some(entry(link))),
                    None => self.levels.pop(),
                },
                Level::Shard { bits, path, slots } => match slots.next() {
                    None => self.levels.pop(),
                    Some(Slot { place, name: Some(name), cid, tsize }) => {
                        // Were names not where they belong, a few blocks could be a folder of endlessly many.
                        let hash = hamt::hash(&name);
                        let mut places = path.iter().chain([&place]).enumerate();
                        if places.any(|(depth, place)| hamt::place(hash, *bits, depth) != Some(*place)) {
                            return Err(UnixFsError::node(&self.folder, format!("{name:?} is in a wrong shard")));
                        }
                        return Ok(Some(Entry { name, cid, tsize }));
                    }
                    Some(Slot { place, name: None, cid, .. }) => {
                        let (bits, path) = (*bits, [&path[..], &[place]].concat());
                        if hamt::place(0, bits, path.len()).is_none() {
                            return Err(UnixFsError::Depth { cid: Box::new(cid), limit: path.len() });
                        }
                        let shard = load_shard(&self.source, &cid, bits)?;
                        self.levels.push(Level::Shard { bits, path, slots: shard.slots.into_iter() });
                        None
                    }
                },
            };
        }
        Ok(None)
    }
}

impl<S: Source> Iterator for Entries<S> {
    type Item = Result<Entry, UnixFsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.levels.clear();
        }
        next.transpose()
    }
}

/// A shard below another. An empty one has no reason to be there.
fn load_shard(source: &dyn Source, cid: &Cid, bits: u32) -> Result<Shard, UnixFsError> {
    match Node::load(source, cid)? {
        Node::Shard(shard) if shard.bits == bits && !shard.slots.is_empty() => Ok(shard),
        _ => Err(UnixFsError::node(cid, "this is no shard that belongs below that above it")),
    }
}

fn entry(link: PbLink) -> Entry {
    Entry { name: link.name.unwrap_or_default(), cid: link.cid, tsize: link.tsize }
}

fn not_a_folder(cid: &Cid, node: &Node) -> UnixFsError {
    UnixFsError::Kind { cid: Box::new(*cid), expected: "folder", actual: node.kind() }
}
