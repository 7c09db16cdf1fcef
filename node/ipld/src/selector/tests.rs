//! Forms, limits, and single steps; the walk has tests of its own.

use proptest::prelude::*;

use super::*;
use crate::codec::dag_cbor;
use crate::path::Segment;
use crate::test_json;

const EVERYTHING: &str = "a16152a2616ca1646e6f6e65a0623a3ea16161a1613ea16140a0";
const EVERYTHING_TO_100: &str = "a16152a2616ca16564657074681864623a3ea16161a1613ea16140a0";

fn parse(text: &str) -> Result<Selector, SelectorError> {
    Selector::parse(&test_json::one(text))
}

/// spec/network.md 11.6.
#[test]
fn common_selectors_have_their_published_bytes() {
    assert_eq!(hex::encode(Selector::everything().to_bytes()), EVERYTHING);
    assert_eq!(hex::encode(Selector::everything_to(100).to_bytes()), EVERYTHING_TO_100);
    assert_eq!(hex::encode(Selector::one_block().to_bytes()), "a1612ea0");
    for hexadecimal in [EVERYTHING, EVERYTHING_TO_100, "a1612ea0"] {
        let value = dag_cbor::decode(&hex::decode(hexadecimal).unwrap()).unwrap();
        assert_eq!(hex::encode(Selector::parse(&value).unwrap().to_bytes()), hexadecimal);
    }
    let path = Selector::at_path(["Links", "0", "Hash"], Selector::everything()).unwrap();
    let text = r#"{"f":{"f>":{"Links":{"f":{"f>":{"0":{"f":{"f>":{"Hash":{"R":{"l":{"none":{}},":>":{"a":{">":{"@":{}}}}}}}}}}}}}}}"#;
    assert_eq!(path, parse(text).unwrap());
}

/// What go-ipld-prime and `@ipld/dag-cbor` would write: keys of each part in the order of dag-cbor.
#[test]
fn all_parts_are_read_and_written() {
    let link = r#"{"/":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}"#;
    for text in [
        r#"{".":{}}"#,
        r#"{".":{"subset":{"[":-9,"]":9223372036854775807}}}"#,
        r#"{"a":{">":{".":{}}}}"#,
        r#"{"f":{"f>":{"z":{".":{}},"aa":{".":{}},"b":{".":{}}}}}"#,
        r#"{"i":{">":{".":{}},"i":7}}"#,
        r#"{"r":{"$":3,">":{".":{}},"^":1}}"#,
        r#"{"|":[{".":{}},{"a":{">":{".":{}}}}]}"#,
        r#"{"|":[]}"#,
        r#"{"~":{">":{".":{}},"as":"unixfs"}}"#,
        &format!(r#"{{"R":{{"!":{{"/":{link}}},"l":{{"depth":5}},":>":{{"a":{{">":{{"@":{{}}}}}}}}}}}}"#),
    ] {
        let value = test_json::one(text);
        let selector = Selector::parse(&value).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selector.to_ipld(), value, "{text}");
    }
    // Other keys are left out, and the order does not matter.
    let selector = parse(r#"{"R":{":>":{"@":{"x":1}},"l":{"none":null},"later":7}}"#).unwrap();
    assert_eq!(selector.to_ipld(), test_json::one(r#"{"R":{"l":{"none":{}},":>":{"@":{}}}}"#));
}

#[test]
fn what_is_no_selector_is_refused() {
    let deep = |count: usize| r#"{"a":{">":"#.repeat(count) + r#"{".":{}}"# + &"}}".repeat(count);
    let wide = |count: usize| format!(r#"{{"|":[{}]}}"#, vec![r#"{".":{}}"#; count].join(","));
    assert!(parse(&deep(MAX_DEPTH - 1)).is_ok() && parse(&wide(MAX_PARTS - 1)).is_ok());
    for (text, what) in [
        ("7", "map with one entry"),
        ("{}", "map with one entry"),
        (r#"{".":{},"a":{}}"#, "map with one entry"),
        (r#"{".":7}"#, "map with one entry"),
        (r#"{"x":{}}"#, "no part \"x\""),
        (r#"{"a":{}}"#, "\">\" of a selector is not there"),
        (r#"{"a":{">":7}}"#, "map with one entry"),
        (r#"{"f":{"f>":7}}"#, "no map"),
        (r#"{"f":{"f>":{"a":{".":{}},"a":{".":{}}}}}"#, "named twice"),
        (r#"{"i":{"i":"x",">":{".":{}}}}"#, "no whole number"),
        (r#"{"i":{"i":-1,">":{".":{}}}}"#, "below zero"),
        (r#"{"i":{"i":18446744073709551615,">":{".":{}}}}"#, "64 bits"),
        (r#"{"r":{"^":3,"$":3,">":{".":{}}}}"#, "not above"),
        (r#"{"r":{"^":3,">":{".":{}}}}"#, "\"$\" of a selector is not there"),
        (r#"{"@":{}}"#, "in no recursion"),
        (r#"{"R":{"l":{"none":{}},":>":{".":{}}}}"#, "no edge"),
        (r#"{"R":{"l":{"none":{}},":>":{"R":{"l":{"none":{}},":>":{"@":{}}}}}}"#, "no edge"),
        (r#"{"R":{":>":{"@":{}}}}"#, "\"l\" of a selector is not there"),
        (r#"{"R":{"l":{"depth":-1},":>":{"@":{}}}}"#, "below zero"),
        (r#"{"R":{"l":{"often":1},":>":{"@":{}}}}"#, "neither"),
        (r#"{"R":{"l":{},":>":{"@":{}}}}"#, "neither"),
        (r#"{"R":{"l":7,":>":{"@":{}}}}"#, "no map"),
        (r#"{"R":{"l":{"none":{}}}}"#, "\":>\" of a selector is not there"),
        (r#"{"R":{"l":{"none":{}},"!":{"/":7},":>":{"@":{}}}}"#, "no link to stop at"),
        (r#"{"|":{}}"#, "no list"),
        (r#"{"~":{">":{".":{}}}}"#, "\"as\" of a selector is not there"),
        (r#"{".":{"subset":{"[":3}}}"#, "\"]\" of a selector is not there"),
        (r#"{".":{"subset":{"[":3,"]":2}}}"#, "below"),
        (&deep(MAX_DEPTH), "deep in each other"),
        (&wide(MAX_PARTS), "more than 1024 parts"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
    let names = ["x"; MAX_DEPTH];
    assert_eq!(Selector::at_path(names, Selector::one_block()), Err(SelectorError::TooDeep));
    assert!(Selector::at_path(names.into_iter().skip(1), Selector::one_block()).is_ok());
    assert_eq!(Selector::at_path(["x"; MAX_DEPTH + 1], Selector::one_block()), Err(SelectorError::TooDeep));
}

/// spec/network.md 11.5: depth 100 is served, 101 and none are not.
#[test]
fn the_stock_limit_is_that_of_go_graphsync() {
    let nested = |inner: &str| {
        let recursion = format!(r#"{{"R":{{"l":{inner},":>":{{"a":{{">":{{"@":{{}}}}}}}}}}}}"#);
        let all = format!(
            r#"{{"R":{{"l":{{"depth":3}},":>":{{"|":[{{"@":{{}}}},{{"i":{{"i":0,">":{{"f":{{"f>":{{"x":{recursion}}}}}}}}}}}]}}}}}}"#
        );
        parse(&all).unwrap()
    };
    for (selector, limited, depth) in [
        (Selector::one_block(), true, Some(0)),
        (Selector::everything_to(100), true, Some(100)),
        (Selector::everything_to(101), false, Some(101)),
        (Selector::everything(), false, None),
        (nested(r#"{"depth":100}"#), true, Some(100)),
        (nested(r#"{"depth":101}"#), false, Some(101)),
        (nested(r#"{"none":{}}"#), false, None),
    ] {
        assert_eq!((selector.is_limited_to(STOCK_DEPTH), selector.max_depth()), (limited, depth), "{selector:?}");
    }
}

#[test]
fn subsets_are_cut_as_go_cuts_them() {
    for ((from, to), length, range) in [
        ((0, 5), 10, Some(0..5)),
        ((0, 50), 10, Some(0..10)),
        ((-3, i64::MAX), 10, Some(7..10)),
        ((-30, 4), 10, Some(0..4)),
        ((2, -2), 10, Some(2..8)),
        ((5, 5), 10, Some(5..5)),
        ((10, 11), 10, None),
        ((6, -5), 10, None),
        ((0, -11), 10, None),
        ((0, 0), 0, None),
        ((i64::MIN, i64::MIN), 10, None),
    ] {
        assert_eq!(Subset { from, to }.within(length), range, "{from}..{to} of {length}");
    }
}

/// What is left of a selector, as one. Only those are asked for whose rounds are no half ones.
fn left(state: &State) -> Selector {
    match state {
        State::At(selector) => (**selector).clone(),
        State::Union(members) => Selector::Union(members.iter().map(|member| Arc::new(left(member))).collect()),
        State::Recursive { recursion, depth, .. } => {
            Selector::Recursive(Arc::new(Recursion { depth: *depth, ..(**recursion).clone() }))
        }
    }
}

/// A selector of a test, in which an edge may stand where no recursion is. A match does as well there.
fn parse_loose(value: &Ipld) -> Result<Selector, SelectorError> {
    fn without_edges(value: &Ipld) -> Ipld {
        match value {
            Ipld::Map(entries) => {
                let key = |key: &String| if key == "@" { ".".to_owned() } else { key.clone() };
                Ipld::Map(entries.iter().map(|(name, value)| (key(name), without_edges(value))).collect())
            }
            Ipld::List(items) => Ipld::List(items.iter().map(without_edges).collect()),
            other => other.clone(),
        }
    }
    match Selector::parse(value) {
        Err(SelectorError::LooseEdge) => Selector::parse(&without_edges(value)),
        parsed => parsed,
    }
}

/// tests/vectors/selectors/forest-explore.json.
#[test]
fn steps_are_those_of_forest() {
    let cases = test_json::one(include_str!("../../../../tests/vectors/selectors/forest-explore.json"));
    let Ipld::List(cases) = cases else { panic!() };
    assert_eq!(cases.len(), 19);
    for case in &cases {
        let name = case.get("description").unwrap();
        let selector = parse_loose(case.get("initial_selector").unwrap()).unwrap();
        let mut state = Some(State::new(&selector));
        let Some(Ipld::List(steps)) = case.get("explore") else { panic!() };
        for step in steps {
            let segment = match step.get("path_segment").unwrap() {
                Ipld::Integer(place) => Segment::Place(*place as u64),
                Ipld::String(name) => Segment::Name(name.clone()),
                other => panic!("{other:?}"),
            };
            let node = step.get("ipld").unwrap();
            let child = match node {
                Ipld::Map(_) => node.get(&segment.to_string()),
                Ipld::List(_) => segment.place().and_then(|place| node.at(place as usize)),
                // There is nothing to explore in it, but the selector is asked.
                other => Some(other),
            };
            state = match (&state, child) {
                (Some(state), Some(child)) => state.explore(Kind::of(node), &segment, child).unwrap(),
                _ => None,
            };
        }
        let expected = match case.get("result_selector").unwrap() {
            Ipld::Null => None,
            selector => Some(parse_loose(selector).unwrap()),
        };
        assert_eq!(state.as_ref().map(left), expected, "{name:?}");
    }
}

#[test]
fn unions_that_multiply_are_stopped() {
    let twice = r#"{"R":{"l":{"none":{}},":>":{"|":[{"a":{">":{"@":{}}}},{"a":{">":{"@":{}}}}]}}}"#;
    let mut state = State::new(&parse(twice).unwrap());
    let rounds = (0..20).take_while(|_| {
        match state.explore(Kind::List, &Segment::Place(0), &Ipld::Null) {
            Ok(Some(next)) => state = next,
            Ok(None) => panic!(),
            Err(_) => return false,
        }
        true
    });
    assert_eq!(rounds.count(), 9);
}

/// Any selector, edges in recursions only.
fn selectors() -> impl Strategy<Value = Selector> {
    let leaf = prop_oneof![
        Just(Selector::Match(None)),
        (-9i64..0, any::<i64>().prop_map(|to| to.max(-9)))
            .prop_map(|(from, to)| Selector::Match(Some(Subset { from, to }))),
        Just(Selector::Edge),
    ];
    let tree = leaf.prop_recursive(6, 40, 4, |inner| {
        let next = inner.clone().prop_map(Arc::new);
        prop_oneof![
            next.clone().prop_map(Selector::All),
            proptest::collection::btree_map("[a-z]{0,3}", next.clone(), 0..4)
                .prop_map(|fields| Selector::Fields(fields.into_iter().collect())),
            (0u64..1 << 62, next.clone()).prop_map(|(place, next)| Selector::Index { place, next }),
            (0u64..9, 9u64..1 << 62, next.clone()).prop_map(|(from, to, next)| Selector::Range { from, to, next }),
            proptest::collection::vec(next.clone(), 0..4).prop_map(Selector::Union),
            ("[a-z]{0,5}", next.clone()).prop_map(|(name, next)| Selector::InterpretAs { name, next }),
            (proptest::option::of(0u64..1 << 62), next).prop_map(|(depth, next)| {
                let sequence = Arc::new(Selector::Union(vec![Arc::new(Selector::Edge), next]));
                Selector::Recursive(Arc::new(Recursion { depth, sequence, stop_at: None }))
            }),
        ]
    });
    tree.prop_map(|inner| {
        let sequence = Arc::new(Selector::Union(vec![Arc::new(Selector::Edge), Arc::new(inner)]));
        Selector::Recursive(Arc::new(Recursion { depth: None, sequence, stop_at: None }))
    })
}

proptest! {
    #[test]
    fn selectors_are_read_as_written(selector in selectors()) {
        let value = dag_cbor::decode(&selector.to_bytes()).unwrap();
        prop_assert_eq!(Selector::parse(&value), Ok(selector));
    }

    #[test]
    fn damaged_selectors_never_panic(selector in selectors(), at in any::<proptest::sample::Index>(), byte: u8) {
        let mut bytes = selector.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(value) = dag_cbor::decode(&bytes)
            && let Ok(selector) = Selector::parse(&value)
        {
            let value = dag_cbor::decode(&selector.to_bytes()).unwrap();
            prop_assert_eq!(Selector::parse(&value), Ok(selector));
        }
    }
}
