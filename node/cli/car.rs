//! `filecash car`: CAR files, checked, kept, written.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use filecash_engine::job::{Stage, Unit};
use filecash_ipld::car::{CarOptions, CarReader, CarWriter, IndexedCarWriter};
use filecash_ipld::selector::Selector;
use filecash_ipld::store::BlockStore;
use filecash_ipld::traverse::{Limits, Walk};
use filecash_ipld::{Block, Cid};
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args::blocks::Car;
use crate::blocks::{Batches, new_file, store};
use crate::context::Context;
use crate::files;
use crate::report::{Failure, Kind, Report};
use crate::text::{Table, grouped};

/// Roots that are named.
const NAMED: usize = 10;

/// Runs the verb.
pub fn run(verb: &Car, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Car::Show { file, padded } => read(file, *padded, false, context),
        Car::Import { file, padded } => read(file, *padded, true, context),
        Car::Export { cid, output, indexed, force } => export(cid, output, *indexed, *force, context),
    }
}

/// Goes through a file, every block of which is checked.
fn read(file: &Path, padded: bool, is_kept: bool, context: &Context) -> anyhow::Result<Report> {
    let (source, length) = files::open(file)?;
    let kept = if is_kept { Some(store(context)?) } else { None };
    let mut batches = Batches::new(kept.as_ref(), context);
    let stage = context.job().stage(if is_kept { "import" } else { "check" }, Unit::Bytes, length.unwrap_or(0));
    let options = CarOptions { allow_padding: padded, ..CarOptions::default() };
    let name = || format!("cannot read {}", file.display());
    let mut car = CarReader::new(BufReader::with_capacity(1 << 20, source), &options).with_context(name)?;
    let mut at = 0;
    let outcome = loop {
        match car.next() {
            None => break batches.finish().map_err(anyhow::Error::from),
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(block)) => {
                let taken = batches.take(&[block]);
                let _ = stage.advance(car.position() - at);
                at = car.position();
                if let Err(error) = taken {
                    break Err(error.into());
                }
            }
        }
    };
    drop(stage);
    let stays = || if is_kept { "blocks before that stay".to_owned() } else { "nothing was written".to_owned() };
    context.kept(outcome, stays).with_context(name)?;
    let version = if car.head().is_some() { 2 } else { 1 };
    let indexed = car.head().is_some_and(|head| head.index_offset > 0);
    let roots: Vec<String> = car.roots().iter().map(ToString::to_string).collect();
    let mut table = Table::fields();
    table.row(["CAR", &format!("version {version}{}", if indexed { ", with an index" } else { "" })]).row([
        if is_kept { "Kept" } else { "Blocks" },
        &format!("{} of {}", grouped(batches.blocks), ByteSize(batches.total_bytes)),
    ]);
    for (place, root) in roots.iter().take(NAMED).enumerate() {
        table.row([if place == 0 { "Roots" } else { "" }, root]);
    }
    if roots.len() > NAMED {
        table.row(["", &format!("and {} more", roots.len() - NAMED)]);
    }
    let json = json!({
        "file": file, "version": version, "indexed": indexed, "roots": roots, "blocks": batches.blocks,
        "blocks_bytes": batches.total_bytes,
    });
    Ok(Report::done(table.render(), json))
}

fn export(cid: &Cid, output: &Path, indexed: bool, force: bool, context: &Context) -> anyhow::Result<Report> {
    let store = store(context)?;
    let file = new_file(output, force)?;
    let blocks = write(cid, &store, file.file(), indexed, context)
        .with_context(|| format!("cannot write {}", output.display()))?;
    files::refuse_existing(output, force)?;
    let bytes = file.file().metadata().map_or(0, |metadata| metadata.len());
    file.commit()?;
    let text = Table::fields()
        .row(["Written", &output.display().to_string()])
        .row(["Blocks", &grouped(blocks)])
        .row(["Bytes", &format!("{} ({})", grouped(bytes), ByteSize(bytes))])
        .render();
    let json: Value =
        json!({ "output": output, "cid": cid.to_string(), "blocks": blocks, "bytes": bytes, "indexed": indexed });
    Ok(Report::done(text, json))
}

/// Writes what is at and below a CID into a file; tells how many blocks.
fn write(cid: &Cid, store: &dyn BlockStore, file: &File, indexed: bool, context: &Context) -> anyhow::Result<u64> {
    let stage = context.job().stage("export", Unit::Items, 0);
    let sink = BufWriter::with_capacity(1 << 20, file);
    if indexed {
        let mut car = IndexedCarWriter::new(sink, &[*cid])?;
        let blocks = walk(cid, store, &stage, context, |block| Ok(car.write(block)?))?;
        car.finish()?.flush()?;
        return Ok(blocks);
    }
    let mut car = CarWriter::new(sink, &[*cid])?;
    let blocks = walk(cid, store, &stage, context, |block| Ok(car.write(block)?))?;
    car.finish()?.flush()?;
    Ok(blocks)
}

/// Hands over each block at and below a CID, in the order of the first time that a walk comes by; tells how many.
fn walk(
    cid: &Cid,
    store: &dyn BlockStore,
    stage: &Stage<'_>,
    context: &Context,
    mut take: impl FnMut(&Block) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut walk = Walk::new(*cid, &Selector::everything(), Limits::DEFAULT).following_links_once();
    let mut count = 0;
    while let Some(wanted) = walk.next_block()? {
        let outcome = stage.advance(1);
        context.kept(outcome, || "no file was written".to_owned())?;
        let missing = || Failure::new(Kind::Input, format!("block {} is not there", wanted.cid));
        let bytes = store.get(&wanted.cid)?.ok_or_else(missing)?;
        let block = Block::checked(wanted.cid, bytes)?;
        take(&block)?;
        walk.supply_block(&block)?;
        count += 1;
    }
    Ok(count)
}
