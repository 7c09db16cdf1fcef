//! Data transfer between hosts over real sockets: two of ours, and one of another make.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod kills;
mod node;
mod ours;
mod theirs;
