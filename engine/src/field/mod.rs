//! The scalar field Fr of BLS12-381, its 32-byte form, and the padding that makes data fit into it.

pub mod fr;
pub mod fr32;
pub(crate) mod raw;

pub use fr::{Fr, Node, NonCanonical};
