//! GPUs that something happens to.

use std::ops::Neg;
use std::sync::atomic::{AtomicUsize, Ordering};

use blstrs::{G1Projective, G2Projective};
use filecash_engine::backend::cpu::ntt::{Blocks, Pass};
use filecash_engine::backend::gpu::{Gpu, GpuError, Worker};
use filecash_engine::backend::points::PointBlock;
use filecash_engine::field::Node;

/// A GPU that something happens to at a call.
#[derive(Debug)]
pub struct Doomed {
    gpu: Gpu,
    calls: AtomicUsize,
    at: usize,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The driver takes the device away.
    Lost,
    /// There is no room for the buffers.
    NoRoom,
    /// One bit of one result is wrong.
    Wrong,
}

impl Doomed {
    /// One whose fate comes at the call of a number, from 0.
    pub fn new(gpu: Gpu, fate: Fate, at: usize) -> Self {
        Self { gpu, calls: AtomicUsize::new(0), at, fate }
    }

    /// Whether the result of this call has to be wrong.
    fn call(&self) -> Result<bool, GpuError> {
        let is_due = self.calls.fetch_add(1, Ordering::Relaxed) >= self.at;
        match self.fate {
            Fate::Lost if is_due => self.gpu.device().destroy(),
            Fate::NoRoom if is_due => return Err(GpuError::OutOfMemory { adapter: self.name().to_owned(), bytes: 1 }),
            _ => {}
        }
        Ok(is_due && self.fate == Fate::Wrong)
    }

    fn level(
        &self,
        parents: &mut [Node],
        work: impl FnOnce(&Gpu, &mut [Node]) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        let is_wrong = self.call()?;
        work(&self.gpu, parents)?;
        if let (true, Some(parent)) = (is_wrong, parents.last_mut()) {
            parent[5] ^= 0x10;
        }
        Ok(())
    }

    fn sum<G: Neg<Output = G>>(&self, work: impl FnOnce(&Gpu) -> Result<G, GpuError>) -> Result<G, GpuError> {
        let is_wrong = self.call()?;
        work(&self.gpu).map(|sum| if is_wrong { -sum } else { sum })
    }
}

impl Worker for Doomed {
    fn name(&self) -> &str {
        self.gpu.name()
    }

    fn has_arity(&self, arity: usize) -> bool {
        self.gpu.has_arity(arity)
    }

    fn rate(&self, arity: Option<usize>) -> Option<f64> {
        self.gpu.rate(arity)
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.level(parents, |gpu, parents| gpu.poseidon_level(arity, children, parents))
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.level(parents, |gpu, parents| gpu.sha_level(children, parents))
    }

    fn transform(&self, pass: &Pass, blocks: &Blocks<'_>) -> Result<(), GpuError> {
        if self.call()?
            && let Some(mut block) = blocks.take(8)
        {
            pass.compute(&mut block);
            block.values_mut().take(1).for_each(|value| *value = -*value);
        }
        self.gpu.transform(pass, blocks)
    }

    fn sum_g1(&self, block: &PointBlock) -> Result<G1Projective, GpuError> {
        self.sum(|gpu| gpu.sum_g1(block))
    }

    fn sum_g2(&self, block: &PointBlock) -> Result<G2Projective, GpuError> {
        self.sum(|gpu| gpu.sum_g2(block))
    }
}
