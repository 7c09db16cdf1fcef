//! `filecash jobs …`: the queue for people.

use std::time::Duration;

use filecash_engine::job::Unit;
use filecash_node::jobs::view::{Workers, json_of};
use filecash_node::jobs::{Event, Job, JobId, Progress, Queue, QueueError, State};
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args::jobs::Jobs;
use crate::context::Context;
use crate::report::{Failure, Kind, Report};
use crate::text::Align::{Left, Right};
use crate::text::{self, Table, count};
use crate::worker::queue;

/// Runs the verb.
pub fn run(verb: &Jobs, context: &Context) -> anyhow::Result<Report> {
    let queue = queue(context)?;
    match verb {
        Jobs::List(args) => list(&queue, args.over),
        Jobs::Show { job } => show(&queue, *job),
        Jobs::Retry { jobs } => each(&queue, jobs, "queued again", Queue::retry),
        Jobs::Cancel { jobs } => each(&queue, jobs, "cancelled", Queue::cancel),
    }
}

/// How far a job is or what it waits for, on one line.
pub fn state_of(job: &Job, workers: &Workers) -> String {
    match job.state {
        State::Waiting => {
            let before = job.error.as_ref().map(|error| format!(" (it failed: {error})"));
            format!("waits {}{}", workers.why(job), before.unwrap_or_default())
        }
        State::Running => {
            let stop = if job.cancel { "stopping, " } else { "" };
            let by = job.owner.as_deref().unwrap_or("somebody");
            let on = job.device.as_ref().map(|device| format!(" on {device}")).unwrap_or_default();
            let how_far = job.progress.as_ref().map_or("begun".to_owned(), |progress| progress_of(progress, job.now));
            format!("{stop}{how_far}, by {by}{on}")
        }
        State::Done => format!("in {}", text::duration(took(job))),
        State::Failed => job.error.clone().unwrap_or_default(),
        State::Cancelled => String::new(),
    }
}

/// A stage with percent, rate and the time left.
fn progress_of(progress: &Progress, now: i64) -> String {
    let mut text = progress.stage.clone();
    if progress.total > 1 {
        text += &format!(" {:.0}%", progress.percent());
    }
    if let (Some(rate), Some(left)) = (progress.rate(now), progress.left(now))
        && progress.total > 1
    {
        let unit = if progress.unit == "bytes" { Unit::Bytes } else { Unit::Items };
        let rate = match unit {
            Unit::Bytes => format!("{}/s", ByteSize(rate as u64)),
            Unit::Items => format!("{}/s", text::counted(rate).trim()),
        };
        text += &format!(", {rate}, {} left", text::duration(left));
    }
    text
}

fn took(job: &Job) -> Duration {
    let millis = job.finished.zip(job.started).map_or(0, |(finished, started)| finished - started);
    Duration::from_millis(millis.max(0).unsigned_abs())
}

/// Jobs as a table.
pub fn table_of(jobs: &[Job], workers: &Workers) -> String {
    let columns = [("job", Right), ("kind", Left), ("sector", Left), ("state", Left), ("", Left)];
    let mut table = Table::new(&columns);
    for job in jobs {
        let sector = job.sector.as_deref().or(job.request.as_deref()).unwrap_or("");
        let id = job.id.to_string();
        table.row([&id, job.kind.name(), sector, job.state.name(), &state_of(job, workers)]);
    }
    table.render()
}

fn list(queue: &Queue, over: u32) -> anyhow::Result<Report> {
    let (jobs, workers) = (queue.jobs(over)?, Workers::living(queue)?);
    let of = |state| jobs.iter().filter(|job| job.state == state).count() as u64;
    let alive: Vec<&str> = workers.names().collect();
    let headline = format!(
        "{} running, {} waiting; {}{}\n",
        count(of(State::Running), "job"),
        of(State::Waiting),
        count(alive.len() as u64, "worker"),
        if alive.is_empty() { String::new() } else { format!(": {}", alive.join(", ")) },
    );
    let table = if jobs.is_empty() { String::new() } else { table_of(&jobs, &workers) };
    let json: Vec<Value> = jobs.iter().map(|job| json_of(job, &workers)).collect();
    Ok(Report::done(headline + &table, json!({ "jobs": json, "workers": workers.json() })))
}

fn show(queue: &Queue, id: JobId) -> anyhow::Result<Report> {
    let (job, workers) = (queue.job(id).map_err(failure)?, Workers::living(queue)?);
    let events = queue.events(id)?;
    let mut fields = Table::fields();
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.row([name, &value]);
        }
    };
    field("Kind", Some(format!("{}, {} of {}", job.kind, job.proof, job.profile)));
    field("Sector", job.sector.clone());
    field("Asked for as", job.request.clone());
    field("State", Some(format!("{} {}", job.state, state_of(&job, &workers)).trim().to_owned()));
    field("Priority", Some(job.priority.to_string()));
    field("Deadline", job.deadline.map(utc));
    let needs = workers.needs(&job);
    field("Memory", Some(format!("{} at the least", ByteSize(needs.least_memory_bytes))));
    field("Disk", (needs.disk_bytes > 0).then(|| format!("{} in its storage", ByteSize(needs.disk_bytes))));
    field("Storage", job.storage.clone());
    field("After", job.after.map(|id| format!("job {id}")));
    field("Attempts", Some(job.attempts.to_string()));
    let text = format!("Job {id}\n{}{}", fields.render(), log_of(&events, false));
    Ok(Report::done(text, json!({ "job": json_of(&job, &workers), "needs": needs, "events": events })))
}

/// What happened, a line each: when, how long after the line before, what.
pub fn log_of(events: &[Event], with_jobs: bool) -> String {
    let mut table = Table::new(&[("", Left), ("", Right), ("", Left)]);
    let mut before = None;
    for event in events {
        let after = before.filter(|before| event.at > *before).map_or(String::new(), |before: i64| {
            format!("+{}", text::duration(Duration::from_millis((event.at - before).unsigned_abs())))
        });
        let by = event.worker.as_ref().map(|worker| format!(" by {worker}")).unwrap_or_default();
        let job = match event.job {
            Some(id) if with_jobs => format!("job {id} "),
            _ => String::new(),
        };
        table.row([utc(event.at), after, format!("{job}{}{by}", event.what)]);
        before = Some(event.at);
    }
    table.render()
}

fn utc(millis: i64) -> String {
    text::utc(millis.max(0).unsigned_abs() / 1000)
}

fn each(
    queue: &Queue,
    jobs: &[JobId],
    what: &str,
    change: fn(&Queue, JobId) -> Result<(), QueueError>,
) -> anyhow::Result<Report> {
    for id in jobs {
        change(queue, *id).map_err(failure)?;
    }
    let text: String = jobs.iter().map(|id| format!("Job {id} is {what}\n")).collect();
    Ok(Report::done(text, json!({ "jobs": jobs })))
}

/// A question that makes no sense is the asker's.
pub fn failure(error: QueueError) -> anyhow::Error {
    match error {
        QueueError::Store(error) => error.into(),
        error => Failure::new(Kind::Input, error.to_string()).into(),
    }
}
