//! Levels of trees: blocks of parents and their children.

use std::sync::{Mutex, PoisonError};

use rand_core::{OsRng, RngCore};

use super::{Member, Team, Worker};
use crate::backend::BackendError;
use crate::backend::cpu::trees;
use crate::backend::gpu::GpuError;
use crate::field::Node;

/// Parents of a stage that are not worth an upload when the CPU takes part.
const SMALL: usize = 512;
/// Seconds of a block.
const BLOCK_SECONDS: f64 = 0.25;
/// Parents of a device's first block.
const FIRST_BLOCK: usize = 1024;
/// Parents of the CPU's blocks.
const CPU_BLOCK: usize = 1024;

/// A stage that a team can share: one output for `arity` inputs.
#[derive(Clone, Copy)]
pub(super) enum Level {
    Poseidon(usize),
    Sha,
}

impl Level {
    fn arity(self) -> usize {
        match self {
            Self::Poseidon(arity) => arity,
            Self::Sha => 2,
        }
    }

    fn on_cpu(self, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        match self {
            Self::Poseidon(arity) => trees::poseidon_level(arity, children, parents),
            Self::Sha => {
                trees::sha_level(children, parents);
                Ok(())
            }
        }
    }

    fn on(self, worker: &dyn Worker, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        match self {
            Self::Poseidon(arity) => worker.poseidon_level(arity, children, parents),
            Self::Sha => worker.sha_level(children, parents),
        }
    }

    fn kernel(self) -> String {
        match self {
            Self::Poseidon(arity) => format!("poseidon_{arity}"),
            Self::Sha => "sha_level".to_owned(),
        }
    }

    /// Parents of the next block of a device.
    fn block(self, worker: &dyn Worker) -> usize {
        let arity = if let Self::Poseidon(arity) = self { Some(arity) } else { None };
        worker.rate(arity).map_or(FIRST_BLOCK, |rate| ((rate * BLOCK_SECONDS) as usize).max(FIRST_BLOCK))
    }
}

/// A part of a stage.
struct Block<'a> {
    children: &'a [Node],
    parents: &'a mut [Node],
}

/// What nobody has taken yet.
struct Queue<'a> {
    arity: usize,
    rest: Option<Block<'a>>,
    returned: Vec<Block<'a>>,
}

impl<'a> Queue<'a> {
    /// The next block, of at most so many parents unless it was given back.
    fn take(queue: &Mutex<Self>, parents: usize) -> Option<Block<'a>> {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = queue.returned.pop() {
            return Some(block);
        }
        let rest = queue.rest.take()?;
        let parents = parents.min(rest.parents.len());
        let (children, later_children) = rest.children.split_at(parents * queue.arity);
        let (parents, later_parents) = rest.parents.split_at_mut(parents);
        if !later_parents.is_empty() {
            queue.rest = Some(Block { children: later_children, parents: later_parents });
        }
        Some(Block { children, parents })
    }

    fn give_back(queue: &Mutex<Self>, block: Block<'a>) {
        queue.lock().unwrap_or_else(PoisonError::into_inner).returned.push(block);
    }
}

impl Team {
    /// One level.
    pub(super) fn run(&self, level: Level, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        let can = |member: &&Member| match level {
            Level::Poseidon(arity) => member.worker.has_arity(arity),
            Level::Sha => true,
        };
        let active: Vec<_> = self.active().filter(can).collect();
        if parents.is_empty() || (self.options().cpu && parents.len() < SMALL) || active.is_empty() {
            self.check_requirement()?;
            return level.on_cpu(children, parents);
        }
        let queue =
            Mutex::new(Queue { arity: level.arity(), rest: Some(Block { children, parents }), returned: Vec::new() });
        let on_device = |member: &Member| {
            self.rest();
            while let Some(block) = Queue::take(&queue, level.block(&*member.worker)) {
                let done = level
                    .on(&*member.worker, block.children, block.parents)
                    .and_then(|()| self.check_sample(member, level, &block));
                match done {
                    Ok(()) => member.succeeded(block.parents.len()),
                    Err(error) => {
                        Queue::give_back(&queue, block);
                        if !member.failed(&error) {
                            break;
                        }
                    }
                }
                self.rest();
            }
        };
        let on_cpu = || {
            while let Some(block) = Queue::take(&queue, CPU_BLOCK) {
                level.on_cpu(block.children, block.parents)?;
            }
            Ok(())
        };
        self.together(active, on_device, on_cpu)
    }

    /// Computes one parent in `sample` again, one of each block at least.
    fn check_sample(&self, member: &Member, level: Level, block: &Block<'_>) -> Result<(), GpuError> {
        let arity = level.arity();
        for chunk in 0..block.parents.len().div_ceil(self.options().sample.max(1) as usize) {
            let first = chunk * self.options().sample.max(1) as usize;
            let len = (block.parents.len() - first).min(self.options().sample.max(1) as usize);
            let parent = first + OsRng.next_u64() as usize % len;
            let mut expected = [[0; 32]];
            // One parent is computed on this thread.
            let computed = level.on_cpu(&block.children[parent * arity..][..arity], &mut expected);
            if computed.is_err() || expected[0] != block.parents[parent] {
                return Err(GpuError::Wrong { adapter: member.worker.name().to_owned(), kernel: level.kernel() });
            }
        }
        Ok(())
    }
}
