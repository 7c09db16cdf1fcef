//! Non-interactive proofs of replication: vanilla proofs, public inputs, the SNARKs of single partitions, and their
//! aggregate, which is the seal proof.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use filecash_interop::case::{Case, Rules, full};
use filecash_interop::features::{chain, commit, inputs, precommit};
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
    let statement = chain(&ours, &reference, &case, &folder, [Us; 3], || Ok(())).unwrap();
    let params = world.path().join("params");
    link(&params::made_by(Us, &ours, &reference).unwrap(), &params);
    ours.reference_string(&params).unwrap();
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
    let others = statement.others();
    assert!(!ours.verify_partitions(&case, &statement, 1..3, &two, &params), "other partitions");
    let cases = [("in the other order", &statement, &swapped), ("of a later partition", &statement, &later)];
    for (what, statement, proof) in cases.into_iter().chain(others.iter().map(|(what, other)| (*what, other, &two))) {
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
    let mut flipped = seal.clone();
    flipped[14000] ^= 1;
    for (side, maker) in [&ours as &dyn Side, &reference].into_iter().zip(Maker::BOTH) {
        assert!(side.verify(&case, &statement, &seal, &params), "refused by {maker:?}");
        assert!(side.verify(&case, &other_seed, &seal, &params), "with another seed refused by {maker:?}");
        for (what, other) in &others {
            assert!(!side.verify(&case, other, &seal, &params), "{maker:?} accepts {what}");
        }
        assert!(!side.verify(&case, &statement, &flipped, &params), "{maker:?} accepts a flipped bit");
        assert!(!side.verify(&case, &statement, &seal[..14163], &params), "{maker:?} accepts a cut proof");
    }
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
