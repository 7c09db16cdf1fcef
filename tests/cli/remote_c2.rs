//! `filecash serve remote-c2`, by plain HTTP as a Filecash miner speaks it (`spec/attach.md` C.2, E.4): the miner is this test.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json as value};

use crate::miner::http;
use crate::steps::hex32;
use crate::support::{FILECASH, Sandbox, data, json, kept_parameters};

const PATIENCE: Duration = Duration::from_secs(240);

struct Server {
    child: Child,
    log: PathBuf,
    address: String,
    port: u16,
}

impl Server {
    fn start(sandbox: &Sandbox, port: u16, flags: &[&str]) -> Self {
        let (parameters, store) = (kept_parameters(), sandbox.path("jobs.sqlite"));
        let address = format!("127.0.0.1:{port}");
        let common = ["--parameter-cache", parameters.to_str().unwrap(), "--store", store.to_str().unwrap()];
        let arguments = [&["serve", "remote-c2", "--listen", &address], flags, &common].concat();
        let log = sandbox.path("server.log");
        let mut command = sandbox.command(Path::new(FILECASH), &arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let server = Self { child: command.spawn().unwrap(), log, address, port };
        let began = Instant::now();
        while !server.log().contains("Listening on") {
            assert!(began.elapsed() < PATIENCE, "{}", server.log());
            sleep(Duration::from_millis(20));
        }
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Status and body of a request.
    fn http(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let head = format!("{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\n");
        http(self.port, &head, body)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let (status, text) = self.http("POST", path, body.to_string().as_bytes());
        assert_eq!(status, 200, "{text}");
        json(&text)
    }

    fn submit(&self, body: &Value) -> u64 {
        self.post("/seal/seal_commit_phase2", body)["Started"].as_u64().unwrap()
    }

    fn query(&self, job: u64) -> Value {
        self.post("/sys/query_state", &value!(job))
    }

    /// What came of a job.
    fn done(&self, job: u64) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.query(job);
            if answer != "Pending" {
                return answer["Done"].clone();
            }
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A sector 5 of a profile up to C1 in `s`, and the body that asks for its C2.
fn sector(sandbox: &Sandbox, profile: &str) -> Value {
    let run = |arguments: &[&str]| sandbox.run(&[arguments, &["--quiet", "--profile", profile]].concat()).succeeds();
    sandbox.write("data", &data(2032));
    let identity = ["--miner", "f01000", "--sector", "5", "--ticket", &hex32("01")];
    run(&[&["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "data"][..], &identity].concat());
    run(&["seal", "pc1", "--dir", "s"]);
    run(&["seal", "pc2", "--dir", "s"]);
    run(&["seal", "c1", "--dir", "s", "--seed", &hex32("02")]);
    let mut prover_id = vec![0; 32];
    prover_id[..2].copy_from_slice(&[0xe8, 7]);
    let c1 = json(&String::from_utf8(sandbox.read("s/c1.json")).unwrap());
    value!({ "phase1_output": c1, "prover_id": prover_id, "sector_id": 5 })
}

#[test]
fn miner_posts_and_asks_until_it_is_done() {
    let sandbox = Sandbox::new();
    let body = sector(&sandbox, "filecoin");
    // Nobody behind the door yet.
    let server = Server::start(&sandbox, 26000, &["--no-worker", "--max-pending", "1"]);
    assert_eq!(server.http("GET", "/test", b""), (200, "Worked!".to_owned()));
    let about = json(&server.http("GET", "/sys/get_worker_info", b"").1);
    for name in ["id", "host", "speed", "cpu", "gpu", "mem", "add_time"] {
        assert!(!about[name].is_null(), "{about}");
    }
    let job = server.submit(&body);
    // Posted again after a lost answer.
    assert_eq!(server.submit(&body), job);
    assert_eq!(server.query(job), "Pending");
    assert_eq!(server.query(job + 1000), value!({ "Error": "NotExist" }));
    let mut other = body.clone();
    other["sector_id"] = 6.into();
    let (status, text) = server.http("POST", "/seal/seal_commit_phase2", other.to_string().as_bytes());
    assert_eq!(status, 429, "{text}");
    assert_eq!(server.post("/sys/remove_job", &value!(job)), "Removed");
    assert_eq!(server.query(job), "Removed");
    let job = server.submit(&body);
    drop(server);

    // The server was killed, and the job is done all the same.
    let server = Server::start(&sandbox, 26000, &["--c2", "1"]);
    let done = server.done(job);
    let proof: Vec<u8> = serde_json::from_value(done["Ok"]["proof"].clone()).unwrap();
    assert_eq!(proof.len(), 192);
    sandbox.write("proof", &proof);
    let parameters = kept_parameters();
    let verify =
        ["seal", "verify", "--dir", "s", "--proof", "proof", "--parameter-cache", parameters.to_str().unwrap()];
    sandbox.run(&verify).succeeds();
    // An answer that was lost is given again, and so is the number.
    assert_eq!(server.query(job)["Done"], done);
    assert_eq!(server.submit(&body), job);
    // Another sector's: refused before work begins, and the text says why.
    let job = server.submit(&other);
    let failed = server.done(job);
    let text = failed["Err"].as_str().unwrap();
    assert!(text.starts_with("bad-input: ") && text.contains("another sector, ticket or profile"), "{text}");
    // A failure is not what somebody gets who asks again.
    assert_ne!(server.submit(&other), job);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// The other network's sectors, whose proofs have the same numbers.
#[test]
fn profile_is_the_servers() {
    let sandbox = Sandbox::new();
    let body = sector(&sandbox, "filecash");
    let server = Server::start(&sandbox, 26001, &["--c2", "1"]);
    let failed = server.done(server.submit(&body));
    assert!(failed["Err"].as_str().unwrap().starts_with("bad-input: "), "{failed}");
    drop(server);
    let server = Server::start(&sandbox, 26001, &["--c2", "1", "--profile", "filecash"]);
    let parameters = kept_parameters();
    let of_network = ["--profile", "filecash", "--parameter-cache", parameters.to_str().unwrap()];
    let setup = ["params", "setup", "--sector-size", "2KiB", "--circuit", "all"];
    sandbox.run(&[&setup[..], &of_network].concat()).succeeds();
    let done = server.done(server.submit(&body));
    let proof: Vec<u8> = serde_json::from_value(done["Ok"]["proof"].clone()).unwrap();
    sandbox.write("proof", &proof);
    sandbox.run(&[&["seal", "verify", "--dir", "s", "--proof", "proof"][..], &of_network].concat()).succeeds();
}

#[test]
fn requests_that_make_no_sense_or_do_not_end() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, 26002, &["--no-worker"]);
    for body in [&b""[..], b"7", b"{}", b"{\"phase1_output\": {}, \"prover_id\": [1], \"sector_id\": 5}", b"\xff"] {
        let (status, text) = server.http("POST", "/seal/seal_commit_phase2", body);
        assert_eq!(status, 400, "{text}");
        assert!(json(&text)["Err"].is_string());
    }
    assert_eq!(server.http("GET", "/seal/seal_commit_phase2", b"").0, 405);
    assert_eq!(server.http("POST", "/seal/seal_pre_commit_phase1", b"{}").0, 404);
    for body in [&b"x"[..], b"-1", b"1e9", b"[]", b""] {
        assert_eq!(server.http("POST", "/sys/query_state", body), (200, "{\"Error\":\"NotExist\"}".to_owned()));
    }
    // As long as a large sector's, and longer than any.
    let long = format!(
        "{{\"phase1_output\": {{\"registered_proof\": \"x\", \"y\": \"{}\"}}, \"prover_id\": {:?}, \
                        \"sector_id\": 1}}",
        "z".repeat(50 << 20),
        [0; 32]
    );
    assert_eq!(server.http("POST", "/seal/seal_commit_phase2", long.as_bytes()).0, 200);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = "POST /seal/seal_commit_phase2 HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // Clients that say half of it and wait hold up nobody, until there are as many as are let in.
    let half = "POST /seal/seal_commit_phase2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    let began = Instant::now();
    let slow = loop {
        let mut slow = Vec::new();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            stream.write_all(half.as_bytes()).unwrap();
            slow.push(stream);
        }
        if (0..20).any(|_| server.http("POST", "/seal/seal_commit_phase2", b"{}").0 == 429) {
            break slow;
        }
        // On a machine that is slow, too, the first may have been cut off before the last came.
        assert!(began.elapsed() < PATIENCE);
    };
    assert_eq!(server.http("GET", "/test", b"").0, 200);
    // And those that are cut off make room.
    drop(slow);
    while server.http("POST", "/seal/seal_commit_phase2", b"{}").0 == 429 {
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    drop(server);
    let server = Server::start(&sandbox, 26002, &["--no-worker", "--allow", "10.1.2.3"]);
    assert_eq!(server.http("GET", "/test", b"").0, 403);
}
