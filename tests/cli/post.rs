//! Proofs of space-time between files, of the 2 KiB sector of `spec/replication.md` 12.7 (proof 5).

use std::fs;

use crate::steps::{COMM_R, after_pc2, hex32};
use crate::support::{Run, Sandbox, json};

/// The randomness of the specification's run.
fn randomness() -> String {
    hex32("05")
}

fn post(sandbox: &Sandbox, step: &[&str], flags: &[&str]) -> Run {
    sandbox.run(&[&["post"], step, &["--json", "--quiet"], flags].concat())
}

#[test]
fn help_names_every_step() {
    let sandbox = Sandbox::new();
    for kind in ["winning", "window"] {
        let help = sandbox.run(&["post", kind, "--help"]).succeeds();
        for step in ["challenges", "vanilla", "prove", "verify"] {
            assert!(help.contains(&format!("\n  {step} ")), "{help}");
        }
    }
    assert!(sandbox.run(&["params", "setup", "--help"]).succeeds().contains("window"));
}

#[test]
fn senseless_requests_are_refused() {
    let sandbox = Sandbox::new();
    let sector = format!("7,{COMM_R}");
    let round = ["--sector-size", "2KiB", "--miner", "f01000", "--randomness", &randomness()];
    let window = |flags: &[&str]| sandbox.run(&[&["post", "window"], flags].concat()).fails(2);
    assert!(window(&["challenges", "--miner", "f01000", "--randomness", &randomness()]).contains("--sector-size"));
    assert!(window(&[&["challenges"], &round[..]].concat()).contains("--sectors, --dir or --sector is missing"));
    let without = ["challenges", "--sector", &sector, "--sector-size", "2KiB", "--miner", "f01000"];
    assert!(window(&without).contains("--randomness is missing"));
    let twice = [&["challenges", "--sector", &sector, "--sector", &sector], &round[..]].concat();
    assert!(window(&twice).contains("sector 7 is given twice"));
    let pathless = [&["prove", "--sector", &sector, "--out", "proof"], &round[..]].concat();
    assert!(window(&pathless).contains("sector 7 has no cache and sealed file"));
    let other = ["challenges", "--registered-proof", "0", "--sector", &sector, "--miner", "f01000", "--randomness"];
    assert!(window(&[&other[..], &[&randomness()]].concat()).contains("is a winning PoSt, not a window PoSt"));
    let wide = hex32("ff");
    let wide = ["challenges", "--sector", &sector, "--sector-size", "2KiB", "--miner", "1", "--randomness", &wide];
    assert!(window(&wide).contains("two top bits"));
    assert!(window(&["challenges", "--sector", "7"]).contains("NUMBER,COMM_R"));
    sandbox.write("list", b"[{\"sector_id\": 7}]");
    let list = [&["challenges", "--sectors", "list"], &round[..]].concat();
    assert!(window(&list).contains("list is no list of sectors"));
}

#[test]
fn flags_that_say_the_same_twice_are_refused() {
    let sandbox = Sandbox::new();
    let randomness = randomness();
    let refuse = |arguments: &[&str], flag: &str| {
        let message = sandbox.run(&[&["post"], arguments].concat()).fails(2);
        assert!(message.contains("cannot be used with") && message.contains(flag), "{flag}: {message}");
    };
    let hex = hex32("09");
    let round = [
        ["--sector-size", "2KiB"],
        ["--registered-proof", "10"],
        ["--randomness", &randomness],
        ["--prover-id", &hex],
        ["--miner", "f01000"],
    ];
    for kind in ["winning", "window"] {
        let vanilla = [kind, "vanilla", "--challenges", "c", "--dir", "s", "--out", "o"];
        round.iter().for_each(|flag| refuse(&[&vanilla[..], flag].concat(), flag[0]));
        let prove = [kind, "prove", "--vanilla", "v", "--dir", "s", "--out", "o"];
        for flag in [["--sectors", "list"], ["--timeout", "1"], ["--sector-timeout", "1"], ["--parallel", "1"]] {
            refuse(&[&prove[..], &flag].concat(), flag[0]);
        }
    }
    refuse(&["window", "vanilla", "--challenges", "c", "--dir", "s", "--out", "o", "--partition", "0"], "--partition");
    for flag in [&["--out", "o"][..], &["--force"], &["--sectors", "list"]] {
        refuse(&[&["winning", "challenges", "--sector-count", "7"], flag].concat(), flag[0]);
    }
    assert_eq!(sandbox.names("."), [""; 0]);
}

#[test]
fn challenges_are_of_one_profile_and_winner() {
    let sandbox = Sandbox::new();
    let sector = format!("7,{COMM_R},cache,sealed");
    let vanilla = |kind: &str, flags: &[&str]| {
        let files = ["--challenges", "c", "--sector", &sector, "--out", "o"];
        let message = sandbox.run(&[&["post", kind, "vanilla"], &files[..], flags].concat()).fails(2);
        assert!(!sandbox.path("o").exists());
        message
    };
    let file = |proof: &str, leaves: &str| {
        format!("{{\"profile\":\"filecoin\",\"registered_proof\":\"{proof}\",\"challenges\":[{leaves}]}}")
    };
    let leaves = "{\"sector_id\":7,\"leaves\":[1]}";
    sandbox.write("c", file("StackedDrgWindow2KiBV1_2", leaves).as_bytes());
    let message = vanilla("window", &["--profile", "filecash"]);
    assert!(message.contains("c is of profile filecoin, not of filecash"), "{message}");
    assert!(vanilla("winning", &[]).contains("c is for a window PoSt"));
    assert!(vanilla("window", &[]).contains("1 challenged leaves, expected 10"));
    sandbox.write("c", file("StackedDrgWinning2KiBV1", &format!("{leaves},{leaves}")).as_bytes());
    assert!(vanilla("winning", &[]).contains("c names 2 sectors"));
    sandbox.write("c", file("StackedDrgWinning2KiBV1", &leaves.replace('7', "8")).as_bytes());
    assert!(vanilla("winning", &[]).contains("no sector here is the one that wins by c"));
    sandbox.write("c", file("StackedDrgWindow2KiBV1_2", leaves).as_bytes());
    sandbox.write("o", b"");
    let files = ["--challenges", "c", "--sector", &sector, "--out", "o"];
    assert!(
        sandbox
            .run(&[&["post", "window", "vanilla"], &files[..]].concat())
            .fails(2)
            .contains("cannot make the folder o")
    );
}

/// spec/replication.md 12.7 and 12.8.
#[test]
fn challenges_match_the_specification() {
    let sandbox = Sandbox::new();
    let round = ["--prover-id", &hex32("09"), "--randomness", &randomness()];
    let winner = |count: &str| {
        let flags = [&["--sector-size", "2KiB", "--sector-count", count], &round[..]].concat();
        json(&post(&sandbox, &["winning", "challenges"], &flags).succeeds())["place"].clone()
    };
    assert_eq!([winner("7"), winner("1099511627776")], [json("6"), json("131749503093")]);
    let list: Vec<_> =
        [12345, 12347, 12346].iter().map(|id| format!("{{\"sector_id\":{id},\"comm_r\":\"{COMM_R}\"}}")).collect();
    sandbox.write("list", format!("[{}]", list.join(",")).as_bytes());
    let leaves = |proof: &str| {
        let flags = [&["--registered-proof", proof, "--sectors", "list", "--out", proof], &round[..]].concat();
        let found = json(&post(&sandbox, &["window", "challenges"], &flags).succeeds());
        let written = json(&String::from_utf8(sandbox.read(proof)).unwrap());
        assert_eq!(written["challenges"], found["challenges"]);
        found["challenges"][2].clone()
    };
    let ranked = leaves("StackedDrgWindow2KiBV1");
    assert_eq!((&ranked["sector_id"], &ranked["leaves"]), (&json("12347"), &json("[22,34,9,42,37,19,27,37,46,4]")));
    assert_eq!(leaves("10")["leaves"], json("[56,39,29,31,42,49,11,49,40,41]"));
}

/// A sandbox with the sealed sector `s`, and parameters of both proofs.
fn with_parameters() -> Sandbox {
    let sandbox = after_pc2();
    for circuit in ["winning", "window"] {
        let flags = ["params", "setup", "--sector-size", "2KiB", "--circuit", circuit, "--quiet"];
        sandbox.run(&flags).succeeds();
    }
    sandbox
}

#[test]
fn sectors_are_proven_step_by_step_and_at_once() {
    let sandbox = with_parameters();
    let randomness = randomness();
    let round = ["--dir", "s", "--randomness", &randomness];
    // spec/replication.md 12.7: lengths of the vanilla proofs.
    for (kind, files, bytes) in [("winning", "v1", 36816), ("window", "v2", 5680)] {
        let flags = [&["--out", "challenges"], &round[..]].concat();
        post(&sandbox, &[kind, "challenges"], &[&flags[..], &["--force"]].concat()).succeeds();
        let flags = ["--challenges", "challenges", "--dir", "s", "--out", files];
        post(&sandbox, &[kind, "vanilla"], &flags).succeeds();
        let vanilla = if kind == "winning" { files.to_owned() } else { format!("{files}/sector-12345") };
        assert_eq!(sandbox.read(&vanilla).len(), bytes);
        let again = post(&sandbox, &[kind, "vanilla"], &[&["--out", files], &round[..]].concat());
        assert_eq!((again.status, &json(&again.stdout)["error"]["kind"]), (2, &"exists".into()));
        let kept = sandbox.read(&vanilla);
        post(&sandbox, &[kind, "vanilla"], &[&["--out", files, "--force"], &round[..]].concat()).succeeds();
        assert_eq!(sandbox.read(&vanilla), kept);

        for (flags, out) in [(&["--vanilla", files][..], "from-vanilla"), (&[], "at-once")] {
            let out = format!("{kind}-{out}");
            let flags = [flags, &["--out", &out], &round[..]].concat();
            let made = json(&post(&sandbox, &[kind, "prove"], &flags).succeeds());
            assert_eq!(made["proof"].as_str().unwrap().len(), 2 * 192);
            let verify = |randomness: &str, proof: &str| {
                post(&sandbox, &[kind, "verify"], &["--dir", "s", "--randomness", randomness, "--proof", proof])
            };
            assert_eq!(json(&verify(&randomness, &out).succeeds())["valid"], json("true"));
            let wrong = verify(&hex32("06"), &out);
            assert_eq!((wrong.status, &json(&wrong.stdout)["valid"]), (1, &json("false")));
            sandbox.write("cut", &sandbox.read(&out)[..191]);
            let cut = verify(&randomness, "cut");
            assert_eq!(cut.status, 1);
            assert!(json(&cut.stdout)["reason"].as_str().unwrap().contains("191 bytes"), "{}", cut.stdout);
        }
    }
}

#[test]
fn faulty_sectors_are_named_or_left_out() {
    let sandbox = with_parameters();
    // A second sector: the same files under another number, and a replica with one bit changed.
    fs::copy(sandbox.path("s/sealed"), sandbox.path("bad")).unwrap();
    sandbox.flip("bad", 999);
    let bad = format!("12399,{COMM_R},s/cache,bad");
    let randomness = randomness();
    let flags = ["--dir", "s", "--sector", &bad, "--randomness", &randomness, "--out", "proof"];
    let refused = post(&sandbox, &["window", "prove"], &flags);
    assert_eq!((refused.status, &json(&refused.stdout)["error"]["kind"]), (1, &"rejected".into()));
    let message = json(&refused.stdout)["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("1 of 2 sectors cannot be proven: sector 12399 (") && message.contains("bad"),
        "{message}"
    );
    let made = post(&sandbox, &["window", "prove"], &[&flags[..], &["--skip-faulty", "--proven", "proven"]].concat());
    let made = json(&made.succeeds());
    assert_eq!(made["skipped"][0]["sector_id"], json("12399"));
    let verify = ["--sectors", "proven", "--proof", "proof", "--sector-size", "2KiB", "--prover-id", &hex32("09")];
    let verify = [&verify[..], &["--randomness", &randomness]].concat();
    assert_eq!(json(&post(&sandbox, &["window", "verify"], &verify).succeeds())["valid"], json("true"));

    let flags = ["--dir", "s", "--sector", &bad, "--randomness", &randomness, "--out", "v"];
    assert_eq!(post(&sandbox, &["window", "vanilla"], &flags).status, 1);
    assert!(!sandbox.path("v").exists());
    let made = json(&post(&sandbox, &["window", "vanilla"], &[&flags[..], &["--skip-faulty"]].concat()).succeeds());
    assert_eq!(
        (&made["skipped"][0]["sector_id"], sandbox.names("v")),
        (&json("12399"), vec!["sector-12345".to_owned()])
    );
}

/// A sector of the same files as the folder `s`, under another number.
fn twin(number: u64) -> String {
    format!("{number},{COMM_R},s/cache,s/sealed")
}

/// Partitions of 2 KiB sectors have two of them: three sectors take a whole one and a padded one.
#[test]
fn partitions_are_proven_alone() {
    let sandbox = with_parameters();
    let randomness = randomness();
    let [second, third] = [twin(12346), twin(12347)];
    let round = ["--prover-id", &hex32("09"), "--randomness", &randomness];
    let ranked = [&round[..], &["--registered-proof", "StackedDrgWindow2KiBV1"]].concat();
    let free = [&round[..], &["--sector-size", "2KiB"]].concat();
    let first_two = ["--dir", "s", "--sector", &second];
    let last = ["--sector", &third];
    for round in [&ranked, &free] {
        let prove = |partition: &str, sectors: &[&str]| {
            let flags = [&["--partition", partition, "--out", partition, "--force"], sectors, &round[..]].concat();
            json(&post(&sandbox, &["window", "prove"], &flags).succeeds())
        };
        let verify = |sectors: &[&str], proof: &str, flags: &[&str]| {
            let run =
                post(&sandbox, &["window", "verify"], &[sectors, &round[..], &["--proof", proof], flags].concat());
            (run.status, json(&run.stdout)["valid"].clone())
        };
        let (holds, wrong) = ((0, json("true")), (1, json("false")));
        assert_eq!(prove("0", &first_two)["partitions"], 1);
        assert_eq!(prove("1", &last)["partitions"], 1);
        assert_eq!(verify(&first_two, "0", &["--partition", "0"]), holds);
        assert_eq!(verify(&last, "1", &["--partition", "1"]), holds);
        // In another place it holds only where ranks do not matter.
        let elsewhere = if round == &free { &holds } else { &wrong };
        assert_eq!(&verify(&last, "1", &["--partition", "0"]), elsewhere);
        assert_eq!(&verify(&last, "1", &[]), elsewhere);
        assert_eq!(verify(&last, "0", &["--partition", "1"]), wrong);
        // One after the other they are the proof of all.
        sandbox.write("all", &[sandbox.read("0"), sandbox.read("1")].concat());
        assert_eq!(verify(&[&first_two[..], &last].concat(), "all", &[]), holds);

        // The leaves that are opened are those of the partition.
        let leaves = |partition: &[&str]| {
            let flags = [&last[..], &round[..], partition].concat();
            json(&post(&sandbox, &["window", "challenges"], &flags).succeeds())["challenges"][0]["leaves"].clone()
        };
        assert_eq!(leaves(&["--partition", "0"]), leaves(&[]));
        assert_eq!(leaves(&["--partition", "1"]) == leaves(&[]), round == &free);
    }
    let three = [&first_two[..], &last, &free, &["--partition", "0", "--out", "none"]].concat();
    let refused = post(&sandbox, &["window", "prove"], &three);
    assert_eq!(refused.status, 2);
    assert!(refused.stdout.contains("3 sectors, a partition has 2 at most"), "{}", refused.stdout);
    assert!(!sandbox.path("none").exists());
}

/// Opening a pipe that nobody writes to hangs, as a dead network file system does.
#[cfg(unix)]
#[test]
fn sectors_that_are_not_read_in_time_are_faulty() {
    let sandbox = after_pc2();
    let pipe = std::process::Command::new("mkfifo").arg(sandbox.path("hangs")).status().unwrap();
    assert!(pipe.success());
    let hanging = format!("12399,{COMM_R},s/cache,hangs");
    let randomness = randomness();
    let flags = ["--dir", "s", "--sector", &hanging, "--randomness", &randomness, "--out", "v"];
    let flags = [&flags[..], &["--sector-timeout", "3"]].concat();
    let refused = post(&sandbox, &["window", "vanilla"], &flags);
    assert_eq!((refused.status, &json(&refused.stdout)["error"]["kind"]), (1, &"rejected".into()));
    let message = json(&refused.stdout)["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("1 of 2 sectors cannot be proven: sector 12399 (timed out: not read within 3 s)"),
        "{message}"
    );
    assert!(!sandbox.path("v").exists());
    let made = json(&post(&sandbox, &["window", "vanilla"], &[&flags[..], &["--skip-faulty"]].concat()).succeeds());
    assert_eq!((&made["sectors"], &made["skipped"][0]["sector_id"]), (&json("[12345]"), &json("12399")));
    assert!(made["skipped"][0]["reason"].as_str().unwrap().contains("not read within 3 s"), "{made}");
}
