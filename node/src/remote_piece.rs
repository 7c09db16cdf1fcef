//! The bytes of a piece from an HTTP address.
//!
//! A manager of sectors names a piece by an address of its own, which may lead on to where the piece is: it is asked without a token,
//! and what it leads to with one. A thread asks and reads a few blocks ahead, so that who waits for a silent server can still be
//! stopped; the thread ends when nobody reads any more, or the server was silent for too long.
//!
//! Source: `spec/attach.md` B.16.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use filecash_engine::job::{Cancel, Cancelled};
use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// Bytes of a block.
const BLOCK: u64 = 1 << 18;
/// Blocks that are read ahead.
const AHEAD: usize = 4;
/// The most redirects that are followed.
const MOST_REDIRECTS: usize = 10;
/// Between two looks whether to go on.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How long servers may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To be found, and to be connected to.
    pub connect: Duration,
    /// To send the next byte.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), silence: Duration::from_secs(120) }
    }
}

/// Why a piece could not be had. Addresses are told without what follows their `?`, which may be a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum RemotePieceError {
    #[error("{0:?} is no http or https address")]
    Address(String),
    #[error("{url} is not reached")]
    Unreachable { url: String, source: Box<ureq::Error> },
    #[error("{url} answers with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} redirects without saying where to")]
    NoLocation { url: String },
    #[error("{url} redirects for the {}th time", MOST_REDIRECTS + 1)]
    Redirects { url: String },
    #[error("{url} was silent for {} seconds", .silence.as_secs_f32())]
    Silent { url: String, silence: Duration },
    #[error("{url} ended after {actual} of {expected} bytes")]
    Ended { url: String, expected: u64, actual: u64 },
    #[error("{url} broke off after {actual} of {expected} bytes")]
    BrokeOff { url: String, expected: u64, actual: u64, source: io::Error },
}

/// Asks for pieces.
#[derive(Clone)]
pub struct Fetcher {
    agent: ureq::Agent,
    authorization: Option<String>,
    silence: Duration,
}

impl Fetcher {
    /// With the token that is shown where an address leads to.
    pub fn new(token: Option<&str>, patience: Patience) -> Self {
        let Patience { connect, silence } = patience;
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            // A server may be about to end a connection that has answered: what is asked on it would be lost, and a piece for it.
            .max_idle_connections(0)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .http_status_as_error(false)
            .user_agent(concat!("filecash/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), authorization: token.map(|token| format!("Bearer {token}")), silence }
    }

    /// The first `len` bytes of what is at `url`. Whatever is wrong with it is told when it is read, as a [`RemotePieceError`] in an
    /// [`io::Error`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open<'a>(&self, url: &str, len: u64, cancel: &'a Cancel) -> io::Result<RemotePiece<'a>> {
        let (sender, blocks) = mpsc::sync_channel(AHEAD);
        let (fetcher, url) = (self.clone(), url.to_owned());
        thread::Builder::new().spawn(move || {
            if let Err(error) = fetcher.read(&url, len, |block| sender.send(Ok(block)).is_ok()) {
                // Who reads no more does not want to know.
                let _ = sender.send(Err(io::Error::other(error)));
            }
        })?;
        Ok(RemotePiece { blocks, block: Cursor::default(), cancel })
    }

    /// Gives blocks until there are `len` bytes, or nobody takes them.
    fn read(&self, url: &str, len: u64, give: impl Fn(Vec<u8>) -> bool) -> Result<(), RemotePieceError> {
        let (url, body) = self.ask(url)?;
        let mut body = body.into_reader();
        let mut actual = 0;
        while actual < len {
            let mut block = Vec::new();
            let most = BLOCK.min(len - actual);
            let outcome = (&mut body).take(most).read_to_end(&mut block);
            actual += block.len() as u64;
            if let Err(error) = outcome {
                return Err(match error.into() {
                    ureq::Error::Timeout(_) => self.silent(&url),
                    error => {
                        RemotePieceError::BrokeOff { url: shown(&url), expected: len, actual, source: error.into_io() }
                    }
                });
            }
            if (block.len() as u64) < most {
                return Err(RemotePieceError::Ended { url: shown(&url), expected: len, actual });
            }
            if !give(block) {
                break;
            }
        }
        Ok(())
    }

    /// What an address, or those that it leads to, answers, and the one that did.
    fn ask(&self, url: &str) -> Result<(Uri, ureq::Body), RemotePieceError> {
        let mut url = address(url)?;
        let mut authorization = None;
        for hop in 0..=MOST_REDIRECTS {
            let mut request = self.agent.get(url.clone());
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            let response = request.call().map_err(|error| match error {
                ureq::Error::Timeout(ureq::Timeout::PerRead | ureq::Timeout::RecvResponse) => self.silent(&url),
                error => RemotePieceError::Unreachable { url: shown(&url), source: Box::new(error) },
            })?;
            let status = response.status();
            if status.is_success() {
                return Ok((url, response.into_body()));
            }
            if !status.is_redirection() {
                return Err(RemotePieceError::Status { url: shown(&url), status: status.as_u16() });
            }
            let location = response.headers().get("Location").and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| RemotePieceError::NoLocation { url: shown(&url) })?;
            let next = joined(&url, location)?;
            // The manager's word is trusted, that of others only for themselves.
            authorization = match hop {
                0 => self.authorization.as_deref(),
                _ => authorization.filter(|_| url.scheme() == next.scheme() && url.authority() == next.authority()),
            };
            url = next;
        }
        Err(RemotePieceError::Redirects { url: shown(&url) })
    }

    fn silent(&self, url: &Uri) -> RemotePieceError {
        RemotePieceError::Silent { url: shown(url), silence: self.silence }
    }
}

/// A piece that is being fetched.
#[derive(Debug)]
pub struct RemotePiece<'a> {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Cursor<Vec<u8>>,
    cancel: &'a Cancel,
}

impl Read for RemotePiece<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            if self.cancel.is_cancelled() {
                return Err(io::Error::other(Cancelled));
            }
            match self.blocks.recv_timeout(BETWEEN_LOOKS) {
                Ok(block) => self.block = Cursor::new(block?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
    }
}

/// An address that can be asked.
fn address(text: &str) -> Result<Uri, RemotePieceError> {
    // What follows a `#` is not for servers.
    let text = text.split('#').next().unwrap_or_default();
    let uri = text.parse::<Uri>().ok();
    let uri = uri.filter(|uri| [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme()));
    uri.ok_or_else(|| RemotePieceError::Address(text.split('?').next().unwrap_or_default().to_owned()))
}

/// Where a `Location` in an answer of `base` leads to (RFC 3986, 5.2).
fn joined(base: &Uri, location: &str) -> Result<Uri, RemotePieceError> {
    let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    if has_scheme {
        return address(location);
    }
    let (scheme, authority) = (base.scheme_str().unwrap_or_default(), base.authority().map_or("", |a| a.as_str()));
    if location.starts_with("//") {
        return address(&format!("{scheme}:{location}"));
    }
    let (path, query) = location.split_at(location.find(['?', '#']).unwrap_or(location.len()));
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = match path {
        "" => base.path().to_owned(),
        _ if path.starts_with('/') => without_dots(path),
        _ => without_dots(&format!("{folder}/{path}")),
    };
    address(&format!("{scheme}://{authority}{path}{query}"))
}

/// A path that begins with `/`, its `.` and `..` resolved (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// An address as it may be told.
fn shown(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", url.scheme_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests;
