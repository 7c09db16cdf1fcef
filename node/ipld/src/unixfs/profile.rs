//! How others cut files and name blocks.
//!
//! | Profile | Chunks | Links a node | Leaves | CID | Inlined | A folder is sharded |
//! |---|---|---|---|---|---|---|
//! | `kubo` | 256 KiB | 174 | dag-pb | v0, sha2-256 | | from 256 KiB |
//! | `kubo-v1` | 256 KiB | 174 | raw | v1, sha2-256 | | from 256 KiB |
//! | `lotus` | 1 MiB | 1024 | raw | v1, blake2b-256 | up to 126 bytes | from 256 KiB |
//! | `helia` | 1 MiB | 1024 | raw | v1, sha2-256 | | above 256 KiB |
//!
//! All of fixed chunks and balanced trees. `kubo` is what kubo does by default, `kubo-v1` with `--cid-version 1`, `lotus` what a client of
//! Lotus or Filecash imports a file with. Neither mode nor time of a file is written. The size of a folder is estimated, by all, as that of
//! its names and CIDs. Lotus imports no folders; the rows of kubo, which has the same code, are taken for them.
//!
//! Source: `spec/network.md` 13.2; kubo 0.22 and `ipfs-unixfs-importer` 17.1.1 differ for a folder of 256 KiB to the byte, as recorded in
//! `unixfs.txt`.

use cid::Version;

use crate::codec::Codec;
use crate::hash::{Cid, HashError, HashKind};

/// A way to cut files and to name blocks: a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Under which it is asked for.
    pub name: &'static str,
    /// Bytes of a leaf; at least one.
    pub chunk: usize,
    /// The most links of a node of a file; at least two.
    pub links: usize,
    /// Whether leaves are raw blocks, and not dag-pb with a message in it.
    pub raw_leaves: bool,
    /// Version of the CIDs of dag-pb nodes. Raw blocks have none of version 0.
    pub version: Version,
    /// The hash function.
    pub hash: HashKind,
    /// Blocks of up to so many bytes are held by their CIDs.
    pub inline: Option<usize>,
    /// From which estimated size on a folder is sharded.
    pub shard_from: u64,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// kubo's default.
pub const KUBO: Profile = Profile {
    name: "kubo",
    chunk: 256 * KIB,
    links: 174,
    raw_leaves: false,
    version: Version::V0,
    hash: HashKind::Sha256,
    inline: None,
    shard_from: 256 << 10,
};

/// kubo with `--cid-version 1`.
pub const KUBO_V1: Profile = Profile { name: "kubo-v1", raw_leaves: true, version: Version::V1, ..KUBO };

/// Clients of Lotus and Filecash.
pub const LOTUS: Profile =
    Profile { name: "lotus", chunk: MIB, links: 1024, hash: HashKind::Blake2b256, inline: Some(126), ..KUBO_V1 };

/// Helia's default.
pub const HELIA: Profile =
    Profile { name: "helia", hash: HashKind::Sha256, inline: None, shard_from: (256 << 10) + 1, ..LOTUS };

/// All of them.
pub const ALL: [Profile; 4] = [KUBO, KUBO_V1, LOTUS, HELIA];

/// The profile of a name.
pub fn by_name(name: &str) -> Option<Profile> {
    ALL.into_iter().find(|profile| profile.name == name)
}

impl Profile {
    /// The CID of a block.
    ///
    /// # Errors
    /// [`HashError::TooLong`] where more is inlined than a CID holds.
    pub fn cid(&self, codec: Codec, bytes: &[u8]) -> Result<Cid, HashError> {
        if self.inline.is_some_and(|limit| bytes.len() <= limit) {
            return HashKind::Identity.cid(codec.code(), bytes);
        }
        let hash = self.hash.multihash(bytes)?;
        let v0 = || (self.version == Version::V0 && codec == Codec::DagPb).then(|| Cid::new_v0(hash).ok());
        Ok(v0().flatten().unwrap_or_else(|| Cid::new_v1(codec.code(), hash)))
    }
}
