//! The GPU backend: WGSL kernels through wgpu, each equal bit for bit to its CPU twin.
//!
//! [`Adapter::all`] lists what there is, [`Gpu::open`] opens one, and [`select::open`] does what a user asks for. A [`Team`] of devices, the CPU among them or not, is a [`Backend`](super::Backend): its members
//! take blocks of a stage as they get ready, samples of what a device gives are computed again, and what a device could
//! not do the others do.

mod device;
mod download;
mod encode;
mod error;
mod labels;
mod levels;
mod pipeline;
pub mod select;
pub mod tables;
mod team;

pub use device::{Adapter, Device, GpuLimits};
pub use error::GpuError;
pub use labels::LabelBatch;
pub use team::{Member, Team, TeamOptions, Worker};

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use filecash_shaders::field::Field;
use filecash_shaders::kernels::Kernel;
use filecash_shaders::poseidon::INSTANCES;
use filecash_shaders::sha256;

use self::levels::{Groups, Levels};
use self::pipeline::Pipelines;
use crate::field::Node;
use crate::hash::poseidon;
use crate::hash::sha256::sha_nodes;
use crate::sector::Profile;
use crate::sector::params::NODE_SIZE;

/// Arities of trees, and numbers of layers, that have a kernel.
pub const ARITIES: [usize; 5] = [INSTANCES[0].0, INSTANCES[1].0, INSTANCES[2].0, INSTANCES[3].0, INSTANCES[4].0];
/// Parents of a known-answer test: more than a workgroup, and not a multiple of one.
const TEST_PARENTS: usize = 131;
/// Most hashes at a time when timing: 16 MiB of results.
const MAX_CALIBRATED: usize = 1 << 19;
/// Turns of the loop that some drivers cut off.
const LONG_LOOP: u32 = 70_000;

/// One opened GPU. A kernel is compiled when it is first asked for, and computes what the CPU knows before it computes
/// anything else.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    pipelines: Pipelines,
    levels: Levels,
    /// Kernels that have computed what the CPU knows: Poseidon by arity, SHA-256 without one.
    tested: Mutex<Vec<Option<usize>>>,
    /// The same of kernels of other kinds.
    proven: Mutex<Vec<Kernel>>,
}

impl Gpu {
    /// Opens an adapter; nothing is compiled yet.
    ///
    /// # Errors
    /// [`GpuError::Unfit`], [`GpuError::Open`].
    pub fn open(adapter: &Adapter, limits: GpuLimits) -> Result<Self, GpuError> {
        let device = Device::open(adapter, limits)?;
        Ok(Self {
            device,
            pipelines: Pipelines::default(),
            levels: Levels::default(),
            tested: Mutex::default(),
            proven: Mutex::default(),
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn poseidon_kernel(&self, arity: usize) -> Kernel {
        Kernel::PoseidonLevel(tables::poseidon_table(arity, self.device.form))
    }

    /// Has every kernel compute what the CPU knows, and a loop that some drivers cut off.
    ///
    /// # Errors
    /// [`GpuError::Wrong`] names the first kernel that differs; [`GpuError`] when the device fails.
    pub fn self_test(&self) -> Result<(), GpuError> {
        ARITIES.into_iter().map(Some).chain([None]).try_for_each(|arity| self.tested(arity))?;
        encode::KERNELS.into_iter().try_for_each(|kernel| self.tested_encoding(kernel))?;
        Profile::ALL.into_iter().try_for_each(|profile| self.tested_labels(profile))
    }

    /// Hashes a second of a kernel, Poseidon of an arity or SHA-256, transfers included: runs it for at least so long, on
    /// as much at a time as it takes in a block.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails.
    ///
    /// # Panics
    /// When there is no kernel for the arity.
    pub fn calibrate(&self, arity: Option<usize>, least: Duration) -> Result<f64, GpuError> {
        let (mut parents, mut best, start) = (1 << 10, 0_f64, Instant::now());
        loop {
            let children = vec![[1; NODE_SIZE]; parents * arity.unwrap_or(2)];
            let mut outputs = vec![[0; NODE_SIZE]; parents];
            let began = Instant::now();
            match arity {
                Some(arity) => self.poseidon_level(arity, &children, &mut outputs)?,
                None => self.sha_level(&children, &mut outputs)?,
            }
            let seconds = began.elapsed().as_secs_f64().max(f64::EPSILON);
            best = best.max(parents as f64 / seconds);
            if start.elapsed() >= least {
                return Ok(best);
            }
            // Twice as many while that ends in time.
            if seconds * 2.0 < least.as_secs_f64() && parents < MAX_CALIBRATED {
                parents *= 2;
            }
        }
    }

    /// Has a kernel, Poseidon of an arity or SHA-256, compute what the CPU knows, unless it has done so before. The CPU's
    /// part is on this thread: those of rayon's pool may all be waiting for it.
    fn tested(&self, arity: Option<usize>) -> Result<(), GpuError> {
        // Held meanwhile, so that nobody uses a kernel before it is known to be right.
        let mut tested = self.tested.lock().unwrap_or_else(PoisonError::into_inner);
        if tested.is_empty() {
            self.long_loop()?;
        }
        if tested.contains(&arity) {
            return Ok(());
        }
        let node = |i: usize| {
            std::array::from_fn(|byte| if byte + 1 == NODE_SIZE { i as u8 & 0x3f } else { (i * 31 + byte * 7) as u8 })
        };
        let children: Vec<Node> = (0..TEST_PARENTS * arity.unwrap_or(2)).map(node).collect();
        let mut parents = vec![[0xff; NODE_SIZE]; TEST_PARENTS];
        let mut expected = parents.clone();
        let kernel = match arity {
            Some(arity) => {
                self.poseidon(arity, &children, &mut parents)?;
                poseidon::hash_batch(arity, &children, &mut expected).expect("the nodes are below 2²⁵⁴");
                self.poseidon_kernel(arity)
            }
            None => {
                self.sha(&children, &mut parents)?;
                sha_nodes(&children, &mut expected);
                Kernel::ShaLevel
            }
        };
        self.expect(&parents, &expected, kernel)?;
        tested.push(arity);
        Ok(())
    }

    /// Runs the known-answer test of a kernel unless it has passed before.
    fn proven(&self, kernel: Kernel, test: impl FnOnce() -> Result<(), GpuError>) -> Result<(), GpuError> {
        // Held meanwhile, so that nobody uses a kernel before it is known to be right.
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if !proven.contains(&kernel) {
            test()?;
            proven.push(kernel);
        }
        Ok(())
    }

    fn expect(&self, actual: &[Node], expected: &[Node], kernel: Kernel) -> Result<(), GpuError> {
        match actual == expected {
            true => Ok(()),
            false => Err(GpuError::Wrong { adapter: self.device.name.clone(), kernel: kernel.name() }),
        }
    }

    fn poseidon(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        let kernel = self.poseidon_kernel(arity);
        let table = tables::poseidon_table(arity, self.device.form);
        let pipeline = self.pipelines.get(&self.device, kernel, || tables::poseidon_words(&table))?;
        self.levels.run(&self.device, kernel, &pipeline, Groups::Level { arity, children, parents })
    }

    fn sha(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        let pipeline = self.pipelines.get(&self.device, Kernel::ShaLevel, || sha256::table().to_vec())?;
        self.levels.run(&self.device, Kernel::ShaLevel, &pipeline, Groups::Level { arity: 2, children, parents })
    }

    /// For each pair of elements below 2p: `x·y/R`, `x + y` modulo 2p, `2p − y`, and x less p if it can be: the field's
    /// arithmetic by itself, for tests. An element has 8 words of Fr or 12 of Fq; words together fill whole nodes. The left
    /// elements of the first call stay.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails.
    ///
    /// # Panics
    /// When the words fill no whole nodes.
    pub fn probe(&self, field: Field, left: &[u32], right: &[u32]) -> Result<Vec<u32>, GpuError> {
        let kernel = Kernel::FieldProbe(field, self.device.form);
        let pipeline = self.pipelines.get(&self.device, kernel, || left.to_vec())?;
        let mut results = vec![[0xff; NODE_SIZE]; 4 * size_of_val(right) / NODE_SIZE];
        self.levels.once(&self.device, &pipeline, bytemuck::cast_slice(right), &mut results)?;
        Ok(bytemuck::pod_collect_to_vec(&results))
    }

    /// Counts beyond the number of turns at which some drivers stop without a word.
    fn long_loop(&self) -> Result<(), GpuError> {
        let count = (0..LONG_LOOP).fold(0_u32, |count, i| (count ^ i).wrapping_add(1));
        let pipeline = self.pipelines.get(&self.device, Kernel::LongLoop, || vec![LONG_LOOP])?;
        let mut counted = [[0xff; NODE_SIZE]];
        self.levels.once(&self.device, &pipeline, &[], &mut counted)?;
        let mut expected = counted;
        expected[0][..4].copy_from_slice(&count.to_le_bytes());
        self.expect(&counted, &expected, Kernel::LongLoop)
    }
}

impl Worker for Gpu {
    fn name(&self) -> &str {
        &self.device.name
    }

    fn has_arity(&self, arity: usize) -> bool {
        ARITIES.contains(&arity)
    }

    fn rate(&self, arity: Option<usize>) -> Option<f64> {
        self.levels.rate(arity.map_or(Kernel::ShaLevel, |arity| self.poseidon_kernel(arity)))
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.tested(Some(arity))?;
        self.poseidon(arity, children, parents)
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.tested(None)?;
        self.sha(children, parents)
    }
}
