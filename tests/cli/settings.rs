//! `filecash config show`: which value wins, and who said so.

use crate::support::{Sandbox, json};

fn shown(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> serde_json::Value {
    let arguments = [&["config", "show", "--json"], arguments].concat();
    json(&sandbox.run_with(&arguments, variables, b"").succeeds())
}

#[test]
fn defaults_are_the_references() {
    let sandbox = Sandbox::new();
    let shown = shown(&sandbox, &[], &[("FIL_PROOFS_PARAMETER_CACHE", ""), ("XDG_CACHE_HOME", "")]);
    let settings = &shown["settings"];
    assert_eq!(settings["parameter_cache"]["value"], "/var/tmp/filecoin-proof-parameters");
    assert_eq!(settings["parent_cache"]["value"], "/var/tmp/filecoin-parents");
    let pipelines = sandbox.path("home/.cache/filecash/pipelines").display().to_string();
    assert_eq!(settings["pipeline_cache"]["value"], pipelines);
    assert_eq!(settings["rows_to_discard"]["value"], 2);
    assert_eq!(settings["profile"]["value"], "filecoin");
    for (name, setting) in settings.as_object().unwrap() {
        assert_eq!(setting["source"], "default", "{name}");
    }
    assert_eq!(shown["file"]["present"], false);
}

#[test]
fn every_source_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.config/filecash/config.toml", b"memory = \"2GiB\"\nthreads = 1\nprofile = \"filecash\"\n");
    let variables = [("FILECASH_THREADS", "2"), ("FIL_PROOFS_CACHE_DIR", "/data/"), ("FILECASH_PROFILE", "filecash")];
    let shown = shown(&sandbox, &["--profile", "filecoin"], &variables);
    let settings = &shown["settings"];
    let file = format!("file {}", sandbox.path("home/.config/filecash/config.toml").display());
    assert_eq!(settings["memory"], json(&format!("{{\"value\": {}, \"source\": {file:?}}}", 2_u64 << 30)));
    assert_eq!(settings["threads"], json(r#"{"value": 2, "source": "environment FILECASH_THREADS"}"#));
    assert_eq!(settings["profile"], json(r#"{"value": "filecoin", "source": "flag --profile"}"#));
    assert_eq!(
        settings["parent_cache"],
        json(r#"{"value": "/data/filecoin-parents", "source": "environment FIL_PROOFS_CACHE_DIR"}"#)
    );
    let none = [("FILECASH_PIPELINE_CACHE", "none")];
    let shown = json(&sandbox.run_with(&["config", "show", "--json"], &none, b"").succeeds());
    assert_eq!(
        shown["settings"]["pipeline_cache"],
        json(r#"{"value": null, "source": "environment FILECASH_PIPELINE_CACHE"}"#)
    );
    let text = sandbox.run_with(&["config", "show"], &variables, b"").succeeds();
    assert!(text.contains("memory") && text.contains("2 GiB") && text.contains(&file), "{text}");
}

#[test]
fn log_levels_of_other_programs_stop_nothing() {
    let sandbox = Sandbox::new();
    let show = |filter: &str| sandbox.run_with(&["config", "show"], &[("RUST_LOG", filter)], b"");
    for filter in ["", "hyper=trace", "h2::codec[stream{id=7,state=\"open\"}]=trace,info", "info,", "off"] {
        assert_eq!(show(filter).stderr, "", "{filter}");
        show(filter).succeeds();
    }
    for filter in ["hyper=loud", "filecash_engine[c2]=debug", "hyper[span=debug"] {
        let message = show(filter).fails(2);
        assert!(message.contains("RUST_LOG") && message.contains("such as warn"), "{message}");
    }
    let flag = ["config", "show", "--log-level", "info", "--json"];
    sandbox.run_with(&flag, &[("RUST_LOG", "hyper=loud")], b"").succeeds();
    let error = json(&sandbox.run_with(&["config", "show", "--json"], &[("RUST_LOG", "=")], b"").stdout);
    assert_eq!(error["error"]["kind"], "settings");
}

#[test]
fn settings_files_with_mistakes_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("typo.toml", b"memmory = \"1GiB\"\n");
    let message = sandbox.run(&["config", "show", "--config", "typo.toml"]).fails(2);
    assert!(message.contains("typo.toml") && message.contains("memmory"), "{message}");
    let message = sandbox.run_with(&["config", "show"], &[("FILECASH_CONFIG", "none.toml")], b"").fails(2);
    assert!(message.contains("none.toml") && message.contains("FILECASH_CONFIG"), "{message}");
    let message = sandbox.run_with(&["config", "show"], &[("FILECASH_MEMORY", "lots")], b"").fails(2);
    assert!(message.contains("FILECASH_MEMORY") && message.contains("lots"), "{message}");
}
