//! The ranges of a message's fields.
//!
//! | Field | Range |
//! |---|---|
//! | version | 0 |
//! | value | 0 to all coins there can be |
//! | gas limit | 1 to the block's |
//! | premium | 0 to the fee cap |
//! | bytes with signature, on the way | 32 KiB |
//!
//! Source: `spec/network.md` 4.5.

use crate::amount::Amount;
use crate::check::Rules;
use crate::message::Message;

/// The most bytes of a message with its signature, on the way to a block.
pub const MAX_BYTES: usize = 32 << 10;

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum MessageFault {
    #[error("a message of version {0}")]
    Version(u64),
    #[error("a message moves {0}, which is below zero or more than there is")]
    Value(Amount),
    #[error("a message has a gas limit of {found}, from 1 to {limit} are allowed")]
    GasLimit { limit: i64, found: i64 },
    #[error("a message has a premium of {premium}, which is below zero or over its fee cap of {fee_cap}")]
    Premium { premium: Amount, fee_cap: Amount },
}

/// Whether a message's fields are in their ranges.
///
/// # Errors
/// [`MessageFault`].
pub fn check(message: &Message, rules: &Rules) -> Result<(), MessageFault> {
    if message.version != 0 {
        return Err(MessageFault::Version(message.version));
    }
    if message.value.is_negative() || message.value > Amount::of_coins(rules.total_coins) {
        return Err(MessageFault::Value(message.value.clone()));
    }
    if !(1..=rules.block_gas_limit).contains(&message.gas_limit) {
        return Err(MessageFault::GasLimit { limit: rules.block_gas_limit, found: message.gas_limit });
    }
    if message.gas_premium.is_negative() || message.gas_premium > message.gas_fee_cap {
        let (premium, fee_cap) = (message.gas_premium.clone(), message.gas_fee_cap.clone());
        return Err(MessageFault::Premium { premium, fee_cap });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    #[test]
    fn fields_out_of_range_are_told() {
        let rules = Rules::MAINNET;
        let good = Message {
            version: 0,
            to: Address::Id(1),
            from: Address::Id(2),
            nonce: 0,
            value: Amount::of_coins(rules.total_coins),
            gas_limit: rules.block_gas_limit,
            gas_fee_cap: Amount::from(1),
            gas_premium: Amount::from(1),
            method: 0,
            params: Vec::new(),
        };
        assert_eq!(check(&good, &rules), Ok(()));
        assert_eq!(check(&Message { gas_limit: 1, value: Amount::zero(), ..good.clone() }, &rules), Ok(()));
        let minus: Amount = "-1".parse().unwrap();
        for (wrong, what) in [
            (Message { version: 1, ..good.clone() }, "of version 1"),
            (Message { value: minus.clone(), ..good.clone() }, "moves -1"),
            (Message { value: Amount(good.value.0.clone() + 1), ..good.clone() }, "moves"),
            (Message { gas_limit: 0, ..good.clone() }, "gas limit of 0"),
            (Message { gas_limit: rules.block_gas_limit + 1, ..good.clone() }, "gas limit"),
            (Message { gas_premium: Amount::from(2), ..good.clone() }, "premium of 2"),
            (Message { gas_premium: minus.clone(), ..good.clone() }, "premium of -1"),
            (Message { gas_premium: minus.clone(), gas_fee_cap: minus, ..good }, "premium of -1"),
        ] {
            let error = check(&wrong, &rules).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
