//! Messages by themselves: one on a stream, in the newest version that both speak.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use filecash_ipld::data_transfer::Event;
use filecash_ipld::wire::WireError;
use filecash_ipld::wire::data_transfer::{ChannelId, MAX_BYTES, MAX_VALUES, Message, Version};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use libp2p_stream::OpenStreamError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Inner, lock};
use crate::host::{HostError, IncomingStream};
use crate::streams::{
    AlreadyServed, ItemLimit, Pace, Served, StreamError, finish, open, read_item_at, serve, within, write_item,
};

const SERVED: Served = Served { streams: 32, per_peer: 4 };
const LIMIT: ItemLimit = ItemLimit { bytes: MAX_BYTES, values: MAX_VALUES };
const PACE: Pace = Pace { silence: Duration::from_secs(10), bytes_per_second: 1 << 10 };
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that wait for a peer.
const WAITING: usize = 64;
/// How long the task of a peer stays that nothing is sent to.
const IDLE: Duration = Duration::from_secs(60);

struct Letter {
    channel: ChannelId,
    addresses: Vec<Multiaddr>,
    message: Message,
}

/// What is to be sent, by peer: each has a task as long as there is something.
#[derive(Default)]
pub(super) struct Mail(Mutex<HashMap<PeerId, mpsc::Sender<Letter>>>);

/// Why a message did not go over.
#[derive(Debug, thiserror::Error)]
enum LetterError {
    #[error("it speaks no data transfer that we do")]
    Unsupported,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl Mail {
    /// Sends a message when those before it went over.
    pub(super) fn send(
        &self,
        inner: &Arc<Inner>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        channel: ChannelId,
        message: Message,
    ) {
        let mut boxes = lock(&self.0);
        let letters = boxes.entry(peer).or_insert_with(|| {
            let (letters, waiting) = mpsc::channel(WAITING);
            tokio::spawn(Arc::clone(inner).deliver_all(peer, waiting));
            letters
        });
        if letters.try_send(Letter { channel, addresses, message }).is_err() {
            tracing::debug!(%peer, "a message of data transfer is lost: too many wait");
        }
    }

    /// Forgets a peer that nothing is sent to; whether that is so.
    fn forget(&self, peer: PeerId, waiting: &mpsc::Receiver<Letter>) -> bool {
        let mut boxes = lock(&self.0);
        let is_idle = waiting.is_empty();
        if is_idle {
            boxes.remove(&peer);
        }
        is_idle
    }
}

impl Inner {
    /// Takes what others say.
    pub(super) fn listen(self: &Arc<Self>) -> Result<JoinHandle<()>, AlreadyServed> {
        let versions = self.options.versions.iter();
        let protocols: Vec<_> = versions.map(|version| StreamProtocol::new(version.protocol())).collect();
        let inner = Arc::clone(self);
        serve(&self.host, &protocols, SERVED, move |peer, stream| {
            let inner = Arc::clone(&inner);
            async move {
                match read(stream).await {
                    Ok(message) => drop(inner.hear(peer, message, None)),
                    Err(error) => inner.refuse(peer, &error),
                }
            }
        })
    }

    async fn deliver_all(self: Arc<Self>, peer: PeerId, mut waiting: mpsc::Receiver<Letter>) {
        let mut versions = self.options.versions.clone();
        loop {
            let letter = tokio::select! {
                letter = timeout(IDLE, waiting.recv()) => letter,
                () = self.host.ended() => return,
            };
            match letter {
                Ok(Some(letter)) => {
                    let channel = letter.channel.clone();
                    if let Err(error) = self.deliver(peer, letter, &mut versions).await {
                        tracing::debug!(%peer, %error, "a message of data transfer did not go over");
                        let event = match error {
                            LetterError::Unsupported | LetterError::Wire(_) => Event::Failed(error.to_string()),
                            LetterError::Host(_) | LetterError::Stream(_) => Event::Cut,
                        };
                        self.undelivered(&channel, peer, event);
                    }
                }
                Err(_) if !self.mail.forget(peer, &waiting) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Sends a message. The version that is spoken comes to the front.
    async fn deliver(&self, peer: PeerId, letter: Letter, versions: &mut [Version]) -> Result<(), LetterError> {
        if !letter.addresses.is_empty() {
            self.host.connect(letter.addresses).await?;
        }
        for place in 0..versions.len() {
            let version = versions[place];
            let protocol = StreamProtocol::new(version.protocol());
            let mut stream = match open(self.host.control(), peer, &protocol, PATIENCE).await? {
                Ok(stream) => stream,
                Err(OpenStreamError::UnsupportedProtocol(_)) => continue,
                Err(OpenStreamError::Io(error)) => return Err(StreamError::Io(error).into()),
                Err(error) => return Err(StreamError::Io(std::io::Error::other(error)).into()),
            };
            versions[..=place].rotate_right(1);
            let bytes = letter.message.encode(version)?;
            within(PATIENCE, async {
                write_item(&mut stream, &bytes).await?;
                finish(&mut stream).await
            })
            .await?;
            return Ok(());
        }
        Err(LetterError::Unsupported)
    }
}

/// One message is all that is said on a stream.
async fn read(mut stream: IncomingStream) -> Result<Message, LetterError> {
    let bytes = read_item_at(&mut stream, LIMIT, PACE).await?;
    let message = Message::decode(&bytes)?;
    // Who has gone already needs no end.
    let _ = within(PATIENCE, finish(&mut stream)).await;
    Ok(message)
}
