//! Vectors of labels: `spec/replication.md` 12.7, 12.9 and 12.10, `spec/filecash-profile.md` 1 and 11.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::*;
use crate::graph::Graph;
use crate::hash::label::widen;
use crate::sector::params::LABEL_PARENTS;
use crate::sector::{PoRepId, SealProof};

/// What the Filecash fork computed; the file says how.
#[derive(Deserialize)]
pub(crate) struct FilecashVectors {
    widen: Vec<Widening>,
    labels: Vec<Label>,
    layer1_prefix: Vec<Prefix>,
    pub(crate) sectors: Vec<Sector>,
    pub(crate) reduced_shapes: Vec<Reduced>,
}

#[derive(Deserialize)]
struct Widening {
    input: String,
    output: String,
}

#[derive(Deserialize)]
struct Label {
    name: String,
    replica_id: String,
    layer: u32,
    node: u64,
    parents: Vec<String>,
    label: String,
}

#[derive(Deserialize)]
struct Prefix {
    porep_id: String,
    replica_id: String,
    nodes: u64,
    labels: std::collections::BTreeMap<usize, String>,
    sha256_of_concatenated_labels: String,
}

/// A sector that the fork sealed.
#[derive(Deserialize)]
pub(crate) struct Sector {
    pub(crate) registered_seal_proof_number: u32,
    pub(crate) sector_size: u64,
    pub(crate) replica_id: String,
    pub(crate) replica: Option<String>,
    pub(crate) replica_sha256: String,
    pub(crate) layers: Vec<Layer>,
    pub(crate) parents: Vec<SectorParents>,
}

#[derive(Deserialize)]
pub(crate) struct SectorParents {
    pub(crate) node: u32,
    pub(crate) parents: [u32; DEGREE],
}

/// A layer of such a sector; only small ones list every label.
#[derive(Deserialize)]
pub(crate) struct Layer {
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) first_label: Option<String>,
    pub(crate) last_label: Option<String>,
    pub(crate) sha256_of_file: String,
}

/// A sector of fewer nodes than its layers go with on the network.
#[derive(Deserialize)]
pub(crate) struct Reduced {
    pub(crate) nodes: u64,
    pub(crate) layers: u32,
    pub(crate) porep_id: String,
    pub(crate) replica_id: String,
    pub(crate) layers_info: Vec<Layer>,
}

pub(crate) fn filecash_vectors() -> FilecashVectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/filecash-labels.json")).unwrap()
}

pub(crate) fn node(hex: &str) -> Node {
    let mut node = [0; 32];
    hex::decode_to_slice(hex, &mut node).unwrap();
    node
}

pub(crate) fn digest(labels: &[Node]) -> String {
    hex::encode(Sha256::digest(labels.as_flattened()))
}

/// All layers, by the plain labeller.
pub(crate) fn label_all(profile: Profile, replica_id: &ReplicaId, graph: &Graph, layers: u32) -> Vec<Vec<Node>> {
    let mut done: Vec<Vec<Node>> = Vec::new();
    for layer in 1..=layers {
        let mut labels = vec![[0; 32]; graph.nodes() as usize];
        let previous = done.last().map(Vec::as_slice);
        label_layer(profile, replica_id, layer, |node| graph.parents(node), previous, &mut labels);
        done.push(labels);
    }
    done
}

/// Registered number or size in bytes, replica id, digests of the two layers: `spec/replication.md` 12.7.
pub(crate) const FILECOIN: [(u64, u64, &str, [&str; 2]); 7] = [
    (
        5,
        2 << 10,
        "35cd503a13f12d29748aa02793a91c91998719c63ca4696b5c5270b52e97fd2a",
        [
            "da0516bda6f87a13ee92defee81351e948cb6518254189c5fb39162084e86acc",
            "6c41e24571e92af637fef82f404c0ffd11a2166a206a681c1f333dddeae24a2e",
        ],
    ),
    (
        0,
        2 << 10,
        "1e08828febc41ac09939aa599416ec1a942d2e37c9b3e3ae902a636dbad96001",
        [
            "39b929a3fa7518aa3fe18bf5f34dbc98cfc5681b0254e60453c72a05698b60d5",
            "dd140e3b1cd382de263bc40a67b3bde0224f5748731469b0dd0c1953d65b456a",
        ],
    ),
    (
        10,
        2 << 10,
        "9ea73971d79020aed866076ac924efd42eebe428f662d00f7e47bdb85418e535",
        [
            "57da921a429970ede1216c688568cca7bb9055091d7ef7fc1b835d648b5428da",
            "6ff0f94a5cfc3ff7eae393495cec40a54bdf8eb7292f527a6ed7e6279adaabdd",
        ],
    ),
    (
        15,
        2 << 10,
        "1bf1719a18a1c6ad75d33d8c59f175367cb44195f3eca3c58e3f9f29eedc0914",
        [
            "33bf0e790aae51b95607a69814c03c02d4d97773c6afe76156f5979e6fbca3ca",
            "acc038bb2a212d87d0ee7dbf354ff7a90b4376a0a86f7fb20b6665c6ef895f37",
        ],
    ),
    (
        5,
        4 << 10,
        "612479eb3fbe2f05f669dd353f512e2f8fb170c073c325ef25f28f6a237c1705",
        [
            "b08fc6c27950e085484e9bb1cde8faeb628c0892ebf6e3c37ceebc2a0feeaab9",
            "d44c2c5aa5db25f3ff37b1fd484cda073b761fe82daf78add1744ffc62dd0ea9",
        ],
    ),
    (
        5,
        16 << 10,
        "a89d1822ddb2720b326b668b75ad189a6167ef3139b242dc6166275d1e448631",
        [
            "753ff7e4807f01402c0c5f00427a6d8e43b6dde6405564992399ea598da86acf",
            "bf8a18980b19b15ec31650981201f8620cd7e6417601f0d2ffd52fedf1b61437",
        ],
    ),
    (
        5,
        32 << 10,
        "31577d5de5a677d68dc02371ca0b8488d1f380c3a210dcd6e564fd0955f55f19",
        [
            "d916c01711a630f9ae779d1842c08cf6d6f769e6504d1858ddbda5e7079414fd",
            "2cc5f8a54eb688b661e4da1486eddf4a769ed0a08232333631dacf46bfc24954",
        ],
    ),
];

#[test]
fn filecoin_layers_match_reference() {
    for (number, size, replica_id, digests) in FILECOIN {
        let graph = Graph::over(size / 32, PoRepId::from_number(number), number < 5);
        let layers = label_all(Profile::Filecoin, &node(replica_id), &graph, 2);
        assert_eq!(layers.iter().map(|labels| digest(labels)).collect::<Vec<_>>(), digests, "{size} id {number}");
    }
}

/// spec/replication.md 12.7, 2 KiB id 5.
#[test]
fn label_2kib_layer1_node1_matches_reference() {
    let replica_id = node(FILECOIN[0].2);
    let first = label(Profile::Filecoin, &replica_id, 1, 0, &[]);
    assert_eq!(hex::encode(first), "648023b1bcfffc424e3703be90cffdac3494b4b90ce118d5fdf3ccbbd84b461f");
    let second = label(Profile::Filecoin, &replica_id, 1, 1, &[first; LABEL_PARENTS]);
    assert_eq!(hex::encode(second), "75d92c915df78efe2326d0afc840f4b6c2f60a80e251a8231dbf1a7ba09ee632");
}

/// spec/replication.md 12.9: replica id of nines, eleven layers, last label of the last layer.
#[test]
fn eleven_layers_match_reference() {
    for (porep_id, legacy, nodes, expected) in [
        ([0; 32], true, 64, "04ba0f9a6ba9fad35e4806d183a281eab3c25afa9a1bd5e3378da6f1f4f46204"),
        ([0; 32], true, 128, "86daa8c4521e197e48c1fae6c9a1e85ab894a8883b9f23cebe531ddcd1004c23"),
        ([0x7b; 32], false, 64, "cfef0db78bf3b3ab9f1169774d2e7a77bc9054499d954834b51ca7c788110206"),
        ([0x7b; 32], false, 128, "6d67c468cf81ab2289c1c9c72fa8777a232de4c1323dc0c6bd552ccc187c770f"),
    ] {
        let graph = Graph::over(nodes, PoRepId(porep_id), legacy);
        let layers = label_all(Profile::Filecoin, &[9; 32], &graph, 11);
        assert_eq!(hex::encode(layers[10][nodes as usize - 1]), expected);
    }
}

#[test]
fn widening_matches_fork() {
    for vector in filecash_vectors().widen {
        assert_eq!(hex::encode(widen(&node(&vector.input))), vector.output);
    }
}

#[test]
fn filecash_labels_match_fork() {
    let vectors = filecash_vectors().labels;
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let parents: Vec<Node> = vector.parents.iter().map(|parent| node(parent)).collect();
        let sequence = if parents.is_empty() { vec![] } else { repeat(&parents).to_vec() };
        let label = label(Profile::Filecash, &node(&vector.replica_id), vector.layer, vector.node, &sequence);
        assert_eq!(hex::encode(label), vector.label, "{}", vector.name);
    }
}

/// The first 4096 labels of layer 1 of 4 and 16 GiB sectors.
#[test]
fn filecash_layer1_prefix_matches_fork() {
    for vector in filecash_vectors().layer1_prefix {
        let porep_id = PoRepId(node(&vector.porep_id));
        let legacy = SealProof::by_id(Profile::Filecash, porep_id.number() as u32).unwrap().config().legacy_graph();
        let graph = Graph::over(vector.nodes, porep_id, legacy);
        let layers = label_all(Profile::Filecash, &node(&vector.replica_id), &graph, 1);
        for (index, label) in vector.labels {
            assert_eq!(hex::encode(layers[0][index]), label, "{porep_id:?} node {index}");
        }
        assert_eq!(digest(&layers[0]), vector.sha256_of_concatenated_labels);
    }
}

#[test]
fn filecash_sectors_match_fork() {
    for sector in filecash_vectors().sectors.into_iter().filter(|sector| sector.sector_size == 2 << 10) {
        let config = SealProof::by_id(Profile::Filecash, sector.registered_seal_proof_number).unwrap().config();
        let graph = Graph::new(&config);
        let layers = label_all(Profile::Filecash, &node(&sector.replica_id), &graph, 2);
        for (labels, expected) in layers.iter().zip(&sector.layers) {
            assert_eq!(&labels.iter().map(hex::encode).collect::<Vec<_>>(), expected.labels.as_ref().unwrap());
            assert_eq!(digest(labels), expected.sha256_of_file);
        }
        assert_eq!(sector.parents.len(), 64);
        for SectorParents { node, parents } in sector.parents {
            assert_eq!(graph.parents(node), parents);
        }
    }
}

/// Eight layers over 64 nodes, five over 256.
#[test]
fn filecash_reduced_shapes_match_fork() {
    for shape in filecash_vectors().reduced_shapes {
        let graph = Graph::over(shape.nodes, PoRepId(node(&shape.porep_id)), true);
        let layers = label_all(Profile::Filecash, &node(&shape.replica_id), &graph, shape.layers);
        for (labels, expected) in layers.iter().zip(&shape.layers_info) {
            assert_eq!(Some(hex::encode(labels[0])), expected.first_label);
            assert_eq!(Some(hex::encode(labels[labels.len() - 1])), expected.last_label);
            assert_eq!(digest(labels), expected.sha256_of_file);
        }
    }
}

/// spec/replication.md 12.10: porep id number, legacy order, nodes, replica id, digests of the layers.
#[rustfmt::skip]
const FILECASH: &[(u64, bool, u64, &str, &[&str])] = &[
    (5, false, 64, "35cd503a13f12d29748aa02793a91c91998719c63ca4696b5c5270b52e97fd2a", &[
        "3c423a70ce9961c871ee35cc3081d183b3f4e65df921c97b840fcedf49ebec8b",
        "44f2e82b96720b572fdd8f50567e3b17fea41e0f9088bf93178bdae61ee64b19",
        "4e591f0cc016828e0662caf750bf3aa2ed81022c0493f4d4793343a503fd18e6",
        "0cad3eee3acb073573024b03c5ae57884bc8f7ac335f3c75fd49ebf30d826630",
        "4f998505651943149ddb581dd9f4476c624027b9ded3e1e81927dd44642668cd",
    ]),
    (0, true, 64, "1e08828febc41ac09939aa599416ec1a942d2e37c9b3e3ae902a636dbad96001", &[
        "0877d0f58747f77eadc16b4cfd2998c8c52b6d49bc687120eb9cf6e40f610b2c",
        "e63aae9b6d750ec9f84e80a28d8b0806a2178810b5184cbd6a758a9871590304",
    ]),
    (7, false, 64, "8b05d5406e887a9a811a5e821c6becfe64ae67cd156647366605d0a6d6a3a209", &[
        "3b7997f34b40006d8a9ba11f1390a207f23c2574520a51752be920cf5b2464f7",
        "ff40a5caa7004c3cd660abfe7395c77b62149f58118c16f83173ebddc889be91",
    ]),
    (5, true, 64, "35cd503a13f12d29748aa02793a91c91998719c63ca4696b5c5270b52e97fd2a", &[
        "a13c672cb0fb8a7d1570be3388bb53c36b538de40cad4baaac565e942c578341",
        "0fe2713e67e0283492071cdee57674253d17c1421e28840c8463f1ee875c416c",
        "27480cfe972c0e35c9db82db89e8427da88357f0abc717126f98e330259585f9",
        "c6cb5e4cd0f9db1b9f7c6c12b844e844aad42ff4de47b6711e86346e03c35f24",
        "0daf55cc7c75666e46add0ef03daebbde9958c5b37d68bd55220387e6722d1ac",
        "d5b4bbd45f598ed6886fbbd4057aadbc8c2278d6c5f94c69d4e83ba3b3f81095",
        "ca50ca2f64645992d305764ea57a0f2bd9327e0551fbd3f9cf2f2a2b282f884b",
        "473c7469c5c1fc6b1ccd268e7a7ade17d3bd5852dcf98e34175f572e749b4ab7",
    ]),
    (6, true, 256, "6c8f0548dd9b41ec2c11847d22497cd1c64ac8d1b6e872b53db4b8964ab36c28", &[
        "72858130bbd45227b6bab00f93e4ca1932090b998c0c2ce1b2a75a8aa66fdd9d",
        "9fdabcb2be54977a5f15ef8c44e7d46f79e692ec8d4ebf0a147f955da9bdf7e1",
        "b29194a003472bac855d603e55c1ddae2538089de99f2fdb0eb2fb5080612080",
        "3690e42a707103906e77c0b75e8b199160e24f9284cbf4266cc3a06b50e43a02",
        "4644a997ed3b09c4fdaef71a187f11ac2e01b3c5fb4f18029306dcfcc1dfc8d1",
    ]),
];

#[test]
fn filecash_layers_match_reference() {
    for &(number, legacy, nodes, replica_id, digests) in FILECASH {
        let graph = Graph::over(nodes, PoRepId::from_number(number), legacy);
        let layers = label_all(Profile::Filecash, &node(replica_id), &graph, digests.len() as u32);
        assert_eq!(layers.iter().map(|labels| digest(labels)).collect::<Vec<_>>(), digests, "id {number}");
    }
}

/// spec/filecash-profile.md 1.4.
#[test]
fn filecash_worked_example_matches_fork() {
    let replica_id = std::array::from_fn(|i| i as u8);
    let first = label(Profile::Filecash, &replica_id, 1, 0, &[]);
    assert_eq!(hex::encode(first), "6edd1f352eda0487a8ed056c2214a70277b24f43aa3839c2408a0ed4573aa70c");
    assert!(hex::encode(widen(&first)).ends_with("a8c558f3bf75f12b55c7c63d884db0bcddeb58fd5712fa93d125fb789122e0ca"));
    let second = label(Profile::Filecash, &replica_id, 1, 1, &[first; LABEL_PARENTS]);
    assert_eq!(hex::encode(second), "9cf5dfafb7683c039dabb96d9490090070cf7930bec02a532e85b4a480b4953f");
}
