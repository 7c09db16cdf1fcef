//! Calls of the node.

use std::sync::{Arc, LazyLock};

use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_rpc::auth::{Level, Tokens};
use filecash_rpc::http::respond;
use filecash_rpc::ledger::{Network, SharedStore};
use filecash_rpc::node::{Access, Caller};
use filecash_rpc::{Ledger, Node};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A node without a network, whose chain is Filecash's genesis.
static NODE: LazyLock<(Runtime, Arc<Node>)> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/chain/filecash-genesis.car");
    let store = CarStore::open(file.as_ref(), &CarOptions::default()).expect("the vector is a CAR");
    let genesis = store.roots()[0];
    let store: SharedStore = Arc::new(store);
    let chain = ChainStore::new(SharedStore::clone(&store), genesis, Rules::MAINNET);
    let (_, heads) = watch::channel(Arc::new(chain.tipset(&[genesis]).expect("the root is a tipset")));
    let network = Network::of_genesis(&genesis, "fuzzing".to_owned());
    let ledger = Ledger::new(store, genesis, network, Rules::MAINNET, heads).expect("the genesis is there");
    let node = Node::new(Arc::new(ledger), None, Tokens::new(&[0; 32]), Access::default(), watch::Sender::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime begins");
    (runtime, Arc::new(node))
});

#[derive(Deserialize)]
struct Answer<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: &'a RawValue,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

/// A text that somebody who may do everything posts. What is answered is JSON, each with a result or a fault and with the id that was
/// given, or nothing; the status goes with it. As many acceptances as results.
pub fn rpc(data: &[u8]) -> usize {
    let (runtime, node) = &*NODE;
    let caller = Caller { levels: Level::ALL.to_vec(), version: 0 };
    let (status, text) = runtime.block_on(respond(node, &caller, data));
    assert!([200, 400, 500].contains(&status), "{status}");
    if text.is_empty() {
        return 0;
    }
    let is_batch = text.starts_with('[');
    let answers: Vec<Answer> = match is_batch {
        true => serde_json::from_str(&text).expect("answers are JSON"),
        false => vec![serde_json::from_str(&text).expect("an answer is JSON")],
    };
    // A list of one thing can be read as a struct of one field.
    if let (false, [Answer { error: None, id, .. }], Ok(asked)) =
        (is_batch, &answers[..], serde_json::from_slice::<Asked>(data))
    {
        assert_eq!(id.get(), asked.id.get());
    }
    let results = answers.iter().map(|answer| {
        assert_eq!(answer.jsonrpc, "2.0");
        let Some(fault) = &answer.error else { return 1 };
        assert!(fault.code != 0 && !fault.message.is_empty());
        0
    });
    results.sum()
}
