//! Hosts of ours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use filecash_ipld::Block;
use filecash_ipld::codec::Codec;
use filecash_ipld::hash::HashKind;
use filecash_ipld::store::BlockStore;
use filecash_ipld::unixfs::profile::{KUBO, LOTUS};
use filecash_net::PeerId;
use filecash_net::bitswap::{self, BitswapError, FetchError, Limits, Options};
use tokio::time::{sleep, timeout};

use crate::hosts::{address_of, soon};
use crate::node::Node;
use crate::stores::seeded;

#[tokio::test(flavor = "multi_thread")]
async fn file_is_fetched_from_several_each_block_once() {
    let content = seeded(40 << 20, 7);
    let (one, other, client) = (Node::start(), Node::start(), Node::start());
    let root = one.import(KUBO, &content);
    assert_eq!(other.import(KUBO, &content), root);
    for peer in [&one, &other] {
        client.connect(peer).await;
    }
    let progress = soon(client.bitswap.fetch(&root, &[one.id(), other.id()], |_| ())).await.unwrap();
    assert!(client.file(&root) == content);
    let (here, there) = (client.bitswap.stats(), [one.bitswap.stats(), other.bitswap.stats()]);
    assert_eq!((here.blocks_received, here.unasked, here.wants_refused), (progress.fetched, 0, 0));
    assert!(there.iter().all(|stats| stats.blocks_sent > 20), "{there:?}");
    let sent: u64 = there.iter().map(|stats| stats.blocks_sent).sum();
    // But where one is late: then another is asked, too.
    assert!(sent * 4 < progress.fetched * 5, "{sent} {progress:?}");
}

/// Each has a part, so that all are needed; one has nothing, and one cannot be reached.
#[tokio::test(flavor = "multi_thread")]
async fn parts_are_fetched_from_who_has_them() {
    let content = seeded(10 << 20, 8);
    let client = Node::start();
    let source = Node::start();
    let root = source.import(LOTUS, &content);
    let helpers = [Node::start(), Node::start(), Node::start()];
    client.connect(&source).await;
    soon(client.bitswap.fetch(&root, &[source.id()], |_| ())).await.unwrap();
    let all = client.blocks(&root);
    for (place, cid) in all.iter().enumerate() {
        let block = Block::checked(*cid, client.store.get(cid).unwrap().unwrap()).unwrap();
        helpers[place % 2].store.put(&[block]).unwrap();
    }
    client.store.remove(&all).unwrap();
    for helper in &helpers {
        client.connect(helper).await;
    }
    let mut peers: Vec<PeerId> = helpers.iter().map(Node::id).collect();
    peers.push(PeerId::random());
    soon(client.bitswap.fetch(&root, &peers, |_| ())).await.unwrap();
    assert!(client.file(&root) == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_block_is_fetched_or_found() {
    let (server, client) = (Node::start(), Node::start());
    client.connect(&server).await;
    let block = Block::new(HashKind::Blake2b256, Codec::DagCbor, vec![0x63, b'a', b'b', b'c']).unwrap();
    server.store.put(std::slice::from_ref(&block)).unwrap();
    for _ in 0..2 {
        assert_eq!(soon(client.bitswap.block(block.cid(), &[server.id()])).await.unwrap(), block);
    }
    assert_eq!(server.bitswap.stats().blocks_sent, 1);
    let identity = HashKind::Identity.cid(Codec::Raw.code(), b"held").unwrap();
    assert_eq!(soon(client.bitswap.block(&identity, &[])).await.unwrap().bytes(), b"held");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_had_is_told() {
    let limits = Limits { absence: Duration::from_millis(300), patience: Duration::from_secs(8), ..Limits::default() };
    let client = Node::start_with(Options { limits, ..Options::default() });
    let (server, silent) = (Node::start(), Node::start());
    let nothing = HashKind::Sha256.cid(Codec::Raw.code(), b"nothing").unwrap();
    let error = soon(client.bitswap.block(&nothing, &[])).await.unwrap_err();
    assert!(matches!(error, FetchError::NoPeers(_)), "{error}");
    let error = soon(client.bitswap.block(&nothing, &[PeerId::random()])).await.unwrap_err();
    assert!(matches!(error, FetchError::Lost), "{error}");
    client.connect(&server).await;
    let error = soon(client.bitswap.block(&nothing, &[server.id(), PeerId::random()])).await.unwrap_err();
    assert!(matches!(error, FetchError::Nowhere(_)), "{error}");
    // Somebody who takes streams and says nothing.
    drop(silent.bitswap);
    sleep(Duration::from_millis(100)).await;
    let protocols = [libp2p::StreamProtocol::new("/ipfs/bitswap/1.2.0")];
    let _streams = silent.host.acceptor().accept(&protocols).unwrap();
    client.host.connect(vec![address_of(&silent.host, "/tcp/").await]).await.unwrap();
    let error = soon(client.bitswap.block(&nothing, &[silent.host.peer_id()])).await.unwrap_err();
    assert!(matches!(error, FetchError::Silent { .. }), "{error}");
    assert_eq!(server.bitswap.wants(), 0, "the want was cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_with_a_prefix_are_apart() {
    let chain = || Options { prefix: "/chain".to_owned(), ..Options::default() };
    let (one, other, plain) = (Node::start_with(chain()), Node::start_with(chain()), Node::start());
    let root = one.import(LOTUS, &seeded(1000, 1));
    other.connect(&one).await;
    soon(other.bitswap.fetch(&root, &[one.id()], |_| ())).await.unwrap();
    plain.connect(&one).await;
    let error = soon(plain.bitswap.fetch(&root, &[one.id()], |_| ())).await.unwrap_err();
    assert!(matches!(error, FetchError::Lost), "{error}");
    // Both on one host.
    let store = Arc::clone(&one.store);
    let second = bitswap::run(&one.host, store.clone(), Options::default()).unwrap();
    let twice = bitswap::run(&one.host, store.clone(), Options::default());
    assert!(matches!(twice, Err(BitswapError::Served(_))));
    let wrong = bitswap::run(&one.host, store, Options { prefix: "chain".to_owned(), ..Options::default() });
    assert!(matches!(wrong, Err(BitswapError::Prefix(_))));
    soon(plain.bitswap.fetch(&root, &[one.id()], |_| ())).await.unwrap();
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_that_is_dropped_wants_nothing_any_more() {
    let limits = Limits { fetches: 1, ..Limits::default() };
    let (server, client) = (Node::start(), Node::start_with(Options { limits, ..Options::default() }));
    client.connect(&server).await;
    let nothing = HashKind::Sha256.cid(Codec::Raw.code(), b"nothing").unwrap();
    let peers = [server.id()];
    let fetching = client.bitswap.fetch(&nothing, &peers, |_| ());
    let waiting = timeout(Duration::from_millis(500), async {
        let second = async {
            sleep(Duration::from_millis(300)).await;
            assert_eq!(server.bitswap.wants(), 1);
            client.bitswap.fetch(&nothing, &peers, |_| ()).await.unwrap_err()
        };
        let (_, error) = tokio::join!(fetching, second);
        error
    });
    assert!(waiting.await.is_err());
    soon(async {
        while server.bitswap.wants() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fetches_share_what_comes() {
    let (server, client) = (Node::start(), Node::start());
    let content = seeded(8 << 20, 2);
    let root = server.import(KUBO, &content);
    client.connect(&server).await;
    let told = Mutex::new(0);
    let fetch = || async {
        client.bitswap.fetch(&root, &[server.id()], |_| *told.lock().unwrap() += 1).await.unwrap();
    };
    soon(async { tokio::join!(fetch(), fetch(), fetch()) }).await;
    assert!(client.file(&root) == content);
    let sent = server.bitswap.stats().blocks_sent;
    assert!(sent < 2 * client.blocks(&root).len() as u64, "{sent}");
    assert!(*told.lock().unwrap() > 3);
}

/// Bitswap that has ended is served no more, and may begin again.
#[tokio::test(flavor = "multi_thread")]
async fn bitswap_ends_with_its_last_handle() {
    let (server, client) = (Node::start(), Node::start());
    let root = server.import(KUBO, &seeded(1000, 1));
    client.connect(&server).await;
    let Node { host, bitswap, store } = server;
    drop(bitswap);
    sleep(Duration::from_millis(100)).await;
    let error = soon(client.bitswap.fetch(&root, &[host.peer_id()], |_| ())).await.unwrap_err();
    assert!(matches!(error, FetchError::Lost), "{error}");
    assert_eq!(Arc::strong_count(&store), 1);
    let _again = bitswap::run(&host, store, Options::default()).unwrap();
    soon(client.bitswap.fetch(&root, &[host.peer_id()], |_| ())).await.unwrap();
}
