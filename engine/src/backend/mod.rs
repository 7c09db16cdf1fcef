//! The heavy stages, each over a whole batch, each equal bit for bit to the CPU's.

pub mod cpu;

/// Why a device could not compute a stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BackendError {
    #[error(transparent)]
    NonCanonical(#[from] crate::field::NonCanonical),
}

/// A device that computes stages.
pub trait Backend: Send + Sync {
    /// For logs and records.
    fn name(&self) -> &str;
}
