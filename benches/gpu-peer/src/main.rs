//! Hashes of arity 8 on a GPU: ours by Vulkan beside the reference's (neptune) by OpenCL, in turn, in one process.
//!
//! Each is handed the same elements in memory and gives the hashes in memory, so that transfers count on both sides; the
//! hashes have to be equal. Prints CPU microseconds a hash, which on software devices is the work itself.

use std::time::Instant;

use anyhow::{Context, ensure};
use blstrs::Scalar;
use ff::PrimeField;
use filecash_engine::backend::gpu::{Adapter, Gpu, GpuLimits, Worker};
use generic_array::GenericArray;
use generic_array::typenum::U8;
use neptune::BatchHasher;
use neptune::batch_hasher::Batcher;
use rustix::time::{ClockId, clock_gettime};

/// Hashes at a time.
const BATCH: usize = 8192;
/// Counted runs of each side.
const RUNS: usize = 7;

fn main() -> anyhow::Result<()> {
    let adapter = Adapter::all().into_iter().next().context("no Vulkan adapter")?;
    let gpu = Gpu::open(&adapter, GpuLimits::default())?;
    let mut batcher = Batcher::<Scalar, U8>::pick_gpu(BATCH).map_err(|error| anyhow::anyhow!("no OpenCL device: {error:?}"))?;

    let elements: Vec<Scalar> = (0..8 * BATCH as u64).map(|i| Scalar::from(i * i + 1) * Scalar::from(u64::MAX - i)).collect();
    let preimages: Vec<GenericArray<Scalar, U8>> =
        elements.chunks(8).map(|inputs| GenericArray::clone_from_slice(inputs)).collect();
    let nodes: Vec<[u8; 32]> = elements.iter().map(Scalar::to_repr).collect();
    let mut parents = vec![[0; 32]; BATCH];

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let (hashes, reference) = timed(|| batcher.hash(&preimages));
        let hashes = hashes.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let (done, own) = timed(|| gpu.poseidon_level(8, &nodes, &mut parents));
        done?;
        ensure!(hashes.iter().map(Scalar::to_repr).eq(parents.iter().copied()), "the hashes differ");
        // The first run compiles.
        if run > 0 {
            theirs.push(reference);
            ours.push(own);
        }
    }
    println!("{} hashes of arity 8 at a time, {RUNS} runs each in turn, CPU microseconds a hash (elapsed)", BATCH);
    println!("filecash, {} ({} limbs), {}", adapter.info().name, gpu.device().form.name(), shown(&mut ours));
    println!("neptune 13, OpenCL, {}", shown(&mut theirs));
    println!("ratio of the medians: {:.2}", theirs[RUNS / 2].0 / ours[RUNS / 2].0);
    Ok(())
}

/// CPU and elapsed microseconds a hash.
fn timed<T>(work: impl FnOnce() -> T) -> (T, (f64, f64)) {
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
    };
    let (start, began) = (cpu(), Instant::now());
    let result = work();
    (result, ((cpu() - start) / BATCH as f64, began.elapsed().as_secs_f64() * 1e6 / BATCH as f64))
}

/// Sorts, and gives the median, the least and the most.
fn shown(runs: &mut [(f64, f64)]) -> String {
    runs.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (median, elapsed) = runs[runs.len() / 2];
    format!("median {median:.1} ({elapsed:.1}), {:.1} to {:.1}", runs[0].0, runs[runs.len() - 1].0)
}
