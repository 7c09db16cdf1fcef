//! The `cuzk.v1.ProvingEngine` service: miners such as Curio hand over vanilla proofs and get SNARKs.
//!
//! A door before the queue: it checks what it is asked, queues it, waits and answers. Jobs and their results are in the queue, so that
//! a client that asks again after either side was gone gets what was proven meanwhile. Every proof was verified before it is
//! answered.
//!
//! Source: `spec/attach.md` A.

mod circuits;
pub mod messages;
mod request;
mod service;

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use filecash_engine::job::Cancel;
use filecash_engine::sector::Profile;
use tonic::transport::Server;

use self::service::{Inner, Service};
use crate::jobs::{Queue, Store, StoreError};

/// Calls of one connection at a time; most of them only wait.
const STREAMS: u32 = 1024;
/// How often a silent connection is asked whether it lives, and how long it may take to answer.
const ALIVE: Duration = Duration::from_secs(30);
/// How long calls may take to end once we do.
const GRACE: Duration = Duration::from_secs(3);
/// Between two looks at whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Where clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither unix:///PATH nor IP:PORT")]
pub struct NoAddress(String);

impl FromStr for Listen {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(NoAddress(text.to_owned())) } else { Ok(Self::Unix(path.into())) };
        }
        text.parse().map(Self::Tcp).map_err(|_| NoAddress(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl Listen {
    /// Whether others than this machine may come in.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

/// What the service is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients come in.
    pub listen: Vec<Listen>,
    /// The network whose numbers proofs have.
    pub profile: Profile,
    /// Jobs that may wait; more are turned away.
    pub most_waiting: u64,
    /// How long a result stays after it was fetched.
    pub keep: Duration,
    /// Folder of parameters.
    pub parameter_cache: PathBuf,
    /// Devices, to be told: names and bytes of memory, 0 if unknown.
    pub devices: Vec<(String, u64)>,
    /// The memory budget, to be told.
    pub memory_bytes: u64,
}

/// Why the service did not begin, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ServeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot listen on {listen}")]
    Listen { listen: Listen, source: io::Error },
    #[error("something answers on {listen} already")]
    Taken { listen: Listen },
    #[error("the server on {listen}")]
    Server { listen: Listen, source: tonic::transport::Error },
    #[error("cannot start the server")]
    Runtime(#[source] io::Error),
}

/// Serves until `stop` is thrown. `ready` is called once clients can come in.
///
/// # Errors
/// [`ServeError`].
pub fn serve(store: &Store, options: &Options, stop: &Cancel, ready: impl FnOnce()) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let inner = Arc::new(Inner::new(Queue::open(store)?, Queue::open(store)?, options.clone()));
    let outcome = runtime.block_on(async {
        let watcher = tokio::spawn(Arc::clone(&inner).watch());
        let mut servers = tokio::task::JoinSet::new();
        let mut sockets = Vec::new();
        for listen in &options.listen {
            let at = |source| ServeError::Listen { listen: listen.clone(), source };
            let service = Service(Arc::clone(&inner));
            let (of, inner) = (listen.clone(), Arc::clone(&inner));
            let stopped = async move { inner.stopped().await };
            let server = || {
                Server::builder()
                    .max_concurrent_streams(STREAMS)
                    .http2_keepalive_interval(Some(ALIVE))
                    .http2_keepalive_timeout(Some(ALIVE))
            };
            match listen {
                Listen::Tcp(address) => {
                    let listener = tokio::net::TcpListener::bind(address).await.map_err(at)?;
                    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                    servers.spawn(async move {
                        let served = server().serve_with_incoming_shutdown(service, incoming, stopped).await;
                        served.map_err(|source| ServeError::Server { listen: of, source })
                    });
                }
                #[cfg(unix)]
                Listen::Unix(path) => {
                    let listener = bind(path, listen)?;
                    sockets.push(path.clone());
                    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
                    servers.spawn(async move {
                        let served = server().serve_with_incoming_shutdown(service, incoming, stopped).await;
                        served.map_err(|source| ServeError::Server { listen: of, source })
                    });
                }
                #[cfg(not(unix))]
                Listen::Unix(_) => return Err(at(io::ErrorKind::Unsupported.into())),
            }
        }
        ready();
        let mut stopping: Option<Instant> = None;
        let outcome = loop {
            tokio::select! {
                ended = servers.join_next() => match ended {
                    None => break Ok(()),
                    Some(Ok(Err(error))) => break Err(error),
                    Some(_) => {}
                },
                () = tokio::time::sleep(TICK) => {
                    if stop.is_cancelled() && stopping.is_none() {
                        inner.stop();
                        stopping = Some(Instant::now());
                        // They are ours as long as we listen.
                        for socket in sockets.drain(..) {
                            drop(fs::remove_file(socket));
                        }
                    }
                    // A connection that says nothing does not keep us.
                    if stopping.is_some_and(|since| since.elapsed() > GRACE) {
                        break Ok(());
                    }
                }
            }
        };
        watcher.abort();
        outcome
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Listens on a Unix socket for our user and our group. One that nobody answers on any more is replaced.
#[cfg(unix)]
fn bind(path: &Path, listen: &Listen) -> Result<tokio::net::UnixListener, ServeError> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    let at = |source| ServeError::Listen { listen: listen.clone(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(at)?;
    }
    if let Ok(metadata) = fs::symlink_metadata(path) {
        // A file that is no socket stays.
        if !metadata.file_type().is_socket() {
            return Err(at(io::ErrorKind::AlreadyExists.into()));
        }
        match UnixStream::connect(path) {
            Ok(_) => return Err(ServeError::Taken { listen: listen.clone() }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(at)?,
            Err(error) => return Err(at(error)),
        }
    }
    let listener = UnixListener::bind(path).map_err(at)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(at)?;
    listener.set_nonblocking(true).map_err(at)?;
    tokio::net::UnixListener::from_std(listener).map_err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets_or_ports() {
        let of = |text: &str| text.parse::<Listen>();
        assert_eq!(of("unix:///run/curio/cuzk.sock"), Ok(Listen::Unix("/run/curio/cuzk.sock".into())));
        assert_eq!(of("unix:here.sock"), Ok(Listen::Unix("here.sock".into())));
        assert!(!of("127.0.0.1:9820").unwrap().is_public() && !of("[::1]:9820").unwrap().is_public());
        assert!(of("0.0.0.0:9820").unwrap().is_public());
        for wrong in ["", "unix:", "unix://", "localhost:9820", "127.0.0.1"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_dead_sockets_are_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/cuzk.sock");
        let listen = Listen::Unix(path.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let first = bind(&path, &listen).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&path, &listen), Err(ServeError::Taken { .. })));
        drop(first);
        bind(&path, &listen).unwrap();
        let notes = folder.path().join("notes");
        fs::write(&notes, "mine").unwrap();
        assert!(matches!(bind(&notes, &Listen::Unix(notes.clone())), Err(ServeError::Listen { .. })));
        assert_eq!(fs::read(&notes).unwrap(), b"mine");
    }
}
