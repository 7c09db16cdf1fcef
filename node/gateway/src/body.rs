//! The bytes of an answer on their way from a thread that reads them to a connection that sends them.
//!
//! The thread writes into a [`Sink`], which waits while the connection has [`AHEAD`] chunks that it could not send yet, and fails once the
//! connection is gone. What was not ended by [`Sink::end`] breaks the connection off, whatever the thread died of: a client never takes
//! less for the whole.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::metrics::{Counters, Kind};

/// Bytes of a chunk.
pub const CHUNK: usize = 128 << 10;
/// Chunks that wait to be sent.
pub const AHEAD: usize = 4;

/// An answer that is not given to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer breaks off")]
pub struct BrokenOff;

enum Part {
    Chunk(Bytes),
    End,
}

/// Where a thread writes an answer to.
pub struct Sink {
    parts: Sender<Part>,
    chunk: Vec<u8>,
}

impl Sink {
    /// Says that all has been written.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when nobody reads any more.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Part::End)
    }

    /// Tells whether nobody reads any more, to who writes little and works much.
    pub fn watch(&self) -> impl Fn() -> bool + use<> {
        let parts = self.parts.downgrade();
        move || parts.upgrade().is_none_or(|parts| parts.is_closed())
    }

    fn send(&self, part: Part) -> io::Result<()> {
        self.parts.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.send(Part::Chunk(chunk.into()))
    }
}

/// What was written goes out, also before it breaks off.
impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// The body of an answer.
pub struct Answer {
    source: Source,
    /// Bytes that are still to come, where that is known.
    rest: Option<u64>,
    kind: Kind,
    counters: Arc<Counters>,
    /// The client's place among those that are served, until the answer is sent or given up, and the thread that writes it is done.
    place: Option<Arc<OwnedSemaphorePermit>>,
}

enum Source {
    Whole(Bytes),
    Stream(Receiver<Part>),
    /// About to break off.
    Breaking,
    Done,
}

impl Answer {
    /// One that is there already.
    pub(crate) fn whole(bytes: impl Into<Bytes>, kind: Kind, counters: &Arc<Counters>) -> Self {
        let bytes = bytes.into();
        let rest = Some(bytes.len() as u64);
        let source = if bytes.is_empty() { Source::Done } else { Source::Whole(bytes) };
        Self { source, rest, kind, counters: Arc::clone(counters), place: None }
    }

    /// One that a thread writes, of so many bytes where that is known.
    pub(crate) fn stream(length: Option<u64>, kind: Kind, counters: &Arc<Counters>) -> (Sink, Self) {
        let (sender, receiver) = channel(AHEAD);
        let sink = Sink { parts: sender, chunk: Vec::with_capacity(CHUNK) };
        let source = Source::Stream(receiver);
        let answer = Self { source, rest: length, kind, counters: Arc::clone(counters), place: None };
        (sink, answer)
    }

    /// Holds a place until it is over.
    pub(crate) fn holding(mut self, place: Arc<OwnedSemaphorePermit>) -> Self {
        self.counters.count(|metrics| metrics.under_way += 1);
        self.place = Some(place);
        self
    }

    fn counted(&mut self, chunk: Bytes) -> Frame<Bytes> {
        let count = chunk.len() as u64;
        self.counters.count(|metrics| *metrics.bytes.entry(self.kind).or_default() += count);
        self.rest = self.rest.map(|rest| rest.saturating_sub(count));
        // The connection does not ask for more than it was told that there is.
        if self.rest == Some(0) {
            self.source = Source::Done;
        }
        Frame::data(chunk)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let part = match &mut self.source {
            Source::Done => return Poll::Ready(None),
            Source::Whole(bytes) => Some(Part::Chunk(std::mem::take(bytes))),
            Source::Stream(parts) => ready!(parts.poll_recv(context)),
            Source::Breaking => {
                self.source = Source::Done;
                return Poll::Ready(Some(Err(BrokenOff)));
            }
        };
        match part {
            Some(Part::Chunk(chunk)) => Poll::Ready(Some(Ok(self.counted(chunk)))),
            Some(Part::End) if self.rest.is_none() => {
                self.source = Source::Done;
                Poll::Ready(None)
            }
            // It was not ended, or before its time. What came before is sent as long as there seems to be more to come.
            _ => {
                self.source = Source::Breaking;
                let kind = self.kind;
                self.counters.count(|metrics| *metrics.broken_off.entry(kind).or_default() += 1);
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.rest) {
            (Source::Done, _) => SizeHint::with_exact(0),
            (_, Some(rest)) => SizeHint::with_exact(rest),
            (_, None) => SizeHint::default(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let (kind, held) = (self.kind, self.place.take().is_some());
        let left = held && matches!(self.source, Source::Whole(_) | Source::Stream(_));
        self.counters.count(|metrics| {
            metrics.under_way -= u64::from(held);
            if left {
                *metrics.left.entry(kind).or_default() += 1;
            }
        });
    }
}
