//! Addresses of actors.
//!
//! | Protocol | Payload | Text behind `f` or `t` |
//! |---|---|---|
//! | 0, an actor's number | varint below 2^63 | `0` and the number |
//! | 1, a secp256k1 key | blake2b-160 of the key's 65 bytes | `1` and base32 of payload ‖ checksum |
//! | 2, an actor | blake2b-160 of how it came to be | `2` and the same |
//! | 3, a BLS key | the key's 48 bytes | `3` and the same |
//!
//! On the chain an address is bytes: protocol ‖ payload. The checksum of the text is blake2b of these, 4 bytes long. `f` is written by
//! main networks, `t` by others; neither says which coin it is.
//!
//! Source: `spec/chain.md` 1.2.

use std::fmt;
use std::str::FromStr;

use blake2b_simd::Params;
use data_encoding::BASE32_NOPAD;
use filecash_ipld::varint;
use serde::{Serialize, Serializer};

use crate::object::in_bytes;

/// A BLS key: a point of G1, compressed.
pub type BlsKey = [u8; 48];

const CHECKSUM_BYTES: usize = 4;

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Address {
    Id(u64),
    Secp256k1([u8; 20]),
    Actor([u8; 20]),
    Bls(BlsKey),
}

/// The first letter of an address's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Prefix {
    Main,
    Test,
}

/// Why bytes or a text are no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AddressError {
    #[error("an address begins with f or t")]
    Prefix,
    #[error("an address's protocol is 0, 1, 2 or 3")]
    Protocol,
    #[error("an address's payload is not what its protocol has")]
    Payload,
    #[error("an address's checksum is not that of its payload")]
    Checksum,
}

impl Prefix {
    fn letter(self) -> char {
        match self {
            Self::Main => 'f',
            Self::Test => 't',
        }
    }
}

impl Address {
    /// That of a secp256k1 key: 65 bytes, uncompressed.
    pub fn of_secp256k1(key: &[u8; 65]) -> Self {
        let digest = Params::new().hash_length(20).hash(key);
        let mut payload = [0; 20];
        payload.copy_from_slice(digest.as_bytes());
        Self::Secp256k1(payload)
    }

    /// Whether it names a key, so that signatures can be checked against it without the ledger.
    pub fn is_key(&self) -> bool {
        matches!(self, Self::Secp256k1(_) | Self::Bls(_))
    }

    /// Protocol ‖ payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.protocol()];
        match self {
            Self::Id(number) => varint::write(*number, &mut bytes),
            Self::Secp256k1(payload) | Self::Actor(payload) => bytes.extend(payload),
            Self::Bls(payload) => bytes.extend(payload),
        }
        bytes
    }

    /// The address that is all of some bytes.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        let (&protocol, mut payload) = bytes.split_first().ok_or(AddressError::Protocol)?;
        let address = match protocol {
            0 => varint::read(&mut payload).ok().filter(|_| payload.is_empty()).map(Self::Id),
            1 => payload.try_into().ok().map(Self::Secp256k1),
            2 => payload.try_into().ok().map(Self::Actor),
            3 => payload.try_into().ok().map(Self::Bls),
            _ => return Err(AddressError::Protocol),
        };
        address.ok_or(AddressError::Payload)
    }

    /// Its text, as a network writes it.
    pub fn to_text(&self, prefix: Prefix) -> String {
        let letter = prefix.letter();
        let mut bytes = self.to_bytes();
        if let Self::Id(number) = self {
            return format!("{letter}0{number}");
        }
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        format!("{letter}{}{}", self.protocol(), BASE32_NOPAD.encode(&bytes[1..]).to_ascii_lowercase())
    }

    fn protocol(&self) -> u8 {
        match self {
            Self::Id(_) => 0,
            Self::Secp256k1(_) => 1,
            Self::Actor(_) => 2,
            Self::Bls(_) => 3,
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(Params::new().hash_length(CHECKSUM_BYTES).hash(bytes).as_bytes());
    checksum
}

/// With `f` in front.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(Prefix::Main))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.strip_prefix(['f', 't']).ok_or(AddressError::Prefix)?;
        let (protocol, text) = text.split_at_checked(1).ok_or(AddressError::Protocol)?;
        let protocol = match protocol {
            "0" => return number(text).map(Self::Id).ok_or(AddressError::Payload),
            "1" => 1,
            "2" => 2,
            "3" => 3,
            _ => return Err(AddressError::Protocol),
        };
        // The longest is 48 bytes and their checksum, 84 letters.
        if text.len() > 84 || text.bytes().any(|letter| letter.is_ascii_uppercase()) {
            return Err(AddressError::Payload);
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| AddressError::Payload)?;
        let (payload, expected) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(AddressError::Payload)?;
        let bytes = [&[protocol], payload].concat();
        let address = Self::from_bytes(&bytes)?;
        if checksum(&bytes) != *expected {
            return Err(AddressError::Checksum);
        }
        Ok(address)
    }
}

/// A number below 2^63 in its one decimal form.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && number < 1 << 63).then_some(number)
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

in_bytes!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the serialization vectors, and two by hand.
    const TEXTS: [(&str, &str); 5] = [
        ("t01865627127944795144", "0088a8eda3d0bf82f219"),
        ("t2ch7krq7l35i74rebqbjdsp3ucl47t24e3juxjfa", "0211fea8c3ebdf51fe44818052393f7412f9f9eb84"),
        ("t1pyfq7dg6sq65acyomqvzvbgwni4zllglqffw5dy", "017e0b0f8cde943dd00b0e642b9a84d66a3995accb"),
        ("t00", "0000"),
        ("t01000", "00e807"),
    ];

    #[test]
    fn texts_and_bytes_are_of_the_same_address() {
        for (text, bytes) in TEXTS {
            let address: Address = text.parse().unwrap();
            assert_eq!(hex::encode(address.to_bytes()), *bytes);
            assert_eq!(Address::from_bytes(&hex::decode(bytes).unwrap()), Ok(address));
            assert_eq!(address.to_text(Prefix::Test), *text);
            assert_eq!(address.to_string(), text.replacen('t', "f", 1));
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        // Of the signing vectors: the address is a key, whose signature is checked there.
        let text = "t3sogjuub37grt2tuvvlxbiamthwxenf2dwgq6sn7gpj72c5omg7gojjplsdsovgq6g3aagwerkght3e7boqfq";
        let bls: Address = text.parse().unwrap();
        assert_eq!((bls.to_bytes().len(), bls.to_text(Prefix::Test).as_str()), (49, text));
    }

    #[test]
    fn other_texts_and_bytes_are_refused() {
        for (text, error) in [
            ("", AddressError::Prefix),
            ("x01", AddressError::Prefix),
            ("f", AddressError::Protocol),
            ("f401", AddressError::Protocol),
            ("fé", AddressError::Protocol),
            ("f0", AddressError::Payload),
            ("f001", AddressError::Payload),
            ("f0+1", AddressError::Payload),
            ("f09223372036854775808", AddressError::Payload),
            ("f1", AddressError::Payload),
            ("f1pyfq7dg6sq65acyomqvzvbgwni4zllglqffw5d", AddressError::Payload),
            ("f1PYFQ7DG6SQ65ACYOMQVZVBGWNI4ZLLGLQFFW5DY", AddressError::Payload),
            ("f1pyfq7dg6sq65acyomqvzvbgwni4zllglqffw5da", AddressError::Checksum),
            ("f2pyfq7dg6sq65acyomqvzvbgwni4zllglqffw5dy", AddressError::Checksum),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        for bytes in ["", "00", "0080", "008000", "000000", "00ffffffffffffffffff01", "01", "02ff", "04", "0300"] {
            assert!(Address::from_bytes(&hex::decode(bytes).unwrap()).is_err(), "{bytes}");
        }
        assert!(Address::from_bytes(&[1; 22]).is_err());
    }
}
