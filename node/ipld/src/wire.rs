//! Messages between peers, as bytes: no streams, no peers, no state.
//!
//! Graphsync and bitswap send one message after the other on a stream, each behind its length as a varint:
//!
//! | Protocol | Ids | Message |
//! |---|---|---|
//! | graphsync 1, [`graphsync::v1`] | `/ipfs/graphsync/1.0.0` | protobuf |
//! | graphsync 2, [`graphsync::v2`] | `/ipfs/graphsync/2.0.0` | dag-cbor |
//! | bitswap, [`bitswap`] | `/ipfs/bitswap`, `/ipfs/bitswap/1.0.0`, `1.1.0`, `1.2.0` | protobuf |
//!
//! Data transfer, [`data_transfer`], has one message in dag-cbor, by itself on a stream or in an extension of graphsync.
//!
//! Fields and keys that are not known are passed over, for later versions add some. What no program of today sends is refused, and
//! with it the whole message. Of each kind of thing a message may hold [`MAX_ITEMS`].
//!
//! Source: `spec/network.md` 10 to 12.

use crate::block::{self, Block};
use crate::codec::CodecError;
use crate::hash::{HashError, PrefixError};
use crate::protobuf::{Fields, ProtobufError, write_bytes};
use crate::varint::{self, VarintError};

pub mod bitswap;
pub mod data_transfer;
pub mod graphsync;

/// The most bytes of a message.
pub const MAX_MESSAGE: usize = 4 << 20;
/// The most things of a kind in a message: requests, blocks, entries of a wantlist, and so on. Each takes some 200 bytes in memory.
pub const MAX_ITEMS: usize = 1 << 16;

/// Why bytes are no message, or a message cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum WireError {
    #[error("a message of {0} bytes is longer than {MAX_MESSAGE}")]
    TooLong(u64),
    #[error("the length of a message")]
    Length(#[source] VarintError),
    #[error("a message has more than {MAX_ITEMS} {0}")]
    TooMany(&'static str),
    #[error("a message without {0}")]
    Missing(&'static str),
    #[error("{what} of a message is {problem}")]
    Wrong { what: &'static str, problem: &'static str },
    #[error("a block of {0} bytes is longer than {max}", max = block::MAX_BYTES)]
    BlockTooLong(usize),
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("{protocol} has no {what}")]
    Unsupported { protocol: &'static str, what: &'static str },
}

fn wrong<T>(what: &'static str, problem: &'static str) -> Result<T, WireError> {
    Err(WireError::Wrong { what, problem })
}

/// Puts its length before a message.
///
/// # Errors
/// [`WireError::TooLong`].
pub fn frame(message: &[u8]) -> Result<Vec<u8>, WireError> {
    if message.len() > MAX_MESSAGE {
        return Err(WireError::TooLong(message.len() as u64));
    }
    let mut bytes = Vec::with_capacity(message.len() + 4);
    varint::write(message.len() as u64, &mut bytes);
    bytes.extend(message);
    Ok(bytes)
}

/// How many bytes the message at the front takes, its length included; `None` when more bytes are needed to know that.
///
/// # Errors
/// [`WireError`] when no more bytes would help.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let mut rest = bytes;
    match varint::read(&mut rest) {
        Ok(length) if length > MAX_MESSAGE as u64 => Err(WireError::TooLong(length)),
        Ok(length) => Ok(Some(bytes.len() - rest.len() + length as usize)),
        Err(VarintError::Incomplete) => Ok(None),
        Err(error) => Err(WireError::Length(error)),
    }
}

/// The message at the front, and how many bytes it takes with its length; `None` when more bytes are needed.
///
/// # Errors
/// [`WireError`] when no more bytes would help.
pub fn unframe(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, WireError> {
    let Some(length) = frame_length(bytes)? else { return Ok(None) };
    let Some(framed) = bytes.get(..length) else { return Ok(None) };
    let mut message = framed;
    varint::read(&mut message).map_err(WireError::Length)?;
    Ok(Some((message, length)))
}

/// Adds to a list that has a limit.
fn push<T>(list: &mut Vec<T>, item: T, what: &'static str) -> Result<(), WireError> {
    if list.len() >= MAX_ITEMS {
        return Err(WireError::TooMany(what));
    }
    list.push(item);
    Ok(())
}

/// A block as all of the protocols send it: the prefix of its CID, and its bytes.
fn block(prefix: &[u8], bytes: &[u8]) -> Result<Block, WireError> {
    if bytes.len() > block::MAX_BYTES {
        return Err(WireError::BlockTooLong(bytes.len()));
    }
    Ok(Block::of_prefix(prefix, bytes.to_vec())?)
}

/// The same in protobuf: prefix 1, data 2.
fn read_block(bytes: &[u8]) -> Result<Block, WireError> {
    let (mut prefix, mut data) = (&[][..], &[][..]);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => prefix = field.bytes()?,
            2 => data = field.bytes()?,
            _ => {}
        }
    }
    block(prefix, data)
}

fn write_block(field: u32, block: &Block, bytes: &mut Vec<u8>) {
    let mut content = Vec::new();
    write_bytes(1, &crate::hash::prefix(block.cid()), &mut content);
    write_bytes(2, block.bytes(), &mut content);
    write_bytes(field, &content, bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_come_behind_their_lengths() {
        for (message, hexadecimal) in [(&b""[..], "00"), (b"hello", "0568656c6c6f")] {
            let mut bytes = frame(message).unwrap();
            assert_eq!(hex::encode(&bytes), hexadecimal);
            for length in 0..bytes.len() {
                assert_eq!(unframe(&bytes[..length]), Ok(None));
            }
            let length = bytes.len();
            bytes.push(7);
            assert_eq!(unframe(&bytes), Ok(Some((message, length))));
        }
        assert_eq!(frame_length(&hex::decode("ac02").unwrap()), Ok(Some(302)));
        assert_eq!(frame_length(&[0x80]), Ok(None));
    }

    #[test]
    fn long_messages_are_refused_by_their_lengths() {
        let longest = frame(&vec![0; MAX_MESSAGE]).unwrap();
        assert_eq!(unframe(&longest).unwrap().unwrap().0.len(), MAX_MESSAGE);
        let longer = MAX_MESSAGE as u64 + 1;
        assert_eq!(frame(&vec![0; MAX_MESSAGE + 1]), Err(WireError::TooLong(longer)));
        assert_eq!(unframe(&hex::decode("81808002").unwrap()), Err(WireError::TooLong(longer)));
        assert_eq!(frame_length(&[0xff; 10]), Err(WireError::Length(VarintError::Syntax)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_unframed_or_refused(bytes: Vec<u8>) {
            if let Ok(Some((message, length))) = unframe(&bytes) {
                prop_assert_eq!(frame(message).unwrap(), &bytes[..length]);
            }
        }
    }
}
