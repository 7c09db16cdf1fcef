//! Selectors: which part of a DAG is meant, written in the data model itself.
//!
//! A selector is a tree of parts. A map with one entry is a part, its key says which:
//!
//! | Key | Part | Content |
//! |---|---|---|
//! | `.` | match | `{}`, or `{"subset": {"[": from, "]": to}}` for some of the bytes of a text or of bytes |
//! | `a` | all children | `{">": next}` |
//! | `f` | fields | `{"f>": {name: next, …}}`, explored in this order |
//! | `i` | index | `{"i": place, ">": next}` |
//! | `r` | range | `{"^": from, "$": to, ">": next}` |
//! | `R` | recursive | `{"l": {"none": {}} or {"depth": n}, ":>": sequence, "!": {"/": link}?}` |
//! | `@` | edge | `{}`: here the sequence of the nearest recursion begins again |
//! | `\|` | union | `[next, …]` |
//! | `~` | interpret as | `{"as": name, ">": next}` |
//!
//! Keys beside these are left out when read: a condition or a label of a match is known to nobody's walk. What is written has the
//! keys of each part in the order of dag-cbor, fields in their own.
//!
//! Source: the selector specification of ipld.io; `spec/network.md` 11.5, 11.6.

use std::sync::Arc;

use crate::{Cid, Ipld};

mod parse;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use state::{Interest, Kind, State, TooWide};

/// How many parts may be in each other. In a message that is about as deep as dag-cbor goes.
pub const MAX_DEPTH: usize = 40;
/// How many parts a selector may have.
pub const MAX_PARTS: usize = 1024;
/// How deep a recursion goes that a stock responder of graphsync accepts of anybody.
pub const STOCK_DEPTH: u64 = 100;

/// A part of a selector, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Selector {
    /// The node itself, or some of its bytes.
    Match(Option<Subset>),
    /// All children.
    All(Arc<Selector>),
    /// Children by name, in this order; of a list, those of which the name is the place.
    Fields(Vec<(String, Arc<Selector>)>),
    /// One item of a list.
    Index { place: u64, next: Arc<Selector> },
    /// The items of a list from a place to before another.
    Range { from: u64, to: u64, next: Arc<Selector> },
    /// A sequence that begins again at each of its edges.
    Recursive(Arc<Recursion>),
    /// Where the sequence begins again.
    Edge,
    /// All of them at once.
    Union(Vec<Arc<Selector>>),
    /// What the node stands for by the rules of a data structure.
    InterpretAs { name: String, next: Arc<Selector> },
}

/// A recursion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recursion {
    /// How often its sequence is gone through; `None` for as often as there is something.
    pub depth: Option<u64>,
    /// What is repeated.
    pub sequence: Arc<Selector>,
    /// A link that is not followed.
    pub stop_at: Option<Box<Cid>>,
}

/// Some of the bytes of a text or of bytes: from a place to before another, negative ones counted from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Subset {
    pub from: i64,
    pub to: i64,
}

/// Why a value is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SelectorError {
    #[error("a part of a selector is a map with one entry")]
    NoPart,
    #[error("a selector has no part {0:?}")]
    UnknownPart(String),
    #[error("{field:?} of a selector is {problem}")]
    Field { field: &'static str, problem: &'static str },
    #[error("a field of a selector is named twice")]
    FieldTwice,
    #[error("a recursion has no edge")]
    NoEdge,
    #[error("an edge is in no recursion")]
    LooseEdge,
    #[error("a selector has parts more than {MAX_DEPTH} deep in each other")]
    TooDeep,
    #[error("a selector has more than {MAX_PARTS} parts")]
    TooManyParts,
}

impl Selector {
    /// Everything that can be reached, as deals, retrievals and pieces have it.
    pub fn everything() -> Self {
        Self::repeated(None)
    }

    /// Everything that can be reached in some steps. A step goes into a map, a list or, at the same time, behind a link.
    pub fn everything_to(depth: u64) -> Self {
        Self::repeated(Some(depth))
    }

    /// The root's block alone.
    pub fn one_block() -> Self {
        Self::Match(None)
    }

    /// What is selected at the end of a path of names, and the blocks on the way there.
    ///
    /// # Errors
    /// [`SelectorError::TooDeep`].
    pub fn at_path<'a>(
        names: impl IntoIterator<Item = &'a str, IntoIter: DoubleEndedIterator>,
        end: Self,
    ) -> Result<Self, SelectorError> {
        let step = |next, name: &str| Self::Fields(vec![(name.to_owned(), Arc::new(next))]);
        let (mut selector, mut depth) = (end, 0);
        for name in names.into_iter().rev() {
            depth += 1;
            if depth > MAX_DEPTH {
                return Err(SelectorError::TooDeep);
            }
            selector = step(selector, name);
        }
        if selector.height() > MAX_DEPTH { Err(SelectorError::TooDeep) } else { Ok(selector) }
    }

    fn repeated(depth: Option<u64>) -> Self {
        let sequence = Arc::new(Self::All(Arc::new(Self::Edge)));
        Self::Recursive(Arc::new(Recursion { depth, sequence, stop_at: None }))
    }

    /// The parts right behind this one.
    fn followers(&self) -> Vec<&Self> {
        match self {
            Self::Match(_) | Self::Edge => Vec::new(),
            Self::All(next) | Self::Index { next, .. } | Self::Range { next, .. } | Self::InterpretAs { next, .. } => {
                vec![next]
            }
            Self::Fields(fields) => fields.iter().map(|(_, next)| &**next).collect(),
            Self::Recursive(recursion) => vec![&recursion.sequence],
            Self::Union(members) => members.iter().map(|member| &**member).collect(),
        }
    }

    /// How many parts are in each other.
    fn height(&self) -> usize {
        1 + self.followers().into_iter().map(Self::height).max().unwrap_or(0)
    }

    /// Whether each of its recursions has a limit, and none a higher one.
    ///
    /// A responder of go-graphsync asks this with [`STOCK_DEPTH`] of each request that nothing else vouches for. Recursions in each other
    /// are looked at one by one there, and here.
    pub fn is_limited_to(&self, depth: u64) -> bool {
        let own = match self {
            Self::Recursive(recursion) => recursion.depth.is_some_and(|limit| limit <= depth),
            _ => true,
        };
        own && self.followers().into_iter().all(|part| part.is_limited_to(depth))
    }

    /// The highest limit of its recursions: zero without any, `None` when one has no limit.
    pub fn max_depth(&self) -> Option<u64> {
        let own = match self {
            Self::Recursive(recursion) => recursion.depth?,
            _ => 0,
        };
        self.followers().into_iter().try_fold(own, |depth, part| Some(depth.max(part.max_depth()?)))
    }

    /// Itself in the data model.
    pub fn to_ipld(&self) -> Ipld {
        let entry = |key: &str, value| (key.to_owned(), value);
        let map = Ipld::Map;
        let (key, body) = match self {
            Self::Match(None) => (".", map(Vec::new())),
            Self::Match(Some(Subset { from, to })) => {
                let subset = vec![entry("[", Ipld::Integer((*from).into())), entry("]", Ipld::Integer((*to).into()))];
                (".", map(vec![entry("subset", map(subset))]))
            }
            Self::All(next) => ("a", map(vec![entry(">", next.to_ipld())])),
            Self::Fields(fields) => {
                let fields = fields.iter().map(|(name, next)| entry(name, next.to_ipld())).collect();
                ("f", map(vec![entry("f>", map(fields))]))
            }
            Self::Index { place, next } => {
                ("i", map(vec![entry(">", next.to_ipld()), entry("i", Ipld::Integer((*place).into()))]))
            }
            Self::Range { from, to, next } => {
                let (from, to) = (Ipld::Integer((*from).into()), Ipld::Integer((*to).into()));
                ("r", map(vec![entry("$", to), entry(">", next.to_ipld()), entry("^", from)]))
            }
            Self::Recursive(recursion) => ("R", recursion.to_ipld()),
            Self::Edge => ("@", map(Vec::new())),
            Self::Union(members) => ("|", Ipld::List(members.iter().map(|member| member.to_ipld()).collect())),
            Self::InterpretAs { name, next } => {
                ("~", map(vec![entry(">", next.to_ipld()), entry("as", Ipld::String(name.clone()))]))
            }
        };
        map(vec![entry(key, body)])
    }
}

impl Recursion {
    fn to_ipld(&self) -> Ipld {
        let one = |key: &str, value| Ipld::Map(vec![(key.to_owned(), value)]);
        let mut entries = Vec::new();
        if let Some(link) = &self.stop_at {
            entries.push(("!".to_owned(), one("/", Ipld::Link(**link))));
        }
        let limit = match self.depth {
            None => one("none", Ipld::Map(Vec::new())),
            Some(depth) => one("depth", Ipld::Integer(depth.into())),
        };
        entries.push(("l".to_owned(), limit));
        entries.push((":>".to_owned(), self.sequence.to_ipld()));
        Ipld::Map(entries)
    }
}

impl Subset {
    /// Where it is in some bytes, if it is there at all. An end beyond them is their end, a beginning before them their beginning.
    pub fn within(self, length: usize) -> Option<std::ops::Range<usize>> {
        let length = i64::try_from(length).ok()?;
        let to = if self.to < 0 { length.checked_add(self.to)? } else { self.to.min(length) };
        let from = if self.from < 0 { length.saturating_add(self.from).max(0) } else { self.from };
        let place = |number: i64| usize::try_from(number).ok();
        if from > to || from >= length { None } else { Some(place(from)?..place(to)?) }
    }
}
