//! `filecash bench kernels`: how fast the heavy loops are, on the CPU and on the devices that were asked for.
//!
//! The CPU does a fixed amount of work from memory to memory. Devices are timed as `filecash devices` times them, on more
//! and more work at a time, transfers included; a run of theirs is what so many items would take at that rate, and says
//! nothing of the CPU or of memory.

use std::hint::black_box;
use std::iter;

use blstrs::{G1Projective, G2Projective};
use ff::Field as _;
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::backend::cpu::ntt::{Domain, Points, Transform};
use filecash_engine::backend::points::{PointBlock, SumPlan};
use filecash_engine::field::{Fr, Node};
use filecash_engine::graph::{Graph, ParentTable};
use filecash_engine::hash::label_lanes::group_size;
use filecash_engine::porep::encode::encode;
use filecash_engine::porep::labels_lockstep;
use filecash_engine::porep::labels_pipelined::LayerLabels;
use filecash_engine::sector::{Profile, ReplicaId, SealProof};
use group::{Curve, Group, UncompressedEncoding};

use super::Times;
use super::document::{Benchmark, Document, Phase, Settings};
use super::machine::{Device, Machine};
use super::sealing;
use super::series::Series;
use crate::args::bench::Kernels;
use crate::context::Context;
use crate::report::{Failure, Kind};

/// Arities of the trees, and of the columns of 2, 8 and 11 layers.
const ARITIES: [usize; 4] = [2, 4, 8, 11];
const HASHES: usize = 1 << 15;
const TREE_LEAVES: usize = 1 << 19;
const ENCODED: usize = 1 << 20;
const TRANSFORMED: usize = 1 << 19;
const G1_POINTS: usize = 1 << 15;
const G2_POINTS: usize = 1 << 13;
/// Different points; their sums take as long as those of as many as there are.
const DIFFERENT: usize = 1 << 10;
/// A sector whose layers the parents come out of.
const LABELLED: u64 = 8 << 20;
/// Sectors that are there to be labelled in lockstep.
const SECTORS: usize = 16;
/// Bytes for the buckets of a sum.
const SUM_BYTES: u64 = 256 << 20;

/// What is timed.
type Run = Box<dyn FnMut() -> anyhow::Result<()>>;

/// A loop that is timed.
struct Kernel {
    name: String,
    amount: (u64, &'static str),
    /// Makes what is run, inputs included; only of kernels that are asked for.
    make: Box<dyn Fn() -> anyhow::Result<Run>>,
}

impl Kernel {
    fn new<S: 'static>(
        name: impl Into<String>,
        amount: (usize, &'static str),
        make: impl Fn() -> anyhow::Result<S> + 'static,
        run: impl Fn(&mut S) -> anyhow::Result<()> + Clone + 'static,
    ) -> Self {
        let make = move || -> anyhow::Result<Run> {
            let (mut state, run) = (make()?, run.clone());
            Ok(Box::new(move || run(black_box(&mut state))))
        };
        Self { name: name.into(), amount: (amount.0 as u64, amount.1), make: Box::new(make) }
    }
}

/// Runs the verb.
pub fn run(args: &Kernels, context: &Context) -> anyhow::Result<Document> {
    let times = Times::short(&args.repeats);
    let is_asked = |name: &str| args.kernel.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let outcome = (|| {
        let mut phases = vec![];
        for kernel in all(context.profile()).into_iter().filter(|kernel| is_asked(&kernel.name)) {
            context.teller.note(&format!("{} on the CPU", kernel.name));
            let mut run = (kernel.make)()?;
            let series = Series::new(kernel.name, kernel.amount, times);
            phases.push(series.run(context, |_| Ok(()), |()| run())?.0);
        }
        let devices = on_devices(context, times, &is_asked, &mut phases)?;
        Ok::<_, anyhow::Error>((phases, devices))
    })();
    let (phases, devices) = context.kept(outcome, || "no result was written".to_owned())?;
    if phases.is_empty() {
        let names: Vec<_> = all(context.profile()).into_iter().map(|kernel| kernel.name).collect();
        let message = format!("no kernel has {:?} in its name", args.kernel.as_deref().unwrap_or_default());
        return Err(Failure::new(Kind::Usage, message).hint(format!("there are: {}", names.join(", "))).into());
    }
    let settings = Settings { sector_size_bytes: None, is_test_size: None, ..sealing::settings(context, 0, 0) };
    Ok(Document::new(Benchmark::Kernels, Machine::of(devices), settings, phases, None))
}

/// All kernels of a network.
fn all(profile: Profile) -> Vec<Kernel> {
    let mut kernels: Vec<_> = ARITIES.into_iter().map(poseidon).collect();
    kernels.extend([sha256_tree(), encoding(), transform()]);
    kernels.push(sum::<G1Projective>("sum g1, scalars", G1_POINTS, true, |plan, block| {
        Cpu.sum_g1(plan, &mut iter::once(block)).map(drop)
    }));
    kernels.push(sum::<G1Projective>("sum g1, ones", G1_POINTS, false, |plan, block| {
        Cpu.sum_g1(plan, &mut iter::once(block)).map(drop)
    }));
    kernels.push(sum::<G2Projective>("sum g2, scalars", G2_POINTS, true, |plan, block| {
        Cpu.sum_g2(plan, &mut iter::once(block)).map(drop)
    }));
    let lockstep = group_size(profile, SECTORS, 1, SECTORS);
    kernels.extend([1, lockstep.max(2)].map(|sectors| labels(profile, sectors)));
    kernels
}

/// Nodes below the field's modulus.
fn nodes(count: usize, step: usize) -> Vec<Node> {
    let byte = |i: usize, j: usize| (i * (131 + 2 * step) + j * 29 + i / 251 + step) % 253;
    (0..count).map(|i| std::array::from_fn(|j| byte(i, j) as u8 & if j == 31 { 0x3f } else { 0xff })).collect()
}

/// Elements without a pattern.
fn elements(count: usize) -> Vec<Fr> {
    iter::successors(Some(Fr::from(3)), |element| Some(element.square() + Fr::ONE)).skip(10).take(count).collect()
}

fn poseidon(arity: usize) -> Kernel {
    let make = move || Ok((nodes(HASHES * arity, 0), nodes(HASHES, 1)));
    Kernel::new(format!("poseidon {arity}"), (HASHES, "hashes"), make, move |(children, parents)| {
        Ok(Cpu.poseidon_level(arity, children, parents)?)
    })
}

fn sha256_tree() -> Kernel {
    let make = || Ok((nodes(TREE_LEAVES, 0), nodes(TREE_LEAVES, 1)));
    Kernel::new("sha256 tree", (TREE_LEAVES - 1, "hashes"), make, |(leaves, rows)| {
        let mut below = &leaves[..];
        let mut above = &mut rows[..];
        while below.len() > 1 {
            let (row, rest) = std::mem::take(&mut above).split_at_mut(below.len() / 2);
            Cpu.sha_level(below, row)?;
            (below, above) = (row, rest);
        }
        Ok(())
    })
}

fn encoding() -> Kernel {
    let make = || Ok((nodes(ENCODED, 0), nodes(ENCODED, 3)));
    Kernel::new("encode", (ENCODED, "nodes"), make, |(values, keys)| Ok(encode(values, keys)?))
}

fn transform() -> Kernel {
    let make = || Ok((Domain::at_least(TRANSFORMED)?, elements(TRANSFORMED)));
    Kernel::new("transform", (TRANSFORMED, "elements"), make, |(domain, values)| {
        Ok(Cpu.transform(domain, values, &[Transform::Evaluate(Points::Roots)])?)
    })
}

fn sum<G>(
    name: &'static str,
    points: usize,
    with_scalars: bool,
    run: impl Fn(&SumPlan, PointBlock) -> Result<(), filecash_engine::backend::BackendError> + Clone + 'static,
) -> Kernel
where
    G: Curve<AffineRepr: Clone + Default + UncompressedEncoding> + Group<Scalar = Fr>,
{
    let make = move || {
        let base = G::generator() * elements(1)[0];
        let few: Vec<G> = iter::successors(Some(base), |point| Some(*point + base)).take(DIFFERENT).collect();
        let mut affine = vec![G::AffineRepr::default(); DIFFERENT];
        G::batch_normalize(&few, &mut affine);
        let few: Vec<_> = affine.iter().map(UncompressedEncoding::to_uncompressed).collect();
        let bytes: Vec<u8> = few.iter().cycle().take(points).flat_map(|point| point.as_ref().to_vec()).collect();
        let (bytes, all) = (bytes.into(), (0..points as u32).collect());
        Ok(match with_scalars {
            true => PointBlock { bytes, multiples: all, scalars: elements(points), ..PointBlock::default() },
            false => PointBlock { bytes, ones: all, ..PointBlock::default() },
        })
    };
    // The sum takes its block; a copy takes nothing beside it.
    Kernel::new(name, (points, "points"), make, move |block| {
        Ok(run(&SumPlan { points, memory_bytes: SUM_BYTES }, block.clone())?)
    })
}

/// Labels of layer 2, by one core, of so many sectors in lockstep.
fn labels(profile: Profile, sectors: usize) -> Kernel {
    struct Layers {
        table: ParentTable,
        ids: Vec<ReplicaId>,
        first: Vec<Vec<Node>>,
        second: Vec<Vec<Node>>,
    }
    let hash = match profile {
        Profile::Filecoin => "sha256",
        Profile::Filecash => "sha512",
    };
    let name = format!("labels {hash}, {sectors} at once, one core");
    let count = (LABELLED / 32) as usize;
    let make = move || {
        let table = ParentTable::compute(&Graph::new(&SealProof::for_size(profile, LABELLED)?.config()));
        let ids = (0..sectors).map(|i| std::array::from_fn(|byte| (i * 37 + byte * 11) as u8)).collect();
        // Any labels do for the layer before.
        let first = (0..sectors).map(|i| nodes(count, i)).collect();
        Ok(Layers { table, ids, first, second: vec![vec![[0; 32]; count]; sectors] })
    };
    Kernel::new(name, (sectors * count, "labels"), make, move |layers| {
        let parents = layers.table.rows();
        let mut sectors = Vec::with_capacity(layers.ids.len());
        for (replica_id, first) in layers.ids.iter().zip(&layers.first) {
            sectors.push(LayerLabels { profile, replica_id, layer: 2, parents, previous: Some(&first[..]) });
        }
        let mut labels: Vec<_> = layers.second.iter_mut().map(Vec::as_mut_slice).collect();
        Ok(labels_lockstep::fill(&sectors, &mut labels, 0..parents.len())?)
    })
}

/// Without GPUs built in there are no devices.
#[cfg(not(feature = "gpu"))]
fn on_devices(
    _context: &Context,
    _times: Times,
    _is_asked: &dyn Fn(&str) -> bool,
    _phases: &mut Vec<Phase>,
) -> anyhow::Result<Vec<Device>> {
    Ok(vec![])
}

/// Times the devices of `--device`, if it names any; software ones only by number or name, or `gpu`.
#[cfg(feature = "gpu")]
fn on_devices(
    context: &Context,
    times: Times,
    is_asked: &dyn Fn(&str) -> bool,
    phases: &mut Vec<Phase>,
) -> anyhow::Result<Vec<Device>> {
    use std::time::Duration;

    use filecash_engine::backend::DeviceChoice;
    use filecash_engine::backend::gpu::{Adapter, Gpu, GpuLimits, Work, select};

    use super::sample::Sample;

    /// How long a run of a device lasts.
    const CALIBRATION: Duration = Duration::from_millis(300);
    /// What a run of a device is reckoned for.
    const ITEMS: u64 = 1 << 20;

    let settings = &context.settings;
    let choice = &settings.device.value.all;
    if *choice == DeviceChoice::Cpu {
        return Ok(vec![]);
    }
    let adapters = Adapter::all();
    let mut devices = vec![];
    let limits = GpuLimits { max_vram: settings.max_vram.value, ..GpuLimits::default() };
    for adapter in select::chosen(choice, &adapters)? {
        let device = sealing::described(adapter);
        let label = format!("{} {}", adapter.index, device.name);
        let gpu = Gpu::open_with(adapter, limits, settings.pipeline_cache.value.as_deref())?;
        gpu.self_test()?;
        for work in Work::all() {
            let name = format!("{} on {label}", work.name());
            if !is_asked(&name) {
                continue;
            }
            context.teller.note(&name);
            let mut runs = vec![];
            for number in 0..times.warm_up + times.runs {
                if context.is_cancelled() {
                    return Err(Failure::new(Kind::Cancelled, "cancelled").into());
                }
                let rate = gpu.calibrate(work, CALIBRATION)?;
                if number >= times.warm_up {
                    runs.push(Sample {
                        wall_seconds: ITEMS as f64 / rate,
                        cpu_seconds: None,
                        peak_memory_bytes: None,
                        storage_read_bytes: None,
                        storage_written_bytes: None,
                    });
                }
            }
            let series = Series {
                device: label.clone(),
                vram_budget_bytes: Some(limits.max_vram),
                ..Series::new(name, (ITEMS, "items"), times)
            };
            phases.push(series.phase(runs)?);
        }
        devices.push(device);
    }
    Ok(devices)
}
