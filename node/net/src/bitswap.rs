//! Bitswap: blocks, asked of peers by their CIDs and given to them.
//!
//! ```text
//!  fetch ─► frontier ─► session ─► outbox ─┐                     ┌─► our stream ───► peer
//!    │    (what is missing)  (whom to ask) ├─ link (one a peer) ─┘
//!  store ──────────────► reply ◄── engine ─┘  (what it wants) ◄───── its streams ◄── peer
//! ```
//! - [`engine`], [`reply`]: what others want of us, and what we answer.
//! - [`session`]: which blocks a fetch wants, and whom it asks.
//! - [`frontier`]: the walk over a DAG that is being fetched.
//!
//! All of these are without input or output. Around them are a task for each peer that has something to be told, one for each stream that
//! a peer opens, and one for each fetch. Version 1.2.0 is spoken with who knows it, and 1.1.0 and 1.0.0 with others.
//!
//! Everything has a limit, [`Limits`]. Nothing is stored that no fetch asked for, and nothing whose bytes are not those of its CID. Who
//! floods, does not read, or sends what is no message is not listened to for a while; its wants cost what those of an honest peer do.
//!
//! Source: `spec/network.md` 5.3, 12.

use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::store::{BlockStore, Watched};
use filecash_ipld::wire::bitswap::Version;
use filecash_ipld::{Block, Cid};
use libp2p::{PeerId, StreamProtocol};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::interval;

use self::engine::{Hash, WantLimits};
use self::frontier::{DagLimits, Progress};
use self::shared::Shared;
use crate::host::{Host, HostEvent};
use crate::streams::{AlreadyServed, Served, serve};

mod budget;
mod choice;
pub mod engine;
mod fetch;
pub mod frontier;
mod inbound;
mod link;
mod outbox;
mod remote;
pub mod reply;
pub mod session;
mod shared;

pub use fetch::FetchError;

/// Between two looks at who is connected.
const LOOK: Duration = Duration::from_secs(30);
const SERVED: Served = Served { streams: 1024, per_peer: 128 };

/// How bitswap is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What stands before the names of the protocols: `/chain` for blocks of the chain, else nothing.
    pub prefix: String,
    /// What it may cost.
    pub limits: Limits,
}

/// What bitswap may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Peers that are told something.
    pub peers: usize,
    /// What others may want of us.
    pub wants: WantLimits,
    /// Bytes of blocks that are being sent.
    pub sending: usize,
    /// Bytes of messages that are being received.
    pub receiving: usize,
    /// Bytes of messages that are being received of peers which a fetch asks: apart, so that nobody else holds it up.
    pub answers: usize,
    /// Those of one peer, in either.
    pub receiving_per_peer: usize,
    /// Fetches at a time.
    pub fetches: usize,
    /// Bytes that a fetch asks for or holds.
    pub window: usize,
    /// How long a fetch waits when nothing comes.
    pub patience: Duration,
    /// And when all peers say that they do not have a block.
    pub absence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 256,
            wants: WantLimits { per_peer: 1024, all: 1 << 16 },
            sending: 32 << 20,
            receiving: 48 << 20,
            answers: 24 << 20,
            receiving_per_peer: 12 << 20,
            fetches: 8,
            window: 24 << 20,
            patience: Duration::from_secs(60),
            absence: Duration::from_secs(3),
        }
    }
}

/// What has been sent and has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blocks that were written to peers.
    pub blocks_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Blocks that a fetch wanted.
    pub blocks_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Blocks that came once more.
    pub duplicates: u64,
    /// Blocks that nobody wanted.
    pub unasked: u64,
    /// Wants of others that there was no room for.
    pub wants_refused: u64,
    /// How often a peer did what no honest one does.
    pub offences: u64,
}

/// Why bitswap did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BitswapError {
    #[error("{0:?} makes no name of a protocol")]
    Prefix(String),
    #[error("bitswap is done already")]
    Served(#[from] AlreadyServed),
}

/// Bitswap on a host, which runs as long, until all handles are gone.
#[derive(Clone)]
pub struct Bitswap(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.lock().links.values().for_each(|link| link.task.abort());
    }
}

/// The names of the protocols with a prefix, the one to ask for first in front.
fn protocols(prefix: &str) -> Vec<(StreamProtocol, Version)> {
    let named = Version::ALL.map(|version| (version.protocol(), version));
    let all = named.into_iter().chain([("/ipfs/bitswap", Version::V1_0_0)]);
    let with_prefix =
        |(name, version)| Some((StreamProtocol::try_from_owned(format!("{prefix}{name}")).ok()?, version));
    all.filter_map(with_prefix).collect()
}

/// Begins: gives others what is in a store, and gets for it what is asked for.
///
/// # Errors
/// [`BitswapError`].
pub fn run(host: &Host, store: Arc<dyn BlockStore>, options: Options) -> Result<Bitswap, BitswapError> {
    let protocols: Vec<_> = protocols(&options.prefix).into_iter().map(|(protocol, _)| protocol).collect();
    if protocols.is_empty() {
        return Err(BitswapError::Prefix(options.prefix));
    }
    let shared = Arc::new(Shared::new(store, options, host.control()));
    let reader = Arc::clone(&shared);
    let serving = serve(host, &protocols, SERVED, move |peer, stream| inbound::run(Arc::clone(&reader), peer, stream))?;
    let watching = tokio::spawn(watch(host.clone(), host.events(), Arc::clone(&shared)));
    Ok(Bitswap(Arc::new(Running { shared, tasks: [serving.abort_handle(), watching.abort_handle()] })))
}

/// Learns who comes and goes.
async fn watch(host: Host, mut events: Receiver<HostEvent>, shared: Arc<Shared>) {
    let mut look = interval(LOOK);
    loop {
        let has_missed = tokio::select! {
            event = events.recv() => match event {
                Ok(HostEvent::Gone { peer }) => {
                    shared.gone(&peer);
                    false
                }
                Ok(HostEvent::Identified { peer, .. }) => {
                    shared.came(peer);
                    false
                }
                Ok(HostEvent::Gossip { .. } | HostEvent::Fewer { .. }) => false,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => break,
            },
            _ = look.tick() => true,
        };
        if has_missed {
            // What a peer said may be heard after it has gone.
            let Ok(peers) = host.peers().await else { break };
            shared.stay(&peers.iter().map(|info| info.peer).collect());
        }
    }
}

impl Bitswap {
    /// Fetches all of a DAG into the store from peers, who are connected or can be dialled, and tells how far it is. What is in the store
    /// already is not asked for. Dropping it ends it; what came is kept, but for the last second's.
    ///
    /// # Errors
    /// [`FetchError`]. What has come is kept, so that another try goes on from there.
    pub async fn fetch(
        &self,
        root: &Cid,
        peers: &[PeerId],
        mut report: impl FnMut(Progress) + Send,
    ) -> Result<Progress, FetchError> {
        fetch::fetch(&self.0.shared, root, peers, DagLimits::DEFAULT, &mut report).await
    }

    /// As [`Bitswap::fetch`], within limits.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_within(
        &self,
        root: &Cid,
        peers: &[PeerId],
        limits: DagLimits,
        mut report: impl FnMut(Progress) + Send,
    ) -> Result<Progress, FetchError> {
        fetch::fetch(&self.0.shared, root, peers, limits, &mut report).await
    }

    /// One block, from the store or into it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn block(&self, cid: &Cid, peers: &[PeerId]) -> Result<Block, FetchError> {
        if let Some(block) = self.stored(cid).await? {
            return Ok(block);
        }
        fetch::fetch(&self.0.shared, cid, peers, DagLimits::ROOT, &mut |_| ()).await?;
        self.stored(cid).await?.ok_or_else(|| FetchError::Nowhere(Box::new(*cid)))
    }

    async fn stored(&self, cid: &Cid) -> Result<Option<Block>, FetchError> {
        let (store, cid) = (Arc::clone(&self.0.shared.store), *cid);
        let bytes = spawn_blocking(move || store.get(&cid)).await??;
        Ok(bytes.map(|bytes| Block::trusted(cid, bytes)))
    }

    /// Has peers get the blocks that they wait for when somebody else puts these into the store.
    pub fn watch<S>(&self, store: &Watched<S>) {
        // The store does not have bitswap go on that nobody has any more.
        let running = Arc::downgrade(&self.0);
        store.watch(Box::new(move |blocks| {
            if let Some(running) = running.upgrade() {
                let hashes: Vec<Hash> = blocks.iter().map(|block| *block.cid().hash()).collect();
                running.shared.arrived(&hashes);
            }
        }));
    }

    /// What has been sent and has come.
    pub fn stats(&self) -> Stats {
        self.0.shared.lock().stats
    }

    /// How many wants of others are kept.
    pub fn wants(&self) -> usize {
        self.0.shared.lock().engine.wants()
    }
}
