//! From what a user asks for to a backend.

use std::path::Path;

use tracing::{info, warn};

use super::{Adapter, Gpu, GpuError, GpuLimits, Team, TeamOptions, Worker};
use crate::backend::{DeviceChoice, SharedBackend};

/// The CPU among names of adapters.
const CPU: &str = "cpu";

/// Why there is no backend as asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SelectError {
    #[error("no adapter is called {name:?}; there are: {found}")]
    Unknown { name: String, found: String },
    #[error("no GPU can be used: {reasons}")]
    None { reasons: String },
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// The adapters of a choice, in its order: software ones only where they were asked for, or with [`DeviceChoice::Gpu`]
/// where there are no others.
///
/// # Errors
/// [`SelectError::Unknown`] when a name is that of no adapter.
pub fn chosen<'a>(choice: &DeviceChoice, adapters: &'a [Adapter]) -> Result<Vec<&'a Adapter>, SelectError> {
    let hardware: Vec<_> = adapters.iter().filter(|adapter| !adapter.is_software()).collect();
    match choice {
        DeviceChoice::Cpu => Ok(Vec::new()),
        DeviceChoice::Gpu if hardware.is_empty() => Ok(adapters.iter().collect()),
        DeviceChoice::Auto | DeviceChoice::Gpu => Ok(hardware),
        DeviceChoice::These(names) => {
            let mut chosen: Vec<&Adapter> = Vec::new();
            for name in names.iter().filter(|name| *name != CPU) {
                let adapter = find(adapters, name)?;
                if chosen.iter().all(|other| other.index != adapter.index) {
                    chosen.push(adapter);
                }
            }
            Ok(chosen)
        }
    }
}

/// Opens what was chosen. Only [`DeviceChoice::Auto`] settles for the CPU, and says so, unless `require_gpu`. What drivers
/// compile is kept in the folder `pipelines`, if there is one, as [`Gpu::open_with`] does.
///
/// # Errors
/// [`SelectError`]; of adapters that were named, also when one cannot be opened.
pub fn open(
    choice: &DeviceChoice,
    limits: GpuLimits,
    pipelines: Option<&Path>,
    require_gpu: bool,
) -> Result<SharedBackend, SelectError> {
    if *choice == DeviceChoice::Cpu {
        return match require_gpu {
            true => Err(SelectError::None { reasons: "the CPU alone was asked for".to_owned() }),
            false => Ok(SharedBackend::default()),
        };
    }
    let adapters = Adapter::all();
    let candidates = chosen(choice, &adapters)?;
    if *choice == DeviceChoice::Gpu && candidates.iter().any(|adapter| adapter.is_software()) {
        warn!("no hardware GPU, computing on a software one");
    }
    let (mut workers, mut reasons): (Vec<Box<dyn Worker>>, _) = (Vec::new(), Vec::new());
    for adapter in candidates {
        match Gpu::open_with(adapter, limits, pipelines) {
            Ok(gpu) => workers.push(Box::new(gpu)),
            Err(error) if matches!(choice, DeviceChoice::These(_)) => return Err(error.into()),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if !workers.is_empty() {
        let options = TeamOptions { cpu: with_cpu(choice), require_gpu, ..TeamOptions::default() };
        return Ok(SharedBackend::new(Team::new(workers, options)));
    }
    let reasons = if reasons.is_empty() { "none was found".to_owned() } else { reasons.join("; ") };
    if *choice == DeviceChoice::Auto && !require_gpu {
        info!(%reasons, "no usable GPU, computing on the CPU");
        return Ok(SharedBackend::default());
    }
    Err(SelectError::None { reasons })
}

/// Whether the CPU works along with what was chosen.
pub fn with_cpu(choice: &DeviceChoice) -> bool {
    match choice {
        DeviceChoice::These(names) => names.iter().any(|name| name == CPU),
        choice => *choice == DeviceChoice::Auto,
    }
}

/// The adapter of a number, or the first whose name contains a text, in any case.
fn find<'a>(adapters: &'a [Adapter], name: &str) -> Result<&'a Adapter, SelectError> {
    let found = match name.parse::<usize>() {
        Ok(index) => adapters.iter().find(|adapter| adapter.index == index),
        Err(_) => {
            let name = name.to_lowercase();
            adapters.iter().find(|adapter| adapter.info().name.to_lowercase().contains(&name))
        }
    };
    found.ok_or_else(|| {
        let names: Vec<_> =
            adapters.iter().map(|adapter| format!("{} {}", adapter.index, adapter.info().name)).collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        SelectError::Unknown { name: name.to_owned(), found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_adapters_are_named() {
        let error = find(&[], "7").unwrap_err();
        assert_eq!(error.to_string(), "no adapter is called \"7\"; there are: none");
    }

    #[test]
    fn the_cpu_alone_is_no_gpu() {
        let open = |require_gpu| open(&DeviceChoice::Cpu, GpuLimits::default(), None, require_gpu);
        assert_eq!(open(false).unwrap().name(), "cpu");
        assert_eq!(open(true).unwrap_err().to_string(), "no GPU can be used: the CPU alone was asked for");
    }
}
