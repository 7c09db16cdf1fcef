use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::porep::proof::MalformedProof;

const V1: &[u8] = include_bytes!("../../../../tests/vectors/filecash-2kib-c1-v1.json");
const V1_1: &[u8] = include_bytes!("../../../../tests/vectors/filecash-2kib-c1-v1_1.json");

fn filecash(bytes: &[u8]) -> (SealProof, Commit1Output) {
    Commit1Output::from_api_json(Profile::Filecash, bytes).unwrap()
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    bytes
}

fn digest(bytes: &[u8]) -> (usize, String) {
    (bytes.len(), hex::encode(Sha256::digest(bytes)))
}

/// The sector of spec/replication.md 12.7 up to phase 2: outputs do not depend on more.
fn pc_outputs(id: u32) -> (SealProof, PreCommit1Output, PreCommit2Output) {
    let proof = SealProof::by_id(Profile::Filecoin, id).unwrap();
    let node = |text: &str| <Node>::try_from(hex::decode(text).unwrap()).unwrap();
    let comm_d = node("6eadd63463ef3576a34dcb6ff742f8448eb22f09d59b9795a4f55d257be3da35");
    let comm_r = match id {
        0 => node("0425bd0361f8d855e7d14160a316a91f06feb36241cee82b4b47507167ce9f72"),
        _ => node("25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33"),
    };
    let pc1 = PreCommit1Output::new("/c", proof.config().params, comm_d);
    (proof, pc1, PreCommit2Output { comm_r, comm_d })
}

/// spec/replication.md 12.7, "API-form outputs for the 2 KiB runs".
#[test]
fn pre_commit_json_matches_reference() {
    let table = [
        (
            5,
            (407, "bfc66b0a836876536a3cd615ef6f7cfd916743f344ab1effaebd024436e52d0b"),
            (293, "061f8191addcf52534b33e7fe2caff45b4941987b65076fcc34304f2e288200e"),
        ),
        (
            0,
            (405, "90a93d6e6b32c7b3358740d54f0e8b087dd609e224cebd3819b84e7ed151e18c"),
            (286, "a3ad3d1b2fbced8df3f21d99a4dc75937b1f3ffcfa237e0e9123215656fd0e84"),
        ),
    ];
    for (id, first, second) in table {
        let (proof, pc1, pc2) = pc_outputs(id);
        let bytes = written(|sink| pc1.write_api_json(&proof, sink));
        assert_eq!(digest(&bytes), (first.0, first.1.to_owned()));
        assert_eq!(PreCommit1Output::from_api_json(Profile::Filecoin, &bytes).unwrap(), (proof, pc1));
        let bytes = written(|sink| pc2.write_api_json(&proof, sink));
        assert_eq!(digest(&bytes), (second.0, second.1.to_owned()));
        assert_eq!(PreCommit2Output::from_api_json(Profile::Filecoin, &bytes).unwrap(), (proof, pc2));
    }
}

#[test]
fn pre_commit_library_forms_come_back() {
    let (proof, pc1, pc2) = pc_outputs(5);
    let bytes = written(|sink| pc1.write_json(sink));
    assert!(bytes.starts_with(br#"{"labels":{"labels":[{"path":"/c","id":"layer-1","size":64,"rows_to_discard":0},"#));
    assert_eq!(PreCommit1Output::from_json(&proof.config(), &bytes).unwrap(), pc1);
    let bytes = written(|sink| pc2.write_json(sink));
    assert!(bytes.starts_with(br#"{"comm_r":[37,20,"#));
    assert_eq!(PreCommit2Output::from_json(&bytes).unwrap(), pc2);
}

/// Newer sealing schedulers add a key of their own; the Filecash fork writes other `rows_to_discard`.
#[test]
fn pre_commit_json_of_other_writers_is_read() {
    let (proof, pc1, _) = pc_outputs(5);
    let text = String::from_utf8(written(|sink| pc1.write_api_json(&proof, sink))).unwrap();
    let other = text.replace(r#""comm_d""#, r#""_lotus_SealRandomness":"AQEB","comm_d""#);
    assert_eq!(PreCommit1Output::from_api_json(Profile::Filecoin, other.as_bytes()).unwrap().1, pc1);
    let other = text.replace(r#""rows_to_discard":0"#, r#""rows_to_discard":5"#).replace("127,", "null,");
    let (_, read) = PreCommit1Output::from_api_json(Profile::Filecoin, other.as_bytes()).unwrap();
    assert_eq!((read.config.size, read.labels[1].rows_to_discard), (None, 5));
}

#[test]
fn pre_commit_json_of_another_sector_is_refused() {
    let (proof, pc1, _) = pc_outputs(5);
    let text = String::from_utf8(written(|sink| pc1.write_api_json(&proof, sink))).unwrap();
    let read = |text: &str| PreCommit1Output::from_api_json(Profile::Filecoin, text.as_bytes()).unwrap_err();
    let error = read(&text.replace("StackedDrg2KiBV1_1", "StackedDrg8MiBV1_1"));
    let expected = "StackedDrg8MiBV1_1 goes with StackedDrg8MiBV1, not with StackedDrg2KiBV1";
    assert_eq!(error.to_string(), expected);
    let error = read(&text.replace("StackedDrg2KiBV1", "StackedDrg8MiBV1"));
    assert_eq!(error.to_string(), "the store is \"layer-1\" of 64 nodes, expected \"layer-1\" of 262144 nodes");
    let error = read(&text.replace("StackedDrg2KiBV1_1", "StackedDrg4GiBV1"));
    assert!(matches!(error, CodecError::UnknownProof(_)), "{error}");
    let error = read(&text.replace(r#","_h":null"#, ""));
    assert!(matches!(error, CodecError::Json(_)), "{error}");
}

/// tests/vectors/filecash-2kib-c1-*.json.
#[test]
fn commit_json_of_the_fork_is_rewritten_byte_for_byte() {
    for (bytes, id) in [(V1, 0), (V1_1, 7)] {
        let (proof, output) = filecash(bytes);
        assert_eq!(proof.id, id);
        assert_eq!(written(|sink| output.write_api_json(&proof, sink)), bytes);
    }
}

#[test]
fn every_form_of_a_commit_output_comes_back() {
    for profile in Profile::ALL {
        let (_, output) = filecash(V1_1);
        let proof = SealProof::for_size(profile, 2048).unwrap();
        let config = proof.config();
        let json = written(|sink| output.write_json(profile, sink));
        assert_eq!(Commit1Output::from_json(&config, &json).unwrap(), output);
        let json = written(|sink| output.write_api_json(&proof, sink));
        assert_eq!(Commit1Output::from_api_json(profile, &json).unwrap(), (proof, output.clone()));
        let bytes = written(|sink| output.write_bincode(sink));
        assert_eq!(bytes.len(), 28248);
        assert_eq!(Commit1Output::from_bincode(&config, &bytes).unwrap(), output);
        let api = written(|sink| output.write_api_bincode(&proof, sink));
        assert_eq!(api[..8], [proof.id as u8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(api[8..], bytes);
        assert_eq!(Commit1Output::from_api_bincode(profile, &api).unwrap(), (proof, output));
    }
}

#[test]
fn json_of_the_other_network_is_named() {
    let (proof, output) = filecash(V1);
    let error = Commit1Output::from_api_json(Profile::Filecoin, V1).unwrap_err();
    let named = |error: &CodecError, expected, found| matches!(error, CodecError::OtherProfile { expected: e, found: f } if (*e, *f) == (expected, found));
    assert!(named(&error, Profile::Filecoin, Profile::Filecash), "{error}");
    let json = written(|sink| output.write_json(Profile::Filecoin, sink));
    let error = Commit1Output::from_json(&proof.config(), &json).unwrap_err();
    assert!(named(&error, Profile::Filecash, Profile::Filecoin), "{error}");
}

/// Objects with their keys turned around, and white space everywhere.
fn shuffled(value: &Value, out: &mut String) {
    match value {
        Value::Array(values) => {
            out.push_str("[ ");
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i > 0 { "\n,\t" } else { "" });
                shuffled(value, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| std::cmp::Reverse(key.chars().rev().collect::<String>()));
            for (i, (key, value)) in fields.into_iter().enumerate() {
                out.push_str(if i > 0 { " , " } else { " " });
                out.push_str(&format!("\"{key}\" : "));
                shuffled(value, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[test]
fn any_order_of_keys_and_white_space_is_read() {
    let mut text = String::new();
    shuffled(&serde_json::from_slice(V1).unwrap(), &mut text);
    assert_ne!(text.as_bytes(), V1);
    assert_eq!(filecash(text.as_bytes()), filecash(V1));
}

#[test]
fn what_is_not_of_the_sectors_form_is_refused() {
    let read = |text: String| Commit1Output::from_api_json(Profile::Filecash, text.as_bytes()).unwrap_err();
    let text = String::from_utf8(V1.to_vec()).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        read(text.replacen(from, to, 1))
    };
    let proof = |error: CodecError| match error {
        CodecError::Proof { partition: 0, challenge, source } => (challenge, source),
        other => panic!("{other}"),
    };
    assert!(matches!(read(format!("{text} x")), CodecError::Json(_)));
    assert!(matches!(read(format!("{text}{text}")), CodecError::Json(_)));
    assert!(matches!(replaced(r#","_h":null"#, ""), CodecError::Json(_)));
    assert!(matches!(replaced(r#""_h":null"#, r#""_h":null,"_h":null"#), CodecError::Json(_)));
    assert!(matches!(replaced(r#"{"StackedDrg2KiBV1":"#, r#"{"a":[],"StackedDrg2KiBV1":"#), CodecError::Json(_)));
    assert!(matches!(replaced(r#"{"StackedDrg2KiBV1":"#, r#"{"StackedDrg4GiBV1":"#), CodecError::Tag { .. }));
    let (challenge, source) = proof(replaced(r#""layer_index":1"#, r#""layer_index":2"#));
    assert_eq!((challenge, source.to_string().as_str()), (0, "the layer of a labelling proof is 2, expected 1"));
    let (_, source) = proof(replaced(r#""index":0"#, r#""index":2"#));
    assert!(matches!(source, MalformedProof::Path { tree: "TreeD", .. }), "{source}");

    let (seal, output) = filecash(V1);
    let changed = |change: &dyn Fn(&mut Commit1Output)| {
        let mut output = output.clone();
        change(&mut output);
        Commit1Output::from_bincode(&seal.config(), &written(|sink| output.write_bincode(sink))).unwrap_err()
    };
    let none = changed(&|output| output.vanilla_proofs.clear());
    assert!(matches!(none, CodecError::Length { .. }));
    let non_canonical = changed(&|output| output.vanilla_proofs[0][1].encoding_proof.parents[36] = [0xff; 32]);
    assert!(matches!(proof(non_canonical), (1, MalformedProof::NonCanonical(_))));
    let comm_r = changed(&|output| output.comm_r = [0xff; 32]);
    assert!(matches!(comm_r, CodecError::NonCanonical { what: "comm_r", .. }));
    let node = changed(&|output| output.vanilla_proofs[0][0].replica_column_proofs.exp_parents[7].column.index = 64);
    assert!(matches!(proof(node), (0, MalformedProof::NoSuchNode { node: 64, nodes: 64 })));
}

#[test]
fn counts_are_those_of_the_sector() {
    let (seal, output) = filecash(V1);
    let read = |change: &dyn Fn(&mut Commit1Output)| {
        let mut output = output.clone();
        change(&mut output);
        Commit1Output::from_json(&seal.config(), &written(|sink| output.write_json(Profile::Filecash, sink)))
    };
    let partitions = read(&|output| output.vanilla_proofs.push(vec![])).unwrap_err();
    assert_eq!(partitions.to_string(), "2 partitions, expected 1");
    let proofs = read(&|output| output.vanilla_proofs[0].truncate(1)).unwrap_err();
    assert_eq!(proofs.to_string(), "1 proofs in a partition, expected 2");
    let parents = read(&|output| output.vanilla_proofs[0][0].replica_column_proofs.drg_parents.truncate(5));
    assert!(matches!(parents, Err(CodecError::Proof { source: MalformedProof::Count { .. }, .. })));
}

#[test]
fn outputs_of_other_features_are_told_apart() {
    let proof = SealProof::by_id(Profile::Filecoin, 15).unwrap();
    let (_, output) = filecash(V1);
    let bytes = written(|sink| output.write_api_bincode(&proof, sink));
    let error = Commit1Output::from_api_bincode(Profile::Filecoin, &bytes).unwrap_err();
    assert_eq!(error.to_string(), "28248 bytes, expected 365208");
    // A synthetic proof's output has the form of an interactive one's.
    let proof = SealProof::by_id(Profile::Filecoin, 10).unwrap();
    let bytes = written(|sink| output.write_api_bincode(&proof, sink));
    assert_eq!(Commit1Output::from_api_bincode(Profile::Filecoin, &bytes).unwrap(), (proof, output));
}

/// spec/replication.md 3.2, bytes of one challenge's proof.
#[test]
fn length_of_a_32gib_output_is_known_beforehand() {
    let config = SealProof::for_size(Profile::Filecoin, 32 << 30).unwrap().config();
    assert_eq!(Commit1Output::bincode_bytes(&config).unwrap(), 8 + 10 * (8 + 18 * 61192) + 160);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for profile in Profile::ALL {
            let _ = Commit1Output::from_api_json(profile, &bytes);
            let _ = Commit1Output::from_api_bincode(profile, &bytes);
            let _ = PreCommit1Output::from_api_json(profile, &bytes);
            let _ = PreCommit2Output::from_api_json(profile, &bytes);
        }
    }

    #[test]
    fn arbitrary_lengths_in_bincode_never_panic(at in 0_usize..3531, length in any::<u64>()) {
        let (proof, output) = filecash(V1);
        let mut bytes = written(|sink| output.write_bincode(sink));
        bytes[8 * at..8 * at + 8].copy_from_slice(&length.to_le_bytes());
        if let Ok(read) = Commit1Output::from_bincode(&proof.config(), &bytes) {
            prop_assert_eq!(written(|sink| read.write_bincode(sink)), bytes);
        }
    }

    #[test]
    fn flipped_and_cut_json_never_panics(at in 0_usize..V1.len(), byte in any::<u8>(), cut in 0_usize..V1.len()) {
        let mut bytes = V1.to_vec();
        bytes[at] ^= byte;
        let _ = Commit1Output::from_api_json(Profile::Filecash, &bytes);
        prop_assert!(Commit1Output::from_api_json(Profile::Filecash, &V1[..cut]).is_err());
    }

    #[test]
    fn flipped_and_cut_bincode_never_panics(at in 0_usize..28256, byte in any::<u8>(), cut in 0_usize..28256) {
        let (proof, output) = filecash(V1);
        let mut bytes = written(|sink| output.write_api_bincode(&proof, sink));
        prop_assert!(Commit1Output::from_api_bincode(Profile::Filecash, &bytes[..cut]).is_err());
        bytes[at] ^= byte;
        let _ = Commit1Output::from_api_bincode(Profile::Filecash, &bytes);
    }
}
