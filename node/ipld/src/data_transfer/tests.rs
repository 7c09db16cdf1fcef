//! Whole exchanges of two channels with each other.

use super::*;
use crate::Ipld;
use crate::wire::data_transfer::{Request, RequestKind, Response, ResponseKind};

mod any;
mod carried;
mod pair;

use pair::*;

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
        assert_eq!(pair.asks, 1);
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
    let ask = Effect::Ask(accepted);
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

/// A message by itself may come before one that was said earlier, with graphsync.
#[test]
fn who_says_that_it_waits_before_it_is_heard_to_agree_waits() {
    let (mut channel, _) = Channel::open(id(), opening(true));
    for kind in [ResponseKind::Update { is_paused: true }, ResponseKind::New(Decision::accept().verdict)] {
        channel.take(Event::Message(Message::Response(Response { id: 7, kind })), &says_yes()).unwrap();
        assert_eq!(channel.status(), Status::ResponderPaused);
    }
    let kind = ResponseKind::Restart(Decision::accept().verdict);
    channel.take(Event::Message(Message::Response(Response { id: 7, kind })), &says_yes()).unwrap();
    assert_eq!(channel.status(), Status::Ongoing);
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
                assert_eq!(pair.asks, 2);
            }
        }
    }
}

#[test]
fn who_waits_still_waits_after_a_restart() {
    for is_pull in [true, false] {
        for (end, held) in [(INITIATOR, 0), (INITIATOR, 2), (RESPONDER, 2)] {
            let mut pair = Pair::open(is_pull, says_yes());
            pair.steps_until_held(held);
            pair.take(end, Event::Pause);
            pair.settle();
            pair.cut();
            pair.take(INITIATOR, Event::Restart);
            pair.settle();
            assert_eq!((pair.held, pair.end(end).status().code()), (held, [11, 12][end]));
            pair.take(end, Event::Resume);
            pair.settle();
            pair.assert_complete();
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

/// Before the end of graphsync, or without it: who sends needs no more than the word of who receives.
#[test]
fn a_responder_may_be_done_before_its_initiator() {
    for (is_pull, then) in [(true, Status::ResponderCompleted), (false, Status::Completed)] {
        let (mut channel, _) = Channel::open(id(), opening(is_pull));
        let verdict = || Decision::accept().verdict;
        for kind in [ResponseKind::New(verdict()), ResponseKind::Complete(verdict())] {
            let message = Message::Response(Response { id: 7, kind });
            channel.take(Event::Message(message), &says_yes()).unwrap();
        }
        assert_eq!(channel.status(), then);
        channel.take(Event::Finished, &says_yes()).unwrap();
        assert_eq!(channel.status(), Status::Completed);
    }
}

#[test]
fn a_channel_that_waits_for_a_last_voucher_is_restarted_too() {
    for is_pull in [true, false] {
        let open = Decision { needs_last_voucher: true, ..Decision::accept() };
        let mut pair = Pair::open(is_pull, Says { open, voucher: Some(Decision::accept()) });
        pair.settle();
        pair.cut();
        pair.take(RESPONDER, Event::Restart);
        while pair.news[RESPONDER].last() != Some(&News::Restarted) {
            assert!(pair.step());
        }
        assert_eq!(pair.end(RESPONDER).status(), Status::Ongoing);
        pair.settle();
        let waits = [Status::ResponderFinalizingTransferFinished, Status::Finalizing];
        assert_eq!(pair.statuses(), waits);
        pair.take(INITIATOR, Event::Voucher(typed("Paid/1")));
        pair.settle();
        pair.assert_complete();
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

    let long = |bytes| Typed { name: "Fake/1".to_owned(), value: Ipld::Bytes(vec![0; bytes]) };
    let (mut channel, _) = Channel::open(id(), Opening { voucher: Some(long(MAX_VOUCHER_BYTES)), ..opening(true) });
    channel.take(Event::Voucher(long(MAX_VOUCHER_BYTES - 20)), &says_yes()).unwrap();
    assert_eq!(channel.take(Event::Voucher(long(20)), &says_yes()), Err(ChannelError::TooMany));
}
