//! Bitswap between hosts of ours, and with kubo 0.22, Helia 7.1 and py-libp2p 0.8: `spec/network.md` 18, N7.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod cuts;
mod floods;
#[path = "../hosts/mod.rs"]
mod hosts;
mod later;
mod node;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod others;
mod ours;
#[path = "../stores/mod.rs"]
mod stores;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod theirs;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../../tests/support/js.rs"]
mod js;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../../tests/support/kubo.rs"]
mod kubo;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../../tests/support/peer.rs"]
mod peer;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../../../tests/support/py_libp2p.rs"]
mod py_libp2p;
