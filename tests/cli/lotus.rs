//! `filecash worker attach lotus`: the miner is a program in Python that knows nothing but the protocol's tables (`spec/attach.md` B.13,
//! C.3, E.3).

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json as value};

use crate::miner::{Daemon, Miner, http};
use crate::steps::hex32;
use crate::support::{FILECASH, Sandbox, data, json, kept_parameters};

const PATIENCE: Duration = Duration::from_secs(240);
const C2: &str = "seal/v0/commit/2";

/// What a miner of workers does.
impl Miner {
    /// Calls a method of the worker.
    fn call(&self, method: &str, params: &Value) -> Value {
        self.control("call", &value!({ "method": method, "params": params }))
    }

    /// The result of a method that answers at once.
    #[track_caller]
    fn result(&self, method: &str, params: &Value) -> Value {
        let answer = self.call(method, params);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// The name of a call whose result comes later.
    #[track_caller]
    fn begin(&self, method: &str, params: &Value) -> Value {
        let answer = self.call(method, params);
        assert!(answer["call"].is_object(), "{answer}");
        answer["call"].clone()
    }

    /// What came of a call, if anything did.
    fn returned(&self, call: &Value) -> Option<Value> {
        let state = self.state();
        let found = state["calls"].as_array().unwrap().iter().find(|known| known["id"] == *call).unwrap().clone();
        Some(found["returned"].clone()).filter(|returned| !returned.is_null())
    }

    /// Waits for something, or tells what the worker says.
    fn wait<T>(&self, worker: &Daemon, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{}{}", self.state(), worker.log());
            sleep(Duration::from_millis(100));
        }
    }

    fn wait_attached(&self, worker: &Daemon, connects: u64) {
        self.wait(worker, |miner| (miner.state()["connects"] == connects).then_some(()));
    }

    /// The proof that came of a call.
    fn proof(&self, worker: &Daemon, call: &Value) -> Vec<u8> {
        let returned = self.wait(worker, |miner| miner.returned(call));
        assert!(returned["error"].is_null(), "{returned}");
        STANDARD.decode(returned["value"].as_str().unwrap()).unwrap()
    }

    /// Why nothing came of a call.
    fn error(&self, worker: &Daemon, call: &Value) -> String {
        let returned = self.wait(worker, |miner| miner.returned(call));
        assert_eq!(returned["error"]["Code"], 0, "{returned}");
        returned["error"]["Message"].as_str().unwrap().to_owned()
    }

    /// Status and body of what the worker answers to a text.
    fn raw(&self, body: &str, token: &str) -> (u64, String) {
        let answer = self.control("raw", &value!({ "body": body, "token": token }));
        (answer["status"].as_u64().unwrap(), answer["body"].as_str().unwrap().to_owned())
    }

    fn has_no_complaints(&self) {
        assert_eq!(self.state()["complaints"], value!([]));
    }
}

fn start_miner(sandbox: &Sandbox, flags: &[&str]) -> Option<Miner> {
    Miner::start(sandbox, "lotus_miner.py", &[&["--beat", "1"], flags].concat())
}

fn command(sandbox: &Sandbox, miner: &Miner, port: u16, flags: &[&str]) -> Command {
    let (parameters, store, listen) = (kept_parameters(), sandbox.path("jobs.sqlite"), format!("127.0.0.1:{port}"));
    let own = ["worker", "attach", "lotus", "--store", store.to_str().unwrap(), "--listen", &listen];
    let mut command = sandbox.command(Path::new(FILECASH), &[&own[..], flags].concat());
    command.env("MINER_API_INFO", miner.api()).env("FIL_PROOFS_PARAMETER_CACHE", parameters);
    command
}

fn start_worker(sandbox: &Sandbox, miner: &Miner, port: u16, flags: &[&str]) -> Daemon {
    Daemon::start(sandbox, command(sandbox, miner, port, flags))
}

fn run(sandbox: &Sandbox, profile: &str, arguments: &[&str]) -> String {
    let parameters = kept_parameters();
    let more = ["--quiet", "--profile", profile, "--parameter-cache", parameters.to_str().unwrap()];
    sandbox.run(&[arguments, &more].concat()).succeeds()
}

fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

/// Sector 5 of miner f01000 up to C1 in `s`; the parameters of its C2.
fn sealed(sandbox: &Sandbox, profile: &str, proof: u64) -> Value {
    sandbox.write("data", &data(2032));
    let identity = ["--miner", "f01000", "--sector", "5", "--ticket", &hex32("01")];
    let proof_text = proof.to_string();
    run(sandbox, profile, &["params", "setup", "--sector-size", "2KiB", "--circuit", "all"]);
    run(sandbox, profile, &["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "data"]);
    run(sandbox, profile, &[&["seal", "pc1", "--dir", "s", "--registered-proof", &proof_text][..], &identity].concat());
    run(sandbox, profile, &["seal", "pc2", "--dir", "s"]);
    run(sandbox, profile, &["seal", "c1", "--dir", "s", "--seed", &hex32("02")]);
    value!([{ "ID": { "Miner": 1000, "Number": 5 }, "ProofType": proof }, base64(&sandbox.read("s/c1.json"))])
}

fn verify(sandbox: &Sandbox, profile: &str, proof: &[u8]) {
    sandbox.write("proof", proof);
    run(sandbox, profile, &["seal", "verify", "--dir", "s", "--proof", "proof"]);
}

/// Another number of the same sector: another job, refused for what it is.
fn renumbered(params: &Value, number: u64) -> Value {
    let mut params = params.clone();
    params[0]["ID"]["Number"] = number.into();
    params
}

#[test]
fn miner_sends_seals_and_updates() {
    let sandbox = Sandbox::new();
    let Some(miner) = start_miner(&sandbox, &[]) else { return };
    let commit = sealed(&sandbox, "filecoin", 5);
    let worker = start_worker(&sandbox, &miner, 26100, &[]);
    miner.wait_attached(&worker, 1);
    let state = miner.state();
    let known = &state["workers"][0];
    assert_eq!((&known["url"], &known["api"]), (&"http://127.0.0.1:26100/rpc/v0".into(), &67328.into()));
    assert_eq!(known["task_types"], value!({ C2: {}, "seal/v0/provereplicaupdate/2": {} }));
    let resources = &known["info"]["Resources"];
    let row = &resources["Resources"][C2]["8"];
    assert!(row["MinMemory"].as_u64().unwrap() <= resources["MemPhysical"].as_u64().unwrap(), "{resources}");
    assert_eq!(row["MaxConcurrent"], 1);

    let call = miner.begin("SealCommit2", &commit);
    let proof = miner.proof(&worker, &call);
    assert_eq!(proof.len(), 192);
    verify(&sandbox, "filecoin", &proof);

    // The same again, as by a miner that has lost what it had: the proof that there is.
    let again = miner.begin("SealCommit2", &commit);
    assert_ne!(again, call);
    assert_eq!(miner.proof(&worker, &again), proof);

    // New data in the sector.
    sandbox.write("new", &data(2039)[7..]);
    run(&sandbox, "filecoin", &["seal", "add-piece", "--dir", "s/update", "--sector-size", "2KiB", "new"]);
    let encoded = json(&run(&sandbox, "filecoin", &["update", "encode", "--dir", "s", "--json"]));
    run(&sandbox, "filecoin", &["update", "vanilla", "--dir", "s"]);
    let link = |name: &str| value!({ "/": encoded[name]["cid"] });
    // A partition's length comes before it in the file.
    let vanilla = sandbox.read("s/update/vanilla.bin")[8..].to_vec();
    let [old, new, new_data] = ["comm_r_old", "comm_r_new", "comm_d_new"].map(link);
    let update = value!([commit[0], old, new, new_data, [base64(&vanilla)]]);
    let proof = miner.proof(&worker, &miner.begin("ProveReplicaUpdate2", &update));
    sandbox.write("proof", &proof);
    run(&sandbox, "filecoin", &["update", "verify", "--dir", "s", "--proof", "proof"]);

    // What is wrong with a call is told, and at once where it can be seen at once.
    let other = miner.begin("SealCommit2", &renumbered(&commit, 6));
    let message = miner.error(&worker, &other);
    assert!(message.starts_with("bad-input: ") && message.contains("another sector"), "{message}");
    let mut swapped = update.clone();
    swapped[1] = update[2].clone();
    let message = miner.error(&worker, &miner.begin("ProveReplicaUpdate2", &swapped));
    assert!(message.starts_with("bad-input: "), "{message}");
    miner.has_no_complaints();
    let mut foreign = commit.clone();
    foreign[0]["ID"]["Miner"] = 1001.into();
    let mut large = commit.clone();
    large[0]["ProofType"] = 8.into();
    let mut none = commit.clone();
    none[1] = Value::Null;
    let mut data_for_replica = update.clone();
    data_for_replica[1] = update[3].clone();
    for (method, params, expected) in [
        ("SealCommit2", foreign, "attached to f01000"),
        ("SealCommit2", large, "34359738368 bytes"),
        ("SealCommit2", none, "no vanilla proof"),
        ("ProveReplicaUpdate2", data_for_replica, "expected that of a replica"),
    ] {
        let answer = miner.call(method, &params);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(answer["error"]["code"] == 1 && message.contains(expected), "{answer}");
    }
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

/// E.3: what may go wrong between the two.
#[test]
fn results_reach_a_miner_in_trouble() {
    let sandbox = Sandbox::new();
    let Some(miner) = start_miner(&sandbox, &[]) else { return };
    let commit = sealed(&sandbox, "filecoin", 5);
    let worker = start_worker(&sandbox, &miner, 26101, &[]);
    miner.wait_attached(&worker, 1);
    let bad = |number| renumbered(&commit, number);

    // Not taken at first.
    miner.control("script", &value!({ "refuse_returns": 2 }));
    let call = miner.begin("SealCommit2", &bad(6));
    assert!(miner.error(&worker, &call).starts_with("bad-input: "));
    // Taken, and told again since the answer was lost: once more is enough.
    miner.control("script", &value!({ "lose_return_answers": 1 }));
    let call = miner.begin("SealCommit2", &bad(7));
    miner.wait(&worker, |miner| (miner.returned(&call)?["times"] == 2).then_some(()));
    // There before the miner has written down the call.
    miner.control("script", &value!({ "delay_accept": 4 }));
    let call = miner.begin("SealCommit2", &bad(8));
    assert!(miner.error(&worker, &call).starts_with("bad-input: "));
    let state = miner.state();
    assert!(state["calls"].as_array().unwrap().iter().any(|known| known["id"] == call && known["early"] == true));
    miner.control("script", &value!({ "delay_accept": 0 }));

    // Who we are is said at once, whatever computes.
    let call = miner.begin("SealCommit2", &commit);
    let before = miner.state()["beats"].as_u64().unwrap();
    let proof = miner.proof(&worker, &call);
    verify(&sandbox, "filecoin", &proof);
    let state = miner.state();
    assert!(state["beats"].as_u64().unwrap() > before);
    assert_eq!((&state["late_beats"], &state["dropped"]), (&0.into(), &value!([])));

    // As long as a large sector's.
    let long = value!([commit[0], base64(&vec![7; 67 << 20])]);
    assert!(miner.error(&worker, &miner.begin("SealCommit2", &long)).starts_with("bad-input: "));
    // The operator's switches.
    assert_eq!(miner.result("Enabled", &value!([])), true);
    miner.call("TaskDisable", &value!([C2]));
    assert_eq!(miner.result("TaskTypes", &value!([])), value!({ "seal/v0/provereplicaupdate/2": {} }));
    miner.call("TaskEnable", &value!([C2]));
    assert_eq!(miner.result("TaskTypes", &value!([])).as_object().unwrap().len(), 2);
    miner.call("WaitQuiet", &value!([]));
    let session = miner.result("Session", &value!([]));
    assert_eq!(miner.result("ProcessSession", &value!([])), session);
    miner.has_no_complaints();
    miner.call("SetEnabled", &value!([false]));
    miner.wait(&worker, |miner| (miner.state()["workers"][0]["enabled"] == false).then_some(()));
    miner.call("SetEnabled", &value!([true]));
    miner.wait(&worker, |miner| (miner.state()["workers"][0]["enabled"] == true).then_some(()));

    // The protocol's own errors.
    let call = |method: &str, params: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"Filecoin.{method}","params":{params},"id":3,"meta":{{"SpanContext":"AAA"}}}}"#
        )
    };
    let code = |(status, body): (u64, String)| (status, json(&body)["error"]["code"].as_i64());
    assert_eq!(code(miner.raw(&call("Version", "[]"), "admin")), (200, None));
    assert_eq!(code(miner.raw(&call("Version", "null"), "admin")), (200, None));
    assert_eq!(code(miner.raw(&call("SealPreCommit1", "[]"), "admin")), (500, Some(-32601)));
    assert_eq!(code(miner.raw(&call("HasRemoteC2", "[]"), "admin")), (500, Some(-32601)));
    assert_eq!(code(miner.raw(&call("SealCommit2", "[1,2]"), "admin")), (500, Some(-32602)));
    assert_eq!(code(miner.raw(&call("Version", "[1]"), "admin")), (500, Some(-32602)));
    assert_eq!(code(miner.raw("{{", "admin")), (500, Some(-32700)));
    assert_eq!(code(miner.raw("{}", "admin")), (400, Some(-32600)));
    let batch = format!("[{},{}]", call("Version", "[]"), call("No", "[]"));
    let (status, answers) = miner.raw(&batch, "admin");
    assert_eq!((status, json(&answers).as_array().unwrap().len()), (200, 2));
    let (status, refused) = miner.raw(&call("Version", "[]"), "read");
    assert!(status == 200 && refused.contains("missing permission to invoke 'Version' (need 'admin')"), "{refused}");
    for token in ["none", "bad"] {
        assert_eq!(miner.raw(&call("Version", "[]"), token).0, 401, "{token}");
    }
    let methods = miner.result("Discover", &value!([]))["methods"].as_array().unwrap().len();
    assert_eq!(methods, 17);
    // Nothing is here to be fetched, and too much is not read.
    assert_eq!(http(26101, "GET /remote/sealed/s-t01000-5 HTTP/1.1\r\n", b"").0, 404);
    let head = format!("POST /rpc/v0 HTTP/1.1\r\nAuthorization: Bearer {}\r\n", miner.token);
    assert_eq!(http(26101, &head, &vec![b' '; (100 << 20) + 1]).0, 413);
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

#[test]
fn either_side_is_restarted_and_the_proof_arrives() {
    let sandbox = Sandbox::new();
    let Some(mut miner) = start_miner(&sandbox, &[]) else { return };
    let commit = sealed(&sandbox, "filecoin", 5);
    let mut worker = start_worker(&sandbox, &miner, 26102, &[]);
    miner.wait_attached(&worker, 1);

    // The miner, while the proof is made.
    let call = miner.begin("SealCommit2", &commit);
    miner.stop();
    miner.start_again();
    miner.wait_attached(&worker, 1);
    verify(&sandbox, "filecoin", &miner.proof(&worker, &call));

    // The worker, while another is.
    run(&sandbox, "filecoin", &["seal", "c1", "--dir", "s", "--seed", &hex32("03"), "--force"]);
    let commit = value!([commit[0], base64(&sandbox.read("s/c1.json"))]);
    let call = miner.begin("SealCommit2", &commit);
    sleep(Duration::from_millis(700));
    worker.kill();
    let mut worker = start_worker(&sandbox, &miner, 26102, &[]);
    verify(&sandbox, "filecoin", &miner.proof(&worker, &call));
    let state = miner.state();
    assert_eq!((state["workers"].as_array().unwrap().len(), &state["connects"]), (1, &2.into()), "{state}");

    // Both: the proof is made while nobody can be told.
    run(&sandbox, "filecoin", &["seal", "c1", "--dir", "s", "--seed", &hex32("04"), "--force"]);
    let commit = value!([commit[0], base64(&sandbox.read("s/c1.json"))]);
    let call = miner.begin("SealCommit2", &commit);
    miner.stop();
    let store = sandbox.path("jobs.sqlite");
    let jobs = || json(&run(&sandbox, "filecoin", &["jobs", "list", "--json", "--store", store.to_str().unwrap()]));
    let began = Instant::now();
    while jobs()["jobs"].as_array().unwrap().iter().any(|job| job["state"] != "done") {
        assert!(began.elapsed() < PATIENCE, "{}", worker.log());
        sleep(Duration::from_millis(200));
    }
    worker.kill();
    let worker = start_worker(&sandbox, &miner, 26102, &[]);
    miner.start_again();
    verify(&sandbox, "filecoin", &miner.proof(&worker, &call));
    miner.has_no_complaints();

    // One that is stopped says so, and the miner knows.
    miner.wait_attached(&worker, 1);
    kill_process(Pid::from_child(&worker.child), Signal::TERM).unwrap();
    miner.wait(&worker, |miner| (miner.state()["workers"] == value!([])).then_some(()));
    let dropped = miner.state()["dropped"].clone();
    assert_eq!(dropped[0]["why"], "closed", "{dropped}");
    let mut worker = worker;
    assert_eq!(worker.child.wait().unwrap().code(), Some(0), "{}", worker.log());
}

/// A failure that is not the call's own costs the miner nothing.
#[test]
fn call_stays_open_until_it_can_be_done() {
    let sandbox = Sandbox::new();
    let Some(miner) = start_miner(&sandbox, &[]) else { return };
    let commit = sealed(&sandbox, "filecoin", 5);
    // Neither the parameters nor the device are there.
    let empty = ["--parameter-cache", "none-yet"];
    let mut worker = start_worker(&sandbox, &miner, 26106, &empty);
    miner.wait_attached(&worker, 1);
    let call = miner.begin("SealCommit2", &commit);
    let store = sandbox.path("jobs.sqlite");
    let jobs = || {
        let list = ["jobs", "list", "--json", "--store", store.to_str().unwrap()];
        json(&run(&sandbox, "filecoin", &list))["jobs"].as_array().unwrap().clone()
    };
    let failed = |why: &str| {
        let is =
            |job: &Value| job["state"] == "waiting" && job["error"].as_str().is_some_and(|error| error.contains(why));
        jobs().iter().any(is).then_some(())
    };
    // One whose pause is over goes on by itself.
    let hurry = |id: &str| drop(sandbox.run(&["jobs", "retry", id, "--store", store.to_str().unwrap()]));
    miner.wait(&worker, |_| failed("no-params"));
    assert_eq!((miner.returned(&call), jobs().len()), (None, 1));
    worker.kill();
    let mut worker = start_worker(&sandbox, &miner, 26106, &["--device", "nosuch"]);
    let id = jobs()[0]["id"].to_string();
    hurry(&id);
    miner.wait(&worker, |_| failed("gpu-lost"));
    assert_eq!(miner.returned(&call), None);
    worker.kill();
    let worker = start_worker(&sandbox, &miner, 26106, &[]);
    hurry(&id);
    verify(&sandbox, "filecoin", &miner.proof(&worker, &call));
    miner.has_no_complaints();
}

/// C.3: the older dialect, and what Filecash's miners ask besides.
#[test]
fn miner_of_filecash_sends_seals() {
    let sandbox = Sandbox::new();
    let Some(miner) = start_miner(&sandbox, &["--dialect", "filecash"]) else { return };
    let commit = sealed(&sandbox, "filecash", 0);
    let worker = start_worker(&sandbox, &miner, 26103, &["--profile", "filecash", "--group", "west"]);
    miner.wait_attached(&worker, 1);
    let state = miner.state();
    let known = &state["workers"][0];
    assert_eq!((&known["api"], &known["task_types"]), (&65536.into(), &value!({ C2: {} })));
    assert_eq!(miner.result("GetWorkerGroup", &value!([])), "west");
    assert_eq!(miner.result("HasRemoteC2", &value!([])), true);

    // Whether it is to be proven by a remote prover or not: here.
    let with = |remote: bool| value!([commit[0], commit[1], remote]);
    miner.call("SetWorkerParams", &value!(["commitmax", "1"]));
    let call = miner.begin("SealCommit2", &with(true));
    let info = miner.result("GetWorkerInfo", &value!([]));
    assert_eq!((&info["Commit2Max"], &info["Commit2Now"]), (&1.into(), &1.into()), "{info}");
    assert_eq!(info["StoreList"], value!({ "{1000,5}": "Commit2" }));
    assert_eq!(miner.call("SealCommit2", &renumbered(&commit, 6)), value!({ "refused": "AllowableRange" }));
    let proof = miner.proof(&worker, &call);
    verify(&sandbox, "filecash", &proof);
    miner.wait(&worker, |miner| (miner.result("GetWorkerInfo", &value!([]))["Commit2Now"] == 0).then_some(()));
    assert_eq!(miner.proof(&worker, &miner.begin("SealCommit2", &with(false))), proof);
    let limits = miner.result("AutoTaskLimit", &value!([]));
    assert_eq!(limits, value!({ "IsSend": true, "Group": "west" }));
    miner.call("AddAutoTaskLimit", &value!([{ "c2": 3 }]));
    miner.call("SetWorkerParams", &value!(["group", "all"]));
    assert_eq!(miner.result("GetWorkerGroup", &value!([])), "all");
    miner.has_no_complaints();
    let answer = miner.call("SetWorkerParams", &value!(["colour", "red"]));
    assert_eq!(answer["error"]["code"], 1, "{answer}");
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

#[test]
fn miners_that_are_none_or_of_another_network() {
    let sandbox = Sandbox::new();
    let attach = |flags: &[&str]| sandbox.run(&[&["worker", "attach", "lotus", "--store", "q.sqlite"], flags].concat());
    let message = attach(&[]).fails(2);
    assert!(message.contains("no miner to attach to") && message.contains("--miner-api"), "{message}");
    let message = attach(&["--miner-api", "secret:/ip4/1.2.3"]).fails(2);
    assert!(message.contains("this is no address") && !message.contains("secret"), "{message}");
    let message = attach(&["--miner-api", "x:http://127.0.0.1:9", "--announce", "here"]).fails(2);
    assert!(message.contains("\"here\" is not HOST:PORT"), "{message}");
    let message = attach(&["--miner-repo", "nowhere"]).fails(2);
    assert!(message.contains("there is no miner's API in nowhere"), "{message}");

    let Some(miner) = start_miner(&sandbox, &["--sector-size", "4294967296"]) else { return };
    let run = |flags: &[&str]| {
        let output = command(&sandbox, &miner, 26104, flags).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    // Only Filecash has such sectors.
    let message = run(&[]);
    assert!(message.contains("filecoin has no sectors of 4294967296 bytes"), "{message}");
    let address = format!("bad:http://127.0.0.1:{}", miner.port);
    let message = run(&["--miner-api", &address]);
    assert!(message.contains("the miner knows no such token"), "{message}");
    // A miner that cannot call us back says so.
    let worker = start_worker(&sandbox, &miner, 26105, &["--profile", "filecash", "--announce", "127.0.0.1:9"]);
    miner.wait(&worker, |_| worker.log().contains("the miner refuses WorkerConnect").then_some(()));
}
