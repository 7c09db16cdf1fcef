//! Encoding of new data into a replica, and back.
//!
//! `phi = Hc(comm_d_new, comm_r_old)`, `rho(v) = Hc(phi, high(v))` with `high(v) = ⌊v/2^(d − h)⌋`, and modulo r
//!
//! - encode: `new(v) = old(v) + data(v)·rho(v)`;
//! - decode: `data(v) = (new(v) − old(v))/rho(v)`;
//! - remove: `old(v) = new(v) − data(v)·rho(v)`.
//!
//! There are 2ʰ values of rho, computed beforehand, and so are their inverses for decoding: a node costs one product.
//!
//! Source: `spec/replication.md` 11.2.

use ff::Field;

use super::shape::UpdateShape;
use crate::field::fr::{from_node, scaled};
use crate::field::{Fr, Node, NonCanonical};
use crate::hash::poseidon::hash_random;
use crate::porep::encode::{EncodeError, batch, difference, sum};

/// A factor that is zero: data under it cannot be decoded. Nobody has ever seen one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encoding's factor number {high} is zero")]
pub struct ZeroFactor {
    /// The value of `high` of its nodes.
    pub high: u64,
}

/// The seed of an encoding's factors.
///
/// # Errors
/// [`NonCanonical`] when a commitment is no field element.
pub fn phi(comm_d_new: &Node, comm_r_old: &Node) -> Result<Fr, NonCanonical> {
    Ok(hash_random(&[from_node(comm_d_new)?, from_node(comm_r_old)?]))
}

/// A factor for every node.
#[derive(Clone, Debug)]
pub struct Factors {
    shape: UpdateShape,
    /// By the value of `high`.
    values: Vec<Fr>,
}

impl Factors {
    /// `rho(v)` for every node v.
    pub fn rho(shape: &UpdateShape, phi: Fr) -> Self {
        let values = (0..1_u64 << shape.h()).map(|high| hash_random(&[phi, Fr::from(high)])).collect();
        Self { shape: *shape, values }
    }

    /// `1/rho(v)` for every node v.
    ///
    /// # Errors
    /// [`ZeroFactor`].
    pub fn inverse_rho(shape: &UpdateShape, phi: Fr) -> Result<Self, ZeroFactor> {
        let mut factors = Self::rho(shape, phi);
        for (high, value) in factors.values.iter_mut().enumerate() {
            *value = Option::from(value.invert()).ok_or(ZeroFactor { high: high as u64 })?;
        }
        Ok(factors)
    }

    /// The factor of a node of the sector.
    pub fn at(&self, node: u64) -> &Fr {
        &self.values[self.shape.high(node) as usize]
    }

    /// Encodes nodes from node `first` on, in place: `data` becomes the new replica. These are factors rho.
    ///
    /// # Errors
    /// [`EncodeError`] for the first operand of r or more (`Value` is data, `Key` is the old replica).
    pub fn encode(&self, data: &mut [Node], old: &[Node], first: u64) -> Result<(), EncodeError> {
        batch(data, old, |place, data, old| sum(old, scaled(data, self.at(first + place as u64))))
    }

    /// Decodes nodes from node `first` on, in place: `new` becomes the data. These are factors 1/rho.
    ///
    /// # Errors
    /// [`EncodeError`] for the first operand of r or more (`Value` is the new replica, `Key` the old one).
    pub fn decode(&self, new: &mut [Node], old: &[Node], first: u64) -> Result<(), EncodeError> {
        batch(new, old, |place, new, old| scaled(difference(new, old), self.at(first + place as u64)))
    }

    /// Removes data from nodes from node `first` on, in place: `new` becomes the old replica. These are factors rho.
    ///
    /// # Errors
    /// [`EncodeError`] for the first operand of r or more (`Value` is the new replica, `Key` the data).
    pub fn remove(&self, new: &mut [Node], data: &[Node], first: u64) -> Result<(), EncodeError> {
        batch(new, data, |place, new, data| difference(new, scaled(data, self.at(first + place as u64))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::fr::to_node;
    use crate::porep::encode::Operand;
    use crate::sector::TreeShape;

    fn node(text: &str) -> Node {
        let mut node = [0; 32];
        hex::decode_to_slice(text, &mut node).unwrap();
        node
    }

    fn shape(log2_nodes: usize) -> UpdateShape {
        UpdateShape::new(log2_nodes, TreeShape { base: 8, sub: 0, top: 0 })
    }

    /// spec/replication.md 12.7: 2 KiB ids 5 and 0, 4 KiB, 32 KiB has the shape 8-8-2; 8 MiB.
    #[test]
    fn factors_match_reference() {
        #[rustfmt::skip]
        let table: [(usize, [&str; 3], &[&str]); 3] = [
            (6, ["d4616e8dcf8971b89c01f049c92c727ff74a6152362f85ddf96e8afe24ac4a17",
                 "25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33",
                 "445476a9c0447dc5408e7fbb8e5b81c9b868a1e1c455fd545d727da91152452e"],
                &["d3ad71666c707dcdf4d6928cdc474584e27c26c772224391049ad10a187ea356",
                  "64da3c487ef6e17bbda0291948323f365fbaefb7b6ad91225877f585b010ee43"]),
            (7, ["26281edcdb58601ed98b095cad7f5e101c74fde9def1ccc007acd47d8d1b2828",
                 "c3e94add04daa02f786438a09e6e5abbe6e90ae74795f38f0ead95a94e42ee16",
                 "bfff2e28cba53040bfa4f42522b18567f643d5eba1a23460ac3c88cf74ee2a1b"],
                &["031def1426a78a8f90174d074080b693b3e446ef2c6a4faf733981cb8303951c",
                  "3ff74266c7952cea0c8c6a8c5d8181b0ef15a69d636142df11cfe59f367a7142"]),
            (18, ["e2cb06d4473f6cc3d75f03d3e41a6cb488b6a61440adc6243a0c3e1c05d69b37",
                  "7f47e76f347cb03953781f86168bd6fa5e2cfd352a90230d195e3492bf082e4e",
                  "57be9e13fe405ceecb6a2412901bb89c238ca2b48ec34c5c379a13567f8c071c"],
                &["67eae679a6c99b2b5063b845950c9fa2a130d0060b8f017cba5555077c5fe330",
                  "62c23d9f048327ebf1581417b50fb57d650905c17b95241dde19c8ebc047ec19"]),
        ];
        for (log2_nodes, [comm_d_new, comm_r_old, expected], rhos) in table {
            let phi = phi(&node(comm_d_new), &node(comm_r_old)).unwrap();
            assert_eq!(hex::encode(to_node(&phi)), expected);
            let shape = shape(log2_nodes);
            let (factors, inverse) = (Factors::rho(&shape, phi), Factors::inverse_rho(&shape, phi).unwrap());
            assert_eq!(factors.values.len(), 1 << shape.h());
            for (high, rho) in rhos.iter().enumerate() {
                let first = (high as u64) << (log2_nodes - shape.h());
                assert_eq!(hex::encode(to_node(factors.at(first))), *rho);
                assert_eq!(factors.at(first), factors.at(first + (1 << (log2_nodes - shape.h())) - 1));
                assert_eq!(factors.at(first) * inverse.at(first), Fr::ONE);
            }
        }
        assert!(phi(&[0xff; 32], &[0; 32]).is_err() && phi(&[0; 32], &[0xff; 32]).is_err());
    }

    #[test]
    fn batches_match_the_equations_from_any_node() {
        let shape = shape(6);
        let phi = Fr::from(77);
        let (rho, inverse) = (Factors::rho(&shape, phi), Factors::inverse_rho(&shape, phi).unwrap());
        let nodes = |step: u64| -> Vec<Node> {
            let edges = [Fr::ZERO, -Fr::ONE, Fr::ONE].into_iter().cycle().skip(step as usize).take(9);
            edges
                .chain((1..).map(|i| Fr::from(i * step).pow([5]).invert().unwrap()))
                .take(40)
                .map(|x| to_node(&x))
                .collect()
        };
        let (data, old) = (nodes(1), nodes(3));
        for first in [0, 13, 24] {
            let mut new = data.clone();
            rho.encode(&mut new, &old, first).unwrap();
            for (place, ((new, data), old)) in new.iter().zip(&data).zip(&old).enumerate() {
                let [data, old] = [data, old].map(|node| from_node(node).unwrap());
                let factor = hash_random(&[phi, Fr::from(shape.high(first + place as u64))]);
                assert_eq!(*new, to_node(&(old + data * factor)));
            }
            let mut decoded = new.clone();
            inverse.decode(&mut decoded, &old, first).unwrap();
            assert_eq!(decoded, data);
            rho.remove(&mut new, &data, first).unwrap();
            assert_eq!(new, old);
        }
        let mut wrong = data.clone();
        wrong[7] = [0xff; 32];
        let error = rho.encode(&mut wrong.clone(), &old, 0).unwrap_err();
        assert_eq!((error.index, error.operand), (7, Operand::Value));
        let error = rho.remove(&mut data.clone(), &wrong, 0).unwrap_err();
        assert_eq!((error.index, error.operand), (7, Operand::Key));
    }
}
