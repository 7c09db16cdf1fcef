//! Our program as a child of miners' programs: `filecash ext`, with the reference's types on the wire.
//!
//! The worker of Damocles is played by its own crate, `vc-processors`, the one of Lotus by a shell with nothing but the variables
//! of `spec/attach.md` B.14 in its environment. What comes out is compared with what the reference makes of the same inputs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_interop::case::{Rules, full};
use filecash_interop::features::copy;
use filecash_interop::ours::Ours;
use filecash_interop::params;
use filecash_interop::program::program;
use filecash_interop::side::{Maker, Reference, Side, Statement};
use filecash_interop::snapshot::Snapshot;
use filecoin_proofs_api::seal::{
    SealCommitPhase1Output, SealCommitPhase2Output, SealPreCommitPhase1Output, SealPreCommitPhase2Output, add_piece,
    seal_commit_phase1, seal_pre_commit_phase1, seal_pre_commit_phase2, unseal_range, write_and_preprocess,
};
use filecoin_proofs_api::{
    Commitment, PieceInfo, ProverId, RegisteredSealProof, SectorId, Ticket, UnpaddedByteIndex, UnpaddedBytesAmount,
};
use serde::{Deserialize, Serialize};
use vc_processors::core::ext::{BoxedFinalizeHook, BoxedPrepareHook, Producer, ProducerBuilder};
use vc_processors::core::{Processor, Task};

const SECTOR: u64 = 5;
const TICKET: Ticket = [1; 32];
const SEED: Ticket = [2; 32];
const TREE_D: &str = "sc-02-data-tree-d.dat";

/// The prover id of miner 1000.
fn prover() -> ProverId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&[0xe8, 7]);
    id
}

/// A folder with the staged data of a sector, and its pieces.
fn staged(proof: RegisteredSealProof) -> (tempfile::TempDir, Vec<PieceInfo>) {
    let folder = tempfile::tempdir().unwrap();
    let size = u64::from(proof.sector_size()) / 128 * 127;
    let data: Vec<u8> = (0..size).map(|i| (i * i % 251) as u8).collect();
    let target = OpenOptions::new().create(true).read(true).append(true).open(folder.path().join("staged")).unwrap();
    let piece = add_piece(proof, &data[..], target, UnpaddedBytesAmount(size), &[]).unwrap().0;
    (folder, vec![piece])
}

/// A copy of a folder, with an empty cache folder and sealed file unless it has them.
fn copied(from: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(from, folder.path()).unwrap();
    fs::create_dir_all(folder.path().join("cache")).unwrap();
    File::options().create(true).append(true).open(folder.path().join("sealed")).unwrap();
    folder
}

fn reference_pc1(proof: RegisteredSealProof, folder: &Path, pieces: &[PieceInfo]) -> SealPreCommitPhase1Output {
    let [cache, staged, sealed] = ["cache", "staged", "sealed"].map(|name| folder.join(name));
    seal_pre_commit_phase1(proof, cache, staged, sealed, prover(), SECTOR.into(), TICKET, pieces).unwrap()
}

fn reference_pc2(pc1: SealPreCommitPhase1Output, folder: &Path) -> SealPreCommitPhase2Output {
    // As it stands in the output of PC1, where the cache was then.
    let json = serde_json::to_string(&pc1).unwrap();
    seal_pre_commit_phase2(serde_json::from_str(&json).unwrap(), folder.join("cache"), folder.join("sealed")).unwrap()
}

fn reference_c1(pc2: &SealPreCommitPhase2Output, folder: &Path, pieces: &[PieceInfo]) -> SealCommitPhase1Output {
    let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
    seal_commit_phase1(cache, sealed, prover(), SECTOR.into(), TICKET, SEED, pc2.clone(), pieces).unwrap()
}

/// Files of a folder but those that tell where it is, and our own.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Snapshot(files) = Snapshot::of(folder).unwrap();
    let is_same = |name: &str| !name.ends_with("t_aux") && !name.contains("filecash");
    files.into_iter().filter(|(name, _)| is_same(name)).collect()
}

macro_rules! task {
    ($name:ident, $stage:literal, $output:ty, { $($field:ident: $type:ty,)* }) => {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        struct $name {
            $($field: $type,)*
        }

        impl Task for $name {
            const STAGE: &'static str = $stage;
            type Output = $output;
        }
    };
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PieceFile {
    Local(PathBuf),
    Pledge,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Piece {
    piece_file: PieceFile,
    payload_size: u64,
    piece_size: UnpaddedBytesAmount,
}

task!(AddPieces, "add_pieces", Vec<PieceInfo>, {
    seal_proof_type: RegisteredSealProof,
    pieces: Vec<Piece>,
    staged_filepath: PathBuf,
});
task!(TreeD, "tree_d", bool, {
    registered_proof: RegisteredSealProof,
    staged_file: PathBuf,
    cache_dir: PathBuf,
});
task!(Unseal, "unseal", UnpaddedBytesAmount, {
    registered_proof: RegisteredSealProof,
    prover_id: ProverId,
    sector_id: SectorId,
    comm_d: Commitment,
    ticket: Ticket,
    cache_dir: PathBuf,
    sealed_file: PathBuf,
    unsealed_output: PathBuf,
    offset: UnpaddedByteIndex,
    num_bytes: UnpaddedBytesAmount,
});
task!(Pc1, "pc1", SealPreCommitPhase1Output, {
    registered_proof: RegisteredSealProof,
    cache_path: PathBuf,
    in_path: PathBuf,
    out_path: PathBuf,
    prover_id: ProverId,
    sector_id: SectorId,
    ticket: Ticket,
    piece_infos: Vec<PieceInfo>,
});
task!(Pc2, "pc2", SealPreCommitPhase2Output, {
    pc1out: SealPreCommitPhase1Output,
    cache_dir: PathBuf,
    sealed_file: PathBuf,
});
task!(C2, "c2", SealCommitPhase2Output, {
    c1out: SealCommitPhase1Output,
    prover_id: ProverId,
    sector_id: SectorId,
    miner_id: u64,
});

type Child<T> = Producer<T, BoxedPrepareHook<T>, BoxedFinalizeHook<T>>;

fn child<T: Task>(program: &Path, parameters: &Path) -> Child<T> {
    let flags = ["--quiet", "--parameter-cache", parameters.to_str().unwrap(), "ext", "damocles", T::STAGE];
    ProducerBuilder::new(program.to_owned(), flags.map(str::to_owned).to_vec()).spawn().unwrap()
}

#[test]
fn damocles_workers_are_served() {
    let proof = RegisteredSealProof::StackedDrg2KiBV1_1;
    let (folder, pieces) = staged(proof);
    let reference = Reference {
        program: PathBuf::from(env!("CARGO_BIN_EXE_filecash-interop-peer")),
        parents: folder.path().join("parents-reference"),
    };
    let parameters = params::made_by(Maker::Us, &Ours::new(&folder.path().join("parents")), &reference).unwrap();
    let program = program().unwrap();

    let (ours, theirs) = (copied(folder.path()), copied(folder.path()));
    let [cache, sealed, staged] = ["cache", "sealed", "staged"].map(|name| ours.path().join(name));
    let pc1 = child::<Pc1>(&program, &parameters).process(Pc1 {
        registered_proof: proof,
        cache_path: cache.clone(),
        in_path: staged,
        out_path: sealed.clone(),
        prover_id: prover(),
        sector_id: SECTOR.into(),
        ticket: TICKET,
        piece_infos: pieces.clone(),
    });
    let their_pc1 = reference_pc1(proof, theirs.path(), &pieces);
    let pc1 = pc1.unwrap();
    assert_eq!((pc1.registered_proof, pc1.comm_d), (proof, their_pc1.comm_d));
    assert!(files(ours.path()) == files(theirs.path()), "after PC1");

    let task = Pc2 { pc1out: pc1, cache_dir: cache, sealed_file: sealed };
    let pc2 = child::<Pc2>(&program, &parameters).process(task).unwrap();
    let their_pc2 = reference_pc2(their_pc1, theirs.path());
    assert_eq!((pc2.comm_r, pc2.comm_d), (their_pc2.comm_r, their_pc2.comm_d));
    assert!(files(ours.path()) == files(theirs.path()), "after PC2");

    // Two tasks at a time, and one that is wrong.
    let task = C2 {
        c1out: reference_c1(&pc2, ours.path(), &pieces),
        prover_id: prover(),
        sector_id: SECTOR.into(),
        miner_id: 1000,
    };
    let c2 = child::<C2>(&program, &parameters);
    let [one, other, wrong] = thread::scope(|scope| {
        let wrong = C2 { sector_id: (SECTOR + 1).into(), ..task.clone() };
        [task.clone(), task.clone(), wrong]
            .map(|task| scope.spawn(|| c2.process(task)))
            .map(|worker| worker.join().unwrap())
    });
    let case = full("miners", 2 << 10, 5, Rules::V1_1_0);
    let comms = [pc2.comm_r, pc2.comm_d];
    let statement = Statement { comms, prover_id: prover(), sector: SECTOR, ticket: TICKET, seed: SEED };
    for proof in [one, other] {
        assert!(reference.verify(&case, &statement, &proof.unwrap().proof, &parameters));
    }
    let reason = format!("{:#}", wrong.unwrap_err());
    assert!(reason.contains("replica"), "{reason}");
}

/// What the reference makes of pieces, one after the other without zeros between them.
fn reference_staged(proof: RegisteredSealProof, pieces: &[Piece], staged: &Path) -> Vec<PieceInfo> {
    let target = OpenOptions::new().create_new(true).read(true).write(true).open(staged).unwrap();
    let written = pieces.iter().map(|Piece { piece_file, payload_size, piece_size }| {
        let source: Box<dyn Read> = match piece_file {
            PieceFile::Local(path) => Box::new(File::open(path).unwrap()),
            PieceFile::Pledge => Box::new(io::repeat(0)),
        };
        let source = source.take(*payload_size).chain(io::repeat(0)).take(u64::from(*piece_size));
        write_and_preprocess(proof, source, &target, *piece_size).unwrap().0
    });
    written.collect()
}

/// A sector out of pieces of these fractions of it, every second of them zeros, each other a file and some zeros; what is staged, the
/// tree over it, and what comes out of it again are the reference's.
fn data_is_the_references(proof: RegisteredSealProof, fractions: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let size = u64::from(proof.sector_size()) / 128 * 127;
    let data: Vec<u8> = (0..size).map(|i| (i * i % 251) as u8).collect();
    fs::write(path("data"), &data).unwrap();
    let pieces = fractions.iter().enumerate().map(|(index, fraction)| {
        let size = size / fraction;
        let (piece_file, payload_size) = match index % 2 {
            0 => (PieceFile::Local(path("data")), size - 7 * index as u64),
            _ => (PieceFile::Pledge, size),
        };
        Piece { piece_file, payload_size, piece_size: UnpaddedBytesAmount(size) }
    });
    let pieces: Vec<_> = pieces.collect();
    let (program, no_parameters) = (program().unwrap(), path("parameters"));

    fs::write(path("staged"), b"old").unwrap();
    let task = AddPieces { seal_proof_type: proof, pieces: pieces.clone(), staged_filepath: path("staged") };
    let infos = child::<AddPieces>(&program, &no_parameters).process(task).unwrap();
    let theirs = tempfile::tempdir().unwrap();
    assert_eq!(infos, reference_staged(proof, &pieces, &theirs.path().join("staged")));
    let staged = fs::read(path("staged")).unwrap();
    assert!(staged == fs::read(theirs.path().join("staged")).unwrap());

    let task = TreeD { registered_proof: proof, staged_file: path("staged"), cache_dir: path("prepared") };
    assert!(child::<TreeD>(&program, &no_parameters).process(task).unwrap());
    let theirs = copied(theirs.path());
    let pc1 = reference_pc1(proof, theirs.path(), &infos);
    let cache = theirs.path().join("cache");
    assert!(fs::read(path("prepared").join(TREE_D)).unwrap() == fs::read(cache.join(TREE_D)).unwrap());

    let pc2 = reference_pc2(pc1, theirs.path());
    let unseal = child::<Unseal>(&program, &no_parameters);
    // Elsewhere than at multiples of 127 the reference gives other bytes than those asked for.
    for (offset, len) in [(0, size), (size / 4, size / 8), (127, size - 330)] {
        let (offset, len) = (UnpaddedByteIndex(offset), UnpaddedBytesAmount(len));
        let task = Unseal {
            registered_proof: proof,
            prover_id: prover(),
            sector_id: SECTOR.into(),
            comm_d: pc2.comm_d,
            ticket: TICKET,
            cache_dir: path("prepared"),
            sealed_file: theirs.path().join("sealed"),
            unsealed_output: path("unsealed"),
            offset,
            num_bytes: len,
        };
        assert_eq!(unseal.process(task).unwrap(), len);
        let (sealed, mut expected) = (File::open(theirs.path().join("sealed")).unwrap(), Vec::new());
        let [id, ticket] = [prover(), TICKET];
        // It makes its labels in the cache.
        unseal_range(proof, &cache, sealed, &mut expected, id, SECTOR.into(), pc2.comm_d, ticket, offset, len).unwrap();
        assert!(fs::read(path("unsealed")).unwrap() == expected, "{offset:?} {len:?}");
    }
}

#[test]
fn data_of_damocles_workers_is_the_references() {
    data_is_the_references(RegisteredSealProof::StackedDrg2KiBV1_1, &[4, 16, 16, 8, 2]);
}

#[test]
fn data_of_damocles_workers_is_the_references_at_8mib() {
    let halves = (5..16).rev().map(|log2| 1 << log2);
    let fractions: Vec<u64> = [2, 4, 8, 16, 1 << 16, 1 << 16].into_iter().chain(halves).collect();
    data_is_the_references(RegisteredSealProof::StackedDrg8MiBV1_1, &fractions);
}

/// PC2 in the way of `lotus-worker --external-pc2`, on what the reference left, and the reference's C1 on what we leave.
fn lotus_is_served(proof: RegisteredSealProof, number: u64) {
    let (folder, pieces) = staged(proof);
    let theirs = copied(folder.path());
    let pc1 = reference_pc1(proof, theirs.path(), &pieces);
    let ours = copied(theirs.path());
    let mut json = serde_json::to_value(&pc1).unwrap();
    json["_lotus_SealRandomness"] = STANDARD.encode(TICKET).into();

    let line = format!("'{}' --quiet ext pc2", program().unwrap().display());
    let mut lotus = Command::new("/bin/sh");
    lotus.arg("-c").arg(line).env_clear().current_dir("/");
    for (name, value) in [
        ("SECTOR_NUM", SECTOR.to_string()),
        ("SECTOR_MINER", "1000".to_owned()),
        ("PROOF_TYPE", number.to_string()),
        ("SECTOR_SIZE", u64::from(proof.sector_size()).to_string()),
        ("CACHE", ours.path().join("cache").to_str().unwrap().to_owned()),
        ("SEALED", ours.path().join("sealed").to_str().unwrap().to_owned()),
        ("PC1OUT", STANDARD.encode(json.to_string())),
    ] {
        lotus.env(format!("EXTSEAL_PC2_{name}"), value);
    }
    let output = lotus.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let pc2 = reference_pc2(pc1, theirs.path());
    assert!(files(ours.path()) == files(theirs.path()), "after PC2 of {proof:?}");
    // It checks what it opens.
    let [c1, their_c1] = [&ours, &theirs].map(|folder| reference_c1(&pc2, folder.path(), &pieces));
    assert!(serde_json::to_string(&c1).unwrap() == serde_json::to_string(&their_c1).unwrap());
}

#[test]
fn lotus_workers_are_served() {
    lotus_is_served(RegisteredSealProof::StackedDrg2KiBV1_1, 5);
}

#[test]
fn lotus_workers_are_served_at_8mib() {
    lotus_is_served(RegisteredSealProof::StackedDrg8MiBV1_1, 6);
}
