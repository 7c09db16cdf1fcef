//! Parameters of the PoRep circuits: making test parameters, listing, checking.

use std::path::PathBuf;

use rand_core::OsRng;
use tracing::info_span;

use crate::circuit::porep::PoRepShape;
use crate::error::Error;
use crate::groth16::Toxic;
use crate::job::{Job, Unit};
use crate::params::{CircuitKind, FileKind, ParamId, ParamStore};
use crate::sector::{Profile, SectorParams};

/// Makes test parameters of a PoRep circuit from fresh secrets, which are dropped; returns the `.params` file.
///
/// Whoever runs this could have kept the secrets and forge proofs: such parameters are for tests and development
/// networks.
///
/// # Errors
/// [`Error`] when memory or disk do not suffice.
pub fn setup_porep(job: &Job<'_>, profile: Profile, params: &SectorParams) -> Result<PathBuf, Error> {
    let _span = info_span!("setup", size = params.name, %profile).entered();
    let id = ParamId::new(profile, CircuitKind::PoRep, params.size_bytes)?;
    let store = ParamStore::new(&job.config.parameter_cache);
    let shape = {
        let _stage = job.stage("record circuit", Unit::Items, 1);
        PoRepShape::new(profile, params).record()
    };
    store.create(job, &id, &shape, &Toxic::random(OsRng))?;
    Ok(store.path(&id, FileKind::Params))
}
