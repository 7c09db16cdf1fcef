//! Proofs of space-time by either side, on the same sectors and under either side's parameters.
//!
//! The reference runs as a process, since it reads its parameter folder once; our engine runs in process. Sectors are
//! replicas that were never sealed, one seal aside: nothing but replica, TreeR-last and `p_aux` is looked at. Challenges
//! and vanilla proofs are compared byte for byte; proofs are verified by both sides, and so are false ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use filecash_engine::Error;
use filecash_engine::api::params::setup;
use filecash_engine::api::post::{
    Faulty, PoStError, PoStRound, PoStSector, PublicSector, ReadLimits, VanillaPoSt, WindowOptions, challenges,
    open_all, prove_window, prove_window_partition, prove_window_with_vanilla, prove_winning, verify_window,
    verify_window_partition, verify_winning,
};
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::config::Config;
use filecash_engine::field::Node;
use filecash_engine::hash::poseidon::hash2;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::merkle::build::build_tree_r_last;
use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore};
use filecash_engine::sector::geometry::Geometry;
use filecash_engine::sector::{PoStProof, Profile, params};
use filecash_engine::store::aux::PAux;
use filecash_interop::case::{Case, Piece, Rules, small};
use filecash_interop::reference;
use filecash_interop::side::{Maker, accepts};
use filecash_interop::snapshot::difference;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const RANDOMNESS: [u8; 32] = [7; 32];
const PROVER: [u8; 32] = [9; 32];

const WINNING: &str = "StackedDrgWinning2KiBV1";
/// The two generations of window challenges.
const WINDOWS: [&str; 2] = ["StackedDrgWindow2KiBV1", "StackedDrgWindow2KiBV1_2"];

/// A step of the reference, as a process, on its way.
fn step(step: &str, proof: &str, arguments: &[&str], parameters: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_filecash-interop-peer"));
    command.args(["post", step, "--registered-proof", proof]).args(arguments).env_remove("RUST_LOG");
    if step != "params" {
        // A test names another round by giving its own.
        for (flag, value) in [("--randomness", RANDOMNESS), ("--prover-id", PROVER)] {
            if !arguments.contains(&flag) {
                command.args([flag, &hex::encode(value)]);
            }
        }
    }
    if let Some(parameters) = parameters {
        command.env("FIL_PROOFS_PARAMETER_CACHE", parameters);
    }
    command
}

/// What a step of the reference that goes well prints.
#[track_caller]
fn peer(name: &str, proof: &str, arguments: &[&str], parameters: Option<&Path>) -> Value {
    let mut command = step(name, proof, arguments, parameters);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a step of the reference says that fails by an error.
#[track_caller]
fn fails(command: &mut Command) -> String {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    said
}

fn round_at(proof: &str, randomness: [u8; 32]) -> PoStRound {
    let config = PoStProof::by_name(Profile::Filecoin, proof).unwrap().config();
    PoStRound::new(&config, &randomness, &PROVER).unwrap()
}

fn round(proof: &str) -> PoStRound {
    round_at(proof, RANDOMNESS)
}

fn ours<T>(parameters: &Path, work: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config { parameter_cache: parameters.to_owned(), ..Config::default() };
    work(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

/// Parameters of both 2 KiB circuits by either maker, made once and kept between runs.
fn parameters(maker: Maker) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let folder = filecash_interop::params::cache().unwrap().join(match maker {
        Maker::Us => "params",
        Maker::Them => "reference-params",
    });
    fs::create_dir_all(&folder).unwrap();
    for (circuit, proof) in [(CircuitKind::Winning, WINNING), (CircuitKind::Window, WINDOWS[0])] {
        let id = ParamId::new(Profile::Filecoin, circuit, 2 << 10).unwrap();
        let path = |kind| ParamStore::new(&folder).path(&id, kind);
        if [FileKind::Params, FileKind::VerifyingKey].into_iter().all(|kind| path(kind).is_file()) {
            continue;
        }
        match maker {
            Maker::Us => drop(ours(&folder, |job| setup(job, &id)).unwrap()),
            Maker::Them => drop(peer("params", proof, &[], Some(&folder))),
        }
    }
    folder
}

/// A replica whose nodes are digests of its number and theirs.
fn replica(folder: &Path, size: u64, sector_id: u64) -> PoStSector {
    let (cache, sealed) = (folder.join(format!("cache-{sector_id}")), folder.join(format!("sealed-{sector_id}")));
    fs::create_dir(&cache).unwrap();
    let node = |i: u64| {
        let mut node: Node = Sha256::digest([sector_id.to_le_bytes(), i.to_le_bytes()].as_flattened()).into();
        node[31] &= 0x3f;
        node
    };
    let geometry = Geometry::of(params::for_size(Profile::Filecoin, size).unwrap());
    fs::write(&sealed, (0..geometry.nodes()).map(node).collect::<Vec<_>>().as_flattened()).unwrap();
    let comm_r_last = ours(folder, |job| build_tree_r_last(&Cpu, job, &sealed, &cache, geometry)).unwrap()[0];
    let comm_c = node(geometry.nodes());
    PAux { comm_c, comm_r_last }.write(&cache).unwrap();
    PoStSector { sector_id, comm_r: hash2(&comm_c, &comm_r_last).unwrap(), cache, sealed }
}

/// A folder with sectors of these numbers.
fn replicas(size: u64, numbers: &[u64]) -> (TempDir, Vec<PoStSector>) {
    let folder = tempfile::tempdir().unwrap();
    let sectors = numbers.iter().map(|number| replica(folder.path(), size, *number)).collect();
    (folder, sectors)
}

fn public(sectors: &[PoStSector]) -> Vec<PublicSector> {
    sectors.iter().map(|sector| PublicSector { sector_id: sector.sector_id, comm_r: sector.comm_r }).collect()
}

/// The list of sectors as a file.
fn list(folder: &Path, sectors: &[PoStSector]) -> String {
    let entry = |sector: &PoStSector| {
        json!({
            "sector_id": sector.sector_id, "comm_r": hex::encode(sector.comm_r),
            "cache": sector.cache, "sealed": sector.sealed,
        })
    };
    write(folder, "sectors.json", &serde_json::to_vec(&sectors.iter().map(entry).collect::<Vec<_>>()).unwrap())
}

/// Writes a file; gives its path as text.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

const OPTIONS: WindowOptions = WindowOptions {
    faulty: Faulty::Skip,
    limits: ReadLimits {
        per_sector: std::time::Duration::from_secs(60),
        total: std::time::Duration::from_secs(600),
        parallel: 8,
    },
};

/// Our vanilla proofs, once they are those of the reference.
fn vanilla(folder: &Path, proof: &str, sectors: &[PoStSector]) -> Vec<VanillaPoSt> {
    let out = folder.join("vanilla");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out).unwrap();
    peer("vanilla", proof, &["--sectors", &list(folder, sectors), "--out", out.to_str().unwrap()], None);
    // Nothing is skipped here, so refusing or not is the same.
    let opened = ours(folder, |job| open_all(job, &round(proof), 0, sectors, &OPTIONS)).unwrap();
    assert_eq!((opened.proofs.len(), opened.faulty.len()), (sectors.len(), 0));
    for vanilla in &opened.proofs {
        let theirs = fs::read(out.join(format!("sector-{}", vanilla.sector_id))).unwrap();
        assert_eq!(difference(&vanilla.to_bytes().unwrap(), &theirs), None, "{proof}, sector {}", vanilla.sector_id);
        assert_eq!(VanillaPoSt::decode(round(proof).config(), &theirs).unwrap(), *vanilla);
    }
    opened.proofs
}

/// Whether a proof holds, by each side.
struct Judges<'a> {
    folder: &'a Path,
    parameters: &'a Path,
    proof: &'a str,
}

impl Judges<'_> {
    fn ours(&self, randomness: [u8; 32], sectors: &[PublicSector], bytes: &[u8]) -> bool {
        let round = round_at(self.proof, randomness);
        let verified = ours(self.parameters, |job| match self.proof {
            WINNING => verify_winning(job, &round, &sectors[0], bytes),
            _ => verify_window(job, &round, sectors, bytes),
        });
        if let Err(error) = &verified {
            assert!(error.is_rejection(), "a check that could not be made: {error}");
        }
        verified.is_ok()
    }

    fn theirs(&self, randomness: [u8; 32], sectors: &[PublicSector], bytes: &[u8]) -> bool {
        let sectors: Vec<_> = sectors
            .iter()
            .map(|sector| PoStSector {
                sector_id: sector.sector_id,
                comm_r: sector.comm_r,
                cache: PathBuf::new(),
                sealed: PathBuf::new(),
            })
            .collect();
        let (list, bytes) = (list(self.folder, &sectors), write(self.folder, "proof", bytes));
        let randomness = hex::encode(randomness);
        let arguments = ["--sectors", &list, "--proof", &bytes, "--randomness", &randomness];
        accepts(&mut step("verify", self.proof, &arguments, Some(self.parameters)))
    }

    #[track_caller]
    fn accept(&self, sectors: &[PublicSector], bytes: &[u8], what: &str) {
        assert!(self.ours(RANDOMNESS, sectors, bytes), "{what}: refused by us");
        assert!(self.theirs(RANDOMNESS, sectors, bytes), "{what}: refused by the reference");
    }

    #[track_caller]
    fn reject(&self, randomness: [u8; 32], sectors: &[PublicSector], bytes: &[u8], what: &str) {
        assert!(!self.ours(randomness, sectors, bytes), "{what}: accepted by us");
        assert!(!self.theirs(randomness, sectors, bytes), "{what}: accepted by the reference");
    }
}

#[test]
fn challenges_are_the_references() {
    let ids: Vec<u64> = (0..9).map(|i| 3 + i * i * 1_000_003).collect();
    let text = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    for proof in PoStProof::all(Profile::Filecoin) {
        let round = round(proof.name);
        let ids = if proof.name.contains("Winning") { &ids[..1] } else { &ids[..] };
        let text = if ids.len() == 1 { "3" } else { &text };
        let theirs = peer("challenges", proof.name, &["--sectors", text], None);
        for (sector, leaves) in challenges(&round, 0, ids).unwrap() {
            assert_eq!(theirs["result"]["challenges"][sector.to_string()], json!(leaves), "{} {sector}", proof.name);
        }
        if ids.len() > 1 {
            continue;
        }
        for count in [1_u64, 2, 1000, 1 << 40] {
            let theirs = peer("challenges", proof.name, &["--sector-count", &count.to_string()], None);
            assert_eq!(theirs["result"]["winner"], json!(round.winning_sector(count).unwrap()));
        }
    }
}

/// All shapes that the reference's names know at small sizes, and a sealed sector.
#[test]
fn vanilla_proofs_are_the_references() {
    for (size, proofs) in [
        (2 << 10, [WINNING, WINDOWS[0], WINDOWS[1]]),
        (8 << 20, ["StackedDrgWinning8MiBV1", "StackedDrgWindow8MiBV1", "StackedDrgWindow8MiBV1_2"]),
    ] {
        let (folder, sectors) = replicas(size, &[12, 5, 900]);
        vanilla(folder.path(), proofs[0], &sectors[..1]);
        for proof in &proofs[1..] {
            vanilla(folder.path(), proof, &sectors);
        }
    }
}

#[test]
fn a_sealed_sector_is_opened_as_by_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let case: Case = small("space-time", 5, Rules::V1_1_0, &[Piece::Data(2032)]);
    let sealed = reference::seal(&case, folder.path()).unwrap();
    let sector = PoStSector {
        sector_id: case.sector(),
        comm_r: sealed.comms[0],
        cache: folder.path().join("cache"),
        sealed: folder.path().join("sealed"),
    };
    for proof in [WINNING, WINDOWS[0], WINDOWS[1]] {
        vanilla(folder.path(), proof, std::slice::from_ref(&sector));
    }
}

#[test]
fn winning_proofs_of_either_side_hold() {
    let (folder, sectors) = replicas(2 << 10, &[42, 43]);
    let known = public(&sectors);
    for maker in Maker::BOTH {
        let parameters = parameters(maker);
        let judges = Judges { folder: folder.path(), parameters: &parameters, proof: WINNING };
        let own = ours(&parameters, |job| prove_winning(job, &round(WINNING), &sectors[0], &OPTIONS.limits)).unwrap();
        let out = folder.path().join("their-proof");
        let list = list(folder.path(), &sectors[..1]);
        peer("prove", WINNING, &["--sectors", &list, "--out", out.to_str().unwrap()], Some(&parameters));
        let theirs = fs::read(&out).unwrap();
        // Their proof of our vanilla proof.
        let vanilla = vanilla(folder.path(), WINNING, &sectors[..1]).remove(0).to_bytes().unwrap();
        let vanilla = write(folder.path(), "vanilla-42", &vanilla);
        peer("prove", WINNING, &["--vanilla", &vanilla, "--out", out.to_str().unwrap()], Some(&parameters));
        for bytes in [own, theirs, fs::read(&out).unwrap()] {
            judges.accept(&known[..1], &bytes, "winning proof");
            judges.reject([8; 32], &known[..1], &bytes, "other randomness");
            judges.reject(RANDOMNESS, &known[1..], &bytes, "another sector");
            let renamed = PublicSector { sector_id: 43, ..known[0] };
            judges.reject(RANDOMNESS, &[renamed], &bytes, "another number");
            let mut flipped = bytes.clone();
            flipped[60] ^= 1;
            judges.reject(RANDOMNESS, &known[..1], &flipped, "a flipped bit");
            judges.reject(RANDOMNESS, &known[..1], &bytes[..191], "a cut proof");
        }
    }
}

/// Five sectors: three partitions, the last of which is padded. Given in another order than that of their numbers.
#[test]
fn window_proofs_of_either_side_hold() {
    let (folder, sectors) = replicas(2 << 10, &[900, 7, 31, 12, 500]);
    let known = public(&sectors);
    for (maker, proof) in Maker::BOTH.into_iter().flat_map(|maker| WINDOWS.map(|proof| (maker, proof))) {
        let parameters = parameters(maker);
        let judges = Judges { folder: folder.path(), parameters: &parameters, proof };
        let own = ours(&parameters, |job| prove_window(job, &round(proof), &sectors, &OPTIONS)).unwrap();
        assert_eq!((own.proof.len(), own.proven.len(), own.skipped.len()), (3 * 192, 5, 0));
        let out = folder.path().join("their-proof");
        let files = list(folder.path(), &sectors);
        peer("prove", proof, &["--sectors", &files, "--out", out.to_str().unwrap()], Some(&parameters));
        let theirs = fs::read(&out).unwrap();

        // Every partition alone, by either side in turn, from vanilla proofs that are the same.
        let vanilla = vanilla(folder.path(), proof, &sectors);
        let mut ascending = sectors.clone();
        ascending.sort_by_key(|sector| sector.sector_id);
        let mut pieces = Vec::new();
        for (partition, vanilla) in vanilla.chunks(2).enumerate() {
            let (number, sectors) = (partition as u64, ascending.chunks(2).nth(partition).unwrap());
            let alone = if partition == 1 {
                let files: Vec<String> = vanilla
                    .iter()
                    .map(|vanilla| {
                        write(folder.path(), &format!("v-{}", vanilla.sector_id), &vanilla.to_bytes().unwrap())
                    })
                    .collect();
                let partition = partition.to_string();
                let mut arguments = vec!["--partition", &partition, "--out", out.to_str().unwrap(), "--vanilla"];
                arguments.extend(files.iter().map(String::as_str));
                peer("prove", proof, &arguments, Some(&parameters));
                fs::read(&out).unwrap()
            } else {
                ours(&parameters, |job| prove_window_partition(job, &round(proof), number, sectors, &OPTIONS))
                    .unwrap()
                    .proof
            };
            let holds =
                ours(&parameters, |job| verify_window_partition(job, &round(proof), number, &public(sectors), &alone));
            holds.unwrap();
            pieces.extend(alone);
        }

        for (bytes, what) in [(own.proof, "our proof"), (theirs, "their proof"), (pieces, "partitions of both")] {
            judges.accept(&known, &bytes, what);
            judges.reject([8; 32], &known, &bytes, "other randomness");
            let other = WINDOWS[usize::from(proof == WINDOWS[0])];
            Judges { proof: other, ..judges }.reject(RANDOMNESS, &known, &bytes, "challenges of another version");
            judges.reject(RANDOMNESS, &known[..4], &bytes, "a missing sector");
            let mut swapped = known.clone();
            (swapped[0].comm_r, swapped[1].comm_r) = (known[1].comm_r, known[0].comm_r);
            judges.reject(RANDOMNESS, &swapped, &bytes, "swapped sectors");
            let mut flipped = bytes.clone();
            flipped[192 + 60] ^= 1;
            judges.reject(RANDOMNESS, &known, &flipped, "a flipped bit");
            judges.reject(RANDOMNESS, &known, &bytes[..2 * 192], "a missing partition");
            let turned = [&bytes[192..384], &bytes[..192], &bytes[384..]].concat();
            judges.reject(RANDOMNESS, &known, &turned, "partitions in another order");
        }
    }
}

/// A damaged and a missing sector: what we prove without them is what the reference accepts of the others, though the
/// chain's list has a good sector's info in their places.
#[test]
fn proofs_without_skipped_sectors_hold() {
    let (folder, sectors) = replicas(2 << 10, &[10, 11, 12, 13, 14]);
    let mut damaged = fs::read(&sectors[1].sealed).unwrap();
    damaged[1000] ^= 4;
    fs::write(&sectors[1].sealed, damaged).unwrap();
    fs::remove_dir_all(&sectors[4].cache).unwrap();
    let parameters = parameters(Maker::Us);
    for proof in WINDOWS {
        let judges = Judges { folder: folder.path(), parameters: &parameters, proof };
        let own = ours(&parameters, |job| prove_window(job, &round(proof), &sectors, &OPTIONS)).unwrap();
        assert_eq!(own.skipped.iter().map(|faulty| faulty.sector_id).collect::<Vec<_>>(), [11, 14]);
        judges.accept(&own.proven, &own.proof, "the good ones");
        judges.reject(RANDOMNESS, &public(&sectors), &own.proof, "all of them");
        // As the chain substitutes: its verifier's list is a set by number.
        let good = own.proven[0];
        let substituted: Vec<_> = public(&sectors)
            .into_iter()
            .map(|sector| if [11, 14].contains(&sector.sector_id) { good } else { sector })
            .collect();
        assert!(judges.theirs(RANDOMNESS, &substituted, &own.proof), "the substituted list");
    }
}

/// The prover is in no circuit and in no leaf's challenge: either side accepts a proof under any prover's name. Winning
/// sectors depend on it, which neither side asks about when it verifies.
#[test]
fn proofs_are_not_bound_to_a_prover() {
    const OTHER: [u8; 32] = [1; 32];
    let (folder, sectors) = replicas(2 << 10, &[3]);
    let parameters = parameters(Maker::Us);
    for proof in [WINNING, WINDOWS[0], WINDOWS[1]] {
        let round = round(proof);
        let own = ours(&parameters, |job| match proof {
            WINNING => prove_winning(job, &round, &sectors[0], &OPTIONS.limits),
            _ => prove_window(job, &round, &sectors, &OPTIONS).map(|window| window.proof),
        })
        .unwrap();
        let other = PoStRound::new(round.config(), &RANDOMNESS, &OTHER).unwrap();
        assert_ne!(other.winning_sector(1 << 40), round.winning_sector(1 << 40));
        let known = public(&sectors);
        let verified = ours(&parameters, |job| match proof {
            WINNING => verify_winning(job, &other, &known[0], &own),
            _ => verify_window(job, &other, &known, &own),
        });
        verified.unwrap();
        let (list, bytes) = (list(folder.path(), &sectors), write(folder.path(), "proof", &own));
        let prover = hex::encode(OTHER);
        let arguments = ["--prover-id", &prover, "--sectors", &list, "--proof", &bytes];
        assert!(accepts(&mut step("verify", proof, &arguments, Some(&parameters))), "{proof}");
        let winner = |arguments: &[&str]| {
            peer("challenges", proof, &[&["--sector-count", "1099511627776"], arguments].concat(), None)["result"]
                ["winner"]
                .clone()
        };
        if proof == WINNING {
            assert_eq!(winner(&["--prover-id", &prover]), json!(other.winning_sector(1 << 40).unwrap()));
            assert_ne!(winner(&["--prover-id", &prover]), winner(&[]));
        }
    }
}

/// No sectors, more than a proof is of, the commitment of another replica, a sector twice.
#[test]
fn senseless_lists_are_refused() {
    let (folder, sectors) = replicas(2 << 10, &[5, 6, 7, 8, 9]);
    let parameters = parameters(Maker::Us);
    for proof in WINDOWS {
        let round = round(proof);
        let judges = Judges { folder: folder.path(), parameters: &parameters, proof };
        let known = public(&sectors);
        let two = ours(&parameters, |job| prove_window(job, &round, &sectors[..2], &OPTIONS)).unwrap().proof;
        judges.accept(&known[..2], &two, "two sectors");
        judges.reject(RANDOMNESS, &known[..3], &two, "a sector too many, and a partition");
        judges.reject(RANDOMNESS, &known, &two, "three partitions");
        judges.reject(RANDOMNESS, &known[..1], &two, "a sector less in the same partition");
        let mut stale = known[..2].to_vec();
        stale[1].comm_r = known[4].comm_r;
        judges.reject(RANDOMNESS, &stale, &two, "the comm_r of another replica");

        // No sectors. It is no verdict of ours; the reference gives one, by an error.
        let none = ours(&parameters, |job| verify_window(job, &round, &[], &two)).unwrap_err();
        assert!(matches!(none, Error::PoSt(PoStError::NoSectors)) && !none.is_rejection());
        assert!(!judges.theirs(RANDOMNESS, &[], &two));
        assert!(!judges.theirs(RANDOMNESS, &[], &[]));
        let none = ours(&parameters, |job| prove_window(job, &round, &[], &OPTIONS)).unwrap_err();
        assert!(matches!(none, Error::PoSt(PoStError::NoSectors)));
        let out = folder.path().join("none");
        let out = ["--out", out.to_str().unwrap()];
        let empty = list(folder.path(), &[]);
        fails(&mut step("prove", proof, &[&["--sectors", &empty], &out[..]].concat(), Some(&parameters)));

        // A sector twice. The reference's verifier takes a set, so that the doubles fall together.
        let double = [known[0], known[1], known[0]];
        let error = ours(&parameters, |job| verify_window(job, &round, &double, &two)).unwrap_err();
        assert!(matches!(error, Error::PoSt(PoStError::Duplicate { sector_id: 5 })) && !error.is_rejection());
        assert!(judges.theirs(RANDOMNESS, &double, &two));

        // More sectors than a partition has.
        let three = ours(&parameters, |job| prove_window_partition(job, &round, 0, &sectors[..3], &OPTIONS));
        assert!(matches!(three.unwrap_err(), Error::PoSt(PoStError::TooManySectors { expected: 2, actual: 3 })));
        let vanilla = vanilla(folder.path(), proof, &sectors[..3]);
        let files: Vec<_> = vanilla
            .iter()
            .map(|vanilla| write(folder.path(), &format!("v-{}", vanilla.sector_id), &vanilla.to_bytes().unwrap()))
            .collect();
        let prove = |files: &[&str], flags: &[&str]| {
            step("prove", proof, &[&out[..], flags, &["--vanilla"], files].concat(), Some(&parameters))
        };
        let [first, second, third] = [0, 1, 2].map(|at| files[at].as_str());
        let said = fails(&mut prove(&[first, second, third], &["--partition", "0"]));
        assert!(said.contains("can only prove a single partition"), "{said}");

        // The reference's prover takes a list. Where ranks do not matter, a sector given twice fills the partition just as
        // padding does, and what comes out is the proof of that sector alone. We do not take it.
        let twice = vec![vanilla[0].clone(), vanilla[0].clone()];
        let error = ours(&parameters, |job| prove_window_with_vanilla(job, &round, twice, Faulty::Refuse)).unwrap_err();
        assert!(matches!(error, Error::PoSt(PoStError::Duplicate { sector_id: 5 })));
        let mut twice = prove(&[first, first], &[]);
        if proof == WINDOWS[0] {
            let said = fails(&mut twice);
            assert!(said.contains("partitioned vanilla proofs failed to verify"), "{said}");
        } else {
            assert!(twice.stdout(Stdio::null()).status().unwrap().success());
            judges.accept(&known[..1], &fs::read(out[1]).unwrap(), "a sector twice");
        }
    }
}
