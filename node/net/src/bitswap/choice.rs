//! Whom to ask for a block.

use std::time::{Duration, Instant};

use filecash_ipld::wire::bitswap::{Version, WantKind};
use libp2p::PeerId;

use super::engine::Hash;
use super::remote::Remote;
use super::session::{Ask, Session, Stage, Wanted};

/// Of a queue so many are looked at before the next answer.
const LOOKED_AT: usize = 128;
/// After which a provider that has nothing to do is asked, too.
pub(super) const LATE: Duration = Duration::from_secs(4);

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

    /// Asks for what is queued, as far as peers have room.
    pub(super) fn assign(&mut self, now: Instant) {
        if self.held > self.limits.window {
            return;
        }
        let queued: Vec<Hash> = self.queue.values().take(LOOKED_AT).copied().collect();
        for hash in queued {
            match self.choose(&hash) {
                Choice::Ask(peer) => {
                    self.ask(&peer, &hash, now);
                    self.probe(&peer, &hash, now);
                }
                Choice::Search(peers) => self.search(&peers, &hash, now),
                Choice::Nobody => self.set_aside(&hash),
                Choice::Wait if !self.peers.values().any(|remote| remote.has_room(1)) => break,
                Choice::Wait => {}
            }
        }
    }

    fn ask(&mut self, peer: &PeerId, hash: &Hash, now: Instant) {
        let Some(wanted) = self.wants.get_mut(hash) else { return };
        let Some(remote) = self.peers.get_mut(peer) else { return };
        remote.asked(wanted.size, now);
        match &mut wanted.stage {
            Stage::Asked(peers) => peers.push((*peer, now)),
            stage => *stage = Stage::Asked(vec![(*peer, now)]),
        }
        self.queue.remove(&wanted.order);
        let (cid, priority) = (wanted.cid, wanted.priority());
        self.asks.push(Ask { peer: *peer, cid, kind: Some(WantKind::Block), priority });
    }

    fn search(&mut self, peers: &[PeerId], hash: &Hash, now: Instant) {
        let Some(wanted) = self.wants.get_mut(hash) else { return };
        wanted.stage = Stage::Searching(now);
        self.queue.remove(&wanted.order);
        for peer in peers {
            self.ask_whether(peer, hash, now);
        }
    }

    fn ask_whether(&mut self, peer: &PeerId, hash: &Hash, now: Instant) {
        let Some(wanted) = self.wants.get_mut(hash) else { return };
        let Some(remote) = self.peers.get_mut(peer) else { return };
        remote.probed = Some(now);
        wanted.searched.push(*peer);
        let (cid, priority) = (wanted.cid, wanted.priority());
        self.asks.push(Ask { peer: *peer, cid, kind: Some(WantKind::Have), priority });
    }

    /// Asks those of whom nothing is known whether they have what is wanted last, which does not come before they can answer.
    fn probe(&mut self, asked: &PeerId, hash: &Hash, now: Instant) {
        let hash = self.queue.last_key_value().map_or(*hash, |(_, last)| *last);
        let Some(wanted) = self.wants.get(&hash) else { return };
        let is_unknown = |(peer, remote): &(&PeerId, &Remote)| {
            *peer != asked
                && remote.may_be_probed(now)
                && !wanted.denied.contains(peer)
                && !wanted.searched.contains(peer)
        };
        let unknown: Vec<PeerId> = self.peers.iter().filter(is_unknown).map(|(peer, _)| *peer).collect();
        unknown.iter().for_each(|peer| self.ask_whether(peer, &hash, now));
    }

    /// Asks providers that have time for what others are late with.
    pub(super) fn ask_others(&mut self, now: Instant) {
        let is_late = |wanted: &Wanted| matches!(wanted.asked(), [(_, since)] if now - *since > LATE);
        let mut late: Vec<(u64, Hash)> = self
            .wants
            .iter()
            .filter(|(_, wanted)| is_late(wanted))
            .map(|(hash, wanted)| (wanted.order, *hash))
            .collect();
        late.sort_by_key(|(order, _)| *order);
        for (_, hash) in late {
            if let Choice::Ask(peer) = self.choose(&hash)
                && self.peers.get(&peer).is_some_and(|remote| remote.provides)
            {
                self.ask(&peer, &hash, now);
            }
        }
    }
}
