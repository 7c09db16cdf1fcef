//! Known-answer tests: no kernel is used before it has computed what the CPU knows.
//!
//! The CPU's part is on the caller's thread: those of rayon's pool may all be waiting for it.

use std::sync::PoisonError;

use ff::Field as _;
use filecash_shaders::kernels::{Group, Kernel, SumPart};

use super::{ARITIES, Gpu, GpuError, encode, msm, tables};
use crate::backend::cpu::curve::{self, PortableG1, PortableG2};
use crate::backend::cpu::ntt::{Domain, Part, Points, Transform};
use crate::field::{Fr, Node};
use crate::hash::poseidon;
use crate::hash::sha256::sha_nodes;
use crate::sector::Profile;
use crate::sector::params::NODE_SIZE;

/// Parents of a test: more than a workgroup, and not a multiple of one.
pub(super) const PARENTS: usize = 131;
/// Points of a test of transforms.
const POINTS: usize = 1 << 11;
/// Turns of the loop that some drivers cut off.
const LONG_LOOP: u32 = 70_000;

impl Gpu {
    /// Has every kernel compute what the CPU knows, and a loop that some drivers cut off.
    ///
    /// # Errors
    /// [`GpuError::Wrong`] names the first kernel that differs; [`GpuError`] when the device fails.
    pub fn self_test(&self) -> Result<(), GpuError> {
        let form = self.device.form;
        let sums = Group::ALL.into_iter().flat_map(|group| self.sum_kernels(group));
        let labels = Profile::ALL.map(|profile| Kernel::Labels(tables::label_hash(profile, form)));
        let levels = ARITIES.map(|arity| self.poseidon_kernel(arity)).into_iter().chain([Kernel::ShaLevel]);
        let rest = labels.into_iter().chain(encode::KERNELS).chain(Kernel::transforms(form));
        self.pipelines.prepare(&self.device, sums.chain(levels).chain(rest));
        ARITIES.into_iter().map(Some).chain([None]).try_for_each(|arity| self.tested_level(arity))?;
        encode::KERNELS.into_iter().try_for_each(|kernel| self.tested_encoding(kernel))?;
        Profile::ALL.into_iter().try_for_each(|profile| self.tested_labels(profile))?;
        self.tested_transforms()?;
        self.self_test_sums()
    }

    /// Runs the known-answer test of a kernel unless it has passed before.
    pub(super) fn proven(&self, kernel: Kernel, test: impl FnOnce() -> Result<(), GpuError>) -> Result<(), GpuError> {
        // Held meanwhile, so that nobody uses a kernel before it is known to be right.
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if !proven.contains(&Kernel::LongLoop) {
            // Drivers that cut loops off do so in any kernel.
            self.long_loop()?;
            proven.push(Kernel::LongLoop);
        }
        if !proven.contains(&kernel) {
            test()?;
            proven.push(kernel);
            self.pipelines.save();
        }
        Ok(())
    }

    /// Has a kernel, Poseidon of an arity or SHA-256, compute what the CPU knows, unless it has done so before.
    pub(super) fn tested_level(&self, arity: Option<usize>) -> Result<(), GpuError> {
        let kernel = arity.map_or(Kernel::ShaLevel, |arity| self.poseidon_kernel(arity));
        self.proven(kernel, || self.compare_level(arity, kernel))
    }

    fn compare_level(&self, arity: Option<usize>, kernel: Kernel) -> Result<(), GpuError> {
        let node = |i: usize| {
            std::array::from_fn(|byte| if byte + 1 == NODE_SIZE { i as u8 & 0x3f } else { (i * 31 + byte * 7) as u8 })
        };
        let children: Vec<Node> = (0..PARENTS * arity.unwrap_or(2)).map(node).collect();
        let mut parents = vec![[0xff; NODE_SIZE]; PARENTS];
        let mut expected = parents.clone();
        match arity {
            Some(arity) => {
                self.poseidon(arity, &children, &mut parents)?;
                poseidon::hash_batch(arity, &children, &mut expected).expect("the nodes are below 2²⁵⁴");
            }
            None => {
                self.sha(&children, &mut parents)?;
                sha_nodes(&children, &mut expected);
            }
        }
        self.expect(&parents, &expected, kernel)
    }

    /// Has the device transform what the CPU knows, unless it has done so before.
    pub(super) fn tested_transforms(&self) -> Result<(), GpuError> {
        self.proven(Kernel::RowFactors(self.device.form), || {
            self.pipelines.prepare(&self.device, Kernel::transforms(self.device.form));
            self.compare_transforms()
        })
    }

    fn compare_transforms(&self) -> Result<(), GpuError> {
        // Rows and columns of an odd and of an even number of levels, and both in one slice and in two.
        let domain = Domain::at_least(POINTS).expect("2³² roots of unity are enough");
        let mut number = Fr::from(POINTS as u64);
        let mut values: Vec<_> = (0..POINTS)
            .map(|_| {
                number = number.square() + Fr::ONE;
                number
            })
            .collect();
        let mut expected = values.clone();
        for points in [Points::Roots, Points::Coset] {
            let transforms = [Transform::Interpolate(points), Transform::Evaluate(Points::Coset)];
            for pass in domain.passes(&transforms).into_iter().flatten() {
                self.transforms.run(&self.device, &self.pipelines, &pass, &pass.blocks(Part::whole(&mut values)))?;
            }
            transforms.into_iter().for_each(|transform| domain.transform_plainly(&mut expected, transform));
            if values != expected {
                let kernel = "transforms".to_owned();
                return Err(GpuError::Wrong { adapter: self.device.name.clone(), kernel });
            }
        }
        Ok(())
    }

    /// Has the kernels of sums over points compute what the CPU knows.
    ///
    /// # Errors
    /// [`GpuError::Wrong`] when they differ; [`GpuError`] when the device fails.
    pub fn self_test_sums(&self) -> Result<(), GpuError> {
        self.tested_sum::<PortableG1>(Group::G1)?;
        self.tested_sum::<PortableG2>(Group::G2)
    }

    pub(super) fn tested_sum<K: curve::Kernel>(&self, group: Group) -> Result<(), GpuError> {
        let kernel = Kernel::Sum(SumPart::Divisors, group, self.device.form);
        self.proven(kernel, || {
            self.pipelines.prepare(&self.device, self.sum_kernels(group));
            let (block, expected) = msm::known::<K>();
            match self.sum::<K>(group, &block) {
                Ok(sum) if sum == expected => Ok(()),
                // The points are good.
                Ok(_) | Err(GpuError::BadPoint { .. }) => {
                    Err(GpuError::Wrong { adapter: self.device.name.clone(), kernel: kernel.name() })
                }
                Err(error) => Err(error),
            }
        })
    }

    /// The kernels of sums over points of a group.
    fn sum_kernels(&self, group: Group) -> impl Iterator<Item = Kernel> + use<> {
        Kernel::sums(group, self.device.form).chain(Kernel::inversions(self.device.form))
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

    pub(super) fn expect(&self, actual: &[Node], expected: &[Node], kernel: Kernel) -> Result<(), GpuError> {
        match actual == expected {
            true => Ok(()),
            false => Err(GpuError::Wrong { adapter: self.device.name.clone(), kernel: kernel.name() }),
        }
    }
}
