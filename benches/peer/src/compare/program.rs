//! How either program is told to do a phase.
//!
//! Both read and write the same files; only the spelling of the command lines differs, and it differs only here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::post::Kind;
use crate::usage::Usage;

/// Memory for what is not layers.
const BESIDE_LAYERS: usize = 256 << 20;
/// Prover of all measurements.
pub const PROVER_ID: &str = "0909090909090909090909090909090909090909090909090909090909090909";
/// Ticket of all measurements.
pub const TICKET: &str = "0101010101010101010101010101010101010101010101010101010101010101";
/// Seed of all measurements.
pub const SEED: &str = "0202020202020202020202020202020202020202020202020202020202020202";
/// Sector of all measurements.
pub const SECTOR: &str = "12345";

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `filecash`.
    Ours,
    /// `filecash-peer`.
    Reference,
}

/// A network of ours; the reference knows only Filecoin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Labels are SHA-256.
    Filecoin,
    /// Labels are SHA-512.
    Filecash,
}

impl Network {
    fn name(self) -> &'static str {
        match self {
            Self::Filecoin => "filecoin",
            Self::Filecash => "filecash",
        }
    }
}

/// Files of one sector under a folder.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Files under `folder`.
    pub fn under(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A file by its name: `piece`, `staged`, `pieces.json`, `cache`, `sealed`, `pc1.json`, `pc2.json`, `c1.json`,
    /// `proof`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Both programs and what they share.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Our program.
    pub ours: PathBuf,
    /// The peer.
    pub reference: PathBuf,
    /// Threads of either.
    pub threads: usize,
    /// Folder of parent tables and other files that outlive a run; one for each side.
    pub shared: PathBuf,
}

impl Programs {
    /// A command of one side with its settings, no phase yet. `params` is the folder of parameters.
    fn start(&self, side: Side, network: Network, params: &Path) -> Command {
        let threads = self.threads.to_string();
        let mut command = match side {
            Side::Ours => {
                let mut command = Command::new(&self.ours);
                command.args(["--quiet", "--profile", network.name(), "--threads", &threads]);
                command.arg("--parameter-cache").arg(params);
                command.arg("--parent-cache").arg(self.shared.join("parents-ours"));
                command
            }
            Side::Reference => {
                let mut command = Command::new(&self.reference);
                command
                    .env("FIL_PROOFS_PARAMETER_CACHE", params)
                    .env("FIL_PROOFS_PARENT_CACHE", self.shared.join("parents-reference"));
                command
            }
        };
        command
            .env("RAYON_NUM_THREADS", &threads)
            .env("BELLMAN_NUM_CPUS", &threads)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// A phase of a seal with the files that it reads or writes, by their flags.
    fn phase(&self, side: Side, phase: &str, params: &Path, files: &Files, flags: &[&str]) -> Command {
        let mut command = self.start(side, Network::Filecoin, params);
        if side == Side::Ours {
            command.arg("seal");
        }
        command.arg(phase);
        for &flag in flags {
            let file = match flag {
                "pieces" | "pc1" | "pc2" | "c1" => format!("{flag}.json"),
                _ => flag.to_owned(),
            };
            command.arg(format!("--{flag}")).arg(files.path(&file));
        }
        command
    }

    /// Whether the reference was compiled for processors with SHA instructions.
    ///
    /// It chooses them at run time in any case, but only so compiled are they inlined; otherwise each is a call, and
    /// labels take four times as long. Its users compile it with `-C target-cpu=native`.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn reference_inlines_sha(&self) -> Result<bool> {
        let output = Command::new(&self.reference).arg("build").output().context("asking the reference")?;
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading its answer")?;
        line["result"]["sha"].as_bool().context("its answer tells nothing about SHA")
    }

    /// Makes the parameters of the 2 KiB PoRep in the folder `params`.
    pub fn params(&self, side: Side, network: Network, params: &Path) -> Command {
        let mut command = self.start(side, network, params);
        match side {
            Side::Ours => command.args(["params", "setup", "--sector-size", "2KiB"]),
            Side::Reference => command.arg("params"),
        };
        command
    }

    /// Stages a piece that fills the sector.
    pub fn add_piece(&self, side: Side, proof: &str, files: &Files) -> Command {
        let mut command = self.phase(side, "add-piece", &self.shared, files, &["staged", "pieces"]);
        command.args(["--registered-proof", proof]).arg(files.path("piece"));
        command
    }

    /// PC1 of the sector of all measurements.
    pub fn pc1(&self, side: Side, proof: &str, files: &Files) -> Command {
        self.pc1_of(side, proof, SECTOR, files)
    }

    /// Our PC1 of many sectors of `sector_bytes`, each with its description in its folder, and memory for two layers of each.
    pub fn pc1_of_many(&self, sectors: &[Files], sector_bytes: usize) -> Command {
        let mut command = self.start(Side::Ours, Network::Filecoin, &self.shared);
        let memory_bytes = 2 * sectors.len() * sector_bytes + BESIDE_LAYERS;
        command.arg("--max-ram").arg(memory_bytes.to_string());
        command.args(["seal", "pc1", "--sectors"]).args(sectors.iter().map(|files| &files.folder));
        command
    }

    /// PC1 of a sector.
    pub fn pc1_of(&self, side: Side, proof: &str, sector: &str, files: &Files) -> Command {
        let mut command = self.phase(side, "pc1", &self.shared, files, &["cache", "sealed", "staged", "pieces"]);
        command.args(["--registered-proof", proof, "--prover-id", PROVER_ID, "--sector", sector, "--ticket", TICKET]);
        command.arg("--out").arg(files.path("pc1.json"));
        command
    }

    /// PC2.
    pub fn pc2(&self, side: Side, files: &Files) -> Command {
        let mut command = self.phase(side, "pc2", &self.shared, files, &["cache", "sealed", "pc1"]);
        command.arg("--out").arg(files.path("pc2.json"));
        command
    }

    /// Verification of a seal's proof. `comms` are CommR and CommD in hexadecimal.
    pub fn verify(&self, side: Side, params: &Path, proof: &str, comms: &[String; 2], file: &Path) -> Command {
        let mut command = self.phase(side, "verify", params, &Files::under(params), &[]);
        let [comm_r, comm_d] = comms;
        command.args(["--registered-proof", proof, "--prover-id", PROVER_ID, "--sector", SECTOR, "--ticket", TICKET]);
        command.args(["--seed", SEED, "--comm-r", comm_r, "--comm-d", comm_d]).arg("--proof").arg(file);
        command
    }

    /// Unsealing of the first `length` bytes of a sector into `data`, without a layer: the folder `unseal` is empty.
    pub fn unseal(&self, side: Side, proof: &str, comm_d: &str, length: usize, files: &Files) -> Command {
        let mut command = self.phase(side, "unseal", &self.shared, files, &["sealed"]);
        command.args(["--registered-proof", proof, "--prover-id", PROVER_ID, "--sector", SECTOR, "--ticket", TICKET]);
        command.args(["--comm-d", comm_d, "--length", &length.to_string()]);
        command.arg("--cache").arg(files.path("unseal")).arg("--out").arg(files.path("data"));
        command
    }

    /// Synthetic proofs.
    pub fn synth(&self, side: Side, files: &Files) -> Command {
        let mut command = self.phase(side, "synth", &self.shared, files, &["cache", "sealed", "pc2", "pieces"]);
        command.args(["--prover-id", PROVER_ID, "--sector", SECTOR, "--ticket", TICKET]);
        command
    }

    /// C1.
    pub fn c1(&self, side: Side, files: &Files) -> Command {
        let mut command = self.phase(side, "c1", &self.shared, files, &["cache", "sealed", "pc2", "pieces"]);
        command.args(["--prover-id", PROVER_ID, "--sector", SECTOR, "--ticket", TICKET, "--seed", SEED]);
        command.arg("--out").arg(files.path("c1.json"));
        command
    }

    /// C2 with the parameters in the folder `params`.
    pub fn c2(&self, side: Side, params: &Path, files: &Files) -> Command {
        let mut command = self.phase(side, "c2", params, files, &["c1"]);
        command.args(["--prover-id", PROVER_ID, "--sector", SECTOR]);
        command.arg("--out").arg(files.path("proof"));
        command
    }

    /// A step over a list of seals, ours under `seal`.
    fn many(&self, side: Side, params: &Path, ours: &[&str], reference: &str, list: &Path) -> Command {
        let mut command = self.start(side, Network::Filecoin, params);
        match side {
            Side::Ours => command.arg("seal").args(ours).arg("--list").arg(list),
            Side::Reference => command.arg(reference).arg(list),
        };
        command
    }

    /// Verification of a list of seals, one after the other or in a batch.
    pub fn verify_list(&self, side: Side, params: &Path, list: &Path, batch: bool) -> Command {
        let mut command = self.many(side, params, &["verify"], "verify-list", list);
        match (side, batch) {
            (Side::Ours, false) => command.arg("--one-by-one"),
            (Side::Reference, true) => command.arg("--batch"),
            _ => &mut command,
        };
        command
    }

    /// A reference string that the reference takes, made by us.
    pub fn setup_srs(&self, params: &Path) -> Command {
        let mut command = self.start(Side::Ours, Network::Filecoin, params);
        command.args(["params", "setup-srs", "--force"]);
        command
    }

    /// Aggregation of a list of seals.
    pub fn aggregate(&self, side: Side, params: &Path, list: &Path, out: &Path) -> Command {
        let mut command = self.many(side, params, &["aggregate", "--force"], "aggregate", list);
        command.arg("--out").arg(out);
        command
    }

    /// Verification of an aggregate of a list of seals.
    pub fn verify_aggregate(&self, side: Side, params: &Path, list: &Path, aggregate: &Path) -> Command {
        let mut command = self.many(side, params, &["verify-aggregate"], "verify-aggregate", list);
        command.arg("--aggregate").arg(aggregate);
        command
    }

    /// A proof of space-time of a list of sectors, with the parameters in the folder `params`.
    pub(super) fn post(&self, side: Side, params: &Path, kind: &Kind, list: &Path, out: &Path) -> Command {
        let mut command = self.start(side, Network::Filecoin, params);
        match side {
            Side::Ours => command.args(["post", kind.name, "prove", "--force"]),
            Side::Reference => command.args(["post", "prove"]),
        };
        command.args(["--registered-proof", kind.proof, "--prover-id", PROVER_ID, "--randomness", SEED]);
        command.arg("--sectors").arg(list).arg("--out").arg(out);
        command
    }

    /// Our check of a proof of space-time.
    pub(super) fn verify_post(&self, params: &Path, kind: &Kind, list: &Path, proof: &Path) -> Command {
        let mut command = self.start(Side::Ours, Network::Filecoin, params);
        command.args(["post", kind.name, "verify", "--registered-proof", kind.proof]);
        command.args(["--prover-id", PROVER_ID, "--randomness", SEED]).arg("--sectors").arg(list);
        command.arg("--proof").arg(proof);
        command
    }
}

/// Steps of a sector update; both programs have the same flags.
impl Programs {
    fn update(&self, side: Side, step: &str, params: &Path, files: &Files, flags: &[[&str; 2]]) -> Command {
        let mut command = self.start(side, Network::Filecoin, params);
        command.args(["update", step]);
        for [flag, file] in flags {
            command.arg(format!("--{flag}")).arg(files.path(file));
        }
        command
    }

    /// Encodes `staged` into `sealed`: `new`, `new-cache`, `update.json`.
    pub fn update_encode(&self, side: Side, proof: &str, files: &Files) -> Command {
        let more = [["staged", "staged"], ["pieces", "pieces.json"], ["out", "update.json"]];
        let mut command = self.update(side, "encode", &self.shared, files, &[&REPLICAS[..], &more].concat());
        command.args(["--registered-proof", proof]);
        command
    }

    /// Opens the challenges: `vanilla`.
    pub fn update_vanilla(&self, side: Side, files: &Files) -> Command {
        let more = [["update", "update.json"], ["out", "vanilla"]];
        self.update(side, "vanilla", &self.shared, files, &[&REPLICAS[..], &more].concat())
    }

    /// Proves `vanilla` with the parameters in the folder `params`: `proof`.
    pub fn update_prove(&self, side: Side, params: &Path, files: &Files) -> Command {
        let flags = [["update", "update.json"], ["vanilla", "vanilla"], ["out", "proof"]];
        self.update(side, "prove", params, files, &flags)
    }
}

/// Flags and names of both replicas of an update.
const REPLICAS: [[&str; 2]; 4] =
    [["sector-key", "sealed"], ["sector-key-cache", "cache"], ["replica", "new"], ["cache", "new-cache"]];

/// Runs a command and fails if it does.
///
/// # Errors
/// When it cannot be started or does not succeed; names the command.
pub fn measure(mut command: Command) -> Result<Usage> {
    let (usage, succeeded) = Usage::of_command(&mut command).with_context(|| shown(&command))?;
    if !succeeded {
        bail!("failed: {}", shown(&command));
    }
    Ok(usage)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
