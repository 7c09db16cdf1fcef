//! The node as one program: what it is told to do, what it consists of, how it begins and ends.
//!
//! ```text
//! settings (TOML) --> folder (lock, key, tokens) --> blocks, chain --> host --> services
//! ```
//! - [`config`]: the settings, each with its default.
//! - [`folder`]: what a node keeps: its key, its tokens, where it is called. One node at a time has it.
//! - [`genesis`]: where the chain begins.
//! - [`keys`]: the keys of senders and miners that are known; [`tally`]: what became of gossip.
//! - [`services`]: everything that runs; a new service is a line there.
//! - [`progress`]: what callers are told of a sync; [`metrics`]: what Prometheus reads.
//! - [`mod@run`]: from beginning to end.
//! - [`blocks`]: blocks from others and for others, without a chain.
//!
//! Nothing here seals or proves: the engine is not needed.

pub mod blocks;
pub mod config;
pub mod folder;
pub mod genesis;
pub mod keys;
pub mod metrics;
pub mod progress;
pub mod run;
pub mod services;
pub mod tally;

pub use config::Config;
pub use run::{DaemonError, Started, run};
