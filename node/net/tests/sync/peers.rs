//! Peers that are silent, slow or lie, beside one that is good.

use std::time::Duration;

use filecash_chain::Object;
use filecash_chain::exchange::{PROTOCOL, Request, Response, TipsetBundle};
use filecash_net::exchange;
use filecash_net::host::Host;
use filecash_net::sync::Stage;
use libp2p::StreamProtocol;
use libp2p::futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use tokio::time::{Instant, sleep};

use crate::hosts::{connect, holds, host};
use crate::support::{Node, at, fresh, greet, real, server};

/// Answers each request with these bytes, one at a time with a pause.
fn dribble(bytes: Vec<u8>, pause: Duration) -> Host {
    let host = host();
    let mut incoming = host.control().accept(StreamProtocol::new(PROTOCOL)).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut request = [0; 20];
                stream.read_exact(&mut request).await.unwrap();
                for byte in bytes {
                    sleep(pause).await;
                    if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                sleep(Duration::from_secs(600)).await;
            });
        }
    });
    host
}

/// A few numbers that look random.
fn below(state: &mut u64, limit: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % limit
}

/// Bytes with a few changes: a bit flipped, a byte replaced, cut off, a part repeated.
fn changed(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(state, 3) {
        let at = below(state, bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        let end = (at + below(state, 300)).min(bytes.len());
        match below(state, 8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, bytes[at..end].to_vec()).count()),
            2 | 3 => bytes[at] = below(state, 256) as u8,
            _ => bytes[at] ^= 1 << below(state, 8),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Whatever was changed in an answer, what is taken of it is the real chain.
#[tokio::test(flavor = "multi_thread")]
async fn changed_answers_give_the_chain_or_nothing() {
    let (chain, tipsets) = real();
    let (host, client) = (host(), host());
    let mut incoming = host.control().accept(StreamProtocol::new(PROTOCOL)).unwrap();
    let answers: Vec<_> = [false, true]
        .map(|messages| {
            let head = at(20).key();
            let request = if messages { Request::for_messages(head, 6) } else { Request::new(head, 6, false) };
            chain.answer(&request).encode()
        })
        .into();
    tokio::spawn(async move {
        let mut state = 11;
        let mut count = 0;
        while let Some((_, mut stream)) = incoming.next().await {
            let mut request = [0; 20];
            stream.read_exact(&mut request).await.unwrap();
            let _ = stream.write_all(&changed(&answers[count % 2], &mut state)).await;
            let _ = stream.close().await;
            count += 1;
        }
    });
    connect(&client, &host).await;
    let from = tipsets.iter().position(|tipset| tipset.height() == 20).unwrap();
    let window = &tipsets[from..from + 6];
    let mut taken = 0;
    for _ in 0..300 {
        let request = Request::new(window[0].key(), 6, false);
        if let Ok(came) = exchange::ask(&client, host.peer_id(), request).await {
            let came: Vec<_> = came.into_iter().map(|full| full.tipset).collect();
            assert_eq!(came, window[..came.len()]);
            taken += 1;
        }
        if let Ok(came) = exchange::ask_messages(&client, host.peer_id(), window.to_vec()).await {
            for (tipset, messages) in window.iter().zip(&came) {
                assert_eq!(messages, &chain.messages(tipset).unwrap());
            }
            taken += 1;
        }
    }
    assert!(taken < 500, "{taken} of 600 were taken, so hardly anything was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn good_peer_is_found_among_others() {
    let (_directory, folder) = fresh();
    let node = Node::start(folder);
    let head = at(39);
    let whole = real().0.answer(&Request::new(head.key(), 100, false)).encode();
    let silent = dribble(vec![], Duration::ZERO);
    let slow = dribble(whole, Duration::from_millis(200));
    let nothing = server(|_, _| Response { status: 201, error_message: "no".to_owned(), chain: vec![] });
    let other = server(|chain, request| chain.answer(&Request { head: at(20).key(), ..request.clone() }));
    let noise = dribble(vec![0xff; 100], Duration::ZERO);
    let begun = Instant::now();
    for liar in [&silent, &slow, &nothing, &other, &noise] {
        greet(liar, &node, &head, 39, 1 << 41).await;
    }
    let good = server(|chain, request| chain.answer(request));
    greet(&good, &node, &head, 39, 1 << 40).await;
    node.is_at(39).await;
    // Two of them took five seconds each time they were asked, which is twice at most.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_not_true_come_to_nothing() {
    let (_directory, folder) = fresh();
    let node = Node::start(folder);
    // Another height than the tipset has.
    let good = server(|chain, request| chain.answer(request));
    greet(&good, &node, &at(39), 5000, 1 << 50).await;
    let mut progress = node.sync.progress();
    progress.wait_for(|now| now.stage == Stage::Headers).await.unwrap();
    progress.wait_for(|now| now.stage == Stage::Idle).await.unwrap();
    assert_eq!(node.height(), 0);
    // What it says next is looked at all the same.
    greet(&good, &node, &at(12), 12, 1 << 30).await;
    node.is_at(12).await;
    assert_eq!(node.folder.head().tipset, at(12));
}

/// A header in the middle was changed, and so are the names of those above: all links hold, but what the block says of itself does not.
#[tokio::test(flavor = "multi_thread")]
async fn chain_with_something_wrong_in_it_is_refused() {
    let (_directory, folder) = fresh();
    let node = Node::start(folder);
    let before = node.folder.chain().store().inner().totals().unwrap();
    let (chain, tipsets) = real();
    let mut changed: Vec<filecash_chain::Tipset> = Vec::new();
    for tipset in tipsets.iter().rev() {
        let headers = tipset.headers().cloned().map(|mut header| {
            if let Some(parents) = changed.last() {
                header.parents = parents.key();
            }
            // Up to here it is the real one.
            if header.height == 20 {
                header.fork_signaling = 1;
            }
            header
        });
        changed.push(filecash_chain::Tipset::new(headers.collect()).unwrap());
    }
    let head = changed.last().unwrap().clone();
    assert_ne!(head, at(39));
    let served = changed.clone();
    let forger = server(move |_, request| {
        let from = served.iter().rposition(|tipset| tipset.key() == request.head);
        let Some(from) = from else { return Response { status: 201, error_message: String::new(), chain: vec![] } };
        let chain = served[..=from]
            .iter()
            .rev()
            .take(request.length as usize)
            .map(|tipset| TipsetBundle { blocks: tipset.headers().cloned().collect(), messages: None });
        Response { status: 101, error_message: String::new(), chain: chain.collect() }
    });
    greet(&forger, &node, &head, 39, 1 << 40).await;
    let mut progress = node.sync.progress();
    progress.wait_for(|now| now.stage == Stage::Headers).await.unwrap();
    progress.wait_for(|now| now.stage == Stage::Idle).await.unwrap();
    // The blocks above are signed by workers of the genesis, whose keys are known.
    assert_eq!((node.height(), node.folder.chain().store().inner().totals().unwrap()), (0, before));
    let good = server(move |_, request| chain.answer(request));
    greet(&good, &node, &at(39), 39, 1 << 30).await;
    node.is_at(39).await;
    holds("it has ended", async || progress.borrow().stage == Stage::Idle).await;
}
