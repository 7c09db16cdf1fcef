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
/// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
#[rustfmt::skip]
pub(super) const ROUND: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

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

/// The SHA-256 of a message of whole blocks that comes in parts.
#[derive(Clone, Debug)]
pub struct BlockDigest {
    state: [u32; 8],
    blocks: u64,
}

impl Default for BlockDigest {
    fn default() -> Self {
        Self { state: INITIAL, blocks: 0 }
    }
}

impl BlockDigest {
    /// Takes the next part of each of some messages, two at a time where the processor has the instructions for it, which is
    /// faster.
    ///
    /// # Panics
    /// When the parts differ in length or are not as many as the messages.
    pub fn update_all(messages: &mut [&mut Self], parts: &[&[[u8; 64]]]) {
        assert_eq!(messages.len(), parts.len(), "a part of each message");
        #[cfg(target_arch = "x86_64")]
        let (messages, parts) = {
            let (pairs, rest) = messages.as_chunks_mut::<2>();
            let (parts_of_pairs, rest_of_parts) = parts.as_chunks::<2>();
            for ([message, other], parts) in pairs.iter_mut().zip(parts_of_pairs) {
                if super::sha256_ni::compress_two([&mut message.state, &mut other.state], *parts) {
                    message.blocks += parts[0].len() as u64;
                    other.blocks += parts[1].len() as u64;
                } else {
                    message.update(parts[0]);
                    other.update(parts[1]);
                }
            }
            (rest, rest_of_parts)
        };
        messages.iter_mut().zip(parts).for_each(|(message, part)| message.update(part));
    }

    /// Takes the next part of one.
    pub fn update(&mut self, part: &[[u8; 64]]) {
        compress256(&mut self.state, part);
        self.blocks += part.len() as u64;
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 32] {
        let mut last = [0; 64];
        last[0] = 0x80;
        last[56..].copy_from_slice(&(self.blocks * 512).to_be_bytes());
        compress256(&mut self.state, &[last]);
        bytemuck::cast(self.state.map(u32::to_be))
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

    #[test]
    fn digests_of_many_messages_are_those_of_each() {
        for count in [0, 1, 2, 3, 4, 5] {
            for parts in [&[][..], &[0], &[1], &[2], &[1, 0, 7, 2]] {
                let length: usize = parts.iter().sum();
                let messages: Vec<Vec<[u8; 64]>> = (0..count)
                    .map(|seed| (0..length).map(|at| std::array::from_fn(|i| (i * 7 + at * 31 + seed) as u8)).collect())
                    .collect();
                let mut digests = vec![BlockDigest::default(); count];
                let mut begin = 0;
                for part in parts {
                    let parts: Vec<_> = messages.iter().map(|message| &message[begin..begin + part]).collect();
                    BlockDigest::update_all(&mut digests.iter_mut().collect::<Vec<_>>(), &parts);
                    begin += part;
                }
                for (digest, message) in digests.into_iter().zip(&messages) {
                    assert_eq!(digest.finish(), *Sha256::digest(message.as_flattened()), "{count} {parts:?}");
                }
            }
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
