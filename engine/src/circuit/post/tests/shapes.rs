//! Counts and digests of whole circuits: `spec/snark.md` 2.8 and 2.9.

use crate::circuit::cs::DigestRecorder;
use crate::circuit::post::PoStShape;
use crate::circuit::{ProofCircuit, Shape};
use crate::groth16::Density;
use crate::sector::PoStKind::{self, Window, Winning};
use crate::sector::params::{Profile, all, for_size};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Kind and size; inputs with ONE, constraints, aux variables; aux variables in A, in B; non-zeros of A, B, C; digest.
type Row = (PoStKind, u64, [usize; 3], [usize; 2], [usize; 3], &'static str);

#[rustfmt::skip]
const REFERENCES: &[Row] = &[
    (Winning, 2 * KIB, [133, 90_750, 91_674], [69_300, 66_792], [621_852, 92_070, 113_652],
        "340abbc580859dc8d5bd03f7645b68a17ab004b805eaa0378691fbd54b6ed804"),
    (Winning, 4 * KIB, [133, 111_474, 112_464], [84_942, 82_302], [762_168, 112_926, 139_392],
        "4e648b6db88f6dc112b8562ee50431f627b4be11d351d24cda1107deedb9d408"),
    (Winning, 16 * KIB, [133, 125_730, 127_116], [96_162, 92_466], [862_752, 127_644, 157_608],
        "7d6f18bb26b82c823123f61b0077b2bf82ee743e97457c5873bbadfcd461ed1e"),
    (Winning, 32 * KIB, [133, 146_454, 147_906], [111_804, 107_976], [1_003_068, 148_500, 183_348],
        "dde57c21db0b34fd69c510638a51329d63bf2d05b784078d7c8c843b53028f42"),
    (Winning, 8 * MIB, [133, 230_670, 233_442], [176_748, 169_488], [1_585_452, 234_366, 289_476],
        "a4c0b0db13b7556063d610be1591805f4c92072390de2e47d7b460f91e0eff9b"),
    (Winning, 16 * MIB, [133, 251_394, 254_232], [192_390, 184_998], [1_725_768, 255_222, 315_216],
        "a6ea8ad6bd2220573e1eab06f68e8a050c4899097977f5d7e47fa50dd74c6d71"),
    (Winning, 512 * MIB, [133, 300_630, 304_326], [230_472, 220_836], [2_067_252, 305_514, 377_388],
        "df9b4d1c54301e75d751e48d6aa227ecd858a932e1a6aa5594f26cdf9d55ab7e"),
    (Winning, GIB, [133, 321_354, 325_116], [246_114, 236_346], [2_207_568, 326_370, 403_128],
        "0efea2e5bfe302afc3ca992d28a87ef155fdb2a4379f28b1ee0ae6dd90fae1bd"),
    (Winning, 4 * GIB, [133, 335_610, 339_768], [257_334, 246_510], [2_308_152, 341_088, 421_344],
        "806daa8d1d5686b7cdfdead8b557032e9e9820d069c0f1002e9afc920e859012"),
    (Winning, 16 * GIB, [133, 361_152, 365_508], [276_804, 265_452], [2_479_422, 366_894, 453_222],
        "ed55c4e47002d0772d8505d6adb5933748945a3a797a265b27758b7b718d8146"),
    (Winning, 32 * GIB, [133, 370_590, 375_210], [284_196, 272_184], [2_549_052, 376_662, 465_300],
        "6d4bde5fddf80c4d04413f1583fa2f589bcd33332cb105915e8f8ea1aa19789e"),
    (Winning, 64 * GIB, [133, 391_314, 396_000], [299_838, 287_694], [2_689_368, 397_518, 491_040],
        "f07fed37ee65b7efca20a64fabb911e6ffe2fa5d5020a99d30f9b2927f82484e"),
    (Window, 2 * KIB, [23, 21_866, 22_128], [16_770, 16_028], [150_262, 22_230, 27_456],
        "ce39a1bcb54134000855e1315b44f67f2710e68047363eb16737280367e8b102"),
    (Window, 4 * KIB, [23, 28_146, 28_428], [21_510, 20_728], [192_782, 28_550, 35_256],
        "acb31a27f3c2b26892d7289f7bfae0a5485ee7c5ee0a825757a24bf13ea42f52"),
    (Window, 16 * KIB, [23, 32_466, 32_868], [24_910, 23_808], [223_262, 33_010, 40_776],
        "4b76b8a99bbce657fdac7980d9b2d504419bd8b80c3b282de51694eedea7b0b2"),
    (Window, 32 * KIB, [23, 38_746, 39_168], [29_650, 28_508], [265_782, 39_330, 48_576],
        "d855309331e3e02196f5939f7f16046d2384b7e58f09459a6b49880ec269468c"),
    (Window, 8 * MIB, [23, 64_266, 65_088], [49_330, 47_148], [442_262, 65_350, 80_736],
        "c886d5ca08f37b56d02f821f8e0bb950a38d16e8a141e5fbdfcf0342125048e8"),
    (Window, 16 * MIB, [23, 70_546, 71_388], [54_070, 51_848], [484_782, 71_670, 88_536],
        "5547da100a1f1e7103776f86e56272b42f8bba5e93b7e102ca2a856867b1ee25"),
    (Window, 512 * MIB, [23, 85_466, 86_568], [65_610, 62_708], [588_262, 86_910, 107_376],
        "1fd431c928f032545ebe103c55519c1c0cd97c81896955eb6306bf1df85be3bb"),
    (Window, GIB, [23, 91_746, 92_868], [70_350, 67_408], [630_782, 93_230, 115_176],
        "98a2d9c3098a77d1228782343b72e4cd045a57ff06df19e6f70a2d671140aeb6"),
    (Window, 4 * GIB, [6_601, 28_819_800, 29_192_400], [22_125_000, 21_146_400], [198_378_600, 29_307_000, 36_208_800],
        "287a782aff63048ef2965aaa5768e3d78d5464d406c6c80f122073e1968b3d2b"),
    (Window, 16 * GIB, [27_501, 129_757_500, 131_385_000], [99_562_500, 95_285_000], [891_452_500, 131_887_500, 162_945_000],
        "d1af0b695332c2f9f1cb56a219bcb825c2488b365effaa366a84fef224cab835"),
    (Window, 32 * GIB, [25_840, 125_279_217, 126_902_376], [96_179_805, 91_925_766], [862_390_719, 127_398_015, 157_401_792],
        "39901412256e53a9a57b505c1757fc323e4094e72971ce4036ff37f389cc6c43"),
    (Window, 64 * GIB, [25_301, 129_887_900, 131_500_200], [99_624_500, 95_413_200], [893_299_300, 132_008_500, 163_088_400],
        "c69aed4c4777ab46f6c7f72946dcc7fc6c36d315315eb2893e80e15789f55412"),
];

fn shape(kind: PoStKind, size: u64) -> PoStShape {
    // Filecash knows every size.
    PoStShape::new(kind, for_size(Profile::Filecash, size).unwrap())
}

/// Whether a circuit is small enough to look at all its rows.
fn is_small(kind: PoStKind, size: u64) -> bool {
    kind == Winning || size <= GIB
}

/// Every size of both networks, 64 GiB included: templates make that cheap.
#[test]
fn counts_match_the_reference_at_every_size() {
    for &(kind, size, counts, dense, non_zeros, _) in REFERENCES {
        let recorded = shape(kind, size).blank().record();
        assert_eq!([recorded.inputs(), recorded.constraints(), recorded.aux()], counts, "{kind} {size}");
        assert_eq!(recorded.inputs(), 1 + shape(kind, size).inputs());
        assert_eq!(recorded.matrices().map(|matrix| matrix.non_zeros()), non_zeros);
        if is_small(kind, size) {
            let density = Density::new(&recorded);
            assert_eq!([density.a_aux.count(), density.b_aux.count()], dense, "{kind} {size}");
        }
    }
}

/// The large window circuits take the example `circuit_digest`, a minute or more each.
#[test]
fn digests_match_the_reference() {
    for &(kind, size, .., digest) in REFERENCES.iter().filter(|row| is_small(row.0, row.1)) {
        assert_eq!(hex::encode(shape(kind, size).blank().record().digest()), digest, "{kind} {size}");
    }
}

/// Without blocks, row by row as the circuit makes them.
#[test]
fn flat_recording_gives_the_same_as_blocks() {
    for &(kind, size, counts, dense, _, digest) in REFERENCES.iter().filter(|row| row.1 == 32 * KIB) {
        let mut recorder = DigestRecorder::new();
        shape(kind, size).blank().read(&mut recorder).unwrap();
        let summary = recorder.finish();
        assert_eq!([summary.inputs, summary.constraints, summary.aux], counts);
        assert_eq!((summary.dense, hex::encode(summary.digest).as_str()), (dense, digest));
    }
}

/// The formulas of `spec/snark.md` 2.7: constraints and aux variables.
#[test]
fn counts_follow_their_formulas() {
    let levels = |shape: &PoStShape, [eight, four, two]: [usize; 3]| {
        let of = |arity| [(8, eight), (4, four), (2, two)].into_iter().find(|known| known.0 == arity).unwrap().1;
        shape.arities().into_iter().map(of).sum::<usize>()
    };
    for params in all(Profile::Filecash) {
        for kind in [Winning, Window] {
            let shape = PoStShape::new(kind, params);
            let (s, c) = (shape.slots, shape.challenges);
            let [constraints, aux] = [levels(&shape, [530, 387, 314]), levels(&shape, [537, 390, 315])];
            let recorded: Shape = shape.blank().record();
            let expected = [s * (313 + c * (constraints + 2)), s * (314 + c * (aux + 1))];
            assert_eq!([recorded.constraints(), recorded.aux()], expected, "{kind} {}", params.name);
        }
    }
}

#[test]
fn bellman_reads_the_same_circuit() {
    use crate::circuit::ShapeRecorder;
    use bellman::Circuit;

    let &(kind, size, .., digest) = &REFERENCES[12];
    assert_eq!((kind, size), (Window, 2 * KIB));
    let mut recorder = ShapeRecorder::new();
    Circuit::synthesize(shape(kind, size).blank(), &mut recorder).unwrap();
    assert_eq!(hex::encode(recorder.finish().digest()), digest);
}
