//! The polynomials whose values at the secrets are the folded keys.
//!
//! Folding `v ← v_l + y·v_r` log₂ n times leaves `Σ_i v_i · Π_{j: bit j of i set} y_{l−1−j}`, the value at a (or b) of
//! `f_v(X) = Π_j (1 + y_{l−1−j} X^(2^j))`: the last round folds neighbours. For w, scaled by ρ^(−i) and shifted by n,
//! `f_w(X) = Xⁿ Π_j (1 + x_{l−1−j} (X/ρ)^(2^j))`.
//!
//! Source: `spec/snark.md` 5.4, step 9.

use ff::Field;

use crate::field::Fr;

/// `Π_j (1 + challenges[l−1−j] · (scale·X)^(2^j))`.
#[derive(Clone, Debug)]
pub struct Product {
    /// The coefficient of X^(2^j) in factor j.
    factors: Vec<Fr>,
}

impl Product {
    /// The polynomial of the challenges of the rounds, first round first.
    pub fn new(challenges: &[Fr], scale: &Fr) -> Self {
        let powers = std::iter::successors(Some(*scale), |power| Some(power.square()));
        Self { factors: challenges.iter().rev().zip(powers).map(|(challenge, power)| *challenge * power).collect() }
    }

    /// Its value.
    pub fn at(&self, point: &Fr) -> Fr {
        let powers = std::iter::successors(Some(*point), |power| Some(power.square()));
        self.factors.iter().zip(powers).map(|(factor, power)| Fr::ONE + *factor * power).product()
    }

    /// Its 2ˡ coefficients, that of 1 first.
    pub fn coefficients(&self) -> Vec<Fr> {
        let mut coefficients = vec![Fr::ONE];
        for factor in &self.factors {
            coefficients.extend_from_within(..);
            let half = coefficients.len() / 2;
            coefficients[half..].iter_mut().for_each(|coefficient| *coefficient *= factor);
        }
        coefficients
    }
}

/// `(f(X) − f(z)) / (X − z)`, one coefficient less than f.
pub fn quotient(coefficients: &[Fr], z: &Fr) -> Vec<Fr> {
    let mut quotient: Vec<Fr> = coefficients
        .iter()
        .skip(1)
        .rev()
        .scan(Fr::ZERO, |value, coefficient| {
            *value = *value * z + coefficient;
            Some(*value)
        })
        .collect();
    quotient.reverse();
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(coefficients: &[Fr], point: &Fr) -> Fr {
        coefficients.iter().rev().fold(Fr::ZERO, |value, coefficient| value * point + coefficient)
    }

    #[test]
    fn coefficients_and_quotient_agree_with_values() {
        let challenges: Vec<Fr> = [3, 5, 7, 11].map(Fr::from).to_vec();
        for rounds in 0..=4 {
            let product = Product::new(&challenges[..rounds], &Fr::from(13));
            let coefficients = product.coefficients();
            assert_eq!(coefficients.len(), 1 << rounds);
            let (z, point) = (Fr::from(17), Fr::from(19));
            assert_eq!(value(&coefficients, &z), product.at(&z));
            let quotient = quotient(&coefficients, &z);
            assert_eq!(quotient.len(), coefficients.len() - 1);
            assert_eq!(value(&quotient, &point) * (point - z), product.at(&point) - product.at(&z));
        }
    }

    #[test]
    fn folding_numbers_gives_the_value() {
        let challenges: Vec<Fr> = [3, 5, 7].map(Fr::from).to_vec();
        let secret = Fr::from(29);
        let mut powers: Vec<Fr> = (0..8_u64).map(|i| secret.pow_vartime([i])).collect();
        for challenge in &challenges {
            let right = powers.split_off(powers.len() / 2);
            powers.iter_mut().zip(right).for_each(|(left, right)| *left += *challenge * right);
        }
        assert_eq!(powers, [Product::new(&challenges, &Fr::ONE).at(&secret)]);
    }
}
