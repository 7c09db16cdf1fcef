//! The key by which a node is known: Ed25519, in the protobuf form that all libp2p programs keep it in, in a file that only its owner reads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use libp2p::identity::DecodingError;
pub use libp2p::identity::Keypair;

/// The longest file that is looked into; a key takes 68 bytes.
const MAX_BYTES: u64 = 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum IdentityError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} holds no key of a node", path.display())]
    Key { path: PathBuf, source: DecodingError },
    #[error("{} can be read by others (mode {mode:o}); chmod 600 makes it yours", path.display())]
    Exposed { path: PathBuf, mode: u32 },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { action, path, source }
}

/// The key in a file, which is made with its folder if it is not there.
///
/// # Errors
/// [`IdentityError`]. A file that is there is never replaced.
pub fn load_or_make(path: &Path) -> Result<Keypair, IdentityError> {
    match load(path) {
        Err(IdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => make(path),
        outcome => outcome,
    }
}

fn load(path: &Path) -> Result<Keypair, IdentityError> {
    let file = File::open(path).map_err(failed("open", path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed("look at", path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed("read", path))?;
    Keypair::from_protobuf_encoding(&bytes).map_err(|source| IdentityError::Key { path: path.to_owned(), source })
}

fn make(path: &Path) -> Result<Keypair, IdentityError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    let key = Keypair::generate_ed25519();
    let encoded = key.to_protobuf_encoding();
    let bytes = encoded.map_err(|source| IdentityError::Key { path: path.to_owned(), source })?;
    // Temporary files are their owner's alone.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed("write into", folder))?;
    file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(failed("write", path))?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            #[cfg(unix)]
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flush the folder of", path))?;
            Ok(key)
        }
        // Another made it meanwhile.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(failed("name", path)(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_made_once_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net/identity.key");
        let key = load_or_make(&path).unwrap();
        assert!(key.public().to_peer_id().to_base58().starts_with("12D3KooW"));
        assert_eq!(load_or_make(&path).unwrap().public(), key.public());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(load_or_make(&path), Err(IdentityError::Exposed { mode: 0o640, .. })));
        }
    }

    #[test]
    fn file_that_is_no_key_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        for content in [&b""[..], b"my notes", &[0xff; 5000]] {
            fs::write(&path, content).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            assert!(matches!(load_or_make(&path), Err(IdentityError::Key { .. })));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        let error = load_or_make(&path.join("below")).unwrap_err();
        assert!(matches!(error, IdentityError::Io { .. }), "{error}");
    }

    /// Many at the same time get the same key.
    #[test]
    fn one_of_many_makes_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let ids = std::thread::scope(|scope| {
            let makers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| load_or_make(&path).unwrap().public().to_peer_id())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
}
