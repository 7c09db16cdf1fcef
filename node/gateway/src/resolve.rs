//! Where a path leads to, and by which blocks: a client that has them sees that it leads there.
//!
//! | Block | A name is that of |
//! |---|---|
//! | UnixFS folder, sharded or not | what is in it; the shards on the way count as blocks of the path |
//! | dag-pb of something else | a link |
//! | dag-cbor | an entry of a map, or the place of an item of a list; links are followed where they are met |
//!
//! Symbolic links are not followed, and a path ends at a block.
//!
//! Source: the path gateway specification, "Traversing remaining path".

use std::cell::RefCell;

use filecash_ipld::codec::dag_pb::PbNode;
use filecash_ipld::codec::{Codec, dag_cbor};
use filecash_ipld::hash::inlined;
use filecash_ipld::store::StoreError;
use filecash_ipld::unixfs::{Source, UnixFsError, folder};
use filecash_ipld::{Cid, Ipld};

use crate::blocks::Blocks;
use crate::refusal::Refusal;

/// A path that leads somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The blocks on the way, in order, without that at the end and without those that CIDs hold.
    pub way: Vec<Cid>,
    /// The root, and what each name leads to, as far as that is a block of its own.
    pub roots: Vec<Cid>,
    /// What is at the end.
    pub end: Cid,
}

/// Follows a path. What is at its end is there.
///
/// # Errors
/// [`Refusal`].
pub fn resolve(blocks: &Blocks, root: &Cid, path: &[String]) -> Result<Resolved, Refusal> {
    let recorder = Recorder { blocks, way: RefCell::default() };
    let (mut end, mut roots, mut names) = (*root, vec![*root], path);
    while !names.is_empty() {
        let (cid, taken) = recorder.step(&end, names)?;
        end = cid;
        roots.push(cid);
        names = &names[taken..];
    }
    if !blocks.has(&end)? {
        return Err(Refusal::NotHere(Box::new(end)));
    }
    Ok(Resolved { way: recorder.way.into_inner(), roots, end })
}

/// Blocks, and what was asked for of them.
struct Recorder<'a> {
    blocks: &'a Blocks,
    way: RefCell<Vec<Cid>>,
}

impl Source for &Recorder<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        if inlined(cid).is_none() {
            self.way.borrow_mut().push(*cid);
        }
        self.blocks.get(cid)
    }
}

impl Recorder<'_> {
    /// To the next block: which one, and how many names lead to it.
    fn step(&self, cid: &Cid, names: &[String]) -> Result<(Cid, usize), Refusal> {
        let Some(name) = names.first() else { return Ok((*cid, 0)) };
        match Codec::by_code(cid.codec()) {
            Some(Codec::DagPb) => self.in_folder(cid, name).map(|cid| (cid, 1)),
            Some(Codec::DagCbor) => self.in_value(cid, names),
            Some(Codec::Raw) => {
                // That it is not here goes before what it is.
                self.block(cid)?.ok_or_else(|| Refusal::NotHere(Box::new(*cid)))?;
                Err(Refusal::NoFolder { cid: Box::new(*cid), name: name.clone(), actual: "file" })
            }
            None => Err(Refusal::Codec { cid: Box::new(*cid), codec: cid.codec() }),
        }
    }

    fn in_folder(&self, cid: &Cid, name: &str) -> Result<Cid, Refusal> {
        let no_name = || Refusal::NoName { cid: Box::new(*cid), name: name.to_owned() };
        match folder::find(self, cid, name) {
            Ok(found) => found.map(|entry| entry.cid).ok_or_else(no_name),
            Err(UnixFsError::Missing(missing)) => Err(Refusal::NotHere(missing)),
            Err(UnixFsError::Store(error)) => Err(error.into()),
            Err(UnixFsError::Kind { cid, actual, .. }) => Err(Refusal::NoFolder { cid, name: name.to_owned(), actual }),
            // It is of another program, and its links may have names all the same.
            Err(UnixFsError::Node { cid: strange, .. }) if *strange == *cid => {
                let links =
                    self.blocks.get(cid)?.and_then(|bytes| PbNode::decode(&bytes).ok()).unwrap_or_default().links;
                let link = links.into_iter().find(|link| link.name.as_deref() == Some(name));
                link.map(|link| link.cid).ok_or_else(no_name)
            }
            Err(_) => Err(no_name()),
        }
    }

    fn in_value(&self, cid: &Cid, names: &[String]) -> Result<(Cid, usize), Refusal> {
        let bytes = self.block(cid)?.ok_or_else(|| Refusal::NotHere(Box::new(*cid)))?;
        let Ok(value) = dag_cbor::decode(&bytes) else {
            let name = names.first().cloned().unwrap_or_default();
            return Err(Refusal::NoFolder { cid: Box::new(*cid), name, actual: "block that is not of its codec" });
        };
        let mut value = &value;
        for (place, name) in names.iter().enumerate() {
            let child = match value {
                Ipld::List(items) => decimal(name).and_then(|place| items.get(place)),
                value => value.get(name),
            };
            let no_name = || Refusal::NoName { cid: Box::new(*cid), name: name.clone() };
            value = child.ok_or_else(no_name)?;
            if let Ipld::Link(cid) = value {
                return Ok((*cid, place + 1));
            }
        }
        Err(Refusal::WithinBlock(Box::new(*cid)))
    }
}

/// A place in a list, in the one way to write it.
fn decimal(name: &str) -> Option<usize> {
    name.parse().ok().filter(|place: &usize| place.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use filecash_ipld::Block;
    use filecash_ipld::codec::dag_pb::PbLink;
    use filecash_ipld::hash::HashKind;
    use filecash_ipld::store::{BlockStore, MemoryStore};
    use std::sync::Arc;

    fn kept(store: &MemoryStore, codec: Codec, bytes: Vec<u8>) -> Cid {
        let block = Block::new(HashKind::Sha256, codec, bytes).unwrap();
        store.put(std::slice::from_ref(&block)).unwrap();
        *block.cid()
    }

    fn names(path: &str) -> Vec<String> {
        path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn values_and_strange_nodes_are_gone_through() {
        let store = MemoryStore::default();
        let leaf = kept(&store, Codec::Raw, b"leaf".to_vec());
        let link = |name: &str| PbLink { cid: leaf, name: Some(name.to_owned()), tsize: None };
        // No data, so nothing of UnixFS.
        let strange = kept(&store, Codec::DagPb, PbNode { links: vec![link("x")], data: None }.encode());
        let inline = HashKind::Identity.cid(0x71, &dag_cbor::encode(&Ipld::List(vec![Ipld::Link(leaf)]))).unwrap();
        let value = Ipld::Map(vec![
            ("a".to_owned(), Ipld::List(vec![Ipld::Null, Ipld::Map(vec![("b".to_owned(), Ipld::Link(strange))])])),
            ("i".to_owned(), Ipld::Link(inline)),
            ("n".to_owned(), Ipld::Integer(7)),
        ]);
        let root = kept(&store, Codec::DagCbor, dag_cbor::encode(&value));
        let not_cbor = Cid::new_v1(0x71, *leaf.hash());
        let blocks = Blocks::new(Arc::new(store), 1 << 20);
        let found = resolve(&blocks, &root, &names("a/1/b/x")).unwrap();
        assert_eq!(found, Resolved { way: vec![root, strange], roots: vec![root, strange, leaf], end: leaf });
        // What a CID holds is on the way and no block.
        let found = resolve(&blocks, &root, &names("i/0")).unwrap();
        assert_eq!(found, Resolved { way: vec![root], roots: vec![root, inline, leaf], end: leaf });
        let found = resolve(&blocks, &root, &[]).unwrap();
        assert_eq!(found, Resolved { way: vec![], roots: vec![root], end: root });

        let absent: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().unwrap();
        let json = Cid::new_v1(0x129, *leaf.hash());
        for (root, path, status, message) in [
            (root, "a", 501, "ends within"),
            (root, "a/1", 501, "ends within"),
            (root, "n", 501, "ends within"),
            (root, "a/01/b", 404, "by the name of \"01\""),
            (root, "a/2", 404, "by the name of \"2\""),
            (root, "n/x", 404, "by the name of \"x\""),
            (root, "z\n", 404, "by the name of \"z\\n\""),
            (strange, "y", 404, "by the name of \"y\""),
            (leaf, "y", 404, "is a file"),
            (absent, "", 404, "is not here"),
            (absent, "y", 404, "is not here"),
            (json, "y", 501, "0x129"),
            (not_cbor, "y", 404, "not of its codec"),
        ] {
            let refusal = resolve(&blocks, &root, &names(path)).unwrap_err();
            assert_eq!(refusal.status(), status, "{root} {path}: {refusal}");
            assert!(refusal.to_string().contains(message), "{refusal}");
        }
    }
}
