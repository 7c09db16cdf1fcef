//! How proofs are written: JSON and bincode, byte for byte as the reference writes them.
//!
//! The two networks' bincode is the same: a node is its 32 bytes. In JSON, Filecoin writes a node as 32 numbers;
//! Filecash writes a *Poseidon* node (labels, TreeC, TreeR-last, replica id) as four 64-bit limbs, least significant
//! first, and the rest as 32 numbers too. Readers take any order of keys and any white space, and ignore unknown keys, as
//! the reference does; they refuse everything that is not of the sector's exact form, non-canonical nodes included.
//!
//! Source: `spec/replication.md` 0.5, 8.2, 8.3.

use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use bincode::Options;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::field::{Node, NonCanonical};
use crate::porep::challenges::ChallengeError;
use crate::porep::proof::{MalformedProof, Proof};
use crate::sector::{Profile, SealProof, UnknownProof};
use crate::store::aux::UnexpectedStore;

/// The longest JSON that is read: that of 64 GiB sectors has some 40 MB, non-interactive 500 MB.
const MAX_JSON_BYTES: usize = 1 << 30;

/// Why bytes were not accepted as an output of a phase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CodecError {
    #[error("malformed JSON")]
    Json(#[source] serde_json::Error),
    #[error("this is JSON of {found}, expected that of {expected}: the two write field elements differently")]
    OtherProfile { expected: Profile, found: Profile },
    #[error("malformed bincode")]
    Bincode(#[source] bincode::Error),
    #[error("{actual} bytes, expected {expected}")]
    Length { expected: u64, actual: u64 },
    #[error("{actual} bytes of JSON, at most {max} are read")]
    TooLong { max: usize, actual: usize },
    #[error(transparent)]
    UnknownProof(#[from] UnknownProof),
    #[error("{registered} goes with {expected}, not with {actual}")]
    Tag { registered: &'static str, expected: &'static str, actual: String },
    #[error("vanilla proof {challenge} of partition {partition}")]
    Proof { partition: usize, challenge: usize, source: MalformedProof },
    #[error("partition {partition}")]
    Partition { partition: usize, source: MalformedProof },
    #[error("{actual} {what}, expected {expected}")]
    Count { what: &'static str, expected: usize, actual: usize },
    #[error("{what} is no field element")]
    NonCanonical { what: &'static str, source: NonCanonical },
    #[error(transparent)]
    Store(#[from] UnexpectedStore),
    #[error(transparent)]
    Challenges(#[from] ChallengeError),
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

/// How a Poseidon node is written: [`Node`] itself, or [`Limbs`].
pub(super) trait Form: Serialize + DeserializeOwned + Copy {
    fn node(self) -> Node;
}

impl Form for Node {
    fn node(self) -> Node {
        self
    }
}

/// A node as Filecash writes it in JSON. In bincode the same bytes as [`Node`].
#[derive(Clone, Copy)]
pub(super) struct Limbs(Node);

impl Form for Limbs {
    fn node(self) -> Node {
        self.0
    }
}

impl Serialize for Limbs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (limbs, _) = self.0.as_chunks();
        let limbs: [u64; 4] = std::array::from_fn(|i| u64::from_le_bytes(limbs[i]));
        limbs.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Limbs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limbs = <[u64; 4]>::deserialize(deserializer)?;
        let mut node = [0; 32];
        for (bytes, limb) in node.as_chunks_mut().0.iter_mut().zip(limbs) {
            *bytes = limb.to_le_bytes();
        }
        Ok(Self(node))
    }
}

/// A Poseidon node as a network writes it.
pub(super) struct Element<'a> {
    pub(super) profile: Profile,
    pub(super) node: &'a Node,
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.profile {
            Profile::Filecoin => self.node.serialize(serializer),
            Profile::Filecash => Limbs(*self.node).serialize(serializer),
        }
    }
}

/// One proof as a network writes it.
struct ProofOf<'a>(Profile, &'a Proof);

impl Serialize for ProofOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Profile::Filecash if serializer.is_human_readable() => self.1.clone().map(Limbs).serialize(serializer),
            Profile::Filecoin | Profile::Filecash => self.1.serialize(serializer),
        }
    }
}

/// One partition as a network writes it.
struct PartitionOf<'a>(Profile, &'a [Proof]);

impl Serialize for PartitionOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.1.len()))?;
        self.1.iter().try_for_each(|proof| sequence.serialize_element(&ProofOf(self.0, proof)))?;
        sequence.end()
    }
}

/// Every partition's proofs as a network writes them, one proof after the other.
pub(super) struct Partitions<'a> {
    pub(super) profile: Profile,
    pub(super) proofs: &'a [Vec<Proof>],
}

impl Serialize for Partitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.proofs.len()))?;
        self.proofs.iter().try_for_each(|proofs| sequence.serialize_element(&PartitionOf(self.profile, proofs)))?;
        sequence.end()
    }
}

/// The registered proof: its name in JSON, its number in bincode.
pub(super) struct Registered<'a>(pub(super) &'a SealProof);

impl Serialize for Registered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("RegisteredSealProof", self.0.id, self.0.name)
    }
}

/// A value under the name of its sector size: `{"StackedDrg2KiBV1": …}` in JSON, a number and the value in bincode.
pub(super) struct BySize<'a, T> {
    pub(super) proof: &'a SealProof,
    pub(super) value: T,
}

/// The number of a proof's sector size in the network's list of them.
pub(super) fn size_number(proof: &SealProof) -> u32 {
    // Version 1 of every size comes first, and its name stands for the size.
    SealProof::all(proof.profile).find(|other| other.name == proof.size_name).map_or(u32::MAX, |first| first.id)
}

impl<T: Serialize> Serialize for BySize<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_variant("BySize", size_number(self.proof), self.proof.size_name, &self.value)
    }
}

/// What [`BySize`] writes in JSON: an object of one key.
pub(super) struct Tagged<T> {
    pub(super) name: String,
    pub(super) value: T,
}

impl<T> Tagged<T> {
    /// The value, if its name is that of the registered proof's size.
    pub(super) fn of(self, proof: &SealProof) -> Result<T, CodecError> {
        if self.name == proof.size_name {
            return Ok(self.value);
        }
        Err(CodecError::Tag { registered: proof.name, expected: proof.size_name, actual: self.name })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tagged<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneKey<T> {
            type Value = Tagged<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose one key names a sector size")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tagged<T>, A::Error> {
                let (name, value) = map.next_entry()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                match map.next_key::<String>()? {
                    None => Ok(Tagged { name, value }),
                    Some(_) => Err(de::Error::invalid_length(2, &self)),
                }
            }
        }

        deserializer.deserialize_map(OneKey(PhantomData))
    }
}

/// Reads JSON that both networks write alike.
///
/// # Errors
/// [`CodecError::Json`], [`CodecError::TooLong`].
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_JSON_BYTES {
        return Err(CodecError::TooLong { max: MAX_JSON_BYTES, actual: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(CodecError::Json)
}

/// Reads JSON in the form `T` of `profile`; `Other` is the other network's.
///
/// # Errors
/// [`CodecError::OtherProfile`] when it is JSON of the other form, [`CodecError::Json`], [`CodecError::TooLong`].
pub(super) fn from_json_of<T: DeserializeOwned, Other: DeserializeOwned>(
    profile: Profile,
    bytes: &[u8],
) -> Result<T, CodecError> {
    from_json(bytes).map_err(|error| {
        let found = match profile {
            Profile::Filecoin => Profile::Filecash,
            Profile::Filecash => Profile::Filecoin,
        };
        match (&error, from_json::<Other>(bytes)) {
            (CodecError::Json(_), Ok(_)) => CodecError::OtherProfile { expected: profile, found },
            _ => error,
        }
    })
}

/// Writes JSON without white space.
///
/// # Errors
/// [`CodecError::Write`].
pub(crate) fn write_json(value: &impl Serialize, sink: impl Write) -> Result<(), CodecError> {
    let mut sink = io::BufWriter::with_capacity(1 << 16, sink);
    serde_json::to_writer(&mut sink, value).map_err(|error| CodecError::Write(error.into()))?;
    sink.flush().map_err(CodecError::Write)
}

/// Writes bincode: fixed-width little-endian integers.
///
/// # Errors
/// [`CodecError::Bincode`], which stands for an error of the sink.
pub(crate) fn write_bincode(value: &impl Serialize, sink: impl Write) -> Result<(), CodecError> {
    let mut sink = io::BufWriter::with_capacity(1 << 16, sink);
    bincode::serialize_into(&mut sink, value).map_err(CodecError::Bincode)?;
    sink.flush().map_err(CodecError::Write)
}

/// Reads bincode of a known length; nothing may follow.
///
/// # Errors
/// [`CodecError::Length`], [`CodecError::Bincode`].
pub(crate) fn from_bincode<T: DeserializeOwned>(bytes: &[u8], expected: u64) -> Result<T, CodecError> {
    if bytes.len() as u64 != expected {
        return Err(CodecError::Length { expected, actual: bytes.len() as u64 });
    }
    let options = bincode::options().with_fixint_encoding().with_limit(expected);
    options.deserialize(bytes).map_err(CodecError::Bincode)
}

/// Bare vanilla proofs in JSON, as the fork's samples of reduced shapes have them.
#[cfg(test)]
pub(crate) fn read_partitions(profile: Profile, bytes: &[u8]) -> Result<Vec<Vec<Proof>>, CodecError> {
    fn read<N: Form>(bytes: &[u8]) -> Result<Vec<Vec<Proof>>, CodecError> {
        let partitions = from_json::<Vec<Vec<Proof<N>>>>(bytes)?.into_iter();
        Ok(partitions.map(|proofs| proofs.into_iter().map(|proof| proof.map(N::node)).collect()).collect())
    }
    match profile {
        Profile::Filecoin => read::<Node>(bytes),
        Profile::Filecash => read::<Limbs>(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/vectors/filecash-mini*-vanilla.json.
    #[test]
    fn proofs_of_reduced_shapes_are_rewritten_byte_for_byte() {
        let vectors: [&[u8]; 2] = [
            include_bytes!("../../../tests/vectors/filecash-mini4-vanilla.json"),
            include_bytes!("../../../tests/vectors/filecash-mini16-vanilla.json"),
        ];
        for bytes in vectors {
            let proofs = read_partitions(Profile::Filecash, bytes).unwrap();
            let mut written = Vec::new();
            write_json(&Partitions { profile: Profile::Filecash, proofs: &proofs }, &mut written).unwrap();
            assert_eq!(written, bytes);
        }
    }

    #[test]
    fn limbs_are_the_nodes_bytes_in_bincode() {
        let node: Node = std::array::from_fn(|i| (i * 7) as u8);
        assert_eq!(bincode::serialize(&Limbs(node)).unwrap(), node);
        assert_eq!(bincode::deserialize::<Limbs>(&node).unwrap().node(), node);
        let json = serde_json::to_string(&Limbs([0xff; 32])).unwrap();
        assert_eq!(json, format!("[{0},{0},{0},{0}]", u64::MAX));
        assert_eq!(serde_json::from_str::<Limbs>(&json).unwrap().node(), [0xff; 32]);
    }
}
