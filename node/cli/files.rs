//! Reading inputs and writing results.
//!
//! A result appears under its name whole or not at all: it is written beside its place, synced, renamed, and the
//! folder synced. Nothing is replaced unless somebody said so.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::store::atomic::AtomicFile;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::report::{Failure, Kind};

/// Fails when a result would replace a file.
pub fn refuse_existing(path: &Path, force: bool) -> anyhow::Result<()> {
    if force || fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let message = format!("{} is already there", path.display());
    Err(Failure::new(Kind::Exists, message).hint("--force replaces it").into())
}

/// A result being written.
pub struct Output {
    file: BufWriter<AtomicFile>,
    path: PathBuf,
    force: bool,
}

impl Output {
    /// Begins a result at `path`, whose folder has to exist.
    pub fn create(path: &Path, force: bool) -> anyhow::Result<Self> {
        refuse_existing(path, force)?;
        Ok(Self { file: BufWriter::new(AtomicFile::create(path)?), path: path.to_owned(), force })
    }

    /// Gives the result its name.
    pub fn commit(self) -> anyhow::Result<()> {
        let Self { file, path, force } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        // It may have appeared since.
        refuse_existing(&path, force)?;
        Ok(file.commit()?)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Does `work` that writes into a folder, which is made before, so that one that cannot be is noticed; if the work fails
/// and left nothing in it, a folder made here is gone again.
pub fn in_folder<T>(folder: &Path, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let fresh = !folder.exists();
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let outcome = work();
    if outcome.is_err() && fresh {
        // Only if it is empty.
        drop(fs::remove_dir(folder));
    }
    outcome
}

/// Writes a whole result.
pub fn write(path: &Path, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    let mut output = Output::create(path, force)?;
    output.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
    output.commit()
}

/// JSON on one line, with a line end.
pub fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a whole file; the message names it and what it was wanted for.
pub fn read(path: &Path, what: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read the {what} {}", path.display()))
}

/// Reads JSON.
pub fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    let bytes = read(path, what)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Kind::Input, format!("{} is no {what}: {error}", path.display())).into())
}

/// Opens an input for streaming, `-` being standard input; gives its length where known.
pub fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let context = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(context)?;
    let metadata = file.metadata().with_context(context)?;
    if metadata.is_dir() {
        return Err(Failure::new(Kind::Input, format!("{} is a folder, not a file", path.display())).into());
    }
    let length = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), length))
}

/// Fails unless `path` is a file.
pub fn require_file(path: &Path, what: &str) -> anyhow::Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read the {what} {}", path.display()))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    Err(Failure::new(Kind::Input, format!("the {what} {} is not a file", path.display())).into())
}

/// Whether a file is a copy of another, extended with zeros to `size` bytes.
pub fn is_extended_copy(copy: &Path, original: &Path, size: u64) -> anyhow::Result<bool> {
    if require_file(copy, "file")? != size {
        return Ok(false);
    }
    let open = |path: &Path| File::open(path).with_context(|| format!("cannot read {}", path.display()));
    let failed = || format!("cannot compare {} with {}", copy.display(), original.display());
    let (mut copy, mut original) = (open(copy)?, open(original)?.chain(io::repeat(0)));
    let mut blocks = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut left = size;
    while left > 0 {
        let [ours, theirs] = blocks.each_mut().map(|block| &mut block[..left.min(1 << 20) as usize]);
        copy.read_exact(ours).and_then(|()| original.read_exact(theirs)).with_context(failed)?;
        if ours != theirs {
            return Ok(false);
        }
        left -= ours.len() as u64;
    }
    Ok(true)
}

/// The folder of a path.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_whole_and_replace_nothing_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write(&path, b"one", false).unwrap();
        assert!(write(&path, b"two", false).unwrap_err().to_string().contains("already there"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");

        let mut abandoned = Output::create(&path, true).unwrap();
        abandoned.write_all(b"three").unwrap();
        drop(abandoned);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_inputs_are_named() {
        let error = read(Path::new("/nowhere/pc1.json"), "PC1 output").unwrap_err().to_string();
        assert!(error.contains("/nowhere/pc1.json") && error.contains("PC1 output"), "{error}");
        assert!(open(Path::new("/")).err().unwrap().to_string().contains("folder"));
    }
}
