//! Receipts: what came of messages.
//!
//! A header names the receipts of its parents' messages, in order of execution, by the root of an AMT.
//!
//! Source: `spec/chain.md` 2.3.

use filecash_ipld::{Block, Cid};

use crate::amt;
use crate::object::{Object, tuple};

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Zero if all went well.
    pub exit_code: i64,
    /// What the method answered.
    pub return_value: Vec<u8>,
    /// How much gas was used.
    pub gas_used: i64,
}
tuple!(Receipt { exit_code, return_value, gas_used });

/// What headers name receipts by, and the blocks of it.
pub fn receipts_root(receipts: &[Receipt]) -> (Cid, Vec<Block>) {
    amt::build(receipts.iter().map(Object::to_ipld))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/chain.md` 2.3.
    #[test]
    fn no_receipts_have_the_known_root() {
        let (root, blocks) = receipts_root(&[]);
        assert_eq!(root.to_string(), "bafy2bzacedswlcz5ddgqnyo3sak3jmhmkxashisnlpq6ujgyhe4mlobzpnhs6");
        assert_eq!(blocks.len(), 1);
    }

    #[test]
    fn receipts_are_read_as_written() {
        let receipt = Receipt { exit_code: 16, return_value: vec![1], gas_used: 500_000 };
        assert_eq!(hex::encode(receipt.encode()), "83104101".to_owned() + "1a0007a120");
        assert_eq!(Receipt::decode(&receipt.encode()).unwrap(), receipt);
    }
}
