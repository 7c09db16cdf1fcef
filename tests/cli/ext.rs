//! Steps for the programs of others: we are a child that `sh -c` starts with nothing but their variables
//! (`spec/attach.md` B.14 and E.4). The sector is that of `steps`, whose CommR is the reference's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::adverse::killed_command_at;
use crate::steps::{COMM_R, after_pc1, hex32};
use crate::support::{FILECASH, Run, Sandbox, data, json};

/// Somebody without rights.
const NOBODY: u32 = 65534;

/// A sector after PC1 in a folder with a space in its name, and the output of PC1 as a newer Lotus hands it on.
fn sector() -> (Sandbox, String) {
    let sandbox = after_pc1();
    fs::rename(sandbox.path("s"), sandbox.path("a sector")).unwrap();
    let mut pc1 = json(&String::from_utf8(sandbox.read("a sector/pc1.json")).unwrap());
    pc1["_lotus_SealRandomness"] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into();
    (sandbox, STANDARD.encode(pc1.to_string()))
}

/// `'program' ext pc2` as the worker starts it, with changes to the variables: another value, or none.
fn command(sandbox: &Sandbox, program: &Path, pc1: &str, changes: &[(&str, Option<&str>)]) -> Command {
    let folder = |name: &str| sandbox.path("a sector").join(name).to_str().unwrap().to_owned();
    let (cache, sealed) = (folder("cache"), folder("sealed"));
    let mut variables = vec![
        ("SECTOR_NUM", Some("12345")),
        ("SECTOR_MINER", Some("1000")),
        ("PROOF_TYPE", Some("5")),
        ("SECTOR_SIZE", Some("2048")),
        ("CACHE", Some(&*cache)),
        ("SEALED", Some(&*sealed)),
        ("PC1OUT", Some(pc1)),
    ];
    for (name, value) in changes {
        variables.retain(|(other, _)| other != name);
        variables.push((name, *value));
    }
    let set = variables.into_iter().filter_map(|(name, value)| Some((format!("EXTSEAL_PC2_{name}"), value?)));
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec '{}' --json ext pc2", program.display()));
    command.env_clear().envs(set).current_dir("/").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn pc2(sandbox: &Sandbox, program: &Path, pc1: &str, changes: &[(&str, Option<&str>)]) -> Run {
    Run::new(command(sandbox, program, pc1, changes).output().unwrap())
}

/// What PC2 leaves.
fn files(sandbox: &Sandbox) -> Vec<(PathBuf, Vec<u8>)> {
    let names = ["cache/p_aux", "cache/sc-02-data-tree-c.dat", "cache/sc-02-data-tree-r-last.dat", "sealed"];
    let read = |name: &str| (PathBuf::from(name), sandbox.read(&format!("a sector/{name}")));
    assert!(sandbox.path("a sector/cache/t_aux").exists());
    names.map(read).to_vec()
}

#[test]
fn pc2_for_others_is_the_references() {
    let (sandbox, pc1) = sector();
    let before = sandbox.names("a sector/cache");
    let output = json(&pc2(&sandbox, FILECASH.as_ref(), &pc1, &[]).succeeds());
    assert_eq!(output["comm_r"]["hex"], COMM_R);
    assert_eq!((&output["miner"], &output["sector"]), (&1000.into(), &12345.into()));
    let made = files(&sandbox);
    let new = ["p_aux", "sc-02-data-tree-c.dat", "sc-02-data-tree-r-last.dat", "t_aux"].map(str::to_owned);
    let mut expected = [&before[..], &new].concat();
    expected.sort();
    assert_eq!(sandbox.names("a sector/cache"), expected);
    // The miner may ask again, whatever came of it.
    fs::remove_file(sandbox.path("a sector/cache/p_aux")).unwrap();
    pc2(&sandbox, FILECASH.as_ref(), &pc1, &[]).succeeds();
    assert!(files(&sandbox) == made);
}

/// The sealed file's folder takes no new file, and somebody without rights is asked: it is written in place.
#[test]
fn pc2_for_others_writes_in_place_where_it_must() {
    let (sandbox, pc1) = sector();
    let expected = {
        let (other, pc1) = sector();
        pc2(&other, FILECASH.as_ref(), &pc1, &[]).succeeds();
        files(&other)
    };
    let folder = sandbox.path("a sector");
    let is_root = fs::metadata(&folder).unwrap().uid() == 0;
    // Nobody may enter the folder that we are built in.
    let program = sandbox.path("filecash");
    fs::copy(FILECASH, &program).unwrap();
    if is_root {
        for path in [&folder.join("cache"), &folder.join("sealed"), &sandbox.path(".")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let sealed = fs::metadata(folder.join("sealed")).unwrap().ino();
    let mut command = command(&sandbox, &program, &pc1, &[]);
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let run = Run::new(command.output().unwrap());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(json(&run.succeeds())["comm_r"]["hex"], COMM_R);
    assert!(files(&sandbox) == expected);
    assert_eq!(fs::metadata(folder.join("sealed")).unwrap().ino(), sealed);
    assert!(!sandbox.names("a sector/cache").iter().any(|name| name.contains("filecash-replica")));
}

/// The worker is killed with us, and asks again when it is back.
#[test]
fn pc2_for_others_goes_on_after_kills() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(8_000_000));
    let identity = ["--miner", "f01000", "--sector", "12345", "--ticket", &hex32("01")];
    let size = ["--sector-size", "8MiB"];
    for folder in ["whole", "a sector"] {
        let add = [&["seal", "add-piece", "--dir", folder, "data"][..], &size, &identity].concat();
        sandbox.run(&add).succeeds();
        sandbox.run(&["seal", "pc1", "--dir", folder]).succeeds();
    }
    let comm_r = json(&sandbox.run(&["seal", "pc2", "--dir", "whole", "--json"]).succeeds())["comm_r"].clone();

    let pc1 = STANDARD.encode(sandbox.read("a sector/pc1.json"));
    let changes = [("PROOF_TYPE", Some("6")), ("SECTOR_SIZE", Some("8388608"))];
    for line in ["check layers:", "tree-c:", "encode:"] {
        assert!(killed_command_at(&mut command(&sandbox, FILECASH.as_ref(), &pc1, &changes), line), "{line}");
    }
    let output = json(&pc2(&sandbox, FILECASH.as_ref(), &pc1, &changes).succeeds());
    assert_eq!(output["comm_r"], comm_r);
    assert_eq!(sandbox.names("a sector/cache"), sandbox.names("whole/cache"), "something is left of the killed runs");
    assert!(sandbox.read("a sector/sealed") == sandbox.read("whole/sealed"));
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let (sandbox, pc1) = sector();
    let before = (sandbox.names("a sector/cache"), sandbox.read("a sector/sealed"));
    let no_json = STANDARD.encode("{}");
    let table: [(&str, Option<&str>, &str); 10] = [
        ("SECTOR_NUM", None, "EXTSEAL_PC2_SECTOR_NUM is not set"),
        ("SECTOR_MINER", Some("f01000"), "expected a number"),
        ("PROOF_TYPE", Some("99"), "99"),
        ("PROOF_TYPE", Some("0"), "StackedDrg2KiBV1_1, but EXTSEAL_PC2_PROOF_TYPE of StackedDrg2KiBV1"),
        ("SECTOR_SIZE", Some("4096"), "2048"),
        ("PC1OUT", Some("?"), "no base64"),
        ("PC1OUT", Some(&no_json), "no output of PC1"),
        ("CACHE", Some("/nowhere"), "/nowhere"),
        ("SEALED", Some("/nowhere/sealed"), "/nowhere/sealed"),
        ("SEALED", Some(""), "EXTSEAL_PC2_SEALED is not set"),
    ];
    for (name, value, reason) in table {
        let run = pc2(&sandbox, FILECASH.as_ref(), &pc1, &[(name, value)]);
        assert_eq!(run.status, 2, "{name} {value:?} {}", run.stdout);
        let message = json(&run.stdout)["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(reason), "{name} {value:?}: {message}");
        assert!((sandbox.names("a sector/cache"), sandbox.read("a sector/sealed")) == before, "{name} {value:?}");
    }
    // The other network has another proof by that number.
    let run = pc2(&sandbox, FILECASH.as_ref(), &pc1, &[]).status;
    assert_eq!(run, 0);
    let line = format!("{FILECASH}' --profile filecash '--quiet");
    let run = pc2(&sandbox, line.as_ref(), &pc1, &[]);
    assert_eq!(run.status, 2);
    assert!(run.stdout.contains("filecash"), "{}", run.stdout);
}
