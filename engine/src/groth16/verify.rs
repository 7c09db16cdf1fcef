//! The verifier.
//!
//! One proof (A, B, C) for inputs x is accepted when `e(A, B) · e(Σ, −γ) · e(C, −δ) = e(α, β)`, with
//! `Σ = IC_0 + Σ_i x_i · IC_{i+1}`. Several proofs with one key are checked together with random weights z_j of 128 bits:
//!
//! `Π_j e(z_j A_j, B_j) · e(Σ_j z_j C_j, −δ) · e((Σ_j z_j) IC_0 + Σ_i (Σ_j z_j x_{j,i}) IC_{i+1}, −γ) = e(α, β)^(Σ z_j)`.
//!
//! A false proof passes with a probability of 2⁻¹²⁸. A batch costs one Miller loop a proof and three more, one final
//! exponentiation and one sum over IC; loops and sums run on all threads. A batch that fails is halved until the guilty
//! are few, and these are checked one by one, so that all of them are named and nobody else.
//!
//! Source: `spec/snark.md` 5.1 and 5.2.

use blstrs::{G1Affine, G1Projective, G2Affine};
use ff::Field;
use group::Curve;
use rayon::prelude::*;

use super::key::VerifyingKey;
use super::proof::Proof;
use super::srs::random_weight;
use crate::backend::cpu::curve::PortableG1;
use crate::backend::cpu::multiples::{Bulk, Prepared};
use crate::backend::cpu::pairing::{Gt, Miller};
use crate::field::Fr;

/// Proofs that are cheaper to check one by one than in halves, when one of them is false.
const FEW: usize = 4;
/// Lists of inputs that one task adds up.
const PIECE: usize = 64;

/// Why proofs were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum VerifyError {
    /// Says nothing about the proof: the key is of another circuit.
    #[error("wrong key: it is for {expected} public inputs, {actual} were given")]
    WrongKey { expected: usize, actual: usize },
    #[error("{proofs} proofs for {inputs} lists of public inputs")]
    Counts { proofs: usize, inputs: usize },
    #[error("no proofs")]
    Empty,
    #[error("proof {index} does not satisfy the verification equation")]
    Unsatisfied { index: usize },
}

/// A verifying key, prepared.
pub struct Verifier {
    ic: Prepared<PortableG1>,
    alpha: G1Affine,
    beta: G2Affine,
    minus_gamma: G2Affine,
    minus_delta: G2Affine,
    alpha_beta: Gt,
}

impl Verifier {
    /// Prepares a key.
    pub fn new(key: &VerifyingKey) -> Self {
        Self {
            ic: Prepared::new(&key.ic),
            alpha: key.alpha_g1,
            beta: key.beta_g2,
            minus_gamma: -key.gamma_g2,
            minus_delta: -key.delta_g2,
            alpha_beta: Miller::of([(&key.alpha_g1, &key.beta_g2)]).finish(),
        }
    }

    /// Public inputs of a proof, without ONE.
    pub fn inputs(&self) -> usize {
        self.ic.len().saturating_sub(1)
    }

    /// Checks one proof.
    ///
    /// # Errors
    /// [`VerifyError::WrongKey`] for another number of inputs, [`VerifyError::Unsatisfied`] for a false proof.
    pub fn verify(&self, proof: &Proof, inputs: &[Fr]) -> Result<(), VerifyError> {
        self.check_inputs(inputs)?;
        if self.holds(proof, inputs) { Ok(()) } else { Err(VerifyError::Unsatisfied { index: 0 }) }
    }

    /// Checks the proofs of all partitions, or of any batch, each with its inputs.
    ///
    /// # Errors
    /// As [`Self::verify`]; also [`VerifyError::Empty`] without proofs and [`VerifyError::Counts`] unless each proof has
    /// inputs.
    pub fn verify_all(&self, proofs: &[Proof], inputs: &[Vec<Fr>]) -> Result<(), VerifyError> {
        match self.false_ones(proofs, inputs)?.first() {
            Some(&index) => Err(VerifyError::Unsatisfied { index }),
            None => Ok(()),
        }
    }

    /// Checks a batch and gives the indices of the proofs that do not hold, ascending; none when all do.
    ///
    /// # Errors
    /// As [`Self::verify_all`], except that false proofs are no error.
    pub fn false_ones(&self, proofs: &[Proof], inputs: &[Vec<Fr>]) -> Result<Vec<usize>, VerifyError> {
        if proofs.len() != inputs.len() {
            return Err(VerifyError::Counts { proofs: proofs.len(), inputs: inputs.len() });
        }
        if proofs.is_empty() {
            return Err(VerifyError::Empty);
        }
        inputs.iter().try_for_each(|inputs| self.check_inputs(inputs))?;
        let mut found = Vec::new();
        self.search(0, proofs, inputs, &mut found);
        Ok(found)
    }

    fn search(&self, first: usize, proofs: &[Proof], inputs: &[Vec<Fr>], found: &mut Vec<usize>) {
        let len = proofs.len();
        if len > 1 && self.batch_holds(proofs, inputs) {
            return;
        }
        if len <= FEW {
            let alone = proofs.par_iter().zip(inputs).enumerate();
            found.par_extend(alone.filter(|(_, (proof, inputs))| !self.holds(proof, inputs)).map(|(at, _)| first + at));
        } else {
            let middle = len / 2;
            self.search(first, &proofs[..middle], &inputs[..middle], found);
            self.search(first + middle, &proofs[middle..], &inputs[middle..], found);
        }
    }

    fn check_inputs(&self, inputs: &[Fr]) -> Result<(), VerifyError> {
        if inputs.len() + 1 == self.ic.len() {
            Ok(())
        } else {
            Err(VerifyError::WrongKey { expected: self.inputs(), actual: inputs.len() })
        }
    }

    /// `one · IC_0 + Σ_i inputs[i] · IC_{i+1}`.
    fn inputs_point(&self, one: Fr, inputs: &[Fr]) -> G1Affine {
        let scalars: Vec<Fr> = std::iter::once(one).chain(inputs.iter().copied()).collect();
        self.ic.sum(&scalars).to_affine()
    }

    fn holds(&self, proof: &Proof, inputs: &[Fr]) -> bool {
        // A proof alone is waited for: its own pair and the rest take about as long.
        let rest = || {
            let sum = self.inputs_point(Fr::ONE, inputs);
            Miller::of([(&sum, &self.minus_gamma), (&proof.c, &self.minus_delta)])
        };
        let (own, rest) = rayon::join(|| Miller::of([(&proof.a, &proof.b)]), rest);
        (own * rest).finish() == self.alpha_beta
    }

    fn batch_holds(&self, proofs: &[Proof], inputs: &[Vec<Fr>]) -> bool {
        let weights: Vec<Fr> = proofs.iter().map(|_| random_weight()).collect();
        let total: Fr = weights.iter().sum();
        let rest = || {
            let sum = self.inputs_point(total, &weighted_sums(inputs, &weights, self.inputs()));
            let c: Vec<G1Affine> = proofs.iter().map(|proof| proof.c).collect();
            let c = G1Projective::sum_of_multiples(&c, &weights).to_affine();
            let alpha = (self.alpha * -total).to_affine();
            Miller::of([(&sum, &self.minus_gamma), (&c, &self.minus_delta), (&alpha, &self.beta)])
        };
        let products = || {
            let mut a: Vec<G1Affine> = proofs.iter().map(|proof| proof.a).collect();
            G1Projective::scale(&mut a, &weights);
            Miller::loops(a.par_iter().zip(proofs.par_iter().map(|proof| &proof.b)))
        };
        let (products, rest) = rayon::join(products, rest);
        (products * rest).finish().is_one()
    }
}

/// `Σ_j weights[j] · inputs[j][i]` for each i below `len`, in parallel.
pub(super) fn weighted_sums(inputs: &[Vec<Fr>], weights: &[Fr], len: usize) -> Vec<Fr> {
    let piece = |(inputs, weights): (&[Vec<Fr>], &[Fr])| {
        let mut sums = vec![Fr::ZERO; len];
        for (inputs, weight) in inputs.iter().zip(weights) {
            sums.iter_mut().zip(inputs).for_each(|(sum, input)| *sum += *weight * input);
        }
        sums
    };
    let join = |mut left: Vec<Fr>, right: Vec<Fr>| {
        left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
        left
    };
    inputs.par_chunks(PIECE).zip(weights.par_chunks(PIECE)).map(piece).reduce(|| vec![Fr::ZERO; len], join)
}
