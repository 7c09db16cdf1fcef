//! The machine of a sync, which is told anything in any order.

use filecash_chain::{Amount, Object};
use filecash_net::PeerId;
use filecash_net::sync::machine::{
    Event, Failure, MAX_NOTES, MAX_PEERS, MAX_REFUSED, Machine, Order, Standing, Target,
};

const FAILURES: [Failure; 6] =
    [Failure::Failed, Failure::Silent, Failure::Lied, Failure::Claim, Failure::Chain, Failure::Here];

/// The identity of one byte.
fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[0, 1, number]).expect("an identity is a peer's id")
}

fn target(name: u8, height: u8) -> Target {
    Target { key: vec![u64::from(name).cid()], height: i64::from(height), weight: Amount::from(u64::from(height)) }
}

/// Events of four bytes: what happens, to whom, and two numbers. One order is given at a time, and none while another is carried out;
/// requests are of a length that is answered; what is held is bounded; and whatever was going on ends when everybody fails. As
/// many acceptances as syncs that came to their end.
pub fn sync(data: &[u8]) -> usize {
    let (mut machine, ours, mut finished) = (Machine::default(), target(0, 20), 0);
    for &[what, who, a, b] in data.as_chunks().0 {
        let (peer, is_busy) = (peer(who), machine.target().is_some());
        let outcome = match what % 8 {
            0 => Err(Event::Gone { peer }),
            1 => Err(Event::Tick),
            2 | 3 => Err(Event::Claimed { peer, target: target(a, b) }),
            4 => Ok(Ok(Standing::Down { below: i64::from(a) })),
            5 => Ok(Ok(Standing::Up { height: i64::from(a), lacking: b.into() })),
            6 => Ok(Ok(Standing::Over { moved: a % 2 == 0 })),
            _ => Ok(Err(FAILURES[usize::from(a) % FAILURES.len()])),
        };
        finished += usize::from(is_busy && outcome == Ok(Ok(Standing::Over { moved: true })));
        let is_done = outcome.is_ok();
        let event = match outcome {
            Ok(outcome) => Event::Done(outcome),
            Err(event) => event,
        };
        let order = machine.step(event, &ours);
        assert!(order.is_none() || !is_busy || is_done);
        assert_eq!(machine.target().is_some(), order.is_some() || (is_busy && !is_done));
        if let Some(Order::Headers { length, .. }) = order {
            assert!((1..=900).contains(&length));
        }
        let [claims, notes, refused] = machine.held();
        assert!(claims <= MAX_PEERS && notes <= MAX_NOTES && refused <= MAX_REFUSED);
    }
    // Each peer fails twice in each sync, and each claim begins one.
    let mut left = 3 * (MAX_PEERS + 1) * (MAX_PEERS + 1);
    while machine.target().is_some() {
        machine.step(Event::Done(Err(Failure::Failed)), &ours);
        left -= 1;
    }
    assert!(left > 0);
    finished
}
