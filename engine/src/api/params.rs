//! Parameters of the circuits: making test parameters.

use std::path::PathBuf;

use rand_core::OsRng;
use tracing::info_span;

use super::snark::record;
use crate::circuit::{PoRepShape, PoStShape, Shape, UpdateCircuit};
use crate::error::Error;
use crate::groth16::Toxic;
use crate::job::Job;
use crate::params::{CircuitKind, FileKind, ParamId, ParamStore};
use crate::sector::PoStKind;
use crate::update::UpdateConfig;

/// Makes test parameters of a circuit from fresh secrets, which are dropped; returns the `.params` file.
///
/// Whoever runs this could have kept the secrets and forge proofs: such parameters are for tests and development
/// networks.
///
/// # Errors
/// [`Error`] when memory or disk do not suffice.
pub fn setup(job: &Job<'_>, id: &ParamId) -> Result<PathBuf, Error> {
    let _span = info_span!("setup", %id).entered();
    let store = ParamStore::new(&job.config.parameter_cache);
    store.create(job, id, &shape(job, id)?, &Toxic::random(OsRng))?;
    Ok(store.path(id, FileKind::Params))
}

fn shape(job: &Job<'_>, id: &ParamId) -> Result<Shape, Error> {
    match id.circuit() {
        CircuitKind::PoRep => Ok(record(job, &PoRepShape::new(id.profile(), id.params()).blank())?),
        CircuitKind::Winning => Ok(record(job, &PoStShape::new(PoStKind::Winning, id.params()).blank())?),
        CircuitKind::Window => Ok(record(job, &PoStShape::new(PoStKind::Window, id.params()).blank())?),
        CircuitKind::Update => {
            let config = UpdateConfig::for_size(id.profile(), id.params().size_bytes)?;
            Ok(record(job, &UpdateCircuit::blank(config.shape))?)
        }
    }
}
