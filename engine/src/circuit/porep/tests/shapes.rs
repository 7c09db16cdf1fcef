//! Counts and digests of whole circuits.

use crate::circuit::cs::DigestRecorder;
use crate::circuit::porep::PoRepShape;
use crate::sector::Profile::{self, Filecash, Filecoin};
use crate::sector::params::for_size;

const KIB: u64 = 1 << 10;

/// Non-zeros and digest: `spec/snark.md` 2.9.
fn check(profile: Profile, size: u64, non_zeros: [u64; 3], digest: &str) {
    let shape = PoRepShape::new(profile, for_size(profile, size).unwrap());
    let mut recorder = DigestRecorder::new();
    shape.synthesize(&mut recorder, None).unwrap();
    let summary = recorder.finish();
    assert_eq!(summary.non_zeros, non_zeros);
    assert_eq!(hex::encode(summary.digest), digest);
}

#[test]
fn filecoin_2kib_matches_the_reference() {
    check(
        Filecoin,
        2 * KIB,
        [6_420_965, 2_689_006, 5_824_682],
        "7c55dfc5dfdf73fbae46dcfd560d0cf1643afe2cf25c2f30dc3eac91ca4a71c4",
    );
}

#[test]
fn filecash_2kib_matches_the_fork() {
    check(
        Filecash,
        2 * KIB,
        [14_119_525, 5_931_306, 13_113_102],
        "be4c5f911d5e2ed846e692958968f9c11b6d8e2b3770ee8fc986836ff6e436e8",
    );
}
