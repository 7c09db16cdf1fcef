//! What a worker counts on.

use std::fs;

use super::*;
use crate::jobs::{NewJob, Priority, Store};
use crate::worker::task::SectorTask;

fn options(folder: &std::path::Path) -> Options {
    Options {
        name: "ours".to_owned(),
        profile: None,
        places: BTreeMap::from([(Ability::Pc1, 1)]),
        memory_bytes: 1 << 30,
        vram: BTreeMap::new(),
        threads: 1,
        folders: vec![Folder { path: folder.to_owned(), seals: true, stores: false, reserve_bytes: 0 }],
        lease: Duration::from_secs(60),
        until_idle: true,
        program: (PathBuf::new(), Vec::new()),
        state: folder.to_owned(),
        devices: String::new(),
    }
}

/// A disk that several workers write to is promised to the jobs of all of them.
#[test]
fn bytes_that_others_will_write_are_not_free() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::open(&Store::File(folder.path().join("jobs.sqlite"))).unwrap();
    let options = options(&folder.path().join("shared"));
    let storage = Storage::open_or_make(&options.folders[0].path).unwrap();
    let job = |storage: &str, name: &str| NewJob {
        profile: Profile::Filecoin,
        kind: Kind::Pc1,
        sector: None,
        proof: "StackedDrg32GiBV1_1".to_owned(),
        priority: Priority::Normal,
        deadline: None,
        storage: Some(storage.to_owned()),
        after: None,
        hold: None,
        request: None,
        digest: None,
        task: serde_json::to_string(&SectorTask {
            folder: name.to_owned(),
            prover_id: crate::hex32::Hex32([0; 32]),
            sector: 1,
            seed: None,
        })
        .unwrap(),
        input: None,
    };
    let added = [job(&storage.id, "a"), job(&storage.id, "b"), job("another", "c"), job(&storage.id, "d")];
    let ids = queue.add(&added).unwrap();
    let mut worker = Worker {
        queue: &queue,
        options: &options,
        instance: String::new(),
        places: vec![Place { disk: None, folder: options.folders[0].clone(), storage }],
        active: Vec::new(),
        elsewhere: Vec::new(),
        untold: Vec::new(),
        summary: Summary::default(),
        holds_for: None,
        needs: RefCell::default(),
        // It looks, and takes nothing.
        stops: true,
        pause_until: None,
    };
    let promised = |worker: &mut Worker<'_>| {
        assert_eq!(worker.begin_one().unwrap(), None);
        worker.promised_bytes(&worker.places[0])
    };
    assert_eq!(promised(&mut worker), 0);
    let take = |id, owner| queue.take(id, owner, Duration::from_secs(60)).unwrap().unwrap();
    let lease = take(ids[0], "theirs");
    let one = promised(&mut worker);
    // Eleven layers, the tree of the data and a copy of it.
    assert!(one > 13 * (32 << 30) && one < 15 * (32 << 30), "{one}");
    take(ids[1], "also theirs");
    take(ids[2], "theirs");
    // One of its own that it does not know of any more, which it will reclaim.
    take(ids[3], "ours");
    assert_eq!(promised(&mut worker), 2 * one);
    // What is written already is not free anyhow.
    let written = options.folders[0].path.join("a/cache");
    fs::create_dir_all(&written).unwrap();
    fs::write(written.join("sc-02-data-layer-1.dat"), vec![1; 1 << 20]).unwrap();
    assert_eq!(promised(&mut worker), 2 * one - (1 << 20));
    queue.finish(&lease, &Outcome::HandedBack).unwrap();
    assert_eq!(promised(&mut worker), one);
}
