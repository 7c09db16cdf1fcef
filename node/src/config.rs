//! Settings: what a user may choose, and where each choice came from.
//!
//! A setting is looked for on the command line, then in the environment (the reference's `FIL_PROOFS_…` names where
//! it has one), then in one TOML file, then in the defaults; the first hit wins. Resolving is pure: the environment
//! comes as a function and the file as text. [`Settings`] keeps the source beside each value, so that
//! `filecash config show` can tell.
//!
//! ```toml
//! profile = "filecoin"
//! memory = "4GiB"
//! threads = 8
//! device = "auto"
//! max_vram = "8GiB"
//! parameter_cache = "~/filecoin-proof-parameters"
//! ```

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use filecash_engine::backend::{DEFAULT_MAX_VRAM, DevicePlan, NoDeviceNamed};
use filecash_engine::config::Config;
use filecash_engine::sector::Profile;
use filecash_engine::sector::params::UnknownProfile;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::jobs::{Store, StoreError};
use crate::size::{ByteSize, SizeError};

/// Names a profile: `filecoin` or `filecash`.
pub const PROFILE_VARIABLE: &str = "FILECASH_PROFILE";
/// Memory budget of a phase, as a size.
pub const MEMORY_VARIABLE: &str = "FILECASH_MEMORY";
/// Number of threads, 0 for one per core.
pub const THREADS_VARIABLE: &str = "FILECASH_THREADS";
/// Devices that compute.
pub const DEVICE_VARIABLE: &str = "FILECASH_DEVICE";
/// Memory of a GPU that may be used, as a size.
pub const MAX_VRAM_VARIABLE: &str = "FILECASH_MAX_VRAM";
/// Folder where what GPU drivers compile is kept, or [`NONE`].
pub const PIPELINE_CACHE_VARIABLE: &str = "FILECASH_PIPELINE_CACHE";
/// Folder of files that are too large for the memory budget.
pub const SCRATCH_VARIABLE: &str = "FILECASH_SCRATCH";
/// Where the queue of jobs is kept: a path or `postgres://…`.
pub const STORE_VARIABLE: &str = "FILECASH_STORE";
/// Names the folder of blocks.
pub const BLOCKS_VARIABLE: &str = "FILECASH_BLOCKS";
/// Names the folder of the chain.
pub const CHAIN_VARIABLE: &str = "FILECASH_CHAIN";
/// Path of the settings file.
pub const CONFIG_VARIABLE: &str = "FILECASH_CONFIG";
/// The reference's: folder of parameter files.
pub const PARAMETER_CACHE_VARIABLE: &str = "FIL_PROOFS_PARAMETER_CACHE";
/// The reference's: folder of parent tables.
pub const PARENT_CACHE_VARIABLE: &str = "FIL_PROOFS_PARENT_CACHE";
/// The reference's: text that `filecoin-parents` is appended to, without a separator.
pub const CACHE_DIR_VARIABLE: &str = "FIL_PROOFS_CACHE_DIR";
/// The reference's: rows that TreeR-last files leave out.
pub const ROWS_TO_DISCARD_VARIABLE: &str = "FIL_PROOFS_ROWS_TO_DISCARD";

/// The least memory budget that is taken seriously: smaller ones are slips, such as a missing unit.
pub const MIN_MEMORY_BYTES: u64 = 64 << 20;
/// What the program itself takes of a budget, before it does anything.
pub const PROGRAM_BYTES: u64 = 25 << 20;

/// In place of a folder that may be left out.
pub const NONE: &str = "none";

const PARENT_FOLDER: &str = "filecoin-parents";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of this name.
    Flag(&'static str),
    /// The environment variable of this name.
    Environment(&'static str),
    /// The settings file at this path.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value in force.
    pub value: T,
    /// Who said so.
    pub source: Source,
}

/// What flags may say; `None` where a flag was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--profile`.
    pub profile: Option<Profile>,
    /// `--memory`.
    pub memory: Option<ByteSize>,
    /// `--threads`.
    pub threads: Option<usize>,
    /// `--device`.
    pub device: Option<DevicePlan>,
    /// `--max-vram`.
    pub max_vram: Option<ByteSize>,
    /// `--rows-to-discard`.
    pub rows_to_discard: Option<usize>,
    /// `--parameter-cache`.
    pub parameter_cache: Option<PathBuf>,
    /// `--parent-cache`.
    pub parent_cache: Option<PathBuf>,
    /// `--scratch`.
    pub scratch: Option<PathBuf>,
    /// `--pipeline-cache`.
    pub pipeline_cache: Option<PathBuf>,
    /// `--store`.
    pub store: Option<Store>,
    /// `--blocks`.
    pub blocks: Option<PathBuf>,
    /// `--chain`.
    pub chain: Option<PathBuf>,
}

/// Every setting with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose rules apply.
    pub profile: Sourced<Profile>,
    /// Bytes of memory that the program takes in a phase, itself included, but for pages of mapped files.
    pub memory_bytes: Sourced<u64>,
    /// Threads, 0 for one per core.
    pub threads: Sourced<usize>,
    /// Devices that compute.
    pub device: Sourced<DevicePlan>,
    /// Bytes of a GPU's memory that may be used.
    pub max_vram: Sourced<u64>,
    /// Rows that TreeR-last files leave out.
    pub rows_to_discard: Sourced<usize>,
    /// Folder of parameter files.
    pub parameter_cache: Sourced<PathBuf>,
    /// Folder of parent tables.
    pub parent_cache: Sourced<PathBuf>,
    /// Folder of files without names, for what the memory budget has no room for.
    pub scratch: Sourced<PathBuf>,
    /// Folder where what GPU drivers compile is kept, if it is.
    pub pipeline_cache: Sourced<Option<PathBuf>>,
    /// Where the queue of jobs is kept; nowhere for who has no home folder and names no place.
    pub store: Sourced<Option<Store>>,
    /// Folder of blocks; nowhere for who has no home folder and names no place.
    pub blocks: Sourced<Option<PathBuf>>,
    /// Folder of the chain; nowhere for who has no home folder and names no place.
    pub chain: Sourced<Option<PathBuf>>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SettingsError {
    #[error("{path}: {message}")]
    File { path: PathBuf, message: String },
    #[error("{from}: {message}")]
    Value { from: String, message: String },
    #[error("{from} asks for {asked} bytes of memory, less than the least useful budget of {MIN_MEMORY_BYTES} bytes")]
    TooLittleMemory { from: Source, asked: u64 },
}

/// The settings file as written; unknown keys are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SettingsFile {
    profile: Option<Profile>,
    memory: Option<ByteSize>,
    threads: Option<usize>,
    device: Option<DevicePlan>,
    max_vram: Option<ByteSize>,
    rows_to_discard: Option<usize>,
    parameter_cache: Option<PathBuf>,
    parent_cache: Option<PathBuf>,
    scratch: Option<PathBuf>,
    pipeline_cache: Option<PathBuf>,
    store: Option<String>,
    blocks: Option<PathBuf>,
    chain: Option<PathBuf>,
    /// Sections of the node, which it looks at itself.
    #[serde(rename = "node")]
    _node: IgnoredAny,
    #[serde(rename = "network")]
    _network: IgnoredAny,
    #[serde(rename = "host")]
    _host: IgnoredAny,
    #[serde(rename = "rpc")]
    _rpc: IgnoredAny,
    #[serde(rename = "metrics")]
    _metrics: IgnoredAny,
    #[serde(rename = "gateway")]
    _gateway: IgnoredAny,
    #[serde(rename = "bitswap")]
    _bitswap: IgnoredAny,
    #[serde(rename = "graphsync")]
    _graphsync: IgnoredAny,
    #[serde(rename = "data_transfer")]
    _data_transfer: IgnoredAny,
}

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Path of the settings file, and whether it was asked for by name, in which case it has to exist.
///
/// `None` without a home folder and without a request.
pub fn file_path(flag: Option<&Path>, environment: Environment<'_>) -> Option<Sourced<PathBuf>> {
    if let Some(path) = flag {
        return Some(Sourced { value: path.to_owned(), source: Source::Flag("--config") });
    }
    if let Some(path) = variable(environment, CONFIG_VARIABLE) {
        return Some(Sourced { value: path.into(), source: Source::Environment(CONFIG_VARIABLE) });
    }
    let folder = user_folder(environment, "XDG_CONFIG_HOME", ".config")?;
    Some(Sourced { value: folder.join("config.toml"), source: Source::Default })
}

/// Our folder among a user's files of one kind: in the folder that a variable names, else in one of the home folder.
fn user_folder(environment: Environment<'_>, name: &str, in_home: &str) -> Option<PathBuf> {
    let folder = match variable(environment, name) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable(environment, "HOME")?).join(in_home),
    };
    Some(folder.join("filecash"))
}

/// Our folder of what the user keeps; `None` for who has no home folder.
pub fn data_folder(environment: Environment<'_>) -> Option<PathBuf> {
    user_folder(environment, "XDG_DATA_HOME", ".local/share")
}

/// Our folder of what is to be remembered between runs; `None` for who has no home folder.
pub fn state_folder(environment: Environment<'_>) -> Option<PathBuf> {
    user_folder(environment, "XDG_STATE_HOME", ".local/state")
}

impl Settings {
    /// Resolves every setting. `file` is the path and text of the settings file, if there is one.
    ///
    /// Relative folders in the file are taken from the file's own folder, `~/` is the home folder. An empty
    /// environment variable counts as absent.
    ///
    /// # Errors
    /// [`SettingsError`] names the flag, variable or file, and the key.
    pub fn resolve(
        flags: &Flags,
        environment: Environment<'_>,
        file: Option<(&Path, &str)>,
    ) -> Result<Self, SettingsError> {
        let layers = Layers::new(environment, file)?;
        let default = Config::default();
        let home = |path: PathBuf| layers.anchor(path);
        let unless_none = |path: PathBuf| (path != Path::new(NONE)).then_some(path);

        let settings = Self {
            profile: layers.pick(
                flags.profile.map(|value| ("--profile", value)),
                parsed(environment, PROFILE_VARIABLE, |text| {
                    text.parse().map_err(|error: UnknownProfile| error.to_string())
                })?,
                layers.file.profile,
                Profile::Filecoin,
            ),
            memory_bytes: layers.pick(
                flags.memory.map(|size| ("--memory", size.0)),
                parsed(environment, MEMORY_VARIABLE, |text| {
                    text.parse().map(|size: ByteSize| size.0).map_err(|error: SizeError| error.to_string())
                })?,
                layers.file.memory.map(|size| size.0),
                default.memory_bytes,
            ),
            threads: layers.pick(
                flags.threads.map(|value| ("--threads", value)),
                parsed(environment, THREADS_VARIABLE, count)?,
                layers.file.threads,
                0,
            ),
            device: layers.pick(
                flags.device.clone().map(|value| ("--device", value)),
                parsed(environment, DEVICE_VARIABLE, |text| {
                    text.parse().map_err(|error: NoDeviceNamed| error.to_string())
                })?,
                layers.file.device.clone(),
                DevicePlan::default(),
            ),
            max_vram: layers.pick(
                flags.max_vram.map(|size| ("--max-vram", size.0)),
                parsed(environment, MAX_VRAM_VARIABLE, |text| {
                    text.parse().map(|size: ByteSize| size.0).map_err(|error: SizeError| error.to_string())
                })?,
                layers.file.max_vram.map(|size| size.0),
                DEFAULT_MAX_VRAM,
            ),
            rows_to_discard: layers.pick(
                flags.rows_to_discard.map(|value| ("--rows-to-discard", value)),
                parsed(environment, ROWS_TO_DISCARD_VARIABLE, count)?,
                layers.file.rows_to_discard,
                default.rows_to_discard,
            ),
            parameter_cache: layers.pick(
                flags.parameter_cache.clone().map(|value| ("--parameter-cache", value)),
                variable(environment, PARAMETER_CACHE_VARIABLE)
                    .map(|value| (PARAMETER_CACHE_VARIABLE, PathBuf::from(value))),
                layers.file.parameter_cache.clone().map(home),
                default.parameter_cache,
            ),
            parent_cache: layers.pick(
                flags.parent_cache.clone().map(|value| ("--parent-cache", value)),
                parent_cache(environment),
                layers.file.parent_cache.clone().map(home),
                default.parent_cache,
            ),
            scratch: layers.pick(
                flags.scratch.clone().map(|value| ("--scratch", value)),
                variable(environment, SCRATCH_VARIABLE).map(|value| (SCRATCH_VARIABLE, PathBuf::from(value))),
                layers.file.scratch.clone().map(home),
                default.scratch,
            ),
            pipeline_cache: layers.pick(
                flags.pipeline_cache.clone().map(|value| ("--pipeline-cache", unless_none(value))),
                variable(environment, PIPELINE_CACHE_VARIABLE)
                    .map(|value| (PIPELINE_CACHE_VARIABLE, unless_none(value.into()))),
                layers.file.pipeline_cache.clone().map(|value| unless_none(value).map(home)),
                user_folder(environment, "XDG_CACHE_HOME", ".cache").map(|folder| folder.join("pipelines")),
            ),
            store: layers.pick(
                flags.store.clone().map(|value| ("--store", Some(value))),
                parsed(environment, STORE_VARIABLE, |text| {
                    text.parse().map_err(|error: StoreError| error.to_string()).map(Some)
                })?,
                layers.store()?.map(Some),
                state_folder(environment).map(|folder| Store::File(folder.join("jobs.sqlite"))),
            ),
            blocks: layers.pick(
                flags.blocks.clone().map(|value| ("--blocks", Some(value))),
                variable(environment, BLOCKS_VARIABLE).map(|value| (BLOCKS_VARIABLE, Some(value.into()))),
                layers.file.blocks.clone().map(|value| Some(home(value))),
                data_folder(environment).map(|folder| folder.join("blocks")),
            ),
            chain: layers.pick(
                flags.chain.clone().map(|value| ("--chain", Some(value))),
                variable(environment, CHAIN_VARIABLE).map(|value| (CHAIN_VARIABLE, Some(value.into()))),
                layers.file.chain.clone().map(|value| Some(home(value))),
                data_folder(environment).map(|folder| folder.join("chain")),
            ),
        };
        if settings.memory_bytes.value < MIN_MEMORY_BYTES {
            let Sourced { value, source } = settings.memory_bytes;
            return Err(SettingsError::TooLittleMemory { from: source, asked: value });
        }
        Ok(settings)
    }

    /// What the engine is handed.
    pub fn engine_config(&self) -> Config {
        Config {
            memory_bytes: self.memory_bytes.value - PROGRAM_BYTES,
            rows_to_discard: self.rows_to_discard.value,
            parameter_cache: self.parameter_cache.value.clone(),
            parent_cache: self.parent_cache.value.clone(),
            scratch: self.scratch.value.clone(),
            ..Config::default()
        }
    }
}

/// What is common to the lookup of every setting.
struct Layers<'a> {
    file: SettingsFile,
    path: Option<&'a Path>,
    home: Option<OsString>,
}

impl<'a> Layers<'a> {
    fn new(environment: Environment<'_>, file: Option<(&'a Path, &str)>) -> Result<Self, SettingsError> {
        let (path, file) = match file {
            None => (None, SettingsFile::default()),
            Some((path, text)) => {
                let file = toml::from_str(text).map_err(|error| SettingsError::File {
                    path: path.to_owned(),
                    message: error.to_string().trim_end().to_owned(),
                })?;
                (Some(path), file)
            }
        };
        Ok(Self { file, path, home: variable(environment, "HOME") })
    }

    /// The first layer that says something.
    fn pick<T>(
        &self,
        flag: Option<(&'static str, T)>,
        environment: Option<(&'static str, T)>,
        file: Option<T>,
        default: T,
    ) -> Sourced<T> {
        let (value, source) = match (flag, environment, file, self.path) {
            (Some((name, value)), ..) => (value, Source::Flag(name)),
            (None, Some((name, value)), ..) => (value, Source::Environment(name)),
            (None, None, Some(value), Some(path)) => (value, Source::File(path.to_owned())),
            _ => (default, Source::Default),
        };
        Sourced { value, source }
    }

    /// The queue's place named in the file.
    fn store(&self) -> Result<Option<Store>, SettingsError> {
        let Some(text) = &self.file.store else { return Ok(None) };
        let store = text.parse().map_err(|error: StoreError| SettingsError::File {
            path: self.path.unwrap_or(Path::new("")).to_owned(),
            message: format!("store: {error}"),
        })?;
        Ok(Some(match store {
            Store::File(path) => Store::File(self.anchor(path)),
            server @ Store::Server(_) => server,
        }))
    }

    /// A folder named in the file.
    fn anchor(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), &self.home, self.path.and_then(Path::parent)) {
            (Ok(rest), Some(home), _) => Path::new(home).join(rest),
            (_, _, Some(folder)) => folder.join(path),
            _ => path,
        }
    }
}

/// A variable that is set and not empty.
fn variable(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

fn parsed<T>(
    environment: Environment<'_>,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<(&'static str, T)>, SettingsError> {
    let Some(value) = variable(environment, name) else { return Ok(None) };
    let text = value.to_str().ok_or("is not UTF-8".to_owned());
    match text.and_then(&parse) {
        Ok(value) => Ok(Some((name, value))),
        Err(message) => Err(SettingsError::Value { from: Source::Environment(name).to_string(), message }),
    }
}

fn count(text: &str) -> Result<usize, String> {
    usize::from_str(text).map_err(|_| format!("{text:?} is not a whole number"))
}

/// The reference's two variables. `FIL_PROOFS_CACHE_DIR` is a prefix of the text, not a folder: `/data` means
/// `/datafilecoin-parents` (`spec/replication.md` 4.5 and pitfall 45).
fn parent_cache(environment: Environment<'_>) -> Option<(&'static str, PathBuf)> {
    if let Some(folder) = variable(environment, PARENT_CACHE_VARIABLE) {
        return Some((PARENT_CACHE_VARIABLE, folder.into()));
    }
    let mut prefix = variable(environment, CACHE_DIR_VARIABLE)?;
    prefix.push(OsStr::new(PARENT_FOLDER));
    Some((CACHE_DIR_VARIABLE, prefix.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn lookup(variables: Variables) -> impl Fn(&str) -> Option<OsString> {
        move |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
    }

    fn resolve(flags: Flags, variables: Variables, file: Option<&str>) -> Result<Settings, SettingsError> {
        Settings::resolve(&flags, &lookup(variables), file.map(|text| (Path::new("/etc/f/config.toml"), text)))
    }

    fn in_file() -> Source {
        Source::File("/etc/f/config.toml".into())
    }

    #[test]
    fn nothing_said_gives_the_reference_folders() {
        let settings = resolve(Flags::default(), &[], None).unwrap();
        let default = Config::default();
        let memory_bytes = default.memory_bytes - PROGRAM_BYTES;
        assert_eq!(settings.engine_config(), Config { memory_bytes, ..default });
        assert_eq!(settings.profile, Sourced { value: Profile::Filecoin, source: Source::Default });
        assert_eq!(settings.threads, Sourced { value: 0, source: Source::Default });
    }

    #[test]
    fn flags_win_over_environment_over_file_over_default() {
        let file = "memory = \"3GiB\"";
        let variables: Variables = &[(MEMORY_VARIABLE, "2GiB")];
        let flags = Flags { memory: Some(ByteSize(1 << 30)), ..Flags::default() };
        let table = [
            (flags, variables, Some(file), 1 << 30, Source::Flag("--memory")),
            (Flags::default(), variables, Some(file), 2 << 30, Source::Environment(MEMORY_VARIABLE)),
            (Flags::default(), &[], Some(file), 3 << 30, in_file()),
            (Flags::default(), &[], Some("threads = 1"), Config::default().memory_bytes, Source::Default),
        ];
        for (flags, variables, file, value, source) in table {
            let settings = resolve(flags, variables, file).unwrap();
            assert_eq!(settings.memory_bytes, Sourced { value, source });
        }
    }

    #[test]
    fn every_key_of_the_file_is_read() {
        let file = "profile = \"filecash\"\nmemory = 134217728\nthreads = 3\nrows_to_discard = 1\n\
                    device = \"Arc,cpu; c2=cpu\"\nmax_vram = \"3GiB\"\n\
                    parameter_cache = \"params\"\nparent_cache = \"/abs\"\n\
                    pipeline_cache = \"compiled\"\nscratch = \"tmp\"\nstore = \"jobs\"\nblocks = \"b\"\n\
                    chain = \"c\"";
        let settings = resolve(Flags::default(), &[], Some(file)).unwrap();
        assert_eq!(settings.profile, Sourced { value: Profile::Filecash, source: in_file() });
        assert_eq!(settings.memory_bytes, Sourced { value: 128 << 20, source: in_file() });
        assert_eq!(settings.threads, Sourced { value: 3, source: in_file() });
        assert_eq!(settings.rows_to_discard, Sourced { value: 1, source: in_file() });
        assert_eq!(settings.device, Sourced { value: "Arc,cpu; c2=cpu".parse().unwrap(), source: in_file() });
        assert_eq!(settings.max_vram, Sourced { value: 3 << 30, source: in_file() });
        let error = resolve(Flags::default(), &[], Some("device = \"\"")).unwrap_err().to_string();
        assert!(error.contains("names no device"), "{error}");
        assert_eq!(settings.parameter_cache, Sourced { value: "/etc/f/params".into(), source: in_file() });
        assert_eq!(settings.parent_cache, Sourced { value: "/abs".into(), source: in_file() });
        assert_eq!(settings.pipeline_cache, Sourced { value: Some("/etc/f/compiled".into()), source: in_file() });
        assert_eq!(settings.scratch, Sourced { value: "/etc/f/tmp".into(), source: in_file() });
        assert_eq!(settings.store, Sourced { value: Some(Store::File("/etc/f/jobs".into())), source: in_file() });
        assert_eq!(settings.blocks, Sourced { value: Some("/etc/f/b".into()), source: in_file() });
        assert_eq!(settings.chain, Sourced { value: Some("/etc/f/c".into()), source: in_file() });
    }

    #[test]
    fn every_flag_is_read() {
        let gpu: DevicePlan = "gpu".parse().unwrap();
        let flags = Flags {
            profile: Some(Profile::Filecash),
            memory: Some(ByteSize(1 << 27)),
            threads: Some(2),
            device: Some(gpu.clone()),
            max_vram: Some(ByteSize(7)),
            rows_to_discard: Some(0),
            parameter_cache: Some("p".into()),
            parent_cache: Some("q".into()),
            pipeline_cache: Some("r".into()),
            scratch: Some("s".into()),
            store: Some(Store::File("t".into())),
            blocks: Some("u".into()),
            chain: Some("v".into()),
        };
        let settings = resolve(flags, &[(PARENT_CACHE_VARIABLE, "/env")], None).unwrap();
        assert_eq!(settings.profile.source, Source::Flag("--profile"));
        assert_eq!(settings.memory_bytes.source, Source::Flag("--memory"));
        assert_eq!(settings.threads, Sourced { value: 2, source: Source::Flag("--threads") });
        assert_eq!(settings.device, Sourced { value: gpu, source: Source::Flag("--device") });
        assert_eq!(settings.max_vram, Sourced { value: 7, source: Source::Flag("--max-vram") });
        assert_eq!(settings.rows_to_discard, Sourced { value: 0, source: Source::Flag("--rows-to-discard") });
        assert_eq!(settings.parameter_cache, Sourced { value: "p".into(), source: Source::Flag("--parameter-cache") });
        assert_eq!(settings.parent_cache, Sourced { value: "q".into(), source: Source::Flag("--parent-cache") });
        assert_eq!(settings.scratch, Sourced { value: "s".into(), source: Source::Flag("--scratch") });
        let store = Some(Store::File("t".into()));
        assert_eq!(settings.store, Sourced { value: store, source: Source::Flag("--store") });
        assert_eq!(settings.blocks, Sourced { value: Some("u".into()), source: Source::Flag("--blocks") });
        assert_eq!(settings.chain, Sourced { value: Some("v".into()), source: Source::Flag("--chain") });
        let settings_of_environment = resolve(Flags::default(), &[(SCRATCH_VARIABLE, "/env")], None).unwrap();
        assert_eq!(settings_of_environment.scratch.value, Path::new("/env"));
        assert_eq!(
            settings.pipeline_cache,
            Sourced { value: Some("r".into()), source: Source::Flag("--pipeline-cache") }
        );
    }

    #[test]
    fn pipelines_are_kept_in_the_users_cache_or_where_said_or_not_at_all() {
        let all: Variables = &[("XDG_CACHE_HOME", "/x"), ("HOME", "/h"), (PIPELINE_CACHE_VARIABLE, "/p")];
        let none: Variables = &[("HOME", "/h"), (PIPELINE_CACHE_VARIABLE, NONE)];
        let variable = || Source::Environment(PIPELINE_CACHE_VARIABLE);
        let table: [(Variables, Option<&str>, Option<&str>, Source); 7] = [
            (all, None, Some("/p"), variable()),
            (&all[..2], None, Some("/x/filecash/pipelines"), Source::Default),
            (&all[1..2], None, Some("/h/.cache/filecash/pipelines"), Source::Default),
            (&[], None, None, Source::Default),
            (none, Some("pipeline_cache = \"a\""), None, variable()),
            (&all[1..2], Some("pipeline_cache = \"none\""), None, in_file()),
            (&all[1..2], Some("pipeline_cache = \"~/none\""), Some("/h/none"), in_file()),
        ];
        for (variables, file, value, source) in table {
            let settings = resolve(Flags::default(), variables, file).unwrap();
            assert_eq!(settings.pipeline_cache, Sourced { value: value.map(PathBuf::from), source });
        }
    }

    #[test]
    fn queue_is_kept_in_the_users_state_or_where_said() {
        let of = |variables, file| resolve(Flags::default(), variables, file).unwrap().store;
        let all: Variables = &[("XDG_STATE_HOME", "/x"), ("HOME", "/h"), (STORE_VARIABLE, "postgres://db/miner")];
        let file = |path: &str| Some(Store::File(path.into()));
        assert_eq!(of(all, None).value, Some(Store::Server("postgres://db/miner".into())));
        assert_eq!(of(&all[..2], None).value, file("/x/filecash/jobs.sqlite"));
        assert_eq!(of(&all[1..2], None).value, file("/h/.local/state/filecash/jobs.sqlite"));
        assert_eq!(of(&[], None).value, None);
        assert_eq!(of(&all[1..2], Some("store = \"~/q\"")).value, file("/h/q"));
    }

    #[test]
    fn blocks_are_kept_in_the_users_data_or_where_said() {
        let of = |variables| resolve(Flags::default(), variables, None).unwrap().blocks.value;
        let all: Variables = &[("XDG_DATA_HOME", "/x"), ("HOME", "/h"), (BLOCKS_VARIABLE, "/b")];
        assert_eq!(of(all), Some("/b".into()));
        assert_eq!(of(&all[..2]), Some("/x/filecash/blocks".into()));
        assert_eq!(of(&all[1..2]), Some("/h/.local/share/filecash/blocks".into()));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn chain_is_kept_in_the_users_data_or_where_said() {
        let of = |variables| resolve(Flags::default(), variables, None).unwrap().chain.value;
        let all: Variables = &[("XDG_DATA_HOME", "/x"), ("HOME", "/h"), (CHAIN_VARIABLE, "/c")];
        assert_eq!(of(all), Some("/c".into()));
        assert_eq!(of(&all[..2]), Some("/x/filecash/chain".into()));
        assert_eq!(of(&all[1..2]), Some("/h/.local/share/filecash/chain".into()));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn home_folder_in_the_file_is_expanded() {
        let file = "parameter_cache = \"~/params\"\nparent_cache = \"~other/x\"";
        let settings = resolve(Flags::default(), &[("HOME", "/home/me")], Some(file)).unwrap();
        assert_eq!(settings.parameter_cache.value, Path::new("/home/me/params"));
        assert_eq!(settings.parent_cache.value, Path::new("/etc/f/~other/x"));
    }

    /// spec/replication.md 4.5 and pitfall 45.
    #[test]
    fn cache_dir_is_a_prefix_of_the_text() {
        let table: [(Variables, &str, &str); 4] = [
            (&[(CACHE_DIR_VARIABLE, "/data")], "/datafilecoin-parents", CACHE_DIR_VARIABLE),
            (&[(CACHE_DIR_VARIABLE, "/data/")], "/data/filecoin-parents", CACHE_DIR_VARIABLE),
            (&[(CACHE_DIR_VARIABLE, "/data/"), (PARENT_CACHE_VARIABLE, "/p")], "/p", PARENT_CACHE_VARIABLE),
            (
                &[(CACHE_DIR_VARIABLE, "/data/"), (PARENT_CACHE_VARIABLE, "")],
                "/data/filecoin-parents",
                CACHE_DIR_VARIABLE,
            ),
        ];
        for (variables, folder, name) in table {
            let settings = resolve(Flags::default(), variables, None).unwrap();
            assert_eq!(settings.parent_cache.value, Path::new(folder));
            assert_eq!(settings.parent_cache.source.to_string(), format!("environment {name}"));
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let table: [(Variables, Option<&str>, &[&str]); 11] = [
            (&[], Some("memry = 1"), &["/etc/f/config.toml", "memry"]),
            (&[], Some("[networks]\nport = 1"), &["/etc/f/config.toml", "networks"]),
            (&[], Some("profile = \"bitcoin\""), &["/etc/f/config.toml", "bitcoin", "filecash"]),
            (&[], Some("memory = \"1 GB\""), &["/etc/f/config.toml", "GB", "GiB"]),
            (&[], Some("memory = -1"), &["/etc/f/config.toml", "memory"]),
            (&[(PROFILE_VARIABLE, "Filecoin")], None, &[PROFILE_VARIABLE, "Filecoin"]),
            (&[(THREADS_VARIABLE, "all")], None, &[THREADS_VARIABLE, "all"]),
            (&[(ROWS_TO_DISCARD_VARIABLE, "-1")], None, &[ROWS_TO_DISCARD_VARIABLE, "-1"]),
            (&[(MEMORY_VARIABLE, "16")], None, &[MEMORY_VARIABLE, "16 bytes"]),
            (&[(STORE_VARIABLE, "redis://db")], None, &[STORE_VARIABLE, "postgres://"]),
            (&[], Some("store = \"redis://db\""), &["/etc/f/config.toml", "store", "postgres://"]),
        ];
        for (variables, file, words) in table {
            let message = resolve(Flags::default(), variables, file).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{message}");
            }
        }
    }

    #[test]
    fn settings_file_is_looked_for_in_order() {
        let path = |flag: Option<&str>, variables| {
            file_path(flag.map(Path::new), &lookup(variables)).map(|found| (found.value, found.source))
        };
        let all: Variables = &[(CONFIG_VARIABLE, "/c"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(path(Some("/f"), all), Some(("/f".into(), Source::Flag("--config"))));
        assert_eq!(path(None, all), Some(("/c".into(), Source::Environment(CONFIG_VARIABLE))));
        assert_eq!(
            path(None, &[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]),
            Some(("/x/filecash/config.toml".into(), Source::Default))
        );
        assert_eq!(path(None, &[("HOME", "/h")]), Some(("/h/.config/filecash/config.toml".into(), Source::Default)));
        assert_eq!(path(None, &[]), None);
    }
}
