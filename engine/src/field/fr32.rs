//! Fr32: 254 bits of data to every 32 bytes, so that each 32 bytes are a canonical field element.
//!
//! The data is a stream of bits, byte 0 first, least significant bit first. Element k holds its bits
//! `[254·k, 254·(k + 1))` as a little-endian integer whose two top bits are 0:
//!
//! `element_k = ⌊data / 2^(254·k)⌋ mod 2²⁵⁴`
//!
//! Thus a *quad* of 127 bytes becomes 128 bytes exactly. In 64-bit words, element e of a quad is the data shifted left
//! by 2·e bits, because it starts 2·e bits below a word boundary. Missing bits of the last element are 0.
//!
//! Source: `spec/replication.md` 1 (the reference's crate `fr32`).

use std::io::{self, Read, Write};
use std::ops::Range;

/// Raw bytes of a quad.
pub const RAW_QUAD: usize = 127;
/// Padded bytes of a quad.
pub const PADDED_QUAD: usize = 128;

/// Quads that the streams convert at a time: 64 KiB.
const BATCH: usize = 512;
/// The 62 bits of an element's last word.
const LAST_WORD: u64 = u64::MAX >> 2;

/// Bytes that hold `raw` bytes after padding; 128 for 127. Saturates.
///
/// Counts only the bytes that carry data, `⌈(⌊8·raw / 254⌋·256 + 8·raw mod 254) / 8⌉`: the streaming padder, which ends
/// on a whole element, may emit up to 31 zero bytes more.
pub fn padded_len(raw: u64) -> u64 {
    let bits = 8 * u128::from(raw);
    saturate((bits / 254 * 256 + bits % 254).div_ceil(8))
}

/// Whole raw bytes in `padded` bytes; 127 for 128.
pub fn unpadded_len(padded: u64) -> u64 {
    let bits = 8 * u128::from(padded);
    saturate((bits / 256 * 254 + (bits % 256).min(254)) / 8)
}

fn saturate(len: u128) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Pads whole quads: `padded[128·i..][..128]` from `raw[127·i..][..127]`.
///
/// Stops at the shorter of the two; bytes beyond the last whole quad stay as they are.
pub fn pad_quads(raw: &[u8], padded: &mut [u8]) {
    let (raw, _) = raw.as_chunks::<RAW_QUAD>();
    let (padded, _) = padded.as_chunks_mut::<PADDED_QUAD>();
    for (raw, padded) in raw.iter().zip(padded) {
        pad_quad(raw, padded);
    }
}

/// Undoes [`pad_quads`]; the two top bits of every element are dropped, whatever they are.
pub fn unpad_quads(padded: &[u8], raw: &mut [u8]) {
    let (padded, _) = padded.as_chunks::<PADDED_QUAD>();
    let (raw, _) = raw.as_chunks_mut::<RAW_QUAD>();
    for (padded, raw) in padded.iter().zip(raw) {
        unpad_quad(padded, raw);
    }
}

/// The little-endian word at a byte offset.
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice is 8 bytes long"))
}

fn pad_quad(raw: &[u8; RAW_QUAD], padded: &mut [u8; PADDED_QUAD]) {
    // Word 15 has 56 bits: byte 127 does not exist.
    let mut words = [0; 16];
    for (i, w) in words[..15].iter_mut().enumerate() {
        *w = word(raw, 8 * i);
    }
    words[15] = word(raw, 119) >> 8;

    let mut put = |i: usize, w: u64| padded[8 * i..8 * i + 8].copy_from_slice(&w.to_le_bytes());
    for (i, &w) in words[..3].iter().enumerate() {
        put(i, w);
    }
    put(3, words[3] & LAST_WORD);
    // Element e starts at bit 254·e = 64·(4·e − 1) + 64 − 2·e.
    for e in 1..4 {
        let shift = 2 * e;
        for i in 4 * e..4 * e + 3 {
            put(i, words[i - 1] >> (64 - shift) | words[i] << shift);
        }
        let last = 4 * e + 3;
        put(last, (words[last - 1] >> (64 - shift) | words[last] << shift) & LAST_WORD);
    }
}

fn unpad_quad(padded: &[u8; PADDED_QUAD], raw: &mut [u8; RAW_QUAD]) {
    let mut words = [0; 16];
    for (i, w) in words.iter_mut().enumerate() {
        *w = word(padded, 8 * i);
    }
    for e in 0..4 {
        words[4 * e + 3] &= LAST_WORD;
    }
    let mut quad = [0; PADDED_QUAD];
    for e in 0..4 {
        let shift = 2 * e;
        for i in 4 * e..4 * e + 4 {
            // A last word's 62 bits, less the shift, are filled up with the next element's first bits.
            let above = match i {
                15 => 0,
                _ if i % 4 == 3 => words[i + 1] << (62 - shift),
                _ if shift == 0 => 0,
                _ => words[i + 1] << (64 - shift),
            };
            quad[8 * i..8 * i + 8].copy_from_slice(&(words[i] >> shift | above).to_le_bytes());
        }
    }
    raw.copy_from_slice(&quad[..RAW_QUAD]);
}

/// Reads raw bytes from a source and yields them padded, in whole elements of 32 bytes.
///
/// For `n` raw bytes it yields `32·⌈8·n / 254⌉` bytes. After an error of the source nothing is lost: reading can go on.
pub struct Fr32Reader<R> {
    source: R,
    raw: Box<[u8]>,
    /// Raw bytes that wait in `raw` for their quads to fill up.
    raw_len: usize,
    padded: Box<[u8]>,
    /// What of `padded` was not yet handed out.
    ready: Range<usize>,
    ended: bool,
    consumed: u64,
}

impl<R: Read> Fr32Reader<R> {
    /// Pads what `source` yields.
    pub fn new(source: R) -> Self {
        Self {
            source,
            raw: vec![0; BATCH * RAW_QUAD].into(),
            raw_len: 0,
            padded: vec![0; BATCH * PADDED_QUAD].into(),
            ready: 0..0,
            ended: false,
            consumed: 0,
        }
    }

    /// Raw bytes taken from the source so far.
    pub fn raw_bytes(&self) -> u64 {
        self.consumed
    }

    fn refill(&mut self) -> io::Result<()> {
        while self.raw_len < self.raw.len() && !self.ended {
            match self.source.read(&mut self.raw[self.raw_len..]) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    self.raw_len += n;
                    self.consumed += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let quads = self.raw_len.div_ceil(RAW_QUAD);
        self.raw[self.raw_len..quads * RAW_QUAD].fill(0);
        pad_quads(&self.raw[..quads * RAW_QUAD], &mut self.padded);
        self.ready = 0..32 * (8 * self.raw_len).div_ceil(254);
        self.raw_len = 0;
        Ok(())
    }
}

impl<R: Read> Read for Fr32Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() && !out.is_empty() {
            self.refill()?;
        }
        let n = out.len().min(self.ready.len());
        out[..n].copy_from_slice(&self.padded[self.ready.start..][..n]);
        self.ready.start += n;
        Ok(n)
    }
}

/// A range of raw bytes inside padded data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRange {
    /// Where it begins, in raw bytes; any byte will do.
    pub offset: u64,
    /// How many raw bytes.
    pub len: u64,
}

impl RawRange {
    /// The padded bytes of the quads that contain the range; empty for an empty range.
    ///
    /// `None` when the end is beyond 64 bits.
    pub fn padded(self) -> Option<Range<u64>> {
        let end = self.offset.checked_add(self.len)?;
        let start = (self.offset / RAW_QUAD as u64).checked_mul(PADDED_QUAD as u64)?;
        if self.len == 0 {
            return Some(start..start);
        }
        Some(start..end.div_ceil(RAW_QUAD as u64).checked_mul(PADDED_QUAD as u64)?)
    }
}

/// Takes padded bytes and writes the raw bytes in them to a sink.
///
/// Call [`Unpadder::finish`] at the end: the last quad may be incomplete.
pub struct Unpadder<W> {
    sink: W,
    /// The start of a quad whose rest has not come.
    quad: [u8; PADDED_QUAD],
    quad_len: usize,
    raw: Box<[u8]>,
    /// Raw bytes still to drop before the first one wanted.
    skip: u64,
    /// Raw bytes still wanted.
    wanted: u64,
}

impl<W: Write> Unpadder<W> {
    /// Unpads everything.
    pub fn new(sink: W) -> Self {
        Self::skipping(sink, 0, u64::MAX)
    }

    /// Unpads a range out of the bytes at [`RawRange::padded`], which are to be written to it from the start.
    pub fn range(sink: W, range: RawRange) -> Self {
        Self::skipping(sink, range.offset % RAW_QUAD as u64, range.len)
    }

    fn skipping(sink: W, skip: u64, wanted: u64) -> Self {
        let raw = vec![0; BATCH * RAW_QUAD].into();
        Self { sink, quad: [0; PADDED_QUAD], quad_len: 0, raw, skip, wanted }
    }

    /// Writes what the last, incomplete quad holds and gives the sink back.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(mut self) -> io::Result<W> {
        if self.quad_len > 0 {
            let len = unpadded_len(self.quad_len as u64) as usize;
            self.quad[self.quad_len..].fill(0);
            unpad_quads(&self.quad, &mut self.raw[..RAW_QUAD]);
            self.emit(len)?;
        }
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// Writes the first `len` bytes of `raw` as far as they are wanted.
    fn emit(&mut self, len: usize) -> io::Result<()> {
        let start = self.skip.min(len as u64);
        self.skip -= start;
        let take = (len as u64 - start).min(self.wanted);
        self.wanted -= take;
        self.sink.write_all(&self.raw[start as usize..][..take as usize])
    }
}

impl<W: Write> Write for Unpadder<W> {
    /// Takes all of `padded`. After an error of the sink the stream is of no further use.
    fn write(&mut self, padded: &[u8]) -> io::Result<usize> {
        let mut rest = padded;
        if self.quad_len > 0 {
            let n = rest.len().min(PADDED_QUAD - self.quad_len);
            self.quad[self.quad_len..][..n].copy_from_slice(&rest[..n]);
            self.quad_len += n;
            rest = &rest[n..];
            if self.quad_len < PADDED_QUAD {
                return Ok(padded.len());
            }
            unpad_quads(&self.quad, &mut self.raw[..RAW_QUAD]);
            self.quad_len = 0;
            self.emit(RAW_QUAD)?;
        }
        while rest.len() >= PADDED_QUAD {
            let quads = (rest.len() / PADDED_QUAD).min(BATCH);
            unpad_quads(&rest[..quads * PADDED_QUAD], &mut self.raw);
            self.emit(quads * RAW_QUAD)?;
            rest = &rest[quads * PADDED_QUAD..];
        }
        self.quad[..rest.len()].copy_from_slice(rest);
        self.quad_len = rest.len();
        Ok(padded.len())
    }

    /// Flushes the sink; an incomplete quad stays back.
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit: whole elements.
    fn oracle(raw: &[u8]) -> Vec<u8> {
        let bits = 8 * raw.len();
        let mut padded = vec![0_u8; 32 * bits.div_ceil(254)];
        for bit in 0..bits {
            let value = raw[bit / 8] >> (bit % 8) & 1;
            let target = bit / 254 * 256 + bit % 254;
            padded[target / 8] |= value << (target % 8);
        }
        padded
    }

    /// Hands out at most `step` bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(out.len());
            self.0.read(&mut out[..n])
        }
    }

    fn pad(raw: &[u8], step: usize) -> Vec<u8> {
        let mut reader = Fr32Reader::new(Dribble(raw, step));
        let mut padded = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => return padded,
                n => padded.extend_from_slice(&buffer[..n]),
            }
        }
    }

    fn unpad(padded: &[u8], step: usize) -> Vec<u8> {
        let mut unpadder = Unpadder::new(Vec::new());
        for chunk in padded.chunks(step) {
            unpadder.write_all(chunk).unwrap();
        }
        unpadder.finish().unwrap()
    }

    /// spec/replication.md 1.1.
    #[test]
    fn quads_match_reference() {
        let counting: Vec<u8> = (0..127).collect();
        let expected = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
                        8084888c9094989ca0a4a8acb0b4b8bcc0c4c8ccd0d4d8dce0e4e8ecf0f4f83c\
                        03142434445464748494a4b4c4d4e4f404152535455565758595a5b5c5d5e535\
                        175898d8185999d9195a9ada1a5b9bdb1b5c9cdc1c5d9ddd1d5e9ede1e5f9f1f";
        assert_eq!(hex::encode(pad(&counting, 127)), expected);
        let ones = format!("{}3f", "ff".repeat(31)).repeat(4);
        assert_eq!(hex::encode(pad(&[0xff; 127], 127)), ones);
    }

    /// spec/replication.md 1.2.
    #[test]
    fn lengths_match_reference() {
        let padded = [(0, 0), (1, 1), (31, 31), (32, 33), (100, 101), (127, 128), (128, 129), (254, 256), (1016, 1024)];
        for (raw, expected) in padded {
            assert_eq!(padded_len(raw), expected, "{raw}");
        }
        let unpadded = [(0, 0), (32, 31), (33, 32), (64, 63), (128, 127), (256, 254), (2048, 2032)];
        for (padded, expected) in unpadded {
            assert_eq!(unpadded_len(padded), expected, "{padded}");
        }
        assert_eq!(unpadded_len(64 << 30), 68_182_605_824);
        assert_eq!(padded_len(68_182_605_824), 64 << 30);
        assert_eq!(padded_len(u64::MAX), u64::MAX);
        assert_eq!(unpadded_len(u64::MAX), u64::MAX / 128 * 127 + 126);
    }

    #[test]
    fn top_bits_of_elements_are_dropped() {
        let raw: Vec<u8> = (0..127_u32).map(|i| (i * 7) as u8).collect();
        let mut padded = oracle(&raw);
        for element in 0..4 {
            padded[32 * element + 31] |= 0xc0;
        }
        assert_eq!(unpad(&padded, 128), raw);
    }

    #[test]
    fn reading_goes_on_after_an_error_of_the_source() {
        struct Flaky<'a>(&'a [u8], bool);
        impl Read for Flaky<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::Error::other("try again"));
                }
                let n = out.len().min(50);
                self.0.read(&mut out[..n])
            }
        }
        let raw: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
        let mut reader = Fr32Reader::new(Flaky(&raw, false));
        let mut padded = Vec::new();
        let mut buffer = [0; 77];
        let mut errors = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => padded.extend_from_slice(&buffer[..n]),
                Err(_) => errors += 1,
            }
        }
        assert!(errors > 10);
        assert_eq!(padded, oracle(&raw));
        assert_eq!(reader.raw_bytes(), 1000);
    }

    #[test]
    fn range_without_an_end_in_64_bits_is_refused() {
        assert_eq!(RawRange { offset: u64::MAX, len: 1 }.padded(), None);
        assert_eq!(RawRange { offset: u64::MAX, len: 0 }.padded(), None);
        assert_eq!(RawRange { offset: 200, len: 0 }.padded(), Some(128..128));
        assert_eq!(RawRange { offset: 126, len: 2 }.padded(), Some(0..256));
    }

    proptest! {
        #[test]
        fn padding_matches_the_definition(raw in prop::collection::vec(any::<u8>(), 0..1500), step in 1_usize..300) {
            let padded = pad(&raw, step);
            prop_assert_eq!(&padded, &oracle(&raw));
            let back = unpad(&padded, step);
            prop_assert_eq!(&back[..raw.len()], &raw[..]);
            prop_assert!(back[raw.len()..].iter().all(|&byte| byte == 0));
            // Without the zero bytes at the end nothing is added.
            prop_assert_eq!(unpad(&padded[..padded_len(raw.len() as u64) as usize], step), raw);
        }

        #[test]
        fn any_range_unpads_from_its_quads(offset in 0_u64..1000, len in 0_u64..800, step in 1_usize..300) {
            let raw: Vec<u8> = (0..2032_u32).map(|i| (i % 251) as u8).collect();
            let padded = oracle(&raw);
            let range = RawRange { offset, len };
            let bytes = range.padded().unwrap();
            let mut unpadder = Unpadder::range(Vec::new(), range);
            for chunk in padded[bytes.start as usize..bytes.end as usize].chunks(step) {
                unpadder.write_all(chunk).unwrap();
            }
            let expected = &raw[offset as usize..(offset + len) as usize];
            prop_assert_eq!(unpadder.finish().unwrap(), expected);
        }
    }

    /// Several batches, each way.
    #[test]
    fn batches_join() {
        let raw: Vec<u8> = (0..2 * BATCH as u32 * 127 + 5).map(|i| (i % 251) as u8).collect();
        let padded = pad(&raw, 10_007);
        assert_eq!(padded, oracle(&raw));
        assert_eq!(unpad(&padded[..padded_len(raw.len() as u64) as usize], 300_000), raw);
    }
}
