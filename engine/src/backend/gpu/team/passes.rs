//! Transforms: blocks of rows and columns.

use super::{Member, Team};
use crate::backend::BackendError;
use crate::backend::cpu::ntt::{Part, Pass};

/// Elements that are not worth an upload when the CPU takes part.
const SMALL: usize = 1 << 14;
/// Elements of the CPU's blocks of a transform.
const CPU_ELEMENTS: usize = 1 << 18;

impl Team {
    /// Transforms rows or columns.
    pub(super) fn passed(&self, pass: &Pass, part: Part<'_>) -> Result<(), BackendError> {
        self.check_requirement()?;
        pass.check(&part)?;
        if self.options().cpu && part.values.len() < SMALL {
            pass.compute_all(part);
            return Ok(());
        }
        let rest = || self.rest();
        let blocks = pass.blocks(part).with_pause(&rest);
        let on_device = |member: &Member| {
            while let Err(error) = member.worker.transform(pass, &blocks) {
                if !member.failed(&error) {
                    break;
                }
            }
        };
        let on_cpu = || {
            while let Some(mut block) = blocks.take(CPU_ELEMENTS / pass.vector_len()) {
                pass.compute(&mut block);
            }
            Ok(())
        };
        self.together(self.active(), on_device, on_cpu)
    }
}
