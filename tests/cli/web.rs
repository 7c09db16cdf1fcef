//! What a worker shows of the queue: the page, its JSON, and the text for Prometheus.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::steps::hex32;
use crate::support::{FILECASH, Sandbox, data, json};

/// A worker that shows its queue.
pub struct Worker {
    child: Child,
    log: PathBuf,
    pub address: String,
}

impl Worker {
    pub fn start(sandbox: &Sandbox, port: u16, flags: &[&str]) -> Self {
        let address = format!("127.0.0.1:{port}");
        let run = ["worker", "run", "--store", "jobs.sqlite", "--reserve", "0", "--sealing", "ssd", "--http", &address];
        let log = sandbox.path("worker.log");
        let mut command = sandbox.command(Path::new(FILECASH), &[&run[..], flags].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let worker = Self { child: command.spawn().unwrap(), log, address };
        let began = Instant::now();
        while !worker.log().contains("is shown on") {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", worker.log());
            sleep(Duration::from_millis(20));
        }
        worker
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Status, head and body of what is at a path.
    fn get(&self, path: &str, more: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    pub fn json(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path, "");
        assert_eq!(status, 200, "{body}");
        json(&body)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn queue_is_shown_to_people_and_to_prometheus() {
    let sandbox = Sandbox::new();
    let run = |arguments: &[&str]| sandbox.run(&[arguments, &["--quiet"]].concat()).succeeds();
    sandbox.write("data", &data(1000));
    let identity = ["--miner", "f01000", "--sector", "5", "--ticket", &hex32("01")];
    let add = ["seal", "add-piece", "--dir", "ssd/five", "--sector-size", "2KiB", "--fill", "data"];
    run(&[&add[..], &identity].concat());
    run(&["worker", "run", "--store", "jobs.sqlite", "--sealing", "ssd", "--until-idle"]);
    run(&["sectors", "add", "ssd/five", "--store", "jobs.sqlite"]);

    let worker = Worker::start(&sandbox, 29840, &["--name", "the \"first\""]);
    let began = Instant::now();
    let state = loop {
        let state = worker.json("/api/state");
        let is_sealed =
            state["jobs"].as_array().unwrap().iter().any(|job| job["kind"] == "pc2" && job["state"] == "done");
        if is_sealed {
            break state;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{state}");
        sleep(Duration::from_millis(50));
    };
    assert_eq!((&state["waiting"], &state["running"]), (&3.into(), &0.into()), "{state}");
    let of_c1 = state["jobs"].as_array().unwrap().iter().find(|job| job["kind"] == "c1").unwrap().clone();
    assert_eq!(of_c1["waits"], "for its seed (filecash sectors seed)");
    let sector = &state["sectors"][0];
    assert_eq!((&sector["sector"]["name"], sector["steps"].as_array().unwrap().len()), (&"f01000/5".into(), 5));
    assert!(state["workers"]["the \"first\""]["storages"].is_object(), "{state}");
    assert_eq!(state["days"].as_array().unwrap().iter().filter(|of| of["day"] == 0).count(), 2, "{state}");

    let events = worker.json("/api/events?profile=filecoin&sector=f01000%2F5");
    assert!(events["events"].as_array().unwrap().iter().any(|event| event["what"] == "done"), "{events}");
    let of_job = worker.json(&format!("/api/events?job={}", of_c1["id"]));
    assert_eq!(of_job["events"].as_array().unwrap().len(), 1);

    let (status, head, metrics) = worker.get("/metrics", "");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in [
        "filecash_jobs_finished_total{phase=\"pc1\",size=\"2KiB\",profile=\"filecoin\",device=\"cpu\",state=\"done\"} 1\n",
        "filecash_jobs{phase=\"c1\",size=\"2KiB\",profile=\"filecoin\",device=\"\",state=\"waiting\"} 1\n",
        "filecash_worker_up{worker=\"the \\\"first\\\"\"} 1\n",
        "filecash_worker_places{worker=\"the \\\"first\\\"\",ability=\"c2\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    // Each line is a comment, or a name with labels and a number.
    for line in metrics.lines().filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("filecash_") && name.ends_with('}'), "{line}");
        value.parse::<f64>().unwrap();
    }
    // No set of labels is told twice.
    let mut names: Vec<_> =
        metrics.lines().filter(|line| !line.starts_with("# ")).map(|line| line.rsplit_once(' ').unwrap().0).collect();
    let told = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), told, "{metrics}");

    let (status, head, page) = worker.get("/", "");
    assert!(status == 200 && page.starts_with("<!doctype html>"), "{head}");
    assert!(head.to_lowercase().contains("content-security-policy: default-src 'none'"), "{head}");
    for path in ["/api/events", "/api/events?profile=bitcoin&sector=x", "/api/events?job=x"] {
        assert_eq!(worker.get(path, "").0, 400, "{path}");
    }
    assert_eq!(worker.json("/api/events?job=-9")["events"], Value::Array(vec![]));
    assert_eq!(worker.get("/no", "").0, 404);
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

#[test]
fn token_is_asked_for() {
    let sandbox = Sandbox::new();
    let worker = Worker::start(&sandbox, 29841, &["--http-token", "secret word"]);
    for path in ["/", "/metrics", "/api/state"] {
        assert_eq!(worker.get(path, "").0, 401, "{path}");
        assert_eq!(worker.get(path, "Authorization: Bearer secret\r\n").0, 401, "{path}");
        assert_eq!(worker.get(path, "Authorization: Bearer secret word\r\n").0, 200, "{path}");
        assert_eq!(worker.get(&format!("{path}?token=secret%20word"), "").0, 200, "{path}");
    }
    // A port that is taken is an error, and the worker does not go on without it.
    let run = ["worker", "run", "--store", "other.sqlite", "--name", "b", "--http", "127.0.0.1:29841"];
    let message = sandbox.run(&run).fails(2);
    assert!(message.contains("cannot listen on 127.0.0.1:29841"), "{message}");
    drop(worker);
}
