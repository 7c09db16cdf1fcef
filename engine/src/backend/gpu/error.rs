//! What can go wrong with a device. But for a bad point none of it says anything about the work, which somebody else can
//! do.

/// Why a device did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum GpuError {
    #[error("no device could be opened on {adapter}")]
    Open { adapter: String, source: wgpu::RequestDeviceError },
    #[error("{adapter} lacks {what}")]
    Unfit { adapter: String, what: &'static str },
    #[error("{adapter} was lost: {reason}")]
    Lost { adapter: String, reason: String },
    #[error("no threads can be started that plan for {adapter}")]
    Threads { adapter: String, source: rayon::ThreadPoolBuildError },
    #[error("{adapter} has no room for {bytes} bytes")]
    OutOfMemory { adapter: String, bytes: u64 },
    #[error("{adapter} binds {most} bytes, the parents of a layer have {bytes}")]
    LayerTooLarge { adapter: String, bytes: u64, most: u64 },
    #[error("{adapter} does not accept {what}: {reason}")]
    Rejected { adapter: String, what: String, reason: String },
    #[error("{adapter} did not finish a slice of {kernel} in {seconds} s")]
    TimedOut { adapter: String, kernel: String, seconds: u64 },
    #[error("{adapter} computes {kernel} wrongly")]
    Wrong { adapter: String, kernel: String },
    #[error("point {index} of a block is not on its curve, or not one in canonical form")]
    BadPoint { index: usize },
}
