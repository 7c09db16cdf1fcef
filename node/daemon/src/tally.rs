//! How much gossip was accepted, ignored and rejected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use filecash_net::gossip::{Judge, TopicKind, Verdict};

/// Announcements by what became of them.
#[derive(Debug, Default)]
pub struct Tally([[AtomicU64; 3]; 2]);

/// The names of the verdicts, in the order of [`Tally::all`].
pub const VERDICTS: [&str; 3] = ["accepted", "ignored", "rejected"];

impl Tally {
    fn add(&self, kind: TopicKind, verdict: Verdict) {
        let place = match verdict {
            Verdict::Accept => 0,
            Verdict::Ignore => 1,
            Verdict::Reject => 2,
        };
        self.of(kind)[place].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, kind: TopicKind) -> &[AtomicU64; 3] {
        match kind {
            TopicKind::Blocks => &self.0[0],
            TopicKind::Messages => &self.0[1],
        }
    }

    /// How many of a kind were accepted, ignored and rejected.
    pub fn all(&self, kind: TopicKind) -> [u64; 3] {
        self.of(kind).each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// A judge whose verdicts are counted.
pub fn counted(judge: Judge, tally: Arc<Tally>) -> Judge {
    Arc::new(move |kind, bytes| {
        let verdict = judge(kind, bytes);
        tally.add(kind, verdict);
        verdict
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_passed_on_and_counted() {
        let tally = Arc::new(Tally::default());
        let judge: Judge = Arc::new(|_, bytes| match bytes {
            b"good" => Verdict::Accept,
            b"late" => Verdict::Ignore,
            _ => Verdict::Reject,
        });
        let judge = counted(judge, Arc::clone(&tally));
        assert_eq!(judge(TopicKind::Blocks, b"good"), Verdict::Accept);
        assert_eq!(judge(TopicKind::Blocks, b"late"), Verdict::Ignore);
        assert_eq!(judge(TopicKind::Blocks, b"late"), Verdict::Ignore);
        assert_eq!(judge(TopicKind::Messages, b"bad"), Verdict::Reject);
        assert_eq!((tally.all(TopicKind::Blocks), tally.all(TopicKind::Messages)), ([1, 2, 0], [0, 0, 1]));
    }
}
