//! `filecash chain import`: a CAR file's chain, checked and followed.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context as _;
use filecash_chain::check::Rules;
use filecash_chain::folder::{Progress, import as take};
use filecash_engine::job::{Stage, Unit};
use filecash_node::size::ByteSize;
use serde_json::json;

use super::opened::folder;
use crate::context::Context;
use crate::report::Report;
use crate::text::{Table, count, grouped};

/// Runs the verb.
pub fn run(file: &Path, context: &Context) -> anyhow::Result<Report> {
    let folder = folder(context)?;
    let mut told = Told { context, stage: None, at: 0 };
    let outcome = take(folder, file, &Rules::MAINNET, None, &mut |progress| told.tell(progress));
    drop(told);
    let kept = || "what is there is whole, and the rest comes when the file is imported again".to_owned();
    let outcome = context.kept(outcome, kept);
    let (chain, imported) = outcome.with_context(|| format!("cannot import {}", file.display()))?;
    let head = chain.head();
    let mut table = Table::fields();
    table
        .row(["Kept", &format!("{} of {}", count(imported.blocks, "block"), ByteSize(imported.bytes))])
        .row([
            "Checked",
            &format!("{} with {}", count(imported.tipsets, "new tipset"), count(imported.messages, "message")),
        ])
        .row(["Genesis", &chain.genesis().to_string()])
        .row(["Head", &format!("height {}, weight {}", head.tipset.height(), head.weight)]);
    if imported.unknown_signers > 0 {
        let text = format!("{} with signers whose keys are not known", grouped(imported.unknown_signers));
        table.row(["Not all signatures", &text]);
    }
    if !imported.moved && imported.tipsets > 0 {
        table.row(["Not followed", "the chain that is there is as heavy or heavier"]);
    }
    let json = json!({
        "folder": folder, "genesis": chain.genesis().to_string(), "height": head.tipset.height(),
        "weight": head.weight, "head": head.tipset.key().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "blocks": imported.blocks, "blocks_bytes": imported.bytes, "tipsets": imported.tipsets,
        "messages": imported.messages, "unknown_signers": imported.unknown_signers, "moved": imported.moved,
    });
    Ok(Report::done(table.render(), json))
}

/// Tells how far it is, a stage after the other.
struct Told<'a> {
    context: &'a Context,
    stage: Option<(&'static str, Stage<'a>)>,
    at: u64,
}

impl Told<'_> {
    fn tell(&mut self, progress: Progress) -> ControlFlow<()> {
        let number = |height: i64| u64::try_from(height).unwrap_or(0);
        let (name, unit, at, of) = match progress {
            Progress::Headers(_) => ("headers", Unit::Items, self.at + 1, 0),
            Progress::Blocks { read, of } => ("import", Unit::Bytes, read, of),
            Progress::Messages { height, of } => ("messages", Unit::Items, number(height), number(of)),
            _ => return ControlFlow::Continue(()),
        };
        if self.stage.as_ref().is_none_or(|(before, _)| *before != name) {
            // The one before ends first.
            self.stage = None;
            self.stage = Some((name, self.context.job().stage(name, unit, of)));
            self.at = 0;
        }
        if let Some((_, stage)) = &self.stage {
            // Whether to stop is asked below.
            let _ = stage.advance(at.saturating_sub(self.at));
        }
        self.at = at;
        if self.context.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
