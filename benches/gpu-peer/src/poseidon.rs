//! Hashes of arity 8, against neptune.

use blstrs::Scalar;
use ff::PrimeField;
use filecash_engine::backend::gpu::Team;
use generic_array::GenericArray;
use generic_array::typenum::U8;
use neptune::BatchHasher;
use neptune::batch_hasher::Batcher;

use crate::{elements, in_turn, timed};

/// Hashes at a time.
const BATCH: usize = 8192;

pub fn compare(team: &Team) -> anyhow::Result<()> {
    let gpu = &team.members()[0].worker;
    let mut batcher = Batcher::<Scalar, U8>::pick_gpu(BATCH)?;
    let elements: Vec<Scalar> = elements().take(8 * BATCH).collect();
    let preimages: Vec<GenericArray<Scalar, U8>> = elements.chunks(8).map(GenericArray::clone_from_slice).collect();
    let nodes: Vec<[u8; 32]> = elements.iter().map(Scalar::to_repr).collect();
    let ours = || {
        let mut parents = vec![[0; 32]; BATCH];
        let (cost, done) = timed(|| gpu.poseidon_level(8, &nodes, &mut parents));
        done?;
        Ok((cost, parents))
    };
    let theirs = || {
        let (cost, hashes) = timed(|| batcher.hash(&preimages));
        Ok((cost, hashes?.iter().map(Scalar::to_repr).collect()))
    };
    in_turn(&format!("hash of arity 8, of {BATCH}, µs"), BATCH as f64 / 1e6, ours, theirs)
}
