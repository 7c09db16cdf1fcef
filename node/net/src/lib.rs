//! The node's host on the network: who it is, whom it is connected to, and the protocols that they speak.
//!
//! ```text
//! Host (a handle) --commands--> event loop (owns the swarm) --> TCP, QUIC; Noise, TLS; yamux
//!                 <--replies---                             --> identify, ping, Kademlia, gossip, streams
//! ```
//! - [`identity`]: the key by which a node is known, in a file.
//! - [`host`]: the host, its options and limits, and what can be asked of it.
//! - [`streams`]: messages on streams, and who serves them.
//! - [`bitswap`]: blocks, asked for and given.
//! - [`hello`], [`exchange`]: what nodes tell and ask each other of the chain.
//! - [`graphsync`]: parts of DAGs, asked of others and answered; [`data_transfer`]: the same for reasons that both know, and gone on with.
//! - [`sync`]: following the chain that others have; [`judge`]: what becomes of announcements.
//! - [`gossip`]: topics, and how blocks and messages spread.
//!
//! Everything that others can make us hold has a limit: connections, streams, queues, bytes of a message, time.
//!
//! Source: `spec/network.md` 2 to 4.

pub mod bitswap;
pub mod data_transfer;
pub mod exchange;
pub mod gossip;
pub mod graphsync;
pub mod hello;
pub mod host;
pub mod identity;
pub mod judge;
pub mod streams;
pub mod sync;

pub use libp2p::{Multiaddr, PeerId};
