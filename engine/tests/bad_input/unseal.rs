//! Sectors that cannot be unsealed.

use std::fs::{self, OpenOptions};
use std::io;

use filecash_engine::Error;
use filecash_engine::api::unseal::{SealedSector, unseal_range};
use filecash_engine::field::fr32::RawRange;
use filecash_engine::sector::Profile;

use crate::support::{IDENTITY, Sandbox, State, alike};

const WHOLE: RawRange = RawRange { offset: 0, len: 2032 };

fn sealed() -> Sandbox {
    Sandbox::new(Profile::Filecoin, State::Sealed)
}

fn whole(sandbox: &Sandbox) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    sandbox.unseal(WHOLE, &mut out).map(|()| out)
}

#[test]
fn wrong_replicas_are_named() {
    let sandbox = sealed();
    sandbox.edit("sealed", |bytes| bytes.truncate(2047));
    sandbox.refuses(whole, &["sealed is 2047 bytes, expected 2048"]);
    let sandbox = sealed();
    sandbox.edit("sealed", |bytes| bytes[32 * 9..32 * 10].fill(0xff));
    sandbox.refuses(whole, &["node 9 of the replica", "sealed", "is not a canonical field element"]);
    let sandbox = sealed();
    sandbox.remove("sealed");
    sandbox.refuses(whole, &["sealed", "No such file"]);
    let sandbox = sealed();
    sandbox.folder_instead("sealed");
    sandbox.refuses(whole, &["sealed is not a file"]);
}

#[test]
fn ranges_beyond_the_sector_are_refused() {
    let sandbox = sealed();
    for (offset, len) in [(0, 2033), (2032, 1), (5000, 0), (u64::MAX, 1), (1, u64::MAX)] {
        let expected = format!("{len} bytes from {offset} on were asked of a sector that holds 2032");
        sandbox.refuses(|sandbox| sandbox.unseal(RawRange { offset, len }, &mut io::sink()), &[&expected]);
    }
}

#[test]
fn folders_and_commitments_that_cannot_be_are_named() {
    let mut sandbox = sealed();
    fs::remove_dir(sandbox.path("scratch")).unwrap();
    // The last layer in the cache is enough as long as it is the one noted.
    let data = whole(&sandbox).unwrap();
    sandbox.remove("cache/sc-02-data-layer-2.dat");
    sandbox.refuses(whole, &["scratch", "No such file"]);
    fs::write(sandbox.path("scratch"), b"a file").unwrap();
    sandbox.refuses(whole, &["scratch", "Not a directory"]);
    fs::remove_file(sandbox.path("scratch")).unwrap();
    fs::create_dir(sandbox.path("scratch")).unwrap();
    assert_eq!(whole(&sandbox).unwrap(), data);

    let below = |sandbox: &Sandbox| {
        let [cache, sealed, scratch] = ["staged/cache", "sealed", "scratch"].map(|name| sandbox.path(name));
        let sector = SealedSector { sealed: &sealed, cache: Some(&cache), scratch: &scratch };
        let comm_d = &sandbox.phase2.comm_d;
        sandbox.run(|job| unseal_range(job, &sandbox.config, &sector, &IDENTITY, comm_d, WHOLE, &mut io::sink()))
    };
    sandbox.refuses(below, &["staged/cache", "Not a directory"]);
    sandbox.phase2.comm_d = [0; 32];
    sandbox.refuses(whole, &["comm_d is all zero"]);
}

#[test]
fn damaged_layer_is_not_trusted() {
    let sandbox = sealed();
    let data = whole(&sandbox).unwrap();
    sandbox.edit("cache/sc-02-data-layer-2.dat", |bytes| bytes[100] ^= 1);
    let before = sandbox.files();
    assert_eq!(whole(&sandbox).unwrap(), data);
    alike(&sandbox.files(), &before);
}

#[test]
fn full_disk_is_not_a_success() {
    let sandbox = sealed();
    let full = |sandbox: &Sandbox| {
        let mut out = OpenOptions::new().write(true).open("/dev/full").unwrap();
        sandbox.unseal(WHOLE, &mut out)
    };
    sandbox.refuses(full, &["writing the data", "No space left"]);
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    sandbox.refuses(|sandbox| Ok(sandbox.proven.write_json(sandbox.profile, &mut full)?), &["No space left"]);
    sandbox.refuses(|sandbox| Ok(sandbox.proven.write_bincode(&mut full)?), &["No space left"]);
    sandbox.refuses(|sandbox| Ok(sandbox.phase2.write_json(&mut full)?), &["No space left"]);
}
