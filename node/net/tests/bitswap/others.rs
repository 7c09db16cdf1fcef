//! Helia 7.1 (js-libp2p 3.3) both ways, and py-libp2p 0.8, which gets from others and gives to nobody: it answers where it was asked.

use filecash_ipld::Cid;
use filecash_ipld::hash::HashKind;
use filecash_ipld::unixfs::profile::{HELIA, KUBO};
use serde_json::json;

use crate::hosts::address_of;
use crate::js::Js;
use crate::node::Node;
use crate::py_libp2p;
use crate::stores::seeded;

#[tokio::test(flavor = "multi_thread")]
async fn helia_and_we_have_files_of_each_other() {
    let Some(Js { peer: mut helia, .. }) = Js::start("helia.mjs", &json!({})) else { return };
    let node = Node::start();
    for length in [10, 3 << 20] {
        let file = seeded(length, 5);
        let cid = node.import(HELIA, &file);
        let there =
            json!({ "do": "get", "cid": cid.to_string(), "peer": address_of(&node.host, "/tcp/").await.to_string() });
        let sha256 = HashKind::Sha256.multihash(&file).unwrap();
        assert_eq!(helia.does(&there), json!({ "sha256": hex::encode(sha256.digest()), "length": length }));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for length in [10, 700_000, 40 << 20] {
        let file = seeded(length, 9);
        std::fs::write(&path, &file).unwrap();
        let cid: Cid = helia.does(&json!({ "do": "add", "path": path })).as_str().unwrap().parse().unwrap();
        let other = Node::start();
        let at = helia.ready["addresses"][0].as_str().unwrap().parse().unwrap();
        let id = other.host.connect(vec![at]).await.unwrap();
        other.bitswap.fetch(&cid, &[id], |_| ()).await.unwrap();
        assert!(other.file(&cid) == file, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn py_libp2p_has_files_of_ours() {
    let Some(mut py) = py_libp2p::start(&json!({})) else { return };
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    for length in [1000, 2_000_000] {
        let file = seeded(length, 11);
        let cid = node.import(KUBO, &file);
        py.does(&json!({ "do": "connect", "address": address_of(&node.host, "/tcp/").await.to_string() }));
        py.does(&json!({ "do": "get", "cid": cid.to_string(), "id": node.id().to_string(), "path": there }));
        assert!(std::fs::read(&there).unwrap() == file, "{length}");
    }
}
