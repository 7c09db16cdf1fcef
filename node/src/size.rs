//! Sizes as people write them: `2KiB`, `512 MiB`, `32GiB`, plain bytes.
//!
//! Units are powers of 1024 and spelled so. `GB` is refused: in storage it means two different things.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

const UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write bytes, or a number with KiB, MiB, GiB or TiB, such as 512MiB")]
pub struct SizeError(pub String);

impl FromStr for ByteSize {
    type Err = SizeError;

    /// Takes a decimal number, optionally a unit of any case, optionally spaces between.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let bad = || SizeError(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(bad)?.1,
        };
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    /// Three significant digits in the largest unit that fits: `2 KiB`, `1.21 MiB`, `127 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS.iter().rev().find(|(_, factor)| self.0 >= *factor).unwrap_or(&UNITS[0]);
        let whole = self.0 as f64 / *factor as f64;
        let decimals = match whole {
            _ if self.0.is_multiple_of(*factor) => 0,
            w if w < 10.0 => 2,
            w if w < 100.0 => 1,
            _ => 0,
        };
        f.pad(&format!("{whole:.decimals$} {name}"))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes, or a size such as \"512MiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse() {
        let table = [
            ("0", 0),
            ("2048", 2048),
            ("127B", 127),
            ("2KiB", 2 << 10),
            ("512 MiB", 512 << 20),
            ("32gib", 32 << 30),
            ("1TiB", 1 << 40),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "GiB", "1GB", "1.5GiB", "-1", "+1", " 1", "1GiB ", "16777216TiB", "18446744073709551616"] {
            assert_eq!(text.parse::<ByteSize>(), Err(SizeError(text.to_owned())));
        }
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        let table = [
            (0, "0 B"),
            (127, "127 B"),
            (2048, "2 KiB"),
            (2032, "1.98 KiB"),
            (9_586_976, "9.14 MiB"),
            (613_566_752, "585 MiB"),
            (32 << 30, "32 GiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>8}", ByteSize(127)), "   127 B");
    }
}
