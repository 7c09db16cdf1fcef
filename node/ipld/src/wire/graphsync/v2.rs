//! Version 2, in dag-cbor.
//!
//! ```text
//! {"gs2": {"req": [request], "rsp": [response], "blk": [[prefix, data]]}}        each list may be left out
//! request  = {"id": 16 bytes, "type": "n" new, "c" cancel, "u" update, "pri": int?, "root": link?, "sel": any?, "ext": {name: any}?}
//! response = {"reqid": 16 bytes, "stat": int, "meta": [[link, action]]?, "ext": {name: any}?}
//! action   = "p" present, "d" duplicate, "m" missing, "s" skipped
//! ```
//! Keys are written in the order of the standard and read in any. No priority is one of zero.
//!
//! Source: `spec/network.md` 11.2; go-graphsync's `message/ipldbind/schema.ipldsch`.

use std::mem;

use super::{
    Extensions, LinkAction, MAX_EXTENSIONS, Message, Request, RequestId, RequestKind, Response, Status, Version,
};
use crate::block::Block;
use crate::codec::dag_cbor;
use crate::wire::{MAX_ITEMS, WireError, block, push, wrong};
use crate::{Cid, Ipld, hash};

/// The most values in a message, 200 bytes each. A block takes three, and so does a link in the metadata.
const MAX_VALUES: usize = 1 << 18;

/// Reads a message.
///
/// # Errors
/// [`WireError`].
pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    let mut root = Entries::of(dag_cbor::decode_within(bytes, MAX_VALUES)?, "a message")?;
    let mut lists = Entries::of(root.need("gs2", "\"gs2\"")?, "\"gs2\"")?;
    let mut message = Message::default();
    for request in lists.list("req")? {
        push(&mut message.requests, read_request(request)?, "requests")?;
    }
    for response in lists.list("rsp")? {
        push(&mut message.responses, read_response(response)?, "responses")?;
    }
    for block in lists.list("blk")? {
        push(&mut message.blocks, read_block(&block)?, "blocks")?;
    }
    Ok(message)
}

/// The entries of a map, to be taken out.
struct Entries(Vec<(String, Ipld)>);

impl Entries {
    fn of(value: Ipld, what: &'static str) -> Result<Self, WireError> {
        match value {
            Ipld::Map(entries) => Ok(Self(entries)),
            _ => wrong(what, "no map"),
        }
    }

    fn take(&mut self, key: &str) -> Option<Ipld> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| mem::replace(value, Ipld::Null))
    }

    fn need(&mut self, key: &str, what: &'static str) -> Result<Ipld, WireError> {
        self.take(key).ok_or(WireError::Missing(what))
    }

    fn list(&mut self, key: &str) -> Result<Vec<Ipld>, WireError> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Ipld::List(items)) => Ok(items),
            Some(_) => wrong("a list", "none"),
        }
    }

    fn extensions(&mut self) -> Result<Extensions, WireError> {
        match self.take("ext") {
            None => Ok(Vec::new()),
            Some(Ipld::Map(entries)) if entries.len() > MAX_EXTENSIONS => Err(WireError::TooMany("extensions")),
            Some(Ipld::Map(entries)) => Ok(entries),
            Some(_) => wrong("the extensions", "no map"),
        }
    }
}

fn read_id(value: Ipld) -> Result<RequestId, WireError> {
    match value {
        Ipld::Bytes(bytes) => match <[u8; 16]>::try_from(bytes) {
            Ok(id) => Ok(RequestId::Uuid(id)),
            Err(_) => wrong("the id of a request", "not of 16 bytes"),
        },
        _ => wrong("the id of a request", "no bytes"),
    }
}

fn read_request(value: Ipld) -> Result<Request, WireError> {
    let mut entries = Entries::of(value, "a request")?;
    let id = read_id(entries.need("id", "the id of a request")?)?;
    let kind = match entries.need("type", "the type of a request")? {
        Ipld::String(kind) => kind,
        _ => return wrong("the type of a request", "no text"),
    };
    let kind = match kind.as_str() {
        "n" => read_new(&mut entries)?,
        "u" => RequestKind::Update { extensions: entries.extensions()? },
        "c" => RequestKind::Cancel,
        _ => return wrong("the type of a request", "not known"),
    };
    Ok(Request { id, kind })
}

fn read_new(entries: &mut Entries) -> Result<RequestKind, WireError> {
    let root = match entries.need("root", "the root of a request")? {
        Ipld::Link(cid) => Box::new(cid),
        _ => return wrong("the root of a request", "no link"),
    };
    let priority = match entries.take("pri") {
        None => 0,
        Some(Ipld::Integer(number)) => match i32::try_from(number) {
            Ok(priority) => priority,
            Err(_) => return wrong("the priority of a request", "no number of 32 bits"),
        },
        Some(_) => return wrong("the priority of a request", "no number"),
    };
    let selector = entries.need("sel", "the selector of a request")?;
    Ok(RequestKind::New { root, selector, priority, extensions: entries.extensions()? })
}

fn read_response(value: Ipld) -> Result<Response, WireError> {
    let mut entries = Entries::of(value, "a response")?;
    let id = read_id(entries.need("reqid", "the id of a response")?)?;
    let status = match entries.need("stat", "the status of a response")? {
        Ipld::Integer(code) => Status::by_code(code)?,
        _ => return wrong("a status", "no number"),
    };
    let mut links = Vec::new();
    for link in entries.list("meta")? {
        push(&mut links, read_link(&link)?, "links")?;
    }
    Ok(Response { id, status, links, extensions: entries.extensions()? })
}

fn read_link(value: &Ipld) -> Result<(Cid, LinkAction), WireError> {
    let Ipld::List(items) = value else { return wrong("the metadata of a response", "no list of lists") };
    let [Ipld::Link(cid), Ipld::String(action)] = &items[..] else {
        return wrong("the metadata of a response", "no list of links and actions");
    };
    match LinkAction::ALL.into_iter().find(|known| known.letter() == action) {
        Some(action) => Ok((*cid, action)),
        None => wrong("the action of a link", "not known"),
    }
}

fn read_block(value: &Ipld) -> Result<Block, WireError> {
    let Ipld::List(items) = value else { return wrong("a block", "no list") };
    match &items[..] {
        [Ipld::Bytes(prefix), Ipld::Bytes(data)] => block(prefix, data),
        _ => wrong("a block", "no prefix and data"),
    }
}

/// The bytes of a message.
///
/// # Errors
/// [`WireError::Unsupported`] for ids of version 1.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    let mut lists = Vec::new();
    if !message.blocks.is_empty() {
        let blocks = message
            .blocks
            .iter()
            .map(|block| Ipld::List(vec![Ipld::Bytes(hash::prefix(block.cid())), Ipld::Bytes(block.bytes().to_vec())]));
        lists.push(entry("blk", Ipld::List(blocks.collect())));
    }
    if !message.requests.is_empty() {
        let requests: Result<_, _> = message.requests.iter().map(request).collect();
        lists.push(entry("req", Ipld::List(requests?)));
    }
    if !message.responses.is_empty() {
        let responses: Result<_, _> = message.responses.iter().map(response).collect();
        lists.push(entry("rsp", Ipld::List(responses?)));
    }
    Ok(dag_cbor::encode(&Ipld::Map(vec![entry("gs2", Ipld::Map(lists))])))
}

fn entry(key: &str, value: Ipld) -> (String, Ipld) {
    (key.to_owned(), value)
}

fn id(id: RequestId) -> Result<Ipld, WireError> {
    match id {
        RequestId::Uuid(bytes) => Ok(Ipld::Bytes(bytes.to_vec())),
        RequestId::Number(_) => {
            Err(WireError::Unsupported { protocol: Version::V2.protocol(), what: "numbers for ids" })
        }
    }
}

/// The values of extensions stay as they are: what is signed may not be in the order of the standard.
fn extensions(extensions: &Extensions) -> Option<(String, Ipld)> {
    let mut entries = extensions.clone();
    entries.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
    (!entries.is_empty()).then(|| entry("ext", Ipld::Map(entries)))
}

fn request(request: &Request) -> Result<Ipld, WireError> {
    let kind = |kind: &str| entry("type", Ipld::String(kind.to_owned()));
    let mut entries = vec![entry("id", id(request.id)?)];
    match &request.kind {
        RequestKind::New { root, selector, priority, extensions: others } => {
            entries.extend(extensions(others));
            entries.push(entry("pri", Ipld::Integer((*priority).into())));
            entries.push(entry("sel", selector.clone()));
            entries.push(entry("root", Ipld::Link(**root)));
            entries.push(kind("n"));
        }
        RequestKind::Update { extensions: others } => {
            entries.extend(extensions(others));
            entries.push(kind("u"));
        }
        RequestKind::Cancel => entries.push(kind("c")),
    }
    Ok(Ipld::Map(entries))
}

fn response(response: &Response) -> Result<Ipld, WireError> {
    let mut entries = Vec::new();
    entries.extend(extensions(&response.extensions));
    if !response.links.is_empty() {
        if response.links.len() > MAX_ITEMS {
            return Err(WireError::TooMany("links"));
        }
        let links = response
            .links
            .iter()
            .map(|(cid, action)| Ipld::List(vec![Ipld::Link(*cid), Ipld::String(action.letter().to_owned())]));
        entries.push(entry("meta", Ipld::List(links.collect())));
    }
    entries.push(entry("stat", Ipld::Integer(response.status.code().into())));
    entries.push(entry("reqid", id(response.id)?));
    Ok(Ipld::Map(entries))
}
