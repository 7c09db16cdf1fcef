//! Graphsync with kubo 0.22 (go-graphsync 0.14.4): `spec/network.md` 18, N5. It answers; it has no command to ask.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::graphsync::{Held, Order, PullError};
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::{BlockStore, DiskOptions, DiskStore, MemoryStore};
use filecash_ipld::traverse::Walk;
use filecash_ipld::unixfs::disk::Hidden;
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::unixfs::profile::KUBO;
use filecash_ipld::wire::graphsync::Status;
use filecash_net::graphsync::{FetchError, FetchOptions, GraphsyncOptions, Pulled, Source};
use serde_json::json;

mod hosts;
#[path = "../../../tests/support/kubo.rs"]
mod kubo;
#[path = "../../../tests/support/peer.rs"]
mod peer;
mod stores;

use hosts::until;
use kubo::Kubo;
use stores::{Node, node, node_of, noise, read};

fn source(kubo: &Kubo) -> Source {
    Source { peer: kubo.id().parse().unwrap(), addresses: vec![kubo.address("/tcp/").parse().unwrap()] }
}

fn add(kubo: &mut Kubo, path: &Path) -> Cid {
    kubo.peer.does(&json!({ "do": "add", "path": path })).as_str().unwrap().parse().unwrap()
}

/// What we make of a path, without kubo.
fn import(path: &Path) -> (MemoryStore, Cid) {
    let store = MemoryStore::default();
    let mut importer = Importer::new(KUBO, |blocks| store.put(blocks));
    let imported = importer.path(path, Hidden::Skip).unwrap();
    importer.finish().unwrap();
    (store, imported.cid)
}

async fn fetch<S>(node: &Node<S>, order: &Order, source: &Source) -> Result<Pulled, FetchError> {
    let options = FetchOptions { tries: 1, ..FetchOptions::default() };
    node.graphsync.fetch(order, std::slice::from_ref(source), &options, |_| ()).await
}

/// The blocks that a walk needs.
fn blocks(store: &impl BlockStore, order: &Order) -> HashSet<Cid> {
    let mut walk = Walk::new(order.root, &order.selector, order.limits);
    let mut cids = HashSet::new();
    while let Some(wanted) = walk.next_block().unwrap() {
        walk.supply(&wanted.cid, &store.get(&wanted.cid).unwrap().unwrap()).unwrap();
        cids.insert(wanted.cid);
    }
    cids
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_sends_files_and_folders() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut paths = vec![
        write("empty", b""),
        write("small", b"hello"),
        write("chunk", &noise(262_144)),
        write("file", &noise(3_000_001)),
        // The same chunk many times: each block comes once.
        write("zeros", &vec![0; 5_000_000]),
    ];
    for number in 0..40 {
        write(&format!("tree/{}/{number}", number % 7), &noise(number * 10_000));
    }
    paths.push(folder.path().join("tree"));
    for path in &paths {
        let (ours, cid) = import(path);
        let root = add(&mut kubo, path);
        assert_eq!(root, cid, "{}", path.display());
        let client = node();
        let order = Order::everything(root);
        let pulled = fetch(&client, &order, &source(&kubo)).await.unwrap();
        let expected = blocks(&ours, &order);
        assert_eq!((pulled.blocks, pulled.missing), (expected.len() as u64, vec![]), "{}", path.display());
        assert_eq!(blocks(client.store.as_ref(), &order), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubo_sends_as_much_as_the_selector_says() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    for number in 0..20 {
        let path = folder.path().join(format!("tree/{}", number % 3));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(number.to_string()), noise(100_000 * number)).unwrap();
    }
    let (ours, root) = import(&folder.path().join("tree"));
    assert_eq!(add(&mut kubo, &folder.path().join("tree")), root);
    let source = source(&kubo);
    let mut selectors: Vec<_> = (1..13).chain([99, 100]).map(Selector::everything_to).collect();
    selectors.push(Selector::one_block());
    // One of the folders: its second, and all of that.
    selectors.push(Selector::at_path(["Links", "1", "Hash"], Selector::everything_to(100)).unwrap());
    for selector in selectors {
        let client = node();
        let order = Order { selector, ..Order::everything(root) };
        let pulled = fetch(&client, &order, &source).await.unwrap();
        let expected = blocks(&ours, &order);
        assert_eq!(pulled.blocks, expected.len() as u64, "{:?}", order.selector);
        assert!(expected.iter().all(|cid| client.store.get(cid).unwrap().is_some()));
    }
    for selector in [Selector::everything(), Selector::everything_to(101)] {
        let order = Order { selector, ..Order::everything(root) };
        let error = fetch(&node(), &order, &source).await.unwrap_err();
        assert!(matches!(error, FetchError::Pull(_, PullError::Refused(Status::REJECTED))), "{error}");
    }
    let nowhere = HashKind::Sha256.cid(0x55, b"nowhere").unwrap();
    let error = fetch(&node(), &Order::everything(nowhere), &source).await.unwrap_err();
    assert!(matches!(error, FetchError::Pull(_, PullError::Refused(Status::NOT_FOUND))), "{error}");
}

/// 100 MB, cut again and again.
#[tokio::test(flavor = "multi_thread")]
async fn kubo_goes_on_where_it_was_cut() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(100_000_000);
    std::fs::write(folder.path().join("file"), &bytes).unwrap();
    let root = add(&mut kubo, &folder.path().join("file"));
    let store = DiskStore::open(&folder.path().join("blocks"), &DiskOptions::default()).unwrap();
    let client = node_of(store, GraphsyncOptions::default());
    let source = source(&kubo);
    let options = FetchOptions { tries: 100, ..FetchOptions::default() };
    let order = Order::everything(root);
    let next = std::sync::atomic::AtomicU64::new(20);
    let cut = Arc::new(tokio::sync::Notify::new());
    let fetch = client.graphsync.fetch(&order, std::slice::from_ref(&source), &options, |pulled| {
        if pulled.blocks >= next.load(Relaxed) {
            next.store(pulled.blocks + 60, Relaxed);
            cut.notify_one();
        }
    });
    let cutting = async {
        loop {
            cut.notified().await;
            client.host.disconnect(source.peer).await.unwrap();
        }
    };
    let pulled = tokio::select! { pulled = fetch => pulled.unwrap(), () = cutting => unreachable!("it cuts until the fetch is over") };
    assert!(read(client.store.as_ref(), &root) == bytes);
    let order = Order::everything(root);
    assert!(Held::of(&order, client.store.as_ref()).unwrap().is_all);
    let distinct = blocks(client.store.as_ref(), &order).len() as u64;
    assert!(pulled.requests >= 4, "{pulled:?}");
    // Who asks says how far it is, and kubo sends nothing of that. What comes when a cut was noticed is kept, and not counted.
    assert!(pulled.blocks <= distinct && pulled.blocks >= distinct - 2 * u64::from(pulled.requests), "{pulled:?}");
}

/// Who gives up says so, and kubo sends no more than was on its way.
#[tokio::test(flavor = "multi_thread")]
async fn kubo_stops_when_it_is_told_to() {
    let Some(mut kubo) = Kubo::start(&json!({})) else { return };
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(300_000_000);
    std::fs::write(folder.path().join("file"), &bytes).unwrap();
    let root = add(&mut kubo, &folder.path().join("file"));
    let (client, source) = (node(), source(&kubo));
    let (order, options) = (Order::everything(root), FetchOptions::default());
    let enough = tokio::sync::Notify::new();
    let given_up = client.graphsync.fetch(&order, std::slice::from_ref(&source), &options, |pulled| {
        if pulled.blocks > 20 {
            enough.notify_one();
        }
    });
    tokio::select! {
        pulled = given_up => panic!("it was faster: {pulled:?}"),
        () = enough.notified() => {}
    }
    let totals = client.graphsync.totals();
    let came = || {
        let [asked, unasked] = [&totals.bytes_received, &totals.bytes_unasked].map(|total| total.load(Relaxed));
        asked + unasked
    };
    let all = until("nothing comes any more", async || {
        let before = came();
        tokio::time::sleep(Duration::from_secs(1)).await;
        (came() == before).then_some(before)
    });
    let all = all.await;
    println!("{} MB of 300 came", all / 1_000_000);
    assert!(all < 150_000_000, "{all} bytes came");
    assert!(client.host.is_connected(source.peer).await.unwrap());
    // What came is not sent again.
    fetch(&client, &order, &source).await.unwrap();
    assert!(read(client.store.as_ref(), &root) == bytes);
}
