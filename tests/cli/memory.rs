//! The memory budget, seen from outside the process.

use crate::steps::hex32;
use crate::support::{Sandbox, data, kept_parameters};

/// Every phase of sealing under the least budget. PC1 maps the parent table, of 14 MiB, and unsealing a layer or two as well, which
/// the system counts too.
#[test]
fn phases_keep_to_the_least_budget() {
    let (budget, table, layers) = (64 << 20, 14 << 20, 2 * (8 << 20));
    let mut seen = 0;
    let sandbox = Sandbox::new();
    sandbox.write("data", &data(8_323_072));
    let mut run = |step: &str, flags: &[&str], bound: u64| {
        let global = ["--max-ram", "64MiB", "--device", "cpu", "--threads", "2", "--quiet"];
        let (run, peak) = sandbox.run_watched(&[&["seal", step, "--dir", "s"], flags, &global].concat());
        run.succeeds();
        assert!(peak <= bound, "{step}: {peak} bytes");
        seen = peak.max(seen);
    };
    let (id, seed) = (hex32("09"), hex32("02"));
    let identity = ["--prover-id", &id, "--sector", "5", "--ticket", &id];
    run("add-piece", &[&["--sector-size", "8MiB", "data"], &identity[..]].concat(), budget);
    run("pc1", &[], budget + table);
    run("pc2", &[], budget);
    run("c1", &["--seed", &seed], budget);
    run("unseal", &["--out", "back"], budget + table + layers);
    assert!(sandbox.read("back") == data(8_323_072));
    assert!(seen > 16 << 20, "nobody looked");
}

/// Proofs: of a seal, whose two vectors alone are 256 MiB, in a quarter of what it takes otherwise; of space-time; of an
/// update, whose values are wide.
#[test]
fn proofs_keep_to_small_budgets() {
    let parameters = kept_parameters();
    let folder = parameters.to_str().unwrap();
    let sandbox = Sandbox::new();
    let scratch = sandbox.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let global = ["--max-ram", "72MiB", "--device", "cpu", "--threads", "2", "--quiet", "--parameter-cache", folder];
    let mut seen = 0;
    let global = [&global[..], &["--scratch", "scratch"]].concat();
    let mut run = |arguments: &[&str]| {
        let (run, peak) = sandbox.run_watched(&[arguments, &global].concat());
        run.succeeds();
        assert!(peak <= 72 << 20, "{arguments:?}: {peak} bytes");
        seen = peak.max(seen);
    };
    sandbox.write("data", &data(2032));
    let (id, seed) = (hex32("09"), hex32("02"));
    // What makes parameters, where they are not kept yet, has a budget of its own.
    for circuit in ["porep", "winning", "window", "update"] {
        let setup =
            ["params", "setup", "--sector-size", "2KiB", "--circuit", circuit, "--quiet", "--parameter-cache", folder];
        let made = sandbox.run(&setup);
        assert!(made.status == 0 || made.stderr.contains("already there"), "{}", made.stderr);
    }
    let identity = ["--prover-id", &id, "--sector", "5", "--ticket", &id];
    run(&[&["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "data"], &identity[..]].concat());
    run(&["seal", "pc1", "--dir", "s"]);
    run(&["seal", "pc2", "--dir", "s"]);
    run(&["seal", "c1", "--dir", "s", "--seed", &seed]);
    run(&["seal", "c2", "--dir", "s"]);
    run(&["seal", "verify", "--dir", "s"]);
    for kind in ["winning-post", "window-post"] {
        run(&["bench", kind, "--sector-size", "2KiB", "--runs", "1", "--warm-up", "0"]);
    }
    sandbox.write("new", &data(2000));
    run(&["seal", "add-piece", "--dir", "s/update", "--sector-size", "2KiB", "new"]);
    for step in ["encode", "vanilla", "prove", "verify"] {
        run(&["update", step, "--dir", "s"]);
    }
    assert!(seen > 32 << 20, "nobody looked");
    // The vectors had no names and are gone.
    assert_eq!(sandbox.names("scratch").len(), 0);

    // Without the folder there is no room, and it is said which folder; with more memory nobody asks for it.
    let global = [
        "--max-ram",
        "72MiB",
        "--threads",
        "2",
        "--device",
        "cpu",
        "--parameter-cache",
        folder,
        "--scratch",
        "nowhere",
    ];
    let message = sandbox.run(&[&["seal", "c2", "--dir", "s", "--force"], &global[..]].concat()).fails(2);
    assert!(message.contains("134217728 bytes") && message.contains("nowhere"), "{message}");
    assert!(message.contains("--scratch names another folder"), "{message}");
}
