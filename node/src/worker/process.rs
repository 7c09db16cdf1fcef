//! A process that does a job, and what it has said.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::wire::{Assignment, STOP, Said};
use crate::config::MIN_MEMORY_BYTES;
use crate::jobs::Stage;

/// Lines of standard error that a failure tells.
const LAST_LINES: usize = 8;

/// What a process is started with.
pub(super) struct Start<'a> {
    pub program: &'a (PathBuf, Vec<OsString>),
    pub memory_bytes: u64,
    pub vram_bytes: Option<u64>,
    pub assignment: Assignment,
    pub input: Vec<u8>,
    pub kept: Vec<u8>,
    pub id: i64,
}

/// How a process ended.
pub(super) enum Ended {
    Done(Vec<u8>),
    Failed { reason: String, again: bool },
    Stopped,
}

/// What it has said so far.
#[derive(Default)]
struct Told {
    stage: Option<(String, String, u64, Instant)>,
    done: u64,
    device: Option<String>,
    kept: Vec<Vec<u8>>,
    last_lines: VecDeque<String>,
}

/// A process that does a job.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    told: Arc<Mutex<Told>>,
    listener: Option<JoinHandle<Option<Ended>>>,
    log: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts one, in a process group of its own: what a terminal sends to ours is for the worker.
    pub fn start(start: Start<'_>) -> io::Result<Self> {
        let (program, arguments) = start.program;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg("--max-ram")
            .arg(start.memory_bytes.max(MIN_MEMORY_BYTES).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(bytes) = start.vram_bytes {
            command.arg("--max-vram").arg(bytes.to_string());
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let pipe = || io::Error::other("a pipe is missing");
        let (output, errors) = (child.stdout.take().ok_or_else(pipe)?, child.stderr.take().ok_or_else(pipe)?);
        let mut input = child.stdin.take().ok_or_else(pipe)?;
        let told = Arc::new(Mutex::new(Told::default()));
        let (of_listener, of_log) = (Arc::clone(&told), Arc::clone(&told));
        let listener = thread::Builder::new().spawn(move || listen(output, &of_listener));
        let log = thread::Builder::new().spawn(move || forward(errors, start.id, &of_log));
        let (Ok(listener), Ok(log)) = (listener, log) else {
            drop(child.kill());
            drop(child.wait());
            return Err(io::Error::other("no thread can be started"));
        };
        // Whoever ends before it has read its task says why.
        let written = start.assignment.write(&mut input, &start.input, &start.kept);
        let input = written.is_ok().then_some(input);
        Ok(Self { child, input, told, listener: Some(listener), log: Some(log) })
    }

    /// Asks it to stop at a safe point.
    pub fn stop(&mut self) {
        if let Some(input) = &mut self.input {
            // Who does not listen has ended.
            let _ = writeln!(input, "{STOP}").and_then(|()| input.flush());
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// What it does now and on what.
    pub fn told(&self) -> (Option<Stage>, Option<String>) {
        let told = lock(&self.told);
        let stage = told.stage.as_ref().map(|(name, unit, total, began)| Stage {
            name: name.clone(),
            unit: unit.clone(),
            done: told.done,
            total: *total,
            lasted: began.elapsed(),
        });
        (stage, told.device.clone())
    }

    /// What it wants kept for another attempt, the last one.
    pub fn take_kept(&self) -> Option<Vec<u8>> {
        std::mem::take(&mut lock(&self.told).kept).pop()
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<Ended> {
        let status = self.child.try_wait().ok()??;
        let said = self.listener.take().and_then(|listener| listener.join().ok()).flatten();
        if let Some(log) = self.log.take() {
            drop(log.join());
        }
        Some(said.unwrap_or_else(|| Ended::Failed { reason: self.death(status), again: true }))
    }

    /// Why a process ended that said nothing.
    fn death(&self, status: ExitStatus) -> String {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal: Option<i32> = None;
        let mut reason = match (signal, status.code()) {
            (Some(9), _) => "its process was killed; perhaps the system had no memory left".to_owned(),
            (Some(signal), _) => format!("its process was ended by signal {signal}"),
            (None, Some(code)) => format!("its process ended with status {code} and no result"),
            (None, None) => "its process ended".to_owned(),
        };
        let last: Vec<String> = lock(&self.told).last_lines.drain(..).collect();
        if !last.is_empty() {
            reason += &format!(": {}", last.join(" | "));
        }
        reason
    }
}

/// Nobody outlives the worker.
impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes note of what a process says until it has said what came of its job.
fn listen(output: ChildStdout, told: &Mutex<Told>) -> Option<Ended> {
    let mut output = BufReader::new(output);
    let mut ended = None;
    loop {
        match Said::read(&mut output) {
            Ok(None) => return ended,
            Err(error) => {
                // It must not wait for a reader.
                let _ = io::copy(&mut output, &mut io::sink());
                let reason = format!("its process said what nobody understands: {error}");
                return ended.or(Some(Ended::Failed { reason, again: true }));
            }
            Ok(Some((said, bytes))) => match said {
                Said::Stage { name, unit, total } => {
                    let mut told = lock(told);
                    (told.stage, told.done) = (Some((name, unit, total, Instant::now())), 0);
                }
                Said::At { done } => lock(told).done = done,
                Said::Device { name } => lock(told).device = Some(name),
                Said::Keep { .. } => lock(told).kept.push(bytes),
                Said::Done { .. } => ended = Some(Ended::Done(bytes)),
                Said::Failed { reason, again } => ended = Some(Ended::Failed { reason, again }),
                Said::Stopped => ended = Some(Ended::Stopped),
            },
        }
    }
}

/// Shows a process's log among ours.
fn forward(errors: ChildStderr, id: i64, told: &Mutex<Told>) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    // Who writes a line without an end does not fill our memory.
    while matches!((&mut errors).take(1 << 16).read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if text.is_empty() {
            continue;
        }
        tracing::warn!(job = id, "{text}");
        let mut told = lock(told);
        if told.last_lines.len() == LAST_LINES {
            told.last_lines.pop_front();
        }
        told.last_lines.push_back(text);
    }
}
