//! Synthetic and non-interactive proofs of replication.

use std::fs;

use filecash_engine::Error;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::aggregate::setup;
use filecash_engine::api::prove::{CommitError, commit_phase2, prove_partitions};
use filecash_engine::api::seal::{SealError, clear_cache, clear_synthetic_proofs, commit_phase1};
use filecash_engine::api::verify::{verify_partitions, verify_seal};
use filecash_engine::porep::challenges::{ChallengeError, NO_SEED};
use filecash_engine::porep::commit1::Commit1Error;
use filecash_engine::porep::outputs::Commit1Output;
use filecash_engine::porep::synthetic::SyntheticError;
use filecash_engine::sector::{ApiVersion, Feature, PoRepConfig, Profile, SealProof};

use crate::resume::stopped;
use crate::support::{IDENTITY, SEED, Sandbox, alike, config, said};

const FILE: &str = "cache/syn-porep-vanilla-proofs.dat";
/// Bytes of a record of 2 KiB sectors, after 96 of roots.
const RECORD: usize = 8984;

fn of(id: u32) -> Sandbox {
    Sandbox::sealed(SealProof::by_id(Profile::Filecoin, id).unwrap().config())
}

fn synthetic() -> Sandbox {
    of(10)
}

fn non_interactive() -> Sandbox {
    of(15)
}

fn c1_with(sandbox: &Sandbox, seed: [u8; 32]) -> Result<Commit1Output, Error> {
    let [cache, sealed] = ["cache", "sealed"].map(|name| sandbox.path(name));
    let (config, phase2, pieces) = (&sandbox.config, &sandbox.phase2, &sandbox.pieces);
    sandbox.run(|job| commit_phase1(job, config, &cache, &sealed, &IDENTITY, &seed, phase2, pieces))
}

#[test]
fn seeds_of_zeros_are_refused_and_seeds_where_there_are_none() {
    for sandbox in [of(5), synthetic(), non_interactive()] {
        let error = sandbox.refuses(|sandbox| c1_with(sandbox, [0; 32]), &["the seed is all zero"]);
        assert!(matches!(error, Error::Commit1(Commit1Error::ZeroSeed)));
    }
    let sandbox = non_interactive();
    let expected = ["a non-interactive proof of replication takes no seed", "0505"];
    let error = sandbox.refuses(|sandbox| c1_with(sandbox, SEED), &expected);
    assert!(matches!(error, Error::Seal(SealError::UnusedSeed { seed: SEED })));
    assert_eq!(c1_with(&sandbox, NO_SEED).unwrap(), sandbox.proven);

    // Whoever made the output may have had another one, as long as it is none of zeros.
    let mut phase1 = sandbox.proven.clone();
    let prove = |sandbox: &Sandbox, phase1: &Commit1Output| {
        sandbox.run(|job| prove_partitions(job, &sandbox.config, phase1, &IDENTITY, 0..13))
    };
    phase1.seed = SEED;
    sandbox.refuses(|sandbox| prove(sandbox, &phase1), &["no parameters of"]);
    phase1.seed = [0; 32];
    let error = sandbox.refuses(|sandbox| prove(sandbox, &phase1), &["the seed is all zero"]);
    assert!(matches!(error, Error::Commit2(CommitError::ZeroSeed)));
}

fn in_file(error: Error) -> SyntheticError {
    match error {
        Error::Commit1(Commit1Error::Synthetic(error)) => *error,
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_missing_file_of_synthetic_proofs_is_named() {
    let sandbox = synthetic();
    sandbox.remove(FILE);
    let error = sandbox.refuses(Sandbox::c1, &[FILE, "is missing", "before the cache is cleared"]);
    assert!(matches!(in_file(error), SyntheticError::Missing { .. }));
    sandbox.folder_instead(FILE);
    let error = sandbox.refuses(Sandbox::c1, &[FILE, "is not a file"]);
    assert!(matches!(in_file(error), SyntheticError::NotAFile { .. }));
}

#[test]
fn damaged_files_of_synthetic_proofs_are_named_with_the_record() {
    let length = 96 + 64 * RECORD;
    let table: [(usize, &str); 3] =
        [(length - 1, "575071 bytes, expected 575072"), (0, "0 bytes, expected"), (length + RECORD, "584056 bytes")];
    for (bytes, expected) in table {
        let sandbox = synthetic();
        sandbox.edit(FILE, |file| file.resize(bytes, 0));
        let error = sandbox.refuses(Sandbox::c1, &[FILE, expected]);
        assert!(matches!(in_file(error), SyntheticError::Length { .. }));
    }
    // Every record, since the seed selects two of them.
    let every = |change: fn(&mut [u8])| {
        let sandbox = synthetic();
        sandbox.edit(FILE, |file| file[96..].chunks_mut(RECORD).for_each(change));
        sandbox
    };
    let error =
        every(|record| record[8983] ^= 1).refuses(Sandbox::c1, &["record", FILE, "does not hold", "TreeR-last"]);
    assert!(matches!(in_file(error), SyntheticError::Invalid { .. }));
    let error = every(|record| record[120 + 7 * 32] ^= 1).refuses(Sandbox::c1, &["record", FILE, "does not hold"]);
    assert!(matches!(in_file(error), SyntheticError::Invalid { .. }));
    let expected = ["record", FILE, "is not a canonical field element"];
    let error = every(|record| record[8960..].fill(0xff)).refuses(Sandbox::c1, &expected);
    assert!(matches!(in_file(error), SyntheticError::Record { .. }));
    let error = every(|record| record[2] = 1).refuses(Sandbox::c1, &["record", FILE, "node 6", "of a sector of 64"]);
    assert!(matches!(in_file(error), SyntheticError::Record { .. }));
    let error = every(|record| record[0] ^= 1).refuses(Sandbox::c1, &["record", FILE, "is of node", "expected"]);
    assert!(matches!(in_file(error), SyntheticError::Challenge { .. }));
}

#[test]
fn files_of_another_sector_are_told_apart() {
    let sandbox = synthetic();
    // The same data under another number of the porep id.
    let other = Sandbox::sealed(PoRepConfig {
        porep_id: SealProof::by_id(Profile::Filecoin, 11).unwrap().config().porep_id,
        ..sandbox.config
    });
    fs::copy(other.path(FILE), sandbox.path(FILE)).unwrap();
    let error = sandbox.refuses(Sandbox::c1, &[FILE, "is of another sector", "root of TreeC is", "expected"]);
    assert!(matches!(in_file(error), SyntheticError::OtherSector { .. }));
    // With the right roots in front of the other's records.
    let own = synthetic();
    let roots = fs::read(own.path(FILE)).unwrap()[..96].to_vec();
    sandbox.edit(FILE, |file| file[..96].copy_from_slice(&roots));
    sandbox.refuses(Sandbox::c1, &["record", FILE]);

    for identity in [SectorIdentity { ticket: [2; 32], ..IDENTITY }, SectorIdentity { sector_id: 43, ..IDENTITY }] {
        let error = own.refuses(|sandbox| sandbox.c1_as(&identity), &["record", FILE]);
        in_file(error);
    }
}

#[test]
fn synthetic_proofs_are_made_before_the_cache_is_cleared() {
    let sandbox = synthetic();
    let before = fs::read(sandbox.path(FILE)).unwrap();
    assert_eq!(clear_cache(&sandbox.path("cache")).unwrap(), 4);
    assert_eq!(fs::read(sandbox.path(FILE)).unwrap(), before);
    let expected = ["sc-02-data-layer-1.dat is missing", "before the cache is cleared, and not afterwards"];
    let error = sandbox.refuses(Sandbox::synth, &expected);
    assert!(matches!(in_file(error), SyntheticError::Cleared { .. }));
    assert_eq!(sandbox.c1().unwrap(), sandbox.proven);
    assert!(clear_synthetic_proofs(&sandbox.path("cache")).unwrap());
    assert!(!clear_synthetic_proofs(&sandbox.path("cache")).unwrap());
    sandbox.refuses(Sandbox::c1, &[FILE, "is missing"]);
}

/// A run that is stopped leaves an older file as it was, and the next one makes the same file.
#[test]
fn synthetic_proofs_stopped_anywhere_and_repeated_are_the_same() {
    let sandbox = synthetic();
    let complete = sandbox.files();
    for older in [None, Some(b"an older file".to_vec())] {
        let mut stops = 0;
        for at in 1.. {
            match &older {
                None => drop(fs::remove_file(sandbox.path(FILE))),
                Some(bytes) => fs::write(sandbox.path(FILE), bytes).unwrap(),
            }
            let before = sandbox.files();
            let Err(error) = stopped(&sandbox, at, |sandbox, job| sandbox.synth_of(job)) else { break };
            assert_eq!(said(&error), "cancelled");
            alike(&sandbox.files(), &before);
            stops += 1;
        }
        assert!(stops >= 5, "{stops}");
        alike(&sandbox.files(), &complete);
    }
    // What a killed process leaves: a temporary file that nobody holds.
    fs::write(sandbox.path("cache/syn-porep-vanilla-proofs.dat.Ab3dE6.tmp"), b"half").unwrap();
    sandbox.synth().unwrap();
    alike(&sandbox.files(), &complete);
}

#[test]
fn damaged_sectors_get_no_synthetic_proofs() {
    let table: [(&str, &[&str]); 7] = [
        ("cache/p_aux", &["comm_r on disk is"]),
        ("cache/sc-02-data-tree-d.dat", &["node 0 of row 1 of", "tree-d.dat is not the hash of its children"]),
        ("cache/sc-02-data-tree-c.dat", &["a vanilla proof does not hold", "the labels of node"]),
        ("cache/sc-02-data-layer-1.dat", &["a vanilla proof does not hold", "the labels of node"]),
        ("cache/sc-02-data-layer-2.dat", &["a vanilla proof does not hold", "the labels of node"]),
        ("sealed", &["nodes 0 to 64 of", "do not lead to the tree in", "tree-r-last.dat"]),
        ("cache/sc-02-data-tree-r-last.dat", &["comm_r_last on disk is"]),
    ];
    for (name, expected) in table {
        let sandbox = synthetic();
        sandbox.edit(name, |bytes| bytes[0] ^= 1);
        sandbox.refuses(Sandbox::synth, expected);
        if !name.ends_with("p_aux") {
            let sandbox = synthetic();
            sandbox.edit(name, |bytes| bytes.truncate(bytes.len() - 1));
            sandbox.refuses(Sandbox::synth, &[name, "bytes"]);
        }
        let sandbox = synthetic();
        sandbox.remove(name);
        sandbox.refuses(Sandbox::synth, &[name]);
    }
    let mut sandbox = synthetic();
    sandbox.phase2.comm_r = [0; 32];
    sandbox.refuses(Sandbox::synth, &["comm_r is all zero"]);
    let mut sandbox = synthetic();
    sandbox.pieces.swap(1, 2);
    sandbox.refuses(Sandbox::synth, &["the pieces' CommD is"]);
}

#[test]
fn features_are_refused_where_there_are_none() {
    for (id, name) in [(5, "interactive"), (15, "non-interactive")] {
        let expected = format!("{name} proofs of replication have no synthetic set");
        let error = of(id).refuses(Sandbox::synth, &[&expected]);
        assert!(matches!(in_file(error), SyntheticError::Feature(_)));
    }
    for feature in [Feature::Synthetic, Feature::NonInteractive] {
        let mut sandbox = Sandbox::new(Profile::Filecash, crate::support::State::Sealed);
        sandbox.config = PoRepConfig { feature, api_version: ApiVersion::V1_2_0, ..config(Profile::Filecash) };
        let expected = format!("filecash has no {feature} proofs of replication");
        for error in [
            sandbox.refuses(Sandbox::c1, &[&expected]),
            sandbox.refuses(Sandbox::synth, &[&expected]),
            sandbox.refuses(|s| s.run(|job| commit_phase2(job, &s.config, &s.proven, &IDENTITY)), &[&expected]),
            sandbox.refuses(
                |s| {
                    let (comm_r, comm_d) = (s.phase2.comm_r, s.phase2.comm_d);
                    s.run(|job| verify_seal(job, &s.config, &comm_r, &comm_d, &IDENTITY, &SEED, &[1; 192]))
                },
                &[&expected],
            ),
        ] {
            let source = match error {
                Error::Challenges(source) | Error::Commit1(Commit1Error::Challenges(source)) => source,
                error => panic!("{error:?}"),
            };
            assert!(matches!(source, ChallengeError::NotOnNetwork { .. }));
        }
        sandbox.config = PoRepConfig { feature, ..config(Profile::Filecoin) };
        sandbox
            .refuses(Sandbox::synth, &[&format!("{feature} proofs of replication need API version 1.2.0, not 1.1.0")]);
    }
}

#[test]
fn partitions_that_are_none_are_refused() {
    let sandbox = non_interactive();
    let (comm_r, comm_d) = (sandbox.phase2.comm_r, sandbox.phase2.comm_d);
    for asked in [0..0, 13..14, 12..14, 20..20] {
        let expected = format!("partitions {} to {} were asked for, the proof has 13", asked.start, asked.end);
        let error = sandbox.refuses(
            |s| s.run(|job| prove_partitions(job, &s.config, &s.proven, &IDENTITY, asked.clone())),
            &[&expected],
        );
        assert!(matches!(error, Error::Commit2(CommitError::NoSuchPartitions { .. })));
        sandbox.refuses(
            |s| {
                let (config, seed) = (&s.config, &SEED);
                s.run(|job| verify_partitions(job, config, &comm_r, &comm_d, &IDENTITY, seed, asked.clone(), &[1; 192]))
            },
            &[&expected],
        );
    }
    // A proof of one partition is none of thirteen, and the partition is named where it stands.
    let mut phase1 = sandbox.proven.clone();
    phase1.vanilla_proofs.truncate(1);
    let prove = |s: &Sandbox, phase1: &Commit1Output, asked| {
        s.run(|job| prove_partitions(job, &s.config, phase1, &IDENTITY, asked))
    };
    sandbox.refuses(|s| prove(s, &phase1, 0..1), &["1 partitions, expected 13"]);
    let mut phase1 = sandbox.proven.clone();
    phase1.vanilla_proofs[7].reverse();
    sandbox.refuses(|s| prove(s, &phase1, 5..9), &["challenge 0 of partition 7"]);
    sandbox.refuses(|s| prove(s, &phase1, 8..13), &["no parameters of"]);
    let verify = |s: &Sandbox| {
        s.run(|job| verify_partitions(job, &s.config, &comm_r, &comm_d, &IDENTITY, &SEED, 0..2, &[1; 192]))
    };
    let error = sandbox.refuses(verify, &["proof is 192 bytes, expected 384"]);
    assert!(error.is_rejection());
}

#[test]
fn non_interactive_proofs_ask_for_the_reference_string_first() {
    let sandbox = non_interactive();
    let prove = |s: &Sandbox| s.run(|job| commit_phase2(job, &s.config, &s.proven, &IDENTITY));
    sandbox.refuses(prove, &["no reference string for aggregation", "v28-fil-inner-product-v1.srs is missing"]);
    // Sixteen proofs take thirty-two points in G1.
    sandbox.run(|job| setup(job, 31)).unwrap();
    sandbox.refuses(prove, &["v28-fil-inner-product-v1.srs", "31 points", "32 are needed"]);
    fs::remove_file(sandbox.path("params/v28-fil-inner-product-v1.srs")).unwrap();
    sandbox.run(|job| setup(job, 32)).unwrap();
    sandbox.refuses(prove, &["no parameters of", "params/v28-stacked"]);
}
