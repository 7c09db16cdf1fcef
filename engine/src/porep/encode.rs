//! Encoding of data under a key: `replica(v) = data(v) + label_L(v) mod r`, and back.
//!
//! Both operands are canonical, so one conditional subtraction (or addition) of r is enough and no multiplication is
//! needed. Source: `spec/replication.md` 6.4 and 9.1.

use rayon::prelude::*;

use crate::field::fr::{from_node, to_node};
use crate::field::{Node, NonCanonical};

/// r, as 64-bit limbs, the lowest first.
const MODULUS: Limbs = [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];
/// Nodes that one task encodes.
const TASK_NODES: usize = 4096;

/// The first node of a batch that is no field element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{operand} of node {index} of the batch")]
pub struct EncodeError {
    /// Place in the batch.
    pub index: usize,
    /// Which of the two was wrong.
    pub operand: Operand,
    /// The node.
    pub source: NonCanonical,
}

/// One side of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Data to encode, or a replica to decode.
    Value,
    /// The label of the last layer.
    Key,
}

impl std::fmt::Display for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::Key => "key",
        })
    }
}

/// Encodes one node by the definition, to compare with.
///
/// # Errors
/// [`NonCanonical`] when one of the two is no field element.
pub fn encode_node(data: &Node, key: &Node) -> Result<Node, NonCanonical> {
    Ok(to_node(&(from_node(data)? + from_node(key)?)))
}

/// Decodes one node by the definition, to compare with.
///
/// # Errors
/// [`NonCanonical`] when one of the two is no field element.
pub fn decode_node(replica: &Node, key: &Node) -> Result<Node, NonCanonical> {
    Ok(to_node(&(from_node(replica)? - from_node(key)?)))
}

/// Encodes a batch in place: `values[i] += keys[i]`. Both have the same length.
///
/// # Errors
/// [`EncodeError`] for the first operand of r or more; `values` is then partly encoded.
pub fn encode(values: &mut [Node], keys: &[Node]) -> Result<(), EncodeError> {
    batch(values, keys, |_, value, key| sum(value, key))
}

/// Decodes a batch in place: `values[i] -= keys[i]`. Both have the same length.
///
/// # Errors
/// [`EncodeError`] for the first operand of r or more; `values` is then partly decoded.
pub fn decode(values: &mut [Node], keys: &[Node]) -> Result<(), EncodeError> {
    batch(values, keys, |_, value, key| difference(value, key))
}

/// The integer of a node, as 64-bit limbs, the lowest first.
pub(crate) type Limbs = [u64; 4];

/// `values[i] = apply(i, values[i], keys[i])` for canonical operands and results.
///
/// # Errors
/// As [`encode`].
pub(crate) fn batch(
    values: &mut [Node],
    keys: &[Node],
    apply: impl Fn(usize, Limbs, Limbs) -> Limbs + Sync,
) -> Result<(), EncodeError> {
    let tasks = values.par_chunks_mut(TASK_NODES).zip(keys.par_chunks(TASK_NODES)).enumerate();
    let first_wrong = tasks.filter_map(|(task, (values, keys))| {
        for (place, (value, key)) in values.iter_mut().zip(keys).enumerate() {
            let operands = [(Operand::Value, limbs(value)), (Operand::Key, limbs(key))];
            for (operand, limbs) in operands {
                if !subtract(limbs, MODULUS).1 {
                    let source = NonCanonical(if operand == Operand::Value { *value } else { *key });
                    return Some(EncodeError { index: task * TASK_NODES + place, operand, source });
                }
            }
            *value = bytes(apply(task * TASK_NODES + place, operands[0].1, operands[1].1));
        }
        None
    });
    first_wrong.min_by_key(|error| error.index).map_or(Ok(()), Err)
}

fn limbs(node: &Node) -> Limbs {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(node.as_chunks().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    limbs
}

fn bytes(limbs: Limbs) -> Node {
    let mut node = [0; 32];
    for (bytes, limb) in node.as_chunks_mut().0.iter_mut().zip(limbs) {
        *bytes = limb.to_le_bytes();
    }
    node
}

/// The sum modulo r of canonical operands.
pub(crate) fn sum(left: Limbs, right: Limbs) -> Limbs {
    let (sum, _) = add(left, right);
    let (reduced, below) = subtract(sum, MODULUS);
    if below { sum } else { reduced }
}

/// The difference modulo r of canonical operands.
pub(crate) fn difference(left: Limbs, right: Limbs) -> Limbs {
    let (difference, below) = subtract(left, right);
    if below { add(difference, MODULUS).0 } else { difference }
}

/// The sum modulo 2²⁵⁶, and whether it was that or more. Canonical operands stay below: r < 2²⁵⁵.
fn add(left: Limbs, right: Limbs) -> (Limbs, bool) {
    let (mut sum, mut carry) = ([0; 4], false);
    for ((sum, left), right) in sum.iter_mut().zip(left).zip(right) {
        (*sum, carry) = left.carrying_add(right, carry);
    }
    (sum, carry)
}

/// The difference modulo 2²⁵⁶, and whether `left` is below `right`.
fn subtract(left: Limbs, right: Limbs) -> (Limbs, bool) {
    let (mut difference, mut borrow) = ([0; 4], false);
    for ((difference, left), right) in difference.iter_mut().zip(left).zip(right) {
        (*difference, borrow) = left.borrowing_sub(right, borrow);
    }
    (difference, borrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Fr;
    use ff::Field;

    /// Edges and a computed sequence, as many as asked for.
    fn elements(count: usize, step: u64) -> Vec<Node> {
        let edges = [Fr::ZERO, -Fr::ONE, Fr::ONE, -Fr::from(2), Fr::from(u64::MAX), Fr::from(2).pow([254])];
        let sequence = (1..).map(|i: u64| Fr::from(i * step).pow([5]).invert().unwrap());
        edges
            .into_iter()
            .cycle()
            .skip(step as usize)
            .take(12)
            .chain(sequence)
            .take(count)
            .map(|x| to_node(&x))
            .collect()
    }

    #[test]
    fn batch_matches_definition_and_decodes() {
        for count in [0, 1, 31, TASK_NODES + 1] {
            let (data, keys) = (elements(count, 3), elements(count, 1));
            let mut values = data.clone();
            encode(&mut values, &keys).unwrap();
            for ((value, data), key) in values.iter().zip(&data).zip(&keys) {
                assert_eq!(encode_node(data, key), Ok(*value));
                assert_eq!(decode_node(value, key), Ok(*data));
            }
            decode(&mut values, &keys).unwrap();
            assert_eq!(values, data);
        }
    }

    #[test]
    fn first_node_above_the_field_is_named() {
        let keys = vec![[0; 32]; TASK_NODES * 2];
        let mut values = keys.clone();
        values[TASK_NODES + 7] = bytes(MODULUS);
        values[TASK_NODES * 2 - 1] = [0xff; 32];
        let wrong =
            EncodeError { index: TASK_NODES + 7, operand: Operand::Value, source: NonCanonical(bytes(MODULUS)) };
        assert_eq!(encode(&mut values.clone(), &keys), Err(wrong));
        let wrong = EncodeError { operand: Operand::Key, ..wrong };
        assert_eq!(decode(&mut keys.clone(), &values), Err(wrong));
        values[TASK_NODES + 7] = to_node(&-Fr::ONE);
        assert_eq!(encode(&mut values, &keys).unwrap_err().index, TASK_NODES * 2 - 1);
    }
}
