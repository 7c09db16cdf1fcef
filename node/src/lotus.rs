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

use self::address::is_authority;
pub use self::address::{AddressError, MinerApi};
use crate::jobs::{QueueError, StoreError};

/// How long a connection to find our own address may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Why nothing can be told to a miner of where we are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AnnounceError {
    #[error("the miner at {miner} does not reach {listen}; --listen on an address that it reaches, or --announce one")]
    Loopback { miner: String, listen: SocketAddr },
    #[error("{0:?} is not HOST:PORT")]
    Address(String),
    #[error("the way to the miner at {miner}, which tells our own address, is not found; --announce says it")]
    NoWay { miner: String },
}

impl AnnounceError {
    /// Whether it will be so next time too.
    fn is_final(&self) -> bool {
        !matches!(self, Self::NoWay { .. })
    }
}

/// `HOST:PORT` at which a miner reaches what listens here: what was said, else where that is, else our address on the way to it.
fn announced(listen: SocketAddr, said: Option<&str>, miner: &MinerApi) -> Result<String, AnnounceError> {
    if let Some(said) = said {
        return match is_authority(said) {
            true => Ok(said.to_owned()),
            false => Err(AnnounceError::Address(said.to_owned())),
        };
    }
    let ip = listen.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        return Ok(listen.to_string());
    }
    let name = miner.authority().to_owned();
    let Ok(miners) = name.to_socket_addrs() else { return Err(AnnounceError::NoWay { miner: name }) };
    let miners: Vec<SocketAddr> = miners.collect();
    if ip.is_loopback() {
        return match miners.iter().all(|miner| miner.ip().is_loopback()) {
            true => Ok(listen.to_string()),
            false => Err(AnnounceError::Loopback { miner: name, listen }),
        };
    }
    let ours = miners.iter().find_map(|miner| {
        let stream = TcpStream::connect_timeout(miner, CONNECT).ok()?;
        stream.local_addr().ok()
    });
    let ours = ours.ok_or(AnnounceError::NoWay { miner: name })?;
    Ok(SocketAddr::new(ours.ip(), listen.port()).to_string())
}

/// The actor number or anything else as unsigned LEB128.
fn leb128(number: u64) -> Vec<u8> {
    let (mut rest, mut bytes) = (number, Vec::new());
    loop {
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// A change that somebody else may have made before: only a store that does not answer is a failure.
fn unless_gone(outcome: Result<(), QueueError>) -> Result<(), StoreError> {
    match outcome {
        Err(QueueError::Store(error)) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miners_are_told_what_they_reach() {
        let of = |listen: &str, said, miner: &str| {
            announced(listen.parse().unwrap(), said, &format!("http://{miner}").parse().unwrap())
        };
        assert_eq!(of("10.1.2.3:99", None, "10.0.0.1:1").unwrap(), "10.1.2.3:99");
        assert_eq!(of("127.0.0.1:99", None, "127.0.0.1:1").unwrap(), "127.0.0.1:99");
        assert_eq!(of("127.0.0.1:99", Some("me:1"), "10.0.0.1:1").unwrap(), "me:1");
        assert!(matches!(of("127.0.0.1:99", None, "10.0.0.1:1"), Err(AnnounceError::Loopback { .. })));
        assert!(matches!(of("127.0.0.1:99", Some("me"), "127.0.0.1:1"), Err(AnnounceError::Address(_))));
        let miner = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = miner.local_addr().unwrap().to_string();
        assert_eq!(of("0.0.0.0:99", None, &address).unwrap(), "127.0.0.1:99");
        drop(miner);
        assert!(matches!(of("0.0.0.0:99", None, &address), Err(AnnounceError::NoWay { .. })));
    }

    #[test]
    fn numbers_are_in_sevens_of_bits() {
        assert_eq!((leb128(0), leb128(127), leb128(1000)), (vec![0], vec![127], vec![0xe8, 0x07]));
        assert_eq!(leb128(u64::MAX).len(), 10);
    }
}
