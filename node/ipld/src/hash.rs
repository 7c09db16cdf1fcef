//! CIDs, and the hash functions that they name.
//!
//! | Function | Code | Used by |
//! |---|---|---|
//! | identity | 0x00 | anybody, for a few bytes that are their own name |
//! | sha2-256 | 0x12 | IPFS |
//! | sha2-512 | 0x13 | |
//! | blake2b-256 | 0xb220 | Filecoin and Filecash |
//!
//! Commitments (`sha2-256-trunc254-padded`, `poseidon-bls12_381-a2-fc1`) have CIDs too, but of pieces and replicas: no block has one.
//!
//! Source: the multicodec table; `spec/network.md` 13, `spec/chain.md` 1.1.

use blake2b_simd::Params;
use cid::{CidGeneric, Version, multibase};
use multihash::Multihash;
use sha2::{Digest, Sha256, Sha512};

/// The longest digest, and so the most bytes that an identity CID holds. Lotus inlines up to 126.
pub const MAX_DIGEST: usize = 128;

/// The name of a block. Wider than [`cid::Cid`], which has no room for the identities of Lotus.
pub type Cid = CidGeneric<MAX_DIGEST>;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum HashKind {
    Identity,
    Sha256,
    Sha512,
    Blake2b256,
}

/// Why a CID does not go with some bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum HashError {
    #[error("the bytes are not those of {0}")]
    Mismatch(Box<Cid>),
    #[error("{cid} has hash function {code:#x}, of which no block is checked")]
    Unknown { cid: Box<Cid>, code: u64 },
    #[error("{0} bytes are too many for a CID that holds them")]
    TooLong(usize),
}

impl HashKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Sha256, Self::Sha512, Self::Blake2b256];

    /// Its code.
    pub fn code(self) -> u64 {
        match self {
            Self::Identity => 0x00,
            Self::Sha256 => 0x12,
            Self::Sha512 => 0x13,
            Self::Blake2b256 => 0xb220,
        }
    }

    /// The function of a code.
    pub fn by_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The multihash of some bytes.
    ///
    /// # Errors
    /// [`HashError::TooLong`] for more bytes than an identity holds.
    pub fn multihash(self, bytes: &[u8]) -> Result<Multihash<MAX_DIGEST>, HashError> {
        let wrap = |digest: &[u8]| Multihash::wrap(self.code(), digest).map_err(|_| HashError::TooLong(digest.len()));
        match self {
            Self::Identity => wrap(bytes),
            Self::Sha256 => wrap(&Sha256::digest(bytes)),
            Self::Sha512 => wrap(&Sha512::digest(bytes)),
            Self::Blake2b256 => wrap(Params::new().hash_length(32).hash(bytes).as_bytes()),
        }
    }

    /// The CIDv1 of some bytes.
    ///
    /// # Errors
    /// As [`HashKind::multihash`].
    pub fn cid(self, codec: u64, bytes: &[u8]) -> Result<Cid, HashError> {
        Ok(Cid::new_v1(codec, self.multihash(bytes)?))
    }
}

/// Whether some bytes are those of a CID.
///
/// # Errors
/// [`HashError`] unless they are.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), HashError> {
    let code = cid.hash().code();
    let kind = HashKind::by_code(code).ok_or(HashError::Unknown { cid: Box::new(*cid), code })?;
    match kind.multihash(bytes) {
        Ok(hash) if hash == *cid.hash() => Ok(()),
        _ => Err(HashError::Mismatch(Box::new(*cid))),
    }
}

/// The CID that is all of some bytes.
pub fn parse(bytes: &[u8]) -> Option<Cid> {
    parse_first(bytes).filter(|(_, length)| *length == bytes.len()).map(|(cid, _)| cid)
}

/// The CID at the front of some bytes, and its length.
pub fn parse_first(bytes: &[u8]) -> Option<(Cid, usize)> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).ok()?;
    let length = bytes.len() - rest.len();
    // The crate drops what a varint of ten bytes has above 64 bits, and a CID has one form.
    (cid.to_bytes() == bytes[..length]).then_some((cid, length))
}

/// The CID that is all of a text: base58btc without a prefix for version 0, any base of multibase for version 1. Unlike the crate's own
/// parsing it takes nothing behind the CID, and no address around it.
pub fn parse_text(text: &str) -> Option<Cid> {
    if Version::is_v0_str(text) {
        return text.parse().ok().filter(|cid: &Cid| cid.version() == Version::V0);
    }
    let (_, bytes) = multibase::decode(text).ok()?;
    parse(&bytes).filter(|cid| cid.version() == Version::V1)
}

/// The bytes that an identity CID holds.
pub fn inlined(cid: &Cid) -> Option<&[u8]> {
    (cid.hash().code() == HashKind::Identity.code()).then(|| cid.hash().digest())
}

/// What a block is sent with in place of its CID, which the receiver computes: version, codec, hash function, length of the digest, each a
/// varint. Of a CIDv0 that is `00 70 12 20`.
///
/// Source: `spec/network.md` 11.1 and 12.
pub fn prefix(cid: &Cid) -> Vec<u8> {
    let mut bytes = Vec::new();
    let version = if cid.version() == Version::V0 { 0 } else { 1 };
    for number in [version, cid.codec(), cid.hash().code(), u64::from(cid.hash().size())] {
        crate::varint::write(number, &mut bytes);
    }
    bytes
}

/// The CID of a block that came with a prefix.
///
/// # Errors
/// [`PrefixError`].
pub fn of_prefix(prefix: &[u8], bytes: &[u8]) -> Result<Cid, PrefixError> {
    let mut rest = prefix;
    let mut numbers = [0; 4];
    for number in &mut numbers {
        *number = crate::varint::read(&mut rest).map_err(|_| PrefixError::Syntax)?;
    }
    let [version, codec, code, length] = numbers;
    let kind = HashKind::by_code(code).ok_or(PrefixError::Unknown { code })?;
    let hash = kind.multihash(bytes)?;
    // Shorter digests are allowed by some, and used by nobody.
    if !rest.is_empty() || u64::from(hash.size()) != length {
        return Err(PrefixError::Syntax);
    }
    match version {
        0 => Cid::new_v0(hash).map_err(|_| PrefixError::Syntax),
        1 => Ok(Cid::new_v1(codec, hash)),
        _ => Err(PrefixError::Syntax),
    }
}

/// Why a prefix names no CID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PrefixError {
    #[error("this is no prefix of a CID")]
    Syntax,
    #[error("the prefix names hash function {code:#x}, which is not known")]
    Unknown { code: u64 },
    #[error(transparent)]
    Hash(#[from] HashError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The empty dag-pb node and an empty raw block by their well-known names, two more computed by Python's hashlib.
    #[test]
    fn bytes_are_those_of_their_cids() {
        for (text, bytes) in [
            ("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", &b""[..]),
            ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", b""),
            ("bafk2bzaceao4af3s5yaxd5pwctdhhy6h7iiqpkgpoj556wtnvwzxt2j4buoqa", b"Hello World"),
            ("bafkqac3imvwgy3zao5xxe3de", b"hello world"),
        ] {
            let cid: Cid = text.parse().unwrap();
            if let Err(error) = verify(&cid, bytes) {
                panic!("{error}");
            }
            assert_eq!(verify(&cid, b"other"), Err(HashError::Mismatch(Box::new(cid))));
            assert_eq!(of_prefix(&prefix(&cid), bytes).unwrap(), cid);
            assert_eq!(cid.to_string(), text);
        }
    }

    #[test]
    fn identities_hold_what_lotus_inlines() {
        let bytes = [7; 126];
        let cid = HashKind::Identity.cid(0x55, &bytes).unwrap();
        assert_eq!(inlined(&cid), Some(&bytes[..]));
        assert_eq!(Cid::try_from(cid.to_bytes()).unwrap(), cid);
        assert_eq!(HashKind::Identity.cid(0x55, &[7; 129]), Err(HashError::TooLong(129)));
        assert_eq!(inlined(&HashKind::Sha256.cid(0x55, &bytes).unwrap()), None);
    }

    #[test]
    fn texts_are_those_of_one_cid() {
        let v0 = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";
        let v1 = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        for text in [v0, v1, "bafkqaaa"] {
            assert_eq!(parse_text(text).unwrap().to_string(), text);
        }
        let cid = parse_text(v1).unwrap();
        for base in [multibase::Base::Base16Lower, multibase::Base::Base36Lower, multibase::Base::Base64Url] {
            assert_eq!(parse_text(&multibase::encode(base, cid.to_bytes())), Some(cid));
        }
        let longer = multibase::encode(multibase::Base::Base32Lower, [&cid.to_bytes()[..], &[0]].concat());
        // Version 0 in another base is no CID.
        let v0_in_base32 = multibase::encode(multibase::Base::Base32Lower, parse_text(v0).unwrap().to_bytes());
        for text in ["", "b", "ü", "Qm", &v1[..58], &format!("/ipfs/{v1}"), &longer, &v0_in_base32] {
            assert_eq!(parse_text(text), None, "{text}");
        }
    }

    #[test]
    fn regression_codec_above_64_bits() {
        let cid = |last: u8| [&[1, 0xf8][..], &[0xff; 8], &[last, 0, 0]].concat();
        assert!(parse(&cid(1)).is_some());
        assert_eq!((parse(&cid(0x53)), parse_first(&cid(0x53))), (None, None));
        assert_eq!(parse(&[&cid(1)[..], &[0]].concat()), None);
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        let piece: Cid = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy".parse().unwrap();
        assert_eq!(verify(&piece, b""), Err(HashError::Unknown { cid: Box::new(piece), code: 0x1012 }));
        for wrong in
            ["", "01", "0155", "015512", "01551220ff", "0255122000", "01551214", "0071b22020", "ffffffffffffffffffff01"]
        {
            assert!(of_prefix(&hex::decode(wrong).unwrap(), b"").is_err(), "{wrong}");
        }
        assert_eq!(of_prefix(&[1, 0x55, 0x16, 0x20], b""), Err(PrefixError::Unknown { code: 0x16 }));
    }
}
