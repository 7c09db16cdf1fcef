//! Miners in Python, which know nothing but the protocol's tables, and our side of the conversation.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Sandbox, json};

const PATIENCE: Duration = Duration::from_secs(240);

/// What a request to a port comes to: status and body.
pub fn http(port: u16, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    let head = format!("{head}Host: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // Who is turned away early does not read all of it.
    drop(stream.write_all(body));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A miner in Python.
pub struct Miner {
    child: Child,
    pub port: u16,
    pub token: String,
    script: &'static str,
    flags: Vec<String>,
}

impl Miner {
    /// None where there is no Python and none has to be.
    pub fn start(sandbox: &Sandbox, script: &'static str, flags: &[&str]) -> Option<Self> {
        let state = sandbox.path("miner.json");
        let own = ["--state", state.to_str().unwrap()];
        let flags: Vec<String> = [&own[..], flags].concat().into_iter().map(str::to_owned).collect();
        let (child, port, token) = Self::spawn(script, &flags, 0)?;
        Some(Self { child, port, token, script, flags })
    }

    fn spawn(script: &str, flags: &[String], port: u16) -> Option<(Child, u16, String)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
        let mut command = Command::new("python3");
        command.arg(script).args(["--port", &port.to_string()]).args(flags).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            drop(writeln!(std::io::stderr(), "left out: there is no python3"));
            assert!(std::env::var_os("FILECASH_TESTS_NEED_GRPC").is_none(), "there is no python3");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words.len() == 3 && words[0] == "ready", "{line:?}");
        Some((child, words[1].parse().unwrap(), words[2].to_owned()))
    }

    pub fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Another process with what the first had written down.
    pub fn start_again(&mut self) {
        self.child = Self::spawn(self.script, &self.flags, self.port).unwrap().0;
    }

    pub fn state(&self) -> Value {
        json(&http(self.port, "GET /control/state HTTP/1.1\r\n", b"").1)
    }

    pub fn control(&self, what: &str, body: &Value) -> Value {
        let (status, text) =
            http(self.port, &format!("POST /control/{what} HTTP/1.1\r\n"), body.to_string().as_bytes());
        assert_eq!(status, 200, "{text}");
        json(&text)
    }

    /// Where it is and what lets others in, as operators write it.
    pub fn api(&self) -> String {
        format!("{}:/ip4/127.0.0.1/tcp/{}/http", self.token, self.port)
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A run of ours that lasts until it is stopped.
pub struct Daemon {
    pub child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it says that others can come in.
    pub fn start(sandbox: &Sandbox, mut command: Command) -> Self {
        let log = sandbox.path("daemon.log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let daemon = Self { child: command.spawn().unwrap(), log };
        daemon.wait(|| daemon.log().contains("Listening on").then_some(()));
        daemon
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for something, or tells what the daemon says.
    #[track_caller]
    pub fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
