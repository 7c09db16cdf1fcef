//! About the node itself.

use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_chain::Tipset;
use serde_json::json;

use crate::auth::Level;
use crate::call::{Answer, Fault, Params, result};
use crate::json::TipsetJson;
use crate::node::{ActiveSync, Caller, Node};

/// What we call ourselves.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+filecash");
/// Versions of the interface that clients look at, by path: major·65536 + minor·256 + patch, those of the last Lotus that a Filecash node was.
const API_VERSIONS: [u32; 2] = [(1 << 16) + (1 << 8), (2 << 16) + (1 << 8)];

pub fn version(node: &Node, caller: &Caller, _: &Params) -> Answer {
    let api = API_VERSIONS[usize::from(caller.version.min(1))];
    result(&json!({ "Version": VERSION, "APIVersion": api, "BlockDelay": node.ledger.rules().epoch_seconds }))
}

pub fn id(node: &Node, _: &Caller, _: &Params) -> Answer {
    let host = node.host.as_ref().ok_or_else(super::net::nobody)?;
    result(&host.peer_id().to_base58())
}

pub fn auth_verify(node: &Node, _: &Caller, params: &Params) -> Answer {
    let token: String = params.get(0)?;
    let levels = node.tokens.verify(&token);
    result(&levels.ok_or_else(|| Fault::Failed("JWT Verification failed: the token is not of this node".to_owned()))?)
}

pub fn auth_new(node: &Node, _: &Caller, params: &Params) -> Answer {
    let levels: Vec<Level> = params.get(0)?;
    if levels.len() > Level::ALL.len() {
        return Err(Fault::Failed("there are four levels".to_owned()));
    }
    result(&STANDARD.encode(node.tokens.make(&levels)))
}

pub fn shutdown(node: &Node, _: &Caller, _: &Params) -> Answer {
    tracing::info!("asked to stop");
    node.stop.send_replace(true);
    result(&())
}

pub fn sync_state(node: &Node, _: &Caller, _: &Params) -> Answer {
    let prefix = node.ledger.network().prefix;
    let syncs = node.syncs.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |sync: &ActiveSync| {
        let tipset = |tipset: &Option<Arc<Tipset>>| {
            tipset.as_ref().map(|tipset| result(&TipsetJson::new(tipset, prefix))).transpose()
        };
        let (base, target) = (tipset(&sync.base)?, tipset(&sync.target)?);
        let told = json!({
            "WorkerID": sync.worker, "Base": base, "Target": target, "Stage": sync.stage as u8, "Height": sync.height,
            "Start": time(sync.begun), "End": time(sync.over), "Message": sync.message,
        });
        Ok(told)
    };
    let syncs = syncs.iter().map(told).collect::<Result<Vec<_>, Fault>>()?;
    // The other member counts messages that were executed: none are.
    result(&json!({ "ActiveSyncs": syncs, "VMApplied": 0 }))
}

/// Seconds of Unix as Go writes times; what never was is the year 1.
fn time(seconds: Option<u64>) -> String {
    let Some(seconds) = seconds else { return "0001-01-01T00:00:00Z".to_owned() };
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days of the era of 400 years that begins with March of the year 0; the year of a day; months of 30.6 days from March on.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date -u -d @…` has them; the fourth is the time of Filecash's genesis.
    #[test]
    fn times_are_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_603_934_700, "2020-10-29T01:25:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(Some(seconds)), expected);
        }
    }
}
