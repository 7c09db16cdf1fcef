//! Nodes that see each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use filecash_net::gossip::Verdict;
use filecash_net::host::{AGENT, Host, HostOptions};
use filecash_net::{PeerId, identity};
use filecash_rpc::auth::Level;
use filecash_rpc::node::Access;
use serde_json::{Value, json};

use crate::support::{FILECASH, Served, start};

fn node() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let key = identity::load_or_make(&folder.path().join("key")).unwrap();
    let host = |runtime: &tokio::runtime::Runtime| {
        let _inside = runtime.enter();
        Some(Host::start(&key, &HostOptions::on_loopback("testing"), Arc::new(|_, _| Verdict::Ignore)).unwrap().0)
    };
    start("filecash-genesis.car", FILECASH, Access::default(), host)
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

#[test]
fn nodes_connect_and_see_each_other() {
    let (one, other) = (node(), node());
    until("listening", || !other.get("NetAddrsListen", json!([]))["Addrs"].as_array().unwrap().is_empty());
    let place = other.get("NetAddrsListen", json!([]));
    let (id, own) = (other.get("ID", json!([])), one.get("ID", json!([])));
    assert_eq!(place["ID"], id);
    assert_eq!(one.get("NetConnectedness", json!([id])), 0);
    assert_eq!(one.call("NetConnect", json!([place])).unwrap_err().0, 1);
    let bearer = format!("Bearer {}", one.token(&Level::ALL));
    let admin = |method: &str, params: Value| one.call_with(&[("authorization", &bearer)], method, params);
    assert_eq!(admin("NetConnect", json!([place])), Ok(Value::Null));
    for (node, peer) in [(&one, &id), (&other, &own)] {
        until("identified", || node.call("NetAgentVersion", json!([peer])).is_ok());
        assert_eq!(node.get("NetAgentVersion", json!([peer])), AGENT);
        assert_eq!(node.get("NetConnectedness", json!([peer])), 1);
        let peers = node.get("NetPeers", json!([]));
        assert_eq!((peers.as_array().unwrap().len(), &peers[0]["ID"]), (1, peer));
        let address = peers[0]["Addrs"][0].as_str().unwrap();
        assert!(address.starts_with("/ip4/127.0.0.1/") && !address.contains("p2p"), "{address}");
        assert_eq!(node.get("NetFindPeer", json!([peer])), peers[0]);
        let scores = node.get("NetPubsubScores", json!([]));
        assert!(scores[0]["ID"] == *peer && scores[0]["Score"]["Score"].is_number(), "{scores}");
    }
    assert_eq!(admin("NetDisconnect", json!([id])), Ok(Value::Null));
    until("both see the end", || {
        [&one, &other].iter().all(|node| node.get("NetPeers", json!([])).as_array().unwrap().is_empty())
    });
    let stranger = PeerId::random().to_base58();
    assert!(one.fails("NetFindPeer", json!([stranger])).contains("not found"));
    let dead = json!([{ "ID": stranger, "Addrs": ["/ip4/127.0.0.1/tcp/1"] }]);
    assert!(admin("NetConnect", dead).unwrap_err().1.contains("cannot connect"));
    for wrong in [json!([{ "ID": "x", "Addrs": [] }]), json!([{ "Addrs": [] }]), json!(["x"])] {
        assert_eq!(admin("NetConnect", wrong).unwrap_err().0, -32700);
    }
    assert!(admin("NetConnect", json!([{ "ID": stranger, "Addrs": ["x"] }])).unwrap_err().1.contains("no address"));
    assert!(admin("NetConnect", json!([{ "ID": stranger, "Addrs": null }])).is_err());
}
