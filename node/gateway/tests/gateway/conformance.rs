//! What the conformance tests of IPFS gateways ask of CARs (`tests/trustless_gateway_car_test.go` of ipfs/gateway-conformance, whose files are
//! `tests/vectors/gateway/`): exactly these blocks, in this order.

use std::fs;
use std::sync::Arc;

use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarReader};
use filecash_ipld::codec::dag_pb::PbNode;
use filecash_ipld::codec::{Codec, dag_cbor, links};
use filecash_ipld::store::{BlockStore, MemoryStore, import};
use filecash_ipld::unixfs::folder;

use crate::client::Server;
use crate::trees::{car, cids};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/gateway/");
/// `multiblock.txt`, 1026 bytes: four blocks of 256, one of 2.
const MULTIBLOCK: [&str; 5] = [
    "bafkreie5noke3mb7hqxukzcy73nl23k6lxszxi5w3dtmuwz62wnvkpsscm",
    "bafkreih4ephajybraj6wnxsbwjwa77fukurtpl7oj7t7pfq545duhot7cq",
    "bafkreigu7buvm3cfunb35766dn7tmqyh2um62zcio63en2btvxuybgcpue",
    "bafkreicll3huefkc3qnrzeony7zcfo7cr3nbx64hnxrqzsixpceg332fhe",
    "bafkreifst3pqztuvj57lycamoi7z34b4emf7gawxs74nwrc2c7jncmpaqm",
];

struct Fixture {
    root: Cid,
    store: Arc<MemoryStore>,
    server: Server,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let bytes = fs::read(format!("{VECTORS}{name}")).unwrap();
        let car = CarReader::new(&bytes[..], &CarOptions::default()).unwrap();
        let (root, store) = (car.roots()[0], Arc::new(MemoryStore::default()));
        import(&*store, car).unwrap();
        Self { root, server: Server::of_blocks(store.clone()), store }
    }

    /// What a path through folders leads to.
    fn at(&self, path: &str) -> Cid {
        folder::resolve(&*self.store, &self.root, path).unwrap()
    }

    /// All below a CID, as often as it is met, without itself.
    fn below(&self, cid: &Cid) -> Vec<String> {
        let mut found = Vec::new();
        for link in links(cid, &self.store.get(cid).unwrap().unwrap()).unwrap() {
            found.push(link.to_string());
            found.extend(self.below(&link));
        }
        found
    }

    /// All shards below one.
    fn shards(&self, cid: &Cid) -> Vec<String> {
        let links = PbNode::decode(&self.store.get(cid).unwrap().unwrap()).unwrap().links;
        // The place alone, without a name behind it, is that of another shard.
        let shards = links.iter().filter(|link| link.name.as_ref().unwrap().len() == 2);
        shards.flat_map(|link| [vec![link.cid.to_string()], self.shards(&link.cid)].concat()).collect()
    }

    /// The shards from one down to that with a name in it; none where no shard has it.
    fn way(&self, cid: &Cid, name: &str) -> Vec<String> {
        let links = PbNode::decode(&self.store.get(cid).unwrap().unwrap()).unwrap().links;
        let below = links.iter().find_map(|link| match link.name.as_ref().unwrap().split_at(2).1 {
            "" => Some(self.way(&link.cid, name)).filter(|way| !way.is_empty()),
            here => (here == name).then(Vec::new),
        });
        below.map_or(Vec::new(), |below| [vec![cid.to_string()], below].concat())
    }

    /// The blocks of a CAR, by both ways to ask for one.
    #[track_caller]
    fn gives(&self, path: &str, query: &str, expected: &[String]) {
        for (query, headers) in
            [(format!("format=car&{query}"), &[][..]), (query.to_owned(), &[("Accept", "application/vnd.ipld.car")])]
        {
            let reply = self.server.ask("GET", &format!("/ipfs/{path}?{query}"), headers);
            assert!(reply.status == 200 && reply.is_whole, "{path}?{query}: {}", reply.status);
            assert_eq!(cids(&car(&reply.body).1), expected, "{path}?{query}");
        }
    }
}

fn texts(cids: &[Cid]) -> Vec<String> {
    cids.iter().map(ToString::to_string).collect()
}

#[test]
fn paths_and_scopes() {
    let plain = Fixture::new("subdir-with-two-single-block-files.car");
    let (root, subdir, ascii) = (plain.root, plain.at("subdir"), plain.at("subdir/ascii.txt"));
    plain.gives(&format!("{root}/subdir/ascii.txt"), "", &texts(&[root, subdir, ascii]));
    plain.gives(&format!("{root}/subdir"), "dag-scope=block", &texts(&[root, subdir]));
    plain.gives(&format!("{root}/subdir/ascii.txt"), "dag-scope=block", &texts(&[root, subdir, ascii]));
    plain.gives(&root.to_string(), "dag-scope=entity", &texts(&[root]));
    assert_eq!(plain.server.get(&format!("/ipfs/{root}/subdir/i-do-not-exist?format=car")).status, 404);

    let mixed = Fixture::new("subdir-with-mixed-block-files.car");
    let (root, subdir, multi) = (mixed.root, mixed.at("subdir"), mixed.at("subdir/multiblock.txt"));
    let way = texts(&[root, subdir]);
    mixed.gives(
        &format!("{root}/subdir/ascii.txt"),
        "dag-scope=entity",
        &[&way[..], &texts(&[mixed.at("subdir/ascii.txt")])].concat(),
    );
    let file = [&way[..], &texts(&[multi]), &MULTIBLOCK.map(str::to_owned)].concat();
    for query in ["dag-scope=entity", "dag-scope=all", "dag-scope=entity&entity-bytes=0:*"] {
        mixed.gives(&format!("{root}/subdir/multiblock.txt"), query, &file);
    }
    mixed.gives(&format!("{root}/subdir"), "dag-scope=all", &[&way[..], &mixed.below(&subdir)].concat());

    let cbor = Fixture::new("dir-with-dag-cbor-with-links.car");
    let document = cbor.at("document");
    let value = dag_cbor::decode(&cbor.store.get(&document).unwrap().unwrap()).unwrap();
    let Some(filecash_ipld::Ipld::Link(single)) = value.get("files").and_then(|files| files.get("single")) else {
        panic!("{value:?}");
    };
    cbor.gives(&format!("{document}/files/single"), "", &texts(&[document, *single]));
    cbor.gives(&format!("{}/document", cbor.root), "dag-scope=entity", &texts(&[cbor.root, document]));
}

#[test]
fn sharded_folders() {
    let sharded = Fixture::new("single-layer-hamt-with-multi-block-files.car");
    let root = sharded.root;
    let shards = |cid: &Cid| sharded.shards(cid);
    let all = [&texts(&[root])[..], &shards(&root)].concat();
    for query in ["dag-scope=entity", "dag-scope=entity&entity-bytes=0:*"] {
        sharded.gives(&root.to_string(), query, &all);
    }
    for name in ["685.txt", "1.txt"] {
        let file = sharded.at(name);
        let block = [sharded.way(&root, name), texts(&[file])].concat();
        sharded.gives(&format!("{root}/{name}"), "dag-scope=block", &block);
        let mut whole = [&block[..], &sharded.below(&file)].concat();
        let mut seen = std::collections::HashSet::new();
        whole.retain(|cid| seen.insert(cid.clone()));
        sharded.gives(&format!("{root}/{name}"), "", &whole);
    }
}

#[test]
fn bytes_of_files() {
    let mixed = Fixture::new("subdir-with-mixed-block-files.car");
    let multi = mixed.at("subdir/multiblock.txt");
    for (bytes, blocks) in [
        ("512:*", 2..5),
        ("512:1023", 2..4),
        ("512:-256", 2..4),
        ("-5:*", 3..5),
        ("-9999:*", 0..5),
        ("-9999:-3", 0..4),
        ("0:0", 0..1),
    ] {
        let expected = [&[multi.to_string()][..], &MULTIBLOCK.map(str::to_owned)[blocks]].concat();
        mixed.gives(&multi.to_string(), &format!("dag-scope=entity&entity-bytes={bytes}"), &expected);
    }
    // Blocks that are not asked for may be missing.
    let missing = Fixture::new("file-3k-and-3-blocks-missing-block.car");
    let root = missing.root.to_string();
    for (bytes, leaf) in [
        ("0:1000", "QmPKt7ptM2ZYSGPUc8PmPT2VBkLDK3iqpG9TBJY7PCE9rF"),
        ("2200:*", "QmWXY482zQdwecnfBsj78poUUuPXvyw2JAFAEMw4tzTavV"),
    ] {
        missing.gives(&root, &format!("dag-scope=entity&entity-bytes={bytes}"), &[root.clone(), leaf.to_owned()]);
    }
    for query in ["", "&entity-bytes=0:*", "&entity-bytes=1000:1024"] {
        assert!(!missing.server.get(&format!("/ipfs/{root}?format=car{query}")).is_whole, "{query}");
    }
}

#[test]
fn orders_and_repetitions() {
    let twice = Fixture::new("dir-with-duplicate-files.car");
    let root = twice.root;
    let [ascii, copy, hello, multi] =
        ["ascii.txt", "ascii-copy.txt", "hello.txt", "multiblock.txt"].map(|name| twice.at(name).to_string());
    assert_eq!(ascii, copy);
    assert_eq!(Codec::by_code(root.codec()), Some(Codec::DagPb));
    let blocks = |times: usize| {
        let ascii = vec![ascii.clone(); times];
        [&[root.to_string()][..], &ascii, &[hello.clone(), multi.clone()], &MULTIBLOCK.map(str::to_owned)].concat()
    };
    for (accept, query, dups, expected) in [
        ("application/vnd.ipld.car; version=1; order=dfs; dups=y", "", "y", blocks(2)),
        ("application/vnd.ipld.car; version=1; order=dfs; dups=n", "", "n", blocks(1)),
        ("application/vnd.ipld.car; version=1; order=unk", "", "n", blocks(1)),
        ("application/vnd.ipld.car; order=unk", "?format=car&car-order=dfs", "n", blocks(1)),
        ("application/vnd.ipld.car; dups=n", "?format=car&car-dups=y", "y", blocks(2)),
        ("application/vnd.ipld.raw", "?format=car", "n", blocks(1)),
    ] {
        let reply = twice.server.ask("GET", &format!("/ipfs/{root}{query}"), &[("Accept", accept)]);
        let content_type = format!("application/vnd.ipld.car;version=1;order=dfs;dups={dups}");
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(&content_type[..])));
        assert_eq!(cids(&car(&reply.body).1), expected, "{accept} {query}");
    }
}
