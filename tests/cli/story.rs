//! The whole way of docs/story.md: a file of kubo's is fetched over graphsync, becomes a piece, is sealed, unsealed, and fetched back by another
//! kubo over bitswap, with the same CID.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json as value};

use crate::support::{FILECASH, Run, Sandbox, json};

#[path = "../support/kubo.rs"]
mod kubo;
#[path = "../support/peer.rs"]
mod peer;

use kubo::Kubo;

const PATIENCE: Duration = Duration::from_secs(60);
const TICKET: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// `filecash serve blocks`.
struct Server {
    child: Child,
    log: PathBuf,
    address: String,
}

impl Server {
    fn start(sandbox: &Sandbox, blocks: &str) -> Self {
        let arguments = ["serve", "blocks", "--blocks", blocks, "--listen", "/ip4/127.0.0.1/tcp/0", "--json"];
        let log = sandbox.path("server.log");
        let mut command = sandbox.command(Path::new(FILECASH), &arguments);
        command.stdin(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut server = Self { child: command.spawn().unwrap(), log, address: String::new() };
        let began = Instant::now();
        loop {
            let text = fs::read_to_string(&server.log).unwrap();
            if let Some((_, rest)) = text.split_once("Listening on ").filter(|(_, rest)| rest.contains('\n')) {
                server.address = rest.lines().next().unwrap().to_owned();
                return server;
            }
            assert!(began.elapsed() < PATIENCE, "{text}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as Ctrl-C does.
    fn stop(self) -> Value {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let run = Run::new(self.child.wait_with_output().unwrap());
        json(&Run { stderr: fs::read_to_string(self.log).unwrap(), ..run }.succeeds())
    }
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    json(&sandbox.run(&[arguments, &["--json", "--quiet"]].concat()).succeeds())
}

/// Bytes that repeat nowhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn a_file_goes_from_kubo_into_a_sector_and_back() {
    let (Some(mut first), Some(mut second)) = (Kubo::start(&value!({})), Kubo::start(&value!({}))) else { return };
    let sandbox = Sandbox::new();
    let bytes = noise(5_000_000);
    sandbox.write("file", &bytes);
    let cid = first.peer.does(&value!({ "do": "add", "path": sandbox.path("file") }));
    let cid = cid.as_str().unwrap();

    let fetched = run(&sandbox, &["fetch", cid, "--from", &first.address("/tcp/"), "--blocks", "fetched"]);
    assert_eq!(fetched["blocks"], 21);
    let again = run(&sandbox, &["fetch", cid, "--from", &first.address("/tcp/"), "--blocks", "fetched"]);
    assert_eq!(again["blocks"], 0);
    drop(first);

    run(&sandbox, &["car", "export", cid, "--output", "piece.car", "--blocks", "fetched"]);
    let piece = run(&sandbox, &["piece", "commp", "piece.car"]);
    run(&sandbox, &["seal", "add-piece", "piece.car", "--dir", "s", "--sector-size", "8MiB", "--fill"]);
    let pieces: Value = serde_json::from_slice(&fs::read(sandbox.path("s/pieces.json")).unwrap()).unwrap();
    let commitment: Vec<u8> = serde_json::from_value(pieces[0]["commitment"].clone()).unwrap();
    assert_eq!(hex::encode(commitment), piece["comm_p"].as_str().unwrap());
    let sector = ["--dir", "s", "--sector-size", "8MiB", "--miner", "f01000", "--sector", "1", "--ticket", TICKET];
    run(&sandbox, &[&["seal", "pc1"][..], &sector].concat());
    run(&sandbox, &["seal", "pc2", "--dir", "s"]);
    let car = fs::read(sandbox.path("piece.car")).unwrap();
    let length = car.len().to_string();
    run(&sandbox, &["seal", "unseal", "--dir", "s", "--length", &length, "--out", "back.car"]);
    assert!(fs::read(sandbox.path("back.car")).unwrap() == car);

    run(&sandbox, &["car", "import", "back.car", "--blocks", "back"]);
    let server = Server::start(&sandbox, "back");
    assert_eq!(second.peer.does(&value!({ "do": "connect", "address": server.address })), 0);
    let there = sandbox.path("there");
    assert_eq!(second.peer.does(&value!({ "do": "download", "cid": cid, "path": there })), 0);
    assert!(fs::read(there).unwrap() == bytes);
    // The same by bitswap from us to us, over the same node.
    let over = run(&sandbox, &["fetch", cid, "--from", &server.address, "--by", "bitswap", "--blocks", "over"]);
    assert_eq!(over["blocks"], 21);
    let given = server.stop();
    assert!(given["blocks"].as_u64().unwrap() >= 42, "{given}");
}

#[test]
fn what_cannot_be_fetched_is_told() {
    let sandbox = Sandbox::new();
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let fetch = |from: &str| sandbox.run(&["fetch", cid, "--from", from, "--blocks", "b", "--quiet"]).fails(2);
    assert!(fetch("kubo").contains("--from \"kubo\" is no address"));
    assert!(fetch("/ip4/127.0.0.1/tcp/1").contains("does not end in /p2p/"));
    let nobody = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGjMRnvTuNEcE7xdhLVGVv5TZxJBcqRYVPKbNVqVGPCRm";
    assert!(fetch(nobody).contains("cannot connect"));
    let key = |blocks: &str| fs::read(sandbox.path(blocks).join("identity.key")).unwrap();
    let server = Server::start(&sandbox, "empty");
    let missing = fetch(&server.address);
    assert!(missing.contains("34") || missing.contains("not to be had"), "{missing}");
    let who = key("empty");
    server.stop();
    Server::start(&sandbox, "empty").stop();
    assert_eq!(key("empty"), who);
}
