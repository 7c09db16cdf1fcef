//! Which nodes an update opens.
//!
//! With rb bits to a challenge, one digest gives `per = ⌊254/rb⌋` challenges and a partition takes `nd` digests.
//! Challenge j of partition k is slice `i = j mod per` of digest `g = k·nd + ⌊j/per⌋`:
//!
//! `D = Hc(comm_r_new, g)`, `challenge = (⌊D/2^(i·rb)⌋ mod 2^rb) + k·2^rb`
//!
//! so that all challenges of a partition are in its range of nodes. Node 0 and repetitions are possible.
//!
//! Source: `spec/replication.md` 11.3.

use super::shape::UpdateShape;
use crate::field::fr::{from_node, to_node};
use crate::field::{Fr, Node, NonCanonical};
use crate::hash::poseidon::hash_random;

/// The challenges of a partition, in order.
///
/// # Errors
/// [`NonCanonical`] when `comm_r_new` is no field element.
pub fn challenges(shape: &UpdateShape, comm_r_new: &Node, partition: usize) -> Result<Vec<u64>, NonCanonical> {
    let comm_r_new = from_node(comm_r_new)?;
    let (bits, per, digests) = (shape.challenge_bits(), shape.challenges_per_digest(), shape.digests());
    let first = (partition as u64) << bits;
    let digest = |number: usize| {
        let index = (partition * digests + number) as u64;
        to_node(&hash_random(&[comm_r_new, Fr::from(index)]))
    };
    let slices = (0..digests).flat_map(|number| {
        let digest = digest(number);
        (0..per).map(move |slice| first + bits_of(&digest, slice * bits, bits))
    });
    Ok(slices.take(shape.challenges).collect())
}

/// `len` bits, at most 56, of a little-endian integer from bit `start` on, within its 256 bits.
fn bits_of(integer: &Node, start: usize, len: usize) -> u64 {
    let mut window = [0; 8];
    let bytes = &integer[start / 8..];
    let count = bytes.len().min(8);
    window[..count].copy_from_slice(&bytes[..count]);
    (u64::from_le_bytes(window) >> (start % 8)) & ((1 << len) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::TreeShape;

    const COMM_R_NEW: &str = "101cbe4b9c42604f04c703c396f788c6cb2d6d7d58f45430b12eb2edd640076c";

    /// spec/replication.md 12.8, the first five challenges of a partition.
    #[test]
    fn challenges_match_reference() {
        let mut comm_r_new = [0; 32];
        hex::decode_to_slice(COMM_R_NEW, &mut comm_r_new).unwrap();
        let table = [
            (5, 0, [21, 7, 3, 31, 0]),
            (6, 0, [53, 51, 56, 3, 0]),
            (7, 0, [117, 25, 62, 0, 72]),
            (8, 0, [245, 140, 15, 128, 28]),
            (9, 0, [245, 140, 15, 128, 28]),
            (9, 1, [286, 308, 493, 510, 508]),
            (10, 0, [245, 454, 3, 400, 193]),
            (10, 1, [542, 666, 955, 927, 911]),
            (18, 0, [36085, 32783, 44060, 10950, 3731]),
            (18, 1, [78878, 130797, 112892, 93994, 78379]),
            (19, 0, [101621, 16391, 109319, 25944, 41193]),
            (19, 1, [209950, 163702, 175679, 224741, 197410]),
            (24, 0, [1019125, 116736, 706220, 59698, 799498]),
            (24, 15, [16388544, 15794686, 16637142, 16319148, 16328348]),
            (30, 0, [1019125, 27985696, 15282860, 11586600, 44651330]),
            (30, 15, [1038629497, 1053983614, 1030421316, 1027373887, 1068685433]),
            (31, 0, [1019125, 13992848, 3820715, 18225541, 57316660]),
            (31, 14, [1997053129, 1920414070, 2003609080, 1900492803, 1963254685]),
            (31, 15, [2045262457, 2036941247, 2136653521, 2091356007, 2147167623]),
        ];
        for (log2_nodes, partition, expected) in table {
            // The shape of the trees has no part in it.
            let shape = UpdateShape::new(log2_nodes, TreeShape { base: 8, sub: 0, top: 0 });
            let challenges = challenges(&shape, &comm_r_new, partition).unwrap();
            assert_eq!(challenges.len(), shape.challenges);
            assert_eq!(challenges[..5], expected, "2^{log2_nodes} nodes, partition {partition}");
            let range = (partition as u64) << shape.challenge_bits()..(partition as u64 + 1) << shape.challenge_bits();
            assert!(challenges.iter().all(|challenge| range.contains(challenge)));
        }
    }

    #[test]
    fn bits_are_those_of_the_integer() {
        let integer: Node = std::array::from_fn(|i| (i * 37 + 11) as u8);
        let bit = |at: usize| u64::from(integer[at / 8] >> (at % 8) & 1);
        for (start, len) in [(0, 1), (7, 31), (247, 7), (224, 27), (253, 1), (1, 27)] {
            let expected: u64 = (0..len).map(|i| bit(start + i) << i).sum();
            assert_eq!(bits_of(&integer, start, len), expected, "{start} {len}");
        }
    }

    #[test]
    fn commitment_above_the_field_is_refused() {
        let shape = UpdateShape::new(6, TreeShape { base: 8, sub: 0, top: 0 });
        assert!(challenges(&shape, &[0xff; 32], 0).is_err());
    }
}
