//! A phase done by either side, between files of one folder.
//!
//! The files are `piece-N`, `staged`, `pieces.json`, `cache/`, `sealed`, `pc1.json`, `pc2.json`, `c1.json`. The
//! reference runs as a process, since it reads its parameter folder once; our engine runs in process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Result, bail};

use crate::case::{Case, Rules};

/// Who does a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Maker {
    /// Our engine.
    Us,
    /// The reference.
    Them,
}

impl Maker {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Us, Self::Them];

    /// For names of folders; all of one length.
    pub fn letter(self) -> char {
        match self {
            Self::Us => 'u',
            Self::Them => 't',
        }
    }
}

/// What a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// CommR and CommD.
    pub comms: [[u8; 32]; 2],
    /// The miner.
    pub prover_id: [u8; 32],
    /// The sector's number.
    pub sector: u64,
    /// Ticket of the replica id.
    pub ticket: [u8; 32],
    /// Seed of the challenges.
    pub seed: [u8; 32],
}

impl Statement {
    /// What a proof of a case is about that was sealed to these CommR and CommD.
    pub fn of(case: &Case, comms: [[u8; 32]; 2]) -> Self {
        Self { comms, prover_id: case.prover_id(), sector: case.sector(), ticket: case.ticket(), seed: case.seed() }
    }

    /// The statement under the names of another prover, another sector, another ticket; another CommR, another CommD.
    pub fn others(&self) -> [(&'static str, Self); 5] {
        let Self { mut prover_id, mut ticket, comms: [comm_r, comm_d], sector, .. } = *self;
        prover_id[0] ^= 1;
        ticket[0] ^= 1;
        [
            ("another prover", Self { prover_id, ..*self }),
            ("another sector", Self { sector: sector + 1, ..*self }),
            ("another ticket", Self { ticket, ..*self }),
            ("another CommR", Self { comms: [comm_d, comm_d], ..*self }),
            ("another CommD", Self { comms: [comm_r, comm_r], ..*self }),
        ]
    }
}

/// The phases of a seal.
pub trait Side {
    /// Appends `piece-N` to `staged` and `pieces.json`.
    ///
    /// # Errors
    /// When the phase fails, as for the others.
    fn add_piece(&self, case: &Case, folder: &Path, index: usize) -> Result<()>;
    /// `staged`, `pieces.json` to `cache`, `sealed`, `pc1.json`.
    ///
    /// # Errors
    /// When the phase fails.
    fn pc1(&self, case: &Case, folder: &Path) -> Result<()>;
    /// `cache`, `sealed`, `pc1.json` to the same and `pc2.json`.
    ///
    /// # Errors
    /// When the phase fails.
    fn pc2(&self, case: &Case, folder: &Path) -> Result<()>;
    /// `cache`, `sealed`, `pc2.json`, `pieces.json` to `c1.json`.
    ///
    /// # Errors
    /// When the phase fails.
    fn c1(&self, case: &Case, folder: &Path) -> Result<()>;
    /// `c1.json` to a proof, with the parameters in a folder.
    ///
    /// # Errors
    /// When the phase fails.
    fn c2(&self, case: &Case, folder: &Path, params: &Path) -> Result<Vec<u8>>;
    /// Whether a proof holds by the key in a folder. What cannot even be decoded does not hold.
    fn verify(&self, case: &Case, statement: &Statement, proof: &[u8], params: &Path) -> bool;
    /// Unpadded data of `sealed`: offset and length.
    ///
    /// # Errors
    /// When the phase fails.
    fn unseal(&self, case: &Case, folder: &Path, comm_d: &[u8; 32], range: [u64; 2]) -> Result<Vec<u8>>;
}

/// The name of a case's registered seal proof of 2 KiB.
pub fn registered(case: &Case) -> &'static str {
    let (number, name) = match case.rules {
        Rules::V1_0_0 => (0, "StackedDrg2KiBV1"),
        Rules::V1_1_0 => (5, "StackedDrg2KiBV1_1"),
        Rules::Synthetic => (10, "StackedDrg2KiBV1_1_Feat_SyntheticPoRep"),
        Rules::NonInteractive => (15, "StackedDrg2KiBV1_2_Feat_NonInteractivePoRep"),
    };
    assert_eq!((case.size_bytes, case.number), (2 << 10, number));
    name
}

/// The reference as a process.
#[derive(Clone, Debug)]
pub struct Reference {
    /// `filecash-interop-peer`.
    pub program: PathBuf,
    /// Folder of parent tables.
    pub parents: PathBuf,
}

impl Reference {
    pub(crate) fn phase(&self, phase: &str, folder: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(phase).env("FIL_PROOFS_PARENT_CACHE", &self.parents).env_remove("RUST_LOG").stdout(Stdio::null());
        for &flag in flags {
            let file = if flag.starts_with('p') || flag == "c1" { format!("{flag}.json") } else { flag.to_owned() };
            command.arg(format!("--{flag}")).arg(folder.join(file));
        }
        command
    }

    /// Whether a proof holds in the eyes of a phase.
    pub(crate) fn verify_with(
        &self,
        phase: &str,
        case: &Case,
        statement: &Statement,
        proof: &[u8],
        params: &Path,
    ) -> bool {
        let file = tempfile::NamedTempFile::new().expect("the temporary folder takes files");
        fs::write(file.path(), proof).expect("the file was just made");
        let mut command = self.phase(phase, params, &[]);
        let [comm_r, comm_d] = statement.comms.map(hex::encode);
        command.env("FIL_PROOFS_PARAMETER_CACHE", params).args(["--registered-proof", registered(case)]);
        command.args(["--comm-r", &comm_r, "--comm-d", &comm_d, "--seed", &hex::encode(statement.seed)]);
        command.args(["--prover-id", &hex::encode(statement.prover_id), "--sector", &statement.sector.to_string()]);
        command.args(["--ticket", &hex::encode(statement.ticket)]).arg("--proof").arg(file.path());
        accepts(&mut command)
    }

    /// Makes the parameters of the 2 KiB PoRep in a folder; over a quarter of an hour of CPU time.
    ///
    /// # Errors
    /// When it fails.
    pub fn params(&self, folder: &Path) -> Result<()> {
        let mut command = self.phase("params", folder, &[]);
        run(command.env("FIL_PROOFS_PARAMETER_CACHE", folder))
    }
}

/// What the reference says of a proof: whether it accepts it.
///
/// Only an exit status of 0 or 1 is a verdict, yes or no. Whatever else there is (an error, a panic, a signal) says nothing
/// of the proof, and fails the test with what was written to standard error.
#[track_caller]
pub fn accepts(command: &mut Command) -> bool {
    let output = command.stderr(Stdio::piped()).output().expect("the peer starts");
    verdict(command, &output)
}

/// [`accepts`] of a command that has run.
#[track_caller]
pub fn verdict(command: &Command, output: &Output) -> bool {
    match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            #[allow(clippy::panic, reason = "helpers of tests fail as tests do")]
            {
                panic!("no verdict: {command:?}: {}: {said}", output.status)
            }
        }
    }
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

pub(crate) fn identify<'a>(command: &'a mut Command, case: &Case) -> &'a mut Command {
    command.args(["--prover-id", &hex::encode(case.prover_id()), "--sector", &case.sector().to_string()]);
    command.args(["--ticket", &hex::encode(case.ticket())])
}

impl Side for Reference {
    fn add_piece(&self, case: &Case, folder: &Path, index: usize) -> Result<()> {
        let mut command = self.phase("add-piece", folder, &["staged", "pieces"]);
        run(command.arg(folder.join(format!("piece-{index}"))).args(["--registered-proof", registered(case)]))
    }

    fn pc1(&self, case: &Case, folder: &Path) -> Result<()> {
        let mut command = self.phase("pc1", folder, &["staged", "pieces", "cache", "sealed"]);
        command.args(["--registered-proof", registered(case)]).arg("--out").arg(folder.join("pc1.json"));
        run(identify(&mut command, case))
    }

    fn pc2(&self, _: &Case, folder: &Path) -> Result<()> {
        let mut command = self.phase("pc2", folder, &["pc1", "cache", "sealed"]);
        run(command.arg("--out").arg(folder.join("pc2.json")))
    }

    fn c1(&self, case: &Case, folder: &Path) -> Result<()> {
        let mut command = self.phase("c1", folder, &["pc2", "pieces", "cache", "sealed"]);
        command.args(["--seed", &hex::encode(case.seed())]).arg("--out").arg(folder.join("c1.json"));
        run(identify(&mut command, case))
    }

    fn c2(&self, case: &Case, folder: &Path, params: &Path) -> Result<Vec<u8>> {
        let out = folder.join("proof-of-reference");
        let mut command = self.phase("c2", folder, &["c1"]);
        command.env("FIL_PROOFS_PARAMETER_CACHE", params).arg("--out").arg(&out);
        run(identify(&mut command, case))?;
        Ok(fs::read(&out)?)
    }

    fn verify(&self, case: &Case, statement: &Statement, proof: &[u8], params: &Path) -> bool {
        self.verify_with("verify", case, statement, proof, params)
    }

    fn unseal(&self, case: &Case, folder: &Path, comm_d: &[u8; 32], range: [u64; 2]) -> Result<Vec<u8>> {
        let scratch = tempfile::tempdir()?;
        let out = scratch.path().join("data");
        let mut command = self.phase("unseal", folder, &["sealed"]);
        command.arg("--cache").arg(scratch.path().join("cache")).arg("--out").arg(&out);
        command.args(["--registered-proof", registered(case), "--comm-d", &hex::encode(comm_d)]);
        command.args(["--offset", &range[0].to_string(), "--length", &range[1].to_string()]);
        run(identify(&mut command, case))?;
        Ok(fs::read(&out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn only_two_exit_statuses_are_verdicts() {
        assert!(accepts(&mut shell("exit 0")));
        assert!(!accepts(&mut shell("exit 1")));
        for script in ["exit 2", "exit 101", "kill -9 $$"] {
            let outcome = std::panic::catch_unwind(|| accepts(&mut shell(&format!("echo why >&2; {script}"))));
            let said = outcome.expect_err("no verdict");
            let said = said.downcast_ref::<String>().expect("a formatted message");
            assert!(said.contains("no verdict") && said.contains("why"), "{said}");
        }
    }
}
