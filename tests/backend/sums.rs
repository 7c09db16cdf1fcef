//! Sums of multiples of points, against the curve crate.

use blstrs::{G1Projective, G2Projective, Scalar};
use ff::Field as _;
use filecash_engine::backend::gpu::{Gpu, GpuError, GpuLimits};
use filecash_engine::backend::points::PointBlock;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group, UncompressedEncoding};

use crate::{adapters, on_every_adapter};

/// A group whose sums devices compute.
trait Sum: Group<Scalar = Scalar> + Curve<AffineRepr: PrimeCurveAffine<Curve = Self> + UncompressedEncoding> {
    fn on(gpu: &Gpu, block: &PointBlock) -> Result<Self, GpuError>;
}

impl Sum for G1Projective {
    fn on(gpu: &Gpu, block: &PointBlock) -> Result<Self, GpuError> {
        gpu.sum_g1(block)
    }
}

impl Sum for G2Projective {
    fn on(gpu: &Gpu, block: &PointBlock) -> Result<Self, GpuError> {
        gpu.sum_g2(block)
    }
}

/// Numbers without a pattern.
fn scalar(i: usize) -> Scalar {
    let x = Scalar::from((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 2);
    x.square().square() * x + Scalar::from(i as u64)
}

fn encoded<G: Sum>(points: &[G]) -> Vec<u8> {
    points.iter().flat_map(|point| point.to_affine().to_uncompressed().as_ref().to_vec()).collect()
}

/// Points `k_i·G` with their k: mostly without a pattern, some equal, some opposite.
fn points<G: Sum>(count: usize) -> (Vec<u8>, Vec<Scalar>) {
    let logarithm = |i: usize| match i % 13 {
        11 => scalar(5),
        12 => -scalar(5),
        _ => scalar(i).double(),
    };
    let logarithms: Vec<_> = (0..count).map(logarithm).collect();
    let points: Vec<_> = logarithms.iter().map(|k| G::generator() * k).collect();
    (encoded(&points), logarithms)
}

/// The sum that a block is to give, from its points' logarithms.
fn expected<G: Sum>(block: &PointBlock, logarithms: &[Scalar]) -> G {
    let ones: Scalar = block.ones.iter().map(|index| logarithms[*index as usize]).sum();
    let multiples = block.multiples.iter().zip(&block.scalars);
    let multiples: Scalar = multiples.map(|(index, scalar)| logarithms[*index as usize] * scalar).sum();
    G::generator() * (ones + multiples)
}

fn check<G: Sum>(gpu: &Gpu, block: &PointBlock, logarithms: &[Scalar], what: &str) {
    assert!(G::on(gpu, block).unwrap() == expected::<G>(block, logarithms), "{what} in {:?}", gpu.device().form);
}

/// Scalars of every distribution, and points that are taken once beside them.
fn distributions<G: Sum>(gpu: &Gpu, count: usize) {
    let (bytes, logarithms) = points::<G>(count);
    let all: Vec<_> = (0..count as u32).collect();
    type Chosen = fn(usize) -> Scalar;
    let cases: [(&str, Chosen); 7] = [
        ("random", scalar),
        ("zero", |_| Scalar::ZERO),
        ("one", |_| Scalar::ONE),
        ("minus one", |_| -Scalar::ONE),
        ("equal", |_| scalar(77)),
        ("few", |i| [Scalar::ONE, -Scalar::ONE, Scalar::ZERO, scalar(3), -scalar(3)][i % 5]),
        ("small", |i| Scalar::from(i as u64 % 50)),
    ];
    for (what, scalar) in cases {
        let scalars = (0..count).map(scalar).collect();
        let block = PointBlock { first: 0, bytes: bytes.clone().into(), ones: vec![], multiples: all.clone(), scalars };
        check::<G>(gpu, &block, &logarithms, &format!("{count} points, {what}"));
    }
    let odd: Vec<_> = all.iter().copied().filter(|i| i % 2 == 1).collect();
    let third: Vec<_> = all.iter().rev().copied().filter(|i| i % 3 == 0).collect();
    let scalars = (0..third.len()).map(scalar).collect();
    let block = PointBlock { first: 0, bytes: bytes.into(), ones: odd, multiples: third, scalars };
    check::<G>(gpu, &block, &logarithms, &format!("{count} points, some once"));
}

#[test]
fn sums_pass_their_self_test() {
    on_every_adapter(GpuLimits::default(), |gpu| gpu.self_test_sums().unwrap());
}

#[test]
fn sums_are_right_at_awkward_sizes() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        for count in [0, 1, 2, 3, 63, 64, 65, 257, 1000] {
            distributions::<G1Projective>(&gpu, count);
        }
        for count in [0, 1, 2, 65, 300] {
            distributions::<G2Projective>(&gpu, count);
        }
    });
}

/// More than one slice, and chains of chains of chains.
#[test]
fn sums_of_many_points_are_right() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let (bytes, logarithms) = points::<G1Projective>(5000);
        let multiples: Vec<_> = (0..40_000).map(|i| i * 7919 % 5000).collect();
        let scalars = (0..multiples.len()).map(scalar).collect();
        let ones = (0..30_000).map(|i| i * 7907 % 5000).collect();
        let block = PointBlock { first: 0, bytes: bytes.into(), ones, multiples, scalars };
        check::<G1Projective>(&gpu, &block, &logarithms, "many points");
    });
}

#[test]
fn small_limits_mean_many_parts_of_sums() {
    for limits in [
        GpuLimits { max_vram: 1 << 20, max_binding: 128 << 10, form: None },
        GpuLimits { max_vram: 1 << 20, max_binding: u64::MAX, form: None },
        GpuLimits { max_vram: 256 << 10, max_binding: 128 << 10, form: None },
    ] {
        on_every_adapter(limits, |gpu| {
            let (bytes, logarithms) = points::<G1Projective>(3000);
            let scalars: Vec<_> = (0..3000).map(scalar).collect();
            let block = PointBlock {
                first: 0,
                bytes: bytes.into(),
                ones: (500..2900).collect(),
                multiples: (0..3000).collect(),
                scalars,
            };
            check::<G1Projective>(&gpu, &block, &logarithms, "small limits");
            let (bytes, logarithms) = points::<G2Projective>(800);
            let scalars: Vec<_> = (0..800).map(scalar).collect();
            let block = PointBlock {
                first: 0,
                bytes: bytes.into(),
                ones: (0..700).collect(),
                multiples: (0..800).collect(),
                scalars,
            };
            check::<G2Projective>(&gpu, &block, &logarithms, "small limits");
        });
    }
}

#[test]
fn a_budget_too_small_for_a_sum_is_an_error() {
    on_every_adapter(GpuLimits { max_vram: 4 << 10, ..GpuLimits::default() }, |gpu| {
        let error = gpu.sum_g1(&PointBlock::default()).unwrap_err();
        assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    });
}

/// Point 150 of 200, spoilt in every way, is bad wherever it is asked for.
fn bad_points<G: Sum>(gpu: &Gpu, coordinate: usize) {
    let (bytes, logarithms) = points::<G>(200);
    let size = bytes.len() / 200;
    let p =
        hex::decode("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab")
            .unwrap();
    let with = |spoil: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.clone();
        spoil(&mut bytes[150 * size..151 * size]);
        bytes
    };
    // The coordinate and p: the same element, but not its canonical form.
    let not_canonical = |point: &mut [u8], at: usize| {
        let mut carry = 0;
        for (byte, p) in point[at..at + coordinate].iter_mut().zip(&p).rev() {
            carry += u16::from(*byte) + u16::from(*p);
            *byte = carry as u8;
            carry >>= 8;
        }
    };
    let mut spoilt: Vec<(&str, Vec<u8>)> = vec![
        ("another ordinate", with(&|point| point[size - 1] ^= 1)),
        ("another abscissa", with(&|point| point[size / 2 - 1] ^= 2)),
        ("zeros", with(&|point| point.fill(0))),
        ("ones", with(&|point| point.fill(0xff))),
        (
            "infinity",
            with(&|point| {
                point.fill(0);
                point[0] = 0x40;
            }),
        ),
        ("the compression flag", with(&|point| point[0] |= 0x80)),
        ("the sign flag", with(&|point| point[0] |= 0x20)),
    ];
    for at in (0..size).step_by(coordinate) {
        spoilt.push(("p more", with(&|point| not_canonical(point, at))));
    }
    for (what, bytes) in spoilt {
        let scalars: Vec<_> = (0..200).map(scalar).collect();
        for (ones, multiples) in [(vec![3, 150, 150], vec![]), (vec![], (0..200).rev().collect::<Vec<u32>>())] {
            let scalars = scalars[..multiples.len()].to_vec();
            let block = PointBlock { first: 0, bytes: bytes.clone().into(), ones, multiples, scalars };
            let error = G::on(gpu, &block).err();
            assert!(matches!(error, Some(GpuError::BadPoint { index: 150 })), "{what}: {error:?}");
        }
        // A point that nobody asks for, or that is multiplied by zero.
        let (ones, multiples) = ((0..150).collect(), (150..200).collect());
        let scalars = (0..50).map(|i| if i == 0 { Scalar::ZERO } else { scalar(i) }).collect();
        check::<G>(gpu, &PointBlock { first: 0, bytes: bytes.into(), ones, multiples, scalars }, &logarithms, what);
    }
    for index in [200, u32::MAX] {
        let block = PointBlock {
            first: 0,
            bytes: bytes.clone().into(),
            ones: vec![0, index],
            multiples: vec![],
            scalars: vec![],
        };
        let error = G::on(gpu, &block).err();
        assert!(matches!(error, Some(GpuError::BadPoint { index: i }) if i == index as usize), "{error:?}");
    }
}

#[test]
fn bad_points_are_told_from_bad_devices() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        bad_points::<G1Projective>(&gpu, 48);
        bad_points::<G2Projective>(&gpu, 48);
    });
}

/// Points of the curve outside of the subgroup are points: (0, 2) has x = 0, as the identity does in memory.
#[test]
fn a_point_with_a_zero_is_not_the_identity() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let (mut bytes, logarithms) = points::<G1Projective>(4);
        let mut torsion = [0; 96];
        torsion[95] = 2;
        bytes.extend_from_slice(&torsion);
        // Its order is 3.
        for (ones, sum) in [
            (vec![4, 4, 4], Scalar::ZERO),
            (vec![4, 0, 4, 1, 4], logarithms[0] + logarithms[1]),
            (vec![4, 4, 0, 4], logarithms[0]),
            (vec![0, 4, 1, 2, 4, 3, 4], logarithms.iter().sum()),
        ] {
            let block = PointBlock { first: 0, bytes: bytes.clone().into(), ones, multiples: vec![], scalars: vec![] };
            assert_eq!(gpu.sum_g1(&block).unwrap(), G1Projective::generator() * sum);
        }
        let scalars = vec![Scalar::from(3), scalar(1)];
        let block = PointBlock { first: 0, bytes: bytes.into(), ones: vec![], multiples: vec![4, 0], scalars };
        assert_eq!(gpu.sum_g1(&block).unwrap(), G1Projective::generator() * (logarithms[0] * scalar(1)));
    });
}

#[test]
fn sums_and_levels_take_turns() {
    use filecash_engine::backend::gpu::Worker;
    on_every_adapter(GpuLimits::default(), |gpu| {
        let (bytes, logarithms) = points::<G1Projective>(50);
        let block =
            PointBlock { first: 0, bytes: bytes.into(), ones: (0..50).collect(), multiples: vec![], scalars: vec![] };
        for _ in 0..2 {
            check::<G1Projective>(&gpu, &block, &logarithms, "in turn");
            gpu.sha_level(&crate::nodes(200), &mut vec![[0xff; 32]; 100]).unwrap();
        }
    });
}

#[test]
fn a_lost_device_gives_no_sum() {
    for adapter in adapters().iter() {
        let gpu = Gpu::open(adapter, GpuLimits::default()).unwrap();
        let (bytes, logarithms) = points::<G1Projective>(100);
        let block =
            PointBlock { first: 0, bytes: bytes.into(), ones: (0..100).collect(), multiples: vec![], scalars: vec![] };
        check::<G1Projective>(&gpu, &block, &logarithms, "before");
        gpu.device().destroy();
        let error = gpu.sum_g1(&block).unwrap_err();
        assert!(matches!(error, GpuError::Lost { .. }), "{error}");
    }
}
