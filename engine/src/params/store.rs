//! The folder of parameter files.
//!
//! Files of the profile `filecoin` lie in the parameter cache itself, as the reference has them; those of another
//! profile in a sub-folder with its name, since names of the two networks collide.
//!
//! A `.params` file is *published* when its digest is the network's; otherwise it is *test parameters* when all its
//! counts and points are in order, and *damaged* when not. A flipped bit moves a point off the curve.
//!
//! Source: `spec/snark.md` 4.4 to 4.6.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::id::{FileKind, ParamId};
use super::manifest::{FileDigest, digest, published};
use crate::backend::cpu::curve::{Kernel, PortableG1, PortableG2};
use crate::backend::cpu::fast;
use crate::circuit::Shape;
use crate::groth16::key::KeyProblem;
use crate::groth16::{KeyError, ParamsFile, Section, SetupError, Toxic, VerifyingKey, setup};
use crate::job::{Cancelled, Job, Stage, Unit};
use crate::sector::Profile;
use crate::store::atomic::{self, WriteError};

/// Points that are checked together.
const WINDOW: usize = 1 << 15;
/// Points that one task checks.
const PIECE: usize = 1 << 9;

/// Why parameters cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ParamError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("no parameters of {id}: {} is missing", path.display())]
    Missing { id: String, path: PathBuf },
    #[error("{} is not of {id}: it is for {actual} public inputs, expected {expected}", path.display())]
    OtherCircuit { id: String, path: PathBuf, expected: usize, actual: usize },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What a check found.
#[derive(Debug)]
pub enum Verdict {
    /// The network's own parameters.
    Published,
    /// Well-formed parameters that the network did not publish.
    Test {
        /// The digest of the `.params` file.
        digest: FileDigest,
    },
    /// Not usable.
    Damaged(Damage),
}

/// What is wrong with parameters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Damage {
    #[error(transparent)]
    Key(KeyError),
    #[error("{} is not the head of {}", vk.display(), params.display())]
    VerifyingKey { vk: PathBuf, params: PathBuf },
}

/// The parameter files of all networks.
#[derive(Clone, Debug)]
pub struct ParamStore {
    folder: PathBuf,
}

impl ParamStore {
    /// The store in a parameter cache ([`crate::config::Config::parameter_cache`]).
    pub fn new(parameter_cache: &Path) -> Self {
        Self { folder: parameter_cache.to_owned() }
    }

    /// The folder of a network's files.
    pub fn folder(&self, profile: Profile) -> PathBuf {
        match profile {
            Profile::Filecoin => self.folder.clone(),
            other => self.folder.join(other.name()),
        }
    }

    /// The path of a file, which need not exist.
    pub fn path(&self, id: &ParamId, file: FileKind) -> PathBuf {
        self.folder(id.profile()).join(id.file_name(file))
    }

    /// Opens a `.params` file.
    ///
    /// # Errors
    /// [`ParamError::Missing`], or [`ParamError::Key`] when it is not in order.
    pub fn open(&self, id: &ParamId) -> Result<ParamsFile, ParamError> {
        let path = self.path(id, FileKind::Params);
        ParamsFile::open(&path).map_err(|error| missing_or(id, error))
    }

    /// The verifying key, from the `.vk` file or, without one, from the head of the `.params` file.
    ///
    /// # Errors
    /// [`ParamError::Missing`] when both are, [`ParamError::Key`] when the file is not in order.
    pub fn verifying_key(&self, id: &ParamId) -> Result<VerifyingKey, ParamError> {
        let missing = match VerifyingKey::open(&self.path(id, FileKind::VerifyingKey)) {
            Ok(key) => return Ok(key),
            Err(error) => missing_or(id, error),
        };
        if !matches!(missing, ParamError::Missing { .. }) {
            return Err(missing);
        }
        match self.open(id) {
            Ok(params) => {
                let problem = |problem| KeyError { path: params.path().to_owned(), problem };
                Ok(VerifyingKey::from_bytes(&params.verifying_key_bytes()?).map_err(problem)?)
            }
            Err(ParamError::Missing { .. }) => Err(missing),
            Err(error) => Err(error),
        }
    }

    /// The verifying key of a circuit with so many public inputs, ONE not counted.
    ///
    /// # Errors
    /// As [`Self::verifying_key`], and [`ParamError::OtherCircuit`].
    pub fn verifying_key_for(&self, id: &ParamId, inputs: usize) -> Result<VerifyingKey, ParamError> {
        let key = self.verifying_key(id)?;
        let vk = self.path(id, FileKind::VerifyingKey);
        let path = if vk.exists() { vk } else { self.path(id, FileKind::Params) };
        expect_inputs(id, &path, &key, inputs)?;
        Ok(key)
    }

    /// Opens the `.params` file of a circuit with so many public inputs, ONE not counted.
    ///
    /// # Errors
    /// As [`Self::open`], and [`ParamError::OtherCircuit`].
    pub fn open_for(&self, id: &ParamId, inputs: usize) -> Result<ParamsFile, ParamError> {
        let params = self.open(id)?;
        expect_inputs(id, params.path(), params.verifying_key(), inputs)?;
        Ok(params)
    }

    /// Makes test parameters: `.params`, `.vk` and `.meta`, each complete when it appears.
    ///
    /// # Errors
    /// [`ParamError::Setup`] when the set-up fails, [`ParamError::Write`] when a file cannot be written.
    pub fn create(&self, job: &Job<'_>, id: &ParamId, shape: &Shape, toxic: &Toxic) -> Result<(), ParamError> {
        let folder = self.folder(id.profile());
        fs::create_dir_all(&folder).map_err(WriteError::at("create", &folder))?;
        let key = setup(job, shape, toxic, &self.path(id, FileKind::Params))?;
        atomic::write(&self.path(id, FileKind::VerifyingKey), &key.to_bytes())?;
        let meta = format!("{{\"sector_size\":{}}}", id.params().size_bytes);
        Ok(atomic::write(&self.path(id, FileKind::Meta), meta.as_bytes())?)
    }

    /// Reads a whole `.params` file and says what it is. Published files are read once, others twice.
    ///
    /// # Errors
    /// [`ParamError::Missing`] without a file, [`ParamError::Io`] when it cannot be read. Damage is not an error.
    pub fn check(&self, job: &Job<'_>, id: &ParamId) -> Result<Verdict, ParamError> {
        let params = match self.open(id) {
            Ok(params) => params,
            Err(ParamError::Key(error)) => return damaged(error),
            Err(error) => return Err(error),
        };
        let vk_path = self.path(id, FileKind::VerifyingKey);
        let head = params.verifying_key_bytes()?;
        match fs::read(&vk_path) {
            Ok(bytes) if bytes != head => {
                let params = params.path().to_owned();
                return Ok(Verdict::Damaged(Damage::VerifyingKey { vk: vk_path, params }));
            }
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ParamError::Io { path: vk_path, source });
            }
            _ => {}
        }
        let digest = self.digest(job, &params)?;
        let expected = published(id).and_then(|published| published.digest(FileKind::Params));
        if expected == Some(hex::encode(digest).as_str()) {
            return Ok(Verdict::Published);
        }
        match check_points(job, &params) {
            Ok(()) => Ok(Verdict::Test { digest }),
            Err(ParamError::Key(error)) => damaged(error),
            Err(error) => Err(error),
        }
    }

    fn digest(&self, job: &Job<'_>, params: &ParamsFile) -> Result<FileDigest, ParamError> {
        /// An error of the digest: the file's or the job's.
        struct Stop(ParamError);
        impl From<io::Error> for Stop {
            fn from(source: io::Error) -> Self {
                Self(ParamError::Io { path: PathBuf::new(), source })
            }
        }
        let stage = job.stage("digest of parameters", Unit::Bytes, params.byte_len());
        let with_path = |error| match error {
            ParamError::Io { source, .. } => ParamError::Io { path: params.path().to_owned(), source },
            error => error,
        };
        File::open(params.path())
            .map_err(Stop::from)
            .and_then(|file| digest(file, |len| stage.advance(len as u64).map_err(|error| Stop(error.into()))))
            .map_err(|Stop(error)| with_path(error))
    }
}

fn expect_inputs(id: &ParamId, path: &Path, key: &VerifyingKey, expected: usize) -> Result<(), ParamError> {
    // A key has a point for ONE at least.
    match key.ic.len() - 1 {
        actual if actual == expected => Ok(()),
        actual => Err(ParamError::OtherCircuit { id: id.to_string(), path: path.to_owned(), expected, actual }),
    }
}

fn missing_or(id: &ParamId, error: KeyError) -> ParamError {
    match error.problem {
        KeyProblem::Io(source) if source.kind() == io::ErrorKind::NotFound => {
            ParamError::Missing { id: id.to_string(), path: error.path }
        }
        KeyProblem::Io(source) => ParamError::Io { path: error.path, source },
        problem => KeyError { path: error.path, problem }.into(),
    }
}

fn damaged(error: KeyError) -> Result<Verdict, ParamError> {
    match error.problem {
        KeyProblem::Io(source) => Err(ParamError::Io { path: error.path, source }),
        problem => Ok(Verdict::Damaged(Damage::Key(KeyError { path: error.path, problem }))),
    }
}

/// Decodes every point.
fn check_points(job: &Job<'_>, params: &ParamsFile) -> Result<(), ParamError> {
    let total = Section::PROVING.iter().map(|section| params.count(*section)).sum();
    let stage = job.stage("points of parameters", Unit::Items, total);
    for section in Section::PROVING {
        match (section, fast::available()) {
            (Section::B2, true) => check_section::<fast::G2>(&stage, params, section)?,
            (Section::B2, false) => check_section::<PortableG2>(&stage, params, section)?,
            (_, true) => check_section::<fast::G1>(&stage, params, section)?,
            (_, false) => check_section::<PortableG1>(&stage, params, section)?,
        }
    }
    Ok(())
}

fn check_section<K: Kernel>(stage: &Stage<'_>, params: &ParamsFile, section: Section) -> Result<(), ParamError> {
    let all: Vec<u32> = (0..WINDOW as u32).collect();
    params.windows(section, WINDOW, |first, bytes| {
        let count = bytes.len() / K::POINT_BYTES;
        all[..count].par_chunks(PIECE).try_for_each(|chosen| {
            K::decode_chosen(bytes, chosen, &mut vec![K::Point::default(); chosen.len()]).map_err(|(index, problem)| {
                let index = first + u64::from(chosen[index]);
                params.error(KeyProblem::Point { section, index, problem })
            })
        })?;
        Ok(stage.advance(count as u64)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Column;
    use crate::config::Config;
    use crate::field::Fr;
    use crate::job::{Cancel, Quiet};
    use crate::params::CircuitKind;
    use ff::Field;
    use rand_core::SeedableRng;
    use rand_xorshift::XorShiftRng;

    fn shape() -> Shape {
        let mut shape = Shape::new();
        let (y, x, one) = (shape.push_input(), shape.push_aux(), Fr::ONE);
        shape.push_constraint(&mut vec![(x, one)], &mut vec![(x, one)], &mut vec![(y, one)]);
        shape.push_constraint(&mut vec![(x, one)], &mut vec![(Column::ONE, one)], &mut vec![(x, one)]);
        shape
    }

    struct Fixture {
        folder: tempfile::TempDir,
        store: ParamStore,
        id: ParamId,
    }

    fn with_store(test: impl FnOnce(&Job<'_>, &Fixture)) {
        let folder = tempfile::tempdir().unwrap();
        let store = ParamStore::new(folder.path());
        let id = ParamId::new(Profile::Filecash, CircuitKind::PoRep, 2 << 10).unwrap();
        let config = Config::default();
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        test(&job, &Fixture { folder, store, id });
    }

    fn create(job: &Job<'_>, Fixture { store, id, .. }: &Fixture) {
        store.create(job, id, &shape(), &Toxic::random(XorShiftRng::from_seed([9; 16]))).unwrap();
    }

    #[test]
    fn profiles_have_folders_of_their_own() {
        let store = ParamStore::new(Path::new("/p"));
        assert_eq!(store.folder(Profile::Filecoin), Path::new("/p"));
        assert_eq!(store.folder(Profile::Filecash), Path::new("/p/filecash"));
    }

    #[test]
    fn test_parameters_are_told_apart_from_published_and_damaged_ones() {
        with_store(|job, fixture| {
            let Fixture { store, id, folder } = fixture;
            assert!(matches!(store.check(job, id), Err(ParamError::Missing { .. })));
            assert!(matches!(store.verifying_key(id), Err(ParamError::Missing { .. })));
            create(job, fixture);
            let Verdict::Test { digest } = store.check(job, id).unwrap() else { panic!("made here") };
            let path = store.path(id, FileKind::Params);
            assert!(path.starts_with(folder.path().join("filecash")));
            let good = fs::read(&path).unwrap();
            assert_eq!(digest[..], blake2b_simd::blake2b(&good).as_bytes()[..16]);
            assert_eq!(fs::read_to_string(store.path(id, FileKind::Meta)).unwrap(), "{\"sector_size\":2048}");
            for at in [0, 866, 1200, good.len() / 2, good.len() - 1] {
                let mut bytes = good.clone();
                bytes[at] ^= 1;
                fs::write(&path, &bytes).unwrap();
                assert!(matches!(store.check(job, id).unwrap(), Verdict::Damaged(_)), "byte {at}");
            }
            fs::write(&path, &good[..good.len() - 1]).unwrap();
            assert!(matches!(store.check(job, id).unwrap(), Verdict::Damaged(Damage::Key(_))));
        });
    }

    #[test]
    fn verifying_key_comes_from_either_file() {
        with_store(|job, fixture| {
            let Fixture { store, id, .. } = fixture;
            create(job, fixture);
            let key = store.verifying_key(id).unwrap();
            let vk = store.path(id, FileKind::VerifyingKey);
            let other = VerifyingKey { alpha_g1: key.beta_g1, ..key.clone() };
            fs::write(&vk, other.to_bytes()).unwrap();
            assert!(matches!(store.check(job, id).unwrap(), Verdict::Damaged(Damage::VerifyingKey { .. })));
            fs::write(&vk, b"short").unwrap();
            assert!(matches!(store.verifying_key(id), Err(ParamError::Key(_))));
            fs::remove_file(&vk).unwrap();
            assert_eq!(store.verifying_key(id).unwrap(), key);
            assert!(matches!(store.check(job, id).unwrap(), Verdict::Test { .. }));
        });
    }

    #[test]
    fn a_check_can_be_cancelled() {
        with_store(|job, fixture| {
            create(job, fixture);
            job.cancel.cancel();
            assert!(matches!(fixture.store.check(job, &fixture.id), Err(ParamError::Cancelled(_))));
        });
    }
}
