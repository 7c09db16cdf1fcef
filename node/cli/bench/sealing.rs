//! `filecash bench sealing`: the phases of a seal, each measured on its own.

use filecash_engine::backend::Phase as Stage;

use super::Times;
use super::document::{Benchmark, Document, Settings, is_test_size};
use super::input;
use super::machine::{Device, Machine};
use super::predict::Prediction;
use super::sectors::Sectors;
use super::series::Series;
use crate::args::bench::{SealPhase, Sealing};
use crate::context::Context;
use crate::files;
use crate::report::{Failure, Kind};

/// Runs the verb.
pub fn run(args: &Sealing, context: &Context) -> anyhow::Result<Document> {
    let phases = chosen(args)?;
    if let Some(path) = &args.save_commit2_input {
        files::refuse_existing(path, args.save.force)?;
    }
    let mut sectors = Sectors::open(&args.sectors, context)?;
    sectors.at_once = args.parallel as usize;
    let outcome = measure(args, context, &sectors, &phases);
    context.kept(outcome, || sectors.kept())
}

/// The phases in the order of a sector's life, each once.
fn chosen(args: &Sealing) -> anyhow::Result<Vec<SealPhase>> {
    let is_left_out = |phase: &SealPhase| match phase {
        SealPhase::C2 | SealPhase::Verify => args.skip_commit2,
        SealPhase::Unseal => args.skip_unseal,
        _ => false,
    };
    let is_asked = |phase: &SealPhase| args.phases.is_empty() || args.phases.contains(phase);
    let phases: Vec<_> = SealPhase::ALL.into_iter().filter(|phase| is_asked(phase) && !is_left_out(phase)).collect();
    match phases.is_empty() {
        true => Err(Failure::new(Kind::Usage, "no phase is left to measure").into()),
        false => Ok(phases),
    }
}

fn measure(args: &Sealing, context: &Context, sectors: &Sectors<'_>, phases: &[SealPhase]) -> anyhow::Result<Document> {
    let times = Times::long(&args.repeats);
    sectors.prepare_machine(phases)?;
    let mut measured = vec![];
    for phase in phases {
        sectors.make_inputs(*phase)?;
        let series = Series {
            bytes: streams(*phase).then(|| sectors.bytes()),
            ..Series::new(phase.name(), (sectors.count(), "sectors"), times)
        };
        let series = series.on_devices_of(phase.stage(), context);
        let (measured_phase, ()) =
            series.run(context, |is_last| sectors.targets(*phase, is_last), |targets| sectors.run(*phase, targets))?;
        measured.push(measured_phase);
    }
    if let Some(path) = &args.save_commit2_input {
        sectors.make_inputs(SealPhase::C2)?;
        let (identity, c1) = sectors.first_c1()?;
        let c1 = files::read(&c1, "C1 output")?;
        files::write(path, &input::saved(identity.sector_id, sectors.size_bytes(), &c1)?, args.save.force)?;
    }
    let prediction = Prediction::of(&measured, sectors.size_bytes(), rayon::current_num_threads() as u64);
    let stages: Vec<_> = phases.iter().filter_map(|phase| phase.stage()).collect();
    let settings =
        Settings { parallel: sectors.at_once as u64, ..settings(context, sectors.size_bytes(), sectors.count()) };
    Ok(Document::new(Benchmark::Sealing, Machine::of(devices_of(&stages, context)), settings, measured, prediction))
}

/// Whether a phase works through all bytes of its sectors.
fn streams(phase: SealPhase) -> bool {
    matches!(phase, SealPhase::AddPiece | SealPhase::Pc1 | SealPhase::Pc2 | SealPhase::Unseal)
}

/// The settings of a run over sectors.
pub fn settings(context: &Context, size_bytes: u64, num_sectors: u64) -> Settings {
    Settings {
        profile: context.profile().name().to_owned(),
        sector_size_bytes: Some(size_bytes),
        is_test_size: Some(is_test_size(size_bytes)),
        num_sectors,
        parallel: 1,
        threads: rayon::current_num_threads() as u64,
        memory_bytes: context.settings.memory_bytes.value,
        max_vram_bytes: context.settings.max_vram.value,
        device: context.settings.device.value.to_string(),
    }
}

impl Series {
    /// The same, computed by the devices that were opened for a phase.
    pub fn on_devices_of(self, stage: Option<Stage>, context: &Context) -> Self {
        match stage.map(|stage| context.devices(stage)) {
            None | Some("cpu") => self,
            Some(device) => {
                Self { device: device.to_owned(), vram_budget_bytes: Some(context.settings.max_vram.value), ..self }
            }
        }
    }
}

/// The devices that were opened for some phases, as their drivers describe them.
#[cfg(feature = "gpu")]
pub fn devices_of(stages: &[Stage], context: &Context) -> Vec<Device> {
    use filecash_engine::backend::gpu::{Adapter, select};

    let used: Vec<_> = stages.iter().filter(|stage| context.devices(**stage) != "cpu").collect();
    if used.is_empty() {
        return vec![];
    }
    let (adapters, plan) = (Adapter::all(), &context.settings.device.value);
    let is_chosen = |adapter: &&Adapter| {
        used.iter().any(|stage| {
            let chosen = select::chosen(plan.of(**stage), &adapters).unwrap_or_default();
            chosen.iter().any(|chosen| chosen.index == adapter.index)
        })
    };
    adapters.iter().filter(is_chosen).map(described).collect()
}

/// What a driver says of an adapter.
#[cfg(feature = "gpu")]
pub fn described(adapter: &filecash_engine::backend::gpu::Adapter) -> Device {
    let info = adapter.info();
    Device {
        name: info.name,
        kind: format!("{:?}", info.device_type),
        api: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
    }
}

/// Without GPUs built in there are no devices.
#[cfg(not(feature = "gpu"))]
pub fn devices_of(_stages: &[Stage], _context: &Context) -> Vec<Device> {
    vec![]
}
