//! Channels over graphsync itself: messages in its extensions, blocks from one store into another.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::pair::{INITIATOR, RESPONDER, Says, id, opening, says_yes};
use crate::block::Block;
use crate::codec::{Codec, dag_cbor};
use crate::data_transfer::*;
use crate::graphsync::{Admission, Admit, Asked, Held, Order, Pull, RespondLimits, Responder, Turn};
use crate::hash::HashKind;
use crate::selector::Selector;
use crate::store::{BlockStore, MemoryStore};
use crate::traverse::Limits;
use crate::wire::data_transfer::Version;
use crate::wire::graphsync::{self, Extensions, RequestId, Status as Ended, extension};
use crate::{Cid, Ipld};

/// More than a message holds.
const LEAVES: u8 = 9;

fn put(store: &MemoryStore, codec: Codec, bytes: Vec<u8>) -> Cid {
    let block = Block::new(HashKind::Sha256, codec, bytes).unwrap();
    let cid = *block.cid();
    store.put(&[block]).unwrap();
    cid
}

fn dag(store: &MemoryStore) -> Cid {
    let leaves = (0..LEAVES).map(|leaf| Ipld::Link(put(store, Codec::Raw, vec![leaf; 70])));
    let node = Ipld::List(leaves.collect());
    put(store, Codec::DagCbor, dag_cbor::encode(&node))
}

fn extensions(message: Option<Message>) -> Extensions {
    let value = |message: Message| message.to_ipld(Version::V1_2).unwrap();
    message.into_iter().map(|message| (Version::V1_2.extension().to_owned(), value(message))).collect()
}

fn message(extensions: &Extensions) -> Option<Message> {
    extension(extensions, Version::V1_2.extension()).map(|value| Message::from_ipld(value.clone()).unwrap())
}

#[derive(Clone)]
enum Carried {
    Alone(Vec<u8>),
    Graphsync(Vec<u8>),
}

struct Peer {
    channel: Option<Channel>,
    store: MemoryStore,
    responder: Responder,
    pull: Option<Pull>,
}

struct Net {
    version: graphsync::Version,
    peers: [Peer; 2],
    says: Says,
    carried: VecDeque<(usize, Carried)>,
    requests: u8,
    sent: u64,
}

/// Decides of graphsync requests by the messages in them.
struct ByChannel<'a> {
    channel: RefCell<&'a mut Option<Channel>>,
    says: &'a Says,
    /// What else is to be done.
    effects: RefCell<Vec<Effect>>,
}

impl Admit for ByChannel<'_> {
    fn admit(&self, asked: &Asked) -> Admission {
        let mut channel = self.channel.borrow_mut();
        let effects = match (channel.as_mut(), message(&asked.extensions)) {
            (Some(channel), Some(message)) => channel.take(Event::Message(message), self.says).unwrap(),
            (None, Some(Message::Request(request))) => {
                use crate::wire::data_transfer::RequestKind::{New, Restart};
                let (New(opening) | Restart(opening)) = request.kind else { panic!() };
                let (new, effects) = Channel::answer(id(), *opening, self.says);
                **channel = Some(new);
                effects
            }
            _ => Vec::new(),
        };
        let mut admission = Admission::Refuse(Ended::REJECTED, Extensions::new());
        for effect in effects {
            match effect {
                Effect::Serve { .. } if !channel.as_ref().unwrap().is_for(asked) => {}
                Effect::Serve { message, is_paused: false } => admission = Admission::Accept(extensions(message)),
                Effect::Serve { message, is_paused: true } => admission = Admission::Pause(extensions(message)),
                Effect::Refuse(message) => admission = Admission::Refuse(Ended::REJECTED, extensions(Some(message))),
                effect => self.effects.borrow_mut().push(effect),
            }
        }
        admission
    }
}

fn responder() -> Responder {
    Responder::new(RespondLimits { message_bytes: 100, ..RespondLimits::default() })
}

impl Net {
    fn open(is_pull: bool, version: graphsync::Version, says: Says) -> Self {
        let peer = || Peer { channel: None, store: MemoryStore::default(), responder: responder(), pull: None };
        let mut peers = [peer(), peer()];
        let sender = if is_pull { RESPONDER } else { INITIATOR };
        let opening = Opening { root: dag(&peers[sender].store), ..opening(is_pull) };
        let (channel, effects) = Channel::open(id(), opening);
        peers[INITIATOR].channel = Some(channel);
        let mut net = Self { version, peers, says, carried: VecDeque::new(), requests: 0, sent: 0 };
        net.act(INITIATOR, effects);
        net
    }

    fn take(&mut self, end: usize, event: Event) {
        let channel = self.peers[end].channel.as_mut().unwrap();
        let effects = channel.take(event, &self.says).unwrap();
        self.act(end, effects);
    }

    fn send(&mut self, end: usize, message: &graphsync::Message) {
        self.carried.push_back((1 - end, Carried::Graphsync(message.encode(self.version).unwrap())));
    }

    fn act(&mut self, end: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => {
                    let bytes = message.encode(Version::V1_2).unwrap();
                    self.carried.push_back((1 - end, Carried::Alone(bytes)));
                }
                Effect::Ask(message) => self.ask(end, message),
                Effect::Tell(_) => {}
                Effect::Stop => self.peers[end].pull = None,
                effect => panic!("{effect:?}"),
            }
        }
    }

    fn ask(&mut self, end: usize, message: Message) {
        self.requests += 1;
        let id = match self.version {
            graphsync::Version::V1 => RequestId::Number(self.requests.into()),
            graphsync::Version::V2 => RequestId::Uuid([self.requests; 16]),
        };
        let peer = &mut self.peers[end];
        let opening = peer.channel.as_ref().unwrap().opening();
        let selector = Selector::parse(&opening.selector).unwrap();
        let extensions = extensions(Some(message));
        let order = Order { root: opening.root, selector, priority: 0, extensions, limits: Limits::DEFAULT };
        let held = Held::of(&order, &peer.store).unwrap();
        let pull = Pull::new(order);
        let request = pull.request(id, held, &peer.store).unwrap();
        peer.pull = Some(pull);
        self.send(end, &graphsync::Message { requests: vec![request], ..Default::default() });
    }

    fn step(&mut self) -> bool {
        match self.carried.pop_front() {
            Some((end, Carried::Alone(bytes))) => self.hear(end, Message::decode(&bytes).unwrap()),
            Some((end, Carried::Graphsync(bytes))) => {
                let message = graphsync::Message::decode(self.version, &bytes).unwrap();
                self.carry(end, message);
            }
            None => return self.answer(INITIATOR) || self.answer(RESPONDER),
        }
        true
    }

    fn hear(&mut self, end: usize, message: Message) {
        match (message, &self.peers[end].channel) {
            (Message::Request(request), None) => {
                use crate::wire::data_transfer::RequestKind::{New, Restart};
                let (New(opening) | Restart(opening)) = request.kind else { panic!() };
                let (channel, effects) = Channel::answer(id(), *opening, &self.says);
                self.peers[end].channel = Some(channel);
                self.act(end, effects);
            }
            (message, _) => self.take(end, Event::Message(message)),
        }
    }

    fn carry(&mut self, end: usize, message: graphsync::Message) {
        for request in message.requests {
            let peer = &mut self.peers[end];
            let admit =
                ByChannel { channel: RefCell::new(&mut peer.channel), says: &self.says, effects: RefCell::default() };
            peer.responder.take(request, &admit);
            let effects = admit.effects.into_inner();
            self.act(end, effects);
        }
        for response in message.responses {
            if let Some(said) = self::message(&response.extensions) {
                self.hear(end, said);
            }
            let peer = &mut self.peers[end];
            let Some(pull) = &mut peer.pull else { continue };
            let before = pull.progress().bytes;
            let turn = pull.take(response, message.blocks.clone(), &peer.store);
            let came = pull.progress().bytes - before;
            self.take(end, Event::Received(came));
            match turn {
                Ok(Turn::Done) => {
                    self.peers[end].pull = None;
                    self.take(end, Event::Finished);
                }
                Ok(_) => {}
                Err(error) => self.take(end, Event::Failed(error.to_string())),
            }
        }
    }

    /// One message of graphsync, if there is one to send.
    fn answer(&mut self, end: usize) -> bool {
        let peer = &mut self.peers[end];
        let Some(message) = peer.responder.next_message(&peer.store) else { return false };
        let bytes = message.blocks.iter().map(|block| block.bytes().len() as u64).sum();
        self.sent += message.blocks.len() as u64;
        self.send(end, &message);
        self.take(end, Event::Queued(bytes));
        self.take(end, Event::Sent(bytes));
        if message.responses.iter().any(|response| response.status.is_success()) {
            self.take(end, Event::Finished);
        }
        true
    }

    fn cut(&mut self) {
        self.carried.clear();
        for end in [INITIATOR, RESPONDER] {
            let peer = &mut self.peers[end];
            peer.responder = responder();
            if let Some(pull) = &mut peer.pull.take() {
                pull.keep(&peer.store).unwrap();
            }
            if peer.channel.is_some() {
                self.take(end, Event::Cut);
            }
        }
    }

    fn statuses(&self) -> [Option<Status>; 2] {
        [INITIATOR, RESPONDER].map(|end| self.peers[end].channel.as_ref().map(Channel::status))
    }

    fn receiver(&self) -> &Peer {
        let is_receiver = |peer: &&Peer| peer.channel.as_ref().is_some_and(Channel::is_receiver);
        self.peers.iter().find(is_receiver).unwrap()
    }

    fn assert_complete(&self) {
        assert_eq!(self.statuses(), [Some(Status::Completed); 2]);
        let receiver = self.receiver();
        let root = receiver.channel.as_ref().unwrap().opening().root;
        assert!(Held::of(&Order::everything(root), &receiver.store).unwrap().is_all);
    }
}

const VERSIONS: [graphsync::Version; 2] = graphsync::Version::ALL;

#[test]
fn channels_ride_in_graphsync() {
    for version in VERSIONS {
        for is_pull in [true, false] {
            let mut net = Net::open(is_pull, version, says_yes());
            while net.step() {}
            net.assert_complete();
            assert_eq!(net.sent, u64::from(LEAVES) + 1);
            let [one, other] = &net.peers;
            let [one, other] = [one, other].map(|peer| peer.channel.as_ref().unwrap().progress());
            assert_eq!(one.received + other.received, one.sent + other.sent);
            assert!(one.sent + other.sent > u64::from(LEAVES) * 70);
        }
    }
}

#[test]
fn a_channel_that_is_refused_carries_nothing() {
    for version in VERSIONS {
        for is_pull in [true, false] {
            let mut net = Net::open(is_pull, version, Says { open: Decision::refuse(None), voucher: None });
            while net.step() {}
            assert_eq!((net.statuses(), net.sent), ([Some(Status::Failed); 2], 0));
        }
    }
}

#[test]
fn a_channel_goes_on_wherever_it_was_cut() {
    for version in VERSIONS {
        for is_pull in [true, false] {
            let (mut cuts, mut is_whole, mut lost) = (0, false, 0);
            while !is_whole {
                let mut net = Net::open(is_pull, version, says_yes());
                for _ in 0..cuts {
                    is_whole |= !net.step();
                }
                lost += u64::from(net.statuses() == [Some(Status::Ongoing), Some(Status::Completed)]);
                net.cut();
                net.take(INITIATOR, Event::Restart);
                while net.step() {}
                net.assert_complete();
                cuts += 1;
            }
            assert!(cuts > 9, "{cuts}");
            // The last blocks of a pull were lost after its responder was done.
            assert_eq!(lost > 0, is_pull);
        }
    }
}

/// Nobody gets anything but what was agreed on.
#[test]
fn a_graphsync_request_for_something_else_is_not_for_a_channel() {
    let (channel, _) = Channel::open(id(), opening(false));
    let asked = |root, selector| Asked { id: RequestId::Number(1), root, selector, extensions: Extensions::new() };
    let root = channel.opening().root;
    assert!(channel.is_for(&asked(root, Selector::everything())));
    assert!(!channel.is_for(&asked(root, Selector::everything_to(7))));
    let other = put(&MemoryStore::default(), Codec::Raw, vec![1]);
    assert!(!channel.is_for(&asked(other, Selector::everything())));
}
