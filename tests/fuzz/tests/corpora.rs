//! Every corpus file through its target, with the ordinary compiler. Cargo runs a test in its package's folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use filecash_fuzz::TARGETS;

/// All corpora together, so that the repository stays small.
const MAX_BYTES: u64 = 200 << 10;

/// The valid inputs of every corpus, with the number of ways in which the target accepts them.
const VALID: &[(&str, &[(&str, usize)])] = &[
    ("aggregate", &[("two", 1)]),
    ("bitswap_engine", &[("message", 4), ("wants", 2)]),
    ("bitswap_session", &[("one-peer", 3), ("search", 1)]),
    // Forms of the API and the library, of both networks.
    ("c1_bincode", &[("sample", 4)]),
    ("c1_json", &[("sample", 2)]),
    // Padding is there or may be there.
    ("car", &[("indexed", 2), ("js", 2), ("padded", 1)]),
    ("chain_wire", &[("hello", 1), ("latency", 1), ("request", 1), ("response", 1)]),
    ("cid", &[("replica", 1), ("zero-piece", 1)]),
    ("dag", &[("cbor", 1), ("data-first", 1), ("empty", 1), ("pb", 1)]),
    // By itself and in an extension; a channel that was read, and events of which something came.
    (
        "data_transfer",
        &[
            ("please-restart", 1),
            ("pulls", 9),
            ("push", 2),
            ("push-1.0", 2),
            ("pushes", 4),
            ("responds", 7),
            ("saved", 10),
        ],
    ),
    // What is no address is a folder.
    ("fetch_places", &[("gateway", 1), ("mirror", 1), ("range", 2)]),
    ("field_element", &[("around-the-modulus", 2), ("small", 2)]),
    ("fr32_pad", &[("empty", 1), ("one-by-one", 1), ("ones", 1), ("steps", 1)]),
    ("fr32_unpad", &[("empty", 1), ("one-by-one", 2), ("ones", 1), ("steps", 2)]),
    ("gateway", &[("car", 2), ("piece", 2), ("raw", 2)]),
    ("graphsync_pull", &[("missing", 2), ("whole", 1)]),
    ("graphsync_responder", &[("held", 5), ("many", 19), ("message", 1), ("whole", 1)]),
    ("manifest", &[("empty", 1), ("one", 2)]),
    ("p_aux", &[("aux", 1)]),
    ("params_header", &[("params", 1)]),
    ("parent_table", &[("right", 1)]),
    // Files of two shapes, and the only partition of the smaller one.
    ("partition_proofs", &[("sample", 3)]),
    // Names that both networks have; PC2 in library form reads the API's, too.
    ("pc1_json", &[("filecash-api", 2), ("filecoin-api", 2), ("library", 2)]),
    ("pc2_json", &[("filecash-api", 3), ("filecoin-api", 3), ("library", 1)]),
    ("piece_sizes", &[("places", 9), ("sizes", 17)]),
    ("pieces_json", &[("full", 3), ("gaps", 2), ("huge", 1), ("none", 4)]),
    ("post_vanilla", &[("sample", 3)]),
    ("proof_bytes", &[("one", 1), ("two", 2)]),
    ("rpc", &[("batch", 4), ("height", 1), ("state", 1), ("token", 1), ("version", 1)]),
    ("seal_list_json", &[("none", 1), ("two", 2)]),
    ("settings", &[("all", 1), ("bytes", 1), ("empty", 1)]),
    ("srs", &[("four", 2)]),
    ("sync", &[("liar", 1), ("whole", 1)]),
    ("synthetic_record", &[("sample", 1)]),
    ("t_aux", &[("2KiB", 1), ("4GiB", 1), ("4KiB", 1)]),
    ("update_json", &[("2KiB", 1)]),
    ("vk", &[("key", 1)]),
];

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

/// Otherwise most of what the targets assert would be asserted of nothing.
#[test]
fn valid_inputs_are_accepted() {
    assert!(VALID.iter().map(|(name, _)| *name).eq(TARGETS.iter().map(|(name, _)| *name)), "other targets than these");
    let mut wrong = Vec::new();
    for ((name, target), (_, inputs)) in TARGETS.iter().zip(VALID) {
        assert!(!inputs.is_empty(), "{name}");
        for (input, expected) in *inputs {
            let accepted = target(&fs::read(Path::new("corpus").join(name).join(input)).unwrap());
            if accepted != *expected {
                wrong.push(format!("{name}/{input} is accepted in {accepted} ways, not in {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The large samples are not in the corpora, but what reads them is.
#[test]
fn whole_samples_hold() {
    let mut accepted = Vec::new();
    for entry in fs::read_dir("../vectors").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json")
            && filecash_fuzz::c1_json(&fs::read(&path).unwrap()) > 0
        {
            accepted.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    accepted.sort();
    assert_eq!(accepted, ["filecash-2kib-c1-v1.json", "filecash-2kib-c1-v1_1.json"]);
}
