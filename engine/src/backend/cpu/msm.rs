//! Sums over points: of points alone, and with scalars.
//!
//! [`Sum`] is `Σ P_i`, by halving: the second half of a list is added to the first until one point remains.
//! [`Msm`] is `Σ s_i · P_i` by Pippenger's bucket method: for each window of c bits of the scalars the points with equal
//! digit d are added up in bucket d, and then `Σ_d d · bucket_d` costs two additions a bucket. Digits are signed.
//! Both are fed one block of points after another, as these come from a file, and keep their state in between.
//!
//! Bucket additions are affine and inverted in batches ([`Kernel::accumulate`]), in which a bucket may occur only once.
//! A point whose bucket is taken waits; the waiting ones are sorted by bucket and added pairwise within a bucket, so
//! that the cost per point is the same for random scalars and for scalars that are all equal.
//!
//! Source: N. Pippenger, "On the evaluation of powers and related problems" (1976); the reference's word is `multiexp`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use group::Group;
use group::prime::PrimeCurveAffine;
use rayon::prelude::*;

use super::curve::{Addition, Kernel, prefetch};
use super::digits::{MIN_BITS, Recoded, Windows};
use crate::field::Fr;

/// Bytes of waiting points that are worth sorting.
const WAITING_BYTES: usize = 1 << 17;
/// Points that are summed up in one task, and in its cache.
const PIECE: usize = 1 << 13;
/// Points whose scalars are recoded together.
const BLOCK: usize = 1 << 14;
/// Bits of a digit at most.
const MAX_BITS: u32 = 20;
/// Cost of taking one bucket into the result, in bucket additions, with the memory that has to be touched.
const REDUCTION: usize = 3;
/// Buckets of one segment, at least.
const MIN_SEGMENT: usize = 8;

/// What a sum of so many multiples costs, in bucket additions.
pub fn additions(windows: &Windows, points: usize) -> usize {
    windows.count() * (points + REDUCTION * windows.magnitudes())
}

/// Adds `from[i]` to `sums[i]`.
fn add_pairwise<K: Kernel>(sums: &mut [K::Point], from: &[K::Point], scratch: &mut K::Scratch) {
    let in_order: Vec<_> =
        (0..from.len().min(K::BATCH) as u32).map(|index| Addition::new(index, index, false)).collect();
    for (sums, from) in sums.chunks_mut(K::BATCH).zip(from.chunks(K::BATCH)) {
        K::accumulate(sums, &in_order[..from.len()], from, scratch);
    }
}

/// The sum of points; leaves partial sums in their place.
fn sum_in_place<K: Kernel>(mut points: &mut [K::Point], scratch: &mut K::Scratch) -> K::Point {
    while points.len() > 1 {
        let half = points.len() / 2;
        let (sums, from) = points.split_at_mut(points.len() - half);
        add_pairwise::<K>(&mut sums[..half], from, scratch);
        points = sums;
    }
    points.first().copied().unwrap_or_default()
}

/// A sum of points, fed block by block.
#[derive(Debug)]
pub struct Sum<K: Kernel> {
    partial: Vec<K::Point>,
}

impl<K: Kernel> Default for Sum<K> {
    fn default() -> Self {
        Self { partial: Vec::new() }
    }
}

impl<K: Kernel> Sum<K> {
    /// Adds points. Their memory is used for partial sums.
    pub fn feed(&mut self, points: &mut [K::Point]) {
        let pieces = points.par_chunks_mut(PIECE);
        self.partial
            .par_extend(pieces.map_init(K::Scratch::default, |scratch, piece| sum_in_place::<K>(piece, scratch)));
        if self.partial.len() >= PIECE {
            let total = sum_in_place::<K>(&mut self.partial, &mut K::Scratch::default());
            self.partial.clear();
            self.partial.push(total);
        }
    }

    /// The sum of all points.
    pub fn finish(mut self) -> K::Group {
        K::export(&sum_in_place::<K>(&mut self.partial, &mut K::Scratch::default())).to_curve()
    }
}

/// What the threads need besides the buckets, for the sums that they are lent to one after the other: taken once, as memory that
/// is taken and freed for each of many tasks does not all come back.
pub struct Workers<K: Kernel>(Vec<Mutex<Worker<K>>>);

impl<K: Kernel> Default for Workers<K> {
    fn default() -> Self {
        Self((0..rayon::current_num_threads()).map(|_| Mutex::default()).collect())
    }
}

impl<K: Kernel> Workers<K> {
    /// This thread's, which nobody else wants unless there are several pools. Who has it gives the pool no other task until it is
    /// back, which this thread might have to do.
    fn mine(&self) -> MutexGuard<'_, Worker<K>> {
        let thread = rayon::current_thread_index().unwrap_or_default();
        self.0[thread % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
struct Worker<K: Kernel> {
    batch: Vec<Addition>,
    waiting: Vec<Addition>,
    owners: Vec<u32>,
    operands: Vec<K::Point>,
    seconds: Vec<K::Point>,
    scratch: K::Scratch,
}

impl<K: Kernel> Worker<K> {
    /// Waiting points that are worth sorting.
    const WAITING: usize = WAITING_BYTES / size_of::<K::Point>();
}

impl<K: Kernel> Default for Worker<K> {
    fn default() -> Self {
        Self {
            batch: Vec::with_capacity(K::BATCH),
            waiting: Vec::with_capacity(Self::WAITING),
            owners: Vec::new(),
            operands: Vec::new(),
            seconds: Vec::new(),
            scratch: K::Scratch::default(),
        }
    }
}

/// A range of the buckets of one window: the digits of magnitudes `first + 1 ..`.
struct Slice<K: Kernel> {
    window: usize,
    first: u32,
    buckets: Vec<K::Point>,
    /// The batch in which a bucket was last used.
    used: Vec<u32>,
    batch: u32,
}

impl<K: Kernel> Slice<K> {
    fn feed(&mut self, windows: &Windows, points: &[K::Point], scalars: &[Recoded], worker: &mut Worker<K>) {
        for (index, scalar) in scalars.iter().enumerate() {
            let digit = windows.digit(scalar, self.window);
            // Digit 0 becomes a number that no slice has.
            let bucket = digit.unsigned_abs().wrapping_sub(1).wrapping_sub(self.first);
            if bucket as usize >= self.buckets.len() {
                continue;
            }
            let addition = Addition::new(bucket, index as u32, digit < 0);
            if self.used[bucket as usize] == self.batch {
                worker.waiting.push(addition);
                if worker.waiting.len() == Worker::<K>::WAITING {
                    self.flush_waiting(points, worker);
                }
            } else {
                prefetch(&self.buckets[bucket as usize]);
                self.used[bucket as usize] = self.batch;
                worker.batch.push(addition);
                if worker.batch.len() == K::BATCH {
                    self.flush_batch(points, worker);
                }
            }
        }
        self.flush_batch(points, worker);
        self.flush_waiting(points, worker);
    }

    fn flush_batch(&mut self, points: &[K::Point], worker: &mut Worker<K>) {
        K::accumulate(&mut self.buckets, &worker.batch, points, &mut worker.scratch);
        worker.batch.clear();
        if self.batch == u32::MAX {
            self.used.fill(0);
            self.batch = 0;
        }
        self.batch += 1;
    }

    /// Adds the waiting points up within their buckets, in rounds that halve them, and then to the buckets.
    fn flush_waiting(&mut self, points: &[K::Point], worker: &mut Worker<K>) {
        let Worker { waiting, owners, operands, seconds, scratch, .. } = worker;
        waiting.sort_unstable_by_key(|addition| addition.to);
        owners.clear();
        operands.clear();
        for addition in waiting.iter() {
            let point = points[addition.from()];
            owners.push(addition.to);
            operands.push(if addition.negative() { K::negate(&point) } else { point });
        }
        loop {
            waiting.clear();
            seconds.clear();
            let (mut read, mut kept) = (0, 0);
            while read < owners.len() {
                owners[kept] = owners[read];
                operands[kept] = operands[read];
                if read + 1 < owners.len() && owners[read] == owners[read + 1] {
                    waiting.push(Addition::new(kept as u32, seconds.len() as u32, false));
                    seconds.push(operands[read + 1]);
                    read += 1;
                }
                read += 1;
                kept += 1;
            }
            owners.truncate(kept);
            operands.truncate(kept);
            if waiting.is_empty() {
                break;
            }
            K::accumulate(operands, waiting, seconds, scratch);
        }
        waiting.extend(owners.iter().enumerate().map(|(index, owner)| Addition::new(*owner, index as u32, false)));
        K::accumulate(&mut self.buckets, waiting, operands, scratch);
        waiting.clear();
    }

    /// `Σ_b (first + b + 1) · bucket_b`.
    ///
    /// The buckets are cut into segments of equal length that are taken in step from their ends down, so that additions
    /// come in batches. Bucket `b = k·length + i` of segment k has the weight `(i + 1) + k·length + first`.
    fn reduce(&self) -> K::Group {
        let segments = (self.buckets.len() / MIN_SEGMENT).clamp(1, K::BATCH).next_power_of_two();
        let length = self.buckets.len() / segments;
        let mut scratch = K::Scratch::default();
        // Of each segment: the sum, and the sum with weights i + 1.
        let mut plain = vec![K::Point::default(); segments];
        let mut weighted = plain.clone();
        for offset in (0..length).rev() {
            let next: Vec<_> = (0..segments)
                .map(|segment| Addition::new(segment as u32, (segment * length + offset) as u32, false))
                .collect();
            K::accumulate(&mut plain, &next, &self.buckets, &mut scratch);
            add_pairwise::<K>(&mut weighted, &plain, &mut scratch);
        }
        let mut sum = K::Group::identity();
        let mut by_segment = K::Group::identity();
        for segment in plain.iter().skip(1).rev() {
            sum += K::export(segment);
            by_segment += sum;
        }
        sum += K::export(&plain[0]);
        let weighted = K::export(&sum_in_place::<K>(&mut weighted, &mut scratch));
        let scalar = |number: usize| Fr::from(number as u64);
        by_segment * scalar(length) + sum * scalar(self.first as usize) + weighted
    }
}

/// A sum of multiples of points, fed block by block.
pub struct Msm<K: Kernel> {
    windows: Windows,
    slices: Vec<Slice<K>>,
    recoded: Vec<Recoded>,
}

impl<K: Kernel> Msm<K> {
    /// How scalars are best cut for about `expected` points, with at most about `memory_bytes` for buckets.
    pub fn windows(expected: usize, memory_bytes: u64) -> Windows {
        (MIN_BITS..=MAX_BITS)
            .map(Windows::new)
            .filter(|windows| Self::bucket_bytes(windows) <= memory_bytes)
            .min_by_key(|windows| additions(windows, expected))
            .unwrap_or_else(|| Windows::new(MIN_BITS))
    }

    /// Bytes of all buckets.
    pub fn bucket_bytes(windows: &Windows) -> u64 {
        (windows.count() * windows.magnitudes() * (size_of::<K::Point>() + size_of::<u32>())) as u64
    }

    /// Prepares for about `expected` points, with at most about `memory_bytes` for buckets.
    pub fn new(expected: usize, memory_bytes: u64) -> Self {
        let windows = Self::windows(expected, memory_bytes);
        let tasks = 2 * rayon::current_num_threads();
        let parts = tasks.div_ceil(windows.count()).next_power_of_two().min(windows.magnitudes());
        let len = windows.magnitudes() / parts;
        let slices = (0..windows.count() * parts)
            .map(|index| Slice {
                window: index / parts,
                first: (index % parts * len) as u32,
                buckets: vec![K::Point::default(); len],
                used: vec![0; len],
                batch: 1,
            })
            .collect();
        Self { windows, slices, recoded: Vec::new() }
    }

    /// Adds `Σ scalars[i] · points[i]`.
    ///
    /// # Panics
    /// Unless there are as many scalars as points.
    pub fn feed(&mut self, points: &[K::Point], scalars: &[Fr], workers: &Workers<K>) {
        assert_eq!(points.len(), scalars.len(), "a scalar for each point");
        let windows = self.windows;
        for (points, scalars) in points.chunks(BLOCK).zip(scalars.chunks(BLOCK)) {
            let Self { slices, recoded, .. } = self;
            scalars.par_iter().map(|scalar| windows.recode(scalar)).collect_into_vec(recoded);
            slices.par_iter_mut().for_each(|slice| slice.feed(&windows, points, recoded, &mut workers.mine()));
        }
    }

    /// The sum.
    pub fn finish(self) -> K::Group {
        let sums: Vec<K::Group> = self.slices.par_iter().map(Slice::reduce).collect();
        let parts = sums.len() / self.windows.count();
        let mut total = K::Group::identity();
        for window in sums.chunks(parts).rev() {
            for _ in 0..self.windows.bits() {
                total = total.double();
            }
            total += window.iter().sum::<K::Group>();
        }
        total
    }
}

/// `Σ scalars[i] · points[i]` at once.
pub fn msm<K: Kernel>(points: &[K::Point], scalars: &[Fr]) -> K::Group {
    let mut msm = Msm::<K>::new(points.len(), u64::MAX);
    msm.feed(points, scalars, &Workers::default());
    msm.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::{points, rng};
    use crate::backend::cpu::curve::{PortableG1, PortableG2};
    use ff::Field;

    fn naive<K: Kernel>(points: &[K::Point], scalars: &[Fr]) -> K::Group {
        points.iter().zip(scalars).map(|(point, scalar)| K::export(point) * *scalar).sum()
    }

    fn scalars(len: usize) -> Vec<Fr> {
        let mut rng = rng(5);
        (0..len)
            .map(|i| match i % 7 {
                0 => Fr::random(&mut rng),
                1 => Fr::ZERO,
                2 => Fr::ONE,
                3 => -Fr::ONE,
                4 => Fr::from(i as u64),
                5 => -Fr::from(77),
                _ => Fr::from(77),
            })
            .collect()
    }

    fn sums_equal_naive<K: Kernel>() {
        for len in [0, 1, 2, 3, 31, 33, 200] {
            let points = points::<K>(len);
            assert_eq!(msm::<K>(&points, &scalars(len)), naive::<K>(&points, &scalars(len)), "{len} points");
            let ones = vec![Fr::ONE; len];
            let expected = naive::<K>(&points, &ones);
            let mut sum = Sum::<K>::default();
            sum.feed(&mut points.clone());
            assert_eq!(sum.finish(), expected, "sum of {len} points");
        }
    }

    #[test]
    fn sums_of_both_groups_equal_naive() {
        sums_equal_naive::<PortableG1>();
        sums_equal_naive::<PortableG2>();
    }

    #[test]
    fn blocks_and_memory_do_not_change_the_sum() {
        let points = points::<PortableG1>(5000);
        let scalars = scalars(5000);
        let expected = naive::<PortableG1>(&points, &scalars);
        // Sums one after the other are lent the same buffers.
        let workers = Workers::default();
        for (expected_points, memory) in [(0, 0), (10, u64::MAX), (1 << 16, 1 << 20), (1 << 20, u64::MAX)] {
            let mut msm = Msm::<PortableG1>::new(expected_points, memory);
            for (points, scalars) in points.chunks(1777).zip(scalars.chunks(1777)) {
                msm.feed(points, scalars, &workers);
            }
            assert_eq!(msm.finish(), expected);
        }
    }

    #[test]
    fn equal_points_and_equal_scalars() {
        let point = points::<PortableG1>(8)[7];
        let scalar = Fr::random(rng(9));
        for len in [31, 9000] {
            let points = vec![point; len];
            let expected = PortableG1::export(&point) * (scalar * Fr::from(len as u64));
            assert_eq!(msm::<PortableG1>(&points, &vec![scalar; len]), expected);
            let mut sum = Sum::<PortableG1>::default();
            sum.feed(&mut points.clone());
            sum.feed(&mut vec![PortableG1::negate(&point); len - 1]);
            assert_eq!(sum.finish(), PortableG1::export(&point).to_curve());
        }
    }
}
