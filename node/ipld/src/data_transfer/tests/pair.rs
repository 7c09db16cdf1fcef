//! Two ends of a channel, and a graphsync between them that only counts blocks.

use std::collections::VecDeque;

use crate::Ipld;
use crate::block::Block;
use crate::codec::Codec;
use crate::data_transfer::*;
use crate::hash::HashKind;
use crate::selector::Selector;
use crate::wire::data_transfer::{Request, RequestKind, Version};

pub(super) const BLOCK: u64 = 10;
pub(super) const BLOCKS: u64 = 8;
pub(super) const INITIATOR: usize = 0;
pub(super) const RESPONDER: usize = 1;

pub(super) fn typed(name: &str) -> Typed {
    Typed { name: name.to_owned(), value: Ipld::Integer(7) }
}

pub(super) fn opening(is_pull: bool) -> Opening {
    let root = *Block::new(HashKind::Sha256, Codec::Raw, b"hello".to_vec()).unwrap().cid();
    Opening { root, selector: Selector::everything().to_ipld(), is_pull, voucher: Some(typed("Fake/1")) }
}

pub(super) fn id() -> ChannelId {
    ChannelId { initiator: vec![0, 0xff], responder: vec![1, 0xff], id: 7 }
}

/// Says the same of everything.
#[derive(Clone, Default)]
pub(super) struct Says {
    pub(super) open: Decision,
    pub(super) voucher: Option<Decision>,
}

impl Validate for Says {
    fn open(&self, _id: &ChannelId, _opening: &Opening) -> Decision {
        self.open.clone()
    }

    fn voucher(&self, _channel: &Channel, _voucher: &Typed) -> Option<Decision> {
        self.voucher.clone()
    }
}

pub(super) fn says_yes() -> Says {
    Says { open: Decision::accept(), voucher: None }
}

/// A graphsync request.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    pub(super) is_served: bool,
    pub(super) is_paused: [bool; 2],
}

/// Two peers with a channel.
pub(super) struct Pair {
    pub(super) ends: [Option<Channel>; 2],
    pub(super) says: Says,
    /// Messages on their way, and to which end.
    pub(super) messages: VecDeque<(usize, Message)>,
    pub(super) transfer: Option<Transfer>,
    /// Blocks that the receiver has.
    pub(super) held: u64,
    pub(super) asks: u64,
    pub(super) news: [Vec<News>; 2],
}

impl Pair {
    pub(super) fn open(is_pull: bool, says: Says) -> Self {
        let (channel, effects) = Channel::open(id(), opening(is_pull));
        let mut pair = Self {
            ends: [Some(channel), None],
            says,
            messages: VecDeque::new(),
            transfer: None,
            held: 0,
            asks: 0,
            news: [Vec::new(), Vec::new()],
        };
        pair.act(INITIATOR, effects);
        pair
    }

    pub(super) fn end(&self, end: usize) -> &Channel {
        self.ends[end].as_ref().unwrap()
    }

    pub(super) fn statuses(&self) -> [Status; 2] {
        [self.end(INITIATOR).status(), self.end(RESPONDER).status()]
    }

    pub(super) fn take(&mut self, end: usize, event: Event) {
        let channel = self.ends[end].as_mut().unwrap();
        let effects = channel.take(event, &self.says).unwrap();
        self.act(end, effects);
    }

    pub(super) fn act(&mut self, end: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.messages.push_back((1 - end, message)),
                Effect::Ask(message) => {
                    self.transfer = Some(Transfer::default());
                    self.asks += 1;
                    self.messages.push_back((1 - end, message));
                }
                Effect::Serve { message, is_paused } => {
                    // Who only says that it agrees asks for nothing yet.
                    if let Some(transfer) = &mut self.transfer {
                        transfer.is_served = true;
                        transfer.is_paused[end] = is_paused;
                    }
                    self.messages.extend(message.map(|message| (1 - end, message)));
                }
                Effect::Refuse(message) => {
                    self.transfer = None;
                    self.messages.push_back((1 - end, message));
                }
                Effect::Pause => self.set_paused(end, true),
                Effect::Resume => self.set_paused(end, false),
                Effect::Stop => self.transfer = None,
                Effect::Tell(news) => self.news[end].push(news),
            }
        }
    }

    pub(super) fn set_paused(&mut self, end: usize, is_paused: bool) {
        if let Some(transfer) = &mut self.transfer {
            transfer.is_paused[end] = is_paused;
        }
    }

    /// Delivers a message, as bytes.
    pub(super) fn deliver(&mut self, end: usize, message: Message) {
        let message = Message::decode(&message.encode(Version::V1_1).unwrap()).unwrap();
        match message {
            Message::Request(Request { kind: RequestKind::New(opening) | RequestKind::Restart(opening), .. })
                if self.ends[end].is_none() =>
            {
                let (channel, effects) = Channel::answer(id(), *opening, &self.says);
                self.ends[end] = Some(channel);
                self.act(end, effects);
            }
            message if self.ends[end].is_some() => self.take(end, Event::Message(message)),
            // Of a channel that nobody here knows.
            _ => {}
        }
    }

    /// One message, or one block; whether there was one.
    pub(super) fn step(&mut self) -> bool {
        if let Some((end, message)) = self.messages.pop_front() {
            self.deliver(end, message);
            return true;
        }
        let runs = |transfer: &Transfer| transfer.is_served && transfer.is_paused == [false; 2];
        if !self.transfer.as_ref().is_some_and(runs) {
            return false;
        }
        let receiver = if self.end(INITIATOR).is_receiver() { INITIATOR } else { RESPONDER };
        if self.held < BLOCKS {
            self.held += 1;
            self.take(1 - receiver, Event::Queued(BLOCK));
            self.take(1 - receiver, Event::Sent(BLOCK));
            self.take(receiver, Event::Received(BLOCK));
        } else {
            self.transfer = None;
            self.take(INITIATOR, Event::Finished);
            self.take(RESPONDER, Event::Finished);
        }
        true
    }

    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    pub(super) fn steps_until_held(&mut self, blocks: u64) {
        while self.held < blocks && self.step() {}
    }

    pub(super) fn cut(&mut self) {
        self.transfer = None;
        self.messages.clear();
        for end in [INITIATOR, RESPONDER] {
            if self.ends[end].is_some() {
                self.take(end, Event::Cut);
            }
        }
    }

    pub(super) fn assert_complete(&self) {
        assert_eq!(self.statuses(), [Status::Completed; 2]);
        assert_eq!(self.held, BLOCKS);
        let all = BLOCK * BLOCKS;
        for end in self.ends.iter().flatten() {
            let expected = if end.is_receiver() {
                Progress { received: all, ..Progress::default() }
            } else {
                Progress { queued: all, sent: all, received: 0 }
            };
            assert_eq!(end.progress(), expected);
        }
        for news in &self.news {
            assert_eq!(news.last(), Some(&News::Completed));
        }
    }
}
