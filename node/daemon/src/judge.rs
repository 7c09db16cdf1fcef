//! What becomes of gossip: blocks and messages that are announced.
//!
//! What the bytes say is checked for all of them. Whether a block is signed by its miner's worker, and a message whose sender is named by
//! number by that account, takes the ledger's state; where it is not at hand the announcement goes no further and nobody is blamed.
//!
//! Source: `spec/network.md` 4.4 and 4.5.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use filecash_chain::Address;
use filecash_chain::BlockHeader;
use filecash_chain::check::gossip::{Outcome, block, message};
use filecash_chain::check::signatures::verify_block;
use filecash_chain::read::read;
use filecash_chain::state::actors::{MinerInfo, MinerState};
use filecash_net::gossip::{Judge, TopicKind, Verdict};
use filecash_rpc::Ledger;

/// Epochs between a block and the state that its worker's key is of.
const LOOKBACK: i64 = 10;

/// Announcements by what became of them.
#[derive(Debug, Default)]
pub struct Tally([[AtomicU64; 3]; 2]);

/// The names of the verdicts, in the order of [`Tally::all`].
pub const VERDICTS: [&str; 3] = ["accepted", "ignored", "rejected"];

impl Tally {
    fn add(&self, kind: TopicKind, verdict: Verdict) {
        let place = match verdict {
            Verdict::Accept => 0,
            Verdict::Ignore => 1,
            Verdict::Reject => 2,
        };
        self.of(kind)[place].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, kind: TopicKind) -> &[AtomicU64; 3] {
        match kind {
            TopicKind::Blocks => &self.0[0],
            TopicKind::Messages => &self.0[1],
        }
    }

    /// How many of a kind were accepted, ignored and rejected.
    pub fn all(&self, kind: TopicKind) -> [u64; 3] {
        self.of(kind).each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// A judge whose verdicts are counted.
pub fn counted(judge: Judge, tally: Arc<Tally>) -> Judge {
    Arc::new(move |kind, bytes| {
        let verdict = judge(kind, bytes);
        tally.add(kind, verdict);
        verdict
    })
}

/// A judge that goes by a ledger.
pub fn by_ledger(ledger: Arc<Ledger>) -> Judge {
    Arc::new(move |kind, bytes| match kind {
        TopicKind::Blocks => judge_block(&ledger, bytes),
        TopicKind::Messages => judge_message(&ledger, bytes),
    })
}

fn judge_block(ledger: &Ledger, bytes: &[u8]) -> Verdict {
    match block(bytes, ledger.rules()) {
        Outcome::Accept(announced) => match worker_of(ledger, &announced.header) {
            None => Verdict::Ignore,
            Some(worker) if verify_block(&announced.header, &worker).is_ok() => Verdict::Accept,
            Some(_) => Verdict::Reject,
        },
        Outcome::Ignore(reason) => ignored(&reason),
        Outcome::Reject(reason) => rejected(&reason),
    }
}

/// The key of a miner's worker, by the state of the head, where it is at hand and the block is near enough for it to be the right one.
fn worker_of(ledger: &Ledger, header: &BlockHeader) -> Option<[u8; 48]> {
    let head = ledger.head();
    if header.height <= head.height() || header.height - head.height() > LOOKBACK {
        return None;
    }
    let state = ledger.state(&head).ok()?;
    let miner: MinerState = state.state(&header.miner, "storageminer").ok()?;
    let info: MinerInfo = read(ledger.store(), &miner.info).ok()?;
    match state.key_of(&info.worker).ok()? {
        Address::Bls(key) => Some(key),
        _ => None,
    }
}

fn judge_message(ledger: &Ledger, bytes: &[u8]) -> Verdict {
    let key_of = |address: &Address| ledger.state(&ledger.head()).ok()?.key_of(address).ok();
    match message(bytes, ledger.rules(), key_of) {
        // Whether the sender has what it spends is not known here: it goes on as with a pool that is not full.
        Outcome::Accept(_) => Verdict::Accept,
        Outcome::Ignore(reason) => ignored(&reason),
        Outcome::Reject(reason) => rejected(&reason),
    }
}

fn ignored(reason: &dyn std::error::Error) -> Verdict {
    tracing::debug!(%reason, "an announcement goes no further");
    Verdict::Ignore
}

fn rejected(reason: &dyn std::error::Error) -> Verdict {
    tracing::debug!(%reason, "an announcement is rejected");
    Verdict::Reject
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use filecash_chain::block_message::BlockMsg;
    use filecash_chain::chain::ChainStore;
    use filecash_chain::check::Rules;
    use filecash_chain::{Object, Signature, Tipset};
    use filecash_ipld::Cid;
    use filecash_ipld::car::{CarOptions, CarStore};
    use filecash_rpc::ledger::{Network, SharedStore};
    use tokio::sync::watch;

    use super::*;

    /// Filecoin's first heights from the top, with a judge whose head is at a place of them.
    fn real(head: impl FnOnce(&[Tipset]) -> usize) -> (Judge, Arc<Tally>, Vec<Tipset>, ChainStore<SharedStore>) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
        let store = CarStore::open(&file, &CarOptions::default()).unwrap();
        let root = store.roots().to_vec();
        let store: SharedStore = Arc::new(store);
        let genesis: Cid = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2".parse().unwrap();
        let chain = ChainStore::new(SharedStore::clone(&store), genesis, Rules::MAINNET);
        let tipsets: Vec<Tipset> = chain.walk(&root).map(Result::unwrap).collect();
        let (_, heads) = watch::channel(Arc::new(tipsets[head(&tipsets)].clone()));
        let network = Network::of_genesis(&genesis, String::new());
        let ledger = Arc::new(Ledger::new(store, genesis, network, Rules::MAINNET, heads).unwrap());
        let tally = Arc::new(Tally::default());
        (counted(by_ledger(ledger), Arc::clone(&tally)), tally, tipsets, chain)
    }

    fn announcements(tipset: &Tipset, chain: &ChainStore<SharedStore>) -> Vec<BlockMsg> {
        let messages = chain.messages(tipset).unwrap();
        let announced = tipset.headers().zip(messages).map(|(header, messages)| BlockMsg {
            header: header.clone(),
            bls_messages: messages.bls.iter().map(|message| message.cid()).collect(),
            secp_messages: messages.secp.iter().map(|message| message.cid()).collect(),
        });
        announced.collect()
    }

    #[test]
    fn blocks_are_judged_by_their_workers_keys_where_these_are_known() {
        let (judge, tally, tipsets, chain) = real(|tipsets| tipsets.len() - 1);
        let mut expected = [0; 3];
        for tipset in tipsets.iter().rev().skip(1) {
            for block in announcements(tipset, &chain) {
                let is_near = tipset.height() <= LOOKBACK;
                let verdict = judge(TopicKind::Blocks, &block.encode());
                assert_eq!(verdict, if is_near { Verdict::Accept } else { Verdict::Ignore }, "{}", tipset.height());
                let mut forged = block;
                forged.header.signature = Some(Signature::Bls([7; 96]));
                let verdict = judge(TopicKind::Blocks, &forged.encode());
                assert_eq!(verdict, if is_near { Verdict::Reject } else { Verdict::Ignore });
                if is_near {
                    expected[0] += 1;
                    expected[2] += 1;
                } else {
                    expected[1] += 2;
                }
            }
        }
        assert_eq!(tally.all(TopicKind::Blocks), expected);
        assert_eq!(expected, [7, 82, 7]);
        assert_eq!(judge(TopicKind::Blocks, b"nonsense"), Verdict::Reject);
        assert_eq!(judge(TopicKind::Messages, b"nonsense"), Verdict::Reject);
        assert_eq!(tally.all(TopicKind::Messages), [0, 0, 1]);
    }

    #[test]
    fn without_a_state_nobody_is_blamed() {
        let (judge, _, tipsets, chain) = real(|_| 0);
        for block in announcements(&tipsets[0], &chain) {
            assert_eq!(judge(TopicKind::Blocks, &block.encode()), Verdict::Ignore);
        }
        let signed = tipsets.iter().flat_map(|tipset| chain.messages(tipset).unwrap()).flat_map(|block| block.secp);
        let mut judged = 0;
        for mut message in signed.map(|message| (*message).clone()) {
            assert_eq!(judge(TopicKind::Messages, &message.encode()), Verdict::Accept);
            message.message.nonce += 1;
            assert_eq!(judge(TopicKind::Messages, &message.encode()), Verdict::Reject);
            judged += 1;
        }
        assert!(judged > 0);
    }
}
