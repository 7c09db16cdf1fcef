//! `filecash plan`: what each phase will need, before any work is done.
//!
//! The arithmetic is [`filecash_node::plan`]'s; here the machine is timed, or its speeds are read, and the outcome is told.

mod devices;
mod disk;
mod tell;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use filecash_engine::calibrate::{Calibration, Rates};
use filecash_engine::sector::{Profile, SealProof};
use filecash_node::plan::{self, Question, lockstep};

use self::devices::Chosen;
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
    let size_bytes = args.sector_size.0;
    let (rates, chosen) = match &args.rates {
        Some(path) => {
            let rates = read_rates(path, profile)?;
            let chosen = Chosen::elsewhere(context, size_bytes, &rates.devices);
            (rates, chosen)
        }
        None => {
            let lockstep = lockstep(&config, sectors, free_bytes, rayon::current_num_threads());
            context.teller.note("timing this machine for two seconds");
            let rates = Calibration { profile, lockstep, memory_bytes: context.config.memory_bytes }.run();
            let (chosen, devices) = Chosen::here(context, size_bytes)?;
            (Rates { devices, ..rates }, chosen)
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
        devices: chosen.of_phases(),
        rows_to_discard: context.config.rows_to_discard,
        rates: &rates,
        disk: disk.as_ref().map(|disk| disk.rates),
    };
    let needs = plan::plan(&question);
    let told = tell::Told { args, context, proof: &proof, question: &question, disk: disk.as_ref(), needs: &needs };
    let (text, json) = (told.text(), told.json());
    Ok(Report { accepted: !args.check || told.fits(), text, json })
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
