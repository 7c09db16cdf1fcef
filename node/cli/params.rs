//! `filecash params …`: fetching, making, listing and checking Groth16 parameter files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::api::{aggregate, params};
use filecash_engine::groth16::SrsError;
use filecash_engine::groth16::srs::{REFERENCE_POWERS, SRS_FILE_NAME, SrsFile, SrsProblem, Vector};
use filecash_engine::params::{
    CircuitKind, FileKind, ParamId, ParamStore, UnknownCircuit, Verdict, manifest, published,
};
use filecash_engine::sector::{Profile, SealProof};
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args;
use crate::context::Context;
use crate::fetch;
use crate::files;
use crate::many;
use crate::measure::Meter;
use crate::report::{Failure, Kind, Report, with_causes};
use crate::text::Align::{Left, Right};
use crate::text::{self, Table, count};

/// Runs the verb.
pub fn run(verb: &args::Params, context: &Context) -> anyhow::Result<Report> {
    match verb {
        args::Params::Fetch(args) => fetch::run(args, context),
        args::Params::Setup(args) => setup(args, context),
        args::Params::SetupSrs(args) => many::setup_srs(args, context),
        args::Params::List => Ok(list(context)),
        args::Params::Check(args) => check(args, context),
    }
}

fn setup(args: &args::ParamsSetup, context: &Context) -> anyhow::Result<Report> {
    let (profile, size) = (context.profile(), args.sector_size.0);
    let all = args.circuit == args::Circuit::All;
    let store = ParamStore::new(&context.config.parameter_cache);
    let mut ids = vec![];
    for circuit in args.circuit.kinds() {
        match ParamId::new(profile, *circuit, size) {
            Ok(id) => ids.push(id),
            // All means all that there are.
            Err(UnknownCircuit::Circuit { .. }) if all => {}
            Err(error) => return Err(error.into()),
        }
    }
    // A size has to be one that sectors are sealed at.
    SealProof::for_size(profile, size)?;
    let mut fields = Table::fields();
    fields.row(["For", &format!("{} sectors of profile {profile}", ByteSize(size))]);
    if all && !args.replace.force {
        ids.retain(|id| {
            let path = store.path(id, FileKind::Params);
            if path.exists() {
                fields.row(["Here already", &path.display().to_string()]);
            }
            !path.exists()
        });
    }
    for id in &ids {
        let path = store.path(id, FileKind::Params);
        // Damaged files may be replaced.
        if path.exists() && Origin::of(&store, id).is_ok_and(|origin| origin == Origin::Published) {
            return Err(published_already(&path, "parameters", profile));
        }
        files::refuse_existing(&path, args.replace.force)?;
    }

    let meter = Meter::start();
    let mut paths = vec![];
    for id in &ids {
        let outcome = params::setup(&context.job(), id);
        let kept = || match paths.len() {
            0 => "no parameters were written".to_owned(),
            made => format!("{} made, the others were not", count(made as u64, "set of parameters")),
        };
        let path = context.kept(outcome, kept)?;
        fields.row(["Made", &path.display().to_string()]);
        paths.push(path);
    }
    let cost = meter.stop();
    let time = text::duration(cost.wall);
    let text = format!("Made test parameters in {time}. {WARNING}.\n{}", fields.render());
    let json = json!({
        "path": paths.first(), "paths": paths, "profile": profile.name(), "sector_bytes": size, "origin": "test",
        "cost": cost.json(),
    });
    Ok(Report::done(text, json))
}

/// What has to be said about parameters that nobody published.
pub const WARNING: &str = "Whoever makes parameters can forge proofs under them";

/// Why nothing is made in the place of what a network published.
pub fn published_already(path: &Path, what: &str, profile: Profile) -> anyhow::Error {
    Failure::new(Kind::Exists, format!("{} holds the {what} that {profile} published", path.display()))
        .hint("use that, or give another folder with --parameter-cache")
        .into()
}

/// Whose parameters a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The network's.
    Published,
    /// Somebody's.
    Test,
}

impl Origin {
    /// Compares the verifying key at the head of the `.params` file, which has to exist, with the published one. That
    /// is instant; whether the rest is whole is for `params check` to say.
    pub fn of(store: &ParamStore, id: &ParamId) -> anyhow::Result<Self> {
        let head = store.open(id)?.verifying_key_bytes()?;
        let actual = manifest::digest::<io::Error>(&head[..], |_| Ok(()))?;
        let expected = published(id).and_then(|published| published.digest(FileKind::VerifyingKey));
        Ok(if expected == Some(hex::encode(actual).as_str()) { Self::Published } else { Self::Test })
    }
}

/// A circuit's parameters for a registered proof's sectors: those that are here, else test parameters made now.
pub fn make_or_reuse(context: &Context, proof: &SealProof, circuit: CircuitKind) -> anyhow::Result<(PathBuf, Origin)> {
    let id = ParamId::new(proof.profile, circuit, proof.config().params.size_bytes)?;
    let store = ParamStore::new(&context.config.parameter_cache);
    let path = store.path(&id, FileKind::Params);
    if path.exists() {
        let origin = Origin::of(&store, &id)?;
        return Ok((path, origin));
    }
    context.teller.note(&format!(
        "No parameters of the {circuit} in {}: making test parameters once",
        files::folder(&path).display()
    ));
    Ok((params::setup(&context.job(), &id)?, Origin::Test))
}

/// The reference string for aggregation that is here, else one for tests made now, as long as the reference wants it.
pub fn make_or_reuse_srs(context: &Context) -> anyhow::Result<PathBuf> {
    let path = aggregate::srs_path(&context.job());
    if !path.exists() {
        context.teller.note("No reference string for aggregation: making one for tests once");
        aggregate::setup(&context.job(), REFERENCE_POWERS)?;
    }
    Ok(path)
}

/// Every file that is published or here.
fn list(context: &Context) -> Report {
    let store = ParamStore::new(&context.config.parameter_cache);
    let profile = context.profile();
    let mut text = String::new();
    let mut json_files = vec![];
    for id in ParamId::all(profile) {
        let mut table = Table::new(&[("", Left), ("", Right), ("", Left)]);
        let mut shown = false;
        for kind in [FileKind::Params, FileKind::VerifyingKey] {
            let path = store.path(&id, kind);
            let bytes = fs::metadata(&path).ok().map(|metadata| metadata.len());
            let digest = published(&id).and_then(|published| published.digest(kind));
            if bytes.is_none() && digest.is_none() {
                continue;
            }
            shown = true;
            table.row([
                format!("  .{}", kind_name(kind)),
                bytes.map_or_else(|| "not here".to_owned(), |bytes| ByteSize(bytes).to_string()),
                digest.map_or_else(|| "not published".to_owned(), |digest| format!("published digest {digest}")),
            ]);
            json_files.push(json!({
                "name": id.file_name(kind), "sector_bytes": id.params().size_bytes, "circuit": id.circuit().to_string(),
                "digest": digest, "cid": published(&id).and_then(|published| published.cid(kind)),
                "path": path, "bytes": bytes,
            }));
        }
        if shown {
            let name = id.file_name(FileKind::Params);
            let stem = name.strip_suffix(".params").unwrap_or(&name);
            text += &format!("  {} {}: {stem}\n{}", ByteSize(id.params().size_bytes), id.circuit(), table.render());
        }
    }
    let folder = store.folder(profile);
    let mut json = json!({ "profile": profile.name(), "folder": folder, "files": json_files });
    if profile == Profile::Filecoin {
        let path = aggregate::srs_path(&context.job());
        let bytes = fs::metadata(&path).ok().map(|metadata| metadata.len());
        let here = bytes.map_or_else(|| "not here".to_owned(), |bytes| ByteSize(bytes).to_string());
        text += &format!("  Reference string for aggregation: {SRS_FILE_NAME}\n  {here}\n");
        json["reference_string"] = json!({ "name": SRS_FILE_NAME, "path": path, "bytes": bytes });
    }
    text += &format!(
        "\nFiles of profile {profile} are looked for in {}\nfilecash params check compares them with the published digests\n",
        folder.display()
    );
    Report::done(text, json)
}

fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Params => "params",
        FileKind::VerifyingKey => "vk",
        FileKind::Meta => "meta",
    }
}

/// Checks every `.params` file that is here, with the `.vk` beside it, and the reference string.
fn check(args: &args::ParamsCheck, context: &Context) -> anyhow::Result<Report> {
    let store = ParamStore::new(&context.config.parameter_cache);
    let profile = context.profile();
    let asked = |id: &ParamId| args.sector_size.is_none_or(|size| size.0 == id.params().size_bytes);
    let here = |id: &ParamId| store.path(id, FileKind::Params).exists();
    let mut table = Table::fields();
    let mut json_files = vec![];
    let mut damaged = 0;
    for id in ParamId::all(profile).filter(|id| asked(id) && here(id)) {
        let outcome = store.check(&context.job(), &id);
        let verdict = context.kept(outcome, || "nothing was changed".to_owned())?;
        let (word, shown) = match &verdict {
            Verdict::Published => ("published", format!("published by {profile}")),
            Verdict::Test { .. } => {
                ("test", "test parameters: whoever made them can forge proofs under them".to_owned())
            }
            Verdict::Damaged(damage) => ("damaged", format!("DAMAGED: {}", with_causes(damage))),
        };
        damaged += u64::from(matches!(verdict, Verdict::Damaged(_)));
        table.row([&format!("{} {}", ByteSize(id.params().size_bytes), id.circuit()), &shown]);
        json_files.push(json!({
            "path": store.path(&id, FileKind::Params), "sector_bytes": id.params().size_bytes,
            "circuit": id.circuit().to_string(), "verdict": word, "detail": shown,
        }));
    }
    let srs = aggregate::srs_path(&context.job());
    let mut reference_string = Value::Null;
    if profile == Profile::Filecoin && args.sector_size.is_none() && srs.exists() {
        let (word, shown) = check_srs(&srs, context)?;
        damaged += u64::from(word == "damaged");
        table.row(["aggregation", &shown]);
        reference_string = json!({ "path": srs, "verdict": word, "detail": shown });
    }
    let folder = store.folder(profile);
    if json_files.is_empty() && reference_string.is_null() {
        return Err(Failure::new(Kind::Input, format!("no parameters of profile {profile} in {}", folder.display()))
            .hint("filecash params setup makes test parameters; --parameter-cache names another folder")
            .into());
    }
    let mut text = table.render();
    if damaged > 0 {
        text += &format!("\n{} in {}: delete and get again\n", count(damaged, "damaged file"), folder.display());
    }
    let json = json!({
        "profile": profile.name(), "folder": folder, "sound": damaged == 0, "files": json_files,
        "reference_string": reference_string,
    });
    Ok(Report { accepted: damaged == 0, text, json })
}

/// Whose a reference string is, in a word and in a sentence. One that is not the network's is read as far as proving can
/// need it.
fn check_srs(path: &Path, context: &Context) -> anyhow::Result<(&'static str, String)> {
    if aggregate::is_published(path).with_context(|| format!("cannot read {}", path.display()))? {
        return Ok(("published", format!("reference string published by {}", Profile::Filecoin)));
    }
    let read = || {
        let srs = SrsFile::open(path)?;
        let count = |vector| usize::try_from(srs.count(vector)).unwrap_or(usize::MAX);
        let [g_a, g_b, h_a, h_b] = Vector::ALL.map(count);
        let proofs = (g_a.min(g_b) / 2).min(h_a.min(h_b));
        srs.prover(&context.job(), proofs)?;
        Ok(proofs)
    };
    match read() {
        Ok(proofs) => {
            let what = format!("test reference string, for {} at once", count(proofs as u64, "proof"));
            Ok(("test", format!("{what}: whoever made it can forge aggregates under it")))
        }
        Err(SrsError::File { problem, .. }) if !matches!(problem, SrsProblem::Io(_)) => {
            Ok(("damaged", format!("DAMAGED: {}: {problem}", path.display())))
        }
        Err(error) => context.kept(Err(error), || "nothing was changed".to_owned()),
    }
}
