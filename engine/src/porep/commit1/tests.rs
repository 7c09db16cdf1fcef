use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::backend::cpu::Cpu;
use crate::config::Config;
use crate::job::{Cancel, Quiet};
use crate::merkle::build::build_tree_d;
use crate::porep::challenges::interactive;
use crate::porep::commit::{Commitments, commit_with};
use crate::porep::labels::label_layer;
use crate::porep::proof::Proof;
use crate::sector::piece::{StagedSector, UnpaddedLen};
use crate::sector::{ApiVersion, PoRepId, Profile, SealProof, TreeShape, params};
use crate::store::files::CacheFiles;

// The inputs of spec/replication.md 12.7.
pub(crate) const PROVER: ProverId = [9; 32];
pub(crate) const TICKET: Ticket = [1; 32];
pub(crate) const SEED: [u8; 32] = [2; 32];
pub(crate) const SECTOR: SectorId = 12345;

pub(crate) fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    run(&Job { config: &Config::default(), progress: &Quiet, cancel: &Cancel::default() })
}

/// A sector that has been through both phases of the pre-commit, with the plain labeller.
pub(crate) struct Sealed {
    pub(crate) folder: TempDir,
    pub(crate) replica_id: Node,
    pub(crate) commitments: Commitments,
}

impl Sealed {
    /// Seals `staged`, Fr32-padded data in a file of the folder.
    pub(crate) fn new(folder: TempDir, profile: Profile, geometry: Geometry, graph: &Graph) -> Self {
        let cache = folder.path();
        let (replica_id, commitments) = with_job(|job| {
            let tree_d = files::tree_d(cache);
            let comm_d = build_tree_d(&Cpu, job, &cache.join("staged"), geometry.data(), &tree_d).unwrap();
            let replica_id = replica_id(&PROVER, SECTOR, &TICKET, &comm_d, graph.porep_id());
            let mut previous: Option<Vec<Node>> = None;
            for layer in 1..=geometry.layers() {
                let mut labels = vec![[0; 32]; geometry.nodes() as usize];
                let parents = |node| graph.parents(node);
                label_layer(profile, &replica_id, layer as u32, parents, previous.as_deref(), &mut labels);
                fs::write(files::layer(cache, layer), labels.as_flattened()).unwrap();
                previous = Some(labels);
            }
            let commitments = commit_with(&Cpu, job, geometry, cache, &cache.join("sealed")).unwrap();
            (replica_id, commitments)
        });
        Self { replica_id, commitments, folder }
    }

    pub(crate) fn replica(&self) -> PathBuf {
        self.folder.path().join("sealed")
    }
}

/// A sector of the table, full with one piece of bytes `i mod 251`.
pub(crate) struct Sector {
    pub(crate) config: PoRepConfig,
    pub(crate) piece: PieceInfo,
    pub(crate) sealed: Sealed,
}

impl Sector {
    pub(crate) fn seal(config: PoRepConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let params = config.params;
        let staged = File::create(folder.path().join("staged")).unwrap();
        let data: Vec<u8> = (0..params.unpadded_bytes()).map(|i| (i % 251) as u8).collect();
        let size = UnpaddedLen::new(params.unpadded_bytes()).unwrap();
        let mut staged = StagedSector::new(staged, &folder.path().join("staged"), params, &[]).unwrap();
        let piece = with_job(|job| staged.add_piece(&data[..], size, job).unwrap().piece);
        let sealed = Sealed::new(folder, config.profile, Geometry::of(params), &Graph::new(&config));
        assert_eq!(sealed.commitments.comm_d, piece.commitment);
        let cache = sealed.folder.path();
        let Commitments { comm_c, comm_r_last, .. } = sealed.commitments;
        PAux { comm_c, comm_r_last }.write(cache).unwrap();
        TAux::new("/elsewhere", params, Geometry::of(params).rows_to_discard(2)).write(cache).unwrap();
        files::check(cache, &CacheFiles::new(params, 2).for_commit()).unwrap();
        Self { config, piece, sealed }
    }

    pub(crate) fn of(profile: Profile, id: u32) -> Self {
        Self::seal(SealProof::by_id(profile, id).unwrap().config())
    }

    /// Runs phase 1, with other arguments where `change` says so.
    pub(crate) fn prove(&self, change: impl FnOnce(&mut Commit1<'_>)) -> Result<Commit1Output, Commit1Error> {
        self.with(change, |commit| with_job(|job| commit.run(job, &SEED)))
    }

    /// Does something with the sector, with other arguments where `change` says so.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Commit1<'_>), body: impl FnOnce(&Commit1<'_>) -> T) -> T {
        let replica = self.sealed.replica();
        let pieces = [self.piece];
        let mut commit = Commit1 {
            config: &self.config,
            cache: self.sealed.folder.path(),
            replica: &replica,
            prover_id: &PROVER,
            sector_id: SECTOR,
            ticket: &TICKET,
            comm_r: &self.sealed.commitments.comm_r,
            comm_d: &self.sealed.commitments.comm_d,
            pieces: &pieces,
        };
        change(&mut commit);
        body(&commit)
    }
}

pub(crate) fn digest(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes);
    format!("{} {}", bytes.len(), hex::encode(Sha256::digest(&bytes)))
}

pub(crate) fn json(output: &Commit1Output, profile: Profile) -> String {
    digest(|bytes| output.write_json(profile, bytes).unwrap())
}

pub(crate) fn bincode(output: &Commit1Output) -> String {
    digest(|bytes| output.write_bincode(bytes).unwrap())
}

/// spec/replication.md 12.7, "C1 JSON" and "C1 bincode".
#[test]
fn commit_outputs_of_small_sectors_match_reference() {
    let id_5 = |size| {
        let params = params::for_size(Profile::Filecoin, size).unwrap();
        PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(5), ApiVersion::V1_1_0)
    };
    let id_0 = SealProof::by_id(Profile::Filecoin, 0).unwrap().config();
    let table = [
        (
            id_5(2 << 10),
            "99837 144db1bcc2fd9c7648837344ca83142401b24375c20ff014f25fdc12c78026f4",
            "28248 3cec85da2831ce4acc57efd966599750204602846f85b75d2b02dfdbba5ce31a",
        ),
        (
            id_0,
            "99983 3027ba05b9fcc20575b4a39b4861479a1502845ec6c530e58e728487970363bb",
            "28248 59818c4fcbed2970384a8b406b273c5ad00cb4d6a69e1415c41b0821feaf4ae7",
        ),
        (
            SealProof::by_id(Profile::Filecoin, 15).unwrap().config(),
            "1291732 15ff881338268a10e9b5ddd4886e911e6fbf35f1179f02d517177c2194861212",
            "365208 7527f51ec60206bc741a47812c1ac863c4c579942333712867ed888737923fda",
        ),
        (
            id_5(4 << 10),
            "105924 fda5977965af7ea0b8625d9bc1d52682d1903736744290b28f72e4b23657a20a",
            "30136 5ffa62c40b93e0ad9fa657a737a018ec092a6ab2cc2768b96c8fe6cab4ce1a44",
        ),
        (
            id_5(16 << 10),
            "127648 8b7a06269c538a46e5d9490e149666d65c1330e31755a7e16693cb905e5892a9",
            "36472 85066df8ea8f6590bbd5da5c0576e899086806b0886fe5152379ccd25baef8c2",
        ),
        (
            id_5(32 << 10),
            "134080 e22211bc550e1d9d8db18c496842d7e7252cf7fec178ccc4b312650603735f55",
            "38360 39878d996aa32da3662069a15f78d52a1b4ce50ee22451ff2e31d1e9b49de74d",
        ),
    ];
    for (config, expected_json, expected_bincode) in table {
        let output = Sector::seal(config).prove(|_| {}).unwrap();
        assert_eq!(json(&output, Profile::Filecoin), expected_json, "{}", config.params.name);
        assert_eq!(bincode(&output), expected_bincode, "{}", config.params.name);
    }
}

/// spec/replication.md 12.7, "API-form outputs for the 2 KiB runs".
#[test]
fn api_forms_of_2kib_outputs_match_reference() {
    let table = [
        (
            5,
            "99898 0caa67094abf9588bc6a1a7d1d4e3005b2e22fb6494c0447bc23c417b11a88b6",
            "28256 5711d3eda7602e1bc613d4991c12864aa5f75f2f55db335eb5bb40524b324a07",
        ),
        (
            0,
            "100042 a12f0cf29352e441e0ff91a0ddf617224f31349d040c82bb786ecdf30fcf6e75",
            "28256 f2041a5eee5f88b20ab7ad7f5a3a30300f6697787ede54fdd94a823cb0f0a868",
        ),
        (
            15,
            "1291818 9a548b76210d85868f91b48691044ce056aae43949585f7865086e3c699871b2",
            "365216 a42ecab65bf5c95173725c08e2aeb8a66391f7777ce25ac3360f97e42fbaf825",
        ),
        (
            10,
            "99822 ba4ed05487091bc06cb59f2d38dd8da985f93bdec766d224eb8dcaa1a5d357fd",
            "28256 1640a220942ee37bbdfe02df8aeda6aedb5369d0c829c9b9f8b5243a08b91047",
        ),
    ];
    for (id, expected_json, expected_bincode) in table {
        let sector = Sector::of(Profile::Filecoin, id);
        if id == 10 {
            sector.with(|_| {}, |commit| with_job(|job| commit.generate(job))).unwrap();
        }
        let output = sector.prove(|_| {}).unwrap();
        let proof = SealProof::by_id(Profile::Filecoin, id).unwrap();
        assert_eq!(digest(|bytes| output.write_api_json(&proof, bytes).unwrap()), expected_json);
        assert_eq!(digest(|bytes| output.write_api_bincode(&proof, bytes).unwrap()), expected_bincode);
    }
}

/// spec/replication.md 12.10.
#[test]
fn commit_outputs_of_filecash_sectors_match_fork() {
    let table = [
        (0, "28248 40a1fc9aa583666f955470e72c92204183bc5c9df548cce826299e4b05962ddf"),
        (7, "28248 cae0b6dbc3bc1f7e6ebaa6896a6ce6ef8d6b57fdf9914c7675cc1d82a05b81b3"),
    ];
    for (id, expected) in table {
        let sector = Sector::of(Profile::Filecash, id);
        let output = sector.prove(|_| {}).unwrap();
        assert_eq!(bincode(&output), expected);
        let mut bytes = Vec::new();
        output.write_json(Profile::Filecash, &mut bytes).unwrap();
        assert_eq!(Commit1Output::from_json(&sector.config, &bytes).unwrap(), output);
    }
}

/// spec/replication.md 12.10, the artificial sectors: Filecash's 4 and 16 GiB on few nodes.
#[test]
fn commit_outputs_of_reduced_filecash_shapes_match_fork() {
    let table = [
        (64, 8, 0, 5, [4, 34], "48456 1f84857cda06c91b99f71783af85a8bd7c1273399322c58267f7f02cd8f38872"),
        (256, 5, 4, 6, [217, 118], "42384 069bb070cec9030ca2aa69da096574c76d5b4e404e126b7bc03f23bdb3359ac0"),
    ];
    for (nodes, layers, sub, id, expected_challenges, expected) in table {
        let tree = TreeShape { base: 8, sub, top: 0 };
        let shape = ProofShape { profile: Profile::Filecash, nodes, layers, tree };
        let geometry = Geometry::new(nodes, layers, tree).unwrap();
        let graph = Graph::over(nodes, PoRepId::from_number(id), true);
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..nodes / 4 * 127).map(|i| (i % 251) as u8).collect();
        let mut staged = vec![0; nodes as usize * 32];
        crate::field::fr32::pad_quads(&data, &mut staged);
        fs::write(folder.path().join("staged"), staged).unwrap();
        let sealed = Sealed::new(folder, Profile::Filecash, geometry, &graph);
        let challenges: Vec<u64> = (0..2).map(|j| interactive(&sealed.replica_id, &SEED, j, nodes)).collect();
        assert_eq!(challenges, expected_challenges);
        let challenges = vec![challenges];

        let cache = sealed.folder.path();
        let parents = |node| graph.parents(node);
        let opener = Opener {
            shape,
            tree_d: &TreeFile::open_tree_d(cache, geometry).unwrap(),
            tree_c: &TreeFile::open_tree_c(cache, geometry).unwrap(),
            tree_r_last: &TreeFile::open_tree_r_last(cache, &sealed.replica(), geometry).unwrap(),
            labels: &LayerFiles::open(cache, layers, nodes).unwrap(),
            parents: &parents,
        };
        let Commitments { comm_r, comm_d, .. } = sealed.commitments;
        let replica_id = sealed.replica_id;
        let statement =
            Statement { shape, replica_id: &replica_id, comm_d: &comm_d, comm_r: &comm_r, parents: &parents };
        let vanilla_proofs = with_job(|job| {
            let proofs = opener.open_all(job, &challenges).unwrap();
            statement.verify(job, &challenges, &proofs).unwrap();
            proofs
        });
        let output = Commit1Output { vanilla_proofs, comm_r, comm_d, replica_id, seed: SEED, ticket: TICKET };
        assert_eq!(bincode(&output), expected);
    }
}

/// spec/replication.md 12.7, 8 MiB: rows discarded above the leaves of TreeR-last.
#[test]
fn big_8mib_commit_output_matches_reference() {
    let output = Sector::of(Profile::Filecoin, 6).prove(|_| {}).unwrap();
    let expected = "210184 3525432c35feeedaaa42153b89b621e208883df6f3222cd5db1fb0d944e3c8b1";
    assert_eq!(json(&output, Profile::Filecoin), expected);
    let expected = "60120 e9683c30e2c8b9a8144ffdec3e0017413200a01ebcf6dff64be7af904307f42d";
    assert_eq!(bincode(&output), expected);
}

#[test]
fn arguments_that_are_not_the_sectors_are_refused() {
    let sector = Sector::of(Profile::Filecoin, 5);
    let error = |change: &dyn Fn(&mut Commit1<'_>)| sector.prove(change).unwrap_err();
    let zero = error(&|commit| commit.comm_d = &[0; 32]);
    assert!(matches!(zero, Commit1Error::ZeroCommitment("comm_d")), "{zero}");
    let pieces = error(&|commit| commit.pieces = &[]);
    assert!(matches!(pieces, Commit1Error::Pieces(PieceError::CommD { .. })), "{pieces}");
    let comm_r = error(&|commit| commit.comm_r = &[1; 32]);
    assert!(matches!(comm_r, Commit1Error::Root { what: "comm_r", .. }), "{comm_r}");
    // Labels are of another replica id then.
    for foreign in [error(&|commit| commit.sector_id = 1), error(&|commit| commit.ticket = &[7; 32])] {
        assert!(matches!(foreign, Commit1Error::Invalid(_)), "{foreign}");
    }
    // The same replica id, but the other order of parents.
    let config = PoRepConfig { api_version: ApiVersion::V1_0_0, ..sector.config };
    let graph = Sector { config, ..sector }.prove(|_| {}).unwrap_err();
    assert!(matches!(graph, Commit1Error::Invalid(_)), "{graph}");
}

#[test]
fn damaged_files_are_noticed() {
    let sector = Sector::of(Profile::Filecoin, 5);
    let cache = sector.sealed.folder.path();
    let whole: BTreeMap<String, Vec<u8>> = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    let damaged = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole[name].clone();
        change(&mut bytes);
        fs::write(cache.join(name), bytes).unwrap();
        let result = sector.prove(|_| {});
        fs::write(cache.join(name), &whole[name]).unwrap();
        result.unwrap_err()
    };
    let layer = "sc-02-data-layer-2.dat";
    // Challenges are 4 and 34.
    let label = damaged(layer, &|bytes| bytes[4 * 32] ^= 1);
    assert!(matches!(label, Commit1Error::Invalid(_)), "{label}");
    let cut = damaged(layer, &|bytes| bytes.truncate(2047));
    assert!(matches!(cut, Commit1Error::Layer(_)), "{cut}");
    let root = damaged("sc-02-data-tree-c.dat", &|bytes| *bytes.last_mut().unwrap() = 0);
    assert!(matches!(root, Commit1Error::Root { what: "comm_c", .. }), "{root}");
    let inner = damaged("sc-02-data-tree-d.dat", &|bytes| bytes[5 * 32] ^= 1);
    assert!(matches!(inner, Commit1Error::Invalid(_)), "{inner}");
    let replica = damaged("sealed", &|bytes| bytes[4 * 32] ^= 1);
    assert!(matches!(replica, Commit1Error::Open(OpenError::Read { .. })), "{replica}");
    let in_file = |error: Commit1Error| match error {
        Commit1Error::Aux(AuxError::File { source, .. }) => *source,
        error => panic!("{error}"),
    };
    let p_aux = in_file(damaged("p_aux", &|bytes| bytes.truncate(63)));
    assert!(matches!(p_aux, AuxError::PAuxLength(63)), "{p_aux}");
    let p_aux = damaged("p_aux", &|bytes| bytes[0] ^= 1);
    assert!(matches!(p_aux, Commit1Error::Root { what: "comm_r", .. }), "{p_aux}");
    let t_aux = in_file(damaged("t_aux", &|bytes| bytes[0] = 9));
    assert!(matches!(t_aux, AuxError::TAux(_)), "{t_aux}");

    let proofs = |sector: &Sector| -> Vec<Vec<Proof>> { sector.prove(|_| {}).unwrap().vanilla_proofs };
    let before = proofs(&sector);
    fs::remove_file(cache.join("t_aux")).unwrap();
    assert_eq!(proofs(&sector), before);
    fs::remove_file(cache.join(layer)).unwrap();
    assert!(matches!(sector.prove(|_| {}), Err(Commit1Error::Layer(_))));
}

#[test]
fn cancelled_proving_stops() {
    let sector = Sector::of(Profile::Filecoin, 5);
    let config = Config::default();
    let cancel = Cancel::default();
    cancel.cancel();
    let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
    let stopped = sector.with(|_| {}, |commit| commit.run(&job, &SEED));
    assert!(matches!(stopped, Err(Commit1Error::Cancelled(_))));
}

#[test]
fn a_seed_of_zeros_is_refused() {
    for id in [5, 10, 15] {
        let sector = Sector::of(Profile::Filecoin, id);
        let refused = sector.with(|_| {}, |commit| with_job(|job| commit.run(job, &[0; 32])));
        assert!(matches!(refused, Err(Commit1Error::ZeroSeed)), "{id}");
    }
}
