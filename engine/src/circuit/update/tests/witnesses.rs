//! Whole witnesses: `spec/snark.md` 7.5.

use ff::Field;

use super::model::{Updated, counting};
use crate::circuit::update::{UpdateCircuit, UpdatePartition, UpdateWitnessError, public_inputs};
use crate::circuit::witness_checks::{broken, changes_are_found, digest};
use crate::circuit::{Evaluations, ProofCircuit};
use crate::field::Fr;
use crate::sector::TreeShape;
use crate::update::{UpdateCommitments, UpdateShape};

fn shape(log2_nodes: usize, [base, sub, top]: [usize; 3]) -> UpdateShape {
    UpdateShape::new(log2_nodes, TreeShape { base, sub, top })
}

/// Old leaves 1000 + i, data 2000 + i, comm_c 77.
fn updated(shape: UpdateShape) -> Updated {
    let nodes = shape.nodes();
    Updated::encode(shape, Fr::from(77), counting(1000, nodes), counting(2000, nodes))
}

/// spec/snark.md 7.5.
#[test]
fn witness_of_2kib_matches_the_reference() {
    let updated = updated(shape(6, [8, 0, 0]));
    let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = updated.commitments;
    let comms = [comm_r_old, comm_d_new, comm_r_new].map(hex::encode);
    assert_eq!(
        comms,
        [
            "ad2b983b839f174d49414530354921201ce49a705c603c2f8620539163432510",
            "9a1c068ffc30b93a8f8ebdb02f89bd85cf3347830801e5b4a473b0b8eb12cd0c",
            "c3ab76a61763cdccfb06ad9ef6a36a43e7536ffc9ee344106cc7be40872b9c35",
        ]
    );
    assert_eq!(updated.challenges(0), [34, 26, 15, 10, 47, 46, 35, 23, 38, 30]);

    let witness = UpdateCircuit::new(updated.shape, updated.open(0)).unwrap().witness().unwrap();
    assert_eq!(witness.inputs[0], Fr::ONE);
    assert_eq!(witness.inputs[1], Fr::ONE);
    assert_eq!(witness.inputs[1..], public_inputs(&updated.shape, 0, &updated.commitments).unwrap());
    let evaluations = UpdateCircuit::blank(updated.shape).record().evaluate(&witness);
    assert_eq!(evaluations.first_unsatisfied(), None);
    let Evaluations { a, b, c } = &evaluations;
    let got = [
        digest(witness.aux.iter()),
        digest(witness.inputs.iter().copied()),
        digest(a.iter()),
        digest(b.iter()),
        digest(c.iter()),
    ];
    assert_eq!(
        got,
        [
            "f88803cc004c4c6c75fab20282dfd34bfca84c0afb1f853b5c52be340ec2bab1",
            "05a564feb844ae175ea403ccc428691cf6b14a4e6f402e9a79cd811e06889933",
            "7a4e043d9310a80e3bb239dfe5b4fede766cd856028d8c0d741fb551c7acf941",
            "b01e9942d5b50c28f2e92ae640a853edd5c7d93ef60b3ef072615cd91f2794f5",
            "f8d103d91a2b45c644b49328813c5dd8c409a4a7a63df561ce363bbdcc9827b1",
        ]
    );
}

/// Partitions beyond the first, levels of every kind, and several values of h with one selected.
#[test]
fn every_partition_of_every_kind_of_tree_is_satisfied() {
    let mut many = shape(9, [8, 8, 0]);
    many.apex_leaves = 4;
    many.challenges = 2;
    let mut selected = shape(7, [8, 2, 0]);
    selected.h_list = [3, 5, 7, 2, 6, 2];
    selected.challenges = 3;
    let mut topped = shape(10, [8, 8, 2]);
    topped.partitions = 4;
    topped.apex_leaves = 2;
    topped.challenges = 1;
    for shape in [many, selected, topped] {
        let updated = updated(shape);
        let recorded = UpdateCircuit::blank(shape).record();
        for partition in 0..shape.partitions {
            let witness = UpdateCircuit::new(shape, updated.open(partition)).unwrap().witness().unwrap();
            assert_eq!(witness.inputs[1..], public_inputs(&shape, partition, &updated.commitments).unwrap());
            assert_eq!(recorded.evaluate(&witness).first_unsatisfied(), None, "{shape:?}, partition {partition}");
        }
    }
    assert_eq!((selected.h(), selected.h_select()), (2, 8));
}

/// Two partitions of a sector of 64 nodes with two challenges each.
fn smallest() -> UpdateShape {
    let mut shape = shape(6, [8, 0, 0]);
    (shape.partitions, shape.apex_leaves, shape.challenges) = (2, 2, 2);
    shape
}

#[test]
fn each_wrong_value_is_found_where_it_matters() {
    let updated = updated(smallest());
    let good = updated.open(1);
    let circuit = |change: fn(&mut UpdatePartition)| {
        let mut partition = good.clone();
        change(&mut partition);
        UpdateCircuit::new(updated.shape, partition).unwrap()
    };
    assert_eq!(broken(&circuit(|_| ())), None);
    type Change = fn(&mut UpdatePartition);
    let cases: [(Change, &str); 11] = [
        (|p| p.comm_r_old += Fr::ONE, "commitments 0, "),
        (|p| p.comm_r_new += Fr::ONE, "commitments 0, "),
        (|p| p.comm_c += Fr::ONE, "commitments 0, "),
        (|p| p.comm_d_new += Fr::ONE, "apex 0, "),
        (|p| p.apex_leaves[1] += Fr::ONE, "apex 0/"),
        (|p| p.partition_path[0] += Fr::ONE, "apex 0, "),
        // The other partition's place, under this one's apex.
        (|p| p.partition = 0, "apex 0, "),
        (|p| p.challenges[0].leaf_old += Fr::ONE, "challenge 0/old replica 0, "),
        (|p| p.challenges[1].data += Fr::ONE, "challenge 1/new replica 0, "),
        (|p| p.challenges[1].new_path[1][6] += Fr::ONE, "challenge 1/new replica 0, "),
        (|p| p.challenges[0].data_path[3] += Fr::ONE, "challenge 0/data 0, "),
    ];
    for (change, place) in cases {
        let found = broken(&circuit(change)).unwrap();
        assert!(found.starts_with(place.trim_end_matches('/')), "{found} instead of {place}");
    }
}

/// One variable in 40,000, so that every part of the circuit has some.
#[test]
fn changed_values_here_and_there_in_a_witness_and_changed_inputs_are_found() {
    let updated = updated(smallest());
    let witness = UpdateCircuit::new(updated.shape, updated.open(0)).unwrap().witness().unwrap();
    changes_are_found(&UpdateCircuit::blank(updated.shape).record(), &witness, 40_009);
}

#[test]
fn values_of_another_shape_are_refused() {
    let updated = updated(smallest());
    let refused = |change: fn(&mut UpdatePartition)| {
        let mut partition = updated.open(0);
        change(&mut partition);
        UpdateCircuit::new(updated.shape, partition).unwrap_err()
    };
    use UpdateWitnessError as E;
    assert_eq!(refused(|p| p.partition = 2), E::NoSuchPartition { partition: 2, partitions: 2 });
    assert_eq!(refused(|p| drop(p.challenges.pop())), E::Count { what: "challenges", expected: 2, actual: 1 });
    assert_eq!(refused(|p| p.apex_leaves.clear()), E::Count { what: "apex leaves", expected: 2, actual: 0 });
    assert_eq!(
        refused(|p| p.partition_path.push(Fr::ONE)),
        E::Count { what: "levels above the apex", expected: 1, actual: 2 }
    );
    assert_eq!(
        refused(|p| drop(p.challenges[1].old_path.pop())),
        E::PathShape { challenge: 1, tree: "the old TreeR-last" }
    );
    assert_eq!(
        refused(|p| p.challenges[0].new_path[0].clear()),
        E::PathShape { challenge: 0, tree: "the new TreeR-last" }
    );
    assert_eq!(refused(|p| p.challenges[1].data_path.clear()), E::PathShape { challenge: 1, tree: "TreeD" });
}
