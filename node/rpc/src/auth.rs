//! The tokens that say what one may do: JWT of HS256 whose payload is `{"Allow": ["read", …]}`, as Lotus makes them.
//!
//! The secret is 32 bytes in a file that only its owner reads. Whoever has no token may read.
//!
//! Source: `spec/attach.md` B.2.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const SECRET_BYTES: usize = 32;
/// The longest token that is looked at.
const MAX_BYTES: usize = 1024;

/// What one may do; who may do something may do what stands before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Level {
    Read,
    Write,
    Sign,
    Admin,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Sign, Self::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Sign => "sign",
            Self::Admin => "admin",
        }
    }
}

/// Why there is no secret or token in a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AuthError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} holds no secret of {SECRET_BYTES} bytes", path.display())]
    Secret { path: PathBuf },
    #[error("{} can be read by others (mode {mode:o}); chmod 600 makes it yours", path.display())]
    Exposed { path: PathBuf, mode: u32 },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuthError {
    let path = path.to_owned();
    move |source| AuthError::Io { action, path, source }
}

/// Makes tokens and tells good ones from others.
#[derive(Clone)]
pub struct Tokens {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(rename = "Allow")]
    allow: Vec<Level>,
}

impl Tokens {
    /// Under a secret.
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        Self { mac: Hmac::new_from_slice(secret).expect("HMAC takes keys of all lengths") }
    }

    /// Under the secret in a file, which is made if it is not there.
    ///
    /// # Errors
    /// [`AuthError`]. A file that is there is never replaced.
    pub fn load_or_make(path: &Path) -> Result<Self, AuthError> {
        match load(path) {
            Err(AuthError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let mut secret = [0; SECRET_BYTES];
                OsRng
                    .try_fill_bytes(&mut secret)
                    .map_err(|error| failed("make", path)(io::Error::other(error.to_string())))?;
                write_private(path, &secret)?;
                Ok(Self::new(&secret))
            }
            outcome => Ok(Self::new(&outcome?)),
        }
    }

    /// A token for some levels.
    pub fn make(&self, allow: &[Level]) -> String {
        let payload = serde_json::json!({ "Allow": allow }).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEAD), URL_SAFE_NO_PAD.encode(payload));
        let code = self.mac.clone().chain_update(signed.as_bytes()).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code))
    }

    /// What a token allows, if it is ours.
    pub fn verify(&self, token: &str) -> Option<Vec<Level>> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, code) = token.rsplit_once('.')?;
        let (head, payload) = signed.split_once('.')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        self.mac.clone().chain_update(signed.as_bytes()).verify_slice(&code).ok()?;
        // No other way to sign is ever accepted.
        if URL_SAFE_NO_PAD.decode(head).ok()? != HEAD.as_bytes() {
            return None;
        }
        let payload: Payload = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        Some(payload.allow)
    }
}

fn load(path: &Path) -> Result<[u8; SECRET_BYTES], AuthError> {
    let file = File::open(path).map_err(failed("open", path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed("look at", path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuthError::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    bytes.try_into().map_err(|_| AuthError::Secret { path: path.to_owned() })
}

/// Writes a file that only its owner reads, whole or not at all.
///
/// # Errors
/// [`AuthError::Io`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), AuthError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    // Temporary files are their owner's alone.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed("write into", folder))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed("write", path))?;
    file.persist(path).map_err(|error| failed("name", path)(error.error))?;
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flush the folder of", path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac` and `base64`.
    #[test]
    fn token_is_the_one_that_others_make() {
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.make(&Level::ALL);
        assert_eq!(
            token,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJBbGxvdyI6WyJyZWFkIiwid3JpdGUiLCJzaWduIiwiYWRtaW4iXX0.X5XC5Qx5H971xDr97H4RUS8WyX_bauPf15W7dorUl5Q"
        );
        assert_eq!(tokens.verify(&token), Some(Level::ALL.to_vec()));
    }

    #[test]
    fn other_tokens_are_nothing() {
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.make(&[Level::Read]);
        for other in ["", ".", "..", "a.b.c", &token[1..], &token[..token.len() - 1], &"x".repeat(5000)] {
            assert_eq!(tokens.verify(other), None, "{other}");
        }
        assert_eq!(Tokens::new(&[8; 32]).verify(&token), None);
        // Signed by nobody, as some programs once believed.
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let payload = token.split('.').nth(1).unwrap();
        assert_eq!(tokens.verify(&format!("{none}.{payload}.")), None);
    }

    #[test]
    fn secret_is_made_once_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rpc/secret");
        let token = Tokens::load_or_make(&path).unwrap().make(&[Level::Admin]);
        assert_eq!(Tokens::load_or_make(&path).unwrap().verify(&token), Some(vec![Level::Admin]));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::write(&path, "short").unwrap();
        assert!(matches!(Tokens::load_or_make(&path), Err(AuthError::Secret { .. })));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(Tokens::load_or_make(&path), Err(AuthError::Exposed { mode: 0o644, .. })));
        }
    }
}
