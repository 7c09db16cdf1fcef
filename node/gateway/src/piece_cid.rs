//! CIDs of pieces, of both versions.
//!
//! ```text
//! version 1   codec fil-commitment-unsealed f101 ‖ hash sha2-256-trunc254-padded 1012 ‖ 20 ‖ root          baga…
//! version 2   codec raw 55 ‖ hash fr32-sha256-trunc254-padbintree 1011 ‖ length ‖ padding varint ‖ height ‖ root    bafkz…
//! ```
//! The root is of a binary tree over the data, padded with zeros to 127·2ᵏ bytes (k ≥ 0), which Fr32 makes 128·2ᵏ, 2^(height) leaves of 32.
//! Version 1 does not say how long the data was, version 2 says by how many zeros it was padded.
//!
//! Source: FRC-0069.

use std::fmt;

use filecash_ipld::{Cid, hash, varint};
use multihash::Multihash;

use crate::request::MOST_CID_BYTES;

const UNSEALED: u64 = 0xf101;
const TRUNCATED_PADDED: u64 = 0x1012;
const RAW: u64 = 0x55;
const PADDED_TREE: u64 = 0x1011;
/// Of 127 bytes, 128 padded, which is the least.
const LEAST_HEIGHT: u8 = 2;
/// Trees of 2^45 bytes are a thousand times those of the largest sector.
const MOST_HEIGHT: u8 = 40;

/// The name of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceCid {
    root: [u8; 32],
    length: Option<u64>,
    cid: Cid,
}

/// Why a text names no piece.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PieceCidError {
    #[error("{0:?} is no CID")]
    Cid(String),
    #[error("{0} is not the CID of a piece: those begin with baga6ea4seaq or bafkzcib")]
    Kind(Box<Cid>),
    #[error("{0} does not say a length that a piece can have")]
    Length(Box<Cid>),
}

impl PieceCid {
    /// Reads a CID of a piece, of either version.
    ///
    /// # Errors
    /// [`PieceCidError`].
    pub fn parse(text: &str) -> Result<Self, PieceCidError> {
        let parsed = (text.len() <= MOST_CID_BYTES).then(|| hash::parse_text(text)).flatten();
        let cid = parsed.ok_or_else(|| PieceCidError::Cid(text.chars().take(MOST_CID_BYTES).collect()))?;
        let kind = || PieceCidError::Kind(Box::new(cid));
        match (cid.codec(), cid.hash().code()) {
            (UNSEALED, TRUNCATED_PADDED) => {
                let root = cid.hash().digest().try_into().map_err(|_| kind())?;
                Ok(Self { root, length: None, cid })
            }
            (RAW, PADDED_TREE) => {
                let (padding, height, root) = split(cid.hash().digest()).ok_or_else(kind)?;
                let length = length(padding, height).ok_or_else(|| PieceCidError::Length(Box::new(cid)))?;
                Ok(Self { root, length: Some(length), cid })
            }
            _ => Err(kind()),
        }
    }

    /// Its name of version 1.
    pub fn version_1(&self) -> Cid {
        let hash = Multihash::wrap(TRUNCATED_PADDED, &self.root).expect("32 bytes fit a multihash");
        Cid::new_v1(UNSEALED, hash)
    }

    /// How many bytes the data has, by version 2.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl fmt::Display for PieceCid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cid.fmt(formatter)
    }
}

fn split(digest: &[u8]) -> Option<(u64, u8, [u8; 32])> {
    let mut rest = digest;
    let padding = varint::read(&mut rest).ok()?;
    let (height, root) = rest.split_first()?;
    Some((padding, *height, root.try_into().ok()?))
}

/// Bytes of data below a tree: less than half of them are padding, or the tree would be smaller.
fn length(padding: u64, height: u8) -> Option<u64> {
    if !(LEAST_HEIGHT..=MOST_HEIGHT).contains(&height) {
        return None;
    }
    let capacity = 127 << (height - LEAST_HEIGHT);
    let length = u64::checked_sub(capacity, padding)?;
    (height == LEAST_HEIGHT || length > capacity / 2).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test cases of FRC-0069: version 2, version 1 where it is told, bytes of data.
    #[test]
    fn both_versions_name_the_same_piece() {
        for (second, first, length) in [
            (
                "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
                Some("baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi"),
                127 * 4,
            ),
            ("bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy", None, 0),
            ("bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy", None, 127),
            ("bafkzcibcpybwiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy", None, 128),
            (
                "bafkzcibcaapao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
                Some("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"),
                (32 << 30) / 128 * 127,
            ),
            (
                "bafkzcibcaap6mqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq",
                Some("baga6ea4seaqomqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq"),
                (64 << 30) / 128 * 127,
            ),
            (
                "bafkzcibd7abqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4",
                Some("baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa"),
                128 * 4,
            ),
            (
                "bafkzcibd64bqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4",
                Some("baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa"),
                128 * 4 + 1,
            ),
        ] {
            let piece = PieceCid::parse(second).unwrap();
            assert_eq!((piece.length(), piece.to_string()), (Some(length), second.to_owned()));
            if let Some(first) = first {
                assert_eq!(piece.version_1().to_string(), first);
                let named = PieceCid::parse(first).unwrap();
                assert_eq!((named.length(), named.version_1()), (None, piece.version_1()));
            }
        }
    }

    #[test]
    fn what_names_no_piece_is_refused() {
        let replica = "bagboea4b5abcajiuaib5cydzdztur53hskzkjwo4vrn7jq33hdoyinmtkwsmfdbt";
        for text in ["bafkqaaa", replica, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"] {
            assert!(matches!(PieceCid::parse(text), Err(PieceCidError::Kind(_))), "{text}");
        }
        for text in
            ["", "x", "baga", &"b".repeat(10_000), "baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi/"]
        {
            assert!(matches!(PieceCid::parse(text), Err(PieceCidError::Cid(_))), "{text}");
        }
        let second = |padding: u64, height: u8, root: usize| {
            let mut digest = Vec::new();
            varint::write(padding, &mut digest);
            digest.push(height);
            digest.extend(vec![0; root]);
            PieceCid::parse(&Cid::new_v1(RAW, Multihash::wrap(PADDED_TREE, &digest).unwrap()).to_string())
        };
        for (padding, height) in [(0, 0), (0, 1), (0, 41), (0, 255), (128, 2), (127, 3), (u64::MAX >> 1, 40)] {
            assert!(matches!(second(padding, height, 32), Err(PieceCidError::Length(_))), "{padding} {height}");
        }
        assert_eq!(second(126, 3, 32).unwrap().length(), Some(128));
        assert!(second(0, 2, 31).is_err() && second(0, 2, 33).is_err());
    }
}
