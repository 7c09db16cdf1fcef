//! Our engine in process, phase by phase, with files and outputs as the reference leaves them.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use filecash_engine::Error;
use filecash_engine::api::seal::{add_piece, commit_phase1, pre_commit_phase1, pre_commit_phase2};
use filecash_engine::api::unseal::{SealedSector, unseal_range};
use filecash_engine::api::verify::verify_seal;
use filecash_engine::api::{SectorIdentity, params, prove};
use filecash_engine::config::Config;
use filecash_engine::field::fr32::RawRange;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::params::{CircuitKind, ParamId};
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::sector::piece::{PieceInfo, UnpaddedLen, zero_commitment};
use filecash_engine::sector::{ApiVersion, Feature, PoRepConfig, PoRepId, Profile, SealProof, params as sizes};

use crate::case::{Case, Piece, Rules};
use crate::reference::Sealed;
use crate::side::{Side, Statement, registered};
use crate::snapshot::Snapshot;

/// Sectors are Filecoin's: the reference knows no others.
pub(crate) const PROFILE: Profile = Profile::Filecoin;

/// The engine with its settings.
#[derive(Clone, Debug)]
pub struct Ours {
    config: Config,
}

impl Ours {
    /// The default settings, and a folder of parent tables.
    pub fn new(parents: &Path) -> Self {
        Self { config: Config { parent_cache: parents.to_owned(), ..Config::default() } }
    }

    pub(crate) fn job<T, E: Into<anyhow::Error>>(&self, work: impl FnOnce(&Job<'_>) -> Result<T, E>) -> Result<T> {
        let cancel = Cancel::default();
        work(&Job { config: &self.config, progress: &Quiet, cancel: &cancel }).map_err(Into::into)
    }

    pub(crate) fn with_params(&self, params: &Path) -> Self {
        Self { config: Config { parameter_cache: params.to_owned(), ..self.config.clone() } }
    }

    /// Makes the parameters of the 2 KiB PoRep in a folder.
    ///
    /// # Errors
    /// When it fails.
    pub fn params(&self, folder: &Path) -> Result<()> {
        let id = ParamId::new(PROFILE, CircuitKind::PoRep, 2 << 10)?;
        self.with_params(folder).job(|job| params::setup(job, &id))?;
        Ok(())
    }

    /// Seals in an empty folder, as `staged`, `sealed` and `cache/`, up to C1; the twin of [`crate::reference::seal`].
    ///
    /// # Errors
    /// When a phase fails.
    pub fn seal(&self, case: &Case, folder: &Path) -> Result<Sealed> {
        let config = config(case)?;
        let (staged, sealed, cache) = (folder.join("staged"), folder.join("sealed"), folder.join("cache"));
        let pieces = self.add_pieces(case, &staged)?;
        let identity = identity(case);

        let pc1 = self.job(|job| pre_commit_phase1(job, &config, &cache, &staged, &sealed, &identity, &pieces))?;
        let mut pc1_json = Vec::new();
        pc1.write_json(&mut pc1_json)?;
        let after_pc1 = Snapshot::of(folder)?;

        let pc2 = self.job(|job| pre_commit_phase2(job, &config, &pc1, &cache, &sealed))?;
        let after_pc2 = Snapshot::of(folder)?;

        let seed = case.seed();
        let c1 = self.job(|job| commit_phase1(job, &config, &cache, &sealed, &identity, &seed, &pc2, &pieces))?;
        let (mut c1_json, mut c1_bincode) = (Vec::new(), Vec::new());
        c1.write_json(PROFILE, &mut c1_json)?;
        c1.write_bincode(&mut c1_bincode)?;
        Ok(Sealed {
            pieces: pieces.iter().map(|piece| (piece.size.get(), piece.commitment)).collect(),
            after_pc1,
            after_pc2,
            pc1_json: String::from_utf8(pc1_json)?,
            comms: [pc2.comm_r, pc2.comm_d],
            c1_json: String::from_utf8(c1_json)?,
            c1_bincode,
        })
    }

    pub(crate) fn add_pieces(&self, case: &Case, staged: &Path) -> Result<Vec<PieceInfo>> {
        let size = sizes::for_size(PROFILE, case.size_bytes)?;
        let mut pieces: Vec<PieceInfo> = Vec::new();
        for (index, &piece) in case.pieces.iter().enumerate() {
            pieces.push(match piece {
                Piece::Data(len) => {
                    let sizes: Vec<_> = pieces.iter().map(|piece| piece.size).collect();
                    let (data, len) = (case.data(index), UnpaddedLen::new(len)?);
                    self.job(|job| add_piece(job, size, data.as_slice(), staged, len, &sizes))?.piece
                }
                Piece::Rest(len) => zeros(len)?,
            });
        }
        Ok(pieces)
    }
}

/// The case's configuration in our terms.
///
/// # Errors
/// When we have no such sectors.
pub fn config(case: &Case) -> Result<PoRepConfig> {
    let (api_version, feature) = match case.rules {
        Rules::V1_0_0 => (ApiVersion::V1_0_0, Feature::Interactive),
        Rules::V1_1_0 => (ApiVersion::V1_1_0, Feature::Interactive),
        Rules::Synthetic => (ApiVersion::V1_2_0, Feature::Synthetic),
        Rules::NonInteractive => (ApiVersion::V1_2_0, Feature::NonInteractive),
    };
    let size = sizes::for_size(PROFILE, case.size_bytes)?;
    let config = PoRepConfig::interactive(size, PROFILE, PoRepId(case.porep_id()), api_version);
    Ok(PoRepConfig { feature, ..config })
}

pub(crate) fn identity(case: &Case) -> SectorIdentity {
    SectorIdentity { prover_id: case.prover_id(), sector_id: case.sector(), ticket: case.ticket() }
}

/// Whether a proof was accepted; a check that could not be made is neither.
pub(crate) fn holds(checked: Result<()>) -> bool {
    match checked {
        Ok(()) => true,
        Err(error) => {
            let rejected = error.downcast_ref::<Error>().is_some_and(Error::is_rejection);
            assert!(rejected, "a check that could not be made: {error:#}");
            false
        }
    }
}

fn zeros(len: u64) -> Result<PieceInfo> {
    let size = UnpaddedLen::new(len)?;
    Ok(PieceInfo { commitment: zero_commitment(size.padded()), size })
}

/// Appends a piece of zeros to a list of pieces.
///
/// # Errors
/// When the list cannot be read or written.
pub fn list_zeros(pieces: &Path, len: u64) -> Result<()> {
    let mut list = read_pieces(pieces)?;
    list.push(zeros(len)?);
    fs::write(pieces, serde_json::to_vec(&list)?)?;
    Ok(())
}

fn read_pieces(path: &Path) -> Result<Vec<PieceInfo>> {
    if path.exists() { Ok(serde_json::from_slice(&read(path)?)?) } else { Ok(Vec::new()) }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn proof(case: &Case) -> Result<SealProof> {
    Ok(SealProof::by_name(PROFILE, registered(case))?)
}

impl Side for Ours {
    fn add_piece(&self, case: &Case, folder: &Path, index: usize) -> Result<()> {
        let (path, list) = (folder.join(format!("piece-{index}")), folder.join("pieces.json"));
        let mut pieces = read_pieces(&list)?;
        let sizes: Vec<_> = pieces.iter().map(|piece| piece.size).collect();
        let source = File::open(path)?;
        let size = UnpaddedLen::new(source.metadata()?.len())?;
        let config = config(case)?;
        let added = self.job(|job| add_piece(job, config.params, source, &folder.join("staged"), size, &sizes))?;
        pieces.push(added.piece);
        fs::write(&list, serde_json::to_vec(&pieces)?)?;
        Ok(())
    }

    fn pc1(&self, case: &Case, folder: &Path) -> Result<()> {
        let (proof, pieces) = (proof(case)?, read_pieces(&folder.join("pieces.json"))?);
        let [cache, staged, sealed] = ["cache", "staged", "sealed"].map(|name| folder.join(name));
        let (config, identity) = (proof.config(), identity(case));
        let output = self.job(|job| pre_commit_phase1(job, &config, &cache, &staged, &sealed, &identity, &pieces))?;
        Ok(output.write_api_json(&proof, File::create(folder.join("pc1.json"))?)?)
    }

    fn pc2(&self, _: &Case, folder: &Path) -> Result<()> {
        let (proof, phase1) = PreCommit1Output::from_api_json(PROFILE, &read(&folder.join("pc1.json"))?)?;
        let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
        let output = self.job(|job| pre_commit_phase2(job, &proof.config(), &phase1, &cache, &sealed))?;
        Ok(output.write_api_json(&proof, File::create(folder.join("pc2.json"))?)?)
    }

    fn c1(&self, case: &Case, folder: &Path) -> Result<()> {
        let (proof, phase2) = PreCommit2Output::from_api_json(PROFILE, &read(&folder.join("pc2.json"))?)?;
        let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
        let pieces = read_pieces(&folder.join("pieces.json"))?;
        let (config, identity, seed) = (proof.config(), identity(case), case.seed());
        let output =
            self.job(|job| commit_phase1(job, &config, &cache, &sealed, &identity, &seed, &phase2, &pieces))?;
        Ok(output.write_api_json(&proof, File::create(folder.join("c1.json"))?)?)
    }

    fn c2(&self, case: &Case, folder: &Path, params: &Path) -> Result<Vec<u8>> {
        let (proof, phase1) = Commit1Output::from_api_json(PROFILE, &read(&folder.join("c1.json"))?)?;
        let ours = self.with_params(params);
        ours.job(|job| prove::commit_phase2(job, &proof.config(), &phase1, &identity(case)))
    }

    fn verify(&self, case: &Case, statement: &Statement, proof: &[u8], params: &Path) -> bool {
        let config = self::proof(case).expect("the case is a registered one").config();
        let Statement { comms: [comm_r, comm_d], prover_id, sector, ticket, seed } = statement;
        let identity = SectorIdentity { prover_id: *prover_id, sector_id: *sector, ticket: *ticket };
        let checked: Result<()> =
            self.with_params(params).job(|job| verify_seal(job, &config, comm_r, comm_d, &identity, seed, proof));
        holds(checked)
    }

    fn unseal(&self, case: &Case, folder: &Path, comm_d: &[u8; 32], [offset, len]: [u64; 2]) -> Result<Vec<u8>> {
        let scratch = tempfile::tempdir()?;
        let sealed = folder.join("sealed");
        // Without the sector's cache, so that labels are made anew.
        let sector = SealedSector { sealed: &sealed, cache: None, scratch: scratch.path() };
        let (config, identity) = (proof(case)?.config(), identity(case));
        let mut data = Vec::new();
        self.job(|job| unseal_range(job, &config, &sector, &identity, comm_d, RawRange { offset, len }, &mut data))?;
        Ok(data)
    }
}
