//! Settings of the engine: values, no I/O, no global state.

use std::path::PathBuf;

use crate::backend::SharedBackend;

/// One GiB, the default memory budget of a phase.
pub const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
/// Tree rows above the leaves that TreeR-last files leave out, unless the tree is too small.
pub const DEFAULT_ROWS_TO_DISCARD: usize = 2;

/// What a phase may use and where it finds shared files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of memory that a phase plans with: batches, windows and staging buffers shrink to fit, PC1 has layers in memory or
    /// maps files, a proof has its vectors in memory or in files. A circuit is counted; pages of mapped files are not, since the
    /// system can take them back, and neither is the program.
    pub memory_bytes: u64,
    /// Rows above the leaves that TreeR-last files leave out (the reference's `FIL_PROOFS_ROWS_TO_DISCARD`).
    pub rows_to_discard: usize,
    /// Folder of `.params`, `.vk` and `.meta` files; one sub-folder per profile other than `filecoin`.
    pub parameter_cache: PathBuf,
    /// Folder of parent tables.
    pub parent_cache: PathBuf,
    /// Folder of files without names, for what has no room in `memory_bytes`: a proof's vectors.
    pub scratch: PathBuf,
    /// Who computes the heavy stages.
    pub backend: SharedBackend,
}

impl Default for Config {
    /// The reference's folders under `/var/tmp`.
    fn default() -> Self {
        Self {
            memory_bytes: DEFAULT_MEMORY_BYTES,
            rows_to_discard: DEFAULT_ROWS_TO_DISCARD,
            parameter_cache: PathBuf::from("/var/tmp/filecoin-proof-parameters"),
            parent_cache: PathBuf::from("/var/tmp/filecoin-parents"),
            // Not the folder for small things, which on many systems is memory.
            scratch: if cfg!(unix) { PathBuf::from("/var/tmp") } else { std::env::temp_dir() },
            backend: SharedBackend::default(),
        }
    }
}
