//! What the orders of a sync do: they read and write the chain's folder, on threads where that may take long, and ask peers.
//!
//! Headers that come are checked before they are kept, and messages before the head moves over them. Not more than an answer and
//! [`WINDOW`] tipsets are in memory at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use filecash_chain::Tipset;
use filecash_chain::address::BlsKey;
use filecash_chain::chain::ChainError;
use filecash_chain::check::block::BlockFault;
use filecash_chain::check::tipset::{Checks, Keys};
use filecash_chain::exchange::{ExchangeError, Request};
use filecash_chain::folder::{ChainFolder, Descent, FolderError, Held, Step};
use filecash_chain::read::ReadError;
use libp2p::PeerId;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::machine::{Failure, Order, Standing, Target};
use super::{Progress, Stage};
use crate::exchange::{AskError, ask, ask_messages};
use crate::host::Host;
use crate::streams::StreamError;

/// Tipsets whose messages are had and checked at a time.
const WINDOW: usize = 16;
/// Headers that are gone through at a time.
const STRIDE: usize = 512;

/// What all orders need.
pub(super) struct Tools {
    pub(super) host: Host,
    pub(super) folder: Arc<ChainFolder>,
    pub(super) beacon: Option<BlsKey>,
    pub(super) keys: Arc<dyn Keys>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) stopped: Arc<AtomicBool>,
    /// Peers that a hello is on the way to.
    pub(super) greeted: Mutex<HashSet<PeerId>>,
}

/// Carries out orders.
pub(super) struct Work {
    tools: Arc<Tools>,
    target: Target,
    way: Way,
}

/// Where a sync stands.
#[derive(Clone)]
enum Way {
    Down(Descent),
    Up { height: i64, top: i64 },
}

impl Tools {
    fn checks(&self) -> Checks<'_> {
        Checks { rules: self.folder.rules(), beacon: self.beacon.as_ref(), keys: &*self.keys }
    }

    pub(super) fn greeted(&self) -> MutexGuard<'_, HashSet<PeerId>> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, stage: Stage, height: i64, target: &Target) {
        // Until its headers are had nobody knows whether there is such a tipset.
        let tipset = self.folder.chain().tipset(&target.key).ok().map(Arc::new);
        self.progress.send_replace(Progress { stage, height, target: target.height, tipset });
    }
}

/// Seconds of Unix.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Work {
    pub(super) fn new(tools: Arc<Tools>) -> Self {
        let target = Target { key: Vec::new(), height: 0, weight: filecash_chain::Amount::zero() };
        Self { tools, target, way: Way::Down(Descent::from(Vec::new())) }
    }

    pub(super) async fn carry_out(&mut self, order: Order) -> Result<Standing, Failure> {
        match order {
            Order::Begin { target } => {
                self.way = Way::Down(Descent::from(target.key.clone()));
                self.target = target;
                self.on_thread(|_, _, _| Ok(())).await
            }
            Order::Headers { peer, length } => {
                let Way::Down(descent) = &self.way else { return Err(Failure::Here) };
                let request = Request::new(descent.next().to_vec(), length, false);
                let came = ask(&self.tools.host, peer, request).await.map_err(|error| blame(peer, &error))?;
                let tipsets = came.into_iter().map(|full| full.tipset).collect();
                self.on_thread(move |tools, target, way| take_headers(tools, target, way, tipsets)).await
            }
            Order::Messages { peer } => {
                let lacking = self.blocking(|tools, _, way| lacking(tools, way)).await?;
                let asked = lacking.clone();
                let came = ask_messages(&self.tools.host, peer, asked).await.map_err(|error| blame(peer, &error))?;
                self.on_thread(move |tools, _, _| {
                    tools.folder.put_messages(came.iter().flatten()).map_err(|error| fault(&error))
                })
                .await
            }
        }
    }

    /// Does something and then goes as far as what is there leads.
    async fn on_thread(
        &mut self,
        first: impl FnOnce(&Tools, &Target, &mut Way) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Standing, Failure> {
        let outcome = self.blocking(|tools, target, way| {
            first(tools, target, way)?;
            go_on(tools, target, way)
        });
        outcome.await
    }

    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Tools, &Target, &mut Way) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (tools, target, mut way) = (Arc::clone(&self.tools), self.target.clone(), self.way.clone());
        let done = spawn_blocking(move || {
            let outcome = work(&tools, &target, &mut way);
            if let Err(Failure::Chain | Failure::Claim) = outcome {
                // What was kept of a chain that is no good is of no use; if it cannot be removed it only takes room.
                let _ = tools.folder.discard_noted();
            }
            (outcome, way)
        });
        let (outcome, way) = done.await.map_err(|_| Failure::Here)?;
        self.way = way;
        outcome
    }
}

fn take_headers(tools: &Tools, target: &Target, way: &mut Way, tipsets: Vec<Tipset>) -> Result<(), Failure> {
    let Way::Down(descent) = way else { return Err(Failure::Here) };
    let step = tools.folder.descend_through(descent, &tools.checks(), now(), tipsets).map_err(|error| fault(&error))?;
    check_height(descent, target)?;
    arrive(tools, target, way, step);
    Ok(())
}

/// Whether the target has the height that was claimed, once that is known.
fn check_height(descent: &Descent, target: &Target) -> Result<(), Failure> {
    match descent.top() {
        Some(top) if top != target.height => {
            tracing::info!(claimed = target.height, top, "a claim with another height than its tipset has");
            Err(Failure::Claim)
        }
        _ => Ok(()),
    }
}

/// Turns round where the chain was met.
fn arrive(tools: &Tools, target: &Target, way: &mut Way, step: Step) {
    if let (Step::Met(height), Way::Down(descent)) = (step, &*way) {
        let top = descent.top().unwrap_or(height);
        *way = Way::Up { height, top };
        tools.tell(Stage::Messages, height, target);
    }
}

fn go_on(tools: &Tools, target: &Target, way: &mut Way) -> Result<Standing, Failure> {
    loop {
        if tools.stopped.load(Ordering::Relaxed) {
            return Err(Failure::Here);
        }
        match way {
            Way::Down(descent) => {
                let step = tools.folder.descend(descent, &tools.checks(), now(), STRIDE);
                let step = step.map_err(|error| fault(&error))?;
                let below = descent.below();
                check_height(descent, target)?;
                tools.tell(Stage::Headers, below.min(target.height), target);
                if step == Step::Missing {
                    return if is_lighter(tools, target) {
                        Ok(Standing::Over { moved: false })
                    } else {
                        Ok(Standing::Down { below: below.min(target.height.saturating_add(1)) })
                    };
                }
                arrive(tools, target, way, step);
            }
            Way::Up { height, top } => {
                // That it is, once it is the head.
                if is_lighter(tools, target) {
                    return finish(tools, target);
                }
                let window = tools.folder.noted(*height, *top, WINDOW).map_err(|error| fault(&error))?;
                let Some(last) = window.last() else { return finish(tools, target) };
                let last = last.height();
                let (good, lacking) = check_window(tools, &window)?;
                if let Some(good) = good {
                    *height = good.height();
                    tools.folder.set_head(good).map_err(|error| fault(&error))?;
                    tools.tell(Stage::Messages, *height, target);
                }
                if lacking > 0 {
                    return Ok(Standing::Up { height: *height, lacking });
                }
                *height = last;
            }
        }
    }
}

/// Whether what is known of the target says that it is not heavier than the head.
fn is_lighter(tools: &Tools, target: &Target) -> bool {
    let folder = &tools.folder;
    let weight = folder.chain().tipset(&target.key).ok().and_then(|tipset| folder.weigh(&tipset).ok());
    weight.is_some_and(|weight| weight <= folder.head().weight)
}

fn finish(tools: &Tools, target: &Target) -> Result<Standing, Failure> {
    tools.folder.forget_noted().map_err(|error| fault(&error))?;
    Ok(Standing::Over { moved: tools.folder.head().tipset.key() == target.key })
}

/// The last of some tipsets up to which all are good, and of how many blocks of the others messages are missing.
fn check_window<'a>(tools: &Tools, window: &'a [Tipset]) -> Result<(Option<&'a Tipset>, usize), Failure> {
    let (mut good, mut lacking) = (None, 0);
    for tipset in window {
        match tools.folder.held(tipset).map_err(|error| fault(&error))? {
            Held::All(messages) if lacking == 0 => {
                let unknown = tools.folder.check_messages(tipset, &messages, &tools.checks());
                if unknown.map_err(|error| fault(&error))? > 0 {
                    tracing::debug!(height = tipset.height(), "not all signers are known");
                }
                good = Some(tipset);
            }
            Held::All(_) => {}
            Held::Lacking(places) => lacking += places.len(),
        }
    }
    Ok((good, lacking))
}

/// Tipsets of the window whose messages are missing: the highest, of it the blocks that lack them, and those right below.
fn lacking(tools: &Tools, way: &mut Way) -> Result<Vec<Tipset>, Failure> {
    let Way::Up { height, top } = way else { return Err(Failure::Here) };
    let window = tools.folder.noted(*height, *top, WINDOW).map_err(|error| fault(&error))?;
    let mut found = Vec::new();
    for tipset in window.into_iter().rev() {
        match tools.folder.held(&tipset).map_err(|error| fault(&error))? {
            Held::All(_) if found.is_empty() => {}
            Held::All(_) => break,
            Held::Lacking(places) if found.is_empty() => {
                let headers = places.iter().map(|place| tipset.blocks()[*place].1.clone());
                found.push(Tipset::new(headers.collect()).map_err(|_| Failure::Here)?);
            }
            Held::Lacking(_) => found.push(tipset),
        }
    }
    if found.is_empty() { Err(Failure::Here) } else { Ok(found) }
}

/// What an answer that is none says about the peer.
fn blame(peer: PeerId, error: &AskError) -> Failure {
    tracing::debug!(%peer, %error, "no part of the chain");
    match error {
        AskError::Stream(StreamError::Silent(_)) => Failure::Silent,
        AskError::Object(_) | AskError::Stream(StreamError::Codec(_) | StreamError::TooLong { .. }) => Failure::Lied,
        AskError::Exchange(ExchangeError::Status { .. }) => Failure::Failed,
        AskError::Exchange(_) => Failure::Lied,
        _ => Failure::Failed,
    }
}

/// What is wrong, where a folder did not take something.
fn fault(error: &FolderError) -> Failure {
    let failure = match error {
        // Later it may be good.
        FolderError::Invalid { source: BlockFault::Future { .. }, .. } => Failure::Claim,
        FolderError::Invalid { .. } | FolderError::ForkTooLong { .. } | FolderError::OtherGenesis { .. } => {
            Failure::Chain
        }
        FolderError::Chain(ChainError::Read(ReadError::Missing(_) | ReadError::Store(_))) => Failure::Here,
        FolderError::Chain(_) => Failure::Claim,
        _ => Failure::Here,
    };
    match failure {
        Failure::Here => tracing::warn!(%error, "the chain's folder"),
        _ => tracing::info!(%error, "a chain is not followed"),
    }
    failure
}
