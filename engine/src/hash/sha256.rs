//! SHA-256 where its result has to live in the field.
//!
//! `trim(h)` clears the two top bits of byte 31; `sha_node(l, r) = trim(SHA-256(l ‖ r))` is the node function of TreeD
//! and CommP. Source: `spec/replication.md` 0.2 and 0.3.

use sha2::{Digest, Sha256};

use crate::field::Node;

/// Clears the two top bits of a little-endian value, so that it is below 2²⁵⁴.
pub fn trim(mut hash: Node) -> Node {
    hash[31] &= 0x3f;
    hash
}

/// The parent of two nodes in a binary SHA-256 tree.
pub fn sha_node(left: &Node, right: &Node) -> Node {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    trim(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

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
