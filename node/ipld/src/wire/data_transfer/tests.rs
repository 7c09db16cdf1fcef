//! Messages of other programs byte for byte, what is refused, and round trips of all versions.

use proptest::prelude::*;

use super::*;
use crate::block::Block;
use crate::codec::Codec;
use crate::hash::HashKind;
use crate::selector::Selector;
use crate::test_json;
use crate::wire::{graphsync, unframe};

/// tests/vectors/wire/data_transfer.json.
fn vector(name: &str) -> Option<Vec<u8>> {
    let vectors = test_json::one(include_str!("../../../../../tests/vectors/wire/data_transfer.json"));
    match vectors.get(name)? {
        Ipld::String(text) => Some(hex::decode(text).unwrap()),
        _ => None,
    }
}

fn hello() -> Cid {
    *Block::new(HashKind::Sha256, Codec::Raw, b"hello".to_vec()).unwrap().cid()
}

fn typed(name: &str, value: Ipld) -> Option<Typed> {
    Some(Typed { name: name.to_owned(), value })
}

fn opening(is_pull: bool, voucher: Option<Typed>) -> Box<Opening> {
    Box::new(Opening { root: hello(), selector: Selector::everything().to_ipld(), is_pull, voucher })
}

fn numbers(numbers: &[i128]) -> Ipld {
    Ipld::List(numbers.iter().map(|number| Ipld::Integer(*number)).collect())
}

fn request(id: u64, kind: RequestKind) -> Message {
    Message::Request(Request { id, kind })
}

fn response(id: u64, kind: ResponseKind) -> Message {
    Message::Response(Response { id, kind })
}

fn verdict(is_accepted: bool, is_paused: bool, result: Option<Typed>) -> Verdict {
    Verdict { is_accepted, is_paused, result }
}

/// A peer id with a key of Ed25519.
fn peer(byte: u8) -> Vec<u8> {
    [&[0, 0x24, 8, 1, 0x12, 0x20][..], &[byte; 32]].concat()
}

/// Every kind of message, by the name of its vector.
fn messages() -> Vec<(&'static str, Message)> {
    let entries = [("b", Ipld::Integer(1)), ("a", Ipld::List(vec![Ipld::Link(hello()), Ipld::Bytes(vec![1, 2])]))];
    let map = |entries: &[(&str, Ipld)]| {
        Ipld::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let voucher = || typed("Fake/1", numbers(&[7]));
    let status = map(&[("Status", Ipld::Integer(7))]);
    let channel = ChannelId { initiator: peer(0x11), responder: peer(0xee), id: 7 };
    vec![
        ("new push", request(1_700_000_000_000, RequestKind::New(opening(false, typed("Fake/1", map(&entries)))))),
        ("new pull", request(7, RequestKind::New(opening(true, None)))),
        ("update", request(7, RequestKind::Update { is_paused: true })),
        ("cancel", request(7, RequestKind::Cancel)),
        ("voucher", request(7, RequestKind::Voucher(voucher().unwrap()))),
        ("restart", request(7, RequestKind::Restart(opening(true, voucher())))),
        ("please restart", Message::Request(Request::please_restart(channel))),
        ("accepted", response(7, ResponseKind::New(verdict(true, true, typed("Result/1", status))))),
        ("refused", response(7, ResponseKind::New(Verdict::default()))),
        ("updated", response(7, ResponseKind::Update { is_paused: true })),
        ("cancelled", response(7, ResponseKind::Cancel)),
        ("complete", response(7, ResponseKind::Complete(verdict(true, false, None)))),
        ("result", response(u64::MAX, ResponseKind::Voucher(verdict(true, false, typed("Result/1", numbers(&[8])))))),
        ("restarted", response(7, ResponseKind::Restart(verdict(true, false, None)))),
    ]
}

#[test]
fn messages_are_those_of_other_programs() {
    for (version, number, expected) in
        [(Version::V1_0, "1.0", 11), (Version::V1_1, "1.1", 14), (Version::V1_2, "1.2", 13)]
    {
        let mut seen = 0;
        for (name, mut message) in messages() {
            let Some(bytes) = vector(&format!("{number} {name}")) else { continue };
            // The other codec sorts the keys in vouchers, too.
            if let (Version::V1_2, Message::Request(Request { kind: RequestKind::New(opening), .. })) =
                (version, &mut message)
                && let Some(voucher) = &mut opening.voucher
            {
                dag_cbor::sort_keys(&mut voucher.value);
            }
            assert_eq!(Message::decode(&bytes).unwrap(), message, "{number} {name}");
            assert_eq!(hex::encode(message.encode(version).unwrap()), hex::encode(bytes), "{number} {name}");
            seen += 1;
        }
        assert_eq!(seen, expected);
    }
}

/// `fetch` of npm `@dcdn/graphsync` asks so.
#[test]
fn a_message_rides_in_a_request_of_graphsync() {
    let framed = vector("graphsync 2, framed").unwrap();
    let (content, _) = unframe(&framed).unwrap().unwrap();
    let mut decoded = graphsync::v2::decode(content).unwrap();
    let graphsync::RequestKind::New { extensions: named, .. } = &mut decoded.requests[0].kind else { panic!() };
    let (name, value) = &mut named[0];
    assert_eq!(name, Version::V1_2.extension());
    let message = Message::from_ipld(value.clone()).unwrap();
    let voucher = typed("Fake/1", numbers(&[7]));
    assert_eq!(message, request(1_700_000_000_000, RequestKind::New(opening(true, voucher))));
    *value = message.to_ipld(Version::V1_2).unwrap();
    assert_eq!(graphsync::v2::encode(&decoded).unwrap(), content);
}

#[test]
fn version_1_0_knows_no_restarts() {
    for (name, message) in messages() {
        let written = message.encode(Version::V1_0);
        assert_eq!(written.is_err(), name.contains("restart"), "{name}");
        if let Err(error) = written {
            assert_eq!(error.to_string(), "/fil/datatransfer/1.0.0 has no restarts");
        }
    }
}

fn changed(name: &str, key: &str, value: Option<Ipld>) -> Ipld {
    let (_, message) = messages().into_iter().find(|(known, _)| *known == name).unwrap();
    let Ipld::Map(mut fields) = message.to_ipld(Version::V1_1).unwrap() else { panic!() };
    let body = fields.iter_mut().map(|(_, body)| body).find(|body| matches!(body, Ipld::Map(_))).unwrap();
    let Ipld::Map(entries) = body else { panic!() };
    entries.retain(|(name, _)| name != key);
    entries.extend(value.map(|value| (key.to_owned(), value)));
    Ipld::Map(fields)
}

#[test]
fn what_no_program_sends_is_refused() {
    let text = |text: &str| Some(Ipld::String(text.to_owned()));
    let number = |number| Some(Ipld::Integer(number));
    let channel = |items: Vec<Ipld>| Some(Ipld::List(items));
    for (name, key, value, what) in [
        ("cancel", "Type", number(3), "a request of a message is not known"),
        ("cancel", "Type", number(5), "not known"),
        ("cancel", "Type", number(-1), "Type of a message is no number of 64 bits"),
        ("cancel", "XferID", number(1 << 64), "XferID of a message is no number of 64 bits"),
        ("cancel", "XferID", text("7"), "no number"),
        ("cancel", "XferID", None, "without XferID"),
        ("cancel", "Type", None, "without Type"),
        ("cancelled", "Type", number(4), "a response of a message is not known"),
        ("update", "Paus", number(1), "neither true nor false"),
        ("new pull", "BCid", None, "without BCid"),
        ("new pull", "BCid", text("x"), "no link"),
        ("new pull", "Stor", None, "without Stor"),
        ("new pull", "VTyp", number(1), "no text"),
        ("new pull", "VTyp", text(&"x".repeat(MAX_NAME + 1)), "too long"),
        ("voucher", "VTyp", text(""), "without Vouch"),
        ("please restart", "RestartChannel", None, "no list"),
        ("please restart", "RestartChannel", channel(vec![]), "not of three"),
        ("please restart", "RestartChannel", channel(vec![Ipld::Null, Ipld::Null, Ipld::Integer(1)]), "no text"),
        ("please restart", "RestartChannel", channel(vec![text("").unwrap(); 3]), "no number"),
    ] {
        let error = Message::from_ipld(changed(name, key, value)).unwrap_err().to_string();
        assert!(error.contains(what), "{error} for {what}");
    }
    let nobody = Ipld::List(vec![Ipld::String(String::new()), Ipld::String("x".to_owned()), Ipld::Integer(1)]);
    assert!(Message::from_ipld(changed("please restart", "RestartChannel", Some(nobody))).is_err());
    for (bytes, what) in [
        ("f6", "neither map nor list"),
        ("80", "another length"),
        ("83f580f6", "Request of a message is a list of another length"),
        ("83f5f6f6", "without Request"),
        ("83f4f6f6", "without Response"),
        ("a0", "without Response"),
        ("a164497352710a", "neither true nor false"),
    ] {
        let error = Message::decode(&hex::decode(bytes).unwrap()).unwrap_err().to_string();
        assert!(error.contains(what), "{error} for {what}");
    }
}

#[test]
fn what_may_be_left_out_or_added_is_passed_over() {
    let known = |name| messages().into_iter().find(|(known, _)| *known == name).unwrap().1;
    for (name, key, value) in [
        ("cancel", "Stor", None),
        ("cancel", "RestartChannel", None),
        ("refused", "Acpt", None),
        ("refused", "VTyp", None),
        ("refused", "VRes", Some(Ipld::Integer(1))),
        ("new pull", "Later", Some(Ipld::Integer(1))),
    ] {
        assert_eq!(Message::from_ipld(changed(name, key, value)), Ok(known(name)), "{name} {key}");
    }
}

#[test]
fn messages_are_bounded() {
    let long = |length| {
        let voucher = typed("Fake/1", Ipld::Bytes(vec![0; length]));
        request(1, RequestKind::Voucher(voucher.unwrap()))
    };
    assert!(long(MAX_BYTES - 200).encode(Version::V1_1).is_ok());
    assert!(matches!(long(MAX_BYTES).encode(Version::V1_1), Err(WireError::TooLong(_))));
    assert_eq!(Message::decode(&vec![0; MAX_BYTES + 1]), Err(WireError::TooLong(MAX_BYTES as u64 + 1)));
    let many = typed("Fake/1", numbers(&vec![0; MAX_VALUES]));
    let many = request(1, RequestKind::Voucher(many.unwrap())).encode(Version::V1_1).unwrap();
    assert!(Message::decode(&many).unwrap_err().to_string().contains("more values than are allowed"));
    let unnamed = request(1, RequestKind::Voucher(Typed { name: String::new(), value: Ipld::Null }));
    assert!(unnamed.encode(Version::V1_1).is_err());
    let channel = ChannelId { initiator: vec![1; MAX_NAME + 1], responder: peer(1), id: 0 };
    assert!(Message::Request(Request::please_restart(channel)).encode(Version::V1_1).is_err());
}

fn any_typed() -> impl Strategy<Value = Typed> {
    let value = prop_oneof![
        Just(Ipld::Null),
        any::<u64>().prop_map(|number| Ipld::Integer(number.into())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Ipld::Bytes),
        Just(Ipld::List(vec![Ipld::Link(hello()), Ipld::Bool(true)])),
    ];
    ("[a-zA-Z/0-9]{1,20}", value).prop_map(|(name, value)| Typed { name, value })
}

fn any_message() -> impl Strategy<Value = Message> {
    let opening =
        || (any::<bool>(), prop::option::of(any_typed())).prop_map(|(is_pull, voucher)| opening(is_pull, voucher));
    let verdict = || {
        (any::<bool>(), any::<bool>(), prop::option::of(any_typed()))
            .prop_map(|(yes, wait, result)| verdict(yes, wait, result))
    };
    let peer = || prop::collection::vec(any::<u8>(), 1..50);
    let requests = prop_oneof![
        opening().prop_map(RequestKind::New),
        any::<bool>().prop_map(|is_paused| RequestKind::Update { is_paused }),
        Just(RequestKind::Cancel),
        any_typed().prop_map(RequestKind::Voucher),
        opening().prop_map(RequestKind::Restart),
        (peer(), peer(), any::<u64>()).prop_map(|(initiator, responder, id)| {
            RequestKind::PleaseRestart(ChannelId { initiator, responder, id })
        }),
    ];
    let responses = prop_oneof![
        verdict().prop_map(ResponseKind::New),
        verdict().prop_map(ResponseKind::Restart),
        verdict().prop_map(ResponseKind::Voucher),
        verdict().prop_map(ResponseKind::Complete),
        any::<bool>().prop_map(|is_paused| ResponseKind::Update { is_paused }),
        Just(ResponseKind::Cancel),
    ];
    prop_oneof![
        (any::<u64>(), requests).prop_map(|(id, kind)| request(id, kind)),
        (any::<u64>(), responses).prop_map(|(id, kind)| response(id, kind)),
    ]
}

proptest! {
    #[test]
    fn messages_are_read_as_written(message in any_message()) {
        for version in Version::ALL {
            match message.encode(version) {
                Ok(bytes) => prop_assert_eq!(Message::decode(&bytes), Ok(message.clone())),
                Err(error) => prop_assert_eq!(error.to_string(), "/fil/datatransfer/1.0.0 has no restarts"),
            }
            if let Ok(value) = message.to_ipld(version) {
                prop_assert_eq!(Message::from_ipld(value), Ok(message.clone()));
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(message in any_message(), at: prop::sample::Index, byte: u8, cut: bool) {
        for version in Version::ALL {
            let Ok(mut bytes) = message.encode(version) else { continue };
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            if let Ok(read) = Message::decode(&bytes) {
                let again = read.encode(Version::V1_1).unwrap();
                prop_assert_eq!(Message::decode(&again), Ok(read));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Message::decode(&bytes);
    }
}
