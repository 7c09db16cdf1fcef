//! Files of runs: copied, compared, removed.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::program::Files;
use crate::phases::read_json;

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

/// Whether two files hold the same; of JSON the same values.
pub(super) fn same(one: &Path, other: &Path) -> Result<bool> {
    if one.extension() == Some("json".as_ref()) {
        return Ok(read_json::<Value>(one)? == read_json::<Value>(other)?);
    }
    same_bytes(one, other)
}

/// Whether two files hold the same bytes.
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

/// CommR and CommD in hexadecimal, out of what PC2 left.
pub(super) fn comms(files: &Files) -> Result<[String; 2]> {
    let output: Value = read_json(&files.path("pc2.json"))?;
    let comm = |name: &str| -> Result<String> {
        let bytes: [u8; 32] = serde_json::from_value(output[name].clone()).with_context(|| name.to_owned())?;
        Ok(hex::encode(bytes))
    };
    Ok([comm("comm_r")?, comm("comm_d")?])
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

    #[test]
    fn json_is_the_same_however_it_is_spaced() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other, third] = ["one.json", "other.json", "third.json"].map(|name| folder.path().join(name));
        fs::write(&one, "[{\"a\": 1, \"b\": 2}]\n").unwrap();
        fs::write(&other, "[{\"b\":2,\"a\":1}]").unwrap();
        fs::write(&third, "[{\"b\":2,\"a\":3}]").unwrap();
        assert!(same(&one, &other).unwrap() && !same(&one, &third).unwrap() && !same_bytes(&one, &other).unwrap());
    }

    #[test]
    fn commitments_come_in_hexadecimal() {
        let folder = tempfile::tempdir().unwrap();
        let output = serde_json::json!({ "comm_d": vec![1; 32], "comm_r": vec![0xab; 32] });
        fs::write(folder.path().join("pc2.json"), output.to_string()).unwrap();
        assert_eq!(comms(&Files::under(folder.path())).unwrap(), ["ab".repeat(32), "01".repeat(32)]);
    }
}
