//! What a verb hands back, as text for people or JSON for machines, and how failures are told.
//!
//! With `--json`, standard output carries exactly one JSON document, result or failure, so that a caller reads one
//! stream. Without it, results go to standard output and failures to standard error.
//!
//! Exit status: 0 done; 1 a proof that was given does not hold, vanilla proofs included, or a sector or file that was
//! checked is damaged, or a benchmark is slower than asked; 2 anything else, such as an input that is missing.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use filecash_engine::Error;
use filecash_engine::api::prove::CommitError;
use filecash_engine::api::snark::SnarkError;
use filecash_engine::api::update::UpdateProveError;
use filecash_engine::backend::BackendError;
use filecash_engine::groth16::{AggregateError, ProveError, SrsError};
use filecash_engine::job::Cancelled;
use filecash_engine::params::ParamError;
use filecash_engine::porep::verify::VanillaError;
use filecash_node::config::SettingsError;
use serde_json::{Value, json};

/// A verb's result.
pub struct Report {
    /// False when what was checked is wrong: exit status 1.
    pub accepted: bool,
    /// For people.
    pub text: String,
    /// For machines.
    pub json: Value,
}

impl Report {
    /// Everything went as asked.
    pub fn done(text: String, json: Value) -> Self {
        Self { accepted: true, text, json }
    }
}

/// What sort of failure it is; machines branch on this word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line makes no sense.
    Usage,
    /// A setting makes no sense.
    Settings,
    /// An output is already there.
    Exists,
    /// An input is missing, of the wrong size or not what it should be.
    Input,
    /// A device that was asked for is not there or does not compute rightly.
    Device,
    /// The system refused to read or write.
    Io,
    /// Somebody pressed Ctrl-C.
    Cancelled,
    /// A proof or check is wrong.
    Rejected,
    /// Anything else that the engine reports.
    Engine,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Settings => "settings",
            Self::Exists => "exists",
            Self::Input => "input",
            Self::Device => "device",
            Self::Io => "io",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Engine => "engine",
        }
    }

    /// Of the first cause that says.
    fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Engine)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return Some(failure.kind);
        }
        if let Some(error) = cause.downcast_ref::<Error>() {
            return match error {
                Error::Cancelled(_) => Some(Self::Cancelled),
                Error::Commit2(CommitError::Vanilla(VanillaError::Malformed(_) | VanillaError::Cancelled(_))) => None,
                // A step that was given vanilla proofs to go on with found them false.
                Error::Commit2(CommitError::Vanilla(_)) | Error::UpdateProve(UpdateProveError::Vanilla(_)) => {
                    Some(Self::Rejected)
                }
                error if error.is_rejection() => Some(Self::Rejected),
                _ => None,
            };
        }
        if cause.is::<SettingsError>() {
            return Some(Self::Settings);
        }
        if cause.is::<Cancelled>() {
            return Some(Self::Cancelled);
        }
        cause.is::<io::Error>().then_some(Self::Io)
    }
}

/// A failure that the command line itself finds, with what to do about it.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// `message` names the file or flag, what was expected and what was found.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A flag that is missing.
    pub fn missing(flag: &str) -> Self {
        Self::new(Kind::Usage, format!("{flag} is missing"))
    }

    /// What to do next.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A word for operators to look for at the beginning of a job's failure (`spec/attach.md` A.9).
pub fn code_word(error: &anyhow::Error) -> &'static str {
    let of_engine = |cause: &(dyn std::error::Error + 'static)| {
        Some(match cause.downcast_ref()? {
            Error::Snark(SnarkError::Rejected { .. }) => "self-check",
            Error::Params(ParamError::Missing { .. }) | Error::Aggregate(AggregateError::Srs(_)) => "no-params",
            Error::UnknownProof(_) | Error::UnknownPoSt(_) | Error::UnknownCircuit(_) | Error::NoUpdates(_) => {
                "unsupported"
            }
            Error::PoStVanilla(_) | Error::PartitionProof(_) | Error::NonCanonical(_) | Error::Codec(_) => "bad-input",
            Error::Commit2(_) | Error::UpdateProve(_) | Error::PoSt(_) | Error::Commitment(_) => "bad-input",
            _ => return None,
        })
    };
    let is_lost = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(BackendError::NoDevice { .. })).then_some("gpu-lost")
    };
    let known = error.chain().find_map(|cause| is_lost(cause).or_else(|| of_engine(cause)));
    known.unwrap_or(match Kind::of(error) {
        Kind::Input | Kind::Rejected => "bad-input",
        Kind::Usage | Kind::Settings => "unsupported",
        Kind::Device => "gpu-lost",
        _ => "failed",
    })
}

/// Whether a failure may be the moment's: a disk that is full, a machine that erred, a device that is gone, somebody in the way.
pub fn is_momentary(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{
        AlreadyExists, InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        ReadOnlyFilesystem, UnexpectedEof,
    };
    let lasting = [
        AlreadyExists,
        InvalidData,
        InvalidInput,
        IsADirectory,
        NotADirectory,
        NotFound,
        PermissionDenied,
        ReadOnlyFilesystem,
        UnexpectedEof,
    ];
    Kind::of(error) == Kind::Device
        || error.chain().any(|cause| {
            let io = cause.downcast_ref::<io::Error>();
            io.is_some_and(|error| !lasting.contains(&error.kind()))
                || matches!(cause.downcast_ref(), Some(Error::Snark(SnarkError::Rejected { .. })))
        })
}

/// Prints what came of a verb and gives the exit status.
pub fn finish(outcome: Result<Report, anyhow::Error>, as_json: bool) -> ExitCode {
    match outcome {
        Ok(report) => {
            let text = if as_json { pretty(&report.json) } else { report.text };
            print(io::stdout(), &text);
            ExitCode::from(if report.accepted { 0 } else { 1 })
        }
        Err(error) => {
            let kind = Kind::of(&error);
            let (message, hint) = (with_causes(error.as_ref()), error.chain().find_map(hint));
            if as_json {
                print(io::stdout(), &pretty(&failure_json(kind, &message, hint)));
            } else {
                let mut text = format!("{}: {message}\n", if kind == Kind::Rejected { "rejected" } else { "error" });
                if let Some(hint) = hint {
                    text += &format!("  {hint}\n");
                }
                print(io::stderr(), &text);
            }
            ExitCode::from(if kind == Kind::Rejected { 1 } else { 2 })
        }
    }
}

/// What to do about a failure, if its cause tells.
fn hint<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a str> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return failure.hint.as_deref();
    }
    match cause.downcast_ref()? {
        Error::Params(ParamError::Missing { .. }) => Some(
            "filecash params fetch gets the published ones, filecash params setup makes test parameters, \
                 --parameter-cache names another folder",
        ),
        Error::Prove(ProveError::Memory { .. }) => {
            Some("--max-ram gives more, and filecash plan tells how much it takes")
        }
        Error::Prove(ProveError::Scratch(_)) => {
            Some("--scratch names another folder, and with more --max-ram none is needed")
        }
        Error::Aggregate(AggregateError::Srs(SrsError::Missing { .. })) => {
            Some("filecash params setup-srs makes a test string, --parameter-cache names another folder")
        }
        _ => None,
    }
}

/// An error and what caused it, on one line; causes that the text before them quotes already are left out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text += &format!(": {message}");
        }
        cause = error.source();
    }
    text
}

/// The JSON of a failure.
pub fn failure_json(kind: Kind, message: &str, hint: Option<&str>) -> Value {
    let mut error = json!({ "kind": kind.name(), "message": message });
    if let Some(hint) = hint {
        error["hint"] = json!(hint);
    }
    json!({ "error": error })
}

/// JSON as printed, with a line end.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Writes text; a reader that went away (`| head`) is no failure of ours.
pub fn print(mut stream: impl Write, text: &str) {
    drop(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()));
}
