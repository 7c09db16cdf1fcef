//! kubo 0.22 (boxo 0.11) and we, both ways.

use std::fs;
use std::path::Path;

use filecash_ipld::Cid;
use filecash_net::PeerId;
use serde_json::json;

use crate::kubo::Kubo;
use crate::node::{Node, bytes, soon};

async fn meet(node: &Node, kubo: &Kubo, transport: &str) -> PeerId {
    node.host.connect(vec![kubo.address(transport).parse().unwrap()]).await.unwrap()
}

fn add(kubo: &mut Kubo, path: &Path) -> Cid {
    let cid = kubo.peer.does(&json!({ "do": "add", "path": path.to_str().unwrap() }));
    cid.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_kubos_is_fetched() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    for (transport, length) in [("/tcp/", 0), ("/tcp/", 100), ("/tcp/", 300 << 20), ("/quic-v1", 30_000_000)] {
        let content = bytes(length, length as u64);
        let path = folder.path().join("file");
        fs::write(&path, &content).unwrap();
        let root = add(&mut kubo, &path);
        let node = Node::start();
        let peer = meet(&node, &kubo, transport).await;
        let began = std::time::Instant::now();
        let progress = soon(node.bitswap.fetch(&root, &[peer], |_| ())).await.unwrap();
        eprintln!("{transport} {length} {progress:?} {:?} {:?}", began.elapsed(), node.bitswap.stats());
        assert_eq!(node.file(&root), content);
    }
}
