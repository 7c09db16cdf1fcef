//! `filecash seal …`: the steps from a file to a proof, and back.
//!
//! Each step reads files, calls the engine once and writes files. JSON is the reference's, so that any step can be done
//! by either side.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::api::unseal::SealedSector;
use filecash_engine::api::{prove, seal, unseal, verify};
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::porep::challenges::layout;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::piece::{PaddedLen, PieceInfo, UnpaddedLen};
use filecash_engine::sector::{Feature, ProverId};
use filecash_engine::store::files::SYNTHETIC_PROOFS;
use filecash_node::size::ByteSize;
use serde_json::json;
use tempfile::TempDir;

use crate::args;
use crate::batch;
use crate::context::Context;
use crate::files;
use crate::filler::filler;
use crate::folder::{Described as _, Folder, Identity};
use crate::given::Given;
use crate::many;
use crate::measure::Meter;
use crate::phase::{self, Codec, data_commitment, replica_commitment};
use crate::report::{Failure, Kind, Report};
use crate::text::{Table, count, grouped};

/// Runs the verb.
pub fn run(verb: &args::Seal, context: &Context) -> anyhow::Result<Report> {
    match verb {
        args::Seal::AddPiece(args) => add_piece(args, context),
        args::Seal::Pc1(args) if !args.sectors.is_empty() => batch::pc1(args, context),
        args::Seal::Pc1(args) => pc1(args, context),
        args::Seal::Pc2(args) => pc2(args, context),
        args::Seal::Synth(args) => synth(args, context),
        args::Seal::C1(args) => c1(args, context),
        args::Seal::C2(args) => c2(args, context),
        args::Seal::Verify(args) => match &args.list {
            Some(list) => many::verify(list, args.one_by_one, context),
            None => verify(args, context),
        },
        args::Seal::List(args) => many::list(args, context),
        args::Seal::Aggregate(args) => many::aggregate(args, context),
        args::Seal::VerifyAggregate(args) => many::verify_aggregated(args, context),
        args::Seal::Unseal(args) => unseal(args, context),
        args::Seal::ClearCache(args) => clear_cache(args, context),
    }
}

fn add_piece(args: &args::AddPiece, context: &Context) -> anyhow::Result<Report> {
    if let Some(folder) = &args.place.dir {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let given = Given::new(context, &args.place, args::Replace::default())?;
    let staged = given.path(args.staged.as_ref(), Folder::staged, "--staged")?;
    let list = given.path(args.pieces.as_ref(), Folder::pieces, "--pieces")?;
    let proof = given.proof(&args.proof)?;
    let identity = &args.identity;
    let identity = match (&given.folder, identity.prover.id(), identity.sector, identity.ticket) {
        (_, None, None, None) => None,
        (Some(folder), Some(_), Some(_), Some(_)) => Some((folder, given.sector_identity(identity)?)),
        (None, ..) => return Err(Failure::new(Kind::Usage, "whose sector it is, is kept in a --dir folder").into()),
        _ => {
            let message = "--miner, --sector and --ticket go together";
            return Err(Failure::new(Kind::Usage, message).hint("PC1 takes them too").into());
        }
    };

    let mut pieces: Vec<PieceInfo> = if list.exists() { files::read_json(&list, "list of pieces")? } else { vec![] };
    let (source, length) = files::open(&args.file)?;
    let size = match (args.piece_size, length) {
        (Some(size), _) => UnpaddedLen::new(size.0).map_err(|error| Failure::new(Kind::Usage, error.to_string()))?,
        (None, Some(length)) => PaddedLen::holding(length)?.unpadded(),
        (None, None) => {
            return Err(Failure::new(Kind::Usage, "the length of the input is unknown")
                .hint("give --piece-size")
                .into());
        }
    };
    if let Some(length) = length.filter(|length| *length > size.get()) {
        let message = format!("{} has {length} bytes, more than the piece's {}", args.file.display(), size.get());
        return Err(Failure::new(Kind::Input, message).into());
    }

    let meter = Meter::start();
    let params = proof.config().params;
    let padded = source.chain(io::repeat(0)).take(size.get());
    let existing: Vec<UnpaddedLen> = pieces.iter().map(|piece| piece.size).collect();
    let outcome = seal::add_piece(&context.job(), params, padded, &staged, size, &existing);
    let added = context.kept(outcome, || format!("{} holds the pieces that it held before", staged.display()))?;
    let piece = added.piece;
    pieces.push(piece);
    let mut zero_pieces = 0;
    if args.fill {
        let zeros = filler(params, &pieces)?;
        zero_pieces = zeros.len() as u64;
        pieces.extend(zeros);
    }
    files::write(&list, &files::json(&pieces)?, true)?;
    let is_known = identity.is_some() || given.identity.is_some();
    if let Some((folder, identity)) = identity.filter(|_| given.identity.is_none()) {
        folder.write_identity(&Identity::of(&proof, &identity), false)?;
    }
    let cost = meter.stop();

    let (comm_p, shown) = data_commitment(&piece.commitment);
    let padding = length.map_or(0, |length| size.get() - length);
    let mut fields = Table::fields();
    fields.row(["Piece", &format!("{} bytes, {} of them zeros after the file", grouped(size.get()), grouped(padding))]);
    fields.row(["CommP", &shown]);
    if zero_pieces > 0 {
        fields.row(["Filler", &format!("{}, the sector is full", count(zero_pieces, "zero piece"))]);
    }
    fields.row(["Pieces", &format!("{} in {}", pieces.len(), list.display())]);
    let json = json!({
        "unpadded_bytes": size.get(), "comm_p": comm_p, "zero_bytes": padding, "filler_pieces": zero_pieces,
        "staged": staged, "pieces": list,
    });
    Ok(phase::report(
        "add-piece",
        size.get(),
        cost,
        &fields,
        json,
        given.next("pc1", if is_known { "" } else { " --sector-size … --miner … --sector … --ticket …" }),
    ))
}

fn pc1(args: &args::Pc1, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let staged = given.path(args.staged.as_ref(), Folder::staged, "--staged")?;
    let sealed = given.path(args.sealed.as_ref(), Folder::sealed, "--sealed")?;
    let cache = given.path(args.cache.as_ref(), Folder::cache, "--cache")?;
    let list = given.path(args.pieces.as_ref(), Folder::pieces, "--pieces")?;
    let out = given.path(args.out.as_ref(), Folder::pc1, "--out")?;
    let proof = given.proof(&args.proof)?;
    let identity = given.sector_identity(&args.identity)?;
    let pieces: Vec<PieceInfo> = files::read_json(&list, "list of pieces")?;
    files::require_file(&staged, "staged file")?;
    files::refuse_existing(&out, given.force)?;
    let sealed_is_ours = is_copy(&sealed, &staged, proof.config().params.size_bytes)?;
    if !sealed_is_ours {
        files::refuse_existing(&sealed, given.force)?;
    }
    fs::create_dir_all(&cache).with_context(|| format!("cannot make the cache folder {}", cache.display()))?;

    let job = context.job_on_devices(Phase::Pc1, proof.config().params.size_bytes)?;
    let meter = Meter::start();
    let outcome = seal::pre_commit_phase1(&job, &proof.config(), &cache, &staged, &sealed, &identity, &pieces);
    if outcome.is_err() && sealed_is_ours {
        // Only a copy of the staged file so far, and in the way of the next attempt.
        drop(fs::remove_file(&sealed));
    }
    let output =
        context.kept(outcome, || format!("finished layers stay in {}; the same command goes on", cache.display()))?;
    output.write_file(&proof, &out, given.force)?;
    if let Some(folder) = &given.folder
        && (given.force || given.identity.is_none())
    {
        folder.write_identity(&Identity::of(&proof, &identity), given.force)?;
    }
    let cost = meter.stop();

    let (comm_d, shown) = data_commitment(&output.comm_d);
    let params = proof.config().params;
    let mut fields = Table::fields();
    fields.row(["CommD", &shown]);
    fields.row(["Layers", &format!("{} of {} in {}", params.layers, params.name, cache.display())]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "comm_d": comm_d, "layers": params.layers, "cache": cache, "sealed": sealed, "output": out });
    Ok(phase::report("PC1", params.size_bytes, cost, &fields, json, given.next("pc2", "")))
}

/// Whether there is nothing but what a killed attempt leaves: its copy of the data, which holds nothing that is not in the staged
/// file.
pub fn is_copy(sealed: &Path, staged: &Path, size_bytes: u64) -> anyhow::Result<bool> {
    Ok(fs::metadata(sealed).map_or(true, |metadata| metadata.len() == 0)
        || files::is_extended_copy(sealed, staged, size_bytes)?)
}

fn pc2(args: &args::Pc2, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let input = given.path(args.pc1.as_ref(), Folder::pc1, "--pc1")?;
    let sealed = given.path(args.sealed.as_ref(), Folder::sealed, "--sealed")?;
    let cache = given.path(args.cache.as_ref(), Folder::cache, "--cache")?;
    let out = given.path(args.out.as_ref(), Folder::pc2, "--out")?;
    let (proof, pc1) = PreCommit1Output::read_file(given.profile()?, &input)?;
    files::require_file(&sealed, "sealed file")?;
    files::refuse_existing(&out, given.force)?;

    let job = context.job_on_devices(Phase::Pc2, proof.config().params.size_bytes)?;
    let meter = Meter::start();
    let outcome = seal::pre_commit_phase2(&job, &proof.config(), &pc1, &cache, &sealed);
    let output = context.kept(outcome, || "finished trees stay; the same command goes on".to_owned())?;
    output.write_file(&proof, &out, given.force)?;
    let cost = meter.stop();

    let (comm_r, shown) = replica_commitment(&output.comm_r);
    let mut fields = Table::fields();
    fields.row(["CommR", &shown]);
    fields.row(["Replica", &sealed.display().to_string()]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "comm_r": comm_r, "cache": cache, "sealed": sealed, "output": out });
    let (step, flags) = match proof.config().feature {
        Feature::Interactive => ("c1", " --seed …"),
        Feature::Synthetic => ("synth", ""),
        Feature::NonInteractive => ("c1", ""),
    };
    let size = proof.config().params.size_bytes;
    Ok(phase::report("PC2", size, cost, &fields, json, given.next(step, flags)))
}

/// Where the files of a sector after PC2 are.
struct CommitFiles {
    input: PathBuf,
    list: PathBuf,
    sealed: PathBuf,
    cache: PathBuf,
}

impl CommitFiles {
    fn find(given: &Given<'_>, flags: &args::CommitInputs) -> anyhow::Result<Self> {
        Ok(Self {
            input: given.path(flags.pc2.as_ref(), Folder::pc2, "--pc2")?,
            list: given.path(flags.pieces.as_ref(), Folder::pieces, "--pieces")?,
            sealed: given.path(flags.sealed.as_ref(), Folder::sealed, "--sealed")?,
            cache: given.path(flags.cache.as_ref(), Folder::cache, "--cache")?,
        })
    }
}

fn synth(args: &args::synth::Synth, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let CommitFiles { input, list, sealed, cache } = CommitFiles::find(&given, &args.inputs)?;
    let identity = given.sector_identity(&args.identity)?;
    let (proof, pc2) = PreCommit2Output::read_file(given.profile()?, &input)?;
    let pieces: Vec<PieceInfo> = files::read_json(&list, "list of pieces")?;
    files::require_file(&sealed, "sealed file")?;
    let out = cache.join(SYNTHETIC_PROOFS);
    files::refuse_existing(&out, given.force)?;

    let meter = Meter::start();
    let outcome =
        seal::generate_synth_proofs(&context.job(), &proof.config(), &cache, &sealed, &identity, &pc2, &pieces);
    context.kept(outcome, || "no synthetic proofs were written".to_owned())?;
    let cost = meter.stop();

    let bytes = files::require_file(&out, "file of synthetic proofs")?;
    let proofs = phase::synthetic_proofs(proof.config().params);
    let mut fields = Table::fields();
    fields.row(["Synthetic", &format!("{} in {}", count(proofs, "vanilla proof"), ByteSize(bytes))]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "synthetic_proofs": proofs, "bytes": bytes, "output": out });
    Ok(phase::report("Synth", bytes, cost, &fields, json, given.next("clear-cache", "")))
}

fn c1(args: &args::C1, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let CommitFiles { input, list, sealed, cache } = CommitFiles::find(&given, &args.inputs)?;
    let out = given.path(args.out.as_ref(), Folder::c1, "--out")?;
    let identity = given.sector_identity(&args.identity)?;
    let (proof, pc2) = PreCommit2Output::read_file(given.profile()?, &input)?;
    let seed = given.seed(args.seed, &proof)?;
    let pieces: Vec<PieceInfo> = files::read_json(&list, "list of pieces")?;
    files::require_file(&sealed, "sealed file")?;
    files::refuse_existing(&out, given.force)?;

    let meter = Meter::start();
    let outcome =
        seal::commit_phase1(&context.job(), &proof.config(), &cache, &sealed, &identity, &seed, &pc2, &pieces);
    let output = context.kept(outcome, || "nothing was written".to_owned())?;
    output.write_file(&proof, &out, given.force)?;
    if let (Some(folder), Some(known)) = (&given.folder, &given.identity)
        && proof.config().feature != Feature::NonInteractive
    {
        folder.write_identity(&Identity { seed: Some(args::Hex32(seed)), ..known.clone() }, true)?;
    }
    let cost = meter.stop();

    let (partitions, challenges) = layout(&proof.config())?;
    let challenges = format!("{challenges} challenges in each of {}", count(partitions as u64, "partition"));
    let mut fields = Table::fields();
    fields.row(["Vanilla", &challenges]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "partitions": partitions, "output": out });
    Ok(phase::report("C1", 0, cost, &fields, json, given.next("c2", "")))
}

fn c2(args: &args::C2, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let input = given.path(args.c1.as_ref(), Folder::c1, "--c1")?;
    let out = given.path(args.out.as_ref(), Folder::proof, "--out")?;
    let (proof, c1) = Commit1Output::read_file(given.profile()?, &input)?;
    let mut flags = args.identity.clone();
    flags.ticket = flags.ticket.or(Some(args::Hex32(c1.ticket)));
    let identity = given.sector_identity(&flags)?;
    files::refuse_existing(&out, given.force)?;

    let (job, meter) = (context.job_on_devices(Phase::C2, proof.config().params.size_bytes)?, Meter::start());
    let outcome = prove::commit_phase2(&job, &proof.config(), &c1, &identity);
    let bytes = context.kept(outcome, || "no proof was written; the same command begins anew".to_owned())?;
    files::write(&out, &bytes, given.force)?;
    let cost = meter.stop();

    let mut fields = Table::fields();
    let made_of = match proof.config().feature {
        Feature::Interactive | Feature::Synthetic => format!("{PARTITION_PROOF_BYTES} for each partition"),
        Feature::NonInteractive => {
            format!("the aggregate of {}", count(c1.vanilla_proofs.len() as u64, "partition"))
        }
    };
    fields.row(["Proof", &format!("{} bytes, {made_of}", grouped(bytes.len() as u64))]);
    fields.row(["Output", &out.display().to_string()]);
    let json = json!({ "proof_bytes": bytes.len(), "proof": hex::encode(&bytes), "output": out });
    Ok(phase::report("C2", 0, cost, &fields, json, given.next("verify", "")))
}

/// Bytes of one Groth16 proof.
const PARTITION_PROOF_BYTES: usize = 192;

fn verify(args: &args::Verify, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args::Replace::default())?;
    let proof = given.proof(&args.proof)?;
    let identity = given.sector_identity(&args.identity)?;
    let seed = given.seed(args.seed, &proof)?;
    let file = given.path(args.proof_file.as_ref(), Folder::proof, "--proof")?;
    let bytes = proof_bytes(files::read(&file, "proof")?);
    let commitments = Commitments::find(&given, &args.data, args.comm_r)?;
    let comm_r = commitments.comm_r()?;
    let comm_d = commitments.comm_d()?;

    let meter = Meter::start();
    let outcome = verify::verify_seal(&context.job(), &proof.config(), &comm_r, &comm_d, &identity, &seed, &bytes);
    let cost = meter.stop();

    let mut fields = Table::fields();
    fields.row(["Proof", &format!("{} ({} bytes)", file.display(), bytes.len())]);
    fields.row(["Sector", &format!("{} of {}", identity.sector_id, prover_name(&identity.prover_id))]);
    fields.row(["Registered", &format!("{} ({} {})", proof.name, proof.profile, proof.id)]);
    fields.row(["CommD", &data_commitment(&comm_d).1]);
    fields.row(["CommR", &replica_commitment(&comm_r).1]);
    phase::verdict("proof", context, outcome, cost, &fields)
}

/// A prover id as the address of the actor that it is made of, else as hex digits.
pub fn prover_name(id: &ProverId) -> String {
    let end = id.iter().position(|byte| byte & 0x80 == 0).unwrap_or(0);
    let actor = id[..=end].iter().rev().fold(0_u128, |actor, byte| (actor << 7) | u128::from(byte & 0x7f));
    match u64::try_from(actor) {
        Ok(actor) if prover_id(actor) == *id => format!("f0{actor}"),
        _ => hex::encode(id),
    }
}

/// A proof file's bytes, or what its hex digits say. No proof consists of hex digits by accident.
pub fn proof_bytes(file: Vec<u8>) -> Vec<u8> {
    hex::decode(file.trim_ascii()).unwrap_or(file)
}

fn unseal(args: &args::Unseal, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args.replace)?;
    let proof = given.proof(&args.proof)?;
    let identity = given.sector_identity(&args.identity)?;
    let sealed = given.path(args.sealed.as_ref(), Folder::sealed, "--sealed")?;
    let comm_d = Commitments::find(&given, &args.data, None)?.comm_d()?;
    files::require_file(&sealed, "sealed file")?;
    let cache = args.cache.clone().or_else(|| given.folder.as_ref().map(Folder::cache)).filter(|cache| cache.is_dir());
    let params = proof.config().params;
    let end = match given.identity.as_ref().and_then(|identity| identity.file_bytes) {
        Some(bytes) if args.extract.offset.0 == 0 => bytes,
        _ => params.unpadded_bytes(),
    };
    let range = args.extract.range(end, params.unpadded_bytes(), context)?;
    let beside = if args.extract.to_stdout() { &sealed } else { &args.extract.out };
    let scratch = args.scratch.as_deref().unwrap_or(files::folder(beside));
    let scratch = unseal_scratch(scratch)?;
    let sector = SealedSector { sealed: &sealed, cache: cache.as_deref(), scratch: scratch.path() };
    args.extract.run(("Unseal", params.size_bytes), range, given.force, |out| {
        let job = context.job();
        let outcome = unseal::unseal_range(&job, &proof.config(), &sector, &identity, &comm_d, range, out);
        context.kept(outcome, || "no data was kept".to_owned())
    })
}

/// A folder in `folder` for the layers that unsealing computes; gone when it is dropped.
pub fn unseal_scratch(folder: &Path) -> anyhow::Result<TempDir> {
    let scratch = tempfile::Builder::new().prefix(".filecash-unseal-").tempdir_in(folder);
    scratch.with_context(|| format!("cannot write into {}", folder.display()))
}

fn clear_cache(args: &args::ClearCache, context: &Context) -> anyhow::Result<Report> {
    let given = Given::new(context, &args.place, args::Replace::default())?;
    let cache = given.path(args.cache.as_ref(), Folder::cache, "--cache")?;
    let size = folder_bytes(&cache)?;
    seal::clear_cache(&cache)?;
    if args.synthetic {
        seal::clear_synthetic_proofs(&cache)?;
    }
    let freed = size.saturating_sub(folder_bytes(&cache)?);
    let synthetic = cache.join(SYNTHETIC_PROOFS).exists();
    let stay = if synthetic {
        "p_aux, t_aux, tree-r-last and the synthetic proofs stay"
    } else {
        "p_aux, t_aux and tree-r-last stay"
    };
    let text = format!("Freed {} in {}; {stay}\n", ByteSize(freed), cache.display());
    Ok(Report::done(text, json!({ "cache": cache, "freed_bytes": freed, "synthetic_proofs": synthetic })))
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let context = || format!("cannot read the cache folder {}", folder.display());
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(context)? {
        bytes += entry.and_then(|entry| entry.metadata()).with_context(context)?.len();
    }
    Ok(bytes)
}

/// Commitments from flags, or from the output of PC2.
struct Commitments {
    comm_r: Option<Node>,
    comm_d: Option<Node>,
    pc2: Option<PreCommit2Output>,
}

impl Commitments {
    fn find(given: &Given<'_>, data: &args::DataCommitment, comm_r: Option<args::Hex32>) -> anyhow::Result<Self> {
        let default = given.folder.as_ref().map(Folder::pc2).filter(|path| path.exists());
        let pc2 = match data.pc2.as_ref().or(default.as_ref()) {
            Some(path) => Some(PreCommit2Output::read_file(given.profile()?, path)?.1),
            None => None,
        };
        Ok(Self { comm_r: comm_r.map(|hex| hex.0), comm_d: data.comm_d.map(|hex| hex.0), pc2 })
    }

    fn comm_r(&self) -> anyhow::Result<Node> {
        self.comm_r.or(self.pc2.as_ref().map(|pc2| pc2.comm_r)).ok_or_else(|| missing_commitment("--comm-r"))
    }

    fn comm_d(&self) -> anyhow::Result<Node> {
        self.comm_d.or(self.pc2.as_ref().map(|pc2| pc2.comm_d)).ok_or_else(|| missing_commitment("--comm-d"))
    }
}

fn missing_commitment(flag: &str) -> anyhow::Error {
    Failure::missing(flag).hint("give it, or --pc2 with the output of PC2").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provers_are_shown_as_addresses_where_they_are() {
        for actor in [0, 1000, u64::MAX] {
            assert_eq!(prover_name(&prover_id(actor)), format!("f0{actor}"));
        }
        for id in [[9; 32], [0xff; 32], [0x80; 32]] {
            assert_eq!(prover_name(&id), hex::encode(id));
        }
    }

    #[test]
    fn proofs_are_bytes_or_hex_digits() {
        assert_eq!(proof_bytes(vec![1, 2, 255]), [1, 2, 255]);
        assert_eq!(proof_bytes(b"0102ff\n".to_vec()), [1, 2, 255]);
    }
}
