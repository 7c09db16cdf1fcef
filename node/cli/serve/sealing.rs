//! `filecash serve sealing`: sectors that are sealed here for a miner that takes them over.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, ensure};
use filecash_engine::sector::Profile;
use filecash_node::lotus::import::{self, Options};
use filecash_node::worker;
use filecash_node::worker::storage::Storage;
use rand_core::{OsRng, RngCore as _};

use super::{with_worker, worker_name};
use crate::args::serve::ServeSealing;
use crate::context::Context;
use crate::report::{Failure, Kind, Report};
use crate::worker::attach::miner_of;
use crate::worker::{folders, options, places, state};

/// What the worker behind it is called.
const DOOR: &str = "sealing";
/// What sectors' addresses are derived from, in the folder of this machine's state.
const SECRET: &str = "sealing.secret";

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
        secret: secret(&state(context)?)?,
        storages: storages.collect::<Result<_, _>>()?,
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

/// The secret, made where there is none. Sectors that a miner was told of have addresses that are derived from it.
fn secret(folder: &Path) -> anyhow::Result<[u8; 32]> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(SECRET);
    let failed = || format!("cannot use {}", path.display());
    let mut secret = [0; 32];
    match fs::read_to_string(&path) {
        Ok(text) => {
            hex::decode_to_slice(text.trim(), &mut secret).with_context(failed)?;
            return Ok(secret);
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(failed),
        Err(_) => {}
    }
    OsRng.fill_bytes(&mut secret);
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    writeln!(beside, "{}", hex::encode(secret)).and_then(|()| beside.as_file().sync_all()).with_context(failed)?;
    match beside.persist_noclobber(&path) {
        Ok(_) => File::open(folder).and_then(|folder| folder.sync_all()).with_context(failed)?,
        // Another was faster.
        Err(_) => {
            let text = fs::read_to_string(&path).with_context(failed)?;
            hex::decode_to_slice(text.trim(), &mut secret).with_context(failed)?;
        }
    }
    ensure!(secret != [0; 32], "{} holds no secret", path.display());
    Ok(secret)
}
