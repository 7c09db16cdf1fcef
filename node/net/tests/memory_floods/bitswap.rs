//! Floods of bitswap.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use filecash_ipld::hash::HashKind;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::wire::bitswap::{Message, Presence, Version, Want, WantKind};
use filecash_ipld::wire::{MAX_ITEMS, MAX_MESSAGE};
use filecash_ipld::{Block, Cid, codec};
use filecash_net::bitswap::{self, Options};
use filecash_net::graphsync::Source;
use filecash_net::host::Host;
use filecash_net::streams::{open, write_frame};
use libp2p::futures::AsyncWriteExt;
use libp2p::futures::future::join_all;
use libp2p::{Stream, StreamProtocol};
use tokio::time::sleep;

use crate::file;
use crate::hosts::host;
use crate::stores::noise;

/// By which answers come.
pub const PROTOCOLS: [&str; 2] = ["/ipfs/bitswap/1.2.0", "/ipfs/bitswap/1.1.0"];

/// The way of attack that leaves the most unread.
pub const WANTLISTS_UPON_WANTLISTS: u8 = 4;
/// Streams of who has others wait for something that does not come, or has them read more than they can.
const STREAMS: usize = 16;
/// The length of a message, and nothing of it.
const LENGTH: [u8; 4] = [0x80, 0x80, 0x80, 0x02];

/// Wantlists of as many blocks as a message may name, all of them others.
static WANTLISTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let lists = 0..6_u64;
    let all = |list| (0..MAX_ITEMS as u64).map(move |number| want(cid(list << 32 | number), WantKind::Block)).collect();
    lists.map(|list| encoded(Message { wants: all(list), ..Message::default() })).collect()
});
/// As many words about blocks that nobody asked after.
static PRESENCES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let all = (0..MAX_ITEMS as u64).map(|number| Presence { cid: cid(number), have: true });
    encoded(Message { presences: all.collect(), ..Message::default() })
});
/// As many bytes of blocks as a message holds.
static BLOCKS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let bytes = noise(40 * 100_000);
    let block = |bytes: &[u8]| Block::new(HashKind::Sha256, codec::Codec::Raw, bytes.to_vec()).unwrap();
    encoded(Message { blocks: bytes.chunks(100_000).map(block).collect(), ..Message::default() })
});

fn encoded(message: Message) -> Vec<u8> {
    message.encode(Version::V1_2_0).unwrap()
}

fn cid(number: u64) -> Cid {
    HashKind::Sha256.cid(codec::Codec::Raw.code(), &number.to_le_bytes()).unwrap()
}

fn want(cid: Cid, kind: WantKind) -> Want {
    Want { cid, priority: 1, cancel: false, kind, send_dont_have: true }
}

/// The blocks of the file that there is.
static THERE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (store, root) = file();
    let links = codec::links(&root, &store.get(&root).unwrap().unwrap()).unwrap();
    encoded(Message { wants: links.into_iter().map(|cid| want(cid, WantKind::Block)).collect(), ..Message::default() })
});

/// Answers until something; tells how often peers did what no honest one does, and how many wants and blocks were not taken.
pub async fn answer(host: &Host, store: Arc<dyn BlockStore>, over: impl Future<Output = ()>) -> Vec<u64> {
    let bitswap = bitswap::run(host, store, Options::default()).unwrap();
    over.await;
    let stats = bitswap.stats();
    vec![stats.offences, stats.wants_refused, stats.unasked]
}

/// Fetches a DAG, and tells how many blocks it has.
pub async fn fetch(source: &Source, root: Cid) -> u64 {
    let host = host();
    let bitswap = bitswap::run(&host, Arc::new(MemoryStore::default()), Options::default()).unwrap();
    let peer = host.connect(source.addresses.clone()).await.unwrap();
    let progress = bitswap.fetch(&root, &[peer], |_| ()).await.unwrap();
    host.stop().await;
    progress.fetched
}

/// Attacks in a way, on one stream or on several, until all are closed.
pub async fn attack(way: u8, attacker: &Host, source: &Source) {
    let protocol = StreamProtocol::new(PROTOCOLS[0]);
    if attacker.connect(source.addresses.clone()).await.is_ok() {
        let count = if matches!(way % 8, 1 | 2 | WANTLISTS_UPON_WANTLISTS) { STREAMS } else { 1 };
        let streams = (0..count).map(|_| async {
            let opened = open(attacker.control(), source.peer, &protocol, Duration::from_secs(10)).await;
            if let Ok(Ok(mut stream)) = opened {
                attack_on(way, &mut stream).await;
            }
        });
        join_all(streams).await;
    }
    sleep(Duration::from_millis(5)).await;
}

async fn attack_on(way: u8, stream: &mut Stream) -> Option<()> {
    for round in 0.. {
        match way % 8 {
            // Nonsense, the end of the stream.
            0 => {
                write_frame(stream, &[0xff; 200]).await.ok()?;
                stream.close().await.ok()?;
                sleep(Duration::from_millis(100)).await;
                return None;
            }
            // Much is said to come, nothing does.
            1 => {
                send(stream, &LENGTH).await?;
                sleep(Duration::from_secs(60)).await;
            }
            // All but the end comes.
            2 => {
                send(stream, &[&LENGTH[..], &vec![7; MAX_MESSAGE - 1]].concat()).await?;
                sleep(Duration::from_secs(60)).await;
            }
            // More is said to come than may.
            3 => {
                send(stream, &[&[0x81, 0x80, 0x80, 0x02][..], &vec![7; MAX_MESSAGE + 1]].concat()).await?;
                sleep(Duration::from_millis(100)).await;
                return None;
            }
            // Wants upon wants.
            WANTLISTS_UPON_WANTLISTS => write_frame(stream, &WANTLISTS[round % WANTLISTS.len()]).await.ok()?,
            // What is there, which is sent and not read.
            5 => {
                write_frame(stream, &THERE).await.ok()?;
                sleep(Duration::from_secs(60)).await;
            }
            // Blocks that nobody asked for.
            6 => write_frame(stream, &BLOCKS).await.ok()?,
            _ => write_frame(stream, &PRESENCES).await.ok()?,
        }
    }
    None
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}
