//! Sums over points: blocks of a parameter file.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use group::Group;

use super::{Member, Team, Worker};
use crate::backend::BackendError;
use crate::backend::cpu::curve::Kernel;
use crate::backend::cpu::msm::Workers;
use crate::backend::cpu::sums::{self, PointSum};
use crate::backend::gpu::GpuError;
use crate::backend::points::{PointBlock, SharedBlocks, SumPlan};

/// Points of a sum that is not worth an upload when the CPU takes part.
const SMALL_SUM: usize = 1 << 12;
/// Points of a device's first part of a sum, which it has to give the bucket method to be worth it.
const FIRST_POINTS: usize = 1 << 12;
/// Points of a device's part of a sum at most.
const MAX_POINTS: usize = 1 << 18;
/// Seconds of a device's part of a sum.
const SUM_SECONDS: f64 = 0.5;

/// The same points for each sum.
type Blocks = Vec<PointBlock>;

/// The blocks that nobody has taken, and those that somebody could not add.
struct Source<'a, 'b> {
    blocks: Mutex<&'a mut SharedBlocks<'b>>,
    returned: Mutex<Vec<Blocks>>,
    /// Set when the sums cannot be had any more.
    failed: Mutex<Option<BackendError>>,
}

impl Source<'_, '_> {
    fn next(&self) -> Option<Blocks> {
        if self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return None;
        }
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner).pop();
        returned.or_else(|| self.blocks.lock().unwrap_or_else(PoisonError::into_inner).next())
    }

    /// Blocks with at least so many chosen points in one of the sums, or the last ones.
    fn take(&self, points: usize) -> Vec<Blocks> {
        let (mut taken, mut chosen) = (Vec::new(), 0);
        while chosen < points {
            let Some(blocks) = self.next() else { break };
            let most = blocks.iter().map(PointBlock::chosen).max().unwrap_or_default();
            chosen += most;
            taken.extend((most > 0).then_some(blocks));
        }
        taken
    }

    fn give_back(&self, blocks: Vec<Blocks>) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).extend(blocks);
    }

    fn fail(&self, error: BackendError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

impl Team {
    /// Sums over points of which the devices and the CPU add blocks as they get ready.
    pub(super) fn sums<K: Kernel>(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
        on: fn(&dyn Worker, &PointBlock) -> Result<K::Group, GpuError>,
    ) -> Result<Vec<K::Group>, BackendError> {
        let source = Source { blocks: Mutex::new(blocks), returned: Mutex::new(Vec::new()), failed: Mutex::new(None) };
        let is_worth_it = !self.options().cpu || plan.points >= SMALL_SUM;
        let active: Vec<_> = self.active().filter(|_| is_worth_it).collect();
        let workers = Workers::default();
        let mut of_cpu: Vec<_> = (0..sums).map(|_| PointSum::<K>::new(*plan)).collect();
        let on_cpu = || {
            while let Some(blocks) = source.next() {
                let mut sums = of_cpu.iter_mut().zip(&blocks);
                sums.try_for_each(|(sum, block)| sum.feed(block, &workers)).unwrap_or_else(|error| source.fail(error));
            }
            Ok(())
        };
        // Its blocks, and what the device gets of them.
        let most = (plan.memory_bytes / 4 / (2 * K::POINT_BYTES * active.len().max(1)) as u64) as usize;
        let of_devices = Mutex::new(vec![K::Group::identity(); sums]);
        let on_device_sum = |member: &Member, taken: &[Blocks], sum: usize| {
            let mut chosen = PointBlock::default();
            taken
                .iter()
                .filter_map(|blocks| blocks.get(sum))
                .for_each(|block| chosen.append_chosen(block, K::POINT_BYTES));
            on(&*member.worker, &chosen)
        };
        let on_device = |member: &Member| {
            let mut points = FIRST_POINTS;
            loop {
                self.rest();
                let taken = source.take(points.min(most).max(1));
                if taken.is_empty() {
                    return;
                }
                let begin = Instant::now();
                // All of them or none: what is given back is added by somebody else.
                let parts = (0..sums).map(|sum| on_device_sum(member, &taken, sum)).collect::<Result<Vec<_>, _>>();
                let error = match parts {
                    Ok(parts) => {
                        let mut totals = of_devices.lock().unwrap_or_else(PoisonError::into_inner);
                        totals.iter_mut().zip(parts).for_each(|(total, part)| *total += part);
                        member.failures.store(0, Ordering::Relaxed);
                        let chosen: usize = taken.iter().flatten().map(PointBlock::chosen).sum();
                        let a_second = chosen as f64 / begin.elapsed().as_secs_f64().max(1e-9);
                        let wanted = a_second * SUM_SECONDS / sums.max(1) as f64;
                        points = (wanted as usize).clamp(FIRST_POINTS, MAX_POINTS.min(2 * points));
                        continue;
                    }
                    // Who is right?
                    Err(GpuError::BadPoint { .. }) => match taken.iter().flatten().try_for_each(sums::check::<K>) {
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
            None => {
                let of_devices = of_devices.into_inner().unwrap_or_else(PoisonError::into_inner);
                Ok(of_cpu.into_iter().zip(of_devices).map(|(cpu, devices)| cpu.finish(&workers) + devices).collect())
            }
        }
    }
}
