//! Whole updates of the sectors of `spec/replication.md` 12.7, and what is done to their proofs.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::api::SectorIdentity;
use crate::api::seal::{add_piece, pre_commit_phase1, pre_commit_phase2};
use crate::backend::cpu::Cpu;
use crate::config::Config;
use crate::job::{Cancel, Quiet};
use crate::merkle::path::ProofData;
use crate::sector::params::for_size;
use crate::sector::piece::UnpaddedLen;
use crate::sector::{ApiVersion, PoRepConfig, PoRepId};
use crate::store::atomic::remove_abandoned;
use crate::store::aux::TAux;
use crate::store::files::{T_AUX, TREE_R_LAST, base_tree_name};
use crate::update::challenges::challenges;

/// A sealed sector and new data for it in a folder: `old`, `old-cache`, `staged`, `new`, `new-cache`.
struct Sector {
    folder: tempfile::TempDir,
    settings: Config,
    config: UpdateConfig,
    comm_r_old: Node,
    pieces: Vec<PieceInfo>,
    data: Vec<u8>,
}

impl Sector {
    /// The sector of a `porep_id` number that holds bytes `i mod 251`, and new data `(i + 7) mod 251`.
    fn of_spec(size: u64, number: u64, api_version: ApiVersion) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let settings = Config { parent_cache: path("tables"), ..Config::default() };
        let params = for_size(Profile::Filecoin, size).unwrap();
        let sealing = PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(number), api_version);
        let identity = SectorIdentity { prover_id: [9; 32], sector_id: 12345, ticket: [1; 32] };
        let job = Job { config: &settings, progress: &Quiet, cancel: &Cancel::default() };
        let len = UnpaddedLen::new(params.unpadded_bytes()).unwrap();
        let bytes = |from: u64| (from..from + len.get()).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        let old = add_piece(&job, params, &bytes(0)[..], &path("old-staged"), len, &[]).unwrap();
        let [cache, staged, sealed] = ["old-cache", "old-staged", "old"].map(path);
        let phase1 = pre_commit_phase1(&job, &sealing, &cache, &staged, &sealed, &identity, &[old.piece]).unwrap();
        let phase2 = pre_commit_phase2(&job, &sealing, &phase1, &cache, &sealed).unwrap();
        let data = bytes(7);
        let new = add_piece(&job, params, &data[..], &path("staged"), len, &[]).unwrap();
        let config = UpdateConfig::for_size(Profile::Filecoin, size).unwrap();
        Self { folder, settings, config, comm_r_old: phase2.comm_r, pieces: vec![new.piece], data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn job<T>(&self, work: impl FnOnce(&Job<'_>) -> T) -> T {
        work(&Job { config: &self.settings, progress: &Quiet, cancel: &Cancel::default() })
    }

    /// Calls `work` with the old replica and the new one.
    fn with<T>(&self, work: impl FnOnce(&Job<'_>, Replica<'_>, Replica<'_>) -> T) -> T {
        let [old, old_cache, new, new_cache] = ["old", "old-cache", "new", "new-cache"].map(|name| self.path(name));
        let (old, new) = (Replica { path: &old, cache: &old_cache }, Replica { path: &new, cache: &new_cache });
        self.job(|job| work(job, old, new))
    }

    fn encode(&self) -> Encoded {
        let staged = self.path("staged");
        self.with(|job, old, new| encode_into(job, &self.config, new, old, &staged, &self.pieces)).unwrap()
    }

    fn open(&self, commitments: &UpdateCommitments) -> Vec<PartitionProof> {
        self.with(|job, old, new| generate_partition_proofs(job, &self.config, commitments, old, new)).unwrap()
    }

    fn verify(&self, commitments: &UpdateCommitments, proofs: &[PartitionProof]) -> Result<(), Error> {
        self.job(|job| verify_partition_proofs(job, &self.config, commitments, proofs))
    }

    fn sha(&self, name: &str) -> String {
        hex::encode(Sha256::digest(fs::read(self.path(name)).unwrap()))
    }
}

/// What an update came to.
struct Vector {
    size: u64,
    number: u64,
    api_version: ApiVersion,
    /// comm_d_new, comm_r_last_new, comm_r_new.
    commitments: [&'static str; 3],
    /// SHA-256 of the new replica, of TreeD, and of the first TreeR-last file.
    digests: Option<[&'static str; 3]>,
    /// First challenge and SHA-256 of the proof of each partition.
    partitions: &'static [Option<(u64, &'static str)>],
}

const VECTORS: [Vector; 6] = [
    Vector {
        size: 2 << 10,
        number: 5,
        api_version: ApiVersion::V1_1_0,
        commitments: [
            "d4616e8dcf8971b89c01f049c92c727ff74a6152362f85ddf96e8afe24ac4a17",
            "05051de1ee1dbc6e556f84585a0173ecd642036c71e0671264c51cf3badbc92d",
            "5c60cac7b117142d2202667a50e3bae16c898ad40197926b537c23e3b3318448",
        ],
        digests: Some([
            "fa5442ee51e4710f92d8edabdd614b7c314c23127f89e27b4a74d6b7dd9e5868",
            "328fffe38a6838da617a17a6190e20c400452721366db0ddc341badf292f406a",
            "89cde316cad8540938c9a6d700d5f9392568592c12e667f7ab028b387782061e",
        ]),
        partitions: &[Some((43, "0bb95ef84ed2c4e0d5e5171950d89b83d53d9aa9033671034dabf98ea8582a54"))],
    },
    Vector {
        size: 2 << 10,
        number: 0,
        api_version: ApiVersion::V1_0_0,
        commitments: [
            "d4616e8dcf8971b89c01f049c92c727ff74a6152362f85ddf96e8afe24ac4a17",
            "57aa81e7284cf468d9f7ccace9b55ad84834d052cb49c8ed39b2914bfffb1305",
            "0ec2600162ca923388954f4c7e1c3283fa486fcd4353f72f75cf8186adf09c31",
        ],
        // The section's digests and challenges are those of another run: its TreeR-last, one node, is not its own
        // comm_r_last_new. tests/interop compares these files with the reference's.
        digests: None,
        partitions: &[None],
    },
    Vector {
        size: 4 << 10,
        number: 5,
        api_version: ApiVersion::V1_1_0,
        commitments: [
            "26281edcdb58601ed98b095cad7f5e101c74fde9def1ccc007acd47d8d1b2828",
            "e87fc71b6b03130ffd39e90c08d50ba3dc715841560f9de3ce778c5a47500713",
            "48739acbfe4189d6e1a5c38aa969ea24a6067835da5057b4f101da48e85df112",
        ],
        digests: Some([
            "079c0daf26cc909b7d59ac87939b19636a0a7428d5e5d3475bfd10c844f4bf3c",
            "94a1191d11877b65d8357b38f8c5aef8852e127cee15c4f2761fe962e1ea3d45",
            "e0d5d7234619829f0fb622a563db489dd2ec74fbb3181b44bd77a6fc3bda00b2",
        ]),
        partitions: &[Some((74, "292fdeae0e46df3202726701dd5884b75873bbb5e72d46019918eb186946f176"))],
    },
    Vector {
        size: 16 << 10,
        number: 5,
        api_version: ApiVersion::V1_1_0,
        commitments: [
            "6769684f71fc49a76f2a7fc6d46ff074865d4a26a9d7574dfe95395e7a4aaf0f",
            "8b20980d4f979aaf01e2365b95a61152cf2edea8fc44b24d5b5641214c65df62",
            "14abef4eb3eed2d9d0e45189c2edf8bf8ed29680e5438136fe32aaa88ebe501f",
        ],
        digests: Some([
            "8f94b3121ef85ee0f05fc80d11a23ce0750d7de2c678ec24130b931968c9bac8",
            "b269ad17a1156699c60f0dfdeed887b6c1b289f80aaa7c15c38f15ddfb3c4248",
            "753df95818fae4bf039b34240da304b625fe1164d58449fdab34a82d90bffa32",
        ]),
        partitions: &[
            Some((190, "72a4ba5051870470dc5d8e30ace9586a2f4f906db33c366cf9ba128382341bf2")),
            Some((265, "ef0293afc743aab265a053562626e22f14323ea2db5769b9587c71b590b8536f")),
        ],
    },
    Vector {
        size: 32 << 10,
        number: 5,
        api_version: ApiVersion::V1_1_0,
        commitments: [
            "e604c29728343cd0090b07d147618534435be4baf01b0e85d4da2d372141cf3a",
            "8591623aecddaf29729946393eddc6897ef1b6edcb7d833c09e9978472a9e666",
            "351c59b2313cd5564b49ca83d9fa16515b8fed239a7c4c66a460d91dc78cca25",
        ],
        digests: Some([
            "d8d83595edeea8a1975bfd212be7ee812f3c17aa7302dc3b8f068f11648ab9d8",
            "7ad53e1176d33632b004a1a603296769348d23d842466025d942a90d0a95826f",
            "70339b0ba7ab2b035a794bf0e78936e2e93d7333be5b9977c1650884f8ce2501",
        ]),
        partitions: &[
            Some((184, "3989854b719715ed1df1ece883001afecd0911a33cc13f42f8020fb02021c0df")),
            Some((872, "75b57984d054a161ccad9fae38825da67f232f2bd73357d794bb222b4bb2ae4c")),
        ],
    },
    Vector {
        size: 8 << 20,
        number: 6,
        api_version: ApiVersion::V1_1_0,
        commitments: [
            "e2cb06d4473f6cc3d75f03d3e41a6cb488b6a61440adc6243a0c3e1c05d69b37",
            "b5970585bc1828eb2b405ef56332c3a01f743307f4b348967d57bc9c99a5a152",
            "d536aba59458a3246de158a4a48f24682cdaaf99610ea47b84fd89c27754b711",
        ],
        digests: Some([
            "fc8160d7f03cb88ed2f4b2e45e287eb1b94112556a105690ceea5191b25fb246",
            "86f3b3159078dbd7934c21db8e7f129a237630e689dea64c02f81b149722c129",
            "aa044e580b84365412e7f514e1820eeda841133dab4f8b0c9233e96f00a78da2",
        ]),
        partitions: &[
            Some((11763, "2ad956e204c8c23dc1265d8fb8399caeae8d1fbfa6b08d7326f426befff83b24")),
            Some((75116, "952844c6ac4a105d793dd673203f383167c4073a153b8b44afaec4204e473de4")),
            Some((164687, "e57da18836c16d3283648a7267343a3660ae6614d4b073d6c1af62418af452f7")),
            Some((200562, "747ee4d541bde5fc4f1c223c1aaf1116fb3fb149d56bf9257255d8e1cef17196")),
        ],
    },
];

/// spec/replication.md 12.7: files, commitments and partition proofs; then all of it undone.
#[test]
fn updates_match_reference_and_are_undone() {
    for vector in VECTORS {
        let sector = Sector::of_spec(vector.size, vector.number, vector.api_version);
        let Encoded { commitments, comm_r_last_new } = sector.encode();
        assert_eq!(commitments.comm_r_old, sector.comm_r_old);
        let made = [commitments.comm_d_new, comm_r_last_new, commitments.comm_r_new].map(hex::encode);
        assert_eq!(made, vector.commitments, "{}", vector.size);
        let trees = sector.config.params.shape.base_trees();
        let tree_r_last = format!("new-cache/{}", base_tree_name(TREE_R_LAST, 0, trees));
        let digests = ["new", "new-cache/sc-02-data-tree-d.dat", &tree_r_last].map(|name| sector.sha(name));
        assert!(vector.digests.is_none_or(|expected| digests == expected), "{digests:?}");
        assert_eq!(sector.sha("new-cache/t_aux"), sector.sha("old-cache/t_aux"));
        // TreeD, p_aux, t_aux, TreeR-last, and nothing else.
        assert_eq!(fs::read_dir(sector.path("new-cache")).unwrap().count(), 3 + trees);

        let proofs = sector.open(&commitments);
        assert_eq!(proofs.len(), vector.partitions.len());
        let shape = &sector.config.shape;
        for (partition, (proof, expected)) in proofs.iter().zip(vector.partitions).enumerate() {
            let bytes = proof.to_bytes().unwrap();
            if let Some((challenge, digest)) = expected {
                assert_eq!(challenges(shape, &commitments.comm_r_new, partition).unwrap()[0], *challenge);
                assert_eq!(hex::encode(Sha256::digest(&bytes)), *digest, "{} {partition}", vector.size);
            }
            assert_eq!(PartitionProof::from_bytes(shape, partition, &bytes).unwrap(), *proof);
        }
        sector.verify(&commitments, &proofs).unwrap();
        undone(&sector, &commitments);
    }
}

/// Decodes and removes what was encoded.
fn undone(sector: &Sector, commitments: &UpdateCommitments) {
    let UpdateCommitments { comm_r_old, comm_d_new, .. } = commitments;
    let out = sector.path("decoded");
    sector.with(|job, old, new| decode_from(job, &sector.config, &out, new.path, old, comm_d_new)).unwrap();
    assert_eq!(sector.sha("decoded"), sector.sha("staged"));
    let len = sector.data.len() as u64;
    for (offset, len) in [(0, len), (0, 1), (1, 126), (31, 500), (len - 1, 1), (len, 0), (len / 2, 300)] {
        let mut bytes = Vec::new();
        let range = RawRange { offset, len };
        let decode = |job: &Job<'_>, old: Replica<'_>, new: Replica<'_>| {
            decode_range(job, &sector.config, new.path, old.path, comm_d_new, comm_r_old, range, &mut bytes)
        };
        sector.with(decode).unwrap();
        assert_eq!(bytes, sector.data[offset as usize..(offset + len) as usize], "{offset} {len}");
    }
    let [key, key_cache, staged] = ["key", "key-cache", "staged"].map(|name| sector.path(name));
    let key = Replica { path: &key, cache: &key_cache };
    sector.with(|job, _, new| remove_encoded_data(job, &sector.config, key, new, &staged, commitments)).unwrap();
    assert_eq!(sector.sha("key"), sector.sha("old"));
    for entry in fs::read_dir(key.cache).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != T_AUX {
            assert_eq!(sector.sha(&format!("key-cache/{name}")), sector.sha(&format!("old-cache/{name}")), "{name}");
        }
    }
    // As the reference leaves it, with the path of the cache it was read from.
    let params = sector.config.params;
    let before = TAux::read(&sector.path("old-cache"), params).unwrap();
    let discard = before.tree_r_last.rows_to_discard as usize;
    let expected = TAux::new(&sector.path("new-cache").to_string_lossy(), params, discard);
    assert_eq!(TAux::read(key.cache, params).unwrap(), expected);
    assert_eq!(fs::read_dir(key.cache).unwrap().count(), 2 + sector.config.params.shape.base_trees());
    for folder in [sector.path(""), sector.path("new-cache"), sector.path("key-cache")] {
        assert_eq!(remove_abandoned(&folder, |_| true).unwrap(), 0);
    }
}

#[test]
fn small_budget_gives_the_same_replica() {
    let vector = &VECTORS[4];
    let mut sector = Sector::of_spec(vector.size, vector.number, vector.api_version);
    sector.settings.memory_bytes = 1;
    let encoded = sector.encode();
    assert_eq!(hex::encode(encoded.commitments.comm_r_new), vector.commitments[2]);
    assert_eq!(sector.sha("new"), vector.digests.unwrap()[0]);
}

/// An encoded sector of 2 KiB and its proofs.
static SMALL: LazyLock<(Sector, UpdateCommitments, Vec<PartitionProof>)> = LazyLock::new(|| {
    let sector = Sector::of_spec(2 << 10, 5, ApiVersion::V1_1_0);
    let commitments = sector.encode().commitments;
    let proofs = sector.open(&commitments);
    (sector, commitments, proofs)
});

/// An error and its causes.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[test]
fn each_change_of_a_proof_is_noticed() {
    let (sector, commitments, proofs) = &*SMALL;
    let path = |proof: &mut MerkleProof, change: fn(&mut Vec<PathElement>)| match &mut proof.data {
        ProofData::Single { path, .. } => change(&mut path.path),
        _ => panic!("sectors of 2 KiB have one base tree"),
    };
    let root = |proof: &mut MerkleProof| match &mut proof.data {
        ProofData::Single { root, .. } => root[0] ^= 1,
        _ => panic!("sectors of 2 KiB have one base tree"),
    };
    let noticed = |expected: &str, change: &dyn Fn(&mut PartitionProof)| {
        let mut proofs = proofs.clone();
        change(&mut proofs[0]);
        let error = sector.verify(commitments, &proofs).unwrap_err();
        assert!(error.is_rejection());
        let text = said(&error);
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    };
    noticed("comm_r_old is", &|proof| proof.comm_c[0] ^= 1);
    noticed("7 apex leaves, expected 8", &|proof| proof.apex_leafs.truncate(7));
    noticed("does not go through the apex leaves", &|proof| proof.apex_leafs[3][7] ^= 1);
    noticed("9 challenge proofs, expected 10", &|proof| drop(proof.challenge_proofs.pop()));
    noticed("challenge 0 of partition 0: opening of the old TreeR-last", &|proof| proof.challenge_proofs.swap(0, 1));
    noticed("comm_r_old is", &|proof| root(&mut proof.challenge_proofs[0].proof_r_old));
    noticed("comm_r_new is", &|proof| root(&mut proof.challenge_proofs[0].proof_r_new));
    noticed("challenge 4 of partition 0: opening of TreeD", &|proof| root(&mut proof.challenge_proofs[4].proof_d_new));
    noticed("opening of the new TreeR-last at node 2: the proof leads to", &|proof| {
        path(&mut proof.challenge_proofs[5].proof_r_new, |path| path[1].hashes[6][0] ^= 1);
    });
    noticed("a part of the proof has 1 levels, expected 2", &|proof| {
        path(&mut proof.challenge_proofs[9].proof_r_old, |path| drop(path.pop()));
    });
    noticed("is not a canonical field element", &|proof| proof.apex_leafs[0] = [0xff; 32]);
    // Old and new in each other's place.
    noticed("comm_r_old is", &|proof| {
        for proof in &mut proof.challenge_proofs {
            std::mem::swap(&mut proof.proof_r_old, &mut proof.proof_r_new);
        }
    });
    let changed = |change: fn(&mut UpdateCommitments), expected: &str| {
        let mut commitments = *commitments;
        change(&mut commitments);
        let text = said(&sector.verify(&commitments, proofs).unwrap_err());
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    };
    changed(|comms| comms.comm_r_old[0] ^= 1, "comm_r_old is");
    changed(|comms| comms.comm_r_new[0] ^= 1, "comm_r_new is");
    changed(|comms| comms.comm_d_new[0] ^= 1, "comm_d_new is");
    changed(|comms| std::mem::swap(&mut comms.comm_r_old, &mut comms.comm_r_new), "comm_r_old is");
    changed(|comms| comms.comm_r_new = [0; 32], "comm_r_new is all zero");
    changed(|comms| comms.comm_d_new = [0xff; 32], "comm_d_new is no field element");
    let error = sector.verify(commitments, &[proofs.clone(), proofs.clone()].concat()).unwrap_err();
    assert_eq!(said(&error), "2 partition proofs, expected 1");
}

/// A replica that is not the encoding, under commitments and trees of its own.
#[test]
fn another_encoding_is_noticed() {
    let (sector, commitments, _) = &*SMALL;
    let other = Sector::of_spec(2 << 10, 5, ApiVersion::V1_1_0);
    let encoded = other.encode();
    assert_eq!(encoded.commitments, *commitments);
    // The new replica with one bit more in every node, and the trees over that.
    let mut bytes = fs::read(other.path("new")).unwrap();
    bytes.iter_mut().step_by(32).for_each(|byte| *byte ^= 1);
    fs::write(other.path("new"), &bytes).unwrap();
    let geometry = crate::sector::geometry::Geometry::of(other.config.params);
    let roots = other
        .with(|job, _, new| crate::merkle::build::build_tree_r_last(&Cpu, job, new.path, new.cache, geometry))
        .unwrap();
    let mut aux = crate::store::aux::PAux::read(&other.path("new-cache")).unwrap();
    aux.comm_r_last = roots[0];
    aux.write(&other.path("new-cache")).unwrap();
    let comm_r_new = crate::hash::poseidon::hash2(&aux.comm_c, &aux.comm_r_last).unwrap();
    let commitments = UpdateCommitments { comm_r_new, ..*commitments };
    let opened = other.with(|job, old, new| generate_partition_proofs(job, &sector.config, &commitments, old, new));
    let text = said(&opened.unwrap_err());
    assert!(text.contains("of the new replica is not its data encoded into the old one"), "{text}");
}

#[test]
fn files_of_all_partitions_come_back() {
    let (sector, _, proofs) = &*SMALL;
    let shape = &sector.config.shape;
    let mut bytes = Vec::new();
    PartitionProof::write_all(proofs, &mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, shape.proofs_bytes());
    assert_eq!(bytes[8..], proofs[0].to_bytes().unwrap());
    assert_eq!(PartitionProof::read_all(shape, &bytes).unwrap(), *proofs);
    let refused = |bytes: &[u8]| PartitionProof::read_all(shape, bytes).unwrap_err().to_string();
    assert_eq!(refused(&bytes[1..]), "15071 bytes, expected 15072");
    let mut two = bytes.clone();
    two[0] = 2;
    assert_eq!(refused(&two), "malformed bincode");
    bytes[8..40].fill(0xff);
    assert_eq!(refused(&bytes), "partition 0");
}

proptest! {
    #[test]
    fn flipped_and_cut_bytes_never_panic(at in 0_usize..15064, bit in 0_u8..8, cut in 0_usize..15064) {
        let (sector, commitments, proofs) = &*SMALL;
        let mut bytes = proofs[0].to_bytes().unwrap();
        prop_assert!(PartitionProof::from_bytes(&sector.config.shape, 0, &bytes[..cut]).is_err());
        bytes[at] ^= 1 << bit;
        if let Ok(proof) = PartitionProof::from_bytes(&sector.config.shape, 0, &bytes) {
            prop_assert_eq!(proof.to_bytes().unwrap(), bytes);
            prop_assert!(sector.verify(commitments, &[proof]).is_err());
        }
    }
}
