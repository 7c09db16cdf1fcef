//! What a long computation is handed: its settings, whom to tell how far it is, and whether to go on.
//!
//! Every loop that can last over a second calls [`Stage::advance`], which reports progress and notices cancellation.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Config;

/// What a stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of data.
    Bytes,
    /// Nodes of 32 bytes, hashes, points, constraints: things.
    Items,
}

/// Receives the progress of stages. Stages do not nest; `advance` comes from any thread.
pub trait Progress: Sync {
    /// A stage of `total` units begins.
    fn begin(&self, stage: &'static str, unit: Unit, total: u64);
    /// `units` more are done.
    fn advance(&self, units: u64);
    /// The stage is over.
    fn end(&self);
}

/// Tells nobody.
#[derive(Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _stage: &'static str, _unit: Unit, _total: u64) {}
    fn advance(&self, _units: u64) {}
    fn end(&self) {}
}

/// A switch that stops a job at its next step; what was complete on disk stays.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The job was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Settings, progress and cancellation of one job.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The settings.
    pub config: &'a Config,
    /// Whom to tell.
    pub progress: &'a dyn Progress,
    /// Whether to go on.
    pub cancel: &'a Cancel,
}

impl<'a> Job<'a> {
    /// Begins a stage of `total` units; it ends when the guard is dropped.
    pub fn stage(&self, stage: &'static str, unit: Unit, total: u64) -> Stage<'a> {
        self.progress.begin(stage, unit, total);
        Stage { job: *self }
    }
}

/// A running stage.
pub struct Stage<'a> {
    job: Job<'a>,
}

impl Stage<'_> {
    /// Reports `units` more.
    ///
    /// # Errors
    /// [`Cancelled`] when the job was asked to stop.
    pub fn advance(&self, units: u64) -> Result<(), Cancelled> {
        self.job.progress.advance(units);
        if self.job.cancel.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.job.progress.end();
    }
}
