//! The GPU backend: WGSL kernels through wgpu, each equal bit for bit to its CPU twin.
//!
//! [`Adapter::all`] lists what there is, [`Gpu::open`] opens one, and [`select::open`] does what a user asks for.
//! A [`Team`] of devices, the CPU among them or not, is a [`Backend`](super::Backend): its members take blocks of a stage as
//! they get ready, samples of what a device gives are computed again, and what a device could not do the others do.

mod calibrate;
mod device;
mod download;
mod encode;
mod error;
mod kept;
mod known;
mod labels;
mod levels;
mod msm;
mod pace;
mod pipeline;
mod rounds;
pub mod select;
pub mod tables;
mod team;
mod transforms;
mod turns;

pub use calibrate::Work;
pub use device::{Adapter, Device, GpuLimits};
pub use error::GpuError;
pub use labels::LabelBatch;
pub use team::{Member, Team, TeamOptions, Worker};

use std::path::Path;
use std::sync::Mutex;

use blstrs::{G1Projective, G2Projective};
use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::{Group, Kernel};
use filecash_shaders::poseidon::INSTANCES;
use filecash_shaders::sha256;
use tracing::debug;

use self::kept::Kept;
use self::levels::{Groups, Levels};
use self::msm::Sums;
use self::pipeline::Pipelines;
use self::transforms::Transforms;
use super::cpu::curve::{self, PortableG1, PortableG2};
use crate::backend::cpu::ntt::{Blocks, Pass};
use crate::backend::points::PointBlock;
use crate::field::Node;
use crate::sector::params::NODE_SIZE;

/// Arities of trees, and numbers of layers, that have a kernel.
pub const ARITIES: [usize; 5] = [INSTANCES[0].0, INSTANCES[1].0, INSTANCES[2].0, INSTANCES[3].0, INSTANCES[4].0];

/// One opened GPU. A kernel is compiled when it is first asked for, and computes what the CPU knows before it computes
/// anything else.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    pipelines: Pipelines,
    levels: Levels,
    transforms: Transforms,
    sums: Sums,
    /// Kernels that have computed what the CPU knows; one stands for all of a stage.
    proven: Mutex<Vec<Kernel>>,
}

impl Gpu {
    /// Opens an adapter. Unless the limits name the form of elements, both are timed where there are 64-bit integers;
    /// nothing else is compiled yet.
    ///
    /// # Errors
    /// [`GpuError::Unfit`], [`GpuError::Open`].
    pub fn open(adapter: &Adapter, limits: GpuLimits) -> Result<Self, GpuError> {
        Self::open_with(adapter, limits, None)
    }

    /// As [`Self::open`], and keeps what the driver compiles in a folder between runs, where drivers give that away: files
    /// of at most 64 MiB, one for each model and driver. One that cannot be read or written is no error.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(adapter: &Adapter, limits: GpuLimits, pipelines: Option<&Path>) -> Result<Self, GpuError> {
        let device = Device::open(adapter, limits)?;
        let kept = pipelines.and_then(|folder| Kept::open(&device, &adapter.info(), folder));
        let mut gpu = Self {
            device,
            pipelines: Pipelines::new(kept),
            levels: Levels::default(),
            transforms: Transforms::default(),
            sums: Sums::default(),
            proven: Mutex::default(),
        };
        if limits.form.is_none() && gpu.device.form == Form::Wide {
            gpu.pipelines.prepare(&gpu.device, calibrate::form_kernels());
            let [narrow, wide] = [gpu.seconds_of(Form::Narrow)?, gpu.seconds_of(Form::Wide)?];
            debug!(adapter = gpu.device.name, narrow, wide, "seconds of products by form");
            gpu.device.form = if narrow < wide { Form::Narrow } else { Form::Wide };
        }
        Ok(gpu)
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn poseidon_kernel(&self, arity: usize) -> Kernel {
        Kernel::PoseidonLevel(tables::poseidon_table(arity, self.device.form))
    }

    /// `Σ ones + Σ scalars·multiples` of points of G1.
    ///
    /// # Errors
    /// [`GpuError::BadPoint`] when a point that is summed is not on the curve, is the identity, has a flag or a
    /// coordinate that is not canonical, or is not in the block; [`GpuError`] when the device fails.
    pub fn sum_g1(&self, block: &PointBlock) -> Result<G1Projective, GpuError> {
        self.tested_sum::<PortableG1>(Group::G1)?;
        self.sum::<PortableG1>(Group::G1, block)
    }

    /// As [`Self::sum_g1`], of points of G2.
    ///
    /// # Errors
    /// Those of [`Self::sum_g1`].
    pub fn sum_g2(&self, block: &PointBlock) -> Result<G2Projective, GpuError> {
        self.tested_sum::<PortableG2>(Group::G2)?;
        self.sum::<PortableG2>(Group::G2, block)
    }

    /// Additions a second in a group, once there were enough to tell.
    pub fn sum_rate(&self, group: Group) -> Option<f64> {
        self.sums.rate(group)
    }

    fn sum<K: curve::Kernel>(&self, group: Group, block: &PointBlock) -> Result<K::Group, GpuError> {
        // The budget is for one kind of stage at a time.
        self.levels.release();
        self.sums.sum::<K>(&self.device, &self.pipelines, group, block)
    }

    fn poseidon(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        let kernel = self.poseidon_kernel(arity);
        let table = tables::poseidon_table(arity, self.device.form);
        let pipeline = self.pipelines.get(&self.device, kernel, || tables::poseidon_words(&table))?;
        self.sums.release();
        self.levels.run(&self.device, kernel, &pipeline, Groups::Level { arity, children, parents })
    }

    fn sha(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        let pipeline = self.pipelines.get(&self.device, Kernel::ShaLevel, || sha256::table().to_vec())?;
        self.sums.release();
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
        self.probed(Kernel::FieldProbe(field, self.device.form), left, right)
    }

    /// As [`Self::probe`]: `x − y` modulo 2p, `x²/R`, the negative of x made canonical, and R; but `R²` where x and y are
    /// the same, and `4R` where x is 0.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails.
    ///
    /// # Panics
    /// When the words fill no whole nodes.
    pub fn probe_more(&self, field: Field, left: &[u32], right: &[u32]) -> Result<Vec<u32>, GpuError> {
        self.probed(Kernel::FieldProbeMore(field, self.device.form), left, right)
    }

    fn probed(&self, kernel: Kernel, left: &[u32], right: &[u32]) -> Result<Vec<u32>, GpuError> {
        let pipeline = self.pipelines.get(&self.device, kernel, || left.to_vec())?;
        let mut results = vec![[0xff; NODE_SIZE]; 4 * size_of_val(right) / NODE_SIZE];
        self.levels.once(&self.device, &pipeline, bytemuck::cast_slice(right), &mut results)?;
        Ok(bytemuck::pod_collect_to_vec(&results))
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
        self.tested_level(Some(arity))?;
        self.poseidon(arity, children, parents)
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.tested_level(None)?;
        self.sha(children, parents)
    }

    fn transform(&self, pass: &Pass, blocks: &Blocks<'_>) -> Result<(), GpuError> {
        self.tested_transforms()?;
        // The budget is for one kind of stage at a time.
        self.levels.release();
        self.sums.release();
        self.transforms.run(&self.device, &self.pipelines, pass, blocks)
    }

    fn sum_g1(&self, block: &PointBlock) -> Result<G1Projective, GpuError> {
        Self::sum_g1(self, block)
    }

    fn sum_g2(&self, block: &PointBlock) -> Result<G2Projective, GpuError> {
        Self::sum_g2(self, block)
    }
}
