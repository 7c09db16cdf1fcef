//! `filecash ext pc2`: the child that `lotus-worker --external-pc2` starts for a sector, with the sector in the environment and
//! nothing else there. Source: `spec/attach.md` B.14.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_engine::api::seal;
use filecash_engine::backend::Phase;
use filecash_engine::porep::outputs::PreCommit1Output;
use filecash_engine::sector::SealProof;
use serde_json::json;

use crate::context::Context;
use crate::files;
use crate::measure::Meter;
use crate::phase::{self, replica_commitment};
use crate::report::{Failure, Kind, Report, with_causes};
use crate::text::Table;

/// What the names of variables begin with.
const PC2: &str = "EXTSEAL_PC2_";
/// The replica, where its own folder takes no new file; in the cache folder.
const REPLICA: &str = "filecash-replica";

/// PC2 of the sector that the environment names.
pub fn pc2(context: &Context) -> anyhow::Result<Report> {
    let (number, miner): (u64, u64) = (integer("SECTOR_NUM")?, integer("SECTOR_MINER")?);
    let proof = SealProof::by_id(context.profile(), integer("PROOF_TYPE")?)?;
    let (size, params): (u64, _) = (integer("SECTOR_SIZE")?, proof.config().params);
    if size != params.size_bytes {
        let message =
            format!("{PC2}SECTOR_SIZE is {size}, but {} of {} has {}", proof.name, proof.profile, params.size_bytes);
        return Err(Failure::new(Kind::Input, message).hint("--profile says which network's numbers they are").into());
    }
    let (cache, sealed) = (path("CACHE")?, path("SEALED")?);
    let pc1 = phase1(context, &proof)?;
    files::require_file(&sealed, "sealed file")?;

    let job = context.job_on_devices(Phase::Pc2, params.size_bytes)?;
    let meter = Meter::start();
    let beside = takes_files(files::folder(&sealed))?;
    let replica = if beside { sealed.clone() } else { cache.join(REPLICA) };
    let outcome = seal::pre_commit_phase2(&job, &proof.config(), &pc1, &cache, &replica);
    let output = context.kept(outcome, || "finished trees stay; the same command goes on".to_owned())?;
    if !beside {
        overwrite(&replica, &sealed).with_context(|| format!("cannot write {}", sealed.display()))?;
    }
    let cost = meter.stop();

    let (comm_r, shown) = replica_commitment(&output.comm_r);
    let mut fields = Table::fields();
    fields.row(["Sector", &format!("{number} of f0{miner}")]);
    fields.row(["CommR", &shown]);
    fields.row(["Replica", &sealed.display().to_string()]);
    let json = json!({ "miner": miner, "sector": number, "comm_r": comm_r, "cache": cache, "sealed": sealed });
    Ok(phase::report("PC2", params.size_bytes, cost, &fields, json, None))
}

/// The output of PC1, which has to be of the registered proof.
fn phase1(context: &Context, proof: &SealProof) -> anyhow::Result<PreCommit1Output> {
    let bad = |what: String| Failure::new(Kind::Input, format!("{PC2}PC1OUT {what}"));
    let json = STANDARD.decode(text("PC1OUT")?.trim()).map_err(|error| bad(format!("is no base64: {error}")))?;
    let (of, pc1) = PreCommit1Output::from_api_json(context.profile(), &json)
        .map_err(|error| bad(format!("is no output of PC1 of profile {}: {}", proof.profile, with_causes(&error))))?;
    if of != *proof {
        return Err(bad(format!("is of {}, but {PC2}PROOF_TYPE of {}", of.name, proof.name)).into());
    }
    Ok(pc1)
}

/// Whether files can be made in a folder.
fn takes_files(folder: &Path) -> anyhow::Result<bool> {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("cannot write into {}", folder.display())),
    }
}

/// Moves a file's bytes into another of the same length. Whoever is killed meanwhile begins anew: nothing is read from it.
fn overwrite(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.sync_all()?;
    fs::remove_file(from)
}

fn text(name: &str) -> anyhow::Result<String> {
    let name = format!("{PC2}{name}");
    match env::var(&name) {
        Ok(text) if !text.is_empty() => Ok(text),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::new(Kind::Input, format!("{name} is no text")).into()),
        _ => Err(unset(&name).into()),
    }
}

fn unset(name: &str) -> Failure {
    Failure::new(Kind::Usage, format!("{name} is not set"))
        .hint("this is a command for lotus-worker run --external-pc2")
}

fn integer<T: FromStr>(name: &str) -> anyhow::Result<T> {
    let text = text(name)?;
    let bad = || Failure::new(Kind::Input, format!("{PC2}{name} is {text:?}, expected a number"));
    Ok(text.parse().map_err(|_| bad())?)
}

fn path(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os(format!("{PC2}{name}")).filter(|path| !path.is_empty());
    Ok(path.ok_or_else(|| unset(&format!("{PC2}{name}")))?.into())
}
