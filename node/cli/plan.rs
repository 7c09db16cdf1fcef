//! `filecash plan`: what each phase will need, before any work is done.
//!
//! The arithmetic is [`filecash_node::plan`]'s; here the machine is timed, or its speeds are read, and the outcome is told.

mod disk;
mod tell;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use filecash_engine::backend::Phase;
use filecash_engine::calibrate::{Calibration, Rates};
use filecash_engine::sector::{Profile, SealProof};
use filecash_node::plan::{self, Question, lockstep};

use crate::args::plan::Plan;
use crate::context::Context;
use crate::files;
use crate::measure::available_memory;
use crate::report::{Failure, Kind, Report};

/// Runs the verb.
pub fn run(args: &Plan, context: &Context) -> anyhow::Result<Report> {
    let profile = context.profile();
    let proof = SealProof::with_feature(profile, args.sector_size.0, args.feature)
        .map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
    let config = proof.config();
    let sectors = u64::from(args.sectors);
    // Speeds of another machine are planned for as if all its memory were free.
    let free_bytes = if args.rates.is_some() { None } else { available_memory() };
    let rates = match &args.rates {
        Some(path) => read_rates(path, profile)?,
        None => {
            let lockstep = lockstep(&config, sectors, free_bytes, rayon::current_num_threads());
            context.teller.note("timing this machine for two seconds");
            Calibration { profile, lockstep, memory_bytes: context.config.memory_bytes }.run()
        }
    };
    if let Some(path) = &args.save_rates {
        let text = serde_json::to_string_pretty(&rates)? + "\n";
        files::write(path, text.as_bytes(), true)?;
    }
    let disk = args.storage_dir.as_deref().map(disk::Disk::of).transpose()?;
    let question = Question {
        config: &config,
        sectors,
        memory_bytes: context.settings.memory_bytes.value,
        free_bytes,
        vram_bytes: vram_bytes(context, args.sector_size.0, args.rates.is_some()),
        rows_to_discard: context.config.rows_to_discard,
        rates: &rates,
        disk: disk.as_ref().map(|disk| disk.rates),
    };
    let needs = plan::plan(&question);
    let told = tell::Told { args, context, proof: &proof, question: &question, disk: disk.as_ref(), needs: &needs };
    let (text, json) = (told.text(), told.json());
    Ok(Report { accepted: !args.check || told.fits(), text, json })
}

/// Memory of each GPU that phases may use; none where none takes part. Of another machine nothing is known: as if it had one.
#[cfg_attr(not(feature = "gpu"), allow(unused_variables, reason = "there is the CPU"))]
fn vram_bytes(context: &Context, size_bytes: u64, is_elsewhere: bool) -> [Option<u64>; Phase::ALL.len()] {
    #[cfg(feature = "gpu")]
    {
        use filecash_engine::backend::DeviceChoice;
        use filecash_engine::backend::gpu::{Adapter, select};

        use crate::context::WORTH_DEVICES;

        let adapters = if is_elsewhere { Vec::new() } else { Adapter::all() };
        let takes_part = |choice: &DeviceChoice| match choice {
            DeviceChoice::Cpu => false,
            DeviceChoice::Auto if size_bytes < WORTH_DEVICES => false,
            _ => is_elsewhere || select::chosen(choice, &adapters).is_ok_and(|chosen| !chosen.is_empty()),
        };
        let plan = &context.settings.device.value;
        Phase::ALL.map(|phase| takes_part(plan.of(phase)).then_some(context.settings.max_vram.value))
    }
    #[cfg(not(feature = "gpu"))]
    [None; Phase::ALL.len()]
}

/// Speeds out of a file, of the right network.
fn read_rates(path: &Path, profile: Profile) -> anyhow::Result<Rates> {
    let refuse = |problem: String| Failure::new(Kind::Input, format!("{} {problem}", path.display()));
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rates: Rates = serde_json::from_str(&text).map_err(|error| refuse(format!("holds no rates: {error}")))?;
    if rates.profile != profile {
        let problem = format!("was timed for the profile {}, this is {profile}", rates.profile);
        return Err(refuse(problem).hint(format!("--profile {}", rates.profile)).into());
    }
    if !rates.are_usable() {
        return Err(refuse("holds a rate or a number of threads that is not above 0".to_owned()).into());
    }
    Ok(rates)
}
