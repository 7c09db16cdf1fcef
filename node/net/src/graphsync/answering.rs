//! Who answers: a task for each peer that asks, as long as it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use filecash_ipld::graphsync::{Admission, Admit, Asked, Responder, Sent};
use filecash_ipld::wire::WireError;
use filecash_ipld::wire::graphsync::{Extensions, Request, RequestId, RequestKind, Status, Version};
use libp2p::PeerId;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::out::SayError;
use super::{Hooks, Inner, Share};

/// How long the task of a peer stays that asks for nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How long who reads may take for a message before others are given its place.
const PROMPT: Duration = Duration::from_secs(2);

/// What a peer asks for, which its task answers.
pub(super) struct Desk {
    responder: Arc<tokio::sync::Mutex<Responder>>,
    /// What is to be done about its requests, once nobody else has the responder.
    orders: Mutex<Vec<(RequestId, Order)>>,
    /// Something was asked for, or nothing will be any more.
    changed: Notify,
    is_closed: AtomicBool,
}

/// What is to be done about a request.
pub(super) enum Order {
    Pause,
    Resume(Extensions),
    End(Status),
}

impl Desk {
    fn orders(&self) -> MutexGuard<'_, Vec<(RequestId, Order)>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is to be done.
    fn carry_out(&self, responder: &mut Responder) {
        for (id, order) in std::mem::take(&mut *self.orders()) {
            match order {
                Order::Pause => responder.pause(id),
                Order::Resume(extensions) => responder.resume(id, extensions),
                Order::End(status) => responder.fail(id, status),
            }
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Desks(Mutex<HashMap<(PeerId, Version), Arc<Desk>>>);

impl Desks {
    fn lock(&self) -> MutexGuard<'_, HashMap<(PeerId, Version), Arc<Desk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of a peer, which are closed.
    fn forget(&self, peer: PeerId) -> Vec<Arc<Desk>> {
        let forgotten: Vec<_> = self.lock().extract_if(|(of, _), _| *of == peer).map(|(_, desk)| desk).collect();
        forgotten.iter().for_each(|desk| desk.close());
        forgotten
    }

    pub(super) fn forget_all(&self) {
        for (_, desk) in self.lock().drain() {
            desk.close();
        }
    }
}

/// What a task has in hand.
struct Task {
    /// The message that is being written.
    writing: Option<JoinHandle<Result<(), AnswerError>>>,
    /// What is in messages that were made, and is not known to be written.
    made: Vec<Share>,
    told: Sent,
    /// Whether nothing has been said since it was idle.
    is_first: bool,
}

impl Task {
    /// Requests that were ended, and nobody heard.
    fn unheard(&mut self) -> impl Iterator<Item = RequestId> {
        self.made.drain(..).filter(|share| share.status.is_end()).map(|share| share.id)
    }
}

/// Why nothing more is answered.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error(transparent)]
    Say(#[from] SayError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("too many others read as slowly")]
    Slow,
    #[error("a message was not made")]
    Task,
}

/// Asks the node about requests of a peer.
struct OfPeer<'a>(PeerId, &'a dyn Hooks);

impl Admit for OfPeer<'_> {
    fn admit(&self, asked: &Asked) -> Admission {
        self.1.admit(self.0, asked)
    }

    fn update(&self, id: RequestId, extensions: &Extensions) -> Extensions {
        self.1.update(self.0, id, extensions)
    }
}

impl Inner {
    /// Takes requests of a peer, for its task, which begins if there is none.
    pub(super) async fn take(self: &Arc<Self>, peer: PeerId, version: Version, requests: Vec<Request>) {
        let desk = {
            let mut desks = self.desks.lock();
            Arc::clone(desks.entry((peer, version)).or_insert_with(|| {
                let desk = Arc::new(Desk {
                    responder: Arc::new(tokio::sync::Mutex::new(Responder::new(self.options.limits))),
                    orders: Mutex::default(),
                    changed: Notify::new(),
                    is_closed: AtomicBool::new(false),
                });
                tokio::spawn(Arc::clone(self).answer(peer, version, Arc::clone(&desk)));
                desk
            }))
        };
        let mut responder = desk.responder.lock().await;
        let hooks = self.options.hooks.as_ref();
        for request in requests {
            let (id, is_cancel) = (request.id, matches!(request.kind, RequestKind::Cancel));
            responder.take(request, &OfPeer(peer, hooks));
            if is_cancel {
                hooks.lost(peer, id);
            }
            desk.carry_out(&mut responder);
        }
        drop(responder);
        desk.changed.notify_one();
    }

    /// Has something done about a request, if there is one.
    pub(super) fn tell(&self, peer: PeerId, id: RequestId, order: Order) {
        let version = match id {
            RequestId::Number(_) => Version::V1,
            RequestId::Uuid(_) => Version::V2,
        };
        let desk = self.desks.lock().get(&(peer, version)).cloned();
        if let Some(desk) = desk {
            desk.orders().push((id, order));
            desk.changed.notify_one();
        }
    }

    /// Forgets what a peer asked for that is gone.
    pub(super) async fn lose(&self, peer: PeerId) {
        for desk in self.desks.forget(peer) {
            let ids: Vec<_> = desk.responder.lock().await.ids().collect();
            ids.into_iter().for_each(|id| self.options.hooks.lost(peer, id));
        }
    }

    /// Answers a peer until it is gone, or has asked for nothing for a while.
    async fn answer(self: Arc<Self>, peer: PeerId, version: Version, desk: Arc<Desk>) {
        let mut task = Task { writing: None, made: Vec::new(), told: Sent::default(), is_first: true };
        while !desk.is_closed.load(Ordering::Relaxed) {
            match self.say_next(peer, version, &desk, &mut task).await {
                Ok(true) => {}
                Ok(false) => {
                    if timeout(IDLE, desk.changed.notified()).await.is_err()
                        && self.end_desk(peer, version, &desk).await
                    {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!(%peer, error = &error as &dyn std::error::Error, "nobody hears the answer");
                    // It may have come back, and asked already. Then it is told to ask once more.
                    task.is_first = true;
                    let mut responder = desk.responder.lock().await;
                    let ids: Vec<_> = responder.ids().chain(task.unheard()).collect();
                    responder.fail_all(Status::FAILED);
                    drop(responder);
                    ids.into_iter().for_each(|id| self.options.hooks.lost(peer, id));
                }
            }
        }
        task.unheard().for_each(|id| self.options.hooks.lost(peer, id));
    }

    /// Forgets a desk at which nothing was asked for; whether it did.
    async fn end_desk(&self, peer: PeerId, version: Version, desk: &Arc<Desk>) -> bool {
        let responder = desk.responder.lock().await;
        let mut desks = self.desks.lock();
        // Besides this task and the list nobody has it, who would ask for something now.
        let is_over = responder.is_idle() && Arc::strong_count(desk) == 2;
        if is_over {
            desks.remove(&(peer, version));
        }
        is_over
    }

    /// Makes the next message while the one before is being written, then begins to write it; whether there was one. Where nobody reads
    /// what is written, it holds up nobody else.
    async fn say_next(
        self: &Arc<Self>,
        peer: PeerId,
        version: Version,
        desk: &Desk,
        task: &mut Task,
    ) -> Result<bool, AnswerError> {
        let mut place = self.place().await;
        let store = Arc::clone(&self.store);
        let mut responder = Arc::clone(&desk.responder).lock_owned().await;
        desk.carry_out(&mut responder);
        let made = spawn_blocking(move || {
            let message = responder.next_message(store.as_ref());
            let (sent, failures) = (responder.sent(), responder.failures());
            drop(responder);
            let shares = message.as_ref().map(Share::all_of).unwrap_or_default();
            (message.map(|message| message.encode(version)), shares, sent, failures)
        });
        let (message, shares, sent, failures) = made.await.map_err(|_| AnswerError::Task)?;
        self.count(task, sent);
        shares.iter().for_each(|share| self.options.hooks.queued(peer, *share));
        let before = task.made.len();
        task.made.extend(shares);
        for (id, error) in failures {
            tracing::warn!(%peer, ?id, error = &error as &dyn std::error::Error, "an answer ends early");
        }
        if let Some(mut writing) = task.writing.take() {
            let written = match timeout(PROMPT, &mut writing).await {
                Ok(written) => written,
                Err(_) => {
                    place = None;
                    writing.await
                }
            };
            written.map_err(|_| AnswerError::Task)??;
            task.made.drain(..before).for_each(|share| self.options.hooks.sent(peer, share));
        }
        let Some(message) = message.transpose()? else {
            task.is_first = true;
            return Ok(false);
        };
        let place = match place {
            Some(place) => Some(place),
            None => self.place().await,
        };
        let (inner, is_first) = (Arc::clone(self), task.is_first);
        task.is_first = false;
        task.writing = Some(tokio::spawn(async move { inner.write(peer, version, message, is_first, place).await }));
        Ok(true)
    }

    /// Writes a message, first on a place among those that are made and written, then on one among those that are not read.
    async fn write(
        &self,
        peer: PeerId,
        version: Version,
        message: Vec<u8>,
        is_first: bool,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<(), AnswerError> {
        let mut saying = std::pin::pin!(self.out.say(peer, version, &message, is_first));
        if let Ok(said) = timeout(PROMPT, &mut saying).await {
            return Ok(said?);
        }
        drop(place);
        let _place = self.slow.try_acquire().map_err(|_| AnswerError::Slow)?;
        Ok(saying.await?)
    }

    /// A place among those that are made and written; a semaphore that nobody closes gives one to everybody in turn.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.made).acquire_owned().await.ok()
    }

    fn count(&self, task: &mut Task, now: Sent) {
        let (totals, told) = (&self.totals, task.told);
        for (total, before, after) in [
            (&totals.blocks_sent, told.blocks, now.blocks),
            (&totals.bytes_sent, told.bytes, now.bytes),
            (&totals.requests_answered, told.requests, now.requests),
            (&totals.requests_refused, told.refused, now.refused),
        ] {
            total.fetch_add(after - before, Ordering::Relaxed);
        }
        task.told = now;
    }
}
