//! Proofs and their bytes.
//!
//! A proof is `A ‖ B ‖ C`, compressed points of G1, G2, G1: 48 + 96 + 48 = 192 bytes. The proofs of several partitions
//! stand one after the other, with nothing around them. Source: `spec/snark.md` 4.1 and 4.7.

use std::fmt;

use blstrs::{G1Affine, G2Affine};
use group::prime::PrimeCurveAffine;
use rayon::prelude::*;

use crate::backend::cpu::subgroup::Subgroup;

/// Bytes of one proof.
pub const PROOF_BYTES: usize = 192;

/// A Groth16 proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A, in G1.
    pub a: G1Affine,
    /// B, in G2.
    pub b: G2Affine,
    /// C, in G1.
    pub c: G1Affine,
}

/// A point of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of Groth16")]
pub enum Element {
    A,
    B,
    C,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why bytes are not proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ProofError {
    #[error("proof is {actual} bytes, expected {expected}")]
    Length { expected: usize, actual: usize },
    #[error("{element} of partition {partition} is not a compressed point of the group")]
    Point { partition: usize, element: Element },
    #[error("{element} of partition {partition} is the identity")]
    Identity { partition: usize, element: Element },
}

impl Proof {
    /// The 192 bytes.
    pub fn to_bytes(&self) -> [u8; PROOF_BYTES] {
        let mut bytes = [0; PROOF_BYTES];
        bytes[..48].copy_from_slice(&self.a.to_compressed());
        bytes[48..144].copy_from_slice(&self.b.to_compressed());
        bytes[144..].copy_from_slice(&self.c.to_compressed());
        bytes
    }

    /// Reads one proof.
    ///
    /// # Errors
    /// [`ProofError`] unless it is 192 bytes of points in canonical form, in the subgroup and not the identity.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let [proof] = Self::many_from_bytes(bytes, 1)?[..] else {
            return Err(ProofError::Length { expected: PROOF_BYTES, actual: bytes.len() });
        };
        Ok(proof)
    }

    /// Reads the proofs of `partitions` partitions.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], with 192 bytes a partition.
    pub fn many_from_bytes(bytes: &[u8], partitions: usize) -> Result<Vec<Self>, ProofError> {
        let proofs = Self::on_curve(bytes, partitions)?;
        match Self::outside(&proofs).first() {
            Some(&(partition, element)) => Err(ProofError::Point { partition, element }),
            None => Ok(proofs),
        }
    }

    /// The same for many strings of bytes, each of `partitions` partitions; one that is wrong does not concern the others.
    ///
    /// The subgroup is looked at for all points together, which is several times cheaper than one by one.
    pub fn batch_from_bytes(strings: &[&[u8]], partitions: usize) -> Vec<Result<Vec<Self>, ProofError>> {
        let mut batch: Vec<_> = strings.par_iter().map(|bytes| Self::on_curve(bytes, partitions)).collect();
        let proofs: Vec<Self> = batch.iter().flatten().flatten().copied().collect();
        let mut outside = Self::outside(&proofs).into_iter().peekable();
        let mut first = 0;
        for string in &mut batch {
            let Ok(proofs) = string else { continue };
            let end = first + proofs.len();
            let mut found = None;
            while let Some((index, element)) = outside.next_if(|(index, _)| *index < end) {
                found = found.or(Some(ProofError::Point { partition: index - first, element }));
            }
            first = end;
            if let Some(error) = found {
                *string = Err(error);
            }
        }
        batch
    }

    /// Proofs whose points are on their curves; whether they are in the subgroups is not known yet.
    fn on_curve(bytes: &[u8], partitions: usize) -> Result<Vec<Self>, ProofError> {
        let expected = partitions.saturating_mul(PROOF_BYTES);
        if bytes.len() != expected {
            return Err(ProofError::Length { expected, actual: bytes.len() });
        }
        let proofs = bytes.as_chunks::<PROOF_BYTES>().0;
        proofs.iter().enumerate().map(|(partition, bytes)| Self::decode(bytes, partition)).collect()
    }

    /// The elements that are not in their subgroup, in the order of the bytes.
    fn outside(proofs: &[Self]) -> Vec<(usize, Element)> {
        let g1: Vec<G1Affine> = proofs.iter().flat_map(|proof| [proof.a, proof.c]).collect();
        let g2: Vec<G2Affine> = proofs.iter().map(|proof| proof.b).collect();
        let (g1, g2) = (G1Affine::are_members(&g1), G2Affine::are_members(&g2));
        let members = g1.as_chunks::<2>().0.iter().zip(&g2).enumerate();
        let elements = members.flat_map(|(index, ([a, c], b))| {
            [(index, Element::A, *a), (index, Element::B, *b), (index, Element::C, *c)]
        });
        elements.filter(|(.., member)| !member).map(|(index, element, _)| (index, element)).collect()
    }

    fn decode(bytes: &[u8; PROOF_BYTES], partition: usize) -> Result<Self, ProofError> {
        fn g1(bytes: &[u8; 48], partition: usize, element: Element) -> Result<G1Affine, ProofError> {
            checked(G1Affine::from_compressed_unchecked(bytes).into(), partition, element)
        }
        let (a, rest) = bytes.split_first_chunk::<48>().expect("48 of 192 bytes");
        let (b, rest) = rest.split_first_chunk::<96>().expect("96 of 144 bytes");
        let c = rest.first_chunk::<48>().expect("48 of 48 bytes");
        Ok(Self {
            a: g1(a, partition, Element::A)?,
            b: checked(G2Affine::from_compressed_unchecked(b).into(), partition, Element::B)?,
            c: g1(c, partition, Element::C)?,
        })
    }
}

fn checked<P: PrimeCurveAffine>(point: Option<P>, partition: usize, element: Element) -> Result<P, ProofError> {
    let point = point.ok_or(ProofError::Point { partition, element })?;
    if point.is_identity().into() { Err(ProofError::Identity { partition, element }) } else { Ok(point) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use group::Curve;
    use proptest::prelude::*;

    fn proof() -> Proof {
        let g = G1Affine::generator().to_curve();
        Proof { a: g.to_affine(), b: -G2Affine::generator(), c: (g + g).to_affine() }
    }

    #[test]
    fn proofs_come_back() {
        let bytes = proof().to_bytes();
        assert_eq!(Proof::from_bytes(&bytes), Ok(proof()));
        assert_eq!(Proof::many_from_bytes(&[bytes, bytes].concat(), 2), Ok(vec![proof(); 2]));
        assert_eq!(Proof::many_from_bytes(&[], 0), Ok(vec![]));
        assert_eq!(Proof::many_from_bytes(&bytes, 2), Err(ProofError::Length { expected: 384, actual: 192 }));
        assert!(Proof::many_from_bytes(&bytes, usize::MAX).is_err());
    }

    #[test]
    fn bad_points_are_named() {
        for (element, at) in [(Element::A, 0), (Element::B, 48), (Element::C, 144)] {
            let mut bytes = [proof().to_bytes(), proof().to_bytes()].concat();
            bytes[192 + at] &= 0x7f;
            assert_eq!(Proof::many_from_bytes(&bytes, 2), Err(ProofError::Point { partition: 1, element }));
            let len = if element == Element::B { 96 } else { 48 };
            bytes[192 + at..192 + at + len].fill(0);
            bytes[192 + at] = 0xc0;
            assert_eq!(Proof::many_from_bytes(&bytes, 2), Err(ProofError::Identity { partition: 1, element }));
        }
    }

    #[test]
    fn points_outside_the_subgroup_are_refused() {
        // x = 4 is on the curve of G1 and not in the subgroup, whose cofactor is large.
        let outside = (0..=255_u8)
            .map(|x| {
                let mut bytes = [0; 48];
                (bytes[0], bytes[47]) = (0x80, x);
                bytes
            })
            .find(|bytes| {
                let on_curve: Option<G1Affine> = G1Affine::from_compressed_unchecked(bytes).into();
                on_curve.is_some_and(|point| !bool::from(point.is_torsion_free()))
            })
            .unwrap();
        let mut bytes = proof().to_bytes();
        bytes[..48].copy_from_slice(&outside);
        let refused = Err(ProofError::Point { partition: 0, element: Element::A });
        assert_eq!(Proof::from_bytes(&bytes), refused);

        // In a batch as well, and nothing else is refused.
        let good = proof().to_bytes();
        let cut = &good[..191];
        let mut strings = vec![&good[..]; 40];
        (strings[7], strings[8], strings[39]) = (&bytes, cut, &bytes);
        let batch = Proof::batch_from_bytes(&strings, 1);
        for (index, result) in batch.into_iter().enumerate() {
            match index {
                7 | 39 => assert_eq!(result, refused.map(|proof: Proof| vec![proof])),
                8 => assert_eq!(result, Err(ProofError::Length { expected: 192, actual: 191 })),
                _ => assert_eq!(result, Ok(vec![proof()])),
            }
        }
        let pairs = [[good, good].concat(), [good, bytes].concat()];
        let batch = Proof::batch_from_bytes(&[&pairs[0], &pairs[1]], 2);
        assert_eq!(batch[0], Ok(vec![proof(); 2]));
        assert_eq!(batch[1], Err(ProofError::Point { partition: 1, element: Element::A }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), partitions in 0_usize..3) {
            let _ = Proof::many_from_bytes(&bytes, partitions);
        }
    }
}
