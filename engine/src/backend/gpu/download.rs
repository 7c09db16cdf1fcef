//! Results on their way from a device.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::device::Device;
use super::error::GpuError;

/// A slice that takes longer will not end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A buffer that the device copies results to and the processor reads.
#[derive(Debug)]
pub(super) struct Download {
    bytes: u64,
    submission: wgpu::SubmissionIndex,
    ready: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Download {
    /// Copies the first `bytes` of `from` to `mapped` once the device has done what `encoder` has, and asks for them.
    pub(super) fn start(
        device: &Device,
        what: &str,
        mut encoder: wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        mapped: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Self, GpuError> {
        encoder.copy_buffer_to_buffer(from, 0, mapped, 0, bytes);
        let submission = device.queue.submit([encoder.finish()]);
        let (sender, ready) = mpsc::channel();
        // Nobody listens any more when the slice was given up.
        mapped.slice(..bytes).map_async(wgpu::MapMode::Read, move |mapped| drop(sender.send(mapped)));
        device.check(what)?;
        Ok(Self { bytes, submission, ready })
    }

    /// Waits for the results and hands them to `read`.
    pub(super) fn finish<T>(
        self,
        device: &Device,
        what: &str,
        mapped: &wgpu::Buffer,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, GpuError> {
        let adapter = || device.name.clone();
        let timed_out =
            || GpuError::TimedOut { adapter: adapter(), kernel: what.to_owned(), seconds: PATIENCE.as_secs() };
        let waited =
            device.wgpu.poll(wgpu::PollType::Wait { submission_index: Some(self.submission), timeout: Some(PATIENCE) });
        device.check(what)?;
        waited.map_err(|_| timed_out())?;
        let rejected = |reason: String| GpuError::Rejected { adapter: adapter(), what: what.to_owned(), reason };
        match self.ready.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(rejected(error.to_string())),
            Err(_) => return Err(timed_out()),
        }
        let result = {
            let mapped = mapped.slice(..self.bytes).get_mapped_range();
            read(&mapped.map_err(|error| rejected(error.to_string()))?)
        };
        mapped.unmap();
        device.check(what)?;
        Ok(result)
    }
}
