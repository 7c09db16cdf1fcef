//! Devices that share the blocks of a stage, the CPU among them if it may.
//!
//! Every member takes the next block when it has done the one before, so that a fast one does more; a block is what the
//! member computes in a fraction of a second. What a device gives is checked by sample. A block that a device could not
//! do is done by whoever is next, on the CPU if nobody else is left; a device that was lost, gave a wrong result or
//! failed twice in a row gets no more work.
//!
//! An urgent team of the same devices overtakes: while its devices work, those of the others take no other block.
//!
//! Each device has a thread of its own, which must not wait for rayon's: those may be waiting for it.

mod levels;
mod passes;
mod sums;

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use blstrs::{G1Projective, G2Projective};
use tracing::warn;

use self::levels::Level;
use super::GpuError;
use super::turns::Turns;
use crate::backend::cpu::curve::{PortableG1, PortableG2};
use crate::backend::cpu::fast;
use crate::backend::cpu::ntt::{Blocks, Part, Pass};
use crate::backend::points::{PointBlock, SharedBlocks, SumPlan};
use crate::backend::{BETWEEN_NAMES, Backend, BackendError, SharedBackend};
use crate::field::{Node, fr};

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

/// A team of devices. Clones are the same team.
#[derive(Clone, Debug)]
pub struct Team {
    shared: Arc<Shared>,
    is_urgent: bool,
}

#[derive(Debug)]
struct Shared {
    name: String,
    members: Vec<Member>,
    options: TeamOptions,
    turns: Turns,
}

impl Team {
    /// A team of devices that have passed their self-tests.
    pub fn new(workers: Vec<Box<dyn Worker>>, options: TeamOptions) -> Self {
        let members: Vec<_> = workers.into_iter().map(Member::new).collect();
        let mut names: Vec<_> = members.iter().map(|member| member.worker.name().to_owned()).collect();
        names.extend(options.cpu.then(|| "cpu".to_owned()));
        let shared = Shared { name: names.join(BETWEEN_NAMES), members, options, turns: Turns::default() };
        Self { shared: Arc::new(shared), is_urgent: false }
    }

    /// The devices.
    pub fn members(&self) -> &[Member] {
        &self.shared.members
    }

    /// The same devices for work that must not wait: while they do it, they take no other block.
    #[must_use]
    pub fn urgent(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), is_urgent: true }
    }

    fn options(&self) -> &TeamOptions {
        &self.shared.options
    }

    /// The devices that get work.
    fn active(&self) -> impl Iterator<Item = &Member> {
        self.members().iter().filter(|member| member.left_out().is_none())
    }

    /// Waits while devices do what is more urgent. For their threads alone: urgent work must end without those of rayon,
    /// which may be waiting for the device's.
    fn rest(&self) {
        if !self.is_urgent {
            self.shared.turns.wait();
        }
    }

    /// Has members work, each in a thread of its own, and the CPU in this one if it may; what they left, the CPU does.
    fn together<'m>(
        &self,
        members: impl IntoIterator<Item = &'m Member>,
        on_device: impl Fn(&Member) + Sync,
        mut on_cpu: impl FnMut() -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        self.check_requirement()?;
        thread::scope(|scope| {
            for member in members {
                let (name, on_device) = (member.worker.name(), &on_device);
                let work = move || {
                    let _urgent = self.is_urgent.then(|| self.shared.turns.urgent());
                    on_device(member);
                };
                let spawned = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
                if let Err(error) = spawned {
                    // The others do its part.
                    warn!(device = name, %error, "no thread can be started");
                }
            }
            if self.options().cpu { on_cpu() } else { Ok(()) }
        })?;
        self.check_requirement()?;
        on_cpu()?;
        Ok(())
    }

    /// Fails if a device was left out and none may be.
    fn check_requirement(&self) -> Result<(), BackendError> {
        match self.options().require_gpu && self.members().iter().any(|member| member.left_out().is_some()) {
            true => Err(self.nobody_left()),
            false => Ok(()),
        }
    }

    fn nobody_left(&self) -> BackendError {
        let reasons: Vec<_> = self.members().iter().filter_map(Member::left_out).collect();
        BackendError::NoDevice { reasons: reasons.join("; ") }
    }
}

impl Backend for Team {
    fn name(&self) -> &str {
        &self.shared.name
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

    fn pass(&self, pass: &Pass, part: Part<'_>) -> Result<(), BackendError> {
        self.passed(pass, part)
    }

    fn sums_g1(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
    ) -> Result<Vec<G1Projective>, BackendError> {
        match fast::available() {
            true => self.sums::<fast::G1>(sums, plan, blocks, |worker, block| worker.sum_g1(block)),
            false => self.sums::<PortableG1>(sums, plan, blocks, |worker, block| worker.sum_g1(block)),
        }
    }

    fn sums_g2(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
    ) -> Result<Vec<G2Projective>, BackendError> {
        match fast::available() {
            true => self.sums::<fast::G2>(sums, plan, blocks, |worker, block| worker.sum_g2(block)),
            false => self.sums::<PortableG2>(sums, plan, blocks, |worker, block| worker.sum_g2(block)),
        }
    }

    fn has_devices(&self) -> bool {
        self.active().next().is_some()
    }

    fn leave_devices_out(&self, reason: &str) {
        self.members().iter().for_each(|member| member.leave_out(reason));
    }

    fn urgent(&self) -> SharedBackend {
        SharedBackend::new(Self::urgent(self))
    }
}
