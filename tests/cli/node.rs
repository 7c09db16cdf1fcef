//! `filecash node`: two of them, seen by each other and from outside, one of which fetches its chain from the other; stopped, killed and begun
//! again.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarReader, CarStore, CarWriter};
use serde_json::Value;

use crate::support::{FILECASH, Sandbox, json};

const GENESIS: &str = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";
/// Of Filecoin, whose first heights are here.
const FILECOIN_GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
const FILECOIN: &str = "filecoin-heights-0-39.car";
const FILECASH_GENESIS: &str = "filecash-genesis.car";
const NETWORK: &str = "localnet-adfce032-8656-48c1-8669-db3d1d1807ef";

fn vector(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/chain").join(name).to_str().unwrap().to_owned()
}

/// A node with a folder of its own.
pub struct Node<'a> {
    sandbox: &'a Sandbox,
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// The settings of a node, with a port of the system's choice for everything.
fn settings(name: &str, genesis: &str, more: &str) -> String {
    format!(
        "blocks = \"{name}/blocks\"\nchain = \"{name}/chain\"\n[node]\nfolder = \"{name}\"\n[network]\ngenesis = \"{genesis}\"\n\
         [host]\naccept_private_addresses = true\n[rpc]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
         [gateway]\nlisten = \"127.0.0.1:0\"\n{more}"
    )
}

/// Filecoin's genesis with its state, and nothing of the chain above.
fn genesis_alone() -> Vec<u8> {
    let file = vector(FILECOIN);
    let store = CarStore::open(Path::new(&file), &CarOptions::default()).unwrap();
    let (head, genesis): (_, Cid) = (store.roots().to_vec(), FILECOIN_GENESIS.parse().unwrap());
    let chain = ChainStore::new(store, genesis, Rules::MAINNET);
    let mut others: HashSet<Cid> = HashSet::new();
    for tipset in chain.walk(&head).map(Result::unwrap).filter(|tipset| tipset.height() > 0) {
        others.extend(tipset.key());
        for messages in chain.messages(&tipset).unwrap() {
            others.extend(messages.to_blocks().iter().map(|block| *block.cid()));
        }
    }
    let blocks = CarReader::new(fs::File::open(file).unwrap(), &CarOptions::default()).unwrap().map(Result::unwrap);
    let mut writer = CarWriter::new(Vec::new(), &[genesis]).unwrap();
    blocks.filter(|block| !others.contains(block.cid())).for_each(|block| writer.write(&block).unwrap());
    writer.finish().unwrap()
}

impl<'a> Node<'a> {
    fn start(sandbox: &'a Sandbox, name: &'static str) -> Self {
        Self::start_with(sandbox, name, FILECASH_GENESIS)
    }

    /// One whose chain begins with this file of ours.
    pub fn start_with(sandbox: &'a Sandbox, name: &'static str, genesis: &str) -> Self {
        Self::start_from(sandbox, name, &vector(genesis))
    }

    fn start_from(sandbox: &'a Sandbox, name: &'static str, genesis: &str) -> Self {
        let file = format!("{name}.toml");
        sandbox.write(&file, settings(name, genesis, "").as_bytes());
        let log = sandbox.path(&format!("{name}.log"));
        let mut command = sandbox.command(Path::new(FILECASH), &["node", "run", "--config", &file]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let node = Self { sandbox, name, child: command.spawn().unwrap(), log };
        let began = Instant::now();
        while !node.log().contains("Prometheus reads") {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", node.log());
            sleep(Duration::from_millis(20));
        }
        node
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What is behind some words of the log, up to a slash: `HOST:PORT`.
    pub fn address(&self, words: &str) -> String {
        let log = self.log();
        assert!(log.contains(words), "{words}: {log}");
        log.split(words).nth(1).unwrap().split('/').next().unwrap().to_owned()
    }

    /// What a command says of this node.
    pub fn says(&self, arguments: &[&str]) -> Value {
        let all = [&["node"], arguments, &["--folder", self.name, "--json"]].concat();
        json(&self.sandbox.run(&all).succeeds())
    }

    fn metrics(&self) -> String {
        let (status, text) = request(&self.address("Prometheus reads http://"), "GET /metrics HTTP/1.1\r\n", "");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// What is answered to a call of who has no token.
    fn call(&self, method: &str) -> Value {
        let call = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"Filecoin.{method}\",\"params\":[]}}");
        let (_, answer) = request(&self.address("programs call http://"), "POST /rpc/v0 HTTP/1.1\r\n", &call);
        json(&answer)["result"].take()
    }

    /// What the gateway has under an address.
    fn fetch(&self, target: &str) -> (u16, String) {
        request(&self.address("are fetched from http://"), &format!("GET {target} HTTP/1.1\r\n"), "")
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// The exit status, once it has ended.
    fn ended(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Status and body.
fn request(address: &str, line: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(stream, "{line}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_nodes_see_each_other_and_are_seen() {
    let sandbox = Sandbox::new();
    let (mut one, mut other) = (Node::start(&sandbox, "one"), Node::start(&sandbox, "other"));
    let (status, there) = (one.says(&["status"]), other.says(&["status"]));
    assert_eq!((&status["network"], &status["height"]), (&NETWORK.into(), &0.into()), "{status}");
    assert_eq!((&status["head"][0], &status["peers"]), (&GENESIS.into(), &0.into()), "{status}");
    let address = format!("{}/p2p/{}", there["addresses"][0].as_str().unwrap(), there["peer"].as_str().unwrap());
    assert_eq!(one.says(&["connect", &address])["peer"], there["peer"]);
    for (node, peer) in [(&one, &there), (&other, &status)] {
        until("they see each other", || node.says(&["peers"])["peers"][0]["ID"] == peer["peer"]);
    }
    // Who was dialled hears where the chain of the other is.
    until("a hello", || other.log().contains("a node of our network"));
    let text = other.metrics();
    for line in [
        "filecash_node_peers 1",
        "filecash_node_head_height 0",
        "filecash_node_gossip_total{topic=\"blocks\",verdict=\"accepted\"} 0",
        "filecash_node_rpc_requests_total{method=\"NetPeers\",code=\"0\"}",
        "filecash_node_resident_bytes ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }

    let rpc = one.address("programs call http://");
    for garbage in ["", "{", "[[", "\u{0}", "[1,2]", "{\"method\":\"Filecoin.Shutdown\",\"id\":1}"] {
        let (_, answer) = request(&rpc, "POST /rpc/v0 HTTP/1.1\r\n", garbage);
        assert!(answer.contains("\"error\""), "{garbage}: {answer}");
    }
    // Without a token nothing is changed.
    let api = format!("http://{rpc}");
    let refused = sandbox.run(&["node", "stop", "--api", &api]).fails(2);
    assert!(refused.contains("missing permission to invoke 'Shutdown'"), "{refused}");
    assert_eq!(json(&sandbox.run(&["node", "status", "--api", &api, "--json"]).succeeds())["peer"], status["peer"]);

    let second = sandbox.run(&["node", "run", "--config", "one.toml"]).fails(2);
    assert!(second.contains("a node runs in") && second.contains("already"), "{second}");
    let elsewhere = sandbox.run(&["node", "run", "--config", "one.toml", "--folder", "third"]).fails(2);
    assert!(elsewhere.contains("in use"), "{elsewhere}");

    one.signal(rustix::process::Signal::TERM);
    assert!(one.ended().success(), "{}", one.log());
    until("the other sees the end", || other.says(&["peers"])["peers"] == Value::Array(vec![]));
    let gone = sandbox.run(&["node", "status", "--folder", "one"]).fails(2);
    assert!(gone.contains("no node runs in one"), "{gone}");
    assert_eq!(other.says(&["stop"])["asked"], true);
    assert!(other.ended().success(), "{}", other.log());
}

#[test]
fn chain_is_fetched_from_a_peer_and_outlives_a_kill() {
    let sandbox = Sandbox::new();
    sandbox.write("genesis.car", &genesis_alone());
    sandbox.write("hi.txt", b"hi\n");
    let added = sandbox.run(&["add", "hi.txt", "--blocks", "full/blocks", "--json", "--quiet"]).succeeds();
    let block = format!("/ipfs/{}?format=raw", json(&added)["cid"].as_str().unwrap());
    let mut full = Node::start_with(&sandbox, "full", FILECOIN);
    let mut fresh = Node::start_from(&sandbox, "fresh", "genesis.car");
    let (there, before) = (full.says(&["status"]), fresh.says(&["status"]));
    assert_eq!((&there["height"], &before["height"]), (&39.into(), &0.into()));
    assert_eq!((&before["network"], &before["head"][0]), (&"testnetnet".into(), &FILECOIN_GENESIS.into()));
    assert_eq!(fresh.call("SyncState")["ActiveSyncs"], Value::Array(vec![]));
    let address = format!("{}/p2p/{}", there["addresses"][0].as_str().unwrap(), there["peer"].as_str().unwrap());
    fresh.says(&["connect", &address]);
    until("the chain is fetched", || fresh.call("ChainHead")["Height"] == 39);
    assert_eq!(fresh.call("ChainHead"), full.call("ChainHead"));
    until("the sync is over", || fresh.call("SyncState")["ActiveSyncs"][0]["Stage"] == 4);
    let sync = fresh.call("SyncState")["ActiveSyncs"][0].take();
    assert_eq!((&sync["Base"]["Height"], &sync["Target"]["Height"]), (&0.into(), &39.into()), "{sync}");

    assert_eq!(full.fetch(&block), (200, "hi\n".to_owned()));
    assert_eq!(fresh.fetch(&block).0, 404);
    for (node, line) in [
        (&fresh, "filecash_node_sync_height 39"),
        (&fresh, "filecash_node_sync_target_height 39"),
        (&fresh, "filecash_node_head_height 39"),
        (&fresh, "filecash_node_gateway_requests_total{kind=\"block\",status=\"404\"} 1"),
        (&full, "filecash_node_gateway_requests_total{kind=\"block\",status=\"200\"} 1"),
        (&full, "filecash_node_gateway_bytes_total{kind=\"block\"} 3"),
        (&full, "filecash_node_bitswap_blocks_total{of=\"data\",direction=\"sent\"} 0"),
        (&full, "filecash_node_bitswap_wants_refused_total{of=\"chain\"} 0"),
        (&full, "filecash_node_graphsync_requests_total{outcome=\"refused\"} 0"),
    ] {
        let text = node.metrics();
        assert!(text.contains(line), "{line}: {text}");
    }

    for node in [&mut full, &mut fresh] {
        node.signal(rustix::process::Signal::KILL);
        assert_eq!(node.ended().signal(), Some(9));
    }
    // A chain of another network is not taken for it.
    let filecash = vector(FILECASH_GENESIS);
    let other = sandbox.run(&["node", "run", "--config", "fresh.toml", "--genesis", &filecash]).fails(2);
    assert!(other.contains(GENESIS) && other.contains(FILECOIN_GENESIS), "{other}");
    // It need not be said any more where the chain begins; who says so is not refused.
    let (full, fresh) =
        (Node::start_from(&sandbox, "full", "genesis.car"), Node::start_from(&sandbox, "fresh", "none"));
    for (node, before) in [(&full, &there), (&fresh, &before)] {
        let after = node.says(&["status"]);
        assert_eq!((&after["head"], &after["height"]), (&there["head"], &39.into()), "{after}");
        assert_eq!((&after["peer"], &after["network"]), (&before["peer"], &before["network"]));
    }
    assert_eq!(full.fetch(&block), (200, "hi\n".to_owned()));
}

#[test]
fn node_that_was_killed_is_the_same_again() {
    let sandbox = Sandbox::new();
    let mut node = Node::start(&sandbox, "node");
    let before = node.says(&["status"]);
    node.signal(rustix::process::Signal::KILL);
    assert_eq!(node.ended().signal(), Some(9));
    let mut again = Node::start(&sandbox, "node");
    let after = again.says(&["status"]);
    assert_eq!((&before["peer"], &before["head"]), (&after["peer"], &after["head"]));
    // Somebody who keeps a connection does not keep the node.
    let mut silent = TcpStream::connect(again.address("programs call http://")).unwrap();
    again.signal(rustix::process::Signal::INT);
    assert!(again.ended().success(), "{}", again.log());
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert!(!again.log().contains("in time"), "{}", again.log());
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let sandbox = Sandbox::new();
    let default = sandbox.run(&["node", "config"]).succeeds();
    sandbox.write("default.toml", default.as_bytes());
    let missing = sandbox.run(&["node", "run", "--config", "default.toml"]).fails(2);
    assert!(missing.contains("there is no chain at"), "{missing}");
    assert!(missing.contains("where the chain begins") && missing.contains("--genesis"), "{missing}");
    for (more, words) in [
        ("port = 1", &["x.toml", "port"][..]),
        ("[gossip]\nx = 1", &["x.toml", "gossip"]),
        ("[node]\nx = 1", &["x.toml", "node"]),
    ] {
        sandbox.write("x.toml", settings("x", &vector(FILECASH_GENESIS), more).as_bytes());
        // Whatever the verb is.
        for verb in [&["node", "run"][..], &["config", "show"]] {
            let error = sandbox.run(&[verb, &["--config", "x.toml"]].concat()).fails(2);
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
    let nothing = ["node", "run", "--folder", "n", "--blocks", "b", "--chain", "c", "--genesis"];
    let error = sandbox.run(&[&nothing[..], &["nowhere.car"]].concat()).fails(2);
    assert!(error.contains("cannot open nowhere.car"), "{error}");
    sandbox.write("notes.car", b"my notes");
    let error = sandbox.run(&[&nothing[..], &["notes.car"]].concat()).fails(2);
    assert!(error.contains("cannot read notes.car"), "{error}");
    let wrong = sandbox.run(&["node", "status", "--api", "nonsense"]).fails(2);
    assert!(wrong.contains("--api"), "{wrong}");
    let dead = sandbox.run(&["node", "status", "--api", "/ip4/127.0.0.1/tcp/1/http"]).fails(2);
    assert!(dead.contains("does not answer"), "{dead}");
}
