//! Keys on disk.
//!
//! `.vk`: α (G1), β (G1), β (G2), γ (G2), δ (G1), δ (G2), a count, the points IC (G1).
//! `.params`: the bytes of the `.vk`, then H, L, A, B in G1 and B in G2, each a count and points.
//! Counts are 4 bytes big-endian; points are uncompressed, so that every offset follows from the counts and sections are
//! read in windows, wherever and as often as wanted. Nothing here maps a file or keeps it in memory.
//!
//! Points are checked to lie on the curve, and not to be the identity, when they are decoded. Whether they lie in the
//! subgroup is checked for a `.vk` only: for millions of points the digest of the file has to do, as in the reference.
//!
//! Source: `spec/snark.md` 4.1 to 4.3.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use blstrs::{G1Affine, G2Affine};
use rayon::prelude::*;

use crate::backend::cpu::curve::{BadPoint, Kernel, PortableG1, PortableG2};
use crate::store::positioned::read_exact_at;

/// Bytes of a point of G1.
pub const G1_BYTES: usize = PortableG1::POINT_BYTES;
/// Bytes of a point of G2.
pub const G2_BYTES: usize = PortableG2::POINT_BYTES;
/// Bytes of the points before IC.
const HEAD_BYTES: usize = 3 * G1_BYTES + 3 * G2_BYTES;
const COUNT_BYTES: usize = 4;

/// A part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// α, β, γ, δ.
    Head,
    /// `(β A_v(τ) + α B_v(τ) + C_v(τ)) / γ` for each input v.
    Ic,
    /// `τⁱ Z(τ) / δ`.
    H,
    /// `(β A_v(τ) + α B_v(τ) + C_v(τ)) / δ` for each aux variable v.
    L,
    /// `A_v(τ)`, identities left out.
    A,
    /// `B_v(τ)` in G1, identities left out.
    B1,
    /// `B_v(τ)` in G2, identities left out.
    B2,
}

impl Section {
    /// The sections that only the prover reads, in file order.
    pub const PROVING: [Self; 5] = [Self::H, Self::L, Self::A, Self::B1, Self::B2];

    /// Bytes of a point of a proving section.
    pub fn point_bytes(self) -> usize {
        if self == Self::B2 { G2_BYTES } else { G1_BYTES }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "α β γ δ",
            Self::Ic => "IC",
            Self::H => "H",
            Self::L => "L",
            Self::A => "A",
            Self::B1 => "B in G1",
            Self::B2 => "B in G2",
        })
    }
}

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum KeyProblem {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{actual} bytes, but its counts of points ask for {expected}")]
    Length { expected: u64, actual: u64 },
    #[error("{actual} bytes, too short for the counts of its points")]
    Truncated { actual: u64 },
    #[error("{g1} points of B in G1 and {g2} in G2")]
    UnequalB { g1: u64, g2: u64 },
    #[error("no points of IC, where the input ONE has one")]
    NoInputs,
    #[error("point {index} of {section} {problem}")]
    Point { section: Section, index: u64, problem: BadPoint },
}

/// A key that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("key {}: {problem}", path.display())]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: KeyProblem,
}

/// What a verifier needs to know of a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// α in G1.
    pub alpha_g1: G1Affine,
    /// β in G1; only the prover uses it.
    pub beta_g1: G1Affine,
    /// β in G2.
    pub beta_g2: G2Affine,
    /// γ in G2.
    pub gamma_g2: G2Affine,
    /// δ in G1; only the prover uses it.
    pub delta_g1: G1Affine,
    /// δ in G2.
    pub delta_g2: G2Affine,
    /// A point for each input, ONE first.
    pub ic: Vec<G1Affine>,
}

impl VerifyingKey {
    /// Bytes of the `.vk` of a circuit with `inputs` inputs, ONE among them.
    pub fn byte_len(inputs: u64) -> u64 {
        (HEAD_BYTES + COUNT_BYTES) as u64 + inputs * G1_BYTES as u64
    }

    /// The bytes of the `.vk`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + COUNT_BYTES + self.ic.len() * G1_BYTES);
        bytes.extend(self.alpha_g1.to_uncompressed());
        bytes.extend(self.beta_g1.to_uncompressed());
        bytes.extend(self.beta_g2.to_uncompressed());
        bytes.extend(self.gamma_g2.to_uncompressed());
        bytes.extend(self.delta_g1.to_uncompressed());
        bytes.extend(self.delta_g2.to_uncompressed());
        bytes.extend((self.ic.len() as u32).to_be_bytes());
        self.ic.iter().for_each(|point| bytes.extend(point.to_uncompressed()));
        bytes
    }

    /// Reads the bytes of a `.vk`, whose points are all checked to lie in the subgroup.
    ///
    /// # Errors
    /// [`KeyProblem`] unless the length and every point are right.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyProblem> {
        let key = Self::decode(bytes)?;
        let outside = |section, index: usize| KeyProblem::Point {
            section,
            index: index as u64,
            problem: BadPoint::NotInSubgroup,
        };
        let head_g1 = [(0, &key.alpha_g1), (1, &key.beta_g1), (4, &key.delta_g1)];
        let head_g2 = [(2, &key.beta_g2), (3, &key.gamma_g2), (5, &key.delta_g2)];
        if let Some((index, _)) = head_g1.into_iter().find(|(_, point)| !bool::from(point.is_torsion_free())) {
            return Err(outside(Section::Head, index));
        }
        if let Some((index, _)) = head_g2.into_iter().find(|(_, point)| !bool::from(point.is_torsion_free())) {
            return Err(outside(Section::Head, index));
        }
        match key.ic.par_iter().position_first(|point| !bool::from(point.is_torsion_free())) {
            Some(index) => Err(outside(Section::Ic, index)),
            None => Ok(key),
        }
    }

    /// Reads a `.vk` file.
    ///
    /// # Errors
    /// [`KeyError`] as for [`Self::from_bytes`], or when the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let read = || Self::from_bytes(&std::fs::read(path)?);
        read().map_err(|problem| KeyError { path: path.to_owned(), problem })
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyProblem> {
        let actual = bytes.len() as u64;
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(KeyProblem::Truncated { actual })?;
        let (count, ic) = rest.split_first_chunk().ok_or(KeyProblem::Truncated { actual })?;
        let count = u32::from_be_bytes(*count);
        let expected = Self::byte_len(u64::from(count));
        if actual != expected {
            return Err(KeyProblem::Length { expected, actual });
        }
        if count == 0 {
            return Err(KeyProblem::NoInputs);
        }
        let mut head = Head { bytes: head, index: 0 };
        Ok(Self {
            alpha_g1: head.next::<PortableG1>()?,
            beta_g1: head.next::<PortableG1>()?,
            beta_g2: head.next::<PortableG2>()?,
            gamma_g2: head.next::<PortableG2>()?,
            delta_g1: head.next::<PortableG1>()?,
            delta_g2: head.next::<PortableG2>()?,
            ic: ic
                .par_chunks_exact(G1_BYTES)
                .enumerate()
                .map(|(index, bytes)| point::<PortableG1>(bytes, Section::Ic, index))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The points before IC, one after the other.
struct Head<'a> {
    bytes: &'a [u8],
    index: usize,
}

impl Head<'_> {
    fn next<K: Kernel>(&mut self) -> Result<K::Affine, KeyProblem> {
        let (bytes, rest) = self.bytes.split_at(K::POINT_BYTES);
        let point = point::<K>(bytes, Section::Head, self.index);
        self.bytes = rest;
        self.index += 1;
        point
    }
}

fn point<K: Kernel>(bytes: &[u8], section: Section, index: usize) -> Result<K::Affine, KeyProblem> {
    match K::decode(bytes) {
        Ok(point) => Ok(K::export(&point)),
        Err(problem) => Err(KeyProblem::Point { section, index: index as u64, problem }),
    }
}

/// Where a section's points are.
#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    count: u64,
}

/// An open `.params` file, of which only the head is in memory.
#[derive(Debug)]
pub struct ParamsFile {
    file: File,
    path: PathBuf,
    len: u64,
    key: VerifyingKey,
    sections: [Extent; 5],
}

impl ParamsFile {
    /// Opens a file, reads its verifying key and counts, and checks its length.
    ///
    /// # Errors
    /// [`KeyError`] unless the length is exactly what the counts ask for and the points of the head are on the curve.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        Self::read_head(path).map_err(|problem| KeyError { path: path.to_owned(), problem })
    }

    fn read_head(path: &Path) -> Result<Self, KeyProblem> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let count_at = |offset: u64| -> Result<u64, KeyProblem> {
            if offset.saturating_add(COUNT_BYTES as u64) > len {
                return Err(KeyProblem::Truncated { actual: len });
            }
            let mut count = [0; COUNT_BYTES];
            read_exact_at(&file, &mut count, offset)?;
            Ok(u64::from(u32::from_be_bytes(count)))
        };
        let key_len = VerifyingKey::byte_len(count_at(HEAD_BYTES as u64)?);
        let mut sections = [Extent { offset: 0, count: 0 }; 5];
        let mut end = key_len;
        for (extent, section) in sections.iter_mut().zip(Section::PROVING) {
            *extent = Extent { offset: end + COUNT_BYTES as u64, count: count_at(end)? };
            end = extent.offset + extent.count * section.point_bytes() as u64;
        }
        if end != len {
            return Err(KeyProblem::Length { expected: end, actual: len });
        }
        let [.., Extent { count: g1, .. }, Extent { count: g2, .. }] = sections;
        if g1 != g2 {
            return Err(KeyProblem::UnequalB { g1, g2 });
        }
        let mut bytes = vec![0; key_len as usize];
        read_exact_at(&file, &mut bytes, 0)?;
        Ok(Self { file, path: path.to_owned(), len, key: VerifyingKey::decode(&bytes)?, sections })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn byte_len(&self) -> u64 {
        self.len
    }

    /// The verifying key at the head of the file. Its points are on the curve; the subgroup is not checked.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Points in a section.
    pub fn count(&self, section: Section) -> u64 {
        match section {
            Section::Head => 6,
            Section::Ic => self.key.ic.len() as u64,
            _ => self.extent(section).count,
        }
    }

    fn extent(&self, section: Section) -> Extent {
        let index = Section::PROVING.iter().position(|proving| *proving == section);
        index.map_or(Extent { offset: 0, count: 0 }, |index| self.sections[index])
    }

    /// Hands the bytes of a proving section to `visit`, at most `points` points at a time, with the index of the first.
    /// The next window is read meanwhile.
    ///
    /// # Errors
    /// Those of `visit`, and [`KeyError`] when the file cannot be read.
    pub fn windows<E: From<KeyError> + Send>(
        &self,
        section: Section,
        points: usize,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let whole = |first, bytes| Ok::<_, E>((first, bytes));
        self.blocks(section, points, whole, |windows| {
            for (first, bytes) in windows {
                visit(first, &bytes)?;
            }
            Ok(())
        })?
    }

    /// Hands a proving section to `visit`, in blocks that `prepare` makes of the bytes of at most `points` points and the
    /// index of the first. The next block is read and prepared meanwhile, in a thread of its own.
    ///
    /// # Errors
    /// Those of `prepare`, and [`KeyError`] when the file cannot be read; `visit` sees the blocks before.
    pub fn blocks<B: Send, E: From<KeyError> + Send, T>(
        &self,
        section: Section,
        points: usize,
        mut prepare: impl FnMut(u64, Vec<u8>) -> Result<B, E> + Send,
        visit: impl FnOnce(&mut (dyn Iterator<Item = B> + Send)) -> T,
    ) -> Result<T, E> {
        let Extent { offset, count } = self.extent(section);
        let point_bytes = section.point_bytes();
        // The one that is read waits until somebody takes it.
        let (filled, blocks) = mpsc::sync_channel(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for first in (0..count).step_by(points.max(1)) {
                    let len = (count - first).min(points as u64) as usize;
                    let mut buffer = vec![0; len * point_bytes];
                    let block = read_exact_at(&self.file, &mut buffer, offset + first * point_bytes as u64)
                        .map_err(|error| self.error(error.into()).into())
                        .and_then(|()| prepare(first, buffer));
                    let failed = block.is_err();
                    if filled.send(block).is_err() || failed {
                        return;
                    }
                }
            });
            let mut failed = None;
            let mut blocks =
                blocks.into_iter().map_while(|block| block.map_err(|error| failed = Some(error)).ok()).fuse();
            let visited = visit(&mut blocks);
            // The reader ends when nobody listens.
            drop(blocks);
            match failed {
                Some(error) => Err(error),
                None => Ok(visited),
            }
        })
    }

    /// Reads all bytes of the file's head that are the bytes of the `.vk`.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be read.
    pub fn verifying_key_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let mut bytes = vec![0; VerifyingKey::byte_len(self.count(Section::Ic)) as usize];
        read_exact_at(&self.file, &mut bytes, 0).map_err(|error| self.error(error.into()))?;
        Ok(bytes)
    }

    /// An error of this file.
    pub(crate) fn error(&self, problem: KeyProblem) -> KeyError {
        KeyError { path: self.path.clone(), problem }
    }
}

/// Writes a section: the number of points and the points.
pub(crate) fn write_count(writer: &mut impl Write, count: usize) -> io::Result<()> {
    let count = u32::try_from(count).map_err(|_| io::Error::other("more than 2^32 points in a section"))?;
    writer.write_all(&count.to_be_bytes())
}
