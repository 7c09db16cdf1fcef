//! What every backend has to compute, on every adapter of this machine, in both forms of elements.
//!
//! Mesa's software Vulkan is an adapter. Where there is none nothing is tested, which is said, and which is a failure
//! where `FILECASH_TESTS_NEED_GPU` is set, as `.ci/run` does.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod doomed;
mod fields;
mod labels;
mod proving;
mod sealing;
mod shared_sums;
mod sums;
mod transforms;
mod turns;

use std::ops::Neg;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{env, iter};

use blstrs::{G1Projective, G2Projective};
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::backend::cpu::ntt::{Blocks, Pass};
use filecash_engine::backend::gpu::{ARITIES, Adapter, Gpu, GpuError, GpuLimits, Team, TeamOptions, Worker};
use filecash_engine::backend::points::{PointBlock, SumPlan};
use filecash_engine::backend::{Backend, BackendError};
use filecash_engine::field::Node;
use filecash_shaders::field::Form;

/// Every adapter, for one test at a time: if a driver crashes, it is known at what.
fn adapters() -> MutexGuard<'static, Vec<Adapter>> {
    static ADAPTERS: LazyLock<Mutex<Vec<Adapter>>> = LazyLock::new(|| {
        let found = Adapter::all();
        if found.is_empty() {
            assert!(env::var_os("FILECASH_TESTS_NEED_GPU").is_none(), "no adapter: a software Vulkan driver will do");
            eprintln!("no adapter, GPU kernels are not tested");
        }
        Mutex::new(found)
    });
    ADAPTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test on each adapter in each form that it can have.
fn on_every_adapter(limits: GpuLimits, test: impl Fn(Gpu)) {
    for adapter in adapters().iter() {
        for form in Form::ALL {
            if form == Form::Wide && !adapter.has_wide_integers() {
                continue;
            }
            test(Gpu::open(adapter, GpuLimits { form: Some(form), ..limits }).unwrap());
        }
    }
}

/// Nodes below r, the edges of the field among them.
fn nodes(count: usize) -> Vec<Node> {
    let below_r = "00000000fffffffffe5bfeff02a4bd5305d8a10908d83933487d9d2953a7ed73";
    let largest: Node = hex::decode(below_r).unwrap().try_into().unwrap();
    let node = |i: usize| match i % 97 {
        0 => [0; 32],
        1 => largest,
        _ => std::array::from_fn(|j| ((i * 131 + j * 29 + i / 251) % 253) as u8 & if j == 31 { 0x3f } else { 0xff }),
    };
    (0..count).map(node).collect()
}

fn level(backend: &dyn Backend, arity: Option<usize>, children: &[Node]) -> Result<Vec<Node>, BackendError> {
    let mut parents = vec![[0xff; 32]; children.len() / arity.unwrap_or(2)];
    match arity {
        Some(arity) => backend.poseidon_level(arity, children, &mut parents)?,
        None => backend.sha_level(children, &mut parents)?,
    }
    Ok(parents)
}

/// All on the device, all checked.
const ALONE: TeamOptions = TeamOptions { cpu: false, require_gpu: true, sample: 1 };

#[test]
fn devices_pass_their_self_test() {
    on_every_adapter(GpuLimits::default(), |gpu| gpu.self_test().unwrap());
}

#[test]
fn levels_are_the_cpus_at_awkward_sizes() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let check = |arity: usize, count: usize| {
            let children = nodes(arity * count);
            let mut parents = vec![[0xff; 32]; count];
            gpu.poseidon_level(arity, &children, &mut parents).unwrap();
            assert_eq!(parents, level(&Cpu, Some(arity), &children).unwrap(), "{arity}, {count}");
        };
        for arity in ARITIES {
            for count in [0, 1, 63, 64, 65, 257] {
                check(arity, count);
            }
        }
        check(2, 3000);
        for count in [0, 1, 63, 64, 65, 5000] {
            let children = nodes(2 * count);
            let mut parents = vec![[0xff; 32]; count];
            gpu.sha_level(&children, &mut parents).unwrap();
            assert_eq!(parents, level(&Cpu, None, &children).unwrap(), "{count}");
        }
    });
}

#[test]
fn small_limits_mean_many_slices() {
    let limits = GpuLimits { max_vram: 1 << 18, max_binding: 128 << 10, form: None };
    on_every_adapter(limits, |gpu| {
        for arity in [2, 11] {
            let children = nodes(arity * 1500);
            let mut parents = vec![[0xff; 32]; 1500];
            gpu.poseidon_level(arity, &children, &mut parents).unwrap();
            assert_eq!(parents, level(&Cpu, Some(arity), &children).unwrap(), "{arity}");
        }
    });
}

/// A slice of one parent, whose time at first is that of compiling the kernel.
#[test]
fn a_budget_for_one_parent_will_do() {
    on_every_adapter(GpuLimits { max_vram: 3 << 10, ..GpuLimits::default() }, |gpu| {
        for arity in ARITIES {
            let children = nodes(arity * 5);
            let mut parents = vec![[0xff; 32]; 5];
            gpu.poseidon_level(arity, &children, &mut parents).unwrap();
            assert_eq!(parents, level(&Cpu, Some(arity), &children).unwrap(), "{arity}");
        }
    });
}

#[test]
fn a_budget_too_small_for_anything_is_an_error() {
    on_every_adapter(GpuLimits { max_vram: 100, ..GpuLimits::default() }, |gpu| {
        let error = gpu.sha_level(&nodes(200), &mut vec![[0; 32]; 100]).unwrap_err();
        assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    });
}

#[test]
fn bindings_that_do_not_hold_the_constants_are_refused() {
    for adapter in adapters().iter() {
        let error = Gpu::open(adapter, GpuLimits { max_binding: 64 << 10, ..GpuLimits::default() }).unwrap_err();
        assert!(matches!(error, GpuError::Unfit { .. }), "{error}");
    }
}

#[test]
fn teams_share_a_level() {
    for cpu in [false, true] {
        on_every_adapter(GpuLimits::default(), |gpu| {
            let team = Team::new(vec![Box::new(gpu)], TeamOptions { cpu, ..ALONE });
            for (arity, count) in [(Some(8), 1), (Some(8), 600), (Some(3), 600), (None, 20_000)] {
                let children = nodes(arity.unwrap_or(2) * count);
                assert_eq!(level(&team, arity, &children).unwrap(), level(&Cpu, arity, &children).unwrap());
            }
            assert_eq!(team.members()[0].left_out(), None);
            assert!(cpu || team.members()[0].parents() == 20_601);
        });
    }
}

#[test]
fn bad_levels_are_refused() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        let mut children = nodes(8 * 1000);
        let mut parents = vec![[0; 32]; 1000];
        for (arity, children) in [(0, &children[..]), (8, &children[1..]), (2, &children[..])] {
            let error = team.poseidon_level(arity, children, &mut parents).unwrap_err();
            assert!(matches!(error, BackendError::Lengths { .. }), "{error}");
        }
        let error = team.sha_level(&children[1..], &mut parents).unwrap_err();
        assert!(matches!(error, BackendError::Lengths { .. }), "{error}");
        children[7999] = [0xff; 32];
        let error = team.poseidon_level(8, &children, &mut parents).unwrap_err();
        assert!(matches!(error, BackendError::NonCanonical(_)), "{error}");
        assert_eq!(team.members()[0].left_out(), None);
    });
}

#[test]
fn a_lost_device_is_left_out_and_its_work_done() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let device = gpu.device().clone();
        let team = Team::new(vec![Box::new(gpu)], TeamOptions { require_gpu: false, ..ALONE });
        let children = nodes(8 * 700);
        let expected = level(&Cpu, Some(8), &children).unwrap();
        assert_eq!(level(&team, Some(8), &children).unwrap(), expected);
        device.destroy();
        assert_eq!(level(&team, Some(8), &children).unwrap(), expected);
        let reason = team.members()[0].left_out().unwrap();
        assert!(reason.contains("lost"), "{reason}");
        assert_eq!(level(&team, Some(8), &children).unwrap(), expected);
        assert_eq!(team.members()[0].parents(), 700);
    });
}

#[test]
fn whoever_requires_a_gpu_gets_no_other_result() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        gpu.device().destroy();
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        for _ in 0..2 {
            let error = level(&team, None, &nodes(2000)).unwrap_err();
            assert!(matches!(error, BackendError::NoDevice { .. }) && error.to_string().contains("lost"), "{error}");
        }
    });
}

/// What happens at a call of a number, from 0, to its results.
type Fault = fn(usize, &mut [Node]) -> Result<(), GpuError>;

/// Computes on the CPU, but for one parent at a time.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    calls: AtomicUsize,
}

impl Faulty {
    fn team(fault: Fault, options: TeamOptions) -> Team {
        Team::new(vec![Box::new(Self { fault, calls: AtomicUsize::new(0) })], options)
    }

    fn done(&self, parents: &mut [Node]) -> Result<(), GpuError> {
        (self.fault)(self.calls.fetch_add(1, Ordering::Relaxed), parents)
    }
}

impl Worker for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn has_arity(&self, _arity: usize) -> bool {
        true
    }

    fn rate(&self, _arity: Option<usize>) -> Option<f64> {
        None
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        Cpu.poseidon_level(arity, children, parents).unwrap();
        self.done(parents)
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        Cpu.sha_level(children, parents).unwrap();
        self.done(parents)
    }

    fn transform(&self, pass: &Pass, blocks: &Blocks<'_>) -> Result<(), GpuError> {
        while let Some(mut block) = blocks.take_in_turn(8) {
            let mut nodes = [[0; 32]; 32];
            if let Err(error) = self.done(&mut nodes) {
                blocks.give_back(block);
                return Err(error);
            }
            pass.compute(&mut block);
            // A wrong bit of a node is a wrong element of a block.
            if nodes != [[0; 32]; 32] {
                block.values_mut().take(1).for_each(|value| *value = -*value);
            }
        }
        Ok(())
    }

    fn sum_g1(&self, block: &PointBlock) -> Result<G1Projective, GpuError> {
        let plan = SumPlan { points: block.chosen(), memory_bytes: 1 << 20 };
        self.summed(Cpu.sum_g1(&plan, &mut iter::once(block.clone())))
    }

    fn sum_g2(&self, block: &PointBlock) -> Result<G2Projective, GpuError> {
        let plan = SumPlan { points: block.chosen(), memory_bytes: 1 << 20 };
        self.summed(Cpu.sum_g2(&plan, &mut iter::once(block.clone())))
    }
}

impl Faulty {
    fn summed<G: Neg<Output = G>>(&self, sum: Result<G, BackendError>) -> Result<G, GpuError> {
        let sum = match sum {
            Ok(sum) => sum,
            Err(BackendError::Point { index, .. }) => return Err(GpuError::BadPoint { index: index as usize }),
            Err(error) => panic!("{error}"),
        };
        let mut nodes = [[0; 32]; 32];
        self.done(&mut nodes)?;
        // A wrong bit of a node is a wrong sum.
        Ok(if nodes == [[0; 32]; 32] { sum } else { -sum })
    }
}

fn no_room() -> GpuError {
    GpuError::OutOfMemory { adapter: "faulty".to_owned(), bytes: 1 }
}

#[test]
fn a_wrong_result_ends_the_use_of_a_device() {
    let spoil = |call: usize, parents: &mut [Node]| {
        // The second block has one wrong bit.
        if call == 1 {
            parents[17][3] ^= 4;
        }
        Ok(())
    };
    let children = nodes(2 * 5000);
    let expected = level(&Cpu, None, &children).unwrap();
    let options = TeamOptions { cpu: false, require_gpu: false, sample: 1 };
    let team = Faulty::team(spoil, options);
    assert_eq!(level(&team, None, &children).unwrap(), expected);
    let reason = team.members()[0].left_out().unwrap();
    assert_eq!(reason, "faulty computes sha_level wrongly");
    assert!(team.members()[0].parents() < 5000);

    let team = Faulty::team(spoil, TeamOptions { require_gpu: true, ..options });
    let error = level(&team, None, &children).unwrap_err().to_string();
    assert_eq!(error, "no GPU can go on: faulty computes sha_level wrongly");
}

/// One parent of a block is checked at least, so that wholly wrong results never pass.
#[test]
fn samples_are_taken_of_every_block() {
    let spoil = |_: usize, parents: &mut [Node]| {
        parents.iter_mut().for_each(|parent| parent[0] ^= 1);
        Ok(())
    };
    let team = Faulty::team(spoil, TeamOptions { cpu: true, require_gpu: false, sample: 1 << 30 });
    let children = nodes(8 * 3000);
    assert_eq!(level(&team, Some(8), &children).unwrap(), level(&Cpu, Some(8), &children).unwrap());
    assert_eq!(team.members()[0].parents(), 0);
}

#[test]
fn a_block_that_fails_once_is_done_again() {
    let fail_once = |call: usize, _: &mut [Node]| if call == 1 { Err(no_room()) } else { Ok(()) };
    let team = Faulty::team(fail_once, ALONE);
    let children = nodes(2 * 5000);
    assert_eq!(level(&team, None, &children).unwrap(), level(&Cpu, None, &children).unwrap());
    assert_eq!((team.members()[0].left_out(), team.members()[0].parents()), (None, 5000));

    let team = Faulty::team(|_, _| Err(no_room()), TeamOptions { require_gpu: false, ..ALONE });
    assert_eq!(level(&team, None, &children).unwrap(), level(&Cpu, None, &children).unwrap());
    assert_eq!(team.members()[0].left_out().unwrap(), "faulty has no room for 1 bytes");
}
