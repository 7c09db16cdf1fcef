//! Unsigned varints as multiformats has them: seven bits a byte, lowest first, at most nine bytes, no longer than need be.
//!
//! Source: <https://github.com/multiformats/unsigned-varint>.

/// Why bytes are no varint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum VarintError {
    #[error("a number ends too soon")]
    Incomplete,
    #[error("a number is longer than need be, or than nine bytes")]
    Syntax,
}

/// The most bytes that one takes.
pub const MAX_BYTES: usize = 9;

/// Appends a number, which is below 2^63.
pub fn write(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front.
///
/// # Errors
/// [`VarintError`]; the bytes are then as they were.
pub fn read(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(MAX_BYTES).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            if *byte == 0 && place > 0 {
                return Err(VarintError::Syntax);
            }
            *bytes = &bytes[place + 1..];
            return Ok(number);
        }
    }
    Err(if bytes.len() < MAX_BYTES { VarintError::Incomplete } else { VarintError::Syntax })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        for (number, hexadecimal) in
            [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), ((1 << 63) - 1, "ffffffffffffffff7f")]
        {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            assert_eq!(hex::encode(&bytes), hexadecimal);
            bytes.push(1);
            let mut rest = &bytes[..];
            assert_eq!((read(&mut rest), rest), (Ok(number), &[1][..]));
        }
        for (hexadecimal, error) in [
            ("", VarintError::Incomplete),
            ("80", VarintError::Incomplete),
            ("8000", VarintError::Syntax),
            ("ffffffffffffffffff01", VarintError::Syntax),
        ] {
            assert_eq!(read(&mut &hex::decode(hexadecimal).unwrap()[..]), Err(error), "{hexadecimal}");
        }
    }
}
