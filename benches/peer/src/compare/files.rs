//! Files of runs: copied, compared, removed.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Copies a folder of files and folders.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Whether two files hold the same.
pub(super) fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let open = |path: &Path| Ok::<_, std::io::Error>((BufReader::new(File::open(path)?), fs::metadata(path)?.len()));
    let ((mut one, length), (mut other, other_length)) = (open(one)?, open(other)?);
    if length != other_length {
        return Ok(false);
    }
    let mut blocks = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut left = length;
    while left > 0 {
        let [ours, theirs] = blocks.each_mut().map(|block| &mut block[..left.min(1 << 20) as usize]);
        one.read_exact(ours)?;
        other.read_exact(theirs)?;
        if ours != theirs {
            return Ok(false);
        }
        left -= ours.len() as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("cache")).unwrap();
        fs::write(from.join("cache/layer"), b"labels").unwrap();
        fs::write(from.join("sealed"), b"replica").unwrap();
        let to = folder.path().join("to");
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("cache/layer")).unwrap(), b"labels");
        assert_eq!(fs::read(to.join("sealed")).unwrap(), b"replica");
        remove(&to).unwrap();
        remove(&to).unwrap();
        assert!(!to.exists());
    }

    #[test]
    fn differences_anywhere_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let mut bytes = vec![7; (1 << 20) + 3];
        fs::write(&one, &bytes).unwrap();
        fs::write(&other, &bytes).unwrap();
        assert!(same_bytes(&one, &other).unwrap());
        for at in [0, 1 << 20, (1 << 20) + 2] {
            bytes[at] ^= 1;
            fs::write(&other, &bytes).unwrap();
            assert!(!same_bytes(&one, &other).unwrap());
            bytes[at] ^= 1;
        }
        fs::write(&other, &bytes[1..]).unwrap();
        assert!(!same_bytes(&one, &other).unwrap());
    }
}
