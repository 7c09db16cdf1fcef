//! Nodes in one process: what a node gives to others, and that another follows it.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use filecash_chain::chain::ChainStore;
use filecash_ipld::car::{CarOptions, CarReader, CarStore, CarWriter};
use filecash_ipld::codec::Codec;
use filecash_ipld::data_transfer::Status;
use filecash_ipld::graphsync::Order;
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::{STOCK_DEPTH, Selector};
use filecash_ipld::store::{BlockStore, MemoryStore};
use filecash_ipld::wire::data_transfer::{Opening, Typed};
use filecash_ipld::{Block, Ipld};
use filecash_net::bitswap;
use filecash_net::data_transfer::{DataTransfer, FreePulls, TransferOptions};
use filecash_net::gossip::Verdict;
use filecash_net::graphsync::{FetchOptions, GraphsyncOptions, Source};
use filecash_net::identity::load_or_make;
use filecash_rpc::ledger::SharedStore;
use tokio::sync::oneshot;

use super::*;

mod heard;

const PATIENCE: Duration = Duration::from_secs(60);

fn filecoin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car")
}

/// Filecoin's genesis with its state, and nothing of the chain above; and the head above.
fn genesis_alone(at: &Path) -> Tipset {
    let store = CarStore::open(&filecoin(), &CarOptions::default()).unwrap();
    let head = store.roots().to_vec();
    let chain = ChainStore::new(store, head[0], Rules::MAINNET);
    let (mut others, mut tipset) = (HashSet::new(), chain.tipset(&head).unwrap());
    while tipset.height() > 0 {
        others.extend(tipset.key());
        for messages in chain.messages(&tipset).unwrap() {
            others.extend(messages.to_blocks().iter().map(|block| *block.cid()));
        }
        tipset = chain.tipset(tipset.parents()).unwrap();
    }
    let file = std::fs::File::create(at).unwrap();
    let mut writer = CarWriter::new(file, &tipset.key()).unwrap();
    let blocks = CarReader::new(std::fs::File::open(filecoin()).unwrap(), &CarOptions::default()).unwrap();
    for block in blocks.map(Result::unwrap).filter(|block| !others.contains(block.cid())) {
        writer.write(&block).unwrap();
    }
    writer.finish().unwrap();
    chain.tipset(&head).unwrap()
}

/// A node that runs.
struct Running {
    started: Started,
    stop: watch::Sender<bool>,
    ended: JoinHandle<Result<(), DaemonError>>,
}

impl Running {
    async fn begin(folder: PathBuf, genesis: PathBuf, bootstrap: Vec<Multiaddr>) -> Self {
        let anywhere = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut config = Config::default();
        (config.node.folder, config.network.genesis) = (Some(folder.join("node")), Some(genesis));
        (config.host.bootstrap, config.host.accept_private_addresses) = (bootstrap, true);
        (config.rpc.listen, config.metrics.listen, config.gateway.listen) = (anywhere, anywhere, anywhere);
        let places = Places { blocks: folder.join("blocks"), chain: folder.join("chain") };
        let (stop, (tell, started)) = (watch::Sender::new(false), oneshot::channel());
        let stops = stop.clone();
        let node = async move {
            let told = |started: &Started| drop(tell.send(started.clone()));
            run(&config, &places, stops, told).await
        };
        let ended = tokio::spawn(node);
        Self { started: timeout(PATIENCE, started).await.unwrap().unwrap(), stop, ended }
    }

    /// Where it is, by TCP.
    fn address(&self) -> Multiaddr {
        let tcp = self.started.addresses.iter().find(|address| address.to_string().contains("/tcp/")).unwrap();
        format!("{tcp}/p2p/{}", self.started.peer).parse().unwrap()
    }

    async fn until(&self, line: &str) {
        tells(self.started.metrics.unwrap(), line).await;
    }

    async fn end(self) {
        self.stop.send_replace(true);
        timeout(PATIENCE, self.ended).await.unwrap().unwrap().unwrap();
    }
}

/// Waits until a line is among the metrics.
async fn tells(metrics: SocketAddr, line: &str) {
    let looks = async {
        while !get(metrics, "/metrics").await.contains(line) {
            sleep(TICK).await;
        }
    };
    if timeout(PATIENCE, looks).await.is_err() {
        panic!("never {line}: {}", get(metrics, "/metrics").await);
    }
}

async fn get(address: SocketAddr, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let ask = move || {
        let (mut stream, mut answer) = (TcpStream::connect(address).unwrap(), Vec::new());
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn node_gives_what_it_has_and_is_followed() {
    let sandbox = tempfile::tempdir().unwrap();
    let path = |name: &str| sandbox.path().join(name);
    let block = Block::new(HashKind::Sha256, Codec::Raw, b"hi\n".to_vec()).unwrap();
    DiskStore::open(&path("full/blocks"), &DiskOptions::default()).unwrap().put(std::slice::from_ref(&block)).unwrap();
    let head = genesis_alone(&path("genesis.car"));
    let full = Running::begin(path("full"), filecoin(), Vec::new()).await;
    let fresh = Running::begin(path("fresh"), path("genesis.car"), vec![full.address()]).await;
    assert_eq!((full.started.height, fresh.started.height), (39, 0));
    assert_eq!((&full.started.genesis, &fresh.started.network), (&fresh.started.genesis, &full.started.network));
    fresh.until("filecash_node_head_height 39").await;
    fresh.until("filecash_node_sync_height 39").await;

    // Over bitswap under both names, over graphsync and by HTTP.
    let key = load_or_make(&path("client.key")).unwrap();
    let options = HostOptions::on_loopback(&full.started.network);
    let (client, _) = Host::start(&key, &options, Arc::new(|_, _| Verdict::Accept)).unwrap();
    let peer = client.connect(vec![full.address()]).await.unwrap();
    for (prefix, cid) in [("", *block.cid()), ("/chain", head.key()[0])] {
        let options = bitswap::Options { prefix: prefix.to_owned(), ..bitswap::Options::default() };
        let bitswap = bitswap::run(&client, Arc::new(MemoryStore::default()), options).unwrap();
        let got = timeout(PATIENCE, bitswap.block(&cid, &[peer])).await.unwrap().unwrap();
        assert_eq!(*got.cid(), cid);
    }
    let store: SharedStore = Arc::new(MemoryStore::default());
    let options = TransferOptions::new(Arc::new(FreePulls::default()));
    let started = DataTransfer::run(&client, SharedStore::clone(&store), GraphsyncOptions::default(), options);
    let (transfer, graphsync, _) = started.unwrap();
    let sources = [Source { peer, addresses: vec![full.address()] }];
    let (order, options) = (Order::everything(*block.cid()), FetchOptions::default());
    let pulled = graphsync.fetch(&order, &sources, &options, |_| ());
    timeout(PATIENCE, pulled).await.unwrap().unwrap();
    assert_eq!(store.get(block.cid()).unwrap().unwrap(), b"hi\n");
    // For no reason that much is given over a channel too, but nothing for a reason, and nothing is taken.
    let free = Opening {
        root: *block.cid(),
        selector: Selector::everything_to(STOCK_DEPTH).to_ipld(),
        is_pull: true,
        voucher: None,
    };
    let paid = Some(Typed { name: "Paid/1".to_owned(), value: Ipld::Null });
    for (opening, status) in [
        (Opening { voucher: paid, ..free.clone() }, Status::Failed),
        (Opening { is_pull: false, ..free.clone() }, Status::Failed),
        (Opening { selector: Selector::everything().to_ipld(), ..free.clone() }, Status::Failed),
        (free, Status::Completed),
    ] {
        let channel = transfer.open(&sources[0], opening).await.unwrap();
        let over = timeout(PATIENCE, transfer.finished(&channel)).await.unwrap().unwrap();
        assert_eq!(over.status(), status);
    }
    let answer = get(full.started.gateway.unwrap(), &format!("/ipfs/{}?format=raw", block.cid())).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nhi\n"), "{answer}");
    for line in [
        "filecash_node_bitswap_blocks_total{of=\"data\",direction=\"sent\"} 1",
        "filecash_node_bitswap_bytes_total{of=\"data\",direction=\"sent\"} 3",
        "filecash_node_bitswap_blocks_total{of=\"chain\",direction=\"sent\"} 1",
        "filecash_node_graphsync_blocks_total{direction=\"sent\"} 1",
        "filecash_node_graphsync_bytes_total{direction=\"sent\"} 3",
        "filecash_node_graphsync_requests_total{outcome=\"refused\"} 2",
        "filecash_node_transfers_total{outcome=\"refused\"} 3",
        "filecash_node_transfers_total{outcome=\"completed\"} 1",
        "filecash_node_transfers 0",
        "filecash_node_gateway_requests_total{kind=\"block\",status=\"200\"} 1",
    ] {
        full.until(line).await;
    }
    client.stop().await;
    full.end().await;
    fresh.end().await;
}
