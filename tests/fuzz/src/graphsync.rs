//! Both sides of graphsync, as state machines to which anything may happen.

use std::collections::HashSet;

use filecash_ipld::codec::{Codec, dag_cbor};
use filecash_ipld::graphsync::{
    Admission, Admit, Asked, AtMostDepth, Held, Order, Pull, RespondLimits, Responder, Turn, extensions,
};
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::traverse::Limits;
use filecash_ipld::wire::graphsync::{
    Extensions, LinkAction, Message, Request, RequestId, RequestKind, Response, Status, Version,
};
use filecash_ipld::{Block, Cid, Ipld};

const LIMITS: RespondLimits = RespondLimits {
    active: 3,
    waiting: 4,
    message_bytes: 300,
    message_links: 7,
    walk: Limits { blocks: 100, bytes: 1 << 16, links: 200, nodes: 2000, depth: 100, values: 2000 },
};

/// A list of lists of leaves, some of them the same, all in a store; the root first.
fn dag() -> (MemoryStore, Vec<Cid>) {
    let store = MemoryStore::default();
    let put = |codec: Codec, bytes: Vec<u8>| {
        let block = Block::new(HashKind::Sha256, codec, bytes).expect("SHA-256 takes all bytes");
        store.put(std::slice::from_ref(&block)).expect("memory takes all blocks");
        *block.cid()
    };
    let list = |cids: &[Cid]| dag_cbor::encode(&Ipld::List(cids.iter().map(|cid| Ipld::Link(*cid)).collect()));
    let leaves: Vec<Cid> = (0..6).map(|number| put(Codec::Raw, vec![number; 100])).collect();
    let inner: Vec<Cid> = (0..4).map(|from| put(Codec::DagCbor, list(&leaves[from..from + 3]))).collect();
    let root = put(Codec::DagCbor, list(&inner));
    (store, [vec![root], inner, leaves].concat())
}

/// Some are paused, the others go as deep as stock responders do.
struct Mixed;

impl Admit for Mixed {
    fn admit(&self, asked: &Asked) -> Admission {
        match asked.id {
            RequestId::Number(number) if number % 5 == 4 => Admission::Pause(Extensions::new()),
            _ => AtMostDepth::default().admit(asked),
        }
    }
}

/// What a peer asks for: each two bytes are what happens and with what; where that is a message, its length is the second and its bytes
/// follow. What is said is within the limits, can be written, and comes to an end. As many acceptances as messages that were taken, and
/// requests that came to a good end.
pub fn graphsync_responder(mut data: &[u8]) -> usize {
    let (store, cids) = dag();
    let mut responder = Responder::new(LIMITS);
    let mut accepted = 0;
    while let [what, with, rest @ ..] = data {
        data = rest;
        let number = i32::from(*with % 16);
        let id = RequestId::Number(number);
        match what % 8 {
            0 => {
                let (bytes, rest) = data.split_at(data.len().min(usize::from(*with)));
                data = rest;
                let version = if what & 0x80 == 0 { Version::V1 } else { Version::V2 };
                if let Ok(message) = Message::decode(version, bytes) {
                    // The ids of one version are not those of the other.
                    let of_first = message.requests.into_iter().filter(|_| version == Version::V1);
                    of_first.for_each(|request| responder.take(request, &Mixed));
                    accepted += 1;
                }
            }
            1 | 2 => {
                let (cid, deep) = (cids[usize::from(*what >> 3) % cids.len()], *with >> 4);
                responder.take(request(id, cid, u64::from(deep), i32::from(*what), &cids), &Mixed);
            }
            3 => responder.take(Request { id, kind: RequestKind::Cancel }, &Mixed),
            4 => responder.pause(id),
            5 => responder.resume(id, Extensions::new()),
            6 => responder.fail(id, Status::CANCELLED),
            _ => accepted += usize::from(say(&mut responder, &store).is_some_and(|message| is_good(&message))),
        }
    }
    (0..16).for_each(|number| responder.resume(RequestId::Number(number), Extensions::new()));
    // Three walks of 200 links, and what waits, seven links at a time.
    for _ in 0..1000 {
        match say(&mut responder, &store) {
            Some(message) => accepted += usize::from(is_good(&message)),
            None => break,
        }
    }
    accepted
}

fn request(id: RequestId, root: Cid, depth: u64, priority: i32, held: &[Cid]) -> Request {
    let selector = if depth == 15 { Selector::everything() } else { Selector::everything_to(depth) };
    let extensions = match priority % 4 {
        0 => vec![(extensions::DO_NOT_SEND_FIRST_BLOCKS.to_owned(), Ipld::Integer(depth.into()))],
        1 => vec![(
            extensions::DO_NOT_SEND_CIDS.to_owned(),
            Ipld::List(held.iter().skip(2).map(|cid| Ipld::Link(*cid)).collect()),
        )],
        2 => vec![(extensions::DEDUP_BY_KEY.to_owned(), Ipld::String(depth.to_string()))],
        _ => Extensions::new(),
    };
    let kind = RequestKind::New { root: Box::new(root), selector: selector.to_ipld(), priority, extensions };
    Request { id, kind }
}

fn say(responder: &mut Responder, store: &MemoryStore) -> Option<Message> {
    let message = responder.next_message(store)?;
    let bytes: usize = message.blocks.iter().map(|block| block.bytes().len()).sum();
    assert!(bytes <= LIMITS.message_bytes + 200);
    assert!(message.responses.iter().all(|response| response.links.len() <= LIMITS.message_links));
    let written = message.encode(Version::V1).expect("it answers requests of version 1");
    assert!(Message::decode(Version::V1, &written).is_ok());
    responder.failures();
    Some(message)
}

fn is_good(message: &Message) -> bool {
    message.responses.iter().any(|response| response.status.is_success())
}

/// What somebody answers: of each response the first byte is its status, the second how many links follow, and of each link a byte says
/// which and what became of it, and whether its block comes, too. Nothing is kept that is not below the root, and it is done only when all is
/// here or known to be missing. As many acceptances as responses that were taken.
pub fn graphsync_pull(mut data: &[u8]) -> usize {
    let (from, cids) = dag();
    let (other, known) = (Block::new(HashKind::Sha256, Codec::Raw, b"other".to_vec()), MemoryStore::default());
    let other = other.expect("SHA-256 takes all bytes");
    let order = Order { limits: LIMITS.walk, ..Order::everything(cids[0]) };
    let mut pull = Pull::new(order.clone());
    let mut accepted = 0;
    while let [status, count, rest @ ..] = data {
        let (links, rest) = rest.split_at(rest.len().min(usize::from(*count)));
        data = rest;
        let mut response = Response {
            id: RequestId::Number(1),
            status: Status::PARTIAL,
            links: Vec::new(),
            extensions: Extensions::new(),
        };
        response.status = Status::by_code((10 + status % 90).into()).expect("it has two digits");
        let mut blocks = Vec::new();
        for link in links {
            let cid = cids.get(usize::from(link & 0xf)).copied().unwrap_or(*other.cid());
            response.links.push((cid, LinkAction::ALL[usize::from(link >> 4) % 4]));
            if link & 0x80 == 0 {
                let bytes = from.get(&cid).expect("memory can be read");
                blocks.push(bytes.map_or(other.clone(), |bytes| Block::checked(cid, bytes).expect("it is its block")));
            }
        }
        match pull.take(response, blocks, &known) {
            Ok(Turn::Done) => {
                let held = Held::of(&order, &known).expect("what is kept can be walked over");
                // What was missing once may have come at another place.
                assert!(held.is_all || pull.progress().missing > 0);
                accepted += 1;
                break;
            }
            Ok(_) => accepted += 1,
            Err(_) => break,
        }
    }
    assert!(known.get(other.cid()).expect("memory can be read").is_none());
    let kept = cids.iter().filter(|cid| known.get(cid).expect("memory can be read").is_some()).count();
    assert!(kept as u64 <= pull.progress().blocks);
    assert!(pull.missing().iter().collect::<HashSet<_>>().is_subset(&cids.iter().collect()));
    accepted
}
