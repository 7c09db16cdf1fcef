//! Hosts of ours.

use filecash_ipld::unixfs::profile;

use crate::node::{Node, bytes, soon};

#[tokio::test(flavor = "multi_thread")]
async fn file_is_fetched_from_one_and_from_several() {
    let content = bytes(40 << 20, 7);
    let (one, other, client) = (Node::start(), Node::start(), Node::start());
    let root = one.import(profile::KUBO, &content);
    assert_eq!(other.import(profile::KUBO, &content), root);
    for peer in [&one, &other] {
        client.connect(peer).await;
    }
    let began = std::time::Instant::now();
    let progress = soon(client.bitswap.fetch(&root, &[one.id(), other.id()], |_| ())).await.unwrap();
    eprintln!("{progress:?} in {:?}; {:?} {:?} {:?}", began.elapsed(), client.bitswap.stats(), one.bitswap.stats(), other.bitswap.stats());
    assert_eq!(client.file(&root), content);
}
