//! GPUs on the command line. Without an adapter only what is said then is tested; `FILECASH_TESTS_NEED_GPU` makes that a
//! failure.

use std::env;

use crate::steps::{COMM_R, hex32};
use crate::support::{Sandbox, data, json};

/// Whether there is an adapter.
pub fn has_adapter(sandbox: &Sandbox) -> bool {
    let found = json(&sandbox.run(&["devices", "--json"]).succeeds());
    let devices = found["devices"].as_array().unwrap();
    assert!(!devices.is_empty() || env::var_os("FILECASH_TESTS_NEED_GPU").is_none(), "no adapter");
    !devices.is_empty()
}

#[test]
fn devices_are_listed_with_what_they_can() {
    let sandbox = Sandbox::new();
    let text = sandbox.run(&["devices"]).succeeds();
    if !has_adapter(&sandbox) {
        assert!(text.starts_with("No GPU was found"), "{text}");
        return;
    }
    assert!(text.contains("self-test   passed") && text.contains("hashes/s    poseidon 2 "), "{text}");
    assert!(
        text.contains("c2          not used: a program on the CPU") || text.contains("c2          used for"),
        "{text}"
    );
    let found = json(&sandbox.run(&["devices", "--json", "--device", "cpu"]).succeeds());
    assert_eq!(found["device"], "cpu");
    for device in found["devices"].as_array().unwrap() {
        assert_eq!(device["used"], false);
        for work in ["poseidon 8", "sha256", "transform", "sum g1", "sum g2"] {
            assert!(device["per_second"][work].as_f64().unwrap() > 0.0, "{device}");
        }
        assert_eq!(device["phases"]["c2"]["reason"], "the CPU alone was asked for", "{device}");
        assert!(device["name"].is_string() && device["driver"].is_string(), "{device}");
    }
}

#[test]
fn devices_that_are_not_there_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(2032));
    sandbox.run(&["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "data"]).succeeds();
    let identity = ["--prover-id", &hex32("09"), "--sector", "12345", "--ticket", &hex32("01")];
    let pc1 = [&["seal", "pc1", "--dir", "s", "--registered-proof", "5"], &identity[..]].concat();
    let run = sandbox.run(&[&pc1[..], &["--device", "Voodoo 2"]].concat());
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("no adapter is called \"Voodoo 2\""), "{}", run.stderr);
    let run = sandbox.run(&[&pc1[..], &["--device", "0,"]].concat());
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("names no device"), "{}", run.stderr);
    assert!(!sandbox.path("s/pc1.json").exists());
    let quickstart = ["quickstart", "--dir", "q", "--device", "cpu", "--require-gpu"];
    let run = sandbox.run(&quickstart);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("the CPU alone was asked for"), "{}", run.stderr);
    assert!(!sandbox.path("q").exists());
}

#[test]
fn sectors_that_gpus_seal_are_the_same() {
    let sandbox = Sandbox::new();
    if !has_adapter(&sandbox) {
        return;
    }
    sandbox.write("data", &data(2032));
    let step = |name: &str, flags: &[&str]| {
        let gpu = ["--device", "gpu", "--require-gpu", "--json", "--quiet"];
        json(&sandbox.run(&[&["seal", name, "--dir", "s"], flags, &gpu[..]].concat()).succeeds())
    };
    step("add-piece", &["--sector-size", "2KiB", "data"]);
    step(
        "pc1",
        &["--registered-proof", "5", "--prover-id", &hex32("09"), "--sector", "12345", "--ticket", &hex32("01")],
    );
    assert_eq!(step("pc2", &[])["comm_r"]["hex"], COMM_R);
}

/// Devices are timed for a plan, only where a phase may use them, and their speeds are kept with the machine's.
#[test]
fn plans_count_the_devices_that_take_part() {
    let sandbox = Sandbox::new();
    let plan =
        |more: &[&str]| json(&sandbox.run(&[&["plan", "--json", "--sector-size", "2KiB"], more].concat()).succeeds());
    assert_eq!(plan(&["--device", "cpu"])["rates"]["devices"], json("null"));
    if !has_adapter(&sandbox) {
        return;
    }
    let timed = plan(&["--device", "c2=gpu", "--save-rates", "mine.json"]);
    let devices = timed["rates"]["devices"].as_array().unwrap();
    assert!(devices[0]["g1"].as_f64().unwrap() > 0.0 && devices[0]["poseidon"]["8"].as_f64().unwrap() > 0.0, "{timed}");
    let is_on_devices = |plan: &serde_json::Value, name: &str| {
        let phases = plan["phases"].as_array().unwrap();
        phases.iter().find(|phase| phase["phase"] == name).unwrap().to_string().contains("on devices")
    };
    assert!(is_on_devices(&timed, "c2") && !is_on_devices(&timed, "winning_post"), "{timed}");
    let again = plan(&["--rates", "mine.json", "--device", "post=gpu"]);
    assert!(!is_on_devices(&again, "c2") && is_on_devices(&again, "winning_post"), "{again}");
    let text = sandbox.run(&["plan", "--sector-size", "2KiB", "--rates", "mine.json", "--device", "gpu"]).succeeds();
    assert!(text.contains(&format!("the CPU and on {}", devices[0]["name"].as_str().unwrap())), "{text}");
}

/// What a worker's jobs may have of a GPU is no more together than what one run may have.
#[test]
fn memory_of_gpus_is_divided_among_a_workers_places() {
    let sandbox = Sandbox::new();
    let worker = ["worker", "run", "--store", "jobs.sqlite", "--until-idle", "--max-vram", "800MiB"];
    let run = sandbox.run(&[&worker[..], &["--device", "cpu"]].concat());
    assert!(!run.stderr.contains("device's memory"), "{}", run.stderr);
    run.succeeds();
    let run = sandbox.run(&[&worker[..], &["--device", "gpu; pc1=cpu", "--c2", "1", "--pc2", "1", "--post"]].concat());
    if has_adapter(&sandbox) {
        assert!(
            run.stderr.contains("100 MiB for a winning-post") && run.stderr.contains("MiB for a c2"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("for a pc1"), "{}", run.stderr);
    }
    run.succeeds();
}
