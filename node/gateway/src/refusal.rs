//! Why nothing is given, as a status and a line of text.
//!
//! | Status | |
//! |---|---|
//! | 400 | what is asked for makes no sense |
//! | 404 | it is not here, or a name on the way to it |
//! | 405 | something was to be done other than to read |
//! | 406 | in that form nothing is given |
//! | 412 | it is not here, and who asks wants it only if it is (`Cache-Control: only-if-cached`) |
//! | 414 | the address is too long |
//! | 416 | none of the bytes asked for are there |
//! | 500 | what is kept is damaged, or cannot be read; the log says more than the answer |
//! | 501 | it is here, and cannot be given: a path that ends within a block, a codec of which links are not known |
//! | 503 | too many are served already, or others need the memory |
//! | 505 | a CAR by HTTP/1.0, in which one that breaks off would look like a whole one |

use filecash_ipld::Cid;
use filecash_ipld::store::StoreError;
use hyper::StatusCode;

use crate::request::RequestError;

/// After how many seconds who was turned away may come again.
pub const RETRY_AFTER: u32 = 5;

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Refusal {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("{0} is not asked with: this server is only read, by GET and HEAD")]
    Method(String),
    #[error("scripts for a service worker are not given here")]
    ServiceWorker,
    #[error("a CAR takes HTTP/1.1 or later: in 1.0 one that breaks off looks like a whole one")]
    Version,
    #[error("{0} is not here")]
    NotHere(Box<Cid>),
    #[error("{0} is not here")]
    NotHereOnly(Box<Cid>),
    #[error("{cid} has nothing by the name of {name:?}")]
    NoName { cid: Box<Cid>, name: String },
    #[error("{cid} is a {actual}, in which {name:?} cannot be")]
    NoFolder { cid: Box<Cid>, name: String, actual: &'static str },
    #[error("the path ends within {0}, at what is not a block of its own")]
    WithinBlock(Box<Cid>),
    #[error(
        "what {cid} links to is not known, its codec being {codec:#x}: ask for it with format=raw or dag-scope=block"
    )]
    Codec { cid: Box<Cid>, codec: u64 },
    #[error("none of these bytes are in a file of {size}")]
    NoBytes { size: u64 },
    #[error("there are {length} bytes")]
    NoRange { length: u64 },
    #[error("piece {0} is not here")]
    NoPiece(String),
    #[error("piece {piece} is not here with {expected} bytes")]
    PieceLength { piece: String, expected: u64 },
    #[error("the block has {length} bytes, and blocks of at most {limit} are given")]
    TooLong { length: usize, limit: usize },
    #[error("too many are served at the moment")]
    Busy,
    #[error("what is kept of {0} is damaged")]
    Damaged(Box<Cid>),
    #[error("what is kept cannot be read")]
    Store(#[source] StoreError),
    #[error("the piece cannot be read")]
    Piece(#[source] std::io::Error),
    #[error("something went wrong here")]
    Internal,
}

impl Refusal {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Request(error) => match error {
                RequestError::Nowhere => StatusCode::NOT_FOUND,
                RequestError::TooLong => StatusCode::URI_TOO_LONG,
                RequestError::OtherForm(_) | RequestError::OtherCar => StatusCode::NOT_ACCEPTABLE,
                _ => StatusCode::BAD_REQUEST,
            },
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::ServiceWorker | Self::NoBytes { .. } => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::NotHere(_) | Self::NoName { .. } | Self::NoFolder { .. } => StatusCode::NOT_FOUND,
            Self::NoPiece(_) | Self::PieceLength { .. } => StatusCode::NOT_FOUND,
            Self::NotHereOnly(_) => StatusCode::PRECONDITION_FAILED,
            Self::WithinBlock(_) | Self::Codec { .. } | Self::TooLong { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::NoRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Damaged(_) | Self::Store(_) | Self::Piece(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { cid, .. } => Self::Damaged(cid),
            StoreError::TooLong { length, limit } => Self::TooLong { length, limit },
            error => Self::Store(error),
        }
    }
}
