//! The `filecash` command line: parse, call the engine, report.
//!
//! Verbs are thin. Each gives a [`report::Report`] or fails; what is printed where, and the exit status, is decided in
//! `report.rs` alone.

#![allow(missing_docs, reason = "field docs of clap types are help texts")]

mod args;
mod batch;
mod bench;
mod blocks;
mod car;
mod chain;
mod config;
mod context;
mod dag;
mod deep;
mod devices;
mod exchange;
mod ext;
mod extract;
mod fetch;
mod files;
mod filler;
mod folder;
mod given;
mod heap;
mod jobs;
mod log;
mod many;
mod measure;
mod node;
mod params;
mod phase;
mod piece;
mod plan;
mod post;
mod progress;
mod queue;
mod quickstart;
mod report;
mod seal;
mod sector;
mod serve;
mod show;
mod text;
mod update;
mod worker;

use std::env;
use std::io;
use std::process::ExitCode;

use args::{Command, Verb};
use clap::Parser;
use context::Context;
use report::{Kind, Report};

fn main() -> ExitCode {
    heap::share();
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    report::finish(run(&command), command.global.json)
}

fn run(command: &Command) -> anyhow::Result<Report> {
    let context = Context::new(&command.global, command.verb.is_daemon())?;
    match &command.verb {
        Verb::Add(args) => blocks::add(args, &context),
        Verb::Bench(verb) => bench::run(verb, &context),
        Verb::Car(verb) => car::run(verb, &context),
        Verb::Chain(verb) => chain::run(verb, &context),
        Verb::Cat(args) => blocks::cat(args, &context),
        Verb::Config(verb) => Ok(config::run(verb, &context)),
        Verb::Dag(verb) => dag::run(verb, &context),
        Verb::Devices => devices::run(&context),
        Verb::Ext(verb) => ext::run(verb, &context),
        Verb::Node(verb) => node::run(verb, &context),
        Verb::Params(verb) => params::run(verb, &context),
        Verb::Piece(verb) => piece::run(verb, &context),
        Verb::Plan(args) => plan::run(args, &context),
        Verb::Post(verb) => post::run(verb, &context),
        Verb::Quickstart(args) => quickstart::run(args, &context),
        Verb::Seal(verb) => seal::run(verb, &context),
        Verb::Sectors(verb) => queue::run(verb, &context),
        Verb::Fetch(args) => exchange::fetch(args, &context),
        Verb::Get(args) => blocks::get(args, &context),
        Verb::Jobs(verb) => jobs::run(verb, &context),
        Verb::Worker(verb) => worker::run(verb, &context),
        Verb::Serve(verb) => serve::run(verb, &context),
        Verb::Update(verb) => update::run(verb, &context),
    }
}

/// Help and version, or a command line that makes no sense.
fn usage(error: &clap::Error) -> ExitCode {
    let as_json = env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && as_json {
        let text = error.render().to_string();
        let message = text.split("\n\nUsage:").next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message).trim();
        report::print(io::stdout(), &report::pretty(&report::failure_json(Kind::Usage, message, None)));
    } else {
        drop(error.print());
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
