//! All that calls are answered from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use filecash_chain::Tipset;
use filecash_net::host::Host;
use tokio::sync::{Semaphore, watch};

use crate::auth::{Level, Tokens};
use crate::ledger::Ledger;
use crate::limits::{READERS, SOCKETS};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What it may do.
    pub levels: Vec<Level>,
    /// Which version of the interface it asked for: 0 or 1.
    pub version: u8,
}

impl Caller {
    /// Whether it may do what a level stands for.
    pub fn may(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }
}

/// Who may call without being asked who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether reading takes a token too.
    pub require_token: bool,
    /// Pages of which origins may call, such as `https://wallet.example`.
    pub origins: Vec<String>,
}

/// How far a chain is fetched. The numbers are Lotus's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Stage {
    Idle = 0,
    Headers = 1,
    PersistHeaders = 2,
    Messages = 3,
    Complete = 4,
    Errored = 5,
    FetchingMessages = 6,
}

/// A chain that is fetched, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveSync {
    /// Which of them.
    pub worker: u64,
    /// Where our chain was.
    pub base: Option<Arc<Tipset>>,
    /// Where it is to get to.
    pub target: Option<Arc<Tipset>>,
    /// What is being done.
    pub stage: Stage,
    /// How far that is.
    pub height: i64,
    /// When it began, in seconds of Unix.
    pub begun: Option<u64>,
    /// When it was over.
    pub over: Option<u64>,
    /// Why it failed.
    pub message: String,
}

/// Calls that were answered, by method and by code, which is zero for a result. Methods that there are not are counted together.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<(&'static str, i64), u64>>);

impl Counts {
    pub(crate) fn add(&self, method: &'static str, code: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((method, code)).or_default() += 1;
    }

    /// All of them.
    pub fn all(&self) -> Vec<(&'static str, i64, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((method, code), count)| (*method, *code, *count)).collect()
    }
}

/// What calls are answered from.
pub struct Node {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) host: Option<Host>,
    pub(crate) tokens: Tokens,
    pub(crate) access: Access,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) syncs: Mutex<Vec<ActiveSync>>,
    pub(crate) counts: Counts,
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) sockets: Arc<Semaphore>,
}

impl Node {
    /// A node; without a host it knows nobody. It is told by `stop` to end, and tells others by it when it was asked to.
    pub fn new(
        ledger: Arc<Ledger>,
        host: Option<Host>,
        tokens: Tokens,
        access: Access,
        stop: watch::Sender<bool>,
    ) -> Self {
        Self {
            ledger,
            host,
            tokens,
            access,
            stop,
            syncs: Mutex::default(),
            counts: Counts::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            sockets: Arc::new(Semaphore::new(SOCKETS)),
        }
    }

    /// The chain.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What was answered so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Says which chains are fetched.
    pub fn set_syncs(&self, syncs: Vec<ActiveSync>) {
        *self.syncs.lock().unwrap_or_else(PoisonError::into_inner) = syncs;
    }

    /// What a caller with or without a token may do; nothing for a token that is not ours.
    pub fn caller(&self, token: Option<&str>, version: u8) -> Option<Caller> {
        let levels = match token {
            Some(token) => self.tokens.verify(token)?,
            None if self.access.require_token => return None,
            None => vec![Level::Read],
        };
        Some(Caller { levels, version })
    }
}
