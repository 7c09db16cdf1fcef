//! The real binary: flags, output, exit statuses.
//!
//! Each test runs `filecash` in a folder and an environment of its own. Expected commitments are those of the
//! specification (`spec/replication.md` 2.5, 12.2 and 12.7, the 2 KiB sector of proof 5).

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[cfg(unix)]
mod adverse;
mod bench;
mod blocks;
#[cfg(unix)]
mod browser;
#[cfg(unix)]
mod cuzk;
mod damocles;
mod devices;
#[cfg(unix)]
mod ext;
mod features;
mod fetch;
#[cfg(unix)]
mod gateway;
#[cfg(target_os = "linux")]
mod jobs;
#[cfg(unix)]
mod lotus;
#[cfg(unix)]
mod lotus_client;
mod many;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(unix)]
mod miner;
#[cfg(unix)]
mod node;
mod plan;
mod post;
#[cfg(unix)]
mod remote_c2;
#[cfg(unix)]
mod sealing;
mod settings;
mod steps;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod story;
mod support;
mod update;
#[cfg(unix)]
mod web;

use support::{Sandbox, json};

#[test]
fn help_names_every_verb() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["--help"]).succeeds();
    for verb in [
        "quickstart",
        "seal",
        "post",
        "piece",
        "sectors",
        "jobs",
        "worker",
        "params",
        "plan",
        "bench",
        "devices",
        "ext",
        "config",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
    }
    let help = sandbox.run(&["seal", "--help"]).succeeds();
    for step in [
        "add-piece",
        "pc1",
        "pc2",
        "synth",
        "c1",
        "c2",
        "verify",
        "list",
        "aggregate",
        "verify-aggregate",
        "unseal",
        "clear-cache",
    ] {
        assert!(help.contains(&format!("\n  {step} ")), "{help}");
    }
    assert!(sandbox.run(&["--version"]).succeeds().starts_with("filecash "));
}

#[test]
fn senseless_command_lines_are_refused() {
    let sandbox = Sandbox::new();
    let table: [(&[&str], &str); 6] = [
        (&["sael"], "'seal'"),
        (&["seal", "pc1"], "--staged"),
        (&["config", "show", "--memory", "1GB"], "GiB"),
        (&["seal", "c1", "--dir", ".", "--seed", "0102"], "64 hex digits"),
        (&["seal", "pc1", "--dir", ".", "--miner", "f1abc"], "f01000"),
        (
            &[
                "seal",
                "verify",
                "--dir",
                ".",
                "--comm-d",
                "bagboea4b5abcajiuaib5cydzdztur53hskzkjwo4vrn7jq33hdoyinmtkwsmfdbt",
            ],
            "replica",
        ),
    ];
    for (arguments, word) in table {
        let message = sandbox.run(arguments).fails(2);
        assert!(message.contains(word), "{message}");
    }
    assert!(sandbox.run(&[]).fails(2).contains("Usage"));
}

#[test]
fn failures_are_json_too() {
    let sandbox = Sandbox::new();
    for (arguments, kind) in [
        (&["seal", "pc1", "--json"][..], "usage"),
        (&["piece", "commp", "missing", "--json"], "io"),
        (&["piece", "commp", ".", "--json"], "input"),
        (&["params", "check", "--json"], "input"),
        (&["config", "show", "--json", "--config", "missing"], "settings"),
    ] {
        let run = sandbox.run(arguments);
        assert_eq!(run.status, 2, "{arguments:?}");
        assert_eq!(run.stderr, "", "{arguments:?}");
        let error = json(&run.stdout);
        assert_eq!(error["error"]["kind"], kind, "{error}");
        assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
}

#[test]
fn piece_commitments_match_the_specification() {
    let sandbox = Sandbox::new();
    let table = [
        (127, "b817099547b8c59060fede17e8fef01cd2e5871fcc83cb2cf492000001a97216"),
        (254, "f31e0cd7efce2226e300b71f1e86c6140eb4a88b065c489122bf59343abe7e29"),
        (508, "ddffbca2c0f33e54379ecdd4da544cd1834f17cf448e9b459c0d72972ad7d832"),
        (1016, "23b71f6dd110fc8fb2e5e5940a2c946032bd77e79ce137d8aa887e3a2937a226"),
        (2032, "6eadd63463ef3576a34dcb6ff742f8448eb22f09d59b9795a4f55d257be3da35"),
    ];
    for (bytes, comm_p) in table {
        let data = support::data(bytes);
        sandbox.write("data", &data);
        let found = json(&sandbox.run(&["piece", "commp", "data", "--json"]).succeeds());
        assert_eq!(found["comm_p"], comm_p);
        assert_eq!(found["raw_bytes"], bytes);
        assert_eq!(found["padded_bytes"], bytes / 127 * 128);
        let piped = json(&sandbox.run_with(&["piece", "commp", "-", "--json"], &[], &data).succeeds());
        assert_eq!(piped["comm_p"], comm_p);
    }
    sandbox.write("zeros", &[0; 2000]);
    let text = sandbox.run(&["piece", "commp", "zeros"]).succeeds();
    assert!(text.contains("baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"), "{text}");
    assert!(text.contains("2,000 bytes") && text.contains("2,048 bytes padded (2 KiB)"), "{text}");
}

#[test]
fn progress_goes_to_standard_error_and_only_when_wanted() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &support::data(1016));
    let run = sandbox.run(&["piece", "commp", "data"]);
    assert_eq!(run.stderr, "piece: 1016 B\n");
    assert!(!run.stdout.contains("piece: "));
    assert_eq!(sandbox.run(&["piece", "commp", "data", "--quiet"]).stderr, "");
}

#[test]
fn parameters_are_listed_by_published_name() {
    let sandbox = Sandbox::new();
    let list = json(&sandbox.run(&["params", "list", "--json"]).succeeds());
    let files = list["files"].as_array().unwrap();
    let name = "v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-\
                032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params";
    let porep = files.iter().find(|file| file["name"] == name).unwrap();
    assert_eq!((&porep["bytes"], &porep["sector_bytes"]), (&json("null"), &json("2048")));

    // spec/filecash-profile.md 7: the same name, another digest, another folder.
    let list = json(&sandbox.run(&["params", "list", "--json", "--profile", "filecash"]).succeeds());
    let other = list["files"].as_array().unwrap().iter().find(|file| file["name"] == name).unwrap();
    assert_eq!(other["digest"], "459261cff1b667ac60119b5973504df1");
    assert_ne!(other["digest"], porep["digest"]);
    assert!(other["path"].as_str().unwrap().contains("/filecash/"), "{other}");
}

#[test]
fn quickstart_refuses_what_it_cannot_seal() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["quickstart", "missing"]).fails(2).contains("missing"));
    assert!(sandbox.run(&["quickstart", "."]).fails(2).contains("not a file"));
    assert!(sandbox.run(&["quickstart", "--sector-size", "32GiB"]).fails(2).contains("32 GiB"));
    sandbox.write("data", &support::data(3000));
    assert!(sandbox.run(&["quickstart", "data", "--sector-size", "2KiB"]).fails(2).contains("holds 2,032"));
    sandbox.write("taken/file", b"");
    assert!(sandbox.run(&["quickstart", "--dir", "taken"]).fails(2).contains("not empty"));
    assert_eq!(sandbox.names("."), ["data", "taken"]);
}
