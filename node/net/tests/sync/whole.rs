//! Whole chains from good peers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use filecash_chain::exchange::Response;
use filecash_chain::folder::ChainFolder;
use filecash_net::host::HostEvent;
use filecash_net::sync::Stage;

use crate::hosts::{connect, holds};
use crate::support::{Asked, Node, RULES, at, fresh, full, greet, real, server, vector};

#[tokio::test(flavor = "multi_thread")]
async fn chain_is_had_from_nothing_but_the_genesis() {
    let (_first, folder) = full(39);
    let (_second, other) = fresh();
    let (_third, last) = fresh();
    let (server, client) = (Node::start(folder), Node::start(other));
    let mut progress = client.sync.progress();
    let stages = tokio::spawn(async move {
        let mut stages = Vec::new();
        while progress.changed().await.is_ok() {
            let now = progress.borrow().clone();
            let (is_idle, height) = (now.stage == Stage::Idle, now.height);
            if !is_idle || height > 0 {
                stages.push(now);
            }
            if is_idle && height == 39 {
                break;
            }
        }
        stages
    });
    // Who dials is the one that is behind, and is told so.
    connect(&client.host, &server.host).await;
    client.is_at(39).await;
    let stages = stages.await.unwrap();
    assert!(stages.iter().any(|now| now.stage == Stage::Messages && now.height > 0 && now.target == 39), "{stages:?}");
    // The tipset that it is to come to is named once its headers have come.
    let (head, below): (_, Vec<_>) = (Some(Arc::new(at(39))), stages.iter().filter(|now| now.height < 39).collect());
    assert!(!below.is_empty() && below.iter().all(|now| now.tipset == head), "{stages:?}");
    assert_eq!(client.folder.head(), server.folder.head());
    let (chain, tipsets) = real();
    for tipset in tipsets.iter().filter(|tipset| tipset.height() > 0) {
        assert!(client.folder.is_on_chain(&tipset.key(), tipset.height()).unwrap());
        assert_eq!(client.folder.chain().messages(tipset).unwrap(), chain.messages(tipset).unwrap());
    }
    // Another has it from the one that just had it, who dials this time.
    let third = Node::start(last);
    connect(&client.host, &third.host).await;
    third.is_at(39).await;
    assert_eq!(third.folder.head(), client.folder.head());
}

/// A server that sends five tipsets at most, and then nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn sync_that_was_cut_goes_on_and_asks_for_nothing_again() {
    let (directory, mut folder) = fresh();
    let mut seen: Vec<filecash_chain::exchange::Request> = Vec::new();
    let mut heights = Vec::new();
    for patience in [1, 2, 4, 3, 3, 30] {
        let asked = Asked::default();
        let (list, left) = (Arc::clone(&asked), AtomicUsize::new(patience));
        let server = server(move |chain, request| {
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                return Response { status: 202, error_message: String::new(), chain: vec![] };
            }
            list.lock().unwrap().push(request.clone());
            let mut answer = chain.answer(request);
            answer.chain.truncate(5);
            answer
        });
        let node = Node::start(folder);
        greet(&server, &node, &at(39), 39, 1 << 40).await;
        holds("all that the server sends is there", async || {
            asked.lock().unwrap().len() >= patience || node.height() == 39
        })
        .await;
        holds("it has ended", async || node.sync.progress().borrow().stage == Stage::Idle).await;
        heights.push(node.height());
        node.stop().await;
        server.stop().await;
        folder = ChainFolder::open(&directory.path().join("chain"), RULES).unwrap();
        seen.extend(asked.lock().unwrap().drain(..));
    }
    assert_eq!((heights.last(), folder.head().tipset.key()), (Some(&39), at(39).key()));
    assert!(heights.iter().any(|height| (1..39).contains(height)), "{heights:?}");
    let headers: Vec<_> = seen.iter().filter(|request| request.wants_headers()).collect();
    // 32 tipsets, five at a time, the last of them with the genesis.
    assert_eq!(headers.len(), 7, "{headers:?}");
    for (place, request) in seen.iter().enumerate() {
        assert!(!seen[place + 1..].contains(request), "{request:?} twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fork_that_is_lighter_is_not_followed() {
    let (_first, folder) = full(39);
    let node = Node::start(folder);
    let server = server(|chain, request| chain.answer(request));
    // The head's parents are heavier than what one block of them would be.
    let several = real().1.into_iter().find(|tipset| tipset.blocks().len() > 1).unwrap();
    let one = filecash_chain::Tipset::new(vec![several.headers().last().unwrap().clone()]).unwrap();
    greet(&server, &node, &one, one.height(), 1 << 40).await;
    holds("it was looked at", async || node.sync.progress().has_changed().unwrap()).await;
    holds("it has ended", async || node.sync.progress().borrow().stage == Stage::Idle).await;
    assert_eq!(node.folder.head().tipset, at(39));
    // The next would find it by way of the server.
    node.stop().await;
    server.stop().await;
    // Without all others, it is a chain like any.
    let (_second, folder) = fresh();
    let node = Node::start(folder);
    let server = crate::support::server(|chain, request| chain.answer(request));
    greet(&server, &node, &one, one.height(), 1 << 40).await;
    node.is_at(one.height()).await;
    assert_eq!(node.folder.head().tipset, one);
    greet(&server, &node, &at(39), 39, 1 << 41).await;
    node.is_at(39).await;
    assert_eq!(node.folder.tipset_by_height(several.height()).unwrap(), Some(several));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_another_genesis_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let taken = filecash_chain::folder::import(
        &directory.path().join("chain"),
        &vector("filecash-genesis.car"),
        &RULES,
        None,
        &mut |_| std::ops::ControlFlow::Continue(()),
    );
    let stranger = Node::start(taken.unwrap().0);
    let (_first, folder) = full(39);
    let node = Node::start(folder);
    let mut events = stranger.host.events();
    connect(&stranger.host, &node.host).await;
    holds("it is hung up", async || matches!(events.recv().await.unwrap(), HostEvent::Gone { .. })).await;
    assert_eq!((stranger.height(), node.height()), (0, 39));
    let before = stranger.folder.chain().store().inner().totals().unwrap();
    // One that says it is of ours, and serves another chain: all of it is had, refused and removed again.
    let asked: Asked = Arc::new(Mutex::default());
    let list = Arc::clone(&asked);
    let liar = server(move |chain, request| {
        list.lock().unwrap().push(request.clone());
        chain.answer(request)
    });
    greet(&liar, &stranger, &at(39), 39, 1 << 40).await;
    holds("it was asked", async || !asked.lock().unwrap().is_empty()).await;
    holds("it has ended", async || stranger.sync.progress().borrow().stage == Stage::Idle).await;
    assert_eq!((stranger.height(), stranger.folder.chain().store().inner().totals().unwrap()), (0, before));
}
