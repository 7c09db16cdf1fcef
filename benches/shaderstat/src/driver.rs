//! The least of Vulkan that compiles a compute pipeline and asks what came out.

#![allow(unsafe_code, reason = "calls a Vulkan driver")]

use std::ffi::CStr;

use anyhow::Context as _;
use ash::khr::pipeline_executable_properties as executable;
use ash::vk;

use crate::Statistics;

/// Bytes of the parameters of a dispatch.
const IMMEDIATE_BYTES: u32 = 32;

/// A device of the first driver that is found.
pub struct Device {
    driver: String,
    // Fields are dropped in this order, the library last.
    executables: executable::Device,
    device: ash::Device,
    instance: ash::Instance,
    _library: ash::Entry,
}

impl Device {
    /// Opens the first adapter of the machine, which drivers name without hardware when they are told a family.
    pub fn open() -> anyhow::Result<Self> {
        // SAFETY: the system's Vulkan loader is a library made to be loaded so.
        let library = unsafe { ash::Entry::load() }.context("no Vulkan loader")?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the description is whole, and the library outlives the instance, which is dropped before it.
        let instance = unsafe { library.create_instance(&create, None) }?;
        // SAFETY: the instance is alive.
        let adapters = unsafe { instance.enumerate_physical_devices() }?;
        let adapter = *adapters.first().context("no adapter: is VK_ICD_FILENAMES that of the driver?")?;
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
        // SAFETY: the adapter is of this instance, and the answer has room for the driver's names, which end with a zero.
        let driver = unsafe {
            instance.get_physical_device_properties2(adapter, &mut properties);
            [&driver.driver_name, &driver.driver_info]
                .map(|name| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
        };
        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&priorities)];
        let extensions = [executable::NAME.as_ptr()];
        let features = vk::PhysicalDeviceFeatures::default().shader_int64(true);
        let mut reports =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .enabled_features(&features)
            .push_next(&mut reports);
        // SAFETY: the adapter is of this instance, and everything that the description points to is alive.
        let device = unsafe { instance.create_device(adapter, &create, None) }.context("no device")?;
        let executables = executable::Device::new(&instance, &device);
        Ok(Self { driver: driver.join(" "), executables, device, instance, _library: library })
    }

    /// Name and version of the driver.
    pub fn driver(&self) -> String {
        self.driver.clone()
    }

    /// Compiles `main` of a module with so many storage buffers and gives what the driver tells of it.
    pub fn statistics(&self, words: &[u32], buffers: usize) -> anyhow::Result<Statistics> {
        let bindings: Vec<_> = (0..buffers as u32)
            .map(|binding| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let constants =
            [vk::PushConstantRange::default().stage_flags(vk::ShaderStageFlags::COMPUTE).size(IMMEDIATE_BYTES)];
        // SAFETY: every handle is of this device and destroyed once, after the last use; descriptions are whole, and what
        // they point to lives until the call is over.
        unsafe {
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(words), None)?;
            let create = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set = self.device.create_descriptor_set_layout(&create, None)?;
            let sets = [set];
            let create = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets).push_constant_ranges(&constants);
            let layout = self.device.create_pipeline_layout(&create, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let create = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            let statistics = made.map_err(|(_, error)| error).and_then(|pipelines| {
                let statistics = self.of_pipeline(pipelines[0]);
                self.device.destroy_pipeline(pipelines[0], None);
                statistics
            });
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(set, None);
            self.device.destroy_shader_module(module, None);
            Ok(statistics?)
        }
    }

    /// What the driver tells of a pipeline's one executable.
    fn of_pipeline(&self, pipeline: vk::Pipeline) -> Result<Statistics, vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the pipeline is alive and was made to keep its statistics.
        let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info) }?;
        let named = statistics.iter().map(|statistic| {
            // SAFETY: a driver ends names with a zero, and its tag says which field of the value is set.
            let (name, value) = unsafe {
                let value = match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64,
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => statistic.value.i64.unsigned_abs(),
                    vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => statistic.value.f64 as u64,
                    _ => u64::from(statistic.value.b32),
                };
                (CStr::from_ptr(statistic.name.as_ptr()), value)
            };
            (name.to_string_lossy().into_owned(), value)
        });
        Ok(named.collect())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: nothing that was made of them is left; the device goes before its instance.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
