//! Peers that mean no good to graphsync, many at a time: memory stays bounded, and honest peers are served. Who answers is a process of its own,
//! this program with another argument, so that its memory is its alone; hence no harness.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it fails as tests do, and tells as they do"
)]
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use filecash_ipld::graphsync::{Order, extensions};
use filecash_ipld::selector::Selector;
use filecash_ipld::store::MemoryStore;
use filecash_ipld::wire::graphsync::{Message, Request, RequestId, RequestKind, Version};
use filecash_ipld::{Cid, Ipld};
use filecash_net::graphsync::{FetchOptions, Graphsync, GraphsyncOptions, Source};
use filecash_net::streams::{open, write_frame};
use libp2p::futures::AsyncWriteExt;
use libp2p::{Stream, StreamProtocol};
use tokio::time::{sleep, timeout};

mod common;

use common::{host, import, node, noise};

/// Attackers, each with an identity of its own.
const ATTACKERS: u8 = 24;
/// The argument of who answers.
const ANSWER: &str = "answer";
/// What who answers may take, its store of 10 MB included.
const MEMORY: usize = 320 << 20;

/// Bytes of memory that a process has at the most so far.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// What is asked for: 10 MB.
fn file() -> (MemoryStore, Cid) {
    let store = MemoryStore::default();
    let root = import(&store, &noise(10_000_000));
    (store, root)
}

/// Answers until its input ends, and says first where it is.
async fn answer() {
    let host = host();
    let (graphsync, _) = Graphsync::run(&host, Arc::new(file().0), GraphsyncOptions::default()).unwrap();
    println!("{}", common::source_of(&host).await.addresses[0]);
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
    let totals = graphsync.totals();
    let of = |total: &std::sync::atomic::AtomicU64| total.load(Ordering::Relaxed);
    println!("{} {}", of(&totals.messages_refused), of(&totals.requests_refused));
}

struct Server {
    process: std::process::Child,
    output: std::io::BufReader<std::process::ChildStdout>,
    source: Source,
}

impl Server {
    fn start() -> Self {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let piped = std::process::Stdio::piped;
        let mut process = command.arg(ANSWER).stdin(piped()).stdout(piped()).spawn().unwrap();
        let mut output = std::io::BufReader::new(process.stdout.take().unwrap());
        let address: filecash_net::Multiaddr = line(&mut output).parse().unwrap();
        let peer = filecash_net::host::peer_of(&address).unwrap();
        Self { process, output, source: Source { peer, addresses: vec![address] } }
    }
}

fn line(output: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == ANSWER) {
        return runtime.block_on(answer());
    }
    runtime.block_on(honest_peers_are_served_beside_a_flood());
    println!("honest_peers_are_served_beside_a_flood ... ok");
}

fn new(number: u128, root: Cid, extensions: Vec<(String, Ipld)>) -> Request {
    let selector = Selector::everything_to(100).to_ipld();
    let kind = RequestKind::New { root: Box::new(root), selector, priority: i32::MAX, extensions };
    Request { id: RequestId::Uuid(number.to_le_bytes()), kind }
}

fn message(requests: Vec<Request>) -> Vec<u8> {
    Message { requests, ..Message::default() }.encode(Version::V2).unwrap()
}

/// One attack of a kind, as long as the stream lasts.
async fn attack(kind: u8, stream: &mut Stream, root: Cid, links: &[Ipld]) -> Option<()> {
    let mut number = 0;
    let mut requests = |count: u128| {
        number += count;
        (number - count..number).map(|number| new(number, root, Vec::new())).collect()
    };
    loop {
        match kind % 6 {
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
                let listed = vec![(extensions::DO_NOT_SEND_CIDS.to_owned(), Ipld::List(links.to_vec()))];
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

/// Streams that come in and are never read.
async fn unread(host: &filecash_net::host::Host) {
    use libp2p::futures::StreamExt;
    let protocols = Version::ALL.map(|version| StreamProtocol::new(version.protocol()));
    let mut incoming = host.acceptor().accept(&protocols).unwrap();
    let mut kept = Vec::new();
    while let Some(stream) = incoming.next().await {
        kept.push(stream);
    }
}

async fn honest_peers_are_served_beside_a_flood() {
    let (_, root) = file();
    let mut server = Server::start();
    let source = server.source.clone();
    let links: Vec<Ipld> = (0_u64..40_000)
        .map(|number| Ipld::Link(filecash_ipld::hash::HashKind::Sha256.cid(0x55, &number.to_le_bytes()).unwrap()))
        .collect();
    let links: Arc<[Ipld]> = links.into();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut attacks = tokio::task::JoinSet::new();
    for kind in 0..ATTACKERS {
        let (links, source, is_over) = (Arc::clone(&links), source.clone(), Arc::clone(&is_over));
        attacks.spawn(async move {
            let attacker = host();
            tokio::select! {
                () = unread(&attacker) => {}
                () = async {
                    while !is_over.load(Ordering::Relaxed) {
                        let protocol = StreamProtocol::new(Version::V2.protocol());
                        if attacker.connect(source.addresses.clone()).await.is_ok()
                            && let Ok(Ok(mut stream)) =
                                open(attacker.control(), source.peer, &protocol, Duration::from_secs(10)).await
                        {
                            attack(kind, &mut stream, root, &links).await;
                        }
                        sleep(Duration::from_millis(5)).await;
                    }
                } => {}
            }
        });
    }
    sleep(Duration::from_secs(2)).await;
    for _ in 0..5 {
        let client = node();
        let sources = [Source { peer: source.peer, addresses: source.addresses.clone() }];
        let (order, options) = (Order::everything(root), FetchOptions::default());
        let fetch = client.graphsync.fetch(&order, &sources, &options, |_| ());
        let pulled = timeout(Duration::from_secs(120), fetch).await.expect("an honest peer is not served").unwrap();
        assert_eq!((pulled.missing.len(), pulled.blocks > 30), (0, true));
        client.host.stop().await;
    }
    is_over.store(true, Ordering::Relaxed);
    let most = peak(server.process.id());
    drop(server.process.stdin.take());
    let refused = line(&mut server.output);
    println!("{} MB at the most; messages and requests refused: {refused}", most >> 20);
    assert!(most < MEMORY, "{} MB", most >> 20);
    assert!(refused.split(' ').all(|count| count.parse::<u64>().unwrap() > 0), "{refused}");
}
