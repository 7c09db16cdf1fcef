//! `filecash sectors pledge`: sectors without deals for a miner that takes them over when they are sealed.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context as _;
use filecash_engine::api::SectorIdentity;
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::piece::{PaddedLen, PieceInfo, zero_commitment};
use filecash_engine::sector::{Feature, Profile, SealProof};
use filecash_engine::store::atomic::sync_folder;
use filecash_node::lotus::import::pledge::{self, Ticket, Who};
use filecash_node::worker::storage::Storage;
use serde_json::json;

use super::{Queued, failure, queued};
use crate::args::jobs::SectorsPledge;
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder, Identity};
use crate::report::{Failure, Kind, Report};
use crate::worker::attach::{miner_of, node_of};
use crate::worker::queue;

/// Runs the verb.
pub fn run(args: &SectorsPledge, context: &Context) -> anyhow::Result<Report> {
    let profile = context.profile();
    if profile != Profile::Filecoin {
        let message = format!("miners of {profile} take no sectors over");
        return Err(Failure::new(Kind::Usage, message).into());
    }
    if args.feature == Feature::NonInteractive {
        return Err(Failure::new(Kind::Usage, "a miner that takes a sector over gives it a seed").into());
    }
    let Some(node) = node_of(&args.node)? else {
        let hint = "give --node-api, or FULLNODE_API_INFO as a full node's `auth api-info --perm read` prints it";
        return Err(Failure::new(Kind::Usage, "no full node to ask for a ticket").hint(hint).into());
    };
    let miner = miner_of(&args.miner)?;
    // Nothing is asked for that cannot be used.
    let queue = queue(context)?;
    let storage = Storage::open_or_make(&args.sealing)?;
    let who = pledge::who(&miner)?;
    let proof = SealProof::with_feature(profile, who.sector_bytes, args.feature)?;
    let Ticket { value, epoch } = pledge::ticket(&node, who.actor)?;
    let numbers = pledge::reserve(&miner, args.count)?;
    let (mut text, mut json) = (String::new(), Vec::new());
    for number in numbers {
        let identity = SectorIdentity { prover_id: prover_id(who.actor), sector_id: number, ticket: value.0 };
        let identity = Identity { ticket_epoch: Some(epoch), ..Identity::of(&proof, &identity) };
        let folder = stage(&storage.path, &who, &identity)?;
        let Queued { row, jobs } = queued(folder.path(), None, context)?;
        let ids = queue.add_sector(&row, &jobs).map_err(failure)?;
        let (first, last) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
        text += &format!("Queued {} of {profile} in {}: jobs {first} to {last}\n", row.name, folder.path().display());
        json.push(json!({ "sector": row.name, "folder": folder.path(), "jobs": ids }));
    }
    text += &format!("The ticket is of epoch {epoch}. filecash serve sealing hands them over.\n");
    Ok(Report::done(text, json!({ "sectors": json, "ticket_epoch": epoch })))
}

/// A folder with a sector of zeros, which appears whole.
fn stage(storage: &Path, who: &Who, identity: &Identity) -> anyhow::Result<Folder> {
    let name = format!("f0{}-{}", who.actor, identity.sector);
    let (path, beside) = (storage.join(&name), storage.join(format!("{name}.filecash-staging")));
    let failed = || format!("cannot make {}", path.display());
    files::refuse_existing(&path, false)?;
    if beside.exists() {
        fs::remove_dir_all(&beside).with_context(failed)?;
    }
    fs::create_dir(&beside).with_context(failed)?;
    let folder = Folder::new(&beside);
    // Zeros take no place on disk.
    let staged = File::create_new(folder.staged()).with_context(failed)?;
    staged.set_len(who.sector_bytes).and_then(|()| staged.sync_all()).with_context(failed)?;
    let size = PaddedLen::new(who.sector_bytes)?;
    let pieces = [PieceInfo { commitment: zero_commitment(size), size: size.unpadded() }];
    files::write(&folder.pieces(), &files::json(&pieces)?, false)?;
    folder.write_identity(identity, false)?;
    fs::rename(&beside, &path).and_then(|()| sync_folder(storage)).with_context(failed)?;
    Ok(Folder::new(path))
}
