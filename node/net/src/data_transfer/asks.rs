//! Who gets the data: a graphsync request for a channel, and restarts.

use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::data_transfer::{Event, Role};
use filecash_ipld::graphsync::{Order, PullError};
use filecash_ipld::selector::Selector;
use filecash_ipld::traverse::Limits;
use filecash_ipld::wire::data_transfer::{ChannelId, Message};
use filecash_ipld::wire::graphsync::Status;
use libp2p::PeerId;
use tokio::time::sleep;

use super::channels::Entry;
use super::hooks::in_extensions;
use super::{Inner, lock};
use crate::graphsync::{FetchError, Heard, SayError, Source};

/// The longest wait before a restart.
const MAX_WAIT: Duration = Duration::from_secs(60);

impl Inner {
    /// Asks for what a channel is for, in place of a request that there may be.
    pub(super) fn ask(self: &Arc<Self>, entry: &mut Entry, message: Message) {
        if let Some((_, before)) = entry.asking.take() {
            before.abort();
        }
        entry.asks += 1;
        let number = entry.asks;
        let (id, source) =
            (entry.channel.id().clone(), Source { peer: entry.peer, addresses: entry.addresses.clone() });
        let opening = entry.channel.opening();
        let Ok(selector) = Selector::parse(&opening.selector) else {
            // Somebody agreed to a channel that asks for nothing.
            let inner = Arc::clone(self);
            tokio::spawn(async move { inner.asked(&id, None, Event::Failed("the selector is none".to_owned())) });
            return;
        };
        let extensions = in_extensions(&[message], &self.options.versions);
        let order = Order { root: opening.root, selector, priority: 0, extensions, limits: Limits::DEFAULT };
        let inner = Arc::clone(self);
        let asking = tokio::spawn(async move { inner.pull(id, number, source, order).await });
        entry.asking = Some((number, asking.abort_handle()));
    }

    async fn pull(self: Arc<Self>, id: ChannelId, number: u64, source: Source, order: Order) {
        let (mut received, mut missing) = (0, 0);
        let heard = |heard: Heard<'_>| {
            self.hear_all(source.peer, heard.extensions);
            let now = heard.progress.bytes;
            if now > received {
                self.asked(&id, Some(number), Event::Received(now - received));
            }
            (received, missing) = (now, heard.progress.missing);
        };
        let asked = self.graphsync.ask(&source, &order, self.options.silence, heard).await;
        let event = match asked {
            Ok(()) if missing == 0 => Event::Finished,
            Ok(()) => Event::Failed(format!("{missing} blocks are not there")),
            Err(error) if is_cut(&error) => {
                tracing::debug!(peer = %source.peer, %error, "a transfer was cut");
                Event::Cut
            }
            Err(error) => Event::Failed(chain_of(&error)),
        };
        self.asked_to_the_end(&id, number, event);
    }

    /// Something happened to a request, unless another is in its place by now.
    fn asked(self: &Arc<Self>, id: &ChannelId, number: Option<u64>, event: Event) {
        let Some(entry) = self.find(id) else { return };
        let mut entry = lock(&entry);
        if (number.is_none() || entry.asking.as_ref().map(|(number, _)| *number) == number)
            && let Err(error) = self.take(&mut entry, event, None)
        {
            self.refuse(entry.peer, &error);
        }
    }

    fn asked_to_the_end(self: &Arc<Self>, id: &ChannelId, number: u64, event: Event) {
        let Some(entry) = self.find(id) else { return };
        let mut entry = lock(&entry);
        if entry.asking.as_ref().is_some_and(|(asking, _)| *asking == number) {
            entry.asking = None;
            if let Err(error) = self.take(&mut entry, event, None) {
                self.refuse(entry.peer, &error);
            }
        }
    }

    /// Restarts a channel after a while, unless that was in vain too often. One of somebody else may still be restarted by them.
    pub(super) fn restart_later(self: &Arc<Self>, entry: &mut Entry) {
        if entry.restart.is_some() {
            return;
        }
        let cuts = entry.cuts;
        entry.cuts += 1;
        let event = match entry.channel.role() {
            _ if cuts < self.options.restarts => Event::Restart,
            Role::Responder => return,
            Role::Initiator => Event::Failed(format!("it was cut off {} times, and nothing went over", cuts + 1)),
        };
        let wait = match event {
            Event::Restart => self.options.wait.saturating_mul(1 << cuts.min(10)).min(MAX_WAIT),
            _ => Duration::ZERO,
        };
        let (inner, id) = (Arc::clone(self), entry.channel.id().clone());
        let restart = tokio::spawn(async move {
            tokio::select! {
                () = sleep(wait) => {}
                () = inner.host.ended() => return,
            }
            let Some(entry) = inner.find(&id) else { return };
            let mut entry = lock(&entry);
            entry.restart = None;
            if let Err(error) = inner.take(&mut entry, event, None) {
                tracing::debug!(%error, "a transfer is not restarted");
            }
        });
        entry.restart = Some(restart.abort_handle());
    }

    /// A message of a channel did not go over.
    pub(super) fn undelivered(self: &Arc<Self>, id: &ChannelId, peer: PeerId, event: Event) {
        if let Some(entry) = self.find(id)
            && let Err(error) = self.take(&mut lock(&entry), event, None)
        {
            tracing::debug!(%peer, %error, "a message was lost");
        }
    }
}

/// Whether it may be better another time.
fn is_cut(error: &FetchError) -> bool {
    match error {
        FetchError::Host(_) | FetchError::Gone(_) | FetchError::Silent { .. } => true,
        FetchError::Say(_, SayError::Stream(_)) => true,
        FetchError::Pull(_, PullError::Refused(status)) => {
            [Status::BUSY, Status::FAILED, Status::CANCELLED].contains(status)
        }
        _ => false,
    }
}

/// What went wrong, and why.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
