//! Parameters of the 2 KiB PoRep by either maker, made once and kept between runs.
//!
//! They lie in `${XDG_CACHE_HOME:-$HOME/.cache}/filecash-tests/`: `reference-params/` by the reference, `params/` by us.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::ours::Ours;
use crate::side::{Maker, Reference};

/// Name of the file that all of it is for.
pub const POREP_2KIB: &str = "v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-\
    032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f";

/// The folder that tests keep files in between runs.
///
/// # Errors
/// When neither variable is set.
pub fn cache() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("filecash-tests"))
}

/// The folder of a maker's parameters; makes them if they are not there.
///
/// # Errors
/// When they cannot be made.
pub fn made_by(maker: Maker, ours: &Ours, reference: &Reference) -> Result<PathBuf> {
    let folder = cache()?.join(match maker {
        Maker::Us => "params",
        Maker::Them => "reference-params",
    });
    fs::create_dir_all(&folder)?;
    if !complete(&folder) {
        match maker {
            Maker::Us => ours.params(&folder)?,
            Maker::Them => reference.params(&folder)?,
        }
    }
    Ok(folder)
}

fn complete(folder: &Path) -> bool {
    ["params", "vk"].iter().all(|extension| folder.join(format!("{POREP_2KIB}.{extension}")).is_file())
}
