//! The data of a sector: pieces from files, from addresses and of zeros, their tree, and what unsealing gives back.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json as value};

use super::Processor;
use crate::support::{Sandbox, data, json};

const TOKEN: (&str, &str) = ("PIECE_FETCHER_TOKEN", "secret");
const TREE_D: &str = "sc-02-data-tree-d.dat";

/// A manager's server, which has a piece of the bytes of [`data`] elsewhere and wants to see a token there, and none before; its
/// address, and the paths that were asked for.
fn server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let (path, token) = request(&stream)?;
                let _ = sender.send(path.clone());
                answer(&mut stream, &path, token.as_deref())
            });
        }
    });
    (address, asked)
}

/// The path that is asked for, and the token.
fn request(stream: &TcpStream) -> io::Result<(String, Option<String>)> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next().transpose()?.unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let mut token = None;
    for line in lines {
        let line = line?;
        let Some((name, text)) = line.split_once(": ") else { break };
        if name.eq_ignore_ascii_case("authorization") {
            token = Some(text.to_owned());
        }
    }
    Ok((path, token))
}

fn answer(stream: &mut TcpStream, path: &str, token: Option<&str>) -> io::Result<()> {
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}\r\n");
    let ok = |bytes: usize| head("200 OK", &format!("Content-Length: {bytes}\r\n"));
    match (path, token) {
        ("/piecestore/1", None) => {
            write!(stream, "{}", head("302 Found", "Location: ../store/1?a=b\r\nContent-Length: 0\r\n"))
        }
        ("/store/1?a=b", Some("Bearer secret")) => {
            write!(stream, "{}", ok(5000))?;
            stream.write_all(&data(5000))
        }
        ("/store/1?a=b", _) => write!(stream, "{}", head("401 Unauthorized", "Content-Length: 0\r\n")),
        ("/cut", None) => {
            write!(stream, "{}", ok(127))?;
            stream.write_all(&[7; 50])
        }
        ("/short", None) => {
            write!(stream, "{}", ok(50))?;
            stream.write_all(&[7; 50])
        }
        ("/silent", None) => {
            write!(stream, "{}", ok(127))?;
            stream.write_all(&[7; 50])?;
            silence(Duration::from_secs(60))
        }
        _ => write!(stream, "{}", head("404 Not Found", "Content-Length: 0\r\n")),
    }
}

fn silence(duration: Duration) -> io::Result<()> {
    thread::sleep(duration);
    Ok(())
}

fn piece(file: Value, payload: u64, size: u64) -> Value {
    value!({ "piece_file": file, "payload_size": payload, "piece_size": size })
}

fn task(sandbox: &Sandbox, pieces: &[Value]) -> Value {
    value!({ "seal_proof_type": "StackedDrg2KiBV1_1", "pieces": pieces, "staged_filepath": sandbox.path("s/staged") })
}

/// The staged file and the pieces that `seal add-piece` makes of these raw pieces.
fn added_one_by_one(sandbox: &Sandbox, folder: &str, pieces: &[Vec<u8>]) -> (Vec<u8>, Value) {
    for bytes in pieces {
        sandbox.write("raw", bytes);
        sandbox.run(&["seal", "add-piece", "--dir", folder, "--sector-size", "2KiB", "raw"]).succeeds();
    }
    let list = sandbox.read(&format!("{folder}/pieces.json"));
    (sandbox.read(&format!("{folder}/staged")), json(&String::from_utf8(list).unwrap()))
}

/// A sector from its pieces to its data.
#[test]
fn a_sector_begins_with_pieces_and_gives_them_back() {
    let sandbox = Sandbox::new();
    let (address, asked) = server();
    sandbox.write("first", &data(600));
    sandbox.write("last", &data(1016)[..]);
    sandbox.write("s/staged", b"what a worker that was stopped left");
    let padded = |bytes: &[u8], size: usize| [bytes, &vec![0; size - bytes.len()]].concat();
    let raw = [padded(&data(500), 508), vec![0; 127], padded(&data(100), 127), vec![0; 254], data(1016)];
    let task = task(
        &sandbox,
        &[
            piece(value!({ "local": sandbox.path("first") }), 500, 508),
            piece(value!("pledge"), 127, 127),
            piece(value!({ "url": format!("{address}/piecestore/1") }), 100, 127),
            piece(value!("pledge"), 0, 254),
            piece(value!({ "local": sandbox.path("last") }), 1016, 1016),
        ],
    );
    let mut add = Processor::start_with(&sandbox, "add_pieces", &["--quiet"], &[TOKEN]);
    let pieces = add.does(1, &task);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["/piecestore/1", "/store/1?a=b"]);
    let (staged, expected) = added_one_by_one(&sandbox, "t", &raw);
    assert_eq!(pieces, expected);
    assert!(sandbox.read("s/staged") == staged);
    assert_eq!(sandbox.names("s"), ["staged"]);
    // The same again, and a sector without pieces, which is one of zeros.
    assert_eq!(add.does(2, &task), pieces);
    assert!(sandbox.read("s/staged") == staged);
    let zeros = value!({
        "seal_proof_type": "StackedDrg2KiBV1_1", "pieces": [], "staged_filepath": sandbox.path("zeros"),
    });
    let (empty, expected) = added_one_by_one(&sandbox, "z", &[vec![0; 2032]]);
    assert_eq!(add.does(3, &zeros), expected);
    assert!(sandbox.read("zeros") == empty);
    assert_eq!(add.ends(), (String::new(), String::new(), 0));

    let mut tree = Processor::start(&sandbox, "tree_d", &["--quiet"]);
    for cache in ["prepared", "s/cache"] {
        let task = value!({
            "registered_proof": "StackedDrg2KiBV1_1", "staged_file": sandbox.path("s/staged"),
            "cache_dir": sandbox.path(cache),
        });
        assert_eq!(tree.does(1, &task), true);
    }
    drop(tree);
    assert_eq!(sandbox.names("prepared"), [TREE_D]);
    let tree_d = sandbox.read(&format!("prepared/{TREE_D}"));

    let mut prover_id = vec![0; 32];
    prover_id[..2].copy_from_slice(&[0xe8, 7]);
    let (cache, sealed) = (sandbox.path("s/cache"), sandbox.path("s/sealed"));
    let mut pc1 = Processor::start(&sandbox, "pc1", &["--quiet"]);
    let output = pc1.does(
        1,
        &value!({
            "registered_proof": "StackedDrg2KiBV1_1", "cache_path": cache, "in_path": sandbox.path("s/staged"),
            "out_path": sealed, "prover_id": prover_id, "sector_id": 5, "ticket": vec![1; 32], "piece_infos": pieces,
        }),
    );
    drop(pc1);
    assert!(sandbox.read(&format!("s/cache/{TREE_D}")) == tree_d);
    let mut pc2 = Processor::start(&sandbox, "pc2", &["--quiet"]);
    let output = pc2.does(1, &value!({ "pc1out": output, "cache_dir": cache, "sealed_file": sealed }));
    drop(pc2);

    let mut unseal = Processor::start(&sandbox, "unseal", &["--quiet"]);
    let raw = raw.concat();
    let asked = |cache: &str, offset: u64, bytes: u64| {
        value!({
            "registered_proof": "StackedDrg2KiBV1_1", "prover_id": prover_id, "sector_id": 5,
            "comm_d": output["comm_d"], "ticket": vec![1; 32], "cache_dir": sandbox.path(cache),
            "sealed_file": sealed, "unsealed_output": sandbox.path("out/data"), "offset": offset, "num_bytes": bytes,
        })
    };
    sandbox.write("out/data", b"old");
    let mut beyond = asked("none", 2000, 33);
    assert!(unseal.fails(9, &beyond).contains("33 bytes from 2000 on"), "{beyond}");
    beyond["num_bytes"] = 32.into();
    beyond["sealed_file"] = "/nowhere/sealed".into();
    assert!(unseal.fails(9, &beyond).contains("/nowhere/sealed"), "{beyond}");
    beyond["unsealed_output"] = "/nowhere/data".into();
    assert!(unseal.fails(9, &beyond).contains("/nowhere"), "{beyond}");
    let mut unknown = asked("none", 0, 1);
    unknown["comm_d"] = value!(vec![0; 32]);
    assert!(unseal.fails(9, &unknown).contains("comm_d"), "{unknown}");
    assert_eq!(sandbox.read("out/data"), b"old");
    // The last layer found in the cache, and computed; the whole sector, pieces of it, nothing.
    for (cache, offset, bytes) in [
        ("s/cache", 0, 2032),
        ("none", 0, 2032),
        ("none", 508, 254),
        ("s/cache", 635, 100),
        ("none", 130, 1701),
        ("none", 5, 0),
    ] {
        assert_eq!(unseal.does(1, &asked(cache, offset, bytes)), bytes);
        let expected = &raw[offset as usize..][..bytes as usize];
        assert!(sandbox.read("out/data") == expected, "{cache} {offset} {bytes}");
        assert_eq!(sandbox.names("out"), ["data"]);
    }
}

#[test]
fn pieces_that_make_no_sector_leave_the_older_file() {
    let sandbox = Sandbox::new();
    let (address, _) = server();
    sandbox.write("file", &data(127));
    sandbox.write("s/staged", b"old");
    let mut add = Processor::start(&sandbox, "add_pieces", &["--quiet"]);
    let (local, url) =
        (value!({ "local": sandbox.path("file") }), |path: &str| value!({ "url": format!("{address}/{path}") }));
    let pledge = || value!("pledge");
    let table = [
        (vec![piece(local.clone(), 128, 254)], "piece 0: the source ended after 127 bytes of a piece of 128"),
        (
            vec![piece(local.clone(), 127, 127), piece(url("short"), 127, 127)],
            "piece 1: the source of a piece cannot be read: http:",
        ),
        (vec![piece(url("short"), 127, 127)], "/short ended after 50 of 127 bytes"),
        (vec![piece(url("cut"), 127, 127)], "/cut broke off after 50 of 127 bytes"),
        (vec![piece(url("gone"), 127, 127)], "/gone answers with status 404"),
        // Nobody has set the token.
        (vec![piece(url("piecestore/1"), 127, 127)], "/store/1 answers with status 401"),
        (vec![piece(value!({ "url": "ftp://host/x" }), 127, 127)], "\"ftp://host/x\" is no http or https address"),
        (vec![piece(value!({ "local": "/nowhere/x" }), 0, 127)], "/nowhere/x: No such file"),
        (vec![piece(value!({ "local": sandbox.path("s") }), 127, 127)], "/s: not a file"),
        (vec![piece(value!({ "ipfs": "x" }), 127, 127)], "unknown variant `ipfs`"),
        (vec![piece(pledge(), 1016, 1016); 3], "piece 2: the pieces and the zeros between them take 3072 padded bytes"),
        (vec![piece(pledge(), 4064, 4064)], "piece 0: the pieces and the zeros between them take 4096 padded bytes"),
        (
            vec![piece(local.clone(), 127, 127), piece(pledge(), 254, 254)],
            "piece 1 of 254 unpadded bytes would begin at 127",
        ),
        (vec![piece(pledge(), 128, 127)], "piece 0 has 128 bytes of data and room for 127"),
        (vec![piece(pledge(), 127, 127), piece(pledge(), 128, 128)], "piece 1: 128 bytes are no unpadded piece size"),
        (vec![piece(pledge(), 0, 0)], "piece 0: 0 bytes are no unpadded piece size"),
    ];
    for (id, (pieces, reason)) in table.iter().enumerate() {
        let message = add.fails(id as u64, &task(&sandbox, pieces));
        assert!(message.contains(reason), "{pieces:?}: {message}");
        assert_eq!((sandbox.read("s/staged"), sandbox.names("s")), (b"old".to_vec(), vec!["staged".to_owned()]));
    }
    let good = task(&sandbox, &[piece(local, 127, 127)]);
    for (name, new, reason) in [
        ("staged_filepath", value!(sandbox.path("none/staged")), "none/staged"),
        ("staged_filepath", value!(sandbox.path("s")), "cannot name"),
        ("seal_proof_type", value!("StackedDrg4GiBV1"), "StackedDrg4GiBV1"),
        ("pieces", value!(null), "the task is not of this stage"),
    ] {
        let message = add.fails(99, &super::edited(&good, name, new));
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(add.does(100, &good).as_array().unwrap().len(), 1);
    assert_eq!(sandbox.read("s/staged").len(), 128);

    let mut tree = Processor::start(&sandbox, "tree_d", &["--quiet"]);
    sandbox.write("long", &[0; 2049]);
    sandbox.write("sealed/p_aux", &[0; 64]);
    for (staged, cache, reason) in [
        ("none", "c", "none"),
        ("long", "c", "2049 bytes"),
        ("s/staged", "file", "file"),
        ("s/staged", "sealed", "p_aux"),
    ] {
        let (staged_file, cache_dir) = (sandbox.path(staged), sandbox.path(cache));
        let task =
            value!({ "registered_proof": "StackedDrg2KiBV1_1", "staged_file": staged_file, "cache_dir": cache_dir });
        let message = tree.fails(1, &task);
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(sandbox.names("sealed"), ["p_aux"]);
}

/// A worker that is gone does not wait for a server either.
#[test]
fn a_silent_server_holds_nobody_who_is_to_stop() {
    let sandbox = Sandbox::new();
    let (address, asked) = server();
    sandbox.write("s/staged", b"old");
    let mut add = Processor::start(&sandbox, "add_pieces", &["--quiet"]);
    add.send(1, &task(&sandbox, &[piece(value!({ "url": format!("{address}/silent") }), 127, 127)]));
    assert_eq!(asked.recv().unwrap(), "/silent");
    let begun = Instant::now();
    assert_eq!(add.ends(), (String::new(), String::new(), 0));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!((sandbox.read("s/staged"), sandbox.names("s")), (b"old".to_vec(), vec!["staged".to_owned()]));
}
