//! `filecash quickstart`: the whole life of a sector in one go, and what each phase of it cost.
//!
//! The sector stays on disk as a [`Folder`], so that every other verb has something to be tried on. Ticket and seed,
//! which a chain would give, are fixed texts: the same file gives the same commitments everywhere. In a folder that this
//! command began before, what is finished is taken, and the rest is made.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use filecash_engine::api::post::{self, PoStRound, PoStSector, ReadLimits, WindowOptions, WindowProof};
use filecash_engine::api::unseal::SealedSector;
use filecash_engine::api::{SectorIdentity, prove, seal, unseal, verify};
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::field::fr32::RawRange;
use filecash_engine::params::CircuitKind;
use filecash_engine::porep::challenges::NO_SEED;
use filecash_engine::sector::piece::{self, PaddedLen, PieceInfo};
use filecash_engine::sector::{Feature, PoStKind, PoStProof, Profile, SealProof};
use filecash_engine::store::files::SYNTHETIC_PROOFS;
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args::{self, Hex32, Miner};
use crate::context::Context;
use crate::files;
use crate::filler::filler;
use crate::folder::{self, Described as _, Folder, Identity};
use crate::measure::{Cost, Meter};
use crate::params::{self, Origin};
use crate::phase::{Codec, data_commitment, replica_commitment};
use crate::report::{Failure, Kind, Report};
use crate::text::Align::{Left, Right};
use crate::text::{self, Table, grouped, shell_word};

/// What is sealed when no file is given.
const TEXT: &[u8] = include_bytes!("quickstart.txt");
/// Sizes whose parameters a small machine can make.
const SIZES: [u64; 3] = [2 << 10, 8 << 20, 512 << 20];
const MINER: Miner = Miner(1000);
const TICKET: Node = *b"the ticket of filecash quickstar";
const SEED: Node = *b"the seed of filecash quickstart!";
/// Randomness of the proofs of space-time; the exclamation mark keeps it below the modulus.
const RANDOMNESS: Node = *b"a beacon of filecash quickstart!";
/// Time between two blocks: a winning proof has to be there before it is over.
const EPOCH: &str = "30 s";
/// Time for the proofs of a deadline.
const WINDOW: &str = "30 min";

/// Names of phases that the report mentions.
const PC1: &str = "PC1";
const PC2: &str = "PC2";
const C2: &str = "C2";
const SYNTH: &str = "synthetic proofs";
const WINNING_POST: &str = "winning PoSt";
const WINDOW_POST: &str = "window PoSt";

/// What is being sealed.
struct Subject {
    path: Option<PathBuf>,
    bytes: u64,
}

impl Subject {
    fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            None => Ok(Self { path: None, bytes: TEXT.len() as u64 }),
            Some(path) => Ok(Self { path: Some(path.to_owned()), bytes: files::require_file(path, "file to seal")? }),
        }
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or("our own short text".to_owned(), |path| path.display().to_string())
    }

    fn open(&self) -> anyhow::Result<Box<dyn Read + Send>> {
        match &self.path {
            None => Ok(Box::new(Cursor::new(TEXT))),
            Some(path) => Ok(Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)),
        }
    }
}

/// A sector being made.
struct Run<'a> {
    context: &'a Context,
    subject: Subject,
    proof: SealProof,
    folder: Folder,
    identity: SectorIdentity,
    /// What each phase cost; nothing where it was done before.
    costs: Vec<(&'static str, Option<Cost>)>,
}

/// What came out.
struct Outcome {
    piece: PieceInfo,
    comm_d: Node,
    comm_r: Node,
    proof: Vec<u8>,
    parameters: PathBuf,
    origin: Origin,
}

/// Runs the verb.
pub fn run(args: &args::Quickstart, context: &Context) -> anyhow::Result<Report> {
    let subject = Subject::new(args.file.as_deref())?;
    let proof = choose_size(context.profile(), &subject, args.sector_size, args.feature)?;
    let params = proof.config().params;
    // Devices that are not there are missed before anything is made.
    for phase in [Phase::Pc1, Phase::Pc2, Phase::C2, Phase::PoSt] {
        context.job_on_devices(phase, params.size_bytes)?;
    }
    let (folder, number) = match &args.dir {
        None => folder::free(),
        Some(path) => (Folder::new(path), 1),
    };
    let identity = SectorIdentity { prover_id: MINER.prover_id(), sector_id: number, ticket: TICKET };
    let mut run = Run { context, subject, proof, folder, identity, costs: vec![] };
    let begun = if run.open_folder()? { "Going on with" } else { "Sealing" };
    context.teller.note(&format!(
        "{begun} {} ({} bytes) into a sector of {}, profile {}, in {}",
        run.subject.name(),
        grouped(run.subject.bytes),
        ByteSize(params.size_bytes),
        proof.profile,
        run.folder.path().display()
    ));
    let outcome = run.seal();
    let outcome = context.kept(outcome, || run.kept())?;
    run.report(&outcome)
}

/// The smallest size that holds the file, unless one was asked for.
fn choose_size(
    profile: Profile,
    subject: &Subject,
    asked: Option<ByteSize>,
    feature: Feature,
) -> anyhow::Result<SealProof> {
    let refuse = |message: String| Err(Failure::new(Kind::Input, message).into());
    if let Some(size) = asked.filter(|size| !SIZES.contains(&size.0)) {
        return refuse(format!("quickstart knows sectors of 2 KiB, 8 MiB and 512 MiB, not {size}"));
    }
    let sizes = SIZES.into_iter().filter(|size| asked.is_none_or(|asked| asked.0 == *size));
    let mut capacity = 0;
    for size in sizes {
        let proof = SealProof::with_feature(profile, size, feature)?;
        capacity = proof.config().params.unpadded_bytes();
        if subject.bytes <= capacity {
            return Ok(proof);
        }
    }
    let what = if asked.is_some() { "the sector" } else { "the largest test sector, 512 MiB," };
    refuse(format!("{} has {} bytes, {what} holds {}", subject.name(), grouped(subject.bytes), grouped(capacity)))
}

impl Run<'_> {
    /// Makes the sector's folder. One that is there already has to be empty, or to hold the sector that this command
    /// began; whether it does.
    fn open_folder(&self) -> anyhow::Result<bool> {
        let path = self.folder.path();
        let context = || format!("cannot make the folder {}", path.display());
        let is_begun = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error).with_context(context),
            Ok(mut entries) => entries.next().is_some(),
        };
        fs::create_dir_all(path).with_context(context)?;
        if is_begun {
            let refuse = |what: &str| {
                let message = format!("{} is already there and {what}", path.display());
                Err(Failure::new(Kind::Exists, message).hint("choose another --dir").into())
            };
            match self.folder.read_identity()? {
                None => return refuse("not empty"),
                Some(found) if found != self.description() => return refuse("holds another sector"),
                Some(_) => {}
            }
        } else {
            self.folder.write_identity(&self.description(), false)?;
        }
        fs::create_dir_all(self.folder.cache()).with_context(context)?;
        Ok(is_begun)
    }

    /// Measures a phase whose result is a file, which is read if the phase was done before.
    fn step<T>(
        &mut self,
        name: &'static str,
        output: PathBuf,
        read: impl FnOnce(&Self, &Path) -> anyhow::Result<T>,
        work: impl FnOnce(&Self, &Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if output.exists() {
            self.costs.push((name, None));
            return read(self, &output);
        }
        self.phase(name, |run| work(run, &output))
    }

    /// Reads what a phase of this sector wrote.
    fn read<T: Codec>(&self, path: &Path) -> anyhow::Result<T> {
        let (proof, output) = T::read_file(self.proof.profile, path)?;
        if proof.id != self.proof.id {
            let message =
                format!("{} is the {} of {}, not of {}", path.display(), T::NAME, proof.name, self.proof.name);
            return Err(Failure::new(Kind::Input, message).into());
        }
        Ok(output)
    }

    /// Measures one phase.
    fn phase<T>(&mut self, name: &'static str, work: impl FnOnce(&Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.context.teller.phase(name);
        let meter = Meter::start();
        let outcome = work(self).with_context(|| format!("{name} failed"));
        self.costs.push((name, Some(meter.stop())));
        self.context.teller.phase("");
        outcome
    }

    fn seal(&mut self) -> anyhow::Result<Outcome> {
        let (proof, config) = (self.proof, self.proof.config());
        let (parameters, origin) =
            self.phase("parameters", |run| params::make_or_reuse(run.context, &proof, CircuitKind::PoRep))?;
        if config.feature == Feature::NonInteractive {
            self.phase("reference string", |run| params::make_or_reuse_srs(run.context))?;
        }
        let pieces = self.phase("add piece", Self::add_pieces)?;

        let (cache, sealed) = (self.folder.cache(), self.folder.sealed());
        let pc1 = self.step(PC1, self.folder.pc1(), Self::read, |run, output| {
            let staged = run.folder.staged();
            let job = run.context.job_on_devices(Phase::Pc1, config.params.size_bytes)?;
            let pc1 = seal::pre_commit_phase1(&job, &config, &cache, &staged, &sealed, &run.identity, &pieces)
                .inspect_err(|_| drop(fs::remove_file(&sealed)))?;
            pc1.write_file(&proof, output, false)?;
            Ok(pc1)
        })?;
        let pc2 = self.step(PC2, self.folder.pc2(), Self::read, |run, output| {
            let job = run.context.job_on_devices(Phase::Pc2, config.params.size_bytes)?;
            let pc2 = seal::pre_commit_phase2(&job, &config, &pc1, &cache, &sealed)?;
            pc2.write_file(&proof, output, false)?;
            Ok(pc2)
        })?;
        if config.feature == Feature::Synthetic {
            self.step(
                SYNTH,
                cache.join(SYNTHETIC_PROOFS),
                |_, _| Ok(()),
                |run, _| {
                    let job = run.context.job();
                    Ok(seal::generate_synth_proofs(&job, &config, &cache, &sealed, &run.identity, &pc2, &pieces)?)
                },
            )?;
            // The rest needs layers and trees no more.
            seal::clear_cache(&cache)?;
        }
        let seed = self.seed();
        let c1 = self.step("C1", self.folder.c1(), Self::read, |run, output| {
            let job = run.context.job();
            let c1 = seal::commit_phase1(&job, &config, &cache, &sealed, &run.identity, &seed, &pc2, &pieces)?;
            c1.write_file(&proof, output, false)?;
            Ok(c1)
        })?;
        let snark = self.step(
            C2,
            self.folder.proof(),
            |_, path| files::read(path, "proof"),
            |run, output| {
                let job = run.context.job_on_devices(Phase::C2, config.params.size_bytes)?;
                let bytes = prove::commit_phase2(&job, &config, &c1, &run.identity)?;
                files::write(output, &bytes, false)?;
                Ok(bytes)
            },
        )?;
        self.phase("verify", |run| {
            let job = run.context.job();
            Ok(verify::verify_seal(&job, &config, &pc2.comm_r, &pc2.comm_d, &run.identity, &seed, &snark)?)
        })?;
        self.space_time(&pc2.comm_r)?;
        self.phase("unseal", |run| run.unseal(&pc2.comm_d))?;
        let piece = pieces[0];
        Ok(Outcome { piece, comm_d: pc2.comm_d, comm_r: pc2.comm_r, proof: snark, parameters, origin })
    }

    /// The seed; what stands in its place where there is none.
    fn seed(&self) -> Node {
        if self.proof.config().feature == Feature::NonInteractive { NO_SEED } else { SEED }
    }

    /// Proves that the sector is still held: once as for a block, once as for a deadline.
    fn space_time(&mut self, comm_r: &Node) -> anyhow::Result<()> {
        let seal = self.proof;
        let size_bytes = seal.config().params.size_bytes;
        self.phase("PoSt parameters", |run| {
            params::make_or_reuse(run.context, &seal, CircuitKind::Winning)?;
            params::make_or_reuse(run.context, &seal, CircuitKind::Window)
        })?;
        let (cache, sealed) = (self.folder.cache(), self.folder.sealed());
        let sector = PoStSector { sector_id: self.identity.sector_id, comm_r: *comm_r, cache, sealed };
        let round = |kind| -> anyhow::Result<PoStRound> {
            let proof = PoStProof::for_size(seal.profile, kind, seal.config().params.size_bytes)?;
            Ok(PoStRound::new(&proof.config(), &RANDOMNESS, &MINER.prover_id())?)
        };
        self.step(
            WINNING_POST,
            self.folder.winning(),
            |_, _| Ok(()),
            |run, output| {
                let job = run.context.job_on_devices(Phase::PoSt, size_bytes)?;
                let proof = post::prove_winning(&job, &round(PoStKind::Winning)?, &sector, &ReadLimits::default())?;
                files::write(output, &proof, false)
            },
        )?;
        self.step(
            WINDOW_POST,
            self.folder.window(),
            |_, _| Ok(()),
            |run, output| {
                let (round, options) = (round(PoStKind::Window)?, WindowOptions::default());
                let job = run.context.job_on_devices(Phase::PoSt, size_bytes)?;
                let WindowProof { proof, .. } =
                    post::prove_window(&job, &round, std::slice::from_ref(&sector), &options)?;
                files::write(output, &proof, false)
            },
        )
    }

    /// The time that a phase took, unless it was done before.
    fn time_of(&self, phase: &str) -> Option<Duration> {
        let (_, cost) = self.costs.iter().find(|(name, _)| *name == phase)?;
        cost.map(|cost| cost.wall)
    }

    /// What stays after a stop, and how to go on.
    fn kept(&self) -> String {
        format!(
            "what is finished stays in {0}; the same command with --dir {0} goes on",
            shell_word(self.folder.path())
        )
    }

    /// The file as one piece, then zero pieces until the sector is full.
    fn add_pieces(&self) -> anyhow::Result<Vec<PieceInfo>> {
        let size = PaddedLen::holding(self.subject.bytes)?.unpadded();
        let source = self.subject.open()?.chain(io::repeat(0)).take(size.get());
        let (params, job) = (self.proof.config().params, self.context.job());
        let (staged, list) = (self.folder.staged(), self.folder.pieces());
        let all = |piece| -> anyhow::Result<Vec<PieceInfo>> {
            let mut pieces = vec![piece];
            pieces.extend(filler(params, &pieces)?);
            Ok(pieces)
        };
        if list.exists() {
            let pieces = all(piece::comm_p_of_stream(source, size.get(), &job)?.piece)?;
            if files::read_json::<Vec<PieceInfo>>(&list, "list of pieces")? != pieces {
                let message = format!("{} is not the file that {} was begun with", self.subject.name(), list.display());
                return Err(Failure::new(Kind::Exists, message).hint("choose another --dir").into());
            }
            return Ok(pieces);
        }
        // A stop may have left a part of it.
        if staged.exists() {
            fs::remove_file(&staged).with_context(|| format!("cannot replace {}", staged.display()))?;
        }
        let pieces = all(seal::add_piece(&job, params, source, &staged, size, &[])?.piece)?;
        files::write(&list, &files::json(&pieces)?, false)?;
        Ok(pieces)
    }

    /// Gets the file's bytes back and compares them with the file.
    fn unseal(&self, comm_d: &Node) -> anyhow::Result<()> {
        let scratch = tempfile::Builder::new().prefix("unseal-").tempdir_in(self.folder.path())?;
        let mut compare = Compare::new(self.subject.open()?);
        let (job, sealed) = (self.context.job(), self.folder.sealed());
        // Without the cache, which may hold the last layer: labels are computed again, as after months in a vault.
        let sector = SealedSector { sealed: &sealed, cache: None, scratch: scratch.path() };
        let length = self.subject.bytes;
        let range = RawRange { offset: 0, len: length };
        let config = self.proof.config();
        let outcome = unseal::unseal_range(&job, &config, &sector, &self.identity, comm_d, range, &mut compare);
        if compare.differs {
            let message = format!("unsealed bytes differ from {} at byte {}", self.subject.name(), compare.same);
            return Err(Failure::new(Kind::Rejected, message).into());
        }
        outcome?;
        if compare.same == length {
            return Ok(());
        }
        let message = format!("{} of {} bytes of {} came back", compare.same, length, self.subject.name());
        Err(Failure::new(Kind::Rejected, message).into())
    }

    /// What `sector.json` says.
    fn description(&self) -> Identity {
        let file_bytes = Some(self.subject.bytes);
        let seed = Some(Hex32(SEED)).filter(|_| self.proof.config().feature != Feature::NonInteractive);
        Identity { seed, file_bytes, ..Identity::of(&self.proof, &self.identity) }
    }

    fn report(&self, outcome: &Outcome) -> anyhow::Result<Report> {
        let params = self.proof.config().params;
        let folder = shell_word(self.folder.path());
        let (piece, piece_cid) = data_commitment(&outcome.piece.commitment);
        let (comm_d, unsealed_cid) = data_commitment(&outcome.comm_d);
        let (comm_r, sealed_cid) = replica_commitment(&outcome.comm_r);
        let next = [
            format!("filecash sector inspect {folder}"),
            format!("filecash seal verify --dir {folder}"),
            format!(
                "filecash post window verify --dir {folder} --proof {} --randomness {}",
                shell_word(&self.folder.window()),
                hex::encode(RANDOMNESS)
            ),
            format!("filecash seal unseal --dir {folder} --out copy"),
        ];

        let mut fields = Table::fields();
        fields.row([
            "Sector",
            &format!("{} of f0{}, {} of {}", self.identity.sector_id, MINER.0, self.proof.name, self.proof.profile),
        ]);
        fields.row(["Piece", &piece_cid]);
        fields.row(["Unsealed", &unsealed_cid]);
        fields.row(["Sealed", &sealed_cid]);
        fields.row(["Proof", &format!("{} bytes, {}…", outcome.proof.len(), hex::encode(&outcome.proof[..12]))]);
        fields.row([
            "Space-time",
            &match (self.time_of(WINNING_POST), self.time_of(WINDOW_POST)) {
                (Some(winning), Some(window)) => format!(
                    "winning proof in {} of an epoch's {EPOCH}, window proof in {} of a window's {WINDOW}",
                    text::duration(winning),
                    text::duration(window),
                ),
                _ => "a winning and a window proof".to_owned(),
            },
        ]);
        let parameters = files::folder(&outcome.parameters).display();
        match outcome.origin {
            Origin::Published => {
                fields.row(["Parameters", &format!("published by {}, in {parameters}", self.proof.profile)])
            }
            Origin::Test => {
                fields.row(["Parameters", &format!("test parameters, in {parameters}")]);
                fields.row(["", params::WARNING])
            }
        };
        let text = format!(
            "Sealed {} ({} bytes) into a sector of {}, proved it, proved that it is\n\
             held, verified the proofs and got the same bytes back.\n\n{}\n{}\nThe sector stays in {folder}. Try next:\n  {}\n",
            self.subject.name(),
            grouped(self.subject.bytes),
            ByteSize(params.size_bytes),
            self.cost_table().render(),
            fields.render(),
            next.join("\n  "),
        );

        let phases: Vec<_> = self
            .costs
            .iter()
            .map(|(name, cost)| json!({ "phase": name, "cost": cost.as_ref().map(Cost::json), "device": self.device(name) }))
            .collect();
        let json = json!({
            "file": self.subject.path,
            "file_bytes": self.subject.bytes,
            "profile": self.proof.profile.name(),
            "registered_proof": self.proof.name,
            "sector_bytes": params.size_bytes,
            "dir": self.folder.path(),
            "phases": phases,
            "piece": piece,
            "comm_d": comm_d,
            "comm_r": comm_r,
            "proof": hex::encode(&outcome.proof),
            "proof_bytes": outcome.proof.len(),
            "parameters": { "path": outcome.parameters, "test_only": outcome.origin == Origin::Test },
            "verified": true,
            "unsealed_equals_file": true,
            "next": next,
        });
        Ok(Report::done(text, json))
    }

    /// What computed a phase.
    fn device(&self, phase: &str) -> &str {
        let phase = match phase {
            PC1 => Phase::Pc1,
            PC2 => Phase::Pc2,
            C2 => Phase::C2,
            WINNING_POST | WINDOW_POST => Phase::PoSt,
            _ => return "cpu",
        };
        self.context.devices(phase)
    }

    /// A row for each phase.
    fn cost_table(&self) -> Table {
        let columns = [
            ("phase", Left),
            ("time", Right),
            ("throughput", Right),
            ("CPU time", Right),
            ("memory", Right),
            ("device", Left),
        ];
        let mut table = Table::new(&columns);
        let unknown = || "?".to_owned();
        let size = self.proof.config().params.size_bytes;
        for (name, cost) in &self.costs {
            let Some(cost) = cost else {
                table.row([(*name).to_owned(), "done before".to_owned()]);
                continue;
            };
            // The other phases do not work through the sector's bytes.
            let streams = ["add piece", PC1, PC2, "unseal"].contains(name);
            table.row([
                (*name).to_owned(),
                text::duration(cost.wall),
                if streams { text::rate(size, cost.wall) } else { String::new() },
                cost.cpu.map_or_else(unknown, text::duration),
                cost.peak_bytes.map_or_else(unknown, |bytes| ByteSize(bytes).to_string()),
                self.device(name).to_owned(),
            ]);
        }
        let time = self.costs.iter().filter_map(|(_, cost)| cost.as_ref()).map(|cost| cost.wall).sum();
        table.row(["in all".to_owned(), text::duration(time)]);
        table
    }
}

/// Compares what is written with a source.
struct Compare<R> {
    source: R,
    /// Bytes before the first difference.
    same: u64,
    differs: bool,
    expected: Vec<u8>,
}

impl<R> Compare<R> {
    fn new(source: R) -> Self {
        Self { source, same: 0, differs: false, expected: vec![] }
    }
}

impl<R: Read> Write for Compare<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.expected.resize(bytes.len(), 0);
        self.source.read_exact(&mut self.expected)?;
        match bytes.iter().zip(&self.expected).position(|(actual, expected)| actual != expected) {
            None => {
                self.same += bytes.len() as u64;
                Ok(bytes.len())
            }
            Some(at) => {
                self.same += at as u64;
                self.differs = true;
                Err(io::Error::new(io::ErrorKind::InvalidData, "differs from the file"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(bytes: u64) -> Subject {
        Subject { path: Some("data".into()), bytes }
    }

    #[test]
    fn smallest_sector_that_holds_the_file_is_chosen() {
        let size = |bytes| {
            choose_size(Profile::Filecoin, &subject(bytes), None, Feature::Interactive)
                .map(|proof| proof.config().params.name)
                .ok()
        };
        assert_eq!(
            [0, 2032, 2033, 8_323_072, 8_323_073, 532_676_608].map(size),
            [Some("2KiB"), Some("2KiB"), Some("8MiB"), Some("8MiB"), Some("512MiB"), Some("512MiB")]
        );
        assert_eq!(size(532_676_609), None);
    }

    #[test]
    fn asked_size_has_to_hold_the_file() {
        let choose = |size| choose_size(Profile::Filecash, &subject(3000), Some(ByteSize(size)), Feature::Interactive);
        assert_eq!(choose(512 << 20).unwrap().id, 9);
        assert!(choose(2 << 10).unwrap_err().to_string().contains("holds 2,032"));
        assert!(choose(32 << 30).unwrap_err().to_string().contains("32 GiB"));
    }

    #[test]
    fn own_text_fits_the_smallest_sector() {
        assert!(
            choose_size(Profile::Filecoin, &Subject::new(None).unwrap(), None, Feature::Interactive).unwrap().id == 5
        );
        assert!(TEXT.is_ascii());
    }

    #[test]
    fn first_different_byte_is_found() {
        let mut compare = Compare::new(&b"abcdef"[..]);
        assert_eq!(compare.write(b"abc").unwrap(), 3);
        assert!(compare.write(b"dxf").is_err());
        assert_eq!(compare.same, 4);
    }
}
