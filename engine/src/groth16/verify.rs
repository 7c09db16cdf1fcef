//! The verifier.
//!
//! One proof (A, B, C) for inputs x is accepted when `e(A, B) · e(Σ, −γ) · e(C, −δ) = e(α, β)`, with
//! `Σ = IC_0 + Σ_i x_i · IC_{i+1}`. Several proofs with one key are checked together with random weights z_j of 128 bits:
//!
//! `Π_j e(z_j A_j, B_j) · e(Σ_j z_j C_j, −δ) · e((Σ_j z_j) IC_0 + Σ_i (Σ_j z_j x_{j,i}) IC_{i+1}, −γ) = e(α, β)^(Σ z_j)`.
//!
//! A batch that fails is checked proof by proof, so that the guilty one is named.
//!
//! Source: `spec/snark.md` 5.1 and 5.2.

use blstrs::{Bls12, G1Affine, G1Projective, G2Prepared, Gt};
use ff::{Field, PrimeField};
use group::Curve;
use pairing::{MillerLoopResult, MultiMillerLoop};
use rand_core::{OsRng, RngCore};
use rayon::prelude::*;

use super::key::VerifyingKey;
use super::proof::Proof;
use crate::backend::cpu::curve::{Kernel, PortableG1};
use crate::backend::cpu::msm::msm;
use crate::field::Fr;

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

/// A verifying key with its pairings prepared.
pub struct Verifier {
    ic: Vec<<PortableG1 as Kernel>::Point>,
    minus_gamma: G2Prepared,
    minus_delta: G2Prepared,
    alpha_beta: Gt,
}

impl Verifier {
    /// Prepares a key.
    pub fn new(key: &VerifyingKey) -> Self {
        Self {
            ic: key.ic.iter().map(PortableG1::import).collect(),
            minus_gamma: (-key.gamma_g2).into(),
            minus_delta: (-key.delta_g2).into(),
            alpha_beta: blstrs::pairing(&key.alpha_g1, &key.beta_g2),
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
        if proofs.len() != inputs.len() {
            return Err(VerifyError::Counts { proofs: proofs.len(), inputs: inputs.len() });
        }
        inputs.iter().try_for_each(|inputs| self.check_inputs(inputs))?;
        match proofs {
            [] => Err(VerifyError::Empty),
            [proof] => self.verify(proof, &inputs[0]),
            _ if self.batch_holds(proofs, inputs) => Ok(()),
            _ => match proofs.par_iter().zip(inputs).position_first(|(proof, inputs)| !self.holds(proof, inputs)) {
                Some(index) => Err(VerifyError::Unsatisfied { index }),
                // Each equation holds, so their combination does too.
                None => Ok(()),
            },
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
        msm::<PortableG1>(&self.ic, &scalars).to_affine()
    }

    fn holds(&self, proof: &Proof, inputs: &[Fr]) -> bool {
        let sum = self.inputs_point(Fr::ONE, inputs);
        let terms = [(&proof.a, &G2Prepared::from(proof.b)), (&sum, &self.minus_gamma), (&proof.c, &self.minus_delta)];
        Bls12::multi_miller_loop(&terms).final_exponentiation() == self.alpha_beta
    }

    fn batch_holds(&self, proofs: &[Proof], inputs: &[Vec<Fr>]) -> bool {
        let weights: Vec<Fr> = proofs.iter().map(|_| weight()).collect();
        let mut combined = vec![Fr::ZERO; self.inputs()];
        for (weight, inputs) in weights.iter().zip(inputs) {
            combined.iter_mut().zip(inputs).for_each(|(sum, input)| *sum += *weight * input);
        }
        let total: Fr = weights.iter().sum();
        let sum = self.inputs_point(total, &combined);
        let c: G1Projective = proofs.iter().zip(&weights).map(|(proof, weight)| proof.c * weight).sum();
        let product = proofs
            .par_iter()
            .zip(&weights)
            .map(|(proof, weight)| {
                let a = (proof.a * weight).to_affine();
                Bls12::multi_miller_loop(&[(&a, &G2Prepared::from(proof.b))])
            })
            .reduce_with(|left, right| left + right);
        let rest = Bls12::multi_miller_loop(&[(&sum, &self.minus_gamma), (&c.to_affine(), &self.minus_delta)]);
        let product = product.map_or(rest, |product| product + rest);
        product.final_exponentiation() == self.alpha_beta * total
    }
}

/// A random number of 128 bits, not 0.
fn weight() -> Fr {
    let mut bytes = [0; 32];
    while bytes == [0; 32] {
        OsRng.fill_bytes(&mut bytes[..16]);
    }
    Option::from(Fr::from_repr(bytes)).unwrap_or(Fr::ONE)
}
