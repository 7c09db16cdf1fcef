//! Messages of other programs byte for byte, what is refused, and round trips.

use proptest::prelude::*;

use super::*;
use crate::Ipld;
use crate::codec::Codec;
use crate::test_json;
use crate::wire::MAX_ITEMS;

/// tests/vectors/wire/messages.json.
fn vector(name: &str) -> Vec<u8> {
    let vectors = test_json::one(include_str!("../../../../../tests/vectors/wire/messages.json"));
    let Some(Ipld::String(text)) = vectors.get(name) else { panic!("{name}") };
    hex::decode(text).unwrap()
}

fn raw(bytes: &[u8]) -> Block {
    Block::new(HashKind::Sha256, Codec::Raw, bytes.to_vec()).unwrap()
}

fn v0(bytes: &[u8]) -> Block {
    Block::checked(Cid::new_v0(HashKind::Sha256.multihash(bytes).unwrap()).unwrap(), bytes.to_vec()).unwrap()
}

fn empty_list() -> Cid {
    HashKind::Blake2b256.cid(Codec::DagCbor.code(), &[0x80]).unwrap()
}

fn want(cid: Cid) -> Want {
    Want { cid, priority: 0, cancel: false, kind: WantKind::Block, send_dont_have: false }
}

fn check(version: Version, bytes: &[u8], message: &Message) {
    let decoded = Message::decode(bytes).unwrap();
    assert_eq!(decoded, *message);
    assert_eq!(hex::encode(decoded.encode(version).unwrap()), hex::encode(bytes));
}

#[test]
fn messages_are_those_of_other_programs() {
    let hello = raw(b"hello");
    let have = Want { priority: i32::MAX, kind: WantKind::Have, send_dont_have: true, ..want(*hello.cid()) };
    let low = Want { priority: -1, ..want(*v0(b"\n\0").cid()) };
    let cancel = Want { cancel: true, ..want(empty_list()) };
    let message = Message { wants: vec![have, low, cancel], full: true, ..Message::default() };
    check(Version::V1_2_0, &vector("bitswap wants"), &message);

    let presences =
        vec![Presence { cid: *raw(b"world").cid(), have: true }, Presence { cid: empty_list(), have: false }];
    let message = Message { blocks: vec![hello, v0(b"\n\0")], presences, pending_bytes: 300, ..Message::default() };
    check(Version::V1_2_0, &vector("bitswap blocks"), &message);

    let message = Message { blocks: vec![v0(b"\n\0"), v0(b"")], ..Message::default() };
    check(Version::V1_0_0, &vector("bitswap 1.0.0"), &message);

    let message = Message { wants: vec![want(empty_list())], ..Message::default() };
    assert_eq!(Message::decode(&vector("bitswap later")), Ok(message));
    // No wantlist is an empty one, and two are one.
    assert_eq!(Message::decode(b""), Ok(Message::default()));
    let two = [vector("bitswap later"), vector("bitswap later")].concat();
    assert_eq!(Message::decode(&two).unwrap().wants.len(), 2);
}

#[test]
fn older_versions_say_less() {
    let message = |want| Message { wants: vec![want], ..Message::default() };
    let block = |block| Message { blocks: vec![block], ..Message::default() };
    let have = Want { kind: WantKind::Have, ..want(empty_list()) };
    let ask = Want { send_dont_have: true, ..want(empty_list()) };
    let presence = Presence { cid: empty_list(), have: true };
    let tell = Message { presences: vec![presence], ..Message::default() };
    for new in [message(have), message(ask), tell] {
        assert!(new.encode(Version::V1_2_0).is_ok());
        assert!(new.encode(Version::V1_1_0).is_err() && new.encode(Version::V1_0_0).is_err());
    }
    assert!(message(want(empty_list())).encode(Version::V1_0_0).is_ok());
    let blake = block(Block::new(HashKind::Blake2b256, Codec::Raw, b"x".to_vec()).unwrap());
    assert_eq!(Message::decode(&blake.encode(Version::V1_1_0).unwrap()), Ok(blake.clone()));
    let error = blake.encode(Version::V1_0_0).unwrap_err().to_string();
    assert_eq!(error, "/ipfs/bitswap/1.0.0 has no hash function but sha2-256");
    // The receiver does not learn what codec it has.
    let bare = block(raw(b"x")).encode(Version::V1_0_0).unwrap();
    assert_eq!(Message::decode(&bare), Ok(block(v0(b"x"))));
    assert_eq!(Version::ALL.map(Version::protocol)[0], "/ipfs/bitswap/1.2.0");
}

#[test]
fn what_no_program_sends_is_refused() {
    let field = |number, content: &[u8]| {
        let mut bytes = Vec::new();
        write_bytes(number, content, &mut bytes);
        bytes
    };
    let cid = field(1, &empty_list().to_bytes());
    let want = |content: &[u8]| field(1, &field(1, content));
    let large = vec![0; (2 << 20) + 1];
    for (bytes, what) in [
        (want(b""), "without the CID of a want"),
        (want(&field(1, b"x")), "a CID of a message is none"),
        (want(&[&cid[..], &[0x20, 2]].concat()), "a want of a message is of a kind"),
        (want(&[&cid[..], &[0x22, 0]].concat()), "field 4 is of another kind"),
        (field(4, b""), "without the CID of a presence"),
        (field(4, &[&cid[..], &[0x10, 2]].concat()), "a presence of a message is of a kind"),
        (field(3, b""), "no prefix"),
        (field(2, &large), "longer than"),
        (field(3, &[field(1, &[1, 0x55, 0x12, 32]), field(2, &large)].concat()), "longer than"),
        (vec![0x0a, 5], "ends too soon"),
        (vec![0x0b], "kind 3"),
    ] {
        let error = Message::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{error} for {what}");
    }
    let short = field(1, &HashKind::Identity.cid(0x55, b"").unwrap().to_bytes());
    assert!(Message::decode(&want(&short).repeat(MAX_ITEMS)).is_ok());
    assert_eq!(Message::decode(&want(&short).repeat(MAX_ITEMS + 1)), Err(WireError::TooMany("wants")));
}

fn messages() -> impl Strategy<Value = Message> {
    let cid = any::<[u8; 2]>().prop_map(|bytes| *raw(&bytes).cid());
    let want = (cid.clone(), any::<(i32, bool, bool, bool)>()).prop_map(|(cid, (priority, cancel, have, dont))| {
        let kind = if have { WantKind::Have } else { WantKind::Block };
        Want { cid, priority, cancel, kind, send_dont_have: dont }
    });
    let presence = (cid, any::<bool>()).prop_map(|(cid, have)| Presence { cid, have });
    let block = any::<(bool, Vec<u8>)>().prop_map(|(old, bytes)| if old { v0(&bytes) } else { raw(&bytes) });
    let lists = (
        prop::collection::vec(want, 0..4),
        prop::collection::vec(block, 0..4),
        prop::collection::vec(presence, 0..4),
        any::<(bool, i32)>(),
    );
    lists.prop_map(|(wants, blocks, presences, (full, pending_bytes))| Message {
        wants,
        full,
        blocks,
        presences,
        pending_bytes,
    })
}

proptest! {
    #[test]
    fn messages_are_read_as_written(message in messages()) {
        prop_assert_eq!(Message::decode(&message.encode(Version::V1_2_0).unwrap()), Ok(message));
    }

    #[test]
    fn damaged_messages_never_panic(message in messages(), at: prop::sample::Index, byte: u8, cut: bool) {
        let mut bytes = message.encode(Version::V1_2_0).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(Message::decode(&message.encode(Version::V1_2_0).unwrap()), Ok(message));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Message::decode(&bytes);
    }
}
