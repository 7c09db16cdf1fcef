//! Set-up from known secrets: parameters for tests and development networks. Real keys come from a ceremony.
//!
//! With the Lagrange polynomials `Λ_i(τ) = (τ^m − 1)/m · ωⁱ/(τ − ωⁱ)` of the domain, variable v has
//! `A_v(τ) = Σ_i A_{i,v} Λ_i(τ)`, and B and C likewise; row constraints + v of A is the consistency row of input v. The
//! points of a `.params` file are multiples of g1 and g2 by these values, `τⁱ Z(τ)/δ`, and
//! `(β A_v(τ) + α B_v(τ) + C_v(τ)) / δ`, or over γ for inputs.
//!
//! The file is written section by section; memory is for Λ and for one value of each variable, 32 bytes each, and for
//! tables of multiples of the generators. Who has the secrets can forge proofs.
//!
//! Source: `spec/snark.md` 3.1 and 3.2; byte-identical to bellman 0.14's `groth16::generate_parameters`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::Field;
use group::{Curve, Group};
use rand_core::RngCore;
use rayon::prelude::*;

use super::key::{VerifyingKey, write_count};
use crate::backend::cpu::curve::{Kernel, PortableG1, PortableG2};
use crate::backend::cpu::fast;
use crate::backend::cpu::fixed_base::FixedBase;
use crate::backend::cpu::ntt::{Domain, DomainTooLarge};
use crate::circuit::{Matrix, Shape};
use crate::field::Fr;
use crate::job::{Cancelled, Job, Stage, Unit};
use crate::store::atomic::{AtomicFile, WriteError};

/// Points that are made, encoded and written together.
const BLOCK: usize = 1 << 15;
/// Points that one task encodes.
const PIECE: usize = 1 << 9;
/// Memory of a block: scalars, points, bytes.
const BLOCK_BYTES: u64 = (BLOCK * 512) as u64;
/// Least memory for tables of multiples.
const MIN_TABLES: u64 = 1 << 20;

/// The secrets of a set-up.
#[derive(Clone, Debug)]
pub struct Toxic {
    /// Generator of G1.
    pub g1: G1Projective,
    /// Generator of G2.
    pub g2: G2Projective,
    /// α.
    pub alpha: Fr,
    /// β.
    pub beta: Fr,
    /// γ.
    pub gamma: Fr,
    /// δ.
    pub delta: Fr,
    /// τ.
    pub tau: Fr,
}

impl Toxic {
    /// Draws g1, g2, α, β, γ, δ, τ, in this order.
    pub fn random(mut rng: impl RngCore) -> Self {
        Self {
            g1: G1Projective::random(&mut rng),
            g2: G2Projective::random(&mut rng),
            alpha: Fr::random(&mut rng),
            beta: Fr::random(&mut rng),
            gamma: Fr::random(&mut rng),
            delta: Fr::random(&mut rng),
            tau: Fr::random(&mut rng),
        }
    }
}

/// Why parameters could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SetupError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    Domain(#[from] DomainTooLarge),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("aux variable {aux} is not constrained")]
    Unconstrained { aux: usize },
    #[error("a generator is the identity, a secret is 0, or τ is a root of unity")]
    Toxic,
    #[error("set-up needs {needed} bytes of memory, {} more than the budget", needed - available)]
    Memory { needed: u64, available: u64 },
}

/// Makes the parameters of a circuit and writes them to `out`, a `.params` file that appears when it is complete.
/// Returns the verifying key, whose bytes are the head of the file.
///
/// # Errors
/// [`SetupError`]; nothing is left behind then.
pub fn setup(job: &Job<'_>, shape: &Shape, toxic: &Toxic, out: &Path) -> Result<VerifyingKey, SetupError> {
    if fast::available() {
        setup_with::<fast::G1, fast::G2>(job, shape, toxic, out)
    } else {
        setup_with::<PortableG1, PortableG2>(job, shape, toxic, out)
    }
}

/// [`setup`] with a choice of arithmetic, which does not change the file.
///
/// # Errors
/// As [`setup`].
pub fn setup_with<G1, G2>(job: &Job<'_>, shape: &Shape, toxic: &Toxic, out: &Path) -> Result<VerifyingKey, SetupError>
where
    G1: Kernel<Group = G1Projective, Affine = G1Affine>,
    G2: Kernel<Group = G2Projective, Affine = G2Affine>,
{
    let qap = Qap::new(job, shape, toxic)?;
    let output = BufWriter::new(AtomicFile::create(out)?);
    let mut writer = Writer { output, stage: qap.stage(job) };
    let key = qap.write::<G1, G2>(&mut writer)?;
    let file = writer.output.into_inner().map_err(|error| WriteError::at("write", out)(error.into_error()))?;
    file.commit()?;
    Ok(key)
}

struct Writer<'a> {
    output: BufWriter<AtomicFile>,
    stage: Stage<'a>,
}

impl Writer<'_> {
    fn raw(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), SetupError> {
        write(&mut self.output).map_err(|source| self.output.get_ref().error(source).into())
    }

    /// Writes a section: the multiples of a base by `count` scalars, which `scalars` appends block by block.
    fn section<K: Kernel>(
        &mut self,
        base: &FixedBase<K>,
        count: usize,
        mut scalars: impl FnMut(&mut Vec<Fr>, usize),
    ) -> Result<(), SetupError> {
        self.raw(|mut output| write_count(&mut output, count))?;
        let mut block = Vec::with_capacity(BLOCK);
        let mut bytes = vec![0; BLOCK * K::POINT_BYTES];
        let mut done = 0;
        while done < count {
            block.clear();
            scalars(&mut block, BLOCK.min(count - done));
            let bytes = &mut bytes[..block.len() * K::POINT_BYTES];
            let points = base.multiply(&block);
            bytes
                .par_chunks_mut(PIECE * K::POINT_BYTES)
                .zip(points.par_chunks(PIECE))
                .for_each(|(bytes, points)| K::encode_all(points, bytes));
            self.raw(|output| output.write_all(bytes))?;
            done += block.len();
            self.stage.advance(block.len() as u64)?;
        }
        Ok(())
    }
}

/// The polynomials of a circuit at τ.
struct Qap<'a> {
    shape: &'a Shape,
    toxic: &'a Toxic,
    domain: Domain,
    /// Λ_i(τ).
    lagrange: Vec<Fr>,
    /// Z(τ).
    vanishing: Fr,
    gamma_inverse: Fr,
    delta_inverse: Fr,
    table_bytes: u64,
}

impl<'a> Qap<'a> {
    fn new(job: &Job<'_>, shape: &'a Shape, toxic: &'a Toxic) -> Result<Self, SetupError> {
        let invert = |value: &Fr| Option::<Fr>::from(value.invert()).ok_or(SetupError::Toxic);
        let domain = Domain::at_least(shape.constraints() + shape.inputs())?;
        let variables = shape.inputs() + shape.aux();
        let needed = ((domain.size() + variables) * size_of::<Fr>()) as u64 + BLOCK_BYTES + MIN_TABLES;
        let available = job.config.memory_bytes;
        if needed > available {
            return Err(SetupError::Memory { needed, available });
        }
        if bool::from(toxic.g1.is_identity() | toxic.g2.is_identity()) {
            return Err(SetupError::Toxic);
        }
        for secret in [&toxic.alpha, &toxic.beta] {
            invert(secret)?;
        }
        let vanishing = domain.vanishing_at(&toxic.tau);
        invert(&vanishing)?;
        Ok(Self {
            shape,
            toxic,
            domain,
            lagrange: lagrange(&domain, &toxic.tau, vanishing),
            vanishing,
            gamma_inverse: invert(&toxic.gamma)?,
            delta_inverse: invert(&toxic.delta)?,
            table_bytes: MIN_TABLES + available - needed,
        })
    }

    fn stage<'j>(&self, job: &Job<'j>) -> Stage<'j> {
        // H, L, A are known; B is bounded by the variables.
        let points = self.domain.size() + 2 * self.shape.aux();
        job.stage("set-up", Unit::Items, points as u64)
    }

    fn write<G1, G2>(&self, writer: &mut Writer<'_>) -> Result<VerifyingKey, SetupError>
    where
        G1: Kernel<Group = G1Projective, Affine = G1Affine>,
        G2: Kernel<Group = G2Projective, Affine = G2Affine>,
    {
        let Toxic { g1, g2, alpha, beta, gamma, delta, tau } = self.toxic;
        let inputs = self.shape.inputs();
        let g1_points = self.domain.size() + 2 * self.shape.aux();
        let base = FixedBase::<G1>::new(g1, g1_points, self.table_bytes);

        let mut values = self.combined()?;
        let ic: Vec<Fr> = values[..inputs].iter().map(|value| *value * self.gamma_inverse).collect();
        let key = VerifyingKey {
            alpha_g1: (g1 * alpha).to_affine(),
            beta_g1: (g1 * beta).to_affine(),
            beta_g2: (g2 * beta).to_affine(),
            gamma_g2: (g2 * gamma).to_affine(),
            delta_g1: (g1 * delta).to_affine(),
            delta_g2: (g2 * delta).to_affine(),
            ic: base.multiply(&ic).iter().map(G1::export).collect(),
        };
        writer.raw(|output| output.write_all(&key.to_bytes()))?;

        let mut power = self.vanishing * self.delta_inverse;
        writer.section(&base, self.domain.size() - 1, |block, len| {
            for _ in 0..len {
                block.push(power);
                power *= tau;
            }
        })?;

        let mut rest = values[inputs..].iter();
        writer.section(&base, self.shape.aux(), |block, len| {
            block.extend(rest.by_ref().take(len).map(|value| *value * self.delta_inverse));
        })?;

        let [a, b, _] = self.shape.matrices();
        values.fill(Fr::ZERO);
        values[..inputs].copy_from_slice(&self.lagrange[self.shape.constraints()..][..inputs]);
        self.add_columns(a, &mut values);
        writer.section(&base, non_zeros(&values).count(), take(&mut non_zeros(&values)))?;

        values.fill(Fr::ZERO);
        self.add_columns(b, &mut values);
        let count = non_zeros(&values).count();
        writer.section(&base, count, take(&mut non_zeros(&values)))?;
        drop(base);
        let base = FixedBase::<G2>::new(g2, count, self.table_bytes);
        writer.section(&base, count, take(&mut non_zeros(&values)))?;
        Ok(key)
    }

    /// `β A_v(τ) + α B_v(τ) + C_v(τ)` for each variable.
    fn combined(&self) -> Result<Vec<Fr>, SetupError> {
        let (inputs, alpha, beta) = (self.shape.inputs(), self.toxic.alpha, self.toxic.beta);
        let [a, b, c] = self.shape.matrices();
        let mut values = vec![Fr::ZERO; inputs + self.shape.aux()];
        let scale = |values: &mut [Fr], factor: Fr| values.par_iter_mut().for_each(|value| *value *= factor);
        values[..inputs].copy_from_slice(&self.lagrange[self.shape.constraints()..][..inputs]);
        self.add_columns(a, &mut values);
        // β A + α B = α (β/α A + B).
        scale(&mut values, beta * Option::<Fr>::from(alpha.invert()).ok_or(SetupError::Toxic)?);
        self.add_columns(b, &mut values);
        scale(&mut values, alpha);
        self.add_columns(c, &mut values);
        match values[inputs..].par_iter().position_first(|value| *value == Fr::ZERO) {
            Some(aux) => Err(SetupError::Unconstrained { aux }),
            None => Ok(values),
        }
    }

    /// Adds `Σ_i M_{i,v} Λ_i(τ)` to `values[v]`, inputs first. Each task reads all terms and adds those of its variables.
    fn add_columns(&self, matrix: Matrix<'_>, values: &mut [Fr]) {
        let inputs = self.shape.inputs();
        let part = values.len().div_ceil(rayon::current_num_threads()).max(1);
        values.par_chunks_mut(part).enumerate().for_each(|(task, values)| {
            let first = task * part;
            for ((_, row), lagrange) in matrix.rows_of(0..matrix.rows()).zip(&self.lagrange) {
                for (column, number) in row {
                    let variable = column.index() + if column.is_aux() { inputs } else { 0 };
                    if let Some(value) = variable.checked_sub(first).and_then(|index| values.get_mut(index)) {
                        *value += *self.shape.coefficient(number) * lagrange;
                    }
                }
            }
        });
    }
}

/// `(τ^m − 1)/m · ωⁱ/(τ − ωⁱ)` for each i; τ is not a power of ω.
fn lagrange(domain: &Domain, tau: &Fr, vanishing: Fr) -> Vec<Fr> {
    const PIECE: usize = 1 << 10;
    let scale = vanishing * Option::<Fr>::from(Fr::from(domain.size() as u64).invert()).unwrap_or(Fr::ZERO);
    let mut values = vec![Fr::ZERO; domain.size()];
    values.par_chunks_mut(PIECE).enumerate().for_each(|(piece, values)| {
        let start = domain.root().pow_vartime([(piece * PIECE) as u64]);
        // One inversion a piece: first the products of the divisors before each, then from the last back.
        let (mut root, mut product) = (start, Fr::ONE);
        for value in values.iter_mut() {
            *value = product;
            product *= *tau - root;
            root *= domain.root();
        }
        let mut inverse = Option::<Fr>::from(product.invert()).unwrap_or(Fr::ZERO);
        let inverse_root = Option::<Fr>::from(domain.root().invert()).unwrap_or(Fr::ZERO);
        for value in values.iter_mut().rev() {
            root *= inverse_root;
            *value *= inverse * root * scale;
            inverse *= *tau - root;
        }
    });
    values
}

fn non_zeros(values: &[Fr]) -> impl Iterator<Item = &Fr> {
    values.iter().filter(|value| **value != Fr::ZERO)
}

/// Appends the next scalars of an iterator to a block.
fn take<'a>(values: &mut impl Iterator<Item = &'a Fr>) -> impl FnMut(&mut Vec<Fr>, usize) {
    |block, len| block.extend(values.take(len))
}
