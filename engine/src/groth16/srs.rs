//! The structured reference string of aggregation.
//!
//! For two secrets a and b, and the generators g of G1 and h of G2, four vectors: `g^(aⁱ)`, `g^(bⁱ)`, `h^(aⁱ)`, `h^(bⁱ)`,
//! i = 0, 1, …; each a count of 4 bytes big-endian and compressed points. Only the beginning of each vector is ever read:
//! n proofs take 2n points of the first two and n of the others to prove, two of each to verify. What is read is checked,
//! curve and subgroup; the vectors have to begin with the generators, and both groups with the same secrets.
//!
//! The string of the network comes from a ceremony. Here one for tests and development networks is made from fresh
//! secrets: **whoever makes it can keep them and forge aggregated proofs.**
//!
//! Source: `spec/snark.md` 4.8; N. Gailly, M. Maller, A. Nitulescu, "SnarkPack" (2021), section 2.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::{Field, PrimeField};
use group::prime::PrimeCurveAffine;
use group::{Curve, Group};
use rand_core::{OsRng, RngCore};
use rayon::prelude::*;

use super::key::write_count;
use crate::backend::cpu::curve::{Kernel, PortableG1, PortableG2};
use crate::backend::cpu::fast;
use crate::backend::cpu::fixed_base::FixedBase;
use crate::backend::cpu::pairing::Miller;
use crate::field::Fr;
use crate::job::{Cancelled, Job, Stage, Unit};
use crate::store::atomic::{AtomicFile, WriteError};
use crate::store::positioned::read_exact_at;

/// The file's name in a parameter cache.
pub const SRS_FILE_NAME: &str = "v28-fil-inner-product-v1.srs";
/// Points of a vector that the reference insists on reading.
pub const REFERENCE_POWERS: usize = 32_769;
/// Points of a vector of the network's file, and the most that one may have here.
pub const MAX_POWERS: usize = (1 << 20) + 1;
/// Points that are made and written together, or read and checked.
const BLOCK: usize = 1 << 13;
/// Points of one task.
const PIECE: usize = 1 << 6;
const COUNT_BYTES: u64 = 4;
/// Memory for tables of multiples at most.
const TABLE_BYTES: u64 = 1 << 26;

/// One of the four vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vector {
    /// `g^(aⁱ)` in G1.
    GA,
    /// `g^(bⁱ)` in G1.
    GB,
    /// `h^(aⁱ)` in G2.
    HA,
    /// `h^(bⁱ)` in G2.
    HB,
}

impl Vector {
    /// All, in file order.
    pub const ALL: [Self; 4] = [Self::GA, Self::GB, Self::HA, Self::HB];

    /// Bytes of a compressed point.
    pub fn point_bytes(self) -> usize {
        if matches!(self, Self::GA | Self::GB) { G1Affine::BYTES } else { G2Affine::BYTES }
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GA => "g^(aⁱ)",
            Self::GB => "g^(bⁱ)",
            Self::HA => "h^(aⁱ)",
            Self::HB => "h^(bⁱ)",
        })
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SrsProblem {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{actual} bytes, too short for the counts of its points")]
    Truncated { actual: u64 },
    #[error("{actual} bytes, but its counts of points ask for {expected}")]
    Length { expected: u64, actual: u64 },
    #[error("{actual} points {vector}, too few: {needed} are needed")]
    TooSmall { vector: Vector, needed: u64, actual: u64 },
    #[error("point {index} of {vector} is not a compressed point of the group, or the identity")]
    Point { vector: Vector, index: u64 },
    #[error("{vector} does not begin with the group's generator")]
    Generator { vector: Vector },
    #[error("the vectors of G1 and those of G2 are of different secrets")]
    OtherSecrets,
}

/// Why the string cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SrsError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("no reference string for aggregation: {} is missing", path.display())]
    Missing { path: PathBuf },
    #[error("reference string {}: {problem}", path.display())]
    File { path: PathBuf, problem: SrsProblem },
    #[error("a reference string has from 2 to {MAX_POWERS} powers, not {powers}")]
    Powers { powers: usize },
    #[error("a secret is 0")]
    Secrets,
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The secrets of a string.
#[derive(Clone, Debug)]
pub struct SrsSecrets {
    /// a.
    pub a: Fr,
    /// b.
    pub b: Fr,
}

impl SrsSecrets {
    /// Draws a, b, in this order.
    pub fn random(mut rng: impl RngCore) -> Self {
        Self { a: Fr::random(&mut rng), b: Fr::random(&mut rng) }
    }
}

/// What the prover of n proofs needs.
#[derive(Clone, Debug)]
pub struct ProverSrs {
    /// `g^(aⁱ)`, i < 2n.
    pub g_a: Vec<G1Affine>,
    /// `g^(bⁱ)`, i < 2n.
    pub g_b: Vec<G1Affine>,
    /// `h^(aⁱ)`, i < n.
    pub h_a: Vec<G2Affine>,
    /// `h^(bⁱ)`, i < n.
    pub h_b: Vec<G2Affine>,
}

/// What the verifier of any number of proofs needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierSrs {
    /// `g^a`.
    pub g_a: G1Affine,
    /// `g^b`.
    pub g_b: G1Affine,
    /// `h^a`.
    pub h_a: G2Affine,
    /// `h^b`.
    pub h_b: G2Affine,
}

impl ProverSrs {
    /// Proofs that this is enough for.
    pub fn proofs(&self) -> usize {
        self.h_a.len().min(self.h_b.len()).min(self.g_a.len().min(self.g_b.len()) / 2)
    }
}

/// An open file, of which two points of each vector are in memory.
#[derive(Debug)]
pub struct SrsFile {
    bytes: SrsBytes,
    verifier: VerifierSrs,
}

/// Where the points of an open file are.
#[derive(Debug)]
struct SrsBytes {
    file: File,
    path: PathBuf,
    /// Offset of the first point and number of points of each vector.
    extents: [(u64, u64); 4],
}

impl SrsFile {
    /// Opens a file, checks its length and the two first points of each vector.
    ///
    /// # Errors
    /// [`SrsError::Missing`] or [`SrsError::File`].
    pub fn open(path: &Path) -> Result<Self, SrsError> {
        let bytes = SrsBytes::open(path)?;
        let (g_a, g_b) = (bytes.second(Vector::GA)?, bytes.second(Vector::GB)?);
        let (h_a, h_b) = (bytes.second(Vector::HA)?, bytes.second(Vector::HB)?);
        let verifier = VerifierSrs { g_a, g_b, h_a, h_b };
        if verifier.is_of_one_pair_of_secrets() {
            Ok(Self { bytes, verifier })
        } else {
            Err(bytes.error(SrsProblem::OtherSecrets))
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.bytes.path
    }

    /// Points of a vector.
    pub fn count(&self, vector: Vector) -> u64 {
        self.bytes.extents[vector as usize].1
    }

    /// What a verifier needs.
    pub fn verifier(&self) -> &VerifierSrs {
        &self.verifier
    }

    /// What the prover of `proofs` proofs needs; every point is checked.
    ///
    /// # Errors
    /// [`SrsError::File`] when the file is too small or damaged.
    pub fn prover(&self, job: &Job<'_>, proofs: usize) -> Result<ProverSrs, SrsError> {
        let stage = job.stage("read reference string", Unit::Items, 6 * proofs as u64);
        Ok(ProverSrs {
            g_a: self.bytes.points(&stage, Vector::GA, 2 * proofs)?,
            g_b: self.bytes.points(&stage, Vector::GB, 2 * proofs)?,
            h_a: self.bytes.points(&stage, Vector::HA, proofs)?,
            h_b: self.bytes.points(&stage, Vector::HB, proofs)?,
        })
    }
}

impl SrsBytes {
    fn open(path: &Path) -> Result<Self, SrsError> {
        let failed = |problem| match problem {
            SrsProblem::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                SrsError::Missing { path: path.to_owned() }
            }
            problem => SrsError::File { path: path.to_owned(), problem },
        };
        let read = || {
            let file = File::open(path)?;
            let extents = extents(&file)?;
            Ok(Self { file, path: path.to_owned(), extents })
        };
        read().map_err(failed)
    }

    fn error(&self, problem: SrsProblem) -> SrsError {
        SrsError::File { path: self.path.clone(), problem }
    }

    /// The first `len` points of a vector, read block by block and decoded in parallel.
    fn points<A: Compressed>(&self, stage: &Stage<'_>, vector: Vector, len: usize) -> Result<Vec<A>, SrsError> {
        self.require(vector, len)?;
        let mut points = Vec::with_capacity(len);
        for first in (0..len).step_by(BLOCK) {
            let count = BLOCK.min(len - first);
            points.extend(self.block::<A>(vector, first as u64, count)?);
            stage.advance(count as u64)?;
        }
        Ok(points)
    }

    fn require(&self, vector: Vector, len: usize) -> Result<(), SrsError> {
        let (needed, (_, actual)) = (len as u64, self.extents[vector as usize]);
        if needed <= actual { Ok(()) } else { Err(self.error(SrsProblem::TooSmall { vector, needed, actual })) }
    }

    /// Points of a vector that are there.
    fn block<A: Compressed>(&self, vector: Vector, first: u64, count: usize) -> Result<Vec<A>, SrsError> {
        let (offset, _) = self.extents[vector as usize];
        let mut bytes = vec![0; count * A::BYTES];
        read_exact_at(&self.file, &mut bytes, offset + first * A::BYTES as u64)
            .map_err(|error| self.error(error.into()))?;
        let points: Vec<Option<A>> = bytes.par_chunks_exact(A::BYTES).with_min_len(PIECE).map(A::decode).collect();
        let bad = |index: usize| self.error(SrsProblem::Point { vector, index: first + index as u64 });
        points.into_iter().enumerate().map(|(index, point)| point.ok_or_else(|| bad(index))).collect()
    }

    /// The second point of a vector, whose first is the generator.
    fn second<A: Compressed>(&self, vector: Vector) -> Result<A, SrsError> {
        self.require(vector, 2)?;
        match self.block::<A>(vector, 0, 2)?[..] {
            [first, second] if first == A::generator() => Ok(second),
            _ => Err(self.error(SrsProblem::Generator { vector })),
        }
    }
}

/// Offsets and counts of the vectors, which have to fill the file.
fn extents(file: &File) -> Result<[(u64, u64); 4], SrsProblem> {
    let actual = file.metadata()?.len();
    let mut extents = [(0, 0); 4];
    let mut end = 0_u64;
    for (extent, vector) in extents.iter_mut().zip(Vector::ALL) {
        let mut count = [0; COUNT_BYTES as usize];
        if end.saturating_add(COUNT_BYTES) > actual {
            return Err(SrsProblem::Truncated { actual });
        }
        read_exact_at(file, &mut count, end)?;
        *extent = (end + COUNT_BYTES, u64::from(u32::from_be_bytes(count)));
        // At most four times 2³² times 96: no overflow.
        end = extent.0 + extent.1 * vector.point_bytes() as u64;
    }
    if end == actual { Ok(extents) } else { Err(SrsProblem::Length { expected: end, actual }) }
}

impl VerifierSrs {
    /// Whether `e(g^a, h) = e(g, h^a)` and the same for b: with a random weight, in one equation.
    fn is_of_one_pair_of_secrets(&self) -> bool {
        let weight = random_weight();
        let left = (self.g_b * weight + self.g_a).to_affine();
        let right = (self.h_b * weight + self.h_a).to_affine();
        let minus_g = -G1Affine::generator();
        Miller::of([(&left, &G2Affine::generator()), (&minus_g, &right)]).finish().is_one()
    }
}

/// A point whose compressed form is read with the test of the subgroup.
trait Compressed: PrimeCurveAffine {
    const BYTES: usize;

    /// `None` also for the identity.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Compressed for G1Affine {
    const BYTES: usize = 48;

    fn decode(bytes: &[u8]) -> Option<Self> {
        let point: Option<Self> = Self::from_compressed(bytes.first_chunk()?).into();
        point.filter(|point| !bool::from(point.is_identity()))
    }
}

impl Compressed for G2Affine {
    const BYTES: usize = 96;

    fn decode(bytes: &[u8]) -> Option<Self> {
        let point: Option<Self> = Self::from_compressed(bytes.first_chunk()?).into();
        point.filter(|point| !bool::from(point.is_identity()))
    }
}

/// Makes a string of `powers` points a vector for tests and writes it to `out`, where it appears when it is complete.
///
/// Who knows the secrets can forge aggregated proofs.
///
/// # Errors
/// [`SrsError`]; nothing is left behind then.
pub fn setup_srs(job: &Job<'_>, secrets: &SrsSecrets, powers: usize, out: &Path) -> Result<(), SrsError> {
    if fast::available() {
        write::<fast::G1, fast::G2>(job, secrets, powers, out)
    } else {
        write::<PortableG1, PortableG2>(job, secrets, powers, out)
    }
}

fn write<G1, G2>(job: &Job<'_>, secrets: &SrsSecrets, powers: usize, out: &Path) -> Result<(), SrsError>
where
    G1: Kernel<Group = G1Projective, Affine = G1Affine>,
    G2: Kernel<Group = G2Projective, Affine = G2Affine>,
{
    if !(2..=MAX_POWERS).contains(&powers) {
        return Err(SrsError::Powers { powers });
    }
    if bool::from(secrets.a.is_zero() | secrets.b.is_zero()) {
        return Err(SrsError::Secrets);
    }
    let memory = (job.config.memory_bytes / 4).min(TABLE_BYTES);
    let stage = job.stage("reference string", Unit::Items, 4 * powers as u64);
    let mut writer = Writer { output: BufWriter::new(AtomicFile::create(out)?), stage, powers };
    let g = FixedBase::<G1>::new(&G1Projective::generator(), 2 * powers, memory);
    let to_g1: fn(&G1Affine) -> [u8; 48] = G1Affine::to_compressed;
    writer.vector(&g, &secrets.a, to_g1)?;
    writer.vector(&g, &secrets.b, to_g1)?;
    drop(g);
    let h = FixedBase::<G2>::new(&G2Projective::generator(), 2 * powers, memory);
    let to_g2: fn(&G2Affine) -> [u8; 96] = G2Affine::to_compressed;
    writer.vector(&h, &secrets.a, to_g2)?;
    writer.vector(&h, &secrets.b, to_g2)?;
    let file = writer.output.into_inner().map_err(|error| WriteError::at("write", out)(error.into_error()))?;
    Ok(file.commit()?)
}

struct Writer<'a> {
    output: BufWriter<AtomicFile>,
    stage: Stage<'a>,
    powers: usize,
}

impl Writer<'_> {
    /// Writes the multiples of a generator by the powers of a secret.
    fn vector<K: Kernel, const BYTES: usize>(
        &mut self,
        base: &FixedBase<K>,
        secret: &Fr,
        compress: fn(&K::Affine) -> [u8; BYTES],
    ) -> Result<(), SrsError> {
        let powers = self.powers;
        self.raw(|mut output| write_count(&mut output, powers))?;
        let mut power = Fr::ONE;
        let mut left = self.powers;
        while left > 0 {
            let scalars: Vec<Fr> =
                std::iter::successors(Some(power), |power| Some(*power * secret)).take(BLOCK.min(left)).collect();
            power = scalars.last().map_or(power, |last| *last * secret);
            left -= scalars.len();
            let points = base.multiply(&scalars);
            let bytes: Vec<[u8; BYTES]> = points.par_iter().map(|point| compress(&K::export(point))).collect();
            self.raw(|output| output.write_all(bytes.as_flattened()))?;
            self.stage.advance(scalars.len() as u64)?;
        }
        Ok(())
    }

    fn raw(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), SrsError> {
        write(&mut self.output).map_err(|source| self.output.get_ref().error(source).into())
    }
}

/// A random number of 128 bits, not 0.
pub(crate) fn random_weight() -> Fr {
    let mut bytes = [0; 32];
    while bytes == [0; 32] {
        OsRng.fill_bytes(&mut bytes[..16]);
    }
    Option::from(Fr::from_repr(bytes)).expect("128 bits are below the modulus")
}

#[cfg(test)]
mod tests;
