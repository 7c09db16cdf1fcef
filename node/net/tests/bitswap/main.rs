//! Bitswap between hosts of ours, and with kubo 0.22 both ways: `spec/network.md` 18, N7.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod cuts;
mod floods;
mod node;
mod ours;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod theirs;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../../tests/support/kubo.rs"]
mod kubo;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../../tests/support/peer.rs"]
mod peer;
