//! A fuzz target for each decoder, and for the machine of a sync: bytes go in, and the body asserts what has to hold of whatever comes out.
//!
//! Three things hold everywhere. No bytes make a decoder panic; what was accepted is written and read again unchanged;
//! and formats that have one spelling of each value are written as they were read. The rest stands at each target.
//!
//! A body that accepts nothing asserts little, so it says how much it accepted; `tests/corpora.rs` knows the inputs that
//! are valid, and asks.
//!
//! Samples that are too large for a corpus are edited instead: [`edited`] reads the fuzzer's bytes as changes to a
//! sample from `tests/vectors` or computed here, so that a corpus file is a few bytes long.

mod aggregates;
mod bitswap;
mod chain;
mod data_transfer;
mod files;
mod gateway;
mod graphsync;
mod ipld;
mod keys;
mod numbers;
mod phases;
mod post;
mod rpc;
mod sync;
mod text;
mod update;

pub use aggregates::{aggregate, seal_list_json, srs};
pub use bitswap::{bitswap_engine, bitswap_session};
pub use chain::chain_wire;
pub use data_transfer::data_transfer;
pub use files::{manifest, p_aux, parent_table, t_aux};
pub use gateway::gateway;
pub use graphsync::{graphsync_pull, graphsync_responder};
pub use ipld::{car, dag};
pub use keys::{params_header, proof_bytes, vk};
pub use numbers::{field_element, fr32_pad, fr32_unpad, piece_sizes};
pub use phases::{c1_bincode, c1_json, pc1_json, pc2_json, synthetic_record};
pub use post::post_vanilla;
pub use rpc::rpc;
pub use sync::sync;
pub use text::{cid, fetch_places, pieces_json, settings};
pub use update::{partition_proofs, update_json};

/// A target's body. It gives the number of ways in which the input was read and accepted: of networks, forms, samples.
pub type Target = fn(&[u8]) -> usize;

macro_rules! targets {
    ($($name:ident,)*) => {
        /// Every target by name; each has a file in `fuzz_targets/` and a folder in `corpus/`.
        pub const TARGETS: &[(&str, Target)] = &[$((stringify!($name), $name),)*];
    };
}

targets! {
    aggregate, bitswap_engine, bitswap_session, c1_bincode, c1_json, car, chain_wire, cid, dag, data_transfer,
    fetch_places, field_element, fr32_pad, fr32_unpad, gateway, graphsync_pull, graphsync_responder, manifest, p_aux,
    params_header, parent_table, partition_proofs, pc1_json, pc2_json, piece_sizes, pieces_json, post_vanilla,
    proof_bytes, rpc, seal_list_json, settings, srs, sync, synthetic_record, t_aux, update_json, vk,
}

/// The whole of a target's program: libFuzzer's entry point under `cargo fuzz`, and nothing in an ordinary build.
#[macro_export]
macro_rules! fuzz {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $crate::$name(data);
        });
        #[cfg(not(fuzzing))]
        fn main() {}
    };
}

/// A sample with changes: each is an operation, a place (three bytes, little-endian, modulo the length), and a value.
///
/// Operations, modulo 6: replace the byte by the value; flip bits; cut the sample there; insert the value; remove as
/// many bytes as the value says; repeat as many bytes as the value says. A last, incomplete change is left out.
pub fn edited(sample: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for &[operation, a, b, c, value] in edits.as_chunks().0 {
        let place = u32::from_le_bytes([a, b, c, 0]) as usize;
        let Some(at) = place.checked_rem(bytes.len()) else { break };
        let end = (at + usize::from(value)).min(bytes.len());
        match operation % 6 {
            0 => bytes[at] = value,
            1 => bytes[at] ^= value,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, value),
            4 => drop(bytes.drain(at..end)),
            _ => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
    bytes
}
