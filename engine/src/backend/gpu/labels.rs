//! Labels of many sectors of one graph, in lockstep. CPU twin: `hash::label`.
//!
//! A layer of one sector is a chain that no device can share out, so a device labels many sectors at a time, one
//! invocation to each. It keeps two layers of all of them, the labels of a node side by side:
//! `labels[node·sectors + sector]`, and the parents once, since sectors of a PoRep id have the same. A dispatch labels some
//! nodes of some sectors, as many as it may take time for.
//!
//! All labels of a layer are in one binding, so this is for sectors that are small beside it. Labels of node 0, which hash
//! nothing but the sector's name, come from the processor.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use filecash_shaders::kernels::Kernel;
use filecash_shaders::labels::MAX_TURNS;
use filecash_shaders::poseidon::WORKGROUP;

use super::device::{Device, IMMEDIATE_BYTES};
use super::download::Download;
use super::error::GpuError;
use super::pace::TARGET;
use super::pipeline::Pipeline;
use super::{Gpu, tables};
use crate::field::Node;
use crate::hash::label::{label, repeat};
use crate::sector::params::{BASE_DEGREE, DEGREE, NODE_SIZE};
use crate::sector::{Profile, ReplicaId};

/// The parents of a node, as little-endian numbers: before it in its layer, then in the layer before.
type Row = [u32; DEGREE];

/// Most bytes of a layer of all sectors: what 32-bit addresses of every language of shaders reach.
const MAX_LAYER_BYTES: u64 = 1 << 31;
/// A dispatch that takes longer will not end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Dispatches on their way at a time.
const FLIGHTS: usize = 2;
/// Turns of loops in an invocation, below what every driver does.
const TURNS: usize = 60_000;
/// Most nodes of a dispatch.
const MAX_NODES: usize = TURNS / MAX_TURNS;
/// Sectors of the first dispatch, before its speed is known.
const FIRST_SECTORS: usize = 1024;
/// Most sectors of a dispatch, in workgroups of one dimension.
const MAX_SECTORS: usize = 65_535 * WORKGROUP;
/// Bytes that are handed to the device at a time.
const UPLOAD_BYTES: usize = 1 << 20;
/// Nodes and sectors of the known-answer test: more than a workgroup, and not a multiple of one.
const TEST_NODES: usize = 32;
const TEST_SECTORS: usize = 67;

/// Sectors whose labels a device computes layer by layer; all of them have the same graph.
#[derive(Debug)]
pub struct LabelBatch<'a> {
    device: &'a Device,
    pipeline: Arc<Pipeline>,
    profile: Profile,
    replica_ids: Vec<ReplicaId>,
    nodes: usize,
    /// Number of the layer in `labels`; 0 before there is any.
    layer: u32,
    parents: wgpu::Buffer,
    ids: wgpu::Buffer,
    labels: wgpu::Buffer,
    /// The layer that is being computed.
    next: wgpu::Buffer,
    /// Where the processor reads a layer.
    mapped: wgpu::Buffer,
    pace: Pace,
}

/// How much a dispatch labels: at first few nodes of some sectors, then of all, then more nodes.
#[derive(Debug)]
struct Pace {
    nodes: usize,
    sectors: usize,
    all_sectors: usize,
}

/// A dispatch that the device has been given.
struct Flight {
    submission: wgpu::SubmissionIndex,
    nodes: usize,
    sectors: usize,
}

impl Gpu {
    /// Sectors of so many nodes that fit the device at once.
    ///
    /// # Errors
    /// [`GpuError::LayerTooLarge`] when a sector is too large to be labelled in this way, [`GpuError::OutOfMemory`] when the
    /// budget is too low for one.
    pub fn label_capacity(&self, nodes: u64) -> Result<usize, GpuError> {
        let device = &self.device;
        let (layer_bytes, table_bytes) = (nodes * NODE_SIZE as u64, nodes * size_of::<Row>() as u64);
        let most = device.max_binding.min(MAX_LAYER_BYTES);
        if table_bytes > most {
            return Err(GpuError::LayerTooLarge { adapter: device.name.clone(), bytes: table_bytes, most });
        }
        // Two layers, where one is read, and the replica ids; what parents and ids are written through.
        let (shared, each) = (2 * table_bytes, 3 * layer_bytes + 2 * NODE_SIZE as u64);
        let in_budget = device.max_vram.saturating_sub(shared) / each;
        if in_budget == 0 {
            return Err(GpuError::OutOfMemory { adapter: device.name.clone(), bytes: shared + each });
        }
        Ok(in_budget.min(most / layer_bytes) as usize)
    }

    /// Sectors to label on the device, no more than [`label_capacity`](Self::label_capacity); no layer is computed yet.
    ///
    /// # Errors
    /// As `label_capacity`; [`GpuError::OutOfMemory`] when there are more sectors or the device has less room than it may
    /// use, [`GpuError`] when it fails.
    pub fn labels(
        &self,
        profile: Profile,
        parents: &[Row],
        replica_ids: &[ReplicaId],
    ) -> Result<LabelBatch<'_>, GpuError> {
        self.tested_labels(profile)?;
        self.label_batch(profile, parents, replica_ids)
    }

    /// Labels any number of sectors, as many at a time as fit: calls `advance` with labels computed since its last call,
    /// and `done` with each layer of each batch, which is the places of its sectors, the number of the layer and its labels by
    /// sector.
    ///
    /// # Errors
    /// As [`labels`](Self::labels), and what the calls return.
    pub fn label_all<E: From<GpuError>>(
        &self,
        profile: Profile,
        parents: &[Row],
        replica_ids: &[ReplicaId],
        layers: u32,
        mut advance: impl FnMut(u64) -> Result<(), E>,
        mut done: impl FnMut(Range<usize>, u32, Vec<Vec<Node>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut most = self.label_capacity(parents.len() as u64)?;
        let mut first = 0;
        while first < replica_ids.len() {
            let sectors = first..replica_ids.len().min(first + most);
            let mut batch = match self.labels(profile, parents, &replica_ids[sectors.clone()]) {
                // Others use the device too.
                Err(GpuError::OutOfMemory { .. }) if sectors.len() > 1 => {
                    most = sectors.len() / 2;
                    continue;
                }
                batch => batch?,
            };
            for layer in 1..=layers {
                batch.next_layer(&mut advance)?;
                done(sectors.clone(), layer, batch.read()?)?;
            }
            first = sectors.end;
        }
        Ok(())
    }

    fn label_batch(
        &self,
        profile: Profile,
        rows: &[Row],
        replica_ids: &[ReplicaId],
    ) -> Result<LabelBatch<'_>, GpuError> {
        use wgpu::BufferUsages as Usage;
        let device = &self.device;
        let capacity = self.label_capacity(rows.len() as u64)?;
        let ids_bytes = (replica_ids.len().max(1) * NODE_SIZE) as u64;
        let layer_bytes = ids_bytes * rows.len() as u64;
        if replica_ids.len() > capacity {
            return Err(GpuError::OutOfMemory { adapter: device.name.clone(), bytes: 3 * layer_bytes });
        }
        let hash = tables::label_hash(profile, device.form);
        let pipeline = self.pipelines.get(device, Kernel::Labels(hash), || tables::label_words(hash))?;
        let inputs = Usage::STORAGE | Usage::COPY_DST;
        let batch = LabelBatch {
            device,
            pipeline,
            profile,
            replica_ids: replica_ids.to_vec(),
            nodes: rows.len(),
            layer: 0,
            parents: device.buffer("parents", size_of_val(rows) as u64, inputs)?,
            ids: device.buffer("replica ids", ids_bytes, inputs)?,
            labels: device.buffer("labels", layer_bytes, inputs | Usage::COPY_SRC)?,
            next: device.buffer("labels", layer_bytes, inputs | Usage::COPY_SRC)?,
            mapped: device.buffer("mapped", layer_bytes, Usage::MAP_READ | Usage::COPY_DST)?,
            pace: Pace::new(replica_ids.len()),
        };
        // Words of a table are little-endian, as buffers are.
        device.queue.write_buffer(&batch.parents, 0, bytemuck::cast_slice(rows));
        let ids: Vec<_> = replica_ids.iter().map(swapped).collect();
        device.queue.write_buffer(&batch.ids, 0, ids.as_flattened());
        Ok(batch)
    }

    /// Has the device label what the CPU knows, unless it has done so before.
    pub(super) fn tested_labels(&self, profile: Profile) -> Result<(), GpuError> {
        let kernel = Kernel::Labels(tables::label_hash(profile, self.device.form));
        self.proven(kernel, || {
            // Not the parents of a sector, but as these are: some before the node, and any of the layer before.
            let parent = |node: usize, place: usize| match place {
                0 => node.saturating_sub(1),
                1..BASE_DEGREE => (node * node + 7 * place) % node.max(1),
                _ => (11 * node + 5 * place) % TEST_NODES,
            };
            let rows: Vec<[usize; DEGREE]> =
                (0..TEST_NODES).map(|node| std::array::from_fn(|place| parent(node, place))).collect();
            let table: Vec<_> = rows.iter().map(|row| row.map(|parent| (parent as u32).to_le())).collect();
            let ids: Vec<ReplicaId> =
                (0..TEST_SECTORS).map(|i| std::array::from_fn(|byte| (i * 31 + byte * 7) as u8)).collect();
            let mut batch = self.label_batch(profile, &table, &ids)?;
            let mut previous: Vec<Vec<Node>> = Vec::new();
            for layer in 1..=3 {
                batch.next_layer(|_| Ok::<_, GpuError>(()))?;
                let mut expected: Vec<Vec<Node>> = Vec::with_capacity(TEST_SECTORS);
                for (sector, id) in ids.iter().enumerate() {
                    let mut labels = vec![label(profile, id, layer, 0, &[])];
                    for (node, row) in rows.iter().enumerate().skip(1) {
                        let (base, expander) = row.split_at(BASE_DEGREE);
                        let mut parents: Vec<_> = base.iter().map(|parent| labels[*parent]).collect();
                        if let Some(previous) = previous.get(sector) {
                            parents.extend(expander.iter().map(|parent| previous[*parent]));
                        }
                        labels.push(label(profile, id, layer, node as u64, &repeat(&parents)));
                    }
                    expected.push(labels);
                }
                self.expect(&batch.read()?.concat(), &expected.concat(), kernel)?;
                previous = expected;
            }
            Ok(())
        })
    }
}

impl LabelBatch<'_> {
    /// Number of the layer that it holds, 0 before there is any.
    pub fn layer(&self) -> u32 {
        self.layer
    }

    /// Goes on from a layer that was computed before: the labels of each sector.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails; the batch holds no layer then.
    ///
    /// # Panics
    /// When it is not one layer for each sector.
    pub fn set(&mut self, layer: u32, labels: &[impl AsRef<[Node]>]) -> Result<(), GpuError> {
        let sectors = self.replica_ids.len();
        assert_eq!(labels.len(), sectors, "a layer of each sector");
        assert!(labels.iter().all(|labels| labels.as_ref().len() == self.nodes), "a label of each node");
        self.layer = 0;
        if sectors == 0 {
            self.layer = layer;
            return Ok(());
        }
        let nodes_at_a_time = (UPLOAD_BYTES / (sectors * NODE_SIZE)).max(1);
        for first in (0..self.nodes).step_by(nodes_at_a_time) {
            let nodes = first..self.nodes.min(first + nodes_at_a_time);
            let rows: Vec<_> =
                nodes.flat_map(|node| labels.iter().map(move |labels| swapped(&labels.as_ref()[node]))).collect();
            let offset = (first * sectors * NODE_SIZE) as u64;
            self.device.queue.write_buffer(&self.labels, offset, rows.as_flattened());
            // What was written through is free again afterwards.
            self.wait(self.device.queue.submit([]))?;
        }
        self.layer = layer;
        Ok(())
    }

    /// Computes the next layer of every sector, which the batch holds from then on. Calls `advance` with the labels
    /// computed since the last call.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails, and what `advance` returns. The batch then holds the layer that it held before.
    pub fn next_layer<E: From<GpuError>>(&mut self, mut advance: impl FnMut(u64) -> Result<(), E>) -> Result<(), E> {
        let (layer, sectors) = (self.layer + 1, self.replica_ids.len());
        let first_labels: Vec<_> =
            self.replica_ids.iter().map(|id| swapped(&label(self.profile, id, layer, 0, &[]))).collect();
        self.device.queue.write_buffer(&self.next, 0, first_labels.as_flattened());
        let group = self.bind_group();
        let mut flights = VecDeque::new();
        let mut last_end = Instant::now();
        let mut land = |batch: &mut Self, flight: Flight| -> Result<(), E> {
            batch.wait(flight.submission)?;
            let end = Instant::now();
            batch.pace.learn(flight.nodes, flight.sectors, end - last_end);
            last_end = end;
            advance((flight.nodes * flight.sectors) as u64)
        };
        let mut node = 1;
        while node < self.nodes && sectors > 0 {
            let nodes = self.pace.nodes.min(self.nodes - node);
            let mut sector = 0;
            while sector < sectors {
                let count = self.pace.sectors.min(sectors - sector);
                if flights.len() == FLIGHTS
                    && let Some(flight) = flights.pop_front()
                {
                    land(self, flight)?;
                }
                flights.push_back(self.dispatch(&group, layer, node..node + nodes, sector..sector + count)?);
                sector += count;
            }
            node += nodes;
        }
        flights.into_iter().try_for_each(|flight| land(self, flight))?;
        advance(sectors as u64)?;
        mem::swap(&mut self.labels, &mut self.next);
        self.layer = layer;
        Ok(())
    }

    /// The labels of each sector in the layer that the batch holds.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails.
    pub fn read(&self) -> Result<Vec<Vec<Node>>, GpuError> {
        let sectors = self.replica_ids.len();
        let mut labels = vec![Vec::with_capacity(self.nodes); sectors];
        if sectors == 0 {
            return Ok(labels);
        }
        let (what, bytes) = (&self.pipeline.name, self.labels.size());
        let mut encoder = self.device.wgpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.labels, 0, &self.mapped, 0, bytes);
        let download = Download::start(self.device, what, encoder, &self.mapped, bytes)?;
        download.finish(self.device, what, &self.mapped, |bytes| {
            // In the order of the device's memory, which may be slow to read in another.
            for row in bytes.as_chunks::<NODE_SIZE>().0.chunks_exact(sectors) {
                labels.iter_mut().zip(row).for_each(|(labels, node)| labels.push(swapped(node)));
            }
        })?;
        Ok(labels)
    }

    fn bind_group(&self) -> wgpu::BindGroup {
        let own = [&self.parents, &self.ids, &self.labels, &self.next];
        let buffers = self.pipeline.constants.iter().chain(own);
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        self.device.wgpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&self.pipeline.name),
            layout: &self.pipeline.layout,
            entries: &entries,
        })
    }

    /// Gives the device labels to compute.
    fn dispatch(
        &self,
        group: &wgpu::BindGroup,
        layer: u32,
        nodes: Range<usize>,
        sectors: Range<usize>,
    ) -> Result<Flight, GpuError> {
        let numbers = [nodes.start, nodes.len(), layer as usize, self.replica_ids.len(), sectors.start, sectors.len()];
        let mut parameters = [0_u32; IMMEDIATE_BYTES as usize / 4];
        parameters.iter_mut().zip(numbers).for_each(|(parameter, number)| *parameter = number as u32);
        let mut encoder = self.device.wgpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline.compute);
            pass.set_bind_group(0, group, &[]);
            pass.set_immediates(0, bytemuck::cast_slice(&parameters));
            pass.dispatch_workgroups(sectors.len().div_ceil(WORKGROUP) as u32, 1, 1);
        }
        let submission = self.device.queue.submit([encoder.finish()]);
        self.device.check(&self.pipeline.name)?;
        Ok(Flight { submission, nodes: nodes.len(), sectors: sectors.len() })
    }

    fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<(), GpuError> {
        let kernel = &self.pipeline.name;
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        let waited = self.device.wgpu.poll(wait);
        if waited.is_err() {
            // A lost device takes no submission and says so when it is asked without one.
            let _ = self.device.wgpu.poll(wgpu::PollType::Poll);
        }
        self.device.check(kernel)?;
        waited.map(drop).map_err(|_| GpuError::TimedOut {
            adapter: self.device.name.clone(),
            kernel: kernel.clone(),
            seconds: PATIENCE.as_secs(),
        })
    }
}

impl Pace {
    fn new(all_sectors: usize) -> Self {
        Self { nodes: 1, sectors: FIRST_SECTORS.min(all_sectors), all_sectors: all_sectors.min(MAX_SECTORS) }
    }

    /// Takes in what a dispatch took.
    fn learn(&mut self, nodes: usize, sectors: usize, time: Duration) {
        if time > TARGET {
            // Those that were smaller, or under way while a larger one was waited for, would halve it once more.
            if nodes >= self.nodes && sectors >= self.sectors {
                match self.nodes {
                    1 => self.sectors = (sectors / 2).next_multiple_of(WORKGROUP).min(self.sectors),
                    _ => self.nodes = (nodes / 2).max(1),
                }
            }
        } else if time < TARGET / 3 && nodes == self.nodes && sectors == self.sectors {
            match self.sectors {
                some if some < self.all_sectors => self.sectors = (some * 2).min(self.all_sectors),
                _ => self.nodes = (nodes * 2).min(MAX_NODES),
            }
        }
    }
}

/// A node as kernels have it, with the bytes of each word turned round, or back: buffers are little-endian.
fn swapped(node: &Node) -> Node {
    let mut swapped = *node;
    swapped.as_chunks_mut::<4>().0.iter_mut().for_each(|bytes| bytes.reverse());
    swapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatches_grow_and_shrink_by_their_time() {
        let mut pace = Pace::new(3000);
        let mut learn = |time: u64| {
            let (nodes, sectors) = (pace.nodes, pace.sectors);
            pace.learn(nodes, sectors, Duration::from_millis(time));
            (pace.nodes, pace.sectors)
        };
        assert_eq!([5, 5, 5, 5, 60].map(&mut learn), [(1, 2048), (1, 3000), (2, 3000), (4, 3000), (4, 3000)]);
        assert_eq!([101, 500, 500, 500].map(&mut learn), [(2, 3000), (1, 3000), (1, 1536), (1, 768)]);
        (0..10).for_each(|_| _ = learn(9000));
        assert_eq!(learn(9000), (1, WORKGROUP));
        (0..30).for_each(|_| _ = learn(1));
        assert_eq!(learn(1), (MAX_NODES, 3000));
        // One that was cut short says nothing.
        pace.learn(1, 3000, Duration::ZERO);
        assert_eq!((pace.nodes, pace.sectors), (MAX_NODES, 3000));
    }
}
