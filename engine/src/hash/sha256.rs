//! SHA-256 where its result has to live in the field.
//!
//! `trim(h)` clears the two top bits of byte 31; `sha_node(l, r) = trim(SHA-256(l ‖ r))` is the node function of TreeD
//! and CommP. Source: `spec/replication.md` 0.2 and 0.3.

use sha2::block_api::compress256;

#[cfg(target_arch = "x86_64")]
use super::sha256_lanes::sha_groups;
use crate::field::Node;

/// First 32 bits of the fractional parts of the square roots of the first 8 primes. FIPS 180-4, 5.3.3.
pub(super) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// What follows a message of 64 bytes: a one bit, zeros, the length in bits.
const PADDING: [u8; 64] = {
    let mut block = [0; 64];
    block[0] = 0x80;
    block[62] = 2;
    block
};

/// Clears the two top bits of a little-endian value, so that it is below 2²⁵⁴.
pub fn trim(mut hash: Node) -> Node {
    hash[31] &= 0x3f;
    hash
}

/// The parent of two nodes in a binary SHA-256 tree.
pub fn sha_node(left: &Node, right: &Node) -> Node {
    let mut message = [[0; 64], PADDING];
    message[0][..32].copy_from_slice(left);
    message[0][32..].copy_from_slice(right);
    let mut state = INITIAL;
    compress256(&mut state, &message);
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    trim(hash)
}

/// `parents[i] = sha_node(children[2i], children[2i + 1])`, on one core; there are two children for every parent.
pub fn sha_nodes(children: &[Node], parents: &mut [Node]) {
    debug_assert_eq!(children.len(), parents.len() * 2, "two children for every parent");
    #[cfg(target_arch = "x86_64")]
    let done = sha_groups(children, parents);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (parent, [left, right]) in parents.iter_mut().zip(children.as_chunks().0).skip(done) {
        *parent = sha_node(left, right);
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn node_is_a_trimmed_digest() {
        for seed in 0..40_u8 {
            let [left, right]: [Node; 2] =
                [0_u8, 1].map(|side| std::array::from_fn(|i| (i as u8 ^ side).wrapping_mul(37).wrapping_add(seed)));
            let digest = Sha256::digest([left, right].as_flattened());
            assert_eq!(sha_node(&left, &right), trim(digest.into()));
        }
    }

    /// spec/replication.md 12.2.
    #[test]
    fn zero_ladder_matches_reference() {
        let mut zero = [0; 32];
        let mut size = 32_u64;
        while size < 64 << 30 {
            zero = sha_node(&zero, &zero);
            size *= 2;
            match size {
                128 => {
                    assert_eq!(hex::encode(zero), "3731bb99ac689f66eef5973e4a94da188f4ddcae580724fc6f3fd60dfd488333")
                }
                2048 => {
                    assert_eq!(hex::encode(zero), "fc7e928296e516faade986b28f92d44a4f24b935485223376a799027bc18f833")
                }
                _ => {}
            }
        }
        assert_eq!(hex::encode(zero), "e64005a6bfe3777953b8ad6ef93f0fca1049b2041654f2a411f7702799cece02");
    }
}
