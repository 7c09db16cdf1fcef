//! Shapes and witnesses of whole PoRep circuits, as `spec/snark.md` 2.7 to 2.9, 7.3 and 7.4 have them.

pub(crate) mod model;
mod shapes;
mod witnesses;
