//! All pieces of a sector at once: a staged file of exactly these, in place of an older one.
//!
//! Who places pieces hands in the zeros between them as pieces too, so none are added here. Pieces that lie at no multiple of their
//! sizes are refused, since no sector has their CommD.
//!
//! Source: `spec/replication.md` 2.1 to 2.4.

use std::io::{self, Read};
use std::path::Path;

use tracing::info_span;

use crate::error::Error;
use crate::field::fr32::padded_len;
use crate::job::Job;
use crate::sector::SectorParams;
use crate::sector::piece::{PieceError, PieceInfo, StagedSector, UnpaddedLen};
use crate::store::atomic::AtomicFile;

/// Why pieces make no staged sector; pieces count from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum StagingError {
    #[error("piece {index} has {payload} bytes of data and room for {size}")]
    Payload { index: usize, payload: u64, size: u64 },
    #[error("piece {index} of {size} unpadded bytes would begin at {offset}, which is no multiple of its size")]
    Misaligned { index: usize, size: u64, offset: u64 },
    #[error("piece {index}")]
    Piece { index: usize, source: PieceError },
}

impl StagingError {
    fn piece(index: usize) -> impl Fn(PieceError) -> Error {
        move |error| match error {
            PieceError::Cancelled(cancelled) => cancelled.into(),
            source => Self::Piece { index, source }.into(),
        }
    }
}

/// How large a piece is, and how much of it is data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceExtent {
    /// Raw bytes of data; zeros follow.
    pub payload: u64,
    /// The whole piece.
    pub size: UnpaddedLen,
}

/// Lays pieces into a staged sector, one after the other, and gives it its name when it is complete; until then an older file stays.
///
/// `open` gives the source of a piece by its place, each when it is its turn; of a piece without one all is zeros. What a source has
/// beyond the payload stays unread.
///
/// # Errors
/// [`StagingError`] before anything is opened where the pieces cannot lie so, or do not fit into the sector;
/// [`PieceError::SourceEnded`] in it when a source has less than the payload. [`Error::Write`].
pub fn stage_pieces<R: Read + Send>(
    job: &Job<'_>,
    params: &SectorParams,
    staged: &Path,
    pieces: &[PieceExtent],
    mut open: impl FnMut(usize) -> io::Result<Option<R>>,
) -> Result<Vec<PieceInfo>, Error> {
    let _span = info_span!("stage_pieces", staged = %staged.display(), pieces = pieces.len()).entered();
    check_places(params, pieces)?;
    let output = AtomicFile::create(staged)?;
    let file = output.file().try_clone().map_err(|source| output.error(source))?;
    let mut sector = StagedSector::new(file, staged, params, &[])?;
    let mut infos = Vec::with_capacity(pieces.len());
    for (index, &PieceExtent { payload, size }) in pieces.iter().enumerate() {
        let source = open(index).map_err(PieceError::Source).map_err(StagingError::piece(index))?;
        let added = match source {
            Some(source) => sector.add_piece(Filled { source, payload }.take(size.get()), size, job),
            None => sector.add_zeros(size),
        };
        let added = added.map_err(|error| match error {
            PieceError::SourceEnded { actual, .. } => PieceError::SourceEnded { expected: payload, actual },
            error => error,
        });
        infos.push(added.map_err(StagingError::piece(index))?.piece);
    }
    output.commit()?;
    Ok(infos)
}

/// Checks that each piece holds its payload, lies at a multiple of its size, and is within the sector.
fn check_places(params: &SectorParams, pieces: &[PieceExtent]) -> Result<(), StagingError> {
    let mut offset = 0;
    for (index, &PieceExtent { payload, size }) in pieces.iter().enumerate() {
        let size = size.get();
        if payload > size {
            return Err(StagingError::Payload { index, payload, size });
        }
        if offset % size != 0 {
            return Err(StagingError::Misaligned { index, size, offset });
        }
        // No sum of a sector and a piece is beyond 64 bits.
        offset += size;
        if offset > params.unpadded_bytes() {
            let source = PieceError::TooLarge { total: padded_len(offset), sector: params.size_bytes };
            return Err(StagingError::Piece { index, source });
        }
    }
    Ok(())
}

/// The payload, then zeros without end; ends where the source ends before the payload does.
struct Filled<R> {
    source: R,
    /// Bytes of the payload that have not come.
    payload: u64,
}

impl<R: Read> Read for Filled<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.payload == 0 {
            out.fill(0);
            return Ok(out.len());
        }
        let most = self.payload.min(out.len() as u64);
        let read = self.source.read(&mut out[..most as usize])?;
        self.payload -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::api::seal::add_piece;
    use crate::config::Config;
    use crate::job::{Cancel, Quiet};
    use crate::sector::{Profile, params};

    /// Pieces by payload and size, and what their sources give; none for zeros.
    type Piece = (u64, u64, Option<u64>);

    fn data(len: u64, start: u64) -> Vec<u8> {
        (start..start + len).map(|i| (i % 251) as u8).collect()
    }

    fn stage(staged: &Path, pieces: &[Piece], cancel: &Cancel) -> Result<Vec<PieceInfo>, Error> {
        let config = Config { memory_bytes: 0, ..Config::default() };
        let job = Job { config: &config, progress: &Quiet, cancel };
        let sector = params::for_size(Profile::Filecoin, 2048).unwrap();
        let extent = |&(payload, size, _): &Piece| PieceExtent { payload, size: UnpaddedLen::new(size).unwrap() };
        let extents: Vec<_> = pieces.iter().map(extent).collect();
        stage_pieces(&job, sector, staged, &extents, |index| {
            Ok(pieces[index].2.map(|len| io::Cursor::new(data(len, index as u64))))
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn staged_pieces_are_those_added_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let [staged, other] = ["staged", "other"].map(|name| folder.path().join(name));
        // A whole one, one with zeros, a source that has more, zeros, nothing but zeros after an empty source, the rest.
        let table: [&[Piece]; 4] = [
            &[(508, 508, Some(508)), (100, 127, Some(100)), (1, 127, Some(300)), (0, 254, None), (0, 1016, Some(0))],
            &[(2000, 2032, Some(2000))],
            &[(2032, 2032, None)],
            &[(127, 127, Some(127)), (127, 127, None)],
        ];
        for pieces in table {
            let infos = stage(&staged, pieces, &Cancel::default()).unwrap();
            let config = Config::default();
            let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
            let sector = params::for_size(Profile::Filecoin, 2048).unwrap();
            drop(fs::remove_file(&other));
            let mut sizes = Vec::new();
            for (index, &(payload, size, source)) in pieces.iter().enumerate() {
                let mut bytes = source.map_or(vec![], |len| data(len, index as u64));
                bytes.truncate(payload as usize);
                bytes.resize(size as usize, 0);
                let size = UnpaddedLen::new(size).unwrap();
                let added = add_piece(&job, sector, &bytes[..], &other, size, &sizes).unwrap();
                assert_eq!(added.piece, infos[index], "{pieces:?} {index}");
                sizes.push(size);
            }
            assert_eq!(infos.len(), pieces.len());
            assert!(fs::read(&staged).unwrap() == fs::read(&other).unwrap(), "{pieces:?}");
        }
        assert!(stage(&staged, &[], &Cancel::default()).unwrap().is_empty());
        assert_eq!(fs::read(&staged).unwrap(), b"");
    }

    #[test]
    fn failures_leave_the_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let staged = folder.path().join("staged");
        fs::write(&staged, "old").unwrap();
        let table: [(&[Piece], &str); 7] = [
            (&[(128, 127, Some(128))], "piece 0 has 128 bytes of data and room for 127"),
            (&[(128, 127, None)], "piece 0 has 128 bytes of data and room for 127"),
            (&[(127, 127, Some(127)), (0, 254, None)], "piece 1 of 254 unpadded bytes would begin at 127"),
            (&[(0, 2032, None), (0, 127, None)], "piece 1: the pieces and the zeros between them take 2176 padded"),
            (&[(0, 127 << 53, None)], "piece 0: the pieces and the zeros between them take 1152921504606846976 padded"),
            (&[(0, 127, None), (127, 127, Some(126))], "piece 1: the source ended after 126 bytes of a piece of 127"),
            (&[(100, 127, Some(99))], "piece 0: the source ended after 99 bytes of a piece of 100"),
        ];
        for (pieces, reason) in table {
            let error = stage(&staged, pieces, &Cancel::default()).unwrap_err();
            let text = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            assert!(text.starts_with(reason), "{text}");
            assert_eq!(fs::read(&staged).unwrap(), b"old");
            assert_eq!(names(folder.path()), ["staged"]);
        }
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(stage(&staged, &[(127, 127, Some(127))], &cancel), Err(Error::Cancelled(_))));
        assert_eq!(fs::read(&staged).unwrap(), b"old");
        let nowhere = folder.path().join("none/staged");
        assert!(matches!(stage(&nowhere, &[(127, 127, None)], &Cancel::default()), Err(Error::Write(_))));
    }
}
