//! Hosts on loopback, and what they see of each other.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;
use std::time::Duration;

use filecash_net::gossip::{Judge, Verdict};
use filecash_net::host::{Host, HostOptions, PeerInfo};
use filecash_net::{Multiaddr, PeerId};
use libp2p::identity::Keypair;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn host_with(options: &HostOptions, judge: Judge) -> Host {
    Host::start(&Keypair::generate_ed25519(), options, judge).unwrap().0
}

/// A host that accepts all gossip.
pub fn host() -> Host {
    host_with(&HostOptions::on_loopback("testing"), Arc::new(|_, _| Verdict::Accept))
}

/// Does what takes no minute.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it takes too long")
}

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Looks until something is so.
pub async fn holds(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    until(what, async || is_so().await.then_some(())).await;
}

/// Where a host listens by a transport, with its id.
pub async fn address_of(host: &Host, part: &str) -> Multiaddr {
    let listening = async || host.addresses().await.unwrap().into_iter().find(|at| at.to_string().contains(part));
    until("listening", listening).await.with_p2p(host.peer_id()).unwrap()
}

/// Connects by TCP.
pub async fn connect(from: &Host, to: &Host) {
    from.connect(vec![address_of(to, "/tcp/").await]).await.unwrap();
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
