//! A host of py-libp2p, by `tests/foreign/py_libp2p.py`. Where its packages are not kept there is none, which fails where
//! `FILECASH_TESTS_NEED_PY_LIBP2P` is set.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::peer::{Peer, foreign, kept};

/// Starts one.
pub fn start(options: &Value) -> Option<Peer> {
    let kept = kept("py-libp2p/complete", "FILECASH_TESTS_NEED_PY_LIBP2P")?;
    let kept = kept.parent().unwrap();
    let script = foreign("py_libp2p.py");
    let mut python = Command::new(kept.with_file_name("python").join("bin/python3"));
    python.arg(script).arg(options.to_string()).env("PYTHONPATH", kept);
    Some(Peer::start(python.stderr(Stdio::null())))
}
