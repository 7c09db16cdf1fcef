//! Adapters, and a device that was opened on one.
//!
//! A device is opened with the adapter's own limits, or with lower ones that the caller gives, and with just the
//! features that kernels use. Errors are never fatal: what wgpu reports outside of a scope is kept until the slice that
//! caused it is collected, and a lost device fails every slice from then on.

use std::sync::{Arc, Mutex, PoisonError};

use filecash_shaders::field::Form;

use super::error::GpuError;
use crate::backend::DEFAULT_MAX_VRAM;

/// What kernels ask for: parameters of a dispatch, and 64-bit integers where there are any; and what their compilations
/// are kept in.
const FEATURES: wgpu::Features =
    wgpu::Features::IMMEDIATES.union(wgpu::Features::SHADER_INT64).union(wgpu::Features::PIPELINE_CACHE);
/// Bytes of the parameters of a dispatch.
pub(super) const IMMEDIATE_BYTES: u32 = 32;
/// Bytes of a binding that hold every kernel's constants.
const MIN_BINDING: u64 = 128 << 10;
/// Bytes of workgroup memory, which every GPU of the last ten years has.
const SHARED_BYTES: u32 = 32 << 10;
/// Bindings of a kernel that has most of them.
const MAX_BINDINGS: u32 = 8;

/// What a device may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuLimits {
    /// Bytes of device memory for the buffers of slices, staging included; constants are less than 1 MiB besides.
    pub max_vram: u64,
    /// Bytes of one binding; the adapter's own limit if that is lower.
    pub max_binding: u64,
    /// The form of elements; `None` is the faster one, which is found out.
    pub form: Option<Form>,
}

impl Default for GpuLimits {
    /// [`DEFAULT_MAX_VRAM`], and whatever the adapter binds.
    fn default() -> Self {
        Self { max_vram: DEFAULT_MAX_VRAM, max_binding: u64::MAX, form: None }
    }
}

/// An adapter that was found, opened or not.
#[derive(Clone, Debug)]
pub struct Adapter {
    adapter: wgpu::Adapter,
    /// Place among the adapters found, from 0.
    pub index: usize,
}

impl Adapter {
    /// Every adapter of this machine, in the order in which the system lists them; one that several APIs offer is listed
    /// once for each.
    pub fn all() -> Vec<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        adapters.into_iter().enumerate().map(|(index, adapter)| Self { adapter, index }).collect()
    }

    /// Names, driver, kind and API.
    pub fn info(&self) -> wgpu::AdapterInfo {
        self.adapter.get_info()
    }

    /// Its limits.
    pub fn limits(&self) -> wgpu::Limits {
        self.adapter.limits()
    }

    /// Whether it is a program on the processor: good for tests, never faster than the CPU backend.
    pub fn is_software(&self) -> bool {
        self.info().device_type == wgpu::DeviceType::Cpu
    }

    /// Whether it has 64-bit integers.
    pub fn has_wide_integers(&self) -> bool {
        self.adapter.features().contains(wgpu::Features::SHADER_INT64)
    }
}

/// What wgpu has reported about a device since somebody last asked.
#[derive(Debug, Default)]
struct Reports {
    lost: Option<String>,
    error: Option<String>,
}

/// An opened device; clones are the same one.
#[derive(Clone, Debug)]
pub struct Device {
    /// Name of the adapter, for messages.
    pub name: String,
    /// The form of field elements in its kernels.
    pub form: Form,
    /// Bytes of a binding.
    pub max_binding: u64,
    /// Bytes of the buffers of slices.
    pub max_vram: u64,
    pub(super) wgpu: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    reports: Arc<Mutex<Reports>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is kept is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What wgpu says, which has lines and indents.
fn one_line(error: &wgpu::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// [`GpuError::Unfit`] when the adapter cannot run the kernels at all, [`GpuError::Open`].
    pub fn open(adapter: &Adapter, limits: GpuLimits) -> Result<Self, GpuError> {
        let name = adapter.info().name;
        let (features, own) = (adapter.adapter.features(), adapter.limits());
        let unfit = |what| GpuError::Unfit { adapter: name.clone(), what };
        if !features.contains(wgpu::Features::IMMEDIATES) || own.max_immediate_size < IMMEDIATE_BYTES {
            return Err(unfit("parameters of dispatches"));
        }
        let is_wide = features.contains(wgpu::Features::SHADER_INT64);
        let form = limits.form.unwrap_or(if is_wide { Form::Wide } else { Form::Narrow });
        if form == Form::Wide && !is_wide {
            return Err(unfit("64-bit integers"));
        }
        let max_binding = own.max_storage_buffer_binding_size.min(limits.max_binding).min(own.max_buffer_size);
        if max_binding < MIN_BINDING {
            return Err(unfit("bindings of 128 KiB"));
        }
        if own.max_compute_workgroup_storage_size < SHARED_BYTES {
            return Err(unfit("32 KiB of workgroup memory"));
        }
        let required_limits = wgpu::Limits {
            max_storage_buffer_binding_size: max_binding,
            max_buffer_size: own.max_buffer_size.min(max_binding),
            max_immediate_size: IMMEDIATE_BYTES,
            max_storage_buffers_per_shader_stage: MAX_BINDINGS.min(own.max_storage_buffers_per_shader_stage),
            max_compute_workgroup_storage_size: SHARED_BYTES,
            ..wgpu::Limits::downlevel_defaults().using_resolution(own.clone()).using_alignment(own)
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("filecash"),
            required_features: features & FEATURES,
            required_limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.adapter.request_device(&descriptor))
            .map_err(|source| GpuError::Open { adapter: name.clone(), source })?;
        let reports = Arc::new(Mutex::new(Reports::default()));
        let kept = Arc::clone(&reports);
        device.set_device_lost_callback(move |reason, message| {
            locked(&kept).lost = Some(format!("{reason:?} {message}").trim_end().to_owned());
        });
        let kept = Arc::clone(&reports);
        device.on_uncaptured_error(Arc::new(move |error| {
            locked(&kept).error.get_or_insert(one_line(&error));
        }));
        Ok(Self { name, form, max_binding, max_vram: limits.max_vram, wgpu: device, queue, reports })
    }

    /// Fails if something was reported since the last call; a lost device fails forever.
    pub(super) fn check(&self, what: &str) -> Result<(), GpuError> {
        let error = locked(&self.reports).error.take();
        self.outcome(what, error)
    }

    /// Fails with an error, if there is one, and always on a lost device.
    fn outcome(&self, what: &str, error: Option<String>) -> Result<(), GpuError> {
        if error.is_some() {
            // Errors come at once, their cause when the device is asked; what it says matters, not whether it answers.
            let _ = self.wgpu.poll(wgpu::PollType::Poll);
        }
        if let Some(reason) = &locked(&self.reports).lost {
            return Err(GpuError::Lost { adapter: self.name.clone(), reason: reason.clone() });
        }
        match error {
            Some(reason) => Err(GpuError::Rejected { adapter: self.name.clone(), what: what.to_owned(), reason }),
            None => Ok(()),
        }
    }

    /// Runs `work`, which creates something of so many bytes, and gives its errors as ours; those of other threads that do
    /// so meanwhile are theirs.
    pub(super) fn scoped<T>(&self, what: &str, bytes: u64, work: impl FnOnce() -> T) -> Result<T, GpuError> {
        let memory = self.wgpu.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.wgpu.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.wgpu.push_error_scope(wgpu::ErrorFilter::Internal);
        let made = work();
        let rejected = [pollster::block_on(internal.pop()), pollster::block_on(validation.pop())];
        let memory = pollster::block_on(memory.pop());
        if memory.is_some() {
            return Err(GpuError::OutOfMemory { adapter: self.name.clone(), bytes });
        }
        self.outcome(what, rejected.iter().flatten().next().map(one_line))?;
        self.check(what)?;
        Ok(made)
    }

    /// A buffer.
    pub(super) fn buffer(
        &self,
        label: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, GpuError> {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false };
        self.scoped(label, bytes, || self.wgpu.create_buffer(&descriptor))
    }

    /// Takes the device away, as a driver's reset does: for tests of what follows.
    pub fn destroy(&self) {
        self.wgpu.destroy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn errors_are_those_of_the_thread_that_made_them() {
        for adapter in Adapter::all() {
            let device = Device::open(&adapter, GpuLimits { max_binding: 1 << 20, ..GpuLimits::default() }).unwrap();
            let is_made = |bytes| device.buffer("test", bytes, wgpu::BufferUsages::STORAGE).is_ok();
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| assert!((0..50).all(|_| is_made(1 << 10))));
                    scope.spawn(|| assert!(!(0..50).any(|_| is_made(1 << 30))));
                }
            });
            device.check("test").unwrap();
        }
    }
}
