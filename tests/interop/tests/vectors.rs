//! Both sides seal the same sectors in process; every file and every output is the same, byte for byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;

use filecash_interop::case::{Case, Piece, Rules, full, small};
use filecash_interop::ours::Ours;
use filecash_interop::reference::{self, Sealed};
use filecash_interop::snapshot::difference;

use Piece::{Data, Rest};

const KIB: u64 = 1 << 10;

/// Seals with both sides under the same path, since outputs name it.
fn both(case: &Case) -> [Sealed; 2] {
    let world = tempfile::tempdir().unwrap();
    let folder = world.path().join("sector");
    let fresh = || {
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir(&folder).unwrap();
    };
    fresh();
    let theirs = reference::seal(case, &folder).unwrap();
    fresh();
    let ours = Ours::new(&world.path().join("parents")).seal(case, &folder).unwrap();
    [ours, theirs]
}

fn same(case: &Case) {
    let [ours, theirs] = both(case);
    let name = case.name;
    assert_eq!(ours.pieces, theirs.pieces, "{name}: pieces");
    assert_eq!(ours.after_pc1.difference(&theirs.after_pc1), None, "{name}: files after PC1");
    assert_eq!(difference(ours.pc1_json.as_bytes(), theirs.pc1_json.as_bytes()), None, "{name}: output of PC1");
    assert_eq!(ours.after_pc2.difference(&theirs.after_pc2), None, "{name}: files after PC2");
    assert_eq!(ours.comms.map(hex::encode), theirs.comms.map(hex::encode), "{name}: CommR and CommD");
    assert_eq!(difference(ours.c1_json.as_bytes(), theirs.c1_json.as_bytes()), None, "{name}: C1 as JSON");
    assert_eq!(difference(&ours.c1_bincode, &theirs.c1_bincode), None, "{name}: C1 as bincode");
}

#[test]
fn shape_8_0_0() {
    same(&full("2 KiB", 2 * KIB, 5, Rules::V1_1_0));
}

#[test]
fn shape_8_0_0_legacy_graph() {
    same(&full("2 KiB legacy", 2 * KIB, 0, Rules::V1_0_0));
}

#[test]
fn shape_8_2_0() {
    same(&full("4 KiB", 4 * KIB, 5, Rules::V1_1_0));
    same(&full("4 KiB legacy", 4 * KIB, 1, Rules::V1_0_0));
}

#[test]
fn shape_8_8_0() {
    same(&full("16 KiB", 16 * KIB, 5, Rules::V1_1_0));
    same(&full("16 KiB legacy", 16 * KIB, 3, Rules::V1_0_0));
}

#[test]
fn shape_8_8_2() {
    same(&full("32 KiB", 32 * KIB, 5, Rules::V1_1_0));
    same(&full("32 KiB legacy", 32 * KIB, 4, Rules::V1_0_0));
}

#[test]
fn rows_that_are_discarded() {
    same(&full("8 MiB", 8 << 20, 6, Rules::V1_1_0));
}

#[test]
fn pieces_anywhere() {
    let layouts: [&[Piece]; 6] = [
        &[Data(127), Data(254), Data(508), Data(1016)],
        &[Data(127), Data(1016)],
        &[Data(508), Data(127), Data(127), Data(254), Rest(1016)],
        &[Data(1016), Rest(1016)],
        &[Data(127), Rest(127), Rest(254), Rest(508), Rest(1016)],
        &[Data(254), Data(127), Data(127), Data(127), Rest(127), Rest(254), Rest(1016)],
    ];
    for pieces in layouts {
        same(&small("pieces anywhere", 5, Rules::V1_1_0, pieces));
    }
    let pieces = vec![Data(2032), Data(127), Data(4064), Data(8128)];
    same(&Case { pieces, ..full("16 KiB of pieces", 16 * KIB, 5, Rules::V1_1_0) });
}

/// Eight sectors that differ only in prover, number, ticket and seed, all random over the whole of 32 bytes or their
/// range: challenges at other places, replica ids that are cut to the field.
#[test]
fn random_identities() {
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        same(&full(name, 2 * KIB, 5, Rules::V1_1_0));
    }
}
