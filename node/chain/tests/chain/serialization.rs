//! The serialization vectors: all rows of all three files.

use std::str::FromStr;

use data_encoding::BASE64;
use filecash_chain::check::signatures::{SignatureFault, verify_message};
use filecash_chain::header::{BeaconEntry, ElectionProof, PoStProof, Ticket};
use filecash_chain::{Address, Amount, BlockHeader, Message, Object, Signature, SignedMessage};
use filecash_ipld::Cid;
use serde_json::Value;

fn rows(name: &str) -> Vec<Value> {
    serde_json::from_slice(&crate::support::vector(name)).unwrap()
}

fn text<T: FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().map(|text| BASE64.decode(text.as_bytes()).unwrap()).unwrap_or_default()
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().map(|items| items.iter().map(item).collect()).unwrap_or_default()
}

fn link(value: &Value) -> Cid {
    text(&value["/"])
}

fn signature(value: &Value) -> Signature {
    let kind = value["Type"].as_u64().unwrap() as u8;
    Signature::from_bytes(&[vec![kind], bytes(&value["Data"])].concat()).unwrap()
}

fn message(value: &Value) -> Message {
    Message {
        version: value["Version"].as_u64().unwrap(),
        to: text(&value["To"]),
        from: text(&value["From"]),
        nonce: value["Nonce"].as_u64().unwrap(),
        value: text(&value["Value"]),
        gas_limit: value["GasLimit"].as_i64().unwrap(),
        gas_fee_cap: text(&value["GasFeeCap"]),
        gas_premium: text(&value["GasPremium"]),
        method: value["Method"].as_u64().unwrap(),
        params: bytes(&value["Params"]),
    }
}

fn header(value: &Value) -> BlockHeader {
    let proof = |value: &Value| bytes(&value["VRFProof"]);
    BlockHeader {
        miner: text(&value["Miner"]),
        ticket: Some(Ticket { vrf_proof: proof(&value["Ticket"]) }),
        election_proof: Some(ElectionProof {
            win_count: value["ElectionProof"]["WinCount"].as_i64().unwrap(),
            vrf_proof: proof(&value["ElectionProof"]),
        }),
        beacon_entries: list(&value["BeaconEntries"], |entry| BeaconEntry {
            round: entry["Round"].as_u64().unwrap(),
            data: bytes(&entry["Data"]),
        }),
        winning_post: list(&value["WinPoStProof"], |post| PoStProof {
            proof_type: post["PoStProof"].as_i64().unwrap(),
            proof: bytes(&post["ProofBytes"]),
        }),
        parents: list(&value["Parents"], link),
        parent_weight: text(&value["ParentWeight"]),
        height: value["Height"].as_i64().unwrap(),
        parent_state_root: link(&value["ParentStateRoot"]),
        parent_receipts: link(&value["ParentMessageReceipts"]),
        messages: link(&value["Messages"]),
        bls_aggregate: Some(signature(&value["BLSAggregate"])),
        timestamp: value["Timestamp"].as_u64().unwrap(),
        signature: Some(signature(&value["BlockSig"])),
        fork_signaling: value["ForkSignaling"].as_u64().unwrap(),
        parent_base_fee: text::<Amount>(&value["ParentBaseFee"]),
    }
}

#[test]
fn block_headers_have_the_bytes_and_cids_of_the_vectors() {
    let rows = rows("block_headers.json");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let header = header(&row["block"]);
        assert_eq!(hex::encode(header.encode()), row["cbor_hex"].as_str().unwrap());
        assert_eq!(header.cid().to_string(), row["cid"].as_str().unwrap());
        assert_eq!(BlockHeader::decode(&header.encode()).unwrap(), header);
    }
}

#[test]
fn unsigned_messages_have_the_bytes_of_the_vectors() {
    let rows = rows("unsigned_messages.json");
    assert_eq!(rows.len(), 21);
    for row in rows {
        let message = message(&row["message"]);
        assert_eq!(hex::encode(message.encode()), row["hex_cbor"].as_str().unwrap());
        assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        assert_eq!(message.to.to_string().replacen('f', "t", 1), row["message"]["To"].as_str().unwrap());
    }
}

#[test]
fn signed_messages_of_the_vectors_are_good() {
    let rows = rows("message_signing.json");
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let message = message(&row["Unsigned"]);
        assert_eq!(message.cid().to_string(), row["Cid"].as_str().unwrap());
        assert_eq!(hex::encode(message.signing_bytes()), row["CidHexBytes"].as_str().unwrap());
        let signed = SignedMessage { message, signature: signature(&row["Signature"]) };
        verify_message(&signed, |_| None).unwrap();
        let mut other = signed.clone();
        other.message.nonce += 1;
        assert_eq!(verify_message(&other, |_| None), Err(SignatureFault::Wrong));
        other.message.from = Address::Id(7);
        assert_eq!(verify_message(&other, |_| None), Err(SignatureFault::NoKey(Address::Id(7))));
        let key = signed.message.from;
        let by_number = SignedMessage { message: Message { from: Address::Id(7), ..signed.message.clone() }, ..signed };
        // The signature is over the key's address, so that of the number is another message.
        assert_eq!(verify_message(&by_number, |_| Some(key)), Err(SignatureFault::Wrong));
    }
}
