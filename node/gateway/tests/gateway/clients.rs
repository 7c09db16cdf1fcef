//! Clients that are too many, too slow, gone, or make no sense.

use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use filecash_gateway::piece::Piece;
use filecash_gateway::seen::BATCH;
use filecash_gateway::{Limits, NoPieces, PieceSource};
use filecash_ipld::codec::Codec;
use filecash_ipld::codec::dag_pb::{PbLink, PbNode};
use filecash_ipld::hash::HashKind;
use filecash_ipld::positioned::ReadAt;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::unixfs::data::{Data, Kind};
use filecash_ipld::unixfs::import::Importer;
use filecash_ipld::{Block, Cid};

use crate::client::{PATIENCE, Reply, Server, send};
use crate::trees::{SMALL, trees};

const PIECE: &str = "/piece/baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi";

/// A piece of zeros that is larger than all buffers.
struct Zeros;

impl ReadAt for Zeros {
    fn read_up_to(&self, bytes: &mut [u8], _: u64) -> std::io::Result<usize> {
        bytes.fill(0);
        Ok(bytes.len())
    }
}

impl PieceSource for Zeros {
    fn open(&self, _: &Cid) -> std::io::Result<Option<Piece>> {
        Ok(Some(Piece { length: 1 << 40, bytes: Box::new(Zeros) }))
    }
}

fn zeros(limits: Limits) -> Server {
    Server::start(Arc::new(MemoryStore::default()), Box::new(Zeros), limits)
}

#[test]
fn who_comes_when_all_places_are_taken_is_told_to_come_again() {
    let server = zeros(Limits { requests: 3, ..Limits::default() });
    let taken: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            send(&mut stream, "GET", PIECE, &[]);
            stream.read_exact(&mut [0; 1000]).unwrap();
            stream
        })
        .collect();
    for target in [PIECE, "/ipfs/bafkqaaa?format=raw", "/"] {
        let reply = server.get(target);
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
        assert_eq!(reply.text(), "too many are served at the moment\n");
    }
    drop(taken);
    server.until(|metrics| metrics.under_way == 0 && metrics.left.values().sum::<u64>() == 3);
    free_again(&server, "/ipfs/bafkqaaa?format=raw");
}

/// Threads notice a little later than connections that a client has left.
fn free_again(server: &Server, target: &str) {
    let began = Instant::now();
    while server.get(target).status == 503 {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.get(target).status, 200);
}

#[test]
fn floods_leave_the_server_as_it_was() {
    let trees = trees();
    let limits = Limits { requests: 4, connections: 20, ..Limits::default() };
    let server = Server::start(trees.store.clone(), Box::new(NoPieces), limits);
    let target = format!("/ipfs/{}?format=car", trees.folder);
    let statuses = thread::scope(|scope| {
        let clients = (0..50).map(|_| {
            scope.spawn(|| {
                let mut stream = server.connect();
                let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                // A connection that is one too many is closed at once.
                stream.write_all(head.as_bytes()).ok()?;
                Reply::read(&mut BufReader::new(stream), false).map(|reply| (reply.status, reply.is_whole))
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(statuses.contains(&Some((200, true))));
    assert!(statuses.iter().all(|status| matches!(status, None | Some((200 | 503, true)))), "{statuses:?}");
    free_again(&server, &target);
}

#[test]
fn clients_that_leave_stop_the_work() {
    let trees = trees();
    let server = Server::start(trees.store, Box::new(Zeros), Limits::default());
    for _ in 0..20 {
        let mut stream = server.connect();
        send(&mut stream, "GET", PIECE, &[]);
        stream.read_exact(&mut [0; 100]).unwrap();
    }
    server.until(|metrics| metrics.under_way == 0);
    assert_eq!(server.gateway.metrics().left.values().sum::<u64>(), 20);
    // Far less was read than there is.
    assert!(server.gateway.metrics().bytes.values().sum::<u64>() < 20 << 24);
}

#[test]
fn clients_that_take_nothing_are_left() {
    let server = zeros(Limits { pace: Duration::from_millis(300), ..Limits::default() });
    let mut stream = server.connect();
    send(&mut stream, "GET", PIECE, &[]);
    server.until(|metrics| metrics.under_way == 1);
    let began = Instant::now();
    server.until(|metrics| metrics.under_way == 0);
    assert!(began.elapsed() < Duration::from_secs(20));
    // What it finds when it comes back is not the whole.
    let reply = Reply::read(&mut BufReader::new(stream), false);
    assert!(reply.is_none_or(|reply| !reply.is_whole));
}

/// A MiB at a time with rests between is slow enough to wait for, and fast enough.
#[test]
fn clients_that_are_slow_are_waited_for() {
    let server = zeros(Limits { pace: Duration::from_millis(500), ..Limits::default() });
    let mut stream = server.connect();
    send(&mut stream, "GET", PIECE, &[("Range", "bytes=0-20971519")]);
    let mut got = 0;
    let mut some = vec![0; 1 << 20];
    while got < 20 << 20 {
        thread::sleep(Duration::from_millis(60));
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "{got}");
        got += count;
    }
}

#[test]
fn who_does_not_say_what_it_wants_is_left() {
    let server = zeros(Limits { head: Duration::from_millis(200), ..Limits::default() });
    for said in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nA: b", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let began = Instant::now();
        let mut stream = server.connect();
        stream.write_all(said.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // One that has had its answer, and says nothing more, is left in the same way.
        stream.read_to_end(&mut rest).unwrap();
        assert!(began.elapsed() < PATIENCE / 4, "{said:?}");
    }
}

#[test]
fn what_is_no_http_does_no_harm() {
    let server = zeros(Limits::default());
    let long = "x".repeat(1 << 20);
    let many: String = (0..1000).map(|i| format!("a{i}: b\r\n")).collect();
    for (said, status) in [
        ("\r\n\r\n\r\n".to_owned(), None),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".to_owned(), Some(400)),
        ("GET\r\n\r\n".to_owned(), Some(400)),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), Some(400)),
        ("GET /ipfs/\u{0} HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ("GET /ipfs/\u{ff} HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some(400)),
        ("GET ipfs HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some(404)),
        ("GET http://other/ipfs/bafkqaaa?format=raw HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some(200)),
        ("CONNECT other:80 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some(405)),
        ("BREW /ipfs/bafkqaaa HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some(405)),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), Some(431)),
        (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), Some(431)),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), Some(431)),
        (
            "GET /ipfs/bafkqaaa?format=raw HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\nabc".to_owned(),
            Some(200),
        ),
        (
            "POST /ipfs/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\nabc".to_owned(),
            Some(405),
        ),
    ] {
        let mut stream = server.connect();
        // Who closes early may do so while this is still being said.
        let _ = stream.write_all(said.as_bytes());
        if status.is_none() {
            continue;
        }
        let reply = Reply::read(&mut BufReader::new(stream), false);
        // A reset may overtake the answer to what was too long.
        match reply {
            Some(reply) => assert_eq!(Some(reply.status), status, "{:?}", said.chars().take(60).collect::<String>()),
            None => assert_eq!(status, Some(431)),
        }
    }
    assert_eq!(server.get("/ipfs/bafkqaaa?format=raw").status, 200);
}

/// A file of 2^40 bytes that are all the same, of which each block comes once: nothing is sent for long, and much is to be gone through.
#[test]
fn work_without_an_end_stops_when_the_client_leaves() {
    let store = Arc::new(MemoryStore::default());
    let kept = |codec, bytes: Vec<u8>| {
        let block = Block::new(HashKind::Sha256, codec, bytes).unwrap();
        store.put(std::slice::from_ref(&block)).unwrap();
        *block.cid()
    };
    let (mut cid, mut size) = (kept(Codec::Raw, vec![0; 1 << 10]), 1 << 10);
    while size < 1 << 40 {
        let links = vec![PbLink { cid, name: None, tsize: None }; 32];
        let data = Data { filesize: Some(size * 32), blocksizes: vec![size; 32], ..Data::new(Kind::File) };
        cid = kept(Codec::DagPb, PbNode { links, data: Some(data.encode()) }.encode());
        size *= 32;
    }
    let server = Server::start(store, Box::new(NoPieces), Limits { requests: 1, ..Limits::default() });
    for query in ["&entity-bytes=0:*", "&car-dups=y"] {
        let mut stream = server.connect();
        send(&mut stream, "GET", &format!("/ipfs/{cid}?format=car{query}"), &[]);
        server.until(|metrics| metrics.under_way == 1);
        thread::sleep(Duration::from_millis(50));
        drop(stream);
        free_again(&server, "/ipfs/bafkqaaa?format=raw");
    }
    // All of it, each block once, is seven blocks.
    let reply = server.get(&format!("/ipfs/{cid}?format=car"));
    assert!(reply.is_whole);
    assert_eq!(crate::trees::car(&reply.body).1.len(), 7);
}

/// Where nothing more can be remembered, who would need that is told to come again, and others are served.
#[test]
fn memory_of_what_was_sent_is_shared() {
    let trees = trees();
    let limits = Limits { remembered: 100, ..Limits::default() };
    let server = Server::start(trees.store, Box::new(NoPieces), limits);
    for (query, status) in [("", 503), ("&car-dups=y", 200)] {
        assert_eq!(server.get(&format!("/ipfs/{}?format=car{query}", trees.folder)).status, status);
    }
    // Whoever only asks whether it is there needs none.
    assert_eq!(server.ask("HEAD", &format!("/ipfs/{}?format=car", trees.folder), &[]).status, 200);
}

/// A CAR of more blocks than can be remembered breaks off, and leaves the memory to the next.
#[test]
fn memory_of_what_was_sent_has_an_end() {
    let store = Arc::new(MemoryStore::default());
    let mut importer = Importer::new(SMALL, |blocks| store.put(blocks));
    let numbers: Vec<u8> = (0..150_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = importer.file(&numbers[..]).unwrap().cid;
    importer.finish().unwrap();
    let limits = Limits { remembered: BATCH as usize, ..Limits::default() };
    let server = Server::start(store, Box::new(NoPieces), limits);
    for _ in 0..3 {
        let reply = server.get(&format!("/ipfs/{file}?format=car"));
        assert_eq!((reply.status, reply.is_whole), (200, false));
        server.until(|metrics| metrics.under_way == 0);
    }
    assert!(server.get(&format!("/ipfs/{file}?format=car&entity-bytes=0:99999")).is_whole);
    assert!(server.get(&format!("/ipfs/{file}?format=car&car-dups=y")).is_whole);
}

#[test]
fn stopping_waits_for_answers_but_not_for_ever() {
    // One that is idle, one that takes for ever.
    let mut server = zeros(Limits { stopping: Duration::from_millis(500), ..Limits::default() });
    let idle = server.connect();
    let mut endless = server.connect();
    send(&mut endless, "GET", PIECE, &[]);
    endless.read_exact(&mut [0; 100]).unwrap();
    server.until(|metrics| metrics.under_way == 1);
    let address = server.address;
    let took = server.stop();
    assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(20), "{took:?}");
    assert!(std::net::TcpStream::connect(address).is_err());
    drop(idle);

    // One that has its answer soon is waited for.
    let mut server = zeros(Limits { stopping: PATIENCE, ..Limits::default() });
    let mut stream = server.connect();
    send(&mut stream, "GET", PIECE, &[("Range", "bytes=0-20971519")]);
    server.until(|metrics| metrics.under_way == 1);
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        Reply::read(&mut BufReader::new(stream), false).unwrap()
    });
    assert!(server.stop() < PATIENCE / 2);
    let reply = reading.join().unwrap();
    assert!(reply.is_whole && reply.body.len() == 20 << 20);
}
