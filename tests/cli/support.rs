//! A folder and an environment for one test, and what a run of the binary came to.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program.
pub const FILECASH: &str = env!("CARGO_BIN_EXE_filecash");

/// Where a test's files live.
pub struct Sandbox(tempfile::TempDir);

/// What a run came to.
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub bytes: Vec<u8>,
}

impl Sandbox {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Flips the lowest bit of one byte.
    pub fn flip(&self, name: &str, at: usize) {
        let mut bytes = self.read(name);
        bytes[at] ^= 1;
        self.write(name, &bytes);
    }

    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[], b"")
    }

    /// A run to be started in the sandbox.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("FIL_PROOFS_PARAMETER_CACHE", self.path("parameters"))
            // Which drivers there are is the machine's affair, and Mesa need not compile a kernel for every test.
            .envs(std::env::var_os("VK_ICD_FILENAMES").map(|drivers| ("VK_ICD_FILENAMES", drivers)))
            .env("MESA_SHADER_CACHE_DIR", cache().join("mesa"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs, and tells the largest resident set that was seen from outside.
    #[cfg(target_os = "linux")]
    pub fn run_watched(&self, arguments: &[&str]) -> (Run, u64) {
        let child = self.command(Path::new(FILECASH), arguments).stdin(Stdio::null()).spawn().unwrap();
        let process = child.id();
        let watcher = std::thread::spawn(move || watch_peak(process));
        let run = Run::new(child.wait_with_output().unwrap());
        (run, watcher.join().unwrap())
    }

    /// Runs with variables besides the sandbox's own, and bytes on standard input.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Run {
        let mut child = self.command(Path::new(FILECASH), arguments).envs(variables.iter().copied()).spawn().unwrap();
        // Whoever does not read its input has ended already.
        let _ = child.stdin.take().unwrap().write_all(input);
        Run::new(child.wait_with_output().unwrap())
    }
}

/// The largest resident set of a process, seen from outside until it ends.
#[cfg(target_os = "linux")]
fn watch_peak(process: u32) -> u64 {
    let mut peak = 0;
    // A process that has ended has no memory to tell of.
    while let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        peak = peak.max(kib << 10);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    peak
}

impl Run {
    pub fn new(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            bytes: output.stdout,
        }
    }

    /// Standard output of a run that went well.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output of a run that found something wrong.
    #[track_caller]
    pub fn succeeds_not(self) -> String {
        assert_eq!(self.status, 1, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a run that did not.
    #[track_caller]
    pub fn fails(self, status: i32) -> String {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }
}

/// The one JSON document that a text is.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Bytes `i mod 251`.
pub fn data(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8).collect()
}

/// A folder of test parameters that is kept between runs, as the interop tests keep theirs: those of a PoRep take a minute
/// and a gigabyte. Whoever does not find them there makes them.
pub fn kept_parameters() -> PathBuf {
    cache().join("params")
}

/// What tests keep.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    cache.expect("XDG_CACHE_HOME or HOME is set").join("filecash-tests")
}
