//! `filecash serve …`: doors for miner programs, with a worker behind them that makes the proofs.

use std::thread;

use anyhow::Context as _;
use filecash_node::cuzk::{self, Options};
use filecash_node::worker::{self, WorkerError};
use serde_json::json;

use crate::args::serve::{Serve, ServeCuzk};
use crate::context::Context;
use crate::report::Report;
use crate::worker::{memory, options, places_for_proofs, queue, store, tell};

/// How long a proof stays after a client had it.
const KEEP: std::time::Duration = std::time::Duration::from_secs(3600);

/// Runs the verb.
pub fn run(verb: &Serve, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Serve::Cuzk(args) => serve_cuzk(args, context),
    }
}

fn serve_cuzk(args: &ServeCuzk, context: &Context) -> anyhow::Result<Report> {
    let server = Options {
        listen: args.listen.clone(),
        profile: context.profile(),
        most_waiting: args.max_pending,
        keep: KEEP,
        parameter_cache: context.config.parameter_cache.clone(),
        devices: crate::devices::names(context),
        memory_bytes: memory(context),
    };
    let worker = match args.no_worker {
        true => None,
        false => {
            let worker = worker::Options {
                name: format!("{}-cuzk", worker::host()),
                ..options(places_for_proofs(&args.places)?, context)?
            };
            let queue = queue(context)?;
            tell(&worker, &queue, context);
            Some((worker, queue))
        }
    };
    for listen in server.listen.iter().filter(|listen| listen.is_public()) {
        tracing::warn!(
            %listen,
            "anybody who reaches this port can have proofs made: the protocol knows neither passwords nor encryption"
        );
    }
    let stop = context.canceller();
    let ready = || {
        for listen in &server.listen {
            context.teller.note(&format!("Listening on {listen}, profile {}", server.profile));
        }
    };
    thread::scope(|scope| {
        let stops = &stop;
        let worker = worker.map(|(options, queue)| {
            scope.spawn(move || {
                // Without a worker there is nothing behind the door.
                worker::run(&queue, &options, stops).inspect_err(|_| stops.cancel())
            })
        });
        let served = cuzk::serve(store(context)?, &server, &stop, ready);
        stop.cancel();
        let summary = worker.map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let summary = summary.transpose().map_err(|error: WorkerError| error).context("the worker")?;
        served?;
        let summary = summary.unwrap_or_default();
        let text = format!("Served; {} proofs made, {} failed\n", summary.done, summary.failed);
        Ok(Report::done(text, json!({ "done": summary.done, "failed": summary.failed })))
    })
}
