//! Whole numbers without a limit of their own: amounts of the token, powers, weights.
//!
//! As bytes: none for zero, otherwise a sign (0 plus, 1 minus) ‖ the magnitude, big-endian, without leading zeros; 128 bytes at most. A coin
//! is 10^18 of the smallest unit.
//!
//! Source: `spec/chain.md` 1.3.

use std::fmt;
use std::str::FromStr;

use num_bigint::{BigInt, ParseBigIntError, Sign};
use serde::{Serialize, Serializer};

use crate::object::in_bytes;

/// The most bytes of one.
pub const MAX_BYTES: usize = 128;
/// Smallest units in a coin.
pub const COIN: u64 = 1_000_000_000_000_000_000;

/// A whole number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub BigInt);

/// Why bytes are no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AmountError {
    #[error("a number of {0} bytes, at most {MAX_BYTES} are allowed")]
    TooLong(usize),
    #[error("a number whose sign is neither 0 nor 1")]
    Sign,
    #[error("a number that is longer than need be")]
    Longer,
}

impl Amount {
    /// Zero.
    pub fn zero() -> Self {
        Self::default()
    }

    /// So many coins.
    pub fn of_coins(coins: u64) -> Self {
        Self(BigInt::from(coins) * COIN)
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.sign() == Sign::Minus
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (sign, magnitude) = self.0.to_bytes_be();
        match sign {
            Sign::NoSign => Vec::new(),
            sign => [vec![u8::from(sign == Sign::Minus)], magnitude].concat(),
        }
    }

    /// The number that is all of some bytes.
    ///
    /// # Errors
    /// [`AmountError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AmountError> {
        if bytes.len() > MAX_BYTES {
            return Err(AmountError::TooLong(bytes.len()));
        }
        let Some((sign, magnitude)) = bytes.split_first() else { return Ok(Self::zero()) };
        let sign = match sign {
            0 => Sign::Plus,
            1 => Sign::Minus,
            _ => return Err(AmountError::Sign),
        };
        match magnitude.first() {
            None | Some(0) => Err(AmountError::Longer),
            Some(_) => Ok(Self(BigInt::from_bytes_be(sign, magnitude))),
        }
    }

    /// As coins, exactly: `1100000000`, `0.5`.
    pub fn to_coins(&self) -> String {
        let digits = format!("{:0>19}", self.0.magnitude().to_string());
        let (whole, part) = digits.split_at(digits.len() - 18);
        let part = part.trim_end_matches('0');
        let sign = if self.is_negative() { "-" } else { "" };
        let point = if part.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{part}")
    }
}

impl From<u64> for Amount {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

/// In decimal, in smallest units.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = ParseBigIntError;

    fn from_str(text: &str) -> Result<Self, ParseBigIntError> {
        text.parse().map(Self)
    }
}

/// As a decimal text: JSON's numbers are too small.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

in_bytes!(Amount);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for (number, bytes) in
            [("0", ""), ("1", "0001"), ("-1", "0101"), ("100000000", "0005f5e100"), ("-32768", "018000")]
        {
            let amount: Amount = number.parse().unwrap();
            assert_eq!(hex::encode(amount.to_bytes()), bytes);
            assert_eq!(Amount::from_bytes(&hex::decode(bytes).unwrap()), Ok(amount));
        }
        for (bytes, error) in [
            ("00", AmountError::Longer),
            ("01", AmountError::Longer),
            ("0000", AmountError::Longer),
            ("000001", AmountError::Longer),
            ("0201", AmountError::Sign),
        ] {
            assert_eq!(Amount::from_bytes(&hex::decode(bytes).unwrap()), Err(error), "{bytes}");
        }
        let mut longest = vec![1; 129];
        longest[0] = 0;
        assert_eq!(Amount::from_bytes(&longest), Err(AmountError::TooLong(129)));
        assert!(Amount::from_bytes(&longest[..128]).is_ok());
    }

    #[test]
    fn amounts_are_told_in_coins() {
        let coins = |text: &str| text.parse::<Amount>().unwrap().to_coins();
        assert_eq!(Amount::of_coins(1_100_000_000).to_coins(), "1100000000");
        assert_eq!(
            (coins("0"), coins("1"), coins("-1500000000000000000")),
            ("0".to_owned(), "0.000000000000000001".to_owned(), "-1.5".to_owned())
        );
    }
}
