//! The heavy stages, each over a whole batch, each equal bit for bit to the CPU's.

mod choice;
pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
mod points;

pub use choice::{DEFAULT_MAX_VRAM, DeviceChoice, NoDeviceNamed};
pub use points::PointBlock;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::field::Node;

/// Why a device could not compute a stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BackendError {
    #[error(transparent)]
    NonCanonical(#[from] crate::field::NonCanonical),
    #[error("{children} children of {parents} nodes of arity {arity}")]
    Lengths { arity: usize, children: usize, parents: usize },
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    #[error("no GPU can go on: {reasons}")]
    NoDevice { reasons: String },
}

/// A device that computes stages.
pub trait Backend: Send + Sync {
    /// For logs and records.
    fn name(&self) -> &str;

    /// `parents[i] = Poseidon(children[i·arity], …, children[i·arity + arity − 1])`, under the tag of Merkle trees.
    ///
    /// # Errors
    /// [`BackendError`] when the lengths do not fit or a child is no field element.
    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError>;

    /// `parents[i] = sha_node(children[2i], children[2i + 1])`.
    ///
    /// # Errors
    /// [`BackendError`] when the lengths do not fit.
    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError>;
}

/// The backend of a job's stages; the CPU unless something else was opened.
#[derive(Clone)]
pub struct SharedBackend(Arc<dyn Backend>);

impl SharedBackend {
    /// Shares a backend.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Self(Arc::new(backend))
    }
}

impl Default for SharedBackend {
    fn default() -> Self {
        Self::new(cpu::Cpu)
    }
}

impl Deref for SharedBackend {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for SharedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for SharedBackend {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for SharedBackend {}
