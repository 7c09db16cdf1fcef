//! What a worker shows of itself and its queue to people and to Prometheus: a page, the JSON that it reads, `/metrics`.
//!
//! The page is one file without anything from elsewhere. Everything here only reads, on a connection of its own.

mod metrics;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use filecash_engine::job::Cancel;
use filecash_engine::sector::Profile;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::http::{self, HttpError};
use crate::jobs::view::{Workers, json_of};
use crate::jobs::{Queue, State, Store, StoreError};

/// The page.
const PAGE: &str = include_str!("web/page.html");
/// Jobs that are over and still shown.
const OVER: u32 = 30;
/// Days whose proofs are shown.
const DAYS: u32 = 14;

/// Where the page is and who may see it.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// The address.
    pub listen: SocketAddr,
    /// What visitors have to know, as a password or in `?token=`; nothing without one.
    pub token: Option<String>,
}

/// Without the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({})", self.listen)
    }
}

struct Inner {
    queue: Queue,
    token: Option<String>,
}

/// Shows the queue until `stop` is thrown. `ready` is called once visitors can come.
///
/// # Errors
/// [`HttpError`].
pub fn serve(store: &Store, options: &Options, stop: &Cancel, ready: impl FnOnce()) -> Result<(), HttpError> {
    let inner = Arc::new(Inner { queue: Queue::open(store)?, token: options.token.clone() });
    let app = Router::new()
        .route("/", get(page))
        .route("/api/state", get(state))
        .route("/api/events", get(events))
        .route("/metrics", get(metrics_text))
        .layer(middleware::from_fn_with_state(Arc::clone(&inner), let_in))
        .with_state(inner);
    http::serve(options.listen, app, 1, stop, ready, std::future::pending())
}

/// Of a page's address.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

/// Asks for the token, where there is one.
async fn let_in(
    Shared(inner): Shared<Arc<Inner>>,
    Query(asked): Query<Token>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &inner.token else { return next.run(request).await };
    let is_right = |given: &str| same(given.as_bytes(), token.as_bytes());
    if http::bearer(request.headers()).is_some_and(is_right) || asked.token.as_deref().is_some_and(is_right) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "a token is asked for\n").into_response()
}

/// Whether two texts are the same, in a time that tells nothing of where they differ.
fn same(first: &[u8], second: &[u8]) -> bool {
    let differs = first.iter().zip(second).fold(0, |differs, (a, b)| differs | (a ^ b));
    first.len() == second.len() && differs == 0
}

async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // Nothing of the page comes from elsewhere or goes there.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

/// Reads the queue, where that may wait.
async fn read<T: Send + 'static>(
    inner: Arc<Inner>,
    read: impl FnOnce(&Queue) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Response> {
    match spawn_blocking(move || read(&inner.queue)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err((StatusCode::SERVICE_UNAVAILABLE, format!("the queue does not answer: {error}\n")).into_response())
        }
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}

fn json_response(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], value.to_string())
        .into_response()
}

async fn state(Shared(inner): Shared<Arc<Inner>>) -> Response {
    let value = read(inner, |queue| {
        let workers = Workers::living(queue)?;
        let jobs = queue.jobs(OVER)?;
        let sectors = queue.sectors()?.into_iter().map(|row| {
            let steps = queue.jobs_of(row.profile, &row.name)?.into_iter().map(|job| {
                json!({ "id": job.id, "kind": job.kind, "state": job.state, "started": job.started, "finished": job.finished })
            });
            let steps: Vec<Value> = steps.collect();
            Ok(json!({ "sector": row, "steps": steps }))
        });
        let sectors: Vec<Value> = sectors.collect::<Result<_, StoreError>>()?;
        let days = queue.days(DAYS)?;
        let now = jobs.first().map(|job| job.now);
        let waiting = jobs.iter().filter(|job| job.state == State::Waiting).count();
        let running = jobs.iter().filter(|job| job.state == State::Running).count();
        Ok(json!({
            "now": now, "waiting": waiting, "running": running, "workers": workers.json(), "sectors": sectors,
            "jobs": jobs.iter().map(|job| json_of(job, &workers)).collect::<Vec<_>>(),
            "days": days.iter().map(|(day, kind, jobs)| json!({ "day": day, "kind": kind, "jobs": jobs })).collect::<Vec<_>>(),
        }))
    });
    value.await.map_or_else(|response| response, |value| json_response(&value))
}

/// Which sector's or job's events.
#[derive(Deserialize)]
struct Of {
    profile: Option<Profile>,
    sector: Option<String>,
    job: Option<i64>,
}

async fn events(Shared(inner): Shared<Arc<Inner>>, Query(of): Query<Of>) -> Response {
    let events = read(inner, move |queue| match (of.job, of.profile, of.sector) {
        (Some(job), ..) => queue.events(job).map(Some),
        (None, Some(profile), Some(sector)) => queue.events_of(profile, &sector).map(Some),
        _ => Ok(None),
    });
    match events.await {
        Ok(Some(events)) => json_response(&json!({ "events": events })),
        Ok(None) => (StatusCode::BAD_REQUEST, "a job, or a profile and a sector\n").into_response(),
        Err(response) => response,
    }
}

async fn metrics_text(Shared(inner): Shared<Arc<Inner>>) -> Response {
    let text = read(inner, |queue| {
        Ok(metrics::text(&queue.tally()?, &queue.totals()?, &Workers::living(queue)?, &queue.workers()?))
    });
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    text.await.map_or_else(|response| response, |text| (headers, text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_whole() {
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"));
    }

    #[test]
    fn page_is_whole_and_light() {
        assert!(PAGE.len() < 40_000, "{}", PAGE.len());
        for from_elsewhere in ["http://", "https://", "src=", "@import", "innerHTML"] {
            assert!(!PAGE.contains(from_elsewhere), "{from_elsewhere}");
        }
    }
}
