//! Transforms: blocks of rows and columns.

use super::{Member, Team};
use crate::backend::BackendError;
use crate::backend::cpu::ntt::{Domain, Pass, Transform};
use crate::field::Fr;

/// Points of a domain that is not worth an upload when the CPU takes part.
const SMALL_DOMAIN: usize = 1 << 14;
/// Elements of the CPU's blocks of a transform.
const CPU_ELEMENTS: usize = 1 << 18;

impl Team {
    /// Transforms one after the other, of as many elements as the domain has points.
    pub(super) fn passes(
        &self,
        domain: &Domain,
        values: &mut [Fr],
        transforms: &[Transform],
    ) -> Result<(), BackendError> {
        self.check_requirement()?;
        let is_worth_it = !self.options().cpu || values.len() >= SMALL_DOMAIN;
        match domain.passes(transforms) {
            Some(passes) if is_worth_it => passes.iter().try_for_each(|pass| self.pass(pass, values)),
            _ => {
                domain.transform(values, transforms);
                Ok(())
            }
        }
    }

    fn pass(&self, pass: &Pass, values: &mut [Fr]) -> Result<(), BackendError> {
        let rest = || self.rest();
        let blocks = pass.blocks(values).with_pause(&rest);
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
