//! Proofs that verification refuses.

use blstrs::{G1Affine, G2Affine};
use filecash_engine::Error;
use filecash_engine::api::verify::verify_seal;
use filecash_engine::groth16::{Proof, ProofError, VerifyError};
use filecash_engine::sector::{Profile, SealProof};
use group::prime::PrimeCurveAffine;

use crate::params::{outside, proof, verify, with_key};
use crate::support::{IDENTITY, SEED, config};

#[test]
fn proofs_of_other_lengths_are_refused() {
    let sandbox = with_key();
    let bytes = proof().to_bytes();
    for length in [0, 1, 191, 193, 384, 1920] {
        let bytes: Vec<u8> = bytes.iter().copied().cycle().take(length).collect();
        let expected = format!("proof is {length} bytes, expected 192");
        let error = sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[&expected]);
        assert!(error.is_rejection());
        assert!(matches!(error, Error::Proof(ProofError::Length { .. })));
    }
}

#[test]
fn points_that_are_none_are_refused() {
    let sandbox = with_key();
    let refused = |bytes: [u8; 192], expected: &str| {
        let error = sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[expected]);
        assert!(error.is_rejection(), "{error}");
    };
    let good = proof();
    for (element, at) in [("A", 0), ("B", 48), ("C", 144)] {
        let bad = format!("{element} of partition 0 is not a compressed point of the group");
        let mut uncompressed = good.to_bytes();
        uncompressed[at] &= 0x7f;
        refused(uncompressed, &bad);
        let mut too_large = good.to_bytes();
        too_large[at] |= 0x1f;
        too_large[at + 1..at + 48].fill(0xff);
        refused(too_large, &bad);
        // About half of all x are on the curve, and next to none of them in the subgroup.
        for low in 0..4 {
            let mut elsewhere = good.to_bytes();
            let end = if element == "B" { at + 95 } else { at + 47 };
            elsewhere[end] = elsewhere[end].wrapping_add(low + 1);
            refused(elsewhere, &bad);
        }
    }
    let mut subgroup = good.to_bytes();
    subgroup[..48].copy_from_slice(&outside().to_compressed());
    refused(subgroup, "A of partition 0 is not a compressed point of the group");
    refused(Proof { a: G1Affine::identity(), ..good }.to_bytes(), "A of partition 0 is the identity");
    refused(Proof { b: G2Affine::identity(), ..good }.to_bytes(), "B of partition 0 is the identity");
    refused(Proof { c: G1Affine::identity(), ..good }.to_bytes(), "C of partition 0 is the identity");
    let mut dirty = Proof { a: G1Affine::identity(), ..good }.to_bytes();
    dirty[47] = 1;
    refused(dirty, "A of partition 0 is not a compressed point of the group");
}

#[test]
fn false_statements_are_rejected_and_impossible_ones_refused() {
    let sandbox = with_key();
    let bytes = proof().to_bytes();
    let error = sandbox.refuses(|sandbox| verify(sandbox, &bytes), &["does not satisfy the verification equation"]);
    assert!(error.is_rejection());
    assert!(matches!(error, Error::Verify(VerifyError::Unsatisfied { index: 0 })));

    let of = |comm_r: [u8; 32], comm_d: [u8; 32], expected: &[&str]| {
        let verify = |sandbox: &crate::support::Sandbox| {
            sandbox.run(|job| verify_seal(job, &sandbox.config, &comm_r, &comm_d, &IDENTITY, &SEED, &bytes))
        };
        assert!(!sandbox.refuses(verify, expected).is_rejection());
    };
    let (comm_r, comm_d) = (sandbox.phase2.comm_r, sandbox.phase2.comm_d);
    of([0; 32], comm_d, &["comm_r is all zero"]);
    of(comm_r, [0; 32], &["comm_d is all zero"]);
    of([0xff; 32], comm_d, &["comm_r is no field element", "ffff"]);
    of(comm_r, [0xff; 32], &["comm_d is no field element", "ffff"]);
}

#[test]
fn proof_of_the_other_network_looks_for_other_keys() {
    let mut sandbox = with_key();
    let bytes = proof().to_bytes();
    sandbox.config = config(Profile::Filecoin);
    let error = sandbox.refuses(|sandbox| verify(sandbox, &bytes), &["no parameters of", "params/v28-"]);
    assert!(!error.is_rejection());
    // So does a way of drawing challenges that has keys in common, but proofs of another form.
    sandbox.config = SealProof::by_id(Profile::Filecoin, 15).unwrap().config();
    sandbox.refuses(|sandbox| verify(sandbox, &bytes), &["no parameters of", "params/v28-"]);
}
