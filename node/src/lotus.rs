//! What a miner that runs Lotus can have from us: a worker ([`worker`]), and sectors that are sealed here ([`import`]).
//!
//! Source: `spec/attach.md` B, C.3.

mod address;
pub mod import;
mod rpc;
mod types;
pub mod worker;

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

pub use self::address::{AddressError, MinerApi};

/// How long a connection to find our own address may take.
const CONNECT: Duration = Duration::from_secs(5);

/// `HOST:PORT` at which a miner reaches what listens here: what was said, else where that is, else our address on the way to it.
fn announced(listen: SocketAddr, said: Option<&str>, miner: &MinerApi) -> String {
    if let Some(said) = said {
        return said.to_owned();
    }
    let on_the_way = || {
        let miner = miner.authority().to_socket_addrs().ok()?.next()?;
        let stream = TcpStream::connect_timeout(&miner, CONNECT).ok()?;
        Some(SocketAddr::new(stream.local_addr().ok()?.ip(), listen.port()))
    };
    let seen = if listen.ip().is_unspecified() { on_the_way() } else { None };
    seen.unwrap_or(listen).to_string()
}
