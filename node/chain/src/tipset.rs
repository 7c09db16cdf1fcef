//! Tipsets: the blocks of one epoch that build on the same parents.
//!
//! Their order is that of their tickets' digests, blake2b-256 of the VRF proof; where these are equal, of their CIDs' bytes. The key of a
//! tipset is its blocks' CIDs in this order. Nothing else orders messages and randomness.
//!
//! Source: `spec/chain.md` 2.1, 3.5 and 4.1.

use blake2b_simd::Params;
use filecash_ipld::Cid;

use crate::header::{BlockHeader, Ticket};
use crate::object::Object;

/// The most blocks of one, far more than elections give: five on average.
pub const MAX_BLOCKS: usize = 128;

/// Blocks that go together, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tipset {
    // Never empty.
    blocks: Vec<(Cid, BlockHeader)>,
}

/// Why blocks are no tipset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum TipsetError {
    #[error("a tipset has at least one block")]
    Empty,
    #[error("{0} blocks in a tipset, at most {MAX_BLOCKS} are allowed")]
    TooMany(usize),
    #[error("block {0} has no ticket, and so no place among others")]
    NoTicket(Box<Cid>),
    #[error("blocks of a tipset differ in {0}")]
    Differ(&'static str),
    #[error("two blocks of a tipset are of the same miner")]
    SameMiner,
    #[error("the blocks of a tipset are not in the order of their tickets")]
    Order,
}

/// blake2b-256 of a ticket's proof.
pub fn ticket_digest(ticket: &Ticket) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(Params::new().hash_length(32).hash(&ticket.vrf_proof).as_bytes());
    digest
}

impl Tipset {
    /// The tipset of some blocks, which may come in any order.
    ///
    /// # Errors
    /// [`TipsetError`].
    pub fn new(headers: Vec<BlockHeader>) -> Result<Self, TipsetError> {
        if headers.len() > MAX_BLOCKS {
            return Err(TipsetError::TooMany(headers.len()));
        }
        let first = headers.first().ok_or(TipsetError::Empty)?;
        if let Some(what) = headers.iter().find_map(|other| difference(first, other)) {
            return Err(TipsetError::Differ(what));
        }
        let alone = headers.len() == 1;
        let mut keyed = Vec::with_capacity(headers.len());
        for header in headers {
            let cid = header.cid();
            let digest = match &header.ticket {
                Some(ticket) => ticket_digest(ticket),
                None if alone => [0; 32],
                None => return Err(TipsetError::NoTicket(Box::new(cid))),
            };
            keyed.push((digest, cid, header));
        }
        keyed.sort_by_cached_key(|(digest, cid, _)| (*digest, cid.to_bytes()));
        let mut miners: Vec<_> = keyed.iter().map(|(_, _, header)| header.miner).collect();
        miners.sort_unstable();
        if miners.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(TipsetError::SameMiner);
        }
        Ok(Self { blocks: keyed.into_iter().map(|(_, cid, header)| (cid, header)).collect() })
    }

    /// The tipset of blocks that are said to be in their order.
    ///
    /// # Errors
    /// [`TipsetError`], for another order too.
    pub fn in_order(headers: Vec<BlockHeader>) -> Result<Self, TipsetError> {
        let given: Vec<Cid> = headers.iter().map(Object::cid).collect();
        let tipset = Self::new(headers)?;
        if tipset.key() == given { Ok(tipset) } else { Err(TipsetError::Order) }
    }

    /// Its blocks with their CIDs, in their order.
    pub fn blocks(&self) -> &[(Cid, BlockHeader)] {
        &self.blocks
    }

    /// The headers of its blocks, in their order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = &BlockHeader> {
        self.blocks.iter().map(|(_, header)| header)
    }

    /// What names it: its blocks' CIDs, in their order.
    pub fn key(&self) -> Vec<Cid> {
        self.blocks.iter().map(|(cid, _)| *cid).collect()
    }

    /// Its first block, which has the smallest ticket.
    pub fn first(&self) -> &BlockHeader {
        &self.blocks[0].1
    }

    /// Its epoch.
    pub fn height(&self) -> i64 {
        self.first().height
    }

    /// The key of the tipset that it builds on.
    pub fn parents(&self) -> &[Cid] {
        &self.first().parents
    }
}

/// The first of the fields that all blocks of a tipset share in which two differ.
fn difference(one: &BlockHeader, other: &BlockHeader) -> Option<&'static str> {
    let fields = [
        ("height", one.height == other.height),
        ("parents", one.parents == other.parents),
        ("parent weight", one.parent_weight == other.parent_weight),
        ("parent state root", one.parent_state_root == other.parent_state_root),
        ("parent receipts", one.parent_receipts == other.parent_receipts),
        ("beacon entries", one.beacon_entries == other.beacon_entries),
        ("timestamp", one.timestamp == other.timestamp),
        ("base fee", one.parent_base_fee == other.parent_base_fee),
    ];
    fields.iter().find(|(_, same)| !same).map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::header::tests::header;

    #[test]
    fn blocks_are_in_the_order_of_their_tickets_digests() {
        let headers: Vec<_> = (1..6).map(|miner| header(miner, 3, vec![])).collect();
        let tipset = Tipset::new(headers.clone()).unwrap();
        let digests: Vec<_> = tipset.headers().map(|header| ticket_digest(header.ticket.as_ref().unwrap())).collect();
        assert!(digests.is_sorted());
        let ordered: Vec<_> = tipset.headers().cloned().collect();
        assert_ne!(ordered, headers);
        assert_eq!(Tipset::in_order(headers), Err(TipsetError::Order));
        assert_eq!(Tipset::in_order(ordered.clone()).unwrap(), tipset);
        assert_eq!(Tipset::new(ordered.into_iter().rev().collect()).unwrap().key(), tipset.key());
    }

    #[test]
    fn blocks_with_the_same_ticket_are_in_the_order_of_their_names() {
        let same = |miner| BlockHeader { ticket: header(9, 3, vec![]).ticket, ..header(miner, 3, vec![]) };
        let tipset = Tipset::new((1..9).map(same).collect()).unwrap();
        assert!(tipset.key().iter().map(Cid::to_bytes).is_sorted());
    }

    #[test]
    fn blocks_that_do_not_go_together_are_refused() {
        let (one, other) = (header(1, 3, vec![]), header(2, 3, vec![]));
        let with = |change: fn(&mut BlockHeader)| {
            let mut other = other.clone();
            change(&mut other);
            Tipset::new(vec![one.clone(), other]).unwrap_err()
        };
        for (error, what) in [
            (with(|header| header.height = 4), "height"),
            (with(|header| header.parents = vec![header.messages]), "parents"),
            (with(|header| header.parent_weight = Amount::zero()), "parent weight"),
            (with(|header| header.timestamp = 1), "timestamp"),
            (with(|header| header.beacon_entries.clear()), "beacon entries"),
            (with(|header| header.parent_base_fee = Amount::zero()), "base fee"),
        ] {
            assert_eq!(error, TipsetError::Differ(what));
        }
        assert!(matches!(with(|header| header.ticket = None), TipsetError::NoTicket(_)));
        assert_eq!(with(|header| header.miner = crate::Address::Id(1)), TipsetError::SameMiner);
        assert_eq!(Tipset::new(vec![]), Err(TipsetError::Empty));
        assert_eq!(Tipset::new(vec![one.clone(); 129]), Err(TipsetError::TooMany(129)));
        assert!(Tipset::new(vec![BlockHeader { ticket: None, ..one }]).is_ok());
    }
}
