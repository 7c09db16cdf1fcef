//! Graphsync asked by the requester of `tests/foreign/js` (js-libp2p 3.3, `@ipld/dag-cbor`), answered by us: `spec/network.md` 18, N6. What it
//! is answered by kubo is in `foreign.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use filecash_ipld::graphsync::{Held, Order};
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::BlockStore;
use serde_json::{Value, json};

mod hosts;
#[path = "../../../tests/support/js.rs"]
mod js;
#[path = "../../../tests/support/peer.rs"]
mod peer;
mod stores;

use js::Js;
use stores::{import, node, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_of_another_make_is_answered() {
    let Some(Js { mut peer, .. }) = Js::start("host.mjs", &json!({})) else { return };
    let server = node();
    let store = server.store.as_ref();
    let root = import(store, &noise(3 << 20));
    let address = server.source().await.addresses[0].to_string();
    let mut ask = |cid: String, selector: &Selector, extensions: Value| {
        let selector = hex::encode(selector.to_bytes());
        peer.does(
            &json!({ "do": "graphsync", "peer": address, "cid": cid, "selector": selector, "extensions": extensions }),
        )
    };
    let deep = Selector::everything_to(100);
    let all = ask(root.to_string(), &deep, json!({}));
    let statuses = all["statuses"].as_array().unwrap();
    let (last, before) = statuses.split_last().unwrap();
    assert!(*last == 20 && before.iter().all(|status| *status == 14), "{statuses:?}");
    let links: Vec<_> = all["links"].as_array().unwrap().iter().map(|link| &link[0]).collect();
    assert_eq!(
        (links.len() as u64, &all["blocks"]),
        (Held::of(&Order::everything(root), store).unwrap().links, &json!(13))
    );
    assert_eq!(json!(links), all["walk"]);
    assert_eq!((&all["missing"], &all["unasked"]), (&json!([]), &json!([])));

    let refused = ask(root.to_string(), &Selector::everything(), json!({}));
    assert_eq!((&refused["statuses"], &refused["links"]), (&json!([30]), &json!([])));
    let one = ask(root.to_string(), &Selector::one_block(), json!({}));
    assert_eq!((&one["statuses"], &one["links"]), (&json!([20]), &json!([[root.to_string(), "p"]])));
    let nowhere = HashKind::Sha256.cid(0x55, b"nowhere").unwrap().to_string();
    let missing = ask(nowhere.clone(), &deep, json!({}));
    assert_eq!((&missing["statuses"], &missing["links"]), (&json!([34]), &json!([[nowhere, "m"]])));
    let rest = ask(root.to_string(), &deep, json!({ "graphsync/do-not-send-first-blocks": "03" }));
    assert_eq!((rest["links"].as_array().unwrap().len(), &rest["blocks"]), (13, &json!(10)));
    assert!(rest["links"].as_array().unwrap().iter().take(3).all(|link| link[1] == "d"), "{}", rest["links"]);

    // One leaf is lost.
    let leaf: filecash_ipld::Cid = links[5].as_str().unwrap().parse().unwrap();
    assert_eq!(store.remove(&[leaf]).unwrap(), 1);
    let lost = ask(root.to_string(), &deep, json!({}));
    assert_eq!(lost["statuses"].as_array().unwrap().last().unwrap(), 21);
    assert_eq!((&lost["links"][5], &lost["blocks"]), (&json!([leaf.to_string(), "m"]), &json!(12)));
}
