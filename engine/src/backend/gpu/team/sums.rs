//! Sums over points: blocks of a parameter file.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use group::Group;

use super::{Member, Team, Worker};
use crate::backend::BackendError;
use crate::backend::cpu::curve::Kernel;
use crate::backend::cpu::sums::{self, PointSum};
use crate::backend::gpu::GpuError;
use crate::backend::points::{PointBlock, PointBlocks, SumPlan};

/// Points of a sum that is not worth an upload when the CPU takes part.
const SMALL_SUM: usize = 1 << 12;
/// Points of a device's first part of a sum, which it has to give the bucket method to be worth it.
const FIRST_POINTS: usize = 1 << 12;
/// Points of a device's part of a sum at most.
const MAX_POINTS: usize = 1 << 18;
/// Seconds of a device's part of a sum.
const SUM_SECONDS: f64 = 0.5;

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

impl Team {
    /// A sum over points of which the devices and the CPU add blocks as they get ready.
    pub(super) fn sum<K: Kernel>(
        &self,
        plan: &SumPlan,
        blocks: &mut PointBlocks<'_>,
        on: fn(&dyn Worker, &PointBlock) -> Result<K::Group, GpuError>,
    ) -> Result<K::Group, BackendError> {
        let source = Source { blocks: Mutex::new(blocks), returned: Mutex::new(Vec::new()), failed: Mutex::new(None) };
        let is_worth_it = !self.options().cpu || plan.points >= SMALL_SUM;
        let active: Vec<_> = self.active().filter(|_| is_worth_it).collect();
        let mut of_cpu = PointSum::<K>::new(*plan);
        let on_cpu = || {
            while let Some(block) = source.next() {
                of_cpu.feed(&block).unwrap_or_else(|error| source.fail(error));
            }
            Ok(())
        };
        // Its blocks, and what the device gets of them.
        let most = (plan.memory_bytes / 4 / (2 * K::POINT_BYTES * active.len().max(1)) as u64) as usize;
        let of_devices = Mutex::new(K::Group::identity());
        let on_device = |member: &Member| {
            let mut points = FIRST_POINTS;
            loop {
                self.rest();
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
        self.together(active, on_device, on_cpu)?;
        match source.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(of_cpu.finish() + of_devices.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}
