//! The task that tells one peer what we want of it, and answers what it wants of us, on one stream that is opened again when it breaks.
//!
//! There is one message at a time. What it holds is read from the store only when the one before has been written.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::store::StoreError;
use filecash_ipld::wire::WireError;
use filecash_ipld::wire::bitswap::{Message, Version};
use libp2p::{PeerId, Stream};
use libp2p_stream::OpenStreamError;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::engine::{Asked, Outcome};
use super::protocols;
use super::reply::{ANSWERED, Reply};
use super::shared::{Shared, Work};
use crate::streams::{StreamError, within, write_frame};

/// How long a stream stays that nothing is sent on.
const IDLE: Duration = Duration::from_secs(30);
/// How long it may take to open one, a dial among it.
const OPEN: Duration = Duration::from_secs(15);
/// How long a message may take to be written: so long, and as many seconds as it has parts of 16 KiB.
const WRITE: Duration = Duration::from_secs(10);
const SLOWEST: usize = 16 << 10;
/// Between failures in a row; after the last the peer is given up.
const RETRIES: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(3)];

/// Why a peer was not told something.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("no stream was opened")]
    Open(#[source] OpenStreamError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("it does not read")]
    Slow,
    #[error("its connection is gone")]
    Gone,
    #[error("blocks were not read")]
    Task,
}

/// Works until there is nothing to do for a while, or the peer cannot be reached.
pub(super) async fn run(shared: Arc<Shared>, peer: PeerId, wake: Arc<Notify>, gone: Arc<Notify>) {
    let mut stream = None;
    let mut failures = 0;
    loop {
        // From before the look at what is to do on, so that no end is missed.
        let mut gone = pin!(gone.notified());
        match shared.work(&peer, stream.is_some()) {
            Work::Reset => stream = None,
            Work::Nothing => {
                if timeout(IDLE, wake.notified()).await.is_err() && shared.leaves(&peer) {
                    return;
                }
            }
            Work::Tell => match tell(&shared, peer, &mut stream, gone.as_mut()).await {
                Ok(()) => failures = 0,
                Err(LinkError::Gone) => stream = None,
                Err(error) => {
                    tracing::debug!(%peer, %error, "not told");
                    stream = None;
                    let is_slow = matches!(error, LinkError::Slow);
                    if is_slow {
                        shared.offended(&peer);
                    }
                    let pause = RETRIES.get(failures).filter(|_| !is_slow);
                    shared.closed(&peer, pause.is_none());
                    let Some(pause) = pause else { return };
                    failures += 1;
                    sleep(*pause).await;
                }
            },
        }
    }
}

async fn tell(
    shared: &Arc<Shared>,
    peer: PeerId,
    stream: &mut Option<(Stream, Version)>,
    mut gone: Pin<&mut Notified<'_>>,
) -> Result<(), LinkError> {
    let (stream, version) = match stream {
        Some(open) => open,
        None => {
            let opened = stream.insert(open(shared, peer).await?);
            shared.opened(&peer, opened.1);
            opened
        }
    };
    while let Some(message) = wants(shared, &peer, *version) {
        write(stream, &message.encode(*version)?, gone.as_mut()).await?;
    }
    let asked = shared.lock().engine.next(&peer, ANSWERED);
    if asked.is_empty() {
        return Ok(());
    }
    let again = asked.clone();
    let answered = answer(shared, peer, (stream, *version), asked, gone).await;
    let unsent = || again.into_iter().map(|asked| (asked, Outcome::Unsent)).collect();
    let mut state = shared.lock();
    let (outcomes, told) = match answered {
        Ok(outcomes) => (outcomes, Ok(())),
        Err(error) => (unsent(), Err(error)),
    };
    for (asked, outcome) in &outcomes {
        state.engine.done(&peer, asked, *outcome);
    }
    told
}

/// A stream of the newest version that the peer speaks.
async fn open(shared: &Shared, peer: PeerId) -> Result<(Stream, Version), LinkError> {
    let mut control = shared.control.clone();
    let mut refused = None;
    for (protocol, version) in protocols(&shared.options.prefix) {
        let opening = timeout(OPEN, control.open_stream(peer, protocol)).await;
        match opening.map_err(|_| StreamError::Silent(OPEN))? {
            Ok(stream) => return Ok((stream, version)),
            Err(error @ OpenStreamError::UnsupportedProtocol(_)) => refused = Some(error),
            Err(error) => return Err(LinkError::Open(error)),
        }
    }
    refused.map_or(Err(LinkError::Task), |error| Err(LinkError::Open(error)))
}

fn wants(shared: &Shared, peer: &PeerId, version: Version) -> Option<Message> {
    let mut state = shared.lock();
    let outbox = &mut state.links.get_mut(peer)?.outbox;
    while outbox.is_ready() {
        let (wants, full) = outbox.take(version);
        if !wants.is_empty() {
            return Some(Message { wants, full, ..Message::default() });
        }
    }
    None
}

/// Writes a message; a stream of a connection that is gone may not say so.
async fn write(stream: &mut Stream, frame: &[u8], gone: Pin<&mut Notified<'_>>) -> Result<(), LinkError> {
    let time = WRITE + Duration::from_secs((frame.len() / SLOWEST) as u64);
    let written = tokio::select! {
        written = within(time, write_frame(stream, frame)) => written,
        () = gone => return Err(LinkError::Gone),
    };
    match written {
        Err(StreamError::Silent(_)) => Err(LinkError::Slow),
        other => Ok(other?),
    }
}

/// Answers as many wants as one message has room for, and tells what became of each.
async fn answer(
    shared: &Arc<Shared>,
    peer: PeerId,
    (stream, version): (&mut Stream, Version),
    asked: Vec<Asked>,
    gone: Pin<&mut Notified<'_>>,
) -> Result<Vec<(Asked, Outcome)>, LinkError> {
    let store = Arc::clone(&shared.store);
    let planning = spawn_blocking(move || Reply::plan(version, asked, |cid| known(cid, store.size(cid))));
    let reply = planning.await.map_err(|_| LinkError::Task)?;
    let _share = shared.sending.share(peer, reply.bytes()).await.ok_or(LinkError::Task)?;
    let store = Arc::clone(&shared.store);
    let reading = spawn_blocking(move || {
        let (message, outcomes) = reply.read(|cid| known(cid, store.get(cid)));
        let blocks = message.as_ref().map_or(0, |message| message.blocks.len());
        let bytes = message.iter().flat_map(|message| &message.blocks).map(|block| block.bytes().len()).sum::<usize>();
        (message.map(|message| message.encode(version)), blocks, bytes, outcomes)
    });
    let (frame, blocks, bytes, outcomes) = reading.await.map_err(|_| LinkError::Task)?;
    if let Some(frame) = frame {
        write(stream, &frame?, gone).await?;
    }
    let mut state = shared.lock();
    state.stats.blocks_sent += blocks as u64;
    state.stats.bytes_sent += bytes as u64;
    Ok(outcomes)
}

/// What a store has; what it cannot read is not there.
fn known<T>(cid: &Cid, looked: Result<Option<T>, StoreError>) -> Option<T> {
    looked.unwrap_or_else(|error| {
        tracing::warn!(%cid, %error, "a block that others want cannot be read");
        None
    })
}
