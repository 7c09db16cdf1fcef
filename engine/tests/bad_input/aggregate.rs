//! Batches and aggregates of seal proofs that are refused. The proofs are simulated: whoever has the secrets of a key
//! makes them for any statement, and verification cannot tell.

use std::fs;

use filecash_engine::Error;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::aggregate::{
    AggregationError, aggregate, aggregate_seals, seals_inc, setup, verify, verify_aggregate,
};
use filecash_engine::api::verify::{
    ProvenSeal, RejectedSeals, SealRejection, SealStatement, SealVerifier, verify_seals,
};
use filecash_engine::groth16::aggregate::FormatError;
use filecash_engine::groth16::srs::SrsProblem;
use filecash_engine::groth16::{
    AggregateError, Proof, ProofError, SRS_FILE_NAME, Simulator, SrsError, Verifier, VerifyError, Version,
};
use filecash_engine::params::{CircuitKind, FileKind, ParamError, ParamId};
use filecash_engine::sector::Profile;
use rand_core::SeedableRng;
use rand_xorshift::XorShiftRng;

use crate::params::INPUTS;
use crate::support::{Sandbox, State, config};

/// Sectors with proofs, and a verifying key under which they hold.
struct Seals {
    sandbox: Sandbox,
    simulator: Simulator,
    statements: Vec<SealStatement>,
    proofs: Vec<Vec<u8>>,
}

fn vk_file() -> String {
    let id = ParamId::new(Profile::Filecoin, CircuitKind::PoRep, 2048).unwrap();
    format!("params/{}", id.file_name(FileKind::VerifyingKey))
}

fn srs_file() -> String {
    format!("params/{SRS_FILE_NAME}")
}

fn seals(count: u64) -> Seals {
    let sandbox = Sandbox::new(Profile::Filecoin, State::Staged);
    let mut rng = XorShiftRng::from_seed([3; 16]);
    let simulator = Simulator::random(INPUTS, &mut rng);
    fs::write(sandbox.path(&vk_file()), simulator.key().to_bytes()).unwrap();
    let statement = |i: u64| {
        let byte = i as u8 + 1;
        let identity = SectorIdentity { prover_id: [9; 32], sector_id: 100 + i, ticket: [byte; 32] };
        SealStatement { identity, comm_r: [byte; 32], comm_d: [byte ^ 0x40; 32], seed: [byte ^ 0x80; 32] }
    };
    let statements: Vec<_> = (0..count).map(statement).collect();
    let verifier = sandbox.run(|job| SealVerifier::open(job, &sandbox.config)).unwrap();
    let prove = |statement: &SealStatement| {
        let inputs = verifier.inputs(statement).unwrap();
        simulator.prove(&inputs[0], &mut rng).to_bytes().to_vec()
    };
    let proofs = statements.iter().map(prove).collect();
    Seals { sandbox, simulator, statements, proofs }
}

/// With a reference string for so many proofs.
fn aggregable(count: u64, powers: usize) -> Seals {
    let seals = seals(count);
    seals.sandbox.run(|job| setup(job, powers)).unwrap();
    seals
}

impl Seals {
    fn proven(&self) -> Vec<ProvenSeal<'_>> {
        let seals = self.statements.iter().zip(&self.proofs);
        seals.map(|(&statement, proof)| ProvenSeal { statement, proof }).collect()
    }

    fn verify(&self, sandbox: &Sandbox) -> Result<(), Error> {
        sandbox.run(|job| verify_seals(job, &sandbox.config, &self.proven()))
    }

    fn aggregate(&self, version: Version) -> Result<Vec<u8>, Error> {
        self.sandbox.run(|job| aggregate_seals(job, &self.sandbox.config, version, &self.proven()))
    }

    fn rejected(&self, expected: &[&str]) -> RejectedSeals {
        let error = self.sandbox.refuses(|sandbox| self.verify(sandbox), expected);
        assert!(error.is_rejection());
        let Error::RejectedSeals(rejected) = error else { panic!("{error}") };
        rejected
    }

    #[track_caller]
    fn refuses_aggregate(
        &self,
        statements: &[SealStatement],
        version: Version,
        bytes: &[u8],
        expected: &[&str],
    ) -> Error {
        let verify =
            |sandbox: &Sandbox| sandbox.run(|job| verify_aggregate(job, &sandbox.config, version, statements, bytes));
        self.sandbox.refuses(verify, expected)
    }
}

#[test]
fn batches_name_every_false_seal_and_no_other() {
    let mut seals = seals(40);
    seals.verify(&seals.sandbox).unwrap();
    seals.proofs.swap(7, 8);
    seals.statements[21].seed[0] ^= 1;
    seals.proofs[30].pop();
    seals.statements[33].comm_d = [0; 32];
    seals.proofs[39][0] &= 0x7f;
    let rejected = seals.rejected(&[
        "6 of 40 seals are rejected",
        "number 7 (sector 107): partition 0 does not satisfy the verification equation",
        "number 30 (sector 130): proof is 191 bytes, expected 192",
        "number 33 (sector 133): comm_d is all zero",
    ]);
    let found: Vec<_> = rejected.rejected.iter().map(|seal| (seal.index, seal.sector_id)).collect();
    assert_eq!(found, [(7, 107), (8, 108), (21, 121), (30, 130), (33, 133), (39, 139)]);
    let reasons: Vec<_> = rejected.rejected.iter().map(|seal| seal.reason).collect();
    assert!(reasons[..3].iter().all(|reason| *reason == SealRejection::Unsatisfied { partition: 0 }));
    assert_eq!(reasons[3], SealRejection::Proof(ProofError::Length { expected: 192, actual: 191 }));
    assert!(matches!(reasons[4], SealRejection::Commitment(_)));
    assert!(matches!(reasons[5], SealRejection::Proof(ProofError::Point { .. })));
}

#[test]
fn small_memory_makes_more_batches_of_the_same_result() {
    let mut seals = seals(10);
    seals.sandbox.settings.memory_bytes = 1;
    seals.verify(&seals.sandbox).unwrap();
    seals.statements[4].comm_r[0] ^= 1;
    let rejected = seals.rejected(&["1 of 10 seals are rejected", "number 4 (sector 104)"]);
    assert_eq!(rejected.total, 10);
}

#[test]
fn batches_without_seals_or_keys_say_so() {
    let mut seals = seals(2);
    let none = |sandbox: &Sandbox| sandbox.run(|job| verify_seals(job, &sandbox.config, &[]));
    let error = seals.sandbox.refuses(none, &["no proofs"]);
    assert!(matches!(error, Error::Verify(VerifyError::Empty)) && !error.is_rejection());
    seals.statements.iter_mut().for_each(|statement| statement.comm_r = [0; 32]);
    assert_eq!(seals.rejected(&["2 of 2 seals are rejected", "comm_r is all zero"]).rejected.len(), 2);
    seals.sandbox.remove(&vk_file());
    let error = seals.sandbox.refuses(|sandbox| seals.verify(sandbox), &["no parameters of", "is missing"]);
    assert!(matches!(error, Error::Params(ParamError::Missing { .. })));
}

#[test]
fn aggregates_hold_for_their_statements_and_no_others() {
    // Three seals, so that the last is repeated.
    let seals = aggregable(3, 8);
    let other = |version| Version::ALL.into_iter().find(|other| *other != version).unwrap();
    for version in Version::ALL {
        let bytes = seals.aggregate(version).unwrap();
        assert_eq!(bytes.len(), 2260 + 2 * 2976);
        let sandbox = &seals.sandbox;
        let statements = &seals.statements;
        sandbox.run(|job| verify_aggregate(job, &sandbox.config, version, statements, &bytes)).unwrap();

        let unsatisfied = |statements: &[SealStatement], version, bytes: &[u8]| {
            let expected = "the aggregate does not satisfy the verification equations";
            let error = seals.refuses_aggregate(statements, version, bytes, &[expected]);
            assert!(matches!(error, Error::Aggregate(AggregateError::Unsatisfied)) && error.is_rejection());
        };
        let changed = |change: &dyn Fn(&mut Vec<SealStatement>)| {
            let mut statements = statements.clone();
            change(&mut statements);
            statements
        };
        unsatisfied(statements, other(version), &bytes);
        unsatisfied(&changed(&|all| all.swap(0, 1)), version, &bytes);
        unsatisfied(&changed(&|all| all[1].comm_r[0] ^= 1), version, &bytes);
        unsatisfied(&changed(&|all| all[1].comm_d[0] ^= 1), version, &bytes);
        unsatisfied(&changed(&|all| all[2].seed[0] ^= 1), version, &bytes);
        unsatisfied(&changed(&|all| all[0].identity.sector_id += 1), version, &bytes);
        unsatisfied(&changed(&|all| all[0].identity.prover_id[0] ^= 1), version, &bytes);
        unsatisfied(&changed(&|all| all[0].identity.ticket[0] ^= 1), version, &bytes);
        // A fourth sector where the third was repeated.
        unsatisfied(&changed(&|all| all.push(all[2])), version, &bytes);

        let wrong = |count: usize, padded: usize| {
            let statements = statements.iter().copied().cycle().take(count).collect::<Vec<_>>();
            let expected = format!("the aggregate is of 4 proofs, {count} statements need {padded}");
            let error = seals.refuses_aggregate(&statements, version, &bytes, &[&expected]);
            assert!(matches!(error, Error::Aggregate(AggregateError::Statements { .. })) && error.is_rejection());
        };
        wrong(1, 2);
        wrong(2, 2);
        wrong(5, 8);
        let error = seals.refuses_aggregate(&[], version, &bytes, &["no proofs to aggregate"]);
        assert!(matches!(error, Error::Aggregation(AggregationError::Empty)));
    }
}

/// Each place of a list is a statement of its own: a seal that stands there twice is verified and aggregated twice. That no
/// sector is committed twice is for the chain to see to.
#[test]
fn a_seal_that_stands_twice_in_a_list_counts_twice() {
    let mut seals = aggregable(2, 8);
    (seals.statements[1], seals.proofs[1]) = (seals.statements[0], seals.proofs[0].clone());
    seals.verify(&seals.sandbox).unwrap();
    for version in Version::ALL {
        let bytes = seals.aggregate(version).unwrap();
        let verify = |statements: &[SealStatement]| {
            let sandbox = &seals.sandbox;
            sandbox.run(|job| verify_aggregate(job, &sandbox.config, version, statements, &bytes))
        };
        verify(&seals.statements).unwrap();
        // One seal is padded to two by itself, and still is not the seal twice.
        let error = verify(&seals.statements[..1]).unwrap_err();
        assert!(matches!(error, Error::Aggregate(AggregateError::Unsatisfied)) && error.is_rejection());
    }
    // A false one is named at each of its places.
    seals.proofs.iter_mut().for_each(|proof| proof[0] ^= 0x20);
    let rejected = seals.rejected(&["2 of 2 seals are rejected", "number 0 (sector 100)", "number 1 (sector 100)"]);
    assert_eq!(rejected.rejected.iter().map(|seal| seal.index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn other_bytes_in_the_transcript_are_noticed() {
    let seals = aggregable(2, 4);
    let sandbox = &seals.sandbox;
    let verifier = sandbox.run(|job| SealVerifier::open(job, &sandbox.config)).unwrap();
    let inputs = verifier.all_inputs(&seals.statements).unwrap();
    let proofs: Vec<Proof> = seals.proofs.iter().map(|bytes| Proof::from_bytes(bytes).unwrap()).collect();
    let inc = seals_inc(&sandbox.config, &seals.statements);
    let key = verifier.key();
    let bytes = sandbox.run(|job| aggregate(job, key, &proofs, &inputs, &inc, Version::V2)).unwrap();
    assert_eq!(bytes, seals.aggregate(Version::V2).unwrap());
    let check = |inc: &[u8]| sandbox.run(|job| verify(job, key, &inputs, inc, Version::V2, &bytes));
    check(&inc).unwrap();
    for inc in [&inc[..31], &[], &[0; 32]] {
        assert!(matches!(check(inc), Err(Error::Aggregate(AggregateError::Unsatisfied))));
    }
    let counts = sandbox.run(|job| aggregate(job, key, &proofs, &inputs[..1], &inc, Version::V2));
    assert!(matches!(counts, Err(Error::Aggregation(AggregationError::Counts { proofs: 2, statements: 1 }))));
    let mut longer = inputs.clone();
    let extra = longer[0][0];
    longer[0].push(extra);
    let wrong = sandbox.run(|job| verify(job, key, &longer, &inc, Version::V2, &bytes));
    assert!(matches!(wrong, Err(Error::Aggregate(AggregateError::WrongKey { expected: INPUTS, .. }))));
}

#[test]
fn damaged_aggregates_are_rejected() {
    let seals = aggregable(4, 8);
    let bytes = seals.aggregate(Version::V1).unwrap();
    let refused = |bytes: &[u8], expected: &str| {
        let error = seals.refuses_aggregate(&seals.statements, Version::V1, bytes, &[expected]);
        assert!(error.is_rejection(), "{error}");
        error
    };
    for length in [0, 191, 5235] {
        refused(&bytes[..length], &format!("aggregate is {length} bytes, the least is 5236"));
    }
    refused(&bytes[..8211], "aggregate of 4 proofs is 8211 bytes, expected 8212");
    refused(&[&bytes[..], &[0]].concat(), "aggregate of 4 proofs is 8213 bytes, expected 8212");
    let edited = |edit: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.clone();
        edit(&mut bytes);
        bytes
    };
    for count in [0_u32, 1, 3, 5, 1 << 20] {
        let bytes = edited(&|bytes| bytes[1488..1492].copy_from_slice(&count.to_le_bytes()));
        let error = refused(&bytes, &format!("aggregate of {count} proofs: their number is a power of two"));
        assert!(matches!(error, Error::Aggregate(AggregateError::Format(FormatError::Count { .. }))));
    }
    refused(&edited(&|bytes| bytes[0] ^= 1), "the element of Gt at byte 0 of the aggregate");
    refused(&edited(&|bytes| bytes[1440] ^= 0x80), "the point of G1 at byte 1440 of the aggregate");
    // Whole elements in each other's place decode, and do not verify.
    let swapped = edited(&|bytes| bytes[..576].rotate_left(288));
    let error = refused(&swapped, "does not satisfy");
    assert!(matches!(error, Error::Aggregate(AggregateError::Unsatisfied)));
    let last = edited(&|bytes| bytes[8116..].rotate_left(48));
    refused(&last, "does not satisfy");
}

#[test]
fn false_proofs_are_not_aggregated() {
    let mut seals = aggregable(3, 8);
    seals.proofs[1] = seals.proofs[0].clone();
    let error = seals.sandbox.refuses(|_| seals.aggregate(Version::V2), &["1 of 3 seals are rejected", "sector 101"]);
    assert!(error.is_rejection());
    let mut none = aggregable(1, 4);
    none.statements.clear();
    none.proofs.clear();
    none.sandbox.refuses(|_| none.aggregate(Version::V2), &["no proofs to aggregate"]);
}

#[test]
fn reference_strings_that_cannot_be_used_are_named() {
    let seals = aggregable(4, 8);
    let bytes = seals.aggregate(Version::V2).unwrap();
    let good = fs::read(seals.sandbox.path(&srs_file())).unwrap();
    let prove = |expected: &[&str]| {
        let error = seals.sandbox.refuses(|_| seals.aggregate(Version::V2), expected);
        assert!(!error.is_rejection(), "{error}");
        error
    };
    let check = |expected: &[&str]| {
        let error = seals.refuses_aggregate(&seals.statements, Version::V2, &bytes, expected);
        assert!(!error.is_rejection(), "{error}");
    };
    let write = |bytes: &[u8]| fs::write(seals.sandbox.path(&srs_file()), bytes).unwrap();

    // Seven powers are too few for four proofs, and enough to verify.
    let small: Vec<u8> = {
        let folder = Sandbox::new(Profile::Filecoin, State::Staged);
        folder.run(|job| setup(job, 7)).unwrap();
        fs::read(folder.path(&srs_file())).unwrap()
    };
    write(&small);
    let error = prove(&[&srs_file(), "7 points g^(aⁱ), too few: 8 are needed"]);
    let Error::Aggregate(AggregateError::Srs(SrsError::File { problem, .. })) = error else { panic!("{error}") };
    assert!(matches!(problem, SrsProblem::TooSmall { needed: 8, actual: 7, .. }));

    write(&good[..good.len() - 1]);
    check(&[&srs_file(), "2319 bytes, but its counts of points ask for 2320"]);
    prove(&[&srs_file(), "2319 bytes"]);
    write(&[]);
    check(&[&srs_file(), "0 bytes, too short"]);
    // A damaged point that only the prover reads.
    let mut damaged = good.clone();
    damaged[4 + 5 * 48] ^= 0x80;
    write(&damaged);
    prove(&[&srs_file(), "point 5 of g^(aⁱ) is not a compressed point"]);
    // A point of the group, but not the power that it should be.
    let mut other = good.clone();
    other.copy_within(4 + 4 * 48..4 + 5 * 48, 4 + 5 * 48);
    write(&other);
    prove(&["the aggregate just made does not verify", &srs_file()]);
    seals.sandbox.remove(&srs_file());
    prove(&["no reference string for aggregation", &srs_file(), "is missing"]);
    check(&["no reference string for aggregation", &srs_file(), "is missing"]);
    // One of other secrets: the proof is rejected, since nobody can tell whose fault it is.
    seals.sandbox.run(|job| setup(job, 8)).unwrap();
    seals.refuses_aggregate(&seals.statements, Version::V2, &bytes, &["does not satisfy"]);
    for powers in [0, 1, (1 << 20) + 2] {
        let make = |sandbox: &Sandbox| sandbox.run(|job| setup(job, powers));
        seals.sandbox.refuses(make, &[&format!("not {powers}")]);
    }
}

#[test]
fn the_other_network_has_no_aggregation() {
    let mut seals = seals(2);
    seals.sandbox.config = config(Profile::Filecash);
    let expected = "filecash has no aggregation of proofs";
    let error = seals.sandbox.refuses(|_| seals.aggregate(Version::V2), &[expected]);
    assert!(matches!(error, Error::Aggregation(AggregationError::NoAggregation { profile: Profile::Filecash })));
    seals.refuses_aggregate(&seals.statements, Version::V1, &[], &[expected]);
}

#[test]
fn keys_of_other_statements_are_named() {
    let seals = aggregable(2, 4);
    let mut rng = XorShiftRng::from_seed([5; 16]);
    let other = Simulator::random(INPUTS + 1, &mut rng);
    fs::write(seals.sandbox.path(&vk_file()), other.key().to_bytes()).unwrap();
    let expected = format!("it is for {} public inputs, expected {INPUTS}", INPUTS + 1);
    seals.sandbox.refuses(|_| seals.aggregate(Version::V2), &[&vk_file(), &expected]);
    assert_eq!(Verifier::new(seals.simulator.key()).inputs(), INPUTS);
}
