//! A CAR as it is sent: the blocks on the way to the end of a path, then what is asked for there.
//!
//! | Scope | At the end |
//! |---|---|
//! | `all` | a walk over everything, depth first, links in the order of the block |
//! | `entity` | of a UnixFS file all below it; of a sharded folder all its shards; of anything else one block |
//! | `entity-bytes` | of a file the blocks from the root down to those bytes, in the order of the file |
//! | `block` | one block |
//!
//! What CIDs hold themselves is in no CAR of a gateway. Memory: what a walk holds ([`Limits`]), a block, and the chunks on their way. Where a
//! block is missing or more than the limits come, the CAR breaks off.
//!
//! Source: the trustless gateway specification, "CAR Responses".

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use filecash_ipld::car::CarWriter;
use filecash_ipld::codec::Codec;
use filecash_ipld::hash::inlined;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::StoreError;
use filecash_ipld::traverse::{Limits, Walk, WalkError};
use filecash_ipld::unixfs::node::Node;
use filecash_ipld::unixfs::read::Reader;
use filecash_ipld::unixfs::{Source, UnixFsError, folder};
use filecash_ipld::{Block, Cid};
use tokio::sync::Semaphore;

use crate::blocks::Blocks;
use crate::body::Sink;
use crate::bytes::{Entity, Span};
use crate::refusal::Refusal;
use crate::request::{AskedCar, Scope};
use crate::resolve::{Resolved, resolve};
use crate::seen::{NoRoom, Seen};

/// What a CAR may cost: 16 million blocks, 128 GiB, and 60 MB for what a walk holds, which is a folder of 70 000 names.
pub const LIMITS: Limits =
    Limits { blocks: 1 << 24, bytes: 128 << 30, links: 1 << 24, nodes: 1 << 32, depth: 1 << 16, values: 300_000 };

/// Why a CAR breaks off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BrokenCar {
    #[error("block {0} is not there")]
    Missing(Box<Cid>),
    #[error("more than {limit} {what} in a CAR")]
    Limit { what: &'static str, limit: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error(transparent)]
    UnixFs(#[from] UnixFsError),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error("the client")]
    Client(#[from] io::Error),
}

/// A CAR that can be sent.
pub struct Car {
    blocks: Blocks,
    root: Cid,
    resolved: Resolved,
    part: Part,
    /// None where blocks come each time that they are met.
    seen: Option<Seen>,
}

/// What is sent of the end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Block,
    Everything,
    Shards,
    Bytes(Span),
}

impl Car {
    /// Looks whether what is asked for is here, as far as that can be told at once. None is remembered to have been sent, where the CAR
    /// is not to be sent.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn prepare(blocks: &Blocks, asked: &AskedCar, room: Option<&Arc<Semaphore>>) -> Result<Self, Refusal> {
        let resolved = resolve(blocks, &asked.root, &asked.path)?;
        let part = part(blocks, &resolved.end, asked.scope)?;
        let seen = room.filter(|_| !asked.duplicates).map(Seen::new).transpose().map_err(|NoRoom| Refusal::Busy)?;
        Ok(Self { blocks: blocks.clone(), root: asked.root, resolved, part, seen })
    }

    /// The root, and what each name of the path leads to.
    pub fn roots(&self) -> &[Cid] {
        &self.resolved.roots
    }

    /// Sends it.
    ///
    /// # Errors
    /// [`BrokenCar`].
    pub fn send(self, sink: Sink) -> Result<(), BrokenCar> {
        let end = self.resolved.end;
        let is_left = sink.watch();
        let car = CarWriter::new(sink, &[self.root])?;
        let output = Output { seen: self.seen, car, is_left: Box::new(is_left), blocks: 0, bytes: 0 };
        let sending = Sending { blocks: &self.blocks, output: RefCell::new(output) };
        for cid in &self.resolved.way {
            sending.required(cid)?;
        }
        match self.part {
            Part::Block if inlined(&end).is_none() => drop(sending.required(&end)?),
            Part::Block => {}
            Part::Everything => sending.everything(&end)?,
            Part::Shards => folder::list(&sending, &end)?.try_for_each(|entry| entry.map(drop))?,
            Part::Bytes(span) => sending.bytes(&end, span)?,
        }
        let Output { seen, car, .. } = sending.output.into_inner();
        drop(seen);
        Ok(car.finish()?.end()?)
    }
}

fn part(blocks: &Blocks, end: &Cid, scope: Scope) -> Result<Part, Refusal> {
    let bytes = match scope {
        Scope::Block => return Ok(Part::Block),
        Scope::All if Codec::by_code(end.codec()).is_some() => return Ok(Part::Everything),
        Scope::All => return Err(Refusal::Codec { cid: Box::new(*end), codec: end.codec() }),
        Scope::Entity(bytes) => bytes,
    };
    if !matches!(Codec::by_code(end.codec()), Some(Codec::DagPb | Codec::Raw)) {
        return Ok(Part::Block);
    }
    let here = blocks.get(end)?.ok_or_else(|| Refusal::NotHere(Box::new(*end)))?;
    match (Node::decode(end, here), bytes) {
        (Ok(Node::File(_)), None) => Ok(Part::Everything),
        (Ok(Node::File(file)), Some(bytes)) => match bytes.of(file.size) {
            Entity::Some(span) => Ok(Part::Bytes(span)),
            Entity::Empty => Ok(Part::Block),
            Entity::Outside => Err(Refusal::NoBytes { size: file.size }),
        },
        (Ok(Node::Shard(_)), _) => Ok(Part::Shards),
        _ => Ok(Part::Block),
    }
}

/// Where blocks go, and how much went.
struct Output {
    /// Before what it goes to: when the client sees the end, the room is free for the next.
    seen: Option<Seen>,
    car: CarWriter<Sink>,
    is_left: Box<dyn Fn() -> bool>,
    blocks: u64,
    bytes: u64,
}

impl Output {
    /// Where blocks are passed over, a client who has left would not be noticed by writing.
    fn heed(&self) -> Result<(), BrokenCar> {
        if (self.is_left)() { Err(io::Error::from(io::ErrorKind::BrokenPipe).into()) } else { Ok(()) }
    }

    fn take(&mut self, block: &Block) -> Result<(), BrokenCar> {
        self.heed()?;
        self.blocks += 1;
        self.bytes = self.bytes.saturating_add(block.bytes().len() as u64);
        for (what, count, limit) in [("blocks", self.blocks, LIMITS.blocks), ("bytes", self.bytes, LIMITS.bytes)] {
            if count > limit {
                return Err(BrokenCar::Limit { what, limit });
            }
        }
        let is_new = self.seen.as_mut().map_or(Ok(true), |seen| seen.is_new(block.cid()))?;
        if is_new { Ok(self.car.write(block)?) } else { Ok(()) }
    }
}

/// Blocks of which each goes out when it is asked for.
struct Sending<'a> {
    blocks: &'a Blocks,
    output: RefCell<Output>,
}

impl Sending<'_> {
    fn required(&self, cid: &Cid) -> Result<Block, BrokenCar> {
        let block = self.blocks.block(cid)?.ok_or_else(|| BrokenCar::Missing(Box::new(*cid)))?;
        self.output.borrow_mut().take(&block)?;
        Ok(block)
    }

    fn everything(&self, end: &Cid) -> Result<(), BrokenCar> {
        let mut walk = Walk::new(*end, &Selector::everything(), LIMITS);
        while let Some(wanted) = walk.next_block()? {
            // What has gone out was gone into then. The blocks on the way were not, but they are above all that the walk comes to.
            if self.output.borrow().seen.as_ref().is_some_and(|seen| seen.has(&wanted.cid)) {
                self.output.borrow().heed()?;
                walk.skip();
            } else {
                walk.supply_block(&self.required(&wanted.cid)?)?;
            }
        }
        Ok(())
    }

    fn bytes(&self, end: &Cid, span: Span) -> Result<(), BrokenCar> {
        let broken = |error: io::Error| match error.downcast::<UnixFsError>() {
            Ok(error) => BrokenCar::UnixFs(error),
            Err(error) => BrokenCar::Client(error),
        };
        let mut reader = Reader::new(self, end)?;
        reader.seek(SeekFrom::Start(span.first)).map_err(broken)?;
        // What is read does not matter, but that the blocks were asked for on the way.
        io::copy(&mut reader.take(span.length()), &mut io::sink()).map_err(broken)?;
        Ok(())
    }
}

impl Source for &Sending<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(bytes) = inlined(cid) {
            return Ok(Some(bytes.to_vec()));
        }
        let Some(block) = self.blocks.block(cid)? else { return Ok(None) };
        match self.output.borrow_mut().take(&block) {
            Ok(()) => Ok(Some(block.into_parts().1)),
            Err(error) => Err(StoreError::Backend(Box::new(error))),
        }
    }
}
