//! Our host and kubo 0.22 (go-libp2p 0.29) on loopback: `spec/network.md` 18, N1, and gossip and the DHT with a peer of another make.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::sync::Arc;
use std::time::Duration;

use filecash_net::gossip::{TopicKind, Verdict};
use filecash_net::host::{Host, HostEvent, HostOptions};
use filecash_net::{Multiaddr, PeerId};
use serde_json::json;
use tokio::time::timeout;

mod hosts;
#[path = "../../../tests/support/kubo.rs"]
mod kubo;
#[path = "../../../tests/support/peer.rs"]
mod peer;

use hosts::{address_of, host_with, known, until};
use kubo::Kubo;

/// A host that is in the DHT of kubo, too.
fn start() -> Host {
    let options = HostOptions { ipfs_dht: Some("/ipfs/lan".to_owned()), ..HostOptions::on_loopback("testing") };
    host_with(&options, Arc::new(|_, _| Verdict::Accept))
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_is_met_over_each_transport_and_security() {
    let only = |security: &str| json!({ "Swarm": { "Transports": { "Security": { security: false } } } });
    for (transport, settings) in [("/tcp/", only("TLS")), ("/tcp/", only("Noise")), ("/quic-v1", json!({}))] {
        let Some(mut kubo) = Kubo::start(&settings) else { return };
        let id: PeerId = kubo.id().parse().unwrap();
        // From here to there, and from there to here.
        let host = start();
        let address: Multiaddr = kubo.address(transport).parse().unwrap();
        assert_eq!(host.connect(vec![address]).await.unwrap(), id);
        let info = known(&host, id).await;
        assert!(info.agent.as_deref().unwrap().starts_with("kubo/0.22"), "{info:?}");
        for protocol in ["/ipfs/graphsync/2.0.0", "/ipfs/bitswap/1.2.0", "/ipfs/lan/kad/1.0.0", "/meshsub/1.1.0"] {
            assert!(info.protocols.iter().any(|name| name == protocol), "{protocol}: {info:?}");
        }
        let other = start();
        let connected = kubo.peer.does(&json!({ "do": "connect", "address": address_of(&other, transport).await }));
        assert_eq!(connected, 0, "{transport} {settings}");
        known(&other, id).await;
        let peers = kubo.peer.does(&json!({ "do": "peers" })).to_string();
        assert!([&host, &other].iter().all(|host| peers.contains(&host.peer_id().to_string())), "{peers}");
    }
}

/// kubo finds a host of ours that it has not met, by one that it has, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn kubo_and_we_share_a_dht() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let (host, hidden) = (start(), start());
    let id: PeerId = kubo.id().parse().unwrap();
    host.connect(vec![kubo.address("/tcp/").parse().unwrap()]).await.unwrap();
    known(&host, id).await;
    hidden.connect(vec![address_of(&host, "/tcp/").await]).await.unwrap();
    known(&host, hidden.peer_id()).await;
    until("found by kubo", async || {
        let found = kubo.peer.does(&json!({ "do": "find", "id": hidden.peer_id().to_string() })).to_string();
        found.contains("/ip4/127.0.0.1/").then_some(())
    })
    .await;
    let found =
        until("kubo is found", async || Some(hidden.find_peer(id).await.unwrap()).filter(|found| !found.is_empty()))
            .await;
    assert!(found.iter().all(|address| address.to_string().contains("127.0.0.1")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_and_we_gossip() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let topic = TopicKind::Blocks.name("testing");
    kubo.peer.does(&json!({ "do": "subscribe", "topic": topic }));
    let host = start();
    let mut events = host.events();
    host.connect(vec![kubo.address("/tcp/").parse().unwrap()]).await.unwrap();
    let mut count = 0;
    until("kubo listens", async || {
        count += 1;
        host.publish(TopicKind::Blocks, format!("from us {count}").into_bytes()).await.ok()
    })
    .await;
    let told = kubo.peer.does(&json!({ "do": "next" }));
    // Its base64 begins with that of "from us".
    assert!(told.to_string().contains("ZnJvbSB1cy"), "{told}");
    let mut count = 0;
    let bytes = until("we hear kubo", async || {
        count += 1;
        let hex = hex::encode(format!("from kubo {count}").as_bytes());
        kubo.peer.does(&json!({ "do": "publish", "topic": topic, "hex": hex }));
        match timeout(Duration::from_millis(300), events.recv()).await {
            Ok(Ok(HostEvent::Gossip { kind: TopicKind::Blocks, bytes, .. })) => Some(bytes),
            _ => None,
        }
    })
    .await;
    assert!(bytes.starts_with(b"from kubo"), "{bytes:?}");
}
