//! Shapes and witnesses of whole update circuits, as `spec/snark.md` 2.7 to 2.9 and 7.5 have them.

mod model;
mod shapes;
mod witnesses;
