//! Connections that end at any time.

use std::time::Duration;

use filecash_ipld::unixfs::profile::{KUBO, Profile};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::hosts::{address_of, soon};
use crate::node::Node;
use crate::stores::seeded;

/// A few bits at random, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A file comes over a hundred connections, which either side ends somewhere; at some of these ends the fetch is dropped, too. In the end the
/// file is whole, and nothing that was in the store has been fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn file_is_whole_after_a_hundred_cuts() {
    let content = seeded(60 << 20, 11);
    let server = Node::start();
    let root = server.import(Profile { chunk: 32 << 10, ..KUBO }, &content);
    let (mut chance, mut cuts, mut files) = (Chance(5), 0, 0);
    while cuts < 100 {
        let client = Node::start();
        let mut is_whole = false;
        while !is_whole {
            // It may be connected already, by either.
            let _ = soon(client.host.connect(vec![address_of(&server.host, "/tcp/").await])).await;
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let peers = [server.id()];
            let report = |progress| sender.send(progress).unwrap_or_default();
            let fetching = client.bitswap.fetch(&root, &peers, report);
            let after = chance.below(40);
            let (parts, is_theirs, is_dropped) = (chance.below(3000), chance.below(2) == 0, chance.below(3) == 0);
            let mut has_cut = false;
            let cutting = async {
                let mut blocks = 0;
                while blocks < after {
                    // Until there are no more.
                    let Some(_) = receiver.recv().await else { std::future::pending().await };
                    blocks += 1;
                }
                sleep(Duration::from_micros(parts)).await;
                let (end, other) = if is_theirs { (&server, client.id()) } else { (&client, server.id()) };
                has_cut = end.host.disconnect(other).await.unwrap();
                if !is_dropped {
                    std::future::pending().await
                }
            };
            let outcome = soon(async {
                tokio::select! {
                    outcome = fetching => Some(outcome),
                    () = cutting => None,
                }
            });
            is_whole = matches!(outcome.await, Some(Ok(_)));
            cuts += usize::from(has_cut);
        }
        assert!(client.file(&root) == content);
        assert_eq!(client.store.repeated(), 0);
        files += 1;
    }
    assert!(files < 100, "there is something to go on from");
}
