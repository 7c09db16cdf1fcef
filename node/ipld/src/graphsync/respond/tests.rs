//! One responder: turns, limits, pauses and what it says of links.

use std::sync::Arc;

use super::*;
use crate::codec::{Codec, dag_cbor};
use crate::hash::HashKind;
use crate::store::MemoryStore;

/// A list of so many raw blocks of a length, and its root.
fn list(store: &MemoryStore, count: u8, length: usize) -> (Cid, Vec<Cid>) {
    let leaf = |number| Block::new(HashKind::Sha256, Codec::Raw, vec![number; length]).unwrap();
    let leaves: Vec<_> = (0..count).map(leaf).collect();
    let cids: Vec<_> = leaves.iter().map(|leaf| *leaf.cid()).collect();
    let list = dag_cbor::encode(&Ipld::List(cids.iter().map(|cid| Ipld::Link(*cid)).collect()));
    let root = Block::new(HashKind::Sha256, Codec::DagCbor, list).unwrap();
    store.put(&leaves).unwrap();
    store.put(std::slice::from_ref(&root)).unwrap();
    (*root.cid(), cids)
}

fn request(number: i32, root: Cid, selector: &Selector, priority: i32, extensions: Extensions) -> Request {
    let selector = selector.to_ipld();
    let kind = RequestKind::New { root: Box::new(root), selector, priority, extensions };
    Request { id: RequestId::Number(number), kind }
}

fn everything(number: i32, root: Cid) -> Request {
    request(number, root, &Selector::everything_to(5), 0, Extensions::new())
}

/// All that is said, until there is nothing more to say.
fn all(responder: &mut Responder, store: &MemoryStore) -> Vec<Message> {
    std::iter::from_fn(|| responder.next_message(store)).collect()
}

/// The statuses of a request.
fn statuses(messages: &[Message], number: i32) -> Vec<u8> {
    let responses = messages.iter().flat_map(|message| &message.responses);
    responses
        .filter(|response| response.id == RequestId::Number(number))
        .map(|response| response.status.code())
        .collect()
}

fn links(messages: &[Message], number: i32) -> Vec<(Cid, LinkAction)> {
    let responses = messages.iter().flat_map(|message| &message.responses);
    responses.filter(|response| response.id == RequestId::Number(number)).flat_map(|r| r.links.clone()).collect()
}

fn blocks(messages: &[Message]) -> Vec<Cid> {
    messages.iter().flat_map(|message| &message.blocks).map(|block| *block.cid()).collect()
}

fn small() -> Responder {
    Responder::new(RespondLimits { active: 2, waiting: 3, message_bytes: 1000, ..RespondLimits::default() })
}

#[test]
fn messages_are_filled_and_the_last_has_the_verdict() {
    let store = MemoryStore::default();
    let (root, leaves) = list(&store, 5, 600);
    let mut responder = small();
    responder.take(everything(1, root), &AtMostDepth::default());
    assert!(!responder.is_idle());
    let messages = all(&mut responder, &store);
    assert_eq!(statuses(&messages, 1), [14, 14, 20]);
    let expected: Vec<_> = std::iter::once(root).chain(leaves).collect();
    assert_eq!(blocks(&messages), expected);
    assert_eq!(links(&messages, 1), expected.iter().map(|cid| (*cid, LinkAction::Present)).collect::<Vec<_>>());
    assert!(responder.is_idle() && responder.failures().is_empty());
    assert_eq!(responder.sent().blocks, 6);
    assert_eq!((responder.sent().requests, responder.sent().refused), (1, 0));
}

#[test]
fn what_is_not_there_is_told() {
    let store = MemoryStore::default();
    let (root, leaves) = list(&store, 3, 10);
    store.remove(&[leaves[1]]).unwrap();
    let mut responder = small();
    responder.take(everything(1, root), &AtMostDepth::default());
    let messages = all(&mut responder, &store);
    assert_eq!(statuses(&messages, 1), [21]);
    assert_eq!(links(&messages, 1)[2], (leaves[1], LinkAction::Missing));
    store.remove(&[root]).unwrap();
    responder.take(everything(1, root), &AtMostDepth::default());
    let messages = all(&mut responder, &store);
    assert_eq!((statuses(&messages, 1), links(&messages, 1)), (vec![34], vec![(root, LinkAction::Missing)]));
}

#[test]
fn blocks_are_sent_once_in_a_scope() {
    let store = MemoryStore::default();
    let (root, leaves) = list(&store, 2, 2000);
    let by_key = |key: &str| vec![(DEDUP_BY_KEY.to_owned(), Ipld::String(key.to_owned()))];
    let selector = Selector::everything_to(5);
    let run = |keys: [Extensions; 2]| {
        let mut responder = small();
        for (number, key) in keys.into_iter().enumerate() {
            responder.take(request(number as i32, root, &selector, 0, key), &AtMostDepth::default());
        }
        all(&mut responder, &store)
    };
    for keys in [[Extensions::new(), Extensions::new()], [by_key("a"), by_key("a")]] {
        let messages = run(keys);
        assert_eq!(blocks(&messages).len(), 3);
        assert_eq!((links(&messages, 0).len(), links(&messages, 1).len()), (3, 3));
    }
    for keys in [[Extensions::new(), by_key("a")], [by_key("b"), by_key("a")]] {
        assert_eq!(blocks(&run(keys)).len(), 6);
    }
    // A list is of its own scope, a number of the request.
    let listed = vec![(DO_NOT_SEND_CIDS.to_owned(), Ipld::List(vec![Ipld::Link(leaves[0]), Ipld::Null]))];
    let mut responder = small();
    responder.take(request(1, root, &selector, 0, listed), &AtMostDepth::default());
    let messages = all(&mut responder, &store);
    assert_eq!(blocks(&messages), [root, leaves[1]]);
    assert_eq!(links(&messages, 1)[1], (leaves[0], LinkAction::Duplicate));
    let skipped = vec![(DO_NOT_SEND_FIRST_BLOCKS.to_owned(), Ipld::Integer(2))];
    responder.take(request(1, root, &selector, 0, skipped), &AtMostDepth::default());
    assert_eq!(blocks(&all(&mut responder, &store)), [leaves[1]]);
    assert_eq!(responder.sent().requests, 2);
}

#[test]
fn urgent_requests_go_first_and_equal_ones_take_turns() {
    let store = MemoryStore::default();
    let roots: Vec<_> = (1..5).map(|count| list(&store, count, 3000 + usize::from(count)).0).collect();
    let mut responder = Responder::new(RespondLimits { active: 3, message_bytes: 1, ..RespondLimits::default() });
    for (number, priority) in [(0, 0), (1, 0), (2, 7), (3, i32::MIN)] {
        let request = request(number, roots[number as usize], &Selector::everything_to(2), priority, Extensions::new());
        responder.take(request, &AtMostDepth::default());
    }
    let messages = all(&mut responder, &store);
    let turns: Vec<_> = messages.iter().map(|message| message.responses[0].id).collect();
    let expected = [2, 2, 2, 2, 2, 0, 1, 0, 1, 0, 1, 1, 3, 3, 3, 3, 3, 3].map(RequestId::Number);
    assert_eq!(turns, expected);
}

#[test]
fn who_asks_too_much_is_told_so() {
    let store = MemoryStore::default();
    let (root, _) = list(&store, 1, 10);
    let mut responder = small();
    for number in 0..8 {
        responder.take(everything(number, root), &AtMostDepth::default());
    }
    // The same once more is not another.
    responder.take(everything(0, root), &AtMostDepth::default());
    let messages = all(&mut responder, &store);
    assert!((0..5).all(|number| statuses(&messages, number) == [20]));
    assert!((5..8).all(|number| statuses(&messages, number) == [31]));
    for number in 0..1000 {
        responder.take(request(number, root, &Selector::everything(), 0, Extensions::new()), &AtMostDepth(4));
    }
    let messages = all(&mut responder, &store);
    assert_eq!((messages.len(), messages[0].responses.len()), (1, 3));
    assert_eq!(statuses(&messages, 0), [30]);
    let kind =
        RequestKind::New { root: Box::new(root), selector: Ipld::Null, priority: 0, extensions: Extensions::new() };
    responder.take(Request { id: RequestId::Number(1), kind }, &AtMostDepth::default());
    assert_eq!(statuses(&all(&mut responder, &store), 1), [30]);
    assert_eq!((responder.sent().requests, responder.sent().refused), (1009, 1004));
}

#[test]
fn what_waits_is_small() {
    let store = MemoryStore::default();
    let (root, _) = list(&store, 1, 10);
    let mut responder = Responder::new(RespondLimits { active: 1, ..RespondLimits::default() });
    let links = (0..100_000_u64).map(|number| Ipld::Link(HashKind::Sha256.cid(0x55, &number.to_le_bytes()).unwrap()));
    let listed = vec![(DO_NOT_SEND_CIDS.to_owned(), Ipld::List(links.collect()))];
    for number in 0..6 {
        let request = request(number, root, &Selector::one_block(), 0, listed.clone());
        responder.take(request, &AtMostDepth::default());
    }
    let long = vec![(DEDUP_BY_KEY.to_owned(), Ipld::String("x".repeat(MAX_KEY + 1)))];
    responder.take(request(6, root, &Selector::one_block(), 0, long), &AtMostDepth::default());
    let messages = all(&mut responder, &store);
    let statuses: Vec<_> = (0..7).flat_map(|number| statuses(&messages, number)).collect();
    assert_eq!(statuses, [20, 20, 20, 31, 31, 31, 30]);
}

#[test]
fn walks_that_cost_too_much_end() {
    let store = MemoryStore::default();
    let (root, _) = list(&store, 9, 10);
    let walk = Limits { blocks: 4, ..Limits::DEFAULT };
    let mut responder = Responder::new(RespondLimits { walk, ..RespondLimits::default() });
    responder.take(everything(1, root), &AtMostDepth::default());
    let messages = all(&mut responder, &store);
    assert_eq!((statuses(&messages, 1), blocks(&messages).len()), (vec![32], 4));
    assert!(matches!(responder.failures()[..], [(RequestId::Number(1), RespondError::Walk(_))]));
    assert!(responder.is_idle());
}

/// Lets nothing begin by itself, and answers what is said later.
struct Later;

impl Admit for Later {
    fn admit(&self, asked: &Asked) -> Admission {
        match extension(&asked.extensions, "voucher") {
            Some(voucher) => Admission::Pause(vec![("seen".to_owned(), voucher.clone())]),
            None => Admission::Refuse(Status::REJECTED, vec![("why".to_owned(), Ipld::Null)]),
        }
    }

    fn update(&self, _: RequestId, extensions: &Extensions) -> Extensions {
        extensions.clone()
    }
}

#[test]
fn requests_wait_until_they_may_go_on() {
    let store = MemoryStore::default();
    let (root, _) = list(&store, 3, 600);
    let voucher = vec![("voucher".to_owned(), Ipld::Integer(7))];
    let selector = Selector::everything_to(2);
    let mut responder = small();
    responder.take(request(1, root, &selector, 0, Extensions::new()), &Later);
    let told = all(&mut responder, &store);
    assert_eq!((statuses(&told, 1), &told[0].responses[0].extensions[0].0[..]), (vec![30], "why"));
    for number in 1..4 {
        responder.take(request(number, root, &selector, 0, voucher.clone()), &Later);
    }
    let told = all(&mut responder, &store);
    assert_eq!(statuses(&told, 1), [15]);
    // What is said of it is not kept back as long as it waits.
    assert_eq!(told[0].responses[0].extensions[0].0, "seen");
    assert!(!responder.is_idle() && responder.next_message(&store).is_none());
    responder
        .take(Request { id: RequestId::Number(1), kind: RequestKind::Update { extensions: voucher.clone() } }, &Later);
    // Of those that wait, too.
    responder.resume(RequestId::Number(3), Extensions::new());
    responder.resume(RequestId::Number(1), vec![("go".to_owned(), Ipld::Null)]);
    let first = responder.next_message(&store).unwrap();
    let said: Vec<_> = first.responses[0].extensions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((first.responses[0].status.code(), said), (14, vec!["voucher", "go"]));
    responder.pause(RequestId::Number(1));
    assert_eq!(statuses(&all(&mut responder, &store), 1), [15]);
    responder.resume(RequestId::Number(1), Extensions::new());
    let rest = all(&mut responder, &store);
    assert_eq!(statuses(&rest, 1).last(), Some(&20));
    assert_eq!(statuses(&rest, 3).last(), Some(&20));
    responder.fail(RequestId::Number(2), Status::CANCELLED);
    assert_eq!(statuses(&all(&mut responder, &store), 2), [35]);
    assert!(responder.is_idle());
}

#[test]
fn cancelled_requests_are_over_and_others_take_their_place() {
    let store = MemoryStore::default();
    let (root, _) = list(&store, 3, 600);
    let mut responder = small();
    (1..5).for_each(|number| responder.take(everything(number, root), &AtMostDepth::default()));
    let cancel = |number| Request { id: RequestId::Number(number), kind: RequestKind::Cancel };
    assert_eq!(responder.next_message(&store).unwrap().responses[0].id, RequestId::Number(1));
    [1, 3, 9].into_iter().for_each(|number| responder.take(cancel(number), &AtMostDepth::default()));
    let messages = all(&mut responder, &store);
    assert_eq!((statuses(&messages, 1), statuses(&messages, 3)), (vec![], vec![]));
    assert!([2, 4].iter().all(|number| statuses(&messages, *number).last() == Some(&20)));
}

#[test]
fn all_requests_end_at_once() {
    let store = MemoryStore::default();
    let (root, _) = list(&store, 3, 600);
    let mut responder = small();
    (1..5).for_each(|number| responder.take(everything(number, root), &AtMostDepth::default()));
    responder.next_message(&store).unwrap();
    responder.fail_all(Status::FAILED);
    let messages = all(&mut responder, &store);
    assert!((1..4).all(|number| statuses(&messages, number) == [32]), "{messages:?}");
    assert!(responder.is_idle() && messages[0].blocks.is_empty());
    responder.take(everything(1, root), &AtMostDepth::default());
    assert_eq!(blocks(&all(&mut responder, &store)).len(), 4);
}

/// A store with one block that cannot be read.
struct Broken(MemoryStore, Arc<Cid>);

impl BlockStore for Broken {
    fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
        self.0.put(blocks)
    }

    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        if *cid == *self.1 { Err(StoreError::ReadOnly) } else { self.0.get_kept(cid) }
    }

    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.0.size_kept(cid)
    }

    fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError> {
        self.0.remove(cids)
    }
}

#[test]
fn a_store_that_fails_ends_the_request_and_no_other() {
    let store = MemoryStore::default();
    let (root, leaves) = list(&store, 3, 10);
    let store = Broken(store, Arc::new(leaves[1]));
    let mut responder = small();
    responder.take(everything(1, root), &AtMostDepth::default());
    responder.take(request(2, leaves[2], &Selector::one_block(), 0, Extensions::new()), &AtMostDepth::default());
    let messages: Vec<_> = std::iter::from_fn(|| responder.next_message(&store)).collect();
    assert_eq!((statuses(&messages, 1), statuses(&messages, 2)), (vec![32], vec![20]));
    assert!(matches!(responder.failures()[..], [(_, RespondError::Store(StoreError::ReadOnly))]));
}
