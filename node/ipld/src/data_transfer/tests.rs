//! Whole exchanges of two channels with each other, over a graphsync that only counts blocks.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::Ipld;
use crate::block::Block;
use crate::codec::Codec;
use crate::hash::HashKind;
use crate::selector::Selector;
use crate::wire::data_transfer::{Request, RequestKind, Response, ResponseKind, Version};

const BLOCK: u64 = 10;
const BLOCKS: u64 = 8;
const INITIATOR: usize = 0;
const RESPONDER: usize = 1;

fn typed(name: &str) -> Typed {
    Typed { name: name.to_owned(), value: Ipld::Integer(7) }
}

fn opening(is_pull: bool) -> Opening {
    let root = *Block::new(HashKind::Sha256, Codec::Raw, b"hello".to_vec()).unwrap().cid();
    Opening { root, selector: Selector::everything().to_ipld(), is_pull, voucher: Some(typed("Fake/1")) }
}

fn id() -> ChannelId {
    ChannelId { initiator: vec![0, 0xff], responder: vec![1, 0xff], id: 7 }
}

/// Says the same of everything.
#[derive(Clone, Default)]
struct Says {
    open: Decision,
    voucher: Option<Decision>,
}

impl Validate for Says {
    fn open(&self, _id: &ChannelId, _opening: &Opening) -> Decision {
        self.open.clone()
    }

    fn voucher(&self, _channel: &Channel, _voucher: &Typed) -> Option<Decision> {
        self.voucher.clone()
    }
}

fn says_yes() -> Says {
    Says { open: Decision::accept(), voucher: None }
}

/// A graphsync request.
#[derive(Debug, Default)]
struct Transfer {
    is_served: bool,
    is_paused: [bool; 2],
}

/// Two peers with a channel.
struct Pair {
    ends: [Option<Channel>; 2],
    says: Says,
    /// Messages on their way, and to which end.
    messages: VecDeque<(usize, Message)>,
    transfer: Option<Transfer>,
    /// Blocks that the receiver has.
    held: u64,
    restarts: u64,
    news: [Vec<News>; 2],
}

impl Pair {
    fn open(is_pull: bool, says: Says) -> Self {
        let (channel, effects) = Channel::open(id(), opening(is_pull));
        let mut pair = Self {
            ends: [Some(channel), None],
            says,
            messages: VecDeque::new(),
            transfer: None,
            held: 0,
            restarts: 0,
            news: [Vec::new(), Vec::new()],
        };
        pair.act(INITIATOR, effects);
        pair
    }

    fn end(&self, end: usize) -> &Channel {
        self.ends[end].as_ref().unwrap()
    }

    fn statuses(&self) -> [Status; 2] {
        [self.end(INITIATOR).status(), self.end(RESPONDER).status()]
    }

    fn take(&mut self, end: usize, event: Event) {
        let channel = self.ends[end].as_mut().unwrap();
        let effects = channel.take(event, &self.says).unwrap();
        self.act(end, effects);
    }

    fn act(&mut self, end: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.messages.push_back((1 - end, message)),
                Effect::Ask { message, is_restart } => {
                    self.transfer = Some(Transfer::default());
                    self.restarts += u64::from(is_restart);
                    self.messages.push_back((1 - end, message));
                }
                Effect::Serve { message, is_paused } => {
                    let transfer = self.transfer.as_mut().unwrap();
                    transfer.is_served = true;
                    transfer.is_paused[end] = is_paused;
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

    fn set_paused(&mut self, end: usize, is_paused: bool) {
        if let Some(transfer) = &mut self.transfer {
            transfer.is_paused[end] = is_paused;
        }
    }

    /// Delivers a message, as bytes.
    fn deliver(&mut self, end: usize, message: Message) {
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
    fn step(&mut self) -> bool {
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

    fn settle(&mut self) {
        while self.step() {}
    }

    fn steps_until_held(&mut self, blocks: u64) {
        while self.held < blocks && self.step() {}
    }

    fn cut(&mut self) {
        self.transfer = None;
        self.messages.clear();
        for end in [INITIATOR, RESPONDER] {
            if self.ends[end].is_some() {
                self.take(end, Event::Cut);
            }
        }
    }

    fn assert_complete(&self) {
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

#[test]
fn a_pull_and_a_push_run_to_their_ends() {
    for is_pull in [true, false] {
        let mut pair = Pair::open(is_pull, says_yes());
        assert_eq!(pair.end(INITIATOR).status(), Status::Requested);
        assert_eq!(pair.end(INITIATOR).is_receiver(), is_pull);
        pair.steps_until_held(1);
        assert_eq!(pair.statuses(), [Status::Ongoing; 2]);
        pair.settle();
        pair.assert_complete();
        assert_eq!(pair.news, [[News::Accepted, News::Completed], [News::Accepted, News::Completed]]);
        assert_eq!(pair.end(RESPONDER).vouchers(), [typed("Fake/1")]);
        assert_eq!(pair.restarts, 0);
    }
}

/// Who gets the data asks by graphsync, with what it has to say.
#[test]
fn a_push_is_accepted_with_the_graphsync_request_of_its_responder() {
    let (_, effects) = Channel::open(id(), opening(false));
    let [Effect::Send(Message::Request(Request { id: 7, kind: RequestKind::New(new) }))] = &effects[..] else {
        panic!("{effects:?}");
    };
    let (_, effects) = Channel::answer(id(), (**new).clone(), &says_yes());
    let accepted = Message::Response(Response { id: 7, kind: ResponseKind::New(Decision::accept().verdict) });
    let ask = Effect::Ask { message: accepted, is_restart: false };
    assert_eq!(effects, [ask, Effect::Tell(News::Accepted)]);
}

#[test]
fn what_a_responder_refuses_has_failed_at_both_ends() {
    for is_pull in [true, false] {
        let mut pair = Pair::open(is_pull, Says { open: Decision::refuse(Some(typed("No/1"))), voucher: None });
        pair.settle();
        assert_eq!(pair.statuses(), [Status::Failed; 2]);
        assert_eq!((pair.held, pair.transfer.is_none()), (0, true));
        assert_eq!(pair.news, [vec![News::Result, News::Refused], vec![News::Refused]]);
        assert_eq!(pair.end(INITIATOR).results(), [typed("No/1")]);
    }
}

#[test]
fn either_end_makes_the_transfer_wait() {
    for is_pull in [true, false] {
        for end in [INITIATOR, RESPONDER] {
            let mut pair = Pair::open(is_pull, says_yes());
            pair.steps_until_held(3);
            pair.take(end, Event::Pause);
            pair.take(end, Event::Pause);
            pair.settle();
            let status = [Status::InitiatorPaused, Status::ResponderPaused][end];
            assert_eq!((pair.held, pair.statuses()), (3, [status; 2]));
            pair.take(1 - end, Event::Pause);
            pair.settle();
            assert_eq!(pair.statuses(), [Status::BothPaused; 2]);
            pair.take(end, Event::Resume);
            pair.settle();
            assert_eq!((pair.held, pair.statuses()[0].code()), (3, [12, 11][end]));
            pair.take(1 - end, Event::Resume);
            pair.settle();
            pair.assert_complete();
            assert!(pair.news[1 - end].contains(&News::OtherPaused(true)));
        }
    }
}

#[test]
fn a_responder_may_begin_later() {
    for is_pull in [true, false] {
        let mut pair = Pair::open(is_pull, Says { open: Decision::pause(None), voucher: None });
        pair.settle();
        assert_eq!((pair.held, pair.statuses()), (0, [Status::ResponderPaused; 2]));
        pair.take(RESPONDER, Event::Decide(Decision::accept()));
        pair.settle();
        pair.assert_complete();
    }
}

#[test]
fn vouchers_go_over_while_the_transfer_waits() {
    let mut pair = Pair::open(true, says_yes());
    pair.steps_until_held(2);
    pair.take(RESPONDER, Event::Decide(Decision::pause(Some(typed("Pay/1")))));
    pair.settle();
    assert_eq!((pair.held, pair.statuses()), (2, [Status::ResponderPaused; 2]));
    assert_eq!(pair.end(INITIATOR).results(), [typed("Pay/1")]);
    pair.says.voucher = Some(Decision::accept());
    pair.take(INITIATOR, Event::Voucher(typed("Paid/1")));
    pair.settle();
    pair.assert_complete();
    assert_eq!(pair.end(RESPONDER).vouchers(), [typed("Fake/1"), typed("Paid/1")]);

    let mut pair = Pair::open(true, Says { voucher: Some(Decision::refuse(None)), ..says_yes() });
    pair.steps_until_held(2);
    pair.take(INITIATOR, Event::Voucher(typed("False/1")));
    pair.settle();
    assert_eq!(pair.statuses(), [Status::Failed; 2]);
}

#[test]
fn a_responder_may_want_a_last_voucher() {
    for is_pull in [true, false] {
        let open = Decision { needs_last_voucher: true, ..Decision::accept() };
        let mut pair = Pair::open(is_pull, Says { open: open.clone(), voucher: Some(open) });
        pair.settle();
        let waits = [Status::ResponderFinalizingTransferFinished, Status::Finalizing];
        assert_eq!((pair.held, pair.statuses()), (BLOCKS, waits));
        assert_eq!(pair.news[INITIATOR].last(), Some(&News::LastVoucher));
        // It is not enough.
        pair.take(INITIATOR, Event::Voucher(typed("Paid/1")));
        pair.settle();
        assert_eq!(pair.statuses(), waits);
        pair.says.voucher = Some(Decision::accept());
        pair.take(INITIATOR, Event::Voucher(typed("Paid/2")));
        pair.settle();
        pair.assert_complete();
    }
}

#[test]
fn either_end_gives_up() {
    for is_pull in [true, false] {
        for end in [INITIATOR, RESPONDER] {
            let mut pair = Pair::open(is_pull, says_yes());
            pair.steps_until_held(3);
            pair.take(end, Event::Cancel);
            pair.settle();
            assert_eq!((pair.held, pair.statuses()), (3, [Status::Cancelled; 2]));
            assert!(pair.transfer.is_none());

            let mut pair = Pair::open(is_pull, says_yes());
            pair.steps_until_held(3);
            pair.take(end, Event::Failed("no space".to_owned()));
            pair.settle();
            assert_eq!(pair.end(end).status(), Status::Failed);
            assert_eq!(pair.end(1 - end).status(), Status::Cancelled);
        }
    }
}

#[test]
fn after_a_cut_either_end_restarts_and_nothing_comes_twice() {
    for is_pull in [true, false] {
        for end in [INITIATOR, RESPONDER] {
            for held in 1..=BLOCKS {
                let mut pair = Pair::open(is_pull, says_yes());
                pair.steps_until_held(held);
                pair.cut();
                pair.settle();
                assert_eq!((pair.held, pair.news[end].last()), (held, Some(&News::Cut)));
                pair.take(end, Event::Restart);
                pair.settle();
                pair.assert_complete();
                assert_eq!(pair.restarts, 1);
            }
        }
    }
}

#[test]
fn who_missed_the_end_is_told_when_it_restarts() {
    for is_pull in [true, false] {
        let mut pair = Pair::open(is_pull, says_yes());
        while pair.ends[RESPONDER].as_ref().is_none_or(|end| !end.status().is_final()) {
            assert!(pair.step());
        }
        pair.cut();
        assert_eq!(pair.statuses(), [Status::TransferFinished, Status::Completed]);
        pair.take(INITIATOR, Event::Restart);
        pair.settle();
        pair.assert_complete();

        let mut pair = Pair::open(is_pull, says_yes());
        pair.steps_until_held(2);
        pair.take(RESPONDER, Event::Cancel);
        pair.cut();
        pair.take(INITIATOR, Event::Restart);
        pair.settle();
        assert_eq!(pair.statuses(), [Status::Cancelled; 2]);
    }
}

#[test]
fn a_restart_is_of_the_same_dag_for_the_same_reason() {
    let mut pair = Pair::open(true, says_yes());
    pair.steps_until_held(2);
    let before = pair.end(RESPONDER).clone();
    let other = Opening { voucher: Some(typed("Other/1")), ..opening(true) };
    let restart = Message::Request(Request { id: 7, kind: RequestKind::Restart(Box::new(other)) });
    let effects = pair.ends[RESPONDER].as_mut().unwrap().take(Event::Message(restart), &says_yes()).unwrap();
    let refused = Message::Response(Response { id: 7, kind: ResponseKind::Restart(Default::default()) });
    assert_eq!(effects, [Effect::Refuse(refused)]);
    assert_eq!(*pair.end(RESPONDER), before);
}

#[test]
fn what_an_end_cannot_take_leaves_it_as_it_was() {
    let (initiator, _) = Channel::open(id(), opening(true));
    let (responder, _) = Channel::answer(id(), opening(true), &says_yes());
    let request = |id, kind| Event::Message(Message::Request(Request { id, kind }));
    let response = |id, kind| Event::Message(Message::Response(Response { id, kind }));
    let other = ChannelId { id: 8, ..id() };
    for (channel, event, what) in [
        (&initiator, request(7, RequestKind::Cancel), "a request is not for the Initiator of a channel"),
        (&initiator, response(8, ResponseKind::Cancel), "a message of another channel"),
        (&initiator, request(0, RequestKind::PleaseRestart(other)), "a message of another channel"),
        (&initiator, Event::Decide(Decision::accept()), "a decision is not for the Initiator of a channel"),
        (&responder, response(7, ResponseKind::Cancel), "a response is not for the Responder of a channel"),
        (&responder, request(8, RequestKind::Cancel), "a message of another channel"),
        (
            &responder,
            request(7, RequestKind::New(Box::new(opening(true)))),
            "a channel that is there already is opened",
        ),
        (&responder, request(0, RequestKind::PleaseRestart(id())), "is not for the Responder"),
        (&responder, Event::Voucher(typed("Fake/1")), "is not for the Responder"),
    ] {
        let mut taken = channel.clone();
        let error = taken.take(event, &says_yes()).unwrap_err().to_string();
        assert!(error.contains(what), "{error} for {what}");
        assert_eq!(taken, *channel);
    }
}

#[test]
fn vouchers_are_bounded() {
    let (mut channel, _) = Channel::answer(id(), opening(true), &says_yes());
    let voucher = || Event::Message(Message::Request(Request { id: 7, kind: RequestKind::Voucher(typed("Fake/1")) }));
    for _ in 1..MAX_VOUCHERS {
        channel.take(voucher(), &says_yes()).unwrap();
    }
    assert_eq!(channel.take(voucher(), &says_yes()), Err(ChannelError::TooMany));
}

fn decisions() -> impl Strategy<Value = Decision> {
    let result = prop::option::of(Just(typed("Result/1")));
    (any::<bool>(), any::<bool>(), any::<bool>(), result).prop_map(|(is_accepted, is_paused, last, result)| Decision {
        verdict: Verdict { is_accepted, is_paused, result },
        needs_last_voucher: last,
    })
}

fn events() -> impl Strategy<Value = Event> {
    let ids = prop_oneof![9 => Just(7_u64), 1 => Just(8)];
    let requests = prop_oneof![
        any::<bool>().prop_map(|is_pull| RequestKind::New(Box::new(opening(is_pull)))),
        any::<bool>().prop_map(|is_pull| RequestKind::Restart(Box::new(opening(is_pull)))),
        any::<bool>().prop_map(|is_paused| RequestKind::Update { is_paused }),
        Just(RequestKind::Cancel),
        Just(RequestKind::Voucher(typed("Fake/1"))),
        Just(RequestKind::PleaseRestart(id())),
    ];
    let responses = prop_oneof![
        decisions().prop_map(|decision| ResponseKind::New(decision.verdict)),
        decisions().prop_map(|decision| ResponseKind::Restart(decision.verdict)),
        decisions().prop_map(|decision| ResponseKind::Voucher(decision.verdict)),
        decisions().prop_map(|decision| ResponseKind::Complete(decision.verdict)),
        any::<bool>().prop_map(|is_paused| ResponseKind::Update { is_paused }),
        Just(ResponseKind::Cancel),
    ];
    prop_oneof![
        4 => (ids.clone(), requests).prop_map(|(id, kind)| Event::Message(Message::Request(Request { id, kind }))),
        4 => (ids, responses).prop_map(|(id, kind)| Event::Message(Message::Response(Response { id, kind }))),
        1 => Just(Event::Pause),
        1 => Just(Event::Resume),
        1 => Just(Event::Cancel),
        1 => Just(Event::Restart),
        1 => Just(Event::Voucher(typed("Fake/1"))),
        1 => decisions().prop_map(Event::Decide),
        1 => any::<u64>().prop_map(Event::Queued),
        1 => any::<u64>().prop_map(Event::Sent),
        1 => any::<u64>().prop_map(Event::Received),
        2 => Just(Event::Finished),
        1 => Just(Event::Cut),
        1 => Just(Event::Failed("x".to_owned())),
    ]
}

/// What the owners of both ends, and the net between them, may do.
#[derive(Clone, Copy, Debug)]
enum Chance {
    Steps(u8),
    Pause(usize),
    Resume(usize),
    Cut,
    Restart(usize),
}

fn chances() -> impl Strategy<Value = Chance> {
    prop_oneof![
        6 => (1..6_u8).prop_map(Chance::Steps),
        1 => (0..2_usize).prop_map(Chance::Pause),
        1 => (0..2_usize).prop_map(Chance::Resume),
        1 => Just(Chance::Cut),
        2 => (0..2_usize).prop_map(Chance::Restart),
    ]
}

proptest! {
    #[test]
    fn any_events_never_panic_and_an_end_is_final(
        is_pull: bool,
        is_initiator: bool,
        open in decisions(),
        voucher in prop::option::of(decisions()),
        events in prop::collection::vec(events(), 0..40),
    ) {
        let says = Says { open, voucher };
        let (mut channel, _) = if is_initiator {
            Channel::open(id(), opening(is_pull))
        } else {
            Channel::answer(id(), opening(is_pull), &says)
        };
        for event in events {
            let before = channel.clone();
            let taken = channel.take(event, &says);
            if before.status().is_final() {
                prop_assert_eq!(channel.status(), before.status());
                let told = taken.iter().flatten().any(|effect| matches!(effect, Effect::Tell(_) | Effect::Ask { .. }));
                prop_assert!(!told);
            }
            if taken.is_err() {
                prop_assert_eq!(&channel, &before);
            }
            // Whoever waits hears of the end, once.
            let ends = [News::Completed, News::Refused, News::Cancelled, News::Failed("x".to_owned())];
            let is_told = |effect: &Effect| matches!(effect, Effect::Tell(news) if ends.contains(news));
            let told = taken.iter().flatten().filter(|effect| is_told(effect)).count();
            let ended = channel.status().is_final() && !before.status().is_final();
            prop_assert_eq!(told, usize::from(ended));
        }
    }

    #[test]
    fn whatever_is_paused_and_cut_completes_in_the_end(
        is_pull: bool,
        chances in prop::collection::vec(chances(), 0..40),
    ) {
        let mut pair = Pair::open(is_pull, says_yes());
        for chance in chances {
            match chance {
                Chance::Steps(steps) => (0..steps).for_each(|_| {
                    pair.step();
                }),
                Chance::Cut => pair.cut(),
                Chance::Pause(end) | Chance::Resume(end) | Chance::Restart(end) if pair.ends[end].is_none() => {}
                Chance::Pause(end) => pair.take(end, Event::Pause),
                Chance::Resume(end) => pair.take(end, Event::Resume),
                Chance::Restart(end) => pair.take(end, Event::Restart),
            }
        }
        for end in [INITIATOR, RESPONDER] {
            if pair.ends[end].is_some() {
                pair.take(end, Event::Resume);
            }
        }
        pair.cut();
        pair.take(INITIATOR, Event::Restart);
        pair.settle();
        pair.assert_complete();
    }
}
