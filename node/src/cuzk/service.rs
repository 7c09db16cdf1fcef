//! The calls of the service. The database is asked on threads that may wait; a call that tells how things are has a connection of its
//! own and waits for nobody's work.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use filecash_engine::backend::BETWEEN_NAMES;
use filecash_engine::params::ParamStore;
use rand_core::{OsRng, RngCore};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status as Refusal};
use tonic_prost::ProstCodec;

use super::Options;
use super::circuits::{Circuit, Here};
use super::messages::{
    AwaitProofRequest, AwaitProofResponse, CancelProofRequest, CancelProofResponse, EvictSrsRequest, EvictSrsResponse,
    GetMetricsRequest, GetMetricsResponse, GetStatusRequest, GetStatusResponse, GpuStatus, PreloadSrsRequest,
    PreloadSrsResponse, ProofKind, ProveRequest, ProveResponse, QueueStatus, SrsStatus, Status, SubmitProofRequest,
    SubmitProofResponse, Tier,
};
use super::request::{digest, job};
use crate::jobs::{Asked, Job, JobId, Kind, Queue, State, StoreError, Tally};

/// The largest message, either way.
const MESSAGE_BYTES: usize = 256 << 20;
/// Requests that are taken in at a time.
const UPLOADS: usize = 4;
/// Between two looks at jobs that somebody waits for.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks for results that were fetched long ago.
const CLEANING: Duration = Duration::from_secs(60);
/// What names in the queue begin with.
const PREFIX: &str = "cuzk/";

/// Kinds of proofs as status and metrics name them.
const KINDS: [(Kind, &str, &str); 4] = [
    (Kind::C2, "porep-c2", "porep_c2"),
    (Kind::Update, "snap-update", "snap_update"),
    (Kind::Window, "window-post", "window_post"),
    (Kind::Winning, "winning-post", "winning_post"),
];

type Answer<T> = Result<T, Refusal>;
type Upload = Option<OwnedSemaphorePermit>;

/// What all calls share.
pub(super) struct Inner {
    queue: Queue,
    /// For who must not wait.
    aside: Queue,
    options: Options,
    begun: Instant,
    stops: AtomicBool,
    stopped: Notify,
    waited: Mutex<Waited>,
    /// Requests that are being taken in, which may be large.
    uploads: Arc<Semaphore>,
    /// Parameters that are being read.
    preloads: Semaphore,
}

/// Jobs that somebody waits for. Who queues a job or drops it holds the lock meanwhile, so that neither is done between the other's
/// question and answer.
#[derive(Default)]
struct Waited {
    jobs: HashMap<JobId, Watched>,
    /// Those that stay though nobody waits.
    submitted: HashSet<JobId>,
}

/// A job that so many wait for.
struct Watched {
    waiters: usize,
    over: watch::Sender<bool>,
}

/// The service, for each connection.
#[derive(Clone)]
pub(super) struct Service(pub Arc<Inner>);

impl tonic::codegen::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // What is asked may be large: not too many are read at a time. Who only waits has been read.
            let upload = Arc::clone(&inner.uploads);
            let method = request.uri().path().strip_prefix("/cuzk.v1.ProvingEngine/").unwrap_or_default().to_owned();
            Ok(match method.as_str() {
                "SubmitProof" => {
                    let upload = upload.acquire_owned().await.ok();
                    unary(request, move |asked| inner.submit(asked, upload)).await
                }
                "AwaitProof" => unary(request, move |asked| inner.wait_for(asked)).await,
                "Prove" => {
                    let upload = upload.acquire_owned().await.ok();
                    unary(request, move |asked| inner.prove(asked, upload)).await
                }
                "CancelProof" => unary(request, move |asked| inner.cancel(asked)).await,
                "GetStatus" => unary(request, move |asked| inner.status(asked)).await,
                "GetMetrics" => unary(request, move |asked| inner.metrics(asked)).await,
                "PreloadSRS" => unary(request, move |asked| inner.preload(asked)).await,
                "EvictSRS" => unary(request, move |asked| inner.evict(asked)).await,
                _ => Refusal::unimplemented("there is no such call").into_http(),
            })
        })
    }
}

/// A call with one message each way.
async fn unary<A, B, F, W>(request: http::Request<Body>, call: F) -> http::Response<Body>
where
    A: prost::Message + Default + Send + 'static,
    B: prost::Message + Default + Send + 'static,
    F: FnOnce(A) -> W + Send + 'static,
    W: Future<Output = Answer<B>> + Send + 'static,
{
    struct Once<F>(Option<F>);
    impl<A, B, F, W> UnaryService<A> for Once<F>
    where
        B: Send + 'static,
        F: FnOnce(A) -> W,
        W: Future<Output = Answer<B>> + Send + 'static,
    {
        type Response = B;
        type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<B>, Refusal>> + Send>>;

        fn call(&mut self, request: tonic::Request<A>) -> Self::Future {
            match self.0.take() {
                Some(call) => {
                    let answer = call(request.into_inner());
                    Box::pin(async move { answer.await.map(tonic::Response::new) })
                }
                None => Box::pin(async { Err(Refusal::internal("a call was made twice")) }),
            }
        }
    }
    let mut grpc = Grpc::new(ProstCodec::<B, A>::default())
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    grpc.unary(Once(Some(call)), request).await
}

/// Somebody who waits for a job. Where he goes away, and nobody else waits, a job that nobody has begun is dropped.
struct Waiter {
    inner: Arc<Inner>,
    id: JobId,
    over: watch::Receiver<bool>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let is_over = *self.over.borrow();
        let mut waited = self.inner.waited();
        let Some(watched) = waited.jobs.get_mut(&self.id) else { return };
        watched.waiters -= 1;
        if watched.waiters > 0 {
            return;
        }
        waited.jobs.remove(&self.id);
        drop(waited);
        if is_over {
            return;
        }
        let (inner, id) = (Arc::clone(&self.inner), self.id);
        let drop_it = move || {
            let waited = inner.waited();
            // Somebody may have come since.
            let is_wanted = waited.jobs.contains_key(&id) || waited.submitted.contains(&id);
            if !is_wanted && let Err(error) = inner.queue.drop_waiting(id) {
                tracing::warn!(job = id, %error, "nobody wants it any more, but it stays");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(drop_it)),
            Err(_) => drop_it(),
        }
    }
}

impl Inner {
    pub fn new(queue: Queue, aside: Queue, options: Options) -> Self {
        Self {
            queue,
            aside,
            options,
            begun: Instant::now(),
            stops: AtomicBool::new(false),
            stopped: Notify::new(),
            waited: Mutex::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            preloads: Semaphore::new(1),
        }
    }

    /// Ends: nobody is let in, and who waits is told.
    pub fn stop(&self) {
        if !self.stops.swap(true, Ordering::Relaxed) {
            self.stopped.notify_waiters();
        }
    }

    /// Once it ends.
    pub async fn stopped(&self) {
        let told = self.stopped.notified();
        if !self.stops.load(Ordering::Relaxed) {
            told.await;
        }
    }

    fn waited(&self) -> MutexGuard<'_, Waited> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notices which jobs are over, for who waits for them, and forgets results that were fetched long ago.
    pub async fn watch(self: Arc<Self>) {
        let mut cleaned = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let inner = Arc::clone(&self);
            // The lock may be held by who queues something.
            drop(spawn_blocking(move || inner.look()).await);
            if cleaned.elapsed() > CLEANING {
                cleaned = Instant::now();
                let inner = Arc::clone(&self);
                // Nobody waits for it, and who asks how things are has another connection.
                drop(spawn_blocking(move || inner.clean()));
            }
        }
    }

    fn look(&self) {
        let ids: Vec<JobId> = self.waited().jobs.keys().copied().collect();
        for id in self.aside.over(&ids).unwrap_or_default() {
            if let Some(watched) = self.waited().jobs.get(&id) {
                watched.over.send_replace(true);
            }
        }
    }

    fn clean(&self) {
        let submitted: Vec<JobId> = self.waited().submitted.iter().copied().collect();
        let over = self.queue.over(&submitted).unwrap_or_default();
        self.waited().submitted.retain(|id| !over.contains(id));
        if let Err(error) = self.queue.forget_delivered(self.options.keep) {
            tracing::warn!(%error, "results that were fetched long ago are still there");
        }
    }

    /// Waits for a job, of which the lock is held.
    fn waiter(self: &Arc<Self>, waited: &mut Waited, id: JobId) -> Waiter {
        let watched = waited.jobs.entry(id).or_insert_with(|| Watched { waiters: 0, over: watch::channel(false).0 });
        watched.waiters += 1;
        Waiter { inner: Arc::clone(self), id, over: watched.over.subscribe() }
    }

    /// Does something with the queue, where that may wait.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let inner = Arc::clone(self);
        match spawn_blocking(move || work(&inner)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Refusal::unavailable(format!("the queue does not answer: {error}"))),
            Err(_) => Err(Refusal::internal("the call did not end")),
        }
    }

    /// Queues what is asked for; the name of its job, who waits for it, and how many were before it. An answer at once where it
    /// makes no sense.
    async fn enqueue(
        self: &Arc<Self>,
        asked: SubmitProofRequest,
        is_submitted: bool,
    ) -> Answer<Result<(String, Waiter, u32), AwaitProofResponse>> {
        if self.stops.load(Ordering::Relaxed) {
            return Err(Refusal::unavailable("shutting down"));
        }
        let kind = match ProofKind::try_from(asked.proof_kind) {
            Ok(kind) if kind != ProofKind::Unspecified => kind,
            _ => return Err(Refusal::invalid_argument(format!("proof_kind {} is unknown", asked.proof_kind))),
        };
        let id = match asked.request_id.is_empty() {
            true => fresh_id(),
            false => asked.request_id.clone(),
        };
        let most = self.options.most_waiting;
        let door = Arc::clone(self);
        self.ask(move |inner| {
            let digest = digest(inner.options.profile, &asked);
            // The same name for something else is another job's.
            for name in [id.clone(), format!("{id}#{}", &digest[..8])] {
                let made = job(inner.options.profile, kind, &asked, format!("{PREFIX}{name}"), digest.clone());
                let wanted = match made {
                    Ok(wanted) => wanted,
                    Err(error) => return Ok(Ok(Err(failed(name, error.to_string())))),
                };
                let waiting = inner.queue.waiting(PREFIX)?;
                let before = u32::try_from(waiting).unwrap_or(u32::MAX);
                if waiting >= most && inner.queue.requested(&format!("{PREFIX}{name}"))?.is_none() {
                    return Ok(Err(Refusal::resource_exhausted(format!(
                        "{waiting} jobs wait already, at most {most}"
                    ))));
                }
                // From here on he waits, though he may have gone: then he is gone as soon as this is over.
                let mut waited = inner.waited();
                let (job, before) = match inner.queue.ask(&wanted)? {
                    Asked::Queued(job) => (job, before),
                    Asked::Known(job) => (job, 0),
                    Asked::Other(_) => continue,
                };
                if is_submitted {
                    waited.submitted.insert(job);
                }
                return Ok(Ok(Ok((name, door.waiter(&mut waited, job), before))));
            }
            Ok(Err(Refusal::already_exists("two other requests have this id")))
        })
        .await?
    }

    async fn submit(self: Arc<Self>, asked: SubmitProofRequest, upload: Upload) -> Answer<SubmitProofResponse> {
        let queued = self.enqueue(asked, true).await;
        drop(upload);
        match queued? {
            Ok((job_id, _, queue_position)) => {
                Ok(SubmitProofResponse { job_id, queue_position, assigned_gpu: String::new() })
            }
            Err(failed) => Err(Refusal::invalid_argument(failed.error_message)),
        }
    }

    async fn prove(self: Arc<Self>, asked: ProveRequest, upload: Upload) -> Answer<ProveResponse> {
        let asked = asked.submit.ok_or_else(|| Refusal::invalid_argument("submit is missing"))?;
        let queued = self.enqueue(asked, false).await;
        drop(upload);
        let result = match queued? {
            Err(failed) => failed,
            Ok((name, waiter, _)) => self.answer(name, waiter, None).await?,
        };
        Ok(ProveResponse { result: Some(result) })
    }

    async fn wait_for(self: Arc<Self>, asked: AwaitProofRequest) -> Answer<AwaitProofResponse> {
        let id = self.find(&asked.job_id).await?.id;
        let door = Arc::clone(&self);
        let waiter = self.ask(move |inner| {
            let mut waited = inner.waited();
            // Who asks so does not mean to drop it when he goes away.
            waited.submitted.insert(id);
            Ok(door.waiter(&mut waited, id))
        });
        let waiter = waiter.await?;
        let time = (asked.timeout_ms > 0).then(|| Duration::from_millis(asked.timeout_ms));
        self.answer(asked.job_id, waiter, time).await
    }

    async fn find(self: &Arc<Self>, job_id: &str) -> Answer<Job> {
        let name = format!("{PREFIX}{job_id}");
        let found = self.ask(move |inner| inner.queue.requested(&name)).await?;
        found.ok_or_else(|| Refusal::not_found(format!("there is no job {job_id}")))
    }

    /// Waits for a job and says what came of it.
    async fn answer(
        self: &Arc<Self>,
        job_id: String,
        waiter: Waiter,
        time: Option<Duration>,
    ) -> Answer<AwaitProofResponse> {
        let (id, mut over) = (waiter.id, waiter.over.clone());
        let is_over = async move { drop(over.wait_for(|over| *over).await) };
        let timeout = async move {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = is_over => {}
            () = timeout => {
                return Ok(AwaitProofResponse { job_id, status: Status::Timeout.into(), ..AwaitProofResponse::default() });
            }
            () = self.stopped() => {
                // It stays in the queue: whoever asks again after the restart gets it.
                self.waited().submitted.insert(id);
                return Err(Refusal::unavailable("shutting down"));
            }
        }
        let found = self
            .ask(move |inner| match inner.queue.job(id) {
                Ok(job) => Ok(Some((inner.queue.output(id)?, job))),
                Err(crate::jobs::QueueError::Store(error)) => Err(error),
                Err(_) => Ok(None),
            })
            .await?;
        drop(waiter);
        let Some((output, job)) = found else { return Err(Refusal::not_found(format!("there is no job {job_id}"))) };
        let since =
            |from: Option<i64>, to: Option<i64>| from.zip(to).map_or(0, |(from, to)| (to - from).max(0).unsigned_abs());
        let answer = match (job.state, output) {
            (State::Done, Some(proof)) => {
                // Whether it arrives is not known; who asks again while it is kept gets it again.
                self.ask(move |inner| inner.queue.deliver(id)).await?;
                AwaitProofResponse {
                    job_id,
                    status: Status::Completed.into(),
                    proof,
                    queue_wait_ms: since(Some(job.created), job.started),
                    gpu_compute_ms: since(job.started, job.finished),
                    total_ms: since(Some(job.created), job.finished),
                    ..AwaitProofResponse::default()
                }
            }
            (State::Cancelled, _) => AwaitProofResponse {
                job_id,
                status: Status::Cancelled.into(),
                error_message: "cancelled".to_owned(),
                ..AwaitProofResponse::default()
            },
            _ => failed(job_id, job.error.unwrap_or_else(|| format!("the job is {}", job.state))),
        };
        self.waited().submitted.remove(&id);
        Ok(answer)
    }

    async fn cancel(self: Arc<Self>, asked: CancelProofRequest) -> Answer<CancelProofResponse> {
        let job = self.find(&asked.job_id).await?;
        let was_running = job.state == State::Running;
        self.ask(move |inner| match inner.queue.cancel(job.id) {
            // One that is over needs no end.
            Ok(()) | Err(crate::jobs::QueueError::State { .. } | crate::jobs::QueueError::NoJob(_)) => Ok(()),
            Err(crate::jobs::QueueError::Store(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "not cancelled");
                Ok(())
            }
        })
        .await?;
        Ok(CancelProofResponse { was_running })
    }

    async fn status(self: Arc<Self>, _asked: GetStatusRequest) -> Answer<GetStatusResponse> {
        let (now, ever, jobs, loaded_srs) = self
            .ask(|inner| {
                let jobs = inner.aside.jobs(0)?;
                let loaded = inner.loaded(&jobs);
                Ok((inner.aside.tally()?, inner.aside.totals()?, jobs, loaded))
            })
            .await?;
        let devices = self.options.devices.iter().enumerate();
        let gpus = devices.map(|(place, (device, bytes))| {
            let current = most_urgent_on(device, &jobs);
            GpuStatus {
                ordinal: place as u32,
                name: device.clone(),
                vram_total_bytes: *bytes,
                vram_free_bytes: 0,
                current_job_id: current.map_or_else(String::new, |(job, _)| asked_name(job)),
                current_proof_kind: current.map_or_else(String::new, |(_, kind)| kind.to_owned()),
            }
        });
        let queues = KINDS.map(|(kind, name, _)| QueueStatus {
            proof_kind: name.to_owned(),
            pending: jobs_of(&now, kind, State::Waiting) as u32,
            in_progress: jobs_of(&now, kind, State::Running) as u32,
        });
        Ok(GetStatusResponse {
            gpus: gpus.collect(),
            loaded_srs,
            queues: queues.into(),
            total_proofs_completed: of_proofs(&ever, State::Done),
            total_proofs_failed: of_proofs(&ever, State::Failed),
            uptime_seconds: self.begun.elapsed().as_secs(),
            pinned_memory_bytes: 0,
            pinned_memory_limit_bytes: self.options.memory_bytes,
        })
    }

    fn params(&self) -> ParamStore {
        ParamStore::new(&self.options.parameter_cache)
    }

    /// The parameters that are here, and whether in memory.
    fn loaded(&self, jobs: &[Job]) -> Vec<SrsStatus> {
        let params = self.params();
        let here =
            Circuit::all(self.options.profile).filter_map(|circuit| Some((circuit, circuit.find(&params).ok()??)));
        let told = here.map(|(circuit, here): (Circuit, Here)| {
            let running = jobs.iter().filter(|job| job.state == State::Running && circuit.is_of(job)).count();
            SrsStatus {
                circuit_id: circuit.name(),
                tier: if here.is_warm() { Tier::Warm } else { Tier::Cold }.into(),
                size_bytes: here.bytes,
                ref_count: running as u32,
            }
        });
        told.collect()
    }

    fn circuit(&self, name: &str) -> Answer<Circuit> {
        let profile = self.options.profile;
        Circuit::by_name(profile, name).ok_or_else(|| {
            let known: Vec<_> = Circuit::all(profile).map(|circuit| circuit.name()).collect();
            Refusal::not_found(format!("unsupported: there is no circuit {name:?}; there are {}", known.join(", ")))
        })
    }

    async fn preload(self: Arc<Self>, asked: PreloadSrsRequest) -> Answer<PreloadSrsResponse> {
        let circuit = self.circuit(&asked.circuit_id)?;
        let inner = Arc::clone(&self);
        // One after the other: the disk is not faster for two.
        let _one = self.preloads.acquire().await;
        let loaded = spawn_blocking(move || {
            let stops = || inner.stops.load(Ordering::Relaxed);
            let Some(mut here) = circuit.find(&inner.params())? else { return Ok(None) };
            let already_loaded = here.is_warm();
            let time = if already_loaded { Duration::ZERO } else { here.load(stops)? };
            Ok::<_, std::io::Error>(Some((already_loaded, time)))
        });
        match loaded.await {
            Ok(Ok(Some((already_loaded, time)))) => {
                let load_time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Ok(PreloadSrsResponse { already_loaded, load_time_ms })
            }
            Ok(Ok(None)) => {
                let message = format!("no-params: the parameters of {} are not here", asked.circuit_id);
                Err(Refusal::failed_precondition(message))
            }
            Ok(Err(error)) => Err(Refusal::internal(error.to_string())),
            Err(_) => Err(Refusal::internal("the call did not end")),
        }
    }

    async fn evict(self: Arc<Self>, asked: EvictSrsRequest) -> Answer<EvictSrsResponse> {
        let circuit = self.circuit(&asked.circuit_id)?;
        let evicted = self
            .ask(move |inner| {
                let jobs = inner.aside.jobs(0)?;
                if let Some(job) = jobs.iter().find(|job| job.state == State::Running && circuit.is_of(job)) {
                    let message = format!("job {} is reading these parameters", job.id);
                    return Ok(Err(Refusal::new(Code::FailedPrecondition, message)));
                }
                let Ok(Some(here)) = circuit.find(&inner.params()) else { return Ok(Ok((false, 0))) };
                let was_loaded = here.is_warm();
                here.evict();
                Ok(Ok((was_loaded, if was_loaded { here.bytes } else { 0 })))
            })
            .await?;
        evicted.map(|(was_loaded, freed_bytes)| EvictSrsResponse { was_loaded, freed_bytes })
    }

    async fn metrics(self: Arc<Self>, _asked: GetMetricsRequest) -> Answer<GetMetricsResponse> {
        let (now, ever) = self.ask(|inner| Ok((inner.aside.tally()?, inner.aside.totals()?))).await?;
        Ok(GetMetricsResponse { prometheus_text: self.prometheus(&now, &ever) })
    }

    fn prometheus(&self, now: &[Tally], ever: &[Tally]) -> String {
        let mut text = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one("cuzk_proofs_completed_total", "counter", "Proofs that were made.", of_proofs(ever, State::Done));
        one("cuzk_proofs_failed_total", "counter", "Proofs that failed.", of_proofs(ever, State::Failed));
        one("cuzk_uptime_seconds", "gauge", "Since the server began.", self.begun.elapsed().as_secs());
        one("cuzk_queue_depth", "gauge", "Proofs that wait.", of_proofs(now, State::Waiting));
        one("cuzk_running_jobs", "gauge", "Proofs being made.", of_proofs(now, State::Running));
        one("cuzk_gpu_workers", "gauge", "Devices.", self.options.devices.len() as u64);
        let each: BTreeMap<&str, (u64, u64, f64)> = KINDS
            .iter()
            .map(|(kind, _, label)| {
                let took = ever.iter().filter(|of| of.kind == *kind && of.state == State::Done).map(|of| of.took);
                let seconds = took.sum::<u64>() as f64 / 1000.0;
                let of = |state| jobs_of(ever, *kind, state);
                (*label, (of(State::Done), of(State::Failed), seconds))
            })
            .collect();
        let mut many = |name: &str, kind: &str, value: &dyn Fn(&(u64, u64, f64)) -> f64| {
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (label, of) in &each {
                let _ = writeln!(text, "{name}{{proof_kind=\"{label}\"}} {}", value(of));
            }
        };
        many("cuzk_proofs_completed", "counter", &|of| of.0 as f64);
        many("cuzk_proofs_failed", "counter", &|of| of.1 as f64);
        many("cuzk_proof_duration_seconds_count", "counter", &|of| of.0 as f64);
        many("cuzk_proof_duration_seconds_sum", "counter", &|of| of.2);
        text
    }
}

fn failed(job_id: String, error_message: String) -> AwaitProofResponse {
    AwaitProofResponse { job_id, status: Status::Failed.into(), error_message, ..AwaitProofResponse::default() }
}

fn name_of(kind: Kind) -> Option<&'static str> {
    KINDS.iter().find(|(known, ..)| *known == kind).map(|(_, name, _)| *name)
}

/// The proof that a device works on, with the name of its kind; of several the most urgent one. Devices of a team work
/// together on each.
fn most_urgent_on<'a>(device: &str, jobs: &'a [Job]) -> Option<(&'a Job, &'static str)> {
    let is_on_it =
        |job: &&Job| job.device.as_deref().is_some_and(|team| team.split(BETWEEN_NAMES).any(|name| name == device));
    let running = jobs.iter().filter(|job| job.state == State::Running).filter(is_on_it);
    running.filter_map(|job| Some((job, name_of(job.kind)?))).max_by_key(|(job, _)| job.priority)
}

/// The name by which a job was asked for.
fn asked_name(job: &Job) -> String {
    let asked = job.request.as_deref().and_then(|request| request.strip_prefix(PREFIX));
    asked.map_or_else(|| job.id.to_string(), str::to_owned)
}

fn jobs_of(counts: &[Tally], kind: Kind, state: State) -> u64 {
    counts.iter().filter(|of| of.kind == kind && of.state == state).map(|of| of.jobs).sum()
}

fn of_proofs(counts: &[Tally], state: State) -> u64 {
    KINDS.iter().map(|(kind, ..)| jobs_of(counts, *kind, state)).sum()
}

/// A random UUID of version 4.
fn fresh_id() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}
