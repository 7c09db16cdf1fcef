//! Field elements and their stored form: the canonical integer in 32 bytes, little-endian.
//!
//! `r = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001`; values of r or more are refused wherever
//! a node is read as a field element. Source: `spec/replication.md` 0.2.

use ff::PrimeField;
use rayon::prelude::*;

/// An element of the scalar field of BLS12-381.
pub type Fr = blstrs::Scalar;

/// 32 bytes of a sector or a tree: data, label, hash, field element.
pub type Node = [u8; 32];

/// A node whose integer is not below the field's modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("node {} is not a canonical field element", hex::encode(.0))]
pub struct NonCanonical(pub Node);

/// Reads a canonical field element.
///
/// # Errors
/// [`NonCanonical`] when the integer is r or more.
pub fn from_node(node: &Node) -> Result<Fr, NonCanonical> {
    Option::from(Fr::from_repr(*node)).ok_or(NonCanonical(*node))
}

/// Whether every node is a canonical field element.
///
/// # Errors
/// [`NonCanonical`] with one that is none.
pub fn check_nodes(nodes: &[Node]) -> Result<(), NonCanonical> {
    /// The highest byte of r.
    const TOP: u8 = 0x73;
    let check = |node: &Node| if node[31] < TOP { Ok(()) } else { from_node(node).map(drop) };
    nodes.par_chunks(1 << 12).try_for_each(|nodes| nodes.iter().try_for_each(check))
}

/// The canonical bytes of a field element.
pub fn to_node(value: &Fr) -> Node {
    value.to_repr()
}

/// `value · factor` of a canonical integer below r and a field element, again as a canonical integer. Limbs are of 64
/// bits, the lowest first.
///
/// The factor is `factor·2²⁵⁶` in Montgomery form, and a Montgomery product divides by 2²⁵⁶: nothing has to be converted.
pub(crate) fn scaled(value: [u64; 4], factor: &Fr) -> [u64; 4] {
    blst::blst_fr::from(Fr::from(blst::blst_fr { l: value }) * factor).l
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::Field;

    #[test]
    fn integers_are_scaled_without_conversion() {
        let values = [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(u64::MAX).square(), Fr::from(7).invert().unwrap()];
        for value in values {
            let node = to_node(&value);
            let limbs = std::array::from_fn(|i| u64::from_le_bytes(node[8 * i..8 * i + 8].try_into().unwrap()));
            for factor in values {
                let product: Vec<u8> = scaled(limbs, &factor).iter().flat_map(|limb| limb.to_le_bytes()).collect();
                assert_eq!(product, to_node(&(value * factor)));
            }
        }
    }

    const MODULUS: &str = "01000000fffffffffe5bfeff02a4bd5305d8a10908d83933487d9d2953a7ed73";

    #[test]
    fn modulus_is_the_first_refused_value() {
        let mut modulus = [0; 32];
        hex::decode_to_slice(MODULUS, &mut modulus).unwrap();
        assert_eq!(from_node(&modulus), Err(NonCanonical(modulus)));
        modulus[0] = 0;
        assert_eq!(from_node(&modulus), Ok(-Fr::ONE));
        assert_eq!(to_node(&-Fr::ONE), modulus);
        assert!(from_node(&[0xff; 32]).is_err());
        let mut nodes = vec![to_node(&-Fr::ONE); 5000];
        assert_eq!(check_nodes(&nodes), Ok(()));
        nodes[4999][0] = 1;
        assert_eq!(check_nodes(&nodes), Err(NonCanonical(nodes[4999])));
    }
}
