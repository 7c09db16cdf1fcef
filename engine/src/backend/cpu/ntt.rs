//! Number-theoretic transforms over Fr: between the values of a polynomial and its coefficients.
//!
//! For a domain of m = 2ᵏ points `s · ωⁱ`, with `ω = ROOT^(2^(32 − k))` and s = 1 or the coset generator 7,
//! [`Domain::evaluate`] computes `X_i = Σ_j a_j (s ωⁱ)ʲ` and [`Domain::interpolate`] is its inverse. Both work in place.
//! Values are in natural order and **coefficients in bit-reversed order**: decimation in time takes them so and
//! decimation in frequency leaves them so, and nobody pays for a permutation.
//!
//! A large transform is cut in four steps: m = R · C as a matrix of R rows; with `j = j₁ + R j₂` and `i = C i₁ + i₂`
//!
//! `X_i = Σ_{j₁} ω_R^(j₁ i₁) · (s ω_m^{i₂})^{j₁} · Σ_{j₂} a_j (s^R ω_C^{i₂})^{j₂}`:
//!
//! a transform of each row, a factor, a transform of each column. Rows and columns are copied, eight at a time and
//! interleaved, into a buffer that fits a core's cache. The coset costs nothing: s goes into the tables of the rows.
//!
//! Transforms of one vector, one after the other, become [`Pass`]es over its rows or its columns, each of which consists
//! of [`Block`]s that anybody may compute: those in a row share a pass where the one ends as the next begins.
//!
//! Sources: D. Bailey, "FFTs in external or hierarchical memory" (1990); `spec/snark.md` 0.1, 3.1, 6.3.
//! The reference's word is `fft`.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ff::{Field, PrimeField};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::ntt_ifma;
use crate::backend::BackendError;
use crate::field::Fr;

/// Rows or columns that are transformed together.
pub const LANES: usize = 8;

/// The same element of eight interleaved vectors.
pub(crate) type Lane = [Fr; LANES];

/// The largest binary logarithm of a domain's size, the two-adicity of Fr.
pub const MAX_LOG2: u32 = Fr::S;

/// Where polynomials are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// At the powers of ω.
    Roots,
    /// At 7 times the powers of ω.
    Coset,
}

impl Points {
    /// The factor of the powers of ω.
    pub fn shift(self) -> Fr {
        match self {
            Self::Roots => Fr::ONE,
            Self::Coset => Fr::MULTIPLICATIVE_GENERATOR,
        }
    }
}

/// The powers of a root of unity of order 2ᵏ.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    log2: u32,
    root: Fr,
}

/// More points than there are roots of unity of the wanted order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a domain of at least {0} points is larger than 2^{MAX_LOG2}")]
pub struct DomainTooLarge(pub u64);

impl Domain {
    /// The smallest domain of at least `points` points.
    ///
    /// # Errors
    /// [`DomainTooLarge`] above 2³² points.
    pub fn at_least(points: usize) -> Result<Self, DomainTooLarge> {
        let too_large = DomainTooLarge(points as u64);
        let log2 = points.checked_next_power_of_two().ok_or(too_large)?.trailing_zeros();
        if log2 > MAX_LOG2 { Err(too_large) } else { Ok(Self { log2, root: root(log2) }) }
    }

    /// Number of points.
    pub fn size(&self) -> usize {
        1 << self.log2
    }

    /// Binary logarithm of the number of points.
    pub fn log2(&self) -> u32 {
        self.log2
    }

    /// ω.
    pub fn root(&self) -> Fr {
        self.root
    }

    /// The place of coefficient `index`, and the coefficient at place `index`.
    pub fn reversed(&self, index: usize) -> usize {
        reverse(index, self.log2)
    }

    /// `t^m − 1`, the polynomial that vanishes on the powers of ω, at t.
    pub fn vanishing_at(&self, t: &Fr) -> Fr {
        (0..self.log2).fold(*t, |power, _| power.square()) - Fr::ONE
    }

    /// Coefficients in bit-reversed order to values in natural order.
    ///
    /// # Panics
    /// Unless there are [`Self::size`] coefficients.
    pub fn evaluate(&self, coefficients: &mut [Fr], points: Points) {
        self.transform(coefficients, &[Transform::Evaluate(points)]);
    }

    /// Values in natural order to coefficients in bit-reversed order.
    ///
    /// # Panics
    /// Unless there are [`Self::size`] values.
    pub fn interpolate(&self, values: &mut [Fr], points: Points) {
        self.transform(values, &[Transform::Interpolate(points)]);
    }

    /// Transforms a vector in place, one after the other.
    ///
    /// # Panics
    /// Unless there are [`Self::size`] elements.
    pub fn transform(&self, values: &mut [Fr], transforms: &[Transform]) {
        assert_eq!(values.len(), self.size(), "as many elements as points");
        let Some(passes) = self.passes(transforms) else {
            return transforms.iter().for_each(|transform| self.transform_plainly(values, *transform));
        };
        passes.iter().for_each(|pass| pass.compute_all(Part::whole(values)));
    }

    /// The passes of transforms one after the other; none for a domain that is too small to be cut.
    pub fn passes(&self, transforms: &[Transform]) -> Option<Vec<Pass>> {
        let mut passes: Vec<Pass> = Vec::new();
        for transform in transforms {
            let (decimation, overs) = match transform {
                Transform::Evaluate(_) => (Decimation::Time, [Over::Rows, Over::Columns]),
                Transform::Interpolate(_) => (Decimation::Frequency, [Over::Columns, Over::Rows]),
            };
            for over in overs {
                let step = Step::new(self, *transform, over, decimation)?;
                match passes.last_mut() {
                    Some(pass) if pass.over == over => pass.steps.push(step),
                    _ => passes.push(Pass { over, steps: vec![step] }),
                }
            }
        }
        Some(passes)
    }

    /// Binary logarithm of the rows of a vector that is read as a matrix.
    pub fn rows_log2(&self) -> u32 {
        self.log2 / 2
    }

    /// Whether the domain is large enough for rows and columns of eight elements.
    pub fn can_be_cut(&self) -> bool {
        1 << self.rows_log2() >= LANES
    }

    /// Bytes that passes take besides the vector, on so many threads.
    pub fn buffer_bytes(&self, threads: usize) -> u64 {
        // Eight columns, and the same in wide limbs.
        let column = (size_of::<Lane>() + size_of::<Lane>() * 5 / 4) << (self.log2 - self.rows_log2());
        (threads * column) as u64
    }

    /// ω and the factor of the points, or their inverses, and the factor of everything.
    fn numbers(&self, transform: Transform) -> [Fr; 3] {
        let invert = |value: Fr| Option::from(value.invert()).unwrap_or(Fr::ZERO);
        match transform {
            Transform::Evaluate(points) => [self.root, points.shift(), Fr::ONE],
            Transform::Interpolate(points) => {
                [invert(self.root), invert(points.shift()), invert(Fr::from(self.size() as u64))]
            }
        }
    }

    /// A transform in one piece, on this thread: right for any size, fast for none.
    ///
    /// # Panics
    /// Unless there are [`Self::size`] elements.
    pub fn transform_plainly(&self, values: &mut [Fr], transform: Transform) {
        assert_eq!(values.len(), self.size(), "as many elements as points");
        let [root, shift, scale_down] = self.numbers(transform);
        let table = table(self.size(), root, shift);
        match transform {
            Transform::Evaluate(_) => dit(values, &table, |value, factor| value * factor),
            Transform::Interpolate(_) => {
                dif(values, &table, |value, factor| value * factor);
                values.iter_mut().for_each(|value| *value *= scale_down);
            }
        }
    }
}

/// One transform of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Coefficients in bit-reversed order to values in natural order.
    Evaluate(Points),
    /// Values in natural order to coefficients in bit-reversed order.
    Interpolate(Points),
}

/// The root of unity of order `2^log2` that decides all keys.
fn root(log2: u32) -> Fr {
    (log2..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}

/// The `bits` low bits of `index` in reverse order.
fn reverse(index: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { index.reverse_bits() >> (usize::BITS - bits) }
}

/// Factors of the butterflies of a transform of `size` values at `shift · rootⁱ`: entry h + j is `s_h · ω_{2h}ʲ` for
/// blocks of 2h values and j < h, with `s_h = shift^(size / 2h)`.
fn table(size: usize, root: Fr, shift: Fr) -> Vec<Fr> {
    let mut table = vec![Fr::ONE; size];
    let (mut root, mut shift) = (root, shift);
    let mut half = size / 2;
    while half > 0 {
        let mut factor = shift;
        for entry in &mut table[half..2 * half] {
            *entry = factor;
            factor *= root;
        }
        root = root.square();
        shift = shift.square();
        half /= 2;
    }
    table
}

fn scale(mut lane: Lane, factor: &Fr) -> Lane {
    lane.iter_mut().for_each(|value| *value *= factor);
    lane
}

/// What a butterfly adds and subtracts.
trait Operand: Copy {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

impl Operand for Fr {
    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn minus(self, other: Self) -> Self {
        self - other
    }
}

impl Operand for Lane {
    fn plus(mut self, other: Self) -> Self {
        self.iter_mut().zip(other).for_each(|(value, other)| *value += other);
        self
    }

    fn minus(mut self, other: Self) -> Self {
        self.iter_mut().zip(other).for_each(|(value, other)| *value -= other);
        self
    }
}

/// Decimation in time: bit-reversed in, natural out.
fn dit<T: Operand>(values: &mut [T], table: &[Fr], scale: impl Fn(T, &Fr) -> T) {
    let mut half = 1;
    while half < values.len() {
        let factors = &table[half..2 * half];
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((low, high), factor) in low.iter_mut().zip(high).zip(factors) {
                let scaled = if *factor == Fr::ONE { *high } else { scale(*high, factor) };
                *high = low.minus(scaled);
                *low = low.plus(scaled);
            }
        }
        half *= 2;
    }
}

/// Decimation in frequency: natural in, bit-reversed out. Undoes [`dit`] up to a factor when given the inverse table.
fn dif<T: Operand>(values: &mut [T], table: &[Fr], scale: impl Fn(T, &Fr) -> T) {
    let mut half = values.len() / 2;
    while half > 0 {
        let factors = &table[half..2 * half];
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((low, high), factor) in low.iter_mut().zip(high).zip(factors) {
                let difference = low.minus(*high);
                *low = low.plus(*high);
                *high = if *factor == Fr::ONE { difference } else { scale(difference, factor) };
            }
        }
        half /= 2;
    }
}

/// The factors of eight rows: of their first elements, and from each element to the next.
pub(crate) struct Factors {
    pub(crate) first: Lane,
    pub(crate) ratio: Lane,
}

/// Which of the two ways a transform goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decimation {
    /// Bit-reversed in, natural out, and then the factors of the rows.
    Time,
    /// The factors of the rows, and then natural in, bit-reversed out.
    Frequency,
}

/// Transforms eight interleaved vectors of one length.
#[derive(Debug)]
struct Butterflies {
    table: Vec<Fr>,
    #[cfg(target_arch = "x86_64")]
    wide: Option<ntt_ifma::Table>,
}

impl Butterflies {
    fn new(table: Vec<Fr>) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            wide: ntt_ifma::Table::new(&table),
            table,
        }
    }

    fn buffers(&self) -> Buffers {
        Buffers {
            lanes: vec![[Fr::ZERO; LANES]; self.table.len()],
            #[cfg(target_arch = "x86_64")]
            wide: Vec::new(),
        }
    }

    fn run(&self, decimation: Decimation, buffers: &mut Buffers, factors: Option<&Factors>) {
        #[cfg(target_arch = "x86_64")]
        if let Some(table) = &self.wide {
            return table.transform(decimation, &mut buffers.lanes, &mut buffers.wide, factors);
        }
        self.run_portable(decimation, &mut buffers.lanes, factors);
    }

    fn run_portable(&self, decimation: Decimation, lanes: &mut [Lane], factors: Option<&Factors>) {
        if decimation == Decimation::Time {
            dit(lanes, &self.table, scale);
        }
        if let Some(factors) = factors {
            apply(lanes, factors);
        }
        if decimation == Decimation::Frequency {
            dif(lanes, &self.table, scale);
        }
    }
}

/// What one task needs besides the values.
struct Buffers {
    lanes: Vec<Lane>,
    #[cfg(target_arch = "x86_64")]
    wide: Vec<ntt_ifma::Wide>,
}

fn apply(lanes: &mut [Lane], Factors { first, ratio }: &Factors) {
    let mut factors = *first;
    for lane in lanes {
        for ((value, factor), ratio) in lane.iter_mut().zip(&mut factors).zip(ratio) {
            *value *= &*factor;
            *factor *= ratio;
        }
    }
}

/// Whether a pass transforms rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Vectors of neighbouring elements.
    Rows,
    /// Vectors of elements that are a row apart.
    Columns,
}

/// A transform of each row, with factors, or of each column.
#[derive(Debug)]
pub(crate) struct Step {
    butterflies: Butterflies,
    pub(crate) decimation: Decimation,
    /// Of rows alone.
    factors: Option<RowFactors>,
}

/// Row j₁ gets the factors `scale · shift^j₁ · root^(j₁ i₂)`, i₂ = 0, 1, ...
#[derive(Clone, Copy, Debug)]
struct RowFactors {
    rows_log2: u32,
    scale: Fr,
    root: Fr,
    shift: Fr,
}

impl Step {
    /// None for a domain that is too small to be cut.
    fn new(domain: &Domain, transform: Transform, over: Over, decimation: Decimation) -> Option<Self> {
        if !domain.can_be_cut() {
            return None;
        }
        let rows_log2 = domain.rows_log2();
        let (rows, columns) = (1_usize << rows_log2, domain.size() >> rows_log2);
        let power = |log2: u32, base: Fr| (0..log2).fold(base, |power, _| power.square());
        let [root, shift, scale] = domain.numbers(transform);
        let (table, factors) = match over {
            Over::Rows => {
                let table = table(columns, power(rows_log2, root), power(rows_log2, shift));
                (table, Some(RowFactors { rows_log2, scale, root, shift }))
            }
            Over::Columns => (table(rows, power(domain.log2 - rows_log2, root), Fr::ONE), None),
        };
        Some(Self { butterflies: Butterflies::new(table), decimation, factors })
    }

    /// Factors of the butterflies: entry h + j is for blocks of 2h values and j < h.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "for devices"))]
    pub(crate) fn table(&self) -> &[Fr] {
        &self.butterflies.table
    }

    /// The factors of eight rows from row `first` of a part on, if this is a step over rows.
    pub(crate) fn factors(&self, rows: RowNumbers, first: usize) -> Option<Factors> {
        let RowFactors { rows_log2, scale, root, shift } = self.factors?;
        let mut factors = Factors { first: [scale; LANES], ratio: [Fr::ONE; LANES] };
        for lane in 0..LANES {
            let row = [reverse(rows.at(first + lane), rows_log2) as u64];
            factors.first[lane] *= shift.pow_vartime(row);
            factors.ratio[lane] = root.pow_vartime(row);
        }
        Some(factors)
    }
}

/// Steps over all rows, or over all columns, of a vector that is read as a matrix.
#[derive(Debug)]
pub struct Pass {
    over: Over,
    steps: Vec<Step>,
}

/// Which rows of a matrix rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowNumbers {
    /// Number of the first one.
    pub first: usize,
    /// From each to the next.
    pub step: usize,
}

impl RowNumbers {
    /// Every row.
    pub const ALL: Self = Self { first: 0, step: 1 };

    /// Number of one of them.
    pub fn at(self, index: usize) -> usize {
        self.first + index * self.step
    }
}

/// Some rows of a matrix, one after the other, or a strip of columns, row after row. There are a multiple of [`LANES`]
/// rows or columns.
#[derive(Debug)]
pub struct Part<'v> {
    /// All elements.
    pub values: &'v mut [Fr],
    /// Which rows, if these are rows.
    pub rows: RowNumbers,
}

impl<'v> Part<'v> {
    /// A whole matrix.
    pub fn whole(values: &'v mut [Fr]) -> Self {
        Self { values, rows: RowNumbers::ALL }
    }
}

/// Some rows of a matrix, or a strip of columns: a piece of every row. There are a multiple of [`LANES`] of them.
#[derive(Debug)]
pub struct Block<'v> {
    /// Which rows, if these are rows.
    pub(crate) rows: RowNumbers,
    pub(crate) pieces: Vec<&'v mut [Fr]>,
}

/// What is left of a matrix in a pass.
pub struct Blocks<'v> {
    over: Over,
    left: Mutex<Vec<Block<'v>>>,
    /// Called before a device takes a block.
    pause: Option<&'v (dyn Fn() + Sync)>,
}

impl fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("over", &self.over).finish_non_exhaustive()
    }
}

impl<'v> Blocks<'v> {
    /// The next block: at most so many rows or columns, but [`LANES`] at least; their number is a power of two.
    pub fn take(&self, most: usize) -> Option<Block<'v>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let block = left.pop()?;
        let vectors = block.vectors(self.over);
        let (taken, rest) = block.split(1 << most.max(LANES).min(vectors).ilog2(), self.over);
        if rest.vectors(self.over) > 0 {
            left.push(rest);
        }
        Some(taken)
    }

    /// As [`Self::take`], for a device: in its turn.
    pub fn take_in_turn(&self, most: usize) -> Option<Block<'v>> {
        if let Some(pause) = self.pause {
            pause();
        }
        self.take(most)
    }

    /// The same with something to be done before a device takes a block: waiting for its turn.
    #[must_use]
    pub fn with_pause(self, pause: &'v (dyn Fn() + Sync)) -> Self {
        Self { pause: Some(pause), ..self }
    }

    /// Gives a block back that was not changed.
    pub fn give_back(&self, block: Block<'v>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }
}

impl<'v> Block<'v> {
    /// Rows or columns.
    pub fn vectors(&self, over: Over) -> usize {
        match over {
            Over::Rows => self.pieces.len(),
            Over::Columns => self.pieces.first().map_or(0, |piece| piece.len()),
        }
    }

    /// Every element, piece after piece.
    pub fn values(&self) -> impl Iterator<Item = &Fr> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// Every element, piece after piece.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Fr> {
        self.pieces.iter_mut().flat_map(|piece| piece.iter_mut())
    }

    /// The first `count` rows or columns, and the others.
    fn split(mut self, count: usize, over: Over) -> (Self, Self) {
        let rows = self.rows;
        match over {
            Over::Rows => {
                let pieces = self.pieces.split_off(count);
                (self, Self { rows: RowNumbers { first: rows.at(count), ..rows }, pieces })
            }
            Over::Columns => {
                let (pieces, others) = self.pieces.into_iter().map(|piece| piece.split_at_mut(count)).unzip();
                (Self { rows, pieces }, Self { rows, pieces: others })
            }
        }
    }
}

impl Pass {
    /// Whether vectors are rows or columns.
    pub fn over(&self) -> Over {
        self.over
    }

    /// Elements of a row or column.
    pub fn vector_len(&self) -> usize {
        self.steps[0].butterflies.table.len()
    }

    /// What is done with each vector, one after the other.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "for devices"))]
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether a part is eight rows or columns of the right length, or a multiple of eight.
    ///
    /// # Errors
    /// [`BackendError::Part`] if it is not.
    pub fn check(&self, part: &Part<'_>) -> Result<(), BackendError> {
        let (len, actual) = (self.vector_len(), part.values.len());
        let fits = actual > 0 && actual.is_multiple_of(LANES * len);
        if fits { Ok(()) } else { Err(BackendError::Part { len, actual }) }
    }

    /// A part that has been checked, to be taken in blocks.
    pub fn blocks<'v>(&self, part: Part<'v>) -> Blocks<'v> {
        let piece_len = match self.over {
            Over::Rows => self.vector_len(),
            Over::Columns => part.values.len() / self.vector_len(),
        };
        let pieces = part.values.chunks_exact_mut(piece_len).collect();
        Blocks { over: self.over, left: Mutex::new(vec![Block { rows: part.rows, pieces }]), pause: None }
    }

    /// Computes a part that has been checked, on all cores.
    pub fn compute_all(&self, part: Part<'_>) {
        let blocks = self.blocks(part);
        while let Some(mut block) = blocks.take(usize::MAX) {
            self.compute(&mut block);
        }
    }

    /// Computes a block on all cores.
    pub fn compute(&self, block: &mut Block<'_>) {
        match self.over {
            Over::Rows => self.compute_rows(block),
            Over::Columns => self.compute_columns(block),
        }
    }

    fn buffers(&self) -> Buffers {
        self.steps[0].butterflies.buffers()
    }

    fn run(&self, buffers: &mut Buffers, rows: RowNumbers, first: usize) {
        for step in &self.steps {
            step.butterflies.run(step.decimation, buffers, step.factors(rows, first).as_ref());
        }
    }

    fn compute_rows(&self, block: &mut Block<'_>) {
        let numbers = block.rows;
        block.pieces.par_chunks_mut(LANES).enumerate().for_each_init(
            || self.buffers(),
            |buffers, (group, rows)| {
                for (lane, row) in rows.iter().enumerate() {
                    buffers.lanes.iter_mut().zip(&**row).for_each(|(to, from)| to[lane] = *from);
                }
                self.run(buffers, numbers, LANES * group);
                for (lane, row) in rows.iter_mut().enumerate() {
                    buffers.lanes.iter().zip(&mut **row).for_each(|(from, to)| *to = from[lane]);
                }
            },
        );
    }

    fn compute_columns(&self, block: &mut Block<'_>) {
        // Each task gets a strip of columns: a piece of every row.
        let columns = block.vectors(Over::Columns);
        let strips = (4 * rayon::current_num_threads()).next_power_of_two().min(columns / LANES);
        let mut tasks: Vec<Vec<&mut [Fr]>> = (0..strips).map(|_| Vec::with_capacity(block.pieces.len())).collect();
        for row in &mut block.pieces {
            tasks
                .iter_mut()
                .zip(row.chunks_mut(columns.div_ceil(strips).next_multiple_of(LANES)))
                .for_each(|(task, part)| task.push(part));
        }
        tasks.into_par_iter().for_each_init(
            || self.buffers(),
            |buffers, mut strip| {
                for group in 0..strip.first().map_or(0, |part| part.len() / LANES) {
                    for (to, from) in buffers.lanes.iter_mut().zip(&strip) {
                        *to = from.as_chunks().0[group];
                    }
                    self.run(buffers, RowNumbers::ALL, 0);
                    for (from, to) in buffers.lanes.iter().zip(&mut strip) {
                        to.as_chunks_mut().0[group] = *from;
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::rng;

    fn sample(len: usize) -> Vec<Fr> {
        let mut rng = rng(6);
        (0..len).map(|_| Fr::random(&mut rng)).collect()
    }

    fn to_reversed(domain: &Domain, natural: &[Fr]) -> Vec<Fr> {
        (0..natural.len()).map(|place| natural[domain.reversed(place)]).collect()
    }

    /// spec/snark.md 0.1.
    #[test]
    fn root_matches_reference() {
        let expected = "2b0d9f431f972938b980228c508336b6b413c82219689bd0201fe8df9ea1a216";
        assert_eq!(hex::encode(root(32).to_repr()), expected);
        assert_eq!(Points::Coset.shift(), Fr::from(7));
        assert_eq!(root(0), Fr::ONE);
        assert_eq!(root(1), -Fr::ONE);
    }

    #[test]
    fn values_equal_those_of_horner() {
        for log2 in 0..=9 {
            let domain = Domain::at_least(1 << log2).unwrap();
            let coefficients = sample(domain.size());
            for points in [Points::Roots, Points::Coset] {
                let mut values = to_reversed(&domain, &coefficients);
                domain.evaluate(&mut values, points);
                let mut at = points.shift();
                for value in &values {
                    let expected = coefficients.iter().rev().fold(Fr::ZERO, |sum, coefficient| sum * at + coefficient);
                    assert_eq!(*value, expected, "2^{log2} at {points:?}");
                    at *= domain.root();
                }
                domain.interpolate(&mut values, points);
                assert_eq!(values, to_reversed(&domain, &coefficients), "2^{log2} at {points:?}");
            }
        }
    }

    #[test]
    fn large_transforms_come_back() {
        for log2 in 10..=16 {
            let domain = Domain::at_least((1 << log2) - 1).unwrap();
            let original = sample(domain.size());
            let mut values = original.clone();
            domain.interpolate(&mut values, Points::Roots);
            let by_hand = {
                let (at, mut sum, mut power) = (domain.root().pow_vartime([5]), Fr::ZERO, Fr::ONE);
                for index in 0..domain.size() {
                    sum += values[domain.reversed(index)] * power;
                    power *= at;
                }
                sum
            };
            assert_eq!(by_hand, original[5]);
            domain.evaluate(&mut values, Points::Coset);
            domain.interpolate(&mut values, Points::Coset);
            domain.evaluate(&mut values, Points::Roots);
            assert_eq!(values, original);
        }
    }

    /// Rows in any order and strips of columns, each by itself.
    #[test]
    fn parts_equal_the_whole() {
        let domain = Domain::at_least(1 << 11).unwrap();
        let (rows, columns) = (1 << 5, 1 << 6);
        let chain = [Transform::Interpolate(Points::Roots), Transform::Evaluate(Points::Coset)];
        for pass in domain.passes(&chain).unwrap() {
            let original = sample(domain.size());
            let (mut expected, mut values) = (original.clone(), vec![Fr::ZERO; domain.size()]);
            pass.compute_all(Part::whole(&mut expected));
            match pass.over() {
                Over::Columns => {
                    for (first, width) in [(0, 8), (8, 24), (32, 32)] {
                        let places = |row: usize| row * columns + first..row * columns + first + width;
                        let mut strip: Vec<_> = (0..rows).flat_map(|row| original[places(row)].to_vec()).collect();
                        pass.check(&Part::whole(&mut strip)).unwrap();
                        pass.compute_all(Part::whole(&mut strip));
                        (0..rows).zip(strip.chunks(width)).for_each(|(row, piece)| {
                            values[places(row)].copy_from_slice(piece);
                        });
                    }
                }
                Over::Rows => {
                    for first in [0, 2, 1, 3] {
                        let numbers = RowNumbers { first, step: 4 };
                        let places = |index| numbers.at(index) * columns..(numbers.at(index) + 1) * columns;
                        let mut some: Vec<_> = (0..8).flat_map(|index| original[places(index)].to_vec()).collect();
                        pass.compute_all(Part { values: &mut some, rows: numbers });
                        (0..8).zip(some.chunks(columns)).for_each(|(index, row)| {
                            values[places(index)].copy_from_slice(row);
                        });
                    }
                }
            }
            assert_eq!(values, expected, "{:?}", pass.over());
            for len in [0, 8, pass.vector_len(), 9 * pass.vector_len()] {
                let error = pass.check(&Part::whole(&mut sample(len))).unwrap_err();
                assert!(matches!(error, BackendError::Part { actual, .. } if actual == len), "{error}");
            }
        }
    }

    #[test]
    fn fast_butterflies_equal_portable_ones() {
        for log2 in [3, 4, 5, 6, 7, 9, 13] {
            let size = 1_usize << log2;
            for shift in [Fr::ONE, Fr::from(7)] {
                let transform = Butterflies::new(table(size, root(log2), shift));
                let values = sample(LANES * (size + 2));
                let lanes = values.as_chunks::<LANES>().0;
                let factors = Factors { first: lanes[size], ratio: lanes[size + 1] };
                // Also the extremes, which stretch the bounds of lazy reduction.
                for input in [lanes[..size].to_vec(), vec![[-Fr::ONE; LANES]; size], vec![[Fr::ZERO; LANES]; size]] {
                    for decimation in [Decimation::Time, Decimation::Frequency] {
                        for factors in [None, Some(&factors)] {
                            let mut expected = input.clone();
                            transform.run_portable(decimation, &mut expected, factors);
                            let mut buffers = transform.buffers();
                            buffers.lanes.copy_from_slice(&input);
                            transform.run(decimation, &mut buffers, factors);
                            assert_eq!(buffers.lanes, expected, "2^{log2}, {decimation:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_are_checked() {
        assert_eq!(Domain::at_least(0).unwrap().size(), 1);
        assert_eq!(Domain::at_least(5).unwrap().size(), 8);
        assert!(Domain::at_least((1 << 32) + 1).is_err());
        assert!(Domain::at_least(usize::MAX).is_err());
        let domain = Domain::at_least(8).unwrap();
        assert_eq!(domain.vanishing_at(&domain.root()), Fr::ZERO);
        assert_eq!(domain.vanishing_at(&Fr::from(2)), Fr::from(255));
    }
}
