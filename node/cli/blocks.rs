//! `filecash add`, `get`, `cat`: files and folders as blocks, and back.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::job::{Cancelled, Unit};
use filecash_ipld::store::{BlockStore, DiskOptions, DiskStore, StoreError};
use filecash_ipld::unixfs::disk::Hidden;
use filecash_ipld::unixfs::extract::{Options, Symlinks, extract};
use filecash_ipld::unixfs::folder::resolve;
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::read::Reader;
use filecash_ipld::{Block, Cid};
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args::blocks::{Add, Cat, Get, Place};
use crate::context::Context;
use crate::files;
use crate::report::{Failure, Kind, Report};
use crate::text::{Table, grouped};

/// Blocks that are kept at once.
const BATCH_BYTES: usize = 8 << 20;
/// What is copied at once.
const COPIED: usize = 1 << 20;

/// The blocks that are kept, which nobody else has open.
pub fn store(context: &Context) -> anyhow::Result<DiskStore> {
    store_as(context, &DiskOptions::default())
}

/// [`store`], opened in another way.
pub fn store_as(context: &Context, options: &DiskOptions) -> anyhow::Result<DiskStore> {
    let none = || Failure::new(Kind::Settings, "there is no place for blocks").hint("--blocks names one");
    let folder = context.settings.blocks.value.as_ref().ok_or_else(none)?;
    DiskStore::open(folder, options).with_context(|| format!("the blocks in {}", folder.display()))
}

/// What is at the end of a path.
pub fn at(store: &DiskStore, place: &Place) -> anyhow::Result<Cid> {
    Ok(resolve(store, &place.root, &place.path)?)
}

/// Keeps blocks many at a time, until somebody presses Ctrl-C.
pub struct Batches<'a> {
    store: Option<&'a DiskStore>,
    context: &'a Context,
    waiting: Vec<Block>,
    bytes: usize,
    /// Blocks that came.
    pub blocks: u64,
    /// Their bytes.
    pub total_bytes: u64,
}

impl<'a> Batches<'a> {
    /// For a store, or for none, when they are only counted.
    pub fn new(store: Option<&'a DiskStore>, context: &'a Context) -> Self {
        Self { store, context, waiting: Vec::new(), bytes: 0, blocks: 0, total_bytes: 0 }
    }

    /// Takes blocks.
    pub fn take(&mut self, blocks: &[Block]) -> Result<(), StoreError> {
        if self.context.is_cancelled() {
            return Err(StoreError::Backend(Box::new(Cancelled)));
        }
        let bytes: usize = blocks.iter().map(|block| block.bytes().len()).sum();
        self.blocks += blocks.len() as u64;
        self.total_bytes += bytes as u64;
        if self.store.is_some() {
            self.waiting.extend_from_slice(blocks);
            self.bytes += bytes;
        }
        if self.bytes >= BATCH_BYTES { self.finish() } else { Ok(()) }
    }

    /// Keeps those that wait.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        if let Some(store) = self.store {
            store.put(&self.waiting)?;
        }
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Runs `filecash add`.
pub fn add(args: &Add, context: &Context) -> anyhow::Result<Report> {
    let store = if args.only_cid { None } else { Some(store(context)?) };
    let mut batches = Batches::new(store.as_ref(), context);
    let stage = context.job().stage("add", Unit::Bytes, size_of(&args.path));
    let mut told = 0;
    let mut importer = Importer::new(args.layout, |blocks| batches.take(blocks)).progress(|read| {
        // Whether to stop is asked where blocks are kept.
        let _ = stage.advance(read - told);
        told = read;
    });
    let outcome = match args.path == Path::new("-") {
        true => importer.file(io::stdin()),
        false => importer.path(&args.path, if args.hidden { Hidden::Take } else { Hidden::Skip }),
    };
    let outcome = outcome.and_then(|imported| importer.finish().map(|()| imported));
    let outcome = outcome.and_then(|imported| Ok(batches.finish().map(|()| imported)?));
    drop(stage);
    let kept = || "blocks that were kept stay, without a name".to_owned();
    let imported = context.kept(outcome, kept).with_context(|| format!("cannot add {}", args.path.display()))?;
    let Batches { blocks, total_bytes, .. } = batches;
    let cid = imported.cid.to_string();
    let text = Table::fields()
        .row(["CID", &cid])
        .row(["Blocks", &format!("{} of {}", grouped(blocks), ByteSize(total_bytes))])
        .row(["As", args.layout.name])
        .render();
    let json = json!({
        "cid": cid, "as": args.layout.name, "size_bytes": imported.size, "blocks": blocks, "blocks_bytes": total_bytes,
        "kept": !args.only_cid,
    });
    Ok(Report::done(text, json))
}

/// Bytes of the files at a path, as far as they can be told beforehand.
fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}

/// Runs `filecash get`.
pub fn get(args: &Get, context: &Context) -> anyhow::Result<Report> {
    let store = store(context)?;
    let cid = at(&store, &args.place)?;
    let name = args.place.path.rsplit('/').next().filter(|name| !name.is_empty());
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(name.map_or(cid.to_string(), str::to_owned)));
    let options = Options {
        overwrite: args.force,
        symlinks: if args.symlinks { Symlinks::Write } else { Symlinks::Refuse },
        ..Options::default()
    };
    let stage = context.job().stage("get", Unit::Bytes, 0);
    let mut told = 0;
    let source = Stopping { store: &store, context };
    let outcome = extract(&source, &cid, &output, &options, |written| {
        let _ = stage.advance(written - told);
        told = written;
    });
    drop(stage);
    let written = context
        .kept(outcome, || "files that were written stay".to_owned())
        .with_context(|| format!("cannot get {}", args.place))?;
    let text = Table::fields()
        .row(["Written", &output.display().to_string()])
        .row(["Files and folders", &grouped(written.entries)])
        .row(["Bytes", &grouped(written.bytes)])
        .render();
    Ok(Report::done(text, json!({ "output": output, "entries": written.entries, "bytes": written.bytes })))
}

/// A store that gives nothing any more once somebody has pressed Ctrl-C.
struct Stopping<'a> {
    store: &'a DiskStore,
    context: &'a Context,
}

impl filecash_ipld::unixfs::Source for &Stopping<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        if self.context.is_cancelled() {
            return Err(StoreError::Backend(Box::new(Cancelled)));
        }
        self.store.get(cid)
    }
}

/// Runs `filecash cat`.
pub fn cat(args: &Cat, context: &Context) -> anyhow::Result<Report> {
    if context.json {
        return Err(Failure::new(Kind::Usage, "cat prints the bytes themselves, which are no JSON").into());
    }
    let store = store(context)?;
    let cid = at(&store, &args.place)?;
    let mut reader = Reader::new(&store, &cid)?;
    reader.seek(SeekFrom::Start(args.offset)).with_context(|| format!("cannot read {}", args.place))?;
    let mut reader = reader.take(args.length.unwrap_or(u64::MAX));
    let (mut out, mut block) = (io::stdout().lock(), vec![0; COPIED]);
    loop {
        if context.is_cancelled() {
            return Err(Failure::new(Kind::Cancelled, "stopped by Ctrl-C").into());
        }
        let count = reader.read(&mut block).with_context(|| format!("cannot read {}", args.place))?;
        if count == 0 {
            break;
        }
        match out.write_all(&block[..count]) {
            Ok(()) => {}
            // Who reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error).context("cannot write to standard output"),
        }
    }
    Ok(Report::done(String::new(), json!({})))
}

/// A file that is written whole, and gets its name at the end.
pub fn new_file(path: &Path, force: bool) -> anyhow::Result<filecash_engine::store::atomic::AtomicFile> {
    files::refuse_existing(path, force)?;
    Ok(filecash_engine::store::atomic::AtomicFile::create(path)?)
}
