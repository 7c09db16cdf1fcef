use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::*;
use crate::config::Config;
use crate::job::{Cancel, Job, Quiet};
use crate::porep::challenges::SyntheticSet;
use crate::porep::commit1::Commit1Error;
use crate::porep::commit1::tests::{SEED, Sector, bincode, json, with_job};
use crate::porep::synthetic::record::encode;
use crate::sector::{ApiVersion, PoRepConfig, PoRepId, Profile, params};
use crate::store::files;

/// A sector of any size with the rules of the registered synthetic proofs.
fn synthetic(size: u64) -> Sector {
    let params = params::for_size(Profile::Filecoin, size).unwrap();
    let config = PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(10), ApiVersion::V1_2_0);
    Sector::seal(PoRepConfig { feature: Feature::Synthetic, ..config })
}

fn generate(sector: &Sector) -> Result<(), Commit1Error> {
    sector.with(|_| {}, |commit| with_job(|job| commit.generate(job)))
}

fn synthetic_error(error: Commit1Error) -> SyntheticError {
    match error {
        Commit1Error::Synthetic(error) => *error,
        error => panic!("{error:?}"),
    }
}

fn path(sector: &Sector) -> PathBuf {
    sector.sealed.folder.path().join(SYNTHETIC_PROOFS)
}

fn digest(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    format!("{} {}", bytes.len(), hex::encode(Sha256::digest(&bytes)))
}

/// spec/replication.md 12.7, the run of id 10.
#[test]
fn sector_of_2kib_matches_reference() {
    let sector = synthetic(2 << 10);
    generate(&sector).unwrap();
    let expected = "575072 cfc7334a94e6584300b7117623ea861a8c9a29c409ef24c62baef03c92646716";
    assert_eq!(digest(&path(&sector)), expected);
    // The seed needs nothing else.
    assert_eq!(files::clear(sector.sealed.folder.path()).unwrap(), 4);
    fs::remove_file(sector.sealed.folder.path().join("sc-02-data-tree-r-last.dat")).unwrap();
    fs::remove_file(sector.sealed.folder.path().join("sealed")).unwrap();
    let output = sector.prove(|_| {}).unwrap();
    let expected = "99741 7b114b39cce51830f2c20c05b953883ab4b7aa7787716c4c59afc2a23ee99929";
    assert_eq!(json(&output, Profile::Filecoin), expected);
    assert_eq!(bincode(&output), "28248 8877a376a63354c482e2945b4d5913015a8e971ac3478b0ae6425cbdbcf39848");
}

/// Every shape, many windows and one, against proofs opened and written the plain way.
#[test]
fn records_are_those_of_plainly_opened_proofs() {
    for size in [2 << 10, 4 << 10, 16 << 10, 32 << 10] {
        let sector = synthetic(size);
        generate(&sector).unwrap();
        let written = fs::read(path(&sector)).unwrap();
        let config = Config { memory_bytes: 0, ..Config::default() };
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        sector.with(|_| {}, |commit| commit.generate(&job)).unwrap();
        assert!(written == fs::read(path(&sector)).unwrap(), "{size}: in windows");
        let shape = ProofShape::from(&sector.config);
        let set = SyntheticSet::new(
            &sector.sealed.replica_id,
            &sector.sealed.commitments.comm_r,
            sector.config.params.nodes(),
        );
        assert_eq!(written.len() as u64, file_bytes(&shape, set.len()));
        let proofs = sector.with(|_| {}, |commit| commit.open_nodes(&set.members(0..set.len())));
        let (head, records) = written.split_at(HEAD_BYTES as usize);
        assert_eq!(head[..32], sector.sealed.commitments.comm_d);
        let records = records.chunks_exact(record_bytes(&shape) as usize);
        assert_eq!((records.len() as u64, proofs.len() as u64), (set.len(), set.len()), "{size}");
        for (record, proof) in records.zip(&proofs) {
            assert_eq!(record, encode(proof), "{size}: node {}", proof.challenge());
        }
    }
}

#[test]
fn file_lengths_match_reference() {
    let table = [
        (2 << 10, 575072),
        (4 << 10, 1219680),
        (16 << 10, 6484064),
        (32 << 10, 13525088),
        (8 << 20, 6213861472),
        (16 << 20, 6356467808),
        (512 << 20, 8143241312),
        (1 << 30, 8285847648),
        (32 << 30, 11205083232),
        (64 << 30, 11347689568),
    ];
    for (size, bytes) in table {
        let params = params::for_size(Profile::Filecoin, size).unwrap();
        let set = SyntheticSet::new(&[0; 32], &[0; 32], params.nodes());
        assert_eq!(file_bytes(&ProofShape::of(Profile::Filecoin, params), set.len()), bytes, "{size}");
    }
}

#[test]
fn other_features_have_no_set() {
    for id in [5, 15] {
        let error = synthetic_error(generate(&Sector::of(Profile::Filecoin, id)).unwrap_err());
        assert!(matches!(error, SyntheticError::Feature(_)), "{error}");
    }
}

#[test]
fn damaged_sectors_get_no_file() {
    let damages = [
        ("sc-02-data-layer-1.dat", 5 * 32),
        ("sc-02-data-layer-2.dat", 9 * 32),
        ("sc-02-data-tree-c.dat", 7 * 32),
        ("sc-02-data-tree-c.dat", 66 * 32),
        ("sc-02-data-tree-d.dat", 3 * 32),
        ("sc-02-data-tree-d.dat", 100 * 32),
        ("sealed", 40 * 32),
    ];
    let sector = synthetic(2 << 10);
    let folder = sector.sealed.folder.path();
    for (name, at) in damages {
        let whole = fs::read(folder.join(name)).unwrap();
        for (value, canonical) in [([0; 32], true), ([0xff; 32], false)] {
            let mut bytes = whole.clone();
            bytes[at..at + 32].copy_from_slice(&value);
            fs::write(folder.join(name), bytes).unwrap();
            let error = generate(&sector).unwrap_err();
            let expected = matches!(error, Commit1Error::Invalid(_) | Commit1Error::Mapped(_));
            assert!(expected, "{name} {at} {canonical}: {error:?}");
            assert!(!path(&sector).exists());
        }
        fs::write(folder.join(name), whole).unwrap();
    }
    generate(&sector).unwrap();
}

#[test]
fn altered_records_are_named() {
    let sector = synthetic(2 << 10);
    generate(&sector).unwrap();
    let whole = fs::read(path(&sector)).unwrap();
    let set =
        SyntheticSet::new(&sector.sealed.replica_id, &sector.sealed.commitments.comm_r, sector.config.params.nodes());
    let selected = set.selected(&sector.sealed.replica_id, &SEED, 0..2);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(path(&sector), bytes).unwrap();
        sector.prove(|_| {})
    };
    let at = |record: u64, byte: usize| (HEAD_BYTES + record * 8984) as usize + byte;
    // Any bit of a selected record.
    for byte in (0..8984).step_by(97).chain([8, 63, 119, 120, 8983]) {
        match synthetic_error(with(&|bytes| bytes[at(selected[1], byte)] ^= 4).unwrap_err()) {
            SyntheticError::Record { record, .. }
            | SyntheticError::Challenge { record, .. }
            | SyntheticError::Invalid { record, .. } => assert_eq!(record, selected[1], "byte {byte}"),
            error => panic!("byte {byte}: {error:?}"),
        }
    }
    // No other record is looked at.
    let other = (0..64).find(|record| !selected.contains(record)).unwrap();
    assert!(with(&|bytes| bytes[at(other, 500)] ^= 1).is_ok());
    let swapped = with(&|bytes| {
        let copy = bytes[at(other, 0)..at(other + 1, 0)].to_vec();
        bytes[at(selected[0], 0)..at(selected[0] + 1, 0)].copy_from_slice(&copy);
    });
    let swapped = synthetic_error(swapped.unwrap_err());
    assert!(matches!(swapped, SyntheticError::Challenge { .. }), "{swapped}");
    for (root, what) in ["root of TreeD", "root of TreeC", "root of TreeR-last"].into_iter().enumerate() {
        match synthetic_error(with(&|bytes| bytes[32 * root] ^= 1).unwrap_err()) {
            SyntheticError::OtherSector { what: actual, .. } => assert_eq!(actual, what),
            error => panic!("{error:?}"),
        }
    }
    let cut = synthetic_error(with(&|bytes| bytes.truncate(575071)).unwrap_err());
    assert!(matches!(cut, SyntheticError::Length { expected: 575072, actual: 575071, .. }), "{cut}");
}

#[test]
fn cancelled_generation_leaves_nothing() {
    let sector = synthetic(2 << 10);
    let (config, cancel) = (Config::default(), Cancel::default());
    cancel.cancel();
    let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
    let error = sector.with(|_| {}, |commit| commit.generate(&job)).unwrap_err();
    assert!(matches!(error, Commit1Error::Cancelled(_)), "{error:?}");
    let names = fs::read_dir(sector.sealed.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with(SYNTHETIC_PROOFS)));
}
