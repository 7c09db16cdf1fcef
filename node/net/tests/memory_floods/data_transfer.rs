//! Floods of data transfer, where everybody may open channels.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use filecash_ipld::data_transfer::{Decision, Status, Validate};
use filecash_ipld::selector::Selector;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::wire::data_transfer::{ChannelId, Message, Opening, Request, RequestKind, Typed, Version};
use filecash_ipld::wire::graphsync::{self, RequestId};
use filecash_ipld::{Cid, Ipld};
use filecash_net::data_transfer::{DataTransfer, TransferOptions};
use filecash_net::graphsync::{GraphsyncOptions, Source};
use filecash_net::host::Host;
use filecash_net::streams::{open, write_frame};
use libp2p::StreamProtocol;
use libp2p::futures::AsyncWriteExt;
use tokio::time::sleep;

use crate::hosts::host;

/// By which answers come: nobody reads what we ask for, nor what we say.
pub const PROTOCOLS: [&str; 2] = ["/ipfs/graphsync/2.0.0", "/fil/datatransfer/1.2.0"];
/// As much as a message may have.
const VOUCHER: usize = 250_000;

struct Yes;

impl Validate for Yes {
    fn open(&self, _id: &ChannelId, _opening: &Opening) -> Decision {
        Decision::accept()
    }
}

fn options() -> TransferOptions {
    TransferOptions { silence: Duration::from_secs(2), ..TransferOptions::new(Arc::new(Yes)) }
}

/// Answers until something; tells how many messages and channels were refused.
pub async fn answer(host: &Host, store: Arc<dyn BlockStore>, over: impl Future<Output = ()>) -> Vec<u64> {
    let (transfer, ..) = DataTransfer::run(host, store, GraphsyncOptions::default(), options()).unwrap();
    over.await;
    let totals = transfer.totals();
    [&totals.messages_refused, &totals.refused].map(|total| total.load(Ordering::Relaxed)).to_vec()
}

fn opening(root: Cid, is_pull: bool, voucher: Option<Typed>) -> Opening {
    Opening { root, selector: Selector::everything().to_ipld(), is_pull, voucher }
}

/// Pulls a DAG, and tells how many blocks came. Where others have all the channels, it tries again.
pub async fn fetch(source: &Source, root: Cid) -> u64 {
    let (client, store) = (host(), Arc::new(MemoryStore::default()));
    let shared: Arc<dyn BlockStore> = store.clone();
    let (transfer, graphsync, _) =
        DataTransfer::run(&client, shared, GraphsyncOptions::default(), TransferOptions::new(Arc::new(Yes))).unwrap();
    loop {
        let id = transfer.open(source, opening(root, true, None)).await.unwrap();
        if transfer.finished(&id).await.unwrap().status() == Status::Completed {
            break;
        }
        sleep(Duration::from_millis(200)).await;
    }
    client.stop().await;
    graphsync.totals().blocks_received.load(Ordering::Relaxed)
}

fn long() -> Typed {
    Typed { name: "Long/1".to_owned(), value: Ipld::Bytes(vec![7; VOUCHER]) }
}

/// Attacks in a way, again and again.
pub async fn attack(way: u8, attacker: &Host, source: &Source, root: Cid) {
    let mut number = 0;
    loop {
        number += 1;
        if attacker.connect(source.addresses.clone()).await.is_ok() {
            attack_once(way, number, attacker, source, root).await;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// On a stream of its own.
async fn attack_once(way: u8, number: u64, attacker: &Host, source: &Source, root: Cid) -> Option<()> {
    let said = |id, kind| Message::Request(Request { id, kind });
    let new = |is_pull, voucher| said(number, RequestKind::New(Box::new(opening(root, is_pull, voucher))));
    let message = match way % 6 {
        // Nonsense.
        0 => None,
        // Channels with long reasons, of which nothing comes.
        1 => Some(new(true, Some(long()))),
        // Others are asked for what they do not give.
        2 => Some(new(false, Some(long()))),
        // One channel with more and more vouchers.
        3 if number == 1 => Some(new(true, None)),
        3 => Some(said(1, RequestKind::Voucher(long()))),
        // Begun and cancelled.
        4 if number.is_multiple_of(2) => Some(said(number - 1, RequestKind::Cancel)),
        4 => Some(new(true, None)),
        // With graphsync, restarted over and over, and the answers not read.
        _ => return attack_by_graphsync(number, attacker, source, root).await,
    };
    let protocol = StreamProtocol::new(Version::V1_2.protocol());
    let mut stream = open(attacker.control(), source.peer, &protocol, Duration::from_secs(10)).await.ok()?.ok()?;
    let bytes = message.map_or_else(|| b"\x5b my notes".to_vec(), |message| message.encode(Version::V1_2).unwrap());
    stream.write_all(&bytes).await.ok()?;
    stream.close().await.ok()
}

async fn attack_by_graphsync(number: u64, attacker: &Host, source: &Source, root: Cid) -> Option<()> {
    let protocol = StreamProtocol::new(graphsync::Version::V2.protocol());
    let mut stream = open(attacker.control(), source.peer, &protocol, Duration::from_secs(10)).await.ok()?.ok()?;
    let whole = || Box::new(opening(root, true, Some(Typed { name: "Short/1".to_owned(), value: Ipld::Null })));
    for request in 0_u64..200 {
        let kind = if request == 0 { RequestKind::New(whole()) } else { RequestKind::Restart(whole()) };
        let message = Message::Request(Request { id: number, kind }).to_ipld(Version::V1_2).unwrap();
        let kind = graphsync::RequestKind::New {
            root: Box::new(root),
            selector: Selector::everything().to_ipld(),
            priority: 0,
            extensions: vec![(Version::V1_2.extension().to_owned(), message)],
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number << 32 | request).to_le_bytes());
        let requests = vec![graphsync::Request { id: RequestId::Uuid(id), kind }];
        let message = graphsync::Message { requests, ..Default::default() };
        write_frame(&mut stream, &message.encode(graphsync::Version::V2).unwrap()).await.ok()?;
    }
    Some(())
}
