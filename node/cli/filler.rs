//! Filling a sector: the zero pieces after the last one.

use filecash_engine::sector::SectorParams;
use filecash_engine::sector::piece::{self, PaddedLen, PieceError, PieceInfo};

/// The zero pieces that fill a sector after `pieces`, each as large as its place allows.
///
/// CommD follows from pieces only when they reach the end of the sector (`spec/replication.md` 2.4).
pub fn filler(params: &SectorParams, pieces: &[PieceInfo]) -> Result<Vec<PieceInfo>, PieceError> {
    let sector = params.size_bytes;
    let mut end = 0_u64;
    for piece in pieces {
        let size = piece.size.padded().get();
        end = end.checked_next_multiple_of(size).and_then(|start| start.checked_add(size)).unwrap_or(u64::MAX);
        if end > sector {
            return Err(PieceError::TooLarge { total: end, sector });
        }
    }
    let mut zeros = vec![];
    while end < sector {
        // The largest power of two that divides the place; at the start of the sector, the sector.
        let size = if end == 0 { sector } else { 1 << end.trailing_zeros() };
        let size = PaddedLen::new(size)?;
        zeros.push(PieceInfo { commitment: piece::zero_commitment(size), size: size.unpadded() });
        end += size.get();
    }
    Ok(zeros)
}

#[cfg(test)]
mod tests {
    use filecash_engine::sector::{Profile, params};

    use super::*;

    #[test]
    fn filler_makes_pieces_commit_to_the_whole_sector() {
        let params = params::for_size(Profile::Filecoin, 2048).unwrap();
        let zero = |size| {
            let size = PaddedLen::new(size).unwrap();
            PieceInfo { commitment: piece::zero_commitment(size), size: size.unpadded() }
        };
        let whole = piece::zero_commitment(PaddedLen::new(2048).unwrap());
        for sizes in [&[][..], &[128], &[512, 128], &[128, 512], &[2048], &[1024, 1024]] {
            let mut pieces: Vec<PieceInfo> = sizes.iter().map(|&size| zero(size)).collect();
            pieces.extend(filler(params, &pieces).unwrap());
            assert_eq!(piece::comm_d(PaddedLen::new(2048).unwrap(), &pieces).unwrap(), whole, "{sizes:?}");
        }
        assert_eq!(filler(params, &[zero(128)]).unwrap(), [128, 256, 512, 1024].map(zero));
        assert!(filler(params, &[zero(2048), zero(128)]).is_err());
    }
}
