//! What is answered, read back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_chain::header::{BeaconEntry, ElectionProof, PoStProof, Ticket};
use filecash_chain::{Address, Amount, BlockHeader, Message, Object, Signature, SignedMessage};
use filecash_ipld::Cid;
use filecash_ipld::codec::dag_cbor;
use serde_json::{Value, json};

use crate::support::{FILECASH, FILECOIN, filecash, filecoin, key, link};

fn cid(value: &Value) -> Cid {
    assert_eq!(value.as_object().unwrap().len(), 1);
    value["/"].as_str().unwrap().parse().unwrap()
}

/// Bytes, which are null if there are none.
fn bytes(value: &Value) -> Vec<u8> {
    assert_ne!(value, "");
    value.as_str().map_or_else(Vec::new, |text| STANDARD.decode(text).unwrap())
}

fn amount(value: &Value) -> Amount {
    value.as_str().unwrap().parse().unwrap()
}

fn address(value: &Value) -> Address {
    assert!(value.as_str().unwrap().starts_with('f'));
    value.as_str().unwrap().parse().unwrap()
}

fn signature(value: &Value) -> Signature {
    let kind = value["Type"].as_u64().unwrap() as u8;
    Signature::from_bytes(&[vec![kind], bytes(&value["Data"])].concat()).unwrap()
}

fn option<T>(value: &Value, read: impl Fn(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}

/// A list, which is null if there is nothing in it.
fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    let items: Vec<T> = value.as_array().into_iter().flatten().map(read).collect();
    assert_eq!(items.is_empty(), value.is_null());
    items
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

const HEADER: [&str; 16] = [
    "Miner",
    "Ticket",
    "ElectionProof",
    "BeaconEntries",
    "WinPoStProof",
    "Parents",
    "ParentWeight",
    "Height",
    "ParentStateRoot",
    "ParentMessageReceipts",
    "Messages",
    "BLSAggregate",
    "Timestamp",
    "BlockSig",
    "ForkSignaling",
    "ParentBaseFee",
];

fn header(value: &Value) -> BlockHeader {
    let mut expected = HEADER;
    expected.sort_unstable();
    assert_eq!(names(value), expected);
    BlockHeader {
        miner: address(&value["Miner"]),
        ticket: option(&value["Ticket"], |value| Ticket { vrf_proof: bytes(&value["VRFProof"]) }),
        election_proof: option(&value["ElectionProof"], |value| ElectionProof {
            win_count: value["WinCount"].as_i64().unwrap(),
            vrf_proof: bytes(&value["VRFProof"]),
        }),
        beacon_entries: list(&value["BeaconEntries"], |value| BeaconEntry {
            round: value["Round"].as_u64().unwrap(),
            data: bytes(&value["Data"]),
        }),
        winning_post: list(&value["WinPoStProof"], |value| PoStProof {
            proof_type: value["PoStProof"].as_i64().unwrap(),
            proof: bytes(&value["ProofBytes"]),
        }),
        parents: list(&value["Parents"], cid),
        parent_weight: amount(&value["ParentWeight"]),
        height: value["Height"].as_i64().unwrap(),
        parent_state_root: cid(&value["ParentStateRoot"]),
        parent_receipts: cid(&value["ParentMessageReceipts"]),
        messages: cid(&value["Messages"]),
        bls_aggregate: option(&value["BLSAggregate"], signature),
        timestamp: value["Timestamp"].as_u64().unwrap(),
        signature: option(&value["BlockSig"], signature),
        fork_signaling: value["ForkSignaling"].as_u64().unwrap(),
        parent_base_fee: amount(&value["ParentBaseFee"]),
    }
}

fn message(value: &Value) -> Message {
    let message = Message {
        version: value["Version"].as_u64().unwrap(),
        to: address(&value["To"]),
        from: address(&value["From"]),
        nonce: value["Nonce"].as_u64().unwrap(),
        value: amount(&value["Value"]),
        gas_limit: value["GasLimit"].as_i64().unwrap(),
        gas_fee_cap: amount(&value["GasFeeCap"]),
        gas_premium: amount(&value["GasPremium"]),
        method: value["Method"].as_u64().unwrap(),
        params: bytes(&value["Params"]),
    };
    assert_eq!((names(value).len(), cid(&value["CID"])), (11, message.cid()));
    message
}

fn signed(value: &Value) -> SignedMessage {
    let signed = SignedMessage { message: message(&value["Message"]), signature: signature(&value["Signature"]) };
    assert_eq!((names(value).len(), cid(&value["CID"])), (3, signed.cid()));
    signed
}

fn height(tipset: &Value) -> i64 {
    assert_eq!(names(tipset), ["Blocks", "Cids", "Height"]);
    tipset["Height"].as_i64().unwrap()
}

/// Headers and messages come back as the bytes that their names are of.
#[test]
fn chain_is_read_back_whole() {
    let served = filecoin();
    let mut messages = 0;
    for tipset in &served.tipsets {
        let told = served.get("ChainGetTipSet", json!([key(tipset)]));
        assert_eq!((height(&told), &told["Cids"]), (tipset.height(), &key(tipset)));
        let blocks = told["Blocks"].as_array().unwrap();
        assert_eq!(blocks.len(), tipset.blocks().len());
        for ((name, _), block) in tipset.blocks().iter().zip(blocks) {
            assert_eq!(header(block).cid(), *name);
            let name = link(&name.to_string());
            assert_eq!(&served.get("ChainGetBlock", json!([name])), block);
            let told = served.get("ChainGetBlockMessages", json!([name]));
            assert_eq!(names(&told), ["BlsMessages", "Cids", "SecpkMessages"]);
            let bls = told["BlsMessages"].as_array().unwrap().iter().map(|value| message(value).cid());
            let secp = told["SecpkMessages"].as_array().unwrap().iter().map(|value| signed(value).cid());
            let cids: Vec<Cid> = bls.chain(secp).collect();
            assert_eq!(told["Cids"].as_array().unwrap().iter().map(cid).collect::<Vec<_>>(), cids);
            for cid in cids {
                let told = served.get("ChainGetMessage", json!([link(&cid.to_string())]));
                message(&told);
                messages += 1;
            }
        }
    }
    assert!(messages > 300, "{messages}");
    assert_eq!(served.get("ChainHead", json!([])), served.get("ChainGetTipSet", json!([key(&served.tipsets[0])])));
    let genesis = served.get("ChainGetGenesis", json!([]));
    assert_eq!((height(&genesis), cid(&genesis["Cids"][0]).to_string().as_str()), (0, FILECOIN));
}

#[test]
fn tipsets_are_found_by_height() {
    let served = filecoin();
    let at = |height: i64, from: Value| served.call("ChainGetTipSetByHeight", json!([height, from]));
    for height in 0..40 {
        let expected = served.tipsets.iter().find(|tipset| tipset.height() <= height).unwrap();
        // Twice: what was walked over may be remembered.
        for _ in 0..2 {
            assert_eq!(at(height, json!([])).unwrap()["Cids"], key(expected), "{height}");
        }
    }
    let middle = &served.tipsets[10];
    assert_eq!(at(3, key(middle)).unwrap()["Height"], 3);
    for (height, from) in [(40, json!(null)), (-1, json!(null)), (middle.height() + 1, key(middle))] {
        let (code, message) = at(height, from).unwrap_err();
        assert!(code == 1 && message.contains("height"), "{message}");
    }
}

#[test]
fn parents_messages_are_each_told_once() {
    let served = filecoin();
    let mut some = 0;
    for pair in served.tipsets.windows(2) {
        let name = json!([link(&pair[0].key()[0].to_string())]);
        let told = served.get("ChainGetParentMessages", name);
        let executed = served.node.ledger().chain().executed(&pair[1]).unwrap();
        let told: Vec<(Cid, Cid)> = list(&told, |value| (cid(&value["Cid"]), message(&value["Message"]).cid()));
        let expected: Vec<_> =
            executed.iter().map(|executed| (executed.message.cid(), executed.message.message().cid())).collect();
        assert_eq!(told, expected);
        some += usize::from(!told.is_empty());
    }
    assert!(some > 5, "{some}");
    assert_eq!(served.get("ChainGetParentMessages", json!([link(FILECOIN)])), json!(null));
}

#[test]
fn genesis_of_filecash_is_told() {
    let served = filecash();
    let head = served.get("ChainHead", json!([]));
    let block = &head["Blocks"][0];
    assert_eq!(header(block).cid().to_string(), FILECASH);
    for (field, expected) in [
        ("Timestamp", json!(1_603_934_700)),
        ("ParentBaseFee", json!("100000000")),
        ("BlockSig", json!(null)),
        ("BLSAggregate", json!(null)),
        ("WinPoStProof", json!(null)),
        ("ParentStateRoot", link("bafy2bzaceccpj5kwbdyk4uycunbgt5bsur76caczk3blqymesa65ksbmbvi46")),
        ("ElectionProof", json!({ "WinCount": 0, "VRFProof": null })),
    ] {
        assert_eq!(block[field], expected, "{field}");
    }
    assert_eq!(served.get("StateNetworkName", json!([])), "localnet-adfce032-8656-48c1-8669-db3d1d1807ef");
    assert_eq!(served.get("StateNetworkVersion", json!([null])), 0);
    // L is 42: 2^42 < 7,730,941,132,800 < 2^43; nobody won an election.
    assert_eq!(served.get("ChainTipSetWeight", json!([[]])), "10752");
    let reward = served.get("StateGetActor", json!(["f02", null]));
    assert_eq!(names(&reward), ["Balance", "Code", "Head", "Nonce"]);
    assert_eq!((&reward["Balance"], &reward["Nonce"]), (&json!("1100000000000000000000000000"), &json!(0)));
    assert_eq!(served.get("StateGetActor", json!(["t02", null])), reward);
    let account = served.get("StateAccountKey", json!(["f0100", []]));
    assert!(account.as_str().unwrap().starts_with("f3"), "{account}");
    assert_eq!(served.get("StateLookupID", json!([account, []])), "f0100");
    assert_eq!(served.get("StateLookupID", json!(["f0100", []])), "f0100");
    assert_eq!(served.get("StateAccountKey", json!([account, []])), account);
    assert!(served.fails("StateAccountKey", json!(["f02", []])).contains("is reward, expected account"));
    assert!(served.fails("StateGetActor", json!(["f09999", []])).contains("no actor f09999"));
    let nobody = Address::Secp256k1([9; 20]).to_string();
    assert!(served.fails("StateLookupID", json!([nobody, []])).contains("no actor"));
}

#[test]
fn states_that_are_not_there_are_said_not_to_be() {
    let served = filecoin();
    let message = served.fails("StateGetActor", json!(["f02", null]));
    assert!(message.starts_with("the state at height 39") && message.contains("is not there"), "{message}");
    assert!(served.fails("ChainTipSetWeight", json!([null])).contains("is not there"));
    let genesis = json!([link(FILECOIN)]);
    assert_eq!(served.get("StateGetActor", json!(["f02", genesis]))["Nonce"], 0);
    // What the blocks on it say of its weight.
    let first = &served.tipsets[served.tipsets.len() - 2];
    assert_eq!(served.get("ChainTipSetWeight", json!([[link(FILECOIN)]])), first.first().parent_weight.to_string());
    // What the head's state would say is not at hand: what the node was told.
    assert_eq!(served.get("StateNetworkName", json!([])), "testing");
    assert_eq!(served.get("StateNetworkVersion", json!([[]])), 0);
    let other = served.fails("ChainGetTipSet", json!([[link(FILECASH)]]));
    assert!(other.contains(FILECASH), "{other}");
    assert!(served.fails("ChainGetTipSet", json!([null])).contains("0 blocks"));
    assert!(served.fails("ChainGetBlock", json!([link(FILECASH)])).contains("is not there"));
}

#[test]
fn objects_are_read_by_their_names() {
    let served = filecash();
    let name = json!([link(FILECASH)]);
    assert_eq!(served.get("ChainHasObj", name.clone()), true);
    assert_eq!(served.get("ChainHasObj", json!([link(FILECOIN)])), false);
    let bytes = STANDARD.decode(served.get("ChainReadObj", name).as_str().unwrap()).unwrap();
    assert_eq!(BlockHeader::decode(&bytes).unwrap().cid().to_string(), FILECASH);
    assert!(served.fails("ChainReadObj", json!([link(FILECOIN)])).contains("is not there"));
    // A block under another codec is another name, and no header.
    let as_raw = Cid::new_v1(0x55, *FILECASH.parse::<Cid>().unwrap().hash());
    assert!(served.fails("ChainGetBlock", json!([link(&as_raw.to_string())])).contains("is not there"));
    assert!(dag_cbor::decode(&bytes).is_ok());
}

#[test]
fn node_tells_of_itself() {
    let served = filecash();
    let version = served.get("Version", json!([]));
    assert_eq!((&version["APIVersion"], &version["BlockDelay"]), (&json!(65_792), &json!(30)));
    assert!(version["Version"].as_str().unwrap().ends_with("+filecash"));
    let call = br#"{"id":1,"method":"Filecoin.Version"}"#;
    let (status, text) = crate::support::post(&served.url().replace("v0", "v1"), &[], call);
    assert!(status == 200 && text.contains("\"APIVersion\":131328"), "{text}");
    assert_eq!(served.get("SyncState", json!([])), json!({ "ActiveSyncs": [], "VMApplied": 0 }));
    assert!(served.fails("ID", json!([])).contains("no network"));
    let mut sync = filecash_rpc::node::ActiveSync {
        worker: 1,
        base: None,
        target: Some(std::sync::Arc::clone(&served.tipsets[0])),
        stage: filecash_rpc::node::Stage::Messages,
        height: 7,
        begun: Some(1_603_934_700),
        over: None,
        message: String::new(),
    };
    served.node.set_syncs(vec![sync.clone()]);
    let told = &served.get("SyncState", json!([]))["ActiveSyncs"][0];
    assert_eq!(told["Target"], served.get("ChainHead", json!([])));
    assert_eq!((&told["Stage"], &told["Start"]), (&json!(3), &json!("2020-10-29T01:25:00Z")));
    sync.message = "no".to_owned();
    served.node.set_syncs(vec![sync]);
    assert_eq!(served.get("SyncState", json!([]))["ActiveSyncs"][0]["Message"], "no");
}
