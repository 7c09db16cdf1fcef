//! Messages, by which accounts have actors do something.
//!
//! | Sender's key | In a block | In lists of CIDs | On the way there |
//! |---|---|---|---|
//! | BLS | the message, its signature summed into the block's aggregate | CID of the message | with its signature |
//! | secp256k1 | with its signature | CID of message and signature | with its signature |
//!
//! A message's own name is always the CID without signature, and a signature is over the bytes of that CID.
//!
//! Source: `spec/chain.md` 2.2.

use crate::address::Address;
use crate::amount::Amount;
use crate::object::{Object, tuple};
use crate::signature::Signature;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Zero so far.
    pub version: u64,
    /// The actor that is called.
    pub to: Address,
    /// The account that pays.
    pub from: Address,
    /// How many messages of the account went before.
    pub nonce: u64,
    /// What the receiver gets.
    pub value: Amount,
    /// How much gas may be used.
    pub gas_limit: i64,
    /// The most that a unit of gas may cost.
    pub gas_fee_cap: Amount,
    /// What of that the miner may have.
    pub gas_premium: Amount,
    /// Zero only moves the value.
    pub method: u64,
    /// What the method is called with.
    pub params: Vec<u8>,
}
tuple!(Message { version, to, from, nonce, value, gas_limit, gas_fee_cap, gas_premium, method, params });

impl Message {
    /// What its signature is over.
    pub fn signing_bytes(&self) -> Vec<u8> {
        self.cid().to_bytes()
    }
}

/// A message with the sender's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    /// What is signed.
    pub message: Message,
    /// By whom it is from.
    pub signature: Signature,
}
tuple!(SignedMessage { message, signature });
