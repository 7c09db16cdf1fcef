//! Signatures as they stand in objects: a byte of their kind ‖ their bytes.
//!
//! | Kind | Bytes | Over |
//! |---|---|---|
//! | 1, secp256k1 | r ‖ s ‖ recovery, 65 | blake2b-256 of what is signed |
//! | 2, BLS | a point of G2, compressed, 96 | what is signed |
//!
//! Whether one is good is the matter of [`crate::check::signatures`].
//!
//! Source: `spec/chain.md` 1.3.

use crate::object::in_bytes;

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Signature {
    Secp256k1([u8; 65]),
    Bls([u8; 96]),
}

/// Why bytes are no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SignatureError {
    #[error("a signature's kind is 1 or 2")]
    Kind,
    #[error("a secp256k1 signature has 65 bytes and a BLS signature 96, found {0}")]
    Length(usize),
}

impl Signature {
    /// Kind ‖ bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Secp256k1(bytes) => [&[1], &bytes[..]].concat(),
            Self::Bls(bytes) => [&[2], &bytes[..]].concat(),
        }
    }

    /// The signature that is all of some bytes.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (kind, rest) = bytes.split_first().ok_or(SignatureError::Kind)?;
        let signature = match kind {
            1 => rest.try_into().ok().map(Self::Secp256k1),
            2 => rest.try_into().ok().map(Self::Bls),
            _ => return Err(SignatureError::Kind),
        };
        signature.ok_or(SignatureError::Length(rest.len()))
    }
}

in_bytes!(Signature);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object as _;

    #[test]
    fn signatures_have_the_length_of_their_kind() {
        for (kind, length) in [(1, 65), (2, 96)] {
            let bytes = [vec![kind], vec![7; length]].concat();
            let signature = Signature::from_bytes(&bytes).unwrap();
            assert_eq!(signature.to_bytes(), bytes);
            assert_eq!(Signature::decode(&signature.encode()).unwrap(), signature);
            assert_eq!(Signature::from_bytes(&bytes[..length]), Err(SignatureError::Length(length - 1)));
        }
        assert_eq!(Signature::from_bytes(&[]), Err(SignatureError::Kind));
        assert_eq!(Signature::from_bytes(&[3; 66]), Err(SignatureError::Kind));
    }
}
