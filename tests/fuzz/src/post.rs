//! Vanilla proofs of space-time.

use std::sync::LazyLock;

use filecash_engine::field::fr;
use filecash_engine::merkle::path::{MerkleProof, PathElement, TreeKind};
use filecash_engine::post::{SectorProof, VanillaPoSt};
use filecash_engine::sector::{ApiVersion, PoStConfig, PoStKind, Profile, params};

use crate::edited;

/// Both kinds at 2 KiB, a single base tree, and windows of 32 KiB: trees of three kinds of levels.
static CONFIGS: LazyLock<[PoStConfig; 3]> = LazyLock::new(|| {
    let sizes = [(PoStKind::Winning, 2 << 10), (PoStKind::Window, 2 << 10), (PoStKind::Window, 32 << 10)];
    sizes.map(|(kind, size)| PoStConfig {
        profile: Profile::Filecoin,
        params: params::for_size(Profile::Filecoin, size).expect("a row of the table"),
        kind,
        api_version: ApiVersion::V1_2_0,
    })
});

/// A proof of the right form, of counted nodes, for each.
static SAMPLES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| CONFIGS.each_ref().map(sample));

fn sample(config: &PoStConfig) -> Vec<u8> {
    let mut count = 0_u64;
    let mut node = || {
        count += 1;
        let mut node = [0; 32];
        node[..8].copy_from_slice(&count.to_le_bytes());
        node
    };
    let shape = config.params.shape;
    let mut arities = vec![shape.base; config.params.base_leaves().ilog(shape.base as u64) as usize];
    arities.extend([shape.sub, shape.top].into_iter().filter(|arity| *arity > 0));
    let mut opening = |_| {
        let level = |arity: &usize| PathElement { hashes: (1..*arity).map(|_| node()).collect(), index: 1 };
        let levels = arities.iter().map(level).collect();
        MerkleProof::new(TreeKind::Poseidon(shape), node(), node(), levels).expect("the levels of such a tree")
    };
    let inclusion_proofs = (0..config.challenges()).map(&mut opening).collect();
    let proof = SectorProof { inclusion_proofs, comm_c: [1; 32], comm_r_last: [2; 32] };
    VanillaPoSt { sector_id: 7, comm_r: [3; 32], proof }.to_bytes().expect("memory takes all bytes")
}

/// Vanilla proofs in bincode: the bytes themselves, and as edits of a sample. Whatever is accepted is canonical
/// throughout and is written as it was read.
pub fn post_vanilla(data: &[u8]) -> usize {
    let mut accepted = 0;
    for (config, sample) in CONFIGS.iter().zip(&*SAMPLES) {
        let changed = edited(sample, data);
        for bytes in [data, &changed] {
            let Ok(vanilla) = VanillaPoSt::decode(config, bytes) else { continue };
            assert_eq!(vanilla.to_bytes().expect("memory takes all bytes"), bytes);
            let SectorProof { inclusion_proofs, comm_c, comm_r_last } = &vanilla.proof;
            assert_eq!(inclusion_proofs.len(), config.challenges());
            let nodes = inclusion_proofs.iter().flat_map(|proof| {
                [proof.root(), proof.leaf()].into_iter().chain(proof.levels().flat_map(|level| &level.hashes))
            });
            for node in nodes.chain([comm_c, comm_r_last, &vanilla.comm_r]) {
                fr::from_node(node).expect("what was accepted is canonical");
            }
            accepted += 1;
        }
    }
    accepted
}
