//! Peers that are silent, slow or lie, beside one that is good.

use std::time::Duration;

use filecash_chain::Object;
use filecash_chain::exchange::{PROTOCOL, Request, Response, TipsetBundle};
use filecash_net::host::Host;
use filecash_net::sync::Stage;
use libp2p::StreamProtocol;
use libp2p::futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use tokio::time::{Instant, sleep};

use crate::support::{Node, at, bare, fresh, greet, real, server, until};

/// Answers each request with these bytes, one at a time with a pause.
fn dribble(bytes: Vec<u8>, pause: Duration) -> Host {
    let host = bare();
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
    let before = node.folder.chain().store().totals().unwrap();
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
    assert_eq!((node.height(), node.folder.chain().store().totals().unwrap()), (0, before));
    let good = server(move |_, request| chain.answer(request));
    greet(&good, &node, &at(39), 39, 1 << 30).await;
    node.is_at(39).await;
    until("it has ended", async || progress.borrow().stage == Stage::Idle).await;
}
