//! Two of ours.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use filecash_ipld::data_transfer::{Decision, News, Progress, Role, Status};
use filecash_ipld::graphsync::Order;
use filecash_ipld::selector::Selector;
use filecash_ipld::traverse::Limits;
use filecash_ipld::wire::data_transfer::Version;
use filecash_ipld::wire::graphsync;
use filecash_net::data_transfer::{TransferError, TransferOptions};
use filecash_net::graphsync::{FetchOptions, GraphsyncOptions};
use libp2p::StreamProtocol;
use libp2p::futures::{AsyncReadExt, AsyncWriteExt};

use crate::hosts::{host, until};
use crate::node::*;
use crate::stores::{import, noise, read, source_of};

/// Several messages.
const LENGTH: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn data_is_pulled_and_pushed_in_each_version() {
    let file = noise(LENGTH);
    for version in graphsync::Version::ALL {
        for versions in [&Version::ALL[..], &[Version::V1_1], &[Version::V1_0]] {
            let graphsync = || GraphsyncOptions { versions: vec![version], ..GraphsyncOptions::default() };
            let says = says_yes();
            let theirs = TransferOptions { versions: versions.to_vec(), ..options(Arc::clone(&says)) };
            let (us, them) = (Node::start(options(says_yes()), graphsync()), Node::start(theirs, graphsync()));
            for is_pull in [true, false] {
                let (sender, receiver) = if is_pull { (&them, &us) } else { (&us, &them) };
                // Another file each time.
                let file = [&file[..], &[u8::from(is_pull)]].concat();
                let root = import(sender.store.as_ref(), &file);
                let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
                let (ours, other) = (us.finished(&id).await, them.finished(&id).await);
                assert_eq!((ours.status(), other.status()), (Status::Completed, Status::Completed));
                assert_eq!((ours.role(), other.role()), (Role::Initiator, Role::Responder));
                assert_eq!(read(receiver.store.as_ref(), &root), file);
                assert_eq!(says.opened.lock().unwrap().last(), Some(&opening(root, is_pull)));
                let sent = if is_pull { other.progress() } else { ours.progress() };
                let got = if is_pull { ours.progress() } else { other.progress() };
                let all = got.received;
                assert!(all > LENGTH as u64 && all < LENGTH as u64 + 10_000, "{all}");
                // Who got all of it may say so before it is known here that the last of it was written.
                assert_eq!(Progress { sent: all, ..sent }, Progress { queued: all, sent: all, received: 0 });
                assert!(sent.sent <= all && sent.sent > all - (1 << 20), "{sent:?}");
            }
            let totals = us.transfer.totals();
            assert_eq!((totals.opened.load(Ordering::Relaxed), totals.completed.load(Ordering::Relaxed)), (2, 2));
            assert_eq!((totals.cut.load(Ordering::Relaxed), totals.restarted.load(Ordering::Relaxed)), (0, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_responder_refuses_does_not_go_over() {
    let refusal = says(Decision::refuse(Some(typed("No/1"))), None);
    let (us, them) = (Node::with(says_yes()), Node::with(refusal));
    for is_pull in [true, false] {
        let root = import(if is_pull { them.store.as_ref() } else { us.store.as_ref() }, &noise(1000));
        let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
        let over = us.finished(&id).await;
        assert_eq!((over.status(), over.results()), (Status::Failed, &[typed("No/1")][..]));
        assert!(matches!(them.transfer.channel(&id), Err(TransferError::Unknown)));
        assert_eq!((over.progress(), them.transfer.channels().len()), (Progress::default(), 0));
    }
}

/// Deals are made over whole DAGs, which nobody gets who just asks for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_opens_what_graphsync_refuses_and_nothing_else() {
    let (us, them) = (Node::with(says_yes()), Node::with(says_yes()));
    let [agreed, other] = [1000, 2000].map(|length| import(them.store.as_ref(), &noise(length)));
    let source = them.source().await;
    let order = |root| Order { selector: Selector::everything(), limits: Limits::DEFAULT, ..Order::everything(root) };
    let once = FetchOptions { tries: 1, ..FetchOptions::default() };
    let plain = us.graphsync.fetch(&order(agreed), std::slice::from_ref(&source), &once, |_| {}).await.unwrap_err();
    assert!(plain.to_string().contains("of no use"), "{plain}");
    // The same request as a channel makes, for something else than it is for.
    let id = us.transfer.open(&source, opening(agreed, true)).await.unwrap();
    assert_eq!(us.finished(&id).await.status(), Status::Completed);
    use filecash_ipld::wire::data_transfer::{Message, Request, RequestKind};
    let new = RequestKind::New(Box::new(opening(agreed, true)));
    let message = Message::Request(Request { id: 7, kind: new }).to_ipld(Version::V1_2).unwrap();
    let extensions = vec![(Version::V1_2.extension().to_owned(), message)];
    let sly =
        us.graphsync.fetch(&Order { extensions, ..order(other) }, std::slice::from_ref(&source), &once, |_| {}).await;
    assert!(sly.unwrap_err().to_string().contains("of no use"));
    assert!(them.transfer.channels().is_empty());
    assert_eq!(us.store.get(&other).unwrap(), None);
    // What needs no channel is still to be had without.
    us.graphsync.fetch(&Order::everything(other), &[source], &once, |_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn either_end_has_the_other_wait() {
    for is_pull in [true, false] {
        for ours in [true, false] {
            let (us, them) = (Node::with(says_yes()), Node::with(says_yes()));
            let (sender, receiver) = if is_pull { (&them, &us) } else { (&us, &them) };
            let file = noise(50 << 20);
            let root = import(sender.store.as_ref(), &file);
            let (who, other) = if ours { (&us, &them) } else { (&them, &us) };
            let (mut news, mut theirs) = (who.transfer.news(), other.transfer.news());
            let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
            told(&mut news, &News::Accepted).await;
            who.transfer.pause(&id).unwrap();
            told(&mut theirs, &News::OtherPaused(true)).await;
            let status = if ours { Status::InitiatorPaused } else { Status::ResponderPaused };
            // What was on its way comes still; then nothing does.
            let quiet = until("it waits", async || {
                let before = receiver.transfer.channel(&id).unwrap().progress();
                tokio::time::sleep(Duration::from_millis(300)).await;
                (receiver.transfer.channel(&id).unwrap().progress() == before).then_some(before)
            });
            let quiet = quiet.await;
            assert_eq!(
                [us.transfer.channel(&id), them.transfer.channel(&id)].map(|c| c.unwrap().status()),
                [status; 2]
            );
            who.transfer.resume(&id).unwrap();
            let over = [us.finished(&id).await, them.finished(&id).await];
            assert_eq!(over.map(|channel| channel.status()), [Status::Completed; 2], "{quiet:?}");
            assert_eq!(read(receiver.store.as_ref(), &root), file);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_waits_for_vouchers_at_both_ends_of_the_data() {
    for is_pull in [true, false] {
        let first = Decision { needs_last_voucher: true, ..Decision::pause(Some(typed("Pay/1"))) };
        let (us, them) = (Node::with(says_yes()), Node::with(says(first, None)));
        let sender = if is_pull { &them } else { &us };
        let root = import(sender.store.as_ref(), &noise(LENGTH));
        let (mut news, mut theirs) = (us.transfer.news(), them.transfer.news());
        let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
        told(&mut news, &News::Result).await;
        assert_eq!(us.transfer.channel(&id).unwrap().results(), [typed("Pay/1")]);
        for number in ["Paid/1", "Paid/2"] {
            us.transfer.voucher(&id, typed(number)).unwrap();
            told(&mut theirs, &News::Voucher).await;
            let needs_last_voucher = number == "Paid/1";
            them.transfer.decide(&id, Decision { needs_last_voucher, ..Decision::accept() }).unwrap();
            if needs_last_voucher {
                told(&mut news, &News::LastVoucher).await;
            }
        }
        let over = [us.finished(&id).await, them.finished(&id).await];
        assert_eq!(over.each_ref().map(|channel| channel.status()), [Status::Completed; 2]);
        assert_eq!(over[1].vouchers(), ["Fake/1", "Paid/1", "Paid/2"].map(typed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn either_end_gives_up() {
    for is_pull in [true, false] {
        for ours in [true, false] {
            let (us, them) = (Node::with(says_yes()), Node::with(says(Decision::pause(None), None)));
            let root = import(if is_pull { them.store.as_ref() } else { us.store.as_ref() }, &noise(LENGTH));
            let mut news = us.transfer.news();
            let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
            told(&mut news, &News::Accepted).await;
            let who = if ours { &us } else { &them };
            who.transfer.cancel(&id).unwrap();
            let over = [us.finished(&id).await, them.finished(&id).await];
            assert_eq!(over.map(|channel| channel.status()), [Status::Cancelled; 2]);
            assert!(us.transfer.channels().is_empty() && them.transfer.channels().is_empty());
        }
    }
}

/// The data is not all there where it should come from.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_over_what_is_not_there_fails_at_both_ends() {
    for is_pull in [true, false] {
        let (us, them) = (Node::with(says_yes()), Node::with(says_yes()));
        let elsewhere = Node::with(says_yes());
        let root = import(elsewhere.store.as_ref(), &noise(LENGTH));
        let id = us.transfer.open(&them.source().await, opening(root, is_pull)).await.unwrap();
        let ends = [us.finished(&id).await.status(), them.finished(&id).await.status()];
        let expected = [Status::Failed, Status::Cancelled];
        assert!(ends.iter().all(|end| expected.contains(end)) && ends.contains(&Status::Failed), "{ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_data_transfer_is_told_apart_from_who_is_not_there() {
    let us = Node::start(TransferOptions { restarts: 2, ..options(says_yes()) }, GraphsyncOptions::default());
    let root = import(us.store.as_ref(), &noise(1000));
    let mut news = us.transfer.news();
    let mute = host();
    let id = us.transfer.open(&source_of(&mute).await, opening(root, false)).await.unwrap();
    told(&mut news, &News::Failed("it speaks no data transfer that we do".to_owned())).await;
    assert_eq!(us.finished(&id).await.status(), Status::Failed);
    let gone = host();
    let source = source_of(&gone).await;
    gone.stop().await;
    gone.ended().await;
    for is_pull in [true, false] {
        let id = us.transfer.open(&source, opening(root, is_pull)).await.unwrap();
        told(&mut news, &News::Failed("it was cut off 3 times, and nothing went over".to_owned())).await;
        assert_eq!(us.finished(&id).await.status(), Status::Failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_a_peer_are_bounded() {
    let theirs = TransferOptions { per_peer: 2, ..options(says(Decision::pause(None), None)) };
    let (us, them) = (Node::with(says_yes()), Node::start(theirs, GraphsyncOptions::default()));
    let root = import(them.store.as_ref(), &noise(1000));
    let source = them.source().await;
    let mut news = us.transfer.news();
    for _ in 0..2 {
        us.transfer.open(&source, opening(root, true)).await.unwrap();
        told(&mut news, &News::Accepted).await;
    }
    for is_pull in [true, false] {
        let third = us.transfer.open(&source, opening(root, is_pull)).await.unwrap();
        assert_eq!(us.finished(&third).await.status(), Status::Failed);
    }
    assert_eq!(them.transfer.channels().len(), 2);
    us.transfer.cancel(us.transfer.channels()[0].id()).unwrap();
    until("one is over", async || (them.transfer.channels().len() == 1).then_some(())).await;
    let again = us.transfer.open(&source, opening(root, true)).await.unwrap();
    told(&mut news, &News::Accepted).await;
    assert_eq!(us.transfer.channel(&again).unwrap().status(), Status::ResponderPaused);

    let few = TransferOptions { channels: 1, ..options(says_yes()) };
    let us = Node::start(few, GraphsyncOptions::default());
    us.transfer.open(&source, opening(root, true)).await.unwrap();
    assert!(matches!(us.transfer.open(&source, opening(root, true)).await, Err(TransferError::TooMany(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_refused_and_others_are_served() {
    let them = Node::with(says_yes());
    let us = host();
    us.connect(them.source().await.addresses).await.unwrap();
    let long = [&[0x5b, 0, 0, 0, 0, 0, 0x20, 0, 0][..], &vec![0; 2 << 20]].concat();
    let many = [vec![0x99, 0xff, 0xff], vec![0; 1 << 16]].concat();
    let wrong: [&[u8]; 6] = [b"", b"\xff", b"\xa0", &long, &many, b"\x83\xf5\xf6\xf6"];
    for version in Version::ALL {
        for bytes in wrong {
            let protocol = StreamProtocol::new(version.protocol());
            let mut stream = us.control().open_stream(them.host.peer_id(), protocol).await.unwrap();
            // It may hang up before all of it is there.
            let _ = stream.write_all(bytes).await;
            let _ = stream.close().await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.is_empty());
        }
    }
    let refused = || them.transfer.totals().messages_refused.load(Ordering::Relaxed);
    until("all are refused", async || (refused() == 18).then_some(())).await;
    let other = Node::with(says_yes());
    let root = import(them.store.as_ref(), &noise(1000));
    let id = other.transfer.open(&them.source().await, opening(root, true)).await.unwrap();
    assert_eq!(other.finished(&id).await.status(), Status::Completed);
}
