//! The settings of a node: sections of the same file that has the other settings.
//!
//! Each section refuses keys that it does not know; what is not in a section is the matter of who reads the rest of the file. [`DEFAULT`] has
//! every key with its default and is what the settings are without a file, which a test sees to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use filecash_net::Multiaddr;
use filecash_net::host::Limits;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// All keys, with their defaults.
pub const DEFAULT: &str = include_str!("default.toml");
/// In place of what may be left out.
const NONE: &str = "none";

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ConfigError {
    #[error("{0}")]
    Text(String),
    #[error("[node] folder names no folder, and there is no home folder")]
    NoFolder,
}

/// The settings of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct Config {
    pub node: NodeConfig,
    pub network: NetworkConfig,
    pub host: HostConfig,
    pub rpc: RpcConfig,
    pub metrics: MetricsConfig,
    pub gateway: GatewayConfig,
    pub bitswap: SwitchConfig,
    pub graphsync: SwitchConfig,
    pub data_transfer: SwitchConfig,
}

/// `[node]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct NodeConfig {
    #[serde(deserialize_with = "unless_none")]
    pub folder: Option<PathBuf>,
}

/// `[network]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct NetworkConfig {
    #[serde(deserialize_with = "unless_none")]
    pub genesis: Option<PathBuf>,
    #[serde(deserialize_with = "unless_none")]
    pub name: Option<String>,
}

/// `[host]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct HostConfig {
    #[serde(deserialize_with = "all_parsed")]
    pub listen: Vec<Multiaddr>,
    #[serde(deserialize_with = "all_parsed")]
    pub bootstrap: Vec<Multiaddr>,
    pub is_bootstrapper: bool,
    pub accept_private_addresses: bool,
    #[serde(deserialize_with = "unless_none")]
    pub ipfs_dht: Option<String>,
    pub max_connections: u32,
    pub max_incoming: u32,
    pub max_per_peer: u32,
    pub max_pending: u32,
    pub max_streams: u16,
    pub max_window_kib: u32,
    pub idle_seconds: u64,
}

impl Default for HostConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: filecash_net::host::HostOptions::on_loopback("").listen,
            bootstrap: Vec::new(),
            is_bootstrapper: false,
            accept_private_addresses: false,
            ipfs_dht: None,
            max_connections: limits.connections,
            max_incoming: limits.incoming,
            max_per_peer: limits.per_peer,
            max_pending: limits.pending,
            max_streams: limits.streams,
            max_window_kib: limits.window >> 10,
            idle_seconds: limits.idle.as_secs(),
        }
    }
}

impl HostConfig {
    /// How much others may have of us.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            incoming: self.max_incoming,
            per_peer: self.max_per_peer,
            pending: self.max_pending,
            streams: self.max_streams,
            window: self.max_window_kib.saturating_mul(1 << 10),
            idle: Duration::from_secs(self.idle_seconds),
        }
    }
}

/// `[rpc]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct RpcConfig {
    #[serde(deserialize_with = "unless_none")]
    pub listen: Option<SocketAddr>,
    pub require_token: bool,
    pub origins: Vec<String>,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 1234))), require_token: false, origins: Vec::new() }
    }
}

/// `[metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct MetricsConfig {
    #[serde(deserialize_with = "unless_none")]
    pub listen: Option<SocketAddr>,
}

/// `[gateway]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct GatewayConfig {
    #[serde(deserialize_with = "unless_none")]
    pub listen: Option<SocketAddr>,
    #[serde(deserialize_with = "unless_none")]
    pub pieces: Option<PathBuf>,
}

/// `[bitswap]` and `[graphsync]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the default file has the docs")]
pub struct SwitchConfig {
    pub enabled: bool,
}

impl Default for SwitchConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

fn parse<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, D::Error> {
    text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
}

/// A text that says something, or [`NONE`].
fn unless_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    if text == NONE { Ok(None) } else { parse::<D, T>(&text).map(Some) }
}

fn all_parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Multiaddr>, D::Error> {
    Vec::<String>::deserialize(deserializer)?.iter().map(|text| parse::<D, Multiaddr>(text)).collect()
}

impl Config {
    /// The sections of a node in the text of a settings file. Relative paths are taken from the folder `beside`, `~/` is `home`.
    ///
    /// # Errors
    /// [`ConfigError::Text`], which names what is wrong and where.
    pub fn parse(text: &str, beside: Option<&Path>, home: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Text(error.to_string().trim_end().to_owned()))?;
        let paths = [&mut config.node.folder, &mut config.network.genesis, &mut config.gateway.pieces];
        for path in paths.into_iter().flatten() {
            *path = match (path.strip_prefix("~"), home, beside) {
                (Ok(rest), Some(home), _) => home.join(rest),
                (_, _, Some(folder)) => folder.join(&*path),
                _ => path.clone(),
            };
        }
        Ok(config)
    }

    /// What is listened on that others than this machine can reach, with what it is; not the gateway, which is there for others.
    pub fn exposed(&self) -> Vec<(&'static str, SocketAddr)> {
        let rpc = self.rpc.listen.filter(|_| !self.rpc.require_token);
        let all = [("the JSON-RPC", rpc), ("the metrics", self.metrics.listen)];
        let all = all.into_iter().filter_map(|(what, listen)| Some((what, listen?)));
        all.filter(|(_, listen)| !listen.ip().is_loopback()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Config, String> {
        Config::parse(text, Some(Path::new("/etc/f")), Some(Path::new("/home/me"))).map_err(|error| error.to_string())
    }

    #[test]
    fn default_file_has_every_key_with_its_default() {
        assert_eq!(of(DEFAULT).unwrap(), Config::default());
        let table: toml::Table = DEFAULT.parse().unwrap();
        let keys: usize = table.values().map(|section| section.as_table().unwrap().len()).sum();
        assert_eq!((table.len(), keys), (9, 1 + 2 + 12 + 3 + 1 + 2 + 1 + 1 + 1));
        // Above every key it is said what it does.
        let lines: Vec<&str> = DEFAULT.lines().collect();
        for pair in lines.windows(2) {
            assert!(!pair[1].contains(" = ") || pair[1].starts_with('#') || pair[0].starts_with('#'), "{}", pair[1]);
        }
    }

    #[test]
    fn keys_are_read_and_paths_are_of_the_file() {
        let config = of("profile = \"filecash\"\n[node]\nfolder = \"~/n\"\n[network]\ngenesis = \"g.car\"\nname = \"x\"\n\
                         [host]\nlisten = [\"/ip4/0.0.0.0/tcp/1\"]\nmax_streams = 7\nmax_window_kib = 8\nidle_seconds = 9\n[rpc]\nlisten = \"0.0.0.0:1\"\n\
                         [metrics]\nlisten = \"[::1]:2\"\n[gateway]\nlisten = \"0.0.0.0:3\"\npieces = \"p\"\n[bitswap]\nenabled = false")
            .unwrap();
        assert_eq!(config.node.folder, Some("/home/me/n".into()));
        assert_eq!(config.network, NetworkConfig { genesis: Some("/etc/f/g.car".into()), name: Some("x".to_owned()) });
        assert_eq!(config.host.listen[0].to_string(), "/ip4/0.0.0.0/tcp/1");
        let limits = Limits { streams: 7, window: 8192, idle: Duration::from_secs(9), ..Limits::default() };
        assert_eq!(config.host.limits(), limits);
        let exposed = config.exposed();
        assert_eq!(exposed, [("the JSON-RPC", "0.0.0.0:1".parse().unwrap())]);
        let gateway = GatewayConfig { listen: Some("0.0.0.0:3".parse().unwrap()), pieces: Some("/etc/f/p".into()) };
        assert_eq!((&config.gateway, config.bitswap.enabled, config.graphsync.enabled), (&gateway, false, true));
        let closed = Config { rpc: RpcConfig { require_token: true, ..config.rpc.clone() }, ..config };
        assert_eq!(closed.exposed(), []);
        assert_eq!(of("[rpc]\nlisten = \"none\"").unwrap().rpc.listen, None);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, words) in [
            ("[node]\nfoldr = \"x\"", &["foldr", "folder"][..]),
            ("[host]\nlisten = [\"nowhere\"]", &["nowhere", "listen"]),
            ("[host]\nmax_streams = -1", &["max_streams"]),
            ("[host]\nmax_streams = 70000", &["max_streams"]),
            ("[rpc]\nlisten = \"1234\"", &["1234", "listen"]),
            ("[rpc]\nlisten = 1234", &["1234", "listen"]),
            ("[metrics]\nport = 1", &["port"]),
            ("[network]\nport = 1", &["port", "genesis"]),
            ("[gateway]\nport = 1", &["port", "pieces"]),
            ("[graphsync]\nenabled = 1", &["enabled"]),
            ("rpc = 1", &["rpc"]),
            ("[rpc", &["line 1"]),
        ] {
            let error = of(text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }
}
