use super::*;
use crate::config::Config;
use crate::job::{Cancel, Quiet};
use crate::sector::{PoRepId, SealProof};

fn graph(nodes: u64, id: u64, legacy: bool) -> Graph {
    Graph::over(nodes, PoRepId::from_number(id), legacy)
}

fn open(graph: &Graph, folder: &Path, published: Option<&str>) -> Result<ParentTable, ParentTableError> {
    let config = Config { memory_bytes: 100_000, ..Config::default() };
    ParentTable::open_in(
        &Job { config: &config, progress: &Quiet, cancel: &Cancel::default() },
        graph,
        folder,
        published,
    )
}

fn digest(table: &ParentTable) -> String {
    hex::encode(Sha256::digest(bytemuck::cast_slice::<_, u8>(table.rows())))
}

/// spec/replication.md 12.5: nodes, id, legacy order, digest.
#[test]
fn computed_tables_match_reference() {
    for (nodes, id, legacy, expected) in [
        (1 << 6, 0, true, "3da49221e2ed55371b86d0bf3d6526fcf128af61bed904f966428db1b531750d"),
        (1 << 6, 5, false, "840057702eea7652cf97e04306c30fe57174714d90de156a25eddd6075c25b97"),
        (1 << 6, 10, false, "0c9ac05c2f3221deff12ab7b098acc90d974c3db61925b8429537e06c6062621"),
        (1 << 6, 15, false, "3f5bf8010fc1cefce85a00045fad10a7abe09ab9e97d5ad9d1a08ff834ac5590"),
        (1 << 7, 5, false, "094208224c6abba311fbe28f55b889f11f809ec6f530c33679637c07afed927f"),
        (1 << 9, 5, false, "3714c755bdf74cc5698a11ad035efd544dbe075071b0f4d7b43fdb37c98ab8f5"),
        (1 << 10, 5, false, "054e3471d26232137eb9cf8796504189e7bd978ac7e1ebdecb79b83047b44c25"),
    ] {
        assert_eq!(digest(&ParentTable::compute(&graph(nodes, id, legacy))), expected, "{nodes} nodes, id {id}");
    }
}

/// spec/replication.md 12.5: a whole table of 8 MiB, made and read again.
#[test]
fn table_of_8mib_matches_reference() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = Config { parent_cache: folder.path().join("new"), ..Config::default() };
    let job = Job { config: &parameters, progress: &Quiet, cancel: &Cancel::default() };
    let config = SealProof::by_id(Profile::Filecoin, 6).unwrap().config();
    for _ in 0..2 {
        let table = ParentTable::open(&job, &config).unwrap();
        assert_eq!(digest(&table), "03cd13565ded97c240a5f52e54295ad127bd0461b57904cb3a4d79b097bbecab");
    }
    let name = "v28-sdr-parent-5eed212119fd91aa6220a27f31a8966444a9381842bceb3a1ea61525bd47a5b5.cache";
    assert_eq!(fs::metadata(folder.path().join("new").join(name)).unwrap().len(), 56 << 18);
    assert!(!digest_path(&folder.path().join("new").join(name)).exists());
}

/// spec/replication.md 12.5, "Other cache ids".
#[test]
fn ids_match_reference() {
    for (size, id, expected) in [
        (2_u64 << 10, 0, "3f0eef38bb48af1f48ad65e14eb85b4ebfc167cec18cd81764f6d998836c9899"),
        (2 << 10, 5, "494d91dc80f2df5272c4b9e129bc7ade9405225993af9fe34e6542a39a47554b"),
        (8 << 20, 16, "6de1e885248c809ed294f690d79d06ede06fd51c541b324bc1dc10628fccb991"),
        (32 << 10, 5, "8697e1dc7598c82abab2338711331f174e6fe21f7dd1f89f0da656b84f76ba0d"),
        (1 << 30, 7, "ad0454b0694c06a5f2df43612f08360922336beab5c05c41977be1f17db16e3e"),
        (32 << 30, 18, "e6ed6d53a2e35ffd6bf01b8a00fe56067c8df7b23c2c016363e452cad2621344"),
        (64 << 30, 19, "26a594a55cf444adc848b9682e1486b8d0bfa7846ee3f20cb6e754afe2778941"),
        (4 << 30, 12, "d871d43a5f47589be1e66d362f15b0ede419106fc451c49ed5459512d9e6631c"),
        (16 << 30, 6, "5b300b78e3633de0534aa982f6816efd77d70c7fa9e428652ee09ef87c9cfb94"),
    ] {
        assert_eq!(table_id(&graph(size / 32, id, false)), expected, "{size} bytes, id {id}");
    }
}

/// Every row of the list of digests is that of a graph which the table would be made for.
#[test]
fn listed_digests_belong_to_graphs() {
    let mut graphs: Vec<(Profile, Graph)> = Profile::ALL
        .into_iter()
        .flat_map(SealProof::all)
        .map(|proof| (proof.profile, Graph::new(&proof.config())))
        .collect();
    graphs.push((Profile::Filecoin, graph(1 << 19, 6, false)));
    for (profile, id, _) in DIGESTS {
        assert!(graphs.iter().any(|(of, graph)| of == profile && table_id(graph) == *id), "{id}");
    }
}

#[test]
fn networks_have_their_own_folders() {
    let cache = Path::new("/tables");
    assert_eq!(folder(cache, Profile::Filecoin), cache);
    assert_eq!(folder(cache, Profile::Filecash), cache.join("filecash"));
}

#[test]
fn made_table_equals_computed_one_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph(1 << 11, 7, false);
    let made = open(&graph, folder.path(), None).unwrap();
    assert_eq!(made.rows(), ParentTable::compute(&graph).rows());
    assert_eq!(made.rows()[77].map(u32::from_le), graph.parents(77));

    let path = folder.path().join(file_name(&table_id(&graph)));
    let noted = fs::read_to_string(digest_path(&path)).unwrap();
    assert_eq!(noted, format!("{}  {}\n", digest(&made), path.file_name().unwrap().to_str().unwrap()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "table, digest and lock");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(open(&graph, folder.path(), None).unwrap().rows(), made.rows());
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
}

#[test]
fn damaged_tables_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph(1 << 8, 7, true);
    let path = folder.path().join(file_name(&table_id(&graph)));
    let right = ParentTable::compute(&graph);
    let bytes: &[u8] = bytemuck::cast_slice(right.rows());
    let (mut flipped, cut, long) = (bytes.to_vec(), &bytes[1..], [bytes, &[0]].concat());
    flipped[5000] ^= 1;
    open(&graph, folder.path(), None).unwrap();
    for damaged in [&flipped[..], cut, &long, &[]] {
        for published in [None, Some(&*digest(&right))] {
            fs::remove_file(&path).unwrap();
            fs::write(&path, damaged).unwrap();
            assert_eq!(open(&graph, folder.path(), published).unwrap().rows(), right.rows());
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}

#[test]
fn table_without_its_digest_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph(1 << 8, 3, true);
    let path = folder.path().join(file_name(&table_id(&graph)));
    fs::write(&path, vec![0; 56 << 8]).unwrap();
    assert_eq!(open(&graph, folder.path(), None).unwrap().rows(), ParentTable::compute(&graph).rows());
}

#[test]
fn computing_something_else_than_published_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph(1 << 8, 3, true);
    let error = open(&graph, folder.path(), Some("00")).unwrap_err();
    assert!(matches!(error, ParentTableError::Digest { .. }), "{error}");
    assert!(!folder.path().join(file_name(&table_id(&graph))).exists());
}

#[test]
fn cancelled_job_leaves_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph(1 << 11, 3, true);
    let (config, cancel) = (Config::default(), Cancel::default());
    let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
    cancel.cancel();
    let error = ParentTable::open_in(&job, &graph, folder.path(), None).unwrap_err();
    assert!(matches!(error, ParentTableError::Cancelled(_)), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the lock");
    open(&graph, folder.path(), None).unwrap();
}
