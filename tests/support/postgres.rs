//! A PostgreSQL server for one test, in a folder of its own and on a Unix socket there; it ends with the test.
//!
//! Servers refuse to run as root, who runs this one as nobody. Where no PostgreSQL is installed there is none, which fails where
//! `FILECASH_TESTS_NEED_POSTGRES` is set.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Who `nobody` is on most systems.
const NOBODY: u32 = 65534;

/// A server that runs.
pub struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
    programs: PathBuf,
    as_nobody: bool,
    port: u16,
}

impl Postgres {
    /// Starts a server; `None` where none is installed and none has to be.
    pub fn start() -> Option<Self> {
        Self::with(5432, |_| vec!["-c".to_owned(), "listen_addresses=".to_owned()])
    }

    /// Starts a server of this port's number with more settings, which may need files in the folder they are told.
    pub fn with(port: u16, settings: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(programs) = find() else {
            assert!(std::env::var_os("FILECASH_TESTS_NEED_POSTGRES").is_none(), "PostgreSQL is not installed");
            drop(writeln!(std::io::stderr(), "left out: PostgreSQL is not installed"));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let as_nobody = fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
        if as_nobody {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let data = folder.path().join("data");
        let mut made = program(&programs, "initdb", as_nobody);
        made.args(["--no-sync", "-A", "trust", "-U", "filecash", "-E", "UTF8", "-D"]).arg(&data);
        assert!(made.stdout(Stdio::null()).status().unwrap().success(), "initdb failed");
        let settings = settings(folder.path());
        if as_nobody {
            for entry in fs::read_dir(folder.path()).unwrap() {
                chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let server = program(&programs, "postgres", as_nobody)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-p", &port.to_string(), "-c", "fsync=off", "-c", "log_min_messages=fatal"])
            .args(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postgres = Self { server, folder, programs, as_nobody, port };
        let began = Instant::now();
        while !postgres.client("pg_isready").arg("-q").status().unwrap().success() {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not answer");
            sleep(Duration::from_millis(50));
        }
        Some(postgres)
    }

    /// Makes an empty database and gives its address.
    pub fn database(&self, name: &str) -> String {
        assert!(self.client("createdb").arg(name).status().unwrap().success());
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://filecash@{host}:{}/{name}", self.port)
    }

    /// One of the server's own programs, told where it is.
    pub fn client(&self, name: &str) -> Command {
        let mut command = program(&self.programs, name, self.as_nobody);
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string(), "-U", "filecash"]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The quick end that loses nothing; its children end with it.
        let _ = program(&self.programs, "pg_ctl", self.as_nobody)
            .args(["stop", "-m", "immediate", "-s", "-D"])
            .arg(self.folder.path().join("data"))
            .status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program(programs: &Path, name: &str, as_nobody: bool) -> Command {
    let mut command = Command::new(programs.join(name));
    if as_nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    // It need not be readable for whom the server runs as.
    command.current_dir("/").env("LC_ALL", "C");
    command
}

/// The folder of a server's programs: on the path, or where Debian has them, the newest.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    // Where a link leads: not every program need have one.
    let lead = folders.into_iter().filter_map(|folder| fs::canonicalize(folder.join("initdb")).ok());
    let mut folders = lead.filter_map(|program| program.parent().map(Path::to_owned));
    folders
        .find(|folder| ["postgres", "pg_ctl", "pg_isready", "createdb"].iter().all(|name| folder.join(name).exists()))
}
