//! Messages of graphsync, in one form for both versions of the protocol.
//!
//! | | [`v1`] | [`v2`] |
//! |---|---|---|
//! | a request's id | `int32` | 16 bytes, a UUID |
//! | what a response says of links | in an extension, present or not | a list, present, duplicate, missing or skipped |
//! | value of an extension | dag-cbor in bytes | in place |
//!
//! Extensions are values of the data model here, in the order of the message; an empty one of version 1 is null. A selector is kept as
//! it came, so that one that cannot be read is answered and not the end of the stream.
//!
//! Source: `spec/network.md` 11.1 to 11.4.

use super::{WireError, wrong};
use crate::block::Block;
use crate::{Cid, Ipld};

pub mod v1;
pub mod v2;

#[cfg(test)]
mod tests;

/// A message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Of whoever asks.
    pub requests: Vec<Request>,
    /// Of whoever answers.
    pub responses: Vec<Response>,
    /// What the answers have in them.
    pub blocks: Vec<Block>,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// Both, the one to ask for first in front.
    pub const ALL: [Self; 2] = [Self::V2, Self::V1];

    /// The id of its protocol.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::V1 => "/ipfs/graphsync/1.0.0",
            Self::V2 => "/ipfs/graphsync/2.0.0",
        }
    }
}

/// What a request is called by who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestId {
    /// In version 1.
    Number(i32),
    /// In version 2.
    Uuid([u8; 16]),
}

/// A request, or something about one.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which one.
    pub id: RequestId,
    /// What of it.
    pub kind: RequestKind,
}

/// What of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestKind {
    /// It begins.
    New {
        /// The root of the DAG.
        root: Box<Cid>,
        /// Which part of it, see [`crate::selector`].
        selector: Ipld,
        /// Higher ones first.
        priority: i32,
        /// What else is said.
        extensions: Extensions,
    },
    /// Something is said about it.
    Update {
        /// What that is.
        extensions: Extensions,
    },
    /// It is over.
    Cancel,
}

/// An answer, or part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// To which request.
    pub id: RequestId,
    /// How it goes.
    pub status: Status,
    /// The links that were come to since the last part, in order.
    pub links: Vec<(Cid, LinkAction)>,
    /// What else is said.
    pub extensions: Extensions,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkAction {
    /// Its block is there, and sent.
    Present,
    /// Its block is there, and has been sent before. Version 1 has no other word for it than that it is there.
    Duplicate,
    /// Its block is not there.
    Missing,
    /// Its block is there, and is not sent because so it was asked for. Version 1 says that it is not there.
    Skipped,
}

impl LinkAction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Present, Self::Duplicate, Self::Missing, Self::Skipped];

    /// What version 2 calls it.
    fn letter(self) -> &'static str {
        match self {
            Self::Present => "p",
            Self::Duplicate => "d",
            Self::Missing => "m",
            Self::Skipped => "s",
        }
    }
}

/// How a request goes: two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(u8);

#[allow(missing_docs, reason = "the names are the docs")]
impl Status {
    pub const ACKNOWLEDGED: Self = Self(10);
    pub const ADDITIONAL_PEERS: Self = Self(11);
    pub const NOT_ENOUGH_GAS: Self = Self(12);
    pub const OTHER_PROTOCOL: Self = Self(13);
    pub const PARTIAL: Self = Self(14);
    pub const PAUSED: Self = Self(15);
    /// With all blocks.
    pub const COMPLETED: Self = Self(20);
    /// With some blocks missing.
    pub const COMPLETED_PARTIALLY: Self = Self(21);
    pub const REJECTED: Self = Self(30);
    pub const BUSY: Self = Self(31);
    pub const FAILED: Self = Self(32);
    pub const LEGAL: Self = Self(33);
    pub const NOT_FOUND: Self = Self(34);
    pub const CANCELLED: Self = Self(35);
}

impl Status {
    /// The status of a code. Codes that nobody knows yet have their meaning by the first digit.
    ///
    /// # Errors
    /// [`WireError::Wrong`] for other than two digits.
    pub fn by_code(code: i128) -> Result<Self, WireError> {
        match u8::try_from(code) {
            Ok(code @ 10..=99) => Ok(Self(code)),
            _ => wrong("a status", "no number of two digits"),
        }
    }

    /// Its code.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Whether nothing more comes.
    pub fn is_end(self) -> bool {
        self.0 >= 20
    }

    /// Whether it went well.
    pub fn is_success(self) -> bool {
        (20..30).contains(&self.0)
    }
}

/// The most extensions of a request or a response.
pub const MAX_EXTENSIONS: usize = 256;

/// What else is said, by name.
pub type Extensions = Vec<(String, Ipld)>;

/// The value of an extension.
pub fn extension<'a>(extensions: &'a Extensions, name: &str) -> Option<&'a Ipld> {
    extensions.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(version: Version, bytes: &[u8]) -> Result<Self, WireError> {
        match version {
            Version::V1 => v1::decode(bytes),
            Version::V2 => v2::decode(bytes),
        }
    }

    /// The bytes of a message.
    ///
    /// # Errors
    /// [`WireError`] for what the version cannot say.
    pub fn encode(&self, version: Version) -> Result<Vec<u8>, WireError> {
        match version {
            Version::V1 => v1::encode(self),
            Version::V2 => v2::encode(self),
        }
    }
}
