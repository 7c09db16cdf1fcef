//! What the steps of a sector update hand to each other.

use std::sync::LazyLock;

use filecash_engine::field::{Node, fr};
use filecash_engine::merkle::path::{MerkleProof, PathElement, TreeKind};
use filecash_engine::sector::Profile;
use filecash_engine::update::{ChallengeProof, Encoded, PartitionProof, UpdateConfig, UpdateShape};

use crate::edited;

/// Updates of 2 KiB sectors, one partition under one base tree, and of 32 KiB: two partitions, trees of three kinds of
/// levels.
static SHAPES: LazyLock<[UpdateShape; 2]> = LazyLock::new(|| {
    [2 << 10, 32 << 10].map(|size| UpdateConfig::for_size(Profile::Filecoin, size).expect("a row of the table").shape)
});

/// Proofs of the right form, of counted nodes, for each shape; as a file.
static SAMPLES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| SHAPES.each_ref().map(sample));

fn sample(shape: &UpdateShape) -> Vec<u8> {
    let mut count = 0_u64;
    let mut node = || {
        count += 1;
        let mut node = [0; 32];
        node[..8].copy_from_slice(&count.to_le_bytes());
        node
    };
    let mut opening = |kind, arities: &[usize]| {
        let level = |arity: &usize| PathElement { hashes: (1..*arity).map(|_| node()).collect(), index: 1 };
        let levels = arities.iter().map(level).collect();
        MerkleProof::new(kind, node(), node(), levels).expect("the levels of such a tree")
    };
    let proof = |_| PartitionProof {
        comm_c: [1; 32],
        apex_leafs: vec![[2; 32]; shape.apex_leaves],
        challenge_proofs: (0..shape.challenges)
            .map(|_| ChallengeProof {
                proof_r_old: opening(shape.poseidon(), &shape.tree_arities()),
                proof_d_new: opening(TreeKind::Data, &vec![2; shape.log2_nodes]),
                proof_r_new: opening(shape.poseidon(), &shape.tree_arities()),
            })
            .collect(),
    };
    let proofs: Vec<_> = (0..shape.partitions).map(proof).collect();
    let mut bytes = Vec::new();
    PartitionProof::write_all(&proofs, &mut bytes).expect("memory takes all bytes");
    bytes
}

/// Partition proofs in bincode, alone and as a file of all: the bytes themselves, and as edits of a sample. Whatever is
/// accepted is canonical throughout and is written as it was read.
pub fn partition_proofs(data: &[u8]) -> usize {
    let mut accepted = 0;
    for (shape, sample) in SHAPES.iter().zip(&*SAMPLES) {
        let changed = edited(sample, data);
        for bytes in [data, &changed] {
            if let Ok(proofs) = PartitionProof::read_all(shape, bytes) {
                assert_eq!(proofs.len(), shape.partitions);
                proofs.iter().for_each(check);
                let mut written = Vec::new();
                PartitionProof::write_all(&proofs, &mut written).expect("memory takes all bytes");
                assert_eq!(written, bytes);
                accepted += 1;
            }
        }
        for bytes in [data, changed.get(8..).unwrap_or_default()] {
            if let Ok(proof) = PartitionProof::from_bytes(shape, 0, bytes) {
                check(&proof);
                assert_eq!(proof.to_bytes().expect("memory takes all bytes"), bytes);
                accepted += 1;
            }
        }
    }
    accepted
}

fn check(proof: &PartitionProof) {
    let canonical = |node: &Node| assert!(fr::from_node(node).is_ok());
    canonical(&proof.comm_c);
    proof.apex_leafs.iter().for_each(canonical);
    for ChallengeProof { proof_r_old, proof_d_new, proof_r_new } in &proof.challenge_proofs {
        for opening in [proof_r_old, proof_d_new, proof_r_new] {
            [opening.root(), opening.leaf()].into_iter().for_each(canonical);
            opening.levels().flat_map(|level| &level.hashes).for_each(canonical);
        }
    }
}

/// The JSON of an encoding, of either network: Filecash has none.
pub fn update_json(data: &[u8]) -> usize {
    assert!(Encoded::from_json(Profile::Filecash, data).is_err());
    let Ok((proof, encoded)) = Encoded::from_json(Profile::Filecoin, data) else { return 0 };
    encoded.commitments.check().expect("checked when read");
    let mut written = Vec::new();
    encoded.write_json(&proof, &mut written).expect("memory takes all bytes");
    assert_eq!(Encoded::from_json(Profile::Filecoin, &written).expect("read back"), (proof, encoded));
    1
}
