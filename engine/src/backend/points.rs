//! Points of a parameter file, and what they are multiplied by.

use crate::field::Fr;

/// A block of points for a sum `Σ ones + Σ scalars[i]·multiples[i]`.
#[derive(Clone, Debug, Default)]
pub struct PointBlock {
    /// Uncompressed points as in a file, one after the other, big-endian: 96 bytes each in G1, 192 in G2.
    pub bytes: Vec<u8>,
    /// Indices of points that are taken once.
    pub ones: Vec<u32>,
    /// Indices of points that have a scalar.
    pub multiples: Vec<u32>,
    /// The scalars of `multiples`, as many.
    pub scalars: Vec<Fr>,
}
