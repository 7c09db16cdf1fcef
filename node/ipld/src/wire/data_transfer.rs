//! Messages of data transfer, which say what a transfer by graphsync is for and who pays.
//!
//! | Version | Protocol | Extension of graphsync | Form |
//! |---|---|---|---|
//! | 1.0 | `/fil/datatransfer/1.0.0` | `fil/data-transfer` | lists |
//! | 1.1 | `/fil/datatransfer/1.1.0` | `fil/data-transfer/1.1` | maps, keys in the order below |
//! | 1.2 | `/fil/datatransfer/1.2.0` | the same and two more, [`extensions`] | maps, keys in the order of dag-cbor |
//!
//! A message is one value of the data model: by itself on a stream, without a length before it, or in an extension.
//!
//! ```text
//! message  = IsRq: bool, Request: request or null, Response: response or null
//! request  = BCid: link?, Type, Paus: bool, Part: bool, Pull: bool, Stor: any?, Vouch: any?, VTyp: text, XferID, RestartChannel
//! response = Type, Acpt: bool, Paus: bool, XferID, VRes: any?, VTyp: text
//! RestartChannel = [initiator, responder, id]                                    not in 1.0
//! ```
//!
//! | Type | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |
//! |---|---|---|---|---|---|---|---|---|
//! | request | new | update | cancel | | voucher | | restart | please restart |
//! | response | new | update | cancel | complete | | result of a voucher | restart | |
//!
//! All fields are written. A map is read in any order; a key that is not there is as if null, and those that are not known are passed
//! over. A list is one of 1.0 and has all fields. Go keeps a peer id in a string, as the bytes of its multihash, and so writes a text
//! that is not UTF-8: this is why messages by themselves have a reader and a writer of their own. `Part` is never set by anybody.
//!
//! Source: `spec/network.md` 10; go-data-transfer 1.2.9 (`message/message1_0`, `message1_1`, `types_cbor_gen.go`) and its last version
//! (`message/message1_1prime`).

use super::WireError;
use crate::codec::dag_cbor;
use crate::{Cid, Ipld};

mod read;
mod write;

#[cfg(test)]
mod tests;

/// The most bytes of a message by itself.
pub const MAX_BYTES: usize = 1 << 18;
/// The most values in a message by itself, 200 bytes each in memory.
pub const MAX_VALUES: usize = 1 << 14;
/// The longest name of a type of vouchers, the longest peer id.
pub const MAX_NAME: usize = 256;

/// The names of the extensions of graphsync that hold a message.
pub mod extensions {
    /// In version 1.0.
    pub const V1_0: &str = "fil/data-transfer";
    /// From version 1.1 on.
    pub const V1_1: &str = "fil/data-transfer/1.1";
    /// What is said to a request before it is looked at, in later releases.
    pub const INCOMING_REQUEST: &str = "fil/data-transfer/incoming-request/1.1";
    /// What is said with a block, in later releases.
    pub const OUTGOING_BLOCK: &str = "fil/data-transfer/outgoing-block/1.1";
    /// Those that can be in one message, in the order in which they are to be read.
    pub const ALL: [&str; 4] = [INCOMING_REQUEST, V1_1, OUTGOING_BLOCK, V1_0];
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
}

impl Version {
    /// All of them, the one to ask for first in front.
    pub const ALL: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// The id of its protocol.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::V1_0 => "/fil/datatransfer/1.0.0",
            Self::V1_1 => "/fil/datatransfer/1.1.0",
            Self::V1_2 => "/fil/datatransfer/1.2.0",
        }
    }

    /// The extension of graphsync in which its messages can be.
    pub fn extension(self) -> &'static str {
        match self {
            Self::V1_0 => extensions::V1_0,
            Self::V1_1 | Self::V1_2 => extensions::V1_1,
        }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Of who opened the channel; of who did not, if it asks for a restart.
    Request(Request),
    /// Of who did not open it.
    Response(Response),
}

/// What who opened a channel says.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The number of the channel: its initiator gives it. In [`RequestKind::PleaseRestart`] it means nothing.
    pub id: u64,
    /// What is said of it.
    pub kind: RequestKind,
}

/// What of a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestKind {
    /// It begins.
    New(Box<Opening>),
    /// It goes on after a cut.
    Restart(Box<Opening>),
    /// The initiator waits, or no longer waits.
    Update {
        /// Which of them.
        is_paused: bool,
    },
    /// It is over.
    Cancel,
    /// One more voucher: a payment, for instance.
    Voucher(Typed),
    /// The responder wants the initiator to restart it.
    PleaseRestart(ChannelId),
}

/// What a channel is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// The root of a DAG.
    pub root: Cid,
    /// Which part of it, see [`crate::selector`].
    pub selector: Ipld,
    /// Whether the initiator gets the data.
    pub is_pull: bool,
    /// Why the responder should agree.
    pub voucher: Option<Typed>,
}

/// A voucher, or the result of one: what it holds is for the protocol above.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// The name of its type, which is not empty.
    pub name: String,
    /// What it holds.
    pub value: Ipld,
}

/// Which channel, among all of two peers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    /// The peer that opened it, its multihash as bytes.
    pub initiator: Vec<u8>,
    /// The other.
    pub responder: Vec<u8>,
    /// Its number among those of its initiator.
    pub id: u64,
}

/// What who did not open a channel says.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The number of the channel.
    pub id: u64,
    /// What is said of it.
    pub kind: ResponseKind,
}

/// What of a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseKind {
    /// To one that began.
    New(Verdict),
    /// To one that was restarted.
    Restart(Verdict),
    /// To one more voucher.
    Voucher(Verdict),
    /// All data went over. Whoever is paused here waits for a last voucher.
    Complete(Verdict),
    /// The responder waits, or no longer waits.
    Update {
        /// Which of them.
        is_paused: bool,
    },
    /// It is over.
    Cancel,
}

/// What the responder thinks of a voucher.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Whether it agrees.
    pub is_accepted: bool,
    /// Whether it waits for something.
    pub is_paused: bool,
    /// What it has to say.
    pub result: Option<Typed>,
}

impl Request {
    /// Asks the initiator for a restart.
    pub fn please_restart(channel: ChannelId) -> Self {
        Self { id: 0, kind: RequestKind::PleaseRestart(channel) }
    }
}

impl Message {
    /// Reads a message by itself, of any version.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_BYTES {
            return Err(WireError::TooLong(bytes.len() as u64));
        }
        Self::from_ipld(dag_cbor::decode_go(bytes, MAX_VALUES)?)
    }

    /// The bytes of a message by itself.
    ///
    /// # Errors
    /// [`WireError`] for what the version cannot say, and for what would not be read.
    pub fn encode(&self, version: Version) -> Result<Vec<u8>, WireError> {
        let value = self.to_ipld(version)?;
        let bytes = match self {
            // It has no other bytes than those of peer ids.
            Self::Request(Request { kind: RequestKind::PleaseRestart(_), .. }) => dag_cbor::encode_go(&value),
            _ => dag_cbor::encode(&value),
        };
        if bytes.len() > MAX_BYTES { Err(WireError::TooLong(bytes.len() as u64)) } else { Ok(bytes) }
    }
}
