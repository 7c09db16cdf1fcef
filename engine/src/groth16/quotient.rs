//! The coefficients of `h = (a b − c) / Z`, in memory or, where that has no room for two vectors, in files.
//!
//! Two vectors of m elements and six transforms are enough: a and b go to the coset, where their product is formed, and
//! come back as coefficients of `a b mod (X^m − gᵐ)`; c never visits the coset, and since `a b − c = h · (X^m − 1)`,
//! `h = (coset⁻¹[coset(a) · coset(b)] − c) / (gᵐ − 1)` in coefficients. A witness that does not satisfy the circuit
//! shows in the coefficient m − 1, which has to be 0, unless its errors cancel out; then the proof does not verify.
//!
//! In files the same [`Pass`]es go over strips of columns and over rows that fit into memory, each read, transformed and
//! written once. Neighbouring passes of both vectors, the product and the last difference share one reading and writing:
//!
//! | over | reads | transforms | writes |
//! |---|---|---|---|
//! | columns, rows | a | to coefficients, to the coset | a |
//! | columns, rows | b | the same | b |
//! | columns | a, b | to the coset, product, from the coset | a |
//! | columns | c | to coefficients | b |
//! | rows | a, b | from the coset, to coefficients, difference | h |
//!
//! Bit-reversed coefficients of one row lie R apart in the order that the parameters have. So the last rows that are in
//! memory together are those whose coefficients are neighbours, and h is written in its own order, to a third file.
//!
//! Source: `spec/snark.md` 6.3.

use std::path::Path;

use ff::Field;
use rayon::prelude::*;

use super::prove::ProveError;
use super::rows::{Column, Rows};
use super::scratch::{Scratch, ScratchError};
use crate::backend::cpu::ntt::{Domain, LANES, Part, Pass, Points, RowNumbers, Transform};
use crate::circuit::{Letter, Witness};
use crate::field::Fr;
use crate::job::{Job, Stage, Unit};

/// To coefficients, and to the coset.
const TO_COSET: [Transform; 2] = [Transform::Interpolate(Points::Roots), Transform::Evaluate(Points::Coset)];
/// From the coset to coefficients.
const FROM_COSET: [Transform; 1] = [Transform::Interpolate(Points::Coset)];
/// To coefficients.
const TO_COEFFICIENTS: [Transform; 1] = [Transform::Interpolate(Points::Roots)];

/// Coefficients that are written at a time.
const PUT_AWAY: usize = 1 << 16;

/// The coefficients of h, of as many as the domain has points, of which the last is 0.
pub(super) enum Quotient {
    /// In bit-reversed order.
    Memory(Vec<Fr>, Domain),
    /// In order.
    File(Scratch),
}

impl Quotient {
    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Memory(coefficients, _) => size_of_val(&coefficients[..]),
            Self::File(_) => 0,
        }
    }

    /// Moves the coefficients from memory to a file in a folder; they stay where they are if that fails.
    pub(super) fn put_away(&mut self, folder: &Path) -> Result<(), ScratchError> {
        let Self::Memory(_, domain) = self else { return Ok(()) };
        let (file, size) = (Scratch::create(folder, domain)?, domain.size());
        (0..size.div_ceil(PUT_AWAY)).into_par_iter().try_for_each(|piece| {
            let first = piece * PUT_AWAY;
            file.write(first, &self.read(first, PUT_AWAY.min(size - first))?)
        })?;
        *self = Self::File(file);
        Ok(())
    }

    /// Coefficients `first` and following.
    pub(super) fn read(&self, first: usize, count: usize) -> Result<Vec<Fr>, ScratchError> {
        match self {
            Self::Memory(coefficients, domain) => {
                Ok((first..first + count).map(|index| coefficients[domain.reversed(index)]).collect())
            }
            Self::File(vector) => {
                let mut coefficients = vec![Fr::ZERO; count];
                vector.read(first, &mut coefficients)?;
                Ok(coefficients)
            }
        }
    }
}

/// The factor of the last difference, 1 / (gᵐ − 1).
fn factor(domain: &Domain) -> Fr {
    // gᵐ ≠ 1, since g generates the whole group and m divides 2³².
    Option::from(domain.vanishing_at(&Points::Coset.shift()).invert()).unwrap_or(Fr::ZERO)
}

/// Computes h in memory, with two vectors.
pub(super) fn in_memory(
    job: &Job<'_>,
    domain: &Domain,
    mut rows: Rows<'_>,
    witness: &Witness,
) -> Result<Quotient, ProveError> {
    let size = domain.size();
    let stage = job.stage("transforms", Unit::Items, 6 * size as u64);
    let transform = |vector: &mut [Fr], transforms: &[Transform]| {
        job.config.backend.transform(domain, vector, transforms)?;
        Ok::<_, ProveError>(stage.advance((transforms.len() * size) as u64)?)
    };
    // Both vectors in one allocation, which gives half of itself back in the end.
    let mut vectors = vec![Fr::ZERO; 2 * size];
    let (first, second) = vectors.split_at_mut(size);
    rows.take(Letter::A, witness).fill(first);
    transform(first, &TO_COSET)?;
    rows.take(Letter::B, witness).fill(second);
    transform(second, &TO_COSET)?;
    first.par_iter_mut().zip(&*second).for_each(|(first, second)| *first *= second);
    transform(first, &FROM_COSET)?;
    rows.take(Letter::C, witness).fill(second);
    transform(second, &TO_COEFFICIENTS)?;
    let factor = factor(domain);
    first.par_iter_mut().zip(&*second).for_each(|(first, second)| *first = (*first - second) * factor);
    vectors.truncate(size);
    vectors.shrink_to_fit();
    let last = vectors.last() == Some(&Fr::ZERO);
    if last { Ok(Quotient::Memory(vectors, *domain)) } else { Err(ProveError::Unsatisfied) }
}

/// Bytes of the eight longest rows or columns of two vectors.
fn eight_of_both(domain: &Domain) -> u64 {
    let longest = domain.size() >> domain.rows_log2();
    (2 * LANES * longest * size_of::<Fr>()) as u64
}

/// Bytes that transforms in files take at least, whatever the domain's vectors take: as one thread does them.
pub(super) fn least_on_disk(domain: &Domain) -> u64 {
    eight_of_both(domain) + domain.buffer_bytes(1)
}

/// How many times eight rows or columns of two vectors go into so much memory. A thread takes eight at a time, and as long as
/// there are not more of them than threads, each needs a thread's buffers.
fn eights(domain: &Domain, memory_bytes: u64, threads: usize) -> u64 {
    let (eight, buffers) = (eight_of_both(domain), domain.buffer_bytes(1));
    let with_buffers = (memory_bytes / (eight + buffers)).max(1);
    let threads = threads as u64;
    if with_buffers < threads { with_buffers } else { (memory_bytes.saturating_sub(threads * buffers) / eight).max(1) }
}

/// Computes h in files, with so many bytes of memory, at least [`least_on_disk`].
pub(super) fn on_disk(
    job: &Job<'_>,
    domain: &Domain,
    mut rows: Rows<'_>,
    witness: &Witness,
    memory_bytes: u64,
) -> Result<Quotient, ProveError> {
    let passes = |transforms| domain.passes(transforms).unwrap_or_default();
    let (to_coset, from_coset, to_coefficients) = (passes(&TO_COSET), passes(&FROM_COSET), passes(&TO_COEFFICIENTS));
    // The first pass of c is the first one of any.
    let ([to, through, onto], [from, back], [_, down]) = (&to_coset[..], &from_coset[..], &to_coefficients[..]) else {
        // Too small to be cut, and for files to be worth it.
        return in_memory(job, domain, rows, witness);
    };
    let create = || Scratch::create(&job.config.scratch, domain);
    let (a, b) = (create()?, create()?);
    let eights = eights(domain, memory_bytes, rayon::current_num_threads());
    let mut files = Files {
        job,
        stage: job.stage("transforms on disk", Unit::Items, 6 * domain.size() as u64),
        domain,
        elements: eights as usize * LANES * (domain.size() >> domain.rows_log2()),
        first: Vec::new(),
        second: Vec::new(),
    };
    files.begin(rows.take(Letter::A, witness), to, &a)?;
    files.over_rows(through, &a)?;
    files.begin(rows.take(Letter::B, witness), to, &b)?;
    files.over_rows(through, &b)?;
    files.product(onto, from, &a, &b)?;
    files.begin(rows.take(Letter::C, witness), to, &b)?;
    let h = create()?;
    files.difference([back, down], [&a, &b], &h)?;
    let mut last = [Fr::ONE];
    h.read(domain.size() - 1, &mut last)?;
    if last == [Fr::ZERO] { Ok(Quotient::File(h)) } else { Err(ProveError::Unsatisfied) }
}

/// Goes over vectors in files, a strip or some rows at a time.
struct Files<'a> {
    job: &'a Job<'a>,
    stage: Stage<'a>,
    domain: &'a Domain,
    /// Of a buffer, at most.
    elements: usize,
    first: Vec<Fr>,
    second: Vec<Fr>,
}

impl Files<'_> {
    fn rows(&self) -> usize {
        1 << self.domain.rows_log2()
    }

    fn columns(&self) -> usize {
        self.domain.size() >> self.domain.rows_log2()
    }

    /// How many of `all` rows or columns of so many elements go into a buffer: a power of two.
    fn at_a_time(&self, all: usize, len: usize) -> usize {
        (1 << (self.elements / len).max(LANES).ilog2()).min(all)
    }

    fn pass(&self, pass: &Pass, values: &mut [Fr], rows: RowNumbers) -> Result<(), ProveError> {
        Ok(self.job.config.backend.pass(pass, Part { values, rows })?)
    }

    /// A transform over columns of a vector that is to be written.
    fn begin(&mut self, column: Column<'_>, pass: &Pass, vector: &Scratch) -> Result<(), ProveError> {
        let spilled = column.spill(vector, self.domain.size())?;
        let (rows, columns) = (self.rows(), self.columns());
        let width = self.at_a_time(columns, rows);
        let mut strip = std::mem::take(&mut self.first);
        strip.resize(rows * width, Fr::ZERO);
        for first in (0..columns).step_by(width) {
            if spilled {
                vector.read_columns(first, &mut strip)?;
            } else {
                column.strip(columns, first, &mut strip, width);
            }
            self.pass(pass, &mut strip, RowNumbers::ALL)?;
            vector.write_columns(first, &strip)?;
            self.stage.advance((strip.len() / 2) as u64)?;
        }
        self.first = strip;
        Ok(())
    }

    /// Transforms over rows.
    fn over_rows(&mut self, pass: &Pass, vector: &Scratch) -> Result<(), ProveError> {
        let (rows, columns) = (self.rows(), self.columns());
        let count = self.at_a_time(rows, columns);
        let mut some = std::mem::take(&mut self.first);
        some.resize(count * columns, Fr::ZERO);
        for first in (0..rows).step_by(count) {
            let numbers = RowNumbers { first, step: 1 };
            vector.read_rows(numbers, &mut some)?;
            self.pass(pass, &mut some, numbers)?;
            vector.write_rows(numbers, &some)?;
            self.stage.advance(some.len() as u64)?;
        }
        self.first = some;
        Ok(())
    }

    /// Transforms over columns of both vectors, their product, and a transform over its columns.
    fn product(&mut self, pass: &Pass, next: &Pass, a: &Scratch, b: &Scratch) -> Result<(), ProveError> {
        let (rows, columns) = (self.rows(), self.columns());
        let width = self.at_a_time(columns, rows);
        let [mut first_strip, mut second_strip] = self.buffers(rows * width);
        for first in (0..columns).step_by(width) {
            for (vector, strip) in [(a, &mut first_strip), (b, &mut second_strip)] {
                vector.read_columns(first, strip)?;
                self.pass(pass, strip, RowNumbers::ALL)?;
            }
            first_strip.par_iter_mut().zip(&second_strip).for_each(|(first, second)| *first *= second);
            self.pass(next, &mut first_strip, RowNumbers::ALL)?;
            a.write_columns(first, &first_strip)?;
            self.stage.advance((3 * first_strip.len() / 2) as u64)?;
        }
        (self.first, self.second) = (first_strip, second_strip);
        Ok(())
    }

    /// Transforms over rows of both vectors, and h, which is written in order.
    fn difference(&mut self, passes: [&Pass; 2], vectors: [&Scratch; 2], h: &Scratch) -> Result<(), ProveError> {
        let (rows, columns) = (self.rows(), self.columns());
        let count = self.at_a_time(rows, columns);
        let factor = factor(self.domain);
        let reversed =
            |index: usize, of: usize| if of == 1 { 0 } else { index.reverse_bits() >> (of.leading_zeros() + 1) };
        let [mut first, mut second] = self.buffers(count * columns);
        for place in (0..rows).step_by(count) {
            // Row r has the coefficients R · reversed(c) + reversed(r): those rows whose numbers are neighbours reversed.
            let numbers = RowNumbers { first: reversed(place / count, rows / count), step: rows / count };
            for ((pass, vector), some) in passes.iter().zip(vectors).zip([&mut first, &mut second]) {
                vector.read_rows(numbers, some)?;
                self.pass(pass, some, numbers)?;
            }
            first.par_iter_mut().zip(&second).for_each(|(first, second)| *first = (*first - second) * factor);
            second.par_chunks_exact_mut(count).enumerate().for_each(|(column, run)| {
                let column = reversed(column, columns);
                for (index, element) in run.iter_mut().enumerate() {
                    *element = first[reversed(index, count) * columns + column];
                }
            });
            let runs = second.par_chunks_exact(count).enumerate();
            runs.map(|(index, run)| h.write(index * rows + place, run)).collect::<Result<(), _>>()?;
            self.stage.advance(first.len() as u64)?;
        }
        (self.first, self.second) = (first, second);
        Ok(())
    }

    fn buffers(&mut self, len: usize) -> [Vec<Fr>; 2] {
        [&mut self.first, &mut self.second].map(|buffer| {
            let mut buffer = std::mem::take(buffer);
            buffer.resize(len, Fr::ZERO);
            buffer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::ntt::Points;
    use crate::circuit::{Evaluations, Values};
    use crate::config::Config;
    use crate::job::{Cancel, Quiet};

    /// Rows and columns of the same and of different lengths; strips of eight, of some, of all.
    #[test]
    fn files_give_what_memory_gives() {
        let config = Config { scratch: std::env::temp_dir(), ..Config::default() };
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        for log2 in [6, 7, 11, 12] {
            let domain = Domain::at_least(1 << log2).unwrap();
            let witness = Witness { inputs: vec![Fr::ONE, Fr::from(5)], aux: Values::new() };
            let mut number = Fr::from(3);
            let mut next = |index: usize| {
                number = number.square() + Fr::ONE;
                if index.is_multiple_of(3) { Fr::from((index % 2) as u64) } else { number }
            };
            let len = domain.size() - 7;
            let a: Values = (0..len).map(&mut next).collect();
            let b: Values = (0..len).map(&mut next).collect();
            let c: Values = a.iter().zip(b.iter()).map(|(a, b)| a * b).collect();
            let rows = || Rows::from(Evaluations { a: a.clone(), b: b.clone(), c: c.clone() });
            let coefficients = |quotient: Quotient| quotient.read(0, domain.size()).unwrap();
            let expected = coefficients(in_memory(&job, &domain, rows(), &witness).unwrap());
            // Σ h_i xⁱ · Z(x) = a(x) b(x) − c(x) is for the verifier; that there is a quotient at all, for here.
            assert!(expected.iter().any(|coefficient| *coefficient != Fr::ZERO));
            let least = least_on_disk(&domain);
            for memory in [least, least + eight_of_both(&domain), 2 * least + 3 * eight_of_both(&domain), 1 << 30] {
                let quotient = on_disk(&job, &domain, rows(), &witness, memory).unwrap();
                assert!(matches!(quotient, Quotient::File(_)));
                assert!(coefficients(quotient) == expected, "2^{log2} in {memory} bytes");
            }
            let wrong =
                Evaluations { a: a.clone(), b: b.clone(), c: (0..len).map(|_| Points::Coset.shift()).collect() };
            let result = on_disk(&job, &domain, Rows::from(wrong), &witness, least);
            assert!(matches!(result, Err(ProveError::Unsatisfied)));
        }
    }

    #[test]
    fn memory_is_for_rows_and_for_the_buffers_of_busy_threads() {
        let domain = Domain::at_least(1 << 20).unwrap();
        let (eight, buffers) = (eight_of_both(&domain), domain.buffer_bytes(1));
        for threads in [1, 2, 3, 64] {
            assert_eq!(eights(&domain, least_on_disk(&domain), threads), 1);
            for memory in [least_on_disk(&domain), 5 * eight, 20 << 20, 1 << 30] {
                let count = eights(&domain, memory, threads);
                let used = count * eight + count.min(threads as u64) * buffers;
                assert!(used <= memory.max(eight + buffers), "{count} eights, {threads} threads, {memory} bytes");
                let more = (count + 1) * eight + (count + 1).min(threads as u64) * buffers;
                assert!(more > memory, "{count} eights, {threads} threads, {memory} bytes");
            }
        }
    }
}
