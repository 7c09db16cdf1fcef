//! Pieces that cannot be added.

use std::fs;
use std::io::{self, Read};

use filecash_engine::Error;
use filecash_engine::api::seal::add_piece;
use filecash_engine::sector::Profile;
use filecash_engine::sector::piece::{AddedPiece, PieceError, UnpaddedLen};

use crate::support::{Sandbox, State, data};

fn len(bytes: u64) -> UnpaddedLen {
    UnpaddedLen::new(bytes).unwrap()
}

/// A sandbox whose staged file has 1016 bytes of the 2032.
fn half_full() -> Sandbox {
    let sandbox = Sandbox::new(Profile::Filecoin, State::Staged);
    sandbox.edit("staged", |bytes| bytes.truncate(1024));
    sandbox
}

fn add(
    sandbox: &Sandbox,
    staged: &str,
    source: impl Read + Send,
    size: u64,
    existing: &[u64],
) -> Result<AddedPiece, Error> {
    let existing: Vec<_> = existing.iter().copied().map(len).collect();
    sandbox.run(|job| add_piece(job, sandbox.config.params, source, &sandbox.path(staged), len(size), &existing))
}

#[test]
fn source_of_another_length_is_refused() {
    let sandbox = half_full();
    let bytes = data(len(508));
    let error = sandbox.refuses(
        |sandbox| add(sandbox, "staged", &bytes[..507], 508, &[1016]),
        &["ended after 507 bytes of a piece of 508"],
    );
    assert!(matches!(error, Error::Piece(PieceError::SourceEnded { .. })));
    sandbox.refuses(
        |sandbox| add(sandbox, "staged", bytes.chain(&b"x"[..]), 508, &[1016]),
        &["more than the 508 bytes of the piece"],
    );
    sandbox.refuses(|sandbox| add(sandbox, "new", &bytes[..1], 508, &[]), &["ended after 1 bytes"]);
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the line is dead"))
        }
    }
    let source = || bytes[..100].chain(Broken);
    sandbox.refuses(
        |sandbox| add(sandbox, "staged", source(), 508, &[1016]),
        &["source of a piece cannot be read: the line is dead"],
    );
    add(&sandbox, "staged", &bytes[..], 508, &[1016]).unwrap();
}

#[test]
fn piece_that_does_not_fit_is_refused() {
    let sandbox = half_full();
    let bytes = data(len(2032));
    let error = sandbox.refuses(
        |sandbox| add(sandbox, "staged", &bytes[..], 2032, &[1016]),
        &["take 4096 padded bytes, the sector has 2048"],
    );
    assert!(matches!(error, Error::Piece(PieceError::TooLarge { .. })));
    let huge = 127 << 53;
    sandbox.refuses(|sandbox| add(sandbox, "new", io::repeat(0), huge, &[]), &["the sector has 2048"]);
    let full = Sandbox::new(Profile::Filecoin, State::Staged);
    let more = |sandbox: &Sandbox| add(sandbox, "staged", &bytes[..127], 127, &[1016, 508, 508]);
    full.refuses(more, &["take 2176 padded bytes, the sector has 2048"]);
}

#[test]
fn staged_file_of_other_pieces_is_named() {
    let sandbox = half_full();
    let path = sandbox.path("staged").display().to_string();
    let bytes = data(len(508));
    for (existing, expected) in [(&[][..], "0"), (&[508], "512"), (&[508, 508, 127], "1152")] {
        let expected = format!("{path} has 1024 bytes, its pieces take {expected}");
        sandbox.refuses(|sandbox| add(sandbox, "staged", &bytes[..], 508, existing), &[&expected]);
    }
}

#[test]
fn staged_file_that_cannot_be_is_named() {
    let sandbox = half_full();
    let bytes = data(len(127));
    for (staged, reason) in
        [("scratch", "Is a directory"), ("none/staged", "No such file"), ("staged/below", "Not a directory")]
    {
        let path = sandbox.path(staged).display().to_string();
        sandbox.refuses(|sandbox| add(sandbox, staged, &bytes[..], 127, &[]), &[&path, reason]);
    }
}

/// The source is a file too, and nothing happens to it.
#[test]
fn folder_as_a_source_is_refused() {
    let sandbox = half_full();
    let source = fs::File::open(sandbox.path("cache")).unwrap();
    sandbox.refuses(|sandbox| add(sandbox, "staged", source, 508, &[1016]), &["Is a directory"]);
}
