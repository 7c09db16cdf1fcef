//! The JSON-RPC over real sockets, with Filecash's genesis and Filecoin's first heights: what is answered is read back and has to have the
//! names that the chain has for it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod garbage;
mod hosts;
mod shapes;
mod sockets;
mod support;
