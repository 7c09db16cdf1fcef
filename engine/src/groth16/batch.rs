//! Proofs over one circuit that are made together: one quotient after the other, then all sums at once, so that each section
//! of the parameter file is read once for all of them.
//!
//! What waits meanwhile is a proof's witness, which is small where it is bits, and the coefficients of its quotient, which
//! are a vector of the domain: they wait in memory if there is room, and in files otherwise. Up to four proofs are made
//! together: a file is then read a quarter as often, and no more vectors wait in files than one proof has there that is made
//! without memory for two.
//!
//! Of a sum the buckets have to be in memory, and fewer of them make more work. Proofs are made together only while that
//! costs no more than a tenth of it, about what reading the file each time does on two cores.

use blstrs::G1Projective;
use group::Curve;

use super::density::Density;
use super::key::{ParamsFile, Section};
use super::proof::Proof;
use super::prove::{LeastMemory, MIN_WORKING, ProveError, check_counts, check_lengths, least_memory};
use super::quotient;
use super::rows::Rows;
use super::sums::{self, Summand, bucket_bytes};
use crate::backend::cpu::ntt::Domain;
use crate::backend::cpu::sums::{MultiplesCost, PointGroup};
use crate::circuit::Witness;
use crate::field::Fr;
use crate::job::Job;

/// Most proofs that are made together.
const MOST: usize = 4;
/// How many additions to buckets there may be for ten of a sum alone, for the sake of the file that is read once.
const ADDITIONS_FOR_TEN: usize = 11;

/// Where the coefficients of quotients wait for the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// In memory, all of them.
    Memory,
    /// In files, all but the last one's.
    Files,
    /// In files, all of them, as every vector is.
    AllInFiles,
}

/// Proofs that are made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// How many.
    pub proofs: usize,
    /// Where their quotients are.
    pub waiting: Waiting,
}

/// A circuit's need of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The witness.
    pub witness: u64,
    /// What is kept of the evaluations.
    pub rows: u64,
}

impl Together {
    /// How to begin `left` proofs over a domain on so many threads with so much memory; nothing if it is too little for one.
    pub fn plan(domain: &Domain, footprint: Footprint, threads: usize, budget: u64, left: usize) -> Option<Self> {
        let Footprint { witness, rows } = footprint;
        let vector = vector_bytes(domain);
        let LeastMemory { in_memory, on_disk } = least_memory(domain, witness + rows, threads);
        let is_in_memory = budget >= in_memory;
        if !is_in_memory && on_disk.is_none_or(|on_disk| budget < on_disk) {
            return None;
        }
        let additions = |proofs: u64, vectors: u64| {
            let working = budget.checked_sub(proofs * witness + vectors * vector)?;
            let points = domain.size() as u64 - 1;
            let buckets = bucket_bytes(Section::H, points, proofs as usize, working);
            let cost = MultiplesCost::new(PointGroup::G1, points as usize, buckets);
            (working >= MIN_WORKING).then_some(cost.additions)
        };
        let fits = |proofs: usize, waiting: Waiting| {
            let proofs = proofs as u64;
            let (least, before, vectors) = match waiting {
                Waiting::Memory => (in_memory, vector, proofs),
                Waiting::Files => (in_memory, 0, 1),
                Waiting::AllInFiles => (on_disk.unwrap_or(u64::MAX), 0, 0),
            };
            let alone = additions(1, vectors.min(1)).unwrap_or(0);
            budget.checked_sub((proofs - 1) * (witness + before)).is_some_and(|rest| rest >= least)
                && additions(proofs, vectors).is_some_and(|additions| 10 * additions <= ADDITIONS_FOR_TEN * alone)
        };
        // As equal as can be: ten are four, three and three.
        let most = left.div_ceil(left.div_ceil(MOST).max(1)).max(1);
        let largest =
            |waiting| Self { proofs: (2..=most).rev().find(|proofs| fits(*proofs, waiting)).unwrap_or(1), waiting };
        if !is_in_memory {
            return Some(largest(Waiting::AllInFiles));
        }
        let (memory, files) = (largest(Waiting::Memory), largest(Waiting::Files));
        Some(if domain.can_be_cut() && files.proofs > memory.proofs { files } else { memory })
    }

    /// Vectors in files at the most at a time, three while one is made.
    pub fn vectors_in_files(&self) -> usize {
        match self.waiting {
            Waiting::Memory => 0,
            Waiting::Files => self.proofs - 1,
            Waiting::AllInFiles => self.proofs + 2,
        }
    }
}

fn vector_bytes(domain: &Domain) -> u64 {
    (domain.size() * size_of::<Fr>()) as u64
}

/// A proof whose sums are missing.
struct Ready {
    summand: Summand,
    secrets: [Fr; 2],
}

/// Proofs that are being made together.
pub struct Batch<'a> {
    job: &'a Job<'a>,
    params: &'a ParamsFile,
    density: &'a Density,
    domain: Domain,
    /// Proofs that are wanted.
    wanted: usize,
    /// Known once the first one's memory is.
    together: Option<Together>,
    ready: Vec<Ready>,
    /// Whether there was no room for a file.
    no_room: bool,
}

impl<'a> Batch<'a> {
    /// Of so many proofs that are wanted, the first ones.
    ///
    /// # Errors
    /// [`ProveError::WrongParameters`], [`ProveError::Domain`].
    pub fn new(
        job: &'a Job<'a>,
        params: &'a ParamsFile,
        density: &'a Density,
        wanted: usize,
    ) -> Result<Self, ProveError> {
        check_counts(params, density)?;
        let domain = Domain::at_least(density.rows())?;
        Ok(Self { job, params, density, domain, wanted, together: None, ready: Vec::new(), no_room: false })
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether there are as many as are made together.
    pub fn is_full(&self) -> bool {
        self.no_room || self.together.is_some_and(|together| self.ready.len() >= together.proofs)
    }

    /// Computes all of a proof but its sums. `rows`, the witness and its secrets are as for [`prove`].
    ///
    /// # Errors
    /// [`ProveError`]; the proofs before are as they were. One that had no room for its memory or its files may have it in
    /// the next batch, unless this one is empty.
    ///
    /// [`prove`]: super::prove::prove
    pub fn add<'r>(&mut self, rows: impl Into<Rows<'r>>, witness: Witness, secrets: [Fr; 2]) -> Result<(), ProveError> {
        let rows = rows.into();
        check_lengths(self.density, &rows, &witness)?;
        let threads = rayon::current_num_threads();
        let footprint = Footprint { witness: witness.aux.memory_bytes() as u64, rows: rows.memory_bytes() as u64 };
        let compact = footprint.witness + footprint.rows;
        let least = least_memory(&self.domain, compact, threads);
        let available = self.job.config.memory_bytes.saturating_sub(self.held());
        let together = match self.together {
            Some(together) => together,
            None => {
                let needed = least.on_disk.unwrap_or(least.in_memory);
                *self.together.insert(
                    Together::plan(&self.domain, footprint, threads, available, self.wanted)
                        .ok_or(ProveError::Memory { needed, available })?,
                )
            }
        };
        let quotient = if together.waiting == Waiting::AllInFiles {
            let needed = least.on_disk.unwrap_or(least.in_memory);
            let working = available.checked_sub(compact).filter(|_| available >= needed);
            let working = working.ok_or(ProveError::Memory { needed, available })?;
            tracing::info!(
                budget = available,
                in_memory = least.in_memory,
                "too little memory for two vectors: transforms in files"
            );
            quotient::on_disk(self.job, &self.domain, rows, &witness, working)?
        } else {
            let needed = least.in_memory;
            if available < needed {
                return Err(ProveError::Memory { needed, available });
            }
            quotient::in_memory(self.job, &self.domain, rows, &witness)?
        };
        self.ready.push(Ready { summand: Summand { witness, quotient }, secrets });
        if together.waiting == Waiting::Files && self.ready.len() < together.proofs {
            self.put_last_away();
        }
        Ok(())
    }

    /// Brings the last quotient to a file; if that fails, no more proofs come.
    fn put_last_away(&mut self) {
        let Some(Ready { summand, .. }) = self.ready.last_mut() else { return };
        if let Err(error) = summand.quotient.put_away(&self.job.config.scratch) {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                "no room for a quotient: fewer proofs are made together"
            );
            self.no_room = true;
        }
    }

    /// Bytes of what waits.
    fn held(&self) -> u64 {
        let of_one = |Ready { summand: Summand { witness, quotient }, .. }: &Ready| {
            (witness.aux.memory_bytes() + quotient.memory_bytes()) as u64
        };
        self.ready.iter().map(of_one).sum()
    }

    /// The proofs, in the order in which they were added.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn finish(self) -> Result<Vec<Proof>, ProveError> {
        if self.ready.is_empty() {
            return Ok(Vec::new());
        }
        let working = self.job.config.memory_bytes.saturating_sub(self.held());
        let (summands, secrets): (Vec<_>, Vec<_>) =
            self.ready.into_iter().map(|ready| (ready.summand, ready.secrets)).unzip();
        let sums = sums::sums(self.job, self.params, self.density, summands, working)?;
        let key = self.params.verifying_key();
        let proof = |(sum, [r, s]): (sums::Sum, [Fr; 2])| {
            let a = sum.a + key.alpha_g1 + key.delta_g1 * r;
            let b1: G1Projective = sum.b1 + key.beta_g1 + key.delta_g1 * s;
            let b = sum.b2 + key.beta_g2 + key.delta_g2 * s;
            let c = sum.l + sum.h + a * s + b1 * r - key.delta_g1 * (r * s);
            Proof { a: a.to_affine(), b: b.to_affine(), c: c.to_affine() }
        };
        Ok(sums.into_iter().zip(secrets).map(proof).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition of 32 GiB (`spec/snark.md` 6): 130 million rows, a witness of bits.
    #[test]
    fn as_many_are_made_together_as_memory_has_room_for() {
        let domain = Domain::at_least(1 << 27).unwrap();
        let footprint = Footprint { witness: 300 << 20, rows: 500 << 20 };
        let plan = |gib: f64, left| Together::plan(&domain, footprint, 16, (gib * f64::from(1 << 30)) as u64, left);
        for (gib, left, proofs, waiting) in [
            (128.0, 10, 4, Waiting::Memory),
            (128.0, 6, 3, Waiting::Memory),
            (128.0, 1, 1, Waiting::Memory),
            (16.0, 10, 4, Waiting::Files),
            (16.0, 1, 1, Waiting::Memory),
            (10.0, 10, 4, Waiting::Files),
            (9.0, 10, 1, Waiting::Memory),
            (6.0, 10, 4, Waiting::AllInFiles),
            (1.0, 10, 1, Waiting::AllInFiles),
        ] {
            assert_eq!(plan(gib, left), Some(Together { proofs, waiting }), "{gib} GiB, {left} left");
        }
        assert_eq!(plan(0.5, 10), None);
    }
}
