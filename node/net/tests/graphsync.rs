//! Graphsync between hosts of ours, in both versions: `spec/network.md` 18, N13. No program that speaks version 1 is at hand: its bytes are
//! compared with those of other programs in `node/ipld`, and here our two ends speak it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use filecash_ipld::codec::Codec;
use filecash_ipld::graphsync::{Admission, Order, PullError};
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::{DiskOptions, DiskStore, MemoryStore};
use filecash_ipld::wire::graphsync::{RequestId, Status, Version};
use filecash_net::graphsync::{FetchError, FetchOptions, GraphsyncOptions, Source, Wish};
use filecash_net::{Multiaddr, PeerId};
use tokio::sync::watch;
use tokio::time::sleep;

mod hosts;
mod stores;

use hosts::{host, until};
use stores::{Node, import, node, node_of, noise, read};

async fn fetch<S>(
    node: &Node<S>,
    order: &Order,
    source: &Source,
) -> Result<filecash_net::graphsync::Pulled, FetchError> {
    let options = FetchOptions { tries: 1, ..FetchOptions::default() };
    node.graphsync.fetch(order, std::slice::from_ref(source), &options, |_| ()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_brings_a_file() {
    for versions in [&[Version::V1][..], &[Version::V2], &Version::ALL] {
        let options = GraphsyncOptions { versions: versions.to_vec(), ..GraphsyncOptions::default() };
        let (server, client) = (node_of(MemoryStore::default(), options), node());
        let bytes = noise(3_000_000);
        let root = import(server.store.as_ref(), &bytes);
        let pulled = fetch(&client, &Order::everything(root), &server.source().await).await.unwrap();
        assert_eq!((pulled.blocks, pulled.requests, pulled.missing), (13, 1, vec![]));
        assert_eq!(read(client.store.as_ref(), &root), bytes);
        // What is here is not asked for.
        let again = fetch(&client, &Order::everything(root), &server.source().await).await.unwrap();
        assert_eq!((again.blocks, again.requests), (0, 0));
        assert_eq!(server.graphsync.totals().blocks_sent.load(Ordering::Relaxed), 13);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_and_failures_told() {
    let (server, client) = (node(), node());
    let source = server.source().await;
    let root = import(server.store.as_ref(), &noise(1_000_000));
    let refused = |error: FetchError| match error {
        FetchError::Pull(_, PullError::Refused(status)) => status,
        error => panic!("{error}"),
    };
    for selector in [Selector::everything(), Selector::everything_to(101)] {
        let error = fetch(&client, &Order { selector, ..Order::everything(root) }, &source).await.unwrap_err();
        assert_eq!(refused(error), Status::REJECTED);
    }
    let nowhere = HashKind::Sha256.cid(Codec::Raw.code(), b"nowhere").unwrap();
    let error = fetch(&client, &Order::everything(nowhere), &source).await.unwrap_err();
    assert_eq!(refused(error), Status::NOT_FOUND);
    // Who speaks no graphsync, and who is not there.
    let mute = host();
    let addresses = until("listening", async || mute.addresses().await.ok().filter(|all| !all.is_empty())).await;
    let full = |address: Multiaddr| address.with(libp2p::multiaddr::Protocol::P2p(mute.peer_id()));
    let mute = Source { peer: mute.peer_id(), addresses: addresses.into_iter().map(full).collect() };
    let error = fetch(&client, &Order::everything(root), &mute).await.unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "it speaks no graphsync");
    let gone = Source { peer: PeerId::random(), addresses: vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()] };
    assert!(matches!(
        fetch(&client, &Order::everything(root), &gone).await,
        Err(FetchError::Host(_) | FetchError::Say(..))
    ));
    // Others are asked where one has nothing.
    let options = FetchOptions { tries: 3, ..FetchOptions::default() };
    let sources = [node().source().await, mute, source];
    let pulled = client.graphsync.fetch(&Order::everything(root), &sources, &options, |_| ()).await.unwrap();
    assert_eq!(pulled.blocks, 5);
    assert!(matches!(
        client.graphsync.fetch(&Order::everything(root), &[], &options, |_| ()).await,
        Err(FetchError::Nobody)
    ));
}

/// A request waits until the node says that it may go on; another is ended by it.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_decides_what_is_answered_and_when() {
    let asked: Arc<Mutex<Vec<(PeerId, RequestId)>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let hooks = Arc::new(move |peer: PeerId, asked: &filecash_ipld::graphsync::Asked| {
        seen.lock().unwrap().push((peer, asked.id));
        Admission::Pause(Vec::new())
    });
    let options = GraphsyncOptions { hooks, ..GraphsyncOptions::default() };
    let (server, client) = (node_of(MemoryStore::default(), options), node());
    let root = import(server.store.as_ref(), &noise(1_000_000));
    let source = server.source().await;
    let options = FetchOptions { tries: 1, silence: Duration::from_millis(300), ..FetchOptions::default() };
    let order = Order::everything(root);
    let steps = async {
        let (peer, id) = until("asked", async || asked.lock().unwrap().pop()).await;
        // Longer than who says nothing is waited for: it said that it waits.
        sleep(Duration::from_millis(700)).await;
        server.graphsync.resume(peer, id, Vec::new());
    };
    let sources = [source];
    let (pulled, ()) = tokio::join!(client.graphsync.fetch(&order, &sources, &options, |_| ()), steps);
    assert_eq!(pulled.unwrap().blocks, 5);
    let other = node();
    let steps = async {
        let (peer, id) = until("asked", async || asked.lock().unwrap().pop()).await;
        server.graphsync.refuse(peer, id, Status::LEGAL);
    };
    let (pulled, ()) = tokio::join!(other.graphsync.fetch(&order, &sources, &options, |_| ()), steps);
    assert!(matches!(pulled, Err(FetchError::Pull(_, PullError::Refused(Status::LEGAL)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_as_long_as_it_is_to() {
    let (server, client) = (node(), node());
    let bytes = noise(20_000_000);
    let root = import(server.store.as_ref(), &bytes);
    let (wish, wishes) = watch::channel(Wish::Go);
    let options = FetchOptions { wish: Some(wishes), ..FetchOptions::default() };
    let blocks = AtomicU64::new(0);
    let (order, sources) = (Order::everything(root), [server.source().await]);
    let wish_too = wish.clone();
    let fetch = client.graphsync.fetch(&order, &sources, &options, |pulled| {
        blocks.store(pulled.blocks, Ordering::Relaxed);
        if pulled.requests == 1 {
            wish_too.send_replace(Wish::Wait);
        }
    });
    let steps = async {
        until("waiting", async || (*wish.borrow() == Wish::Wait).then_some(())).await;
        sleep(Duration::from_millis(300)).await;
        let then = blocks.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        assert_eq!(blocks.load(Ordering::Relaxed), then);
        assert!(then < 77, "{then}");
        wish.send_replace(Wish::Go);
    };
    let (pulled, ()) = tokio::join!(fetch, steps);
    assert_eq!((pulled.unwrap().requests, read(client.store.as_ref(), &root) == bytes), (2, true));
}

/// N13: a transfer that is cut a hundred times, by either side, by who gives up and by who begins anew with what is on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_cut_a_hundred_times() {
    const CUTS: u64 = 100;
    let server = node();
    let bytes = noise(150_000_000);
    let root = import(server.store.as_ref(), &bytes);
    let order = Order::everything(root);
    let folder = tempfile::tempdir().unwrap();
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut cuts, mut received) = (0, 0);
    let options = FetchOptions { wait: Duration::from_millis(1), tries: 1000, ..FetchOptions::default() };
    let sources = [server.source().await];
    let pulled = loop {
        // What a node finds that was killed: the blocks on its disk.
        let client =
            node_of(DiskStore::open(folder.path(), &DiskOptions::default()).unwrap(), GraphsyncOptions::default());
        let (told, mut news) = watch::channel(0);
        let fetch = client.graphsync.fetch(&order, &sources, &options, |pulled| {
            told.send_replace(pulled.blocks);
        });
        let cut = async {
            loop {
                if cuts == CUTS {
                    std::future::pending::<()>().await;
                }
                // Some blocks later.
                let at = *news.borrow() + random(4);
                if news.wait_for(|blocks| *blocks >= at).await.is_err() {
                    std::future::pending::<()>().await;
                }
                cuts += 1;
                match random(4) {
                    0 => return,
                    1 => drop(server.host.disconnect(client.host.peer_id()).await),
                    _ => drop(client.host.disconnect(server.host.peer_id()).await),
                }
            }
        };
        let pulled = tokio::select! { pulled = fetch => Some(pulled.unwrap()), () = cut => None };
        received += client.graphsync.totals().bytes_received.load(Ordering::Relaxed);
        if pulled.is_some() {
            break client;
        }
        client.host.stop().await;
        // What it was told by then is kept, and the folder let go.
        let Node { store, graphsync, host } = client;
        drop((graphsync, host));
        until("let go", async || (Arc::strong_count(&store) == 1).then_some(())).await;
    };
    assert_eq!(cuts, CUTS);
    assert!(read(pulled.store.as_ref(), &root) == bytes);
    let sent = server.graphsync.totals().bytes_sent.load(Ordering::Relaxed);
    let length = bytes.len() as u64;
    println!("cut {cuts} times: {length} bytes, {received} received, {sent} sent");
    // Of what was received, what one message has was lost with a cut at most.
    assert!(received < length + length / 100 + CUTS * (768 << 10), "{received}");
    assert!(received <= sent);
}
