//! Transforms on every adapter: the CPU's values, at every size, with any limits, whatever happens to the device.

use ff::Field as _;
use filecash_engine::backend::cpu::ntt::{Domain, Part, Points, RowNumbers, Transform};
use filecash_engine::backend::gpu::{Gpu, GpuLimits, Team, TeamOptions};
use filecash_engine::backend::{Backend, BackendError};
use filecash_engine::field::Fr;

use crate::{ALONE, on_every_adapter};

/// What a prover does, and each transform by itself.
const CHAINS: [&[Transform]; 5] = [
    &[Transform::Interpolate(Points::Roots), Transform::Evaluate(Points::Coset)],
    &[Transform::Interpolate(Points::Coset)],
    &[Transform::Interpolate(Points::Roots)],
    &[Transform::Evaluate(Points::Coset), Transform::Interpolate(Points::Roots)],
    &[Transform::Evaluate(Points::Roots)],
];

/// Field elements, the edges of the field among them.
fn elements(len: usize) -> Vec<Fr> {
    let mut number = Fr::from(len as u64 + 3);
    (0..len)
        .map(|i| {
            number = number.square() - Fr::from(i as u64);
            match i % 61 {
                0 => Fr::ZERO,
                1 => -Fr::ONE,
                _ => number,
            }
        })
        .collect()
}

fn check(team: &Team, log2: u32, transforms: &[Transform]) {
    let domain = Domain::at_least(1 << log2).unwrap();
    for input in [elements(domain.size()), vec![-Fr::ONE; domain.size()]] {
        let (mut values, mut expected) = (input.clone(), input);
        team.transform(&domain, &mut values, transforms).unwrap();
        transforms.iter().for_each(|transform| domain.transform_plainly(&mut expected, *transform));
        assert!(values == expected, "2^{log2}, {transforms:?}");
    }
}

#[test]
fn transforms_are_the_cpus_at_every_size() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        for log2 in [0, 1, 5, 6, 7, 8, 9, 10, 13, 15] {
            CHAINS.into_iter().for_each(|transforms| check(&team, log2, transforms));
        }
    });
}

/// Rows that are not neighbours, and strips of columns, as vectors in files are transformed.
#[test]
fn parts_are_the_cpus() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        for pass in Domain::at_least(1 << 12).unwrap().passes(CHAINS[0]).unwrap() {
            for rows in [RowNumbers { first: 5, step: 8 }, RowNumbers { first: 40, step: 1 }] {
                let mut values = elements(8 * pass.vector_len());
                let mut expected = values.clone();
                team.pass(&pass, Part { values: &mut values, rows }).unwrap();
                pass.compute_all(Part { values: &mut expected, rows });
                assert!(values == expected, "{rows:?}, {:?}", pass.over());
            }
            let error = team.pass(&pass, Part::whole(&mut elements(100))).unwrap_err();
            assert!(matches!(error, BackendError::Part { len: 64, actual: 100 }), "{error}");
        }
    });
}

#[test]
fn little_memory_means_many_slices() {
    // Eight rows of 2⁷ elements fit the binding; eight of 2⁸ the memory, and no more.
    for (limits, log2) in [
        (GpuLimits { max_vram: 1 << 20, max_binding: 128 << 10, form: None }, 14),
        (GpuLimits { max_vram: 800 << 10, ..GpuLimits::default() }, 15),
    ] {
        on_every_adapter(limits, |gpu| check(&Team::new(vec![Box::new(gpu)], ALONE), log2, CHAINS[0]));
    }
}

#[test]
fn teams_share_transforms() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], TeamOptions { cpu: true, ..ALONE });
        check(&team, 16, CHAINS[0]);
        assert_eq!(team.members()[0].left_out(), None);
    });
}

#[test]
fn other_lengths_are_refused() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        let domain = Domain::at_least(1 << 10).unwrap();
        let error = team.transform(&domain, &mut elements(1023), CHAINS[0]).unwrap_err();
        assert!(matches!(error, BackendError::Points { expected: 1024, actual: 1023 }), "{error}");
    });
}

#[test]
fn what_a_device_cannot_transform_others_do() {
    let on_the_cpu = TeamOptions { require_gpu: false, ..ALONE };
    // No room for eight rows, and a device that is gone.
    on_every_adapter(GpuLimits { max_vram: 100 << 10, ..GpuLimits::default() }, |gpu| {
        let team = Team::new(vec![Box::new(gpu)], on_the_cpu);
        check(&team, 14, CHAINS[0]);
        let reason = team.members()[0].left_out().unwrap();
        assert!(reason.contains("no room"), "{reason}");
    });
    on_every_adapter(GpuLimits::default(), |gpu: Gpu| {
        let device = gpu.device().clone();
        let team = Team::new(vec![Box::new(gpu)], on_the_cpu);
        check(&team, 10, CHAINS[0]);
        device.destroy();
        check(&team, 10, CHAINS[0]);
        assert!(team.members()[0].left_out().unwrap().contains("lost"));
    });
}
