//! Sectors with synthetic or non-interactive challenges by either side in process, for every size.
//!
//! The files are `staged`, `sealed` and `cache/` of one folder, as in [`crate::reference`]. The steps are apart here,
//! since a synthetic PoRep has one more of them, and clears its cache between.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, ensure};
use filecash_engine::api::aggregate::{self, NON_INTERACTIVE, aggregate_seals};
use filecash_engine::api::batch::{ProvenSeal, SealStatement};
use filecash_engine::api::seal::{
    clear_cache, commit_phase1, generate_synth_proofs, pre_commit_phase1, pre_commit_phase2,
};
use filecash_engine::api::verify::seal_inputs;
use filecash_engine::api::{SectorIdentity, prove, verify};
use filecash_engine::groth16::srs::REFERENCE_POWERS;
use filecash_engine::porep::challenges::layout;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit2Output};
use filecash_engine::sector::piece::PieceInfo;
use filecoin_proofs::types::{MerkleTreeTrait, PieceInfo as ReferencePiece, SealPreCommitOutput};
use filecoin_proofs::{self as reference_api, with_shape};
use storage_proofs_core::sector::SectorId;

use crate::case::Case;
use crate::ours::{self, Ours, PROFILE};
use crate::reference;
use crate::side::{Maker, Reference, Side, Statement, identify, run};
use crate::snapshot::{Snapshot, difference};

/// CommR and CommD.
pub type Comms = [[u8; 32]; 2];

/// Output of C1 in library form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vanilla {
    /// As JSON.
    pub json: String,
    /// As bincode.
    pub bincode: Vec<u8>,
}

/// Seals up to PC2 in an empty folder.
///
/// # Errors
/// When a phase fails, as for the others.
pub fn precommit(maker: Maker, ours: &Ours, case: &Case, folder: &Path) -> Result<Comms> {
    match maker {
        Maker::Us => {
            let (config, identity) = (ours::config(case)?, ours::identity(case));
            let [staged, sealed, cache] = ["staged", "sealed", "cache"].map(|name| folder.join(name));
            let pieces = ours.add_pieces(case, &staged)?;
            let phase1 =
                ours.job(|job| pre_commit_phase1(job, &config, &cache, &staged, &sealed, &identity, &pieces))?;
            let output = ours.job(|job| pre_commit_phase2(job, &config, &phase1, &cache, &sealed))?;
            Ok([output.comm_r, output.comm_d])
        }
        Maker::Them => with_shape!(case.size_bytes, precommit_shape, case, folder,),
    }
}

fn precommit_shape<Tree: 'static + MerkleTreeTrait>(case: &Case, folder: &Path) -> Result<Comms> {
    let config = reference::config(case)?;
    let [staged, sealed, cache] = ["staged", "sealed", "cache"].map(|name| folder.join(name));
    fs::create_dir(&cache)?;
    File::create(&sealed)?;
    let pieces = reference::add_pieces(case, &staged)?;
    let (prover, sector, ticket) = (case.prover_id(), SectorId::from(case.sector()), case.ticket());
    let phase1 = reference_api::seal_pre_commit_phase1::<_, _, _, Tree>(
        &config, &cache, &staged, &sealed, prover, sector, ticket, &pieces,
    )?;
    let output = reference_api::seal_pre_commit_phase2::<_, _, Tree>(&config, phase1, &cache, &sealed)?;
    Ok([output.comm_r, output.comm_d])
}

/// The pieces of a case, staged elsewhere.
fn pieces(ours: &Ours, case: &Case) -> Result<Vec<PieceInfo>> {
    let folder = tempfile::tempdir()?;
    ours.add_pieces(case, &folder.path().join("staged"))
}

fn reference_pieces(case: &Case) -> Result<Vec<ReferencePiece>> {
    let folder = tempfile::tempdir()?;
    reference::add_pieces(case, &folder.path().join("staged"))
}

/// Proves the synthetic set of a sector after PC2.
///
/// # Errors
/// When it fails.
pub fn synthesize(maker: Maker, ours: &Ours, case: &Case, comms: Comms, folder: &Path) -> Result<()> {
    match maker {
        Maker::Us => {
            let (config, identity, pieces) = (ours::config(case)?, ours::identity(case), pieces(ours, case)?);
            let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
            let [comm_r, comm_d] = comms;
            let phase2 = PreCommit2Output { comm_r, comm_d };
            ours.job(|job| generate_synth_proofs(job, &config, &cache, &sealed, &identity, &phase2, &pieces))
        }
        Maker::Them => with_shape!(case.size_bytes, synthesize_shape, case, comms, folder,),
    }
}

fn synthesize_shape<Tree: 'static + MerkleTreeTrait>(case: &Case, comms: Comms, folder: &Path) -> Result<()> {
    let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
    let [comm_r, comm_d] = comms;
    reference_api::generate_synth_proofs::<_, Tree>(
        &reference::config(case)?,
        &cache,
        &sealed,
        case.prover_id(),
        SectorId::from(case.sector()),
        case.ticket(),
        SealPreCommitOutput { comm_r, comm_d },
        &reference_pieces(case)?,
    )
}

/// Clears the cache.
///
/// # Errors
/// When it fails.
pub fn clear(maker: Maker, folder: &Path) -> Result<()> {
    let cache = folder.join("cache");
    match maker {
        Maker::Us => Ok(clear_cache(&cache).map(drop)?),
        Maker::Them => reference_api::clear_cache(&cache),
    }
}

/// C1.
///
/// # Errors
/// When it fails.
pub fn commit(maker: Maker, ours: &Ours, case: &Case, comms: Comms, folder: &Path) -> Result<Vanilla> {
    match maker {
        Maker::Us => {
            let (config, identity, pieces) = (ours::config(case)?, ours::identity(case), pieces(ours, case)?);
            let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
            let [comm_r, comm_d] = comms;
            let (phase2, seed) = (PreCommit2Output { comm_r, comm_d }, case.seed());
            let output =
                ours.job(|job| commit_phase1(job, &config, &cache, &sealed, &identity, &seed, &phase2, &pieces))?;
            let (mut json, mut bincode) = (Vec::new(), Vec::new());
            output.write_json(PROFILE, &mut json)?;
            output.write_bincode(&mut bincode)?;
            Ok(Vanilla { json: String::from_utf8(json)?, bincode })
        }
        Maker::Them => with_shape!(case.size_bytes, commit_shape, case, comms, folder,),
    }
}

fn commit_shape<Tree: 'static + MerkleTreeTrait>(case: &Case, comms: Comms, folder: &Path) -> Result<Vanilla> {
    let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
    let [comm_r, comm_d] = comms;
    let output = reference_api::seal_commit_phase1::<_, Tree>(
        &reference::config(case)?,
        &cache,
        &sealed,
        case.prover_id(),
        SectorId::from(case.sector()),
        case.ticket(),
        case.seed(),
        SealPreCommitOutput { comm_r, comm_d },
        &reference_pieces(case)?,
    )?;
    Ok(Vanilla { json: serde_json::to_string(&output)?, bincode: bincode::serialize(&output)? })
}

/// Seals a case of one piece up to C1 in a folder that is made, between files of the API's form: piece, PC1 and PC2 by a
/// maker each, then what `after_pc2` does, then C1 by both, who have to write the same. Gives what is to be proven.
///
/// # Errors
/// When a phase fails, or the outputs of C1 differ.
pub fn chain(
    ours: &Ours,
    reference: &Reference,
    case: &Case,
    folder: &Path,
    makers: [Maker; 3],
    after_pc2: impl FnOnce() -> Result<()>,
) -> Result<Statement> {
    let [piece, pc1, pc2] = makers.map(|maker| match maker {
        Maker::Us => ours as &dyn Side,
        Maker::Them => reference,
    });
    fs::create_dir(folder)?;
    fs::write(folder.join("piece-0"), case.data(0))?;
    piece.add_piece(case, folder, 0)?;
    pc1.pc1(case, folder)?;
    pc2.pc2(case, folder)?;
    after_pc2()?;
    let c1 = |side: &dyn Side| -> Result<_> {
        side.c1(case, folder)?;
        Ok(fs::read(folder.join("c1.json"))?)
    };
    let difference = difference(&c1(ours)?, &c1(reference)?);
    ensure!(difference.is_none(), "{}: C1 in API form: {difference:?}", case.name);
    let output: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("pc2.json"))?)?;
    let [comm_r, comm_d] = ["comm_r", "comm_d"].map(|name| serde_json::from_value(output[name].clone()));
    Ok(Statement::of(case, [comm_r?, comm_d?]))
}

/// The public inputs of every partition, as field elements' bytes.
///
/// # Errors
/// When they cannot be derived.
pub fn inputs(maker: Maker, case: &Case, comms: Comms) -> Result<Vec<Vec<[u8; 32]>>> {
    match maker {
        Maker::Us => {
            let (config, identity, [comm_r, comm_d]) = (ours::config(case)?, ours::identity(case), comms);
            let (partitions, _) = layout(&config)?;
            let inputs = seal_inputs(&config, &comm_r, &comm_d, &identity, &case.seed(), 0..partitions)?;
            let bytes = |inputs: Vec<_>| inputs.iter().map(filecash_engine::field::fr::to_node).collect();
            Ok(inputs.into_iter().map(bytes).collect())
        }
        Maker::Them => with_shape!(case.size_bytes, inputs_shape, case, comms,),
    }
}

fn inputs_shape<Tree: 'static + MerkleTreeTrait>(case: &Case, comms: Comms) -> Result<Vec<Vec<[u8; 32]>>> {
    let [comm_r, comm_d] = comms;
    let (prover, sector) = (case.prover_id(), SectorId::from(case.sector()));
    let config = reference::config(case)?;
    let inputs =
        reference_api::get_seal_inputs::<Tree>(&config, comm_r, comm_d, prover, sector, case.ticket(), case.seed())?;
    Ok(inputs.iter().map(|inputs| inputs.iter().map(|input| input.to_bytes_le()).collect()).collect())
}

/// Copies a sector into another folder, which need not exist.
///
/// # Errors
/// When files cannot be copied.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Every file of a sector, with the path of its folder in `t_aux` replaced by one of the same length.
///
/// # Errors
/// When files cannot be read.
pub fn files(folder: &Path) -> Result<Snapshot> {
    let path = folder.to_string_lossy();
    Ok(Snapshot::of(folder)?.replacing(&path, &"-".repeat(path.len())))
}

impl Reference {
    /// `cache`, `sealed`, `pc2.json`, `pieces.json` to the file of synthetic proofs.
    ///
    /// # Errors
    /// When it fails.
    pub fn synth(&self, case: &Case, folder: &Path) -> Result<()> {
        run(identify(&mut self.phase("synth", folder, &["pc2", "pieces", "cache", "sealed"]), case))
    }

    /// The proofs of the first partitions of `c1.json`.
    ///
    /// # Errors
    /// When it fails.
    pub fn prove_partitions(&self, case: &Case, folder: &Path, partitions: usize, params: &Path) -> Result<Vec<u8>> {
        let out = folder.join("partitions-of-reference");
        let mut command = self.phase("prove-partitions", folder, &["c1"]);
        command.env("FIL_PROOFS_PARAMETER_CACHE", params).args(["--partitions", &partitions.to_string()]);
        run(identify(command.arg("--out").arg(&out), case))?;
        Ok(fs::read(&out)?)
    }

    /// Whether proofs of the first partitions hold.
    pub fn verify_partitions(&self, case: &Case, statement: &Statement, proof: &[u8], params: &Path) -> bool {
        self.verify_with("verify-partitions", case, statement, proof, params)
    }
}

impl Ours {
    /// The proofs of some partitions of `c1.json`.
    ///
    /// # Errors
    /// When it fails.
    pub fn prove_partitions(
        &self,
        case: &Case,
        folder: &Path,
        partitions: Range<usize>,
        params: &Path,
    ) -> Result<Vec<u8>> {
        let (proof, phase1) = Commit1Output::from_api_json(PROFILE, &fs::read(folder.join("c1.json"))?)?;
        let identity = ours::identity(case);
        let prover = self.with_params(params);
        prover.job(|job| prove::prove_partitions(job, &proof.config(), &phase1, &identity, partitions))
    }

    /// The seal proof out of the proofs of all partitions of `c1.json`.
    ///
    /// # Errors
    /// When it fails.
    pub fn aggregate_partitions(&self, case: &Case, folder: &Path, proof: &[u8], params: &Path) -> Result<Vec<u8>> {
        let (registered, phase1) = Commit1Output::from_api_json(PROFILE, &fs::read(folder.join("c1.json"))?)?;
        let Commit1Output { comm_r, comm_d, seed, .. } = phase1;
        let statement = SealStatement { identity: ours::identity(case), comm_r, comm_d, seed };
        let seals = [ProvenSeal { statement, proof }];
        self.with_params(params).job(|job| aggregate_seals(job, &registered.config(), NON_INTERACTIVE, &seals))
    }

    /// Makes a reference string, as long as the reference wants it, in a folder.
    ///
    /// # Errors
    /// When it fails.
    pub fn reference_string(&self, folder: &Path) -> Result<()> {
        self.with_params(folder).job(|job| aggregate::setup(job, REFERENCE_POWERS).map(drop))
    }

    /// Whether proofs of some partitions hold.
    pub fn verify_partitions(
        &self,
        case: &Case,
        statement: &Statement,
        partitions: Range<usize>,
        proof: &[u8],
        params: &Path,
    ) -> bool {
        let config = ours::config(case).expect("we have such sectors");
        let Statement { comms: [comm_r, comm_d], prover_id, sector, ticket, seed } = statement;
        let identity = SectorIdentity { prover_id: *prover_id, sector_id: *sector, ticket: *ticket };
        let checked: Result<()> = self
            .with_params(params)
            .job(|job| verify::verify_partitions(job, &config, comm_r, comm_d, &identity, seed, partitions, proof));
        ours::holds(checked)
    }
}
