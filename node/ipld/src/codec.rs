//! What is in a block, and where it links to.
//!
//! | Codec | Code | Holds |
//! |---|---|---|
//! | raw | 0x55 | bytes |
//! | dag-pb | 0x70 | links with names and sizes, and bytes: files and folders of UnixFS |
//! | dag-cbor | 0x71 | anything of [`Ipld`]: chains, and data in general |

use crate::hash::Cid;

pub mod dag_cbor;
pub mod dag_pb;

/// How the bytes of a block are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Codec {
    Raw,
    DagPb,
    DagCbor,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Raw, Self::DagPb, Self::DagCbor];

    /// Its code.
    pub fn code(self) -> u64 {
        match self {
            Self::Raw => 0x55,
            Self::DagPb => 0x70,
            Self::DagCbor => 0x71,
        }
    }

    /// The codec of a code.
    pub fn by_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.code() == code)
    }
}

/// A value of the data model. A map keeps the order of its entries, for whoever walks over it goes by the order in the block.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Ipld {
    Null,
    Bool(bool),
    /// From -2^64 to 2^64 - 1.
    Integer(i128),
    Float(f64),
    String(String),
    Bytes(Vec<u8>),
    List(Vec<Ipld>),
    Map(Vec<(String, Ipld)>),
    Link(Cid),
}

impl Ipld {
    /// The entry of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// An item of a list.
    pub fn at(&self, place: usize) -> Option<&Self> {
        match self {
            Self::List(items) => items.get(place),
            _ => None,
        }
    }

    /// The links in it, in order.
    pub fn links(&self) -> Vec<Cid> {
        let mut links = Vec::new();
        self.collect_links(&mut links);
        links
    }

    fn collect_links(&self, links: &mut Vec<Cid>) {
        match self {
            Self::Link(cid) => links.push(*cid),
            Self::List(items) => items.iter().for_each(|item| item.collect_links(links)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.collect_links(links)),
            _ => {}
        }
    }
}

/// Why bytes are not of a codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CodecError {
    #[error("codec {0:#x} is not known")]
    Unknown(u64),
    #[error("no dag-cbor at byte {at}: {what}")]
    DagCbor { at: usize, what: &'static str },
    #[error("no dag-pb at byte {at}: {what}")]
    DagPb { at: usize, what: &'static str },
}

/// What is in a block of a CID.
///
/// # Errors
/// [`CodecError`].
pub fn decode(cid: &Cid, bytes: &[u8]) -> Result<Ipld, CodecError> {
    match Codec::by_code(cid.codec()) {
        Some(Codec::Raw) => Ok(Ipld::Bytes(bytes.to_vec())),
        Some(Codec::DagPb) => Ok(dag_pb::PbNode::decode(bytes)?.into_ipld()),
        Some(Codec::DagCbor) => dag_cbor::decode(bytes),
        None => Err(CodecError::Unknown(cid.codec())),
    }
}

/// Where a block of a CID links to, in order, repetitions included.
///
/// # Errors
/// [`CodecError`].
pub fn links(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, CodecError> {
    match Codec::by_code(cid.codec()) {
        Some(Codec::Raw) => Ok(Vec::new()),
        Some(Codec::DagPb) => Ok(dag_pb::PbNode::decode(bytes)?.links.into_iter().map(|link| link.cid).collect()),
        Some(Codec::DagCbor) => Ok(dag_cbor::decode(bytes)?.links()),
        None => Err(CodecError::Unknown(cid.codec())),
    }
}
