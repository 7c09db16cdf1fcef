//! Aggregates against the vectors of `spec/snark.md` 7.8, and what is not accepted.

use blstrs::{G1Projective, G2Projective};
use ff::{Field, PrimeField};
use group::{Curve, Group};
use proptest::prelude::*;
use rand_core::SeedableRng;
use rand_xorshift::XorShiftRng;
use sha2::{Digest, Sha256};

use super::verify::{Equations, NUMBERS};
use super::*;
use crate::config::Config;
use crate::field::Fr;
use crate::groth16::proof::Proof;
use crate::groth16::srs::{ProverSrs, SrsFile, SrsSecrets, VerifierSrs, setup_srs};
use crate::groth16::{Simulator, VerifyingKey};
use crate::job::{Cancel, Job, Quiet};

const INC: &[u8] = b"spec transcript";

fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config::default();
    run(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

fn scalar(text: &str) -> Fr {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).unwrap();
    Fr::from_repr(bytes).unwrap()
}

/// The secrets of spec/snark.md 7.8.
fn srs(proofs: usize) -> (ProverSrs, VerifierSrs) {
    let secrets = SrsSecrets {
        a: scalar("df070738e70007073f00073807070707c7c13e07fff901383800073800070707"),
        b: scalar("decec6f6f81f3fc127c139c107e139fe2070493ece68b007e6a18f0829488f39"),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    with_job(|job| setup_srs(job, &secrets, 2 * proofs, &path)).unwrap();
    let file = SrsFile::open(&path).unwrap();
    (with_job(|job| file.prover(job, proofs)).unwrap(), *file.verifier())
}

/// Key, statement and the four proofs of spec/snark.md 7.6, with the digests printed there and in 7.5.
fn window() -> (VerifyingKey, Vec<Fr>, Vec<Proof>) {
    let key = VerifyingKey::from_bytes(include_bytes!("../../../../tests/vectors/window-2kib.vk")).unwrap();
    let inputs = include_bytes!("../../../../tests/vectors/window-2kib.inputs");
    let with_one = [&Fr::ONE.to_repr()[..], inputs].concat();
    let digest = hex::encode(Sha256::digest(with_one));
    assert_eq!(digest, "ba2f5baa24c1227870db9b191bad9a4708a220c6ebd0601b96e110d50eeb6850");
    let inputs = inputs.as_chunks().0.iter().map(|input| Fr::from_repr(*input).unwrap()).collect();
    let bytes = include_bytes!("../../../../tests/vectors/window-2kib.proofs");
    let digests = [
        "a438141c9db214da4fd44be33ee883b4a7f9f189d94ef31f9b184c21ab907f8c",
        "d31adcb5410cbbf047a0cc89d5d1016c6ae2bf6268a0d59d4cdfc5f319c59a89",
        "2912d481ef9bdb7a5dea18dd9925f24dd66acb4a649cc1131e37d7a494f1878e",
        "dacccda06cf359042215eff7931f46caceb10ab09638821eaa0313d96e64e259",
    ];
    for (bytes, digest) in bytes.chunks(192).zip(digests) {
        assert_eq!(hex::encode(Sha256::digest(bytes)), digest);
    }
    (key, inputs, Proof::many_from_bytes(bytes, 4).unwrap())
}

/// Challenges and digest of an aggregate, one expectation after the other as spec/snark.md 7.8 lists them.
struct Expected {
    hcom: &'static str,
    rho: &'static str,
    first: &'static str,
    /// y of every round that is printed, and which.
    ys: &'static [(usize, &'static str)],
    link: &'static str,
    z: &'static str,
    digest: &'static str,
}

fn check(n: usize, version: Version, expected: &Expected) {
    let (key, inputs, proofs) = window();
    let (prover, verifier) = srs(8);
    let aggregate = with_job(|job| prove(job, &prover, &proofs[..n], INC, version)).unwrap();

    let hcom = transcript::commitments(&aggregate.com_ab, &aggregate.com_c);
    assert_eq!(hcom, scalar(expected.hcom));
    let rho = transcript::weight(&hcom, INC);
    assert_eq!(rho, scalar(expected.rho));
    let mut y = transcript::first(&hcom, &aggregate.ip_ab, &aggregate.agg_c, &rho);
    assert_eq!(y, scalar(expected.first));
    for (number, round) in aggregate.rounds.iter().enumerate() {
        y = transcript::round(version, number, &y, round);
        if let Some((_, printed)) = expected.ys.iter().find(|(of, _)| *of == number) {
            assert_eq!(y, scalar(printed), "round {number}");
        }
    }
    let x = y.invert().unwrap();
    let link = transcript::link(&x, &aggregate.folded, aggregate.rounds.last().unwrap());
    assert_eq!(link, scalar(expected.link));
    assert_eq!(transcript::point(version, &x, &link, &aggregate.folded), scalar(expected.z));

    let bytes = aggregate.to_bytes().unwrap();
    assert_eq!(bytes.len(), 2260 + 2976 * n.ilog2() as usize);
    assert_eq!(hex::encode(Sha256::digest(&bytes)), expected.digest);
    assert_eq!(AggregateProof::from_bytes(&bytes).unwrap(), aggregate);

    let statements = vec![inputs; n];
    verify(&key, &verifier, &statements, INC, version, &aggregate).unwrap();
    let other = Version::ALL.into_iter().find(|other| *other != version).unwrap();
    let error = verify(&key, &verifier, &statements, INC, other, &aggregate).unwrap_err();
    assert!(matches!(error, AggregateError::Unsatisfied));
}

const COMMON_2: Expected = Expected {
    hcom: "480bde6355b6358578471138ea62233acf3a4fc5c7fcfaaa7b1bc0053e208823",
    rho: "0489172f004575f0312f83cf2255bcee109cf8214370f579c7259ed78a60de0b",
    first: "649b54fe2e8789bbe950aed35e36f9a5b6305d1a6b8f19360e500261ad325542",
    ys: &[],
    link: "",
    z: "",
    digest: "",
};
const COMMON_4: Expected = Expected {
    hcom: "442305ef124db7757a58c00988736438e2f5ca0462e2bb7d2c5e9d4b21174169",
    rho: "b05f3da78ddcfdcc0c259236e8a48ac4a8224e79b17acd9790a4e8398528da1f",
    first: "50849cf2da700a75592f27ac90c42ff1c78106898e33c36786da3348d9e19f31",
    ..COMMON_2
};

/// spec/snark.md 7.8.
#[test]
fn version_1_matches_reference() {
    let two = Expected {
        ys: &[(0, COMMON_2.first)],
        link: "6ce38d3b8120d54b1402fc59634f0031601a6535438a4733a9b38baf780d3620",
        z: "1e069c7c4e3459d300d737ab08f5677bc8ee271064b24f33397eb8f82e3dff5b",
        digest: "e80e9f653b09d6a9a750e36a5d9e2176dd21c8c292c21c6e363f4bb412d053c5",
        ..COMMON_2
    };
    check(2, Version::V1, &two);
    let four = Expected {
        ys: &[(0, COMMON_4.first), (1, "3ee7065bb86612e598c49e99d8d85fbad83a6c0d4751b0c1549b99638270445b")],
        link: "b1fd5f900f02ad07ce7c36d0a842edbadb2a7fd913f0600d34f3244e0dcb0a41",
        z: "1d452d7608546872fc73684bbc2f78626715fcc3b9343cfe630ee8fbfba93648",
        digest: "1c61a0cc80637ee58cdd292b31bc9da64e567949172c869a112825fa1e50bc29",
        ..COMMON_4
    };
    check(4, Version::V1, &four);
}

/// spec/snark.md 7.8.
#[test]
fn version_2_matches_reference() {
    let two = Expected {
        ys: &[(0, "0899b8b8c32eb031e399240f6b1b034427c2012be32de5622b1e84d36866fb68")],
        link: "b7ea8f790c2452fc42d39048a26e50ef65c56ba2deb5420a6964ad7459a6a235",
        z: "0a489ac0796008960be73d187f4140a0f5b0542feb0b4841f6e18689c33eea2f",
        digest: "f05fd2a2f80a6aa2be27878a5c2eb7c07bdd48922631545f6e0552bd4c4b7e42",
        ..COMMON_2
    };
    check(2, Version::V2, &two);
    let four = Expected {
        ys: &[
            (0, "992fd403afd6d4a74bcb6b3f2d38d7df0a2117c0711d587db99af676efca6b6e"),
            (1, "97a80d3cdc9ef02f79452d950a1c722c4e50ba8232b87402c9f8d8c84b886a2e"),
        ],
        link: "527721d38b856d206b0dca2392db768ec55ebac35d11cab590c0996b18450c1a",
        z: "f53caa63a5fedc49f9158ba37ecc19e620d6a1921726c201836431c88ef7e95d",
        digest: "18bd22fdc047ec11645ab78d3beb7df87a941da31b7a5d2406d81ea0021da827",
        ..COMMON_4
    };
    check(4, Version::V2, &four);
}

/// Different statements with their proofs.
struct Simulated {
    key: VerifyingKey,
    statements: Vec<Vec<Fr>>,
    proofs: Vec<Proof>,
    prover: ProverSrs,
    verifier: VerifierSrs,
}

fn simulated(len: usize) -> Simulated {
    let mut rng = XorShiftRng::from_seed([4; 16]);
    let simulator = Simulator::random(3, &mut rng);
    let statements: Vec<Vec<Fr>> = (0..len).map(|_| (0..3).map(|_| Fr::random(&mut rng)).collect()).collect();
    let proofs = statements.iter().map(|statement| simulator.prove(statement, &mut rng)).collect();
    let (prover, verifier) = srs(padded_len(len));
    Simulated { key: simulator.key().clone(), statements, proofs, prover, verifier }
}

impl Simulated {
    fn prove(&self, version: Version) -> AggregateProof {
        let mut proofs = self.proofs.clone();
        proofs.resize(padded_len(proofs.len()), *proofs.last().unwrap());
        with_job(|job| prove(job, &self.prover, &proofs, INC, version)).unwrap()
    }

    fn verify(&self, statements: &[Vec<Fr>], version: Version, proof: &AggregateProof) -> Result<(), AggregateError> {
        verify(&self.key, &self.verifier, statements, INC, version, proof)
    }

    /// Numbers of the equations that do not hold, each looked at alone.
    fn failing(&self, statements: &[Vec<Fr>], inc: &[u8], proof: &AggregateProof) -> Vec<u32> {
        let equations = Equations::new(&self.key, &self.verifier, statements, inc, Version::V2, proof).unwrap();
        let pairings = equations.pairings.iter().zip(NUMBERS).filter(|(equation, _)| !equations.holds(equation));
        let mut failing: Vec<u32> = pairings.map(|(_, number)| number).collect();
        if !equations.sums_agree {
            failing.push(6);
        }
        failing.sort_unstable();
        assert_eq!(equations.hold_together(), failing.iter().all(|number| *number == 6), "{failing:?}");
        failing
    }
}

#[test]
fn padded_and_larger_aggregates_verify() {
    for (len, versions) in [(1, &Version::ALL[..]), (3, &Version::ALL), (70, &[Version::V2])] {
        let simulated = simulated(len);
        for version in versions {
            let aggregate = simulated.prove(*version);
            assert_eq!(aggregate.proofs(), padded_len(len));
            let bytes = aggregate.to_bytes().unwrap();
            let aggregate = AggregateProof::from_bytes(&bytes).unwrap();
            simulated.verify(&simulated.statements, *version, &aggregate).unwrap();
        }
    }
}

/// spec/snark.md 7.8, last line.
#[test]
fn each_equation_notices_what_it_is_for() {
    let simulated = simulated(4);
    let aggregate = simulated.prove(Version::V2);
    let statements = &simulated.statements;
    assert_eq!(simulated.failing(statements, INC, &aggregate), [0_u32; 0]);

    let mut changed = statements.clone();
    changed[2][1] += Fr::ONE;
    assert_eq!(simulated.failing(&changed, INC, &aggregate), [11]);
    let mut swapped = statements.clone();
    swapped.swap(0, 1);
    assert_eq!(simulated.failing(&swapped, INC, &aggregate), [11]);
    let all: Vec<u32> = (1..=11).collect();
    assert_eq!(simulated.failing(statements, b"other", &aggregate), all);

    let g = G1Projective::generator();
    let h = G2Projective::generator();
    let changed = |change: &dyn Fn(&mut AggregateProof)| {
        let mut aggregate = aggregate.clone();
        change(&mut aggregate);
        simulated.failing(statements, INC, &aggregate)
    };
    // The openings come last and move no challenge.
    assert_eq!(changed(&|proof| proof.opening_v[0] = (h + proof.opening_v[0]).to_affine()), [7]);
    assert_eq!(changed(&|proof| proof.opening_v[1] = (h + proof.opening_v[1]).to_affine()), [8]);
    assert_eq!(changed(&|proof| proof.opening_w[0] = (g + proof.opening_w[0]).to_affine()), [9]);
    assert_eq!(changed(&|proof| proof.opening_w[1] = (g + proof.opening_w[1]).to_affine()), [10]);
    // Folded elements move z only, so the equations of the rounds see them alone.
    assert_eq!(changed(&|proof| proof.folded.c = (g + proof.folded.c).to_affine()), [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(changed(&|proof| proof.folded.a = (g + proof.folded.a).to_affine()), [1, 2, 3, 7, 8, 9, 10]);
}

#[test]
fn false_proofs_give_aggregates_that_do_not_verify() {
    let mut simulated = simulated(4);
    simulated.proofs.swap(1, 2);
    let aggregate = simulated.prove(Version::V1);
    let error = simulated.verify(&simulated.statements, Version::V1, &aggregate).unwrap_err();
    assert!(matches!(error, AggregateError::Unsatisfied));
    simulated.statements.swap(1, 2);
    simulated.verify(&simulated.statements, Version::V1, &aggregate).unwrap();
}

#[test]
fn wrong_counts_are_refused() {
    let simulated = simulated(4);
    let aggregate = simulated.prove(Version::V2);
    let statements = &simulated.statements;
    for len in [0, 1, 2] {
        let error = simulated.verify(&statements[..len], Version::V2, &aggregate).unwrap_err();
        assert!(matches!(error, AggregateError::Statements { aggregated: 4, .. }), "{error}");
    }
    // Three statements are padded with the third.
    let error = simulated.verify(&statements[..3], Version::V2, &aggregate).unwrap_err();
    assert!(matches!(error, AggregateError::Unsatisfied));
    let mut longer = statements.clone();
    longer[1].push(Fr::ONE);
    let error = simulated.verify(&longer, Version::V2, &aggregate).unwrap_err();
    assert!(matches!(error, AggregateError::WrongKey { expected: 3, actual: 4 }));
    for len in [0, 1, 3] {
        let error = with_job(|job| prove(job, &simulated.prover, &simulated.proofs[..len], INC, Version::V2));
        assert!(matches!(error, Err(AggregateError::Count { actual }) if actual == len));
    }
    let eight = [&simulated.proofs[..], &simulated.proofs].concat();
    let error = with_job(|job| prove(job, &simulated.prover, &eight, INC, Version::V2));
    assert!(matches!(error, Err(AggregateError::SmallSrs { needed: 8, available: 4 })));
}

/// C_r under v_l is `C_2 · h + C_3 · a·h`, which proofs can be made to cancel.
#[test]
fn proofs_that_cancel_out_have_no_encoding() {
    let mut simulated = simulated(4);
    simulated.proofs[2].c = -simulated.prover.g_a[1];
    simulated.proofs[3].c = simulated.prover.g_a[0];
    assert_eq!(simulated.prove(Version::V2).to_bytes(), None);
}

#[test]
fn damaged_bytes_are_named() {
    let simulated = simulated(4);
    let bytes = simulated.prove(Version::V2).to_bytes().unwrap();
    let read = AggregateProof::from_bytes;
    assert_eq!(read(&[]), Err(FormatError::Short { actual: 0 }));
    assert_eq!(read(&bytes[..5235]), Err(FormatError::Short { actual: 5235 }));
    let [proofs, expected, actual] = [4, 8212, 8211];
    assert_eq!(read(&bytes[..actual]), Err(FormatError::Length { proofs: proofs as u32, expected, actual }));
    let edited = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        read(&bytes)
    };
    for proofs in [0, 1, 3, 1 << 20, u32::MAX] {
        assert_eq!(edited(1488, &proofs.to_le_bytes()), Err(FormatError::Count { proofs }));
    }
    let expected = AggregateProof::byte_len(1 << 19);
    let huge = Err(FormatError::Length { proofs: 1 << 19, expected, actual: bytes.len() });
    assert_eq!(edited(1488, &(1_u32 << 19).to_le_bytes()), huge);
    let element = |what, at| Err(FormatError::Element { what, at });
    assert_eq!(edited(288, &[0xff; 288]), element("element of Gt", 288));
    assert_eq!(edited(1440, &[0]), element("point of G1", 1440));
    // The folded B begins after 25 elements of Gt, five points of G1, a count, and A.
    let b = 25 * 288 + 5 * 48 + 4 + 48;
    assert_eq!(edited(b, &[0]), element("point of G2", b));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
        let _ = AggregateProof::from_bytes(&bytes);
    }
}
