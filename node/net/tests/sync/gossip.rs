//! Blocks that come by gossip.

use std::time::Duration;

use filecash_chain::block_message::BlockMsg;
use filecash_chain::{BlockHeader, Object, Signature, Tipset};
use filecash_net::gossip::{TopicKind, Verdict};
use filecash_net::judge;
use filecash_net::sync::genesis_keys;
use tokio::time::sleep;

use crate::hosts::{connect, holds};
use crate::support::{Node, at, fresh, full, greet, real, server};

/// A block as it is announced.
fn announced(tipset: &Tipset, place: usize) -> BlockMsg {
    let messages = real().0.messages(tipset).unwrap().swap_remove(place);
    BlockMsg {
        header: tipset.blocks()[place].1.clone(),
        bls_messages: messages.bls.iter().map(Object::cid).collect(),
        secp_messages: messages.secp.iter().map(Object::cid).collect(),
    }
}

/// Publishes once the other listens.
async fn publish(from: &Node, bytes: &[u8]) {
    holds("somebody listens", async || from.host.publish(TopicKind::Blocks, bytes.to_vec()).await.is_ok()).await;
}

async fn score(of: &Node, peer: &Node) -> f64 {
    let peers = of.host.peers().await.unwrap();
    peers.iter().find(|info| info.peer == peer.host.peer_id()).and_then(|info| info.score).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn next_block_is_followed_and_a_corrupted_one_costs_its_sender() {
    let (_first, folder) = full(38);
    let (_second, other) = fresh();
    let (sender, node) = (Node::start(folder), Node::start(other));
    connect(&node.host, &sender.host).await;
    node.is_at(38).await;
    let next = announced(&at(39), 0);
    publish(&sender, &next.encode()).await;
    node.is_at(39).await;
    assert_eq!(node.folder.head().tipset, at(39));
    assert_eq!(node.folder.chain().messages(&at(39)).unwrap(), real().0.messages(&at(39)).unwrap());
    let before = score(&node, &sender).await;
    let corrupted = BlockMsg { header: BlockHeader { fork_signaling: 1, ..next.header.clone() }, ..next };
    publish(&sender, &corrupted.encode()).await;
    holds("the score is lower", async || score(&node, &sender).await < before - 50.0).await;
    assert!(node.folder.chain().tipset(&[corrupted.header.cid()]).is_err());
    assert_eq!(node.folder.head().tipset, at(39));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_an_epoch_become_a_tipset_whichever_comes_first() {
    let several = real().1.into_iter().find(|tipset| tipset.blocks().len() > 1 && tipset.height() > 5).unwrap();
    let before = real().1.into_iter().find(|tipset| tipset.key() == several.parents()).unwrap();
    let (_first, folder) = full(before.height());
    let (_second, other) = fresh();
    let (sender, node) = (Node::start(folder), Node::start(other));
    connect(&node.host, &sender.host).await;
    node.is_at(before.height()).await;
    for place in (0..several.blocks().len()).rev() {
        publish(&sender, &announced(&several, place).encode()).await;
        let blocks = several.blocks().len() - place;
        holds("the block is in the head", async || {
            let head = node.folder.head();
            head.tipset.height() == several.height() && head.tipset.blocks().len() == blocks
        })
        .await;
    }
    assert_eq!(node.folder.head().tipset, several);
}

#[tokio::test(flavor = "multi_thread")]
async fn block_joins_those_of_the_head_that_came_otherwise() {
    let several = real().1.into_iter().find(|tipset| tipset.blocks().len() > 1).unwrap();
    let one = Tipset::new(vec![several.first().clone()]).unwrap();
    let (_first, folder) = full(several.height() - 1);
    let (_second, other) = fresh();
    let (sender, node) = (Node::start(folder), Node::start(other));
    let good = server(|chain, request| chain.answer(request));
    greet(&good, &node, &one, one.height(), 1 << 40).await;
    node.is_at(one.height()).await;
    assert_eq!(node.folder.head().tipset, one);
    connect(&node.host, &sender.host).await;
    for place in 1..several.blocks().len() {
        publish(&sender, &announced(&several, place).encode()).await;
    }
    holds("all are in the head", async || node.folder.head().tipset == several).await;
}

/// A block that comes long before its parents has these asked for.
#[tokio::test(flavor = "multi_thread")]
async fn block_whose_parents_are_not_there_has_them_asked_for() {
    let (_first, folder) = full(0);
    let (_second, other) = fresh();
    let (sender, node) = (Node::start(folder), Node::start(other));
    connect(&node.host, &sender.host).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(node.height(), 0);
    publish(&sender, &announced(&at(39), 0).encode()).await;
    node.is_at(39).await;
}

#[test]
fn announcements_are_judged_by_the_chain() {
    let (_directory, folder) = full(38);
    let folder = std::sync::Arc::new(folder);
    let judge = judge::by_chain(std::sync::Arc::clone(&folder), None, genesis_keys(&folder));
    let block = |message: &BlockMsg| judge(TopicKind::Blocks, &message.encode());
    let next = announced(&at(39), 0);
    let with = |change: &dyn Fn(&mut BlockHeader)| {
        let mut message = next.clone();
        change(&mut message.header);
        block(&message)
    };
    assert_eq!(with(&|header| header.signature = Some(Signature::Bls([0; 96]))), Verdict::Reject);
    assert_eq!(with(&|header| header.timestamp += 30), Verdict::Reject);
    assert_eq!(with(&|header| header.parents = vec![header.messages]), Verdict::Reject);
    assert_eq!(with(&|header| header.timestamp = u64::MAX), Verdict::Ignore);
    assert_eq!(with(&|header| header.height = -1000), Verdict::Ignore);
    assert_eq!(judge(TopicKind::Blocks, b"nonsense"), Verdict::Reject);
    assert_eq!(block(&next), Verdict::Accept);
    assert_eq!(block(&next), Verdict::Ignore);
    // Of a miner that the genesis does not know, whose parents are not there, nothing more can be said.
    let far = |header: &mut BlockHeader| {
        (header.miner, header.parents) = (filecash_chain::Address::Id(999_999), vec![header.messages]);
    };
    assert_eq!(with(&far), Verdict::Accept);

    let (chain, tipsets) = real();
    let blocks = tipsets.iter().filter(|tipset| tipset.height() > 0).flat_map(|tipset| chain.messages(tipset).unwrap());
    let signed = blocks.flat_map(|messages| messages.secp).next().unwrap();
    let message = |bytes: &[u8]| judge(TopicKind::Messages, bytes);
    assert_eq!(message(&signed.encode()), Verdict::Accept);
    assert_eq!(message(&signed.encode()), Verdict::Ignore);
    let mut other = signed.as_ref().clone();
    other.message.nonce += 1;
    assert_eq!(message(&other.encode()), Verdict::Reject);
    other.message.from = filecash_chain::Address::Id(999_999);
    assert_eq!(message(&other.encode()), Verdict::Ignore);
}
