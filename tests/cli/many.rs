//! Batches and aggregates between files. One recorded proof (`spec/replication.md` 12.7, the 2 KiB sector of proof 5)
//! stands several times in the lists: each place is a statement of its own.

use serde_json::{Value, json as value};

use crate::support::{Sandbox, json};

const COMM_R: &str = "25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33";
const COMM_D: &str = "6eadd63463ef3576a34dcb6ff742f8448eb22f09d59b9795a4f55d257be3da35";
const PROOF: &[u8] = include_bytes!("../vectors/seal-2kib.proof");

fn seal() -> Value {
    value!({
        "prover_id": "09".repeat(32), "sector": 12345, "ticket": "01".repeat(32), "seed": "02".repeat(32),
        "comm_r": COMM_R, "comm_d": COMM_D, "proof": hex::encode(PROOF),
    })
}

fn write_list(sandbox: &Sandbox, name: &str, seals: &[Value]) {
    let list = value!({ "registered_proof": "StackedDrg2KiBV1_1", "seals": seals });
    sandbox.write(name, list.to_string().as_bytes());
}

/// The verifying key of the recorded proof, and a list of five.
fn with_key() -> Sandbox {
    let sandbox = Sandbox::new();
    let name = "v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-\
                032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.vk";
    sandbox.write(&format!("parameters/{name}"), include_bytes!("../vectors/seal-2kib.vk"));
    write_list(&sandbox, "list.json", &vec![seal(); 5]);
    sandbox
}

#[test]
fn proofs_that_are_aggregates_already_go_into_no_list() {
    let sandbox = with_key();
    let list = value!({ "registered_proof": "StackedDrg2KiBV1_2_Feat_NonInteractivePoRep", "seals": [seal()] });
    sandbox.write("list.json", list.to_string().as_bytes());
    sandbox.write("aggregate", b"any");
    for verb in [
        &["verify", "--list", "list.json"][..],
        &["aggregate", "--list", "list.json", "--out", "out"],
        &["verify-aggregate", "--list", "list.json", "--aggregate", "aggregate"],
    ] {
        let message = sandbox.run(&[&["seal"], verb].concat()).fails(2);
        assert!(message.contains("is an aggregate itself") && message.contains("seal verify"), "{message}");
    }
    assert!(!sandbox.path("out").exists());
}

#[test]
fn lists_are_verified_in_a_batch_and_the_wrong_ones_named() {
    let sandbox = with_key();
    let text = sandbox.run(&["seal", "verify", "--list", "list.json"]).succeeds();
    assert!(text.contains("All 5 proofs are valid"), "{text}");
    for flags in [&[][..], &["--one-by-one"]] {
        let verify = |list: &str| {
            let run = sandbox.run(&[&["seal", "verify", "--json", "--quiet", "--list", list], flags].concat());
            (run.status, json(&run.stdout))
        };
        let (status, report) = verify("list.json");
        assert_eq!((status, &report["valid"], &report["seals"]), (0, &value!(true), &value!(5)));

        let mut seals = vec![seal(); 5];
        seals[1]["sector"] = value!(12346);
        seals[3]["proof"] = value!("00".repeat(192));
        write_list(&sandbox, "wrong.json", &seals);
        let (status, report) = verify("wrong.json");
        assert_eq!((status, &report["valid"]), (1, &value!(false)));
        let rejected = report["rejected"].as_array().unwrap();
        let places: Vec<_> = rejected.iter().map(|seal| (&seal["index"], &seal["sector"])).collect();
        assert_eq!(places, [(&value!(1), &value!(12346)), (&value!(3), &value!(12345))]);
        assert_eq!(rejected[0]["reason"], "partition 0 does not satisfy the verification equation");
        assert_eq!(rejected[1]["reason"], "A of partition 0 is not a compressed point of the group");
    }
    let text = sandbox.run(&["seal", "verify", "--list", "wrong.json"]).succeeds_not();
    assert!(text.contains("2 of 5 proofs are WRONG") && text.contains("sector 12346"), "{text}");
}

#[test]
fn aggregates_are_made_and_verified() {
    let sandbox = with_key();
    let listed = || json(&sandbox.run(&["params", "list", "--json"]).succeeds())["reference_string"].clone();
    assert_eq!((&listed()["bytes"], &listed()["name"]), (&Value::Null, &value!("v28-fil-inner-product-v1.srs")));
    let text = sandbox.run(&["params", "setup-srs", "--powers", "16"]).succeeds();
    assert!(text.contains("can forge proofs") && text.contains("8 proofs at once"), "{text}");
    assert_eq!(listed()["bytes"], value!(16 + 16 * (48 + 48 + 96 + 96)));
    let text = sandbox.run(&["params", "check"]).succeeds();
    assert!(text.contains("test reference string, for 8 proofs at once"), "{text}");
    for version in ["1", "2"] {
        let aggregate = |flags: &[&str]| {
            let common = ["seal", "aggregate", "--json", "--list", "list.json", "--out", "a", "--snarkpack", version];
            sandbox.run(&[&common, flags].concat())
        };
        let report = json(&aggregate(&["--force"]).succeeds());
        // Five proofs are padded to eight.
        assert_eq!((&report["bytes"], &report["proof_bytes"]), (&value!(2260 + 3 * 2976), &value!(5 * 192)));
        assert_eq!(sandbox.read("a").len(), 2260 + 3 * 2976);
        assert_eq!(json(&aggregate(&[]).stdout)["error"]["kind"], "exists");

        let verify = |list: &str, version: &str| {
            let flags = ["--list", list, "--aggregate", "a", "--snarkpack", version];
            let run = sandbox.run(&[&["seal", "verify-aggregate", "--json"], &flags[..]].concat());
            (run.status, json(&run.stdout))
        };
        let (status, report) = verify("list.json", version);
        assert_eq!((status, &report["valid"]), (0, &value!(true)), "{report}");
        // Proofs are not needed any more.
        let mut seals = vec![seal(); 5];
        seals.iter_mut().for_each(|seal| drop(seal.as_object_mut().unwrap().remove("proof")));
        write_list(&sandbox, "statements.json", &seals);
        assert_eq!(verify("statements.json", version).0, 0);
        assert_eq!(verify("list.json", if version == "1" { "2" } else { "1" }).0, 1);
        seals[4]["seed"] = value!("03".repeat(32));
        write_list(&sandbox, "other.json", &seals);
        let (status, report) = verify("other.json", version);
        assert_eq!((status, &report["valid"]), (1, &value!(false)));
        assert_eq!(report["reason"], "the aggregate does not satisfy the verification equations");
        write_list(&sandbox, "other.json", &seals[..4]);
        let (status, report) = verify("other.json", version);
        assert_eq!(status, 1);
        assert_eq!(report["reason"], "the aggregate is of 8 proofs, 4 statements need 4");
    }
    let bytes = sandbox.read("a");
    sandbox.write("a", hex::encode(&bytes).as_bytes());
    let verify = ["seal", "verify-aggregate", "--list", "list.json", "--aggregate", "a"];
    assert!(sandbox.run(&verify).succeeds().contains("The aggregate is valid"));
    sandbox.write("a", &bytes[..bytes.len() - 1]);
    assert!(sandbox.run(&verify).succeeds_not().contains("The aggregate is WRONG"));
}

#[test]
fn failures_of_aggregation_say_what_to_do() {
    let sandbox = with_key();
    let aggregate = ["seal", "aggregate", "--list", "list.json", "--out", "a"];
    let message = sandbox.run(&aggregate).fails(2);
    assert!(message.contains("no reference string") && message.contains("filecash params setup-srs"), "{message}");
    sandbox.run(&["params", "setup-srs", "--powers", "8", "--quiet"]).succeeds();
    assert!(sandbox.run(&["params", "setup-srs"]).fails(2).contains("--force"));
    // A point of the second vector, and a byte too few.
    let srs = "parameters/v28-fil-inner-product-v1.srs";
    let (check, whole) = (["params", "check", "--json"], sandbox.read(srs));
    for spoil in [
        |bytes: &mut Vec<u8>| bytes[4 + 8 * 48 + 4 + 3 * 48 + 7] ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1),
    ] {
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        sandbox.write(srs, &bytes);
        let found = json(&sandbox.run(&check).succeeds_not());
        assert_eq!((&found["sound"], &found["reference_string"]["verdict"]), (&value!(false), &value!("damaged")));
    }
    sandbox.write(srs, &whole);
    assert_eq!(json(&sandbox.run(&check).succeeds())["reference_string"]["verdict"], "test");
    let message = sandbox.run(&["params", "check", "--sector-size", "2KiB"]).fails(2);
    assert!(message.contains("no parameters"), "{message}");
    let message = sandbox.run(&aggregate).fails(2);
    assert!(message.contains("8 points g^(aⁱ), too few: 16 are needed"), "{message}");
    assert!(sandbox.run(&["params", "setup-srs", "--powers", "1", "--force"]).fails(2).contains("from 2 to 1048577"));

    write_list(&sandbox, "wrong.json", &[seal(), value!({ "sector": 1 })]);
    let message = sandbox.run(&["seal", "verify", "--list", "wrong.json"]).fails(2);
    assert!(message.contains("wrong.json is no list of seals"), "{message}");
    write_list(&sandbox, "none.json", &[]);
    assert!(sandbox.run(&["seal", "verify", "--list", "none.json"]).fails(2).contains("no proofs"));
    let message = sandbox.run(&["seal", "verify", "--list", "list.json", "--sector", "1"]).fails(2);
    assert!(message.contains("cannot be used with"), "{message}");
    let other = ["seal", "aggregate", "--list", "list.json", "--out", "a", "--profile", "filecash"];
    assert!(sandbox.run(&other).fails(2).contains("filecash has no aggregation of proofs"));
    let mut false_proof = seal();
    false_proof["ticket"] = value!("07".repeat(32));
    write_list(&sandbox, "list.json", &[seal(), false_proof, seal()]);
    let message = sandbox.run(&aggregate).fails(1);
    assert!(message.contains("1 of 3 seals are rejected: number 1"), "{message}");
    assert!(!sandbox.path("a").exists());
    assert!(
        sandbox
            .run(&["seal", "aggregate", "--list", "l", "--out", "a", "--snarkpack", "3"])
            .fails(2)
            .contains("versions 1 and 2")
    );
}

#[test]
fn lists_are_made_of_sector_folders() {
    let sandbox = with_key();
    let bytes = |text: &str| hex::decode(text).unwrap();
    let sector = |seed: Option<&str>, sector: u64| {
        let mut identity = seal();
        let fields = identity.as_object_mut().unwrap();
        ["comm_r", "comm_d", "proof"].iter().for_each(|field| drop(fields.remove(*field)));
        fields.insert("profile".into(), value!("filecoin"));
        fields.insert("registered_proof".into(), value!("StackedDrg2KiBV1_1"));
        fields.insert("sector".into(), value!(sector));
        match seed {
            Some(seed) => fields.insert("seed".into(), value!(seed)),
            None => fields.remove("seed"),
        };
        identity.to_string()
    };
    for (folder, number) in [("s", 12345), ("t", 12346)] {
        sandbox.write(&format!("{folder}/sector.json"), sector(Some(&"02".repeat(32)), number).as_bytes());
        let pc2 = value!({
            "registered_proof": "StackedDrg2KiBV1_1", "comm_r": bytes(COMM_R), "comm_d": bytes(COMM_D),
        });
        sandbox.write(&format!("{folder}/pc2.json"), pc2.to_string().as_bytes());
        sandbox.write(&format!("{folder}/proof.bin"), PROOF);
    }
    let other = ["seal", "list", "s", "--out", "other.json", "--profile", "filecash"];
    let message = sandbox.run(&other).fails(2);
    assert!(message.contains("s holds a sector of profile filecoin"), "{message}");
    sandbox.run(&["seal", "list", "s", "t", "s", "--out", "three.json", "--profile", "filecoin"]).succeeds();
    let list = json(&String::from_utf8(sandbox.read("three.json")).unwrap());
    assert_eq!(list["seals"][0], seal());
    assert_eq!(list["seals"][1]["sector"], 12346);
    assert_eq!(list["seals"].as_array().unwrap().len(), 3);
    let report = json(&sandbox.run(&["seal", "verify", "--list", "three.json", "--json"]).succeeds_not());
    assert_eq!(report["rejected"][0]["index"], 1);

    sandbox.write("t/sector.json", sector(None, 12346).as_bytes());
    let message = sandbox.run(&["seal", "list", "s", "t", "--out", "other.json"]).fails(2);
    assert!(message.contains("has no seed yet"), "{message}");
    assert!(sandbox.run(&["seal", "list", "s", "--out", "three.json"]).fails(2).contains("--force"));
    assert!(sandbox.run(&["seal", "list", "parameters", "--out", "other.json"]).fails(2).contains("no sector.json"));
    assert!(!sandbox.path("other.json").exists());
}
