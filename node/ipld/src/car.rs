//! CAR files: blocks one after the other, with the CIDs from which to begin.
//!
//! ```text
//! v1      = header ‖ section*                 header  = varint length ‖ dag-cbor {"roots": [CID…], "version": 1}
//!                                             section = varint length ‖ CID ‖ bytes of the block
//! v2      = pragma ‖ head ‖ … ‖ v1 ‖ … ‖ index
//! pragma  = 0a a1 67 "version" 02
//! head    = characteristics 16 bytes ‖ data offset u64 ‖ data size u64 ‖ index offset u64, little-endian
//! ```
//!
//! The top bit of the characteristics, bit 7 of their first byte, says that the index knows all sections, those of identity CIDs too.
//! Offsets of the head count from the pragma on; an index offset of zero means that there is none. While a v2 is written its head is zero.
//!
//! | Limit | |
//! |---|---|
//! | [`MAX_HEADER_BYTES`] | of a header: 27 000 roots |
//! | [`CarOptions::max_section_bytes`] | of a section, CID included: 8 MiB unless set, as in go-car |
//! | [`MAX_INDEXED`] | of sections in an index that is made in memory, 40 bytes each |
//!
//! - [`CarReader`] reads sections in order from any [`Read`](std::io::Read).
//! - [`CarStore`] finds blocks in a file, by its index or one that it makes.
//! - [`CarWriter`] writes v1, [`IndexedCarWriter`] v2.
//!
//! Source: the CAR specifications of ipld.io; `spec/network.md` 13.1; for the index go-car, see `index.rs`.

use std::io;

use crate::codec::{Ipld, dag_cbor};
use crate::hash::{Cid, HashError};
use crate::varint;

mod index;
mod read;
mod store;
mod write;

pub use index::{IndexKind, MAX_INDEXED};
pub use read::CarReader;
pub use store::CarStore;
pub use write::{CarWriter, IndexedCarWriter};

/// The most bytes of a header.
pub const MAX_HEADER_BYTES: u64 = 1 << 20;
/// What a v2 begins with: a header without roots.
pub const PRAGMA: [u8; 11] = *b"\x0a\xa1\x67version\x02";

const HEAD_BYTES: usize = 40;
const FULLY_INDEXED: u8 = 1 << 7;
/// The most bytes of a section's length and CID.
const SECTION_HEAD_BYTES: usize = varint::MAX_BYTES + 4 * varint::MAX_BYTES + crate::hash::MAX_DIGEST;

/// How a CAR is read.
#[derive(Debug, Clone)]
pub struct CarOptions {
    /// Whether blocks are checked against their CIDs. Without it, their hash functions need not be known either.
    pub verify: bool,
    /// Whether zeros may follow the last section, as in a piece.
    pub allow_padding: bool,
    /// The most bytes of a section.
    pub max_section_bytes: u64,
}

impl Default for CarOptions {
    fn default() -> Self {
        Self { verify: true, allow_padding: false, max_section_bytes: 8 << 20 }
    }
}

/// Why bytes are no CAR, or not one that is read. Places count from the first byte.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CarError {
    #[error("no CAR: at byte {at}, {what}")]
    Syntax { at: u64, what: &'static str },
    #[error("CAR version {0} is not known")]
    Version(i128),
    #[error("the CAR has {length} bytes at byte {at} where at most {limit} are read")]
    TooLong { at: u64, length: u64, limit: u64 },
    #[error("the CAR ends at byte {at}, before its time")]
    Truncated { at: u64 },
    #[error("the block of the section at byte {at} is not that of its CID")]
    Block { at: u64, source: HashError },
    #[error("the index of the CAR at byte {at}: {what}")]
    Index { at: u64, what: &'static str },
    #[error("the CAR has more than {MAX_INDEXED} sections, which no index made here has")]
    TooMany,
    #[error("the CAR at byte {at}")]
    Io { at: u64, source: io::Error },
}

impl CarError {
    /// What a failure to read means.
    fn io(at: u64, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated { at },
            _ => Self::Io { at, source },
        }
    }
}

/// A header with its length in front.
fn encode_header(roots: &[Cid]) -> Vec<u8> {
    let roots = Ipld::List(roots.iter().map(|root| Ipld::Link(*root)).collect());
    let header = Ipld::Map(vec![("roots".to_owned(), roots), ("version".to_owned(), Ipld::Integer(1))]);
    let header = dag_cbor::encode(&header);
    let mut bytes = Vec::with_capacity(header.len() + varint::MAX_BYTES);
    varint::write(header.len() as u64, &mut bytes);
    bytes.extend(header);
    bytes
}

/// The roots of a v1; none of the pragma of a v2. The header is at a place in the file, its length not included.
fn decode_header(bytes: &[u8], at: u64) -> Result<Option<Vec<Cid>>, CarError> {
    let wrong = |what| CarError::Syntax { at, what };
    let Ok(Ipld::Map(entries)) = dag_cbor::decode(bytes) else { return Err(wrong("a header that is no map")) };
    let (mut version, mut roots) = (None, None);
    for (key, value) in entries {
        match (&key[..], value) {
            ("version", Ipld::Integer(number)) => version = Some(number),
            ("roots", Ipld::List(items)) => {
                let links = items.into_iter().map(|item| if let Ipld::Link(cid) = item { Some(cid) } else { None });
                roots = Some(links.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("a root that is no CID"))?);
            }
            _ => return Err(wrong("an entry that a header does not have")),
        }
    }
    match (version, roots) {
        (Some(1), Some(roots)) => Ok(Some(roots)),
        (Some(2), None) => Ok(None),
        (Some(1), None) => Err(wrong("a header without roots")),
        (Some(2), Some(_)) => Err(wrong("a pragma with roots")),
        (Some(other), _) => Err(CarError::Version(other)),
        (None, _) => Err(wrong("a header without a version")),
    }
}

/// The head of a v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Whether the index knows all sections, those of identity CIDs too.
    pub fully_indexed: bool,
    /// Where the v1 is in it.
    pub data_offset: u64,
    /// How long the v1 is.
    pub data_size: u64,
    /// Where the index is; zero where there is none.
    pub index_offset: u64,
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = if self.fully_indexed { FULLY_INDEXED } else { 0 };
        bytes[16..24].copy_from_slice(&self.data_offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.data_size.to_le_bytes());
        bytes[32..].copy_from_slice(&self.index_offset.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Self, CarError> {
        let number = |at| bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let head = Self {
            fully_indexed: bytes[0] & FULLY_INDEXED != 0,
            data_offset: number(16),
            data_size: number(24),
            index_offset: number(32),
        };
        let wrong = |at: usize, what| Err(CarError::Syntax { at: (PRAGMA.len() + at) as u64, what });
        if head.data_offset == 0 && head.data_size == 0 {
            return wrong(16, "a CAR that was not written to its end");
        }
        if head.data_offset < (PRAGMA.len() + HEAD_BYTES) as u64 {
            return wrong(16, "blocks within the head");
        }
        let Some(end) = head.data_offset.checked_add(head.data_size).filter(|end| *end < 1 << 63) else {
            return wrong(24, "more blocks than there can be");
        };
        if head.index_offset != 0 && head.index_offset < end {
            return wrong(32, "an index within the blocks");
        }
        Ok(head)
    }
}

/// Whether a section has a length that is read.
fn check_section(length: u64, at: u64, options: &CarOptions) -> Result<(), CarError> {
    match length {
        0 => Err(CarError::Syntax { at, what: "a section of no bytes" }),
        length if length > options.max_section_bytes => {
            Err(CarError::TooLong { at, length, limit: options.max_section_bytes })
        }
        _ => Ok(()),
    }
}

/// The CID at the front of a section's bytes, and how long it is.
fn split_cid(section: &[u8], at: u64) -> Result<(Cid, usize), CarError> {
    crate::hash::parse_first(section).ok_or(CarError::Syntax { at, what: "a section without a CID" })
}

#[cfg(test)]
mod tests;
