//! Bytes with their CID.

use crate::hash::{HashError, HashKind, PrefixError, of_prefix, verify};
use crate::{Cid, codec};

/// The most bytes of a block that is sent over a network, as bitswap has it.
pub const MAX_BYTES: usize = 2 << 20;

/// Bytes that have been checked against their CID, unless who read them said that they need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    bytes: Vec<u8>,
}

impl Block {
    /// A block of a codec under the CIDv1 of a hash function.
    ///
    /// # Errors
    /// [`HashError::TooLong`] for more bytes than an identity holds.
    pub fn new(hash: HashKind, codec: codec::Codec, bytes: Vec<u8>) -> Result<Self, HashError> {
        Ok(Self { cid: hash.cid(codec.code(), &bytes)?, bytes })
    }

    /// Bytes that are said to be those of a CID.
    ///
    /// # Errors
    /// [`HashError`] unless they are.
    pub fn checked(cid: Cid, bytes: Vec<u8>) -> Result<Self, HashError> {
        verify(&cid, &bytes)?;
        Ok(Self { cid, bytes })
    }

    /// Bytes that are believed to be those of a CID, such as those of a store that checks what it reads, or of which it has just been
    /// computed.
    pub fn trusted(cid: Cid, bytes: Vec<u8>) -> Self {
        Self { cid, bytes }
    }

    /// Bytes that came with the prefix of their CID.
    ///
    /// # Errors
    /// [`PrefixError`].
    pub fn of_prefix(prefix: &[u8], bytes: Vec<u8>) -> Result<Self, PrefixError> {
        Ok(Self { cid: of_prefix(prefix, &bytes)?, bytes })
    }

    /// Its name.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its name and bytes.
    pub fn into_parts(self) -> (Cid, Vec<u8>) {
        (self.cid, self.bytes)
    }
}
