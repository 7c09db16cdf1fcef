//! A node from its beginning to its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use filecash_chain::Tipset;
use filecash_chain::check::Rules;
use filecash_chain::folder::{ChainFolder, ImportError, Objects};
use filecash_ipld::store::{DiskOptions, DiskStore, StoreError, Watched};
use filecash_net::host::{Host, HostError, HostOptions};
use filecash_net::judge::by_chain;
use filecash_net::{Multiaddr, PeerId};
use filecash_rpc::ledger::{Ledger, Network};
use filecash_rpc::limits::GRACE;
use filecash_rpc::node::{Access, Node};
use filecash_rpc::server::stopped;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::config::{Config, ConfigError};
use crate::folder::{Folder, FolderError};
use crate::genesis::{self, GenesisError};
use crate::keys;
use crate::services::{self, Doors, Parts, ServiceError};
use crate::tally::{Tally, counted};

/// How long is waited until the host says where it listens.
const LISTENING: Duration = Duration::from_secs(5);
/// Between two looks at what others do.
const TICK: Duration = Duration::from_millis(20);

/// Why a node did not begin, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum DaemonError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the blocks")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    #[error("the chain: {0}")]
    Ledger(filecash_rpc::call::Fault),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("cannot listen on {listen} for {what}")]
    Listen { what: &'static str, listen: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("cannot start the threads")]
    Runtime(#[source] std::io::Error),
    #[error("{0} has ended, and with it the node")]
    Ended(&'static str),
}

/// What a node that has begun can tell of itself.
#[derive(Clone, Debug)]
pub struct Started {
    /// Who it is.
    pub peer: PeerId,
    /// Where other nodes come in.
    pub addresses: Vec<Multiaddr>,
    /// The name of its network.
    pub network: String,
    /// The name of its genesis, and the height of its head.
    pub genesis: String,
    /// See there.
    pub height: i64,
    /// Where it is called.
    pub rpc: Option<SocketAddr>,
    /// Where the gateway is.
    pub gateway: Option<SocketAddr>,
    /// Where Prometheus reads.
    pub metrics: Option<SocketAddr>,
}

async fn listen(what: &'static str, at: Option<SocketAddr>) -> Result<Option<TcpListener>, DaemonError> {
    let Some(listen) = at else { return Ok(None) };
    let bound = TcpListener::bind(listen).await;
    bound.map(Some).map_err(|source| DaemonError::Listen { what, listen, source })
}

fn address(listener: &Option<TcpListener>) -> Option<SocketAddr> {
    listener.as_ref()?.local_addr().ok()
}

/// Where a node keeps what it has.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of its blocks.
    pub blocks: PathBuf,
    /// The folder of its chain.
    pub chain: PathBuf,
}

/// Runs a node until `stop` is true or somebody who may asks it to end. `started` is called once others can come.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(
    config: &Config,
    places: &Places,
    stop: watch::Sender<bool>,
    started: impl FnOnce(&Started),
) -> Result<(), DaemonError> {
    for (what, listen) in config.exposed() {
        tracing::warn!(%listen, "anybody who reaches this port can read {what}");
    }
    let folder = Folder::open(config.node.folder.as_deref().ok_or(ConfigError::NoFolder)?)?;
    let doors = Doors {
        rpc: listen("the JSON-RPC", config.rpc.listen).await?,
        metrics: listen("the metrics", config.metrics.listen).await?,
        gateway: listen("the gateway", config.gateway.listen).await?,
    };
    let (rpc, metrics, gateway) = (address(&doors.rpc), address(&doors.metrics), address(&doors.gateway));
    let Some(chain) = chain(config, &places.chain, &stop).await? else { return Ok(()) };
    let (parts, host_task) = assemble(config, &places.blocks, chain, &folder, stop)?;
    let mut running = services::begin(&parts, doors, config)?;
    if let Some(rpc) = rpc {
        folder.tell_api(rpc)?;
    }
    started(&Started {
        peer: parts.host.peer_id(),
        addresses: addresses(&parts.host, config.host.listen.len()).await?,
        network: parts.ledger.network().name.clone(),
        genesis: parts.ledger.genesis().key()[0].to_string(),
        height: parts.ledger.head().height(),
        rpc,
        gateway,
        metrics,
    });

    let mut stop = parts.stop.subscribe();
    let outcome = tokio::select! {
        () = stopped(&mut stop) => Ok(()),
        // It may have heard first that the node is to end.
        ended = running.next() => if *parts.stop.borrow() { Ok(()) } else { Err(DaemonError::Ended(ended)) },
    };
    // Who calls is answered first, then other nodes are told good-bye.
    parts.stop.send_replace(true);
    let last = async {
        while running.doors.join_next().await.is_some() {}
        parts.host.stop().await;
        let _ = host_task.await;
        while running.last.join_next().await.is_some() {}
    };
    if timeout(GRACE + Duration::from_secs(1), last).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    running.rest.abort_all();
    tracing::info!("the node has ended");
    outcome
}

/// [`run`] on threads of its own, until `is_over`, which is asked time and again.
///
/// # Errors
/// [`DaemonError`].
pub fn run_until(
    config: &Config,
    places: &Places,
    is_over: impl Fn() -> bool,
    started: impl FnOnce(&Started),
) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    let stop = watch::Sender::new(false);
    let outcome = runtime.block_on(async {
        let watching = async {
            while !is_over() {
                sleep(TICK).await;
            }
            stop.send_replace(true);
            std::future::pending().await
        };
        tokio::select! {
            outcome = run(config, places, stop.clone(), started) => outcome,
            () = watching => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// The chain of a folder, or of a file that is taken into it, which may be long; nothing if it is to stop meanwhile.
async fn chain(
    config: &Config,
    folder: &Path,
    stop: &watch::Sender<bool>,
) -> Result<Option<Arc<ChainFolder>>, DaemonError> {
    let (folder, file, stop) = (folder.to_owned(), config.network.genesis.clone(), stop.clone());
    let opening = move || genesis::open(&folder, file.as_deref(), &Rules::MAINNET, &|| *stop.borrow());
    match spawn_blocking(opening).await {
        Ok(Ok(chain)) => Ok(Some(Arc::new(chain))),
        Ok(Err(GenesisError::Import { source, .. })) if matches!(*source, ImportError::Stopped) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(DaemonError::Ended("who opens the chain")),
    }
}

fn assemble(
    config: &Config,
    blocks: &Path,
    chain: Arc<ChainFolder>,
    folder: &Folder,
    stop: watch::Sender<bool>,
) -> Result<(Parts, JoinHandle<()>), DaemonError> {
    let store = Arc::new(Watched::new(DiskStore::open(blocks, &DiskOptions::default())?));
    let name = match &config.network.name {
        Some(name) => name.clone(),
        None => genesis::network_name(&chain)?,
    };
    let genesis = chain.genesis();
    let network = Network::of_genesis(&genesis, name.clone());
    let objects = Arc::<Objects>::clone(chain.chain().store());
    let ledger = Ledger::new(objects, genesis, network, chain.rules().clone(), heads(&chain));
    let ledger = Arc::new(ledger.map_err(DaemonError::Ledger)?);
    let options = HostOptions {
        listen: config.host.listen.clone(),
        network: name,
        bootstrap: config.host.bootstrap.clone(),
        is_bootstrapper: config.host.is_bootstrapper,
        accept_private_addresses: config.host.accept_private_addresses,
        ipfs_dht: config.host.ipfs_dht.clone(),
        limits: config.host.limits(),
    };
    let (keys, tally) = (keys::at_hand(&chain), Arc::new(Tally::default()));
    let judge = counted(by_chain(Arc::clone(&chain), None, Arc::clone(&keys)), Arc::clone(&tally));
    let (host, host_task) = Host::start(&folder.key, &options, judge)?;
    let access = Access { require_token: config.rpc.require_token, origins: config.rpc.origins.clone() };
    let rpc = Node::new(Arc::clone(&ledger), Some(host.clone()), folder.tokens.clone(), access, stop.clone());
    let (rpc, transfers) = (Arc::new(rpc), folder.transfers());
    Ok((Parts { store, chain, keys, ledger, host, transfers, rpc, tally, stop }, host_task))
}

/// The heads of a chain, as they come.
fn heads(chain: &ChainFolder) -> watch::Receiver<Arc<Tipset>> {
    let (sender, heads) = watch::channel(Arc::new(chain.head().tipset.clone()));
    chain.watch_head(Box::new(move |head| {
        sender.send_replace(Arc::new(head.tipset.clone()));
    }));
    heads
}

/// Where the host listens, once it does so everywhere; not for long.
pub(crate) async fn addresses(host: &Host, expected: usize) -> Result<Vec<Multiaddr>, HostError> {
    let all = async {
        loop {
            let found = host.addresses().await?;
            if found.len() >= expected {
                return Ok::<_, HostError>(found);
            }
            sleep(TICK).await;
        }
    };
    match timeout(LISTENING, all).await {
        Ok(found) => found,
        Err(_) => host.addresses().await,
    }
}

#[cfg(test)]
mod tests;
