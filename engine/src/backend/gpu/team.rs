//! Devices that share the blocks of a stage, the CPU among them if it may.
//!
//! Every member takes the next block when it has done the one before, so that a fast one does more; a block is what the
//! member computes in a fraction of a second. What a device gives is checked by sample. A block that a device could not
//! do is done by whoever is next, on the CPU if nobody else is left; a device that was lost, gave a wrong result or
//! failed twice in a row gets no more work.
//!
//! Each device has a thread of its own, which must not wait for rayon's: those may be waiting for it.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use blstrs::{G1Projective, G2Projective};
use group::Group;
use rand_core::{OsRng, RngCore};
use tracing::warn;

use super::GpuError;
use crate::backend::cpu::curve::{Kernel, PortableG1, PortableG2};
use crate::backend::cpu::ntt::{Blocks, Domain, Pass, Transform};
use crate::backend::cpu::sums::{self, PointSum};
use crate::backend::cpu::{fast, trees};
use crate::backend::points::{PointBlock, PointBlocks, SumPlan};
use crate::backend::{Backend, BackendError};
use crate::field::{Fr, Node, fr};

/// Parents of a stage that are not worth an upload when the CPU takes part.
const SMALL: usize = 512;
/// Seconds of a block.
const BLOCK_SECONDS: f64 = 0.25;
/// Parents of a device's first block.
const FIRST_BLOCK: usize = 1024;
/// Parents of the CPU's blocks.
const CPU_BLOCK: usize = 1024;
/// Points of a domain that is not worth an upload when the CPU takes part.
const SMALL_DOMAIN: usize = 1 << 14;
/// Elements of the CPU's blocks of a transform.
const CPU_ELEMENTS: usize = 1 << 18;
/// Points of a sum that is not worth an upload when the CPU takes part.
const SMALL_SUM: usize = 1 << 12;
/// Points of a device's first part of a sum, which it has to give the bucket method to be worth it.
const FIRST_POINTS: usize = 1 << 12;
/// Points of a device's part of a sum at most.
const MAX_POINTS: usize = 1 << 18;
/// Seconds of a device's part of a sum.
const SUM_SECONDS: f64 = 0.5;
/// Failures in a row after which a device gets no more work.
const MAX_FAILURES: u32 = 2;

/// How a team works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamOptions {
    /// Whether the CPU takes blocks too. Small stages and what no device can do are its part in any case.
    pub cpu: bool,
    /// Whether what no device can do is an error.
    pub require_gpu: bool,
    /// One in so many results of a device is computed again; 1 is all of them.
    pub sample: u32,
}

impl Default for TeamOptions {
    /// The CPU helps, and one result in 4096 is checked.
    fn default() -> Self {
        Self { cpu: true, require_gpu: false, sample: 4096 }
    }
}

/// A device as a team sees it: results may be wrong, and errors say nothing about the work.
pub trait Worker: fmt::Debug + Send + Sync {
    /// For messages.
    fn name(&self) -> &str;

    /// Whether it computes Poseidon of this arity.
    fn has_arity(&self, arity: usize) -> bool;

    /// Hashes a second that it was last seen to compute, transfers included: of an arity, or of SHA-256.
    fn rate(&self, arity: Option<usize>) -> Option<f64>;

    /// As [`Backend::poseidon_level`], of field elements and lengths that fit.
    ///
    /// # Errors
    /// [`GpuError`]; `parents` may hold anything then.
    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError>;

    /// As [`Backend::sha_level`], of lengths that fit.
    ///
    /// # Errors
    /// [`GpuError`]; `parents` may hold anything then.
    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError>;

    /// Computes blocks of a pass until none is left.
    ///
    /// # Errors
    /// [`GpuError`]; the blocks that were not computed have been given back.
    fn transform(&self, pass: &Pass, blocks: &Blocks<'_>) -> Result<(), GpuError>;

    /// The sum of the chosen points of a block of G1, with their scalars.
    ///
    /// # Errors
    /// [`GpuError`]; [`GpuError::BadPoint`] says nothing about the device if it is right.
    fn sum_g1(&self, block: &PointBlock) -> Result<G1Projective, GpuError>;

    /// As [`Self::sum_g1`], of G2.
    ///
    /// # Errors
    /// As [`Self::sum_g1`].
    fn sum_g2(&self, block: &PointBlock) -> Result<G2Projective, GpuError>;
}

/// A device of a team and how it has done.
#[derive(Debug)]
pub struct Member {
    /// The device.
    pub worker: Box<dyn Worker>,
    failures: AtomicU32,
    parents: AtomicU64,
    /// Why it gets no more work.
    left_out: Mutex<Option<String>>,
}

impl Member {
    fn new(worker: Box<dyn Worker>) -> Self {
        Self { worker, failures: AtomicU32::new(0), parents: AtomicU64::new(0), left_out: Mutex::new(None) }
    }

    /// Why it gets no more work; `None` while it works.
    pub fn left_out(&self) -> Option<String> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Parents that it has computed.
    pub fn parents(&self) -> u64 {
        self.parents.load(Ordering::Relaxed)
    }

    fn succeeded(&self, parents: usize) {
        self.failures.store(0, Ordering::Relaxed);
        self.parents.fetch_add(parents as u64, Ordering::Relaxed);
    }

    /// Keeps a failure; whether the device may go on.
    fn failed(&self, error: &GpuError) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let is_final = matches!(error, GpuError::Lost { .. } | GpuError::Wrong { .. } | GpuError::TimedOut { .. });
        if is_final || failures >= MAX_FAILURES {
            self.leave_out(&error.to_string());
            return false;
        }
        warn!(device = self.worker.name(), %error, "a block is done again");
        true
    }

    fn leave_out(&self, reason: &str) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if left_out.is_none() {
            warn!(device = self.worker.name(), reason, "gets no more work");
            *left_out = Some(reason.to_owned());
        }
    }
}

/// The blocks of a sum that nobody has taken, and those that somebody could not add.
struct Source<'a, 'b> {
    blocks: Mutex<&'a mut PointBlocks<'b>>,
    returned: Mutex<Vec<PointBlock>>,
    /// Set when the sum cannot be had any more.
    failed: Mutex<Option<BackendError>>,
}

impl Source<'_, '_> {
    fn next(&self) -> Option<PointBlock> {
        if self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return None;
        }
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner).pop();
        returned.or_else(|| self.blocks.lock().unwrap_or_else(PoisonError::into_inner).next())
    }

    /// Blocks with at least so many chosen points, or the last ones.
    fn take(&self, points: usize) -> Vec<PointBlock> {
        let (mut taken, mut chosen) = (Vec::new(), 0);
        while chosen < points {
            let Some(block) = self.next() else { break };
            chosen += block.chosen();
            taken.extend((block.chosen() > 0).then_some(block));
        }
        taken
    }

    fn give_back(&self, blocks: Vec<PointBlock>) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).extend(blocks);
    }

    fn fail(&self, error: BackendError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// A team of devices.
#[derive(Debug)]
pub struct Team {
    name: String,
    members: Vec<Member>,
    options: TeamOptions,
}

/// A stage that a team can share: one output for `arity` inputs.
#[derive(Clone, Copy)]
enum Level {
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
    /// A team of devices that have passed their self-tests.
    pub fn new(workers: Vec<Box<dyn Worker>>, options: TeamOptions) -> Self {
        let members: Vec<_> = workers.into_iter().map(Member::new).collect();
        let mut names: Vec<_> = members.iter().map(|member| member.worker.name().to_owned()).collect();
        names.extend(options.cpu.then(|| "cpu".to_owned()));
        Self { name: names.join(" + "), members, options }
    }

    /// The devices.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    fn run(&self, level: Level, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        let can = |member: &&Member| match level {
            Level::Poseidon(arity) => member.worker.has_arity(arity),
            Level::Sha => true,
        };
        let active: Vec<_> = self.members.iter().filter(|member| member.left_out().is_none()).filter(can).collect();
        if parents.is_empty() || (self.options.cpu && parents.len() < SMALL) || active.is_empty() {
            self.check_requirement()?;
            return level.on_cpu(children, parents);
        }
        let queue =
            Mutex::new(Queue { arity: level.arity(), rest: Some(Block { children, parents }), returned: Vec::new() });
        let compute = |member: &Member| {
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
            }
        };
        let on_cpu = || {
            while let Some(block) = Queue::take(&queue, CPU_BLOCK) {
                level.on_cpu(block.children, block.parents)?;
            }
            Ok::<_, BackendError>(())
        };
        thread::scope(|scope| {
            let mut workers = Vec::new();
            for member in active {
                let spawned = thread::Builder::new()
                    .name(member.worker.name().to_owned())
                    .spawn_scoped(scope, || compute(member));
                workers.push(spawned.map_err(BackendError::Thread)?);
            }
            if self.options.cpu { on_cpu() } else { Ok(()) }
        })?;
        self.check_requirement()?;
        // What no device has been able to do.
        on_cpu()
    }

    /// One pass of a transform.
    fn run_pass(&self, pass: &Pass, values: &mut [Fr]) -> Result<(), BackendError> {
        let blocks = pass.blocks(values);
        let compute = |member: &Member| {
            while let Err(error) = member.worker.transform(pass, &blocks) {
                if !member.failed(&error) {
                    break;
                }
            }
        };
        let on_cpu = || {
            while let Some(mut block) = blocks.take(CPU_ELEMENTS / pass.len()) {
                pass.compute(&mut block);
            }
        };
        thread::scope(|scope| {
            for member in self.members.iter().filter(|member| member.left_out().is_none()) {
                let spawned = thread::Builder::new()
                    .name(member.worker.name().to_owned())
                    .spawn_scoped(scope, || compute(member));
                spawned.map_err(BackendError::Thread)?;
            }
            if self.options.cpu {
                on_cpu();
            }
            Ok::<_, BackendError>(())
        })?;
        self.check_requirement()?;
        on_cpu();
        Ok(())
    }

    /// A sum over points of which the devices and the CPU add blocks as they get ready.
    fn sum<K: Kernel>(
        &self,
        plan: &SumPlan,
        blocks: &mut PointBlocks<'_>,
        on: fn(&dyn Worker, &PointBlock) -> Result<K::Group, GpuError>,
    ) -> Result<K::Group, BackendError> {
        self.check_requirement()?;
        let source = Source { blocks: Mutex::new(blocks), returned: Mutex::new(Vec::new()), failed: Mutex::new(None) };
        let active: Vec<_> = self.members.iter().filter(|member| member.left_out().is_none()).collect();
        let mut of_cpu = PointSum::<K>::new(*plan);
        let mut on_cpu = || {
            while let Some(block) = source.next() {
                of_cpu.feed(&block).unwrap_or_else(|error| source.fail(error));
            }
        };
        // Its blocks, and what the device gets of them.
        let most = (plan.memory_bytes / 4 / (2 * K::POINT_BYTES * active.len().max(1)) as u64) as usize;
        let of_devices = Mutex::new(K::Group::identity());
        let compute = |member: &Member| {
            let mut points = FIRST_POINTS;
            loop {
                let taken = source.take(points.min(most).max(1));
                if taken.is_empty() {
                    return;
                }
                let mut chosen = PointBlock::default();
                taken.iter().for_each(|block| chosen.append_chosen(block, K::POINT_BYTES));
                let begin = Instant::now();
                let error = match on(&*member.worker, &chosen) {
                    Ok(sum) => {
                        *of_devices.lock().unwrap_or_else(PoisonError::into_inner) += sum;
                        member.failures.store(0, Ordering::Relaxed);
                        let wanted = chosen.chosen() as f64 * SUM_SECONDS / begin.elapsed().as_secs_f64().max(1e-9);
                        points = (wanted as usize).clamp(FIRST_POINTS, MAX_POINTS.min(2 * points));
                        continue;
                    }
                    // Who is right?
                    Err(GpuError::BadPoint { .. }) => match taken.iter().try_for_each(sums::check::<K>) {
                        Err(error) => return source.fail(error),
                        Ok(()) => {
                            GpuError::Wrong { adapter: member.worker.name().to_owned(), kernel: "points".to_owned() }
                        }
                    },
                    Err(error) => error,
                };
                source.give_back(taken);
                if !member.failed(&error) {
                    return;
                }
            }
        };
        let is_worth_it = !self.options.cpu || plan.points >= SMALL_SUM;
        if is_worth_it {
            thread::scope(|scope| {
                for member in active {
                    let spawned = thread::Builder::new()
                        .name(member.worker.name().to_owned())
                        .spawn_scoped(scope, || compute(member));
                    spawned.map_err(BackendError::Thread)?;
                }
                if self.options.cpu {
                    on_cpu();
                }
                Ok::<_, BackendError>(())
            })?;
            self.check_requirement()?;
        }
        on_cpu();
        match source.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(of_cpu.finish() + of_devices.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Fails if a device was left out and none may be.
    fn check_requirement(&self) -> Result<(), BackendError> {
        match self.options.require_gpu && self.members.iter().any(|member| member.left_out().is_some()) {
            true => Err(self.nobody_left()),
            false => Ok(()),
        }
    }

    fn nobody_left(&self) -> BackendError {
        let reasons: Vec<_> = self.members.iter().filter_map(Member::left_out).collect();
        BackendError::NoDevice { reasons: reasons.join("; ") }
    }

    /// Computes one parent in `sample` again, one of each block at least.
    fn check_sample(&self, member: &Member, level: Level, block: &Block<'_>) -> Result<(), GpuError> {
        let arity = level.arity();
        for chunk in 0..block.parents.len().div_ceil(self.options.sample.max(1) as usize) {
            let first = chunk * self.options.sample.max(1) as usize;
            let len = (block.parents.len() - first).min(self.options.sample.max(1) as usize);
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

impl Backend for Team {
    fn name(&self) -> &str {
        &self.name
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        if arity == 0 || children.len() != parents.len() * arity {
            return Err(BackendError::Lengths { arity, children: children.len(), parents: parents.len() });
        }
        fr::check_nodes(children)?;
        self.run(Level::Poseidon(arity), children, parents)
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        if children.len() != 2 * parents.len() {
            return Err(BackendError::Lengths { arity: 2, children: children.len(), parents: parents.len() });
        }
        self.run(Level::Sha, children, parents)
    }

    fn transform(&self, domain: &Domain, values: &mut [Fr], transforms: &[Transform]) -> Result<(), BackendError> {
        if values.len() != domain.size() {
            return Err(BackendError::Points { expected: domain.size(), actual: values.len() });
        }
        self.check_requirement()?;
        let is_worth_it = !self.options.cpu || values.len() >= SMALL_DOMAIN;
        match domain.passes(transforms) {
            Some(passes) if is_worth_it => passes.iter().try_for_each(|pass| self.run_pass(pass, values)),
            _ => {
                domain.transform(values, transforms);
                Ok(())
            }
        }
    }

    fn sum_g1(&self, plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Result<G1Projective, BackendError> {
        match fast::available() {
            true => self.sum::<fast::G1>(plan, blocks, |worker, block| worker.sum_g1(block)),
            false => self.sum::<PortableG1>(plan, blocks, |worker, block| worker.sum_g1(block)),
        }
    }

    fn sum_g2(&self, plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Result<G2Projective, BackendError> {
        match fast::available() {
            true => self.sum::<fast::G2>(plan, blocks, |worker, block| worker.sum_g2(block)),
            false => self.sum::<PortableG2>(plan, blocks, |worker, block| worker.sum_g2(block)),
        }
    }

    fn has_devices(&self) -> bool {
        self.members.iter().any(|member| member.left_out().is_none())
    }

    fn leave_devices_out(&self, reason: &str) {
        self.members.iter().for_each(|member| member.leave_out(reason));
    }
}
