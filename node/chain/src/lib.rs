//! The objects of the chain, byte for byte, and what of them can be checked without the ledger's state.
//!
//! Everything here is plain computation over bytes and over stores of blocks: no network, no async, no global state.
//!
//! - [`object`]: how objects stand in dag-cbor; [`address`], [`amount`], [`signature`] are what they are made of.
//! - [`header`], [`message`], [`receipt`], [`tipset`]: the chain.
//! - [`block_message`], [`block_messages`], [`hello`], [`exchange`]: what nodes send each other of it.
//! - [`amt`], [`hamt`]: arrays and maps in blocks.
//! - [`check`]: what can be checked.
//! - [`chain`]: chains in a store; [`folder`]: the one that a node follows, in a folder; [`weight`]: which of two is followed.
//! - [`state`], [`facts`]: the state of a ledger, as far as a genesis is described by it.

pub mod address;
pub mod amount;
pub mod amt;
pub mod block_message;
pub mod block_messages;
pub mod chain;
pub mod check;
pub mod exchange;
pub mod facts;
pub mod folder;
pub mod hamt;
pub mod header;
pub mod hello;
pub mod message;
pub mod object;
pub mod read;
pub mod receipt;
pub mod signature;
pub mod state;
pub mod tipset;
pub mod weight;

pub use address::Address;
pub use amount::Amount;
pub use header::BlockHeader;
pub use message::{Message, SignedMessage};
pub use object::Object;
pub use signature::Signature;
pub use tipset::Tipset;
