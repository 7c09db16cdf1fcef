//! Hosts on loopback with each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use tokio::time::timeout;

use super::*;
use crate::gossip::Verdict;

const PATIENCE: Duration = Duration::from_secs(20);

fn accepts() -> Judge {
    std::sync::Arc::new(|_, _| Verdict::Accept)
}

fn start_with(judge: Judge, change: impl FnOnce(&mut HostOptions)) -> Host {
    let mut options = HostOptions::on_loopback("testing");
    change(&mut options);
    Host::start(&Keypair::generate_ed25519(), &options, judge).unwrap().0
}

fn start() -> Host {
    start_with(accepts(), |_| {})
}

/// Where a host listens by a transport, with its id.
async fn address_of(host: &Host, part: &str) -> Multiaddr {
    let mut tries = 0;
    loop {
        let addresses = host.addresses().await.unwrap();
        if let Some(address) = addresses.into_iter().find(|address| address.to_string().contains(part)) {
            return address.with(Protocol::P2p(host.peer_id()));
        }
        tries += 1;
        assert!(tries < 400, "{part} is not listened on");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn info(host: &Host, peer: PeerId) -> Option<PeerInfo> {
    host.peers().await.unwrap().into_iter().find(|info| info.peer == peer)
}

/// Whoever ends a connection: else who reads would not hear of it where that is us, and have a place among those who are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_connection() {
    use libp2p::futures::{AsyncReadExt, AsyncWriteExt, StreamExt};

    let protocol = StreamProtocol::new("/testing/1");
    for transport in ["/tcp/", "/quic-v1"] {
        for who_accepts in [true, false] {
            let (one, other) = (start(), start());
            let mut incoming = other.acceptor().accept(std::slice::from_ref(&protocol)).unwrap();
            one.connect(vec![address_of(&other, transport).await]).await.unwrap();
            let mut stream = one.control().open_stream(other.peer_id(), protocol.clone()).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.flush().await.unwrap();
            let (_, mut accepted) = incoming.next().await.unwrap();
            let mut hello = [0; 5];
            accepted.read_exact(&mut hello).await.unwrap();
            let reading = tokio::spawn(async move { accepted.read(&mut [0]).await });
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (ends, with) = if who_accepts { (&other, &one) } else { (&one, &other) };
            assert!(ends.disconnect(with.peer_id()).await.unwrap());
            let read = timeout(PATIENCE, reading).await.expect("it hears of the end").unwrap();
            assert!(read.as_ref().map_or(true, |count| *count == 0), "{read:?}");
        }
    }
}

/// Windows that are too small are wide enough, and those that are too large do no harm.
#[tokio::test(flavor = "multi_thread")]
async fn much_goes_through_windows_of_any_size() {
    use libp2p::futures::{AsyncReadExt, AsyncWriteExt, StreamExt};

    let protocol = StreamProtocol::new("/testing/1");
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    for (streams, window) in [(16, 0), (16, 1_000_001), (u16::MAX, u32::MAX)] {
        for transport in ["/tcp/", "/quic-v1"] {
            let limits = Limits { streams, window, ..Limits::default() };
            let [one, other] = [(); 2].map(|()| start_with(accepts(), |options| options.limits = limits));
            let mut incoming = other.acceptor().accept(std::slice::from_ref(&protocol)).unwrap();
            one.connect(vec![address_of(&other, transport).await]).await.unwrap();
            let mut stream = one.control().open_stream(other.peer_id(), protocol.clone()).await.unwrap();
            let sent = bytes.clone();
            let sending = tokio::spawn(async move {
                stream.write_all(&sent).await.unwrap();
                stream.close().await.unwrap();
                stream
            });
            let (_, mut accepted) = incoming.next().await.unwrap();
            let mut came = Vec::new();
            timeout(PATIENCE, accepted.read_to_end(&mut came)).await.expect("all comes").unwrap();
            assert!(came == bytes, "{transport} {limits:?}: {}", came.len());
            drop(sending.await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_know_each_other_over_tcp_and_quic() {
    for transport in ["/tcp/", "/quic-v1"] {
        let (one, other) = (start(), start());
        let address = address_of(&other, transport).await;
        assert_eq!(one.connect(vec![address.clone()]).await.unwrap(), other.peer_id());
        assert_eq!(one.connect(vec![address]).await.unwrap(), other.peer_id(), "it is connected already");
        for (host, peer) in [(&one, other.peer_id()), (&other, one.peer_id())] {
            until("pinged and identified", || async {
                info(host, peer).await.is_some_and(|info| info.round_trip.is_some() && info.agent.is_some())
            })
            .await;
            let known = info(host, peer).await.unwrap();
            assert_eq!(known.agent.as_deref(), Some(AGENT));
            for protocol in ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/fil/kad/testing/kad/1.0.0", "/meshsub/1.1.0"] {
                assert!(known.protocols.iter().any(|name| name == protocol), "{protocol}: {:?}", known.protocols);
            }
            assert!(known.addresses.iter().all(|address| address.to_string().contains(transport)));
        }
        assert!(one.disconnect(other.peer_id()).await.unwrap());
        until("both see the end", || async {
            one.peers().await.unwrap().is_empty() && other.peers().await.unwrap().is_empty()
        })
        .await;
        assert!(!one.disconnect(other.peer_id()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_or_somebody_else_is_told() {
    let (one, other) = (start(), start());
    let address = address_of(&other, "/tcp/").await;
    let mut wrong = address.clone();
    wrong.pop();
    wrong.push(Protocol::P2p(PeerId::random()));
    let dead: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    for addresses in [vec![wrong], vec![dead], vec![], vec!["/dns4/nowhere.invalid/tcp/1".parse().unwrap()]] {
        let error = one.connect(addresses.clone()).await.unwrap_err();
        assert!(matches!(error, HostError::Dial { .. }), "{addresses:?}: {error}");
    }
    // Without an id, whoever answers will do.
    let mut bare = address;
    bare.pop();
    assert_eq!(one.connect(vec![bare]).await.unwrap(), other.peer_id());

    let options =
        HostOptions { bootstrap: vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()], ..HostOptions::on_loopback("t") };
    let refused = Host::start(&Keypair::generate_ed25519(), &options, accepts());
    assert!(matches!(refused, Err(HostError::NoPeer(_))));
    let options = HostOptions { listen: vec!["/ip4/127.0.0.1".parse().unwrap()], ..HostOptions::on_loopback("t") };
    let refused = Host::start(&Keypair::generate_ed25519(), &options, accepts());
    assert!(matches!(refused, Err(HostError::Listen { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_spread_once_and_bad_ones_do_not() {
    let looked = std::sync::Arc::new(AtomicUsize::new(0));
    let judge: Judge = {
        let looked = looked.clone();
        std::sync::Arc::new(move |_, bytes| {
            looked.fetch_add(1, Ordering::Relaxed);
            match bytes.first() {
                Some(b'b') => Verdict::Reject,
                Some(b'i') => Verdict::Ignore,
                _ => Verdict::Accept,
            }
        })
    };
    // The ends do not find each other.
    let start = |judge| start_with(judge, |options| options.accept_private_addresses = false);
    let (first, middle, last) = (start(accepts()), start(judge), start(accepts()));
    let address = address_of(&middle, "/tcp/").await;
    for end in [&first, &last] {
        end.connect(vec![address.clone()]).await.unwrap();
    }
    let mut arrived = last.events();
    // Nobody listens until those of a connection have said so.
    until("somebody listens", || async { first.publish(TopicKind::Messages, b"hello".to_vec()).await.is_ok() }).await;
    let mut gossip = async || loop {
        let event = timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap();
        if let HostEvent::Gossip { kind, bytes, source } = event {
            break (kind, bytes, source);
        }
    };
    // The mesh may not have been there for the first one.
    until("the way is there", || async {
        let _ =
            first.publish(TopicKind::Messages, format!("try {}", looked.load(Ordering::Relaxed)).into_bytes()).await;
        looked.load(Ordering::Relaxed) > 3
    })
    .await;
    assert_eq!(gossip().await.2, middle.peer_id());

    for text in ["bad", "indifferent", "good"] {
        first.publish(TopicKind::Blocks, text.as_bytes().to_vec()).await.unwrap();
    }
    let (kind, bytes, _) = loop {
        let found = gossip().await;
        if found.0 == TopicKind::Blocks {
            break found;
        }
    };
    assert_eq!((kind, &bytes[..]), (TopicKind::Blocks, &b"good"[..]));
    // The same bytes are the same message, whoever sends them.
    assert!(matches!(first.publish(TopicKind::Blocks, b"good".to_vec()).await, Err(HostError::Publish(_))));
    until("the score falls", || async {
        info(&middle, first.peer_id()).await.unwrap().score.is_some_and(|score| score < -50.0)
    })
    .await;
    assert!(info(&middle, last.peer_id()).await.unwrap().score.unwrap() >= 0.0);
    let long = first.publish(TopicKind::Blocks, vec![0; crate::gossip::MAX_BYTES + 1]).await;
    assert!(matches!(long, Err(HostError::Publish(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_found_by_others() {
    let (hub, hidden) = (start(), start());
    let address = address_of(&hub, "/tcp/").await;
    hidden.connect(vec![address.clone()]).await.unwrap();
    let seeker = start_with(accepts(), |options| options.bootstrap = vec![address]);
    until("the hub is there", || async { !seeker.peers().await.unwrap().is_empty() }).await;
    until("the hub knows", || async { info(&hub, hidden.peer_id()).await.unwrap().agent.is_some() }).await;
    let seek = async || seeker.find_peer(hidden.peer_id()).await.unwrap();
    until("it is found", || async { !seek().await.is_empty() }).await;
    let found = seek().await;
    assert_eq!(
        seeker.connect(found.into_iter().map(|at| at.with(Protocol::P2p(hidden.peer_id()))).collect()).await.unwrap(),
        hidden.peer_id()
    );
    assert_eq!(seeker.find_peer(PeerId::random()).await.unwrap(), Vec::<Multiaddr>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_kept_where_that_is_wanted_only() {
    let hub = start_with(accepts(), |options| options.accept_private_addresses = false);
    let hidden = start();
    let address = address_of(&hub, "/tcp/").await;
    hidden.connect(vec![address.clone()]).await.unwrap();
    until("the hub knows", || async { info(&hub, hidden.peer_id()).await.is_some_and(|info| info.agent.is_some()) })
        .await;
    let seeker = start_with(accepts(), |options| options.bootstrap = vec![address]);
    until("the hub is there", || async { !seeker.peers().await.unwrap().is_empty() }).await;
    assert_eq!(seeker.find_peer(hidden.peer_id()).await.unwrap(), Vec::<Multiaddr>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn others_have_no_more_than_the_limits() {
    let limits = Limits { connections: 2, incoming: 2, per_peer: 1, ..Limits::default() };
    let host = start_with(accepts(), |options| options.limits = limits);
    let address = address_of(&host, "/tcp/").await;
    let others: Vec<Host> = (0..5).map(|_| start()).collect();
    for other in &others {
        // Who is too much may see a connection for a moment.
        let _ = other.connect(vec![address.clone()]).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(host.peers().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn host_ends_when_told_so() {
    let options = HostOptions::on_loopback("testing");
    let (host, task) = Host::start(&Keypair::generate_ed25519(), &options, accepts()).unwrap();
    host.stop().await;
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(matches!(host.peers().await, Err(HostError::Ended)));
    let (host, task) = Host::start(&Keypair::generate_ed25519(), &options, accepts()).unwrap();
    drop(host);
    timeout(PATIENCE, task).await.unwrap().unwrap();
}
