//! `filecash bench window-post` and `winning-post`: reading of the challenged leaves, the SNARK, its verification.

use filecash_engine::api::post::{
    Faulty, PoStRound, PoStSector, PublicSector, VanillaPoSt, WindowOptions, open_all, prove_window_with_vanilla,
    prove_winning_with_vanilla, verify_window, verify_winning,
};
use filecash_engine::backend::Phase as Stage;
use filecash_engine::field::Node;
use filecash_engine::job::{Job, Quiet};
use filecash_engine::params::CircuitKind;
use filecash_engine::sector::{PoStKind, PoStProof};

use super::Times;
use super::document::{Benchmark, Document, Phase};
use super::machine::Machine;
use super::sealing::{devices_of, settings};
use super::sectors::Sectors;
use super::series::Series;
use crate::args::bench::{Post, Repeats, SealPhase, Sectors as SectorArgs};
use crate::context::Context;
use crate::params;
use crate::report::{Failure, Kind};

/// Below the field's modulus, as the exclamation mark keeps it.
const RANDOMNESS: Node = *b"the beacon of filecash benchmark";

/// Measures the proof of a deadline.
pub fn window(args: &Post, context: &Context) -> anyhow::Result<Document> {
    run(PoStKind::Window, &args.sectors, &args.repeats, context)
}

/// Measures the proof of a block.
pub fn winning(args: &Post, context: &Context) -> anyhow::Result<Document> {
    run(PoStKind::Winning, &args.sectors, &args.repeats, context)
}

/// A round, and what takes part in it.
struct Round<'a> {
    context: &'a Context,
    round: PoStRound,
    sectors: Vec<PoStSector>,
    times: Times,
}

fn run(kind: PoStKind, args: &SectorArgs, repeats: &Repeats, context: &Context) -> anyhow::Result<Document> {
    if kind == PoStKind::Winning && args.num_sectors != 1 {
        return Err(Failure::new(Kind::Usage, "a winning proof is of one sector").into());
    }
    let sectors = Sectors::open(args, context)?;
    let size = sectors.size_bytes();
    let outcome = (|| {
        sectors.prepare_machine(&[SealPhase::Pc1, SealPhase::Pc2])?;
        for phase in [SealPhase::AddPiece, SealPhase::Pc1, SealPhase::Pc2] {
            sectors.make(phase)?;
        }
        let circuit = match kind {
            PoStKind::Winning => CircuitKind::Winning,
            PoStKind::Window => CircuitKind::Window,
        };
        params::make_or_reuse(context, &sectors.proof, circuit)?;
        context.job_on_devices(Stage::PoSt, size)?;
        let proof = PoStProof::for_size(context.profile(), kind, size)?;
        let round = PoStRound::new(&proof.config(), &RANDOMNESS, &args.miner.prover_id())?;
        Round { context, round, sectors: sectors.for_post()?, times: Times::short(repeats) }.measure()
    })();
    let phases = context.kept(outcome, || sectors.kept())?;
    let benchmark = match kind {
        PoStKind::Winning => Benchmark::WinningPost,
        PoStKind::Window => Benchmark::WindowPost,
    };
    let machine = Machine::of(devices_of(&[Stage::PoSt], context));
    Ok(Document::new(benchmark, machine, settings(context, size, sectors.count()), phases, None))
}

impl Round<'_> {
    fn series(&self, name: &str) -> Series {
        Series::new(name, (self.sectors.len() as u64, "sectors"), self.times)
    }

    /// Reading and verification are too short to tell about.
    fn quiet(&self) -> Job<'_> {
        Job { progress: &Quiet, ..self.context.job() }
    }

    fn measure(&self) -> anyhow::Result<Vec<Phase>> {
        let (open, vanilla) = self.series("open").run(self.context, |_| Ok(()), |()| self.open())?;
        let prove = self.series("prove").on_devices_of(Some(Stage::PoSt), self.context);
        let (prove, proof) =
            prove.run(self.context, |_| Ok(vanilla.clone()), |vanilla| self.prove(std::mem::take(vanilla)))?;
        let public: Vec<_> = self
            .sectors
            .iter()
            .map(|sector| PublicSector { sector_id: sector.sector_id, comm_r: sector.comm_r })
            .collect();
        let (verify, ()) = self.series("verify").run(
            self.context,
            |_| Ok(()),
            |()| {
                Ok(match (self.round.config().kind, &public[..]) {
                    (PoStKind::Winning, [sector, ..]) => verify_winning(&self.quiet(), &self.round, sector, &proof),
                    (_, sectors) => verify_window(&self.quiet(), &self.round, sectors, &proof),
                }?)
            },
        )?;
        Ok(vec![open, prove, verify])
    }

    fn open(&self) -> anyhow::Result<Vec<VanillaPoSt>> {
        let opened = open_all(&self.quiet(), &self.round, 0, &self.sectors, &WindowOptions::default())?;
        match opened.faulty.first() {
            None => Ok(opened.proofs),
            Some(faulty) => {
                let message = format!("sector {} cannot be proven: {}", faulty.sector_id, faulty.reason());
                Err(Failure::new(Kind::Input, message).into())
            }
        }
    }

    fn prove(&self, mut vanilla: Vec<VanillaPoSt>) -> anyhow::Result<Vec<u8>> {
        let job = self.context.job_on_devices(Stage::PoSt, self.round.config().params.size_bytes)?;
        match self.round.config().kind {
            PoStKind::Winning => {
                let vanilla = vanilla.pop().ok_or_else(|| Failure::new(Kind::Usage, "no sector"))?;
                Ok(prove_winning_with_vanilla(&job, &self.round, vanilla)?)
            }
            PoStKind::Window => Ok(prove_window_with_vanilla(&job, &self.round, vanilla, Faulty::Refuse)?.proof),
        }
    }
}
