//! Parts of the chain, asked of another node and answered.
//!
//! Source: `spec/network.md` 5.2.

use std::sync::Arc;
use std::time::Duration;

use filecash_chain::block_messages::BlockMessages;
use filecash_chain::exchange::{
    ExchangeError, FullTipset, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, PROTOCOL, Request, Response,
};
use filecash_chain::object::ObjectError;
use filecash_chain::{Object, Tipset};
use libp2p::{PeerId, StreamProtocol};
use libp2p_stream::OpenStreamError;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::host::{Host, IncomingStream};
use crate::streams::{
    AlreadyServed, ItemLimit, Pace, Served, StreamError, finish, open, read_item, read_item_at, serve, within,
    write_item,
};

/// How long a request may take to be written, and each part of a response to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a response may take to be made and written.
const WRITTEN: Duration = Duration::from_secs(60);
/// How fast a response has to come.
const PACE: Pace = Pace { silence: PATIENCE, bytes_per_second: 50 << 10 };
const REQUEST: ItemLimit = ItemLimit { bytes: MAX_REQUEST_BYTES, values: 1024 };
/// Keys of maps and tags count here; the response itself is looked at more closely.
const RESPONSE: ItemLimit = ItemLimit { bytes: MAX_RESPONSE_BYTES, values: 4 << 20 };
const SERVED: Served = Served { streams: 16, per_peer: 2 };

/// Answers requests, on threads where it may take long.
pub type Answer = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// Why a part of the chain was not had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AskError {
    #[error("{0} could not be asked")]
    Open(PeerId, #[source] OpenStreamError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("what came is no answer")]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the answer was not read")]
    Task,
}

/// Answers other nodes until the host ends.
///
/// # Errors
/// [`AlreadyServed`] when that is done already.
pub fn run(host: &Host, answer: Answer) -> Result<JoinHandle<()>, AlreadyServed> {
    serve(host, &[StreamProtocol::new(PROTOCOL)], SERVED, move |peer, mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            if let Err(error) = answer_one(&mut stream, answer).await {
                tracing::debug!(%peer, %error, "a request for a part of the chain");
            }
        }
    })
}

async fn answer_one(stream: &mut IncomingStream, answer: Answer) -> Result<(), AskError> {
    let request = Request::decode(&within(PATIENCE, read_item(stream, REQUEST, PATIENCE)).await?)?;
    let response = spawn_blocking(move || answer(&request).encode()).await.map_err(|_| AskError::Task)?;
    within(WRITTEN, write_item(stream, &response)).await?;
    Ok(within(PATIENCE, finish(stream)).await?)
}

/// Asks a peer for tipsets with their headers; what comes is checked to be what was asked for.
///
/// # Errors
/// [`AskError`].
pub async fn ask(host: &Host, peer: PeerId, request: Request) -> Result<Vec<FullTipset>, AskError> {
    respond(host, peer, &request.clone(), move |response| response.tipsets(&request)).await
}

/// Asks a peer for the messages of tipsets, each the parents of the one before; of the first, some of the blocks may be left out. What comes is
/// checked to be what the headers name: the messages of each block, for the first tipset and as many after it as the peer sent.
///
/// # Errors
/// [`AskError`].
pub async fn ask_messages(
    host: &Host,
    peer: PeerId,
    tipsets: Vec<Tipset>,
) -> Result<Vec<Vec<BlockMessages>>, AskError> {
    let head = tipsets.first().map(Tipset::key).unwrap_or_default();
    let request = Request::for_messages(head, tipsets.len() as u64);
    respond(host, peer, &request, move |response| response.messages(&tipsets)).await
}

async fn respond<T: Send + 'static>(
    host: &Host,
    peer: PeerId,
    request: &Request,
    check: impl FnOnce(Response) -> Result<T, ExchangeError> + Send + 'static,
) -> Result<T, AskError> {
    request.check()?;
    let opened = open(host.control(), peer, &StreamProtocol::new(PROTOCOL), PATIENCE).await?;
    let mut stream = opened.map_err(|error| AskError::Open(peer, error))?;
    within(PATIENCE, write_item(&mut stream, &request.encode())).await?;
    let bytes = read_item_at(&mut stream, RESPONSE, PACE).await?;
    let read = spawn_blocking(move || Ok(check(Response::from_wire(&bytes)?)?));
    read.await.map_err(|_| AskError::Task)?
}
