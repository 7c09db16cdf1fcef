//! Parts of the chain, asked of another node: `/fil/chain/xchg/0.0.1`.
//!
//! | Message | Fields |
//! |---|---|
//! | request | key of the first tipset, how many (1 to 900), what of them: bit 0 headers, bit 1 messages |
//! | response | status, error message, tipsets from the first towards the genesis |
//! | tipset | headers; messages or null |
//!
//! Source: `spec/network.md` 5.2.

use filecash_ipld::Cid;

use crate::block_messages::{BlockMessages, CompactedError, CompactedMessages};
use crate::header::BlockHeader;
use crate::object::{Object, ObjectError, limit_values, tuple};
use crate::tipset::{MAX_BLOCKS, Tipset, TipsetError};

/// The name of the protocol.
pub const PROTOCOL: &str = "/fil/chain/xchg/0.0.1";
/// The most tipsets of a request.
pub const MAX_LENGTH: u64 = 900;
/// The most bytes of a response.
pub const MAX_RESPONSE_BYTES: usize = 16 << 20;
/// The most bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 8 << 10;
/// The most values of a response: a message of the usual size has twelve in 200 bytes.
const MAX_RESPONSE_VALUES: usize = 2 << 20;
/// The bits of what is asked for.
const HEADERS: u64 = 1;
const MESSAGES: u64 = 2;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The key of the first tipset.
    pub head: Vec<Cid>,
    /// How many tipsets, that one included.
    pub length: u64,
    /// Bit 0 for headers, bit 1 for messages.
    pub options: u64,
}
tuple!(Request { head, length, options });

/// How a response went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Status {
    Ok,
    /// Fewer tipsets than were asked for.
    Partial,
    NotFound,
    GoAway,
    InternalError,
    BadRequest,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Partial, Self::NotFound, Self::GoAway, Self::InternalError, Self::BadRequest];

    /// Its number.
    pub fn code(self) -> u64 {
        match self {
            Self::Ok => 0,
            Self::Partial => 101,
            Self::NotFound => 201,
            Self::GoAway => 202,
            Self::InternalError => 203,
            Self::BadRequest => 204,
        }
    }

    /// The status of a number.
    pub fn by_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// A [`Status`].
    pub status: u64,
    /// Words about it.
    pub error_message: String,
    /// The tipsets.
    pub chain: Vec<TipsetBundle>,
}
tuple!(Response { status, error_message, chain });

/// A tipset, as far as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TipsetBundle {
    /// Its blocks, in their order.
    pub blocks: Vec<BlockHeader>,
    /// Their messages.
    pub messages: Option<CompactedMessages>,
}
tuple!(TipsetBundle { blocks, messages });

/// A tipset with its messages, if they were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTipset {
    /// The tipset.
    pub tipset: Tipset,
    /// The messages of each of its blocks.
    pub messages: Option<Vec<BlockMessages>>,
}

/// Why a request or a response is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ExchangeError {
    #[error("a request for {0} tipsets, from 1 to {MAX_LENGTH} are allowed")]
    Length(u64),
    #[error("a request from a tipset of {0} blocks, from 1 to {MAX_BLOCKS} are allowed")]
    Head(usize),
    #[error("a request for nothing that is known: options {0:#x}")]
    Options(u64),
    #[error("the answer is status {code}: {message}")]
    Status { code: u64, message: String },
    #[error("{found} tipsets came, {asked} were asked for")]
    Count { asked: u64, found: usize },
    #[error("tipset {place} of the answer is not the parent of the one before, or not the first that was asked for")]
    Order { place: usize },
    #[error("tipset {place} of the answer: {source}")]
    Tipset { place: usize, source: TipsetError },
    #[error("tipset {place} of the answer came without messages")]
    NoMessages { place: usize },
    #[error("tipset {place} of the answer: {source}")]
    Messages { place: usize, source: CompactedError },
}

impl Request {
    /// Headers of a chain, and messages if wanted.
    pub fn new(head: Vec<Cid>, length: u64, messages: bool) -> Self {
        Self { head, length, options: if messages { HEADERS | MESSAGES } else { HEADERS } }
    }

    /// Messages alone, of tipsets that are known.
    pub fn for_messages(head: Vec<Cid>, length: u64) -> Self {
        Self { head, length, options: MESSAGES }
    }

    /// Whether headers are asked for.
    pub fn wants_headers(&self) -> bool {
        self.options & HEADERS != 0
    }

    /// Whether messages are asked for.
    pub fn wants_messages(&self) -> bool {
        self.options & MESSAGES != 0
    }

    /// Whether it can be answered.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub fn check(&self) -> Result<(), ExchangeError> {
        if !(1..=MAX_LENGTH).contains(&self.length) {
            return Err(ExchangeError::Length(self.length));
        }
        if !(1..=MAX_BLOCKS).contains(&self.head.len()) {
            return Err(ExchangeError::Head(self.head.len()));
        }
        if !self.wants_headers() && !self.wants_messages() {
            return Err(ExchangeError::Options(self.options));
        }
        Ok(())
    }
}

impl Response {
    /// Reads a response as it came. [`Object::decode`] is for what is known not to be made to fill memory.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn from_wire(bytes: &[u8]) -> Result<Self, ObjectError> {
        if bytes.len() > MAX_RESPONSE_BYTES {
            return Err(ObjectError::TooLong { limit: MAX_RESPONSE_BYTES, found: bytes.len() });
        }
        limit_values(bytes, MAX_RESPONSE_VALUES)?;
        Self::decode(bytes)
    }

    fn check_count(&self, asked: u64) -> Result<(), ExchangeError> {
        if !matches!(Status::by_code(self.status), Some(Status::Ok | Status::Partial)) {
            let message = self.error_message.chars().take(200).collect();
            return Err(ExchangeError::Status { code: self.status, message });
        }
        if self.chain.is_empty() || self.chain.len() as u64 > asked {
            return Err(ExchangeError::Count { asked, found: self.chain.len() });
        }
        Ok(())
    }

    /// The tipsets of a request that asked for headers: the first is that of the request, each later one the parent of the one before, and the
    /// messages are those that the headers name.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub fn tipsets(self, request: &Request) -> Result<Vec<FullTipset>, ExchangeError> {
        self.check_count(request.length)?;
        let mut expected = request.head.clone();
        let mut tipsets = Vec::with_capacity(self.chain.len());
        for (place, TipsetBundle { blocks, messages }) in self.chain.into_iter().enumerate() {
            let tipset = Tipset::new(blocks).map_err(|source| ExchangeError::Tipset { place, source })?;
            if tipset.key() != expected {
                return Err(ExchangeError::Order { place });
            }
            expected = tipset.parents().to_vec();
            let messages = match request.wants_messages() {
                true => Some(expand(place, messages.as_ref(), &tipset)?),
                false => None,
            };
            tipsets.push(FullTipset { tipset, messages });
        }
        Ok(tipsets)
    }

    /// The messages of a request that asked for them alone, of tipsets that are known, from the first.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub fn messages(self, tipsets: &[Tipset]) -> Result<Vec<Vec<BlockMessages>>, ExchangeError> {
        self.check_count(tipsets.len() as u64)?;
        let bundles = self.chain.iter().zip(tipsets).enumerate();
        bundles.map(|(place, (bundle, tipset))| expand(place, bundle.messages.as_ref(), tipset)).collect()
    }
}

fn expand(
    place: usize,
    messages: Option<&CompactedMessages>,
    tipset: &Tipset,
) -> Result<Vec<BlockMessages>, ExchangeError> {
    let messages = messages.ok_or(ExchangeError::NoMessages { place })?;
    messages.expand(tipset).map_err(|source| ExchangeError::Messages { place, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/network.md` 5.2.
    #[test]
    fn request_is_that_of_the_specification() {
        let genesis: Cid = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc".parse().unwrap();
        let request = Request::new(vec![genesis], 1, true);
        let link = "d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1";
        let bytes = request.encode();
        assert_eq!((bytes.len(), hex::encode(&bytes)), (47, format!("8381{link}0103")));
        assert_eq!(Request::decode(&bytes).unwrap(), request);
        assert_eq!(request.check(), Ok(()));
    }

    #[test]
    fn answers_that_do_not_go_with_their_request_are_refused() {
        let request = Request::new(vec![], 1, false);
        let response = |status: u64, count| Response {
            status,
            error_message: "é".repeat(300),
            chain: vec![TipsetBundle { blocks: vec![], messages: None }; count],
        };
        for (status, count, what) in [
            (201, 0, "status 201"),
            (999, 1, "status 999"),
            (0, 0, "0 tipsets came, 1 were asked for"),
            (101, 2, "2 tipsets came, 1 were asked for"),
            (0, 1, "at least one block"),
        ] {
            let error = response(status, count).tipsets(&request).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(Status::ALL.iter().all(|status| Status::by_code(status.code()) == Some(*status)));
    }

    #[test]
    fn responses_that_fill_memory_are_refused_before_they_are_read() {
        let many = [&[0x9a, 0, 0x40, 0, 0][..], &[0; 0x40_0000]].concat();
        assert_eq!(Response::from_wire(&many), Err(ObjectError::TooMany(MAX_RESPONSE_VALUES)));
        let found = MAX_RESPONSE_BYTES + 1;
        assert_eq!(
            Response::from_wire(&vec![0; found]),
            Err(ObjectError::TooLong { limit: MAX_RESPONSE_BYTES, found })
        );
    }
}
