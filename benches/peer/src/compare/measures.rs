//! The measures: what is prepared, what is run, what is asked.
//!
//! Inputs of a phase are made once by the reference; the other phases' tests show that ours are the same bytes. Each
//! measured run gets a fresh copy, since PC2 encodes in place. A first run of each side, not counted, makes the parent
//! tables and warms the file cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::machine;
use super::program::{Files, Network, Programs, Side, measure};
use super::table::{Bound, Quantity, Row};
use crate::usage::Usage;

pub(super) const KIB_2: Size = Size { name: "2 KiB", proof: "StackedDrg2KiBV1_1", padded: 2 << 10 };
pub(super) const MIB_8: Size = Size { name: "8 MiB", proof: "StackedDrg8MiBV1_1", padded: 8 << 20 };

/// What names of PoRep parameters contain.
const POREP: &str = "stacked-proof-of-replication";

/// A sector size with its registered seal proof.
pub(super) struct Size {
    pub(super) name: &'static str,
    pub(super) proof: &'static str,
    pub(super) padded: usize,
}

/// What to run and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Both programs.
    pub programs: Programs,
    /// Folder for inputs and runs, on the disk that is to be measured.
    pub work: PathBuf,
    /// Folder with the 2 KiB parameters for C2 and the proof of an update.
    pub params: PathBuf,
    /// Counted runs of each side.
    pub runs: usize,
}

impl Plan {
    /// C2 at 2 KiB: CPU time, elapsed time and memory, with the same parameters.
    ///
    /// # Errors
    /// When a run fails or the parameters are missing.
    pub fn c2(&self) -> Result<Vec<Row>> {
        ensure!(holds_params(&self.params, POREP), "no PoRep parameters in {}", self.params.display());
        let inputs = self.inputs("c2", &KIB_2, 4)?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.c2(side, &self.params, &files))
        };
        let (ours, reference) = self.alternate(one)?;
        Ok(rows(
            "C2 2 KiB",
            &ours,
            &reference,
            &[(Quantity::Cpu, Bound::Ratio(2.0)), (Quantity::Wall, Bound::None), (Quantity::Peak, Bound::Ratio(3.0))],
        ))
    }

    /// PC1 at 8 MiB, the reference on its single-core path, parent tables present.
    ///
    /// # Errors
    /// When a run fails, or when the reference is not compiled for the processor's SHA instructions: the comparison
    /// would flatter us fourfold.
    pub fn pc1(&self) -> Result<Vec<Row>> {
        ensure!(
            !machine::has("sha_ni") || self.programs.reference_inlines_sha()?,
            "the reference is compiled without SHA instructions; build it with RUSTFLAGS=\"-C target-cpu=native\""
        );
        let inputs = self.inputs("pc1", &MIB_8, 1)?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.pc1(side, MIB_8.proof, &files))
        };
        one(Side::Ours)?;
        one(Side::Reference)?;
        let (ours, reference) = self.alternate(one)?;
        Ok(rows(
            "PC1 8 MiB",
            &ours,
            &reference,
            &[(Quantity::Cpu, Bound::Ratio(1.0)), (Quantity::Wall, Bound::Ratio(1.0)), (Quantity::Peak, Bound::None)],
        ))
    }

    /// PC2 at 8 MiB.
    ///
    /// # Errors
    /// When a run fails.
    pub fn pc2(&self) -> Result<Vec<Row>> {
        let inputs = self.inputs("pc2", &MIB_8, 2)?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.pc2(side, &files))
        };
        one(Side::Ours)?;
        let (ours, reference) = self.alternate(one)?;
        Ok(rows(
            "PC2 8 MiB",
            &ours,
            &reference,
            &[(Quantity::Cpu, Bound::Ratio(2.0)), (Quantity::Wall, Bound::None), (Quantity::Peak, Bound::None)],
        ))
    }

    /// Set-up of the 2 KiB PoRep: one run for each network, and one of the reference if asked (over 20 CPU minutes).
    ///
    /// # Errors
    /// When a run fails.
    pub fn setup(&self, with_reference: bool) -> Result<Vec<Row>> {
        let one = |side, network| -> Result<Usage> {
            let folder = self.work.join("setup");
            remove(&folder)?;
            fs::create_dir_all(&folder)?;
            let usage = measure(self.programs.params(side, network, &folder))?;
            remove(&folder)?;
            Ok(usage)
        };
        let mut all = Vec::new();
        for (network, minutes) in [(Network::Filecoin, 4.0), (Network::Filecash, 9.0)] {
            let ours = [one(Side::Ours, network)?];
            let reference = match network {
                Network::Filecoin if with_reference => vec![one(Side::Reference, network)?],
                _ => Vec::new(),
            };
            let name = format!("set-up 2 KiB PoRep, {network:?}");
            let asked = [(Quantity::Cpu, Bound::Below(minutes * 60.0)), (Quantity::Peak, Bound::None)];
            all.extend(rows(&name, &ours, &reference, &asked));
        }
        Ok(all)
    }

    /// A sector sealed by the reference up to `phases`: 0 a piece, 1 staged, 2 PC1, 3 PC2, 4 C1.
    pub(super) fn inputs(&self, name: &str, size: &Size, phases: usize) -> Result<Files> {
        let folder = self.work.join(format!("{name}-inputs"));
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        let files = Files::under(&folder);
        let piece: Vec<u8> = (0..size.padded / 128 * 127).map(|i| (i % 251) as u8).collect();
        fs::write(files.path("piece"), piece)?;
        let (programs, side) = (&self.programs, Side::Reference);
        let commands = [
            programs.add_piece(side, size.proof, &files),
            programs.pc1(side, size.proof, &files),
            programs.pc2(side, &files),
            programs.c1(side, &files),
        ];
        for command in commands.into_iter().take(phases) {
            measure(command).with_context(|| format!("making inputs of {}", size.name))?;
        }
        Ok(files)
    }

    /// A copy of inputs for one run, in the one folder for that.
    pub(super) fn fresh(&self, inputs: &Files) -> Result<Files> {
        self.fresh_in(inputs, "run")
    }

    /// A copy of inputs in a folder of that name.
    pub(super) fn fresh_in(&self, inputs: &Files, name: &str) -> Result<Files> {
        let folder = self.work.join(name);
        remove(&folder)?;
        copy(&inputs.path(""), &folder)?;
        Ok(Files::under(&folder))
    }

    /// Runs both sides in turn.
    pub(super) fn alternate(&self, one: impl Fn(Side) -> Result<Usage>) -> Result<(Vec<Usage>, Vec<Usage>)> {
        let (mut ours, mut reference) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            ours.push(one(Side::Ours)?);
            reference.push(one(Side::Reference)?);
        }
        Ok((ours, reference))
    }
}

/// A row for each quantity that is asked.
pub(super) fn rows(measure: &str, ours: &[Usage], reference: &[Usage], asked: &[(Quantity, Bound)]) -> Vec<Row> {
    let row = |&(quantity, bound)| Row {
        measure: measure.to_owned(),
        quantity,
        ours: ours.to_vec(),
        reference: reference.to_vec(),
        bound,
    };
    asked.iter().map(row).collect()
}

pub(super) fn holds_params(folder: &Path, circuit: &str) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).any(|name| name.contains(circuit) && name.ends_with(".params"))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Copies a folder of files and folders.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("cache")).unwrap();
        fs::write(from.join("cache/layer"), b"labels").unwrap();
        fs::write(from.join("sealed"), b"replica").unwrap();
        let to = folder.path().join("to");
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("cache/layer")).unwrap(), b"labels");
        assert_eq!(fs::read(to.join("sealed")).unwrap(), b"replica");
        remove(&to).unwrap();
        remove(&to).unwrap();
        assert!(!to.exists() && !holds_params(&to, POREP));
    }
}
