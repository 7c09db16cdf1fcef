//! `filecash sectors pledge` and `filecash serve sealing`: the miner that takes the sectors over, and the full node, are programs in Python
//! that know nothing but the protocol's tables (`spec/attach.md` B.15, E.4).

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json as value};

use crate::miner::{Daemon, Miner, http};
use crate::support::{FILECASH, Sandbox, json, kept_parameters};

const PATIENCE: Duration = Duration::from_secs(240);

/// A miner's side and ours in one sandbox.
struct Rig {
    sandbox: Sandbox,
    miner: Miner,
    port: u16,
}

impl Rig {
    fn new(port: u16) -> Option<Self> {
        let sandbox = Sandbox::new();
        let miner = Miner::start(&sandbox, "lotus_import.py", &[])?;
        let rig = Self { sandbox, miner, port };
        rig.run(&["params", "setup", "--sector-size", "2KiB", "--circuit", "all"]);
        Some(rig)
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Command {
        let (parameters, store) = (kept_parameters(), self.sandbox.path("jobs.sqlite"));
        let more = ["--parameter-cache", parameters.to_str().unwrap(), "--store", store.to_str().unwrap()];
        let mut command = self.sandbox.command(Path::new(FILECASH), &[arguments, &more].concat());
        command.env("MINER_API_INFO", self.miner.api()).env("FULLNODE_API_INFO", self.miner.api());
        command
    }

    fn output(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.arguments(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.output(&[arguments, &["--quiet"]].concat());
        assert_eq!(status, 0, "{stdout}{stderr}");
        stdout
    }

    fn pledge(&self, flags: &[&str]) -> Value {
        let own = ["sectors", "pledge", "--sealing", "ssd", "--json"];
        json(&self.run(&[&own[..], flags].concat()))
    }

    fn serve(&self) -> Daemon {
        self.serve_with(&[])
    }

    fn serve_with(&self, flags: &[&str]) -> Daemon {
        let listen = format!("127.0.0.1:{}", self.port);
        let own = ["serve", "sealing", "--listen", &listen, "--sealing", "ssd", "--storing", "hdd", "--reserve", "0"];
        Daemon::start(&self.sandbox, self.arguments(&[&own[..], flags].concat()))
    }

    fn jobs(&self) -> Vec<Value> {
        json(&self.run(&["jobs", "list", "--over", "1000", "--json"]))["jobs"].as_array().unwrap().clone()
    }

    fn sector(&self, number: u64) -> Value {
        self.miner.state()["sectors"][number.to_string()].clone()
    }

    fn wait_step(&self, service: &Daemon, number: u64, step: &str) {
        let began = Instant::now();
        while self.sector(number)["step"] != step {
            assert!(began.elapsed() < PATIENCE, "{step}: {}{}", self.miner.state(), service.log());
            sleep(Duration::from_millis(100));
        }
    }

    /// All is done, the sector is where it stays, and what the miner has of it is what we have.
    fn is_taken_over(&self, service: &Daemon, number: u64) {
        self.wait_step(service, number, "proving");
        service.wait(|| self.jobs().iter().all(|job| job["state"] == "done").then_some(()));
        let ours = |name: &str| self.sandbox.read(&format!("hdd/f01000-{number}/{name}"));
        let theirs = |name: &str| self.sandbox.read(&format!("miner.json.d/{number}/{name}"));
        assert_eq!(theirs("sealed"), ours("sealed"));
        assert_eq!(theirs("unsealed")[..2048], ours("staged"));
        let names = ["p_aux", "sc-02-data-tree-r-last.dat", "t_aux"];
        assert_eq!(self.sandbox.names(&format!("miner.json.d/{number}/cache")), names);
        for name in names {
            assert_eq!(theirs(&format!("cache/{name}")), ours(&format!("cache/{name}")), "{name}");
        }
        assert_eq!(theirs("proof.bin"), ours("proof.bin"));
        // Ours has the seed that the miner gave, and its proof holds.
        let dir = format!("hdd/f01000-{number}");
        self.run(&["seal", "verify", "--dir", &dir]);
        let inspected = self.output(&["sectors", "inspect", &dir, "--deep"]);
        assert_eq!(inspected.0, 0, "{}{}", inspected.1, inspected.2);
    }

    fn is_quiet(&self, service: &Daemon) {
        assert_eq!(self.miner.state()["complaints"], value!([]));
        assert!(!service.log().contains("panicked"), "{}", service.log());
    }
}

#[test]
fn miner_takes_sectors_over() {
    let Some(rig) = Rig::new(26200) else { return };
    rig.miner.control("script", &value!({ "fail_c2": 1 }));
    let pledged = rig.pledge(&["--count", "2"]);
    let names: Vec<&str> =
        pledged["sectors"].as_array().unwrap().iter().map(|of| of["sector"].as_str().unwrap()).collect();
    let reserved = rig.miner.state()["reserved"].clone();
    let numbers: Vec<u64> = reserved.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
    assert_eq!(names, numbers.iter().map(|number| format!("f01000/{number}")).collect::<Vec<_>>());
    // One whose ticket became old before anybody had time for it.
    let path = format!("ssd/f01000-{}/sector.json", numbers[0]);
    let identity = || json(&String::from_utf8(rig.sandbox.read(&path)).unwrap());
    let fresh = identity();
    let mut old = fresh.clone();
    (old["ticket"], old["ticket_epoch"]) = ("00".repeat(32).into(), 1000.into());
    rig.sandbox.write(&path, old.to_string().as_bytes());
    let service = rig.serve_with(&["--no-worker"]);
    service.wait(|| (identity() == fresh).then_some(()));
    drop(service);
    let service = rig.serve();
    for number in &numbers {
        rig.is_taken_over(&service, *number);
    }
    rig.is_quiet(&service);
    let log = rig.run(&["sectors", "status", names[0], "--log"]);
    for what in ["the miner has taken the sector", "the miner gave the seed", "the miner says Proving"] {
        assert!(log.contains(what), "{what}: {log}");
    }
    // Numbers are not given twice.
    let more = rig.pledge(&["--feature", "synthetic"]);
    assert!(!names.contains(&more["sectors"][0]["sector"].as_str().unwrap()), "{more}");
}

#[test]
fn either_side_is_restarted_and_the_sector_arrives() {
    let Some(mut rig) = Rig::new(26201) else { return };
    rig.pledge(&[]);
    let number = rig.miner.state()["reserved"][0].as_u64().unwrap();
    rig.miner.control("script", &value!({ "hold_at": "unsealed" }));
    let mut service = rig.serve();
    // Killed at any time before it is sealed.
    for _ in 0..4 {
        sleep(Duration::from_millis(300));
        service.kill();
        service = rig.serve();
    }
    // And either side at each step; only C1 is asked for with two seeds.
    let steps = ["unsealed", "sealed", "cache", "seed", "c1"];
    for (step, next) in steps.into_iter().zip([&steps[1..], &["c2"]].concat()) {
        rig.wait_step(&service, number, step);
        service.kill();
        rig.miner.stop();
        rig.miner.start_again();
        rig.miner.control("script", &value!({ "hold_at": next, "change_seed": step == "c1" }));
        service = rig.serve();
    }
    rig.wait_step(&service, number, "c2");
    rig.miner.control("script", &value!({ "hold_at": null }));
    // The proof is being made, for whoever asks again.
    service.wait(|| rig.jobs().iter().any(|job| job["kind"] == "c2" && job["state"] == "running").then_some(()));
    rig.miner.stop();
    service.kill();
    let service = rig.serve();
    rig.miner.start_again();
    rig.is_taken_over(&service, number);
    rig.is_quiet(&service);
}

#[test]
fn sectors_are_for_their_miner_alone() {
    let Some(rig) = Rig::new(26202) else { return };
    rig.miner.control("script", &value!({ "hold_at": "c1", "unsuccessful": true }));
    rig.pledge(&[]);
    let number = rig.miner.state()["reserved"][0].as_u64().unwrap();
    let service = rig.serve();
    rig.wait_step(&service, number, "c1");
    let get = |path: &str| http(26202, &format!("GET {path} HTTP/1.1\r\n"), b"").0;
    let post = |path: &str, body: &[u8]| http(26202, &format!("POST {path} HTTP/1.1\r\n"), body).0;
    let wrong = format!("/sector/{}", "0".repeat(64));
    for path in ["/", "/sector", &wrong, &format!("{wrong}/sealed"), "/sector/%00/sealed", "/sector/../sealed"] {
        assert_eq!(get(path), 404, "{path}");
    }
    assert_eq!(post(&format!("{wrong}/done"), b"{\"Successful\": true}"), 404);
    let kept = json(&String::from_utf8(rig.sandbox.read("miner.json")).unwrap());
    let endpoint = kept["sectors"][number.to_string()]["meta"]["RemoteCommit1Endpoint"].as_str().unwrap().to_owned();
    let base = endpoint.strip_prefix("http://127.0.0.1:26202").unwrap().strip_suffix("/c1").unwrap();
    for (what, body) in [
        ("c1", &b""[..]),
        ("c1", b"{}"),
        ("c1", b"{\"Ticket\": \"\", \"Seed\": \"\", \"Unsealed\": {\"/\": \"x\"}, \"Sealed\": {\"/\": \"x\"}, \"ProofType\": 5}"),
        ("c2", b"[]"),
        ("c2", b"{\"Sector\": {\"Miner\": 1, \"Number\": 1}, \"ProofType\": 5, \"Commit1Out\": \"\"}"),
        ("done", b"yes"),
    ] {
        assert_eq!(post(&format!("{base}/{what}"), body), 400, "{what} {}", String::from_utf8_lossy(body));
    }
    assert_eq!(get(&format!("{base}/done")), 405);
    // A sector that the miner gives up stays as it is.
    rig.miner.control("script", &value!({ "hold_at": null }));
    rig.wait_step(&service, number, "failed");
    let log = rig.run(&["sectors", "status", &format!("f01000/{number}"), "--log"]);
    assert!(log.contains("the miner gave it up: FailedUnrecoverable"), "{log}");
    let waits = rig.jobs().into_iter().find(|job| job["kind"] == "finalize").unwrap();
    assert_eq!(waits["waits"], "for the miner's word that the sector is proven", "{waits}");
    assert!(rig.sandbox.path(&format!("ssd/f01000-{number}/cache/sc-02-data-layer-1.dat")).exists());
}

#[test]
fn what_cannot_be_pledged() {
    let Some(rig) = Rig::new(26203) else { return };
    let fails = |arguments: &[&str]| {
        let (status, stdout, stderr) = rig.output(arguments);
        assert_eq!(status, 2, "{stdout}{stderr}");
        stderr
    };
    let pledge = ["sectors", "pledge", "--sealing", "ssd"];
    let of = |flags: &[&str]| fails(&[&pledge[..], flags].concat());
    assert!(of(&["--profile", "filecash"]).contains("miners of filecash take no sectors over"));
    assert!(of(&["--node-api", "x:nowhere"]).contains("this is no address"));
    assert!(of(&["--feature", "non-interactive"]).contains("gives it a seed"));
    assert!(of(&["--node-api", "x:http://127.0.0.1:9"]).contains("not reached"));
    assert!(of(&["--miner-api", &format!("bad:http://127.0.0.1:{}", rig.miner.port)]).contains("no such token"));
    assert_eq!(rig.miner.state()["reserved"], value!([]));
    assert!(fails(&["serve", "sealing"]).contains("without a folder"));
    // A miner elsewhere would look for our files on its own machine.
    let away = ["serve", "sealing", "--sealing", "ssd", "--miner-api", "x:http://192.0.2.1:2345"];
    assert!(fails(&away).contains("does not reach 127.0.0.1:6300"));
    assert!(fails(&[&away[..], &["--announce", "here"]].concat()).contains("\"here\" is not HOST:PORT"));
    // A folder that is in the way is left as it is.
    rig.pledge(&[]);
    let number = rig.miner.state()["reserved"][0].as_u64().unwrap();
    let next: Vec<String> = (1..4).map(|more| format!("ssd/f01000-{}", number + more)).collect();
    next.iter().for_each(|folder| rig.sandbox.write(&format!("{folder}/x"), b"mine"));
    assert!(of(&[]).contains("is already there"));
    next.iter().for_each(|folder| assert_eq!(rig.sandbox.names(folder), ["x"]));
}
