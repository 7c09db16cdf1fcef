//! Statuses and headers, row by row.

use filecash_gateway::metrics::Kind;
use filecash_gateway::request::MOST_NAMES;
use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;

use crate::client::{Reply, Server, send};
use crate::trees::trees;

const ABSENT: &str = "bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu";

#[test]
fn blocks_are_given_as_they_are() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    let identity: Cid = "bafkqac3imvwgy3zao5xxe3de".parse().unwrap();
    for cid in [trees.file, trees.folder, trees.value, identity] {
        let bytes = trees.store.get(&cid).unwrap().unwrap();
        let target = format!("/ipfs/{cid}?format=raw");
        let reply = server.get(&target);
        assert_eq!((reply.status, &reply.body, reply.is_whole), (200, &bytes, true));
        for (name, value) in [
            ("content-type", "application/vnd.ipld.raw"),
            ("content-length", &bytes.len().to_string()),
            ("content-disposition", &format!("attachment; filename=\"{cid}.bin\"")),
            ("etag", &format!("\"{cid}.raw\"")),
            ("cache-control", "public, max-age=29030400, immutable"),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
            ("x-ipfs-path", &format!("/ipfs/{cid}")),
            ("x-ipfs-roots", &cid.to_string()),
            ("vary", "Accept"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{name}");
        }
        assert_eq!(reply.header("content-location"), None);
        let head = server.ask("HEAD", &target, &[]);
        let without_date = |reply: &Reply| {
            let mut headers = reply.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers
        };
        assert_eq!((head.status, without_date(&head)), (200, without_date(&reply)));
        // By what is accepted, the address is told that says so.
        let accepted = server.ask(
            "GET",
            &format!("/ipfs/{cid}"),
            &[("Accept", "text/html"), ("Accept", "application/vnd.ipld.raw")],
        );
        assert_eq!((accepted.status, &accepted.body), (200, &bytes));
        assert_eq!(accepted.header("content-location"), Some(&target[..]));
    }
    // By a name of version 0, and in another base.
    let v0 = Cid::new_v0(*trees.folder.hash()).unwrap();
    let reply = server.get(&format!("/ipfs/{v0}?format=raw&filename=%C3%BC%22.bin"));
    assert_eq!((reply.status, reply.body), (200, trees.store.get(&trees.folder).unwrap().unwrap()));
    let disposition = reply.headers.iter().find(|(name, _)| name == "content-disposition").unwrap();
    assert_eq!(disposition.1, "attachment; filename=\"__.bin\"; filename*=UTF-8''%C3%BC%22.bin");
}

#[test]
fn cars_say_what_they_are() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    let (folder, file) = (trees.folder, trees.file);
    let reply = server.get(&format!("/ipfs/{folder}/file?format=car&dag-scope=entity"));
    for (name, value) in [
        ("content-type", "application/vnd.ipld.car;version=1;order=dfs;dups=n"),
        ("content-disposition", &format!("attachment; filename=\"{folder}.car\"")),
        ("cache-control", "public, max-age=29030400, immutable"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "none"),
        ("x-ipfs-path", &format!("/ipfs/{folder}/file")),
        ("x-ipfs-roots", &format!("{folder},{file}")),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let etag = reply.header("etag").unwrap();
    assert!(etag.starts_with(&format!("W/\"car.entity.n.{folder}.")), "{etag}");
    assert_eq!(reply.header("content-length"), None);
    let accept = [("Accept", "application/vnd.ipld.car; version=1; order=dfs; dups=y")];
    let accepted = server.ask("HEAD", &format!("/ipfs/{folder}/file?dag-scope=block&filename=x"), &accept);
    assert_eq!(accepted.header("content-type"), Some("application/vnd.ipld.car;version=1;order=dfs;dups=y"));
    assert_eq!(accepted.header("content-disposition"), Some("attachment; filename=\"x\""));
    let location =
        format!("/ipfs/{folder}/file?format=car&dag-scope=block&car-version=1&car-order=dfs&car-dups=y&filename=x");
    assert_eq!((accepted.status, accepted.header("content-location")), (200, Some(&location[..])));
    // A range of a CAR makes no sense.
    let whole = server.get(&format!("/ipfs/{file}?format=car"));
    let ranged = server.ask("GET", &format!("/ipfs/{file}?format=car"), &[("Range", "bytes=0-9")]);
    assert!(ranged.status == 200 && ranged.body == whole.body);
    // Roots of a very long path may be left out.
    let path = "/d".repeat(MOST_NAMES);
    let deep = server.get(&format!("/ipfs/{}{path}?format=car", trees.deep));
    assert_eq!((deep.status, deep.is_whole, deep.header("x-ipfs-roots")), (200, true, None));
    assert_eq!(server.get(&format!("/ipfs/{}{path}/d?format=car", trees.deep)).status, 414);
}

/// The probe of the specification, and another CID that holds its block.
#[test]
fn probes_are_answered() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    for cid in ["bafkqaaa", "bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa"] {
        for query in ["", "&car-dups=y", "&dag-scope=block", "&dag-scope=entity", "&entity-bytes=0:*"] {
            let reply = server.get(&format!("/ipfs/{cid}?format=car{query}"));
            assert_eq!((reply.status, reply.is_whole), (200, true));
            let (roots, blocks) = crate::trees::car(&reply.body);
            assert_eq!((roots, blocks.len()), (vec![cid.parse().unwrap()], 0));
        }
        for (method, form) in [("HEAD", "raw"), ("HEAD", "car"), ("GET", "raw")] {
            assert_eq!(server.ask(method, &format!("/ipfs/{cid}?format={form}"), &[]).status, 200);
        }
    }
    assert_eq!(server.get("/ipfs/bafkqaaa?format=raw").body, b"");
    assert_eq!(server.get("/ipfs/bafkqaaa?format=raw").header("content-length"), Some("0"));
}

#[test]
fn ranges_of_blocks() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    let bytes = trees.store.get(&trees.file).unwrap().unwrap();
    let (length, etag) = (bytes.len(), format!("\"{}.raw\"", trees.file));
    let target = format!("/ipfs/{}?format=raw", trees.file);
    for (range, if_range, expected) in [
        ("bytes=0-0", "", Some(0..1)),
        ("bytes=5-", "", Some(5..length)),
        ("bytes=-5", "", Some(length - 5..length)),
        ("bytes=2-9999", &etag, Some(2..length)),
        ("bytes=2-3", "\"other\"", None),
        ("bytes=2-3", "Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("bytes=0-1,3-4", "", None),
        ("bytes=x", "", None),
    ] {
        let mut headers = vec![("Range", range)];
        if !if_range.is_empty() {
            headers.push(("If-Range", if_range));
        }
        let reply = server.ask("GET", &target, &headers);
        let span = expected.clone().unwrap_or(0..length);
        assert_eq!(
            (reply.status, &reply.body[..]),
            (if expected.is_some() { 206 } else { 200 }, &bytes[span.clone()]),
            "{range}"
        );
        let content_range = expected.map(|_| format!("bytes {}-{}/{length}", span.start, span.end - 1));
        assert_eq!(reply.header("content-range"), content_range.as_deref(), "{range}");
        assert_eq!(reply.header("etag"), Some(&etag[..]));
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let reply = server.ask("GET", &target, &[("Range", &range)]);
        assert_eq!((reply.status, reply.header("content-range")), (416, Some(&format!("bytes */{length}")[..])));
        // HEAD has nothing to send a range of.
        assert_eq!(server.ask("HEAD", &target, &[("Range", &range)]).status, 200);
    }
}

#[test]
fn who_has_it_already_gets_nothing() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    for query in ["?format=raw", "?format=car", "?format=car&car-dups=y&entity-bytes=1:5"] {
        let target = format!("/ipfs/{}{query}", trees.file);
        let etag = server.get(&target).header("etag").unwrap().to_owned();
        let opaque = etag.trim_start_matches("W/");
        for (tags, is_had) in [
            (etag.clone(), true),
            (opaque.to_owned(), true),
            (format!("W/{opaque}"), true),
            (format!("\"a\", \"b\",{etag}"), true),
            ("*".to_owned(), true),
            ("\"a\"".to_owned(), false),
            (opaque.trim_matches('"').to_owned(), false),
        ] {
            for method in ["GET", "HEAD"] {
                let reply = server.ask(method, &target, &[("If-None-Match", &tags)]);
                assert_eq!(reply.status, if is_had { 304 } else { 200 }, "{tags}");
                assert_eq!(reply.header("etag"), Some(&etag[..]));
                assert!(!is_had || reply.body.is_empty());
            }
        }
    }
    // What is not here is not here, whatever a client has.
    let reply = server.ask("GET", &format!("/ipfs/{ABSENT}?format=raw"), &[("If-None-Match", "*")]);
    assert_eq!(reply.status, 404);
}

#[test]
fn refusals_are_a_status_and_a_line() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    let (folder, file) = (trees.folder, trees.file);
    let json = Cid::new_v1(0x129, *trees.file.hash());
    for (method, target, headers, status, message) in [
        ("GET", "/".to_owned(), &[][..], 404, "nothing here"),
        ("GET", "/metrics".to_owned(), &[], 404, "nothing here"),
        ("GET", "/ipfs/nonsense?format=raw".to_owned(), &[], 400, "\"nonsense\" is no CID"),
        ("GET", format!("/ipfs/{file}"), &[], 400, "?format=raw"),
        ("GET", format!("/ipfs/{file}"), &[("Accept", "*/*")], 406, "a file or a page is not given"),
        ("GET", format!("/ipfs/{file}?format=tar"), &[], 406, "application/x-tar is not given"),
        ("GET", format!("/ipfs/{file}?format=car&car-order=x"), &[], 400, "car-order"),
        ("GET", format!("/ipfs/{file}"), &[("Accept", "application/vnd.ipld.car;version=2")], 406, "version 1"),
        ("GET", format!("/ipfs/{ABSENT}?format=raw"), &[], 404, "is not here"),
        ("GET", format!("/ipfs/{ABSENT}?format=car"), &[], 404, "is not here"),
        ("GET", format!("/ipfs/{ABSENT}/a/b?format=car"), &[], 404, "is not here"),
        ("HEAD", format!("/ipfs/{ABSENT}?format=car"), &[], 404, ""),
        (
            "GET",
            format!("/ipfs/{ABSENT}?format=raw"),
            &[("Cache-Control", "no-store, only-if-cached")],
            412,
            "is not here",
        ),
        ("GET", format!("/ipfs/{ABSENT}?format=car"), &[("Cache-Control", "Only-If-Cached")], 412, "is not here"),
        ("GET", format!("/ipfs/{folder}/nothing?format=car"), &[], 404, "by the name of \"nothing\""),
        ("GET", format!("/ipfs/{folder}/many/name-200?format=car"), &[], 404, "by the name of \"name-200\""),
        ("GET", format!("/ipfs/{folder}/file/x?format=car"), &[], 404, "is a file, in which \"x\""),
        ("GET", format!("/ipfs/{folder}/link/x?format=car"), &[], 404, "is a symbolic link"),
        ("GET", format!("/ipfs/{folder}/value/number?format=car"), &[], 501, "ends within"),
        ("GET", format!("/ipfs/{json}?format=car"), &[], 501, "0x129"),
        ("GET", format!("/ipfs/{file}?format=raw"), &[("Service-Worker", "script")], 400, "service worker"),
        ("POST", format!("/ipfs/{file}?format=raw"), &[("Content-Length", "0")], 405, "only read"),
        ("PUT", "/ipfs/".to_owned(), &[("Content-Length", "0")], 405, "only read"),
        ("DELETE", format!("/ipfs/{file}"), &[], 405, "only read"),
        ("OPTIONS", "*".to_owned(), &[], 405, "only read"),
        ("GET", format!("/ipfs/{file}?format=raw&x={}", "x".repeat(9000)), &[], 414, "at most"),
    ] {
        let reply = server.ask(method, &target, headers);
        assert_eq!(reply.status, status, "{method} {target}: {:?}", String::from_utf8_lossy(&reply.body));
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!((reply.header("cache-control"), reply.header("etag")), (Some("no-store"), None));
        assert_eq!(reply.header("allow"), (status == 405).then_some("GET, HEAD"));
        if method != "HEAD" {
            assert!(reply.text().contains(message), "{}", reply.text());
            assert_eq!(reply.text().lines().count(), 1);
        }
    }
    // Of a codec that is not known the block is given all the same.
    for query in ["?format=raw", "?format=car&dag-scope=block", "?format=car&dag-scope=entity"] {
        assert_eq!(server.get(&format!("/ipfs/{json}{query}")).status, 200, "{query}");
    }
    // In HTTP/1.0 the end of a CAR could not be told from its breaking off; of a block it can.
    for (form, status) in [("car", 505), ("raw", 200)] {
        let mut stream = server.connect();
        let head = format!("GET /ipfs/{file}?format={form} HTTP/1.0\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let reply = Reply::read(&mut std::io::BufReader::new(stream), false).unwrap();
        assert_eq!((reply.status, reply.is_whole), (status, true));
    }
}

#[test]
fn damaged_and_very_long_blocks_are_not_given() {
    let trees = trees();
    let limits = filecash_gateway::Limits { block_bytes: 60, ..Default::default() };
    let server = Server::start(trees.store.clone(), Box::new(filecash_gateway::NoPieces), limits);
    let reply = server.get(&format!("/ipfs/{}?format=raw", trees.file));
    assert_eq!(reply.status, 501);
    assert!(reply.text().contains("at most 60 are given"), "{}", reply.text());

    struct Lying;
    impl BlockStore for Lying {
        fn put(&self, _: &[filecash_ipld::Block]) -> Result<(), filecash_ipld::store::StoreError> {
            Err(filecash_ipld::store::StoreError::ReadOnly)
        }
        fn get_kept(&self, _: &Cid) -> Result<Option<Vec<u8>>, filecash_ipld::store::StoreError> {
            Ok(Some(b"something else".to_vec()))
        }
        fn size_kept(&self, _: &Cid) -> Result<Option<u64>, filecash_ipld::store::StoreError> {
            Ok(Some(14))
        }
        fn remove(&self, _: &[Cid]) -> Result<u64, filecash_ipld::store::StoreError> {
            Err(filecash_ipld::store::StoreError::ReadOnly)
        }
    }
    let server = Server::of_blocks(std::sync::Arc::new(Lying));
    let reply = server.get(&format!("/ipfs/{}?format=raw", trees.file));
    assert_eq!((reply.status, reply.text()), (500, &format!("what is kept of {} is damaged\n", trees.file)[..]));
    assert_eq!(server.get(&format!("/ipfs/{}/x?format=car", trees.file)).status, 500);
    let reply = server.get(&format!("/ipfs/{}?format=car", trees.file));
    assert!(reply.status == 200 && !reply.is_whole);
}

#[test]
fn requests_are_counted_and_a_connection_takes_many() {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    let mut stream = server.connect();
    let mut replies = std::io::BufReader::new(stream.try_clone().unwrap());
    let mut bytes = 0;
    for target in ["?format=raw", "?format=car", "?format=nothing", "?format=raw"] {
        send(&mut stream, "GET", &format!("/ipfs/{}{target}", trees.file), &[]);
        let reply = Reply::read(&mut replies, false).unwrap();
        assert!(reply.is_whole);
        bytes += reply.body.len() as u64;
    }
    server.until(|metrics| metrics.under_way == 0);
    let metrics = server.gateway.metrics();
    let requests: Vec<_> = metrics.requests.into_iter().collect();
    assert_eq!(requests, [((Kind::Block, 200), 2), ((Kind::Car, 200), 1), ((Kind::Other, 400), 1)]);
    assert_eq!(metrics.bytes.values().sum::<u64>(), bytes);
    assert!(metrics.broken_off.is_empty() && metrics.left.is_empty() && metrics.refused_connections == 0);
}
