//! Parameter files: published names and digests, and where they are kept.

pub mod id;
pub mod manifest;
pub mod store;

pub use id::{CircuitKind, FileKind, ParamId, UnknownCircuit};
pub use manifest::{Published, published};
pub use store::{Damage, ParamError, ParamStore, Verdict};
