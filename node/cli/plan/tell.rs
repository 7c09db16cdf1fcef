//! A plan as text and as JSON.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore, published};
use filecash_engine::sector::SealProof;
use filecash_node::plan::{Lifetime, Needs, Phase, Place, Question, budget_text, peak_disk_bytes};
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use super::disk::Disk;
use crate::args::plan::Plan;
use crate::context::Context;
use crate::text::Align::{Left, Right};
use crate::text::{Table, count, duration};

/// What threads get of their cores when nothing else is running.
const QUIET: f64 = 0.9;

/// A plan and all that it was made of.
pub struct Told<'a> {
    pub args: &'a Plan,
    pub context: &'a Context,
    pub proof: &'a SealProof,
    pub question: &'a Question<'a>,
    pub disk: Option<&'a Disk>,
    pub needs: &'a [Needs],
}

impl Told<'_> {
    /// Whether memory does for every phase, and the disk for sealing.
    pub fn fits(&self) -> bool {
        self.needs.iter().all(|needs| needs.fits) && !self.disk_is_short()
    }

    fn disk_is_short(&self) -> bool {
        self.disk.and_then(|disk| disk.free_bytes).is_some_and(|free| free < peak_disk_bytes(self.needs))
    }

    /// For people.
    pub fn text(&self) -> String {
        let (config, question) = (self.proof.config(), self.question);
        let rates = question.rates;
        let mut text = format!(
            "{} of {}, profile {}, {}\n  memory budget {}{}, {}\n\n",
            count(question.sectors, "sector"),
            config.params.name,
            config.profile,
            self.args.feature,
            ByteSize(question.memory_bytes),
            question.free_bytes.map_or(String::new(), |free| format!(", {} free for pages of files", ByteSize(free))),
            count(rates.threads as u64, "thread"),
        );
        text += &self.table();
        text += &self.disk_text();
        let notes = self.needs.iter().flat_map(|needs| needs.notes.iter().map(|note| (needs.phase.name(), note)));
        let notes: Vec<String> = notes.map(|(phase, note)| format!("  {phase}: {note}\n")).collect();
        if !notes.is_empty() {
            text += &format!("\n{}", notes.concat());
        }
        if self.args.explain {
            text += &self.explained();
        }
        let used = question.devices.iter().flatten().flat_map(|devices| devices.places);
        let used: BTreeSet<_> = used.filter_map(|place| rates.devices.get(*place)).map(|rates| &*rates.name).collect();
        let with = match used.is_empty() {
            true => "alone".to_owned(),
            false => format!("and on {}", used.into_iter().collect::<Vec<_>>().join(", ")),
        };
        text += &format!(
            "\n  Times are estimates: counts of work, times the speed of each kernel in a short run, on\n  \
             the CPU {with} and with nothing else running."
        );
        if rates.share < QUIET {
            text += &format!(
                "\n  Something else was running: {} got {:.0} % of their cores, and times are as long as that makes them.\n ",
                count(rates.threads as u64, "thread"),
                100.0 * rates.share
            );
        }
        text += match self.disk {
            Some(_) => " Where the disk takes longer, its time is shown.\n",
            None => " The disk's time is left out; --storage-dir tries it.\n",
        };
        if !self.args.explain {
            text += "  --explain shows the arithmetic.\n";
        }
        text
    }

    fn table(&self) -> String {
        let mut table = Table::new(&[
            ("phase", Left),
            ("time", Right),
            ("memory", Right),
            ("mapped", Right),
            ("VRAM", Right),
            ("disk, stays", Right),
            ("until proven", Right),
            ("temporary", Right),
            ("parameters read", Right),
            ("", Left),
        ]);
        for needs in self.needs {
            let disk = |lifetime| {
                let files = needs.disk.iter().filter(|file| file.place == Place::Sector && file.lifetime == lifetime);
                size(files.map(|file| file.bytes).sum())
            };
            table.row([
                needs.phase.name().to_owned(),
                format!("~{}", duration(Duration::from_secs_f64(needs.seconds))),
                size(needs.working_bytes + needs.besides_bytes),
                size(needs.mapped_bytes),
                if needs.vram_bytes == 0 { "-".to_owned() } else { format!("≤ {}", ByteSize(needs.vram_bytes)) },
                disk(Lifetime::Stays),
                disk(Lifetime::UntilProven),
                disk(Lifetime::Temporary),
                size(needs.parameter_bytes),
                if needs.fits {
                    String::new()
                } else {
                    format!("not in this budget: needs --max-ram {}", budget_text(needs.least_memory_bytes))
                },
            ]);
        }
        table.render()
    }

    fn disk_text(&self) -> String {
        let mut table = Table::new(&[("", Left), ("", Right), ("", Left)]);
        let peak = peak_disk_bytes(self.needs);
        table.row(["sectors' folders, at most".to_owned(), size(peak), self.free_text(peak)]);
        table.row(["of it after clear-cache".to_owned(), size(self.kept_bytes()), String::new()]);
        for (what, place, folder) in [
            ("parent table", Place::ParentCache, self.context.config.parent_cache.as_path()),
            ("parameters", Place::ParameterCache, self.context.config.parameter_cache.as_path()),
        ] {
            let files = self.needs.iter().flat_map(|needs| &needs.disk).filter(|file| file.place == place);
            table.row([what.to_owned(), size(files.map(|file| file.bytes).sum()), format!("in {}", folder.display())]);
        }
        let scratch = self.needs.iter().flat_map(|needs| &needs.disk).filter(|file| file.place == Place::Scratch);
        if let Some(most) = scratch.map(|file| file.bytes).max() {
            let folder = format!("in {}", self.context.config.scratch.display());
            table.row(["vectors of a proof, while it is made".to_owned(), size(most), folder]);
        }
        let missing = self.missing_parameters();
        let mut text = format!("\n  disk\n{}", table.render());
        if !missing.is_empty() {
            text += &format!("  parameters that are not there yet: {}\n", missing.join(", "));
            let (profile, params) = (self.proof.profile, self.question.config.params);
            let porep = ParamId::new(profile, CircuitKind::PoRep, params.size_bytes);
            if porep.is_ok_and(|id| published(&id).is_some()) {
                text +=
                    &format!("  filecash params fetch --profile {profile} --sector-size {} gets them\n", params.name);
            }
        }
        text
    }

    fn free_text(&self, peak: u64) -> String {
        let Some(Disk { folder, rates, free_bytes }) = self.disk else { return String::new() };
        let free = free_bytes.map_or(String::new(), |free| {
            let short = if free < peak { ", too little" } else { "" };
            format!("{} free{short}, ", ByteSize(free))
        });
        let rate = |bytes: f64| ByteSize(bytes as u64);
        format!("in {}: {free}reads {}/s, writes {}/s", folder.display(), rate(rates.read), rate(rates.write))
    }

    /// Bytes that stay of sealed sectors.
    fn kept_bytes(&self) -> u64 {
        let sealing = self.needs.iter().filter(|needs| needs.phase != Phase::Unseal);
        let files = sealing.flat_map(|needs| &needs.disk);
        let kept = files.filter(|file| file.place == Place::Sector && file.lifetime == Lifetime::Stays);
        kept.map(|file| file.bytes).sum()
    }

    fn missing_parameters(&self) -> Vec<&'static str> {
        let store = ParamStore::new(&self.context.config.parameter_cache);
        let circuits = [
            (CircuitKind::PoRep, "PoRep"),
            (CircuitKind::Winning, "winning PoSt"),
            (CircuitKind::Window, "window PoSt"),
        ];
        let is_there = |kind| {
            let id = ParamId::new(self.proof.profile, kind, self.question.config.params.size_bytes);
            id.is_ok_and(|id| Path::is_file(&store.path(&id, FileKind::Params)))
        };
        circuits.into_iter().filter(|(kind, _)| !is_there(*kind)).map(|(_, name)| name).collect()
    }

    fn explained(&self) -> String {
        let mut text = String::new();
        for needs in self.needs {
            text += &format!("\n  {}\n", needs.phase.name());
            let mut table = Table::new(&[("", Left), ("", Right), ("", Left), ("", Right), ("", Left), ("", Right)]);
            for term in &needs.terms {
                let time = duration(Duration::from_secs_f64(term.seconds));
                table.row([
                    term.what.clone(),
                    amount(term.count),
                    "/".to_owned(),
                    format!("{}/s", amount(term.per_second)),
                    "=".to_owned(),
                    time,
                ]);
            }
            text += &table.render();
            if let Some(seconds) = needs.disk_seconds {
                let time = duration(Duration::from_secs_f64(seconds));
                let (read, written) = (ByteSize(needs.read_bytes), ByteSize(needs.written_bytes));
                text += &format!("  disk meanwhile: {read} read, {written} written = {time}\n");
            }
            for file in &needs.disk {
                text += &format!("  {}: {} ({} bytes)\n", file.what, ByteSize(file.bytes), file.bytes);
            }
            text += &format!(
                "  memory: {} of the budget, at least {}; besides {}; mapped {}\n",
                ByteSize(needs.working_bytes),
                ByteSize(needs.least_memory_bytes),
                ByteSize(needs.besides_bytes),
                ByteSize(needs.mapped_bytes)
            );
        }
        text
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let question = self.question;
        json!({
            "profile": self.proof.profile.name(),
            "sector_bytes": self.question.config.params.size_bytes,
            "sectors": question.sectors,
            "feature": self.args.feature.to_string(),
            "memory_bytes": question.memory_bytes,
            "free_bytes": question.free_bytes,
            "fits": self.fits(),
            "estimated": true,
            "rates": question.rates,
            "disk": self.disk.map(|disk| json!({
                "folder": disk.folder,
                "read_bytes_per_second": disk.rates.read,
                "write_bytes_per_second": disk.rates.write,
                "free_bytes": disk.free_bytes,
            })),
            "peak_disk_bytes": peak_disk_bytes(self.needs),
            "kept_disk_bytes": self.kept_bytes(),
            "missing_parameters": self.missing_parameters(),
            "phases": self.needs,
        })
    }
}

/// A size, or a dash for none.
fn size(bytes: u64) -> String {
    if bytes == 0 { "-".to_owned() } else { ByteSize(bytes).to_string() }
}

/// A number with three digits.
fn amount(number: f64) -> String {
    match number {
        1e12.. => format!("{:.2} T", number / 1e12),
        1e9.. => format!("{:.2} G", number / 1e9),
        1e6.. => format!("{:.2} M", number / 1e6),
        1e3.. => format!("{:.2} k", number / 1e3),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_rounded_up() {
        assert_eq!([1, 1 << 20, (1 << 20) + 1].map(budget_text), ["1MiB", "1MiB", "2MiB"]);
        assert_eq!([2.0, 2500.0, 1.3e8].map(amount), ["2.000", "2.50 k", "130.00 M"]);
    }
}
