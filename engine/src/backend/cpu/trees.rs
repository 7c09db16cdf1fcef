//! Levels of Merkle trees: a parent for every `arity` children, on all cores.

use rayon::prelude::*;

use crate::backend::BackendError;
use crate::field::Node;
use crate::hash::poseidon;
use crate::hash::sha256::sha_nodes;

/// Parents that one task computes: milliseconds of Poseidon, and a multiple of every vector width.
const POSEIDON_TASK: usize = 64;
/// Parents that one task computes, of a binary SHA-256 level.
const SHA_TASK: usize = 1024;

/// `parents[i] = Poseidon(children[i·arity], …)`, under the tag of Merkle trees.
///
/// # Errors
/// [`BackendError`] when the lengths do not fit or a child is no field element.
pub fn poseidon_level(arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
    if arity == 0 || arity > poseidon::MAX_ARITY || children.len() != parents.len() * arity {
        return Err(BackendError::Lengths { arity, children: children.len(), parents: parents.len() });
    }
    if parents.len() <= POSEIDON_TASK {
        return Ok(poseidon::hash_batch(arity, children, parents)?);
    }
    let tasks = parents.par_chunks_mut(POSEIDON_TASK).zip(children.par_chunks(POSEIDON_TASK * arity));
    tasks.try_for_each(|(parents, children)| Ok(poseidon::hash_batch(arity, children, parents)?))
}

/// `parents[i] = sha_node(children[2i], children[2i + 1])`.
pub fn sha_level(children: &[Node], parents: &mut [Node]) {
    if parents.len() <= SHA_TASK {
        return sha_nodes(children, parents);
    }
    let tasks = parents.par_chunks_mut(SHA_TASK).zip(children.par_chunks(SHA_TASK * 2));
    tasks.for_each(|(parents, children)| sha_nodes(children, parents));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::NonCanonical;
    use crate::hash::sha256::sha_node;

    fn nodes(count: usize) -> Vec<Node> {
        (0..count).map(|i| std::array::from_fn(|j| ((i * 31 + j * 7) % 251) as u8 & 0x3f)).collect()
    }

    #[test]
    fn levels_match_single_hashes() {
        for arity in [2, 5, 8] {
            for count in [0, 1, 7, 8, 9, 31, POSEIDON_TASK * 2 + 1] {
                let children = nodes(count * arity);
                let mut parents = vec![[0xff; 32]; count];
                poseidon_level(arity, &children, &mut parents).unwrap();
                for (parent, children) in parents.iter().zip(children.chunks(arity)) {
                    assert_eq!(poseidon::hash_nodes(children), Ok(*parent));
                }
            }
        }
        for count in [0, 1, 15, 16, 17, 31, SHA_TASK + 1] {
            let children = nodes(count * 2);
            let mut parents = vec![[0xff; 32]; count];
            sha_level(&children, &mut parents);
            for (parent, children) in parents.iter().zip(children.chunks(2)) {
                assert_eq!(sha_node(&children[0], &children[1]), *parent);
            }
        }
    }

    #[test]
    fn wrong_input_is_rejected() {
        let mut children = nodes(8 * (POSEIDON_TASK + 1));
        let mut parents = vec![[0; 32]; POSEIDON_TASK + 1];
        for (arity, children) in [(0, &children[..]), (8, &children[1..]), (2, &children[..])] {
            assert!(matches!(poseidon_level(arity, children, &mut parents), Err(BackendError::Lengths { .. })));
        }
        let bad = [0xff; 32];
        children[8 * POSEIDON_TASK + 3] = bad;
        let error = poseidon_level(8, &children, &mut parents).unwrap_err();
        assert!(matches!(error, BackendError::NonCanonical(NonCanonical(node)) if node == bad));
    }
}
