//! Sums over points that devices and the CPU share: right whatever a device does, and a bad point is named.

use std::iter;
use std::sync::Arc;

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use ff::Field as _;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::backend::gpu::{GpuLimits, Team, TeamOptions};
use filecash_engine::backend::points::{PointBlock, SumPlan};
use filecash_engine::backend::{Backend, BackendError};
use filecash_engine::field::Fr;
use group::Curve as _;
use group::Group as _;

use crate::{ALONE, Fault, Faulty, no_room, on_every_adapter};

const BLOCK: usize = 1000;

/// Blocks of points in a row, each third taken once, each third with a scalar.
pub fn blocks<const BYTES: usize>(count: usize, points: impl Iterator<Item = [u8; BYTES]>) -> Vec<PointBlock> {
    let points: Vec<_> = points.take(count).collect();
    let of = |(number, points): (usize, &[[u8; BYTES]])| {
        let places = |kind| (0..points.len() as u32).filter(move |place| place % 3 == kind);
        let scalar = |place: u32| Fr::from(u64::from(place) + 7).pow_vartime([u64::from(place) | 1 << 40]);
        PointBlock {
            first: (number * BLOCK) as u64,
            bytes: points.concat().into(),
            ones: places(0).collect(),
            multiples: places(1).collect(),
            scalars: places(1).map(scalar).collect(),
        }
    };
    points.chunks(BLOCK).enumerate().map(of).collect()
}

pub fn points_g1() -> impl Iterator<Item = [u8; 96]> {
    let next = |point: &G1Projective| Some(point + G1Projective::generator());
    iter::successors(Some(G1Projective::generator()), next).map(|point| G1Affine::to_uncompressed(&point.to_affine()))
}

pub fn points_g2() -> impl Iterator<Item = [u8; 192]> {
    let next = |point: &G2Projective| Some(point + G2Projective::generator());
    iter::successors(Some(G2Projective::generator()), next).map(|point| G2Affine::to_uncompressed(&point.to_affine()))
}

fn plan(points: usize) -> SumPlan {
    SumPlan { points, memory_bytes: 16 << 20 }
}

#[test]
fn teams_share_sums() {
    let (g1, g2) = (blocks(20_000, points_g1()), blocks(6000, points_g2()));
    let expected = Cpu.sum_g1(&plan(20_000), &mut g1.clone().into_iter()).unwrap();
    let expected_g2 = Cpu.sum_g2(&plan(6000), &mut g2.clone().into_iter()).unwrap();
    // No call fails, one, every one.
    let faults: [Fault; 3] =
        [|_, _| Ok(()), |call, _| if call == 1 { Err(no_room()) } else { Ok(()) }, |_, _| Err(no_room())];
    for (number, fault) in faults.into_iter().enumerate() {
        for cpu in [false, true] {
            let team = Faulty::team(fault, TeamOptions { cpu, require_gpu: false, ..ALONE });
            assert_eq!(team.sum_g1(&plan(20_000), &mut g1.clone().into_iter()).unwrap(), expected);
            assert_eq!(team.sum_g2(&plan(6000), &mut g2.clone().into_iter()).unwrap(), expected_g2);
            let is_left_out = team.members()[0].left_out().is_some();
            assert!(if cpu { number == 2 || !is_left_out } else { is_left_out == (number == 2) });
        }
    }
}

/// A device that fails at the second sum of a part has given nothing of its first.
#[test]
fn several_sums_over_the_same_points_are_shared() {
    let first = blocks(12_000, points_g1());
    let mut second = first.clone();
    for block in &mut second {
        std::mem::swap(&mut block.ones, &mut block.multiples);
        block.scalars = block.multiples.iter().map(|place| Fr::from(u64::from(*place) + 2)).collect();
    }
    let both = || first.clone().into_iter().zip(second.clone()).map(|(first, second)| vec![first, second]);
    let expected = Cpu.sums_g1(2, &plan(12_000), &mut both()).unwrap();
    assert_eq!(expected[0], Cpu.sum_g1(&plan(12_000), &mut first.clone().into_iter()).unwrap());
    let faults: [Fault; 3] =
        [|_, _| Ok(()), |call, _| if call == 1 { Err(no_room()) } else { Ok(()) }, |_, _| Err(no_room())];
    for fault in faults {
        for cpu in [false, true] {
            let team = Faulty::team(fault, TeamOptions { cpu, require_gpu: false, ..ALONE });
            assert_eq!(team.sums_g1(2, &plan(12_000), &mut both()).unwrap(), expected);
        }
    }
}

#[test]
fn sums_on_devices_are_the_cpus() {
    let (g1, g2) = (blocks(6000, points_g1()), blocks(2000, points_g2()));
    let expected = Cpu.sum_g1(&plan(6000), &mut g1.clone().into_iter()).unwrap();
    let expected_g2 = Cpu.sum_g2(&plan(2000), &mut g2.clone().into_iter()).unwrap();
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        assert_eq!(team.sum_g1(&plan(6000), &mut g1.clone().into_iter()).unwrap(), expected);
        assert_eq!(team.sum_g2(&plan(2000), &mut g2.clone().into_iter()).unwrap(), expected_g2);
    });
}

#[test]
fn empty_sums_are_the_identity() {
    let team = Faulty::team(|_, _| Ok(()), ALONE);
    assert_eq!(team.sum_g1(&plan(0), &mut iter::empty()).unwrap(), G1Projective::identity());
    // Nobody needs any of these.
    let block = PointBlock { bytes: vec![0xff; 96 * 5000].into(), ..PointBlock::default() };
    assert_eq!(team.sum_g1(&plan(5000), &mut iter::once(block)).unwrap(), G1Projective::identity());
}

#[test]
fn bad_points_are_named_and_no_devices_fault() {
    for options in [ALONE, TeamOptions { cpu: true, ..ALONE }] {
        let team = Faulty::team(|_, _| Ok(()), options);
        let mut blocks = blocks(9000, points_g1());
        // The fourth point of the eighth block, taken once.
        Arc::make_mut(&mut blocks[7].bytes)[3 * 96 + 60] ^= 1;
        match team.sum_g1(&plan(9000), &mut blocks.into_iter()) {
            Err(BackendError::Point { index: 7003, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(team.members()[0].left_out(), None);
    }
}

/// One that says so of good points is left out.
#[test]
fn who_refuses_good_points_is_left_out() {
    use filecash_engine::backend::gpu::GpuError;

    let team = Faulty::team(|_, _| Err(GpuError::BadPoint { index: 3 }), TeamOptions { require_gpu: false, ..ALONE });
    let blocks = blocks(5000, points_g1());
    let expected = Cpu.sum_g1(&plan(5000), &mut blocks.clone().into_iter()).unwrap();
    assert_eq!(team.sum_g1(&plan(5000), &mut blocks.into_iter()).unwrap(), expected);
    assert_eq!(team.members()[0].left_out().unwrap(), "faulty computes points wrongly");
}

/// Nobody sees that a sum is wrong but who verifies the proof, and says so.
#[test]
fn devices_are_left_out_when_a_proof_was_wrong() {
    let team = Faulty::team(|_, _| Ok(()), TeamOptions { require_gpu: false, ..ALONE });
    assert!(team.has_devices());
    team.leave_devices_out("a proof is wrong");
    assert!(!team.has_devices());
    assert_eq!(team.members()[0].left_out().unwrap(), "a proof is wrong");
    let blocks = blocks(5000, points_g1());
    let expected = Cpu.sum_g1(&plan(5000), &mut blocks.clone().into_iter()).unwrap();
    assert_eq!(team.sum_g1(&plan(5000), &mut blocks.into_iter()).unwrap(), expected);
    let team = Faulty::team(|_, _| Ok(()), ALONE);
    team.leave_devices_out("a proof is wrong");
    let error = team.sum_g1(&plan(0), &mut iter::empty()).unwrap_err();
    assert_eq!(error.to_string(), "no GPU can go on: a proof is wrong");
}
