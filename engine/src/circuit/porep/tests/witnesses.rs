//! Whole witnesses: `spec/snark.md` 7.3 and 7.4.

use ff::{Field, PrimeField};
use sha2::{Digest, Sha256};

use super::model::sector_of_spec;
use crate::circuit::values::{Class, Values};
use crate::circuit::{Evaluations, PoRepCircuit};
use crate::field::Fr;
use crate::sector::Profile::{self, Filecash, Filecoin};

fn digest(values: impl IntoIterator<Item = Fr>) -> String {
    let mut hasher = Sha256::new();
    values.into_iter().for_each(|value| hasher.update(value.to_repr()));
    hex::encode(hasher.finalize())
}

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

    let shape = sector.shape.record();
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
