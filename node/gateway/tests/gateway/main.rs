//! The server over real sockets: every status and header, CARs that are read back and checked, pieces, and clients that are too many, too
//! slow or gone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, its helpers too")]

mod answers;
mod cars;
mod client;
mod clients;
mod conformance;
mod pieces;
mod trees;
