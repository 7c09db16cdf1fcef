//! What clients ask the gateway for.

use std::str;

use filecash_gateway::bytes::{Entity, EntityBytes, Part, of_range};
use filecash_gateway::request::{Asked, MOST_ADDRESS_BYTES, MOST_NAMES};

/// An address, what is accepted and a range, a line each. What is refused is refused in one line; an address that says all that was
/// accepted asks for the same; ranges are within what there is. As many acceptances as there are of the three.
pub fn gateway(data: &[u8]) -> usize {
    let Ok(text) = str::from_utf8(data) else { return 0 };
    let mut lines = text.splitn(3, '\n');
    let (address, accept, range) = (lines.next().unwrap_or_default(), lines.next(), lines.next().unwrap_or_default());
    let asked = Asked::parse(address, accept);
    match &asked {
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
        Ok(asked) => same_in_full(asked),
    }
    let mut is_range = false;
    for length in [0, 1, 1000, u64::MAX] {
        if let Part::Some(span) = of_range(Some(range), length) {
            assert!(span.first <= span.last && span.last < length);
            is_range = true;
        }
    }
    let entity = range.parse::<EntityBytes>();
    for size in [0, 1, 1000, u64::MAX] {
        if let Ok(Entity::Some(span)) = entity.map(|entity| entity.of(size)) {
            assert!(span.first <= span.last && span.last < size);
        }
    }
    if let Ok(entity) = entity {
        assert_eq!(entity.to_string().parse(), Ok(entity));
    }
    usize::from(asked.is_ok()) + usize::from(is_range) + usize::from(entity.is_ok())
}

fn same_in_full(asked: &Asked) {
    let mut asked = asked.clone();
    let location = match &mut asked {
        Asked::Block(block) => block.location.take(),
        Asked::Car(car) => {
            assert!(car.path.len() <= MOST_NAMES && car.path.iter().all(|name| !name.is_empty()));
            car.location.take()
        }
        Asked::Piece(piece) => {
            assert_eq!(Asked::parse(&format!("/piece/{piece}"), None), Ok(Asked::Piece(*piece)));
            None
        }
    };
    if let Some(location) = location.filter(|location| location.len() <= MOST_ADDRESS_BYTES) {
        assert_eq!(Asked::parse(&location, None), Ok(asked));
    }
}
