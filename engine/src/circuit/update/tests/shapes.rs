//! Counts and digests of whole circuits.

use crate::circuit::cs::DigestRecorder;
use crate::circuit::{Matrix, ProofCircuit, UpdateCircuit};
use crate::sector::TreeShape;
use crate::update::UpdateShape;

/// A circuit in `spec/snark.md` 2.8 and 2.9.
struct Reference {
    log2_nodes: usize,
    tree: [usize; 3],
    /// Constraints, aux variables.
    counts: [usize; 2],
    /// Aux variables that occur in A, in B.
    dense: [usize; 2],
    /// Of A, B, C.
    non_zeros: [usize; 3],
    digest: &'static str,
}

#[rustfmt::skip]
const REFERENCES: &[Reference] = &[
    // 1 KiB
    Reference {
        log2_nodes: 5,
        tree: [8, 4, 0],
        counts: [1_248_389, 1_247_309],
        dense: [1_241_649, 327_403],
        non_zeros: [2_968_107, 1_249_487, 2_644_258],
        digest: "50d166e923cf9635c8a3a7aa5a2910b8a511bcffc147dadbb470dc059833edf3",
    },
    // 2 KiB
    Reference {
        log2_nodes: 6,
        tree: [8, 0, 0],
        counts: [1_705_039, 1_703_569],
        dense: [1_697_189, 444_403],
        non_zeros: [4_030_887, 1_706_537, 3_616_648],
        digest: "83bc7ef7c3d992b671106345f22b87f6c4d500f6e2d066f91bb74a0b275b2c75",
    },
    // 4 KiB
    Reference {
        log2_nodes: 7,
        tree: [8, 2, 0],
        counts: [2_165_109, 2_163_189],
        dense: [2_155_229, 564_063],
        non_zeros: [5_115_087, 2_166_947, 4_593_178],
        digest: "832ee6db5aff43e4e6a55d72c72de1ad5e960e10be3166139b11e034ddc7772c",
    },
    // 8 KiB
    Reference {
        log2_nodes: 8,
        tree: [8, 4, 0],
        counts: [2_620_359, 2_618_009],
        dense: [2_609_689, 680_063],
        non_zeros: [6_166_147, 2_622_537, 5_563_768],
        digest: "e8484d513499d95944f771f38f9ff30ad5895c0e3fd964d8dec3265f416a8aef",
    },
    // 16 KiB
    Reference {
        log2_nodes: 9,
        tree: [8, 8, 0],
        counts: [6_300_021, 6_293_944],
        dense: [6_284_882, 1_613_422],
        non_zeros: [14_627_205, 6_304_729, 13_416_061],
        digest: "4789076f09c925be2388a03074e814201bf21b4bd6f494687ed5c6651397b2d7",
    },
    // 32 KiB
    Reference {
        log2_nodes: 10,
        tree: [8, 8, 2],
        counts: [6_760_091, 6_753_564],
        dense: [6_742_922, 1_733_082],
        non_zeros: [15_711_405, 6_765_139, 14_392_591],
        digest: "97b12cde6ee9c802008a9e04c46e54beac92a43193502f8715c5ce21e6efebea",
    },
    // 8 MiB
    Reference {
        log2_nodes: 18,
        tree: [8, 0, 0],
        counts: [10_007_503, 9_998_039],
        dense: [9_981_015, 2_567_921],
        non_zeros: [23_284_273, 10_015_181, 21_302_734],
        digest: "059073d3710d843cf07859ce03526281c8eca4db786ab3d859d5fc0a585a04b2",
    },
    // 16 MiB
    Reference {
        log2_nodes: 19,
        tree: [8, 2, 0],
        counts: [10_467_573, 10_457_659],
        dense: [10_439_055, 2_687_581],
        non_zeros: [24_368_473, 10_475_591, 22_279_264],
        digest: "74f15647aa5f9c3ab3d4b085396c1d269b785c8e303019ea133653bf3712a764",
    },
    // 512 MiB
    Reference {
        log2_nodes: 24,
        tree: [8, 0, 0],
        counts: [57_450_479, 57_401_314],
        dense: [57_212_317, 14_916_879],
        non_zeros: [135_362_847, 57_500_527, 121_971_144],
        digest: "c704e0af80faad93490ff737e7019e4f010dfd48639a2334867bcf0f4d4295e8",
    },
    // 32 GiB
    Reference {
        log2_nodes: 30,
        tree: [8, 8, 0],
        counts: [81_049_499, 80_978_488],
        dense: [80_743_581, 20_983_607],
        non_zeros: [190_374_907, 81_118_127, 172_187_492],
        digest: "53d404a1ddc5fa71048785ec6b870437ca0ac38cefbbc7672e387176981678b5",
    },
    // 64 GiB
    Reference {
        log2_nodes: 31,
        tree: [8, 8, 2],
        counts: [85_006_101, 84_931_220],
        dense: [84_682_725, 22_012_683],
        non_zeros: [199_699_027, 85_077_653, 180_585_650],
        digest: "af97e6c46fa5d3181d9e419e11adc42cf8be453cc36715c69bf9b6e39011b421",
    },
];

/// Of the sizes whose digests take a few seconds in all.
const LARGEST_DIGEST: usize = 18;

impl Reference {
    fn shape(&self) -> UpdateShape {
        let [base, sub, top] = self.tree;
        UpdateShape::new(self.log2_nodes, TreeShape { base, sub, top })
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

/// Every size, 64 GiB included: templates make that cheap.
#[test]
fn counts_match_the_reference_at_every_size() {
    for reference in REFERENCES {
        let shape = UpdateCircuit::blank(reference.shape()).record();
        assert_eq!(shape.inputs(), 5);
        assert_eq!([shape.constraints(), shape.aux()], reference.counts, "2^{} nodes", reference.log2_nodes);
        assert_eq!(shape.matrices().map(|matrix| matrix.non_zeros()), reference.non_zeros);
        if reference.log2_nodes <= 8 {
            let [a, b, _] = shape.matrices();
            assert_eq!([dense(a, shape.aux()), dense(b, shape.aux())], reference.dense);
        }
    }
}

/// The others take the example `circuit_digest`.
#[test]
fn digests_match_the_reference_up_to_8_mib() {
    for reference in REFERENCES.iter().filter(|reference| reference.log2_nodes <= LARGEST_DIGEST) {
        let digest = UpdateCircuit::blank(reference.shape()).record().digest();
        assert_eq!(hex::encode(digest), reference.digest, "2^{} nodes", reference.log2_nodes);
    }
}

/// Without blocks, row by row as the circuit makes them.
#[test]
fn flat_recording_gives_the_same_as_blocks() {
    let reference = &REFERENCES[1];
    let mut recorder = DigestRecorder::new();
    UpdateCircuit::blank(reference.shape()).read(&mut recorder).unwrap();
    let summary = recorder.finish();
    assert_eq!([summary.constraints, summary.aux], reference.counts);
    assert_eq!(summary.dense, reference.dense);
    assert_eq!(summary.non_zeros.map(|count| count as usize), reference.non_zeros);
    assert_eq!(hex::encode(summary.digest), reference.digest);
}

/// The formulas of `spec/snark.md` 2.7.
#[test]
fn counts_follow_their_formulas() {
    for reference in REFERENCES {
        let shape = reference.shape();
        let level = |arity: usize| match arity {
            8 => [527, 534],
            4 => [385, 388],
            _ => [313, 314],
        };
        let path = shape.tree_arities().into_iter().map(level);
        let [c, x] = path.fold([0, 0], |sum, level| [sum[0] + level[0], sum[1] + level[1]]);
        let (pb, n, nd) = (shape.partition_bits(), shape.data_levels(), shape.digests());
        let (apex, challenges) = (shape.apex_leaves, shape.challenges);
        let constraints = 1
            + pb
            + 6
            + 1
            + 1
            + 3
            + 311
            + 624
            + (apex - 1) * 45_379
            + 45_381 * pb
            + 1
            + 568 * nd
            + challenges * (13 + 311 + 2 + 2 * (c + 1) + apex - 1 + 45_381 * n + 1);
        let aux = 1
            + pb
            + 6
            + 1
            + 3
            + 311
            + 3
            + apex
            + pb
            + 622
            + (apex - 1) * 45_331
            + 45_333 * pb
            + 567 * nd
            + challenges * (328 + 2 * x + apex - 1 + 45_334 * n);
        assert_eq!([constraints, aux], reference.counts);
    }
}

#[test]
fn bellman_reads_the_same_circuit() {
    use crate::circuit::ShapeRecorder;
    use bellman::Circuit;

    let mut recorder = ShapeRecorder::new();
    UpdateCircuit::blank(REFERENCES[0].shape()).synthesize(&mut recorder).unwrap();
    assert_eq!(hex::encode(recorder.finish().digest()), REFERENCES[0].digest);
}
