//! Real chains, published vectors, and bytes of any kind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod any_bytes;
mod folder;
mod genesis;
mod real_chain;
mod serialization;
mod support;
