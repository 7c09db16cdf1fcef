//! What was served so far, as numbers for who shows them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A block.
    Block,
    /// A CAR.
    Car,
    /// A piece.
    Piece,
    /// Something that is none of them.
    Other,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Car => "car",
            Self::Piece => "piece",
            Self::Other => "other",
        }
    }
}

/// Numbers of requests and bytes since the server began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Requests by what was asked for and the status of the answer. Each counts when its answer begins.
    pub requests: BTreeMap<(Kind, u16), u64>,
    /// Bytes of bodies that were handed to connections.
    pub bytes: BTreeMap<Kind, u64>,
    /// Answers that were under way and broke off by our fault: a block was missing, a disk failed.
    pub broken_off: BTreeMap<Kind, u64>,
    /// Answers whose client left before their end.
    pub left: BTreeMap<Kind, u64>,
    /// Connections that were closed because there were too many.
    pub refused_connections: u64,
    /// Answers that are under way.
    pub under_way: u64,
}

/// [`Metrics`] that are counted.
#[derive(Debug, Default)]
pub struct Counters(Mutex<Metrics>);

impl Counters {
    /// As they are now.
    pub fn read(&self) -> Metrics {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Metrics)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
