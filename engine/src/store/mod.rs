//! Files of a sector: names, auxiliary records, manifests, atomic writing.

pub mod atomic;
pub mod auxiliary;
pub mod files;
pub mod lock;
pub mod manifest;
pub mod mapped;
pub mod positioned;

// No file may be called aux.rs: Windows cannot check it out.
pub use auxiliary as aux;
