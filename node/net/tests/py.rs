//! Our host and py-libp2p 0.8 on loopback: `spec/network.md` 18, N1 and N3.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::sync::{Arc, Mutex};

use filecash_chain::hello::{Hello, MAX_BYTES};
use filecash_chain::{Amount, Object};
use filecash_net::PeerId;
use filecash_net::hello::{self, HelloError};
use filecash_net::host::{AGENT, Host};
use serde_json::{Value, json};

#[path = "hosts/foreign.rs"]
mod foreign;
mod hosts;
#[path = "../../../tests/support/peer.rs"]
mod peer;
#[path = "../../../tests/support/py_libp2p.rs"]
mod py_libp2p;

use foreign::{connect, id_of, texts};
use hosts::{address_of, host, info, known, until};
use peer::Peer;

const GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
const OTHER: &str = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";

#[tokio::test(flavor = "multi_thread")]
async fn py_libp2p_is_met_over_each_transport_and_security() {
    for (options, part, spoken) in [
        (json!({ "network": "testing", "security": "noise" }), "/tcp/", ["/noise", "/yamux/1.0.0"]),
        (json!({ "network": "testing", "security": "tls" }), "/tcp/", ["/tls/1.0.0", "/yamux/1.0.0"]),
        // It tells of none here.
        (json!({ "network": "testing", "transport": "quic" }), "/quic-v1", ["", ""]),
    ] {
        let Some(mut peer) = py_libp2p::start(&options) else { return };
        let id = id_of(&peer);
        let (host, other) = (host(), host());
        connect(&host, &peer).await;
        let address = address_of(&other, part).await;
        peer.does(&json!({ "do": "connect", "address": address }));
        for host in [&host, &other] {
            let info = known(host, id).await;
            assert!(info.agent.as_deref().unwrap().contains("py-libp2p/0.8.1"), "{info:?}");
            for protocol in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/meshsub/1.1.0"] {
                assert!(info.protocols.iter().any(|name| name == protocol), "{protocol}: {info:?}");
            }
            peer.does(&json!({ "do": "ping", "id": host.peer_id().to_string() }));
            // Over QUIC it often does not hear who we are: it gives up a stream when we say that we read no more of it, whether it has
            // read what we sent or not.
            if part == "/tcp/" {
                let seen = peer.does(&json!({ "do": "peer", "id": host.peer_id().to_string() }));
                assert_eq!(seen["agent"], AGENT);
                for name in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/fil/kad/testing/kad/1.0.0", "/meshsub/1.1.0"] {
                    assert!(texts(&seen["protocols"]).contains(&name), "{seen}");
                }
                assert_eq!([&seen["security"], &seen["muxer"]], spoken, "{seen}");
            }
        }
    }
}

fn hello_of(genesis: &str, height: i64) -> Hello {
    let genesis = genesis.parse().unwrap();
    Hello { heaviest: vec![genesis, OTHER.parse().unwrap()], height, weight: Amount::from(1 << 40), genesis }
}

/// The same, as its end has it. A big number's bytes begin with a sign.
fn told(genesis: &str, height: i64) -> Value {
    json!({ "heaviest": [genesis, OTHER], "height": height, "weight": "00010000000000", "genesis": genesis })
}

type Heard = Arc<Mutex<Vec<(PeerId, Hello)>>>;

/// A host that says hello and hears others.
fn greeter(height: i64) -> (Host, Heard) {
    let (host, heard) = (host(), Heard::default());
    let list = Arc::clone(&heard);
    let ours = Arc::new(move || hello_of(GENESIS, height));
    hello::run(&host, ours, Arc::new(move |peer, hello| list.lock().unwrap().push((peer, hello)))).unwrap();
    (host, heard)
}

/// It has dialled us.
async fn met(peer: &mut Peer, host: &Host) {
    peer.does(&json!({ "do": "connect", "address": address_of(host, "/tcp/").await }));
    known(host, id_of(peer)).await;
}

fn says(peer: &mut Peer, host: &Host, hello: Value) -> Value {
    peer.does(&json!({ "do": "greet", "id": host.peer_id().to_string(), "hello": hello }))
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_goes_both_ways() {
    let Some(mut peer) = py_libp2p::start(&json!({})) else { return };
    peer.does(&json!({ "do": "serve", "as": "latency" }));
    // Who dials says hello: we to it,
    let (host, _) = greeter(7);
    connect(&host, &peer).await;
    let heard = until("it hears us", async || {
        let heard = peer.does(&json!({ "do": "heard" }));
        (!heard.as_array().unwrap().is_empty()).then_some(heard)
    })
    .await;
    let mut expected = told(GENESIS, 7);
    expected["from"] = json!(host.peer_id().to_string());
    assert_eq!(heard, json!([expected]));
    // and its answer is one, by the same clock.
    let offset = hello::greet(&host, id_of(&peer), &hello_of(GENESIS, 8)).await.unwrap();
    assert!(offset.abs() < 30_000_000_000, "{offset}");
    // It to us.
    let (host, heard) = greeter(9);
    met(&mut peer, &host).await;
    let answer = says(&mut peer, &host, told(GENESIS, 10));
    let [arrival, sent] = [0, 1].map(|at| answer["item"][at].as_i64().unwrap());
    assert!(0 < arrival && arrival <= sent && answer["item"].as_array().unwrap().len() == 2, "{answer}");
    until("we hear it", async || (!heard.lock().unwrap().is_empty()).then_some(())).await;
    assert_eq!(*heard.lock().unwrap(), [(id_of(&peer), hello_of(GENESIS, 10))]);
    assert!(info(&host, id_of(&peer)).await.is_some());
}

/// Whom we greet does not tell of its genesis, so that only who is greeted can hang up.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_of_another_network_is_hung_up_on() {
    let Some(mut peer) = py_libp2p::start(&json!({})) else { return };
    let (host, heard) = greeter(7);
    met(&mut peer, &host).await;
    says(&mut peer, &host, told(OTHER, 10));
    until("we have hung up", async || info(&host, id_of(&peer)).await.is_none().then_some(())).await;
    until("it sees that", async || texts(&peer.does(&json!({ "do": "peers" }))).is_empty().then_some(())).await;
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_that_is_none_is_not_answered() {
    let Some(mut peer) = py_libp2p::start(&json!({})) else { return };
    let (host, heard) = greeter(7);
    met(&mut peer, &host).await;
    let whole = hello_of(GENESIS, 1).encode();
    let long = [vec![0x5a, 0, 1, 0, 0], vec![0; 1 << 16]].concat();
    assert!(long.len() > MAX_BYTES);
    // Garbage, a list of something else, too much, and a part after which nothing comes.
    for bytes in [&[0xff; 40][..], &[0x83, 1, 2, 3], &long, &whole[..whole.len() - 1]] {
        let command = json!({ "do": "greet", "id": host.peer_id().to_string(), "hex": hex::encode(bytes) });
        let answer = peer.does(&command);
        assert_eq!(answer["hex"], "", "{answer}");
        assert!(answer["ended"] != "nothing more", "the stream was left open: {answer}");
    }
    assert!(heard.lock().unwrap().is_empty());
    // It is still heard, when it says something sensible.
    let answer = says(&mut peer, &host, told(GENESIS, 10));
    assert!(answer["item"].is_array(), "{answer}");
    until("it is heard", async || (heard.lock().unwrap().len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_is_none_is_told() {
    let Some(mut peer) = py_libp2p::start(&json!({})) else { return };
    let host = host();
    connect(&host, &peer).await;
    let long = hex::encode([vec![0x5a, 0, 1, 0, 0], vec![0; 1 << 16]].concat());
    for said in ["", "ff", "83010203", "820102", "silence", "latency", &long, "latency"] {
        peer.does(&json!({ "do": "serve", "as": said }));
        let greeted = hello::greet(&host, id_of(&peer), &hello_of(GENESIS, 7)).await;
        let is_as_expected = match said {
            "83010203" => matches!(greeted, Err(HelloError::Object(_))),
            "820102" | "latency" => greeted.is_ok(),
            _ => matches!(greeted, Err(HelloError::Stream(_))),
        };
        assert!(is_as_expected, "{said:.20}: {greeted:?}");
    }
}
