//! A socket: calls and their answers in any order, and channels.
//!
//! ```text
//! --> {"id": 1, "method": "Filecoin.ChainNotify", "params": []}
//! <-- {"id": 1, "result": 5}                                              the channel
//! <-- {"method": "xrpc.ch.val", "params": [5, [{"Type": "current", "Val": …}]]}
//! --> {"method": "xrpc.cancel", "params": [1]}                            by the id of the request
//! <-- {"method": "xrpc.ch.close", "params": [5]}
//! ```
//!
//! Source: `spec/attach.md` B.3.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::call::{Call, Fault, Request, notification, response};
use crate::http::respond;
use crate::limits::{CALLS_OF_SOCKET, CHANNELS, PING, SILENCE, WRITE};
use crate::methods::{Method, find};
use crate::node::{Caller, Node};
use crate::notify::{Change, Kind, told, way};
use crate::server::stopped;

/// Texts that wait to be sent.
const WAITING: usize = 4;
const CANCEL: &str = "xrpc.cancel";
const VALUE: &str = "xrpc.ch.val";
const CLOSE: &str = "xrpc.ch.close";

/// Serves a socket until it ends, says nothing for too long, does not take what it is sent, or the node ends.
pub async fn serve(mut socket: WebSocket, node: Arc<Node>, caller: Caller) {
    let (sender, mut texts) = mpsc::channel(WAITING);
    let mut stop = node.stop.subscribe();
    let mut session = Session {
        node,
        caller: Arc::new(caller),
        sender,
        calls: JoinSet::new(),
        channels: HashMap::new(),
        channel_tasks: JoinSet::new(),
        last_channel: 0,
    };
    let (mut ping, mut heard) = (interval(PING), Instant::now());
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let has_room = session.calls.len() < CALLS_OF_SOCKET;
        let message = tokio::select! {
            came = socket.recv(), if has_room => match came {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(message)) => {
                    heard = Instant::now();
                    session.came(&message);
                    continue;
                }
            },
            Some(text) = texts.recv() => Message::Text(text.into()),
            Some(_) = session.calls.join_next() => {
                // While there was no room nobody was listened to.
                heard = Instant::now();
                continue;
            }
            Some(ended) = session.channel_tasks.join_next_with_id() => {
                let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                match session.closed(task) {
                    Some(text) => Message::Text(text.into()),
                    None => continue,
                }
            }
            _ = ping.tick() => {
                if has_room && heard.elapsed() > SILENCE {
                    break;
                }
                Message::Ping(Vec::new().into())
            }
            () = stopped(&mut stop) => {
                let _ = timeout(WRITE, socket.send(Message::Close(None))).await;
                break;
            }
        };
        if !matches!(timeout(WRITE, socket.send(message)).await, Ok(Ok(()))) {
            break;
        }
    }
}

/// A channel that is open.
struct Channel {
    number: u64,
    task: AbortHandle,
}

struct Session {
    node: Arc<Node>,
    caller: Arc<Caller>,
    sender: mpsc::Sender<String>,
    calls: JoinSet<()>,
    /// By the text of the id of the request for them.
    channels: HashMap<String, Channel>,
    channel_tasks: JoinSet<()>,
    last_channel: u64,
}

impl Session {
    /// Takes what came. Answers are sent in their time.
    fn came(&mut self, message: &Message) {
        let text = match message {
            Message::Text(text) => text.as_bytes().to_vec(),
            Message::Binary(bytes) => bytes.to_vec(),
            _ => return,
        };
        if let Ok(Request::One(call)) = Request::parse(&text) {
            if call.method == CANCEL {
                return self.cancel(&call);
            }
            if let Some(method) = find(&call.method).filter(|method| method.is_channel()) {
                return self.open(method, &call);
            }
        }
        let (node, caller, sender) = (Arc::clone(&self.node), Arc::clone(&self.caller), self.sender.clone());
        self.calls.spawn(async move {
            let (_, text) = respond(&node, &caller, &text).await;
            if !text.is_empty() {
                // If nobody sends any more the socket has ended.
                let _ = sender.send(text).await;
            }
        });
    }

    /// Ends the channel of a request.
    fn cancel(&mut self, call: &Call<'_>) {
        let params: Option<Vec<&RawValue>> = call.params.and_then(|params| serde_json::from_str(params.get()).ok());
        let channel = params.and_then(|params| self.channels.get(params.first()?.get()));
        if let Some(channel) = channel {
            channel.task.abort();
        }
    }

    /// What is told when a channel's task has ended.
    fn closed(&mut self, task: tokio::task::Id) -> Option<String> {
        let id = self.channels.iter().find(|(_, channel)| channel.task.id() == task)?.0.clone();
        let channel = self.channels.remove(&id)?;
        Some(notification(CLOSE, &format!("[{}]", channel.number)))
    }

    fn open(&mut self, method: &Method, call: &Call<'_>) {
        let Some(id) = call.id.map(RawValue::to_owned) else { return };
        let admitted = method.admit(call.params, &self.caller).and_then(|_| {
            let is_open = self.channels.contains_key(id.get());
            match is_open || self.channels.len() >= CHANNELS {
                true => Err(Fault::Failed("there are too many channels, or one of this id".to_owned())),
                false => Ok(()),
            }
        });
        let code = admitted.as_ref().map_or_else(Fault::code, |()| 0);
        self.node.counts.add(method.name, code);
        let sender = self.sender.clone();
        if let Err(fault) = admitted {
            self.calls.spawn(async move { drop(sender.send(response(Some(&id), &Err(fault))).await) });
            return;
        }
        self.last_channel += 1;
        let number = self.last_channel;
        let first = response(Some(&id), &crate::call::result(&number));
        let node = Arc::clone(&self.node);
        let task = self.channel_tasks.spawn(async move {
            if sender.send(first).await.is_ok()
                && let Err(fault) = heads(&node, &sender, number).await
            {
                tracing::debug!(%fault, "a channel ends");
            }
        });
        self.channels.insert(id.get().to_owned(), Channel { number, task });
    }
}

/// Tells of heads until nobody listens.
async fn heads(node: &Arc<Node>, sender: &mpsc::Sender<String>, number: u64) -> Result<(), Fault> {
    let mut heads = node.ledger.heads();
    let prefix = node.ledger.network().prefix;
    let mut last = Arc::clone(&heads.borrow_and_update());
    let mut changes = vec![Change { kind: Kind::Current, tipset: Arc::clone(&last) }];
    loop {
        if !changes.is_empty() {
            let text = notification(VALUE, &format!("[{number},{}]", told(&changes, prefix)?.get()));
            if sender.send(text).await.is_err() {
                return Ok(());
            }
        }
        if heads.changed().await.is_err() {
            return Ok(());
        }
        let next = Arc::clone(&heads.borrow_and_update());
        let (from, to) = (last, Arc::clone(&next));
        changes = node.read(move |ledger, deadline| way(ledger, &from, &to, deadline)).await?;
        last = next;
    }
}
