//! What every SNARK of the protocol has in common: set-up, the proof of a circuit, and its check before it leaves.
//!
//! The circuit's shape is recorded once; a witness is a values-only pass over the same circuit text. Evaluations of a
//! circuit of bits stay compact until the transforms; those of other circuits, which would not be, are computed for
//! them. Circuits are proven one at a time.
//!
//! Source: `spec/snark.md` 3.3, 3.4.

use std::path::PathBuf;

use crate::circuit::{Evaluations, ProofCircuit, Shape, Witness};
use crate::config::Config;
use crate::error::Error;
use crate::field::Fr;
use crate::groth16::prove::check_counts;
use crate::groth16::{Density, ParamsFile, Proof, ProveError, Rows, Verifier, VerifyError, prove, random_secrets};
use crate::job::{Cancelled, Job, Unit};
use crate::params::{ParamId, ParamStore};

/// Why a circuit was not proven, where no other component says it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SnarkError {
    #[error("the circuit could not be filled")]
    Synthesis(#[from] bellman::SynthesisError),
    #[error("{} cannot be used", path.display())]
    Parameters { path: PathBuf, source: ProveError },
    #[error("constraint {constraint} of partition {partition} does not hold")]
    Unsatisfied { partition: usize, constraint: usize },
    #[error(
        "a proof just made does not verify: the parameters in {} are damaged, or the machine errs",
        parameters.display()
    )]
    Rejected { parameters: PathBuf, source: VerifyError },
}

/// Records a circuit, as a stage of the job.
///
/// # Errors
/// [`Cancelled`].
pub(super) fn record(job: &Job<'_>, circuit: &impl ProofCircuit) -> Result<Shape, Cancelled> {
    let stage = job.stage("record circuit", Unit::Items, 1);
    let shape = circuit.record();
    stage.advance(1)?;
    Ok(shape)
}

/// Proves circuits of one shape with one set of parameters.
pub(super) struct Prover {
    params: ParamsFile,
    shape: Shape,
    density: Density,
}

impl Prover {
    /// Opens the parameters of `id` for a circuit of the shape of `circuit`, whose values do not matter.
    ///
    /// # Errors
    /// [`Error`] when the parameters are missing, damaged, or of another circuit.
    pub(super) fn open(job: &Job<'_>, id: &ParamId, circuit: &impl ProofCircuit) -> Result<Self, Error> {
        let shape = record(job, circuit)?;
        let density = Density::new(&shape);
        let params = ParamStore::new(&job.config.parameter_cache).open_for(id, shape.inputs() - 1)?;
        check_counts(&params, &density)
            .map_err(|source| SnarkError::Parameters { path: params.path().to_owned(), source })?;
        Ok(Self { params, shape, density })
    }

    /// Proves a circuit; `partition` names it in errors. The proof is not verified yet, unless devices took part: if it
    /// is wrong then, they get no more work and it is made again without them.
    ///
    /// # Errors
    /// [`Error`] when the values do not satisfy the circuit, or memory or the parameters' file fail.
    pub(super) fn prove(&self, job: &Job<'_>, partition: usize, circuit: &impl ProofCircuit) -> Result<Proof, Error> {
        let stage = job.stage("witness", Unit::Items, 1);
        let witness = circuit.witness().map_err(SnarkError::from)?;
        stage.advance(1)?;
        drop(stage);
        // The circuit is there meanwhile.
        let circuit_bytes = (self.shape.memory_bytes() + self.density.memory_bytes()) as u64;
        let memory_bytes = job.config.memory_bytes.saturating_sub(circuit_bytes);
        let config = Config { memory_bytes, ..job.config.clone() };
        let job = &Job { config: &config, ..*job };
        let backend = &config.backend;
        let has_devices = backend.has_devices();
        let proof = self.proof(job, partition, &witness);
        let reason = match &proof {
            Ok(proof) if has_devices => {
                let verified = Verifier::new(self.params.verifying_key()).verify(proof, &witness.inputs[1..]);
                verified.err().map(|error| error.to_string())
            }
            Err(Error::Prove(error @ ProveError::Unsatisfied)) if has_devices => Some(error.to_string()),
            _ => None,
        };
        match reason {
            None => proof,
            Some(reason) => {
                backend.leave_devices_out(&format!("a proof that it took part in is wrong: {reason}"));
                self.proof(job, partition, &witness)
            }
        }
    }

    /// The proof of a witness. [`ProveError::Unsatisfied`] says that somebody miscalculated, since the circuit's
    /// constraints hold.
    fn proof(&self, job: &Job<'_>, partition: usize, witness: &Witness) -> Result<Proof, Error> {
        let is_wide = witness.aux.memory_bytes() > witness.aux.len() * size_of::<Fr>() / 2;
        let stage = job.stage("evaluate", Unit::Items, 1);
        let rows = if is_wide { Rows::from(&self.shape) } else { self.evaluate(partition, witness)?.into() };
        stage.advance(1)?;
        drop(stage);
        let [r, s] = random_secrets();
        match prove(job, &self.params, &self.density, rows, witness, r, s) {
            // Now it is worth knowing where.
            Err(ProveError::Unsatisfied) if is_wide => Err(match self.evaluate(partition, witness) {
                Ok(_) => ProveError::Unsatisfied.into(),
                Err(error) => error.into(),
            }),
            proof => Ok(proof?),
        }
    }

    /// Proofs as bytes one after the other, once all verify against `inputs`, which are without ONE.
    ///
    /// # Errors
    /// [`SnarkError::Rejected`].
    pub(super) fn verified(&self, proofs: &[Proof], inputs: &[Vec<Fr>]) -> Result<Vec<u8>, SnarkError> {
        Verifier::new(self.params.verifying_key())
            .verify_all(proofs, inputs)
            .map_err(|source| SnarkError::Rejected { parameters: self.params.path().to_owned(), source })?;
        Ok(proofs.iter().flat_map(Proof::to_bytes).collect())
    }

    /// Every evaluation, once each constraint holds.
    fn evaluate(&self, partition: usize, witness: &Witness) -> Result<Evaluations, SnarkError> {
        let evaluations = self.shape.evaluate(witness);
        match evaluations.first_unsatisfied() {
            Some(constraint) => Err(SnarkError::Unsatisfied { partition, constraint }),
            None => Ok(evaluations),
        }
    }
}
