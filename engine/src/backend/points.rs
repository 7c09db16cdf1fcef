//! Sums over the points of a parameter file, which come block by block.
//!
//! Several sums over the same points, with scalars of their own, are made at once: so the file is read once for them all.

use std::sync::Arc;

use crate::field::Fr;

/// Points as a parameter file has them, and what becomes of them in a sum: those without a scalar are not even decoded.
#[derive(Clone, Debug, Default)]
pub struct PointBlock {
    /// Number of the first point, for errors.
    pub first: u64,
    /// Uncompressed points: of 96 bytes in G1, of 192 in G2. The blocks of several sums share them.
    pub bytes: Arc<Vec<u8>>,
    /// Points that are added as they are, by their places in the block.
    pub ones: Vec<u32>,
    /// Points that are multiplied first.
    pub multiples: Vec<u32>,
    /// A scalar for each of `multiples`.
    pub scalars: Vec<Fr>,
}

/// What is known of a sum before its first block comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumPlan {
    /// Points of all blocks.
    pub points: usize,
    /// Bytes of memory for buckets.
    pub memory_bytes: u64,
}

/// The blocks of a sum, in any thread.
pub type PointBlocks<'a> = dyn Iterator<Item = PointBlock> + Send + 'a;

/// The blocks of several sums, in any thread: of the same points one for each sum, in the order of the sums.
pub type SharedBlocks<'a> = dyn Iterator<Item = Vec<PointBlock>> + Send + 'a;

impl PointBlock {
    /// Points that are decoded.
    pub fn chosen(&self) -> usize {
        self.ones.len() + self.multiples.len()
    }

    /// Appends the chosen points of a block, of so many bytes each, and nothing else of it.
    pub fn append_chosen(&mut self, block: &Self, point_bytes: usize) {
        let bytes = Arc::make_mut(&mut self.bytes);
        for (chosen, places) in [(&block.ones, &mut self.ones), (&block.multiples, &mut self.multiples)] {
            for place in chosen {
                places.push((bytes.len() / point_bytes) as u32);
                bytes.extend_from_slice(&block.bytes[*place as usize * point_bytes..][..point_bytes]);
            }
        }
        self.scalars.extend_from_slice(&block.scalars);
    }
}
