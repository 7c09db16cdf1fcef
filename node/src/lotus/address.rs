//! Where a miner is and what lets us in: `TOKEN:ADDRESS`, as operators have it in `MINER_API_INFO`.
//!
//! Source: `spec/attach.md` B.2.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Ports of a miner and of a full node, where an address names none.
const MINER_PORT: u16 = 2345;
const NODE_PORT: u16 = 1234;
/// That of what is encrypted.
const HTTPS_PORT: u16 = 443;
/// What an address may end in.
const PATHS: [&str; 4] = ["", "/", "/rpc/v0", "/rpc/v1"];

/// The API of a miner, or of a full node.
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
    /// Without the text, which may hold a token.
    #[error(
        "this is no address: expected TOKEN:/ip4/10.0.0.5/tcp/2345/http or TOKEN:http://10.0.0.5:2345, or that without the token"
    )]
    Address,
    #[error("there is no miner's API in {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

impl FromStr for MinerApi {
    type Err = AddressError;

    /// A miner's `TOKEN:ADDRESS` or `ADDRESS`; of several, separated by commas, the first.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::with_port(text, MINER_PORT)
    }
}

impl MinerApi {
    /// That of a full node.
    ///
    /// # Errors
    /// [`AddressError::Address`].
    pub fn of_node(text: &str) -> Result<Self, AddressError> {
        Self::with_port(text, NODE_PORT)
    }

    fn with_port(text: &str, port: u16) -> Result<Self, AddressError> {
        let text = text.split(',').next().unwrap_or_default().trim();
        let (token, address) = match text.split_once(':') {
            _ if text.starts_with('/') => (None, text),
            Some((_, rest)) if rest.starts_with("//") => (None, text),
            Some((token, address)) => (Some(token.to_owned()), address),
            None => (None, text),
        };
        let base = if address.starts_with('/') { of_multiaddr(address) } else { of_url(address, port) };
        let base = base.ok_or(AddressError::Address)?;
        Ok(Self { base, token: token.filter(|token| !token.is_empty()) })
    }

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

/// Whether a text is `HOST:PORT`.
pub fn is_authority(text: &str) -> bool {
    let url = format!("http://{text}");
    of_url(&url, 0) == Some(url)
}

/// `http://HOST:PORT` and the like.
fn of_url(text: &str, port: u16) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = match scheme {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !PATHS.contains(&path) {
        return None;
    }
    let port = if scheme == "https" { HTTPS_PORT } else { port };
    let bracket = authority.find(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[bracket..].split_once(':') {
        Some((before, port)) => (&authority[..bracket + before.len()], port.parse::<u16>().ok()?),
        None => (authority, port),
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
        assert_eq!(of("t:https://[fe80::1]").0, "https://[fe80::1]:443");
        assert_eq!(of("t:http://miner").0, "http://miner:2345");
        let node = |text| MinerApi::of_node(text).unwrap().base;
        assert_eq!(node("t:http://node/rpc/v1"), "http://node:1234");
        assert_eq!(node("https://api.node.example"), "https://api.node.example:443");
        assert!(["a:1", "10.0.0.5:80", "[::1]:7"].into_iter().all(is_authority));
        assert!(!["", "a", "a:", "http://a:1", "a:1/x", "a b:1", "::1:7", ":7"].into_iter().any(is_authority));
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
            "t:https://host/miner/rpc/v0",
            "/ip4/1.2.3.4/tcp/1/http:ey.J.x",
            "ey.J.x",
        ] {
            let error = text.parse::<MinerApi>().unwrap_err().to_string();
            assert!(error.starts_with("this is no address: "), "{error}");
            assert!(!error.contains("ey.J.x"), "{error}");
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
