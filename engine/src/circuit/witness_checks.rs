//! What the tests of whole circuits ask of witnesses.

use ff::{Field, PrimeField};
use sha2::{Digest, Sha256};

use super::{DebugSystem, ProofCircuit, Shape, Witness};
use crate::field::Fr;

/// SHA-256 of field elements, 32 bytes each.
pub(crate) fn digest(values: impl IntoIterator<Item = Fr>) -> String {
    let mut hasher = Sha256::new();
    values.into_iter().for_each(|value| hasher.update(value.to_repr()));
    hex::encode(hasher.finalize())
}

/// Where the first constraint fails, by the names around it.
pub(crate) fn broken(circuit: &impl ProofCircuit) -> Option<String> {
    let mut debug = DebugSystem::new();
    circuit.read(&mut debug).unwrap();
    debug.first_unsatisfied()
}

/// Asks that a satisfying witness is one no more when one value is another: every input alone, and every `step`-th of the
/// other variables alone. A bit becomes the other bit.
#[track_caller]
pub(crate) fn changes_are_found(shape: &Shape, witness: &Witness, step: usize) {
    assert_eq!(shape.evaluate(witness).first_unsatisfied(), None);
    let values: Vec<Fr> = witness.aux.iter().collect();
    assert!(values.len() > 10 * step, "of {} values too few are looked at", values.len());
    for at in (0..values.len()).step_by(step) {
        let mut values = values.clone();
        values[at] = if values[at] == Fr::ONE { Fr::ZERO } else { values[at] + Fr::ONE };
        let changed = Witness { inputs: witness.inputs.clone(), aux: values.into_iter().collect() };
        assert!(shape.evaluate(&changed).first_unsatisfied().is_some(), "aux {at}");
    }
    for input in 1..witness.inputs.len() {
        let mut changed = witness.clone();
        changed.inputs[input] += Fr::ONE;
        assert!(shape.evaluate(&changed).first_unsatisfied().is_some(), "input {input}");
    }
}
