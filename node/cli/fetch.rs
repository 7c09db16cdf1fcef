//! `filecash params fetch`: the published parameters, from wherever they can be had.

use std::env;
use std::fs::{self, File};
use std::io;

use anyhow::Context as _;
use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore, UnknownCircuit, manifest};
use filecash_engine::sector::Profile;
use filecash_node::fetch::{self, FetchError, Options, Source, Wanted, published};
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args::Circuit;
use crate::args::fetch::ParamsFetch;
use crate::context::Context;
use crate::measure::Meter;
use crate::params::Origin;
use crate::report::{Failure, Kind, Report};
use crate::text::{self, Table, count};

/// The variable by which users of the networks' own software name a gateway.
const GATEWAY: &str = "IPFS_GATEWAY";

/// Runs the verb.
pub fn run(args: &ParamsFetch, context: &Context) -> anyhow::Result<Report> {
    let profile = context.profile();
    let store = ParamStore::new(&context.config.parameter_cache);
    let sources = if args.source.is_empty() { default_sources(profile)? } else { args.source.clone() };
    let folder = store.folder(profile);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;

    let mut fields = Table::fields();
    let mut wanted = vec![];
    for (wants, is_here) in all_wanted(args, context, &store)? {
        if is_here {
            fields.row(["Here already", &wants.path.display().to_string()]);
        } else {
            if !args.replace.force && fs::symlink_metadata(&wants.path).is_ok() {
                let message = format!("{} is there, and not what {profile} published", wants.path.display());
                return Err(Failure::new(Kind::Exists, message).hint("--force replaces it").into());
            }
            wanted.push(wants);
        }
    }

    let (meter, mut fetched) = (Meter::start(), vec![]);
    let mut bytes = 0;
    for wants in &wanted {
        let size = wants.bytes.map_or_else(String::new, |bytes| format!(", {}", ByteSize(bytes)));
        context.teller.note(&format!("Fetching {}{size}", wants.path.display()));
        let outcome = fetch::fetch(&context.job(), wants, &sources, &Options::default()).map_err(failure);
        let came = context.kept(outcome, || "what has come stays; the same command goes on".to_owned())?;
        let from: Vec<_> = came.from.keys().map(String::as_str).collect();
        fields.row(["Fetched", &format!("{}, {}", wants.path.display(), ByteSize(came.bytes))]);
        if !from.is_empty() {
            fields.row(["  from", &from.join(", ")]);
        }
        for (place, reason) in &came.left_out {
            fields.row(["  not from", &format!("{place}: {reason}")]);
        }
        bytes += came.bytes - came.kept_bytes;
        fetched.push(json!({
            "path": wants.path, "bytes": came.bytes, "kept_bytes": came.kept_bytes, "from": came.from,
            "left_out": came.left_out.iter().map(|(place, reason)| json!({ "place": place, "reason": reason }))
                .collect::<Vec<_>>(),
        }));
    }
    let cost = meter.stop();
    let headline = match fetched.len() {
        0 => "Nothing to fetch".to_owned(),
        files => format!(
            "Fetched {} in {}, {}; the digests are those that {profile} published",
            count(files as u64, "file"),
            text::duration(cost.wall),
            text::rate(bytes, cost.wall),
        ),
    };
    let json = json!({ "profile": profile.name(), "folder": folder, "files": fetched, "cost": cost.json() });
    Ok(Report::done(format!("{headline}\n{}", fields.render()), json))
}

/// The gateway that the environment names, and what else there is.
fn default_sources(profile: Profile) -> anyhow::Result<Vec<Source>> {
    let mut sources = Source::defaults(profile);
    if let Some(gateway) = env::var_os(GATEWAY).filter(|value| !value.is_empty()) {
        let gateway = gateway.to_string_lossy();
        let source = gateway.parse().map_err(|error| Failure::new(Kind::Settings, format!("{GATEWAY}: {error}")))?;
        sources.insert(0, source);
    }
    Ok(sources)
}

/// The files that are asked for, and whether each is here.
fn all_wanted(args: &ParamsFetch, context: &Context, store: &ParamStore) -> anyhow::Result<Vec<(Wanted, bool)>> {
    let profile = context.profile();
    let mut all = vec![];
    if let Some(size) = args.sector_size {
        let is_all = args.circuit == Circuit::All;
        for circuit in args.circuit.kinds() {
            let id = match ParamId::new(profile, *circuit, size.0) {
                Err(UnknownCircuit::Circuit { .. }) if is_all => continue,
                id => id?,
            };
            // Small files first, so that what is wrong shows early.
            for file in [FileKind::VerifyingKey, FileKind::Params] {
                if file == FileKind::Params && args.verifying_keys {
                    continue;
                }
                match published::parameters(store, &id, file) {
                    Some(wanted) => {
                        let is_here = is_here(store, &id, file, &wanted)?;
                        all.push((wanted, is_here));
                    }
                    None if is_all => {}
                    None => return Err(unpublished(&id.to_string())),
                }
            }
        }
        if all.is_empty() {
            return Err(unpublished(&format!("{profile} {size}")));
        }
    }
    if args.srs {
        let wanted = published::reference_string(store, profile)
            .ok_or_else(|| Failure::new(Kind::Input, format!("profile {profile} has no aggregation of proofs")))?;
        let is_here = wanted.path.exists() && has_digest(&wanted)?;
        all.push((wanted, is_here));
    }
    Ok(all)
}

fn unpublished(what: &str) -> anyhow::Error {
    Failure::new(Kind::Input, format!("nobody published parameters for {what}"))
        .hint("filecash params setup makes test parameters")
        .into()
}

/// Whether a published file is here. Of large ones the length and the head are compared; `params check` compares all.
fn is_here(store: &ParamStore, id: &ParamId, file: FileKind, wanted: &Wanted) -> anyhow::Result<bool> {
    let Ok(metadata) = fs::metadata(&wanted.path) else { return Ok(false) };
    if wanted.bytes.is_some_and(|bytes| bytes != metadata.len()) {
        return Ok(false);
    }
    Ok(match file {
        FileKind::Params => Origin::of(store, id).is_ok_and(|origin| origin == Origin::Published),
        _ => has_digest(wanted)?,
    })
}

fn has_digest(wanted: &Wanted) -> anyhow::Result<bool> {
    let digest = || manifest::digest::<io::Error>(File::open(&wanted.path)?, |_| Ok(()));
    Ok(digest().with_context(|| format!("cannot read {}", wanted.path.display()))? == wanted.digest)
}

/// A failure with what to do about it.
fn failure(error: FetchError) -> anyhow::Error {
    let (kind, hint) = match &error {
        FetchError::Places { .. } => {
            (Kind::Io, "what has come stays; the same command goes on. --source names other places")
        }
        FetchError::Digest { .. } => (Kind::Input, "nothing of it was kept; --source names other places"),
        _ => return error.into(),
    };
    Failure::new(kind, error.to_string()).hint(hint).into()
}

impl Circuit {
    /// The circuits that are meant.
    pub fn kinds(self) -> &'static [CircuitKind] {
        match self {
            Self::Porep => &[CircuitKind::PoRep],
            Self::Winning => &[CircuitKind::Winning],
            Self::Window => &[CircuitKind::Window],
            Self::Update => &[CircuitKind::Update],
            Self::All => &CircuitKind::ALL,
        }
    }
}
