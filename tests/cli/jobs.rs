//! The queue, its workers and what people see of both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{FILECASH, Run, Sandbox, data, json, kept_parameters};

#[path = "../support/postgres.rs"]
mod postgres;

const TICKET: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const SEED: &str = "0202020202020202020202020202020202020202020202020202020202020202";
const PATIENCE: Duration = Duration::from_secs(300);

/// A miner's machine: a sandbox with parameters and a queue.
struct Miner {
    sandbox: Sandbox,
    store: String,
    random: u64,
}

impl Miner {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let store = sandbox.path("state/jobs.sqlite").to_str().unwrap().to_owned();
        Self { sandbox, store, random: 0x2545_f491_4f6c_dd1d }
    }

    fn arguments<'a>(&'a self, parameters: &'a str, verb: &[&'a str]) -> Vec<&'a str> {
        [verb, &["--store", &self.store, "--parameter-cache", parameters]].concat()
    }

    fn run(&self, verb: &[&str]) -> Run {
        let parameters = kept_parameters();
        self.sandbox.run(&self.arguments(parameters.to_str().unwrap(), verb))
    }

    fn json(&self, verb: &[&str]) -> Value {
        json(&self.run(&[verb, &["--json"]].concat()).succeeds())
    }

    /// A worker that goes on running; its log is dropped.
    fn worker(&self, verb: &[&str]) -> Worker {
        let parameters = kept_parameters();
        let verb = [&["worker", "run"], verb].concat();
        let arguments = self.arguments(parameters.to_str().unwrap(), &verb);
        let mut command = self.sandbox.command(Path::new(FILECASH), &arguments);
        Worker(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// A folder with the data of a sector of 2 KiB.
    fn stage(&self, folder: &str, number: u64, flags: &[&str]) -> PathBuf {
        self.sandbox.write("data", &data(1000 + number as usize));
        let path = self.sandbox.path(folder);
        let number = number.to_string();
        let verb = ["seal", "add-piece", "data", "--dir", path.to_str().unwrap(), "--sector-size", "2KiB", "--fill"];
        let identity = ["--miner", "f01000", "--sector", &number, "--ticket", TICKET];
        self.sandbox.run(&[&verb[..], &identity, flags].concat()).succeeds();
        path
    }

    /// Makes a folder a storage.
    fn storage(&self, name: &str) {
        self.run(&["worker", "run", "--until-idle", "--pc1", "1", "--sealing", name, "--reserve", "0"]).succeeds();
    }

    fn jobs(&self) -> Vec<Value> {
        self.json(&["jobs", "list", "--over", "1000"])["jobs"].as_array().unwrap().clone()
    }

    /// Job by kind, of one sector.
    fn job(&self, sector: &str, kind: &str) -> Value {
        let mut jobs = self.jobs().into_iter();
        jobs.find(|job| job["kind"] == kind && job["sector"] == sector).unwrap()
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut(&[Value]) -> bool) {
        let began = Instant::now();
        loop {
            let jobs = self.jobs();
            if is_so(&jobs) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {jobs:#?}");
            sleep(Duration::from_millis(50));
        }
    }

    fn whats(&self, id: &Value) -> Vec<String> {
        let events = self.json(&["jobs", "show", &id.to_string()])["events"].clone();
        events.as_array().unwrap().iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect()
    }

    /// What the chain would accept.
    fn verify(&self, folder: &str) {
        self.run(&["seal", "verify", "--dir", self.sandbox.path(folder).to_str().unwrap()]).succeeds();
    }

    /// The next of a row of numbers below a bound (xorshift).
    fn next(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }
}

/// A worker; it is killed with the test.
struct Worker(Child);

impl Worker {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Kills the processes of its jobs.
    fn kill_jobs(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let children = std::fs::read_to_string(children).unwrap();
        let children: Vec<Pid> = children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect();
        assert!(!children.is_empty());
        children.into_iter().for_each(|child| kill_process(child, Signal::KILL).unwrap());
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn ends(mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(began.elapsed() < PATIENCE);
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn text(value: &Value) -> &str {
    value.as_str().ok_or(value).unwrap()
}

#[test]
fn sector_goes_through_the_queue_to_where_it_stays() {
    let miner = Miner::new();
    let folder = miner.stage("ssd/five", 5, &[]);
    let path = folder.to_str().unwrap();
    let outside = miner.run(&["sectors", "add", path]).fails(2);
    assert!(outside.contains("lies in no worker's folder") && outside.contains("--sealing"), "{outside}");
    miner.storage("ssd");
    miner.run(&["sectors", "add", path]).succeeds();
    let again = miner.run(&["sectors", "add", path]).fails(2);
    assert!(again.contains("f01000/5 of filecoin is in the queue already"), "{again}");
    assert!(text(&miner.job("f01000/5", "pc1")["waits"]).contains("none is running"));

    // Without a seed C1 waits, and the worker with it.
    let run = ["worker", "run", "--until-idle", "--sealing", "ssd", "--storing", "hdd", "--reserve", "0"];
    let told = miner.json(&run);
    assert_eq!((&told["done"], &told["failed"]), (&2.into(), &0.into()), "{told}");
    assert_eq!(text(&miner.job("f01000/5", "c1")["waits"]), "for its seed (filecash sectors seed)");
    let early = miner.run(&["sectors", "forget", "f01000/5"]).fails(2);
    assert!(early.contains("still has jobs"), "{early}");
    miner.run(&["sectors", "seed", "f01000/6", SEED]).fails(2);
    miner.run(&["sectors", "seed", "f01000/5", SEED]).succeeds();
    miner.run(&["sectors", "seed", "f01000/5", SEED]).fails(2);
    assert_eq!(miner.json(&run)["done"], 3);

    assert!(!folder.exists());
    miner.verify("hdd/five");
    // What proving needed is gone, what storing needs is not.
    let names = miner.sandbox.names("hdd/five/cache");
    assert!(names.iter().any(|name| name == "p_aux") && !names.iter().any(|name| name.contains("layer")), "{names:?}");
    let status = miner.json(&["sectors", "status", "f01000/5", "--log"]);
    assert_eq!(status["sector"]["path"], "five");
    let events: Vec<&str> = status["events"].as_array().unwrap().iter().map(|event| text(&event["what"])).collect();
    assert_eq!(events.iter().filter(|what| **what == "done").count(), 5, "{events:?}");
    assert!(events.contains(&"the seed is known"), "{events:?}");
    let log = miner.run(&["sectors", "status", "f01000/5", "--log"]).succeeds();
    assert!(log.contains("queued") && log.contains("finalize") && log.contains("+"), "{log}");
    assert!(miner.run(&["sectors", "list"]).succeeds().contains("proven"));
    miner.run(&["sectors", "forget", "f01000/5"]).succeeds();
    assert!(miner.jobs().is_empty());
    miner.verify("hdd/five");
}

#[test]
fn steps_that_were_done_by_hand_are_not_queued() {
    let miner = Miner::new();
    miner.storage("ssd");
    let folder = miner.stage("ssd/one", 1, &[]);
    let path = folder.to_str().unwrap();
    let kinds = |miner: &Miner| {
        let added = miner.json(&["sectors", "add", path, "--seed", SEED]);
        let jobs = miner.jobs();
        let kinds: Vec<String> = jobs.iter().map(|job| text(&job["kind"]).to_owned()).collect();
        for id in added["sectors"][0]["jobs"].as_array().unwrap() {
            drop(miner.run(&["jobs", "cancel", &id.to_string()]));
        }
        miner.run(&["sectors", "forget", "f01000/1"]).succeeds();
        kinds
    };
    assert_eq!(kinds(&miner), ["pc1", "pc2", "c1", "c2", "finalize"]);
    miner.run(&["seal", "pc1", "--dir", path]).succeeds();
    assert_eq!(kinds(&miner), ["pc2", "c1", "c2", "finalize"]);
    miner.run(&["seal", "pc2", "--dir", path]).succeeds();
    miner.run(&["seal", "c1", "--dir", path, "--seed", SEED]).succeeds();
    assert_eq!(kinds(&miner), ["c1", "c2", "finalize"]);
    miner.run(&["seal", "c2", "--dir", path]).succeeds();
    assert_eq!(kinds(&miner), ["finalize"]);
    miner.run(&["sectors", "add", path]).succeeds();
    let run = ["worker", "run", "--until-idle", "--sealing", "ssd", "--reserve", "0"];
    assert_eq!(miner.json(&run)["done"], 1);
    miner.verify("ssd/one");
    assert!(!miner.sandbox.path("ssd/one/c1.json").exists());
}

/// What an attempt left that was killed while it moved a sector, and what only looks like it.
#[test]
fn sector_that_moves_is_never_lost() {
    let miner = Miner::new();
    miner.storage("ssd");
    let path = miner.stage("ssd/one", 1, &[]);
    let add = ["sectors", "add", path.to_str().unwrap(), "--seed", SEED];
    miner.run(&add).succeeds();
    let stay = ["worker", "run", "--until-idle", "--sealing", "ssd", "--reserve", "0"];
    let go = [&stay[..], &["--storing", "hdd"]].concat();
    assert_eq!(miner.json(&stay)["done"], 5);
    let again = |miner: &Miner| {
        miner.run(&["sectors", "forget", "f01000/1"]).succeeds();
        miner.run(&add).succeeds();
        assert_eq!(miner.jobs().len(), 1);
    };
    let copy = |from: &str, to: &str| {
        let [from, to] = [from, to].map(|name| miner.sandbox.path(name));
        assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    // A part of it under its name: somebody else's copy. Nothing is deleted.
    again(&miner);
    std::fs::create_dir(miner.sandbox.path("hdd")).unwrap();
    copy("ssd/one", "hdd/one");
    let sealed = miner.sandbox.read("hdd/one/sealed");
    miner.sandbox.write("hdd/one/sealed", &sealed[..1024]);
    assert_eq!(miner.json(&go)["failed"], 1);
    let job = miner.job("f01000/1", "finalize");
    assert!(text(&job["error"]).contains("is in the way"), "{job}");
    miner.verify("ssd/one");
    assert_eq!(miner.sandbox.read("ssd/one/sealed"), sealed);
    // The whole of it, and a half that was being copied or deleted elsewhere: the move was done.
    miner.sandbox.write("hdd/one/sealed", &sealed);
    copy("ssd/one", "ssd/one.filecash-removing");
    miner.run(&["jobs", "retry", &job["id"].to_string()]).succeeds();
    assert_eq!(miner.json(&go)["failed"], 0);
    miner.verify("hdd/one");
    assert_eq!(miner.sandbox.names("ssd"), ["filecash-storage.json"]);
    // Moved, and the queue never heard of it.
    copy("hdd/one", "ssd/one");
    again(&miner);
    std::fs::remove_dir_all(miner.sandbox.path("ssd/one")).unwrap();
    assert_eq!(miner.json(&go)["failed"], 0);
    let status = miner.json(&["sectors", "status", "f01000/1"]);
    assert!(!text(&status["sector"]["storage"]).is_empty() && text(&status["sector"]["path"]) == "one", "{status}");
    miner.verify("hdd/one");
    // Gone altogether is told.
    copy("hdd/one", "ssd/one");
    again(&miner);
    for name in ["ssd/one", "hdd/one"] {
        std::fs::remove_dir_all(miner.sandbox.path(name)).unwrap();
    }
    assert_eq!(miner.json(&go)["failed"], 1);
    assert!(text(&miner.job("f01000/1", "finalize")["error"]).contains("is gone"));
}

#[test]
fn profiles_are_not_mixed() {
    let miner = Miner::new();
    let cash = miner.stage("ssd/cash", 5, &["--profile", "filecash"]);
    let coin = miner.stage("ssd/coin", 5, &[]);
    miner.storage("ssd");
    miner.run(&["sectors", "add", cash.to_str().unwrap(), "--profile", "filecoin"]).fails(2);
    miner.run(&["sectors", "add", cash.to_str().unwrap(), coin.to_str().unwrap()]).succeeds();
    let both = miner.run(&["sectors", "status", "f01000/5"]).fails(2);
    assert!(both.contains("both networks") && both.contains("--profile"), "{both}");
    let run = ["worker", "run", "--until-idle", "--pc1", "1", "--sealing", "ssd", "--reserve", "0"];
    assert_eq!(miner.json(&[&run[..], &["--profile", "filecoin"]].concat())["done"], 1);
    let of = |profile: &str| {
        let jobs = miner.jobs();
        let job = jobs.iter().find(|job| job["profile"] == profile && job["kind"] == "pc1").unwrap().clone();
        text(&job["state"]).to_owned()
    };
    assert_eq!([of("filecoin"), of("filecash")], ["done", "waiting"]);
    assert_eq!(miner.json(&run)["done"], 1);
    assert_eq!(of("filecash"), "done");
}

#[test]
fn killed_worker_goes_on_and_one_that_is_asked_to_stop_hands_back() {
    let miner = Miner::new();
    miner.storage("ssd");
    let folder = miner.stage("ssd/one", 1, &[]);
    miner.run(&["sectors", "add", folder.to_str().unwrap(), "--seed", SEED]).succeeds();
    let all = ["--sealing", "ssd", "--reserve", "0"];
    let in_c2 = |jobs: &[Value]| jobs.iter().any(|job| job["kind"] == "c2" && job["state"] == "running");

    let worker = miner.worker(&all);
    miner.wait("C2 is begun", in_c2);
    let other = miner.run(&["worker", "run", "--sealing", "ssd"]).fails(2);
    assert!(other.contains("runs here already"), "{other}");
    worker.kill();

    // The same command goes on at once, not after the lease.
    let worker = miner.worker(&all);
    let id = miner.job("f01000/1", "c2")["id"].clone();
    miner.wait("C2 is begun again", |_| miner.whats(&id).iter().filter(|what| *what == "begun").count() == 2);
    worker.signal(Signal::TERM);
    assert_eq!(worker.ends(), 0);
    let job = miner.job("f01000/1", "c2");
    assert_eq!((text(&job["state"]), &job["attempts"]), ("waiting", &0.into()), "{job}");
    let whats = miner.whats(&id);
    assert!(whats.iter().any(|what| what.contains("was stopped while it ran")), "{whats:?}");
    assert!(whats.iter().any(|what| what.contains("handed back")), "{whats:?}");

    let worker = miner.worker(&all);
    miner.wait("C2 is begun once more", in_c2);
    miner.run(&["jobs", "cancel", &id.to_string()]).succeeds();
    miner.wait("C2 is cancelled", |jobs| jobs.iter().any(|job| job["id"] == id && job["state"] == "cancelled"));
    assert_eq!(text(&miner.job("f01000/1", "finalize")["state"]), "cancelled");
    miner.run(&["jobs", "retry", &id.to_string()]).succeeds();
    miner.wait("all is done", |jobs| jobs.iter().all(|job| job["state"] == "done"));
    worker.signal(Signal::INT);
    assert_eq!(worker.ends(), 0);
    miner.verify("ssd/one");
}

#[test]
fn failures_are_told_and_tried_again_by_hand() {
    let miner = Miner::new();
    miner.storage("ssd");
    let folder = miner.stage("ssd/one", 1, &[]);
    miner.run(&["sectors", "add", folder.to_str().unwrap(), "--seed", SEED]).succeeds();
    let run = ["worker", "run", "--until-idle", "--sealing", "ssd", "--reserve", "0"];
    let staged = miner.sandbox.read("ssd/one/staged");
    miner.sandbox.flip("ssd/one/staged", 77);
    let told = miner.json(&run);
    assert_eq!((&told["done"], &told["failed"]), (&0.into(), &1.into()));
    let job = miner.job("f01000/1", "pc1");
    assert_eq!(text(&job["state"]), "failed");
    let shown = miner.run(&["jobs", "list"]).succeeds();
    assert!(shown.contains(text(&job["error"])), "{shown}");
    assert_eq!(text(&miner.job("f01000/1", "pc2")["waits"]), format!("for job {}, which failed", job["id"]));
    miner.sandbox.write("ssd/one/staged", &staged);
    miner.run(&["jobs", "retry", &job["id"].to_string()]).succeeds();
    assert_eq!(miner.json(&run)["failed"], 0);
    miner.verify("ssd/one");

    // Parameters that are missing are missing again in a moment.
    let folder = miner.stage("ssd/two", 2, &[]);
    miner.run(&["sectors", "add", folder.to_str().unwrap(), "--seed", SEED]).succeeds();
    miner.sandbox.run(&[&run[..], &["--store", &miner.store]].concat()).succeeds();
    let job = miner.job("f01000/2", "c2");
    assert_eq!((text(&job["state"]), &job["attempts"]), ("failed", &1.into()));
    assert!(text(&job["error"]).contains(".params"), "{job}");
    // A process that dies is tried again, later.
    miner.run(&["jobs", "retry", &job["id"].to_string()]).succeeds();
    let worker = miner.worker(&["--sealing", "ssd", "--reserve", "0"]);
    miner.wait("C2 is begun", |jobs| jobs.iter().any(|job| job["kind"] == "c2" && job["state"] == "running"));
    worker.kill_jobs();
    miner.wait("its death is noted", |jobs| {
        jobs.iter().any(|job| job["kind"] == "c2" && job["state"] == "waiting" && !job["error"].is_null())
    });
    let job = miner.job("f01000/2", "c2");
    assert!(text(&job["error"]).contains("was killed"), "{job}");
    assert!(text(&job["waits"]).contains("tried again"), "{job}");
    miner.wait("all is done", |jobs| jobs.iter().all(|job| job["state"] == "done"));
    drop(worker);
    miner.verify("ssd/two");
}

#[test]
fn jobs_that_do_not_fit_wait_and_say_why() {
    let miner = Miner::new();
    miner.storage("ssd");
    let folder = miner.stage("ssd/one", 1, &[]);
    miner.run(&["sectors", "add", folder.to_str().unwrap(), "--seed", SEED]).succeeds();
    // All of this machine's disks are smaller.
    let lease = ["--lease", "2"];
    let worker = miner.worker(&[&lease[..], &["--sealing", "ssd", "--reserve", "1000TiB"]].concat());
    let waits = |jobs: &[Value], kind: &str, why: &str| {
        jobs.iter().any(|job| job["kind"] == kind && job["waits"].as_str().is_some_and(|waits| waits.contains(why)))
    };
    miner.wait("disk is missing", |jobs| waits(jobs, "pc1", "for disk"));
    drop(worker);
    let none = miner.run(&["worker", "run", "--pc1", "0"]).fails(2);
    assert!(none.contains("without a place"), "{none}");
    let worker = miner.worker(&[&lease[..], &["--name", "other", "--c2", "1", "--sealing", "ssd"]].concat());
    miner.wait("nobody does PC1", |jobs| waits(jobs, "pc1", "for a worker that does pc1"));
    drop(worker);
    let worker = miner.worker(&["--name", "third", "--sealing", "hdd"]);
    miner.wait("nobody has the files", |jobs| waits(jobs, "pc1", "where its files are"));
    drop(worker);
}

/// Every job of every sector is done to the end once, whoever dies.
fn is_done_once(miner: &Miner, sectors: u64) {
    for job in miner.jobs() {
        let done = miner.whats(&job["id"]).iter().filter(|what| *what == "done").count();
        assert_eq!((done, text(&job["state"])), (1, "done"), "{job}");
    }
    assert_eq!(miner.jobs().len() as u64, 5 * sectors);
}

#[test]
fn workers_are_killed_at_random_and_nothing_is_lost() {
    let kills: u64 = std::env::var("FILECASH_TESTS_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let sectors = (kills / 40).clamp(1, 12);
    let mut miner = Miner::new();
    miner.storage("ssd");
    let folders: Vec<PathBuf> =
        (1..=sectors).map(|number| miner.stage(&format!("ssd/{number}"), number, &[])).collect();
    let add = ["sectors", "add", "--seed", SEED];
    let paths: Vec<&str> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
    miner.run(&[&add[..], &paths].concat()).succeeds();
    let all = ["--sealing", "ssd", "--storing", "hdd", "--reserve", "0"];
    let mut done = 0;
    while done < kills {
        let worker = miner.worker(&all);
        // Short lives mostly, that phases of milliseconds are met too, and some in which a proof is made.
        let life = if miner.next(6) == 0 { miner.next(5000) } else { miner.next(700) };
        sleep(Duration::from_millis(life));
        worker.kill();
        done += 1;
    }
    miner.run(&[&["worker", "run", "--until-idle"], &all[..]].concat()).succeeds();
    is_done_once(&miner, sectors);
    for number in 1..=sectors {
        miner.verify(&format!("hdd/{number}"));
    }
    assert_eq!(miner.sandbox.names("ssd"), ["filecash-storage.json"]);
}

/// Two workers on one server, one of them killed half-way.
#[test]
fn two_workers_share_a_queue_on_a_server() {
    let Some(server) = postgres::Postgres::start() else { return };
    let sectors: u64 = std::env::var("FILECASH_TESTS_SECTORS").map_or(4, |sectors| sectors.parse().unwrap());
    let miner = Miner { store: server.database("miner"), ..Miner::new() };
    miner.storage("shared");
    let folders: Vec<PathBuf> =
        (1..=sectors).map(|number| miner.stage(&format!("shared/{number}"), number, &[])).collect();
    let paths: Vec<&str> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
    miner.run(&[&["sectors", "add", "--seed", SEED], &paths[..]].concat()).succeeds();
    let all = ["--sealing", "shared", "--reserve", "0", "--lease", "4", "--c2", "1", "--pc1", "1", "--pc2", "1"];
    let first = miner.worker(&[&all[..], &["--name", "first"]].concat());
    let second = miner.worker(&[&all[..], &["--name", "second"]].concat());
    miner.wait("half is proven", |jobs| {
        let of_c2 = |state: &str, owner: Option<&str>| {
            let is = |job: &&Value| {
                job["kind"] == "c2" && job["state"] == state && owner.is_none_or(|owner| job["owner"] == owner)
            };
            jobs.iter().filter(is).count() as u64
        };
        of_c2("done", None) >= sectors / 2 && of_c2("running", Some("first")) == 1
    });
    first.kill();
    miner.wait("all is done", |jobs| jobs.iter().all(|job| job["state"] == "done"));
    second.signal(Signal::TERM);
    assert_eq!(second.ends(), 0);
    is_done_once(&miner, sectors);
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for job in miner.jobs() {
        let of = (text(&job["owner"]).to_owned(), text(&job["kind"]).to_owned());
        owners.entry(of.0).or_default().insert(of.1);
    }
    // Both took part, and what the first had begun the second ended.
    assert_eq!(owners.len(), 2, "{owners:?}");
    let taken_over = miner
        .jobs()
        .iter()
        .any(|job| miner.whats(&job["id"]).iter().any(|what| what.contains("first was not heard of any more")));
    assert!(taken_over);
    for number in 1..=sectors {
        miner.verify(&format!("shared/{number}"));
    }
}
