//! `filecash post …`: proofs of space-time, step by step between files.
//!
//! `challenges` says what to open, `vanilla` opens it, `prove` makes the SNARK from vanilla proofs or does all of it from
//! sectors, `verify` checks. Of several sectors given to a winning step, in the order in which the chain has them, the
//! one that wins is taken; window steps take all, by ascending number.

mod given;

use filecash_engine::Error;
use filecash_engine::api::post::{
    self, Faulty, FaultySector, Opened, PoStError, PoStRound, PoStSector, PublicSector, VanillaPoSt, WindowOptions,
    WindowProof,
};
use filecash_engine::backend::Phase;
use filecash_engine::sector::PoStKind::{self, Window, Winning};
use filecash_engine::sector::PoStProof;
use serde_json::{Value, json};

use self::given::{Challenges, Given, decode_vanilla, read_vanilla, vanilla_name, winner};
use crate::args::post as args;
use crate::context::Context;
use crate::files;
use crate::measure::{Cost, Meter};
use crate::phase::{self, replica_commitment};
use crate::report::{Failure, Kind, Report};
use crate::seal::proof_bytes;
use crate::text::{Table, count};

/// Runs the verb.
pub fn run(verb: &args::Post, context: &Context) -> anyhow::Result<Report> {
    match verb {
        args::Post::Winning(args::Winning::Challenges(args)) => winning_challenges(args, context),
        args::Post::Winning(args::Winning::Vanilla(args)) => winning_vanilla(args, context),
        args::Post::Winning(args::Winning::Prove(args)) => winning_prove(args, context),
        args::Post::Winning(args::Winning::Verify(args)) => winning_verify(args, context),
        args::Post::Window(args::Window::Challenges(args)) => window_challenges(args, context),
        args::Post::Window(args::Window::Vanilla(args)) => window_vanilla(args, context),
        args::Post::Window(args::Window::Prove(args)) => window_prove(args, context),
        args::Post::Window(args::Window::Verify(args)) => window_verify(args, context),
    }
}

/// Registered proof and round of a step.
fn round_of(given: &Given, flags: &args::Round, kind: PoStKind) -> anyhow::Result<(PoStProof, PoStRound)> {
    let proof = given.proof(&flags.proof, kind)?;
    Ok((proof, given.round(flags, &proof.config())?))
}

fn winning_challenges(args: &args::WinningChallenges, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    let (proof, round) = round_of(&given, &args.subject.round, Winning)?;
    if let Some(sectors) = args.sector_count {
        let place = round.winning_sector(sectors)?;
        let text = format!("Of {}, counted from 0, the one at place {place} wins\n", count(sectors, "sector"));
        return Ok(Report::done(text, json!({ "sector_count": sectors, "place": place })));
    }
    let sectors = given.public()?;
    let place = round.winning_sector(sectors.len() as u64)?;
    let winner = winner(&round, sectors)?;
    let leaves = post::challenges(&round, 0, &[winner.sector_id])?;
    challenges_report(&proof, leaves, &args.output, json!({ "place": place }))
}

fn window_challenges(args: &args::WindowChallenges, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    let (proof, round) = round_of(&given, &args.subject.round, Window)?;
    let numbers: Vec<u64> = given.public()?.iter().map(|sector| sector.sector_id).collect();
    let leaves = post::challenges(&round, args.partition.partition.unwrap_or(0), &numbers)?;
    challenges_report(&proof, leaves, &args.output, json!({}))
}

fn challenges_report(
    proof: &PoStProof,
    leaves: Vec<(u64, Vec<u64>)>,
    output: &args::WriteChallenges,
    mut json: Value,
) -> anyhow::Result<Report> {
    let mut table = Table::fields();
    for (sector, leaves) in &leaves {
        let shown: Vec<String> = leaves.iter().map(u64::to_string).collect();
        table.row([&format!("sector {sector}"), &shown.join(" ")]);
    }
    let challenges = Challenges::new(proof, leaves);
    let mut text = format!("Leaves to open for {}\n{}", proof.name, table.render());
    json["registered_proof"] = json!(proof.name);
    json["profile"] = json!(proof.profile.name());
    json["challenges"] = serde_json::to_value(&challenges.challenges)?;
    if let Some(out) = &output.out {
        files::write(out, &files::json(&challenges)?, output.replace.force)?;
        text += &format!("Written to {}\n", out.display());
        json["output"] = json!(out);
    }
    Ok(Report::done(text, json))
}

fn winning_vanilla(args: &args::WinningVanilla, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    files::refuse_existing(&args.out, args.replace.force)?;
    let limits = args.limits.into();
    let mut sectors = given.private()?;
    let (proof, sector, leaves) = match &args.challenges {
        Some(path) => {
            let (proof, challenges) = Challenges::read(path, Winning, &given)?;
            // The file names the winner.
            sectors.retain(|sector| challenges.challenges.iter().any(|known| known.sector_id == sector.sector_id));
            let (sector, leaves) = challenges.of(sectors)?.pop().ok_or_else(|| {
                Failure::new(Kind::Input, format!("no sector here is the one that wins by {}", path.display()))
            })?;
            (proof, sector, leaves)
        }
        None => {
            let (proof, round) = round_of(&given, &args.subject.round, Winning)?;
            let sector = winner(&round, sectors)?;
            let leaves = round.leaves(sector.sector_id, 0);
            (proof, sector, leaves)
        }
    };
    let meter = Meter::start();
    let outcome = post::vanilla_proof(&context.job(), &proof.config(), &sector, &leaves, &limits);
    let vanilla = context.kept(outcome, || "nothing was written".to_owned())?;
    let bytes = vanilla.to_bytes()?;
    files::write(&args.out, &bytes, args.replace.force)?;
    let mut fields = Table::fields();
    fields.row(["Sector", &vanilla.sector_id.to_string()]);
    fields.row(["Vanilla proof", &format!("{} ({} bytes)", args.out.display(), bytes.len())]);
    let json = json!({ "sector_id": vanilla.sector_id, "output": args.out, "bytes": bytes.len() });
    Ok(phase::report("winning vanilla", 0, meter.stop(), &fields, json, None))
}

/// What is to be opened of sectors: leaves that a file names, or those of a round.
enum Asked {
    Leaves(PoStProof, Vec<(PoStSector, Vec<u64>)>),
    Round(PoStRound, Vec<PoStSector>),
}

fn window_vanilla(args: &args::WindowVanilla, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    let sectors = given.private()?;
    for sector in &sectors {
        files::refuse_existing(&args.out.join(vanilla_name(sector.sector_id)), args.replace.force)?;
    }
    let total = sectors.len();
    let options = options(args.skip, args.limits);
    let asked = match &args.challenges {
        Some(path) => {
            let (proof, challenges) = Challenges::read(path, Window, &given)?;
            Asked::Leaves(proof, challenges.of(sectors)?)
        }
        None => Asked::Round(round_of(&given, &args.subject.round, Window)?.1, sectors),
    };
    let meter = Meter::start();
    let Opened { proofs, faulty } = files::in_folder(&args.out, || {
        let job = context.job();
        let opened = match asked {
            Asked::Leaves(proof, sectors) => post::vanilla_proofs(&job, &proof.config(), sectors, &options.limits),
            Asked::Round(round, sectors) => {
                post::open_all(&job, &round, args.partition.partition.unwrap_or(0), &sectors, &options)
            }
        };
        let opened = context.kept(opened, || "nothing was written".to_owned())?;
        if !opened.faulty.is_empty() && (options.faulty == Faulty::Refuse || opened.proofs.is_empty()) {
            return Err(Error::from(PoStError::Faulty { sectors: total, faulty: opened.faulty }).into());
        }
        for vanilla in &opened.proofs {
            let path = args.out.join(vanilla_name(vanilla.sector_id));
            files::write(&path, &vanilla.to_bytes()?, args.replace.force)?;
        }
        Ok(opened)
    })?;
    let cost = meter.stop();
    let mut fields = Table::fields();
    fields.row(["Vanilla proofs", &format!("{} in {}", proofs.len(), args.out.display())]);
    let numbers: Vec<u64> = proofs.iter().map(|vanilla| vanilla.sector_id).collect();
    let mut json = json!({ "output": args.out, "sectors": numbers });
    skipped(&faulty, &mut fields, &mut json);
    Ok(phase::report("window vanilla", 0, cost, &fields, json, None))
}

fn winning_prove(args: &args::WinningProve, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    let (proof, round) = round_of(&given, &args.subject.round, Winning)?;
    files::refuse_existing(&args.out, args.replace.force)?;
    let (job, meter) = (context.job_on_devices(Phase::PoSt, proof.config().params.size_bytes)?, Meter::start());
    let (sector_id, outcome) = match &args.vanilla {
        Some(path) => {
            let vanilla = decode_vanilla(&proof.config(), path)?;
            (vanilla.sector_id, post::prove_winning_with_vanilla(&job, &round, vanilla))
        }
        None => {
            let sector = winner(&round, given.private()?)?;
            (sector.sector_id, post::prove_winning(&job, &round, &sector, &args.limits.into()))
        }
    };
    let bytes = context.kept(outcome, || "no proof was written".to_owned())?;
    files::write(&args.out, &bytes, args.replace.force)?;
    let mut fields = Table::fields();
    fields.row(["Sector", &sector_id.to_string()]);
    fields.row(["Proof", &format!("{} ({} bytes)", args.out.display(), bytes.len())]);
    let json = json!({ "sector_id": sector_id, "output": args.out, "proof": hex::encode(&bytes) });
    Ok(phase::report("winning prove", 0, meter.stop(), &fields, json, None))
}

fn window_prove(args: &args::WindowProve, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    let (proof, round) = round_of(&given, &args.subject.round, Window)?;
    for path in [Some(&args.out), args.proven.as_ref()].into_iter().flatten() {
        files::refuse_existing(path, args.replace.force)?;
    }
    let options = options(args.skip, args.limits);
    let (job, meter) = (context.job_on_devices(Phase::PoSt, proof.config().params.size_bytes)?, Meter::start());
    let outcome = match (&args.vanilla[..], args.partition.partition) {
        ([], None) => post::prove_window(&job, &round, &given.private()?, &options),
        ([], Some(partition)) => post::prove_window_partition(&job, &round, partition, &given.private()?, &options),
        (paths, partition) => {
            let vanilla: Vec<VanillaPoSt> = read_vanilla(&proof.config(), paths)?;
            match partition {
                None => post::prove_window_with_vanilla(&job, &round, vanilla, options.faulty),
                Some(partition) => {
                    post::prove_window_partition_with_vanilla(&job, &round, partition, vanilla, options.faulty)
                }
            }
        }
    };
    let WindowProof { proof: bytes, proven, skipped: faulty } =
        context.kept(outcome, || "no proof was written".to_owned())?;
    files::write(&args.out, &bytes, args.replace.force)?;
    let list: Vec<Value> = proven
        .iter()
        .map(|sector| json!({ "sector_id": sector.sector_id, "comm_r": hex::encode(sector.comm_r) }))
        .collect();
    if let Some(path) = &args.proven {
        files::write(path, &files::json(&list)?, args.replace.force)?;
    }
    let cost = meter.stop();
    let partitions = (bytes.len() / 192) as u64;
    let mut fields = Table::fields();
    fields.row(["Sectors", &format!("{} in {}", proven.len(), count(partitions, "partition"))]);
    fields.row(["Proof", &format!("{} ({} bytes)", args.out.display(), bytes.len())]);
    let mut json = json!({
        "output": args.out, "proof": hex::encode(&bytes), "partitions": partitions, "proven": list,
    });
    skipped(&faulty, &mut fields, &mut json);
    Ok(phase::report("window prove", 0, cost, &fields, json, None))
}

fn options(skip: args::Skip, limits: args::Limits) -> WindowOptions {
    let faulty = if skip.skip_faulty { Faulty::Skip } else { Faulty::Refuse };
    WindowOptions { faulty, limits: limits.into() }
}

/// Tells of sectors that were left out.
fn skipped(faulty: &[FaultySector], fields: &mut Table, json: &mut Value) {
    for faulty in faulty {
        fields.row(["Skipped", &format!("sector {}: {}", faulty.sector_id, faulty.reason())]);
    }
    let one = |faulty: &FaultySector| json!({ "sector_id": faulty.sector_id, "reason": faulty.reason() });
    json["skipped"] = faulty.iter().map(one).collect();
}

fn winning_verify(args: &args::WinningVerify, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.subject.sectors)?;
    let (proof, round) = round_of(&given, &args.subject.round, Winning)?;
    let sector = winner(&round, given.public()?)?;
    let bytes = proof_bytes(files::read(&args.proof_file, "proof")?);
    let meter = Meter::start();
    let outcome = post::verify_winning(&context.job(), &round, &sector, &bytes);
    verdict(&proof, context, outcome, meter.stop(), &[sector])
}

fn window_verify(args: &args::WindowVerify, context: &Context) -> anyhow::Result<Report> {
    let args::WinningVerify { subject, proof_file } = &args.verify;
    let given = Given::new(context, &subject.sectors)?;
    let (proof, round) = round_of(&given, &subject.round, Window)?;
    let sectors = given.public()?;
    let bytes = proof_bytes(files::read(proof_file, "proof")?);
    let meter = Meter::start();
    let outcome = match args.partition.partition {
        None => post::verify_window(&context.job(), &round, &sectors, &bytes),
        Some(partition) => post::verify_window_partition(&context.job(), &round, partition, &sectors, &bytes),
    };
    verdict(&proof, context, outcome, meter.stop(), &sectors)
}

fn verdict(
    proof: &PoStProof,
    context: &Context,
    outcome: Result<(), Error>,
    cost: Cost,
    sectors: &[PublicSector],
) -> anyhow::Result<Report> {
    let mut fields = Table::fields();
    fields.row(["Registered", &format!("{} ({} {})", proof.name, proof.profile, proof.id)]);
    match sectors {
        [sector] => fields.row([&format!("Sector {}", sector.sector_id), &replica_commitment(&sector.comm_r).1]),
        sectors => fields.row(["Sectors", &sectors.len().to_string()]),
    };
    phase::verdict("proof", context, outcome, cost, &fields)
}
