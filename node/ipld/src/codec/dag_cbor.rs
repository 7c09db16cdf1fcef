//! dag-cbor: CBOR with one form for each value.
//!
//! Lengths and numbers are as short as can be, nothing is of indefinite length, floats have 64 bits and are finite, keys of maps are
//! texts that differ, and the only tag is 42, of a CID: a zero byte and its binary form. The order of a map's keys is kept as it
//! stands, since older Go programs write their structs so; [`sort_keys`] brings them into that of the standard.
//!
//! Source: the dag-cbor specification of ipld.io; `spec/network.md` 6.

use std::collections::HashSet;

use super::{CodecError, Ipld};
use crate::hash;

/// How deep lists and maps may be in each other.
pub const MAX_DEPTH: usize = 128;
/// The tag of a CID.
pub const CID_TAG: u64 = 42;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// Reads a value that is all of the bytes.
///
/// # Errors
/// [`CodecError::DagCbor`].
pub fn decode(bytes: &[u8]) -> Result<Ipld, CodecError> {
    decode_within(bytes, usize::MAX)
}

/// Reads a value that is all of the bytes and has no more than some count of values in it, itself among them. A value of one byte takes
/// nearly 200 in memory.
///
/// # Errors
/// [`CodecError::DagCbor`].
pub fn decode_within(bytes: &[u8], values: usize) -> Result<Ipld, CodecError> {
    Ok(decode_counted(bytes, values)?.0)
}

/// The same, and how many values there are.
///
/// # Errors
/// [`CodecError::DagCbor`].
pub fn decode_counted(bytes: &[u8], values: usize) -> Result<(Ipld, usize), CodecError> {
    decode_all(Reader { bytes, at: 0, values, texts: Texts::Utf8 })
}

/// The same for what Go programs write that have bytes in strings: a text that is not UTF-8 is read as bytes.
///
/// # Errors
/// [`CodecError::DagCbor`].
pub fn decode_go(bytes: &[u8], values: usize) -> Result<Ipld, CodecError> {
    Ok(decode_all(Reader { bytes, at: 0, values, texts: Texts::Any })?.0)
}

fn decode_all(mut reader: Reader<'_>) -> Result<(Ipld, usize), CodecError> {
    let (bytes, values) = (reader.bytes, reader.values);
    match reader.value(0) {
        Ok(value) if reader.at == bytes.len() => Ok((value, values - reader.values)),
        Ok(_) => Err(CodecError::DagCbor { at: reader.at, what: "bytes after the value" }),
        Err(Failure::Incomplete) => Err(CodecError::DagCbor { at: bytes.len(), what: "the value ends too soon" }),
        Err(Failure::Wrong { at, what }) => Err(CodecError::DagCbor { at, what }),
    }
}

/// Reads the value at the front, and tells its length; `None` when more bytes are needed.
///
/// # Errors
/// [`CodecError::DagCbor`] when no more bytes would help.
pub fn decode_first(bytes: &[u8]) -> Result<Option<(Ipld, usize)>, CodecError> {
    let mut reader = Reader { bytes, at: 0, values: usize::MAX, texts: Texts::Utf8 };
    match reader.value(0) {
        Ok(value) => Ok(Some((value, reader.at))),
        Err(Failure::Incomplete) => Ok(None),
        Err(Failure::Wrong { at, what }) => Err(CodecError::DagCbor { at, what }),
    }
}

enum Failure {
    Incomplete,
    Wrong { at: usize, what: &'static str },
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many more values there may be.
    values: usize,
    texts: Texts,
}

/// Which texts are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    Utf8,
    /// Those that are not UTF-8 as bytes.
    Any,
}

impl<'a> Reader<'a> {
    fn wrong<T>(at: usize, what: &'static str) -> Result<T, Failure> {
        Err(Failure::Wrong { at, what })
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Failure> {
        let rest = &self.bytes[self.at..];
        let count = usize::try_from(count).map_err(|_| Failure::Incomplete)?;
        let bytes = rest.get(..count).ok_or(Failure::Incomplete)?;
        self.at += count;
        Ok(bytes)
    }

    /// The major type of an item, the low bits of its first byte, and the number behind them.
    fn head(&mut self) -> Result<(u8, u8, u64), Failure> {
        let at = self.at;
        let &[first] = self.take(1)? else { return Err(Failure::Incomplete) };
        let (major, info) = (first >> 5, first & 0x1f);
        let wide = match info {
            0..=23 => return Ok((major, info, u64::from(info))),
            24..=27 => 1 << (info - 24),
            _ => return Self::wrong(at, "a length that is not given"),
        };
        let number = self.take(wide)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let least = match wide {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if major != SIMPLE && number < least {
            return Self::wrong(at, "a number that is longer than need be");
        }
        Ok((major, info, number))
    }

    fn text(&mut self, length: u64) -> Result<String, Failure> {
        let at = self.at;
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Self::wrong(at, "a text that is not UTF-8"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Ipld, Failure> {
        let at = self.at;
        if depth > MAX_DEPTH {
            return Self::wrong(at, "lists and maps too deep in each other");
        }
        let Some(values) = self.values.checked_sub(1) else { return Self::wrong(at, "more values than are allowed") };
        self.values = values;
        let (major, info, number) = self.head()?;
        match (major, info) {
            (UNSIGNED, _) => Ok(Ipld::Integer(number.into())),
            (NEGATIVE, _) => Ok(Ipld::Integer(-1 - i128::from(number))),
            (BYTES, _) => Ok(Ipld::Bytes(self.take(number)?.to_vec())),
            (TEXT, _) if self.texts == Texts::Any => match String::from_utf8(self.take(number)?.to_vec()) {
                Ok(text) => Ok(Ipld::String(text)),
                Err(error) => Ok(Ipld::Bytes(error.into_bytes())),
            },
            (TEXT, _) => Ok(Ipld::String(self.text(number)?)),
            // Nothing is set aside for items that may never come.
            (LIST, _) => (0..number).map(|_| self.value(depth + 1)).collect::<Result<_, _>>().map(Ipld::List),
            (MAP, _) => self.map(number, depth),
            (TAG, _) => self.link(at, number),
            (SIMPLE, 20 | 21) => Ok(Ipld::Bool(info == 21)),
            (SIMPLE, 22) => Ok(Ipld::Null),
            (SIMPLE, 27) => match f64::from_bits(number) {
                float if float.is_finite() => Ok(Ipld::Float(float)),
                _ => Self::wrong(at, "a float that is no number"),
            },
            (SIMPLE, 25 | 26) => Self::wrong(at, "a float that does not have 64 bits"),
            _ => Self::wrong(at, "a value that dag-cbor does not have"),
        }
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Ipld, Failure> {
        let (mut entries, mut keys) = (Vec::new(), HashSet::new());
        for _ in 0..count {
            let at = self.at;
            let (TEXT, _, length) = self.head()? else { return Self::wrong(at, "a key that is no text") };
            let key = self.text(length)?;
            if !keys.insert(key.clone()) {
                return Self::wrong(at, "a key that is there twice");
            }
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(Ipld::Map(entries))
    }

    fn link(&mut self, at: usize, tag: u64) -> Result<Ipld, Failure> {
        if tag != CID_TAG {
            return Self::wrong(at, "a tag that is not of a CID");
        }
        let (BYTES, _, length) = self.head()? else { return Self::wrong(at, "a CID that is no bytes") };
        let [0, bytes @ ..] = self.take(length)? else { return Self::wrong(at, "a CID that does not begin with zero") };
        match hash::parse(bytes) {
            Some(cid) => Ok(Ipld::Link(cid)),
            None => Self::wrong(at, "a CID that is none"),
        }
    }
}

/// Finds the end of a value whose bytes come little by little, and makes nothing of them: a byte can be a value that takes 200 in memory.
/// Looks at each byte once, however they come. Whether the value is good is for [`decode_within`] to say.
#[derive(Clone, Debug)]
pub struct Scanner {
    /// Where the next head is.
    at: usize,
    /// How many values are still to come in each list and map, the innermost last.
    open: Vec<u64>,
    /// How many more there may be.
    values: usize,
}

impl Scanner {
    /// For a value with so many values in it at most, keys of maps and itself among them.
    pub fn new(values: usize) -> Self {
        Self { at: 0, open: Vec::new(), values }
    }

    /// Where the value ends, once it is there. The bytes are all that have come.
    ///
    /// # Errors
    /// [`CodecError::DagCbor`] when no more bytes would help.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, CodecError> {
        let wrong = |at, what| Err(CodecError::DagCbor { at, what });
        loop {
            let mut reader = Reader { bytes, at: self.at.min(bytes.len()), values: usize::MAX, texts: Texts::Utf8 };
            let outcome = reader.head().and_then(|(major, info, number)| match major {
                BYTES | TEXT => reader.take(number).map(|_| 0),
                LIST => Ok(number),
                MAP => Ok(number.saturating_mul(2)),
                // The float behind it is its number.
                SIMPLE if info < 24 || info == 27 => Ok(0),
                SIMPLE => Reader::wrong(self.at, "a value that dag-cbor does not have"),
                TAG => Ok(1),
                _ => Ok(0),
            });
            let inside = match outcome {
                Ok(inside) => inside,
                Err(Failure::Incomplete) => return Ok(None),
                Err(Failure::Wrong { at, what }) => return wrong(at, what),
            };
            let Some(values) = self.values.checked_sub(1) else { return wrong(self.at, "too many values") };
            (self.at, self.values) = (reader.at, values);
            if inside > 0 {
                // A tag is not in what it is of.
                if self.open.len() > 2 * MAX_DEPTH {
                    return wrong(self.at, "lists and maps too deep in each other");
                }
                self.open.push(inside);
                continue;
            }
            // With the last value of a list the list is over, too.
            while let Some(left) = self.open.last_mut() {
                *left -= 1;
                if *left > 0 {
                    break;
                }
                self.open.pop();
            }
            if self.open.is_empty() {
                return Ok(Some(self.at));
            }
        }
    }
}

/// The bytes of a value. Floats that are no numbers become null, which has no form of its own for them.
pub fn encode(value: &Ipld) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(value, &mut bytes);
    bytes
}

/// The bytes of a value whose byte strings are written as texts, as Go programs write bytes that they have in strings.
pub fn encode_go(value: &Ipld) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_as(value, TEXT, &mut bytes);
    bytes
}

/// Appends the bytes of a value.
pub fn append(value: &Ipld, bytes: &mut Vec<u8>) {
    append_as(value, BYTES, bytes);
}

/// The same with the major type of byte strings.
fn append_as(value: &Ipld, strings: u8, bytes: &mut Vec<u8>) {
    match value {
        Ipld::Null => bytes.push(0xf6),
        Ipld::Bool(value) => bytes.push(0xf4 + u8::from(*value)),
        Ipld::Integer(number) if *number >= 0 => head(UNSIGNED, *number as u64, bytes),
        Ipld::Integer(number) => head(NEGATIVE, (-1 - *number) as u64, bytes),
        Ipld::Float(float) if float.is_finite() => {
            bytes.push(0xfb);
            bytes.extend(float.to_bits().to_be_bytes());
        }
        Ipld::Float(_) => bytes.push(0xf6),
        Ipld::String(text) => {
            head(TEXT, text.len() as u64, bytes);
            bytes.extend(text.as_bytes());
        }
        Ipld::Bytes(content) => {
            head(strings, content.len() as u64, bytes);
            bytes.extend(content);
        }
        Ipld::List(items) => {
            head(LIST, items.len() as u64, bytes);
            items.iter().for_each(|item| append_as(item, strings, bytes));
        }
        Ipld::Map(entries) => {
            head(MAP, entries.len() as u64, bytes);
            for (key, value) in entries {
                head(TEXT, key.len() as u64, bytes);
                bytes.extend(key.as_bytes());
                append_as(value, strings, bytes);
            }
        }
        Ipld::Link(cid) => {
            head(TAG, CID_TAG, bytes);
            let cid = cid.to_bytes();
            head(BYTES, cid.len() as u64 + 1, bytes);
            bytes.push(0);
            bytes.extend(cid);
        }
    }
}

fn head(major: u8, number: u64, bytes: &mut Vec<u8>) {
    let major = major << 5;
    match number {
        0..=23 => bytes.push(major | number as u8),
        24..=0xff => bytes.extend([major | 24, number as u8]),
        0x100..=0xffff => {
            bytes.push(major | 25);
            bytes.extend((number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            bytes.push(major | 26);
            bytes.extend((number as u32).to_be_bytes());
        }
        _ => {
            bytes.push(major | 27);
            bytes.extend(number.to_be_bytes());
        }
    }
}

/// Brings the keys of all maps into the order of the standard: shorter ones first, those of a length by their bytes.
pub fn sort_keys(value: &mut Ipld) {
    match value {
        Ipld::List(items) => items.iter_mut().for_each(sort_keys),
        Ipld::Map(entries) => {
            entries.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
            entries.iter_mut().for_each(|(_, value)| sort_keys(value));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    /// Of RFC 8949, appendix A, those that are dag-cbor; `spec/network.md` 5.1, 11.1 and 11.2.
    #[test]
    fn bytes_that_go_writes_as_texts_are_read_as_bytes() {
        assert!(decode(&hex::decode("8262fffe6161").unwrap()).is_err());
        let read = decode_go(&hex::decode("8262fffe6161").unwrap(), 3).unwrap();
        assert_eq!(read, Ipld::List(vec![Ipld::Bytes(vec![0xff, 0xfe]), Ipld::String("a".to_owned())]));
        assert_eq!(hex::encode(encode_go(&read)), "8262fffe6161");
        assert_eq!(hex::encode(encode(&read)), "8242fffe6161");
        assert!(decode_go(&hex::decode("8262fffe6161").unwrap(), 2).is_err());
        assert!(decode_go(&hex::decode("a161ff01").unwrap(), 9).is_err(), "keys are UTF-8");
    }

    #[test]
    fn values_are_read_and_written_byte_for_byte() {
        for text in [
            "00",
            "17",
            "1818",
            "1903e8",
            "1a000f4240",
            "1b000000e8d4a51000",
            "1bffffffffffffffff",
            "3bffffffffffffffff",
            "20",
            "3863",
            "3903e7",
            "fb3ff199999999999a",
            "fbc010666666666666",
            "f4",
            "f5",
            "f6",
            "40",
            "4401020304",
            "60",
            "6449455446",
            "62c3bc",
            "64f0908591",
            "80",
            "8301820203820405",
            "a0",
            "a26161016162820203",
            "826161a161626163",
            "d82a582500015512205d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592",
            // A hello, and requests of graphsync's second and first version.
            "8481d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1
             0040d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1",
            "a163677332a16372657181a562696450000102030405060708090a0b0c0d0e0f63707269006373656c
             a16152a2616ca16564657074681864623a3ea16161a1613ea16140a064726f6f74
             d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce16474797065616e",
            "a16152a2616ca1646e6f6e65a0623a3ea16161a1613ea16140a0",
        ] {
            let bytes = hex(&text.split_whitespace().collect::<String>());
            let value = decode(&bytes).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(hex::encode(encode(&value)), hex::encode(&bytes));
            let mut scanner = Scanner::new(1000);
            for length in 0..bytes.len() {
                assert_eq!(scanner.scan(&bytes[..length]), Ok(None), "{length} bytes of {text}");
                assert!(matches!(decode_first(&bytes[..length]), Ok(None)), "{length} bytes of {text}");
                assert!(decode(&bytes[..length]).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(decode_first(&longer).unwrap().unwrap().1, bytes.len());
            assert_eq!(scanner.scan(&longer), Ok(Some(bytes.len())));
            assert_eq!(Scanner::new(1000).scan(&longer), Ok(Some(bytes.len())));
            assert!(decode(&longer).is_err());
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for (text, what) in [
            ("1817", "longer than need be"),
            ("190001", "longer than need be"),
            ("1a00000001", "longer than need be"),
            ("1b0000000000000001", "longer than need be"),
            ("5801ff", "longer than need be"),
            ("5f4101ff", "not given"),
            ("9f01ff", "not given"),
            ("bf616101ff", "not given"),
            ("1c", "not given"),
            ("f93c00", "64 bits"),
            ("fa3f800000", "64 bits"),
            ("fb7ff0000000000000", "no number"),
            ("fb7ff8000000000000", "no number"),
            ("f7", "does not have"),
            ("f0", "does not have"),
            ("f818", "does not have"),
            ("ff", "not given"),
            ("61ff", "not UTF-8"),
            ("a10101", "no text"),
            ("a2616101616102", "twice"),
            ("c249010000000000000000", "not of a CID"),
            ("d82a00", "no bytes"),
            ("d82a4101", "begin with zero"),
            ("d82a40", "begin with zero"),
            ("d82a4400015512", "is none"),
            ("d82a46000155000001", "is none"),
        ] {
            let error = decode(&hex(text)).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn what_claims_to_be_large_takes_no_memory() {
        assert!(matches!(decode_first(&hex("9bffffffffffffffff")), Ok(None)));
        assert!(matches!(decode_first(&hex("5bffffffffffffffff00")), Ok(None)));
        let deep = [vec![0x81; MAX_DEPTH], vec![0]].concat();
        assert!(decode(&deep).is_ok());
        assert!(decode(&[&[0x81], &deep[..]].concat()).unwrap_err().to_string().contains("too deep"));
        // A map, its two values, and an item of one of them.
        let four = hex("a2 6161 01 6162 81 02");
        assert!(decode_within(&four, 4).is_ok());
        assert!(decode_within(&four, 3).unwrap_err().to_string().contains("more values"));
    }

    #[test]
    fn end_of_a_value_is_found_within_limits() {
        let many = [vec![0x98, 200], vec![0; 200]].concat();
        assert_eq!(Scanner::new(201).scan(&many), Ok(Some(202)));
        assert!(Scanner::new(200).scan(&many).unwrap_err().to_string().contains("too many values"));
        let deep = vec![0x81; 10_000];
        assert!(Scanner::new(usize::MAX).scan(&deep).unwrap_err().to_string().contains("too deep"));
        assert_eq!(Scanner::new(usize::MAX).scan(&hex("bbffffffffffffffff")), Ok(None));
        for text in ["ff", "9f", "f7f7", "f801", "fa00000000", "1817"] {
            assert!(text == "f7f7" || Scanner::new(9).scan(&hex(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_are_sorted_by_length_first() {
        let mut value = decode(&hex("a3 6162 01 626161 02 6161 a2 626262 03 6163 04")).unwrap();
        assert_eq!(value.get("aa"), Some(&Ipld::Integer(2)));
        sort_keys(&mut value);
        assert_eq!(hex::encode(encode(&value)), "a36161a261630462626203616201626161".to_owned() + "02");
    }
}
