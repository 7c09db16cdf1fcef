//! Version 1, in protobuf.
//!
//! ```text
//! Message   = { 1: complete request list bool, 2: repeated Request, 3: repeated Response, 4: repeated Block }
//! Request   = { 1: id int32, 2: root CID, 3: selector dag-cbor, 4: repeated Extension, 5: priority int32, 6: cancel bool, 7: update bool }
//! Response  = { 1: id int32, 2: status int32, 3: repeated Extension }
//! Extension = { 1: name, 2: dag-cbor }        Block = { 1: prefix, 2: data }
//! ```
//! What became of links is in extension `graphsync/response-metadata`: a list of `{"link": CID, "blockPresent": bool}`.
//!
//! Source: `spec/network.md` 11.1; go-graphsync's `message/v1`.

use super::{
    Extensions, LinkAction, MAX_EXTENSIONS, Message, Request, RequestId, RequestKind, Response, Status, Version,
};
use crate::codec::dag_cbor;
use crate::hash;
use crate::protobuf::{Fields, write_bool, write_bytes, write_int32};
use crate::wire::{MAX_ITEMS, WireError, push, read_block, write_block, wrong};
use crate::{Cid, Ipld};

/// The extension of what became of links.
pub const METADATA: &str = "graphsync/response-metadata";

/// The most values in a selector or an extension, 200 bytes each. A link takes three in the metadata.
const MAX_VALUES: usize = 1 << 18;

/// Reads a message.
///
/// # Errors
/// [`WireError`].
pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    let mut message = Message::default();
    // All extensions of a message together.
    let mut values = MAX_VALUES;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            2 => push(&mut message.requests, read_request(field.bytes()?, &mut values)?, "requests")?,
            3 => push(&mut message.responses, read_response(field.bytes()?, &mut values)?, "responses")?,
            4 => push(&mut message.blocks, read_block(field.bytes()?)?, "blocks")?,
            // Whether the list of requests is complete means nothing any more.
            _ => {}
        }
    }
    Ok(message)
}

fn read_request(bytes: &[u8], values: &mut usize) -> Result<Request, WireError> {
    let (mut id, mut root, mut selector, mut priority) = (0, None, None, 0);
    let (mut cancel, mut update, mut extensions) = (false, false, Extensions::new());
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => id = field.int32()?,
            2 => root = Some(field.bytes()?),
            3 => selector = Some(field.bytes()?),
            4 => read_extension(field.bytes()?, values, &mut extensions)?,
            5 => priority = field.int32()?,
            6 => cancel = field.bool()?,
            7 => update = field.bool()?,
            _ => {}
        }
    }
    let kind = match (cancel, update) {
        (true, _) => RequestKind::Cancel,
        (false, _) if super::extension(&extensions, METADATA).is_some() => {
            return wrong("a request", "said to have come to links");
        }
        (false, true) => RequestKind::Update { extensions },
        (false, false) => {
            let root = hash::parse(root.ok_or(WireError::Missing("the root of a request"))?);
            let root = root.ok_or(WireError::Wrong { what: "the root of a request", problem: "no CID" })?;
            let selector = selector.ok_or(WireError::Missing("the selector of a request"))?;
            RequestKind::New { root: Box::new(root), selector: read_value(selector, values)?, priority, extensions }
        }
    };
    Ok(Request { id: RequestId::Number(id), kind })
}

fn read_response(bytes: &[u8], values: &mut usize) -> Result<Response, WireError> {
    let (mut id, mut status, mut extensions) = (0, 0, Extensions::new());
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => id = field.int32()?,
            2 => status = field.int32()?,
            3 => read_extension(field.bytes()?, values, &mut extensions)?,
            _ => {}
        }
    }
    let mut links = Vec::new();
    if let Some(place) = extensions.iter().position(|(name, _)| name == METADATA) {
        links = read_links(extensions.remove(place).1)?;
    }
    Ok(Response { id: RequestId::Number(id), status: Status::by_code(status.into())?, links, extensions })
}

fn read_links(metadata: Ipld) -> Result<Vec<(Cid, LinkAction)>, WireError> {
    let items = match metadata {
        Ipld::List(items) => items,
        // No links are sometimes no bytes.
        Ipld::Null => Vec::new(),
        _ => return wrong("the metadata of a response", "no list"),
    };
    let mut links = Vec::new();
    for item in items {
        let link = match (item.get("link"), item.get("blockPresent")) {
            (Some(Ipld::Link(cid)), Some(Ipld::Bool(true))) => (*cid, LinkAction::Present),
            (Some(Ipld::Link(cid)), Some(Ipld::Bool(false))) => (*cid, LinkAction::Missing),
            _ => return wrong("the metadata of a response", "no list of links"),
        };
        push(&mut links, link, "links")?;
    }
    Ok(links)
}

fn read_extension(bytes: &[u8], values: &mut usize, extensions: &mut Extensions) -> Result<(), WireError> {
    let (mut name, mut value) = ("", &[][..]);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => name = field.text()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    let value = if value.is_empty() { Ipld::Null } else { read_value(value, values)? };
    if super::extension(extensions, name).is_some() {
        return wrong("an extension", "there twice");
    }
    if extensions.len() >= MAX_EXTENSIONS {
        return Err(WireError::TooMany("extensions"));
    }
    extensions.push((name.to_owned(), value));
    Ok(())
}

/// Reads a value, and takes the values in it off those that there may be.
fn read_value(bytes: &[u8], values: &mut usize) -> Result<Ipld, WireError> {
    let (value, count) = dag_cbor::decode_counted(bytes, *values)?;
    *values -= count;
    Ok(value)
}

/// The bytes of a message.
///
/// # Errors
/// [`WireError::Unsupported`] for ids of version 2.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    for request in &message.requests {
        write_bytes(2, &encode_request(request)?, &mut bytes);
    }
    for response in &message.responses {
        write_bytes(3, &encode_response(response)?, &mut bytes);
    }
    for block in &message.blocks {
        write_block(4, block, &mut bytes);
    }
    Ok(bytes)
}

fn number(id: RequestId) -> Result<i32, WireError> {
    match id {
        RequestId::Number(number) => Ok(number),
        RequestId::Uuid(_) => Err(WireError::Unsupported { protocol: Version::V1.protocol(), what: "ids of 16 bytes" }),
    }
}

fn encode_request(request: &Request) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    write_int32(1, number(request.id)?, &mut bytes);
    match &request.kind {
        RequestKind::New { root, selector, priority, extensions } => {
            write_bytes(2, &root.to_bytes(), &mut bytes);
            write_bytes(3, &dag_cbor::encode(selector), &mut bytes);
            write_extensions(4, extensions, &mut bytes);
            write_int32(5, *priority, &mut bytes);
        }
        RequestKind::Update { extensions } => {
            write_extensions(4, extensions, &mut bytes);
            write_bool(7, true, &mut bytes);
        }
        RequestKind::Cancel => write_bool(6, true, &mut bytes),
    }
    Ok(bytes)
}

fn encode_response(response: &Response) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    write_int32(1, number(response.id)?, &mut bytes);
    write_int32(2, response.status.code().into(), &mut bytes);
    write_extensions(3, &response.extensions, &mut bytes);
    if !response.links.is_empty() {
        if response.links.len() > MAX_ITEMS {
            return Err(WireError::TooMany("links"));
        }
        let links = response.links.iter().map(|(cid, action)| {
            let present = matches!(action, LinkAction::Present | LinkAction::Duplicate);
            let entries = [("link", Ipld::Link(*cid)), ("blockPresent", Ipld::Bool(present))];
            Ipld::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
        });
        write_extension(3, METADATA, &Ipld::List(links.collect()), &mut bytes);
    }
    Ok(bytes)
}

fn write_extensions(field: u32, extensions: &Extensions, bytes: &mut Vec<u8>) {
    for (name, value) in extensions {
        write_extension(field, name, value, bytes);
    }
}

fn write_extension(field: u32, name: &str, value: &Ipld, bytes: &mut Vec<u8>) {
    let mut content = Vec::new();
    write_bytes(1, name.as_bytes(), &mut content);
    let value = if *value == Ipld::Null { Vec::new() } else { dag_cbor::encode(value) };
    write_bytes(2, &value, &mut content);
    write_bytes(field, &content, bytes);
}
