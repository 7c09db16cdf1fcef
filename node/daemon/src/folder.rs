//! What a node keeps in its folder.
//!
//! | Name | What |
//! |---|---|
//! | `lock` | is locked as long as a node runs |
//! | `identity.key` | the key that other nodes know it by |
//! | `secret` | what tokens are made under |
//! | `token` | a token for everything, for who may read the folder; as Lotus has it |
//! | `api` | where the node is called, as a multiaddr; as Lotus has it, and there as long as the node runs |
//! | `transfers.redb` | channels of data transfer |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use filecash_net::identity::{self, IdentityError};
use filecash_rpc::auth::{AuthError, Level, Tokens, write_private};

/// The longest `api` or `token` that is read.
const MAX_BYTES: u64 = 4096;

/// Why a folder is not a node's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FolderError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("a node runs in {} already; another needs a folder and blocks of its own", path.display())]
    InUse { path: PathBuf },
    #[error("no node runs in {}: it has no file {name}", path.display())]
    NotRunning { path: PathBuf, name: &'static str },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Auth(#[from] AuthError),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { action, path, source }
}

/// A folder that is this node's alone, as long as this value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
    /// By which other nodes know this one.
    pub key: identity::Keypair,
    /// Who may call.
    pub tokens: Tokens,
}

impl Folder {
    /// Takes a folder, which is made with what is missing in it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        make_private(path).map_err(failed("make the folder", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        let key = identity::load_or_make(&path.join("identity.key"))?;
        let tokens = Tokens::load_or_make(&path.join("secret"))?;
        let folder = Self { path: path.to_owned(), _lock: lock, key, tokens };
        // A node that was killed may have left it.
        folder.forget_api();
        Ok(folder)
    }

    /// Where its channels of data transfer are.
    pub fn transfers(&self) -> PathBuf {
        self.path.join("transfers.redb")
    }

    /// Says where the node is called.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn tell_api(&self, listen: SocketAddr) -> Result<(), FolderError> {
        write_private(&self.path.join("token"), self.tokens.make(&Level::ALL).as_bytes())?;
        Ok(write_private(&self.path.join("api"), multiaddr(listen).as_bytes())?)
    }

    fn forget_api(&self) {
        let _ = fs::remove_file(self.path.join("api"));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.forget_api();
    }
}

/// Where the node of a folder is called, as Lotus writes it in its settings: `TOKEN:MULTIADDR`.
///
/// # Errors
/// [`FolderError`], also when none runs.
pub fn api_of(path: &Path) -> Result<String, FolderError> {
    let read = |name: &'static str| {
        let file = path.join(name);
        let mut text = String::new();
        match File::open(&file).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
            Ok(_) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(FolderError::NotRunning { path: path.to_owned(), name })
            }
            Err(error) => Err(failed("read", &file)(error)),
        }
    };
    Ok(format!("{}:{}", read("token")?, read("api")?))
}

/// An address at which this machine reaches what listens there.
fn multiaddr(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    let kind = if ip.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{kind}/{ip}/tcp/{}/http", listen.port())
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_one_nodes_at_a_time_and_keeps_its_key() {
        let sandbox = tempfile::tempdir().unwrap();
        let path = sandbox.path().join("a/node");
        let folder = Folder::open(&path).unwrap();
        assert!(matches!(Folder::open(&path), Err(FolderError::InUse { .. })));
        assert!(matches!(api_of(&path), Err(FolderError::NotRunning { .. })));
        folder.tell_api("0.0.0.0:99".parse().unwrap()).unwrap();
        let api = api_of(&path).unwrap();
        let (token, address) = api.split_once(':').unwrap();
        assert_eq!(address, "/ip4/127.0.0.1/tcp/99/http");
        assert_eq!(folder.tokens.verify(token), Some(Level::ALL.to_vec()));
        #[cfg(unix)]
        for name in ["", "token", "secret", "identity.key"] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o077, 0, "{name}");
        }
        let key = folder.key.public();
        drop(folder);
        assert!(matches!(api_of(&path), Err(FolderError::NotRunning { name: "api", .. })));
        let again = Folder::open(&path).unwrap();
        assert_eq!(again.key.public(), key);
        assert!(again.tokens.verify(token).is_some());
        assert_eq!(multiaddr("[::]:1".parse().unwrap()), "/ip6/::1/tcp/1/http");
    }
}
