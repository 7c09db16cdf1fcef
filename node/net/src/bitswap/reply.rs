//! One message in answer to wants: which blocks go into it, and what is said of the others. No input or output but the look-ups that it is
//! handed.
//!
//! | Wanted | The block is | Answer |
//! |---|---|---|
//! | block | here | the block |
//! | have | here, up to 1 KiB | the block |
//! | have | here, longer | have |
//! | either | not here, or longer than bitswap sends | don't have, where that was asked for |
//!
//! A message has blocks of up to 512 KiB together, or one that is longer. Versions before 1.2.0 have no word for what is here; 1.0.0 sends
//! blocks of SHA-256 alone.
//!
//! Source: `spec/network.md` 12.

use filecash_ipld::block::MAX_BYTES;
use filecash_ipld::hash::HashKind;
use filecash_ipld::wire::bitswap::{Message, Presence, Version, WantKind};
use filecash_ipld::{Block, Cid};

use super::engine::{Asked, Outcome};

/// Bytes of blocks that go into a message.
pub const TARGET: usize = 512 << 10;
/// Up to so many bytes, who asks whether a block is here gets it.
pub const SMALL: u64 = 1 << 10;
/// Wants that are answered at once.
pub const ANSWERED: usize = 1024;

/// A message to be, from how long the blocks are on.
#[derive(Debug)]
pub struct Reply {
    version: Version,
    blocks: Vec<Asked>,
    presences: Vec<(Asked, bool)>,
    /// Not here, and nothing is said of it.
    absent: Vec<Asked>,
    unsent: Vec<Asked>,
    bytes: usize,
}

impl Reply {
    /// Looks how long each block is, and decides.
    pub fn plan(version: Version, asked: Vec<Asked>, mut length: impl FnMut(&Cid) -> Option<u64>) -> Self {
        let mut reply = Self {
            version,
            blocks: Vec::new(),
            presences: Vec::new(),
            absent: Vec::new(),
            unsent: Vec::new(),
            bytes: 0,
        };
        for asked in asked {
            // What is behind a block that has no room waits with it.
            if reply.unsent.is_empty() {
                let length = length(&asked.cid).filter(|length| reply.can_send(&asked.cid, *length));
                reply.decide(asked, length);
            } else {
                reply.unsent.push(asked);
            }
        }
        reply
    }

    fn can_send(&self, cid: &Cid, length: u64) -> bool {
        let named = self.version > Version::V1_0_0 || cid.hash().code() == HashKind::Sha256.code();
        named && length <= MAX_BYTES as u64
    }

    fn decide(&mut self, asked: Asked, length: Option<u64>) {
        let tells = self.version >= Version::V1_2_0;
        match length {
            Some(length) if asked.kind == WantKind::Block || length <= SMALL => {
                let bytes = length as usize;
                if self.bytes > 0 && self.bytes + bytes > TARGET {
                    self.unsent.push(asked);
                } else {
                    // An empty block counts, too.
                    self.bytes += bytes.max(1);
                    self.blocks.push(asked);
                }
            }
            Some(_) => self.presences.push((asked, true)),
            None if asked.send_dont_have && tells => self.presences.push((asked, false)),
            None => self.absent.push(asked),
        }
    }

    /// Bytes of its blocks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads the blocks; one that is gone meanwhile is not there. The message, if it says anything, and what becomes of each want when it
    /// has been sent.
    pub fn read(self, mut read: impl FnMut(&Cid) -> Option<Vec<u8>>) -> (Option<Message>, Vec<(Asked, Outcome)>) {
        let mut message = Message::default();
        let mut outcomes = Vec::new();
        for asked in self.blocks {
            match read(&asked.cid).filter(|bytes| bytes.len() <= MAX_BYTES) {
                Some(bytes) => {
                    message.blocks.push(Block::trusted(asked.cid, bytes));
                    outcomes.push((asked, Outcome::Told));
                }
                None => outcomes.push((asked, Outcome::Absent)),
            }
        }
        let tells = self.version >= Version::V1_2_0;
        for (asked, have) in self.presences {
            if tells {
                message.presences.push(Presence { cid: asked.cid, have });
            }
            outcomes.push((asked, if have { Outcome::Told } else { Outcome::Absent }));
        }
        outcomes.extend(self.absent.into_iter().map(|asked| (asked, Outcome::Absent)));
        outcomes.extend(self.unsent.into_iter().map(|asked| (asked, Outcome::Unsent)));
        let says = !message.blocks.is_empty() || !message.presences.is_empty();
        (says.then_some(message), outcomes)
    }
}
