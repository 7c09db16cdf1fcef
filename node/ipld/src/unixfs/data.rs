//! What a node of UnixFS has in the data of its dag-pb.
//!
//! ```text
//! Data     = { 1: Type, 2: Data bytes, 3: filesize, 4: blocksizes repeated, 5: hashType, 6: fanout, 7: mode, 8: mtime UnixTime }
//! UnixTime = { 1: Seconds int64, 2: FractionalNanoseconds fixed32 }
//! ```
//! Protocol buffers of the second version: block sizes have a tag each, and what is not there is not written. Packed block sizes and fields
//! of other programs are read too.
//!
//! Source: `unixfs.proto` of the UnixFS specification.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A leaf of a file, as some old writers have it.
    Raw,
    /// A folder.
    Directory,
    /// A file, or a part of one.
    File,
    /// Metadata of a file; no program writes it.
    Metadata,
    /// A symbolic link.
    Symlink,
    /// A folder in many nodes, or one of them.
    HamtShard,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Raw, Self::Directory, Self::File, Self::Metadata, Self::Symlink, Self::HamtShard];
}

/// A time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtime {
    /// Since 1970, before which it is negative.
    pub seconds: i64,
    /// What is more than that.
    pub nanoseconds: Option<u32>,
}

impl Mtime {
    /// As the system has it; nothing where that cannot be.
    pub fn to_system(self) -> Option<SystemTime> {
        let seconds = Duration::from_secs(self.seconds.unsigned_abs());
        let whole = if self.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) }?;
        let part = Some(self.nanoseconds.unwrap_or(0)).filter(|part| *part < 1_000_000_000)?;
        whole.checked_add(Duration::from_nanos(part.into()))
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file, where a symbolic link leads, which places of a shard are taken.
    pub data: Option<Vec<u8>>,
    /// How many bytes of the file are here and below.
    pub filesize: Option<u64>,
    /// How many of them are below each link.
    pub blocksizes: Vec<u64>,
    /// By which hash names are sharded.
    pub hash_type: Option<u64>,
    /// Into how many places.
    pub fanout: Option<u64>,
    /// Who may do what.
    pub mode: Option<u32>,
    /// When it was changed.
    pub mtime: Option<Mtime>,
}

/// Why bytes are no [`Data`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum DataError {
    #[error("its data is no message")]
    Syntax(#[from] prost::DecodeError),
    #[error("it does not say what it is")]
    NoKind,
    #[error("it is of kind {0}, which is not known")]
    Kind(i32),
}

#[derive(Clone, PartialEq, Message)]
struct DataMessage {
    #[prost(int32, optional, tag = "1")]
    kind: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    data: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    filesize: Option<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    blocksizes: Vec<u64>,
    #[prost(uint64, optional, tag = "5")]
    hash_type: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    fanout: Option<u64>,
    #[prost(uint32, optional, tag = "7")]
    mode: Option<u32>,
    #[prost(message, optional, tag = "8")]
    mtime: Option<UnixTimeMessage>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct UnixTimeMessage {
    #[prost(int64, optional, tag = "1")]
    seconds: Option<i64>,
    #[prost(fixed32, optional, tag = "2")]
    nanoseconds: Option<u32>,
}

impl Data {
    /// One that says nothing else.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            data: None,
            filesize: None,
            blocksizes: Vec::new(),
            hash_type: None,
            fanout: None,
            mode: None,
            mtime: None,
        }
    }

    /// Reads one that is all of the bytes.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DataError> {
        let message = DataMessage::decode(bytes)?;
        let number = message.kind.ok_or(DataError::NoKind)?;
        let kind = usize::try_from(number).ok().and_then(|place| Kind::ALL.get(place));
        let mtime = |UnixTimeMessage { seconds, nanoseconds }| Mtime { seconds: seconds.unwrap_or(0), nanoseconds };
        Ok(Self {
            kind: *kind.ok_or(DataError::Kind(number))?,
            data: message.data,
            filesize: message.filesize,
            blocksizes: message.blocksizes,
            hash_type: message.hash_type,
            fanout: message.fanout,
            mode: message.mode,
            mtime: message.mtime.map(mtime),
        })
    }

    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        let mtime = |Mtime { seconds, nanoseconds }| UnixTimeMessage { seconds: Some(seconds), nanoseconds };
        let message = DataMessage {
            kind: Some(self.kind as i32),
            data: self.data,
            filesize: self.filesize,
            blocksizes: self.blocksizes,
            hash_type: self.hash_type,
            fanout: self.fanout,
            mode: self.mode,
            mtime: self.mtime.map(mtime),
        };
        message.encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first four are in blocks of which `unixfs.txt` has the CIDs of kubo, the last two as `ipfs-unixfs` 13.1.1 marshals them.
    #[test]
    fn messages_are_read_and_written_byte_for_byte() {
        let file = Data { filesize: Some(0), ..Data::new(Kind::File) };
        for (bytes, data) in [
            ("0801", Data::new(Kind::Directory)),
            ("08021800", file.clone()),
            ("0802120178 1801", Data { data: Some(b"x".into()), filesize: Some(1), ..file.clone() }),
            (
                "0802 18818010 20808010 2001",
                Data { filesize: Some(262_145), blocksizes: vec![262_144, 1], ..file.clone() },
            ),
            (
                "0805 120103 2822 308002",
                Data { data: Some(vec![3]), hash_type: Some(0x22), fanout: Some(256), ..Data::new(Kind::HamtShard) },
            ),
            (
                "0802 1800 38ed03 42100 8fbffffffffffffffff0115e8030000",
                Data { mode: Some(0o755), mtime: Some(Mtime { seconds: -5, nanoseconds: Some(1000) }), ..file.clone() },
            ),
        ] {
            let bytes = hex::decode(bytes.replace(' ', "")).unwrap();
            assert_eq!(Data::decode(&bytes).as_ref(), Ok(&data));
            assert_eq!(hex::encode(data.encode()), hex::encode(bytes));
        }
    }

    #[test]
    fn packed_block_sizes_and_unknown_fields_are_read() {
        let data = Data::decode(&hex::decode("08021803220201024a00").unwrap()).unwrap();
        assert_eq!((data.filesize, data.blocksizes), (Some(3), vec![1, 2]));
    }

    #[test]
    fn other_bytes_are_refused() {
        assert_eq!(Data::decode(b""), Err(DataError::NoKind));
        assert_eq!(Data::decode(&[8, 6]), Err(DataError::Kind(6)));
        assert_eq!(Data::decode(&hex::decode("08ffffffffffffffffff01").unwrap()), Err(DataError::Kind(-1)));
        for wrong in ["08", "0802 12ff", "0802 1205aa", "0a00", "0802 20", "ff"] {
            let error = Data::decode(&hex::decode(wrong.replace(' ', "")).unwrap()).unwrap_err();
            assert!(matches!(error, DataError::Syntax(_)), "{wrong}");
        }
    }
}
