//! Data transfer between hosts: channels over which DAGs go by graphsync, for reasons that both know.
//!
//! ```text
//!   a message by itself ──► a stream of /fil/datatransfer ─┐
//!   a graphsync request ──► its extensions ────────────────┼─► the channel ─► effects ─► streams, graphsync, whoever waits
//!   a graphsync response ─► its extensions ────────────────┘        └─► a file
//! ```
//! What a channel is, and when it says what, is [`filecash_ipld::data_transfer`]'s; here it is carried. Each message goes by itself on a
//! stream of its own, as other programs do it, in the newest version that the peer speaks.
//!
//! A channel of ours that is cut off is restarted, after a wait that grows, and so is one that is found in the file when the node starts.
//! It has failed when several restarts in a row brought nothing over. One of somebody else waits for them; where they send, they are asked
//! to restart it as long as they are there.
//!
//! | | At most |
//! |---|---|
//! | channels that are not over | [`TransferOptions::channels`], [`TransferOptions::per_peer`] |
//! | channels that are over and remembered | 4,096 |
//! | messages that are read at a time | 32, 4 of a peer, 256 KiB each, 1 KiB/s after 10 s |
//! | messages that wait to be sent to a peer | 64; more are lost as if on the way |
//!
//! Source: `spec/network.md` 10.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use filecash_ipld::data_transfer::{Channel, ChannelError, Decision, Event, News, Validate};
use filecash_ipld::graphsync::AtMostDepth;
use filecash_ipld::selector::{Selector, SelectorError};
use filecash_ipld::store::BlockStore;
use filecash_ipld::wire::data_transfer::{ChannelId, Opening, Typed, Version};
use filecash_ipld::wire::graphsync::RequestId;
use libp2p::PeerId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::graphsync::{Graphsync, GraphsyncOptions, Source};
use crate::host::Host;
use crate::streams::AlreadyServed;

mod asks;
mod channels;
mod hooks;
mod kept;
mod letters;
mod watch;

use channels::Entry;
use kept::Kept;

pub use kept::KeptError;

/// News that may wait for who hears them.
const NEWS: usize = 1 << 10;

/// How data transfer is run.
#[derive(Clone)]
pub struct TransferOptions {
    /// Who decides when another opens a channel with us. It has to return soon.
    pub validate: Arc<dyn Validate + Send + Sync>,
    /// Where channels outlive the process; nowhere if there is no path.
    pub file: Option<PathBuf>,
    /// Channels that are not over. Where there are more, one of somebody else over which nothing went for [`Self::silence`] makes room.
    pub channels: usize,
    /// Those of them that a peer has opened.
    pub per_peer: usize,
    /// How often in a row a channel of ours is restarted before something goes over again.
    pub restarts: u32,
    /// How long the first wait before a restart is; each is twice as long as the one before.
    pub wait: Duration,
    /// How long nothing may happen to a channel of ours before it counts as cut off.
    pub silence: Duration,
    /// How long nothing may happen to a channel of somebody else, unless it is us who waits, before it has failed.
    pub abandoned: Duration,
    /// The versions that are spoken, the one to ask in first in front.
    pub versions: Vec<Version>,
}

impl TransferOptions {
    /// With somebody who decides.
    pub fn new(validate: Arc<dyn Validate + Send + Sync>) -> Self {
        Self {
            validate,
            file: None,
            channels: 256,
            per_peer: 16,
            restarts: 6,
            wait: Duration::from_secs(1),
            silence: Duration::from_secs(30),
            abandoned: Duration::from_secs(24 * 60 * 60),
            versions: Version::ALL.to_vec(),
        }
    }
}

/// Accepts pulls for which no reason is given, of what graphsync gives everybody too. It is for who makes no deals.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreePulls(pub AtMostDepth);

impl Validate for FreePulls {
    fn open(&self, _id: &ChannelId, opening: &Opening) -> Decision {
        let is_free = opening.is_pull && opening.voucher.is_none();
        match Selector::parse(&opening.selector) {
            Ok(selector) if is_free && selector.is_limited_to(self.0.0) => Decision::accept(),
            _ => Decision::refuse(None),
        }
    }

    fn voucher(&self, _channel: &Channel, _voucher: &Typed) -> Option<Decision> {
        Some(Decision::refuse(None))
    }
}

/// Why data transfer does not begin, or something cannot be done about a channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum TransferError {
    #[error("{0} is served already")]
    Served(&'static str),
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("the selector of a channel")]
    Selector(#[from] SelectorError),
    #[error("nobody knows of this channel")]
    Unknown,
    #[error("there are {0} channels already that are not over")]
    TooMany(usize),
    #[error("a graphsync request asks for something else than its channel is for")]
    OtherData,
    #[error("the host has ended")]
    Ended,
}

/// How often what happened to channels.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Totals {
    pub opened: AtomicU64,
    pub accepted: AtomicU64,
    pub restarted: AtomicU64,
    pub cut: AtomicU64,
    pub completed: AtomicU64,
    pub refused: AtomicU64,
    pub cancelled: AtomicU64,
    pub failed: AtomicU64,
    /// Messages that were none, or that made no sense.
    pub messages_refused: AtomicU64,
}

/// Data transfer on a host, until that ends.
#[derive(Clone)]
pub struct DataTransfer(Arc<Inner>);

struct Inner {
    host: Host,
    graphsync: Graphsync,
    options: TransferOptions,
    /// Those that are not over, and those whose end is not in the file yet.
    channels: Mutex<HashMap<ChannelId, Arc<Mutex<Entry>>>>,
    /// For which channels graphsync requests are answered.
    served: Mutex<HashMap<(PeerId, RequestId), ChannelId>>,
    mail: letters::Mail,
    kept: Arc<Kept>,
    /// Channels that are not in the file as they are.
    changed: Mutex<HashSet<ChannelId>>,
    to_keep: Notify,
    news: broadcast::Sender<(ChannelId, News)>,
    /// The last number that was given to a channel of ours.
    number: AtomicU64,
    totals: Totals,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DataTransfer {
    /// Begins, and graphsync with it: requests that say which channel they are for are for it, those that do not for the hooks that were given.
    ///
    /// # Errors
    /// [`TransferError`], also when the file is not one of channels.
    pub fn run(
        host: &Host,
        store: Arc<dyn BlockStore>,
        graphsync: GraphsyncOptions,
        options: TransferOptions,
    ) -> Result<(Self, Graphsync, Vec<JoinHandle<()>>), TransferError> {
        let (kept, found) = Kept::open(options.file.as_deref())?;
        let hooked = Arc::new(hooks::Hooked::new(Arc::clone(&graphsync.hooks)));
        let graphsync = GraphsyncOptions { hooks: Arc::<hooks::Hooked>::clone(&hooked), ..graphsync };
        let served = |what| move |AlreadyServed| TransferError::Served(what);
        let (graphsync, mut tasks) = Graphsync::run(host, store, graphsync).map_err(served("graphsync"))?;
        let inner = Arc::new(Inner {
            host: host.clone(),
            graphsync: graphsync.clone(),
            options,
            channels: Mutex::default(),
            served: Mutex::default(),
            mail: letters::Mail::default(),
            kept: Arc::new(kept),
            changed: Mutex::default(),
            to_keep: Notify::new(),
            news: broadcast::channel(NEWS).0,
            number: AtomicU64::new(0),
            totals: Totals::default(),
        });
        hooked.belongs_to(&inner);
        tasks.push(inner.listen().map_err(served("data transfer"))?);
        inner.go_on_with(found);
        tasks.push(tokio::spawn(Arc::clone(&inner).watch()));
        tasks.push(tokio::spawn(Arc::clone(&inner).keep()));
        Ok((Self(inner), graphsync, tasks))
    }

    /// How often what happened.
    pub fn totals(&self) -> &Totals {
        &self.0.totals
    }

    /// What happens from now on. Who is too slow misses news and is told so.
    pub fn news(&self) -> broadcast::Receiver<(ChannelId, News)> {
        self.0.news.subscribe()
    }

    /// Opens a channel with a peer. It is in the file by then, and goes on whatever becomes of the process.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn open(&self, with: &Source, opening: Opening) -> Result<ChannelId, TransferError> {
        let inner = &self.0;
        Selector::parse(&opening.selector)?;
        let (us, them) = (inner.host.peer_id().to_bytes(), with.peer.to_bytes());
        let id = ChannelId { initiator: us, responder: them, id: inner.next_number() };
        let (channel, effects) = Channel::open(id.clone(), opening);
        let entry = Entry::new(channel, with.peer, with.addresses.clone());
        let (kept, record) = (Arc::clone(&inner.kept), entry.record());
        let entry = inner.enter(entry)?;
        let written = spawn_blocking(move || kept.write(&[record])).await;
        if let Err(error) = written.map_err(|_| TransferError::Ended).and_then(|kept| Ok(kept?)) {
            lock(&inner.channels).remove(&id);
            return Err(error);
        }
        inner.totals.opened.fetch_add(1, Ordering::Relaxed);
        let mut entry = lock(&entry);
        inner.act(&mut entry, effects, None);
        Ok(id)
    }

    /// Has a channel wait.
    ///
    /// # Errors
    /// [`TransferError`]; so with the next five.
    pub fn pause(&self, id: &ChannelId) -> Result<(), TransferError> {
        self.0.happen(id, Event::Pause)
    }

    /// Has it go on.
    pub fn resume(&self, id: &ChannelId) -> Result<(), TransferError> {
        self.0.happen(id, Event::Resume)
    }

    /// Ends it.
    pub fn cancel(&self, id: &ChannelId) -> Result<(), TransferError> {
        self.0.happen(id, Event::Cancel)
    }

    /// Restarts it, or asks who opened it to do so.
    pub fn restart(&self, id: &ChannelId) -> Result<(), TransferError> {
        self.0.happen(id, Event::Restart)
    }

    /// Gives one more voucher.
    pub fn voucher(&self, id: &ChannelId, voucher: Typed) -> Result<(), TransferError> {
        self.0.happen(id, Event::Voucher(voucher))
    }

    /// Decides of the last voucher.
    pub fn decide(&self, id: &ChannelId, decision: Decision) -> Result<(), TransferError> {
        self.0.happen(id, Event::Decide(decision))
    }

    /// A channel, also one that is over, as long as it is remembered.
    ///
    /// # Errors
    /// [`TransferError::Unknown`], [`TransferError::Kept`].
    pub fn channel(&self, id: &ChannelId) -> Result<Channel, TransferError> {
        if let Some(entry) = self.0.find(id) {
            return Ok(lock(&entry).channel.clone());
        }
        self.0.kept.get(id)?.ok_or(TransferError::Unknown)
    }

    /// Those that are not over.
    pub fn channels(&self) -> Vec<Channel> {
        let entries: Vec<_> = lock(&self.0.channels).values().cloned().collect();
        let channels = entries.iter().map(|entry| lock(entry).channel.clone());
        channels.filter(|channel| !channel.status().is_final()).collect()
    }

    /// Waits until a channel is over.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn finished(&self, id: &ChannelId) -> Result<Channel, TransferError> {
        let mut news = self.news();
        loop {
            let channel = self.channel(id)?;
            if channel.status().is_final() {
                return Ok(channel);
            }
            tokio::select! {
                heard = news.recv() => if let Err(RecvError::Closed) = heard { return Err(TransferError::Ended) },
                () = self.0.host.ended() => return Err(TransferError::Ended),
            }
        }
    }
}

impl Inner {
    /// Numbers that no channel of ours had, nor had in a process before: microseconds of Unix, small enough for who counts in floats.
    fn next_number(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        match self.number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(last) | Err(last) => now.max(last.saturating_add(1)),
        }
    }
}
