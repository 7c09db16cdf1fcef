//! Paths through a DAG: names of entries of maps and places in lists, from the root on. A link takes no step of its own.

use std::fmt;

/// A step from a node to a child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// To the entry of a map.
    Name(String),
    /// To an item of a list.
    Place(u64),
}

impl Segment {
    /// The place in a list that it means. Go takes a name for one when it is a number, with sign and leading zeros if need be.
    pub fn place(&self) -> Option<u64> {
        match self {
            Self::Name(name) => name.parse::<i64>().ok().and_then(|place| u64::try_from(place).ok()),
            Self::Place(place) => Some(*place),
        }
    }

    /// Whether it is what a name says.
    pub fn is(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            // Most names are no numbers, and cost no text.
            Self::Place(place) => name.parse() == Ok(*place) && *name == place.to_string(),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Place(place) => place.fmt(formatter),
        }
    }
}

/// Steps from the root, written with a slash between each two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Segment>);

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            if place > 0 {
                formatter.write_str("/")?;
            }
            segment.fmt(formatter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_places_as_go_has_them() {
        let name = |name: &str| Segment::Name(name.to_owned());
        for (segment, place) in
            [(name("01"), Some(1)), (name("+7"), Some(7)), (name("-1"), None), (name("x"), None), (name(""), None)]
        {
            assert_eq!(segment.place(), place, "{segment}");
        }
        assert!(Segment::Place(1).is("1") && !Segment::Place(1).is("01") && name("01").is("01"));
        assert_eq!(Path(vec![name("a"), Segment::Place(0)]).to_string(), "a/0");
    }
}
