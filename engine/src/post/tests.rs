//! Opening sectors: the reference's bytes, faults of every kind, and the clock.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::limited::ReadLimits;
use super::open::{Faulty, Opened, open_sectors};
use super::proof::VanillaForm;
use super::*;
use crate::backend::cpu::Cpu;
use crate::config::Config;
use crate::field::Node;
use crate::graph::Graph;
use crate::hash::poseidon::hash2;
use crate::job::{Cancel, Job, Quiet};
use crate::merkle::build::build_tree_r_last;
use crate::merkle::path::PathError;
use crate::merkle::tree_file::TreeFileError;
use crate::porep::commit::Commitments;
use crate::porep::commit1::tests::{Sealed, Sector};
use crate::sector::geometry::Geometry;
use crate::sector::{ApiVersion, PoRepConfig, PoRepId, PoStProof, Profile, TreeShape, params};
use crate::store::aux::{AuxError, PAux};

/// The round of spec/replication.md 12.7.
fn round(id: u32) -> PoStRound {
    PoStRound::new(&PoStProof::by_id(Profile::Filecoin, id).unwrap().config(), &[5; 32], &[9; 32]).unwrap()
}

fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    run(&Job { config: &Config::default(), progress: &Quiet, cancel: &Cancel::default() })
}

fn sealed(sealed: &Sealed) -> PoStSector {
    PoStSector {
        sector_id: 12345,
        comm_r: sealed.commitments.comm_r,
        cache: sealed.folder.path().to_owned(),
        sealed: sealed.replica(),
    }
}

/// Length and digest of the vanilla proof at the leaves of `round`, which is also read back.
fn digest(sector: &PoStSector, geometry: Geometry, round: &PoStRound) -> String {
    let leaves = round.leaves_of(geometry.nodes(), sector.sector_id, 0);
    let vanilla = sector.open(geometry, &leaves).unwrap();
    vanilla.verify(geometry, &leaves).unwrap();
    let bytes = vanilla.to_bytes().unwrap();
    let form = VanillaForm { nodes: geometry.nodes(), tree: geometry.shape(), challenges: leaves.len() };
    assert_eq!(bytes.len() as u64, form.byte_len());
    assert_eq!(VanillaPoSt::decode_as(&form, &bytes).unwrap(), vanilla);
    format!("{} {}", bytes.len(), hex::encode(Sha256::digest(&bytes)))
}

/// spec/replication.md 12.7, "PoSt winning vanilla" and "PoSt window vanilla", of every shape of trees.
#[test]
fn vanilla_proofs_of_small_sectors_match_the_reference() {
    let id_5 = |size| {
        let params = params::for_size(Profile::Filecoin, size).unwrap();
        PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(5), ApiVersion::V1_1_0)
    };
    let id_0 = PoRepConfig { porep_id: PoRepId::from_number(0), api_version: ApiVersion::V1_0_0, ..id_5(2 << 10) };
    let table = [
        (
            id_5(2 << 10),
            "36816 ed895cbc5e26420ec3538ccb95b2f4c9ee588ba85958a6a04622594e97e1d8ea",
            "5680 795a56533627059039163dec19e0aa5a4cc1c36bf4d0013fcf5cd4195e78cc60",
        ),
        (
            id_0,
            "36816 80e8b3f0554a05095ecae617b7c4af8ee58a29a2f9abc7187b675dec1bea2fe5",
            "5680 91cbe57d6702348601edc4e44db62e77b0f3b35fea53cc3631fb20fc24054d68",
        ),
        (
            id_5(4 << 10),
            "40512 aada7714a87936905ea3a930b6c629ef14bc6700c924d067dfb3b20ffa776b0f",
            "6240 a4e2f7c424a4192afa44b0d2a5d928e1c532be81ec7192f946bb6250d3a0541a",
        ),
        (
            id_5(16 << 10),
            "53184 69364aef9948ea5873194d067541a0cf70a102fa4a245617decd15d855de6c27",
            "8160 ee47b8d0b67cd30c2f726d447f5d4c5b31f221348592adc772f951df5efd80c0",
        ),
        (
            id_5(32 << 10),
            "56880 8471d40fd7376cc204f84e00f22fed3cb05901457f269acc2d459c0289294111",
            "8720 989433057a988e6d9ad498b836813a3d1d6fec2399f66ffc1deba2f084394059",
        ),
    ];
    for (config, winning, window) in table {
        let sector = Sector::seal(config);
        let geometry = Geometry::of(config.params);
        assert_eq!(digest(&sealed(&sector.sealed), geometry, &round(0)), winning, "{}", config.params.name);
        for id in [5, 10] {
            assert_eq!(digest(&sealed(&sector.sealed), geometry, &round(id)), window, "{}", config.params.name);
        }
    }
}

/// spec/replication.md 12.7, 8 MiB: rows discarded above the leaves of TreeR-last.
#[test]
fn big_8mib_vanilla_proofs_match_the_reference() {
    let sector = Sector::of(Profile::Filecoin, 6);
    let geometry = Geometry::of(params::for_size(Profile::Filecoin, 8 << 20).unwrap());
    let sector = sealed(&sector.sealed);
    let winning = "100176 28920f990e006e697663484e32eee5b4b126cbcbbb5821fcce5f5ed4ea42e788";
    assert_eq!(digest(&sector, geometry, &round(0)), winning);
    let window = "15280 243d68c68a1cdcfb39610f7e00112d607c86777e5cc40725f196af930950c411";
    assert_eq!(digest(&sector, geometry, &round(10)), window);
}

/// spec/replication.md 12.10.
#[test]
fn vanilla_proofs_of_filecash_sectors_match_the_fork() {
    let table = [
        (
            0,
            "36816 e0c4034bbc72a66a58c54a0fc13f668d56f5c05a7d4364b4144500c897ced7eb",
            "5680 d061f04c2e15d4ac67e7cc3c287fcedfa283a6600109ac5d78e53de08f39b85d",
        ),
        (
            7,
            "36816 dfa7de4262c98092509e82bc69a5f128a0c64593ba245a8cabb0de9862017839",
            "5680 cc9d7a390d09c581b8b39916ad7359e4dcb41d5f989205862e3430d513f61c18",
        ),
    ];
    let geometry = Geometry::of(params::for_size(Profile::Filecash, 2 << 10).unwrap());
    for (id, winning, window) in table {
        let sector = Sector::of(Profile::Filecash, id);
        assert_eq!(digest(&sealed(&sector.sealed), geometry, &round(0)), winning);
        assert_eq!(digest(&sealed(&sector.sealed), geometry, &round(5)), window);
    }
}

/// spec/replication.md 12.10, the artificial sectors: Filecash's 4 and 16 GiB on few nodes.
#[test]
fn vanilla_proofs_of_reduced_filecash_shapes_match_the_fork() {
    let table = [
        (
            (64, 8, 0, 5),
            "36816 841949a69fa05e6c2cfbbde2f71b9ab46543a830405d289fa7c28300c5611920",
            "5680 67743f5c9d306e056c3dc6297dd86fe22be326ae1b9a779fa0c53118ca53c6d9",
        ),
        (
            (256, 5, 4, 6),
            "44736 174b8c012e46ae115d32a718c25cdb94e646dbe5609eee9b8299b18627672a02",
            "6880 06fa86bba9ba07299f96d5ffa4d3701e4ffaa1c0fb303ae63abcd98bcf163572",
        ),
    ];
    for ((nodes, layers, sub, id), winning, window) in table {
        let geometry = Geometry::new(nodes, layers, TreeShape { base: 8, sub, top: 0 }).unwrap();
        let graph = Graph::over(nodes, PoRepId::from_number(id), true);
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..nodes / 4 * 127).map(|i| (i % 251) as u8).collect();
        let mut staged = vec![0; nodes as usize * 32];
        crate::field::fr32::pad_quads(&data, &mut staged);
        fs::write(folder.path().join("staged"), staged).unwrap();
        let sector = Sealed::new(folder, Profile::Filecash, geometry, &graph);
        let Commitments { comm_c, comm_r_last, .. } = sector.commitments;
        PAux { comm_c, comm_r_last }.write(sector.folder.path()).unwrap();
        assert_eq!(digest(&sealed(&sector), geometry, &round(0)), winning);
        assert_eq!(digest(&sealed(&sector), geometry, &round(5)), window);
    }
}

/// A replica that was never sealed: what a proof of space-time looks at is all there.
fn replica_of(size: u64, folder: &Path, sector_id: u64) -> PoStSector {
    let cache = folder.join(format!("cache-{sector_id}"));
    let path = folder.join(format!("sealed-{sector_id}"));
    fs::create_dir(&cache).unwrap();
    let node = |i: u64| {
        let mut node: Node = Sha256::digest([sector_id.to_le_bytes(), i.to_le_bytes()].as_flattened()).into();
        node[31] &= 0x3f;
        node
    };
    let geometry = Geometry::of(params::for_size(Profile::Filecoin, size).unwrap());
    fs::write(&path, (0..geometry.nodes()).map(node).collect::<Vec<_>>().as_flattened()).unwrap();
    let comm_r_last = with_job(|job| build_tree_r_last(&Cpu, job, &path, &cache, geometry)).unwrap()[0];
    let comm_c = node(geometry.nodes());
    PAux { comm_c, comm_r_last }.write(&cache).unwrap();
    PoStSector { sector_id, comm_r: hash2(&comm_c, &comm_r_last).unwrap(), cache, sealed: path }
}

fn replica(folder: &Path, sector_id: u64) -> PoStSector {
    replica_of(2048, folder, sector_id)
}

fn replicas(folder: &Path, count: u64) -> Vec<PoStSector> {
    (0..count).map(|i| replica(folder, 100 + i)).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn open(id: u32, sectors: &[PoStSector], faulty: Faulty, limits: &ReadLimits) -> Opened {
    with_job(|job| open_sectors(job, &round(id), 0, sectors, faulty, limits)).unwrap()
}

fn numbers(faulty: &[FaultySector]) -> Vec<u64> {
    faulty.iter().map(|faulty| faulty.sector_id).collect()
}

#[test]
fn each_kind_of_damage_is_a_fault_of_its_sector_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut sectors = replicas(folder.path(), 8);
    let leaf = round(10).leaves(sectors[0].sector_id, 0)[3] as usize;
    flip(&sectors[0].sealed, 32 * leaf + 7);
    fs::remove_file(&sectors[1].sealed).unwrap();
    fs::remove_dir_all(&sectors[2].cache).unwrap();
    // A stale comm_r.
    sectors[3].comm_r[0] ^= 1;
    let tree = fs::read_dir(&sectors[4].cache).unwrap().map(|entry| entry.unwrap().path());
    let tree = tree.into_iter().find(|path| path.to_string_lossy().contains("tree-r-last")).unwrap();
    flip(&tree, 3);
    fs::write(&sectors[5].sealed, [0; 2047]).unwrap();
    // The replica of another sector.
    fs::copy(&sectors[7].sealed, &sectors[6].sealed).unwrap();

    let Opened { proofs, faulty } = open(10, &sectors, Faulty::Skip, &ReadLimits::default());
    assert_eq!(proofs.iter().map(|proof| proof.sector_id).collect::<Vec<_>>(), [107]);
    let mut faults = faulty.iter();
    let mut next = |id| {
        let faulty = faults.next().unwrap();
        assert_eq!(faulty.sector_id, id);
        (&faulty.fault, faulty.reason())
    };
    let (fault, reason) = next(100);
    assert!(matches!(fault, Fault::Tree(TreeFileError::Inconsistent { .. })), "{reason}");
    assert!(reason.contains("sealed-100"), "{reason}");
    let (fault, reason) = next(101);
    assert!(matches!(fault, Fault::Tree(TreeFileError::File(_))) && reason.contains("sealed-101"), "{reason}");
    let (fault, reason) = next(102);
    assert!(matches!(fault, Fault::Aux(AuxError::Read { .. })) && reason.contains("p_aux"), "{reason}");
    let (fault, reason) = next(103);
    assert!(matches!(fault, Fault::Commitment { what: "comm_r", .. }), "{reason}");
    let (fault, reason) = next(104);
    assert!(matches!(fault, Fault::Commitment { what: "comm_r_last", .. }), "{reason}");
    let (_, reason) = next(105);
    assert!(reason.contains("2047 bytes"), "{reason}");
    let (fault, reason) = next(106);
    assert!(matches!(fault, Fault::Tree(TreeFileError::Inconsistent { .. })), "{reason}");
    assert!(faults.next().is_none());
}

/// A partition of 20 sectors: a damaged replica is named, one that cannot be read does not hold up the others.
#[test]
fn twenty_sectors_are_opened_around_a_damaged_and_a_hanging_one() {
    let folder = tempfile::tempdir().unwrap();
    let sectors = replicas(folder.path(), 20);
    flip(&sectors[7].sealed, 32 * round(5).leaves(107, 7)[0] as usize);
    // Opening a pipe that nobody writes to hangs, as a dead network file system does.
    fs::remove_file(&sectors[12].sealed).unwrap();
    assert!(Command::new("mkfifo").arg(&sectors[12].sealed).status().unwrap().success());
    for id in [5, 10] {
        let limits = ReadLimits { per_sector: Duration::from_millis(500), parallel: 2, ..ReadLimits::default() };
        let start = Instant::now();
        let Opened { proofs, faulty } = open(id, &sectors, Faulty::Skip, &limits);
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(proofs.len(), 18);
        assert_eq!(numbers(&faulty), [107, 112]);
        assert!(matches!(faulty[0].fault, Fault::Tree(_)));
        assert_eq!(faulty[1].reason(), "timed out: not read within 0.5 s");
        // The others stand at the ranks that they have without the two.
        let geometry = Geometry::of(round(id).config().params);
        for (rank, proof) in (0..).zip(&proofs) {
            proof.verify(geometry, &round(id).leaves(proof.sector_id, rank)).unwrap();
        }
        let refused = open(id, &sectors, Faulty::Refuse, &limits);
        assert_eq!(numbers(&refused.faulty), [107, 112]);
    }
}

/// A leaf that only the ranks without the faulty sector look at: found when the others are opened anew.
#[test]
fn faults_that_show_at_later_ranks_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let sectors = [100, 101, 102].map(|id| replica_of(8 << 20, folder.path(), id));
    fs::remove_file(&sectors[0].sealed).unwrap();
    let round = round(6);
    let (before, after) = (round.leaves(102, 2), round.leaves(102, 1));
    // Leaves are read in blocks of 8³.
    let fresh = after.iter().find(|leaf| before.iter().all(|old| old / 512 != *leaf / 512)).unwrap();
    flip(&sectors[2].sealed, 32 * *fresh as usize);
    assert_eq!(numbers(&open(6, &sectors, Faulty::Refuse, &ReadLimits::default()).faulty), [100]);
    let Opened { proofs, faulty } = open(6, &sectors, Faulty::Skip, &ReadLimits::default());
    assert_eq!(numbers(&faulty), [100, 102]);
    let geometry = Geometry::of(round.config().params);
    assert_eq!(proofs.len(), 1);
    proofs[0].verify(geometry, &round.leaves(101, 0)).unwrap();
    assert!(matches!(proofs[0].verify(geometry, &round.leaves(101, 1)), Err(Fault::Opening { .. })));
}

#[test]
fn changed_vanilla_proofs_do_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let sector = replica(folder.path(), 7);
    let geometry = Geometry::of(round(10).config().params);
    let leaves = round(10).leaves(7, 0);
    let good = sector.open(geometry, &leaves).unwrap();
    let broken = |change: &dyn Fn(&mut VanillaPoSt)| {
        let mut proof = good.clone();
        change(&mut proof);
        proof.verify(geometry, &leaves).unwrap_err()
    };
    let comm_r = broken(&|proof| proof.comm_r[3] ^= 1);
    assert!(matches!(comm_r, Fault::Commitment { what: "comm_r", .. }));
    assert!(matches!(broken(&|proof| proof.proof.comm_c[0] ^= 1), Fault::Commitment { what: "comm_r", .. }));
    assert!(matches!(broken(&|proof| proof.proof.comm_r_last[0] ^= 1), Fault::Commitment { .. }));
    assert!(matches!(broken(&|proof| drop(proof.proof.inclusion_proofs.pop())), Fault::Malformed(_)));
    let swapped = broken(&|proof| proof.proof.inclusion_proofs.swap(0, 1));
    assert!(matches!(swapped, Fault::Opening { source: PathError::Leaf { .. }, .. }));
    // The proof of another sector under this one's comm_r.
    let other = replica(folder.path(), 8).open(geometry, &leaves).unwrap();
    let foreign = broken(&|proof| proof.proof = other.proof.clone());
    assert!(matches!(foreign, Fault::Commitment { what: "comm_r", .. }));
}

#[test]
fn vanilla_bytes_of_another_form_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sector = replica(folder.path(), 7);
    let geometry = Geometry::of(round(10).config().params);
    let bytes = sector.open(geometry, &round(10).leaves(7, 0)).unwrap().to_bytes().unwrap();
    let error = |id: u32, bytes: &[u8]| VanillaPoSt::decode(round(id).config(), bytes).unwrap_err().to_string();
    assert_eq!(error(0, &bytes), "5680 bytes, expected 36816");
    assert_eq!(error(11, &bytes), "5680 bytes, expected 15280");
    assert_eq!(error(10, &bytes[1..]), "5679 bytes, expected 5680");
    let mut two = bytes.clone();
    two[40] = 2;
    assert!(VanillaPoSt::decode(round(10).config(), &two).is_err());
    let mut wide = bytes.clone();
    wide[8..40].fill(0xff);
    assert_eq!(error(10, &wide), "comm_r of the vanilla proof is no field element");
    let mut many = bytes;
    many[48..56].fill(0xff);
    assert!(VanillaPoSt::decode(round(10).config(), &many).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_panic(at in 0_usize..5680, bit in 0_u8..8) {
        thread_local! {
            static BYTES: Vec<u8> = {
                let folder = tempfile::tempdir().unwrap();
                let geometry = Geometry::of(round(10).config().params);
                replica(folder.path(), 7).open(geometry, &round(10).leaves(7, 0)).unwrap().to_bytes().unwrap()
            };
        }
        let mut bytes = BYTES.with(Clone::clone);
        bytes[at] ^= 1 << bit;
        if let Ok(decoded) = VanillaPoSt::decode(round(10).config(), &bytes) {
            prop_assert_eq!(decoded.to_bytes().unwrap(), bytes);
            // Everything but the sector's number is bound; without it the leaves are others.
            let geometry = Geometry::of(round(10).config().params);
            prop_assert!(decoded.verify(geometry, &round(10).leaves(decoded.sector_id, 0)).is_err());
        }
    }
}
