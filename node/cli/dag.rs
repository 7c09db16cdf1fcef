//! `filecash dag`: what is in blocks, and below them.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use filecash_engine::job::Unit;
use filecash_ipld::Cid;
use filecash_ipld::codec::{self, Codec, Ipld};
use filecash_ipld::selector::Selector;
use filecash_ipld::store::BlockStore;
use filecash_ipld::traverse::{Limits, Walk};
use filecash_ipld::unixfs::folder::list;
use filecash_node::size::ByteSize;
use serde_json::{Map, Number, Value, json};

use crate::args::blocks::{Dag, Place};
use crate::blocks::{at, store};
use crate::context::Context;
use crate::report::{Failure, Kind, Report, pretty};
use crate::text::{Align, Table, count, grouped};

/// Missing blocks that are named.
const NAMED: usize = 10;

/// Runs the verb.
pub fn run(verb: &Dag, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Dag::Show { place } => show(place, context),
        Dag::List { place } => names(place, context),
        Dag::Stat { cid } => stat(cid, context),
    }
}

fn show(place: &Place, context: &Context) -> anyhow::Result<Report> {
    let store = store(context)?;
    let cid = at(&store, place)?;
    let missing = || Failure::new(Kind::Input, format!("block {cid} is not there"));
    let bytes = store.get(&cid)?.ok_or_else(missing)?;
    let value = dag_json(&codec::decode(&cid, &bytes).with_context(|| format!("block {cid}"))?);
    Ok(Report::done(pretty(&value), json!({ "cid": cid.to_string(), "bytes": bytes.len(), "value": value })))
}

/// A value as dag-json: links and bytes are maps of `/`.
pub fn dag_json(value: &Ipld) -> Value {
    match value {
        Ipld::Null => Value::Null,
        Ipld::Bool(value) => json!(value),
        // What no number of JSON programs holds is told as a text.
        Ipld::Integer(number) => Number::from_i128(*number).map_or_else(|| json!(number.to_string()), Value::Number),
        Ipld::Float(number) => json!(number),
        Ipld::String(text) => json!(text),
        Ipld::Bytes(bytes) => json!({ "/": { "bytes": STANDARD_NO_PAD.encode(bytes) } }),
        Ipld::List(items) => items.iter().map(dag_json).collect(),
        Ipld::Map(entries) => {
            entries.iter().map(|(name, value)| (name.clone(), dag_json(value))).collect::<Map<_, _>>().into()
        }
        Ipld::Link(cid) => json!({ "/": cid.to_string() }),
    }
}

fn names(place: &Place, context: &Context) -> anyhow::Result<Report> {
    let store = store(context)?;
    let folder = at(&store, place)?;
    let mut table = Table::new(&[("name", Align::Left), ("below", Align::Right), ("CID", Align::Left)]);
    let mut entries = Vec::new();
    for entry in list(&store, &folder)? {
        let entry = entry?;
        let below = entry.tsize.map_or(String::new(), |size| ByteSize(size).to_string());
        table.row([entry.name.clone(), below, entry.cid.to_string()]);
        entries.push(json!({ "name": entry.name, "cid": entry.cid.to_string(), "below_bytes": entry.tsize }));
    }
    let text = if entries.is_empty() { "  nothing is in it\n".to_owned() } else { table.render() };
    Ok(Report::done(text, json!({ "cid": folder.to_string(), "entries": entries })))
}

fn stat(cid: &Cid, context: &Context) -> anyhow::Result<Report> {
    let store = store(context)?;
    let stage = context.job().stage("walk", Unit::Items, 0);
    let mut walk = Walk::new(*cid, &Selector::everything(), Limits::DEFAULT).following_links_once();
    let (mut blocks, mut bytes, mut missing, mut opaque) = (0_u64, 0_u64, Vec::new(), 0_u64);
    while let Some(wanted) = walk.next_block()? {
        let outcome = stage.advance(1);
        context.kept(outcome, || "nothing was written".to_owned())?;
        match store.get(&wanted.cid)? {
            None => missing.push(wanted.cid),
            Some(content) => {
                blocks += 1;
                bytes += content.len() as u64;
                if Codec::by_code(wanted.cid.codec()).is_none() {
                    opaque += 1;
                } else {
                    walk.supply(&wanted.cid, &content)?;
                    continue;
                }
            }
        }
        walk.skip();
    }
    drop(stage);
    let mut table = Table::fields();
    table.row(["Blocks", &grouped(blocks)]).row(["Bytes", &format!("{} ({})", grouped(bytes), ByteSize(bytes))]);
    if opaque > 0 {
        table.row(["Not looked into", &count(opaque, "block of an unknown codec")]);
    }
    let named: Vec<String> = missing.iter().take(NAMED).map(ToString::to_string).collect();
    table.row([
        "Missing",
        &if missing.is_empty() { "nothing".to_owned() } else { count(missing.len() as u64, "block") },
    ]);
    for cid in &named {
        table.row(["", cid]);
    }
    let json = json!({
        "cid": cid.to_string(), "blocks": blocks, "bytes": bytes, "not_looked_into": opaque, "missing": missing.len(),
        "missing_cids": named,
    });
    Ok(Report { accepted: missing.is_empty(), text: table.render(), json })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_as_dag_json() {
        let cid: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().unwrap();
        let value = Ipld::Map(vec![
            ("link".to_owned(), Ipld::Link(cid)),
            ("bytes".to_owned(), Ipld::Bytes(vec![1, 2])),
            ("list".to_owned(), Ipld::List(vec![Ipld::Null, Ipld::Bool(true), Ipld::Integer(-5), Ipld::Float(1.5)])),
            ("large".to_owned(), Ipld::Integer(i128::from(u64::MAX))),
            ("larger".to_owned(), Ipld::Integer(-1 - i128::from(u64::MAX))),
        ]);
        let expected = json!({
            "link": { "/": cid.to_string() }, "bytes": { "/": { "bytes": "AQI" } }, "list": [null, true, -5, 1.5],
            "large": u64::MAX, "larger": "-18446744073709551616",
        });
        assert_eq!(dag_json(&value), expected);
    }
}
