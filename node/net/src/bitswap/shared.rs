//! What streams, peers and fetches have in common, behind one lock that is never held over input or output.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use filecash_ipld::store::BlockStore;
use filecash_ipld::wire::bitswap::{Message, Version};
use libp2p::PeerId;
use libp2p_stream::Control;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use super::budget::Budget;
use super::engine::{Engine, Hash};
use super::link;
use super::outbox::Outbox;
use super::session::{Session, SessionLimits};
use super::{Limits, Options, Stats};

/// How long nothing is taken from a peer that has done what no honest one does.
const PUNISHED: Duration = Duration::from_secs(30);
/// Peers of which that is remembered.
const MAX_BAD: usize = 1024;
/// Blocks of which is remembered that they came.
const RECENT: usize = 2048;

/// See the module.
pub(super) struct Shared {
    pub store: Arc<dyn BlockStore>,
    pub options: Options,
    pub control: Control,
    /// Where links run: who puts blocks may be on any thread.
    runtime: Handle,
    /// Bytes of blocks that are being sent.
    pub sending: Budget,
    /// Bytes of messages that are being read.
    receiving: Budget,
    /// And of those of peers that a fetch asks.
    answers: Budget,
    /// Long messages that are being looked at.
    pub looking: Semaphore,
    state: Mutex<State>,
}

pub(super) struct State {
    pub engine: Engine,
    pub links: HashMap<PeerId, Link>,
    pub fetches: HashMap<u64, Fetch>,
    pub stats: Stats,
    next_fetch: u64,
    bad: HashMap<PeerId, Instant>,
    recent: Recent,
}

/// What is to be told to a peer, and the task that does it.
pub(super) struct Link {
    pub outbox: Outbox,
    pub version: Option<Version>,
    /// Whether its connections are gone, and the stream with them.
    pub is_broken: bool,
    wake: Arc<Notify>,
    /// Tells who writes that they are gone.
    gone: Arc<Notify>,
    pub task: AbortHandle,
}

/// A fetch, and who waits for what it gets.
pub(super) struct Fetch {
    pub session: Session,
    wake: Arc<Notify>,
}

/// What a link has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    Nothing,
    Reset,
    Tell,
}

impl Shared {
    pub fn new(store: Arc<dyn BlockStore>, options: Options, control: Control) -> Self {
        let Limits { sending, receiving, answers, receiving_per_peer, wants, .. } = options.limits;
        let state = State {
            engine: Engine::new(wants),
            links: HashMap::new(),
            fetches: HashMap::new(),
            stats: Stats::default(),
            next_fetch: 0,
            bad: HashMap::new(),
            recent: Recent::default(),
        };
        Self {
            store,
            control,
            runtime: Handle::current(),
            // A peer is sent one message at a time.
            sending: Budget::new(sending, sending),
            receiving: Budget::new(receiving, receiving_per_peer),
            answers: Budget::new(answers, receiving_per_peer),
            looking: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            options,
            state: Mutex::new(state),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a peer's messages are read within.
    pub fn budget(&self, peer: &PeerId) -> &Budget {
        let is_asked = self.lock().fetches.values().any(|fetch| fetch.session.has(peer));
        if is_asked { &self.answers } else { &self.receiving }
    }

    /// Takes a message; tells how many of its blocks nobody asked for.
    pub fn received(self: &Arc<Self>, peer: PeerId, message: Message) -> usize {
        let now = Instant::now();
        let mut state = self.lock();
        if !message.wants.is_empty() || message.full {
            let refused = state.engine.received(peer, &message.wants, message.full);
            state.stats.wants_refused += refused as u64;
            if state.engine.is_ready(&peer) && !state.wake(self, peer) {
                state.engine.gone(&peer);
            }
        }
        for presence in &message.presences {
            for fetch in state.fetches.values_mut() {
                fetch.session.presence(&peer, presence.cid.hash(), presence.have, now);
                if fetch.session.nowhere().is_some() {
                    fetch.wake.notify_one();
                }
            }
        }
        let unasked = message.blocks.into_iter().map(|block| usize::from(!state.took(&peer, block, now))).sum();
        state.settle();
        unasked
    }

    /// What a link has to do.
    pub fn work(&self, peer: &PeerId, is_open: bool) -> Work {
        let mut state = self.lock();
        let is_wanted = state.fetches.values().any(|fetch| fetch.session.has(peer));
        let answers = state.engine.is_ready(peer);
        let Some(link) = state.links.get_mut(peer) else { return Work::Nothing };
        if std::mem::take(&mut link.is_broken) {
            return Work::Reset;
        }
        if link.outbox.is_ready() || answers || (is_wanted && !is_open) { Work::Tell } else { Work::Nothing }
    }

    /// A link has a stream.
    pub fn opened(&self, peer: &PeerId, version: Version) {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(link) = state.links.get_mut(peer) else { return };
        link.version = Some(version);
        link.outbox.reopened();
        state.fetches.values_mut().for_each(|fetch| fetch.session.opened(peer, version, now));
        state.settle();
    }

    /// A link has none any more, and tries to get another, or not.
    pub fn closed(&self, peer: &PeerId, for_good: bool) {
        let mut state = self.lock();
        if for_good {
            state.engine.gone(peer);
            state.links.remove(peer);
        } else if let Some(link) = state.links.get_mut(peer) {
            link.version = None;
        }
        state.closed(peer, for_good);
    }

    /// The last connection to a peer is gone.
    pub fn gone(&self, peer: &PeerId) {
        let mut state = self.lock();
        state.engine.gone(peer);
        if let Some(link) = state.links.get_mut(peer) {
            (link.is_broken, link.version) = (true, None);
            link.gone.notify_waiters();
            link.wake.notify_one();
        }
        state.closed(peer, false);
    }

    /// These peers are connected; wants of others are forgotten.
    pub fn stay(&self, connected: &HashSet<PeerId>) {
        let mut state = self.lock();
        let left: Vec<PeerId> = state.engine.peers().filter(|peer| !connected.contains(peer)).copied().collect();
        left.iter().for_each(|peer| state.engine.gone(peer));
    }

    /// A peer is there; who had given it up may ask it again.
    pub fn came(self: &Arc<Self>, peer: PeerId) {
        let mut state = self.lock();
        let mut is_wanted = false;
        for fetch in state.fetches.values_mut().filter(|fetch| fetch.session.lost(&peer)) {
            fetch.session.join(peer);
            is_wanted = true;
        }
        if is_wanted {
            state.wake(self, peer);
        }
    }

    /// Whether a link has nothing to do, and is forgotten.
    pub fn leaves(&self, peer: &PeerId) -> bool {
        let mut state = self.lock();
        let is_wanted = state.fetches.values().any(|fetch| fetch.session.has(peer));
        let leaves = !is_wanted
            && !state.engine.is_ready(peer)
            && state.links.get(peer).is_none_or(|link| link.outbox.is_empty() && !link.is_broken);
        if leaves {
            state.links.remove(peer);
        }
        leaves
    }

    /// A peer has done what no honest one does.
    pub fn offended(&self, peer: &PeerId) {
        let now = Instant::now();
        let mut state = self.lock();
        state.bad.retain(|_, until| *until > now);
        if state.bad.len() < MAX_BAD {
            state.bad.insert(*peer, now + PUNISHED);
        }
        state.stats.offences += 1;
        state.engine.gone(peer);
    }

    /// Whether nothing is taken from a peer for now.
    pub fn is_bad(&self, peer: &PeerId) -> bool {
        let now = Instant::now();
        self.lock().bad.get(peer).is_some_and(|until| *until > now)
    }

    /// Blocks are in the store; who waits for them gets them.
    pub fn arrived(self: &Arc<Self>, hashes: &[Hash]) {
        let mut state = self.lock();
        let waiting = state.engine.arrived(hashes);
        for peer in waiting {
            state.wake(self, peer);
        }
    }

    /// Begins a fetch; `None` while there are too many.
    pub fn begin(self: &Arc<Self>, peers: &[PeerId]) -> Option<(u64, Arc<Notify>)> {
        let now = Instant::now();
        let mut state = self.lock();
        let Limits { fetches, window, .. } = self.options.limits;
        if state.fetches.len() >= fetches {
            return None;
        }
        let mut session = Session::new(SessionLimits { window, held: window.saturating_mul(2) });
        peers.iter().for_each(|peer| session.join(*peer));
        state.next_fetch += 1;
        let (id, wake) = (state.next_fetch, Arc::new(Notify::new()));
        state.fetches.insert(id, Fetch { session, wake: Arc::clone(&wake) });
        for peer in peers {
            let is_linked = state.wake(self, *peer);
            let version = state.links.get(peer).and_then(|link| link.version);
            let Some(fetch) = state.fetches.get_mut(&id) else { continue };
            match version {
                Some(version) => fetch.session.opened(peer, version, now),
                None if !is_linked => fetch.session.closed(peer, true, now),
                None => {}
            }
        }
        Some((id, wake))
    }

    /// Ends a fetch, whose wants are cancelled.
    pub fn end(&self, id: u64) {
        let mut state = self.lock();
        state.fetches.remove(&id);
        for link in state.links.values_mut() {
            link.outbox.forget(id);
            if link.outbox.is_ready() {
                link.wake.notify_one();
            }
        }
    }

    /// Does something with a fetch.
    pub fn with<T>(&self, id: u64, work: impl FnOnce(&mut Session, Instant) -> T) -> Option<T> {
        let mut state = self.lock();
        let done = state.fetches.get_mut(&id).map(|fetch| work(&mut fetch.session, Instant::now()));
        state.settle();
        done
    }
}

impl State {
    /// Has a link to a peer look for work. There may be too many links for another.
    fn wake(&mut self, shared: &Arc<Shared>, peer: PeerId) -> bool {
        if let Some(link) = self.links.get(&peer) {
            link.wake.notify_one();
            return true;
        }
        if self.links.len() >= shared.options.limits.peers {
            return false;
        }
        let [wake, gone] = [(); 2].map(|()| Arc::new(Notify::new()));
        let work = link::run(Arc::clone(shared), peer, Arc::clone(&wake), Arc::clone(&gone));
        let task = shared.runtime.spawn(work).abort_handle();
        self.links.insert(peer, Link { outbox: Outbox::default(), version: None, is_broken: false, wake, gone, task });
        true
    }

    /// Whether somebody wanted a block, and takes it.
    fn took(&mut self, peer: &PeerId, block: filecash_ipld::Block, now: Instant) -> bool {
        let (hash, length) = (*block.cid().hash(), block.bytes().len() as u64);
        let mut wanting: Vec<&mut Fetch> =
            self.fetches.values_mut().filter(|fetch| fetch.session.wants(&hash)).collect();
        let Some(last) = wanting.pop() else {
            let is_repeated = self.recent.contains(&hash);
            self.stats.duplicates += u64::from(is_repeated);
            self.stats.unasked += u64::from(!is_repeated);
            return is_repeated;
        };
        let mut taken = false;
        for fetch in wanting {
            taken |= fetch.session.block(peer, block.clone(), now);
            fetch.wake.notify_one();
        }
        taken |= last.session.block(peer, block, now);
        last.wake.notify_one();
        if taken {
            self.stats.blocks_received += 1;
            self.stats.bytes_received += length;
            self.recent.push(hash);
        }
        true
    }

    fn closed(&mut self, peer: &PeerId, for_good: bool) {
        let now = Instant::now();
        for fetch in self.fetches.values_mut() {
            fetch.session.closed(peer, for_good, now);
            fetch.wake.notify_one();
        }
        self.settle();
    }

    /// Puts what fetches want into the outboxes.
    fn settle(&mut self) {
        for (id, fetch) in &mut self.fetches {
            for ask in fetch.session.take_asks() {
                let Some(link) = self.links.get_mut(&ask.peer) else { continue };
                match ask.kind {
                    Some(kind) => link.outbox.want(*id, ask.cid, kind, ask.priority),
                    None => link.outbox.cancel(*id, ask.cid.hash()),
                }
                link.wake.notify_one();
            }
        }
    }
}

/// The blocks that came last.
#[derive(Default)]
struct Recent {
    known: HashSet<Hash>,
    order: VecDeque<Hash>,
}

impl Recent {
    fn contains(&self, hash: &Hash) -> bool {
        self.known.contains(hash)
    }

    fn push(&mut self, hash: Hash) {
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
