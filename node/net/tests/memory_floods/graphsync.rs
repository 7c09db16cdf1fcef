//! Floods of graphsync.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use filecash_ipld::graphsync::{Order, extensions};
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::BlockStore;
use filecash_ipld::wire::graphsync::{Message, Request, RequestId, RequestKind, Version};
use filecash_ipld::{Cid, Ipld};
use filecash_net::graphsync::{FetchOptions, Graphsync, GraphsyncOptions, Source};
use filecash_net::host::Host;
use filecash_net::streams::{open, write_frame};
use libp2p::futures::AsyncWriteExt;
use libp2p::{Stream, StreamProtocol};
use tokio::time::sleep;

use crate::stores::node;

/// By which answers come.
pub const PROTOCOLS: [&str; 2] = ["/ipfs/graphsync/2.0.0", "/ipfs/graphsync/1.0.0"];

static LINKS: LazyLock<Vec<Ipld>> = LazyLock::new(|| {
    let link = |number: u64| Ipld::Link(HashKind::Sha256.cid(0x55, &number.to_le_bytes()).unwrap());
    (0..40_000).map(link).collect()
});

/// Answers until something; tells how many messages and requests were refused.
pub async fn answer(host: &Host, store: Arc<dyn BlockStore>, over: impl Future<Output = ()>) -> Vec<u64> {
    let (graphsync, _) = Graphsync::run(host, store, GraphsyncOptions::default()).unwrap();
    over.await;
    let totals = graphsync.totals();
    vec![totals.messages_refused.load(Ordering::Relaxed), totals.requests_refused.load(Ordering::Relaxed)]
}

/// Fetches a DAG, and tells how many blocks it has.
pub async fn fetch(source: &Source, root: Cid) -> u64 {
    let client = node();
    let sources = [Source { peer: source.peer, addresses: source.addresses.clone() }];
    let (order, options) = (Order::everything(root), FetchOptions::default());
    let pulled = client.graphsync.fetch(&order, &sources, &options, |_| ()).await.unwrap();
    assert!(pulled.missing.is_empty());
    client.host.stop().await;
    pulled.blocks
}

fn new(number: u128, root: Cid, extensions: Vec<(String, Ipld)>) -> Request {
    let selector = Selector::everything_to(100).to_ipld();
    let kind = RequestKind::New { root: Box::new(root), selector, priority: i32::MAX, extensions };
    Request { id: RequestId::Uuid(number.to_le_bytes()), kind }
}

fn message(requests: Vec<Request>) -> Vec<u8> {
    Message { requests, ..Message::default() }.encode(Version::V2).unwrap()
}

/// Attacks in a way, on one stream after the other.
pub async fn attack(way: u8, attacker: &Host, source: &Source, root: Cid) {
    let protocol = StreamProtocol::new(Version::V2.protocol());
    loop {
        if attacker.connect(source.addresses.clone()).await.is_ok()
            && let Ok(Ok(mut stream)) = open(attacker.control(), source.peer, &protocol, Duration::from_secs(10)).await
        {
            attack_on(way, &mut stream, root).await;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// As long as the stream lasts.
async fn attack_on(way: u8, stream: &mut Stream, root: Cid) -> Option<()> {
    let mut number = 0;
    let mut requests = |count: u128| {
        number += count;
        (number - count..number).map(|number| new(number, root, Vec::new())).collect()
    };
    loop {
        match way % 6 {
            // Nonsense, the end of the stream.
            0 => {
                write_frame(stream, b"my notes").await.ok()?;
                return None;
            }
            // Much is said to come, little does.
            1 => {
                stream.write_all(&[0x80, 0x80, 0x80, 0x02, 1, 2, 3]).await.ok()?;
                stream.flush().await.ok()?;
                sleep(Duration::from_secs(60)).await;
            }
            // Requests upon requests, whose answers nobody reads.
            2 => write_frame(stream, &message(requests(1000))).await.ok()?,
            // A few, whose answers nobody reads.
            3 => {
                write_frame(stream, &message(requests(6))).await.ok()?;
                sleep(Duration::from_secs(60)).await;
            }
            // Long lists.
            4 => {
                let listed = vec![(extensions::DO_NOT_SEND_CIDS.to_owned(), Ipld::List(LINKS.clone()))];
                write_frame(stream, &message(vec![new(7, root, listed)])).await.ok()?;
            }
            // Begun and cancelled.
            _ => {
                let cancels = (0..100).map(|number: u128| Request {
                    id: RequestId::Uuid(number.to_le_bytes()),
                    kind: RequestKind::Cancel,
                });
                let all = (0..100).map(|number| new(number, root, Vec::new())).chain(cancels);
                write_frame(stream, &message(all.collect())).await.ok()?;
            }
        }
    }
}
