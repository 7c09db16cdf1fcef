//! Arrays of values in blocks: the AMT in its first layout, in which headers name messages and receipts.
//!
//! ```text
//! root = [height, count, node]
//! node = [bitmap of one byte, links, values]        bit i, from the lowest: whether slot i of the eight is used
//! ```
//!
//! A node at height 0 has values, one above has links to nodes, and slot `i` of a node at height `h` spans 8^h places. An array that was
//! built from a list has no gaps; those of actors may have some.
//!
//! This is written here rather than taken from `fvm_ipld_amt`, which has a `Cid` of its own width, a second dag-cbor and a second store, for
//! what is the size of this file.
//!
//! Source: `spec/chain.md` 5.

use filecash_ipld::codec::dag_cbor;
use filecash_ipld::store::BlockStore;
use filecash_ipld::{Block, Cid, Ipld};

use crate::object::{Object, block_of, tuple};
use crate::read::{ReadError, no_node, read};

const WIDTH: usize = 8;
/// The greatest height whose places have numbers of 64 bits.
const MAX_HEIGHT: u64 = 20;

struct Root {
    height: u64,
    count: u64,
    node: Node,
}
tuple!(Root { height, count, node });

struct Node {
    bitmap: Vec<u8>,
    links: Vec<Cid>,
    values: Vec<Ipld>,
}
tuple!(Node { bitmap, links, values });

impl Node {
    /// That of the first slots.
    fn dense(links: Vec<Cid>, values: Vec<Ipld>) -> Self {
        let used = links.len().max(values.len());
        Self { bitmap: vec![((1_u16 << used) - 1) as u8], links, values }
    }
}

/// The root of the array of some values, and its blocks, the root's last.
pub fn build(values: impl IntoIterator<Item = Ipld>) -> (Cid, Vec<Block>) {
    let values: Vec<Ipld> = values.into_iter().collect();
    let count = values.len() as u64;
    let mut level: Vec<Node> = chunks(values).map(|values| Node::dense(Vec::new(), values)).collect();
    let (mut blocks, mut height) = (Vec::new(), 0);
    while level.len() > 1 {
        let first = blocks.len();
        blocks.extend(level.iter().map(Object::to_block));
        let links = blocks[first..].iter().map(|block: &Block| *block.cid()).collect();
        level = chunks(links).map(|links| Node::dense(links, Vec::new())).collect();
        height += 1;
    }
    let node = level.pop().unwrap_or_else(|| Node::dense(Vec::new(), Vec::new()));
    let root = block_of(dag_cbor::encode(&Root { height, count, node }.to_ipld()));
    let cid = *root.cid();
    blocks.push(root);
    (cid, blocks)
}

fn chunks<T>(items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || Some(items.by_ref().take(WIDTH).collect::<Vec<T>>()).filter(|chunk| !chunk.is_empty()))
}

/// The values of an array with their places, in order, of which there may be so many.
///
/// # Errors
/// [`ReadError`].
pub fn entries<T: Object>(
    store: &(impl BlockStore + ?Sized),
    root: &Cid,
    limit: usize,
) -> Result<Vec<(u64, T)>, ReadError> {
    let Root { height, count, node } = read(store, root)?;
    if count > limit as u64 {
        return Err(ReadError::TooMany(limit));
    }
    if height > MAX_HEIGHT {
        return no_node(root, "it is too high");
    }
    let mut walk = Walk { store, limit: count as usize, entries: Vec::new() };
    // An empty root is the only node that may have nothing.
    if count > 0 || !node.bitmap.iter().all(|byte| *byte == 0) {
        walk.node(root, node, height, 0)?;
    }
    if walk.entries.len() as u64 != count {
        return no_node(root, "it has not as many values as it says");
    }
    Ok(walk.entries)
}

/// The values of an array without gaps.
///
/// # Errors
/// As [`entries`].
pub fn values<T: Object>(store: &(impl BlockStore + ?Sized), root: &Cid, limit: usize) -> Result<Vec<T>, ReadError> {
    let entries = entries(store, root, limit)?;
    if entries.last().is_some_and(|(place, _)| *place as usize != entries.len() - 1) {
        return no_node(root, "it has gaps");
    }
    Ok(entries.into_iter().map(|(_, value)| value).collect())
}

struct Walk<'a, S: ?Sized, T> {
    store: &'a S,
    limit: usize,
    entries: Vec<(u64, T)>,
}

impl<S: BlockStore + ?Sized, T: Object> Walk<'_, S, T> {
    /// Since no node is empty and every leaf has a value, the limit on values bounds the nodes that are read.
    fn node(&mut self, cid: &Cid, node: Node, height: u64, first: u64) -> Result<(), ReadError> {
        let [bitmap] = node.bitmap[..] else { return no_node(cid, "its bitmap is not one byte") };
        let used = bitmap.count_ones() as usize;
        let (filled, other) =
            if height == 0 { (node.values.len(), node.links.len()) } else { (node.links.len(), node.values.len()) };
        if used == 0 || filled != used || other != 0 {
            return no_node(cid, "its bitmap does not go with what it has");
        }
        let slots = (0..WIDTH as u64).filter(|slot| bitmap >> slot & 1 == 1);
        if height == 0 {
            for (slot, value) in slots.zip(node.values) {
                if self.entries.len() == self.limit {
                    return Err(ReadError::TooMany(self.limit));
                }
                let value = T::from_ipld(value).map_err(|source| ReadError::Object { cid: Box::new(*cid), source })?;
                self.entries.push((first + slot, value));
            }
            return Ok(());
        }
        for (slot, link) in slots.zip(node.links) {
            let node = read(self.store, &link)?;
            self.node(&link, node, height - 1, first + (slot << (3 * height)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filecash_ipld::store::MemoryStore;

    fn kept(count: u64) -> (MemoryStore, Cid, usize) {
        let store = MemoryStore::default();
        let (root, blocks) = build((0..count).map(|value| Ipld::Integer(value.into())));
        store.put(&blocks).unwrap();
        (store, root, blocks.len())
    }

    #[test]
    fn arrays_are_read_as_built() {
        for (count, blocks) in [(0, 1), (1, 1), (8, 1), (9, 3), (64, 9), (65, 12), (513, 77)] {
            let (store, root, built) = kept(count);
            assert_eq!(built, blocks, "{count}");
            assert_eq!(values::<u64>(&store, &root, 600).unwrap(), (0..count).collect::<Vec<_>>());
        }
        let (store, root, _) = kept(9);
        assert!(matches!(values::<u64>(&store, &root, 8), Err(ReadError::TooMany(8))));
        assert!(matches!(values::<String>(&store, &root, 9), Err(ReadError::Object { .. })));
        assert!(matches!(values::<u64>(&MemoryStore::default(), &root, 9), Err(ReadError::Missing(_))));
    }

    /// By hand: `[1, 2, [h'05', [link, link], []]]`, and what is wrong with others.
    #[test]
    fn gaps_are_places_without_values() {
        let store = MemoryStore::default();
        let keep = |value: Ipld| {
            let block = value.to_block();
            store.put(std::slice::from_ref(&block)).unwrap();
            *block.cid()
        };
        let node = |bitmap: u8, links: Vec<Cid>, values: Vec<u64>| Node {
            bitmap: vec![bitmap],
            links,
            values: values.iter().map(Object::to_ipld).collect(),
        };
        let leaf = keep(node(0x82, vec![], vec![7, 8]).to_ipld());
        let root = |height, count, node: Node| keep(Root { height, count, node }.to_ipld());
        let gaps = root(1, 4, node(5, vec![leaf, leaf], vec![]));
        assert_eq!(entries::<u64>(&store, &gaps, 9).unwrap(), [(1, 7), (7, 8), (17, 7), (23, 8)]);
        assert!(values::<u64>(&store, &gaps, 9).unwrap_err().to_string().contains("gaps"));
        for (wrong, what) in [
            (root(1, 5, node(5, vec![leaf, leaf], vec![])), "as many"),
            (root(1, 4, node(7, vec![leaf, leaf], vec![])), "bitmap"),
            (root(0, 2, node(5, vec![leaf, leaf], vec![])), "bitmap"),
            (root(1, 1, node(1, vec![], vec![7])), "bitmap"),
            (root(0, 0, node(1, vec![], vec![])), "bitmap"),
            (root(0, 1, node(0, vec![], vec![])), "bitmap"),
            (root(21, 1, node(1, vec![leaf], vec![])), "too high"),
            (root(1, 3, node(5, vec![leaf, leaf], vec![])), "more than 3"),
        ] {
            let error = entries::<u64>(&store, &wrong, 9).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
