//! What is in a block of UnixFS.

use super::data::{Data, Kind, Mtime};
use super::hamt::Shard;
use super::{Source, UnixFsError};
use crate::codec::dag_pb::{PbLink, PbNode};
use crate::codec::{Codec, CodecError};
use crate::hash::Cid;

/// The most links of a node. Old folders that are not sharded have tens of thousands.
pub const MAX_LINKS: usize = 1 << 16;

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file, or a part of one.
    File(File),
    /// A folder whose names are all here.
    Folder(Vec<PbLink>),
    /// A folder, or a part of one, whose names may be further below.
    Shard(Shard),
    /// Where a symbolic link leads.
    Symlink(String),
}

/// What a block says of a file or a folder besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Who may do what, without the bits by which a program gets the rights of somebody else.
    pub mode: Option<u32>,
    /// When it was changed.
    pub mtime: Option<Mtime>,
}

impl Attributes {
    /// Zero is how some programs say that there is no mode.
    fn of(data: &Data) -> Self {
        Self { mode: data.mode.map(|mode| mode & 0o777).filter(|mode| *mode != 0), mtime: data.mtime }
    }
}

/// A file, or a part of one: the bytes that are here, then those below each link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// The bytes that are here.
    pub content: Vec<u8>,
    /// What is below.
    pub parts: Vec<Part>,
    /// Bytes of both.
    pub size: u64,
}

/// What is below a link of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The block.
    pub cid: Cid,
    /// How many bytes of the file are in it and below, as the node above says.
    pub size: u64,
}

impl Node {
    /// Reads a block.
    ///
    /// # Errors
    /// [`UnixFsError::Node`].
    pub fn decode(cid: &Cid, bytes: Vec<u8>) -> Result<Self, UnixFsError> {
        Ok(Self::decode_all(cid, bytes)?.0)
    }

    /// The same, and what else the block says.
    ///
    /// # Errors
    /// [`UnixFsError::Node`].
    pub fn decode_all(cid: &Cid, bytes: Vec<u8>) -> Result<(Self, Attributes), UnixFsError> {
        match Codec::by_code(cid.codec()) {
            Some(Codec::Raw) => {
                let file = File { size: bytes.len() as u64, content: bytes, parts: Vec::new() };
                Ok((Self::File(file), Attributes::default()))
            }
            Some(Codec::DagPb) => Self::of_dag_pb(&bytes).map_err(|what| UnixFsError::node(cid, what)),
            _ => Err(UnixFsError::node(cid, CodecError::Unknown(cid.codec()).to_string())),
        }
    }

    /// Reads the block of a source.
    ///
    /// # Errors
    /// [`UnixFsError`].
    pub fn load(source: &dyn Source, cid: &Cid) -> Result<Self, UnixFsError> {
        Ok(Self::load_all(source, cid)?.0)
    }

    /// The same, and what else the block says.
    ///
    /// # Errors
    /// [`UnixFsError`].
    pub fn load_all(source: &dyn Source, cid: &Cid) -> Result<(Self, Attributes), UnixFsError> {
        let bytes = source.block(cid)?.ok_or_else(|| UnixFsError::Missing(Box::new(*cid)))?;
        Self::decode_all(cid, bytes)
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Folder(_) | Self::Shard(_) => "folder",
            Self::Symlink(_) => "symbolic link",
        }
    }

    fn of_dag_pb(bytes: &[u8]) -> Result<(Self, Attributes), String> {
        let node = PbNode::decode(bytes).map_err(|error| error.to_string())?;
        if node.links.len() > MAX_LINKS {
            return Err(format!("it has {} links, and up to {MAX_LINKS} are read", node.links.len()));
        }
        let data = Data::decode(&node.data.ok_or("it has no data")?).map_err(|error| error.to_string())?;
        let attributes = Attributes::of(&data);
        let node = match data.kind {
            Kind::File | Kind::Raw => File::new(data, node.links).map(Self::File).map_err(str::to_owned),
            Kind::Directory => Ok(Self::Folder(node.links)),
            Kind::HamtShard => Shard::new(data, node.links).map(Self::Shard),
            Kind::Symlink => match String::from_utf8(data.data.unwrap_or_default()) {
                Ok(target) => Ok(Self::Symlink(target)),
                Err(_) => Err("the target of a symbolic link is not UTF-8".to_owned()),
            },
            Kind::Metadata => Err("it is metadata, which nothing is made of".to_owned()),
        };
        Ok((node?, attributes))
    }
}

impl File {
    fn new(data: Data, links: Vec<PbLink>) -> Result<Self, &'static str> {
        if data.blocksizes.len() != links.len() {
            return Err("it does not have a block size for each link");
        }
        let parts = links.into_iter().zip(data.blocksizes).map(|(link, size)| Part { cid: link.cid, size });
        let file = Self { content: data.data.unwrap_or_default(), parts: parts.collect(), size: 0 };
        let here = file.content.len() as u64;
        let size = file.parts.iter().try_fold(here, |sum, part| sum.checked_add(part.size));
        match size {
            None => Err("its block sizes are too large"),
            Some(size) if data.filesize.is_some_and(|said| said != size) => {
                Err("its size is not the sum of its block sizes")
            }
            Some(size) => Ok(Self { size, ..file }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashKind;

    fn file(data: Data, links: usize) -> Result<Node, UnixFsError> {
        let cid = HashKind::Sha256.cid(0x55, b"").unwrap();
        let links = vec![PbLink { cid, name: None, tsize: None }; links];
        let bytes = PbNode { links, data: Some(data.encode()) }.encode();
        Node::decode(&HashKind::Sha256.cid(0x70, &bytes).unwrap(), bytes)
    }

    #[test]
    fn sizes_that_contradict_each_other_are_refused() {
        let data = |filesize, blocksizes: &[u64]| Data {
            filesize,
            blocksizes: blocksizes.to_vec(),
            data: Some(b"ab".to_vec()),
            ..Data::new(Kind::File)
        };
        assert!(matches!(file(data(Some(9), &[3, 4]), 2), Ok(Node::File(File { size: 9, .. }))));
        assert!(matches!(file(data(None, &[3, 4]), 2), Ok(Node::File(File { size: 9, .. }))));
        for (data, links, what) in [
            (data(Some(9), &[3, 4]), 1, "for each link"),
            (data(Some(9), &[9]), 0, "for each link"),
            (data(Some(8), &[3, 4]), 2, "not the sum"),
            (data(None, &[u64::MAX]), 1, "too large"),
            (Data::new(Kind::Metadata), 0, "metadata"),
            (Data { data: Some(vec![0xff]), ..Data::new(Kind::Symlink) }, 0, "not UTF-8"),
            (data(None, &[]), MAX_LINKS + 1, "links, and up to"),
        ] {
            let error = file(data, links).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn blocks_of_other_codecs_are_no_files() {
        let cbor = HashKind::Sha256.cid(0x71, &[0xa0]).unwrap();
        assert!(Node::decode(&cbor, vec![0xa0]).unwrap_err().to_string().contains("0x71"));
        let empty = HashKind::Sha256.cid(0x70, b"").unwrap();
        assert!(Node::decode(&empty, Vec::new()).unwrap_err().to_string().contains("no data"));
    }
}
