//! Blocks that were announced lately, so that those of one epoch come together as a tipset.

use std::collections::BTreeMap;

use filecash_chain::tipset::MAX_BLOCKS;
use filecash_chain::{BlockHeader, Object, Tipset};

/// Epochs that are kept.
const EPOCHS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Announced(BTreeMap<i64, Vec<BlockHeader>>);

impl Announced {
    /// Takes a block, and tells the tipset of all that go with it. Of a miner's blocks of an epoch, the first counts.
    pub(super) fn add(&mut self, header: BlockHeader) -> Option<Tipset> {
        let blocks = self.0.entry(header.height).or_default();
        let is_new = blocks.len() < MAX_BLOCKS && !blocks.iter().any(|block| block.cid() == header.cid());
        let mut together = vec![header.clone()];
        for block in &*blocks {
            // Also says that the miners are two.
            if Tipset::new([&together[..], std::slice::from_ref(block)].concat()).is_ok() {
                together.push(block.clone());
            }
        }
        if is_new {
            blocks.push(header);
        }
        while self.0.len() > EPOCHS {
            self.0.pop_first();
        }
        Tipset::new(together).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::header;

    #[test]
    fn blocks_of_an_epoch_come_together() {
        let mut announced = Announced::default();
        let count = |tipset: Option<Tipset>| tipset.unwrap().blocks().len();
        assert_eq!(count(announced.add(header(1, 5))), 1);
        assert_eq!(count(announced.add(header(2, 5))), 2);
        assert_eq!(count(announced.add(header(2, 5))), 2);
        // Another of the same miner stands for itself with the others.
        let again = BlockHeader { fork_signaling: 1, ..header(2, 5) };
        assert_eq!(count(announced.add(again)), 2);
        let other = BlockHeader { timestamp: 1, ..header(3, 5) };
        assert_eq!(count(announced.add(other)), 1);
        assert_eq!(count(announced.add(header(4, 5))), 3);
        assert_eq!(count(announced.add(header(4, 6))), 1);
        for height in 7..20 {
            assert_eq!(count(announced.add(header(1, height))), 1);
        }
        assert_eq!(announced.0.len(), EPOCHS);
        // What is older than all that are kept is not kept.
        assert_eq!(count(announced.add(header(1, 1))), 1);
        assert_eq!(announced.0.len(), EPOCHS);
    }

    #[test]
    fn blocks_of_an_epoch_are_not_without_end() {
        let mut announced = Announced::default();
        for miner in 0..200 {
            let _ = announced.add(BlockHeader { timestamp: miner, ..header(miner, 5) });
        }
        assert_eq!(announced.0[&5].len(), MAX_BLOCKS);
    }
}
