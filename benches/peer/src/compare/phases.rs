//! A sector's life from its data to the data got back, by both programs phase after phase, once.
//!
//! Each keeps its files in a folder of its own, and what a phase leaves is compared before the next begins. Proofs are
//! random: each program verifies the other's. PC1 makes the parent table too; unsealing has nothing but the replica.

use std::fs;

use anyhow::{Result, ensure};

use super::files::{comms, remove, same};
use super::measures::{KIB_2, Plan, rows};
use super::program::{Files, Side, measure};
use super::table::{Bound, Quantity, Row};

/// Phases, and what both sides have to have after each: a file of ours, and one of the reference's.
const PHASES: [(&str, &[[&str; 2]]); 7] = [
    ("add-piece", &[["staged"; 2], ["pieces.json"; 2]]),
    ("PC1", &[]),
    ("PC2", &[["sealed"; 2], ["pc2.json"; 2]]),
    ("C1", &[["c1.json"; 2]]),
    ("C2", &[]),
    ("verify", &[]),
    ("unseal", &[["data"; 2], ["data", "piece"]]),
];

impl Plan {
    /// Every phase of one sector: CPU time, elapsed time, memory.
    ///
    /// # Errors
    /// When a phase fails, its results differ, or the parameters are missing.
    pub fn phases(&self) -> Result<Vec<Row>> {
        let size = self.size.unwrap_or(KIB_2);
        self.check_params(&size)?;
        let [ours, reference] = ["phases-ours", "phases-reference"].map(|name| Files::under(&self.work.join(name)));
        for files in [&ours, &reference] {
            remove(&files.path(""))?;
            fs::create_dir_all(files.path("unseal"))?;
            size.write_piece(files)?;
        }
        let programs = &self.programs;
        let mut all = Vec::new();
        for (phase, results) in PHASES {
            let run = |side, files: &Files, other: &Files| {
                measure(match phase {
                    "add-piece" => programs.add_piece(side, size.proof, files),
                    "PC1" => programs.pc1(side, size.proof, files),
                    "PC2" => programs.pc2(side, files),
                    "C1" => programs.c1(side, files),
                    "C2" => programs.c2(side, &self.params, files),
                    "verify" => programs.verify(side, &self.params, size.proof, &comms(files)?, &other.path("proof")),
                    _ => programs.unseal(side, size.proof, &comms(files)?[1], size.unpadded(), files),
                })
            };
            let usages = [run(Side::Ours, &ours, &reference)?, run(Side::Reference, &reference, &ours)?];
            for [our_file, other_file] in results {
                let (one, other) = (ours.path(our_file), reference.path(other_file));
                ensure!(same(&one, &other)?, "{} and {} differ", one.display(), other.display());
            }
            let asked = [Quantity::Cpu, Quantity::Wall, Quantity::Peak].map(|quantity| (quantity, Bound::None));
            all.extend(rows(&format!("{phase} {}", size.name), &usages[..1], &usages[1..], &asked));
        }
        [ours, reference].iter().try_for_each(|files| remove(&files.path("")))?;
        Ok(all)
    }
}
