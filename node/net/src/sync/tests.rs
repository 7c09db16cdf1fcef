use filecash_chain::block_message::message_root;
use filecash_chain::header::{ElectionProof, Ticket};
use filecash_chain::{Address, Amount, BlockHeader, Signature};

/// A block without messages.
pub(super) fn header(miner: u64, height: i64) -> BlockHeader {
    let (messages, _) = message_root(&[], &[]);
    BlockHeader {
        miner: Address::Id(miner),
        ticket: Some(Ticket { vrf_proof: vec![miner as u8; 96] }),
        election_proof: Some(ElectionProof { win_count: 1, vrf_proof: vec![7; 96] }),
        beacon_entries: vec![],
        winning_post: vec![],
        parents: vec![],
        parent_weight: Amount::zero(),
        height,
        parent_state_root: messages,
        parent_receipts: messages,
        messages,
        bls_aggregate: Some(Signature::Bls([0; 96])),
        timestamp: 30 * height as u64,
        signature: Some(Signature::Bls([3; 96])),
        fork_signaling: 0,
        parent_base_fee: Amount::zero(),
    }
}
