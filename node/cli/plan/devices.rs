//! The devices that phases may use, and how fast they are.

use filecash_engine::backend::Phase;
use filecash_engine::calibrate::DeviceRates;
use filecash_node::plan::Devices;

use crate::context::Context;

/// What takes part in each phase.
#[derive(Default)]
pub struct Chosen {
    /// Bytes that may be used of each device.
    vram_bytes: u64,
    /// For each phase that devices take part in: their places among the rates, and whether the CPU works along.
    phases: [Option<(Vec<usize>, bool)>; Phase::ALL.len()],
}

impl Chosen {
    /// As a question has it.
    pub fn of_phases(&self) -> [Option<Devices<'_>>; Phase::ALL.len()] {
        self.phases.each_ref().map(|phase| {
            phase.as_ref().map(|(places, with_cpu)| Devices {
                vram_bytes: self.vram_bytes,
                places,
                with_cpu: *with_cpu,
            })
        })
    }

    /// Devices of another machine, all in every phase that might use one; as if there were one where nothing is known.
    #[cfg_attr(not(feature = "gpu"), allow(unused_variables, reason = "there is the CPU"))]
    pub fn elsewhere(context: &Context, size_bytes: u64, rates: &[DeviceRates]) -> Self {
        #[cfg(feature = "gpu")]
        return here::elsewhere(context, size_bytes, rates.len());
        #[cfg(not(feature = "gpu"))]
        Self::default()
    }

    /// Devices of this machine; those that phases use are timed.
    ///
    /// # Errors
    /// When one that was asked for fails.
    #[cfg_attr(not(feature = "gpu"), allow(unused_variables, reason = "there is the CPU"))]
    pub fn here(context: &Context, size_bytes: u64) -> anyhow::Result<(Self, Vec<DeviceRates>)> {
        #[cfg(feature = "gpu")]
        return here::here(context, size_bytes);
        #[cfg(not(feature = "gpu"))]
        Ok((Self::default(), Vec::new()))
    }
}

#[cfg(feature = "gpu")]
mod here {
    use std::time::Duration;

    use anyhow::Context as _;
    use filecash_engine::backend::gpu::{Adapter, Gpu, GpuLimits, select};
    use filecash_engine::backend::{DeviceChoice, Phase};
    use filecash_engine::calibrate::DeviceRates;

    use super::Chosen;
    use crate::context::{Context, WORTH_DEVICES};

    /// How long each kernel is timed.
    const CALIBRATION: Duration = Duration::from_millis(100);

    /// Whether a phase of such a sector asks for devices at all.
    fn asks(choice: &DeviceChoice, size_bytes: u64) -> bool {
        match choice {
            DeviceChoice::Cpu => false,
            DeviceChoice::Auto => size_bytes >= WORTH_DEVICES,
            _ => true,
        }
    }

    pub fn elsewhere(context: &Context, size_bytes: u64, devices: usize) -> Chosen {
        let plan = &context.settings.device.value;
        let phases = Phase::ALL.map(|phase| {
            let choice = plan.of(phase);
            asks(choice, size_bytes).then(|| ((0..devices).collect(), select::with_cpu(choice)))
        });
        Chosen { vram_bytes: context.settings.max_vram.value, phases }
    }

    pub fn here(context: &Context, size_bytes: u64) -> anyhow::Result<(Chosen, Vec<DeviceRates>)> {
        let (plan, vram_bytes) = (&context.settings.device.value, context.settings.max_vram.value);
        let mut chosen = Chosen { vram_bytes, ..Chosen::default() };
        let (mut timed, mut rates): (Vec<(usize, Option<usize>)>, _) = (Vec::new(), Vec::new());
        if !Phase::ALL.into_iter().any(|phase| asks(plan.of(phase), size_bytes)) {
            return Ok((chosen, rates));
        }
        let adapters = Adapter::all();
        for phase in Phase::ALL {
            let choice = plan.of(phase);
            if !asks(choice, size_bytes) {
                continue;
            }
            let mut places = Vec::new();
            for adapter in select::chosen(choice, &adapters)? {
                let known = timed.iter().find(|(index, _)| *index == adapter.index).map(|(_, place)| *place);
                let place = match known {
                    Some(place) => place,
                    None => {
                        context.teller.note(&format!("timing {}", adapter.info().name));
                        let place = match of(context, adapter) {
                            Ok(rate) => {
                                rates.push(rate);
                                Some(rates.len() - 1)
                            }
                            // Nobody asked for it, and no phase would use it.
                            Err(error) if *choice == DeviceChoice::Auto => {
                                context.teller.note(&format!("{error:#}"));
                                None
                            }
                            Err(error) => return Err(error),
                        };
                        timed.push((adapter.index, place));
                        place
                    }
                };
                places.extend(place);
            }
            if !places.is_empty() {
                chosen.phases[phase as usize] = Some((places, select::with_cpu(choice)));
            }
        }
        Ok((chosen, rates))
    }

    /// Opens an adapter and times it.
    fn of(context: &Context, adapter: &Adapter) -> anyhow::Result<DeviceRates> {
        let settings = &context.settings;
        let limits = GpuLimits { max_vram: settings.max_vram.value, ..GpuLimits::default() };
        let timed = Gpu::open_with(adapter, limits, settings.pipeline_cache.value.as_deref())
            .and_then(|gpu| gpu.rates(CALIBRATION));
        timed.with_context(|| format!("{} cannot be timed", adapter.info().name))
    }
}
