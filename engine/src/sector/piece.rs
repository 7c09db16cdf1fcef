//! Pieces: their sizes, their commitments, and the commitment of a sector that holds them.
//!
//! CommP is the root of the binary tree `sha_node(l, r) = trim(SHA-256(l ‖ r))` over the Fr32-padded data cut into
//! 32-byte leaves, which are not hashed. A piece's padded size is a power of two, so its tree is a subtree of the
//! sector's, and CommD follows from CommPs alone:
//!
//! - a stack of subtrees; two equal sizes on top merge into `(sha_node(lower, upper), 2·size)`;
//! - before a larger subtree is pushed, zero subtrees fill up the smaller one on top.
//!
//! Source: `spec/replication.md` 2.1 to 2.4 (the reference's `filecoin-proofs/src/pieces.rs`).

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::field::Node;
use crate::field::fr32::{PADDED_QUAD, RAW_QUAD, padded_len};
use crate::hash::sha256::sha_node;
use crate::job::{Cancelled, Job};
use crate::sector::SectorParams;
use crate::sector::data_tree::{self, SourceError};

const RAW: u64 = RAW_QUAD as u64;
const PADDED: u64 = PADDED_QUAD as u64;
/// No size goes beyond one EiB, so that sums of a few fit into 64 bits.
const MAX_PADDED: u64 = 1 << 60;

/// A size that no piece has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PieceSizeError {
    #[error("{0} bytes are no padded piece size: it is a power of two from 128 to 2^60")]
    Padded(u64),
    #[error("{0} bytes are no unpadded piece size: it is 127 times a power of two, at most 127·2^53")]
    Unpadded(u64),
    #[error("{0} bytes are more than any piece holds")]
    TooLong(u64),
}

/// The size of a piece as stored: 128·2ᵏ bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct PaddedLen(u64);

/// The size of a piece as handed in: 127·2ᵏ bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct UnpaddedLen(u64);

impl PaddedLen {
    /// Takes a size in bytes.
    ///
    /// # Errors
    /// [`PieceSizeError`] unless it is a power of two from 128 to 2⁶⁰.
    pub fn new(bytes: u64) -> Result<Self, PieceSizeError> {
        let valid = bytes.is_power_of_two() && (PADDED..=MAX_PADDED).contains(&bytes);
        if valid { Ok(Self(bytes)) } else { Err(PieceSizeError::Padded(bytes)) }
    }

    /// The smallest piece that holds `raw` bytes of data.
    ///
    /// # Errors
    /// [`PieceSizeError`] when no piece does.
    pub fn holding(raw: u64) -> Result<Self, PieceSizeError> {
        let quads = raw.div_ceil(RAW).max(1).checked_next_power_of_two();
        quads.and_then(|quads| Self::new(quads.checked_mul(PADDED)?).ok()).ok_or(PieceSizeError::TooLong(raw))
    }

    /// Bytes.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The same size without padding.
    pub fn unpadded(self) -> UnpaddedLen {
        UnpaddedLen(self.0 / PADDED * RAW)
    }
}

impl UnpaddedLen {
    /// Takes a size in bytes.
    ///
    /// # Errors
    /// [`PieceSizeError`] unless it is 127·2ᵏ, k at most 53.
    pub fn new(bytes: u64) -> Result<Self, PieceSizeError> {
        let valid = bytes.is_multiple_of(RAW) && PaddedLen::new((bytes / RAW).saturating_mul(PADDED)).is_ok();
        if valid { Ok(Self(bytes)) } else { Err(PieceSizeError::Unpadded(bytes)) }
    }

    /// Bytes.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The same size with padding.
    pub fn padded(self) -> PaddedLen {
        PaddedLen(self.0 / RAW * PADDED)
    }
}

impl TryFrom<u64> for PaddedLen {
    type Error = PieceSizeError;
    fn try_from(bytes: u64) -> Result<Self, PieceSizeError> {
        Self::new(bytes)
    }
}

impl TryFrom<u64> for UnpaddedLen {
    type Error = PieceSizeError;
    fn try_from(bytes: u64) -> Result<Self, PieceSizeError> {
        Self::new(bytes)
    }
}

impl From<PaddedLen> for u64 {
    fn from(len: PaddedLen) -> Self {
        len.0
    }
}

impl From<UnpaddedLen> for u64 {
    fn from(len: UnpaddedLen) -> Self {
        len.0
    }
}

/// A piece's commitment and unpadded size; JSON `{"commitment":[32 numbers],"size":127}`, bincode 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceInfo {
    /// CommP.
    pub commitment: Node,
    /// Unpadded size.
    pub size: UnpaddedLen,
}

/// Why pieces were not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PieceError {
    #[error(transparent)]
    Size(#[from] PieceSizeError),
    #[error("piece {index} has an all-zero commitment")]
    ZeroCommitment { index: usize },
    #[error("{count} pieces, but a sector of {sector} bytes holds at most {max}")]
    TooMany { count: usize, max: u64, sector: u64 },
    #[error("the pieces and the zeros between them take {total} padded bytes, the sector has {sector}")]
    TooLarge { total: u64, sector: u64 },
    #[error("the pieces' CommD is {}, expected {}", hex::encode(.actual), hex::encode(.expected))]
    CommD { expected: Node, actual: Node },
    #[error("the source ended after {actual} bytes of a piece of {expected}")]
    SourceEnded { expected: u64, actual: u64 },
    #[error("the source has more than the {expected} bytes of the piece")]
    SourceTooLong { expected: u64 },
    #[error("the source of a piece cannot be read")]
    Source(#[source] io::Error),
    #[error("the staged file {} has {actual} bytes, its pieces take {expected}", .path.display())]
    StagedLength { path: PathBuf, expected: u64, actual: u64 },
    #[error("cannot {action} the staged file {}", .path.display())]
    Staged { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl PieceError {
    /// What went wrong between a source and the staged file, if there is one.
    fn streaming(staged: &Path) -> impl Fn(SourceError) -> Self + '_ {
        |error| match error {
            SourceError::Read(error) => Self::Source(error),
            SourceError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            SourceError::Write(source) => Self::Staged { action: "write", path: staged.to_owned(), source },
        }
    }

    fn staged(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Staged { action, path, source }
    }
}

/// The commitment of `size` zero bytes, padded size; CommD of an empty sector.
pub fn zero_commitment(size: PaddedLen) -> Node {
    let mut node = [0; 32];
    for _ in 0..(size.get() / 32).trailing_zeros() {
        node = sha_node(&node, &node);
    }
    node
}

/// Subtrees from left to right, largest first; the machine of `spec/replication.md` 2.4.
#[derive(Debug, Default)]
struct Subtrees(Vec<(Node, PaddedLen)>);

impl Subtrees {
    /// Appends a subtree after as many zero subtrees as it takes to place it at a multiple of its size.
    fn push(&mut self, root: Node, size: PaddedLen) {
        while let Some(&(_, top)) = self.0.last()
            && top < size
        {
            self.merge(zero_commitment(top), top);
        }
        self.merge(root, size);
    }

    fn merge(&mut self, mut root: Node, mut size: PaddedLen) {
        while let Some((lower, _)) = self.0.pop_if(|(_, top)| *top == size) {
            root = sha_node(&lower, &root);
            size = PaddedLen(2 * size.0);
        }
        self.0.push((root, size));
    }

    /// Fills up to one tree with zeros; `None` when nothing was pushed.
    fn finish(mut self) -> Option<(Node, PaddedLen)> {
        while let [.., _, (_, top)] = self.0[..] {
            self.merge(zero_commitment(top), top);
        }
        self.0.pop()
    }
}

/// Commits to a piece of `size` bytes, the first that `source` yields; bytes beyond stay unread or are ignored.
///
/// # Errors
/// [`PieceError::SourceEnded`], [`PieceError::Source`], [`PieceError::Cancelled`].
pub fn comm_p(source: impl io::Read + Send, size: UnpaddedLen, job: &Job<'_>) -> Result<PieceInfo, PieceError> {
    let mut subtrees = Subtrees::default();
    let read = data_tree::subtrees(source, Some(size.get()), size.get(), job, &mut io::sink(), |root, size| {
        subtrees.push(root, size);
    })
    .map_err(PieceError::streaming(Path::new("")))?;
    if read < size.get() {
        return Err(PieceError::SourceEnded { expected: size.get(), actual: read });
    }
    let (commitment, _) = subtrees.finish().unwrap_or((zero_commitment(size.padded()), size.padded()));
    Ok(PieceInfo { commitment, size })
}

/// What [`comm_p_of_stream`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCommitment {
    /// Bytes of the stream.
    pub raw_bytes: u64,
    /// The smallest piece that holds them, followed by zeros.
    pub piece: PieceInfo,
}

/// Commits to a stream of any length, as the smallest piece that holds it and zeros after it.
///
/// `hint` is the expected length, for progress only; 0 when unknown.
///
/// # Errors
/// [`PieceError::Source`], [`PieceError::Size`] for an absurd length, [`PieceError::Cancelled`].
pub fn comm_p_of_stream(
    source: impl io::Read + Send,
    hint: u64,
    job: &Job<'_>,
) -> Result<StreamCommitment, PieceError> {
    let mut subtrees = Subtrees::default();
    let raw_bytes = data_tree::subtrees(source, None, hint, job, &mut io::sink(), |root, size| {
        subtrees.push(root, size);
    })
    .map_err(PieceError::streaming(Path::new("")))?;
    let size = PaddedLen::holding(raw_bytes)?;
    let (commitment, _) = subtrees.finish().unwrap_or((zero_commitment(size), size));
    Ok(StreamCommitment { raw_bytes, piece: PieceInfo { commitment, size: size.unpadded() } })
}

/// CommD of a sector from its pieces in order; zeros stand between them as the placing rule wants.
///
/// The result covers the pieces and is **not** extended to the sector: one 127-byte piece in a 2 KiB sector gives that
/// piece's CommP, which is not the CommD of the sector's data. Callers list zero pieces until the sector is full.
///
/// # Errors
/// [`PieceError::TooMany`], [`PieceError::TooLarge`] and [`PieceError::ZeroCommitment`]. Where only the zeros between
/// pieces make them too large, the reference returns a commitment that no sector of this size has.
pub fn comm_d(sector: PaddedLen, pieces: &[PieceInfo]) -> Result<Node, PieceError> {
    let max = sector.unpadded().get() / RAW;
    if pieces.len() as u64 > max {
        return Err(PieceError::TooMany { count: pieces.len(), max, sector: sector.get() });
    }
    let mut total = 0_u64;
    let mut subtrees = Subtrees::default();
    for (index, piece) in pieces.iter().enumerate() {
        if piece.commitment == [0; 32] {
            return Err(PieceError::ZeroCommitment { index });
        }
        let size = piece.size.padded();
        total = total.checked_next_multiple_of(size.get()).unwrap_or(u64::MAX).saturating_add(size.get());
        if total > sector.get() {
            return Err(PieceError::TooLarge { total, sector: sector.get() });
        }
        subtrees.push(piece.commitment, size);
    }
    match subtrees.finish() {
        None => Ok(zero_commitment(sector)),
        Some((commitment, _)) => Ok(commitment),
    }
}

/// Checks that a sector's CommD is that of its pieces.
///
/// # Errors
/// [`PieceError::CommD`] when it differs, and those of [`comm_d`].
pub fn verify_pieces(expected: &Node, sector: PaddedLen, pieces: &[PieceInfo]) -> Result<(), PieceError> {
    let actual = comm_d(sector, pieces)?;
    if actual == *expected { Ok(()) } else { Err(PieceError::CommD { expected: *expected, actual }) }
}

/// Zero bytes around a piece, unpadded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Before it, up to a multiple of its size.
    pub left: u64,
    /// After it, up to the next piece size; 0 for a piece of a valid size.
    pub right: u64,
}

/// Where `piece` bytes go in a sector that has `written` bytes, both unpadded.
///
/// # Errors
/// [`PieceSizeError`] when no piece holds that many bytes.
///
/// # Source
/// `spec/replication.md` 2.3.
pub fn place(written: u64, piece: u64) -> Result<Placement, PieceSizeError> {
    let needed = PaddedLen::holding(piece)?.unpadded().get();
    Ok(Placement { left: (needed - written % needed) % needed, right: needed - piece })
}

/// A sector's file of padded data, to which pieces are added one after the other.
#[derive(Debug)]
pub struct StagedSector {
    file: File,
    /// Where it is, for errors.
    path: PathBuf,
    /// Unpadded bytes of pieces and zeros in the file.
    written: u64,
    /// Padded bytes of the whole sector.
    capacity: u64,
}

/// What [`StagedSector::add_piece`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedPiece {
    /// The piece's commitment and size.
    pub piece: PieceInfo,
    /// Unpadded offset of its first byte.
    pub offset: u64,
    /// Unpadded bytes that the sector grew by: zeros before the piece, and the piece.
    pub written: u64,
}

impl StagedSector {
    /// Takes the file at `path`, open for writing, that holds the `existing` pieces and nothing after them.
    ///
    /// # Errors
    /// [`PieceError::StagedLength`] when the file's length is not that of its pieces, [`PieceError::TooLarge`] when they
    /// are more than the sector, [`PieceError::Staged`].
    pub fn new(file: File, path: &Path, params: &SectorParams, existing: &[UnpaddedLen]) -> Result<Self, PieceError> {
        let mut staged = Self { file, path: path.to_owned(), written: 0, capacity: params.size_bytes };
        for &size in existing {
            staged.written = staged.end_of(size)?;
        }
        let expected = padded_len(staged.written);
        let actual = staged.file.metadata().map_err(PieceError::staged("examine", path))?.len();
        if actual != expected {
            return Err(PieceError::StagedLength { path: path.to_owned(), expected, actual });
        }
        Ok(staged)
    }

    /// Unpadded bytes in the sector so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Unpadded end of a piece added now.
    fn end_of(&self, size: UnpaddedLen) -> Result<u64, PieceError> {
        let Placement { left, .. } = place(self.written, size.get())?;
        // Both are below 127·2⁵³.
        let end = self.written + left + size.get();
        let total = padded_len(end);
        if total > self.capacity {
            return Err(PieceError::TooLarge { total, sector: self.capacity });
        }
        Ok(end)
    }

    /// Adds a piece of exactly the bytes that `source` yields, and makes it durable.
    ///
    /// After an error the file is cut back to what it was, and more pieces can be added.
    ///
    /// # Errors
    /// [`PieceError::SourceEnded`] and [`PieceError::SourceTooLong`] when `source` yields other than `size` bytes,
    /// [`PieceError::TooLarge`], [`PieceError::Source`], [`PieceError::Staged`], [`PieceError::Cancelled`].
    pub fn add_piece(
        &mut self,
        source: impl io::Read + Send,
        size: UnpaddedLen,
        job: &Job<'_>,
    ) -> Result<AddedPiece, PieceError> {
        let end = self.end_of(size)?;
        let offset = end - size.get();
        match self.append(source, offset, size, job) {
            Ok(piece) => {
                let written = end - self.written;
                self.written = end;
                Ok(AddedPiece { piece, offset, written })
            }
            Err(error) => {
                let cut = self.file.set_len(padded_len(self.written));
                cut.map_err(PieceError::staged("cut back", &self.path))?;
                Err(error)
            }
        }
    }

    /// Adds a piece of zeros, which take neither time nor room on the disk.
    ///
    /// # Errors
    /// [`PieceError::TooLarge`], [`PieceError::Staged`].
    pub fn add_zeros(&mut self, size: UnpaddedLen) -> Result<AddedPiece, PieceError> {
        let end = self.end_of(size)?;
        self.file.set_len(padded_len(end)).map_err(PieceError::staged("extend", &self.path))?;
        let (offset, written) = (end - size.get(), end - self.written);
        self.written = end;
        Ok(AddedPiece { piece: PieceInfo { commitment: zero_commitment(size.padded()), size }, offset, written })
    }

    fn append(
        &mut self,
        source: impl io::Read + Send,
        offset: u64,
        size: UnpaddedLen,
        job: &Job<'_>,
    ) -> Result<PieceInfo, PieceError> {
        let staged = |action| PieceError::staged(action, &self.path);
        let start = padded_len(offset);
        // The zeros before the piece.
        self.file.set_len(start).map_err(staged("extend"))?;
        self.file.seek(SeekFrom::Start(start)).map_err(staged("extend"))?;
        let mut subtrees = Subtrees::default();
        let mut sink = PieceSink { file: &self.file, left: size.padded().get() };
        // One byte more than the piece, to notice a source that has it.
        let limit = size.get() + 1;
        let read = data_tree::subtrees(source, Some(limit), size.get(), job, &mut sink, |root, size| {
            subtrees.push(root, size);
        })
        .map_err(PieceError::streaming(&self.path))?;
        if read > size.get() {
            return Err(PieceError::SourceTooLong { expected: size.get() });
        }
        if read < size.get() {
            return Err(PieceError::SourceEnded { expected: size.get(), actual: read });
        }
        self.file.sync_data().map_err(staged("sync"))?;
        let (commitment, _) = subtrees.finish().unwrap_or((zero_commitment(size.padded()), size.padded()));
        Ok(PieceInfo { commitment, size })
    }
}

/// Writes no more than a piece, whatever comes.
struct PieceSink<'a> {
    file: &'a File,
    left: u64,
}

impl Write for PieceSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let keep = (bytes.len() as u64).min(self.left);
        self.file.write_all(&bytes[..keep as usize])?;
        self.left -= keep;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
