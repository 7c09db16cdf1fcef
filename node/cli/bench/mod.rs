//! `filecash bench …`: what phases and kernels cost on this machine.
//!
//! ```text
//! sectors ── sealing, post ─┐
//! input ──── proofs ────────┼─ series (runs) ─ document (JSON) ─┬─ text, html
//!            kernels ───────┘      sample        predict        └─ compare
//! ```
//!
//! Every phase is run several times on the same inputs, its outputs going where nothing else looks, and what a run costs is
//! taken from the system around exactly that run. The result is a [`document::Document`]; tables, pages and comparisons are
//! made of it alone. `docs/benchmarks.md` describes every field.

mod compare;
mod document;
mod html;
mod input;
mod kernels;
mod machine;
mod post;
mod predict;
mod proofs;
mod sample;
mod sealing;
mod sectors;
mod series;
mod statistics;
mod svg;
mod table;

use crate::args::bench::{Bench, Repeats, Save};
use crate::context::Context;
use crate::files;
use crate::report::Report;

use document::Document;

/// Runs the verb.
pub fn run(verb: &Bench, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Bench::Sealing(args) => saved(&args.save, || sealing::run(args, context)),
        Bench::Prove(args) => saved(&args.save, || proofs::prove(args, context)),
        Bench::WindowPost(args) => saved(&args.save, || post::window(args, context)),
        Bench::WinningPost(args) => saved(&args.save, || post::winning(args, context)),
        Bench::Verify(args) => saved(&args.save, || proofs::verify(args, context)),
        Bench::Kernels(args) => saved(&args.save, || kernels::run(args, context)),
        Bench::Compare(args) => compare::run(args),
    }
}

/// Measures, and writes the result to the files that were asked for. Files in the way are missed before anything is
/// measured.
fn saved(save: &Save, measure: impl FnOnce() -> anyhow::Result<Document>) -> anyhow::Result<Report> {
    for path in [&save.out, &save.html].into_iter().flatten() {
        files::refuse_existing(path, save.force)?;
    }
    let document = measure()?;
    let json = serde_json::to_value(&document)?;
    let mut text = table::text(&document);
    if let Some(path) = &save.out {
        files::write(path, crate::report::pretty(&json).as_bytes(), save.force)?;
        text += &format!("Result: {}\n", path.display());
    }
    if let Some(path) = &save.html {
        files::write(path, html::page(&document).as_bytes(), save.force)?;
        text += &format!("Report: {}\n", path.display());
    }
    Ok(Report::done(text, json))
}

/// How often a phase is run.
#[derive(Clone, Copy, Debug)]
struct Times {
    warm_up: u32,
    runs: u32,
}

impl Times {
    /// Of long phases: once.
    fn long(repeats: &Repeats) -> Self {
        Self { warm_up: repeats.warm_up.unwrap_or(0), runs: repeats.runs.unwrap_or(1) }
    }

    /// Of short phases: five times, after one that brings pages in and the clock up.
    fn short(repeats: &Repeats) -> Self {
        Self { warm_up: repeats.warm_up.unwrap_or(1), runs: repeats.runs.unwrap_or(5) }
    }
}
