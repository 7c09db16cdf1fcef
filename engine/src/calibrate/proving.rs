//! Rates of what proofs are made of: transforms, sums over points, circuits, verification.

use std::hint::black_box;
use std::iter;

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::Field;
use group::{Curve, Group, UncompressedEncoding};
use rand_core::OsRng;
use rayon::prelude::*;

use super::{CircuitRates, PointRates, VerifyRates, rate, seconds};
use crate::backend::cpu::Cpu;
use crate::backend::cpu::ntt::{Domain, Points, Transform};
use crate::backend::cpu::sums::{MultiplesCost, PointGroup};
use crate::backend::points::{PointBlock, PointBlocks, SumPlan};
use crate::backend::{Backend, BackendError};
use crate::circuit::porep::{ChallengeWitness, ColumnWitness, PoRepCircuit, PoRepPartition, PoRepShape};
use crate::circuit::post::{LeafWitness, PoStCircuit, PoStShape, SlotWitness};
use crate::circuit::{Evaluations, Letter, Level, ProofCircuit};
use crate::field::Fr;
use crate::groth16::{Density, Simulator, Verifier, VerifyingKey};
use crate::sector::params::{DEGREE, WINDOW_CHALLENGES};
use crate::sector::{Profile, TreeShape};

/// Elements of a transform, when memory allows: more than caches hold.
const ELEMENTS: u64 = 1 << 20;
/// Different points of a sum.
const G1_POINTS: usize = 1 << 13;
const G2_POINTS: usize = 1 << 11;
/// How often each of them is multiplied.
const TIMES: usize = 8;
/// Bytes for buckets.
const BUCKETS: u64 = 64 << 20;
/// Public inputs of the two keys that verification is timed with.
const INPUTS: [usize; 2] = [8, 264];

/// Elements without a pattern.
fn elements() -> impl Iterator<Item = Fr> {
    iter::successors(Some(Fr::from(3)), |element| Some(element.square() + Fr::from(1))).skip(10)
}

pub fn transform(memory_bytes: u64) -> f64 {
    let most = (memory_bytes / 4 / size_of::<Fr>() as u64).clamp(1, ELEMENTS);
    let domain = Domain::at_least(1 << most.ilog2()).expect("2³² roots of unity are enough");
    let mut values: Vec<Fr> = elements().take(domain.size()).collect();
    let there_and_back = [Transform::Interpolate(Points::Roots), Transform::Evaluate(Points::Coset)];
    rate(there_and_back.len() * domain.size(), || domain.transform(&mut values, &there_and_back))
}

/// Rates of sums in G1 and in G2.
pub fn sums() -> (PointRates, PointRates) {
    let g1 = points::<G1Projective, G1Affine>(G1_POINTS);
    let g2 = points::<G2Projective, G2Affine>(G2_POINTS);
    let sum_g1 = |plan: &SumPlan, blocks: &mut PointBlocks<'_>| Cpu.sum_g1(plan, blocks).map(drop);
    let sum_g2 = |plan: &SumPlan, blocks: &mut PointBlocks<'_>| Cpu.sum_g2(plan, blocks).map(drop);
    (point_rates(PointGroup::G1, &g1, G1_POINTS, sum_g1), point_rates(PointGroup::G2, &g2, G2_POINTS, sum_g2))
}

/// The bytes of G, 2G, 3G, ...
fn points<G, A>(count: usize) -> Vec<u8>
where
    G: Group + Curve<AffineRepr = A>,
    A: Clone + Default + UncompressedEncoding,
{
    let multiples = iter::successors(Some(G::generator()), |point| Some(*point + G::generator()));
    let multiples: Vec<G> = multiples.take(count).collect();
    let mut affine = vec![A::default(); count];
    G::batch_normalize(&multiples, &mut affine);
    affine.iter().flat_map(|point| point.to_uncompressed().as_ref().to_vec()).collect()
}

fn point_rates(
    group: PointGroup,
    bytes: &[u8],
    count: usize,
    sum: impl Fn(&SumPlan, &mut PointBlocks<'_>) -> Result<(), BackendError>,
) -> PointRates {
    let time = |blocks: &[PointBlock]| {
        let plan = SumPlan { points: blocks.len() * count, memory_bytes: BUCKETS };
        seconds(|| sum(&plan, &mut blocks.iter().cloned()).expect("they are points of the curve"))
    };
    let all = || (0..count as u32).collect();
    let ones = PointBlock { bytes: bytes.to_vec().into(), ones: all(), ..PointBlock::default() };
    let ones = count as f64 / time(&[ones]);
    // In blocks, as out of a file, so that what is in caches there is in them here.
    let mut scalars = elements();
    let multiples: Vec<_> = (0..TIMES)
        .map(|_| PointBlock {
            bytes: bytes.to_vec().into(),
            multiples: all(),
            scalars: scalars.by_ref().take(count).collect(),
            ..PointBlock::default()
        })
        .collect();
    // Points are decoded in either case.
    let (total, whole) = (TIMES * count, time(&multiples));
    let additions = MultiplesCost::new(group, total, BUCKETS).additions as f64;
    PointRates { ones, additions: additions / (whole - total as f64 / ones).max(whole / 4.0) }
}

/// A path to the second leaf.
fn path(arities: &[usize]) -> Vec<Level> {
    let level = |(row, arity): (usize, &usize)| Level {
        siblings: elements().take(arity - 1).collect(),
        index: usize::from(row == 0),
    };
    arities.iter().enumerate().map(level).collect()
}

/// A small circuit of the kind of a PoRep: one challenge, one layer.
pub fn bits(profile: Profile) -> CircuitRates {
    let tree = TreeShape { base: 8, sub: 0, top: 0 };
    let shape = PoRepShape { profile, layers: 1, log2_nodes: 3, tree, challenges: 1 };
    let value = Fr::from(5);
    let column = ColumnWitness { node: 1, labels: vec![value], path: path(&[8]) };
    let challenge = ChallengeWitness {
        node: 1,
        data: value,
        data_path: path(&[2; 3]),
        parents: vec![column; DEGREE],
        replica_path: path(&[8]),
        column_path: path(&[8]),
    };
    let partition = PoRepPartition {
        replica_id: value,
        comm_d: value,
        comm_r: value,
        comm_c: value,
        comm_r_last: value,
        challenges: vec![challenge],
    };
    let circuit = PoRepCircuit::new(shape, partition).expect("the paths are those of the shape");
    let (recorded, shape) = record(&circuit);
    let witness = circuit.witness().expect("all values are there");
    CircuitRates {
        recorded,
        witness: rate(shape.aux(), || {
            black_box(circuit.witness().is_ok());
        }),
        evaluated: rate(shape.constraints(), || {
            let Evaluations { a, b, c } = shape.evaluate(&witness);
            let holds = |row: &usize| a.get(*row) * b.get(*row) == c.get(*row);
            // All of them, as where each holds.
            black_box((0..a.len()).into_par_iter().filter(holds).count());
        }),
    }
}

/// A small circuit of the kind of a window PoSt.
pub fn wide() -> CircuitRates {
    let tree = TreeShape { base: 8, sub: 0, top: 0 };
    let shape = PoStShape { slots: 8, challenges: WINDOW_CHALLENGES, log2_nodes: 6, tree };
    let leaf = LeafWitness { leaf: Fr::from(5), path: path(&[8; 2]) };
    let [comm_r, comm_c, comm_r_last] = [1, 2, 3].map(Fr::from);
    let slot = SlotWitness { comm_r, comm_c, comm_r_last, leaves: vec![leaf; WINDOW_CHALLENGES] };
    let circuit = PoStCircuit::new(shape, vec![slot]).expect("the paths are those of the shape");
    let (recorded, shape) = record(&circuit);
    let witness = circuit.witness().expect("all values are there");
    let mut rows = vec![Fr::from(0); shape.constraints()];
    CircuitRates {
        recorded,
        witness: rate(shape.aux(), || {
            black_box(circuit.witness().is_ok());
        }),
        evaluated: rate(shape.constraints(), || {
            for letter in [Letter::A, Letter::B, Letter::C] {
                shape.evaluate_into(letter, &witness, &mut rows);
            }
        }),
    }
}

fn record(circuit: &impl ProofCircuit) -> (f64, crate::circuit::Shape) {
    let shape = circuit.record();
    let recorded = rate(shape.constraints(), || {
        black_box(Density::new(&circuit.record()).aux);
    });
    (recorded, shape)
}

pub fn verify() -> VerifyRates {
    let [few, many] = INPUTS.map(|inputs| {
        let simulator = Simulator::random(inputs, OsRng);
        let inputs: Vec<Fr> = elements().take(inputs).collect();
        let (key, proof) = (simulator.key().to_bytes(), simulator.prove(&inputs, OsRng));
        seconds(|| {
            let key = VerifyingKey::from_bytes(&key).expect("a key comes back from its bytes");
            let verified = Verifier::new(&key).verify(&proof, &inputs);
            debug_assert!(verified.is_ok());
            black_box(verified.is_ok());
        })
    });
    let input = ((many - few) / (INPUTS[1] - INPUTS[0]) as f64).max(1e-9);
    let alone = (few - INPUTS[0] as f64 * input).max(few / 4.0);
    VerifyRates { proofs: 1.0 / alone, inputs: 1.0 / input }
}
