//! A program of somebody else's that is driven by lines of JSON: each command is answered by a line.
#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The program while it runs; it ends with the test.
pub struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Peer {
    /// Starts a program and waits for its first line.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut peer = Self { child, stdin, stdout, ready: Value::Null };
        peer.ready = peer.line();
        peer
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Has it do something; its answer.
    pub fn does(&mut self, command: &Value) -> Value {
        self.tries(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Has it do something that may fail.
    pub fn tries(&mut self, command: &Value) -> Result<Value, Value> {
        writeln!(self.stdin, "{command}").unwrap();
        let mut line = self.line();
        match line.get_mut("answer") {
            Some(answer) => Ok(answer.take()),
            None => Err(line["error"].take()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What tests keep of others' programs between runs. What is not there is told of, and is a failure where this variable is set.
pub fn kept(name: &str, needed: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let kept = cache.join("filecash-tests").join(name);
    if kept.exists() {
        return Some(kept);
    }
    assert!(std::env::var_os(needed).is_none(), "there is no {}", kept.display());
    drop(writeln!(std::io::stderr(), "left out: there is no {}", kept.display()));
    None
}

/// A program of `tests/foreign`, wherever in the repository the test belongs.
pub fn foreign(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/foreign").join(name));
    all.into_iter().find(|path| path.exists()).unwrap()
}
