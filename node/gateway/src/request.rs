//! What is asked for: the address and the headers that say in which form, made into a type that cannot ask for anything else.
//!
//! | Address | Asks for |
//! |---|---|
//! | `/ipfs/CID?format=raw` | a block |
//! | `/ipfs/CID[/PATH]?format=car` | a CAR of what is at and below the end of the path, with the blocks on the way |
//! | `/piece/PIECE-CID` | a piece |
//!
//! `format` may be left out where `Accept` says the same, and goes before it where that says something else. Of a CAR these say more; the
//! address goes before `Accept` here, too:
//!
//! | Parameter | In `Accept` | |
//! |---|---|---|
//! | `dag-scope` | | `all` (unless told), `entity` or `block` of what is at the end of the path |
//! | `entity-bytes` | | which bytes of a file ([`crate::bytes`]) |
//! | `car-version` | `version` | 1 |
//! | `car-order` | `order` | `dfs`, or `unk` of who does not care and gets the same |
//! | `car-dups` | `dups` | `y`: a block each time that it is met; `n` (unless told): once |
//!
//! Parameters that are not known are passed over, and those of CARs where none is asked for.
//!
//! Source: the trustless gateway specification of specs.ipfs.tech (2026-03-05), "HTTP Request"; FRC-0066.

use std::borrow::Cow;

use filecash_ipld::{Cid, hash};
use percent_encoding::percent_decode_str;

use crate::accept::{self, Media};
use crate::bytes::{EntityBytes, EntityBytesError};
use crate::piece_cid::{PieceCid, PieceCidError};

/// The longest address with its parameters.
pub const MOST_ADDRESS_BYTES: usize = 8 << 10;
/// The most names of a path.
pub const MOST_NAMES: usize = 64;
/// The longest text of a CID.
pub const MOST_CID_BYTES: usize = 512;
/// The longest name that a client wants a download to have.
pub const MOST_FILENAME_BYTES: usize = 255;

const RAW: &str = "application/vnd.ipld.raw";
const CAR: &str = "application/vnd.ipld.car";
/// Forms that gateways may give and this one does not.
const OTHERS: [(&str, &str); 6] = [
    ("tar", "application/x-tar"),
    ("dag-json", "application/vnd.ipld.dag-json"),
    ("dag-cbor", "application/vnd.ipld.dag-cbor"),
    ("json", "application/json"),
    ("cbor", "application/cbor"),
    ("ipns-record", "application/vnd.ipfs.ipns-record"),
];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one of it for each request")]
pub enum Asked {
    /// A block.
    Block(AskedBlock),
    /// A CAR.
    Car(AskedCar),
    /// A piece.
    Piece(PieceCid),
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedBlock {
    /// Which.
    pub cid: Cid,
    /// The name of the download, where the client has one.
    pub filename: Option<String>,
    /// The address that says all that `Accept` said, where that said something.
    pub location: Option<String>,
}

/// A CAR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedCar {
    /// Where the path begins.
    pub root: Cid,
    /// Names from there on, none of them empty.
    pub path: Vec<String>,
    /// How much of what is at its end.
    pub scope: Scope,
    /// Whether a block comes each time that it is met.
    pub duplicates: bool,
    /// The name of the download, where the client has one.
    pub filename: Option<String>,
    /// The address that says all that `Accept` said, where that said something.
    pub location: Option<String>,
}

/// How much of what is at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that is at and below it.
    All,
    /// A file, or those of its bytes; of a folder all names; of anything else the block.
    Entity(Option<EntityBytes>),
    /// The block.
    Block,
}

impl Scope {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Entity(_) => "entity",
            Self::Block => "block",
        }
    }
}

/// Why nothing is known to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum RequestError {
    #[error("there is nothing here but /ipfs/CID and /piece/PIECE-CID")]
    Nowhere,
    #[error("an address has at most {MOST_ADDRESS_BYTES} bytes and {MOST_NAMES} names")]
    TooLong,
    #[error("{0:?} is no CID")]
    Cid(String),
    #[error(transparent)]
    Piece(#[from] PieceCidError),
    #[error("a piece has no path")]
    PiecePath,
    #[error("a name in the path is not UTF-8")]
    Encoding,
    #[error("a block is asked for by its CID alone: a path needs ?format=car")]
    BlockPath,
    #[error("say in which form: ?format=raw is a block, ?format=car a CAR with all that is below it")]
    NoForm,
    #[error("{0} is not given here: ?format=raw is a block, ?format=car a CAR, to be checked and read by the client")]
    OtherForm(Cow<'static, str>),
    #[error("format {0:?} is not known: there are raw and car")]
    UnknownForm(String),
    #[error("a CAR is of version 1 and order dfs, with dups=y or dups=n")]
    OtherCar,
    #[error("parameter {0} is given twice")]
    Twice(&'static str),
    #[error("{parameter} is {allowed}")]
    Parameter { parameter: &'static str, allowed: &'static str },
    #[error(transparent)]
    EntityBytes(#[from] EntityBytesError),
    #[error("entity-bytes goes with dag-scope=entity")]
    EntityScope,
}

impl Asked {
    /// What an address, with its parameters behind a `?`, and what is accepted ask for.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(address: &str, accept: Option<&str>) -> Result<Self, RequestError> {
        if address.len() > MOST_ADDRESS_BYTES {
            return Err(RequestError::TooLong);
        }
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        if let Some(rest) = path.strip_prefix("/piece/") {
            return piece(rest).map(Self::Piece);
        }
        let rest = path.strip_prefix("/ipfs/").ok_or(RequestError::Nowhere)?;
        let (root, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let root = cid(root)?;
        let names = names(rest)?;
        let parameters = Parameters::parse(query)?;
        let accepted = accept.map(accept::parse);
        match form(&parameters, accepted.as_deref())? {
            Form::Raw if !names.is_empty() => Err(RequestError::BlockPath),
            Form::Raw => {
                let location = parameters.raw_location(path, accepted.as_deref());
                Ok(Self::Block(AskedBlock { cid: root, filename: parameters.filename, location }))
            }
            Form::Car(media) => parameters.car(root, names, path, media, accepted.as_deref()).map(Self::Car),
        }
    }
}

fn piece(rest: &str) -> Result<PieceCid, RequestError> {
    match rest.strip_suffix('/').unwrap_or(rest) {
        rest if rest.contains('/') => Err(RequestError::PiecePath),
        rest => Ok(PieceCid::parse(rest)?),
    }
}

fn cid(text: &str) -> Result<Cid, RequestError> {
    let parsed = (text.len() <= MOST_CID_BYTES).then(|| hash::parse_text(text)).flatten();
    parsed.ok_or_else(|| RequestError::Cid(text.chars().take(MOST_CID_BYTES).collect()))
}

/// The names of a path. Empty ones are passed over.
fn names(path: &str) -> Result<Vec<String>, RequestError> {
    let names = path.split('/').filter(|name| !name.is_empty()).map(|name| {
        let name = percent_decode_str(name).decode_utf8().map_err(|_| RequestError::Encoding)?;
        Ok(name.into_owned())
    });
    let names = names.take(MOST_NAMES + 1).collect::<Result<Vec<_>, RequestError>>()?;
    if names.len() > MOST_NAMES { Err(RequestError::TooLong) } else { Ok(names) }
}

/// In which form, and by which media type if one was accepted.
enum Form<'a> {
    Raw,
    Car(Option<&'a Media>),
}

fn form<'a>(parameters: &Parameters, accepted: Option<&'a [Media]>) -> Result<Form<'a>, RequestError> {
    let media = accepted.unwrap_or_default();
    let best_car = || media.iter().find(|media| media.name == CAR && is_given(media));
    match parameters.format.as_deref() {
        Some("raw") => return Ok(Form::Raw),
        Some("car") => {
            let best = best_car();
            let only_others = best.is_none() && media.iter().any(|media| media.name == CAR);
            return if only_others { Err(RequestError::OtherCar) } else { Ok(Form::Car(best)) };
        }
        Some(other) => {
            let known = OTHERS.iter().find(|(name, _)| *name == other);
            return Err(known.map_or_else(
                || RequestError::UnknownForm(other.chars().take(MOST_FILENAME_BYTES).collect()),
                |(_, media)| RequestError::OtherForm(Cow::Borrowed(media)),
            ));
        }
        None => {}
    }
    let mut is_other_car = false;
    for media in media {
        match &media.name[..] {
            RAW => return Ok(Form::Raw),
            CAR if is_given(media) => return Ok(Form::Car(Some(media))),
            CAR => is_other_car = true,
            _ => {}
        }
    }
    match (accepted, OTHERS.iter().find(|(_, name)| media.iter().any(|media| media.name == *name))) {
        (None, _) => Err(RequestError::NoForm),
        (Some(_), _) if is_other_car => Err(RequestError::OtherCar),
        (Some(_), Some((_, name))) => Err(RequestError::OtherForm(Cow::Borrowed(name))),
        (Some(_), None) => Err(RequestError::OtherForm(Cow::Borrowed("a file or a page"))),
    }
}

/// Whether a CAR of these parameters is given here.
fn is_given(media: &Media) -> bool {
    let is = |name, allowed: &[&str]| media.parameter(name).is_none_or(|value| allowed.contains(&value));
    is("version", &["1", ""]) && is("order", &["dfs", "unk", ""]) && is("dups", &["y", "n", ""])
}

/// The parameters that are known.
#[derive(Default)]
struct Parameters {
    format: Option<String>,
    filename: Option<String>,
    dag_scope: Option<String>,
    entity_bytes: Option<String>,
    car_version: Option<String>,
    car_order: Option<String>,
    car_dups: Option<String>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, RequestError> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (name, place) = match &name[..] {
                "format" => ("format", &mut parameters.format),
                "filename" => ("filename", &mut parameters.filename),
                "dag-scope" => ("dag-scope", &mut parameters.dag_scope),
                "entity-bytes" => ("entity-bytes", &mut parameters.entity_bytes),
                "car-version" => ("car-version", &mut parameters.car_version),
                "car-order" => ("car-order", &mut parameters.car_order),
                "car-dups" => ("car-dups", &mut parameters.car_dups),
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(RequestError::Twice(name));
            }
        }
        let is_named = |name: &String| !name.is_empty() && name.len() <= MOST_FILENAME_BYTES;
        if !parameters.filename.as_ref().is_none_or(is_named) {
            return Err(RequestError::Parameter { parameter: "filename", allowed: "a name of at most 255 bytes" });
        }
        Ok(parameters)
    }

    fn car(
        self,
        root: Cid,
        path: Vec<String>,
        address: &str,
        media: Option<&Media>,
        accepted: Option<&[Media]>,
    ) -> Result<AskedCar, RequestError> {
        let scope = self.scope()?;
        one_of("car-version", self.car_version.as_deref(), &["1"], "1")?;
        one_of("car-order", self.car_order.as_deref(), &["dfs", "unk"], "dfs or unk")?;
        one_of("car-dups", self.car_dups.as_deref(), &["y", "n"], "y or n")?;
        let said = |name| media.and_then(|media| media.parameter(name)).filter(|value| !value.is_empty());
        let duplicates = self.car_dups.as_deref().or(said("dups")) == Some("y");
        let is_all_in_address = self.format.is_some()
            && !accepted.unwrap_or_default().iter().any(|media| media.name == RAW)
            && ["version", "order", "dups"].iter().all(|name| said(name).is_none());
        let location = (!is_all_in_address).then(|| self.car_location(address, scope, duplicates));
        Ok(AskedCar { root, path, scope, duplicates, filename: self.filename, location })
    }

    fn scope(&self) -> Result<Scope, RequestError> {
        let bytes = self.entity_bytes.as_deref().map(str::parse).transpose()?;
        match (self.dag_scope.as_deref(), bytes) {
            (Some("all") | None, None) => Ok(Scope::All),
            (Some("block"), None) => Ok(Scope::Block),
            (Some("entity") | None, bytes) => Ok(Scope::Entity(bytes)),
            (Some("all" | "block"), Some(_)) => Err(RequestError::EntityScope),
            _ => Err(RequestError::Parameter { parameter: "dag-scope", allowed: "all, entity or block" }),
        }
    }

    fn raw_location(&self, address: &str, accepted: Option<&[Media]>) -> Option<String> {
        let is_same = self.format.is_some() && !accepted.unwrap_or_default().iter().any(|media| media.name == CAR);
        (!is_same).then(|| self.location(address, &[("format", "raw")]))
    }

    fn car_location(&self, address: &str, scope: Scope, duplicates: bool) -> String {
        let bytes = match scope {
            Scope::Entity(Some(bytes)) => bytes.to_string(),
            _ => String::new(),
        };
        let mut parameters = vec![("format", "car")];
        if scope != Scope::All {
            parameters.push(("dag-scope", scope.name()));
        }
        if !bytes.is_empty() {
            parameters.push(("entity-bytes", &bytes));
        }
        let dups = if duplicates { "y" } else { "n" };
        parameters.extend([("car-version", "1"), ("car-order", "dfs"), ("car-dups", dups)]);
        self.location(address, &parameters)
    }

    fn location(&self, address: &str, parameters: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        if let Some(filename) = &self.filename {
            query.append_pair("filename", filename);
        }
        format!("{address}?{}", query.finish())
    }
}

fn one_of(
    parameter: &'static str,
    value: Option<&str>,
    known: &[&str],
    allowed: &'static str,
) -> Result<(), RequestError> {
    match value {
        Some(value) if !known.contains(&value) => Err(RequestError::Parameter { parameter, allowed }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
