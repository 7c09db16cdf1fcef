//! Whom to ask for a block.

use filecash_ipld::wire::bitswap::Version;
use libp2p::PeerId;

use super::engine::Hash;
use super::session::Session;

/// What to do about a block that is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Ask a peer for it.
    Ask(PeerId),
    /// Ask peers whether they have it.
    Search(Vec<PeerId>),
    /// Who may have it has no time, or is not connected yet.
    Wait,
    /// Nobody has it.
    Nobody,
}

impl Session {
    pub(super) fn choose(&self, hash: &Hash) -> Choice {
        let Some(wanted) = self.wants.get(hash) else { return Choice::Nobody };
        let size = wanted.size;
        let may_have = |peer: &PeerId| !wanted.denied.contains(peer) && !wanted.is_asked_of(peer);
        let here = || self.peers.iter().filter(|(peer, remote)| remote.version.is_some() && may_have(peer));
        let (known, unknown): (Vec<_>, Vec<_>) =
            here().partition(|(peer, remote)| remote.provides || wanted.haves.contains(peer));

        let idlest = known.iter().filter(|(_, remote)| remote.has_room(size)).min_by_key(|(_, remote)| remote.load());
        if let Some((peer, _)) = idlest {
            return Choice::Ask(**peer);
        }
        if !known.is_empty() {
            return Choice::Wait;
        }
        let is_new = |peer: &PeerId, version| version == Some(Version::V1_2_0) && !wanted.searched.contains(peer);
        let new: Vec<PeerId> =
            unknown.iter().filter(|(peer, remote)| is_new(peer, remote.version)).map(|(peer, _)| **peer).collect();
        if unknown.len() > 1 && !new.is_empty() {
            return Choice::Search(new);
        }
        // One that has not answered, or has no words for it.
        let best = unknown.iter().min_by_key(|(_, remote)| (remote.silences, remote.load()));
        match best {
            Some((peer, remote)) if remote.has_room(size) => Choice::Ask(**peer),
            Some(_) => Choice::Wait,
            None if self
                .peers
                .iter()
                .any(|(peer, remote)| remote.version.is_none() && !remote.is_lost && !wanted.denied.contains(peer)) =>
            {
                Choice::Wait
            }
            None => Choice::Nobody,
        }
    }
}
