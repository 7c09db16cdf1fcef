//! The reference in process, for every sector size, registered or not.
//!
//! The library's own functions are generic over the tree's shape; a sector is sealed up to C1 and everything that the
//! phases left is handed back in library form, without the API's names of registered proofs.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::Path;

use anyhow::Result;
use filecoin_proofs::types::{MerkleTreeTrait, PieceInfo, PoRepConfig, UnpaddedBytesAmount};
use filecoin_proofs::{
    add_piece, generate_piece_commitment, seal_commit_phase1, seal_pre_commit_phase1, seal_pre_commit_phase2,
    with_shape,
};
use storage_proofs_core::api_version::{ApiFeature, ApiVersion};
use storage_proofs_core::sector::SectorId;

use crate::case::{Case, Piece, Rules};
use crate::snapshot::Snapshot;

/// What sealing left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Unpadded length and commitment of each piece.
    pub pieces: Vec<(u64, [u8; 32])>,
    /// Files after PC1: `staged`, `sealed`, `cache/...`.
    pub after_pc1: Snapshot,
    /// Files after PC2.
    pub after_pc2: Snapshot,
    /// Output of PC1 as JSON in library form.
    pub pc1_json: String,
    /// CommR and CommD of PC2.
    pub comms: [[u8; 32]; 2],
    /// Output of C1 as JSON in library form.
    pub c1_json: String,
    /// The same as bincode.
    pub c1_bincode: Vec<u8>,
}

/// The reference's configuration of a case.
///
/// # Errors
/// What the reference reports.
pub fn config(case: &Case) -> Result<PoRepConfig> {
    let (version, features) = match case.rules {
        Rules::V1_0_0 => (ApiVersion::V1_0_0, vec![]),
        Rules::V1_1_0 => (ApiVersion::V1_1_0, vec![]),
        Rules::Synthetic => (ApiVersion::V1_2_0, vec![ApiFeature::SyntheticPoRep]),
        Rules::NonInteractive => (ApiVersion::V1_2_0, vec![ApiFeature::NonInteractivePoRep]),
    };
    PoRepConfig::new_groth16_with_features(case.size_bytes, case.porep_id(), version, features)
}

/// Seals in an empty folder, as `staged`, `sealed` and `cache/`.
///
/// # Errors
/// What the reference reports.
pub fn seal(case: &Case, folder: &Path) -> Result<Sealed> {
    with_shape!(case.size_bytes, seal_shape, case, folder,)
}

fn seal_shape<Tree: 'static + MerkleTreeTrait>(case: &Case, folder: &Path) -> Result<Sealed> {
    let config = config(case)?;
    let (staged, sealed, cache) = (folder.join("staged"), folder.join("sealed"), folder.join("cache"));
    fs::create_dir(&cache)?;
    File::create(&sealed)?;
    let pieces = add_pieces(case, &staged)?;
    let (prover, sector, ticket) = (case.prover_id(), SectorId::from(case.sector()), case.ticket());

    let pc1 =
        seal_pre_commit_phase1::<_, _, _, Tree>(&config, &cache, &staged, &sealed, prover, sector, ticket, &pieces)?;
    let pc1_json = serde_json::to_string(&pc1)?;
    let after_pc1 = Snapshot::of(folder)?;

    let pc2 = seal_pre_commit_phase2::<_, _, Tree>(&config, pc1, &cache, &sealed)?;
    let comms = [pc2.comm_r, pc2.comm_d];
    let after_pc2 = Snapshot::of(folder)?;

    let c1 =
        seal_commit_phase1::<_, Tree>(&config, &cache, &sealed, prover, sector, ticket, case.seed(), pc2, &pieces)?;
    let pieces = pieces.iter().map(|piece| (u64::from(piece.size), piece.commitment)).collect();
    let (c1_json, c1_bincode) = (serde_json::to_string(&c1)?, bincode::serialize(&c1)?);
    Ok(Sealed { pieces, after_pc1, after_pc2, pc1_json, comms, c1_json, c1_bincode })
}

pub(crate) fn add_pieces(case: &Case, staged: &Path) -> Result<Vec<PieceInfo>> {
    let mut pieces: Vec<PieceInfo> = Vec::new();
    for (index, piece) in case.pieces.iter().enumerate() {
        let size = UnpaddedBytesAmount(piece.size());
        pieces.push(match piece {
            Piece::Data(_) => {
                let lengths: Vec<_> = pieces.iter().map(|piece| piece.size).collect();
                let target = OpenOptions::new().create(true).append(true).open(staged)?;
                add_piece(case.data(index).as_slice(), target, size, &lengths)?.0
            }
            Piece::Rest(_) => generate_piece_commitment(std::io::repeat(0).take(piece.size()), size)?,
        });
    }
    Ok(pieces)
}
