//! Phases that are stopped at every step, and done again.

use std::sync::atomic::{AtomicU64, Ordering};

use filecash_engine::Error;
use filecash_engine::job::{Cancel, Job, Progress, Unit};
use filecash_engine::porep::commit::CommitError;
use filecash_engine::sector::Profile;

use crate::support::{Files, Sandbox, State, alike, said};

/// Cancels at the so-manieth report of progress.
struct StopAt<'a> {
    cancel: &'a Cancel,
    left: AtomicU64,
}

impl Progress for StopAt<'_> {
    fn begin(&self, _stage: &'static str, _unit: Unit, _total: u64) {}

    fn advance(&self, _units: u64) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.cancel.cancel();
        }
    }

    fn end(&self) {}
}

pub fn stopped<T>(
    sandbox: &Sandbox,
    at: u64,
    phase: impl FnOnce(&Sandbox, &Job<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let cancel = Cancel::default();
    let progress = StopAt { cancel: &cancel, left: AtomicU64::new(at) };
    sandbox.run_with(&progress, &cancel, |job| phase(sandbox, job))
}

/// Runs an operation to the end; gives the number of its reports of progress.
pub fn reports<T>(sandbox: &Sandbox, operation: impl FnOnce(&Job<'_>) -> Result<T, Error>) -> u64 {
    let cancel = Cancel::default();
    let progress = StopAt { cancel: &cancel, left: AtomicU64::new(u64::MAX) };
    drop(sandbox.run_with(&progress, &cancel, operation).unwrap());
    u64::MAX - progress.left.into_inner()
}

/// Runs a phase until it is stopped at report 1, 2, …; each time once more in the same folder, to the end.
fn every_stop<T>(start: State, end: State, phase: impl Fn(&Sandbox, &Job<'_>) -> Result<T, Error>) {
    for profile in Profile::ALL {
        let mut stops = 0;
        for at in 1.. {
            let sandbox = Sandbox::new(profile, start);
            let before = sandbox.files();
            let Err(error) = stopped(&sandbox, at, &phase) else { break };
            assert_eq!(said(&error), "cancelled");
            unharmed(&before, &sandbox.files());
            stops += 1;
            sandbox.run(|job| phase(&sandbox, job)).unwrap();
            alike(&sandbox.files(), sandbox.undisturbed(end));
        }
        assert!(stops >= 3, "{stops}");
    }
}

/// What was there is as it was, but that more may be noted, and no temporary file has come.
pub fn unharmed(before: &Files, after: &Files) {
    let is_notes = |name: &std::path::Path| name.ends_with("filecash-manifest.json");
    assert!(before.iter().all(|(name, content)| after.get(name) == Some(content) || is_notes(name)));
    for name in after.keys() {
        let name = name.to_string_lossy();
        assert!(!name.contains("tmp"), "{name}");
    }
}

#[test]
fn phase_1_stopped_anywhere_and_repeated_gives_the_same_files() {
    every_stop(State::Staged, State::PreCommitted, |sandbox, job| sandbox.pc1_of(job).map(drop));
}

#[test]
fn phase_2_stopped_anywhere_and_repeated_gives_the_same_files() {
    every_stop(State::PreCommitted, State::Sealed, |sandbox, job| {
        assert_eq!(sandbox.pc2_of(job)?, sandbox.phase2);
        Ok(())
    });
}

/// As after a crash between two of the files' names.
#[test]
fn phase_2_over_any_of_its_own_outputs_gives_the_same_files() {
    let done = Sandbox::new(Profile::Filecash, State::Sealed);
    let outputs =
        ["sealed", "cache/sc-02-data-tree-c.dat", "cache/sc-02-data-tree-r-last.dat", "cache/p_aux", "cache/t_aux"];
    for chosen in 0..1_u32 << outputs.len() {
        let sandbox = Sandbox::new(Profile::Filecash, State::PreCommitted);
        for (bit, name) in outputs.iter().enumerate() {
            if chosen >> bit & 1 == 1 {
                std::fs::copy(done.path(name), sandbox.path(name)).unwrap();
            }
        }
        std::fs::write(sandbox.path("cache/sc-02-data-tree-c.dat.tmp"), b"left by a crash").unwrap();
        assert_eq!(sandbox.pc2().unwrap(), sandbox.phase2);
        let mut files = sandbox.files();
        // Somebody else's leftovers are not ours to remove, but are in nobody's way.
        files.remove(std::path::Path::new("cache/sc-02-data-tree-c.dat.tmp"));
        alike(&files, sandbox.undisturbed(State::Sealed));
    }
}

#[test]
fn cancelled_phases_say_so_by_type() {
    let sandbox = Sandbox::new(Profile::Filecoin, State::PreCommitted);
    let error = stopped(&sandbox, 1, |sandbox, job| sandbox.pc2_of(job)).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
    let error = stopped(&sandbox, 4, |sandbox, job| sandbox.pc2_of(job)).unwrap_err();
    assert!(matches!(error, Error::PreCommit2(CommitError::Cancelled(_))), "{error:?}");
}
