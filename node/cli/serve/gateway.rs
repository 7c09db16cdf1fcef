//! `filecash serve gateway`: blocks, CARs and pieces by HTTP.

use std::sync::Arc;

use anyhow::Context as _;
use filecash_gateway::{Gateway, Limits, NoPieces, PieceFolder, PieceSource, serve};
use filecash_ipld::store::DiskOptions;
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args::serve::ServeGateway;
use crate::blocks::store_as;
use crate::context::Context;
use crate::report::Report;
use crate::text::grouped;

/// Runs the verb.
pub fn run(args: &ServeGateway, context: &Context) -> anyhow::Result<Report> {
    let pieces: Box<dyn PieceSource> = match &args.pieces {
        None => Box::new(NoPieces),
        Some(folder) => {
            let pieces = PieceFolder::new(folder);
            Box::new(pieces.with_context(|| format!("the pieces in {}", folder.display()))?)
        }
    };
    // The gateway checks each block that it gives.
    let blocks = store_as(context, &DiskOptions { verify: false, ..DiskOptions::default() })?;
    let limits = Limits { requests: args.max_requests.into(), ..Limits::default() };
    let gateway = Gateway::new(Arc::new(blocks), pieces, &limits);
    if !args.listen.ip().is_loopback() {
        let listen = args.listen.to_string();
        tracing::warn!(listen, "anybody who reaches this port can read every block and piece that is here");
    }
    let ready = |listen| context.teller.note(&format!("Listening on http://{listen}"));
    serve(args.listen, &gateway, &limits, || context.is_cancelled(), ready)?;

    let metrics = gateway.metrics();
    let (requests, bytes): (u64, u64) = (metrics.requests.values().sum(), metrics.bytes.values().sum());
    let text = format!("Served; {} requests, {}\n", grouped(requests), ByteSize(bytes));
    let by_kind: Vec<Value> = metrics
        .requests
        .iter()
        .map(|((kind, status), requests)| json!({ "kind": kind.name(), "status": status, "requests": requests }))
        .collect();
    Ok(Report::done(text, json!({ "requests": by_kind, "bytes": bytes })))
}
