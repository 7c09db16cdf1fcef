//! Aggregates, reference strings, lists of seals.

use std::io::Write;

use filecash_engine::api::seal_list::SealList;
use filecash_engine::config::Config;
use filecash_engine::groth16::srs::Vector;
use filecash_engine::groth16::{AggregateProof, SrsFile};
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::sector::Profile;

/// An aggregate: one spelling, and the length that its number of proofs asks for.
pub fn aggregate(data: &[u8]) -> usize {
    let Ok(proof) = AggregateProof::from_bytes(data) else { return 0 };
    assert_eq!(data.len(), AggregateProof::byte_len(proof.proofs()));
    assert_eq!(proof.to_bytes().as_deref(), Some(data));
    1
}

/// A reference string: what is accepted has the bytes that its counts speak of, and every point can be asked for. A second
/// acceptance is that of its points.
pub fn srs(data: &[u8]) -> usize {
    let mut file = tempfile::NamedTempFile::new().expect("a folder for temporary files");
    file.write_all(data).expect("a small file");
    let Ok(srs) = SrsFile::open(file.path()) else { return 0 };
    let [ga, gb, ha, hb] = Vector::ALL.map(|vector| srs.count(vector) as usize);
    assert_eq!(data.len(), 16 + 48 * (ga + gb) + 96 * (ha + hb));
    let config = Config::default();
    let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
    let enough = (ga.min(gb) / 2).min(ha).min(hb);
    let prover = srs.prover(&job, enough);
    if let Ok(prover) = &prover {
        assert_eq!(prover.proofs(), enough);
    }
    assert!(srs.prover(&job, enough + 1).is_err());
    1 + usize::from(prover.is_ok())
}

/// A list of seals: what was accepted is written and read again unchanged.
pub fn seal_list_json(data: &[u8]) -> usize {
    let mut accepted = 0;
    for profile in Profile::ALL {
        if let Ok(list) = SealList::from_json(profile, data) {
            assert_eq!(SealList::from_json(profile, &list.to_json()).expect("read back"), list);
            assert_eq!(list.proven().len(), list.statements().len());
            accepted += 1;
        }
    }
    accepted
}
