//! Sealed sectors of 2 KiB in folders of their own, and what is asked of every refusal.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use filecash_engine::Error;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::seal::{
    add_piece, commit_phase1, generate_synth_proofs, pre_commit_phase1, pre_commit_phase2,
};
use filecash_engine::api::unseal::{SealedSector, unseal_range};
use filecash_engine::config::Config;
use filecash_engine::field::fr32::RawRange;
use filecash_engine::job::{Cancel, Job, Progress, Quiet};
use filecash_engine::porep::challenges::NO_SEED;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::sector::piece::{PieceInfo, UnpaddedLen};
use filecash_engine::sector::{Feature, PoRepConfig, Profile, SealProof};
use filecash_engine::store::aux::TAux;

pub const IDENTITY: SectorIdentity = SectorIdentity { prover_id: [9; 32], sector_id: 42, ticket: [1; 32] };
pub const SEED: [u8; 32] = [5; 32];

/// Everything below a folder, by path; `None` for a folder.
pub type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What a file says wherever it is: `t_aux` without the path of its folder.
fn placeless(files: &Files, name: &Path) -> Option<Option<Vec<u8>>> {
    let content = files.get(name)?.clone();
    if !name.ends_with("t_aux") {
        return Some(content);
    }
    let mut aux = TAux::decode(&content?).unwrap();
    let others = [&mut aux.tree_d, &mut aux.tree_r_last, &mut aux.tree_c];
    aux.layers.iter_mut().chain(others).for_each(|store| store.path.clear());
    Some(Some(aux.encode().unwrap()))
}

/// Asks that two folders are alike; names what is not.
#[track_caller]
pub fn alike(actual: &Files, expected: &Files) {
    let names = actual.keys().chain(expected.keys());
    let other: Vec<_> = names.filter(|name| placeless(actual, name) != placeless(expected, name)).collect();
    assert!(other.is_empty(), "not alike: {other:?}");
}

pub fn snapshot(folder: &Path) -> Files {
    fn visit(root: &Path, folder: &Path, files: &mut Files) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            // A lock stays where it is, taken or not.
            if path.is_dir() {
                files.insert(name, None);
                visit(root, &path, files);
            } else if !name.ends_with("filecash.lock") {
                files.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = Files::new();
    visit(folder, folder, &mut files);
    files
}

fn restore(files: &Files, folder: &Path) {
    for (name, content) in files {
        match content {
            None => fs::create_dir(folder.join(name)).unwrap(),
            Some(bytes) => fs::write(folder.join(name), bytes).unwrap(),
        }
    }
}

/// How far a sector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Staged,
    PreCommitted,
    Sealed,
}

/// A sector at every state, made once.
struct Golden {
    pieces: Vec<PieceInfo>,
    phase1: PreCommit1Output,
    phase2: PreCommit2Output,
    proven: Commit1Output,
    files: [Files; 3],
}

static GOLDEN: LazyLock<[Golden; 2]> = LazyLock::new(|| Profile::ALL.map(|profile| golden(&config(profile))));

fn golden(config: &PoRepConfig) -> Golden {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let (cache, staged, sealed) = (path("cache"), path("staged"), path("sealed"));
    ["cache", "params", "scratch"].into_iter().for_each(|name| fs::create_dir(path(name)).unwrap());
    let settings = settings(folder.path());
    let job = Job { config: &settings, progress: &Quiet, cancel: &Cancel::default() };
    let mut sizes = Vec::new();
    let mut pieces = Vec::new();
    for size in [1016, 508, 508].map(|size| UnpaddedLen::new(size).unwrap()) {
        let bytes: Vec<u8> = data(size).iter().map(|byte| byte ^ pieces.len() as u8).collect();
        let added = add_piece(&job, config.params, &bytes[..], &staged, size, &sizes).unwrap();
        sizes.push(size);
        pieces.push(added.piece);
    }
    let staged_files = snapshot(folder.path());
    let phase1 = pre_commit_phase1(&job, config, &cache, &staged, &sealed, &IDENTITY, &pieces).unwrap();
    let precommitted = snapshot(folder.path());
    let phase2 = pre_commit_phase2(&job, config, &phase1, &cache, &sealed).unwrap();
    if config.feature == Feature::Synthetic {
        generate_synth_proofs(&job, config, &cache, &sealed, &IDENTITY, &phase2, &pieces).unwrap();
    }
    let sealed_files = snapshot(folder.path());
    let seed = seed(config);
    let proven = commit_phase1(&job, config, &cache, &sealed, &IDENTITY, &seed, &phase2, &pieces).unwrap();
    Golden { pieces, phase1, phase2, proven, files: [staged_files, precommitted, sealed_files] }
}

/// The seed of a sector; what stands in its place where there is none.
pub fn seed(config: &PoRepConfig) -> [u8; 32] {
    if config.feature == Feature::NonInteractive { NO_SEED } else { SEED }
}

/// Bytes of a piece, other ones for every size.
pub fn data(size: UnpaddedLen) -> Vec<u8> {
    (0..size.get()).map(|i| (i * 7 % 251 + size.get() % 13) as u8).collect()
}

pub fn config(profile: Profile) -> PoRepConfig {
    SealProof::for_size(profile, 2048).unwrap().config()
}

fn settings(folder: &Path) -> Config {
    Config { parameter_cache: folder.join("params"), parent_cache: folder.join("tables"), ..Config::default() }
}

/// A sector of 2 KiB in a folder of its own: `staged`, `sealed`, `cache`, `params`, `scratch`.
pub struct Sandbox {
    folder: tempfile::TempDir,
    pub profile: Profile,
    pub config: PoRepConfig,
    pub settings: Config,
    pub pieces: Vec<PieceInfo>,
    pub phase1: PreCommit1Output,
    pub phase2: PreCommit2Output,
    pub proven: Commit1Output,
}

impl Sandbox {
    pub fn new(profile: Profile, state: State) -> Self {
        let golden = &GOLDEN[Profile::ALL.iter().position(|known| *known == profile).unwrap()];
        Self::restored(golden, config(profile), state)
    }

    /// A sealed sector under any rules, with its file of synthetic proofs if it has one.
    pub fn sealed(config: PoRepConfig) -> Self {
        Self::restored(&golden(&config), config, State::Sealed)
    }

    fn restored(golden: &Golden, config: PoRepConfig, state: State) -> Self {
        let folder = tempfile::tempdir().unwrap();
        restore(&golden.files[state as usize], folder.path());
        Self {
            profile: config.profile,
            config,
            settings: settings(folder.path()),
            pieces: golden.pieces.clone(),
            phase1: golden.phase1.clone(),
            phase2: golden.phase2,
            proven: golden.proven.clone(),
            folder,
        }
    }

    /// The files of a sector that was never disturbed.
    pub fn undisturbed(&self, state: State) -> &'static Files {
        &GOLDEN[Profile::ALL.iter().position(|known| *known == self.profile).unwrap()].files[state as usize]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn files(&self) -> Files {
        snapshot(self.folder.path())
    }

    /// Changes the bytes of a file.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) -> &Self {
        let path = self.path(name);
        let mut bytes = fs::read(&path).unwrap();
        edit(&mut bytes);
        fs::write(path, bytes).unwrap();
        self
    }

    pub fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    /// Puts a folder where a file is or would be.
    pub fn folder_instead(&self, name: &str) -> &Self {
        let _ = fs::remove_file(self.path(name));
        fs::create_dir(self.path(name)).unwrap();
        self
    }

    pub fn run<T>(&self, body: impl FnOnce(&Job<'_>) -> T) -> T {
        self.run_with(&Quiet, &Cancel::default(), body)
    }

    pub fn run_with<T>(&self, progress: &dyn Progress, cancel: &Cancel, body: impl FnOnce(&Job<'_>) -> T) -> T {
        body(&Job { config: &self.settings, progress, cancel })
    }

    pub fn pc1(&self) -> Result<PreCommit1Output, Error> {
        self.run(|job| self.pc1_of(job))
    }

    pub fn pc1_of(&self, job: &Job<'_>) -> Result<PreCommit1Output, Error> {
        let [cache, staged, sealed] = ["cache", "staged", "sealed"].map(|name| self.path(name));
        pre_commit_phase1(job, &self.config, &cache, &staged, &sealed, &IDENTITY, &self.pieces)
    }

    pub fn pc2(&self) -> Result<PreCommit2Output, Error> {
        self.run(|job| self.pc2_of(job))
    }

    pub fn pc2_of(&self, job: &Job<'_>) -> Result<PreCommit2Output, Error> {
        pre_commit_phase2(job, &self.config, &self.phase1, &self.path("cache"), &self.path("sealed"))
    }

    pub fn c1(&self) -> Result<Commit1Output, Error> {
        self.c1_as(&IDENTITY)
    }

    pub fn c1_as(&self, identity: &SectorIdentity) -> Result<Commit1Output, Error> {
        let [cache, sealed] = ["cache", "sealed"].map(|name| self.path(name));
        let seed = seed(&self.config);
        self.run(|job| commit_phase1(job, &self.config, &cache, &sealed, identity, &seed, &self.phase2, &self.pieces))
    }

    pub fn synth(&self) -> Result<(), Error> {
        self.run(|job| self.synth_of(job))
    }

    pub fn synth_of(&self, job: &Job<'_>) -> Result<(), Error> {
        let [cache, sealed] = ["cache", "sealed"].map(|name| self.path(name));
        generate_synth_proofs(job, &self.config, &cache, &sealed, &IDENTITY, &self.phase2, &self.pieces)
    }

    pub fn unseal(&self, range: RawRange, out: &mut dyn Write) -> Result<(), Error> {
        let [cache, sealed, scratch] = ["cache", "sealed", "scratch"].map(|name| self.path(name));
        let sector = SealedSector { sealed: &sealed, cache: Some(&cache), scratch: &scratch };
        self.run(|job| unseal_range(job, &self.config, &sector, &IDENTITY, &self.phase2.comm_d, range, out))
    }

    /// Asks that `operation` is refused with all of `expected` in what the error and its causes say, that nothing is
    /// said twice, and that every file is as before.
    #[track_caller]
    pub fn refuses<T>(&self, operation: impl FnOnce(&Self) -> Result<T, Error>, expected: &[&str]) -> Error {
        self.refuses_but(operation, expected, &[])
    }

    /// [`Self::refuses`], and these files may have changed or come: what was finished before the input was found to be bad.
    #[track_caller]
    pub fn refuses_but<T>(
        &self,
        operation: impl FnOnce(&Self) -> Result<T, Error>,
        expected: &[&str],
        kept: &[&str],
    ) -> Error {
        let before = self.files();
        let error = match operation(self) {
            Err(error) => error,
            Ok(_) => panic!("bad input was accepted where {expected:?} should be said"),
        };
        let text = said(&error);
        for part in expected {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
        let after = self.files();
        let changed: Vec<_> = before
            .iter()
            .filter(|(name, content)| after.get(*name) != Some(content))
            .map(|(name, _)| name)
            .chain(after.keys().filter(|name| !before.contains_key(*name)))
            .filter(|name| !kept.iter().any(|kept| name.as_path() == Path::new(kept)))
            .collect();
        assert!(changed.is_empty(), "{text:?}: changed or left over: {changed:?}");
        error
    }
}

/// The error and its causes on a line. Nothing may be in it twice.
#[track_caller]
pub fn said(error: &Error) -> String {
    let mut links = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        links.push(error.to_string());
        cause = error.source();
    }
    for (at, link) in links.iter().enumerate() {
        assert!(!link.is_empty(), "an empty message in {links:?}");
        assert!(!links[..at].iter().any(|before| before.contains(link.as_str())), "said twice: {links:?}");
    }
    links.join(": ")
}
