//! The node's JSON-RPC, as programs that were made for Lotus expect it.
//!
//! ```text
//! POST or WebSocket at /rpc/v0, /rpc/v1 --> call (one or a batch) --> method (who may, how many parameters) --> ledger or host
//!                                       <-- result or {code, message}                                      <-- value
//! ```
//! - [`call`]: requests and answers as text.
//! - [`methods`]: what can be called, and by whom; [`auth`]: the tokens that say who one is.
//! - [`ledger`]: the chain and its states, as far as the store has them; [`json`] is how they are written.
//! - [`node`]: all that is answered from; [`notify`]: telling of new heads.
//! - [`http`]: the requests; [`server`]: the connections.
//!
//! Why this is made by hand over `axum`, and not with `jsonrpsee`: that crate's subscriptions have another form than the channels here
//! (`xrpc.ch.val` with `[channel, value]`, `xrpc.cancel` with the id of the request), its ids are numbers or texts of its own choosing,
//! and its statuses of HTTP are others. What would be left to it is reading an envelope of four members.
//!
//! Whoever has no token may read, as with Lotus. Everything that others can make us do has a limit, in [`limits`].
//!
//! Source: `spec/network.md` 15; `spec/attach.md` B.3.

pub mod auth;
pub mod call;
pub mod http;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod methods;
pub mod node;
pub mod notify;
pub mod server;
mod socket;

pub use ledger::Ledger;
pub use node::Node;
