//! A node on a port, and a client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use filecash_chain::Tipset;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_net::host::Host;
use filecash_rpc::auth::{Level, Tokens};
use filecash_rpc::http::router;
use filecash_rpc::ledger::{Ledger, Network, SharedStore};
use filecash_rpc::node::{Access, Node};
use filecash_rpc::server::{self, Limits};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The genesis of Filecash, and of Filecoin.
pub const FILECASH: &str = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";
pub const FILECOIN: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";

/// A node that is called.
pub struct Served {
    pub runtime: Runtime,
    pub address: SocketAddr,
    pub node: Arc<Node>,
    /// From the head to the genesis.
    pub tipsets: Vec<Arc<Tipset>>,
    pub head: watch::Sender<Arc<Tipset>>,
    pub stop: watch::Sender<bool>,
    tokens: Tokens,
}

/// A chain of `tests/vectors/chain`, from its head to its genesis.
fn chain(file: &str, genesis: &str) -> (SharedStore, Vec<Arc<Tipset>>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain").join(file);
    let store = CarStore::open(&file, &CarOptions::default()).unwrap();
    let head = store.roots().to_vec();
    let store: SharedStore = Arc::new(store);
    let chain = ChainStore::new(Arc::clone(&store), genesis.parse().unwrap(), Rules::MAINNET);
    let tipsets = chain.walk(&head).map(|tipset| Arc::new(tipset.unwrap())).collect();
    (store, tipsets)
}

pub fn filecash() -> Served {
    start("filecash-genesis.car", FILECASH, Access::default(), |_| None)
}

pub fn filecoin() -> Served {
    start("filecoin-heights-0-39.car", FILECOIN, Access::default(), |_| None)
}

pub fn start(file: &str, genesis: &str, access: Access, host: impl FnOnce(&Runtime) -> Option<Host>) -> Served {
    let runtime = Runtime::new().unwrap();
    let (store, tipsets) = chain(file, genesis);
    let (head, heads) = watch::channel(Arc::clone(&tipsets[0]));
    let genesis: Cid = genesis.parse().unwrap();
    let network = Network::of_genesis(&genesis, "testing".to_owned());
    let ledger = Arc::new(Ledger::new(store, genesis, network, Rules::MAINNET, heads).unwrap());
    let tokens = Tokens::new(&[5; 32]);
    let stop = watch::Sender::new(false);
    let host = host(&runtime);
    let node = Arc::new(Node::new(ledger, host, tokens.clone(), access, stop.clone()));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(server::serve(listener, router(&node), Limits::default(), stop.subscribe()));
    Served { runtime, address, node, tipsets, head, stop, tokens }
}

/// A status and a text.
pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30)));
    let agent: ureq::Agent = config.build().into();
    let request = headers.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value));
    let mut response = request.send(body).unwrap();
    (response.status().as_u16(), response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap())
}

impl Served {
    pub fn url(&self) -> String {
        format!("http://{}/rpc/v0", self.address)
    }

    pub fn token(&self, levels: &[Level]) -> String {
        self.tokens.make(levels)
    }

    /// The result of a call, or its code and message.
    pub fn call_with(&self, headers: &[(&str, &str)], method: &str, params: Value) -> Result<Value, (i64, String)> {
        let call = json!({ "jsonrpc": "2.0", "method": format!("Filecoin.{method}"), "params": params, "id": 1 });
        let (_, text) = post(&self.url(), headers, call.to_string().as_bytes());
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)));
        match answer.get("error") {
            None => Ok(answer.get("result").unwrap().clone()),
            Some(error) => {
                assert_eq!(answer.get("result"), None);
                Err((error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned()))
            }
        }
    }

    pub fn call(&self, method: &str, params: Value) -> Result<Value, (i64, String)> {
        self.call_with(&[], method, params)
    }

    pub fn get(&self, method: &str, params: Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("{method}: {error:?}"))
    }

    pub fn fails(&self, method: &str, params: Value) -> String {
        let (code, message) = self.call(method, params).unwrap_err();
        assert_eq!(code, 1, "{message}");
        message
    }
}

/// The key of a tipset, as a parameter.
pub fn key(tipset: &Tipset) -> Value {
    tipset.key().iter().map(|cid| link(&cid.to_string())).collect()
}

pub fn link(cid: &str) -> Value {
    json!({ "/": cid })
}
