//! Large published files, such as parameters, from many places at once.
//!
//! A file is cut into pieces. Each place ([`Source`]: HTTP mirrors, IPFS gateways, folders on a disk) has a few threads,
//! each of which takes the first piece that nobody has, reads it whole and writes it into `NAME.part`. Meanwhile the
//! file's beginning, as far as it is there without a gap, is read again for its digest: so nothing is left to
//! verify when the last piece has come. `NAME.part.json` notes which pieces are there, from where, with a digest of each;
//! whoever begins again, after a kill too, keeps those that are right.
//!
//! Only the digest of the whole file is published. So when it comes out wrong, nobody can tell which piece is: the places are
//! then tried one by one, each in turn giving all that it did not give before, until the digest is right.
//! A place that lacks the file, cuts it off, stalls or gives another length is tried a few times, with longer and longer
//! waits, and then left out; a piece that somebody takes very long for is asked of another place as well.

mod part;
mod pieces;
pub mod published;
mod source;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use blake2b_simd::State;
use filecash_engine::job::{Cancelled, Job, Stage, Unit};
use filecash_engine::params::manifest::FileDigest;
use filecash_engine::store::atomic::WriteError;

use part::Part;
use pieces::{Piece, PieceDigest, Pieces};
use source::Place;
pub use source::{BadSource, Source, content_range};

/// Tries of a place, one after the other without a piece, before it is left out.
const MOST_FAILURES: u32 = 5;
/// Waits after the first failure, twice as long after the next.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How long a thread sleeps before it looks again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// How long a process that was killed may take to be gone.
const UNTIL_GONE: Duration = Duration::from_secs(3);
/// Between two notes of what is there.
const BETWEEN_RECORDS: Duration = Duration::from_secs(2);

/// A file that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is going to be.
    pub path: PathBuf,
    /// Its digest, the first 16 bytes of BLAKE2b-512.
    pub digest: FileDigest,
    /// Its CID, for gateways.
    pub cid: String,
    /// Its length, where that is known; otherwise what the first place says.
    pub bytes: Option<u64>,
}

impl Wanted {
    /// The name that mirrors and folders have it under.
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// How a file is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes that are asked for at a time.
    pub piece_bytes: u64,
    /// Pieces that are asked of one place at a time.
    pub connections: usize,
    /// The longest that a place may take for a piece.
    pub piece_timeout: Duration,
    /// After how long another place is asked for the same piece.
    pub late: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { piece_bytes: 4 << 20, connections: 2, piece_timeout: seconds(120), late: seconds(15) }
    }
}

/// Why a file could not be had. What had come stays, but with [`FetchError::Digest`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FetchError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("another process is fetching {}", path.display())]
    Busy { path: PathBuf },
    #[error("{name} cannot be had: {}", told(places))]
    Places { name: String, places: Vec<(String, String)> },
    #[error("no place gives {name} with its published digest, {expected}; the last one's was {actual}")]
    Digest { name: String, expected: String, actual: String },
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

fn told(places: &[(String, String)]) -> String {
    let told: Vec<_> = places.iter().map(|(place, reason)| format!("{place}: {reason}")).collect();
    if told.is_empty() { "there is no place to get it from".to_owned() } else { told.join("; ") }
}

/// What came of fetching a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its length.
    pub bytes: u64,
    /// Bytes that were there from an earlier attempt.
    pub kept_bytes: u64,
    /// Bytes that came from each place.
    pub from: BTreeMap<String, u64>,
    /// Places that were left out, and why.
    pub left_out: Vec<(String, String)>,
}

/// Fetches a file into its folder, which exists, replacing what has its name.
///
/// # Errors
/// [`FetchError`].
pub fn fetch(job: &Job<'_>, wanted: &Wanted, sources: &[Source], options: &Options) -> Result<Fetched, FetchError> {
    let places: Vec<_> = sources.iter().map(|source| Place::new(source, wanted, options)).collect();
    let mut left_out = vec![None; places.len()];
    let bytes = match wanted.bytes {
        Some(bytes) => bytes,
        None => length(wanted, &places, &mut left_out)?,
    };
    let part = open_part(job, wanted, bytes)?;
    let mut pieces = Pieces::new(bytes, options.piece_bytes, options.late);
    let names: Vec<_> = places.iter().map(Place::to_string).collect();
    pieces.claim(part.record(), &names);
    let kept_bytes = pieces.bytes_there();
    let shared = Mutex::new(Shared { pieces, left_out, failed: None, stopped: false });
    let fetching = Fetching { wanted, options, places: &places, part: &part, shared, changed: Condvar::new() };
    let outcome = fetching.until_right(job);
    let Shared { pieces, left_out, .. } = fetching.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let digest = match outcome {
        Ok(digest) => digest,
        Err(error) => {
            // Nothing to go on with would only take the room of the whole file on the disk.
            if pieces.bytes_there() == 0 {
                part.remove()?;
            }
            return Err(error);
        }
    };
    if digest != wanted.digest {
        part.remove()?;
        let [expected, actual] = [wanted.digest, digest].map(hex::encode);
        return Err(FetchError::Digest { name: wanted.name(), expected, actual });
    }
    part.commit(&wanted.path)?;
    let mut from = BTreeMap::new();
    for (place, bytes) in pieces.given() {
        *from.entry(names[place].clone()).or_default() += bytes;
    }
    Ok(Fetched { bytes, kept_bytes, from, left_out: reasons(&places, &left_out) })
}

/// The part of a file; waits a little for a process that was killed and is not quite gone.
fn open_part(job: &Job<'_>, wanted: &Wanted, bytes: u64) -> Result<Part, FetchError> {
    let until = Instant::now() + UNTIL_GONE;
    loop {
        if let Some(part) = Part::open(&wanted.path, bytes)? {
            return Ok(part);
        }
        if job.cancel.is_cancelled() {
            return Err(Cancelled.into());
        }
        if Instant::now() > until {
            return Err(FetchError::Busy { path: wanted.path.clone() });
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// The length that the first place tells which has the file.
fn length(wanted: &Wanted, places: &[Place], left_out: &mut [Option<String>]) -> Result<u64, FetchError> {
    for (place, left_out) in places.iter().zip(&mut *left_out) {
        match place.length() {
            Ok(bytes) => return Ok(bytes),
            Err(error) => *left_out = Some(error.to_string()),
        }
    }
    Err(FetchError::Places { name: wanted.name(), places: reasons(places, left_out) })
}

fn reasons(places: &[Place], left_out: &[Option<String>]) -> Vec<(String, String)> {
    let reason = |(place, reason): (&Place, &Option<String>)| Some((place.to_string(), reason.clone()?));
    places.iter().zip(left_out).filter_map(reason).collect()
}

/// What the threads share.
struct Shared {
    pieces: Pieces,
    /// Of each place why it is asked no more.
    left_out: Vec<Option<String>>,
    /// Why nothing goes on.
    failed: Option<FetchError>,
    stopped: bool,
}

impl Shared {
    /// Places that may give something.
    fn is_asked(&self, place: usize) -> bool {
        self.left_out[place].is_none() && self.pieces.may_give(place)
    }
}

struct Fetching<'a> {
    wanted: &'a Wanted,
    options: &'a Options,
    places: &'a [Place],
    part: &'a Part,
    shared: Mutex<Shared>,
    changed: Condvar,
}

impl Fetching<'_> {
    fn locked(&self) -> MutexGuard<'_, Shared> {
        // It is whole after every statement.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, shared: MutexGuard<'a, Shared>) -> MutexGuard<'a, Shared> {
        self.changed.wait_timeout(shared, BETWEEN_LOOKS).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Fetches all pieces, again from one place after the other as long as the digest is wrong; the last digest.
    fn until_right(&self, job: &Job<'_>) -> Result<FileDigest, FetchError> {
        let mut digest = self.collect(job, "fetch")?;
        for (number, place) in self.places.iter().enumerate() {
            if digest == self.wanted.digest {
                break;
            }
            let is_asked = self.locked().left_out[number].is_none();
            if is_asked && self.locked().pieces.only_from(number) {
                tracing::warn!(name = self.wanted.name(), %place, "the digest is wrong, all is fetched from one place");
                match self.collect(job, "fetch again") {
                    Ok(again) => digest = again,
                    Err(FetchError::Places { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(digest)
    }

    /// Fetches the pieces that are missing; the digest of them all.
    fn collect(&self, job: &Job<'_>, what: &'static str) -> Result<FileDigest, FetchError> {
        let stage = job.stage(what, Unit::Bytes, self.locked().pieces.bytes());
        self.locked().stopped = false;
        let outcome = thread::scope(|scope| {
            let _stop = Stop(self);
            for place in 0..self.places.len() {
                for _ in 0..self.options.connections {
                    if self.locked().is_asked(place) {
                        let work = move || self.work(place, job);
                        thread::Builder::new().spawn_scoped(scope, work).map_err(FetchError::Thread)?;
                    }
                }
            }
            self.digest(job, &stage)
        });
        if outcome.is_err() {
            self.note()?;
        }
        outcome
    }

    /// Reads the pieces in order as they come.
    fn digest(&self, job: &Job<'_>, stage: &Stage<'_>) -> Result<FileDigest, FetchError> {
        let mut state = State::new();
        let mut buffer = vec![0; self.options.piece_bytes as usize];
        let mut noted = Instant::now();
        let mut next = 0;
        while let Some((piece, expected)) = self.wait_for(next, job, &mut noted)? {
            let bytes = &mut buffer[..piece.len];
            self.part.read(bytes, piece.offset)?;
            if pieces::digest(bytes) != expected {
                // Not what was written: a crash, or a bad disk.
                self.locked().pieces.lose(piece.index);
                continue;
            }
            state.update(bytes);
            stage.advance(piece.len as u64)?;
            next += 1;
        }
        let mut digest = FileDigest::default();
        digest.copy_from_slice(&state.finalize().as_bytes()[..16]);
        Ok(digest)
    }

    /// Waits until a piece is there; `None` after the last.
    fn wait_for(
        &self,
        index: usize,
        job: &Job<'_>,
        noted: &mut Instant,
    ) -> Result<Option<(Piece, PieceDigest)>, FetchError> {
        loop {
            if noted.elapsed() > BETWEEN_RECORDS {
                self.note()?;
                *noted = Instant::now();
            }
            let mut shared = self.locked();
            let Some(piece) = shared.pieces.piece(index) else { return Ok(None) };
            if let Some(error) = shared.failed.take() {
                return Err(error);
            }
            if let Some(digest) = shared.pieces.there(index) {
                return Ok(Some((piece, digest)));
            }
            if job.cancel.is_cancelled() {
                return Err(Cancelled.into());
            }
            if !(0..self.places.len()).any(|place| shared.is_asked(place)) {
                let places = reasons(self.places, &shared.left_out);
                return Err(FetchError::Places { name: self.wanted.name(), places });
            }
            drop(self.wait(shared));
        }
    }

    /// Notes which pieces are there.
    fn note(&self) -> Result<(), FetchError> {
        let names: Vec<_> = self.places.iter().map(Place::to_string).collect();
        let record = self.locked().pieces.record(&names);
        Ok(self.part.note(&record)?)
    }

    /// Asks a place for one piece after the other.
    fn work(&self, place: usize, job: &Job<'_>) {
        let mut buffer = vec![0; self.options.piece_bytes as usize];
        let mut failures = 0;
        let is_over = || job.cancel.is_cancelled() || self.locked().stopped;
        while let Some(piece) = self.take(place, job) {
            let bytes = &mut buffer[..piece.len];
            let total = self.locked().pieces.bytes();
            match self.places[place].read(piece.offset, total, bytes, &is_over) {
                Ok(()) => {
                    failures = 0;
                    self.keep(place, &piece, bytes);
                }
                Err(error) => {
                    failures += 1;
                    let mut shared = self.locked();
                    shared.pieces.give_back(piece.index, place);
                    if is_over_of(&shared, job) {
                        return;
                    }
                    tracing::info!(place = %self.places[place], %error, "a piece did not come");
                    if error.is_final() || failures == MOST_FAILURES {
                        shared.left_out[place].get_or_insert(error.to_string());
                    }
                    drop(shared);
                    self.changed.notify_all();
                    self.rest(FIRST_WAIT * 2_u32.pow(failures - 1), &is_over);
                }
            }
        }
    }

    /// Writes a piece, unless another place was faster.
    fn keep(&self, place: usize, piece: &Piece, bytes: &[u8]) {
        if self.locked().pieces.arrive(piece.index) {
            let written = self.part.write(bytes, piece.offset);
            let mut shared = self.locked();
            shared.pieces.put(piece.index, place, pieces::digest(bytes));
            shared.failed = written.err().map(FetchError::from);
        }
        self.changed.notify_all();
    }

    /// The next piece for a place, as soon as there is one; `None` when it is asked no more.
    fn take(&self, place: usize, job: &Job<'_>) -> Option<Piece> {
        let mut shared = self.locked();
        loop {
            if is_over_of(&shared, job) || !shared.is_asked(place) {
                return None;
            }
            match shared.pieces.take(place, Instant::now()) {
                Some(piece) => return Some(piece),
                None => shared = self.wait(shared),
            }
        }
    }

    fn rest(&self, time: Duration, is_over: &dyn Fn() -> bool) {
        let until = Instant::now() + time;
        while Instant::now() < until && !is_over() {
            thread::sleep(BETWEEN_LOOKS.min(time));
        }
    }
}

fn is_over_of(shared: &Shared, job: &Job<'_>) -> bool {
    shared.stopped || job.cancel.is_cancelled()
}

/// Ends the threads of a fetching when it is dropped.
struct Stop<'a>(&'a Fetching<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.locked().stopped = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
