//! `filecash update …`: new data in a sector that is sealed already, step by step between files.
//!
//! With `--dir DIR` the sector lies in DIR and its update in `DIR/update`, whose `staged` and `pieces.json` are made by
//! `filecash seal add-piece --dir DIR/update`:
//!
//! ```text
//! staged  pieces.json  sealed  cache/  update.json  vanilla.bin  proof.bin
//! ```

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::api::update;
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::sector::piece::PieceInfo;
use filecash_engine::store::files::{P_AUX, tree_d};
use filecash_engine::update::{Encoded, PartitionProof, Replica, UpdateCommitments, UpdateProof};
use serde_json::json;

use crate::args::update as args;
use crate::args::{self as shared, Hex32};
use crate::context::Context;
use crate::files::{self, Output};
use crate::folder::Folder;
use crate::given::{Given, by_id_or_name};
use crate::measure::Meter;
use crate::phase::{self, data_commitment, replica_commitment};
use crate::report::{Failure, Kind, Report, with_causes};
use crate::text::{Table, count, grouped, shell_word};

/// Runs the verb.
pub fn run(verb: &args::Update, context: &Context) -> anyhow::Result<Report> {
    match verb {
        args::Update::Encode(args) => encode(args, context),
        args::Update::Vanilla(args) => vanilla(args, context),
        args::Update::Prove(args) => prove(args, context),
        args::Update::Verify(args) => verify(args, context),
        args::Update::Decode(args) => decode(args, context),
        args::Update::Remove(args) => remove(args, context),
    }
}

/// The file of a sector's update.
fn in_update(folder: &Folder, name: &str) -> PathBuf {
    folder.path().join("update").join(name)
}

fn update_json(folder: &Folder) -> PathBuf {
    in_update(folder, "update.json")
}

fn vanilla_bin(folder: &Folder) -> PathBuf {
    in_update(folder, "vanilla.bin")
}

fn proof_bin(folder: &Folder) -> PathBuf {
    in_update(folder, "proof.bin")
}

fn staged(folder: &Folder) -> PathBuf {
    in_update(folder, "staged")
}

/// A replica and its cache folder, wherever they are.
struct Paths {
    replica: PathBuf,
    cache: PathBuf,
}

impl Paths {
    fn old(given: &Given<'_>, flags: &args::SectorKey) -> anyhow::Result<Self> {
        Ok(Self {
            replica: given.path(flags.sector_key.as_ref(), Folder::sealed, "--sector-key")?,
            cache: given.path(flags.sector_key_cache.as_ref(), Folder::cache, "--sector-key-cache")?,
        })
    }

    fn new(given: &Given<'_>, flags: &args::NewReplica) -> anyhow::Result<Self> {
        Ok(Self {
            replica: given.path(flags.replica.as_ref(), |folder| in_update(folder, "sealed"), "--replica")?,
            cache: given.path(flags.cache.as_ref(), |folder| in_update(folder, "cache"), "--cache")?,
        })
    }

    fn as_replica(&self) -> Replica<'_> {
        Replica { path: &self.replica, cache: &self.cache }
    }
}

/// The registered update proof that flags or the sector's own proof give.
fn proof_of(given: &Given<'_>, flags: &shared::Registered) -> anyhow::Result<UpdateProof> {
    let profile = given.profile()?;
    if let Some(text) = &flags.registered_proof {
        let (by_id, by_name) = (|id| UpdateProof::by_id(profile, id), |name: &str| UpdateProof::by_name(profile, name));
        return Ok(by_id_or_name(text, by_id, by_name)?);
    }
    let size = match flags.sector_size {
        Some(size) => size.0,
        None => given.proof(&shared::Proof::default())?.config().params.size_bytes,
    };
    Ok(UpdateProof::for_size(profile, size)?)
}

/// Reads the output of an encoding.
fn read_update(given: &Given<'_>, path: &Path) -> anyhow::Result<(UpdateProof, Encoded)> {
    let profile = given.profile()?;
    let bytes = files::read(path, "output of update encode")?;
    Encoded::from_json(profile, &bytes).map_err(|error| {
        let message = format!("{} is no output of update encode: {}", path.display(), with_causes(&error));
        Failure::new(Kind::Input, message).into()
    })
}

/// The command that goes on from here; only a folder makes it short enough to print.
fn next(given: &Given<'_>, step: &str) -> Option<String> {
    given.folder.as_ref().map(|folder| format!("filecash update {step} --dir {}", shell_word(folder.path())))
}

fn encode(args: &args::UpdateEncode, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let proof = proof_of(&given, &args.proof)?;
    let (old, new) = (Paths::old(&given, &args.old)?, Paths::new(&given, &args.new)?);
    let staged = given.path(args.staged.as_ref(), staged, "--staged")?;
    let list = given.path(args.pieces.as_ref(), |folder| in_update(folder, "pieces.json"), "--pieces")?;
    let out = given.path(args.out.as_ref(), update_json, "--out")?;
    let pieces: Vec<PieceInfo> = files::read_json(&list, "list of pieces")?;
    files::require_file(&staged, "staged file")?;
    files::require_file(&old.replica, "sector key")?;
    files::refuse_existing(&out, given.force)?;
    let config = proof.config();

    let meter = Meter::start();
    let found = update::find_encoded(&context.job(), &config, new.as_replica(), old.as_replica(), &pieces)?;
    let encoded = match found {
        // Killed before it could write its output.
        Some(encoded) => encoded,
        None => {
            refuse_other_sector(&new, given.force)?;
            let job = context.job_on_devices(Phase::Update, config.params.size_bytes)?;
            let outcome = update::encode_into(&job, &config, new.as_replica(), old.as_replica(), &staged, &pieces);
            context.kept(outcome, || "nothing was written; the same command begins anew".to_owned())?
        }
    };
    let mut output = Output::create(&out, given.force)?;
    encoded.write_json(&proof, &mut output).with_context(|| format!("cannot write {}", out.display()))?;
    output.commit()?;
    let cost = meter.stop();

    let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = &encoded.commitments;
    let (comm_r, shown_r) = replica_commitment(comm_r_new);
    let (comm_d, shown_d) = data_commitment(comm_d_new);
    let mut fields = Table::fields();
    fields.row(["CommR", &shown_r]);
    fields.row(["CommD", &shown_d]);
    fields.row(["Replica", &new.replica.display().to_string()]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({
        "comm_r_new": comm_r, "comm_d_new": comm_d, "comm_r_old": replica_commitment(comm_r_old).0,
        "replica": new.replica, "cache": new.cache, "output": out,
    });
    Ok(phase::report("encode", config.params.size_bytes, cost, &fields, json, next(&given, "vanilla")))
}

/// Fails when the outputs would replace files of something else than an encoding that was killed.
fn refuse_other_sector(new: &Paths, force: bool) -> anyhow::Result<()> {
    if new.cache.join(P_AUX).exists() {
        let message = format!("{} holds another finished sector (its p_aux is there)", new.cache.display());
        return Err(Failure::new(Kind::Exists, message).hint("encode into another folder").into());
    }
    // A killed run has named TreeD before the replica, and p_aux last.
    let unfinished = tree_d(&new.cache).exists();
    files::refuse_existing(&new.replica, force || unfinished)
}

fn vanilla(args: &args::UpdateVanilla, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let (old, new) = (Paths::old(&given, &args.old)?, Paths::new(&given, &args.new)?);
    let input = given.path(args.update.as_ref(), update_json, "--update")?;
    let out = given.path(args.out.as_ref(), vanilla_bin, "--out")?;
    let (proof, encoded) = read_update(&given, &input)?;
    files::refuse_existing(&out, given.force)?;
    let config = proof.config();

    let meter = Meter::start();
    let (old, new) = (old.as_replica(), new.as_replica());
    let outcome = update::generate_partition_proofs(&context.job(), &config, &encoded.commitments, old, new);
    let proofs = context.kept(outcome, || "nothing was written".to_owned())?;
    let mut output = Output::create(&out, given.force)?;
    PartitionProof::write_all(&proofs, &mut output).with_context(|| format!("cannot write {}", out.display()))?;
    output.commit()?;
    let cost = meter.stop();

    let partitions = count(config.shape.partitions as u64, "partition");
    let mut fields = Table::fields();
    fields.row(["Vanilla", &format!("{} challenges in each of {partitions}", config.shape.challenges)]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "partitions": config.shape.partitions, "challenges": config.shape.challenges, "output": out });
    Ok(phase::report("vanilla", 0, cost, &fields, json, next(&given, "prove")))
}

fn prove(args: &args::UpdateProve, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let input = given.path(args.update.as_ref(), update_json, "--update")?;
    let out = given.path(args.out.as_ref(), proof_bin, "--out")?;
    let (proof, encoded) = read_update(&given, &input)?;
    files::refuse_existing(&out, given.force)?;
    let config = proof.config();
    let replicas_given = [&args.old.sector_key, &args.old.sector_key_cache, &args.new.replica, &args.new.cache]
        .iter()
        .any(|flag| flag.is_some());
    let default = given.folder.as_ref().map(vanilla_bin).filter(|path| !replicas_given && path.exists());

    let (job, meter) = (context.job_on_devices(Phase::Update, config.params.size_bytes)?, Meter::start());
    let outcome = match args.vanilla.clone().or(default) {
        Some(path) => {
            let bytes = files::read(&path, "partition proofs")?;
            let proofs = PartitionProof::read_all(&config.shape, &bytes).map_err(|error| {
                let cause = with_causes(&error);
                let message = format!("{} are no partition proofs of {}: {cause}", path.display(), config.params.name);
                Failure::new(Kind::Input, message)
            })?;
            update::prove(&job, &config, &encoded.commitments, &proofs)
        }
        None => {
            let (old, new) = (Paths::old(&given, &args.old)?, Paths::new(&given, &args.new)?);
            let (old, new) = (old.as_replica(), new.as_replica());
            update::prove_from_files(&job, &config, &encoded.commitments, old, new)
        }
    };
    let bytes = context.kept(outcome, || "no proof was written; the same command begins anew".to_owned())?;
    files::write(&out, &bytes, given.force)?;
    let cost = meter.stop();

    let mut fields = Table::fields();
    let partitions = count(config.shape.partitions as u64, "partition");
    fields.row(["Proof", &format!("{} bytes for {partitions}", grouped(bytes.len() as u64))]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "proof_bytes": bytes.len(), "proof": hex::encode(&bytes), "output": out });
    Ok(phase::report("prove", 0, cost, &fields, json, next(&given, "verify")))
}

/// Registered proof and commitments, from flags or from the output of an encoding.
struct Known {
    proof: UpdateProof,
    encoded: Option<Encoded>,
}

impl Known {
    fn find(given: &Given<'_>, flags: &shared::Registered, update: Option<&PathBuf>) -> anyhow::Result<Self> {
        let default = given.folder.as_ref().map(update_json).filter(|path| path.exists());
        let Some(path) = update.or(default.as_ref()) else {
            return Ok(Self { proof: proof_of(given, flags)?, encoded: None });
        };
        let (proof, encoded) = read_update(given, path)?;
        let asked = flags.sector_size.is_some() || flags.registered_proof.is_some();
        if asked && proof_of(given, flags)? != proof {
            let message = format!("--sector-size or --registered-proof is not what {} says", path.display());
            return Err(Failure::new(Kind::Usage, message).hint("leave it out").into());
        }
        Ok(Self { proof, encoded: Some(encoded) })
    }

    /// What a flag gives, or the output of the encoding.
    fn commitment(
        &self,
        flag: Option<Hex32>,
        name: &str,
        known: fn(&UpdateCommitments) -> Node,
    ) -> anyhow::Result<Node> {
        flag.map(|hex| hex.0)
            .or(self.encoded.as_ref().map(|encoded| known(&encoded.commitments)))
            .ok_or_else(|| Failure::missing(name).hint("give it, or --update with the output of update encode").into())
    }
}

fn verify(args: &args::UpdateVerify, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, shared::Replace::default())?;
    let known = Known::find(&given, &args.proof, args.update.as_ref())?;
    let flags = &args.statement;
    let commitments = UpdateCommitments {
        comm_r_old: known.commitment(flags.comm_r_old, "--comm-r-old", |known| known.comm_r_old)?,
        comm_r_new: known.commitment(flags.comm_r_new, "--comm-r-new", |known| known.comm_r_new)?,
        comm_d_new: known.commitment(flags.comm_d_new, "--comm-d-new", |known| known.comm_d_new)?,
    };
    let file = given.path(args.proof_file.as_ref(), proof_bin, "--proof")?;
    let bytes = crate::seal::proof_bytes(files::read(&file, "proof")?);

    let meter = Meter::start();
    let outcome = update::verify(&context.job(), &known.proof.config(), &commitments, &bytes);
    let cost = meter.stop();

    let mut fields = Table::fields();
    fields.row(["Proof", &format!("{} ({} bytes)", file.display(), bytes.len())]);
    fields.row(["Registered", &format!("{} (update {})", known.proof.name, known.proof.id)]);
    fields.row(["CommR, old", &replica_commitment(&commitments.comm_r_old).1]);
    fields.row(["CommR, new", &replica_commitment(&commitments.comm_r_new).1]);
    fields.row(["CommD, new", &data_commitment(&commitments.comm_d_new).1]);
    phase::verdict("proof", context, outcome, cost, &fields)
}

fn decode(args: &args::UpdateDecode, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let known = Known::find(&given, &args.proof, args.update.as_ref())?;
    let comm_r_old = known.commitment(args.comm_r_old, "--comm-r-old", |known| known.comm_r_old)?;
    let comm_d_new = known.commitment(args.comm_d_new, "--comm-d-new", |known| known.comm_d_new)?;
    let replica = given.path(args.replica.as_ref(), |folder| in_update(folder, "sealed"), "--replica")?;
    let sector_key = given.path(args.sector_key.as_ref(), Folder::sealed, "--sector-key")?;
    files::require_file(&replica, "replica")?;
    files::require_file(&sector_key, "sector key")?;
    let config = known.proof.config();
    let capacity = config.params.unpadded_bytes();
    let range = args.extract.range(capacity, capacity, context)?;
    args.extract.run(("decode", config.params.size_bytes), range, given.force, |out| {
        let job = context.job();
        let outcome = update::decode_range(&job, &config, &replica, &sector_key, &comm_d_new, &comm_r_old, range, out);
        context.kept(outcome, || "no data was kept".to_owned())
    })
}

fn remove(args: &args::UpdateRemove, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let new = Paths::new(&given, &args.new)?;
    let old = Paths::old(&given, &args.old)?;
    let staged = given.path(args.staged.as_ref(), staged, "--staged")?;
    let input = given.path(args.update.as_ref(), update_json, "--update")?;
    let (proof, encoded) = read_update(&given, &input)?;
    files::require_file(&new.replica, "replica")?;
    files::require_file(&staged, "staged file")?;
    if old.cache.join(P_AUX).exists() {
        let message = format!("{} holds a finished sector (its p_aux is there)", old.cache.display());
        return Err(Failure::new(Kind::Exists, message).hint("give another --sector-key-cache").into());
    }
    if !given.force && old.replica.exists() {
        let message = format!("{} is already there", old.replica.display());
        return Err(Failure::new(Kind::Exists, message)
            .hint("--force replaces it, also where a removal was killed after it had named it")
            .into());
    }
    let config = proof.config();

    let meter = Meter::start();
    let (key, replica) = (old.as_replica(), new.as_replica());
    let job = context.job_on_devices(Phase::Update, config.params.size_bytes)?;
    let outcome = update::remove_encoded_data(&job, &config, key, replica, &staged, &encoded.commitments);
    context.kept(outcome, || "the replica is as it was; the same command begins anew".to_owned())?;
    let cost = meter.stop();

    let (comm_r, shown) = replica_commitment(&encoded.commitments.comm_r_old);
    let mut fields = Table::fields();
    fields.row(["CommR", &shown]);
    fields.row(["Sector key", &old.replica.display().to_string()]);
    fields.row(["Cache", &old.cache.display().to_string()]);
    let json = json!({ "comm_r": comm_r, "sector_key": old.replica, "sector_key_cache": old.cache });
    Ok(phase::report("remove", config.params.size_bytes, cost, &fields, json, None))
}
