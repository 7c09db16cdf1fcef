//! Into a value of the data model.

use super::{
    ChannelId, MAX_NAME, Message, Opening, Request, RequestKind, Response, ResponseKind, Typed, Verdict, Version,
};
use crate::Ipld;
use crate::wire::{WireError, wrong};

/// The fields of a message, as they come in a list.
pub(super) const MESSAGE: [&str; 3] = ["IsRq", "Request", "Response"];
/// Those of a request; version 1.0 does not have the last.
pub(super) const REQUEST: [&str; 10] =
    ["BCid", "Type", "Paus", "Part", "Pull", "Stor", "Vouch", "VTyp", "XferID", "RestartChannel"];
/// Those of a response.
pub(super) const RESPONSE: [&str; 6] = ["Type", "Acpt", "Paus", "XferID", "VRes", "VTyp"];

const NO_RESTARTS: WireError = WireError::Unsupported { protocol: "/fil/datatransfer/1.0.0", what: "restarts" };

impl Message {
    /// The value of a message, as it stands in an extension. A peer id that is not UTF-8 is in bytes.
    ///
    /// # Errors
    /// [`WireError`] for what the version cannot say, and for what would not be read.
    pub fn to_ipld(&self, version: Version) -> Result<Ipld, WireError> {
        let values = match self {
            Self::Request(request) => [Ipld::Bool(true), write_request(request, version)?, Ipld::Null],
            Self::Response(response) => [Ipld::Bool(false), Ipld::Null, write_response(response, version)?],
        };
        Ok(form(version, &MESSAGE, values.into()))
    }
}

/// Values as the list or the map of a version.
fn form(version: Version, names: &[&str], values: Vec<Ipld>) -> Ipld {
    if version == Version::V1_0 {
        return Ipld::List(values);
    }
    let mut entries: Vec<_> = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
    if version == Version::V1_2 {
        entries.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
    }
    Ipld::Map(entries)
}

/// What of a request is not as in every other one.
#[derive(Default)]
struct Parts<'a> {
    code: i128,
    is_paused: bool,
    opening: Option<&'a Opening>,
    voucher: Option<&'a Typed>,
    restarted: Option<&'a ChannelId>,
}

impl<'a> Parts<'a> {
    fn of(kind: &'a RequestKind) -> Self {
        let none = Self::default();
        match kind {
            RequestKind::New(opening) => Self { code: 0, opening: Some(opening), ..none },
            RequestKind::Update { is_paused } => Self { code: 1, is_paused: *is_paused, ..none },
            RequestKind::Cancel => Self { code: 2, ..none },
            RequestKind::Voucher(voucher) => Self { code: 4, voucher: Some(voucher), ..none },
            RequestKind::Restart(opening) => Self { code: 6, opening: Some(opening), ..none },
            RequestKind::PleaseRestart(channel) => Self { code: 7, restarted: Some(channel), ..none },
        }
    }
}

fn write_request(request: &Request, version: Version) -> Result<Ipld, WireError> {
    let Parts { code, is_paused, opening, voucher, restarted } = Parts::of(&request.kind);
    if version == Version::V1_0 && code >= 6 {
        return Err(NO_RESTARTS);
    }
    let (name, value) = write_typed(voucher.or(opening.and_then(|opening| opening.voucher.as_ref())))?;
    let mut values = vec![
        opening.map_or(Ipld::Null, |opening| Ipld::Link(opening.root)),
        Ipld::Integer(code),
        Ipld::Bool(is_paused),
        Ipld::Bool(false),
        Ipld::Bool(opening.is_some_and(|opening| opening.is_pull)),
        opening.map_or(Ipld::Null, |opening| opening.selector.clone()),
        value,
        name,
        Ipld::Integer(request.id.into()),
    ];
    if version != Version::V1_0 {
        values.push(write_channel(restarted)?);
    }
    Ok(form(version, &REQUEST, values))
}

fn write_typed(typed: Option<&Typed>) -> Result<(Ipld, Ipld), WireError> {
    match typed {
        None => Ok((Ipld::String(String::new()), Ipld::Null)),
        Some(Typed { name, .. }) if name.is_empty() || name.len() > MAX_NAME => wrong("VTyp", "empty or too long"),
        Some(Typed { name, value }) => Ok((Ipld::String(name.clone()), value.clone())),
    }
}

fn write_channel(channel: Option<&ChannelId>) -> Result<Ipld, WireError> {
    let Some(ChannelId { initiator, responder, id }) = channel else {
        let nobody = Ipld::String(String::new());
        return Ok(Ipld::List(vec![nobody.clone(), nobody, Ipld::Integer(0)]));
    };
    Ok(Ipld::List(vec![write_peer(initiator)?, write_peer(responder)?, Ipld::Integer((*id).into())]))
}

fn write_peer(bytes: &[u8]) -> Result<Ipld, WireError> {
    if bytes.is_empty() || bytes.len() > MAX_NAME {
        return wrong("a peer id", "empty or too long");
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => Ipld::String(text.to_owned()),
        Err(_) => Ipld::Bytes(bytes.to_vec()),
    })
}

fn write_response(response: &Response, version: Version) -> Result<Ipld, WireError> {
    let plain = |is_paused| Verdict { is_paused, ..Verdict::default() };
    let (code, verdict) = match &response.kind {
        ResponseKind::New(verdict) => (0, verdict),
        ResponseKind::Update { is_paused } => (1, &plain(*is_paused)),
        ResponseKind::Cancel => (2, &plain(false)),
        ResponseKind::Complete(verdict) => (3, verdict),
        ResponseKind::Voucher(verdict) => (5, verdict),
        ResponseKind::Restart(_) if version == Version::V1_0 => return Err(NO_RESTARTS),
        ResponseKind::Restart(verdict) => (6, verdict),
    };
    let (name, value) = write_typed(verdict.result.as_ref())?;
    let values = vec![
        Ipld::Integer(code),
        Ipld::Bool(verdict.is_accepted),
        Ipld::Bool(verdict.is_paused),
        Ipld::Integer(response.id.into()),
        value,
        name,
    ];
    Ok(form(version, &RESPONSE, values))
}
