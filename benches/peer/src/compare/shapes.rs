//! The structure-compressed shapes of the PoRep circuits of network sizes: ours alone, each run a process.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use filecash_engine::sector::Profile;

use super::measures::{Plan, rows};
use super::table::{Bound, Quantity, Row};
use crate::shape::{self, ShapeCost};

const GIB: u64 = 1 << 30;
const SHAPES: [(Profile, u64); 3] = [(Profile::Filecoin, 32), (Profile::Filecash, 4), (Profile::Filecash, 16)];

impl Plan {
    /// Size in memory, making, and evaluating one partition.
    ///
    /// # Errors
    /// When a run fails.
    pub fn shape(&self) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        for (profile, gib) in SHAPES {
            let costs: Vec<ShapeCost> =
                (0..self.runs).map(|_| self.shape_of(profile, gib * GIB)).collect::<Result<_>>()?;
            let constraints = costs.first().map_or(0, |cost| cost.constraints) as f64 / 1e6;
            let name = format!("shape of {gib} GiB {profile}, {constraints:.0} M constraints");
            all.push(Row {
                measure: name.clone(),
                quantity: Quantity::Size,
                ours: costs.iter().map(|cost| cost.bytes as f64).collect(),
                reference: Vec::new(),
                bound: Bound::Below(50e6),
            });
            let (made, evaluated): (Vec<_>, Vec<_>) = costs.iter().map(|cost| (cost.made, cost.evaluated)).unzip();
            let asked = [(Quantity::Wall, Bound::None), (Quantity::Peak, Bound::None)];
            all.extend(rows(&format!("{name}, making it"), &made, &[], &asked));
            let asked =
                [(Quantity::Wall, Bound::Below(180.0)), (Quantity::Cpu, Bound::None), (Quantity::Peak, Bound::None)];
            all.extend(rows(&format!("{name}, A·z, B·z and C·z"), &evaluated, &[], &asked));
        }
        Ok(all)
    }

    fn shape_of(&self, profile: Profile, size: u64) -> Result<ShapeCost> {
        let program = std::env::current_exe()?.with_file_name("filecash-shape");
        let mut command = Command::new(&program);
        command.args([profile.name(), &size.to_string()]).env("RAYON_NUM_THREADS", self.programs.threads.to_string());
        let output = command.stderr(Stdio::inherit()).output().with_context(|| program.display().to_string())?;
        ensure!(output.status.success(), "failed: {} {profile} {size}", program.display());
        shape::read(&output.stdout)
    }
}
