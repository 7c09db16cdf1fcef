//! What a fetch knows of a peer: whether it can be told things, whether it has blocks, and how fast it is.

use std::time::{Duration, Instant};

use filecash_ipld::wire::bitswap::Version;

use super::session::SILENCE;

/// Bytes that a peer is asked for at first, at least, and at most.
const FIRST_WINDOW: usize = 2 << 20;
const LEAST_WINDOW: usize = 256 << 10;
const MOST_WINDOW: usize = 16 << 20;
/// Blocks that a peer is asked for at once: kubo keeps 1024 wants.
const MOST_ASKED: usize = 768;
/// A peer that says so often in a row that it has not got something is no provider any more.
const DENIALS: u32 = 8;
/// A window grows while blocks come within this time, and shrinks when they take longer than that.
const QUICK: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_secs(2);
/// Between two questions to somebody of whom nothing is known.
const PROBE: Duration = Duration::from_millis(500);

/// A peer of a fetch.
#[derive(Debug)]
pub(super) struct Remote {
    /// What it speaks, while it can be told things.
    pub version: Option<Version>,
    /// Whether it cannot be reached.
    pub is_lost: bool,
    /// Whether it has sent a block or said that it has one.
    pub provides: bool,
    /// When it was asked whether it has something.
    pub probed: Option<Instant>,
    /// How often it has said nothing in time.
    pub silences: u32,
    denials: u32,
    bytes: usize,
    count: usize,
    window: usize,
    /// When it said something, or was asked for something after it had nothing to do.
    heard: Option<Instant>,
    shrunk: Option<Instant>,
}

impl Remote {
    pub fn new() -> Self {
        Self {
            version: None,
            is_lost: false,
            provides: false,
            probed: None,
            silences: 0,
            denials: 0,
            bytes: 0,
            count: 0,
            window: FIRST_WINDOW,
            heard: None,
            shrunk: None,
        }
    }

    /// Whether it may be asked for so many bytes more; for one block always.
    pub fn has_room(&self, size: usize) -> bool {
        self.version.is_some() && self.count < MOST_ASKED && (self.count == 0 || self.bytes + size <= self.window)
    }

    /// How full its window is, in parts of 1024.
    pub fn load(&self) -> usize {
        self.bytes.saturating_mul(1024) / self.window
    }

    pub fn asked(&mut self, size: usize, now: Instant) {
        if self.count == 0 {
            self.heard = Some(now);
        }
        self.bytes += size;
        self.count += 1;
    }

    pub fn unasked(&mut self, size: usize) {
        self.bytes = self.bytes.saturating_sub(size);
        self.count = self.count.saturating_sub(1);
    }

    /// It sent a block that it was asked for then, while others wait to be asked for, or not.
    pub fn sent(&mut self, length: usize, since: Option<Instant>, has_more: bool, now: Instant) {
        self.said(true, now);
        let Some(took) = since.map(|since| now.saturating_duration_since(since)) else { return };
        if took < QUICK && (has_more || self.bytes + length > self.window / 2) {
            self.window = (self.window + length).min(MOST_WINDOW);
        } else if took > SLOW && self.shrunk.is_none_or(|then| now.saturating_duration_since(then) > SLOW) {
            self.window = (self.window / 2).max(LEAST_WINDOW);
            self.shrunk = Some(now);
        }
    }

    /// It has a block, or has not.
    pub fn said(&mut self, have: bool, now: Instant) {
        self.heard = Some(now);
        self.silences = 0;
        if have {
            (self.provides, self.denials) = (true, 0);
        } else {
            self.denials += 1;
            self.provides &= self.denials < DENIALS;
        }
    }

    /// Whether it has said nothing for too long. If so, it is no provider any more and has longer next time.
    pub fn is_silent(&mut self, now: Instant) -> bool {
        let patience = SILENCE * 2u32.pow(self.silences.min(3));
        let is_silent =
            self.count > 0 && self.heard.is_some_and(|heard| now.saturating_duration_since(heard) > patience);
        if is_silent {
            self.silences += 1;
            self.provides = false;
            self.heard = Some(now);
        }
        is_silent
    }

    pub fn may_be_probed(&self, now: Instant) -> bool {
        let long_ago = self.probed.is_none_or(|then| now.saturating_duration_since(then) > PROBE);
        self.version == Some(Version::V1_2_0) && !self.provides && long_ago
    }
}
