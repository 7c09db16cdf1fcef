//! Proofs of any statement, true or false, by who knows the secrets of a set-up.
//!
//! For random a and b, `A = a·g1`, `B = b·g2` and `C = (a·b·g1 − α·β·g1 − γ·Σ)/δ` satisfy the verification equation for
//! the Σ of whatever public inputs. Such a proof is distributed exactly like an honest one, which is why Groth16 shows
//! nothing but truth, and why the secrets of a set-up have to be gone.
//!
//! Here it serves tests and measurements of verification and aggregation: they need thousands of proofs, an honest one of
//! the smallest sector takes ten seconds, and neither the verifier nor the aggregator can tell. The key too needs no
//! circuit: its IC points are random.
//!
//! Source: J. Groth, "On the size of pairing-based non-interactive arguments" (2016), section 3.2, zero knowledge.

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::Field;
use group::{Curve, Group};
use rand_core::RngCore;

use super::key::VerifyingKey;
use super::proof::Proof;
use crate::field::Fr;

/// The secrets of a key that no circuit has.
#[derive(Clone, Debug)]
pub struct Simulator {
    key: VerifyingKey,
    g1: G1Affine,
    g2: G2Affine,
    alpha_beta: Fr,
    gamma: Fr,
    delta_inverse: Fr,
}

impl Simulator {
    /// Draws secrets and a key for so many public inputs, ONE not counted.
    pub fn random(inputs: usize, mut rng: impl RngCore) -> Self {
        let g1 = G1Projective::random(&mut rng);
        let g2 = G2Projective::random(&mut rng);
        let [alpha, beta, gamma, delta] = std::array::from_fn(|_| {
            loop {
                let secret = Fr::random(&mut rng);
                if secret != Fr::ZERO {
                    return secret;
                }
            }
        });
        let key = VerifyingKey {
            alpha_g1: (g1 * alpha).to_affine(),
            beta_g1: (g1 * beta).to_affine(),
            beta_g2: (g2 * beta).to_affine(),
            gamma_g2: (g2 * gamma).to_affine(),
            delta_g1: (g1 * delta).to_affine(),
            delta_g2: (g2 * delta).to_affine(),
            ic: (0..=inputs).map(|_| (g1 * Fr::random(&mut rng)).to_affine()).collect(),
        };
        let delta_inverse = Option::<Fr>::from(delta.invert()).expect("secrets are not 0");
        Self { key, g1: g1.to_affine(), g2: g2.to_affine(), alpha_beta: alpha * beta, gamma, delta_inverse }
    }

    /// The verifying key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// A proof of these inputs, without ONE; of less or more than the key's, what is there.
    pub fn prove(&self, inputs: &[Fr], mut rng: impl RngCore) -> Proof {
        let (a, b) = (Fr::random(&mut rng), Fr::random(&mut rng));
        let ic = self.key.ic.iter().zip(std::iter::once(&Fr::ONE).chain(inputs));
        let sum: G1Projective = ic.map(|(point, input)| point * input).sum();
        let c = (self.g1 * (a * b - self.alpha_beta) - sum * self.gamma) * self.delta_inverse;
        Proof { a: (self.g1 * a).to_affine(), b: (self.g2 * b).to_affine(), c: c.to_affine() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groth16::Verifier;
    use rand_core::SeedableRng;
    use rand_xorshift::XorShiftRng;

    #[test]
    fn simulated_proofs_verify_for_their_inputs_only() {
        let mut rng = XorShiftRng::from_seed([1; 16]);
        let simulator = Simulator::random(3, &mut rng);
        let verifier = Verifier::new(simulator.key());
        let inputs = [1, 2, 3].map(Fr::from);
        let proof = simulator.prove(&inputs, &mut rng);
        assert_eq!(verifier.verify(&proof, &inputs), Ok(()));
        assert!(verifier.verify(&proof, &[1, 2, 4].map(Fr::from)).is_err());
    }
}
