//! Every recorded vector is read by a test and has a known origin.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The files below a folder, built and hidden folders left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let below = entries.flat_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && name != "target" && !name.starts_with('.') => files(&entry.path()),
            kind if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        }
    });
    below.collect()
}

#[test]
fn every_vector_is_named_by_a_source_file_and_by_the_readme() {
    // Cargo runs a test in its package's folder.
    let root = Path::new("..");
    let vectors = root.join("tests/vectors");
    let readme = fs::read_to_string(vectors.join("README.md")).unwrap();
    let sources = files(root).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let sources: Vec<String> = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
    let names: Vec<String> = files(&vectors)
        .into_iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "README.md")
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(sources.iter().any(|source| source.contains(&name)), "no source file reads {name}");
        assert!(readme.contains(&name), "the README does not say where {name} comes from");
    }
}
