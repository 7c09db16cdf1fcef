//! About the chain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_chain::block_messages::ChainMessage;
use filecash_chain::{Message, SignedMessage, Tipset};

use crate::call::{Answer, Fault, Params, result};
use crate::json::{BlockMessagesJson, HeaderJson, Key, Link, MessageJson, NamedMessageJson, TipsetJson};
use crate::ledger::{Deadline, Ledger};

fn told(ledger: &Ledger, tipset: &Tipset) -> Answer {
    result(&TipsetJson::new(tipset, ledger.network().prefix))
}

pub fn head(ledger: &Ledger, _: &Params, _: Deadline) -> Answer {
    told(ledger, &ledger.head())
}

pub fn genesis(ledger: &Ledger, _: &Params, _: Deadline) -> Answer {
    told(ledger, ledger.genesis())
}

pub fn tipset(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    told(ledger, &ledger.tipset(&params.get::<Key>(0)?.cids())?)
}

pub fn tipset_by_height(ledger: &Ledger, params: &Params, deadline: Deadline) -> Answer {
    let from = ledger.tipset_or_head(&params.get(1)?)?;
    told(ledger, &ledger.at_height(params.get(0)?, &from, deadline)?)
}

pub fn block(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let header = ledger.header(&params.get::<Link>(0)?.0)?;
    result(&HeaderJson::new(&header, ledger.network().prefix))
}

pub fn block_messages(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let header = ledger.header(&params.get::<Link>(0)?.0)?;
    let alone = Tipset::new(vec![header]).map_err(|error| Fault::of(&error))?;
    let messages = ledger.chain().messages(&alone).map_err(|error| Fault::of(&error))?;
    let messages = messages.into_iter().next().unwrap_or_default();
    result(&BlockMessagesJson::new(&messages, ledger.network().prefix))
}

/// Those that the parents of a block execute, each once; null for none, as Go has it.
pub fn parent_messages(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let header = ledger.header(&params.get::<Link>(0)?.0)?;
    if header.height == 0 {
        return result(&());
    }
    let parents = ledger.tipset(&header.parents)?;
    let executed = ledger.chain().executed(&parents).map_err(|error| Fault::of(&error))?;
    let messages: Vec<ChainMessage> = executed.into_iter().map(|executed| executed.message).collect();
    let named: Vec<_> =
        messages.iter().map(|message| NamedMessageJson::new(message, ledger.network().prefix)).collect();
    result(&Some(named).filter(|named| !named.is_empty()))
}

pub fn message(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let cid = params.get::<Link>(0)?.0;
    let prefix = ledger.network().prefix;
    if let Ok(message) = ledger.object::<Message>(&cid) {
        return result(&MessageJson::new(&message, prefix));
    }
    let signed: SignedMessage = ledger.object(&cid)?;
    result(&MessageJson::new(&signed.message, prefix))
}

pub fn has_object(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let size = ledger.store().size(&params.get::<Link>(0)?.0).map_err(|error| Fault::of(&error))?;
    result(&size.is_some())
}

pub fn read_object(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let cid = params.get::<Link>(0)?.0;
    let bytes = ledger.store().get(&cid).map_err(|error| Fault::of(&error))?;
    let bytes = bytes.ok_or_else(|| Fault::Failed(format!("blockstore get: block {cid} is not there")))?;
    result(&STANDARD.encode(bytes))
}

pub fn weight(ledger: &Ledger, params: &Params, _: Deadline) -> Answer {
    let tipset = ledger.tipset_or_head(&params.get(0)?)?;
    result(&ledger.weight(&tipset)?.to_string())
}
