//! From what a user asks for to a backend.

use tracing::{info, warn};

use super::{Adapter, Gpu, GpuError, GpuLimits, Team, TeamOptions, Worker};
use crate::backend::{DeviceChoice, SharedBackend};

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

/// Opens what was chosen. Only [`DeviceChoice::Auto`] settles for the CPU, and says so, unless `require_gpu`.
///
/// # Errors
/// [`SelectError`].
pub fn open(choice: &DeviceChoice, limits: GpuLimits, require_gpu: bool) -> Result<SharedBackend, SelectError> {
    let options = TeamOptions { cpu: *choice == DeviceChoice::Auto, require_gpu, ..TeamOptions::default() };
    match choice {
        DeviceChoice::Cpu => Ok(SharedBackend::default()),
        DeviceChoice::Auto | DeviceChoice::Gpu => {
            let adapters = Adapter::all();
            let is_hardware = |adapter: &&Adapter| !adapter.is_software();
            let mut candidates: Vec<_> = adapters.iter().filter(is_hardware).collect();
            if candidates.is_empty() && *choice == DeviceChoice::Gpu && !adapters.is_empty() {
                warn!("no hardware GPU, computing on a software one");
                candidates = adapters.iter().collect();
            }
            let (workers, reasons) = opened(&candidates, limits);
            if !workers.is_empty() {
                return Ok(SharedBackend::new(Team::new(workers, options)));
            }
            let reasons = if reasons.is_empty() { "none was found".to_owned() } else { reasons.join("; ") };
            if *choice == DeviceChoice::Auto && !require_gpu {
                info!(%reasons, "no usable GPU, computing on the CPU");
                return Ok(SharedBackend::default());
            }
            Err(SelectError::None { reasons })
        }
        DeviceChoice::These(names) => {
            let adapters = Adapter::all();
            let mut workers: Vec<Box<dyn Worker>> = Vec::new();
            let mut taken = Vec::new();
            let mut cpu = false;
            for name in names {
                if name == "cpu" {
                    cpu = true;
                    continue;
                }
                let adapter = find(&adapters, name)?;
                if !taken.contains(&adapter.index) {
                    taken.push(adapter.index);
                    workers.push(Box::new(Gpu::open(adapter, limits)?));
                }
            }
            Ok(SharedBackend::new(Team::new(workers, TeamOptions { cpu, ..options })))
        }
    }
}

/// What can be opened, and why the others cannot.
fn opened(candidates: &[&Adapter], limits: GpuLimits) -> (Vec<Box<dyn Worker>>, Vec<String>) {
    let (mut workers, mut reasons): (Vec<Box<dyn Worker>>, _) = (Vec::new(), Vec::new());
    for adapter in candidates {
        match Gpu::open(adapter, limits) {
            Ok(gpu) => workers.push(Box::new(gpu)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    (workers, reasons)
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
}
