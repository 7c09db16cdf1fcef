//! Protobuf messages, field by field.
//!
//! ```text
//! field = varint (number << 3 | kind), content        kind 0: varint, 1: 8 bytes, 2: length and bytes, 5: 4 bytes
//! ```
//! Numbers are read in any form of up to ten bytes, and written in the shortest; a negative `int32` has ten. Who reads a message passes
//! over fields that are not known, as any reader of protobuf does; the groups of its first version are refused.
//!
//! Source: the encoding section of the protobuf documentation.

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ProtobufError {
    #[error("a protobuf number has no end, or more than 64 bits")]
    Number,
    #[error("a protobuf field ends too soon")]
    Incomplete,
    #[error("a protobuf field has kind {0}, which is not used")]
    Kind(u8),
    #[error("a protobuf field has number {0}, which none can have")]
    FieldNumber(u64),
    #[error("protobuf field {0} is of another kind")]
    OtherKind(u32),
    #[error("a protobuf text is not UTF-8")]
    Text,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// A number of up to 64 bits.
    ///
    /// # Errors
    /// [`ProtobufError::OtherKind`].
    pub fn number(&self) -> Result<u64, ProtobufError> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(ProtobufError::OtherKind(self.number)),
        }
    }

    /// A number of 32 bits, of which more are cut off, as protobuf has it.
    ///
    /// # Errors
    /// As [`Field::number`].
    pub fn int32(&self) -> Result<i32, ProtobufError> {
        Ok(self.number()? as i32)
    }

    /// Yes or no.
    ///
    /// # Errors
    /// As [`Field::number`].
    pub fn bool(&self) -> Result<bool, ProtobufError> {
        Ok(self.number()? != 0)
    }

    /// Bytes, or a message.
    ///
    /// # Errors
    /// [`ProtobufError::OtherKind`].
    pub fn bytes(&self) -> Result<&'a [u8], ProtobufError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::OtherKind(self.number)),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`ProtobufError`].
    pub fn text(&self) -> Result<&'a str, ProtobufError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Text)
    }
}

/// The fields of a message, in order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those of some bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn field(&mut self) -> Result<Field<'a>, ProtobufError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(ProtobufError::FieldNumber(tag >> 3))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Incomplete)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Incomplete)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(self.fixed()?),
            kind => return Err(ProtobufError::Kind(kind as u8)),
        };
        Ok(Field { number, value })
    }

    fn fixed<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], ProtobufError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ProtobufError::Incomplete)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0;
        for (place, byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte has the last bit only.
            if place == 9 && *byte > 1 {
                return Err(ProtobufError::Number);
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Ok(number);
            }
        }
        Err(ProtobufError::Number)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a field that is a number.
pub fn write_number(field: u32, number: u64, bytes: &mut Vec<u8>) {
    write_varint(u64::from(field) << 3, bytes);
    write_varint(number, bytes);
}

/// Appends a field that is a number of 32 bits, unless it is zero, which is the same as none.
pub fn write_int32(field: u32, number: i32, bytes: &mut Vec<u8>) {
    if number != 0 {
        write_number(field, i64::from(number) as u64, bytes);
    }
}

/// Appends a field that says yes; no is the same as none.
pub fn write_bool(field: u32, yes: bool, bytes: &mut Vec<u8>) {
    if yes {
        write_number(field, 1, bytes);
    }
}

/// Appends a field that is bytes, a text or a message, an empty one, too.
pub fn write_bytes(field: u32, content: &[u8], bytes: &mut Vec<u8>) {
    write_varint(u64::from(field) << 3 | 2, bytes);
    write_varint(content.len() as u64, bytes);
    bytes.extend(content);
}

fn write_varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(hexadecimal: &str) -> Result<Vec<(u32, Value<'static>)>, ProtobufError> {
        let bytes = hex::decode(hexadecimal).unwrap().leak();
        Fields::new(bytes).map(|field| field.map(|field| (field.number, field.value))).collect()
    }

    /// The examples of the encoding section of the protobuf documentation, and the forms that it allows.
    #[test]
    fn fields_are_read_as_documented() {
        for (hexadecimal, number, value) in [
            ("089601", 1, Value::Varint(150)),
            ("12077465 7374696e67", 2, Value::Bytes(b"testing")),
            ("1a03089601", 3, Value::Bytes(&[8, 150, 1])),
            ("10feffffffffffffffff01", 2, Value::Varint(-2i64 as u64)),
            ("090102030405060708", 1, Value::Fixed64([1, 2, 3, 4, 5, 6, 7, 8])),
            ("0d01020304", 1, Value::Fixed32([1, 2, 3, 4])),
            ("8800 8000", 1, Value::Varint(0)),
            ("f8ffffff0f01", (1 << 29) - 1, Value::Varint(1)),
        ] {
            assert_eq!(fields(&hexadecimal.replace(' ', "")), Ok(vec![(number, value)]), "{hexadecimal}");
        }
        let bytes = hex::decode("10feffffffffffffffff01").unwrap();
        let field = Fields::new(&bytes).next().unwrap().unwrap();
        assert_eq!((field.int32(), field.bool()), (Ok(-2), Ok(true)));
        assert_eq!(field.bytes(), Err(ProtobufError::OtherKind(2)));
        let mut written = Vec::new();
        write_int32(2, -2, &mut written);
        write_int32(2, 0, &mut written);
        write_bool(3, false, &mut written);
        assert_eq!(written, bytes);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (hexadecimal, error) in [
            ("08", ProtobufError::Number),
            ("08ffffffffffffffffff02", ProtobufError::Number),
            ("088080808080808080808000", ProtobufError::Number),
            ("0a02ff", ProtobufError::Incomplete),
            ("0affffffffffffffffff01", ProtobufError::Incomplete),
            ("09010203", ProtobufError::Incomplete),
            ("0d01", ProtobufError::Incomplete),
            ("0b", ProtobufError::Kind(3)),
            ("0c", ProtobufError::Kind(4)),
            ("0e00", ProtobufError::Kind(6)),
            ("0001", ProtobufError::FieldNumber(0)),
            ("808080801001", ProtobufError::FieldNumber(1 << 29)),
        ] {
            assert_eq!(fields(hexadecimal), Err(error), "{hexadecimal}");
        }
        let mut text = Fields::new(&[0x0a, 1, 0xff]);
        assert_eq!(text.next().unwrap().unwrap().text(), Err(ProtobufError::Text));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            // Each field takes two bytes at least.
            prop_assert!(Fields::new(&bytes).count() <= bytes.len().div_ceil(2));
        }

        #[test]
        fn fields_are_read_as_written(number in 1u32..1 << 29, value: u64, content: Vec<u8>) {
            let mut bytes = Vec::new();
            write_number(number, value, &mut bytes);
            write_bytes(number, &content, &mut bytes);
            let read: Result<Vec<_>, _> = Fields::new(&bytes).collect();
            let expected = [Value::Varint(value), Value::Bytes(&content)].map(|value| Field { number, value });
            prop_assert_eq!(read, Ok(expected.to_vec()));
        }
    }
}
