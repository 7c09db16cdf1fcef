//! Non-interactive proofs of replication: vanilla proofs, public inputs, the SNARKs of single partitions, and their
//! aggregate, which is the seal proof.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use filecash_interop::case::{Case, Rules, full};
use filecash_interop::features::{commit, inputs, precommit};
use filecash_interop::ours::Ours;
use filecash_interop::params;
use filecash_interop::side::{Maker, Reference, Side, Statement};
use filecash_interop::snapshot::difference;

use Maker::Us;

const KIB: u64 = 1 << 10;

fn same(case: &Case) {
    let world = tempfile::tempdir().unwrap();
    let ours = Ours::new(&world.path().join("parents"));
    for sealed in Maker::BOTH {
        let folder = world.path().join(format!("sector-{}", sealed.letter()));
        fs::create_dir(&folder).unwrap();
        let comms = precommit(sealed, &ours, case, &folder).unwrap();
        let [us, them] = Maker::BOTH.map(|maker| commit(maker, &ours, case, comms, &folder).unwrap());
        assert_eq!(difference(us.json.as_bytes(), them.json.as_bytes()), None, "{}: C1 as JSON", case.name);
        assert_eq!(difference(&us.bincode, &them.bincode), None, "{}: C1 as bincode", case.name);
        let [us, them] = Maker::BOTH.map(|maker| inputs(maker, case, comms).unwrap());
        assert_eq!(us.len(), 13);
        assert_eq!(us, them, "{}: public inputs", case.name);
    }
}

#[test]
fn shape_8_0_0() {
    same(&full("2 KiB non-interactive", 2 * KIB, 15, Rules::NonInteractive));
}

#[test]
fn shape_8_2_0() {
    same(&full("4 KiB non-interactive", 4 * KIB, 16, Rules::NonInteractive));
}

#[test]
fn shape_8_8_0() {
    same(&full("16 KiB non-interactive", 16 * KIB, 18, Rules::NonInteractive));
}

#[test]
fn shape_8_8_2() {
    same(&full("32 KiB non-interactive", 32 * KIB, 19, Rules::NonInteractive));
}

/// The first partitions by either side, verified by either, and our seal proof of all thirteen. The reference has no entry
/// point for later partitions alone.
#[test]
fn proofs_hold_on_either_side() {
    let world = tempfile::tempdir().unwrap();
    let ours = Ours::new(&world.path().join("parents-ours"));
    let program = PathBuf::from(env!("CARGO_BIN_EXE_filecash-interop-peer"));
    let reference = Reference { program, parents: world.path().join("parents-reference") };
    let case = full("2 KiB non-interactive proof", 2 * KIB, 15, Rules::NonInteractive);
    let folder = world.path().join("sector");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("piece-0"), case.data(0)).unwrap();
    ours.add_piece(&case, &folder, 0).unwrap();
    ours.pc1(&case, &folder).unwrap();
    ours.pc2(&case, &folder).unwrap();
    let c1: Vec<Vec<u8>> = [&ours as &dyn Side, &reference]
        .iter()
        .map(|side| {
            side.c1(&case, &folder).unwrap();
            fs::read(folder.join("c1.json")).unwrap()
        })
        .collect();
    assert_eq!(difference(&c1[0], &c1[1]), None, "C1 in API form");

    let params = world.path().join("params");
    link(&params::made_by(Us, &ours, &reference).unwrap(), &params);
    ours.reference_string(&params).unwrap();
    let pc2: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("pc2.json")).unwrap()).unwrap();
    let statement = Statement {
        comms: ["comm_r", "comm_d"].map(|name| serde_json::from_value(pc2[name].clone()).unwrap()),
        prover_id: case.prover_id(),
        sector: case.sector(),
        ticket: case.ticket(),
        seed: case.seed(),
    };
    let two = ours.prove_partitions(&case, &folder, 0..2, &params).unwrap();
    let later = ours.prove_partitions(&case, &folder, 12..13, &params).unwrap();
    let theirs = reference.prove_partitions(&case, &folder, 1, &params).unwrap();
    assert_eq!([two.len(), later.len(), theirs.len()], [384, 192, 192]);
    for (proof, partitions) in [(&two, 0..2), (&later, 12..13), (&theirs, 0..1)] {
        assert!(ours.verify_partitions(&case, &statement, partitions, proof, &params));
    }
    for proof in [&two, &theirs] {
        assert!(reference.verify_partitions(&case, &statement, proof, &params));
    }

    let swapped = [&two[192..], &two[..192]].concat();
    let other_sector = Statement { sector: statement.sector + 1, ..statement };
    assert!(!ours.verify_partitions(&case, &statement, 1..3, &two, &params), "other partitions");
    for (what, statement, proof) in [
        ("in the other order", &statement, &swapped),
        ("of another sector", &other_sector, &two),
        ("of a later partition", &statement, &later),
    ] {
        assert!(!ours.verify_partitions(&case, statement, 0..proof.len() / 192, proof, &params), "{what}");
        assert!(!reference.verify_partitions(&case, statement, proof, &params), "{what}");
    }
    // The seed is no part of the statement.
    let other_seed = Statement { seed: [7; 32], ..statement };
    assert!(ours.verify_partitions(&case, &other_seed, 0..2, &two, &params));
    assert!(reference.verify_partitions(&case, &other_seed, &two, &params));

    let middle = ours.prove_partitions(&case, &folder, 2..12, &params).unwrap();
    let seal = ours.aggregate_partitions(&case, &folder, &[two, middle, later].concat(), &params).unwrap();
    assert_eq!(seal.len(), 14164);
    for side in [&ours as &dyn Side, &reference] {
        assert!(side.verify(&case, &statement, &seal, &params));
        assert!(!side.verify(&case, &other_sector, &seal, &params), "another sector");
    }
    assert!(ours.verify(&case, &other_seed, &seal, &params));
    let other = Statement { ticket: case.random("other ticket"), ..statement };
    assert!(!ours.verify(&case, &other, &seal, &params), "another ticket");
    let mut flipped = seal.clone();
    flipped[14000] ^= 1;
    assert!(!ours.verify(&case, &statement, &flipped, &params), "a flipped bit");
    assert!(!ours.verify(&case, &statement, &seal[..14163], &params), "a cut proof");
}

/// The same parameter files in another folder, which gets a reference string of its own.
fn link(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name.to_string_lossy().starts_with(params::POREP_2KIB) {
            std::os::unix::fs::symlink(&path, to.join(name)).unwrap();
        }
    }
}
