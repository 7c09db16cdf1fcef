//! Bytes of any kind: nothing panics, and what is read is written with the same bytes.

use filecash_chain::block_message::{BlockMsg, MessageMeta};
use filecash_chain::block_messages::CompactedMessages;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::gossip::{Outcome, block, message};
use filecash_chain::check::{Rules, block as blocks};
use filecash_chain::exchange::{Request, Response};
use filecash_chain::facts::of_genesis;
use filecash_chain::hello::{Hello, Latency};
use filecash_chain::object::{block_of, limit_values};
use filecash_chain::receipt::Receipt;
use filecash_chain::state::StateTree;
use filecash_chain::{Address, Amount, BlockHeader, Message, Object, Signature, SignedMessage, Tipset, amt, hamt};
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::{Block, Cid, Ipld};
use proptest::prelude::*;

use crate::support;

/// Whatever is read has these bytes.
fn read_as<T: Object>(bytes: &[u8]) {
    if let Ok(object) = T::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
}

fn read_as_all(bytes: &[u8]) {
    read_as::<Address>(bytes);
    read_as::<Amount>(bytes);
    read_as::<Signature>(bytes);
    read_as::<BlockHeader>(bytes);
    read_as::<Message>(bytes);
    read_as::<SignedMessage>(bytes);
    read_as::<Receipt>(bytes);
    read_as::<MessageMeta>(bytes);
    read_as::<BlockMsg>(bytes);
    read_as::<CompactedMessages>(bytes);
    read_as::<Hello>(bytes);
    read_as::<Latency>(bytes);
    read_as::<Request>(bytes);
    read_as::<Response>(bytes);
    let _ = limit_values(bytes, 100);
    let _ = Response::from_wire(bytes);
    if let Outcome::Accept(block) = block(bytes, &Rules::MAINNET) {
        assert_eq!(block.encode(), bytes);
    }
    if let Outcome::Accept(signed) = message(bytes, &Rules::MAINNET, |_| Some(Address::Bls([0; 48]))) {
        assert_eq!(signed.encode(), bytes);
    }
}

/// Small values of all kinds, of which objects are made that are nearly right.
fn values() -> impl Strategy<Value = Ipld> {
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        (-1_i128 << 64..1 << 64).prop_map(Ipld::Integer),
        (0_i128..9).prop_map(Ipld::Integer),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(Ipld::Bytes),
        "[a-z0-9]{0,6}".prop_map(Ipld::String),
        any::<u8>().prop_map(|byte| Ipld::Link(*block_of(vec![byte]).cid())),
    ];
    leaf.prop_recursive(4, 64, 17, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..17).prop_map(Ipld::List),
            inner.prop_map(|value| Ipld::Map(vec![("0".to_owned(), value)])),
        ]
    })
}

/// A block of the real chain, its header and a store of everything.
fn real() -> (Vec<u8>, Vec<Block>) {
    let (root, blocks) = support::car("filecoin-heights-0-39.car");
    let header = blocks.iter().find(|block| *block.cid() == root).unwrap().bytes().to_vec();
    (header, blocks)
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_as_all(&bytes);
        let _ = Address::from_bytes(&bytes);
        let _ = Amount::from_bytes(&bytes);
        let _ = Signature::from_bytes(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = text.parse::<Address>();
        }
    }

    #[test]
    fn values_of_any_kind_are_read_or_refused(value in values()) {
        read_as_all(&value.encode());
        let store = MemoryStore::default();
        let block = value.to_block();
        store.put(std::slice::from_ref(&block)).unwrap();
        let _ = amt::entries::<Ipld>(&store, block.cid(), 100);
        let _ = hamt::entries::<Ipld>(&store, block.cid(), 100);
        let _ = hamt::get::<Ipld>(&store, block.cid(), b"key");
        let _ = StateTree::open(&store, block.cid()).map(|tree| tree.actors(9).is_ok());
        let _ = of_genesis(&store, block.cid());
        let chain = ChainStore::new(store, *block.cid(), Rules::MAINNET);
        let _ = chain.walk(&[*block.cid()]).count();
    }

    #[test]
    fn texts_of_any_kind_are_read_or_refused(text in "[ft]?[0-4]?[a-z2-7é]{0,90}") {
        if let Ok(address) = text.parse::<Address>() {
            assert_eq!(address.to_string()[1..], text[1..]);
        }
    }

    #[test]
    fn addresses_are_read_as_written(id in 0_u64..1 << 63, short in any::<[u8; 20]>(), long in any::<[u8; 24]>()) {
        let mut key = [0; 48];
        key[..24].copy_from_slice(&long);
        for address in [Address::Id(id), Address::Secp256k1(short), Address::Actor(short), Address::Bls(key)] {
            prop_assert_eq!(Address::from_bytes(&address.to_bytes()), Ok(address));
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            prop_assert_eq!(Address::decode(&address.encode()), Ok(address));
        }
    }
}

#[test]
fn header_with_a_changed_byte_is_refused_or_another_block() {
    let (bytes, _) = real();
    let header = BlockHeader::decode(&bytes).unwrap();
    let mut refused = 0;
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            read_as_all(&changed);
            match BlockHeader::decode(&changed) {
                Ok(other) => {
                    assert_ne!(other.cid(), header.cid());
                    let _ = blocks::check_alone(&other, &Rules::MAINNET);
                    let _ = Tipset::new(vec![header.clone(), other]);
                }
                Err(_) => refused += 1,
            }
        }
        assert!(BlockHeader::decode(&bytes[..place]).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn genesis_with_a_block_missing_or_in_another_s_place_is_refused() {
    let (root, blocks) = support::car("filecash-genesis.car");
    let whole = MemoryStore::default();
    whole.put(&blocks).unwrap();
    let facts = of_genesis(&whole, &root).unwrap();
    let mut needed = 0;
    for gone in &blocks {
        let cid: Cid = *gone.cid();
        whole.remove(&[cid]).unwrap();
        needed += usize::from(of_genesis(&whole, &root).is_err());
        whole.put(std::slice::from_ref(gone)).unwrap();
    }
    assert_eq!(of_genesis(&whole, &root).unwrap(), facts);
    // All but what describes deals and sectors further than this does.
    assert!(needed > 100, "{needed}");
}
