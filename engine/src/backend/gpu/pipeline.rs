//! Kernels of a device, compiled once.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use filecash_shaders::kernels::Kernel;

use super::device::{Device, IMMEDIATE_BYTES};
use super::error::GpuError;
use super::kept::Kept;

/// A compiled kernel and its constants.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) name: String,
    pub(super) has_parameters: bool,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) compute: wgpu::ComputePipeline,
    /// What its first binding holds in every dispatch, if anything.
    pub(super) constants: Option<wgpu::Buffer>,
}

/// The kernels that a device has compiled so far.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    slots: Mutex<HashMap<Kernel, Arc<Mutex<Slot>>>>,
    kept: Option<Kept>,
    /// Whether something was compiled since the last [`save`](Self::save).
    has_new: AtomicBool,
}

/// What there is of a kernel.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Nothing,
    /// Compiled, without its constants.
    Compiled(Pipeline),
    Ready(Arc<Pipeline>),
}

impl Pipelines {
    /// None yet; `kept` is what the driver compiled in earlier runs.
    pub(super) fn new(kept: Option<Kept>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// A kernel, compiled at the first call; `constants` gives the words of its first
    /// binding, or none where these change.
    ///
    /// # Errors
    /// [`GpuError`] when the device does not take it.
    pub(super) fn get(
        &self,
        device: &Device,
        kernel: Kernel,
        constants: impl FnOnce() -> Vec<u32>,
    ) -> Result<Arc<Pipeline>, GpuError> {
        let slot = self.slot(kernel);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = match mem::take(&mut *slot) {
            Slot::Ready(pipeline) => {
                *slot = Slot::Ready(Arc::clone(&pipeline));
                return Ok(pipeline);
            }
            Slot::Compiled(pipeline) => pipeline,
            Slot::Nothing => self.compile(device, kernel)?,
        };
        let pipeline = Arc::new(compiled.with_constants(device, &constants())?);
        *slot = Slot::Ready(Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Compiles kernels that will be asked for, on as many threads as there are for work; errors are left to
    /// [`get`](Self::get). Some drivers need seconds for one.
    pub(super) fn prepare(&self, device: &Device, kernels: impl IntoIterator<Item = Kernel>) {
        let kernels: Vec<_> = kernels.into_iter().collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(kernel) = kernels.get(next.fetch_add(1, Ordering::Relaxed)) {
                let slot = self.slot(*kernel);
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                if matches!(*slot, Slot::Nothing) {
                    *slot = self.compile(device, *kernel).map_or(Slot::Nothing, Slot::Compiled);
                }
            }
        };
        // Threads of their own: rayon's may all be waiting for this device.
        thread::scope(|scope| {
            for _ in 1..rayon::current_num_threads().min(kernels.len()) {
                // Whatever does not start, the others do.
                drop(thread::Builder::new().spawn_scoped(scope, work));
            }
            work();
        });
    }

    /// Keeps what was compiled for later runs.
    pub(super) fn save(&self) {
        if let (Some(kept), true) = (&self.kept, self.has_new.swap(false, Ordering::Relaxed)) {
            kept.save();
        }
    }

    /// What the driver compiled in earlier runs.
    #[cfg(test)]
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Locked while its kernel is being compiled, so that nothing is compiled twice.
    fn slot(&self, kernel: Kernel) -> Arc<Mutex<Slot>> {
        Arc::clone(self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(kernel).or_default())
    }

    fn compile(&self, device: &Device, kernel: Kernel) -> Result<Pipeline, GpuError> {
        let pipeline = Pipeline::compile(device, kernel, self.kept.as_ref().map(Kept::pipelines))?;
        self.has_new.store(true, Ordering::Relaxed);
        Ok(pipeline)
    }
}

impl Pipeline {
    fn compile(device: &Device, kernel: Kernel, kept: Option<&wgpu::PipelineCache>) -> Result<Self, GpuError> {
        let name = kernel.name();
        let rejected = |reason: String| GpuError::Rejected { adapter: device.name.clone(), what: name.clone(), reason };
        let source = kernel.source().map_err(|error| rejected(error.to_string()))?;
        let compile = || {
            let module = device.wgpu.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(&name),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            let entry = |binding: usize| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: binding + kernel.outputs() < kernel.bindings() },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            };
            let layout = device.wgpu.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(&name),
                entries: &(0..kernel.bindings()).map(entry).collect::<Vec<_>>(),
            });
            let pipeline_layout = device.wgpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: if kernel.has_parameters() { IMMEDIATE_BYTES } else { 0 },
            });
            let compute = device.wgpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Kernels write what they read, and a driver of AMD's takes minutes for what writes it otherwise.
                    zero_initialize_workgroup_memory: false,
                    ..wgpu::PipelineCompilationOptions::default()
                },
                cache: kept,
            });
            (layout, compute)
        };
        let (layout, compute) = device.scoped(&name, 0, compile)?;
        Ok(Self { name, has_parameters: kernel.has_parameters(), layout, compute, constants: None })
    }

    fn with_constants(mut self, device: &Device, words: &[u32]) -> Result<Self, GpuError> {
        if !words.is_empty() {
            let bytes = bytemuck::cast_slice(words);
            let usages = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let buffer = device.buffer("constants", bytes.len() as u64, usages)?;
            device.queue.write_buffer(&buffer, 0, bytes);
            self.constants = Some(buffer);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Adapter, GpuLimits};
    use super::*;

    #[test]
    fn kernels_are_compiled_once() {
        for adapter in Adapter::all() {
            let device = Device::open(&adapter, GpuLimits::default()).unwrap();
            let pipelines = Pipelines::default();
            let compiled = || pipelines.has_new.swap(false, Ordering::Relaxed);
            let kernels = [Kernel::Encode, Kernel::Decode, Kernel::LongLoop];
            pipelines.prepare(&device, []);
            assert!(!compiled());
            thread::scope(|scope| (0..3).for_each(|_| _ = scope.spawn(|| pipelines.prepare(&device, kernels))));
            assert!(compiled());
            pipelines.prepare(&device, kernels);
            let get = |kernel| pipelines.get(&device, kernel, || vec![7]).unwrap();
            let first = kernels.map(get);
            assert!(first.iter().zip(kernels).all(|(first, kernel)| Arc::ptr_eq(first, &get(kernel))));
            assert!(first.iter().zip(kernels).all(|(first, kernel)| first.name == kernel.name()));
            assert!(first.iter().all(|first| first.constants.as_ref().is_some_and(|words| words.size() == 4)));
            assert!(!compiled());
            get(Kernel::ShaLevel);
            assert!(compiled());
        }
    }
}
