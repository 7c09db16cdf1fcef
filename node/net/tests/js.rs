//! Our host and js-libp2p 3.3 on loopback: `spec/network.md` 18, N1, and what N6 rests on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;
use std::sync::Arc;

use filecash_chain::Object;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::exchange;
use filecash_ipld::Block;
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_ipld::codec::Codec;
use filecash_ipld::hash::HashKind;
use filecash_ipld::wire::graphsync::{LinkAction, Message, Response, Status, Version};
use filecash_net::PeerId;
use filecash_net::host::{AGENT, HostError};
use filecash_net::streams::{Served, read_frame, serve, write_frame};
use libp2p::StreamProtocol;
use libp2p::futures::AsyncWriteExt;
use libp2p::identity::Keypair;
use serde_json::{Value, json};

#[path = "hosts/foreign.rs"]
mod foreign;
mod hosts;
#[path = "../../../tests/support/js.rs"]
mod js;
#[path = "../../../tests/support/peer.rs"]
mod peer;

use foreign::{connect, id_of, texts};
use hosts::{address_of, host, info, known, until};
use js::Js;

const PROTOCOLS: [&str; 5] =
    ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/fil/kad/testing/kad/1.0.0", "/meshsub/1.1.0", "/ipfs/id/push/1.0.0"];

#[tokio::test(flavor = "multi_thread")]
async fn js_libp2p_is_met_over_each_transport_and_security() {
    for (options, part, spoken) in [
        (json!({ "gossip": true, "security": "noise" }), "/tcp/", ["/noise", "/yamux/1.0.0"]),
        (json!({ "gossip": true, "security": "tls" }), "/tcp/", ["/tls/1.0.0", "/yamux/1.0.0"]),
        (json!({ "gossip": true, "transport": "quic" }), "/quic-v1", ["native", "quic"]),
    ] {
        let Some(Js { mut peer, .. }) = Js::start("host.mjs", &options) else { return };
        let id = id_of(&peer);
        // From here to there, and from there to here.
        let (host, other) = (host(), host());
        connect(&host, &peer).await;
        let address = address_of(&other, part).await;
        assert_eq!(peer.does(&json!({ "do": "connect", "address": address })), other.peer_id().to_string());
        for (host, direction) in [(&host, "inbound"), (&other, "outbound")] {
            let info = known(host, id).await;
            assert!(info.agent.as_deref().unwrap().contains("libp2p/3.3"), "{info:?}");
            for protocol in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/meshsub/1.1.0"] {
                assert!(info.protocols.iter().any(|name| name == protocol), "{protocol}: {info:?}");
            }
            let seen = until("it has asked who we are", async || {
                let seen = peer.does(&json!({ "do": "peer", "id": host.peer_id().to_string() }));
                (seen["agent"] != Value::Null).then_some(seen)
            })
            .await;
            assert_eq!(seen["agent"], AGENT);
            let protocols = texts(&seen["protocols"]);
            assert!(PROTOCOLS.iter().all(|name| protocols.contains(name)), "{protocols:?}");
            let connection = &seen["connections"][0];
            assert_eq!(connection["direction"], direction);
            assert_eq!([&connection["encryption"], &connection["multiplexer"]], spoken);
            let to = address_of(host, part).await;
            assert!(peer.does(&json!({ "do": "ping", "address": to })).as_f64().unwrap() >= 0.0);
        }
        assert!(host.disconnect(id).await.unwrap());
        until("it sees the end", async || {
            let peers = peer.does(&json!({ "do": "peers" }));
            (texts(&peers) == [other.peer_id().to_string()]).then_some(())
        })
        .await;
        assert!(info(&host, id).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_somebody_else_is_not_met() {
    let Some(Js { mut peer, .. }) = Js::start("host.mjs", &json!({})) else { return };
    let (host, nobody) = (host(), Keypair::generate_ed25519().public().to_peer_id());
    let named = |address: &str, id: PeerId| format!("{}/{id}", &address[..address.rfind('/').unwrap()]);
    let (ours, theirs) =
        (address_of(&host, "/tcp/").await.to_string(), peer.ready["addresses"][0].as_str().unwrap().to_owned());
    let error = peer.tries(&json!({ "do": "connect", "address": named(&ours, nobody) })).unwrap_err();
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
    let error = host.connect(vec![named(&theirs, nobody).parse().unwrap()]).await.unwrap_err();
    assert!(matches!(error, HostError::Dial { .. }), "{error}");
    assert!(host.peers().await.unwrap().is_empty());
    connect(&host, &peer).await;
}

/// The requester in JavaScript, which others' answers are looked at with, tells a block that was not asked for from one that was.
#[tokio::test(flavor = "multi_thread")]
async fn requester_of_graphsync_is_not_lied_to() {
    let Some(Js { mut peer, .. }) = Js::start("host.mjs", &json!({})) else { return };
    let host = host();
    let [root, other] = [&b"asked for"[..], b"something else"]
        .map(|bytes| Block::new(HashKind::Sha256, Codec::Raw, bytes.to_vec()).unwrap());
    let protocol = StreamProtocol::new(Version::V2.protocol());
    let (control, links, blocks) = (host.control(), vec![(*root.cid(), LinkAction::Present)], vec![other.clone()]);
    let served = [protocol.clone()];
    serve(&host, &served, Served { streams: 9, per_peer: 9 }, move |from, mut stream| {
        let (mut control, protocol, links, blocks) = (control.clone(), protocol.clone(), links.clone(), blocks.clone());
        async move {
            let frame = read_frame(&mut stream, 1 << 20).await.unwrap().unwrap();
            let asked = Message::decode(Version::V2, &frame).unwrap();
            let response =
                Response { id: asked.requests[0].id, status: Status::COMPLETED, links, extensions: Default::default() };
            let message = Message { responses: vec![response], blocks, ..Message::default() };
            let mut back = control.open_stream(from, protocol).await.unwrap();
            write_frame(&mut back, &message.encode(Version::V2).unwrap()).await.unwrap();
            // One that is let go is reset, and what was sent on it lost.
            back.close().await.unwrap();
        }
    })
    .unwrap();
    let cids = [&root, &other].map(|block| block.cid().to_string());
    let address = address_of(&host, "/tcp/").await;
    let command = json!({ "do": "graphsync", "peer": address, "cid": cids[0], "selector": "a1612ea0" });
    let answer = peer.does(&command);
    assert_eq!((&answer["statuses"], &answer["links"]), (&json!([20]), &json!([[cids[0], "p"]])));
    assert_eq!((&answer["missing"], &answer["unasked"]), (&json!([cids[0]]), &json!([cids[1]])));
}

/// All of an answer has come when its stream ends, however slowly it is read.
#[tokio::test(flavor = "multi_thread")]
async fn answers_come_to_their_end() {
    let Some(Js { mut peer, .. }) = Js::start("host.mjs", &json!({})) else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
    let store = CarStore::open(&file, &CarOptions::default()).unwrap();
    let request = exchange::Request::new(store.roots().to_vec(), 900, true);
    let genesis = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2".parse().unwrap();
    let chain = ChainStore::new(store, genesis, Rules::MAINNET);
    let expected = hex::encode(chain.answer(&request).encode());
    let host = host();
    filecash_net::exchange::run(&host, Arc::new(move |request| chain.answer(request))).unwrap();
    let address = address_of(&host, "/tcp/").await;
    let command = json!({ "do": "ask", "address": address, "protocol": exchange::PROTOCOL, "hex": hex::encode(request.encode()) });
    for _ in 0..10 {
        let answer = peer.does(&command);
        assert!(answer == expected, "{} of {} digits", answer.as_str().unwrap().len(), expected.len());
    }
}
