//! CARs as clients use them: with nothing but the blocks of one, what was asked for is found.

use std::io::{Read, Seek, SeekFrom};

use filecash_gateway::bytes::{Entity, EntityBytes};
use filecash_ipld::selector::Selector;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::traverse::{Limits, Walk};
use filecash_ipld::unixfs::folder;
use filecash_ipld::unixfs::read::Reader;
use filecash_ipld::{Block, Cid};

use crate::client::Server;
use crate::trees::{Trees, car, cids, data, store_of, trees};

fn server() -> (Trees, Server) {
    let trees = trees();
    let server = Server::of_blocks(trees.store.clone());
    (trees, server)
}

fn fetched(server: &Server, path: &str) -> Vec<u8> {
    let reply = server.get(path);
    assert!(
        reply.status == 200 && reply.is_whole,
        "{path}: {} {:?}",
        reply.status,
        String::from_utf8_lossy(&reply.body)
    );
    reply.body
}

/// Walks over everything below a root with the blocks as they come, which are neither more nor fewer.
fn walk_through(root: Cid, blocks: &[Block], duplicates: bool) {
    let mut walk = Walk::new(root, &Selector::everything(), Limits::DEFAULT);
    if !duplicates {
        walk = walk.following_links_once();
    }
    let mut blocks = blocks.iter();
    while let Some(wanted) = walk.next_block().unwrap() {
        let block = blocks.next().unwrap_or_else(|| panic!("{} is not in the CAR", wanted.cid));
        walk.supply_block(block).unwrap();
    }
    assert_eq!(blocks.next(), None);
}

#[test]
fn everything_is_walked_through_in_order() {
    let (trees, server) = server();
    for root in [trees.folder, trees.file, trees.many, trees.value, trees.deep] {
        for (query, duplicates) in
            [("", false), ("&car-dups=n", false), ("&car-dups=y", true), ("&dag-scope=all", false)]
        {
            let (roots, blocks) = car(&fetched(&server, &format!("/ipfs/{root}?format=car{query}")));
            assert_eq!(roots, [root]);
            walk_through(root, &blocks, duplicates);
        }
    }
    // The file is there three times.
    let count = |query| car(&fetched(&server, &format!("/ipfs/{}?format=car{query}", trees.folder))).1.len();
    assert!(count("&car-dups=y") > count("") + 100);
}

#[test]
fn paths_come_with_the_blocks_that_lead_there() {
    let (trees, server) = server();
    let file = trees.file.to_string();
    for (root, path, way, end) in [
        (trees.folder, "file", 1, Some(file.as_str())),
        (trees.folder, "again/", 1, Some(&file)),
        (trees.folder, "value/file", 2, Some(&file)),
        (trees.folder, "%C3%BC", 1, None),
        (trees.folder, "ü", 1, None),
        (trees.folder, "value/list/1", 2, None),
        (trees.folder, "value/list/1/file", 3, Some(&file)),
        (trees.deep, "d/d/d", 3, None),
    ] {
        let (_, blocks) = car(&fetched(&server, &format!("/ipfs/{root}/{path}?format=car&dag-scope=block")));
        assert_eq!(blocks.len(), way + 1, "{path}");
        assert_eq!(blocks[0].cid(), &root);
        assert!(end.is_none_or(|end| cids(&blocks)[way] == end), "{path}");
        // All that is below follows.
        let (_, all) = car(&fetched(&server, &format!("/ipfs/{root}/{path}?format=car&car-dups=y")));
        assert_eq!(all[..way], blocks[..way]);
        walk_through(*blocks[way].cid(), &all[way..], true);
    }
    // Through a sharded folder, for each of its names.
    let whole = car(&fetched(&server, &format!("/ipfs/{}?format=car&dag-scope=entity", trees.many))).1.len();
    assert!(whole > 1);
    for i in 0..200 {
        let path = format!("/ipfs/{}/many/name-{i}?format=car", trees.folder);
        let bytes = fetched(&server, &path);
        let store = store_of(&bytes);
        let found = folder::resolve(&store, &trees.folder, &format!("many/name-{i}")).unwrap();
        let mut content = Vec::new();
        Reader::new(&store, &found).unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content, data(i));
        let shards = 1 + car(&bytes).1.iter().filter(|block| block.cid().codec() == 0x70).count();
        assert!(shards < whole, "{i}");
    }
}

#[test]
fn entities_are_files_or_the_names_of_folders() {
    let (trees, server) = server();
    let of = |path: &str| car(&fetched(&server, &format!("/ipfs/{path}?format=car&dag-scope=entity"))).1;
    // A folder is one block, a sharded one all of its shards and nothing below.
    assert_eq!(cids(&of(&trees.folder.to_string())), [trees.folder.to_string()]);
    let store = store_of(&fetched(&server, &format!("/ipfs/{}?format=car&dag-scope=entity", trees.many)));
    assert_eq!(folder::list(&store, &trees.many).unwrap().map(Result::unwrap).count(), 200);
    let below = folder::find(&store, &trees.many, "name-7").unwrap().unwrap().cid;
    assert!(store.size(&below).unwrap().is_none());
    // Others are one block.
    for path in ["link", "value", "empty"] {
        assert_eq!(of(&format!("{}/{path}", trees.folder)).len(), 2, "{path}");
    }
    walk_through(trees.file, &of(&trees.file.to_string()), false);
}

/// What is read through a store that has only the blocks of a CAR; and that none of these could be left out.
#[test]
fn bytes_of_files_come_with_no_block_too_many() {
    let (trees, server) = server();
    let content = data(5000);
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut spans: Vec<String> = [
        "0:*",
        "0:0",
        "99:99",
        "99:100",
        "100:100",
        "100:199",
        "4999:4999",
        "4999:*",
        "4900:9999",
        "-1:*",
        "-1:-1",
        "-100:*",
        "-101:-100",
        "-9999:*",
        "-9999:-4901",
        "0:-1",
        "2500:-2500",
        "5000:*",
        "500:499",
        "3000:-4000",
    ]
    .map(str::to_owned)
    .to_vec();
    for _ in 0..60 {
        let from = random(5000);
        spans.push(format!("{from}:{}", from + random(5000)));
        spans.push(format!("-{}:{}", random(6000) + 1, 4999 - random(300)));
    }
    for text in spans {
        let reply = server.get(&format!("/ipfs/{}/file?format=car&car-dups=y&entity-bytes={text}", trees.folder));
        assert!(reply.status == 200 && reply.is_whole, "{text}: {}", reply.status);
        let blocks = car(&reply.body).1;
        assert_eq!(cids(&blocks[..2]), [trees.folder.to_string(), trees.file.to_string()], "{text}");
        let Entity::Some(span) = text.parse::<EntityBytes>().unwrap().of(5000) else {
            assert_eq!(blocks.len(), 2, "{text}");
            continue;
        };
        let read = |blocks: &[Block]| {
            let store = MemoryStore::default();
            store.put(blocks).unwrap();
            let mut reader = Reader::new(&store, &trees.file).ok()?;
            reader.seek(SeekFrom::Start(span.first)).unwrap();
            let mut bytes = Vec::new();
            reader.take(span.length()).read_to_end(&mut bytes).ok().map(|_| bytes)
        };
        assert_eq!(read(&blocks).unwrap(), content[span.first as usize..=span.last as usize], "{text}");
        let mut distinct = blocks[1..].to_vec();
        distinct.sort_by_key(|block| block.cid().to_bytes());
        distinct.dedup();
        if distinct.len() < 12 {
            for left_out in 0..distinct.len() {
                let mut others = distinct.clone();
                others.remove(left_out);
                assert_eq!(read(&others), None, "{text}");
            }
        }
    }
    for outside in ["5000:6000", "6000:*", "-9000:-6000"] {
        let reply = server.get(&format!("/ipfs/{}?format=car&entity-bytes={outside}", trees.file));
        assert_eq!(reply.status, 400, "{outside}");
        assert!(reply.text().contains("a file of 5000"), "{}", reply.text());
    }
    // Of what is no file the bytes do not matter.
    for path in ["", "/value", "/link", "/many"] {
        let all = |query| fetched(&server, &format!("/ipfs/{}{path}?format=car&{query}", trees.folder));
        assert!(all("entity-bytes=7000:9000") == all("dag-scope=entity"), "{path}");
    }
}

#[test]
fn cars_break_off_where_a_block_is_missing() {
    let (trees, server) = server();
    let (_, blocks) = car(&fetched(&server, &format!("/ipfs/{}?format=car", trees.file)));
    for missing in [1, 2, blocks.len() - 1] {
        trees.store.remove(&[*blocks[missing].cid()]).unwrap();
        for query in ["", "&dag-scope=entity", "&entity-bytes=0:*", "&car-dups=y"] {
            let reply = server.get(&format!("/ipfs/{}/again?format=car{query}", trees.folder));
            assert!(reply.status == 200 && !reply.is_whole, "{missing} {query}");
        }
        // Up to there, and from there on, all is well.
        let reply = server.get(&format!("/ipfs/{}?format=car&dag-scope=block", trees.file));
        assert!(reply.status == 200 && reply.is_whole);
        trees.store.put(std::slice::from_ref(&blocks[missing])).unwrap();
    }
    let broken = server.gateway.metrics().broken_off;
    assert_eq!(broken.values().sum::<u64>(), 12);
    // What is missing before the end of the path is told at once.
    trees.store.remove(&[trees.file]).unwrap();
    for path in [format!("{}", trees.file), format!("{}/file", trees.folder), format!("{}/list/1/file", trees.value)] {
        assert_eq!(server.get(&format!("/ipfs/{path}?format=car")).status, 404, "{path}");
    }
}
