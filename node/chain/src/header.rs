//! The header of a block.
//!
//! A block is one miner's: what it executed before (`parent_*`), what it won its turn with, and the messages that it adds. The block's name
//! is the CID of the header with its signature; the signature is over the header with null in its place.
//!
//! Source: `spec/chain.md` 2.1.

use filecash_ipld::Cid;

use crate::address::Address;
use crate::amount::Amount;
use crate::object::{Object, tuple};
use crate::signature::Signature;

/// A draw of the miner's, from which the order of blocks and later randomness come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// A BLS signature, of which anybody can tell that there is only one.
    pub vrf_proof: Vec<u8>,
}
tuple!(Ticket { vrf_proof });

/// That it was the miner's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionProof {
    /// How many times it won.
    pub win_count: i64,
    /// As [`Ticket::vrf_proof`].
    pub vrf_proof: Vec<u8>,
}
tuple!(ElectionProof { win_count, vrf_proof });

/// A round of the network's beacon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeaconEntry {
    /// Its number.
    pub round: u64,
    /// Its signature.
    pub data: Vec<u8>,
}
tuple!(BeaconEntry { round, data });

/// A proof of space-time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoStProof {
    /// The registered number, which means what the network says.
    pub proof_type: i64,
    /// The proof.
    pub proof: Vec<u8>,
}
tuple!(PoStProof { proof_type, proof });

/// The header of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Whose block it is, by number.
    pub miner: Address,
    /// Its draw; all blocks have one.
    pub ticket: Option<Ticket>,
    /// Why it was its turn; all blocks have one.
    pub election_proof: Option<ElectionProof>,
    /// The rounds since those of the parents.
    pub beacon_entries: Vec<BeaconEntry>,
    /// That the miner holds what it says.
    pub winning_post: Vec<PoStProof>,
    /// The tipset that it builds on, in its order.
    pub parents: Vec<Cid>,
    /// That of the parents' chain, the parents included.
    pub parent_weight: Amount,
    /// Its epoch.
    pub height: i64,
    /// The state after the parents' messages.
    pub parent_state_root: Cid,
    /// The receipts of the parents' messages.
    pub parent_receipts: Cid,
    /// Its messages, a [`crate::block_message::MessageMeta`].
    pub messages: Cid,
    /// The sum of the signatures of its BLS messages.
    pub bls_aggregate: Option<Signature>,
    /// Seconds of Unix.
    pub timestamp: u64,
    /// The miner's worker's.
    pub signature: Option<Signature>,
    /// Zero so far.
    pub fork_signaling: u64,
    /// What a unit of gas costs in this epoch.
    pub parent_base_fee: Amount,
}
tuple!(BlockHeader {
    miner,
    ticket,
    election_proof,
    beacon_entries,
    winning_post,
    parents,
    parent_weight,
    height,
    parent_state_root,
    parent_receipts,
    messages,
    bls_aggregate,
    timestamp,
    signature,
    fork_signaling,
    parent_base_fee,
});

impl BlockHeader {
    /// What its signature is over.
    pub fn signing_bytes(&self) -> Vec<u8> {
        Self { signature: None, ..self.clone() }.encode()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::block_message::message_root;

    /// A block of a miner without messages, in the form of a good one.
    pub(crate) fn header(miner: u64, height: i64, parents: Vec<Cid>) -> BlockHeader {
        let (messages, _) = message_root(&[], &[]);
        let mut infinity = [0; 96];
        infinity[0] = 0xc0;
        BlockHeader {
            miner: Address::Id(miner),
            ticket: Some(Ticket { vrf_proof: vec![miner as u8; 96] }),
            election_proof: Some(ElectionProof { win_count: 1, vrf_proof: vec![7; 96] }),
            beacon_entries: vec![BeaconEntry { round: 100 + height as u64, data: vec![9] }],
            winning_post: vec![PoStProof { proof_type: 11, proof: vec![1, 2] }],
            parents,
            parent_weight: Amount::from(5),
            height,
            parent_state_root: messages,
            parent_receipts: messages,
            messages,
            bls_aggregate: Some(Signature::Bls(infinity)),
            timestamp: 1_000_000 + 30 * height as u64,
            signature: Some(Signature::Bls([3; 96])),
            fork_signaling: 0,
            parent_base_fee: Amount::from(100),
        }
    }

    #[test]
    fn header_is_read_as_written_and_signed_without_its_signature() {
        let header = header(1, 2, vec![]);
        assert_eq!(BlockHeader::decode(&header.encode()).unwrap(), header);
        let unsigned = BlockHeader { signature: None, ..header.clone() };
        assert_eq!(unsigned.encode(), header.signing_bytes());
        assert_eq!(BlockHeader::decode(&header.signing_bytes()).unwrap(), unsigned);
        let none = BlockHeader { ticket: None, election_proof: None, bls_aggregate: None, ..unsigned };
        assert_eq!(BlockHeader::decode(&none.encode()).unwrap(), none);
    }
}
