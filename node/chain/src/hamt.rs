//! Maps of byte keys in blocks, to be read: the HAMT of actors.
//!
//! ```text
//! node    = [bit field, pointers]        bit field: 32 bits as big-endian bytes without leading zeros
//! pointer = {"0": link to a node} or {"1": [[key, value], …]}        from actors v2 on without the map around it
//! ```
//!
//! The path of a key is SHA-256 of it, five bits a node, highest first; pointers stand for the set bits, lowest first. A bucket holds up to
//! three entries, sorted by key.
//!
//! Written here for the reason that [`crate::amt`] is.
//!
//! Source: `spec/chain.md` 5.

use filecash_ipld::store::BlockStore;
use filecash_ipld::{Cid, Ipld};
use sha2::{Digest, Sha256};

use crate::object::{Object, list, tuple};
use crate::read::{ReadError, no_node, read};

const BITS: usize = 5;
/// Nodes below each other before a digest is used up.
const MAX_DEPTH: usize = 256 / BITS;
const BUCKET: usize = 3;

struct Node {
    bits: Vec<u8>,
    pointers: Vec<Ipld>,
}
tuple!(Node { bits, pointers });

struct Entry {
    key: Vec<u8>,
    value: Ipld,
}
tuple!(Entry { key, value });

enum Pointer {
    Node(Cid),
    Bucket(Vec<Entry>),
}

impl Node {
    fn bit_field(&self, cid: &Cid) -> Result<u32, ReadError> {
        let mut bytes = [0; 4];
        match self.bits.len().checked_sub(1) {
            Some(0..=3) if self.bits[0] != 0 => bytes[4 - self.bits.len()..].copy_from_slice(&self.bits),
            None => {}
            _ => return no_node(cid, "its bit field is not 32 bits"),
        }
        let field = u32::from_be_bytes(bytes);
        if field.count_ones() as usize != self.pointers.len() {
            return no_node(cid, "its bit field does not go with its pointers");
        }
        Ok(field)
    }
}

fn pointer(cid: &Cid, value: Ipld) -> Result<Pointer, ReadError> {
    let inner = match value {
        Ipld::Map(entries) => match <[_; 1]>::try_from(entries) {
            Ok([(name, value @ Ipld::Link(_))]) if name == "0" => value,
            Ok([(name, value @ Ipld::List(_))]) if name == "1" => value,
            _ => return no_node(cid, "a pointer is neither a link nor a bucket"),
        },
        other => other,
    };
    let bucket = match inner {
        Ipld::Link(link) => return Ok(Pointer::Node(link)),
        bucket => list(bucket).and_then(|items| items.into_iter().map(Entry::from_ipld).collect::<Result<Vec<_>, _>>()),
    };
    let bucket = bucket.map_err(|source| ReadError::Object { cid: Box::new(*cid), source })?;
    let is_sorted = bucket.windows(2).all(|pair| pair[0].key < pair[1].key);
    if bucket.is_empty() || bucket.len() > BUCKET || !is_sorted {
        return no_node(cid, "a bucket is empty, too full or not sorted");
    }
    Ok(Pointer::Bucket(bucket))
}

/// Which of a node's 32 places a key goes to.
fn place(key: &[u8], depth: usize) -> u32 {
    let digest = Sha256::digest(key);
    (0..BITS)
        .map(|bit| depth * BITS + bit)
        .fold(0, |place, bit| place << 1 | u32::from(digest[bit / 8] >> (7 - bit % 8) & 1))
}

/// The value of a key.
///
/// # Errors
/// [`ReadError`].
pub fn get<T: Object>(store: &(impl BlockStore + ?Sized), root: &Cid, key: &[u8]) -> Result<Option<T>, ReadError> {
    let mut cid = *root;
    for depth in 0..MAX_DEPTH {
        let mut node: Node = read(store, &cid)?;
        let (field, place) = (node.bit_field(&cid)?, place(key, depth));
        if field >> place & 1 == 0 {
            return Ok(None);
        }
        let before = (field & ((1 << place) - 1)).count_ones() as usize;
        match pointer(&cid, node.pointers.swap_remove(before))? {
            Pointer::Node(link) => cid = link,
            Pointer::Bucket(bucket) => {
                let value = bucket.into_iter().find(|entry| entry.key == key).map(|entry| T::from_ipld(entry.value));
                return value.transpose().map_err(|source| ReadError::Object { cid: Box::new(cid), source });
            }
        }
    }
    no_node(&cid, "it is too deep")
}

/// All keys and values, by the order of their digests, of which there may be so many.
///
/// # Errors
/// [`ReadError`].
pub fn entries<T: Object>(
    store: &(impl BlockStore + ?Sized),
    root: &Cid,
    limit: usize,
) -> Result<Vec<(Vec<u8>, T)>, ReadError> {
    let mut walk = Walk { store, limit, entries: Vec::new(), path: Vec::new() };
    walk.node(root)?;
    Ok(walk.entries)
}

struct Walk<'a, S: ?Sized, T> {
    store: &'a S,
    limit: usize,
    entries: Vec<(Vec<u8>, T)>,
    /// The places on the way to the node that is walked over.
    path: Vec<u32>,
}

impl<S: BlockStore + ?Sized, T: Object> Walk<'_, S, T> {
    /// Since a node below the root is not empty and every bucket has an entry, the limit on entries bounds the nodes that are read.
    fn node(&mut self, cid: &Cid) -> Result<(), ReadError> {
        if self.path.len() == MAX_DEPTH {
            return no_node(cid, "it is too deep");
        }
        let node: Node = read(self.store, cid)?;
        let field = node.bit_field(cid)?;
        if field == 0 && !self.path.is_empty() {
            return no_node(cid, "it is empty");
        }
        let places = (0..32).filter(|place| field >> place & 1 == 1);
        for (place, value) in places.zip(node.pointers) {
            self.path.push(place);
            match pointer(cid, value)? {
                Pointer::Node(link) => self.node(&link)?,
                Pointer::Bucket(bucket) => self.bucket(cid, bucket)?,
            }
            self.path.pop();
        }
        Ok(())
    }

    fn bucket(&mut self, cid: &Cid, bucket: Vec<Entry>) -> Result<(), ReadError> {
        for Entry { key, value } in bucket {
            if self.entries.len() == self.limit {
                return Err(ReadError::TooMany(self.limit));
            }
            if self.path.iter().enumerate().any(|(depth, expected)| place(&key, depth) != *expected) {
                return no_node(cid, "a key is where it does not belong");
            }
            let value = T::from_ipld(value).map_err(|source| ReadError::Object { cid: Box::new(*cid), source })?;
            self.entries.push((key, value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filecash_ipld::store::MemoryStore;

    fn keep(store: &MemoryStore, bits: &[u8], pointers: Vec<Ipld>) -> Cid {
        let block = Node { bits: bits.to_vec(), pointers }.to_block();
        store.put(std::slice::from_ref(&block)).unwrap();
        *block.cid()
    }

    fn bucket(keys: &[&str]) -> Ipld {
        let entry = |key: &&str| Entry { key: key.as_bytes().to_vec(), value: Ipld::String((*key).to_owned()) };
        Ipld::List(keys.iter().map(|key| entry(key).to_ipld()).collect())
    }

    fn under(name: &str, value: Ipld) -> Ipld {
        Ipld::Map(vec![(name.to_owned(), value)])
    }

    /// SHA-256 of `a` begins with the bits 11001 01010, of `b` with 00111 11000, of `c` with 00101 11001: the places 25, 7 and 5.
    #[test]
    fn both_forms_of_pointers_are_read() {
        let store = MemoryStore::default();
        assert_eq!((place(b"a", 0), place(b"a", 1), place(b"b", 0), place(b"c", 0)), (25, 10, 7, 5));
        for wrapped in [true, false] {
            let wrap = |name, value| if wrapped { under(name, value) } else { value };
            let below = keep(&store, &[0x04, 0], vec![wrap("1", bucket(&["a"]))]);
            let pointers = vec![wrap("1", bucket(&["c"])), wrap("1", bucket(&["b"])), wrap("0", Ipld::Link(below))];
            let root = keep(&store, &[2, 0, 0, 0xa0], pointers);
            let found = |key: &str| get::<String>(&store, &root, key.as_bytes()).unwrap();
            assert_eq!((found("a"), found("b"), found("d")), (Some("a".into()), Some("b".into()), None));
            let keys: Vec<_> =
                entries::<String>(&store, &root, 3).unwrap().into_iter().map(|(_, value)| value).collect();
            assert_eq!(keys, ["c", "b", "a"]);
            assert!(matches!(entries::<String>(&store, &root, 2), Err(ReadError::TooMany(2))));
            assert!(matches!(get::<u64>(&store, &root, b"a"), Err(ReadError::Object { .. })));
        }
    }

    #[test]
    fn nodes_of_other_forms_are_refused() {
        let store = MemoryStore::default();
        let a = || under("1", bucket(&["a"]));
        let empty = keep(&store, &[], vec![]);
        assert_eq!(entries::<String>(&store, &empty, 9).unwrap(), []);
        for (bits, pointers, what) in [
            (&[2, 0, 0, 0][..], vec![], "does not go with"),
            (&[1, 0, 0, 0], vec![a()], "does not belong"),
            (&[0, 2, 0, 0, 0], vec![a()], "32 bits"),
            (&[0], vec![], "32 bits"),
            (&[2, 0, 0, 0], vec![under("1", bucket(&[]))], "a bucket is"),
            (&[2, 0, 0, 0], vec![under("1", bucket(&["a", "a"]))], "a bucket is"),
            (&[2, 0, 0, 0], vec![under("1", bucket(&["a", "b", "c", "d"]))], "a bucket is"),
            (&[2, 0, 0, 0], vec![under("0", bucket(&["a"]))], "neither"),
            (&[2, 0, 0, 0], vec![under("0", Ipld::Link(empty))], "is empty"),
        ] {
            let root = keep(&store, bits, pointers);
            let error = entries::<String>(&store, &root, 9).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        // A node cannot hold itself, but a chain of nodes can be as long as one likes.
        let mut deep = keep(&store, &[2, 0, 0, 0], vec![a()]);
        for depth in (0..60).rev() {
            let bits = (1_u32 << place(b"a", depth % MAX_DEPTH)).to_be_bytes();
            let first = bits.iter().position(|byte| *byte != 0).unwrap();
            deep = keep(&store, &bits[first..], vec![under("0", Ipld::Link(deep))]);
        }
        assert!(get::<String>(&store, &deep, b"a").unwrap_err().to_string().contains("too deep"));
        assert!(entries::<String>(&store, &deep, 9).unwrap_err().to_string().contains("too deep"));
    }
}
