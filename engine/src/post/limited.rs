//! Tasks in parallel, each against a clock of its own.
//!
//! A read from a disk or a network that hangs cannot be called back. So every task has a thread that nobody waits for:
//! when its time is up the task counts as timed out, and whatever the thread may find later is dropped. A task that has
//! had an eighth of its time makes room for the next one while it goes on: with t tasks that hang, p at a time and a limit
//! l, the last one starts after `⌈t / p⌉ · l / 8`, so that a dead disk does not take the time of the others. Everything is
//! over when the limit for all of them together is reached.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::job::{Cancelled, Stage};

/// How long reading may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// For one sector.
    pub per_sector: Duration,
    /// For all sectors; those that are not read by then have timed out too.
    pub total: Duration,
    /// Sectors that are read at a time, at least 1; slow ones do not count.
    pub parallel: usize,
}

impl ReadLimits {
    /// When all of it has to be over, if it begins now.
    pub fn end(&self) -> Instant {
        after(Instant::now(), self.total)
    }
}

/// A time that so much later; a limit beyond all clocks is a year.
fn after(time: Instant, limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    time.checked_add(limit).unwrap_or(time + YEAR)
}

impl Default for ReadLimits {
    /// A minute for a sector, a quarter of an hour (half of a window's time) for all, 32 at a time.
    fn default() -> Self {
        Self { per_sector: Duration::from_secs(60), total: Duration::from_secs(15 * 60), parallel: 32 }
    }
}

/// Why tasks could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum LimitedError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// The limit that a task did not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut(pub(crate) Duration);

/// Stack of a task's thread.
const STACK_BYTES: usize = 1 << 20;
/// How often cancellation is looked at while nothing happens.
const POLL: Duration = Duration::from_millis(100);

/// A task makes room for the next one after this part of its time.
const PATIENCE: u32 = 8;

/// Runs tasks until `end`, each on a thread of its own; results in their order. Each one over advances `stage` by 1.
///
/// # Errors
/// [`LimitedError`]; threads that run then are left to themselves.
pub(crate) fn run<T: Send + 'static>(
    stage: &Stage<'_>,
    limits: &ReadLimits,
    end: Instant,
    tasks: Vec<Box<dyn FnOnce() -> T + Send>>,
) -> Result<Vec<Result<T, TimedOut>>, LimitedError> {
    let (sender, receiver) = mpsc::channel();
    let mut results: Vec<_> = tasks.iter().map(|_| Err(TimedOut(limits.total))).collect();
    let mut waiting = tasks.into_iter().enumerate();
    // When the tasks that run began, and their deadlines.
    let mut running: BTreeMap<usize, (Instant, Instant)> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let is_young = |began: Instant| now.saturating_duration_since(began) < limits.per_sector / PATIENCE;
        let mut young = running.values().filter(|(began, _)| is_young(*began)).count();
        while young < limits.parallel.max(1) && now < end {
            let Some((index, task)) = waiting.next() else { break };
            let sender = sender.clone();
            // Nobody listens any more when the task was late.
            let body = move || drop(sender.send((index, task())));
            thread::Builder::new().stack_size(STACK_BYTES).spawn(body).map_err(LimitedError::Thread)?;
            running.insert(index, (now, after(now, limits.per_sector)));
            young += 1;
        }
        let Some(first) = running.values().map(|(_, deadline)| deadline).min() else { break };
        let wait = first.min(&end).saturating_duration_since(now).min(POLL).min(limits.per_sector / PATIENCE);
        match receiver.recv_timeout(wait) {
            Ok((index, result)) => {
                if running.remove(&index).is_some() {
                    results[index] = Ok(result);
                    stage.advance(1)?;
                }
            }
            // This function holds a sender, so the channel stays open.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => stage.advance(0)?,
        }
        let now = Instant::now();
        let late: Vec<usize> =
            running.iter().filter(|(_, (_, deadline))| now >= end.min(*deadline)).map(|(index, _)| *index).collect();
        for index in late {
            let limit = if now >= end { limits.total } else { limits.per_sector };
            results[index] = Err(TimedOut(limit));
            running.remove(&index);
            stage.advance(1)?;
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::job::{Cancel, Job, Quiet, Unit};

    fn run_with<T: Send + 'static>(
        cancel: &Cancel,
        limits: &ReadLimits,
        tasks: Vec<Box<dyn FnOnce() -> T + Send>>,
    ) -> Result<Vec<Result<T, TimedOut>>, LimitedError> {
        let job = Job { config: &Config::default(), progress: &Quiet, cancel };
        let stage = job.stage("tasks", Unit::Items, tasks.len() as u64);
        run(&stage, limits, limits.end(), tasks)
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn limits(per_sector: u64, total: u64, parallel: usize) -> ReadLimits {
        ReadLimits { per_sector: ms(per_sector), total: ms(total), parallel }
    }

    /// A task that answers at once, or never.
    fn task(number: usize, hangs: bool) -> Box<dyn FnOnce() -> usize + Send> {
        Box::new(move || {
            if hangs {
                loop {
                    thread::park();
                }
            }
            number
        })
    }

    #[test]
    fn results_come_in_order() {
        let tasks = (0..100).map(|number| task(number, false)).collect();
        let results = run_with(&Cancel::default(), &limits(60_000, 60_000, 3), tasks).unwrap();
        assert_eq!(results, (0..100).map(Ok).collect::<Vec<_>>());
        assert!(run_with::<usize>(&Cancel::default(), &limits(1, 1, 1), Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn a_hanging_task_holds_up_nobody() {
        // One at a time, and the first of them hangs.
        let tasks = (0..4).map(|number| task(number, number == 0)).collect();
        let start = Instant::now();
        let results = run_with(&Cancel::default(), &limits(200, 60_000, 1), tasks).unwrap();
        assert_eq!(results, [Err(TimedOut(ms(200))), Ok(1), Ok(2), Ok(3)]);
        assert!(start.elapsed() >= ms(200) && start.elapsed() < ms(30_000));
    }

    #[test]
    fn a_dead_disk_does_not_take_the_time_of_the_others() {
        // Each of the five may take longer than there is for all.
        let tasks = (0..6).map(|number| task(number, number < 5)).collect();
        let results = run_with(&Cancel::default(), &limits(4_000, 3_900, 1), tasks).unwrap();
        assert_eq!(results, [[Err(TimedOut(ms(3_900))); 5].as_slice(), &[Ok(5)]].concat());
    }

    #[test]
    fn limits_beyond_all_clocks_are_kept() {
        let limits = ReadLimits { per_sector: Duration::MAX, total: Duration::MAX, parallel: 0 };
        assert_eq!(run_with(&Cancel::default(), &limits, vec![task(7, false)]).unwrap(), [Ok(7)]);
    }

    #[test]
    fn the_limit_for_all_ends_everything() {
        let tasks = (0..50).map(|number| task(number, true)).collect();
        let start = Instant::now();
        let results = run_with(&Cancel::default(), &limits(100, 250, 2), tasks).unwrap();
        assert!(start.elapsed() < ms(30_000));
        assert_eq!(results[..2], [Err(TimedOut(ms(100))); 2]);
        assert_eq!(results[40..], [Err(TimedOut(ms(250))); 10]);
    }

    #[test]
    fn cancellation_does_not_wait_for_a_hanging_task() {
        let cancel = Cancel::default();
        cancel.cancel();
        let error = run_with(&cancel, &limits(60_000, 60_000, 1), vec![task(0, true)]).unwrap_err();
        assert!(matches!(error, LimitedError::Cancelled(_)));
    }
}
