//! Phase 1 of many sectors: each ends as it does by itself, whatever becomes of the others.

use std::fs;

use filecash_engine::Error;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::seal::{PreCommit1Sector, pre_commit_phase1, pre_commit_phase1_of_many};
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::porep::outputs::PreCommit1Output;
use filecash_engine::sector::Profile;

use crate::support::{IDENTITY, Sandbox, State, alike, snapshot};

const SECTORS: usize = 21;

fn sandboxes(profile: Profile) -> Vec<Sandbox> {
    (0..SECTORS).map(|_| Sandbox::new(profile, State::Staged)).collect()
}

fn identity(sector: usize) -> SectorIdentity {
    SectorIdentity { sector_id: sector as u64, ..IDENTITY }
}

/// Phase 1 of the sectors of some sandboxes, in order.
fn all(sandboxes: &[Sandbox], at_once: usize, cancel: &Cancel) -> Vec<Result<PreCommit1Output, Error>> {
    let names = ["cache", "staged", "sealed"];
    let paths: Vec<_> = sandboxes.iter().map(|sandbox| names.map(|name| sandbox.path(name))).collect();
    let identities: Vec<_> = (0..sandboxes.len()).map(identity).collect();
    let sectors: Vec<_> = (sandboxes.iter().zip(&paths).zip(&identities))
        .map(|((sandbox, [cache, staged, sealed]), identity)| PreCommit1Sector {
            cache,
            staged,
            sealed,
            identity,
            pieces: &sandbox.pieces,
        })
        .collect();
    let work = |job: &Job<'_>| pre_commit_phase1_of_many(job, &sandboxes[0].config, &sectors, at_once);
    sandboxes[0].run_with(&Quiet, cancel, work).unwrap()
}

/// Phase 1 of one of them.
fn one(sandbox: &Sandbox, sector: usize) -> PreCommit1Output {
    let [cache, staged, sealed] = ["cache", "staged", "sealed"].map(|name| sandbox.path(name));
    let (identity, pieces) = (identity(sector), &sandbox.pieces);
    let work =
        |job: &Job<'_>| pre_commit_phase1(job, &sandbox.config, &cache, &staged, &sealed, &identity, pieces).unwrap();
    sandbox.run(work)
}

#[test]
fn many_sectors_end_as_each_by_itself() {
    for profile in Profile::ALL {
        let expected: Vec<_> =
            sandboxes(profile).into_iter().enumerate().map(|(i, sandbox)| (one(&sandbox, i), sandbox)).collect();
        // Layers in memory, and in mapped files: two layers of 2 KiB each.
        for (at_once, memory_bytes) in [(1, 4 << 10), (1, (4 << 10) - 1), (7, 1 << 30), (100, 1 << 30), (100, 4 << 10)]
        {
            let mut actual = sandboxes(profile);
            actual[0].settings.memory_bytes = memory_bytes;
            actual[3].remove("staged");
            actual[4].pieces.reverse();
            // Begun by somebody else: both layers, one, and one that is damaged.
            for (place, sandbox) in actual.iter().enumerate().take(8).skip(5) {
                one(sandbox, place);
            }
            actual[6].remove("cache/sc-02-data-layer-2.dat");
            actual[7].edit("cache/sc-02-data-layer-1.dat", |bytes| bytes[100] ^= 1);
            let outcomes = all(&actual, at_once, &Cancel::default());
            assert_eq!(outcomes.len(), SECTORS);
            for (place, outcome) in outcomes.into_iter().enumerate() {
                match place {
                    3 => assert!(outcome.unwrap_err().to_string().contains("cannot open")),
                    4 => assert!(outcome.unwrap_err().to_string().contains("the pieces' CommD is")),
                    _ => {
                        let (output, sandbox) = &expected[place];
                        assert_eq!(outcome.unwrap().comm_d, output.comm_d);
                        for folder in ["cache", "."] {
                            alike(&snapshot(&actual[place].path(folder)), &snapshot(&sandbox.path(folder)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_sector_named_twice_is_made_once() {
    let sandbox = Sandbox::new(Profile::Filecoin, State::Staged);
    let [cache, staged, sealed, other] = ["cache", "staged", "sealed", "other"].map(|name| sandbox.path(name));
    let first = PreCommit1Sector {
        cache: &cache,
        staged: &staged,
        sealed: &sealed,
        identity: &IDENTITY,
        pieces: &sandbox.pieces,
    };
    let second = PreCommit1Sector { sealed: &other, ..first };
    let outcomes = sandbox.run(|job| pre_commit_phase1_of_many(job, &sandbox.config, &[first, second], 2)).unwrap();
    let [first, second] = <[_; 2]>::try_from(outcomes).unwrap();
    assert!(first.is_ok());
    assert!(second.unwrap_err().to_string().contains("another job is writing layers into"));
    assert!(sealed.exists() && !other.exists());
}

#[test]
fn no_sectors_are_no_work() {
    let sandbox = Sandbox::new(Profile::Filecash, State::Staged);
    assert!(sandbox.run(|job| pre_commit_phase1_of_many(job, &sandbox.config, &[], 4)).unwrap().is_empty());
}

/// Nothing is left that is in the way of the next attempt.
#[test]
fn cancelled_sectors_can_be_done_again() {
    let sandboxes = sandboxes(Profile::Filecoin);
    let cancel = Cancel::default();
    cancel.cancel();
    for outcome in all(&sandboxes, 100, &cancel) {
        assert!(outcome.unwrap_err().to_string().contains("cancelled"));
    }
    for sandbox in &sandboxes {
        assert!(!fs::exists(sandbox.path("sealed")).unwrap());
    }
    assert!(all(&sandboxes, 100, &Cancel::default()).iter().all(Result::is_ok));
}
