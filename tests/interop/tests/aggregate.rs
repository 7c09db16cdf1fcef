//! Aggregates and batches of seal proofs, by either side and verified by either.
//!
//! Statements are those of 2 KiB sectors, from which both sides derive challenges and public inputs; the proofs are
//! simulated under a key whose secrets are known (see `filecash_peer::simulated`), so that no test proves for a minute.
//! The reference string is made by us; the reference reads it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use filecash_engine::api::aggregate::{aggregate_seals, setup, verify_aggregate};
use filecash_engine::api::batch::SealStatement;
use filecash_engine::api::seal_list::SealList;
use filecash_engine::api::verify::verify_seals;
use filecash_engine::config::Config;
use filecash_engine::groth16::Version;
use filecash_engine::groth16::srs::REFERENCE_POWERS;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::sector::Profile;
use filecash_interop::side::{accepts, verdict};
use filecash_peer::simulated;
use tempfile::TempDir;

/// The reference string that all tests share: 32,769 powers, which the reference reads whatever it needs.
static STRING: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = job(folder.path(), |job| setup(job, REFERENCE_POWERS)).unwrap();
    (folder, path)
});

fn job<T>(params: &Path, work: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config { parameter_cache: params.to_owned(), ..Config::default() };
    work(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

/// A folder with a verifying key, the reference string and files of a test.
struct World(TempDir);

impl World {
    /// The world and the seals that hold in it.
    fn new(seals: usize) -> (Self, SealList) {
        let folder = tempfile::tempdir().unwrap();
        let list = simulated::seals(folder.path(), seals).unwrap();
        let (_, string) = &*STRING;
        fs::hard_link(string, folder.path().join(string.file_name().unwrap())).unwrap();
        (Self(folder), list)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The reference with its phase and flags; lists and files come as arguments.
    fn reference(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_filecash-interop-peer"));
        command.args(arguments).env("FIL_PROOFS_PARAMETER_CACHE", self.0.path());
        command.env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn list(&self, name: &str, list: &SealList) -> PathBuf {
        self.file(name, &list.to_json())
    }

    /// What the reference says of lists and aggregates, in one process, since it reads its whole string at each start.
    fn reference_judges(&self, version: Version, cases: &[(&SealList, &[u8])]) -> Vec<bool> {
        let mut command = self.reference(&["verify-aggregate", "--snarkpack", &version.number().to_string()]);
        for (number, (list, aggregate)) in cases.iter().enumerate() {
            command.arg(self.list(&format!("list-{number}"), list));
            command.arg("--aggregate").arg(self.file(&format!("aggregate-{number}"), aggregate));
        }
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let all = verdict(&command, &output);
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let holds: Vec<bool> = serde_json::from_value(line["result"]["holds"].clone()).unwrap();
        assert_eq!((holds.len(), holds.iter().all(|holds| *holds)), (cases.len(), all));
        holds
    }

    fn reference_aggregates(&self, list: &SealList, version: Version) -> Vec<u8> {
        let out = self.file("aggregate", b"");
        let mut command = self.reference(&["aggregate", "--snarkpack", &version.number().to_string()]);
        assert!(command.arg("--out").arg(&out).arg(self.list("list", list)).status().unwrap().success());
        fs::read(out).unwrap()
    }

    fn we_aggregate(&self, list: &SealList, version: Version) -> Vec<u8> {
        job(self.0.path(), |job| aggregate_seals(job, &list.proof.config(), version, &list.proven())).unwrap()
    }

    fn we_accept(&self, list: &SealList, version: Version, aggregate: &[u8]) -> bool {
        let verify =
            |job: &Job<'_>| verify_aggregate(job, &list.proof.config(), version, &list.statements(), aggregate);
        match job(self.0.path(), verify) {
            Ok(()) => true,
            Err(error) if error.is_rejection() => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// What both sides say of each case; they have to agree.
    fn both(&self, version: Version, cases: &[(&str, &SealList, &[u8])]) -> Vec<bool> {
        let pairs: Vec<_> = cases.iter().map(|(_, list, aggregate)| (*list, *aggregate)).collect();
        let theirs = self.reference_judges(version, &pairs);
        for ((what, list, aggregate), theirs) in cases.iter().zip(&theirs) {
            let ours = self.we_accept(list, version, aggregate);
            assert_eq!(ours, *theirs, "{what}, {version}: we say {ours}, the reference {theirs}");
        }
        theirs
    }
}

fn changed(list: &SealList, change: impl FnOnce(&mut Vec<(SealStatement, Vec<u8>)>)) -> SealList {
    let mut list = list.clone();
    change(&mut list.seals);
    list
}

/// Aggregates of the same proofs are the same bytes, whoever makes them, and both verify them. So do the seals of a
/// list that is padded.
fn aggregates_agree(seals: usize) {
    let (world, list) = World::new(seals);
    for version in Version::ALL {
        let ours = world.we_aggregate(&list, version);
        let theirs = world.reference_aggregates(&list, version);
        assert_eq!(ours.len(), 2260 + 2976 * seals.next_power_of_two().ilog2() as usize);
        assert!(ours == theirs, "aggregates of {seals} seals differ, {version}");
        assert_eq!(world.both(version, &[("as it is", &list, &ours)]), [true], "{seals} seals");
    }
}

#[test]
fn two_seals() {
    aggregates_agree(2);
}

#[test]
fn four_seals() {
    aggregates_agree(4);
}

#[test]
fn five_seals_padded_to_eight() {
    aggregates_agree(5);
}

#[test]
fn one_seal_padded_to_two() {
    let (world, list) = World::new(1);
    let aggregate = world.we_aggregate(&list, Version::V2);
    assert_eq!(world.reference_aggregates(&list, Version::V2), aggregate);
    assert_eq!(world.both(Version::V2, &[("as it is", &list, &aggregate)]), [true]);
}

/// Neither side asks that seals differ: a seal twice in a list is two statements.
#[test]
fn a_seal_twice_is_aggregated_by_both() {
    let (world, list) = World::new(2);
    let twice = changed(&list, |seals| seals.insert(1, seals[0].clone()));
    for version in Version::ALL {
        let ours = world.we_aggregate(&twice, version);
        assert_eq!(world.reference_aggregates(&twice, version), ours);
        let same = changed(&list, |seals| seals.truncate(1));
        let cases = [("a seal twice", &twice, &ours[..]), ("once", &list, &ours), ("that seal alone", &same, &ours)];
        assert_eq!(world.both(version, &cases), [true, false, false]);
    }
}

#[test]
fn tampered_aggregates_are_rejected_by_both() {
    let (world, list) = World::new(3);
    for version in Version::ALL {
        let aggregate = world.we_aggregate(&list, version);
        let other = Version::ALL.into_iter().find(|other| *other != version).unwrap();
        assert_eq!(world.both(other, &[("other version", &list, &aggregate)]), [false]);
        let lists = [
            ("swapped", changed(&list, |seals| seals.swap(0, 1))),
            ("comm_r", changed(&list, |seals| seals[1].0.comm_r[0] ^= 1)),
            ("comm_d", changed(&list, |seals| seals[1].0.comm_d[0] ^= 1)),
            ("seed", changed(&list, |seals| seals[2].0.seed[0] ^= 1)),
            ("sector", changed(&list, |seals| seals[0].0.identity.sector_id += 1)),
            ("ticket", changed(&list, |seals| seals[0].0.identity.ticket[0] ^= 1)),
            ("prover", changed(&list, |seals| seals[0].0.identity.prover_id[0] ^= 1)),
            ("prover of all", changed(&list, |seals| seals.iter_mut().for_each(|(s, _)| s.identity.prover_id[0] ^= 1))),
            ("a seal less", changed(&list, |seals| seals.truncate(2))),
            ("two seals more", changed(&list, |seals| seals.extend_from_within(..2))),
        ];
        // One byte of each part: commitments, count, rounds, folded elements, openings.
        let bytes = [0, 600, 1488, 1500, 4000, 7300, 7800, 8000, 8211].map(|at| {
            let mut aggregate = aggregate.clone();
            aggregate[at] ^= 1;
            aggregate
        });
        let mut cases = vec![("as it is", &list, &aggregate[..]), ("cut", &list, &aggregate[..8000])];
        cases.extend(lists.iter().map(|(what, list)| (*what, list, &aggregate[..])));
        cases.extend(bytes.iter().map(|bytes| ("a byte", &list, &bytes[..])));
        let accepted = world.both(version, &cases);
        assert!(accepted[0] && accepted[1..].iter().all(|accepted| !accepted), "{accepted:?}");
    }
}

#[test]
fn batches_are_judged_alike() {
    let (world, list) = World::new(5);
    let both = |list: &SealList| {
        let outcome = job(world.0.path(), |job| verify_seals(job, &list.proof.config(), &list.proven()));
        let ours = match outcome {
            Ok(()) => true,
            Err(error) if error.is_rejection() => false,
            Err(error) => panic!("{error}"),
        };
        for flags in [&["verify-list"][..], &["verify-list", "--batch"]] {
            let theirs = accepts(world.reference(flags).arg(world.list("list", list)));
            assert_eq!(theirs, ours, "{flags:?}");
        }
        ours
    };
    assert_eq!(list.proof.profile, Profile::Filecoin);
    assert!(both(&list));
    assert!(both(&changed(&list, |seals| seals.truncate(1))));
    // A seal twice.
    assert!(both(&changed(&list, |seals| seals[3] = seals[1].clone())));
    assert!(!both(&changed(&list, |seals| seals[2].0.identity.prover_id[0] ^= 1)));
    assert!(!both(&changed(&list, |seals| seals[4].0.seed[31] ^= 1)));
    assert!(!both(&changed(&list, |seals| seals[0].1[191] ^= 1)));
    assert!(!both(&changed(&list, |seals| {
        let proof = seals[1].1.clone();
        seals[2].1 = proof;
    })));
}
