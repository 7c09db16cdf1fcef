//! Parameters that are not there, damaged, or of another circuit.

use std::fs;

use blstrs::{G1Affine, G2Affine};
use ff::Field;
use filecash_engine::Error;
use filecash_engine::api::prove::commit_phase2;
use filecash_engine::api::verify::verify_seal;
use filecash_engine::circuit::{Column, Shape};
use filecash_engine::field::Fr;
use filecash_engine::groth16::{Proof, Toxic, VerifyingKey};
use filecash_engine::params::{CircuitKind, FileKind, ParamError, ParamId, ParamStore};
use filecash_engine::sector::Profile;
use group::Curve;
use group::prime::PrimeCurveAffine;
use rand_core::SeedableRng;
use rand_xorshift::XorShiftRng;

use crate::support::{IDENTITY, SEED, Sandbox, State};

/// Public inputs of a PoRep of 2 KiB.
pub const INPUTS: usize = 3 + 2 * (1 + 1 + 1 + 15);

fn shape() -> Shape {
    let mut shape = Shape::new();
    let (y, x, one) = (shape.push_input(), shape.push_aux(), Fr::ONE);
    shape.push_constraint(&mut vec![(x, one)], &mut vec![(x, one)], &mut vec![(y, one)]);
    shape.push_constraint(&mut vec![(x, one)], &mut vec![(Column::ONE, one)], &mut vec![(x, one)]);
    shape
}

fn id() -> ParamId {
    ParamId::new(Profile::Filecash, CircuitKind::PoRep, 2048).unwrap()
}

/// The place of a parameter file below the sandbox.
pub fn file(kind: FileKind) -> String {
    format!("params/filecash/{}", id().file_name(kind))
}

/// A sealed sector with the parameters of a tiny circuit.
fn with_tiny_params() -> Sandbox {
    let sandbox = Sandbox::new(Profile::Filecash, State::Sealed);
    let store = ParamStore::new(&sandbox.settings.parameter_cache);
    let toxic = Toxic::random(XorShiftRng::from_seed([9; 16]));
    sandbox.run(|job| store.create(job, &id(), &shape(), &toxic)).unwrap();
    sandbox
}

pub fn g1(i: u64) -> G1Affine {
    (G1Affine::generator() * Fr::from(i)).to_affine()
}

pub fn g2(i: u64) -> G2Affine {
    (G2Affine::generator() * Fr::from(i)).to_affine()
}

/// A verifying key of no circuit, for so many inputs without ONE.
pub fn key(inputs: usize) -> VerifyingKey {
    VerifyingKey {
        alpha_g1: g1(2),
        beta_g1: g1(3),
        beta_g2: g2(3),
        gamma_g2: g2(4),
        delta_g1: g1(5),
        delta_g2: g2(5),
        ic: (0..=inputs as u64).map(|i| g1(6 + i)).collect(),
    }
}

/// A sealed sector with a verifying key that fits the circuit's inputs.
pub fn with_key() -> Sandbox {
    let sandbox = Sandbox::new(Profile::Filecash, State::Sealed);
    fs::create_dir_all(sandbox.path("params/filecash")).unwrap();
    fs::write(sandbox.path(&file(FileKind::VerifyingKey)), key(INPUTS).to_bytes()).unwrap();
    sandbox
}

pub fn c2(sandbox: &Sandbox) -> Result<Vec<u8>, Error> {
    sandbox.run(|job| commit_phase2(job, &sandbox.config, &sandbox.proven, &IDENTITY))
}

/// A well-formed proof of nothing.
pub fn proof() -> Proof {
    Proof { a: g1(7), b: g2(8), c: g1(9) }
}

pub fn verify(sandbox: &Sandbox, proof: &[u8]) -> Result<(), Error> {
    let (comm_r, comm_d) = (&sandbox.phase2.comm_r, &sandbox.phase2.comm_d);
    sandbox.run(|job| verify_seal(job, &sandbox.config, comm_r, comm_d, &IDENTITY, &SEED, proof))
}

#[test]
fn missing_parameters_are_named() {
    let sandbox = Sandbox::new(Profile::Filecash, State::Sealed);
    let error = sandbox.refuses(c2, &["no parameters of", &file(FileKind::Params), "is missing"]);
    assert!(matches!(error, Error::Params(ParamError::Missing { .. })));
    let bytes = proof().to_bytes();
    let error = sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[&file(FileKind::VerifyingKey), "is missing"]);
    assert!(!error.is_rejection());
}

#[test]
fn parameters_of_another_circuit_are_named() {
    let sandbox = with_tiny_params();
    let expected = format!("it is for 1 public inputs, expected {INPUTS}");
    let error = sandbox.refuses(c2, &[&file(FileKind::Params), "is not of", &expected]);
    assert!(matches!(error, Error::Params(ParamError::OtherCircuit { .. })));
    let bytes = proof().to_bytes();
    let error =
        sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[&file(FileKind::VerifyingKey), "is not of", &expected]);
    assert!(!error.is_rejection());
    sandbox.remove(&file(FileKind::VerifyingKey));
    sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[&file(FileKind::Params), "is not of", &expected]);
}

#[test]
fn damaged_parameters_are_named() {
    let path = file(FileKind::Params);
    let damaged = |damage: &dyn Fn(&mut Vec<u8>), expected: &[&str]| {
        let sandbox = with_tiny_params();
        sandbox.edit(&path, damage);
        sandbox.refuses(c2, &[&[path.as_str()], expected].concat());
    };
    damaged(&|bytes| bytes.clear(), &["0 bytes, too short"]);
    damaged(&|bytes| bytes.truncate(865), &["865 bytes, too short"]);
    damaged(&|bytes| bytes.truncate(bytes.len() - 1), &["counts of points ask for"]);
    damaged(&|bytes| bytes.push(0), &["counts of points ask for"]);
    damaged(&|bytes| bytes[864..868].fill(0xff), &["too short"]);
    damaged(&|bytes| bytes[867] += 1, &[]);
    damaged(&|bytes| bytes[40] ^= 1, &["point 0 of α β γ δ"]);
    damaged(&|bytes| bytes[870] ^= 1, &["point 0 of IC"]);
    let sandbox = with_tiny_params();
    sandbox.folder_instead(&path);
    sandbox.refuses(c2, &[&path, "directory"]);
    let sandbox = with_tiny_params();
    fs::remove_dir_all(sandbox.path("params")).unwrap();
    fs::write(sandbox.path("params"), b"a file").unwrap();
    sandbox.refuses(c2, &[&path, "Not a directory"]);
}

/// x = 4 is on the curve, outside the subgroup.
pub fn outside() -> G1Affine {
    let mut bytes = [0; 48];
    (bytes[0], bytes[47]) = (0x80, 4);
    let point = Option::<G1Affine>::from(G1Affine::from_compressed_unchecked(&bytes)).unwrap();
    assert!(!bool::from(point.is_torsion_free()));
    point
}

#[test]
fn damaged_verifying_keys_are_named() {
    let path = file(FileKind::VerifyingKey);
    let bytes = proof().to_bytes();
    let damaged = |damage: &dyn Fn(&mut Vec<u8>), expected: &[&str]| {
        let sandbox = with_key();
        sandbox.edit(&path, damage);
        let error = sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[&[path.as_str()], expected].concat());
        assert!(!error.is_rejection());
    };
    let length = VerifyingKey::byte_len(INPUTS as u64 + 1);
    damaged(&|bytes| bytes.clear(), &["0 bytes, too short"]);
    damaged(&|bytes| bytes.truncate(bytes.len() - 1), &[&format!("{} bytes", length - 1), &length.to_string()]);
    damaged(&|bytes| bytes.push(0), &[&length.to_string()]);
    damaged(&|bytes| bytes[864..868].fill(0), &["ask for 868"]);
    damaged(&|bytes| bytes[50] ^= 1, &["point 0 of α β γ δ", "curve"]);
    damaged(&|bytes| bytes[868 + 96 * 3 + 7] ^= 1, &["point 3 of IC", "curve"]);
    damaged(
        &|bytes| bytes[868..868 + 96].copy_from_slice(&outside().to_uncompressed()),
        &["point 0 of IC", "subgroup"],
    );
    damaged(&|bytes| bytes[..96].copy_from_slice(&outside().to_uncompressed()), &["point 0 of α β γ δ", "subgroup"]);
    damaged(&|bytes| bytes[..96].copy_from_slice(&G1Affine::identity().to_uncompressed()), &["identity"]);
    let sandbox = with_key();
    sandbox.folder_instead(&path);
    sandbox.refuses(|sandbox| verify(sandbox, &bytes), &[&path, "Is a directory"]);
}

#[test]
fn parameters_are_not_made_where_they_cannot_be() {
    let mut sandbox = Sandbox::new(Profile::Filecash, State::Sealed);
    sandbox.settings.parameter_cache = sandbox.path("staged");
    let toxic = Toxic::random(XorShiftRng::from_seed([9; 16]));
    let create = |sandbox: &Sandbox| {
        let store = ParamStore::new(&sandbox.settings.parameter_cache);
        sandbox.run(|job| Ok(store.create(job, &id(), &shape(), &toxic)?))
    };
    sandbox.refuses(create, &["staged/filecash", "Not a directory"]);
    sandbox.settings.parameter_cache = sandbox.path("params");
    fs::create_dir_all(sandbox.path(&file(FileKind::Params))).unwrap();
    sandbox.refuses(create, &[&file(FileKind::Params), "directory"]);
}
