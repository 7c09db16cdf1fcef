//! Any events, and any cuts.

use proptest::prelude::*;

use super::pair::*;
use crate::data_transfer::*;
use crate::wire::data_transfer::{Request, RequestKind, Response, ResponseKind};

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
            let saved = Channel::from_bytes(&channel.to_bytes());
            prop_assert_eq!(saved.as_ref(), Ok(&channel));
            // Whoever waits hears of the end, once.
            let ends = [News::Completed, News::Refused, News::Cancelled, News::Failed("x".to_owned())];
            let is_told = |effect: &Effect| matches!(effect, Effect::Tell(news) if ends.contains(news));
            let told = taken.iter().flatten().filter(|effect| is_told(effect)).count();
            let ended = channel.status().is_final() && !before.status().is_final();
            prop_assert_eq!(told, usize::from(ended));
        }
    }

    #[test]
    fn any_bytes_are_a_channel_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), place: prop::sample::Index) {
        let _ = Channel::from_bytes(&bytes);
        let (channel, _) = Channel::open(id(), opening(true));
        let mut saved = channel.to_bytes();
        let place = place.index(saved.len());
        prop_assert!(Channel::from_bytes(&saved[..place]).is_err());
        saved[place] ^= bytes.first().copied().unwrap_or(1);
        let _ = Channel::from_bytes(&saved);
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
