//! What is said to others: a stream for each peer and version, opened when there is something to say and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use filecash_ipld::wire::graphsync::Version;
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::OpenStreamError;

use super::SILENCE;
use crate::host::Host;
use crate::streams::{StreamError, open, write_frame_within};

/// A stream, once there is one. Who wants to say something waits for who does.
type Lane = Arc<tokio::sync::Mutex<Option<Stream>>>;

pub(super) struct Out {
    host: Host,
    lanes: Mutex<HashMap<(PeerId, Version), Lane>>,
}

/// Why something was not said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SayError {
    #[error("it speaks no graphsync")]
    Unsupported,
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl Out {
    pub(super) fn new(host: Host) -> Self {
        Self { host, lanes: Mutex::default() }
    }

    fn lane(&self, peer: PeerId, version: Version) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry((peer, version)).or_default())
    }

    pub(super) fn forget(&self, peer: PeerId) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|(of, _), _| *of != peer);
    }

    pub(super) fn forget_all(&self) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The first of our versions that a peer speaks, too.
    ///
    /// # Errors
    /// [`SayError`].
    pub(super) async fn version(&self, peer: PeerId, versions: &[Version]) -> Result<Version, SayError> {
        for version in versions.iter().copied() {
            let lane = self.lane(peer, version);
            let mut stream = lane.lock().await;
            if stream.is_some() {
                return Ok(version);
            }
            match self.open(peer, version).await {
                Ok(opened) => {
                    *stream = Some(opened);
                    return Ok(version);
                }
                Err(SayError::Unsupported) => {}
                Err(error) => return Err(error),
            }
        }
        Err(SayError::Unsupported)
    }

    /// Sends a message. If it is the first of several, a stream that has broken meanwhile is opened once more; behind another it would leave
    /// out what got lost with the stream.
    ///
    /// # Errors
    /// [`SayError`].
    pub(super) async fn say(
        &self,
        peer: PeerId,
        version: Version,
        message: &[u8],
        is_first: bool,
    ) -> Result<(), SayError> {
        let lane = self.lane(peer, version);
        let mut stream = lane.lock().await;
        // While it is used it is nowhere: a write that is given up half-way leaves no stream behind.
        if let Some(mut kept) = stream.take() {
            match write_frame_within(&mut kept, message, SILENCE).await {
                Ok(()) => {
                    *stream = Some(kept);
                    return Ok(());
                }
                Err(error) if !is_first || matches!(error, StreamError::Silent(_)) => return Err(error.into()),
                Err(error) => tracing::debug!(%peer, %error, "a stream is opened once more"),
            }
        } else if !is_first {
            return Err(StreamError::Io(std::io::ErrorKind::BrokenPipe.into()).into());
        }
        let mut opened = self.open(peer, version).await?;
        write_frame_within(&mut opened, message, SILENCE).await?;
        *stream = Some(opened);
        Ok(())
    }

    async fn open(&self, peer: PeerId, version: Version) -> Result<Stream, SayError> {
        let protocol = StreamProtocol::new(version.protocol());
        let opened = tokio::select! {
            opened = open(self.host.control(), peer, &protocol, SILENCE) => opened?,
            () = self.host.ended() => return Err(StreamError::Io(std::io::ErrorKind::NotConnected.into()).into()),
        };
        match opened {
            Ok(stream) => Ok(stream),
            Err(OpenStreamError::UnsupportedProtocol(_)) => Err(SayError::Unsupported),
            Err(OpenStreamError::Io(error)) => Err(StreamError::Io(error).into()),
            Err(error) => Err(StreamError::Io(std::io::Error::other(error)).into()),
        }
    }
}
