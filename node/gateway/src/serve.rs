//! Connections: who comes in, for how long, and how it ends.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::gateway::Gateway;
use crate::limits::Limits;
use crate::paced::Paced;

/// Threads that move bytes; those that read blocks are others.
const THREADS: usize = 2;
/// After a connection that could not be taken, as when there are too many files open.
const RESPITE: Duration = Duration::from_millis(100);
/// Between two looks whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Why a server did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ServeError {
    #[error("cannot listen on {listen}")]
    Listen { listen: SocketAddr, source: io::Error },
    #[error("cannot start the server")]
    Runtime(#[source] io::Error),
}

/// Serves until `is_over`, which is looked at now and then, and what is under way then for a while. `ready` is told where clients come in.
///
/// # Errors
/// [`ServeError`].
pub fn serve(
    listen: SocketAddr,
    gateway: &Gateway,
    limits: &Limits,
    is_over: impl Fn() -> bool,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // A thread that reads for a client who has left may still be there when the next comes.
    let runtime = runtime.worker_threads(THREADS).max_blocking_threads(2 * limits.requests).enable_all().build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let failed = |source| ServeError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        ready(listener.local_addr().map_err(failed)?);
        let stop = async {
            while !is_over() {
                tokio::time::sleep(TICK).await;
            }
        };
        serve_on(&listener, gateway, limits, stop).await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// [`serve`] of who has a runtime and a listener already, until `stop` is over.
pub async fn serve_on(listener: &TcpListener, gateway: &Gateway, limits: &Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stopping, told) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Those that are over are forgotten.
            Some(_) = connections.join_next() => continue,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                tokio::time::sleep(RESPITE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            gateway.counters().count(|metrics| metrics.refused_connections += 1);
            continue;
        };
        let (gateway, limits, told) = (gateway.clone(), limits.clone(), told.clone());
        connections.spawn(async move {
            let _place = place;
            connection(stream, &gateway, &limits, told).await;
        });
    }
    stopping.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Who is not done by then breaks off, and knows it.
    let _ = tokio::time::timeout(limits.stopping, all).await;
}

async fn connection(stream: TcpStream, gateway: &Gateway, limits: &Limits, mut told: watch::Receiver<bool>) {
    let answer = service_fn(|request| async { Ok::<_, Infallible>(gateway.answer(request).await) });
    // The end of a CAR is a few bytes, which are not to wait for more.
    let _ = stream.set_nodelay(true);
    let paced = Paced::new(stream, Limits::PACE_BYTES, limits.pace);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(Limits::HEAD_BYTES)
        .max_headers(Limits::HEADERS)
        .serve_connection(TokioIo::new(paced), answer);
    let mut connection = pin!(connection);
    let stopping = async { drop(told.wait_for(|stopping| *stopping).await) };
    let served = tokio::select! {
        served = &mut connection => served,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}
