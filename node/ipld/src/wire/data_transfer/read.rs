//! From a value of the data model.

use std::mem;

use super::write::{MESSAGE, REQUEST, RESPONSE};
use super::{ChannelId, MAX_NAME, Message, Opening, Request, RequestKind, Response, ResponseKind, Typed, Verdict};
use crate::Ipld;
use crate::wire::{WireError, wrong};

impl Message {
    /// Reads a message of any version.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn from_ipld(value: Ipld) -> Result<Self, WireError> {
        let is_tuple = matches!(value, Ipld::List(_));
        let mut fields = Fields::of(value, &MESSAGE, "a data transfer message")?;
        let (name, names) = match (fields.flag("IsRq")?, is_tuple) {
            (true, true) => ("Request", &REQUEST[..REQUEST.len() - 1]),
            (true, false) => ("Request", &REQUEST[..]),
            (false, _) => ("Response", &RESPONSE[..]),
        };
        let body = match fields.take(name) {
            Ipld::Null => return Err(WireError::Missing(name)),
            body => Fields::of(body, names, name)?,
        };
        if name == "Request" {
            Ok(Self::Request(read_request(body, is_tuple)?))
        } else {
            Ok(Self::Response(read_response(body)?))
        }
    }
}

/// What is in a map, or in the list that stands for one.
struct Fields(Vec<(String, Ipld)>);

impl Fields {
    fn of(value: Ipld, names: &[&str], what: &'static str) -> Result<Self, WireError> {
        match value {
            Ipld::Map(entries) => Ok(Self(entries)),
            Ipld::List(items) if items.len() == names.len() => {
                Ok(Self(names.iter().map(|name| (*name).to_owned()).zip(items).collect()))
            }
            Ipld::List(_) => wrong(what, "a list of another length"),
            _ => wrong(what, "neither map nor list"),
        }
    }

    /// The value of a key, null when there is none.
    fn take(&mut self, key: &str) -> Ipld {
        let entry = self.0.iter_mut().find(|(name, _)| name == key);
        entry.map_or(Ipld::Null, |(_, value)| mem::replace(value, Ipld::Null))
    }

    fn flag(&mut self, key: &'static str) -> Result<bool, WireError> {
        match self.take(key) {
            Ipld::Bool(flag) => Ok(flag),
            Ipld::Null => Ok(false),
            _ => wrong(key, "neither true nor false"),
        }
    }

    fn number(&mut self, key: &'static str) -> Result<u64, WireError> {
        match self.take(key) {
            Ipld::Null => Err(WireError::Missing(key)),
            value => read_number(&value, key),
        }
    }

    /// A value and the name of its type. Without a name there is none, whatever the value.
    fn typed(&mut self, key: &'static str) -> Result<Option<Typed>, WireError> {
        let value = self.take(key);
        match self.take("VTyp") {
            Ipld::String(name) if name.len() > MAX_NAME => wrong("VTyp", "too long"),
            Ipld::String(name) if !name.is_empty() => Ok(Some(Typed { name, value })),
            Ipld::String(_) | Ipld::Null => Ok(None),
            _ => wrong("VTyp", "no text"),
        }
    }
}

fn read_number(value: &Ipld, what: &'static str) -> Result<u64, WireError> {
    match value {
        Ipld::Integer(number) => match u64::try_from(*number) {
            Ok(number) => Ok(number),
            Err(_) => wrong(what, "no number of 64 bits"),
        },
        _ => wrong(what, "no number"),
    }
}

fn read_request(mut fields: Fields, is_tuple: bool) -> Result<Request, WireError> {
    let id = fields.number("XferID")?;
    let kind = match fields.number("Type")? {
        0 => RequestKind::New(Box::new(read_opening(&mut fields)?)),
        1 => RequestKind::Update { is_paused: fields.flag("Paus")? },
        2 => RequestKind::Cancel,
        4 => match fields.typed("Vouch")? {
            Some(voucher) => RequestKind::Voucher(voucher),
            None => return Err(WireError::Missing("Vouch")),
        },
        6 if !is_tuple => RequestKind::Restart(Box::new(read_opening(&mut fields)?)),
        7 if !is_tuple => RequestKind::PleaseRestart(read_channel(&fields.take("RestartChannel"))?),
        _ => return wrong("the type of a request", "not known"),
    };
    Ok(Request { id, kind })
}

fn read_opening(fields: &mut Fields) -> Result<Opening, WireError> {
    let root = match fields.take("BCid") {
        Ipld::Link(root) => root,
        Ipld::Null => return Err(WireError::Missing("BCid")),
        _ => return wrong("BCid", "no link"),
    };
    let selector = match fields.take("Stor") {
        Ipld::Null => return Err(WireError::Missing("Stor")),
        selector => selector,
    };
    Ok(Opening { root, selector, is_pull: fields.flag("Pull")?, voucher: fields.typed("Vouch")? })
}

fn read_channel(value: &Ipld) -> Result<ChannelId, WireError> {
    let Ipld::List(items) = value else { return wrong("RestartChannel", "no list") };
    let [initiator, responder, id] = &items[..] else { return wrong("RestartChannel", "not of three items") };
    let id = read_number(id, "RestartChannel")?;
    Ok(ChannelId { initiator: read_peer(initiator)?, responder: read_peer(responder)?, id })
}

fn read_peer(value: &Ipld) -> Result<Vec<u8>, WireError> {
    let bytes = match value {
        Ipld::String(text) => text.as_bytes(),
        Ipld::Bytes(bytes) => bytes,
        _ => return wrong("a peer id", "no text"),
    };
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return wrong("a peer id", "empty or too long");
    }
    Ok(bytes.to_vec())
}

fn read_response(mut fields: Fields) -> Result<Response, WireError> {
    let id = fields.number("XferID")?;
    let kind = match fields.number("Type")? {
        0 => ResponseKind::New(read_verdict(&mut fields)?),
        1 => ResponseKind::Update { is_paused: fields.flag("Paus")? },
        2 => ResponseKind::Cancel,
        3 => ResponseKind::Complete(read_verdict(&mut fields)?),
        5 => ResponseKind::Voucher(read_verdict(&mut fields)?),
        6 => ResponseKind::Restart(read_verdict(&mut fields)?),
        _ => return wrong("the type of a response", "not known"),
    };
    Ok(Response { id, kind })
}

fn read_verdict(fields: &mut Fields) -> Result<Verdict, WireError> {
    let (is_accepted, is_paused) = (fields.flag("Acpt")?, fields.flag("Paus")?);
    Ok(Verdict { is_accepted, is_paused, result: fields.typed("VRes")? })
}
