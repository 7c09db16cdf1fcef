//! A process at one end that is killed again and again, and begins anew with what is on its disk.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use filecash_ipld::Cid;
use filecash_ipld::data_transfer::{Channel, Status};
use filecash_ipld::store::{DiskOptions, DiskStore};
use filecash_net::data_transfer::TransferOptions;
use filecash_net::graphsync::{GraphsyncOptions, Source};
use filecash_net::identity::load_or_make;
use tokio::time::{sleep, timeout};

use crate::hosts::until;
use crate::node::*;
use crate::stores::{import, noise, read};

const LENGTH: usize = 60 << 20;
/// Where the other process has what it has, where we are, and what it does: it waits, or opens a channel over a root.
const FOLDER: &str = "FILECASH_TRANSFER_FOLDER";
const PEER: &str = "FILECASH_TRANSFER_PEER";
const DOES: &str = "FILECASH_TRANSFER_DOES";

/// Nothing, unless a test here asks for it: one end of a channel, until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn in_another_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let key = load_or_make(&folder.join("key")).unwrap();
    let node = Node::in_folder(&key, &folder, says_yes());
    let address = std::env::var(PEER).unwrap().parse().unwrap();
    let peer = node.host.connect(vec![address]).await.unwrap();
    let does = std::env::var(DOES).unwrap();
    if let Some((what, root)) = does.split_once(' ')
        && !folder.join("opened").exists()
    {
        let source = Source { peer, addresses: vec![std::env::var(PEER).unwrap().parse().unwrap()] };
        node.transfer.open(&source, opening(root.parse().unwrap(), what == "pull")).await.unwrap();
        std::fs::write(folder.join("opened"), "").unwrap();
    }
    sleep(Duration::from_secs(600)).await;
}

fn start(folder: &Path, peer: &str, does: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "kills::in_another_process", "--nocapture"]);
    child.env(FOLDER, folder).env(PEER, peer).env(DOES, does);
    child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What went over, as we see it.
fn went(channel: &Channel) -> u64 {
    channel.progress().sent.max(channel.progress().received)
}

/// Kills the other process whenever so much more has gone over, until it is over; how often that was.
async fn kill_until_over(us: &Node, mut child: Child, again: impl Fn() -> Child) -> u32 {
    let mut kills = 0;
    let ours = async || until("a channel", async || us.transfer.channels().pop()).await;
    let id = ours().await.id().clone();
    for bytes in (0..LENGTH as u64).step_by(LENGTH / 6) {
        let reached = async {
            loop {
                let channel = us.transfer.channel(&id).unwrap();
                if channel.status().is_final() || went(&channel) >= bytes {
                    return !channel.status().is_final();
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let Ok(is_under_way) = timeout(Duration::from_secs(60), reached).await else {
            panic!("after {kills} kills: {:?}", us.transfer.channel(&id));
        };
        if !is_under_way {
            break;
        }
        kill(child);
        kills += 1;
        child = again();
    }
    assert_eq!(us.finished(&id).await.status(), Status::Completed, "after {kills} kills");
    // The other hears of the end, too, before it is killed once more.
    sleep(Duration::from_millis(500)).await;
    kill(child);
    kills
}

async fn ends_are_killed(is_pull: bool, opens: bool) {
    let folder = tempfile::tempdir().unwrap();
    let file = noise(LENGTH);
    let us = Node::start(TransferOptions { restarts: 100, ..options(says_yes()) }, GraphsyncOptions::default());
    let ours = us.source().await.addresses[0].to_string();
    let they_send = is_pull != opens;
    let disk = || DiskStore::open(folder.path(), &DiskOptions::default()).unwrap();
    let root: Cid = if they_send { import(&disk(), &file) } else { import(us.store.as_ref(), &file) };
    let does = match (opens, is_pull) {
        (false, _) => "wait".to_owned(),
        (true, true) => format!("pull {root}"),
        (true, false) => format!("push {root}"),
    };
    let again = || start(folder.path(), &ours, &does);
    let child = again();
    if !opens {
        let peer = until("it has come", async || us.host.peers().await.unwrap().pop()).await;
        let source = Source { peer: peer.peer, addresses: Vec::new() };
        us.transfer.open(&source, opening(root, is_pull)).await.unwrap();
    }
    let kills = kill_until_over(&us, child, again).await;
    assert!(kills > 2, "{kills}");
    let bytes = if they_send { read(us.store.as_ref(), &root) } else { read(&disk(), &root) };
    assert!(bytes == file, "{} bytes", bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_goes_on_with_the_channel() {
    for is_pull in [true, false] {
        for opens in [true, false] {
            ends_are_killed(is_pull, opens).await;
        }
    }
}
