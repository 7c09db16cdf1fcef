//! What tests of hosts with foreign peers have in common.
#![allow(dead_code, reason = "not every test needs all of it")]

use filecash_net::PeerId;
use filecash_net::host::Host;
use serde_json::Value;

use crate::peer::Peer;

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
