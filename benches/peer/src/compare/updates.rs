//! Measures of sector updates: the encoding of 8 MiB, and the proof of 2 KiB. The new data is the old data once more; it
//! costs the same.

use anyhow::{Result, ensure};

use super::measures::{KIB_2, MIB_8, Plan, holds_params, rows};
use super::program::{Side, measure};
use super::table::{Bound, Quantity, Row};

impl Plan {
    /// The proof of an update of 2 KiB from its partition proofs: CPU time, elapsed time and memory, with the same
    /// parameters.
    ///
    /// # Errors
    /// When a run fails or the parameters are missing.
    pub fn update(&self) -> Result<Vec<Row>> {
        ensure!(holds_params(&self.params, "empty-sector-update"), "no update parameters in {}", self.params.display());
        let inputs = self.inputs("update", &KIB_2, 3)?;
        measure(self.programs.update_encode(Side::Reference, "StackedDrg2KiBV1", &inputs))?;
        measure(self.programs.update_vanilla(Side::Reference, &inputs))?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.update_prove(side, &self.params, &files))
        };
        let (ours, reference) = self.alternate(one)?;
        let asked =
            [(Quantity::Cpu, Bound::Ratio(2.0)), (Quantity::Wall, Bound::None), (Quantity::Peak, Bound::Ratio(3.0))];
        Ok(rows("update prove 2 KiB", &ours, &reference, &asked))
    }

    /// The encoding of 8 MiB. Ours computes the tree over the old replica too, to compare it with its commitment.
    ///
    /// # Errors
    /// When a run fails.
    pub fn encode(&self) -> Result<Vec<Row>> {
        let inputs = self.inputs("encode", &MIB_8, 3)?;
        let one = |side| {
            let files = self.fresh(&inputs)?;
            measure(self.programs.update_encode(side, "StackedDrg8MiBV1", &files))
        };
        one(Side::Ours)?;
        let (ours, reference) = self.alternate(one)?;
        let asked = [(Quantity::Cpu, Bound::Ratio(1.0)), (Quantity::Wall, Bound::None), (Quantity::Peak, Bound::None)];
        Ok(rows("update encode 8 MiB", &ours, &reference, &asked))
    }
}
