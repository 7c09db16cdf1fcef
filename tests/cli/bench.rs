//! Measuring, comparing and showing, on the smallest sectors and without SNARKs.

use serde_json::{Value, json as value};

use crate::support::{Run, Sandbox, json, kept_parameters};

const SEALING: [&str; 6] = ["bench", "sealing", "--sector-size", "2KiB", "--skip-commit2", "--quiet"];

fn bench(sandbox: &Sandbox, flags: &[&str]) -> Run {
    sandbox.run(&[&SEALING[..], flags].concat())
}

fn names(result: &Value) -> Vec<&str> {
    result["phases"].as_array().unwrap().iter().map(|phase| phase["name"].as_str().unwrap()).collect()
}

fn read(sandbox: &Sandbox, name: &str) -> Value {
    json(&String::from_utf8(sandbox.read(name)).unwrap())
}

#[test]
fn phases_are_measured_and_the_result_says_how() {
    let sandbox = Sandbox::new();
    let result = json(&bench(&sandbox, &["--runs", "2", "--num-sectors", "2", "--json"]).succeeds());
    assert_eq!((&result["format"], &result["version"]), (&value!("filecash-bench"), &value!(1)));
    assert_eq!(names(&result), ["add-piece", "pc1", "pc2", "c1", "unseal"]);
    assert_eq!(result["settings"]["sector_size_bytes"], 2048);
    assert_eq!(result["settings"]["is_test_size"], true);
    // Without C2 there is nothing to predict.
    assert_eq!(result["prediction"], Value::Null);
    for phase in result["phases"].as_array().unwrap() {
        assert_eq!((&phase["amount"], &phase["device"]), (&value!(2), &value!("cpu")));
        assert_eq!(phase["vram_budget_bytes"], Value::Null);
        let runs: Vec<f64> =
            phase["runs"].as_array().unwrap().iter().map(|run| run["wall_seconds"].as_f64().unwrap()).collect();
        let [first, second] = runs[..] else { panic!("{phase}") };
        assert!(first > 0.0 && second > 0.0, "{phase}");
        // Numbers lose a last digit on their way through a text.
        for (field, expected) in
            [("min", first.min(second)), ("max", first.max(second)), ("median", (first + second) / 2.0)]
        {
            let actual = phase["wall_seconds"][field].as_f64().unwrap();
            assert!((actual - expected).abs() <= 1e-12 * expected, "{phase}");
        }
    }
    // Nobody asked for sectors to be kept.
    assert_eq!(sandbox.names("."), [""; 0]);
}

#[test]
fn kept_sectors_serve_again_and_no_run_changes_them() {
    let sandbox = Sandbox::new();
    let kept = ["--storage-dir", "kept", "--json"];
    bench(&sandbox, &[&kept[..], &["--save-commit2-input", "c2.json"]].concat()).succeeds();
    let files = || -> Vec<_> {
        let cache = sandbox.names("kept/sector-1/cache").into_iter().map(|name| format!("kept/sector-1/cache/{name}"));
        let folder = ["staged", "sealed", "pieces.json", "pc1.json", "pc2.json", "c1.json", "sector.json"];
        let folder = folder.map(|name| format!("kept/sector-1/{name}"));
        cache.chain(folder).map(|name| (sandbox.read(&name), name)).collect()
    };
    let before = files();
    let again = json(&bench(&sandbox, &[&kept[..], &["--phases", "pc2,pc1", "--warm-up", "1"]].concat()).succeeds());
    assert_eq!(names(&again), ["pc1", "pc2"]);
    assert_eq!((&again["phases"][0]["warm_up"], &again["phases"][0]["runs"][1]), (&value!(1), &Value::Null));
    let after = files();
    assert!(before == after, "a measurement changed a kept sector");
    assert_eq!(sandbox.names("kept"), ["sector-1"]);
    sandbox.run(&["sector", "inspect", "kept/sector-1", "--deep"]).succeeds();

    // The saved input is that of lotus-bench, and is taken until the parameters are missed.
    let input = read(&sandbox, "c2.json");
    assert_eq!((&input["SectorNum"], &input["SectorSize"]), (&value!(1), &value!(2048)));
    assert!(input["Phase1Out"].as_str().is_some_and(|text| text.starts_with("eyJyZWdpc3RlcmVkX3Byb29mIjoi")));

    let other = ["bench", "sealing", "--sector-size", "2KiB", "--storage-dir", "kept", "--miner", "f01001"];
    assert!(sandbox.run(&other).fails(2).contains("holds another sector"));
}

#[test]
fn a_phase_alone_gets_its_inputs_made() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["bench", "sealing", "--sector-size", "2KiB", "--phases", "c1", "--json"]);
    for made in ["add-piece", "pc1", "pc2"] {
        assert!(run.stderr.contains(&format!("Making what the measurement needs: {made}\n")), "{}", run.stderr);
    }
    assert_eq!(names(&json(&run.succeeds())), ["c1"]);
    let message = bench(&sandbox, &["--phases", "c2"]).fails(2);
    assert!(message.contains("no phase is left"), "{message}");
}

#[test]
fn results_are_compared_and_slower_ones_told() {
    let sandbox = Sandbox::new();
    bench(&sandbox, &["--phases", "add-piece,unseal", "--out", "a.json"]).succeeds();
    assert!(bench(&sandbox, &["--phases", "c1", "--out", "a.json"]).fails(2).contains("already there"));
    let compare = |b: &str, flags: &[&str]| sandbox.run(&[&["bench", "compare", "a.json", b], flags].concat());
    let text = compare("a.json", &[]).succeeds();
    assert!(text.contains("1.000") && text.contains("Nothing has more than 1.1 times"), "{text}");

    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut result = read(&sandbox, "a.json");
        change(&mut result);
        sandbox.write(name, result.to_string().as_bytes());
    };
    changed("slower.json", &|result| {
        let spread = &mut result["phases"][1]["wall_seconds"];
        for field in ["median", "max"] {
            spread[field] = value!(spread[field].as_f64().unwrap() * 1.5);
        }
    });
    let report = json(&compare("slower.json", &["--json"]).succeeds_not());
    assert_eq!(report["slower"], value!(["unseal"]));
    assert_eq!(report["phases"][0]["ratio"], 1.0);
    compare("slower.json", &["--max-slower", "1.6"]).succeeds();
    compare("slower.json", &["--metric", "memory"]).succeeds();

    changed("version.json", &|result| result["version"] = value!(2));
    changed("size.json", &|result| result["settings"]["sector_size_bytes"] = value!(8 << 20));
    sandbox.write("garbage.json", b"{\"format\": 3");
    for (name, words) in [
        ("version.json", "version 2; this program knows version 1"),
        ("size.json", "sector size: 2 KiB and 8 MiB"),
        ("garbage.json", "garbage.json: not a benchmark result"),
        ("missing.json", "cannot read the benchmark result missing.json"),
    ] {
        let message = compare(name, &[]).fails(2);
        assert!(message.contains(words), "{message}");
    }
    assert!(compare("a.json", &["--max-slower", "0"]).fails(2).contains("expected a ratio"));
}

#[test]
fn kernels_and_verification_are_measured() {
    let sandbox = Sandbox::new();
    let flags = ["--runs", "1", "--warm-up", "0", "--device", "cpu", "--json", "--quiet", "--html", "page.html"];
    let run = |verb: &[&str]| {
        let result = json(&sandbox.run(&[&["bench"], verb, &flags, &["--force"]].concat()).succeeds());
        // A page with nothing from outside, and no test size where there is no sector.
        let page = String::from_utf8(sandbox.read("page.html")).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<script") && !page.contains("//"), "{page}");
        assert_eq!(page.contains("a size for tests"), result["settings"]["is_test_size"] == true);
        result
    };
    let kernels = run(&["kernels", "--kernel", "encode"]);
    assert_eq!((names(&kernels), &kernels["phases"][0]["unit"]), (vec!["encode"], &value!("nodes")));
    let seals = run(&["verify", "--num-proofs", "3"]);
    assert_eq!((names(&seals), &seals["phases"][1]["amount"]), (vec!["one by one", "batch"], &value!(3)));
    let message = sandbox.run(&["bench", "kernels", "--kernel", "nothing", "--device", "cpu"]).fails(2);
    assert!(message.contains("there are: poseidon 2"), "{message}");
}

/// A sector that nobody sealed, and one that has more than a partition; what cannot be is refused before any work.
#[test]
fn proofs_of_no_sector_are_measured() {
    let sandbox = Sandbox::new();
    let parameters = kept_parameters();
    let folder = parameters.to_str().unwrap();
    let prove =
        ["bench", "prove", "--sector-size", "2KiB", "--device", "cpu", "--threads", "2", "--parameter-cache", folder];
    let result = json(&sandbox.run(&[&prove[..], &["--memory", "96MiB", "--json", "--quiet"]].concat()).succeeds());
    let phase = &result["phases"][0];
    assert_eq!((&phase["name"], &phase["amount"]), (&value!("c2"), &value!(1)));
    assert!(phase["peak_memory_bytes"]["max"].as_f64().unwrap() < f64::from(160 << 20), "{phase}");
    let refused = |flags: &[&str], words: &str| {
        let message = sandbox.run(&[&["bench", "prove"], flags].concat()).fails(2);
        assert!(message.contains(words), "{message}");
    };
    refused(&["--sector-size", "2KiB", "--partitions", "2"], "has 1 partition");
    refused(&["--sector-size", "3KiB"], "3072 bytes");
    refused(&["c2.json", "--sector-size", "2KiB"], "cannot be used with");
    refused(&[], "required");
}

#[test]
fn inputs_of_c2_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("none.json", br#"{"SectorNum":1,"Phase1Out":"e30=","SectorSize":2048}"#);
    assert!(sandbox.run(&["bench", "prove", "none.json"]).fails(2).contains("no input of C2 of profile filecoin"));
    sandbox.write("none.json", br#"{"SectorNum":1,"Phase1Out":"?","SectorSize":2048}"#);
    assert!(sandbox.run(&["bench", "prove", "none.json"]).fails(2).contains("base64"));
    assert!(sandbox.run(&["bench", "winning-post", "--num-sectors", "2"]).fails(2).contains("one sector"));
}
