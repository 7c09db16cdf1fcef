//! Who answers: a task for each peer that asks, as long as it does.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use filecash_ipld::graphsync::{Admission, Admit, Asked, Responder, Sent};
use filecash_ipld::wire::WireError;
use filecash_ipld::wire::graphsync::{Extensions, Request, RequestId, Status, Version};
use libp2p::PeerId;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::out::SayError;
use super::{Gatekeeper, Inner};

/// What may wait to be taken; whoever says more waits.
const WORDS: usize = 4;
/// How long the task of a peer stays that asks for nothing.
const IDLE: Duration = Duration::from_secs(60);

/// How long who reads may take for a message before others are given its place.
const PROMPT: Duration = Duration::from_secs(2);

/// What a task is told.
pub(super) enum Word {
    Requests(Vec<Request>),
    Pause(RequestId),
    Resume(RequestId, Extensions),
    Refuse(RequestId, Status),
}

/// The tasks.
#[derive(Default)]
pub(super) struct Desks(Mutex<HashMap<(PeerId, Version), mpsc::Sender<Word>>>);

impl Desks {
    pub(super) fn forget(&self, peer: PeerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| *of != peer);
    }

    pub(super) fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What a task has in hand.
struct Desk {
    responder: Responder,
    /// The message that is being written.
    writing: Option<JoinHandle<Result<(), AnswerError>>>,
    told: Sent,
    /// Whether nothing has been said since it was idle.
    is_first: bool,
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
struct OfPeer<'a>(PeerId, &'a Gatekeeper);

impl Admit for OfPeer<'_> {
    fn admit(&self, asked: &Asked) -> Admission {
        self.1(self.0, asked)
    }
}

impl Inner {
    /// Tells a peer's task something, and begins one if there is none.
    pub(super) async fn desk(self: &Arc<Self>, peer: PeerId, version: Version, mut word: Word) {
        loop {
            let desk = {
                let mut desks = self.desks.0.lock().unwrap_or_else(PoisonError::into_inner);
                let desk = desks.entry((peer, version)).or_insert_with(|| {
                    let (desk, words) = mpsc::channel(WORDS);
                    tokio::spawn(Arc::clone(self).answer(peer, version, words));
                    desk
                });
                desk.clone()
            };
            match desk.send(word).await {
                Ok(()) => return,
                // It has just ended.
                Err(error) => word = error.0,
            }
            self.end_desk(peer, version);
        }
    }

    /// Tells a peer's task something about a request, if there is one.
    pub(super) async fn tell(&self, peer: PeerId, id: RequestId, word: Word) {
        let version = match id {
            RequestId::Number(_) => Version::V1,
            RequestId::Uuid(_) => Version::V2,
        };
        let desk = {
            let desks = self.desks.0.lock().unwrap_or_else(PoisonError::into_inner);
            desks.get(&(peer, version)).cloned()
        };
        if let Some(desk) = desk {
            // If it has ended there is no such request any more.
            let _ = desk.send(word).await;
        }
    }

    /// Forgets a task that has ended.
    fn end_desk(&self, peer: PeerId, version: Version) {
        let mut desks = self.desks.0.lock().unwrap_or_else(PoisonError::into_inner);
        if desks.get(&(peer, version)).is_some_and(mpsc::Sender::is_closed) {
            desks.remove(&(peer, version));
        }
    }

    /// Answers a peer until it is gone, or has asked for nothing for a while.
    async fn answer(self: Arc<Self>, peer: PeerId, version: Version, mut words: mpsc::Receiver<Word>) {
        let mut desk = Desk {
            responder: Responder::new(self.options.limits),
            writing: None,
            told: Sent::default(),
            is_first: true,
        };
        loop {
            while let Ok(word) = words.try_recv() {
                self.take(peer, &mut desk.responder, word);
            }
            if words.is_closed() {
                break;
            }
            match self.say_next(peer, version, &mut desk).await {
                Ok(true) => {}
                Ok(false) => match timeout(IDLE, words.recv()).await {
                    Ok(Some(word)) => self.take(peer, &mut desk.responder, word),
                    Ok(None) => break,
                    Err(_) if desk.responder.is_idle() => break,
                    Err(_) => {}
                },
                Err(error) => {
                    tracing::debug!(%peer, error = &error as &dyn std::error::Error, "nobody hears the answer");
                    // It may have come back, and asked already. Then it is told to ask once more.
                    desk.is_first = true;
                    desk.responder.fail_all(Status::FAILED);
                }
            }
        }
        drop(words);
        self.end_desk(peer, version);
    }

    /// Makes the next message while the one before is being written, then begins to write it; whether there was one. Where nobody reads
    /// what is written, it holds up nobody else.
    async fn say_next(self: &Arc<Self>, peer: PeerId, version: Version, desk: &mut Desk) -> Result<bool, AnswerError> {
        let mut place = self.place().await;
        let store = Arc::clone(&self.store);
        let mut responder = std::mem::replace(&mut desk.responder, Responder::new(self.options.limits));
        let made = spawn_blocking(move || {
            let message = responder.next_message(store.as_ref());
            (message.map(|message| message.encode(version)), responder)
        });
        let (message, responder) = made.await.map_err(|_| AnswerError::Task)?;
        desk.responder = responder;
        self.count(desk);
        for (id, error) in desk.responder.failures() {
            tracing::warn!(%peer, ?id, error = &error as &dyn std::error::Error, "an answer ends early");
        }
        if let Some(mut writing) = desk.writing.take() {
            let written = match timeout(PROMPT, &mut writing).await {
                Ok(written) => written,
                Err(_) => {
                    place = None;
                    writing.await
                }
            };
            written.map_err(|_| AnswerError::Task)??;
        }
        let Some(message) = message.transpose()? else {
            desk.is_first = true;
            return Ok(false);
        };
        let place = match place {
            Some(place) => Some(place),
            None => self.place().await,
        };
        let (inner, is_first) = (Arc::clone(self), desk.is_first);
        desk.is_first = false;
        desk.writing = Some(tokio::spawn(async move { inner.write(peer, version, message, is_first, place).await }));
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

    fn take(&self, peer: PeerId, responder: &mut Responder, word: Word) {
        match word {
            Word::Requests(requests) => {
                for request in requests {
                    responder.take(request, &OfPeer(peer, &self.options.gatekeeper));
                }
            }
            Word::Pause(id) => responder.pause(id),
            Word::Resume(id, extensions) => responder.resume(id, extensions),
            Word::Refuse(id, status) => responder.fail(id, status),
        }
    }

    fn count(&self, desk: &mut Desk) {
        let (totals, told, now) = (&self.totals, desk.told, desk.responder.sent());
        for (total, before, after) in [
            (&totals.blocks_sent, told.blocks, now.blocks),
            (&totals.bytes_sent, told.bytes, now.bytes),
            (&totals.requests_answered, told.requests, now.requests),
            (&totals.requests_refused, told.refused, now.refused),
        ] {
            total.fetch_add(after - before, Ordering::Relaxed);
        }
        desk.told = now;
    }
}
