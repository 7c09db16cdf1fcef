//! Nodes follow each other along Filecoin's first heights, over real sockets: from the genesis alone, cut and gone on with, among peers
//! that lie, are silent or slow, and by gossip. `spec/network.md` 18, N2 and N4.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod gossip;
#[path = "../hosts/mod.rs"]
mod hosts;
mod peers;
mod support;
mod whole;
