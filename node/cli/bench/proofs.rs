//! `filecash bench prove` and `verify`: C2 of a saved input, and verification of many seals.

use std::fs;
use std::path::Path;

use filecash_engine::api::batch::{ProvenSeal, SealStatement, SealVerifier};
use filecash_engine::api::{SectorIdentity, prove as engine};
use filecash_engine::backend::Phase as Stage;
use filecash_engine::circuit::PoRepShape;
use filecash_engine::config::Config;
use filecash_engine::field::Node;
use filecash_engine::groth16::Simulator;
use filecash_engine::job::{Job, Quiet};
use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore};
use filecash_engine::porep::outputs::Commit1Output;
use filecash_engine::porep::simulate::simulate;
use filecash_engine::sector::SealProof;
use rand_core::OsRng;

use super::Times;
use super::document::{Benchmark, Document};
use super::input;
use super::machine::Machine;
use super::sealing::{devices_of, settings};
use super::series::Series;
use crate::args::bench::{Prove, Verify};
use crate::context::Context;
use crate::files;
use crate::params;
use crate::phase::Codec;
use crate::report::{Failure, Kind, with_causes};
use crate::text;

/// Measures C2 of a saved input.
pub fn prove(args: &Prove, context: &Context) -> anyhow::Result<Document> {
    let (proof, sector_id, c1) = match (&args.input, args.sector_size) {
        (Some(path), _) => saved(path, args.sector, context)?,
        (None, Some(size)) => simulated(args, SealProof::for_size(context.profile(), size.0)?, context)?,
        (None, None) => return Err(Failure::missing("INPUT").into()),
    };
    let identity = SectorIdentity { prover_id: args.miner.prover_id(), sector_id, ticket: c1.ticket };
    let (config, size) = (proof.config(), proof.config().params.size_bytes);
    let all = c1.vanilla_proofs.len();
    let partitions = args.partitions.map_or(all, |count| count as usize);
    if partitions > all {
        let message = format!("the proof of such a sector has {}", text::count(all as u64, "partition"));
        return Err(Failure::new(Kind::Input, message).into());
    }

    let outcome = (|| {
        params::make_or_reuse(context, &proof, CircuitKind::PoRep)?;
        context.job_on_devices(Stage::C2, size)?;
        let amount = if partitions == all { (1, "sectors") } else { (partitions as u64, "partitions") };
        let series = Series::new("c2", amount, Times::long(&args.repeats));
        context.teller.phase("c2");
        let work = |(): &mut ()| {
            let job = context.job_on_devices(Stage::C2, size)?;
            Ok(match partitions == all {
                true => engine::commit_phase2(&job, &config, &c1, &identity)?,
                false => engine::prove_partitions(&job, &config, &c1, &identity, 0..partitions)?,
            })
        };
        let (phase, _) = series.on_devices_of(Some(Stage::C2), context).run(context, |_| Ok(()), work)?;
        context.teller.phase("");
        Ok::<_, anyhow::Error>(phase)
    })();
    let phase = context.kept(outcome, || "no result was written".to_owned())?;
    let machine = Machine::of(devices_of(&[Stage::C2], context));
    Ok(Document::new(Benchmark::Prove, machine, settings(context, size, 1), vec![phase], None))
}

/// A saved input, and the number of its sector.
fn saved(path: &Path, sector: Option<u64>, context: &Context) -> anyhow::Result<(SealProof, u64, Commit1Output)> {
    let (known, bytes) = input::parse(files::read(path, "input of C2")?)?;
    let (proof, c1) = Commit1Output::decode(context.profile(), &bytes).map_err(|error| {
        let cause = with_causes(&error);
        let message = format!("{} is no input of C2 of profile {}: {cause}", path.display(), context.profile());
        Failure::new(Kind::Input, message)
    })?;
    let sector = sector.or(known).ok_or_else(|| {
        Failure::missing("--sector").hint("a file of bench sealing --save-commit2-input knows its sector")
    })?;
    Ok((proof, sector, c1))
}

/// The input of a sector that nobody sealed.
fn simulated(args: &Prove, proof: SealProof, context: &Context) -> anyhow::Result<(SealProof, u64, Commit1Output)> {
    let (sector, prover_id) = (args.sector.unwrap_or(1), args.miner.prover_id());
    let job = Job { progress: &Quiet, ..context.job() };
    let c1 = simulate(&job, &proof.config(), &prover_id, sector, &[1; 32], &[2; 32])?;
    Ok((proof, sector, c1))
}

/// Measures verification of seals whose proofs are simulated under a key of known secrets: no verifier can tell, and an
/// honest one would take seconds to make.
pub fn verify(args: &Verify, context: &Context) -> anyhow::Result<Document> {
    let proof = SealProof::for_size(context.profile(), args.sector_size.0)?;
    let size = proof.config().params.size_bytes;
    let folder = tempfile::tempdir()?;
    let seals = Seals::simulated(folder.path(), &proof, args.num_proofs, context)?;
    let proven: Vec<_> =
        seals.list.iter().map(|(statement, proof)| ProvenSeal { statement: *statement, proof }).collect();

    let job = Job { progress: &Quiet, ..context.job() };
    let times = Times::short(&args.repeats);
    let series = |name| Series::new(name, (proven.len() as u64, "proofs"), times);
    let outcome = (|| {
        let (one_by_one, ()) = series("one by one").run(
            context,
            |_| Ok(()),
            |()| Ok(proven.iter().try_for_each(|seal| seals.verifier.verify(seal))?),
        )?;
        let (batch, ()) =
            series("batch").run(context, |_| Ok(()), |()| Ok(seals.verifier.verify_all(&job, &proven)?))?;
        Ok::<_, anyhow::Error>(vec![one_by_one, batch])
    })();
    let phases = context.kept(outcome, || "no result was written".to_owned())?;
    let settings = settings(context, size, u64::from(args.num_proofs));
    Ok(Document::new(Benchmark::Verify, Machine::of(vec![]), settings, phases, None))
}

/// Seals that hold under a key of their own.
struct Seals {
    verifier: SealVerifier,
    list: Vec<(SealStatement, Vec<u8>)>,
}

impl Seals {
    fn simulated(folder: &Path, proof: &SealProof, count: u32, context: &Context) -> anyhow::Result<Self> {
        let config = proof.config();
        let id = ParamId::new(proof.profile, CircuitKind::PoRep, config.params.size_bytes)?;
        let inputs = PoRepShape::new(proof.profile, config.params).inputs();
        let simulator = Simulator::random(inputs, OsRng);
        let path = ParamStore::new(folder).path(&id, FileKind::VerifyingKey);
        fs::create_dir_all(files::folder(&path))?;
        fs::write(path, simulator.key().to_bytes())?;
        let settings = Config { parameter_cache: folder.to_owned(), ..context.config.clone() };
        let verifier = SealVerifier::open(&Job { config: &settings, progress: &Quiet, ..context.job() }, &config)?;
        let seal = |number: u32| -> anyhow::Result<_> {
            // Different from seal to seal, and below the field's modulus.
            let bytes = |purpose: u8| -> Node {
                let mut bytes = [purpose; 32];
                bytes[..4].copy_from_slice(&number.to_le_bytes());
                bytes
            };
            let identity = SectorIdentity { prover_id: [9; 32], sector_id: number.into(), ticket: bytes(1) };
            let statement = SealStatement { identity, comm_r: bytes(2), comm_d: bytes(3), seed: bytes(4) };
            let inputs = verifier.inputs(&statement)?;
            let proofs = inputs.iter().flat_map(|inputs| simulator.prove(inputs, OsRng).to_bytes()).collect();
            if context.is_cancelled() {
                return Err(Failure::new(Kind::Cancelled, "cancelled").into());
            }
            Ok((statement, proofs))
        };
        let made = (0..count).map(seal).collect::<Result<Vec<_>, _>>();
        let list = context.kept(made, || "no result was written".to_owned())?;
        Ok(Self { verifier, list })
    }
}
