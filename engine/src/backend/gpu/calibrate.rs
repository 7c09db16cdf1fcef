//! How fast a device is.

use std::iter;
use std::time::{Duration, Instant};

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::Field as _;
use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::Kernel;
use filecash_shaders::poseidon::WORKGROUP;
use group::{Curve, Group as _};

use super::{ARITIES, Gpu, GpuError, Worker};
use crate::backend::cpu::ntt::{Domain, Part, Points, Transform};
use crate::backend::points::PointBlock;
use crate::calibrate::DeviceRates;
use crate::field::Fr;
use crate::sector::params::NODE_SIZE;

/// Least at a time when timing.
const LEAST: usize = 1 << 10;
/// Most at a time when timing: 16 MiB of hashes.
const MOST: usize = 1 << 19;
/// Products of each invocation when a form is timed.
const TIMED_TURNS: u32 = 256;
/// Invocations when a form is timed, of which a small GPU runs all at once.
const TIMED_LANES: usize = 4096;
/// Runs when a form is timed.
const TIMED_RUNS: usize = 4;

/// What a device does in stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Hashes of an arity.
    Poseidon(usize),
    /// Hashes of TreeD.
    Sha,
    /// Elements of a transform.
    Transform,
    /// Points of G1 with random scalars.
    SumG1,
    /// Points of G2 with random scalars.
    SumG2,
}

impl Work {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        ARITIES.into_iter().map(Self::Poseidon).chain([Self::Sha, Self::Transform, Self::SumG1, Self::SumG2])
    }

    /// For reports.
    pub fn name(self) -> String {
        match self {
            Self::Poseidon(arity) => format!("poseidon {arity}"),
            Self::Sha => "sha256".to_owned(),
            Self::Transform => "transform".to_owned(),
            Self::SumG1 => "sum g1".to_owned(),
            Self::SumG2 => "sum g2".to_owned(),
        }
    }
}

impl Gpu {
    /// Hashes, elements or points a second, transfers included: works for at least so long, on more and more at a time.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails.
    ///
    /// # Panics
    /// When there is no kernel for the arity.
    pub fn calibrate(&self, work: Work, least: Duration) -> Result<f64, GpuError> {
        let (mut count, mut best, start) = (LEAST, 0_f64, Instant::now());
        loop {
            let seconds = self.seconds(work, count)?.max(f64::EPSILON);
            best = best.max(count as f64 / seconds);
            if start.elapsed() >= least {
                return Ok(best);
            }
            // Twice as many while that ends in time.
            if seconds * 2.0 < least.as_secs_f64() && count < MOST {
                count *= 2;
            }
        }
    }

    /// What it does a second, each kind of work timed for at least so long.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails.
    pub fn rates(&self, least: Duration) -> Result<DeviceRates, GpuError> {
        let rate = |work| self.calibrate(work, least);
        Ok(DeviceRates {
            name: self.device.name.clone(),
            sha_nodes: rate(Work::Sha)?,
            poseidon: ARITIES
                .into_iter()
                .map(|arity| Ok((arity, rate(Work::Poseidon(arity))?)))
                .collect::<Result<_, GpuError>>()?,
            transform: rate(Work::Transform)?,
            g1: rate(Work::SumG1)?,
            g2: rate(Work::SumG2)?,
        })
    }

    fn seconds(&self, work: Work, count: usize) -> Result<f64, GpuError> {
        let timed = |work: &mut dyn FnMut() -> Result<(), GpuError>| {
            let begin = Instant::now();
            work().map(|()| begin.elapsed().as_secs_f64())
        };
        match work {
            Work::Poseidon(arity) => {
                let (children, mut parents) = (vec![[1; NODE_SIZE]; count * arity], vec![[0; NODE_SIZE]; count]);
                timed(&mut || self.poseidon_level(arity, &children, &mut parents))
            }
            Work::Sha => {
                let (children, mut parents) = (vec![[1; NODE_SIZE]; count * 2], vec![[0; NODE_SIZE]; count]);
                timed(&mut || self.sha_level(&children, &mut parents))
            }
            Work::Transform => {
                let domain = Domain::at_least(count).expect("2³² roots of unity are enough");
                let passes = domain.passes(&[Transform::Evaluate(Points::Roots)]).unwrap_or_default();
                let mut values = vec![Fr::ONE; count];
                timed(&mut || {
                    passes.iter().try_for_each(|pass| self.transform(pass, &pass.blocks(Part::whole(&mut values))))
                })
            }
            Work::SumG1 => {
                let next = |point: &G1Projective| Some(point + G1Projective::generator());
                let points = iter::successors(Some(G1Projective::generator()), next);
                let block = block(count, points.map(|point| G1Affine::to_uncompressed(&point.to_affine())));
                timed(&mut || self.sum_g1(&block).map(drop))
            }
            Work::SumG2 => {
                let next = |point: &G2Projective| Some(point + G2Projective::generator());
                let points = iter::successors(Some(G2Projective::generator()), next);
                let block = block(count, points.map(|point| G2Affine::to_uncompressed(&point.to_affine())));
                timed(&mut || self.sum_g2(&block).map(drop))
            }
        }
    }

    /// What so many products of each field take in a form.
    pub(super) fn seconds_of(&self, form: Form) -> Result<f64, GpuError> {
        let mut seconds = 0.0;
        for field in Field::ALL {
            let pipeline = self.pipelines.get(&self.device, Kernel::FieldLoop(field, form), || vec![TIMED_TURNS])?;
            let element_bytes = field.words() * size_of::<u32>();
            let fitting = usize::try_from(self.device.max_binding).unwrap_or(usize::MAX) / element_bytes;
            // Whole workgroups, which are whole nodes too.
            let lanes = TIMED_LANES.min(fitting) / WORKGROUP * WORKGROUP;
            let inputs = vec![[1; NODE_SIZE]; lanes * element_bytes / NODE_SIZE];
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
}

/// What [`Gpu::seconds_of`] runs.
pub(super) fn form_kernels() -> impl Iterator<Item = Kernel> {
    Field::ALL.into_iter().flat_map(|field| [Form::Narrow, Form::Wide].map(|form| Kernel::FieldLoop(field, form)))
}

/// So many points, few of them different, with scalars that are.
fn block<const BYTES: usize>(count: usize, points: impl Iterator<Item = [u8; BYTES]>) -> PointBlock {
    let few: Vec<_> = points.take(LEAST).collect();
    let bytes: Vec<u8> = few.iter().cycle().take(count).flatten().copied().collect();
    let mut scalar = Fr::from(3);
    let scalars = iter::repeat_with(|| {
        scalar = scalar.square() + Fr::ONE;
        scalar
    });
    PointBlock {
        bytes: bytes.into(),
        multiples: (0..count as u32).collect(),
        scalars: scalars.take(count).collect(),
        ..PointBlock::default()
    }
}
