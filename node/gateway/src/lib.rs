//! Blocks, CARs and pieces for anybody who asks by HTTP, and nothing else: there is no way to write anything, and nothing is fetched from
//! anywhere.
//!
//! ```text
//! connection (serve, paced) ── request ── Gateway ── Refusal: a status and a line
//!                                            │
//!               a thread that may wait: resolve, car, blocks, piece ── Sink ── chunks ── Answer ── connection
//! ```
//! What is asked for is parsed into a type that cannot ask for anything else ([`request`]) before anything is looked for. A head is sent once
//! it is known that the answer begins; what then goes wrong breaks the connection off, so that a client never takes a part for the whole.
//!
//! - [`request`]: addresses, parameters and what is accepted (`accept`); [`bytes`]: ranges.
//! - [`gateway`]: requests to answers; `headers` and `refusal`: how they look.
//! - `resolve`: paths; `car`: which blocks a CAR has; [`seen`]: those that it has already.
//! - [`piece`], [`piece_cid`]: pieces, by CIDs of both versions.
//! - [`body`], `send`: bytes on their way; `paced`: clients that do not take them.
//! - [`mod@serve`]: a server; [`limits`]: what it may cost; [`metrics`]: what it did.
//!
//! Source: the trustless gateway specification of specs.ipfs.tech (2026-03-05); FRC-0066 and FRC-0069 for pieces.

mod accept;
mod blocks;
pub mod body;
pub mod bytes;
mod car;
pub mod gateway;
mod headers;
pub mod limits;
pub mod metrics;
mod paced;
pub mod piece;
pub mod piece_cid;
mod refusal;
pub mod request;
mod resolve;
pub mod seen;
mod send;
pub mod serve;

pub use gateway::Gateway;
pub use limits::Limits;
pub use metrics::Metrics;
pub use piece::{NoPieces, PieceFolder, PieceSource};
pub use request::Asked;
pub use serve::{ServeError, serve, serve_on};
