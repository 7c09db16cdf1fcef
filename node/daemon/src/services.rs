//! Everything that runs in a node. A new service is a line in [`begin`].

use std::future::Future;
use std::sync::Arc;

use filecash_chain::Tipset;
use filecash_chain::hello::Hello;
use filecash_net::host::Host;
use filecash_net::{exchange, hello};
use filecash_rpc::Ledger;
use filecash_rpc::ledger::SharedStore;
use filecash_rpc::server::Limits;
use filecash_rpc::{http, server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::judge::Tally;
use crate::metrics;

/// What services are made of. All of it is shared.
#[derive(Clone)]
pub struct Parts {
    /// The blocks.
    pub store: SharedStore,
    /// The chain.
    pub ledger: Arc<Ledger>,
    /// Where the chain is; who finds a heavier one sends it here.
    pub head: watch::Sender<Arc<Tipset>>,
    /// The network.
    pub host: Host,
    /// The JSON-RPC.
    pub rpc: Arc<filecash_rpc::Node>,
    /// What became of gossip.
    pub tally: Arc<Tally>,
    /// Is true when the node is to end.
    pub stop: watch::Sender<bool>,
}

/// Where services listen that do.
#[derive(Debug)]
pub struct Doors {
    /// The JSON-RPC.
    pub rpc: Option<TcpListener>,
    /// The metrics.
    pub metrics: Option<TcpListener>,
}

/// Services that run. Each gives its name when it ends.
#[derive(Debug, Default)]
pub struct Running {
    /// Those that end by themselves when the node is to, once they have answered.
    pub doors: JoinSet<&'static str>,
    /// The others.
    pub rest: JoinSet<&'static str>,
}

impl Running {
    /// The name of the next one that ends, whatever the reason.
    pub async fn next(&mut self) -> &'static str {
        let ended = tokio::select! {
            Some(ended) = self.doors.join_next() => ended,
            Some(ended) = self.rest.join_next() => ended,
            else => return std::future::pending().await,
        };
        ended.unwrap_or("a service")
    }
}

/// That a service did not begin.
#[derive(Debug, thiserror::Error)]
#[error("{0} is served twice")]
pub struct ServedTwice(&'static str);

/// Begins all of them.
///
/// # Errors
/// [`ServedTwice`].
pub fn begin(parts: &Parts, doors: Doors) -> Result<Running, ServedTwice> {
    let mut running = Running::default();
    let rest = &mut running.rest;
    let twice = |name| move |_| ServedTwice(name);
    for task in hello::run(&parts.host, ours(parts), heard()).map_err(twice("hello"))? {
        add(rest, "hello", async { drop(task.await) });
    }
    let task = exchange::run(&parts.host, answer(parts)).map_err(twice("chain exchange"))?;
    add(rest, "chain exchange", async { drop(task.await) });
    for (name, listener, app) in
        [("the JSON-RPC", doors.rpc, http::router(&parts.rpc)), ("the metrics", doors.metrics, metrics::router(parts))]
    {
        if let Some(listener) = listener {
            add(&mut running.doors, name, server::serve(listener, app, Limits::default(), parts.stop.subscribe()));
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

/// What we tell of our chain. Where the state is not at hand that says how heavy its head is, its parents' weight is told.
fn ours(parts: &Parts) -> hello::Ours {
    let ledger = Arc::clone(&parts.ledger);
    Arc::new(move || {
        let head = ledger.head();
        Hello {
            heaviest: head.key(),
            height: head.height(),
            weight: ledger.weight(&head).unwrap_or_else(|_| head.first().parent_weight.clone()),
            genesis: ledger.genesis().key()[0],
        }
    })
}

fn heard() -> hello::Heard {
    Arc::new(|peer, hello| {
        tracing::info!(%peer, height = hello.height, weight = %hello.weight, "a node of our network");
    })
}

fn answer(parts: &Parts) -> exchange::Answer {
    let ledger = Arc::clone(&parts.ledger);
    Arc::new(move |request| ledger.chain().answer(request))
}
