//! What nodes tell each other of the chain.

use filecash_chain::block_message::BlockMsg;
use filecash_chain::hello::{Hello, Latency};
use filecash_chain::{BlockHeader, Object, SignedMessage, exchange};

/// An object, which is written as it was read.
fn object<T: Object>(data: &[u8]) -> usize {
    match T::decode(data) {
        Ok(value) => {
            assert_eq!(value.encode(), data);
            1
        }
        Err(_) => 0,
    }
}

/// Hello and its answer, requests for parts of the chain, headers, messages and announcements of blocks. Each is written as it was read;
/// answers are read, too.
pub fn chain_wire(data: &[u8]) -> usize {
    let objects = object::<Hello>(data)
        + object::<Latency>(data)
        + object::<exchange::Request>(data)
        + object::<BlockHeader>(data)
        + object::<SignedMessage>(data)
        + object::<BlockMsg>(data);
    objects + usize::from(exchange::Response::from_wire(data).is_ok())
}
