//! Sector updates by both sides on the same sectors: every file, every partition proof and every decoded byte is the same,
//! each side accepts what the other proved, and both refuse what is not so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use filecash_engine::store::aux::TAux;
use filecash_engine::update::UpdateCommitments;
use filecash_interop::case::{Case, Piece, Rules, full, small};
use filecash_interop::ours::Ours;
use filecash_interop::side::accepts;
use filecash_interop::snapshot::{Snapshot, difference};
use filecash_interop::update::{OurUpdates, ReferenceUpdates, Sector, Updates, params_2kib};
use serde_json::json;

use Piece::{Data, Rest};

const KIB: u64 = 1 << 10;

/// A sealed sector in a folder that is not the one it was sealed in, and the staged data of another case.
struct World {
    _folder: tempfile::TempDir,
    sector: Sector,
    comm_r_old: [u8; 32],
    content: Vec<u8>,
}

impl World {
    /// Seals `old` and stages the data of `new`, both by us; other tests show that the reference's are the same.
    fn new(old: &Case, new: &Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let ours = Ours::new(&path("parents"));
        let seal = |case: &Case, name: &str| {
            fs::create_dir(path(name)).unwrap();
            // For sectors of nothing but zeros, which nobody stages.
            fs::write(path(name).join("staged"), b"").unwrap();
            ours.seal(case, &path(name)).unwrap()
        };
        let (sealed, staged) = (seal(old, "sealing"), seal(new, "staging"));
        fs::rename(path("sealing"), path("sector")).unwrap();
        let mut data = staged.after_pc1.0["staged"].clone();
        // The reference wants all of the sector.
        data.resize(new.size_bytes as usize, 0);
        fs::write(path("sector/staged"), data).unwrap();
        let sector = Sector { folder: path("sector"), size_bytes: old.size_bytes, pieces: staged.pieces };
        Self { _folder: folder, sector, comm_r_old: sealed.comms[0], content: new.content() }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.sector.path(name)).unwrap()
    }

    fn folder(&self, name: &str) -> Snapshot {
        Snapshot::of(&self.sector.path(name)).unwrap()
    }
}

/// Updates by both sides, undone by both sides.
fn same(old: &Case, new: &Case) -> (World, UpdateCommitments, Vec<Vec<u8>>) {
    let (ours, theirs): (&dyn Updates, &dyn Updates) = (&OurUpdates::new(Path::new("none")), &ReferenceUpdates);
    let world = World::new(old, new);
    let (sector, name) = (&world.sector, old.name);
    let before = (world.read("sealed"), world.folder("cache"));
    let encoded = ours.encode(sector, "ours").unwrap();
    assert_eq!(encoded.map(hex::encode), theirs.encode(sector, "them").unwrap().map(hex::encode), "{name}");
    assert_eq!(difference(&world.read("ours"), &world.read("them")), None, "{name}: replicas");
    assert_eq!(world.folder("ours-cache").difference(&world.folder("them-cache")), None, "{name}: cache folders");
    assert_eq!((world.read("sealed"), world.folder("cache")), before, "{name}: the old sector");
    let [comm_r_new, _, comm_d_new] = encoded;
    let comms = UpdateCommitments { comm_r_old: world.comm_r_old, comm_r_new, comm_d_new };

    let proofs = ours.vanilla(sector, "them", &comms).unwrap();
    assert_eq!(proofs, theirs.vanilla(sector, "ours", &comms).unwrap(), "{name}: partition proofs");
    assert!(ours.vanilla_holds(sector, &comms, &proofs) && theirs.vanilla_holds(sector, &comms, &proofs));

    ours.decode(sector, "them", &comm_d_new, "decoded-by-us").unwrap();
    theirs.decode(sector, "ours", &comm_d_new, "decoded-by-them").unwrap();
    for decoded in ["decoded-by-us", "decoded-by-them"] {
        assert_eq!(difference(&world.read(decoded), &world.read("staged")), None, "{name}: {decoded}");
    }
    let nodes = old.size_bytes / 32;
    for range in [[0, nodes], [0, 1], [nodes - 1, 1], [nodes / 2 - 1, 2], [5, 17]] {
        let data = ours.decode_range(sector, "them", &comms, range).unwrap();
        assert_eq!(data, theirs.decode_range(sector, "ours", &comms, range).unwrap(), "{name}: nodes {range:?}");
        assert_eq!(data, world.read("staged")[32 * range[0] as usize..][..data.len()], "{name}: nodes {range:?}");
    }
    ours.remove(sector, "them", &comms, "key-by-us").unwrap();
    theirs.remove(sector, "ours", &comms, "key-by-them").unwrap();
    for key in ["key-by-us", "key-by-them"] {
        assert_eq!(difference(&world.read(key), &world.read("sealed")), None, "{name}: {key}");
    }
    // `t_aux` names the folder that was read: the new replica's for us, the old sector's for the reference.
    let key = |key: &str, read: &str| {
        let mut files = world.folder(key);
        let mut aux = TAux::decode(&files.0.remove("t_aux").unwrap()).unwrap();
        let read = sector.path(read).to_string_lossy().into_owned();
        let others = [&mut aux.tree_d, &mut aux.tree_r_last, &mut aux.tree_c];
        for store in aux.layers.iter_mut().chain(others) {
            assert_eq!(std::mem::take(&mut store.path), read, "{name}: {key}");
        }
        (files, aux)
    };
    let ((ours, our_aux), (theirs, their_aux)) =
        (key("key-by-us-cache", "them-cache"), key("key-by-them-cache", "cache"));
    assert_eq!(ours.difference(&theirs), None, "{name}: cache folders of the sector key");
    assert_eq!(our_aux, their_aux, "{name}: t_aux of the sector key");
    assert_eq!(ours.0["p_aux"], before.1.0["p_aux"]);
    (world, comms, proofs)
}

fn committed_capacity(name: &'static str, size: u64, number: u64, rules: Rules) -> Case {
    Case { pieces: vec![Rest(size / 128 * 127)], ..full(name, size, number, rules) }
}

#[test]
fn shape_8_0_0() {
    same(&full("2 KiB", 2 * KIB, 5, Rules::V1_1_0), &full("2 KiB new", 2 * KIB, 5, Rules::V1_1_0));
}

#[test]
fn legacy_graph() {
    same(&full("2 KiB legacy", 2 * KIB, 0, Rules::V1_0_0), &full("2 KiB legacy new", 2 * KIB, 5, Rules::V1_1_0));
}

#[test]
fn shape_8_2_0() {
    same(&full("4 KiB", 4 * KIB, 5, Rules::V1_1_0), &full("4 KiB new", 4 * KIB, 5, Rules::V1_1_0));
}

#[test]
fn shape_8_8_0() {
    same(&full("16 KiB", 16 * KIB, 5, Rules::V1_1_0), &full("16 KiB new", 16 * KIB, 5, Rules::V1_1_0));
}

#[test]
fn shape_8_8_2() {
    same(&full("32 KiB", 32 * KIB, 5, Rules::V1_1_0), &full("32 KiB new", 32 * KIB, 5, Rules::V1_1_0));
}

#[test]
fn several_values_of_the_factor() {
    same(&full("8 MiB", 8 << 20, 6, Rules::V1_1_0), &full("8 MiB new", 8 << 20, 6, Rules::V1_1_0));
}

#[test]
fn pieces_in_a_committed_capacity_sector() {
    let layouts: [&[Piece]; 4] = [
        &[Data(127), Data(254), Data(508), Data(1016)],
        &[Data(1016), Rest(1016)],
        &[Data(254), Data(127), Data(127), Data(127), Rest(127), Rest(254), Rest(1016)],
        &[Rest(2032)],
    ];
    for pieces in layouts {
        let old = committed_capacity("empty", 2 * KIB, 5, Rules::V1_1_0);
        let (world, ..) = same(&old, &small("pieces", 5, Rules::V1_1_0, pieces));
        assert_eq!(world.content.len(), 2032);
    }
}

/// The reference as a process, which reads its parameter folder once.
struct Peer {
    params: PathBuf,
    folder: PathBuf,
}

impl Peer {
    fn step(&self, step: &str, update: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_filecash-interop-peer"));
        command.args(["update", step, "--update"]).arg(self.folder.join(update));
        command.env("FIL_PROOFS_PARAMETER_CACHE", &self.params).env_remove("RUST_LOG").stdout(Stdio::null());
        command
    }

    fn prove(&self, proofs: &[Vec<u8>]) -> Vec<u8> {
        let (vanilla, out) = (self.folder.join("vanilla"), self.folder.join("proof"));
        fs::write(&vanilla, [&(proofs.len() as u64).to_le_bytes()[..], &proofs.concat()].concat()).unwrap();
        let mut command = self.step("prove", "update.json");
        assert!(command.arg("--vanilla").arg(&vanilla).arg("--out").arg(&out).status().unwrap().success());
        fs::read(out).unwrap()
    }

    fn holds(&self, comms: &UpdateCommitments, proof: &[u8]) -> bool {
        self.write_update("other.json", comms);
        let file = self.folder.join("proof-to-verify");
        fs::write(&file, proof).unwrap();
        let mut command = self.step("verify", "other.json");
        accepts(command.arg("--proof").arg(file))
    }

    fn write_update(&self, name: &str, comms: &UpdateCommitments) {
        let update = json!({
            "registered_proof": "StackedDrg2KiBV1", "comm_r_old": comms.comm_r_old, "comm_r_new": comms.comm_r_new,
            "comm_r_last_new": vec![0_u8; 32], "comm_d_new": comms.comm_d_new,
        });
        fs::write(self.folder.join(name), update.to_string()).unwrap();
    }
}

/// The SNARK by either side under our parameters, verified by either side.
#[test]
fn proofs_of_either_side_are_accepted_by_both() {
    let old = committed_capacity("to be updated", 2 * KIB, 5, Rules::V1_1_0);
    let (world, comms, vanilla) = same(&old, &small("update", 5, Rules::V1_1_0, &[Data(1016), Data(508), Data(508)]));
    let params = params_2kib().unwrap();
    let ours = OurUpdates::new(&params);
    let theirs = Peer { params, folder: world.sector.folder.clone() };
    theirs.write_update("update.json", &comms);
    let proofs = [ours.prove(&comms, &vanilla).unwrap(), theirs.prove(&vanilla)];
    for (prover, proof) in ["us", "the reference"].iter().zip(&proofs) {
        assert_eq!(proof.len(), 192);
        assert!(ours.holds(&comms, proof), "proof of {prover}, verified by us");
        assert!(theirs.holds(&comms, proof), "proof of {prover}, verified by the reference");
        let refused = |what: &str, comms: &UpdateCommitments, proof: &[u8]| {
            assert!(!ours.holds(comms, proof), "proof of {prover}: we accept {what}");
            assert!(!theirs.holds(comms, proof), "proof of {prover}: the reference accepts {what}");
        };
        let UpdateCommitments { comm_r_old, comm_r_new, .. } = comms;
        let swapped = UpdateCommitments { comm_r_old: comm_r_new, comm_r_new: comm_r_old, ..comms };
        refused("old and new replica swapped", &swapped, proof);
        refused("another comm_d", &UpdateCommitments { comm_d_new: comm_r_old, ..comms }, proof);
        refused("a stale comm_r", &UpdateCommitments { comm_r_new: comm_r_old, ..comms }, proof);
        let mut flipped = proof.clone();
        flipped[100] ^= 1;
        refused("a flipped bit", &comms, &flipped);
        refused("a cut proof", &comms, &proof[..191]);
    }
}

#[test]
fn tampered_partition_proofs_are_refused_by_both() {
    let (world, comms, proofs) = same(
        &full("16 KiB tampered", 16 * KIB, 5, Rules::V1_1_0),
        &full("16 KiB tampered new", 16 * KIB, 5, Rules::V1_1_0),
    );
    let sides: [&dyn Updates; 2] = [&OurUpdates::new(Path::new("none")), &ReferenceUpdates];
    let refused = |what: &str, comms: &UpdateCommitments, proofs: &[Vec<u8>]| {
        for (side, name) in sides.iter().zip(["us", "the reference"]) {
            assert!(!side.vanilla_holds(&world.sector, comms, proofs), "{what} is accepted by {name}");
        }
    };
    let UpdateCommitments { comm_r_old, comm_r_new, .. } = comms;
    let swapped = UpdateCommitments { comm_r_old: comm_r_new, comm_r_new: comm_r_old, ..comms };
    refused("old and new replica swapped", &swapped, &proofs);
    refused("another comm_d", &UpdateCommitments { comm_d_new: comm_r_old, ..comms }, &proofs);
    refused("one partition", &comms, &proofs[..1]);
    refused("swapped partitions", &comms, &[proofs[1].clone(), proofs[0].clone()]);
    let shape_bytes = proofs[0].len();
    // comm_c, then a node in every third of the openings: heads of the reference's proofs are counts and tags.
    for at in [0, 31, shape_bytes / 3, shape_bytes / 2, shape_bytes - 16] {
        let mut flipped = proofs.clone();
        flipped[1][at] ^= 1;
        refused(&format!("a flipped bit of byte {at}"), &comms, &flipped);
    }
}
