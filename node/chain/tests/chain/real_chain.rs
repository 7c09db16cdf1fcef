//! Filecoin's first heights: real headers, tickets, messages and signatures.

use std::collections::HashSet;

use filecash_chain::block_message::BlockMsg;
use filecash_chain::block_messages::{BlockMessages, ChainMessage, compact};
use filecash_chain::chain::{ChainError, ChainStore};
use filecash_chain::check::beacon::verify_chained;
use filecash_chain::check::gossip::{Outcome, Rejected, block, message};
use filecash_chain::check::{Rules, block as blocks, signatures};
use filecash_chain::exchange::{ExchangeError, Request, Response, Status};
use filecash_chain::facts::of_genesis;
use filecash_chain::read::{ReadError, read};
use filecash_chain::signature::Signature;
use filecash_chain::state::StateTree;
use filecash_chain::state::actors::{MinerInfo, MinerState};
use filecash_chain::{Address, Amount, BlockHeader, Object, Tipset};
use filecash_ipld::codec::Codec;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::{Cid, codec};

const FILE: &str = "filecoin-heights-0-39.car";
pub const GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
/// Of the drand network that Filecoin began with.
pub const BEACON_KEY: &str =
    "8cad0c72c606ab27d36ee06de1d5b2db1faf92e447025ca37575ab3a8aac2eaae83192f846fc9e158bc738423753d000";

/// Those that Filecash has are Filecoin's of that time.
const RULES: Rules = Rules::MAINNET;

struct Real {
    chain: ChainStore<MemoryStore>,
    /// From the head to the genesis.
    tipsets: Vec<Tipset>,
}

fn real() -> Real {
    let (root, store) = crate::support::stored(FILE);
    let chain = ChainStore::new(store, GENESIS.parse().unwrap(), RULES);
    let tipsets = chain.walk(&[root]).collect::<Result<Vec<_>, _>>().unwrap();
    Real { chain, tipsets }
}

impl Real {
    fn genesis_state(&self) -> StateTree<'_, MemoryStore> {
        let genesis = self.tipsets.last().unwrap().first();
        StateTree::open(self.chain.store(), &genesis.parent_state_root).unwrap()
    }

    /// The headers but the genesis', each with its messages.
    fn blocks(&self) -> Vec<(BlockHeader, BlockMessages)> {
        let of = |tipset: &Tipset| {
            let messages = self.chain.messages(tipset).unwrap();
            tipset.headers().cloned().zip(messages).collect::<Vec<_>>()
        };
        self.tipsets[..self.tipsets.len() - 1].iter().flat_map(of).collect()
    }
}

#[test]
fn chain_is_walked_from_its_head_to_the_genesis() {
    let real = real();
    let headers: usize = real.tipsets.iter().map(|tipset| tipset.blocks().len()).sum();
    let heights: Vec<_> = real.tipsets.iter().rev().map(Tipset::height).collect();
    let null = [4, 7, 10, 24, 25, 26, 27];
    assert_eq!(heights, (0..40).filter(|height| !null.contains(height)).collect::<Vec<_>>());
    assert_eq!((headers, real.tipsets.last().unwrap().key()[0].to_string().as_str()), (49, GENESIS));
    for header in real.tipsets.iter().flat_map(Tipset::headers) {
        let block = real.chain.store().get(&header.cid()).unwrap().unwrap();
        assert_eq!(header.encode(), block);
    }
}

#[test]
fn all_messages_load_and_their_roots_are_rebuilt() {
    let real = real();
    let (mut bls, mut secp) = (Vec::new(), Vec::new());
    for (header, messages) in real.blocks() {
        blocks::check_alone(&header, &RULES).unwrap();
        blocks::check_messages(&header, &messages, &RULES).unwrap();
        bls.extend(messages.bls.iter().map(Object::cid));
        secp.extend(messages.secp.iter().map(Object::cid));
    }
    assert_eq!((bls.len(), secp.len()), (73, 512));
    let distinct = |cids: &[Cid]| cids.iter().collect::<HashSet<_>>().len();
    assert_eq!((distinct(&bls), distinct(&secp)), (41, 206));
    let executed: usize = real.tipsets.iter().map(|tipset| real.chain.executed(tipset).unwrap().len()).sum();
    assert_eq!(executed, 41 + 206);
}

#[test]
fn signatures_of_all_messages_are_good() {
    let real = real();
    let blocks = real.blocks();
    for (header, messages) in &blocks {
        // Every sender is named by its key.
        blocks::check_signatures(header, messages, |_| None).unwrap();
        let mut other = header.clone();
        other.bls_aggregate = blocks
            .iter()
            .map(|(header, _)| &header.bls_aggregate)
            .find(|sum| **sum != header.bls_aggregate)
            .unwrap()
            .clone();
        let fault = blocks::check_signatures(&other, messages, |_| None);
        assert_eq!(fault, Err(blocks::BlockFault::Aggregate(signatures::SignatureFault::Wrong)));
    }
    let count: usize = blocks.iter().map(|(_, messages)| messages.count()).sum();
    assert_eq!((blocks.len(), count), (48, 585));
}

#[test]
fn blocks_are_signed_by_the_workers_of_the_genesis() {
    let real = real();
    let state = real.genesis_state();
    let (mut checked, mut unknown) = (0, 0);
    for (header, _) in real.blocks() {
        // Who became a miner later is not in the state of the genesis, which is all that is in the file.
        let Ok(miner) = state.state::<MinerState>(&header.miner, "storageminer") else {
            unknown += 1;
            continue;
        };
        let info: MinerInfo = read(state.store(), &miner.info).unwrap();
        let Address::Bls(worker) = state.key_of(&info.worker).unwrap() else { panic!() };
        signatures::verify_block(&header, &worker).unwrap();
        let mut other = header.clone();
        other.fork_signaling = 1;
        assert_eq!(signatures::verify_block(&other, &worker), Err(signatures::SignatureFault::Wrong));
        checked += 1;
    }
    assert_eq!((checked, unknown), (48, 0));
}

#[test]
fn rounds_of_the_beacon_are_chained() {
    let real = real();
    let key = hex::decode(BEACON_KEY).unwrap().try_into().unwrap();
    let entries: Vec<_> =
        real.tipsets.iter().rev().flat_map(|tipset| tipset.first().beacon_entries.clone()).skip(1).collect();
    assert_eq!((entries.len(), entries[0].round, entries.last().unwrap().round), (39, 81086, 81124));
    for pair in entries.windows(2) {
        verify_chained(&key, &pair[0], &pair[1]).unwrap();
    }
    assert!(verify_chained(&key, &entries[0], &entries[2]).is_err());
    let wrong = filecash_chain::header::BeaconEntry { round: entries[1].round, data: entries[2].data.clone() };
    assert!(verify_chained(&key, &entries[0], &wrong).is_err());
}

#[test]
fn blocks_and_messages_of_the_chain_are_accepted_as_announcements() {
    let real = real();
    let mut accepted = 0;
    for (header, messages) in real.blocks() {
        let announcement = BlockMsg {
            header: header.clone(),
            bls_messages: messages.bls.iter().map(Object::cid).collect(),
            secp_messages: messages.secp.iter().map(Object::cid).collect(),
        };
        let bytes = announcement.encode();
        assert_eq!(block(&bytes, &RULES), Outcome::Accept(announcement.clone()));
        let mut fewer = announcement.clone();
        if fewer.secp_messages.pop().is_some() {
            assert!(matches!(block(&fewer.encode(), &RULES), Outcome::Reject(Rejected::Block(_))));
        }
        for change in [
            |header: &mut BlockHeader| header.ticket = None,
            |header: &mut BlockHeader| header.election_proof = None,
            |header: &mut BlockHeader| header.signature = None,
            |header: &mut BlockHeader| header.bls_aggregate = None,
            |header: &mut BlockHeader| header.election_proof.as_mut().unwrap().win_count = 0,
            |header: &mut BlockHeader| header.election_proof.as_mut().unwrap().win_count = 16,
            |header: &mut BlockHeader| header.signature = Some(Signature::Secp256k1([0; 65])),
        ] {
            let mut wrong = announcement.clone();
            change(&mut wrong.header);
            assert!(matches!(block(&wrong.encode(), &RULES), Outcome::Reject(Rejected::Block(_))));
        }
        for signed in messages.secp {
            let Outcome::Accept(read) = message(&signed.encode(), &RULES, |_| None) else { panic!() };
            assert_eq!(read, *signed);
            let mut other = (*signed).clone();
            other.message.nonce += 1;
            assert!(matches!(message(&other.encode(), &RULES, |_| None), Outcome::Reject(Rejected::Signature(_))));
            accepted += 1;
        }
    }
    assert!(accepted >= 512);
}

#[test]
fn exchange_gives_the_chain_as_it_is() {
    let real = real();
    let head = real.tipsets[0].key();
    for (length, status, count) in [(900, Status::Partial, 33), (33, Status::Ok, 33), (5, Status::Ok, 5)] {
        let request = Request::new(head.clone(), length, true);
        let request = Request::decode(&request.encode()).unwrap();
        let response = real.chain.answer(&request);
        assert_eq!((response.status, response.chain.len()), (status.code(), count));
        let bytes = response.encode();
        let response = Response::from_wire(&bytes).unwrap();
        assert_eq!(response.encode(), bytes);
        let tipsets = response.clone().tipsets(&request).unwrap();
        for (came, kept) in tipsets.iter().zip(&real.tipsets) {
            assert_eq!(&came.tipset, kept);
            assert_eq!(came.messages.as_ref().unwrap(), &real.chain.messages(kept).unwrap());
        }
        let mut wrong = response.clone();
        wrong.chain.remove(0);
        assert!(matches!(wrong.tipsets(&request), Err(ExchangeError::Order { place: 0 })));
        let mut wrong = response.clone();
        wrong.chain[1].messages = None;
        assert_eq!(wrong.tipsets(&request), Err(ExchangeError::NoMessages { place: 1 }));
        let mut wrong = response.clone();
        let place = wrong.chain.iter().position(|bundle| !bundle.messages.as_ref().unwrap().secp.is_empty()).unwrap();
        wrong.chain[place].messages.as_mut().unwrap().secp_includes[0].clear();
        assert!(matches!(wrong.tipsets(&request), Err(ExchangeError::Messages { .. })));
    }
    let request = Request::for_messages(head, 7);
    let response = real.chain.answer(&request);
    assert!(response.chain.iter().all(|bundle| bundle.blocks.is_empty()));
    let expected: Vec<_> = real.tipsets[..7].iter().map(|tipset| real.chain.messages(tipset).unwrap()).collect();
    assert_eq!(response.messages(&real.tipsets[..7]).unwrap(), expected);
}

#[test]
fn requests_that_cannot_be_answered_are_told_so() {
    let real = real();
    let stranger: Cid = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc".parse().unwrap();
    let head = real.tipsets[0].key();
    for (request, status) in [
        (Request::new(vec![stranger], 1, true), Status::NotFound),
        (Request::new(vec![], 1, true), Status::BadRequest),
        (Request::new(head.clone(), 0, true), Status::BadRequest),
        (Request::new(head.clone(), 901, true), Status::BadRequest),
        (Request { options: 4, ..Request::new(head, 1, true) }, Status::BadRequest),
    ] {
        let response = real.chain.answer(&request);
        assert_eq!(response.status, status.code());
        assert!(matches!(response.tipsets(&request), Err(ExchangeError::Status { .. })));
    }
}

#[test]
fn messages_in_several_blocks_are_sent_and_executed_once() {
    let real = real();
    let (_, messages) = real.blocks().into_iter().find(|(_, messages)| messages.count() > 2).unwrap();
    let both = [messages.clone(), messages.clone()];
    let compacted = compact(&both);
    assert_eq!(compacted.bls.len() + compacted.secp.len(), messages.count());
    assert_eq!(compacted.secp_includes[0], compacted.secp_includes[1]);
    let executed = filecash_chain::block_messages::execution_order(&both);
    assert_eq!(executed.len(), messages.count());
    assert!(executed.iter().all(|executed| executed.block == 0));
    // Another message with a nonce that was used is left out as well.
    let mut other = messages.secp[0].as_ref().clone();
    other.message.value = Amount::from(1);
    let again = BlockMessages { bls: vec![], secp: vec![other.into()] };
    assert_eq!(filecash_chain::block_messages::execution_order(&[messages.clone(), again]).len(), messages.count());
    assert!(matches!(executed[0].message, ChainMessage::Bls(_) | ChainMessage::Secp(_)));
}

#[test]
fn chain_with_something_missing_or_another_genesis_is_refused() {
    let Real { chain, tipsets } = real();
    let head = tipsets[0].key();
    let other = ChainStore::new(MemoryStore::default(), head[0], RULES);
    assert!(matches!(other.walk(&head).next(), Some(Err(ChainError::Read(ReadError::Missing(_))))));
    let (_, store) = crate::support::stored(FILE);
    let other = ChainStore::new(store, head[0], RULES);
    let walked: Vec<_> = other.walk(&head).collect();
    assert_eq!(walked.len(), tipsets.len());
    assert!(matches!(walked.last(), Some(Err(ChainError::Genesis { height: 0, .. }))));
    // The same bytes under another codec.
    let raw = Cid::new_v1(Codec::Raw.code(), *head[0].hash());
    assert!(matches!(chain.tipset(&[raw]), Err(ChainError::Name(_))));
    assert!(matches!(chain.tipset(&[]), Err(ChainError::Key(0))));
    assert!(matches!(chain.tipset(&vec![head[0]; 129]), Err(ChainError::Key(129))));
    let genesis = tipsets.last().unwrap().first();
    assert!(matches!(chain.tipset(&[genesis.messages]), Err(ChainError::Read(ReadError::Object { .. }))));
    let several = tipsets.iter().find(|tipset| tipset.blocks().len() > 1).unwrap();
    let mut key = several.key();
    key.reverse();
    assert!(matches!(chain.tipset(&key), Err(ChainError::Tipset { .. })));
}

#[test]
fn genesis_of_filecoin_is_described_and_its_objects_are_written_as_read() {
    let (_, blocks) = crate::support::car(FILE);
    assert_eq!(blocks.len(), 1581);
    let mut none = 0;
    for block in &blocks {
        match codec::decode(block.cid(), block.bytes()) {
            Ok(value) if block.cid().codec() == Codec::DagCbor.code() => assert_eq!(value.encode(), block.bytes()),
            Ok(_) => {}
            Err(_) => none += 1,
        }
    }
    assert_eq!(none, 0);
    let (_, store) = crate::support::stored(FILE);
    let genesis = of_genesis(&store, &GENESIS.parse().unwrap()).unwrap();
    assert_eq!(genesis.total_balance, Amount::of_coins(2_000_000_000));
    assert_eq!((genesis.header.timestamp, genesis.network_name.as_str()), (1_598_306_400, "testnetnet"));
}
