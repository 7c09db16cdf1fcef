//! Aggregated proofs as Filecoin uses them: the proofs of many sectors, or of many partitions of one, as one.
//!
//! [`aggregate()`] and [`verify()`] take any proofs of one key, with the bytes that are bound into the transcript (`inc`).
//! [`aggregate_seals`] and [`verify_aggregate`] are for seal proofs: all partitions of all sectors, in the order of the
//! sectors, and `inc = SHA-256(seed ‖ comm_r, …)` over the sectors. Proofs are padded to a power of two, at least 2, by
//! repeating the last one with its statement.
//!
//! Aggregates need the network's reference string, `v28-fil-inner-product-v1.srs` in the parameter cache. Of the profiles
//! only `filecoin` has aggregation.
//!
//! Source: `spec/snark.md` 5.4, "How Filecoin uses it"; FIP-0013.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rand_core::OsRng;
use sha2::{Digest, Sha256};
use tracing::info_span;

use super::batch::{ProvenSeal, SealStatement, SealVerifier};
use crate::error::Error;
use crate::field::Fr;
use crate::groth16::aggregate::{self, AggregateError, AggregateProof, Version, padded_len, proof::MAX_PROOFS};
use crate::groth16::srs::{MAX_POWERS, SRS_FILE_NAME, SrsFile, SrsSecrets, Vector, setup_srs};
use crate::groth16::{Proof, VerifyingKey};
use crate::job::Job;
use crate::params::{ParamStore, manifest};
use crate::sector::{Feature, PoRepConfig, Profile};
use crate::store::atomic::WriteError;

/// Digest of the network's file, as hex digits. Source: `spec/snark.md` 4.6.
pub const PUBLISHED_DIGEST: &str = "ae20310138f5ba81451d723f858e3797";
/// CID of the network's file, there too.
pub const PUBLISHED_CID: &str = "Qmdq44DjcQnFfU3PJcdX7J49GCqcUYszr1TxMbHtAkvQ3g";

/// Why seals were not aggregated, where no other component says it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AggregationError {
    #[error("{profile} has no aggregation of proofs")]
    NoAggregation { profile: Profile },
    #[error("no proofs to aggregate")]
    Empty,
    #[error("{proofs} proofs for {statements} statements")]
    Counts { proofs: usize, statements: usize },
    #[error("{actual} proofs with padding, more than the {MAX_PROOFS} that the network's reference string is for")]
    TooMany { actual: usize },
    #[error(
        "the aggregate just made does not verify: one of its proofs is false, or the reference string {} is damaged",
        srs.display()
    )]
    Rejected { srs: PathBuf, source: AggregateError },
}

/// The reference string's place in a parameter cache.
pub fn srs_path(job: &Job<'_>) -> PathBuf {
    ParamStore::new(&job.config.parameter_cache).folder(Profile::Filecoin).join(SRS_FILE_NAME)
}

/// Bytes of the network's reference string: four counts and their points.
pub fn published_bytes() -> u64 {
    let points: usize = Vector::ALL.iter().map(|vector| MAX_POWERS * vector.point_bytes()).sum();
    16 + points as u64
}

/// Whether a file is the network's own reference string, by length and digest.
///
/// # Errors
/// What the system says.
pub fn is_published(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.metadata()?.len() != published_bytes() {
        return Ok(false);
    }
    let digest = manifest::digest::<io::Error>(file, |_| Ok(()))?;
    Ok(hex::encode(digest) == PUBLISHED_DIGEST)
}

/// The version that the partitions of a non-interactive seal are aggregated with.
pub const NON_INTERACTIVE: Version = Version::V2;

/// Looks whether so many proofs, before padding, can be aggregated, and the reference string serves for them.
///
/// # Errors
/// [`Error`] when there are too many, or the string is missing, damaged, or too short.
pub fn check_srs(job: &Job<'_>, proofs: usize) -> Result<(), Error> {
    let padded = padded_within_limit(proofs)?;
    let srs = SrsFile::open(&srs_path(job)).map_err(AggregateError::from)?;
    srs.prover(job, padded).map_err(AggregateError::from)?;
    Ok(())
}

/// Makes a reference string of `powers` points a vector from fresh secrets, which are dropped; returns its file.
///
/// Whoever runs this could have kept the secrets and forge aggregates: such a string is for tests and development networks.
///
/// # Errors
/// [`Error::Srs`] for a number of powers that cannot be, or when the disk does not suffice.
pub fn setup(job: &Job<'_>, powers: usize) -> Result<PathBuf, Error> {
    let _span = info_span!("setup srs", powers).entered();
    let path = srs_path(job);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(WriteError::at("create", folder))?;
    }
    setup_srs(job, &SrsSecrets::random(OsRng), powers, &path)?;
    Ok(path)
}

/// Aggregates proofs of one key for these statements (public inputs without ONE), padding both.
///
/// The aggregate is verified before it is handed out, so false proofs among them are an error here.
///
/// # Errors
/// [`Error`]: counts, the reference string, [`AggregationError::Rejected`].
pub fn aggregate(
    job: &Job<'_>,
    key: &VerifyingKey,
    proofs: &[Proof],
    statements: &[Vec<Fr>],
    inc: &[u8],
    version: Version,
) -> Result<Vec<u8>, Error> {
    let _span = info_span!("aggregate", proofs = proofs.len(), version = version.number()).entered();
    let Some(last) = proofs.last() else { return Err(AggregationError::Empty.into()) };
    if proofs.len() != statements.len() {
        return Err(AggregationError::Counts { proofs: proofs.len(), statements: statements.len() }.into());
    }
    let padded = padded_within_limit(proofs.len())?;
    let srs = SrsFile::open(&srs_path(job)).map_err(AggregateError::from)?;
    let mut proofs = proofs.to_vec();
    proofs.resize(padded, *last);
    let prover = srs.prover(job, padded).map_err(AggregateError::from)?;
    let proof = aggregate::prove(job, &prover, &proofs, inc, version)?;
    aggregate::verify(key, srs.verifier(), statements, inc, version, &proof).map_err(|source| match source {
        AggregateError::Unsatisfied => Error::from(AggregationError::Rejected { srs: srs.path().to_owned(), source }),
        source => source.into(),
    })?;
    let bytes = proof.to_bytes();
    Ok(bytes.ok_or(AggregateError::Degenerate)?)
}

/// Accepts an aggregate of proofs of these statements (public inputs without ONE, not padded), or says why not.
///
/// # Errors
/// [`Error`]; [`Error::is_rejection`] tells a wrong aggregate from a check that could not be made.
pub fn verify(
    job: &Job<'_>,
    key: &VerifyingKey,
    statements: &[Vec<Fr>],
    inc: &[u8],
    version: Version,
    bytes: &[u8],
) -> Result<(), Error> {
    let proof = AggregateProof::from_bytes(bytes).map_err(AggregateError::from)?;
    verify_decoded(job, key, statements, inc, version, &proof)
}

fn verify_decoded(
    job: &Job<'_>,
    key: &VerifyingKey,
    statements: &[Vec<Fr>],
    inc: &[u8],
    version: Version,
    proof: &AggregateProof,
) -> Result<(), Error> {
    let _span = info_span!("verify aggregate", statements = statements.len(), version = version.number()).entered();
    let srs = SrsFile::open(&srs_path(job)).map_err(AggregateError::from)?;
    Ok(aggregate::verify(key, srs.verifier(), statements, inc, version, proof)?)
}

/// What is bound into the transcript for seals: SHA-256 over `seed ‖ comm_r` of every sector, or `comm_r` alone where
/// challenges come from no seed.
pub fn seals_inc(config: &PoRepConfig, statements: &[SealStatement]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for statement in statements {
        if config.feature != Feature::NonInteractive {
            hasher.update(statement.seed);
        }
        hasher.update(statement.comm_r);
    }
    hasher.finalize().into()
}

/// Aggregates seal proofs of one configuration, in this order.
///
/// Each proof is verified first, so that a false one is named.
///
/// # Errors
/// [`Error`]: [`AggregationError`], [`Error::RejectedSeals`], missing or damaged keys and reference strings.
pub fn aggregate_seals(
    job: &Job<'_>,
    config: &PoRepConfig,
    version: Version,
    seals: &[ProvenSeal<'_>],
) -> Result<Vec<u8>, Error> {
    let verifier = open(job, config, seals.len())?;
    // What is missing is missed before the work.
    check_srs(job, seals.len() * verifier.partitions())?;
    verifier.verify_all(job, seals)?;
    let statements: Vec<SealStatement> = seals.iter().map(|seal| seal.statement).collect();
    let mut proofs = Vec::with_capacity(seals.len() * verifier.partitions());
    for seal in seals {
        proofs.extend(Proof::many_from_bytes(seal.proof, verifier.partitions())?);
    }
    let inputs = verifier.all_inputs(&statements)?;
    aggregate(job, verifier.key(), &proofs, &inputs, &seals_inc(config, &statements), version)
}

/// Accepts an aggregate of the seals of these sectors, in this order, or says why not.
///
/// # Errors
/// As [`verify`], and [`AggregationError`].
pub fn verify_aggregate(
    job: &Job<'_>,
    config: &PoRepConfig,
    version: Version,
    statements: &[SealStatement],
    bytes: &[u8],
) -> Result<(), Error> {
    let verifier = open(job, config, statements.len())?;
    let proof = AggregateProof::from_bytes(bytes).map_err(AggregateError::from)?;
    // Before the inputs of as many statements as anybody may list.
    proof.expect_statements(statements.len() * verifier.partitions())?;
    let inputs = verifier.all_inputs(statements)?;
    verify_decoded(job, verifier.key(), &inputs, &seals_inc(config, statements), version, &proof)
}

fn padded_within_limit(proofs: usize) -> Result<usize, AggregationError> {
    match padded_len(proofs) {
        padded if padded > MAX_PROOFS => Err(AggregationError::TooMany { actual: padded }),
        padded => Ok(padded),
    }
}

fn open(job: &Job<'_>, config: &PoRepConfig, seals: usize) -> Result<SealVerifier, Error> {
    if config.profile != Profile::Filecoin {
        return Err(AggregationError::NoAggregation { profile: config.profile }.into());
    }
    if seals == 0 {
        return Err(AggregationError::Empty.into());
    }
    SealVerifier::open(job, config)
}
