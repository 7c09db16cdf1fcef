//! What can be called, who may, and with how many parameters.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::auth::Level;
use crate::call::{Answer, Call, Fault, Params};
use crate::ledger::{Deadline, Ledger};
use crate::limits::CALL;
use crate::node::{Caller, Node};

mod chain;
mod common;
mod net;
mod state;

/// What all names begin with.
pub const NAMESPACE: &str = "Filecoin.";
/// What methods that there are not are counted as.
const UNKNOWN: &str = "unknown";
/// How much of a name is told back.
const NAME_CHARS: usize = 100;

/// An answer that is waited for.
type Told<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// How a method is done.
#[derive(Clone, Copy)]
enum Run {
    /// At once.
    Now(fn(&Node, &Caller, &Params) -> Answer),
    /// Where one may wait for the disk.
    Ledger(fn(&Ledger, &Params, Deadline) -> Answer),
    /// By asking the host.
    Host(for<'a> fn(&'a Node, &'a Params) -> Told<'a>),
    /// By a channel, which only sockets have.
    Channel,
}

/// Something that can be called.
#[derive(Clone, Copy)]
pub struct Method {
    /// Its name without [`NAMESPACE`].
    pub name: &'static str,
    level: Level,
    params: usize,
    run: Run,
}

const fn row(name: &'static str, params: usize, run: Run) -> Method {
    Method { name, level: Level::Read, params, run }
}

const fn admin(name: &'static str, params: usize, run: Run) -> Method {
    Method { name, level: Level::Admin, params, run }
}

/// All of them, by name.
pub static METHODS: &[Method] = &[
    admin("AuthNew", 1, Run::Now(common::auth_new)),
    row("AuthVerify", 1, Run::Now(common::auth_verify)),
    row("ChainGetBlock", 1, Run::Ledger(chain::block)),
    row("ChainGetBlockMessages", 1, Run::Ledger(chain::block_messages)),
    row("ChainGetGenesis", 0, Run::Ledger(chain::genesis)),
    row("ChainGetMessage", 1, Run::Ledger(chain::message)),
    row("ChainGetParentMessages", 1, Run::Ledger(chain::parent_messages)),
    row("ChainGetTipSet", 1, Run::Ledger(chain::tipset)),
    row("ChainGetTipSetByHeight", 2, Run::Ledger(chain::tipset_by_height)),
    row("ChainHasObj", 1, Run::Ledger(chain::has_object)),
    row("ChainHead", 0, Run::Ledger(chain::head)),
    row("ChainNotify", 0, Run::Channel),
    row("ChainReadObj", 1, Run::Ledger(chain::read_object)),
    row("ChainTipSetWeight", 1, Run::Ledger(chain::weight)),
    row("ID", 0, Run::Now(common::id)),
    row("NetAddrsListen", 0, Run::Host(net::listening)),
    row("NetAgentVersion", 1, Run::Host(net::agent)),
    admin("NetConnect", 1, Run::Host(net::connect)),
    row("NetConnectedness", 1, Run::Host(net::connectedness)),
    admin("NetDisconnect", 1, Run::Host(net::disconnect)),
    row("NetFindPeer", 1, Run::Host(net::find)),
    row("NetPeers", 0, Run::Host(net::peers)),
    row("NetPubsubScores", 0, Run::Host(net::scores)),
    admin("Shutdown", 0, Run::Now(common::shutdown)),
    row("StateAccountKey", 2, Run::Ledger(state::account_key)),
    row("StateGetActor", 2, Run::Ledger(state::actor)),
    row("StateLookupID", 2, Run::Ledger(state::lookup_id)),
    row("StateNetworkName", 0, Run::Ledger(state::network_name)),
    row("StateNetworkVersion", 1, Run::Ledger(state::network_version)),
    row("SyncState", 0, Run::Now(common::sync_state)),
    row("Version", 0, Run::Now(common::version)),
];

/// A method by its whole name.
pub fn find(name: &str) -> Option<&'static Method> {
    let name = name.strip_prefix(NAMESPACE)?;
    METHODS.binary_search_by(|method| method.name.cmp(name)).ok().map(|place| &METHODS[place])
}

impl Method {
    /// Whether its answer is a channel.
    pub(crate) fn is_channel(&self) -> bool {
        matches!(self.run, Run::Channel)
    }

    /// The parameters, if the caller may call and these are as many as there are to be.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn admit(&self, params: Option<&RawValue>, caller: &Caller) -> Result<Params, Fault> {
        // As with Lotus, who may not call is told so only after its parameters were looked at.
        let params = Params::of(self.name, self.params, params)?;
        match caller.may(self.level) {
            true => Ok(params),
            false => Err(Fault::Denied { method: self.name, level: self.level.name() }),
        }
    }
}

impl Node {
    /// Answers a call.
    pub async fn call(self: &Arc<Self>, call: &Call<'_>, caller: &Caller) -> Answer {
        let Some(method) = find(&call.method) else {
            self.counts.add(UNKNOWN, Fault::Method(String::new()).code());
            return Err(Fault::Method(call.method.chars().take(NAME_CHARS).collect()));
        };
        let answer = self.run(method, call.params, caller).await;
        self.counts.add(method.name, answer.as_ref().map_or_else(Fault::code, |_| 0));
        if let Err(fault) = &answer {
            tracing::debug!(method = method.name, %fault, "no result");
        }
        answer
    }

    async fn run(self: &Arc<Self>, method: &'static Method, params: Option<&RawValue>, caller: &Caller) -> Answer {
        if method.is_channel() {
            return Err(Fault::Mode(method.name));
        }
        let params = method.admit(params, caller)?;
        let answer = async {
            match method.run {
                Run::Now(run) => run(self, caller, &params),
                Run::Host(run) => run(self, &params).await,
                Run::Ledger(run) => self.read(move |ledger, deadline| run(ledger, &params, deadline)).await,
                Run::Channel => Err(Fault::Mode(method.name)),
            }
        };
        timeout(CALL, answer).await.unwrap_or(Err(Fault::TooLong))
    }

    /// Reads the ledger, where that may wait for the disk, not too many at once.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Ledger, Deadline) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let deadline = Deadline(Instant::now() + CALL);
        let gone = |_| Fault::Failed("the answer was not computed".to_owned());
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| Fault::TooLong)?;
        let ledger = Arc::clone(&self.ledger);
        let reading = spawn_blocking(move || {
            let outcome = read(&ledger, deadline);
            drop(permit);
            outcome
        });
        reading.await.map_err(gone)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_their_names() {
        assert!(METHODS.is_sorted_by(|one, other| one.name < other.name));
        for method in METHODS {
            let found = find(&format!("Filecoin.{}", method.name)).unwrap();
            assert_eq!(found.name, method.name);
        }
        for name in ["ChainHead", "Filecoin.", "Filecoin.chainHead", "filecoin.ChainHead", "Filecoin.ChainHead ", ""] {
            assert!(find(name).is_none(), "{name}");
        }
    }
}
