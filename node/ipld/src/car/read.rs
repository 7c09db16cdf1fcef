//! The blocks of a CAR in order, from a stream.

use std::io::{self, BufRead, BufReader, Read};

use super::{
    CarError, CarOptions, HEAD_BYTES, Head, MAX_HEADER_BYTES, PRAGMA, check_section, decode_header, split_cid,
};
use crate::block::Block;
use crate::hash::{Cid, verify};
use crate::varint;

/// Gives the blocks of a CAR, of either version, in order. After an error there is nothing more.
#[derive(Debug)]
pub struct CarReader<R> {
    source: Counted<R>,
    options: CarOptions,
    roots: Vec<Cid>,
    head: Option<Head>,
    done: bool,
}

impl<R: Read> CarReader<R> {
    /// Reads the header. Reading is buffered.
    ///
    /// # Errors
    /// [`CarError`].
    pub fn new(source: R, options: &CarOptions) -> Result<Self, CarError> {
        let mut source = Counted { source: BufReader::with_capacity(64 << 10, source), at: 0, end: u64::MAX };
        let mut head = None;
        let roots = match source.header()? {
            Some(roots) => roots,
            None => {
                let inner = source.head()?;
                head = Some(inner);
                source
                    .header()?
                    .ok_or(CarError::Syntax { at: inner.data_offset, what: "a CAR of version 2 in another" })?
            }
        };
        Ok(Self { source, options: options.clone(), roots, head, done: false })
    }

    /// From where to begin.
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// The head of a v2; none of a v1.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// How many bytes have been read.
    pub fn position(&self) -> u64 {
        self.source.at
    }

    fn section(&mut self) -> Result<Option<Block>, CarError> {
        let at = self.source.at;
        let Some(length) = self.source.varint()? else { return Ok(None) };
        if length == 0 && self.options.allow_padding {
            self.source.zeros()?;
            return Ok(None);
        }
        check_section(length, at, &self.options)?;
        let mut section = self.source.take(length)?;
        let (cid, length) = split_cid(&section, at)?;
        section.drain(..length);
        if self.options.verify {
            verify(&cid, &section).map_err(|source| CarError::Block { at, source })?;
        }
        Ok(Some(Block::trusted(cid, section)))
    }
}

impl<R: Read> Iterator for CarReader<R> {
    type Item = Result<Block, CarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.section().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<R: Read> std::iter::FusedIterator for CarReader<R> {}

/// A stream that knows where it is, and where it is to end.
#[derive(Debug)]
struct Counted<R> {
    source: BufReader<R>,
    at: u64,
    end: u64,
}

impl<R: Read> Counted<R> {
    fn header(&mut self) -> Result<Option<Vec<Cid>>, CarError> {
        let at = self.at;
        let length = self.varint()?.ok_or(CarError::Truncated { at })?;
        if length > MAX_HEADER_BYTES {
            return Err(CarError::TooLong { at, length, limit: MAX_HEADER_BYTES });
        }
        let at = self.at;
        decode_header(&self.take(length)?, at)
    }

    /// Reads the head of a v2 behind its pragma, and goes to the v1 in it.
    fn head(&mut self) -> Result<Head, CarError> {
        if self.at != PRAGMA.len() as u64 {
            return Err(CarError::Syntax { at: 0, what: "a pragma that is not that of version 2" });
        }
        let bytes = self.take(HEAD_BYTES as u64)?;
        let head = Head::decode(bytes.first_chunk().ok_or(CarError::Truncated { at: self.at })?)?;
        while self.at < head.data_offset {
            let buffer = self.buffer()?;
            let count = (buffer.len() as u64).min(head.data_offset - self.at);
            if count == 0 {
                return Err(CarError::Truncated { at: self.at });
            }
            self.consume(count as usize);
        }
        self.end = head.data_offset + head.data_size;
        Ok(head)
    }

    /// Some bytes that come next, none at the end.
    fn buffer(&mut self) -> Result<&[u8], CarError> {
        let (at, left) = (self.at, self.end - self.at);
        loop {
            match self.source.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CarError::io(at, error)),
            }
        }
        let buffer = self.source.buffer();
        Ok(&buffer[..buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.at += count as u64;
    }

    /// A number, or none at the end.
    fn varint(&mut self) -> Result<Option<u64>, CarError> {
        let (at, mut bytes) = (self.at, Vec::new());
        loop {
            match self.buffer()?.first().copied() {
                Some(byte) => bytes.push(byte),
                // A v2 says how long it is.
                None if bytes.is_empty() && (self.end == u64::MAX || self.at == self.end) => return Ok(None),
                None => return Err(CarError::Truncated { at: self.at }),
            }
            self.consume(1);
            match varint::read(&mut &bytes[..]) {
                Ok(number) => return Ok(Some(number)),
                Err(varint::VarintError::Incomplete) => {}
                Err(varint::VarintError::Syntax) => {
                    return Err(CarError::Syntax { at, what: "a length that is no number" });
                }
            }
        }
    }

    /// That many bytes. Memory grows with what comes, whatever was announced.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, CarError> {
        let (at, mut bytes) = (self.at, Vec::new());
        if length > self.end - self.at {
            return Err(CarError::Truncated { at: self.end });
        }
        let read = (&mut self.source).take(length).read_to_end(&mut bytes);
        self.at += bytes.len() as u64;
        read.map_err(|error| CarError::io(at, error))?;
        if (bytes.len() as u64) < length { Err(CarError::Truncated { at: self.at }) } else { Ok(bytes) }
    }

    /// Zeros to the end.
    fn zeros(&mut self) -> Result<(), CarError> {
        loop {
            let at = self.at;
            let buffer = self.buffer()?;
            if let Some(place) = buffer.iter().position(|byte| *byte != 0) {
                return Err(CarError::Syntax { at: at + place as u64, what: "something behind a section of no bytes" });
            }
            match buffer.len() {
                0 if self.end == u64::MAX || at == self.end => return Ok(()),
                0 => return Err(CarError::Truncated { at }),
                count => self.consume(count),
            }
        }
    }
}
