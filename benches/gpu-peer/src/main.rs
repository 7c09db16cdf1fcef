//! Stages on a GPU: ours by Vulkan beside the reference's by OpenCL, in turn, in one process.
//!
//! Each is handed the same input in memory and gives its result in memory, so that transfers count on both sides; the
//! results have to be equal. Prints CPU time, which on software devices is the work itself.
//!
//! Names of stages choose: `poseidon`, `transform`, `sum`; all of them without a name.

mod poseidon;
mod sums;
mod transforms;

use std::iter;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use blstrs::Scalar;
use ec_gpu_gen::rust_gpu_tools::{Device, Program, opencl};
use ff::Field;
use filecash_engine::backend::gpu::{Adapter, Gpu, GpuLimits, Team, TeamOptions};
use rustix::time::{ClockId, clock_gettime};

/// Counted runs of each side.
const RUNS: usize = 7;
const STAGES: [&str; 3] = ["poseidon", "transform", "sum"];

fn main() -> anyhow::Result<()> {
    let mut stages: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = stages.iter().find(|stage| !STAGES.contains(&stage.as_str())) {
        bail!("no stage {unknown}; there are {}", STAGES.join(", "));
    }
    if stages.is_empty() {
        stages = STAGES.map(str::to_owned).to_vec();
    }

    let adapter = Adapter::all().into_iter().next().context("no Vulkan adapter")?;
    let gpu = Gpu::open(&adapter, GpuLimits::default())?;
    println!("filecash: {}, {} limbs", adapter.info().name, gpu.device().form.name());
    // The device alone: what it could not do is an error and not the CPU's work.
    let team = Team::new(vec![Box::new(gpu)], TeamOptions { cpu: false, require_gpu: true, sample: 4096 });
    println!("reference: {}", opencl_device()?.name());
    println!("{RUNS} runs each in turn: median of CPU time (elapsed), least to most\n");
    println!("| | filecash | reference | ratio |\n|---|---|---|---|");
    for stage in &stages {
        match stage.as_str() {
            "poseidon" => poseidon::compare(&team)?,
            "transform" => transforms::compare(&team)?,
            _ => sums::compare(&team)?,
        }
    }
    Ok(())
}

/// The device that the reference takes.
fn opencl_device() -> anyhow::Result<&'static Device> {
    Device::all().into_iter().next().context("no OpenCL device that the reference takes for a GPU")
}

/// The reference's transforms and sums, compiled for its device.
fn program() -> anyhow::Result<Program> {
    let device = opencl_device()?.opencl_device().context("no OpenCL device")?;
    let source = include_str!(env!("_EC_GPU_OPENCL_KERNEL_SOURCE"));
    Ok(Program::Opencl(opencl::Program::from_opencl(device, source)?))
}

/// Field elements without a pattern.
fn elements() -> impl Iterator<Item = Scalar> {
    iter::successors(Some(Scalar::from(3)), |number| Some(number.square() - Scalar::from(5)))
}

/// CPU and elapsed seconds.
type Cost = [f64; 2];

/// What work costs.
fn timed<T>(work: impl FnOnce() -> T) -> (Cost, T) {
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (start, began) = (cpu(), Instant::now());
    let result = work();
    ([cpu() - start, began.elapsed().as_secs_f64()], result)
}

/// Runs both in turn, and prints a row of the table in a unit of so many seconds. The first run of each compiles and
/// does not count.
fn in_turn<T: PartialEq>(
    what: &str,
    unit: f64,
    mut ours: impl FnMut() -> anyhow::Result<(Cost, T)>,
    mut theirs: impl FnMut() -> anyhow::Result<(Cost, T)>,
) -> anyhow::Result<()> {
    let (mut own, mut reference) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let (their_cost, expected) = theirs()?;
        let (our_cost, result) = ours()?;
        ensure!(result == expected, "{what}: the results differ");
        if run > 0 {
            own.push(our_cost);
            reference.push(their_cost);
        }
    }
    let [own_median, reference_median] = [&mut own, &mut reference].map(|runs| {
        runs.sort_by(|left, right| left[0].total_cmp(&right[0]));
        runs[RUNS / 2][0]
    });
    let [own, reference] = [own, reference].map(|runs| {
        let [median, elapsed] = runs[RUNS / 2].map(|seconds| seconds / unit);
        format!("{median:.1} ({elapsed:.1}), {:.1} to {:.1}", runs[0][0] / unit, runs[RUNS - 1][0] / unit)
    });
    println!("| {what} | {own} | {reference} | {:.2} |", reference_median / own_median);
    Ok(())
}
