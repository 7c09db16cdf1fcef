//! Peers that mean no good to who gives blocks, many at a time: memory stays bounded, and honest peers are served. Who answers is a process
//! of its own, this program with other arguments, so that its memory is its alone; hence no harness.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it fails as tests do, and tells as they do"
)]
#![cfg(target_os = "linux")]

use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::store::MemoryStore;
use filecash_net::Multiaddr;
use filecash_net::graphsync::Source;
use filecash_net::host::Host;
use libp2p::StreamProtocol;
use libp2p::futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

mod bitswap;
mod data_transfer;
mod far;
mod graphsync;
#[path = "../hosts/mod.rs"]
mod hosts;
#[path = "../stores/mod.rs"]
mod stores;

use hosts::{host, until};
use stores::{import, noise};

/// Attackers at a time.
const ATTACKERS: u8 = 24;
/// The argument of who answers, before the name of a protocol.
const ANSWER: &str = "answer";

/// By what blocks are given, and attackers come.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Bitswap,
    DataTransfer,
    Graphsync,
    /// Bitswap, of all attackers in the same way, which is the one that leaves the most unread.
    Wantlists,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Bitswap, Self::DataTransfer, Self::Graphsync, Self::Wantlists];

    /// What who answers may take, its store of 10 MB included.
    fn memory(self) -> usize {
        match self {
            Self::Bitswap | Self::DataTransfer | Self::Graphsync => 384 << 20,
            // 16 windows of 256 KiB, and 4 MiB by which they grow, are 192 MiB of 24 connections. In all 849 MB were seen where they grew by 1 GiB.
            Self::Wantlists => 512 << 20,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bitswap => "bitswap",
            Self::DataTransfer => "data transfer",
            Self::Graphsync => "graphsync",
            Self::Wantlists => "wantlists",
        }
    }
}

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

/// Answers until its input ends; says first where it is, and last what it refused.
async fn answer(protocol: Protocol) {
    let (host, store) = (host(), Arc::new(file().0));
    let over = async {
        let addresses = until("listening by TCP and QUIC", async || {
            Some(host.addresses().await.unwrap()).filter(|addresses| addresses.len() == 2)
        });
        let full = |address: Multiaddr| address.with_p2p(host.peer_id()).unwrap().to_string();
        println!("{}", addresses.await.into_iter().map(full).collect::<Vec<_>>().join(" "));
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
    };
    let refused = match protocol {
        Protocol::Bitswap => bitswap::answer(&host, store, over).await,
        Protocol::DataTransfer => data_transfer::answer(&host, store, over).await,
        Protocol::Graphsync => graphsync::answer(&host, store, over).await,
        Protocol::Wantlists => bitswap::answer(&host, store, over).await[1..2].to_vec(),
    };
    println!("{}", refused.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
}

struct Server {
    process: Child,
    output: std::io::BufReader<ChildStdout>,
    source: Source,
}

impl Server {
    fn start(protocol: Protocol) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([ANSWER, protocol.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = std::io::BufReader::new(process.stdout.take().unwrap());
        let addresses: Vec<Multiaddr> = line(&mut output).split(' ').map(|address| address.parse().unwrap()).collect();
        let peer = filecash_net::host::peer_of(&addresses[0]).unwrap();
        Self { process, output, source: Source { peer, addresses } }
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
    let arguments: Vec<String> = std::env::args().collect();
    for protocol in Protocol::ALL {
        match &arguments[1..] {
            [answers, name] if answers == ANSWER => {
                if name == protocol.name() {
                    runtime.block_on(answer(protocol));
                }
            }
            _ => {
                runtime.block_on(honest_peers_are_served_beside_a_flood(protocol));
                println!("honest_peers_are_served_beside_a_flood of {} ... ok", protocol.name());
            }
        }
    }
}

/// Streams that come in and are never read.
async fn unread(host: &Host, protocols: [&'static str; 2]) {
    let mut incoming = host.acceptor().accept(&protocols.map(StreamProtocol::new)).unwrap();
    let mut kept = Vec::new();
    while let Some(stream) = incoming.next().await {
        kept.push(stream);
    }
}

/// Attacks in a way, each time as somebody else, as long as this identity is listened to.
async fn attack(protocol: Protocol, way: u8, source: Source, root: Cid) {
    loop {
        let attacker = host();
        match protocol {
            Protocol::Bitswap => tokio::select! {
                () = unread(&attacker, bitswap::PROTOCOLS) => {}
                () = bitswap::attack(way, &attacker, &source) => {}
            },
            Protocol::DataTransfer => tokio::select! {
                () = unread(&attacker, data_transfer::PROTOCOLS) => {}
                () = data_transfer::attack(way, &attacker, &source, root) => {}
            },
            Protocol::Graphsync => tokio::select! {
                () = unread(&attacker, graphsync::PROTOCOLS) => {}
                () = graphsync::attack(way, &attacker, &source, root) => {}
            },
            Protocol::Wantlists => tokio::select! {
                () = unread(&attacker, bitswap::PROTOCOLS) => {}
                () = bitswap::attack(bitswap::WANTLISTS_UPON_WANTLISTS, &attacker, &source) => {}
            },
        }
        attacker.stop().await;
    }
}

async fn honest_peers_are_served_beside_a_flood(protocol: Protocol) {
    let (_, root) = file();
    let mut server = Server::start(protocol);
    let of = |transport: &str| {
        server.source.addresses.iter().find(|address| address.to_string().contains(transport)).unwrap().clone()
    };
    let (tcp, quic) = (of("/tcp/"), of("/quic-v1/"));
    let (away, relay) = far::away(&tcp).await;
    let before = peak(server.process.id());
    let mut attacks = JoinSet::new();
    for way in 0..ATTACKERS {
        let address = match way / 8 {
            0 => &tcp,
            1 => &quic,
            // A stream that takes long to come is given more room.
            _ => &away,
        };
        let source = Source { peer: server.source.peer, addresses: vec![address.clone()] };
        attacks.spawn(attack(protocol, way, source, root));
    }
    for _ in 0..5 {
        // What does not come is waited for 10 s, and so the flood is longer.
        sleep(Duration::from_secs(3)).await;
        let fetched = async {
            match protocol {
                Protocol::Bitswap | Protocol::Wantlists => bitswap::fetch(&server.source, root).await,
                Protocol::DataTransfer => data_transfer::fetch(&server.source, root).await,
                Protocol::Graphsync => graphsync::fetch(&server.source, root).await,
            }
        };
        let blocks = timeout(Duration::from_secs(120), fetched).await.expect("an honest peer is not served");
        assert!(blocks > 30, "{blocks}");
    }
    attacks.shutdown().await;
    relay.abort();
    let most = peak(server.process.id());
    drop(server.process.stdin.take());
    let refused = line(&mut server.output);
    println!("{} MB, {} MB before; refused: {refused}", most >> 20, before >> 20);
    assert!(most < protocol.memory(), "{} MB", most >> 20);
    assert!(refused.split(' ').all(|count| count.parse::<u64>().unwrap() > 0), "{refused}");
}
