//! Stages of a sector's data: from pieces to the staged file and its tree, and out of the sealed sector again.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::api::staging::{PieceExtent, stage_pieces};
use filecash_engine::api::unseal::{SealedSector, unseal_range};
use filecash_engine::api::{SectorIdentity, seal};
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::field::fr32::RawRange;
use filecash_engine::sector::piece::{PieceSizeError, UnpaddedLen};
use filecash_engine::sector::{ProverId, SealProof, SectorId, Ticket};
use filecash_node::remote_piece::{Fetcher, Patience};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::context::Context;
use crate::files::{self, Output};
use crate::report::{Failure, Kind};
use crate::seal::unseal_scratch;

/// The token that is shown where the address of a piece leads to.
const TOKEN: &str = "PIECE_FETCHER_TOKEN";

/// The task of [`add_pieces`].
#[derive(Deserialize)]
pub struct AddPieces {
    seal_proof_type: String,
    pieces: Vec<Piece>,
    staged_filepath: PathBuf,
}

#[derive(Deserialize)]
struct Piece {
    piece_file: PieceFile,
    payload_size: u64,
    piece_size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PieceFile {
    Url(String),
    Local(PathBuf),
    /// Zeros.
    Pledge,
}

impl Piece {
    fn extent(&self) -> Result<PieceExtent, PieceSizeError> {
        Ok(PieceExtent { payload: self.payload_size, size: UnpaddedLen::new(self.piece_size)? })
    }
}

/// The staged file of the pieces, and what PC1 wants to know of them.
pub fn add_pieces(context: &Context, task: AddPieces) -> anyhow::Result<Box<RawValue>> {
    let AddPieces { seal_proof_type, mut pieces, staged_filepath } = task;
    let params = SealProof::by_name(context.profile(), &seal_proof_type)?.config().params;
    if pieces.is_empty() {
        let piece_size = params.unpadded_bytes();
        pieces.push(Piece { piece_file: PieceFile::Pledge, payload_size: piece_size, piece_size });
    }
    let extents = pieces.iter().enumerate();
    let extents = extents.map(|(index, piece)| piece.extent().with_context(|| format!("piece {index}")));
    let extents: Vec<_> = extents.collect::<anyhow::Result<_>>()?;
    let token = token()?;
    let fetcher = Fetcher::new(token.as_deref(), Patience::default());
    let job = context.job();
    let open = |index: usize| -> io::Result<Option<Box<dyn Read + Send>>> {
        let Piece { piece_file, payload_size, .. } = &pieces[index];
        Ok(match piece_file {
            PieceFile::Url(url) => Some(Box::new(fetcher.open(url, *payload_size, job.cancel)?)),
            PieceFile::Local(path) => Some(Box::new(local(path)?)),
            PieceFile::Pledge => None,
        })
    };
    Ok(to_raw_value(&stage_pieces(&job, params, &staged_filepath, &extents, open)?)?)
}

/// A piece in a file; nothing else would do, as one may wait for a pipe forever.
fn local(path: &Path) -> io::Result<File> {
    let open = || match fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("not a file")),
    };
    open().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn token() -> anyhow::Result<Option<String>> {
    match env::var(TOKEN) {
        Ok(token) => Ok(Some(token).filter(|token| !token.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::new(Kind::Settings, format!("{TOKEN} is no text")).into()),
    }
}

/// The task of [`tree_d`].
#[derive(Deserialize)]
pub struct TreeD {
    registered_proof: String,
    staged_file: PathBuf,
    cache_dir: PathBuf,
}

/// The tree over a staged file, as PC1 writes it.
pub fn tree_d(context: &Context, task: &TreeD) -> anyhow::Result<Box<RawValue>> {
    let params = SealProof::by_name(context.profile(), &task.registered_proof)?.config().params;
    let job = context.job_on_devices(Phase::Pc1, params.size_bytes)?;
    seal::tree_d(&job, params, &task.cache_dir, &task.staged_file)?;
    Ok(to_raw_value(&true)?)
}

/// The task of [`unseal`].
#[derive(Deserialize)]
pub struct Unseal {
    registered_proof: String,
    prover_id: ProverId,
    sector_id: SectorId,
    comm_d: Node,
    ticket: Ticket,
    cache_dir: PathBuf,
    sealed_file: PathBuf,
    unsealed_output: PathBuf,
    offset: u64,
    num_bytes: u64,
}

/// Raw bytes of a sealed sector; says how many.
pub fn unseal(context: &Context, task: Unseal) -> anyhow::Result<Box<RawValue>> {
    let proof = SealProof::by_name(context.profile(), &task.registered_proof)?;
    let Unseal { prover_id, sector_id, comm_d, ticket, cache_dir, sealed_file, unsealed_output, .. } = task;
    let identity = SectorIdentity { prover_id, sector_id, ticket };
    let range = RawRange { offset: task.offset, len: task.num_bytes };
    let scratch = unseal_scratch(files::folder(&unsealed_output))?;
    let cache = cache_dir.is_dir().then_some(&*cache_dir);
    let sector = SealedSector { sealed: &sealed_file, cache, scratch: scratch.path() };
    let mut output = Output::create(&unsealed_output, true)?;
    unseal_range(&context.job(), &proof.config(), &sector, &identity, &comm_d, range, &mut output)?;
    output.commit()?;
    Ok(to_raw_value(&range.len)?)
}
