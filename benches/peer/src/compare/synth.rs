//! Synthetic proofs of an 8 MiB sector: 262,144 challenges, a file of 6.2 GB from each side.
//!
//! Each side runs once, on fresh copies of the same sector: the reference holds all proofs in memory, and verifies them one
//! by one. The files have to be the same bytes; they are compared and removed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::files::same_bytes;
use super::measures::{Plan, Size, rows};
use super::program::{Side, measure};
use super::table::{Bound, Quantity, Row};

const MIB_8: Size = Size { name: "8 MiB synthetic", proof: "StackedDrg8MiBV1_1_Feat_SyntheticPoRep", padded: 8 << 20 };
const FILE: &str = "cache/syn-porep-vanilla-proofs.dat";

impl Plan {
    /// Generation of synthetic proofs at 8 MiB: CPU time, elapsed time and memory.
    ///
    /// # Errors
    /// When a run fails, or the files differ.
    pub fn synth(&self) -> Result<Vec<Row>> {
        let inputs = self.inputs("synth", &MIB_8, 3)?;
        let one = |side, kept: &Path| {
            let files = self.fresh(&inputs)?;
            let usage = measure(self.programs.synth(side, &files))?;
            fs::rename(files.path(FILE), kept).with_context(|| format!("{side:?} made no {FILE}"))?;
            Ok::<_, anyhow::Error>(usage)
        };
        let kept: [PathBuf; 2] = ["synthetic-ours", "synthetic-reference"].map(|name| self.work.join(name));
        let (ours, reference) = (one(Side::Ours, &kept[0])?, one(Side::Reference, &kept[1])?);
        ensure!(same_bytes(&kept[0], &kept[1])?, "the files of synthetic proofs differ");
        kept.iter().try_for_each(fs::remove_file)?;
        let asked = [
            (Quantity::Cpu, Bound::Ratio(2.0)),
            (Quantity::Wall, Bound::Ratio(2.0)),
            (Quantity::Peak, Bound::Ratio(3.0)),
        ];
        Ok(rows("synthetic proofs 8 MiB", &[ours], &[reference], &asked))
    }
}
