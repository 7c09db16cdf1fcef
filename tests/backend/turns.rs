//! Urgent work on the devices of other work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use blstrs::{G1Projective, G2Projective};
use filecash_engine::backend::Backend;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::backend::cpu::ntt::{Blocks, Pass};
use filecash_engine::backend::gpu::{GpuError, Team, Worker};
use filecash_engine::backend::points::PointBlock;
use filecash_engine::field::Node;

use crate::{ALONE, level, nodes};

/// Computes on the CPU, not fast, and counts its blocks of SHA-256, which stand for other work, before and while
/// Poseidon's are computed, which is urgent.
#[derive(Debug, Default)]
struct Slow {
    others: Arc<AtomicUsize>,
    is_urgent: AtomicBool,
    overtaken: Arc<AtomicUsize>,
}

impl Worker for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn has_arity(&self, _arity: usize) -> bool {
        true
    }

    fn rate(&self, _arity: Option<usize>) -> Option<f64> {
        None
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.is_urgent.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(300));
        Cpu.poseidon_level(arity, children, parents).unwrap();
        self.is_urgent.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.others.fetch_add(1, Ordering::SeqCst);
        if self.is_urgent.load(Ordering::SeqCst) {
            self.overtaken.fetch_add(1, Ordering::SeqCst);
        }
        thread::sleep(Duration::from_millis(20));
        Cpu.sha_level(children, parents).unwrap();
        Ok(())
    }

    fn transform(&self, _pass: &Pass, _blocks: &Blocks<'_>) -> Result<(), GpuError> {
        unreachable!("only levels are computed")
    }

    fn sum_g1(&self, _block: &PointBlock) -> Result<G1Projective, GpuError> {
        unreachable!("only levels are computed")
    }

    fn sum_g2(&self, _block: &PointBlock) -> Result<G2Projective, GpuError> {
        unreachable!("only levels are computed")
    }
}

#[test]
fn urgent_work_overtakes() {
    let worker = Slow::default();
    let (others, overtaken) = (Arc::clone(&worker.others), Arc::clone(&worker.overtaken));
    let team = Team::new(vec![Box::new(worker)], ALONE);
    let children = nodes(2 * 60 * 1024);
    thread::scope(|scope| {
        let other = scope.spawn(|| level(&team, None, &children).unwrap());
        while others.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        let urgent = nodes(8 * 600);
        assert_eq!(level(&team.urgent(), Some(8), &urgent).unwrap(), level(&Cpu, Some(8), &urgent).unwrap());
        // One may have been begun.
        assert!(overtaken.load(Ordering::SeqCst) <= 1, "{overtaken:?}");
        assert_eq!(other.join().unwrap(), level(&Cpu, None, &children).unwrap());
    });
    assert_eq!(others.load(Ordering::SeqCst), 60);
}
