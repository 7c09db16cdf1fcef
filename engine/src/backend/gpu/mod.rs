//! The GPU backend: WGSL kernels through wgpu, each equal bit for bit to its CPU twin.
//!
//! [`Adapter::all`] lists what there is, [`Gpu::open`] opens one, and [`select::open`] does what a user asks for. A [`Team`] of devices, the CPU among them or not, is a [`Backend`](super::Backend): its members
//! take blocks of a stage as they get ready, samples of what a device gives are computed again, and what a device could
//! not do the others do.

mod device;
mod download;
mod error;
mod levels;
mod msm;
mod pipeline;
mod rounds;
pub mod select;
pub mod tables;
mod team;
mod transforms;
mod turns;

pub use device::{Adapter, Device, GpuLimits};
pub use error::GpuError;
pub use team::{Member, Team, TeamOptions, Worker};

use ff::Field as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use blstrs::{G1Projective, G2Projective};
use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::{Group, Kernel, SumPart};
use filecash_shaders::poseidon::INSTANCES;
use filecash_shaders::sha256;
use tracing::debug;

use self::levels::Levels;
use self::msm::Sums;
use self::pipeline::Pipelines;
use self::transforms::Transforms;
use super::cpu::curve::{self, PortableG1, PortableG2};
use crate::backend::cpu::ntt::{Blocks, Domain, Pass, Points, Transform};
use crate::backend::points::PointBlock;
use crate::field::{Fr, Node};
use crate::hash::poseidon;
use crate::hash::sha256::sha_nodes;
use crate::sector::params::NODE_SIZE;

/// Arities of trees, and numbers of layers, that have a kernel.
pub const ARITIES: [usize; 5] = [INSTANCES[0].0, INSTANCES[1].0, INSTANCES[2].0, INSTANCES[3].0, INSTANCES[4].0];
/// Parents of a known-answer test: more than a workgroup, and not a multiple of one.
const TEST_PARENTS: usize = 131;
/// Most hashes at a time when timing: 16 MiB of results.
const MAX_CALIBRATED: usize = 1 << 19;
/// Points of a known-answer test of transforms.
const TEST_POINTS: usize = 1 << 11;
/// Products of each invocation when a form is timed.
const TIMED_TURNS: u32 = 256;
/// Invocations when a form is timed, of which a small GPU runs all at once.
const TIMED_LANES: usize = 4096;
/// Runs when a form is timed.
const TIMED_RUNS: usize = 4;
/// Turns of the loop that some drivers cut off.
const LONG_LOOP: u32 = 70_000;

/// One opened GPU. A kernel is compiled when it is first asked for, and computes what the CPU knows before it computes
/// anything else.
#[derive(Debug)]
pub struct Gpu {
    device: Device,
    pipelines: Pipelines,
    levels: Levels,
    transforms: Transforms,
    /// Whether transforms are what the CPU knows.
    transforms_tested: Mutex<bool>,
    /// Kernels that have computed what the CPU knows: Poseidon by arity, SHA-256 without one.
    tested: Mutex<Vec<Option<usize>>>,
    sums: Sums,
    /// Groups whose sums have been what the CPU knows.
    tested_sums: Mutex<Vec<Group>>,
}

impl Gpu {
    /// Opens an adapter. Unless the limits name the form of elements, both are timed where there are 64-bit integers;
    /// nothing else is compiled yet.
    ///
    /// # Errors
    /// [`GpuError::Unfit`], [`GpuError::Open`].
    pub fn open(adapter: &Adapter, limits: GpuLimits) -> Result<Self, GpuError> {
        let device = Device::open(adapter, limits)?;
        let mut gpu = Self {
            device,
            pipelines: Pipelines::default(),
            levels: Levels::default(),
            transforms: Transforms::default(),
            transforms_tested: Mutex::default(),
            tested: Mutex::default(),
            sums: Sums::default(),
            tested_sums: Mutex::default(),
        };
        if limits.form.is_none() && gpu.device.form == Form::Wide {
            let [narrow, wide] = [gpu.seconds_of(Form::Narrow)?, gpu.seconds_of(Form::Wide)?];
            debug!(adapter = gpu.device.name, narrow, wide, "seconds of products by form");
            gpu.device.form = if narrow < wide { Form::Narrow } else { Form::Wide };
        }
        Ok(gpu)
    }

    /// What so many products of each field take in a form.
    fn seconds_of(&self, form: Form) -> Result<f64, GpuError> {
        let mut seconds = 0.0;
        for field in Field::ALL {
            let pipeline = self.pipelines.get(&self.device, Kernel::FieldLoop(field, form), || vec![TIMED_TURNS])?;
            let inputs = vec![[1; NODE_SIZE]; TIMED_LANES * field.words() * size_of::<u32>() / NODE_SIZE];
            let mut outputs = vec![[0xff; NODE_SIZE]; inputs.len()];
            // The first of the runs compiles and wakes the device up.
            let mut best = f64::INFINITY;
            for _ in 0..TIMED_RUNS {
                let begin = Instant::now();
                self.levels.once(&self.device, &pipeline, &inputs, &mut outputs)?;
                best = best.min(begin.elapsed().as_secs_f64());
            }
            seconds += best;
        }
        Ok(seconds)
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
        self.tested_transforms()?;
        self.self_test_sums()
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

    /// Has the device transform what the CPU knows, unless it has done so before.
    fn tested_transforms(&self) -> Result<(), GpuError> {
        let mut tested = self.transforms_tested.lock().unwrap_or_else(PoisonError::into_inner);
        if *tested {
            return Ok(());
        }
        // Rows and columns of an odd and of an even number of levels, and both in one slice and in two.
        let domain = Domain::at_least(TEST_POINTS).expect("2³² roots of unity are enough");
        let mut number = Fr::from(TEST_POINTS as u64);
        let mut values: Vec<_> = (0..TEST_POINTS)
            .map(|_| {
                number = number.square() + Fr::ONE;
                number
            })
            .collect();
        let mut expected = values.clone();
        for points in [Points::Roots, Points::Coset] {
            let transforms = [Transform::Interpolate(points), Transform::Evaluate(Points::Coset)];
            for pass in domain.passes(&transforms).into_iter().flatten() {
                self.transforms.run(&self.device, &self.pipelines, &pass, &pass.blocks(&mut values))?;
            }
            transforms.into_iter().for_each(|transform| domain.transform_plainly(&mut expected, transform));
            if values != expected {
                let kernel = "transforms".to_owned();
                return Err(GpuError::Wrong { adapter: self.device.name.clone(), kernel });
            }
        }
        *tested = true;
        Ok(())
    }

    fn expect(&self, actual: &[Node], expected: &[Node], kernel: Kernel) -> Result<(), GpuError> {
        match actual == expected {
            true => Ok(()),
            false => Err(GpuError::Wrong { adapter: self.device.name.clone(), kernel: kernel.name() }),
        }
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

    /// Has the kernels of sums over points compute what the CPU knows.
    ///
    /// # Errors
    /// [`GpuError::Wrong`] when they differ; [`GpuError`] when the device fails.
    pub fn self_test_sums(&self) -> Result<(), GpuError> {
        self.tested_sum::<PortableG1>(Group::G1)?;
        self.tested_sum::<PortableG2>(Group::G2)
    }

    /// Additions a second in a group, once there were enough to tell.
    pub fn sum_rate(&self, group: Group) -> Option<f64> {
        self.sums.rate(group)
    }

    fn tested_sum<K: curve::Kernel>(&self, group: Group) -> Result<(), GpuError> {
        // Held meanwhile, so that nobody uses a kernel before it is known to be right.
        let mut tested = self.tested_sums.lock().unwrap_or_else(PoisonError::into_inner);
        if tested.contains(&group) {
            return Ok(());
        }
        let (block, expected) = msm::known::<K>();
        let wrong = || {
            let kernel = Kernel::Sum(SumPart::Divisors, group, self.device.form).name();
            GpuError::Wrong { adapter: self.device.name.clone(), kernel }
        };
        match self.sum::<K>(group, &block) {
            Ok(sum) if sum == expected => {}
            // The points are good.
            Ok(_) | Err(GpuError::BadPoint { .. }) => return Err(wrong()),
            Err(error) => return Err(error),
        }
        tested.push(group);
        Ok(())
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
        self.levels.run(&self.device, kernel, &pipeline, arity, children, parents)
    }

    fn sha(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        let pipeline = self.pipelines.get(&self.device, Kernel::ShaLevel, || sha256::table().to_vec())?;
        self.sums.release();
        self.levels.run(&self.device, Kernel::ShaLevel, &pipeline, 2, children, parents)
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
