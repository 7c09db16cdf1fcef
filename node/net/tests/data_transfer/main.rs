//! Data transfer between hosts over real sockets: two of ours, and one of another make.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod cuts;
#[path = "../hosts/mod.rs"]
mod hosts;
mod kills;
mod node;
mod ours;
#[path = "../stores/mod.rs"]
mod stores;
mod theirs;
