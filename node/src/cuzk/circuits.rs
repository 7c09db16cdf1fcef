//! Names of circuits, and how much of their parameters is in memory.
//!
//! Parameters are read in windows and never held, so what can be loaded ahead is the system's cache of their file: `warm`, or not.
//! Source: `spec/attach.md` A.10, A.11.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore};
use filecash_engine::sector::{PoStProof, Profile, SealProof};
use filecash_engine::store::positioned::is_cached;
use filecash_engine::update::UpdateProof;

use crate::jobs::{Job, Kind};

/// Places of a file that are looked at to say whether it is in memory.
const SAMPLES: u64 = 32;

/// Bytes that are read between two looks at whether to go on.
const CHUNK: u64 = 64 << 20;

/// A circuit's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Circuit {
    id: ParamId,
}

/// Parameters that are here.
#[derive(Debug)]
pub struct Here {
    file: File,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Circuit {
    /// Every circuit of a network.
    pub fn all(profile: Profile) -> impl Iterator<Item = Self> {
        ParamId::all(profile).map(|id| Self { id })
    }

    /// The circuit of a name such as `porep-32g`.
    pub fn by_name(profile: Profile, name: &str) -> Option<Self> {
        Self::all(profile).find(|circuit| circuit.name() == name)
    }

    /// Its name.
    pub fn name(&self) -> String {
        let kind = match self.id.circuit() {
            CircuitKind::PoRep => "porep",
            CircuitKind::Update => "snap",
            CircuitKind::Window => "wpost",
            CircuitKind::Winning => "winning",
        };
        let bytes = self.id.params().size_bytes;
        let (number, unit) = match bytes {
            0x4000_0000.. => (bytes >> 30, 'g'),
            0x10_0000.. => (bytes >> 20, 'm'),
            _ => (bytes >> 10, 'k'),
        };
        format!("{kind}-{number}{unit}")
    }

    /// Its parameters' file, if it is here.
    ///
    /// # Errors
    /// What the system says.
    pub fn find(&self, store: &ParamStore) -> io::Result<Option<Here>> {
        let path: PathBuf = store.path(&self.id, FileKind::Params);
        match File::open(path) {
            Ok(file) => Ok(Some(Here { bytes: file.metadata()?.len(), file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a job reads its parameters.
    pub fn is_of(&self, job: &Job) -> bool {
        let circuit = match job.kind {
            Kind::C2 => CircuitKind::PoRep,
            Kind::Update => CircuitKind::Update,
            Kind::Window => CircuitKind::Window,
            Kind::Winning => CircuitKind::Winning,
            _ => return false,
        };
        let profile = self.id.profile();
        let size = match job.kind {
            Kind::C2 => SealProof::by_name(profile, &job.proof).ok().map(|proof| proof.config().params),
            Kind::Update => UpdateProof::by_name(profile, &job.proof).ok().map(|proof| proof.config().params),
            _ => PoStProof::by_name(profile, &job.proof).ok().map(|proof| proof.config().params),
        };
        circuit == self.id.circuit() && job.profile == profile && size.is_some_and(|size| size == self.id.params())
    }
}

impl Here {
    /// Whether the file is in memory, as far as samples tell.
    pub fn is_warm(&self) -> bool {
        let step = (self.bytes / SAMPLES).max(1);
        self.bytes > 0 && (0..SAMPLES).all(|sample| is_cached(&self.file, (sample * step).min(self.bytes - 1)))
    }

    /// Reads the file, so that it is in memory as far as that has room, until `stops` says so; returns how long it took.
    ///
    /// # Errors
    /// What the system says.
    pub fn load(&mut self, stops: impl Fn() -> bool) -> io::Result<Duration> {
        let begun = Instant::now();
        while !stops() && io::copy(&mut (&mut self.file).take(CHUNK), &mut io::sink())? > 0 {}
        Ok(begun.elapsed())
    }

    /// Lets the system forget it.
    pub fn evict(&self) {
        #[cfg(target_os = "linux")]
        {
            // Advice that is not taken changes nothing.
            let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuits_have_the_names_that_clients_know() {
        let of = |profile| Circuit::all(profile).map(|circuit| circuit.name()).collect::<Vec<_>>();
        let coin = of(Profile::Filecoin);
        for name in
            ["porep-32g", "porep-64g", "wpost-32g", "winning-32g", "snap-32g", "snap-64g", "porep-2k", "snap-8m"]
        {
            assert!(coin.iter().any(|known| known == name), "{name}");
            assert_eq!(Circuit::by_name(Profile::Filecoin, name).unwrap().name(), name);
        }
        let cash = of(Profile::Filecash);
        assert!(cash.iter().any(|known| known == "porep-16g"), "{cash:?}");
        assert!(Circuit::by_name(Profile::Filecoin, "porep-16g").is_none(), "{coin:?}");
        assert!(Circuit::by_name(Profile::Filecash, "snap-32g").is_none(), "{cash:?}");
    }
}
