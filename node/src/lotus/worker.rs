//! A worker of a Lotus miner that makes its SNARKs: C2 and, where the network has updates, ProveReplicaUpdate2.
//!
//! A door before the queue, as [`crate::cuzk`] is one, but one that registers itself: the miner calls the address that we announce, gets
//! the name of a call at once, and is told the result when there is one. The call's name is that of its job in the queue, so that
//! results reach the miner whichever of the two was restarted in between. A result may take as long as it likes, while an error costs
//! the miner's sector a failure: only what is wrong with the call itself is told as one, everything else is tried again.
//!
//! Filecash's miners speak an older dialect and ask more; a worker of their network answers that (`fork.rs`).
//!
//! Source: `spec/attach.md` B.1 to B.9, B.12, B.13, C.3.

mod fork;
mod methods;
pub mod resources;
mod versions;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use filecash_engine::job::Cancel;
use filecash_engine::sector::{Profile, SealProof};
use rand_core::{OsRng, RngCore};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use uuid::Uuid;

pub use self::fork::ANY_GROUP;
use self::fork::Fork;
use self::resources::{Table, Task};
pub use self::versions::ApiVersion;
use self::versions::MinerVersion;
use super::address::MinerApi;
use super::rpc::{self, CallError, Fault, Miner};
use super::types::{Bytes, CallId, actor_of, prefix};
use super::{AnnounceError, announced, unless_gone};
use crate::http::{self, HttpError};
use crate::jobs::{Kind, Queue, State, Store, StoreError};

/// The largest request: what a miner's own server takes.
const MOST_BYTES: usize = 100 << 20;
/// Requests larger than this are read a few at a time.
const SMALL_BYTES: usize = 1 << 20;
/// How many.
const UPLOADS: usize = 4;
/// How long an upload may take.
const UPLOAD: Duration = Duration::from_secs(300);
/// Between two questions whether the miner is still the one that knows us.
const BEAT: Duration = Duration::from_secs(10);
/// Between two tries of what the miner did not take.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two looks for results.
const LOOK: Duration = Duration::from_millis(500);
/// How long a miner may take for an answer, and for calling us back.
const ANSWER: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(60);
/// How long what a token may do is believed, at most where the miner does not answer, and how long that it may do nothing.
const BELIEVED: Duration = Duration::from_secs(60);
const BELIEVED_AT_MOST: Duration = Duration::from_secs(600);
const DOUBTED: Duration = Duration::from_secs(5);
/// Tokens that are remembered.
const TOKENS: usize = 64;
/// Between a failure that is not the call's own and the next attempt.
const PAUSE: Duration = Duration::from_secs(60);
/// How long a stopping worker waits for the miner to notice.
const GOODBYE: Duration = Duration::from_secs(12);
/// How long results stay that were told.
const KEEP: Duration = Duration::from_secs(3600);
/// Between two looks for old ones.
const CLEANING: Duration = Duration::from_secs(60);

/// What a worker of a miner is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The miner.
    pub miner: MinerApi,
    /// Where the miner's calls come in.
    pub listen: SocketAddr,
    /// `HOST:PORT` at which the miner reaches that, where it is another.
    pub announce: Option<String>,
    /// The network.
    pub profile: Profile,
    /// Our name.
    pub host: String,
    /// The group of sectors, for Filecash's miners.
    pub group: String,
    /// The version that is told, where that of the miner's release is not right.
    pub worker_api: Option<ApiVersion>,
    /// Memory that is told.
    pub memory_bytes: u64,
    /// Threads that are told.
    pub threads: usize,
    /// Devices that are told.
    pub devices: Vec<String>,
    /// What tasks take.
    pub table: Table,
    /// Name of the worker behind us, if it is one of this process.
    pub worker: Option<String>,
}

/// Why a worker did not attach, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum LotusError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Miner(#[from] CallError),
    #[error("the miner's address is {0:?}, expected one such as f01000")]
    Actor(String),
    #[error("{profile} has no sectors of {bytes} bytes, as the miner's are")]
    SectorSize { profile: Profile, bytes: u64 },
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<StoreError> for LotusError {
    fn from(error: StoreError) -> Self {
        Self::Http(error.into())
    }
}

/// Who the miner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    actor: u64,
    sector_bytes: u64,
    worker_api: ApiVersion,
}

/// What a token may do, as the miner says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Unknown,
    Some,
    Admin,
}

struct Inner {
    queue: Queue,
    /// For what is asked while something large is queued.
    looks: Queue,
    options: Options,
    miner: Miner,
    session: Uuid,
    identity: Mutex<Option<Identity>>,
    is_enabled: AtomicBool,
    disabled: Mutex<BTreeSet<Task>>,
    fork: Mutex<Fork>,
    tokens: Mutex<HashMap<[u8; 32], (Pass, Instant)>>,
    uploads: Semaphore,
    /// Tokens that are being asked about.
    questions: Semaphore,
    /// Whether we end, and whether the miner has seen that.
    closing: AtomicBool,
    is_told: AtomicBool,
    /// The operator's wish.
    shutdown: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works for a miner until `stop` is thrown, or the miner's operator ends it. `ready` is called once calls can come in.
///
/// # Errors
/// [`LotusError`], where nothing can come of it: another network's miner, a token that is none, an address that is taken. A miner that is
/// not there is waited for.
pub fn attach(store: &Store, options: &Options, stop: &Cancel, ready: impl FnOnce() + Send) -> Result<(), LotusError> {
    let mut random = [0; 16];
    OsRng.fill_bytes(&mut random);
    let inner = Arc::new(Inner {
        queue: Queue::open(store)?,
        looks: Queue::open(store)?,
        miner: Miner::new(&options.miner),
        session: uuid::Builder::from_random_bytes(random).into_uuid(),
        identity: Mutex::new(None),
        is_enabled: AtomicBool::new(true),
        disabled: Mutex::default(),
        fork: Mutex::new(Fork::new(&options.group)),
        tokens: Mutex::default(),
        uploads: Semaphore::new(UPLOADS),
        questions: Semaphore::new(UPLOADS),
        closing: AtomicBool::new(false),
        is_told: AtomicBool::new(false),
        shutdown: AtomicBool::new(false),
        options: options.clone(),
    });
    let app = Router::new().route("/rpc/v0", post(rpc)).with_state(Arc::clone(&inner));
    // The server ends last, so that the miner hears that we end.
    let ends = Cancel::default();
    let (listening, listens) = mpsc::channel();
    let ready = move || {
        ready();
        // Nobody waits only where nobody is to be attached.
        let _ = listening.send(());
    };
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let served = http::serve(options.listen, app, 2, &ends, ready, std::future::pending());
            inner.shutdown();
            served
        });
        // The miner calls back when it is told of us. A server that cannot listen has ended, and says why.
        let _ = listens.recv();
        let teller = scope.spawn(|| inner.tell_results(&ends));
        let attached = inner.stay_attached(stop);
        inner.closing.store(true, Ordering::Relaxed);
        if matches!(attached, Ok(true)) {
            inner.say_goodbye();
        }
        ends.cancel();
        let served = server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        teller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        attached?;
        Ok(served?)
    })
}

impl Inner {
    fn identity(&self) -> Option<Identity> {
        *locked(&self.identity)
    }

    fn miner_id(&self) -> Option<u64> {
        self.identity().map(|identity| identity.actor)
    }

    fn worker_api(&self) -> ApiVersion {
        let of_miner = self.identity().map(|identity| identity.worker_api);
        self.options.worker_api.or(of_miner).unwrap_or(ApiVersion(67328))
    }

    fn fork(&self) -> MutexGuard<'_, Fork> {
        locked(&self.fork)
    }

    /// The tasks that are offered now.
    fn tasks(&self) -> Vec<Task> {
        let disabled = locked(&self.disabled);
        Task::all(self.options.profile).iter().copied().filter(|task| !disabled.contains(task)).collect()
    }

    fn allow(&self, task: Task, is_allowed: bool) {
        let mut disabled = locked(&self.disabled);
        if is_allowed {
            disabled.remove(&task)
        } else {
            disabled.insert(task)
        };
    }

    fn closes(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn shutdown(&self) {
        self.shutdown.store(true, Ordering::Relaxed);
    }

    /// Memory that the worker behind us has promised to running jobs.
    fn reserved_bytes(&self) -> u64 {
        let Some(name) = &self.options.worker else { return 0 };
        let rows = self.looks.workers().unwrap_or_default();
        let about = rows.into_iter().find(|row| row.lives && row.name == *name).map(|row| row.about);
        let state = about.and_then(|about| serde_json::from_str::<crate::jobs::choose::Worker>(&about).ok());
        state.map_or(0, |state| state.reserved_bytes)
    }

    /// Registers, and again whenever the miner is another process; returns whether the miner knew us in the end.
    fn stay_attached(&self, stop: &Cancel) -> Result<bool, LotusError> {
        let Options { listen, announce, miner, .. } = &self.options;
        match announced(*listen, announce.as_deref(), miner) {
            Err(error) if error.is_final() => return Err(error.into()),
            _ => {}
        }
        // The miner's session in which it knows us.
        let mut known: Option<Uuid> = None;
        // What was last wrong, to tell it once.
        let mut trouble = None;
        loop {
            let wait = match self.attach_once(&mut known) {
                Ok(()) => {
                    trouble = None;
                    BEAT
                }
                Err(error @ (LotusError::Actor(_) | LotusError::SectorSize { .. })) => return Err(error),
                Err(LotusError::Announce(error)) if error.is_final() => return Err(error.into()),
                // Wrong from the beginning is a mistake of settings; later it is a miner that starts.
                Err(error @ LotusError::Miner(CallError::Token)) if known.is_none() => return Err(error),
                Err(error) => {
                    let told = error.to_string();
                    if trouble.as_ref() != Some(&told) {
                        tracing::warn!(miner = %self.options.miner, "{told}; trying again");
                    }
                    trouble = Some(told);
                    AGAIN
                }
            };
            let began = Instant::now();
            while began.elapsed() < wait {
                if stop.is_cancelled() || self.shutdown.load(Ordering::Relaxed) {
                    return Ok(known.is_some() && trouble.is_none());
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn attach_once(&self, known: &mut Option<Uuid>) -> Result<(), LotusError> {
        let session: Uuid = self.miner.call("Session", &json!([]), ANSWER)?;
        if *known == Some(session) {
            return Ok(());
        }
        let version: MinerVersion = self.miner.call("Version", &json!([]), ANSWER)?;
        let (worker_api, goes_together) = version.worker();
        let MinerVersion { release, api } = &version;
        if !goes_together {
            tracing::warn!(release, api = %ApiVersion(*api), "an API of miners that is not known with this release");
        }
        let address: String = self.miner.call("ActorAddress", &json!([]), ANSWER)?;
        let Some(actor) = actor_of(&address) else { return Err(LotusError::Actor(address)) };
        let sector_bytes = self.miner.call("ActorSectorSize", &json!([address]), ANSWER)?;
        let profile = self.options.profile;
        if SealProof::for_size(profile, sector_bytes).is_err() {
            return Err(LotusError::SectorSize { profile, bytes: sector_bytes });
        }
        *locked(&self.identity) = Some(Identity { actor, sector_bytes, worker_api });
        self.fork().forget();
        // Tokens of a miner that is gone.
        locked(&self.tokens).clear();
        let Options { listen, announce, miner, .. } = &self.options;
        let url = format!("http://{}/rpc/v0", announced(*listen, announce.as_deref(), miner)?);
        self.miner.tell("WorkerConnect", &json!([url]), CONNECT)?;
        // Where the miner was restarted again meanwhile, the next look tells.
        *known = Some(session);
        let worker_api = self.worker_api();
        tracing::info!(miner = address, release, %worker_api, url, "attached");
        Ok(())
    }

    /// Waits until the miner has seen that we end.
    fn say_goodbye(&self) {
        let began = Instant::now();
        while began.elapsed() < GOODBYE && !self.is_told.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells the miner what came of its calls, until it has taken that.
    fn tell_results(&self, ends: &Cancel) {
        let mut not_before = Instant::now();
        let mut cleaned = Instant::now();
        let mut is_told = true;
        while !ends.is_cancelled() {
            thread::sleep(LOOK);
            if Instant::now() < not_before {
                continue;
            }
            match self.tell_some() {
                Ok(()) => is_told = true,
                Err(error) => {
                    if is_told {
                        tracing::warn!("{error}; results are kept, and told again");
                    }
                    is_told = false;
                    not_before = Instant::now() + AGAIN;
                }
            }
            if cleaned.elapsed() > CLEANING {
                cleaned = Instant::now();
                drop(self.queue.forget_delivered(KEEP));
            }
        }
    }

    fn tell_some(&self) -> Result<(), LotusError> {
        let Some(miner) = self.miner_id() else { return Ok(()) };
        let mut outcome = Ok(());
        for job in self.queue.over_and_untold(&prefix(self.options.profile, miner))? {
            let Some(request) = &job.request else { continue };
            let Some(call) = CallId::of_request(request) else { continue };
            let (proof, error) = match verdict(job.state, job.error.as_deref()) {
                Verdict::Again => {
                    tracing::warn!(job = job.id, error = job.error, "the miner's call stays open; it is tried again");
                    unless_gone(self.queue.postpone(job.id, PAUSE))?;
                    continue;
                }
                Verdict::Done => match self.queue.output(job.id)? {
                    Some(proof) => (proof, None),
                    None => (Vec::new(), Some("failed: the proof is not in the queue any more".to_owned())),
                },
                Verdict::Failed(message) => (Vec::new(), Some(message)),
            };
            let error = error.map(|message| json!({ "Code": 0, "Message": message }));
            let told = self.tell(job.kind, &json!([call, Bytes(proof), error]));
            match told {
                Ok(()) => {
                    self.queue.told(job.id, request)?;
                    tracing::info!(job = job.id, sector = call.sector.number, state = %job.state, "told the miner");
                }
                // The others may be taken all the same.
                Err(error @ CallError::Refused { .. }) => outcome = Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        outcome
    }

    fn tell(&self, kind: Kind, params: &Value) -> Result<(), CallError> {
        let name = match kind {
            Kind::Update => "ReturnProveReplicaUpdate2",
            _ => "ReturnSealCommit2",
        };
        match self.miner.tell(name, params, ANSWER) {
            // It has it: an answer was lost.
            Err(CallError::Refused { message, .. }) if message.contains("already") => Ok(()),
            outcome => outcome,
        }
    }

    /// What a token may do, as far as that is known; `at_most` for one that may do everything.
    fn known_pass(&self, token: &str, at_most: Duration) -> Option<Pass> {
        let tokens = locked(&self.tokens);
        let (pass, since) = tokens.get(&digest_of(token))?;
        let lasts = if *pass == Pass::Admin { at_most } else { DOUBTED };
        (since.elapsed() < lasts).then_some(*pass)
    }

    /// Asks the miner what a token may do.
    fn ask_for_pass(&self, token: &str) -> Result<Pass, CallError> {
        let pass = match self.miner.call::<Option<Vec<String>>>("AuthVerify", &json!([token]), ANSWER) {
            Ok(levels) if levels.iter().flatten().any(|level| level == "admin") => Pass::Admin,
            Ok(_) => Pass::Some,
            Err(CallError::Refused { .. }) => Pass::Unknown,
            Err(error) => return Err(error),
        };
        let mut tokens = locked(&self.tokens);
        if tokens.len() >= TOKENS {
            // Strangers do not push out who may.
            tokens.retain(|_, (pass, since)| *pass == Pass::Admin && since.elapsed() < BELIEVED_AT_MOST);
        }
        if tokens.len() < TOKENS || pass == Pass::Admin {
            tokens.insert(digest_of(token), (pass, Instant::now()));
        }
        Ok(pass)
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(blake2b_simd::Params::new().hash_length(32).hash(token.as_bytes()).as_bytes());
    digest
}

/// What the miner is to hear of a job that is over.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Failed(String),
    /// Nothing: another attempt may do better, in a while.
    Again,
}

fn verdict(state: State, error: Option<&str>) -> Verdict {
    match (state, error.unwrap_or_default()) {
        (State::Done, _) => Verdict::Done,
        (State::Cancelled, _) => Verdict::Failed("cancelled by the worker's operator".to_owned()),
        (_, error) if error.starts_with("bad-input:") => Verdict::Failed(error.to_owned()),
        _ => Verdict::Again,
    }
}

/// Of an address, where there is no header.
#[derive(serde::Deserialize)]
struct Token {
    token: Option<String>,
}

/// What a token may do. Strangers wait for nobody, so that nobody waits for them.
async fn pass(inner: &Arc<Inner>, token: String) -> Result<Pass, StatusCode> {
    if let Some(pass) = inner.known_pass(&token, BELIEVED) {
        return Ok(pass);
    }
    let Ok(_question) = inner.questions.try_acquire() else {
        return inner.known_pass(&token, BELIEVED_AT_MOST).ok_or(StatusCode::SERVICE_UNAVAILABLE);
    };
    let asks = Arc::clone(inner);
    let asked = spawn_blocking(move || {
        asks.ask_for_pass(&token).or_else(|error| {
            // A miner that is busy has not taken anything back.
            asks.known_pass(&token, BELIEVED_AT_MOST).ok_or(error)
        })
    });
    asked.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.map_err(|error| {
        tracing::warn!("cannot ask whether a caller may call: {error}");
        StatusCode::SERVICE_UNAVAILABLE
    })
}

async fn rpc(Shared(inner): Shared<Arc<Inner>>, Query(asked): Query<Token>, request: Request<Body>) -> Response {
    let token = http::bearer(request.headers()).map(str::to_owned).or(asked.token);
    let Some(token) = token else { return StatusCode::UNAUTHORIZED.into_response() };
    let pass = match pass(&inner, token).await {
        Ok(Pass::Unknown) => return StatusCode::UNAUTHORIZED.into_response(),
        Ok(pass) => pass,
        Err(status) => return status.into_response(),
    };
    // Who may do nothing does not keep us busy.
    let most_bytes = if pass == Pass::Admin { MOST_BYTES } else { SMALL_BYTES };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|bytes: usize| bytes > most_bytes) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let is_small = length.is_some_and(|bytes| bytes <= SMALL_BYTES);
    let upload = if is_small || pass != Pass::Admin { None } else { inner.uploads.acquire().await.ok() };
    let body = match tokio::time::timeout(UPLOAD, to_bytes(request.into_body(), most_bytes)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let asked = Arc::clone(&inner);
    let answered = spawn_blocking(move || {
        rpc::answer(&body, |name, params| match pass {
            Pass::Admin => methods::call(&asked, name, params),
            _ => Err(Fault::Refused(format!("missing permission to invoke '{name}' (need 'admin')"))),
        })
    });
    let answered = answered.await;
    drop(upload);
    let Ok((status, text)) = answered else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_calls_own_fault_is_told() {
        let failed = |error| verdict(State::Failed, Some(error));
        assert_eq!(verdict(State::Done, None), Verdict::Done);
        assert_eq!(failed("bad-input: another sector"), Verdict::Failed("bad-input: another sector".to_owned()));
        for error in ["gpu-lost: x", "no-params: x", "self-check: x", "unsupported: x", "failed: x", "was killed", ""] {
            assert_eq!(failed(error), Verdict::Again, "{error}");
        }
        assert!(matches!(verdict(State::Cancelled, None), Verdict::Failed(_)));
    }
}
