//! Sealing for a miner that only takes the result: it is told of each sector that is sealed up to PC2 (`SectorReceive`), downloads its
//! files, and asks us for C1 and C2 when it has the seed.
//!
//! The sectors are the queue's own. Three of their jobs are held until somebody says something: C1 until the miner has taken the sector
//! ([`OFFER`]) and then until it gives the seed ([`SEED`]), and finalize until it says that the sector is proven ([`WORD`]). So
//! everything that there is to remember is in the queue, and a miner or a service that is restarted goes on.
//!
//! A sector's addresses hold a token that is derived from a secret, since the miner comes without a password.
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
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::address::MinerApi;
use super::announced;
use super::rpc::{CallError, Miner};
use super::types::actor_of;
use crate::folder::{Folder, Identity};
use crate::http::{self, HttpError};
use crate::jobs::{Job, JobId, Kind, Queue, QueueError, SectorRow, State, Store, StoreError};
use crate::worker::storage::Storage;

/// What C1 waits for at first.
pub const OFFER: &str = "the miner to take the sector (filecash serve sealing)";
/// What it waits for then.
pub const SEED: &str = "the miner's seed";
/// What finalize waits for.
pub const WORD: &str = "the miner's word that the sector is proven";

/// Between two looks for sectors that can be offered.
const LOOK: Duration = Duration::from_secs(2);
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
    /// What tokens are derived from.
    pub secret: [u8; 32],
    /// Where sectors are.
    pub storages: Vec<Storage>,
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

fn read_json<T: DeserializeOwned>(path: PathBuf) -> Result<T, String> {
    let bytes = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

impl Inner {
    fn actor(&self) -> Option<u64> {
        *self.actor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What only the miner and we know of a sector.
    fn token(&self, sector: &str) -> String {
        let mut state = blake2b_simd::Params::new().hash_length(32).key(&self.options.secret).to_state();
        state.update(self.options.profile.name().as_bytes()).update(b"/").update(sector.as_bytes());
        hex::encode(state.finalize().as_bytes())
    }

    /// The sectors of the miner in the queue, and their numbers.
    fn sectors(&self) -> Result<Vec<(SectorRow, u64)>, StoreError> {
        let Some(actor) = self.actor() else { return Ok(Vec::new()) };
        let prefix = format!("f0{actor}/");
        let number = |row: &SectorRow| row.name.strip_prefix(&prefix)?.parse().ok();
        let ours = self.queue.sectors()?.into_iter().filter(|row| row.profile == self.options.profile);
        Ok(ours.filter_map(|row| number(&row).map(|number| (row, number))).collect())
    }

    /// Those of its jobs that are held at one time or another; none of a sector that is not for import.
    fn steps(&self, row: &SectorRow) -> Result<Option<Steps>, StoreError> {
        let jobs = self.queue.jobs_of(row.profile, &row.name)?;
        let of = |kind| jobs.iter().find(|job| job.kind == kind).cloned();
        let (Some(c1), Some(c2), Some(finalize)) = (of(Kind::C1), of(Kind::C2), of(Kind::Finalize)) else {
            return Ok(None);
        };
        Ok(Some(Steps { c1, c2, finalize }))
    }

    fn folder(&self, row: &SectorRow) -> Option<Folder> {
        let storage = self.options.storages.iter().find(|storage| storage.id == row.storage)?;
        Some(Folder::new(storage.path.join(&row.path)))
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
        while !stops() {
            if Instant::now() >= not_before {
                match self.offer_some() {
                    Ok(()) => {
                        trouble = None;
                        not_before = Instant::now() + LOOK;
                    }
                    Err(error @ ImportError::Actor(_)) => return Err(error),
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

    fn offer_some(&self) -> Result<(), ImportError> {
        if self.actor().is_none() {
            let address: String = self.miner.call("ActorAddress", &json!([]), ANSWER)?;
            let Some(actor) = actor_of(&address) else { return Err(ImportError::Actor(address)) };
            *self.actor.lock().unwrap_or_else(PoisonError::into_inner) = Some(actor);
            tracing::info!(miner = address, "handing sectors over");
        }
        let mut outcome = Ok(());
        for (row, number) in self.sectors()? {
            let Some(Steps { c1, .. }) = self.steps(&row)? else { continue };
            if c1.hold.as_deref() != Some(OFFER) || c1.after_state != Some(State::Done) && c1.after.is_some() {
                continue;
            }
            let meta = match self.sealed(&row).and_then(|sealed| self.meta(&row, number, &sealed)) {
                Ok(meta) => meta,
                Err(error) => {
                    tracing::error!(sector = row.name, "cannot be handed over: {error}");
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

    /// The miner has the sector: it said so, or comes for its files.
    fn note_taken(&self, c1: &Job) -> Result<(), StoreError> {
        if c1.hold.as_deref() != Some(OFFER) {
            return Ok(());
        }
        match self.queue.hold(c1.id, OFFER, SEED, "the miner has taken the sector") {
            Err(QueueError::Store(error)) => Err(error),
            // It was noted meanwhile.
            _ => Ok(()),
        }
    }

    /// What `SectorReceive` is told of a sector.
    fn meta(&self, row: &SectorRow, number: u64, sealed: &Sealed) -> Result<Value, String> {
        let Sealed { folder, identity, proof, pc2 } = sealed;
        let epoch = identity.ticket_epoch.ok_or("the epoch of its ticket is not in sector.json")?;
        let pieces: Vec<PieceInfo> = read_json(folder.pieces())?;
        let pc1 = std::fs::read(folder.pc1()).map_err(|error| format!("{}: {error}", folder.pc1().display()))?;
        let pieces = pieces.iter().map(|piece| {
            let link = json!({ "/": cid::of_data(&piece.commitment).to_string() });
            json!({ "Piece": { "Size": piece.size.padded().get(), "PieceCID": link }, "DealInfo": null })
        });
        let Options { listen, announce, miner, .. } = &self.options;
        let base =
            format!("http://{}/sector/{}", announced(*listen, announce.as_deref(), miner), self.token(&row.name));
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

    /// Whether a job that failed is tried again; `what` says why.
    fn retry(&self, id: JobId) -> Result<(), StoreError> {
        match self.queue.retry(id) {
            Err(QueueError::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }
}
