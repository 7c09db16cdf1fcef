//! One of another make: `@dcdn/graphsync` 0.2.5 over js-libp2p 3.3 (`tests/foreign/js/transfer.mjs`), which pushes and pulls.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use filecash_ipld::data_transfer::{Decision, Status};
use filecash_ipld::store::BlockStore;
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::KUBO_V1;
use filecash_ipld::{Cid, Ipld, codec::dag_cbor};
use serde_json::{Value, json};

use crate::node::*;
use crate::stores::{import, noise, read};

#[path = "../../../../tests/support/js.rs"]
mod js;
#[path = "../../../../tests/support/peer.rs"]
mod peer;

use js::Js;

fn sha256(bytes: &[u8]) -> String {
    let cid = filecash_ipld::hash::HashKind::Sha256.cid(0x55, bytes).unwrap();
    hex::encode(cid.hash().digest())
}

fn voucher() -> Ipld {
    typed("Fake/1").value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_make_pushes_to_us() {
    let Some(Js { mut peer, .. }) = Js::start("transfer.mjs", &json!({})) else { return };
    let says = says_yes();
    let us = Node::with(says.clone());
    let address = us.source().await.addresses[0].to_string();
    let file = noise(3 << 20);
    let added = peer.does(&json!({ "do": "add", "hex": hex::encode(&file) }));
    let push = json!({
        "do": "push", "address": address, "cid": added["cid"], "voucherType": "Fake/1",
        "voucher": hex::encode(dag_cbor::encode(&voucher())),
    });
    assert_eq!(peer.does(&push), json!({ "accepted": true }));
    let root: Cid = added["cid"].as_str().unwrap().parse().unwrap();
    let opened = says.opened.lock().unwrap().last().cloned().unwrap();
    assert_eq!((opened.root, opened.is_pull, opened.voucher), (root, false, Some(typed("Fake/1"))));
    // We said yes with our graphsync request, for old and for new programs, and that we have it all by itself.
    let heard = peer.does(&json!({ "do": "heard", "count": 3 }));
    let said: Vec<_> = heard.as_array().unwrap().iter().map(|heard| (&heard["in"], &heard["name"])).collect();
    let names = ["fil/data-transfer", "fil/data-transfer/1.1"].map(|name| (json!("request"), json!(name)));
    let complete = (json!("stream"), json!("/fil/datatransfer/1.2.0"));
    assert_eq!(said, [&names[0], &names[1], &complete].map(|(place, name)| (place, name)));
    for (place, kind) in [(1, 0), (2, 3)] {
        let response = &heard[place]["message"]["Response"];
        assert_eq!((&response["Type"], &response["Acpt"]), (&json!(kind), &json!(true)));
    }
    assert_eq!(read(us.store.as_ref(), &root), file);
    assert!(us.transfer.channels().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_make_pulls_from_us() {
    let Some(Js { mut peer, .. }) = Js::start("transfer.mjs", &json!({})) else { return };
    let says = says_yes();
    let us = Node::with(says.clone());
    let address = us.source().await.addresses[0].to_string();
    let file = noise(3 << 20);
    // Of leaves that are not raw it takes nothing.
    let mut importer = Importer::new(KUBO_V1, |blocks| us.store.put(blocks));
    let root = importer.file(&file[..]).unwrap().cid;
    importer.finish().unwrap();
    let pull = json!({
        "do": "pull", "address": address, "cid": root.to_string(), "voucherType": "Fake/1",
        "voucher": hex::encode(dag_cbor::encode(&voucher())),
    });
    let pulled = peer.does(&pull);
    assert_eq!((&pulled["sha256"], &pulled["length"]), (&json!(sha256(&file)), &json!(file.len())), "{pulled}");
    let first = &pulled["messages"][0]["message"]["Response"];
    assert_eq!((&first["Type"], &first["Acpt"]), (&json!(0), &json!(true)), "{pulled}");
    let heard = peer.does(&json!({ "do": "heard", "count": 1 }));
    assert_eq!(heard[0]["message"]["Response"]["Type"], json!(3), "{heard}");
    let opened = says.opened.lock().unwrap().last().cloned().unwrap();
    assert_eq!((opened.root, opened.is_pull, opened.voucher), (root, true, Some(typed("Fake/1"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_make_is_refused_by_us() {
    let Some(Js { mut peer, .. }) = Js::start("transfer.mjs", &json!({})) else { return };
    let us = Node::with(says(Decision::refuse(Some(typed("No/1"))), None));
    let address = us.source().await.addresses[0].to_string();
    let added = peer.does(&json!({ "do": "add", "hex": hex::encode(noise(100_000)) }));
    let root = import(us.store.as_ref(), &noise(1000));
    let voucher = hex::encode(dag_cbor::encode(&voucher()));
    let refused = peer.does(&json!({
        "do": "push", "address": address, "cid": added["cid"], "voucherType": "Fake/1", "voucher": voucher,
    }));
    assert_eq!(refused["accepted"], Value::Bool(false), "{refused}");
    let refused = peer.does(&json!({
        "do": "pull", "address": address, "cid": root.to_string(), "voucherType": "Fake/1", "voucher": voucher,
    }));
    assert_eq!(refused["statuses"], json!([30]), "{refused}");
    let response = &refused["messages"][0]["message"]["Response"];
    assert_eq!((&response["Acpt"], &response["VTyp"]), (&json!(false), &json!("No/1")), "{refused}");
    let pushed: Cid = added["cid"].as_str().unwrap().parse().unwrap();
    assert_eq!(us.store.get(&pushed).unwrap(), None);
    assert!(us.transfer.channels().iter().all(|channel| channel.status() != Status::Ongoing));
}
