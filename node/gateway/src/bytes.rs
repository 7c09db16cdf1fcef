//! Which bytes are meant: `Range` of HTTP, and `entity-bytes` of CARs.
//!
//! ```text
//! Range        = "bytes=" ( first "-" [ last ] / "-" count )          the bytes of what is sent
//! entity-bytes = from ":" ( to / "*" )                                the bytes of a file whose blocks are sent
//! ```
//! Both have their last byte included. Numbers of `entity-bytes` may be negative, and count from the end of the file then: -1 is its last
//! byte.
//!
//! Source: RFC 9110, 14.1.2; the trustless gateway specification, "entity-bytes".

use std::fmt;
use std::str::FromStr;

/// Bytes from one to another, which is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Span {
    /// How many there are, at most all but one of those that a number can tell.
    pub fn length(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// What a `Range` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything: none is asked for, several are, or something that is not known.
    All,
    /// These.
    Some(Span),
    /// Bytes that are not there.
    None,
}

/// The bytes that a `Range` asks for of so many.
pub fn of_range(header: Option<&str>, length: u64) -> Part {
    let Some((unit, ranges)) = header.and_then(|header| header.split_once('=')) else { return Part::All };
    let Some((first, last)) = ranges.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))
    else {
        return Part::All;
    };
    let (first, last) = (first.trim(), last.trim());
    let bounds = match (digits(first), digits(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(first), None) if last.is_empty() => Some((first, u64::MAX)),
        (None, Some(count)) if first.is_empty() => {
            if count == 0 {
                return Part::None;
            }
            Some((length.saturating_sub(count), u64::MAX))
        }
        _ => None,
    };
    match bounds {
        None => Part::All,
        Some((first, _)) if first >= length => Part::None,
        Some((first, last)) => Part::Some(Span { first, last: last.min(length - 1) }),
    }
}

/// A number of digits alone. One that is too large for a place is as good as the largest.
fn digits(text: &str) -> Option<u64> {
    let sound = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().unwrap_or(u64::MAX))
}

/// `entity-bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityBytes {
    /// The first byte.
    pub from: i64,
    /// The last one; none for that of the file.
    pub to: Option<i64>,
}

/// What is wrong with `entity-bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entity-bytes is FROM:TO, two whole numbers or * for the second, the second not before the first")]
pub struct EntityBytesError;

/// What of a file `entity-bytes` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// These bytes.
    Some(Span),
    /// None: it ends before it begins.
    Empty,
    /// Bytes before or behind the file.
    Outside,
}

impl FromStr for EntityBytes {
    type Err = EntityBytesError;

    fn from_str(text: &str) -> Result<Self, EntityBytesError> {
        let (from, to) = text.split_once(':').ok_or(EntityBytesError)?;
        let number = |text: &str| match text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit())
        {
            true => text.parse::<i64>().map_err(|_| EntityBytesError),
            false => Err(EntityBytesError),
        };
        let from = number(from)?;
        let to = if to == "*" { None } else { Some(number(to)?) };
        // Of numbers that count from the same end it is plain which comes first. One less is a range of no bytes.
        let reversed = to.is_some_and(|to| (to < 0) == (from < 0) && to < from.saturating_sub(1));
        if reversed { Err(EntityBytesError) } else { Ok(Self { from, to }) }
    }
}

impl fmt::Display for EntityBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(formatter, "{}:{to}", self.from),
            None => write!(formatter, "{}:*", self.from),
        }
    }
}

impl EntityBytes {
    /// What it means of a file of so many bytes.
    pub fn of(self, size: u64) -> Entity {
        let place = |number: i64| i128::from(number) + if number < 0 { i128::from(size) } else { 0 };
        let (from, end) = (place(self.from), i128::from(size));
        let to = self.to.map_or(end - 1, place);
        if to < from {
            return if from > end || to < -1 { Entity::Outside } else { Entity::Empty };
        }
        if to < 0 || from >= end {
            // All of an empty file has no bytes.
            return if size == 0 && from <= 0 { Entity::Empty } else { Entity::Outside };
        }
        match (u64::try_from(from.max(0)), u64::try_from(to.min(end - 1))) {
            (Ok(first), Ok(last)) => Entity::Some(Span { first, last }),
            _ => Entity::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_http() {
        let some = |first, last| Part::Some(Span { first, last });
        for (header, length, part) in [
            ("bytes=0-0", 10, some(0, 0)),
            ("bytes=2-5", 10, some(2, 5)),
            ("bytes=2-", 10, some(2, 9)),
            ("Bytes = 2-500", 10, some(2, 9)),
            ("bytes=9-99999999999999999999999999", 10, some(9, 9)),
            ("bytes=-3", 10, some(7, 9)),
            ("bytes=-30", 10, some(0, 9)),
            ("bytes=10-", 10, Part::None),
            ("bytes=99999999999999999999999999-", 10, Part::None),
            ("bytes=-0", 10, Part::None),
            ("bytes=0-", 0, Part::None),
            ("bytes=-1", 0, Part::None),
            // What is not known or wrong is passed over.
            ("bytes=0-1,3-4", 10, Part::All),
            ("bytes=5-2", 10, Part::All),
            ("bytes=-", 10, Part::All),
            ("bytes=+1-2", 10, Part::All),
            ("bytes=1--2", 10, Part::All),
            ("bytes=a-b", 10, Part::All),
            ("bytes", 10, Part::All),
            ("lines=1-2", 10, Part::All),
            ("", 10, Part::All),
        ] {
            assert_eq!(of_range(Some(header), length), part, "{header} of {length}");
        }
        assert_eq!(of_range(None, 10), Part::All);
        assert_eq!(of_range(Some("bytes=0-"), u64::MAX), some(0, u64::MAX - 1));
    }

    /// Those of the specification, and of the conformance tests of gateways, whose file has 1026 bytes.
    #[test]
    fn bytes_of_entities() {
        let some = |first, last| Entity::Some(Span { first, last });
        for (text, size, entity) in [
            ("0:*", 1026, some(0, 1025)),
            ("0:0", 1026, some(0, 0)),
            ("512:1023", 1026, some(512, 1023)),
            ("512:-256", 1026, some(512, 770)),
            ("499:-1000", 1026, Entity::Empty),
            ("499:-1000", 2000, some(499, 1000)),
            ("-5:*", 1026, some(1021, 1025)),
            ("-9999:*", 1026, some(0, 1025)),
            ("-9999:-3", 1026, some(0, 1023)),
            ("-5:-5", 1026, some(1021, 1021)),
            ("1025:9999", 1026, some(1025, 1025)),
            ("-5:9999", 1026, some(1021, 1025)),
            ("1026:*", 1026, Entity::Empty),
            ("1026:2000", 1026, Entity::Outside),
            ("1027:*", 1026, Entity::Outside),
            ("-9999:-5000", 1026, Entity::Outside),
            ("500:499", 1026, Entity::Empty),
            ("500:-1020", 1026, Entity::Empty),
            ("0:-5000", 1026, Entity::Outside),
            ("0:*", 0, Entity::Empty),
            ("0:0", 0, Entity::Empty),
            ("-5:*", 0, Entity::Empty),
            ("-5:-1", 0, Entity::Empty),
            ("1:*", 0, Entity::Outside),
            ("0:9223372036854775807", u64::MAX, some(0, i64::MAX as u64)),
            ("-9223372036854775808:*", u64::MAX, some((1 << 63) - 1, u64::MAX - 1)),
            ("-1:-1", u64::MAX, some(u64::MAX - 1, u64::MAX - 1)),
        ] {
            let parsed: EntityBytes = text.parse().unwrap();
            assert_eq!(parsed.of(size), entity, "{text} of {size}");
            assert_eq!(parsed.to_string(), text);
        }
        for wrong in
            ["", ":", "0", "0:", ":0", "*:0", "1:2:3", "+1:2", " 1:2", "10:5", "-5:-10", "a:b", "0x1:2", "-:*", "9e9:*"]
        {
            assert!(wrong.parse::<EntityBytes>().is_err(), "{wrong}");
        }
    }
}
