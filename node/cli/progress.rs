//! Progress on standard error: bars with rate and time left on a terminal, plain lines elsewhere, nothing when quiet.
//!
//! Stages count into an atomic number, which costs a worker nothing. On a terminal one thread redraws ten times a
//! second, and only what has lasted [`PATIENCE`], so that short stages do not flicker.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use filecash_engine::job::{Progress, Unit};
use filecash_node::size::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::report::print;
use crate::text;

/// How long a stage lasts before it is worth a bar.
const PATIENCE: Duration = Duration::from_millis(700);
/// Between two redraws.
const FRAME: Duration = Duration::from_millis(100);

const SINGLE: &str = "  {prefix:.bold}{msg}  {elapsed}";
const BAR: &str = "  {prefix:.bold}{msg}  {bar:24.cyan/dim} {percent:>3}%";
const BYTES: &str = "  {binary_bytes} of {binary_total_bytes}{pace}";
const ITEMS: &str = "  {human_pos} of {human_len}{pace}";

/// How progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Quiet,
    /// A line when a stage begins, and one when it ends unless that is at once.
    Lines,
    /// Bars that redraw in place.
    Bars,
}

impl Style {
    /// What suits standard error.
    pub fn choose(quiet: bool) -> Self {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bars,
            (false, false) => Self::Lines,
        }
    }
}

/// Tells the progress of one run.
pub struct Teller {
    style: Style,
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    stopped: AtomicBool,
    wake: Condvar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is going on over several stages: `PC1`.
    phase: &'static str,
    stage: Option<Stage>,
}

struct Stage {
    name: &'static str,
    unit: Unit,
    total: u64,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Teller {
    /// Begins telling.
    pub fn new(style: Style) -> Self {
        let shared = Arc::new(Shared::default());
        let painter = (style == Style::Bars).then(|| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.paint())
        });
        Self { style, shared, painter }
    }

    /// Names what the stages from now on belong to; an empty name for nothing.
    pub fn phase(&self, name: &'static str) {
        self.shared.lock().phase = name;
    }

    /// Where a log writes its lines, so that they stand above a bar.
    pub fn log(&self) -> Log {
        Log(Arc::clone(&self.shared))
    }

    /// A line for people, between stages.
    pub fn note(&self, line: &str) {
        if self.style != Style::Quiet {
            print(io::stderr(), &format!("{line}\n"));
        }
    }
}

/// Writes whole lines to standard error, out of the way of a bar.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = self.0.lock();
        let write = || io::Write::write_all(&mut io::stderr(), bytes);
        match state.stage.as_ref().and_then(|stage| stage.bar.as_ref()) {
            Some(bar) => bar.suspend(write)?,
            None => write()?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.wake.notify_all();
        if let Some(painter) = self.painter.take() {
            drop(painter.join());
        }
    }
}

impl Progress for Teller {
    fn begin(&self, name: &'static str, unit: Unit, total: u64) {
        let mut state = self.shared.lock();
        self.shared.done.store(0, Ordering::Relaxed);
        if self.style == Style::Lines && total > 0 {
            print(io::stderr(), &format!("{}{name}: {}\n", prefix(state.phase), amount(unit, total)));
        }
        state.stage = Some(Stage { name, unit, total, begun: Instant::now(), bar: None });
    }

    fn advance(&self, units: u64) {
        self.shared.done.fetch_add(units, Ordering::Relaxed);
    }

    fn end(&self) {
        let mut state = self.shared.lock();
        let Some(stage) = state.stage.take() else { return };
        if let Some(bar) = &stage.bar {
            bar.finish_and_clear();
        }
        let done = self.shared.done.load(Ordering::Relaxed);
        let time = stage.begun.elapsed();
        let shown = stage.bar.is_some() || (self.style == Style::Lines && time >= Duration::from_secs(1));
        if shown && done >= stage.total {
            let line = format!(
                "{}{}: done in {}{}\n",
                prefix(state.phase),
                stage.name,
                text::duration(time),
                stage.rate(time)
            );
            print(io::stderr(), &line);
        }
    }
}

impl Shared {
    /// A poisoned lock holds nothing worse than a stale bar.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redraws until stopped.
    fn paint(&self) {
        let mut state = self.lock();
        while !self.stopped.load(Ordering::Relaxed) {
            let phase = state.phase;
            if let Some(stage) = state.stage.as_mut().filter(|stage| stage.begun.elapsed() >= PATIENCE) {
                let bar =
                    stage.bar.get_or_insert_with(|| new_bar(phase, stage.name, stage.unit, stage.total, stage.begun));
                bar.set_position(self.done.load(Ordering::Relaxed));
                bar.tick();
            }
            state = self.wake.wait_timeout(state, FRAME).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Stage {
    fn rate(&self, time: Duration) -> String {
        if self.total <= 1 || time.is_zero() {
            return String::new();
        }
        rate(self.unit, self.total as f64 / time.as_secs_f64())
    }
}

/// A time to come, to the second.
fn left(time: Duration) -> String {
    match time.as_secs_f64().round() {
        seconds if seconds < 100.0 => format!("{seconds} s"),
        _ => text::duration(time),
    }
}

/// Units a second, after a comma; nothing where the number says nothing.
fn rate(unit: Unit, per_second: f64) -> String {
    match unit {
        Unit::Bytes => format!(", {}/s", ByteSize(per_second as u64)),
        Unit::Items if per_second < 10.0 => String::new(),
        Unit::Items => format!(", {}/s", text::grouped(per_second as u64)),
    }
}

fn new_bar(phase: &'static str, name: &'static str, unit: Unit, total: u64, begun: Instant) -> ProgressBar {
    let template = match (total, unit) {
        // One thing, of which nothing is known until it is done.
        (..=1, _) => SINGLE.to_owned(),
        (_, Unit::Bytes) => format!("{BAR}{BYTES}"),
        (_, Unit::Items) => format!("{BAR}{ITEMS}"),
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        .with_style(style.progress_chars("━━─").with_key(
            "pace",
            move |state: &ProgressState, out: &mut dyn fmt::Write| {
                // Before the first unit nothing is known.
                if state.pos() > 0 {
                    let (rate, left) = (rate(unit, state.per_sec()), left(state.eta()));
                    let _ = write!(out, "{rate}, {left} left");
                }
            },
        ))
        .with_prefix(prefix(phase))
        .with_message(name)
        .with_elapsed(begun.elapsed())
}

fn prefix(phase: &str) -> String {
    if phase.is_empty() { String::new() } else { format!("{phase} ") }
}

fn amount(unit: Unit, total: u64) -> String {
    match unit {
        Unit::Bytes => ByteSize(total).to_string(),
        Unit::Items => text::count(total, "item"),
    }
}
