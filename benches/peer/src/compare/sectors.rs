//! PC1 of several sectors: ours in one process, the reference in as many at a time as there are threads, which is what
//! its users do.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::files::{remove, same_bytes};
use super::machine;
use super::measures::{MIB_8, Plan, rows};
use super::program::{Files, PROVER_ID, Side, TICKET, measure};
use super::table::{Bound, Quantity, Row};
use crate::usage::Usage;

const SECTORS: usize = 4;

impl Plan {
    /// PC1 of four sectors: elapsed time on all threads, CPU time, memory. The replicas' layers have to be the same.
    ///
    /// # Errors
    /// When a run fails, the layers differ, or the reference is not compiled for the processor's SHA instructions.
    pub fn pc1_of_many(&self) -> Result<Vec<Row>> {
        ensure!(
            !machine::has("sha_ni") || self.programs.reference_inlines_sha()?,
            "the reference is compiled without SHA instructions; build it with RUSTFLAGS=\"-C target-cpu=native\""
        );
        let size = self.size.unwrap_or(MIB_8);
        let inputs = self.inputs("pc1-many", &size, 1)?;
        let one = |side| {
            let sectors: Vec<_> =
                (0..SECTORS).map(|sector| self.sector(&inputs, size.proof, side, sector)).collect::<Result<_>>()?;
            match side {
                Side::Ours => measure(self.programs.pc1_of_many(&sectors, size.padded)),
                Side::Reference => self.reference_on_all_threads(size.proof, &sectors),
            }
        };
        one(Side::Ours)?;
        one(Side::Reference)?;
        self.same_layers()?;
        let (ours, reference) = self.alternate(one)?;
        // Eight copies and their layers take 32 times the size of a sector.
        for sector in 0..SECTORS {
            remove(&self.run(Side::Ours, sector))?;
            remove(&self.run(Side::Reference, sector))?;
        }
        Ok(rows(
            &format!("PC1 of four {} sectors", size.name),
            &ours,
            &reference,
            &[(Quantity::Cpu, Bound::None), (Quantity::Wall, Bound::Ratio(1.8)), (Quantity::Peak, Bound::None)],
        ))
    }

    /// The folder of a run with one of the sectors.
    fn run(&self, side: Side, sector: usize) -> PathBuf {
        self.work.join(run_name(side, sector))
    }

    /// A fresh copy of the inputs for one of the sectors.
    fn sector(&self, inputs: &Files, proof: &str, side: Side, sector: usize) -> Result<Files> {
        let files = self.fresh_in(inputs, &run_name(side, sector))?;
        let identity = json!({
            "profile": "filecoin", "registered_proof": proof, "prover_id": PROVER_ID, "sector": sector, "ticket": TICKET,
        });
        fs::write(files.path("sector.json"), identity.to_string()).context("describing a sector")?;
        fs::create_dir_all(files.path("cache"))?;
        Ok(files)
    }

    /// A process for each sector, as many at a time as there are threads. Their CPU time and memory are added up, as if those
    /// that run together were at their largest together.
    fn reference_on_all_threads(&self, proof: &str, sectors: &[Files]) -> Result<Usage> {
        let threads = self.programs.threads;
        let queue = Mutex::new(sectors.iter().enumerate().collect::<VecDeque<_>>());
        let begin = Instant::now();
        let work = || -> Result<Vec<Usage>> {
            let mut used = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((sector, files)) = next else { return Ok(used) };
                let command = self.programs.pc1_of(Side::Reference, proof, &sector.to_string(), files);
                used.push(measure(command)?);
            }
        };
        let used: Vec<Vec<Usage>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Result<_>>()
        })?;
        let all = || used.iter().flatten();
        Ok(Usage {
            wall_seconds: begin.elapsed().as_secs_f64(),
            user_seconds: all().map(|usage| usage.user_seconds).sum(),
            system_seconds: all().map(|usage| usage.system_seconds).sum(),
            peak_rss_bytes: used.iter().filter_map(|used| used.iter().map(|usage| usage.peak_rss_bytes).max()).sum(),
        })
    }

    /// Asks that the last layers of both sides' last runs are the same.
    fn same_layers(&self) -> Result<()> {
        for sector in 0..SECTORS {
            let layer = |side: Side| self.run(side, sector).join("cache/sc-02-data-layer-2.dat");
            let is_same = same_bytes(&layer(Side::Ours), &layer(Side::Reference)).context("comparing layers")?;
            ensure!(is_same, "layers of sector {sector} differ");
        }
        Ok(())
    }
}

/// The name of a run's folder.
fn run_name(side: Side, sector: usize) -> String {
    format!("run-{side:?}-{sector}")
}
