//! Whole witnesses: `spec/snark.md` 7.3 and 7.4.

use ff::{Field, PrimeField};

use super::model::{Sector, challenges, counting_data, sector_of_spec};
use crate::circuit::porep::{PoRepCircuit, PoRepPartition, PoRepShape, PoRepWitnessError};
use crate::circuit::values::{Class, Values};
use crate::circuit::witness_checks::{broken, changes_are_found, digest};
use crate::circuit::{Evaluations, ProofCircuit};
use crate::field::{Fr, Node};
use crate::graph::Graph;
use crate::hash::sha256::trim;
use crate::sector::Profile::{self, Filecash, Filecoin};
use crate::sector::params::for_size;
use crate::sector::{ApiVersion, PoRepConfig, PoRepId, TreeShape};

/// How many zeros, ones and others.
fn classes(values: &Values) -> [usize; 3] {
    let mut counts = [0; 3];
    for index in 0..values.len() {
        counts[match values.class(index) {
            Class::Zero => 0,
            Class::One => 1,
            Class::Wide => 2,
        }] += 1;
    }
    counts
}

/// CommR, then digests of aux, inputs, A·z, B·z, C·z.
fn check(profile: Profile, counts: [usize; 3], expected: [&str; 6]) {
    let (sector, challenges) = sector_of_spec(profile);
    assert_eq!(challenges, [11, 29]);
    let partition = sector.open(&challenges);
    let parents = |c: usize| partition.challenges[c].parents.iter().map(|parent| parent.node).collect::<Vec<_>>();
    assert_eq!(parents(0), [10, 10, 8, 10, 5, 5, 47, 30, 52, 50, 61, 32, 6, 52]);
    assert_eq!(parents(1), [28, 9, 7, 26, 24, 27, 57, 22, 28, 19, 56, 18, 16, 23]);

    let circuit = PoRepCircuit::new(sector.shape, partition).unwrap();
    let witness = circuit.witness().unwrap();
    assert_eq!(witness.inputs[0], Fr::ONE);
    assert_eq!(witness.inputs[1..], sector.public_inputs(&challenges));
    assert_eq!(classes(&witness.aux), counts);

    let shape = sector.shape.blank().record();
    let evaluations = shape.evaluate(&witness);
    assert_eq!(evaluations.first_unsatisfied(), None);
    let Evaluations { a, b, c } = &evaluations;
    let got = [
        hex::encode(sector.comm_r.to_repr()),
        digest(witness.aux.iter()),
        digest(witness.inputs.iter().copied()),
        digest(a.iter()),
        digest(b.iter()),
        digest(c.iter()),
    ];
    assert_eq!(got, expected);
}

/// spec/snark.md 7.3.
#[test]
fn filecoin_2kib_witness_matches_the_reference() {
    check(
        Filecoin,
        [1_378_116, 1_263_751, 43_806],
        [
            "b15c3372a7a8c998fa2776133a0c000854d924c7f4d238c5819ca0836b71a456",
            "bda99c3f3d963e1f1b6378050f6e2ac6a7ca90b78097875c234ad3102c9e1621",
            "ddc753ae6b06adaf2f3fd886819a434bb8833a7cd6da29cfb953ae17a0625521",
            "dfe5a92ece853c98cbfb0ef2be94253b09ee393fa8148c4b3d65b0c295888bc7",
            "bf729f12b89c83bcea0ee6bc99a3097d8a29492e77eafdcef5712298fabc8cf9",
            "e89f8eb70220f4a9abf099ec697214dfdbc947ab1c6c0a4fd6b54ab10d2196d1",
        ],
    );
}

/// spec/snark.md 7.4.
#[test]
fn filecash_2kib_witness_matches_the_fork() {
    check(
        Filecash,
        [3_061_212, 2_818_747, 43_806],
        [
            "7bda76e613528762ead019803a10df6379d32cfbe6164df7e8c82bdfa3160210",
            "a295fe15b7f7f23aae16f76b8b9ef7dde7d86c4b105759c858c3136fb7a0c5a5",
            "9a45d7b491f45d633aecd43b2a8be562767a8301d58a0a021d1f44aff44d733a",
            "0a02a992222b96f0ae5bd2de4181cda0d5fea99c7ffe5edd7adb0e0b0d829fc1",
            "c0133ab843e339904f5acf18154bd35245af20ff679a389633df4344f91cd538",
            "723b730d7dd37422965ba9af444d997af3c4a7b22c2d950f69ec04286fe7cd90",
        ],
    );
}

/// Labels of 2 layers in a tree of 8 nodes: the smallest PoRep.
fn smallest() -> PoRepShape {
    let tree = TreeShape { base: 8, sub: 0, top: 0 };
    PoRepShape { profile: Filecoin, layers: 2, log2_nodes: 3, tree, challenges: 1 }
}

#[test]
fn each_wrong_value_is_found_where_it_matters() {
    let params = for_size(Filecoin, 2048).unwrap();
    let config = PoRepConfig::interactive(params, Filecoin, PoRepId([0x55; 32]), ApiVersion::V1_1_0);
    let graph = Graph::over(8, config.porep_id, config.legacy_graph());
    let sector = Sector::seal(graph, smallest(), [0x11; 32], counting_data(8));
    let good = sector.open(&[5]);
    let circuit = |change: fn(&mut PoRepPartition)| {
        let mut partition = good.clone();
        change(&mut partition);
        PoRepCircuit::new(sector.shape, partition).unwrap()
    };
    assert_eq!(broken(&circuit(|_| ())), None);
    type Change = fn(&mut PoRepPartition);
    let cases: [(Change, &str); 8] = [
        (|p| p.comm_r += Fr::ONE, "commitments 0, "),
        (|p| p.comm_d += Fr::ONE, "challenge 0/data 0, "),
        (|p| p.challenges[0].data += Fr::ONE, "challenge 0/data 0, "),
        (|p| p.challenges[0].parents[9].labels[1] += Fr::ONE, "challenge 0/parent 9, "),
        (|p| p.challenges[0].parents[0].path[0].siblings[3] += Fr::ONE, "challenge 0/parent 0, "),
        (|p| p.challenges[0].replica_path[0].siblings[0] += Fr::ONE, "challenge 0/replica 0, "),
        (|p| p.challenges[0].column_path[0].siblings[6] += Fr::ONE, "challenge 0/column 0, "),
        // Another id gives other labels, which show where the replica is compared.
        (|p| p.replica_id += Fr::ONE, "challenge 0/replica 0, "),
    ];
    for (change, place) in cases {
        let found = broken(&circuit(change)).unwrap();
        assert!(found.starts_with(place), "{found} instead of {place}");
    }
}

/// One variable in 80,000, so that every part of the circuit has some.
#[test]
fn changed_values_here_and_there_in_a_witness_and_changed_inputs_are_found() {
    let graph = Graph::over(8, PoRepId([0x55; 32]), false);
    let sector = Sector::seal(graph, smallest(), [0x11; 32], counting_data(8));
    let witness = PoRepCircuit::new(sector.shape, sector.open(&[5])).unwrap().witness().unwrap();
    changes_are_found(&sector.shape.blank().record(), &witness, 80_009);
}

#[test]
fn values_of_another_shape_are_refused() {
    let graph = Graph::over(8, PoRepId([0x55; 32]), false);
    let sector = Sector::seal(graph, smallest(), [0x11; 32], counting_data(8));
    let refused = |change: fn(&mut PoRepPartition)| {
        let mut partition = sector.open(&[5]);
        change(&mut partition);
        PoRepCircuit::new(sector.shape, partition).unwrap_err()
    };
    use PoRepWitnessError as E;
    assert_eq!(refused(|p| p.challenges.clear()), E::Challenges { expected: 1, actual: 0 });
    let parents = refused(|p| p.challenges[0].parents.truncate(13));
    assert_eq!(parents, E::Parents { challenge: 0, expected: 14, actual: 13 });
    assert!(matches!(
        refused(|p| p.challenges[0].parents[2].labels.push(Fr::ONE)),
        E::Labels { challenge: 0, expected: 2, actual: 3, .. }
    ));
    assert!(matches!(
        refused(|p| p.challenges[0].data_path[1].siblings.clear()),
        E::PathShape { challenge: 0, node: 5, tree: "data" }
    ));
    assert_eq!(
        refused(|p| p.challenges[0].replica_path[0].index = 4),
        E::PathIndex { challenge: 0, node: 5, tree: "replica", index: 4 }
    );
}

/// The fork's sectors of reduced shapes: public inputs and a satisfied circuit, with columns of 8 and 5 labels and a
/// tree of two kinds of levels. `spec/filecash-profile.md` 11; inputs from the file of vectors that it names,
/// `reduced_shapes`.
#[test]
fn reduced_filecash_shapes_are_satisfied_with_the_forks_inputs() {
    #[rustfmt::skip]
    let sectors = [
        (5, 8, 6, 0, 58, [45, 11, 54, 56, 57, 57, 51, 52, 38, 18, 33, 8, 54, 40],
            "63a10de286f8043bd6748a19f19fb060620c0011dfbec361fa5947be33f83824",
            "554fe815974272375f8f00e94be61d8b3870191062aee8c3e7e9387f870b6355"),
        (6, 5, 8, 4, 64, [37, 63, 63, 63, 61, 63, 255, 144, 233, 102, 51, 41, 229, 161],
            "3bd6c241408fa2e068a483d34ddc6dd49d4cd29b3cb7dbb2c0260a82b7555f0b",
            "f9d6a665f62fb935ee1f75a8d5220bf3963356492b75276845dfc58e84357e44"),
    ];
    let replica_id: Node = std::array::from_fn(|i| if i == 31 { 0x3f } else { 0xa0 + i as u8 });
    let seed: Node = std::array::from_fn(|i| 0x20 + i as u8);
    for (number, layers, log2_nodes, sub, challenge, parents, comm_d, comm_r) in sectors {
        let nodes = 1_u64 << log2_nodes;
        let byte = |i: u64, j: usize| ((32 * i + j as u64) % 251) as u8;
        let data = (0..nodes).map(|i| trim(std::array::from_fn(|j| byte(i, j)))).collect();
        let graph = Graph::over(nodes, PoRepId::from_number(number), true);
        let tree = TreeShape { base: 8, sub, top: 0 };
        let shape = PoRepShape { profile: Filecash, layers, log2_nodes, tree, challenges: 1 };
        let sector = Sector::seal(graph, shape, replica_id, data);
        assert_eq!(challenges(&replica_id, &seed, 1, nodes), [challenge]);

        let witness = PoRepCircuit::new(shape, sector.open(&[challenge])).unwrap().witness().unwrap();
        let hex_inputs: Vec<_> = witness.inputs[1..4].iter().map(|input| hex::encode(input.to_repr())).collect();
        assert_eq!(hex_inputs, [&hex::encode(replica_id), comm_d, comm_r]);
        let mut indices = vec![challenge];
        indices.extend(parents);
        indices.extend([challenge; 3]);
        assert_eq!(witness.inputs[4..], indices.into_iter().map(Fr::from).collect::<Vec<_>>());
        assert_eq!(sector.public_inputs(&[challenge]), witness.inputs[1..]);
        assert_eq!(shape.blank().record().evaluate(&witness).first_unsatisfied(), None);
    }
}
