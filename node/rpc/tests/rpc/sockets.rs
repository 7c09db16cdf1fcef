//! Calls and channels over WebSockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use filecash_rpc::http::router;
use filecash_rpc::limits::CHANNELS;
use filecash_rpc::server::{Limits, serve};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::support::{Served, filecoin, key};

use futures_util::{SinkExt, StreamExt};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn open(served: &Served) -> Self {
        Self::open_at(served.address).await
    }

    async fn open_at(address: SocketAddr) -> Self {
        Self(connect_async(format!("ws://{address}/rpc/v0")).await.unwrap().0)
    }

    /// One that the system takes little for until it is read.
    async fn with_little_room(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        Self(client_async(format!("ws://{address}/rpc/v0"), stream).await.unwrap().0)
    }

    async fn send(&mut self, text: &str) {
        self.0.send(Message::Text(Utf8Bytes::from(text))).await.unwrap();
    }

    /// The next text.
    async fn next(&mut self) -> Value {
        loop {
            let message = timeout(Duration::from_secs(20), self.0.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Whether the other side ends it.
    async fn ends(&mut self) -> bool {
        let end = async {
            loop {
                match self.0.next().await {
                    None | Some(Err(_) | Ok(Message::Close(_))) => break,
                    Some(Ok(_)) => {}
                }
            }
        };
        timeout(Duration::from_secs(20), end).await.is_ok()
    }
}

fn changes(value: &Value, channel: u64) -> Vec<(String, Value)> {
    assert_eq!((&value["method"], &value["params"][0]), (&json!("xrpc.ch.val"), &json!(channel)));
    assert_eq!(value.get("id"), None);
    let changes = value["params"][1].as_array().unwrap();
    changes.iter().map(|change| (change["Type"].as_str().unwrap().to_owned(), change["Val"]["Cids"].clone())).collect()
}

#[test]
fn new_heads_are_told_as_ways() {
    let served = filecoin();
    served.runtime.block_on(async {
        let tipsets = &served.tipsets;
        let mut client = Client::open(&served).await;
        client.send(r#"{"jsonrpc":"2.0","id":"n","method":"Filecoin.ChainNotify","params":[]}"#).await;
        assert_eq!(client.next().await, json!({ "jsonrpc": "2.0", "result": 1, "id": "n" }));
        assert_eq!(changes(&client.next().await, 1), [("current".to_owned(), key(&tipsets[0]))]);
        let go = |place: usize| served.head.send_replace(Arc::clone(&tipsets[place]));
        go(2);
        let back = [("revert".to_owned(), key(&tipsets[0])), ("revert".to_owned(), key(&tipsets[1]))];
        assert_eq!(changes(&client.next().await, 1), back);
        go(0);
        let forth = [("apply".to_owned(), key(&tipsets[1])), ("apply".to_owned(), key(&tipsets[0]))];
        assert_eq!(changes(&client.next().await, 1), forth);
        // Calls go on beside it.
        client.send(r#"{"id":2,"method":"Filecoin.Version","params":[]}"#).await;
        assert_eq!(client.next().await["result"]["BlockDelay"], 30);
        client.send(r#"{"method":"xrpc.cancel","params":["n"]}"#).await;
        assert_eq!(client.next().await, json!({ "jsonrpc": "2.0", "method": "xrpc.ch.close", "params": [1] }));
        go(2);
        client.send(r#"{"id":3,"method":"Filecoin.Version","params":[]}"#).await;
        assert_eq!(client.next().await["id"], 3, "nothing is told any more");
    });
}

/// The head goes to the genesis and back, again and again.
async fn go_to_and_fro(served: &Served, times: usize) {
    for tipset in [served.tipsets.last(), served.tipsets.first()].into_iter().cycle().take(times) {
        served.head.send_replace(Arc::clone(tipset.unwrap()));
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn who_is_slow_hears_less_and_nothing_wrong() {
    let served = filecoin();
    served.runtime.block_on(async {
        let mut client = Client::with_little_room(served.address).await;
        client.send(r#"{"id":1,"method":"Filecoin.ChainNotify","params":[]}"#).await;
        assert_eq!(client.next().await["result"], 1);
        assert_eq!(changes(&client.next().await, 1)[0].0, "current");
        let moves = 601;
        go_to_and_fro(&served, moves).await;
        // From the genesis to where it has never been.
        served.head.send_replace(Arc::clone(&served.tipsets[5]));
        let (mut place, mut ways) = (0, 0);
        while place != 5 {
            for (kind, cids) in changes(&client.next().await, 1) {
                match kind.as_str() {
                    "revert" => {
                        assert_eq!(cids, key(&served.tipsets[place]));
                        place += 1;
                    }
                    _ => {
                        place -= 1;
                        assert_eq!((kind.as_str(), cids), ("apply", key(&served.tipsets[place])));
                    }
                }
            }
            ways += 1;
        }

        assert!((2..moves / 2).contains(&ways), "{ways} ways");
        client.send(r#"{"id":2,"method":"Filecoin.Version"}"#).await;
        assert_eq!(client.next().await["id"], 2, "nothing is left to be told");
    });
}

#[test]
fn who_takes_nothing_is_dropped() {
    let served = filecoin();
    served.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits { write: Duration::from_secs(1), ..Limits::default() };
        served.runtime.spawn(serve(listener, router(&served.node), limits, served.stop.subscribe()));
        let mut clients = [Client::with_little_room(address).await, Client::open_at(address).await];
        for client in &mut clients {
            client.send(r#"{"id":1,"method":"Filecoin.ChainNotify","params":[]}"#).await;
        }
        let [mut idle, mut busy] = clients;
        let last = key(&served.tipsets[5]);
        let listening = tokio::spawn(async move {
            while busy.next().await["params"][1].as_array().and_then(|told| told.last()?["Val"].get("Cids"))
                != Some(&last)
            {}
            busy
        });
        go_to_and_fro(&served, 401).await;
        sleep(Duration::from_secs(2)).await;
        served.head.send_replace(Arc::clone(&served.tipsets[5]));
        assert!(idle.ends().await, "it is told more");
        let mut busy = timeout(Duration::from_secs(20), listening).await.unwrap().unwrap();
        busy.send(r#"{"id":2,"method":"Filecoin.Version"}"#).await;
        assert_eq!(busy.next().await["id"], 2);
    });
}

#[test]
fn channels_and_nonsense_have_limits() {
    let served = filecoin();
    served.runtime.block_on(async {
        let mut client = Client::open(&served).await;
        for text in [
            "",
            "{",
            "[",
            "7",
            r#"{"id":1}"#,
            r#"{"method":"xrpc.cancel"}"#,
            r#"{"method":"xrpc.cancel","params":[{}]}"#,
        ] {
            client.send(text).await;
        }
        let mut faults = Vec::new();
        for _ in 0..5 {
            faults.push(client.next().await["error"]["code"].as_i64().unwrap());
        }
        faults.sort_unstable();
        assert_eq!(faults, [-32700, -32700, -32600, -32600, -32600]);
        client.0.send(Message::Binary(br#"{"id":1,"method":"Filecoin.Version"}"#.to_vec().into())).await.unwrap();
        assert_eq!(client.next().await["result"]["BlockDelay"], 30);
        for id in 0..=CHANNELS {
            client.send(&format!(r#"{{"id":{id},"method":"Filecoin.ChainNotify","params":[]}}"#)).await;
        }
        let mut refused = 0;
        for _ in 0..=2 * CHANNELS {
            refused += usize::from(client.next().await.get("error").is_some());
        }
        assert_eq!(refused, 1);
        // What is too long ends the socket, and no other.
        let mut other = Client::open(&served).await;
        let _ = client.0.send(Message::Text(" ".repeat((1 << 20) + 1).into())).await;
        assert!(client.ends().await);
        other.send(r#"{"id":1,"method":"Filecoin.Version"}"#).await;
        assert_eq!(other.next().await["result"]["BlockDelay"], 30);
        served.stop.send_replace(true);
        assert!(other.ends().await);
    });
}
