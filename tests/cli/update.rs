//! `filecash update`: new data in the 2 KiB sector of `spec/replication.md` 12.7 (proof 5), step by step.

use std::fs;

use crate::support::{Run, Sandbox, data, json};

const COMM_R_OLD: &str = "25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33";
const COMM_R_NEW: &str = "5c60cac7b117142d2202667a50e3bae16c898ad40197926b537c23e3b3318448";
const COMM_D_NEW: &str = "d4616e8dcf8971b89c01f049c92c727ff74a6152362f85ddf96e8afe24ac4a17";

/// Bytes `(i + 7) mod 251`.
fn new_data() -> Vec<u8> {
    data(2039)[7..].to_vec()
}

/// Runs a step on the folder `s`.
fn step(sandbox: &Sandbox, name: &str, flags: &[&str]) -> Run {
    sandbox.run(&[&["update", name, "--dir", "s", "--json", "--quiet"], flags].concat())
}

/// The failure of a run, with its kind.
fn failure(run: &Run, kind: &str) -> String {
    assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
    let error = json(&run.stdout);
    assert_eq!(error["error"]["kind"], kind, "{error}");
    error["error"]["message"].as_str().unwrap().to_owned()
}

/// A sandbox with the sealed sector, and the new data staged in its folder `update`.
fn staged() -> Sandbox {
    let sandbox = Sandbox::new();
    let seal = |name: &str, dir: &str, flags: &[&str]| {
        sandbox.run(&[&["seal", name, "--dir", dir, "--quiet"], flags].concat()).succeeds();
    };
    sandbox.write("data", &data(2032));
    sandbox.write("new", &new_data());
    let [prover, ticket] = ["09", "01"].map(|byte| byte.repeat(32));
    seal("add-piece", "s", &["--sector-size", "2KiB", "data"]);
    let identity = ["--prover-id", &prover, "--sector", "12345", "--ticket", &ticket];
    seal("pc1", "s", &[&["--registered-proof", "5"], &identity[..]].concat());
    seal("pc2", "s", &[]);
    seal("add-piece", "s/update", &["--sector-size", "2KiB", "new"]);
    sandbox
}

fn encoded() -> Sandbox {
    let sandbox = staged();
    let output = json(&step(&sandbox, "encode", &[]).succeeds());
    assert_eq!(output["comm_r_new"]["hex"], COMM_R_NEW);
    assert_eq!(output["comm_d_new"]["hex"], COMM_D_NEW);
    assert_eq!(output["comm_r_old"]["hex"], COMM_R_OLD);
    assert_eq!(output["next"], "filecash update vanilla --dir s");
    sandbox
}

#[test]
fn help_names_every_step() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["--help"]).succeeds().contains("\n  update "));
    let help = sandbox.run(&["update", "--help"]).succeeds();
    for step in ["encode", "vanilla", "prove", "verify", "decode", "remove"] {
        assert!(help.contains(&format!("\n  {step} ")), "{help}");
    }
}

/// spec/replication.md 12.7: lengths of the files; their digests are compared in the engine's tests.
#[test]
fn steps_make_the_references_files() {
    let sandbox = encoded();
    let old = (sandbox.read("s/sealed"), sandbox.names("s/cache"));
    assert_eq!(
        sandbox.names("s/update/cache"),
        ["p_aux", "sc-02-data-tree-d.dat", "sc-02-data-tree-r-last.dat", "t_aux"]
    );
    let vanilla = json(&step(&sandbox, "vanilla", &[]).succeeds());
    assert_eq!((&vanilla["partitions"], &vanilla["challenges"]), (&json("1"), &json("10")));
    assert_eq!(sandbox.read("s/update/vanilla.bin").len(), 8 + 15064);
    let update = json(&String::from_utf8(sandbox.read("s/update/update.json")).unwrap());
    assert_eq!(update["registered_proof"], "StackedDrg2KiBV1");
    assert_eq!(update["comm_r_new"][0], 0x5c);
    assert_eq!((sandbox.read("s/sealed"), sandbox.names("s/cache")), old);

    // The same with every path given.
    let flags = "update encode --sector-size 2KiB --sector-key s/sealed --sector-key-cache s/cache --replica replica \
                 --cache cache --staged s/update/staged --pieces s/update/pieces.json --out update.json";
    let run = sandbox.run(&flags.split_whitespace().collect::<Vec<_>>());
    assert!(run.stderr.contains("encode: 64 items"), "{}", run.stderr);
    run.succeeds();
    assert_eq!(sandbox.read("replica"), sandbox.read("s/update/sealed"));
    assert_eq!(sandbox.read("update.json"), sandbox.read("s/update/update.json"));
    let flags = "update vanilla --sector-key s/sealed --sector-key-cache s/cache --replica replica --cache cache \
                 --update update.json --out vanilla";
    sandbox.run(&flags.split_whitespace().collect::<Vec<_>>()).succeeds();
    assert_eq!(sandbox.read("vanilla"), sandbox.read("s/update/vanilla.bin"));
}

#[test]
fn data_comes_back_and_goes() {
    let sandbox = encoded();
    step(&sandbox, "decode", &["--out", "copy"]).succeeds();
    assert_eq!(sandbox.read("copy"), new_data());
    let range = ["update", "decode", "--dir", "s", "-q", "--out", "-", "--offset", "500", "--length", "300"];
    let run = sandbox.run(&range);
    assert_eq!((run.status, run.bytes), (0, new_data()[500..800].to_vec()));
    // With nothing but the two replicas and two commitments.
    let flags = ["--sector-size", "2KiB", "--comm-r-old", COMM_R_OLD, "--comm-d-new", COMM_D_NEW];
    let files = ["--replica", "s/update/sealed", "--sector-key", "s/sealed", "--out", "again"];
    sandbox.run(&[&["update", "decode"], &flags[..], &files].concat()).succeeds();
    assert_eq!(sandbox.read("again"), new_data());
    let run = step(&sandbox, "decode", &["--out", "more", "--offset", "2000", "--length", "33"]);
    assert!(failure(&run, "usage").contains("reach beyond the sector's 2032"));
    let run = step(&sandbox, "decode", &["--out", "noise", "--comm-r-old", COMM_R_NEW]);
    assert!(failure(&run, "engine").contains("damaged"));
    assert!(!sandbox.path("noise").exists());

    let old = sandbox.read("s/sealed");
    assert!(failure(&step(&sandbox, "remove", &[]), "exists").contains("s/cache holds a finished sector"));
    let elsewhere = ["--sector-key", "key", "--sector-key-cache", "key-cache"];
    step(&sandbox, "remove", &elsewhere).succeeds();
    assert_eq!((sandbox.read("key"), sandbox.read("key-cache/p_aux")), (old.clone(), sandbox.read("s/cache/p_aux")));
    // As if killed before p_aux got its name.
    fs::remove_file(sandbox.path("key-cache/p_aux")).unwrap();
    assert!(failure(&step(&sandbox, "remove", &elsewhere), "exists").contains("key is already there"));
    step(&sandbox, "remove", &[&elsewhere[..], &["--force"]].concat()).succeeds();
    assert_eq!((sandbox.read("key"), sandbox.read("key-cache/p_aux")), (old.clone(), sandbox.read("s/cache/p_aux")));
    // A lost sector key comes back where it was.
    fs::remove_file(sandbox.path("s/sealed")).unwrap();
    fs::remove_dir_all(sandbox.path("s/cache")).unwrap();
    let output = json(&step(&sandbox, "remove", &[]).succeeds());
    assert_eq!(output["comm_r"]["hex"], COMM_R_OLD);
    assert_eq!(sandbox.read("s/sealed"), old);
}

#[test]
fn nothing_is_replaced_unasked() {
    let sandbox = encoded();
    assert!(failure(&step(&sandbox, "encode", &[]), "exists").contains("update.json is already there"));
    // Without its output a finished encoding is found again, and nothing of it is written anew.
    let output = sandbox.read("s/update/update.json");
    let written = |name: &str| fs::metadata(sandbox.path(name)).unwrap().modified().unwrap();
    let before = written("s/update/sealed");
    fs::remove_file(sandbox.path("s/update/update.json")).unwrap();
    step(&sandbox, "encode", &[]).succeeds();
    assert_eq!((sandbox.read("s/update/update.json"), written("s/update/sealed")), (output, before));

    // Other data does not go there.
    fs::remove_file(sandbox.path("s/update/update.json")).unwrap();
    sandbox.run(&["seal", "add-piece", "--dir", "other", "--sector-size", "2KiB", "-q", "data"]).succeeds();
    let other = ["--staged", "other/staged", "--pieces", "other/pieces.json"];
    let message = failure(&step(&sandbox, "encode", &other), "exists");
    assert!(message.contains("s/update/cache holds another finished sector"), "{message}");
    // Nor over a file that is in the way of a new folder; over what a killed run left it does.
    let message = failure(&step(&sandbox, "encode", &[&other[..], &["--cache", "fresh"]].concat()), "exists");
    assert!(message.contains("s/update/sealed is already there"), "{message}");
    assert!(!sandbox.path("fresh").exists());
    fs::remove_file(sandbox.path("s/update/cache/p_aux")).unwrap();
    let output = json(&step(&sandbox, "encode", &other).succeeds());
    assert_ne!(output["comm_r_new"]["hex"], COMM_R_NEW);
    for name in ["vanilla", "decode", "prove"] {
        let (file, flags): (&str, &[&str]) = match name {
            "vanilla" => ("s/update/vanilla.bin", &[]),
            "prove" => ("s/update/proof.bin", &[]),
            _ => ("copy", &["--out", "copy"]),
        };
        sandbox.write(file, b"precious");
        failure(&step(&sandbox, name, flags), "exists");
        assert_eq!(sandbox.read(file), b"precious");
    }
}

#[test]
fn damage_is_named() {
    let sandbox = staged();
    sandbox.flip("s/sealed", 100);
    let message = failure(&step(&sandbox, "encode", &[]), "engine");
    assert!(message.contains("the tree over the sector key s/sealed"), "{message}");
    sandbox.flip("s/sealed", 100);
    sandbox.flip("s/update/staged", 100);
    let message = failure(&step(&sandbox, "encode", &[]), "engine");
    assert!(message.contains("s/update/staged holds data of comm_d"), "{message}");
    sandbox.flip("s/update/staged", 100);
    step(&sandbox, "encode", &[]).succeeds();
    sandbox.flip("s/update/sealed", 2000);
    let message = failure(&step(&sandbox, "vanilla", &[]), "engine");
    assert!(message.contains("s/update/sealed do not lead to the tree"), "{message}");
    sandbox.flip("s/update/sealed", 2000);
    step(&sandbox, "vanilla", &[]).succeeds();
    sandbox.flip("s/update/vanilla.bin", 50);
    let run = step(&sandbox, "prove", &[]);
    let error = json(&run.stdout)["error"].clone();
    assert_eq!((run.status, &error["kind"]), (1, &"rejected".into()));
    assert!(error["message"].as_str().unwrap().contains("the partition proofs do not hold"), "{error}");
    sandbox.write("s/update/vanilla.bin", b"short");
    let message = failure(&step(&sandbox, "prove", &[]), "input");
    assert!(message.contains("vanilla.bin are no partition proofs of 2KiB: 5 bytes, expected 15072"), "{message}");
    sandbox.write("s/update/update.json", b"{}");
    let message = failure(&step(&sandbox, "vanilla", &["--force"]), "input");
    assert!(message.contains("s/update/update.json is no output of update encode"), "{message}");
}

#[test]
fn proving_without_parameters_says_how_to_get_them() {
    let sandbox = encoded();
    let run = sandbox.run(&["update", "prove", "--dir", "s", "-q"]);
    let message = run.fails(2);
    assert!(message.contains("empty-sector-update-") && message.contains("params setup"), "{message}");
    assert!(!sandbox.path("s/update/proof.bin").exists());
}

#[test]
fn proofs_are_verified_from_the_statement_alone() {
    let sandbox = Sandbox::new();
    let name = "v28-empty-sector-update-merkletree-poseidon_hasher-8-0-0-\
                fb9e095bebdd77511c0269b967b4d87ba8b8a525edaa0e165de23ba454510194.vk";
    sandbox.write(&format!("parameters/{name}"), include_bytes!("../vectors/update-2kib.vk"));
    sandbox.write("proof", include_bytes!("../vectors/update-2kib.proof"));
    let verify = |comm_r_old: &str, comm_r_new: &str, flags: &[&str]| {
        let comms = ["--comm-r-old", comm_r_old, "--comm-r-new", comm_r_new, "--comm-d-new", COMM_D_NEW];
        sandbox.run(&[&["update", "verify", "--proof", "proof"], &comms[..], flags].concat())
    };
    let size = ["--sector-size", "2KiB"];
    let text = verify(COMM_R_OLD, COMM_R_NEW, &size).succeeds();
    assert!(text.starts_with("The proof is valid") && text.contains("StackedDrg2KiBV1 (update 0)"), "{text}");
    let verdict = json(&verify(COMM_R_OLD, COMM_R_NEW, &["--registered-proof", "0", "--json"]).succeeds());
    assert_eq!(verdict["valid"], true);

    // Old and new in each other's place: a wrong proof. Another size: a proof of another length.
    let run = verify(COMM_R_NEW, COMM_R_OLD, &size);
    assert_eq!(run.status, 1);
    assert!(run.stdout.starts_with("The proof is WRONG"), "{}", run.stdout);
    let run = verify(COMM_R_OLD, COMM_R_NEW, &["--sector-size", "8MiB", "--json"]);
    assert_eq!((run.status, &json(&run.stdout)["valid"]), (1, &json("false")));
    assert!(json(&run.stdout)["reason"].as_str().unwrap().contains("192 bytes, expected 768"));

    // What is no statement at all.
    let message = verify(COMM_R_OLD, COMM_R_NEW, &[&size[..], &["--profile", "filecash"]].concat()).fails(2);
    assert!(message.contains("filecash has no update proof"), "{message}");
    let message = verify(COMM_R_OLD, COMM_R_NEW, &["--sector-size", "4KiB"]).fails(2);
    assert!(message.contains("filecoin has no update proof for sectors of 4096 bytes"), "{message}");
    let message = verify(&"0".repeat(64), COMM_R_NEW, &size).fails(2);
    assert!(message.contains("comm_r_old is all zero"), "{message}");
    let message = sandbox.run(&["update", "verify", "--proof", "proof", "--sector-size", "2KiB"]).fails(2);
    assert!(message.contains("--comm-r-old is missing") && message.contains("--update"), "{message}");
}
