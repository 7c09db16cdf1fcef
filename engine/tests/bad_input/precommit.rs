//! Phases 1 and 2 of the pre-commit.

use std::fs;

use filecash_engine::Error;
use filecash_engine::api::seal::SealError;
use filecash_engine::sector::Profile;
use filecash_engine::sector::piece::PieceError;

use crate::support::{Sandbox, State, alike, config};

fn staged() -> Sandbox {
    Sandbox::new(Profile::Filecash, State::Staged)
}

fn precommitted() -> Sandbox {
    Sandbox::new(Profile::Filecash, State::PreCommitted)
}

#[test]
fn phase_1_names_a_wrong_staged_file() {
    let path = staged().path("staged").file_name().unwrap().to_str().unwrap().to_owned();
    let long = staged();
    long.edit("staged", |bytes| bytes.push(0));
    long.refuses(Sandbox::pc1, &[&path, "2049 bytes, more than the sector's 2048"]);
    let cut = staged();
    cut.edit("staged", |bytes| bytes.truncate(2047));
    cut.refuses(Sandbox::pc1, &[&path, "2047 bytes, expected 2048"]);
    let missing = staged();
    missing.remove("staged");
    missing.refuses(Sandbox::pc1, &[&path, "No such file"]);
    let folder = staged();
    folder.folder_instead("staged");
    folder.refuses(Sandbox::pc1, &[&path, "not a file"]);
}

/// Otherwise the phase that encodes would notice, hours later.
#[test]
fn phase_1_refuses_data_that_is_no_field_element() {
    let sandbox = staged();
    sandbox.edit("staged", |bytes| bytes[32 * 7..32 * 8].fill(0xff));
    sandbox.refuses(Sandbox::pc1, &["node 7 of ", "staged", "is not a canonical field element"]);
}

#[test]
fn phase_1_refuses_other_pieces() {
    let mut sandbox = staged();
    let right = sandbox.pieces.clone();
    sandbox.pieces = vec![right[1], right[0], right[2]];
    sandbox.refuses(Sandbox::pc1, &["2560 padded bytes, the sector has 2048"]);
    sandbox.pieces = vec![right[0], right[2], right[1]];
    let error = sandbox.refuses(Sandbox::pc1, &["the pieces' CommD is", "expected"]);
    assert!(matches!(error, Error::Piece(PieceError::CommD { .. })));
    sandbox.pieces = right[..2].to_vec();
    sandbox.refuses(Sandbox::pc1, &["the pieces' CommD is"]);
    sandbox.pieces = right.clone();
    sandbox.pieces[1].commitment[0] ^= 1;
    sandbox.refuses(Sandbox::pc1, &["the pieces' CommD is"]);
    sandbox.pieces[1].commitment = [0; 32];
    sandbox.refuses(Sandbox::pc1, &["piece 1 has an all-zero commitment"]);
    sandbox.pieces = vec![];
    sandbox.refuses(Sandbox::pc1, &["the pieces' CommD is"]);
    sandbox.pieces = [right.clone(), right].concat();
    sandbox.refuses(Sandbox::pc1, &["the sector has 2048"]);
}

#[test]
fn phase_1_names_folders_that_cannot_be() {
    let cache = staged();
    fs::remove_dir(cache.path("cache")).unwrap();
    fs::write(cache.path("cache"), b"a file").unwrap();
    cache.refuses(Sandbox::pc1, &["cache", "exists"]);
    let below = staged();
    let cache = below.path("staged/cache");
    let result = |sandbox: &Sandbox| {
        let [staged, sealed] = ["staged", "sealed"].map(|name| sandbox.path(name));
        let identity = &crate::support::IDENTITY;
        sandbox.run(|job| {
            filecash_engine::api::seal::pre_commit_phase1(
                job,
                &sandbox.config,
                &cache,
                &staged,
                &sealed,
                identity,
                &sandbox.pieces,
            )
        })
    };
    below.refuses(result, &["staged/cache", "Not a directory"]);
}

#[test]
fn phase_1_does_not_touch_a_sealed_sector() {
    let sandbox = Sandbox::new(Profile::Filecoin, State::Sealed);
    let error = sandbox.refuses(Sandbox::pc1, &["already sealed", "seal another one in an empty folder"]);
    assert!(matches!(error, Error::Seal(SealError::AlreadySealed { .. })));
}

/// Damage, and what has to be said of it.
type Case<'a> = (&'a dyn Fn(&Sandbox), String);

#[test]
fn phase_2_names_missing_and_cut_files() {
    for (name, length) in [("layer-1", 2048), ("layer-2", 2048), ("tree-d", 4064)] {
        let file = format!("cache/sc-02-data-{name}.dat");
        let cases: [Case<'_>; 5] = [
            (
                &|sandbox| {
                    sandbox.remove(&file);
                },
                "is missing".to_owned(),
            ),
            (
                &|sandbox| {
                    sandbox.folder_instead(&file);
                },
                "is not a file".to_owned(),
            ),
            (
                &|sandbox| {
                    sandbox.edit(&file, |bytes| bytes.truncate(0));
                },
                format!("0 bytes, expected {length}"),
            ),
            (
                &|sandbox| {
                    sandbox.edit(&file, |bytes| {
                        bytes.pop();
                    });
                },
                format!("{} bytes, expected {length}", length - 1),
            ),
            (
                &|sandbox| {
                    sandbox.edit(&file, |bytes| bytes.extend([0; 32]));
                },
                format!("{} bytes, expected {length}", length + 32),
            ),
        ];
        for (damage, expected) in cases {
            let sandbox = precommitted();
            damage(&sandbox);
            sandbox.refuses(Sandbox::pc2, &[&file, &expected]);
        }
    }
}

/// An altered layer became a replica that proves well and unseals to other data.
#[test]
fn regression_phase_2_refuses_an_altered_layer() {
    for layer in [1, 2] {
        let sandbox = precommitted();
        let file = format!("cache/sc-02-data-layer-{layer}.dat");
        sandbox.edit(&file, |bytes| bytes[1000] ^= 4);
        let expected = "is not the layer that phase 1 noted in filecash-manifest.json";
        let error = sandbox.refuses(Sandbox::pc2, &[&file, expected]);
        assert!(matches!(error, Error::Seal(SealError::Layer { .. })));
    }
}

/// What phase 2 has finished before it reads the data.
const FINISHED: [&str; 2] = ["cache/sc-02-data-tree-c.dat", "cache/filecash-manifest.json"];

#[test]
fn phase_2_refuses_nodes_that_are_no_field_elements() {
    for name in ["layer-1", "layer-2", "tree-d"] {
        let sandbox = precommitted();
        let file = format!("cache/sc-02-data-{name}.dat");
        sandbox.remove("cache/filecash-manifest.json");
        sandbox.edit(&file, |bytes| bytes[32 * 9..32 * 10].fill(0xff));
        let expected = ["node 9 of ", &file, "is not a canonical field element"];
        let kept: &[&str] = if name == "tree-d" { &FINISHED } else { &[] };
        sandbox.refuses_but(Sandbox::pc2, &expected, kept);
    }
}

#[test]
fn phase_2_refuses_an_altered_tree_d() {
    let leaf = precommitted();
    leaf.edit("cache/sc-02-data-tree-d.dat", |bytes| bytes[5] ^= 1);
    leaf.refuses_but(Sandbox::pc2, &["leaves 0 to 63 of ", "tree-d.dat hash to", "the node above them is"], &FINISHED);
    let root = precommitted();
    root.edit("cache/sc-02-data-tree-d.dat", |bytes| bytes[4032] ^= 1);
    root.refuses(Sandbox::pc2, &["phase 1 found comm_d", "the tree in", "has"]);
}

#[test]
fn phase_2_refuses_another_sector() {
    let mut sandbox = precommitted();
    sandbox.phase1.comm_d[0] ^= 1;
    sandbox.refuses(Sandbox::pc2, &["phase 1 found comm_d", "cache", "has"]);
    let mut sandbox = precommitted();
    sandbox.config = config(Profile::Filecoin);
    let expected = ["cache were made for filecash, 2048 bytes", "not for filecoin, 2048 bytes"];
    let error = sandbox.refuses(Sandbox::pc2, &expected);
    assert!(matches!(error, Error::Seal(SealError::OtherSector { .. })));
}

#[test]
fn phase_2_names_outputs_that_cannot_be() {
    let sandbox = precommitted();
    sandbox.folder_instead("sealed");
    let error = sandbox.pc2().unwrap_err();
    let text = crate::support::said(&error);
    assert!(text.contains("sealed") && text.contains("directory"), "{text}");
    // The replica, which is finished, waits for its name.
    let names: Vec<_> = sandbox.files().into_keys().map(|name| name.to_string_lossy().into_owned()).collect();
    let waiting: Vec<_> = names.iter().filter(|name| name.contains("tmp")).collect();
    assert!(matches!(&waiting[..], [name] if name.starts_with("sealed.")), "{names:?}");
    // What is in the way goes, and the phase can be repeated.
    fs::remove_dir(sandbox.path("sealed")).unwrap();
    assert_eq!(sandbox.pc2().unwrap(), sandbox.phase2);
    alike(&sandbox.files(), sandbox.undisturbed(State::Sealed));

    let sandbox = precommitted();
    fs::remove_dir_all(sandbox.path("cache")).unwrap();
    sandbox.refuses(Sandbox::pc2, &["cache/sc-02-data-layer-1.dat is missing"]);
    fs::write(sandbox.path("cache"), b"a file").unwrap();
    sandbox.refuses(Sandbox::pc2, &["cache/sc-02-data-layer-1.dat", "Not a directory"]);
}
