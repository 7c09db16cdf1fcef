//! Chains in a store of blocks.
//!
//! A chain is walked from its head to the genesis, each tipset naming its parents; since blocks are kept by their hashes and heights fall from
//! one to the next, a walk that ends at the right genesis has seen that genesis' chain and nothing else.
//!
//! Source: `spec/chain.md` 4.1, 4.3 and 4.4.

use std::error::Error as StdError;

use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;

use crate::amt;
use crate::block_message::{MAX_MESSAGES, MessageMeta};
use crate::block_messages::{BlockMessages, Executed, compact, execution_order};
use crate::check::Rules;
use crate::check::block::{BlockFault, check_tipset};
use crate::exchange::{MAX_RESPONSE_BYTES, Request, Response, Status, TipsetBundle};
use crate::header::BlockHeader;
use crate::object::Object;
use crate::read::{ReadError, read};
use crate::tipset::{MAX_BLOCKS, Tipset, TipsetError};

/// Why a chain, or a part of one, was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ChainError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the tipset of block {cid}: {source}")]
    Tipset { cid: Box<Cid>, source: TipsetError },
    #[error("no tipset has {0} blocks")]
    Key(usize),
    #[error("block {0} is not named as the chain names its blocks")]
    Name(Box<Cid>),
    #[error("the tipset at height {height}: {source}")]
    Block { height: i64, source: BlockFault },
    #[error("the chain begins at height {height} with block {found}, its genesis is {expected}")]
    Genesis { height: i64, expected: Box<Cid>, found: Box<Cid> },
}

/// The chain of a genesis, in a store.
#[derive(Clone, Debug)]
pub struct ChainStore<S> {
    store: S,
    genesis: Cid,
    rules: Rules,
}

impl<S: BlockStore> ChainStore<S> {
    /// The chain of a genesis, as far as a store has it.
    pub fn new(store: S, genesis: Cid, rules: Rules) -> Self {
        Self { store, genesis, rules }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The tipset of a key.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn tipset(&self, key: &[Cid]) -> Result<Tipset, ChainError> {
        if key.len() > MAX_BLOCKS {
            return Err(ChainError::Key(key.len()));
        }
        let first = key.first().ok_or(ChainError::Key(0))?;
        let headers = key.iter().map(|cid| read(&self.store, cid)).collect::<Result<Vec<BlockHeader>, _>>()?;
        // A store finds the same bytes under other codecs and versions too.
        if let Some((cid, _)) = key.iter().zip(&headers).find(|(cid, header)| header.cid() != **cid) {
            return Err(ChainError::Name(Box::new(*cid)));
        }
        Tipset::in_order(headers).map_err(|source| ChainError::Tipset { cid: Box::new(*first), source })
    }

    /// The tipsets from a head to the genesis. Each but the head is checked to be what the one before builds on.
    pub fn walk(&self, head: &[Cid]) -> Walk<'_, S> {
        Walk { chain: self, next: Some(head.to_vec()), child: None }
    }

    /// The messages of each block of a tipset.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn messages(&self, tipset: &Tipset) -> Result<Vec<BlockMessages>, ChainError> {
        tipset.headers().map(|header| self.block_messages(header)).collect()
    }

    /// The messages of a tipset that are executed, in order.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn executed(&self, tipset: &Tipset) -> Result<Vec<Executed>, ChainError> {
        Ok(execution_order(&self.messages(tipset)?))
    }

    /// The messages of a block.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn block_messages(&self, header: &BlockHeader) -> Result<BlockMessages, ChainError> {
        let meta: MessageMeta = read(&self.store, &header.messages)?;
        Ok(BlockMessages { bls: self.listed(&meta.bls_root)?, secp: self.listed(&meta.secp_root)? })
    }

    fn listed<T: Object>(&self, root: &Cid) -> Result<Vec<T>, ChainError> {
        let cids: Vec<Cid> = amt::values(&self.store, root, MAX_MESSAGES)?;
        let messages = cids.iter().map(|cid| {
            let message: T = read(&self.store, cid)?;
            if message.cid() == *cid { Ok(message) } else { Err(ChainError::Name(Box::new(*cid))) }
        });
        messages.collect()
    }

    /// The answer to a request of another node.
    pub fn answer(&self, request: &Request) -> Response {
        let failed = |status: Status, error: &dyn StdError| Response {
            status: status.code(),
            error_message: error.to_string(),
            chain: Vec::new(),
        };
        if let Err(error) = request.check() {
            return failed(Status::BadRequest, &error);
        }
        // What is around the tipsets takes few bytes.
        let (mut chain, mut room) = (Vec::new(), MAX_RESPONSE_BYTES - 1024);
        for tipset in self.walk(&request.head).take(request.length as usize) {
            let bundle = match tipset.and_then(|tipset| self.bundle(&tipset, request)) {
                Ok(bundle) => bundle,
                Err(error) if chain.is_empty() => return failed(status_of(&error), &error),
                Err(_) => break,
            };
            let Some(less) = room.checked_sub(bundle.encode().len()) else { break };
            room = less;
            chain.push(bundle);
        }
        let status = if chain.len() as u64 == request.length { Status::Ok } else { Status::Partial };
        Response { status: status.code(), error_message: String::new(), chain }
    }

    fn bundle(&self, tipset: &Tipset, request: &Request) -> Result<TipsetBundle, ChainError> {
        let blocks = if request.wants_headers() { tipset.headers().cloned().collect() } else { Vec::new() };
        let messages = match request.wants_messages() {
            true => Some(compact(&self.messages(tipset)?)),
            false => None,
        };
        Ok(TipsetBundle { blocks, messages })
    }
}

fn status_of(error: &ChainError) -> Status {
    match error {
        ChainError::Read(ReadError::Missing(_)) => Status::NotFound,
        _ => Status::InternalError,
    }
}

/// The tipsets from a head to the genesis. It ends there, or with what is wrong.
#[derive(Debug)]
pub struct Walk<'a, S> {
    chain: &'a ChainStore<S>,
    next: Option<Vec<Cid>>,
    child: Option<Tipset>,
}

impl<S: BlockStore> Walk<'_, S> {
    fn step(&mut self, key: &[Cid]) -> Result<Tipset, ChainError> {
        let chain = self.chain;
        let tipset = chain.tipset(key)?;
        let height = tipset.height();
        if let Some(child) = &self.child {
            let fault = |source| ChainError::Block { height: child.height(), source };
            check_tipset(child, &tipset, &chain.rules).map_err(fault)?;
        }
        if height > 0 {
            self.next = Some(tipset.parents().to_vec());
        } else if key != [chain.genesis] {
            let (expected, found) = (Box::new(chain.genesis), Box::new(key[0]));
            return Err(ChainError::Genesis { height, expected, found });
        }
        self.child = Some(tipset.clone());
        Ok(tipset)
    }
}

impl<S: BlockStore> Iterator for Walk<'_, S> {
    type Item = Result<Tipset, ChainError>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.next.take()?;
        Some(self.step(&key))
    }
}

#[cfg(test)]
mod tests {
    use filecash_ipld::store::MemoryStore;

    use super::*;
    use crate::header::tests::header;

    /// A genesis, a block on it at height 2 and one on that which was changed.
    fn walked(change: fn(&mut BlockHeader)) -> Vec<Result<i64, String>> {
        let mut genesis = header(0, 0, vec![]);
        genesis.beacon_entries[0].round = 0;
        let middle = header(1, 2, vec![genesis.cid()]);
        let mut head = header(2, 3, vec![middle.cid()]);
        change(&mut head);
        let store = MemoryStore::default();
        store.put(&[genesis.to_block(), middle.to_block(), head.to_block()]).unwrap();
        let rules = Rules::MAINNET;
        let chain = ChainStore::new(store, genesis.cid(), rules);
        let told = |tipset: Result<Tipset, ChainError>| tipset.map(|tipset| tipset.height()).map_err(|e| e.to_string());
        chain.walk(&[head.cid()]).map(told).collect()
    }

    #[test]
    fn walk_ends_where_a_tipset_does_not_follow_its_parents() {
        assert_eq!(walked(|_| {}), [Ok(3), Ok(2), Ok(0)]);
        let round = "the tipset at height 3: round 104 of the beacon follows round 102".to_owned();
        assert_eq!(walked(|head| head.beacon_entries[0].round = 104), [Ok(3), Err(round)]);
        let time = "the tipset at height 3: a block of second 1000091, its height is that of second 1000090".to_owned();
        assert_eq!(walked(|head| head.timestamp += 1), [Ok(3), Err(time)]);
        let height = "the tipset at height 2: a block of height 2 on parents of height 2".to_owned();
        assert_eq!(walked(|head| head.height = 2), [Ok(2), Err(height)]);
        let first = walked(|head| head.height = 0);
        assert!(matches!(&first[..], [Err(error)] if error.contains("its genesis is")), "{first:?}");
        let below = walked(|head| head.height = -1);
        assert!(matches!(&below[..], [Err(error)] if error.contains("begins at height -1")), "{below:?}");
    }
}
