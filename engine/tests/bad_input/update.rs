//! Updates of sectors: inputs that are not what they should be, and updates that are interrupted.

#![allow(clippy::ptr_arg, reason = "all damages are of one type, and some change the length")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use filecash_engine::Error;
use filecash_engine::api::params::setup;
use filecash_engine::api::seal::add_piece;
use filecash_engine::api::update::{
    UpdateProveError, decode_from, decode_range, encode_into, find_encoded, generate_partition_proofs, prove,
    prove_from_files, remove_encoded_data, verify, verify_partition_proofs,
};
use filecash_engine::field::fr32::RawRange;
use filecash_engine::groth16::{ProofError, VerifyError};
use filecash_engine::job::Job;
use filecash_engine::params::{CircuitKind, FileKind, ParamId};
use filecash_engine::sector::Profile;
use filecash_engine::sector::piece::{PieceInfo, UnpaddedLen, zero_commitment};
use filecash_engine::update::{
    Encoded, NoUpdates, PartitionError, PartitionProof, Replica, UpdateCommitments, UpdateConfig, UpdateError,
};

use crate::params::{key, proof};
use crate::resume::{reports, stopped, unharmed};
use crate::support::{Sandbox, State, alike, data, said};

/// A sealed sector of 2 KiB with new data beside it (`new-staged`) and, if it was encoded, `new` and `new-cache`.
struct Updated {
    sandbox: Sandbox,
    config: UpdateConfig,
    pieces: Vec<PieceInfo>,
    encoded: Encoded,
}

/// Where the two replicas of a sandbox are.
struct Paths([PathBuf; 5]);

impl Paths {
    fn old(&self) -> Replica<'_> {
        Replica { path: &self.0[0], cache: &self.0[1] }
    }

    fn updated(&self) -> Replica<'_> {
        Replica { path: &self.0[2], cache: &self.0[3] }
    }

    fn staged(&self) -> &PathBuf {
        &self.0[4]
    }
}

fn paths(sandbox: &Sandbox) -> Paths {
    Paths(["sealed", "cache", "new", "new-cache", "new-staged"].map(|name| sandbox.path(name)))
}

fn staged() -> Updated {
    let sandbox = Sandbox::new(Profile::Filecoin, State::Sealed);
    let mut pieces: Vec<PieceInfo> = Vec::new();
    for size in [508, 508, 1016].map(|size| UnpaddedLen::new(size).unwrap()) {
        let sizes: Vec<_> = pieces.iter().map(|piece| piece.size).collect();
        let bytes: Vec<u8> = data(size).iter().map(|byte| byte ^ (0x40 + pieces.len() as u8)).collect();
        let add = |job: &Job<'_>| {
            add_piece(job, sandbox.config.params, &bytes[..], &sandbox.path("new-staged"), size, &sizes)
        };
        let added = sandbox.run(add).unwrap();
        pieces.push(added.piece);
    }
    let config = UpdateConfig::for_size(Profile::Filecoin, 2048).unwrap();
    let commitments = UpdateCommitments { comm_r_old: [0; 32], comm_r_new: [0; 32], comm_d_new: [0; 32] };
    let encoded = Encoded { commitments, comm_r_last_new: [0; 32] };
    Updated { sandbox, config, pieces, encoded }
}

fn updated() -> Updated {
    let mut updated = staged();
    updated.encoded = updated.sandbox.run(|job| updated.encode(job)).unwrap();
    updated
}

impl Updated {
    fn encode(&self, job: &Job<'_>) -> Result<Encoded, Error> {
        let paths = paths(&self.sandbox);
        encode_into(job, &self.config, paths.updated(), paths.old(), paths.staged(), &self.pieces)
    }

    fn decode(&self, job: &Job<'_>) -> Result<(), Error> {
        let (paths, out) = (paths(&self.sandbox), self.sandbox.path("decoded"));
        decode_from(job, &self.config, &out, paths.updated().path, paths.old(), &self.encoded.commitments.comm_d_new)
    }

    fn decode_range(&self, range: RawRange) -> Result<Vec<u8>, Error> {
        let (paths, mut out) = (paths(&self.sandbox), Vec::new());
        let UpdateCommitments { comm_d_new, comm_r_old, .. } = &self.encoded.commitments;
        let (new, old) = (paths.updated().path, paths.old().path);
        self.sandbox.run(|job| decode_range(job, &self.config, new, old, comm_d_new, comm_r_old, range, &mut out))?;
        Ok(out)
    }

    fn remove(&self, job: &Job<'_>) -> Result<(), Error> {
        let paths = paths(&self.sandbox);
        let [key, key_cache] = ["key", "key-cache"].map(|name| self.sandbox.path(name));
        let key = Replica { path: &key, cache: &key_cache };
        remove_encoded_data(job, &self.config, key, paths.updated(), paths.staged(), &self.encoded.commitments)
    }

    fn open(&self, job: &Job<'_>) -> Result<Vec<PartitionProof>, Error> {
        let paths = paths(&self.sandbox);
        generate_partition_proofs(job, &self.config, &self.encoded.commitments, paths.old(), paths.updated())
    }

    #[track_caller]
    fn refuses<T>(&self, operation: impl FnOnce(&Self, &Job<'_>) -> Result<T, Error>, expected: &[&str]) -> Error {
        self.sandbox.refuses(|sandbox| sandbox.run(|job| operation(self, job)), expected)
    }
}

/// What is done to a file, and what has to be said.
type Damage = (fn(&mut Vec<u8>), &'static [&'static str]);

fn flip(bytes: &mut Vec<u8>) {
    bytes[0] ^= 1;
}

fn flip_last(bytes: &mut Vec<u8>) {
    let last = bytes.len() - 32;
    bytes[last] ^= 1;
}

fn spoil(bytes: &mut Vec<u8>) {
    bytes[64..96].fill(0xff);
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

/// Damages one file after the other before an operation.
fn damaged<T>(
    make: fn() -> Updated,
    operation: fn(&Updated, &Job<'_>) -> Result<T, Error>,
    table: &[(&str, &[Damage])],
) {
    for (file, damages) in table {
        for (damage, expected) in *damages {
            let updated = make();
            updated.sandbox.edit(file, damage);
            updated.refuses(operation, expected);
        }
        let updated = make();
        updated.sandbox.remove(file);
        if file.ends_with("t_aux") {
            // What is in it follows from the sector's size: all is done as if it were there.
            updated.sandbox.run(|job| operation(&updated, job)).unwrap();
            let whole = make();
            whole.sandbox.run(|job| operation(&whole, job)).unwrap();
            whole.sandbox.remove(file);
            alike(&updated.sandbox.files(), &whole.sandbox.files());
        } else {
            updated.refuses(operation, &[file, "No such file"]);
        }
        let updated = make();
        updated.sandbox.folder_instead(file);
        let text = said(&updated.refuses(operation, &[file]));
        assert!(text.contains("directory") || text.contains("not a file"), "{text}");
    }
}

#[test]
fn encoding_names_damaged_files() {
    damaged(
        staged,
        |updated, job| updated.encode(job),
        &[
            (
                "sealed",
                &[
                    (cut, &["sealed is 2047 bytes, expected 2048"]),
                    (cut_node, &["sealed is 2016 bytes, expected 2048"]),
                    (lengthen, &["sealed is 2080 bytes, expected 2048"]),
                    (flip, &["the tree over the sector key", "sealed", "p_aux", "damaged"]),
                    (flip_last, &["the tree over the sector key", "sealed has the root"]),
                    (spoil, &["node 2 of", "sealed", "is not a canonical field element"]),
                ],
            ),
            (
                "new-staged",
                &[
                    (cut, &["new-staged is 2047 bytes, expected 2048"]),
                    (lengthen, &["new-staged is 2080 bytes, expected 2048"]),
                    (flip, &["new-staged holds data of comm_d", "expected"]),
                    (cut_node, &["new-staged holds data of comm_d"]),
                    (spoil, &["node 2 of", "new-staged", "is not a canonical field element"]),
                ],
            ),
            (
                "cache/p_aux",
                &[
                    (cut, &["cache/p_aux", "p_aux has 63 bytes, expected 64"]),
                    // Another comm_r_last: stale, or of another sector.
                    (flip_last, &["the tree over the sector key", "p_aux of its cache folder"]),
                    (|bytes| bytes.fill(0xff), &["cache/p_aux", "is not a canonical field element"]),
                ],
            ),
            (
                "cache/t_aux",
                &[
                    (cut, &["cache/t_aux", "t_aux is malformed"]),
                    (|bytes| bytes[0] = 3, &["cache/t_aux", "t_aux is malformed"]),
                ],
            ),
        ],
    );
}

#[test]
fn zeros_at_the_end_of_the_data_may_be_missing() {
    let [cut, whole] = [1024, 2048].map(|bytes| {
        let mut updated = staged();
        let size = updated.pieces[2].size;
        updated.pieces[2] = PieceInfo { size, commitment: zero_commitment(size.padded()) };
        updated.sandbox.edit("new-staged", |data| {
            data[1024..].fill(0);
            data.truncate(bytes);
        });
        let encoded = updated.sandbox.run(|job| updated.encode(job)).unwrap();
        let mut files = updated.sandbox.files();
        let data = files.remove(Path::new("new-staged")).unwrap().unwrap();
        assert_eq!(data.len(), bytes);
        (encoded, files)
    });
    assert_eq!(cut.0, whole.0);
    alike(&cut.1, &whole.1);
}

#[test]
fn encoding_refuses_pieces_that_are_not_the_data() {
    let mut updated = staged();
    updated.pieces.swap(0, 1);
    let error = updated.refuses(|updated, job| updated.encode(job), &["new-staged holds data of comm_d", "expected"]);
    assert!(matches!(error, Error::Update(UpdateError::Data { .. })));
    updated.pieces.swap(0, 1);
    let last = updated.pieces.pop().unwrap();
    updated.refuses(|updated, job| updated.encode(job), &["holds data of comm_d"]);
    updated.pieces.extend([last, last]);
    updated.refuses(|updated, job| updated.encode(job), &["take 3072 padded bytes, the sector has 2048"]);
    updated.pieces.truncate(3);
    updated.pieces[1].commitment = [0; 32];
    updated.refuses(|updated, job| updated.encode(job), &["piece 1 has an all-zero commitment"]);
    updated.pieces[1].commitment = [0xff; 32];
    updated.refuses(|updated, job| updated.encode(job), &["holds data of comm_d"]);
    // No pieces are a sector of zeros.
    updated.pieces.clear();
    updated.refuses(|updated, job| updated.encode(job), &["holds data of comm_d"]);
}

#[test]
fn outputs_replace_nothing_that_matters() {
    let updated = staged();
    let with = |new: [&str; 2], expected: &[&str]| {
        let (paths, [path, cache]) = (paths(&updated.sandbox), new.map(|name| updated.sandbox.path(name)));
        let new = Replica { path: &path, cache: &cache };
        let encode =
            |job: &Job<'_>| encode_into(job, &updated.config, new, paths.old(), paths.staged(), &updated.pieces);
        updated.sandbox.refuses(|sandbox| sandbox.run(encode), expected)
    };
    let error = with(["sealed", "new-cache"], &["sealed is the sector key and cannot be the new replica too"]);
    assert!(matches!(error, Error::Update(UpdateError::SameFile { .. })));
    with(["cache/../sealed", "new-cache"], &["is the sector key and cannot be the new replica too"]);
    with(["new-staged", "new-cache"], &["new-staged is the data and cannot be the new replica too"]);
    with(["new", "cache"], &["is the cache folder of the sector key and cannot be"]);
    with(["none/new", "new-cache"], &["none/new", "No such file"]);
    with(["new", "new-staged"], &["new-staged", "File exists"]);

    // A finished update stays; one without `p_aux` is done again, whatever else is there.
    let updated = self::updated();
    let finished = updated.sandbox.files();
    let error = updated.refuses(|updated, job| updated.encode(job), &["new-cache holds a finished sector already"]);
    assert!(matches!(error, Error::Update(UpdateError::Finished { .. })));
    updated.sandbox.remove("new-cache/p_aux");
    updated.sandbox.edit("new", |bytes| bytes.truncate(7));
    updated.sandbox.edit("new-cache/sc-02-data-tree-d.dat", |bytes| bytes.clear());
    assert_eq!(updated.sandbox.run(|job| updated.encode(job)).unwrap(), updated.encoded);
    alike(&updated.sandbox.files(), &finished);
}

/// What a repeated command goes by: a finished update is known again, a damaged one is not taken for one.
#[test]
fn finished_updates_are_found_and_damaged_ones_named() {
    let find = |updated: &Updated, pieces: &[PieceInfo]| {
        let paths = paths(&updated.sandbox);
        updated.sandbox.run(|job| find_encoded(job, &updated.config, paths.updated(), paths.old(), pieces))
    };
    let updated = updated();
    assert_eq!(find(&updated, &updated.pieces).unwrap(), Some(updated.encoded));
    let others: Vec<PieceInfo> = updated.pieces.iter().rev().copied().collect();
    assert_eq!(find(&updated, &others[..2]).unwrap(), None);
    updated.sandbox.edit("new", flip_last);
    let error = find(&updated, &updated.pieces).unwrap_err();
    assert!(said(&error).contains("new do not lead to the tree in"), "{}", said(&error));

    let updated = staged();
    assert_eq!(find(&updated, &updated.pieces).unwrap(), None);
}

#[test]
fn decoding_names_damaged_files() {
    damaged(
        updated,
        |updated, job| updated.decode(job),
        &[
            (
                "new",
                &[
                    (cut, &["new is 2047 bytes, expected 2048"]),
                    (lengthen, &["new is 2080 bytes, expected 2048"]),
                    (flip, &["what was decoded has comm_d", "damaged"]),
                    (spoil, &["node 2 of", "new", "is not a canonical field element"]),
                ],
            ),
            (
                "sealed",
                &[
                    (cut, &["sealed is 2047 bytes, expected 2048"]),
                    (flip, &["what was decoded has comm_d", "damaged"]),
                    (spoil, &["node 2 of", "sealed", "is not a canonical field element"]),
                ],
            ),
            ("cache/p_aux", &[(flip, &["what was decoded has comm_d"]), (cut, &["p_aux has 63 bytes"])]),
        ],
    );
}

#[test]
fn decoding_refuses_other_replicas_and_commitments() {
    let mut updated = updated();
    let whole = RawRange { offset: 0, len: 2032 };
    let content = updated.decode_range(whole).unwrap();
    let range = RawRange { offset: 1000, len: 1000 };
    assert_eq!(updated.decode_range(range).unwrap(), content[1000..2000]);
    // Old and new in each other's place.
    let swap = |updated: &Updated| {
        fs::rename(updated.sandbox.path("new"), updated.sandbox.path("other")).unwrap();
        fs::rename(updated.sandbox.path("sealed"), updated.sandbox.path("new")).unwrap();
        fs::rename(updated.sandbox.path("other"), updated.sandbox.path("sealed")).unwrap();
    };
    swap(&updated);
    updated.refuses(|updated, job| updated.decode(job), &["what was decoded has comm_d"]);
    let error = updated.refuses(|updated, _| updated.decode_range(range), &["is no padded data after decoding"]);
    assert!(matches!(error, Error::Update(UpdateError::NotPadded { .. })));
    swap(&updated);
    let good = updated.encoded.commitments;
    let changed = |updated: &mut Updated, change: fn(&mut UpdateCommitments), expected: &[&str]| {
        change(&mut updated.encoded.commitments);
        updated.refuses(|updated, _| updated.decode_range(range), expected);
        updated.encoded.commitments = good;
    };
    let noise: &[&str] = &["is no padded data after decoding", "commitment"];
    changed(&mut updated, |comms| comms.comm_r_old = comms.comm_r_new, noise);
    changed(&mut updated, |comms| comms.comm_d_new[3] ^= 1, noise);
    changed(&mut updated, |comms| comms.comm_d_new = [0; 32], &["comm_d_new is all zero"]);
    changed(&mut updated, |comms| comms.comm_r_old = [0xff; 32], &["comm_r_old is no field element"]);
    updated.encoded.commitments.comm_d_new[3] ^= 1;
    updated.refuses(|updated, job| updated.decode(job), &["what was decoded has comm_d"]);
    updated.encoded.commitments = good;
    for range in [RawRange { offset: 2000, len: 33 }, RawRange { offset: u64::MAX, len: 2 }] {
        updated.refuses(|updated, _| updated.decode_range(range), &["were asked of a sector that holds 2032"]);
    }
    for out in ["new", "sealed"] {
        let (paths, out) = (paths(&updated.sandbox), updated.sandbox.path(out));
        let decode = |job: &Job<'_>| {
            decode_from(job, &updated.config, &out, paths.updated().path, paths.old(), &good.comm_d_new)
        };
        updated.sandbox.refuses(|sandbox| sandbox.run(decode), &["and cannot be the data too"]);
    }
}

#[test]
fn removal_names_damaged_files() {
    damaged(
        updated,
        |updated, job| updated.remove(job),
        &[
            (
                "new",
                &[
                    (cut, &["new is 2047 bytes, expected 2048"]),
                    (flip, &["the replica without its data has comm_r", "damaged"]),
                    (spoil, &["node 2 of", "new", "is not a canonical field element"]),
                ],
            ),
            (
                "new-staged",
                &[
                    (lengthen, &["new-staged is 2080 bytes, expected 2048"]),
                    (flip, &["new-staged holds data of comm_d"]),
                    (spoil, &["node 2 of", "new-staged", "is not a canonical field element"]),
                ],
            ),
            ("new-cache/p_aux", &[(flip, &["comm_r_new on disk is", "expected"]), (cut, &["p_aux has 63 bytes"])]),
            ("new-cache/t_aux", &[(cut, &["new-cache/t_aux", "t_aux is malformed"])]),
        ],
    );
}

#[test]
fn removal_arrives_at_the_old_replica_or_nowhere() {
    let mut updated = updated();
    let good = updated.encoded.commitments;
    let changed = |updated: &mut Updated, change: fn(&mut UpdateCommitments), expected: &[&str]| {
        change(&mut updated.encoded.commitments);
        let error = updated.refuses(|updated, job| updated.remove(job), expected);
        updated.encoded.commitments = good;
        error
    };
    let error = changed(
        &mut updated,
        |comms| comms.comm_r_old[0] ^= 1,
        &["the replica without its data has comm_r", "expected"],
    );
    assert!(matches!(error, Error::Update(UpdateError::Removed { .. })));
    changed(&mut updated, |comms| comms.comm_r_new = comms.comm_r_old, &["comm_r_new on disk is"]);
    changed(&mut updated, |comms| comms.comm_d_new[0] ^= 1, &["holds data of comm_d"]);
    changed(&mut updated, |comms| comms.comm_r_old = [0; 32], &["comm_r_old is all zero"]);

    updated.sandbox.run(|job| updated.remove(job)).unwrap();
    let read = |name: &str| fs::read(updated.sandbox.path(name)).unwrap();
    assert_eq!((read("key"), read("key-cache/p_aux")), (read("sealed"), read("cache/p_aux")));
    updated.refuses(|updated, job| updated.remove(job), &["key-cache holds a finished sector already"]);
}

#[test]
fn openings_name_damaged_and_stale_files() {
    damaged(
        updated,
        |updated, job| updated.open(job),
        &[
            (
                "sealed",
                &[
                    (cut, &["sealed is 2047 bytes, expected 2048"]),
                    (flip, &["nodes 0 to 64 of", "sealed do not lead to the tree in"]),
                ],
            ),
            (
                "new",
                &[
                    (cut_node, &["new is 2016 bytes, expected 2048"]),
                    (flip_last, &["nodes 0 to 64 of", "new do not lead to the tree in", "new-cache"]),
                ],
            ),
            ("cache/p_aux", &[(flip, &["comm_r_old on disk is"]), (flip_last, &["comm_r_old on disk is"])]),
            ("new-cache/p_aux", &[(flip_last, &["comm_r_new on disk is", "expected"])]),
            (
                "cache/sc-02-data-tree-r-last.dat",
                &[(flip, &["comm_r_last of the sector key on disk is"]), (cut, &["31 bytes, expected 32"])],
            ),
            (
                "new-cache/sc-02-data-tree-r-last.dat",
                &[(flip, &["comm_r_last of the new replica on disk is"]), (lengthen, &["no TreeR-last over 64"])],
            ),
            (
                "new-cache/sc-02-data-tree-d.dat",
                &[
                    (cut, &["4063 bytes, expected 4064"]),
                    (flip_last, &["comm_d_new on disk is", "expected"]),
                    // The apex leaves: row 3.
                    (|bytes| bytes[32 * 112] ^= 1, &["a partition proof just made does not hold", "damaged"]),
                ],
            ),
        ],
    );
}

#[test]
fn openings_refuse_stale_commitments_and_swapped_replicas() {
    let mut updated = updated();
    let good = updated.encoded.commitments;
    type Case = (fn(&mut UpdateCommitments), &'static str);
    let table: [Case; 6] = [
        (|comms| comms.comm_r_old = comms.comm_r_new, "comm_r_old on disk is"),
        (|comms| comms.comm_r_new = comms.comm_r_old, "comm_r_new on disk is"),
        (|comms| comms.comm_d_new[0] ^= 1, "comm_d_new on disk is"),
        (|comms| std::mem::swap(&mut comms.comm_r_old, &mut comms.comm_r_new), "comm_r_old on disk is"),
        (|comms| comms.comm_r_new = [0; 32], "comm_r_new is all zero"),
        (|comms| comms.comm_d_new = [0xff; 32], "comm_d_new is no field element"),
    ];
    for (change, expected) in table {
        change(&mut updated.encoded.commitments);
        updated.refuses(|updated, job| updated.open(job), &[expected]);
        updated.encoded.commitments = good;
    }
    // The replicas alone, and with their folders.
    let paths = paths(&updated.sandbox);
    let open = |old: Replica<'_>, new: Replica<'_>, expected: &[&str]| {
        let open = |job: &Job<'_>| generate_partition_proofs(job, &updated.config, &good, old, new);
        updated.sandbox.refuses(|sandbox| sandbox.run(open), expected)
    };
    let (old, new) = (paths.old(), paths.updated());
    open(new, old, &["comm_r_old on disk is"]);
    open(
        Replica { path: new.path, ..old },
        Replica { path: old.path, ..new },
        &["nodes 0 to 64 of", "do not lead to the tree in"],
    );
}

/// An update and its partition proofs.
static PROVEN: LazyLock<(UpdateCommitments, Vec<PartitionProof>)> = LazyLock::new(|| {
    let updated = updated();
    (updated.encoded.commitments, updated.sandbox.run(|job| updated.open(job)).unwrap())
});

fn id() -> ParamId {
    ParamId::new(Profile::Filecoin, CircuitKind::Update, 2048).unwrap()
}

fn file(kind: FileKind) -> String {
    format!("params/{}", id().file_name(kind))
}

#[test]
fn proving_refuses_partition_proofs_that_do_not_hold() {
    let updated = updated();
    let (commitments, proofs) = &*PROVEN;
    let refused = |commitments: &UpdateCommitments, proofs: &[PartitionProof], expected: &[&str]| {
        updated.refuses(|updated, job| prove(job, &updated.config, commitments, proofs), expected)
    };
    let error = refused(commitments, &[], &["the partition proofs do not hold", "0 partition proofs, expected 1"]);
    assert!(matches!(error, Error::UpdateProve(UpdateProveError::Vanilla(PartitionError::Partitions { .. }))));
    assert!(!error.is_rejection());
    refused(commitments, &[proofs.clone(), proofs.clone()].concat(), &["2 partition proofs, expected 1"]);
    let mut damaged = proofs.clone();
    damaged[0].apex_leafs[5][0] ^= 1;
    refused(commitments, &damaged, &["challenge", "of partition 0", "does not go through the apex leaves"]);
    let stale = UpdateCommitments { comm_r_new: commitments.comm_r_old, ..*commitments };
    refused(&stale, proofs, &["the partition proofs do not hold", "comm_r_new is"]);
    refused(&UpdateCommitments { comm_d_new: [0; 32], ..stale }, proofs, &["comm_d_new is all zero"]);
    // In order, but without parameters.
    refused(commitments, proofs, &["no parameters of", &file(FileKind::Params), "is missing"]);
    let paths = paths(&updated.sandbox);
    let prove_files = |job: &Job<'_>| prove_from_files(job, &updated.config, commitments, paths.old(), paths.updated());
    updated.sandbox.refuses(|sandbox| sandbox.run(prove_files), &["no parameters of", "is missing"]);

    let error = updated.refuses(
        |updated, job| verify_partition_proofs(job, &updated.config, commitments, &damaged),
        &["of partition 0"],
    );
    assert!(error.is_rejection());
    let error = updated.refuses(
        |updated, job| verify_partition_proofs(job, &updated.config, &stale, &[]),
        &["0 partition proofs, expected 1"],
    );
    assert!(error.is_rejection());
}

#[test]
fn wrong_proofs_are_rejected_and_impossible_statements_refused() {
    let updated = updated();
    let good = updated.encoded.commitments;
    fs::create_dir_all(updated.sandbox.path("params")).unwrap();
    fs::write(updated.sandbox.path(&file(FileKind::VerifyingKey)), key(4).to_bytes()).unwrap();
    let bytes = proof().to_bytes();
    let refused = |commitments: &UpdateCommitments, bytes: &[u8], expected: &[&str]| {
        updated.refuses(|updated, job| verify(job, &updated.config, commitments, bytes), expected)
    };
    for length in [0, 191, 193, 384] {
        let bytes: Vec<u8> = bytes.iter().copied().cycle().take(length).collect();
        let error = refused(&good, &bytes, &[&format!("proof is {length} bytes, expected 192")]);
        assert!(error.is_rejection() && matches!(error, Error::Proof(ProofError::Length { .. })));
    }
    let error = refused(&good, &bytes, &["does not satisfy the verification equation"]);
    assert!(error.is_rejection() && matches!(error, Error::Verify(VerifyError::Unsatisfied { index: 0 })));
    type Case = (fn(&mut UpdateCommitments), &'static str);
    let table: [Case; 6] = [
        (|comms| comms.comm_r_old = [0; 32], "comm_r_old is all zero"),
        (|comms| comms.comm_r_new = [0; 32], "comm_r_new is all zero"),
        (|comms| comms.comm_d_new = [0; 32], "comm_d_new is all zero"),
        (|comms| comms.comm_r_old = [0xff; 32], "comm_r_old is no field element"),
        (|comms| comms.comm_r_new = [0xff; 32], "comm_r_new is no field element"),
        (|comms| comms.comm_d_new = [0xff; 32], "comm_d_new is no field element"),
    ];
    for (change, expected) in table {
        let mut commitments = good;
        change(&mut commitments);
        assert!(!refused(&commitments, &bytes, &[expected]).is_rejection());
    }
    // Four partitions of a larger sector, and a key of another circuit.
    let larger = UpdateConfig::for_size(Profile::Filecoin, 8 << 20).unwrap();
    let error = updated.refuses(|_, job| verify(job, &larger, &good, &bytes), &["proof is 192 bytes, expected 768"]);
    assert!(error.is_rejection());
    fs::write(updated.sandbox.path(&file(FileKind::VerifyingKey)), key(3).to_bytes()).unwrap();
    let error = refused(&good, &bytes, &["is not of", "it is for 3 public inputs, expected 4"]);
    assert!(!error.is_rejection());
}

#[test]
fn networks_and_sizes_without_updates_are_refused() {
    let sandbox = Sandbox::new(Profile::Filecash, State::Sealed);
    let refused =
        |profile, size, expected: &str| sandbox.refuses(|_| Ok(UpdateConfig::for_size(profile, size)?), &[expected]);
    let error = refused(Profile::Filecash, 2048, "filecash has no sector updates");
    assert!(matches!(error, Error::NoUpdates(NoUpdates::Network(Profile::Filecash))));
    refused(Profile::Filecoin, 1 << 30, "sectors of 1GiB cannot be updated");
    refused(Profile::Filecoin, 3000, "filecoin has no sectors of 3000 bytes");
    let id = ParamId::new(Profile::Filecoin, CircuitKind::Update, 1 << 30).unwrap();
    sandbox.refuses(|sandbox| sandbox.run(|job| setup(job, &id)), &["sectors of 1GiB cannot be updated"]);
    assert!(ParamId::new(Profile::Filecash, CircuitKind::Update, 2048).is_err());
}

/// Runs an operation until it is stopped at report 1, 2, …; each time once more in the same folders, to the end.
/// Every report is a stop, the last one too; `least` is how many a sector of 2 KiB makes of them at least.
fn every_stop<T>(least: u64, make: fn() -> Updated, operation: fn(&Updated, &Job<'_>) -> Result<T, Error>) {
    let undisturbed = make();
    let reports = reports(&undisturbed.sandbox, |job| operation(&undisturbed, job));
    assert!(reports >= least, "{reports}");
    let expected = undisturbed.sandbox.files();
    let mut stops = 0;
    for at in 1.. {
        let updated = make();
        let before = updated.sandbox.files();
        let Err(error) = stopped(&updated.sandbox, at, |_, job| operation(&updated, job)) else { break };
        assert_eq!(said(&error), "cancelled");
        unharmed(&before, &updated.sandbox.files());
        stops += 1;
        updated.sandbox.run(|job| operation(&updated, job)).unwrap();
        alike(&updated.sandbox.files(), &expected);
    }
    assert_eq!(stops, reports);
}

#[test]
fn updates_stopped_anywhere_and_repeated_give_the_same_files() {
    // All nodes of so small a sector are one batch.
    every_stop(1, staged, |updated, job| updated.encode(job));
    every_stop(1, updated, |updated, job| updated.decode(job));
    every_stop(1, updated, |updated, job| updated.remove(job));
    // Ten challenges are opened, and the partition is verified.
    every_stop(11, updated, |updated, job| updated.open(job));
}
