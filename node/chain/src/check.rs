//! What can be said of blocks and messages without the state of the ledger.
//!
//! - [`signatures`]: of messages, of blocks under a worker key, of the sum of a block's BLS messages.
//! - [`message`]: the ranges of a message's fields.
//! - [`block`]: a block alone, with its messages, and on its parents.
//! - [`beacon`]: rounds of the beacon.
//! - [`tipset`]: all of these, of a tipset.
//! - [`gossip`]: what is to become of an announcement.
//!
//! Whether a sender has what it spends, whether a miner may mine, and what a block says of its parents' results is not decided here.
//!
//! Source: `spec/chain.md` 4.3; `spec/network.md` 4.4 and 4.5.

pub mod beacon;
pub mod block;
pub mod gossip;
pub mod message;
pub mod signatures;
pub mod tipset;

/// The numbers that a network decides on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// From one epoch to the next.
    pub epoch_seconds: u64,
    /// How far a block may be ahead of the clock.
    pub clock_drift_seconds: u64,
    /// The most gas that the messages of a block may use.
    pub block_gas_limit: i64,
    /// All coins there can be.
    pub total_coins: u64,
    /// How many elections an epoch is expected to have won.
    pub leaders_per_epoch: u64,
}

impl Rules {
    /// Those of Filecash's main network, and of Filecoin's at that time.
    pub const MAINNET: Self = Self {
        epoch_seconds: 30,
        clock_drift_seconds: 1,
        block_gas_limit: 10_000_000_000,
        total_coins: 2_000_000_000,
        leaders_per_epoch: 5,
    };

    /// The most elections that one block may have won.
    pub fn max_win_count(&self) -> i64 {
        i64::try_from(self.leaders_per_epoch.saturating_mul(3)).unwrap_or(i64::MAX)
    }
}
