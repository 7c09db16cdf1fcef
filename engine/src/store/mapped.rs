//! Files as slices: whole files mapped into memory; and memory of no file.
//!
//! Layers and tables are larger than the memory of the machines that we care for, and are read in no order, so they are
//! mapped: the system keeps the pages that it has room for. Writing goes the same way where a file is filled and read
//! at once (a layer), into a file whose blocks are allocated beforehand: a full disk is then an error here, and no
//! fault at some later store.
//!
//! Where there is room for a layer, [`Anonymous`] memory is faster: each page of a new file's map is a fault of its own and
//! 4 KiB, and one of no file can be 2 MiB.

#![allow(unsafe_code, reason = "memory maps")]

use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};

use memmap2::{Mmap, MmapMut, MmapOptions};

use super::positioned::reserve;
use crate::field::Node;
use crate::sector::params::NODE_SIZE;

/// A huge page of most processors; smaller memory is in pages of 4 KiB anyway.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// A file that is only read. Derefs to its bytes.
#[derive(Debug)]
pub struct Mapped(Mmap);

/// How a mapped file is going to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// From the first byte to the last.
    Ascending,
    /// Here and there.
    Random,
}

/// Tells the system about the access, where it listens; a refusal changes speed only.
macro_rules! advise {
    ($map:ident, $access:expr) => {
        #[cfg(unix)]
        {
            let advice = match $access {
                Access::Ascending => memmap2::Advice::Sequential,
                Access::Random => memmap2::Advice::Random,
            };
            if let Err(error) = $map.advise(advice) {
                tracing::debug!(%error, "the system takes no advice on a mapped file");
            }
        }
        #[cfg(not(unix))]
        let _ = $access;
    };
}

impl Mapped {
    /// Maps a whole file.
    ///
    /// Nothing may shorten the file or write to it while it is mapped. The engine keeps that by writing files under
    /// another name, or under a lock, and never again after they have their own.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(file: &File, access: Access) -> io::Result<Self> {
        // SAFETY: the file does not change while mapped, as said above, so its bytes are those of a shared slice.
        let map = unsafe { Mmap::map(file)? };
        advise!(map, access);
        Ok(Self(map))
    }

    /// The bytes as nodes; a last part of a node is left out.
    pub fn nodes(&self) -> &[Node] {
        self.0.as_chunks::<NODE_SIZE>().0
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A file that is filled and read at once. Derefs to its bytes.
#[derive(Debug)]
pub struct MappedMut(MmapMut);

impl MappedMut {
    /// Gives a file its length, allocates its blocks and maps it for reading and writing.
    ///
    /// Nobody else may have the file open for writing; a lock is the caller's business.
    ///
    /// # Errors
    /// What the system says; a disk without room for `len` bytes is noticed here.
    pub fn create(file: &File, len: u64) -> io::Result<Self> {
        file.set_len(len)?;
        allocate(file, len)?;
        // SAFETY: only we have the file open for writing, and it keeps its length until the map is gone.
        let map = unsafe { MmapOptions::new().map_mut(file)? };
        advise!(map, Access::Random);
        Ok(Self(map))
    }

    /// Maps the file that was filled anew, for reading. Its pages stay in memory; those of a map for writing would be taken
    /// back from every processor one by one when the file is flushed, which costs more than the flushing.
    ///
    /// # Errors
    /// What the system says.
    pub fn frozen(self, file: &File, access: Access) -> io::Result<Mapped> {
        drop(self);
        Mapped::open(file, access)
    }

    /// The bytes as nodes; a last part of a node is left out.
    pub fn nodes(&self) -> &[Node] {
        self.0.as_chunks::<NODE_SIZE>().0
    }

    /// The bytes as nodes; a last part of a node is left out.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        self.0.as_chunks_mut::<NODE_SIZE>().0
    }
}

impl Deref for MappedMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for MappedMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Memory of no file: zeros until written.
#[derive(Debug)]
pub struct Anonymous(MmapMut);

impl Anonymous {
    /// So many bytes, in huge pages where the system has them. Those that were never written to take no memory.
    ///
    /// # Errors
    /// What the system says when it has no room.
    pub fn new(len: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(len)?;
        #[cfg(target_os = "linux")]
        if len >= HUGE_PAGE
            && let Err(error) = map.advise(memmap2::Advice::HugePage)
        {
            tracing::debug!(%error, "the system has no huge pages");
        }
        Ok(Self(map))
    }

    /// The bytes as nodes; a last part of a node is left out.
    pub fn nodes(&self) -> &[Node] {
        self.0.as_chunks::<NODE_SIZE>().0
    }

    /// The bytes as nodes; a last part of a node is left out.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        self.0.as_chunks_mut::<NODE_SIZE>().0
    }
}

/// Allocates the blocks of a file, by writing zeros where the file system knows no other way.
fn allocate(mut file: &File, len: u64) -> io::Result<()> {
    if reserve(file, len)? {
        return Ok(());
    }
    let zeros = vec![0; 1 << 20];
    let mut left = len;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        file.write_all(&zeros[..now as usize])?;
        left -= now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_bytes_reach_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map");
        let file = File::create_new(&path).unwrap();
        drop(file);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut map = MappedMut::create(&file, 96).unwrap();
        assert_eq!(map.nodes_mut().len(), 3);
        map.nodes_mut()[2] = [7; 32];
        let mapped = map.frozen(&file, Access::Random).unwrap();
        assert_eq!(mapped.nodes(), [[0; 32], [0; 32], [7; 32]]);
        assert_eq!(std::fs::read(&path).unwrap(), &*mapped);
    }

    #[test]
    fn anonymous_memory_is_zero_and_keeps_what_is_written() {
        for len in [1, 64, 4095, (4 << 20) + 96] {
            let mut memory = Anonymous::new(len).unwrap();
            assert_eq!(memory.nodes().len(), len / NODE_SIZE);
            assert!(memory.nodes().iter().all(|node| *node == [0; NODE_SIZE]));
            let Some(last) = memory.nodes_mut().last_mut() else { continue };
            *last = [7; NODE_SIZE];
            assert_eq!(memory.nodes()[len / NODE_SIZE - 1], [7; NODE_SIZE]);
        }
        assert!(Anonymous::new(1 << 62).is_err());
    }

    #[test]
    fn room_that_no_disk_has_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(MappedMut::create(&file, 1 << 60).is_err());
    }
}
