//! How fast and how full the disk of a folder is: one short file, written, brought to the disk, and read again.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use filecash_node::plan::DiskRates;
use filecash_node::worker::storage::free_bytes;

use crate::report::{Failure, Kind};

/// Bytes of one write or read.
const BLOCK: usize = 4 << 20;
/// Blocks of the file, at most.
const BLOCKS: usize = 64;
/// Time for the writes, about; that for the sync comes on top.
const WRITING: Duration = Duration::from_millis(700);

/// A folder's disk.
pub struct Disk {
    /// The folder.
    pub folder: PathBuf,
    /// As timed.
    pub rates: DiskRates,
    /// Bytes that are free, where the system tells.
    pub free_bytes: Option<u64>,
}

impl Disk {
    /// Tries the disk of a folder. The file has no name and leaves nothing.
    pub fn of(folder: &Path) -> anyhow::Result<Self> {
        if !folder.is_dir() {
            return Err(Failure::new(Kind::Input, format!("{} is not a folder", folder.display())).into());
        }
        let rates = time(folder).with_context(|| format!("cannot try the disk of {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), rates, free_bytes: free_bytes(folder) })
    }
}

fn time(folder: &Path) -> std::io::Result<DiskRates> {
    let mut file = tempfile::tempfile_in(folder)?;
    // Not all alike, for disks that compress.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block: Vec<u8> = (0..BLOCK)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let (begin, mut blocks) = (Instant::now(), 0);
    while blocks < BLOCKS && begin.elapsed() < WRITING {
        file.write_all(&block)?;
        blocks += 1;
    }
    file.sync_all()?;
    let write = rate(blocks, begin);
    forget_pages(&file);
    file.seek(SeekFrom::Start(0))?;
    let begin = Instant::now();
    (0..blocks).try_for_each(|_| file.read_exact(&mut block))?;
    Ok(DiskRates { read: rate(blocks, begin), write })
}

fn rate(blocks: usize, begin: Instant) -> f64 {
    (blocks * BLOCK) as f64 / begin.elapsed().as_secs_f64().max(1e-9)
}

/// Has the system forget a file's pages, so that they are read from the disk; where it does not, memory is timed.
#[cfg(unix)]
fn forget_pages(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

#[cfg(not(unix))]
fn forget_pages(_file: &File) {}
