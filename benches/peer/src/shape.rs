//! A PoRep's circuit in a process of its own: making its compressed shape, and evaluating it.
//!
//! The witness is computed by the circuit from a partition of random numbers, so every variable is what it is in a proof, a
//! bit or a number; only the roots of paths do not come out right. So all constraints hold but one for CommR and one for
//! each path, and that many are looked for before a time is told.

use anyhow::{Context, Result, ensure};
use ff::Field;
use filecash_engine::circuit::{
    ChallengeWitness, ColumnWitness, Evaluations, Level, PoRepCircuit, PoRepPartition, PoRepShape, ProofCircuit,
};
use filecash_engine::field::Fr;
use filecash_engine::sector::Profile;
use filecash_engine::sector::params::{DEGREE, for_size};
use rand_core::{OsRng, RngCore};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// What a shape is and takes. Peaks are those of the process so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ShapeCost {
    /// Bytes of the shape in memory.
    pub bytes: u64,
    /// Constraints of the circuit.
    pub constraints: u64,
    /// Making the shape from nothing.
    pub made: Usage,
    /// `A·z`, `B·z` and `C·z` of one partition.
    pub evaluated: Usage,
}

/// Makes and evaluates the circuit of one partition of a proof of replication.
///
/// # Errors
/// When there are no such sectors, or the evaluations are not those of the witness.
pub fn measure(profile: Profile, sector_size: u64) -> Result<ShapeCost> {
    let porep = PoRepShape::new(profile, for_size(profile, sector_size)?);
    let (made, shape) = Usage::of(|| porep.blank().record())?;
    let witness = PoRepCircuit::new(porep, partition(&porep))?.witness()?;
    let (evaluated, Evaluations { a, b, c }) = Usage::of(|| shape.evaluate(&witness))?;
    let open = (0..shape.constraints()).into_par_iter().filter(|row| a.get(*row) * b.get(*row) != c.get(*row)).count();
    let expected = 1 + porep.challenges * (DEGREE + 3);
    ensure!(
        [a.len(), b.len(), c.len()] == [shape.constraints(); 3] && open == expected,
        "{open} constraints do not hold, expected {expected}"
    );
    let [bytes, constraints] = [shape.memory_bytes(), shape.constraints()].map(|count| count as u64);
    Ok(ShapeCost { bytes, constraints, made, evaluated })
}

/// Reads what [`measure`] found out of a process's output.
///
/// # Errors
/// When it is something else.
pub fn read(output: &[u8]) -> Result<ShapeCost> {
    serde_json::from_slice(output).context("reading what a shape costs")
}

fn random() -> Fr {
    Fr::random(OsRng)
}

fn partition(shape: &PoRepShape) -> PoRepPartition {
    let [replica_id, comm_d, comm_r, comm_c, comm_r_last] = [(); 5].map(|()| random());
    let challenges = (0..shape.challenges).map(|_| challenge(shape)).collect();
    PoRepPartition { replica_id, comm_d, comm_r, comm_c, comm_r_last, challenges }
}

fn challenge(shape: &PoRepShape) -> ChallengeWitness {
    let column = || {
        let node = node(shape);
        let labels = (0..shape.layers).map(|_| random()).collect();
        ColumnWitness { node, labels, path: tree_path(shape, node) }
    };
    let node = node(shape);
    ChallengeWitness {
        node,
        data: random(),
        data_path: path(&vec![2; shape.log2_nodes], node),
        parents: (0..DEGREE).map(|_| column()).collect(),
        replica_path: tree_path(shape, node),
        column_path: tree_path(shape, node),
    }
}

fn node(shape: &PoRepShape) -> u64 {
    OsRng.next_u64() >> (u64::BITS as usize - shape.log2_nodes)
}

fn tree_path(shape: &PoRepShape, node: u64) -> Vec<Level> {
    path(&shape.tree.path_arities(shape.log2_nodes), node)
}

/// A path from a leaf up, past random siblings.
fn path(arities: &[usize], mut leaf: u64) -> Vec<Level> {
    let level = |&arity: &usize| {
        let index = (leaf % arity as u64) as usize;
        leaf /= arity as u64;
        Level { siblings: (1..arity).map(|_| random()).collect(), index }
    };
    arities.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use filecash_engine::groth16::Counts;

    #[test]
    fn shapes_of_small_sectors_are_measured() {
        for (profile, size) in
            [(Profile::Filecoin, 2 << 10), (Profile::Filecash, 2 << 10), (Profile::Filecoin, 8 << 20)]
        {
            let cost = measure(profile, size).unwrap();
            let params = for_size(profile, size).unwrap();
            assert_eq!(cost.constraints, Counts::porep(&PoRepShape::new(profile, params)).constraints);
            assert!(cost.bytes > 0 && cost.evaluated.peak_rss_bytes >= cost.made.peak_rss_bytes);
            assert_eq!(read(&serde_json::to_vec(&cost).unwrap()).unwrap().bytes, cost.bytes);
        }
        assert!(measure(Profile::Filecash, 3).is_err() && read(b"{}").is_err());
    }
}
