//! What a protocol above decides of requests, and hears of their answers.

use filecash_ipld::graphsync::{Admission, Asked};
use filecash_ipld::wire::graphsync::{Extensions, Message, RequestId, Status};
use libp2p::PeerId;

/// Decides what others are answered, and is told how that goes. All of it is called from tasks that serve others, too: it has to return
/// soon, and must not wait for the network.
///
/// A closure that decides is one that is told nothing.
pub trait Hooks: Send + Sync {
    /// What becomes of a new request of a peer.
    fn admit(&self, peer: PeerId, asked: &Asked) -> Admission;

    /// A peer says more about its request; what is said to it with the next part of the answer.
    fn update(&self, _peer: PeerId, _id: RequestId, _extensions: &Extensions) -> Extensions {
        Extensions::new()
    }

    /// Part of an answer is to be written.
    fn queued(&self, _peer: PeerId, _part: Share) {}

    /// It was written. With a status that is an end, it was the last.
    fn sent(&self, _peer: PeerId, _part: Share) {}

    /// A request is not answered any more, and its end was not written: it was cancelled, or who asked is gone.
    fn lost(&self, _peer: PeerId, _id: RequestId) {}
}

impl<F: Fn(PeerId, &Asked) -> Admission + Send + Sync> Hooks for F {
    fn admit(&self, peer: PeerId, asked: &Asked) -> Admission {
        self(peer, asked)
    }
}

/// Part of the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which request.
    pub id: RequestId,
    /// How far it is with that part.
    pub status: Status,
    /// Bytes of its blocks.
    pub bytes: u64,
}

impl Share {
    /// Those of a message. All blocks of one belong to the one response that tells of links.
    pub(super) fn all_of(message: &Message) -> Vec<Self> {
        let bytes = message.blocks.iter().map(|block| block.bytes().len() as u64).sum();
        let share = |response: &filecash_ipld::wire::graphsync::Response| Self {
            id: response.id,
            status: response.status,
            bytes: if response.links.is_empty() { 0 } else { bytes },
        };
        message.responses.iter().map(share).collect()
    }
}
