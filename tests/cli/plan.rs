//! What phases will need. Speeds come from a file, so that nothing is timed; one test times the machine.

use serde_json::{Value, json as object};

use crate::support::{Sandbox, json};

/// The sizes that each network has seals of.
const FILECOIN: [&str; 5] = ["2KiB", "8MiB", "512MiB", "32GiB", "64GiB"];
const FILECASH: [&str; 7] = ["2KiB", "8MiB", "512MiB", "4GiB", "16GiB", "32GiB", "64GiB"];
const PHASES: [&str; 9] = ["add_piece", "pc1", "pc2", "c1", "c2", "verify", "winning_post", "window_post", "unseal"];

/// Speeds of some machine.
fn rates(profile: &str) -> Value {
    let points = object!({ "ones": 3e6, "additions": 8e6 });
    let circuit = object!({ "recorded": 1e7, "witness": 5e6, "evaluated": 1e7 });
    object!({
        "profile": profile, "threads": 2, "share": 1.0, "labels": 1.2e6, "lockstep": null, "digest_bytes": 1.5e9, "sha_nodes": 2e7,
        "poseidon": { "2": 6e5, "5": 4e5, "8": 2e5, "11": 1.5e5 }, "poseidon_alone": 2e4, "parents": 6e5,
        "encoded_nodes": 1e8, "transform": 2e7, "g1": points, "g2": points, "bits": circuit, "wide": circuit,
        "verify": { "proofs": 300.0, "inputs": 2e4 },
    })
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for profile in ["filecoin", "filecash"] {
        sandbox.write(&format!("{profile}.json"), rates(profile).to_string().as_bytes());
    }
    sandbox
}

fn planned(sandbox: &Sandbox, profile: &str, size: &str, more: &[&str]) -> Value {
    let file = format!("{profile}.json");
    let asked = ["plan", "--json", "--profile", profile, "--rates", &file, "--sector-size", size];
    json(&sandbox.run(&[&asked[..], more].concat()).succeeds())
}

#[test]
fn every_size_of_both_networks_is_planned() {
    let sandbox = sandbox();
    for (profile, sizes) in [("filecoin", &FILECOIN[..]), ("filecash", &FILECASH)] {
        let mut before = 0;
        for size in sizes {
            let plan = planned(&sandbox, profile, size, &[]);
            let phases = plan["phases"].as_array().unwrap();
            let names: Vec<_> = phases.iter().map(|phase| phase["phase"].as_str().unwrap()).collect();
            assert_eq!(names, PHASES, "{profile} {size}");
            assert!(phases.iter().all(|phase| phase["seconds"].as_f64().unwrap() > 0.0), "{plan}");
            let peak = plan["peak_disk_bytes"].as_u64().unwrap();
            // Filecash's 16 GiB has five layers, its 4 GiB eight.
            assert!(peak > before, "{profile} {size}: {peak}");
            before = peak;
        }
    }
}

#[test]
fn what_does_not_fit_is_told_with_the_budget_that_would() {
    let sandbox = sandbox();
    let asked = ["plan", "--rates", "filecoin.json", "--sector-size", "32GiB"];
    let text = sandbox.run(&[&asked[..], &["--max-ram", "400MiB"]].concat()).succeeds();
    let c2 = text.lines().find(|line| line.trim_start().starts_with("C2 ")).unwrap();
    assert!(c2.ends_with("not in this budget: needs --max-ram 502MiB"), "{text}");
    assert!(!text.lines().any(|line| line.contains("PC1 ") && line.contains("not in this budget")), "{text}");
    assert!(text.contains("estimates"), "{text}");
    let checked = sandbox.run(&[&asked[..], &["--max-ram", "400MiB", "--check", "--json"]].concat());
    assert_eq!(checked.status, 1);
    let plan = json(&checked.stdout);
    assert_eq!(plan["fits"], false);
    let needs = |name: &str| -> Value {
        plan["phases"].as_array().unwrap().iter().find(|phase| phase["phase"] == name).unwrap().clone()
    };
    assert_eq!([&needs("c2")["fits"], &needs("pc2")["fits"]], [false, true]);
    let least = needs("window_post")["least_memory_bytes"].to_string();
    sandbox.run(&[&asked[..], &["--memory", &least, "--check"]].concat()).succeeds();
    // The memory of a budget is one setting with two names.
    let shown = json(&sandbox.run(&["config", "show", "--json", "--max-ram", "3GiB"]).succeeds());
    assert_eq!(shown["settings"]["memory"]["value"], 3_u64 << 30);
    assert!(sandbox.run(&["plan", "--help"]).succeeds().contains("max-ram"));
}

#[test]
fn the_arithmetic_is_shown() {
    let sandbox = sandbox();
    let asked = ["plan", "--rates", "filecoin.json", "--sector-size", "32GiB"];
    let text = sandbox.run(&[&asked[..], &["--explain"]].concat()).succeeds();
    for line in ["labels, one core", "11.81 G", "elements of six transforms", "8.05 G", "(47373928632 bytes)"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let plan = planned(&sandbox, "filecoin", "32GiB", &["--feature", "synthetic"]);
    let names: Vec<_> = plan["phases"].as_array().unwrap().iter().map(|phase| &phase["phase"]).collect();
    assert!(names.iter().any(|name| **name == "synth"), "{plan}");
    let two = planned(&sandbox, "filecoin", "32GiB", &["--sectors", "2"]);
    let one = planned(&sandbox, "filecoin", "32GiB", &[]);
    assert_eq!(two["peak_disk_bytes"].as_u64().unwrap() + (32 << 30), 2 * one["peak_disk_bytes"].as_u64().unwrap());
}

#[test]
fn senseless_questions_are_refused() {
    let sandbox = sandbox();
    sandbox.write("other.json", rates("filecash").to_string().as_bytes());
    let mut zero = rates("filecoin");
    zero["transform"] = object!(0.0);
    sandbox.write("zero.json", zero.to_string().as_bytes());
    sandbox.write("torn.json", b"{\"profile\": ");
    let table: [(&[&str], &str); 9] = [
        (&["--rates", "filecoin.json"], "--sector-size"),
        (&["--rates", "filecoin.json", "--sector-size", "4GiB"], "4"),
        (&["--rates", "filecoin.json", "--sector-size", "16777215TiB"], "proof"),
        (&["--rates", "filecoin.json", "--sector-size", "0"], "0"),
        (&["--rates", "filecoin.json", "--sector-size", "2KiB", "--sectors", "0"], "1..="),
        (&["--rates", "filecoin.json", "--sector-size", "2KiB", "--max-ram", "0"], "memory"),
        (&["--rates", "other.json", "--sector-size", "2KiB"], "filecash"),
        (&["--rates", "zero.json", "--sector-size", "2KiB"], "above 0"),
        (&["--rates", "torn.json", "--sector-size", "2KiB"], "holds no rates"),
    ];
    for (arguments, word) in table {
        let message = sandbox.run(&[&["plan"], arguments].concat()).fails(2);
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    let storage = ["plan", "--rates", "filecoin.json", "--sector-size", "2KiB", "--storage-dir"];
    assert!(sandbox.run(&[&storage[..], &["missing"]].concat()).fails(2).contains("not a folder"));
}

/// Times the machine, keeps its speeds, and plans with them again.
#[test]
fn speeds_are_kept_for_later() {
    let sandbox = Sandbox::new();
    let asked = ["plan", "--sector-size", "2KiB", "--json", "--storage-dir", "."];
    let timed = json(&sandbox.run(&[&asked[..], &["--save-rates", "mine.json"]].concat()).succeeds());
    assert!(timed["disk"]["write_bytes_per_second"].as_f64().unwrap() > 0.0, "{timed}");
    assert_eq!(sandbox.names("."), ["mine.json"]);
    let again = json(&sandbox.run(&["plan", "--sector-size", "2KiB", "--json", "--rates", "mine.json"]).succeeds());
    assert_eq!(again["rates"], timed["rates"]);
    assert_eq!(again["disk"], Value::Null);
}
