//! Connections: so many at once, none of which may be silent for long or leave for long what it is sent, ended gracefully.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::limits::{CONNECTIONS, GRACE, HEAD, WRITE};

/// Bytes of a request's head, and of what is read ahead.
const HEAD_BYTES: usize = 64 << 10;
/// How long is waited when the system has no room for a connection.
const FULL: Duration = Duration::from_millis(200);

/// How much connections may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many there are at once.
    pub connections: usize,
    /// How long one may take nothing of what it is sent.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS, write: WRITE }
    }
}

/// Serves `app` until `stop` is true, and then until the answers that have begun are finished, or [`GRACE`] is over.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut serving = JoinSet::new();
    loop {
        // A connection is taken when there is a place for it; others wait in the system's queue.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (app, stop) = (app.clone(), stop.clone());
                    serving.spawn(async move {
                        serve_one(stream, app, limits.write, stop).await;
                        drop(place);
                    });
                }
                // It may have gone away by itself, or there are too many files: neither is the end.
                Err(error) => {
                    tracing::debug!(%error, "a connection was not taken");
                    sleep(FULL).await;
                }
            },
            Some(_) = serving.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let finished = async { while serving.join_next().await.is_some() {} };
    if timeout(GRACE, finished).await.is_err() {
        tracing::info!("some connections did not end in time");
    }
}

async fn serve_one(stream: TcpStream, app: Router, write: Duration, mut stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let service = TowerToHyperService::new(app);
    let mut connection = pin!(http.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades());
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection");
    }
}

/// Waits until `stop` is true, or nobody can say so any more.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
