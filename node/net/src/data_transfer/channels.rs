//! Channels, and the effects of what happens to them.

use std::collections::hash_map;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use filecash_ipld::data_transfer::{Channel, Effect, Event, News, Role};
use filecash_ipld::graphsync::{Admission, Asked};
use filecash_ipld::wire::data_transfer::{ChannelId, Message, Opening, Request, RequestKind, Response, ResponseKind};
use filecash_ipld::wire::graphsync::{RequestId, Status};
use libp2p::{Multiaddr, PeerId};
use tokio::task::AbortHandle;

use super::hooks::said;
use super::kept::Record;
use super::{Inner, TransferError, lock};

/// How old what the file says of how much went over may get. All else is there soon.
const COUNTED: Duration = Duration::from_secs(10);

/// A channel, and what is under way for it.
pub(super) struct Entry {
    pub(super) channel: Channel,
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    /// The graphsync request that is answered.
    pub(super) served: Option<RequestId>,
    /// The one of ours, by its number among all of the channel.
    pub(super) asking: Option<(u64, AbortHandle)>,
    pub(super) asks: u64,
    /// The restart that is waited for.
    pub(super) restart: Option<AbortHandle>,
    /// Cuts since something went over.
    pub(super) cuts: u32,
    /// When something happened last.
    pub(super) last: Instant,
    /// When something went over last.
    went: Instant,
    /// When it was last said that the file is to have it as it is.
    kept: Instant,
}

impl Entry {
    pub(super) fn new(channel: Channel, peer: PeerId, addresses: Vec<Multiaddr>) -> Self {
        let (served, asking, restart, now) = (None, None, None, Instant::now());
        Self { channel, peer, addresses, served, asking, asks: 0, restart, cuts: 0, last: now, went: now, kept: now }
    }

    pub(super) fn record(&self) -> Record {
        Record::new(&self.channel, &self.addresses)
    }
}

impl Inner {
    pub(super) fn find(&self, id: &ChannelId) -> Option<Arc<Mutex<Entry>>> {
        lock(&self.channels).get(id).cloned()
    }

    /// Takes a channel in.
    pub(super) fn enter(&self, entry: Entry) -> Result<Arc<Mutex<Entry>>, TransferError> {
        let mut channels = lock(&self.channels);
        if channels.len() >= self.options.channels {
            return Err(TransferError::TooMany(channels.len()));
        }
        let id = entry.channel.id().clone();
        Ok(Arc::clone(channels.entry(id).insert_entry(Arc::new(Mutex::new(entry))).get()))
    }

    /// Something happens to a channel.
    pub(super) fn happen(self: &Arc<Self>, id: &ChannelId, event: Event) -> Result<(), TransferError> {
        let entry = self.find(id).ok_or(TransferError::Unknown)?;
        self.take(&mut lock(&entry), event, None)?;
        Ok(())
    }

    /// Something happens to a channel, perhaps with a graphsync request; what becomes of that.
    pub(super) fn take(
        self: &Arc<Self>,
        entry: &mut Entry,
        event: Event,
        carrier: Option<&Asked>,
    ) -> Result<Option<Admission>, TransferError> {
        // What the end of the host does to channels is not what became of them.
        if self.host.has_ended() {
            return Err(TransferError::Ended);
        }
        if matches!(event, Event::Sent(1..) | Event::Received(1..)) {
            (entry.cuts, entry.went) = (0, Instant::now());
        }
        entry.last = Instant::now();
        let before = entry.channel.status();
        let effects = entry.channel.take(event, self.options.validate.as_ref())?;
        if entry.channel.status() != before || entry.kept.elapsed() > COUNTED {
            self.keep_soon(entry);
        }
        Ok(self.act(entry, effects, carrier))
    }

    /// A peer says something, perhaps with a graphsync request; what becomes of that.
    pub(super) fn hear(self: &Arc<Self>, peer: PeerId, message: Message, carrier: Option<&Asked>) -> Option<Admission> {
        let Some(id) = self.channel_of(peer, &message) else {
            self.refuse(peer, &"a message of a channel between others");
            return None;
        };
        let entry = self.find(&id);
        let taken = match (entry, message) {
            (Some(entry), message) => self.take(&mut lock(&entry), Event::Message(message), carrier),
            (None, Message::Request(request)) => self.hear_new(peer, id, request, carrier),
            (None, Message::Response(_)) => Err(TransferError::Unknown),
        };
        taken.unwrap_or_else(|error| {
            self.refuse(peer, &error);
            None
        })
    }

    pub(super) fn refuse(&self, peer: PeerId, why: &dyn std::fmt::Display) {
        self.totals.messages_refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%peer, %why, "a message of data transfer is not taken");
    }

    /// Which channel a message of a peer is of.
    fn channel_of(&self, peer: PeerId, message: &Message) -> Option<ChannelId> {
        let (us, them) = (self.host.peer_id().to_bytes(), peer.to_bytes());
        match message {
            Message::Request(Request { kind: RequestKind::PleaseRestart(id), .. }) => {
                (id.initiator == us && id.responder == them).then(|| id.clone())
            }
            Message::Request(Request { id, .. }) => Some(ChannelId { initiator: them, responder: us, id: *id }),
            Message::Response(Response { id, .. }) => Some(ChannelId { initiator: us, responder: them, id: *id }),
        }
    }

    /// A peer says something of a channel that is over or not known.
    fn hear_new(
        self: &Arc<Self>,
        peer: PeerId,
        id: ChannelId,
        request: Request,
        carrier: Option<&Asked>,
    ) -> Result<Option<Admission>, TransferError> {
        if let Some(channel) = self.kept.get(&id)? {
            let mut over = Entry::new(channel, peer, Vec::new());
            return self.take(&mut over, Event::Message(Message::Request(request)), carrier);
        }
        match request.kind {
            RequestKind::New(opening) => self.answer(peer, id, *opening, false, carrier),
            RequestKind::Restart(opening) => self.answer(peer, id, *opening, true, carrier),
            _ => Err(TransferError::Unknown),
        }
    }

    /// A peer opens a channel.
    fn answer(
        self: &Arc<Self>,
        peer: PeerId,
        id: ChannelId,
        opening: Opening,
        is_restart: bool,
        carrier: Option<&Asked>,
    ) -> Result<Option<Admission>, TransferError> {
        if !self.has_room_for(&id.initiator) {
            let verdict = Default::default();
            let kind = if is_restart { ResponseKind::Restart(verdict) } else { ResponseKind::New(verdict) };
            let message = Message::Response(Response { id: id.id, kind });
            tracing::info!(%peer, "a channel is refused: there are too many");
            self.totals.refused.fetch_add(1, Ordering::Relaxed);
            let Some(asked) = carrier else {
                self.mail.send(self, peer, Vec::new(), id, message);
                return Ok(None);
            };
            return Ok(Some(Admission::Refuse(Status::BUSY, said(&[message], asked))));
        }
        let (channel, effects) = Channel::answer(id.clone(), opening, self.options.validate.as_ref());
        if carrier.is_some_and(|asked| !channel.is_for(asked)) {
            return Err(TransferError::OtherData);
        }
        let mut entry = Entry::new(channel, peer, Vec::new());
        if entry.channel.status().is_final() {
            // It was refused: there is nothing to remember.
            return Ok(self.act(&mut entry, effects, carrier));
        }
        let entry = match lock(&self.channels).entry(id) {
            hash_map::Entry::Vacant(place) => Arc::clone(place.insert(Arc::new(Mutex::new(entry)))),
            // It was opened twice, at once.
            hash_map::Entry::Occupied(_) => return Ok(None),
        };
        let mut entry = lock(&entry);
        Ok(self.act(&mut entry, effects, carrier))
    }

    /// Whether a peer may open one more channel. Where there are too many in all, the one over which nothing went for longest makes room.
    fn has_room_for(self: &Arc<Self>, initiator: &[u8]) -> bool {
        let channels: Vec<_> = lock(&self.channels).values().cloned().collect();
        let (mut open, mut theirs, mut oldest) = (0, 0, None);
        for entry in &channels {
            let entry = lock(entry);
            if entry.channel.status().is_final() {
                continue;
            }
            open += 1;
            theirs += usize::from(entry.channel.id().initiator == initiator);
            let is_idle = entry.went.elapsed() > self.options.silence;
            let waits_for_us = entry.channel.role() == Role::Initiator || entry.channel.is_paused(Role::Responder);
            if is_idle && !waits_for_us && oldest.as_ref().is_none_or(|(went, _)| entry.went < *went) {
                oldest = Some((entry.went, entry.channel.id().clone()));
            }
        }
        // Those that are over are soon in the file, and not here.
        if theirs >= self.options.per_peer || channels.len() >= 2 * self.options.channels {
            return false;
        }
        let makes_room = |(_, id)| self.happen(&id, Event::Failed("another takes its place".to_owned())).is_ok();
        open < self.options.channels || oldest.is_some_and(makes_room)
    }

    /// Does what is to be done about a channel; what becomes of a graphsync request that had to do with it.
    pub(super) fn act(
        self: &Arc<Self>,
        entry: &mut Entry,
        effects: Vec<Effect>,
        carrier: Option<&Asked>,
    ) -> Option<Admission> {
        let (peer, is_news) = (entry.peer, !effects.is_empty());
        let mut admission = None;
        for effect in effects {
            match effect {
                Effect::Send(message) => self.send(entry, message),
                Effect::Ask(message) => self.ask(entry, message),
                Effect::Serve { message, is_paused } => {
                    admission = self.serve(entry, message, is_paused, carrier).or(admission);
                }
                Effect::Refuse(message) => match carrier {
                    Some(asked) => admission = Some(Admission::Refuse(Status::REJECTED, said(&[message], asked))),
                    None => self.send(entry, message),
                },
                Effect::Pause => entry.served.into_iter().for_each(|request| self.graphsync.pause(peer, request)),
                Effect::Resume => {
                    entry.served.into_iter().for_each(|request| self.graphsync.resume(peer, request, Vec::new()));
                }
                Effect::Stop => self.stop(entry),
                Effect::Tell(news) => self.tell(entry, news),
            }
        }
        if is_news {
            self.keep_soon(entry);
        }
        admission
    }

    fn keep_soon(&self, entry: &mut Entry) {
        entry.kept = Instant::now();
        lock(&self.changed).insert(entry.channel.id().clone());
        self.to_keep.notify_one();
    }

    fn send(self: &Arc<Self>, entry: &Entry, message: Message) {
        self.mail.send(self, entry.peer, entry.addresses.clone(), entry.channel.id().clone(), message);
    }

    /// A graphsync request that came with a message is answered.
    fn serve(
        self: &Arc<Self>,
        entry: &mut Entry,
        message: Option<Message>,
        is_paused: bool,
        carrier: Option<&Asked>,
    ) -> Option<Admission> {
        let Some(asked) = carrier else {
            message.into_iter().for_each(|message| self.send(entry, message));
            return None;
        };
        if !entry.channel.is_for(asked) {
            self.refuse(entry.peer, &TransferError::OtherData);
            return None;
        }
        if let Some(before) = entry.served.replace(asked.id)
            && before != asked.id
        {
            lock(&self.served).remove(&(entry.peer, before));
            self.graphsync.refuse(entry.peer, before, Status::CANCELLED);
        }
        lock(&self.served).insert((entry.peer, asked.id), entry.channel.id().clone());
        let told = said(message.as_slice(), asked);
        Some(if is_paused { Admission::Pause(told) } else { Admission::Accept(told) })
    }

    /// Our half is over.
    fn stop(&self, entry: &mut Entry) {
        if let Some(request) = entry.served.take() {
            lock(&self.served).remove(&(entry.peer, request));
            self.graphsync.refuse(entry.peer, request, Status::CANCELLED);
        }
        if let Some((_, asking)) = entry.asking.take() {
            asking.abort();
        }
        if let Some(restart) = entry.restart.take() {
            restart.abort();
        }
    }

    fn tell(self: &Arc<Self>, entry: &mut Entry, news: News) {
        tracing::debug!(peer = %entry.peer, number = entry.channel.id().id, ?news, "data transfer");
        if let Some(total) = self.total_of(&news) {
            total.fetch_add(1, Ordering::Relaxed);
        }
        let is_cut = news == News::Cut;
        // Who sends hears of it from who gets the data, or from who opened the channel.
        let may_restart = entry.channel.role() == Role::Initiator || entry.channel.is_receiver();
        // Perhaps nobody listens.
        let _ = self.news.send((entry.channel.id().clone(), news));
        if is_cut && may_restart {
            self.restart_later(entry);
        }
    }

    fn total_of(&self, news: &News) -> Option<&AtomicU64> {
        let totals = &self.totals;
        Some(match news {
            News::Accepted => &totals.accepted,
            News::Restarted => &totals.restarted,
            News::Cut => &totals.cut,
            News::Completed => &totals.completed,
            News::Refused => &totals.refused,
            News::Cancelled => &totals.cancelled,
            News::Failed(_) => &totals.failed,
            _ => return None,
        })
    }
}
