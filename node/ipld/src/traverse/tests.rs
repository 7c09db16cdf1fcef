//! Visits as others have recorded them, blocks in an order that was derived by hand, and any DAG against a plain recursive walk.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::hash::HashKind;
use crate::test_json;

#[derive(Default)]
struct Blocks(HashMap<Cid, Vec<u8>>);

impl Blocks {
    fn put(&mut self, codec: Codec, bytes: Vec<u8>) -> Cid {
        let cid = HashKind::Blake2b256.cid(codec.code(), &bytes).unwrap();
        self.0.insert(cid, bytes);
        cid
    }

    fn put_node(&mut self, node: &Ipld) -> Cid {
        self.put(Codec::DagCbor, dag_cbor::encode(node))
    }
}

fn parse(text: &str) -> Selector {
    Selector::parse(&test_json::one(text)).unwrap()
}

type Visited = (String, Ipld, bool);

/// All visits, and all blocks, of a walk.
fn record(mut walk: Walk, blocks: &Blocks) -> Result<(Vec<Visited>, Vec<Cid>), WalkError> {
    let (mut visits, mut cids) = (Vec::new(), Vec::new());
    loop {
        match walk.step()?.into_owned() {
            Step::Block(wanted) => {
                cids.push(wanted.cid);
                walk.supply(&wanted.cid, &blocks.0[&wanted.cid])?;
            }
            Step::Visit(visit) => visits.push((visit.path.to_string(), visit.node.into_owned(), visit.matched)),
            Step::Done => return Ok((visits, cids)),
        }
    }
}

fn visits_of(blocks: &mut Blocks, node: &Ipld, selector: &Ipld) -> Vec<Visited> {
    let root = blocks.put_node(node);
    let selector = Selector::parse(selector).unwrap();
    let walk = Walk::new(root, &selector, Limits::DEFAULT).telling(Visits::All);
    record(walk, blocks).unwrap().0
}

/// Compares visits with those of a vector, in which maps and lists have no content.
fn compare(name: &str, visits: &[Visited], expected: &[Ipld]) {
    let recorded = visits.iter().map(|(path, node, matched)| {
        let (kind, node) = match node {
            Ipld::Map(_) => ("map", &Ipld::Null),
            Ipld::List(_) => ("list", &Ipld::Null),
            Ipld::Null => ("null", &Ipld::Null),
            Ipld::Bool(_) => ("bool", node),
            Ipld::Integer(_) => ("int", node),
            Ipld::String(_) => ("string", node),
            other => panic!("{other:?}"),
        };
        (path.clone(), kind, node.clone(), *matched)
    });
    let expected = expected.iter().map(|visit| {
        let (Some(Ipld::String(path)), Some(Ipld::Map(node))) = (visit.get("path"), visit.get("node")) else {
            panic!()
        };
        let kind = match node[0].0.as_str() {
            "integer" => "int",
            kind => kind,
        };
        (path.clone(), kind, node[0].1.clone(), visit.get("matched") == Some(&Ipld::Bool(true)))
    });
    assert_eq!(recorded.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{name}");
}

/// tests/vectors/selectors/ipld-fixtures-1.md, ipld-fixtures-recursion.md.
#[test]
fn visits_are_those_of_the_ipld_fixtures() {
    let texts = [
        include_str!("../../../../tests/vectors/selectors/ipld-fixtures-1.md"),
        include_str!("../../../../tests/vectors/selectors/ipld-fixtures-recursion.md"),
    ];
    let mut names = Vec::new();
    for text in texts {
        // A hunk: its name in brackets, then the text between fences.
        let hunks = text.split("[testmark]:# (").skip(1).map(|hunk| {
            let (name, rest) = hunk.split_once(')').unwrap();
            let fenced = rest.split("```").nth(1).unwrap();
            (name, fenced.split_once('\n').unwrap().1)
        });
        let hunks: HashMap<&str, &str> = hunks.collect();
        for name in hunks.keys().filter_map(|name| name.strip_suffix("/data")) {
            let hunk = |part: &str| hunks[format!("{name}/{part}").as_str()];
            let (data, selector) = (test_json::one(hunk("data")), test_json::one(hunk("selector")));
            let visits = visits_of(&mut Blocks::default(), &data, &selector);
            compare(name, &visits, &test_json::all(hunk("expect-visit")));
            names.push(name);
        }
    }
    assert_eq!(names.len(), 10, "{names:?}");
}

/// tests/vectors/selectors/forest-walk.json, forest-walk-links.json. The last one has a block that is a link, which Forest follows on
/// and Go does not.
#[test]
fn visits_are_those_of_forest() {
    let texts = [
        include_str!("../../../../tests/vectors/selectors/forest-walk.json"),
        include_str!("../../../../tests/vectors/selectors/forest-walk-links.json"),
    ];
    let mut checked = 0;
    for case in texts.into_iter().flat_map(|text| match test_json::one(text) {
        Ipld::List(cases) => cases,
        _ => panic!(),
    }) {
        let (mut blocks, node) = (Blocks::default(), case.get("ipld").unwrap());
        if let Some(Ipld::List(stored)) = case.get("cbor_ipld_storage") {
            for node in stored {
                let mut node = node.clone();
                dag_cbor::sort_keys(&mut node);
                blocks.put_node(&node);
            }
        }
        let visits = visits_of(&mut blocks, node, case.get("selector").unwrap());
        if let Ipld::Link(_) = node {
            assert_eq!(visits, [(String::new(), node.clone(), true)]);
            continue;
        }
        let Some(Ipld::List(expected)) = case.get("expect_visit") else { panic!() };
        compare(&format!("{:?}", case.get("description")), &visits, expected);
        checked += 1;
    }
    assert_eq!(checked, 9);
}

/// tests/vectors/selectors/walks.json.
#[test]
fn blocks_come_in_the_order_of_graphsync_in_javascript() {
    let vectors = test_json::one(include_str!("../../../../tests/vectors/selectors/walks.json"));
    let (Some(Ipld::List(listed)), Some(Ipld::List(walks))) = (vectors.get("blocks"), vectors.get("walks")) else {
        panic!()
    };
    let (mut blocks, mut cids) = (Blocks::default(), Vec::new());
    for block in listed {
        let (Some(Ipld::String(cid)), Some(Ipld::String(bytes))) = (block.at(0), block.at(1)) else { panic!() };
        let cid = cid.parse().unwrap();
        cids.push(cid);
        blocks.0.insert(cid, hex::decode(bytes).unwrap());
    }
    assert_eq!((cids.len(), walks.len()), (23, 108));
    let place = |cid: &Cid| cids.iter().position(|known| known == cid).unwrap();
    for walk in walks {
        let (Some(Ipld::Integer(root)), Some(Ipld::List(order))) = (walk.get("root"), walk.get("order")) else {
            panic!()
        };
        let selector = Selector::parse(walk.get("selector").unwrap()).unwrap();
        let walked = record(Walk::new(cids[*root as usize], &selector, Limits::DEFAULT), &blocks).unwrap().1;
        let walked: Vec<_> = walked.iter().map(|cid| Ipld::Integer(place(cid) as i128)).collect();
        assert_eq!(walked, *order, "{root}: {:?}", walk.get("selector"));
    }
}

/// A DAG of all codecs, and what its blocks are called.
///
/// ```text
/// root  = [inner, {"deep": [pb]}, a, inner]        inner = {"z": a, "y": b}        pb = Links [a, b], Data 08 01
/// ```
fn dag() -> (Blocks, Cid, HashMap<Cid, &'static str>) {
    let mut blocks = Blocks::default();
    let (a, b) = (blocks.put(Codec::Raw, b"a".to_vec()), blocks.put(Codec::Raw, b"b".to_vec()));
    // Not in the order of the standard, which the walk must not care for.
    let inner = Ipld::Map(vec![("z".to_owned(), Ipld::Link(a)), ("y".to_owned(), Ipld::Link(b))]);
    let inner = blocks.put_node(&inner);
    let link = |cid| dag_pb::PbLink { cid, name: None, tsize: None };
    let pb = dag_pb::PbNode { links: vec![link(a), link(b)], data: Some(vec![8, 1]) };
    let pb = blocks.put(Codec::DagPb, pb.encode());
    let deep = Ipld::Map(vec![("deep".to_owned(), Ipld::List(vec![Ipld::Link(pb)]))]);
    let root = blocks.put_node(&Ipld::List(vec![Ipld::Link(inner), deep, Ipld::Link(a), Ipld::Link(inner)]));
    (blocks, root, HashMap::from([(a, "a"), (b, "b"), (inner, "inner"), (pb, "pb"), (root, "root")]))
}

#[test]
fn blocks_come_in_the_order_of_the_rules() {
    let (blocks, root, names) = dag();
    let inner = names.iter().find(|(_, name)| **name == "inner").unwrap().0;
    let stop =
        format!(r#"{{"R":{{"l":{{"none":{{}}}},":>":{{"a":{{">":{{"@":{{}}}}}}}},"!":{{"/":{{"/":"{inner}"}}}}}}}}"#);
    let to = |depth: u64| format!(r#"{{"R":{{"l":{{"depth":{depth}}},":>":{{"a":{{">":{{"@":{{}}}}}}}}}}}}"#);
    for (selector, expected) in [
        (r#"{".":{}}"#, "root"),
        (r#"{"R":{"l":{"none":{}},":>":{"a":{">":{"@":{}}}}}}"#, "root inner a b pb a b a inner a b"),
        // Each step into a list, a map or over a link is a round; the list and map above pb are three.
        (&to(0), "root"),
        (&to(1), "root"),
        (&to(2), "root inner a inner"),
        (&to(3), "root inner a b a inner a b"),
        (&to(4), "root inner a b pb a inner a b"),
        (&to(6), "root inner a b pb a inner a b"),
        (&to(7), "root inner a b pb a b a inner a b"),
        // Names of a list are places, and come in the order of the selector.
        (
            r#"{"f":{"f>":{"1":{"f":{"f>":{"deep":{"a":{">":{".":{}}}}}}},"0":{".":{}},"9":{".":{}},"x":{".":{}}}}}"#,
            "root pb inner",
        ),
        (r#"{"f":{"f>":{"0":{"f":{"f>":{"y":{".":{}},"z":{".":{}}}}}}}}"#, "root inner b a"),
        (r#"{"i":{"i":2,">":{".":{}}}}"#, "root a"),
        (r#"{"i":{"i":4,">":{".":{}}}}"#, "root"),
        (r#"{"r":{"^":2,"$":9,">":{".":{}}}}"#, "root a inner"),
        // What several members name is explored for each of them.
        (r#"{"|":[{"i":{"i":3,">":{".":{}}}},{"i":{"i":0,">":{".":{}}}}]}"#, "root inner inner"),
        (r#"{"|":[{"i":{"i":2,">":{".":{}}}},{"i":{"i":0,">":{".":{}}}}]}"#, "root a inner"),
        (r#"{"|":[{"i":{"i":2,">":{".":{}}}},{"r":{"^":2,"$":3,">":{".":{}}}}]}"#, "root a a"),
        // All children of one member are all of them, each once, in their own order.
        (r#"{"|":[{"i":{"i":3,">":{"a":{">":{".":{}}}}}},{"a":{">":{".":{}}}}]}"#, "root inner a inner a b"),
        // A union in which one member goes on and one ends.
        (r#"{"R":{"l":{"depth":2},":>":{"|":[{".":{}},{"a":{">":{"@":{}}}}]}}}"#, "root inner a inner"),
        // Edges in turn: one round is two steps.
        (r#"{"R":{"l":{"depth":1},":>":{"a":{">":{"a":{">":{"@":{}}}}}}}}"#, "root inner a inner"),
        (r#"{"R":{"l":{"depth":2},":>":{"a":{">":{"a":{">":{"@":{}}}}}}}}"#, "root inner a b pb a inner a b"),
        (&stop, "root pb a b a"),
    ] {
        let walk = Walk::new(root, &parse(selector), Limits::DEFAULT);
        let (_, cids) = record(walk, &blocks).unwrap_or_else(|error| panic!("{selector}: {error}"));
        let order: Vec<_> = cids.iter().map(|cid| names[cid]).collect();
        assert_eq!(order.join(" "), expected, "{selector}");
    }
}

/// Go looks a place up in a map, too, where a field of that name explores it: so it does that twice.
#[test]
fn places_are_names_of_a_map_where_a_field_says_so() {
    let mut blocks = Blocks::default();
    let entries = [("2", "c"), ("x", "d"), ("1", "b"), ("0", "a")];
    let root = blocks
        .put_node(&Ipld::Map(entries.map(|(key, value)| (key.to_owned(), Ipld::String(value.to_owned()))).into()));
    for (selector, expected) in [
        (r#"{"i":{"i":1,">":{".":{}}}}"#, ""),
        (r#"{"|":[{"f":{"f>":{"2":{".":{}},"1":{".":{}}}}},{"r":{"^":0,"$":9,">":{".":{}}}}]}"#, "2 1 1 2"),
        (r#"{"|":[{"r":{"^":0,"$":2,">":{".":{}}}},{"f":{"f>":{"x":{".":{}},"01":{".":{}},"1":{".":{}}}}}]}"#, "1 x 1"),
    ] {
        let walk = Walk::new(root, &parse(selector), Limits::DEFAULT).telling(Visits::Matches);
        let visits = record(walk, &blocks).unwrap().0;
        let paths: Vec<_> = visits.iter().map(|(path, _, _)| path.as_str()).collect();
        assert_eq!(paths.join(" "), expected, "{selector}");
        // What is named again is there again.
        let value = |path: &str| entries.iter().find(|(key, _)| *key == path).unwrap().1;
        assert!(visits.iter().all(|(path, node, _)| *node == Ipld::String(value(path).to_owned())));
    }
}

#[test]
fn links_are_followed_once_if_so_wanted() {
    let (blocks, root, names) = dag();
    let walk = Walk::new(root, &Selector::everything(), Limits::DEFAULT).following_links_once();
    let order: Vec<_> = record(walk, &blocks).unwrap().1.iter().map(|cid| names[cid]).collect();
    assert_eq!(order, ["root", "inner", "a", "b", "pb"]);
}

#[test]
fn a_block_says_where_it_is_and_may_be_skipped() {
    let (blocks, root, names) = dag();
    let mut walk = Walk::new(root, &Selector::everything(), Limits::DEFAULT);
    let mut told = Vec::new();
    while let Some(wanted) = walk.next_block().unwrap() {
        // The same again until something happens.
        assert_eq!(walk.step().unwrap(), Step::Block(wanted.clone()));
        let name = names[&wanted.cid];
        told.push(format!("{}:{}:{name}", wanted.depth, walk.path()));
        if name == "inner" { walk.skip() } else { walk.supply(&wanted.cid, &blocks.0[&wanted.cid]).unwrap() }
    }
    let expected =
        "0::root 1:0:inner 1:1/deep/0:pb 2:1/deep/0/Links/0/Hash:a 2:1/deep/0/Links/1/Hash:b 1:2:a 1:3:inner";
    assert_eq!(told.join(" "), expected);
    assert_eq!(walk.step().unwrap(), Step::Done);
    walk.skip();
    assert_eq!(walk.next_block(), Ok(None));
    assert_eq!(walk.wanted(), None);
}

#[test]
fn nothing_is_taken_that_was_not_asked_for() {
    let (blocks, root, names) = dag();
    let (a, _) = names.iter().find(|(_, name)| **name == "a").unwrap();
    let mut walk = Walk::new(root, &Selector::everything(), Limits::DEFAULT);
    assert_eq!(walk.supply(a, b"a"), Err(WalkError::Unasked(Box::new(*a))));
    assert_eq!(walk.supply(&root, b"a"), Err(WalkError::Hash(HashError::Mismatch(Box::new(root)))));
    walk.supply_block(&Block::checked(root, blocks.0[&root].clone()).unwrap()).unwrap();
    assert_eq!(walk.supply(&root, &blocks.0[&root]), Err(WalkError::Unasked(Box::new(root))));
}

#[test]
fn a_block_that_cannot_be_read_may_be_skipped() {
    let mut blocks = Blocks::default();
    let bad = blocks.put(Codec::DagCbor, vec![0xff]);
    let other = HashKind::Sha256.cid(0x90, b"a").unwrap();
    let root = blocks.put_node(&Ipld::List(vec![Ipld::Link(bad), Ipld::Link(other)]));
    let mut walk = Walk::new(root, &Selector::everything(), Limits::DEFAULT);
    walk.supply(&root, &blocks.0[&root]).unwrap();
    for (cid, bytes) in [(bad, &[0xff][..]), (other, b"a")] {
        assert!(matches!(walk.step(), Ok(Step::Block(wanted)) if wanted.cid == cid));
        assert!(matches!(walk.supply(&cid, bytes), Err(WalkError::Codec { .. })));
        assert!(matches!(walk.step(), Ok(Step::Block(_))));
        walk.skip();
    }
    assert_eq!(walk.step(), Ok(Step::Done));
}

#[test]
fn identities_are_looked_into_or_asked_for() {
    let mut blocks = Blocks::default();
    let leaf = blocks.put(Codec::Raw, b"leaf".to_vec());
    let node = dag_cbor::encode(&Ipld::List(vec![Ipld::Link(leaf)]));
    let identity = HashKind::Identity.cid(Codec::DagCbor.code(), &node).unwrap();
    let broken = HashKind::Identity.cid(Codec::DagCbor.code(), b"\xff").unwrap();
    blocks.0.insert(identity, node);
    let root = blocks.put_node(&Ipld::List(vec![Ipld::Link(identity)]));
    let walk = || Walk::new(root, &Selector::everything(), Limits::DEFAULT);
    assert_eq!(record(walk(), &blocks).unwrap().1, [root, leaf]);
    assert_eq!(record(walk().asking_for_identities(), &blocks).unwrap().1, [root, identity, leaf]);
    let mut walk = Walk::new(broken, &Selector::everything(), Limits::DEFAULT);
    assert!(matches!(walk.step(), Err(WalkError::Codec { .. })));
    walk.skip();
    assert_eq!(walk.step(), Ok(Step::Done));
}

#[test]
fn limits_are_kept() {
    let (blocks, root, _) = dag();
    let sizes: Vec<u64> = record(Walk::new(root, &Selector::everything(), Limits::DEFAULT), &blocks)
        .unwrap()
        .1
        .iter()
        .map(|cid| blocks.0[cid].len() as u64)
        .collect();
    let bytes = sizes.iter().sum();
    // Most is held at the first link of pb: seven values of the root, eleven of pb, and two parts of the selector for each of the four
    // nodes that are open.
    // The root's block has three nodes, pb's five, and there are nine others.
    let exact = Limits { blocks: 11, bytes, links: 11, nodes: 17, depth: 6, values: 26 };
    let run = |limits| {
        let walk = Walk::new(root, &Selector::everything(), limits).telling(Visits::Matches);
        record(walk, &blocks).map(|(_, cids)| cids.len())
    };
    assert_eq!(run(exact), Ok(11));
    for (limits, what) in [
        (Limits { blocks: 10, ..exact }, "more than 10 blocks"),
        (Limits { bytes: bytes - 1, ..exact }, "bytes on the way"),
        (Limits { links: 10, ..exact }, "more than 10 links"),
        (Limits { nodes: 16, ..exact }, "more than 16 nodes"),
        (Limits { depth: 5, ..exact }, "more than 5 steps"),
        (Limits { values: 25, ..exact }, "more than 25 values at a time"),
        (Limits { values: 19, ..exact }, "cannot be read"),
    ] {
        let error = run(limits).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    // A walk that has failed stays so.
    let mut walk = Walk::new(root, &Selector::everything(), Limits { nodes: 0, ..exact });
    let error = walk.supply(&root, &blocks.0[&root]).unwrap_err();
    assert_eq!(walk.step(), Err(error));
}

/// Each block leads on by its first link and has many small values behind that, which are held until the walk comes back.
#[test]
fn blocks_that_are_held_are_bounded_together() {
    let mut blocks = Blocks::default();
    let mut tip = Ipld::Null;
    for _ in 0..100 {
        let mut items = vec![tip];
        items.resize(1000, Ipld::Null);
        tip = Ipld::Link(blocks.put_node(&Ipld::List(items)));
    }
    let Ipld::Link(root) = tip else { panic!() };
    let run = |values| {
        let mut walk = Walk::new(root, &Selector::everything(), Limits { values, ..Limits::DEFAULT });
        let mut most = 0;
        while let Some(wanted) = walk.next_block()? {
            walk.supply(&wanted.cid, &blocks.0[&wanted.cid])?;
            most = walk.values.max(most);
        }
        assert_eq!(walk.values, walk.blocks.iter().map(|(_, values)| values).sum::<usize>());
        Ok::<_, WalkError>(most)
    };
    // A block has 1001 values, and an open node counts for two parts of the selector.
    assert_eq!(run(100_400), Ok(100 * 1001 + 99 * 2));
    assert!(matches!(run(50_000), Err(WalkError::Codec { .. })));
}

#[test]
fn selectors_that_ask_too_much_are_refused() {
    let (blocks, root, _) = dag();
    let refuse = |text: &str| record(Walk::new(root, &parse(text), Limits::DEFAULT), &blocks).unwrap_err();
    assert_eq!(
        refuse(r#"{"a":{">":{"|":[{".":{}},{"~":{"as":"unixfs",">":{".":{}}}}]}}}"#),
        WalkError::Interpretation("unixfs".to_owned())
    );
    let mut chain = Blocks::default();
    let deep = (0..20).fold(Ipld::Null, |inner, _| Ipld::List(vec![inner]));
    let root = chain.put_node(&deep);
    let twice = parse(r#"{"R":{"l":{"none":{}},":>":{"|":[{"a":{">":{"@":{}}}},{"a":{">":{"@":{}}}}]}}}"#);
    assert_eq!(record(Walk::new(root, &twice, Limits::DEFAULT), &chain), Err(WalkError::Selector));
}

#[test]
fn a_walk_goes_from_thread_to_thread() {
    fn moves<T: Send + 'static>(_: &T) {}
    moves(&Walk::new(dag().1, &Selector::everything(), Limits::DEFAULT));
}

#[test]
fn a_long_chain_takes_no_room() {
    let mut blocks = Blocks::default();
    let mut tip = blocks.put_node(&Ipld::List(Vec::new()));
    for height in 0..10_000 {
        tip = blocks.put_node(&Ipld::List(vec![Ipld::Integer(height), Ipld::Link(tip)]));
    }
    let mut walk = Walk::new(tip, &Selector::everything(), Limits::DEFAULT);
    let mut count = 0;
    while let Some(wanted) = walk.next_block().unwrap() {
        walk.supply(&wanted.cid, &blocks.0[&wanted.cid]).unwrap();
        assert!(walk.open.len() <= 1 && walk.blocks.len() <= 1 && walk.values < 10);
        count += 1;
    }
    assert_eq!(count, 10_001);
}

/// The walk as it would be written without limits and without care for memory.
fn plain(blocks: &Blocks, node: &Ipld, state: &State, path: &[Segment], out: &mut (Vec<Visited>, Vec<Cid>)) {
    let visit = state.matched(node);
    let matched = visit.is_some();
    out.0.push((Path(path.to_vec()).to_string(), visit.map_or_else(|| node.clone(), Cow::into_owned), matched));
    let children: Vec<(Segment, &Ipld)> = match node {
        Ipld::Map(entries) => entries.iter().map(|(key, value)| (Segment::Name(key.clone()), value)).collect(),
        Ipld::List(items) => (0..).map(Segment::Place).zip(items).collect(),
        _ => return,
    };
    let named: Vec<(Segment, &Ipld)> = match state.interests() {
        None => children,
        Some(interests) => {
            let segments = interests.into_iter().flat_map(|interest| match interest {
                Interest::Name(name) => vec![Segment::Name(name)],
                Interest::Places { from, to } => (from..to).map(Segment::Place).collect(),
            });
            let find = |segment: Segment| {
                let child = match node {
                    Ipld::Map(_) => node.get(&segment.to_string()),
                    _ => node.at(usize::try_from(segment.place()?).ok()?),
                };
                child.map(|child| (segment, child))
            };
            segments.filter_map(find).collect()
        }
    };
    for (segment, child) in named {
        let Some(next) = state.explore(Kind::of(node), &segment, child).unwrap() else { continue };
        let path = [path, &[segment]].concat();
        match child {
            Ipld::Link(cid) => {
                out.1.push(*cid);
                plain(blocks, &decode(cid, &blocks.0[cid], usize::MAX, false).unwrap().0, &next, &path, out);
            }
            child => plain(blocks, child, &next, &path, out),
        }
    }
}

/// Values with a mark for a link to an earlier block.
#[derive(Clone, Debug)]
enum Sketch {
    Number(u8),
    Link(prop::sample::Index),
    List(Vec<Sketch>),
    Map(Vec<Sketch>),
}

const KEYS: [&str; 4] = ["b", "1", "a", "0"];

impl Sketch {
    fn node(&self, earlier: &[Cid]) -> Ipld {
        match self {
            Self::Link(which) if !earlier.is_empty() => Ipld::Link(*which.get(earlier)),
            Self::Link(_) => Ipld::Null,
            Self::Number(number) => Ipld::String(number.to_string()),
            Self::List(items) => Ipld::List(items.iter().map(|item| item.node(earlier)).collect()),
            Self::Map(items) => {
                let entries = KEYS.iter().zip(items).map(|(key, item)| ((*key).to_owned(), item.node(earlier)));
                Ipld::Map(entries.collect())
            }
        }
    }
}

fn sketches() -> impl Strategy<Value = Sketch> {
    let leaf = prop_oneof![any::<u8>().prop_map(Sketch::Number), any::<prop::sample::Index>().prop_map(Sketch::Link)];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let items = prop::collection::vec(inner, 0..=KEYS.len());
        prop_oneof![items.clone().prop_map(Sketch::List), items.prop_map(Sketch::Map)]
    })
}

fn selectors() -> impl Strategy<Value = Selector> {
    let leaf = prop_oneof![
        Just(Selector::Match(None)),
        Just(Selector::Match(Some(crate::selector::Subset { from: 0, to: -1 }))),
        Just(Selector::Edge)
    ];
    let tree = leaf.prop_recursive(4, 16, 3, |inner| {
        let next = inner.prop_map(Arc::new);
        prop_oneof![
            2 => next.clone().prop_map(Selector::All),
            2 => (prop::sample::subsequence(KEYS.to_vec(), 0..=4).prop_shuffle(), prop::collection::vec(next.clone(), 4))
                .prop_map(|(keys, nexts)| {
                    Selector::Fields(keys.into_iter().map(str::to_owned).zip(nexts).collect())
                }),
            1 => (0u64..4, next.clone()).prop_map(|(place, next)| Selector::Index { place, next }),
            1 => (0u64..3, 1u64..3, next.clone())
                .prop_map(|(from, count, next)| Selector::Range { from, to: from + count, next }),
            2 => prop::collection::vec(next.clone(), 0..3).prop_map(Selector::Union),
            1 => (0u64..4, next).prop_map(|(depth, next)| Selector::Recursive(Arc::new(
                crate::selector::Recursion { depth: Some(depth), sequence: next, stop_at: None }
            ))),
        ]
    });
    (0u64..6, tree.prop_map(Arc::new)).prop_map(|(depth, sequence)| {
        let recursion = crate::selector::Recursion { depth: Some(depth), sequence, stop_at: None };
        Selector::Recursive(Arc::new(recursion))
    })
}

proptest! {
    #[test]
    fn any_dag_is_walked_as_plainly(sketches in prop::collection::vec(sketches(), 1..5), selector in selectors()) {
        let (mut blocks, mut cids) = (Blocks::default(), Vec::new());
        for sketch in &sketches {
            cids.push(blocks.put_node(&sketch.node(&cids)));
        }
        let root = *cids.last().unwrap();
        let mut expected = (Vec::new(), vec![root]);
        plain(&blocks, &dag_cbor::decode(&blocks.0[&root]).unwrap(), &State::new(&selector), &[], &mut expected);
        let walk = Walk::new(root, &selector, Limits::DEFAULT).telling(Visits::All);
        prop_assert_eq!(record(walk, &blocks), Ok(expected));
    }
}
