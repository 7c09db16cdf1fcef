//! Where the sections of a CAR begin, by their digests.
//!
//! ```text
//! index   = varint 0x0400 ‖ buckets                                        sorted
//!         | varint 0x0401 ‖ count i32 ‖ (hash function u64 ‖ buckets)*     sorted by hash functions first
//! buckets = count i32 ‖ (width u32 ‖ bytes u64 ‖ row*)*                    row = digest ‖ offset u64
//! ```
//!
//! Numbers are little-endian. All digests of a bucket have a length, which is its width less the 8 bytes of the offset; its rows are in
//! order of their digests, buckets in that of their widths, hash functions in that of their codes. Offsets count from the beginning of the v1 to the length of a section. A digest may
//! be there more than once.
//!
//! Source: the package `index` of ipld/go-car v2, which the CAR specification leaves the layout to.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::CarError;
use crate::hash::{Cid, MAX_DIGEST};
use crate::positioned::ReadAt;
use crate::varint;

/// The most sections in an index that is made here.
pub const MAX_INDEXED: usize = 1 << 23;
/// The most buckets that are read of an index, of all hash functions together.
const MAX_BUCKETS: usize = 1 << 10;
const OFFSET_BYTES: usize = 8;

/// Which index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexKind {
    /// By digests alone, `IndexSorted`.
    Sorted,
    /// By hash functions and digests, `MultihashIndexSorted`.
    #[default]
    MultihashSorted,
}

impl IndexKind {
    /// Its code.
    pub fn code(self) -> u64 {
        match self {
            Self::Sorted => 0x0400,
            Self::MultihashSorted => 0x0401,
        }
    }
}

/// An index in the making.
#[derive(Debug, Default)]
pub struct Entries {
    /// The rows of a hash function and a length of digests.
    rows: BTreeMap<(u64, usize), Vec<u8>>,
    count: usize,
}

impl Entries {
    /// Adds a section.
    pub fn add(&mut self, cid: &Cid, offset: u64) -> Result<(), CarError> {
        if self.count == MAX_INDEXED {
            return Err(CarError::TooMany);
        }
        self.count += 1;
        let digest = cid.hash().digest();
        let rows = self.rows.entry((cid.hash().code(), digest.len())).or_default();
        rows.extend(digest);
        rows.extend(offset.to_le_bytes());
        Ok(())
    }

    /// Writes the index.
    pub fn write(&self, kind: IndexKind, sink: &mut impl Write) -> io::Result<()> {
        let mut code = Vec::new();
        varint::write(kind.code(), &mut code);
        sink.write_all(&code)?;
        let mut functions = BTreeMap::<_, BTreeMap<_, Vec<_>>>::new();
        for ((code, length), rows) in &self.rows {
            let code = if kind == IndexKind::Sorted { 0 } else { *code };
            functions.entry(code).or_default().entry(*length).or_default().push(&rows[..]);
        }
        if kind == IndexKind::Sorted {
            return write_buckets(&functions.pop_first().map(|(_, buckets)| buckets).unwrap_or_default(), sink);
        }
        sink.write_all(&(functions.len() as i32).to_le_bytes())?;
        for (code, buckets) in &functions {
            sink.write_all(&code.to_le_bytes())?;
            write_buckets(buckets, sink)?;
        }
        Ok(())
    }
}

fn write_buckets(buckets: &BTreeMap<usize, Vec<&[u8]>>, sink: &mut impl Write) -> io::Result<()> {
    sink.write_all(&(buckets.len() as i32).to_le_bytes())?;
    for (length, parts) in buckets {
        let width = length + OFFSET_BYTES;
        let mut rows: Vec<_> = parts.iter().flat_map(|rows| rows.chunks_exact(width)).collect();
        // Those of a digest stay in the order of the file.
        rows.sort_by_key(|row| &row[..*length]);
        sink.write_all(&(width as u32).to_le_bytes())?;
        sink.write_all(&((rows.len() * width) as u64).to_le_bytes())?;
        for row in rows {
            sink.write_all(row)?;
        }
    }
    Ok(())
}

/// An index that is there, in a file or in memory.
#[derive(Debug)]
pub struct Index<S> {
    source: S,
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// The hash function; any, where the index does not tell.
    code: Option<u64>,
    digest_bytes: usize,
    /// Where its rows begin.
    at: u64,
    rows: u64,
}

impl Bucket {
    fn width(&self) -> u64 {
        (self.digest_bytes + OFFSET_BYTES) as u64
    }
}

impl<S: std::ops::Deref<Target: ReadAt>> Index<S> {
    /// Reads what buckets there are of an index that begins at a place and is not longer than to another.
    pub fn open(source: S, at: u64, end: u64) -> Result<Self, CarError> {
        let mut cursor = Cursor { source: &*source, at, end };
        let buckets = cursor.index()?;
        Ok(Self { source, buckets })
    }

    /// The offsets of sections of a digest, as far as the index tells.
    pub fn offsets(&self, cid: &Cid) -> Offsets<'_, S> {
        Offsets { index: self, cid: *cid, bucket: 0, row: None }
    }

    fn row(&self, bucket: &Bucket, row: u64) -> Result<Row, CarError> {
        let at = bucket.at + row * bucket.width();
        let mut bytes = [0; MAX_DIGEST + OFFSET_BYTES];
        let row = &mut bytes[..bucket.width() as usize];
        self.source.read_all(row, at).map_err(|error| CarError::io(at, error))?;
        let (digest, offset) = row.split_at(bucket.digest_bytes);
        let offset = offset.first_chunk().map_or(0, |offset| u64::from_le_bytes(*offset));
        Ok(Row { digest: digest.to_vec(), offset, at })
    }

    /// The first row that is not before a digest.
    fn search(&self, bucket: &Bucket, digest: &[u8]) -> Result<u64, CarError> {
        let (mut low, mut high) = (0, bucket.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if &self.row(bucket, middle)?.digest[..] < digest {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

struct Row {
    digest: Vec<u8>,
    offset: u64,
    at: u64,
}

/// What an index tells of a digest: offsets, and where it tells so.
pub struct Offsets<'a, S> {
    index: &'a Index<S>,
    cid: Cid,
    bucket: usize,
    row: Option<u64>,
}

impl<S: std::ops::Deref<Target: ReadAt>> Offsets<'_, S> {
    fn advance(&mut self) -> Result<Option<(u64, u64)>, CarError> {
        let hash = self.cid.hash();
        while let Some(bucket) = self.index.buckets.get(self.bucket) {
            let fits = bucket.code.is_none_or(|code| code == hash.code()) && bucket.digest_bytes == hash.digest().len();
            if fits {
                let row = match self.row {
                    Some(row) => row,
                    None => self.index.search(bucket, hash.digest())?,
                };
                if row < bucket.rows {
                    let found = self.index.row(bucket, row)?;
                    if found.digest == hash.digest() {
                        self.row = Some(row + 1);
                        return Ok(Some((found.offset, found.at)));
                    }
                }
            }
            (self.bucket, self.row) = (self.bucket + 1, None);
        }
        Ok(None)
    }
}

impl<S: std::ops::Deref<Target: ReadAt>> Iterator for Offsets<'_, S> {
    type Item = Result<(u64, u64), CarError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// Reads the numbers of an index.
struct Cursor<'a, S: ?Sized> {
    source: &'a S,
    at: u64,
    end: u64,
}

impl<S: ReadAt + ?Sized> Cursor<'_, S> {
    fn wrong<T>(&self, what: &'static str) -> Result<T, CarError> {
        Err(CarError::Index { at: self.at, what })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CarError> {
        let mut bytes = [0; N];
        if self.end.saturating_sub(self.at) < N as u64 {
            return self.wrong("it ends too soon");
        }
        self.source.read_all(&mut bytes, self.at).map_err(|error| CarError::io(self.at, error))?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn count(&mut self) -> Result<usize, CarError> {
        let at = self.at;
        let count = u32::from_le_bytes(self.take()?) as usize;
        if count > MAX_BUCKETS { Err(CarError::Index { at, what: "too many buckets" }) } else { Ok(count) }
    }

    fn index(&mut self) -> Result<Vec<Bucket>, CarError> {
        let mut buckets = Vec::new();
        // Of both codes the varint has two bytes.
        match varint::read(&mut &self.take::<2>()?[..]) {
            Ok(code) if code == IndexKind::Sorted.code() => self.buckets(None, &mut buckets)?,
            Ok(code) if code == IndexKind::MultihashSorted.code() => {
                for _ in 0..self.count()? {
                    let code = u64::from_le_bytes(self.take()?);
                    self.buckets(Some(code), &mut buckets)?;
                }
            }
            _ => {
                self.at -= 2;
                return self.wrong("it is of a kind that is not known");
            }
        }
        Ok(buckets)
    }

    fn buckets(&mut self, code: Option<u64>, buckets: &mut Vec<Bucket>) -> Result<(), CarError> {
        for _ in 0..self.count()? {
            if buckets.len() == MAX_BUCKETS {
                return self.wrong("too many buckets");
            }
            let (width, bytes) = (u32::from_le_bytes(self.take()?), u64::from_le_bytes(self.take()?));
            let at = self.at;
            let sound = width >= OFFSET_BYTES as u32 && bytes % u64::from(width.max(1)) == 0;
            if !sound || bytes > self.end.saturating_sub(at) {
                return self.wrong("a bucket that is none");
            }
            self.at += bytes;
            let digest_bytes = width as usize - OFFSET_BYTES;
            // No CID that is looked for has a longer one.
            if digest_bytes <= MAX_DIGEST {
                buckets.push(Bucket { code, digest_bytes, at, rows: bytes / u64::from(width) });
            }
        }
        Ok(())
    }
}
