//! Transforms from coefficients to values at the roots of unity, beside the prover's of the reference.

use anyhow::Result;
use bellperson::domain::EvaluationDomain;
use ec_gpu_gen::threadpool::Worker;
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::backend::cpu::ntt::{Domain, Points, Transform};
use filecash_engine::field::Fr;

use super::{check_threads, elements, in_turn};
use crate::compare::measures::{Plan, rows};
use crate::compare::table::{Bound, Quantity, Row};
use crate::usage::Usage;

/// Binary logarithms of the numbers of points.
const SIZES: [u32; 2] = [20, 22];

impl Plan {
    /// Transforms on all threads.
    ///
    /// # Errors
    /// When results differ, or a side has other threads than the other.
    pub fn ntt(&self) -> Result<Vec<Row>> {
        check_threads(self.programs.threads)?;
        let rows = SIZES.into_iter().map(|log2| self.transform(log2)).collect::<Result<Vec<_>>>()?;
        Ok(rows.concat())
    }

    pub(super) fn transform(&self, log2: u32) -> Result<Vec<Row>> {
        let domain = Domain::at_least(1 << log2)?;
        let coefficients: Vec<Fr> = elements().take(domain.size()).collect();
        // Each side takes coefficients in the order in which its prover has them; values are in order on both.
        let reversed: Vec<Fr> = (0..domain.size()).map(|place| coefficients[domain.reversed(place)]).collect();
        let mut ours = || {
            let mut values = reversed.clone();
            let (usage, done) =
                Usage::of(|| Cpu.transform(&domain, &mut values, &[Transform::Evaluate(Points::Roots)]))?;
            done?;
            Ok((usage, values))
        };
        let worker = Worker::new();
        let mut reference = || {
            let mut values = EvaluationDomain::from_coeffs(coefficients.clone())?;
            let (usage, done) = Usage::of(|| values.fft(&worker, &mut None))?;
            done?;
            Ok((usage, values.into_coeffs()))
        };
        let name = format!("transform of 2^{log2}");
        let [ours, reference] = in_turn(&name, self.runs, [&mut ours, &mut reference])?;
        Ok(rows(&name, &ours, &reference, &[(Quantity::Wall, Bound::Ratio(2.0)), (Quantity::Cpu, Bound::None)]))
    }
}
