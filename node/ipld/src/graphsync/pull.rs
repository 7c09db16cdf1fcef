//! Who asks: one request.
//!
//! The walk goes over the blocks that arrive, and over those that the store has where who answers says that it sent them before, that it
//! does not have them, or that it did not look below them. What arrives is kept in batches. A block that the walk does not ask for is
//! dropped.

use std::collections::{HashMap, HashSet, VecDeque};

use super::extensions::{DEDUP_BY_KEY, DO_NOT_SEND_CIDS, DO_NOT_SEND_FIRST_BLOCKS};
use crate::block::Block;
use crate::codec::Codec;
use crate::selector::Selector;
use crate::store::{BlockStore, StoreError};
use crate::traverse::{Limits, Walk, WalkError};
use crate::wire::graphsync::{Extensions, LinkAction, Request, RequestId, RequestKind, Response, Status};
use crate::{Cid, Ipld, hash};

/// Bytes that are kept at once. A transfer that is cut loses what it has of the last batch.
const BATCH_BYTES: usize = 4 << 20;
/// Blocks that are kept at once.
const BATCH_BLOCKS: usize = 1 << 12;
/// Bytes of CIDs that are listed as not to be sent. The rest of a longer list is sent once more.
const LISTED_BYTES: usize = 2 << 20;
/// Links to what nobody has that are remembered.
const MISSING: usize = 1 << 10;

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The root of a DAG.
    pub root: Cid,
    /// Which part of it.
    pub selector: Selector,
    /// Higher ones are answered first.
    pub priority: i32,
    /// What else is said with the request.
    pub extensions: Extensions,
    /// What it may cost.
    pub limits: Limits,
}

impl Order {
    /// Everything below a root, as deep as stock responders go.
    pub fn everything(root: Cid) -> Self {
        let selector = Selector::everything_to(crate::selector::STOCK_DEPTH);
        Self { root, selector, priority: 0, extensions: Extensions::new(), limits: Limits::DEFAULT }
    }
}

/// Why a request does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PullError {
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the answer has {theirs} where the DAG has {ours}")]
    Order { ours: Box<Cid>, theirs: Box<Cid> },
    #[error("the answer goes on behind the end of the DAG with {0}")]
    Beyond(Box<Cid>),
    #[error("the request was ended with status {}", .0.code())]
    Refused(Status),
    #[error("the answer has {0}, which did not come and is not here")]
    Withheld(Box<Cid>),
    #[error("the answer ends before {0}")]
    Short(Box<Cid>),
}

/// How far a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks that came and were kept.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Links that the walk has come to.
    pub links: u64,
    /// Blocks that came and were dropped, for nothing asked for them.
    pub unasked: u64,
    /// Links whose blocks nobody has.
    pub missing: u64,
}

/// Whether a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// More has to come.
    More,
    /// Who answers waits for something.
    Paused,
    /// Everything that could be had is in the store.
    Done,
}

/// How much of a walk, from its beginning, a store has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Links that the walk comes to before the first whose block is not there.
    pub links: u64,
    /// Whether there is no such link.
    pub is_all: bool,
}

impl Held {
    /// Walks over a store. Raw blocks are not read.
    ///
    /// # Errors
    /// [`PullError`].
    pub fn of(order: &Order, store: &dyn BlockStore) -> Result<Self, PullError> {
        let mut links = 0;
        let is_all = walk_held(order, store, |_| {
            links += 1;
            true
        })?;
        Ok(Self { links, is_all })
    }
}

/// Walks as far as a store has blocks, and `on` says so; whether that was to the end.
fn walk_held(order: &Order, store: &dyn BlockStore, mut on: impl FnMut(&Cid) -> bool) -> Result<bool, PullError> {
    let mut walk = Walk::new(order.root, &order.selector, order.limits).asking_for_identities();
    while let Some(wanted) = walk.next_block()? {
        let cid = wanted.cid;
        // Nothing is below a raw block, so that nobody has to read it.
        let bytes = match Codec::by_code(cid.codec()) {
            Some(Codec::Raw) => store.size(&cid)?.map(|_| Vec::new()),
            _ => store.get(&cid)?,
        };
        let Some(bytes) = bytes else { return Ok(false) };
        if !on(&cid) {
            return Ok(false);
        }
        walk.supply_block(&Block::trusted(cid, bytes))?;
    }
    Ok(true)
}

/// A request.
#[derive(Debug)]
pub struct Pull {
    order: Order,
    walk: Walk,
    /// What became of the links that the walk has not come to yet.
    links: VecDeque<(Cid, LinkAction)>,
    /// Who answers did not go below a link that is below so many blocks.
    unfollowed: Option<u64>,
    batch: Batch,
    progress: Progress,
    missing: Vec<Cid>,
    status: Option<Status>,
}

/// Blocks that are to be kept.
#[derive(Debug, Default)]
struct Batch {
    blocks: Vec<Block>,
    places: HashMap<Cid, usize>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, block: Block) {
        self.bytes += block.bytes().len();
        self.places.insert(*block.cid(), self.blocks.len());
        self.blocks.push(block);
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.blocks.len() >= BATCH_BLOCKS
    }

    fn get(&self, cid: &Cid) -> Option<&Block> {
        self.places.get(cid).map(|place| &self.blocks[*place])
    }

    fn keep(&mut self, store: &dyn BlockStore) -> Result<(), StoreError> {
        if !self.blocks.is_empty() {
            store.put(&self.blocks)?;
            *self = Self::default();
        }
        Ok(())
    }
}

impl Pull {
    /// A request of which nothing has come yet.
    pub fn new(order: Order) -> Self {
        let walk = Walk::new(order.root, &order.selector, order.limits).asking_for_identities();
        Self {
            order,
            walk,
            links: VecDeque::new(),
            unfollowed: None,
            batch: Batch::default(),
            progress: Progress::default(),
            missing: Vec::new(),
            status: None,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The first links whose blocks nobody has.
    pub fn missing(&self) -> &[Cid] {
        &self.missing
    }

    /// What is sent to who answers. What the store has is not to be sent again: version 2 has a number for that, version 1 a list.
    ///
    /// # Errors
    /// [`PullError`].
    pub fn request(&self, id: RequestId, held: Held, store: &dyn BlockStore) -> Result<Request, PullError> {
        let mut extensions = self.order.extensions.clone();
        let mut say = |name: &str, value| extensions.push((name.to_owned(), value));
        // Else it would not send what it has just sent for another request, which may not be in the store yet.
        say(DEDUP_BY_KEY, Ipld::String(key(id)));
        match id {
            _ if held.links == 0 => {}
            RequestId::Uuid(_) => say(DO_NOT_SEND_FIRST_BLOCKS, Ipld::Integer(held.links.into())),
            RequestId::Number(_) => say(DO_NOT_SEND_CIDS, Ipld::List(self.listed(store)?)),
        }
        let Order { root, selector, priority, .. } = &self.order;
        let kind =
            RequestKind::New { root: Box::new(*root), selector: selector.to_ipld(), priority: *priority, extensions };
        Ok(Request { id, kind })
    }

    fn listed(&self, store: &dyn BlockStore) -> Result<Vec<Ipld>, PullError> {
        let (mut seen, mut bytes) = (HashSet::new(), 0);
        walk_held(&self.order, store, |cid| {
            if seen.insert(*cid) {
                bytes += cid.encoded_len() + 8;
            }
            bytes <= LISTED_BYTES
        })?;
        Ok(seen.into_iter().map(Ipld::Link).collect())
    }

    /// Takes part of an answer and the blocks that came with it.
    ///
    /// # Errors
    /// [`PullError`], after which nothing more is to be taken; what came before is in the store.
    pub fn take(&mut self, response: Response, blocks: Vec<Block>, store: &dyn BlockStore) -> Result<Turn, PullError> {
        let turn = self.take_unkept(response, blocks, store);
        if self.batch.is_full() || !matches!(turn, Ok(Turn::More)) {
            self.keep(store)?;
        }
        turn
    }

    /// Keeps what came so far.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(&mut self, store: &dyn BlockStore) -> Result<(), StoreError> {
        self.batch.keep(store)
    }

    fn take_unkept(
        &mut self,
        response: Response,
        blocks: Vec<Block>,
        store: &dyn BlockStore,
    ) -> Result<Turn, PullError> {
        self.links.extend(response.links);
        if response.status.is_end() {
            self.status = Some(response.status);
        }
        let mut arrived: HashMap<Cid, Block> = blocks.into_iter().map(|block| (*block.cid(), block)).collect();
        let is_done = self.walk_on(&mut arrived, store)?;
        self.progress.unasked += arrived.len() as u64;
        match (is_done, response.status) {
            (true, _) if self.progress.missing == 0 => Ok(Turn::Done),
            (_, status) if status.is_end() && !status.is_success() => Err(PullError::Refused(status)),
            // How it ends may say more of what is missing.
            (true, status) if status.is_end() => Ok(Turn::Done),
            (_, Status::PAUSED) => Ok(Turn::Paused),
            _ => Ok(Turn::More),
        }
    }

    /// Walks as far as what arrived allows; whether that is to the end.
    fn walk_on(&mut self, arrived: &mut HashMap<Cid, Block>, store: &dyn BlockStore) -> Result<bool, PullError> {
        while let Some(wanted) = self.walk.next_block()? {
            let cid = wanted.cid;
            if self.unfollowed.is_some_and(|depth| wanted.depth <= depth) {
                self.unfollowed = None;
            }
            let told = match self.unfollowed {
                Some(_) => None,
                None => match self.next_told(&cid)? {
                    Told::Nothing => return Ok(false),
                    Told::Local => None,
                    Told::Action(action) => Some(action),
                },
            };
            self.progress.links += 1;
            if let (Some(LinkAction::Present), Some(block)) = (told, arrived.remove(&cid)) {
                self.walk.supply_block(&block)?;
                self.progress.blocks += 1;
                self.progress.bytes += block.bytes().len() as u64;
                self.batch.push(block);
                if self.batch.is_full() {
                    self.batch.keep(store)?;
                }
                continue;
            }
            let is_held = self.supply_held(&cid, store)?;
            match told {
                // It goes on below it, where we cannot follow.
                Some(LinkAction::Present | LinkAction::Duplicate) if !is_held => {
                    return Err(PullError::Withheld(Box::new(cid)));
                }
                Some(LinkAction::Missing | LinkAction::Skipped) => self.unfollowed = Some(wanted.depth),
                _ => {}
            }
            if !is_held {
                self.skip(cid);
            }
        }
        match self.links.front() {
            Some((theirs, _)) => Err(PullError::Beyond(Box::new(*theirs))),
            None => Ok(true),
        }
    }

    /// What is told of a link.
    fn next_told(&mut self, cid: &Cid) -> Result<Told, PullError> {
        let is_identity = hash::inlined(cid).is_some();
        match (self.links.front(), self.status) {
            (Some((theirs, _)), _) if theirs == cid => {}
            // Some tell of links that are their own blocks, some do not.
            (Some(_), _) if is_identity => return Ok(Told::Local),
            (Some((theirs, _)), _) => {
                return Err(PullError::Order { ours: Box::new(*cid), theirs: Box::new(*theirs) });
            }
            (None, None) => return Ok(Told::Nothing),
            (None, Some(status)) if !status.is_success() => return Err(PullError::Refused(status)),
            (None, Some(_)) if is_identity => return Ok(Told::Local),
            (None, Some(_)) => return Err(PullError::Short(Box::new(*cid))),
        }
        Ok(self.links.pop_front().map_or(Told::Nothing, |(_, action)| Told::Action(action)))
    }

    /// Goes on with a block if it is here; whether it is.
    fn supply_held(&mut self, cid: &Cid, store: &dyn BlockStore) -> Result<bool, PullError> {
        if let Some(block) = self.batch.get(cid) {
            self.walk.supply_block(block)?;
        } else if let Some(bytes) = store.get(cid)? {
            self.walk.supply_block(&Block::trusted(*cid, bytes))?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Goes on without a block.
    fn skip(&mut self, cid: Cid) {
        self.progress.missing += 1;
        if self.missing.len() < MISSING {
            self.missing.push(cid);
        }
        self.walk.skip();
    }
}

/// What is told of a link.
enum Told {
    /// Nothing yet.
    Nothing,
    /// Nothing at all: it is its own block.
    Local,
    Action(LinkAction),
}

/// The text by which a request's blocks are told from another's.
fn key(id: RequestId) -> String {
    match id {
        RequestId::Number(number) => number.to_string(),
        RequestId::Uuid(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests;
