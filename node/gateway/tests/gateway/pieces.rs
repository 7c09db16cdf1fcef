//! Pieces from a folder.

use std::fs;

use filecash_gateway::{Limits, PieceFolder};
use filecash_ipld::Cid;
use filecash_ipld::store::MemoryStore;

use crate::client::Server;
use crate::trees::{data, trees};

/// FRC-0069: of both versions, 508 bytes.
const FIRST: &str = "baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi";
const SECOND: &str = "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi";
/// FRC-0069: 513 bytes, padded to 1016, and the version 1 of that.
const PADDED: &str = "bafkzcibd64bqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4";
const PADDED_FIRST: &str = "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa";

fn server(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let pieces = PieceFolder::new(folder.path()).unwrap();
    let server = Server::start(std::sync::Arc::new(MemoryStore::default()), Box::new(pieces), Limits::default());
    (folder, server)
}

#[test]
fn pieces_are_given_by_both_of_their_names() {
    let four = |byte| vec![byte; 127];
    let data: Vec<u8> = [four(0), four(1), four(2), four(3)].concat();
    let padded = [&data[..], &[0; 508]].concat();
    let (_folder, server) = server(&[(&format!("{FIRST}.piece"), &data), (&format!("{PADDED_FIRST}.piece"), &padded)]);
    for (cid, bytes) in [(FIRST, &data[..]), (SECOND, &data), (PADDED, &padded[..513]), (PADDED_FIRST, &padded)] {
        let reply = server.get(&format!("/piece/{cid}"));
        assert_eq!((reply.status, &reply.body[..], reply.is_whole), (200, bytes, true), "{cid}");
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("content-length", &bytes.len().to_string()),
            ("content-disposition", &format!("attachment; filename=\"{cid}\"")),
            ("etag", &format!("\"{cid}.piece\"")),
            ("cache-control", "public, max-age=29030400, immutable"),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{name}");
        }
        let head = server.ask("HEAD", &format!("/piece/{cid}"), &[]);
        assert_eq!((head.status, head.header("content-length")), (200, Some(&bytes.len().to_string()[..])));
        let had = server.ask("GET", &format!("/piece/{cid}"), &[("If-None-Match", &format!("\"{cid}.piece\""))]);
        assert_eq!((had.status, had.body.len()), (304, 0));
    }
    let absent = "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq";
    for (target, status, message) in [
        (format!("/piece/{absent}"), 404, "is not here"),
        ("/piece/bafkzcibcaapao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq".to_owned(), 404, "is not here"),
        ("/piece/bafkqaaa".to_owned(), 400, "not the CID of a piece"),
        ("/piece/../Cargo.toml".to_owned(), 400, "no path"),
        (format!("/piece/{FIRST}.piece"), 400, "is no CID"),
        (format!("/piece/{FIRST}/a"), 400, "no path"),
    ] {
        let reply = server.get(&target);
        assert_eq!(reply.status, status, "{target}");
        assert!(reply.text().contains(message), "{}", reply.text());
    }
}

/// What has fewer bytes than version 2 says is another piece, or not whole.
#[test]
fn short_pieces_are_not_given_by_version_2() {
    let (folder, server) = server(&[(&format!("{FIRST}.car"), &data(507))]);
    assert_eq!(server.get(&format!("/piece/{FIRST}")).status, 200);
    let reply = server.get(&format!("/piece/{SECOND}"));
    assert!(reply.status == 404 && reply.text().contains("not here with 508 bytes"), "{}", reply.text());
    fs::write(folder.path().join(format!("{FIRST}.car")), b"").unwrap();
    let empty = server.get(&format!("/piece/{FIRST}"));
    assert_eq!((empty.status, empty.header("content-length"), empty.body.len()), (200, Some("0"), 0));
    assert_eq!(server.ask("GET", &format!("/piece/{FIRST}"), &[("Range", "bytes=0-")]).status, 416);
}

#[test]
fn cars_are_told_to_be_cars() {
    let trees = trees();
    let blocks = Server::of_blocks(trees.store);
    let car = blocks.get(&format!("/ipfs/{}?format=car", trees.folder)).body;
    let padded = [&car[..], &vec![0; 100_000]].concat();
    // Under whichever ending.
    let (_folder, server) = server(&[(&format!("{FIRST}.piece"), &padded)]);
    let reply = server.get(&format!("/piece/{FIRST}"));
    assert_eq!(reply.header("content-type"), Some("application/vnd.ipld.car;version=1"));
    assert_eq!(reply.header("content-disposition"), Some(&format!("attachment; filename=\"{FIRST}.car\"")[..]));
    assert!(reply.body == padded);
}

#[test]
fn any_range_is_the_bytes_of_the_piece() {
    let bytes = data(1_000_003);
    let (_folder, server) = server(&[(&format!("{FIRST}.piece"), &bytes)]);
    let mut seed = 99_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let length = bytes.len() as u64;
    for turn in 0..100 {
        let (a, b) = (random(length), random(length));
        let (first, last) = if turn % 2 == 0 { (a.min(b), a.max(b)) } else { (a, (a + b % 300).min(length - 1)) };
        let range = match turn % 5 {
            0 => format!("bytes={first}-"),
            1 => format!("bytes=-{}", length - first),
            _ => format!("bytes={first}-{last}"),
        };
        let last = if turn % 5 < 2 { length - 1 } else { last };
        let reply = server.ask("GET", &format!("/piece/{FIRST}"), &[("Range", &range)]);
        assert_eq!((reply.status, reply.is_whole), (206, true), "{range}");
        assert_eq!(reply.header("content-range"), Some(&format!("bytes {first}-{last}/{length}")[..]));
        assert!(reply.body == bytes[first as usize..=last as usize], "{range}");
    }
    server.until(|metrics| metrics.under_way == 0);
    let metrics = server.gateway.metrics();
    assert!(metrics.left.is_empty() && metrics.broken_off.is_empty());
}

#[test]
fn a_piece_that_breaks_off_is_not_taken_for_whole() {
    struct Short;
    impl filecash_ipld::positioned::ReadAt for Short {
        fn read_up_to(&self, bytes: &mut [u8], at: u64) -> std::io::Result<usize> {
            Ok(bytes.len().min(300_000_u64.saturating_sub(at) as usize))
        }
    }
    impl filecash_gateway::PieceSource for Short {
        fn open(&self, _: &Cid) -> std::io::Result<Option<filecash_gateway::piece::Piece>> {
            Ok(Some(filecash_gateway::piece::Piece { length: 1_000_000, bytes: Box::new(Short) }))
        }
    }
    let server = Server::start(std::sync::Arc::new(MemoryStore::default()), Box::new(Short), Limits::default());
    let reply = server.get(&format!("/piece/{FIRST}"));
    assert_eq!((reply.status, reply.is_whole), (200, false));
    let part = server.ask("GET", &format!("/piece/{FIRST}"), &[("Range", "bytes=0-299999")]);
    assert_eq!((part.status, part.is_whole, part.body.len()), (206, true, 300_000));
    server.until(|metrics| metrics.broken_off.values().sum::<u64>() == 1);
}
