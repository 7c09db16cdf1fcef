//! `filecash devices`, and opening the devices that a run is to use.

use filecash_engine::backend::{DeviceChoice, Phase, SharedBackend};
use filecash_node::config::Settings;

use crate::context::Context;
use crate::report::{Failure, Kind, Report};

/// Opens the devices of a choice.
#[cfg(feature = "gpu")]
pub fn open(choice: &DeviceChoice, settings: &Settings, require_gpu: bool) -> anyhow::Result<SharedBackend> {
    use filecash_engine::backend::gpu::{GpuLimits, select};

    let limits = GpuLimits { max_vram: settings.max_vram.value, ..GpuLimits::default() };
    select::open(choice, limits, settings.pipeline_cache.value.as_deref(), require_gpu).map_err(|error| {
        Failure::new(Kind::Device, error.to_string()).hint("filecash devices lists what there is").into()
    })
}

/// Without GPUs built in there is the CPU.
#[cfg(not(feature = "gpu"))]
pub fn open(choice: &DeviceChoice, _settings: &Settings, require_gpu: bool) -> anyhow::Result<SharedBackend> {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Cpu if !require_gpu => Ok(SharedBackend::default()),
        _ => Err(without_gpus().into()),
    }
}

#[cfg(not(feature = "gpu"))]
fn without_gpus() -> Failure {
    Failure::new(Kind::Usage, "this program was built without GPUs")
}

/// Names of the devices that make proofs, and bytes of their memory that are used at most.
pub fn names(context: &Context) -> Vec<(String, u64)> {
    let of_c2 = by_phase(context).into_iter().find(|(phase, _)| *phase == Phase::C2);
    of_c2.into_iter().flat_map(|(_, names)| names).map(|name| (name, context.settings.max_vram.value)).collect()
}

/// Names of the devices that take part in each phase.
#[cfg(feature = "gpu")]
pub fn by_phase(context: &Context) -> Vec<(Phase, Vec<String>)> {
    use filecash_engine::backend::gpu::{Adapter, select};

    let plan = &context.settings.device.value;
    // Nobody is asked who is not wanted.
    let adapters = match Phase::ALL.iter().all(|phase| *plan.of(*phase) == DeviceChoice::Cpu) {
        true => Vec::new(),
        false => Adapter::all(),
    };
    let names = |phase| {
        let chosen = select::chosen(plan.of(phase), &adapters).unwrap_or_default();
        chosen.iter().map(|adapter| adapter.info().name).collect()
    };
    Phase::ALL.iter().map(|phase| (*phase, names(*phase))).collect()
}

/// Without GPUs there are none.
#[cfg(not(feature = "gpu"))]
pub fn by_phase(_context: &Context) -> Vec<(Phase, Vec<String>)> {
    Vec::new()
}

/// Runs the verb.
#[cfg(not(feature = "gpu"))]
pub fn run(_context: &Context) -> anyhow::Result<Report> {
    Err(without_gpus().into())
}

/// Runs the verb.
#[cfg(feature = "gpu")]
pub fn run(context: &Context) -> anyhow::Result<Report> {
    use filecash_engine::backend::gpu::{Adapter, GpuLimits, select};

    let limits = GpuLimits { max_vram: context.settings.max_vram.value, ..GpuLimits::default() };
    let (plan, adapters) = (&context.settings.device.value, Adapter::all());
    let uses = |adapter: &Adapter, phase| {
        // Whoever names an adapter that is not there is shown those that are.
        let chosen = select::chosen(plan.of(phase), &adapters).unwrap_or_default();
        chosen.iter().any(|other| other.index == adapter.index)
    };
    let pipelines = context.settings.pipeline_cache.value.as_deref();
    let listed = |adapter: &Adapter| {
        listed::Listed::of(adapter, limits, pipelines, Phase::ALL.map(|phase| uses(adapter, phase)))
    };
    Ok(listed::report(&adapters.iter().map(listed).collect::<Vec<_>>(), plan))
}

#[cfg(feature = "gpu")]
mod listed {
    use std::path::Path;
    use std::time::Duration;

    use filecash_engine::backend::gpu::{Adapter, Gpu, GpuLimits, Work};
    use filecash_engine::backend::{DeviceChoice, DevicePlan, Phase};
    use filecash_node::size::ByteSize;
    use serde_json::{Value, json};

    use crate::report::Report;
    use crate::text::counted;

    /// What devices compute of each phase of [`Phase::ALL`].
    const PARTS: [&str; Phase::ALL.len()] = [
        "TreeD",
        "columns, TreeC, TreeR-last",
        "transforms, sums over points",
        "transforms, sums over points",
        "trees, transforms, sums over points",
    ];

    /// How long each kernel is timed.
    const CALIBRATION: Duration = Duration::from_millis(300);

    /// Kinds of work, and how much of it is done a second.
    type Rates = Vec<(String, f64)>;

    /// An adapter and how it did.
    pub struct Listed {
        index: usize,
        /// Of each phase.
        is_chosen: [bool; Phase::ALL.len()],
        name: String,
        kind: String,
        api: String,
        driver: String,
        is_software: bool,
        wide: bool,
        binding_bytes: u64,
        buffer_bytes: u64,
        /// The form of field elements, and what it does a second, or what went wrong.
        outcome: Result<(&'static str, Rates), String>,
    }

    impl Listed {
        /// Opens an adapter, has it show that it computes rightly, and times its kernels.
        pub fn of(
            adapter: &Adapter,
            limits: GpuLimits,
            pipelines: Option<&Path>,
            is_chosen: [bool; Phase::ALL.len()],
        ) -> Self {
            let (info, own) = (adapter.info(), adapter.limits());
            let outcome = Gpu::open_with(adapter, limits, pipelines).and_then(|gpu| {
                gpu.self_test()?;
                let mut rates = Vec::new();
                for work in Work::all() {
                    rates.push((work.name(), gpu.calibrate(work, CALIBRATION)?));
                }
                Ok((gpu.device().form.name(), rates))
            });
            Self {
                index: adapter.index,
                is_chosen,
                name: info.name,
                kind: format!("{:?}", info.device_type),
                api: info.backend.to_string(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                is_software: adapter.is_software(),
                wide: adapter.has_wide_integers(),
                binding_bytes: own.max_storage_buffer_binding_size,
                buffer_bytes: own.max_buffer_size,
                outcome: outcome.map_err(|error| error.to_string()),
            }
        }

        /// Why a phase does not use it; `None` when it does.
        fn unused(&self, plan: &DevicePlan, phase: Phase) -> Option<String> {
            let reason = match (&self.outcome, plan.of(phase)) {
                (Err(error), _) => error,
                _ if self.is_chosen[phase as usize] => return None,
                (_, DeviceChoice::Cpu) => "the CPU alone was asked for",
                (_, DeviceChoice::Auto) => "a program on the CPU, slower than the CPU itself",
                (_, DeviceChoice::Gpu) => "a program on the CPU, and there is hardware",
                (_, DeviceChoice::These(_)) => "others were asked for",
            };
            Some(reason.to_owned())
        }

        fn json(&self, plan: &DevicePlan) -> Value {
            let rates = self.outcome.as_ref().ok().map(|(_, rates)| {
                rates.iter().map(|(kernel, rate)| (kernel.clone(), json!(rate))).collect::<serde_json::Map<_, _>>()
            });
            let phases = Phase::ALL.into_iter().zip(PARTS).map(|(phase, part)| {
                let use_of = match self.unused(plan, phase) {
                    Some(reason) => json!({ "used": false, "reason": reason }),
                    None => json!({ "used": true, "for": part }),
                };
                (phase.name().to_owned(), use_of)
            });
            json!({
                "index": self.index,
                "name": self.name,
                "type": self.kind,
                "api": self.api,
                "driver": self.driver,
                "software": self.is_software,
                "wide_integers": self.wide,
                "max_binding_bytes": self.binding_bytes,
                "max_buffer_bytes": self.buffer_bytes,
                "self_test": if self.outcome.is_ok() { "passed" } else { "failed" },
                "form": self.outcome.as_ref().ok().map(|(form, _)| form),
                "per_second": rates,
                "used": Phase::ALL.into_iter().any(|phase| self.unused(plan, phase).is_none()),
                "phases": phases.collect::<serde_json::Map<_, _>>(),
            })
        }

        fn text(&self, plan: &DevicePlan) -> String {
            let integers = if self.wide { "64-bit integers" } else { "32-bit integers only" };
            let mut text = format!(
                "  {} {} ({}, {})\n      driver      {}\n      limits      {integers}, {} a binding, {} a buffer\n",
                self.index,
                self.name,
                self.kind,
                self.api,
                self.driver,
                ByteSize(self.binding_bytes),
                ByteSize(self.buffer_bytes)
            );
            match &self.outcome {
                Ok((form, rates)) => {
                    let (hashes, proving): (Vec<_>, Vec<_>) = rates.iter().partition(|(work, _)| is_hash(work));
                    let listed = |rates: &[&(String, f64)]| {
                        let rates = rates.iter().map(|(work, rate)| format!("{work} {}", counted(*rate)));
                        rates.collect::<Vec<_>>().join(", ")
                    };
                    text += &format!("      self-test   passed, elements in the {form} form\n");
                    text += &format!("      hashes/s    {}\n", listed(&hashes));
                    text += &format!("      proving/s   {}\n", listed(&proving));
                }
                Err(error) => text += &format!("      self-test   failed: {error}\n"),
            }
            for (phase, part) in Phase::ALL.into_iter().zip(PARTS) {
                let use_of = match self.unused(plan, phase) {
                    Some(reason) => format!("not used: {reason}"),
                    None => format!("used for {part}"),
                };
                text += &format!("      {:<12}{use_of}\n", phase.name());
            }
            text
        }
    }

    /// Whether work is hashing.
    fn is_hash(work: &str) -> bool {
        work.starts_with("poseidon") || work.starts_with("sha")
    }

    /// All of them, as text and as JSON.
    pub fn report(found: &[Listed], plan: &DevicePlan) -> Report {
        let text = match found {
            [] => {
                "No GPU was found: no driver for Vulkan, Metal or DirectX 12 names one. The CPU computes.\n".to_owned()
            }
            _ => found.iter().map(|listed| listed.text(plan)).collect(),
        };
        let devices: Vec<_> = found.iter().map(|listed| listed.json(plan)).collect();
        Report::done(text, json!({ "device": plan.to_string(), "devices": devices }))
    }
}
