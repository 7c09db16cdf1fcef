//! Messages of bitswap.
//!
//! ```text
//! Message  = { 1: Wantlist, 2: repeated bytes (1.0.0: bytes of blocks), 3: repeated Block, 4: repeated Presence, 5: pending bytes int32 }
//! Wantlist = { 1: repeated Entry, 2: full bool }
//! Entry    = { 1: CID, 2: priority int32, 3: cancel bool, 4: block 0 or have 1, 5: send-dont-have bool }
//! Block    = { 1: prefix, 2: data }        Presence = { 1: CID, 2: have 0 or don't have 1 }
//! ```
//! A wantlist is always written, be it empty, as Go's programs do it. Only version 1.2.0 asks and tells whether a block is there. Version
//! 1.0.0 sends the bytes of a block alone, and who receives them takes them for those of a CIDv0.
//!
//! Source: `spec/network.md` 12.

use super::{WireError, push, read_block, write_block, wrong};
use crate::block::{self, Block};
use crate::hash::{self, HashKind};
use crate::protobuf::{Fields, write_bool, write_bytes, write_int32};
use crate::{Cid, codec};

/// Which messages a peer understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Version {
    V1_0_0,
    V1_1_0,
    V1_2_0,
}

impl Version {
    /// All of them, the one to ask for first in front.
    pub const ALL: [Self; 3] = [Self::V1_2_0, Self::V1_1_0, Self::V1_0_0];

    /// The id of its protocol. `/ipfs/bitswap` alone is that of an older 1.0.0.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::V1_0_0 => "/ipfs/bitswap/1.0.0",
            Self::V1_1_0 => "/ipfs/bitswap/1.1.0",
            Self::V1_2_0 => "/ipfs/bitswap/1.2.0",
        }
    }
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What the sender wants, or does not want any more.
    pub wants: Vec<Want>,
    /// Whether that is all it wants, and takes the place of what it wanted before.
    pub full: bool,
    /// Blocks.
    pub blocks: Vec<Block>,
    /// Whether blocks are there.
    pub presences: Vec<Presence>,
    /// How many bytes the sender has yet to send.
    pub pending_bytes: i32,
}

/// A block that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its name.
    pub cid: Cid,
    /// Higher ones first.
    pub priority: i32,
    /// Whether it is not wanted any more.
    pub cancel: bool,
    /// What of it.
    pub kind: WantKind,
    /// Whether to say so where it is not there.
    pub send_dont_have: bool,
}

/// What of a block is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum WantKind {
    #[default]
    Block,
    /// Whether it is there.
    Have,
}

/// Whether a block is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Presence {
    pub cid: Cid,
    pub have: bool,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut message = Self::default();
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => message.read_wantlist(field.bytes()?)?,
                2 => push(&mut message.blocks, bare_block(field.bytes()?)?, "blocks")?,
                3 => push(&mut message.blocks, read_block(field.bytes()?)?, "blocks")?,
                4 => push(&mut message.presences, Presence::decode(field.bytes()?)?, "presences")?,
                5 => message.pending_bytes = field.int32()?,
                _ => {}
            }
        }
        Ok(message)
    }

    fn read_wantlist(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => push(&mut self.wants, Want::decode(field.bytes()?)?, "wants")?,
                2 => self.full = field.bool()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The bytes of a message, for a peer of a version.
    ///
    /// # Errors
    /// [`WireError`] for what that version cannot say.
    pub fn encode(&self, version: Version) -> Result<Vec<u8>, WireError> {
        self.check(version)?;
        let (mut bytes, mut wantlist) = (Vec::new(), Vec::new());
        for want in &self.wants {
            write_bytes(1, &want.encode(), &mut wantlist);
        }
        write_bool(2, self.full, &mut wantlist);
        write_bytes(1, &wantlist, &mut bytes);
        for block in &self.blocks {
            match version {
                Version::V1_0_0 => write_bytes(2, block.bytes(), &mut bytes),
                _ => write_block(3, block, &mut bytes),
            }
        }
        for presence in &self.presences {
            write_bytes(4, &presence.encode(), &mut bytes);
        }
        write_int32(5, self.pending_bytes, &mut bytes);
        Ok(bytes)
    }

    fn check(&self, version: Version) -> Result<(), WireError> {
        let refuse = |what| Err(WireError::Unsupported { protocol: version.protocol(), what });
        let asks = self.wants.iter().any(|want| want.kind == WantKind::Have || want.send_dont_have);
        let is_bare = |block: &Block| block.cid().hash().code() == HashKind::Sha256.code();
        if version < Version::V1_2_0 && (asks || !self.presences.is_empty() || self.pending_bytes != 0) {
            return refuse("way to ask or tell what is there");
        }
        if version == Version::V1_0_0 && !self.blocks.iter().all(is_bare) {
            return refuse("hash function but sha2-256");
        }
        Ok(())
    }
}

impl Want {
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut cid = None;
        let (mut priority, mut cancel, mut kind, mut send_dont_have) = (0, false, WantKind::Block, false);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => cid = Some(read_cid(field.bytes()?)?),
                2 => priority = field.int32()?,
                3 => cancel = field.bool()?,
                4 => {
                    kind = match field.number()? {
                        0 => WantKind::Block,
                        1 => WantKind::Have,
                        _ => return wrong("a want", "of a kind that is not known"),
                    }
                }
                5 => send_dont_have = field.bool()?,
                _ => {}
            }
        }
        let cid = cid.ok_or(WireError::Missing("the CID of a want"))?;
        Ok(Self { cid, priority, cancel, kind, send_dont_have })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_bytes(1, &self.cid.to_bytes(), &mut bytes);
        write_int32(2, self.priority, &mut bytes);
        write_bool(3, self.cancel, &mut bytes);
        write_bool(4, self.kind == WantKind::Have, &mut bytes);
        write_bool(5, self.send_dont_have, &mut bytes);
        bytes
    }
}

impl Presence {
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (mut cid, mut have) = (None, true);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => cid = Some(read_cid(field.bytes()?)?),
                2 => {
                    have = match field.number()? {
                        0 => true,
                        1 => false,
                        _ => return wrong("a presence", "of a kind that is not known"),
                    }
                }
                _ => {}
            }
        }
        Ok(Self { cid: cid.ok_or(WireError::Missing("the CID of a presence"))?, have })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_bytes(1, &self.cid.to_bytes(), &mut bytes);
        write_bool(2, !self.have, &mut bytes);
        bytes
    }
}

fn read_cid(bytes: &[u8]) -> Result<Cid, WireError> {
    hash::parse(bytes).ok_or(WireError::Wrong { what: "a CID", problem: "none" })
}

/// A block of version 1.0.0.
fn bare_block(bytes: &[u8]) -> Result<Block, WireError> {
    if bytes.len() > block::MAX_BYTES {
        return Err(WireError::BlockTooLong(bytes.len()));
    }
    let prefix = [0, codec::Codec::DagPb.code() as u8, HashKind::Sha256.code() as u8, 32];
    Ok(Block::of_prefix(&prefix, bytes.to_vec())?)
}

#[cfg(test)]
mod tests;
