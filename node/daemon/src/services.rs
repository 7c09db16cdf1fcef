//! Everything that runs in a node. A new service is a line in [`begin`].

use std::future::{Future, pending};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use filecash_chain::check::tipset::Keys;
use filecash_chain::folder::ChainFolder;
use filecash_gateway::{Gateway, NoPieces, PieceFolder, PieceSource, serve_on};
use filecash_ipld::store::{DiskStore, Watched};
use filecash_net::bitswap::{self, Bitswap, BitswapError};
use filecash_net::data_transfer::{DataTransfer, FreePulls, TransferError, TransferOptions};
use filecash_net::graphsync::{Graphsync, GraphsyncOptions};
use filecash_net::host::Host;
use filecash_net::sync::{self, Progress, SyncOptions};
use filecash_rpc::Ledger;
use filecash_rpc::ledger::SharedStore;
use filecash_rpc::limits::GRACE;
use filecash_rpc::server::{Limits, stopped};
use filecash_rpc::{http, server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::Config;
use crate::metrics;
use crate::progress;
use crate::tally::Tally;

/// Before the names of bitswap's protocols, for blocks of the chain. Source: `spec/network.md` 5.3.
const CHAIN: &str = "/chain";

/// What services are made of. All of it is shared.
#[derive(Clone)]
pub struct Parts {
    /// The blocks.
    pub store: Arc<Watched<DiskStore>>,
    /// The chain that is followed.
    pub chain: Arc<ChainFolder>,
    /// The keys that are known of it.
    pub keys: Arc<dyn Keys>,
    /// The chain, as callers are told of it.
    pub ledger: Arc<Ledger>,
    /// The network.
    pub host: Host,
    /// The file of channels of data transfer.
    pub transfers: PathBuf,
    /// The JSON-RPC.
    pub rpc: Arc<filecash_rpc::Node>,
    /// What became of gossip.
    pub tally: Arc<Tally>,
    /// Is true when the node is to end.
    pub stop: watch::Sender<bool>,
}

impl Parts {
    /// The blocks, for who need not know how they are kept.
    fn blocks(&self) -> SharedStore {
        Arc::<Watched<DiskStore>>::clone(&self.store)
    }
}

/// Services that count what they do.
#[derive(Clone)]
pub struct Counted {
    /// How far the sync is.
    pub progress: watch::Receiver<Progress>,
    /// Bitswap, by what its blocks are of.
    pub bitswap: Vec<(&'static str, Bitswap)>,
    /// Graphsync.
    pub graphsync: Option<Graphsync>,
    /// Data transfer.
    pub transfer: Option<DataTransfer>,
    /// The gateway.
    pub gateway: Option<Gateway>,
}

/// Where services listen that do.
#[derive(Debug)]
pub struct Doors {
    /// The JSON-RPC.
    pub rpc: Option<TcpListener>,
    /// The metrics.
    pub metrics: Option<TcpListener>,
    /// The gateway.
    pub gateway: Option<TcpListener>,
}

/// Services that run. Each gives its name when it ends.
#[derive(Debug, Default)]
pub struct Running {
    /// Those that end by themselves when the node is to, once they have answered.
    pub doors: JoinSet<&'static str>,
    /// Those that end with the host, once they have written what they know.
    pub last: JoinSet<&'static str>,
    /// The others.
    pub rest: JoinSet<&'static str>,
}

impl Running {
    /// The name of the next one that ends, whatever the reason.
    pub async fn next(&mut self) -> &'static str {
        let ended = tokio::select! {
            Some(ended) = self.doors.join_next() => ended,
            Some(ended) = self.last.join_next() => ended,
            Some(ended) = self.rest.join_next() => ended,
            else => return pending().await,
        };
        ended.unwrap_or("a service")
    }
}

/// Why a service did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ServiceError {
    #[error("{0} is served twice")]
    Twice(&'static str),
    #[error(transparent)]
    Bitswap(#[from] BitswapError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error("the pieces in {}", path.display())]
    Pieces { path: PathBuf, source: std::io::Error },
}

/// Begins all of them.
///
/// # Errors
/// [`ServiceError`].
pub fn begin(parts: &Parts, doors: Doors, config: &Config) -> Result<Running, ServiceError> {
    let mut running = Running::default();
    let Running { doors: open, rest, last } = &mut running;
    let mut counted =
        Counted { progress: follow(parts, rest)?, bitswap: Vec::new(), graphsync: None, transfer: None, gateway: None };
    if config.bitswap.enabled {
        counted.bitswap.push(("data", give(parts, &parts.store, "", rest)?));
        counted.bitswap.push(("chain", give(parts, parts.chain.chain().store(), CHAIN, rest)?));
    }
    match (config.graphsync.enabled, config.data_transfer.enabled) {
        (false, _) => {}
        (true, false) => {
            let begun = Graphsync::run(&parts.host, parts.blocks(), GraphsyncOptions::default());
            let (graphsync, tasks) = begun.map_err(|_| ServiceError::Twice("graphsync"))?;
            tasks.into_iter().for_each(|task| add(rest, "graphsync", ended(task)));
            counted.graphsync = Some(graphsync);
        }
        (true, true) => {
            let options = TransferOptions {
                file: Some(parts.transfers.clone()),
                ..TransferOptions::new(Arc::new(FreePulls::default()))
            };
            let (transfer, graphsync, tasks) =
                DataTransfer::run(&parts.host, parts.blocks(), GraphsyncOptions::default(), options)?;
            tasks.into_iter().for_each(|task| add(last, "data transfer", ended(task)));
            (counted.graphsync, counted.transfer) = (Some(graphsync), Some(transfer));
        }
    }
    if let Some(listener) = doors.gateway {
        let limits = filecash_gateway::Limits { stopping: GRACE, ..filecash_gateway::Limits::default() };
        let pieces = pieces(config.gateway.pieces.as_deref())?;
        let gateway = Gateway::new(parts.blocks(), pieces, &limits);
        counted.gateway = Some(gateway.clone());
        let mut stop = parts.stop.subscribe();
        add(open, "the gateway", async move {
            serve_on(&listener, &gateway, &limits, stopped(&mut stop)).await;
        });
    }
    let metrics = metrics::router(parts, counted);
    for (name, listener, app) in
        [("the JSON-RPC", doors.rpc, http::router(&parts.rpc)), ("the metrics", doors.metrics, metrics)]
    {
        if let Some(listener) = listener {
            add(open, name, server::serve(listener, app, Limits::default(), parts.stop.subscribe()));
        }
    }
    Ok(running)
}

fn add(services: &mut JoinSet<&'static str>, name: &'static str, service: impl Future<Output = ()> + Send + 'static) {
    services.spawn(async move {
        service.await;
        name
    });
}

async fn ended(task: JoinHandle<()>) {
    // Whether it was told to end or failed, it is over.
    let _ = task.await;
}

/// Says hello, answers for the chain, and follows the heaviest that others have.
fn follow(parts: &Parts, rest: &mut JoinSet<&'static str>) -> Result<watch::Receiver<Progress>, ServiceError> {
    let options = SyncOptions { keys: Arc::clone(&parts.keys), ..SyncOptions::of(&parts.chain) };
    let sync = sync::start(&parts.host, Arc::clone(&parts.chain), options);
    let sync = sync.map_err(|_| ServiceError::Twice("the chain"))?;
    let (progress, rpc) = (sync.progress(), Arc::clone(&parts.rpc));
    add(rest, "the sync", async move {
        // It goes on as long as this is there.
        let sync = sync;
        progress::tell(sync.progress(), rpc).await;
    });
    Ok(progress)
}

/// Gives peers the blocks of a store, also those that they wait for until they come.
fn give(
    parts: &Parts,
    store: &Arc<Watched<DiskStore>>,
    prefix: &str,
    rest: &mut JoinSet<&'static str>,
) -> Result<Bitswap, BitswapError> {
    let options = bitswap::Options { prefix: prefix.to_owned(), ..bitswap::Options::default() };
    let bitswap = bitswap::run(&parts.host, Arc::<Watched<DiskStore>>::clone(store), options)?;
    bitswap.watch(store);
    let kept = bitswap.clone();
    add(rest, "bitswap", async move {
        // It goes on as long as this is there.
        let _kept = kept;
        pending().await
    });
    Ok(bitswap)
}

fn pieces(folder: Option<&Path>) -> Result<Box<dyn PieceSource>, ServiceError> {
    let Some(folder) = folder else { return Ok(Box::new(NoPieces)) };
    match PieceFolder::new(folder) {
        Ok(pieces) => Ok(Box::new(pieces)),
        Err(source) => Err(ServiceError::Pieces { path: folder.to_owned(), source }),
    }
}
