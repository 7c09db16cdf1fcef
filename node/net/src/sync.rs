//! Following the chain: what other nodes have of it and we do not is asked of them, checked, kept, and followed when it is heavier.
//!
//! ```text
//! hello, gossip ──claims──> machine ──orders──> work ──> ChainExchange with a peer; the chain's folder
//!                              ▲                 │
//!                              └─────────────────┘ how it went
//! ```
//! - [`machine`]: which chain is followed, and whom to ask for what. It has no input and output.
//! - `work`: the orders carried out; `announced`: blocks of gossip.
//!
//! Headers come first, from the target down until the chain is met, and are kept as they come. Then messages come from below, some
//! tipsets at a time, and the head follows when they are checked. A sync that was ended, by whatever, finds what it had and asks only for
//! the rest. Once one node of two is behind, the other tells it by a hello back, since only who dials says it first.
//!
//! Nothing here needs the state of the ledger, so a chain of the right form that was made by who cannot mine is not told from one
//! that others mined but by its weight; neither are weights told from right ones but by their steps ([`filecash_chain::weight`]).
//!
//! Source: `spec/network.md` 4.4 and 5; `spec/chain.md` 4.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use filecash_chain::address::BlsKey;
use filecash_chain::block_message::BlockMsg;
use filecash_chain::check::tipset::{GenesisKeys, Keys, NoKeys};
use filecash_chain::folder::ChainFolder;
use filecash_chain::hello::Hello;
use filecash_chain::{Object, Tipset};
use libp2p::PeerId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::gossip::TopicKind;
use crate::host::{Host, HostEvent};
use crate::streams::AlreadyServed;
use crate::{exchange, hello};

mod announced;
pub mod machine;
mod work;

use announced::Announced;
use machine::{Event, Failure, Machine, Target};
use work::{Tools, Work};

/// Claims that may wait.
const QUEUE: usize = 1024;

/// How a chain is followed.
#[derive(Clone)]
pub struct SyncOptions {
    /// The key of the network's beacon, where its rounds are chained and it is known.
    pub beacon: Option<BlsKey>,
    /// Keys of senders and miners.
    pub keys: Arc<dyn Keys>,
    /// After what time those who failed are asked again.
    pub again: Duration,
}

impl std::fmt::Debug for SyncOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncOptions").field("again", &self.again).finish_non_exhaustive()
    }
}

impl SyncOptions {
    /// With the keys that the genesis of a chain knows.
    pub fn of(folder: &ChainFolder) -> Self {
        Self { beacon: None, keys: genesis_keys(folder), again: Duration::from_secs(30) }
    }
}

/// The keys that the genesis of a chain knows.
pub fn genesis_keys(folder: &ChainFolder) -> Arc<dyn Keys> {
    let store = Arc::clone(folder.chain().store());
    match folder.chain().tipset(&[folder.genesis()]) {
        Ok(genesis) => Arc::new(GenesisKeys::new(store, genesis.first().parent_state_root)),
        Err(_) => Arc::new(NoKeys),
    }
}

/// What a sync is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Stage {
    Idle,
    Headers,
    Messages,
}

/// How far a sync is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// The height down to which there are headers, or up to which there are messages. Of none, that of the head.
    pub height: i64,
    /// The height that it is to come to.
    pub target: i64,
    /// The tipset there, once its headers have come.
    pub tipset: Option<Arc<Tipset>>,
}

impl Progress {
    /// Of no sync.
    fn idle(height: i64) -> Self {
        Self { stage: Stage::Idle, height, target: height, tipset: None }
    }
}

/// A chain that is followed, until this is dropped.
#[derive(Debug)]
pub struct Sync {
    progress: watch::Receiver<Progress>,
    stopped: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sync {
    /// How far it is, now and whenever that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

impl Sync {
    /// Ends it, and waits until it has.
    pub async fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // It was told to.
            let _ = task.await;
        }
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Says hello, answers for the chain, and follows the heaviest that others have.
///
/// # Errors
/// [`AlreadyServed`] when that is done already on this host.
pub fn start(host: &Host, folder: Arc<ChainFolder>, options: SyncOptions) -> Result<Sync, AlreadyServed> {
    let (claims, queue) = mpsc::channel(QUEUE);
    let (ours, heard) = (Arc::clone(&folder), claims.clone());
    let hellos = hello::run(
        host,
        Arc::new(move || ours.hello()),
        Arc::new(move |peer, hello| drop(heard.try_send(Heard::Hello(peer, hello)))),
    )?;
    let answering = Arc::clone(&folder);
    let answers = exchange::run(host, Arc::new(move |request| answering.chain().answer(request)));
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            hellos.iter().for_each(JoinHandle::abort);
            return Err(error);
        }
    };
    let (progress, watched) = watch::channel(Progress::idle(folder.head().tipset.height()));
    let stopped = Arc::new(AtomicBool::new(false));
    let tools = Tools {
        host: host.clone(),
        folder: Arc::clone(&folder),
        beacon: options.beacon,
        keys: options.keys,
        progress,
        stopped: Arc::clone(&stopped),
        greeted: Mutex::default(),
    };
    let listening = tokio::spawn(listen(host.clone(), folder, claims));
    let following = tokio::spawn(follow(tools, queue, options.again));
    let [greeting, greeted] = hellos;
    Ok(Sync { progress: watched, stopped, tasks: vec![greeting, greeted, answers, listening, following] })
}

/// What peers tell.
enum Heard {
    Hello(PeerId, Hello),
    Claim(PeerId, Target),
    Gone(PeerId),
}

fn ours(folder: &ChainFolder) -> Target {
    let Hello { heaviest, height, weight, .. } = folder.hello();
    Target { key: heaviest, height, weight }
}

/// Makes claims of what the host tells.
async fn listen(host: Host, folder: Arc<ChainFolder>, claims: mpsc::Sender<Heard>) {
    let announced = Arc::new(Mutex::new(Announced::default()));
    let mut events = host.events();
    loop {
        let heard = match events.recv().await {
            Ok(HostEvent::Gone { peer }) => Heard::Gone(peer),
            Ok(HostEvent::Gossip { kind: TopicKind::Blocks, source, bytes }) => {
                let (folder, announced) = (Arc::clone(&folder), Arc::clone(&announced));
                let target = spawn_blocking(move || announcement(&folder, &announced, &bytes));
                let Ok(Some(target)) = target.await else { continue };
                Heard::Claim(source, target)
            }
            Ok(_) | Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if claims.send(heard).await.is_err() {
            return;
        }
    }
}

/// The tipset that an announced block makes with others. Its header is kept where its parents are.
fn announcement(folder: &ChainFolder, announced: &Mutex<Announced>, bytes: &[u8]) -> Option<Target> {
    let header = BlockMsg::decode(bytes).ok()?.header;
    let alone = Target { key: vec![header.cid()], height: header.height, weight: header.parent_weight.clone() };
    let tipset = {
        let mut announced = announced.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of the head may have come in another way.
        folder.head().tipset.headers().cloned().for_each(|header| drop(announced.add(header)));
        announced.add(header)?
    };
    let Ok(weight) = folder.weigh(&tipset) else { return Some(alone) };
    match folder.put_headers([&tipset]) {
        Ok(()) => Some(Target { key: tipset.key(), height: tipset.height(), weight }),
        Err(error) => {
            tracing::warn!(%error, "an announced block is not kept");
            None
        }
    }
}

/// Has the machine's orders carried out, one after the other.
async fn follow(tools: Tools, mut queue: mpsc::Receiver<Heard>, again: Duration) {
    let tools = Arc::new(tools);
    let (mut machine, mut idle) = (Machine::default(), Some(Work::new(Arc::clone(&tools))));
    // What is in it ends with this.
    let mut working = JoinSet::new();
    let mut ticks = interval(again);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            heard = queue.recv() => match heard {
                Some(Heard::Hello(peer, hello)) => {
                    tracing::info!(%peer, height = hello.height, weight = %hello.weight, "a node of our network");
                    greet_back(&tools, peer, &hello);
                    let Hello { heaviest: key, height, weight, .. } = hello;
                    Event::Claimed { peer, target: Target { key, height, weight } }
                }
                Some(Heard::Claim(peer, target)) => Event::Claimed { peer, target },
                Some(Heard::Gone(peer)) => Event::Gone { peer },
                None => return,
            },
            Some(finished) = working.join_next() => {
                let (work, outcome) =
                    finished.unwrap_or_else(|_| (Work::new(Arc::clone(&tools)), Err(Failure::Here)));
                idle = Some(work);
                Event::Done(outcome)
            }
            _ = ticks.tick() => Event::Tick,
        };
        if let Event::Done(outcome) = &event {
            tracing::debug!(?outcome, "an order of the sync was carried out");
        }
        let order = machine.step(event, &ours(&tools.folder));
        if let Some(order) = &order {
            tracing::debug!(?order, "the sync goes on");
        }
        match (order, idle.take()) {
            (Some(order), Some(mut work)) => {
                working.spawn(async move {
                    let outcome = work.carry_out(order).await;
                    (work, outcome)
                });
            }
            (_, work) => {
                idle = work;
                if idle.is_some() {
                    tools.progress.send_replace(Progress::idle(tools.folder.head().tipset.height()));
                }
            }
        }
    }
}

/// Tells a peer that is behind where we are; it does not answer with another hello.
fn greet_back(tools: &Arc<Tools>, peer: PeerId, theirs: &Hello) {
    let ours = tools.folder.hello();
    if theirs.weight >= ours.weight || !tools.greeted().insert(peer) {
        return;
    }
    let tools = Arc::clone(tools);
    tokio::spawn(async move {
        if let Err(error) = hello::greet(&tools.host, peer, &ours).await {
            tracing::debug!(%peer, %error, "no answer to our hello");
        }
        tools.greeted().remove(&peer);
    });
}

#[cfg(test)]
mod tests;
