//! Times of every kernel beside its CPU twin, on the processor and on every adapter of this machine.
//!
//! A name is `stage/case/who/size`, as `benches/README.md` explains. What takes long is made for names that are asked for
//! only, and nothing is timed before its result was compared once, with that of the slow and obvious version or with what
//! is known beforehand. Inputs are computed. Devices are handed operands in memory and give results in memory, but for
//! labels, which stay where they are.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a bench has nobody to hand errors to")]

mod points;

use std::cell::LazyCell;
use std::hint::black_box;
use std::iter;
use std::ops::Deref;
use std::time::Duration;

use blstrs::{G1Projective, G2Projective};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use ff::Field as _;
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::backend::cpu::ntt::{Domain, Part, Points, Transform};
use filecash_engine::backend::gpu::{ARITIES, Adapter, Gpu, GpuError, GpuLimits, Worker};
use filecash_engine::field::{Fr, Node};
use filecash_engine::graph::parents::Row;
use filecash_engine::graph::{Graph, ParentTable};
use filecash_engine::hash::label_lanes::group_size;
use filecash_engine::hash::poseidon::hash_nodes;
use filecash_engine::hash::sha256::sha_node;
use filecash_engine::porep::encode::{decode, decode_node, encode, encode_node};
use filecash_engine::porep::labels::label_layer;
use filecash_engine::porep::labels_lockstep;
use filecash_engine::porep::labels_pipelined::LayerLabels;
use filecash_engine::sector::params::for_size;
use filecash_engine::sector::{ApiVersion, PoRepConfig, PoRepId, Profile, ReplicaId};
use filecash_shaders::field::{Field, Form};
use num_bigint::BigUint;
use rayon::prelude::*;

/// The sector whose labels are timed: 1024 nodes.
const SECTOR_SIZE: u64 = 32 << 10;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() {
    let defaults = Criterion::default().sample_size(10).without_plots();
    let defaults = defaults.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let mut criterion = defaults.configure_from_args();
    let devices = Devices::open();
    poseidon(&mut criterion, &devices);
    sha256(&mut criterion, &devices);
    encoding(&mut criterion, &devices);
    labels(&mut criterion, &devices);
    transforms(&mut criterion, &devices);
    points::sums::<G1Projective>(&mut criterion, &devices, "g1", devices.sizes(1 << 12, 1 << 17));
    points::sums::<G2Projective>(&mut criterion, &devices, "g2", devices.sizes(1 << 10, 1 << 15));
    fields(&mut criterion, &devices);
    parents(&mut criterion);
    points::fixed_bases(&mut criterion);
    points::multiples::<G1Projective>(&mut criterion, "g1");
    points::multiples::<G2Projective>(&mut criterion, "g2");
    points::subgroups(&mut criterion);
    points::pairings(&mut criterion);
    criterion.final_summary();
}

/// A device in a form of elements that it can have.
struct Device {
    /// Name of the adapter, without what stands in brackets.
    adapter: String,
    form: Form,
    gpu: Gpu,
}

struct Devices {
    all: Vec<Device>,
    /// Whether one of them is no program on the processor.
    has_hardware: bool,
}

impl Devices {
    fn open() -> Self {
        let (mut all, mut has_hardware) = (Vec::<Device>::new(), false);
        for adapter in Adapter::all() {
            let name = adapter.info().name;
            let mut name = name.split(" (").next().unwrap_or_default().to_owned();
            if all.iter().any(|device| device.adapter == name) {
                name = format!("{name} {}", adapter.index);
            }
            for form in Form::ALL {
                if form == Form::Wide && !adapter.has_wide_integers() {
                    continue;
                }
                match Gpu::open(&adapter, GpuLimits { form: Some(form), ..GpuLimits::default() }) {
                    Ok(gpu) => all.push(Device { adapter: name.clone(), form, gpu }),
                    Err(error) => eprintln!("not timed: {error}"),
                }
            }
            has_hardware |= !adapter.is_software();
        }
        if all.is_empty() {
            eprintln!("no adapter, the CPU alone is timed");
        }
        Self { all, has_hardware }
    }

    /// Each with its name, in each form.
    fn in_each_form(&self) -> impl Iterator<Item = (String, &Gpu)> {
        self.all.iter().map(|device| (format!("{} ({})", device.adapter, device.form.name()), &device.gpu))
    }

    /// Each once with its name, for kernels that have no field arithmetic.
    fn each(&self) -> impl Iterator<Item = (&str, &Gpu)> {
        let narrow = self.all.iter().filter(|device| device.form == Form::Narrow);
        narrow.map(|device| (&*device.adapter, &device.gpu))
    }

    /// What software devices do in a fraction of a second; where there is hardware, also what keeps it busy.
    fn sizes(&self, small: usize, large: usize) -> Vec<usize> {
        if self.has_hardware { vec![small, large] } else { vec![small] }
    }
}

/// Times `run`, time after time on what `make` returns; calls neither when the name is not asked for.
fn time<S, R>(
    group: &mut Group<'_>,
    who: &str,
    size: usize,
    make: impl FnOnce() -> S,
    mut run: impl FnMut(&mut S) -> R,
) {
    let mut state = LazyCell::new(make);
    group.bench_function(BenchmarkId::new(who, size), |bencher| {
        let state = LazyCell::force_mut(&mut state);
        bencher.iter(|| run(black_box(&mut *state)));
    });
}

/// Times `run`, which makes `expected` of `fresh` when it is run for the first time.
fn compare<T: Clone + PartialEq>(
    group: &mut Group<'_>,
    who: &str,
    size: usize,
    fresh: &impl Deref<Target = T>,
    expected: &impl Deref<Target = T>,
    run: impl Fn(&mut T),
) {
    let make = || {
        let values = made(fresh, &run);
        assert!(values == **expected, "{who} computes something else");
        values
    };
    time(group, who, size, make, &run);
}

/// What `run` makes of a copy of `fresh`.
fn made<T: Clone>(fresh: &impl Deref<Target = T>, run: impl Fn(&mut T)) -> T {
    let mut values = (**fresh).clone();
    run(&mut values);
    values
}

/// A group of names that begin alike.
fn group<'a>(criterion: &'a mut Criterion, stage: &str, case: &str) -> Group<'a> {
    criterion.benchmark_group(format!("{stage}/{case}"))
}

/// Nodes below r.
fn nodes(count: usize, step: usize) -> Vec<Node> {
    let byte = |i: usize, j: usize| (i * (131 + 2 * step) + j * 29 + i / 251 + step) % 253;
    let node = |i| std::array::from_fn(|j| byte(i, j) as u8 & if j == 31 { 0x3f } else { 0xff });
    (0..count).map(node).collect()
}

/// Elements without a pattern.
fn elements(count: usize) -> Vec<Fr> {
    iter::successors(Some(Fr::from(3)), |element| Some(element.square() + Fr::ONE)).skip(10).take(count).collect()
}

fn poseidon(criterion: &mut Criterion, devices: &Devices) {
    for arity in ARITIES {
        let mut group = group(criterion, "poseidon", &format!("arity {arity}"));
        for size in devices.sizes(1 << 10, 1 << 17) {
            group.throughput(Throughput::Elements(size as u64));
            let children = LazyCell::new(|| nodes(size * arity, 0));
            let one_by_one = |parents: &mut Vec<Node>| {
                let children = children.chunks_exact(arity);
                parents.iter_mut().zip(children).for_each(|(parent, children)| *parent = hash_nodes(children).unwrap());
            };
            let fresh = LazyCell::new(|| vec![[0xff; 32]; size]);
            let expected = LazyCell::new(|| made(&fresh, one_by_one));
            compare(&mut group, "cpu", size, &fresh, &expected, |parents| {
                Cpu.poseidon_level(arity, &children, parents).unwrap();
            });
            compare(&mut group, "scalar", size, &fresh, &expected, one_by_one);
            for (name, gpu) in devices.in_each_form() {
                compare(&mut group, &name, size, &fresh, &expected, |parents| {
                    gpu.poseidon_level(arity, &children, parents).unwrap();
                });
            }
        }
    }
}

fn sha256(criterion: &mut Criterion, devices: &Devices) {
    let mut group = group(criterion, "sha256", "level");
    for size in devices.sizes(1 << 14, 1 << 20) {
        group.throughput(Throughput::Elements(size as u64));
        let children = LazyCell::new(|| nodes(2 * size, 0));
        let one_by_one = |parents: &mut Vec<Node>| {
            let pairs = children.as_chunks().0;
            parents.iter_mut().zip(pairs).for_each(|(parent, [left, right])| *parent = sha_node(left, right));
        };
        let fresh = LazyCell::new(|| vec![[0xff; 32]; size]);
        let expected = LazyCell::new(|| made(&fresh, one_by_one));
        compare(&mut group, "cpu", size, &fresh, &expected, |parents| Cpu.sha_level(&children, parents).unwrap());
        compare(&mut group, "scalar", size, &fresh, &expected, one_by_one);
        for (name, gpu) in devices.each() {
            compare(&mut group, name, size, &fresh, &expected, |parents| gpu.sha_level(&children, parents).unwrap());
        }
    }
}

fn encoding(criterion: &mut Criterion, devices: &Devices) {
    for encodes in [true, false] {
        let mut group = group(criterion, "encoding", if encodes { "encode" } else { "decode" });
        for size in devices.sizes(1 << 16, 1 << 21) {
            group.throughput(Throughput::Bytes(size as u64 * 32));
            let (values, keys) = (LazyCell::new(|| nodes(size, 0)), LazyCell::new(|| nodes(size, 3)));
            let one_by_one = |values: &mut Vec<Node>| {
                let by_definition = if encodes { encode_node } else { decode_node };
                values.iter_mut().zip(&*keys).for_each(|(value, key)| *value = by_definition(value, key).unwrap());
            };
            let expected = LazyCell::new(|| made(&values, one_by_one));
            compare(&mut group, "cpu", size, &values, &expected, |values| {
                if encodes { encode(values, &keys) } else { decode(values, &keys) }.unwrap();
            });
            compare(&mut group, "scalar", size, &values, &expected, one_by_one);
            for (name, gpu) in devices.each() {
                compare(&mut group, name, size, &values, &expected, |values| {
                    if encodes { gpu.encode(values, &keys) } else { gpu.decode(values, &keys) }.unwrap();
                });
            }
        }
    }
}

fn graph() -> Graph {
    let params = for_size(Profile::Filecoin, SECTOR_SIZE).unwrap();
    let porep_id = PoRepId::from_number(5);
    Graph::new(&PoRepConfig::interactive(params, Profile::Filecoin, porep_id, ApiVersion::V1_1_0))
}

/// Layers 1 and 2 of a sector by the plain version.
fn first_layers(profile: Profile, table: &ParentTable, id: &ReplicaId) -> [Vec<Node>; 2] {
    let parents = |node: u32| table.rows()[node as usize].map(u32::from_le);
    let [mut first, mut second] = [(); 2].map(|()| vec![[0xff; 32]; table.rows().len()]);
    label_layer(profile, id, 1, parents, None, &mut first);
    label_layer(profile, id, 2, parents, Some(&first), &mut second);
    [first, second]
}

fn labels(criterion: &mut Criterion, devices: &Devices) {
    for (hash, profile) in [("sha256", Profile::Filecoin), ("sha512", Profile::Filecash)] {
        let table = ParentTable::compute(&graph());
        let mut group = group(criterion, "labels", hash);
        for sectors in [1, 2, 8, 16].into_iter().chain(devices.sizes(64, 1 << 12)) {
            let size = sectors * SECTOR_SIZE as usize / 32;
            group.throughput(Throughput::Elements(size as u64));
            let ids: Vec<ReplicaId> =
                (0..sectors).map(|i| std::array::from_fn(|byte| (i * 37 + byte * 11 + i / 256) as u8)).collect();
            // Layer 2, as all but the first are.
            let layers = LazyCell::new(|| {
                let layers: Vec<_> = ids.par_iter().map(|id| first_layers(profile, &table, id)).collect();
                let [first, second] = [0, 1].map(|i| layers.iter().map(|layers| layers[i].clone()).collect::<Vec<_>>());
                (first, second)
            });
            let second = LazyCell::new(|| layers.1.clone());
            let fresh = LazyCell::new(|| vec![vec![[0xff; 32]; SECTOR_SIZE as usize / 32]; sectors]);
            compare(&mut group, "cpu", size, &fresh, &second, |labels| {
                let parents = table.rows();
                labels.par_iter_mut().zip(&ids).zip(&layers.0).for_each(|((labels, replica_id), previous)| {
                    let previous = Some(&previous[..]);
                    let layer = LayerLabels { profile, replica_id, layer: 2, parents, previous };
                    layer.fill(labels, 0..parents.len()).unwrap();
                });
            });
            if sectors == 1 {
                compare(&mut group, "scalar", size, &fresh, &second, |labels| {
                    let parents = |node: u32| table.rows()[node as usize].map(u32::from_le);
                    label_layer(profile, &ids[0], 2, parents, Some(&layers.0[0]), &mut labels[0]);
                });
                continue;
            }
            compare(&mut group, "lockstep", size, &fresh, &second, |labels| {
                let threads = rayon::current_num_threads();
                let size = group_size(profile, sectors, threads, sectors);
                let groups = labels.par_chunks_mut(size).zip(ids.par_chunks(size)).zip(layers.0.par_chunks(size));
                groups.for_each(|((labels, ids), previous)| {
                    let parents = table.rows();
                    let mut sectors = Vec::with_capacity(ids.len());
                    for (replica_id, previous) in ids.iter().zip(previous) {
                        let previous = Some(&previous[..]);
                        sectors.push(LayerLabels { profile, replica_id, layer: 2, parents, previous });
                    }
                    let mut labels: Vec<_> = labels.iter_mut().map(Vec::as_mut_slice).collect();
                    labels_lockstep::fill(&sectors, &mut labels, 0..parents.len()).unwrap();
                });
            });
            if sectors < 64 {
                continue;
            }
            // A hash of 32-bit words has one form.
            let with_form = devices.in_each_form();
            let plain = devices.each().map(|(name, gpu)| (name.to_owned(), gpu));
            let devices: Vec<_> = if profile == Profile::Filecoin { plain.collect() } else { with_form.collect() };
            for (name, gpu) in devices {
                let make = || {
                    let mut batch = gpu.labels(profile, table.rows(), &ids).unwrap();
                    (0..2).for_each(|_| batch.next_layer(|_| Ok::<_, GpuError>(())).unwrap());
                    assert!(batch.read().unwrap() == *second, "{name} computes something else");
                    batch
                };
                time(&mut group, &name, size, make, |batch| batch.next_layer(|_| Ok::<_, GpuError>(())).unwrap());
            }
        }
    }
}

fn transforms(criterion: &mut Criterion, devices: &Devices) {
    for (case, transform) in [
        ("evaluate", Transform::Evaluate(Points::Roots)),
        ("interpolate on a coset", Transform::Interpolate(Points::Coset)),
    ] {
        let mut group = group(criterion, "transform", case);
        for size in iter::once(1 << 12).chain(devices.sizes(1 << 15, 1 << 20)) {
            group.throughput(Throughput::Elements(size as u64));
            let domain = Domain::at_least(size).unwrap();
            let values = LazyCell::new(|| elements(size));
            let in_one_piece = |values: &mut Vec<Fr>| domain.transform_plainly(values, transform);
            let expected = LazyCell::new(|| made(&values, in_one_piece));
            compare(&mut group, "cpu", size, &values, &expected, |values| domain.transform(values, &[transform]));
            compare(&mut group, "scalar", size, &values, &expected, in_one_piece);
            let passes = LazyCell::new(|| domain.passes(&[transform]).unwrap());
            for (name, gpu) in devices.in_each_form() {
                compare(&mut group, &name, size, &values, &expected, |values| {
                    passes.iter().try_for_each(|pass| gpu.transform(pass, &pass.blocks(Part::whole(values)))).unwrap();
                });
            }
        }
    }
}

/// Words of elements of a field, below p.
fn words(field: Field, count: usize, factor: u32) -> Vec<u32> {
    let p = BigUint::new(field.modulus().to_vec());
    let mut element = BigUint::from(factor);
    let mut next = || {
        element = (&element * &element + factor) % &p;
        let mut words = element.to_u32_digits();
        words.resize(field.words(), 0);
        words
    };
    iter::repeat_with(&mut next).skip(10).take(count).flatten().collect()
}

/// One of each function of a field: product, sum, negative, reduction. Devices spend most of the time on carrying operands and
/// results.
fn fields(criterion: &mut Criterion, devices: &Devices) {
    // A device keeps the left operands that it was handed first.
    let size = 1 << 11;
    for field in Field::ALL {
        let mut group = group(criterion, "field", field.prefix());
        group.throughput(Throughput::Elements(size as u64));
        let [left, right] = [3, 5].map(|factor| LazyCell::new(move || words(field, size, factor)));
        if field == Field::Fr {
            let make = || (elements(size), elements(size + 1), vec![Fr::ZERO; 3 * size]);
            time(&mut group, "scalar", size, make, |(left, right, results)| {
                let pairs = left.iter().zip(&*right).zip(results.as_chunks_mut().0);
                pairs.for_each(|((x, y), results)| *results = [*x * y, *x + y, -*y]);
            });
        }
        for (name, gpu) in devices.in_each_form() {
            let make = || {
                let p = BigUint::new(field.modulus().to_vec());
                let radix = BigUint::from(1_u8) << field.radix_bits(gpu.device().form);
                let results = gpu.probe(field, &left, &right).unwrap();
                let numbers = |words: &[u32], of: usize| -> Vec<BigUint> {
                    let words = words.chunks_exact(of * field.words()).map(|words| &words[..field.words()]);
                    words.map(|words| BigUint::new(words.to_vec())).collect()
                };
                let mut pairs = iter::zip(numbers(&left, 1), numbers(&right, 1)).zip(numbers(&results, 4));
                let is_right = pairs.all(|((x, y), product)| product * &radix % &p == x * y % &p);
                assert!(is_right, "{name} computes something else");
            };
            time(&mut group, &name, size, make, |()| gpu.probe(field, &left, &right).unwrap());
        }
    }
}

fn parents(criterion: &mut Criterion) {
    let mut group = group(criterion, "graph", "parents");
    let graph = graph();
    let size = graph.nodes() as usize;
    group.throughput(Throughput::Elements(size as u64));
    let one_by_one = |rows: &mut Vec<Row>| rows.iter_mut().zip(0..).for_each(|(row, node)| *row = graph.parents(node));
    let fresh = LazyCell::new(|| vec![Row::default(); size]);
    let expected = LazyCell::new(|| made(&fresh, one_by_one));
    compare(&mut group, "cpu", size, &fresh, &expected, |rows| graph.fill(0, rows));
    compare(&mut group, "scalar", size, &fresh, &expected, one_by_one);
}
