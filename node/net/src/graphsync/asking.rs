//! Who asks: a DAG, or part of one, from whoever has it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::graphsync::{Held, Order, Progress, Pull, PullError, Turn};
use filecash_ipld::wire::WireError;
use filecash_ipld::wire::graphsync::{Extensions, Message, Request, RequestId, RequestKind, Version};
use libp2p::{Multiaddr, PeerId};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::out::SayError;
use super::{Graphsync, Inner, PARTS, Part, SILENCE};
use crate::host::{HostError, HostEvent};

/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Why a DAG was not had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FetchError {
    #[error("nobody to ask")]
    Nobody,
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{0} was not asked")]
    Say(PeerId, #[source] SayError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{0} is gone")]
    Gone(PeerId),
    #[error("{peer} said nothing for {} s", .time.as_secs())]
    Silent { peer: PeerId, time: Duration },
    #[error("what {0} answers is of no use")]
    Pull(PeerId, #[source] PullError),
    #[error("what came was not taken")]
    Task,
}

/// Somebody who may have a DAG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Who.
    pub peer: PeerId,
    /// Where it is, if we are not connected.
    pub addresses: Vec<Multiaddr>,
}

/// What whoever waits for a DAG wants now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// That it comes.
    #[default]
    Go,
    /// That it waits. What came stays.
    Wait,
}

/// How a DAG is fetched.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Tries after which it is given up, unless one of them got further.
    pub tries: u32,
    /// How long the first wait is after a try that got no further; each is twice as long as the one before.
    pub wait: Duration,
    /// How long a source may say nothing, unless it says that it waits.
    pub silence: Duration,
    /// Whether it is to go on.
    pub wish: Option<watch::Receiver<Wish>>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { tries: 5, wait: Duration::from_millis(200), silence: SILENCE, wish: None }
    }
}

/// What came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Blocks that came.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often somebody was asked.
    pub requests: u32,
    /// The first links whose blocks nobody has.
    pub missing: Vec<Cid>,
}

/// What was heard of a request.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// How far it is.
    pub progress: Progress,
    /// The first links whose blocks nobody has.
    pub missing: &'a [Cid],
    /// What else was said.
    pub extensions: &'a Extensions,
}

impl Graphsync {
    /// Asks a peer once for a DAG, as far as it is not in the store, and even if all of it is. To give it up, drop it, as
    /// [`Self::fetch`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn ask(
        &self,
        source: &Source,
        order: &Order,
        silence: Duration,
        heard: impl FnMut(Heard<'_>),
    ) -> Result<(), FetchError> {
        if !source.addresses.is_empty() {
            self.0.host.connect(source.addresses.clone()).await?;
        }
        let held = self.held(source.peer, order).await?;
        self.pull(source.peer, order, held, silence, heard).await
    }

    /// Gets a DAG into the store: asks the sources in turn, and again where one breaks off, for what is not there yet. To give it up, drop it:
    /// what came stays, and the source is told.
    ///
    /// # Errors
    /// [`FetchError`] of the last try.
    pub async fn fetch(
        &self,
        order: &Order,
        sources: &[Source],
        options: &FetchOptions,
        progress: impl Fn(&Pulled) + Send + Sync,
    ) -> Result<Pulled, FetchError> {
        let (mut pulled, mut wait, mut failed, mut without) = (Pulled::default(), options.wait, 0, 0);
        let mut wish = options.wish.clone();
        for source in sources.iter().cycle() {
            until_wished(&mut wish).await;
            let before = pulled.blocks;
            let pull = self.try_source(order, source, options.silence, &mut pulled, &progress);
            let error = tokio::select! {
                tried = pull => match tried {
                    Ok(()) if pulled.missing.is_empty() => return Ok(pulled),
                    Ok(()) => {
                        without += 1;
                        if without >= sources.len() {
                            return Ok(pulled);
                        }
                        continue;
                    }
                    Err(error) => error,
                },
                () = until_waiting(&mut wish) => continue,
            };
            if pulled.blocks > before {
                (wait, failed) = (options.wait, 0);
            } else {
                failed += 1;
            }
            tracing::debug!(peer = %source.peer, %error, failed, "a fetch was cut");
            if failed >= options.tries {
                return Err(error);
            }
            sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
        Err(FetchError::Nobody)
    }

    async fn try_source(
        &self,
        order: &Order,
        source: &Source,
        silence: Duration,
        pulled: &mut Pulled,
        progress: &(impl Fn(&Pulled) + Sync),
    ) -> Result<(), FetchError> {
        if !source.addresses.is_empty() {
            self.0.host.connect(source.addresses.clone()).await?;
        }
        let before = Pulled { missing: Vec::new(), ..pulled.clone() };
        let held = self.held(source.peer, order).await?;
        if held.is_all {
            pulled.missing.clear();
            progress(pulled);
            return Ok(());
        }
        let heard = |heard: Heard<'_>| {
            *pulled = Pulled {
                blocks: before.blocks + heard.progress.blocks,
                bytes: before.bytes + heard.progress.bytes,
                requests: before.requests + 1,
                missing: heard.missing.to_vec(),
            };
            progress(pulled);
        };
        self.pull(source.peer, order, held, silence, heard).await
    }

    /// How much of it is here.
    async fn held(&self, peer: PeerId, order: &Order) -> Result<Held, FetchError> {
        let (wanted, store) = (order.clone(), Arc::clone(&self.0.store));
        let held = spawn_blocking(move || Held::of(&wanted, store.as_ref())).await;
        held.map_err(|_| FetchError::Task)?.map_err(|error| FetchError::Pull(peer, error))
    }

    async fn pull(
        &self,
        peer: PeerId,
        order: &Order,
        held: Held,
        silence: Duration,
        mut heard: impl FnMut(Heard<'_>),
    ) -> Result<(), FetchError> {
        let inner = &self.0;
        let mut events = inner.host.events();
        let version =
            inner.out.version(peer, &inner.options.versions).await.map_err(|error| FetchError::Say(peer, error))?;
        let mut asking = Asking::begin(inner, peer, version, order.clone());
        asking.ask(held).await?;
        let mut is_paused = false;
        loop {
            let part = tokio::select! {
                part = timeout(silence, asking.parts.recv()) => part,
                () = until_gone(&mut events, peer) => return Err(FetchError::Gone(peer)),
                () = inner.host.ended() => return Err(HostError::Ended.into()),
            };
            let part = match part {
                Ok(part) => part.ok_or(FetchError::Task)?,
                Err(_) if is_paused => continue,
                Err(_) => return Err(FetchError::Silent { peer, time: silence }),
            };
            let (pull, store) = (Arc::clone(&asking.pull), Arc::clone(&inner.store));
            let Part { mut response, blocks } = part;
            let extensions = std::mem::take(&mut response.extensions);
            let taken = spawn_blocking(move || {
                let mut pull = pull.lock().unwrap_or_else(PoisonError::into_inner);
                let turn = pull.take(response, blocks, store.as_ref());
                (turn, pull.progress(), pull.missing().to_vec())
            });
            let (turn, progress, missing) = taken.await.map_err(|_| FetchError::Task)?;
            heard(Heard { progress, missing: &missing, extensions: &extensions });
            let turn = turn.map_err(|error| FetchError::Pull(peer, error))?;
            is_paused = turn == Turn::Paused;
            if turn == Turn::Done {
                asking.is_over = true;
                return Ok(());
            }
        }
    }
}

/// A request while it is open. Dropped before its end it is cancelled, and what came is kept.
struct Asking<'a> {
    inner: &'a Arc<Inner>,
    peer: PeerId,
    version: Version,
    id: RequestId,
    pull: Arc<Mutex<Pull>>,
    parts: mpsc::Receiver<Part>,
    is_over: bool,
}

impl<'a> Asking<'a> {
    fn begin(inner: &'a Arc<Inner>, peer: PeerId, version: Version, order: Order) -> Self {
        let id = match version {
            Version::V1 => RequestId::Number(inner.number.fetch_add(1, Ordering::Relaxed) & i32::MAX),
            Version::V2 => RequestId::Uuid(uuid::Uuid::new_v4().into_bytes()),
        };
        let (sender, parts) = mpsc::channel(PARTS);
        lock(&inner.pulls).insert((peer, id), sender);
        let pull = Arc::new(Mutex::new(Pull::new(order)));
        Self { inner, peer, version, id, pull, parts, is_over: false }
    }

    async fn ask(&mut self, held: Held) -> Result<(), FetchError> {
        let (pull, store, id) = (Arc::clone(&self.pull), Arc::clone(&self.inner.store), self.id);
        let request = spawn_blocking(move || lock(&pull).request(id, held, store.as_ref())).await;
        let request = request.map_err(|_| FetchError::Task)?.map_err(|error| FetchError::Pull(self.peer, error))?;
        let message = message_of(request, self.version)?;
        let said = self.inner.out.say(self.peer, self.version, &message, true).await;
        said.map_err(|error| FetchError::Say(self.peer, error))
    }
}

fn message_of(request: Request, version: Version) -> Result<Vec<u8>, WireError> {
    Message { requests: vec![request], ..Message::default() }.encode(version)
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.inner.pulls).remove(&(self.peer, self.id));
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_over {
            return;
        }
        let (inner, peer, version) = (Arc::clone(self.inner), self.peer, self.version);
        let cancel = Request { id: self.id, kind: RequestKind::Cancel };
        runtime.spawn(async move {
            if let Ok(message) = message_of(cancel, version) {
                // If it is gone it needs no word.
                let _ = inner.out.say(peer, version, &message, true).await;
            }
        });
        let (pull, store) = (Arc::clone(&self.pull), Arc::clone(&self.inner.store));
        // Of what has come but has not been taken, nothing is to be sent again.
        let rest: Vec<_> = std::iter::from_fn(|| self.parts.try_recv().ok()).collect();
        runtime.spawn_blocking(move || {
            let mut pull = lock(&pull);
            let taken =
                rest.into_iter().try_for_each(|part| pull.take(part.response, part.blocks, store.as_ref()).map(drop));
            if let Err(error) = taken.and_then(|()| Ok(pull.keep(store.as_ref())?)) {
                tracing::debug!(error = &error as &dyn std::error::Error, "what came last was not kept");
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns when a peer is gone, or one of several connections to it: it may not have heard what it was asked.
async fn until_gone(events: &mut broadcast::Receiver<HostEvent>, peer: PeerId) {
    loop {
        match events.recv().await {
            Ok(HostEvent::Gone { peer: gone } | HostEvent::Fewer { peer: gone }) if gone == peer => return,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Returns when it is to go on.
async fn until_wished(wish: &mut Option<watch::Receiver<Wish>>) {
    if let Some(wish) = wish {
        // Nobody is left who could wish anything else.
        let _ = wish.wait_for(|wish| *wish == Wish::Go).await;
    }
}

/// Returns when it is to wait.
async fn until_waiting(wish: &mut Option<watch::Receiver<Wish>>) {
    if let Some(wish) = wish
        && wish.wait_for(|wish| *wish == Wish::Wait).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
