//! The bytes of a file.
//!
//! A reader holds the nodes on the way from the root to where it is, which have up to [`MAX_LINKS`] links together, and asks for a block only when it needs a byte of it or below. What is
//! below a link has to have as many bytes as the node above says, or reading fails; links that are said to have none are not followed.

use std::io::{self, Read, Seek, SeekFrom};

use super::node::{File, MAX_LINKS, Node, Part};
use super::{Source, UnixFsError};
use crate::hash::Cid;

/// How many nodes there may be from the root to a byte. A tree of two links a node has 2^31 leaves then.
pub const MAX_DEPTH: usize = 32;

/// Reads a file.
pub struct Reader<S> {
    source: S,
    /// From the root down. There is always the root.
    levels: Vec<Level>,
    size: u64,
    position: u64,
}

/// A node and where it is in the file.
struct Level {
    start: u64,
    content: Vec<u8>,
    parts: Vec<Part>,
    /// Where each part ends.
    ends: Vec<u64>,
}

impl Level {
    fn new(start: u64, File { content, parts, .. }: File) -> Self {
        let ends = parts.iter().scan(start + content.len() as u64, |end, part| {
            *end += part.size;
            Some(*end)
        });
        Self { start, ends: ends.collect(), content, parts }
    }

    fn content_end(&self) -> u64 {
        self.start + self.content.len() as u64
    }

    fn holds(&self, position: u64) -> bool {
        (self.start..self.ends.last().copied().unwrap_or(self.content_end())).contains(&position)
    }
}

impl<S: Source> Reader<S> {
    /// Reads a file from its beginning.
    ///
    /// # Errors
    /// [`UnixFsError`].
    pub fn new(source: S, root: &Cid) -> Result<Self, UnixFsError> {
        let file = load_file(&source, root)?;
        Ok(Self::of_file(source, file))
    }

    /// Reads a file, whose root has been read, from its beginning.
    pub(super) fn of_file(source: S, file: File) -> Self {
        let size = file.size;
        Self { source, levels: vec![Level::new(0, file)], size, position: 0 }
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Copies bytes from where it is, and goes on behind them. As many as one block has; none at the end of the file.
    ///
    /// # Errors
    /// [`UnixFsError`].
    pub fn read_bytes(&mut self, bytes: &mut [u8]) -> Result<usize, UnixFsError> {
        if bytes.is_empty() || self.position >= self.size {
            return Ok(0);
        }
        self.descend()?;
        let Some(level) = self.levels.last() else { return Ok(0) };
        let here = &level.content[(self.position - level.start) as usize..];
        let count = here.len().min(bytes.len());
        bytes[..count].copy_from_slice(&here[..count]);
        self.position += count as u64;
        Ok(count)
    }

    /// Goes to the node that has the byte where it is, which is in the file.
    fn descend(&mut self) -> Result<(), UnixFsError> {
        let position = self.position;
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| !level.holds(position)) {
            self.levels.pop();
        }
        while let Some(level) = self.levels.last().filter(|level| position >= level.content_end()) {
            let place = level.ends.partition_point(|end| *end <= position);
            let Some(Part { cid, size }) = level.parts.get(place) else { return Ok(()) };
            let (cid, expected) = (*cid, *size);
            let start = level.ends[place] - expected;
            if self.levels.len() == MAX_DEPTH {
                return Err(UnixFsError::Depth { cid: Box::new(cid), limit: MAX_DEPTH });
            }
            let file = load_file(&self.source, &cid)?;
            if file.size != expected {
                return Err(UnixFsError::Size { cid: Box::new(cid), expected, actual: file.size });
            }
            let above = self.levels.iter().map(|level| level.parts.len()).sum::<usize>();
            if above + file.parts.len() > MAX_LINKS {
                let what = format!("it and the nodes above have more than {MAX_LINKS} links");
                return Err(UnixFsError::node(&cid, what));
            }
            self.levels.push(Level::new(start, file));
        }
        Ok(())
    }
}

fn load_file(source: &dyn Source, cid: &Cid) -> Result<File, UnixFsError> {
    match Node::load(source, cid)? {
        Node::File(file) => Ok(file),
        other => Err(UnixFsError::Kind { cid: Box::new(*cid), expected: "file", actual: other.kind() }),
    }
}

/// Errors hold a [`UnixFsError`].
impl<S: Source> Read for Reader<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.read_bytes(bytes).map_err(io::Error::other)
    }
}

/// Reads nothing: blocks are asked for when bytes are.
impl<S: Source> Seek for Reader<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
