//! Synthetic and non-interactive proofs of replication, with the 2 KiB sectors of `spec/replication.md` 12.7 (proofs 10
//! and 15).

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use crate::steps::hex32;
use crate::support::{FILECASH, Run, Sandbox, data, json, kept_parameters};

const FILE: &str = "s/cache/syn-porep-vanilla-proofs.dat";

/// Runs a step on the folder `s`.
fn step(sandbox: &Sandbox, name: &str, flags: &[&str]) -> Run {
    sandbox.run(&[&["seal", name, "--dir", "s", "--json", "--quiet"], flags].concat())
}

/// A sandbox with a sector after PC2.
fn after_pc2(proof: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(2032));
    step(&sandbox, "add-piece", &["--sector-size", "2KiB", "data"]).succeeds();
    let identity = ["--prover-id", &hex32("09"), "--sector", "12345", "--ticket", &hex32("01")];
    step(&sandbox, "pc1", &[proof, &identity[..]].concat()).succeeds();
    step(&sandbox, "pc2", &[]).succeeds();
    sandbox
}

fn synthetic() -> Sandbox {
    after_pc2(&["--registered-proof", "StackedDrg2KiBV1_1_Feat_SyntheticPoRep"])
}

fn inspected(sandbox: &Sandbox) -> serde_json::Value {
    json(&sandbox.run(&["sector", "inspect", "s", "--deep", "--json", "--quiet"]).succeeds())
}

#[test]
fn synthetic_proofs_outlive_the_cleared_cache() {
    let sandbox = synthetic();
    let pc2 = json(&String::from_utf8(sandbox.read("s/pc2.json")).unwrap());
    assert_eq!(pc2["comm_r"][0], 0x05);
    assert_eq!(inspected(&sandbox)["stage"], "pc2-done");
    let early = step(&sandbox, "c1", &["--seed", &hex32("02")]);
    assert_eq!(early.status, 2);
    let message = json(&early.stdout)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("syn-porep-vanilla-proofs.dat is missing"), "{message}");

    let run = sandbox.run(&["seal", "synth", "--dir", "s"]);
    assert!(run.stderr.contains("write synthetic proofs"), "{}", run.stderr);
    let text = run.succeeds();
    assert!(text.contains("64 vanilla proofs") && text.contains("Next: filecash seal clear-cache --dir s"), "{text}");
    // spec/replication.md 12.7.
    let file = sandbox.read(FILE);
    assert_eq!(file.len(), 575072);
    let again = step(&sandbox, "synth", &[]);
    assert_eq!((again.status, &json(&again.stdout)["error"]["kind"]), (2, &"exists".into()));
    let made = json(&step(&sandbox, "synth", &["--force"]).succeeds());
    assert_eq!((&made["synthetic_proofs"], &made["bytes"]), (&json("64"), &json("575072")));
    assert_eq!(sandbox.read(FILE), file);
    assert_eq!(inspected(&sandbox)["stage"], "synthesized");

    let cleared = json(&step(&sandbox, "clear-cache", &[]).succeeds());
    assert_eq!((&cleared["freed_bytes"], &cleared["synthetic_proofs"]), (&json("10496"), &json("true")));
    assert_eq!(
        sandbox.names("s/cache"),
        [
            "filecash-manifest.json",
            "filecash.lock",
            "p_aux",
            "sc-02-data-tree-r-last.dat",
            "syn-porep-vanilla-proofs.dat",
            "t_aux"
        ]
    );
    let found = inspected(&sandbox);
    assert_eq!((&found["stage"], &found["synthetic_proofs"]), (&"cleared-for-c1".into(), &json("64")));
    let late = step(&sandbox, "synth", &["--force"]);
    let message = json(&late.stdout)["error"]["message"].as_str().unwrap().to_owned();
    assert!(late.status == 2 && message.contains("before the cache is cleared, and not afterwards"), "{message}");
    assert_eq!(sandbox.read(FILE), file);

    step(&sandbox, "c1", &["--seed", &hex32("02")]).succeeds();
    // spec/replication.md 12.7, API form.
    assert_eq!(sandbox.read("s/c1.json").len(), 99822);
    let cleared = json(&step(&sandbox, "clear-cache", &["--synthetic"]).succeeds());
    assert_eq!((&cleared["freed_bytes"], &cleared["synthetic_proofs"]), (&json("575072"), &json("false")));
    assert_eq!(inspected(&sandbox)["stage"], "cleared");
    assert_eq!(step(&sandbox, "c1", &["--seed", &hex32("02"), "--force"]).status, 2);
}

#[test]
fn damaged_synthetic_proofs_are_noticed() {
    let sandbox = synthetic();
    step(&sandbox, "synth", &[]).succeeds();
    let whole = sandbox.read(FILE);
    let inspect = || {
        let run = sandbox.run(&["sector", "inspect", "s", "--json"]);
        assert_eq!(run.status, 1);
        json(&run.stdout)["problems"][0].as_str().unwrap().to_owned()
    };
    sandbox.flip(FILE, 40);
    let problem = inspect();
    assert!(problem.contains("CommC of p_aux is") && problem.contains("synthetic proofs"), "{problem}");
    let message = json(&step(&sandbox, "c1", &["--seed", &hex32("02")]).stdout)["error"]["message"].to_string();
    assert!(message.contains("is of another sector: its root of TreeC is"), "{message}");
    sandbox.write(FILE, &whole[..whole.len() - 1]);
    let problem = inspect();
    assert!(problem.contains("575,071 bytes, expected 575,072"), "{problem}");

    let mut altered = whole.clone();
    altered[96..].chunks_mut(8984).for_each(|record| record[200] ^= 1);
    sandbox.write(FILE, &altered);
    let message = json(&step(&sandbox, "c1", &["--seed", &hex32("02")]).stdout)["error"]["message"].to_string();
    assert!(message.contains("record ") && message.contains("does not hold"), "{message}");
}

#[test]
fn non_interactive_proofs_have_no_seed() {
    let sandbox = after_pc2(&["--sector-size", "2KiB", "--feature", "non-interactive"]);
    let identity = json(&String::from_utf8(sandbox.read("s/sector.json")).unwrap());
    assert_eq!(identity["registered_proof"], "StackedDrg2KiBV1_2_Feat_NonInteractivePoRep");
    let refused = step(&sandbox, "c1", &["--seed", &hex32("02")]);
    let message = json(&refused.stdout)["error"]["message"].to_string();
    assert!(refused.status == 2 && message.contains("takes no seed"), "{message}");
    let made = json(&step(&sandbox, "c1", &[]).succeeds());
    assert_eq!(made["partitions"], 13);
    // spec/replication.md 12.7, API form; the seed there has as many digits.
    assert_eq!(sandbox.read("s/c1.json").len(), 1291818);
    let refused = step(&sandbox, "c2", &[]);
    let message = json(&refused.stdout)["error"]["message"].to_string();
    assert!(refused.status == 2 && message.contains("v28-fil-inner-product-v1.srs is missing"), "{message}");
    assert!(!sandbox.path("s/proof.bin").exists());

    let refused = step(&sandbox, "synth", &[]);
    let message = json(&refused.stdout)["error"]["message"].to_string();
    assert!(message.contains("non-interactive proofs of replication have no synthetic set"), "{message}");
}

/// The whole life of a sector, out of synthetic proofs once its layers are gone, by a command that is killed while it
/// proves and goes on when it is given again. Parameters are kept between runs.
#[test]
fn quickstart_seals_with_synthetic_proofs() {
    let sandbox = Sandbox::new();
    let parameters = kept_parameters();
    let variables = [("FIL_PROOFS_PARAMETER_CACHE", parameters.to_str().unwrap())];
    let flags = ["quickstart", "--sector-size", "2KiB", "--feature", "synthetic", "--dir", "s", "--json", "--quiet"];
    let mut killed = sandbox.command(Path::new(FILECASH), &flags).envs(variables).spawn().unwrap();
    while !sandbox.path("s/c1.json").exists() {
        assert_eq!(killed.try_wait().unwrap(), None);
        thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!sandbox.path("s/proof.bin").exists());

    let length = include_bytes!("../../node/cli/quickstart.txt").len();
    let other = [&["quickstart", "other"], &flags[1..]].concat();
    for (length, reason) in [(length - 1, "holds another sector"), (length, "is not the file that")] {
        sandbox.write("other", &data(length));
        let refused = json(&sandbox.run_with(&other, &variables, b"").stdout);
        assert!(refused["error"]["message"].as_str().unwrap().contains(reason), "{refused}");
    }

    let made = json(&sandbox.run_with(&flags, &variables, b"").succeeds());
    let was_done = |name: &str| {
        let phase = made["phases"].as_array().unwrap().iter().find(|phase| phase["phase"] == name).unwrap();
        phase["cost"].is_null()
    };
    assert!(["PC1", "PC2", "synthetic proofs", "C1"].into_iter().all(was_done), "{made}");
    assert!(!["C2", "verify", "winning PoSt", "window PoSt", "unseal"].into_iter().any(was_done), "{made}");
    assert_eq!(made["registered_proof"], "StackedDrg2KiBV1_1_Feat_SyntheticPoRep");
    assert_eq!((&made["verified"], &made["unsealed_equals_file"]), (&json("true"), &json("true")));
    assert_eq!(made["proof_bytes"], 192);
    let phases: Vec<_> = made["phases"].as_array().unwrap().iter().map(|phase| &phase["phase"]).collect();
    let place = |name: &str| phases.iter().position(|phase| *phase == name).unwrap();
    assert!(place("PC2") < place("synthetic proofs") && place("synthetic proofs") < place("C1"), "{phases:?}");

    let names = sandbox.names("s/cache");
    assert!(names.contains(&"syn-porep-vanilla-proofs.dat".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("layer") || name.contains("tree-d") || name.contains("tree-c")));
    let verify = || sandbox.run_with(&["seal", "verify", "--dir", "s", "--json"], &variables, b"");
    assert_eq!(json(&verify().succeeds())["valid"], true);
    sandbox.flip("s/proof.bin", 100);
    assert_eq!(json(&verify().succeeds_not())["valid"], false);
}

#[test]
fn features_are_chosen_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(2032));
    let add = |flags: &[&str]| step(&sandbox, "add-piece", &[flags, &["data"]].concat());
    assert!(add(&["--sector-size", "2KiB", "--feature", "random"]).stdout.contains("non-interactive"));
    assert_eq!(add(&["--feature", "synthetic"]).status, 2);
    let refused = add(&["--sector-size", "2KiB", "--feature", "synthetic", "--profile", "filecash"]);
    assert!(
        refused.status == 2 && refused.stdout.contains("filecash has no seal proof synthetic"),
        "{}",
        refused.stdout
    );
    let quick = sandbox.run(&["quickstart", "--feature", "non-interactive", "--profile", "filecash"]).fails(2);
    assert!(quick.contains("filecash has no seal proof non-interactive"), "{quick}");

    // The folder knows better.
    let sandbox = synthetic();
    fs::remove_file(sandbox.path("s/pc1.json")).unwrap();
    let refused = step(&sandbox, "pc1", &["--sector-size", "2KiB", "--feature", "interactive"]);
    assert!(refused.status == 2 && refused.stdout.contains("--feature"), "{}", refused.stdout);
}
