//! The measures: what is prepared, what is run, what is asked.
//!
//! Inputs of a phase are made once by the reference; the other phases' tests show that ours are the same bytes. Each
//! measured run gets a fresh copy, since PC2 encodes in place. A first run of each side, not counted, makes the parent
//! tables and warms the file cache.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use filecash_engine::circuit::PoRepShape;
use filecash_engine::groth16::Counts;
use filecash_engine::params::{CircuitKind, FileKind, ParamId};
use filecash_engine::sector::Profile;
use filecash_engine::sector::params::for_size;

use super::files::{comms, copy, remove};
use super::machine;
use super::program::{Files, Network, Programs, Side, measure};
use super::table::{Bound, Quantity, Row};
use crate::usage::Usage;

pub(super) const KIB_2: Size = Size { name: "2 KiB", proof: "StackedDrg2KiBV1_1", padded: 2 << 10 };
pub(super) const MIB_8: Size = Size { name: "8 MiB", proof: "StackedDrg8MiBV1_1", padded: 8 << 20 };
const MIB_512: Size = Size { name: "512 MiB", proof: "StackedDrg512MiBV1_1", padded: 512 << 20 };

/// A sector size with its registered seal proof.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub(super) name: &'static str,
    pub(super) proof: &'static str,
    pub(super) padded: usize,
}

impl Size {
    /// A size that is measured, by its name without blanks: 2KiB, 8MiB, 512MiB.
    pub fn named(name: &str) -> Option<Self> {
        [KIB_2, MIB_8, MIB_512].into_iter().find(|size| size.name.replace(' ', "") == name)
    }

    /// Bytes of data.
    pub(super) fn unpadded(&self) -> usize {
        self.padded / 128 * 127
    }

    /// Writes a piece that fills a sector, a little at a time: what this process holds counts as its children's peak.
    pub(super) fn write_piece(&self, files: &Files) -> Result<()> {
        let bytes: Vec<u8> = (0..=250).cycle().take(251 << 10).collect();
        let write = |mut file: File| {
            let mut left = self.unpadded();
            while left > 0 {
                let some = &bytes[..left.min(bytes.len())];
                file.write_all(some)?;
                left -= some.len();
            }
            Ok::<_, std::io::Error>(())
        };
        File::create(files.path("piece")).and_then(write).context("writing a piece")
    }
}

/// What to run and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Both programs.
    pub programs: Programs,
    /// Folder for inputs and runs, on the disk that is to be measured.
    pub work: PathBuf,
    /// Folder with the parameters for C2 and the proofs of 2 KiB sectors.
    pub params: PathBuf,
    /// Sectors of the measures that can have several sizes; each has a default.
    pub size: Option<Size>,
    /// Counted runs of each side.
    pub runs: usize,
}

impl Plan {
    /// C2, at 2 KiB unless told otherwise: CPU time, elapsed time and memory, with the same parameters.
    ///
    /// # Errors
    /// When a run fails or the parameters are missing.
    pub fn c2(&self) -> Result<Vec<Row>> {
        let size = self.size.unwrap_or(KIB_2);
        self.check_params(&size)?;
        let inputs = self.inputs("c2", &size, 4)?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.c2(side, &self.params, &files))
        };
        let (ours, reference) = self.alternate(one)?;
        let params = for_size(Profile::Filecoin, size.padded as u64)?;
        let constraints = Counts::porep(&PoRepShape::new(Profile::Filecoin, params)).constraints;
        Ok(rows(
            &format!("C2 {}", size.name),
            &ours,
            &reference,
            &[
                (Quantity::Cpu, Bound::Ratio(3.0)),
                (Quantity::Wall, Bound::None),
                (Quantity::Peak, Bound::Ratio(3.0)),
                (Quantity::PeakOf(constraints), Bound::None),
            ],
        ))
    }

    /// PC1, at 8 MiB unless told otherwise, the reference on its single-core path, parent tables present.
    ///
    /// # Errors
    /// When a run fails, or when the reference is not compiled for the processor's SHA instructions: the comparison
    /// would flatter us fourfold.
    pub fn pc1(&self) -> Result<Vec<Row>> {
        ensure!(
            !machine::has("sha_ni") || self.programs.reference_inlines_sha()?,
            "the reference is compiled without SHA instructions; build it with RUSTFLAGS=\"-C target-cpu=native\""
        );
        let size = self.size.unwrap_or(MIB_8);
        let inputs = self.inputs("pc1", &size, 1)?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.pc1(side, size.proof, &files))
        };
        one(Side::Ours)?;
        one(Side::Reference)?;
        let (ours, reference) = self.alternate(one)?;
        Ok(rows(
            &format!("PC1 {}", size.name),
            &ours,
            &reference,
            &[(Quantity::Cpu, Bound::Ratio(1.0)), (Quantity::Wall, Bound::Ratio(1.0)), (Quantity::Peak, Bound::None)],
        ))
    }

    /// PC2, at 8 MiB unless told otherwise. The replica's commitments have to be the same in all runs.
    ///
    /// # Errors
    /// When a run fails, or the commitments differ.
    pub fn pc2(&self) -> Result<Vec<Row>> {
        let size = self.size.unwrap_or(MIB_8);
        let inputs = self.inputs("pc2", &size, 2)?;
        let known = OnceCell::new();
        let one = |side| {
            let files = self.fresh(&inputs)?;
            let usage = measure(self.programs.pc2(side, &files))?;
            let comms = comms(&files)?;
            ensure!(known.get_or_init(|| comms.clone()) == &comms, "commitments differ");
            Ok(usage)
        };
        one(Side::Ours)?;
        let (ours, reference) = self.alternate(one)?;
        Ok(rows(
            &format!("PC2 {}", size.name),
            &ours,
            &reference,
            &[(Quantity::Cpu, Bound::Ratio(5.0)), (Quantity::Wall, Bound::None), (Quantity::Peak, Bound::None)],
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
        size.write_piece(&files)?;
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

    /// Asks for the parameters of the PoRep: without them the reference would make them, and that would be measured.
    pub(super) fn check_params(&self, size: &Size) -> Result<()> {
        let id = ParamId::new(Profile::Filecoin, CircuitKind::PoRep, size.padded as u64)?;
        let path = self.params.join(id.file_name(FileKind::Params));
        ensure!(path.exists(), "no parameters {}", path.display());
        Ok(())
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
    let row = |&(quantity, bound): &(Quantity, Bound)| Row::new(measure, quantity, ours, reference, bound);
    asked.iter().map(row).collect()
}

pub(super) fn holds_params(folder: &Path, circuit: &str) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).any(|name| name.contains(circuit) && name.ends_with(".params"))
}
