//! `filecash node`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `filecash node`.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Run a node of the network until it is stopped
    Run(Run),
    /// Print the settings of a node, each with what it does and its default
    Config,
    /// Who a running node is, where it is, and where its chain is
    Status(Api),
    /// Whom a running node is connected to
    Peers(Api),
    /// Connect a running node to a peer
    Connect {
        /// Where it is, ending in /p2p/ and its id
        address: String,
        #[command(flatten)]
        api: Api,
    },
    /// Stop a running node
    Stop(Api),
}

/// `filecash node run`.
#[derive(Debug, Args)]
pub struct Run {
    /// CAR file whose root is the genesis of the network, or a tipset of its chain; needed until there is a chain [settings: network.genesis]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub genesis: Option<PathBuf>,
    /// Folder of the node's key, tokens and state [settings: node.folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

/// Which node is called.
#[derive(Debug, Args)]
pub struct Api {
    /// Its folder [settings: node.folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
    /// Where it is called instead, as for Lotus: TOKEN:ADDRESS or an address alone, a multiaddr or a URL
    #[arg(long, value_name = "API", conflicts_with = "folder")]
    pub api: Option<String>,
}
