//! The published files of a network, as files that are wanted.

use filecash_engine::api::aggregate;
use filecash_engine::circuit::{PoRepShape, PoStShape};
use filecash_engine::groth16::{Counts, SRS_FILE_NAME, VerifyingKey};
use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore, published};
use filecash_engine::sector::{PoStKind, Profile};

use super::Wanted;

/// A parameter file; `None` when the network published none.
///
/// Its length follows from the circuit, but for that of updates, which is not counted without making it.
pub fn parameters(store: &ParamStore, id: &ParamId, file: FileKind) -> Option<Wanted> {
    let row = published(id)?;
    let counts = match id.circuit() {
        CircuitKind::PoRep => Some(Counts::porep(&PoRepShape::new(id.profile(), id.params()))),
        CircuitKind::Winning => Some(Counts::post(&PoStShape::new(PoStKind::Winning, id.params()))),
        CircuitKind::Window => Some(Counts::post(&PoStShape::new(PoStKind::Window, id.params()))),
        CircuitKind::Update => None,
    };
    let bytes = counts.map(|counts| match file {
        FileKind::Params => counts.parameter_bytes(),
        _ => VerifyingKey::byte_len(counts.inputs),
    });
    let mut wanted = Wanted { path: store.path(id, file), digest: [0; 16], cid: row.cid(file)?.to_owned(), bytes };
    hex::decode_to_slice(row.digest(file)?, &mut wanted.digest).ok()?;
    Some(wanted)
}

/// The reference string for aggregation; `None` for a network without one.
pub fn reference_string(store: &ParamStore, profile: Profile) -> Option<Wanted> {
    if profile != Profile::Filecoin {
        return None;
    }
    let path = store.folder(profile).join(SRS_FILE_NAME);
    let (cid, bytes) = (aggregate::PUBLISHED_CID.to_owned(), Some(aggregate::published_bytes()));
    let mut wanted = Wanted { path, digest: [0; 16], cid, bytes };
    hex::decode_to_slice(aggregate::PUBLISHED_DIGEST, &mut wanted.digest).ok()?;
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec/snark.md 2.8 and 4.8.
    #[test]
    fn files_are_wanted_with_their_lengths() {
        let store = ParamStore::new("cache".as_ref());
        let mut count = 0;
        for profile in Profile::ALL {
            for id in ParamId::all(profile) {
                for file in [FileKind::Params, FileKind::VerifyingKey] {
                    let wanted = parameters(&store, &id, file);
                    assert_eq!(wanted.is_some(), published(&id).is_some(), "{id}");
                    let Some(wanted) = wanted else { continue };
                    assert!(wanted.path.starts_with(store.folder(profile)) && wanted.cid.starts_with("Qm"));
                    assert_eq!(wanted.bytes.is_none(), id.circuit() == CircuitKind::Update, "{id}");
                    count += 1;
                }
            }
        }
        assert_eq!(count, 2 * 29);
        let small = ParamId::new(Profile::Filecoin, CircuitKind::PoRep, 2 << 10).unwrap();
        assert_eq!(parameters(&store, &small, FileKind::Params).unwrap().bytes, Some(1_114_707_768));
        let srs = reference_string(&store, Profile::Filecoin).unwrap();
        assert_eq!((srs.bytes, srs.digest[0]), (Some(301_990_192), 0xae));
        assert_eq!(reference_string(&store, Profile::Filecash).map(|srs| srs.path), None);
    }
}
