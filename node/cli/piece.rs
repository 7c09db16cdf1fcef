//! `filecash piece commp`: the size and commitment of a piece of data.

use anyhow::Context as _;
use filecash_engine::sector::cid;
use filecash_engine::sector::piece::comm_p_of_stream;
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args;
use crate::context::Context;
use crate::files;
use crate::report::Report;
use crate::text::{Table, grouped};

/// Runs the verb.
pub fn run(verb: &args::Piece, context: &Context) -> anyhow::Result<Report> {
    match verb {
        args::Piece::Commp(args) => comm_p(args, context),
    }
}

fn comm_p(args: &args::PieceCommp, context: &Context) -> anyhow::Result<Report> {
    let (source, length) = files::open(&args.file)?;
    let outcome = comm_p_of_stream(source, length.unwrap_or(0), &context.job());
    let found = context
        .kept(outcome, || "nothing was written".to_owned())
        .with_context(|| format!("cannot commit to {}", args.file.display()))?;

    let padded = found.piece.size.padded().get();
    let digits = hex::encode(found.piece.commitment);
    let cid = cid::of_data(&found.piece.commitment).to_string();
    let text = Table::fields()
        .row(["Raw size", &format!("{} bytes", grouped(found.raw_bytes))])
        .row(["Piece size", &format!("{} bytes padded ({})", grouped(padded), ByteSize(padded))])
        .row(["CommP", &digits])
        .row(["CID", &cid])
        .render();
    let json = json!({
        "file": args.file,
        "raw_bytes": found.raw_bytes,
        "unpadded_bytes": found.piece.size.get(),
        "padded_bytes": padded,
        "comm_p": digits,
        "cid": cid,
    });
    Ok(Report::done(text, json))
}
