//! What the phases of sealing hand to each other.

use std::sync::LazyLock;

use filecash_engine::field::{Node, fr};
use filecash_engine::porep::codec::CodecError;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::porep::proof::ProofShape;
use filecash_engine::porep::synthetic::record::{self, Roots};
use filecash_engine::sector::{Profile, SealProof};

use crate::edited;

const C1_JSON: &[u8] = include_bytes!("../../vectors/filecash-2kib-c1-v1_1.json");

/// A network, and an output as JSON and as bincode.
type Sample = (Profile, Vec<u8>, Vec<u8>);

/// The same output as every writer of ours writes it: the API's JSON of each network, and the API's bincode.
static C1_SAMPLES: LazyLock<[Sample; 2]> = LazyLock::new(|| {
    let (_, output) = Commit1Output::from_api_json(Profile::Filecash, C1_JSON).expect("the vector is read");
    Profile::ALL.map(|profile| {
        let proof = sample_proof(profile);
        let json = written(|sink| output.write_api_json(&proof, sink));
        (profile, json, written(|sink| output.write_api_bincode(&proof, sink)))
    })
});

/// The proof of 2 KiB sectors, whose numbers differ.
fn sample_proof(profile: Profile) -> SealProof {
    SealProof::for_size(profile, 2048).expect("both networks have sectors of 2 KiB")
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("memory takes all bytes");
    bytes
}

fn canonical<'a>(nodes: impl IntoIterator<Item = &'a Node>) {
    nodes.into_iter().for_each(|node| assert!(fr::from_node(node).is_ok()));
}

/// An accepted output is canonical throughout and survives all its forms.
fn check_c1(proof: &SealProof, output: &Commit1Output) {
    let config = proof.config();
    canonical([&output.comm_r, &output.comm_d, &output.replica_id]);
    for vanilla in output.vanilla_proofs.iter().flatten() {
        canonical([vanilla.comm_d_proofs.leaf(), vanilla.comm_r_last_proof.leaf()]);
        canonical(vanilla.columns().flat_map(|column| &column.column.rows));
        canonical(vanilla.labeling_proofs.iter().flat_map(|labeling| &labeling.parents));
        assert!(vanilla.challenge() < config.params.nodes());
    }
    let json = written(|sink| output.write_json(proof.profile, sink));
    assert_eq!(&Commit1Output::from_json(&config, &json).expect("read back"), output);
    let json = written(|sink| output.write_api_json(proof, sink));
    assert_eq!(Commit1Output::from_api_json(proof.profile, &json).expect("read back"), (*proof, output.clone()));
    let bytes = written(|sink| output.write_bincode(sink));
    assert_eq!(bytes.len() as u64, Commit1Output::bincode_bytes(&config).expect("a layout that was read"));
    assert_eq!(&Commit1Output::from_bincode(&config, &bytes).expect("read back"), output);
}

/// C1's JSON, API and library form of both networks: the bytes themselves, and as edits of the recorded sample.
pub fn c1_json(data: &[u8]) -> usize {
    let mut accepted = 0;
    for (profile, sample, _) in &*C1_SAMPLES {
        for bytes in [data, &edited(sample, data)] {
            if let Ok((proof, output)) = Commit1Output::from_api_json(*profile, bytes) {
                check_c1(&proof, &output);
                accepted += 1;
            }
        }
        let proof = sample_proof(*profile);
        if let Ok(output) = Commit1Output::from_json(&proof.config(), data) {
            check_c1(&proof, &output);
            accepted += 1;
        }
    }
    accepted
}

/// C1's bincode, API and library form: as [`c1_json`]; whatever is accepted is written as it was read.
pub fn c1_bincode(data: &[u8]) -> usize {
    let mut accepted = 0;
    for (profile, _, sample) in &*C1_SAMPLES {
        let changed = edited(sample, data);
        for bytes in [data, &changed] {
            if let Ok((proof, output)) = Commit1Output::from_api_bincode(*profile, bytes) {
                check_c1(&proof, &output);
                assert_eq!(written(|sink| output.write_api_bincode(&proof, sink)), bytes);
                accepted += 1;
            }
        }
        let proof = sample_proof(*profile);
        for bytes in [data, changed.get(8..).unwrap_or_default()] {
            if let Ok(output) = Commit1Output::from_bincode(&proof.config(), bytes) {
                check_c1(&proof, &output);
                assert_eq!(written(|sink| output.write_bincode(sink)), bytes);
                accepted += 1;
            }
        }
    }
    accepted
}

/// Shape and roots of the recorded sample's sector, and the record of its first proof.
static RECORD_SAMPLE: LazyLock<(ProofShape, Roots, Vec<u8>)> = LazyLock::new(|| {
    let (proof, output) = Commit1Output::from_api_json(Profile::Filecash, C1_JSON).expect("the vector is read");
    let first = &output.vanilla_proofs[0][0];
    let roots = Roots {
        tree_d: *first.comm_d_proofs.root(),
        tree_c: *first.replica_column_proofs.c_x.inclusion_proof.root(),
        tree_r_last: *first.comm_r_last_proof.root(),
    };
    (ProofShape::from(&proof.config()), roots, record::encode(first))
});

/// A record of a file of synthetic proofs: the bytes themselves, and as edits of a sample; whatever is accepted is
/// written as it was read.
pub fn synthetic_record(data: &[u8]) -> usize {
    let mut accepted = 0;
    let (shape, roots, sample) = &*RECORD_SAMPLE;
    for bytes in [data, &edited(sample, data)] {
        if let Ok(proof) = record::decode(shape, roots, bytes) {
            assert_eq!(bytes.len() as u64, record::record_bytes(shape));
            assert!(shape.check(&proof).is_ok());
            assert!(proof.challenge() < shape.nodes);
            assert_eq!(record::encode(&proof), bytes);
            accepted += 1;
        }
    }
    accepted
}

/// PC1's JSON, API and library form of both networks.
pub fn pc1_json(data: &[u8]) -> usize {
    let mut accepted = 0;
    for profile in Profile::ALL {
        if let Ok((proof, output)) = PreCommit1Output::from_api_json(profile, data) {
            let config = proof.config();
            assert_eq!(output.labels.len(), config.params.layers);
            let json = written(|sink| output.write_api_json(&proof, sink));
            assert_eq!(PreCommit1Output::from_api_json(profile, &json).expect("read back"), (proof, output.clone()));
            let json = written(|sink| output.write_json(sink));
            assert_eq!(PreCommit1Output::from_json(&config, &json).expect("read back"), output);
            accepted += 1;
        }
        let config = sample_proof(profile).config();
        if let Ok(output) = PreCommit1Output::from_json(&config, data) {
            let json = written(|sink| output.write_json(sink));
            assert_eq!(PreCommit1Output::from_json(&config, &json).expect("read back"), output);
            accepted += 1;
        }
    }
    accepted
}

/// PC2's JSON, API and library form.
pub fn pc2_json(data: &[u8]) -> usize {
    let mut accepted = 0;
    for profile in Profile::ALL {
        if let Ok((proof, output)) = PreCommit2Output::from_api_json(profile, data) {
            canonical([&output.comm_r, &output.comm_d]);
            let json = written(|sink| output.write_api_json(&proof, sink));
            assert_eq!(PreCommit2Output::from_api_json(profile, &json).expect("read back"), (proof, output));
            accepted += 1;
        }
    }
    if let Ok(output) = PreCommit2Output::from_json(data) {
        canonical([&output.comm_r, &output.comm_d]);
        let json = written(|sink| output.write_json(sink));
        assert_eq!(PreCommit2Output::from_json(&json).expect("read back"), output);
        accepted += 1;
    }
    accepted
}
