//! Reference strings: the vector of `spec/snark.md` 7.8, and damage.

use super::*;
use crate::config::Config;
use crate::job::{Cancel, Quiet};
use sha2::{Digest, Sha256};

fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config::default();
    run(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

/// spec/snark.md 7.8.
fn secrets() -> SrsSecrets {
    let secret = |text: &str| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).unwrap();
        Fr::from_repr(bytes).unwrap()
    };
    SrsSecrets {
        a: secret("df070738e70007073f00073807070707c7c13e07fff901383800073800070707"),
        b: secret("decec6f6f81f3fc127c139c107e139fe2070493ece68b007e6a18f0829488f39"),
    }
}

fn made(powers: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SRS_FILE_NAME);
    with_job(|job| setup_srs(job, &secrets(), powers, &path)).unwrap();
    (folder, path)
}

/// spec/snark.md 7.8.
#[test]
fn string_matches_reference() {
    let (folder, path) = made(16);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 4624);
    let digest = hex::encode(Sha256::digest(&bytes));
    assert_eq!(digest, "610811ab97ad90ceb43c0121dbec69087cbe51d67912248f1d12940116ecc9dd");
    let portable = folder.path().join("portable");
    with_job(|job| write::<PortableG1, PortableG2>(job, &secrets(), 16, &portable)).unwrap();
    assert_eq!(std::fs::read(portable).unwrap(), bytes);
}

#[test]
fn points_come_back_across_blocks() {
    let (_folder, path) = made(BLOCK + 3);
    let srs = SrsFile::open(&path).unwrap();
    assert_eq!(Vector::ALL.map(|vector| srs.count(vector)), [BLOCK as u64 + 3; 4]);
    let proofs = BLOCK / 2 + 1;
    let prover = with_job(|job| srs.prover(job, proofs)).unwrap();
    assert_eq!(prover.proofs(), proofs);
    for i in [0, 1, 2, proofs - 1, 2 * proofs - 1] {
        let [a, b] = [secrets().a, secrets().b].map(|secret| secret.pow_vartime([i as u64]));
        assert_eq!(prover.g_a[i], (G1Affine::generator() * a).to_affine());
        assert_eq!(prover.g_b[i], (G1Affine::generator() * b).to_affine());
        if i < proofs {
            assert_eq!(prover.h_a[i], (G2Affine::generator() * a).to_affine());
            assert_eq!(prover.h_b[i], (G2Affine::generator() * b).to_affine());
        }
    }
    assert_eq!(srs.verifier().h_b, prover.h_b[1]);
}

#[test]
fn damage_is_named() {
    let (folder, path) = made(4);
    let good = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8], proofs: usize, expected: &str| {
        let path = folder.path().join("bad.srs");
        std::fs::write(&path, bytes).unwrap();
        let error = match SrsFile::open(&path) {
            Ok(srs) => with_job(|job| srs.prover(job, proofs)).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("bad.srs: ") && error.contains(expected), "{error:?} does not say {expected:?}");
    };
    refused(&[], 2, "0 bytes, too short for the counts of its points");
    refused(&good[..good.len() - 1], 2, "1167 bytes, but its counts of points ask for 1168");
    refused(&good, 3, "4 points g^(aⁱ), too few: 6 are needed");
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        edit(&mut bytes);
        bytes
    };
    // The first vector begins at byte 4, the third at 4 · 3 + 8 · 48.
    refused(&edited(&|bytes| bytes[4 + 3 * 48] &= 0x7f), 2, "point 3 of g^(aⁱ) is not a compressed point");
    refused(&edited(&|bytes| bytes.copy_within(52..100, 4)), 2, "g^(aⁱ) does not begin with the group's generator");
    let h = 12 + 8 * 48;
    refused(&edited(&|bytes| bytes.copy_within(h + 192..h + 288, h + 96)), 2, "are of different secrets");
    let identity = |bytes: &mut Vec<u8>| {
        bytes[h + 96..h + 192].fill(0);
        bytes[h + 96] = 0xc0;
    };
    refused(&edited(&identity), 2, "point 1 of h^(aⁱ) is not a compressed point");
    let missing = SrsFile::open(&folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, SrsError::Missing { .. }));
}

#[test]
fn impossible_strings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    for powers in [0, 1, MAX_POWERS + 1] {
        let made = with_job(|job| setup_srs(job, &secrets(), powers, &path));
        assert!(matches!(made, Err(SrsError::Powers { .. })));
    }
    let zero = SrsSecrets { a: Fr::ZERO, b: Fr::ONE };
    assert!(matches!(with_job(|job| setup_srs(job, &zero, 2, &path)), Err(SrsError::Secrets)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
