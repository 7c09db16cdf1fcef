//! What the miner comes for.
//!
//! Source: `spec/attach.md` B.15.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use filecash_engine::porep::outputs::Commit1Output;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{Inner, Sealed, Steps, WORD, files};
use crate::hex32::Hex32;
use crate::jobs::{Job, SectorRow, State, StoreError};
use crate::lotus::types::{Bytes as Base64, Link, SectorId};
use crate::lotus::unless_gone;
use crate::worker::task::SectorTask;

/// Outputs of C1 that come in at a time.
pub const UPLOADS: usize = 2;
/// The largest.
const MOST_BYTES: usize = 256 << 20;
/// The largest of other requests.
const SMALL_BYTES: usize = 64 << 10;
/// How long one may take.
const UPLOAD: Duration = Duration::from_secs(600);
/// Between two looks whether a job is over.
const LOOK: Duration = Duration::from_millis(300);

/// The routes. Tokens are not among what is logged.
pub fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/sector/{token}/unsealed", get(unsealed))
        .route("/sector/{token}/sealed", get(sealed))
        .route("/sector/{token}/cache", get(cache))
        .route("/sector/{token}/c1", post(commit1))
        .route("/sector/{token}/c2", post(commit2))
        .route("/sector/{token}/done", post(done))
        .with_state(inner)
}

/// Why the miner gets nothing.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        // Whoever scans ports is no news.
        match status {
            StatusCode::NOT_FOUND => tracing::debug!("refused: {message}"),
            _ => tracing::warn!(status = status.as_u16(), "refused the miner: {message}"),
        }
        (status, format!("{message}\n")).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, format!("the queue does not answer: {error}"))
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

fn failed(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, message.into())
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.into())
}

type Answer<T> = Result<T, Refusal>;

/// Looks something up where that may wait.
async fn ask<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let inner = Arc::clone(inner);
    spawn_blocking(move || work(&inner)).await.unwrap_or_else(|_| Err(failed("the call did not end")))
}

/// The sector of a token.
fn find(inner: &Inner, token: &str) -> Answer<(SectorRow, Steps)> {
    let none = || Refusal(StatusCode::NOT_FOUND, "there is no such sector".to_owned());
    let (row, steps) = inner.of_token(token)?.ok_or_else(none)?;
    // Who has the token has the sector.
    inner.note_taken(&steps.c1)?;
    Ok((row, steps))
}

fn opened(inner: &Inner, token: &str) -> Answer<Sealed> {
    let (row, _) = find(inner, token)?;
    inner.sealed(&row).map_err(failed)
}

fn streamed(kind: &'static str, length: Option<u64>, body: Body) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind)], body).into_response();
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

const OCTETS: &str = "application/octet-stream";

async fn unsealed(Shared(inner): Shared<Arc<Inner>>, Path(token): Path<String>) -> Answer<Response> {
    let sector = ask(&inner, move |inner| opened(inner, &token)).await?;
    let size = sector.proof.config().params.size_bytes;
    let (length, body) = files::file(&sector.folder.staged(), size, files::trailer(size))?;
    Ok(streamed(OCTETS, Some(length), body))
}

async fn sealed(Shared(inner): Shared<Arc<Inner>>, Path(token): Path<String>) -> Answer<Response> {
    let sector = ask(&inner, move |inner| opened(inner, &token)).await?;
    let size = sector.proof.config().params.size_bytes;
    let (length, body) = files::file(&sector.folder.sealed(), size, Vec::new())?;
    Ok(streamed(OCTETS, Some(length), body))
}

async fn cache(Shared(inner): Shared<Arc<Inner>>, Path(token): Path<String>) -> Answer<Response> {
    let sector = ask(&inner, move |inner| opened(inner, &token)).await?;
    Ok(streamed("application/x-tar", None, files::cache(&sector.folder, &sector.proof)?))
}

/// What the miner sends for a sector; who does not know its token is not listened to.
async fn read(inner: &Arc<Inner>, token: &str, request: Request<Body>, most_bytes: usize) -> Answer<Bytes> {
    let asked = token.to_owned();
    ask(inner, move |inner| find(inner, &asked).map(drop)).await?;
    let _upload = match most_bytes {
        SMALL_BYTES => None,
        _ => Some(inner.uploads.acquire().await.map_err(|_| failed("no more uploads"))?),
    };
    match tokio::time::timeout(UPLOAD, to_bytes(request.into_body(), most_bytes)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the upload took too long".to_owned())),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WantsC1 {
    ticket: Base64,
    seed: Base64,
    unsealed: Link,
    sealed: Link,
    proof_type: u32,
}

impl WantsC1 {
    /// The seed, where the rest is what the sector is.
    fn seed_of(&self, sector: &Sealed) -> Answer<Hex32> {
        let Sealed { identity, proof, pc2, .. } = sector;
        let differs = |what: &str| bad(format!("{what} is another than the sector's"));
        if self.ticket.0 != identity.ticket.0 {
            return Err(differs("Ticket"));
        }
        if self.proof_type != proof.id {
            return Err(differs("ProofType"));
        }
        if self.unsealed.data().map_err(|error| bad(format!("Unsealed: {error}")))?.0 != pc2.comm_d {
            return Err(differs("Unsealed"));
        }
        if self.sealed.replica().map_err(|error| bad(format!("Sealed: {error}")))?.0 != pc2.comm_r {
            return Err(differs("Sealed"));
        }
        let seed = self.seed.0.as_slice().try_into().map_err(|_| bad("Seed is not 32 bytes"))?;
        Ok(Hex32(seed))
    }
}

/// Of a job that somebody waits for.
enum Look {
    Over,
    Wait,
    /// What is done for another seed stops first.
    Stopping,
}

/// Whether a job is done. One that failed is tried again for who comes anew, and told to who has waited for it.
fn look(inner: &Inner, job: &Job, is_new: bool) -> Answer<Look> {
    match job.state {
        State::Done => Ok(Look::Over),
        State::Failed | State::Cancelled if is_new => {
            unless_gone(inner.queue.retry(job.id))?;
            Ok(Look::Wait)
        }
        State::Failed | State::Cancelled => {
            Err(failed(format!("{} {}: {}", job.kind, job.state, job.error.as_deref().unwrap_or("no reason"))))
        }
        State::Waiting | State::Running => Ok(Look::Wait),
    }
}

/// Gives C1 the seed, again if it had another, and looks whether it is done.
fn seeded(inner: &Inner, steps: &Steps, seed: Hex32, is_new: bool) -> Answer<Look> {
    let Steps { c1, c2, finalize } = steps;
    // Where somebody was faster the next look tells.
    let changed = |outcome| unless_gone(outcome).map(|()| Look::Wait).map_err(Refusal::from);
    let task: SectorTask = serde_json::from_str(&c1.task).map_err(|error| failed(error.to_string()))?;
    let is_held = c1.hold.is_some();
    if task.seed == Some(seed) && !is_held {
        return look(inner, c1, is_new);
    }
    if !is_new && !is_held && task.seed != Some(seed) {
        return Err(Refusal(StatusCode::CONFLICT, "another seed came in meanwhile".to_owned()));
    }
    let task = SectorTask { seed: Some(seed), ..task };
    let task = serde_json::to_string(&task).map_err(|error| failed(error.to_string()))?;
    if is_held {
        return changed(inner.queue.lift(c1.id, &task, "the miner gave the seed"));
    }
    if finalize.state == State::Done || finalize.hold.is_none() {
        return Err(Refusal(StatusCode::CONFLICT, "the sector is proven with another seed".to_owned()));
    }
    // Neither may be at it when the seed changes.
    for job in [c1, c2] {
        if job.state == State::Running {
            unless_gone(inner.queue.cancel(job.id))?;
            return Ok(Look::Stopping);
        }
    }
    changed(inner.queue.again(c1.id, &task, "the miner gave another seed"))
}

async fn commit1(
    Shared(inner): Shared<Arc<Inner>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Answer<Response> {
    let body = read(&inner, &token, request, SMALL_BYTES).await?;
    let wanted: WantsC1 = serde_json::from_slice(&body).map_err(|error| bad(format!("no request of C1: {error}")))?;
    let wanted = Arc::new(wanted);
    let mut is_new = true;
    loop {
        let (token, asked) = (token.clone(), Arc::clone(&wanted));
        let looked = ask(&inner, move |inner| {
            let (row, steps) = find(inner, &token)?;
            let sector = inner.sealed(&row).map_err(failed)?;
            let seed = asked.seed_of(&sector)?;
            match seeded(inner, &steps, seed, is_new)? {
                Look::Wait => Ok((false, None)),
                Look::Stopping => Ok((is_new, None)),
                Look::Over => {
                    let path = sector.folder.c1();
                    let bytes = std::fs::read(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
                    let read = Commit1Output::from_api_json(row.profile, &bytes);
                    let (_, output) = read.map_err(|error| failed(format!("{}: {error}", path.display())))?;
                    if output.seed != seed.0 {
                        return Err(failed("the output of C1 is of another seed"));
                    }
                    Ok((false, Some(bytes)))
                }
            }
        });
        let (is_still_new, bytes) = looked.await?;
        if let Some(bytes) = bytes {
            return Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response());
        }
        is_new = is_still_new;
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WantsC2 {
    sector: SectorId,
    proof_type: u32,
    commit1_out: Base64,
}

/// Fails unless a request is of this sector and has what our C1 answered.
fn expect_ours(inner: &Inner, row: &SectorRow, wanted: &WantsC2) -> Answer<()> {
    let sector = inner.sealed(row).map_err(failed)?;
    let SectorId { miner, number } = wanted.sector;
    if Some(miner) != inner.actor() || number != sector.identity.sector || wanted.proof_type != sector.proof.id {
        return Err(bad("another sector or proof"));
    }
    let path = sector.folder.c1();
    match std::fs::read(&path) {
        Ok(ours) if ours == wanted.commit1_out.0 => Ok(()),
        Ok(_) => Err(bad("Commit1Out is not what our C1 answered last")),
        Err(error) => Err(failed(format!("{}: {error}", path.display()))),
    }
}

async fn commit2(
    Shared(inner): Shared<Arc<Inner>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Answer<Response> {
    let body = read(&inner, &token, request, MOST_BYTES).await?;
    let asked = token.clone();
    // What came in is large, and is not needed while we wait.
    ask(&inner, move |inner| {
        let wanted = serde_json::from_slice(&body).map_err(|error| bad(format!("no request of C2: {error}")))?;
        let (row, steps) = find(inner, &asked)?;
        if steps.finalize.state == State::Done { Ok(()) } else { expect_ours(inner, &row, &wanted) }
    })
    .await?;
    let mut is_new = true;
    loop {
        let token = token.clone();
        let proof = ask(&inner, move |inner| {
            let (row, steps) = find(inner, &token)?;
            if !matches!(look(inner, &steps.c2, is_new)?, Look::Over) {
                return Ok(None);
            }
            let output = match inner.queue.output(steps.c2.id)? {
                Some(output) => output,
                // It was put into the sector's folder.
                None => {
                    let folder = inner.folder(&row).ok_or_else(|| failed("the sector's folder is not among ours"))?;
                    std::fs::read(folder.proof()).map_err(|error| failed(format!("the proof: {error}")))?
                }
            };
            Ok(Some(output))
        });
        if let Some(proof) = proof.await? {
            return Ok(([(header::CONTENT_TYPE, OCTETS)], proof).into_response());
        }
        is_new = false;
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Done {
    successful: bool,
    #[serde(default)]
    state: String,
    #[serde(default)]
    commit_message: Option<Link>,
}

async fn done(
    Shared(inner): Shared<Arc<Inner>>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Answer<Response> {
    let body = read(&inner, &token, request, SMALL_BYTES).await?;
    let told: Done = serde_json::from_slice(&body).map_err(|error| bad(format!("no notice: {error}")))?;
    ask(&inner, move |inner| {
        let (row, Steps { finalize, .. }) = find(inner, &token)?;
        let Done { successful, state, commit_message } = told;
        if !successful {
            tracing::error!(sector = row.name, state, "the miner gave the sector up; its files stay here");
            inner.queue.tell_of_sector(&row, &format!("the miner gave it up: {state}"))?;
            return Ok(());
        }
        let message = commit_message.as_ref().map_or("no message", |link| link.cid.as_str());
        tracing::info!(sector = row.name, state, message, "proven, says the miner");
        if finalize.hold.as_deref() != Some(WORD) {
            return Ok(());
        }
        let what = format!("the miner says {state}: {message}");
        Ok(unless_gone(inner.queue.lift(finalize.id, &finalize.task, &what))?)
    })
    .await?;
    Ok(StatusCode::OK.into_response())
}
