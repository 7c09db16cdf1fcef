//! Somebody sends far more than anybody should, by js-libp2p: we stay small, and others are served.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;
use std::sync::Arc;

use filecash_chain::Object;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::exchange::{PROTOCOL, Request};
use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_net::exchange;
use filecash_net::gossip::{Judge, TopicKind, Verdict};
use filecash_net::host::{Host, HostEvent, HostOptions};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::task::spawn_blocking;

#[path = "hosts/foreign.rs"]
mod foreign;
mod hosts;
#[path = "../../../tests/support/js.rs"]
mod js;
#[path = "../../../tests/support/peer.rs"]
mod peer;

use hosts::{address_of, host, host_with, known, until};
use js::Js;

const NETWORK: &str = "testing";
const GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
/// By how much we may grow, which is less than what is sent.
const GROWTH: usize = 48 << 20;
/// Each of 10,000 messages that a peer says it does not want is remembered for some seconds, and its id may be as long as a frame of
/// control, 16 KiB: a limit of rust-libp2p's that is wide, and one.
const UNWANTED: usize = 192 << 20;
/// One flood at a time: all are in the same memory.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What of this process is in memory. All that is ours is in it, and nothing of others.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A host that is flooded, and somebody who wants something of it.
struct Scene {
    host: Host,
    honest: Host,
    events: Receiver<HostEvent>,
    head: Vec<Cid>,
    rounds: usize,
}

impl Scene {
    async fn new() -> Self {
        let judge: Judge =
            Arc::new(|_, bytes| if bytes.starts_with(b"good") { Verdict::Accept } else { Verdict::Reject });
        let (host, honest) = (host_with(&HostOptions::on_loopback(NETWORK), judge), host());
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
        let store = CarStore::open(&file, &CarOptions::default()).unwrap();
        let head = store.roots().to_vec();
        let chain = ChainStore::new(store, GENESIS.parse().unwrap(), Rules::MAINNET);
        exchange::run(&host, Arc::new(move |request| chain.answer(request))).unwrap();
        honest.connect(vec![address_of(&host, "/tcp/").await]).await.unwrap();
        known(&honest, host.peer_id()).await;
        let events = host.events();
        Self { host, honest, events, head, rounds: 0 }
    }

    /// The honest one is answered and listened to. One stream of a protocol may wait to be taken, and one that comes meanwhile is let go,
    /// whoever it is of: who is refused asks again.
    async fn serves(&mut self) {
        let tipsets = until("it is answered", async || {
            let request = Request::new(self.head.clone(), 3, true);
            exchange::ask(&self.honest, self.host.peer_id(), request).await.ok()
        })
        .await;
        assert_eq!(tipsets.len(), 3);
        self.rounds += 1;
        let said = format!("good {}", self.rounds).into_bytes();
        until("the message goes out", async || self.honest.publish(TopicKind::Messages, said.clone()).await.ok()).await;
        until("the message comes", async || match self.events.try_recv() {
            Ok(HostEvent::Gossip { bytes, .. }) => (bytes == said).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Somebody new does something for a while, without harm to anybody.
    async fn bears(&mut self, options: &Value, command: Value, growth: usize) -> Option<Value> {
        let mut js = Js::start("host.mjs", options)?;
        self.serves().await;
        let before = memory();
        let flood = spawn_blocking(move || {
            let answer = js.peer.does(&command);
            (answer, js)
        });
        let mut most = before;
        while !flood.is_finished() {
            self.serves().await;
            most = most.max(memory());
        }
        let (answer, js) = flood.await.unwrap();
        self.serves().await;
        most = most.max(memory());
        drop(js);
        assert!(most - before < growth, "{} MiB more by {answer}", (most - before) >> 20);
        Some(answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_gossip_are_borne() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::new().await;
    let address = address_of(&scene.host, "/tcp/").await;
    let topic = TopicKind::Messages.name(NETWORK);
    for (kind, times, bytes, growth) in [
        ("unsigned", 1000, 65_000_000, GROWTH),
        ("subscribe", 4500, 60_000_000, GROWTH),
        ("have", 4500, 65_000_000, GROWTH),
        ("want", 4500, 65_000_000, GROWTH),
        ("graft", 5000, 55_000_000, GROWTH),
        ("do not want", 15_000, 220_000_000, UNWANTED),
    ] {
        let command = json!({ "do": "flood", "address": address, "kind": kind, "topic": topic, "times": times });
        let Some(answer) = scene.bears(&json!({ "sink": true }), command, growth).await else { return };
        assert!(answer["sent"] == times && answer["bytes"].as_u64().unwrap() > bytes, "{kind}: {answer}");
    }
    // What is no gossip, and control beyond its limit, are not read to the end, and a fifth time not at all.
    for kind in ["garbage", "too much"] {
        let command = json!({ "do": "flood", "address": address, "kind": kind, "topic": topic, "times": 1000 });
        let Some(answer) = scene.bears(&json!({ "sink": true }), command, GROWTH).await else { return };
        assert!(answer["streams"] == 5 && answer["sent"].as_u64().unwrap() < 200, "{kind}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_streams_are_borne() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::new().await;
    let address = address_of(&scene.host, "/tcp/").await;
    let endless = [&[0x5a, 0, 1, 0, 0][..], &[0; 100_000]].concat();
    let part = Request::new(scene.head.clone(), 1, true).encode()[..20].to_vec();
    for (protocol, bytes) in [
        (PROTOCOL, &endless),
        (PROTOCOL, &part),
        ("/fil/kad/testing/kad/1.0.0", &endless),
        ("/fil/kad/testing/kad/1.0.0", &part),
    ] {
        let command = json!({ "do": "streams", "address": address, "protocol": protocol, "hex": hex::encode(bytes), "times": 1500 });
        let Some(answer) = scene.bears(&json!({}), command, GROWTH).await else { return };
        assert!(answer["opened"].as_u64().unwrap() > 500, "{protocol}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_connections_are_borne() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::new().await;
    let address = address_of(&scene.host, "/tcp/").await;
    let command = json!({ "do": "sockets", "address": address, "times": 1000 });
    let Some(answer) = scene.bears(&json!({}), command, GROWTH).await else { return };
    assert_eq!(answer, 1000);
    // Others come in, if not at once.
    let other = host();
    until("another one comes in", async || other.connect(vec![address.clone()]).await.ok()).await;
}
