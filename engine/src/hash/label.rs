//! The hash that labels a node of a sector, in the plain version that every faster one is compared with.
//!
//! ```text
//! filecoin  label = trim(SHA-256(replica_id ‖ BE32(layer) ‖ BE64(node) ‖ 0²⁰ ‖ P₀ ‖ … ‖ P₃₆))
//! filecash  label = trim(SHA-512(W(replica_id) ‖ BE32(layer) ‖ BE64(node) ‖ 0⁵² ‖ W(P₀) ‖ … ‖ W(P₃₆))[..32])
//! ```
//!
//! The P are labels of parents, over and over until they are 37: in layer 1 of the six base parents, in later layers of
//! the six base parents and, from the layer before, of the eight expander parents. Node 0 has none. `W` widens 32 bytes
//! to 64. Layers count from 1, and the labels of the last one are the key that a replica is encoded with.
//! Source: `spec/replication.md` 5.1 to 5.4, `spec/filecash-profile.md` 1.

use sha2::{Digest, Sha256, Sha512};

use crate::field::Node;
use crate::hash::sha256::trim;
use crate::sector::params::{LABEL_PARENTS, NODE_SIZE};
use crate::sector::{Profile, ReplicaId};

/// `W`: 32 bytes, then their eight groups of four in reverse order with every bit turned over.
///
/// Bytes keep their order inside a group. Source: `spec/filecash-profile.md` 1.1.
pub fn widen(node: &Node) -> [u8; 2 * NODE_SIZE] {
    let mut wide = [0; 2 * NODE_SIZE];
    let (plain, turned) = wide.split_at_mut(NODE_SIZE);
    plain.copy_from_slice(node);
    for (to, from) in turned.chunks_exact_mut(4).zip(node.chunks_exact(4).rev()) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = !from);
    }
    wide
}

/// The label of one node, where `parents` are the labels that are hashed, in order and with their repetitions: none
/// for node 0, [`LABEL_PARENTS`] for every other node.
pub fn label(profile: Profile, replica_id: &ReplicaId, layer: u32, node: u64, parents: &[Node]) -> Node {
    debug_assert_eq!(parents.len(), if node == 0 { 0 } else { LABEL_PARENTS });
    match profile {
        Profile::Filecoin => {
            let mut hasher = Sha256::new();
            hasher.update(replica_id);
            hasher.update(layer.to_be_bytes());
            hasher.update(node.to_be_bytes());
            hasher.update([0; 20]);
            parents.iter().for_each(|parent| hasher.update(parent));
            trim(hasher.finalize().into())
        }
        Profile::Filecash => {
            let mut hasher = Sha512::new();
            hasher.update(widen(replica_id));
            hasher.update(layer.to_be_bytes());
            hasher.update(node.to_be_bytes());
            hasher.update([0; 52]);
            parents.iter().for_each(|parent| hasher.update(widen(parent)));
            let hash = hasher.finalize();
            trim(std::array::from_fn(|i| hash[i]))
        }
    }
}

/// The labels that the label of a node other than 0 hashes: those of its distinct places, 6 in layer 1 and 14 later,
/// over and over until they are 37.
pub fn repeat(parents: &[Node]) -> [Node; LABEL_PARENTS] {
    std::array::from_fn(|i| parents[i % parents.len()])
}
