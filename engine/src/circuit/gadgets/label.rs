//! The label of a node, as both networks compute it, in a circuit.
//!
//! Filecoin: `label = trim(SHA-256(id ‖ BE32(layer) ‖ BE64(node) ‖ 0¹⁶⁰ ‖ p0 ‖ … ‖ p36))`.
//! Filecash: the first 256 bits, trimmed, of SHA-512 over the same fields, each value widened to 512 bits and the
//! header padded to 512 bits.
//!
//! Source: `spec/snark.md` 1.11 and 1.12, `spec/filecash-profile.md` 1.

use bellman::SynthesisError;

use super::bit::Bit;
use super::num::{Num, from_hash_bits};
use super::sha::{sha256, sha512};
use crate::circuit::cs::{CircuitSystem, Wire};
use crate::sector::Profile;
use crate::sector::params::LABEL_PARENTS;

/// The label of a node from what a hash reads: 256 bits of the replica id and of each parent, in the order of the graph
/// and repeated up to 37 by this function; the node's 64 bits, least significant first.
///
/// Each byte of the values starts with its most significant bit. `layer` counts from 1.
pub fn label<CS: CircuitSystem>(
    cs: &mut CS,
    profile: Profile,
    replica_id: &[Bit<CS::Wire>],
    layer: u32,
    node: &[Bit<CS::Wire>],
    parents: &[Vec<Bit<CS::Wire>>],
) -> Result<Num<CS::Wire>, SynthesisError> {
    let mut header: Vec<_> = (0..32).rev().map(|i| Bit::constant(layer >> i & 1 == 1)).collect();
    header.extend(node.iter().rev());
    let parents = parents.iter().cycle().take(LABEL_PARENTS);
    let digest = match profile {
        Profile::Filecoin => {
            header.resize_with(256, || Bit::constant(false));
            let mut message = [replica_id, &header].concat();
            parents.for_each(|parent| message.extend_from_slice(parent));
            sha256(cs, &message)?
        }
        Profile::Filecash => {
            header.resize_with(512, || Bit::constant(false));
            let mut message = widen(replica_id);
            message.extend_from_slice(&header);
            parents.for_each(|parent| message.extend(widen(parent)));
            sha512(cs, &message)?
        }
    };
    from_hash_bits(cs, &digest)
}

/// 256 bits, then their groups of 32 from the last to the first, each bit negated.
fn widen<W: Wire>(bits: &[Bit<W>]) -> Vec<Bit<W>> {
    let mirrored = bits.chunks(32).rev().flatten().map(|bit| !*bit);
    bits.iter().copied().chain(mirrored).collect()
}
