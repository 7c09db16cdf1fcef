//! Serving HTTP until told to stop, for the doors and pages that do.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, header};
use filecash_engine::job::Cancel;

use crate::jobs::StoreError;

/// Between two looks at whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Why a server did not begin, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum HttpError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot listen on {listen}")]
    Listen { listen: SocketAddr, source: io::Error },
    #[error("the server on {listen}")]
    Server { listen: SocketAddr, source: io::Error },
    #[error("cannot start the server")]
    Runtime(#[source] io::Error),
}

/// Serves `app` until `stop` is thrown; a client that keeps its connection does not keep us. `ready` is called once clients can come
/// in, and `beside` is done meanwhile, by as many threads.
///
/// # Errors
/// [`HttpError`].
pub fn serve(
    listen: SocketAddr,
    app: Router,
    threads: usize,
    stop: &Cancel,
    ready: impl FnOnce(),
    beside: impl Future<Output = ()>,
) -> Result<(), HttpError> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).enable_all().build().map_err(HttpError::Runtime)?;
    let outcome = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await;
        let listener = listener.map_err(|source| HttpError::Listen { listen, source })?;
        ready();
        let stopped = async {
            while !stop.is_cancelled() {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            served = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()) => {
                served.map_err(|source| HttpError::Server { listen, source })
            }
            () = stopped => Ok(()),
            () = beside => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// The token in a request's head.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
