//! Sealing for a miner that only takes the result: it is told of each sector that is sealed up to PC2 (`SectorReceive`), downloads its
//! files, and asks us for C1 and C2 when it has the seed.
//!
//! The sectors are the queue's own. Three of their jobs are held until somebody says something: C1 until the miner has taken the sector
//! ([`OFFER`]) and then until it gives the seed ([`SEED`]), and finalize until it says that the sector is proven ([`WORD`]). So
//! everything that there is to remember is in the queue, and a miner or a service that is restarted goes on.
//!
//! A sector's addresses hold a token, since the miner comes without a password: it is the name of its finalize job.
//!
//! Source: `spec/attach.md` B.15.

mod files;
mod hooks;
pub mod pledge;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_engine::job::Cancel;
use filecash_engine::porep::outputs::PreCommit2Output;
use filecash_engine::sector::piece::PieceInfo;
use filecash_engine::sector::{Profile, SealProof, cid};
use filecash_engine::store::atomic;
use filecash_engine::store::lock::FileLock;
use rand_core::{OsRng, RngCore};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::pledge::PledgeError;
use super::address::MinerApi;
use super::rpc::{CallError, Miner};
use super::types::actor_of;
use super::{AnnounceError, announced, unless_gone};
use crate::folder::{Folder, Identity};
use crate::http::{self, HttpError};
use crate::jobs::{Job, Kind, Queue, SectorRow, State, Store, StoreError};
use crate::worker::storage::Storage;

/// What C1 waits for at first.
pub const OFFER: &str = "the miner to take the sector (filecash serve sealing)";
/// What it waits for then.
pub const SEED: &str = "the miner's seed";
/// What finalize waits for.
pub const WORD: &str = "the miner's word that the sector is proven";
/// What the name of a finalize job begins with; the token comes after it.
const TOKEN: &str = "import/";

/// Between two looks for sectors that can be offered.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks for old tickets.
const RENEWING: Duration = Duration::from_secs(600);
/// A ticket of a sector that is not begun is old after so many epochs: an hour. A miner can use one for about a day.
const OLD_EPOCHS: i64 = 120;
/// Between two offers that the miner refused.
const REFUSED: Duration = Duration::from_secs(60);
/// How long the miner may take for an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// What the service is to be.
#[derive(Clone)]
pub struct Options {
    /// The miner.
    pub miner: MinerApi,
    /// Where it comes for files and proofs.
    pub listen: SocketAddr,
    /// `HOST:PORT` at which it reaches that, where it is another.
    pub announce: Option<String>,
    /// The network.
    pub profile: Profile,
    /// Where sectors are.
    pub storages: Vec<Storage>,
    /// A full node, for new tickets of sectors that are not begun.
    pub node: Option<MinerApi>,
}

/// Why the service did not begin, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ImportError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Miner(#[from] CallError),
    #[error("the miner's address is {0:?}, expected one such as f01000")]
    Actor(String),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    #[error(transparent)]
    Pledge(#[from] PledgeError),
    #[error("{sector}: {reason}")]
    Sector { sector: String, reason: String },
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Http(error.into())
    }
}

struct Inner {
    queue: Queue,
    options: Options,
    miner: Miner,
    actor: Mutex<Option<u64>>,
    uploads: tokio::sync::Semaphore,
}

/// The name of a new sector's finalize job, which nobody guesses.
pub fn name_with_token() -> String {
    let mut token = [0; 32];
    OsRng.fill_bytes(&mut token);
    format!("{TOKEN}{}", hex::encode(token))
}

/// Serves until `stop` is thrown. `ready` is called once the miner can come in.
///
/// # Errors
/// [`ImportError`], where nothing can come of it. A miner that is not there is waited for.
pub fn serve(store: &Store, options: &Options, stop: &Cancel, ready: impl FnOnce() + Send) -> Result<(), ImportError> {
    let inner = Arc::new(Inner {
        queue: Queue::open(store)?,
        miner: Miner::new(&options.miner),
        actor: Mutex::new(None),
        uploads: tokio::sync::Semaphore::new(hooks::UPLOADS),
        options: options.clone(),
    });
    let app = hooks::router(Arc::clone(&inner));
    let ends = Cancel::default();
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let served = http::serve(options.listen, app, 2, &ends, ready, std::future::pending());
            ends.cancel();
            served
        });
        let offered = inner.offer_all(&|| stop.is_cancelled() || ends.is_cancelled());
        ends.cancel();
        let served = server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        offered?;
        Ok(served?)
    })
}

/// A sector that is sealed up to PC2, and its folder.
struct Sealed {
    folder: Folder,
    identity: Identity,
    proof: SealProof,
    pc2: PreCommit2Output,
}

/// The jobs of a sector that are held.
struct Steps {
    c1: Job,
    c2: Job,
    finalize: Job,
}

/// Whether nobody has ever begun a job.
fn is_untouched(job: &Job) -> bool {
    job.state == State::Waiting && job.lease == 0
}

fn read_json<T: DeserializeOwned>(path: PathBuf) -> Result<T, String> {
    let bytes = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

impl Inner {
    fn actor(&self) -> Option<u64> {
        *self.actor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sector and those of its jobs that are held at one time or another.
    fn sector(&self, profile: Profile, name: &str) -> Result<Option<(SectorRow, Steps)>, StoreError> {
        let Some(row) = self.queue.sector(profile, name)? else { return Ok(None) };
        let jobs = self.queue.jobs_of(profile, name)?;
        let of = |kind| jobs.iter().find(|job| job.kind == kind).cloned();
        let (Some(c1), Some(c2), Some(finalize)) = (of(Kind::C1), of(Kind::C2), of(Kind::Finalize)) else {
            return Ok(None);
        };
        Ok(Some((row, Steps { c1, c2, finalize })))
    }

    /// The sector of a token.
    fn of_token(&self, token: &str) -> Result<Option<(SectorRow, Steps)>, StoreError> {
        match self.queue.requested(&format!("{TOKEN}{token}"))? {
            Some(Job { profile, sector: Some(name), .. }) if profile == self.options.profile => {
                self.sector(profile, &name)
            }
            _ => Ok(None),
        }
    }

    fn folder(&self, row: &SectorRow) -> Option<Folder> {
        let storage = self.options.storages.iter().find(|storage| storage.id == row.storage)?;
        storage.folder(&row.path).map(Folder::new)
    }

    fn sealed(&self, row: &SectorRow) -> Result<Sealed, String> {
        let folder = self.folder(row).ok_or_else(|| format!("the folder of {} is not among ours", row.name))?;
        let identity: Identity = read_json(folder.identity())?;
        let path = folder.pc2();
        let bytes = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let (proof, pc2) = PreCommit2Output::from_api_json(row.profile, &bytes)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Sealed { folder, identity, proof, pc2 })
    }

    /// Offers what can be offered, until told to stop.
    fn offer_all(&self, stops: &dyn Fn() -> bool) -> Result<(), ImportError> {
        // What was last wrong, to tell it once.
        let mut trouble: Option<String> = None;
        let mut not_before = Instant::now();
        let mut renewed: Option<Instant> = None;
        while !stops() {
            if renewed.is_none_or(|renewed| renewed.elapsed() >= RENEWING) && self.actor().is_some() {
                renewed = Some(Instant::now());
                if let Err(error) = self.renew_tickets() {
                    tracing::warn!("tickets are not renewed: {error}");
                }
            }
            if Instant::now() >= not_before {
                match self.offer_some(stops) {
                    Ok(()) => {
                        trouble = None;
                        not_before = Instant::now() + LOOK;
                    }
                    Err(error @ ImportError::Actor(_)) => return Err(error),
                    Err(ImportError::Announce(error)) if error.is_final() => return Err(error.into()),
                    Err(error @ ImportError::Miner(CallError::Token)) if self.actor().is_none() => return Err(error),
                    Err(error) => {
                        let told = error.to_string();
                        if trouble.as_ref() != Some(&told) {
                            tracing::warn!(miner = %self.options.miner, "{told}; trying again");
                        }
                        trouble = Some(told);
                        let refused = matches!(error, ImportError::Miner(CallError::Refused { .. }));
                        not_before = Instant::now() + if refused { REFUSED } else { LOOK };
                    }
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn offer_some(&self, stops: &dyn Fn() -> bool) -> Result<(), ImportError> {
        let Options { listen, announce, miner, profile, .. } = &self.options;
        let base = format!("http://{}/sector", announced(*listen, announce.as_deref(), miner)?);
        if self.actor().is_none() {
            let address: String = self.miner.call("ActorAddress", &json!([]), ANSWER)?;
            let Some(actor) = actor_of(&address) else { return Err(ImportError::Actor(address)) };
            *self.actor.lock().unwrap_or_else(PoisonError::into_inner) = Some(actor);
            tracing::info!(miner = address, "handing sectors over");
        }
        let Some(actor) = self.actor() else { return Ok(()) };
        let prefix = format!("f0{actor}/");
        let mut outcome = Ok(());
        for c1 in self.queue.held(OFFER)? {
            let name = c1.sector.as_deref().unwrap_or_default();
            let number = name.strip_prefix(&prefix).and_then(|number| number.parse().ok());
            let (Some(number), true) = (number, c1.profile == *profile) else { continue };
            if c1.after.is_some() && c1.after_state != Some(State::Done) {
                continue;
            }
            if stops() {
                break;
            }
            let Some((row, steps)) = self.sector(*profile, name)? else { continue };
            // Another service has its files.
            if self.folder(&row).is_none() {
                continue;
            }
            let token = steps.finalize.request.as_deref().and_then(|name| name.strip_prefix(TOKEN));
            let Some(token) = token else { continue };
            let sealed = self.sealed(&row);
            let meta = match sealed.and_then(|sealed| self.meta(&format!("{base}/{token}"), number, &sealed)) {
                Ok(meta) => meta,
                Err(reason) => {
                    outcome = Err(ImportError::Sector { sector: row.name, reason });
                    continue;
                }
            };
            match self.miner.tell("SectorReceive", &json!([meta]), ANSWER) {
                Ok(()) => {
                    tracing::info!(sector = row.name, "taken by the miner");
                    self.note_taken(&c1)?;
                }
                // The others may be taken all the same.
                Err(error @ CallError::Refused { .. }) => outcome = Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        outcome
    }

    /// Gives sectors that wait for PC1 a new ticket in place of an old one.
    fn renew_tickets(&self) -> Result<(), ImportError> {
        let (Some(node), Some(actor)) = (&self.options.node, self.actor()) else { return Ok(()) };
        let prefix = format!("f0{actor}/");
        let mut ticket = None;
        for c1 in self.queue.held(OFFER)? {
            let name =
                c1.sector.as_deref().filter(|name| name.starts_with(&prefix) && c1.profile == self.options.profile);
            let Some(name) = name else { continue };
            let jobs = self.queue.jobs_of(c1.profile, name)?;
            let Some(pc1) = jobs.iter().find(|job| job.kind == Kind::Pc1 && is_untouched(job)) else { continue };
            let Some(folder) = self.queue.sector(c1.profile, name)?.and_then(|row| self.folder(&row)) else { continue };
            let ticket = match ticket {
                Some(ticket) => ticket,
                None => *ticket.insert(pledge::ticket(node, actor)?),
            };
            // Who begins PC1 meanwhile waits for us, or we leave it to him.
            let unusable = |reason: String| ImportError::Sector { sector: name.to_owned(), reason };
            let lock = FileLock::acquire(&folder.lock()).map_err(|error| unusable(error.to_string()))?;
            let Some(_lock) = lock else { continue };
            let is_still =
                self.queue.jobs_of(c1.profile, name)?.iter().any(|job| job.id == pc1.id && is_untouched(job));
            let identity: Identity = read_json(folder.identity()).map_err(unusable)?;
            let age = identity.ticket_epoch.map_or(0, |epoch| ticket.epoch - epoch);
            if !is_still || age < OLD_EPOCHS {
                continue;
            }
            let identity = Identity { ticket: ticket.value, ticket_epoch: Some(ticket.epoch), ..identity };
            let text = serde_json::to_string(&identity).map_err(|error| unusable(error.to_string()))? + "\n";
            atomic::write(&folder.identity(), text.as_bytes()).map_err(|error| unusable(error.to_string()))?;
            tracing::info!(sector = name, epoch = ticket.epoch, "has a new ticket");
        }
        Ok(())
    }

    /// The miner has the sector: it said so, or comes for its files.
    fn note_taken(&self, c1: &Job) -> Result<(), StoreError> {
        if c1.hold.as_deref() != Some(OFFER) {
            return Ok(());
        }
        unless_gone(self.queue.hold(c1.id, OFFER, SEED, "the miner has taken the sector"))
    }

    /// What `SectorReceive` is told of a sector.
    fn meta(&self, base: &str, number: u64, sealed: &Sealed) -> Result<Value, String> {
        let Sealed { folder, identity, proof, pc2 } = sealed;
        let epoch = identity.ticket_epoch.ok_or("the epoch of its ticket is not in sector.json")?;
        let pieces: Vec<PieceInfo> = read_json(folder.pieces())?;
        let pc1 = std::fs::read(folder.pc1()).map_err(|error| format!("{}: {error}", folder.pc1().display()))?;
        let pieces = pieces.iter().map(|piece| {
            let link = json!({ "/": cid::of_data(&piece.commitment).to_string() });
            json!({ "Piece": { "Size": piece.size.padded().get(), "PieceCID": link }, "DealInfo": null })
        });
        let at = |what: &str| json!({ "Local": false, "URL": format!("{base}/{what}"), "Headers": [] });
        Ok(json!({
            "State": "PreCommitting",
            "Sector": { "Miner": self.actor(), "Number": number },
            "Type": proof.id,
            "Pieces": pieces.collect::<Vec<_>>(),
            "TicketValue": STANDARD.encode(identity.ticket.0),
            "TicketEpoch": epoch,
            "PreCommit1Out": STANDARD.encode(pc1),
            "CommD": { "/": cid::of_data(&pc2.comm_d).to_string() },
            "CommR": { "/": cid::of_replica(&pc2.comm_r).to_string() },
            "DataUnsealed": at("unsealed"),
            "DataSealed": at("sealed"),
            "DataCache": at("cache"),
            "RemoteCommit1Endpoint": format!("{base}/c1"),
            "RemoteCommit2Endpoint": format!("{base}/c2"),
            "RemoteSealingDoneEndpoint": format!("{base}/done"),
        }))
    }
}
