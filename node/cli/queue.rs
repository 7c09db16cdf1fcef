//! `filecash sectors …`: the sectors of the queue.
//!
//! A sector is a folder in a storage, with its data staged. Its jobs are a chain: PC1, PC2, synthetic proofs where the proof has
//! them, C1, which waits for the seed, C2, and finalize, which verifies and puts things where they stay.

mod pledge;

use std::path::Path;

use filecash_engine::sector::piece::{self, PaddedLen, PieceInfo};
use filecash_engine::sector::{Feature, Profile, SealProof};
use filecash_engine::store::files::SYNTHETIC_PROOFS;
use filecash_node::hex32::Hex32;
use filecash_node::jobs::view::{Workers, json_of};
use filecash_node::jobs::{Job, Kind as Step, NewJob, Queue, SectorRow, State};
use filecash_node::lotus::import;
use filecash_node::worker::storage::{Storage, StorageError};
use filecash_node::worker::task::{SealTask, SectorTask};
use serde_json::json;

use crate::args::Sectors;
use crate::args::jobs::{QueuedSector, SectorsAdd, SectorsSeed, SectorsStatus};
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder, Identity};
use crate::jobs::{failure, log_of, state_of, table_of};
use crate::report::{Failure, Kind, Report};
use crate::seal::prover_name;
use crate::sector;
use crate::text::Align::Left;
use crate::text::{Table, count};
use crate::worker::{profiles, queue};

/// What C1 waits for.
const SEED: &str = "its seed (filecash sectors seed)";

/// Who says what jobs wait for: the miner, of a sector whose ticket's epoch is known, as `sectors pledge` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Somebody at the command line.
    People,
    /// A miner that takes the sector over.
    Miner,
}

impl Holds {
    /// What a job waits for besides the one before it.
    fn of(self, kind: Step, wants_seed: bool) -> Option<String> {
        let hold = match (self, kind) {
            (Self::People, Step::C1) if wants_seed => SEED,
            (Self::Miner, Step::C1) => import::OFFER,
            (Self::Miner, Step::Finalize) => import::WORD,
            _ => return None,
        };
        Some(hold.to_owned())
    }
}

/// Runs the verb.
pub fn run(verb: &Sectors, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Sectors::Inspect(args) => sector::inspect(args, context),
        Sectors::Add(args) => add(args, context),
        Sectors::Pledge(args) => pledge::run(args, context),
        Sectors::Seed(args) => seed(args, context),
        Sectors::List => list(context),
        Sectors::Status(args) => status(args, context),
        Sectors::Forget(args) => forget(args, context),
    }
}

/// A sector that can be queued.
struct Queued {
    row: SectorRow,
    jobs: Vec<NewJob>,
}

fn add(args: &SectorsAdd, context: &Context) -> anyhow::Result<Report> {
    // All of them make sense before any is queued.
    let sectors = args.dirs.iter().map(|dir| queued(dir, args.seed, context));
    let sectors = sectors.collect::<anyhow::Result<Vec<_>>>()?;
    let queue = queue(context)?;
    let (mut text, mut json) = (String::new(), Vec::new());
    for Queued { row, jobs } in &sectors {
        let ids = queue.add_sector(row, jobs).map_err(failure)?;
        let (first, last) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
        text += &format!("Queued {} of {}: jobs {first} to {last}\n", row.name, row.profile);
        json.push(json!({ "sector": row.name, "profile": row.profile, "jobs": ids }));
    }
    Ok(Report::done(text, json!({ "sectors": json })))
}

/// Checks a folder and says what is to be done in it.
fn queued(dir: &Path, seed: Option<Hex32>, context: &Context) -> anyhow::Result<Queued> {
    let folder = Folder::new(dir);
    let identity = folder.require_identity(context)?;
    let proof = identity.proof()?;
    let (storage, path) = Storage::around(dir).map_err(|error| match error {
        StorageError::Outside { path } => {
            let message = format!("{} lies in no worker's folder", path.display());
            anyhow::Error::from(
                Failure::new(Kind::Input, message)
                    .hint("filecash worker run --sealing DIR makes DIR one, and sectors are folders in it"),
            )
        }
        error => error.into(),
    })?;
    if !folder.pc1().exists() {
        files::require_file(&folder.staged(), "staged file")?;
        let pieces: Vec<PieceInfo> = files::read_json(&folder.pieces(), "list of pieces")?;
        let size = PaddedLen::new(proof.config().params.size_bytes).map_err(piece::PieceError::from)?;
        piece::comm_d(size, &pieces).map_err(|error| {
            let message = format!("{}: {error}", folder.pieces().display());
            Failure::new(Kind::Input, message).hint("filecash seal add-piece --fill completes a sector")
        })?;
    }
    let name = format!("{}/{}", prover_name(&identity.prover_id.0), identity.sector);
    let row = SectorRow {
        profile: identity.profile,
        name,
        proof: proof.name.to_owned(),
        storage: storage.id,
        path,
        added: 0,
    };
    let holds = if identity.ticket_epoch.is_some() { Holds::Miner } else { Holds::People };
    let jobs = chain(&folder, &row, &proof, &Identity { seed: seed.or(identity.seed), ..identity.clone() }, holds)?;
    Ok(Queued { row, jobs })
}

/// The jobs of a sector, one after the other, but for those whose outputs are there.
fn chain(
    folder: &Folder,
    row: &SectorRow,
    proof: &SealProof,
    identity: &Identity,
    holds: Holds,
) -> anyhow::Result<Vec<NewJob>> {
    let feature = proof.config().feature;
    let mut steps = vec![Step::Pc1, Step::Pc2];
    if feature == Feature::Synthetic {
        steps.push(Step::Synth);
    }
    steps.extend([Step::C1, Step::C2, Step::Finalize]);
    let is_done = |step: &Step| match step {
        Step::Pc1 => folder.pc1().exists(),
        Step::Pc2 => folder.pc2().exists(),
        Step::Synth => folder.cache().join(SYNTHETIC_PROOFS).exists(),
        // C2 takes what C1 hands on, not its file.
        Step::C1 | Step::C2 => folder.proof().exists(),
        _ => false,
    };
    steps.retain(|step| !is_done(step));
    let Identity { prover_id, sector, seed, .. } = *identity;
    let of_sector = |seed| serde_json::to_string(&SectorTask { folder: row.path.clone(), prover_id, sector, seed });
    let jobs = steps.into_iter().enumerate().map(|(place, kind)| {
        let wants_seed = feature != Feature::NonInteractive && seed.is_none();
        let task = match kind {
            Step::C2 => serde_json::to_string(&SealTask { prover_id, sector }),
            Step::C1 | Step::Finalize => of_sector(seed),
            _ => of_sector(None),
        }?;
        Ok(NewJob {
            profile: row.profile,
            kind,
            sector: Some(row.name.clone()),
            proof: row.proof.clone(),
            priority: kind.priority(),
            deadline: None,
            // C2 reads what C1 hands on and nothing else.
            storage: (kind != Step::C2).then(|| row.storage.clone()),
            after: place.checked_sub(1),
            hold: holds.of(kind, wants_seed),
            request: (holds == Holds::Miner && kind == Step::Finalize).then(import::name_with_token),
            digest: None,
            task,
            input: None,
        })
    });
    jobs.collect()
}

/// A sector that the queue knows, of whichever network.
fn find(queue: &Queue, name: &str, context: &Context) -> anyhow::Result<SectorRow> {
    let wanted = profiles(context);
    let mut found: Vec<SectorRow> =
        queue.sectors()?.into_iter().filter(|row| row.name == name && wanted.contains(&row.profile)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => {
            let message = format!("both networks have a sector {name}");
            Err(Failure::new(Kind::Usage, message).hint("--profile says which").into())
        }
        (None, _) => {
            let message = format!("the queue knows no sector {name}");
            Err(Failure::new(Kind::Input, message).hint("filecash sectors list").into())
        }
    }
}

fn seed(args: &SectorsSeed, context: &Context) -> anyhow::Result<Report> {
    let queue = queue(context)?;
    let row = find(&queue, &args.of.sector, context)?;
    let jobs = queue.jobs_of(row.profile, &row.name)?;
    let Some(c1) = jobs.iter().find(|job| job.kind == Step::C1) else {
        return Err(Failure::new(Kind::Input, format!("{} has no C1 in the queue", row.name)).into());
    };
    let task: SectorTask = serde_json::from_str(&c1.task)?;
    let task = serde_json::to_string(&SectorTask { seed: Some(args.seed), ..task })?;
    queue.lift(c1.id, &task, "the seed is known").map_err(failure)?;
    let text = format!("{} has its seed; job {} goes on\n", row.name, c1.id);
    Ok(Report::done(text, json!({ "sector": row.name, "job": c1.id })))
}

/// How far a sector is: its first job that is not done.
fn now_of(jobs: &[Job]) -> Option<&Job> {
    jobs.iter().find(|job| job.state != State::Done)
}

fn list(context: &Context) -> anyhow::Result<Report> {
    let queue = queue(context)?;
    let (workers, wanted) = (Workers::living(&queue)?, profiles(context));
    let mut table = Table::new(&[("sector", Left), ("proof", Left), ("step", Left), ("", Left)]);
    let mut json = Vec::new();
    for row in queue.sectors()?.iter().filter(|row| wanted.contains(&row.profile)) {
        let jobs = queue.jobs_of(row.profile, &row.name)?;
        let (step, state) = match now_of(&jobs) {
            None => ("proven".to_owned(), String::new()),
            Some(job) => (format!("{} {}", job.kind, job.state), state_of(job, &workers)),
        };
        table.row([row.name.as_str(), &row.proof, &step, &state]);
        let done = jobs.iter().filter(|job| job.state == State::Done).count();
        json.push(json!({ "sector": row, "done": done, "jobs": jobs.len(), "step": step, "state": state }));
    }
    let headline = format!("{} in the queue in {}\n", count(json.len() as u64, "sector"), queue.store());
    let text = if json.is_empty() { headline } else { headline + &table.render() };
    Ok(Report::done(text, json!({ "sectors": json })))
}

fn status(args: &SectorsStatus, context: &Context) -> anyhow::Result<Report> {
    let queue = queue(context)?;
    let row = find(&queue, &args.of.sector, context)?;
    let (jobs, workers) = (queue.jobs_of(row.profile, &row.name)?, Workers::living(&queue)?);
    let place = workers.path_of(&row.storage).map_or_else(
        || format!("{} in storage {}", row.path, row.storage),
        |path| Path::new(path).join(&row.path).display().to_string(),
    );
    let mut fields = Table::fields();
    fields.row(["Registered", &format!("{} of {}", row.proof, row.profile)]).row(["Folder", &place]);
    let mut text = format!("Sector {}\n{}{}", row.name, fields.render(), table_of(&jobs, &workers));
    let mut json = json!({
        "sector": row, "folder": place, "jobs": jobs.iter().map(|job| json_of(job, &workers)).collect::<Vec<_>>(),
    });
    if args.log {
        let events = queue.events_of(row.profile, &row.name)?;
        text += &log_of(&events, true);
        json["events"] = json!(events);
    }
    Ok(Report::done(text, json))
}

fn forget(args: &QueuedSector, context: &Context) -> anyhow::Result<Report> {
    let queue = queue(context)?;
    let row = find(&queue, &args.sector, context)?;
    if !queue.forget_sector(row.profile, &row.name)? {
        let message = format!("{} still has jobs to do", row.name);
        return Err(Failure::new(Kind::Input, message).hint("filecash jobs cancel ends them").into());
    }
    let text = format!("{} is in the books no more; its files stay\n", row.name);
    Ok(Report::done(text, json!({ "sector": row.name, "profile": Profile::name(row.profile) })))
}
