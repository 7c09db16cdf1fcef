//! Work over points and pairs of them: what devices take part in are sums, the rest the CPU computes alone.

use std::cell::LazyCell;
use std::iter;

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use criterion::{Criterion, Throughput};
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::curve::{Kernel, PortableG1, PortableG2};
use filecash_engine::backend::cpu::fixed_base::FixedBase;
use filecash_engine::backend::cpu::multiples::Bulk;
use filecash_engine::backend::cpu::pairing::{Gt, Miller};
use filecash_engine::backend::cpu::subgroup::Subgroup;
use filecash_engine::backend::cpu::{Cpu, fast, sums};
use filecash_engine::backend::gpu::Gpu;
use filecash_engine::backend::points::{PointBlock, PointBlocks, SumPlan};
use filecash_engine::field::Fr;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group as _, UncompressedEncoding};
use rayon::prelude::*;

use crate::{Devices, Group, compare, elements, group, made, time};

/// Bytes for the buckets of a sum, and for the tables of a base.
const MEMORY_BYTES: u64 = 256 << 20;

/// A group whose points are summed.
pub trait Summed: Curve<AffineRepr: Clone + Default + UncompressedEncoding> + group::Group<Scalar = Fr> {
    fn cpu(plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Self;
    fn portable(plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Self;
    fn device(gpu: &Gpu, block: &PointBlock) -> Self;
}

macro_rules! summed {
    ($group:ty, $portable:ty, $sum:ident) => {
        impl Summed for $group {
            fn cpu(plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Self {
                Cpu.$sum(plan, blocks).unwrap()
            }

            fn portable(plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Self {
                let mut blocks = blocks.map(|block| vec![block]);
                sums::sums::<$portable>(1, plan, &mut blocks).unwrap().into_iter().sum()
            }

            fn device(gpu: &Gpu, block: &PointBlock) -> Self {
                gpu.$sum(block).unwrap()
            }
        }
    };
}

summed!(G1Projective, PortableG1, sum_g1);
summed!(G2Projective, PortableG2, sum_g2);

/// Points B, 2B, 3B, … of no small B.
fn points<G: Curve<AffineRepr: Clone + Default> + group::Group<Scalar = Fr>>(count: usize) -> Vec<G::AffineRepr> {
    let base = base::<G>();
    let points: Vec<G> = iter::successors(Some(base), |point| Some(*point + base)).take(count).collect();
    let mut affine = vec![G::AffineRepr::default(); count];
    G::batch_normalize(&points, &mut affine);
    affine
}

fn base<G: group::Group<Scalar = Fr>>() -> G {
    G::generator() * elements(1)[0]
}

pub fn sums<G: Summed>(criterion: &mut Criterion, devices: &Devices, name: &str, sizes: Vec<usize>) {
    for is_random in [true, false] {
        let case = if is_random { "random scalars" } else { "ones" };
        let mut group = group(criterion, "sum", &format!("{name} {case}"));
        for &size in &sizes {
            group.throughput(Throughput::Elements(size as u64));
            let block = LazyCell::new(|| {
                let points = points::<G>(size);
                let bytes: Vec<u8> = points.iter().flat_map(|p| p.to_uncompressed().as_ref().to_vec()).collect();
                let (bytes, all) = (bytes.into(), (0..size as u32).collect());
                match is_random {
                    true => PointBlock { bytes, multiples: all, scalars: elements(size), ..PointBlock::default() },
                    false => PointBlock { bytes, ones: all, ..PointBlock::default() },
                }
            });
            let expected = LazyCell::new(|| {
                let logarithms = (1..=size as u64).map(Fr::from);
                base::<G>()
                    * match is_random {
                        true => {
                            logarithms.zip(&block.scalars).map(|(logarithm, scalar)| logarithm * scalar).sum::<Fr>()
                        }
                        false => logarithms.sum(),
                    }
            });
            let fresh = LazyCell::new(G::identity);
            let plan = SumPlan { points: size, memory_bytes: MEMORY_BYTES };
            // The CPU is handed blocks of its own; a copy takes nothing beside the sum.
            compare(&mut group, "cpu", size, &fresh, &expected, |sum| {
                *sum = G::cpu(&plan, &mut iter::once(block.clone()));
            });
            compare(&mut group, "portable", size, &fresh, &expected, |sum| {
                *sum = G::portable(&plan, &mut iter::once(block.clone()));
            });
            for (name, gpu) in devices.in_each_form() {
                compare(&mut group, &name, size, &fresh, &expected, |sum| *sum = G::device(gpu, &block));
            }
        }
    }
}

pub fn fixed_bases(criterion: &mut Criterion) {
    fn timed<K: Kernel>(group: &mut Group<'_>, who: &str, size: usize) {
        let make = || {
            let (fixed, scalars) = (FixedBase::<K>::new(&K::Group::generator(), size, MEMORY_BYTES), elements(size));
            let products = fixed.multiply(&scalars);
            let is_right = |(product, scalar): (&K::Point, &Fr)| {
                K::export(product) == (K::Group::generator() * *scalar).to_affine()
            };
            assert!(products.iter().zip(&scalars).take(100).all(is_right), "{who} computes something else");
            (fixed, scalars)
        };
        time(group, who, size, make, |(fixed, scalars)| fixed.multiply(scalars));
    }
    let size = 1 << 12;
    let mut g1 = group(criterion, "fixed base", "g1");
    g1.throughput(Throughput::Elements(size as u64));
    if fast::available() {
        timed::<fast::G1>(&mut g1, "cpu", size);
    }
    timed::<PortableG1>(&mut g1, "portable", size);
    g1.finish();
    let mut g2 = group(criterion, "fixed base", "g2");
    g2.throughput(Throughput::Elements(size as u64));
    if fast::available() {
        timed::<fast::G2>(&mut g2, "cpu", size);
    }
    timed::<PortableG2>(&mut g2, "portable", size);
}

pub fn multiples<G>(criterion: &mut Criterion, name: &str)
where
    G: Bulk<AffineRepr: PrimeCurveAffine<Curve = G, Scalar = Fr> + Default> + group::Group<Scalar = Fr>,
{
    let size = 1 << 10;
    let mut group = group(criterion, "multiples", name);
    group.throughput(Throughput::Elements(size as u64));
    let (fresh, scalars) = (LazyCell::new(|| points::<G>(size)), LazyCell::new(|| elements(size)));
    let one_by_one = |points: &mut Vec<G::AffineRepr>| {
        points.iter_mut().zip(&*scalars).for_each(|(point, scalar)| *point = (*point * scalar).to_affine());
    };
    let expected = LazyCell::new(|| made(&fresh, one_by_one));
    compare(&mut group, "cpu", size, &fresh, &expected, |points| G::scale(points, &scalars));
    compare(&mut group, "scalar", size, &fresh, &expected, one_by_one);
}

pub fn subgroups(criterion: &mut Criterion) {
    fn timed<A: Subgroup>(criterion: &mut Criterion, name: &str, points: Vec<A>, is_member: impl Fn(&A) -> bool) {
        let mut group = group(criterion, "subgroup", name);
        group.throughput(Throughput::Elements(points.len() as u64));
        let one_by_one = |members: &mut Vec<bool>| *members = points.iter().map(&is_member).collect();
        // The last point is none of the subgroup.
        let expected = Box::new((0..points.len()).map(|i| i + 1 < points.len()).collect());
        let fresh = Box::new(Vec::new());
        let size = points.len();
        compare(&mut group, "cpu", size, &fresh, &expected, |members| *members = A::are_members(&points));
        compare(&mut group, "scalar", size, &fresh, &expected, one_by_one);
    }
    let size = 1 << 10;
    // Points of the curves by their abscissas.
    let (mut g1, mut g2) = ([0; 48], [0; 96]);
    (g1[0], g1[47], g2[0], g2[95]) = (0x80, 4, 0x80, 2);
    let mut points_g1 = points::<G1Projective>(size);
    points_g1[size - 1] = G1Affine::from_compressed_unchecked(&g1).unwrap();
    timed(criterion, "g1", points_g1, |point| point.is_torsion_free().into());
    let mut points_g2 = points::<G2Projective>(size);
    points_g2[size - 1] = G2Affine::from_compressed_unchecked(&g2).unwrap();
    timed(criterion, "g2", points_g2, |point| point.is_torsion_free().into());
}

pub fn pairings(criterion: &mut Criterion) {
    let size = 32;
    let pairs = LazyCell::new(|| {
        let pairs = points::<G1Projective>(size).into_iter().zip(points::<G2Projective>(size));
        pairs.collect::<Vec<(G1Affine, G2Affine)>>()
    });
    // Π e(iB, iC) = e((Σ i²)·B, C).
    let expected = || {
        let exponent: Fr = (1..=size as u64).map(|i| Fr::from(i * i)).sum();
        let p = (base::<G1Projective>() * exponent).to_affine();
        Miller::of([(&p, &base::<G2Projective>().to_affine())]).finish()
    };
    let mut loops = group(criterion, "pairing", "loops");
    loops.throughput(Throughput::Elements(size as u64));
    let right = |product: Miller, who: &str| assert!(product.finish() == expected(), "{who} computes something else");
    let on_all_threads = || Miller::loops(pairs.par_iter().map(|(p, q)| (p, q)));
    let on_one = || Miller::of(pairs.iter().map(|(p, q)| (p, q)));
    let all = || right(on_all_threads(), "cpu");
    time(&mut loops, "cpu", size, all, |()| on_all_threads());
    time(&mut loops, "scalar", size, || right(on_one(), "scalar"), |()| on_one());
    loops.finish();

    let mut exponentiation = group(criterion, "pairing", "final exponentiation");
    exponentiation.throughput(Throughput::Elements(1));
    let make = || {
        let product = on_one();
        right(product, "scalar");
        product
    };
    time(&mut exponentiation, "scalar", 1, make, |product| product.finish());
    exponentiation.finish();

    let mut powers = group(criterion, "pairing", "powers");
    powers.throughput(Throughput::Elements(size as u64));
    let make = || {
        let gt = Miller::of([(&G1Affine::generator(), &G2Affine::generator())]).finish();
        let powers: Vec<_> = elements(size).into_iter().map(|exponent| (gt, exponent)).collect();
        let exponent: Fr = powers.iter().map(|(_, exponent)| exponent).sum();
        let p = (G1Affine::generator() * exponent).to_affine();
        let expected = Miller::of([(&p, &G2Affine::generator())]).finish();
        assert!(Gt::product_of_powers(&powers) == expected, "powers are something else");
        powers
    };
    time(&mut powers, "cpu", size, make, |powers| Gt::product_of_powers(powers));
}
