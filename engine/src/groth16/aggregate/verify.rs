//! The verifier of aggregates.
//!
//! From the challenges, and over all rounds: `T_ab = com_ab · Π tab_l^x · tab_r^y` under both secrets, T_c from com_c and
//! tuc likewise, `Z_ab = ip_ab · Π zab_l^x · zab_r^y`, `Z_c = agg_c + Σ x·zc_l + y·zc_r`,
//! `ρ' = Π_j (1 + y_{l−1−j} ρ^(2^j))`. With the folded A, B, C, v, w, an aggregate is accepted when
//!
//! | | |
//! |---|---|
//! | 1 | `e(A, B) = Z_ab` |
//! | 2, 3 | `e(A, v) · e(w, B) = T_ab`, under a and under b |
//! | 4, 5 | `e(C, v) = T_c` |
//! | 6 | `ρ'·C = Z_c` |
//! | 7, 8 | `e(−g, v − f_v(z)·h) · e(g^a − z·g, π_v) = 1`: v is the value of f_v |
//! | 9, 10 | `e(w − f_w(z)·g, −h) · e(π_w, h^a − z·h) = 1`: w is the value of f_w |
//! | 11 | `e(s·α, β) · e(s·IC_0 + Σ_i (Σ_j ρʲ x_{j,i})·IC_{i+1}, γ) · e(agg_c, δ) = ip_ab`, with `s = Σ_j ρʲ` |
//!
//! All but 6 are raised to random powers of 128 bits and multiplied: their left sides have points of G2 from a list of
//! eleven, so that eleven Miller loops, one final exponentiation and one product of powers in Gt decide.
//!
//! Source: `spec/snark.md` 5.4, "Verifier".

use blstrs::{G1Affine, G1Projective, G2Affine};
use ff::Field;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group};
use rayon::prelude::*;

use super::polynomial::Product;
use super::proof::AggregateProof;
use super::{AggregateError, Version, transcript};
use crate::backend::cpu::multiples::Bulk;
use crate::backend::cpu::pairing::{Gt, Miller};
use crate::field::Fr;
use crate::groth16::key::VerifyingKey;
use crate::groth16::srs::{VerifierSrs, random_weight};
use crate::groth16::verify::weighted_sums;

/// The points of G2 that occur.
#[derive(Clone, Copy)]
enum Of {
    B,
    Va,
    Vb,
    H,
    Ha,
    Hb,
    OpeningA,
    OpeningB,
    Beta,
    Gamma,
    Delta,
}

const POINTS: usize = 11;

/// `Π e(P, Q) = Π g^e`.
pub(super) struct Equation {
    left: Vec<(G1Projective, Of)>,
    right: Vec<(Gt, Fr)>,
}

/// The numbers of [`Equations::pairings`].
#[cfg(test)]
pub(super) const NUMBERS: [u32; 10] = [1, 2, 3, 4, 5, 7, 8, 9, 10, 11];

/// Everything that has to hold.
pub(super) struct Equations {
    points: [G2Affine; POINTS],
    /// All but 6, in the order of the table.
    pub(super) pairings: Vec<Equation>,
    /// Equation 6, in G1.
    pub(super) sums_agree: bool,
}

/// Accepts an aggregate of proofs of these statements, each the public inputs of one proof without ONE. When there are
/// fewer statements than proofs, the last one stands for the rest. `inc` as for the prover.
///
/// # Errors
/// [`AggregateError::Statements`], [`AggregateError::WrongKey`]; [`AggregateError::Unsatisfied`] for a false aggregate.
pub fn verify(
    key: &VerifyingKey,
    srs: &VerifierSrs,
    statements: &[Vec<Fr>],
    inc: &[u8],
    version: Version,
    proof: &AggregateProof,
) -> Result<(), AggregateError> {
    let equations = Equations::new(key, srs, statements, inc, version, proof)?;
    if equations.sums_agree && equations.hold_together() { Ok(()) } else { Err(AggregateError::Unsatisfied) }
}

/// The challenges of a proof.
struct Challenges {
    rho: Fr,
    xs: Vec<Fr>,
    ys: Vec<Fr>,
    z: Fr,
}

impl Challenges {
    fn new(inc: &[u8], version: Version, proof: &AggregateProof) -> Self {
        let hcom = transcript::commitments(&proof.com_ab, &proof.com_c);
        let rho = transcript::weight(&hcom, inc);
        let mut y = transcript::first(&hcom, &proof.ip_ab, &proof.agg_c, &rho);
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        let mut z = Fr::ZERO;
        for (number, round) in proof.rounds.iter().enumerate() {
            y = transcript::round(version, number, &y, round);
            // A challenge is not 0.
            let x = Option::<Fr>::from(y.invert()).unwrap_or(Fr::ONE);
            xs.push(x);
            ys.push(y);
            if number + 1 == proof.rounds.len() {
                let link = transcript::link(&x, &proof.folded, round);
                z = transcript::point(version, &x, &link, &proof.folded);
            }
        }
        Self { rho, xs, ys, z }
    }
}

impl Equations {
    pub(super) fn new(
        key: &VerifyingKey,
        srs: &VerifierSrs,
        statements: &[Vec<Fr>],
        inc: &[u8],
        version: Version,
        proof: &AggregateProof,
    ) -> Result<Self, AggregateError> {
        check_statements(key, statements, proof)?;
        let challenges = Challenges::new(inc, version, proof);
        let AggregateProof { folded, opening_v, .. } = proof;
        let points = [
            folded.b,
            folded.v[0],
            folded.v[1],
            G2Affine::generator(),
            srs.h_a,
            srs.h_b,
            opening_v[0],
            opening_v[1],
            key.beta_g2,
            key.gamma_g2,
            key.delta_g2,
        ];
        let (statement, (mut pairings, sums_agree)) = rayon::join(
            || statement(key, statements, &challenges.rho, proof),
            || (relations(&challenges, srs, proof), sums_agree(&challenges, proof)),
        );
        pairings.push(statement);
        Ok(Self { points, pairings, sums_agree })
    }

    /// All equations of pairings in one, with random powers.
    pub(super) fn hold_together(&self) -> bool {
        let mut left = [G1Projective::identity(); POINTS];
        let mut right = Vec::new();
        for equation in &self.pairings {
            let power = random_weight();
            equation.left.iter().for_each(|(point, of)| left[*of as usize] += *point * power);
            right.extend(equation.right.iter().map(|(value, exponent)| (*value, *exponent * power)));
        }
        let (left, right) = rayon::join(|| self.product(&left), || Gt::product_of_powers(&right));
        left == right
    }

    /// One equation alone: the plain twin of [`Self::hold_together`].
    #[cfg(test)]
    pub(super) fn holds(&self, equation: &Equation) -> bool {
        let mut left = [G1Projective::identity(); POINTS];
        equation.left.iter().for_each(|(point, of)| left[*of as usize] += *point);
        let right = equation.right.iter().fold(Gt::one(), |product, (value, exponent)| product * value.pow(exponent));
        self.product(&left) == right
    }

    fn product(&self, left: &[G1Projective; POINTS]) -> Gt {
        let left = left.map(|point| point.to_affine());
        Miller::loops(left.par_iter().zip(&self.points)).finish()
    }
}

fn check_statements(key: &VerifyingKey, statements: &[Vec<Fr>], proof: &AggregateProof) -> Result<(), AggregateError> {
    proof.expect_statements(statements.len())?;
    match statements.iter().find(|statement| statement.len() + 1 != key.ic.len()) {
        Some(statement) => {
            Err(AggregateError::WrongKey { expected: key.ic.len().saturating_sub(1), actual: statement.len() })
        }
        None => Ok(()),
    }
}

/// Equations 1 to 5 and 7 to 10.
fn relations(challenges: &Challenges, srs: &VerifierSrs, proof: &AggregateProof) -> Vec<Equation> {
    let Challenges { rho, xs, ys, z } = challenges;
    let folded = &proof.folded;
    let [a, c, wa, wb] = [folded.a, folded.c, folded.w[0], folded.w[1]].map(|point| point.to_curve());
    let g = G1Projective::generator();
    // An element, and what every round gives to the powers x and y.
    let over_rounds = |first: Gt, of: &dyn Fn(usize) -> [Gt; 2]| {
        let rounds = (0..proof.rounds.len()).flat_map(|round| {
            let [left, right] = of(round);
            [(left, xs[round]), (right, ys[round])]
        });
        std::iter::once((first, Fr::ONE)).chain(rounds).collect::<Vec<_>>()
    };
    let rounds = &proof.rounds;
    let tab =
        |side: usize| over_rounds(proof.com_ab[side], &|round| [rounds[round].tab_l[side], rounds[round].tab_r[side]]);
    let tuc =
        |side: usize| over_rounds(proof.com_c[side], &|round| [rounds[round].tuc_l[side], rounds[round].tuc_r[side]]);
    let zab = over_rounds(proof.ip_ab, &|round| [rounds[round].zab_l, rounds[round].zab_r]);

    let n = proof.proofs() as u64;
    let f_v = g * Product::new(ys, &Fr::ONE).at(z);
    // A challenge is not 0.
    let rho_inverse = Option::<Fr>::from(rho.invert()).unwrap_or(Fr::ONE);
    let f_w = g * (z.pow_vartime([n]) * Product::new(xs, &rho_inverse).at(z));
    let opened_v = |of, power: &G1Affine, opening| vec![(-g, of), (f_v, Of::H), (g * -*z + power, opening)];
    let opened_w =
        |w: G1Projective, opening: G1Affine, of| vec![(f_w - w - opening * *z, Of::H), (opening.to_curve(), of)];
    let [opening_a, opening_b] = proof.opening_w;
    let equation = |left, right| Equation { left, right };
    vec![
        equation(vec![(a, Of::B)], zab),
        equation(vec![(a, Of::Va), (wa, Of::B)], tab(0)),
        equation(vec![(a, Of::Vb), (wb, Of::B)], tab(1)),
        equation(vec![(c, Of::Va)], tuc(0)),
        equation(vec![(c, Of::Vb)], tuc(1)),
        equation(opened_v(Of::Va, &srs.g_a, Of::OpeningA), vec![]),
        equation(opened_v(Of::Vb, &srs.g_b, Of::OpeningB), vec![]),
        equation(opened_w(wa, opening_a, Of::Ha), vec![]),
        equation(opened_w(wb, opening_b, Of::Hb), vec![]),
    ]
}

/// Equation 6.
fn sums_agree(Challenges { rho, xs, ys, .. }: &Challenges, proof: &AggregateProof) -> bool {
    let points: Vec<G1Affine> = proof.rounds.iter().flat_map(|round| [round.zc_l, round.zc_r]).collect();
    let scalars: Vec<Fr> = xs.iter().zip(ys).flat_map(|(x, y)| [*x, *y]).collect();
    let z_c = G1Projective::sum_of_multiples(&points, &scalars) + proof.agg_c;
    proof.folded.c * Product::new(ys, &Fr::ONE).at(rho) == z_c
}

/// Equation 11.
fn statement(key: &VerifyingKey, statements: &[Vec<Fr>], rho: &Fr, proof: &AggregateProof) -> Equation {
    let powers: Vec<Fr> =
        std::iter::successors(Some(Fr::ONE), |power| Some(*power * rho)).take(proof.proofs()).collect();
    let total: Fr = powers.iter().sum();
    // The last statement stands for the padding too.
    let (own, padding) = powers.split_at(statements.len());
    let padding: Fr = padding.iter().sum();
    let mut scalars = weighted_sums(statements, own, key.ic.len() - 1);
    if let Some(last) = statements.last() {
        scalars.iter_mut().zip(last).for_each(|(sum, input)| *sum += padding * input);
    }
    scalars.insert(0, total);
    let inputs = G1Projective::sum_of_multiples(&key.ic, &scalars);
    let left = vec![(key.alpha_g1 * total, Of::Beta), (inputs, Of::Gamma), (proof.agg_c.to_curve(), Of::Delta)];
    Equation { left, right: vec![(proof.ip_ab, Fr::ONE)] }
}
