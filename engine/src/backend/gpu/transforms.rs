//! Passes of transforms: blocks of rows or columns, each a slice of its own.
//!
//! A block's pieces are copied one after the other, so that rows come one after the other and columns interleaved; both
//! are butterflies over the blocks of one array. A slice is several dispatches, two levels of butterflies each, and what
//! it takes is kept under [`TARGET`](super::pace::TARGET). Nothing of a block is changed before all of its results have come, so that one
//! that failed can be computed by somebody else.
//!
//! Values stay in the form of the curve crate, `x·2²⁵⁶`; factors are in that of the kernels, `f·R`, whose
//! product divides by R.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use blst::blst_fr;
use ff::{Field as _, PrimeField};
use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::{Decimation as Way, Kernel, Levels};
use filecash_shaders::poseidon::WORKGROUP;

use super::device::{Device, IMMEDIATE_BYTES};
use super::download::Download;
use super::error::GpuError;
use super::pace::Pace;
use super::pipeline::{Pipeline, Pipelines};
use crate::backend::cpu::ntt::{Block, Blocks, Decimation, LANES, Over, Pass, Step};
use crate::field::Fr;

/// Slices on their way at a time.
const SLOTS: usize = 3;
/// Elements of the first slice of a kind, before its speed is known.
const FIRST_SLICE: usize = 1 << 14;
/// Elements of a slice: an invocation each fits one dimension of a dispatch.
const MAX_SLICE: usize = 1 << 21;
/// Tables that are kept: those of the transforms of one domain.
const TABLES: usize = 8;
const FR_BYTES: usize = size_of::<Fr>();

/// Tables on the device, and what is known of the speed of passes.
#[derive(Debug)]
pub(super) struct Transforms {
    tables: Mutex<VecDeque<(Key, wgpu::Buffer)>>,
    /// Of elements, by kind of pass.
    pace: Pace<Kind>,
}

/// What tells a table from others: its length, and its entry for the last butterfly, a root of unity by a power of the
/// factor of the points; and that of the first butterfly.
type Key = (usize, [Fr; 2]);
/// Over what, and in how many steps.
type Kind = (Over, usize);

/// The pipelines of a pass, and the tables of its steps.
struct Prepared<'p> {
    pass: &'p Pass,
    /// In time, and in frequency.
    one: [Arc<Pipeline>; 2],
    two: [Arc<Pipeline>; 2],
    row_factors: Arc<Pipeline>,
    tables: Vec<wgpu::Buffer>,
}

#[derive(Debug)]
struct Slot {
    values: wgpu::Buffer,
    /// Where the processor reads the values.
    mapped: wgpu::Buffer,
    /// Of each step over rows.
    factors: Vec<wgpu::Buffer>,
}

/// A block that the device has been given.
struct Flight<'v> {
    slot: Slot,
    block: Block<'v>,
    download: Download,
}

/// Bits of the place in a row that choose the first of the two factors of an element.
fn split_log2(row_log2: u32) -> u32 {
    row_log2 / 2
}

/// Factors of a row.
fn row_entries(row_log2: u32) -> usize {
    let split = split_log2(row_log2);
    (1 << split) + (1 << (row_log2 - split))
}

/// R of the kernels as a field element.
fn radix(form: Form) -> Fr {
    Fr::from(2).pow_vartime([Field::Fr.limbs(form) as u64 * u64::from(Field::Fr.limb_bits(form))])
}

impl Default for Transforms {
    fn default() -> Self {
        Self { tables: Mutex::default(), pace: Pace::new(FIRST_SLICE) }
    }
}

impl Transforms {
    /// Computes blocks until none is left. Those that could not be computed are given back.
    pub(super) fn run(
        &self,
        device: &Device,
        pipelines: &Pipelines,
        pass: &Pass,
        blocks: &Blocks<'_>,
    ) -> Result<(), GpuError> {
        let prepared = self.prepare(device, pipelines, pass)?;
        let mut flights = VecDeque::new();
        let result = self.fly(device, &prepared, blocks, &mut flights);
        flights.into_iter().for_each(|flight: Flight<'_>| blocks.give_back(flight.block));
        result
    }

    fn fly<'v>(
        &self,
        device: &Device,
        prepared: &Prepared<'_>,
        blocks: &Blocks<'v>,
        flights: &mut VecDeque<Flight<'v>>,
    ) -> Result<(), GpuError> {
        let kind = (prepared.pass.over(), prepared.pass.steps().len());
        let mut most = prepared.most(device)?;
        let (mut slots, mut free, mut last_end) = (SLOTS, Vec::new(), Instant::now());
        loop {
            while flights.len() < slots {
                let wanted = (self.pace.slice(kind) / prepared.len()).clamp(LANES, most);
                let Some(block) = blocks.take_in_turn(wanted) else { break };
                match prepared.launch(device, free.pop(), &block) {
                    Ok((slot, download)) => flights.push_back(Flight { slot, block, download }),
                    Err(error) => {
                        blocks.give_back(block);
                        // With less at a time, or in smaller slices, there may be room.
                        match error {
                            GpuError::OutOfMemory { .. } if !flights.is_empty() => slots = flights.len(),
                            GpuError::OutOfMemory { .. } if most > LANES => most /= 2,
                            _ => return Err(error),
                        }
                    }
                }
            }
            let Some(Flight { slot, mut block, download }) = flights.pop_front() else { return Ok(()) };
            if let Err(error) = prepared.land(device, &slot, &mut block, download) {
                blocks.give_back(block);
                return Err(error);
            }
            free.push(slot);
            let end = Instant::now();
            self.pace.learn(kind, (end - last_end).as_secs_f64() / prepared.elements(&block) as f64);
            last_end = end;
        }
    }

    fn prepare<'p>(&self, device: &Device, pipelines: &Pipelines, pass: &'p Pass) -> Result<Prepared<'p>, GpuError> {
        let get = |kernel| pipelines.get(device, kernel, Vec::new);
        let butterflies = |levels| {
            let of = |decimation| get(Kernel::Butterflies(decimation, levels, device.form));
            Ok([of(Way::Time)?, of(Way::Frequency)?])
        };
        Ok(Prepared {
            pass,
            one: butterflies(Levels::One)?,
            two: butterflies(Levels::Two)?,
            row_factors: get(Kernel::RowFactors(device.form))?,
            tables: pass.steps().iter().map(|step| self.table(device, step)).collect::<Result<_, _>>()?,
        })
    }

    /// The table of a step on the device.
    fn table(&self, device: &Device, step: &Step) -> Result<wgpu::Buffer, GpuError> {
        let table = step.table();
        let half = table.len() / 2;
        let key = (table.len(), [table[half], table[half + 1]]);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, buffer)) = tables.iter().find(|(other, _)| *other == key) {
            return Ok(buffer.clone());
        }
        let usages = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = device.buffer("table", (table.len() * FR_BYTES) as u64, usages)?;
        let radix = radix(device.form);
        let bytes: Vec<u8> = table.iter().flat_map(|factor| (*factor * radix).to_repr()).collect();
        device.queue.write_buffer(&buffer, 0, &bytes);
        tables.push_front((key, buffer.clone()));
        tables.truncate(TABLES);
        Ok(buffer)
    }
}

impl Prepared<'_> {
    /// Elements of a vector.
    fn len(&self) -> usize {
        self.pass.vector_len()
    }

    fn log2(&self) -> u32 {
        self.len().ilog2()
    }

    fn elements(&self, block: &Block<'_>) -> usize {
        block.vectors(self.pass.over()) * self.len()
    }

    /// Bytes of the factors of a row in each step.
    fn row_bytes(&self) -> usize {
        match self.pass.over() {
            Over::Rows => row_entries(self.log2()) * FR_BYTES,
            Over::Columns => 0,
        }
    }

    /// Vectors of a slice, a power of two.
    fn most(&self, device: &Device) -> Result<usize, GpuError> {
        // Values and factors, both also where they are written through, and where values are read.
        let vector = 3 * self.len() * FR_BYTES + 2 * self.pass.steps().len() * self.row_bytes();
        let in_budget = device.max_vram / SLOTS as u64 / vector as u64;
        let in_binding = device.max_binding / (self.len() * FR_BYTES) as u64;
        let most = in_budget.min(in_binding).min((MAX_SLICE / self.len()) as u64) as usize;
        if most < LANES {
            let bytes = (SLOTS * LANES * vector) as u64;
            return Err(GpuError::OutOfMemory { adapter: device.name.clone(), bytes });
        }
        Ok(1 << most.ilog2())
    }

    /// Gives a block to the device.
    fn launch(&self, device: &Device, slot: Option<Slot>, block: &Block<'_>) -> Result<(Slot, Download), GpuError> {
        let elements = self.elements(block);
        let bytes = (elements * FR_BYTES) as u64;
        let slot = match slot.filter(|slot| slot.values.size() >= bytes) {
            Some(slot) => slot,
            None => self.slot(device, block)?,
        };
        let mut limbs = Vec::with_capacity(elements);
        limbs.extend(block.values().map(|value| blst_fr::from(*value).l));
        device.queue.write_buffer(&slot.values, 0, bytemuck::cast_slice(&limbs));
        let mut encoder = device.wgpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut compute = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (number, step) in self.pass.steps().iter().enumerate() {
                self.step(device, &mut compute, &slot, block, number, step);
            }
        }
        encoder.copy_buffer_to_buffer(&slot.values, 0, &slot.mapped, 0, bytes);
        let download = Download::start(device, "transforms", encoder, &slot.mapped, bytes)?;
        Ok((slot, download))
    }

    /// Records the dispatches of a step.
    fn step(
        &self,
        device: &Device,
        compute: &mut wgpu::ComputePass<'_>,
        slot: &Slot,
        block: &Block<'_>,
        number: usize,
        step: &Step,
    ) {
        let elements = self.elements(block);
        let (log2, is_last) = (self.log2(), number + 1 == self.pass.steps().len());
        let width_log2 = match self.pass.over() {
            Over::Rows => 0,
            Over::Columns => block.vectors(Over::Columns).ilog2(),
        };
        let of_rows = |compute: &mut wgpu::ComputePass<'_>| {
            let Some(buffer) = slot.factors.get(number) else { return };
            device.queue.write_buffer(buffer, 0, &row_words(step, block, log2, radix(device.form)));
            let canonical = is_last && step.decimation == Decimation::Time;
            let parameters = [elements as u32, log2, split_log2(log2), u32::from(canonical)];
            dispatch(device, compute, &self.row_factors, buffer, &slot.values, parameters);
        };
        let way = usize::from(step.decimation == Decimation::Frequency);
        let one = |compute: &mut wgpu::ComputePass<'_>, half_log2: u32, is_end: bool| {
            let parameters = [(elements / 2) as u32, half_log2, width_log2, u32::from(is_end)];
            dispatch(device, compute, &self.one[way], &self.tables[number], &slot.values, parameters);
        };
        let two = |compute: &mut wgpu::ComputePass<'_>, half_log2: u32, is_end: bool| {
            let parameters = [(elements / 4) as u32, half_log2, width_log2, u32::from(is_end)];
            dispatch(device, compute, &self.two[way], &self.tables[number], &slot.values, parameters);
        };
        // An odd level is that of the smallest blocks.
        let odd = log2 % 2;
        match step.decimation {
            Decimation::Time => {
                if odd == 1 {
                    one(compute, 0, false);
                }
                for half_log2 in (odd..log2).step_by(2) {
                    two(compute, half_log2, is_last && self.pass.over() == Over::Columns && half_log2 + 2 == log2);
                }
                of_rows(compute);
            }
            Decimation::Frequency => {
                of_rows(compute);
                for half_log2 in (odd..log2).step_by(2).rev() {
                    two(compute, half_log2, is_last && half_log2 == 0);
                }
                if odd == 1 {
                    one(compute, 0, is_last);
                }
            }
        }
    }

    /// Buffers for a block.
    fn slot(&self, device: &Device, block: &Block<'_>) -> Result<Slot, GpuError> {
        use wgpu::BufferUsages as Usage;
        let bytes = (self.elements(block) * FR_BYTES) as u64;
        let factors = match self.pass.over() {
            Over::Rows => self.pass.steps().len(),
            Over::Columns => 0,
        };
        let factor_bytes = (block.vectors(self.pass.over()) * self.row_bytes()) as u64;
        Ok(Slot {
            values: device.buffer("values", bytes, Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC)?,
            mapped: device.buffer("mapped", bytes, Usage::MAP_READ | Usage::COPY_DST)?,
            factors: (0..factors)
                .map(|_| device.buffer("row factors", factor_bytes, Usage::STORAGE | Usage::COPY_DST))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Waits for a block; it is changed if all is well.
    fn land(&self, device: &Device, slot: &Slot, block: &mut Block<'_>, download: Download) -> Result<(), GpuError> {
        /// The highest limb of the modulus.
        const TOP: u64 = 0x73ed_a753_299d_7d48;
        let canonical = download.finish(device, "transforms", &slot.mapped, |bytes| {
            let limbs: &[[u64; 4]] = bytemuck::cast_slice(bytes);
            if limbs.iter().any(|limbs| limbs[3] > TOP) {
                return false;
            }
            block.values_mut().zip(limbs).for_each(|(value, limbs)| *value = Fr::from(blst_fr { l: *limbs }));
            true
        })?;
        match canonical {
            true => Ok(()),
            false => Err(GpuError::Wrong { adapter: device.name.clone(), kernel: "transforms".to_owned() }),
        }
    }
}

/// The factors of the rows of a block, as the words of their buffer.
fn row_words(step: &Step, block: &Block<'_>, row_log2: u32, radix: Fr) -> Vec<u8> {
    let lows = 1_usize << split_log2(row_log2);
    let entries = row_entries(row_log2);
    let mut bytes = vec![0; block.pieces.len() * entries * FR_BYTES];
    for (group, rows) in bytes.chunks_mut(LANES * entries * FR_BYTES).enumerate() {
        let Some(factors) = step.factors(block.rows, group * LANES) else { continue };
        let numbers = factors.first.iter().zip(&factors.ratio);
        for (row, (first, ratio)) in rows.chunks_exact_mut(entries * FR_BYTES).zip(numbers) {
            let (low, high) = row.split_at_mut(lows * FR_BYTES);
            let put = |part: &mut [u8], mut factor: Fr, ratio: &Fr| {
                for entry in part.chunks_exact_mut(FR_BYTES) {
                    entry.copy_from_slice(&factor.to_repr());
                    factor *= ratio;
                }
            };
            put(low, *first * radix, ratio);
            put(high, radix, &ratio.pow_vartime([lows as u64]));
        }
    }
    bytes
}

fn dispatch(
    device: &Device,
    compute: &mut wgpu::ComputePass<'_>,
    pipeline: &Pipeline,
    factors: &wgpu::Buffer,
    values: &wgpu::Buffer,
    parameters: [u32; 4],
) {
    let group = device.wgpu.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&pipeline.name),
        layout: &pipeline.layout,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: factors.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: values.as_entire_binding() },
        ],
    });
    let mut bytes = [0; IMMEDIATE_BYTES as usize];
    bytes[..16].copy_from_slice(bytemuck::cast_slice(&parameters));
    compute.set_pipeline(&pipeline.compute);
    compute.set_bind_group(0, &group, &[]);
    compute.set_immediates(0, &bytes);
    compute.dispatch_workgroups(parameters[0].div_ceil(WORKGROUP as u32), 1, 1);
}
