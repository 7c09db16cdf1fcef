//! Reading a selector off the data model.

use std::collections::HashSet;
use std::sync::Arc;

use super::{MAX_DEPTH, MAX_PARTS, Recursion, Selector, SelectorError, Subset};
use crate::codec::dag_cbor;
use crate::{Cid, Ipld};

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// [`SelectorError`].
    pub fn parse(value: &Ipld) -> Result<Self, SelectorError> {
        Parser { parts: 0, edges: Vec::new() }.part(value, 1)
    }

    /// Its dag-cbor.
    pub fn to_bytes(&self) -> Vec<u8> {
        dag_cbor::encode(&self.to_ipld())
    }
}

struct Parser {
    /// Those read so far.
    parts: usize,
    /// Of each recursion around, how many edges it has so far.
    edges: Vec<usize>,
}

impl Parser {
    fn part(&mut self, value: &Ipld, depth: usize) -> Result<Selector, SelectorError> {
        let Ipld::Map(entries) = value else { return Err(SelectorError::NoPart) };
        let [(key, body)] = &entries[..] else { return Err(SelectorError::NoPart) };
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(SelectorError::TooManyParts);
        }
        if depth > MAX_DEPTH {
            return Err(SelectorError::TooDeep);
        }
        match (key.as_str(), body) {
            ("|", Ipld::List(members)) => {
                members.iter().map(|member| self.follower(member, depth)).collect::<Result<_, _>>().map(Selector::Union)
            }
            ("|", _) => Err(SelectorError::Field { field: "|", problem: "no list" }),
            (key, Ipld::Map(_)) => self.body(key, body, depth),
            _ => Err(SelectorError::NoPart),
        }
    }

    fn body(&mut self, key: &str, body: &Ipld, depth: usize) -> Result<Selector, SelectorError> {
        match key {
            "." => body.get("subset").map(subset).transpose().map(Selector::Match),
            "a" => Ok(Selector::All(self.next(body, depth)?)),
            "f" => self.fields(body, depth),
            "i" => Ok(Selector::Index { place: place(body, "i")?, next: self.next(body, depth)? }),
            "r" => {
                let (from, to) = (place(body, "^")?, place(body, "$")?);
                if from >= to {
                    return Err(SelectorError::Field { field: "$", problem: "not above \"^\"" });
                }
                Ok(Selector::Range { from, to, next: self.next(body, depth)? })
            }
            "R" => self.recursion(body, depth),
            "@" => {
                *self.edges.last_mut().ok_or(SelectorError::LooseEdge)? += 1;
                Ok(Selector::Edge)
            }
            "~" => {
                let Ipld::String(name) = field(body, "as")? else { return wrong("as", "no text") };
                Ok(Selector::InterpretAs { name: name.clone(), next: self.next(body, depth)? })
            }
            _ => Err(SelectorError::UnknownPart(key.chars().take(16).collect())),
        }
    }

    fn follower(&mut self, value: &Ipld, depth: usize) -> Result<Arc<Selector>, SelectorError> {
        self.part(value, depth + 1).map(Arc::new)
    }

    fn next(&mut self, body: &Ipld, depth: usize) -> Result<Arc<Selector>, SelectorError> {
        self.follower(field(body, ">")?, depth)
    }

    fn fields(&mut self, body: &Ipld, depth: usize) -> Result<Selector, SelectorError> {
        let Ipld::Map(entries) = field(body, "f>")? else { return wrong("f>", "no map") };
        let (mut fields, mut names) = (Vec::new(), HashSet::new());
        for (name, next) in entries {
            if !names.insert(name) {
                return Err(SelectorError::FieldTwice);
            }
            fields.push((name.clone(), self.follower(next, depth)?));
        }
        Ok(Selector::Fields(fields))
    }

    fn recursion(&mut self, body: &Ipld, depth: usize) -> Result<Selector, SelectorError> {
        let limit = limit(field(body, "l")?)?;
        let stop_at = body.get("!").map(condition).transpose()?;
        self.edges.push(0);
        let sequence = self.follower(field(body, ":>")?, depth)?;
        if self.edges.pop() == Some(0) {
            return Err(SelectorError::NoEdge);
        }
        Ok(Selector::Recursive(Arc::new(Recursion { depth: limit, sequence, stop_at })))
    }
}

fn wrong<T>(field: &'static str, problem: &'static str) -> Result<T, SelectorError> {
    Err(SelectorError::Field { field, problem })
}

fn field<'a>(body: &'a Ipld, name: &'static str) -> Result<&'a Ipld, SelectorError> {
    body.get(name).ok_or(SelectorError::Field { field: name, problem: "not there" })
}

fn number(body: &Ipld, name: &'static str) -> Result<i64, SelectorError> {
    let Ipld::Integer(number) = field(body, name)? else { return wrong(name, "no whole number") };
    i64::try_from(*number).or_else(|_| wrong(name, "no number of 64 bits"))
}

fn place(body: &Ipld, name: &'static str) -> Result<u64, SelectorError> {
    u64::try_from(number(body, name)?).or_else(|_| wrong(name, "below zero"))
}

fn subset(value: &Ipld) -> Result<Subset, SelectorError> {
    let Ipld::Map(_) = value else { return wrong("subset", "no map") };
    let subset = Subset { from: number(value, "[")?, to: number(value, "]")? };
    if subset.to >= 0 && subset.from > subset.to { wrong("]", "below \"[\"") } else { Ok(subset) }
}

fn limit(value: &Ipld) -> Result<Option<u64>, SelectorError> {
    let Ipld::Map(entries) = value else { return wrong("l", "no map") };
    match &entries[..] {
        [(key, _)] if key == "none" => Ok(None),
        [(key, _)] if key == "depth" => place(value, "depth").map(Some),
        _ => wrong("l", "neither \"none\" nor \"depth\""),
    }
}

fn condition(value: &Ipld) -> Result<Box<Cid>, SelectorError> {
    match value {
        Ipld::Map(entries) => match &entries[..] {
            [(key, Ipld::Link(cid))] if key == "/" => Ok(Box::new(*cid)),
            _ => wrong("!", "no link to stop at"),
        },
        _ => wrong("!", "no map"),
    }
}
