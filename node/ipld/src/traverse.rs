//! The walk over a DAG by a selector.
//!
//! A [`Walk`] does no input or output. It says which block it needs next, whoever drives it hands it over or says that it is not
//! there, and so on to the end. A responder takes the blocks from its store, a requestor from what arrives (and takes nothing that the
//! walk does not ask for), who writes a CAR keeps the first of each.
//!
//! ```text
//!            ┌────── Step::Visit (if asked for) ◄─┐
//!  new ──► step ──► Step::Block ──► supply | skip ┘
//!            └────► Step::Done
//! ```
//!
//! The order is that of go-ipld-prime: a node before its children; the entries of a map and the items of a list as they stand in the
//! block (dag-pb: `Links`, then `Data`), or, where a selector names some, in the order of the selector; a link is followed where it is
//! met, each time it is met. A block that is nothing but a link is not followed further. What an identity CID holds is not asked for,
//! unless [`Walk::asking_for_identities`].
//!
//! Memory: of each block on the way from the root to here, the nodes that are still to come, and nothing of a block or node whose last
//! child has been gone into: *depth × siblings*. Of a file or a chain that is a few blocks. A decoded block takes up to 200 bytes for
//! each of its values, however few it has on the wire, so [`Limits::values`] bounds those of all blocks that are held, and the parts of
//! the selector that are left at each node. With [`Walk::following_links_once`] the walk holds every CID, too.
//!
//! Time: each child is compared with the parts of the selector that are left, at most [`crate::selector::MAX_PARTS`].
//!
//! Source: go-ipld-prime's `traversal`; `spec/network.md` 11.1, 11.6, 13.1.

use std::borrow::Cow;
use std::collections::HashSet;
use std::mem;

use crate::block::Block;
use crate::codec::{Codec, CodecError, dag_cbor, dag_pb};
use crate::hash::{HashError, inlined, verify};
use crate::path::{Path, Segment};
use crate::selector::{Interest, Kind, Selector, State, TooWide};
use crate::{Cid, Ipld};

#[cfg(test)]
mod tests;

/// What a walk may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks that are handed over.
    pub blocks: u64,
    /// Their bytes, all together.
    pub bytes: u64,
    /// Links that are followed, those to blocks that are not there among them.
    pub links: u64,
    /// Nodes that are visited.
    pub nodes: u64,
    /// Steps from the root.
    pub depth: usize,
    /// Values that are held at a time, of 200 bytes each.
    pub values: usize,
}

impl Limits {
    /// For DAGs as they come from anybody: 2^20 blocks of 64 GiB, and 200 MiB of memory.
    pub const DEFAULT: Self =
        Self { blocks: 1 << 20, bytes: 64 << 30, links: 1 << 24, nodes: 1 << 28, depth: 1 << 16, values: 1 << 20 };
}

/// What a walk comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// It needs a block.
    Block(Wanted),
    /// It is at a node.
    Visit(Visit<'a>),
    /// It is at the end.
    Done,
}

impl Step<'_> {
    /// Itself with a copy of the node, so that the walk can go on.
    pub fn into_owned(self) -> Step<'static> {
        match self {
            Step::Block(wanted) => Step::Block(wanted),
            Step::Visit(Visit { path, node, matched }) => {
                let (path, node) = (Cow::Owned(path.into_owned()), Cow::Owned(node.into_owned()));
                Step::Visit(Visit { path, node, matched })
            }
            Step::Done => Step::Done,
        }
    }
}

/// A block that a walk needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name. Where it is says [`Walk::path`].
    pub cid: Cid,
    /// How many blocks are above it.
    pub depth: u64,
}

/// A node that a walk is at.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit<'a> {
    /// Where it is.
    pub path: Cow<'a, Path>,
    /// The node, or what a subset leaves of it.
    pub node: Cow<'a, Ipld>,
    /// Whether the selector matches it, or only leads through it.
    pub matched: bool,
}

/// Which nodes are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visits {
    /// None.
    #[default]
    None,
    /// Those that match.
    Matches,
    /// All.
    All,
}

/// Why a walk does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum WalkError {
    /// The walk is as it was: another block may be handed over.
    #[error("block {0} was not asked for")]
    Unasked(Box<Cid>),
    /// The walk is as it was: another block may be handed over.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The walk is as it was: the block may be skipped.
    #[error("{cid} cannot be read")]
    Codec { cid: Box<Cid>, source: CodecError },
    #[error("more than {limit} {what} on the way through a DAG")]
    Limit { what: &'static str, limit: u64 },
    #[error("a union of a selector has too many members")]
    Selector,
    #[error("nodes cannot be interpreted as {0:?}")]
    Interpretation(String),
}

/// A walk. See the module.
#[derive(Debug)]
pub struct Walk {
    limits: Limits,
    visits: Visits,
    identities: bool,
    followed: Option<HashSet<Cid>>,
    /// What is still to come, innermost last.
    open: Vec<Open>,
    /// From the root to where it is.
    path: Path,
    /// The blocks that are held: how many blocks are above each, and how many values it has.
    blocks: Vec<(u64, usize)>,
    /// All values that are held.
    values: usize,
    at: At,
    /// Whether the node that it is at has been told.
    told: bool,
    spent: Spent,
    failure: Option<WalkError>,
}

#[derive(Debug, Default)]
struct Spent {
    blocks: u64,
    bytes: u64,
    links: u64,
    nodes: u64,
}

/// Where a walk is.
#[derive(Debug)]
enum At {
    /// Before a block that it needs.
    Link { cid: Box<Cid>, state: State, depth: u64 },
    /// At a node.
    Node { node: Ipld, state: State, depth: u64 },
    /// Between two children of the innermost open node.
    Between,
}

/// A map or list of which some children are still to come.
#[derive(Debug)]
struct Open {
    node: Ipld,
    state: State,
    /// Steps from the root to it.
    steps: usize,
    /// Blocks above it.
    depth: u64,
    children: Children,
    /// What it counts for beside its values.
    weight: usize,
}

#[derive(Debug)]
enum Children {
    /// All of them, from a place on.
    All { next: usize },
    /// Those of a list of interests: which one is next, and how far it is gone through.
    Named { interests: Vec<Interest>, interest: usize, place: u64 },
}

/// What a turn of the walk ends at.
enum Stop {
    Block,
    Visit,
    Done,
}

impl Walk {
    /// A walk from a root, whose block is the first that is asked for.
    pub fn new(root: Cid, selector: &Selector, limits: Limits) -> Self {
        Self {
            limits,
            visits: Visits::None,
            identities: false,
            followed: None,
            open: Vec::new(),
            path: Path::default(),
            blocks: Vec::new(),
            values: 0,
            at: At::Link { cid: Box::new(root), state: State::new(selector), depth: 0 },
            told: false,
            spent: Spent { links: 1, ..Spent::default() },
            failure: None,
        }
    }

    /// Tells nodes, too.
    #[must_use]
    pub fn telling(mut self, visits: Visits) -> Self {
        self.visits = visits;
        self
    }

    /// Asks for what identity CIDs hold as for any other block.
    #[must_use]
    pub fn asking_for_identities(mut self) -> Self {
        self.identities = true;
        self
    }

    /// Follows each CID once only. Below a recursion with a limit this can leave out what is nearer on another way.
    #[must_use]
    pub fn following_links_once(mut self) -> Self {
        self.followed = Some(HashSet::new());
        self
    }

    /// What comes next. As long as a block is needed that is the block.
    ///
    /// # Errors
    /// [`WalkError`], after which the walk is over; or why an identity CID does not hold a block, which may be skipped.
    pub fn step(&mut self) -> Result<Step<'_>, WalkError> {
        Ok(match self.turn()? {
            Stop::Done => Step::Done,
            Stop::Block => self.wanted().map_or(Step::Done, Step::Block),
            Stop::Visit => self.visit().map_or(Step::Done, Step::Visit),
        })
    }

    /// The block that is needed next, nodes being passed over; `None` at the end.
    ///
    /// # Errors
    /// As [`Walk::step`].
    pub fn next_block(&mut self) -> Result<Option<Wanted>, WalkError> {
        loop {
            match self.turn()? {
                Stop::Done => return Ok(None),
                Stop::Block => return Ok(self.wanted()),
                Stop::Visit => {}
            }
        }
    }

    /// The block that is needed, if it waits for one.
    pub fn wanted(&self) -> Option<Wanted> {
        match &self.at {
            At::Link { cid, depth, .. } => Some(Wanted { cid: **cid, depth: *depth }),
            _ => None,
        }
    }

    /// Where the block is that is needed, or the node that was told last.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands over the block that is needed, after a look whether its bytes are those of the CID.
    ///
    /// # Errors
    /// [`WalkError`]; unless it is of a limit, the walk still waits for the block.
    pub fn supply(&mut self, cid: &Cid, bytes: &[u8]) -> Result<(), WalkError> {
        self.expect(cid)?;
        verify(cid, bytes)?;
        self.enter_block(bytes)
    }

    /// Hands over a block that has been checked.
    ///
    /// # Errors
    /// As [`Walk::supply`].
    pub fn supply_block(&mut self, block: &Block) -> Result<(), WalkError> {
        self.expect(block.cid())?;
        self.enter_block(block.bytes())
    }

    /// Goes on without the block that is needed, and without what is below it.
    pub fn skip(&mut self) {
        if let At::Link { .. } = self.at {
            self.at = At::Between;
        }
    }

    fn expect(&self, cid: &Cid) -> Result<(), WalkError> {
        match &self.at {
            At::Link { cid: wanted, .. } if **wanted == *cid => Ok(()),
            _ => Err(WalkError::Unasked(Box::new(*cid))),
        }
    }

    fn fail<T>(&mut self, error: WalkError) -> Result<T, WalkError> {
        self.failure = Some(error.clone());
        Err(error)
    }

    /// Whether a count that has just grown is within its limit.
    fn within(&mut self, what: &'static str, count: u64, limit: u64) -> Result<(), WalkError> {
        if count > limit { self.fail(WalkError::Limit { what, limit }) } else { Ok(()) }
    }

    fn enter_block(&mut self, bytes: &[u8]) -> Result<(), WalkError> {
        self.spent.blocks += 1;
        self.within("blocks", self.spent.blocks, self.limits.blocks)?;
        self.spent.bytes = self.spent.bytes.saturating_add(bytes.len() as u64);
        self.within("bytes", self.spent.bytes, self.limits.bytes)?;
        let entered = self.decode(bytes);
        if entered.is_err() {
            // It may be handed over once more.
            self.spent.blocks -= 1;
            self.spent.bytes -= bytes.len() as u64;
        }
        entered
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(), WalkError> {
        self.release();
        let At::Link { cid, depth, .. } = &self.at else { return Ok(()) };
        let allowed = self.limits.values.saturating_sub(self.values);
        let (node, values) = decode(cid, bytes, allowed, self.visits == Visits::None)
            .map_err(|source| WalkError::Codec { cid: cid.clone(), source })?;
        self.blocks.push((*depth, values));
        self.values += values;
        if let At::Link { state, depth, .. } = mem::replace(&mut self.at, At::Between) {
            self.at = At::Node { node, state, depth };
            self.visited()?;
        }
        Ok(())
    }

    /// Counts no longer what is held no longer: blocks of which no node is open.
    fn release(&mut self) {
        let open = self.open.last().map(|open| open.depth);
        while let Some((depth, values)) = self.blocks.last()
            && open.is_none_or(|open| open < *depth)
        {
            self.values -= values;
            self.blocks.pop();
        }
    }

    /// Counts the node that it has come to.
    fn visited(&mut self) -> Result<(), WalkError> {
        self.spent.nodes += 1;
        self.within("nodes", self.spent.nodes, self.limits.nodes)?;
        match &self.at {
            At::Node { state, .. } => match state.interpretation() {
                Some(name) => {
                    let name = name.chars().take(32).collect();
                    self.fail(WalkError::Interpretation(name))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Goes on to where there is something to tell.
    fn turn(&mut self) -> Result<Stop, WalkError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        // The node that was told last is gone into now.
        let mut told = mem::take(&mut self.told);
        loop {
            match &self.at {
                At::Link { cid, .. } => match inlined(cid) {
                    Some(bytes) if !self.identities => {
                        let bytes = bytes.to_vec();
                        self.decode(&bytes)?;
                    }
                    _ => return Ok(Stop::Block),
                },
                At::Node { .. } if !told && self.is_told() => {
                    self.told = true;
                    return Ok(Stop::Visit);
                }
                At::Node { .. } => {
                    told = false;
                    self.open()?;
                }
                At::Between if self.open.is_empty() => return Ok(Stop::Done),
                At::Between => self.advance()?,
            }
        }
    }

    fn is_told(&self) -> bool {
        match (self.visits, &self.at) {
            (Visits::All, _) => true,
            (Visits::Matches, At::Node { node, state, .. }) => state.matched(node).is_some(),
            _ => false,
        }
    }

    fn visit(&self) -> Option<Visit<'_>> {
        let At::Node { node, state, .. } = &self.at else { return None };
        let (node, matched) = match state.matched(node) {
            Some(node) => (node, true),
            None => (Cow::Borrowed(node), false),
        };
        Some(Visit { path: Cow::Borrowed(&self.path), node, matched })
    }

    /// Goes into the node that it is at.
    fn open(&mut self) -> Result<(), WalkError> {
        if let At::Node { node, state, depth } = mem::replace(&mut self.at, At::Between)
            && Kind::of(&node) != Kind::Other
        {
            let mut weight = state.weight();
            let children = match state.interests() {
                None => Children::All { next: 0 },
                Some(interests) => {
                    weight += interests.len();
                    Children::Named { interests, interest: 0, place: 0 }
                }
            };
            self.values += weight;
            self.open.push(Open { node, state, steps: self.path.0.len(), depth, children, weight });
            self.within("values at a time", self.values as u64, self.limits.values as u64)?;
        }
        Ok(())
    }

    /// Leaves the innermost open node.
    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.values -= open.weight;
        }
    }

    /// Goes to the next child of the innermost open node, or leaves that.
    fn advance(&mut self) -> Result<(), WalkError> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let (depth, steps) = (open.depth, open.steps);
        let Some((segment, child)) = open.next() else {
            self.close();
            return Ok(());
        };
        let Ok(explored) = open.explore(&segment, child) else { return self.fail(WalkError::Selector) };
        let Some(state) = explored else { return Ok(()) };
        let child = open.take(child);
        if open.is_at_end() {
            self.close();
        }
        self.path.0.truncate(steps);
        self.path.0.push(segment);
        self.within("steps from the root", self.path.0.len() as u64, self.limits.depth as u64)?;
        match child {
            Ipld::Link(cid) => self.follow(cid, state, depth + 1),
            node => {
                self.at = At::Node { node, state, depth };
                self.visited()
            }
        }
    }

    fn follow(&mut self, cid: Cid, state: State, depth: u64) -> Result<(), WalkError> {
        if self.followed.as_mut().is_some_and(|followed| !followed.insert(cid)) {
            return Ok(());
        }
        self.spent.links += 1;
        self.within("links", self.spent.links, self.limits.links)?;
        self.at = At::Link { cid: Box::new(cid), state, depth };
        Ok(())
    }
}

impl Open {
    /// The next child that is there: the step to it, and which one it is.
    fn next(&mut self) -> Option<(Segment, usize)> {
        match &mut self.children {
            Children::All { next } => {
                let child = *next;
                *next += 1;
                match &self.node {
                    Ipld::Map(entries) => Some((Segment::Name(entries.get(child)?.0.clone()), child)),
                    Ipld::List(items) => (child < items.len()).then_some((Segment::Place(child as u64), child)),
                    _ => None,
                }
            }
            Children::Named { interests, interest, place } => loop {
                let segment = match interests.get(*interest)? {
                    Interest::Name(name) => Segment::Name(name.clone()),
                    Interest::Places { from, to } => {
                        match next_place(&self.node, interests, (*place).max(*from), *to) {
                            Some(found) => Segment::Place(found),
                            None => {
                                (*interest, *place) = (*interest + 1, 0);
                                continue;
                            }
                        }
                    }
                };
                match &segment {
                    Segment::Name(_) => *interest += 1,
                    Segment::Place(found) => *place = found + 1,
                }
                if let Some(child) = find(&self.node, &segment) {
                    return Some((segment, child));
                }
            },
        }
    }

    fn explore(&self, segment: &Segment, child: usize) -> Result<Option<State>, TooWide> {
        let child = match &self.node {
            Ipld::Map(entries) => entries.get(child).map(|(_, value)| value),
            node => node.at(child),
        };
        child.map_or(Ok(None), |child| self.state.explore(Kind::of(&self.node), segment, child))
    }

    /// The child, which stays only where a selector names it once more.
    fn take(&mut self, child: usize) -> Ipld {
        let again = self.is_named_again(child);
        let place = match &mut self.node {
            Ipld::Map(entries) => entries.get_mut(child).map(|(_, value)| value),
            Ipld::List(items) => items.get_mut(child),
            _ => None,
        };
        match place {
            Some(value) if again => value.clone(),
            Some(value) => mem::replace(value, Ipld::Null),
            None => Ipld::Null,
        }
    }

    fn is_named_again(&self, child: usize) -> bool {
        let Children::Named { interests, interest, place } = &self.children else { return false };
        let number = match &self.node {
            Ipld::Map(entries) => entries.get(child).and_then(|(key, _)| key.parse().ok()),
            _ => Some(child as u64),
        };
        // Of the places that it is at now, those behind this one are others.
        let behind = if *place > 0 { *interest + 1 } else { *interest };
        interests.iter().skip(behind).any(|interest| match (interest, &self.node) {
            (Interest::Places { from, to }, _) => number.is_some_and(|number| (*from..*to).contains(&number)),
            (Interest::Name(name), Ipld::Map(entries)) => entries.get(child).is_some_and(|(key, _)| key == name),
            (Interest::Name(name), _) => Segment::Name(name.clone()).place() == number,
        })
    }

    fn is_at_end(&self) -> bool {
        let length = match &self.node {
            Ipld::Map(entries) => entries.len(),
            Ipld::List(items) => items.len(),
            _ => 0,
        };
        match &self.children {
            Children::All { next } => *next >= length,
            Children::Named { interests, interest, place } => match interests.get(*interest) {
                None => true,
                Some(Interest::Places { to, .. }) if *interest + 1 == interests.len() => {
                    *place >= (*to).min(length as u64)
                }
                Some(_) => false,
            },
        }
    }
}

/// The first place of a list from one to before another; of a map, the first that a name means, too, for nothing else explores it.
fn next_place(node: &Ipld, interests: &[Interest], from: u64, to: u64) -> Option<u64> {
    match node {
        Ipld::List(items) => (from < to.min(items.len() as u64)).then_some(from),
        _ => {
            let number = |interest: &Interest| match interest {
                Interest::Name(name) => name.parse().ok().filter(|place: &u64| place.to_string() == *name),
                Interest::Places { .. } => None,
            };
            interests.iter().filter_map(number).filter(|place| (from..to).contains(place)).min()
        }
    }
}

/// Which child a step leads to.
fn find(node: &Ipld, segment: &Segment) -> Option<usize> {
    match node {
        Ipld::Map(entries) => entries.iter().position(|(key, _)| segment.is(key)),
        Ipld::List(items) => {
            segment.place().and_then(|place| usize::try_from(place).ok()).filter(|place| *place < items.len())
        }
        _ => None,
    }
}

/// What is in a block, and how many values. Bytes that nobody looks at are not copied.
fn decode(cid: &Cid, bytes: &[u8], allowed: usize, opaque: bool) -> Result<(Ipld, usize), CodecError> {
    match Codec::by_code(cid.codec()) {
        Some(Codec::Raw) if opaque => Ok((Ipld::Null, 1)),
        Some(Codec::Raw) => Ok((Ipld::Bytes(bytes.to_vec()), 1)),
        Some(Codec::DagCbor) => dag_cbor::decode_counted(bytes, allowed),
        Some(Codec::DagPb) => {
            let node = dag_pb::PbNode::decode(bytes)?;
            // A link is a map of three values.
            let values = 3 + 4 * node.links.len();
            if values > allowed {
                return Err(CodecError::DagPb { at: 0, what: "more links than are allowed" });
            }
            Ok((node.into_ipld(), values))
        }
        None => Err(CodecError::Unknown(cid.codec())),
    }
}
