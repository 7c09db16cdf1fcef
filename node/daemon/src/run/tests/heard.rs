//! What callers and peers hear while things come: heads over a socket, blocks that were asked for before they were there.

use filecash_ipld::Cid;
use filecash_net::bitswap::Bitswap;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;

/// A caller who is told of heads.
struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

/// What a caller is told of a tipset.
#[derive(Debug)]
struct Change {
    kind: String,
    key: Value,
    parents: Value,
    height: i64,
}

impl Socket {
    async fn subscribed(address: SocketAddr) -> Self {
        let mut socket = Self(connect_async(format!("ws://{address}/rpc/v1")).await.unwrap().0);
        let answer = socket.call(1, "ChainNotify").await;
        assert_eq!(answer, json!({ "jsonrpc": "2.0", "result": 1, "id": 1 }));
        socket
    }

    /// Calls something, and gives the next that is said.
    async fn call(&mut self, id: u64, method: &str) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": format!("Filecoin.{method}"), "params": [] });
        self.0.send(Message::Text(Utf8Bytes::from(call.to_string()))).await.unwrap();
        self.next().await
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn changes(&mut self) -> Vec<Change> {
        let told = self.next().await;
        let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((&members[..], &told["method"]), (&["jsonrpc", "method", "params"][..], &json!("xrpc.ch.val")));
        let [channel, changes] = &told["params"].as_array().unwrap()[..] else { panic!("{told}") };
        assert_eq!(channel, 1);
        let change = |change: &Value| Change {
            kind: change["Type"].as_str().unwrap().to_owned(),
            key: change["Val"]["Cids"].clone(),
            parents: change["Val"]["Blocks"][0]["Parents"].clone(),
            height: change["Val"]["Height"].as_i64().unwrap(),
        };
        changes.as_array().unwrap().iter().map(change).collect()
    }
}

/// A key, as JSON has it.
fn key(tipset: &Tipset) -> Value {
    tipset.key().iter().map(|cid| json!({ "/": cid.to_string() })).collect()
}

/// A peer that waits for a block for as long as it takes.
struct Waiting {
    host: Host,
    _bitswap: Bitswap,
    coming: JoinHandle<Block>,
}

impl Waiting {
    async fn begin(at: Multiaddr, network: &str, prefix: &str, cid: Cid) -> Self {
        let sandbox = tempfile::tempdir().unwrap();
        let key = load_or_make(&sandbox.path().join("key")).unwrap();
        let (host, _) =
            Host::start(&key, &HostOptions::on_loopback(network), Arc::new(|_, _| Verdict::Accept)).unwrap();
        let peer = host.connect(vec![at]).await.unwrap();
        let limits = bitswap::Limits { absence: 2 * PATIENCE, patience: 2 * PATIENCE, ..bitswap::Limits::default() };
        let options = bitswap::Options { prefix: prefix.to_owned(), limits };
        let bitswap = bitswap::run(&host, Arc::new(MemoryStore::default()), options).unwrap();
        let asking = bitswap.clone();
        let coming = tokio::spawn(async move { asking.block(&cid, &[peer]).await.unwrap() });
        Self { host, _bitswap: bitswap, coming }
    }

    async fn gets(self) -> Block {
        let block = timeout(PATIENCE, self.coming).await.unwrap().unwrap();
        self.host.stop().await;
        block
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_and_peers_hear_what_a_sync_brings() {
    let sandbox = tempfile::tempdir().unwrap();
    let path = |name: &str| sandbox.path().join(name);
    let head = genesis_alone(&path("genesis.car"));
    let fresh = Running::begin(path("fresh"), path("genesis.car"), Vec::new()).await;
    let mut socket = Socket::subscribed(fresh.started.rpc.unwrap()).await;
    let current = socket.changes().await.remove(0);
    assert_eq!((current.kind.as_str(), current.height), ("current", 0));
    let network = &fresh.started.network;
    let waiting = Waiting::begin(fresh.address(), network, "/chain", head.key()[0]).await;
    fresh.until("filecash_node_bitswap_wants{of=\"chain\"} 1").await;

    let full = Running::begin(path("full"), filecoin(), vec![fresh.address()]).await;
    let (mut at, mut heights) = (current.key, vec![0]);
    while heights.last() != Some(&39) {
        for change in socket.changes().await {
            assert_eq!((change.kind.as_str(), &change.parents), ("apply", &at), "after {heights:?}");
            heights.push(change.height);
            at = change.key;
        }
    }
    assert_eq!((at, heights.len(), heights.is_sorted()), (key(&head), 33, true));
    assert_eq!(*waiting.gets().await.cid(), head.key()[0]);
    fresh.until("filecash_node_bitswap_wants{of=\"chain\"} 0").await;
    // Nothing more is told, and the sync says where it was to come to.
    let ended = async {
        loop {
            let sync = socket.call(2, "SyncState").await["result"]["ActiveSyncs"][0].clone();
            if sync["Stage"] == 4 {
                return sync;
            }
            sleep(TICK).await;
        }
    };
    let sync = timeout(PATIENCE, ended).await.unwrap();
    assert_eq!((&sync["Target"]["Cids"], &sync["Base"]["Height"]), (&key(&head), &json!(0)));
    full.end().await;
    fresh.end().await;
}

/// The parts of a node that runs on Filecoin's first heights; where it is called, and its metrics.
async fn assembled(folder: &Path) -> (Parts, services::Running, [SocketAddr; 2]) {
    let mut config = Config::default();
    config.network.genesis = Some(filecoin());
    let stop = watch::Sender::new(false);
    let followed = chain(&config, &folder.join("chain"), &stop).await.unwrap().unwrap();
    let node = Folder::open(&folder.join("node")).unwrap();
    let (parts, _) = assemble(&config, &folder.join("blocks"), followed, &node, stop).unwrap();
    let anywhere = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let doors = Doors {
        rpc: listen("the JSON-RPC", anywhere).await.unwrap(),
        metrics: listen("the metrics", anywhere).await.unwrap(),
        gateway: None,
    };
    let places = [&doors.rpc, &doors.metrics].map(|door| address(door).unwrap());
    let running = services::begin(&parts, doors, &config).unwrap();
    (parts, running, places)
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_get_what_is_put_while_they_wait() {
    let sandbox = tempfile::tempdir().unwrap();
    let (parts, _running, [_, metrics]) = assembled(sandbox.path()).await;
    let block = Block::new(HashKind::Sha256, Codec::Raw, vec![7; 100_000]).unwrap();
    let addresses = addresses(&parts.host, 1).await.unwrap();
    let tcp = addresses.iter().find(|address| address.to_string().contains("/tcp/")).unwrap();
    let at = format!("{tcp}/p2p/{}", parts.host.peer_id()).parse().unwrap();
    let waiting = Waiting::begin(at, &parts.ledger.network().name, "", *block.cid()).await;
    tells(metrics, "filecash_node_bitswap_wants{of=\"data\"} 1").await;
    parts.store.put(std::slice::from_ref(&block)).unwrap();
    assert_eq!(waiting.gets().await, block);
}

/// The fork is made by hand, as nobody's keys are here: it is not checked.
#[tokio::test(flavor = "multi_thread")]
async fn callers_hear_what_a_fork_takes_back() {
    let sandbox = tempfile::tempdir().unwrap();
    let (parts, _running, [rpc, _]) = assembled(sandbox.path()).await;
    let mut socket = Socket::subscribed(rpc).await;
    let head = parts.chain.head().tipset.clone();
    assert_eq!(socket.changes().await[0].key, key(&head));
    let below = parts.chain.chain().tipset(head.parents()).unwrap();
    let mut header = below.first().clone();
    header.election_proof.as_mut().unwrap().win_count = 1000;
    let fork = Tipset::new(vec![header]).unwrap();
    parts.chain.put_headers([&fork]).unwrap();
    assert!(parts.chain.set_head(&fork).unwrap());
    let told: Vec<_> = socket.changes().await.into_iter().map(|change| (change.kind, change.key)).collect();
    let expected = [("revert", &head), ("revert", &below), ("apply", &fork)];
    assert_eq!(told, expected.map(|(kind, tipset)| (kind.to_owned(), key(tipset))));
}
