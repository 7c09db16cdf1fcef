//! Every corpus file through its target, with the ordinary compiler. Cargo runs a test in its package's folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use filecash_fuzz::TARGETS;

/// All corpora together, so that the repository stays small.
const MAX_BYTES: u64 = 200 << 10;

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let cargo = fs::read_to_string("Cargo.toml").unwrap();
    for name in &targets {
        assert!(cargo.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(fs::read_dir(Path::new("corpus").join(name)).unwrap().count() > 0, "{name} has an empty corpus");
    }
}

#[test]
fn corpora_hold() {
    let mut bytes = 0;
    for (name, target) in TARGETS {
        for entry in fs::read_dir(Path::new("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            bytes += input.len() as u64;
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{} fails", path.display());
            }
        }
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes of corpora");
}

/// The large samples are not in the corpora, but what reads them is.
#[test]
fn whole_samples_hold() {
    for entry in fs::read_dir("../vectors").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            filecash_fuzz::c1_json(&fs::read(path).unwrap());
        }
    }
}
