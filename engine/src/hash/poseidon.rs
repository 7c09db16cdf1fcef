//! Poseidon over Fr: the hash of Poseidon trees, columns, CommR and update randomness.
//!
//! `hash(x_1, …, x_a) = permute(tag, x_1, …, x_a)[1]`. [`permute_plain`] is the definition, round by round;
//! [`permute_sparse`] the form of the constants that circuits use. Source: `spec/replication.md` 6.1.

use ff::Field;

pub use super::poseidon_constants::MAX_ARITY;
use super::poseidon_constants::{Constants, HALF_FULL_ROUNDS, Tag, constants};
use super::poseidon_scaled;
use crate::field::fr::{from_node, to_node};
use crate::field::{Fr, Node, NonCanonical};

/// The hash of 1 to 36 elements under the tag of Merkle trees.
///
/// # Panics
/// With no or more than [`MAX_ARITY`] inputs: arities are part of the protocol, never input.
pub fn hash(inputs: &[Fr]) -> Fr {
    hash_with(inputs, Tag::Merkle)
}

/// The hash of two elements under the tag of update randomness (`Hc` in the specification).
pub fn hash_random(inputs: &[Fr; 2]) -> Fr {
    hash_with(inputs, Tag::Random)
}

/// The hash of 1 to 36 nodes under the tag of Merkle trees.
///
/// # Errors
/// [`NonCanonical`] when a node is no field element.
///
/// # Panics
/// As [`hash`].
pub fn hash_nodes(inputs: &[Node]) -> Result<Node, NonCanonical> {
    if let Some(scaled) = poseidon_scaled::words_64(inputs.len(), Tag::Merkle) {
        return poseidon_scaled::hash_nodes(scaled, inputs);
    }
    let elements = inputs.iter().map(from_node).collect::<Result<Vec<_>, _>>()?;
    Ok(to_node(&hash_sparse(&elements, Tag::Merkle)))
}

/// `hash_nodes` of two: CommR from CommC and CommRLast.
///
/// # Errors
/// [`NonCanonical`] when a node is no field element.
pub fn hash2(left: &Node, right: &Node) -> Result<Node, NonCanonical> {
    hash_nodes(&[*left, *right])
}

/// `parents[i] = hash_nodes(children[i·arity..][..arity])`, on this thread.
///
/// # Errors
/// [`NonCanonical`] when a child is no field element.
///
/// # Panics
/// When `arity` is not that of an instance, as [`hash`].
pub fn hash_batch(arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), NonCanonical> {
    #[cfg(target_arch = "x86_64")]
    let done = super::poseidon_ifma::hash_groups(arity, children, parents)?;
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    for (parent, children) in parents.iter_mut().zip(children.chunks_exact(arity)).skip(done) {
        *parent = hash_nodes(children)?;
    }
    Ok(())
}

/// The hash by the definition, to compare with.
///
/// # Panics
/// As [`hash`].
pub fn hash_plain(inputs: &[Fr], tag: Tag) -> Fr {
    let constants = constants(inputs.len(), tag);
    let mut state = initial(constants, inputs);
    permute_plain(constants, &mut state);
    state[1]
}

fn hash_with(inputs: &[Fr], tag: Tag) -> Fr {
    let Some(scaled) = poseidon_scaled::words_64(inputs.len(), tag) else { return hash_sparse(inputs, tag) };
    let mut nodes = [[0; 32]; poseidon_scaled::MAX_WIDTH];
    for (node, input) in nodes.iter_mut().zip(inputs) {
        *node = to_node(input);
    }
    let hash = poseidon_scaled::hash_nodes(scaled, &nodes[..inputs.len()]);
    hash.and_then(|hash| from_node(&hash)).expect("bytes of field elements and hashes are canonical")
}

/// The hash in the optimised form of the constants.
///
/// # Panics
/// As [`hash`].
pub fn hash_sparse(inputs: &[Fr], tag: Tag) -> Fr {
    let constants = constants(inputs.len(), tag);
    let mut state = initial(constants, inputs);
    permute_sparse(constants, &mut state);
    state[1]
}

fn initial(constants: &Constants, inputs: &[Fr]) -> Vec<Fr> {
    let mut state = Vec::with_capacity(constants.width);
    state.push(constants.tag);
    state.extend_from_slice(inputs);
    state
}

/// x⁵.
fn quintic(x: &Fr) -> Fr {
    x.square().square() * x
}

/// `state·matrix`; the matrix of partial rounds is symmetric, so that this is also `matrix·state`.
fn mix(state: &mut Vec<Fr>, matrix: &[Vec<Fr>]) {
    *state = (0..state.len()).map(|j| state.iter().zip(matrix).map(|(x, row)| x * row[j]).sum()).collect();
}

/// The permutation, round by round as it is defined. `state` has `constants.width` elements.
pub fn permute_plain(constants: &Constants, state: &mut Vec<Fr>) {
    let partial = HALF_FULL_ROUNDS..HALF_FULL_ROUNDS + constants.partial_rounds;
    for (round, keys) in constants.round_constants.iter().enumerate() {
        for (x, key) in state.iter_mut().zip(keys) {
            *x += key;
        }
        let boxes = if partial.contains(&round) { 1 } else { constants.width };
        for x in &mut state[..boxes] {
            *x = quintic(x);
        }
        mix(state, &constants.mds);
    }
}

/// The permutation in the optimised form of [`Constants`]. `state` has `constants.width` elements.
pub fn permute_sparse(constants: &Constants, state: &mut Vec<Fr>) {
    let full = |state: &mut Vec<Fr>, keys: &[Fr], matrix: &[Vec<Fr>]| {
        for (x, key) in state.iter_mut().zip(keys) {
            *x = quintic(x) + key;
        }
        mix(state, matrix);
    };
    for (x, key) in state.iter_mut().zip(&constants.pre) {
        *x += key;
    }
    let (last, first) = constants.post.split_last().expect("there are four vectors of post constants");
    for keys in first {
        full(state, keys, &constants.mds);
    }
    full(state, last, &constants.pre_sparse);
    for (key, matrix) in constants.partial_keys.iter().zip(&constants.sparse) {
        let x = quintic(&state[0]) + key;
        state[0] = x;
        let sum = state.iter().zip(&matrix.w).map(|(x, w)| x * w).sum();
        for (element, v) in state[1..].iter_mut().zip(&matrix.v) {
            *element += x * v;
        }
        state[0] = sum;
    }
    for keys in &constants.post2 {
        full(state, keys, &constants.mds);
    }
    full(state, &vec![Fr::ZERO; constants.width], &constants.mds);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(from: u64, count: usize) -> Vec<Fr> {
        (from..from + count as u64).map(Fr::from).collect()
    }

    /// spec/replication.md 12.3: Hseq, Hseq1, Hzero.
    #[test]
    fn hashes_match_reference() {
        #[rustfmt::skip]
        let vectors = [
            (2, "ffe7029a363c202e9da6059d33a9fba661e1ef02d90f9e736ba5765ed7086539", "bea95f3e83d91793d896586e724ec069769d6a43afcbab7b4d1f7f6506816f6d", "d413460e7f14e58b413d1defe188d36fb761afe5c6a733db6c6f1931130bfe48"),
            (4, "5d076266ff149801ec2713bf05466bfb99932279653cdb008a84e5a9104ba558", "c5d928f4bc376414f3a25c0933caefcdb7ac69f7d9351f96ea7d60e22412183d", "bc11972b952e47641b62832393589af9eed366b878b8130f5f7e1ed875c4ce65"),
            (5, "7d68eef634cd988e5524f0758249ed6a40a0d7f517873165f2a36492a283e76b", "7c0289e39a98f36c282aa6f505e93ebce206cdc72f0d6a2eecc96fb20f221a6a", "c123a802baffc139f95b81b85e9feaaa964c2998d81b816ba17b3600d2a1e340"),
            (8, "e6a5386df534992ad9aec49c9d2e684b777067114200011255dea5a31d619423", "7ec0e1c106a134b810eee278ecefca3ee8c429116af3d14376e0c48f2ed4ed04", "3a9bffca31b48234d189b30de60b7c33f529c08b0836a004f98938b614e6793f"),
            (11, "6331692bc3bbe3cec18fb0ccd8dcf3097ae8eb32e237a56c287f22e5b2c10f0c", "bd8022e95811611cf4df43adad526f4ccabcda49af1e79861696800ecd7e8104", "94fe4fc1d1b7c885c9538810707ed5691b68a11db65e2118cf928634ea2d1f44"),
            (1, "dfd73be764b8405c5e41333849763876fd62aed7ec2e05f5cba361a386416023", "4c18da36c75b131a9dfe9fe491a05b317d43ad9bf5d8bc56c02f49b85136e53b", "dfd73be764b8405c5e41333849763876fd62aed7ec2e05f5cba361a386416023"),
            (16, "376d266040c791126f0a68306dbc8d5b631e876f5afbc2c18aae813366e23a2d", "480149a252e9bd8bafd9e31aa26f4eeeafe9345d22335de473e1a2b3aa5e254f", "03bf09bac34c9032b72c8d73b6247a1101b8a4fa18e4f766db0183434c3cec01"),
            (24, "21b385f56935efd7b1158846f679e7c39f3d3f78bf396f0615ae111f83b8be63", "a1d8eae7baff54976927a3a45e82acc32e0b6f8232fa612ee394c89adb91ee59", "b9a49d6b9a40f0af18f015b31ebf5eaed22811db97f5bf3ab911db2302c4d62c"),
            (36, "40814efa6d6073443caca8f88d36cd75aabb103ce0300a545f5d6e2a08039369", "035e30bf425ca6c178f183dfd3742e5872f68158e3bde044cd3872e53e177527", "a8e3a21a620103f65e34ba340c9bf2f0ea5df75a9845c811eaafc82f66894e02"),
        ];
        for (arity, from_0, from_1, zeros) in vectors {
            let cases = [(numbers(0, arity), from_0), (numbers(1, arity), from_1), (vec![Fr::ZERO; arity], zeros)];
            for (inputs, expected) in cases {
                assert_eq!(hex::encode(to_node(&hash_plain(&inputs, Tag::Merkle))), expected, "plain, {arity}");
                assert_eq!(hex::encode(to_node(&hash_sparse(&inputs, Tag::Merkle))), expected, "sparse, {arity}");
                assert_eq!(hex::encode(to_node(&hash(&inputs))), expected, "{arity}");
                let nodes: Vec<_> = inputs.iter().map(to_node).collect();
                assert_eq!(hex::encode(hash_nodes(&nodes).unwrap()), expected, "nodes, {arity}");
            }
        }
    }

    /// spec/replication.md 12.3, custom tag.
    #[test]
    fn random_hashes_match_reference() {
        let vectors = [
            ([0, 0], "b3f18da3b9c14f6cc04be465c31c812e95510e8eb8b13f75263ca08d5c127823"),
            ([0, 1], "587707bcc44ea7e5c7677339ea0b58e325fea03481c51fad4e92f0e7c4354a31"),
            ([1, 2], "3c2fe9b59c5f0de453bbb6db5c84af5448c7d4c1fbf41830ab05dbaf9b872c70"),
        ];
        for (inputs, expected) in vectors {
            let inputs = inputs.map(Fr::from);
            assert_eq!(hex::encode(to_node(&hash_random(&inputs))), expected);
            assert_eq!(hex::encode(to_node(&hash_plain(&inputs, Tag::Random))), expected);
        }
    }

    /// spec/replication.md 12.3, tree of 1, 0, 0, 1.
    #[test]
    fn binary_tree_matches_reference() {
        let [zero, one] = [Fr::ZERO, Fr::ONE].map(|x| to_node(&x));
        let left = hash2(&one, &zero).unwrap();
        assert_eq!(hex::encode(left), "5e0b807960ff39b3af9430dcb30759ec264fa274cc03c093c36b78beff942f04");
        let root = hash2(&left, &hash2(&zero, &one).unwrap()).unwrap();
        assert_eq!(hex::encode(root), "71e691e2e38bbbefd25a2bcbb872cc77ae746bae8563eb30ebd96ab2b7ebff1e");
        let ones = hash2(&one, &one).unwrap();
        assert_eq!(hex::encode(ones), "b308150c2b95ae6c3f7a347b15fe5b130960e79e179d361597dd297e02dc3541");
    }

    #[test]
    fn fast_form_matches_plain_at_every_arity() {
        for arity in 1..=16 {
            let mut inputs = numbers(1 << 40, arity);
            inputs[arity / 2] = -Fr::ONE;
            inputs[arity - 1] = -Fr::from(7);
            assert_eq!(hash(&inputs), hash_plain(&inputs, Tag::Merkle), "{arity}");
            assert_eq!(hash_sparse(&inputs, Tag::Merkle), hash_plain(&inputs, Tag::Merkle), "{arity}");
        }
    }

    #[test]
    fn nodes_above_the_field_are_rejected() {
        let bad = [0xff; 32];
        assert_eq!(hash2(&[0; 32], &bad), Err(NonCanonical(bad)));
        assert_eq!(hash_nodes(&[bad; 8]), Err(NonCanonical(bad)));
    }
}
