//! Verification of many seal proofs at once.
//!
//! All partitions of all sectors go into one randomised equation ([`Verifier::false_ones`]): a proof costs one Miller loop
//! instead of three and shares the final exponentiation. Statements become public inputs and bytes become points in
//! parallel. When the equation fails, the false proofs are searched for, so that each sector is accepted or rejected on
//! its own merits; a sector with a commitment or bytes that cannot be is rejected without touching the others.
//!
//! As many sectors share an equation as fit into a part of the memory budget.
//!
//! Source: `spec/snark.md` 5.2 and 5.3.

use std::fmt;

use rayon::prelude::*;
use tracing::info_span;

use super::SectorIdentity;
use super::verify::{CommitmentError, check_commitments, public_inputs};
use crate::circuit::PoRepShape;
use crate::error::Error;
use crate::field::{Fr, Node};
use crate::graph::Graph;
use crate::groth16::{Proof, ProofError, Verifier, VerifyError, VerifyingKey};
use crate::job::{Job, Unit};
use crate::params::{CircuitKind, ParamId, ParamStore};
use crate::porep::challenges::{Challenges, layout};
use crate::sector::{PoRepConfig, ProverId, SectorId};

/// What a seal proof is about, as the chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealStatement {
    /// Whose sector.
    pub identity: SectorIdentity,
    /// Commitment to the replica.
    pub comm_r: Node,
    /// Commitment to the data.
    pub comm_d: Node,
    /// Randomness of the challenges; not looked at in a non-interactive proof.
    pub seed: [u8; 32],
}

/// A statement with its proof: 192 bytes for each partition.
#[derive(Clone, Copy, Debug)]
pub struct ProvenSeal<'a> {
    /// What is proven.
    pub statement: SealStatement,
    /// The proofs of all partitions.
    pub proof: &'a [u8],
}

/// Why one seal was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SealRejection {
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("partition {partition} does not satisfy the verification equation")]
    Unsatisfied { partition: usize },
}

/// A seal of a batch that was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedSeal {
    /// Its place in the batch.
    pub index: usize,
    /// Its sector.
    pub sector_id: SectorId,
    /// The sector's miner.
    pub prover_id: ProverId,
    /// Why.
    pub reason: SealRejection,
}

/// Rejected seals of a batch; all others were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedSeals {
    /// Seals in the batch.
    pub total: usize,
    /// In the order of the batch, at least one.
    pub rejected: Vec<RejectedSeal>,
}

/// Seals that share an equation at most, so that progress is told and a cancellation heard.
const MOST_TOGETHER: u64 = 1 << 12;
/// Rejected seals that are named in a message; all are in the value.
const NAMED: usize = 8;

impl fmt::Display for RejectedSeals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} seals are rejected: ", self.rejected.len(), self.total)?;
        for (number, seal) in self.rejected.iter().take(NAMED).enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}number {} (sector {}): {}", seal.index, seal.sector_id, seal.reason)?;
        }
        if self.rejected.len() > NAMED { f.write_str("; …") } else { Ok(()) }
    }
}

impl std::error::Error for RejectedSeals {}

/// A network's seal verifier: the key is read and prepared once, for any number of proofs.
pub struct SealVerifier {
    config: PoRepConfig,
    graph: Graph,
    key: VerifyingKey,
    verifier: Verifier,
    partitions: usize,
}

impl SealVerifier {
    /// Reads and prepares the verifying key of a configuration.
    ///
    /// # Errors
    /// [`Error`] when the key is missing, damaged or of another circuit, or the configuration is not supported.
    pub fn open(job: &Job<'_>, config: &PoRepConfig) -> Result<Self, Error> {
        let (partitions, _) = layout(config)?;
        let id = ParamId::new(config.profile, CircuitKind::PoRep, config.params.size_bytes)?;
        let inputs = PoRepShape::new(config.profile, config.params).inputs();
        let key = ParamStore::new(&job.config.parameter_cache).verifying_key_for(&id, inputs)?;
        let verifier = Verifier::new(&key);
        Ok(Self { config: *config, graph: Graph::new(config), key, verifier, partitions })
    }

    /// The verifying key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Partitions of a proof.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Accepts one seal, or says why not.
    ///
    /// # Errors
    /// As [`super::verify::verify_seal`].
    pub fn verify(&self, seal: &ProvenSeal<'_>) -> Result<(), Error> {
        let statement = &seal.statement;
        check_commitments(&statement.comm_r, &statement.comm_d)?;
        let proofs = Proof::many_from_bytes(seal.proof, self.partitions)?;
        Ok(self.verifier.verify_all(&proofs, &self.inputs(statement)?)?)
    }

    /// Accepts all seals of a batch, or says which are to be rejected and why.
    ///
    /// # Errors
    /// [`Error::RejectedSeals`], of which [`Error::is_rejection`] is true; [`VerifyError::Empty`] without seals; others say
    /// that the check could not be made.
    pub fn verify_all(&self, job: &Job<'_>, seals: &[ProvenSeal<'_>]) -> Result<(), Error> {
        let _span = info_span!("verify seals", seals = seals.len(), size = self.config.params.name).entered();
        if seals.is_empty() {
            return Err(VerifyError::Empty.into());
        }
        let stage = job.stage("verify seals", Unit::Items, seals.len() as u64);
        let mut rejected = Vec::new();
        let together = self.seals_in_memory(job.config.memory_bytes);
        for (number, seals) in seals.chunks(together).enumerate() {
            self.verify_together(number * together, seals, &mut rejected)?;
            stage.advance(seals.len() as u64)?;
        }
        if rejected.is_empty() {
            return Ok(());
        }
        rejected.sort_unstable_by_key(|seal| seal.index);
        Err(RejectedSeals { total: seals.len(), rejected }.into())
    }

    /// The same as [`Self::verify_all`], each seal by an equation of its own. Slower; for comparison.
    ///
    /// # Errors
    /// As [`Self::verify_all`].
    pub fn verify_each(&self, job: &Job<'_>, seals: &[ProvenSeal<'_>]) -> Result<(), Error> {
        if seals.is_empty() {
            return Err(VerifyError::Empty.into());
        }
        let stage = job.stage("verify seals", Unit::Items, seals.len() as u64);
        let mut rejected = Vec::new();
        for (index, seal) in seals.iter().enumerate() {
            self.verify_together(index, std::slice::from_ref(seal), &mut rejected)?;
            stage.advance(1)?;
        }
        if rejected.is_empty() { Ok(()) } else { Err(RejectedSeals { total: seals.len(), rejected }.into()) }
    }

    /// Seals whose inputs, points and multiples take about a quarter of the memory.
    fn seals_in_memory(&self, memory_bytes: u64) -> usize {
        let partition = self.verifier.inputs() * size_of::<Fr>() + 4 * size_of::<Proof>();
        (memory_bytes / 4 / (partition * self.partitions) as u64).clamp(1, MOST_TOGETHER) as usize
    }

    fn verify_together(
        &self,
        first: usize,
        seals: &[ProvenSeal<'_>],
        rejected: &mut Vec<RejectedSeal>,
    ) -> Result<(), Error> {
        let bytes: Vec<&[u8]> = seals.iter().map(|seal| seal.proof).collect();
        let (decoded, stated): (_, Vec<_>) = rayon::join(
            || Proof::batch_from_bytes(&bytes, self.partitions),
            || seals.par_iter().map(|seal| self.stated(&seal.statement)).collect(),
        );
        let (mut proofs, mut inputs, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let mut reject = |at: usize, reason| {
            let SectorIdentity { prover_id, sector_id, .. } = seals[at].statement.identity;
            rejected.push(RejectedSeal { index: first + at, sector_id, prover_id, reason });
        };
        for (at, (decoded, stated)) in decoded.into_iter().zip(stated).enumerate() {
            let read = match stated? {
                Ok(seal_inputs) => decoded.map(|seal_proofs| (seal_proofs, seal_inputs)).map_err(SealRejection::from),
                Err(error) => Err(error.into()),
            };
            match read {
                Ok((seal_proofs, seal_inputs)) => {
                    owners.extend((0..seal_proofs.len()).map(|partition| (at, partition)));
                    proofs.extend(seal_proofs);
                    inputs.extend(seal_inputs);
                }
                Err(reason) => reject(at, reason),
            }
        }
        if proofs.is_empty() {
            return Ok(());
        }
        let mut last = None;
        for index in self.verifier.false_ones(&proofs, &inputs)? {
            let (at, partition) = owners[index];
            if last.replace(at) != Some(at) {
                reject(at, SealRejection::Unsatisfied { partition });
            }
        }
        Ok(())
    }

    /// Public inputs of a statement, or why it cannot be one.
    fn stated(&self, statement: &SealStatement) -> Result<Result<Vec<Vec<Fr>>, CommitmentError>, Error> {
        match check_commitments(&statement.comm_r, &statement.comm_d) {
            Ok(()) => self.inputs(statement).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Public inputs of every partition, without ONE.
    ///
    /// # Errors
    /// [`Error`] when a commitment is no field element.
    pub fn inputs(&self, statement: &SealStatement) -> Result<Vec<Vec<Fr>>, Error> {
        let SealStatement { identity, comm_r, comm_d, seed } = statement;
        let replica_id = identity.replica_id(&self.config, comm_d);
        let challenges = Challenges { config: &self.config, replica_id: &replica_id, comm_r, seed }.all()?;
        public_inputs(&self.graph, &replica_id, comm_d, comm_r, &challenges)
    }

    /// Public inputs of every partition of many sectors, one sector after the other.
    ///
    /// # Errors
    /// [`Error`], the first sector's whose commitments cannot be.
    pub fn all_inputs(&self, statements: &[SealStatement]) -> Result<Vec<Vec<Fr>>, Error> {
        let of = |statement: &SealStatement| {
            check_commitments(&statement.comm_r, &statement.comm_d)?;
            self.inputs(statement)
        };
        let inputs: Vec<_> = statements.par_iter().map(of).collect();
        // In order, so that it is the first error which comes out.
        let inputs: Vec<_> = inputs.into_iter().collect::<Result<_, _>>()?;
        Ok(inputs.into_iter().flatten().collect())
    }
}
