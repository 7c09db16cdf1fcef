//! `filecash node …`: a node of the network, and what can be asked of one that runs.

mod client;

use std::env;
use std::path::PathBuf;

use anyhow::Context as _;
use filecash_daemon::DaemonError;
use filecash_daemon::config::{Config, DEFAULT};
use filecash_daemon::folder::api_of;
use filecash_daemon::genesis::GenesisError;
use filecash_daemon::run::{Places, Started, run_until};
use serde_json::{Value, json};

use self::client::Client;
use crate::args::node::{Api, Node, Run};
use crate::context::Context;
use crate::report::{Failure, Kind, Report};
use crate::text::Align::Left;
use crate::text::Table;

/// Runs the verb.
pub fn run(verb: &Node, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Node::Run(args) => serve(args, context),
        Node::Config => Ok(Report::done(DEFAULT.to_owned(), json!({ "default": DEFAULT }))),
        Node::Status(api) => status(&client(api, context)?),
        Node::Peers(api) => peers(&client(api, context)?),
        Node::Connect { address, api } => connect(address, &client(api, context)?),
        Node::Stop(api) => {
            client(api, context)?.call("Shutdown", &json!([]))?;
            Ok(Report::done("The node was asked to stop\n".to_owned(), json!({ "asked": true })))
        }
    }
}

/// The folder that a flag names, else the settings, else the user's own.
fn folder(flag: Option<&PathBuf>, config: &Config) -> anyhow::Result<PathBuf> {
    let default = || Some(filecash_node::config::data_folder(&|name: &str| env::var_os(name))?.join("node"));
    let none = || Failure::new(Kind::Settings, "there is no folder for the node").hint("--folder names one");
    Ok(flag.cloned().or_else(|| config.node.folder.clone()).or_else(default).ok_or_else(none)?)
}

fn client(api: &Api, context: &Context) -> anyhow::Result<Client> {
    let api = match &api.api {
        Some(api) => api.clone(),
        None => api_of(&folder(api.folder.as_ref(), &context.node)?)?,
    };
    Client::new(&api)
}

fn serve(args: &Run, context: &Context) -> anyhow::Result<Report> {
    let mut config = context.node.clone();
    config.node.folder = Some(folder(args.folder.as_ref(), &config)?);
    config.network.genesis = args.genesis.clone().or(config.network.genesis);
    let none = || Failure::new(Kind::Settings, "there is no place for blocks").hint("--blocks names one");
    let blocks = context.settings.blocks.value.clone().ok_or_else(none)?;
    let none = || Failure::new(Kind::Settings, "there is no place for the chain").hint("--chain names one");
    let places = Places { blocks, chain: context.settings.chain.value.clone().ok_or_else(none)? };
    let stop = context.canceller();
    let is_over = move || stop.is_cancelled();
    let outcome = run_until(&config, &places, is_over, |started| tell(started, context));
    if let Err(error @ DaemonError::Genesis(GenesisError::Nothing { .. })) = outcome {
        let hint = "--genesis or [network] genesis names a CAR file; filecash node config tells of all settings";
        return Err(Failure::new(Kind::Settings, error.to_string()).hint(hint).into());
    }
    outcome.context("the node")?;
    Ok(Report::done("The node has ended\n".to_owned(), json!({ "ended": true })))
}

fn tell(started: &Started, context: &Context) {
    let note = |line: &str| context.teller.note(line);
    note(&format!("Node {} of network {}, head at height {}", started.peer, started.network, started.height));
    for address in &started.addresses {
        note(&format!("  nodes come in at {address}/p2p/{}", started.peer));
    }
    if let Some(rpc) = started.rpc {
        note(&format!("  programs call http://{rpc}/rpc/v0"));
    }
    if let Some(gateway) = started.gateway {
        note(&format!("  blocks and pieces are fetched from http://{gateway}/ipfs"));
    }
    if let Some(metrics) = started.metrics {
        note(&format!("  Prometheus reads http://{metrics}/metrics"));
    }
}

/// Texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn status(client: &Client) -> anyhow::Result<Report> {
    let [version, place, head, network, peers] =
        ["Version", "NetAddrsListen", "ChainHead", "StateNetworkName", "NetPeers"]
            .map(|method| client.call(method, &json!([])));
    let (version, place, head, network, peers) = (version?, place?, head?, network?, peers?);
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys: Vec<_> = head["Cids"].as_array().into_iter().flatten().map(|cid| of(&cid["/"])).collect();
    let connected = peers.as_array().map_or(0, Vec::len);
    let mut table = Table::fields();
    table
        .row(["Node", &of(&place["ID"])])
        .row(["Version", &of(&version["Version"])])
        .row(["Network", &of(&network)])
        .row(["Height", &head["Height"].to_string()])
        .row(["Time", &head["Blocks"][0]["Timestamp"].to_string()])
        .row(["Head", &keys.join(" ")])
        .row(["Peers", &connected.to_string()]);
    for address in texts(&place["Addrs"]) {
        table.row(["Address", &format!("{address}/p2p/{}", of(&place["ID"]))]);
    }
    let json = json!({
        "peer": place["ID"], "version": version["Version"], "network": network, "height": head["Height"], "head": keys,
        "peers": connected, "addresses": place["Addrs"],
    });
    Ok(Report::done(table.render(), json))
}

fn peers(client: &Client) -> anyhow::Result<Report> {
    let peers = client.call("NetPeers", &json!([]))?;
    let mut table = Table::new(&[("peer", Left), ("address", Left)]);
    let all: Vec<&Value> = peers.as_array().into_iter().flatten().collect();
    for peer in &all {
        table.row([peer["ID"].as_str().unwrap_or_default().to_owned(), texts(&peer["Addrs"]).join(" ")]);
    }
    let text = if all.is_empty() { "No peers\n".to_owned() } else { table.render() };
    Ok(Report::done(text, json!({ "peers": peers })))
}

fn connect(address: &str, client: &Client) -> anyhow::Result<Report> {
    let Some((bare, peer)) = address.rsplit_once("/p2p/") else {
        let message = format!("{address:?} does not end in /p2p/ and the id of a peer");
        return Err(Failure::new(Kind::Usage, message).into());
    };
    client.call("NetConnect", &json!([{ "ID": peer, "Addrs": [bare] }]))?;
    Ok(Report::done(format!("Connected to {peer}\n"), json!({ "peer": peer })))
}
