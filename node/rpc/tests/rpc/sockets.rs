//! Calls and channels over WebSockets.

use std::sync::Arc;
use std::time::Duration;

use filecash_rpc::limits::CHANNELS;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Served, filecoin, key};

use futures_util::{SinkExt, StreamExt};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn open(served: &Served) -> Self {
        Self(connect_async(format!("ws://{}/rpc/v0", served.address)).await.unwrap().0)
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
