//! The bytes of a folder, and the first difference between two.
//!
//! Files that only we keep, a manifest of digests and a lock, are left out; their names begin with `filecash`.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// How the names of files begin that the reference does not know.
const OURS: &str = "filecash";

/// Every file below a folder by its relative path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<String, Vec<u8>>);

impl Snapshot {
    /// Reads a folder.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files)?;
        Ok(Self(files))
    }

    /// Replaces a text in every file by another of the same length, such as the folder's own path.
    pub fn replacing(mut self, text: &str, by: &str) -> Self {
        assert_eq!(text.len(), by.len(), "lengths are written before paths");
        for bytes in self.0.values_mut() {
            let mut at = 0;
            while at + text.len() <= bytes.len() {
                if bytes[at..].starts_with(text.as_bytes()) {
                    bytes[at..at + text.len()].copy_from_slice(by.as_bytes());
                    at += text.len();
                } else {
                    at += 1;
                }
            }
        }
        self
    }

    /// The first difference in words, `None` if there is none.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let names: Vec<_> = self.0.keys().collect();
        let others: Vec<_> = other.0.keys().collect();
        if names != others {
            return Some(format!("files {names:?} and {others:?}"));
        }
        self.0
            .iter()
            .zip(other.0.values())
            .find_map(|((name, bytes), other)| Some(format!("{name}: {}", difference(bytes, other)?)))
    }
}

/// The first difference of two byte strings in words, `None` if they are equal.
pub fn difference(left: &[u8], right: &[u8]) -> Option<String> {
    if left == right {
        return None;
    }
    let at = left.iter().zip(right).position(|(left, right)| left != right).unwrap_or(left.len().min(right.len()));
    let around = |bytes: &[u8]| hex::encode(&bytes[at..bytes.len().min(at + 32)]);
    let (left_bytes, right_bytes) = (around(left), around(right));
    Some(format!("{} and {} bytes, differ from byte {at}: {left_bytes} and {right_bytes}", left.len(), right.len()))
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if !entry.file_name().to_string_lossy().starts_with(OURS) {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(files: &[(&str, &[u8])]) -> Snapshot {
        Snapshot(files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect())
    }

    #[test]
    fn differences_are_named() {
        let left = snapshot(&[("a", b"same"), ("b", b"left")]);
        assert_eq!(left.difference(&left), None);
        assert!(left.difference(&snapshot(&[("a", b"same")])).is_some());
        let text = left.difference(&snapshot(&[("a", b"same"), ("b", b"lest")])).unwrap();
        assert!(text.starts_with("b: 4 and 4 bytes, differ from byte 2"), "{text}");
        assert!(difference(b"ab", b"abc").unwrap().contains("from byte 2"));
    }

    #[test]
    fn paths_are_replaced() {
        let text = snapshot(&[("t_aux", b"/x/1|/x/1|/x/2")]).replacing("/x/1", "/x/2");
        assert_eq!(text, snapshot(&[("t_aux", b"/x/2|/x/2|/x/2")]));
    }
}
