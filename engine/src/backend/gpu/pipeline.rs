//! Kernels of a device, compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use filecash_shaders::kernels::Kernel;

use super::device::{Device, IMMEDIATE_BYTES};
use super::error::GpuError;

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
pub(super) struct Pipelines(Mutex<HashMap<Kernel, Arc<Pipeline>>>);

impl Pipelines {
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
        // Held while compiling, so that nothing is compiled twice.
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = compiled.get(&kernel) {
            return Ok(Arc::clone(pipeline));
        }
        let pipeline = Arc::new(Pipeline::compile(device, kernel, &constants())?);
        compiled.insert(kernel, Arc::clone(&pipeline));
        Ok(pipeline)
    }
}

impl Pipeline {
    fn compile(device: &Device, kernel: Kernel, constants: &[u32]) -> Result<Self, GpuError> {
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
                    // Kernels write what they read.
                    zero_initialize_workgroup_memory: false,
                    ..wgpu::PipelineCompilationOptions::default()
                },
                cache: None,
            });
            (layout, compute)
        };
        let (layout, compute) = device.scoped(&name, 0, compile)?;
        let constants = match constants {
            [] => None,
            words => {
                let bytes = bytemuck::cast_slice(words);
                let usages = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
                let buffer = device.buffer("constants", bytes.len() as u64, usages)?;
                device.queue.write_buffer(&buffer, 0, bytes);
                Some(buffer)
            }
        };
        Ok(Self { name, has_parameters: kernel.has_parameters(), layout, compute, constants })
    }
}
