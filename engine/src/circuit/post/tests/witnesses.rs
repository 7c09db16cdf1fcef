//! Whole witnesses, set-up and proofs of small circuits: `spec/snark.md` 7.5 and 7.6.

use ff::{Field, PrimeField};
use rand_core::SeedableRng;
use rand_xorshift::XorShiftRng;
use sha2::{Digest, Sha256};

use crate::circuit::gadgets::path::Level;
use crate::circuit::post::{
    LeafWitness, PoStCircuit, PoStShape, PoStWitnessError, SlotInputs, SlotWitness, public_inputs,
};
use crate::circuit::witness_checks::{broken, changes_are_found, digest};
use crate::circuit::{Evaluations, ProofCircuit};
use crate::config::Config;
use crate::field::Fr;
use crate::groth16::{Density, ParamsFile, Proof, Toxic, Verifier, prove, setup};
use crate::hash::poseidon;
use crate::job::{Cancel, Job, Quiet};
use crate::post::PoStRound;
use crate::sector::params::{Profile, for_size};
use crate::sector::{PoStKind, PoStProof, TreeShape};

/// A tree over leaves `1000 + i`, and comm_c = 77.
struct Sector {
    arities: Vec<usize>,
    rows: Vec<Vec<Fr>>,
}

impl Sector {
    fn new(shape: &PoStShape) -> Self {
        let arities = shape.arities();
        let mut rows = vec![(0..1_u64 << shape.log2_nodes).map(|i| Fr::from(1000 + i)).collect::<Vec<_>>()];
        for arity in &arities {
            rows.push(rows[rows.len() - 1].chunks(*arity).map(poseidon::hash).collect());
        }
        Self { arities, rows }
    }

    fn comm_r_last(&self) -> Fr {
        self.rows[self.arities.len()][0]
    }

    fn comm_r(&self) -> Fr {
        poseidon::hash(&[Fr::from(77), self.comm_r_last()])
    }

    fn open(&self, leaf: u64) -> LeafWitness {
        let mut node = leaf as usize;
        let level = |(arity, row): (&usize, &Vec<Fr>)| {
            let (index, first) = (node % arity, node - node % arity);
            node /= arity;
            let siblings = (first..first + arity).filter(|i| *i != first + index).map(|i| row[i]).collect();
            Level { siblings, index }
        };
        let path = self.arities.iter().zip(&self.rows).map(level).collect();
        LeafWitness { leaf: self.rows[0][leaf as usize], path }
    }

    fn slot(&self, leaves: &[u64]) -> SlotWitness {
        SlotWitness {
            comm_r: self.comm_r(),
            comm_c: Fr::from(77),
            comm_r_last: self.comm_r_last(),
            leaves: leaves.iter().map(|leaf| self.open(*leaf)).collect(),
        }
    }
}

/// The round of 7.5: sector 5, randomness and prover of repeated bytes.
fn leaves(id: u32) -> Vec<u64> {
    let config = PoStProof::by_id(Profile::Filecoin, id).unwrap().config();
    PoStRound::new(&config, &[0x33; 32], &[0x44; 32]).unwrap().leaves(5, 0)
}

fn shape(kind: PoStKind) -> PoStShape {
    PoStShape::new(kind, for_size(Profile::Filecoin, 2048).unwrap())
}

/// The circuit of 7.5 and its public inputs.
fn circuit(kind: PoStKind) -> (PoStCircuit, Vec<Fr>) {
    let shape = shape(kind);
    let sector = Sector::new(&shape);
    let slots: Vec<Vec<u64>> = match kind {
        PoStKind::Window => vec![leaves(10)],
        PoStKind::Winning => leaves(0).into_iter().map(|leaf| vec![leaf]).collect(),
    };
    let comm_r = sector.comm_r();
    let inputs: Vec<_> = slots.iter().map(|leaves| SlotInputs { comm_r, leaves: leaves.clone() }).collect();
    let witness = slots.iter().map(|leaves| sector.slot(leaves)).collect();
    (PoStCircuit::new(shape, witness).unwrap(), public_inputs(&shape, &inputs))
}

/// Digests of aux, inputs, A·z, B·z, C·z.
fn check(kind: PoStKind, expected: [&str; 5]) {
    let (circuit, inputs) = circuit(kind);
    let witness = circuit.witness().unwrap();
    assert_eq!(witness.inputs[1..], inputs);
    let evaluations = shape(kind).blank().record().evaluate(&witness);
    assert_eq!(evaluations.first_unsatisfied(), None);
    let Evaluations { a, b, c } = &evaluations;
    let got = [
        digest(witness.aux.iter()),
        digest(witness.inputs.iter().copied()),
        digest(a.iter()),
        digest(b.iter()),
        digest(c.iter()),
    ];
    for (got, expected) in got.iter().zip(expected) {
        assert!(got.ends_with(expected), "{got} instead of {expected}");
    }
}

/// spec/snark.md 7.5.
#[test]
fn window_2kib_witness_matches_the_reference() {
    assert_eq!(leaves(10), [12, 39, 51, 51, 15, 42, 58, 42, 11, 49]);
    let sector = Sector::new(&shape(PoStKind::Window));
    let commitments = [sector.comm_r_last(), sector.comm_r()].map(|value| hex::encode(value.to_repr()));
    assert_eq!(
        commitments,
        [
            "1cb1d76560bae3947bd50f82ca0abde313fe31b01c517b3b7eb58526f085f972",
            "ad2b983b839f174d49414530354921201ce49a705c603c2f8620539163432510",
        ]
    );
    check(
        PoStKind::Window,
        [
            "a2fa589da00ac5bcac8070fb64103985a68982389e68a9bd886c9271d06cfa54",
            "ba2f5baa24c1227870db9b191bad9a4708a220c6ebd0601b96e110d50eeb6850",
            "19a91c2f64d518dafbb5703863bc0b1ad0f611e61e90a7164d6ae9a30932da08",
            "b6db0a1762de3e45de909b7660b1ccd214cc9719478569c336e002167cffe69f",
            "45fa9d785b40fb90cd50898853a59cb8a393d436c6e2e86eb7cda375827591db",
        ],
    );
}

/// spec/snark.md 7.5.
#[test]
fn winning_2kib_witness_matches_the_reference() {
    check(
        PoStKind::Winning,
        [
            "d126d50371017456136518aed3af7efccc8771f371415080fa8645d42c3dc4ef",
            "dca0f0ab0578b5948036df34857ebc74aec4810f649aa3d5b965d998e4663125",
            // The specification prints 62 digits; these are the last 56, the others are garbled.
            "025f226180462a31a508120de7f725642b7f127cf7555706d1a320df",
            "9b099e5d95c456a9a52fcf576d7d333ec74db6502dd5595bf91360122ed4c156",
            "d77b7397ebee590a5c247a49eeb545679b9f4aa0aab4405ef261a43ac311397a",
        ],
    );
}

/// Two slots with two challenges in trees of every kind of level.
fn small() -> PoStShape {
    PoStShape { slots: 2, challenges: 2, log2_nodes: 6, tree: TreeShape { base: 8, sub: 4, top: 2 } }
}

#[test]
fn each_wrong_value_is_found_where_it_matters() {
    let sector = Sector::new(&small());
    let circuit = |change: fn(&mut Vec<SlotWitness>)| {
        let mut slots = vec![sector.slot(&[0, 63]), sector.slot(&[17, 17])];
        change(&mut slots);
        PoStCircuit::new(small(), slots).unwrap()
    };
    assert_eq!(broken(&circuit(|_| ())), None);
    assert_eq!(broken(&circuit(|slots| slots.truncate(1))), None);
    type Change = fn(&mut Vec<SlotWitness>);
    let cases: [(Change, &str); 7] = [
        (|slots| slots[0].comm_r += Fr::ONE, "slot 0, "),
        (|slots| slots[1].comm_c += Fr::ONE, "slot 1, "),
        (|slots| slots[1].comm_r_last += Fr::ONE, "slot 1, "),
        (|slots| slots[0].leaves[1].leaf += Fr::ONE, "slot 0/challenge 1, "),
        (|slots| slots[1].leaves[0].path[0].siblings[6] += Fr::ONE, "slot 1/challenge 0, "),
        (|slots| slots[1].leaves[0].path[2].siblings[0] += Fr::ONE, "slot 1/challenge 0, "),
        (|slots| slots[0].leaves[0].path[1].index = 1, "slot 0/challenge 0, "),
    ];
    for (change, place) in cases {
        let found = broken(&circuit(change)).unwrap();
        assert!(found.starts_with(place), "{found} instead of {place}");
    }
}

/// One variable in 97.
#[test]
fn changed_values_here_and_there_in_a_witness_and_changed_inputs_are_found() {
    let sector = Sector::new(&small());
    let witness = PoStCircuit::new(small(), vec![sector.slot(&[5, 62])]).unwrap().witness().unwrap();
    changes_are_found(&small().blank().record(), &witness, 97);
}

#[test]
fn values_of_another_shape_are_refused() {
    use PoStWitnessError as E;

    let sector = Sector::new(&small());
    let refused = |change: fn(&mut Vec<SlotWitness>)| {
        let mut slots = vec![sector.slot(&[1, 2])];
        change(&mut slots);
        PoStCircuit::new(small(), slots).unwrap_err()
    };
    assert_eq!(refused(|slots| slots.clear()), E::Slots { expected: 2, actual: 0 });
    assert_eq!(refused(|slots| *slots = vec![slots[0].clone(); 3]), E::Slots { expected: 2, actual: 3 });
    let challenges = refused(|slots| slots[0].leaves.truncate(1));
    assert_eq!(challenges, E::Challenges { slot: 0, expected: 2, actual: 1 });
    let path = E::PathShape { slot: 0, challenge: 1 };
    assert_eq!(refused(|slots| slots[0].leaves[1].path.truncate(1)), path);
    assert_eq!(refused(|slots| slots[0].leaves[1].path[0].siblings.truncate(6)), path);
    assert_eq!(refused(|slots| slots[0].leaves[1].path[2].index = 2), path);
}

struct Keys {
    _folder: tempfile::TempDir,
    params: ParamsFile,
    verifier: Verifier,
    density: Density,
}

fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    run(&Job { config: &Config::default(), progress: &Quiet, cancel: &Cancel::default() })
}

/// Parameters from the toxic values of 7.6; checks the digest of the file.
fn keys(kind: PoStKind, digest: &str) -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.params");
    let shape = shape(kind).blank().record();
    let toxic = Toxic::random(XorShiftRng::from_seed([9; 16]));
    let key = with_job(|job| setup(job, &shape, &toxic, &path)).unwrap();
    assert_eq!(hex::encode(Sha256::digest(std::fs::read(&path).unwrap())), digest);
    let params = ParamsFile::open(&path).unwrap();
    Keys { _folder: folder, params, verifier: Verifier::new(&key), density: Density::new(&shape) }
}

fn prove_with(keys: &Keys, kind: PoStKind, r: u64, s: u64) -> Proof {
    let (circuit, inputs) = circuit(kind);
    let witness = circuit.witness().unwrap();
    let shape = shape(kind).blank().record();
    let prove_from = |rows: crate::groth16::Rows<'_>| {
        let secrets = [Fr::from(r), Fr::from(s)];
        with_job(|job| prove(job, &keys.params, &keys.density, rows, witness.clone(), secrets).unwrap())
    };
    let proof = prove_from((&shape).into());
    assert_eq!(prove_from(shape.evaluate(&witness).into()), proof);
    assert_eq!(keys.verifier.verify(&proof, &inputs), Ok(()));
    let mut other = inputs;
    other[3] += Fr::ONE;
    assert!(keys.verifier.verify(&proof, &other).is_err());
    proof
}

/// spec/snark.md 7.6.
#[test]
fn window_2kib_parameters_and_proofs_match_the_reference() {
    let keys = keys(PoStKind::Window, "d521671a0fbf69c460b5d62a7659ef6fed940d2d42ab76f0246dad49a3f83c2b");
    let expected = [
        "a438141c9db214da4fd44be33ee883b4a7f9f189d94ef31f9b184c21ab907f8c",
        "d31adcb5410cbbf047a0cc89d5d1016c6ae2bf6268a0d59d4cdfc5f319c59a89",
        "2912d481ef9bdb7a5dea18dd9925f24dd66acb4a649cc1131e37d7a494f1878e",
        "dacccda06cf359042215eff7931f46caceb10ab09638821eaa0313d96e64e259",
    ];
    for (more, expected) in (0..).zip(expected) {
        let proof = prove_with(&keys, PoStKind::Window, 123456789 + more, 987654321 + more);
        assert_eq!(hex::encode(Sha256::digest(proof.to_bytes())), expected);
    }
}

/// spec/snark.md 7.6.
#[test]
fn winning_2kib_parameters_match_the_reference() {
    let keys = keys(PoStKind::Winning, "a494fb6d6496ef08ab4e894fc0022163f2ff681c099282018083c0e60865e0ed");
    prove_with(&keys, PoStKind::Winning, 7, 8);
}
