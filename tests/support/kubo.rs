//! kubo, the Go program of IPFS, in a folder of its own. Where its library is not kept there is none, which fails where
//! `FILECASH_TESTS_NEED_KUBO` is set.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::peer::{Peer, foreign, kept};

/// A node of kubo's.
pub struct Kubo {
    pub peer: Peer,
    _folder: tempfile::TempDir,
}

impl Kubo {
    /// Starts one whose config differs from that of `tests/foreign/kubo.py` by these settings.
    pub fn start(settings: &Value) -> Option<Self> {
        let kept = kept("kubo", "FILECASH_TESTS_NEED_KUBO")?;
        let folder = tempfile::tempdir().unwrap();
        let script = foreign("kubo.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(kept).arg(folder.path().join("repository")).arg(settings.to_string());
        // It writes a log where it is started.
        python.current_dir(folder.path());
        Some(Self { peer: Peer::start(python.stderr(Stdio::null())), _folder: folder })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.peer.ready["id"].as_str().unwrap()
    }

    /// Where it listens by a transport, with its id.
    pub fn address(&self, part: &str) -> String {
        let addresses =
            self.peer.ready["addresses"].as_array().unwrap().iter().map(|address| address.as_str().unwrap());
        let address = addresses.into_iter().find(|address| address.contains(part)).unwrap();
        format!("{address}/p2p/{}", self.id())
    }
}
