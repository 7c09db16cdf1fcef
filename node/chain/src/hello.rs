//! What two nodes tell each other first: `/fil/hello/1.0.0`.
//!
//! | Message | Fields |
//! |---|---|
//! | hello | key, height and weight of the heaviest tipset; CID of the genesis |
//! | answer | when the hello came, when this was sent: nanoseconds of Unix |
//!
//! Source: `spec/network.md` 5.1.

use filecash_ipld::Cid;

use crate::amount::Amount;
use crate::object::tuple;

/// The name of the protocol.
pub const PROTOCOL: &str = "/fil/hello/1.0.0";
/// The most bytes of a hello: a key of the most blocks, and room.
pub const MAX_BYTES: usize = 8 << 10;

/// Where a node's chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The key of its heaviest tipset.
    pub heaviest: Vec<Cid>,
    /// That tipset's epoch.
    pub height: i64,
    /// That tipset's weight.
    pub weight: Amount,
    /// The first block of its chain.
    pub genesis: Cid,
}
tuple!(Hello { heaviest, height, weight, genesis });

/// The answer to a hello, for an estimate of how far clocks are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// When the hello came.
    pub arrival: i64,
    /// When this was sent.
    pub sent: i64,
}
tuple!(Latency { arrival, sent });

impl Latency {
    /// How far the other clock is ahead, in nanoseconds, when the hello was sent at `asked` and this came at `answered`.
    pub fn clock_offset(&self, asked: i64, answered: i64) -> i64 {
        let ahead = i128::from(self.arrival) - i128::from(asked);
        let behind = i128::from(answered) - i128::from(self.sent);
        // The mean of two differences of 64-bit numbers may need 65 bits.
        ((ahead - behind) / 2).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    /// `spec/network.md` 5.1.
    #[test]
    fn hello_is_that_of_the_specification() {
        let genesis: Cid = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc".parse().unwrap();
        let hello = Hello { heaviest: vec![genesis], height: 0, weight: Amount::zero(), genesis };
        let bytes = hello.encode();
        let link = "d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1";
        assert_eq!((bytes.len(), hex::encode(&bytes)), (90, format!("8481{link}0040{link}")));
        assert_eq!(Hello::decode(&bytes).unwrap(), hello);
    }

    #[test]
    fn clock_offset_leaves_out_the_way_there_and_back() {
        let answer = Latency { arrival: 1_100, sent: 1_150 };
        assert_eq!(Latency::decode(&answer.encode()).unwrap(), answer);
        assert_eq!(answer.clock_offset(0, 250), 1_000);
        assert_eq!(Latency { arrival: i64::MAX, sent: i64::MAX }.clock_offset(i64::MIN, i64::MIN), i64::MAX);
    }
}
