//! Nodes with Filecoin's first heights, and servers of them that are not as they should be.

use std::collections::HashSet;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use filecash_chain::Tipset;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::exchange::{Request, Response};
use filecash_chain::folder::{ChainFolder, import};
use filecash_chain::hello::Hello;
use filecash_ipld::car::{CarOptions, CarReader, CarStore, CarWriter};
use filecash_ipld::{Block, Cid};
use filecash_net::host::{Host, HostOptions};
use filecash_net::sync::{self, Sync, SyncOptions};
use filecash_net::{exchange, hello, judge};
use libp2p::identity::Keypair;
use tempfile::TempDir;

use crate::hosts::{connect, holds, host};

pub const GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
pub const RULES: Rules = Rules::MAINNET;

pub fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain").join(name)
}

fn file() -> PathBuf {
    vector("filecoin-heights-0-39.car")
}

/// The chain as it is in the file, from its head down.
pub fn real() -> (ChainStore<CarStore>, Vec<Tipset>) {
    let store = CarStore::open(&file(), &CarOptions::default()).unwrap();
    let head = store.roots().to_vec();
    let chain = ChainStore::new(store, GENESIS.parse().unwrap(), RULES);
    let tipsets = chain.walk(&head).collect::<Result<_, _>>().unwrap();
    (chain, tipsets)
}

pub fn at(height: i64) -> Tipset {
    real().1.into_iter().find(|tipset| tipset.height() == height).unwrap()
}

/// A folder with the chain up to a height, and the blocks of all others.
pub fn full(height: i64) -> (TempDir, ChainFolder) {
    let blocks = CarReader::new(File::open(file()).unwrap(), &CarOptions::default()).unwrap().map(Result::unwrap);
    imported(&at(height).key(), blocks.collect())
}

/// A folder with the genesis and its state, and nothing more.
pub fn fresh() -> (TempDir, ChainFolder) {
    let (chain, tipsets) = real();
    let mut others: HashSet<Cid> = HashSet::new();
    for tipset in tipsets.iter().filter(|tipset| tipset.height() > 0) {
        others.extend(tipset.key());
        for messages in chain.messages(tipset).unwrap() {
            others.extend(messages.to_blocks().iter().map(|block| *block.cid()));
        }
    }
    let blocks = CarReader::new(File::open(file()).unwrap(), &CarOptions::default()).unwrap().map(Result::unwrap);
    let blocks = blocks.filter(|block| !others.contains(block.cid())).collect();
    let (folder, kept) = imported(&[GENESIS.parse().unwrap()], blocks);
    let lacking = kept.chain().tipset(&at(1).key());
    assert!(lacking.is_err() && kept.head().tipset.height() == 0);
    (folder, kept)
}

fn imported(roots: &[Cid], blocks: Vec<Block>) -> (TempDir, ChainFolder) {
    let folder = tempfile::tempdir().unwrap();
    let car = folder.path().join("blocks.car");
    let mut writer = CarWriter::new(File::create(&car).unwrap(), roots).unwrap();
    blocks.iter().for_each(|block| writer.write(block).unwrap());
    writer.finish().unwrap();
    let taken = import(&folder.path().join("chain"), &car, &RULES, None, &mut |_| ControlFlow::Continue(()));
    (folder, taken.unwrap().0)
}

/// A node that follows the chain.
pub struct Node {
    pub host: Host,
    pub folder: Arc<ChainFolder>,
    pub sync: Sync,
}

impl Node {
    pub fn start(folder: ChainFolder) -> Self {
        let folder = Arc::new(folder);
        let options = SyncOptions { again: Duration::from_millis(500), ..SyncOptions::of(&folder) };
        let judge = judge::by_chain(Arc::clone(&folder), None, Arc::clone(&options.keys));
        let host = HostOptions::on_loopback("testing");
        let (host, _) = Host::start(&Keypair::generate_ed25519(), &host, judge).unwrap();
        let sync = sync::start(&host, Arc::clone(&folder), options).unwrap();
        Self { host, folder, sync }
    }

    pub fn height(&self) -> i64 {
        self.folder.head().tipset.height()
    }

    pub async fn is_at(&self, height: i64) {
        holds(&format!("at height {height}"), async || self.height() == height).await;
    }

    /// Ends, so that the folder can be opened again.
    pub async fn stop(self) {
        self.sync.stop().await;
        self.host.stop().await;
        drop(self.host);
        // A thread that is at work has it for a moment longer.
        holds("nobody has the folder", async || Arc::strong_count(&self.folder) == 1).await;
    }
}

/// A host that serves the chain in some way, and does not follow it.
pub fn server(
    answer: impl Fn(&ChainStore<CarStore>, &Request) -> Response + Send + std::marker::Sync + 'static,
) -> Host {
    let host = host();
    let chain = real().0;
    exchange::run(&host, Arc::new(move |request| answer(&chain, request))).unwrap();
    host
}

/// Connects a server to a node and has it say where its chain is.
pub async fn greet(from: &Host, to: &Node, tipset: &Tipset, height: i64, weight: u64) {
    connect(from, &to.host).await;
    let genesis = to.folder.genesis();
    let hello = Hello { heaviest: tipset.key(), height, weight: weight.into(), genesis };
    hello::greet(from, to.host.peer_id(), &hello).await.unwrap();
}

/// What was asked for.
pub type Asked = Arc<Mutex<Vec<Request>>>;
