//! A block as it is announced, and how its header names its messages.
//!
//! `BlockMsg` = (header, CIDs of BLS messages, CIDs of signed secp256k1 messages). The header's `messages` is the CID of a
//! [`MessageMeta`]: the roots of two AMTs over these CIDs, in the order of the block.
//!
//! Source: `spec/network.md` 4.1; `spec/chain.md` 2.4.

use filecash_ipld::{Block, Cid};

use crate::amt;
use crate::header::BlockHeader;
use crate::object::{Object, tuple};

/// The most messages of a block.
pub const MAX_MESSAGES: usize = 10_000;
/// The most bytes of an announcement: 1 MiB with room for what the network puts around it.
pub const MAX_BYTES: usize = (1 << 20) - (32 << 10);

/// The two lists of a block's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageMeta {
    /// AMT of the CIDs of BLS messages.
    pub bls_root: Cid,
    /// AMT of the CIDs of signed secp256k1 messages.
    pub secp_root: Cid,
}
tuple!(MessageMeta { bls_root, secp_root });

/// A block as it is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMsg {
    /// The block.
    pub header: BlockHeader,
    /// Its BLS messages.
    pub bls_messages: Vec<Cid>,
    /// Its signed secp256k1 messages.
    pub secp_messages: Vec<Cid>,
}
tuple!(BlockMsg { header, bls_messages, secp_messages });

/// What a header names messages by, and the blocks of it.
pub fn message_root(bls: &[Cid], secp: &[Cid]) -> (Cid, Vec<Block>) {
    let (bls_root, mut blocks) = amt::build(bls.iter().map(Object::to_ipld));
    let (secp_root, more) = amt::build(secp.iter().map(Object::to_ipld));
    let meta = MessageMeta { bls_root, secp_root }.to_block();
    let root = *meta.cid();
    blocks.extend(more);
    blocks.push(meta);
    (root, blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/chain.md` 2.4.
    #[test]
    fn no_messages_have_the_known_root() {
        let (root, _) = message_root(&[], &[]);
        assert_eq!(root.to_string(), "bafy2bzacecmda75ovposbdateg7eyhwij65zklgyijgcjwynlklmqazpwlhba");
    }
}
