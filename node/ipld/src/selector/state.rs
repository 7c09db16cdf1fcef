//! A selector at work: what is left of it at a node, and what of that is left at a child.
//!
//! A recursion keeps what is left of its sequence, [`State::Recursive::current`]. When a step ends at an edge the sequence takes the
//! place of the edge, as long as the limit allows; an edge among the members of a union is one of them. Edges that are reached without
//! a recursion around them, after the last round of one, lead nowhere.
//!
//! Go's walk is followed in two things that a specification would not need: a child that two members of a union name is explored
//! twice, each time with what all members say; and children are taken in the order of the names in the selector, not in the node.
//!
//! Source: the selector specification of ipld.io; go-ipld-prime's `traversal/selector`, whose order of visits this is.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Recursion, Selector};
use crate::Ipld;
use crate::path::Segment;

/// How many members a union may grow to. Each round of a recursion can multiply them.
pub(crate) const MAX_MEMBERS: usize = 1024;

/// What is left of a selector at a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    At(Arc<Selector>),
    /// Members that are no unions themselves.
    Union(Vec<State>),
    Recursive {
        recursion: Arc<Recursion>,
        current: Box<State>,
        depth: Option<u64>,
    },
}

/// More members than [`MAX_MEMBERS`].
#[derive(Debug)]
pub(crate) struct TooWide;

/// What a node is, as far as selectors care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Map,
    List,
    Other,
}

impl Kind {
    pub(crate) fn of(node: &Ipld) -> Self {
        match node {
            Ipld::Map(_) => Self::Map,
            Ipld::List(_) => Self::List,
            _ => Self::Other,
        }
    }
}

/// Children that a selector names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Name(String),
    /// The places from one to before another.
    Places {
        from: u64,
        to: u64,
    },
}

impl State {
    /// A selector at the node where it begins.
    pub(crate) fn new(selector: &Selector) -> Self {
        match selector {
            Selector::Recursive(recursion) => Self::Recursive {
                recursion: recursion.clone(),
                current: Box::new(Self::of(&recursion.sequence)),
                depth: recursion.depth,
            },
            Selector::Union(members) => {
                let members = members.iter().map(Self::of).collect();
                Self::union(members).unwrap_or(Self::Union(Vec::new()))
            }
            other => Self::At(Arc::new(other.clone())),
        }
    }

    /// The same without a copy of what is shared.
    fn of(selector: &Arc<Selector>) -> Self {
        match &**selector {
            Selector::Recursive(_) | Selector::Union(_) => Self::new(selector),
            _ => Self::At(selector.clone()),
        }
    }

    fn union(members: Vec<Self>) -> Option<Self> {
        let mut flat = Vec::new();
        for member in members {
            match member {
                Self::Union(inner) => flat.extend(inner),
                member => flat.push(member),
            }
        }
        match flat.len() {
            0 => None,
            1 => flat.pop(),
            _ => Some(Self::Union(flat)),
        }
    }

    /// How many parts it holds.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::At(_) => 1,
            Self::Union(members) => members.iter().map(Self::weight).sum(),
            Self::Recursive { current, .. } => 1 + current.weight(),
        }
    }

    /// Which children it names, in order; `None` for all there are.
    pub(crate) fn interests(&self) -> Option<Vec<Interest>> {
        match self {
            Self::At(selector) => match &**selector {
                Selector::All(_) => None,
                Selector::Fields(fields) => Some(fields.iter().map(|(name, _)| Interest::Name(name.clone())).collect()),
                Selector::Index { place, .. } => {
                    Some(vec![Interest::Places { from: *place, to: place.saturating_add(1) }])
                }
                Selector::Range { from, to, .. } => Some(vec![Interest::Places { from: *from, to: *to }]),
                _ => Some(Vec::new()),
            },
            Self::Union(members) => {
                let mut all = Vec::new();
                for member in members {
                    all.extend(member.interests()?);
                }
                Some(all)
            }
            Self::Recursive { current, .. } => current.interests(),
        }
    }

    /// What is left of it at a child of a node; `None` when the child is not explored.
    pub(crate) fn explore(&self, kind: Kind, name: &Segment, child: &Ipld) -> Result<Option<Self>, TooWide> {
        match self {
            Self::At(selector) => Ok(Self::explore_part(selector, kind, name)),
            Self::Union(members) => {
                let mut explored = Vec::new();
                for member in members {
                    explored.extend(member.explore(kind, name, child)?);
                    Self::check(&explored)?;
                }
                Ok(Self::union(explored))
            }
            Self::Recursive { recursion, current, depth } => {
                if let (Some(stop), Ipld::Link(cid)) = (&recursion.stop_at, child)
                    && **stop == *cid
                {
                    return Ok(None);
                }
                let Some(next) = current.explore(kind, name, child)? else { return Ok(None) };
                Self::round(recursion, next, *depth)
            }
        }
    }

    fn explore_part(selector: &Selector, kind: Kind, name: &Segment) -> Option<Self> {
        let is_in =
            |from: u64, to: u64| kind == Kind::List && name.place().is_some_and(|place| (from..to).contains(&place));
        match selector {
            Selector::All(next) => Some(Self::of(next)),
            Selector::Fields(fields) if kind != Kind::Other => {
                fields.iter().find(|(field, _)| name.is(field)).map(|(_, next)| Self::of(next))
            }
            Selector::Index { place, next } => is_in(*place, place.saturating_add(1)).then(|| Self::of(next)),
            Selector::Range { from, to, next } => is_in(*from, *to).then(|| Self::of(next)),
            _ => None,
        }
    }

    /// A step of a recursion that has come to `next`.
    fn round(recursion: &Arc<Recursion>, next: Self, depth: Option<u64>) -> Result<Option<Self>, TooWide> {
        let wrap = |current, depth| Self::Recursive { recursion: recursion.clone(), current: Box::new(current), depth };
        if !next.has_edge() {
            return Ok(Some(wrap(next, depth)));
        }
        match depth {
            Some(0 | 1) => Ok(next.with_edges(None)?),
            _ => {
                let next = next.with_edges(Some(&Self::of(&recursion.sequence)))?;
                Ok(next.map(|next| wrap(next, depth.map(|depth| depth - 1))))
            }
        }
    }

    fn is_edge(&self) -> bool {
        matches!(self, Self::At(selector) if matches!(**selector, Selector::Edge))
    }

    fn has_edge(&self) -> bool {
        match self {
            Self::Union(members) => members.iter().any(Self::is_edge),
            other => other.is_edge(),
        }
    }

    fn with_edges(self, replacement: Option<&Self>) -> Result<Option<Self>, TooWide> {
        match self {
            Self::Union(members) => {
                let mut replaced = Vec::new();
                for member in members {
                    let member = if member.is_edge() { replacement.cloned() } else { Some(member) };
                    match member {
                        Some(Self::Union(inner)) => replaced.extend(inner),
                        member => replaced.extend(member),
                    }
                    Self::check(&replaced)?;
                }
                Ok(Self::union(replaced))
            }
            edge if edge.is_edge() => Ok(replacement.cloned()),
            other => Ok(Some(other)),
        }
    }

    fn check(members: &[Self]) -> Result<(), TooWide> {
        if members.len() > MAX_MEMBERS { Err(TooWide) } else { Ok(()) }
    }

    /// What it matches of a node, if anything.
    pub(crate) fn matched<'a>(&self, node: &'a Ipld) -> Option<Cow<'a, Ipld>> {
        match self {
            Self::At(selector) => match (&**selector, node) {
                (Selector::Match(None), node) => Some(Cow::Borrowed(node)),
                (Selector::Match(Some(subset)), Ipld::Bytes(bytes)) => {
                    Some(Cow::Owned(Ipld::Bytes(bytes[subset.within(bytes.len())?].to_vec())))
                }
                (Selector::Match(Some(subset)), Ipld::String(text)) => {
                    let bytes = &text.as_bytes()[subset.within(text.len())?];
                    // What is cut within a letter is no text any more.
                    let cut = String::from_utf8(bytes.to_vec()).map(Ipld::String);
                    Some(Cow::Owned(cut.unwrap_or_else(|error| Ipld::Bytes(error.into_bytes()))))
                }
                _ => None,
            },
            Self::Union(members) => members.iter().find_map(|member| member.matched(node)),
            Self::Recursive { current, .. } => current.matched(node),
        }
    }

    /// The rules by which it would have the node interpreted, if any.
    pub(crate) fn interpretation(&self) -> Option<&str> {
        match self {
            Self::At(selector) => match &**selector {
                Selector::InterpretAs { name, .. } => Some(name),
                _ => None,
            },
            Self::Union(members) => members.iter().find_map(Self::interpretation),
            Self::Recursive { current, .. } => current.interpretation(),
        }
    }
}
