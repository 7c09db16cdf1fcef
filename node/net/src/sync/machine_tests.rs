use filecash_chain::Object;

use super::*;

fn peer(number: u8) -> PeerId {
    let key = libp2p::identity::Keypair::ed25519_from_bytes([number + 1; 32]).unwrap();
    key.public().to_peer_id()
}

fn target(name: u64, height: i64) -> Target {
    Target { key: vec![name.cid()], height, weight: Amount::from(1000 + 10 * height.unsigned_abs()) }
}

fn ours() -> Target {
    target(0, 10)
}

fn claim(machine: &mut Machine, number: u8, target: Target) -> Option<Order> {
    machine.step(Event::Claimed { peer: peer(number), target }, &ours())
}

fn done(machine: &mut Machine, outcome: Result<Standing, Failure>) -> Option<Order> {
    machine.step(Event::Done(outcome), &ours())
}

fn headers(number: u8, length: u64) -> Option<Order> {
    Some(Order::Headers { peer: peer(number), length })
}

#[test]
fn headers_are_asked_for_and_then_messages() {
    let mut machine = Machine::default();
    assert_eq!(claim(&mut machine, 1, target(1, 100)), Some(Order::Begin { target: target(1, 100) }));
    assert_eq!(machine.target(), Some(&target(1, 100)));
    // As much as the claim is ahead and some, then more at a time, and not further down than there is.
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 101 })), headers(1, 94));
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 90 })), headers(1, 90));
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 5 })), headers(1, 5));
    let messages = Some(Order::Messages { peer: peer(1) });
    assert_eq!(done(&mut machine, Ok(Standing::Up { height: 3, lacking: 7 })), messages);
    assert_eq!(done(&mut machine, Ok(Standing::Up { height: 3, lacking: 2 })), messages);
    assert_eq!(done(&mut machine, Ok(Standing::Up { height: 9, lacking: 8 })), messages);
    assert_eq!(done(&mut machine, Ok(Standing::Over { moved: true })), None);
    assert_eq!((machine.target(), machine.faults(&peer(1))), (None, 0));
    // It has been dealt with.
    assert_eq!(machine.step(Event::Tick, &ours()), None);
    assert_eq!(claim(&mut machine, 1, target(1, 100)), None);
}

#[test]
fn what_is_not_ahead_or_no_claim_is_left_alone() {
    let mut machine = Machine::default();
    assert_eq!(claim(&mut machine, 1, target(1, 10)), None);
    assert_eq!(claim(&mut machine, 2, ours()), None);
    let key = vec![7_u64.cid(); MAX_BLOCKS + 1];
    assert_eq!(claim(&mut machine, 3, Target { key: vec![], ..target(1, 50) }), None);
    assert_eq!(claim(&mut machine, 3, Target { key, ..target(1, 50) }), None);
    assert_eq!(claim(&mut machine, 3, target(1, -5)), None);
    assert_eq!([1, 2, 3].map(|number| machine.faults(&peer(number))), [0, 0, 3]);
    assert_eq!(machine.held(), [2, 1, 0]);
    // A heavier one of the same height is, and a higher one of less weight may be.
    assert!(claim(&mut machine, 4, Target { weight: Amount::from(9999), ..target(1, 10) }).is_some());
}

#[test]
fn another_peer_is_asked_when_one_fails() {
    let mut machine = Machine::default();
    claim(&mut machine, 1, target(1, 20));
    claim(&mut machine, 2, target(1, 20));
    claim(&mut machine, 3, target(2, 5));
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 21 })), headers(1, 14));
    // Silence may be too much at once; who does not have the claimed chain is asked last.
    assert_eq!(done(&mut machine, Err(Failure::Silent)), headers(2, 7));
    assert_eq!(done(&mut machine, Err(Failure::Lied)), headers(3, 7));
    assert_eq!(done(&mut machine, Err(Failure::Failed)), headers(1, 7));
    assert_eq!([1, 2, 3].map(|number| machine.faults(&peer(number))), [1, 4, 0]);
    // It works again, and that is to its credit.
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 15 })), headers(1, 14));
    assert_eq!(machine.faults(&peer(1)), 0);
    assert_eq!(done(&mut machine, Err(Failure::Failed)), headers(3, 14));
    assert_eq!(done(&mut machine, Err(Failure::Failed)), None);
    assert_eq!(machine.target(), None);
    // Some time later, who has the least against it first.
    assert_eq!(machine.step(Event::Tick, &ours()), Some(Order::Begin { target: target(1, 20) }));
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 15 })), headers(1, 14));
}

#[test]
fn claims_that_come_to_nothing_are_not_tried_for_ever() {
    let mut machine = Machine::default();
    assert!(claim(&mut machine, 1, target(1, 20)).is_some());
    let mut begun = 1;
    for _ in 0..100 {
        done(&mut machine, Ok(Standing::Down { below: 21 }));
        while machine.target().is_some() {
            done(&mut machine, Err(Failure::Silent));
        }
        begun += usize::from(machine.step(Event::Tick, &ours()).is_some());
    }
    assert_eq!(begun, 4);
}

#[test]
fn who_stands_still_has_failed() {
    let mut machine = Machine::default();
    claim(&mut machine, 1, target(1, 20));
    claim(&mut machine, 2, target(1, 20));
    done(&mut machine, Ok(Standing::Down { below: 15 }));
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 15 })), headers(2, 14));
    done(&mut machine, Ok(Standing::Up { height: 9, lacking: 3 }));
    let again = done(&mut machine, Ok(Standing::Up { height: 9, lacking: 3 }));
    assert!(matches!(again, Some(Order::Messages { .. })), "{again:?}");
    done(&mut machine, Ok(Standing::Down { below: 3 }));
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 3 })), None);
}

#[test]
fn who_sends_little_at_a_time_is_asked_after_others() {
    let mut machine = Machine::default();
    claim(&mut machine, 1, target(1, 500));
    claim(&mut machine, 2, target(1, 500));
    let asked = |order: Option<Order>| match order {
        Some(Order::Headers { peer, .. } | Order::Messages { peer }) => peer,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(done(&mut machine, Ok(Standing::Down { below: 501 }))), peer(1));
    assert_eq!(asked(done(&mut machine, Ok(Standing::Down { below: 500 }))), peer(2));
    assert_eq!(asked(done(&mut machine, Ok(Standing::Down { below: 300 }))), peer(2));
    assert_eq!(asked(done(&mut machine, Ok(Standing::Up { height: 10, lacking: 80 }))), peer(2));
    assert_eq!(asked(done(&mut machine, Ok(Standing::Up { height: 10, lacking: 70 }))), peer(2));
    done(&mut machine, Ok(Standing::Up { height: 10, lacking: 69 }));
    assert_eq!([1, 2].map(|number| machine.faults(&peer(number))), [1, 1]);
}

#[test]
fn liars_do_not_keep_others_from_being_heard() {
    let mut machine = Machine::default();
    let huge = Target { weight: Amount::of_coins(1), ..target(9, 500) };
    assert_eq!(claim(&mut machine, 9, huge.clone()), Some(Order::Begin { target: huge.clone() }));
    assert_eq!(claim(&mut machine, 1, target(1, 20)), None);
    assert_eq!(done(&mut machine, Err(Failure::Claim)), Some(Order::Begin { target: target(1, 20) }));
    assert_eq!(machine.faults(&peer(9)), 2);
    // What it says next waits for those who did not lie.
    done(&mut machine, Ok(Standing::Over { moved: true }));
    claim(&mut machine, 9, Target { height: 600, ..huge });
    assert!(machine.target().is_some());
    done(&mut machine, Err(Failure::Chain));
    assert_eq!((machine.faults(&peer(9)), machine.held()[2]), (4, 1));
    // The same tipset is not tried again, whoever names it.
    assert_eq!(claim(&mut machine, 3, target(9, 700)), None);
    claim(&mut machine, 9, target(8, 900));
    claim(&mut machine, 2, target(2, 30));
    done(&mut machine, Err(Failure::Claim));
    assert_eq!(machine.target(), Some(&target(2, 30)));
    // That it is not heavier than said shows in the end.
    assert_eq!(done(&mut machine, Ok(Standing::Over { moved: false })), None);
    assert_eq!(machine.faults(&peer(2)), 2);
}

#[test]
fn what_fails_here_is_nobody_s_fault() {
    let mut machine = Machine::default();
    claim(&mut machine, 1, target(1, 20));
    assert_eq!(done(&mut machine, Err(Failure::Here)), None);
    assert_eq!(machine.faults(&peer(1)), 0);
    assert!(machine.step(Event::Tick, &ours()).is_some());
    machine.step(Event::Gone { peer: peer(1) }, &ours());
    assert_eq!(done(&mut machine, Ok(Standing::Down { below: 21 })), None);
    assert_eq!((machine.target(), machine.held()), (None, [0, 0, 0]));
}

/// A few numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn whatever_happens_it_holds_little_and_orders_one_thing_at_a_time() {
    let peers: Vec<PeerId> = (0..1500).map(|_| PeerId::random()).collect();
    let mut numbers = Numbers(7);
    let (mut machine, mut busy) = (Machine::default(), false);
    for _ in 0..50_000 {
        let peer = peers[numbers.below(1500) as usize];
        let event = match numbers.below(if busy { 8 } else { 4 }) {
            0 => Event::Gone { peer },
            1 => Event::Tick,
            2 | 3 => Event::Claimed { peer, target: target(numbers.below(3000), numbers.below(50) as i64 - 2) },
            4 => Event::Done(Ok(Standing::Down { below: numbers.below(50) as i64 })),
            5 => Event::Done(Ok(Standing::Up { height: numbers.below(9) as i64, lacking: numbers.below(9) as usize })),
            6 => Event::Done(Ok(Standing::Over { moved: numbers.below(2) == 0 })),
            _ => {
                use Failure::{Chain, Claim, Failed, Here, Lied, Silent};
                Event::Done(Err([Chain, Claim, Failed, Here, Lied, Silent][numbers.below(6) as usize]))
            }
        };
        let is_done = matches!(event, Event::Done(_));
        let order = machine.step(event, &ours());
        assert!(order.is_none() || !busy || is_done);
        assert_eq!(machine.target().is_some(), order.is_some() || (busy && !is_done));
        if let Some(Order::Headers { length, .. }) = order {
            assert!((1..=MAX_LENGTH).contains(&length));
        }
        busy = machine.target().is_some();
        let [claims, notes, refused] = machine.held();
        assert!(claims <= MAX_PEERS && notes <= MAX_NOTES && refused <= MAX_REFUSED);
    }
}
