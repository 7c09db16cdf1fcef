//! Sums of multiples of points.
//!
//! Points are affine and canonical in the device's memory, in one buffer: first those of the file, then sums of pairs in
//! the order in which they were asked for. [`rounds`](super::rounds) says which pairs; a slice of them is added by
//! kernels that share one inversion, by products of chains, of chains of these and so on. What is added is never
//! waited for but for the pace: slices go one after the other, and few sums of a window come back.
//!
//! A block is cut into parts whose points fit the budget and a binding, and the windows of a part into batches whose
//! sums do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ff::Field as _;
use filecash_shaders::field::Field;
use filecash_shaders::kernels::{Group, InversionPart, Kernel, SumPart};
use group::prime::PrimeCurveAffine;
use group::{Curve as _, Group as _};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::device::{Device, IMMEDIATE_BYTES};
use super::download::{Download, wait};
use super::error::GpuError;
use super::pace::{Pace, TARGET};
use super::pipeline::{Pipeline, Pipelines};
use super::rounds::{ABSENT, Adder, Factors, NEGATIVE, sum_windows};
use crate::backend::cpu::curve;
use crate::backend::cpu::digits::{MIN_BITS, Windows};
use crate::backend::points::PointBlock;
use crate::field::Fr;

/// Invocations of a workgroup.
const WORKGROUP: usize = 64;
/// Workgroups in one dimension of a dispatch, on every adapter.
const MAX_WORKGROUPS: usize = 65_535;
/// Slices on their way at a time.
const FLIGHTS: usize = 2;
/// Pairs of the first slice, before the speed is known.
const FIRST_SLICE: usize = 1 << 12;
/// Pairs of a slice at most: what keeps a large GPU busy.
const MAX_SLICE: usize = 1 << 20;
/// Pairs of a chain at least, which is what an inversion is worth.
const MIN_CHAIN: usize = 16;
/// Chains that are enough for any device: from there on chains become longer.
const ENOUGH_CHAINS: usize = 1 << 15;
/// Elements that are inverted one by one.
const MAX_INVERTED: usize = 8;
/// Points of a part at most: their recoded scalars are in the processor's memory.
const MAX_PART: usize = 1 << 21;
/// Bits of a digit at most.
const MAX_BITS: u32 = 16;
/// What the rounds of a batch of windows cost besides their additions, in additions.
const BATCH_COST: usize = 2_000;

const FQ_BYTES: usize = 48;
const PAIR_BYTES: usize = 8;
/// Where the least index of a bad point is read; sums follow.
const BAD_BYTES: usize = 16;

/// The buffers of sums, and what is known of their speed.
#[derive(Debug)]
pub(super) struct Sums {
    buffers: Mutex<Option<Buffers>>,
    /// Who plans rounds. Threads of their own, because those of rayon's global pool may be waiting for this device.
    planners: Mutex<Option<Arc<ThreadPool>>>,
    /// Of additions.
    pace: Pace<Group>,
}

/// Numbers of things that there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    /// Points of the file and sums together.
    points: usize,
    /// Pairs that are added together.
    pairs: usize,
    /// Points that are read from the file together.
    imported: usize,
    /// Sums that are read back together.
    results: usize,
}

impl Room {
    /// What fits so many bytes of the device, and its bindings. An eighth is for what a slice of pairs needs, an eighth for points on
    /// their way to the device, an eighth for sums on their way back.
    fn of(device: &Device, group: Group, bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let binding = usize::try_from(device.max_binding).unwrap_or(usize::MAX);
        let point = group.point_words() * 4;
        // Pairs are in their buffer and twice on their way; of chains' products there are less than a seventh.
        let pair = FQ_BYTES * 8 / 7 + PAIR_BYTES * (1 + FLIGHTS);
        let in_binding = ((binding / FQ_BYTES).saturating_sub(64) * 7 / 8).min(binding / PAIR_BYTES);
        let room = Self {
            points: (bytes / 8 * 5).min(binding) / point,
            pairs: (bytes / 8 / pair).saturating_sub(64).min(in_binding).min(MAX_SLICE),
            imported: (bytes / 8 / (FLIGHTS * point)).min(MAX_WORKGROUPS * WORKGROUP),
            results: (bytes / 8).min(binding).saturating_sub(BAD_BYTES) / point,
        };
        // Never more points than an item can name.
        Self { points: room.points.min(NEGATIVE as usize - 1), ..room }
    }

    /// Elements of the buffer of chains' products.
    fn elements(&self) -> usize {
        self.pairs + self.pairs / 7 + 64
    }
}

/// How a sum is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Bits of a digit; 1 where points are taken once.
    bits: u32,
    /// Windows of a scalar.
    windows: usize,
    /// Points of a part.
    part: usize,
    /// Windows that are summed together.
    batch: usize,
}

impl Plan {
    /// The cheapest for so many points; `None` where there is no room.
    fn new(points: usize, room: Room, has_scalars: bool) -> Option<Self> {
        let widths = if has_scalars { MIN_BITS..=MAX_BITS } else { 1..=1 };
        widths.filter_map(|bits| Self::of_bits(points, room, bits)).min_by_key(|(cost, _)| *cost).map(|(_, plan)| plan)
    }

    fn of_bits(points: usize, room: Room, bits: u32) -> Option<(usize, Self)> {
        let windows = if bits == 1 { 1 } else { Windows::new(bits).count() };
        // Sums of buckets, and of these: fewer than of points and twice the buckets.
        let weighted = 1 << bits;
        let part = (room.points.checked_sub(weighted)? / 2).min(MAX_PART).min(points);
        let parts = points.div_ceil(part.max(1)).max(1);
        let part = points.div_ceil(parts);
        let fitting = ((room.points - part) / (part + weighted)).min(room.results / bits as usize).min(windows);
        if (part == 0 && points > 0) || fitting == 0 {
            return None;
        }
        let batches = windows.div_ceil(fitting);
        let cost = windows * (points + parts * weighted) + parts * batches * BATCH_COST;
        Some((cost, Self { bits, windows, part, batch: windows.div_ceil(batches) }))
    }

    /// What it needs of the room.
    fn room(&self, room: Room) -> Room {
        let sums = self.batch * (self.part + (1 << self.bits));
        let results = self.batch * self.bits as usize;
        Room {
            points: self.part + sums,
            pairs: room.pairs.min(sums.next_multiple_of(WORKGROUP)),
            imported: room.imported.min(self.part),
            results,
        }
    }
}

#[derive(Debug)]
struct Buffers {
    points: wgpu::Buffer,
    pairs: wgpu::Buffer,
    scratch: wgpu::Buffer,
    bad: wgpu::Buffer,
    /// Where the processor reads.
    mapped: wgpu::Buffer,
}

impl Buffers {
    /// Buffers for so much: those that there are if they will do.
    fn new(device: &Device, group: Group, room: Room, kept: Option<Self>) -> Result<Self, GpuError> {
        use wgpu::BufferUsages as Usage;
        let point = group.point_words() * 4;
        let sizes = [
            room.points * point,
            room.pairs * PAIR_BYTES,
            room.elements() * FQ_BYTES,
            BAD_BYTES + room.results * point,
        ]
        .map(|size| size as u64);
        if let Some(kept) = kept {
            let buffers = [&kept.points, &kept.pairs, &kept.scratch, &kept.mapped];
            if buffers.into_iter().zip(sizes).all(|(buffer, size)| buffer.size() >= size) {
                return Ok(kept);
            }
        }
        let storage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        Ok(Self {
            points: device.buffer("points", sizes[0], storage)?,
            pairs: device.buffer("pairs", sizes[1], storage)?,
            scratch: device.buffer("products", sizes[2], storage)?,
            bad: device.buffer("bad", BAD_BYTES as u64, storage)?,
            mapped: device.buffer("mapped", sizes[3], Usage::MAP_READ | Usage::COPY_DST)?,
        })
    }
}

/// A kernel and the buffers that it works on.
#[derive(Debug)]
struct Bound {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
}

impl Bound {
    fn new(device: &Device, pipelines: &Pipelines, kernel: Kernel, buffers: &Buffers) -> Result<Self, GpuError> {
        let Buffers { points, pairs, scratch, bad, .. } = buffers;
        let bound = match kernel {
            Kernel::Sum(SumPart::Import, ..) => vec![points, bad],
            Kernel::Sum(SumPart::Divisors | SumPart::Inverses, ..) => vec![points, pairs, scratch],
            Kernel::Sum(..) => vec![pairs, scratch, points],
            _ => vec![scratch],
        };
        // The kernels have no constants but those in their text.
        let pipeline = pipelines.get(device, kernel, Vec::new)?;
        let entries: Vec<_> = bound
            .into_iter()
            .enumerate()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = device.wgpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&pipeline.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        device.check(&pipeline.name)?;
        Ok(Self { pipeline, group })
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, invocations: usize, parameters: [usize; 3]) {
        let mut bytes = [0; IMMEDIATE_BYTES as usize];
        for (bytes, parameter) in bytes.chunks_exact_mut(4).zip(parameters) {
            bytes.copy_from_slice(&(parameter as u32).to_le_bytes());
        }
        pass.set_pipeline(&self.pipeline.compute);
        pass.set_bind_group(0, &self.group, &[]);
        pass.set_immediates(0, &bytes);
        pass.dispatch_workgroups(invocations.div_ceil(WORKGROUP) as u32, 1, 1);
    }
}

/// The kernels of a group.
#[derive(Debug)]
struct Kernels {
    import: Bound,
    divisors: Bound,
    /// What follows the divisors: one kernel or two.
    rest: Vec<Bound>,
    products: Bound,
    invert: Bound,
    inverses: Bound,
}

impl Kernels {
    fn new(device: &Device, pipelines: &Pipelines, group: Group, buffers: &Buffers) -> Result<Self, GpuError> {
        let form = device.form;
        let sum = |part| Bound::new(device, pipelines, Kernel::Sum(part, group, form), buffers);
        let inversion = |part| Bound::new(device, pipelines, Kernel::Inversion(part, form), buffers);
        let is_rest = |part: &&SumPart| !matches!(part, SumPart::Import | SumPart::Divisors);
        Ok(Self {
            import: sum(SumPart::Import)?,
            divisors: sum(SumPart::Divisors)?,
            rest: SumPart::of(group).iter().filter(is_rest).map(|part| sum(*part)).collect::<Result<_, _>>()?,
            products: inversion(InversionPart::Products)?,
            invert: inversion(InversionPart::Invert)?,
            inverses: inversion(InversionPart::Inverses)?,
        })
    }
}

/// A slice that the device has been given.
#[derive(Debug)]
struct Flight {
    submission: wgpu::SubmissionIndex,
    count: usize,
    launched: Instant,
}

/// A part of a sum on the device.
struct Part<'a> {
    device: &'a Device,
    sums: &'a Sums,
    group: Group,
    room: Room,
    buffers: &'a Buffers,
    kernels: &'a Kernels,
    /// Pairs that wait for their slice.
    pairs: Vec<[u32; 2]>,
    /// Where the next sum goes.
    next: usize,
    flights: VecDeque<Flight>,
    last_end: Instant,
}

impl Adder for Part<'_> {
    type Error = GpuError;

    fn next(&self) -> u32 {
        self.next as u32
    }

    fn add(&mut self, mut pairs: &[[u32; 2]]) -> Result<(), GpuError> {
        while !pairs.is_empty() {
            let slice = self.sums.slice(self.group).min(self.room.pairs);
            let room = slice.saturating_sub(self.pairs.len());
            let (taken, others) = pairs.split_at(room.min(pairs.len()));
            self.pairs.extend_from_slice(taken);
            self.next += taken.len();
            pairs = others;
            if self.pairs.len() >= slice {
                self.end_round()?;
            }
        }
        Ok(())
    }

    fn end_round(&mut self) -> Result<(), GpuError> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let count = self.pairs.len();
        self.device.queue.write_buffer(&self.buffers.pairs, 0, bytemuck::cast_slice(&self.pairs));
        self.pairs.clear();
        let first = self.next - count;
        self.launch(count, |kernels, pass| add_pairs(kernels, pass, count, first))
    }
}

/// Adds the pairs that are in the buffer; the first sum goes to place `first`.
fn add_pairs(kernels: &Kernels, pass: &mut wgpu::ComputePass<'_>, count: usize, first: usize) {
    let chain = count.div_ceil(ENOUGH_CHAINS).max(MIN_CHAIN);
    let chains = count.div_ceil(chain);
    kernels.divisors.dispatch(pass, chains, [count, chains, 0]);
    // Levels of chains, each after the one before: its elements, the products before each.
    let mut levels = Vec::new();
    let (mut start, mut elements) = (count, chains);
    while elements > MAX_INVERTED {
        let chains = elements.div_ceil(MIN_CHAIN);
        kernels.products.dispatch(pass, chains, [start, elements, chains]);
        levels.push([start, elements, chains]);
        (start, elements) = (start + 2 * elements, chains);
    }
    kernels.invert.dispatch(pass, elements, [start, elements, 0]);
    for level in levels.into_iter().rev() {
        kernels.inverses.dispatch(pass, level[2], level);
    }
    match kernels.rest.as_slice() {
        [inverses, slopes] => {
            inverses.dispatch(pass, chains, [count, chains, 0]);
            slopes.dispatch(pass, count, [count, first, 0]);
        }
        rest => rest.iter().for_each(|add| add.dispatch(pass, chains, [count, chains, first])),
    }
}

impl Part<'_> {
    /// Gives the device a slice, and waits for the one before the last.
    fn launch(
        &mut self,
        count: usize,
        work: impl FnOnce(&Kernels, &mut wgpu::ComputePass<'_>),
    ) -> Result<(), GpuError> {
        let mut encoder = self.device.wgpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        work(self.kernels, &mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        let launched = Instant::now();
        let submission = self.device.queue.submit([encoder.finish()]);
        self.device.check(&self.kernels.divisors.pipeline.name)?;
        self.flights.push_back(Flight { submission, count, launched });
        while self.flights.len() >= FLIGHTS {
            let Some(flight) = self.flights.pop_front() else { break };
            self.land(flight)?;
        }
        Ok(())
    }

    fn land(&mut self, flight: Flight) -> Result<(), GpuError> {
        wait(self.device, &self.kernels.divisors.pipeline.name, flight.submission)?;
        let began = self.last_end.max(flight.launched);
        self.last_end = Instant::now();
        self.sums.learn(self.group, flight.count, self.last_end - began);
        Ok(())
    }

    /// Writes the points with these indices, slice by slice, and has them imported to places 0 and on.
    fn import(&mut self, bytes: &[u8], indices: &[u32]) -> Result<(), GpuError> {
        let point = self.group.point_words() * 4;
        self.device.queue.write_buffer(&self.buffers.bad, 0, &[0xff; BAD_BYTES]);
        let (mut first, mut raw) = (0, Vec::new());
        while first < indices.len() {
            let count = self.sums.slice(self.group).min(self.room.imported).min(indices.len() - first);
            raw.clear();
            for index in &indices[first..first + count] {
                let bytes = bytes.chunks_exact(point).nth(*index as usize);
                raw.extend_from_slice(bytes.ok_or(GpuError::BadPoint { index: *index as usize })?);
            }
            self.device.queue.write_buffer(&self.buffers.points, (first * point) as u64, &raw);
            self.launch(count, |kernels, pass| kernels.import.dispatch(pass, count, [first, count, 0]))?;
            first += count;
        }
        self.next = indices.len();
        Ok(())
    }

    /// The points of these items, and the least place of a bad one.
    fn read(&mut self, items: &[u32]) -> Result<(Vec<u8>, Option<usize>), GpuError> {
        while let Some(flight) = self.flights.pop_front() {
            self.land(flight)?;
        }
        let point = self.group.point_words() * 4;
        let mut encoder = self.device.wgpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.buffers.bad, 0, &self.buffers.mapped, 0, BAD_BYTES as u64);
        for (place, item) in items.iter().enumerate() {
            let (from, to) = ((item & !NEGATIVE) as usize * point, BAD_BYTES + place * point);
            let (from, to, size) = (from as u64, to as u64, point as u64);
            encoder.copy_buffer_to_buffer(&self.buffers.points, from, &self.buffers.mapped, to, size);
        }
        let (what, mapped) = (&self.kernels.divisors.pipeline.name, &self.buffers.mapped);
        let bytes = (BAD_BYTES + items.len() * point) as u64;
        let download = Download::start(self.device, what, encoder, mapped, bytes)?;
        let (bad, points) = download.finish(self.device, what, mapped, |bytes| {
            let (bad, points) = bytes.split_at(BAD_BYTES);
            let bad = u32::from_le_bytes([bad[0], bad[1], bad[2], bad[3]]);
            ((bad != u32::MAX).then_some(bad as usize), points.to_vec())
        })?;
        Ok((points, bad))
    }
}

impl Default for Sums {
    fn default() -> Self {
        Self { buffers: Mutex::default(), planners: Mutex::default(), pace: Pace::new(FIRST_SLICE) }
    }
}

impl Sums {
    /// Gives the buffers back.
    pub(super) fn release(&self) {
        drop(self.buffers.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn planners(&self, device: &Device) -> Result<Arc<ThreadPool>, GpuError> {
        let mut planners = self.planners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(planners) = &*planners {
            return Ok(Arc::clone(planners));
        }
        // As many as the global pool has.
        let pool = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads()).build();
        let pool = Arc::new(pool.map_err(|source| GpuError::Threads { adapter: device.name.clone(), source })?);
        Ok(Arc::clone(planners.insert(pool)))
    }

    /// Additions a second in a group, once there were many.
    pub(super) fn rate(&self, group: Group) -> Option<f64> {
        self.pace.rate(group)
    }

    /// Pairs of the next slice: as many as it may take.
    fn slice(&self, group: Group) -> usize {
        self.pace.slice(group).max(WORKGROUP)
    }

    /// Keeps the speed, which only slices of some length or of some time tell.
    fn learn(&self, group: Group, count: usize, time: Duration) {
        if count * 2 > self.slice(group) || time >= TARGET {
            self.pace.learn(group, time.as_secs_f64() / count as f64);
        }
    }

    /// `Σ ones + Σ scalars·multiples`.
    pub(super) fn sum<K: curve::Kernel>(
        &self,
        device: &Device,
        pipelines: &Pipelines,
        group: Group,
        block: &PointBlock,
    ) -> Result<K::Group, GpuError> {
        let chosen = block.multiples.iter().zip(&block.scalars).filter(|(_, scalar)| !bool::from(scalar.is_zero()));
        let (indices, scalars): (Vec<_>, Vec<_>) = chosen.map(|(index, scalar)| (*index, *scalar)).unzip();
        let planners = self.planners(device)?;
        // One caller at a time: buffers are as large as the budget allows.
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = K::Group::identity();
        for (indices, scalars) in [(block.ones.as_slice(), None), (indices.as_slice(), Some(scalars.as_slice()))] {
            if indices.is_empty() {
                continue;
            }
            let mut bytes = device.max_vram;
            let (plan, room, buffers) = loop {
                let room = Room::of(device, group, bytes);
                let no_room = GpuError::OutOfMemory { adapter: device.name.clone(), bytes };
                if room.pairs == 0 || room.imported == 0 {
                    return Err(no_room);
                }
                let plan = Plan::new(indices.len(), room, scalars.is_some()).ok_or(no_room)?;
                let room = plan.room(room);
                match Buffers::new(device, group, room, kept.take()) {
                    Ok(buffers) => break (plan, room, buffers),
                    Err(GpuError::OutOfMemory { .. }) => bytes /= 2,
                    Err(error) => return Err(error),
                }
            };
            let kernels = Kernels::new(device, pipelines, group, &buffers)?;
            let mut values = vec![K::Group::identity(); plan.windows];
            for start in (0..indices.len()).step_by(plan.part) {
                let end = (start + plan.part).min(indices.len());
                let factors = match scalars {
                    None => Factors::Ones(end - start),
                    Some(scalars) => {
                        let windows = Windows::new(plan.bits);
                        let recode = || scalars[start..end].par_iter().map(|scalar| windows.recode(scalar)).collect();
                        Factors::Scalars(windows, planners.install(recode))
                    }
                };
                let mut part = Part {
                    device,
                    sums: self,
                    group,
                    room,
                    buffers: &buffers,
                    kernels: &kernels,
                    pairs: Vec::new(),
                    next: 0,
                    flights: VecDeque::new(),
                    last_end: Instant::now(),
                };
                part.import(&block.bytes, &indices[start..end])?;
                planners.install(|| add_part::<K>(&mut part, plan, &factors, &indices[start..end], &mut values))?;
            }
            // Windows from the highest, each the next one's doubled as often as a digit has bits.
            let doubled = |sum: K::Group| (0..plan.bits).fold(sum, |sum, _| sum.double());
            total += values.into_iter().rev().fold(K::Group::identity(), |sum, value| doubled(sum) + value);
            *kept = Some(buffers);
        }
        Ok(total)
    }
}

/// Adds the windows' sums over a part to `values`.
fn add_part<K: curve::Kernel>(
    part: &mut Part<'_>,
    plan: Plan,
    factors: &Factors,
    indices: &[u32],
    values: &mut [K::Group],
) -> Result<(), GpuError> {
    let imported = part.next;
    for first in (0..plan.windows).step_by(plan.batch) {
        // Sums of the batch before have been read.
        part.next = imported;
        let windows = first..(first + plan.batch).min(plan.windows);
        let sums = sum_windows(factors, windows.clone(), part)?;
        let present: Vec<_> = sums.iter().flatten().copied().filter(|item| *item != ABSENT).collect();
        let (words, bad) = part.read(&present)?;
        if let Some(place) = bad {
            let index = indices.get(place).copied().unwrap_or_default();
            return Err(GpuError::BadPoint { index: index as usize });
        }
        let mut words = words.chunks_exact(K::POINT_BYTES);
        for (value, sums) in values[windows].iter_mut().zip(sums) {
            let mut weighted = K::Group::identity();
            let mut points = Vec::with_capacity(sums.len());
            for item in sums {
                points.push(match item {
                    ABSENT => K::Group::identity(),
                    item => signed(point::<K>(part, words.next().unwrap_or_default())?, item),
                });
            }
            // S_0, S_1, …, with their powers of two; the last is the sum of all.
            let all = points.pop().unwrap_or(K::Group::identity());
            for point in points.into_iter().rev() {
                weighted = weighted.double() + point;
            }
            *value += weighted + all;
        }
    }
    Ok(())
}

fn signed<G: group::Group>(point: G, item: u32) -> G {
    if item & NEGATIVE == 0 { point } else { -point }
}

/// A point from the kernels' form.
fn point<K: curve::Kernel>(part: &Part<'_>, bytes: &[u8]) -> Result<K::Group, GpuError> {
    let words: Vec<u32> = bytemuck::pod_collect_to_vec(bytes);
    if words.iter().all(|word| *word == 0) {
        return Ok(K::Group::identity());
    }
    let mut encoded: Vec<_> = words
        .chunks_exact(Field::Fq.words())
        .map(|words| {
            let integer = Field::Fq.out_of_domain(part.device.form, words);
            integer.iter().rev().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>()
        })
        .collect();
    if part.group == Group::G2 {
        // In bytes c1 comes first.
        encoded.swap(0, 1);
        encoded.swap(2, 3);
    }
    let kernel = part.kernels.rest[0].pipeline.name.clone();
    let wrong = |_| GpuError::Wrong { adapter: part.device.name.clone(), kernel };
    let point = K::decode(&encoded.concat()).map_err(wrong)?;
    Ok(K::export(&point).to_curve())
}

/// What the CPU knows: sums in which points meet themselves, their negatives and the identity, at the front and at the
/// back of pairs, and digits of either sign. With what they are to give.
pub(super) fn known<K: curve::Kernel>() -> (PointBlock, K::Group) {
    let generator = K::Group::generator();
    let (p, q) = (generator.double(), generator + generator.double());
    let mut bytes = vec![0; 4 * K::POINT_BYTES];
    for (point, bytes) in [p, -p, q, generator].into_iter().zip(bytes.chunks_exact_mut(K::POINT_BYTES)) {
        K::encode(&K::import(&point.to_affine()), bytes);
    }
    // In pairs: ones cancel, double, add; then the identity is the first of a pair, the second, and both.
    let ones = vec![0, 1, 2, 2, 2, 2, 1, 0, 0, 1, 1, 0, 3, 0, 3];
    let scalar = Fr::from(0x0123_4567_89ab_cdef).square();
    let multiples: Vec<_> = ones.iter().copied().cycle().take(131).collect();
    let scalars: Vec<_> = (0..multiples.len() as u64)
        .map(|i| match i % 20 {
            0..15 => scalar,
            15 => -Fr::ONE,
            16 => Fr::ONE,
            17 => Fr::ZERO,
            _ => scalar * Fr::from(i) - Fr::from(i),
        })
        .collect();
    let points = [p, -p, q, generator];
    let once: K::Group = ones.iter().map(|index| points[*index as usize]).sum();
    let multiplied = multiples.iter().zip(&scalars).map(|(index, scalar)| points[*index as usize] * scalar);
    let sum = once + multiplied.sum::<K::Group>();
    (PointBlock { first: 0, bytes: bytes.into(), ones, multiples, scalars }, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(points: usize) -> Room {
        Room { points, pairs: 1 << 10, imported: 1 << 10, results: 400 }
    }

    #[test]
    fn plans_fit_their_room() {
        for points in [1, 2, 63, 1000, 1 << 14, 1 << 20, 1 << 27] {
            for room in [room(50), room(700), room(100_000), room(20 << 20)] {
                for has_scalars in [false, true] {
                    let Some(plan) = Plan::new(points, room, has_scalars) else {
                        panic!("no plan of {points} points for {room:?}");
                    };
                    assert!(plan.part > 0 && plan.part <= points && plan.batch > 0 && plan.batch <= plan.windows);
                    let needed = plan.room(room);
                    assert!(needed.points <= room.points && needed.pairs <= room.pairs, "{plan:?} {room:?}");
                    assert!(needed.results <= room.results && needed.imported <= room.imported, "{plan:?} {room:?}");
                }
            }
        }
        assert_eq!(Plan::new(100, room(16), true), None);
        // Random scalars in much room: buckets that hold a few points each.
        assert_eq!(Plan::new(1 << 14, room(2 << 20), true).map(|plan| plan.bits), Some(11));
    }

    #[test]
    fn slices_follow_the_speed_and_are_never_empty() {
        let (sums, group) = (Sums::default(), Group::G1);
        assert_eq!(sums.slice(group), FIRST_SLICE);
        // Short ones tell nothing.
        sums.learn(group, 10, Duration::from_millis(9));
        assert_eq!((sums.slice(group), sums.rate(group)), (FIRST_SLICE, None));
        sums.learn(group, FIRST_SLICE, Duration::from_millis(1));
        assert_eq!(sums.slice(group), 2 * FIRST_SLICE);
        sums.learn(group, 10, Duration::from_secs(50));
        assert_eq!(sums.slice(group), WORKGROUP);
        (0..40).for_each(|_| sums.learn(group, sums.slice(group), Duration::from_millis(1)));
        assert!(sums.slice(group) > MAX_SLICE);
    }
}
