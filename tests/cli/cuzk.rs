//! `filecash serve cuzk`, called by a client in Python that knows nothing but the service's tables (`spec/attach.md` A.15, E.2).

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json as value};

use crate::steps::hex32;
use crate::support::{FILECASH, Sandbox, data, json, kept_parameters};

const PATIENCE: Duration = Duration::from_secs(240);

/// A Python with grpcio; none where none is and none has to be.
fn python() -> Option<PathBuf> {
    let kept = kept_parameters().with_file_name("python/bin/python3");
    if kept.exists() {
        return Some(kept);
    }
    drop(writeln!(std::io::stderr(), "left out: there is no Python with grpcio"));
    assert!(
        std::env::var_os("FILECASH_TESTS_NEED_GRPC").is_none(),
        "there is no Python with grpcio in {}",
        kept.display()
    );
    None
}

/// A server.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(sandbox: &Sandbox, listen: &[&str], flags: &[&str]) -> Self {
        let parameters = kept_parameters();
        let store = sandbox.path("jobs.sqlite");
        let common = ["--parameter-cache", parameters.to_str().unwrap(), "--store", store.to_str().unwrap()];
        let listen: Vec<&str> = listen.iter().flat_map(|address| ["--listen", address]).collect();
        let arguments = [&["serve", "cuzk"], &listen[..], flags, &common].concat();
        let log = sandbox.path("server.log");
        let mut command = sandbox.command(Path::new(FILECASH), &arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let server = Self { child: child.spawn().unwrap(), log };
        server.wait("Listening on");
        server
    }

    fn wait(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The client in Python.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Answers that came before they were asked for.
    early: HashMap<u64, Value>,
    next: u64,
}

impl Client {
    fn start(python: &Path, address: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/cuzk_client.py");
        let mut command = Command::new(python);
        command.arg(script).arg(address).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, early: HashMap::new(), next: 0 }
    }

    /// Begins a call.
    fn send(&mut self, call: &str, request: &Value, more: &Value) -> u64 {
        self.next += 1;
        let mut line = value!({ "id": self.next, "call": call, "request": request });
        for (name, value) in more.as_object().into_iter().flatten() {
            line[name] = value.clone();
        }
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.next
    }

    /// Takes a call back.
    fn cancel(&mut self, id: u64) {
        writeln!(self.input.as_mut().unwrap(), "{}", value!({ "cancel": id })).unwrap();
    }

    /// The answer to a call.
    fn answer(&mut self, id: u64) -> Value {
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return answer;
            }
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the client is gone");
            let answer = json(&line);
            self.early.insert(answer["id"].as_u64().unwrap(), answer);
        }
    }

    fn call(&mut self, call: &str, request: &Value) -> Value {
        let id = self.send(call, request, &value!({}));
        self.answer(id)
    }

    /// The response of a call that goes well.
    #[track_caller]
    fn does(&mut self, call: &str, request: &Value) -> Value {
        let answer = self.call(call, request);
        assert_eq!(answer["code"], "OK", "{answer}");
        answer["response"].clone()
    }

    /// The result of a proof.
    #[track_caller]
    fn prove(&mut self, submit: &Value) -> Value {
        self.does("Prove", &value!({ "submit": submit }))["result"].clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A sealed sector of 2 KiB, and everything that proofs of it are made from.
struct Sector {
    sandbox: Sandbox,
    comm_r: String,
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let parameters = kept_parameters();
    let kept = ["--parameter-cache", parameters.to_str().unwrap(), "--quiet"];
    sandbox.run(&[arguments, &kept].concat()).succeeds()
}

impl Sector {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("data", &data(2032));
        let identity = ["--miner", "f01000", "--sector", "5", "--ticket", &hex32("01")];
        let add = ["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "data"];
        run(&sandbox, &[&add[..], &identity].concat());
        run(&sandbox, &["seal", "pc1", "--dir", "s"]);
        run(&sandbox, &["seal", "pc2", "--dir", "s"]);
        for seed in ["02", "03"] {
            run(&sandbox, &["seal", "c1", "--dir", "s", "--seed", &hex32(seed), "--force"]);
            let c1 = STANDARD.encode(sandbox.read("s/c1.json"));
            let wrapper = value!({ "SectorNum": 5, "Phase1Out": c1, "SectorSize": 2048 });
            sandbox.write(&format!("porep-{seed}"), wrapper.to_string().as_bytes());
        }
        let pc2 = json(&String::from_utf8(sandbox.read("s/pc2.json")).unwrap());
        let comm_r = hex::encode(serde_json::from_value::<Vec<u8>>(pc2["comm_r"].clone()).unwrap());
        Self { sandbox, comm_r }
    }

    /// Vanilla proofs of space-time.
    fn post(&self) {
        let round = ["--sector-size", "2KiB", "--randomness", &hex32("05"), "--dir", "s"];
        run(&self.sandbox, &[&["post", "winning", "vanilla", "--out", "winning"], &round[..]].concat());
        run(&self.sandbox, &[&["post", "window", "vanilla", "--out", "window"], &round[..]].concat());
    }

    fn path(&self, name: &str) -> Value {
        value!({ "file": self.sandbox.path(name) })
    }

    fn porep(&self, id: &str, seed: &str) -> Value {
        value!({
            "request_id": id, "proof_kind": 1, "sector_size": 2048, "registered_proof": 5, "priority": 2,
            "vanilla_proof": self.path(&format!("porep-{seed}")), "sector_number": 5, "miner_id": 1000,
        })
    }

    fn winning(&self, id: &str) -> Value {
        value!({
            "request_id": id, "proof_kind": 4, "sector_size": 2048, "registered_proof": 0, "priority": 4, "miner_id": 1000,
            "vanilla_proofs": [self.path("winning")], "randomness": { "hex": hex32("05") },
        })
    }

    fn window(&self, id: &str) -> Value {
        value!({
            "request_id": id, "proof_kind": 3, "sector_size": 2048, "registered_proof": 10, "priority": 3, "miner_id": 1000,
            "vanilla_proofs": [self.path("window/sector-5")], "randomness": { "hex": hex32("05") }, "partition_index": 0,
        })
    }

    /// Whether the chain would take a seal's proof.
    fn verify_seal(&self, result: &Value, seed: &str) {
        let sandbox = &self.sandbox;
        sandbox.write("proof", &proof_of(result));
        let parameters = kept_parameters();
        let of = ["--sector-size", "2KiB", "--miner", "f01000", "--sector", "5", "--ticket", &hex32("01")];
        let by_files = ["seal", "verify", "--pc2", "s/pc2.json", "--proof", "proof", "--seed", &hex32(seed)];
        sandbox.run(&[&by_files[..], &of, &["--parameter-cache", parameters.to_str().unwrap()]].concat()).succeeds();
    }

    fn verify_post(&self, kind: &str, result: &Value) {
        self.sandbox.write("proof", &proof_of(result));
        let sector = format!("5,{}", self.comm_r);
        let round = ["--sector-size", "2KiB", "--miner", "f01000", "--randomness", &hex32("05"), "--sector", &sector];
        run(&self.sandbox, &[&["post", kind, "verify", "--proof", "proof"], &round[..]].concat());
    }
}

#[track_caller]
fn proof_of(result: &Value) -> Vec<u8> {
    assert_eq!(result["status"], 1, "{result}");
    let proof = hex::decode(result["proof"].as_str().unwrap()).unwrap();
    assert_eq!(proof.len(), 192);
    proof
}

/// A.15, lines 1, 3, 5 and 7; both kinds of sockets.
#[test]
fn every_kind_is_proven_for_a_foreign_client() {
    let Some(python) = python() else { return };
    let sector = Sector::new();
    sector.post();
    let sandbox = &sector.sandbox;
    sandbox.write("new", &data(2000));
    run(sandbox, &["seal", "add-piece", "--dir", "s/update", "--sector-size", "2KiB", "new"]);
    run(sandbox, &["update", "encode", "--dir", "s"]);
    run(sandbox, &["update", "vanilla", "--dir", "s"]);
    // One partition after a count.
    let partition = sandbox.read("s/update/vanilla.bin")[8..].to_vec();
    sandbox.write("partition", &partition);

    let socket = sandbox.path("run/cuzk.sock");
    let unix = format!("unix://{}", socket.display());
    let port = "127.0.0.1:29820";
    let server = Server::start(sandbox, &[&unix, port], &[]);
    let mut client = Client::start(&python, &unix);
    let mut by_port = Client::start(&python, port);

    // Nothing is queued, and all kinds are told.
    let status = client.does("GetStatus", &value!({}));
    let kinds: Vec<&str> =
        status["queues"].as_array().unwrap().iter().map(|of| of["proof_kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["porep-c2", "snap-update", "window-post", "winning-post"]);
    let warm = status["loaded_srs"].as_array().unwrap().iter().any(|srs| srs["circuit_id"] == "porep-2k");
    assert!(warm, "{status}");

    // The same id with another seed, both at once, and neither gets the other's.
    let first = client.send("Prove", &value!({ "submit": sector.porep("porep-1000-5", "02") }), &value!({}));
    let second = by_port.send("Prove", &value!({ "submit": sector.porep("porep-1000-5", "03") }), &value!({}));
    sleep(Duration::from_millis(500));
    // Meanwhile status is told at once.
    let id = client.send("GetStatus", &value!({}), &value!({}));
    let answer = client.answer(id);
    assert!(answer["seconds"].as_f64().unwrap() < 0.5, "{answer}");
    let of_porep = &answer["response"]["queues"][0];
    assert_eq!(of_porep["pending"].as_u64().unwrap() + of_porep["in_progress"].as_u64().unwrap(), 2, "{answer}");
    let winning = by_port.prove(&sector.winning("winpost-1000-00000000"));
    sector.verify_post("winning", &winning);
    let window = by_port.prove(&sector.window("wdpost-1000-0-[5 5 5 5 5 5 5 5]"));
    sector.verify_post("window", &window);
    let (first, second) = (client.answer(first), by_port.answer(second));
    let (first, second) = (&first["response"]["result"], &second["response"]["result"]);
    sector.verify_seal(first, "02");
    sector.verify_seal(second, "03");
    assert_ne!(first["job_id"], second["job_id"]);

    let update = json(&String::from_utf8(sandbox.read("s/update/update.json")).unwrap());
    let commitment = |name: &str| {
        let bytes: Vec<u8> = serde_json::from_value(update[name].clone()).unwrap();
        value!({ "hex": hex::encode(bytes) })
    };
    let snap = value!({
        "request_id": "snap-1000-5", "proof_kind": 2, "sector_size": 0, "registered_proof": 0, "sector_number": 5, "miner_id": 1000,
        "vanilla_proofs": [sector.path("partition")], "comm_r_old": { "hex": sector.comm_r },
        "comm_r_new": commitment("comm_r_new"), "comm_d_new": commitment("comm_d_new"),
    });
    let proof = proof_of(&client.prove(&snap));
    sandbox.write("s/update/proof.bin", &proof);
    run(sandbox, &["update", "verify", "--dir", "s"]);

    // Asked again, the same answer comes at once, from a server that was killed meanwhile, too.
    let again = client.prove(&sector.porep("porep-1000-5", "02"));
    assert_eq!(again["proof"], first["proof"]);
    drop(server);
    let server = Server::start(sandbox, &[&unix], &[]);
    let mut client = Client::start(&python, &unix);
    let again = client.prove(&sector.porep("porep-1000-5", "02"));
    assert_eq!(again["proof"], first["proof"]);

    // One wrong byte: no proof, and the server lives.
    let mut bytes = sandbox.read("winning");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    sandbox.write("winning", &bytes);
    let wrong = client.prove(&sector.winning("winpost-1000-00000001"));
    assert_eq!((&wrong["status"], &wrong["proof"]), (&2.into(), &"".into()), "{wrong}");
    assert!(wrong["error_message"].as_str().unwrap().starts_with("bad-input: "), "{wrong}");
    let text = sandbox.read("porep-02");
    sandbox.write("porep-04", &text[..text.len() / 2]);
    let wrong = client.prove(&sector.porep("cut", "04"));
    assert_eq!(wrong["status"], 2, "{wrong}");
    // Vanilla proofs of which bytes are missing.
    for (kind, mut submit) in
        [("winning", sector.winning("short")), ("window", sector.window("short")), ("snap", snap.clone())]
    {
        let file = match kind {
            "winning" => "winning",
            "window" => "window/sector-5",
            _ => "partition",
        };
        let bytes = sandbox.read(file);
        sandbox.write("short", &bytes[..bytes.len() - 1]);
        submit["vanilla_proofs"] = value!([sector.path("short")]);
        submit["request_id"] = format!("short {kind}").into();
        let wrong = client.prove(&submit);
        assert!(wrong["error_message"].as_str().unwrap().starts_with("bad-input: "), "{wrong}");
    }
    // Another miner's: the replica id tells.
    let mut other = sector.porep("other", "02");
    other["miner_id"] = 1001.into();
    let wrong = client.prove(&other);
    assert!(wrong["error_message"].as_str().unwrap().contains("another sector, ticket or profile"), "{wrong}");

    let metrics = client.does("GetMetrics", &value!({}))["prometheus_text"].as_str().unwrap().to_owned();
    for line in ["cuzk_proofs_completed_total 5\n", "cuzk_proofs_failed_total 5\n", "cuzk_queue_depth 0\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(metrics.contains("cuzk_proof_duration_seconds_count{proof_kind=\"porep_c2\"} 2\n"), "{metrics}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// A.9, and A.3's rules for waiting.
#[test]
fn calls_that_make_no_sense_and_clients_that_go_away() {
    let Some(python) = python() else { return };
    let sector = Sector::new();
    sector.post();
    let unix = format!("unix://{}", sector.sandbox.path("cuzk.sock").display());
    // Nobody behind the door: jobs wait.
    let mut server = Server::start(&sector.sandbox, &[&unix], &["--no-worker", "--max-pending", "3"]);
    let taken = sector.sandbox.run(&["serve", "cuzk", "--listen", &unix, "--store", "other.sqlite"]).fails(2);
    assert!(taken.contains("answers on"), "{taken}");
    let mut client = Client::start(&python, &unix);
    let codes = [
        ("Prove", value!({}), "INVALID_ARGUMENT", "submit is missing"),
        ("Prove", value!({ "submit": { "proof_kind": 9 } }), "INVALID_ARGUMENT", "proof_kind 9"),
        ("SubmitProof", value!({ "proof_kind": 0 }), "INVALID_ARGUMENT", "proof_kind 0"),
        ("AwaitProof", value!({ "job_id": "x" }), "NOT_FOUND", "there is no job x"),
        ("CancelProof", value!({ "job_id": "x" }), "NOT_FOUND", "there is no job x"),
        ("PreloadSRS", value!({ "circuit_id": "porep-3g" }), "NOT_FOUND", "porep-32g"),
        ("EvictSRS", value!({ "circuit_id": "porep-3g" }), "NOT_FOUND", "porep-32g"),
        ("PreloadSRS", value!({ "circuit_id": "porep-64g" }), "FAILED_PRECONDITION", "no-params"),
    ];
    for (call, request, code, text) in codes {
        let answer = client.call(call, &request);
        assert_eq!(answer["code"], code, "{call} {request} {answer}");
        assert!(answer["details"].as_str().unwrap().contains(text), "{answer}");
    }
    client.does("PreloadSRS", &value!({ "circuit_id": "winning-2k" }));
    assert_eq!(client.does("PreloadSRS", &value!({ "circuit_id": "winning-2k" }))["already_loaded"], true);
    let evicted = client.does("EvictSRS", &value!({ "circuit_id": "winning-2k" }));
    assert_eq!((&evicted["was_loaded"], &evicted["freed_bytes"]), (&true.into(), &47_299_128.into()));

    let submitted = client.does("SubmitProof", &sector.winning("a"));
    assert_eq!((&submitted["job_id"], &submitted["queue_position"]), (&"a".into(), &0.into()));
    let unnamed = client.does("SubmitProof", &sector.winning(""));
    assert_eq!((unnamed["job_id"].as_str().unwrap().len(), &unnamed["queue_position"]), (36, &1.into()));
    let timeout = client.does("AwaitProof", &value!({ "job_id": "a", "timeout_ms": 100 }));
    assert_eq!(timeout["status"], 4, "{timeout}");
    // Who goes away leaves nothing in the queue, by deadline or by his own will.
    let gone = client.send("Prove", &value!({ "submit": sector.window("b") }), &value!({ "timeout": 0.5 }));
    // Whichever side notices first.
    let code = client.answer(gone)["code"].clone();
    assert!(code == "DEADLINE_EXCEEDED" || code == "CANCELLED", "{code}");
    let gone = client.send("Prove", &value!({ "submit": sector.window("c") }), &value!({ "cancel_after": 0.3 }));
    assert_eq!(client.answer(gone)["code"], "CANCELLED");
    let pending = |client: &mut Client, place: usize| {
        client.does("GetStatus", &value!({}))["queues"][place]["pending"].as_u64().unwrap()
    };
    let began = Instant::now();
    while pending(&mut client, 2) > 0 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50));
    }
    // Those that were submitted stay, and fill the queue with a third.
    assert_eq!(pending(&mut client, 3), 2);
    client.does("SubmitProof", &sector.window("d"));
    let full = client.call("SubmitProof", &sector.window("e"));
    assert_eq!(full["code"], "RESOURCE_EXHAUSTED", "{full}");
    // One that is known needs no room.
    client.does("SubmitProof", &sector.window("d"));
    let wait = client.send("AwaitProof", &value!({ "job_id": "d" }), &value!({}));
    assert_eq!(client.does("CancelProof", &value!({ "job_id": "d" }))["was_running"], false);
    assert_eq!(client.answer(wait)["response"]["status"], 3);

    // The door is killed; with a worker behind the next one, what waited is done.
    server.kill();
    let server = Server::start(&sector.sandbox, &[&unix], &[]);
    let mut client = Client::start(&python, &unix);
    let done = client.does("AwaitProof", &value!({ "job_id": "a" }));
    sector.verify_post("winning", &done);
    let done = client.does("AwaitProof", &value!({ "job_id": unnamed["job_id"] }));
    sector.verify_post("winning", &done);

    // A running one stops.
    let running = client.send("Prove", &value!({ "submit": sector.porep("long", "02") }), &value!({}));
    let began = Instant::now();
    while client.does("GetStatus", &value!({}))["queues"][0]["in_progress"] == 0 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50));
    }
    assert_eq!(client.does("CancelProof", &value!({ "job_id": "long" }))["was_running"], true);
    let cancelled = client.answer(running)["response"]["result"].clone();
    assert_eq!(cancelled["status"], 3, "{cancelled}");
    // Begun and nobody waits: it is finished all the same, and asked for again it is there.
    let left = client.send("Prove", &value!({ "submit": sector.porep("f", "03") }), &value!({}));
    let in_progress = |client: &mut Client| client.does("GetStatus", &value!({}))["queues"][0]["in_progress"].clone();
    while in_progress(&mut client) == 0 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20));
    }
    client.cancel(left);
    assert_eq!(client.answer(left)["code"], "CANCELLED");
    assert_eq!(in_progress(&mut client), 1);
    let found = client.prove(&sector.porep("f", "03"));
    sector.verify_seal(&found, "03");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Status tells of each device what it works on.
#[test]
fn status_names_the_proof_of_each_device() {
    let Some(python) = python() else { return };
    let sector = Sector::new();
    if !crate::devices::has_adapter(&sector.sandbox) {
        return;
    }
    let unix = format!("unix://{}", sector.sandbox.path("cuzk.sock").display());
    let _server = Server::start(&sector.sandbox, &[&unix], &["--device", "c2=gpu"]);
    let mut client = Client::start(&python, &unix);
    let gpu = |client: &mut Client| client.does("GetStatus", &value!({}))["gpus"][0].clone();
    let idle = gpu(&mut client);
    assert_eq!((&idle["current_job_id"], &idle["current_proof_kind"]), (&value!(""), &value!("")), "{idle}");
    let asked = client.send("Prove", &value!({ "submit": sector.porep("shown", "02") }), &value!({}));
    let began = Instant::now();
    let busy = loop {
        let told = gpu(&mut client);
        if told["current_job_id"] != "" {
            break told;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
        sleep(Duration::from_millis(20));
    };
    assert_eq!(busy["current_job_id"], "shown");
    assert_eq!(busy["current_proof_kind"], "porep-c2");
    assert_eq!(busy["name"], idle["name"]);
    assert_eq!(client.does("CancelProof", &value!({ "job_id": "shown" }))["was_running"], true);
    assert_eq!(client.answer(asked)["response"]["result"]["status"], 3);
    assert_eq!(gpu(&mut client), idle);
}

/// A.15, line 2: as large as a 32 GiB sector's. And what is too large, or no gRPC at all.
#[test]
fn large_requests_come_in_and_larger_ones_do_not() {
    let Some(python) = python() else { return };
    let sector = Sector::new();
    let unix = format!("unix://{}", sector.sandbox.path("cuzk.sock").display());
    let port = "127.0.0.1:29821";
    let server = Server::start(&sector.sandbox, &[&unix, port], &[]);
    // JSON may have spaces.
    let mut large = sector.sandbox.read("porep-02");
    large.resize(70 << 20, b' ');
    sector.sandbox.write("porep-05", &large);
    for address in [&unix, port] {
        let mut client = Client::start(&python, address);
        let result = client.prove(&sector.porep("large", "05"));
        sector.verify_seal(&result, "02");
    }
    large.resize((256 << 20) - 1000, b' ');
    sector.sandbox.write("porep-06", &large);
    let mut client = Client::start(&python, port);
    let answer = client.call("Prove", &value!({ "submit": sector.porep("larger", "06") }));
    assert_eq!(answer["code"], "OK", "{answer}");
    large.resize((256 << 20) + 1000, b' ');
    sector.sandbox.write("porep-07", &large);
    let answer = client.call("Prove", &value!({ "submit": sector.porep("largest", "07") }));
    let code = answer["code"].as_str().unwrap();
    assert!(["OUT_OF_RANGE", "RESOURCE_EXHAUSTED"].contains(&code), "{answer}");
    // Nonsense on the wire is cut off and harms nobody else.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff", b"\0"] {
        let mut stream = std::net::TcpStream::connect(port).unwrap();
        stream.write_all(bytes).unwrap();
    }
    // One that says nothing holds up nobody.
    let _silent = std::net::TcpStream::connect(port).unwrap();
    let mut client = Client::start(&python, port);
    client.does("GetStatus", &value!({}));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
