//! Blocks that are wanted before they are there, and come by another way than bitswap.

use std::sync::Arc;

use filecash_ipld::codec::Codec;
use filecash_ipld::graphsync::Order;
use filecash_ipld::hash::HashKind;
use filecash_ipld::store::{BlockStore, MemoryStore, Watched};
use filecash_ipld::unixfs::profile::KUBO;
use filecash_ipld::wire::MAX_MESSAGE;
use filecash_ipld::wire::bitswap::{Message, Version, Want, WantKind};
use filecash_ipld::{Block, Cid};
use filecash_net::bitswap::{self, Bitswap, Options};
use filecash_net::graphsync::{FetchOptions, Graphsync, GraphsyncOptions, Source};
use filecash_net::host::{Host, IncomingStream};
use filecash_net::streams::{read_frame, write_frame};
use libp2p::futures::StreamExt;
use libp2p::{Stream, StreamProtocol};

use crate::hosts::{address_of, host, soon};
use crate::node::Node;
use crate::stores::seeded;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");

/// A host with bitswap over a store that tells it what others put there.
pub struct Told {
    pub host: Host,
    pub bitswap: Bitswap,
    pub store: Arc<Watched<MemoryStore>>,
}

impl Told {
    pub fn start() -> Self {
        let (host, store) = (host(), Arc::new(Watched::new(MemoryStore::default())));
        let bitswap = bitswap::run(&host, store.clone(), Options::default()).unwrap();
        bitswap.watch(&store);
        Self { host, bitswap, store }
    }
}

/// Who asks by hand, and once.
struct Asker {
    _host: Host,
    _stream: Stream,
    answers: IncomingStream,
}

impl Asker {
    /// Asks, and takes the first answer: that nothing is there.
    async fn ask(told: &Told, wants: &[(Cid, WantKind)]) -> Self {
        let host = host();
        let mut incoming = host.acceptor().accept(&[PROTOCOL]).unwrap();
        host.connect(vec![address_of(&told.host, "/tcp/").await]).await.unwrap();
        let mut stream = host.control().open_stream(told.host.peer_id(), PROTOCOL).await.unwrap();
        let want = |(cid, kind): &(Cid, WantKind)| Want {
            cid: *cid,
            priority: 1,
            cancel: false,
            kind: *kind,
            send_dont_have: true,
        };
        let message = Message { wants: wants.iter().map(want).collect(), ..Message::default() };
        write_frame(&mut stream, &message.encode(Version::V1_2_0).unwrap()).await.unwrap();
        let (_, answers) = soon(incoming.next()).await.unwrap();
        let mut asker = Self { _host: host, _stream: stream, answers };
        let first = asker.next().await;
        assert_eq!((first.blocks.len(), first.presences.len()), (0, wants.len()));
        assert!(first.presences.iter().all(|presence| !presence.have));
        asker
    }

    async fn next(&mut self) -> Message {
        let frame = soon(read_frame(&mut self.answers, MAX_MESSAGE)).await.unwrap().unwrap();
        Message::decode(&frame).unwrap()
    }

    /// What comes: blocks, and names of those that are there.
    async fn takes(&mut self, count: usize) -> (Vec<Block>, Vec<Cid>) {
        let (mut blocks, mut haves) = (Vec::new(), Vec::new());
        while blocks.len() + haves.len() < count {
            let message = self.next().await;
            blocks.extend(message.blocks);
            haves.extend(message.presences.iter().filter(|presence| presence.have).map(|presence| presence.cid));
        }
        (blocks, haves)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_sent_what_anybody_puts() {
    let told = Told::start();
    let block = |bytes| Block::new(HashKind::Sha256, Codec::Raw, bytes).unwrap();
    let [small, long, asked] = [seeded(7, 1), seeded(100_000, 2), seeded(1 << 20, 3)].map(block);
    let wants = [(*small.cid(), WantKind::Have), (*long.cid(), WantKind::Have), (*asked.cid(), WantKind::Block)];
    let mut asker = Asker::ask(&told, &wants).await;
    let (store, blocks) = (Arc::clone(&told.store), [small.clone(), long.clone(), asked.clone()]);
    // On a thread that has never heard of the network.
    std::thread::spawn(move || store.put(&blocks).unwrap()).join().unwrap();
    let (blocks, haves) = asker.takes(3).await;
    assert_eq!(haves, [*long.cid()]);
    assert!(blocks.len() == 2 && blocks.contains(&small) && blocks.contains(&asked));
    soon(async {
        while told.bitswap.wants() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_sent_what_comes_by_graphsync() {
    let (source, told) = (Node::start(), Told::start());
    let root = source.import(KUBO, &seeded(3 << 20, 6));
    let store: Arc<dyn BlockStore> = source.store.clone();
    let (_serving, _) = Graphsync::run(&source.host, store, GraphsyncOptions::default()).unwrap();
    let (graphsync, _) = Graphsync::run(&told.host, told.store.clone(), GraphsyncOptions::default()).unwrap();
    let all = source.blocks(&root);
    let wants: Vec<_> = all.iter().map(|cid| (*cid, WantKind::Block)).collect();
    let mut asker = Asker::ask(&told, &wants).await;
    let sources = [Source { peer: source.id(), addresses: vec![address_of(&source.host, "/tcp/").await] }];
    let (order, options) = (Order::everything(root), FetchOptions::default());
    soon(graphsync.fetch(&order, &sources, &options, |_| ())).await.unwrap();
    let (blocks, _) = asker.takes(all.len()).await;
    assert!(all.iter().all(|cid| blocks.iter().any(|block| block.cid() == cid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_does_not_have_bitswap_go_on() {
    let Told { host, bitswap, store } = Told::start();
    drop(bitswap);
    // Over: another may begin.
    soon(async {
        while bitswap::run(&host, store.clone(), Options::default()).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    store.put(&[]).unwrap();
}
