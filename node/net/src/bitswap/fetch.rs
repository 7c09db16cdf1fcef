//! The task of a fetch: a walk over a DAG, blocks that come, and the store, each going on while the others do.
//!
//! ```text
//!          ┌── missing ──► session ──► peers
//! frontier ┤                             │
//!          └◄── blocks ◄─────────────────┘
//!                 └──► batch ──► store, in batches of 8 MiB
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use filecash_ipld::store::{BATCH_BLOCKS, BATCH_BYTES, StoreError};
use filecash_ipld::{Block, Cid};
use libp2p::PeerId;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::engine::Hash;
use super::frontier::{DagError, DagLimits, Frontier, Missing, Progress};
use super::shared::Shared;

/// Between two looks at who is late.
const TICK: Duration = Duration::from_millis(200);
/// A batch that is not full is kept after this time.
const LINGER: Duration = Duration::from_secs(1);

/// Why a fetch is not at its end. What has come is in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FetchError {
    #[error("there is nobody to ask for {0}")]
    NoPeers(Box<Cid>),
    #[error("there are {0} fetches already")]
    Busy(usize),
    #[error(transparent)]
    Dag(#[from] DagError),
    #[error("the blocks cannot be kept")]
    Store(#[from] StoreError),
    #[error("no peer has block {0}")]
    Nowhere(Box<Cid>),
    #[error("no peer can be reached")]
    Lost,
    #[error("no block came for {seconds} s; {cid} is waited for")]
    Silent { cid: Box<Cid>, seconds: u64 },
    #[error("a thread of the fetch ended")]
    Thread,
}

impl From<JoinError> for FetchError {
    fn from(_: JoinError) -> Self {
        Self::Thread
    }
}

/// A fetch among those of the node, until it is dropped.
struct Place {
    shared: Arc<Shared>,
    id: u64,
    wake: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.end(self.id);
    }
}

/// What a turn of the frontier gives.
struct Turned {
    frontier: Frontier,
    blocks: Vec<Block>,
    missing: Result<Vec<Missing>, DagError>,
}

struct Driver<'a> {
    place: Place,
    report: &'a mut (dyn FnMut(Progress) + Send),
    /// Not here while it takes a turn.
    frontier: Option<Frontier>,
    turning: Option<JoinHandle<Turned>>,
    batch: Vec<Block>,
    batch_bytes: usize,
    since: Instant,
    writing: Option<JoinHandle<Result<Kept, StoreError>>>,
    /// What is in the store since the frontier went away.
    kept: VecDeque<Hash>,
    progress: Progress,
    /// When something went forward.
    moved: Instant,
}

/// What was put into the store.
struct Kept {
    hashes: Vec<Hash>,
    bytes: usize,
}

pub(super) async fn fetch(
    shared: &Arc<Shared>,
    root: &Cid,
    peers: &[PeerId],
    limits: DagLimits,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Progress, FetchError> {
    if peers.is_empty() {
        return Err(FetchError::NoPeers(Box::new(*root)));
    }
    let (id, wake) = shared.begin(peers).ok_or(FetchError::Busy(shared.options.limits.fetches))?;
    let now = Instant::now();
    let mut driver = Driver {
        place: Place { shared: Arc::clone(shared), id, wake },
        report,
        frontier: Some(Frontier::new(root, limits)),
        turning: None,
        batch: Vec::new(),
        batch_bytes: 0,
        since: now,
        writing: None,
        kept: VecDeque::new(),
        progress: Progress::default(),
        moved: now,
    };
    let outcome = driver.run().await;
    let flushed = driver.flush().await;
    outcome?;
    flushed?;
    Ok(driver.progress)
}

impl Driver<'_> {
    async fn run(&mut self) -> Result<(), FetchError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let wake = Arc::clone(&self.place.wake);
        loop {
            self.start_turn();
            if self.is_done() {
                return Ok(());
            }
            self.start_writing();
            tokio::select! {
                turned = joined(&mut self.turning) => self.turned(turned?)?,
                kept = joined(&mut self.writing) => self.wrote(kept??),
                () = wake.notified(), if self.frontier.is_some() => {}
                _ = tick.tick() => self.look()?,
            }
        }
    }

    /// Hands blocks that came to the frontier, and asks it for more, if there is either.
    fn start_turn(&mut self) {
        let Some(frontier) = &mut self.frontier else { return };
        frontier.kept(self.kept.drain(..).collect::<Vec<_>>().iter());
        let taken = self.place.shared.with(self.place.id, |session, _| (session.take_ready(), session.room()));
        let (blocks, room) = taken.unwrap_or_default();
        if blocks.is_empty() && (room == 0 || !frontier.has_more()) {
            return;
        }
        let Some(mut frontier) = self.frontier.take() else { return };
        let store = Arc::clone(&self.place.shared.store);
        self.turning = Some(spawn_blocking(move || {
            let arrived = blocks.iter().try_for_each(|block| frontier.arrived(block));
            let missing = arrived.and_then(|()| frontier.turn(&*store, room));
            Turned { frontier, blocks, missing }
        }));
    }

    fn turned(&mut self, turned: Turned) -> Result<(), FetchError> {
        let Turned { frontier, blocks, missing } = turned;
        if self.batch.is_empty() {
            self.since = Instant::now();
        }
        self.batch_bytes += blocks.iter().map(|block| block.bytes().len()).sum::<usize>();
        self.batch.extend(blocks);
        let progress = frontier.progress();
        self.frontier = Some(frontier);
        if progress != self.progress {
            (self.progress, self.moved) = (progress, Instant::now());
            (self.report)(progress);
        }
        let missing = missing?;
        self.place.shared.with(self.place.id, |session, now| {
            for Missing { cid, size } in missing {
                session.want(cid, size, now);
            }
        });
        Ok(())
    }

    fn start_writing(&mut self) {
        let is_full = self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_BLOCKS;
        let is_due = is_full || self.since.elapsed() >= LINGER || self.is_idle();
        if self.writing.is_some() || self.batch.is_empty() || !is_due {
            return;
        }
        let (store, batch) = (Arc::clone(&self.place.shared.store), std::mem::take(&mut self.batch));
        let bytes = std::mem::take(&mut self.batch_bytes);
        self.writing = Some(spawn_blocking(move || {
            store.put(&batch)?;
            Ok(Kept { hashes: batch.iter().map(|block| *block.cid().hash()).collect(), bytes })
        }));
    }

    fn wrote(&mut self, kept: Kept) {
        self.moved = Instant::now();
        self.place.shared.arrived(&kept.hashes);
        self.place.shared.with(self.place.id, |session, now| session.release(kept.bytes, now));
        self.kept.extend(kept.hashes);
    }

    /// Whether nothing comes before the batch is kept.
    fn is_idle(&self) -> bool {
        self.turning.is_none() && self.place.shared.with(self.place.id, |session, _| session.is_idle()).unwrap_or(true)
    }

    fn is_done(&self) -> bool {
        self.batch.is_empty()
            && self.writing.is_none()
            && self.frontier.as_ref().is_some_and(Frontier::is_done)
            && self.is_idle()
    }

    /// Looks who is late, and whether to wait any longer.
    fn look(&mut self) -> Result<(), FetchError> {
        let found = self.place.shared.with(self.place.id, |session, now| {
            session.tick(now);
            (session.is_lost(), session.nowhere(), session.first())
        });
        let Some((is_lost, nowhere, Some(first))) = found else { return Ok(()) };
        let quiet = self.moved.elapsed();
        let limits = self.place.shared.options.limits;
        if is_lost {
            return Err(FetchError::Lost);
        }
        if let Some(cid) = nowhere
            && quiet >= limits.absence
        {
            return Err(FetchError::Nowhere(Box::new(cid)));
        }
        if quiet >= limits.patience {
            return Err(FetchError::Silent { cid: Box::new(first), seconds: quiet.as_secs() });
        }
        Ok(())
    }

    /// Keeps what has come, however the fetch ends.
    async fn flush(&mut self) -> Result<(), FetchError> {
        if let Some(turning) = self.turning.take() {
            self.batch.extend(turning.await?.blocks);
        }
        let ready = self.place.shared.with(self.place.id, |session, _| session.take_ready());
        self.batch.extend(ready.unwrap_or_default());
        if let Some(writing) = self.writing.take() {
            let kept = writing.await??;
            self.place.shared.arrived(&kept.hashes);
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        let (store, batch) = (Arc::clone(&self.place.shared.store), std::mem::take(&mut self.batch));
        let hashes: Vec<Hash> = batch.iter().map(|block| *block.cid().hash()).collect();
        spawn_blocking(move || store.put(&batch)).await??;
        self.place.shared.arrived(&hashes);
        Ok(())
    }
}

/// The end of a thread's work, if there is any; it is taken away then.
async fn joined<T>(work: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    let Some(handle) = work else { return std::future::pending().await };
    let outcome = handle.await;
    *work = None;
    outcome
}
