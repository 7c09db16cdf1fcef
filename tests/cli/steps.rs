//! The steps of sealing between files, with the 2 KiB sector of `spec/replication.md` 12.7 (proof 5).

use std::fs;

use crate::support::{Run, Sandbox, data, json};

pub const COMM_R: &str = "25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33";
const COMM_D: &str = "6eadd63463ef3576a34dcb6ff742f8448eb22f09d59b9795a4f55d257be3da35";
const COMM_R_CID: &str = "bagboea4b5abcajiuaib5cydzdztur53hskzkjwo4vrn7jq33hdoyinmtkwsmfdbt";

pub fn hex32(byte: &str) -> String {
    byte.repeat(32)
}

/// Runs a step on the folder `s`.
fn step(sandbox: &Sandbox, name: &str, flags: &[&str]) -> Run {
    sandbox.run(&[&["seal", name, "--dir", "s", "--json", "--quiet"], flags].concat())
}

/// A sandbox with the sector after PC1.
pub fn after_pc1() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(2032));
    step(&sandbox, "add-piece", &["--sector-size", "2KiB", "data"]).succeeds();
    let identity = ["--prover-id", &hex32("09"), "--sector", "12345", "--ticket", &hex32("01")];
    step(&sandbox, "pc1", &[&["--registered-proof", "5"], &identity[..]].concat()).succeeds();
    sandbox
}

pub fn after_pc2() -> Sandbox {
    let sandbox = after_pc1();
    let output = json(&step(&sandbox, "pc2", &[]).succeeds());
    assert_eq!(output["comm_r"]["hex"], COMM_R);
    assert_eq!(output["comm_r"]["cid"], COMM_R_CID);
    sandbox
}

/// Puts the verifying key of the recorded proof where it is looked for.
fn with_key(sandbox: &Sandbox) {
    let name = "v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-\
                032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.vk";
    sandbox.write(&format!("parameters/{name}"), include_bytes!("../vectors/seal-2kib.vk"));
    sandbox.write("proof", include_bytes!("../vectors/seal-2kib.proof"));
}

#[test]
fn steps_make_the_references_files() {
    let sandbox = after_pc2();
    let pc2 = json(&String::from_utf8(sandbox.read("s/pc2.json")).unwrap());
    assert_eq!(pc2["registered_proof"], "StackedDrg2KiBV1_1");
    assert_eq!(pc2["comm_d"][0], 0x6e);
    step(&sandbox, "c1", &["--seed", &hex32("02")]).succeeds();
    // spec/replication.md 12.7, API form.
    assert_eq!(sandbox.read("s/c1.json").len(), 99898);
    let identity = json(&String::from_utf8(sandbox.read("s/sector.json")).unwrap());
    assert_eq!(identity["seed"], hex32("02"));
    assert_eq!(
        sandbox.names("s"),
        ["c1.json", "cache", "pc1.json", "pc2.json", "pieces.json", "sealed", "sector.json", "staged"]
    );
}

/// A batch with the sector of the vector in it, one that has PC1 already and one whose data is missing.
#[test]
fn pc1_of_many_sectors_makes_the_references_files() {
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(2032));
    let add = |dir: &str, identity: &[&str]| {
        let flags = ["seal", "add-piece", "--dir", dir, "--registered-proof", "5", "data", "--quiet"];
        sandbox.run(&[&flags[..], identity].concat())
    };
    for sector in ["12343", "12344", "12345", "12346"] {
        let (prover, ticket) = (hex32("09"), hex32("01"));
        add(sector, &["--prover-id", &prover, "--sector", sector, "--ticket", &ticket]).succeeds();
    }
    assert!(add("other", &["--sector", "7"]).fails(2).contains("go together"));
    sandbox.run(&["seal", "pc1", "--dir", "12343", "--quiet"]).succeeds();
    fs::rename(sandbox.path("12346/staged"), sandbox.path("staged")).unwrap();
    let all = ["seal", "pc1", "--json", "--quiet", "--sectors", "12343", "12344", "12345", "12346"];

    let missing = json(&sandbox.run(&all).stdout);
    assert!(missing["error"]["message"].as_str().unwrap().contains("12346/staged"), "{missing}");
    assert!(!sandbox.path("12345/pc1.json").exists());
    // Of the right length, and other data than its list of pieces says.
    sandbox.write("12346/staged", &[1; 2048]);
    let failed = sandbox.run(&all);
    let error = json(&failed.stdout)["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert!(failed.status == 2 && message.contains("1 of 3 sectors failed; sector 12346 in 12346: "), "{error}");

    fs::rename(sandbox.path("staged"), sandbox.path("12346/staged")).unwrap();
    let made = json(&sandbox.run(&all).succeeds());
    assert_eq!((&made["done_before"], made["sectors"].as_array().unwrap().len()), (&3.into(), 1));
    let pc2 = json(&sandbox.run(&["seal", "pc2", "--dir", "12345", "--json", "--quiet"]).succeeds());
    assert_eq!(pc2["comm_r"]["hex"], COMM_R);
    let refused = sandbox.run(&["seal", "pc1", "--sectors", "12345", "--sector", "1"]).fails(2);
    assert!(refused.contains("cannot be used with"), "{refused}");
}

/// A false vanilla proof is a wrong proof, one that is not there a wrong input.
#[test]
fn false_vanilla_proofs_are_rejected() {
    let sandbox = after_pc2();
    step(&sandbox, "c1", &["--seed", &hex32("02")]).succeeds();
    let whole = json(&String::from_utf8(sandbox.read("s/c1.json")).unwrap());
    let c2 = |c1: &serde_json::Value| {
        sandbox.write("s/c1.json", c1.to_string().as_bytes());
        let run = step(&sandbox, "c2", &[]);
        assert!(!sandbox.path("s/proof.bin").exists());
        (run.status, json(&run.stdout)["error"].clone())
    };
    let mut other = whole.clone();
    other["seed"] = other["ticket"].clone();
    let (status, error) = c2(&other);
    assert_eq!((status, &error["kind"]), (1, &"rejected".into()), "{error}");
    other = whole;
    other["vanilla_proofs"] = json("{\"StackedDrg2KiBV1\":[]}");
    let (status, error) = c2(&other);
    assert_eq!((status, &error["kind"]), (2, &"input".into()), "{error}");
}

#[test]
fn nothing_is_replaced_unasked() {
    let sandbox = after_pc2();
    let table: [(&str, &str, &[&str]); 3] =
        [("unseal", "copy", &["--out", "copy"]), ("pc2", "s/pc2.json", &[]), ("pc1", "s/pc1.json", &[])];
    for (name, file, flags) in table {
        sandbox.write(file, b"precious");
        let run = step(&sandbox, name, flags);
        assert_eq!(run.status, 2);
        let error = json(&run.stdout);
        assert_eq!(error["error"]["kind"], "exists", "{error}");
        assert_eq!(sandbox.read(file), b"precious");
    }
}

#[test]
fn the_log_tells_warnings_unless_asked_otherwise() {
    let sandbox = after_pc1();
    let again = |flags: &[&str]| {
        // Left by a process that was killed; that it is removed is told at the level of information.
        sandbox.write("s/cache/sc-02-data-layer-2.dat.Ab3dE6.tmp", b"half");
        fs::remove_file(sandbox.path("s/pc1.json")).unwrap();
        sandbox.flip("s/cache/sc-02-data-layer-2.dat", 100);
        let run = sandbox.run(&[&["seal", "pc1", "--dir", "s", "--json"], flags].concat());
        let log = run.stderr.clone();
        run.succeeds();
        log
    };
    let lines = |log: &str, level: &str, message: &str| {
        log.lines().filter(|line| line.contains(level) && line.contains(message)).count()
    };
    let told = |flags: &[&str]| {
        let log = again(flags);
        let warnings = lines(&log, " WARN ", "layer file is not the one noted");
        let details = lines(&log, " INFO ", "removing what an interrupted job left");
        assert_eq!(lines(&log, " INFO ", "") + lines(&log, " DEBUG ", "") > 0, details > 0, "{log}");
        (warnings, details)
    };
    assert_eq!(told(&[]), (1, 0));
    assert_eq!(told(&["--log-level", "debug"]), (1, 1));
    assert_eq!(told(&["--log-level", "info"]), (1, 1));
    assert_eq!(told(&["--log-level", "filecash_engine::store=info,warn"]), (1, 1));
    assert_eq!(told(&["--log-level", "error"]), (0, 0));
    assert_eq!(told(&["--quiet"]), (0, 0));
    let refused = sandbox.run(&["config", "show", "--log-level", "filecash_engine=loud"]).fails(2);
    assert!(refused.contains("filecash_engine=loud") && refused.contains("info"), "{refused}");
}

/// What a killed PC1 leaves: the copy of the data and the layers finished so far, but no output.
#[test]
fn a_killed_pc1_goes_on_unasked() {
    let sandbox = after_pc1();
    let outputs = ["s/pc1.json", "s/cache/sc-02-data-layer-1.dat", "s/cache/sc-02-data-layer-2.dat"];
    let before = outputs.map(|name| sandbox.read(name));
    for name in [outputs[0], outputs[2]] {
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    step(&sandbox, "pc1", &[]).succeeds();
    assert_eq!(outputs.map(|name| sandbox.read(name)), before);

    fs::remove_file(sandbox.path(outputs[0])).unwrap();
    sandbox.flip("s/sealed", 2047);
    let kept = sandbox.read("s/sealed");
    let refused = step(&sandbox, "pc1", &[]);
    assert_eq!((refused.status, &json(&refused.stdout)["error"]["kind"]), (2, &"exists".into()));
    assert_eq!(sandbox.read("s/sealed"), kept);
}

#[test]
fn steps_refuse_another_sectors_identity() {
    let sandbox = after_pc2();
    let message = sandbox.run(&["seal", "c1", "--dir", "s", "--seed", &hex32("02"), "--sector", "7"]).fails(2);
    assert!(message.contains("--sector") && message.contains("sector.json"), "{message}");
    let message = sandbox.run(&["seal", "c1", "--dir", "s", "--seed", &hex32("02"), "--profile", "filecash"]).fails(2);
    assert!(message.contains("--profile"), "{message}");
    let message = sandbox.run(&["seal", "c1", "--dir", "s"]).fails(2);
    assert!(message.contains("--seed is missing"), "{message}");
}

#[test]
fn pieces_are_placed_and_filled() {
    let sandbox = Sandbox::new();
    sandbox.write("small", b"hello");
    sandbox.write("large", &data(1000));
    let added = json(&step(&sandbox, "add-piece", &["--sector-size", "2KiB", "small"]).succeeds());
    assert_eq!((&added["unpadded_bytes"], &added["zero_bytes"]), (&json("127"), &json("122")));
    let added = json(&step(&sandbox, "add-piece", &["--sector-size", "2KiB", "--fill", "large"]).succeeds());
    assert_eq!((&added["unpadded_bytes"], &added["filler_pieces"]), (&json("1016"), &json("0")));
    assert_eq!(sandbox.read("s/staged").len(), 2048);
    let message = step(&sandbox, "add-piece", &["--sector-size", "2KiB", "small"]);
    assert_eq!(message.status, 2);
    assert_eq!(sandbox.read("s/staged").len(), 2048);

    // One small piece and zero pieces commit to the whole sector, which PC1 checks.
    let identity = ["--sector-size", "2KiB", "--miner", "f01000", "--sector", "1", "--ticket", &hex32("01")];
    fs::remove_dir_all(sandbox.path("s")).unwrap();
    let added = json(&step(&sandbox, "add-piece", &["--sector-size", "2KiB", "--fill", "small"]).succeeds());
    assert_eq!(added["filler_pieces"], 4);
    step(&sandbox, "pc1", &identity).succeeds();
    fs::remove_dir_all(sandbox.path("s")).unwrap();
    step(&sandbox, "add-piece", &["--sector-size", "2KiB", "small"]).succeeds();
    assert_eq!(step(&sandbox, "pc1", &identity).status, 2);
    assert!(!sandbox.path("s/sealed").exists());
}

#[test]
fn piped_pieces_need_a_size() {
    let sandbox = Sandbox::new();
    let arguments = ["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "-q", "-"];
    assert!(sandbox.run_with(&arguments, &[], b"hello").fails(2).contains("--piece-size"));
    let sized = [&arguments[..], &["--piece-size", "254"]].concat();
    sandbox.run_with(&sized, &[], b"hello").succeeds();
    assert_eq!(sandbox.read("s/staged").len(), 256);
    let odd = [&arguments[..], &["--piece-size", "255"]].concat();
    assert!(sandbox.run_with(&odd, &[], b"hello").fails(2).contains("255"));
}

#[test]
fn unsealed_bytes_are_the_data() {
    let sandbox = after_pc2();
    step(&sandbox, "unseal", &["--out", "copy"]).succeeds();
    assert_eq!(sandbox.read("copy"), data(2032));
    fs::remove_dir_all(sandbox.path("s/cache")).unwrap();
    let range = ["--out", "-", "--offset", "500", "--length", "300"];
    let run = sandbox.run(&[&["seal", "unseal", "--dir", "s", "-q"], &range[..]].concat());
    assert_eq!(run.status, 0);
    assert_eq!(run.bytes, data(2032)[500..800]);
    let message = step(&sandbox, "unseal", &["--out", "more", "--offset", "2000", "--length", "33"]);
    assert_eq!((message.status, &json(&message.stdout)["error"]["kind"]), (2, &json("\"usage\"")));
    assert_eq!(sandbox.names("s"), ["pc1.json", "pc2.json", "pieces.json", "sealed", "sector.json", "staged"]);
}

#[test]
fn proofs_are_verified_from_the_statement_alone() {
    let sandbox = Sandbox::new();
    with_key(&sandbox);
    let verify = |flags: &[&str]| {
        let [prover, ticket, seed] = ["09", "01", "02"].map(hex32);
        let statement = [
            "seal",
            "verify",
            "--sector-size",
            "2KiB",
            "--prover-id",
            &prover,
            "--sector",
            "12345",
            "--ticket",
            &ticket,
            "--comm-d",
            COMM_D,
        ];
        let seed = if flags.contains(&"--seed") { vec![] } else { vec!["--seed", &seed] };
        sandbox.run(&[&statement[..], &seed, flags].concat())
    };
    let text = verify(&["--proof", "proof", "--comm-r", COMM_R]).succeeds();
    assert!(text.starts_with("The proof is valid") && text.contains(COMM_R_CID), "{text}");
    let verdict = json(&verify(&["--proof", "proof", "--comm-r", COMM_R_CID, "--json"]).succeeds());
    assert_eq!(verdict["valid"], true);
    sandbox.write("proof.hex", format!("{}\n", hex::encode(sandbox.read("proof"))).as_bytes());
    verify(&["--proof", "proof.hex", "--comm-r", COMM_R]).succeeds();

    // Another seed makes it a wrong proof; a key that is not there makes it no verdict at all.
    let run = verify(&["--proof", "proof", "--comm-r", COMM_R, "--json", "--seed", &hex32("03")]);
    assert_eq!(run.status, 1);
    assert_eq!(json(&run.stdout)["valid"], false);
    let run = verify(&["--proof", "proof", "--comm-r", COMM_R, "--seed", &hex32("03")]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.starts_with("The proof is WRONG"), "{}", run.stdout);
    sandbox.write("short", &sandbox.read("proof")[..191]);
    assert_eq!(verify(&["--proof", "short", "--comm-r", COMM_R]).status, 1);
    let message = verify(&["--proof", "proof", "--comm-r", COMM_R, "--parameter-cache", "none"]).fails(2);
    assert!(message.contains("params setup"), "{message}");
    assert!(verify(&["--proof", "proof"]).fails(2).contains("--comm-r is missing"));
}

/// What `sector inspect` says of the folder `s`.
fn inspect(sandbox: &Sandbox, flags: &[&str]) -> (i32, serde_json::Value) {
    let run = sandbox.run(&[&["sector", "inspect", "--json", "-q", "s"], flags].concat());
    (run.status, json(&run.stdout))
}

#[test]
fn inspection_tells_how_far_a_sector_is() {
    let sandbox = after_pc1();
    let stage = |flags| {
        let (status, found) = inspect(&sandbox, flags);
        assert_eq!((status, &found["problems"]), (0, &json("[]")), "{found}");
        found["stage"].as_str().unwrap().to_owned()
    };
    assert_eq!(stage(&["--deep"]), "pc1-done");
    fs::rename(sandbox.path("s/cache/sc-02-data-layer-2.dat"), sandbox.path("kept")).unwrap();
    assert_eq!(stage(&[]), "pc1-unfinished");
    fs::rename(sandbox.path("kept"), sandbox.path("s/cache/sc-02-data-layer-2.dat")).unwrap();
    step(&sandbox, "pc2", &[]).succeeds();
    assert_eq!(stage(&["--deep"]), "pc2-done");
    let freed = json(&step(&sandbox, "clear-cache", &[]).succeeds());
    assert_eq!(freed["freed_bytes"], 2 * 2048 + 4064 + 2336);
    assert_eq!(stage(&["--deep"]), "cleared");
    let (_, found) = inspect(&sandbox, &[]);
    assert_eq!(found["comm_r"]["cid"], COMM_R_CID);

    // The cache folder alone finds the sealed file beside it.
    let text = sandbox.run(&["sector", "inspect", "s/cache"]).succeeds();
    assert!(text.contains("sealed") && text.contains(COMM_R_CID), "{text}");
    let message = sandbox.run(&["sector", "inspect", "."]).fails(2);
    assert!(message.contains("--sector-size"), "{message}");
    assert!(sandbox.run(&["sector", "inspect", "nowhere"]).fails(2).contains("nowhere"));
}

#[test]
fn inspection_finds_damage() {
    let sandbox = after_pc2();
    let problem = |flags: &[&str], word: &str| {
        let (status, found) = inspect(&sandbox, flags);
        assert_eq!(status, 1, "{found}");
        assert_eq!((&found["sound"], &found["stage"]), (&json("false"), &json("\"broken\"")), "{found}");
        assert!(found["problems"].to_string().contains(word), "{word}: {found}");
    };
    // Seen at once: roots and small files.
    let quick = [
        ("p_aux", 0, "CommR"),
        ("p_aux", 63, "p_aux"),
        ("t_aux", 0, "t_aux"),
        ("sc-02-data-tree-d.dat", 4063, "CommD"),
        ("sc-02-data-tree-c.dat", 2310, "CommC"),
        ("sc-02-data-tree-r-last.dat", 0, "CommRLast"),
    ];
    for (name, at, word) in quick {
        let name = format!("s/cache/{name}");
        let whole = sandbox.read(&name);
        if at == 63 {
            let mut beyond = whole.clone();
            beyond[63] = 0xff;
            sandbox.write(&name, &beyond);
        } else {
            sandbox.flip(&name, at);
        }
        problem(&[], word);
        sandbox.write(&name, &whole);
    }
    // Seen by reading everything.
    let deep = [
        ("s/cache/sc-02-data-layer-1.dat", "layer-1"),
        ("s/cache/sc-02-data-tree-d.dat", "tree-d"),
        ("s/cache/sc-02-data-tree-c.dat", "tree-c"),
        ("s/sealed", "tree-r-last"),
    ];
    for (name, word) in deep {
        sandbox.flip(name, 100);
        assert_eq!(inspect(&sandbox, &[]).0, 0, "{name}");
        problem(&["--deep"], word);
        sandbox.flip(name, 100);
    }
    // Cut and missing files.
    let layer = sandbox.read("s/cache/sc-02-data-layer-1.dat");
    sandbox.write("s/cache/sc-02-data-layer-1.dat", &layer[..2000]);
    problem(&[], "2,000 bytes, expected 2,048");
    fs::remove_file(sandbox.path("s/cache/sc-02-data-layer-1.dat")).unwrap();
    problem(&[], "C1 needs it");
    sandbox.write("s/cache/sc-02-data-layer-1.dat", &layer);
    fs::remove_file(sandbox.path("s/sealed")).unwrap();
    problem(&[], "sealed");
}
