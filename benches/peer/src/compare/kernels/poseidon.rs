//! Poseidon on one core: levels of trees as our builders compute them, beside neptune, which the reference calls for one
//! hash after the other.
//!
//! Either takes nodes of 32 bytes and makes such nodes, as trees in files have them.

use anyhow::{Context, Result};
use ff::PrimeField;
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::field::{Fr, Node};
use filecoin_hashers::PoseidonArity;
use generic_array::typenum::{U2, U4, U8, U11};
use neptune::poseidon::Poseidon;
use rayon::ThreadPoolBuilder;

use super::{elements, in_turn};
use crate::compare::measures::Plan;
use crate::compare::table::{Bound, Quantity, Row};
use crate::usage::Usage;

/// Hashes of a run.
const HASHES: usize = 1 << 14;

impl Plan {
    /// Hashes of arity 2, 4, 8 and 11 on one core.
    ///
    /// # Errors
    /// When results differ.
    pub fn poseidon(&self) -> Result<Vec<Row>> {
        Ok(vec![self.hashes::<U2>()?, self.hashes::<U4>()?, self.hashes::<U8>()?, self.hashes::<U11>()?])
    }

    fn hashes<A: PoseidonArity>(&self) -> Result<Row> {
        let arity = A::to_usize();
        let children: Vec<Node> = elements().take(HASHES * arity).map(|element| element.to_repr()).collect();
        let one = ThreadPoolBuilder::new().num_threads(1).build()?;
        let mut ours = || {
            let mut parents = vec![[0; 32]; HASHES];
            let (usage, done) = Usage::of(|| one.install(|| Cpu.poseidon_level(arity, &children, &mut parents)))?;
            done?;
            Ok((usage, parents))
        };
        let mut reference = || {
            let (usage, parents) =
                Usage::of(|| children.chunks_exact(arity).map(neptune_hash::<A>).collect::<Option<Vec<Node>>>())?;
            Ok((usage, parents.context("a child is no field element")?))
        };
        let name = format!("Poseidon of arity {arity}, one core");
        let [ours, reference] = in_turn(&name, self.runs, [&mut ours, &mut reference])?;
        Ok(Row::new(&name, Quantity::Hashes(HASHES as u64), &ours, &reference, Bound::Ratio(7.0)))
    }
}

/// A parent as the reference computes it; none if a child is no field element.
fn neptune_hash<A: PoseidonArity>(children: &[Node]) -> Option<Node> {
    let preimage: Vec<Fr> = children.iter().map(|child| Fr::from_repr_vartime(*child)).collect::<Option<_>>()?;
    Some(Poseidon::new_with_preimage(&preimage, A::PARAMETERS()).hash().to_repr())
}
