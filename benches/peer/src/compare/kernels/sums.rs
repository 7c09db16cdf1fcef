//! Sums of multiples of points of G1 with random scalars, beside blst's bucket method and the prover's of the reference.
//!
//! Ours once as proofs compute them: blocks of uncompressed points, as parameter files have them, which are decoded and
//! checked to be on the curve; and once over points in memory, which is what the others are given.

use std::sync::Arc;

use anyhow::Result;
use blst::{MultiPoint, blst_p1, blst_p1_affine};
use blstrs::{G1Affine, G1Projective};
use ec_gpu_gen::multiexp_cpu::{FullDensity, multiexp_cpu};
use ec_gpu_gen::threadpool::Worker;
use ff::{Field, PrimeField};
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::curve::{Kernel, PortableG1};
use filecash_engine::backend::cpu::msm::msm;
use filecash_engine::backend::cpu::{Cpu, fast};
use filecash_engine::backend::points::{PointBlock, SumPlan};
use filecash_engine::field::Fr;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group};

use super::{check_threads, elements, in_turn};
use crate::compare::measures::{Plan, rows};
use crate::compare::table::{Bound, Quantity, Row};
use crate::usage::Usage;

/// Binary logarithms of the numbers of points.
const SIZES: [u32; 2] = [18, 20];
/// Blocks of a sum, as many as the prover cuts a section of such a size into.
const BLOCKS: usize = 32;
/// Bytes for buckets: more than are used.
const BUCKETS: u64 = 4 << 30;

impl Plan {
    /// Sums on all threads.
    ///
    /// # Errors
    /// When results differ, or a side has other threads than the other.
    pub fn msm(&self) -> Result<Vec<Row>> {
        check_threads(self.programs.threads)?;
        let rows = SIZES.into_iter().map(|log2| self.sums(log2)).collect::<Result<Vec<_>>>()?;
        Ok(rows.concat())
    }

    pub(super) fn sums(&self, log2: u32) -> Result<Vec<Row>> {
        if fast::available() { self.sums_with::<fast::G1>(log2) } else { self.sums_with::<PortableG1>(log2) }
    }

    fn sums_with<K: Kernel<Affine = G1Affine, Group = G1Projective>>(&self, log2: u32) -> Result<Vec<Row>> {
        let points = points(1 << log2);
        let scalars: Vec<Fr> = elements().take(points.len()).collect();

        let plan = SumPlan { points: points.len(), memory_bytes: BUCKETS };
        let blocks = blocks(&points, &scalars);
        let mut from_blocks = || {
            let mut blocks = blocks.clone().into_iter();
            let (usage, sum) = Usage::of(|| Cpu.sum_g1(&plan, &mut blocks))?;
            Ok((usage, *sum?.as_ref()))
        };
        let imported: Vec<K::Point> = points.iter().map(K::import).collect();
        let mut from_memory = || {
            let (usage, sum) = Usage::of(|| msm::<K>(&imported, &scalars))?;
            Ok((usage, *sum.as_ref()))
        };
        let affine: Vec<blst_p1_affine> = points.iter().map(|point| *point.as_ref()).collect();
        let bytes: Vec<u8> = scalars.iter().flat_map(Fr::to_repr).collect();
        let mut blst = || Ok(Usage::of(|| affine.mult(&bytes, Fr::NUM_BITS as usize))?);
        let (bases, exponents) = (Arc::new(points), Arc::new(scalars.iter().map(Fr::to_repr).collect::<Vec<_>>()));
        let worker = Worker::new();
        let mut multiexp = || {
            let (bases, exponents) = ((bases.clone(), 0), exponents.clone());
            let (usage, sum) = Usage::of(|| multiexp_cpu(&worker, bases, FullDensity, exponents).wait())?;
            let sum: G1Projective = sum?;
            Ok((usage, *sum.as_ref()))
        };

        let name = format!("sum of 2^{log2} multiples in G1");
        let kernels: [&mut super::Kernel<'_, blst_p1>; 4] =
            [&mut from_blocks, &mut blst, &mut from_memory, &mut multiexp];
        let [from_blocks, blst, from_memory, multiexp] = in_turn(&name, self.runs, kernels)?;
        let asked = [(Quantity::Wall, Bound::Ratio(1.3)), (Quantity::Cpu, Bound::None)];
        let for_information = [(Quantity::Wall, Bound::None), (Quantity::Cpu, Bound::None)];
        Ok([
            rows(&format!("{name}, from blocks; for reference: blst"), &from_blocks, &blst, &asked),
            rows(&format!("{name}, in memory; for reference: blst"), &from_memory, &blst, &asked),
            rows(&format!("{name}, from blocks; for reference: multiexp"), &from_blocks, &multiexp, &for_information),
        ]
        .concat())
    }
}

/// Different points without a pattern in their coordinates.
fn points(count: usize) -> Vec<G1Affine> {
    let step = G1Projective::generator() * elements().nth(100).unwrap_or(Fr::ONE);
    let points: Vec<_> = std::iter::successors(Some(step.double()), |point| Some(*point + step)).take(count).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1Projective::batch_normalize(&points, &mut affine);
    affine
}

fn blocks(points: &[G1Affine], scalars: &[Fr]) -> Vec<PointBlock> {
    let len = points.len().div_ceil(BLOCKS);
    let block = |(number, (points, scalars)): (usize, (&[G1Affine], &[Fr]))| PointBlock {
        first: (number * len) as u64,
        bytes: points.iter().flat_map(G1Affine::to_uncompressed).collect::<Vec<_>>().into(),
        multiples: (0..points.len() as u32).collect(),
        scalars: scalars.to_vec(),
        ..PointBlock::default()
    };
    points.chunks(len).zip(scalars.chunks(len)).enumerate().map(block).collect()
}
