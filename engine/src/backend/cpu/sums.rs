//! Sums over the points of a parameter file: points taken once are added up, the others go through the bucket method.

use group::Group;
use rayon::prelude::*;

use super::curve::{BadPoint, Kernel, PortableG1, PortableG2};
use super::fast;
use super::msm::{Msm, Sum, Workers, additions};
use crate::backend::BackendError;
use crate::backend::points::{PointBlock, SharedBlocks, SumPlan};
use crate::field::Fr;

/// Multiples are collected to at least so many before they go to the buckets.
const COLLECTED: usize = 1 << 14;
/// Points that one task decodes.
const PIECE: usize = 1 << 9;

/// A sum over blocks of points.
pub struct PointSum<K: Kernel> {
    plan: SumPlan,
    ones: Sum<K>,
    /// Made when the first multiples come, for as many as their share so far makes likely.
    msm: Option<Msm<K>>,
    points: Vec<K::Point>,
    multiples: Vec<K::Point>,
    scalars: Vec<Fr>,
    seen: usize,
}

impl<K: Kernel> PointSum<K> {
    /// Nothing has been added yet.
    pub fn new(plan: SumPlan) -> Self {
        let (points, multiples, scalars) = (Vec::new(), Vec::new(), Vec::new());
        Self { plan, ones: Sum::default(), msm: None, points, multiples, scalars, seen: 0 }
    }

    /// Adds a block.
    ///
    /// # Errors
    /// [`BackendError::Point`] for a point that is none.
    pub fn feed(&mut self, block: &PointBlock, workers: &Workers<K>) -> Result<(), BackendError> {
        self.points.clear();
        decode::<K>(block, &block.ones, &mut self.points)?;
        self.ones.feed(&mut self.points);
        decode::<K>(block, &block.multiples, &mut self.multiples)?;
        self.scalars.extend_from_slice(&block.scalars);
        let points = block.bytes.len() / K::POINT_BYTES;
        self.seen += points;
        if self.multiples.len() >= COLLECTED.min(points) {
            self.flush(workers);
        }
        Ok(())
    }

    fn flush(&mut self, workers: &Workers<K>) {
        if self.multiples.is_empty() {
            return;
        }
        let msm = self.msm.get_or_insert_with(|| {
            let share = self.multiples.len() as u64 * self.plan.points as u64;
            let expected = share.div_ceil(self.seen as u64) as usize;
            Msm::new(expected, bucket_memory::<K>(expected, self.plan.memory_bytes))
        });
        msm.feed(&self.multiples, &self.scalars, workers);
        self.multiples.clear();
        self.scalars.clear();
    }

    /// The sum.
    pub fn finish(mut self, workers: &Workers<K>) -> K::Group {
        self.flush(workers);
        self.ones.finish() + self.msm.map_or_else(K::Group::identity, Msm::finish)
    }
}

/// Bytes for the buckets of a sum of so many multiples, of what there is.
fn bucket_memory<K: Kernel>(expected: usize, memory_bytes: u64) -> u64 {
    // Three tenths of what the points take are enough: buckets for the least time would take more than all points of a
    // small sum, to be faster by a tenth.
    memory_bytes.min((3 * expected * size_of::<K::Point>() / 10) as u64)
}

/// What the multiples of a sum take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiplesCost {
    /// Additions to buckets, or of buckets.
    pub additions: usize,
    /// Bytes of buckets.
    pub bytes: u64,
}

impl MultiplesCost {
    /// Of so many points of G1, or of G2, with so much memory for buckets.
    pub fn new(group: PointGroup, multiples: usize, memory_bytes: u64) -> Self {
        match (group, fast::available()) {
            (PointGroup::G1, true) => Self::with::<fast::G1>(multiples, memory_bytes),
            (PointGroup::G1, false) => Self::with::<PortableG1>(multiples, memory_bytes),
            (PointGroup::G2, true) => Self::with::<fast::G2>(multiples, memory_bytes),
            (PointGroup::G2, false) => Self::with::<PortableG2>(multiples, memory_bytes),
        }
    }

    fn with<K: Kernel>(multiples: usize, memory_bytes: u64) -> Self {
        if multiples == 0 {
            return Self { additions: 0, bytes: 0 };
        }
        let windows = Msm::<K>::windows(multiples, bucket_memory::<K>(multiples, memory_bytes));
        Self { additions: additions(&windows, multiples), bytes: Msm::<K>::bucket_bytes(&windows) }
    }
}

/// A group whose points are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointGroup {
    /// Points of 96 bytes.
    G1,
    /// Points of 192 bytes.
    G2,
}

/// Appends chosen points of a block.
fn decode<K: Kernel>(block: &PointBlock, chosen: &[u32], points: &mut Vec<K::Point>) -> Result<(), BackendError> {
    let before = points.len();
    points.resize(before + chosen.len(), K::Point::default());
    chosen.par_chunks(PIECE).zip(points[before..].par_chunks_mut(PIECE)).try_for_each(|(chosen, points)| {
        K::decode_chosen(&block.bytes, chosen, points).map_err(|(index, problem): (usize, BadPoint)| {
            BackendError::Point { index: block.first + u64::from(chosen[index]), problem }
        })
    })
}

/// Whether the chosen points of a block are points, on this thread.
///
/// # Errors
/// [`BackendError::Point`] for the first that is none.
#[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "for devices"))]
pub(crate) fn check<K: Kernel>(block: &PointBlock) -> Result<(), BackendError> {
    for chosen in [&block.ones, &block.multiples] {
        K::decode_chosen(&block.bytes, chosen, &mut vec![K::Point::default(); chosen.len()]).map_err(
            |(index, problem)| BackendError::Point { index: block.first + u64::from(chosen[index]), problem },
        )?;
    }
    Ok(())
}

/// So many sums over all blocks.
///
/// # Errors
/// [`BackendError::Point`] for a point that is none.
pub fn sums<K: Kernel>(
    sums: usize,
    plan: &SumPlan,
    blocks: &mut SharedBlocks<'_>,
) -> Result<Vec<K::Group>, BackendError> {
    let workers = Workers::default();
    let mut sums: Vec<_> = (0..sums).map(|_| PointSum::<K>::new(*plan)).collect();
    for blocks in blocks {
        sums.iter_mut().zip(&blocks).try_for_each(|(sum, block)| sum.feed(block, &workers))?;
    }
    Ok(sums.into_iter().map(|sum| sum.finish(&workers)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::backend::cpu::Cpu;
    use crate::backend::cpu::curve::tests::{points, rng};
    use ff::Field;
    use group::prime::PrimeCurveAffine;
    use std::sync::Arc;

    /// Blocks of up to 700 points, of which a third is left out, a third taken once, and their sum.
    fn blocks<K: Kernel>(count: usize) -> (SumPlan, Vec<PointBlock>, K::Group) {
        let points = points::<K>(count);
        let mut rng = rng(11);
        let (mut blocks, mut sum) = (Vec::new(), K::Group::identity());
        for (number, points) in points.chunks(700).enumerate() {
            let mut bytes = vec![0; points.len() * K::POINT_BYTES];
            K::encode_all(points, &mut bytes);
            let mut block = PointBlock { first: 700 * number as u64, bytes: bytes.into(), ..PointBlock::default() };
            for (index, point) in points.iter().enumerate() {
                let point = K::export(point);
                match index % 3 {
                    0 => {
                        block.ones.push(index as u32);
                        sum += point.to_curve();
                    }
                    1 => {
                        let scalar = Fr::random(&mut rng);
                        block.multiples.push(index as u32);
                        block.scalars.push(scalar);
                        sum += point * scalar;
                    }
                    _ => {}
                }
            }
            blocks.push(block);
        }
        (SumPlan { points: count, memory_bytes: 1 << 20 }, blocks, sum)
    }

    /// Two over the same points, one with scalars of its own, and none at all.
    #[test]
    fn sums_share_their_points() {
        let (plan, first, expected) = blocks::<PortableG1>(1500);
        let mut second = first.clone();
        for block in &mut second {
            std::mem::swap(&mut block.ones, &mut block.multiples);
            block.scalars = block.multiples.iter().map(|place| Fr::from(u64::from(*place) + 2)).collect();
        }
        let other = Cpu.sum_g1(&plan, &mut second.clone().into_iter()).unwrap();
        assert_ne!(other, expected);
        let mut both = first.into_iter().zip(second).map(|(first, second)| vec![first, second]);
        assert_eq!(Cpu.sums_g1(2, &plan, &mut both).unwrap(), [expected, other]);
        assert_eq!(Cpu.sums_g1(0, &plan, &mut std::iter::empty()).unwrap(), []);
    }

    #[test]
    fn sums_of_both_kinds_of_arithmetic_are_naive_ones() {
        for count in [0, 1, 2, 699, 701, 1500] {
            let (plan, blocks_g1, expected) = blocks::<PortableG1>(count);
            assert_eq!(Cpu.sum_g1(&plan, &mut blocks_g1.clone().into_iter()).unwrap(), expected);
            let mut blocks_g1 = blocks_g1.into_iter().map(|block| vec![block]);
            assert_eq!(sums::<PortableG1>(1, &plan, &mut blocks_g1).unwrap(), [expected]);
            let (plan, blocks_g2, expected) = blocks::<PortableG2>(count);
            assert_eq!(Cpu.sum_g2(&plan, &mut blocks_g2.clone().into_iter()).unwrap(), expected);
            let mut blocks_g2 = blocks_g2.into_iter().map(|block| vec![block]);
            assert_eq!(sums::<PortableG2>(1, &plan, &mut blocks_g2).unwrap(), [expected]);
        }
    }

    #[test]
    fn bad_points_are_named_unless_nobody_needs_them() {
        let (plan, blocks, expected) = blocks::<PortableG1>(1000);
        for (index, is_needed) in [(699, true), (701, true), (702, false)] {
            let mut blocks = blocks.clone();
            Arc::make_mut(&mut blocks[index / 700].bytes)[index % 700 * 96 + 50] ^= 1;
            match Cpu.sum_g1(&plan, &mut blocks.into_iter()) {
                Err(BackendError::Point { index: bad, problem: BadPoint::NotOnCurve }) if is_needed => {
                    assert_eq!(bad, index as u64);
                }
                Ok(sum) if !is_needed => assert_eq!(sum, expected),
                other => panic!("point {index}: {other:?}"),
            }
        }
    }
}
