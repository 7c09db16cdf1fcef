//! `filecash worker job`: one job, handed over on standard input, told about on standard output ([`filecash_node::worker::wire`]).
//!
//! When the input ends, the worker is gone and so is this process: what it had finished is on disk, and whoever takes the job next
//! goes on from there.

use std::io::{self, BufRead, BufReader, Write};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use filecash_engine::job::{Job, Progress, Unit};
use filecash_node::worker::wire::{Assignment, STOP, Said};
use serde_json::json;

use super::steps;
use crate::context::Context;
use crate::report::{Report, code_word, is_momentary, with_causes};

/// Exit status of a process whose worker is gone.
const ORPHAN: i32 = 3;
/// Between two words about how far it is.
const PACE: Duration = Duration::from_millis(250);

/// Tells a worker how far its job is.
#[derive(Clone, Default)]
pub struct Speaker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    told: AtomicU64,
    is_counting: AtomicBool,
    output: Mutex<()>,
}

impl Speaker {
    /// Says something. Who does not listen is gone, and its input has ended too.
    pub fn say(&self, said: &Said, bytes: &[u8]) {
        let _one_at_a_time = self.0.output.lock().unwrap_or_else(PoisonError::into_inner);
        drop(said.write(&mut io::stdout().lock(), bytes));
    }

    /// Has the worker keep something for another attempt.
    pub fn keep(&self, bytes: &[u8]) {
        self.say(&Said::Keep { bytes: bytes.len() as u64 }, bytes);
    }

    fn tell_how_far(&self) {
        let done = self.0.done.load(Ordering::Relaxed);
        if self.0.is_counting.load(Ordering::Relaxed) && self.0.told.swap(done, Ordering::Relaxed) != done {
            self.say(&Said::At { done }, &[]);
        }
    }
}

impl Progress for Speaker {
    fn begin(&self, stage: &'static str, unit: Unit, total: u64) {
        let unit = if unit == Unit::Bytes { "bytes" } else { "items" };
        self.0.done.store(0, Ordering::Relaxed);
        self.0.told.store(0, Ordering::Relaxed);
        self.0.is_counting.store(true, Ordering::Relaxed);
        self.say(&Said::Stage { name: stage.to_owned(), unit: unit.to_owned(), total }, &[]);
    }

    fn advance(&self, units: u64) {
        self.0.done.fetch_add(units, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.is_counting.store(false, Ordering::Relaxed);
    }
}

/// Runs the verb.
pub fn run(context: &Context) -> anyhow::Result<Report> {
    let mut input = BufReader::new(io::stdin());
    let (assignment, read, kept) = Assignment::read(&mut input).context("this is for a worker to start")?;
    be_nice(assignment.niceness);
    listen(input, context);
    let speaker = Speaker::default();
    let teller = speaker.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(PACE);
            teller.tell_how_far();
        }
    });
    match steps::run(&assignment, &read, &kept, context, &speaker) {
        Ok(output) => speaker.say(&Said::Done { bytes: output.len() as u64 }, &output),
        Err(_) if context.is_cancelled() => speaker.say(&Said::Stopped, &[]),
        Err(error) if is_in_the_way(&error) => {
            tracing::warn!("{}", with_causes(error.as_ref()));
            speaker.say(&Said::Stopped, &[]);
        }
        Err(error) => {
            let again = is_momentary(&error);
            let reason = format!("{}: {}", code_word(&error), with_causes(error.as_ref()));
            speaker.say(&Said::Failed { reason, again }, &[]);
        }
    }
    // What was said stands on standard output.
    io::stdout().flush().context("cannot write to standard output")?;
    Ok(Report::done(String::new(), json!({})))
}

/// Whether somebody else works on the sector, who may be done the next time.
fn is_in_the_way(error: &anyhow::Error) -> bool {
    let busy = |cause: &io::Error| cause.kind() == io::ErrorKind::ResourceBusy;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(busy))
}

/// A job with its progress told to the worker.
pub fn telling<'a>(job: Job<'a>, speaker: &'a Speaker) -> Job<'a> {
    Job { progress: speaker, ..job }
}

/// Hears the worker: a wish to stop, or its end.
fn listen(mut input: impl BufRead + Send + 'static, context: &Context) {
    let cancel = context.canceller();
    thread::spawn(move || {
        let mut line = String::new();
        loop {
            line.clear();
            match input.read_line(&mut line) {
                Ok(0) | Err(_) => process::exit(ORPHAN),
                Ok(_) if line.trim_end() == STOP => cancel.cancel(),
                Ok(_) => {}
            }
        }
    });
}

/// Takes processor time as politely as it was told, with all threads: none has started yet that computes.
#[cfg(unix)]
fn be_nice(niceness: i32) {
    // Threads that are there have their own; of the pool's there are some already.
    let set = |thread: Option<rustix::process::Pid>| rustix::process::setpriority_process(thread, niceness);
    let all = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let outcome = threads.filter_map(rustix::process::Pid::from_raw).try_for_each(|thread| set(Some(thread)));
    if let Err(error) = outcome.and_then(|()| set(None)) {
        tracing::debug!(%error, "the system does not share processor time by urgency");
    }
}

#[cfg(not(unix))]
fn be_nice(_niceness: i32) {}
