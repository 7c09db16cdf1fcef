//! What each phase of a sector's life will need: memory, disk, parameters, time. A model, and it shows its arithmetic.
//!
//! Pure functions from a [`Question`] (which sector, which budget, how fast the machine is) to [`Needs`]. Bytes and counts
//! follow from the table of sizes and from what the engine allocates for a budget; times are counts multiplied with rates that
//! were measured in short runs ([`filecash_engine::calibrate`]), so they are estimates: of the CPU and of the devices that were
//! timed, of a machine that does nothing else, and without what a phase does besides. Where files are read and written
//! meanwhile, the longer of both times counts.

mod proving;
mod sealing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use filecash_engine::backend::Phase as DevicePhase;
use filecash_engine::calibrate::{CircuitRates, DeviceRates, PointRates, Rates, VerifyRates};
use filecash_engine::graph::ParentTable;
use filecash_engine::hash::label_lanes::group_size;
use filecash_engine::sector::geometry::Geometry;
use filecash_engine::sector::params::NODE_SIZE;
use filecash_engine::sector::{Feature, PoRepConfig, Profile, SectorParams};
use serde::Serialize;

use crate::config::PROGRAM_BYTES;

/// Bytes of a node.
const NODE: u64 = NODE_SIZE as u64;

/// Bytes a second of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DiskRates {
    /// Read in order.
    pub read: f64,
    /// Written in order, and brought to the disk.
    pub write: f64,
}

/// Devices that take part in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Devices<'a> {
    /// Memory of each that may be used.
    pub vram_bytes: u64,
    /// Their places among those of the rates; none if nothing is known of them.
    pub places: &'a [usize],
    /// Whether the CPU works along.
    pub with_cpu: bool,
}

/// What is to be planned, and on which machine.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The kind of sector.
    pub config: &'a PoRepConfig,
    /// How many of them, one after the other but where phases take several at once.
    pub sectors: u64,
    /// The budget, the program included.
    pub memory_bytes: u64,
    /// Memory that is free for pages of files, where it is known.
    pub free_bytes: Option<u64>,
    /// What takes part in each phase; none where the CPU computes alone.
    pub devices: [Option<Devices<'a>>; DevicePhase::ALL.len()],
    /// Rows that tree-r-last files leave out.
    pub rows_to_discard: usize,
    /// How fast the machine is.
    pub rates: &'a Rates,
    /// How fast its disk is, where it is known.
    pub disk: Option<DiskRates>,
}

/// A phase of a sector's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Phase {
    AddPiece,
    Pc1,
    Pc2,
    Synth,
    C1,
    C2,
    Verify,
    WinningPost,
    WindowPost,
    Unseal,
}

impl Phase {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddPiece => "add piece",
            Self::Pc1 => "PC1",
            Self::Pc2 => "PC2",
            Self::Synth => "synthetic proofs",
            Self::C1 => "C1",
            Self::C2 => "C2",
            Self::Verify => "verify",
            Self::WinningPost => "winning PoSt",
            Self::WindowPost => "window PoSt",
            Self::Unseal => "unseal",
        }
    }

    /// The part of it that devices compute.
    fn on_devices(self) -> Option<DevicePhase> {
        match self {
            Self::Pc1 => Some(DevicePhase::Pc1),
            Self::Pc2 => Some(DevicePhase::Pc2),
            Self::C2 => Some(DevicePhase::C2),
            Self::WinningPost | Self::WindowPost => Some(DevicePhase::PoSt),
            _ => None,
        }
    }
}

/// Where files lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The sector's folders.
    Sector,
    /// The folder of parent tables.
    ParentCache,
    /// The folder of parameters.
    ParameterCache,
    /// The folder of what the budget has no room for.
    Scratch,
}

/// How long a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// As long as the sector, or for all sectors.
    Stays,
    /// Until the seal is proven: `clear-cache` removes it, or nothing needs it then.
    UntilProven,
    /// During the phase.
    Temporary,
}

/// Files that a phase writes or has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DiskUse {
    /// What they are.
    pub what: &'static str,
    /// Where they lie.
    pub place: Place,
    /// How long.
    pub lifetime: Lifetime,
    /// All of them, of all sectors.
    pub bytes: u64,
}

/// One product of the arithmetic of a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    /// What is done.
    pub what: String,
    /// How often.
    pub count: f64,
    /// How often a second.
    pub per_second: f64,
    /// `count / per_second`.
    pub seconds: f64,
}

/// What a phase of all sectors needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Needs {
    /// Which phase.
    pub phase: Phase,
    /// The most working memory at once, of the budget; where that is too small, of the least one.
    pub working_bytes: u64,
    /// What is in memory besides, whatever the budget: the program, circuits, proofs.
    pub besides_bytes: u64,
    /// Pages of mapped files, which the system may take back.
    pub mapped_bytes: u64,
    /// The least budget that would do.
    pub least_memory_bytes: u64,
    /// Whether the budget does.
    pub fits: bool,
    /// Memory of each GPU that takes part, at most.
    pub vram_bytes: u64,
    /// Files.
    pub disk: Vec<DiskUse>,
    /// Bytes of files read, parameters included.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes of parameters read.
    pub parameter_bytes: u64,
    /// The arithmetic of the processor's time.
    pub terms: Vec<Term>,
    /// An estimate: processor and disk at the same time, whichever takes longer.
    pub seconds: f64,
    /// The disk's part of it, where its speed is known.
    pub disk_seconds: Option<f64>,
    /// What the numbers do not say.
    pub notes: Vec<String>,
}

impl Needs {
    fn new(phase: Phase) -> Self {
        Self {
            phase,
            working_bytes: 0,
            besides_bytes: 0,
            mapped_bytes: 0,
            least_memory_bytes: 0,
            fits: true,
            vram_bytes: 0,
            disk: Vec::new(),
            read_bytes: 0,
            written_bytes: 0,
            parameter_bytes: 0,
            terms: Vec::new(),
            seconds: 0.0,
            disk_seconds: None,
            notes: Vec::new(),
        }
    }

    /// The sum of the terms.
    pub fn processor_seconds(&self) -> f64 {
        self.terms.iter().map(|term| term.seconds).sum()
    }

    /// Bytes of its files of one kind.
    pub fn disk_bytes(&self, lifetime: Lifetime) -> u64 {
        self.disk.iter().filter(|file| file.lifetime == lifetime).map(|file| file.bytes).sum()
    }

    fn term(&mut self, what: impl Into<String>, count: f64, per_second: f64) {
        if count > 0.0 {
            self.terms.push(Term { what: what.into(), count, per_second, seconds: count / per_second });
        }
    }

    fn file(&mut self, what: &'static str, place: Place, lifetime: Lifetime, bytes: u64) {
        if bytes > 0 {
            self.disk.push(DiskUse { what, place, lifetime, bytes });
        }
    }

    /// Adds up what only the question knows.
    fn finish(mut self, question: &Question<'_>) -> Self {
        self.besides_bytes += PROGRAM_BYTES;
        self.least_memory_bytes += self.besides_bytes;
        self.fits = self.least_memory_bytes <= question.memory_bytes;
        let devices = self.phase.on_devices().and_then(|phase| question.devices[phase as usize]);
        self.vram_bytes = devices.map_or(0, |devices| devices.vram_bytes);
        let (read, written) = (self.read_bytes as f64, self.written_bytes as f64);
        self.disk_seconds = question.disk.map(|disk| read / disk.read + written / disk.write);
        self.seconds = self.processor_seconds().max(self.disk_seconds.unwrap_or(0.0));
        self
    }
}

/// Speeds of one of everything a second, where only bytes are asked for; a time is a count then.
pub fn unit_rates(profile: Profile, threads: usize) -> Rates {
    let points = PointRates { ones: 1.0, additions: 1.0 };
    let circuit = CircuitRates { recorded: 1.0, witness: 1.0, evaluated: 1.0 };
    Rates {
        profile,
        threads,
        share: 1.0,
        labels: 1.0,
        lockstep: None,
        digest_bytes: 1.0,
        sha_nodes: 1.0,
        poseidon: BTreeMap::from([(8, 1.0)]),
        poseidon_alone: 1.0,
        parents: 1.0,
        encoded_nodes: 1.0,
        transform: 1.0,
        g1: points,
        g2: points,
        bits: circuit,
        wide: circuit,
        verify: VerifyRates { proofs: 1.0, inputs: 1.0 },
        devices: Vec::new(),
    }
}

/// Every phase, in the order of a sector's life.
pub fn plan(question: &Question<'_>) -> Vec<Needs> {
    let mut needs = vec![question.add_piece(), question.pc1(), question.pc2()];
    if question.config.feature == Feature::Synthetic {
        needs.push(question.synth());
    }
    needs.extend([
        question.c1(),
        question.c2(),
        question.verify(),
        question.winning_post(),
        question.window_post(),
        question.unseal(),
    ]);
    needs.into_iter().map(|needs| needs.finish(question)).collect()
}

/// A budget as the flag takes it, rounded up.
pub fn budget_text(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

/// The most that files of sectors take at once until they are proven, tables and parameters not counted. What is unsealed
/// comes later and on top of what stays.
pub fn peak_disk_bytes(needs: &[Needs]) -> u64 {
    let (mut kept, mut peak) = (0, 0);
    let in_sector = |needs: &Needs, temporary: bool| -> u64 {
        let files = needs.disk.iter().filter(|file| file.place == Place::Sector);
        files.filter(|file| (file.lifetime == Lifetime::Temporary) == temporary).map(|file| file.bytes).sum()
    };
    for needs in needs.iter().filter(|needs| needs.phase != Phase::Unseal) {
        kept += in_sector(needs, false);
        peak = peak.max(kept + in_sector(needs, true));
    }
    peak
}

/// The rate of an arity, or of the next one that was timed.
fn near(rates: &BTreeMap<usize, f64>, arity: usize) -> Option<f64> {
    rates.range(arity..).next().or_else(|| rates.iter().next_back()).map(|(_, rate)| *rate)
}

/// How many sectors a group has whose labels are made in lockstep, where so many are sealed and so much memory is free.
pub fn lockstep(config: &PoRepConfig, sectors: u64, free_bytes: Option<u64>, threads: usize) -> usize {
    let at_once = sectors_at_once(config.params, sectors, free_bytes);
    group_size(config.profile, sectors as usize, threads, at_once)
}

/// How many sectors PC1 labels at a time, each with two layers in memory.
fn sectors_at_once(params: &SectorParams, sectors: u64, free_bytes: Option<u64>) -> usize {
    let room = free_bytes.map_or(sectors, |free| free / (2 * params.size_bytes));
    room.clamp(1, sectors.max(1)) as usize
}

impl Question<'_> {
    /// What the program leaves to a phase.
    fn working_bytes(&self) -> u64 {
        self.memory_bytes.saturating_sub(PROGRAM_BYTES)
    }

    fn params(&self) -> &'static SectorParams {
        self.config.params
    }

    fn geometry(&self) -> Geometry {
        Geometry::of(self.params())
    }

    fn nodes(&self) -> f64 {
        self.params().nodes() as f64
    }

    fn threads(&self) -> f64 {
        self.rates.threads as f64
    }

    fn sectors_f(&self) -> f64 {
        self.sectors as f64
    }

    /// Poseidon hashes a second on all threads.
    fn poseidon(&self, arity: usize) -> f64 {
        near(&self.rates.poseidon, arity).unwrap_or(self.rates.poseidon_alone)
    }

    /// Work a second of all who take part in a phase, when the CPU does so much of it.
    fn shared(&self, phase: Phase, cpu: f64, of_device: impl Fn(&DeviceRates) -> f64) -> f64 {
        let devices = phase.on_devices().and_then(|phase| self.devices[phase as usize]);
        let known = devices.map(|Devices { places, with_cpu, .. }| {
            let known = places.iter().filter_map(|place| self.rates.devices.get(*place));
            (known.map(of_device).sum::<f64>(), with_cpu)
        });
        match known {
            Some((rate, with_cpu)) if rate > 0.0 => rate + if with_cpu { cpu } else { 0.0 },
            _ => cpu,
        }
    }

    /// Bytes of the parent table, and whether it is a file.
    fn parent_table(&self) -> (u64, bool) {
        let nodes = self.params().nodes();
        (nodes * ParentTable::ROW_BYTES, nodes > ParentTable::COMPUTED_NODES)
    }

    /// Nodes of a batch that takes `buffers` nodes of memory for each of its nodes, and of all its buffers the bytes.
    fn batch_bytes(&self, buffers: u64) -> u64 {
        let batch = filecash_engine::merkle::build::batch_of(self.working_bytes(), buffers);
        buffers * NODE * batch.min(self.params().nodes())
    }
}
