//! Synthetic proofs of replication: the file of proofs, the cleared cache and C1, by either side on what either left.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::PathBuf;

use filecash_interop::case::{Case, Rules, full};
use filecash_interop::features::{chain, clear, commit, copy, files, precommit, synthesize};
use filecash_interop::ours::Ours;
use filecash_interop::params;
use filecash_interop::side::{Maker, Reference, Side, Statement};
use filecash_interop::snapshot::difference;

use Maker::{Them, Us};

const KIB: u64 = 1 << 10;

/// Both sides make the file in a sector of either's; either takes C1 out of either's file when all else is cleared.
fn same(case: &Case) {
    let world = tempfile::tempdir().unwrap();
    let ours = Ours::new(&world.path().join("parents"));
    let name = case.name;
    // All of one length, since `t_aux` tells the length of a path.
    let folder = |makers: &[Maker]| {
        let word: String = makers.iter().map(|maker| maker.letter()).collect();
        world.path().join(format!("sector-{word:-<3}"))
    };
    let comms = Maker::BOTH.map(|maker| {
        std::fs::create_dir(folder(&[maker])).unwrap();
        precommit(maker, &ours, case, &folder(&[maker])).unwrap()
    });
    assert_eq!(comms[0], comms[1], "{name}: commitments");
    let comms = comms[0];
    assert_eq!(files(&folder(&[Us])).unwrap().difference(&files(&folder(&[Them])).unwrap()), None, "{name}: PC2");

    let mut whole = Vec::new();
    let mut cleared = Vec::new();
    for sealed in Maker::BOTH {
        for synthesized in Maker::BOTH {
            let place = folder(&[sealed, synthesized]);
            copy(&folder(&[sealed]), &place).unwrap();
            synthesize(synthesized, &ours, case, comms, &place).unwrap();
            whole.push(files(&place).unwrap());
            clear(synthesized, &place).unwrap();
            cleared.push(files(&place).unwrap());
        }
    }
    let paths = |files: &filecash_interop::snapshot::Snapshot| files.0.keys().cloned().collect::<Vec<_>>();
    let file = "cache/syn-porep-vanilla-proofs.dat";
    for at in 1..4 {
        for stage in [&whole, &cleared] {
            assert_eq!(difference(&stage[at].0[file], &stage[0].0[file]), None, "{name}: the file of proofs");
            assert_eq!(paths(&stage[at]), paths(&stage[0]), "{name}");
        }
    }
    assert!(
        !cleared[0].0.keys().any(|name| name.contains("layer") || name.contains("tree-c") || name.contains("tree-d"))
    );

    let mut outputs = Vec::new();
    for synthesized in Maker::BOTH {
        for prover in Maker::BOTH {
            outputs.push(commit(prover, &ours, case, comms, &folder(&[Us, synthesized])).unwrap());
        }
    }
    for output in &outputs[1..] {
        assert_eq!(difference(output.json.as_bytes(), outputs[0].json.as_bytes()), None, "{name}: C1 as JSON");
        assert_eq!(difference(&output.bincode, &outputs[0].bincode), None, "{name}: C1 as bincode");
    }
}

#[test]
fn shape_8_0_0() {
    same(&full("2 KiB synthetic", 2 * KIB, 10, Rules::Synthetic));
}

#[test]
fn shape_8_2_0() {
    same(&full("4 KiB synthetic", 4 * KIB, 11, Rules::Synthetic));
}

#[test]
fn shape_8_8_0() {
    same(&full("16 KiB synthetic", 16 * KIB, 13, Rules::Synthetic));
}

#[test]
fn shape_8_8_2() {
    same(&full("32 KiB synthetic", 32 * KIB, 14, Rules::Synthetic));
}

/// C2 by either side on vanilla proofs out of the reference's file, verified by either, and what both then refuse.
#[test]
fn proofs_of_either_side_hold() {
    let world = tempfile::tempdir().unwrap();
    let ours = Ours::new(&world.path().join("parents-ours"));
    let program = PathBuf::from(env!("CARGO_BIN_EXE_filecash-interop-peer"));
    let reference = Reference { program, parents: world.path().join("parents-reference") };
    let case = full("2 KiB synthetic proof", 2 * KIB, 10, Rules::Synthetic);
    let folder = world.path().join("sector");
    let synthesize = || {
        reference.synth(&case, &folder)?;
        clear(Us, &folder)
    };
    let statement = chain(&ours, &reference, &case, &folder, [Them, Us, Them], synthesize).unwrap();
    let params = params::made_by(Us, &ours, &reference).unwrap();
    let sides: [&dyn Side; 2] = [&ours, &reference];
    let other_seed = ("another seed", Statement { seed: case.random("other seed"), ..statement });
    for (prover, maker) in sides.iter().zip(Maker::BOTH) {
        let proof = prover.c2(&case, &folder, &params).unwrap();
        assert_eq!(proof.len(), 192);
        for (verifier, judge) in sides.iter().zip(Maker::BOTH) {
            assert!(verifier.verify(&case, &statement, &proof, &params), "proof of {maker:?}, verified by {judge:?}");
            for (what, other) in statement.others().iter().chain([&other_seed]) {
                let holds = verifier.verify(&case, other, &proof, &params);
                assert!(!holds, "proof of {maker:?}, {judge:?} accepts {what}");
            }
        }
    }
}
