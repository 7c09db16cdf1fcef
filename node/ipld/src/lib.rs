//! Content-addressed data, as IPFS and Filecash share it: blocks named by the hash of their bytes, and what is built of them.
//!
//! Everything here is plain computation over bytes and readers: no network, no async, no global state. Whatever comes from outside is
//! checked against its CID before it is believed, and every length, depth and count has a limit.
//!
//! - [`hash`]: the hash functions that CIDs name, and whether bytes are those of a CID.
//! - [`block`]: bytes with their CID.
//! - [`car`]: files of blocks.
//! - [`codec`]: what is in a block, dag-cbor, dag-pb or raw, and where it links to.
//! - [`store`]: where blocks are kept, in memory or in a folder.
//! - [`unixfs`]: files and folders as blocks, and back.
//! - [`selector`] and [`path`]: which part of a DAG is meant, and where in it something is.
//! - [`traverse`]: the walk over a DAG by a selector.
//! - [`graphsync`]: who asks for part of a DAG and who answers, each as a state.
//! - [`data_transfer`]: a channel between two peers, over which graphsync carries a DAG for a reason that both know.
//! - [`positioned`]: reading and writing at places.
//! - [`wire`]: messages of graphsync, data transfer and bitswap, and [`protobuf`], which some are written in.

pub mod block;
pub mod car;
pub mod codec;
pub mod data_transfer;
pub mod graphsync;
pub mod hash;
pub mod path;
pub mod positioned;
pub mod protobuf;
pub mod selector;
pub mod store;
#[cfg(test)]
mod test_json;
pub mod traverse;
pub mod unixfs;
pub mod varint;
pub mod wire;

pub use block::Block;
pub use codec::Ipld;
pub use hash::Cid;
