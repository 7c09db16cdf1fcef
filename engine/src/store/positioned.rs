//! Reading and writing a file at a place of its own, whatever the place of its cursor.
//!
//! Several threads may read one file so, and write to parts of it that do not overlap. On Windows the cursor moves, so
//! nobody may rely on it in a file used like this.

use std::fs::File;
use std::io;

/// Allocates the blocks of a file of `len` bytes, so that a disk without room is noticed before the work is done.
/// Whether the system can do so.
///
/// # Errors
/// What the system says.
pub fn reserve(file: &File, len: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            result => result.map(|()| true).map_err(io::Error::from),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, len);
        Ok(false)
    }
}

/// Whether a byte of a file is in memory, so that whoever reads it waits for no disk; `false` where the system does not tell.
pub fn is_cached(file: &File, offset: u64) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{ReadWriteFlags, preadv2};
        // With this flag nothing is read from a disk, and an error says that it would have been.
        preadv2(file, &mut [io::IoSliceMut::new(&mut [0])], offset, ReadWriteFlags::NOWAIT).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, offset);
        false
    }
}

/// Fills `buffer` from `offset` on.
///
/// # Errors
/// What the system says; [`io::ErrorKind::UnexpectedEof`] when the file ends earlier.
#[cfg(unix)]
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Writes all of `bytes` from `offset` on.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Fills `buffer` from `offset` on.
///
/// # Errors
/// What the system says; [`io::ErrorKind::UnexpectedEof`] when the file ends earlier.
#[cfg(windows)]
pub fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` from `offset` on.
///
/// # Errors
/// What the system says.
#[cfg(windows)]
pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn bytes_in_memory_are_told_from_those_on_the_disk() {
        use rustix::fs::{Advice, fadvise};

        // A folder in memory would keep what it is asked to drop.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        io::Write::write_all(&mut file, &[1; 1 << 20]).unwrap();
        assert!(is_cached(&file, 1 << 19));
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert!(!is_cached(&file, 1 << 19));
        read_exact_at(&file, &mut [0], 1 << 19).unwrap();
        assert!(is_cached(&file, 1 << 19));
    }

    #[test]
    fn bytes_are_read_where_they_were_written() {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, b"later", 7).unwrap();
        write_all_at(&file, b"first", 0).unwrap();
        let mut bytes = [9; 12];
        read_exact_at(&file, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first\0\0later");
        read_exact_at(&file, &mut bytes[..2], 8).unwrap();
        assert_eq!(&bytes[..2], b"at");
        let error = read_exact_at(&file, &mut bytes, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        read_exact_at(&file, &mut [], 100).unwrap();
    }
}
