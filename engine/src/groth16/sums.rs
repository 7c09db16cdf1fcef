//! The sums of proofs that are made together: each section of the parameter file is read once, in windows, whatever their
//! number.
//!
//! Of L, A and B, whose scalars are the witness, points of zeros are not even decoded, points of ones are added up, and only
//! the others go through the bucket method.

use std::sync::Arc;

use blstrs::{G1Projective, G2Projective};
use ff::Field;

use super::density::Density;
use super::key::{KeyProblem, ParamsFile, Section};
use super::prove::ProveError;
use super::quotient::Quotient;
use super::scratch::ScratchError;
use crate::backend::points::{PointBlock, SharedBlocks, SumPlan};
use crate::backend::{Backend, BackendError};
use crate::circuit::values::Class;
use crate::circuit::{Values, Witness};
use crate::field::Fr;
use crate::job::{Job, Stage, Unit};

/// Bytes of a window of a parameter file, at most.
const WINDOW_BYTES: u64 = 8 << 20;
/// Windows in memory at a time for one proof: one read, one in use, its decoded points and what is collected of them, their
/// scalars.
const WINDOWS: u64 = 5;
/// For each further proof: all but the windows themselves.
const MORE_WINDOWS: u64 = 3;
/// A section is read in so many windows at least, unless they would be of fewer points than [`MIN_WINDOW`].
const WINDOWS_OF_A_SECTION: usize = 32;
/// Points of a window at least, where there are so many.
const MIN_WINDOW: usize = 1 << 9;

/// Windows that are in memory at a time.
fn windows(proofs: usize) -> u64 {
    WINDOWS + MORE_WINDOWS * (proofs.max(1) as u64 - 1)
}

/// Points of a window of a section with `count` points, when there is so much memory for windows and buckets.
fn window_points(section: Section, count: usize, proofs: usize, working: u64) -> usize {
    // Decoded, in limbs of 52 bits, a point takes a third more.
    let point = (section.point_bytes() + section.point_bytes() / 3) as u64;
    let most = ((working / 2 / windows(proofs)).min(WINDOW_BYTES) / point).max(1) as usize;
    most.min((count / WINDOWS_OF_A_SECTION).max(MIN_WINDOW))
}

/// Bytes of all windows that are in memory at a time, of what there is for windows and buckets of so many proofs.
pub fn window_bytes(section: Section, count: u64, proofs: usize, working: u64) -> u64 {
    windows(proofs) * (window_points(section, count as usize, proofs, working) * section.point_bytes()) as u64
}

/// Bytes for the buckets of one sum of a section, of what there is for windows and buckets of so many proofs.
pub fn bucket_bytes(section: Section, count: u64, proofs: usize, working: u64) -> u64 {
    working.saturating_sub(window_bytes(section, count, proofs, working)) / proofs.max(1) as u64
}

/// A proof's sums.
pub(super) struct Sum {
    pub(super) h: G1Projective,
    pub(super) l: G1Projective,
    pub(super) a: G1Projective,
    pub(super) b1: G1Projective,
    pub(super) b2: G2Projective,
}

/// A proof whose sums are missing.
pub(super) struct Summand {
    pub(super) witness: Witness,
    pub(super) quotient: Quotient,
}

/// The sums of proofs, with so many bytes for windows and buckets of them all. Quotients are gone when H is.
pub(super) fn sums(
    job: &Job<'_>,
    params: &ParamsFile,
    density: &Density,
    summands: Vec<Summand>,
    working: u64,
) -> Result<Vec<Sum>, ProveError> {
    let points: u64 = Section::PROVING.iter().map(|section| params.count(*section)).sum();
    let stage = job.stage("sums over points", Unit::Items, summands.len() as u64 * points);
    let sections = Sections { params, backend: &*job.config.backend, stage, working };
    let (witnesses, quotients): (Vec<_>, Vec<_>) = summands.into_iter().map(|s| (s.witness, s.quotient)).unzip();
    let h = sections.h(quotients)?;
    let l = sections.g1(Section::L, witnesses.iter().map(|witness| all(&witness.aux)))?;
    let a = sections.g1(Section::A, witnesses.iter().map(|witness| of_a(density, witness)))?;
    let b1 = sections.g1(Section::B1, witnesses.iter().map(|witness| of_b(density, witness)))?;
    let b2 = sections.g2(Section::B2, witnesses.iter().map(|witness| of_b(density, witness)))?;
    let of_one = |((((h, l), a), b1), b2)| Sum { h, l, a, b1, b2 };
    Ok(h.into_iter().zip(l).zip(a).zip(b1).zip(b2).map(of_one).collect())
}

/// The sections of a file.
struct Sections<'a> {
    params: &'a ParamsFile,
    backend: &'a dyn Backend,
    stage: Stage<'a>,
    /// Bytes for windows and buckets.
    working: u64,
}

impl Sections<'_> {
    /// Sums over a section; each of `fills` says what becomes of the points of a block in its sum, whose number it is given.
    fn section<G>(
        &self,
        section: Section,
        mut fills: Vec<impl FnMut(&mut PointBlock, usize) -> Result<(), ScratchError> + Send>,
        sums: impl FnOnce(usize, &SumPlan, &mut SharedBlocks<'_>) -> Result<Vec<G>, BackendError>,
    ) -> Result<Vec<G>, ProveError> {
        let (count, proofs) = (self.params.count(section), fills.len());
        let window = window_points(section, count as usize, proofs, self.working);
        let memory_bytes = bucket_bytes(section, count, proofs, self.working);
        let plan = SumPlan { points: count as usize, memory_bytes };
        let prepare = |first, bytes: Vec<u8>| {
            let count = bytes.len() / section.point_bytes();
            let bytes = Arc::new(bytes);
            let filled = fills.iter_mut().map(|fill| {
                let mut block = PointBlock { first, bytes: bytes.clone(), ..PointBlock::default() };
                fill(&mut block, count)?;
                Ok(block)
            });
            let blocks = filled.collect::<Result<Vec<_>, ProveError>>()?;
            self.stage.advance((proofs * count) as u64)?;
            Ok::<_, ProveError>(blocks)
        };
        self.params.blocks(section, window, prepare, |blocks| sums(proofs, &plan, blocks))?.map_err(|error| match error
        {
            BackendError::Point { index, problem } => {
                self.params.error(KeyProblem::Point { section, index, problem }).into()
            }
            error => error.into(),
        })
    }

    /// `Σ h_i H_i`.
    fn h(&self, quotients: Vec<Quotient>) -> Result<Vec<G1Projective>, ProveError> {
        let fills = quotients.iter().map(by_place).collect();
        self.section(Section::H, fills, |sums, plan, blocks| self.backend.sums_g1(sums, plan, blocks))
    }

    /// `Σ z_v P_v` over a section whose scalars are parts of the witnesses, in file order.
    fn g1<S>(&self, section: Section, scalars: impl Iterator<Item = S>) -> Result<Vec<G1Projective>, ProveError>
    where
        S: Iterator<Item = Scalar> + Send,
    {
        self.section(section, scalars.map(by_kind).collect(), |sums, plan, blocks| {
            self.backend.sums_g1(sums, plan, blocks)
        })
    }

    /// As [`Self::g1`], in G2.
    fn g2<S>(&self, section: Section, scalars: impl Iterator<Item = S>) -> Result<Vec<G2Projective>, ProveError>
    where
        S: Iterator<Item = Scalar> + Send,
    {
        self.section(section, scalars.map(by_kind).collect(), |sums, plan, blocks| {
            self.backend.sums_g2(sums, plan, blocks)
        })
    }
}

/// A scalar of the witness by kind.
enum Scalar {
    Zero,
    One,
    Wide(Fr),
}

fn classify(value: &Fr) -> Scalar {
    if *value == Fr::ZERO {
        Scalar::Zero
    } else if *value == Fr::ONE {
        Scalar::One
    } else {
        Scalar::Wide(*value)
    }
}

fn at(values: &Values, index: usize) -> Scalar {
    match values.class(index) {
        Class::Zero => Scalar::Zero,
        Class::One => Scalar::One,
        Class::Wide => Scalar::Wide(values.get(index)),
    }
}

/// The scalars of A.
fn of_a<'a>(density: &'a Density, witness: &'a Witness) -> impl Iterator<Item = Scalar> + 'a {
    witness.inputs.iter().map(classify).chain(chosen(&witness.aux, density.a_aux.iter()))
}

/// The scalars of B.
fn of_b<'a>(density: &'a Density, witness: &'a Witness) -> impl Iterator<Item = Scalar> + 'a {
    let inputs = density.b_inputs.iter().map(|index| classify(&witness.inputs[index]));
    inputs.chain(chosen(&witness.aux, density.b_aux.iter()))
}

fn all(values: &Values) -> impl Iterator<Item = Scalar> + '_ {
    (0..values.len()).map(|index| at(values, index))
}

fn chosen(values: &Values, indices: impl Iterator<Item = usize>) -> impl Iterator<Item = Scalar> {
    indices.map(|index| at(values, index))
}

/// Gives points the coefficients of their places.
fn by_place(quotient: &Quotient) -> impl FnMut(&mut PointBlock, usize) -> Result<(), ScratchError> + Send + '_ {
    |block, count| {
        block.multiples = (0..count as u32).collect();
        block.scalars = quotient.read(block.first as usize, count)?;
        Ok(())
    }
}

/// Gives the next points their scalars.
fn by_kind(
    mut scalars: impl Iterator<Item = Scalar> + Send,
) -> impl FnMut(&mut PointBlock, usize) -> Result<(), ScratchError> + Send {
    move |block, count| {
        for (index, scalar) in (0..count as u32).zip(&mut scalars) {
            match scalar {
                Scalar::Zero => {}
                Scalar::One => block.ones.push(index),
                Scalar::Wide(scalar) => {
                    block.multiples.push(index);
                    block.scalars.push(scalar);
                }
            }
        }
        Ok(())
    }
}
