//! Messages of others, on streams that they open.

use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::wire::bitswap::Message;
use filecash_ipld::wire::{MAX_MESSAGE, WireError};
use libp2p::PeerId;
use libp2p::futures::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::shared::Shared;
use crate::host::IncomingStream;
use crate::streams::{StreamError, read_body, read_length, within};

/// How long a stream stays on which nothing comes.
const IDLE: Duration = Duration::from_secs(300);
/// How long each part of a message may take to come.
const STALL: Duration = Duration::from_secs(10);
/// And all of it: so long, and as many seconds as it has parts of 16 KiB.
const FRAME: Duration = Duration::from_secs(20);
const SLOWEST: usize = 16 << 10;
/// Messages up to this length are looked at where they are read, and wait for nobody's memory: all streams together have little of them.
const SHORT: usize = 16 << 10;
/// After so many blocks that nobody asked for a stream is closed.
const UNASKED: usize = 256;

/// Why no more messages are read.
#[derive(Debug, thiserror::Error)]
enum InboundError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("a message that takes too long to come")]
    Slow,
    #[error("what came is no message")]
    Wire(#[from] WireError),
    #[error("{0} blocks that nobody asked for")]
    Unasked(usize),
    #[error("the message was not looked at")]
    Task,
}

/// Takes messages until the stream ends.
pub(super) async fn run(shared: Arc<Shared>, peer: PeerId, mut stream: IncomingStream) {
    if shared.is_bad(&peer) {
        return;
    }
    match take(&shared, peer, &mut stream).await {
        // It may have gone already.
        Ok(()) => drop(stream.close().await),
        Err(error) => {
            tracing::debug!(%peer, %error, "no more is read");
            let is_offence = !matches!(error, InboundError::Stream(StreamError::Io(_)) | InboundError::Task);
            if is_offence {
                shared.offended(&peer);
            }
        }
    }
}

async fn take(shared: &Arc<Shared>, peer: PeerId, stream: &mut IncomingStream) -> Result<(), InboundError> {
    let mut unasked = 0;
    loop {
        // Who has nothing to say is not to blame for it.
        let Ok(length) = timeout(IDLE, read_length(stream, MAX_MESSAGE)).await else { return Ok(()) };
        let Some(length) = length? else { return Ok(()) };
        let share = match length {
            0..=SHORT => None,
            _ => Some(shared.budget(&peer).share(peer, length).await.ok_or(InboundError::Task)?),
        };
        let time = FRAME + Duration::from_secs((length / SLOWEST) as u64);
        let frame = match within(time, read_body(stream, length, STALL)).await {
            Err(StreamError::Silent(_)) => return Err(InboundError::Slow),
            frame => frame?,
        };
        let message = decode(shared, frame).await?;
        unasked += shared.received(peer, message);
        drop(share);
        if unasked > UNASKED {
            return Err(InboundError::Unasked(unasked));
        }
        if shared.is_bad(&peer) {
            return Ok(());
        }
    }
}

/// Blocks are hashed here, so that long messages go to another thread.
async fn decode(shared: &Shared, frame: Vec<u8>) -> Result<Message, InboundError> {
    if frame.len() <= SHORT {
        return Ok(Message::decode(&frame)?);
    }
    let _turn = shared.looking.acquire().await.map_err(|_| InboundError::Task)?;
    Ok(spawn_blocking(move || Message::decode(&frame)).await.map_err(|_| InboundError::Task)??)
}
