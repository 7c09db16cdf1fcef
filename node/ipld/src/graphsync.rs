//! Graphsync: who asks gets the blocks of a DAG that a selector walks over, in the order of the walk.
//!
//! Both sides walk. Who answers takes blocks from its store and tells of each link what became of it; who asks walks along over what
//! arrives and takes nothing that its own walk does not ask for.
//!
//! ```text
//! asks     Pull::new ─► request ──────────► Responder::take      answers
//!          Pull::take ◄── links, blocks ─── Responder::next_message, until it has nothing more to say
//! ```
//!
//! What a store has stays where it is when a transfer is cut: [`Held`] is how much of the walk from its beginning that is, and who asks again
//! says so with the request.
//!
//! No streams, no peers, no clock: [`Responder`] is what one peer asked, [`Pull`] is one request. The messages are those of
//! [`crate::wire::graphsync`].
//!
//! Source: `spec/network.md` 11; go-graphsync's behaviour, where the specification is silent.

mod pull;
mod respond;
mod scope;

pub use pull::{Held, Order, Progress, Pull, PullError, Turn};
pub use respond::{Admission, Admit, Asked, AtMostDepth, RespondError, RespondLimits, Responder, Sent};

/// The names of extensions.
pub mod extensions {
    /// A list of links whose blocks need not be sent.
    pub const DO_NOT_SEND_CIDS: &str = "graphsync/do-not-send-cids";
    /// How many links of the walk there are, from its beginning, whose blocks need not be sent.
    pub const DO_NOT_SEND_FIRST_BLOCKS: &str = "graphsync/do-not-send-first-blocks";
    /// Requests with the same text do not get the same block twice.
    pub const DEDUP_BY_KEY: &str = "graphsync/dedup-by-key";
}
