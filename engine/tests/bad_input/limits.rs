//! A disk that takes no more: the process may not write files beyond a length.
//!
//! The limit is a process's, so the body runs in one of its own: this very test, started by a shell that asks not to be
//! killed at the limit.

use std::process::Command;

use filecash_engine::Error;
use filecash_engine::sector::Profile;
use filecash_engine::sector::piece::UnpaddedLen;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::{Sandbox, State, alike, data, said};

const VARIABLE: &str = "FILECASH_TEST_FILE_LIMIT";

/// Whether this is the process of its own; otherwise starts it, and looks at how it ended.
fn alone(test: &str) -> bool {
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let script = format!("trap '' XFSZ; exec \"$0\" --exact limits::{test} --nocapture");
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", &script]).arg(this).env(VARIABLE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{told}");
    false
}

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// Runs an operation while no file may grow beyond `bytes`.
fn within<T>(bytes: u64, operation: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    limit(Some(bytes));
    let result = operation();
    limit(None);
    result
}

/// Phases under ever higher limits: each fails with the name of a file, or does all of its work.
fn every_limit<T>(start: State, end: State, phase: impl Fn(&Sandbox) -> Result<T, Error>) {
    let mut refusals = 0;
    for bytes in (0..4200).step_by(100) {
        let sandbox = Sandbox::new(Profile::Filecash, start);
        let before = sandbox.files();
        let Err(error) = within(bytes, || phase(&sandbox)) else { continue };
        refusals += 1;
        let text = said(&error);
        assert!(text.contains("File too large") && text.contains(&*sandbox.path("").to_string_lossy()), "{text}");
        let after = sandbox.files();
        assert!(before.iter().all(|(name, content)| after.get(name) == Some(content)), "{text}");
        let left: Vec<_> = after.keys().filter(|name| name.to_string_lossy().contains("tmp")).collect();
        assert!(left.is_empty(), "{text}: {left:?}");
        // The disk has room again.
        phase(&sandbox).unwrap();
        alike(&sandbox.files(), sandbox.undisturbed(end));
    }
    assert!(refusals > 10, "{refusals}");
}

#[test]
fn phase_1_on_a_full_disk_names_the_file_and_can_be_repeated() {
    if alone("phase_1_on_a_full_disk_names_the_file_and_can_be_repeated") {
        every_limit(State::Staged, State::PreCommitted, Sandbox::pc1);
    }
}

#[test]
fn phase_2_on_a_full_disk_names_the_file_and_can_be_repeated() {
    if alone("phase_2_on_a_full_disk_names_the_file_and_can_be_repeated") {
        every_limit(State::PreCommitted, State::Sealed, Sandbox::pc2);
    }
}

#[test]
fn piece_on_a_full_disk_is_taken_back() {
    if alone("piece_on_a_full_disk_is_taken_back") {
        let sandbox = Sandbox::new(Profile::Filecash, State::Staged);
        sandbox.edit("staged", |bytes| bytes.truncate(1024));
        let [half, quarter] = [1016, 508].map(|size| UnpaddedLen::new(size).unwrap());
        let add = |sandbox: &Sandbox| {
            sandbox.run(|job| {
                let (params, staged) = (sandbox.config.params, sandbox.path("staged"));
                filecash_engine::api::seal::add_piece(job, params, &data(quarter)[..], &staged, quarter, &[half])
            })
        };
        let full = |sandbox: &Sandbox| within(1200, || add(sandbox));
        sandbox.refuses(full, &["cannot write the staged file", "staged", "File too large"]);
        add(&sandbox).unwrap();
    }
}
