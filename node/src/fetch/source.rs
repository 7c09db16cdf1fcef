//! Where files are had from.

use std::error::Error as _;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use filecash_engine::sector::Profile;
use filecash_engine::store::positioned::read_exact_at;

use super::{Options, Wanted};

/// The longest that a connection, and an answer, may take.
const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes between two looks whether to go on.
const BETWEEN_LOOKS: usize = 1 << 16;

/// A place that may have files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder, where files have their names.
    Folder(PathBuf),
    /// An address ending in `/`, after which comes a file's name.
    Mirror(String),
    /// An address ending in `/ipfs/`, after which comes a file's CID.
    Gateway(String),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a folder nor an http or https address")]
pub struct BadSource(String);

impl Source {
    /// What a network's own software asks, and public gateways.
    pub fn defaults(profile: Profile) -> Vec<Self> {
        let own = match profile {
            Profile::Filecoin => "https://proofs.filecoin.io/ipfs/",
            Profile::Filecash => "https://proofs.file.cash/ipfs/",
        };
        [own, "https://ipfs.io/ipfs/", "https://dweb.link/ipfs/"].map(|url| Self::Gateway(url.to_owned())).to_vec()
    }
}

impl FromStr for Source {
    type Err = BadSource;

    /// An address whose path ends in `/ipfs` is a gateway, another one a mirror; what is no address is a folder.
    fn from_str(text: &str) -> Result<Self, BadSource> {
        let bad = || BadSource(text.to_owned());
        let Some((scheme, address)) = text.split_once("://") else {
            return if text.is_empty() { Err(bad()) } else { Ok(Self::Folder(text.into())) };
        };
        let address = address.trim_end_matches('/');
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) || address.is_empty() {
            return Err(bad());
        }
        let url = format!("{scheme}://{address}/");
        Ok(if url.ends_with("/ipfs/") { Self::Gateway(url) } else { Self::Mirror(url) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Mirror(url) | Self::Gateway(url) => f.write_str(url),
        }
    }
}

/// Why a place did not give a piece.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("stopped")]
    Stopped,
    #[error("it has no such file")]
    Missing,
    #[error("answers with status {0}")]
    Status(u16),
    #[error("gives no parts of files")]
    NoRanges,
    #[error("answers with another part than was asked for")]
    OtherRange,
    #[error("the file has {actual} bytes there, expected {expected}")]
    Length { expected: u64, actual: u64 },
    #[error("cut off after {actual} of {expected} bytes")]
    Cut { expected: usize, actual: usize },
    #[error("{}", with_cause(.0))]
    Http(Box<ureq::Error>),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Whether it will be so next time too.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Missing | Self::NoRanges | Self::OtherRange | Self::Length { .. })
    }
}

fn with_cause(error: &ureq::Error) -> String {
    let text = error.to_string();
    error.source().map(|cause| format!("{text}: {cause}")).unwrap_or(text)
}

/// A file in a place.
pub(super) struct Place {
    name: String,
    file: Location,
}

enum Location {
    Folder(PathBuf),
    Http { agent: ureq::Agent, url: String },
}

impl Place {
    pub(super) fn new(source: &Source, wanted: &Wanted, options: &Options) -> Self {
        let file = match source {
            Source::Folder(folder) => Location::Folder(folder.join(wanted.name())),
            Source::Mirror(url) => http(format!("{url}{}", wanted.name()), options),
            Source::Gateway(url) => http(format!("{url}{}", wanted.cid), options),
        };
        Self { name: source.to_string(), file }
    }

    /// The length of the file.
    pub(super) fn length(&self) -> Result<u64, ReadError> {
        match &self.file {
            Location::Folder(path) => Ok(open(path)?.metadata()?.len()),
            Location::Http { agent, url } => Ok(ask(agent, url, 0, 1)?.total),
        }
    }

    /// Fills `bytes` from `offset` on out of a file of `total` bytes; ends early when `is_over`.
    pub(super) fn read(
        &self,
        offset: u64,
        total: u64,
        bytes: &mut [u8],
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), ReadError> {
        match &self.file {
            Location::Folder(path) => {
                let file = open(path)?;
                same_length(total, file.metadata()?.len())?;
                Ok(read_exact_at(&file, bytes, offset)?)
            }
            Location::Http { agent, url } => {
                let mut answer = ask(agent, url, offset, bytes.len() as u64)?;
                same_length(total, answer.total)?;
                let mut body = answer.body.as_reader();
                let mut filled = 0;
                while filled < bytes.len() {
                    if is_over() {
                        return Err(ReadError::Stopped);
                    }
                    let end = bytes.len().min(filled + BETWEEN_LOOKS);
                    match body.read(&mut bytes[filled..end]) {
                        Ok(0) => return Err(ReadError::Cut { expected: bytes.len(), actual: filled }),
                        Ok(read) => filled += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn http(url: String, options: &Options) -> Location {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT.min(options.piece_timeout)))
        .timeout_recv_response(Some(ANSWER.min(options.piece_timeout)))
        .timeout_recv_body(Some(options.piece_timeout))
        .http_status_as_error(false)
        .user_agent(concat!("filecash/", env!("CARGO_PKG_VERSION")))
        .build();
    Location::Http { agent: config.into(), url }
}

fn open(path: &PathBuf) -> Result<File, ReadError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::Missing,
        _ => error.into(),
    })
}

fn same_length(expected: u64, actual: u64) -> Result<(), ReadError> {
    if expected == actual { Ok(()) } else { Err(ReadError::Length { expected, actual }) }
}

/// An answer that begins with what was asked for.
struct Answer {
    /// Bytes of the whole file.
    total: u64,
    body: ureq::Body,
}

/// Asks for a part of a file (RFC 9110, 14).
fn ask(agent: &ureq::Agent, url: &str, offset: u64, len: u64) -> Result<Answer, ReadError> {
    let last = offset + len - 1;
    let request = agent.get(url).header("Range", format!("bytes={offset}-{last}"));
    let response = request.call().map_err(|error| ReadError::Http(Box::new(error)))?;
    let (head, body) = response.into_parts();
    match head.status.as_u16() {
        206 => {
            let range = head.headers.get("Content-Range").and_then(|value| value.to_str().ok()).and_then(content_range);
            match range {
                Some((first, end, total)) if first == offset && end == last.min(total.saturating_sub(1)) => {
                    Ok(Answer { total, body })
                }
                _ => Err(ReadError::OtherRange),
            }
        }
        // All of it, which is as good if no more was asked for.
        200 => match body.content_length() {
            Some(total) if offset == 0 && total <= len => Ok(Answer { total, body }),
            _ => Err(ReadError::NoRanges),
        },
        401 | 403 | 404 | 410 | 451 => Err(ReadError::Missing),
        status => Err(ReadError::Status(status)),
    }
}

/// First byte, last byte and length of `bytes 0-99/1000` (RFC 9110, 14.4).
pub fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_their_texts() {
        let table = [
            ("https://proofs.filecoin.io/ipfs", Source::Gateway("https://proofs.filecoin.io/ipfs/".to_owned())),
            ("http://127.0.0.1:8080/ipfs//", Source::Gateway("http://127.0.0.1:8080/ipfs/".to_owned())),
            ("HTTP://mirror/params", Source::Mirror("HTTP://mirror/params/".to_owned())),
            ("/mnt/disk", Source::Folder("/mnt/disk".into())),
            ("ipfs", Source::Folder("ipfs".into())),
        ];
        for (text, source) in table {
            assert_eq!(text.parse(), Ok(source), "{text}");
        }
        for text in ["", "ftp://host/x", "://", "http://", "https:////"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_are_parsed() {
        assert_eq!(content_range("bytes 0-99/1000"), Some((0, 99, 1000)));
        for text in ["bytes */1000", "bytes 0-99/*", "0-99/1000", "bytes 0/1", "bytes -1-2/3", ""] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
