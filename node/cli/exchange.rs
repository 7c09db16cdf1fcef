//! `filecash fetch`, `serve blocks`: blocks from other nodes and for them.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use filecash_daemon::blocks::{self, BlocksError, Protocol, Wanted};
use filecash_engine::job::Unit;
use filecash_net::{Multiaddr, identity};
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args::blocks::{By, Fetch};
use crate::args::serve::ServeBlocks;
use crate::blocks::store;
use crate::context::Context;
use crate::report::{Failure, Kind, Report};
use crate::text::{Table, grouped};

fn addresses(texts: &[String], flag: &str) -> anyhow::Result<Vec<Multiaddr>> {
    let parse = |text: &String| {
        let wrong = |error| Failure::new(Kind::Usage, format!("{flag} {text:?} is no address: {error}"));
        Ok(Multiaddr::from_str(text)
            .map_err(|error| wrong(error).hint("such as /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW…"))?)
    };
    texts.iter().map(parse).collect()
}

/// Runs `filecash fetch`.
pub fn fetch(args: &Fetch, context: &Context) -> anyhow::Result<Report> {
    let wanted = Wanted {
        root: args.cid,
        from: addresses(&args.from, "--from")?,
        protocol: match args.by {
            By::Graphsync => Protocol::Graphsync,
            By::Bitswap => Protocol::Bitswap,
        },
        depth: args.depth.0,
    };
    let store = Arc::new(store(context)?);
    let stage = context.job().stage("fetch", Unit::Bytes, 0);
    let (begun, told) = (Instant::now(), AtomicU64::new(0));
    let progress = |_, bytes| {
        // Whether to stop is asked elsewhere.
        let _ = stage.advance(bytes - told.swap(bytes, Ordering::Relaxed).min(bytes));
    };
    let outcome = blocks::fetch(store, &wanted, progress, || context.is_cancelled());
    drop(stage);
    let kept = || "blocks that came are kept: the same command goes on with the rest".to_owned();
    let fetched =
        context.kept(outcome.map_err(explained), kept).with_context(|| format!("cannot fetch {}", args.cid))?;
    if let Some(first) = fetched.missing.first() {
        let message = format!("{first} is not to be had there, and what is below it");
        return Err(Failure::new(Kind::Input, message)
            .hint("blocks that came are kept; --from names others to ask")
            .into());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let text = Table::fields()
        .row(["CID", &args.cid.to_string()])
        .row(["Came", &format!("{} blocks of {}", grouped(fetched.blocks), ByteSize(fetched.bytes))])
        .row(["Time", &format!("{seconds:.1} s")])
        .render();
    let json = json!({
        "cid": args.cid.to_string(), "blocks": fetched.blocks, "blocks_bytes": fetched.bytes, "seconds": seconds,
    });
    Ok(Report::done(text, json))
}

/// Addresses that name no peer are the matter of who typed them.
fn explained(error: BlocksError) -> anyhow::Error {
    match error {
        BlocksError::NoPeer(_) => Failure::new(Kind::Usage, error.to_string()).into(),
        error => error.into(),
    }
}

/// Runs `filecash serve blocks`.
pub fn serve(args: &ServeBlocks, context: &Context) -> anyhow::Result<Report> {
    let listen = addresses(&args.listen, "--listen")?;
    let store = store(context)?;
    // The store has said that there is a folder.
    let folder = context.settings.blocks.value.clone().unwrap_or_default();
    let key = identity::load_or_make(&folder.join("identity.key")).context("who we are")?;
    let id = key.public().to_peer_id();
    let ready = |listening: &[Multiaddr]| {
        for address in listening {
            context.teller.note(&format!("Listening on {address}/p2p/{id}"));
        }
    };
    let given = blocks::serve(Arc::new(store), &key, listen, ready, || context.is_cancelled())?;
    let text = format!("Served; {} blocks, {}\n", grouped(given.blocks), ByteSize(given.bytes));
    Ok(Report::done(text, json!({ "blocks": given.blocks, "blocks_bytes": given.bytes })))
}
