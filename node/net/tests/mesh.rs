//! Filecoin's first blocks and messages in one mesh of three hosts of ours, py-libp2p with its presets for Filecoin, and js-libp2p:
//! `spec/network.md` 18, N2.
//!
//! ```text
//! py-libp2p - first - middle - last - js-libp2p
//! ```
//! Each knows its neighbours alone, so that what comes through was passed on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use filecash_chain::Object;
use filecash_chain::block_message::BlockMsg;
use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::check::gossip::{Outcome, block, message};
use filecash_ipld::car::{CarOptions, CarStore};
use filecash_net::gossip::{Judge, TopicKind, Verdict, message_id};
use filecash_net::host::{Host, HostEvent, HostOptions};
use libp2p::identity::Keypair;
use serde_json::{Value, json};

#[path = "hosts/foreign.rs"]
mod foreign;
mod hosts;
#[path = "../../../tests/support/js.rs"]
mod js;
#[path = "../../../tests/support/peer.rs"]
mod peer;
#[path = "../../../tests/support/py_libp2p.rs"]
mod py_libp2p;

use foreign::{connect, id_of};
use hosts::{address_of, info, until};
use js::Js;
use peer::Peer;

const NETWORK: &str = "testnetnet";
const GENESIS: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";
/// Begins what is sent before the mesh is there.
const PROBE: &[u8] = b"probe";

type Announcement = (TopicKind, Vec<u8>);

fn verdict<T>(outcome: Outcome<T>) -> Verdict {
    match outcome {
        Outcome::Accept(_) => Verdict::Accept,
        Outcome::Ignore(_) => Verdict::Ignore,
        Outcome::Reject(_) => Verdict::Reject,
    }
}

fn judge(kind: TopicKind, bytes: &[u8]) -> Verdict {
    match kind {
        _ if bytes.starts_with(PROBE) => Verdict::Accept,
        TopicKind::Blocks => verdict(block(bytes, &Rules::MAINNET)),
        TopicKind::Messages => verdict(message(bytes, &Rules::MAINNET, |_| None)),
    }
}

/// Blocks of Filecoin's first heights as they were announced, and those of their messages that have a signature of their own.
fn announcements() -> Vec<Announcement> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain/filecoin-heights-0-39.car");
    let store = CarStore::open(&file, &CarOptions::default()).unwrap();
    let head = store.roots().to_vec();
    let chain = ChainStore::new(store, GENESIS.parse().unwrap(), Rules::MAINNET);
    let mut announcements = Vec::new();
    for tipset in chain.walk(&head).map(Result::unwrap).filter(|tipset| tipset.height() > 0) {
        for ((_, header), messages) in tipset.blocks().iter().zip(chain.messages(&tipset).unwrap()) {
            announcements.extend(messages.secp.iter().map(|signed| (TopicKind::Messages, signed.encode())));
            let block = BlockMsg {
                header: header.clone(),
                bls_messages: messages.bls.iter().map(|message| message.cid()).collect(),
                secp_messages: messages.secp.iter().map(|message| message.cid()).collect(),
            };
            announcements.push((TopicKind::Blocks, block.encode()));
        }
    }
    // Blocks of a tipset have messages in common.
    let mut seen = HashSet::new();
    announcements.retain(|announcement| seen.insert(announcement.clone()));
    announcements
}

/// A member of the mesh, and what came to it.
enum Member {
    Ours { host: Host, heard: Arc<Mutex<Vec<Announcement>>> },
    Theirs { peer: Peer, heard: Vec<Announcement> },
}

impl Member {
    fn ours() -> Self {
        let options = HostOptions { accept_private_addresses: false, ..HostOptions::on_loopback(NETWORK) };
        let judge: Judge = Arc::new(judge);
        let host = Host::start(&Keypair::generate_ed25519(), &options, judge).unwrap().0;
        let (heard, mut events) = (Arc::<Mutex<Vec<Announcement>>>::default(), host.events());
        let list = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok(event) = events.recv().await {
                if let HostEvent::Gossip { kind, bytes, .. } = event {
                    list.lock().unwrap().push((kind, bytes));
                }
            }
        });
        Self::Ours { host, heard }
    }

    fn theirs(mut peer: Peer) -> Self {
        for kind in TopicKind::ALL {
            peer.does(&json!({ "do": "subscribe", "topic": kind.name(NETWORK) }));
        }
        Self::Theirs { peer, heard: Vec::new() }
    }

    fn host(&self) -> &Host {
        match self {
            Self::Ours { host, .. } => host,
            Self::Theirs { .. } => panic!("it is no host of ours"),
        }
    }

    fn peer(&mut self) -> &mut Peer {
        match self {
            Self::Theirs { peer, .. } => peer,
            Self::Ours { .. } => panic!("it is none of theirs"),
        }
    }

    async fn publish(&mut self, kind: TopicKind, bytes: &[u8]) {
        match self {
            // Nobody listens until those of a connection have said so.
            Self::Ours { host, .. } => drop(host.publish(kind, bytes.to_vec()).await),
            Self::Theirs { peer, .. } => {
                peer.does(&json!({ "do": "publish", "topic": kind.name(NETWORK), "hex": hex::encode(bytes) }));
            }
        }
    }

    /// How often each message came.
    fn heard(&mut self) -> HashMap<Announcement, usize> {
        let all = match self {
            Self::Ours { heard, .. } => heard.lock().unwrap().clone(),
            Self::Theirs { peer, heard } => {
                let received = peer.does(&json!({ "do": "received" }));
                heard.extend(received.as_array().unwrap().iter().map(announcement));
                heard.clone()
            }
        };
        let mut counts = HashMap::new();
        all.into_iter().for_each(|announcement| *counts.entry(announcement).or_default() += 1);
        counts
    }
}

fn announcement(message: &Value) -> Announcement {
    let kind = TopicKind::ALL.into_iter().find(|kind| message["topic"] == kind.name(NETWORK)).unwrap();
    let digits = message["hex"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (kind, (0..digits.len()).step_by(2).map(byte).collect())
}

/// The line of five, once what one sends comes to all others. Nothing is there without the others' programs.
async fn mesh() -> Option<Vec<Member>> {
    let py = py_libp2p::start(&json!({ "network": NETWORK }))?;
    let Js { peer: js, .. } = Js::start("host.mjs", &json!({ "gossip": true }))?;
    let (first, middle, last) = (Member::ours(), Member::ours(), Member::ours());
    connect(first.host(), &py).await;
    connect(last.host(), &js).await;
    for end in [&first, &last] {
        end.host().connect(vec![address_of(middle.host(), "/tcp/").await]).await.unwrap();
    }
    let mut members = vec![Member::theirs(py), first, middle, last, Member::theirs(js)];
    let (mut count, senders) = (0, members.len());
    for sender in 0..senders {
        for kind in TopicKind::ALL {
            let begins = format!("probe {sender} ").into_bytes();
            until("a probe is everywhere", async || {
                count += 1;
                let probe = [&begins[..], format!("{count}").as_bytes()].concat();
                members[sender].publish(kind, &probe).await;
                let mut others = members.iter_mut().enumerate().filter(|(at, _)| *at != sender);
                let came = |(of, bytes): &Announcement| *of == kind && bytes.starts_with(&begins);
                others.all(|(_, member)| member.heard().keys().any(came)).then_some(())
            })
            .await;
        }
    }
    Some(members)
}

/// Has each in turn send something, and waits until all others have it, once each.
async fn spread(members: &mut [Member], announcements: &[Announcement]) {
    let senders = members.len();
    for (at, (kind, bytes)) in announcements.iter().enumerate() {
        members[at % senders].publish(*kind, bytes).await;
    }
    for (receiver, member) in members.iter_mut().enumerate() {
        let expected = announcements.iter().enumerate().filter(|(at, _)| at % senders != receiver);
        let expected: Vec<_> = expected.map(|(_, announcement)| announcement).collect();
        until("all is here", async || {
            let heard = member.heard();
            expected.iter().all(|announcement| heard.contains_key(announcement)).then_some(())
        })
        .await;
        assert!(member.heard().values().all(|times| *times == 1), "something came twice to {receiver}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_sends_comes_to_all() {
    let Some(mut members) = mesh().await else { return };
    let announcements = announcements();
    let count = |kind| announcements.iter().filter(|(of, _)| *of == kind).count();
    assert_eq!([count(TopicKind::Blocks), count(TopicKind::Messages)], [48, 206]);
    // Fewer at once than are looked at, beyond which some are let go.
    for some in announcements.chunks(40) {
        spread(&mut members, some).await;
    }
    // Its presets for Filecoin are what we have.
    let py = members[0].peer();
    let names = TopicKind::ALL.map(|kind| kind.name(NETWORK));
    assert_eq!(py.does(&json!({ "do": "topics", "network": NETWORK })), json!(names));
    let (_, bytes) = &announcements[0];
    assert_eq!(py.does(&json!({ "do": "message id", "hex": hex::encode(bytes) })), hex::encode(message_id(bytes)));
}

/// An announcement with something wrong: a message that the header does not know, or a signature that is not the sender's.
fn corrupted(announcements: &[Announcement], kind: TopicKind, bit: usize) -> Announcement {
    let (_, bytes) = announcements.iter().rfind(|(of, _)| *of == kind).unwrap();
    let mut bytes = bytes.clone();
    *bytes.last_mut().unwrap() ^= 1 << bit;
    assert_eq!(judge(kind, &bytes), Verdict::Reject);
    (kind, bytes)
}

/// How gossip at a neighbour goes by somebody.
async fn score(members: &mut [Member], neighbour: usize, of: usize) -> f64 {
    let id = id_of(members[of].peer());
    info(members[neighbour].host(), id).await.unwrap().score.unwrap()
}

/// Who sends something corrupted is trusted less by who takes it, and it goes no further; what is honest still does.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupted_goes_no_further() {
    let Some(mut members) = mesh().await else { return };
    let announcements = announcements();
    let bad = [TopicKind::Blocks, TopicKind::Messages].map(|kind| corrupted(&announcements, kind, 0));
    for ((liar, neighbour), (kind, bytes)) in [(0, 1), (4, 3)].into_iter().zip(&bad) {
        assert!(score(&mut members, neighbour, liar).await >= 0.0);
        members[liar].publish(*kind, bytes).await;
        // The first counts −1000 times its topic's weight of 0.1; what was delivered well before makes up for a little.
        until("it is trusted less", async || (score(&mut members, neighbour, liar).await < -90.0).then_some(())).await;
    }
    spread(&mut members, &announcements[..20]).await;
    for (at, member) in members.iter_mut().enumerate() {
        let heard = member.heard();
        // py-libp2p hears what it says itself.
        assert!(at == 0 || bad.iter().all(|bad| !heard.contains_key(bad)), "it came to {at}");
    }
    let middle = members[2].host().peers().await.unwrap();
    assert!(middle.len() == 2 && middle.iter().all(|info| info.score.unwrap() >= 0.0), "{middle:?}");
}

/// Who goes on is listened to no more, whatever it says, and the others are as before.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_else_is_listened_to_no_more() {
    let Some(mut members) = mesh().await else { return };
    let announcements = announcements();
    for bit in 0..7 {
        let (kind, bytes) = corrupted(&announcements, TopicKind::Messages, bit);
        members[4].publish(kind, &bytes).await;
    }
    until("it is below all", async || (score(&mut members, 3, 4).await < -2500.0).then_some(())).await;
    let (unheard, heard) = announcements[..20].split_first().unwrap();
    members[4].publish(unheard.0, &unheard.1).await;
    // What it sent before this has come.
    let address = address_of(members[3].host(), "/tcp/").await;
    members[4].peer().does(&json!({ "do": "ping", "address": address }));
    spread(&mut members[..4], heard).await;
    assert!(members[..4].iter_mut().all(|member| !member.heard().contains_key(unheard)));
}
