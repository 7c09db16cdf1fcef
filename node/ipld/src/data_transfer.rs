//! Data transfer: a channel between two peers, over which one gets part of a DAG of the other by graphsync, for a reason that both know.
//!
//! Who opens a channel is its initiator, the other its responder. Who asks by graphsync is who gets the data.
//!
//! ```text
//! pull   initiator ── graphsync request, new ──────────► responder      push   initiator ── new ────────────────────────────► responder
//!        initiator ◄─ graphsync response, accepted ───── responder             initiator ◄─ graphsync request, accepted ───── responder
//!        initiator ◄─ blocks ─────────────────────────── responder             initiator ── blocks ─────────────────────────► responder
//!        initiator ◄─ complete ───────────────────────── responder             initiator ◄─ complete ──────────────────────── responder
//! ```
//!
//! Each side can make the transfer wait, and tells the other with an update: who sends waits with its answer, who gets the data cancels its
//! graphsync request and asks again later. After a cut the initiator restarts the channel, or the responder asks it to; who gets the data
//! says with the graphsync request what it has. The responder may want a last voucher before it is complete.
//!
//! | Status of | initiator | responder |
//! |---|---|---|
//! | 0 requested | nothing has come back | |
//! | 1 ongoing | it was accepted | it was accepted |
//! | 2 transfer finished | all data is over | |
//! | 3 responder completed | the responder says so, not all data has come | |
//! | 4 finalizing | | all data is over, a last voucher is not |
//! | 14 responder finalizing | the responder waits for a last voucher | |
//! | 15 the same, transfer finished | and all data is over | |
//! | 6 completed, 8 failed, 10 cancelled | nothing changes it any more | the same |
//!
//! In place of 0 and 1 stand 11 initiator paused, 12 responder paused, 13 both. What go-data-transfer calls completing (5), failing (7) and
//! cancelling (9) takes no time here: the effects that a [`Channel`] gives with its end are that.
//!
//! A responder that is asked to restart what is completed says so once more; and if it sent the data, of which the last may have been lost on
//! the way, it sends what is missing. One that does not know the channel may take the restart as an opening, [`Channel::answer`].
//!
//! No streams, no peers, no clock, and nothing of deals: what a voucher is worth is for [`Validate`] to say. The messages are those of
//! [`crate::wire::data_transfer`].
//!
//! Source: `spec/network.md` 10; go-data-transfer's `channels/channels_fsm.go`, `impl/events.go` and `impl/receiving_requests.go`.

use crate::wire::data_transfer::{ChannelId, Message, Opening, Typed, Verdict};

mod channel;

#[cfg(test)]
mod tests;

pub use channel::{Channel, SavedError};

/// Which of two peers we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Role {
    Initiator,
    Responder,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Status {
    Requested,
    Ongoing,
    TransferFinished,
    ResponderCompleted,
    Finalizing,
    Completed,
    Failed,
    Cancelled,
    InitiatorPaused,
    ResponderPaused,
    BothPaused,
    ResponderFinalizing,
    ResponderFinalizingTransferFinished,
}

impl Status {
    /// Its number in other programs.
    pub fn code(self) -> u64 {
        match self {
            Self::Requested => 0,
            Self::Ongoing => 1,
            Self::TransferFinished => 2,
            Self::ResponderCompleted => 3,
            Self::Finalizing => 4,
            Self::Completed => 6,
            Self::Failed => 8,
            Self::Cancelled => 10,
            Self::InitiatorPaused => 11,
            Self::ResponderPaused => 12,
            Self::BothPaused => 13,
            Self::ResponderFinalizing => 14,
            Self::ResponderFinalizingTransferFinished => 15,
        }
    }

    /// Whether nothing changes it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Bytes of blocks that went over a channel, over all restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// That were handed over to be sent.
    pub queued: u64,
    /// That were sent.
    pub sent: u64,
    /// That came.
    pub received: u64,
}

/// What happens to a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The other peer said this, by itself or with graphsync.
    Message(Message),
    /// We want to wait.
    Pause,
    /// We no longer want to.
    Resume,
    /// We want no more of it.
    Cancel,
    /// We want to go on after a cut.
    Restart,
    /// The initiator gives one more voucher.
    Voucher(Typed),
    /// The responder has thought about what it was given.
    Decide(Decision),
    /// Bytes of blocks were handed over to be sent.
    Queued(u64),
    /// Bytes of blocks were sent.
    Sent(u64),
    /// Bytes of blocks came.
    Received(u64),
    /// The graphsync request came to its end, and all that was asked for went over.
    Finished,
    /// The other peer is not there any more.
    Cut,
    /// It cannot go on.
    Failed(String),
}

/// What is to be done about a channel, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message goes to the other peer by itself.
    Send(Message),
    /// A graphsync request for the channel's DAG goes to the other peer with a message, in place of one that there may be. It says how much
    /// of the DAG is here already.
    Ask(Message),
    /// The graphsync request that the message came with is answered, in place of one that there may be. One that comes without this
    /// being said, or that [`Channel::is_for`] denies, is refused.
    Serve {
        /// What is said first.
        message: Option<Message>,
        /// Whether it waits for [`Effect::Resume`].
        is_paused: bool,
    },
    /// The graphsync request that the message came with is refused, with a message.
    Refuse(Message),
    /// The graphsync request that we answer waits, if there is one.
    Pause,
    /// It goes on.
    Resume,
    /// Our half of what there was so far is over: it is cancelled, or no longer answered.
    Stop,
    /// Whoever waits is told.
    Tell(News),
}

/// What whoever waits is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum News {
    Accepted,
    Restarted,
    /// The other waits, or no longer waits.
    OtherPaused(bool),
    /// The other peer is not there any more; a restart may help.
    Cut,
    /// A voucher, or the result of one, has come: the last of [`Channel::vouchers`] or [`Channel::results`].
    Voucher,
    Result,
    /// The responder waits for a last voucher.
    LastVoucher,
    Completed,
    Refused,
    Cancelled,
    Failed(String),
}

/// What a responder thinks of a voucher.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What the initiator is told of it. Whoever waits here has the transfer wait.
    pub verdict: Verdict,
    /// Whether a last voucher is needed once all data is over.
    pub needs_last_voucher: bool,
}

impl Decision {
    /// It agrees.
    pub fn accept() -> Self {
        Self { verdict: Verdict { is_accepted: true, ..Verdict::default() }, needs_last_voucher: false }
    }

    /// It does not.
    pub fn refuse(result: Option<Typed>) -> Self {
        Self { verdict: Verdict { result, ..Verdict::default() }, needs_last_voucher: false }
    }

    /// It agrees, but not yet.
    pub fn pause(result: Option<Typed>) -> Self {
        Self { verdict: Verdict { is_accepted: true, is_paused: true, result }, needs_last_voucher: false }
    }
}

/// Who decides for a responder.
pub trait Validate {
    /// Of a new channel.
    fn open(&self, id: &ChannelId, opening: &Opening) -> Decision;

    /// Of a channel that is to go on after a cut. Unless something else is said, it does, and waits if it did before.
    fn restart(&self, channel: &Channel) -> Decision {
        let is_paused = channel.is_paused(Role::Responder);
        let verdict = Verdict { is_accepted: true, is_paused, result: None };
        Decision { verdict, needs_last_voucher: channel.needs_last_voucher() }
    }

    /// Of one more voucher; `None` to decide later, by [`Event::Decide`].
    fn voucher(&self, _channel: &Channel, _voucher: &Typed) -> Option<Decision> {
        None
    }
}

/// Why something cannot happen to a channel. The channel is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ChannelError {
    #[error("a message of another channel")]
    OtherChannel,
    #[error("{0} is not for the {1:?} of a channel")]
    Role(&'static str, Role),
    #[error("a channel that is there already is opened")]
    Open,
    #[error("a channel has more than {MAX_VOUCHERS} vouchers, or more than {MAX_VOUCHER_BYTES} bytes of them")]
    TooMany,
}

/// The most vouchers of a channel that are remembered, and the most results.
pub const MAX_VOUCHERS: usize = 1 << 12;
/// The most bytes of those behind the first.
pub const MAX_VOUCHER_BYTES: usize = 1 << 18;
