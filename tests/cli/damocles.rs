//! Processors of a Damocles worker (`spec/attach.md` B.16 and E.4): the worker is this test.

mod data;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json as value};

use crate::steps::hex32;
use crate::support::{FILECASH, Sandbox, data, json, kept_parameters};

/// A processor that has said that it is ready.
struct Processor {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Processor {
    fn start(sandbox: &Sandbox, stage: &str, flags: &[&str]) -> Self {
        Self::start_with(sandbox, stage, flags, &[])
    }

    /// [`Self::start`] with variables besides the sandbox's own.
    fn start_with(sandbox: &Sandbox, stage: &str, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = [flags, &["ext", "damocles", stage]].concat();
        let mut command = sandbox.command(Path::new(FILECASH), &arguments);
        let mut child = command.envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut processor = Self { child, stdin, stdout };
        assert_eq!(processor.line(), format!("{stage} processor ready\n"));
        processor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn send(&mut self, id: u64, task: &Value) {
        self.write(&format!("{}\n", value!({ "id": id, "task": task })));
    }

    fn answer(&mut self) -> Value {
        let answer = json(&self.line());
        assert_eq!(answer.as_object().unwrap().len(), 3, "{answer}");
        answer
    }

    /// The output of a task that goes well.
    fn does(&mut self, id: u64, task: &Value) -> Value {
        self.send(id, task);
        let answer = self.answer();
        assert_eq!((&answer["id"], &answer["err_msg"]), (&id.into(), &Value::Null), "{answer}");
        answer["output"].clone()
    }

    /// Why a task does not.
    fn fails(&mut self, id: u64, task: &Value) -> String {
        self.send(id, task);
        let answer = self.answer();
        assert_eq!((&answer["id"], &answer["output"]), (&id.into(), &Value::Null), "{answer}");
        answer["err_msg"].as_str().unwrap().to_owned()
    }

    /// Hangs up; what it still wrote to either stream, and its exit status.
    fn ends(mut self) -> (String, String, i32) {
        drop(self.stdin.take());
        let (mut rest, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (rest, log, self.child.wait().unwrap().code().unwrap())
    }
}

fn write(sandbox: &Sandbox, name: &str, output: &Value) {
    sandbox.write(name, output.to_string().as_bytes());
}

/// A staged sector 5 of miner 1000 in `s`, and the task of its PC1.
fn staged(sandbox: &Sandbox) -> Value {
    sandbox.write("data", &data(2032));
    let identity = ["--miner", "f01000", "--sector", "5", "--ticket", &hex32("01")];
    let add = ["seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "--quiet", "data"];
    sandbox.run(&[&add[..], &identity].concat()).succeeds();
    fs::create_dir(sandbox.path("s/cache")).unwrap();
    let mut prover_id = vec![0; 32];
    prover_id[..2].copy_from_slice(&[0xe8, 7]);
    value!({
        "registered_proof": "StackedDrg2KiBV1_1", "cache_path": sandbox.path("s/cache"), "in_path": sandbox.path("s/staged"),
        "out_path": sandbox.path("s/sealed"), "prover_id": prover_id, "sector_id": 5, "ticket": vec![1; 32],
        "piece_infos": json(&String::from_utf8(sandbox.read("s/pieces.json")).unwrap()),
    })
}

/// A sector through all stages: what comes out is what the steps of the command line make and accept.
#[test]
fn a_sector_goes_through_the_processors() {
    let sandbox = Sandbox::new();
    let parameters = kept_parameters();
    let kept = ["--parameter-cache", parameters.to_str().unwrap(), "--quiet"];
    let run = |arguments: &[&str]| sandbox.run(&[arguments, &kept].concat()).succeeds();
    run(&["params", "setup", "--sector-size", "2KiB", "--circuit", "all"]);
    let task = staged(&sandbox);

    let mut pc1 = Processor::start(&sandbox, "pc1", &kept);
    let output = pc1.does(7, &task);
    assert_eq!(output["registered_proof"], "StackedDrg2KiBV1_1");
    write(&sandbox, "s/pc1.json", &output);
    assert_eq!(pc1.ends(), (String::new(), String::new(), 0));

    let mut pc2 = Processor::start(&sandbox, "pc2", &kept);
    let (cache, sealed) = (sandbox.path("s/cache"), sandbox.path("s/sealed"));
    let output = pc2.does(8, &value!({ "pc1out": output, "cache_dir": cache, "sealed_file": sealed }));
    write(&sandbox, "s/pc2.json", &output);
    let comm_r = output["comm_r"].clone();
    drop(pc2);
    // The same sector by the steps.
    fs::create_dir(sandbox.path("t")).unwrap();
    for name in ["staged", "pieces.json", "sector.json"] {
        fs::copy(sandbox.path("s").join(name), sandbox.path("t").join(name)).unwrap();
    }
    run(&["seal", "pc1", "--dir", "t"]);
    run(&["seal", "pc2", "--dir", "t"]);
    assert_eq!(json(&String::from_utf8(sandbox.read("t/pc2.json")).unwrap()), output);
    assert!(sandbox.read("t/sealed") == sandbox.read("s/sealed"));

    run(&["seal", "c1", "--dir", "s", "--seed", &hex32("02")]);
    let c1 = json(&String::from_utf8(sandbox.read("s/c1.json")).unwrap());
    let mut c2 = Processor::start(&sandbox, "c2", &kept);
    let task = value!({ "c1out": c1, "prover_id": task["prover_id"], "sector_id": 5, "miner_id": 1000 });
    // Two at a time, and a line that is no task.
    let mut wrong = task.clone();
    wrong["miner_id"] = 1001.into();
    c2.write("no task\n");
    c2.send(1, &task);
    c2.send(2, &wrong);
    let answers = [c2.answer(), c2.answer()];
    let of = |id: u64| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert!(of(2)["err_msg"].as_str().unwrap().contains("not that of miner f01001"), "{}", of(2));
    let proof: Vec<u8> = serde_json::from_value(of(1)["output"]["proof"].clone()).unwrap();
    assert_eq!(proof.len(), 192);
    sandbox.write("s/proof.bin", &proof);
    run(&["seal", "verify", "--dir", "s"]);
    // The worker is gone: nobody waits for the answer.
    c2.send(3, &task);
    let (rest, log, status) = c2.ends();
    assert_eq!((rest.as_str(), status), ("", 0));
    assert!(log.contains("no task"), "{log}");

    let sector = value!({ "sector_id": 5, "comm_r": comm_r, "cache_dir": cache, "sealed_file": sealed });
    let hex = hex::encode(serde_json::from_value::<Vec<u8>>(comm_r.clone()).unwrap());
    let sector_flag = format!("5,{hex}");
    for (kind, stage, proof_type) in
        [("window", "window_post", "StackedDrgWindow2KiBV1_2"), ("winning", "winning_post", "StackedDrgWinning2KiBV1")]
    {
        let mut post = Processor::start(&sandbox, stage, &kept);
        let task = value!({ "miner_id": 1000, "proof_type": proof_type, "replicas": [sector], "seed": vec![5; 32] });
        let output = post.does(4, &task);
        let proofs = output["proofs"].as_array().unwrap();
        assert_eq!(proofs.len(), 1);
        sandbox.write("post.bin", &STANDARD.decode(proofs[0].as_str().unwrap()).unwrap());
        let round =
            ["--sector-size", "2KiB", "--miner", "f01000", "--randomness", &hex32("05"), "--sector", &sector_flag];
        run(&[&["post", kind, "verify", "--proof", "post.bin"], &round[..]].concat());
        if kind == "window" {
            assert_eq!(output["faults"], value!([]));
            // A sector that is gone is a fault and no failure.
            let gone =
                value!({ "sector_id": 6, "comm_r": comm_r, "cache_dir": "/nowhere", "sealed_file": "/nowhere/sealed" });
            let mut task = task.clone();
            task["replicas"] = value!([sector, gone]);
            assert_eq!(post.does(5, &task), value!({ "proofs": [], "faults": [6] }));
        }
        let mut task = task.clone();
        task["proof_type"] = "StackedDrg2KiBV1".into();
        assert!(post.fails(6, &task).contains("StackedDrg2KiBV1"));
    }

    // New data in the sector.
    sandbox.write("new", &data(2000));
    run(&["seal", "add-piece", "--dir", "s/update", "--sector-size", "2KiB", "new"]);
    let task = value!({
        "registered_proof": "StackedDrg2KiBV1", "new_replica_path": sandbox.path("u/replica"),
        "new_cache_path": sandbox.path("u/cache"), "sector_path": sealed, "sector_cache_path": cache,
        "staged_data_path": sandbox.path("s/update/staged"),
        "piece_infos": json(&String::from_utf8(sandbox.read("s/update/pieces.json")).unwrap()),
    });
    fs::create_dir_all(sandbox.path("u/cache")).unwrap();
    // A worker makes the file beforehand.
    sandbox.write("u/replica", &[0; 2048]);
    let mut encode = Processor::start(&sandbox, "snap_encode", &kept);
    let encoded = encode.does(1, &task);
    assert_eq!(encode.does(2, &task), encoded);
    run(&["update", "encode", "--dir", "s"]);
    run(&["update", "vanilla", "--dir", "s"]);
    let update = json(&String::from_utf8(sandbox.read("s/update/update.json")).unwrap());
    for commitment in ["comm_r_new", "comm_r_last_new", "comm_d_new"] {
        assert_eq!(encoded[commitment], update[commitment], "{commitment}");
    }
    assert!(sandbox.read("u/replica") == sandbox.read("s/update/sealed"));
    // One partition after a count.
    let partition = &sandbox.read("s/update/vanilla.bin")[8..];
    let mut snap = Processor::start(&sandbox, "snap_prove", &kept);
    let task = value!({
        "registered_proof": "StackedDrg2KiBV1", "vannilla_proofs": [partition], "comm_r_old": comm_r,
        "comm_r_new": update["comm_r_new"], "comm_d_new": update["comm_d_new"],
    });
    let proof: Vec<u8> = serde_json::from_value(snap.does(1, &task)).unwrap();
    sandbox.write("s/update/proof.bin", &proof);
    run(&["update", "verify", "--dir", "s"]);
    let mut task = task.clone();
    task["vannilla_proofs"] = value!([partition, partition]);
    assert!(snap.fails(2, &task).contains("2 partitions, expected 1"));
}

#[test]
fn tasks_that_make_no_sense_are_answered_with_the_reason() {
    let sandbox = Sandbox::new();
    let task = staged(&sandbox);
    let mut pc1 = Processor::start(&sandbox, "pc1", &[]);
    let table = [
        (value!({}), "the task is not of this stage: missing field `registered_proof`"),
        (value!(null), "the task is not of this stage"),
        (edited(&task, "registered_proof", value!("StackedDrg4GiBV1")), "StackedDrg4GiBV1"),
        (edited(&task, "ticket", value!(vec![1; 31])), "the task is not of this stage"),
        (edited(&task, "in_path", value!("/nowhere")), "/nowhere"),
        (edited(&task, "piece_infos", value!([])), "pieces"),
    ];
    for (id, (task, reason)) in table.iter().enumerate() {
        let message = pc1.fails(id as u64, task);
        assert!(message.contains(reason), "{task}: {message}");
    }
    pc1.does(99, &task);
    let mut c2 = Processor::start(&sandbox, "c2", &[]);
    let task = value!({ "c1out": {}, "prover_id": task["prover_id"], "sector_id": 5, "miner_id": 1000 });
    let message = c2.fails(1, &task);
    assert!(message.contains("no C1 output of profile filecoin"), "{message}");
    // As long as C1's output of a large sector.
    let long = edited(&task, "unknown", "x".repeat(50 << 20).into());
    assert!(c2.fails(2, &long).contains("no C1 output"));
    // An empty input is a worker that is gone.
    let unused = Processor::start(&sandbox, "snap_prove", &[]);
    assert_eq!(unused.ends(), (String::new(), String::new(), 0));
    let message = sandbox.run(&["ext", "damocles", "transfer"]).fails(2);
    assert!(message.contains("snap_prove"), "{message}");
}

fn edited(task: &Value, name: &str, new: Value) -> Value {
    let mut task = task.clone();
    task[name] = new;
    task
}
