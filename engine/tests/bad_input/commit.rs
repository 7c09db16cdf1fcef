//! Phase 1 of the commit, and what phase 2 takes from it.

#![allow(clippy::ptr_arg, reason = "all damages are of one type, and some change the length")]

use filecash_engine::Error;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::prove::{CommitError, commit_phase2};
use filecash_engine::porep::commit1::Commit1Error;
use filecash_engine::porep::outputs::Commit1Output;
use filecash_engine::sector::Profile;

use crate::support::{IDENTITY, Sandbox, State, config};

fn sealed() -> Sandbox {
    Sandbox::new(Profile::Filecash, State::Sealed)
}

/// What is done to a file, and what has to be said.
type Damage = (fn(&mut Vec<u8>), &'static [&'static str]);

fn flip_first(bytes: &mut Vec<u8>) {
    bytes[0] ^= 1;
}

/// The first letter of the id of the first store: after its number, and the length and text of its path.
fn flip_first_id(bytes: &mut Vec<u8>) {
    let path = bytes[8] as usize;
    bytes[8 + 8 + path + 8] ^= 1;
}

fn flip_all(bytes: &mut Vec<u8>) {
    bytes.iter_mut().step_by(32).for_each(|byte| *byte ^= 1);
}

fn flip_root(bytes: &mut Vec<u8>) {
    let root = bytes.len() - 32;
    bytes[root] ^= 1;
}

fn spoil_root(bytes: &mut Vec<u8>) {
    let root = bytes.len() - 32;
    bytes[root..].fill(0xff);
}

fn spoil_all(bytes: &mut Vec<u8>) {
    bytes.fill(0xff);
}

fn cut(bytes: &mut Vec<u8>) {
    bytes.pop();
}

fn cut_node(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() - 32);
}

fn lengthen(bytes: &mut Vec<u8>) {
    bytes.extend([0; 32]);
}

#[test]
fn phase_1_names_damaged_files() {
    let table: [(&str, &[Damage]); 7] = [
        (
            "cache/p_aux",
            &[
                (cut, &["p_aux has 63 bytes, expected 64"]),
                (lengthen, &["p_aux has 96 bytes, expected 64"]),
                (spoil_all, &["is not a canonical field element"]),
                (flip_first, &["comm_r on disk is", "expected"]),
            ],
        ),
        (
            "cache/t_aux",
            &[
                (cut, &["t_aux is malformed"]),
                (lengthen, &["t_aux is malformed"]),
                (spoil_all, &["t_aux is malformed"]),
                (flip_first_id, &["the store is", "expected \"layer-1\" of 64 nodes"]),
            ],
        ),
        (
            "cache/sc-02-data-tree-d.dat",
            &[
                (cut, &["4063 bytes, expected 4064"]),
                (cut_node, &["4032 bytes, expected 4064"]),
                (lengthen, &["4096 bytes, expected 4064"]),
                (flip_root, &["comm_d on disk is", "expected"]),
                (flip_all, &["comm_d on disk is"]),
            ],
        ),
        (
            "cache/sc-02-data-tree-c.dat",
            &[
                (cut, &["2335 bytes, expected 2336"]),
                (lengthen, &["2368 bytes, expected 2336"]),
                (flip_root, &["comm_c on disk is", "expected"]),
                (spoil_root, &["comm_c on disk is"]),
            ],
        ),
        (
            "cache/sc-02-data-tree-r-last.dat",
            &[
                (cut, &["31 bytes, expected 32"]),
                (cut_node, &["0 bytes", "no TreeR-last over 64 leaves"]),
                (lengthen, &["64 bytes", "no TreeR-last over 64 leaves"]),
                (flip_root, &["comm_r_last on disk is"]),
                (spoil_root, &["comm_r_last on disk is"]),
            ],
        ),
        (
            "sealed",
            &[
                (cut, &["2047 bytes, expected 2048"]),
                (lengthen, &["2080 bytes, expected 2048"]),
                (flip_first, &["nodes 0 to 64 of", "do not lead to the tree in"]),
                (spoil_all, &["is not a canonical field element"]),
            ],
        ),
        (
            "cache/sc-02-data-layer-1.dat",
            &[
                (cut, &["2047 bytes, expected 2048"]),
                (lengthen, &["2080 bytes, expected 2048"]),
                (flip_all, &["a vanilla proof does not hold", "damaged", "labels of node"]),
                (spoil_all, &["a vanilla proof does not hold", "is not a canonical field element"]),
            ],
        ),
    ];
    for (file, damages) in table {
        for (damage, expected) in damages {
            let sandbox = sealed();
            sandbox.edit(file, damage);
            // A value that is compared with an argument has no file of its own.
            let named = expected.iter().any(|text| text.contains("on disk is") || text.contains("vanilla"));
            let name: &[&str] = if named { &[] } else { &[file] };
            sandbox.refuses(Sandbox::c1, &[expected, name].concat());
        }
        let sandbox = sealed();
        sandbox.remove(file);
        if file.ends_with("t_aux") {
            // It says nothing that the lengths of the files do not.
            assert_eq!(sandbox.c1().unwrap(), sandbox.proven);
        } else {
            sandbox.refuses(Sandbox::c1, &[file, "No such file"]);
        }
        let sandbox = sealed();
        sandbox.folder_instead(file);
        let error = sandbox.refuses(Sandbox::c1, &[file]);
        let text = crate::support::said(&error);
        assert!(text.contains("directory") || text.contains("not a file"), "{text}");
    }
}

#[test]
fn regression_altered_inner_nodes_of_tree_c_do_not_go_into_a_proof() {
    let sandbox = sealed();
    sandbox.edit("cache/sc-02-data-tree-c.dat", |bytes| bytes[32 * 64..32 * 72].iter_mut().for_each(|byte| *byte ^= 1));
    sandbox.refuses(Sandbox::c1, &["does not hold", "opening of TreeC"]);
}

#[test]
fn phase_1_refuses_other_arguments() {
    let mut sandbox = sealed();
    for (what, identity) in [
        ("ticket", SectorIdentity { ticket: [2; 32], ..IDENTITY }),
        ("sector", SectorIdentity { sector_id: 43, ..IDENTITY }),
        ("prover", SectorIdentity { prover_id: [8; 32], ..IDENTITY }),
    ] {
        let expected = ["a vanilla proof does not hold", "another prover, sector number, ticket"];
        let error = sandbox.refuses(|sandbox| sandbox.c1_as(&identity), &expected);
        assert!(matches!(error, Error::Commit1(Commit1Error::Invalid(_))), "{what}");
    }
    sandbox.pieces.swap(1, 2);
    sandbox.refuses(Sandbox::c1, &["the pieces' CommD is"]);
    sandbox.pieces.swap(1, 2);
    sandbox.phase2.comm_r[0] ^= 1;
    sandbox.refuses(Sandbox::c1, &["comm_r on disk is", "expected"]);
    sandbox.phase2.comm_r = [0; 32];
    sandbox.refuses(Sandbox::c1, &["comm_r is all zero"]);
    sandbox.phase2.comm_d = [0; 32];
    sandbox.refuses(Sandbox::c1, &["comm_d is all zero"]);
    let mut sandbox = sealed();
    sandbox.config = config(Profile::Filecoin);
    sandbox.refuses(Sandbox::c1, &["a vanilla proof does not hold"]);
}

fn c2(sandbox: &Sandbox, phase1: &Commit1Output) -> Result<Vec<u8>, Error> {
    sandbox.run(|job| commit_phase2(job, &sandbox.config, phase1, &IDENTITY))
}

/// What phase 1 of the commit says, in another sector's place or altered.
#[test]
fn phase_2_refuses_proofs_of_another_sector() {
    let sandbox = sealed();
    let changed = |change: fn(&mut Commit1Output), expected: &[&str]| {
        let mut phase1 = sandbox.proven.clone();
        change(&mut phase1);
        sandbox.refuses(|sandbox| c2(sandbox, &phase1), expected)
    };
    let other = Sandbox::new(Profile::Filecoin, State::Sealed);
    let error = sandbox.refuses(|sandbox| c2(sandbox, &other.proven), &["another sector, ticket or profile"]);
    assert!(matches!(error, Error::Commit2(CommitError::OtherSector { .. })));
    changed(|phase1| phase1.ticket[0] ^= 1, &["another sector, ticket or profile"]);
    changed(|phase1| phase1.replica_id[0] ^= 1, &["the vanilla proofs are of replica"]);
    changed(|phase1| phase1.comm_d[0] ^= 1, &["another sector, ticket or profile"]);
    changed(|phase1| phase1.comm_d = [0; 32], &["comm_d is all zero"]);
    changed(|phase1| phase1.comm_r = [0xff; 32], &["comm_r is no field element", "not a canonical"]);
    changed(|phase1| phase1.comm_r[0] ^= 1, &["comm_r is", "expected"]);
    changed(|phase1| phase1.seed[0] ^= 1, &["challenge 0 of partition 0"]);
    changed(|phase1| phase1.seed = [0; 32], &["the seed is all zero"]);
    changed(|phase1| phase1.vanilla_proofs.clear(), &["0 partitions, expected 1"]);
    changed(|phase1| drop(phase1.vanilla_proofs[0].pop()), &["1 proofs in a partition, expected 2"]);
    changed(|phase1| phase1.vanilla_proofs[0].reverse(), &["challenge 0 of partition 0"]);
    changed(
        |phase1| phase1.vanilla_proofs[0][1].encoding_proof.parents[36] = [0xff; 32],
        &["challenge 1 of partition 0", "is not a canonical field element"],
    );
    changed(
        |phase1| phase1.vanilla_proofs[0][0].replica_column_proofs.drg_parents[2].column.rows[0][3] ^= 1,
        &["challenge 0 of partition 0", "the labels of node"],
    );
    changed(|phase1| phase1.vanilla_proofs[0][0].labeling_proofs.truncate(1), &["1 labelling proofs, expected 2"]);
}

/// Both forms of both networks' files, taken for each other.
#[test]
fn files_of_proofs_in_another_form_are_refused() {
    let sandbox = sealed();
    let other = Sandbox::new(Profile::Filecoin, State::Sealed);
    let json = |sandbox: &Sandbox| {
        let mut bytes = Vec::new();
        sandbox.proven.write_json(sandbox.profile, &mut bytes).unwrap();
        bytes
    };
    let bincode = |sandbox: &Sandbox| {
        let mut bytes = Vec::new();
        sandbox.proven.write_bincode(&mut bytes).unwrap();
        bytes
    };
    let read = |bytes: Vec<u8>, expected: &[&str]| {
        sandbox.refuses(|sandbox| Ok(Commit1Output::from_json(&sandbox.config, &bytes)?), expected)
    };
    read(json(&other), &["this is JSON of filecoin, expected that of filecash"]);
    read(bincode(&sandbox), &["malformed JSON", "line 1"]);
    read(json(&sandbox)[..9000].to_vec(), &["malformed JSON", "EOF"]);
    read(Vec::new(), &["malformed JSON", "EOF"]);
    let read = |bytes: Vec<u8>, expected: &[&str]| {
        sandbox.refuses(|sandbox| Ok(Commit1Output::from_bincode(&sandbox.config, &bytes)?), expected)
    };
    read(json(&sandbox), &["bytes, expected 28248"]);
    read(bincode(&sandbox)[1..].to_vec(), &["28247 bytes, expected 28248"]);
    let mut spoilt = bincode(&sandbox);
    spoilt[16 + 4..16 + 4 + 32].fill(0xff);
    read(spoilt, &["vanilla proof 0 of partition 0", "is not a canonical field element"]);
    // In bincode the networks' files are the same, and phase 2 of the commit tells them apart.
    let foreign = Commit1Output::from_bincode(&sandbox.config, &bincode(&other)).unwrap();
    sandbox.refuses(|sandbox| c2(sandbox, &foreign), &["another sector, ticket or profile"]);
}
