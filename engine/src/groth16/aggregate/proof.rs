//! An aggregate and its bytes.
//!
//! | Part | Bytes |
//! |---|---|
//! | commitments to A and B, to C | 2 Gt, 2 Gt |
//! | `Π e(A_i, B_i)^(ρⁱ)`, `Σ ρⁱ C_i` | Gt, G1 |
//! | n | 4, little-endian |
//! | of all rounds: tab left, tab right | 4 Gt a round |
//! | of all rounds: tuc left, tuc right | 4 Gt a round |
//! | of all rounds: zab left, right | 2 Gt a round |
//! | of all rounds: zc left, right | 2 G1 a round |
//! | folded A, B, C | G1, G2, G1 |
//! | folded keys v, w | 2 G2, 2 G1 |
//! | openings of v, of w | 2 G2, 2 G1 |
//!
//! Points are compressed, 48 and 96 bytes; Gt takes 288 ([`Gt::compress`]). In all `2260 + 2976·log₂ n`. The length is
//! compared with n before anything is allocated. Every point is checked to lie in its subgroup.
//!
//! Source: `spec/snark.md` 5.4, "Bytes".

use blstrs::{G1Affine, G2Affine};
use rayon::prelude::*;

use super::{AggregateError, padded_len};
use crate::backend::cpu::pairing::{COMPRESSED_GT_BYTES, Gt};

/// Proofs in one aggregate at most: the network's reference string has no more powers.
pub const MAX_PROOFS: usize = 1 << 19;
const G1_BYTES: usize = 48;
const G2_BYTES: usize = 96;
const COUNT_AT: usize = 5 * COMPRESSED_GT_BYTES + G1_BYTES;
const FIXED_BYTES: usize = COUNT_AT + 4 + 6 * G1_BYTES + 5 * G2_BYTES;
const ROUND_BYTES: usize = 10 * COMPRESSED_GT_BYTES + 2 * G1_BYTES;

/// A commitment under both secrets.
pub type Pair = [Gt; 2];

/// What the prover says in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Commitment to the right half of A and the left half of B.
    pub tab_l: Pair,
    /// Commitment to the left half of A and the right half of B.
    pub tab_r: Pair,
    /// Commitment to the right half of C under the left keys.
    pub tuc_l: Pair,
    /// Commitment to the left half of C under the right keys.
    pub tuc_r: Pair,
    /// `Π e(A_r, B_l)`.
    pub zab_l: Gt,
    /// `Π e(A_l, B_r)`.
    pub zab_r: Gt,
    /// `Σ R_l · C_r`.
    pub zc_l: G1Affine,
    /// `Σ R_r · C_l`.
    pub zc_r: G1Affine,
}

/// What is left of proofs and keys after the last round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// A.
    pub a: G1Affine,
    /// B.
    pub b: G2Affine,
    /// C.
    pub c: G1Affine,
    /// The keys of G2, for a and for b.
    pub v: [G2Affine; 2],
    /// The keys of G1, for a and for b.
    pub w: [G1Affine; 2],
}

/// An aggregate of 2ˡ proofs with l rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateProof {
    /// Commitment to A and B.
    pub com_ab: Pair,
    /// Commitment to C.
    pub com_c: Pair,
    /// `Π e(A_i, B_i)^(ρⁱ)`.
    pub ip_ab: Gt,
    /// `Σ ρⁱ C_i`.
    pub agg_c: G1Affine,
    /// The rounds of folding, at least one.
    pub rounds: Vec<Round>,
    /// What they leave.
    pub folded: Folded,
    /// Openings of the keys of G2.
    pub opening_v: [G2Affine; 2],
    /// Openings of the keys of G1.
    pub opening_w: [G1Affine; 2],
}

/// Why bytes are not an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FormatError {
    #[error("aggregate is {actual} bytes, the least is {}", FIXED_BYTES + ROUND_BYTES)]
    Short { actual: usize },
    #[error("aggregate of {proofs} proofs: their number is a power of two from 2 to {MAX_PROOFS}")]
    Count { proofs: u32 },
    #[error("aggregate of {proofs} proofs is {actual} bytes, expected {expected}")]
    Length { proofs: u32, expected: usize, actual: usize },
    #[error("the {what} at byte {at} of the aggregate is not a compressed element of its group")]
    Element { what: &'static str, at: usize },
}

impl AggregateProof {
    /// Proofs that are aggregated, a power of two.
    pub fn proofs(&self) -> usize {
        1 << self.rounds.len()
    }

    /// Checks that it is of so many statements, padded.
    ///
    /// # Errors
    /// [`AggregateError::Statements`].
    pub fn expect_statements(&self, statements: usize) -> Result<(), AggregateError> {
        let (aggregated, padded) = (self.proofs(), padded_len(statements));
        if statements == 0 || aggregated != padded {
            return Err(AggregateError::Statements { aggregated, statements, padded });
        }
        Ok(())
    }

    /// Bytes of an aggregate of `proofs` proofs, a power of two.
    pub fn byte_len(proofs: usize) -> usize {
        FIXED_BYTES + ROUND_BYTES * proofs.max(1).ilog2() as usize
    }

    /// The bytes; `None` when an element of Gt is 1, which has no encoding.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(Self::byte_len(self.proofs()));
        let mut gts: Vec<Gt> = [&self.com_ab[..], &self.com_c, &[self.ip_ab]].concat();
        gts.extend(self.rounds.iter().flat_map(|round| [round.tab_l, round.tab_r].concat()));
        gts.extend(self.rounds.iter().flat_map(|round| [round.tuc_l, round.tuc_r].concat()));
        gts.extend(self.rounds.iter().flat_map(|round| [round.zab_l, round.zab_r]));
        let gts = gts.par_iter().map(Gt::compress).collect::<Option<Vec<_>>>()?;
        let (before, after) = gts.split_at(5);
        bytes.extend_from_slice(before.as_flattened());
        bytes.extend(self.agg_c.to_compressed());
        bytes.extend((self.proofs() as u32).to_le_bytes());
        bytes.extend_from_slice(after.as_flattened());
        for round in &self.rounds {
            bytes.extend([round.zc_l, round.zc_r].map(|point| point.to_compressed()).as_flattened());
        }
        let Folded { a, b, c, v, w } = &self.folded;
        bytes.extend(a.to_compressed());
        bytes.extend(b.to_compressed());
        bytes.extend(c.to_compressed());
        for (g2, g1) in [(v, w), (&self.opening_v, &self.opening_w)] {
            bytes.extend(g2.map(|point| point.to_compressed()).as_flattened());
            bytes.extend(g1.map(|point| point.to_compressed()).as_flattened());
        }
        Some(bytes)
    }

    /// Reads an aggregate. Whether it proves anything is another matter.
    ///
    /// # Errors
    /// [`FormatError`] unless number, length and every element are right.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let actual = bytes.len();
        let short = FormatError::Short { actual };
        let count = bytes.get(COUNT_AT..).and_then(<[u8]>::first_chunk).filter(|_| actual >= FIXED_BYTES + ROUND_BYTES);
        let proofs = u32::from_le_bytes(*count.ok_or(short)?);
        if !(2..=MAX_PROOFS as u32).contains(&proofs) || !proofs.is_power_of_two() {
            return Err(FormatError::Count { proofs });
        }
        let expected = Self::byte_len(proofs as usize);
        if actual != expected {
            return Err(FormatError::Length { proofs, expected, actual });
        }
        let rounds = proofs.ilog2() as usize;
        let mut reader = Reader { bytes, at: 0 };
        // Elements of Gt are by far the slowest to read: all of them at once, in parallel.
        let mut gts = reader.places(5, COMPRESSED_GT_BYTES);
        let agg_c = reader.g1()?;
        reader.at += 4;
        gts.extend(reader.places(10 * rounds, COMPRESSED_GT_BYTES));
        let gts = gts.par_iter().map(|at| gt(bytes, *at)).collect::<Result<Vec<_>, _>>()?;
        let pairs = gts.as_chunks::<2>().0;
        let (of_rounds, zabs) = (&gts[5..], &gts[5 + 8 * rounds..]);
        let quads = of_rounds.as_chunks::<4>().0;
        let rounds = (0..rounds)
            .map(|round| {
                let [tab, tuc] = [quads[round], quads[rounds + round]];
                Ok(Round {
                    tab_l: [tab[0], tab[1]],
                    tab_r: [tab[2], tab[3]],
                    tuc_l: [tuc[0], tuc[1]],
                    tuc_r: [tuc[2], tuc[3]],
                    zab_l: zabs[2 * round],
                    zab_r: zabs[2 * round + 1],
                    zc_l: reader.g1()?,
                    zc_r: reader.g1()?,
                })
            })
            .collect::<Result<_, _>>()?;
        let (a, b, c) = (reader.g1()?, reader.g2()?, reader.g1()?);
        let folded = Folded { a, b, c, v: [reader.g2()?, reader.g2()?], w: [reader.g1()?, reader.g1()?] };
        Ok(Self {
            com_ab: pairs[0],
            com_c: pairs[1],
            ip_ab: gts[4],
            agg_c,
            rounds,
            folded,
            opening_v: [reader.g2()?, reader.g2()?],
            opening_w: [reader.g1()?, reader.g1()?],
        })
    }
}

/// Elements one after the other; that there are enough bytes was checked.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// Where the next `count` elements of `len` bytes begin.
    fn places(&mut self, count: usize, len: usize) -> Vec<usize> {
        let places = (self.at..).step_by(len).take(count).collect();
        self.at += count * len;
        places
    }

    fn g1(&mut self) -> Result<G1Affine, FormatError> {
        let at = self.at;
        self.at += G1_BYTES;
        let bytes = self.bytes[at..].first_chunk();
        let point = bytes.and_then(|bytes| G1Affine::from_compressed(bytes).into());
        point.ok_or(FormatError::Element { what: "point of G1", at })
    }

    fn g2(&mut self) -> Result<G2Affine, FormatError> {
        let at = self.at;
        self.at += G2_BYTES;
        let bytes = self.bytes[at..].first_chunk();
        let point = bytes.and_then(|bytes| G2Affine::from_compressed(bytes).into());
        point.ok_or(FormatError::Element { what: "point of G2", at })
    }
}

fn gt(bytes: &[u8], at: usize) -> Result<Gt, FormatError> {
    let element = bytes[at..].first_chunk().and_then(Gt::decompress);
    element.ok_or(FormatError::Element { what: "element of Gt", at })
}
