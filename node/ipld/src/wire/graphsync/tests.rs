//! Messages of other programs byte for byte, what is refused, and round trips of both versions.

use proptest::prelude::*;

use super::*;
use crate::codec::{Codec, dag_cbor};
use crate::hash::HashKind;
use crate::selector::Selector;
use crate::test_json;
use crate::wire::{MAX_ITEMS, unframe};

/// tests/vectors/wire/messages.json.
fn vector(name: &str) -> Vec<u8> {
    let vectors = test_json::one(include_str!("../../../../../tests/vectors/wire/messages.json"));
    let Some(Ipld::String(text)) = vectors.get(name) else { panic!("{name}") };
    hex::decode(text).unwrap()
}

fn raw(bytes: &[u8]) -> Block {
    Block::new(HashKind::Sha256, Codec::Raw, bytes.to_vec()).unwrap()
}

fn empty_list() -> Block {
    Block::new(HashKind::Blake2b256, Codec::DagCbor, vec![0x80]).unwrap()
}

fn empty_file() -> Block {
    let v0 = Cid::new_v0(HashKind::Sha256.multihash(b"\n\0").unwrap()).unwrap();
    Block::checked(v0, b"\n\0".to_vec()).unwrap()
}

fn genesis() -> Box<Cid> {
    let bytes = hex::decode("0171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1").unwrap();
    Box::new(crate::hash::parse(&bytes).unwrap())
}

fn named(entries: Vec<(&str, Ipld)>) -> Extensions {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn check(version: Version, bytes: &[u8], message: &Message) {
    let decoded = Message::decode(version, bytes).unwrap();
    assert_eq!(decoded, *message);
    assert_eq!(hex::encode(decoded.encode(version).unwrap()), hex::encode(bytes));
}

fn new(root: Box<Cid>, selector: &Selector, priority: i32, extensions: Extensions) -> RequestKind {
    RequestKind::New { root, selector: selector.to_ipld(), priority, extensions }
}

/// spec/network.md 11.1 and 11.2.
#[test]
fn published_requests_are_read_and_written_byte_for_byte() {
    let framed = "481246080112260171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1\
                  1a1aa16152a2616ca1646e6f6e65a0623a3ea16161a1613ea16140a0";
    let kind = new(genesis(), &Selector::everything(), 0, Vec::new());
    let request = Request { id: RequestId::Number(1), kind };
    let message = Message { requests: vec![request], ..Message::default() };
    let framed = hex::decode(framed).unwrap();
    assert_eq!(unframe(&framed).unwrap().unwrap().1, 73);
    check(Version::V1, &framed[1..], &message);
    assert_eq!(vector("v1 new"), framed[1..]);

    let framed = "7ca163677332a16372657181a562696450000102030405060708090a0b0c0d0e0f63707269006373656c\
                  a16152a2616ca16564657074681864623a3ea16161a1613ea16140a064726f6f74\
                  d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce16474797065616e";
    let framed = hex::decode(framed).unwrap();
    let (content, length) = unframe(&framed).unwrap().unwrap();
    assert_eq!(length, 125);
    let id = RequestId::Uuid(std::array::from_fn(|place| place as u8));
    let request = |id, root, selector: &Selector| Message {
        requests: vec![Request { id, kind: new(root, selector, 0, Vec::new()) }],
        ..Message::default()
    };
    check(Version::V2, content, &request(id, genesis(), &Selector::everything_to(100)));
    let framed = vector("v2 new, framed");
    let (content, _) = unframe(&framed).unwrap().unwrap();
    let hello = Box::new(*raw(b"hello").cid());
    let id = RequestId::Uuid(*b"\x00\x01\x02\x03\x04\x05\x46\x07\x88\x09\x0a\x0b\x0c\x0d\x0e\x0f");
    check(Version::V2, content, &request(id, hello, &Selector::everything()));
}

#[test]
fn messages_of_version_1_are_those_of_other_programs() {
    let (hello, world) = (raw(b"hello"), raw(b"world"));
    let do_not_send = Ipld::List(vec![Ipld::Link(*hello.cid())]);
    let extensions = named(vec![("chainsync", Ipld::Null), ("graphsync/do-not-send-cids", do_not_send)]);
    let kind = new(Box::new(*empty_list().cid()), &Selector::everything(), i32::MAX, extensions);
    let update = RequestKind::Update { extensions: named(vec![("x", Ipld::Bool(true))]) };
    let requests = [(-7, kind), (8, update), (9, RequestKind::Cancel)];
    let requests = requests.map(|(id, kind)| Request { id: RequestId::Number(id), kind }).into();
    check(Version::V1, &vector("v1 requests"), &Message { requests, ..Message::default() });

    let links = vec![(*hello.cid(), LinkAction::Present), (*world.cid(), LinkAction::Missing)];
    let response = |id, status, links| Response { id: RequestId::Number(id), status, links, extensions: Vec::new() };
    let responses = vec![response(1, Status::PARTIAL, links), response(2, Status::COMPLETED, Vec::new())];
    let message = Message { responses, blocks: vec![hello, empty_list()], ..Message::default() };
    check(Version::V1, &vector("v1 responses"), &message);
    assert_eq!(v1::decode(&vector("v1 later")).unwrap(), message);
}

#[test]
fn messages_of_version_2_are_those_of_other_programs() {
    let (hello, world) = (raw(b"hello"), raw(b"world"));
    let id = RequestId::Uuid(std::array::from_fn(|place| 0xf0 + place as u8));
    let transfer = named(vec![("IsRq", Ipld::Bool(true)), ("Request", Ipld::Null)]);
    let extensions = named(vec![
        ("nothing", Ipld::Null),
        ("fil/data-transfer/1.1", Ipld::Map(transfer)),
        ("graphsync/do-not-send-first-blocks", Ipld::Integer(7)),
    ]);
    assert_eq!(extension(&extensions, "graphsync/do-not-send-first-blocks"), Some(&Ipld::Integer(7)));
    let values = Ipld::List(vec![Ipld::Float(1.5), Ipld::Link(*hello.cid())]);
    let requests = [
        new(Box::new(*hello.cid()), &Selector::everything(), -5, extensions),
        RequestKind::Update { extensions: named(vec![("x", values)]) },
        RequestKind::Cancel,
    ];
    let requests = requests.map(|kind| Request { id, kind }).into();
    check(Version::V2, &vector("v2 requests"), &Message { requests, ..Message::default() });

    let links = vec![
        (*hello.cid(), LinkAction::Present),
        (*world.cid(), LinkAction::Missing),
        (*empty_file().cid(), LinkAction::Duplicate),
        (*world.cid(), LinkAction::Skipped),
    ];
    let extensions = named(vec![("x", Ipld::Bytes(vec![1]))]);
    let responses = vec![
        Response { id, status: Status::PARTIAL, links, extensions },
        Response { id, status: Status::COMPLETED, links: Vec::new(), extensions: Vec::new() },
    ];
    let message = Message { responses, blocks: vec![hello, empty_file()], ..Message::default() };
    check(Version::V2, &vector("v2 responses"), &message);

    let cancel = Message { requests: vec![Request { id, kind: RequestKind::Cancel }], ..Message::default() };
    assert_eq!(v2::decode(&vector("v2 later")).unwrap(), cancel);
    check(Version::V2, &hex::decode("a163677332a0").unwrap(), &Message::default());
}

/// spec/network.md 11.3.
#[test]
fn statuses_have_their_meaning_by_the_first_digit() {
    let of = |code| Status::by_code(code).unwrap();
    assert!(!of(15).is_end() && !of(15).is_success());
    assert!(of(20).is_success() && of(21).is_end());
    assert!(of(35).is_end() && !of(35).is_success());
    assert_eq!((of(34), of(99).code()), (Status::NOT_FOUND, 99));
    for wrong in [-1, 0, 9, 100, 256 + 20, 1 << 64] {
        assert!(Status::by_code(wrong).is_err());
    }
}

#[test]
fn each_version_has_its_own_ids() {
    let cancel = |id| Message { requests: vec![Request { id, kind: RequestKind::Cancel }], ..Message::default() };
    let refused = cancel(RequestId::Uuid([0; 16])).encode(Version::V1).unwrap_err().to_string();
    assert_eq!(refused, "/ipfs/graphsync/1.0.0 has no ids of 16 bytes");
    assert!(cancel(RequestId::Number(1)).encode(Version::V2).is_err());
}

/// What version 1 has no words for: a duplicate is there, what was skipped is not.
#[test]
fn version_1_says_less_of_links() {
    let links = LinkAction::ALL.map(|action| (*empty_list().cid(), action)).into();
    let response = Response { id: RequestId::Number(0), status: Status::PARTIAL, links, extensions: Vec::new() };
    let message = Message { responses: vec![response], ..Message::default() };
    let read = v1::decode(&v1::encode(&message).unwrap()).unwrap();
    let actions: Vec<_> = read.responses[0].links.iter().map(|(_, action)| *action).collect();
    use LinkAction::{Missing, Present};
    assert_eq!(actions, [Present, Present, Missing, Missing]);
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::protobuf::write_bytes(number, content, &mut bytes);
    bytes
}

#[test]
fn what_no_program_sends_in_version_1_is_refused() {
    let extension = |name: &[u8], value: &[u8]| field(4, &[field(1, name), field(2, value)].concat());
    let root = field(2, &empty_list().cid().to_bytes());
    let selector = field(3, &[0xa0]);
    let whole = [&root[..], &selector].concat();
    assert!(v1::decode(&field(2, &whole)).is_ok());
    for (request, what) in [
        (selector.clone(), "without the root"),
        (root.clone(), "without the selector"),
        ([field(2, b"x"), selector.clone()].concat(), "no CID"),
        ([root.clone(), field(3, b"\xff")].concat(), "no dag-cbor"),
        ([root.clone(), field(3, b"")].concat(), "no dag-cbor"),
        ([whole.clone(), extension(b"x", b""), extension(b"x", b"")].concat(), "there twice"),
        ([whole.clone(), extension(b"\xff", b"")].concat(), "not UTF-8"),
        ([whole.clone(), extension(b"x", b"\x80\x80")].concat(), "no dag-cbor"),
        ([whole.clone(), extension(v1::METADATA.as_bytes(), b"\x80")].concat(), "come to links"),
        ([whole.clone(), field(5, b"")].concat(), "another kind"),
        ((0..=MAX_EXTENSIONS).flat_map(|name| extension(name.to_string().as_bytes(), b"")).collect(), "extensions"),
        ([whole.clone(), vec![0x80]].concat(), "no end"),
    ] {
        let error = v1::decode(&field(2, &request)).unwrap_err().to_string();
        assert!(error.contains(what), "{error} for {what}");
    }
    let metadata = |value: &[u8]| {
        let extension = [field(1, v1::METADATA.as_bytes()), field(2, value)].concat();
        field(3, &[vec![0x10, 20], field(3, &extension)].concat())
    };
    assert!(v1::decode(&metadata(b"")).is_ok() && v1::decode(&metadata(b"\x80")).is_ok());
    for (message, what) in [
        (field(3, b""), "two digits"),
        (metadata(b"\xa0"), "no list"),
        (metadata(b"\x81\xa0"), "no list of links"),
        (metadata(b"\x81\xa1\x64link\xf5"), "no list of links"),
        (field(4, b""), "no prefix"),
        (field(4, &[field(1, &[1, 0x55, 0x16, 32]), field(2, b"x")].concat()), "not known"),
        (field(4, &[field(1, &[1, 0x55, 0x12, 32]), field(2, &vec![0; (2 << 20) + 1])].concat()), "longer than"),
    ] {
        let error = v1::decode(&message).unwrap_err().to_string();
        assert!(error.contains(what), "{error} for {what}");
    }
}

#[test]
fn what_no_program_sends_in_version_2_is_refused() {
    let id = r#""id":"ID""#;
    let link = r#"{"/":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}"#;
    let request = |entries: &str| format!(r#"{{"gs2":{{"req":[{{{entries}}}]}}}}"#);
    let new = |entries: &str| request(&format!(r#"{id},"type":"n",{entries}"#));
    let response = |entries: &str| format!(r#"{{"gs2":{{"rsp":[{{"reqid":"ID",{entries}}}]}}}}"#);
    // Bytes of an id, which JSON does not have.
    fn with_ids(value: Ipld) -> Ipld {
        match value {
            Ipld::String(text) if text == "ID" => Ipld::Bytes(vec![7; 16]),
            Ipld::String(text) if text == "SHORT" => Ipld::Bytes(vec![7; 15]),
            Ipld::List(items) => Ipld::List(items.into_iter().map(with_ids).collect()),
            Ipld::Map(entries) => Ipld::Map(entries.into_iter().map(|(key, value)| (key, with_ids(value))).collect()),
            other => other,
        }
    }
    let decode = |text: &str| v2::decode(&dag_cbor::encode(&with_ids(test_json::one(text))));
    assert!(decode(&new(&format!(r#""root":{link},"sel":null"#))).is_ok());
    assert!(decode(&response(r#""stat":20,"meta":[],"ext":{}"#)).is_ok());
    for (text, what) in [
        ("[]", "no map"),
        ("{}", "without \"gs2\""),
        (r#"{"gs2":[]}"#, "no map"),
        (r#"{"gs2":{"req":{}}}"#, "a list of a message is none"),
        (r#"{"gs2":{"req":[7]}}"#, "a request of a message is no map"),
        (&request(r#""type":"c""#), "without the id"),
        (&request(r#""id":7,"type":"c""#), "no bytes"),
        (&request(r#""id":"SHORT","type":"c""#), "16 bytes"),
        (&request(id), "without the type"),
        (&request(&format!(r#"{id},"type":"r""#)), "type of a request of a message is not known"),
        (&request(&format!(r#"{id},"type":7"#)), "no text"),
        (&new(r#""sel":{}"#), "without the root"),
        (&new(r#""sel":{},"root":7"#), "no link"),
        (&new(&format!(r#""root":{link}"#)), "without the selector"),
        (&new(&format!(r#""root":{link},"sel":{{}},"pri":"x""#)), "no number"),
        (&new(&format!(r#""root":{link},"sel":{{}},"pri":2147483648"#)), "32 bits"),
        (&new(&format!(r#""root":{link},"sel":{{}},"ext":[]"#)), "extensions of a message is no map"),
        (&response(r#""meta":[]"#), "without the status"),
        (&response(r#""stat":"20""#), "no number"),
        (&response(r#""stat":7"#), "two digits"),
        (&response(r#""stat":14,"meta":[7]"#), "no list of lists"),
        (&response(&format!(r#""stat":14,"meta":[[{link}]]"#)), "links and actions"),
        (&response(&format!(r#""stat":14,"meta":[[{link},"x"]]"#)), "action of a link of a message is not known"),
        (r#"{"gs2":{"blk":[7]}}"#, "a block of a message is no list"),
        (r#"{"gs2":{"blk":[["ID"]]}}"#, "no prefix and data"),
        (r#"{"gs2":{"blk":[["ID","ID"]]}}"#, "hash function 0x7"),
    ] {
        let error = decode(text).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
    assert!(v2::decode(b"").is_err() && v2::decode(b"\xa1").is_err());
}

/// A message of 4 MiB that would take most of a gigabyte in memory.
#[test]
fn small_values_do_not_add_up() {
    let mut list = hex::decode("a163677332a1656c617465729a00300000").unwrap();
    list.resize(list.len() + 0x30_0000, 0xf6);
    assert!(v2::decode(&list).unwrap_err().to_string().contains("more values"));
    let extension = |name: &str| {
        let value = [&[0x9a, 0, 2, 0, 0][..], &vec![0xf6; 2 << 16]].concat();
        field(4, &[field(1, name.as_bytes()), field(2, &value)].concat())
    };
    let request = |extensions: &[&str]| {
        let mut request = vec![0x38, 1];
        extensions.iter().for_each(|name| request.extend(extension(name)));
        field(2, &request)
    };
    assert!(v1::decode(&request(&["a"])).is_ok());
    let error = v1::decode(&[request(&["a"]), request(&["b"])].concat()).unwrap_err();
    assert!(error.to_string().contains("more values"), "{error}");
    let cancel = field(2, &[0x30, 1]);
    assert!(v1::decode(&cancel.repeat(MAX_ITEMS)).is_ok());
    assert_eq!(v1::decode(&cancel.repeat(MAX_ITEMS + 1)), Err(WireError::TooMany("requests")));
}

fn values() -> impl Strategy<Value = Ipld> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| Ipld::Integer(number.into())),
        any::<Vec<u8>>().prop_map(Ipld::Bytes),
        any::<bool>().prop_map(Ipld::Bool),
        any::<[u8; 3]>().prop_map(|bytes| Ipld::Link(*raw(&bytes).cid())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Ipld::List),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4).prop_map(|map| Ipld::Map(map.into_iter().collect())),
        ]
    })
}

/// In the order of version 2, names of a length by their letters.
fn extensions() -> impl Strategy<Value = Extensions> {
    prop::collection::btree_map("[a-z]{4}", values(), 0..3).prop_map(|map| map.into_iter().collect())
}

fn messages(version: Version) -> impl Strategy<Value = Message> {
    let id = any::<(i32, [u8; 16])>().prop_map(move |(number, uuid)| match version {
        Version::V1 => RequestId::Number(number),
        Version::V2 => RequestId::Uuid(uuid),
    });
    let kind = prop_oneof![
        Just(RequestKind::Cancel),
        extensions().prop_map(|extensions| RequestKind::Update { extensions }),
        (any::<[u8; 2]>(), values(), any::<i32>(), extensions()).prop_map(|(root, selector, priority, extensions)| {
            RequestKind::New { root: Box::new(*raw(&root).cid()), selector, priority, extensions }
        }),
    ];
    let request = (id.clone(), kind).prop_map(|(id, kind)| Request { id, kind });
    let actions = match version {
        Version::V1 => vec![LinkAction::Present, LinkAction::Missing],
        Version::V2 => LinkAction::ALL.to_vec(),
    };
    let link = (any::<[u8; 2]>(), prop::sample::select(actions)).prop_map(|(cid, action)| (*raw(&cid).cid(), action));
    let response = (id, 10i128..100, prop::collection::vec(link, 0..4), extensions()).prop_map(
        |(id, status, links, extensions)| Response { id, status: Status::by_code(status).unwrap(), links, extensions },
    );
    let block = prop_oneof![any::<Vec<u8>>().prop_map(|bytes| raw(&bytes)), Just(empty_list()), Just(empty_file())];
    let lists = (
        prop::collection::vec(request, 0..3),
        prop::collection::vec(response, 0..3),
        prop::collection::vec(block, 0..3),
    );
    lists.prop_map(|(requests, responses, blocks)| Message { requests, responses, blocks })
}

proptest! {
    #[test]
    fn messages_of_version_1_are_read_as_written(message in messages(Version::V1)) {
        prop_assert_eq!(v1::decode(&v1::encode(&message).unwrap()), Ok(message));
    }

    #[test]
    fn messages_of_version_2_are_read_as_written(message in messages(Version::V2)) {
        prop_assert_eq!(v2::decode(&v2::encode(&message).unwrap()), Ok(message));
    }

    #[test]
    fn damaged_messages_never_panic(
        one in messages(Version::V1),
        two in messages(Version::V2),
        at: prop::sample::Index,
        byte: u8,
        cut: bool,
    ) {
        for (version, message) in [(Version::V1, one), (Version::V2, two)] {
            let mut bytes = message.encode(version).unwrap();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                if cut {
                    bytes.truncate(at);
                }
            }
            // What is read is also written, names of extensions in order, and read again.
            if let Ok(message) = Message::decode(version, &bytes) {
                let again = message.encode(version).unwrap();
                prop_assert_eq!(Message::decode(version, &again).unwrap().encode(version), Ok(again));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        for version in Version::ALL {
            let _ = Message::decode(version, &bytes);
        }
    }
}
