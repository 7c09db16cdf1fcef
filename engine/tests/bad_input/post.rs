//! Proofs of space-time: faulty sectors, impossible requests, false proofs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use filecash_engine::Error;
use filecash_engine::api::params::setup;
use filecash_engine::api::post::{
    Fault, Faulty, PoStError, PoStRound, PoStSector, PublicSector, ReadLimits, RoundError, VanillaPoSt, WindowOptions,
    WindowProof, challenges, open_all, prove_window, prove_window_partition, prove_window_partition_with_vanilla,
    prove_window_with_vanilla, prove_winning, prove_winning_with_vanilla, vanilla_proof, verify_window,
    verify_window_partition, verify_winning,
};
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::config::Config;
use filecash_engine::field::Node;
use filecash_engine::groth16::{ProofError, VerifyError};
use filecash_engine::hash::poseidon::hash2;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::merkle::build::build_tree_r_last;
use filecash_engine::merkle::tree_file::TreeFileError;
use filecash_engine::params::{CircuitKind, ParamId};
use filecash_engine::sector::geometry::Geometry;
use filecash_engine::sector::{PoStProof, Profile, ProverId, params};
use filecash_engine::store::aux::PAux;

use crate::support::{Sandbox, State, said};

const RANDOMNESS: [u8; 32] = [5; 32];
const PROVER: ProverId = [9; 32];
/// Registered numbers: winning on both networks, window 1.0.0 on both, window 1.2.0 on Filecoin.
const WINNING: u32 = 0;
const RANKED: u32 = 5;
const FREE: u32 = 10;

/// A folder of parameters for both kinds of proofs on both networks, made once.
static PARAMETERS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { parameter_cache: folder.path().to_owned(), ..Config::default() };
    let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
    for (profile, circuit) in [
        (Profile::Filecoin, CircuitKind::Window),
        (Profile::Filecash, CircuitKind::Window),
        (Profile::Filecoin, CircuitKind::Winning),
        (Profile::Filecash, CircuitKind::Winning),
    ] {
        setup(&job, &ParamId::new(profile, circuit, 2048).unwrap()).unwrap();
    }
    folder
});

fn round_of(profile: Profile, id: u32) -> PoStRound {
    PoStRound::new(&PoStProof::by_id(profile, id).unwrap().config(), &RANDOMNESS, &PROVER).unwrap()
}

fn round(id: u32) -> PoStRound {
    round_of(Profile::Filecoin, id)
}

/// A replica of 2 KiB that was never sealed: what a proof of space-time looks at is all there.
fn replica(folder: &Path, sector_id: u64) -> PoStSector {
    let (cache, sealed) = (folder.join(format!("cache-{sector_id}")), folder.join(format!("sealed-{sector_id}")));
    fs::create_dir(&cache).unwrap();
    let node = |i: u64| {
        let mut node: Node = std::array::from_fn(|at| (sector_id * 31 + i * 7 + at as u64 * 13) as u8);
        node[31] &= 0x3f;
        node
    };
    fs::write(&sealed, (0..64).map(node).collect::<Vec<_>>().as_flattened()).unwrap();
    let config = Config::default();
    let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
    let geometry = Geometry::of(params::for_size(Profile::Filecoin, 2048).unwrap());
    let comm_r_last = build_tree_r_last(&Cpu, &job, &sealed, &cache, geometry).unwrap()[0];
    let comm_c = node(64);
    PAux { comm_c, comm_r_last }.write(&cache).unwrap();
    PoStSector { sector_id, comm_r: hash2(&comm_c, &comm_r_last).unwrap(), cache, sealed }
}

/// A folder with `count` sectors, numbered from 100 on.
fn sectors(count: u64) -> (Sandbox, Vec<PoStSector>) {
    let mut sandbox = Sandbox::new(Profile::Filecoin, State::Staged);
    sandbox.settings.parameter_cache = PARAMETERS.path().to_owned();
    let sectors = (100..100 + count).map(|id| replica(&sandbox.path("."), id)).collect();
    (sandbox, sectors)
}

fn public(sectors: &[PoStSector]) -> Vec<PublicSector> {
    sectors.iter().map(|sector| PublicSector { sector_id: sector.sector_id, comm_r: sector.comm_r }).collect()
}

fn damage(sector: &PoStSector) {
    let mut bytes = fs::read(&sector.sealed).unwrap();
    bytes[777] ^= 1;
    fs::write(&sector.sealed, bytes).unwrap();
}

const SKIP: WindowOptions = WindowOptions {
    faulty: Faulty::Skip,
    limits: ReadLimits { per_sector: Duration::from_secs(20), total: Duration::from_secs(60), parallel: 8 },
};

fn refuse() -> WindowOptions {
    WindowOptions { faulty: Faulty::Refuse, ..SKIP }
}

fn prove(sandbox: &Sandbox, id: u32, sectors: &[PoStSector], options: &WindowOptions) -> Result<WindowProof, Error> {
    sandbox.run(|job| prove_window(job, &round(id), sectors, options))
}

fn vanilla(sandbox: &Sandbox, round: &PoStRound, sectors: &[PoStSector]) -> Vec<VanillaPoSt> {
    sandbox.run(|job| open_all(job, round, 0, sectors, &refuse())).unwrap().proofs
}

fn post_error(error: &Error) -> &PoStError {
    match error {
        Error::PoSt(error) => error,
        other => panic!("{}", said(other)),
    }
}

/// Whether a proof was read, and is of something else.
fn is_unsatisfied(error: &Error) -> bool {
    error.is_rejection() && matches!(error, Error::Verify(VerifyError::Unsatisfied { .. }))
}

#[test]
fn randomness_and_provers_that_are_no_field_elements_are_refused() {
    let config = PoStProof::by_id(Profile::Filecoin, FREE).unwrap().config();
    let wide = [0xff; 32];
    let error: Error = PoStRound::new(&config, &wide, &PROVER).unwrap_err().into();
    assert!(matches!(error, Error::PoStRound(RoundError::Randomness(_))));
    assert!(said(&error).contains("two top bits") && said(&error).contains("ffff"), "{}", said(&error));
    let error: Error = PoStRound::new(&config, &RANDOMNESS, &wide).unwrap_err().into();
    assert!(matches!(error, Error::PoStRound(RoundError::ProverId(_))));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let (sandbox, sectors) = sectors(3);
    let rounds = [round(RANKED), round(FREE)];
    for round in rounds {
        let of = |sectors: &[PoStSector]| {
            let sectors = sectors.to_vec();
            move |sandbox: &Sandbox| sandbox.run(|job| prove_window(job, &round, &sectors, &SKIP))
        };
        assert!(matches!(post_error(&sandbox.refuses(of(&[]), &["no sectors"])), PoStError::NoSectors));
        let double = [sectors[0].clone(), sectors[1].clone(), sectors[0].clone()];
        let error = sandbox.refuses(of(&double), &["sector 100 is given twice"]);
        assert!(matches!(post_error(&error), PoStError::Duplicate { sector_id: 100 }));
        let verify = |sectors: Vec<PublicSector>| {
            move |sandbox: &Sandbox| sandbox.run(|job| verify_window(job, &round, &sectors, &[0; 384]))
        };
        sandbox.refuses(verify(Vec::new()), &["no sectors"]);
        sandbox.refuses(verify(public(&double)), &["sector 100 is given twice"]);
        sandbox.refuses(|_| Ok(challenges(&round, 0, &[7, 7])?), &["sector 7 is given twice"]);

        // A partition of 2 KiB sectors has two of them.
        let many = "3 sectors, a partition has 2 at most";
        let three = |sandbox: &Sandbox| sandbox.run(|job| prove_window_partition(job, &round, 0, &sectors, &SKIP));
        let error = sandbox.refuses(three, &[many]);
        assert!(matches!(post_error(&error), PoStError::TooManySectors { expected: 2, actual: 3 }));
        let proofs = vanilla(&sandbox, &round, &sectors);
        let three = |sandbox: &Sandbox| {
            sandbox.run(|job| prove_window_partition_with_vanilla(job, &round, 0, proofs.clone(), Faulty::Refuse))
        };
        sandbox.refuses(three, &[many]);
        let three = |sandbox: &Sandbox| {
            sandbox.run(|job| verify_window_partition(job, &round, 0, &public(&sectors), &[0; 192]))
        };
        sandbox.refuses(three, &[many]);
        let far =
            |sandbox: &Sandbox| sandbox.run(|job| prove_window_partition(job, &round, u64::MAX, &sectors[..1], &SKIP));
        let error = sandbox.refuses(far, &["partition 18446744073709551615"]);
        assert!(matches!(post_error(&error), PoStError::NoSuchPartition { .. }));

        // Winning where window is meant, and the other way round.
        let kind =
            |sandbox: &Sandbox| sandbox.run(|job| prove_winning(job, &round, &sectors[0], &ReadLimits::default()));
        let error = sandbox.refuses(kind, &["the round is one of window PoSt, not of winning PoSt"]);
        assert!(matches!(post_error(&error), PoStError::Kind { .. }) && !error.is_rejection());
    }
    let winning = round(WINNING);
    let kind = |sandbox: &Sandbox| sandbox.run(|job| prove_window(job, &winning, &sectors, &SKIP));
    sandbox.refuses(kind, &["the round is one of winning PoSt, not of window PoSt"]);
    sandbox.refuses(|_| Ok(challenges(&winning, 0, &[1, 2])?), &["2 sectors, a partition has 1 at most"]);
    sandbox.refuses(|_| Ok(winning.winning_sector(0)?), &["out of none"]);
    let other_leaves = |leaves: &[u64]| {
        let (leaves, sector) = (leaves.to_vec(), sectors[0].clone());
        move |sandbox: &Sandbox| {
            sandbox.run(|job| vanilla_proof(job, rounds[0].config(), &sector, &leaves, &ReadLimits::default()))
        }
    };
    sandbox.refuses(other_leaves(&[1; 9]), &["9 challenged leaves, expected 10"]);
    sandbox.refuses(other_leaves(&[64; 10]), &["challenged leaf 64 of sectors of 64 nodes"]);
}

/// 20 sectors are 10 partitions of 2 KiB sectors: the damaged one is named and the others are proven, also around one
/// that cannot be read.
#[test]
fn a_damaged_replica_among_twenty_is_named_and_the_others_are_proven() {
    let (sandbox, sectors) = sectors(20);
    damage(&sectors[7]);
    let error = sandbox.refuses(
        |sandbox| prove(sandbox, FREE, &sectors, &refuse()),
        &["1 of 20 sectors cannot be proven: sector 107 (nodes 0 to 64 of", "sealed-107 do not lead to the tree in"],
    );
    assert!(error.is_rejection());
    let PoStError::Faulty { sectors: 20, faulty } = post_error(&error) else { panic!("{error}") };
    assert!(matches!(faulty[..], [ref one] if one.sector_id == 107
        && matches!(one.fault, Fault::Tree(TreeFileError::Inconsistent { .. }))));

    // Opening a pipe that nobody writes to hangs, as a dead network file system does.
    fs::remove_file(&sectors[12].sealed).unwrap();
    assert!(Command::new("mkfifo").arg(&sectors[12].sealed).status().unwrap().success());
    for id in [RANKED, FREE] {
        let limits = ReadLimits { per_sector: Duration::from_secs(1), ..SKIP.limits };
        let start = Instant::now();
        let WindowProof { proof, proven, skipped } =
            prove(&sandbox, id, &sectors, &WindowOptions { limits, ..SKIP }).unwrap();
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
        assert_eq!(proof.len(), 9 * 192);
        assert_eq!(skipped.iter().map(|faulty| faulty.sector_id).collect::<Vec<_>>(), [107, 112]);
        assert!(matches!(skipped[1].fault, Fault::TimedOut { .. }));
        let good: Vec<_> =
            public(&sectors).into_iter().filter(|sector| ![107, 112].contains(&sector.sector_id)).collect();
        assert_eq!(proven, good);
        sandbox.run(|job| verify_window(job, &round(id), &good, &proof)).unwrap();
        // It is of these sectors and of no others.
        let all = sandbox.run(|job| verify_window(job, &round(id), &public(&sectors), &proof)).unwrap_err();
        let (expected, actual) = (10 * 192, 9 * 192);
        assert!(
            matches!(all, Error::Proof(ProofError::Length { expected: e, actual: a }) if (e, a) == (expected, actual))
        );
    }
}

#[test]
fn sectors_without_a_good_one_are_not_proven() {
    let (sandbox, mut sectors) = sectors(2);
    damage(&sectors[0]);
    sectors[1].comm_r[0] ^= 1;
    for options in [SKIP, refuse()] {
        let error = sandbox.refuses(
            |sandbox| prove(sandbox, FREE, &sectors, &options),
            &["2 of 2 sectors cannot be proven: sector 100 (", "sector 101 (comm_r is "],
        );
        assert!(error.is_rejection());
    }
    let winning =
        |sandbox: &Sandbox| sandbox.run(|job| prove_winning(job, &round(WINNING), &sectors[0], &ReadLimits::default()));
    assert!(sandbox.refuses(winning, &["sector 100 (", "sealed-100"]).is_rejection());
}

#[test]
fn vanilla_proofs_of_other_rounds_and_sectors_are_faulty() {
    let (sandbox, sectors) = sectors(2);
    let config = *round(FREE).config();
    let other = PoStRound::new(&config, &[6; 32], &PROVER).unwrap();
    let good = vanilla(&sandbox, &round(FREE), &sectors);
    let of = |proofs: Vec<VanillaPoSt>, faulty: Faulty| {
        sandbox.run(|job| prove_window_with_vanilla(job, &round(FREE), proofs, faulty))
    };
    let says = |proofs: Vec<VanillaPoSt>, expected: &str| {
        let error = of(proofs, Faulty::Refuse).unwrap_err();
        assert!(matches!(post_error(&error), PoStError::Faulty { .. }) && said(&error).contains(expected), "{error}");
    };
    // The wrong randomness.
    says(vanilla(&sandbox, &other, &sectors), "2 of 2 sectors cannot be proven: sector 100 (opening of TreeR-last");
    // Proofs under each other's names.
    let mut swapped = good.clone();
    (swapped[0].sector_id, swapped[1].sector_id) = (101, 100);
    says(swapped, "2 of 2 sectors");
    // A stale comm_r, a damaged node.
    let mut stale = good.clone();
    stale[1].comm_r[0] ^= 1;
    says(stale, "1 of 2 sectors cannot be proven: sector 101 (comm_r is");
    let mut damaged = good.clone();
    damaged[0].proof.inclusion_proofs.swap(0, 1);
    says(damaged.clone(), "1 of 2 sectors cannot be proven: sector 100 (opening");
    // Given twice.
    let double = of(vec![good[0].clone(), good[0].clone()], Faulty::Skip).unwrap_err();
    assert!(matches!(post_error(&double), PoStError::Duplicate { sector_id: 100 }));
    assert!(matches!(post_error(&of(Vec::new(), Faulty::Skip).unwrap_err()), PoStError::NoSectors));
    // The other one is proven without it.
    let WindowProof { proof, proven, skipped } = of(damaged, Faulty::Skip).unwrap();
    assert_eq!((skipped.len(), skipped[0].sector_id, &proven[..]), (1, 100, &public(&sectors)[1..]));
    sandbox.run(|job| verify_window(job, &round(FREE), &proven, &proof)).unwrap();

    // The vanilla proof of a window for a block, and of another randomness.
    let winning = |vanilla: VanillaPoSt| {
        sandbox.run(|job| prove_winning_with_vanilla(job, &round(WINNING), vanilla)).unwrap_err()
    };
    assert!(said(&winning(good[0].clone())).contains("10 opened leaves, expected 66"));
    let other = PoStRound::new(round(WINNING).config(), &[6; 32], &PROVER).unwrap();
    let error = winning(vanilla(&sandbox, &other, &sectors[..1]).remove(0));
    assert!(matches!(post_error(&error), PoStError::Faulty { sectors: 1, faulty } if faulty[0].sector_id == 100));
    assert!(error.is_rejection());
}

#[test]
fn false_window_proofs_are_rejected() {
    let (sandbox, sectors) = sectors(3);
    let known = public(&sectors);
    let WindowProof { proof, .. } = prove(&sandbox, FREE, &sectors, &refuse()).unwrap();
    assert_eq!(proof.len(), 2 * 192);
    let verify = |round: &PoStRound, sectors: &[PublicSector], proof: &[u8]| {
        sandbox.run(|job| verify_window(job, round, sectors, proof))
    };
    verify(&round(FREE), &known, &proof).unwrap();
    // In whatever order they are given.
    verify(&round(FREE), &[known[2], known[0], known[1]], &proof).unwrap();
    let rejected = |round: &PoStRound, sectors: &[PublicSector], proof: &[u8]| {
        let error = verify(round, sectors, proof).unwrap_err();
        assert!(error.is_rejection(), "{}", said(&error));
        error
    };
    let unsatisfied = |round: &PoStRound, sectors: &[PublicSector], proof: &[u8]| {
        let error = rejected(round, sectors, proof);
        assert!(is_unsatisfied(&error), "{}", said(&error));
    };
    let config = *round(FREE).config();
    unsatisfied(&PoStRound::new(&config, &[6; 32], &PROVER).unwrap(), &known, &proof);
    // The old challenges, from the second sector on.
    unsatisfied(&round(RANKED), &known, &proof);
    // The other network's key.
    unsatisfied(&round_of(Profile::Filecash, RANKED), &known, &proof);
    let mut swapped = known.clone();
    (swapped[0].comm_r, swapped[1].comm_r) = (known[1].comm_r, known[0].comm_r);
    unsatisfied(&round(FREE), &swapped, &proof);
    let mut stale = known.clone();
    stale[2].comm_r[0] ^= 1;
    unsatisfied(&round(FREE), &stale, &proof);
    let mut renamed = known.clone();
    renamed[2].sector_id = 200;
    unsatisfied(&round(FREE), &renamed, &proof);
    let more = PublicSector { sector_id: 103, ..known[2] };
    unsatisfied(&round(FREE), &[&known[..], &[more]].concat(), &proof);
    let halves = [&proof[192..], &proof[..192]].concat();
    unsatisfied(&round(FREE), &known, &halves);
    // A missing sector takes a partition with it.
    let missing = rejected(&round(FREE), &known[..2], &proof);
    assert!(matches!(missing, Error::Proof(ProofError::Length { expected: 192, actual: 384 })));
    for length in [0, 191, 192, 383, 385, 576] {
        let bytes: Vec<u8> = proof.iter().copied().cycle().take(length).collect();
        let error = rejected(&round(FREE), &known, &bytes);
        assert!(matches!(error, Error::Proof(ProofError::Length { expected: 384, .. })));
    }
    // What says nothing about the proof.
    let refused = |comm_r: [u8; 32], expected: &str| {
        let mut sectors = known.clone();
        sectors[1].comm_r = comm_r;
        let error = verify(&round(FREE), &sectors, &proof).unwrap_err();
        assert!(!error.is_rejection() && said(&error).contains(expected), "{}", said(&error));
    };
    refused([0; 32], "sector 101: comm_r is all zero");
    refused([0xff; 32], "sector 101: comm_r is no field element");
    // The prover is nowhere in a window proof, on either network and in the reference.
    verify(&PoStRound::new(&config, &RANDOMNESS, &[8; 32]).unwrap(), &known, &proof).unwrap();
}

#[test]
fn partitions_proven_alone_make_up_the_whole() {
    let (sandbox, sectors) = sectors(5);
    let known = public(&sectors);
    for id in [RANKED, FREE] {
        let proofs: Vec<Vec<u8>> = (0..)
            .zip(sectors.chunks(2))
            .map(|(partition, sectors)| {
                let proof = sandbox
                    .run(|job| prove_window_partition(job, &round(id), partition, sectors, &refuse()))
                    .unwrap()
                    .proof;
                let known = public(sectors);
                sandbox.run(|job| verify_window_partition(job, &round(id), partition, &known, &proof)).unwrap();
                // Elsewhere it holds only where ranks do not matter.
                let elsewhere =
                    sandbox.run(|job| verify_window_partition(job, &round(id), partition + 1, &known, &proof));
                match id {
                    FREE => elsewhere.unwrap(),
                    _ => assert!(is_unsatisfied(&elsewhere.unwrap_err())),
                }
                proof
            })
            .collect();
        sandbox.run(|job| verify_window(job, &round(id), &known, &proofs.concat())).unwrap();
    }
}

#[test]
fn false_winning_proofs_are_rejected() {
    let (sandbox, sectors) = sectors(2);
    let known = public(&sectors);
    let round = round(WINNING);
    let proof = sandbox.run(|job| prove_winning(job, &round, &sectors[0], &ReadLimits::default())).unwrap();
    let verify = |round: &PoStRound, sector: &PublicSector, proof: &[u8]| {
        sandbox.run(|job| verify_winning(job, round, sector, proof))
    };
    verify(&round, &known[0], &proof).unwrap();
    let rejected = |round: &PoStRound, sector: &PublicSector| {
        let error = verify(round, sector, &proof).unwrap_err();
        assert!(is_unsatisfied(&error), "{}", said(&error));
    };
    rejected(&PoStRound::new(round.config(), &[6; 32], &PROVER).unwrap(), &known[0]);
    rejected(&round, &known[1]);
    rejected(&round, &PublicSector { sector_id: 101, ..known[0] });
    for bytes in [&proof[..191], &[&proof[..], &proof[..]].concat()] {
        let error = verify(&round, &known[0], bytes).unwrap_err();
        assert!(matches!(error, Error::Proof(ProofError::Length { expected: 192, actual }) if actual == bytes.len()));
        assert!(error.is_rejection());
    }
    // Another prover wins with another sector. That is all that depends on it: spec/replication.md 10.2, spec/snark.md
    // 2.3. Who does not ask which sector wins accepts a proof under any prover's name.
    let other = PoStRound::new(round.config(), &RANDOMNESS, &[8; 32]).unwrap();
    assert_ne!(other.winning_sector(1 << 40), round.winning_sector(1 << 40));
    verify(&other, &known[0], &proof).unwrap();
    // The vanilla proof gives a proof of the same.
    let leaves = &challenges(&round, 0, &[100]).unwrap()[0].1;
    let vanilla = sandbox.run(|job| vanilla_proof(job, round.config(), &sectors[0], leaves, &SKIP.limits)).unwrap();
    let again = sandbox.run(|job| prove_winning_with_vanilla(job, &round, vanilla)).unwrap();
    verify(&round, &known[0], &again).unwrap();
    assert_ne!(again, proof);
}

/// Set-up, proof and verification on Filecash, whose keys are other ones of the same circuits.
#[test]
fn filecash_proofs_hold_under_their_own_keys_alone() {
    let (sandbox, sectors) = sectors(3);
    let known = public(&sectors);
    for id in [WINNING, RANKED] {
        let round = round_of(Profile::Filecash, id);
        let verify = |round: &PoStRound, proof: &[u8]| {
            sandbox.run(|job| match id {
                WINNING => verify_winning(job, round, &known[0], proof),
                _ => verify_window(job, round, &known, proof),
            })
        };
        let proof = sandbox
            .run(|job| match id {
                WINNING => prove_winning(job, &round, &sectors[0], &SKIP.limits),
                _ => prove_window(job, &round, &sectors, &refuse()).map(|window| window.proof),
            })
            .unwrap();
        assert_eq!(proof.len(), if id == WINNING { 192 } else { 2 * 192 });
        verify(&round, &proof).unwrap();
        assert!(is_unsatisfied(&verify(&round_of(Profile::Filecoin, id), &proof).unwrap_err()));
        let other = PoStRound::new(round.config(), &[6; 32], &PROVER).unwrap();
        assert!(is_unsatisfied(&verify(&other, &proof).unwrap_err()));
        // −A in the place of A is a point, and makes another proof.
        let mut negated = proof.clone();
        negated[0] ^= 0x20;
        assert!(is_unsatisfied(&verify(&round, &negated).unwrap_err()));
        // A byte of each element: another x, which is next to never that of a point of the group.
        for at in [40, 140, 190] {
            let mut damaged = proof.clone();
            damaged[at] ^= 1;
            let error = verify(&round, &damaged).unwrap_err();
            assert!(
                matches!(error, Error::Proof(ProofError::Point { .. })) || is_unsatisfied(&error),
                "{}",
                said(&error)
            );
            assert!(error.is_rejection());
        }
    }
}
