//! What graphsync has to do with channels where we answer it: who may ask, and how far the answer is.

use std::sync::{Arc, OnceLock, Weak};

use filecash_ipld::data_transfer::Event;
use filecash_ipld::graphsync::{Admission, Asked};
use filecash_ipld::wire::WireError;
use filecash_ipld::wire::data_transfer::{ChannelId, Message, Version, extensions};
use filecash_ipld::wire::graphsync::{Extensions, RequestId, Status, extension};
use libp2p::PeerId;

use super::{Inner, lock};
use crate::graphsync::{Hooks, Share};

/// Decides of requests that say which channel they are for.
pub(super) struct Hooked {
    inner: OnceLock<Weak<Inner>>,
    /// Who decides of others.
    others: Arc<dyn Hooks>,
}

impl Hooked {
    pub(super) fn new(others: Arc<dyn Hooks>) -> Self {
        Self { inner: OnceLock::new(), others }
    }

    pub(super) fn belongs_to(&self, inner: &Arc<Inner>) {
        // It is said once.
        let _ = self.inner.set(Arc::downgrade(inner));
    }

    fn inner(&self) -> Option<Arc<Inner>> {
        self.inner.get()?.upgrade()
    }

    /// For which channel a request is answered.
    fn channel(&self, peer: PeerId, id: RequestId) -> Option<(Arc<Inner>, ChannelId)> {
        let inner = self.inner()?;
        let channel = lock(&inner.served).get(&(peer, id)).cloned()?;
        Some((inner, channel))
    }
}

impl Hooks for Hooked {
    fn admit(&self, peer: PeerId, asked: &Asked) -> Admission {
        let mut messages = messages(&asked.extensions).peekable();
        if messages.peek().is_none() {
            return self.others.admit(peer, asked);
        }
        let Some(inner) = self.inner() else { return Admission::Refuse(Status::BUSY, Extensions::new()) };
        let mut admission = None;
        for message in messages {
            match message {
                Ok(message) => admission = inner.hear(peer, message, Some(asked)).or(admission),
                Err(error) => inner.refuse(peer, &error),
            }
        }
        admission.unwrap_or_else(|| Admission::Refuse(Status::REJECTED, Extensions::new()))
    }

    fn update(&self, peer: PeerId, id: RequestId, extensions: &Extensions) -> Extensions {
        if let Some(inner) = self.inner() {
            inner.hear_all(peer, extensions);
        }
        self.others.update(peer, id, extensions)
    }

    fn queued(&self, peer: PeerId, part: Share) {
        match self.channel(peer, part.id) {
            Some((inner, channel)) => inner.answered(&channel, part.id, Event::Queued(part.bytes)),
            None => self.others.queued(peer, part),
        }
    }

    fn sent(&self, peer: PeerId, part: Share) {
        let Some((inner, channel)) = self.channel(peer, part.id) else { return self.others.sent(peer, part) };
        inner.answered(&channel, part.id, Event::Sent(part.bytes));
        if part.status.is_end() {
            let end = match part.status {
                Status::COMPLETED => Event::Finished,
                status => Event::Failed(format!("the data was not all here: status {}", status.code())),
            };
            inner.answered_to_the_end(peer, part.id, &channel, end);
        }
    }

    fn lost(&self, peer: PeerId, id: RequestId) {
        match self.channel(peer, id) {
            Some((inner, channel)) => inner.answered_to_the_end(peer, id, &channel, Event::Cut),
            None => self.others.lost(peer, id),
        }
    }
}

impl Inner {
    /// Part of an answer has gone somewhere.
    fn answered(self: &Arc<Self>, channel: &ChannelId, request: RequestId, event: Event) {
        let Some(entry) = self.find(channel) else { return };
        let mut entry = lock(&entry);
        if entry.served == Some(request)
            && let Err(error) = self.take(&mut entry, event, None)
        {
            self.refuse(entry.peer, &error);
        }
    }

    /// An answer is over, one way or another.
    fn answered_to_the_end(self: &Arc<Self>, peer: PeerId, request: RequestId, channel: &ChannelId, event: Event) {
        lock(&self.served).remove(&(peer, request));
        let Some(entry) = self.find(channel) else { return };
        let mut entry = lock(&entry);
        if entry.served == Some(request) {
            entry.served = None;
            if let Err(error) = self.take(&mut entry, event, None) {
                self.refuse(peer, &error);
            }
        }
    }

    /// A peer says something with graphsync, but for a new request.
    pub(super) fn hear_all(self: &Arc<Self>, peer: PeerId, extensions: &Extensions) {
        for message in messages(extensions) {
            match message {
                Ok(message) => drop(self.hear(peer, message, None)),
                Err(error) => self.refuse(peer, &error),
            }
        }
    }
}

/// The messages in extensions. Programs put the same under several names, for whoever knows only one of them: of those that may hold the
/// same, one is read.
fn messages(extensions: &Extensions) -> impl Iterator<Item = Result<Message, WireError>> {
    const SAME: [&[&str]; 2] =
        [&[extensions::INCOMING_REQUEST, extensions::V1_1, extensions::V1_0], &[extensions::OUTGOING_BLOCK]];
    let first = |names: &&[&str]| names.iter().find_map(|name| extension(extensions, name)).cloned();
    let values: Vec<_> = SAME.iter().filter_map(first).collect();
    values.into_iter().map(Message::from_ipld)
}

/// Messages in the extensions of an answer, by the name under which the request had its own.
pub(super) fn said(messages: &[Message], asked: &Asked) -> Extensions {
    let is_old = [extensions::INCOMING_REQUEST, extensions::V1_1, extensions::OUTGOING_BLOCK]
        .iter()
        .all(|name| extension(&asked.extensions, name).is_none());
    in_extensions(messages, &[if is_old { Version::V1_0 } else { Version::V1_2 }])
}

/// A message for whoever knows one of these versions; what one cannot say is left out of it.
pub(super) fn in_extensions(messages: &[Message], versions: &[Version]) -> Extensions {
    let mut extensions = Extensions::new();
    for version in versions {
        let values = messages.iter().filter_map(|message| message.to_ipld(*version).ok());
        for value in values {
            if extension(&extensions, version.extension()).is_none() {
                extensions.push((version.extension().to_owned(), value));
            }
        }
    }
    extensions
}
