//! `filecash serve …`: doors for miner programs, with a worker behind them that makes the proofs; and for who fetches blocks and pieces.

mod gateway;
mod sealing;

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use filecash_engine::job::Cancel;
use filecash_node::jobs::Store;
use filecash_node::worker::{self, WorkerError};
use filecash_node::{cuzk, remote_c2};
use serde_json::json;

use crate::args::serve::{Door, Serve, ServeCuzk, ServeRemoteC2};
use crate::args::worker::Http;
use crate::context::Context;
use crate::report::Report;
use crate::show;
use crate::worker::{memory, options, places_for_proofs, queue, store, tell};

/// How long a proof stays after a client had it.
const KEEP: Duration = Duration::from_secs(3600);

/// Runs the verb.
pub fn run(verb: &Serve, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Serve::Cuzk(args) => serve_cuzk(args, context),
        Serve::RemoteC2(args) => serve_remote_c2(args, context),
        Serve::Sealing(args) => sealing::run(args, context),
        Serve::Gateway(args) => gateway::run(args, context),
        Serve::Blocks(args) => crate::exchange::serve(args, context),
    }
}

fn serve_cuzk(args: &ServeCuzk, context: &Context) -> anyhow::Result<Report> {
    let server = cuzk::Options {
        listen: args.listen.clone(),
        profile: context.profile(),
        most_waiting: args.pending.max_pending,
        keep: KEEP,
        parameter_cache: context.config.parameter_cache.clone(),
        devices: crate::devices::names(context),
        memory_bytes: memory(context),
    };
    for listen in server.listen.iter().filter(|listen| listen.is_public()) {
        warn_of(&listen.to_string());
    }
    let ready = || {
        for listen in &server.listen {
            context.teller.note(&format!("Listening on {listen}, profile {}", server.profile));
        }
    };
    let worker = behind("cuzk", &args.door, context)?;
    with_worker(worker, &args.door.http, context, |store, stop| Ok(cuzk::serve(store, &server, stop, ready)?))
}

fn serve_remote_c2(args: &ServeRemoteC2, context: &Context) -> anyhow::Result<Report> {
    let server = remote_c2::Options {
        listen: args.listen,
        allow: args.allow.clone(),
        profile: context.profile(),
        most_waiting: args.pending.max_pending,
        keep: KEEP,
        host: worker::host(),
        memory_bytes: memory(context),
    };
    if !args.listen.ip().is_loopback() && args.allow.is_empty() {
        warn_of(&args.listen.to_string());
    }
    let ready = || context.teller.note(&format!("Listening on {}, profile {}", server.listen, server.profile));
    let worker = behind("remote-c2", &args.door, context)?;
    with_worker(worker, &args.door.http, context, |store, stop| Ok(remote_c2::serve(store, &server, stop, ready)?))
}

fn warn_of(listen: &str) {
    tracing::warn!(
        listen,
        "anybody who reaches this port can have proofs made: the protocol knows neither passwords nor encryption"
    );
}

/// The name of the worker behind a door.
pub fn worker_name(door: &str) -> String {
    format!("{}-{door}", worker::host())
}

/// The worker behind a door, unless others are to do the proofs.
pub fn behind(door: &str, args: &Door, context: &Context) -> anyhow::Result<Option<worker::Options>> {
    if args.no_worker {
        return Ok(None);
    }
    let options = options(places_for_proofs(args.c2.into()), context)?;
    Ok(Some(worker::Options { name: worker_name(door), ..options }))
}

/// Serves a door, with a worker behind it if there is one.
pub fn with_worker(
    worker: Option<worker::Options>,
    http: &Http,
    context: &Context,
    serve: impl FnOnce(&Store, &Cancel) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let worker = match worker {
        None => None,
        Some(worker) => {
            let queue = queue(context)?;
            tell(&worker, &queue, context);
            Some((worker, queue))
        }
    };
    let (store, stop) = (store(context)?, context.canceller());
    thread::scope(|scope| {
        let shown = show::begin(scope, http, store, context, &stop);
        let stops = &stop;
        let worker = worker.map(|(options, queue)| {
            // Without a worker there is nothing behind the door.
            scope.spawn(move || worker::run(&queue, &options, stops).inspect_err(|_| stops.cancel()))
        });
        let served = serve(store, &stop);
        stop.cancel();
        shown.map_or(Ok(()), |shown| shown.join().unwrap_or_else(|panic| resume_unwind(panic)))?;
        let summary = worker.map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let summary = summary.transpose().map_err(|error: WorkerError| error).context("the worker")?;
        served?;
        let summary = summary.unwrap_or_default();
        let text = format!("Served; {} jobs done, {} failed\n", summary.done, summary.failed);
        Ok(Report::done(text, json!({ "done": summary.done, "failed": summary.failed })))
    })
}
