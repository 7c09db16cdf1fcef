//! Saved inputs of C2, in the form of lotus-bench, so that either program measures what the other saved:
//!
//! ```json
//! { "SectorNum": 1, "Phase1Out": "C1's output as the API's JSON, in base64", "SectorSize": 2048 }
//! ```
//!
//! Source: lotus, `cmd/lotus-bench`, type `Commit2In`; Go writes bytes in base64 (RFC 4648, section 4).

use serde::{Deserialize, Serialize};

use crate::report::{Failure, Kind};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Commit2In {
    sector_num: u64,
    phase1_out: String,
    sector_size: u64,
}

/// Writes an input.
pub fn saved(sector: u64, size_bytes: u64, c1: &[u8]) -> anyhow::Result<Vec<u8>> {
    let input = Commit2In { sector_num: sector, phase1_out: encode(c1), sector_size: size_bytes };
    Ok(serde_json::to_vec(&input)?)
}

/// The sector number and C1's output of a saved input; of any other bytes, which may be C1's output themselves, no number.
///
/// # Errors
/// When a saved input has no base64 in it.
pub fn parse(bytes: Vec<u8>) -> Result<(Option<u64>, Vec<u8>), Failure> {
    let Ok(input) = serde_json::from_slice::<Commit2In>(&bytes) else { return Ok((None, bytes)) };
    let c1 = decode(&input.phase1_out);
    let c1 = c1.ok_or_else(|| Failure::new(Kind::Input, "Phase1Out of the saved input is no base64"))?;
    Ok((Some(input.sector_num), c1))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD: u8 = b'=';

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { digit } else { PAD }.into());
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let mut values = [None; 256];
    for (value, digit) in DIGITS.iter().enumerate() {
        values[usize::from(*digit)] = Some(value as u32);
    }
    let padding = digits.iter().rev().take(2).take_while(|digit| **digit == PAD).count();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for group in digits[..digits.len() - padding].chunks(4) {
        let mut bits = 0;
        for digit in group {
            bits = bits << 6 | values[usize::from(*digit)]?;
        }
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let table = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in table {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        let all: Vec<u8> = (0..=255).rev().collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
        for text in ["Zg", "Zg=", "====", "Z===", "Zm9v\n", "Z g="] {
            assert_eq!(decode(text).filter(|bytes| !bytes.is_empty()), None, "{text:?}");
        }
    }

    #[test]
    fn inputs_survive_and_others_pass() {
        let bytes = saved(7, 2048, b"{}").unwrap();
        assert_eq!(bytes, br#"{"SectorNum":7,"Phase1Out":"e30=","SectorSize":2048}"#);
        assert_eq!(parse(bytes).unwrap(), (Some(7), b"{}".to_vec()));
        assert_eq!(parse(b"{}".to_vec()).unwrap(), (None, b"{}".to_vec()));
        assert!(parse(br#"{"SectorNum":7,"Phase1Out":"?","SectorSize":2048}"#.to_vec()).is_err());
    }
}
