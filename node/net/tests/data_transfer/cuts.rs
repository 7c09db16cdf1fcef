//! Transfers that are cut off, and processes that end in between.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use filecash_ipld::data_transfer::{Decision, News, Status};
use filecash_ipld::wire::data_transfer::ChannelId;
use libp2p::identity::Keypair;
use tokio::time::{sleep, timeout};

use crate::node::*;
use crate::stores::{import, noise, read};

const LENGTH: usize = 40 << 20;

fn some_micros(most: u64) -> Duration {
    Duration::from_micros(RandomState::new().build_hasher().finish() % most)
}

/// Waits until somebody has got so much; whether that was before the end.
async fn got(receiver: &Node, id: &ChannelId, bytes: u64) -> bool {
    let wait = async {
        loop {
            // Somebody who has not heard of it yet has got nothing.
            if let Ok(channel) = receiver.transfer.channel(id)
                && (channel.status().is_final() || channel.progress().received >= bytes)
            {
                return !channel.status().is_final();
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{:?}", receiver.transfer.channel(id)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_cut_goes_on_by_itself() {
    let file = noise(LENGTH);
    for is_pull in [true, false] {
        let (us, them) = (Node::with(says_yes()), Node::with(says_yes()));
        let (sender, receiver) = if is_pull { (&them, &us) } else { (&us, &them) };
        let root = import(sender.store.as_ref(), &file);
        let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
        let mut cuts = 0;
        for (number, bytes) in (0..LENGTH as u64).step_by(LENGTH / 20).enumerate() {
            if !got(receiver, &id, bytes).await {
                break;
            }
            sleep(some_micros(20_000)).await;
            let (who, other) = if number % 2 == 0 { (&us.host, &them.host) } else { (&them.host, &us.host) };
            cuts += u32::from(who.disconnect(other.peer_id()).await.unwrap());
        }
        let over = [us.finished(&id).await, them.finished(&id).await];
        assert_eq!(over.each_ref().map(|channel| channel.status()), [Status::Completed; 2], "{cuts} cuts");
        assert_eq!(read(receiver.store.as_ref(), &root), file);
        assert!(cuts > 2, "{cuts}");
        // Of what came nothing comes again but what is under way when it is cut.
        let received: u64 = over.iter().map(|channel| channel.progress().received).sum();
        // Some of that is kept and not counted.
        let apart = received.abs_diff(LENGTH as u64);
        assert!(apart < 10_000 + u64::from(cuts) * (1 << 20), "{received} bytes, {cuts} cuts");
    }
}

/// Who opened it begins anew with what is on its disk, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_in_another_process() {
    let file = noise(LENGTH);
    for is_pull in [true, false] {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let keys = [Keypair::generate_ed25519(), Keypair::generate_ed25519()];
        let start = |place: usize| Node::in_folder(&keys[place], folders[place].path(), says_yes());
        let (mut us, mut them) = (start(0), start(1));
        let root = import(if is_pull { them.store.as_ref() } else { us.store.as_ref() }, &file);
        let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
        let mut ends = 0;
        for bytes in (0..LENGTH as u64).step_by(LENGTH / 6) {
            if !got(if is_pull { &us } else { &them }, &id, bytes).await {
                break;
            }
            sleep(some_micros(10_000)).await;
            us.stop().await;
            us = start(0);
            ends += 1;
        }
        assert_eq!(us.finished(&id).await.status(), Status::Completed);
        assert_eq!(them.finished(&id).await.status(), Status::Completed);
        let receiver = if is_pull { &us } else { &them };
        assert_eq!(read(receiver.store.as_ref(), &root), file);
        assert!(ends > 2, "{ends}");
        // What is over is remembered.
        us.stop().await;
        them.stop().await;
        (us, them) = (start(0), start(1));
        for node in [&us, &them] {
            assert!(node.transfer.channels().is_empty());
            assert_eq!(node.transfer.channel(&id).unwrap().status(), Status::Completed);
        }
    }
}

/// A responder that began anew has the initiator restart, which it asks for by names that are not UTF-8.
#[tokio::test(flavor = "multi_thread")]
async fn a_responder_asks_for_a_restart() {
    for is_pull in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let key = Keypair::generate_ed25519();
        let us = Node::with(says_yes());
        let start = || Node::in_folder(&key, folder.path(), says(Decision::pause(None), None));
        let them = start();
        let root = import(if is_pull { them.store.as_ref() } else { us.store.as_ref() }, &noise(1 << 20));
        let mut news = us.transfer.news();
        let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
        told(&mut news, &News::Accepted).await;
        let address = them.source().await.addresses;
        them.stop().await;
        let them = start();
        // It is somewhere else now, and calls.
        assert_ne!(them.source().await.addresses, address);
        assert_eq!(them.transfer.channel(&id).unwrap().status(), Status::ResponderPaused);
        them.host.connect(us.source().await.addresses).await.unwrap();
        them.transfer.restart(&id).unwrap();
        told(&mut news, &News::Restarted).await;
        them.transfer.decide(&id, Decision::accept()).unwrap();
        assert_eq!(us.finished(&id).await.status(), Status::Completed);
        assert_eq!(them.finished(&id).await.status(), Status::Completed);
        let receiver = if is_pull { &us.store } else { &them.store };
        assert_eq!(read(Arc::clone(receiver).as_ref(), &root), noise(1 << 20));
    }
}
