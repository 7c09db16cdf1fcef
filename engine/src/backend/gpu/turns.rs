//! Who goes first: urgent work, which others wait for between their blocks.

use std::sync::{Condvar, Mutex, PoisonError};

/// Counts urgent work.
#[derive(Debug, Default)]
pub(super) struct Turns {
    urgent: Mutex<usize>,
    changed: Condvar,
}

/// Urgent work that is being done.
#[derive(Debug)]
pub(super) struct Urgent<'a>(&'a Turns);

impl Turns {
    /// Begins urgent work, which ends when this is dropped.
    pub(super) fn urgent(&self) -> Urgent<'_> {
        *self.urgent.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Urgent(self)
    }

    /// Returns when there is no urgent work.
    pub(super) fn wait(&self) {
        let urgent = self.urgent.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(urgent, |urgent| *urgent > 0));
    }
}

impl Drop for Urgent<'_> {
    fn drop(&mut self) {
        *self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}
