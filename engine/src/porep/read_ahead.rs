//! Brings pages of layers in files into memory before their labels are asked for.
//!
//! Where memory has no room for layers, each label asks for up to fourteen that lie anywhere, and a core that waits for one page
//! after the other from the disk does nothing else: 50 µs a page, where a label takes one. Which pages comes out of the
//! parent table, so other threads, which cost nothing while they wait, ask for those of the nodes to come: a disk serves
//! many at once in the time of one. They stay as close to the labels as memory allows, so that no page is dropped again
//! before it is used; and where pages are in memory anyway they hardly look, for labels may need their cores.

use std::fs::File;
use std::hint::black_box;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use crate::field::Node;
use crate::graph::parents::Row;
use crate::sector::params::{BASE_DEGREE, DEGREE, NODE_SIZE};
use crate::store::positioned::{is_cached, read_exact_at};

/// Threads, and so pages that are read at a time.
const READERS: usize = 16;
/// Nodes that a reader takes at a time.
pub(super) const CHUNK: usize = 64;
/// Bytes of a page of most systems; of larger ones fewer are dropped.
const PAGE: u64 = 4096;
/// Parents that are nearer are still in memory.
const NEAR: usize = 1 << 15;
/// Of so many chunks one is looked at, where none came from a disk lately.
const MOST_SKIPPED: usize = 256;

/// A layer in a file that is mapped.
pub(super) struct InFile<'a> {
    /// The file.
    pub(super) file: &'a File,
    /// Its labels.
    pub(super) nodes: &'a [Node],
}

/// Readers of the pages that labels will ask for.
pub(super) struct ReadAhead<'a> {
    parents: &'a [Row],
    /// Layers before that are in files.
    previous: Vec<InFile<'a>>,
    /// Layers in files that are being filled.
    filled: Vec<File>,
    /// Nodes that readers are ahead of the labels at the most.
    ahead: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// Where readers and labels are.
struct State {
    /// The first node that no reader has taken.
    next: usize,
    /// The first node without a label.
    labelled: usize,
    /// Every so many chunks are looked at.
    step: usize,
    stopped: bool,
}

impl<'a> ReadAhead<'a> {
    /// For layers before and layers that are filled, with so many bytes of memory.
    pub(super) fn new(parents: &'a [Row], previous: Vec<InFile<'a>>, filled: Vec<File>, memory_bytes: u64) -> Self {
        // What waits to be used takes a quarter of it.
        let of_a_node = PAGE * (DEGREE * previous.len().max(filled.len()).max(1)) as u64;
        let ahead = (memory_bytes / 4 / of_a_node).clamp((READERS * CHUNK) as u64, 1 << 14) as usize;
        let state = Mutex::new(State { next: 0, labelled: 0, step: 1, stopped: false });
        Self { parents, previous, filled, ahead, state, changed: Condvar::new() }
    }

    /// Starts the readers, which end when what is returned is dropped; one that cannot be started is not missed much.
    #[must_use]
    pub(super) fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Reading<'scope> {
        for _ in 0..READERS {
            if let Err(error) = thread::Builder::new().name("read ahead".to_owned()).spawn_scoped(scope, || self.read())
            {
                tracing::debug!(%error, "fewer threads read layers ahead");
            }
        }
        Reading(self)
    }

    /// Nodes to label before the readers are told: whole chunks, for digests take two nodes at a time.
    pub(super) fn block(&self) -> usize {
        self.ahead / 4 / CHUNK * CHUNK
    }

    /// Says that nodes before this one have their labels.
    pub(super) fn labelled(&self, node: usize) {
        let mut state = self.locked();
        state.labelled = node;
        self.wake_one(&state);
    }

    /// Wakes a reader if there is something for one. It wakes the next: all of them at once would be in the way of the labels.
    fn wake_one(&self, state: &State) {
        if state.next < state.labelled + self.ahead {
            self.changed.notify_one();
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // It is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next nodes to look at; waits until they are near enough.
    fn take(&self) -> Option<usize> {
        let nodes = self.parents.len();
        let too_far =
            |state: &mut State| !state.stopped && state.next < nodes && state.next >= state.labelled + self.ahead;
        let mut state = self.changed.wait_while(self.locked(), too_far).unwrap_or_else(PoisonError::into_inner);
        // Labels that overtook the readers need none.
        let first = state.next.max(state.labelled).next_multiple_of(CHUNK);
        state.next = first + CHUNK * state.step;
        self.wake_one(&state);
        (!state.stopped && first < nodes).then_some(first)
    }

    fn read(&self) {
        while let Some(first) = self.take() {
            let from_disk = self.look_at(first);
            let mut state = self.locked();
            state.step = if from_disk { 1 } else { (2 * state.step).min(MOST_SKIPPED) };
        }
    }

    /// Asks for the parents of some nodes; whether any came from a disk.
    fn look_at(&self, first: usize) -> bool {
        let mut from_disk = false;
        let nodes = self.parents.iter().enumerate().skip(first).take(CHUNK);
        for (node, row) in nodes {
            let (base, expander) = row.split_at(BASE_DEGREE);
            for parent in expander.iter().map(|parent| u32::from_le(*parent) as usize) {
                for InFile { file, nodes } in &self.previous {
                    from_disk |= !is_cached(file, (parent * NODE_SIZE) as u64);
                    // Through the map, so that the labels find the page there too.
                    black_box(nodes.get(parent).copied());
                }
            }
            let far = base.iter().map(|parent| u32::from_le(*parent) as usize).filter(|parent| parent + NEAR < node);
            for parent in far {
                for file in &self.filled {
                    let offset = (parent * NODE_SIZE) as u64;
                    if !is_cached(file, offset) {
                        from_disk = true;
                        // Whoever needs it will see that it cannot be read.
                        let _ = read_exact_at(file, &mut [0], offset);
                    }
                }
            }
        }
        from_disk
    }
}

/// Readers at work.
pub(super) struct Reading<'a>(&'a ReadAhead<'a>);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.locked().stopped = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, ParentTable};
    use crate::sector::PoRepId;
    use std::io::Write;

    const NODES: usize = 1 << 10;

    fn graph() -> ParentTable {
        ParentTable::compute(&Graph::over(NODES as u64, PoRepId::from_number(5), false))
    }

    /// Readers keep their distance, end by themselves when all nodes have been looked at, and at a word.
    #[test]
    fn readers_stay_near_and_end() {
        let table = graph();
        let layer = vec![[7; NODE_SIZE]; NODES];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(layer.as_flattened()).unwrap();
        let previous = || vec![InFile { file: &file, nodes: &layer }];
        let read_ahead = ReadAhead::new(table.rows(), previous(), vec![file.try_clone().unwrap()], 0);
        assert_eq!((read_ahead.ahead, read_ahead.block()), (READERS * CHUNK, READERS * CHUNK / 4));
        for mib in 0..5000 {
            let read_ahead = ReadAhead::new(table.rows(), previous(), vec![], mib << 20);
            let block = read_ahead.block();
            assert!(block > 0 && block.is_multiple_of(CHUNK) && block <= read_ahead.ahead, "{mib} MiB: {block}");
        }
        // All at once are as far as they may be.
        for chunk in 0..READERS {
            assert_eq!(read_ahead.take(), Some(chunk * CHUNK));
        }
        assert!(read_ahead.locked().next >= READERS * CHUNK);
        read_ahead.labelled(NODES);
        assert_eq!(read_ahead.take(), None);
        let read_ahead = ReadAhead::new(table.rows(), previous(), vec![], 1 << 40);
        assert_eq!(read_ahead.ahead, 1 << 14);
        while let Some(first) = read_ahead.take() {
            read_ahead.look_at(first);
        }
        assert!(read_ahead.locked().next >= NODES);
        let read_ahead = ReadAhead::new(table.rows(), previous(), vec![], 0);
        thread::scope(|scope| drop(read_ahead.start(scope)));
        assert!(read_ahead.locked().stopped);
    }

    /// Labels that are ahead of the readers are let go; rows and files that are too short hurt nobody.
    #[test]
    fn readers_catch_up_and_look_at_what_there_is() {
        let table = graph();
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let read_ahead = ReadAhead::new(table.rows(), vec![InFile { file: &file, nodes: &[] }], vec![other], 0);
        read_ahead.labelled(NODES / 2 + 1);
        assert_eq!(read_ahead.take(), Some(NODES / 2 + CHUNK));
        read_ahead.look_at(NODES - 1);
        read_ahead.look_at(NODES);
    }
}
