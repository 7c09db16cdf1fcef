//! Runs of a phase, one after the other.

use super::Times;
use super::document::Phase;
use super::sample::{Sample, Sampler};
use super::statistics::Spread;
use crate::context::Context;
use crate::report::{Failure, Kind};

/// What is run.
pub struct Series {
    /// What it is.
    pub name: String,
    /// What computes it.
    pub device: String,
    /// What it may take of a device's memory.
    pub vram_budget_bytes: Option<u64>,
    /// How much a run does, and of what.
    pub amount: (u64, &'static str),
    /// Bytes of sectors that a run works through.
    pub bytes: Option<u64>,
    /// How often.
    pub times: Times,
}

impl Series {
    /// Something that the CPU does.
    pub fn new(name: impl Into<String>, amount: (u64, &'static str), times: Times) -> Self {
        let device = "cpu".to_owned();
        Self { name: name.into(), device, vram_budget_bytes: None, amount, bytes: None, times }
    }

    /// Runs and measures. Before each run `prepare` is called with whether it is the last one, and not measured; what it
    /// gives is dropped after the run, and that is not measured either. Returns what the last run gave.
    ///
    /// # Errors
    /// Those of a run; a cancellation between two of them.
    pub fn run<P, T>(
        self,
        context: &Context,
        mut prepare: impl FnMut(bool) -> anyhow::Result<P>,
        mut work: impl FnMut(&mut P) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Phase, T)> {
        let Times { warm_up, runs } = self.times;
        let (mut samples, mut last) = (Vec::with_capacity(runs as usize), None);
        for number in 0..warm_up + runs {
            if context.is_cancelled() {
                return Err(Failure::new(Kind::Cancelled, "cancelled").into());
            }
            let mut prepared = prepare(number + 1 == warm_up + runs)?;
            let sampler = Sampler::start();
            let outcome = work(&mut prepared)?;
            let sample = sampler.stop();
            if number >= warm_up {
                samples.push(sample);
            }
            last = Some(outcome);
        }
        let last = last.ok_or_else(|| Failure::new(Kind::Usage, "nothing to run"))?;
        Ok((self.phase(samples)?, last))
    }

    /// The phase with these costs, measured in another way.
    ///
    /// # Errors
    /// Without runs.
    pub fn phase(self, runs: Vec<Sample>) -> anyhow::Result<Phase> {
        let of = |cost: fn(&Sample) -> Option<f64>| Spread::of_known(runs.iter().map(cost));
        let wall_seconds = of(|sample| Some(sample.wall_seconds));
        let wall_seconds = wall_seconds.ok_or_else(|| Failure::new(Kind::Usage, "nothing was measured"))?;
        let (amount, unit) = self.amount;
        Ok(Phase {
            name: self.name,
            device: self.device,
            vram_budget_bytes: self.vram_budget_bytes,
            amount,
            unit: unit.to_owned(),
            bytes: self.bytes,
            warm_up: self.times.warm_up,
            wall_seconds,
            cpu_seconds: of(|sample| sample.cpu_seconds),
            peak_memory_bytes: of(|sample| sample.peak_memory_bytes.map(|bytes| bytes as f64)),
            storage_read_bytes: of(|sample| sample.storage_read_bytes.map(|bytes| bytes as f64)),
            storage_written_bytes: of(|sample| sample.storage_written_bytes.map(|bytes| bytes as f64)),
            runs,
        })
    }
}

/// A phase of one sector with these costs.
#[cfg(test)]
pub fn phase_of(name: &str, runs: Vec<Sample>) -> Phase {
    let times = Times { warm_up: 1, runs: runs.len() as u32 };
    Series::new(name, (1, "sectors"), times).phase(runs).unwrap()
}
