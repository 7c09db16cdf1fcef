//! Thirty-two bytes as people write them: identifiers, tickets, seeds, commitments.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// 32 bytes as 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex32(pub [u8; 32]);

impl TryFrom<String> for Hex32 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Hex32> for String {
    fn from(bytes: Hex32) -> Self {
        hex::encode(bytes.0)
    }
}

impl FromStr for Hex32 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 32];
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) if digits.chars().all(|digit| digit.is_ascii_hexdigit()) => {
                Err(format!("expected 64 hex digits, found {}", digits.len()))
            }
            Err(_) => Err("expected 64 hex digits".to_owned()),
        }
    }
}
