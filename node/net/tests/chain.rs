//! Two hosts of ours tell each other of Filecoin's first heights: `spec/network.md` 18, N4, and 5.1. The bytes of messages are compared with
//! those of other programs in `node/chain`; no server of another make is at hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::exchange::{Request, Response, Status};
use filecash_chain::hello::{Hello, PROTOCOL};
use filecash_chain::{Amount, Object};
use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_net::PeerId;
use filecash_net::exchange::{self, AskError};
use filecash_net::hello;
use filecash_net::host::Host;
use libp2p::StreamProtocol;
use libp2p::futures::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

mod hosts;

use hosts::{connect, holds, host};

const GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";

fn chain() -> (ChainStore<CarStore>, Vec<Cid>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
    let store = CarStore::open(&file, &CarOptions::default()).unwrap();
    let head = store.roots().to_vec();
    (ChainStore::new(store, GENESIS.parse().unwrap(), Rules::MAINNET), head)
}

/// Somebody who serves the chain, somebody else, and the key of the head.
async fn served() -> (Host, Host, Vec<Cid>) {
    let (chain, head) = chain();
    let (server, client) = (host(), host());
    exchange::run(&server, Arc::new(move |request| chain.answer(request))).unwrap();
    connect(&client, &server).await;
    (server, client, head)
}

#[tokio::test(flavor = "multi_thread")]
async fn first_heights_are_asked_for_and_answered() {
    let (server, client, head) = served().await;
    let (chain, _) = chain();
    let known: Vec<_> = chain.walk(&head).collect::<Result<_, _>>().unwrap();
    let all = exchange::ask(&client, server.peer_id(), Request::new(head.clone(), 900, true)).await.unwrap();
    assert_eq!(all.len(), 33);
    for (tipset, known) in all.iter().zip(&known) {
        assert_eq!(tipset.tipset, *known);
        assert_eq!(tipset.messages.as_ref().unwrap(), &chain.messages(known).unwrap());
        for (cid, header) in tipset.tipset.blocks() {
            assert_eq!(header.cid(), *cid);
        }
    }
    let some = exchange::ask(&client, server.peer_id(), Request::new(known[5].key(), 3, false)).await.unwrap();
    assert_eq!(
        some.iter().map(|of| of.tipset.height()).collect::<Vec<_>>(),
        known[5..8].iter().map(|of| of.height()).collect::<Vec<_>>()
    );
    assert!(some.iter().all(|of| of.messages.is_none()));

    let nothing: Cid = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc".parse().unwrap();
    let error = exchange::ask(&client, server.peer_id(), Request::new(vec![nothing], 1, true)).await.unwrap_err();
    assert!(error.to_string().contains(&Status::NotFound.code().to_string()), "{error}");
    let error = exchange::ask(&client, server.peer_id(), Request::new(vec![], 1, true)).await.unwrap_err();
    assert!(matches!(error, AskError::Exchange(_)), "{error}");
    let nobody = exchange::ask(&server, client.peer_id(), Request::new(head, 1, true)).await.unwrap_err();
    assert!(matches!(nobody, AskError::Open(..)), "{nobody}");
}

/// Who sends something else, too much, a part, or nothing is given up, and the others are served all the same.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_given_up_and_others_are_served() {
    let (server, client, head) = served().await;
    let protocol = StreamProtocol::new(filecash_chain::exchange::PROTOCOL);
    let request = Request::new(head.clone(), 1, true).encode();
    for bytes in [
        &[0xff; 100][..],
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0; 20_000],
        &request[..request.len() - 1],
    ] {
        let mut stream = client.control().open_stream(server.peer_id(), protocol.clone()).await.unwrap();
        // It may hang up while we are writing.
        let _ = stream.write_all(bytes).await;
        let _ = stream.close().await;
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
        // Zeros are a value, and no request; nothing is answered to any of them.
        assert_eq!(answer, b"");
    }
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(client.control().open_stream(server.peer_id(), protocol.clone()).await.unwrap());
    }
    holds("places are free again", async || {
        exchange::ask(&client, server.peer_id(), Request::new(head.clone(), 1, false)).await.is_ok()
    })
    .await;
    drop(silent);

    // A server that answers with anything else.
    let liar = host();
    let bundle = chain().0.answer(&Request::new(head.clone(), 2, true));
    exchange::run(&liar, Arc::new(move |_| Response { chain: bundle.chain.clone(), ..bundle.clone() })).unwrap();
    connect(&client, &liar).await;
    let more = exchange::ask(&client, liar.peer_id(), Request::new(head.clone(), 1, true)).await.unwrap_err();
    assert!(more.to_string().contains("were asked for"), "{more}");
    let genesis: Cid = GENESIS.parse().unwrap();
    let other = exchange::ask(&client, liar.peer_id(), Request::new(vec![genesis], 5, true)).await.unwrap_err();
    assert!(matches!(other, AskError::Exchange(_)), "{other}");
}

fn hello_of(genesis: &str, height: i64) -> Hello {
    let genesis: Cid = genesis.parse().unwrap();
    Hello { heaviest: vec![genesis], height, weight: Amount::zero(), genesis }
}

type Heard = Arc<Mutex<Vec<(PeerId, Hello)>>>;

fn greeter(hello: Hello) -> (Host, Heard) {
    let (host, heard) = (host(), Heard::default());
    let list = Arc::clone(&heard);
    hello::run(
        &host,
        Arc::new(move || hello.clone()),
        Arc::new(move |peer, hello| list.lock().unwrap().push((peer, hello))),
    )
    .unwrap();
    (host, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dials_says_hello() {
    let (dialler, heard_by_dialler) = greeter(hello_of(GENESIS, 7));
    let (answerer, heard) = greeter(hello_of(GENESIS, 8));
    connect(&dialler, &answerer).await;
    holds("the hello is heard", async || !heard.lock().unwrap().is_empty()).await;
    assert_eq!(*heard.lock().unwrap(), [(dialler.peer_id(), hello_of(GENESIS, 7))]);
    assert!(heard_by_dialler.lock().unwrap().is_empty());
    // The answer says when it came, by the same clock here.
    let offset = hello::greet(&dialler, answerer.peer_id(), &hello_of(GENESIS, 7)).await.unwrap();
    assert!(offset.abs() < 5_000_000_000, "{offset}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_is_hung_up_on() {
    let (dialler, _) = greeter(hello_of("bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc", 0));
    let (answerer, heard) = greeter(hello_of(GENESIS, 8));
    connect(&dialler, &answerer).await;
    holds("it is hung up", async || dialler.peers().await.unwrap().is_empty()).await;
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_that_is_none_is_not_answered() {
    let (answerer, heard) = greeter(hello_of(GENESIS, 8));
    let host = host();
    connect(&host, &answerer).await;
    for bytes in [&b"\x80"[..], &[0x84, 0x80, 0, 0x40], &[0xff; 9000]] {
        let mut stream = host.control().open_stream(answerer.peer_id(), StreamProtocol::new(PROTOCOL)).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let _ = stream.close().await;
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, b"");
    }
    assert!(heard.lock().unwrap().is_empty());
    // Nobody there speaks it.
    let refused = hello::greet(&answerer, host.peer_id(), &hello_of(GENESIS, 8)).await.unwrap_err();
    assert!(matches!(refused, hello::HelloError::Open(..)), "{refused}");
}
