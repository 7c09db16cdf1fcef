//! What a sector is: its sizes and shapes, the registered proofs of each network, identifiers, pieces.

pub mod cid;
mod data_tree;
pub mod geometry;
pub mod id;
pub mod params;
pub mod piece;
pub mod post_type;
pub mod proof_type;

pub use id::{PoRepId, ProverId, ReplicaId, SectorId, Ticket, replica_id};
pub use params::{Profile, SectorParams, TreeShape, UnsupportedSectorSize};
pub use post_type::{PoStConfig, PoStKind, PoStProof, UnknownPoSt};
pub use proof_type::{ApiVersion, Feature, PoRepConfig, SealProof, UnknownFeature, UnknownProof};
