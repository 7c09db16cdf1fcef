//! Others' programs among themselves: what tests of ours with them rest on. kubo 0.22, Helia 7.1, py-libp2p 0.8, and the requester of
//! graphsync in `tests/foreign/js`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use filecash_ipld::hash::HashKind;
use serde_json::{Value, json};

#[path = "../../../tests/support/js.rs"]
mod js;
#[path = "../../../tests/support/kubo.rs"]
mod kubo;
#[path = "hosts/foreign.rs"]
mod others;
#[path = "../../../tests/support/peer.rs"]
mod peer;
#[path = "../../../tests/support/py_libp2p.rs"]
mod py_libp2p;

use js::Js;
use kubo::Kubo;
use others::texts;

/// All of a DAG, 100 deep, and without a limit: `spec/network.md` 11.6.
const DEEP: &str = "a16152a2616ca16564657074681864623a3ea16161a1613ea16140a0";
const ENDLESS: &str = "a16152a2616ca1646e6f6e65a0623a3ea16161a1613ea16140a0";
/// The root alone.
const ROOT: &str = "a1612ea0";

/// A file's bytes, no two blocks of which are the same.
fn content(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at / 251 + at * seed) % 251) as u8).collect()
}

/// A file in a folder, and what others say of one that has these bytes.
fn file(folder: &Path, length: usize, seed: usize) -> (String, Value) {
    let (path, bytes) = (folder.join(format!("{seed}")), content(length, seed));
    std::fs::write(&path, &bytes).unwrap();
    let hash = HashKind::Sha256.multihash(&bytes).unwrap();
    (path.to_str().unwrap().to_owned(), json!({ "sha256": hex::encode(hash.digest()), "length": length }))
}

/// The status that ends an answer; those before it, as many as the answer's messages happened to be, are of a part each.
fn ended(answer: &Value) -> u64 {
    let statuses = answer["statuses"].as_array().unwrap();
    let (last, before) = statuses.split_last().unwrap();
    assert!(before.iter().all(|status| *status == 14), "{statuses:?}");
    last.as_u64().unwrap()
}

#[test]
fn graphsync_of_kubo_is_asked() {
    let (Some(mut kubo), Some(Js { mut peer, .. })) = (Kubo::start(&json!({})), Js::start("host.mjs", &json!({})))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = file(folder.path(), 3 << 20, 7);
    let added = kubo.peer.does(&json!({ "do": "add", "path": path }));
    let cid = added.as_str().unwrap();
    let address = kubo.address("/tcp/");
    let mut ask = |cid: &str, selector: &str, extensions: Value| {
        let command =
            json!({ "do": "graphsync", "peer": address, "cid": cid, "selector": selector, "extensions": extensions });
        peer.does(&command)
    };
    let all = ask(cid, DEEP, json!({}));
    assert_eq!(ended(&all), 20);
    // A root and twelve leaves, all of which hash to what links say, in the order of the walk.
    let links: Vec<_> = all["links"].as_array().unwrap().iter().map(|link| &link[0]).collect();
    assert_eq!((links.len(), &all["blocks"]), (13, &json!(13)));
    assert_eq!(json!(links), all["walk"]);
    assert_eq!((&all["missing"], &all["unasked"]), (&json!([]), &json!([])));
    assert!(all["bytes"].as_u64().unwrap() > 3 << 20, "{}", all["bytes"]);

    let refused = ask(cid, ENDLESS, json!({}));
    assert_eq!((ended(&refused), &refused["links"]), (30, &json!([])));
    let root = ask(cid, ROOT, json!({}));
    assert_eq!((ended(&root), &root["links"]), (20, &json!([[cid, "p"]])));
    let nothing = "bafybeiaciadbyyao62awrszkmc3vupblbljia2wpjltejjv776tkrmatiu";
    let missing = ask(nothing, DEEP, json!({}));
    assert_eq!((ended(&missing), &missing["links"]), (34, &json!([[nothing, "m"]])));
    // What is there already is not sent again, and told to be present all the same.
    let rest = ask(cid, DEEP, json!({ "graphsync/do-not-send-first-blocks": "03" }));
    assert_eq!((&rest["links"], &rest["blocks"]), (&all["links"], &json!(10)));
    assert_eq!(rest["missing"], json!(links[..3]));
}

#[test]
fn helia_and_kubo_have_files_of_each_other() {
    let (Some(mut kubo), Some(Js { peer: mut helia, .. })) =
        (Kubo::start(&json!({})), Js::start("helia.mjs", &json!({})))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (path, expected) = file(folder.path(), 3 << 20, 7);
    let cid = kubo.peer.does(&json!({ "do": "add", "path": path }));
    assert_eq!(helia.does(&json!({ "do": "has", "cid": cid })), json!(false));
    assert_eq!(helia.does(&json!({ "do": "get", "cid": cid, "peer": kubo.address("/tcp/") })), expected);
    assert_eq!(helia.does(&json!({ "do": "has", "cid": cid })), json!(true));

    let (path, _) = file(folder.path(), 3 << 20, 11);
    let cid = helia.does(&json!({ "do": "add", "path": path }));
    assert_eq!(kubo.peer.does(&json!({ "do": "connect", "address": helia.ready["addresses"][0] })), 0);
    let there = folder.path().join("there");
    assert_eq!(kubo.peer.does(&json!({ "do": "download", "cid": cid, "path": there })), 0);
    assert!(std::fs::read(there).unwrap() == content(3 << 20, 11));

    let nothing =
        json!({ "do": "get", "cid": "bafybeiaciadbyyao62awrszkmc3vupblbljia2wpjltejjv776tkrmatiu", "ms": 500 });
    assert!(helia.tries(&nothing).is_err());
}

/// It gets from others; none get from it.
#[test]
fn py_libp2p_has_files_of_others() {
    let (Some(mut kubo), Some(Js { peer: mut helia, .. }), Some(mut py)) =
        (Kubo::start(&json!({})), Js::start("helia.mjs", &json!({})), py_libp2p::start(&json!({})))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = kubo.address("/tcp/");
    let theirs = helia.ready["addresses"][0].as_str().unwrap().to_owned();
    let sources = [(&mut kubo.peer, address, 100_000), (&mut helia, theirs, 2_000_000)];
    for (seed, (source, address, length)) in sources.into_iter().enumerate() {
        let (path, _) = file(folder.path(), length, seed + 5);
        let cid = source.does(&json!({ "do": "add", "path": path }));
        py.does(&json!({ "do": "connect", "address": address }));
        let there = folder.path().join("there");
        py.does(&json!({ "do": "get", "cid": cid, "id": source.ready["id"], "path": there }));
        assert!(std::fs::read(there).unwrap() == content(length, seed + 5), "{cid}");
        assert!(texts(&py.does(&json!({ "do": "peers" }))).contains(&source.ready["id"].as_str().unwrap()));
    }
}
