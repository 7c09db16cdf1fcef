//! The whole of Groth16 against bellman 0.14 and the vectors of `spec/snark.md` 7.6.

use std::io::Cursor;
use std::path::Path;

use bellman::gadgets::boolean::{AllocatedBit, Boolean};
use bellman::gadgets::multipack;
use bellman::gadgets::sha256::sha256;
use bellman::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use blstrs::Bls12;
use ff::{Field, PrimeField};
use group::{Curve, Group};
use rand_core::SeedableRng;
use rand_xorshift::XorShiftRng;
use sha2::{Digest, Sha256};

use super::key::KeyProblem;
use super::prove::check_counts;
use super::setup::setup_with;
use super::*;
use crate::backend::cpu::curve::{PortableG1, PortableG2};
use crate::backend::cpu::ntt::Domain;
use crate::circuit::{Column, Evaluations, Shape, Witness};
use crate::config::Config;
use crate::field::Fr;
use crate::job::{Cancel, Job, Quiet};

/// Records a circuit and its values.
struct Recorder {
    shape: Shape,
    witness: Witness,
}

impl Recorder {
    fn run<C: Circuit<Fr>>(circuit: C) -> Self {
        let mut recorder =
            Self { shape: Shape::new(), witness: Witness { inputs: vec![Fr::ONE], ..Witness::default() } };
        circuit.synthesize(&mut recorder).unwrap();
        recorder
    }

    fn evaluations(&self) -> Evaluations {
        self.shape.evaluate(&self.witness)
    }
}

fn terms(lc: LinearCombination<Fr>) -> Vec<(Column, Fr)> {
    lc.as_ref()
        .iter()
        .map(|(variable, coefficient)| match variable.get_unchecked() {
            Index::Input(index) => (Column::input(index), *coefficient),
            Index::Aux(index) => (Column::aux(index), *coefficient),
        })
        .collect()
}

impl ConstraintSystem<Fr> for Recorder {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.witness.aux.push(value().unwrap_or(Fr::ZERO));
        Ok(Variable::new_unchecked(Index::Aux(self.shape.push_aux().index())))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.witness.inputs.push(value().unwrap_or(Fr::ZERO));
        Ok(Variable::new_unchecked(Index::Input(self.shape.push_input().index())))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        let zero = LinearCombination::zero;
        self.shape.push_constraint(&mut terms(a(zero())), &mut terms(b(zero())), &mut terms(c(zero())));
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}
    fn pop_namespace(&mut self) {}
    fn get_root(&mut self) -> &mut Self {
        self
    }
}

/// y = x³ + x + 5 with y public, and some bits of which some are not in B.
#[derive(Clone, Copy)]
struct Cubic {
    x: Option<u64>,
    loose: bool,
}

impl Circuit<Fr> for Cubic {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let x = self.x.map(Fr::from);
        let value = |f: fn(Fr) -> Fr| move || x.map(f).ok_or(SynthesisError::AssignmentMissing);
        let y = cs.alloc_input(|| "y", value(|x| x * x * x + x + Fr::from(5)))?;
        let variable = cs.alloc(|| "x", value(|x| x))?;
        let square = cs.alloc(|| "x²", value(|x| x * x))?;
        cs.enforce(|| "square", |lc| lc + variable, |lc| lc + variable, |lc| lc + square);
        cs.enforce(
            || "cube",
            |lc| lc + square,
            |lc| lc + variable,
            |lc| lc + y - variable - (Fr::from(5), CS::one()) + (Fr::from(3), square) - (Fr::from(3), square),
        );
        for bit in 0..5 {
            let bit = Boolean::from(AllocatedBit::alloc(&mut *cs, Some(bit % 2 == 0))?);
            cs.enforce(|| "sum", |lc| lc, |lc| lc, |lc| lc + &bit.lc(CS::one(), Fr::ONE) - &bit.lc(CS::one(), Fr::ONE));
        }
        if self.loose {
            cs.alloc(|| "unconstrained", || Ok(Fr::ONE))?;
        }
        Ok(())
    }
}

const CUBIC: Cubic = Cubic { x: Some(3), loose: false };

/// Knowledge of 64 bytes with a given SHA-256, its digest packed into inputs.
#[derive(Clone)]
struct Preimage(Option<[u8; 64]>);

impl Circuit<Fr> for Preimage {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        let bits = (0..512)
            .map(|index| {
                let bit = self.0.map(|bytes| bytes[index / 8] >> (7 - index % 8) & 1 == 1);
                AllocatedBit::alloc(cs.namespace(|| index.to_string()), bit).map(Boolean::from)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let digest = sha256(cs.namespace(|| "sha256"), &bits)?;
        multipack::pack_into_inputs(cs.namespace(|| "digest"), &digest)
    }
}

fn toxic() -> Toxic {
    Toxic::random(XorShiftRng::from_seed([9; 16]))
}

fn with_job<T>(memory_bytes: u64, run: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config { memory_bytes, ..Config::default() };
    run(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

fn setup_in(folder: &Path, shape: &Shape) -> (VerifyingKey, ParamsFile) {
    let path = folder.join("test.params");
    let key = with_job(1 << 28, |job| setup(job, shape, &toxic(), &path)).unwrap();
    (key, ParamsFile::open(&path).unwrap())
}

fn prove_from(params: &ParamsFile, recorder: &Recorder, r: u64, s: u64) -> Result<Proof, ProveError> {
    let density = Density::new(&recorder.shape);
    let evaluations = recorder.evaluations();
    let secrets = [Fr::from(r), Fr::from(s)];
    with_job(1 << 28, |job| prove(job, params, &density, evaluations, recorder.witness.clone(), secrets))
}

fn bellman_params<C: Circuit<Fr>>(circuit: C) -> bellman::groth16::Parameters<Bls12> {
    let Toxic { g1, g2, alpha, beta, gamma, delta, tau } = toxic();
    bellman::groth16::generate_parameters::<Bls12, _>(circuit, g1, g2, alpha, beta, gamma, delta, tau).unwrap()
}

/// spec/snark.md 7.6.
#[test]
fn toxic_values_match_reference() {
    let toxic = toxic();
    for (value, expected) in [
        (toxic.alpha, "b5aea94bdf3b25bed978d0c0ea62c855e0b212539e807ec4783e2b8745c3e211"),
        (toxic.beta, "2be6a15731e6eb674accedb9d9c8923e9ee15a660a59b85e0b41e089ee849c21"),
        (toxic.gamma, "52c77b905eac970cde5cf4873a038a426e1d850cfcb5c1bd361cf698c14f770a"),
        (toxic.delta, "8c5d3daee273e31ea4cbdc36f983e506946f70425b780947f51a5897acb9883d"),
        (toxic.tau, "2674e88ab78515c7193e6e81061dfbb07b067b79de0c2812746646e217443d0a"),
    ] {
        assert_eq!(hex::encode(value.to_repr()), expected);
    }
}

#[test]
fn keys_and_proofs_equal_bellmans() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::run(CUBIC);
    let (key, params) = setup_in(folder.path(), &recorder.shape);
    let theirs = bellman_params(Cubic { x: None, ..CUBIC });
    let mut bytes = Vec::new();
    theirs.write(&mut bytes).unwrap();
    assert_eq!(std::fs::read(params.path()).unwrap(), bytes);
    let mut vk = Vec::new();
    theirs.vk.write(&mut vk).unwrap();
    assert_eq!(key.to_bytes(), vk);
    assert_eq!(params.verifying_key_bytes().unwrap(), vk);
    assert_eq!(VerifyingKey::from_bytes(&vk).unwrap(), key);
    assert_eq!(params.verifying_key(), &key);

    // Both kinds of arithmetic.
    let portable = folder.path().join("portable.params");
    with_job(1 << 28, |job| setup_with::<PortableG1, PortableG2>(job, &recorder.shape, &toxic(), &portable)).unwrap();
    assert_eq!(std::fs::read(&portable).unwrap(), bytes);

    let (r, s) = (123, 456);
    let ours = prove_from(&params, &recorder, r, s).unwrap();
    let proof = bellman::groth16::create_proof(CUBIC, &theirs, Fr::from(r), Fr::from(s)).unwrap();
    let mut bytes = Vec::new();
    proof.write(&mut bytes).unwrap();
    assert_eq!(ours.to_bytes()[..], bytes);
    let verifier = Verifier::new(&key);
    assert_eq!(verifier.verify(&ours, &[Fr::from(35)]), Ok(()));
    assert_eq!(verifier.verify(&ours, &[Fr::from(36)]), Err(VerifyError::Unsatisfied { index: 0 }));
    assert_eq!(verifier.verify(&ours, &[]), Err(VerifyError::WrongKey { expected: 1, actual: 0 }));
}

/// spec/snark.md 7.6, the SHA circuit.
#[test]
fn sha_circuit_matches_reference() {
    let folder = tempfile::tempdir().unwrap();
    let blank = Recorder::run(Preimage(None));
    let (key, params) = setup_in(folder.path(), &blank.shape);
    let counts = [Section::H, Section::L, Section::A, Section::B1, Section::Ic].map(|section| params.count(section));
    assert_eq!(counts, [65_535, 45_340, 45_343, 11_501, 3]);
    assert_eq!(params.byte_len(), 18_310_392);
    let digest = hex::encode(Sha256::digest(std::fs::read(params.path()).unwrap()));
    assert_eq!(digest, "e04b5e75a7429f596d5e82881ac4ab075469882ce0e4532e95f0c6acf6cb995a");

    let recorder = Recorder::run(Preimage(Some([0x5a; 64])));
    assert_eq!(recorder.shape.digest(), blank.shape.digest());
    let proof = prove_from(&params, &recorder, 77, 99).unwrap();
    let digest = hex::encode(Sha256::digest(proof.to_bytes()));
    assert_eq!(digest, "1af707283de0ffb74c7e55b523773a1d596574c7ad971de23697fa7fc411103b");
    assert_eq!(Verifier::new(&key).verify(&proof, &recorder.witness.inputs[1..]), Ok(()));

    // The least memory that is enough gives the same proof in small windows, and a byte less is refused.
    let density = Density::new(&recorder.shape);
    let with = |memory| {
        with_job(memory, |job| {
            let secrets = [Fr::from(77), Fr::from(99)];
            prove(job, &params, &density, recorder.evaluations(), recorder.witness.clone(), secrets)
        })
    };
    let Err(ProveError::Memory { needed, available: 0 }) = with(0) else { panic!("memory is not checked") };
    assert_eq!(with(needed).unwrap(), proof);
    assert!(matches!(with(needed - 1), Err(ProveError::Memory { .. })));
}

/// Vectors in files, with evaluations that are there, and with the circuit.
#[test]
fn proofs_from_files_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::run(Preimage(Some([0x17; 64])));
    let (_, params) = setup_in(folder.path(), &recorder.shape);
    let expected = prove_from(&params, &recorder, 5, 6).unwrap();
    let density = Density::new(&recorder.shape);
    let domain = Domain::at_least(density.rows()).unwrap();
    let prove_with = |recorder: &Recorder, memory_bytes, is_compact, scratch: &Path| {
        let config = Config { memory_bytes, scratch: scratch.to_owned(), ..Config::default() };
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        let rows = if is_compact { Rows::from(recorder.evaluations()) } else { Rows::from(&recorder.shape) };
        prove(&job, &params, &density, rows, recorder.witness.clone(), [Fr::from(5), Fr::from(6)])
    };
    let bytes = |recorder: &Recorder, is_compact| {
        let Evaluations { a, b, c } = recorder.evaluations();
        let rows = [a, b, c].map(|values| values.memory_bytes()).iter().sum::<usize>();
        (recorder.witness.aux.memory_bytes() + if is_compact { rows } else { 0 }) as u64
    };
    for is_compact in [true, false] {
        let least = least_memory(&domain, bytes(&recorder, is_compact), rayon::current_num_threads());
        let on_disk = least.on_disk.unwrap();
        assert!(least.in_memory > on_disk + (3 << 20), "{least:?}");
        for budget in [on_disk, on_disk + (1 << 20), least.in_memory - 1] {
            let proof = prove_with(&recorder, budget, is_compact, folder.path()).unwrap();
            assert_eq!(proof, expected, "{budget} bytes, compact: {is_compact}");
        }
        let absent = folder.path().join("absent");
        let error = prove_with(&recorder, on_disk, is_compact, &absent).unwrap_err();
        assert!(matches!(&error, ProveError::Scratch(_)), "{error}");
        assert!(error.to_string().contains("absent"), "{error}");
        assert!(prove_with(&recorder, least.in_memory, is_compact, &absent).is_ok());
    }
    // Nothing stays.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    recorder.witness.inputs[1] += Fr::ONE;
    for is_compact in [true, false] {
        let budget = least_memory(&domain, bytes(&recorder, is_compact), rayon::current_num_threads()).on_disk.unwrap();
        let proof = prove_with(&recorder, budget, is_compact, folder.path());
        assert!(matches!(proof, Err(ProveError::Unsatisfied)), "{proof:?}");
    }
}

/// Wherever their quotients wait, and when there is no room for them to wait.
#[test]
fn proofs_made_together_are_those_made_alone() {
    let folder = tempfile::tempdir().unwrap();
    let recorders = [0x11, 0x22, 0x33].map(|byte| Recorder::run(Preimage(Some([byte; 64]))));
    let (_, params) = setup_in(folder.path(), &recorders[0].shape);
    let density = Density::new(&recorders[0].shape);
    let domain = Domain::at_least(density.rows()).unwrap();
    let threads = rayon::current_num_threads();
    let expected: Vec<_> =
        (5..).zip(&recorders).map(|(r, recorder)| prove_from(&params, recorder, r, 6).unwrap()).collect();
    let footprint = |recorder: &Recorder| {
        let Evaluations { a, b, c } = recorder.evaluations();
        let rows = [a, b, c].map(|values| values.memory_bytes() as u64).iter().sum();
        Footprint { witness: recorder.witness.aux.memory_bytes() as u64, rows }
    };
    // All of them, and how many batches it takes.
    let together = |memory_bytes, scratch: &Path| {
        let config = Config { memory_bytes, scratch: scratch.to_owned(), ..Config::default() };
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        let (mut proofs, mut batches) = (Vec::new(), 0);
        while proofs.len() < recorders.len() {
            let mut batch = Batch::new(&job, &params, &density, recorders.len() - proofs.len()).unwrap();
            assert!(batch.is_empty());
            for (r, recorder) in (5..).zip(&recorders).skip(proofs.len()) {
                let secrets = [Fr::from(r), Fr::from(6)];
                match batch.add(recorder.evaluations(), recorder.witness.clone(), secrets) {
                    Err(ProveError::Memory { .. } | ProveError::Scratch(_)) if !batch.is_empty() => break,
                    added => added?,
                }
                if batch.is_full() {
                    break;
                }
            }
            proofs.extend(batch.finish()?);
            batches += 1;
        }
        Ok::<_, ProveError>((proofs, batches))
    };
    let plan = |budget| Together::plan(&domain, footprint(&recorders[0]), threads, budget, 3).unwrap();
    let absent = folder.path().join("absent");
    let mut seen = Vec::new();
    let Footprint { witness, rows } = footprint(&recorders[0]);
    let least = least_memory(&domain, witness + rows, threads).on_disk.unwrap() + (8 << 10);
    for budget in (0..40).map(|step: u64| least + (step << 18)) {
        let way = plan(budget);
        if seen.contains(&way) {
            continue;
        }
        seen.push(way);
        let (proofs, batches) = together(budget, folder.path()).unwrap();
        assert!(proofs == expected, "{budget} bytes, {way:?}");
        assert_eq!(batches, 3_usize.div_ceil(way.proofs), "{way:?}");
        match (way.waiting, together(budget, &absent)) {
            (Waiting::Memory, others) => assert_eq!(others.unwrap().1, batches),
            // One that cannot be put away waits for nobody.
            (Waiting::Files, others) => {
                let (others, more) = others.unwrap();
                assert!(others == proofs && more > batches, "{way:?}: {more} batches");
            }
            (Waiting::AllInFiles, others) => assert!(matches!(others, Err(ProveError::Scratch(_)))),
        }
    }
    for waiting in [Waiting::Memory, Waiting::Files, Waiting::AllInFiles] {
        assert!(seen.iter().any(|way| way.waiting == waiting && way.proofs > 1), "{waiting:?}: {seen:?}");
    }
    assert!(seen.contains(&Together { proofs: 3, waiting: Waiting::Memory }));
    // A false one is named, and nothing stays.
    let mut false_one = recorders[1].witness.clone();
    false_one.inputs[1] += Fr::ONE;
    with_job(1 << 28, |job| {
        let mut batch = Batch::new(job, &params, &density, 2).unwrap();
        let secrets = [Fr::ONE; 2];
        batch.add(recorders[0].evaluations(), recorders[0].witness.clone(), secrets).unwrap();
        let error = batch.add(recorders[1].shape.evaluate(&false_one), false_one, secrets).unwrap_err();
        assert!(matches!(error, ProveError::Unsatisfied), "{error}");
        assert_eq!(batch.finish().unwrap().len(), 1);
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn batches_accept_true_proofs_and_name_the_false_one() {
    let folder = tempfile::tempdir().unwrap();
    let (key, params) = setup_in(folder.path(), &Recorder::run(CUBIC).shape);
    let verifier = Verifier::new(&key);
    let (mut proofs, mut inputs) = (Vec::new(), Vec::new());
    for x in 3..8 {
        let recorder = Recorder::run(Cubic { x: Some(x), ..CUBIC });
        proofs.push(prove_from(&params, &recorder, 10 + x, 20 + x).unwrap());
        inputs.push(recorder.witness.inputs[1..].to_vec());
    }
    assert_eq!(verifier.verify_all(&proofs, &inputs), Ok(()));
    assert_eq!(verifier.verify_all(&proofs[..1], &inputs[..1]), Ok(()));
    assert_eq!(verifier.verify_all(&[], &[]), Err(VerifyError::Empty));
    assert_eq!(verifier.verify_all(&proofs, &inputs[1..]), Err(VerifyError::Counts { proofs: 5, inputs: 4 }));
    proofs[3].c = (proofs[3].c + blstrs::G1Projective::from(proofs[2].c)).to_affine();
    assert_eq!(verifier.verify_all(&proofs, &inputs), Err(VerifyError::Unsatisfied { index: 3 }));
    proofs.swap(0, 3);
    inputs[2].push(Fr::ONE);
    assert_eq!(verifier.verify_all(&proofs, &inputs), Err(VerifyError::WrongKey { expected: 1, actual: 2 }));
}

#[test]
fn unconstrained_variables_and_bad_secrets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.params");
    let shape = Recorder::run(Cubic { loose: true, ..CUBIC }).shape;
    let error = with_job(1 << 28, |job| setup(job, &shape, &toxic(), &path)).unwrap_err();
    assert!(matches!(error, SetupError::Unconstrained { aux: 7 }), "{error}");
    let shape = Recorder::run(CUBIC).shape;
    for spoil in [
        |toxic: &mut Toxic| toxic.tau = Fr::ONE,
        |toxic: &mut Toxic| toxic.delta = Fr::ZERO,
        |toxic: &mut Toxic| toxic.alpha = Fr::ZERO,
        |toxic: &mut Toxic| toxic.g1 = blstrs::G1Projective::identity(),
    ] {
        let mut toxic = toxic();
        spoil(&mut toxic);
        let error = with_job(1 << 28, |job| setup(job, &shape, &toxic, &path)).unwrap_err();
        assert!(matches!(error, SetupError::Toxic), "{error}");
    }
    let error = with_job(0, |job| setup(job, &shape, &toxic(), &path)).unwrap_err();
    assert!(matches!(error, SetupError::Memory { available: 0, .. }), "{error}");
    let error =
        with_job(1 << 28, |job| setup(job, &shape, &toxic(), &folder.path().join("no/test.params"))).unwrap_err();
    assert!(matches!(error, SetupError::Write(_)), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn cancelling_stops_set_up_and_prover() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::run(CUBIC);
    let (_, params) = setup_in(folder.path(), &recorder.shape);
    let cancel = Cancel::default();
    cancel.cancel();
    let job = Job { config: &Config::default(), progress: &Quiet, cancel: &cancel };
    let path = folder.path().join("other.params");
    assert!(matches!(setup(&job, &recorder.shape, &toxic(), &path), Err(SetupError::Cancelled(_))));
    let density = Density::new(&recorder.shape);
    let proof = prove(&job, &params, &density, recorder.evaluations(), recorder.witness, [Fr::ONE; 2]);
    assert!(matches!(proof, Err(ProveError::Cancelled(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn false_witnesses_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::run(CUBIC);
    let (_, params) = setup_in(folder.path(), &recorder.shape);
    recorder.witness.inputs[1] += Fr::ONE;
    assert!(matches!(prove_from(&params, &recorder, 1, 2), Err(ProveError::Unsatisfied)));
    recorder.witness.inputs[0] = Fr::ZERO;
    assert!(matches!(prove_from(&params, &recorder, 1, 2), Err(ProveError::One)));
    recorder.witness.inputs.push(Fr::ONE);
    assert!(matches!(prove_from(&params, &recorder, 1, 2), Err(ProveError::Counts { what: "inputs", .. })));
}

#[test]
fn parameters_of_another_circuit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, params) = setup_in(folder.path(), &Recorder::run(CUBIC).shape);
    let mut other = Recorder::run(CUBIC).shape;
    other.push_constraint(&mut vec![], &mut vec![(Column::aux(3), Fr::ONE)], &mut vec![]);
    other.push_constraint(&mut vec![], &mut vec![(Column::aux(1), Fr::ONE)], &mut vec![]);
    let density = Density::new(&other);
    let Err(error) = check_counts(&params, &density) else { panic!("B has one more") };
    assert!(matches!(error, ProveError::WrongParameters { section: Section::B1, .. }), "{error}");
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, params) = setup_in(folder.path(), &Recorder::run(CUBIC).shape);
    let good = std::fs::read(params.path()).unwrap();
    let path = folder.path().join("damaged.params");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        ParamsFile::open(&path).map(|_| ()).map_err(|error| {
            assert!(error.to_string().contains("damaged.params"), "{error}");
            error.problem
        })
    };
    assert!(open(&good).is_ok());
    for len in (0..good.len()).step_by(37) {
        assert!(open(&good[..len]).is_err(), "{len} bytes");
    }
    let longer = [&good[..], &[0]].concat();
    let expected = good.len() as u64;
    assert!(
        matches!(open(&longer), Err(KeyProblem::Length { expected: e, actual }) if e == expected && actual == e + 1)
    );
    // Counts of 2^32 - 1 points, and points that are none.
    for at in [864, params.verifying_key_bytes().unwrap().len()] {
        let mut bytes = good.clone();
        bytes[at..at + 4].fill(0xff);
        assert!(matches!(open(&bytes), Err(KeyProblem::Truncated { .. } | KeyProblem::Length { .. })));
    }
    let mut bytes = good.clone();
    bytes[95] ^= 1;
    assert!(matches!(open(&bytes), Err(KeyProblem::Point { section: Section::Head, index: 0, .. })));
    let mut bytes = good.clone();
    bytes[868 + 96..868 + 2 * 96].fill(0);
    bytes[868 + 96] = 0x40;
    assert!(matches!(open(&bytes), Err(KeyProblem::Point { section: Section::Ic, index: 1, .. })));

    // A damaged point of a section is named when it is used.
    let mut bytes = good.clone();
    let h = params.verifying_key_bytes().unwrap().len() + 4;
    bytes[h + 2 * 96 - 1] ^= 1;
    assert!(open(&bytes).is_ok());
    let error = prove_from(&ParamsFile::open(&path).unwrap(), &Recorder::run(CUBIC), 1, 2).unwrap_err();
    let ProveError::Key(error) = error else { panic!("{error}") };
    assert!(matches!(error.problem, KeyProblem::Point { section: Section::H, index: 1, .. }), "{error}");
}

#[test]
fn verifying_keys_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = setup_in(folder.path(), &Recorder::run(CUBIC).shape);
    let good = key.to_bytes();
    assert_eq!(good.len() as u64, VerifyingKey::byte_len(2));
    assert!(matches!(VerifyingKey::from_bytes(&good[1..]), Err(KeyProblem::Length { .. } | KeyProblem::Point { .. })));
    for at in [0, 96, 192, 384, 576, 672, 868, 868 + 96] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x80;
        assert!(matches!(VerifyingKey::from_bytes(&bytes), Err(KeyProblem::Point { .. })), "byte {at}");
    }
    let mut none = good[..868].to_vec();
    none[864..].fill(0);
    assert!(matches!(VerifyingKey::from_bytes(&none), Err(KeyProblem::NoInputs)));
    // bellman reads what we write.
    let theirs = bellman::groth16::VerifyingKey::<Bls12>::read(Cursor::new(&good)).unwrap();
    assert_eq!(theirs.ic.len(), 2);
    let path = folder.path().join("test.vk");
    std::fs::write(&path, &good).unwrap();
    assert_eq!(VerifyingKey::open(&path).unwrap(), key);
    assert!(VerifyingKey::open(&folder.path().join("absent.vk")).is_err());
}
