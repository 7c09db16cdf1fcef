//! What tests of hosts with others have in common.
#![allow(dead_code, reason = "each test has use for some of it")]

use std::sync::Arc;
use std::time::Duration;

use filecash_net::PeerId;
use filecash_net::gossip::{Judge, Verdict};
use filecash_net::host::{Host, HostOptions, PeerInfo};
use libp2p::identity::Keypair;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::peer::Peer;

const PATIENCE: Duration = Duration::from_secs(30);

/// A host on loopback, in a network of this name.
pub fn start_with(network: &str, judge: Judge) -> Host {
    Host::start(&Keypair::generate_ed25519(), &HostOptions::on_loopback(network), judge).unwrap().0
}

pub fn start() -> Host {
    start_with("testing", Arc::new(|_, _| Verdict::Accept))
}

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Somebody whom a host is connected to.
pub async fn info(host: &Host, peer: PeerId) -> Option<PeerInfo> {
    host.peers().await.unwrap().into_iter().find(|info| info.peer == peer)
}

/// A peer once it has said who it is, and answered a ping.
pub async fn known(host: &Host, peer: PeerId) -> PeerInfo {
    until("identified and pinged", async || {
        info(host, peer).await.filter(|info| info.round_trip.is_some() && info.agent.is_some())
    })
    .await
}

/// Where a host listens by a transport, with its id.
pub async fn address_of(host: &Host, part: &str) -> String {
    let address = until("listening", async || {
        host.addresses().await.unwrap().into_iter().find(|address| address.to_string().contains(part))
    })
    .await;
    format!("{address}/p2p/{}", host.peer_id())
}

/// Who a foreign peer is.
pub fn id_of(peer: &Peer) -> PeerId {
    peer.ready["id"].as_str().unwrap().parse().unwrap()
}

/// Connects to a foreign peer.
pub async fn connect(host: &Host, peer: &Peer) {
    let address = peer.ready["addresses"][0].as_str().unwrap().parse().unwrap();
    assert_eq!(host.connect(vec![address]).await.unwrap(), id_of(peer));
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
