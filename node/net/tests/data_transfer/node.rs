//! Hosts with channels.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use filecash_ipld::data_transfer::{Channel, Decision, News, Validate};
use filecash_ipld::selector::Selector;
use filecash_ipld::store::{BlockStore, DiskOptions, DiskStore, MemoryStore};
use filecash_ipld::wire::data_transfer::{ChannelId, Opening, Typed};
use filecash_ipld::{Cid, Ipld};
use filecash_net::data_transfer::{DataTransfer, TransferOptions};
use filecash_net::gossip::Verdict;
use filecash_net::graphsync::{Graphsync, GraphsyncOptions, Source};
use filecash_net::host::{Host, HostOptions};
use libp2p::identity::Keypair;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::hosts::until;
use crate::stores::source_of;

const PATIENCE: Duration = Duration::from_secs(60);

/// Says what it was told to.
pub struct Says {
    pub open: Decision,
    pub voucher: Option<Decision>,
    pub opened: Mutex<Vec<Opening>>,
}

impl Validate for Says {
    fn open(&self, _id: &ChannelId, opening: &Opening) -> Decision {
        self.opened.lock().unwrap().push(opening.clone());
        self.open.clone()
    }

    fn voucher(&self, _channel: &Channel, _voucher: &Typed) -> Option<Decision> {
        self.voucher.clone()
    }
}

pub fn says(open: Decision, voucher: Option<Decision>) -> Arc<Says> {
    Arc::new(Says { open, voucher, opened: Mutex::default() })
}

pub fn says_yes() -> Arc<Says> {
    says(Decision::accept(), None)
}

/// Patient enough for machines that are busy, and quick to try again.
pub fn options(says: Arc<Says>) -> TransferOptions {
    TransferOptions { wait: Duration::from_millis(50), ..TransferOptions::new(says) }
}

pub struct Node {
    pub host: Host,
    pub store: Arc<dyn BlockStore>,
    pub graphsync: Graphsync,
    pub transfer: DataTransfer,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    pub fn start(options: TransferOptions, graphsync: GraphsyncOptions) -> Self {
        Self::start_as(&Keypair::generate_ed25519(), Arc::new(MemoryStore::default()), options, graphsync)
    }

    pub fn start_as(
        key: &Keypair,
        store: Arc<dyn BlockStore>,
        options: TransferOptions,
        graphsync: GraphsyncOptions,
    ) -> Self {
        let options_of_host = HostOptions::on_loopback("testing");
        let (host, task) = Host::start(key, &options_of_host, Arc::new(|_, _| Verdict::Accept)).unwrap();
        let (transfer, graphsync, mut tasks) =
            DataTransfer::run(&host, Arc::clone(&store), graphsync, options).unwrap();
        tasks.push(task);
        Self { host, store, graphsync, transfer, tasks }
    }

    /// On what is in a folder.
    pub fn in_folder(key: &Keypair, folder: &Path, says: Arc<Says>) -> Self {
        let store = DiskStore::open(folder, &DiskOptions::default()).unwrap();
        let options = TransferOptions { file: Some(folder.join("transfers.redb")), ..options(says) };
        Self::start_as(key, Arc::new(store), options, GraphsyncOptions::default())
    }

    pub fn with(says: Arc<Says>) -> Self {
        Self::start(options(says), GraphsyncOptions::default())
    }

    pub async fn source(&self) -> Source {
        source_of(&self.host).await
    }

    pub async fn stop(self) {
        self.host.stop().await;
        let Self { tasks, store, transfer, graphsync, host } = self;
        for task in tasks {
            timeout(PATIENCE, task).await.unwrap().unwrap();
        }
        drop((transfer, graphsync, host));
        until("nobody has the store", async || (Arc::strong_count(&store) == 1).then_some(())).await;
    }

    /// Waits until a channel is over.
    pub async fn finished(&self, id: &ChannelId) -> Channel {
        match timeout(PATIENCE, self.transfer.finished(id)).await {
            Ok(finished) => finished.unwrap(),
            Err(_) => panic!("still {:?}", self.transfer.channel(id)),
        }
    }
}

/// Waits for something to be told of a channel.
pub async fn told(news: &mut tokio::sync::broadcast::Receiver<(ChannelId, News)>, what: &News) {
    let wait = async { while news.recv().await.unwrap().1 != *what {} };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never told of {what:?}"));
}

pub fn typed(name: &str) -> Typed {
    Typed { name: name.to_owned(), value: Ipld::Map(vec![("hello".to_owned(), Ipld::Bytes(vec![1, 2, 3]))]) }
}

pub fn opening(root: Cid, is_pull: bool) -> Opening {
    Opening { root, selector: Selector::everything().to_ipld(), is_pull, voucher: Some(typed("Fake/1")) }
}
