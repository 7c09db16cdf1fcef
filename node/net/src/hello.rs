//! What two nodes tell each other first: where their chains are. Who dialled says hello, the other answers when it came.
//!
//! A node of another genesis is of another network, and is hung up on.
//!
//! Source: `spec/network.md` 5.1.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use filecash_chain::Object;
use filecash_chain::hello::{Hello, Latency, MAX_BYTES, PROTOCOL};
use filecash_chain::object::ObjectError;
use libp2p::{PeerId, StreamProtocol};
use libp2p_stream::OpenStreamError;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::host::{Host, HostEvent, IncomingStream};
use crate::streams::{
    AlreadyServed, ItemLimit, Served, StreamError, finish, open, read_item, serve, within, write_item,
};

/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon the same peer is greeted again.
const PAUSE: Duration = Duration::from_secs(5);
/// Beyond this, clocks are told to be apart.
const DRIFT: Duration = Duration::from_secs(5);
const LIMIT: ItemLimit = ItemLimit { bytes: MAX_BYTES, values: 1024 };
const SERVED: Served = Served { streams: 64, per_peer: 2 };

/// Where our chain is now.
pub type Ours = Arc<dyn Fn() -> Hello + Send + Sync>;
/// Is told of each node of our network where its chain is.
pub type Heard = Arc<dyn Fn(PeerId, Hello) + Send + Sync>;

/// Why a hello was not exchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum HelloError {
    #[error("{0} could not be spoken to")]
    Open(PeerId, #[source] OpenStreamError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("what came is no hello, or no answer to one")]
    Object(#[from] ObjectError),
    #[error("it is of the network whose genesis is {0}")]
    Genesis(Box<filecash_ipld::Cid>),
}

/// Greets whom we dial and answers whom others greet, until the host ends.
///
/// # Errors
/// [`AlreadyServed`] when that is done already.
pub fn run(host: &Host, ours: Ours, heard: Heard) -> Result<[JoinHandle<()>; 2], AlreadyServed> {
    let protocol = StreamProtocol::new(PROTOCOL);
    let (ours_too, to_hang_up) = (Arc::clone(&ours), host.clone());
    let answering = serve(host, std::slice::from_ref(&protocol), SERVED, move |peer, mut stream| {
        let (ours, heard, host) = (Arc::clone(&ours_too), Arc::clone(&heard), to_hang_up.clone());
        async move {
            match answer(&mut stream).await {
                Ok(hello) => meet(&host, peer, &ours(), hello, &heard).await,
                Err(error) => tracing::debug!(%peer, %error, "no hello"),
            }
        }
    })?;
    let (host, mut events) = (host.clone(), host.events());
    let greeting = tokio::spawn(async move {
        let mut greeted = Greeted::default();
        loop {
            match events.recv().await {
                Ok(HostEvent::Identified { peer, protocols, dialled: true, .. }) if protocols.contains(&protocol) => {
                    let Some(wait) = greeted.wait(peer) else { continue };
                    let (host, ours) = (host.clone(), Arc::clone(&ours));
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        if let Err(error) = greet(&host, peer, &ours()).await {
                            tracing::debug!(%peer, %error, "no answer to our hello");
                        }
                    });
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    });
    Ok([answering, greeting])
}

/// When peers were greeted last, or will be. Who hangs up on us is dialled again by the stream that a hello goes by, and by the DHT.
#[derive(Default)]
struct Greeted(HashMap<PeerId, Instant>);

impl Greeted {
    /// How long to wait before a peer is greeted; not at all when that is on its way.
    fn wait(&mut self, peer: PeerId) -> Option<Duration> {
        let now = Instant::now();
        self.0.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
        let at = self.0.get(&peer).map_or(now, |last| *last + PAUSE);
        if self.0.get(&peer).is_some_and(|last| *last > now) {
            return None;
        }
        self.0.insert(peer, at);
        Some(at.saturating_duration_since(now))
    }
}

/// Says hello to a peer, and tells how far its clock is ahead, in nanoseconds.
///
/// # Errors
/// [`HelloError`].
pub async fn greet(host: &Host, peer: PeerId, hello: &Hello) -> Result<i64, HelloError> {
    let opened = open(host.control(), peer, &StreamProtocol::new(PROTOCOL), PATIENCE).await?;
    let mut stream = opened.map_err(|error| HelloError::Open(peer, error))?;
    let asked = now();
    let bytes = within(PATIENCE, async {
        write_item(&mut stream, &hello.encode()).await?;
        read_item(&mut stream, LIMIT, PATIENCE).await
    });
    let offset = Latency::decode(&bytes.await?)?.clock_offset(asked, now());
    if offset.unsigned_abs() > DRIFT.as_nanos() as u64 {
        tracing::warn!(%peer, seconds = offset / 1_000_000_000, "its clock and ours are apart");
    }
    Ok(offset)
}

/// Takes a hello and says when it came.
async fn answer(stream: &mut IncomingStream) -> Result<Hello, HelloError> {
    let bytes = within(PATIENCE, read_item(stream, LIMIT, PATIENCE)).await?;
    let arrival = now();
    let hello = Hello::decode(&bytes)?;
    within(PATIENCE, write_item(stream, &Latency { arrival, sent: now() }.encode())).await?;
    within(PATIENCE, finish(stream)).await?;
    Ok(hello)
}

async fn meet(host: &Host, peer: PeerId, ours: &Hello, theirs: Hello, heard: &Heard) {
    if theirs.genesis == ours.genesis {
        heard(peer, theirs);
        return;
    }
    let error = HelloError::Genesis(Box::new(theirs.genesis));
    tracing::info!(%peer, %error, "hung up");
    // If the host has ended, so has the connection.
    let _ = host.disconnect(peer).await;
}

/// Nanoseconds of Unix.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_greeted_over_and_over() {
        let mut greeted = Greeted::default();
        let [one, other] = [PeerId::random(), PeerId::random()];
        assert_eq!(greeted.wait(one), Some(Duration::ZERO));
        assert!(greeted.wait(one).is_some_and(|wait| wait > PAUSE / 2));
        assert_eq!(greeted.wait(one), None);
        assert_eq!(greeted.wait(other), Some(Duration::ZERO));
        greeted.0.insert(other, Instant::now().checked_sub(2 * PAUSE).unwrap());
        assert_eq!(greeted.wait(one), None);
        assert_eq!(greeted.0.len(), 1);
    }
}
