//! A system that does not cooperate: processes that are killed, folders that may not be written.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use crate::support::{FILECASH, Run, Sandbox, data};

/// What `Child::kill` sends.
const SIGKILL: i32 = 9;

const TICKET: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Runs until a line of progress that begins with `line`, then kills. Whether it came that far.
fn killed_at(sandbox: &Sandbox, arguments: &[&str], line: &str) -> bool {
    killed_command_at(&mut sandbox.command(Path::new(FILECASH), arguments), line)
}

/// The same of a command whose standard error is a pipe.
pub fn killed_command_at(command: &mut Command, line: &str) -> bool {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reached = lines.any(|text| text.unwrap().starts_with(line));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(SIGKILL), "it ended by itself before it was killed at {line:?}: {status}");
    reached
}

/// spec/replication.md 6.7: phases 1 and 2 of 8 MiB, killed in every stage, end with what an uninterrupted run makes.
#[test]
fn killed_phases_end_like_uninterrupted_ones() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(8_000_000));
    for folder in ["whole", "killed"] {
        sandbox.run(&["seal", "add-piece", "--dir", folder, "--sector-size", "8MiB", "data"]).succeeds();
    }
    let identity = ["--sector-size", "8MiB", "--miner", "f01000", "--sector", "1", "--ticket", TICKET];
    let pc1 = |folder| [&["seal", "pc1", "--dir", folder][..], &identity].concat();
    let pc2 = |folder| ["seal", "pc2", "--dir", folder];
    sandbox.run(&pc1("whole")).succeeds();
    sandbox.run(&pc2("whole")).succeeds();

    for line in ["tree-d:", "labels:"] {
        assert!(killed_at(&sandbox, &pc1("killed"), line), "{line}");
    }
    sandbox.run(&pc1("killed")).succeeds();
    for line in ["check layers:", "tree-c:", "encode:"] {
        assert!(killed_at(&sandbox, &pc2("killed"), line), "{line}");
    }
    sandbox.run(&pc2("killed")).succeeds();

    for file in ["sealed", "pc1.json", "pc2.json"] {
        let [whole, killed] = ["whole", "killed"].map(|folder| sandbox.read(&format!("{folder}/{file}")));
        if file == "pc1.json" {
            // It names its folder.
            assert_eq!(String::from_utf8(killed).unwrap().replace("killed", "whole").into_bytes(), whole);
        } else {
            assert!(whole == killed, "{file}");
        }
    }
    let names = sandbox.names("whole/cache");
    assert_eq!(sandbox.names("killed/cache"), names, "something is left of the killed runs");
    for name in names.iter().filter(|name| *name != "t_aux") {
        let [whole, killed] = ["whole", "killed"].map(|folder| sandbox.read(&format!("{folder}/cache/{name}")));
        assert!(whole == killed, "{name}");
    }
}

/// A program of this test's user that has no rights here; the superuser has them everywhere, so it becomes nobody.
fn run_without_rights(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    const NOBODY: u32 = 65_534;
    let program = sandbox.path("filecash");
    fs::copy(FILECASH, &program).unwrap();
    let mut command = sandbox.command(&program, arguments);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Run::new(command.output().unwrap())
}

#[test]
fn folders_without_permission_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(2032));
    sandbox.run(&["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "data"]).succeeds();
    fs::create_dir(sandbox.path("s/cache")).unwrap();
    let mode = |name: &str, mode| fs::set_permissions(sandbox.path(name), Permissions::from_mode(mode)).unwrap();
    let pc1 = [
        "seal",
        "pc1",
        "--dir",
        "s",
        "--sector-size",
        "2KiB",
        "--miner",
        "f01000",
        "--sector",
        "1",
        "--ticket",
        TICKET,
    ];
    mode("", 0o755);
    for (folder, denied) in [("s/cache", "s/cache/"), ("s", "s/sealed")] {
        mode("s", 0o777);
        mode("s/cache", 0o777);
        mode(folder, 0o555);
        let before = (sandbox.names("s"), sandbox.names("s/cache"));
        let message = run_without_rights(&sandbox, &pc1).fails(2);
        assert!(message.contains(denied) && message.to_lowercase().contains("permission"), "{folder}: {message}");
        assert_eq!((sandbox.names("s"), sandbox.names("s/cache")), before, "{folder}");
    }
}
