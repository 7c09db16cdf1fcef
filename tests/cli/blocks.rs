//! `filecash add`, `get`, `cat`, `dag`, `car`, `chain`: blocks, and what is built of them. CIDs are those of kubo 0.22 and Helia
//! (`tests/vectors/unixfs.txt`, well-known ones), chains the real ones of `tests/vectors/chain`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Sandbox, data, json};

const CHAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/chain/");

/// A sandbox whose blocks are in a folder of it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("d/sub")).unwrap();
    sandbox.write("d/a.bin", &data(3_000_000));
    sandbox.write("d/sub/hi.txt", b"hi\n");
    sandbox.write("d/.hidden", b"x");
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    json(&sandbox.run(&[arguments, &["--blocks", "b", "--json", "--quiet"]].concat()).succeeds())
}

fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.run(&[arguments, &["--blocks", "b", "--quiet"]].concat()).fails(2)
}

#[test]
fn files_come_back_from_blocks() {
    let sandbox = sandbox();
    let added = run(&sandbox, &["add", "d"]);
    let cid = added["cid"].as_str().unwrap();
    assert_eq!(run(&sandbox, &["add", "d", "--only-cid", "--hidden"])["kept"], false);
    assert_ne!(run(&sandbox, &["add", "d", "--only-cid", "--hidden"])["cid"], cid);
    // Of the empty file, by kubo and by all who cut into raw leaves.
    sandbox.write("empty", b"");
    for (program, expected) in [
        ("kubo", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
        ("kubo-v1", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        ("helia", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        ("lotus", "bafkqaaa"),
    ] {
        assert_eq!(run(&sandbox, &["add", "empty", "--as", program])["cid"], expected, "{program}");
    }

    let names = run(&sandbox, &["dag", "list", cid]);
    let names: Vec<_> = names["entries"].as_array().unwrap().iter().map(|entry| entry["name"].clone()).collect();
    assert_eq!(names, ["a.bin", "sub"]);
    let stat = run(&sandbox, &["dag", "stat", cid]);
    assert_eq!((&stat["blocks"], &stat["missing"]), (&added["blocks"], &0.into()));
    assert_eq!(run(&sandbox, &["dag", "show", &format!("/ipfs/{cid}/sub")])["value"]["Links"][0]["Name"], "hi.txt");

    let cat = |arguments: &[&str]| sandbox.run(&[&["cat", "--blocks", "b"], arguments].concat()).succeeds();
    assert_eq!(cat(&[&format!("{cid}/sub/hi.txt")]), "hi\n");
    assert_eq!(cat(&[&format!("{cid}/sub/hi.txt"), "--offset", "1", "--length", "1"]), "i");
    assert_eq!(cat(&[&format!("{cid}/sub/hi.txt"), "--offset", "10"]), "");
    run(&sandbox, &["get", cid, "--output", "out"]);
    assert!(sandbox.read("out/a.bin") == data(3_000_000) && sandbox.read("out/sub/hi.txt") == b"hi\n");
    assert!(!sandbox.path("out/.hidden").exists());
    run(&sandbox, &["get", &format!("{cid}/sub/hi.txt")]);
    assert_eq!(sandbox.read("hi.txt"), b"hi\n");

    let empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    for (arguments, reason) in [
        (&["get", cid, "--output", "out"][..], "is there already"),
        (&["cat", cid], "is a folder"),
        (&["cat", &format!("{cid}/nothing")], "has no \"nothing\""),
        (&["cat", "QmY7Yh4UquoXHLPFo2XbhXkhBvFoPwmQUSa92pxnxjQuPU"], "is not there"),
        (&["dag", "list", empty], "not a folder"),
        (&["dag", "show", "nonsense"], "not a CID"),
        (&["add", "d", "--as", "git"], "kubo, kubo-v1, lotus, helia"),
        (&["add", "nowhere"], "nowhere"),
    ] {
        let message = refused(&sandbox, arguments);
        assert!(message.contains(reason), "{arguments:?}: {message}");
    }
    // What is missing is told, and the exit status says so.
    sandbox.run(&["dag", "stat", cid, "--blocks", "elsewhere"]).fails(1);
}

#[test]
fn blocks_travel_in_cars() {
    let sandbox = sandbox();
    let added = run(&sandbox, &["add", "d"]);
    let cid = added["cid"].as_str().unwrap();
    run(&sandbox, &["car", "export", cid, "--output", "1.car"]);
    run(&sandbox, &["car", "export", cid, "--output", "2.car", "--indexed"]);
    for (file, version) in [("1.car", 1), ("2.car", 2)] {
        let shown = run(&sandbox, &["car", "show", file]);
        assert_eq!((&shown["version"], &shown["blocks"]), (&version.into(), &added["blocks"]));
        assert_eq!((&shown["roots"][0], &shown["indexed"]), (&added["cid"], &(version == 2).into()));
        let blocks = format!("from-{file}");
        sandbox.run(&["car", "import", file, "--blocks", &blocks, "--quiet"]).succeeds();
        let out = format!("out-{file}");
        sandbox.run(&["get", cid, "--blocks", &blocks, "--output", &out, "--quiet"]).succeeds();
        assert!(sandbox.read(&format!("{out}/a.bin")) == data(3_000_000));
    }
    // As a piece has it.
    let bytes = sandbox.read("1.car");
    sandbox.write("padded.car", &[&bytes[..], &[0; 1000]].concat());
    assert!(refused(&sandbox, &["car", "show", "padded.car"]).contains("padded.car"));
    run(&sandbox, &["car", "show", "padded.car", "--padded"]);

    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    sandbox.write("flipped.car", &flipped);
    sandbox.write("cut.car", &bytes[..bytes.len() - 1]);
    for (arguments, reason) in [
        (&["car", "show", "flipped.car"][..], "not that of its CID"),
        (&["car", "import", "cut.car"], "before its time"),
        (&["car", "import", "d/a.bin"], "no CAR"),
        (&["car", "show", "d"], "is a folder"),
        (&["car", "export", cid, "--output", "1.car"], "already there"),
        (
            &["car", "export", "bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu", "--output", "3.car"],
            "is not there",
        ),
    ] {
        let message = refused(&sandbox, arguments);
        assert!(message.contains(reason), "{arguments:?}: {message}");
    }
    assert!(!sandbox.path("3.car").exists() && sandbox.read("1.car") == bytes);
}

/// `spec/chain.md` 10, and Filecoin's first heights.
#[test]
fn chains_are_checked() {
    let sandbox = Sandbox::new();
    let file = |name: &str| format!("{CHAIN}{name}");
    let genesis = run(&sandbox, &["chain", "inspect", &file("filecash-genesis.car")]);
    assert_eq!(genesis["objects"], 256);
    assert_eq!(genesis["genesis"]["network_name"], "localnet-adfce032-8656-48c1-8669-db3d1d1807ef");
    assert_eq!(genesis["genesis"]["header"]["cid"], "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc");
    let chain = file("filecoin-heights-0-39.car");
    let seen = run(&sandbox, &["chain", "inspect", &chain]);
    assert_eq!(
        ["tipsets", "headers", "messages", "executed"].map(|name| seen[name].as_u64().unwrap()),
        [33, 49, 585, 247]
    );
    let listed = run(&sandbox, &["chain", "list", &chain, "--count", "3"]);
    let heights: Vec<_> = listed["tipsets"].as_array().unwrap().iter().map(|tipset| tipset["height"].clone()).collect();
    assert_eq!(heights, [39, 38, 37]);
    let head = run(&sandbox, &["chain", "head", &chain]);
    assert_eq!(head, {
        let mut first = listed["tipsets"][0].clone();
        first.as_object_mut().unwrap().remove("messages");
        first
    });
    let shown = run(&sandbox, &["chain", "show", &chain, head["blocks"][0]["cid"].as_str().unwrap()]);
    assert_eq!((shown["value"].as_array().unwrap().len(), &shown["value"][7]), (16, &39.into()));

    let mut bytes = fs::read(Path::new(&chain)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    sandbox.write("flipped.car", &bytes);
    assert!(refused(&sandbox, &["chain", "inspect", "flipped.car"]).contains("flipped.car"));
    assert!(
        refused(&sandbox, &["chain", "head", concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")]).contains("no CAR")
    );
    let absent = refused(&sandbox, &["chain", "show", &chain, "QmY7Yh4UquoXHLPFo2XbhXkhBvFoPwmQUSa92pxnxjQuPU"]);
    assert!(absent.contains("is not in"), "{absent}");
}

#[test]
fn chain_is_imported_and_looked_at() {
    let sandbox = Sandbox::new();
    let file = |name: &str| format!("{CHAIN}{name}");
    let run = |arguments: &[&str]| {
        json(&sandbox.run(&[arguments, &["--chain", "c", "--json", "--quiet"]].concat()).succeeds())
    };
    let refused = |arguments: &[&str]| sandbox.run(&[arguments, &["--chain", "c", "--quiet"]].concat()).fails(2);
    let none = refused(&["chain", "head"]);
    assert!(none.contains("there is no chain at") && none.contains("chain import FILE"), "{none}");
    let taken = run(&["chain", "import", &file("filecoin-heights-0-39.car")]);
    assert_eq!(["blocks", "tipsets", "messages"].map(|name| taken[name].as_u64().unwrap()), [1581, 32, 585]);
    assert_eq!((&taken["height"], &taken["moved"], &taken["unknown_signers"]), (&39.into(), &true.into(), &0.into()));
    let again = run(&["chain", "import", &file("filecoin-heights-0-39.car")]);
    assert_eq!((&again["tipsets"], &again["moved"], &again["head"]), (&0.into(), &false.into(), &taken["head"]));

    let mut head = run(&["chain", "head"]);
    assert_eq!(head["weight"], taken["weight"]);
    head.as_object_mut().unwrap().remove("weight");
    let of_file = |verb: &str| run(&["chain", verb, &file("filecoin-heights-0-39.car")]);
    assert_eq!(head, of_file("head"));
    assert_eq!(run(&["chain", "list"]), of_file("list"));
    let block = head["blocks"][0]["cid"].as_str().unwrap();
    let shown = run(&["chain", "show", block]);
    assert_eq!(shown, run(&["chain", "show", &file("filecoin-heights-0-39.car"), block]));
    assert!(refused(&["chain", "show", "nothing"]).contains("\"nothing\" is not a CID"));

    let other = refused(&["chain", "import", &file("filecash-genesis.car")]);
    assert!(other.contains("the chain begins with bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc"));
    let absent = refused(&["chain", "show", "QmY7Yh4UquoXHLPFo2XbhXkhBvFoPwmQUSa92pxnxjQuPU"]);
    assert!(absent.contains("is not in"), "{absent}");
}
