//! What every SNARK of the protocol has in common: set-up, the proof of a circuit, and its check before it leaves.
//!
//! The circuit's shape is recorded once; a witness is a values-only pass over the same circuit text. Evaluations of a
//! circuit of bits stay compact until the transforms; those of other circuits, which would not be, are computed for
//! them. As many circuits are proven together as memory has room for, so that the parameters are read less often.
//!
//! Source: `spec/snark.md` 3.3, 3.4.

use std::ops::Range;
use std::path::PathBuf;

use crate::circuit::{Evaluations, ProofCircuit, Shape, Witness};
use crate::config::Config;
use crate::error::Error;
use crate::field::Fr;
use crate::groth16::prove::check_counts;
use crate::groth16::{
    Batch, Density, PROOF_BYTES, ParamsFile, Proof, ProveError, Rows, Verifier, VerifyError, random_secrets,
};
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

/// What an earlier attempt at a proof of several partitions reached, and whom to tell what this one does.
#[derive(Clone, Copy)]
pub struct Resume<'a> {
    /// Proofs of the first partitions, one after the other; taken if they verify, else made again.
    pub proven: &'a [u8],
    /// Is handed the proofs of all partitions that are proven so far, whenever there are more.
    pub keep: &'a (dyn Fn(&[u8]) + Sync),
}

impl Resume<'_> {
    /// From the beginning, and nobody is told.
    pub const NONE: Resume<'static> = Resume { proven: &[], keep: &|_| {} };
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

/// What came of some proofs.
enum Made {
    Proofs(Vec<Proof>),
    /// Devices took part, and one of the proofs does not hold, for this reason.
    Wrong(String),
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

    /// Proves circuits, of which `circuit` gives one for each partition, again if it has to; returns the proofs one after the
    /// other, once all verify against `inputs`, which are without ONE. If devices took part and a proof is wrong, they get no more
    /// work and it is made again without them.
    ///
    /// # Errors
    /// [`Error`] when the values do not satisfy the circuit, memory or the parameters' file fail, or a proof does not verify.
    pub(super) fn prove_all<C: ProofCircuit>(
        &self,
        job: &Job<'_>,
        partitions: Range<usize>,
        inputs: &[Vec<Fr>],
        resume: &Resume<'_>,
        circuit: impl Fn(usize) -> Result<C, Error>,
    ) -> Result<Vec<u8>, Error> {
        // The circuit is there meanwhile.
        let circuit_bytes = (self.shape.memory_bytes() + self.density.memory_bytes()) as u64;
        let memory_bytes = job.config.memory_bytes.saturating_sub(circuit_bytes);
        let config = Config { memory_bytes, ..job.config.clone() };
        let job = &Job { config: &config, ..*job };
        let mut proofs = self.known(resume.proven, inputs);
        while proofs.len() < partitions.len() {
            match self.first_of(job, partitions.start + proofs.len()..partitions.end, &circuit)? {
                Made::Proofs(made) => {
                    let from = proofs.len();
                    proofs.extend(made);
                    self.verify(&proofs[from..], &inputs[from..proofs.len()])?;
                    if proofs.len() < partitions.len() {
                        (resume.keep)(&bytes_of(&proofs));
                    }
                }
                Made::Wrong(reason) => {
                    config.backend.leave_devices_out(&format!("a proof that it took part in is wrong: {reason}"));
                }
            }
        }
        Ok(bytes_of(&proofs))
    }

    /// Proofs of the first partitions that an earlier attempt made. What is damaged is nothing to fail for.
    fn known(&self, proven: &[u8], inputs: &[Vec<Fr>]) -> Vec<Proof> {
        let partitions = proven.len() / PROOF_BYTES;
        let Some(inputs) = inputs.get(..partitions).filter(|inputs| !inputs.is_empty()) else { return Vec::new() };
        let proofs = Proof::many_from_bytes(proven, partitions).ok();
        let proofs = proofs.filter(|proofs| self.verify(proofs, inputs).is_ok());
        match &proofs {
            Some(_) => tracing::info!(partitions, "proven by an earlier attempt"),
            None => tracing::warn!(partitions, "what an earlier attempt left does not verify and is made again"),
        }
        proofs.unwrap_or_default()
    }

    /// Proves the first ones of some partitions, at least one.
    fn first_of<C: ProofCircuit>(
        &self,
        job: &Job<'_>,
        partitions: Range<usize>,
        circuit: &impl Fn(usize) -> Result<C, Error>,
    ) -> Result<Made, Error> {
        let has_devices = job.config.backend.has_devices();
        let mut batch = Batch::new(job, &self.params, &self.density, partitions.len())?;
        let mut inputs = Vec::new();
        for partition in partitions {
            let stage = job.stage("witness", Unit::Items, 1);
            let witness = circuit(partition)?.witness().map_err(SnarkError::from)?;
            stage.advance(1)?;
            drop(stage);
            let of_this = witness.inputs[1..].to_vec();
            match self.add(job, &mut batch, partition, witness) {
                Ok(()) => inputs.push(of_this),
                Err(Error::Prove(error @ ProveError::Unsatisfied)) if has_devices => {
                    return Ok(Made::Wrong(error.to_string()));
                }
                // It is worth knowing where.
                Err(Error::Prove(error @ ProveError::Unsatisfied)) => {
                    self.evaluate(partition, &circuit(partition)?.witness().map_err(SnarkError::from)?)?;
                    return Err(error.into());
                }
                Err(Error::Prove(ProveError::Memory { .. } | ProveError::Scratch(_))) if !batch.is_empty() => break,
                Err(error) => return Err(error),
            }
            if batch.is_full() {
                break;
            }
        }
        let proofs = batch.finish()?;
        let verified = match has_devices {
            true => Verifier::new(self.params.verifying_key()).verify_all(&proofs, &inputs),
            false => Ok(()),
        };
        Ok(verified.map_or_else(|error| Made::Wrong(error.to_string()), |()| Made::Proofs(proofs)))
    }

    /// Begins the proof of a witness. [`ProveError::Unsatisfied`] says that somebody miscalculated if the circuit's constraints
    /// hold, which is known only of circuits of bits.
    fn add(&self, job: &Job<'_>, batch: &mut Batch<'_>, partition: usize, witness: Witness) -> Result<(), Error> {
        let is_wide = witness.aux.memory_bytes() > witness.aux.len() * size_of::<Fr>() / 2;
        let stage = job.stage("evaluate", Unit::Items, 1);
        let rows = if is_wide { Rows::from(&self.shape) } else { self.evaluate(partition, &witness)?.into() };
        stage.advance(1)?;
        drop(stage);
        Ok(batch.add(rows, witness, random_secrets())?)
    }

    fn verify(&self, proofs: &[Proof], inputs: &[Vec<Fr>]) -> Result<(), SnarkError> {
        Verifier::new(self.params.verifying_key())
            .verify_all(proofs, inputs)
            .map_err(|source| SnarkError::Rejected { parameters: self.params.path().to_owned(), source })
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

fn bytes_of(proofs: &[Proof]) -> Vec<u8> {
    proofs.iter().flat_map(Proof::to_bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rand_core::SeedableRng;
    use rand_xorshift::XorShiftRng;

    use super::*;
    use crate::circuit::CircuitSystem;
    use crate::circuit::gadgets::{num, poseidon};
    use crate::field::Node;
    use crate::field::fr::{from_node, to_node};
    use crate::groth16::Toxic;
    use crate::hash::poseidon::hash2;
    use crate::hash::poseidon_constants::Tag;
    use crate::job::{Cancel, Quiet};
    use crate::params::CircuitKind;
    use crate::sector::Profile;

    /// Two secrets with a given hash.
    struct Secrets(Option<[u64; 2]>);

    impl Secrets {
        fn hash(&self) -> Option<Fr> {
            let [first, second] = self.0?.map(|secret| -> Node { to_node(&Fr::from(secret)) });
            from_node(&hash2(&first, &second).unwrap()).ok()
        }
    }

    impl ProofCircuit for Secrets {
        fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result<(), bellman::SynthesisError> {
            let first = num::alloc(cs, self.0.map(|secrets| Fr::from(secrets[0])))?;
            let second = num::alloc(cs, self.0.map(|secrets| Fr::from(secrets[1])))?;
            let told = num::alloc(cs, self.hash())?;
            num::inputize(cs, told)?;
            let hash = poseidon::hash(cs, &[first, second], Tag::Merkle)?;
            num::equal(cs, told, hash);
            Ok(())
        }
    }

    #[test]
    fn proofs_of_an_earlier_attempt_are_taken_if_they_hold() {
        const PARTITIONS: usize = 5;
        let folder = tempfile::tempdir().unwrap();
        let config = Config { parameter_cache: folder.path().to_owned(), ..Config::default() };
        let cancel = Cancel::default();
        let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
        let id = ParamId::new(Profile::Filecoin, CircuitKind::PoRep, 2 << 10).unwrap();
        let toxic = Toxic::random(XorShiftRng::from_seed([7; 16]));
        ParamStore::new(folder.path()).create(&job, &id, &Secrets(None).record(), &toxic).unwrap();
        let prover = Prover::open(&job, &id, &Secrets(None)).unwrap();

        let secrets = |partition: usize| Secrets(Some([partition as u64, 9]));
        let inputs: Vec<Vec<Fr>> = (0..PARTITIONS).map(|partition| vec![secrets(partition).hash().unwrap()]).collect();
        // The proofs, which partitions were proven for them, and what was kept meanwhile.
        let prove = |proven: &[u8]| {
            let (made, kept) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
            let keep = |proofs: &[u8]| kept.lock().unwrap().push(proofs.to_vec());
            let circuit = |partition| {
                made.lock().unwrap().push(partition);
                Ok(secrets(partition))
            };
            let resume = Resume { proven, keep: &keep };
            let proofs = prover.prove_all(&job, 0..PARTITIONS, &inputs, &resume, circuit).unwrap();
            (proofs, made.into_inner().unwrap(), kept.into_inner().unwrap())
        };
        let (first, made, kept) = prove(&[]);
        assert_eq!((first.len(), made), (PARTITIONS * PROOF_BYTES, vec![0, 1, 2, 3, 4]));
        // Three, and then two.
        assert_eq!(kept, [first[..3 * PROOF_BYTES].to_vec()]);

        let (second, made, _) = prove(&kept[0]);
        assert_eq!((&second[..3 * PROOF_BYTES], made), (&kept[0][..], vec![3, 4]));
        let (third, made, kept) = prove(&second);
        assert_eq!((third, made, kept), (second.clone(), vec![], vec![]));

        let mut damaged = second[..PROOF_BYTES].to_vec();
        damaged[30] ^= 1;
        // Of another statement, damaged, too long, of no whole proof.
        for proven in [&second[PROOF_BYTES..], &damaged, &[&second[..], &second[..PROOF_BYTES]].concat(), &[0; 191]] {
            let (_, made, _) = prove(proven);
            assert_eq!(made, [0, 1, 2, 3, 4]);
        }
        let (_, made, _) = prove(&second[..PROOF_BYTES + 7]);
        assert_eq!(made, [0, 1, 2, 3, 4]);
    }
}
