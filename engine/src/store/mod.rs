//! Files of a sector: names, auxiliary records, manifests, atomic writing.

pub mod lock;
pub mod manifest;
pub mod mapped;
