//! Messages on streams, and who serves them: frames behind their lengths, bare items of dag-cbor, each with a limit and within a time.
//!
//! Source: `spec/network.md` 6 (one item, never read to the end: the other side leaves the stream open), 11.1, 12 (frames).

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use filecash_ipld::codec::{CodecError, dag_cbor};
use filecash_ipld::varint;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, OpenStreamError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::host::{Host, IncomingStream};

/// What is read at once of an item whose length nobody tells.
const BLOCK: usize = 16 << 10;
/// What is read or written at once of a frame.
const PART: usize = 64 << 10;
/// How long a stream is waited for before it is asked for again.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Why a message did not come or go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum StreamError {
    #[error("the stream broke off")]
    Io(#[from] io::Error),
    #[error("a message of more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("a message without a length")]
    Length,
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("nothing came for {} s, or too little", .0.as_secs_f32())]
    Silent(Duration),
}

/// Does something within a time.
///
/// # Errors
/// [`StreamError::Silent`].
pub async fn within<T>(time: Duration, work: impl Future<Output = Result<T, StreamError>>) -> Result<T, StreamError> {
    timeout(time, work).await.unwrap_or(Err(StreamError::Silent(time)))
}

/// Reads a frame: its length as a varint, then its bytes; `None` at the end of the stream.
///
/// # Errors
/// [`StreamError`].
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Option<Vec<u8>>, StreamError> {
    match read_length(stream, limit).await? {
        Some(length) => Ok(Some(read_body(stream, length, Duration::MAX).await?)),
        None => Ok(None),
    }
}

/// Reads a frame which may take so long to begin, and each part of it so long to come. A long one waits for a place at the gate, which it
/// has until that is dropped.
///
/// # Errors
/// [`StreamError`].
pub async fn read_frame_gated<'a>(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
    idle: Duration,
    silence: Duration,
    gate: Option<&'a Semaphore>,
) -> Result<Option<(Vec<u8>, Option<SemaphorePermit<'a>>)>, StreamError> {
    let Some(length) = within(idle, read_length(stream, limit)).await? else { return Ok(None) };
    // A semaphore that nobody closes gives a place to everybody in turn.
    let place = match gate.filter(|_| length > BLOCK) {
        Some(gate) => gate.acquire().await.ok(),
        None => None,
    };
    Ok(Some((read_body(stream, length, silence).await?, place)))
}

/// Reads the length that a frame begins with; `None` at the end of the stream.
///
/// # Errors
/// [`StreamError`].
pub async fn read_length(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Option<usize>, StreamError> {
    let mut head = Vec::with_capacity(varint::MAX_BYTES);
    let length = loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) };
        }
        head.push(byte[0]);
        match varint::read(&mut &head[..]) {
            Ok(length) => break length,
            Err(varint::VarintError::Incomplete) => {}
            Err(varint::VarintError::Syntax) => return Err(StreamError::Length),
        }
    };
    usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(StreamError::TooLong { limit }).map(Some)
}

/// Reads the bytes of a frame behind its length, each 64 KiB of which may take so long to come.
///
/// # Errors
/// [`StreamError`].
pub async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
    silence: Duration,
) -> Result<Vec<u8>, StreamError> {
    // What is not sent takes no memory.
    let mut frame = Vec::new();
    while frame.len() < length {
        let start = frame.len();
        let end = length.min(start + BLOCK.max(start).min(PART));
        if frame.capacity() < end {
            frame.reserve_exact(length.min(start + BLOCK.max(start)) - start);
        }
        frame.resize(end, 0);
        within(silence, async { Ok(stream.read_exact(&mut frame[start..]).await?) }).await?;
    }
    Ok(frame)
}

/// Writes a frame and sends it.
///
/// # Errors
/// [`StreamError`].
pub async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> Result<(), StreamError> {
    let mut head = Vec::new();
    varint::write(frame.len() as u64, &mut head);
    stream.write_all(&head).await?;
    stream.write_all(frame).await?;
    Ok(stream.flush().await?)
}

/// Writes a frame and sends it; each part of it may take so long to go.
///
/// # Errors
/// [`StreamError`].
pub async fn write_frame_within(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &[u8],
    silence: Duration,
) -> Result<(), StreamError> {
    let mut head = Vec::new();
    varint::write(frame.len() as u64, &mut head);
    for part in std::iter::once(&head[..]).chain(frame.chunks(PART)) {
        within(silence, async { Ok(stream.write_all(part).await?) }).await?;
    }
    within(silence, async { Ok(stream.flush().await?) }).await
}

/// How large an item may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemLimit {
    /// Its bytes.
    pub bytes: usize,
    /// Its values.
    pub values: usize,
}

/// How fast an item has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long nothing may come.
    pub silence: Duration,
    /// What has to come in each second after that, on the whole; zero where it may take as long as it likes.
    pub bytes_per_second: u64,
}

impl Pace {
    /// How long the next part may take to come, so long after the first was waited for, when so many bytes have.
    fn patience(self, since: Duration, came: usize) -> Duration {
        let Some(millis) = (came as u64).saturating_mul(1000).checked_div(self.bytes_per_second) else {
            return self.silence;
        };
        (self.silence + Duration::from_millis(millis)).saturating_sub(since).min(self.silence)
    }
}

/// Reads the bytes of one item of dag-cbor, each part of which may take so long to come. What follows it is lost.
///
/// # Errors
/// [`StreamError`].
pub async fn read_item(
    stream: &mut (impl AsyncRead + Unpin),
    limit: ItemLimit,
    silence: Duration,
) -> Result<Vec<u8>, StreamError> {
    read_item_at(stream, limit, Pace { silence, bytes_per_second: 0 }).await
}

/// Reads the bytes of one item of dag-cbor, which has to come at a pace. What follows it is lost.
///
/// # Errors
/// [`StreamError`].
pub async fn read_item_at(
    stream: &mut (impl AsyncRead + Unpin),
    limit: ItemLimit,
    pace: Pace,
) -> Result<Vec<u8>, StreamError> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut scanner = dag_cbor::Scanner::new(limit.values);
    loop {
        let start = bytes.len();
        bytes.resize(start + BLOCK, 0);
        let patience = pace.patience(begun.elapsed(), start);
        let read = within(patience, async { Ok(stream.read(&mut bytes[start..]).await?) }).await;
        let read =
            read.map_err(
                |error| if let StreamError::Silent(_) = error { StreamError::Silent(pace.silence) } else { error },
            )?;
        bytes.truncate(start + read);
        if let Some(length) = scanner.scan(&bytes)? {
            bytes.truncate(length);
            return if length <= limit.bytes { Ok(bytes) } else { Err(StreamError::TooLong { limit: limit.bytes }) };
        }
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if bytes.len() > limit.bytes {
            return Err(StreamError::TooLong { limit: limit.bytes });
        }
    }
}

/// Sends bytes.
///
/// # Errors
/// [`StreamError`].
pub async fn write_item(stream: &mut (impl AsyncWrite + Unpin), item: &[u8]) -> Result<(), StreamError> {
    stream.write_all(item).await?;
    Ok(stream.flush().await?)
}

/// Opens a stream within a time.
///
/// # Errors
/// [`StreamError::Silent`].
pub async fn open(
    mut control: Control,
    peer: PeerId,
    protocol: &StreamProtocol,
    patience: Duration,
) -> Result<Result<Stream, OpenStreamError>, StreamError> {
    let opening = async {
        loop {
            // Asked for in the moment in which the peer is being connected to, a stream is waited for in vain: the swarm dials who it
            // does not know yet to be there, and finds that it is.
            let opened = timeout(ATTEMPT, control.open_stream(peer, protocol.clone())).await;
            if let Ok(opened) = opened {
                return Ok(opened);
            }
        }
    };
    within(patience, opening).await
}

/// Says that nothing more is sent. A stream that is let go without it is reset, and what the other side has not read by then is lost.
///
/// # Errors
/// [`StreamError`].
pub async fn finish(stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), StreamError> {
    Ok(stream.close().await?)
}

/// How many streams of a protocol are served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// In all.
    pub streams: usize,
    /// Of one peer.
    pub per_peer: usize,
}

/// Somebody serves one of the protocols already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the protocol is served already")]
pub struct AlreadyServed;

/// Serves streams of some protocols until the host ends. A stream beyond the limits is closed unread.
///
/// # Errors
/// [`AlreadyServed`].
pub fn serve<F, W>(
    host: &Host,
    protocols: &[StreamProtocol],
    limits: Served,
    work: F,
) -> Result<JoinHandle<()>, AlreadyServed>
where
    F: Fn(PeerId, IncomingStream) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let mut incoming = host.acceptor().accept(protocols).ok_or(AlreadyServed)?;
    let host = host.clone();
    Ok(tokio::spawn(async move {
        let open = Open::default();
        let mut serving = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                next = incoming.next() => {
                    let Some((peer, stream)) = next else { break };
                    match open.enter(peer, limits) {
                        Some(place) => {
                            let work = work(peer, stream);
                            serving.spawn(async move {
                                work.await;
                                drop(place);
                            });
                        }
                        None => tracing::debug!(%peer, "too many streams, one is not served"),
                    }
                }
                Some(_) = serving.join_next() => {}
                () = host.ended() => break,
            }
        }
    }))
}

/// Streams that are open, by peer.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<HashMap<PeerId, usize>>>);

impl Open {
    fn enter(&self, peer: PeerId, limits: Served) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let of_peer = open.get(&peer).copied().unwrap_or(0);
        if all >= limits.streams || of_peer >= limits.per_peer {
            return None;
        }
        open.insert(peer, of_peer + 1);
        Some(Place { open: self.clone(), peer })
    }
}

/// A stream's place among those that are open.
struct Place {
    open: Open,
    peer: PeerId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::futures::io::Cursor;

    use super::*;

    /// Gives a few bytes at a time.
    struct Slow(Vec<u8>, usize);

    impl AsyncRead for Slow {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            out: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let count = self.0.len().min(self.1).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            std::task::Poll::Ready(Ok(count))
        }
    }

    #[tokio::test]
    async fn frames_are_read_as_written() {
        let mut wire = Cursor::new(Vec::new());
        let frames = [vec![], vec![7], vec![1; 200], vec![2; 100_000]];
        for frame in &frames {
            write_frame(&mut wire, frame).await.unwrap();
        }
        let bytes = wire.into_inner();
        for step in [1, 3, 1 << 20] {
            let mut slow = Slow(bytes.clone(), step);
            for frame in &frames {
                assert_eq!(read_frame(&mut slow, 100_000).await.unwrap().as_ref(), Some(frame));
            }
            assert_eq!(read_frame(&mut slow, 100_000).await.unwrap(), None);
        }
        for cut in [1, 3, 200, bytes.len() - 1] {
            let mut short = Slow(bytes[..cut].to_vec(), 1 << 20);
            let mut outcome = Ok(Some(vec![]));
            while let Ok(Some(_)) = outcome {
                outcome = read_frame(&mut short, 100_000).await;
            }
            assert!(cut == 1 || cut == 3 || matches!(outcome, Err(StreamError::Io(_))), "{cut}: {outcome:?}");
        }
        for (bytes, expected) in [
            (vec![0xff; 20], "without a length"),
            (vec![0x80, 0x80, 0x40], "more than 100 bytes"),
            (vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "more than 100 bytes"),
        ] {
            let error = read_frame(&mut Slow(bytes, 5), 100).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn items_end_where_they_end() {
        use filecash_ipld::Ipld;

        let limit = |bytes| ItemLimit { bytes, values: 1000 };
        let second = Duration::from_secs(1);
        let item =
            Ipld::List(vec![Ipld::Bytes(vec![7; 100_000]), Ipld::Integer(1 << 40), Ipld::String("é".to_owned())]);
        let bytes = dag_cbor::encode(&item);
        for step in [1, 1000, 1 << 20] {
            // The stream stays open, as it were: more follows.
            let longer = [&bytes[..], &[0xff]].concat();
            assert_eq!(read_item(&mut Slow(longer, step), limit(1 << 20), second).await.unwrap(), bytes);
        }
        let short = read_item(&mut Slow(bytes[..bytes.len() - 1].to_vec(), 1000), limit(1 << 20), second).await;
        assert!(matches!(short, Err(StreamError::Io(_))), "{short:?}");
        let long = read_item(&mut Slow(bytes.clone(), 1 << 20), limit(1000), second).await;
        assert!(matches!(long, Err(StreamError::TooLong { limit: 1000 })), "{long:?}");
        let endless = [vec![0x5b, 0, 0, 0, 1, 0, 0, 0, 0], vec![0; 1 << 20]].concat();
        let endless = read_item(&mut Slow(endless, 4096), limit(5000), second).await;
        assert!(matches!(endless, Err(StreamError::TooLong { .. })), "{endless:?}");
        let many =
            read_item(&mut Slow([vec![0x99, 0xff, 0xff], vec![0; 5000]].concat(), 100), limit(1 << 20), second).await;
        assert!(matches!(many, Err(StreamError::Codec(_))), "{many:?}");
        assert!(matches!(read_item(&mut Slow(vec![0xff], 1), limit(10), second).await, Err(StreamError::Codec(_))));
        let silent = within(Duration::from_millis(20), std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(silent, Err(StreamError::Silent(_))));
    }

    #[test]
    fn pace_is_on_the_whole() {
        let second = Duration::from_secs(1);
        let pace = Pace { silence: 5 * second, bytes_per_second: 1000 };
        for (since, came, patience) in [(0, 0, 5), (3, 0, 2), (5, 0, 0), (9, 0, 0), (5, 3000, 3), (5, 1 << 40, 5)] {
            assert_eq!(pace.patience(since * second, came), patience * second, "{since} {came}");
        }
        assert_eq!(Pace { bytes_per_second: 0, ..pace }.patience(100 * second, 1), 5 * second);
    }

    #[test]
    fn streams_have_so_many_places() {
        let open = Open::default();
        let limits = Served { streams: 3, per_peer: 2 };
        let [one, other] = [PeerId::random(), PeerId::random()];
        let first = open.enter(one, limits).unwrap();
        let _second = open.enter(one, limits).unwrap();
        assert!(open.enter(one, limits).is_none());
        let third = open.enter(other, limits).unwrap();
        assert!(open.enter(PeerId::random(), limits).is_none());
        drop(first);
        assert!(open.enter(one, limits).is_some());
        drop(third);
        assert_eq!(open.0.lock().unwrap().len(), 1);
    }
}
