//! Measures of many seals at once: verification one by one and in batches, aggregation.
//!
//! Proofs are simulated under a key of known secrets ([`crate::simulated`]), which neither program can notice. A run is a
//! process, so the key is read and prepared once in each, and the reference reads all 32,769 powers of the reference
//! string, where ours reads what it needs; both belong to what a user waits for.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::measures::{Plan, rows};
use super::program::{Side, measure};
use super::table::{Bound, Quantity, Row};
use crate::simulated;
use crate::usage::Usage;

/// Seals of a list.
const LISTS: [usize; 4] = [1, 10, 100, 1000];
/// Seals of an aggregate.
const AGGREGATES: [usize; 3] = [16, 64, 256];

impl Plan {
    /// Verification of 1 to 1000 seal proofs of 2 KiB.
    ///
    /// # Errors
    /// When a run fails.
    pub fn verify(&self) -> Result<Vec<Row>> {
        let asked = [(Quantity::Cpu, Bound::Ratio(1.0)), (Quantity::Wall, Bound::Ratio(1.0))];
        let mut all = Vec::new();
        for count in LISTS {
            let (params, list) = self.list(count)?;
            let mut single = Vec::new();
            for batch in [false, true] {
                let one = |side| measure(self.programs.verify_list(side, &params, &list, batch));
                let (ours, reference) = self.alternate(one)?;
                let how = if batch { "in a batch" } else { "one by one" };
                all.extend(rows(&format!("verify {count} seals {how}"), &ours, &reference, &asked));
                if batch && count == LISTS[LISTS.len() - 1] {
                    let asked = [(Quantity::Cpu, Bound::Ratio(3.0)), (Quantity::Wall, Bound::Ratio(3.0))];
                    let name = format!("verify {count} seals in a batch; for reference: our own one by one");
                    all.extend(rows(&name, &ours, &single, &asked));
                }
                single = ours;
            }
        }
        Ok(all)
    }

    /// Aggregation of seal proofs of 2 KiB, and verification of aggregates.
    ///
    /// # Errors
    /// When a run fails.
    pub fn aggregate(&self) -> Result<Vec<Row>> {
        let asked = [(Quantity::Cpu, Bound::Ratio(1.0)), (Quantity::Wall, Bound::Ratio(1.0))];
        let mut all = Vec::new();
        for count in AGGREGATES {
            let (params, list) = self.list(count)?;
            measure(self.programs.setup_srs(&params))?;
            let out = |side| self.work.join(format!("aggregate-{side:?}"));
            let prove = |side| measure(self.programs.aggregate(side, &params, &list, &out(side)));
            let (ours, reference) = self.alternate(prove)?;
            ensure!(fs::read(out(Side::Ours))? == fs::read(out(Side::Reference))?, "aggregates differ");
            all.extend(rows(&format!("aggregate {count} seals"), &ours, &reference, &asked));
            let verify =
                |side| -> Result<Usage> { measure(self.programs.verify_aggregate(side, &params, &list, &out(side))) };
            let (ours, reference) = self.alternate(verify)?;
            all.extend(rows(&format!("verify an aggregate of {count} seals"), &ours, &reference, &asked));
        }
        Ok(all)
    }

    /// A folder with a key, and a list of seals that hold under it.
    fn list(&self, count: usize) -> Result<(PathBuf, PathBuf)> {
        let params = self.work.join(format!("many-{count}"));
        if params.exists() {
            fs::remove_dir_all(&params)?;
        }
        let list = simulated::seals(&params, count)?;
        let path = params.join("list.json");
        fs::write(&path, list.to_json())?;
        Ok((params, path))
    }
}
