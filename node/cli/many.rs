//! `filecash seal list`, `verify --list`, `aggregate`, `verify-aggregate`, `filecash params setup-srs`: many seals at once.

use std::path::Path;

use filecash_engine::Error;
use filecash_engine::api::aggregate::{self, aggregate_seals, srs_path, verify_aggregate};
use filecash_engine::api::batch::{RejectedSeal, RejectedSeals, SealStatement, SealVerifier};
use filecash_engine::api::seal_list::SealList;
use filecash_engine::api::verify::verify_seals;
use filecash_engine::porep::outputs::PreCommit2Output;
use filecash_engine::sector::{Feature, Profile, SealProof};
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args::many;
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder};
use crate::measure::Meter;
use crate::params::{WARNING, published_already};
use crate::phase::{self, Codec};
use crate::report::{Failure, Kind, Report, with_causes};
use crate::seal::{proof_bytes, prover_name};
use crate::text::{self, Table, count, grouped};

/// Rejected seals that are shown; JSON has all.
const SHOWN: usize = 20;

/// Writes the list of the sectors of some folders.
pub fn list(args: &many::List, context: &Context) -> anyhow::Result<Report> {
    files::refuse_existing(&args.out, args.replace.force)?;
    let mut seals = Vec::new();
    let mut registered = None;
    for dir in &args.dirs {
        let folder = Folder::new(dir);
        let identity = folder.require_identity(context)?;
        let proof = identity.proof()?;
        if *registered.get_or_insert(proof) != proof {
            let message = format!("{} is of {}, the folders before it of another proof", dir.display(), proof.name);
            return Err(Failure::new(Kind::Input, message).into());
        }
        refuse_aggregates(&proof)?;
        let Some(seed) = identity.seed else {
            let message = format!("{} has no seed yet", folder.identity().display());
            return Err(Failure::new(Kind::Input, message).hint("run filecash seal c1 and c2 first").into());
        };
        let (_, pc2) = PreCommit2Output::read_file(identity.profile, &folder.pc2())?;
        let identity = filecash_engine::api::SectorIdentity {
            prover_id: identity.prover_id.0,
            sector_id: identity.sector,
            ticket: identity.ticket.0,
        };
        let statement = SealStatement { identity, comm_r: pc2.comm_r, comm_d: pc2.comm_d, seed: seed.0 };
        seals.push((statement, proof_bytes(files::read(&folder.proof(), "proof")?)));
    }
    let Some(proof) = registered else {
        return Err(Failure::new(Kind::Usage, "no folders").into());
    };
    let number = seals.len() as u64;
    files::write(&args.out, &SealList { proof, seals }.to_json(), args.replace.force)?;
    let text = format!("Listed {} in {}\n", count(number, "seal"), args.out.display());
    let json = json!({ "seals": number, "registered_proof": proof.name, "output": args.out });
    Ok(Report::done(text, json))
}

fn read(path: &Path, context: &Context) -> anyhow::Result<SealList> {
    let bytes = files::read(path, "list of seals")?;
    let list = SealList::from_json(context.profile(), &bytes).map_err(|error| {
        let message =
            format!("{} is no list of seals of profile {}: {}", path.display(), context.profile(), with_causes(&error));
        Failure::new(Kind::Input, message)
    })?;
    refuse_aggregates(&list.proof)?;
    Ok(list)
}

/// Refuses seals whose proofs cannot be put together.
fn refuse_aggregates(proof: &SealProof) -> anyhow::Result<()> {
    if proof.config().feature != Feature::NonInteractive {
        return Ok(());
    }
    let message = format!("a proof of {} is an aggregate itself and goes into no list", proof.name);
    Err(Failure::new(Kind::Input, message).hint("verify each sector with filecash seal verify").into())
}

/// Verifies every seal of a list: in one batch, or one after the other.
pub fn verify(path: &Path, one_by_one: bool, context: &Context) -> anyhow::Result<Report> {
    let list = read(path, context)?;
    let seals = list.proven();
    let meter = Meter::start();
    let outcome =
        if one_by_one { each(&list, context) } else { verify_seals(&context.job(), &list.proof.config(), &seals) };
    let (rejected, outcome) = match outcome {
        Err(Error::RejectedSeals(RejectedSeals { rejected, .. })) => (rejected, Ok(())),
        outcome => (Vec::new(), outcome),
    };
    context.kept(outcome, || "nothing was changed".to_owned())?;
    let cost = meter.stop();

    let time = text::duration(cost.wall);
    let verdict = match rejected.len() {
        0 => format!("All {} are valid ({time})", count(seals.len() as u64, "proof")),
        wrong => format!("{wrong} of {} are WRONG ({time})", count(seals.len() as u64, "proof")),
    };
    let mut fields = Table::fields();
    fields.row(["List", &path.display().to_string()]);
    fields.row(["Registered", &format!("{} ({} {})", list.proof.name, list.proof.profile, list.proof.id)]);
    for seal in rejected.iter().take(SHOWN) {
        let sector = format!("sector {} of {}", seal.sector_id, prover_name(&seal.prover_id));
        fields.row(["Wrong", &format!("{sector}, number {} in the list: {}", seal.index, seal.reason)]);
    }
    if rejected.len() > SHOWN {
        fields.row(["", &format!("and {} more", rejected.len() - SHOWN)]);
    }
    let json = json!({
        "valid": rejected.is_empty(), "seals": seals.len(), "batch": !one_by_one,
        "rejected": rejected.iter().map(rejection).collect::<Vec<_>>(), "cost": cost.json(),
    });
    Ok(Report { accepted: rejected.is_empty(), text: format!("{verdict}\n{}", fields.render()), json })
}

fn each(list: &SealList, context: &Context) -> Result<(), Error> {
    let verifier = SealVerifier::open(&context.job(), &list.proof.config())?;
    verifier.verify_each(&context.job(), &list.proven())
}

fn rejection(seal: &RejectedSeal) -> Value {
    json!({
        "index": seal.index, "sector": seal.sector_id, "prover_id": hex::encode(seal.prover_id),
        "reason": seal.reason.to_string(),
    })
}

/// Aggregates the proofs of a list.
pub fn aggregate(args: &many::Aggregate, context: &Context) -> anyhow::Result<Report> {
    files::refuse_existing(&args.out, args.replace.force)?;
    let list = read(&args.list, context)?;
    let meter = Meter::start();
    let version = args.version.snarkpack;
    let outcome = aggregate_seals(&context.job(), &list.proof.config(), version, &list.proven());
    let bytes = context.kept(outcome, || "nothing was written".to_owned())?;
    files::write(&args.out, &bytes, args.replace.force)?;
    let cost = meter.stop();

    let seals = list.seals.len() as u64;
    let mut fields = Table::fields();
    fields.row(["Seals", &format!("{} of {}", grouped(seals), list.proof.name)]);
    let proofs: usize = list.seals.iter().map(|(_, proof)| proof.len()).sum();
    let sizes = format!("{} bytes in {}", grouped(bytes.len() as u64), args.out.display());
    fields.row(["Aggregate", &format!("{sizes}; the proofs have {}", grouped(proofs as u64))]);
    fields.row(["Version", &version.to_string()]);
    let json = json!({
        "seals": seals, "snarkpack": version.number(), "bytes": bytes.len(), "proof_bytes": proofs,
        "output": args.out,
    });
    Ok(phase::report("Aggregate", 0, cost, &fields, json, None))
}

/// Verifies an aggregate of a list.
pub fn verify_aggregated(args: &many::VerifyAggregate, context: &Context) -> anyhow::Result<Report> {
    let list = read(&args.list, context)?;
    let bytes = proof_bytes(files::read(&args.aggregate, "aggregate")?);
    let meter = Meter::start();
    let config = list.proof.config();
    let version = args.version.snarkpack;
    let outcome = verify_aggregate(&context.job(), &config, version, &list.statements(), &bytes);
    let cost = meter.stop();

    let mut fields = Table::fields();
    fields.row(["Aggregate", &format!("{} ({} bytes)", args.aggregate.display(), grouped(bytes.len() as u64))]);
    fields.row(["Seals", &format!("{} of {}", grouped(list.seals.len() as u64), list.proof.name)]);
    fields.row(["Version", &version.to_string()]);
    let mut report = phase::verdict("aggregate", context, outcome, cost, &fields)?;
    report.json["seals"] = json!(list.seals.len());
    report.json["snarkpack"] = json!(version.number());
    Ok(report)
}

/// Makes a reference string for tests.
pub fn setup_srs(args: &many::SetupSrs, context: &Context) -> anyhow::Result<Report> {
    let path = srs_path(&context.job());
    if path.exists() && aggregate::is_published(&path)? {
        return Err(published_already(&path, "reference string", Profile::Filecoin));
    }
    files::refuse_existing(&path, args.replace.force)?;
    let meter = Meter::start();
    let outcome = aggregate::setup(&context.job(), args.powers);
    let path = context.kept(outcome, || "no reference string was written".to_owned())?;
    let cost = meter.stop();
    let bytes = files::require_file(&path, "reference string")?;
    let mut fields = Table::fields();
    fields.row(["For", &format!("{} at once", count(args.powers as u64 / 2, "proof"))]);
    fields.row(["File", &format!("{} ({})", path.display(), ByteSize(bytes))]);
    let time = text::duration(cost.wall);
    let text = format!("Made a test reference string in {time}. {WARNING}.\n{}", fields.render());
    let json = json!({ "path": path, "powers": args.powers, "bytes": bytes, "origin": "test", "cost": cost.json() });
    Ok(Report::done(text, json))
}
