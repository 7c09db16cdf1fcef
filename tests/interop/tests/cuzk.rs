//! `filecash serve cuzk` between the reference and a client in Python (`spec/attach.md` A.15, lines 1 and 5, of sectors of 2 KiB).
//!
//! The reference seals and opens, in process; the client knows nothing but the service's tables; and the reference, as a process
//! that reads our keys, accepts each proof for what it is about and for nothing else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_interop::case::{Rules, full};
use filecash_interop::params::cache;
use filecash_interop::program::{parameters_2kib, program};
use filecash_interop::side::{Reference, Side, Statement, accepts};
use filecash_peer::phases::{self, Identity, post, read_json, update};
use filecoin_proofs_api::seal::SealPreCommitPhase2Output;
use filecoin_proofs_api::{PieceInfo, RegisteredPoStProof, RegisteredSealProof};
use serde_json::{Value, json};
use tempfile::TempDir;

const MINER: u64 = 1000;
/// Two partitions of a window, the second of which is padded.
const SECTORS: [u64; 3] = [5, 6, 7];
const TICKET: [u8; 32] = [1; 32];
const SEED: [u8; 32] = [2; 32];
const RANDOMNESS: [u8; 32] = [7; 32];
const SEAL: RegisteredSealProof = RegisteredSealProof::StackedDrg2KiBV1_1;
const WINNING: (&str, RegisteredPoStProof) = ("StackedDrgWinning2KiBV1", RegisteredPoStProof::StackedDrgWinning2KiBV1);
/// A registered proof of a window: the number that miners have for it, the reference's names in text and in code.
type Window = (u64, &'static str, RegisteredPoStProof);
/// Both ways to draw challenges.
const WINDOWS: [Window; 2] = [
    (5, "StackedDrgWindow2KiBV1", RegisteredPoStProof::StackedDrgWindow2KiBV1),
    (10, "StackedDrgWindow2KiBV1_2", RegisteredPoStProof::StackedDrgWindow2KiBV1_2),
];
/// What is in the vanilla proof of a challenge, each with a digest or a label that comes first in it.
const PARTS: [&str; 5] =
    ["comm_d_proofs", "comm_r_last_proof", "replica_column_proofs", "labeling_proofs", "encoding_proof"];
/// The reference as a program.
const PEER: &str = env!("CARGO_BIN_EXE_filecash-interop-peer");
const PATIENCE: Duration = Duration::from_secs(60);

/// The prover id of the miner.
fn prover() -> [u8; 32] {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&[0xe8, 7]);
    id
}

/// A Python with grpcio; none where none is and none has to be.
fn python() -> Option<PathBuf> {
    let kept = cache().unwrap().join("python/bin/python3");
    if kept.exists() {
        return Some(kept);
    }
    eprintln!("left out: there is no Python with grpcio in {}", kept.display());
    assert!(env::var_os("FILECASH_TESTS_NEED_GRPC").is_none(), "there is no Python with grpcio");
    None
}

/// A server, with a worker behind it.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(program: &Path, parameters: &Path, folder: &Path, address: &str) -> Self {
        let log = folder.join("server.log");
        let mut command = Command::new(program);
        command.args(["serve", "cuzk", "--listen", address, "--store"]).arg(folder.join("jobs.sqlite"));
        command.arg("--parameter-cache").arg(parameters).env("HOME", folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let server = Self { child: child.spawn().unwrap(), log };
        let begun = Instant::now();
        while !server.log().contains("Listening on") {
            assert!(begun.elapsed() < PATIENCE, "{}", server.log());
            sleep(Duration::from_millis(20));
        }
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The results of requests that a client makes all at once.
fn prove(python: &Path, address: &str, requests: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../foreign/cuzk_client.py");
    let mut client = Command::new(python);
    let mut client = client.arg(script).arg(address).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    for (id, request) in requests.iter().enumerate() {
        let call = json!({ "id": id, "call": "Prove", "request": { "submit": request }, "timeout": 300 });
        writeln!(input, "{call}").unwrap();
    }
    drop(input);
    let output = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
    let mut answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), requests.len(), "{output}");
    let result = |answer: &mut Value| {
        assert_eq!(answer["code"], "OK", "{answer}");
        answer["response"]["result"].take()
    };
    answers.iter_mut().map(result).collect()
}

#[track_caller]
fn proof_of(result: &Value) -> Vec<u8> {
    assert_eq!((&result["status"], &result["error_message"]), (&1.into(), &"".into()), "{result}");
    let proof = hex::decode(result["proof"].as_str().unwrap()).unwrap();
    assert_eq!(proof.len(), 192);
    proof
}

/// What the reference leaves of a sector.
struct Sector {
    folder: PathBuf,
    identity: Identity,
    pieces: Vec<PieceInfo>,
    pc2: SealPreCommitPhase2Output,
}

/// Stages a piece that fills a sector, in a folder of its own.
fn stage(folder: &Path, start: u64) -> Vec<PieceInfo> {
    fs::create_dir(folder).unwrap();
    let [data, staged, pieces] = ["data", "staged", "pieces.json"].map(|name| folder.join(name));
    fs::write(&data, (start..start + 2032).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()).unwrap();
    phases::add_piece(SEAL, &data, &staged, &pieces, None).unwrap();
    read_json(&pieces).unwrap()
}

impl Sector {
    /// Seals up to PC2.
    fn seal(above: &Path, number: u64) -> Self {
        let folder = above.join(format!("sector-{number}"));
        let pieces = stage(&folder, number);
        let identity = Identity { prover_id: prover(), sector: number, ticket: TICKET };
        let paths = Self::paths(&folder);
        let pc1 = phases::pc1(SEAL, &paths, &folder.join("staged"), &identity, &pieces).unwrap();
        let pc2 = phases::pc2(pc1, &paths).unwrap();
        Self { folder, identity, pieces, pc2 }
    }

    fn paths(folder: &Path) -> phases::Sector {
        phases::Sector { cache: folder.join("cache"), sealed: folder.join("sealed") }
    }

    /// The output of C1 as a miner has it.
    fn c1(&self) -> String {
        let paths = Self::paths(&self.folder);
        let c1 = phases::c1(self.pc2.clone(), &paths, &self.identity, SEED, &self.pieces).unwrap();
        serde_json::to_string(&c1).unwrap()
    }

    /// The sector in a list of them.
    fn listed(&self) -> post::Sector {
        let phases::Sector { cache, sealed } = Self::paths(&self.folder);
        post::Sector { sector_id: self.identity.sector, comm_r: self.pc2.comm_r, cache, sealed }
    }

    /// Encodes other data into the sector, and opens the one partition.
    fn update(&self) -> (update::Update, Vec<u8>) {
        let folder = self.folder.join("update");
        let pieces = stage(&folder, 100);
        let [old, new] = [&self.folder, &folder].map(|folder| {
            let phases::Sector { cache, sealed } = Self::paths(folder);
            update::Replica { path: sealed, cache }
        });
        let update = update::encode(update::Proof::Kib2, &new, &old, &folder.join("staged"), &pieces).unwrap();
        let mut proofs = update::vanilla(&update, &old, &new).unwrap();
        assert_eq!(proofs.len(), 1);
        (update, proofs.remove(0).0)
    }
}

/// The C1 output with one digit of the first number of the first array in one of its parts changed.
fn damaged(c1: &str, part: &str) -> String {
    let within = c1.find(&format!("\"{part}\":")).unwrap();
    let first = within + c1[within..].find("[[").unwrap() + 2;
    let last = first + c1[first..].find(|symbol: char| !symbol.is_ascii_digit()).unwrap() - 1;
    let mut bytes = c1.as_bytes().to_vec();
    // An even digit and the next are each other's: no number gets longer or beyond 255.
    bytes[last] ^= 1;
    String::from_utf8(bytes).unwrap()
}

/// Sectors, what a miner asks for them, and what the reference says of the answers.
struct World {
    folder: TempDir,
    parameters: PathBuf,
    sectors: [Sector; 3],
}

impl World {
    fn new(parameters: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sectors = SECTORS.map(|number| Sector::seal(folder.path(), number));
        Self { folder, parameters, sectors }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Bytes of a request, by way of a file.
    fn bytes(&self, name: &str, bytes: &[u8]) -> Value {
        json!({ "file": self.write(name, bytes) })
    }

    fn porep(&self, name: &str, c1: &str) -> Value {
        let wrapper = json!({ "SectorNum": SECTORS[0], "Phase1Out": STANDARD.encode(c1), "SectorSize": 2048 });
        json!({
            "request_id": "porep-1000-5", "proof_kind": 1, "sector_size": 2048, "registered_proof": 5, "priority": 2,
            "vanilla_proof": self.bytes(name, wrapper.to_string().as_bytes()), "sector_number": SECTORS[0],
            "miner_id": MINER,
        })
    }

    fn snap(&self, update: &update::Update, partition: &[u8]) -> Value {
        json!({
            "request_id": "snap-1000-5", "proof_kind": 2, "sector_size": 2048, "registered_proof": 0, "priority": 2,
            "vanilla_proofs": [self.bytes("partition", partition)], "sector_number": SECTORS[0], "miner_id": MINER,
            "comm_r_old": hexed(&update.comm_r_old), "comm_r_new": hexed(&update.comm_r_new),
            "comm_d_new": hexed(&update.comm_d_new),
        })
    }

    /// What the reference opens of the first sectors for a proof of space-time.
    fn opened(&self, proof: RegisteredPoStProof, sectors: usize) -> Vec<(u64, Vec<u8>)> {
        let round = post::Round { proof, randomness: RANDOMNESS, prover_id: prover() };
        let sectors: Vec<_> = self.sectors[..sectors].iter().map(Sector::listed).collect();
        post::vanilla(&round, &sectors).unwrap()
    }

    fn winning(&self) -> Value {
        let [(_, vanilla)] = &self.opened(WINNING.1, 1)[..] else { panic!("one sector wins") };
        json!({
            "request_id": "winpost-1000-0707070707070707", "proof_kind": 4, "sector_size": 2048, "registered_proof": 0,
            "priority": 4, "miner_id": MINER, "vanilla_proofs": [self.bytes("winning", vanilla)],
            "randomness": hexed(&RANDOMNESS),
        })
    }

    /// A request for each partition of the window.
    fn window(&self, (number, name, proof): Window) -> Vec<Value> {
        let of_sector = |(sector, vanilla): &(u64, Vec<u8>)| self.bytes(&format!("{name}-{sector}"), vanilla);
        let partition = |(index, sectors): (usize, &[(u64, Vec<u8>)])| {
            json!({
                "request_id": format!("wdpost-1000-{index}-[7 7 7 7 7 7 7 7]"), "proof_kind": 3, "sector_size": 2048,
                "registered_proof": number, "priority": 3, "miner_id": MINER, "randomness": hexed(&RANDOMNESS),
                "partition_index": index, "vanilla_proofs": sectors.iter().map(of_sector).collect::<Vec<_>>(),
            })
        };
        self.opened(proof, SECTORS.len()).chunks(2).enumerate().map(partition).collect()
    }

    fn judge_seal(&self, proof: &[u8]) {
        let reference = Reference { program: PEER.into(), parents: self.folder.path().join("parents") };
        let case = full("cuzk", 2 << 10, 5, Rules::V1_1_0);
        let holds = |statement: &Statement, proof: &[u8]| reference.verify(&case, statement, proof, &self.parameters);
        let Sector { identity: Identity { prover_id, sector, ticket }, pc2, .. } = &self.sectors[0];
        let comms = [pc2.comm_r, pc2.comm_d];
        let statement = Statement { comms, prover_id: *prover_id, sector: *sector, ticket: *ticket, seed: SEED };
        holds_whole("the seal", proof, |proof| holds(&statement, proof));
        let another_seed = ("another seed", Statement { seed: TICKET, ..statement });
        for (what, other) in statement.others().into_iter().chain([another_seed]) {
            assert!(!holds(&other, proof), "the seal is accepted for {what}");
        }
    }

    /// Has a step of the reference read a proof.
    fn asked(&self, step: [&str; 2], proof: &[u8]) -> Command {
        let mut command = Command::new(PEER);
        command.args(step).env("FIL_PROOFS_PARAMETER_CACHE", &self.parameters).env_remove("RUST_LOG");
        command.arg("--proof").arg(self.write("proof", proof));
        command
    }

    /// Number and comm_r of every sector.
    fn known(&self) -> [(u64, [u8; 32]); 3] {
        self.sectors.each_ref().map(|sector| (sector.identity.sector, sector.pc2.comm_r))
    }

    fn post_holds(&self, name: &str, randomness: [u8; 32], sectors: &[(u64, [u8; 32])], proof: &[u8]) -> bool {
        let entry = |(number, comm_r): &(u64, [u8; 32])| json!({ "sector_id": number, "comm_r": hex::encode(comm_r) });
        let list = Value::from_iter(sectors.iter().map(entry));
        let mut command = self.asked(["post", "verify"], proof);
        command.args(["--registered-proof", name, "--randomness", &hex::encode(randomness)]);
        command.args(["--prover-id", &hex::encode(prover())]);
        accepts(command.arg("--sectors").arg(self.write("sectors.json", list.to_string().as_bytes())))
    }

    fn judge_winning(&self, proof: &[u8]) {
        let (name, [known, (other, other_comm_r), _]) = (WINNING.0, self.known());
        holds_whole("the winning proof", proof, |proof| self.post_holds(name, RANDOMNESS, &[known], proof));
        for (what, randomness, sector) in [
            ("another round", SEED, known),
            ("another number", RANDOMNESS, (other, known.1)),
            ("another replica", RANDOMNESS, (known.0, other_comm_r)),
        ] {
            assert!(!self.post_holds(name, randomness, &[sector], proof), "the winning proof is accepted for {what}");
        }
    }

    /// Both partitions of a window under one name; `other` is the other one.
    fn judge_window(&self, name: &str, other: &str, [first, second]: [Vec<u8>; 2]) {
        let (known, proof) = (self.known(), [&first[..], &second].concat());
        holds_whole(name, &proof, |proof| self.post_holds(name, RANDOMNESS, &known, proof));
        let swapped = [(known[0].0, known[1].1), (known[1].0, known[0].1), known[2]];
        assert!(!self.post_holds(name, SEED, &known, &proof), "{name} is accepted for another round");
        assert!(!self.post_holds(other, RANDOMNESS, &known, &proof), "{name} is accepted as {other}");
        assert!(!self.post_holds(name, RANDOMNESS, &swapped, &proof), "{name} is accepted for swapped replicas");
        let turned = [second, first].concat();
        assert!(!self.post_holds(name, RANDOMNESS, &known, &turned), "{name} is accepted with swapped partitions");
    }

    fn judge_update(&self, update: &update::Update, proof: &[u8]) {
        let holds = |update: &update::Update, proof: &[u8]| {
            let statement = self.write("update.json", &serde_json::to_vec(update).unwrap());
            accepts(self.asked(["update", "verify"], proof).arg("--update").arg(statement))
        };
        holds_whole("the update", proof, |proof| holds(update, proof));
        let update::Update { comm_r_old, comm_r_new, .. } = *update;
        for (what, other) in [
            ("an update back", update::Update { comm_r_old: comm_r_new, comm_r_new: comm_r_old, ..*update }),
            ("other data", update::Update { comm_d_new: comm_r_old, ..*update }),
            ("no new replica", update::Update { comm_r_new: comm_r_old, ..*update }),
        ] {
            assert!(!holds(&other, proof), "the update is accepted for {what}");
        }
    }
}

fn hexed(bytes: &[u8]) -> Value {
    json!({ "hex": hex::encode(bytes) })
}

/// That a proof holds as it is, and not with a bit of one of its points flipped.
#[track_caller]
fn holds_whole(what: &str, proof: &[u8], holds: impl Fn(&[u8]) -> bool) {
    assert!(holds(proof), "{what} is refused");
    for at in [40, 100, 170] {
        let mut flipped = proof.to_vec();
        flipped[at] ^= 1;
        assert!(!holds(&flipped), "{what} is accepted with a flipped bit of byte {at}");
    }
}

#[test]
fn what_the_reference_opens_is_proven_as_the_reference_accepts() {
    let Some(python) = python() else { return };
    let program = program().unwrap();
    let world = World::new(parameters_2kib(&program).unwrap());
    let c1 = world.sectors[0].c1();
    let (update, partition) = world.sectors[0].update();
    let mut requests = vec![world.porep("porep", &c1), world.winning(), world.snap(&update, &partition)];
    requests.extend(WINDOWS.into_iter().flat_map(|window| world.window(window)));
    // Sealed again, as it seems: under the name of what holds.
    requests.extend(PARTS.map(|part| world.porep(part, &damaged(&c1, part))));

    let address = format!("unix://{}", world.folder.path().join("cuzk.sock").display());
    let server = Server::start(&program, &world.parameters, world.folder.path(), &address);
    let results = prove(&python, &address, &requests);
    assert!(!server.log().contains("panicked"), "{}", server.log());

    let (whole, broken) = results.split_at(results.len() - PARTS.len());
    for (part, result) in PARTS.iter().zip(broken) {
        assert_eq!((&result["status"], &result["proof"]), (&2.into(), &"".into()), "{part}: {result}");
        assert!(result["error_message"].as_str().unwrap().starts_with("bad-input: "), "{part}: {result}");
    }
    let proofs: Vec<Vec<u8>> = whole.iter().map(proof_of).collect();
    let [seal, winning, snap, windows @ ..] = &proofs[..] else { panic!("{} proofs", proofs.len()) };
    world.judge_seal(seal);
    world.judge_winning(winning);
    world.judge_update(&update, snap);
    let [(_, old, _), (_, new, _)] = WINDOWS;
    let [of_old @ .., first, second] = windows else { panic!("{} partitions", windows.len()) };
    world.judge_window(old, new, <[_; 2]>::try_from(of_old.to_vec()).unwrap());
    world.judge_window(new, old, [first.clone(), second.clone()]);
}
