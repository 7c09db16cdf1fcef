//! Telling of new heads: first the head there is, then for every new one the way there.
//!
//! A way from one head to another is told as Lotus does: what is taken back, the latest first, and then what is new, the earliest first.

use std::sync::Arc;

use filecash_chain::Tipset;
use filecash_chain::address::Prefix;
use serde::Serialize;

use crate::call::{Answer, Fault, result};
use crate::json::TipsetJson;
use crate::ledger::{Deadline, Ledger};

/// The longest way that is told, which is that after which nothing is taken back.
const MAX_STEPS: usize = 2 * 900;

/// What became of a tipset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum Kind {
    Current,
    Revert,
    Apply,
}

/// A step on the way from one head to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: Kind,
    /// The tipset.
    pub tipset: Arc<Tipset>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeJson<'a> {
    r#type: Kind,
    val: TipsetJson<'a>,
}

/// Changes as text.
///
/// # Errors
/// [`Fault::TooLarge`].
pub fn told(changes: &[Change], prefix: Prefix) -> Answer {
    let told =
        changes.iter().map(|change| ChangeJson { r#type: change.kind, val: TipsetJson::new(&change.tipset, prefix) });
    result(&told.collect::<Vec<_>>())
}

/// The way from one head to another.
///
/// # Errors
/// [`Fault`] where a part of it is not there, or is too long.
pub fn way(ledger: &Ledger, from: &Arc<Tipset>, to: &Arc<Tipset>, deadline: Deadline) -> Result<Vec<Change>, Fault> {
    let (mut back, mut forth) = (Vec::new(), Vec::new());
    let (mut one, mut other) = (Arc::clone(from), Arc::clone(to));
    while one != other {
        deadline.check()?;
        if back.len() + forth.len() >= MAX_STEPS {
            return Err(Fault::Failed("the new head is too far from the old one".to_owned()));
        }
        if one.height() > other.height() {
            back.push(Arc::clone(&one));
            one = parents(ledger, &one)?;
        } else {
            forth.push(Arc::clone(&other));
            other = parents(ledger, &other)?;
        }
    }
    let back = back.into_iter().map(|tipset| Change { kind: Kind::Revert, tipset });
    let forth = forth.into_iter().rev().map(|tipset| Change { kind: Kind::Apply, tipset });
    Ok(back.chain(forth).collect())
}

fn parents(ledger: &Ledger, tipset: &Tipset) -> Result<Arc<Tipset>, Fault> {
    ledger.tipset(tipset.parents()).map(Arc::new)
}
