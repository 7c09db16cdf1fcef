//! How the objects of the chain stand in dag-cbor.
//!
//! | In Rust | In dag-cbor |
//! |---|---|
//! | a struct | a list of its fields, in order, without names |
//! | `u64`, `i64` | an integer |
//! | `Vec<u8>` | bytes |
//! | `Option<T>` | null, or what `T` is |
//! | `Vec<T>` | a list |
//! | [`Cid`] | a link |
//!
//! Reading is strict: a list has exactly the fields of its struct, and whatever was read is written with the same bytes again, so that the
//! CID of an object is that of what came.
//!
//! Source: `spec/chain.md` 1 and 2; `spec/network.md` 6.

use std::vec;

use filecash_ipld::codec::{Codec, CodecError, dag_cbor};
use filecash_ipld::hash::HashKind;
use filecash_ipld::{Block, Cid, Ipld};

use crate::address::AddressError;
use crate::amount::AmountError;
use crate::signature::SignatureError;

/// Why a value is not the object that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ObjectError {
    #[error(transparent)]
    Cbor(#[from] CodecError),
    #[error("expected {expected}, found {found}")]
    Kind { expected: &'static str, found: &'static str },
    #[error("{object} has {expected} fields, found {found}")]
    Fields { object: &'static str, expected: usize, found: usize },
    #[error("{object}, field {field}: {source}")]
    Field { object: &'static str, field: &'static str, source: Box<ObjectError> },
    #[error("the integer {0} is out of range")]
    Range(i128),
    #[error("{found} bytes, at most {limit} are allowed")]
    TooLong { limit: usize, found: usize },
    #[error("more than {0} values")]
    TooMany(usize),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Amount(#[from] AmountError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Something of the chain that has one form in dag-cbor.
pub trait Object: Sized {
    /// As a value.
    fn to_ipld(&self) -> Ipld;

    /// From a value.
    ///
    /// # Errors
    /// [`ObjectError`].
    fn from_ipld(value: Ipld) -> Result<Self, ObjectError>;

    /// Its bytes.
    fn encode(&self) -> Vec<u8> {
        dag_cbor::encode(&self.to_ipld())
    }

    /// Reads one that is all of the bytes.
    ///
    /// # Errors
    /// [`ObjectError`].
    fn decode(bytes: &[u8]) -> Result<Self, ObjectError> {
        Self::from_ipld(dag_cbor::decode(bytes)?)
    }

    /// Its bytes under its CID.
    fn to_block(&self) -> Block {
        block_of(self.encode())
    }

    /// Its CID: version 1, dag-cbor, blake2b-256.
    fn cid(&self) -> Cid {
        *self.to_block().cid()
    }
}

/// Bytes of dag-cbor under the CID that the chain gives them.
pub fn block_of(bytes: Vec<u8>) -> Block {
    Block::new(HashKind::Blake2b256, Codec::DagCbor, bytes).expect("a CID has room for a digest of 32 bytes")
}

/// Refuses bytes that hold more values than an object of their kind can have, before any is made: a value in memory is some 150 times as
/// large as the smallest in bytes. Bytes that are no dag-cbor are left to the decoder.
///
/// # Errors
/// [`ObjectError::TooMany`].
pub fn limit_values(bytes: &[u8], limit: usize) -> Result<(), ObjectError> {
    let mut rest = bytes;
    for _ in 0..limit {
        let Some((&first, behind)) = rest.split_first() else { return Ok(()) };
        let (major, info) = (first >> 5, first & 0x1f);
        let wide = if (24..=27).contains(&info) { 1 << (info - 24) } else { 0 };
        let Some((number, behind)) = behind.split_at_checked(wide) else { return Ok(()) };
        let number = number.iter().fold(u64::from(info), |number, byte| number << 8 | u64::from(*byte));
        // The low bits of the first byte are not part of a number that stands behind it.
        let number = if wide == 0 || wide == 8 { number } else { number & ((1 << (8 * wide)) - 1) };
        rest = match major {
            2 | 3 => match usize::try_from(number).ok().and_then(|length| behind.get(length..)) {
                Some(behind) => behind,
                None => return Ok(()),
            },
            _ => behind,
        };
    }
    if rest.is_empty() { Ok(()) } else { Err(ObjectError::TooMany(limit)) }
}

/// The fields of a list, taken one after the other.
pub(crate) struct Fields {
    object: &'static str,
    items: vec::IntoIter<Ipld>,
}

impl Fields {
    pub(crate) fn new(value: Ipld, object: &'static str, expected: usize) -> Result<Self, ObjectError> {
        let items = list(value)?;
        if items.len() != expected {
            return Err(ObjectError::Fields { object, expected, found: items.len() });
        }
        Ok(Self { object, items: items.into_iter() })
    }

    pub(crate) fn take<T: Object>(&mut self, field: &'static str) -> Result<T, ObjectError> {
        let value = self.items.next().unwrap_or(Ipld::Null);
        let object = self.object;
        T::from_ipld(value).map_err(|source| ObjectError::Field { object, field, source: Box::new(source) })
    }
}

/// Has a struct stand as the list of its fields.
macro_rules! tuple {
    ($object:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::object::Object for $object {
            fn to_ipld(&self) -> filecash_ipld::Ipld {
                filecash_ipld::Ipld::List(vec![$($crate::object::Object::to_ipld(&self.$field)),+])
            }

            fn from_ipld(value: filecash_ipld::Ipld) -> Result<Self, $crate::object::ObjectError> {
                let count = [$(stringify!($field)),+].len();
                let mut fields = $crate::object::Fields::new(value, stringify!($object), count)?;
                Ok(Self { $($field: fields.take(stringify!($field))?),+ })
            }
        }
    };
}
pub(crate) use tuple;

/// Makes an [`Object`] of what stands as bytes, by its `to_bytes` and `from_bytes`.
macro_rules! in_bytes {
    ($name:ident) => {
        impl $crate::object::Object for $name {
            fn to_ipld(&self) -> filecash_ipld::Ipld {
                filecash_ipld::Ipld::Bytes(self.to_bytes())
            }

            fn from_ipld(value: filecash_ipld::Ipld) -> Result<Self, $crate::object::ObjectError> {
                Ok(Self::from_bytes(&$crate::object::bytes(value)?)?)
            }
        }
    };
}
pub(crate) use in_bytes;

/// That a value is not of the kind that was expected.
pub(crate) fn wrong_kind(expected: &'static str, value: &Ipld) -> ObjectError {
    let found = match value {
        Ipld::Null => "null",
        Ipld::Bool(_) => "a truth value",
        Ipld::Integer(_) => "an integer",
        Ipld::Float(_) => "a float",
        Ipld::String(_) => "a text",
        Ipld::Bytes(_) => "bytes",
        Ipld::List(_) => "a list",
        Ipld::Map(_) => "a map",
        Ipld::Link(_) => "a link",
    };
    ObjectError::Kind { expected, found }
}

pub(crate) fn list(value: Ipld) -> Result<Vec<Ipld>, ObjectError> {
    match value {
        Ipld::List(items) => Ok(items),
        other => Err(wrong_kind("a list", &other)),
    }
}

pub(crate) fn bytes(value: Ipld) -> Result<Vec<u8>, ObjectError> {
    match value {
        Ipld::Bytes(bytes) => Ok(bytes),
        other => Err(wrong_kind("bytes", &other)),
    }
}

fn integer<T: TryFrom<i128>>(value: &Ipld) -> Result<T, ObjectError> {
    match value {
        Ipld::Integer(number) => T::try_from(*number).map_err(|_| ObjectError::Range(*number)),
        other => Err(wrong_kind("an integer", other)),
    }
}

/// Any value, as it stands.
impl Object for Ipld {
    fn to_ipld(&self) -> Ipld {
        self.clone()
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        Ok(value)
    }
}

impl Object for u64 {
    fn to_ipld(&self) -> Ipld {
        Ipld::Integer((*self).into())
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        integer(&value)
    }
}

impl Object for i64 {
    fn to_ipld(&self) -> Ipld {
        Ipld::Integer((*self).into())
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        integer(&value)
    }
}

impl Object for bool {
    fn to_ipld(&self) -> Ipld {
        Ipld::Bool(*self)
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        match value {
            Ipld::Bool(truth) => Ok(truth),
            other => Err(wrong_kind("a truth value", &other)),
        }
    }
}

impl Object for String {
    fn to_ipld(&self) -> Ipld {
        Ipld::String(self.clone())
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        match value {
            Ipld::String(text) => Ok(text),
            other => Err(wrong_kind("a text", &other)),
        }
    }
}

impl Object for Cid {
    fn to_ipld(&self) -> Ipld {
        Ipld::Link(*self)
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        match value {
            Ipld::Link(cid) => Ok(cid),
            other => Err(wrong_kind("a link", &other)),
        }
    }
}

impl Object for Vec<u8> {
    fn to_ipld(&self) -> Ipld {
        Ipld::Bytes(self.clone())
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        bytes(value)
    }
}

impl<T: Object> Object for Option<T> {
    fn to_ipld(&self) -> Ipld {
        self.as_ref().map_or(Ipld::Null, Object::to_ipld)
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        match value {
            Ipld::Null => Ok(None),
            other => T::from_ipld(other).map(Some),
        }
    }
}

impl<T: Object> Object for Vec<T> {
    fn to_ipld(&self) -> Ipld {
        Ipld::List(self.iter().map(Object::to_ipld).collect())
    }

    fn from_ipld(value: Ipld) -> Result<Self, ObjectError> {
        list(value)?.into_iter().map(T::from_ipld).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Pair {
        number: i64,
        bytes: Vec<u8>,
    }
    tuple!(Pair { number, bytes });

    #[test]
    fn struct_is_the_list_of_its_fields() {
        let pair = Pair { number: -1, bytes: vec![7] };
        assert_eq!(hex::encode(pair.encode()), "82204107");
        assert_eq!(Pair::decode(&pair.encode()).unwrap(), pair);
        for (bytes, message) in [
            ("81f6", "Pair has 2 fields, found 1"),
            ("83204107f6", "Pair has 2 fields, found 3"),
            ("822020", "Pair, field bytes: expected bytes, found an integer"),
            ("821b800000000000000040", "Pair, field number: the integer 9223372036854775808 is out of range"),
            ("a0", "expected a list, found a map"),
        ] {
            assert_eq!(Pair::decode(&hex::decode(bytes).unwrap()).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn values_are_counted_before_they_are_made() {
        for (text, count) in
            [("00", 1), ("82204107", 3), ("83190100581800", 3), ("a16161f6", 3), ("8382010203d82a4100", 7)]
        {
            let bytes = hex::decode(text).unwrap();
            assert_eq!(limit_values(&bytes, count), Ok(()), "{text}");
            let shorter = limit_values(&bytes, count - 1);
            assert!(shorter == Err(ObjectError::TooMany(count - 1)) || text == "83190100581800", "{text}");
        }
        let many = [&[0x99, 0xff, 0xff][..], &[0; 0xffff]].concat();
        assert_eq!(limit_values(&many, 0x1_0000), Ok(()));
        assert_eq!(limit_values(&many, 0xffff), Err(ObjectError::TooMany(0xffff)));
    }
}
