//! What every verb gets: the settings, the teller of progress, the switch that Ctrl-C throws.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use filecash_engine::backend::{DeviceChoice, Phase};
use filecash_engine::config::Config;
use filecash_engine::job::{Cancel, Job};
use filecash_engine::sector::Profile;
use filecash_node::config::{self, Settings, Source, Sourced};

use crate::args::Global;
use crate::devices;
use crate::log;
use crate::progress::{Style, Teller};
use crate::report::{Failure, Kind, print};

/// Sectors below this are sealed in seconds.
pub const WORTH_DEVICES: u64 = 512 << 20;
/// Exit status after a second Ctrl-C, as a shell gives it.
const INTERRUPTED: i32 = 130;

const STOPPING: &str = "\nstopping at the next safe point; Ctrl-C again quits at once\n";

/// Settings and helpers of one run.
pub struct Context {
    /// Every setting with its source.
    pub settings: Settings,
    /// The settings file that was looked for, and whether it was there.
    pub settings_file: Option<(Sourced<PathBuf>, bool)>,
    /// The node's part of the settings.
    pub node: filecash_daemon::Config,
    /// The engine's part of the settings.
    pub config: Config,
    /// Whether the result is JSON.
    pub json: bool,
    /// Tells progress.
    pub teller: Teller,
    cancel: Arc<Cancel>,
    require_gpu: bool,
    /// The settings with the devices that were opened.
    /// Of each phase, once its devices are open.
    on_devices: [OnceLock<Config>; Phase::ALL.len()],
}

impl Context {
    /// Reads settings, starts threads, catches Ctrl-C.
    pub fn new(global: &Global, is_daemon: bool) -> anyhow::Result<Self> {
        let environment = |name: &str| env::var_os(name);
        let settings_path = config::file_path(global.config.as_deref(), &environment);
        let text = settings_path.as_ref().map(read_settings).transpose()?.flatten();
        let file = settings_path.as_ref().zip(text.as_ref()).map(|(path, text)| (path.value.as_path(), text.as_str()));
        let settings = Settings::resolve(&global.flags(), &environment, file)?;
        let node = node_settings(file)?;

        rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads.value)
            .build_global()
            .context("cannot start the threads")?;

        let cancel = Arc::new(Cancel::default());
        let switch = Arc::clone(&cancel);
        ctrlc::set_handler(move || {
            if switch.is_cancelled() {
                process::exit(INTERRUPTED);
            }
            switch.cancel();
            print(io::stderr(), STOPPING);
        })
        .context("cannot catch Ctrl-C")?;

        let style = Style::choose(global.quiet);
        let teller = Teller::new(style);
        log::start(global.log_level.as_deref(), environment(log::VARIABLE), style, is_daemon, &teller)?;

        Ok(Self {
            config: settings.engine_config(),
            node,
            settings_file: settings_path.map(|path| (path, text.is_some())),
            teller,
            json: global.json,
            settings,
            cancel,
            require_gpu: global.require_gpu,
            on_devices: Default::default(),
        })
    }

    /// The network.
    pub fn profile(&self) -> Profile {
        self.settings.profile.value
    }

    /// The network that a flag asks for; any other source gives way to what a sector's own files say.
    pub fn asked_profile(&self) -> Option<Profile> {
        let setting = &self.settings.profile;
        matches!(setting.source, Source::Flag(_)).then_some(setting.value)
    }

    /// Whether somebody pressed Ctrl-C.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Whether the CPU is not to do what a GPU cannot.
    pub fn requires_gpu(&self) -> bool {
        self.require_gpu
    }

    /// What stops everything, for another thread.
    pub fn canceller(&self) -> Arc<Cancel> {
        Arc::clone(&self.cancel)
    }

    /// Turns whatever a cancelled computation failed with into one failure that says what was kept.
    pub fn kept<T, E: Into<anyhow::Error>>(
        &self,
        outcome: Result<T, E>,
        kept: impl FnOnce() -> String,
    ) -> anyhow::Result<T> {
        match outcome {
            Ok(value) => Ok(value),
            Err(_) if self.is_cancelled() => {
                Err(Failure::new(Kind::Cancelled, "stopped by Ctrl-C").hint(kept()).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the engine's long computations are handed.
    pub fn job(&self) -> Job<'_> {
        Job { config: &self.config, progress: &self.teller, cancel: &self.cancel }
    }

    /// The devices that a phase has been computed on, by name.
    pub fn devices(&self, phase: Phase) -> &str {
        self.on_devices[phase as usize].get().map_or("cpu", |config| config.backend.name())
    }

    /// [`Self::job`] for a phase that devices take part in, on a sector of so many bytes. Devices are opened once, and not
    /// for a small sector unless they were asked for: it would be done before they are ready.
    pub fn job_on_devices(&self, phase: Phase, size_bytes: u64) -> anyhow::Result<Job<'_>> {
        let plan = &self.settings.device.value;
        let choice = plan.of(phase);
        if *choice == DeviceChoice::Auto && !self.require_gpu && size_bytes < WORTH_DEVICES {
            return Ok(self.job());
        }
        let place = &self.on_devices[phase as usize];
        let config = match place.get() {
            Some(config) => config,
            None => {
                // Phases of one choice have the same devices.
                let others = Phase::ALL.into_iter().filter(|other| plan.of(*other) == choice);
                let opened = others.filter_map(|other| self.on_devices[other as usize].get()).next();
                let backend = match opened {
                    Some(config) => config.backend.clone(),
                    None => devices::open(choice, &self.settings, self.require_gpu)?,
                };
                place.get_or_init(|| Config { backend, ..self.config.clone() })
            }
        };
        Ok(Job { config, ..self.job() })
    }
}

/// The sections of a node in the settings file. They are looked at by every verb, so that a slip shows early.
fn node_settings(file: Option<(&Path, &str)>) -> anyhow::Result<filecash_daemon::Config> {
    let Some((path, text)) = file else { return Ok(filecash_daemon::Config::default()) };
    let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let config = filecash_daemon::Config::parse(text, path.parent(), home.as_deref());
    Ok(config.map_err(|error| Failure::new(Kind::Settings, format!("{}: {error}", path.display())))?)
}

/// The text of the settings file; `None` when nobody asked for one and the default is not there.
fn read_settings(path: &Sourced<PathBuf>) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(&path.value) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.source == Source::Default => Ok(None),
        Err(error) => {
            let message =
                format!("cannot read the settings file {} (from {}): {error}", path.value.display(), path.source);
            Err(Failure::new(Kind::Settings, message).into())
        }
    }
}
