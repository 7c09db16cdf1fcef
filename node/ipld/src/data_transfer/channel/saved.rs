//! A channel as bytes, for who keeps it beyond a process.
//!
//! ```text
//! channel = [1, [initiator, responder, id], is initiator: bool, stage, [initiator waits, responder waits, a last voucher is needed],
//!            [queued, sent, received], [root: link, selector, is pull: bool, has voucher: bool], vouchers, results]      in dag-cbor
//! vouchers, results = [[name, value], …]
//! ```
//!
//! The stage is the number of a [`Status`], peers are bytes. The voucher of the opening is the first of all.

use std::vec::IntoIter;

use super::Channel;
use crate::Ipld;
use crate::codec::{CodecError, dag_cbor};
use crate::data_transfer::{MAX_VOUCHERS, Progress, Role, Status};
use crate::wire::data_transfer::{ChannelId, Opening, Typed};

const FORMAT: u64 = 1;
/// A stage is none of those in which one waits.
const STAGES: [Status; 10] = [
    Status::Requested,
    Status::Ongoing,
    Status::TransferFinished,
    Status::ResponderCompleted,
    Status::Finalizing,
    Status::Completed,
    Status::Failed,
    Status::Cancelled,
    Status::ResponderFinalizing,
    Status::ResponderFinalizingTransferFinished,
];

/// Why bytes are no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SavedError {
    #[error("no channel that was saved")]
    Codec(#[from] CodecError),
    #[error("a channel that was saved has no {0}")]
    Missing(&'static str),
    #[error("a channel was saved in format {0}")]
    Format(u64),
}

type Saved<T> = Result<T, SavedError>;

impl Channel {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Opening { root, selector, is_pull, voucher } = &self.opening;
        let Progress { queued, sent, received } = self.progress;
        let ChannelId { initiator, responder, id } = &self.id;
        let flags = |flags: &[bool]| Ipld::List(flags.iter().copied().map(Ipld::Bool).collect());
        let typed = |list: &[Typed]| Ipld::List(list.iter().map(typed).collect());
        dag_cbor::encode(&Ipld::List(vec![
            number(FORMAT),
            Ipld::List(vec![Ipld::Bytes(initiator.clone()), Ipld::Bytes(responder.clone()), number(*id)]),
            Ipld::Bool(self.role == Role::Initiator),
            number(self.stage.code()),
            flags(&[self.initiator_paused, self.responder_paused, self.needs_last_voucher]),
            Ipld::List([queued, sent, received].map(number).into()),
            Ipld::List(vec![Ipld::Link(*root), selector.clone(), Ipld::Bool(*is_pull), Ipld::Bool(voucher.is_some())]),
            typed(&self.vouchers),
            typed(&self.results),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`SavedError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SavedError> {
        let mut channel = Fields::of(dag_cbor::decode(bytes)?, "fields")?;
        match channel.number("format")? {
            FORMAT => {}
            other => return Err(SavedError::Format(other)),
        }
        let mut id = channel.list("id")?;
        let id =
            ChannelId { initiator: id.bytes("initiator")?, responder: id.bytes("responder")?, id: id.number("id")? };
        let role = if channel.flag("role")? { Role::Initiator } else { Role::Responder };
        let code = channel.number("stage")?;
        let stage = STAGES.into_iter().find(|stage| stage.code() == code).ok_or(SavedError::Missing("stage"))?;
        let mut flags = channel.list("flags")?;
        let mut progress = channel.list("progress")?;
        let mut opening = channel.list("opening")?;
        let mut channel = Self {
            id,
            role,
            stage,
            initiator_paused: flags.flag("flags")?,
            responder_paused: flags.flag("flags")?,
            needs_last_voucher: flags.flag("flags")?,
            progress: Progress {
                queued: progress.number("progress")?,
                sent: progress.number("progress")?,
                received: progress.number("progress")?,
            },
            opening: opening.opening()?,
            vouchers: channel.all_typed("vouchers")?,
            results: channel.all_typed("results")?,
        };
        if opening.flag("opening")? {
            channel.opening.voucher = Some(channel.vouchers.first().ok_or(SavedError::Missing("vouchers"))?.clone());
        }
        Ok(channel)
    }
}

fn number(number: u64) -> Ipld {
    Ipld::Integer(number.into())
}

fn typed(Typed { name, value }: &Typed) -> Ipld {
    Ipld::List(vec![Ipld::String(name.clone()), value.clone()])
}

/// What is in a list.
struct Fields(IntoIter<Ipld>);

impl Fields {
    fn of(value: Ipld, what: &'static str) -> Saved<Self> {
        match value {
            Ipld::List(items) => Ok(Self(items.into_iter())),
            _ => Err(SavedError::Missing(what)),
        }
    }

    fn next(&mut self, what: &'static str) -> Saved<Ipld> {
        self.0.next().ok_or(SavedError::Missing(what))
    }

    fn list(&mut self, what: &'static str) -> Saved<Self> {
        Self::of(self.next(what)?, what)
    }

    fn bytes(&mut self, what: &'static str) -> Saved<Vec<u8>> {
        if let Ipld::Bytes(bytes) = self.next(what)? { Ok(bytes) } else { Err(SavedError::Missing(what)) }
    }

    fn flag(&mut self, what: &'static str) -> Saved<bool> {
        if let Ipld::Bool(flag) = self.next(what)? { Ok(flag) } else { Err(SavedError::Missing(what)) }
    }

    fn number(&mut self, what: &'static str) -> Saved<u64> {
        match self.next(what)? {
            Ipld::Integer(number) => u64::try_from(number).map_err(|_| SavedError::Missing(what)),
            _ => Err(SavedError::Missing(what)),
        }
    }

    /// An opening but for its voucher.
    fn opening(&mut self) -> Saved<Opening> {
        let Ipld::Link(root) = self.next("root")? else { return Err(SavedError::Missing("root")) };
        Ok(Opening { root, selector: self.next("selector")?, is_pull: self.flag("direction")?, voucher: None })
    }

    fn all_typed(&mut self, what: &'static str) -> Saved<Vec<Typed>> {
        let list = self.list(what)?;
        let one = |value| {
            let mut fields = Self::of(value, what)?;
            let Ipld::String(name) = fields.next(what)? else { return Err(SavedError::Missing(what)) };
            Ok(Typed { name, value: fields.next(what)? })
        };
        list.0.take(MAX_VOUCHERS).map(one).collect()
    }
}
