//! Graphsync between hosts: parts of DAGs, asked of others and answered from a store.
//!
//! ```text
//!   a stream comes in ─► messages ─┬─ requests ──► the peer's responder ─► messages ─► the stream that goes out
//!                                  └─ responses ─► the pull that asked ──► the store
//! ```
//! Each side opens its own stream for what it says, one for each version. Of a peer, one message is read, one is being taken, one is being made
//! and one is being written at a time, so that who reads or keeps slowly slows the other down, and nothing piles up.
//!
//! | | At most |
//! |---|---|
//! | messages that are made or written | 16, each of 512 KiB and a block, 2 of a peer |
//! | of those that are not read within 2 s | 64, which hold up nobody |
//! | long messages that are read of peers that were asked nothing | 16, of which 2 are taken apart |
//! | requests of a peer | [`RespondLimits`] |
//! | without a byte | 30 s, then the stream is over |
//!
//! Source: `spec/network.md` 11.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use filecash_ipld::Block;
use filecash_ipld::graphsync::{Admit, Asked, AtMostDepth, RespondLimits};
use filecash_ipld::store::BlockStore;
use filecash_ipld::wire::graphsync::{Extensions, Message, RequestId, Response, Status, Version};
use filecash_ipld::wire::{MAX_MESSAGE, WireError};
use libp2p::{PeerId, StreamProtocol};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::host::{Host, HostEvent, IncomingStream};
use crate::streams::{AlreadyServed, Served, StreamError, read_frame_gated, serve};
use answering::Order;

mod answering;
mod asking;
mod hooks;
mod out;

pub use asking::{FetchError, FetchOptions, Heard, Pulled, Source, Wish};
pub use hooks::{Hooks, Share};
pub use out::SayError;

/// Streams that are read.
const SERVED: Served = Served { streams: 128, per_peer: 4 };
/// Without a byte.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two messages on a stream.
const IDLE: Duration = Duration::from_secs(600);
/// Messages that are made or written, and long ones that are read, at a time.
const AT_ONCE: usize = 16;
/// Messages that are written to who has not read them for two seconds, at a time.
const SLOW: usize = 64;
/// Long messages that are taken apart at a time.
const APART: usize = 2;
/// Messages of more bytes are taken apart where that holds up nothing else.
const LONG: usize = 16 << 10;
/// Parts of an answer that may wait for who takes them.
const PARTS: usize = 1;

/// How graphsync is run.
#[derive(Clone)]
pub struct GraphsyncOptions {
    /// What a peer may ask for.
    pub limits: RespondLimits,
    /// What is answered, and who is told of it.
    pub hooks: Arc<dyn Hooks>,
    /// The versions that are spoken, the one to ask in first in front.
    pub versions: Vec<Version>,
}

impl Default for GraphsyncOptions {
    /// Whatever goes no deeper than stock responders go is answered, and to everybody.
    fn default() -> Self {
        Self {
            limits: RespondLimits::default(),
            hooks: Arc::new(|_: PeerId, asked: &Asked| AtMostDepth::default().admit(asked)),
            versions: Version::ALL.to_vec(),
        }
    }
}

/// How much came and went.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Totals {
    pub blocks_sent: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub blocks_received: AtomicU64,
    pub bytes_received: AtomicU64,
    /// Of blocks for which nobody waits, or no more.
    pub bytes_unasked: AtomicU64,
    pub requests_answered: AtomicU64,
    pub requests_refused: AtomicU64,
    pub messages_refused: AtomicU64,
}

/// Part of an answer.
struct Part {
    response: Response,
    blocks: Vec<Block>,
}

/// Graphsync on a host, until that ends.
#[derive(Clone)]
pub struct Graphsync(Arc<Inner>);

struct Inner {
    host: Host,
    store: Arc<dyn BlockStore>,
    options: GraphsyncOptions,
    out: out::Out,
    desks: answering::Desks,
    /// Messages that may be made or written.
    made: Arc<Semaphore>,
    /// Messages that nobody reads for a while.
    slow: Semaphore,
    /// Long messages that may be read.
    read: Semaphore,
    /// Long messages that may be taken apart.
    apart: Semaphore,
    /// Who waits for answers.
    pulls: Mutex<HashMap<(PeerId, RequestId), mpsc::Sender<Part>>>,
    /// The next number for a request of version 1.
    number: AtomicI32,
    totals: Arc<Totals>,
}

impl Graphsync {
    /// Answers others from a store, which also keeps what is asked of them.
    ///
    /// # Errors
    /// [`AlreadyServed`] when that is done already.
    pub fn run(
        host: &Host,
        store: Arc<dyn BlockStore>,
        options: GraphsyncOptions,
    ) -> Result<(Self, Vec<JoinHandle<()>>), AlreadyServed> {
        let graphsync = Self(Arc::new(Inner {
            host: host.clone(),
            store,
            options,
            out: out::Out::new(host.clone()),
            desks: answering::Desks::default(),
            made: Arc::new(Semaphore::new(AT_ONCE)),
            slow: Semaphore::new(SLOW),
            read: Semaphore::new(AT_ONCE),
            apart: Semaphore::new(APART),
            pulls: Mutex::default(),
            number: AtomicI32::new(0),
            totals: Arc::default(),
        }));
        let mut tasks = Vec::new();
        for version in graphsync.0.options.versions.clone() {
            let inner = Arc::clone(&graphsync.0);
            let protocol = StreamProtocol::new(version.protocol());
            tasks.push(serve(host, &[protocol], SERVED, move |peer, stream| {
                let inner = Arc::clone(&inner);
                async move {
                    if let Err(error) = inner.listen(peer, version, stream).await {
                        inner.totals.messages_refused.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(%peer, %error, "graphsync");
                    }
                }
            })?);
        }
        let inner = Arc::clone(&graphsync.0);
        tasks.push(tokio::spawn(inner.forget_who_is_gone()));
        Ok((graphsync, tasks))
    }

    /// How much came and went.
    pub fn totals(&self) -> &Totals {
        &self.0.totals
    }

    /// Stops answering a request for now, and says so. It and the next two are done in order, and soon; [`Hooks`] may call them.
    pub fn pause(&self, peer: PeerId, id: RequestId) {
        self.0.tell(peer, id, Order::Pause);
    }

    /// Goes on with a request.
    pub fn resume(&self, peer: PeerId, id: RequestId, extensions: Extensions) {
        self.0.tell(peer, id, Order::Resume(extensions));
    }

    /// Ends a request.
    pub fn refuse(&self, peer: PeerId, id: RequestId, status: Status) {
        self.0.tell(peer, id, Order::End(status));
    }
}

/// Why a stream is not listened to any more.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a message was not taken apart")]
    Task,
}

impl Inner {
    /// Takes what a peer says on a stream.
    async fn listen(
        self: &Arc<Self>,
        peer: PeerId,
        version: Version,
        mut stream: IncomingStream,
    ) -> Result<(), ListenError> {
        loop {
            // Of whom we asked something, long messages are what we asked for.
            let gate = (!self.waits_for(peer)).then_some(&self.read);
            let Some((frame, place)) = read_frame_gated(&mut stream, MAX_MESSAGE, IDLE, SILENCE, gate).await? else {
                return Ok(());
            };
            let (responses, blocks) = self.take_apart(peer, version, frame).await?;
            drop(place);
            self.hand_out(peer, responses, blocks).await;
        }
    }

    /// Takes the requests of a message, and gives the rest back. Taken apart it needs many times the memory, until the requests are taken.
    async fn take_apart(
        self: &Arc<Self>,
        peer: PeerId,
        version: Version,
        frame: Vec<u8>,
    ) -> Result<(Vec<Response>, Vec<Block>), ListenError> {
        let message = if frame.len() < LONG {
            Message::decode(version, &frame)?
        } else {
            // A semaphore that nobody closes gives a place to everybody in turn.
            let place = self.apart.acquire().await.ok();
            let decoded = spawn_blocking(move || Message::decode(version, &frame));
            let mut message = decoded.await.map_err(|_| ListenError::Task)??;
            let requests = std::mem::take(&mut message.requests);
            if !requests.is_empty() {
                self.take(peer, version, requests).await;
            }
            drop(place);
            message
        };
        if !message.requests.is_empty() {
            self.take(peer, version, message.requests).await;
        }
        Ok((message.responses, message.blocks))
    }

    fn waits_for(&self, peer: PeerId) -> bool {
        let pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.keys().any(|(asked, _)| *asked == peer)
    }

    /// Gives each pull its part of the answers. What nobody waits for is dropped.
    async fn hand_out(&self, peer: PeerId, responses: Vec<Response>, mut blocks: Vec<Block>) {
        let is_one = responses.len() == 1;
        let bytes_of = |blocks: &[Block]| blocks.iter().map(|block| block.bytes().len() as u64).sum::<u64>();
        let mut unasked = bytes_of(&blocks);
        for response in responses {
            let pull = {
                let pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
                pulls.get(&(peer, response.id)).cloned()
            };
            let Some(pull) = pull else { continue };
            let blocks = if is_one {
                std::mem::take(&mut blocks)
            } else {
                let named = |block: &&Block| response.links.iter().any(|(cid, _)| cid == block.cid());
                blocks.iter().filter(named).cloned().collect()
            };
            let bytes = bytes_of(&blocks);
            self.totals.blocks_received.fetch_add(blocks.len() as u64, Ordering::Relaxed);
            self.totals.bytes_received.fetch_add(bytes, Ordering::Relaxed);
            unasked = unasked.saturating_sub(bytes);
            // Who asked may have given up.
            let _ = pull.send(Part { response, blocks }).await;
        }
        self.totals.bytes_unasked.fetch_add(unasked, Ordering::Relaxed);
    }

    /// Forgets peers that are gone, and everybody when the host ends.
    async fn forget_who_is_gone(self: Arc<Self>) {
        let mut events = self.host.events();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    // It may have come back before we heard of it.
                    Ok(HostEvent::Gone { peer }) if !self.host.is_connected(peer).await.unwrap_or(false) => {
                        self.lose(peer).await;
                        self.out.forget(peer);
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                },
                () = self.host.ended() => break,
            }
        }
        self.desks.forget_all();
        self.out.forget_all();
    }
}
