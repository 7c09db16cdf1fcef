//! Our engine in process, phase by phase.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::Result;
use filecash_engine::api::seal::{
    self, Commit1Output, PreCommit1Output, PreCommit2Output, SectorIdentity, commit_phase1, commit_phase2,
    pre_commit_phase1, pre_commit_phase2, unseal_range, verify_seal,
};
use filecash_engine::config::Config;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::sector::piece::{PieceInfo, UnpaddedLen, zero_commitment};
use filecash_engine::sector::{Profile, SealProof};

use crate::case::Case;
use crate::side::{Side, Statement, registered};

/// The engine with its folder of parent tables.
#[derive(Clone, Debug)]
pub struct Ours {
    parents: PathBuf,
}
