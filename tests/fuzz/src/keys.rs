//! Keys and proofs of Groth16.

use std::io::Write;

use filecash_engine::groth16::proof::PROOF_BYTES;
use filecash_engine::groth16::{KeyError, ParamsFile, Proof, Section, VerifyingKey};
use group::prime::PrimeCurveAffine;

/// A verifying key: one spelling, and no point outside the subgroup.
pub fn vk(data: &[u8]) -> usize {
    let Ok(key) = VerifyingKey::from_bytes(data) else { return 0 };
    assert_eq!(key.to_bytes(), data);
    let g1 = [key.alpha_g1, key.beta_g1, key.delta_g1];
    assert!(g1.iter().chain(&key.ic).all(|point| point.is_torsion_free().into()));
    assert!([key.beta_g2, key.gamma_g2, key.delta_g2].iter().all(|point| point.is_torsion_free().into()));
    1
}

/// A `.params` file: an accepted one has the bytes that its counts speak of, and the windows cover each section.
pub fn params_header(data: &[u8]) -> usize {
    let mut file = tempfile::NamedTempFile::new().expect("a folder for temporary files");
    file.write_all(data).expect("a small file");
    let Ok(params) = ParamsFile::open(file.path()) else { return 0 };
    assert_eq!(params.byte_len(), data.len() as u64);
    let head = params.verifying_key_bytes().expect("a readable file");
    assert_eq!(head, params.verifying_key().to_bytes());
    assert!(data.starts_with(&head));
    let mut at = head.len();
    for section in Section::PROVING {
        at += 4;
        let mut expected = 0;
        let result = params.windows(section, 3, |first, bytes| {
            assert_eq!(first, expected);
            assert_eq!(bytes, &data[at..at + bytes.len()]);
            at += bytes.len();
            expected += (bytes.len() / section.point_bytes()) as u64;
            Ok::<_, KeyError>(())
        });
        result.expect("a readable file");
        assert_eq!(expected, params.count(section));
    }
    assert_eq!(at, data.len());
    1
}

/// Proofs of as many partitions as there are bytes for: one spelling, and no identity. As many acceptances as proofs.
pub fn proof_bytes(data: &[u8]) -> usize {
    let partitions = data.len() / PROOF_BYTES;
    let read = Proof::many_from_bytes(data, partitions);
    if let Ok(proofs) = &read {
        assert_eq!(proofs.iter().flat_map(Proof::to_bytes).collect::<Vec<_>>(), data);
        for Proof { a, b, c } in proofs {
            assert!(![a.is_identity(), b.is_identity(), c.is_identity()].map(bool::from).contains(&true));
            assert!([a.is_torsion_free(), b.is_torsion_free(), c.is_torsion_free()].map(bool::from) == [true; 3]);
        }
    }
    for wrong in [partitions + 1, usize::MAX] {
        assert!(Proof::many_from_bytes(data, wrong).is_err());
    }
    read.map_or(0, |proofs| proofs.len())
}
