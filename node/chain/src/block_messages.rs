//! The messages of blocks: those of one, those of a tipset each once, and the order in which they are executed.
//!
//! `CompactedMessages` = (BLS messages, for each block the numbers of its own among them, signed messages, the same of these). A message that
//! is in several blocks is sent once and kept once.
//!
//! Source: `spec/network.md` 5.2; `spec/chain.md` 2.2 and 4.4.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use filecash_ipld::{Block, Cid, Ipld};

use crate::address::Address;
use crate::block_message::{MAX_MESSAGES, message_root};
use crate::message::{Message, SignedMessage};
use crate::object::{Object, ObjectError, tuple};
use crate::tipset::Tipset;

/// The messages of a block, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockMessages {
    /// Those whose signatures are in the header.
    pub bls: Vec<Arc<Message>>,
    /// Those that carry their own.
    pub secp: Vec<Arc<SignedMessage>>,
}

/// A message as a block has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum ChainMessage {
    Bls(Arc<Message>),
    Secp(Arc<SignedMessage>),
}

/// The messages of a tipset, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactedMessages {
    /// BLS messages.
    pub bls: Vec<Arc<Message>>,
    /// For each block, which of them it has.
    pub bls_includes: Vec<Vec<u64>>,
    /// Signed messages.
    pub secp: Vec<Arc<SignedMessage>>,
    /// For each block, which of them it has.
    pub secp_includes: Vec<Vec<u64>>,
}
tuple!(CompactedMessages { bls, bls_includes, secp, secp_includes });

/// Why messages are not those of a tipset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CompactedError {
    #[error("messages of {found} blocks came for a tipset of {expected}")]
    Blocks { expected: usize, found: usize },
    #[error("a block has message {0}, which did not come")]
    Number(u64),
    #[error("a block has message {0} twice")]
    Twice(u64),
    #[error("a block has {0} messages, at most {MAX_MESSAGES} are allowed")]
    TooMany(usize),
    #[error("the messages are not those that block {0} names")]
    Root(Box<Cid>),
}

impl<T: Object> Object for Arc<T> {
    fn to_ipld(&self) -> Ipld {
        T::to_ipld(self)
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        T::from_ipld(value).map(Self::new)
    }
}

impl BlockMessages {
    /// How many.
    pub fn count(&self) -> usize {
        self.bls.len() + self.secp.len()
    }

    /// What a header names them by.
    pub fn root(&self) -> Cid {
        message_root(&cids(&self.bls), &cids(&self.secp)).0
    }

    /// Them and the lists by which a header names them.
    pub fn to_blocks(&self) -> Vec<Block> {
        let (_, mut blocks) = message_root(&cids(&self.bls), &cids(&self.secp));
        blocks.extend(self.bls.iter().map(Object::to_block));
        blocks.extend(self.secp.iter().map(Object::to_block));
        blocks
    }

    /// All of them, in the order of execution.
    pub fn iter(&self) -> impl Iterator<Item = ChainMessage> {
        let bls = self.bls.iter().cloned().map(ChainMessage::Bls);
        bls.chain(self.secp.iter().cloned().map(ChainMessage::Secp))
    }
}

impl ChainMessage {
    /// The message without signature.
    pub fn message(&self) -> &Message {
        match self {
            Self::Bls(message) => message,
            Self::Secp(signed) => &signed.message,
        }
    }

    /// What block lists have of it.
    pub fn cid(&self) -> Cid {
        match self {
            Self::Bls(message) => message.cid(),
            Self::Secp(signed) => signed.cid(),
        }
    }
}

fn cids<T: Object>(messages: &[Arc<T>]) -> Vec<Cid> {
    messages.iter().map(Object::cid).collect()
}

/// A message with the place of the block that it is executed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The block, in the order of the tipset.
    pub block: usize,
    /// The message.
    pub message: ChainMessage,
}

/// Which messages of a tipset's blocks are executed, in order.
///
/// The first message of a sender is right by the block's validity, and after it only those whose nonce is the next are taken: this leaves
/// out what another block of the tipset had already, and also other messages that use a nonce again.
///
/// Senders are told apart by their addresses as they stand.
pub fn execution_order(blocks: &[BlockMessages]) -> Vec<Executed> {
    let mut next: HashMap<Address, Option<u64>> = HashMap::new();
    let mut executed = Vec::new();
    for (block, messages) in blocks.iter().enumerate() {
        for message in messages.iter() {
            let (from, nonce) = (message.message().from, message.message().nonce);
            let expected = next.entry(from).or_insert(Some(nonce));
            if *expected == Some(nonce) {
                *expected = nonce.checked_add(1);
                executed.push(Executed { block, message });
            }
        }
    }
    executed
}

/// Each message once, and which of them each block has.
pub fn compact(blocks: &[BlockMessages]) -> CompactedMessages {
    let (bls, bls_includes) = once(blocks.iter().map(|block| &block.bls[..]));
    let (secp, secp_includes) = once(blocks.iter().map(|block| &block.secp[..]));
    CompactedMessages { bls, bls_includes, secp, secp_includes }
}

fn once<'a, T: Object + 'a>(blocks: impl Iterator<Item = &'a [Arc<T>]>) -> (Vec<Arc<T>>, Vec<Vec<u64>>) {
    let (mut messages, mut numbers) = (Vec::new(), HashMap::new());
    let mut number = |message: &Arc<T>| {
        *numbers.entry(message.cid()).or_insert_with(|| {
            messages.push(Arc::clone(message));
            messages.len() as u64 - 1
        })
    };
    let includes = blocks.map(|block| block.iter().map(&mut number).collect()).collect();
    (messages, includes)
}

impl CompactedMessages {
    /// The messages of each block of a tipset, whose headers name them.
    ///
    /// # Errors
    /// [`CompactedError`].
    pub fn expand(&self, tipset: &Tipset) -> Result<Vec<BlockMessages>, CompactedError> {
        let expected = tipset.blocks().len();
        for found in [self.bls_includes.len(), self.secp_includes.len()] {
            if found != expected {
                return Err(CompactedError::Blocks { expected, found });
            }
        }
        // Each is hashed once, however many blocks have it.
        let (bls_cids, secp_cids) = (cids(&self.bls), cids(&self.secp));
        let mut blocks = Vec::with_capacity(expected);
        let includes = self.bls_includes.iter().zip(&self.secp_includes);
        for ((cid, header), (bls, secp)) in tipset.blocks().iter().zip(includes) {
            let count = bls.len() + secp.len();
            if count > MAX_MESSAGES {
                return Err(CompactedError::TooMany(count));
            }
            let root = message_root(&pick(&bls_cids, bls)?, &pick(&secp_cids, secp)?).0;
            if root != header.messages {
                return Err(CompactedError::Root(Box::new(*cid)));
            }
            blocks.push(BlockMessages { bls: pick(&self.bls, bls)?, secp: pick(&self.secp, secp)? });
        }
        Ok(blocks)
    }
}

fn pick<T: Clone>(items: &[T], numbers: &[u64]) -> Result<Vec<T>, CompactedError> {
    let mut seen = HashSet::new();
    let pick = |number: &u64| {
        let item = usize::try_from(*number).ok().and_then(|place| items.get(place));
        let item = item.ok_or(CompactedError::Number(*number))?;
        if seen.insert(*number) { Ok(item.clone()) } else { Err(CompactedError::Twice(*number)) }
    };
    numbers.iter().map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::header::BlockHeader;
    use crate::header::tests::header;

    fn message(nonce: u64) -> Arc<Message> {
        Arc::new(Message {
            version: 0,
            to: Address::Id(1),
            from: Address::Id(2),
            nonce,
            value: Amount::zero(),
            gas_limit: 1,
            gas_fee_cap: Amount::zero(),
            gas_premium: Amount::zero(),
            method: 0,
            params: vec![1, 2],
        })
    }

    fn tipset(blocks: &[BlockMessages]) -> Tipset {
        let mut ordered =
            Tipset::new((0..blocks.len() as u64).map(|miner| header(miner, 3, vec![])).collect()).unwrap();
        let headers = ordered
            .headers()
            .cloned()
            .zip(blocks)
            .map(|(header, messages)| BlockHeader { messages: messages.root(), ..header });
        ordered = Tipset::in_order(headers.collect()).unwrap();
        ordered
    }

    #[test]
    fn messages_are_expanded_as_they_were_compacted() {
        let of =
            |nonces: &[u64]| BlockMessages { bls: nonces.iter().map(|nonce| message(*nonce)).collect(), secp: vec![] };
        let blocks = [of(&[3, 4]), of(&[4, 5, 6]), of(&[])];
        let compacted = compact(&blocks);
        assert_eq!((compacted.bls.len(), &compacted.bls_includes), (4, &vec![vec![0, 1], vec![1, 2, 3], vec![]]));
        let compacted = CompactedMessages::decode(&compacted.encode()).unwrap();
        let tipset = tipset(&blocks);
        assert_eq!(compacted.expand(&tipset).unwrap(), blocks);
        let executed = execution_order(&blocks);
        let order: Vec<_> =
            executed.iter().map(|executed| (executed.block, executed.message.message().nonce)).collect();
        assert_eq!(order, [(0, 3), (0, 4), (1, 5), (1, 6)]);
        let with = |change: fn(&mut CompactedMessages)| {
            let mut compacted = compacted.clone();
            change(&mut compacted);
            compacted.expand(&tipset).unwrap_err()
        };
        let missing = with(|compacted| drop(compacted.bls_includes.pop()));
        assert_eq!(missing, CompactedError::Blocks { expected: 3, found: 2 });
        let more = with(|compacted| compacted.secp_includes.push(vec![]));
        assert_eq!(more, CompactedError::Blocks { expected: 3, found: 4 });
        assert_eq!(with(|compacted| compacted.bls_includes[0][1] = 4), CompactedError::Number(4));
        assert_eq!(with(|compacted| compacted.bls_includes[0][1] = u64::MAX), CompactedError::Number(u64::MAX));
        assert_eq!(with(|compacted| compacted.bls_includes[0][1] = 0), CompactedError::Twice(0));
        assert_eq!(with(|compacted| compacted.bls_includes[0] = vec![0; 10_001]), CompactedError::TooMany(10_001));
        assert!(matches!(with(|compacted| compacted.bls_includes[1].swap(0, 1)), CompactedError::Root(_)));
        assert!(matches!(with(|compacted| compacted.bls.swap(0, 1)), CompactedError::Root(_)));
    }

    #[test]
    fn last_nonce_of_a_sender_has_no_next() {
        let block = BlockMessages { bls: vec![message(u64::MAX), message(0)], secp: vec![] };
        assert_eq!(execution_order(&[block]).len(), 1);
    }
}
