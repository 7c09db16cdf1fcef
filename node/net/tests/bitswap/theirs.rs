//! kubo 0.22 (boxo 0.11) and we, both ways.

use std::fs;
use std::path::Path;

use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;
use filecash_ipld::unixfs::disk::Hidden;
use filecash_ipld::unixfs::extract::{Options as ExtractOptions, extract};
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::{KUBO, LOTUS};
use filecash_net::PeerId;
use serde_json::json;

use crate::hosts::{address_of, soon};
use crate::kubo::Kubo;
use crate::later::Told;
use crate::node::Node;
use crate::stores::seeded;

async fn meet(node: &Node, kubo: &Kubo, transport: &str) -> PeerId {
    node.host.connect(vec![kubo.address(transport).parse().unwrap()]).await.unwrap()
}

fn add(kubo: &mut Kubo, path: &Path) -> Cid {
    let cid = kubo.peer.does(&json!({ "do": "add", "path": path.to_str().unwrap() }));
    cid.as_str().unwrap().parse().unwrap()
}

/// Small files in folders, one of which has so many that it is sharded.
fn write_folder(folder: &Path) {
    fs::create_dir_all(folder.join("some/deeper")).unwrap();
    fs::create_dir_all(folder.join("many")).unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("some/small"), b"small").unwrap();
    fs::write(folder.join("some/deeper/large"), seeded(3_000_000, 3)).unwrap();
    for number in 0..1200 {
        fs::write(folder.join(format!("many/{number:0200}")), format!("{number}")).unwrap();
    }
}

fn assert_same(one: &Path, other: &Path) {
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(one), names(other));
    for name in names(one) {
        let (one, other) = (one.join(&name), other.join(&name));
        match one.is_dir() {
            true => assert_same(&one, &other),
            false => assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap(), "{}", one.display()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_kubos_is_fetched() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (transport, length) in [("/tcp/", 0), ("/tcp/", 100), ("/tcp/", 60_000_000), ("/quic-v1", 30_000_000)] {
        let content = seeded(length, length as u64);
        fs::write(&path, &content).unwrap();
        let root = add(&mut kubo, &path);
        let node = Node::start();
        let peer = meet(&node, &kubo, transport).await;
        let mut told = Vec::new();
        let progress = soon(node.bitswap.fetch(&root, &[peer], |progress| told.push(progress))).await.unwrap();
        assert!(node.file(&root) == content, "{transport} {length}");
        assert_eq!(told.last(), Some(&progress));
        let stats = node.bitswap.stats();
        assert_eq!((stats.blocks_received, stats.unasked, stats.offences), (progress.fetched, 0, 0));
        assert_eq!((stats.bytes_received, progress.found), (progress.fetched_bytes, 0));
        // What is there is not asked for again.
        let again = soon(node.bitswap.fetch(&root, &[peer], |_| ())).await.unwrap();
        assert_eq!((again.found, again.fetched, node.bitswap.stats()), (progress.fetched, 0, stats));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_of_kubos_is_fetched() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs"), folder.path().join("ours"));
    write_folder(&theirs);
    let root = add(&mut kubo, &theirs);
    let node = Node::start();
    let peer = meet(&node, &kubo, "/tcp/").await;
    let progress = soon(node.bitswap.fetch(&root, &[peer], |_| ())).await.unwrap();
    // The files, and nodes of the sharded folder.
    assert!(progress.fetched > 1250, "{progress:?}");
    extract(&*node.store, &root, &ours, &ExtractOptions::default(), |_| ()).unwrap();
    assert_same(&theirs, &ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_fetches_files_and_folders_of_ours() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let node = Node::start();
    let address = address_of(&node.host, "/tcp/").await.to_string();
    assert_eq!(kubo.peer.does(&json!({ "do": "connect", "address": address })), 0);
    let mut download = |root: &Cid| {
        let command = json!({ "do": "download", "cid": root.to_string(), "path": theirs.to_str().unwrap() });
        assert_eq!(kubo.peer.does(&command), 0, "{root}");
    };
    for profile in [KUBO, LOTUS] {
        let content = seeded(20_000_000, 9);
        download(&node.import(profile, &content));
        assert!(fs::read(&theirs).unwrap() == content, "{}", profile.name);
        fs::remove_file(&theirs).unwrap();
    }
    write_folder(&ours);
    let mut importer = Importer::new(KUBO, |blocks| node.store.put(blocks));
    let imported = importer.path(&ours, Hidden::Skip).unwrap();
    importer.finish().unwrap();
    download(&imported.cid);
    assert_same(&ours, &theirs);
    assert_eq!(node.bitswap.stats().offences, 0);
}

/// kubo asks before the blocks are there, and somebody puts them who is not bitswap.
#[tokio::test(flavor = "multi_thread")]
async fn kubo_gets_what_is_put_later() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let (told, hidden) = (Told::start(), Node::start());
    let content = seeded(1_000_000, 5);
    let root = hidden.import(KUBO, &content);
    let address = address_of(&told.host, "/tcp/").await.to_string();
    assert_eq!(kubo.peer.does(&json!({ "do": "connect", "address": address })), 0);
    let command = json!({ "do": "download", "cid": root.to_string(), "path": path.to_str().unwrap() });
    let downloading = tokio::task::spawn_blocking(move || kubo.peer.does(&command));
    soon(async {
        while told.bitswap.wants() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut importer = Importer::new(KUBO, |blocks| told.store.put(blocks));
    assert_eq!(importer.file(&content[..]).unwrap().cid, root);
    importer.finish().unwrap();
    assert_eq!(soon(downloading).await.unwrap(), 0);
    assert!(fs::read(&path).unwrap() == content);
}

/// kubo asks before the block is there.
#[tokio::test(flavor = "multi_thread")]
async fn kubo_gets_what_comes_later() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let (node, hidden) = (Node::start(), Node::start());
    let content = seeded(1_000_000, 5);
    let root = hidden.import(KUBO, &content);
    let address = address_of(&node.host, "/tcp/").await.to_string();
    assert_eq!(kubo.peer.does(&json!({ "do": "connect", "address": address })), 0);
    let command = json!({ "do": "download", "cid": root.to_string(), "path": path.to_str().unwrap() });
    let downloading = tokio::task::spawn_blocking(move || kubo.peer.does(&command));
    soon(async {
        while node.bitswap.wants() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    node.connect(&hidden).await;
    soon(node.bitswap.fetch(&root, &[hidden.id()], |_| ())).await.unwrap();
    assert_eq!(soon(downloading).await.unwrap(), 0);
    assert!(fs::read(&path).unwrap() == content);
}
