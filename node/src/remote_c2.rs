//! Filecash's remote C2: a miner posts the output of C1 and asks for the proof until it is there.
//!
//! A door before the queue, as [`crate::cuzk`] is one: what is posted is a job by its digest, so that a client that posts it again gets
//! the same number, and a proof stays for who lost the answer. The whole output is read by the job alone, which refuses what makes no
//! sense; here an answer has to be given within seconds.
//!
//! Source: `spec/attach.md` C.2.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use filecash_engine::job::Cancel;
use filecash_engine::sector::{Profile, SealProof};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::hex32::Hex32;
use crate::http::{self, HttpError};
use crate::jobs::{Asked, Job, JobId, Kind, NewJob, Priority, Queue, QueueError, State, Store, StoreError};
use crate::worker::task::SealTask;

/// The largest output of C1 that is taken.
const MOST_BYTES: usize = 256 << 20;
/// How long an upload may take; the miner's own limit is half a minute.
const UPLOAD: Duration = Duration::from_secs(120);
/// Uploads that are taken in at a time.
const UPLOADS: usize = 8;
/// Between two looks for proofs that were fetched long ago.
const CLEANING: Duration = Duration::from_secs(60);
/// What names in the queue begin with.
const PREFIX: &str = "remote-c2/";

/// What the service is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Clients that are let in; all, if there is none.
    pub allow: Vec<IpAddr>,
    /// The network of the sectors.
    pub profile: Profile,
    /// Jobs that may wait; more are turned away.
    pub most_waiting: u64,
    /// How long a proof stays after it was fetched.
    pub keep: Duration,
    /// The worker's name, to be told.
    pub host: String,
    /// Its memory, to be told.
    pub memory_bytes: u64,
}

/// A sector whose C2 is wanted.
#[derive(Deserialize)]
struct Commit2<'a> {
    #[serde(borrow)]
    phase1_output: &'a RawValue,
    prover_id: [u8; 32],
    sector_id: u64,
}

/// Of C1's output what names its proof.
#[derive(Deserialize)]
struct Registered {
    registered_proof: String,
}

/// What becomes of a job, as clients read it.
#[derive(Debug, PartialEq, Eq, Serialize)]
enum Answer {
    Started(JobId),
    Pending,
    Removed,
    Done(Result<Proof, String>),
    Error(&'static str),
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Proof {
    proof: Vec<u8>,
}

struct Inner {
    queue: Queue,
    options: Options,
    uploads: Semaphore,
}

/// Serves until `stop` is thrown. `ready` is called once clients can come in.
///
/// # Errors
/// [`HttpError`].
pub fn serve(store: &Store, options: &Options, stop: &Cancel, ready: impl FnOnce()) -> Result<(), HttpError> {
    let inner = Inner { queue: Queue::open(store)?, options: options.clone(), uploads: Semaphore::new(UPLOADS) };
    let inner = Arc::new(inner);
    let app = Router::new()
        .route("/seal/seal_commit_phase2", post(submit))
        .route("/sys/query_state", post(query))
        .route("/sys/remove_job", post(remove))
        .route("/sys/get_worker_info", get(about))
        .route("/test", get(async || "Worked!"))
        .layer(middleware::from_fn_with_state(Arc::clone(&inner), let_in))
        .with_state(Arc::clone(&inner));
    let cleaning = async {
        loop {
            tokio::time::sleep(CLEANING).await;
            let inner = Arc::clone(&inner);
            let _ = spawn_blocking(move || inner.queue.forget_delivered(inner.options.keep)).await;
        }
    };
    http::serve(options.listen, app, 2, stop, ready, cleaning)
}

/// Turns away who is not on the list.
async fn let_in(
    Shared(inner): Shared<Arc<Inner>>,
    client: ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let allow = &inner.options.allow;
    let ip = client.0.ip().to_canonical();
    if allow.is_empty() || allow.contains(&ip) {
        return next.run(request).await;
    }
    tracing::warn!(%ip, "turned away: not among those that --allow names");
    StatusCode::FORBIDDEN.into_response()
}

fn told(answer: &Answer) -> Response {
    json_of(&json!(answer))
}

fn json_of(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn refused(status: StatusCode, message: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json!({ "Err": message }).to_string()).into_response()
}

/// Does something with the queue, where that may wait.
async fn ask<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Response> {
    let inner = Arc::clone(inner);
    match spawn_blocking(move || work(&inner)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(refused(StatusCode::SERVICE_UNAVAILABLE, format!("the queue does not answer: {error}"))),
        Err(_) => Err(refused(StatusCode::INTERNAL_SERVER_ERROR, "the call did not end".to_owned())),
    }
}

async fn submit(Shared(inner): Shared<Arc<Inner>>, request: Request<Body>) -> Response {
    let Ok(_upload) = inner.uploads.try_acquire() else {
        return refused(StatusCode::TOO_MANY_REQUESTS, format!("{UPLOADS} uploads are being taken in"));
    };
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if said.is_some_and(|bytes: usize| bytes > MOST_BYTES) {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MOST_BYTES} bytes"));
    }
    let body = match tokio::time::timeout(UPLOAD, to_bytes(request.into_body(), MOST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return refused(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the upload took too long".to_owned()),
    };
    let queued = ask(&inner, move |inner| {
        let wanted = match job(inner.options.profile, &body) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err((StatusCode::BAD_REQUEST, error))),
        };
        drop(body);
        let request = wanted.request.clone().unwrap_or_default();
        let (waiting, most) = (inner.queue.waiting(PREFIX)?, inner.options.most_waiting);
        if waiting >= most && inner.queue.requested(&request)?.is_none() {
            return Ok(Err((StatusCode::TOO_MANY_REQUESTS, format!("{waiting} jobs wait already"))));
        }
        let (Asked::Queued(id) | Asked::Known(id) | Asked::Other(id)) = inner.queue.ask(&wanted)?;
        Ok(Ok(id))
    });
    match queued.await {
        Ok(Ok(id)) => told(&Answer::Started(id)),
        Ok(Err((status, message))) => refused(status, message),
        Err(response) => response,
    }
}

/// The job that a body asks for.
fn job(profile: Profile, body: &[u8]) -> Result<NewJob, String> {
    let asked: Commit2<'_> =
        serde_json::from_slice(body).map_err(|error| format!("no phase1_output, prover_id, sector_id: {error}"))?;
    let output = asked.phase1_output.get();
    let Registered { registered_proof } =
        serde_json::from_str(output).map_err(|error| format!("phase1_output is no output of C1: {error}"))?;
    let mut state = blake2b_simd::Params::new().hash_length(16).to_state();
    state.update(profile.name().as_bytes()).update(&asked.prover_id).update(&asked.sector_id.to_le_bytes());
    let digest = hex::encode(state.update(output.as_bytes()).finalize().as_bytes());
    let task = SealTask { prover_id: Hex32(asked.prover_id), sector: asked.sector_id };
    Ok(NewJob {
        profile,
        kind: Kind::C2,
        sector: None,
        // The job refuses what is none of the network's; its name need not be kept for that.
        proof: SealProof::by_name(profile, &registered_proof).map_or("unknown", |proof| proof.name).to_owned(),
        priority: Priority::Normal,
        deadline: None,
        storage: None,
        after: None,
        hold: None,
        request: Some(format!("{PREFIX}{digest}")),
        digest: Some(digest),
        task: serde_json::to_string(&task).map_err(|error| error.to_string())?,
        input: Some(output.as_bytes().to_vec()),
    })
}

/// The job that a body has the number of, if it came in by this door.
fn find(queue: &Queue, body: &[u8]) -> Result<Option<Job>, StoreError> {
    let Ok(id) = serde_json::from_slice::<JobId>(body) else { return Ok(None) };
    match queue.job(id) {
        Ok(job) => Ok(Some(job).filter(is_ours)),
        Err(QueueError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// A job that failed and was asked for again has no name any more.
fn is_ours(job: &Job) -> bool {
    let request = job.request.as_deref();
    job.kind == Kind::C2 && job.sector.is_none() && request.is_none_or(|request| request.starts_with(PREFIX))
}

async fn query(Shared(inner): Shared<Arc<Inner>>, body: Bytes) -> Response {
    let answer = ask(&inner, move |inner| {
        let Some(job) = find(&inner.queue, &body)? else { return Ok(Answer::Error("NotExist")) };
        Ok(match job.state {
            State::Waiting | State::Running => Answer::Pending,
            State::Cancelled => Answer::Removed,
            State::Failed => Answer::Done(Err(job.error.unwrap_or_default())),
            State::Done => match inner.queue.output(job.id)? {
                Some(proof) => {
                    // Whether it arrives is not known: it stays for a while.
                    inner.queue.deliver(job.id)?;
                    Answer::Done(Ok(Proof { proof }))
                }
                None => Answer::Error("NotExist"),
            },
        })
    });
    answer.await.map_or_else(|response| response, |answer| told(&answer))
}

async fn remove(Shared(inner): Shared<Arc<Inner>>, body: Bytes) -> Response {
    let answer = ask(&inner, move |inner| {
        let Some(job) = find(&inner.queue, &body)? else { return Ok(Answer::Error("NotExist")) };
        match inner.queue.cancel(job.id) {
            Err(QueueError::Store(error)) => Err(error),
            // One that is over is as good as removed.
            _ => Ok(Answer::Removed),
        }
    });
    answer.await.map_or_else(|response| response, |answer| told(&answer))
}

async fn about(Shared(inner): Shared<Arc<Inner>>) -> Response {
    let Options { host, memory_bytes, .. } = &inner.options;
    json_of(&json!({
        "id": 0, "host": host, "speed": 0, "cpu": "", "gpu": "", "mem": memory_bytes, "add_time": 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_as_clients_read_them() {
        let text = |answer: Answer| json!(answer).to_string();
        assert_eq!(text(Answer::Started(7)), r#"{"Started":7}"#);
        assert_eq!(text(Answer::Pending), r#""Pending""#);
        assert_eq!(text(Answer::Removed), r#""Removed""#);
        assert_eq!(text(Answer::Done(Ok(Proof { proof: vec![1, 2] }))), r#"{"Done":{"Ok":{"proof":[1,2]}}}"#);
        assert_eq!(text(Answer::Done(Err("no".to_owned()))), r#"{"Done":{"Err":"no"}}"#);
        assert_eq!(text(Answer::Error("NotExist")), r#"{"Error":"NotExist"}"#);
    }

    #[test]
    fn job_is_known_by_its_content() {
        let body = |sector: u64, output: &str| {
            let prover = json!([[0xe8_u8, 7], [0; 2]].concat().into_iter().chain([0; 28]).collect::<Vec<u8>>());
            format!(r#"{{"phase1_output": {output}, "prover_id": {prover}, "sector_id": {sector}}}"#)
        };
        let output = r#"{"vanilla_proofs": [1], "registered_proof": "StackedDrg4GiBV1"}"#;
        let of = |text: &str| job(Profile::Filecash, text.as_bytes());
        let made = of(&body(5, output)).unwrap();
        assert_eq!((made.proof.as_str(), made.input.as_deref()), ("StackedDrg4GiBV1", Some(output.as_bytes())));
        assert_eq!(of(&body(5, output)).unwrap().request, made.request);
        assert_ne!(of(&body(6, output)).unwrap().request, made.request);
        assert_ne!(job(Profile::Filecoin, body(5, output).as_bytes()).unwrap().request, made.request);
        for wrong in ["", "7", "{}", &body(5, "{}"), &body(5, "7"), &body(5, output)[..80]] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
