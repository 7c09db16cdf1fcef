//! `filecash serve sealing`: sectors that are sealed here for a miner that takes them over.

use filecash_engine::sector::Profile;
use filecash_node::lotus::import::{self, Options};
use filecash_node::worker;
use filecash_node::worker::storage::Storage;

use super::{with_worker, worker_name};
use crate::args::serve::ServeSealing;
use crate::context::Context;
use crate::report::{Failure, Kind, Report};
use crate::worker::attach::{miner_of, node_of};
use crate::worker::{folders, options, places};

/// What the worker behind it is called.
const DOOR: &str = "sealing";

/// Runs the verb.
pub fn run(args: &ServeSealing, context: &Context) -> anyhow::Result<Report> {
    let profile = context.profile();
    if profile != Profile::Filecoin {
        let message = format!("miners of {profile} take no sectors over");
        return Err(Failure::new(Kind::Usage, message).into());
    }
    let folders = folders(&args.folders);
    if folders.is_empty() {
        let message = "nothing is served without a folder for sectors";
        return Err(Failure::new(Kind::Usage, message).hint("give --sealing").into());
    }
    let storages = folders.iter().map(|folder| Storage::open_or_make(&folder.path));
    let options_of_door = Options {
        miner: miner_of(&args.miner)?,
        listen: args.listen,
        announce: args.announce.clone(),
        profile,
        storages: storages.collect::<Result<_, _>>()?,
        node: node_of(&args.node)?,
    };
    let worker = match args.no_worker {
        true => None,
        false => {
            let options = options(places(&args.places)?, context)?;
            Some(worker::Options { name: worker_name(DOOR), folders, ..options })
        }
    };
    let (listen, miner) = (args.listen, &options_of_door.miner);
    let ready = || context.teller.note(&format!("Listening on {listen} for {miner}, profile {profile}"));
    with_worker(worker, &args.http, context, |store, stop| Ok(import::serve(store, &options_of_door, stop, ready)?))
}
