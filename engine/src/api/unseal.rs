//! Unsealing: the raw bytes of a sector, whole or a range.
//!
//! Source: `spec/replication.md` 9.

use std::io::Write;
use std::path::Path;

use tracing::info_span;

use super::SectorIdentity;
use super::verify::CommitmentError;
use crate::error::Error;
use crate::field::Node;
use crate::field::fr32::{RawRange, Unpadder};
use crate::job::Job;
use crate::porep::unseal::{Sealed, UnsealError, unseal};
use crate::sector::PoRepConfig;
use crate::sector::params::NODE_SIZE;

/// A range that is not in the sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes from {offset} on were asked of a sector that holds {capacity}")]
pub struct RangeError {
    /// First raw byte.
    pub offset: u64,
    /// Raw bytes.
    pub len: u64,
    /// Raw bytes of the whole sector.
    pub capacity: u64,
}

/// Where a sealed sector is and where its labels may be made or found.
#[derive(Clone, Copy, Debug)]
pub struct SealedSector<'a> {
    /// The replica.
    pub sealed: &'a Path,
    /// A cache folder that may hold the last layer still; only read.
    pub cache: Option<&'a Path>,
    /// A folder with room for two layers.
    pub scratch: &'a Path,
}

/// Writes raw bytes `[offset, offset + len)` of a sector to `out`; any offset will do.
///
/// `comm_d` and the ticket in `identity` have to be the original ones: with others the bytes would be noise, which
/// nothing here can notice.
///
/// # Errors
/// [`Error`]. `out` may have got a part by then.
#[allow(clippy::too_many_arguments, reason = "the sector, whose it is, and what of it")]
pub fn unseal_range(
    job: &Job<'_>,
    config: &PoRepConfig,
    sector: &SealedSector<'_>,
    identity: &SectorIdentity,
    comm_d: &Node,
    range: RawRange,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let params = config.params;
    let _span = info_span!("unseal", sector = identity.sector_id, size = params.name).entered();
    if *comm_d == [0; 32] {
        return Err(CommitmentError::Zero("comm_d").into());
    }
    let capacity = params.unpadded_bytes();
    let beyond = RangeError { offset: range.offset, len: range.len, capacity };
    let padded = range.padded().filter(|padded| padded.end <= params.size_bytes).ok_or(beyond)?;
    let nodes = padded.start / NODE_SIZE as u64..padded.end / NODE_SIZE as u64;
    let replica_id = identity.replica_id(config, comm_d);
    let sealed = Sealed {
        config,
        replica_id: &replica_id,
        replica: sector.sealed,
        cache: sector.cache,
        scratch: sector.scratch,
    };
    let mut unpadder = Unpadder::range(out, range);
    unseal(job, &sealed, nodes, &mut unpadder)?;
    unpadder.finish().map_err(|source| UnsealError::Output { source })?;
    Ok(())
}
