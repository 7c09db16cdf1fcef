//! `filecash seal pc1 --sectors …`: a step of many sectors at once.

use std::path::PathBuf;

use filecash_engine::api::SectorIdentity;
use filecash_engine::api::seal::{PreCommit1Sector, pre_commit_phase1_of_many};
use filecash_engine::backend::Phase;
use filecash_engine::sector::piece::PieceInfo;
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args;
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder};
use crate::measure::{Meter, available_memory};
use crate::phase::{Codec, data_commitment};
use crate::report::{Failure, Kind, Report, with_causes};
use crate::seal::is_copy;
use crate::text::{self, Align, Table, count, shell_word};

/// A sector of the batch.
struct Sector {
    folder: Folder,
    paths: [PathBuf; 3],
    identity: SectorIdentity,
    pieces: Vec<PieceInfo>,
}

/// Phase 1 of the sectors of some folders; those that have it already are passed over.
pub fn pc1(args: &args::Pc1, context: &Context) -> anyhow::Result<Report> {
    let (mut sectors, mut registered, mut done) = (Vec::new(), None, 0_u64);
    for dir in &args.sectors {
        let folder = Folder::new(dir);
        let known = folder.require_identity(context)?;
        let proof = known.proof()?;
        if *registered.get_or_insert(proof) != proof {
            let message = format!("{} is of {}, the folders before it of another proof", dir.display(), proof.name);
            return Err(Failure::new(Kind::Input, message).into());
        }
        if folder.pc1().exists() {
            done += 1;
            continue;
        }
        let paths = [folder.cache(), folder.staged(), folder.sealed()];
        let pieces = files::read_json(&folder.pieces(), "list of pieces")?;
        files::require_file(&folder.staged(), "staged file")?;
        if !is_copy(&folder.sealed(), &folder.staged(), proof.config().params.size_bytes)? {
            files::refuse_existing(&folder.sealed(), false)?;
        }
        let identity = SectorIdentity { prover_id: known.prover_id.0, sector_id: known.sector, ticket: known.ticket.0 };
        sectors.push(Sector { folder, paths, identity, pieces });
    }
    let Some(proof) = registered else { return Err(Failure::missing("--sectors").into()) };
    let config = proof.config();
    let (params, number) = (config.params, sectors.len());
    let free = available_memory().map_or(number, |bytes| (bytes / (2 * params.size_bytes)) as usize);
    let at_once = args.at_once.map_or(free.clamp(1, number.max(1)), |sectors| sectors as usize);

    let meter = Meter::start();
    let job = context.job_on_devices(Phase::Pc1, params.size_bytes)?;
    let inputs: Vec<_> = sectors
        .iter()
        .map(|Sector { paths: [cache, staged, sealed], identity, pieces, .. }| PreCommit1Sector {
            cache,
            staged,
            sealed,
            identity,
            pieces,
        })
        .collect();
    let kept = || "finished layers stay; the same command goes on".to_owned();
    let outcomes = context.kept(pre_commit_phase1_of_many(&job, &config, &inputs, at_once), kept)?;
    let mut table = Table::new(&[("sector", Align::Right), ("folder", Align::Left), ("CommD", Align::Left)]);
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (sector, outcome) in sectors.iter().zip(outcomes) {
        let (dir, number) = (sector.folder.path(), sector.identity.sector_id);
        let written = outcome.map_err(anyhow::Error::from).and_then(|output| {
            output.write_file(&proof, &sector.folder.pc1(), false)?;
            Ok(output.comm_d)
        });
        match written {
            Ok(comm_d) => {
                let (comm_d, shown) = data_commitment(&comm_d);
                table.row([number.to_string(), dir.display().to_string(), shown]);
                rows.push(json!({ "sector": number, "dir": dir, "comm_d": comm_d, "output": sector.folder.pc1() }));
            }
            Err(error) => {
                failed.push(format!("sector {number} in {}: {}", shell_word(dir), with_causes(error.as_ref())));
            }
        }
    }
    let cost = meter.stop();
    if context.is_cancelled() {
        return context.kept(Err(Failure::new(Kind::Cancelled, "cancelled")), kept);
    }
    if !failed.is_empty() {
        let message = format!("{} of {} failed; {}", failed.len(), count(number as u64, "sector"), failed.join("; "));
        return Err(Failure::new(Kind::Input, message)
            .hint("the others are done; the same command does the rest")
            .into());
    }
    let next = "Next: filecash seal pc2 --dir … for each\n";
    let text = if number == 0 {
        format!("{} had PC1 before\n{next}", count(done, "sector"))
    } else {
        let rate = text::rate(number as u64 * params.size_bytes, cost.wall);
        let mut text =
            format!("PC1 of {} done in {}, {rate}", count(number as u64, "sector"), text::duration(cost.wall));
        if let Some(peak) = cost.peak_bytes {
            text += &format!(", {} of memory", ByteSize(peak));
        }
        if done > 0 {
            text += &format!("; {} had it before", count(done, "sector"));
        }
        format!("{text}\n{}{next}", table.render())
    };
    let json = json!({
        "phase": "pc1", "cost": cost.json(), "sectors": rows, "done_before": done, "at_once": at_once,
    });
    Ok(Report::done(text, json))
}
