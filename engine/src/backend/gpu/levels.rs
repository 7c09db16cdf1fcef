//! Kernels with one output node for each group of input nodes, over any number of groups.
//!
//! The groups are cut into slices that fit a binding, the budget and the time that a dispatch may take. Slices go around
//! in a ring of buffers: while the device computes one, the next is being written and the one before read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use filecash_shaders::kernels::Kernel;
use filecash_shaders::poseidon::WORKGROUP;

use super::device::{Device, IMMEDIATE_BYTES};
use super::download::Download;
use super::error::GpuError;
use super::pace::Pace;
use super::pipeline::Pipeline;
use crate::field::Node;
use crate::sector::params::NODE_SIZE;

/// Slices on their way at a time.
const SLOTS: usize = 3;
/// Groups of the first slice of a kernel, before its speed is known.
const FIRST_SLICE: usize = 256;
/// Workgroups in one dimension of a dispatch, on every adapter.
const MAX_WORKGROUPS: usize = 65_535;

/// The buffers of slices, and what is known of kernels' speed.
#[derive(Debug)]
pub(super) struct Levels {
    ring: Mutex<Option<Ring>>,
    /// Of groups, by kernel.
    pace: Pace<Kernel>,
}

#[derive(Debug)]
struct Ring {
    input_bytes: u64,
    output_bytes: u64,
    free: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    input: wgpu::Buffer,
    output: wgpu::Buffer,
    /// Where the processor reads the output.
    mapped: wgpu::Buffer,
}

/// A slice that the device has been given.
struct Flight {
    slot: Slot,
    first: usize,
    count: usize,
    download: Download,
}

/// What a kernel is run over.
pub(super) enum Groups<'a> {
    /// `parents[i] = kernel(children[i·arity], …)`.
    Level { arity: usize, children: &'a [Node], parents: &'a mut [Node] },
    /// `values[i] = kernel(values[i], keys[i])`; a slice's values come before its keys.
    InPlace { values: &'a mut [Node], keys: &'a [Node] },
}

impl Groups<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Level { parents, .. } => parents.len(),
            Self::InPlace { values, .. } => values.len(),
        }
    }

    /// Inputs of a group.
    fn arity(&self) -> usize {
        match self {
            Self::Level { arity, .. } => *arity,
            Self::InPlace { .. } => 2,
        }
    }

    /// The inputs of groups: two parts, one after the other.
    fn inputs(&self, groups: Range<usize>) -> [&[Node]; 2] {
        match self {
            Self::Level { arity, children, .. } => [&children[groups.start * arity..groups.end * arity], &[]],
            Self::InPlace { values, keys } => [&values[groups.clone()], &keys[groups]],
        }
    }

    fn outputs(&mut self, groups: Range<usize>) -> &mut [Node] {
        match self {
            Self::Level { parents, .. } => &mut parents[groups],
            Self::InPlace { values, .. } => &mut values[groups],
        }
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self { ring: Mutex::default(), pace: Pace::new(FIRST_SLICE) }
    }
}

impl Levels {
    /// Runs a kernel over groups.
    pub(super) fn run(
        &self,
        device: &Device,
        kernel: Kernel,
        pipeline: &Arc<Pipeline>,
        mut groups: Groups<'_>,
    ) -> Result<(), GpuError> {
        let (len, arity) = (groups.len(), groups.arity());
        if len == 0 {
            return Ok(());
        }
        // One caller at a time: the ring is as large as the budget allows.
        let mut kept = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ring = self.ring(device, kept.take(), arity, len)?;
        let most = ((ring.input_bytes / (arity * NODE_SIZE) as u64).min(ring.output_bytes / NODE_SIZE as u64) as usize)
            .min(MAX_WORKGROUPS * WORKGROUP);
        let (mut next, mut flights) = (0, VecDeque::new());
        let mut last_end = Instant::now();
        while next < len || !flights.is_empty() {
            if let (true, Some(slot)) = (next < len, ring.free.pop()) {
                let count = self.slice(kernel).min(most).min(len - next);
                let inputs = groups.inputs(next..next + count);
                flights.push_back(launch(device, pipeline, slot, next, count, inputs)?);
                next += count;
                continue;
            }
            let Some(flight) = flights.pop_front() else { break };
            let (first, count) = (flight.first, flight.count);
            ring.free.push(land(device, pipeline, flight, groups.outputs(first..first + count))?);
            let end = Instant::now();
            self.pace.learn(kernel, (end - last_end).as_secs_f64() / count as f64);
            last_end = end;
        }
        *kept = Some(ring);
        Ok(())
    }

    /// Gives the buffers of slices back.
    pub(super) fn release(&self) {
        drop(self.ring.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs a kernel without parameters once, in a slice of its own.
    pub(super) fn once(
        &self,
        device: &Device,
        pipeline: &Arc<Pipeline>,
        inputs: &[Node],
        outputs: &mut [Node],
    ) -> Result<(), GpuError> {
        let bytes = |nodes: &[Node]| (nodes.len().max(1) * NODE_SIZE) as u64;
        let slot = Slot::new(device, bytes(inputs), bytes(outputs))?;
        let flight = launch(device, pipeline, slot, 0, outputs.len(), [inputs, &[]])?;
        land(device, pipeline, flight, outputs).map(drop)
    }

    /// Groups of the next slice: as many as a dispatch may take.
    fn slice(&self, kernel: Kernel) -> usize {
        // One at least: the first slice of a kernel also has the time of its compilation.
        self.pace.slice(kernel).max(1).next_multiple_of(WORKGROUP)
    }

    /// Groups a second of a kernel, once it has run.
    pub(super) fn rate(&self, kernel: Kernel) -> Option<f64> {
        self.pace.rate(kernel)
    }

    /// A ring for groups of `arity`, the one that is there if it will do; halved until the device has room for it.
    fn ring(&self, device: &Device, kept: Option<Ring>, arity: usize, groups: usize) -> Result<Ring, GpuError> {
        // Inputs and what they are written through, outputs and where they are read.
        let group = ((2 * arity + 2) * NODE_SIZE) as u64;
        let in_budget = device.max_vram / (SLOTS as u64 * group);
        let in_binding = device.max_binding / (arity * NODE_SIZE) as u64;
        let mut wanted = in_budget.min(in_binding).min(groups.next_multiple_of(WORKGROUP) as u64);
        let sizes = |groups: u64| (groups * (arity * NODE_SIZE) as u64, groups * NODE_SIZE as u64);
        if let Some(ring) = kept.filter(|ring| {
            let (input, output) = sizes(wanted);
            ring.input_bytes >= input && ring.output_bytes >= output && ring.free.len() == SLOTS
        }) {
            return Ok(ring);
        }
        loop {
            let (input_bytes, output_bytes) = sizes(wanted);
            if wanted == 0 {
                return Err(GpuError::OutOfMemory { adapter: device.name.clone(), bytes: group * SLOTS as u64 });
            }
            let slots = (0..SLOTS).map(|_| Slot::new(device, input_bytes, output_bytes)).collect::<Result<_, _>>();
            match slots {
                Ok(free) => return Ok(Ring { input_bytes, output_bytes, free }),
                Err(GpuError::OutOfMemory { .. }) if wanted > WORKGROUP as u64 => wanted /= 2,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Slot {
    fn new(device: &Device, input_bytes: u64, output_bytes: u64) -> Result<Self, GpuError> {
        use wgpu::BufferUsages as Usage;
        Ok(Self {
            input: device.buffer("input", input_bytes, Usage::STORAGE | Usage::COPY_DST)?,
            output: device.buffer("output", output_bytes, Usage::STORAGE | Usage::COPY_SRC)?,
            mapped: device.buffer("mapped", output_bytes, Usage::MAP_READ | Usage::COPY_DST)?,
        })
    }
}

/// Gives a slice to the device.
fn launch(
    device: &Device,
    pipeline: &Arc<Pipeline>,
    slot: Slot,
    first: usize,
    count: usize,
    inputs: [&[Node]; 2],
) -> Result<Flight, GpuError> {
    let [head, tail] = inputs.map(<[Node]>::as_flattened);
    let output_bytes = (count * NODE_SIZE) as u64;
    let binding = |number, buffer, size: u64| wgpu::BindGroupEntry {
        binding: number,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size: size.try_into().ok() }),
    };
    let constants = pipeline.constants.as_ref();
    let mut entries: Vec<_> = constants.into_iter().map(|constants| binding(0, constants, constants.size())).collect();
    if !head.is_empty() {
        device.queue.write_buffer(&slot.input, 0, head);
        device.queue.write_buffer(&slot.input, head.len() as u64, tail);
        entries.push(binding(entries.len() as u32, &slot.input, (head.len() + tail.len()) as u64));
    }
    entries.push(binding(entries.len() as u32, &slot.output, output_bytes));
    let group = device.wgpu.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&pipeline.name),
        layout: &pipeline.layout,
        entries: &entries,
    });
    let mut encoder = device.wgpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline.compute);
        pass.set_bind_group(0, &group, &[]);
        if pipeline.has_parameters {
            let mut parameters = [0_u8; IMMEDIATE_BYTES as usize];
            parameters[..4].copy_from_slice(&(count as u32).to_le_bytes());
            pass.set_immediates(0, &parameters);
        }
        pass.dispatch_workgroups(count.div_ceil(WORKGROUP) as u32, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&slot.output, 0, &slot.mapped, 0, output_bytes);
    let download = Download::start(device, &pipeline.name, encoder, &slot.mapped, output_bytes)?;
    Ok(Flight { slot, first, count, download })
}

/// Waits for a slice and reads its outputs.
fn land(device: &Device, pipeline: &Pipeline, flight: Flight, outputs: &mut [Node]) -> Result<Slot, GpuError> {
    let Flight { slot, download, .. } = flight;
    download.finish(device, &pipeline.name, &slot.mapped, |bytes| outputs.as_flattened_mut().copy_from_slice(bytes))?;
    Ok(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_never_empty() {
        let (levels, kernel) = (Levels::default(), Kernel::ShaLevel);
        assert_eq!(levels.slice(kernel), FIRST_SLICE);
        levels.pace.learn(kernel, 5.0);
        assert_eq!(levels.slice(kernel), WORKGROUP);
    }
}
