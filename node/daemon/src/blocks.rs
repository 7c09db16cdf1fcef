//! Blocks from others and for others, without a chain: a host that speaks graphsync and bitswap over a store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::graphsync::Order;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::BlockStore;
use filecash_net::bitswap::{self, Bitswap, BitswapError};
use filecash_net::gossip::Verdict;
use filecash_net::graphsync::{FetchOptions, Graphsync, GraphsyncOptions, Source};
use filecash_net::host::{Host, HostError, HostOptions};
use filecash_net::identity::Keypair;
use filecash_net::streams::AlreadyServed;
use filecash_net::{Multiaddr, PeerId};
use tokio::time::sleep;

/// Between two looks whether it is over.
const TICK: Duration = Duration::from_millis(50);
/// Tries by bitswap in which nothing came.
const TRIES: u32 = 3;
/// Between two of them.
const WAIT: Duration = Duration::from_millis(200);
/// What the network of such a host is called, which has no gossip.
const NETWORK: &str = "blocks";

/// By which protocol blocks come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Who has the DAG walks over it and sends all of it in order.
    #[default]
    Graphsync,
    /// Block by block is asked for, of all sources at once.
    Bitswap,
}

/// What is to come, and from whom.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The root of a DAG.
    pub root: Cid,
    /// Who has it: addresses with the ids of peers.
    pub from: Vec<Multiaddr>,
    /// By which protocol.
    pub protocol: Protocol,
    /// How deep graphsync goes; `None` for all, which stock responders refuse.
    pub depth: Option<u64>,
}

/// What came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Blocks that came.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first blocks that nobody has.
    pub missing: Vec<Cid>,
}

/// What was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why blocks did not come or go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BlocksError {
    #[error("{0} is no address of a peer: it does not end in /p2p/ and an id")]
    NoPeer(Multiaddr),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Graphsync(Box<filecash_net::graphsync::FetchError>),
    #[error(transparent)]
    Bitswap(#[from] bitswap::FetchError),
    #[error(transparent)]
    Begin(#[from] BitswapError),
    #[error(transparent)]
    Twice(#[from] AlreadyServed),
    #[error("it was stopped")]
    Stopped,
    #[error("cannot start the threads")]
    Runtime(#[source] std::io::Error),
}

impl From<filecash_net::graphsync::FetchError> for BlocksError {
    fn from(error: filecash_net::graphsync::FetchError) -> Self {
        Self::Graphsync(Box::new(error))
    }
}

struct Exchange {
    host: Host,
    graphsync: Graphsync,
    bitswap: Bitswap,
}

impl Exchange {
    fn start(key: &Keypair, listen: Vec<Multiaddr>, store: &Arc<dyn BlockStore>) -> Result<Self, BlocksError> {
        let options = HostOptions { listen, ..HostOptions::on_loopback(NETWORK) };
        let (host, _) = Host::start(key, &options, Arc::new(|_, _| Verdict::Ignore))?;
        let (graphsync, _) = Graphsync::run(&host, Arc::clone(store), GraphsyncOptions::default())?;
        let bitswap = bitswap::run(&host, Arc::clone(store), bitswap::Options::default())?;
        Ok(Self { host, graphsync, bitswap })
    }

    async fn fetch(
        &self,
        wanted: &Wanted,
        progress: &(impl Fn(u64, u64) + Send + Sync),
    ) -> Result<Fetched, BlocksError> {
        let sources: Vec<Source> = wanted.from.iter().map(source).collect::<Result<_, _>>()?;
        match wanted.protocol {
            Protocol::Graphsync => {
                let selector = wanted.depth.map_or_else(Selector::everything, Selector::everything_to);
                let order = Order { selector, ..Order::everything(wanted.root) };
                let tell = |pulled: &filecash_net::graphsync::Pulled| progress(pulled.blocks, pulled.bytes);
                let pulled = self.graphsync.fetch(&order, &sources, &FetchOptions::default(), tell).await?;
                Ok(Fetched { blocks: pulled.blocks, bytes: pulled.bytes, missing: pulled.missing })
            }
            Protocol::Bitswap => self.fetch_by_bitswap(wanted, &sources, progress).await,
        }
    }

    /// Asks again where connections break off, as long as something came.
    async fn fetch_by_bitswap(
        &self,
        wanted: &Wanted,
        sources: &[Source],
        progress: &(impl Fn(u64, u64) + Send + Sync),
    ) -> Result<Fetched, BlocksError> {
        let (mut came, mut vain) = (Fetched::default(), 0);
        loop {
            let mut peers: Vec<PeerId> = Vec::new();
            let mut unreached = None;
            for source in sources {
                match self.host.connect(source.addresses.clone()).await {
                    Ok(peer) => peers.push(peer),
                    Err(error) => unreached = Some(error),
                }
            }
            if let Some(error) = unreached.filter(|_| peers.is_empty()) {
                return Err(error.into());
            }
            let before = came.clone();
            let tell = |now: bitswap::frontier::Progress| {
                (came.blocks, came.bytes) = (before.blocks + now.fetched, before.bytes + now.fetched_bytes);
                progress(came.blocks, came.bytes);
            };
            match self.bitswap.fetch(&wanted.root, &peers, tell).await {
                Ok(done) => {
                    let (blocks, bytes) = (before.blocks + done.fetched, before.bytes + done.fetched_bytes);
                    return Ok(Fetched { blocks, bytes, missing: Vec::new() });
                }
                Err(error @ (bitswap::FetchError::Lost | bitswap::FetchError::Silent { .. }))
                    if came.blocks > before.blocks || vain < TRIES =>
                {
                    tracing::debug!(%error, blocks = came.blocks, "a fetch was cut");
                    vain = if came.blocks > before.blocks { 0 } else { vain + 1 };
                    sleep(WAIT).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn source(address: &Multiaddr) -> Result<Source, BlocksError> {
    let peer = filecash_net::host::peer_of(address).ok_or_else(|| BlocksError::NoPeer(address.clone()))?;
    Ok(Source { peer, addresses: vec![address.clone()] })
}

fn runtime() -> Result<tokio::runtime::Runtime, BlocksError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(BlocksError::Runtime)
}

async fn until(is_over: impl Fn() -> bool) {
    while !is_over() {
        sleep(TICK).await;
    }
}

/// Gets a DAG into a store, until `is_over`, which is asked time and again. `progress` is told how many blocks and bytes came.
///
/// # Errors
/// [`BlocksError`]. What came stays in the store.
pub fn fetch(
    store: Arc<dyn BlockStore>,
    wanted: &Wanted,
    progress: impl Fn(u64, u64) + Send + Sync,
    is_over: impl Fn() -> bool,
) -> Result<Fetched, BlocksError> {
    runtime()?.block_on(async {
        let exchange = Exchange::start(&Keypair::generate_ed25519(), Vec::new(), &store)?;
        let fetched = tokio::select! {
            fetched = exchange.fetch(wanted, &progress) => fetched,
            () = until(is_over) => Err(BlocksError::Stopped),
        };
        exchange.host.stop().await;
        fetched
    })
}

/// Gives others the blocks of a store, until `is_over`, which is asked time and again. `started` is told where others come in, each
/// address with our id.
///
/// # Errors
/// [`BlocksError`].
pub fn serve(
    store: Arc<dyn BlockStore>,
    key: &Keypair,
    listen: Vec<Multiaddr>,
    started: impl FnOnce(&[Multiaddr]),
    is_over: impl Fn() -> bool,
) -> Result<Given, BlocksError> {
    runtime()?.block_on(async {
        let wanted = listen.len();
        let exchange = Exchange::start(key, listen, &store)?;
        started(&crate::run::addresses(&exchange.host, wanted).await?);
        tokio::select! {
            () = until(is_over) => {}
            () = exchange.host.ended() => return Err(HostError::Ended.into()),
        }
        exchange.host.stop().await;
        let (totals, stats) = (exchange.graphsync.totals(), exchange.bitswap.stats());
        Ok(Given {
            blocks: totals.blocks_sent.load(Ordering::Relaxed) + stats.blocks_sent,
            bytes: totals.bytes_sent.load(Ordering::Relaxed) + stats.bytes_sent,
        })
    })
}
