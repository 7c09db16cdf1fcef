//! Writing CARs as streams. Neither names nor syncs a file: that is for who opened it.

use std::io::{self, Seek, SeekFrom, Write};

use super::index::{Entries, IndexKind};
use super::{CarError, HEAD_BYTES, Head, PRAGMA, encode_header};
use crate::block::Block;
use crate::hash::{Cid, inlined};
use crate::varint;

/// Writes a CAR of version 1.
#[derive(Debug)]
pub struct CarWriter<W> {
    sink: W,
    written: u64,
}

impl<W: Write> CarWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(mut sink: W, roots: &[Cid]) -> io::Result<Self> {
        let header = encode_header(roots);
        sink.write_all(&header)?;
        Ok(Self { sink, written: header.len() as u64 })
    }

    /// Writes a section.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, block: &Block) -> io::Result<()> {
        let cid = block.cid().to_bytes();
        let length = (cid.len() + block.bytes().len()) as u64;
        let mut head = Vec::with_capacity(varint::MAX_BYTES + cid.len());
        varint::write(length, &mut head);
        head.extend(cid);
        self.sink.write_all(&head)?;
        self.sink.write_all(block.bytes())?;
        self.written += (head.len() + block.bytes().len()) as u64;
        Ok(())
    }

    /// How many bytes have been written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Hands out the sink, flushed.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.flush()?;
        Ok(self.sink)
    }
}

/// Writes a CAR of version 2, with an index, from where the sink stands on. Until it is [finished](Self::finish) it has no head, and is
/// read by nobody. The index is in memory until then: 40 bytes for a section.
#[derive(Debug)]
pub struct IndexedCarWriter<W> {
    inner: CarWriter<W>,
    start: u64,
    kind: IndexKind,
    fully_indexed: bool,
    entries: Entries,
}

impl<W: Write + Seek> IndexedCarWriter<W> {
    /// Writes the pragma, room for the head, and the header of the v1.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(mut sink: W, roots: &[Cid]) -> io::Result<Self> {
        let start = sink.stream_position()?;
        sink.write_all(&PRAGMA)?;
        sink.write_all(&[0; HEAD_BYTES])?;
        let inner = CarWriter::new(sink, roots)?;
        Ok(Self { inner, start, kind: IndexKind::default(), fully_indexed: false, entries: Entries::default() })
    }

    /// Which index it is to have.
    #[must_use]
    pub fn with_index(self, kind: IndexKind) -> Self {
        Self { kind, ..self }
    }

    /// Has the index know sections of identity CIDs, too, and the head say so. For who has written none yet.
    #[must_use]
    pub fn fully_indexed(self) -> Self {
        Self { fully_indexed: true, ..self }
    }

    /// Writes a section.
    ///
    /// # Errors
    /// [`CarError::TooMany`], [`CarError::Io`].
    pub fn write(&mut self, block: &Block) -> Result<(), CarError> {
        let at = self.inner.written();
        if self.fully_indexed || inlined(block.cid()).is_none() {
            self.entries.add(block.cid(), at)?;
        }
        self.inner.write(block).map_err(|source| CarError::Io { at, source })
    }

    /// Writes the index and the head, and hands out the sink, flushed, with its place at the end.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(self) -> io::Result<W> {
        let data_offset = (PRAGMA.len() + HEAD_BYTES) as u64;
        let data_size = self.inner.written();
        let head =
            Head { fully_indexed: self.fully_indexed, data_offset, data_size, index_offset: data_offset + data_size };
        let mut sink = self.inner.finish()?;
        self.entries.write(self.kind, &mut sink)?;
        let end = sink.stream_position()?;
        sink.seek(SeekFrom::Start(self.start + PRAGMA.len() as u64))?;
        sink.write_all(&head.encode())?;
        sink.seek(SeekFrom::Start(end))?;
        sink.flush()?;
        Ok(sink)
    }
}
