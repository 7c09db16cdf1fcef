//! Channels over time: those that are found in the file, those that fall silent, and what of them goes into the file.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::data_transfer::{Event, Role, Status};
use filecash_ipld::wire::data_transfer::ChannelId;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};

use super::channels::Entry;
use super::kept::Found;
use super::{Inner, lock};
use crate::host::HostEvent;

/// Changes within such a time go into the file together.
const PAUSE: Duration = Duration::from_millis(100);
/// How long until it is tried again, when the file did not take them.
const AGAIN: Duration = Duration::from_secs(5);

impl Entry {
    /// Why nothing happens to a channel that something should happen to, if so.
    fn silence(&self, silence: Duration, abandoned: Duration) -> Option<Event> {
        let quiet = self.last.elapsed();
        if self.channel.role() == Role::Responder {
            let waits_for_us = self.channel.is_paused(Role::Responder) || self.channel.status() == Status::Finalizing;
            return (quiet > abandoned && !waits_for_us)
                .then(|| Event::Failed(format!("nothing happened for {} s", quiet.as_secs())));
        }
        (quiet > silence && self.is_due()).then_some(Event::Cut)
    }

    /// Whether it is the other who has to do something about a channel of ours, and nobody would notice that it does not.
    fn is_due(&self) -> bool {
        let is_due = matches!(
            self.channel.status(),
            Status::Requested | Status::Ongoing | Status::TransferFinished | Status::ResponderCompleted
        );
        is_due && self.channel.role() == Role::Initiator && self.asking.is_none() && self.restart.is_none()
    }
}

impl Inner {
    /// Goes on with channels of a process before this one: ours are restarted.
    pub(super) fn go_on_with(self: &Arc<Self>, found: Vec<Found>) {
        for Found { channel, peer, addresses } in found {
            let (number, role) = (channel.id().id, channel.role());
            match self.enter(Entry::new(channel, peer, addresses)) {
                Ok(entry) if role == Role::Initiator => self.restart_later(&mut lock(&entry)),
                Ok(_) => {}
                Err(error) => tracing::warn!(%peer, number, %error, "a channel is left in the file"),
            }
        }
    }

    /// Looks after channels to which nothing happens, and those of peers whose connections end: what was said last may be lost.
    pub(super) async fn watch(self: Arc<Self>) {
        let (silence, abandoned) = (self.options.silence, self.options.abandoned);
        let mut ticks = interval((silence / 4).clamp(PAUSE, Duration::from_secs(5)));
        let mut events = self.host.events();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look(|entry| entry.silence(silence, abandoned)),
                event = events.recv() => match event {
                    Ok(HostEvent::Gone { peer } | HostEvent::Fewer { peer }) => {
                        self.look(|entry| (entry.peer == peer && entry.is_due()).then_some(Event::Cut));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = self.host.ended() => return,
            }
        }
    }

    /// Has something happen to those channels to which it should.
    fn look(self: &Arc<Self>, event: impl Fn(&Entry) -> Option<Event>) {
        let entries: Vec<_> = lock(&self.channels).values().cloned().collect();
        for entry in entries {
            let mut entry = lock(&entry);
            if let Some(event) = event(&entry)
                && let Err(error) = self.take(&mut entry, event, None)
            {
                tracing::debug!(%error, "a channel is looked after");
            }
        }
    }

    /// Writes what changed into the file, until the host ends.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.to_keep.notified() => {}
                () = self.host.ended() => break,
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = self.host.ended() => break,
            }
            if !self.keep_changed().await {
                sleep(AGAIN).await;
                self.to_keep.notify_one();
            }
        }
        let all = lock(&self.channels).keys().cloned().collect();
        self.write(all).await;
        for (_, entry) in lock(&self.channels).drain() {
            let entry = lock(&entry);
            entry.asking.iter().for_each(|(_, asking)| asking.abort());
        }
    }

    /// Writes what changed; whether that went well.
    async fn keep_changed(&self) -> bool {
        let changed = std::mem::take(&mut *lock(&self.changed));
        self.write(changed).await
    }

    async fn write(&self, changed: HashSet<ChannelId>) -> bool {
        let entries: Vec<_> = changed.iter().filter_map(|id| self.find(id)).collect();
        let records: Vec<_> = entries.iter().map(|entry| lock(entry).record()).collect();
        let over: Vec<_> = records.iter().filter(|record| record.is_over).map(|record| record.id.clone()).collect();
        let kept = Arc::clone(&self.kept);
        let error = match spawn_blocking(move || kept.write(&records)).await {
            Ok(Ok(())) => {
                let mut channels = lock(&self.channels);
                over.iter().for_each(|id| drop(channels.remove(id)));
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(%error, "channels of data transfer are not kept");
        lock(&self.changed).extend(changed);
        false
    }
}
