//! Requests answered by a responder, cut, lied to, and of what is not there.

use proptest::prelude::*;

use super::*;
use crate::codec::dag_cbor;
use crate::graphsync::{AtMostDepth, RespondLimits, Responder};
use crate::hash::HashKind;
use crate::store::MemoryStore;
use crate::wire::graphsync::{Message, Version};

const IDS: [(Version, RequestId); 2] = [(Version::V1, RequestId::Number(7)), (Version::V2, RequestId::Uuid([7; 16]))];

fn put(store: &MemoryStore, node: &Ipld) -> Cid {
    let block = Block::new(HashKind::Blake2b256, Codec::DagCbor, dag_cbor::encode(node)).unwrap();
    store.put(std::slice::from_ref(&block)).unwrap();
    *block.cid()
}

fn leaf(store: &MemoryStore, bytes: &[u8]) -> Cid {
    let block = Block::new(HashKind::Sha256, Codec::Raw, bytes.to_vec()).unwrap();
    store.put(std::slice::from_ref(&block)).unwrap();
    *block.cid()
}

fn node(links: &[Cid]) -> Ipld {
    Ipld::List(links.iter().map(|cid| Ipld::Link(*cid)).collect())
}

/// Every block below a root, in the order of the walk, each as often as it is met.
fn below(store: &MemoryStore, order: &Order) -> Vec<Cid> {
    let mut cids = Vec::new();
    walk_held(order, store, |cid| {
        cids.push(*cid);
        true
    })
    .unwrap();
    cids
}

/// What a transfer came to.
struct Transfer {
    turn: Result<Turn, PullError>,
    pull: Pull,
    /// Blocks that were sent.
    sent: u64,
}

/// Has one store answer another, by way of bytes, for so many messages.
fn transfer(from: &MemoryStore, to: &MemoryStore, order: &Order, id: usize, messages: usize) -> Transfer {
    let (version, id) = IDS[id];
    let limits = RespondLimits { message_bytes: 100, message_links: 9, ..RespondLimits::default() };
    let mut responder = Responder::new(limits);
    let mut pull = Pull::new(order.clone());
    let request = pull.request(id, Held::of(order, to).unwrap(), to).unwrap();
    let request = Message { requests: vec![request], ..Message::default() }.encode(version).unwrap();
    let mut request = Message::decode(version, &request).unwrap();
    responder.take(request.requests.remove(0), &AtMostDepth::default());
    let mut turn = Ok(Turn::More);
    for _ in 0..messages {
        let Some(message) = responder.next_message(from) else { break };
        let mut message = Message::decode(version, &message.encode(version).unwrap()).unwrap();
        turn = pull.take(message.responses.remove(0), message.blocks, to);
        if !matches!(turn, Ok(Turn::More)) {
            break;
        }
    }
    pull.keep(to).unwrap();
    Transfer { turn, pull, sent: responder.sent().blocks }
}

/// A DAG in which every block refers to earlier ones, some of them to themselves in an identity.
fn dag(shape: &[(Vec<prop::sample::Index>, u8)]) -> (MemoryStore, Cid) {
    let store = MemoryStore::default();
    let mut cids: Vec<Cid> = Vec::new();
    for (number, (links, kind)) in shape.iter().enumerate() {
        let mut links: Vec<_> = links.iter().filter(|_| !cids.is_empty()).map(|index| *index.get(&cids)).collect();
        cids.push(match kind {
            0..2 => leaf(&store, &[number as u8; 70]),
            2 => {
                links.truncate(1);
                HashKind::Identity.cid(Codec::DagCbor.code(), &dag_cbor::encode(&node(&links))).unwrap()
            }
            _ => put(&store, &Ipld::List(vec![Ipld::Integer(number as i128), node(&links)])),
        });
    }
    let root = put(&store, &node(&cids));
    (store, root)
}

fn shapes() -> impl Strategy<Value = Vec<(Vec<prop::sample::Index>, u8)>> {
    prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0..6_u8), 0..12)
}

fn limited(order: &mut Order) {
    order.limits = Limits { links: 4000, ..order.limits };
}

proptest! {
    #[test]
    fn any_dag_comes_whole(shape in shapes(), id in 0..2_usize) {
        let (from, root) = dag(&shape);
        let to = MemoryStore::default();
        let mut order = Order::everything(root);
        limited(&mut order);
        let all = Held::of(&order, &from).unwrap();
        prop_assert!(all.is_all);
        let done = transfer(&from, &to, &order, id, usize::MAX);
        prop_assert!(matches!(done.turn, Ok(Turn::Done)), "{:?}", done.turn);
        prop_assert_eq!(Held::of(&order, &to).unwrap(), all);
        prop_assert_eq!(done.pull.progress().links, all.links);
        prop_assert_eq!(done.pull.progress().unasked, 0);
        // Each block once.
        let distinct: HashSet<_> = below(&from, &order).into_iter().collect();
        prop_assert_eq!(done.sent, distinct.len() as u64);
    }

    #[test]
    fn a_cut_transfer_goes_on_where_it_was_cut(shape in shapes(), id in 0..2_usize, cuts in prop::collection::vec(0..3_usize, 1..6)) {
        let (from, root) = dag(&shape);
        let to = MemoryStore::default();
        let mut order = Order::everything(root);
        limited(&mut order);
        let mut sent = 0;
        for messages in cuts {
            let cut = transfer(&from, &to, &order, id, messages);
            prop_assert!(cut.turn.is_ok());
            sent += cut.pull.progress().blocks;
        }
        if !Held::of(&order, &to).unwrap().is_all {
            let done = transfer(&from, &to, &order, id, usize::MAX);
            prop_assert!(matches!(done.turn, Ok(Turn::Done)), "{:?}", done.turn);
            sent += done.pull.progress().blocks;
        }
        prop_assert!(Held::of(&order, &to).unwrap().is_all);
        let distinct: HashSet<_> = below(&from, &order).into_iter().collect();
        // An identity is here without being sent.
        let kept = distinct.iter().filter(|cid| hash::inlined(cid).is_none()).count() as u64;
        prop_assert!((kept..=distinct.len() as u64).contains(&sent), "{sent} of {kept}");
    }

    #[test]
    fn what_is_missing_is_known(shape in shapes(), id in 0..2_usize, gone in any::<prop::sample::Index>(), here: bool) {
        let (from, root) = dag(&shape);
        let mut order = Order::everything(root);
        limited(&mut order);
        let all = below(&from, &order);
        let gone = *gone.get(&all);
        let to = MemoryStore::default();
        if here && hash::inlined(&gone).is_none() {
            to.put(&[Block::checked(gone, from.get(&gone).unwrap().unwrap()).unwrap()]).unwrap();
        }
        let is_gone = from.remove(&[gone]).unwrap() == 1;
        let done = transfer(&from, &to, &order, id, usize::MAX);
        let missing = done.pull.missing();
        // Where it is here, what is missing is below it.
        prop_assert_eq!(missing.contains(&gone), is_gone && !here);
        if gone == root && !missing.is_empty() {
            prop_assert!(matches!(done.turn, Err(PullError::Refused(Status::NOT_FOUND))), "{:?}", done.turn);
        } else {
            prop_assert!(matches!(done.turn, Ok(Turn::Done)), "{:?}", done.turn);
        }
    }

    #[test]
    fn any_answer_is_taken_or_refused(
        shape in shapes(),
        answers in prop::collection::vec((0..40_u8, prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize), 0..8), any::<bool>()), 0..8),
    ) {
        let (from, root) = dag(&shape);
        let mut order = Order::everything(root);
        limited(&mut order);
        let (all, to) = (below(&from, &order), MemoryStore::default());
        let mut pull = Pull::new(order.clone());
        for (status, links, with) in answers {
            let links: Vec<_> = links.iter().map(|(index, action)| (*index.get(&all), LinkAction::ALL[*action])).collect();
            let blocks = links.iter().filter(|_| with).filter_map(|(cid, _)| Block::checked(*cid, from.get(cid).unwrap()?).ok());
            let blocks = blocks.collect();
            let status = Status::by_code(i128::from(status.max(10))).unwrap();
            let id = RequestId::Number(1);
            match pull.take(Response { id, status, links, extensions: Extensions::new() }, blocks, &to) {
                Ok(Turn::Done) => {
                    // Nothing is done before everything is here or known to be missing.
                    prop_assert!(Held::of(&order, &to).unwrap().is_all || pull.progress().missing > 0);
                    break;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

fn answer(
    pull: &mut Pull,
    store: &MemoryStore,
    status: Status,
    links: &[(Cid, LinkAction)],
    blocks: &[Block],
) -> Result<Turn, PullError> {
    let response = Response { id: IDS[1].1, status, links: links.to_vec(), extensions: Extensions::new() };
    pull.take(response, blocks.to_vec(), store)
}

#[test]
fn lies_are_noticed() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let leaves = [leaf(&from, b"one"), leaf(&from, b"two")];
    let root = put(&from, &node(&leaves));
    let block = |cid: Cid| Block::checked(cid, from.get(&cid).unwrap().unwrap()).unwrap();
    let present = LinkAction::Present;
    let lie = |status, links: &[(Cid, LinkAction)], blocks: &[Block]| {
        let mut pull = Pull::new(Order::everything(root));
        answer(&mut pull, &to, status, links, blocks).unwrap_err().to_string()
    };
    let ended = lie(Status::COMPLETED, &[(root, present)], &[block(root)]);
    assert_eq!(ended, format!("the answer ends before {}", leaves[0]));
    let withheld = lie(Status::PARTIAL, &[(root, present), (leaves[0], present)], &[block(root)]);
    assert_eq!(withheld, format!("the answer has {}, which did not come and is not here", leaves[0]));
    let order = lie(Status::PARTIAL, &[(root, present), (leaves[1], present)], &[block(root), block(leaves[1])]);
    assert_eq!(order, format!("the answer has {} where the DAG has {}", leaves[1], leaves[0]));
    let missing = [(root, present), (leaves[0], present), (leaves[1], LinkAction::Missing), (leaves[1], present)];
    let beyond = lie(Status::PARTIAL, &missing, &[block(root), block(leaves[0])]);
    assert_eq!(beyond, format!("the answer goes on behind the end of the DAG with {}", leaves[1]));
    assert_eq!(lie(Status::BUSY, &[], &[]), "the request was ended with status 31");
    // What came before the lie is kept.
    assert_eq!(to.get(&root).unwrap(), from.get(&root).unwrap());
}

#[test]
fn what_nobody_asked_for_is_dropped() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let (wanted, other) = (leaf(&from, b"wanted"), leaf(&from, b"other"));
    let blocks = [wanted, other].map(|cid| Block::checked(cid, from.get(&cid).unwrap().unwrap()).unwrap());
    let mut pull = Pull::new(Order::everything(wanted));
    let turn = answer(&mut pull, &to, Status::COMPLETED, &[(wanted, LinkAction::Present)], &blocks).unwrap();
    assert_eq!((turn, pull.progress().unasked, to.get(&other).unwrap()), (Turn::Done, 1, None));
    assert_eq!(to.get(&wanted).unwrap().unwrap(), b"wanted");
}

#[test]
fn what_is_missing_is_certain_at_the_end() {
    let store = MemoryStore::default();
    let root = HashKind::Sha256.cid(Codec::Raw.code(), b"nowhere").unwrap();
    let mut pull = Pull::new(Order::everything(root));
    let missing = [(root, LinkAction::Missing)];
    assert_eq!(answer(&mut pull, &store, Status::PARTIAL, &missing, &[]).unwrap(), Turn::More);
    let refused = answer(&mut pull, &store, Status::NOT_FOUND, &[], &[]);
    assert!(matches!(refused, Err(PullError::Refused(Status::NOT_FOUND))), "{refused:?}");
    let mut pull = Pull::new(Order::everything(root));
    answer(&mut pull, &store, Status::PARTIAL, &missing, &[]).unwrap();
    assert_eq!(answer(&mut pull, &store, Status::COMPLETED_PARTIALLY, &[], &[]).unwrap(), Turn::Done);
    assert_eq!(pull.missing(), [root]);
}

#[test]
fn pauses_are_told() {
    let (from, to) = (MemoryStore::default(), MemoryStore::default());
    let root = leaf(&from, b"wanted");
    let mut pull = Pull::new(Order::everything(root));
    assert_eq!(answer(&mut pull, &to, Status::PAUSED, &[], &[]).unwrap(), Turn::Paused);
    assert_eq!(answer(&mut pull, &to, Status::PARTIAL, &[], &[]).unwrap(), Turn::More);
    let block = Block::checked(root, b"wanted".to_vec()).unwrap();
    assert_eq!(answer(&mut pull, &to, Status::PARTIAL, &[(root, LinkAction::Present)], &[block]).unwrap(), Turn::Done);
}
