//! `filecash chain`: the chain that is followed, and chains in CAR files, listed and checked.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use filecash_chain::check::{Rules, block as blocks};
use filecash_chain::facts::{self, Genesis};
use filecash_chain::{Amount, Tipset};
use filecash_engine::job::{Stage, Unit};
use filecash_ipld::car::{CarOptions, CarReader};
use filecash_ipld::codec::{self, Codec, dag_cbor};
use filecash_ipld::{Cid, Ipld};
use filecash_node::size::ByteSize;
use serde_json::{Value, json};

use crate::args::chain::Chain;
use crate::context::Context;
use crate::dag::dag_json;
use crate::report::{Failure, Kind, Report, pretty};
use crate::text::{Align, Table, count, grouped};

mod import;
mod opened;

use opened::{AnyChain, Opened, open, open_file};

/// Actors that are shown.
const SHOWN: usize = 12;

/// Runs the verb.
pub fn run(verb: &Chain, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Chain::Import { file } => import::run(file, context),
        Chain::Head { file } => head(&open(file.as_deref(), context)?),
        Chain::List { file, count } => list(&open(file.as_deref(), context)?, *count, context),
        Chain::Show { first, second: Some(cid) } => show(&open_file(first)?, cid),
        Chain::Show { first, second: None } => {
            let text = first.to_string_lossy();
            let no_cid = |error| Failure::new(Kind::Usage, format!("{text:?} is not a CID: {error}"));
            let cid: Cid = text.parse().map_err(no_cid)?;
            show(&open(None, context)?, &cid)
        }
        Chain::Inspect { file } => inspect(file, context),
    }
}

fn head(opened: &Opened) -> anyhow::Result<Report> {
    let tipset = opened.any_chain().tipset(&opened.head)?;
    let mut table = Table::fields();
    table.row(["Height", &tipset.height().to_string()]).row(["Time", &tipset.first().timestamp.to_string()]);
    table.row(["Weight of its parents", &tipset.first().parent_weight.to_string()]);
    let mut json = json_of(&tipset);
    if let Some(weight) = &opened.weight {
        table.row(["Weight", &weight.to_string()]);
        json["weight"] = json!(weight);
    }
    for (cid, header) in tipset.blocks() {
        table.row(["Block", &format!("{cid} of {}", header.miner)]);
    }
    for parent in tipset.parents() {
        table.row(["Parent", &parent.to_string()]);
    }
    Ok(Report::done(table.render(), json))
}

fn json_of(tipset: &Tipset) -> Value {
    let blocks = tipset.blocks().iter().map(|(cid, header)| json!({ "cid": cid.to_string(), "miner": header.miner }));
    json!({
        "height": tipset.height(),
        "timestamp": tipset.first().timestamp,
        "parent_weight": tipset.first().parent_weight,
        "blocks": blocks.collect::<Vec<_>>(),
        "parents": tipset.parents().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn list(opened: &Opened, most: usize, context: &Context) -> anyhow::Result<Report> {
    let chain = opened.chain(context)?;
    let mut table = Table::new(&[
        ("height", Align::Right),
        ("time", Align::Right),
        ("messages", Align::Right),
        ("blocks", Align::Left),
    ]);
    let mut tipsets = Vec::new();
    for tipset in chain.walk(&opened.head).take(most) {
        let tipset = tipset?;
        let messages: usize = chain.messages(&tipset)?.iter().map(|messages| messages.count()).sum();
        let miners: Vec<String> = tipset.headers().map(|header| header.miner.to_string()).collect();
        table.row([
            tipset.height().to_string(),
            tipset.first().timestamp.to_string(),
            messages.to_string(),
            miners.join(" "),
        ]);
        let mut json = json_of(&tipset);
        json["messages"] = messages.into();
        tipsets.push(json);
    }
    Ok(Report::done(table.render(), json!({ "tipsets": tipsets })))
}

fn show(opened: &Opened, cid: &Cid) -> anyhow::Result<Report> {
    let missing = || Failure::new(Kind::Input, format!("{cid} is not in {}", opened.place));
    let bytes = opened.store.get(cid)?.ok_or_else(missing)?;
    let value = dag_json(&codec::decode(cid, &bytes).with_context(|| format!("object {cid}"))?);
    Ok(Report::done(pretty(&value), json!({ "cid": cid.to_string(), "bytes": bytes.len(), "value": value })))
}

/// What a look at all of a file comes to.
#[derive(Default)]
struct Seen {
    objects: u64,
    /// That are written with the bytes they were read from.
    rewritten: u64,
    tipsets: u64,
    headers: u64,
    messages: u64,
    executed: u64,
}

fn inspect(file: &Path, context: &Context) -> anyhow::Result<Report> {
    let opened = open_file(file)?;
    let mut seen = Seen::default();
    objects(file, &mut seen, context)?;
    let chain = opened.chain(context)?;
    let stage = context.job().stage("check", Unit::Items, 0);
    let genesis = tipsets(&chain, &opened.head, &mut seen, &stage, context)?;
    drop(stage);
    let facts = facts::of_genesis(&*opened.store, &genesis).context("the state of the genesis")?;
    let mut table = Table::fields();
    table
        .row([
            "Objects",
            &format!("{}, {} of them dag-cbor of one form", grouped(seen.objects), grouped(seen.rewritten)),
        ])
        .row(["Chain", &format!("{} of {}", count(seen.tipsets, "tipset"), count(seen.headers, "block"))])
        .row(["Messages", &messages(&seen)]);
    tell(&facts, &mut table);
    let json = json!({
        "objects": seen.objects, "rewritten": seen.rewritten, "tipsets": seen.tipsets, "headers": seen.headers,
        "messages": seen.messages, "executed": seen.executed, "genesis": facts,
    });
    Ok(Report::done(table.render(), json))
}

fn messages(seen: &Seen) -> String {
    match seen.messages {
        0 => "none".to_owned(),
        count => {
            format!("{}, all signed by whom they are from; {} take effect", grouped(count), grouped(seen.executed))
        }
    }
}

/// Reads all objects of a file, each of which has to be that of its CID.
fn objects(file: &Path, seen: &mut Seen, context: &Context) -> anyhow::Result<()> {
    let name = || format!("cannot read {}", file.display());
    let source = File::open(file).with_context(name)?;
    let length = source.metadata().with_context(name)?.len();
    let stage = context.job().stage("read", Unit::Bytes, length);
    let mut car = CarReader::new(BufReader::new(source), &CarOptions::default()).with_context(name)?;
    let mut at = 0;
    while let Some(block) = car.next() {
        let block = block.with_context(name)?;
        let outcome = stage.advance(car.position() - at);
        context.kept(outcome, || "nothing was written".to_owned())?;
        at = car.position();
        seen.objects += 1;
        let is_cbor = block.cid().codec() == Codec::DagCbor.code();
        // What is no data of a known form, such as a greeting in the genesis, is known by its hash alone.
        if is_cbor && dag_cbor::decode(block.bytes()).is_ok_and(|value: Ipld| dag_cbor::encode(&value) == block.bytes())
        {
            seen.rewritten += 1;
        }
    }
    Ok(())
}

/// Checks all tipsets but the genesis, whose CID is handed back.
fn tipsets(
    chain: &AnyChain,
    head: &[Cid],
    seen: &mut Seen,
    stage: &Stage<'_>,
    context: &Context,
) -> anyhow::Result<Cid> {
    let mut genesis = head[0];
    for tipset in chain.walk(head) {
        let tipset = tipset?;
        let outcome = stage.advance(1);
        context.kept(outcome, || "nothing was written".to_owned())?;
        seen.tipsets += 1;
        seen.headers += tipset.blocks().len() as u64;
        genesis = tipset.key()[0];
        if tipset.height() == 0 {
            continue;
        }
        for ((cid, header), messages) in tipset.blocks().iter().zip(chain.messages(&tipset)?) {
            let place = || format!("block {cid} at height {}", tipset.height());
            blocks::check_alone(header, &Rules::MAINNET).with_context(place)?;
            blocks::check_messages(header, &messages, &Rules::MAINNET).with_context(place)?;
            // Who is named by a number has a key in the ledger, which is not here.
            blocks::check_signatures(header, &messages, |_| None).with_context(place)?;
            seen.messages += messages.count() as u64;
        }
        seen.executed += chain.executed(&tipset)?.len() as u64;
    }
    Ok(genesis)
}

/// What a genesis says, for people.
fn tell(genesis: &Genesis, table: &mut Table) {
    table
        .row(["Network", &genesis.network_name])
        .row(["Genesis", &genesis.header.cid])
        .row(["Time", &genesis.header.timestamp.to_string()])
        .row(["State", &genesis.header.state_root])
        .row(["Balances", &coins(&genesis.total_balance)])
        .row([
            "Power",
            &format!(
                "{}, {} quality-adjusted, of {}",
                bytes(&genesis.power.raw),
                bytes(&genesis.power.quality_adjusted),
                count(genesis.miners.len() as u64, "miner")
            ),
        ]);
    for (place, actor) in genesis.actors.iter().take(SHOWN).enumerate() {
        let name = if place == 0 { "Actors" } else { "" };
        table.row([name, &format!("{} {} {}", actor.address, actor.kind, coins(&actor.balance))]);
    }
    if genesis.actors.len() > SHOWN {
        table.row(["", &format!("and {} more", genesis.actors.len() - SHOWN)]);
    }
    for miner in &genesis.miners {
        let (sectors, size) = (count(miner.sectors.len() as u64, "sector"), ByteSize(miner.sector_bytes));
        table.row(["Miner", &format!("{}: {sectors} of {size}, {}", miner.address, bytes(&miner.raw_power))]);
    }
    let deals = &genesis.deals;
    let ends = deals.first_end_epoch.zip(deals.last_end_epoch);
    let ends = ends.map_or(String::new(), |(first, last)| format!(", to epochs {first} to {last}"));
    let size = ByteSize(deals.padded_bytes);
    table
        .row(["Deals", &format!("{}, {} of them verified, {size}{ends}", grouped(deals.count as u64), deals.verified)]);
}

/// An amount that is a number of bytes.
fn bytes(amount: &Amount) -> String {
    amount.to_string().parse().map_or_else(|_| format!("{amount} bytes"), |bytes| ByteSize(bytes).to_string())
}

/// An amount in whole coins.
fn coins(amount: &Amount) -> String {
    let digits = amount.to_string();
    let (whole, rest) = digits.split_at(digits.len().saturating_sub(18));
    let rest = format!("{rest:0>18}");
    let rest = rest.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if rest.is_empty() { format!("{whole} coins") } else { format!("{whole}.{rest} coins") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_in_coins() {
        assert_eq!(coins(&Amount::of_coins(5)), "5 coins");
        assert_eq!(coins(&Amount::of_coins(0)), "0 coins");
    }
}
