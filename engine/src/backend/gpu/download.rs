//! Results on their way from a device.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::device::Device;
use super::error::GpuError;

/// A slice that takes longer will not end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the device has done a submission.
pub(super) fn wait(device: &Device, what: &str, submission: wgpu::SubmissionIndex) -> Result<(), GpuError> {
    let waiting = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
    let waited = device.wgpu.poll(waiting);
    if waited.is_err() {
        // A lost device says so when it is asked, and what it says matters, not whether it answers.
        let _ = device.wgpu.poll(wgpu::PollType::Poll);
    }
    device.check(what)?;
    waited.map(drop).map_err(|_| timed_out(device, what))
}

fn timed_out(device: &Device, what: &str) -> GpuError {
    GpuError::TimedOut { adapter: device.name.clone(), kernel: what.to_owned(), seconds: PATIENCE.as_secs() }
}

/// A buffer that the device copies results to and the processor reads.
#[derive(Debug)]
pub(super) struct Download {
    bytes: u64,
    submission: wgpu::SubmissionIndex,
    ready: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Download {
    /// Gives the device what `encoder` has, at the end of which the first `bytes` of `mapped` are the results, and asks
    /// for these.
    pub(super) fn start(
        device: &Device,
        what: &str,
        encoder: wgpu::CommandEncoder,
        mapped: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Self, GpuError> {
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
        wait(device, what, self.submission)?;
        let rejected =
            |reason: String| GpuError::Rejected { adapter: device.name.clone(), what: what.to_owned(), reason };
        match self.ready.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(rejected(error.to_string())),
            Err(_) => return Err(timed_out(device, what)),
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
