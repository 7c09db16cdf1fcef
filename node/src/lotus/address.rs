//! Where a miner is and what lets us in: `TOKEN:ADDRESS`, as operators have it in `MINER_API_INFO`.
//!
//! Source: `spec/attach.md` B.2.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The port where an address names none.
const PORT: u16 = 2345;

/// A miner's API.
#[derive(Clone, PartialEq, Eq)]
pub struct MinerApi {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub base: String,
    /// What lets us in, if anything has to.
    pub token: Option<String>,
}

/// Without the token.
impl fmt::Debug for MinerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MinerApi({})", self.base)
    }
}

impl fmt::Display for MinerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Why a text or a folder names no miner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AddressError {
    #[error("{0:?} is no address: expected one such as /ip4/10.0.0.5/tcp/2345/http or http://10.0.0.5:2345")]
    Address(String),
    #[error("there is no miner's API in {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

impl FromStr for MinerApi {
    type Err = AddressError;

    /// `TOKEN:ADDRESS` or `ADDRESS`; of several, separated by commas, the first.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.split(',').next().unwrap_or_default().trim();
        let (token, address) = match text.split_once(':') {
            _ if text.starts_with('/') => (None, text),
            Some((_, rest)) if rest.starts_with("//") => (None, text),
            Some((token, address)) => (Some(token.to_owned()), address),
            None => (None, text),
        };
        let bad = || AddressError::Address(address.to_owned());
        let base = if address.starts_with('/') { of_multiaddr(address) } else { of_url(address) }.ok_or_else(bad)?;
        Ok(Self { base, token: token.filter(|token| !token.is_empty()) })
    }
}

impl MinerApi {
    /// That of a miner's own folder, from its files `api` and `token`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn of_folder(folder: &Path) -> Result<Self, AddressError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|source| AddressError::Folder { path, source })
        };
        let (api, token) = (read("api")?, read("token")?);
        Ok(Self { token: Some(token.trim().to_owned()), ..api.trim().parse()? })
    }

    /// `HOST:PORT`, for a connection.
    pub fn authority(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, authority)| authority)
    }
}

/// `/ip4/10.0.0.5/tcp/2345/http` and the like. What is after the port says only whether it is encrypted.
fn of_multiaddr(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ["", kind, host, "tcp", port, rest @ ..] = &parts[..] else { return None };
    let host = match *kind {
        "ip4" => host.parse::<std::net::Ipv4Addr>().ok()?.to_string(),
        "ip6" => format!("[{}]", host.parse::<std::net::Ipv6Addr>().ok()?),
        "dns" | "dns4" | "dns6" => Some(*host).filter(|host| is_host(host))?.to_owned(),
        _ => return None,
    };
    let scheme = match rest {
        [] | ["http" | "ws"] => "http",
        ["https" | "wss"] | ["tls"] | ["tls", "http" | "ws"] => "https",
        _ => return None,
    };
    Some(format!("{scheme}://{host}:{}", port.parse::<u16>().ok()?))
}

/// `http://HOST:PORT` and the like; a path says nothing new.
fn of_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = match scheme {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return None,
    };
    let authority = rest.split('/').next()?;
    let bracket = authority.find(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[bracket..].split_once(':') {
        Some((before, port)) => (&authority[..bracket + before.len()], port.parse::<u16>().ok()?),
        None => (authority, PORT),
    };
    let is_good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    is_good.then(|| format!("{scheme}://{host}:{port}"))
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (String, Option<String>) {
        let MinerApi { base, token } = text.parse().unwrap();
        (base, token)
    }

    #[test]
    fn addresses_of_every_form_are_read() {
        let here = "http://10.0.0.5:2345".to_owned();
        let token = Some("ey.J.x".to_owned());
        assert_eq!(of("ey.J.x:/ip4/10.0.0.5/tcp/2345/http"), (here.clone(), token.clone()));
        assert_eq!(of("ey.J.x:http://10.0.0.5:2345"), (here.clone(), token.clone()));
        assert_eq!(of("ey.J.x:ws://10.0.0.5/rpc/v0,b:/ip4/1.1.1.1/tcp/1"), (here.clone(), token));
        assert_eq!(of("/ip4/10.0.0.5/tcp/2345"), (here.clone(), None));
        assert_eq!(of("http://10.0.0.5:2345/rpc/v0"), (here, None));
        assert_eq!(of("t:/dns4/miner.example/tcp/443/https").0, "https://miner.example:443");
        assert_eq!(of("t:/dns/miner/tcp/1/tls/http").0, "https://miner:1");
        assert_eq!(of("t:/ip6/::1/tcp/2345/ws").0, "http://[::1]:2345");
        assert_eq!(of("t:wss://[fe80::1]:77/").0, "https://[fe80::1]:77");
        assert_eq!(of("t:https://[fe80::1]").0, "https://[fe80::1]:2345");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "token",
            "token:",
            "t:/ip4/10.0.0.5",
            "t:/ip4/x/tcp/1",
            "t:/ip4/1.1.1.1/udp/1",
            "t:/ip4/1.1.1.1/tcp/99999",
            "t:/unix/sock",
            "t:ftp://a",
            "t:http://",
            "t:http://a b",
            "t:http://a:b",
            "t:http://[::1",
            "t:http://user@host:1",
        ] {
            let error = text.parse::<MinerApi>().unwrap_err().to_string();
            assert!(error.contains("is no address") && !error.contains("token:"), "{error}");
        }
    }

    #[test]
    fn folder_of_a_miner_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(MinerApi::of_folder(folder.path()), Err(AddressError::Folder { .. })));
        fs::write(folder.path().join("api"), "/ip4/127.0.0.1/tcp/2345/http\n").unwrap();
        fs::write(folder.path().join("token"), "abc\n").unwrap();
        let api = MinerApi::of_folder(folder.path()).unwrap();
        assert_eq!((api.base.as_str(), api.token.as_deref()), ("http://127.0.0.1:2345", Some("abc")));
        assert_eq!((api.authority(), format!("{api:?}")), ("127.0.0.1:2345", "MinerApi(http://127.0.0.1:2345)".into()));
    }
}
