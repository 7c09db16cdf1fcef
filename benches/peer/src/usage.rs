//! What a process used: wall clock, CPU time of all its threads, and its largest resident set.
//!
//! Of the own process from `getrusage(RUSAGE_SELF)`, of a child from `wait4`; both in the same units, so that
//! figures of either kind compare. The resident set of Linux is in KiB.
//!
//! Source: Linux manual pages `getrusage(2)`, `wait4(2)`, `proc_pid_status(5)`.
#![allow(unsafe_code, reason = "getrusage and wait4 have no safe wrapper in the standard library")]

use std::io;
use std::mem::MaybeUninit;
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What one process used from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Elapsed seconds.
    pub wall_seconds: f64,
    /// CPU seconds in user mode, over all threads.
    pub user_seconds: f64,
    /// CPU seconds in the kernel, over all threads.
    pub system_seconds: f64,
    /// Largest resident set in bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// CPU seconds, user and system.
    pub fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    fn new(wall_seconds: f64, usage: &libc::rusage) -> Self {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Self {
            wall_seconds,
            user_seconds: seconds(usage.ru_utime),
            system_seconds: seconds(usage.ru_stime),
            peak_rss_bytes: usage.ru_maxrss as u64 * 1024,
        }
    }

    /// What some work of this process takes, and its result; the peak is that of the process so far.
    ///
    /// # Errors
    /// What the system reports.
    pub fn of<T>(work: impl FnOnce() -> T) -> io::Result<(Self, T)> {
        let started = Instant::now();
        let before = Self::of_self(started)?;
        let result = work();
        let mut usage = Self::of_self(started)?;
        usage.user_seconds -= before.user_seconds;
        usage.system_seconds -= before.system_seconds;
        Ok((usage, result))
    }

    /// Of this process until now. `started` is when it began.
    ///
    /// # Errors
    /// What the system reports.
    pub fn of_self(started: Instant) -> io::Result<Self> {
        let mut usage = MaybeUninit::zeroed();
        // SAFETY: the pointer is to memory of the right size that outlives the call.
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a plain C struct of integers, all zero before the call.
        let usage = unsafe { usage.assume_init() };
        let mut own = Self::new(started.elapsed().as_secs_f64(), &usage);
        // `ru_maxrss` also covers what this process was before `exec`; the status file does not.
        if let Some(bytes) = high_water_mark() {
            own.peak_rss_bytes = bytes;
        }
        Ok(own)
    }

    /// Runs a command to its end and tells what it used, its own children not counted, and whether it succeeded.
    ///
    /// # Errors
    /// When it cannot be started or waited for.
    pub fn of_command(command: &mut Command) -> io::Result<(Self, bool)> {
        let started = Instant::now();
        let child = command.spawn()?;
        let pid = child.id() as libc::pid_t;
        let mut status = 0;
        let mut usage = MaybeUninit::zeroed();
        loop {
            // SAFETY: `pid` is our child that nobody else waits for; both pointers are to memory of the right size.
            if unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) } == pid {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // SAFETY: a plain C struct of integers, all zero before the call.
        let usage = unsafe { usage.assume_init() };
        let succeeded = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        Ok((Self::new(started.elapsed().as_secs_f64(), &usage), succeeded))
    }
}

/// `VmHWM` of this process in bytes.
fn high_water_mark() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn own_usage_grows() {
        let started = Instant::now();
        let before = Usage::of_self(started).unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = Usage::of_self(started).unwrap();
        assert!(after.peak_rss_bytes >= before.peak_rss_bytes.max(block.len() as u64));
        assert!(after.wall_seconds >= before.wall_seconds);
    }

    #[test]
    fn work_is_counted_without_what_was_before() {
        let started = Instant::now();
        let spent = || {
            let usage = Usage::of_self(started).unwrap();
            [usage.wall_seconds, usage.user_seconds, usage.system_seconds]
        };
        while spent()[1] < 0.1 {}
        let before = spent();
        let (usage, number) = Usage::of(|| {
            std::thread::sleep(Duration::from_millis(20));
            7
        })
        .unwrap();
        let after = spent();
        assert!(number == 7 && usage.wall_seconds >= 0.02);
        // Other tests run in this process too; they only add to what lies between.
        let counted = [usage.wall_seconds, usage.user_seconds, usage.system_seconds];
        for (counted, (before, after)) in counted.into_iter().zip(before.into_iter().zip(after)) {
            assert!(counted >= 0.0 && counted <= after - before + 1e-6, "{counted} of {before} to {after}");
        }
    }

    #[test]
    fn exit_status_of_a_command_is_told() {
        assert!(Usage::of_command(&mut Command::new("true")).unwrap().1);
        assert!(!Usage::of_command(&mut Command::new("false")).unwrap().1);
        assert!(Usage::of_command(&mut Command::new("/no/such/program")).is_err());
    }
}
