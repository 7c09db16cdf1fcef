//! The binary SHA-256 tree over a stream of raw bytes, in subtrees of one MiB.
//!
//! A thread reads; the others pad (127 bytes to 128) and hash chunks of 8192 quads to their roots,
//! `sha_node(l, r) = trim(SHA-256(l ‖ r))` from leaf to root, while the padded bytes go to a sink. Memory is a few
//! batches, whatever the length of the stream.
//!
//! Source: `spec/replication.md` 2.1.

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;

use rayon::prelude::*;

use crate::field::Node;
use crate::field::fr32::{PADDED_QUAD, RAW_QUAD, pad_quads};
use crate::hash::sha256::sha_nodes;
use crate::job::{Cancelled, Job, Unit};
use crate::sector::piece::PaddedLen;

/// Padded bytes of a chunk, a subtree that one thread hashes.
const CHUNK: usize = 1 << 20;
/// Raw bytes of a chunk.
const RAW_CHUNK: usize = CHUNK / PADDED_QUAD * RAW_QUAD;
/// The most chunks of a batch; more would not be faster.
const MAX_BATCH: u64 = 32;

/// Why a stream could not be committed to.
#[derive(Debug)]
pub(super) enum SourceError {
    /// The source failed.
    Read(io::Error),
    /// The sink failed.
    Write(io::Error),
    /// The job was cancelled.
    Cancelled(Cancelled),
}

impl From<Cancelled> for SourceError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

/// Calls `take` with the root and size of each subtree from left to right; returns the raw bytes read.
///
/// Reads up to `limit` raw bytes if given. Zeros follow the last byte up to a valid piece size: that of a chunk if there
/// are several. `total` is for progress. The padded bytes go to `sink` as they are hashed.
///
/// An error, cancellation included, comes back once the read under way returns: a stalled source delays it.
pub(super) fn subtrees(
    source: impl Read + Send,
    limit: Option<u64>,
    total: u64,
    job: &Job<'_>,
    sink: &mut (impl Write + Send),
    mut take: impl FnMut(Node, PaddedLen),
) -> Result<u64, SourceError> {
    // Two raw batches and a padded one exist at a time.
    let chunks = (job.config.memory_bytes / 4 / CHUNK as u64).clamp(1, MAX_BATCH);
    let stage = job.stage("piece", Unit::Bytes, total);
    let mut padded = Vec::new();
    let mut read = 0;
    for_each_batch(source.take(limit.unwrap_or(u64::MAX)), chunks as usize * RAW_CHUNK, |raw| {
        let len = raw.len();
        let whole = read > 0 || len > RAW_CHUNK;
        let quads = len.div_ceil(RAW_QUAD);
        let quads = if whole { quads.next_multiple_of(CHUNK / PADDED_QUAD) } else { quads.next_power_of_two() };
        raw.resize(quads * RAW_QUAD, 0);
        padded.resize(quads * PADDED_QUAD, 0);
        raw.par_chunks(RAW_CHUNK).zip(padded.par_chunks_mut(CHUNK)).for_each(|(raw, padded)| pad_quads(raw, padded));
        let size = padded.len().min(CHUNK);
        let hash = || -> Vec<Node> { padded.par_chunks(size).map_init(Vec::new, subtree_root).collect() };
        let (roots, written) = rayon::join(hash, || sink.write_all(&padded));
        written.map_err(SourceError::Write)?;
        let size = PaddedLen::new(size as u64).expect("a power of two of quads, or a whole chunk");
        roots.into_iter().for_each(|root| take(root, size));
        read += len as u64;
        Ok(stage.advance(len as u64)?)
    })?;
    Ok(read)
}

/// Reads batches of `batch` bytes, the last one shorter, in a thread of its own, one ahead of the work on them.
fn for_each_batch(
    mut source: impl Read + Send,
    batch: usize,
    mut work: impl FnMut(&mut Vec<u8>) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let (full, batches) = mpsc::sync_channel::<io::Result<Vec<u8>>>(1);
    let (empty, buffers) = mpsc::channel::<Vec<u8>>();
    for _ in 0..2 {
        // The receiver is alive: it is moved below.
        let _ = empty.send(Vec::new());
    }
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            for mut buffer in buffers {
                buffer.clear();
                let result = source.by_ref().take(batch as u64).read_to_end(&mut buffer);
                let last = buffer.len() < batch;
                let message = result.map(|_| buffer);
                let stop = last || message.is_err();
                // The work fails to listen only after an error of its own.
                if full.send(message).is_err() || stop {
                    break;
                }
            }
        });
        let outcome = batches.into_iter().try_for_each(|message| {
            let mut buffer = message.map_err(SourceError::Read)?;
            if !buffer.is_empty() {
                work(&mut buffer)?;
            }
            let _ = empty.send(buffer);
            Ok(())
        });
        drop(empty);
        let joined = reader.join().map_err(|_| SourceError::Read(io::Error::other("reading from the source panicked")));
        outcome.and(joined)
    })
}

/// The root over `leaves`, a power of two of nodes, at least two; `rows` is scratch space.
fn subtree_root(rows: &mut Vec<Node>, leaves: &[u8]) -> Node {
    let mut children: &[Node] = leaves.as_chunks().0;
    // All rows above the leaves take one node less.
    rows.resize(children.len(), [0; 32]);
    let mut free = &mut rows[..];
    loop {
        let (parents, rest) = free.split_at_mut(children.len() / 2);
        sha_nodes(children, parents);
        if let [root] = parents {
            return *root;
        }
        (children, free) = (parents, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hash::sha256::sha_node;
    use crate::job::{Cancel, Quiet};

    #[test]
    fn root_of_every_height_is_that_of_pairs() {
        let leaves: Vec<Node> = (0..256_u32).map(|i| std::array::from_fn(|j| (i * 31 + j as u32 * 7) as u8)).collect();
        let mut rows = Vec::new();
        for height in 1..=8 {
            let mut expected = leaves[..1 << height].to_vec();
            while expected.len() > 1 {
                expected = expected.as_chunks().0.iter().map(|[left, right]| sha_node(left, right)).collect();
            }
            assert_eq!(subtree_root(&mut rows, leaves[..1 << height].as_flattened()), expected[0], "{height}");
        }
    }

    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(self.0);
            self.0 -= n;
            if n == 0 { Err(io::Error::other("broken")) } else { Ok(n) }
        }
    }

    struct Panics;

    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("a source's own bug")
        }
    }

    fn run(source: impl Read + Send, sink: &mut (impl Write + Send), cancel: &Cancel) -> Result<u64, SourceError> {
        let config = Config { memory_bytes: 0, ..Config::default() };
        let job = Job { config: &config, progress: &Quiet, cancel };
        subtrees(source, None, 0, &job, sink, |_, _| {})
    }

    #[test]
    fn failures_of_source_and_sink_come_back_as_errors() {
        let never = Cancel::default();
        assert!(matches!(run(Broken(3 * RAW_CHUNK / 2), &mut io::sink(), &never), Err(SourceError::Read(_))));
        assert!(matches!(run(Panics, &mut io::sink(), &never), Err(SourceError::Read(_))));
        let mut short = [0_u8; 100];
        assert!(matches!(run(io::repeat(7), &mut &mut short[..], &never), Err(SourceError::Write(_))));
    }

    #[test]
    fn endless_stream_stops_when_cancelled() {
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(run(io::repeat(7), &mut io::sink(), &cancel), Err(SourceError::Cancelled(_))));
    }
}
