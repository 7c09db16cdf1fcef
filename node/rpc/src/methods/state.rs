//! About states of the ledger, where the store has them: that of a tipset is the one that its header names, on which it was mined.

use filecash_chain::Tipset;

use crate::call::{Answer, Fault, Params, result};
use crate::json::{ActorJson, AddressText};
use crate::ledger::{Deadline, Ledger};

fn failed(error: impl std::error::Error) -> Fault {
    Fault::of(&error)
}

pub fn actor(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let address = params.get::<AddressText>(0)?.0;
    let tipset = ledger.tipset_or_head(&params.get(1)?)?;
    result(&ActorJson::new(&ledger.state(&tipset)?.actor(&address).map_err(failed)?))
}

pub fn account_key(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let address = params.get::<AddressText>(0)?.0;
    let prefix = ledger.network().prefix;
    if address.is_key() {
        return result(&address.to_text(prefix));
    }
    let tipset = ledger.tipset_or_head(&params.get(1)?)?;
    result(&ledger.state(&tipset)?.key_of(&address).map_err(failed)?.to_text(prefix))
}

pub fn lookup_id(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let address = params.get::<AddressText>(0)?.0;
    let tipset = ledger.tipset_or_head(&params.get(1)?)?;
    let id = ledger.state(&tipset)?.id_of(&address).map_err(failed)?;
    let id = id.ok_or_else(|| Fault::Failed(format!("there is no actor {address}")))?;
    result(&id.to_text(ledger.network().prefix))
}

/// What the state of the head says, and where that is not at hand, what the node was told.
pub fn network_name(ledger: &Ledger, _: &Params, _: Deadline) -> Answer {
    let head: &Tipset = &ledger.head();
    let of_state = ledger.state(head).and_then(|state| ledger.name_of(&state));
    result(&of_state.unwrap_or_else(|_| ledger.network().name.clone()))
}

pub fn network_version(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let height = ledger.tipset_or_head(&params.get(0)?)?.height();
    let version = ledger.network().version(height);
    result(
        &version
            .ok_or_else(|| Fault::Failed(format!("the version of this network at height {height} is not known")))?,
    )
}
