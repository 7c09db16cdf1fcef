//! Our program, as its users have it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::params::cache;
use crate::side::run;

/// Our program, built beside the test that runs if it is not there or older than its source.
///
/// # Errors
/// When it cannot be built.
pub fn program() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let target = test.ancestors().nth(3).context("a test is in a folder of its profile's in the build folder")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("this package is in the repository")?;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--release", "--target-dir"]).arg(target);
    ensure!(build.current_dir(root).status()?.success(), "the program cannot be built");
    Ok(target.join("release/filecash"))
}

/// The folder of our parameters, with those of every circuit of 2 KiB; the program makes what is not there.
///
/// # Errors
/// When they cannot be made.
pub fn parameters_2kib(program: &Path) -> Result<PathBuf> {
    let folder = cache()?.join("params");
    let mut command = Command::new(program);
    command.args(["--quiet", "params", "setup", "--sector-size", "2KiB", "--circuit", "all", "--parameter-cache"]);
    run(command.arg(&folder))?;
    Ok(folder)
}
