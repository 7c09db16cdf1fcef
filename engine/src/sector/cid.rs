//! Content identifiers of commitments.
//!
//! CIDv1: `01 ‖ uvarint(codec) ‖ uvarint(multihash) ‖ 20 ‖ commitment`, as text multibase `b` (base32, lower case).
//!
//! | Commitment | codec | multihash |
//! |---|---|---|
//! | CommP, CommD | 0xf101 fil-commitment-unsealed | 0x1012 sha2-256-trunc254-padded |
//! | CommR | 0xf102 fil-commitment-sealed | 0xb401 poseidon-bls12_381-a2-fc1 |
//!
//! Source: `spec/replication.md` 2.5.

use cid::Cid;
use multihash::Multihash;

use crate::field::Node;

/// The codec of CommP and CommD.
pub const UNSEALED: u64 = 0xf101;
/// The codec of CommR.
pub const SEALED: u64 = 0xf102;
/// The multihash of CommP and CommD.
pub const SHA256_TRUNC254: u64 = 0x1012;
/// The multihash of CommR.
pub const POSEIDON_A2: u64 = 0xb401;

/// A commitment and what it commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Commitment {
    /// CommP or CommD: of data.
    Data(Node),
    /// CommR: of a replica.
    Replica(Node),
}

/// Why a CID names no commitment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CidError {
    #[error("{text:?} is not a CID: {reason}")]
    Syntax { text: String, reason: String },
    #[error("codec {codec:#x} with multihash {multihash:#x} is not that of a commitment")]
    NotACommitment { codec: u64, multihash: u64 },
    #[error("the commitment is {actual} bytes, expected 32")]
    Length { actual: usize },
    #[error("the CID is of {}, expected that of {}", if *.replica { "a replica" } else { "data" }, if *.replica { "data" } else { "a replica" })]
    Kind { replica: bool },
}

fn new(codec: u64, multihash: u64, commitment: &Node) -> Cid {
    let hash = Multihash::wrap(multihash, commitment).expect("32 bytes are within the 64 that a multihash holds");
    Cid::new_v1(codec, hash)
}

/// The CID of a CommP or CommD.
pub fn of_data(commitment: &Node) -> Cid {
    new(UNSEALED, SHA256_TRUNC254, commitment)
}

/// The CID of a CommR.
pub fn of_replica(commitment: &Node) -> Cid {
    new(SEALED, POSEIDON_A2, commitment)
}

impl Commitment {
    /// Its CID.
    pub fn cid(&self) -> Cid {
        match self {
            Self::Data(commitment) => of_data(commitment),
            Self::Replica(commitment) => of_replica(commitment),
        }
    }

    /// The commitment that a CID names.
    ///
    /// # Errors
    /// [`CidError::NotACommitment`], [`CidError::Length`].
    pub fn from_cid(cid: &Cid) -> Result<Self, CidError> {
        let (codec, multihash) = (cid.codec(), cid.hash().code());
        let digest = cid.hash().digest();
        let node = || digest.try_into().map_err(|_| CidError::Length { actual: digest.len() });
        match (codec, multihash) {
            (UNSEALED, SHA256_TRUNC254) => Ok(Self::Data(node()?)),
            (SEALED, POSEIDON_A2) => Ok(Self::Replica(node()?)),
            _ => Err(CidError::NotACommitment { codec, multihash }),
        }
    }

    /// The commitment that a CID in text form names; any multibase.
    ///
    /// # Errors
    /// [`CidError`].
    pub fn parse(text: &str) -> Result<Self, CidError> {
        let cid = Cid::try_from(text)
            .map_err(|error| CidError::Syntax { text: text.to_owned(), reason: error.to_string() })?;
        Self::from_cid(&cid)
    }
}

/// Reads the CID of a CommP or CommD.
///
/// # Errors
/// [`CidError`]; [`CidError::Kind`] for a CommR.
pub fn parse_data(text: &str) -> Result<Node, CidError> {
    match Commitment::parse(text)? {
        Commitment::Data(node) => Ok(node),
        Commitment::Replica(_) => Err(CidError::Kind { replica: true }),
    }
}

/// Reads the CID of a CommR.
///
/// # Errors
/// [`CidError`]; [`CidError::Kind`] for a CommP or CommD.
pub fn parse_replica(text: &str) -> Result<Node, CidError> {
    match Commitment::parse(text)? {
        Commitment::Replica(node) => Ok(node),
        Commitment::Data(_) => Err(CidError::Kind { replica: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::piece::{PaddedLen, zero_commitment};
    use proptest::prelude::*;

    /// spec/replication.md 2.5.
    #[test]
    fn cids_of_zero_pieces_match_reference() {
        let expected = [
            (128, "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"),
            (2 << 10, "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"),
            (8 << 20, "baga6ea4seaqgl4u6lwmnerwdrm4iz7ag3mpwwaqtapc2fciabpooqmvjypweeha"),
            (512 << 20, "baga6ea4seaqdsvqopmj2soyhujb72jza76t4wpq5fzifvm3ctz47iyytkewnubq"),
            (4 << 30, "baga6ea4seaqgntqfunthkuwpixacxtcoqojjdg66vq254l7vmjyyjdu7pntvcby"),
            (16 << 30, "baga6ea4seaqg2nsld34emra2ljfgrbrdcswmbjdpaftrpzjuipudt3w7qpbikpa"),
            (32 << 30, "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"),
            (64 << 30, "baga6ea4seaqomqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq"),
        ];
        for (size, text) in expected {
            let commitment = zero_commitment(PaddedLen::new(size).unwrap());
            assert_eq!(of_data(&commitment).to_string(), text);
            assert_eq!(parse_data(text), Ok(commitment));
            assert_eq!(parse_replica(text), Err(CidError::Kind { replica: false }));
        }
    }

    /// spec/replication.md 2.5, the CommR of 12.7's 2 KiB sector with id 5.
    #[test]
    fn cid_of_a_replica_matches_reference() {
        let mut comm_r = [0; 32];
        hex::decode_to_slice("25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33", &mut comm_r).unwrap();
        let text = "bagboea4b5abcajiuaib5cydzdztur53hskzkjwo4vrn7jq33hdoyinmtkwsmfdbt";
        let cid = of_replica(&comm_r);
        assert_eq!(cid.to_string(), text);
        assert_eq!(hex::encode(&cid.to_bytes()[..9]), "0182e20381e8022025");
        assert_eq!(hex::encode(&of_data(&comm_r).to_bytes()[..8]), "0181e20392202025");
        assert_eq!(parse_replica(text), Ok(comm_r));
        assert_eq!(parse_data(text), Err(CidError::Kind { replica: true }));
    }

    #[test]
    fn other_cids_are_refused() {
        // An empty directory of IPFS, version 0.
        let directory = parse_data("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
        assert_eq!(directory, Err(CidError::NotACommitment { codec: 0x70, multihash: 0x12 }));
        let crossed = new(UNSEALED, POSEIDON_A2, &[1; 32]);
        assert!(matches!(Commitment::from_cid(&crossed), Err(CidError::NotACommitment { .. })));
        let short = Cid::new_v1(SEALED, Multihash::wrap(POSEIDON_A2, &[1; 31]).unwrap());
        assert_eq!(Commitment::from_cid(&short), Err(CidError::Length { actual: 31 }));
        for text in ["", "b", "baga6ea4seaq", "hello", "Qm"] {
            assert!(matches!(parse_data(text), Err(CidError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn every_cid_of_the_vectors_parses() {
        let folder = "../tests/vectors/commp";
        for file in ["0xCC.txt", "random.txt", "zero.txt"] {
            for line in std::fs::read_to_string(format!("{folder}/{file}")).unwrap().lines() {
                let text = line.rsplit(',').next().unwrap();
                assert_eq!(of_data(&parse_data(text).unwrap()).to_string(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn every_commitment_comes_back(node in any::<[u8; 32]>()) {
            for commitment in [Commitment::Data(node), Commitment::Replica(node)] {
                prop_assert_eq!(Commitment::parse(&commitment.cid().to_string()), Ok(commitment));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = Commitment::parse(&text);
        }
    }
}
