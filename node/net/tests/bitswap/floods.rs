//! Peers that nobody wants to have: they cost a bounded amount, and others are served all the same.

use std::time::Duration;

use filecash_ipld::Block;
use filecash_ipld::codec::Codec;
use filecash_ipld::hash::HashKind;
use filecash_ipld::store::BlockStore;
use filecash_ipld::unixfs::profile::KUBO;
use filecash_ipld::wire::bitswap::{Message, Version, Want, WantKind};
use filecash_net::host::Host;
use filecash_net::streams::write_frame;
use libp2p::futures::AsyncWriteExt;
use libp2p::{Stream, StreamProtocol};
use tokio::time::{sleep, timeout};

use crate::hosts::{address_of, host, soon};
use crate::node::Node;
use crate::stores::seeded;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");

/// Somebody who speaks no bitswap but by hand, and a stream to a node.
async fn stranger(node: &Node) -> (Host, Stream) {
    let host = host();
    host.connect(vec![address_of(&node.host, "/tcp/").await]).await.unwrap();
    let stream = host.control().open_stream(node.id(), PROTOCOL).await.unwrap();
    (host, stream)
}

fn want(number: u64) -> Want {
    let cid = HashKind::Sha256.cid(Codec::Raw.code(), &number.to_le_bytes()).unwrap();
    Want { cid, priority: 1, cancel: false, kind: WantKind::Block, send_dont_have: false }
}

fn wants(from: u64) -> Vec<u8> {
    let wants = (from..from + 30_000).map(want).collect();
    Message { wants, ..Message::default() }.encode(Version::V1_2_0).unwrap()
}

/// A node with a file, who an honest peer fetches it from.
struct Served {
    server: Node,
    client: Node,
    root: filecash_ipld::Cid,
    content: Vec<u8>,
}

impl Served {
    async fn start() -> Self {
        let (server, client) = (Node::start(), Node::start());
        let content = seeded(10 << 20, 4);
        let root = server.import(KUBO, &content);
        client.connect(&server).await;
        Self { server, client, root, content }
    }

    async fn is_fetched(&self) {
        let peers = [self.server.id()];
        let fetching = self.client.bitswap.fetch(&self.root, &peers, |_| ());
        timeout(Duration::from_secs(20), fetching).await.expect("others are not held up").unwrap();
        assert!(self.client.file(&self.root) == self.content);
        self.client.store.remove(&self.client.blocks(&self.root)).unwrap();
    }

    async fn offends(&self, count: u64) {
        soon(async {
            while self.server.bitswap.stats().offences < count {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wants_without_end_take_bounded_memory() {
    let served = Served::start().await;
    let (_host, mut stream) = stranger(&served.server).await;
    for round in 0..20 {
        write_frame(&mut stream, &wants(round * 30_000)).await.unwrap();
        assert!(served.server.bitswap.wants() <= 1024 + 1024);
    }
    served.is_fetched().await;
    soon(async {
        while served.server.bitswap.stats().wants_refused == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // It is no offence to want much.
    assert_eq!(served.server.bitswap.stats().offences, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_not_listened_to() {
    let served = Served::start().await;
    let long = [&[0x81, 0x80, 0x80, 0x02][..], &[0; 100]].concat();
    let junk = [&[200, 1][..], &[0xff; 200]].concat();
    for (count, bytes) in [(1, long), (2, junk), (3, vec![0xff; 100])] {
        let (host, mut stream) = stranger(&served.server).await;
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        served.offends(count).await;
        // What it says next is not heard.
        if let Ok(mut next) = host.control().open_stream(served.server.id(), PROTOCOL).await {
            let _ = write_frame(&mut next, &wants(0)).await;
        }
        sleep(Duration::from_millis(200)).await;
        assert_eq!(served.server.bitswap.wants(), 0);
    }
    served.is_fetched().await;
}

/// Sends what takes minutes to be a message.
async fn slowly(mut stream: Stream) {
    while stream.write_all(&[7; 64 << 10]).await.is_ok() && stream.flush().await.is_ok() {
        sleep(Duration::from_secs(3)).await;
    }
}

/// Each announces long messages, of which little comes at a time: together more than there is memory for.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_do_not_come_hold_up_nobody() {
    let served = Served::start().await;
    // One sends nothing, and is given up.
    let (_silent, mut stream) = stranger(&served.server).await;
    stream.write_all(&[0x80, 0x80, 0x80, 0x02]).await.unwrap();
    stream.flush().await.unwrap();
    let mut strangers = tokio::task::JoinSet::new();
    let mut hosts = Vec::new();
    for _ in 0..5 {
        let (host, mut stream) = stranger(&served.server).await;
        for _ in 0..4 {
            stream.write_all(&[0x80, 0x80, 0x80, 0x02]).await.unwrap();
            strangers.spawn(slowly(stream));
            stream = host.control().open_stream(served.server.id(), PROTOCOL).await.unwrap();
        }
        hosts.push(host);
    }
    // Who is flooded has a fetch of its own, too.
    let source = Node::start();
    let root = source.import(KUBO, &seeded(10 << 20, 5));
    served.server.connect(&source).await;
    let peers = [source.id()];
    let fetches = async {
        let fetching = served.server.bitswap.fetch(&root, &peers, |_| ());
        tokio::join!(served.is_fetched(), async { fetching.await.unwrap() })
    };
    // Sooner than these have sent all or are given up.
    timeout(Duration::from_secs(60), fetches).await.expect("others wait for what does not come");
    served.offends(1).await;
    assert_eq!(served.server.bitswap.stats().offences, 1);
    strangers.shutdown().await;
}

/// Who asks for blocks and takes streams, but reads nothing of them, is sent no more than what is under way.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_sent_little() {
    let served = Served::start().await;
    let protocols = [PROTOCOL];
    let mut strangers = Vec::new();
    for _ in 0..5 {
        let (host, mut stream) = stranger(&served.server).await;
        let streams = host.acceptor().accept(&protocols).unwrap();
        let wanted = served.server.blocks(&served.root).into_iter().map(|cid| Want { cid, ..want(0) }).collect();
        let message = Message { wants: wanted, full: true, ..Message::default() };
        write_frame(&mut stream, &message.encode(Version::V1_2_0).unwrap()).await.unwrap();
        strangers.push((host, stream, streams));
    }
    sleep(Duration::from_secs(1)).await;
    served.is_fetched().await;
    let sent = served.server.bitswap.stats().bytes_sent;
    // The honest one has got all; the five have what buffers hold.
    assert!(sent < (10 << 20) + 5 * (3 << 20), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_nobody_asked_for_are_not_kept() {
    let served = Served::start().await;
    let (_host, mut stream) = stranger(&served.server).await;
    let block = |number: u64| Block::new(HashKind::Sha256, Codec::Raw, number.to_le_bytes().to_vec()).unwrap();
    for round in 0..6 {
        let blocks: Vec<Block> = (0..50).map(|number| block(round * 50 + number)).collect();
        let message = Message { blocks, ..Message::default() };
        write_frame(&mut stream, &message.encode(Version::V1_2_0).unwrap()).await.unwrap();
    }
    served.offends(1).await;
    assert_eq!(served.server.bitswap.stats().unasked, 300);
    for number in 0..300 {
        assert_eq!(served.server.store.get(block(number).cid()).unwrap(), None);
    }
    served.is_fetched().await;
}
