//! Files: names of a sector, auxiliary records, manifests, and how they are written, read in place, mapped and locked.

pub mod atomic;
pub mod auxiliary;
pub mod files;
pub mod lock;
pub mod manifest;
pub mod mapped;
pub mod positioned;

// No file may be called aux.rs: Windows cannot check it out.
pub use auxiliary as aux;
