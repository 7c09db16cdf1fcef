//! Requests to answers.

use std::sync::Arc;

use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::blocks::Blocks;
use crate::body::Answer;
use crate::bytes::{self, Part, Span};
use crate::car::Car;
use crate::headers::{about_ipfs, car_etag, headers, listed, part_of, refused, value};
use crate::limits::Limits;
use crate::metrics::{Counters, Kind, Metrics};
use crate::piece::{Piece, PieceSource};
use crate::piece_cid::PieceCid;
use crate::refusal::Refusal;
use crate::request::{Asked, AskedBlock, AskedCar};
use crate::send::{send_car, send_piece};

/// Answers requests. A clone is the same.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    blocks: Blocks,
    pieces: Box<dyn PieceSource>,
    places: Arc<Semaphore>,
    /// Room for blocks that answers remember to have sent.
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
}

/// Who asks, beside for what.
struct Asking {
    is_head: bool,
    is_old: bool,
    only_if_cached: bool,
    if_none_match: Option<String>,
    if_range: Option<String>,
    range: Option<String>,
    address: String,
}

/// What is to be sent.
struct Given {
    kind: Kind,
    headers: HeaderMap,
    etag: String,
    content: Content,
}

enum Content {
    /// Nothing but the head.
    NotModified,
    Block(Vec<u8>),
    Piece(Piece),
    Car(Box<Car>),
}

impl Gateway {
    /// Gives the blocks of a store, and pieces.
    pub fn new(blocks: Arc<dyn BlockStore>, pieces: Box<dyn PieceSource>, limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            blocks: Blocks::new(blocks, limits.block_bytes),
            pieces,
            places: Arc::new(Semaphore::new(limits.requests)),
            room: Arc::new(Semaphore::new(limits.remembered.min(Semaphore::MAX_PERMITS))),
            counters: Arc::default(),
        }))
    }

    /// What was served so far.
    pub fn metrics(&self) -> Metrics {
        self.0.counters.read()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Answers. A body that comes with the request is not looked at.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Answer> {
        let (mut kind, is_head) = (Kind::Other, request.method() == Method::HEAD);
        let response = match self.give(&request, &mut kind).await {
            Ok(response) => response,
            Err(refusal) => refused(&refusal, kind, is_head, &self.0.counters),
        };
        let status = response.status().as_u16();
        self.0.counters.count(|metrics| *metrics.requests.entry((kind, status)).or_default() += 1);
        tracing::debug!(status, kind = kind.name(), address = %request.uri(), "answered");
        response
    }

    async fn give<B>(&self, request: &Request<B>, kind: &mut Kind) -> Result<Response<Answer>, Refusal> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let asking = Asking::new(request)?;
        let accept = listed(request.headers(), header::ACCEPT);
        let asked = Asked::parse(&asking.address, accept.as_deref())?;
        *kind = match asked {
            Asked::Block(_) => Kind::Block,
            Asked::Car(_) => Kind::Car,
            Asked::Piece(_) => Kind::Piece,
        };
        // The thread keeps the place as long as it works, also for a client who has left.
        let inner = Arc::clone(&self.0);
        let find = move || (inner.find(&asked, &asking), asking, place);
        let (given, asking, place) = spawn_blocking(find).await.map_err(|_| Refusal::Internal)?;
        self.0.response(given?, &asking, place)
    }
}

impl Asking {
    fn new<B>(request: &Request<B>) -> Result<Self, Refusal> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::Method(request.method().as_str().chars().take(32).collect()));
        }
        let headers = request.headers();
        if headers.get("service-worker").is_some_and(|value| value == "script") {
            return Err(Refusal::ServiceWorker);
        }
        let cache_control = listed(headers, header::CACHE_CONTROL).unwrap_or_default().to_ascii_lowercase();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let is_get = request.method() == Method::GET;
        Ok(Self {
            is_head: !is_get,
            is_old: request.version() < Version::HTTP_11,
            only_if_cached: cache_control.split(',').any(|word| word.trim() == "only-if-cached"),
            if_none_match: listed(headers, header::IF_NONE_MATCH),
            if_range: text(header::IF_RANGE),
            // A range of what HEAD does not send makes no sense.
            range: text(header::RANGE).filter(|_| is_get),
            address: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
        })
    }

    /// Whether the client has what it asks for already.
    fn has(&self, etag: &str) -> bool {
        let opaque = |tag: &str| tag.trim().strip_prefix("W/").unwrap_or(tag.trim()).to_owned();
        let mut tags = self.if_none_match.as_deref().unwrap_or_default().split(',');
        tags.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
    }

    fn not_here(&self, cid: &Cid) -> Refusal {
        match self.only_if_cached {
            true => Refusal::NotHereOnly(Box::new(*cid)),
            false => Refusal::NotHere(Box::new(*cid)),
        }
    }

    fn unless_had(&self, etag: &str, content: Content) -> Content {
        if self.has(etag) { Content::NotModified } else { content }
    }

    /// Which bytes of what has so many.
    fn part(&self, etag: &str, length: u64) -> Part {
        // What the client has a part of may be another.
        let is_same = self.if_range.as_deref().is_none_or(|tag| tag == etag);
        bytes::of_range(self.range.as_deref().filter(|_| is_same), length)
    }
}

impl Inner {
    fn find(&self, asked: &Asked, asking: &Asking) -> Result<Given, Refusal> {
        match asked {
            Asked::Block(asked) => self.block(asked, asking),
            Asked::Car(asked) => self.car(asked, asking),
            Asked::Piece(asked) => self.piece(asked, asking),
        }
    }

    fn block(&self, asked: &AskedBlock, asking: &Asking) -> Result<Given, Refusal> {
        let bytes = self.blocks.get(&asked.cid)?.ok_or_else(|| asking.not_here(&asked.cid))?;
        let filename = asked.filename.clone().unwrap_or_else(|| format!("{}.bin", asked.cid));
        let mut headers = headers("application/vnd.ipld.raw", &filename, "bytes")?;
        about_ipfs(&mut headers, &asking.address, asked.location.as_deref(), &[asked.cid])?;
        let etag = format!("\"{}.raw\"", asked.cid);
        Ok(Given { kind: Kind::Block, headers, content: asking.unless_had(&etag, Content::Block(bytes)), etag })
    }

    fn car(&self, asked: &AskedCar, asking: &Asking) -> Result<Given, Refusal> {
        if asking.is_old && !asking.is_head {
            return Err(Refusal::Version);
        }
        if !self.blocks.has(&asked.root)? {
            return Err(asking.not_here(&asked.root));
        }
        let etag = car_etag(asked);
        let is_sent = !asking.is_head && !asking.has(&etag);
        let car = Car::prepare(&self.blocks, asked, Some(&self.room).filter(|_| is_sent))?;
        let filename = asked.filename.clone().unwrap_or_else(|| format!("{}.car", asked.root));
        let dups = if asked.duplicates { "y" } else { "n" };
        let content_type = format!("application/vnd.ipld.car;version=1;order=dfs;dups={dups}");
        let mut headers = headers(&content_type, &filename, "none")?;
        about_ipfs(&mut headers, &asking.address, asked.location.as_deref(), car.roots())?;
        Ok(Given { kind: Kind::Car, headers, content: asking.unless_had(&etag, Content::Car(Box::new(car))), etag })
    }

    fn piece(&self, asked: &PieceCid, asking: &Asking) -> Result<Given, Refusal> {
        let found = self.pieces.open(&asked.version_1()).map_err(Refusal::Piece)?;
        let mut piece = found.ok_or_else(|| Refusal::NoPiece(asked.to_string()))?;
        if let Some(expected) = asked.length() {
            // What is behind that are zeros.
            if piece.length < expected {
                return Err(Refusal::PieceLength { piece: asked.to_string(), expected });
            }
            piece.length = expected;
        }
        let headers = match piece.car_version().map_err(Refusal::Piece)? {
            Some(version) => {
                headers(&format!("application/vnd.ipld.car;version={version}"), &format!("{asked}.car"), "bytes")
            }
            None => headers("application/octet-stream", &asked.to_string(), "bytes"),
        };
        let etag = format!("\"{asked}.piece\"");
        Ok(Given {
            kind: Kind::Piece,
            headers: headers?,
            content: asking.unless_had(&etag, Content::Piece(piece)),
            etag,
        })
    }

    fn response(
        &self,
        given: Given,
        asking: &Asking,
        place: OwnedSemaphorePermit,
    ) -> Result<Response<Answer>, Refusal> {
        let place = Arc::new(place);
        let Given { kind, mut headers, etag, content } = given;
        headers.insert(header::ETAG, value(&etag)?);
        let counters = &self.counters;
        let (status, answer) = match content {
            Content::NotModified => (StatusCode::NOT_MODIFIED, Answer::whole("", kind, counters)),
            Content::Block(bytes) => {
                let (status, span) = part_of(&mut headers, asking.part(&etag, bytes.len() as u64), bytes.len() as u64)?;
                let mut bytes = Bytes::from(bytes);
                if let Some(Span { first, last }) = span {
                    bytes = bytes.slice(first as usize..=last as usize);
                }
                (status, Answer::whole(if asking.is_head { Bytes::new() } else { bytes }, kind, counters))
            }
            Content::Piece(piece) => {
                let (status, span) = part_of(&mut headers, asking.part(&etag, piece.length), piece.length)?;
                let (first, length) = span.map_or((0, piece.length), |span| (span.first, span.length()));
                if asking.is_head || length == 0 {
                    (status, Answer::whole("", kind, counters))
                } else {
                    let (sink, answer) = Answer::stream(Some(length), kind, counters);
                    let place = Arc::clone(&place);
                    spawn_blocking(move || {
                        send_piece(&piece, first, length, sink);
                        drop(place);
                    });
                    (status, answer)
                }
            }
            Content::Car(_) if asking.is_head => (StatusCode::OK, Answer::whole("", kind, counters)),
            Content::Car(car) => {
                let (sink, answer) = Answer::stream(None, kind, counters);
                let (address, place) = (asking.address.clone(), Arc::clone(&place));
                spawn_blocking(move || {
                    send_car(*car, sink, &address);
                    drop(place);
                });
                (StatusCode::OK, answer)
            }
        };
        let mut response = Response::new(answer.holding(place));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
