//! Real chains and published vectors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod genesis;
mod real_chain;
mod serialization;
mod support;
