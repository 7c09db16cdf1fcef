//! Counts and digests of whole circuits.

use crate::circuit::ProofCircuit;
use crate::circuit::cs::DigestRecorder;
use crate::circuit::porep::PoRepShape;
use crate::circuit::{Matrix, ShapeRecorder};
use crate::sector::Profile::{self, Filecash, Filecoin};
use crate::sector::TreeShape;
use crate::sector::params::{all, for_size};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A circuit in `spec/snark.md` 2.8 and 2.9.
struct Reference {
    profile: Profile,
    size: u64,
    /// Inputs with ONE, constraints, aux variables.
    counts: [usize; 3],
    /// Aux variables that occur in A, in B.
    dense: [usize; 2],
    /// Of A, B, C.
    non_zeros: [usize; 3],
    digest: &'static str,
}

#[rustfmt::skip]
const REFERENCES: &[Reference] = &[
    Reference {
        profile: Filecoin,
        size: 2 * KIB,
        counts: [40, 2_687_921, 2_685_673],
        dense: [2_674_908, 685_521],
        non_zeros: [6_420_965, 2_689_006, 5_824_682],
        digest: "7c55dfc5dfdf73fbae46dcfd560d0cf1643afe2cf25c2f30dc3eac91ca4a71c4",
    },
    Reference {
        profile: Filecoin,
        size: 4 * KIB,
        counts: [40, 2_788_733, 2_786_423],
        dense: [2_773_158, 716_039],
        non_zeros: [6_697_351, 2_789_942, 6_030_908],
        digest: "f8daa0fde9651193afd4af9c209fed69f0115b51634653a0cf186d26fc7b512c",
    },
    Reference {
        profile: Filecoin,
        size: 16 * KIB,
        counts: [40, 2_977_173, 2_974_867],
        dense: [2_959_930, 766_963],
        non_zeros: [7_162_827, 2_978_726, 6_427_232],
        digest: "da51d4cd51a4a995e59e8dc35397199842196fcc0b48349523c898d852662bdc",
    },
    Reference {
        profile: Filecoin,
        size: 32 * KIB,
        counts: [40, 3_077_985, 3_075_617],
        dense: [3_058_180, 797_481],
        non_zeros: [7_439_213, 3_079_662, 6_633_458],
        digest: "9e70778ca47b3474d3f32861c5a608e03dda2d4c68e0a58c7d5007130c84531f",
    },
    Reference {
        profile: Filecoin,
        size: 8 * MIB,
        counts: [40, 3_844_929, 3_842_449],
        dense: [3_814_996, 1_011_289],
        non_zeros: [9_388_413, 3_847_886, 8_234_882],
        digest: "c328a7db65b2d766a92181f4b2b9816a7e6b309e400b843c1677990dbd55024f",
    },
    Reference {
        profile: Filecoin,
        size: 16 * MIB,
        counts: [40, 3_945_741, 3_943_199],
        dense: [3_913_246, 1_041_807],
        non_zeros: [9_664_799, 3_948_822, 8_441_108],
        digest: "668b2c403c1d27e42d97febedc83da2ccef32b1e6fbf1c0192589fd8d7b41bbb",
    },
    Reference {
        profile: Filecoin,
        size: 512 * MIB,
        counts: [40, 4_423_433, 4_420_837],
        dense: [4_385_040, 1_174_173],
        non_zeros: [10_872_137, 4_427_326, 9_439_982],
        digest: "390c29464fc3901a00c035e0b23055697a2128c86141f2cc09608c7e48812c4e",
    },
    Reference {
        profile: Filecoin,
        size: GIB,
        counts: [40, 4_524_245, 4_521_587],
        dense: [4_483_290, 1_204_691],
        non_zeros: [11_148_523, 4_528_262, 9_646_208],
        digest: "b4cd496da46fc81fba20afdc6984f8b172b48af3a180c0d2007da07bb3750aea",
    },
    Reference {
        profile: Filecoin,
        size: 32 * GIB,
        counts: [328, 130_278_541, 130_169_893],
        dense: [129_753_292, 33_112_281],
        non_zeros: [309_404_723, 130_327_340, 282_656_500],
        digest: "5e951436be6cdda851b10082bb34f9549aa5e2780e9f6848dda80fe54d0c3352",
    },
    Reference {
        profile: Filecoin,
        size: 64 * GIB,
        counts: [328, 131_185_849, 131_076_643],
        dense: [130_637_542, 33_386_943],
        non_zeros: [311_892_197, 131_235_764, 284_512_534],
        digest: "9f2fac49588e8faf9e9d14756d81a42e8be919987e77a074d2573b4d83f59f83",
    },
    Reference {
        profile: Filecash,
        size: 2 * KIB,
        counts: [40, 5_930_093, 5_923_765],
        dense: [5_913_000, 1_407_441],
        non_zeros: [14_119_525, 5_931_306, 13_113_102],
        digest: "be4c5f911d5e2ed846e692958968f9c11b6d8e2b3770ee8fc986836ff6e436e8",
    },
    Reference {
        profile: Filecash,
        size: 8 * MIB,
        counts: [40, 7_087_101, 7_080_541],
        dense: [7_053_088, 1_733_209],
        non_zeros: [17_086_973, 7_090_186, 15_523_302],
        digest: "10922d2c95c6596a369c594398df3b099226f1b9bd7a8c45784e593792fa214b",
    },
    Reference {
        profile: Filecash,
        size: 512 * MIB,
        counts: [40, 7_665_605, 7_658_929],
        dense: [7_623_132, 1_896_093],
        non_zeros: [18_570_697, 7_669_626, 16_728_402],
        digest: "43bff508c12ad6d965669b1861eacf4a70a74bd235c81e89de6c7abfb23f5c27",
    },
    Reference {
        profile: Filecash,
        size: 4 * GIB,
        counts: [130, 83_989_574, 83_901_325],
        dense: [83_756_386, 19_966_400],
        non_zeros: [199_804_697, 84_008_013, 185_629_607],
        digest: "1d5540a552b9a472754eda60386907e95983f24024496d91aa9a2ec1405ce9b2",
    },
    Reference {
        profile: Filecash,
        size: 16 * GIB,
        counts: [148, 64_678_507, 64_614_243],
        dense: [64_439_418, 15_584_393],
        non_zeros: [154_785_745, 64_699_012, 142_346_742],
        digest: "ec39a2b904fc78e11a44ff691e2250598dfd68eb517e329b26e9c40586d79df5",
    },
];

impl Reference {
    fn shape(&self) -> PoRepShape {
        PoRepShape::new(self.profile, for_size(self.profile, self.size).unwrap())
    }
}

/// How many aux variables occur in a matrix.
fn dense(matrix: Matrix<'_>, aux: usize) -> usize {
    let mut seen = vec![false; aux];
    for (_, row) in matrix.rows_of(0..matrix.rows()) {
        row.filter(|(column, _)| column.is_aux()).for_each(|(column, _)| seen[column.index()] = true);
    }
    seen.into_iter().filter(|seen| *seen).count()
}

/// Every size of both networks that has parameters, 64 GiB included: templates make that cheap.
#[test]
fn counts_match_the_reference_at_every_size() {
    for reference in REFERENCES {
        let shape = reference.shape().blank().record();
        assert_eq!([shape.inputs(), shape.constraints(), shape.aux()], reference.counts);
        assert_eq!(shape.inputs(), 1 + reference.shape().inputs());
        assert_eq!(shape.matrices().map(|matrix| matrix.non_zeros()), reference.non_zeros);
        if reference.size <= 8 * MIB {
            let [a, b, _] = shape.matrices();
            assert_eq!([dense(a, shape.aux()), dense(b, shape.aux())], reference.dense);
        }
    }
}

/// The others take the example `circuit_digest`, a minute each.
#[test]
fn digests_match_the_reference_up_to_8_mib() {
    let small = REFERENCES.iter().filter(|reference| reference.size <= 8 * MIB);
    for reference in small {
        assert_eq!(hex::encode(reference.shape().blank().record().digest()), reference.digest);
    }
}

/// Without blocks, row by row as the circuit makes them.
#[test]
fn flat_recording_gives_the_same_as_blocks() {
    let reference = REFERENCES.iter().find(|reference| reference.profile == Filecash).unwrap();
    let mut recorder = DigestRecorder::new();
    reference.shape().synthesize(&mut recorder, None).unwrap();
    let summary = recorder.finish();
    assert_eq!([summary.inputs, summary.constraints, summary.aux], reference.counts);
    assert_eq!(summary.dense, reference.dense);
    assert_eq!(summary.non_zeros.map(|count| count as usize), reference.non_zeros);
    assert_eq!(hex::encode(summary.digest), reference.digest);
}

/// The formulas of `spec/snark.md` 2.7, also for what no network uses.
#[test]
fn counts_follow_their_formulas() {
    let reduced = [(Filecash, 8, 6, [8, 0, 0]), (Filecash, 5, 8, [8, 4, 0]), (Filecoin, 1, 7, [2, 2, 2])].map(
        |(profile, layers, log2_nodes, [base, sub, top])| PoRepShape {
            profile,
            layers,
            log2_nodes,
            tree: TreeShape { base, sub, top },
            challenges: 1,
        },
    );
    let listed = Profile::ALL.into_iter().flat_map(|profile| {
        all(profile).map(move |params| PoRepShape::new(profile, params)).filter(|shape| shape.challenges < 10)
    });
    for shape in reduced.into_iter().chain(listed) {
        let recorded = shape.blank().record();
        assert_eq!([recorded.constraints(), recorded.aux()], counts(&shape), "{shape:?}");
    }
}

/// Constraints and aux variables by formula.
fn counts(shape: &PoRepShape) -> [usize; 2] {
    // Poseidon of an arity: 31·t − 2 + 4·RP of each.
    let poseidon = |arity: usize| 31 * (arity + 1) - 2 + 4 * [0, 55, 55, 56, 56, 56, 56, 57, 57, 57, 57, 57][arity];
    let level = |arity: usize| match arity {
        8 => [530, 537],
        4 => [387, 390],
        2 => [314, 315],
        _ => unreachable!("trees have levels of 2, 4 and 8"),
    };
    let path =
        shape.tree_arities().into_iter().map(level).fold([0, 0], |sum, level| [sum[0] + level[0], sum[1] + level[1]]);
    let [c, x] = path;
    let [lc, la] = match shape.profile {
        Filecoin => [522_268, 521_748],
        Filecash => [1_332_811, 1_331_271],
    };
    let (d, layers, q) = (shape.log2_nodes, shape.layers, poseidon(shape.layers));
    let constraints = 45_382 * d
        + 2
        + 14 * (q + c + 2)
        + 65
        + 6 * 256
        + (lc + 1)
        + (layers - 1) * (14 * 256 + lc + 1)
        + 1
        + (c + 2)
        + q
        + (c + 2);
    let aux = 1
        + 45_335 * d
        + 14 * (layers + q + x)
        + 64
        + 6 * 255
        + (la + 1)
        + (layers - 1) * (14 * 255 + la + 1)
        + 1
        + x
        + q
        + x;
    [571 + shape.challenges * constraints, 571 + shape.challenges * aux]
}

/// `spec/filecash-profile.md` 11.
#[test]
fn reduced_shapes_have_the_forks_number_of_constraints() {
    let shape = |layers, log2_nodes, sub| PoRepShape {
        profile: Filecash,
        layers,
        log2_nodes,
        tree: TreeShape { base: 8, sub, top: 0 },
        challenges: 1,
    };
    assert_eq!(shape(8, 6, 0).blank().record().constraints(), 10_986_618);
    assert_eq!(shape(5, 8, 4).blank().record().constraints(), 7_072_931);
}

/// One challenge on base trees of 8 nodes: the reference's own test constants, `spec/snark.md` 2.8.
#[test]
fn small_trees_have_the_references_number_of_constraints() {
    let count = |log2_nodes, [base, sub, top]: [usize; 3]| {
        let tree = TreeShape { base, sub, top };
        PoRepShape { profile: Filecoin, layers: 2, log2_nodes, tree, challenges: 1 }.blank().record().constraints()
    };
    assert_eq!(count(3, [8, 0, 0]), 1_199_620);
    assert_eq!(count(3, [2, 0, 0]), 1_206_212);
    assert_eq!(count(5, [8, 4, 0]), 1_296_576);
    assert_eq!(count(6, [8, 4, 2]), 1_346_982);
}

#[test]
fn bellman_reads_the_same_circuit() {
    use bellman::Circuit;

    let params = for_size(Filecoin, 2 * KIB).unwrap();
    let mut recorder = ShapeRecorder::new();
    PoRepShape::new(Filecoin, params).blank().synthesize(&mut recorder).unwrap();
    assert_eq!(hex::encode(recorder.finish().digest()), REFERENCES[0].digest);
}
