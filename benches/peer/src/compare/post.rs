//! Measures of proofs of space-time at 2 KiB: a winning proof, and a window partition of two sectors.
//!
//! Both programs open the same sealed sector and prove it under the same parameters. Nothing in a proof of space-time is
//! bound to the sector's number but its challenges, so the window's two sectors are one under two numbers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::measures::{KIB_2, Plan, rows};
use super::program::{Files, Side, measure};
use super::table::{Bound, Quantity, Row};

/// A kind of proof: ours and the reference's names for it.
pub(super) struct Kind {
    /// The step of ours.
    pub(super) name: &'static str,
    /// The registered proof.
    pub(super) proof: &'static str,
    sectors: &'static [u64],
    /// In the name of the parameters.
    parameters: &'static str,
}

const WINNING: Kind = Kind {
    name: "winning",
    proof: "StackedDrgWinning2KiBV1",
    sectors: &[12345],
    parameters: "3ea05428c9d11689f23529cde32fd30aabd50f7d2c93657c1d3650bca3e8ea9e.params",
};
const WINDOW: Kind = Kind {
    name: "window",
    proof: "StackedDrgWindow2KiBV1_2",
    sectors: &[12345, 12346],
    parameters: "0170db1f394b35d995252228ee359194b13199d259380541dc529fb0099096b0.params",
};

impl Plan {
    /// A winning proof of a 2 KiB sector: CPU time, elapsed time and memory.
    ///
    /// # Errors
    /// When a run fails or the parameters are missing.
    pub fn winning(&self) -> Result<Vec<Row>> {
        self.space_time(&WINNING)
    }

    /// A window proof of a full partition of 2 KiB sectors.
    ///
    /// # Errors
    /// When a run fails or the parameters are missing.
    pub fn window(&self) -> Result<Vec<Row>> {
        self.space_time(&WINDOW)
    }

    fn space_time(&self, kind: &Kind) -> Result<Vec<Row>> {
        let folder = self.params.display();
        ensure!(holds(&self.params, kind.parameters), "no parameters of the 2 KiB {} PoSt in {folder}", kind.name);
        let inputs = self.inputs(kind.name, &KIB_2, 3)?;
        let list = list(kind, &inputs)?;
        let out = |side| self.work.join(format!("{}-{side:?}", kind.name));
        let one = |side| measure(self.programs.post(side, &self.params, kind, &list, &out(side)));
        // Warms the parameters, which both read from the same files.
        one(Side::Ours)?;
        one(Side::Reference)?;
        let (ours, reference) = self.alternate(one)?;
        for side in [Side::Ours, Side::Reference] {
            measure(self.programs.verify_post(&self.params, kind, &list, &out(side)))
                .context("our check of a proof")?;
        }
        let asked =
            [(Quantity::Cpu, Bound::Ratio(3.0)), (Quantity::Wall, Bound::None), (Quantity::Peak, Bound::Ratio(3.0))];
        Ok(rows(&format!("{} PoSt 2 KiB", kind.name), &ours, &reference, &asked))
    }
}

fn holds(folder: &Path, ending: &str) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).any(|name| name.ends_with(ending))
}

/// The list of sectors, as both programs read it.
fn list(kind: &Kind, inputs: &Files) -> Result<PathBuf> {
    let pc2: Value = serde_json::from_slice(&fs::read(inputs.path("pc2.json"))?)?;
    let comm_r: Vec<u8> = serde_json::from_value(pc2["comm_r"].clone()).context("no comm_r in pc2.json")?;
    let entry = |sector: &u64| {
        json!({
            "sector_id": sector, "comm_r": hex::encode(&comm_r),
            "cache": inputs.path("cache"), "sealed": inputs.path("sealed"),
        })
    };
    let path = inputs.path("sectors.json");
    fs::write(&path, serde_json::to_vec(&kind.sectors.iter().map(entry).collect::<Vec<_>>())?)?;
    Ok(path)
}
