//! Where a PostgreSQL server is, and connections to it.
//!
//! An address is that of the server's own clients, `postgres://user:password@host:port/database?name=value`. Of `sslmode`, `require`,
//! `verify-ca` and `verify-full` mean the same here: encrypted, to a server whose certificate is of its host's name and signed by an
//! authority in the file of `sslrootcert`, or by one that browsers trust. The other modes and none mean not encrypted.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{PATIENCE, Store, StoreError};

/// How long a server may take to answer a call, and how long a connection is silent before it is asked whether it lives.
const CONNECT: Duration = Duration::from_secs(10);
const ALIVE: Duration = Duration::from_secs(15);
/// A server drops a transaction whose client is gone, and a statement that would wait for one.
const LIMITS: &str =
    "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'; SET statement_timeout = '120s'";

/// An address, understood.
pub(super) struct Address {
    config: Config,
    /// Whose certificates are trusted; `None` for a connection that is not encrypted.
    trusted: Option<Trusted>,
}

enum Trusted {
    Browsers,
    File(PathBuf),
}

impl FromStr for Address {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::Address { reason };
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut is_encrypted, mut roots, mut others) = (false, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8().map_err(|error| bad(error.to_string()))?;
            match name {
                "sslmode" => match &*value {
                    "disable" | "allow" | "prefer" => is_encrypted = false,
                    "require" | "verify-ca" | "verify-full" => is_encrypted = true,
                    other => return Err(bad(format!("there is no sslmode {other:?}"))),
                },
                "sslrootcert" => roots = Some(PathBuf::from(&*value)),
                _ => others.push(pair),
            }
        }
        let mark = if others.is_empty() { "" } else { "?" };
        let mut config: Config = format!("{place}{mark}{}", others.join("&"))
            .parse()
            .map_err(|error: postgres::Error| bad(error.to_string()))?;
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        // Neither side waits long for one that is gone.
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.tcp_user_timeout(PATIENCE).keepalives_idle(ALIVE).keepalives_interval(ALIVE / 3);
        let trusted = is_encrypted.then(|| roots.map_or(Trusted::Browsers, Trusted::File));
        Ok(Self { config, trusted })
    }
}

impl Address {
    /// Connects.
    pub fn connect(&self, store: &Store) -> Result<Client, StoreError> {
        let client = match &self.trusted {
            None => self.config.connect(NoTls),
            Some(trusted) => self.config.connect(trusted.connector()?),
        };
        let failed = |source| StoreError::Postgres { store: store.clone(), source };
        let mut client = client.map_err(failed)?;
        client.batch_execute(LIMITS).map_err(failed)?;
        Ok(client)
    }

    /// Whether what is said can be read by who carries it to another machine.
    pub fn is_exposed(&self) -> bool {
        let is_far = |host: &Host| match host {
            Host::Tcp(name) => {
                name != "localhost" && name.parse().map_or(true, |address: std::net::IpAddr| !address.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => false,
        };
        self.trusted.is_none() && self.config.get_hosts().iter().any(is_far)
    }
}

impl Trusted {
    fn connector(&self) -> Result<MakeRustlsConnect, StoreError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::Browsers => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Self::File(path) => {
                let failed = |reason: String| StoreError::Certificates { path: path.clone(), reason };
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
                    let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                    roots.add(certificate).map_err(|error| failed(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(failed("there is no certificate in it".to_owned()));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| StoreError::Address { reason: error.to_string() })?;
        Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}
