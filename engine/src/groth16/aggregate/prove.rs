//! The prover of aggregates.
//!
//! With A, B, C of the proofs it commits, draws ρ, scales `B_i ← ρⁱ·B_i`, `w_i ← ρ^(−i)·w_i`, `R_i = ρⁱ`, and folds: a round
//! hands over the products of the crossed halves and then takes `A ← A_l + x·A_r`, C and w likewise, `B ← B_l + y·B_r`, R
//! and v likewise, with x = 1/y. Nearly all the time is in Miller loops, about 21 for each proof.
//!
//! Source: `spec/snark.md` 5.4, "Prover".

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::Field;
use group::Curve;
use rayon::prelude::*;

use super::polynomial::{Product, quotient};
use super::proof::{AggregateProof, Folded, MAX_PROOFS, Round};
use super::{AggregateError, Version, transcript};
use crate::backend::cpu::multiples::Bulk;
use crate::backend::cpu::pairing::{Gt, Miller};
use crate::field::Fr;
use crate::groth16::proof::Proof;
use crate::groth16::srs::ProverSrs;
use crate::job::{Job, Unit};

/// Aggregates proofs whose number is a power of two. `inc` is bound into the challenges; the statements have to follow
/// from it, or be fixed otherwise.
///
/// Nothing is verified here: false proofs give an aggregate that does not verify.
///
/// # Errors
/// [`AggregateError::Count`], [`AggregateError::SmallSrs`], [`AggregateError::Cancelled`].
pub fn prove(
    job: &Job<'_>,
    srs: &ProverSrs,
    proofs: &[Proof],
    inc: &[u8],
    version: Version,
) -> Result<AggregateProof, AggregateError> {
    let n = proofs.len();
    if !(2..=MAX_PROOFS).contains(&n) || !n.is_power_of_two() {
        return Err(AggregateError::Count { actual: n });
    }
    if srs.proofs() < n {
        return Err(AggregateError::SmallSrs { needed: n, available: srs.proofs() });
    }
    let stage = job.stage("aggregate", Unit::Items, 21 * n as u64);
    let mut vectors = Vectors::new(srs, proofs);
    let [com_ab @ .., c0, c1] = {
        let Vectors { a, b, c, v: [v0, v1], w: [w0, w1], .. } = &vectors;
        products([&[(a, v0), (w0, b)], &[(a, v1), (w1, b)], &[(c, v0)], &[(c, v1)]])
    };
    let com_c = [c0, c1];
    stage.advance(6 * n as u64)?;

    let hcom = transcript::commitments(&com_ab, &com_c);
    let rho = transcript::weight(&hcom, inc);
    // A challenge is not 0.
    let rho_inverse = Option::<Fr>::from(rho.invert()).unwrap_or(Fr::ONE);
    vectors.weigh(&rho, &rho_inverse);
    let [ip_ab] = products([&[(&vectors.a, &vectors.b)]]);
    let agg_c = G1Projective::sum_of_multiples(&vectors.c, &vectors.r).to_affine();
    stage.advance(n as u64)?;

    let mut y = transcript::first(&hcom, &ip_ab, &agg_c, &rho);
    let mut rounds = Vec::new();
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    while vectors.r.len() > 1 {
        let half = vectors.r.len() as u64 / 2;
        let round = vectors.cross();
        stage.advance(13 * half)?;
        y = transcript::round(version, rounds.len(), &y, &round);
        let x = Option::<Fr>::from(y.invert()).unwrap_or(Fr::ONE);
        vectors.fold(&x, &y);
        stage.advance(half)?;
        rounds.push(round);
        xs.push(x);
        ys.push(y);
    }
    let folded = vectors.folded();
    // n is 2 at least, so there was a round.
    let (last, x) = (rounds[rounds.len() - 1], xs[xs.len() - 1]);
    let z = transcript::point(version, &x, &transcript::link(&x, &folded, &last), &folded);
    let (opening_v, opening_w) = open(srs, n, &Product::new(&ys, &Fr::ONE), &Product::new(&xs, &rho_inverse), &z);
    Ok(AggregateProof { com_ab, com_c, ip_ab, agg_c, rounds, folded, opening_v, opening_w })
}

/// Commitments to the quotients of f_v and f_w by X − z.
fn open(srs: &ProverSrs, n: usize, f_v: &Product, f_w: &Product, z: &Fr) -> ([G2Affine; 2], [G1Affine; 2]) {
    let q_v = quotient(&f_v.coefficients(), z);
    let shifted = [vec![Fr::ZERO; n], f_w.coefficients()].concat();
    let q_w = quotient(&shifted, z);
    let v = [&srs.h_a, &srs.h_b].map(|h| G2Projective::sum_of_multiples(&h[..q_v.len()], &q_v).to_affine());
    let w = [&srs.g_a, &srs.g_b].map(|g| G1Projective::sum_of_multiples(&g[..q_w.len()], &q_w).to_affine());
    (v, w)
}

/// The vectors that are folded, all of one length.
struct Vectors {
    a: Vec<G1Affine>,
    b: Vec<G2Affine>,
    c: Vec<G1Affine>,
    r: Vec<Fr>,
    v: [Vec<G2Affine>; 2],
    w: [Vec<G1Affine>; 2],
}

impl Vectors {
    fn new(srs: &ProverSrs, proofs: &[Proof]) -> Self {
        let n = proofs.len();
        Self {
            a: proofs.iter().map(|proof| proof.a).collect(),
            b: proofs.iter().map(|proof| proof.b).collect(),
            c: proofs.iter().map(|proof| proof.c).collect(),
            r: vec![Fr::ONE; n],
            v: [srs.h_a[..n].to_vec(), srs.h_b[..n].to_vec()],
            w: [srs.g_a[n..2 * n].to_vec(), srs.g_b[n..2 * n].to_vec()],
        }
    }

    /// Scales B and w by the powers of ρ and of its inverse.
    fn weigh(&mut self, rho: &Fr, rho_inverse: &Fr) {
        let powers = |base: Fr| std::iter::successors(Some(Fr::ONE), move |power| Some(*power * base));
        self.r = powers(*rho).take(self.b.len()).collect();
        let inverses: Vec<Fr> = powers(*rho_inverse).take(self.b.len()).collect();
        G2Projective::scale(&mut self.b, &self.r);
        self.w.iter_mut().for_each(|w| G1Projective::scale(w, &inverses));
    }

    /// What is handed over in a round.
    fn cross(&self) -> Round {
        let half = self.r.len() / 2;
        let (a_l, a_r) = self.a.split_at(half);
        let (b_l, b_r) = self.b.split_at(half);
        let (c_l, c_r) = self.c.split_at(half);
        let (r_l, r_r) = self.r.split_at(half);
        let [(v0_l, v0_r), (v1_l, v1_r)] = [self.v[0].split_at(half), self.v[1].split_at(half)];
        let [(w0_l, w0_r), (w1_l, w1_r)] = [self.w[0].split_at(half), self.w[1].split_at(half)];
        let [tab_l0, tab_l1, tab_r0, tab_r1, tuc_l0, tuc_l1, tuc_r0, tuc_r1, zab_l, zab_r] = products([
            &[(a_r, v0_l), (w0_r, b_l)],
            &[(a_r, v1_l), (w1_r, b_l)],
            &[(a_l, v0_r), (w0_l, b_r)],
            &[(a_l, v1_r), (w1_l, b_r)],
            &[(c_r, v0_l)],
            &[(c_r, v1_l)],
            &[(c_l, v0_r)],
            &[(c_l, v1_r)],
            &[(a_r, b_l)],
            &[(a_l, b_r)],
        ]);
        let (zc_l, zc_r) = rayon::join(
            || G1Projective::sum_of_multiples(c_r, r_l).to_affine(),
            || G1Projective::sum_of_multiples(c_l, r_r).to_affine(),
        );
        Round {
            tab_l: [tab_l0, tab_l1],
            tab_r: [tab_r0, tab_r1],
            tuc_l: [tuc_l0, tuc_l1],
            tuc_r: [tuc_r0, tuc_r1],
            zab_l,
            zab_r,
            zc_l,
            zc_r,
        }
    }

    fn fold(&mut self, x: &Fr, y: &Fr) {
        let [w0, w1] = &mut self.w;
        let [v0, v1] = &mut self.v;
        let by_x = [&mut self.a, &mut self.c, w0, w1];
        let by_y = [&mut self.b, v0, v1];
        rayon::join(
            || by_x.into_par_iter().for_each(|points| G1Projective::fold(points, x)),
            || by_y.into_par_iter().for_each(|points| G2Projective::fold(points, y)),
        );
        let right = self.r.split_off(self.r.len() / 2);
        self.r.iter_mut().zip(right).for_each(|(left, right)| *left += *y * right);
    }

    /// The vectors when there is one element in each.
    fn folded(&self) -> Folded {
        let Self { a, b, c, v: [v0, v1], w: [w0, w1], .. } = self;
        Folded { a: a[0], b: b[0], c: c[0], v: [v0[0], v1[0]], w: [w0[0], w1[0]] }
    }
}

/// Two vectors to be paired, element by element.
type Paired<'a> = (&'a [G1Affine], &'a [G2Affine]);

/// Products of pairings, each over some pairs of vectors.
fn products<const N: usize>(factors: [&[Paired<'_>]; N]) -> [Gt; N] {
    let mut products = [Gt::one(); N];
    products.par_iter_mut().zip(factors).for_each(|(product, factors)| {
        let loops = factors.iter().map(|(p, q)| Miller::loops(p.par_iter().zip(*q)));
        *product = loops.fold(Miller::default(), std::ops::Mul::mul).finish();
    });
    products
}
